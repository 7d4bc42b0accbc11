"""The plan of a report for a file of orders: its periods, its test and its horizon."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from crmlab.analyst.orders import Orders, Tally, orders_until, tally_days
from crmlab.errors import DataError
from crmlab.reading import Decision, Finding, Sales

_DAYS = {"D": 1, "W": 7, "M": 30.4375}
_NAMES = {"D": "day", "W": "week", "M": "month"}
_YEAR = {"D": 365, "W": 52, "M": 12}
_SEASON = {"D": 14, "W": 13, "M": 3}
_LONGEST_IN_DAYS, _LONGEST_IN_WEEKS = 83, 3 * 366  # longer windows are counted in months
_SPARE = 3  # a month counts as complete if at most so many days at its end have no order
FEWEST_REPEATERS, FEWEST_REPEATS, FEWEST_PERIODS = 20, 60, 9

Window = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Plan:
    """The periods, test and horizon of a report.

    Parameters
    ----------
    freq : {"D", "W", "M"}
        The length of a period.
    first, last : Timestamp
        The days between which orders were recorded, both inclusive; whole periods for weeks.
    cutoff : Timestamp
        First day of the test.
    n_periods, n_seen : int
        All periods, and those before the cutoff.
    mean_rate : float
        Repeat orders per customer and period.
    """

    freq: str
    first: pd.Timestamp
    last: pd.Timestamp
    cutoff: pd.Timestamp
    n_periods: int
    n_seen: int
    mean_rate: float

    @property
    def period(self) -> str:
        """The word for one period."""
        return _NAMES[self.freq]

    @property
    def days_per_period(self) -> float:
        """The mean length of a period."""
        return _DAYS[self.freq]

    @property
    def year(self) -> int:
        """Periods over which a customer is valued."""
        return _YEAR[self.freq]

    @property
    def season(self) -> int:
        """Periods over which a customer may drift; at most a third of the window."""
        return max(1, min(_SEASON[self.freq], self.n_periods // 3))

    @property
    def season_start(self) -> pd.Timestamp:
        """First day of the last season."""
        if self.freq == "M":
            return (self.last.to_period("M") - (self.season - 1)).start_time
        days = round(7 * self.weeks(self.season))
        return self.last - pd.Timedelta(days=days - 1)

    @property
    def n_ahead(self) -> int:
        """Periods of the test."""
        return self.n_periods - self.n_seen

    def weeks(self, n_periods: float) -> float:
        """Convert periods to weeks, the unit of BG/NBD."""
        return n_periods * _DAYS[self.freq] / 7

    def before_cutoff(self) -> "Plan":
        """Return the plan that ends on the day before the test."""
        last = self.cutoff - pd.Timedelta(days=1)
        return replace(self, last=last, n_periods=self.n_seen)

    def covering(self, window: Window) -> "Plan":
        """Return a plan with the same periods for another window."""
        first, last, starts = _periods(window, self.freq)
        return Plan(self.freq, first, last, last, len(starts), len(starts), self.mean_rate)


def make_plan(orders: Orders, window: Window) -> Plan:
    """Choose periods and a test, or say why these orders cannot support a model of stages.

    Parameters
    ----------
    orders : DataFrame or Stored
        customer_id, date.
    window : (first day, last day)

    Raises
    ------
    DataError
        Too few customers who came back, repeat orders or periods.
    """
    tally = tally_days(orders)
    n_days = (window[1] - window[0]).days + 1
    freq = "D" if n_days <= _LONGEST_IN_DAYS else "W" if n_days <= _LONGEST_IN_WEEKS else "M"
    first, last, starts = _periods(window, freq)
    n_seen = len(starts) - max(3, len(starts) // 3)
    problems = _find_problems(tally, starts, n_seen, freq)
    if problems:
        n_customers = int(tally.joined.sum())
        raise DataError(
            f"{n_customers:,} customers with {n_customers + tally.n_repeats:,} purchases between "
            f"{window[0].date()} and {window[1].date()} cannot carry a model of stages: "
            f"{'; '.join(problems)}. Whatever a model said about them would be its own assumptions"
        )
    rate = tally.n_repeats / tally.exposure(last) * _DAYS[freq]
    return Plan(freq, first, last, starts[n_seen], len(starts), n_seen, float(rate))


def _find_problems(
    tally: Tally, starts: Sequence[pd.Timestamp], n_seen: int, freq: str
) -> list[str]:
    problems = [
        f"{have:,} {what} (at least {need} are needed)"
        for have, need, what in (
            (tally.n_repeaters, FEWEST_REPEATERS, "customers who ordered again"),
            (tally.n_repeats, FEWEST_REPEATS, "repeat orders"),
            (len(starts), FEWEST_PERIODS, f"{_NAMES[freq]}s"),
        )
        if have < need
    ]
    if problems:
        return problems
    cutoff = starts[n_seen]
    early = int(tally.repeats[tally.repeats.index < cutoff].sum())
    late = tally.n_repeats - early
    if min(early, late) >= FEWEST_REPEATS / 3:
        return []
    return [f"{early:,} repeat orders before {cutoff.date()} and {late:,} after it"]


def _periods(window: Window, freq: str) -> tuple[pd.Timestamp, pd.Timestamp, list[pd.Timestamp]]:
    """Cover a window with periods; days and weeks are counted back from its last day."""
    first, last = window
    if freq == "M":
        months = pd.period_range(first, last, freq="M")
        return months[0].start_time.normalize(), last, [m.start_time.normalize() for m in months]
    length = pd.Timedelta(days=_DAYS[freq])
    n = -(-((last - first).days + 1) // _DAYS[freq])
    begin = last + pd.Timedelta(days=1) - n * length
    return begin, last, [begin + k * length for k in range(n)]


def drop_unfinished_month(sales: Sales) -> Sales:
    """Where months are counted, set aside the orders of an unfinished last month.

    An unfinished month looks like a month with few orders, so every customer would seem to slow
    down. Weeks and days are counted back from the last day and need no such care.

    Parameters
    ----------
    sales : Sales

    Returns
    -------
    Sales
        Unchanged if the window is short, or ends within three days of the end of a month.

    Raises
    ------
    DataError
        The unfinished month has all the orders.
    """
    first, last = sales.window
    is_over = (last + pd.Timedelta(days=_SPARE)).to_period("M") > last.to_period("M")
    if (last - first).days < _LONGEST_IN_WEEKS or is_over:
        return sales
    end = last.to_period("M").start_time - pd.Timedelta(days=1)
    kept = orders_until(sales.orders, end)
    if not len(kept):
        raise DataError(f"there is no order before {end.date()}, the end of the last whole month")
    n_dropped = len(sales.orders) - len(kept)
    quality = sales.quality
    if n_dropped:
        finding = _describe_dropped(n_dropped, end, last)
        quality = replace(
            quality,
            rows_used=quality.rows_used - n_dropped,
            findings=(*quality.findings, finding),
        )
    return replace(sales, orders=kept, window=(first, end), quality=quality)


def _describe_dropped(n_dropped: int, end: pd.Timestamp, last: pd.Timestamp) -> Finding:
    start = (end + pd.Timedelta(days=1)).date()
    return Finding(
        f"orders in an unfinished month ({start} to {last.date()})",
        n_dropped,
        "set aside: an unfinished month would look like a month with few orders",
        n_dropped,
    )


def describe_periods(sales: Sales, plan: Plan) -> Decision:
    """Say which periods are counted, and how one that the window cuts short is treated.

    Parameters
    ----------
    sales : Sales
    plan : Plan
    """
    begun, last = sales.window
    is_cut = plan.freq == "M" and last.day < last.days_in_month
    end = (
        f"calendar months; the last one is cut and ends on {last.date()}"
        if is_cut
        else "calendar months, up to the last complete one"
        if plan.freq == "M"
        else f"counted back from {last.date()}, so the last one is complete"
    )
    missing = (begun - plan.first).days
    start = (
        f"the first one lacks {missing} {'day' if missing == 1 else 'days'} and is not used to "
        "infer stages"
        if missing > 0
        else "so is the first one"
    )
    return Decision("periods", f"{plan.n_periods} {plan.period}s", f"{end}; {start}")
