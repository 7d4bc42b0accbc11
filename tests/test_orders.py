import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from crmlab.datasets import load_cdnow_sample, load_cdnow_summary
from crmlab.errors import DataError, SpecError
from crmlab.tables import read_orders, rfm_summary, split_holdout, tables_from_orders, to_panel
from crmlab.tables.orders import clean_orders, purchase_days

END = "1997-09-30"


@pytest.fixture(scope="module")
def cdnow():
    return load_cdnow_sample()


@pytest.fixture(scope="module")
def cdnow_tables(cdnow):
    return tables_from_orders(cdnow, window=("1997-01-01", "1998-06-30"), currency="USD")


# The published summary ----------------------------------------------------------------------------


def test_the_summary_equals_the_published_one_customer_by_customer(cdnow):
    """Counts are equal; weeks and dollars are printed to two decimals (halves go either way)."""
    ours = rfm_summary(cdnow, observation_end=END)
    published = load_cdnow_summary()
    assert ours["customer_id"].tolist() == published["customer_id"].tolist()
    assert ours["frequency"].tolist() == published["frequency"].tolist()
    half_a_unit = 0.005 + 1e-12
    for name in ("recency", "T", "monetary_value"):
        np.testing.assert_allclose(ours[name], published[name], atol=half_a_unit, rtol=0)


def test_days_are_weeks_times_seven(cdnow):
    weeks = rfm_summary(cdnow, observation_end=END)
    days = rfm_summary(cdnow, observation_end=END, freq="D")
    np.testing.assert_array_equal(days["T"], days["T"].round())
    for name in ("recency", "T"):
        np.testing.assert_allclose(days[name], weeks[name] * 7, rtol=1e-14)


def test_orders_of_one_day_are_one_purchase():
    orders = pd.DataFrame(
        {
            "customer_id": ["a"] * 4,
            "date": [
                "2024-01-01 09:00",
                "2024-01-01 21:00",
                "2024-01-15 10:00",
                "2024-01-15 11:00",
            ],
            "amount": [1.0, 2.0, 3.0, 4.0],
        }
    )
    summary = rfm_summary(orders, observation_end="2024-01-22")
    assert summary.to_dict("records") == [
        {"customer_id": "a", "frequency": 1, "recency": 2.0, "T": 3.0, "monetary_value": 7.0}
    ]


def test_later_orders_and_later_customers_are_left_out():
    orders = pd.DataFrame(
        {"customer_id": [1, 1, 2], "date": ["2024-01-01", "2024-02-01", "2024-02-01"]}
    )
    summary = rfm_summary(orders, observation_end="2024-01-31", freq="D")
    assert summary.to_dict("list") == {
        "customer_id": [1],
        "frequency": [0],
        "recency": [0.0],
        "T": [30.0],
    }


@pytest.mark.parametrize("end", ["soon", 39, None])
def test_the_end_of_observation_is_a_date(cdnow, end):
    with pytest.raises(SpecError, match="rfm_summary: `observation_end` must be a date"):
        rfm_summary(cdnow, observation_end=end)


def test_an_end_before_the_first_order_is_refused(cdnow):
    with pytest.raises(SpecError, match=r"must not be before the first order \(1997-01-01\)"):
        rfm_summary(cdnow, observation_end="1996-12-31")


def test_only_units_of_fixed_length_are_accepted(cdnow):
    with pytest.raises(SpecError, match="rfm_summary: `freq` must be 'D' or 'W'"):
        rfm_summary(cdnow, observation_end=END, freq="M")


days = st.integers(0, 60).map(lambda day: pd.Timestamp("2024-01-01") + pd.Timedelta(days=day))
order_rows = st.lists(
    st.tuples(st.integers(1, 4), days, st.floats(0, 1e5)), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=40)
@given(order_rows, st.randoms(use_true_random=False))
def test_the_order_of_orders_does_not_matter(rows, random):
    names = ["customer_id", "date", "amount"]
    orders = pd.DataFrame(rows, columns=names)
    shuffled = pd.DataFrame(random.sample(rows, len(rows)), columns=names)
    pd.testing.assert_frame_equal(
        rfm_summary(shuffled, observation_end="2024-03-01"),
        rfm_summary(orders, observation_end="2024-03-01"),
        check_exact=True,
    )
    xr.testing.assert_identical(
        to_panel(tables_from_orders(shuffled), freq="W"),
        to_panel(tables_from_orders(orders), freq="W"),
    )


@settings(deadline=None, max_examples=40)
@given(order_rows)
def test_a_summary_counts_what_the_panel_counts(rows):
    """The repeat purchases of the summary are the repeat_orders of the panel."""
    orders = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    panel = to_panel(tables_from_orders(orders), freq="W")
    summary = rfm_summary(orders, observation_end="2024-03-01").set_index("customer_id")
    repeats = panel["repeat_orders"].sum("period").to_series()
    assert repeats.to_dict() == summary["frequency"].to_dict()
    assert panel["spend"].sum() == pytest.approx(orders["amount"].sum(), rel=1e-12)


# Tables -------------------------------------------------------------------------------------------


def test_cdnow_as_tables(cdnow, cdnow_tables):
    assert cdnow_tables.channels == dict.fromkeys(("orders", "repeat_orders", "spend"), "events")
    assert len(cdnow_tables.customers) == 2357
    counts = cdnow_tables.events["channel"].value_counts()
    merged = len(cdnow.drop_duplicates(["customer_id", "date"]))
    assert counts.to_dict() == {"orders": merged, "spend": merged, "repeat_orders": merged - 2357}


def test_39_weeks_of_cdnow_and_39_more(cdnow, cdnow_tables):
    train, holdout = split_holdout(cdnow_tables, cutoff="1997-10-01")
    before, after = (to_panel(part, freq="W") for part in (train, holdout))
    assert (before.sizes["period"], after.sizes["period"]) == (39, 39)
    assert before.attrs["partial_periods"] == after.attrs["partial_periods"] == ""
    assert before["repeat_orders"].sum() == 2457  # Fader, Hardie and Lee (2005), section 5
    frequency = load_cdnow_summary()["frequency"]
    np.testing.assert_array_equal(before["repeat_orders"].sum("period"), frequency)
    spend = before["spend"].sum() + after["spend"].sum()
    assert float(spend) == pytest.approx(cdnow["amount"].sum(), rel=1e-12)
    assert before["spend"].attrs["unit"] == "USD"


def test_a_customer_is_observed_from_the_first_purchase_on(cdnow, cdnow_tables):
    panel = to_panel(cdnow_tables, freq="W")
    first_week = panel["observed"].argmax("period")
    assert (panel["orders"].isel(period=first_week) >= 1).all()
    first_day = pd.to_datetime(cdnow.groupby("customer_id")["date"].min())
    weeks = (first_day - pd.Timestamp("1997-01-01")).dt.days // 7
    np.testing.assert_array_equal(first_week, weeks)
    assert panel["observed"].isel(period=-1).all()


def test_orders_without_amounts_have_no_spend(cdnow):
    tables = tables_from_orders(cdnow[["customer_id", "date"]])
    assert list(tables.channels) == ["orders", "repeat_orders"]


def test_one_order_makes_tables():
    orders = pd.DataFrame({"customer_id": [1], "date": ["2024-01-01"], "amount": [0]})
    panel = to_panel(tables_from_orders(orders), freq="W")
    assert [panel[name].item() for name in ("orders", "repeat_orders", "spend")] == [1, 0, 0]


def test_orders_outside_the_window_are_refused(cdnow):
    with pytest.raises(DataError, match="outside the window 1997-01-01 to 1997-12-31"):
        tables_from_orders(cdnow, window=("1997-01-01", "1997-12-31"))


# Reading and checking -----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_reading_an_orders_file(tmp_path, cdnow, format):
    path = tmp_path / f"orders.{format}"
    cdnow.to_csv(path, index=False) if format == "csv" else cdnow.to_parquet(path)
    pd.testing.assert_frame_equal(read_orders(path), cdnow, check_exact=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "orders.csv: is empty"),
        ("customer_id,date\n", "orders.csv: orders: has no rows"),
        ("id,day\n1,2\n", "column `customer_id` is missing (there are: id, day)"),
        ("id,day\n1,2\n", "column `date` is missing (there are: id, day)"),
        ("customer_id,date\n,2024-01-01\n", "1 row whose customer_id is missing"),
        ("customer_id,date\n1,1.2.2024\n2,\n", "1 row whose date is missing"),
        ("customer_id,date\n1,1.2.2024\n2,\n", "1 row whose date cannot be read"),
        ("customer_id,date,amount\n1,2024-01-01,-5\n", "1 row whose amount is negative"),
        (
            "customer_id,date,amount\n1,2024-01-01,\n",
            "1 row whose amount is missing or not a finite",
        ),
        (
            "customer_id,date,amount\n1,2024-01-01,inf\n",
            "1 row whose amount is missing or not a finite",
        ),
        (
            "customer_id,date,amount\n1,2024-01-01,5 EUR\n",
            "(customer_id=1, date='2024-01-01', amount=",
        ),
    ],
)
def test_a_bad_orders_file(tmp_path, text, words):
    (tmp_path / "orders.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_orders(tmp_path / "orders.csv")
    assert words in str(caught.value)


def test_a_missing_orders_file(tmp_path):
    with pytest.raises(DataError, match=r"orders\.csv: there is no such file"):
        read_orders(tmp_path / "orders.csv")


def test_all_problems_of_orders_are_reported_at_once():
    orders = pd.DataFrame(
        {
            "customer_id": [None, "a", "a"],
            "date": ["2024-01-01", "x", None],
            "amount": [-1, 1, None],
        }
    )
    for call in (clean_orders, tables_from_orders):
        with pytest.raises(DataError) as caught:
            call(orders)
        assert str(caught.value).startswith(f"{call.__name__}: 5 problems")


def test_purchase_days_know_the_first():
    orders = clean_orders(
        pd.DataFrame({"customer_id": [2, 1, 2], "date": ["2024-01-09", "2024-01-05", "2024-01-03"]})
    )
    days = purchase_days(orders)
    assert days["customer_id"].tolist() == [1, 2, 2]
    assert days["first"].dt.day.tolist() == [5, 3, 3]
