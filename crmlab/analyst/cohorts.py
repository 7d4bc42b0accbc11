"""Customers by the calendar period of their first order: who comes back, and who brings what."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.analyst.plan import Window

PERIOD_NAMES = {"W": "week", "M": "month", "Q": "quarter", "Y": "year"}
_MOST_MONTHS = {"M": 24, "Q": 72}  # longer windows are counted in quarters, then in years
_SPARE = 3  # a period counts as complete if at most so many days at its end are missing


def choose_unit(window: Window) -> str:
    """Choose the calendar periods by which cohorts are told apart: W, M, Q or Y.

    Examples
    --------
    >>> day = pd.Timestamp
    >>> [choose_unit((day("2024-01-03"), day(last))) for last in ("2024-02-20", "2025-06-30")]
    ['W', 'M']
    """
    months = _count_months(window)
    if months <= 2:
        return "W"
    return next((unit for unit, most in _MOST_MONTHS.items() if months <= most), "Y")


def choose_bars(window: Window) -> str:
    """Choose the calendar periods by which sales are shown: months, or weeks of a single one."""
    return "W" if _count_months(window) == 1 else "M"


def _count_months(window: Window) -> int:
    first, last = (day.to_period("M").ordinal for day in window)
    return last - first + 1


def is_over(period: pd.Period, last: pd.Timestamp) -> bool:
    """Whether orders are known up to the end of a period, or nearly so.

    Examples
    --------
    >>> [is_over(pd.Period("2024-05"), pd.Timestamp(day)) for day in ("2024-05-20", "2024-05-29")]
    [False, True]
    """
    missing = (period.end_time.normalize() - last).days
    return missing <= (0 if period.freqstr.startswith("W") else _SPARE)


def period_name(period: pd.Period) -> str:
    """Write a calendar period: 2024-05, 2024 Q2, 2024, or the first day of a week.

    Examples
    --------
    >>> [period_name(pd.Period("2024-05-20", unit)) for unit in "WMQY"]
    ['2024-05-20', '2024-05', '2024 Q2', '2024']
    """
    if period.freqstr.startswith("W"):
        return str(period.start_time.date())
    return str(period).replace("Q", " Q")


@dataclass(frozen=True)
class Retention:
    """How many customers of each cohort ordered again, by periods since their first order.

    Parameters
    ----------
    unit : {"W", "M", "Q", "Y"}
    active : DataFrame
        One row per cohort (a Period), one column per age in periods; customers who ordered, NaN
        where the period is not over. Age 0 holds the size of the cohort.
    """

    unit: str
    active: pd.DataFrame

    @property
    def size(self) -> pd.Series:
        """Customers of each cohort."""
        return self.active[0]

    @property
    def shares(self) -> pd.DataFrame:
        """Share of each cohort that ordered, by age."""
        return self.active.div(self.size, axis=0)

    def at(self, age: int) -> float:
        """Share of all customers that ordered at an age, of those for whom it is known."""
        return pooled(self.active, age)


def pooled(active: pd.DataFrame, age: int) -> float:
    """Share of the customers of several cohorts that ordered at an age; NaN if it is not known.

    Examples
    --------
    >>> pooled(pd.DataFrame({0: [10.0, 30.0, 8.0], 1: [5.0, 3.0, np.nan]}), 1)
    0.2
    """
    if age not in active:
        return float("nan")
    known = active[active[age].notna()]
    return float(known[age].sum() / known[0].sum()) if len(known) else float("nan")


def retention(counts: pd.DataFrame, unit: str, last: pd.Timestamp) -> Retention:
    """Arrange the counts of cohorts by age.

    Parameters
    ----------
    counts : DataFrame
        As `count_cohorts` gives it.
    unit : {"W", "M", "Q", "Y"}
    last : Timestamp
        The last day on which orders were recorded.
    """
    joined, period = (pd.PeriodIndex(counts[name], freq=unit) for name in ("joined", "period"))
    age = period.asi8 - joined.asi8
    table = pd.DataFrame({"joined": joined, "age": age, "n": counts["customers"].astype(float)})
    active = table.pivot(index="joined", columns="age", values="n")
    active = active.reindex(columns=range(int(age.max()) + 1)).fillna(0.0)
    ending = pd.Period(last, freq=unit)
    n_known = ending.ordinal + is_over(ending, last) - pd.PeriodIndex(active.index).asi8
    unknown = np.arange(active.shape[1]) >= np.maximum(n_known, 1)[:, None]
    return Retention(unit, active.mask(unknown).dropna(axis=1, how="all"))


def new_and_returning(counts: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Sum what new and returning customers brought, period by period.

    Parameters
    ----------
    counts : DataFrame
        As `count_cohorts` gives it.
    unit : {"W", "M"}

    Returns
    -------
    DataFrame
        `new` (whose first order is in the period) and `returning`, amounts if they are known and
        orders if not, indexed by the Periods from first to last; periods without orders hold 0.
    """
    brought = "amount" if "amount" in counts else "orders"
    kind = np.where(counts["joined"] == counts["period"], "new", "returning")
    sums = counts.assign(kind=kind).pivot_table(
        index="period", columns="kind", values=brought, aggfunc="sum"
    )
    periods = pd.PeriodIndex(sums.index, freq=unit)
    whole = pd.period_range(periods.min(), periods.max(), freq=unit)
    table = sums.set_axis(periods).reindex(index=whole, columns=["new", "returning"])
    return table.fillna(0.0).astype(float)
