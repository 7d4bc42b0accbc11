"""Whether the fitted model simulates customers like those of the file."""

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.model import CHANNEL
from crmlab.analyst.scoring import StageDraws
from crmlab.arrays import Bools, Floats, Ints
from crmlab.tables import observed_cells

FREQUENCY_CLASSES = (0, 1, 2, 3, 6)
_REPLICATES = 50


def check_counts(panel: xr.Dataset, drawn: StageDraws, *, seed: int) -> pd.DataFrame:
    """Simulate customers with the same windows from the model, and compare how often they order.

    Parameters
    ----------
    panel : xr.Dataset
    drawn : StageDraws
        The draws that `replicated_draws` chooses simulate a base of customers each.
    seed : int

    Returns
    -------
    DataFrame
        Index: lower end of a class of repeat orders. `seen`: share of customers; `expected`,
        `low`, `high`: mean and central 90 % interval over the simulated bases.
    """
    observed = observed_cells(panel)
    cells = panel[CHANNEL].transpose("customer_id", "period").values
    counted = observed & ~np.isnan(cells)  # nothing is known about an incomplete period
    rng = np.random.default_rng(seed)
    initial, matrix, rate = (
        values.reshape(drawn.n_draws, *values.shape[2:])
        for values in (drawn.initial, drawn.matrix, drawn.rate)
    )
    made = np.stack([
        _class_shares(_make_counts(observed, counted, (initial[k], matrix[k], rate[k]), rng))
        for k in replicated_draws(drawn)
    ])  # fmt: skip
    low, high = np.quantile(made, (0.05, 0.95), axis=0)
    seen = _class_shares(np.where(counted, cells, 0).sum(axis=1))
    return pd.DataFrame(
        {"seen": seen, "expected": made.mean(axis=0), "low": low, "high": high},
        index=pd.Index(FREQUENCY_CLASSES, name="repeats"),
    )


def replicated_draws(drawn: StageDraws) -> range:
    """Choose the draws that simulate a base of customers each."""
    return range(0, drawn.n_draws, max(1, drawn.n_draws // _REPLICATES))


def _class_shares(counts: Floats) -> Floats:
    classes = sort_into_classes(counts)
    return np.array([(classes == edge).mean() for edge in FREQUENCY_CLASSES])


def _make_counts(
    observed: Bools,
    counted: Bools,
    draw: tuple[Floats, Floats, Floats],
    rng: np.random.Generator,
) -> Floats:
    """Simulate the repeat orders of one base; a draw is (initial, matrix, rate)."""
    initial, matrix, rate = draw
    n, T = len(observed), observed.shape[1]
    first = observed.argmax(axis=1)
    edges, start = matrix.cumsum(axis=1), initial.cumsum()
    stage, total = np.zeros(n, dtype=int), np.zeros(n)
    for t in range(T):
        u = rng.random(n)
        moved = np.minimum((u[:, None] >= edges[stage]).sum(axis=1), len(rate) - 1)
        begun = np.minimum((u[:, None] >= start).sum(axis=1), len(rate) - 1)
        stage = np.where(t == first, begun, np.where(t > first, moved, stage))
        total += np.where(counted[:, t], rng.poisson(rate[stage]), 0)
    return total


def sort_into_classes(frequency: Floats) -> Ints:
    """Class of each customer by the lower end of its range of repeat orders.

    Examples
    --------
    >>> sort_into_classes(np.array([0, 4, 9]))
    array([0, 3, 6])
    """
    edges = np.array(FREQUENCY_CLASSES)
    return edges[np.searchsorted(edges, frequency, side="right") - 1]
