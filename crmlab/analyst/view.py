"""What a firm sees of a customer in a period: orders, and what further files add to them.

Touchpoints and cases are counts of days; surveys are levels of a graded answer, missing where
nobody answered. A file becomes a channel if it says enough of enough customers before the holdout
begins; otherwise the report says why it does not. Whatever was not recorded yet is missing, not
zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.book import Orders, tally_days
from crmlab.analyst.plan import Plan
from crmlab.analyst.scoring import make_panel
from crmlab.arrays import Floats
from crmlab.channels import Channel, OrdinalSurvey, Poisson
from crmlab.demo.orders import CHANNEL
from crmlab.reading import Events
from crmlab.tables import observed_cells

FEWEST_RECORDS, FEWEST_CUSTOMERS = 60, 20
_DISCRIMINATION = 1.7
_LEAST_SHARE = 0.1  # of the answers, in each level of a survey


@dataclass(frozen=True)
class Sight:
    """One channel beside the orders.

    Parameters
    ----------
    days : DataFrame
        customer_id, date, value: 1 for a day that counts, the level of an answer.
    since, until : Timestamp
        First and last day on which the firm recorded such things.
    channel : Channel
        Its name is the kind of the file.
    """

    days: pd.DataFrame
    since: pd.Timestamp
    until: pd.Timestamp
    channel: Channel

    @property
    def name(self) -> str:
        """The kind of the file."""
        return self.channel.name

    def cells(self, panel: xr.Dataset, plan: Plan) -> Floats:
        """Fill the cells (customer, period) of the panel's customers."""
        starts = pd.DatetimeIndex(panel["period"].values)
        known = self.days[self.days["date"].between(starts[0], plan.last)]
        row = pd.Index(panel["customer_id"].values).get_indexer(known["customer_id"])
        column = starts.searchsorted(known["date"], side="right") - 1
        here, value = row >= 0, known["value"].to_numpy(float)
        observed = observed_cells(panel)
        if self.channel.table == "surveys":
            filled = np.full(observed.shape, np.nan)
            filled[row[here], column[here]] = value[here]  # sorted by day: the last answer stays
        else:
            filled = np.zeros(observed.shape)
            np.add.at(filled, (row[here], column[here]), value[here])
            ends = starts[1:].append(pd.DatetimeIndex([plan.last + pd.Timedelta(days=1)]))
            filled[:, (ends <= self.since) | (starts > self.until)] = np.nan
        return np.where(observed, filled, np.nan)


@dataclass(frozen=True)
class View:
    """All that is seen: the orders, and any number of further channels.

    Parameters
    ----------
    begun : Timestamp
        First day on which orders were recorded; a first period that is cut by it is not counted.
    sights : tuple of Sight
    """

    begun: pd.Timestamp
    sights: tuple[Sight, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels beside the orders."""
        return tuple(sight.name for sight in self.sights)

    def panel(self, orders: pd.DataFrame, plan: Plan) -> xr.Dataset:
        """Make the panel of the customers of these orders.

        Parameters
        ----------
        orders : DataFrame
            customer_id, date.
        plan : Plan
        """
        panel = make_panel(orders, plan)
        dims = ("customer_id", "period")
        cells = {CHANNEL: panel[CHANNEL].transpose(*dims).values.copy()}
        cells |= {sight.name: sight.cells(panel, plan) for sight in self.sights}
        if self.begun > pd.Timestamp(panel["period"].values[0]):
            for values in cells.values():
                values[:, 0] = np.nan
        attrs = panel[CHANNEL].attrs
        return panel.assign(
            {
                name: (dims, values, attrs if name == CHANNEL else {})
                for name, values in cells.items()
            }
        )

    def until(self, cutoff: pd.Timestamp) -> "View":
        """Close the eyes to everything beside the orders from a day on."""
        last = cutoff - pd.Timedelta(days=1)
        return replace(self, sights=tuple(
            replace(s, days=s.days[s.days["date"] < cutoff], until=min(s.until, last))
            for s in self.sights
        ))  # fmt: skip

    def showing(self, names: Sequence[str]) -> "View":
        """Keep only these channels, and leave the cells of the others empty."""
        never = pd.Timestamp.min
        return replace(self, sights=tuple(
            s if s.name in names else replace(s, days=s.days.iloc[:0], until=never)
            for s in self.sights
        ))  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Whether a file became a channel, and why.

    Parameters
    ----------
    kind : str
    is_used : bool
    why : str
    """

    kind: str
    is_used: bool
    why: str


def see(
    orders: Orders, begun: pd.Timestamp, events: Sequence[Events], plan: Plan
) -> tuple[View, tuple[Verdict, ...]]:
    """Decide which files carry a channel, and how each is read.

    Parameters
    ----------
    orders : DataFrame
        customer_id, date.
    begun : Timestamp
    events : sequence of Events
    plan : Plan

    Returns
    -------
    view : View
    verdicts : tuple of Verdict
        One per file that is not of actions.
    """
    n_cells = tally_days(orders).exposure(plan.last) / 7 / plan.weeks(1) if events else 0.0
    sights, verdicts = [], []
    for one in events:
        if one.kind == "actions":
            continue
        lack = find_lack(one, plan)
        if lack:
            verdicts.append(Verdict(one.kind, False, lack))
            continue
        sight, said = _look(one, plan, n_cells)
        sights.append(sight)
        verdicts.append(Verdict(one.kind, True, said))
    return View(begun, tuple(sights)), tuple(verdicts)


def find_lack(events: Events, plan: Plan) -> str:
    """Say what a file lacks to be a channel; nothing if it does not lack anything."""
    early = events.frame[events.frame["date"] < plan.cutoff]
    for have, need, what in (
        (len(early), FEWEST_RECORDS, "records"),
        (early["customer_id"].nunique(), FEWEST_CUSTOMERS, "customers"),
    ):
        if have < need:
            return (
                f"{have:,} {what} before the test begins on {plan.cutoff.date()}; "
                f"at least {need} are needed"
            )
    if events.kind == "surveys" and not find_edges(early["score"]):
        return "all answers are the same"
    return ""


def _look(events: Events, plan: Plan, n_cells: float) -> tuple[Sight, str]:
    """Make the channel of a file: the answers' scale is that of the time before the holdout."""
    frame = events.frame
    if events.kind == "surveys":
        early = frame["score"][frame["date"] < plan.cutoff]
        edges = find_edges(early)
        levels = grade(frame["score"], edges)
        channel = _survey(events.kind, grade(early, edges), len(edges) + 1)
        said = f"graded answers in {len(edges) + 1} levels{_tell_edges(edges)}"
    else:
        levels = np.ones(len(frame))
        usual = float(f"{max(len(frame) / n_cells, 1e-4):.2g}")
        channel = Poisson(events.kind, typical_rate=usual, spread=1.0)
        said = f"days with one, counted per {plan.period}"
    days = frame[["customer_id", "date"]].assign(value=levels)
    ordered = days.sort_values(["date", "value", "customer_id"], ignore_index=True)
    return Sight(ordered, *events.recorded, channel), said


def _survey(name: str, levels: Floats, n_levels: int) -> OrdinalSurvey:
    """Put the cutpoints where a customer at 0 answers as all customers together do."""
    reached = np.array([(levels > k).mean() for k in range(1, n_levels)])
    cuts = -np.log(reached / (1 - reached)) / _DISCRIMINATION
    return OrdinalSurvey(
        name,
        n_levels=n_levels,
        cutpoints=tuple(float(round(cut, 3)) for cut in cuts),
        discrimination=_DISCRIMINATION,
        prior_sd=1.0,
    )


def find_edges(scores: pd.Series) -> tuple[float, ...]:
    """Join neighbouring scores until each level holds a tenth of the answers.

    Returns
    -------
    tuple of float
        The lowest score of each level but the first; empty if there is only one level.

    Examples
    --------
    >>> find_edges(pd.Series([1, 2, 3, 4, 5] * 4))
    (2.0, 3.0, 4.0, 5.0)
    >>> find_edges(pd.Series([0] + [9] * 9 + [10] * 10)), find_edges(pd.Series([3.0, 3.0]))
    ((10.0,), ())
    """
    counts = scores.value_counts().sort_index()
    least, held, edges = _LEAST_SHARE * counts.sum(), 0.0, []
    above = counts[::-1].cumsum()[::-1]
    for score, count in counts.items():
        if held >= least and above[score] >= least:
            edges.append(float(score))
            held = 0.0
        held += count
    return tuple(edges)


def grade(scores: pd.Series, edges: Sequence[float]) -> Floats:
    """Give the level of each score, from 1.

    Examples
    --------
    >>> grade(pd.Series([0, 8, 9, 10]), (9.0, 10.0))
    array([1., 1., 2., 3.])
    """
    return 1.0 + np.searchsorted(np.asarray(edges), scores.to_numpy(float), side="right")


def _tell_edges(edges: Sequence[float]) -> str:
    return ", which begin at the lowest score and at " + ", ".join(f"{edge:g}" for edge in edges)


def blank_channels(panel: xr.Dataset, channels: Sequence[Channel]) -> xr.Dataset:
    """Add channels that a panel lacks, with every cell missing."""
    dims = ("customer_id", "period")
    empty = np.full([panel.sizes[dim] for dim in dims], np.nan)
    return panel.assign({c.name: (dims, empty) for c in channels if c.name not in panel})
