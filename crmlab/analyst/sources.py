"""The sources of a panel: orders, and what further files add to them.

Touchpoints and cases are counts of days; surveys are graded answers, missing where nobody
answered. A file becomes a channel if it holds enough records of enough customers before the test
begins; otherwise the report says why not. A period in which nothing was recorded yet is missing,
not zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.model import CHANNEL
from crmlab.analyst.orders import Orders, tally_days
from crmlab.analyst.plan import Plan
from crmlab.arrays import Bools, Floats
from crmlab.channels import Channel, OrdinalSurvey, Poisson
from crmlab.reading import Events
from crmlab.tables import observed_cells, tables_from_orders, to_panel

FEWEST_RECORDS, FEWEST_CUSTOMERS = 60, 20
_DISCRIMINATION = 1.7
_LEAST_SHARE = 0.1  # of the answers, in each level of a survey
_DIMS = ("customer_id", "period")
_NO_DAYS = pd.DataFrame({"customer_id": [], "date": pd.to_datetime([]), "value": []})


@dataclass(frozen=True)
class FileChannel:
    """One file besides the orders, read as a channel.

    Parameters
    ----------
    days : DataFrame
        customer_id, date, value: 1 for a day that counts, or the level of an answer.
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
            filled[:, self._unrecorded(starts, plan)] = np.nan
        return np.where(observed, filled, np.nan)

    def _unrecorded(self, starts: pd.DatetimeIndex, plan: Plan) -> Bools:
        """Mark the periods in which the firm recorded nothing of this kind."""
        ends = starts[1:].append(pd.DatetimeIndex([plan.last + pd.Timedelta(days=1)]))
        return (ends <= self.since) | (starts > self.until)


@dataclass(frozen=True)
class Sources:
    """The sources of a panel: orders, and any number of further files.

    Parameters
    ----------
    begun : Timestamp
        First day on which orders were recorded; a first period that starts earlier is incomplete
        and not counted.
    files : tuple of FileChannel
    """

    begun: pd.Timestamp
    files: tuple[FileChannel, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels besides orders."""
        return tuple(file.name for file in self.files)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels besides orders."""
        return tuple(file.channel for file in self.files)

    def panel(self, orders: pd.DataFrame, plan: Plan) -> xr.Dataset:
        """Make the panel of the customers of these orders.

        Parameters
        ----------
        orders : DataFrame
            customer_id, date.
        plan : Plan
        """
        panel = make_panel(orders, plan)
        cells = {CHANNEL: panel[CHANNEL].transpose(*_DIMS).values.copy()}
        cells |= {file.name: file.cells(panel, plan) for file in self.files}
        if self.begun > pd.Timestamp(panel["period"].values[0]):
            for values in cells.values():
                values[:, 0] = np.nan
        attrs = {CHANNEL: panel[CHANNEL].attrs}
        return panel.assign(
            {name: (_DIMS, values, attrs.get(name, {})) for name, values in cells.items()}
        )

    def until(self, cutoff: pd.Timestamp) -> "Sources":
        """Hide everything but orders from a day on."""
        last = cutoff - pd.Timedelta(days=1)
        return replace(self, files=tuple(
            replace(f, days=f.days[f.days["date"] < cutoff], until=min(f.until, last))
            for f in self.files
        ))  # fmt: skip

    def showing(self, names: Sequence[str]) -> "Sources":
        """Keep only these channels, and leave the cells of the others empty."""
        never = pd.Timestamp.min
        return replace(self, files=tuple(
            f if f.name in names else replace(f, days=f.days.iloc[:0], until=never)
            for f in self.files
        ))  # fmt: skip

    def subsets(self) -> list[tuple[str, ...]]:
        """List what to read besides orders: nothing, each file alone, and all files.

        Examples
        --------
        >>> Sources(pd.Timestamp("2024-01-01")).subsets()
        [()]
        """
        each = [(name,) for name in self.names]
        return [(), *each, *([self.names] if len(each) > 1 else [])]


@dataclass(frozen=True)
class Verdict:
    """Whether a file became a channel, and why.

    Parameters
    ----------
    kind : str
    is_used : bool
    why : str
    edges : tuple of float
        Lowest score of each level of a survey, except the first.
    """

    kind: str
    is_used: bool
    why: str
    edges: tuple[float, ...] = ()


def make_panel(orders: pd.DataFrame, plan: Plan) -> xr.Dataset:
    """Count the repeat orders of each customer and period."""
    codes, ids = pd.factorize(orders["customer_id"], sort=True)  # numbers are faster than text
    dates = pd.DataFrame({"customer_id": codes, "date": orders["date"].to_numpy()})
    tables = tables_from_orders(dates, window=(plan.first, plan.last))
    panel = to_panel(tables, freq=plan.freq, channels=[CHANNEL])
    return panel.assign_coords(customer_id=ids.to_numpy(str))


def choose_sources(
    orders: Orders, begun: pd.Timestamp, events: Sequence[Events], plan: Plan
) -> tuple[Sources, tuple[Verdict, ...]]:
    """Decide which files become channels.

    Parameters
    ----------
    orders : DataFrame or Stored
        customer_id, date.
    begun : Timestamp
    events : sequence of Events
        Files of actions are left out.
    plan : Plan

    Returns
    -------
    sources : Sources
    verdicts : tuple of Verdict
        One per file.
    """
    n_cells = tally_days(orders).exposure(plan.last) / 7 / plan.weeks(1) if events else 0.0
    files, verdicts = [], []
    for one in (one for one in events if one.kind != "actions"):
        problem = find_problem(one, plan)
        if problem:
            verdicts.append(Verdict(one.kind, False, problem))
            continue
        file, verdict = _make_channel(one, plan, n_cells)
        files.append(file)
        verdicts.append(verdict)
    return Sources(begun, tuple(files)), tuple(verdicts)


def find_problem(events: Events, plan: Plan) -> str:
    """Say why a file cannot be a channel; an empty string if it can."""
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


def _make_channel(events: Events, plan: Plan, n_cells: float) -> tuple[FileChannel, Verdict]:
    """Make the channel of a file, and say how it is read."""
    if events.kind == "surveys":
        frame = events.frame
        early = frame["score"][frame["date"] < plan.cutoff]  # the test must not choose the scale
        edges = find_edges(early)
        channel: Channel = _survey(events.kind, grade(early, edges), len(edges) + 1)
        said = f"graded answers in {len(edges) + 1} levels{_tell_edges(edges)}"
    else:
        edges = ()
        usual = float(f"{max(len(events.frame) / n_cells, 1e-4):.2g}")
        channel = Poisson(events.kind, typical_rate=usual, spread=1.0)
        said = f"days with a record, counted per {plan.period}"
    return _read_as(channel, events, edges), Verdict(events.kind, True, said, edges)


def _read_as(channel: Channel, events: Events, edges: Sequence[float]) -> FileChannel:
    """Read a file as a channel: answers by their level, other records as days."""
    frame = events.frame
    levels = grade(frame["score"], edges) if events.kind == "surveys" else np.ones(len(frame))
    days = frame[["customer_id", "date"]].assign(value=levels)
    ordered = days.sort_values(["date", "value", "customer_id"], ignore_index=True)
    return FileChannel(ordered, *events.recorded, channel)


def fill_channels(
    channels: Sequence[Channel],
    begun: pd.Timestamp,
    events: Sequence[Events],
    levels: Mapping[str, Sequence[float]],
) -> Sources:
    """Read new files as the channels of an older fit.

    Parameters
    ----------
    channels : sequence of Channel
        Those of the fit, besides orders. One without a file is not known: its cells are missing.
    begun : Timestamp
    events : sequence of Events
        A file without a channel is left out.
    levels : mapping of kind to sequence of float
        Lowest score of each level of a survey, except the first.
    """
    given = {one.kind: one for one in events}
    return Sources(begun, tuple(
        _read_as(channel, given[channel.name], levels.get(channel.name, ()))
        if channel.name in given
        else FileChannel(_NO_DAYS, pd.Timestamp.min, pd.Timestamp.min, channel)
        for channel in channels
    ))  # fmt: skip


def _survey(name: str, levels: Floats, n_levels: int) -> OrdinalSurvey:
    """Place the cutpoints so that a customer at 0 answers like all customers together."""
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
    """Join neighbouring scores into levels that each hold at least a tenth of the answers.

    Returns
    -------
    tuple of float
        The lowest score of each level except the first; empty if there is only one level.

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
    """Return the level of each score, from 1.

    Examples
    --------
    >>> grade(pd.Series([0, 8, 9, 10]), (9.0, 10.0))
    array([1., 1., 2., 3.])
    """
    return 1.0 + np.searchsorted(np.asarray(edges), scores.to_numpy(float), side="right")


def _tell_edges(edges: Sequence[float]) -> str:
    return ", which start at the lowest score and at " + ", ".join(f"{edge:g}" for edge in edges)
