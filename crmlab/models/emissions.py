"""From a panel to the log-density of what was seen, per customer, period and stage.

A channel is scored once per *distinct* value, not once per cell: a panel of counts has a dozen
different numbers in a hundred thousand cells. The table of log-densities has a last row of zeros,
to which missing cells point.
"""

import functools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import Floats, Ints
from crmlab.channels import Channel
from crmlab.errors import DataError, raise_problems
from crmlab.stages import StageSpace
from crmlab.tables import observed_cells
from crmlab.transitions import Design

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    from crmlab.models.numpy_graph import Function

FLOAT = np.float64


class Encoded(NamedTuple):
    """One channel of a panel: its distinct values, and where each cell finds its own.

    `codes` (customer, period) index `values`; a missing cell has code ``len(values)``.
    """

    values: Floats
    codes: Ints


class Window(NamedTuple):
    """First and last observed period of each customer, as positions (customer,)."""

    first: Ints
    last: Ints


class Histories(NamedTuple):
    """The different histories of a panel, and how many customers have each."""

    first: Ints  # (history,)
    last: Ints
    codes: list[Ints]  # of each channel (history, period)
    times: Floats  # (history,)
    example: Ints  # (history,): a customer who has it
    which: Ints  # (customer,): the history of each; -1 if it was dropped


def check_panel(
    owner: str,
    panel: xr.Dataset,
    channels: Sequence[Channel],
    stages: StageSpace,
    design: Design,
) -> None:
    """Raise `DataError`, with all problems at once, unless the panel can be read."""
    problems = _shape_problems(panel)
    if not problems:
        for channel in channels:
            problems += _channel_problems(panel, channel, stages)
        problems += design.check(panel)
    raise_problems(DataError, f"{owner} cannot read this panel", problems)


def _shape_problems(panel: xr.Dataset) -> list[str]:
    if not isinstance(panel, xr.Dataset):
        return [f"it must be an xarray.Dataset made by to_panel, got {type(panel).__name__}"]
    if missing := {"customer_id", "period"} - set(panel.dims):
        return [f"it lacks the dims {sorted(missing)}; make it with to_panel"]
    if "observed" not in panel:
        return ["it lacks the boolean variable 'observed'; make it with to_panel"]
    if set(panel["observed"].dims) != {"customer_id", "period"}:
        return [f"'observed' must have dims (customer_id, period), got {panel['observed'].dims}"]
    empty = [dim for dim in ("customer_id", "period") if panel.sizes[dim] == 0]
    if empty:
        return [f"it has no {dim}" for dim in empty]
    problems = [*_customer_problems(panel), *_period_problems(panel), *_unknown_problems(panel)]
    return problems or _window_problems(panel)


def _customer_problems(panel: xr.Dataset) -> list[str]:
    ids = pd.Index(panel["customer_id"].values)
    if ids.is_unique:
        return []
    twice = ids[ids.duplicated()].unique()
    return [
        f"`customer_id` has {len(twice)} customers more than once, e.g. {twice[:3].tolist()}; each "
        "customer is one row: give the rows different ids, or keep one"
    ]


def _period_problems(panel: xr.Dataset) -> list[str]:
    """Name a place where a period is not the one after the period before it."""
    periods = panel["period"].values
    steps = np.diff(number_periods(periods, panel.attrs.get("freq")))
    out_of_order = steps <= 0
    wrong, words = (out_of_order, "") if out_of_order.any() else (steps > 1, ", after a gap,")
    if not wrong.any():
        return []
    first = int(wrong.argmax())
    return [
        f"`period` must list every period once, in order, but {_as_text(periods[first])} is "
        f"followed{words} by {_as_text(periods[first + 1])} ({int(wrong.sum())} such places); sort "
        "the panel by period, and mark what was not seen as missing cells (NaN)"
    ]


def number_periods(periods: NDArray, freq: str | None) -> NDArray:
    """Return numbers of periods, which rise by 1 from each to the next.

    Whole numbers are their own; dates need the length of a period. Without it, and for anything
    else, gaps are not seen.

    Examples
    --------
    >>> months = np.array(["2024-01-01", "2024-02-01", "2024-04-01"], dtype="datetime64[ns]")
    >>> number_periods(months, "M").tolist(), number_periods(months, None).tolist()
    ([648, 649, 651], [0, 1, 2])
    """
    if periods.dtype.kind in "iu":
        return periods.astype(np.int64)
    if periods.dtype.kind == "M" and freq == "W":  # weeks are counted from the first day
        return (periods - periods.min()) // np.timedelta64(7, "D")
    if periods.dtype.kind == "M" and freq is not None:
        with suppress(ValueError):  # no length that pandas knows
            return pd.DatetimeIndex(periods).to_period(freq).asi8
    return np.unique(periods, return_inverse=True)[1]


def _unknown_problems(panel: xr.Dataset) -> list[str]:
    unknown = panel["observed"].transpose("customer_id", "period").isnull().values
    if not unknown.any():
        return []
    row, column = np.argwhere(unknown)[0]
    customer, period = panel["customer_id"].values[row], panel["period"].values[column]
    return [
        f"'observed' must be True or False, but {int(unknown.sum())} cells are missing, e.g. that "
        f"of customer {customer} in period {_as_text(period)}; say whether the customer was under "
        "observation there"
    ]


def _as_text(period: object) -> str:
    """Write a period: a date without its hours, or a number."""
    return str(period)[:10] if isinstance(period, np.datetime64) else str(period)


def _window_problems(panel: xr.Dataset) -> list[str]:
    observed = observed_cells(panel)
    starts = np.diff(observed.astype(int), axis=1, prepend=0).clip(min=0).sum(axis=1)
    broken = panel["customer_id"].values[starts > 1]
    if len(broken) == 0:
        return []
    return [
        f"the window of {len(broken)} customers has holes, e.g. {broken[:3].tolist()}; "
        "mark what was not seen as missing cells (NaN), not as unobserved"
    ]


def _channel_problems(panel: xr.Dataset, channel: Channel, stages: StageSpace) -> list[str]:
    if channel.name not in panel:
        have = [name for name in panel.data_vars if name != "observed"]
        return [f"channel {channel.name!r} is not among its variables {have}"]
    if set(panel[channel.name].dims) != {"customer_id", "period"}:
        dims = panel[channel.name].dims
        return [f"{channel.name!r} must have dims (customer_id, period), got {dims}"]
    cells = _cells_inside(panel, channel)
    values = cells[~np.isnan(cells)]
    if channel.names_stages:
        names = panel[channel.name].attrs.get("categories", stages.names)
        unknown = [name for name in names if name not in stages.names]
        if unknown:
            return [f"{channel.name!r} reports stages {unknown} that are not in {stages.names}"]
        if (values >= len(names)).any():
            largest = int(values.max())
            return [f"{channel.name!r} has code {largest}, but only {len(names)} stages to name"]
    bad = np.unique(values[~channel.supports(values)])
    if len(bad) == 0:
        return []
    return [f"{channel.name!r} must be {channel.support}, got e.g. {bad[:3].tolist()}"]


def _cells_inside(panel: xr.Dataset, channel: Channel) -> Floats:
    """Return the cells of a channel as the panel holds them; NaN outside the windows."""
    cells = panel[channel.name].transpose("customer_id", "period").values.astype(FLOAT)
    return np.where(observed_cells(panel), cells, np.nan)


def read_cells(panel: xr.Dataset, channel: Channel, stages: StageSpace) -> Floats:
    """Return the cells of a channel (customer, period), stages as indices; NaN where missing."""
    cells = _cells_inside(panel, channel)
    if channel.names_stages and "categories" in panel[channel.name].attrs:
        cells = _recode(cells, panel[channel.name].attrs["categories"], stages)
    return cells


def encode(panel: xr.Dataset, channel: Channel, stages: StageSpace) -> Encoded:
    """Find the distinct values of a channel, and the code of each cell."""
    cells = read_cells(panel, channel, stages)
    codes, values = pd.factorize(cells.ravel(), sort=True)  # -1 where missing
    return Encoded(values, np.where(codes < 0, len(values), codes).reshape(cells.shape))


def _recode(cells: Floats, names: Sequence[str], stages: StageSpace) -> NDArray:
    """Translate codes of the panel's own categories to indices of the space."""
    index = np.array([stages.index(name) for name in names] + [0], dtype=FLOAT)
    missing = np.isnan(cells)
    return np.where(missing, np.nan, index[np.where(missing, -1, cells).astype(int)])


def find_window(panel: xr.Dataset) -> Window:
    """Find the first and last observed period of each customer; (0, -1) if there is none."""
    observed = observed_cells(panel)
    seen = observed.any(axis=1)
    last = observed.shape[1] - 1 - observed[:, ::-1].argmax(axis=1)
    return Window(
        np.where(seen, observed.argmax(axis=1), 0).astype(np.int64),
        np.where(seen, last, -1).astype(np.int64),
    )


def merge_histories(
    window: Window,
    codes: Sequence[Ints],
    covariates: Floats | None = None,
    *,
    apart: bool = False,
) -> Histories:
    """Find the customers with the same window, codes and covariates in every period.

    Parameters
    ----------
    window : Window
    codes : sequence of ndarray (customer, period)
    covariates : ndarray (customer or 1, move or 1, column), optional
        Covariates of the moves; customers who differ in them have different histories.
    apart : bool
        Keep every customer separate, since each has their own effects. Customers who were never
        observed are dropped; the order of the others depends only on what was seen.

    Examples
    --------
    >>> window = Window(np.array([0, 0, 0]), np.array([1, 1, 1]))
    >>> codes = [np.array([[2, 0], [1, 1], [2, 0]])]
    >>> merge_histories(window, codes).times
    array([1., 2.])
    >>> merge_histories(window, codes, np.array([[[0.5]], [[0.5]], [[0.7]]])).times
    array([1., 1., 1.])
    """
    rows = np.concatenate([np.stack(window, axis=-1), *codes], axis=1)
    values = np.empty((len(rows), 0))
    if covariates is not None and len(covariates) > 1:
        values = covariates.reshape(len(rows), -1)
    if apart:
        example = np.lexsort([*values.T[::-1], *rows.T[::-1]])
        example = example[rows[example, 1] >= 0]
        counts, which = np.ones(len(example), dtype=np.intp), np.full(len(rows), -1)
        which[example] = np.arange(len(example))
    else:
        known = np.concatenate([rows, values], axis=1) if values.size else _pack(rows)
        _, example, which, counts = np.unique(
            known,
            axis=0 if values.size else None,
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
    parts = [np.ascontiguousarray(code[example]) for code in codes]
    first, last = window.first[example], window.last[example]
    return Histories(first, last, parts, counts.astype(FLOAT), example, which.ravel())


def _pack(rows: Ints) -> NDArray[np.void]:
    """Turn rows of integers from -1 up into bytes that sort as the rows do."""
    positive = rows + 1
    smallest = np.min_scalar_type(positive.max()).newbyteorder(">")
    packed = np.ascontiguousarray(positive, dtype=smallest)
    return packed.view(np.dtype((np.void, packed.strides[0]))).ravel()


def score_table(
    channel: Channel, values: "TensorVariable", parameters: Mapping[str, "TensorVariable"]
) -> "TensorVariable":
    """Log-density of each distinct value in each stage (value, stage), zeros in a last row."""
    import pymc as pm
    import pytensor.tensor as pt

    dist = channel.dist(**parameters)
    scores = pm.logp(dist, pt.cast(values, dist.dtype)[:, None], warn_rvs=False)
    return pt.concatenate([scores, pt.zeros((1, scores.shape[1]))], axis=0)


class Scorer:
    """A panel, read once, that scores any number of parameter draws.

    Parameters
    ----------
    panel : xr.Dataset
    channels : sequence of Channel
    stages : StageSpace
    """

    def __init__(self, panel: xr.Dataset, channels: Sequence[Channel], stages: StageSpace) -> None:
        self.shape = (panel.sizes["customer_id"], panel.sizes["period"], len(stages))
        self.encoded = [(channel, encode(panel, channel, stages)) for channel in channels]

    def __call__(self, parameters: Mapping[str, Floats]) -> Floats:
        """Log-density of what was seen (customer, period, stage); 0 where nothing was.

        Parameters
        ----------
        parameters : mapping of "<channel>_<parameter>" to ndarray, stage axis first
        """
        total = np.zeros(self.shape)
        for table, codes in self.tables(parameters):
            total += table[codes]
        return total

    def tables(self, parameters: Mapping[str, Floats]) -> list[tuple[Floats, Ints]]:
        """Log-density of each different value (value, stage), and which value each cell holds.

        Parameters
        ----------
        parameters : mapping of "<channel>_<parameter>" to ndarray, stage axis first

        Returns
        -------
        list of (table, codes (customer, period))
            One pair per channel; the log-density of a cell is the sum over them.
        """
        found = []
        for channel, (values, codes) in self.encoded:
            names = [f"{channel.name}_{name}" for name in channel.parameter_names]
            given = [np.asarray(parameters[name], dtype=FLOAT) for name in names]
            (table,) = _table_of(channel, tuple(g.ndim for g in given))(values, *given)
            found.append((table, codes))
        return found


@functools.lru_cache(maxsize=64)
def _table_of(channel: Channel, ndims: tuple[int, ...]) -> "Function":
    """`score_table` as a function on arrays."""
    import pytensor.tensor as pt

    from crmlab.models.numpy_graph import to_numpy

    values = pt.dvector("values")
    inputs = [pt.TensorType("float64", (None,) * n)() for n in ndims]
    table = score_table(channel, values, dict(zip(channel.parameter_names, inputs, strict=True)))
    return to_numpy([values, *inputs], [table])[0]
