"""How a file is read as stages: periods, holdout, horizon, sample; or that it cannot carry any."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.analyst.book import Orders, tally_days
from crmlab.arrays import Bools
from crmlab.channels import Poisson
from crmlab.demo.orders import CHANNEL, build_space
from crmlab.errors import DataError
from crmlab.models.hidden import HiddenMarkov
from crmlab.stages import StageSpace
from crmlab.transitions import StickyDirichlet

_DAYS = {"D": 1, "W": 7, "M": 30.4375}
_NAMES = {"D": "day", "W": "week", "M": "month"}
_YEAR = {"D": 365, "W": 52, "M": 12}
_SEASON = {"D": 14, "W": 13, "M": 3}
FEWEST_REPEATERS, FEWEST_REPEATS, FEWEST_PERIODS = 20, 60, 9
SAMPLE = 1_200
# Orders per period in the four stages before looking, as multiples of the mean of all customers.
_LEVELS = (0.15, 1.5, 6.0, 20.0)


@dataclass(frozen=True)
class Plan:
    """What a report will do with a file.

    Parameters
    ----------
    freq : {"D", "W", "M"}
        The length of a period.
    first, last : Timestamp
        The days between which orders were recorded, both inclusive; whole periods for weeks.
    cutoff : Timestamp
        First day of the holdout.
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
    def year(self) -> int:
        """Periods over which a customer is valued."""
        return _YEAR[self.freq]

    @property
    def season(self) -> int:
        """Periods over which somebody may drift; at most a third of what was seen."""
        return max(1, min(_SEASON[self.freq], self.n_periods // 3))

    @property
    def n_ahead(self) -> int:
        """Periods of the holdout."""
        return self.n_periods - self.n_seen

    def weeks(self, n_periods: float) -> float:
        """Convert periods to weeks, the unit of BG/NBD."""
        return n_periods * _DAYS[self.freq] / 7

    def covering(self, window: tuple[pd.Timestamp, pd.Timestamp]) -> "Plan":
        """Give a plan with the same periods for another window."""
        first, last, starts = _periods(window, self.freq)
        return Plan(self.freq, first, last, last, len(starts), len(starts), self.mean_rate)


def make_plan(orders: Orders, window: tuple[pd.Timestamp, pd.Timestamp]) -> Plan:
    """Choose periods and a holdout, or say why the file carries no stages at all.

    Parameters
    ----------
    orders : DataFrame or Stored
        customer_id, date.
    window : (first day, last day)

    Raises
    ------
    DataError
        If there are too few customers who came back, repeat orders, or periods.
    """
    tally = tally_days(orders)
    n_customers, n_repeats = int(tally.joined.sum()), int(tally.repeats.sum())
    n_days = (window[1] - window[0]).days + 1
    freq = "D" if n_days < 84 else "W" if n_days <= 3 * 366 else "M"
    first, last, starts = _periods(window, freq)
    n_seen = len(starts) - max(3, len(starts) // 3)
    problems = [
        f"{have:,} {what} (at least {need} are needed)"
        for have, need, what in (
            (tally.n_repeaters, FEWEST_REPEATERS, "customers who ordered again"),
            (n_repeats, FEWEST_REPEATS, "repeat orders"),
            (len(starts), FEWEST_PERIODS, f"{_NAMES[freq]}s"),
        )
        if have < need
    ]
    if not problems:
        cutoff = starts[n_seen]
        early = int(tally.repeats[tally.repeats.index < cutoff].sum())
        late = n_repeats - early
        if min(early, late) < FEWEST_REPEATS / 3:
            problems = [f"{early:,} repeat orders before {cutoff.date()} and {late:,} after it"]
    if problems:
        raise DataError(
            f"{n_customers:,} customers with {n_customers + n_repeats:,} purchases between "
            f"{window[0].date()} and {window[1].date()} cannot carry a model of stages: "
            f"{'; '.join(problems)}. Whatever a model said of them would be its own assumptions"
        )
    rate = n_repeats / tally.exposure(last) * _DAYS[freq]
    return Plan(freq, first, last, cutoff, len(starts), n_seen, float(rate))


def _periods(
    window: tuple[pd.Timestamp, pd.Timestamp], freq: str
) -> tuple[pd.Timestamp, pd.Timestamp, list[pd.Timestamp]]:
    """Cover a window with periods; weeks and days end with it, so that the last is a whole one."""
    first, last = window
    if freq == "M":
        months = pd.period_range(first, last, freq="M")
        return months[0].start_time.normalize(), last, [m.start_time.normalize() for m in months]
    length = pd.Timedelta(days=_DAYS[freq])
    n = -(-((last - first).days + 1) // _DAYS[freq])
    begin = last + pd.Timedelta(days=1) - n * length
    return begin, last, [begin + k * length for k in range(n)]


def build_model(plan: Plan, *, may_lose: bool, n_stages: int = 4) -> HiddenMarkov:
    """Make a model of three or four stages, its rates of ordering centred on the mean of the file.

    Parameters
    ----------
    plan : Plan
    may_lose : bool
        Whether the lowest stage is for ever ("lost"), or a sleep from which one may wake.
    n_stages : {3, 4}
        Three leave out the highest, "frequent".
    """
    rates = plan.mean_rate * np.array(_LEVELS)
    top = 0.8 * _DAYS[plan.freq]  # more than one purchase a day cannot be
    if rates[-1] > top:
        rates = np.geomspace(min(rates[0], top / 100), top, len(rates))
    typical = tuple(float(f"{rate:.3g}") for rate in rates[:n_stages])
    return HiddenMarkov(
        build_stages(may_lose=may_lose, n_stages=n_stages),
        StickyDirichlet(stickiness=10),
        (Poisson(CHANNEL, typical_rate=typical, spread=0.35),),
        ordered_by=f"{CHANNEL}_rate",
    )


def build_stages(*, may_lose: bool, n_stages: int) -> StageSpace:
    """Make levels of ordering, one step at a time.

    Examples
    --------
    >>> build_stages(may_lose=False, n_stages=3).names
    ('asleep', 'occasional', 'regular')
    """
    space = build_space(may_lose=may_lose)
    names = space.names[:n_stages]
    kept = tuple(
        (m.stage_from, m.stage_to) for m in space.moves if {m.stage_from, m.stage_to} <= set(names)
    )
    return StageSpace(names, moves=kept)


def draw_sample(histories: pd.DataFrame, size: int, *, seed: int) -> Bools:
    """Draw a stratified sample of customers, the same whatever the order of the rows.

    Strata are repeat purchases (0, 1, 2, 3 to 5, 6 or more) by quarter of the window in which a
    customer joined; each is represented in proportion. A smaller sample is part of a larger one.

    Parameters
    ----------
    histories : DataFrame
        Indexed by customer_id: frequency, T.
    size : int
        Customers to draw, about.
    seed : int

    Returns
    -------
    boolean ndarray (customer,)

    Examples
    --------
    >>> base = pd.DataFrame({"frequency": [0] * 60 + [9] * 40, "T": 10.0}, index=range(100))
    >>> chosen = draw_sample(base, 10, seed=1)
    >>> chosen[:60].sum(), chosen[60:].sum()
    (np.int64(6), np.int64(4))
    """
    if size >= len(histories):
        return np.ones(len(histories), dtype=bool)
    frequency = np.digitize(histories["frequency"], [1, 2, 3, 6])
    longest = max(float(histories["T"].max()), 1e-9)
    joined = np.minimum((4 * histories["T"].to_numpy(float) / longest).astype(int), 3)
    chance = np.array([_uniform(one, seed) for one in histories.index])
    frame = pd.DataFrame({"stratum": 4 * frequency + joined, "chance": chance})
    place = frame.groupby("stratum")["chance"].rank(method="first")
    count = frame["stratum"].map(frame["stratum"].value_counts())
    return ((place - 0.5) / count < size / len(frame)).to_numpy()


def _uniform(customer_id: object, seed: int) -> float:
    """Give a number in [0, 1) that depends on the customer and the seed alone."""
    digest = hashlib.blake2b(f"{seed}|{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
