"""One exact test of uniform ranks, and the simultaneous band that belongs to it."""

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, Ints, count_problems, number_problems
from crmlab.errors import SpecError, raise_problems


def rank_p_value(ranks: ArrayLike, n_draws: int) -> float:
    """Probability, if ranks are uniform, of an empirical distribution as extreme as this one.

    Parameters
    ----------
    ranks : array_like of int, shape (n,)
        Rank of each truth among `n_draws` posterior draws: 0, ..., n_draws.
    n_draws : int

    Returns
    -------
    float
        p value, exact.

    Raises
    ------
    SpecError
        Ranks lie outside 0, ..., n_draws, or there are none.

    Notes
    -----
    Under uniformity the number of ranks below k is Binomial(n, k / (n_draws + 1)). The statistic is
    the smallest two-sided tail probability over all k (Säilynoja, Bürkner and Vehtari 2022, section
    2). Its distribution follows from walking through the counts, which form a Markov chain in k
    (their algorithm 2), so nothing is simulated.

    Examples
    --------
    >>> even, low = list(range(20)) * 5, [0, 1, 2, 3] * 25
    >>> round(rank_p_value(even, 19), 2), rank_p_value(low, 19) < 1e-12
    (1.0, True)
    """
    counts, n = _count_below(ranks, n_draws)
    tails = _tail(counts, n, _shares(n_draws))
    # A tail equal to the smallest is equally extreme; rounding must not separate them.
    return float(np.clip(1 - _prob_inside(n, n_draws, tails.min() * (1 + 1e-9)), 0.0, 1.0))


def rank_band(n_ranks: int, n_draws: int, prob: float = 0.95) -> tuple[Floats, Floats]:
    """Limits between which the whole empirical distribution of uniform ranks stays.

    Parameters
    ----------
    n_ranks : int
    n_draws : int
    prob : float
        Probability that no limit is crossed anywhere (at least, as counts are whole).

    Returns
    -------
    lower, upper : ndarray of shape (n_draws,)
        Limits of the share of ranks below k, k = 1, ..., n_draws.

    Raises
    ------
    SpecError
        A number is out of range.

    Examples
    --------
    >>> lower, upper = rank_band(200, 19)
    >>> [round(float(limit[9]), 3) for limit in (lower, upper)]  # of the lower half of the ranks
    [0.405, 0.595]
    """
    problems = count_problems({"n_ranks": n_ranks, "n_draws": n_draws})
    problems += number_problems({"prob": prob}, above=0, below=1)
    raise_problems(SpecError, "rank_band", problems)
    low, high = 1e-12, 1.0
    for _ in range(30):  # bisection on the logarithm of the pointwise tail
        middle = np.sqrt(low * high)
        low, high = (
            (middle, high) if _prob_inside(n_ranks, n_draws, middle) >= prob else (low, middle)
        )
    lower, upper = _limits(n_ranks, _shares(n_draws), low)
    return lower / n_ranks, upper / n_ranks


def _count_below(ranks: ArrayLike, n_draws: int) -> tuple[Ints, int]:
    values = np.ravel(np.asarray(ranks))
    is_whole = len(values) > 0 and np.isin(values, np.arange(n_draws + 1)).all()
    if not is_whole:
        raise SpecError(
            f"rank_p_value: `ranks` must be whole numbers from 0 to n_draws = {n_draws}, at least "
            f"one, got {np.unique(values)[[0, -1]].tolist() if len(values) else 'none'}"
        )
    counts = np.bincount(values.astype(int), minlength=n_draws + 1)
    return np.cumsum(counts)[:-1], len(values)


def _shares(n_draws: int) -> Floats:
    return np.arange(1, n_draws + 1) / (n_draws + 1)


def _tail(counts: Ints, n: int, shares: Floats) -> Floats:
    """Two-sided tail probability of each count, at most 1."""
    from scipy.stats import binom

    below, above = binom.cdf(counts, n, shares), binom.sf(counts - 1, n, shares)
    return np.minimum(2 * np.minimum(below, above), 1.0)


def _limits(n: int, shares: Floats, tail: float) -> tuple[Ints, Ints]:
    """Smallest and largest count whose two-sided tail is above `tail`, at each share."""
    counts = np.arange(n + 1)
    inside = _tail(counts[None, :], n, shares[:, None]) > tail
    return inside.argmax(axis=1), n - inside[:, ::-1].argmax(axis=1)


def _prob_inside(n: int, n_draws: int, tail: float) -> float:
    """Probability that all counts stay where their two-sided tail is above `tail`.

    Of the n - i ranks that are not below k, each is below k + 1 with a probability that is the same
    for all: the counts are a Markov chain with binomial steps.
    """
    from scipy.stats import binom

    if tail >= 1:  # no count has a larger tail
        return 0.0
    shares = _shares(n_draws)
    lower, upper = _limits(n, shares, tail)
    if (lower > upper).any():
        return 0.0
    before, at = np.ones(1), np.zeros(1, dtype=int)
    for k, share in enumerate(shares):
        done = shares[k - 1] if k else 0.0
        after = np.arange(lower[k], upper[k] + 1)
        step = binom.pmf(after[None, :] - at[:, None], n - at[:, None], (share - done) / (1 - done))
        before, at = before @ step, after
    return float(before.sum())
