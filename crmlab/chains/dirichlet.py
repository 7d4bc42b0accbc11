"""Learning a transition matrix: Dirichlet rows before and after the data.

A row of P is a distribution over the next stage. A Dirichlet distribution with concentration
a_i = (a_i1, ..., a_iK) describes beliefs about row i as if a_ij moves to stage j had already been
seen. After n_i moves it is again a Dirichlet:

    prior Dirichlet(a_i),  counts n_i   ->   posterior Dirichlet(a_i + n_i)   `dirichlet_posterior`
    Pr(next is j | counts) = (a_ij + n_ij) / sum_k (a_ik + n_ik)              `dirichlet_mean`

Each row learns only from its own moves, and a concentration of 0 forbids a move for good.

Averaging the probability of the paths over the prior gives a product of gamma functions
(`dirichlet_log_marginal`). It rewards a hypothesis for what it predicted, not for what it can be
made to fit. So the ratio of two of them, a Bayes factor, compares hypotheses of different size
without a further penalty: how long the memory is (`order_log_marginals`), or whether segments share
one matrix (`log_bayes_factor_pooling`). `crmlab.chains.counts` asks the same without a prior.

References
----------
Strelioff, Crutchfield and Huebler (2007), "Inferring Markov chains", Physical Review E 76, 011106.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from crmlab.arrays import Floats
from crmlab.chains.counts import transition_counts
from crmlab.chains.inputs import read_counts, read_move_counts, read_numbers
from crmlab.errors import DataError, SpecError, raise_problems


def dirichlet_posterior(counts: ArrayLike, prior: ArrayLike = 1.0) -> Floats:
    """Return the posterior of the rows of a transition matrix: Dirichlet(prior + counts).

    Parameters
    ----------
    counts : array_like of shape (..., K)
        Moves out of a stage, by destination.
    prior : array_like, broadcastable to the shape of `counts`
        Concentration before the data, in moves; 0 means that a move is impossible.

    Returns
    -------
    ndarray of the shape of `counts`
        Concentration after the data, in moves. See `dirichlet_mean`.

    Raises
    ------
    DataError
        Counts are negative or not finite, or an impossible move was counted.
    SpecError
        The prior is negative, not finite, or of another shape.

    Examples
    --------
    >>> dirichlet_posterior([45, 35, 0, 20])
    array([46., 36.,  1., 21.])
    """
    moves, concentration = _read_dirichlet(counts, prior)
    impossible = np.argwhere((concentration == 0) & (moves > 0))
    raise_problems(
        DataError,
        "counts",
        [
            f"cell {tuple(map(int, cell))} counts {moves[tuple(cell)]:g} moves that the prior "
            "says are impossible (its concentration is 0)"
            for cell in impossible
        ],
    )
    return moves + concentration


def dirichlet_mean(concentration: ArrayLike) -> Floats:
    """Return the expected probabilities under Dirichlet rows.

    Parameters
    ----------
    concentration : array_like of shape (..., K)
        E.g. from `dirichlet_posterior`, in moves.

    Returns
    -------
    ndarray of the same shape
        Rows sum to 1: also the predictive probabilities of the next move.

    Raises
    ------
    SpecError
        The concentration is negative or not finite, or a row is all zero.

    Examples
    --------
    >>> dirichlet_mean([46, 36, 1, 21]).round(4)
    array([0.4423, 0.3462, 0.0096, 0.2019])
    """
    a = _read_concentration("concentration", concentration)
    totals = a.sum(axis=-1, keepdims=True)
    if (totals == 0).any():
        raise SpecError("`concentration` must have a positive entry in each row")
    return a / totals


def dirichlet_log_marginal(counts: ArrayLike, prior: ArrayLike = 1.0) -> float:
    """Return the log-probability of paths with these counts, averaged over Dirichlet rows.

    sum_i [ln G(a_i) - ln G(a_i + n_i) + sum_j (ln G(a_ij + n_ij) - ln G(a_ij))], where G is the
    gamma function and a_i, n_i are row sums. Differences are log Bayes factors.

    Parameters
    ----------
    counts : array_like of shape (..., K)
        Moves out of a stage, by destination; the last axis is one row.
    prior : array_like, broadcastable to the shape of `counts`
        Concentration before the data, in moves; 0 means that a move is impossible.

    Returns
    -------
    float
        Natural logarithm, summed over all rows; -inf if an impossible move was counted.

    Raises
    ------
    DataError
        Counts are negative or not finite.
    SpecError
        The prior is negative, not finite, or of another shape.

    References
    ----------
    Strelioff, Crutchfield and Huebler (2007), Physical Review E 76, 011106.

    Examples
    --------
    >>> round(float(np.exp(dirichlet_log_marginal([1, 1]))), 4)
    0.1667
    """
    n, a = _read_dirichlet(counts, prior)
    if ((a == 0) & (n > 0)).any():
        return -np.inf
    # Impossible moves have no factor; ln G(1) = 0 takes its place.
    cells = special.gammaln(np.where(a > 0, a + n, 1.0)) - special.gammaln(np.where(a > 0, a, 1.0))
    n_row, a_row = n.sum(axis=-1), a.sum(axis=-1)
    a_row = np.where(a_row > 0, a_row, 1.0)
    return float(cells.sum() + (special.gammaln(a_row) - special.gammaln(a_row + n_row)).sum())


def order_log_marginals(
    paths: ArrayLike, n_stages: int, *, max_order: int = 2, prior: ArrayLike = 1.0
) -> Floats:
    """Return the log-probability of paths under chains with a memory of 0, 1, ... periods.

    All orders predict the same stages: those that follow `max_order` known ones. The difference
    between two of them is the log Bayes factor of their orders.

    Parameters
    ----------
    paths : array_like of int, shape (N, T) or (T,)
        Stage of each customer in each period; -1 where it is unknown.
    n_stages : int
        K.
    max_order : int
        Longest memory, in periods.
    prior : float or array_like of shape (K, K)
        Dirichlet concentration of each row, in moves, by last stage (0: the move is impossible).
        The chain without memory takes the mean over rows.

    Returns
    -------
    ndarray of shape (max_order + 1,)
        Natural logarithms.

    Raises
    ------
    DataError
        A stage is not an integer from -1 to K - 1.
    SpecError
        `n_stages`, `max_order` or the prior is not valid.

    Examples
    --------
    >>> logs = order_log_marginals([[0, 0, 1, 1] * 10], n_stages=2)
    >>> int(logs.argmax())
    2
    """
    runs = transition_counts(paths, n_stages, order=max_order)
    rows = _read_prior(prior, (n_stages, n_stages))
    priors = [rows.mean(axis=0)] + [rows] * max_order
    # Summing over the oldest periods of the sequences forgets them.
    kept = [runs.sum(axis=tuple(range(max_order - order))) for order in range(max_order + 1)]
    return np.array([dirichlet_log_marginal(*pair) for pair in zip(kept, priors, strict=True)])


def log_bayes_factor_pooling(counts: ArrayLike, prior: ArrayLike = 1.0) -> float:
    """Return the evidence that segments share one transition matrix, as a log Bayes factor.

    ln m(sum of the counts) - sum over segments of ln m(counts), with m from
    `dirichlet_log_marginal`.

    Parameters
    ----------
    counts : array_like of shape (S, K, K)
        Moves from i to j in each segment.
    prior : array_like, broadcastable to (K, K)
        Concentration of each row before the data, in moves.

    Returns
    -------
    float
        Natural logarithm; positive if pooling is more probable than separate matrices.

    Raises
    ------
    DataError
        Counts are negative or not finite, or have another shape.
    SpecError
        The prior is negative, not finite, or of another shape.

    Examples
    --------
    >>> alike = [[[8, 2], [3, 7]], [[9, 1], [2, 8]]]
    >>> unlike = [[[8, 2], [3, 7]], [[1, 9], [8, 2]]]
    >>> log_bayes_factor_pooling(alike) > 0 > log_bayes_factor_pooling(unlike)
    True
    """
    moves = read_move_counts(counts, "segments")
    pooled = dirichlet_log_marginal(moves.sum(axis=0), prior)
    return pooled - sum(dirichlet_log_marginal(segment, prior) for segment in moves)


def _read_dirichlet(counts: ArrayLike, prior: ArrayLike) -> tuple[Floats, Floats]:
    moves = read_counts(counts)
    return moves, _read_prior(prior, moves.shape)


def _read_prior(prior: ArrayLike, shape: tuple[int, ...]) -> Floats:
    concentration = _read_concentration("prior", prior)
    try:
        return np.broadcast_to(concentration, shape)
    except ValueError:
        raise SpecError(f"`prior` must broadcast to {shape}, got {concentration.shape}") from None


def _read_concentration(name: str, concentration: ArrayLike) -> Floats:
    values = read_numbers(name, concentration)
    if not np.isfinite(values).all() or (values < 0).any():
        raise SpecError(f"`{name}` must be finite and not negative: a concentration, in moves")
    return values
