"""Every rule is broken here on purpose, one by one and all at once."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from crmlab.errors import DataError
from crmlab.tables import CustomerTables
from crmlab.tables.records import to_dates, to_ids, to_numbers, to_periods

CUSTOMERS = pd.DataFrame({"customer_id": [1, 2]})
VISITS = pd.DataFrame({"customer_id": [1, 2, 2], "period": [0, 1, 3], "channel": "visits"})
ORDERS = pd.DataFrame(
    {"customer_id": [1, 2, 2], "date": ["2024-01-01", "2024-01-02", "2024-01-09"], "channel": "buy"}
)
ANSWERS = VISITS.assign(channel="satisfaction", value=[1, 2, 3])
NOTES = VISITS.assign(channel="stage", stage=["new", "new", "loyal"])
MAILS = VISITS.drop(columns="channel").assign(action="mail")


def message_of(**tables):
    """Return the error of tables that break a rule."""
    tables = {"customers": CUSTOMERS, **tables}
    with pytest.raises(DataError) as caught:
        CustomerTables(**tables)
    return str(caught.value)


# One rule at a time -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"customers": CUSTOMERS.iloc[:0]}, "customers: has no rows"),
        ({"customers": None}, "`customers` must be a pandas DataFrame, got NoneType"),
        (
            {"customers": pd.DataFrame({"id": [1]})},
            "column `customer_id` is missing (there are: id)",
        ),
        (
            {"customers": pd.DataFrame({"customer_id": [1, 2, 1]})},
            "customers: 2 rows whose customer_id appears more than once: "
            "row 0 (customer_id=1); row 2 (customer_id=1)",
        ),
        (
            {"customers": pd.DataFrame({"customer_id": ["a", None, ""]})},
            "customers: 2 rows whose customer_id is missing: row 1 (customer_id=nan); "
            "row 2 (customer_id='')",
        ),
        (
            {"customers": pd.DataFrame({"customer_id": [1.5, 2]})},
            "1 row whose customer_id is neither a whole number nor text: row 0 (customer_id=1.5)",
        ),
        (
            {"customers": pd.DataFrame({"customer_id": [1, "b"]}, dtype=object)},
            "customer_id is neither a whole number nor text: row 0 (customer_id=1)",
        ),
        ({"customers": pd.DataFrame({"customer_id": [True]})}, "neither a whole number nor text"),
        (
            {"events": VISITS.assign(customer_id=[1, 7, 9])},
            "events: 2 rows whose customer_id is not in customers: "
            "row 1 (customer_id=7, period=1, channel='visits', value=1.0)",
        ),
        (
            {"events": VISITS.assign(customer_id=["1", "2", "2"])},
            "events: customer_id is text, but whole numbers in customers",
        ),
        ({"events": VISITS.drop(columns="period")}, "either a column `period` or a column `date`"),
        (
            {"events": VISITS.assign(date="2024-01-01")},
            "either a column `period` or a column `date`",
        ),
        ({"events": VISITS.drop(columns="channel")}, "events: column `channel` is missing"),
        ({"surveys": VISITS}, "surveys: column `value` is missing"),
        ({"labels": VISITS}, "labels: column `stage` is missing"),
        ({"actions": VISITS}, "actions: column `action` is missing"),
        (
            {"events": pd.concat([VISITS, VISITS["period"]], axis=1)},
            "events: column `period` appears twice",
        ),
        (
            {"events": VISITS.assign(period=[0, 1.5, None])},
            "events: 1 row whose period is missing: row 2",
        ),
        (
            {"events": VISITS.assign(period=[0, 1.5, None])},
            "events: 1 row whose period cannot be read (use whole numbers): row 1",
        ),
        (
            {"events": ORDERS.assign(date=["2024-01-01", "01/02/2024", "2024-02-30"])},
            "events: 2 rows whose date cannot be read (use ISO 8601 text such as 1997-01-31, "
            "without a time zone): row 1 (customer_id=2, date='01/02/2024', channel='buy')",
        ),
        ({"events": ORDERS.assign(date=20240101)}, "3 rows whose date cannot be read"),
        (
            {"events": ORDERS.assign(date=pd.Timestamp("2024-01-01", tz="UTC"))},
            "3 rows whose date cannot be read",
        ),
        (
            {"events": VISITS.assign(value=[1, np.nan, np.inf])},
            "events: 2 rows whose value is missing or not a finite number: row 1",
        ),
        ({"events": VISITS.assign(value="many")}, "3 rows whose value is missing or not a finite"),
        ({"events": VISITS.assign(value=pd.Timestamp("2024-01-01"))}, "not a finite number"),
        ({"actions": MAILS.assign(value=[None, 1, 1])}, "actions: 1 row whose value is missing"),
        ({"surveys": ANSWERS.assign(value=[1, "good", None])}, "surveys: 1 row whose value is no"),
        ({"events": VISITS.assign(channel=["a", None, ""])}, "2 rows whose channel is missing"),
        (
            {"events": VISITS.assign(channel=3)},
            "events: 3 rows whose channel is missing or not text",
        ),
        ({"events": VISITS.assign(channel="observed")}, "3 rows whose channel is a reserved word"),
        ({"labels": NOTES.assign(stage=[1, 2, 3])}, "labels: 3 rows whose stage is not text"),
        (
            {"labels": NOTES.assign(customer_id=2, period=1)},
            "labels: 2 rows that name another stage for the same customer, period and channel",
        ),
        (
            {"events": VISITS, "surveys": ANSWERS.assign(channel="visits")},
            "the name 'visits' is used in events and surveys",
        ),
        (
            {"customers": CUSTOMERS.assign(visits=1), "events": VISITS},
            "the name 'visits' is used in customers and events",
        ),
        (
            {"customers": CUSTOMERS.assign(observed=1), "window": (0, 1)},
            "customers: `observed` is a reserved word; rename the column",
        ),
        (
            {"customers": CUSTOMERS.assign(joined=pd.Timedelta(days=1)), "window": (0, 1)},
            "customers: column `joined` is of an unknown type (timedelta64[",
        ),
        (
            {"events": VISITS.assign(basket=[np.arange(2)] * 3)},
            "events: column `basket` is of an unknown type (object)",
        ),
        (
            {"events": VISITS.assign(basket=[1, "two", 3])},
            "events: column `basket` is of an unknown type (object)",
        ),
        (
            {"customers": pd.DataFrame({"customer_id": [2**63]}, dtype="uint64")},
            "1 row whose customer_id is neither a whole number nor text",
        ),
        (
            {"events": VISITS, "cases": ORDERS.assign(channel="complaints")},
            "all tables must agree on period or date, got period in events; date in cases",
        ),
        (
            {"events": VISITS, "window": ("2024-01-01", "2024-12-31")},
            "got period in events; date in window",
        ),
        (
            {"customers": CUSTOMERS.assign(start="2024-01-01"), "events": VISITS},
            "got period in events; date in customers.start",
        ),
        ({"events": VISITS, "window": (1, 2)}, "events: 2 rows outside the window 1 to 2: row 0"),
        (
            {"events": ORDERS, "window": ("2024-01-02", "2024-01-08")},
            "events: 2 rows outside the window 2024-01-02 to 2024-01-08: row 0 "
            "(customer_id=1, date=2024-01-01, channel='buy', value=1.0)",
        ),
        (
            {"customers": CUSTOMERS.assign(start=[0, 2]), "events": VISITS},
            "events: 1 row outside their customer's window (customers.start to "
            "customers.end): row 1",
        ),
        (
            {"customers": CUSTOMERS.assign(end=[0, 2]), "events": VISITS, "window": (0, 3)},
            "events: 1 row outside their customer's window (customers.start to "
            "customers.end): row 2",
        ),
        (
            {"customers": CUSTOMERS.assign(start=[3, 0], end=[2, 0])},
            "customers: 1 row whose start is after the end: row 0",
        ),
        (
            {"customers": CUSTOMERS.assign(start=[0, 9]), "window": (0, 3)},
            "customers: 1 row whose start is outside the window 0 to 3: row 1",
        ),
        (
            {"customers": CUSTOMERS.assign(start=["soon", "2024-01-01"])},
            "customers: 1 row whose start cannot be read",
        ),
        ({}, "there are no records and no window: pass window=(first, last)"),
        ({"events": VISITS.iloc[:0]}, "there are no records and no window"),
        ({"window": (3, 0)}, "`window` must not end before it begins, got (3, 0)"),
        ({"window": 24}, "`window` must be (first, last), two periods or two dates, got 24"),
        ({"window": (0, "2024-01-01")}, "`window` must be (first, last), two periods or two dates"),
        ({"window": (0.5, 2)}, "`window` must be (first, last), two periods or two dates"),
        ({"window": (0, None)}, "`window` must be (first, last), two periods or two dates"),
        ({"events": [1, 2]}, "`events` must be a pandas DataFrame, got list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_rule_is_named(tables, words):
    assert words in message_of(**tables)


def test_a_file_without_columns_says_so():
    message = message_of(customers=pd.DataFrame(), events=pd.DataFrame())
    assert "customers: column `customer_id` is missing (there are: none)" in message
    assert "events: column `channel` is missing (there are: none)" in message


def test_all_problems_are_reported_at_once():
    message = message_of(
        customers=pd.DataFrame({"customer_id": [1, 1, None]}),
        events=pd.DataFrame(
            {
                "customer_id": [1, 8, 1, 1],
                "date": ["2024-01-01", "2024-01-01", "no date", "2025-01-01"],
                "channel": ["buy", "buy", "buy", None],
                "value": [1, 1, None, 1],
            }
        ),
        surveys=pd.DataFrame({"customer_id": [1], "period": [3], "value": [2]}),
        labels=NOTES.assign(stage=[1, 2, 3]),
        window=("2024-01-01", "2024-12-31"),
    )
    assert message.startswith("CustomerTables: 11 problems\n  - ")
    for words in (
        "customers: 1 row whose customer_id is missing",
        "customers: 2 rows whose customer_id appears more than once",
        "events: 1 row whose date cannot be read",
        "events: 1 row whose channel is missing",
        "events: 1 row whose value is missing",
        "surveys: column `channel` is missing",
        "labels: 3 rows whose stage is not text",
        "all tables must agree on period or date",
        "events: 1 row whose customer_id is not in customers",
        "labels: 2 rows whose customer_id is not in customers",
        "events: 1 row outside the window 2024-01-01 to 2024-12-31",
    ):
        assert words in message


def test_examples_are_few_and_the_rest_is_counted():
    message = message_of(events=VISITS.assign(customer_id=9).loc[[0] * 10])
    assert "10 rows whose customer_id is not in customers" in message
    assert message.count("row ") == 3
    assert message.endswith("; and 7 more")


# What is accepted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series([1, 2], dtype="int32"),
        pd.Series([1, 2], dtype="uint64"),
        pd.Series([1.0, 2.0]),
        pd.Series([1, 2], dtype="Int64"),
        pd.Series([1, 2], dtype=object),
        pd.Series([1, 2], dtype="category"),
    ],
    ids=lambda ids: str(ids.dtype),
)
def test_whole_numbers_of_any_kind_are_ids(ids):
    tables = CustomerTables(pd.DataFrame({"customer_id": ids}), VISITS)
    assert tables.customers["customer_id"].dtype == np.int64


def test_customers_without_an_end_are_observed_to_the_end():
    customers = CUSTOMERS.assign(start=[None, 1], end=[2, None])
    tables = CustomerTables(customers, VISITS)
    assert tables.customers["end"].isna().tolist() == [False, True]


def test_the_same_label_twice_is_no_conflict():
    twice = pd.concat([NOTES, NOTES])
    assert len(CustomerTables(CUSTOMERS, labels=twice).labels) == 6


def test_unanswered_surveys_and_labels_are_no_error():
    tables = CustomerTables(
        CUSTOMERS,
        surveys=ANSWERS.assign(value=[None, None, 4]),
        labels=NOTES.assign(stage=["new", None, ""]),
    )
    assert tables.surveys["value"].isna().sum() == 2
    assert tables.labels["stage"].isna().sum() == 2


def test_further_columns_are_kept():
    events = VISITS.assign(
        shop=["north", None, "south"], basket=[1, 2, 3], gift=[True, False, True]
    )
    kept = CustomerTables(CUSTOMERS, events).events
    assert kept["shop"].isna().tolist() == [False, True, False]
    assert kept["basket"].tolist() == [1, 2, 3]
    assert kept["gift"].dtype == bool
    cases = CustomerTables(CUSTOMERS, cases=VISITS.assign(value=[5, 6, 7])).cases
    assert cases["value"].tolist() == [5, 6, 7]


def test_column_order_and_index_do_not_matter():
    shuffled = VISITS[["channel", "period", "customer_id"]].set_index(pd.Index(list("zya")))
    tables = CustomerTables(CUSTOMERS, shuffled)
    pd.testing.assert_frame_equal(tables.events, CustomerTables(CUSTOMERS, VISITS).events)


# Conversions --------------------------------------------------------------------------------------


def test_dates_in_all_their_forms():
    day = datetime.date(2024, 1, 31)
    forms = ["2024-01-31", " 2024-01-31 ", day, pd.Timestamp(day), np.datetime64(day), "20240131"]
    assert (to_dates(pd.Series(forms, dtype=object)) == pd.Timestamp(day)).all()


def test_only_the_dates_with_a_zone_are_refused():
    texts = ["2024-01-31", "2024-01-31T10:00Z", "2024-01-31 10:00+01:00", "2024-01-31T10-05"]
    for listed in (texts, texts[:2], ["2024-01-31T10:00+01:00"] * 2):
        expected = [text != "2024-01-31" for text in listed]
        assert to_dates(pd.Series(listed)).isna().tolist() == expected


@pytest.mark.parametrize("value", [20240131, 3.5, True, [2024], None, pd.NaT, datetime.time(1)])
def test_what_is_no_date(value):
    assert to_dates(pd.Series([value], dtype=object)).isna().all()


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_ids_keep_every_digit(ids):
    for dtype in ("int64", "object", "Int64", "category"):
        assert to_ids(pd.Series(ids, dtype=dtype)).tolist() == ids


anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.dates()
)


@settings(deadline=None)
@given(st.lists(anything, max_size=6))
def test_conversions_never_raise(values):
    """Whatever stands in a column, it is converted or missing."""
    for convert in (to_ids, to_dates, to_numbers, to_periods):
        assert len(convert(pd.Series(values, dtype=object))) == len(values)
        assert len(convert(pd.Series(values))) == len(values)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(anything, max_size=4),
    st.lists(anything, max_size=4),
    st.sampled_from(["period", "date"]),
)
def test_wild_tables_raise_nothing_but_data_errors(ids, values, time):
    n = min(len(ids), len(values))
    records = pd.DataFrame(
        {"customer_id": ids[:n], time: values[:n], "channel": values[:n][::-1], "value": values[:n]}
    )
    try:
        CustomerTables(pd.DataFrame({"customer_id": ids}), records, window=(0, 3))
    except DataError as error:
        assert "CustomerTables: " in str(error)  # noqa: PT017
