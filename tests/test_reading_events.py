"""Touchpoints, surveys, cases and actions as firms export them: every row used or counted."""

import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from crmlab.errors import DataError, SpecError
from crmlab.reading import EventFile, ReadingOptions, pseudonymise, read_events, read_sales
from crmlab.reading.events import KINDS, UNNAMED

OPTIONS = ReadingOptions(today="2025-01-01")
KEY = b"k" * 32
ORDERS = pd.DataFrame({
    "customer": ["a", "b", "a", "c"],
    "date": ["2024-01-10", "2024-02-13", "2024-03-20", "2024-06-30"],
    "amount": ["5", "6", "7", "8"],
})  # fmt: skip
PLAIN = {
    "touchpoints": "customer,date,channel\na,2024-02-01,web\nb,2024-03-01,phone\n",
    "surveys": "customer,date,score\na,2024-02-01,4\nb,2024-03-01,5\n",
    "cases": "customer,opened,closed,type\na,2024-02-01,2024-02-09,late\nb,2024-03-01,,late\n",
    "actions": "customer,date,action,cost\na,2024-02-01,letter,1.20\nb,2024-03-01,call,3.00\n",
}


@pytest.fixture(scope="module")
def sales():
    return read_sales(ORDERS, OPTIONS)


def read(sales, kind, frame, columns=None, **options):
    return read_events(EventFile(kind, frame, columns or {}), sales, OPTIONS, **options)


def found(events):
    return {finding.what: finding.rows for finding in events.quality.findings}


def adds_up(quality):
    return quality.rows_read == quality.rows_used + quality.rows_set_aside


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_file_is_read_whole(kind, sales, tmp_path):
    (tmp_path / "beside.csv").write_text(PLAIN[kind])
    events = read(sales, kind, tmp_path / "beside.csv")
    assert events.frame["customer_id"].tolist() == ["a", "b"]
    assert events.frame["date"].dt.strftime("%m-%d").tolist() == ["02-01", "03-01"]
    assert events.quality.findings == ()
    guessed = [d.what for d in events.quality.decisions if d.what.endswith("column")]
    assert "customer column" in guessed
    if kind == "actions":
        assert events.frame[["action", "cost"]].values.tolist() == [["letter", 1.2], ["call", 3.0]]
    if kind == "surveys":
        assert events.frame["score"].tolist() == [4.0, 5.0]


def test_every_reason_is_counted_once(sales):
    frame = pd.DataFrame([
        ("a", "2024-02-01"), ("a", "2024-02-01"),  # the same day twice
        ("", "2024-02-01"), ("zed", "2024-02-01"),
        ("a", "1788-02-01"), ("a", "2124-02-01"),
        ("a", "2023-12-31"), ("a", "2024-07-01"),  # before and after the window
        ("c", "2024-03-01"), ("b", "2024-02-13"),  # before the first order; on its day
        *[("b", f"2024-03-{day:02}") for day in range(1, 21)],
        ("b", "soon"),
    ], columns=["customer", "date"])  # fmt: skip
    events = read(sales, "touchpoints", frame)
    assert found(events) == {
        "no customer id": 1,
        "no readable date": 1,
        "a date before 1900 or in the future": 2,
        "customers without an order": 1,
        "before the window of the orders": 1,
        "after the window of the orders": 1,
        "before the customer's first order": 1,
        "on the day of an order of the customer": 1,
        "more of one customer on one day": 1,
    }
    assert adds_up(events.quality)
    assert len(events.frame) == 21
    assert events.recorded == (pd.Timestamp("2023-12-31"), pd.Timestamp("2024-07-01"))


def test_no_answer_is_no_score(sales):
    frame = pd.DataFrame({"customer": "a", "date": "2024-02-01", "nps": ["", "0", "10", ""]})
    events = read(sales, "surveys", frame)
    assert events.frame["score"].tolist() == [0.0, 10.0]
    assert found(events) == {"no score: asked but not answered": 2}
    words = frame.assign(nps="rather good")
    with pytest.raises(DataError, match=r"no readable score .*--column surveys\.score"):
        read(sales, "surveys", words)


def test_cases_closed_too_early_are_kept(sales):
    frame = pd.DataFrame({"client": ["a", "b"], "date opened": "2024-03-01",
                          "date closed": ["2024-02-01", "2024-03-05"]})  # fmt: skip
    events = read(sales, "cases", frame)
    assert len(events.frame) == 2
    assert found(events) == {"closed before it was opened": 1}


def test_actions_without_name_or_cost_are_kept(sales):
    frame = pd.DataFrame({"customer": "a", "date": "2024-02-01", "campaign": ["spring", ""],
                          "cost": ["-2", "3"]})  # fmt: skip
    events = read(sales, "actions", frame)
    assert events.frame["action"].tolist() == [UNNAMED, "spring"]
    assert events.frame["cost"].isna().tolist() == [False, True]
    assert found(events) == {"no readable cost, or one below 0": 1}


def test_costs_in_another_currency_are_refused():
    euros = read_sales(ORDERS.assign(amount="5 EUR"), OPTIONS)
    frame = pd.DataFrame({"customer": ["a"], "date": "2024-02-01", "cost": "3 USD"})
    with pytest.raises(DataError, match="costs are in USD and orders in EUR"):
        read(euros, "actions", frame)
    assert len(read(euros, "actions", frame.assign(cost="3 EUR")).frame) == 1


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"customer": ["a"], "when": ["x"]}, r"no column looks like the score: .*surveys\.score"),
        ({"customer": ["a"], "date": ["2024-02-01"], "score": ["1"], "rating": ["x" * 40_000]},
         "limit 32,767"),
        ({"customer": [""], "date": ["2024-02-01"], "score": ["1"]}, "no row has a customer id"),
        ({"customer": ["a"], "date": ["1824-02-01"], "score": ["1"]}, "readable date between 1900"),
        ({"customer": ["a" * 300], "date": ["2024-02-01"], "score": ["1"]}, "longer than 200"),
        ({"customer": ["a"], "date": ["03/04/2024"], "score": ["1"]}, "--date-order"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_file(frame, said, sales):
    with pytest.raises(DataError, match=said) as problem:
        read(sales, "surveys", pd.DataFrame(frame))
    assert str(problem.value).startswith("surveys")


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95" + b"x" * 40, b"%PDF-1.7" + b"x" * 40])
def test_nasty_files_are_refused_like_orders(content, sales, tmp_path):
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"^cases: odd\.csv"):
        read(sales, "cases", tmp_path / "odd.csv")


def test_columns_are_named_by_the_user(sales):
    frame = pd.DataFrame({"x": ["a"], "y": ["2024-02-01"], "z": ["3"], "score": ["9"]})
    events = read(sales, "surveys", frame, {"customer": "x", "date": "#2", "score": "z"})
    assert events.frame["score"].tolist() == [3.0]
    with pytest.raises(SpecError, match="'cost' is not one of customer, date, score, kind"):
        EventFile("surveys", frame, {"cost": "z"})
    with pytest.raises(SpecError, match="must be one of"):
        EventFile("letters", frame)


def test_ids_hide_under_the_key_of_the_orders():
    hidden = read_sales(ORDERS, OPTIONS, key=KEY)
    frame = pd.DataFrame({"customer": ["a", "mallory@x.org"], "date": "2024-02-01",
                          "name": "Ann"})  # fmt: skip
    events = read(hidden, "touchpoints", frame, key=KEY)
    assert events.frame["customer_id"].tolist() == pseudonymise(pd.Series(["a"]), KEY).tolist()
    assert "mallory" not in str(events.quality.to_dict())
    assert events.quality.personal == ("name",)
    assert found(events) == {"customers without an order": 1}


def test_two_ids_of_one_person_are_one():
    people = pd.DataFrame({"id": ["a2"], "person": ["a"]})
    joined = read_sales(ORDERS, OPTIONS, same_person=people)
    frame = pd.DataFrame({"customer": ["a2", "a"], "date": "2024-02-01"})
    events = read(joined, "touchpoints", frame, same_person=people)
    assert events.frame["customer_id"].tolist() == ["a"]


CELLS = st.text(string.ascii_letters + "=+-@<>&'\";, \t", max_size=12)
DAYS = st.one_of(
    st.dates(pd.Timestamp("2023-11-01").date(), pd.Timestamp("2024-09-01").date()).map(str),
    st.sampled_from(["", "1788-01-01", "2200-01-01"]),
)
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "zed", ""]), DAYS, CELLS,
              st.sampled_from(["", "1", "2.5", "-3"])),
    min_size=1, max_size=40,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_rows_used_and_set_aside_add_up(kind, sales, rows):
    """Whatever a file holds: it is refused in words, or every row has a place."""
    day = "opened" if kind == "cases" else "date"
    frame = pd.DataFrame(rows, columns=["customer", day, "kind", "number"])
    number = {"surveys": "score", "actions": "cost"}.get(kind)
    frame = frame.rename(columns={"number": number} if number else {"number": "other"})
    try:
        events = read(sales, kind, frame)
    except DataError as problem:
        assert str(problem).startswith(kind)  # noqa: PT017
        return
    assert adds_up(events.quality)
    assert len(events.frame) == events.quality.rows_used
    begun = sales.orders.groupby("customer_id")["date"].min()
    kept = events.frame
    assert kept["customer_id"].isin(begun.index).all()
    assert (kept["date"] >= kept["customer_id"].map(begun)).all()
    assert (kept["date"] <= sales.window[1]).all()
    assert events.recorded[0] <= events.recorded[1]
    mixed = frame.sample(frac=1, random_state=1)
    again = read(sales, kind, mixed).frame
    ignored = [n for n in kept if n == "kind"]  # of several on one day, any may stay
    pd.testing.assert_frame_equal(
        again.drop(columns=ignored).reset_index(drop=True), kept.drop(columns=ignored)
    )
    assert np.isfinite(kept.get("score", pd.Series([0.0]))).all()
