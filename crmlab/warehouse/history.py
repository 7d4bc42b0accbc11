"""Changing attributes: a log that only grows, and views of it at any date.

A firm that keeps one row per customer and overwrites it knows the present but has lost the past.
Here an attribute is a **log** ("profile"): one row per customer, date and attribute, valid from
that date until the next such row. Rows are added and never edited; intervals, the state at a date
and the path over periods are computed from the log.
"""

from typing import Any

import pandas as pd

from crmlab.errors import refuse
from crmlab.tables import CustomerTables
from crmlab.tables.records import read_time

LOG_KEY = ["customer_id", "attribute"]


def validity(profile: pd.DataFrame) -> pd.DataFrame:
    """Turn a log into intervals of validity.

    Parameters
    ----------
    profile : DataFrame
        customer_id, date, attribute, value; further columns are ignored.

    Returns
    -------
    DataFrame
        customer_id, attribute, value, date (valid from, inclusive), until (exclusive; missing:
        still valid), sorted. A row that repeats the value before it does not start an interval.

    Examples
    --------
    >>> log = pd.DataFrame({"customer_id": 1, "attribute": "tier", "value": ["plus", "premier"],
    ...                     "date": pd.to_datetime(["2024-01-01", "2024-07-01"])})
    >>> validity(log)["until"].isna().tolist()
    [False, True]
    """
    log = profile.sort_values([*LOG_KEY, "date"], kind="stable")
    before = log.groupby(LOG_KEY)["value"].shift()
    changes = log[["customer_id", "attribute", "value", "date"]][before.ne(log["value"])]
    until = changes.groupby(LOG_KEY)["date"].shift(-1)
    return changes.assign(until=until).reset_index(drop=True)


def as_of(tables: CustomerTables, date: Any) -> pd.DataFrame:
    """Return what was known about the customers on a day.

    Parameters
    ----------
    tables : CustomerTables
        With a table "profile", as `to_subject` makes it.
    date : date
        The view is at the end of this day.

    Returns
    -------
    DataFrame
        Indexed by customer_id: every customer who had started by then; a column per attribute,
        missing where it was not known yet.

    Raises
    ------
    SpecError
        If `date` is not a date.
    """
    day = read_time(date)
    if not isinstance(day, pd.Timestamp):
        refuse("as_of", "date", "a date", date)
    people = tables.customers
    there = people.loc[people["start"] <= day, "customer_id"] if "start" in people else people
    log = tables.more["profile"]
    seen = log[log["date"] < day + pd.Timedelta(days=1)].sort_values("date", kind="stable")
    last = seen.drop_duplicates(LOG_KEY, keep="last")
    wide = last.pivot(index="customer_id", columns="attribute", values="value")
    names = pd.Index(sorted(log["attribute"].unique()), name="attribute")
    return wide.reindex(index=pd.Index(there, name="customer_id"), columns=names)


def overwrite(profile: pd.DataFrame) -> pd.DataFrame:
    """Destroy a history as an address book does: the last value replaces all earlier ones.

    Parameters
    ----------
    profile : DataFrame
        customer_id, date, attribute, value.

    Returns
    -------
    DataFrame
        One row per customer and attribute: the last value, with the first date. This is what
        remains if a firm updates in place and later takes the row for a history.
    """
    log = profile.sort_values([*LOG_KEY, "date"], kind="stable")
    last = log.drop_duplicates(LOG_KEY, keep="last")
    first = log.groupby(LOG_KEY)["date"].min().rename("first").reset_index()
    dated = last.merge(first, on=LOG_KEY, validate="one_to_one")
    return dated.assign(date=dated["first"]).drop(columns="first")


def stages_by_period(
    profile: pd.DataFrame, attribute: str, *, window: tuple[Any, Any], freq: str
) -> pd.DataFrame:
    """Follow one attribute over periods, as labels.

    Parameters
    ----------
    profile : DataFrame
        customer_id, date, attribute, value.
    attribute : str
        The attribute to follow.
    window : (first, last) dates, both inclusive
    freq : {"M", "Q", "Y"}
        The value at the *end* of each period counts.

    Returns
    -------
    DataFrame
        customer_id, period (0 is the first of the window), stage, as `stage_moves` reads them: from
        the first period in which the attribute is known to the last of the window.
    """
    first, last = (pd.Period(read_time(end), freq=freq).ordinal for end in window)
    log = validity(profile[profile["attribute"] == attribute])
    start = pd.PeriodIndex(log["date"], freq=freq).asi8 - first
    moved = log.assign(period=start).drop_duplicates(["customer_id", "period"], keep="last")
    wide = moved.pivot(index="customer_id", columns="period", values="value")
    filled = wide.reindex(columns=sorted({*range(last - first + 1), *wide.columns})).ffill(axis=1)
    inside = filled[list(range(last - first + 1))].rename_axis(columns="period")
    return inside.stack().rename("stage").reset_index()
