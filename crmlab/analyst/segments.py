"""Customers as analysts know them: RFM segments, and how unevenly they bring revenue."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmlab.arrays import Floats

# Lowest recency score, lowest mean of frequency and money, name; the first that fits is taken.
SEGMENTS = (
    (5, 3.5, "champions"),
    (5, 0.0, "recent, few orders"),
    (3, 3.5, "loyal, but slower"),
    (3, 0.0, "about to sleep"),
    (1, 3.5, "good, long silent"),
    (1, 0.0, "hibernating"),
)
RECENT = ("champions", "recent, few orders")
SILENT = ("good, long silent", "hibernating")
_POINTS = 200


def score_fifths(values: pd.Series) -> pd.Series:
    """Score 1 to 5 by fifths of the customers, 5 for the highest; equal values score alike.

    Examples
    --------
    >>> score_fifths(pd.Series([1, 1, 1, 7, 9])).tolist()
    [2, 2, 2, 4, 5]
    """
    return np.ceil(5 * values.rank(pct=True) - 1e-9).clip(1, 5).astype(int)


def rfm_segments(known: pd.DataFrame) -> pd.Series:
    """Name the segment of each customer by recency, frequency and money.

    Parameters
    ----------
    known : DataFrame
        last_order, orders, and amount if amounts are known; as `first_days` gives it.

    Returns
    -------
    Series of str
        A name of `SEGMENTS` for each customer.
    """
    recency = score_fifths(known["last_order"])
    counted = [name for name in ("orders", "amount") if name in known]
    strength = sum(score_fifths(known[name]) for name in counted) / len(counted)
    fits = [(recency >= r) & (strength >= s) for r, s, _ in SEGMENTS]
    return pd.Series(np.select(fits, [name for *_, name in SEGMENTS], ""), known.index, dtype="str")


def cross_segments(segments: pd.Series, stage: pd.Series, n_stages: int) -> pd.DataFrame:
    """Count customers by segment (rows, those that hold somebody) and most likely stage.

    Parameters
    ----------
    segments : Series of str, by customer
    stage : Series of int, by customer
        Place of the most likely stage, lowest first.
    n_stages : int
    """
    counts = pd.crosstab(segments, stage.reindex(segments.index))
    order = [name for *_, name in SEGMENTS if name in counts.index]
    return counts.reindex(index=order, columns=range(n_stages), fill_value=0)


def lorenz_curve(amounts: ArrayLike) -> Floats:
    """Share of a sum that the best customers bring, for ever larger shares of the customers.

    Parameters
    ----------
    amounts : array_like (customer,)
        Not negative, and not all 0.

    Returns
    -------
    ndarray (points, 2)
        Share of the customers, best first, and their share of the sum; from (0, 0) to (1, 1).

    Examples
    --------
    >>> lorenz_curve([1.0, 6.0, 1.0, 2.0]).tolist()
    [[0.0, 0.0], [0.25, 0.6], [0.5, 0.8], [0.75, 0.9], [1.0, 1.0]]
    """
    best = np.sort(np.asarray(amounts, dtype=float))[::-1]
    brought = np.r_[0.0, np.cumsum(best)] / best.sum()
    places = np.unique(np.linspace(0, len(best), min(len(best), _POINTS) + 1).round().astype(int))
    return np.column_stack([places / len(best), brought[places]])


def share_of_best(curve: Floats, share: float) -> float:
    """Read from a Lorenz curve what the best customers bring.

    Examples
    --------
    >>> round(share_of_best(lorenz_curve([1.0, 6.0, 1.0, 2.0]), 0.2), 2)
    0.48
    """
    return float(np.interp(share, curve[:, 0], curve[:, 1]))
