"""Whether the model makes customers like those of the file, when it is left to itself."""

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.scoring import Drawn
from crmlab.arrays import Bools, Floats, Ints
from crmlab.demo.orders import CHANNEL
from crmlab.tables import observed_cells

FREQUENCY_CLASSES = (0, 1, 2, 3, 6)


def check_counts(panel: xr.Dataset, drawn: Drawn, *, seed: int) -> pd.DataFrame:
    """Let the model make customers with the same windows, and compare how often they order.

    Parameters
    ----------
    panel : xr.Dataset
    drawn : Drawn
    seed : int

    Returns
    -------
    DataFrame
        Index: lower end of a class of repeat orders. `seen`: share of customers; `expected`,
        `low`, `high`: mean and central 90 % interval over simulated bases.
    """
    observed = observed_cells(panel)
    cells = panel[CHANNEL].transpose("customer_id", "period").values
    counted = observed & ~np.isnan(cells)  # of a period that was cut, nothing is known
    seen = _shares(np.where(counted, cells, 0).sum(axis=1))
    rng = np.random.default_rng(seed)
    flat = [values.reshape(-1, *values.shape[2:]) for values in
            (drawn.initial, drawn.matrix, drawn.rate)]  # fmt: skip
    picks = range(0, len(flat[0]), max(1, len(flat[0]) // 40))
    made = np.stack(
        [_shares(_make_counts(observed, counted, *(p[k] for p in flat), rng)) for k in picks]
    )
    low, high = np.quantile(made, (0.05, 0.95), axis=0)
    return pd.DataFrame(
        {"seen": seen, "expected": made.mean(axis=0), "low": low, "high": high},
        index=pd.Index(FREQUENCY_CLASSES, name="repeats"),
    )


def _shares(counts: Floats) -> Floats:
    classes = sort_into_classes(counts)
    return np.array([(classes == edge).mean() for edge in FREQUENCY_CLASSES])


def _make_counts(
    observed: Bools,
    counted: Bools,
    initial: Floats,
    matrix: Floats,
    rate: Floats,
    rng: np.random.Generator,
) -> Floats:
    """Simulate the repeat orders of one base."""
    n, T = observed.shape
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
