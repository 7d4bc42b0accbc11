"""How good the rows are: complete, valid, fresh.

Three measures of a table, each a number per column or per customer. None of them is a verdict: a
table can be complete and wrong. A mandatory field is always filled, sometimes with "xxx".
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmlab.arrays import number_problems
from crmlab.errors import SpecError, raise_problems, refuse
from crmlab.tables.records import read_time

Rule = Collection[Any] | tuple[float, float] | Callable[[pd.Series], pd.Series]


def measure_completeness(frame: pd.DataFrame) -> pd.Series:
    """Share of the cells of each column that are filled; a blank text is empty.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    Series
        Per column, from 0 to 1; NaN if there is no row.

    Examples
    --------
    >>> measure_completeness(pd.DataFrame({"name": ["Ann", ""], "age": [31, 40]})).to_dict()
    {'name': 0.5, 'age': 1.0}
    """
    filled = {
        name: (cells.notna() & (cells.astype("str").str.strip() != "")).mean()
        for name, cells in frame.items()
    }
    return pd.Series(filled, dtype="float64")


def measure_validity(frame: pd.DataFrame, rules: Mapping[str, Rule]) -> pd.DataFrame:
    """Share of the filled cells of each column whose values are possible.

    Parameters
    ----------
    frame : DataFrame
    rules : mapping of column to rule
        A range (low, high) of numbers, inclusive; a set or list of allowed values; or a function
        that returns True or False for each filled cell.

    Returns
    -------
    DataFrame
        Per column: filled, invalid (cells), valid (share; NaN if no cell is filled).

    Raises
    ------
    SpecError
        If a rule names an unknown column.

    Examples
    --------
    >>> visits = pd.DataFrame({"reason": ["loan", "xxx"], "minutes": [5.0, -1.0]})
    >>> rules = {"reason": {"loan", "card"}, "minutes": (0, 600)}
    >>> measure_validity(visits, rules)["valid"].to_dict()
    {'reason': 0.5, 'minutes': 0.5}
    """
    unknown = [f"rules names the unknown column `{column}`" for column in set(rules) - set(frame)]
    raise_problems(SpecError, "measure_validity", sorted(unknown))
    rows = {column: _judged(frame[column].dropna(), rule) for column, rule in rules.items()}
    counted = pd.DataFrame.from_dict(rows, orient="index", columns=["filled", "invalid"])
    return counted.assign(
        valid=1 - counted["invalid"] / counted["filled"].where(counted["filled"] > 0)
    )


def _judged(cells: pd.Series, rule: Rule) -> tuple[int, int]:
    if callable(rule):
        good = rule(cells)
    elif isinstance(rule, tuple):
        good = cells.between(*rule)
    else:
        good = cells.isin(list(rule))
    return len(cells), int((~good.astype(bool)).sum())


def measure_staleness(frame: pd.DataFrame, *, date: Any) -> pd.Series:
    """Days since the last row of each customer.

    Parameters
    ----------
    frame : DataFrame
        customer_id, date. For a log of one attribute, the result is the age of what is known.
    date : date
        The day from which to count; later rows are ignored.

    Returns
    -------
    Series
        Whole days, indexed by customer_id; customers without an earlier row are absent.

    Raises
    ------
    SpecError
        If `date` is not a date.

    Examples
    --------
    >>> seen = pd.DataFrame({"customer_id": 1, "date": pd.to_datetime(["2024-01-01"])})
    >>> measure_staleness(seen, date="2024-03-01").to_dict()
    {1: 60}
    """
    day = read_time(date)
    if not isinstance(day, pd.Timestamp):
        refuse("measure_staleness", "date", "a date", date)
    days = frame.assign(date=frame["date"].dt.normalize())
    last = days[days["date"] <= day].groupby("customer_id", observed=True)["date"].max()
    return (day - last).dt.days.rename("days")


def clean_record_prob(junk_prob: ArrayLike, n_fields: ArrayLike) -> np.ndarray:
    """Probability that a form with mandatory fields contains no junk.

    (1 - q)^n, if each of n fields is junk with probability q, independently.

    Parameters
    ----------
    junk_prob : array_like, from 0 to 1
        q, per field.
    n_fields : array_like of int
        n.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> float(clean_record_prob(0.03, 12).round(3))
    0.694
    """
    q = np.asarray(junk_prob, dtype=float)
    raise_problems(
        SpecError, "clean_record_prob", number_problems({"junk_prob": q}, least=0, most=1)
    )
    return (1 - q) ** np.asarray(n_fields)
