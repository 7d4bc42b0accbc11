"""Ibis expressions equal the functions on pandas, to the last count."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from crmlab import CustomerTables, DataError, SpecError, to_panel
from crmlab.datasets import load_cdnow_sample
from crmlab.tables import rfm_summary
from crmlab.warehouse import (
    as_expression,
    collect,
    move_matrix,
    order_summary,
    panel_cells,
    purchase_gaps,
    recency_moves,
    stage_moves,
)
from tests.same_counts import (
    FREQUENCIES,
    STAGES,
    WINDOW,
    check_cells,
    check_label_moves,
    check_recency_moves,
    check_summary,
    labels,
    orders,
)


@pytest.mark.parametrize("freq", ["W", "D"])
def test_summary_equals_pandas_on_real_orders(freq):
    sample = load_cdnow_sample()
    end = "1997-09-30"
    pandas = rfm_summary(sample, observation_end=end, freq=freq)
    found = collect(order_summary(as_expression(sample), observation_end=end, freq=freq))
    found = found.sort_values("customer_id", ignore_index=True)
    assert len(found) == 2357
    assert (found["frequency"] == pandas["frequency"]).all()
    pd.testing.assert_frame_equal(
        found.astype({"customer_id": "int64"}), pandas, check_dtype=False, rtol=1e-12
    )


@pytest.mark.parametrize("freq", FREQUENCIES)
def test_panel_and_moves_equal_pandas(freq):
    rows = orders(seed=3)
    check_summary(rows)
    check_cells(rows, freq)
    check_recency_moves(rows, freq, n_stages=4)


def test_label_moves_equal_the_chain_s_own_counts():
    check_label_moves(labels(seed=4))


_DATES = st.dates(pd.Timestamp(WINDOW[0]).date(), pd.Timestamp(WINDOW[1]).date())


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), _DATES), min_size=1, max_size=25),
    st.sampled_from(FREQUENCIES),
    st.integers(1, 5),
)
def test_any_orders_give_the_same_moves(rows, freq, n_stages):
    frame = pd.DataFrame(rows, columns=["customer_id", "date"])
    frame = frame.assign(date=pd.to_datetime(frame["date"]).astype("datetime64[us]"))
    check_recency_moves(frame, freq, n_stages)


def test_means_and_labels_fill_as_their_tables_say():
    asked = pd.DataFrame(
        {"customer_id": [1, 1, 1, 2], "period": [0, 0, 2, 1], "channel": "mood",
         "value": [1.0, 4.0, 5.0, 2.0]}
    )  # fmt: skip
    told = pd.DataFrame(
        {"customer_id": [1, 1], "date": pd.to_datetime(["2024-01-05", "2024-01-09"]),
         "channel": "stage", "stage": ["old", "new"]}
    )  # fmt: skip
    tables = CustomerTables(pd.DataFrame({"customer_id": [1, 2]}), surveys=asked, window=(0, 2))
    cells = collect(panel_cells(as_expression(asked), table="surveys", window=(0, 2), freq="M"))
    again = CustomerTables(tables.customers, surveys=cells, window=(0, 2))
    np.testing.assert_array_equal(
        to_panel(again, freq="M")["mood"], to_panel(tables, freq="M")["mood"]
    )
    last = panel_cells(
        as_expression(told), table="labels", window=("2024-01-01", "2024-01-31"), freq="M"
    )
    assert collect(last)[["period", "stage"]].values.tolist() == [[0, "new"]]


def test_a_gap_in_the_labels_is_no_move():
    path = pd.DataFrame(
        {"customer_id": [1, 1, 1, 2], "period": [0, 1, 2, 3], "stage": ["a", None, "b", "a"]}
    )
    assert move_matrix(collect(stage_moves(as_expression(path))), STAGES).sum() == 0


def test_categories_go_as_text():
    frame = pd.DataFrame({"channel": pd.Categorical(["b", "a"], ["a", "b", "c"])})
    assert collect(as_expression(frame))["channel"].tolist() == ["b", "a"]


def test_moves_between_unknown_stages_are_named():
    moves = pd.DataFrame({"stage_from": ["a"], "stage_to": ["z"], "n": [1]})
    with pytest.raises(DataError, match="'z' is not a stage"):
        move_matrix(moves, STAGES)


GOOD = pd.DataFrame({"customer_id": [1], "date": pd.to_datetime(["2024-01-01"])})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda t: order_summary(t.drop("date"), observation_end="2024-01-01"),
            "`date` is missing",
        ),
        (lambda t: order_summary(t, observation_end=7), "must be a date"),
        (lambda t: order_summary(t, observation_end="2024-01-01", freq="M"), "'D' or 'W'"),
        (lambda t: panel_cells(t, window=("2024-01-01", "2024-02-01"), freq="M"), "`channel`"),
        (lambda t: purchase_gaps(t, window=("2024-02-01", "2024-01-01"), freq="M"), "in order"),
        (lambda t: purchase_gaps(t, window=(0, 5), freq="M"), "two dates"),
        (lambda t: purchase_gaps(t, window=WINDOW, freq="2W"), "freq"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_any_query(call, words):
    with pytest.raises((SpecError, DataError), match=words):
        call(as_expression(GOOD))


def test_recency_needs_a_stage():
    with pytest.raises(SpecError, match="n_stages"):
        recency_moves(pd.DataFrame({"gap": [], "closed": [], "n": []}), 0)
