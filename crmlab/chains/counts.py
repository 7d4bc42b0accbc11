"""Observed paths: the moves they show, and whether one chain can explain them.

The counts n[i, j] of moves are all that observed paths say about P, and the shares
p[j | i] = n[i, j] / n[i] are its maximum-likelihood estimate. Before estimation, the same counts
can show whether one matrix is enough. Each test compares a table of counts with the hypothesis that
its rows share one distribution, by the gain in likelihood from separate rows,

    G^2 = 2 sum n[h, i, j] ln(p[j | h, i] / p[j | i]),

which is close to chi-square under the hypothesis if counts are not small. The tests differ in what
h stands for:

    a group of customers, or a calendar period       `homogeneity_test`
    the stage before the present one                 `order_test`: does the chain forget?
    a stage of the block i, where j is a block       `lumpability_test`: may stages be merged?

A move that never occurs does not cost a degree of freedom: forbidden moves are not evidence.

References
----------
Anderson and Goodman (1957), "Statistical inference about Markov chains", Annals of Mathematical
Statistics 28(1), 89-110.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crmlab.arrays import Ints
from crmlab.chains.inputs import read_count, read_move_counts
from crmlab.chains.lumping import membership
from crmlab.errors import DataError


class ChiSquareTest(NamedTuple):
    """A likelihood-ratio test with a chi-square limit.

    Parameters
    ----------
    statistic : float
        G^2 = twice the gain in log-likelihood (natural logarithm).
    df : int
        Degrees of freedom.
    p_value : float
        Probability of a statistic at least this large, if the null hypothesis holds.
    """

    statistic: float
    df: int
    p_value: float


def transition_counts(paths: ArrayLike, n_stages: int, *, order: int = 1) -> Ints:
    """Count the sequences of stages in consecutive periods.

    Parameters
    ----------
    paths : array_like of int, shape (N, T) or (T,)
        Stage of each customer in each period; -1 where it is unknown. Sequences that contain an
        unknown stage are not counted.
    n_stages : int
        K.
    order : int
        1 counts moves (i, j), 2 counts (h, i, j), 0 counts stages.

    Returns
    -------
    ndarray of int, shape (K,) * (order + 1)
        The last axis is the latest period.

    Raises
    ------
    DataError
        A stage is not an integer from -1 to K - 1.
    SpecError
        `n_stages` or `order` is not valid.

    Examples
    --------
    >>> transition_counts([[0, 0, 1, 1], [0, 1, -1, 0]], n_stages=2)
    array([[1, 2],
           [0, 1]])
    """
    known = _read_paths(paths, n_stages)
    length = read_count("order", order) + 1
    shape = (n_stages,) * length
    if known.shape[1] < length:
        return np.zeros(shape, dtype=np.int64)
    runs = np.lib.stride_tricks.sliding_window_view(known, length, axis=1).reshape(-1, length)
    runs = runs[(runs >= 0).all(axis=1)]
    cells = np.ravel_multi_index(tuple(runs.T), shape)
    return np.bincount(cells, minlength=n_stages**length).reshape(shape)


def _read_paths(paths: ArrayLike, n_stages: int) -> NDArray[np.integer]:
    stages = np.atleast_2d(np.asarray(paths))
    read_count("n_stages", n_stages)
    if stages.ndim != 2 or stages.dtype.kind not in "iu":
        raise DataError(
            f"`paths` must be integers of shape (customers, periods), -1 where the stage is "
            f"unknown, got {stages.dtype} of shape {stages.shape}"
        )
    wrong = np.unique(stages[(stages < -1) | (stages >= n_stages)])
    if len(wrong):
        raise DataError(f"`paths` must lie between -1 and {n_stages - 1}, got {wrong.tolist()}")
    return stages


def homogeneity_test(counts: ArrayLike) -> ChiSquareTest:
    """Test whether several groups share one transition matrix.

    G^2 = 2 sum n[h, i, j] ln(p[j | h, i] / p[j | i]) with the observed shares p. Groups h may be
    segments, calendar periods, or a feature of the history such as past descents.

    Parameters
    ----------
    counts : array_like of shape (H, K, K)
        Moves from i to j in group h.

    Returns
    -------
    ChiSquareTest
        For each i, (groups seen in i - 1) x (stages reached from i - 1) degrees of freedom: moves
        that never occur in any group, structural zeros included, cost none.

    Raises
    ------
    DataError
        Counts are negative or not finite, or have another shape.

    References
    ----------
    Anderson and Goodman (1957).

    Examples
    --------
    >>> test = homogeneity_test([[[8, 2], [0, 9]], [[5, 5], [0, 9]]])
    >>> round(test.statistic, 4), test.df, round(test.p_value, 4)
    (2.0269, 1, 0.1545)
    """
    by_group = read_move_counts(counts, "groups")
    return _likelihood_ratio_test(np.moveaxis(by_group, 0, 1))


def order_test(paths: ArrayLike, n_stages: int, *, order: int = 1) -> ChiSquareTest:
    """Test whether the last `order` stages predict the next as well as the last `order` + 1 do.

    Order 1 tests the Markov property against a memory of two periods,
    G^2 = 2 sum n[h, i, j] ln(p[j | h, i] / p[j | i]); order 0 tests independence of periods.

    Parameters
    ----------
    paths : array_like of int, shape (N, T) or (T,)
        Stage of each customer in each period; -1 where it is unknown.
    n_stages : int
        K.
    order : int
        Order of the null hypothesis.

    Returns
    -------
    ChiSquareTest
        With all moves possible and seen, (K - 1)^2 K^order degrees of freedom. Moves that never
        occur, structural zeros included, cost none.

    Raises
    ------
    DataError
        A stage is not an integer from -1 to K - 1.
    SpecError
        `n_stages` or `order` is not valid.

    References
    ----------
    Anderson and Goodman (1957).

    Examples
    --------
    >>> test = order_test([[0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]], n_stages=2)
    >>> round(test.statistic, 4), test.df
    (15.0479, 2)
    """
    counts = transition_counts(paths, n_stages, order=read_count("order", order) + 1)
    tables = np.moveaxis(counts, 0, -2).reshape(-1, n_stages, n_stages)
    return _likelihood_ratio_test(tables)


def lumpability_test(counts: ArrayLike, blocks: Sequence[Hashable]) -> ChiSquareTest:
    """Test whether the stages of each block move to the blocks with the same probabilities.

    Parameters
    ----------
    counts : array_like of shape (K, K)
        Moves from i to j.
    blocks : sequence of K labels
        The block of each stage, e.g. ``KNAPP_TO_LIFECYCLE.labels``.

    Returns
    -------
    ChiSquareTest
        For each block, (stages seen - 1) x (blocks reached - 1) degrees of freedom: moves that
        never occur, structural zeros included, cost none.

    Raises
    ------
    DataError
        Counts are negative or not finite, or have another shape.
    SpecError
        There is not one label per stage.

    References
    ----------
    Jernigan and Baran (2003), Statistics and Probability Letters 64(1), 17-23.

    Examples
    --------
    >>> test = lumpability_test([[10, 5, 5], [0, 12, 8], [4, 6, 10]], ["new", "old", "old"])
    >>> round(test.statistic, 4), test.df
    (5.9905, 1)
    """
    moves = read_move_counts(counts)
    members = membership(blocks, len(moves))
    rows = moves @ members
    return _likelihood_ratio_test(rows[block] for block in members.astype(bool).T)


def _likelihood_ratio_test(tables: Iterable[NDArray]) -> ChiSquareTest:
    """Test in each table whether all rows share one distribution, and add the results."""
    parts = [(_g_squared(table), _degrees_of_freedom(table)) for table in tables]
    statistic = float(sum(g for g, _ in parts))
    df = int(sum(d for _, d in parts))
    return ChiSquareTest(statistic, df, float(special.chdtrc(df, statistic)) if df else 1.0)


def _g_squared(table: NDArray) -> float:
    def entropy(counts: NDArray) -> float:
        return special.xlogy(counts, counts).sum()

    inner = entropy(table) + entropy(table.sum())
    return max(0.0, 2 * (inner - entropy(table.sum(axis=0)) - entropy(table.sum(axis=1))))


def _degrees_of_freedom(table: NDArray) -> int:
    # An empty row or column has no parameter in either hypothesis.
    rows, columns = (int((table.sum(axis=axis) > 0).sum()) for axis in (1, 0))
    return max(rows - 1, 0) * max(columns - 1, 0)
