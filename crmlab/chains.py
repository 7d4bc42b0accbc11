r"""Markov chains on relationship stages: what a transition matrix implies, and what data say of it.

**The chain.** A customer is in stage s_t in period t. The chain forgets all but the present:

    P[i, j] = Pr(s_{t+1} = j | s_t = i),    rows sum to 1,    Pr(s_{t+n} = j | s_t = i) = P^n[i, j].

Stage j is *reachable* from i if some power has P^n[i, j] > 0. A set of stages is *closed* if
nothing outside it is reachable from inside; an *absorbing* stage is closed on its own. Stages that
lie in no smallest closed set are *transient*: they are left for good sooner or later. If there is
one smallest closed set, pi = pi P, sum(pi) = 1 has one solution, the `stationary_distribution`.

**How long.** Write T for the rows and columns of P between transient stages. Then

    N = I + T + T^2 + ... = (I - T)^-1        `fundamental_matrix`: expected periods in j from i
    N 1                                       `absorption_time`: expected periods until the end
    1 / (1 - P[i, i])                         `sojourn_time`: expected periods in one visit
    m = 1 + P m, m = 0 at the target          `first_passage_time` (the smallest solution)
    h = P h,     h = 1 at the target          `passage_prob`: ever reach it (the smallest solution)

The present period counts: a customer who is in stage i now spends at least this period there.

**Coarser stages.** Blocks of stages form a Markov chain themselves, whatever the start, if and
only if all stages of a block have the same probability of moving to each block (Kemeny and Snell).
`lumpability_gap` measures by how much that fails; `lumpability_test` asks whether data show it.

**Learning.** Counts n[i, j] of moves are all that observed paths say about P. With a Dirichlet
prior, row i has the posterior Dirichlet(a_i + n_i), and the probability of the paths given the
prior is a product of gamma functions (`dirichlet_log_marginal`). Ratios of it compare orders of
memory and pooling of segments; likelihood-ratio tests ask the same without a prior.

**Hidden stages.** We see y_t, not s_t. All that the recursions need is the table
l_t[k] = log p(y_t | s_t = k), zero where nothing was recorded. With initial probabilities pi:

    predicted    a_t[j] = sum_i f_{t-1}[i] P[i, j],   a_first = pi           p(s_t | y before t)
    filtered     f_t[j] = a_t[j] exp(l_t[j]) / c_t,   c_t = the sum          p(s_t | y up to t)
    likelihood   log p(y) = sum_t log c_t
    smoothed     g_t[i] ~ f_t[i] b_t[i],   b_t[i] = sum_j P[i, j] exp(l_{t+1}[j]) b_{t+1}[j]
    best path    v_t[j] = max_i v_{t-1}[i] P[i, j] exp(l_t[j]), then back along the maxima
    a drawn path s_last ~ f_last,   s_t ~ f_t[i] P[i, s_{t+1}]               backwards

`forward`, `smooth`, `viterbi` and `sample_paths` do this for N customers at once, in logarithms,
so neither long histories nor extreme evidence underflow. P may differ by period and by customer.

References
----------
Kemeny and Snell (1960), Finite Markov Chains, chapters III and VI.
Anderson and Goodman (1957), "Statistical inference about Markov chains", Annals of Mathematical
Statistics 28(1), 89-110.
Rabiner (1989), "A tutorial on hidden Markov models", Proceedings of the IEEE 77(2), 257-286.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special

from crmlab.errors import DataError, SpecError, raise_problems

Floats = NDArray[np.float64]

# ---------------------------------------------------------------------------------------------
# The long run
# ---------------------------------------------------------------------------------------------


def n_step(transition_matrix: ArrayLike, n_periods: int) -> Floats:
    """Return the probabilities of each stage `n_periods` periods from now.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    n_periods : int
        Not negative.

    Returns
    -------
    ndarray of shape (K, K)
        P^n: row = stage now, column = stage after `n_periods` periods.

    Raises
    ------
    SpecError
        The matrix or the number of periods is not valid.

    Examples
    --------
    >>> n_step([[0.9, 0.1], [0.0, 1.0]], n_periods=2).round(2)
    array([[0.81, 0.19],
           [0.  , 1.  ]])
    """
    P = _stochastic(transition_matrix)
    return np.linalg.matrix_power(P, _count("n_periods", n_periods))


def stationary_distribution(transition_matrix: ArrayLike) -> Floats:
    """Return the share of periods that a customer spends in each stage in the long run.

    Solves pi = pi P by the Grassmann-Taksar-Heyman elimination, which subtracts nothing and so
    keeps small probabilities accurate.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.

    Returns
    -------
    ndarray of shape (K,)
        Sums to 1; zero in transient stages.

    Raises
    ------
    SpecError
        The matrix is not valid, or it has several closed sets, so that the long run depends on
        the start.

    References
    ----------
    Grassmann, Taksar and Heyman (1985), Operations Research 33(5), 1107-1116.

    Examples
    --------
    >>> stationary_distribution([[0.9, 0.1], [0.3, 0.7]])
    array([0.75, 0.25])
    """
    P = _stochastic(transition_matrix)
    closed = _closed_sets(P)
    if len(closed) > 1:
        raise SpecError(
            f"transition_matrix: the long run depends on the start, because the sets of stages "
            f"{', '.join(str(members.tolist()) for members in closed)} are never left; use "
            "`passage_prob` to learn in which of them a customer ends"
        )
    shares = np.zeros(len(P))
    shares[closed[0]] = _eliminate(P[np.ix_(closed[0], closed[0])])
    return shares


def sojourn_time(transition_matrix: ArrayLike) -> Floats:
    """Return the expected length of one visit to each stage, in periods.

    The visit is geometric: 1 / (1 - P[i, i]).

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.

    Returns
    -------
    ndarray of shape (K,)
        At least 1; infinite for an absorbing stage.

    Raises
    ------
    SpecError
        The matrix is not valid.

    Examples
    --------
    >>> sojourn_time([[0.75, 0.25], [0.0, 1.0]])
    array([ 4., inf])
    """
    leave = 1 - np.diag(_stochastic(transition_matrix))
    return np.divide(1.0, leave, out=np.full(len(leave), np.inf), where=leave > 0)


def jump_chain(transition_matrix: ArrayLike) -> Floats:
    """Return the probabilities of the next *different* stage.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.

    Returns
    -------
    ndarray of shape (K, K)
        P[i, j] / (1 - P[i, i]) with a zero diagonal; an absorbing stage keeps its row.

    Raises
    ------
    SpecError
        The matrix is not valid.

    Examples
    --------
    >>> jump_chain([[0.5, 0.4, 0.1], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    array([[0. , 0.8, 0.2],
           [0. , 0. , 1. ],
           [0. , 0. , 1. ]])
    """
    P = _stochastic(transition_matrix)
    jumps = P - np.diag(np.diag(P))
    leave = jumps.sum(axis=1, keepdims=True)
    return np.divide(jumps, leave, out=np.eye(len(P)), where=leave > 0)


# ---------------------------------------------------------------------------------------------
# The way to the end
# ---------------------------------------------------------------------------------------------


def transient_stages(transition_matrix: ArrayLike) -> NDArray[np.intp]:
    """List the stages that are left for good sooner or later.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.

    Returns
    -------
    ndarray of int
        Indices in ascending order: the rows and columns of `fundamental_matrix`.

    Raises
    ------
    SpecError
        The matrix is not valid.

    Examples
    --------
    >>> transient_stages([[0.9, 0.1], [0.0, 1.0]])
    array([0])
    """
    return np.flatnonzero(~_is_recurrent(_stochastic(transition_matrix)))


def fundamental_matrix(transition_matrix: ArrayLike) -> Floats:
    """Return the expected number of periods in each transient stage, this period included.

    N = (I - T)^-1, where T holds the moves between transient stages.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.

    Returns
    -------
    ndarray of shape (M, M)
        Row = stage now, column = stage visited, both in the order of `transient_stages`. Periods.

    Raises
    ------
    SpecError
        The matrix is not valid, or no stage is transient.

    References
    ----------
    Kemeny and Snell (1960), theorem 3.2.4.

    Examples
    --------
    >>> fundamental_matrix([[0.5, 0.4, 0.1], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    array([[2. , 1.6],
           [0. , 2. ]])
    """
    P = _stochastic(transition_matrix)
    transient = np.flatnonzero(~_require_transient(P))
    T = P[np.ix_(transient, transient)]
    return linalg.solve(np.eye(len(T)) - T, np.eye(len(T)))


def first_passage_time(transition_matrix: ArrayLike, to: int | Sequence[int]) -> Floats:
    """Return the expected number of periods until a stage is first reached.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    to : int or sequence of int
        Index of the target stage, or of several: reaching any of them counts.

    Returns
    -------
    ndarray of shape (K,)
        By stage now: periods; 0 in the target, infinite where the target may be missed for ever.

    Raises
    ------
    SpecError
        The matrix or the target is not valid.

    References
    ----------
    Kemeny and Snell (1960), theorem 3.3.5 (with the target made absorbing).

    Examples
    --------
    >>> first_passage_time([[0.5, 0.5, 0.0], [0.0, 0.8, 0.2], [0.0, 0.0, 1.0]], to=2)
    array([7., 5., 0.])
    """
    P = _stochastic(transition_matrix)
    target = _stage_mask("to", to, len(P))
    reach = _reachable(_stop_at(P, target))
    may_miss = reach[:, ~reach[:, target].any(axis=1)].any(axis=1)
    times = np.where(may_miss, np.inf, 0.0)
    way = ~may_miss & ~target
    times[way] = _solve_on(P, way, np.ones(way.sum()))
    return times


def first_passage_quantile(
    transition_matrix: ArrayLike, to: int | Sequence[int], *, prob: float = 0.5
) -> Floats:
    """Return the number of periods after which a stage has been reached with a given probability.

    The smallest n with Pr(reached within n periods) >= `prob`; with 0.5 the median.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    to : int or sequence of int
        Index of the target stage, or of several: reaching any of them counts.
    prob : float
        Between 0 and 1, both excluded.

    Returns
    -------
    ndarray of shape (K,)
        By stage now: whole periods, infinite where the target is never reached that often.

    Raises
    ------
    SpecError
        The matrix, the target or the probability is not valid.

    Examples
    --------
    >>> first_passage_quantile([[0.9, 0.1], [0.0, 1.0]], to=1)
    array([7., 0.])
    """
    P = _stochastic(transition_matrix)
    target = _stage_mask("to", to, len(P))
    if not 0 < prob < 1:
        raise SpecError(f"prob must lie between 0 and 1, got {prob!r}")
    # A tie that rounding decides (a fair coin reaches 0.5 after one period) counts as reached.
    tolerance = 1e-12
    certain = passage_prob(P, np.flatnonzero(target)) >= prob - tolerance
    way = ~target
    waits = _longest_wait(P[np.ix_(way, way)], 1 - prob + tolerance, certain[way])
    quantile = np.zeros(len(P))
    quantile[way] = np.where(certain[way], waits + 1, np.inf)
    return quantile


def passage_prob(transition_matrix: ArrayLike, to: int | Sequence[int]) -> Floats:
    """Return the probability that a stage is ever reached.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    to : int or sequence of int
        Index of the target stage, or of several: reaching any of them counts.

    Returns
    -------
    ndarray of shape (K,)
        By stage now; 1 in the target itself.

    Raises
    ------
    SpecError
        The matrix or the target is not valid.

    References
    ----------
    Kemeny and Snell (1960), theorem 3.3.7 (with the target made absorbing).

    Examples
    --------
    >>> passage_prob([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], to=1).round(4)
    array([0.6, 1. , 0. ])
    """
    P = _stochastic(transition_matrix)
    target = _stage_mask("to", to, len(P))
    way = _reachable(P)[:, target].any(axis=1) & ~target
    probs = target.astype(float)
    probs[way] = _solve_on(P, way, P[np.ix_(way, target)].sum(axis=1))
    return probs


def absorption_time(transition_matrix: ArrayLike) -> Floats:
    """Return the expected number of periods until the transient stages are left for good.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.

    Returns
    -------
    ndarray of shape (K,)
        By stage now: periods; 0 where the end is reached already.

    Raises
    ------
    SpecError
        The matrix is not valid, or no stage is transient.

    Examples
    --------
    >>> absorption_time([[0.8, 0.2], [0.0, 1.0]])
    array([5., 0.])
    """
    P = _stochastic(transition_matrix)
    return first_passage_time(P, np.flatnonzero(_require_transient(P)))


def absorption_quantile(transition_matrix: ArrayLike, *, prob: float = 0.5) -> Floats:
    """Return the periods after which a relationship has ended with a given probability.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    prob : float
        Between 0 and 1, both excluded; 0.5 gives the median.

    Returns
    -------
    ndarray of shape (K,)
        By stage now: whole periods; 0 where the end is reached already.

    Raises
    ------
    SpecError
        The matrix or the probability is not valid, or no stage is transient.

    Examples
    --------
    >>> absorption_quantile([[0.8, 0.2], [0.0, 1.0]])
    array([4., 0.])
    """
    P = _stochastic(transition_matrix)
    return first_passage_quantile(P, np.flatnonzero(_require_transient(P)), prob=prob)


def survival(
    transition_matrix: ArrayLike,
    absorbing: int | Sequence[int],
    *,
    start: int | ArrayLike,
    n_periods: int,
) -> Floats:
    """Return the probability of not having reached the end after 0, 1, ..., n periods.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    absorbing : int or sequence of int
        Index of the stage that ends the relationship, or of several. If the matrix lets it be
        left again, the first arrival counts.
    start : int or array_like of shape (K,)
        Stage in period 0, or a probability for each stage.
    n_periods : int
        Not negative.

    Returns
    -------
    ndarray of shape (n_periods + 1,)
        The survival curve; it does not rise.

    Raises
    ------
    SpecError
        The matrix or an option is not valid.

    Examples
    --------
    >>> survival([[0.5, 0.5], [0.0, 1.0]], absorbing=1, start=0, n_periods=3)
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    P = _stochastic(transition_matrix)
    ended = _stage_mask("absorbing", absorbing, len(P))
    paths = _spread(_stop_at(P, ended), _start_probs(start, len(P)), _count("n_periods", n_periods))
    return paths[:, ~ended].sum(axis=1)


def occupancy(
    transition_matrix: ArrayLike, start: int | ArrayLike, *, n_periods: int | None = None
) -> Floats:
    """Return the expected number of periods spent in each stage, this period included.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    start : int or array_like of shape (K,)
        Stage in the first period, or a probability for each stage.
    n_periods : int, optional
        Length of the horizon; left out, it is infinite.

    Returns
    -------
    ndarray of shape (K,)
        Periods. They sum to `n_periods`; over an infinite horizon, stages that are visited for
        ever have infinitely many.

    Raises
    ------
    SpecError
        The matrix or an option is not valid.

    Examples
    --------
    >>> occupancy([[0.5, 0.5], [0.0, 1.0]], start=0, n_periods=3)
    array([1.75, 1.25])
    >>> occupancy([[0.5, 0.5], [0.0, 1.0]], start=0)
    array([ 2., inf])
    """
    P = _stochastic(transition_matrix)
    probs = _start_probs(start, len(P))
    if n_periods is None:
        return _occupancy_for_ever(P, probs)
    horizon = _count("n_periods", n_periods)
    return _spread(P, probs, horizon)[:horizon].sum(axis=0)


def path_prob(
    transition_matrix: ArrayLike, path: Sequence[int], *, initial_probs: ArrayLike | None = None
) -> float:
    """Return the probability of one path, period by period.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    path : sequence of int
        Index of the stage in each period.
    initial_probs : array_like of shape (K,), optional
        Probabilities of the first stage; left out, the first stage is given.

    Returns
    -------
    float

    Raises
    ------
    SpecError
        The matrix, the path or the initial probabilities are not valid.

    Examples
    --------
    >>> round(path_prob([[0.9, 0.1], [0.0, 1.0]], [0, 0, 1]), 4)
    0.09
    """
    P = _stochastic(transition_matrix)
    stages = _stage_indices("path", path, len(P))
    moves = P[stages[:-1], stages[1:]].prod()
    if initial_probs is None:
        return float(moves)
    return float(_probs("initial_probs", initial_probs, len(P))[stages[0]] * moves)


def eventual_path_prob(transition_matrix: ArrayLike, path: Sequence[int]) -> float:
    """Return the probability of one sequence of different stages, however long each lasts.

    The product of P[i, j] / (1 - P[i, i]) along the path.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    path : sequence of int
        Indices of stages, no stage following itself; the first is given.

    Returns
    -------
    float

    Raises
    ------
    SpecError
        The matrix or the path is not valid.

    Examples
    --------
    >>> round(eventual_path_prob([[0.9, 0.06, 0.04], [0, 1, 0], [0, 0, 1]], [0, 1]), 4)
    0.6
    """
    P = _stochastic(transition_matrix)
    stages = _stage_indices("path", path, len(P))
    if (stages[1:] == stages[:-1]).any():
        raise SpecError(
            f"path must not repeat a stage at once, because stays of any length are included, "
            f"got {stages.tolist()}"
        )
    return path_prob(jump_chain(P), stages)


def block_moves(transition_matrix: ArrayLike, blocked: ArrayLike) -> Floats:
    """Forbid moves: a customer who would have made one stays where she is.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    blocked : array_like of bool, shape (K, K)
        True where the move is to be blocked, e.g. ``space.kinds == "repair"``.

    Returns
    -------
    ndarray of shape (K, K)
        The blocked probability is added to the diagonal. The rows are not rescaled: that would
        make every other move, exits included, more likely than before.

    Raises
    ------
    SpecError
        The matrix or the shape of `blocked` is not valid, or staying is to be blocked.

    Examples
    --------
    >>> blocked = [[False, False], [True, False]]
    >>> block_moves([[0.75, 0.25], [0.5, 0.5]], blocked)
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    P = _stochastic(transition_matrix)
    blocked = np.asarray(blocked)
    if blocked.shape != P.shape or blocked.dtype != bool:
        raise SpecError(
            f"blocked must be an array of bool of shape {P.shape}, got {blocked.dtype} of shape "
            f"{blocked.shape}"
        )
    if np.diag(blocked).any():
        raise SpecError("blocked must be False on its diagonal: a customer can always stay")
    kept = np.where(blocked, 0.0, P)
    return kept + np.diag(np.where(blocked, P, 0.0).sum(axis=1))


# ---------------------------------------------------------------------------------------------
# Coarser stages
# ---------------------------------------------------------------------------------------------


def block_probs(transition_matrix: ArrayLike, blocks: Sequence[Hashable]) -> Floats:
    """Return the probability of moving from each stage into each block of stages.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    blocks : sequence of K labels
        The block of each stage, e.g. ``KNAPP_TO_LIFECYCLE.labels``.

    Returns
    -------
    ndarray of shape (K, B)
        Blocks in the order in which `blocks` first names them. Lumpable: equal rows in a block.

    Raises
    ------
    SpecError
        The matrix is not valid, or there is not one label per stage.

    Examples
    --------
    >>> P = [[0.5, 0.25, 0.25], [0.0, 0.5, 0.5], [0.0, 0.25, 0.75]]
    >>> block_probs(P, ["new", "old", "old"])
    array([[0.5, 0.5],
           [0. , 1. ],
           [0. , 1. ]])
    """
    P = _stochastic(transition_matrix)
    return P @ _membership(blocks, len(P))


def lump(
    transition_matrix: ArrayLike,
    blocks: Sequence[Hashable],
    *,
    weights: ArrayLike | None = None,
) -> Floats:
    """Return the transition matrix between blocks of stages.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    blocks : sequence of K labels
        The block of each stage, e.g. ``KNAPP_TO_LIFECYCLE.labels``.
    weights : array_like of shape (K,), optional
        How many customers each stage holds, e.g. its `occupancy`; left out, all stages of a block
        weigh the same. If the chain is lumpable, the weights make no difference; if it is not,
        the blocks follow no Markov chain and the result holds for these weights only.

    Returns
    -------
    ndarray of shape (B, B)
        Blocks in the order in which `blocks` first names them.

    Raises
    ------
    SpecError
        The matrix, the labels or the weights are not valid.

    Examples
    --------
    >>> P = [[0.5, 0.25, 0.25], [0.0, 0.5, 0.5], [0.0, 0.25, 0.75]]
    >>> lump(P, ["new", "old", "old"])
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    rows = block_probs(transition_matrix, blocks)
    members = _membership(blocks, len(rows)) * _block_weights(weights, len(rows))[:, None]
    totals = members.sum(axis=0)
    if (totals <= 0).any():
        raise SpecError("weights must be positive for at least one stage of each block")
    return (members / totals).T @ rows


def lumpability_gap(transition_matrix: ArrayLike, blocks: Sequence[Hashable]) -> float:
    """Return by how much the stages of one block differ in their moves to blocks, at most.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    blocks : sequence of K labels
        The block of each stage, e.g. ``KNAPP_TO_LIFECYCLE.labels``.

    Returns
    -------
    float
        A difference of probabilities: max |Pr(i to B) - Pr(k to B)| over blocks B and stages i, k
        of the same block. Zero if and only if the blocks follow a Markov chain from every start.

    Raises
    ------
    SpecError
        The matrix is not valid, or there is not one label per stage.

    References
    ----------
    Kemeny and Snell (1960), theorem 6.3.2.

    Examples
    --------
    >>> P = [[0.5, 0.3, 0.2], [0.0, 0.6, 0.4], [0.1, 0.0, 0.9]]
    >>> round(lumpability_gap(P, ["new", "old", "old"]), 4)
    0.1
    """
    rows = block_probs(transition_matrix, blocks)
    members = _membership(blocks, len(rows)).astype(bool)
    return float(max(np.ptp(rows[block], axis=0).max() for block in members.T))


# ---------------------------------------------------------------------------------------------
# Counts and tests
# ---------------------------------------------------------------------------------------------


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


def transition_counts(paths: ArrayLike, n_stages: int, *, order: int = 1) -> NDArray[np.int64]:
    """Count the runs of stages that follow each other directly.

    Parameters
    ----------
    paths : array_like of int, shape (N, T) or (T,)
        Stage of each customer in each period; -1 where it is unknown. Runs across an unknown
        stage are not counted.
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
    known = _check_paths(paths, n_stages)
    length = _count("order", order) + 1
    shape = (n_stages,) * length
    if known.shape[1] < length:
        return np.zeros(shape, dtype=np.int64)
    runs = np.lib.stride_tricks.sliding_window_view(known, length, axis=1).reshape(-1, length)
    runs = runs[(runs >= 0).all(axis=1)]
    cells = np.ravel_multi_index(tuple(runs.T), shape)
    return np.bincount(cells, minlength=n_stages**length).reshape(shape)


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
        For each i, (groups seen in i - 1) x (stages reached from i - 1) degrees of freedom: what
        never happens in any group, structural zeros included, costs none.

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
    tables = _check_counts(counts)
    if tables.ndim != 3 or tables.shape[1] != tables.shape[2]:
        raise DataError(f"counts must have shape (groups, K, K), got {tables.shape}")
    return _likelihood_ratio_test(np.moveaxis(tables, 0, 1))


def order_test(paths: ArrayLike, n_stages: int, *, order: int = 1) -> ChiSquareTest:
    """Test whether the last `order` stages tell all that the last `order` + 1 tell.

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
    counts = transition_counts(paths, n_stages, order=_count("order", order) + 1)
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
    moves = _check_counts(counts)
    if moves.ndim != 2 or moves.shape[0] != moves.shape[1]:
        raise DataError(f"counts must have shape (K, K), got {moves.shape}")
    members = _membership(blocks, len(moves))
    rows = moves @ members
    return _likelihood_ratio_test(rows[block] for block in members.astype(bool).T)


# ---------------------------------------------------------------------------------------------
# Dirichlet rows
# ---------------------------------------------------------------------------------------------


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
    moves, concentration = _check_dirichlet(counts, prior)
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
    a = _check_concentration(concentration)
    totals = a.sum(axis=-1, keepdims=True)
    if (totals == 0).any():
        raise SpecError("concentration must be positive somewhere in each row")
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
    n, a = _check_dirichlet(counts, prior)
    if ((a == 0) & (n > 0)).any():
        return -np.inf
    # Impossible moves have no factor; ln G(1) = 0 stands in for them.
    cells = special.gammaln(np.where(a > 0, a + n, 1.0)) - special.gammaln(np.where(a > 0, a, 1.0))
    n_row, a_row = n.sum(axis=-1), a.sum(axis=-1)
    a_row = np.where(a_row > 0, a_row, 1.0)
    return float(cells.sum() + (special.gammaln(a_row) - special.gammaln(a_row + n_row)).sum())


def order_log_marginals(
    paths: ArrayLike, n_stages: int, *, max_order: int = 2, prior: ArrayLike = 1.0
) -> Floats:
    """Return the log-probability of paths under chains with a memory of 0, 1, ... periods.

    All orders explain the same stages: those that follow `max_order` known ones. The difference
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
    rows = _fit_prior(prior, (n_stages, n_stages))
    priors = [rows.mean(axis=0)] + [rows] * max_order
    # Summing over the oldest periods of the runs forgets them.
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
    moves = _check_counts(counts)
    if moves.ndim != 3 or moves.shape[1] != moves.shape[2]:
        raise DataError(f"counts must have shape (segments, K, K), got {moves.shape}")
    pooled = dirichlet_log_marginal(moves.sum(axis=0), prior)
    return pooled - sum(dirichlet_log_marginal(segment, prior) for segment in moves)


# ---------------------------------------------------------------------------------------------
# Hidden stages
# ---------------------------------------------------------------------------------------------


class Forward(NamedTuple):
    """What the evidence says about the stages, up to each period.

    Parameters
    ----------
    filtered : ndarray of shape (N, T, K)
        p(s_t | y up to and including t).
    predicted : ndarray of shape (N, T, K)
        p(s_t | y before t); the initial probabilities in a customer's first period.
    loglik : ndarray of shape (N,)
        log p(y) of each customer, natural logarithm.
    """

    filtered: Floats
    predicted: Floats
    loglik: Floats


def forward(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> Forward:
    """Filter: the probability of each stage given the evidence so far, and of the evidence.

    Parameters
    ----------
    initial_probs : array_like of shape (K,) or (N, K)
        Probabilities of the stage in a customer's first period.
    transition_matrix : array_like, broadcastable to (N, T - 1, K, K)
        Entry [n, t] moves customer n from period t to t + 1. A (K, K) matrix serves all.
    log_likelihoods : array_like of shape (N, T, K)
        log p(y | stage) of what was seen in each period (natural logarithm); 0 where nothing was,
        -inf where a stage is impossible. Ignored outside the window.
    first, last : array_like of int, shape (N,), optional
        A customer's window: index of the first and the last period, both included. Left out, it
        is the whole range.

    Returns
    -------
    Forward
        Probabilities are NaN outside the window. If the evidence of a customer is impossible, the
        log-likelihood is -inf, and the filtered probabilities are NaN from that period on, the
        predicted ones from the next.

    Raises
    ------
    SpecError
        Probabilities are not valid, or shapes do not fit. All problems at once.
    DataError
        A log-likelihood inside the window is NaN or +inf, or a window is empty or out of range.

    References
    ----------
    Rabiner (1989), equations 18 to 21, normalised in each period.

    Examples
    --------
    >>> rain = np.log([[[0.9, 0.2], [0.9, 0.2]]])  # an umbrella on both days
    >>> result = forward([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], rain)
    >>> result.filtered[0, :, 0].round(3)
    array([0.818, 0.883])
    """
    evidence = _evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    log_filtered, log_predicted, loglik = _filter(evidence)
    return Forward(np.exp(log_filtered), np.exp(log_predicted), loglik)


def smooth(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> Floats:
    """Smooth: the probability of each stage in each period given all the evidence.

    Parameters
    ----------
    initial_probs, transition_matrix, log_likelihoods, first, last
        As in `forward`.

    Returns
    -------
    ndarray of shape (N, T, K)
        p(s_t | all y of the customer); NaN outside the window, and throughout for a customer
        whose evidence is impossible.

    Raises
    ------
    SpecError, DataError
        As in `forward`.

    References
    ----------
    Rabiner (1989), equations 24 to 27.

    Examples
    --------
    >>> rain = np.log([[[0.9, 0.2], [0.9, 0.2]]])
    >>> smooth([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], rain)[0, :, 0].round(3)
    array([0.883, 0.883])
    """
    evidence = _evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    log_filtered, _, _ = _filter(evidence)
    log_smoothed = np.empty_like(log_filtered)
    log_later = np.zeros_like(evidence.log_initial)
    for t in reversed(range(evidence.n_periods)):
        log_later = np.where((t >= evidence.last)[:, None], 0.0, log_later)
        log_smoothed[:, t] = _normalised(log_filtered[:, t] + log_later)
        if t:
            weights = _lowered(evidence.log_likelihoods[:, t] + log_later)
            log_later = _log_move(weights, evidence.matrix(t - 1).swapaxes(1, 2), evidence.faintest)
    return np.exp(log_smoothed)


def viterbi(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Find the most probable path of each customer, as a whole.

    Parameters
    ----------
    initial_probs, transition_matrix, log_likelihoods, first, last
        As in `forward`.

    Returns
    -------
    ndarray of int, shape (N, T)
        Index of the stage in each period; -1 outside the window, and throughout for a customer
        whose evidence is impossible. Of equally probable choices the first listed stage wins.

    Raises
    ------
    SpecError, DataError
        As in `forward`.

    References
    ----------
    Rabiner (1989), equations 32 to 35.

    Examples
    --------
    >>> rain = np.log([[[0.9, 0.2], [0.1, 0.8], [0.9, 0.2]]])
    >>> viterbi([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], rain)
    array([[0, 1, 0]])
    """
    evidence = _evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    came_from, ends = _best_arrivals(evidence)
    paths = np.full(evidence.inside.shape, -1)
    customers = np.arange(len(paths))
    stage = np.maximum(ends, 0)
    for t in reversed(range(evidence.n_periods)):
        stage = np.where(t >= evidence.last, np.maximum(ends, 0), stage)
        paths[:, t] = np.where(evidence.inside[:, t] & (ends >= 0), stage, -1)
        stage = came_from[customers, t, stage]
    return paths


def sample_paths(
    rng: np.random.Generator,
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None = None,
    last: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Sample one path per customer from its distribution given all the evidence.

    Filters forwards, then samples backwards. With log-likelihoods of 0 the paths come from the
    chain itself.

    Parameters
    ----------
    rng : numpy.random.Generator
        Gives one uniform per customer and period.
    initial_probs, transition_matrix, log_likelihoods, first, last
        As in `forward`.

    Returns
    -------
    ndarray of int, shape (N, T)
        Index of the stage in each period; -1 outside the window, and throughout for a customer
        whose evidence is impossible.

    Raises
    ------
    SpecError, DataError
        As in `forward`.

    References
    ----------
    Carter and Kohn (1994), Biometrika 81(3), 541-553; Fruehwirth-Schnatter (2006), Finite Mixture
    and Markov Switching Models, algorithm 11.5.

    Examples
    --------
    >>> certain = np.log([[[1.0, 1e-300], [1e-300, 1.0], [1.0, 1.0]]])
    >>> P = [[0.5, 0.5], [0.0, 1.0]]
    >>> sample_paths(np.random.default_rng(1), [0.5, 0.5], P, certain)
    array([[0, 1, 1]])
    """
    evidence = _evidence(initial_probs, transition_matrix, log_likelihoods, first, last)
    log_filtered, _, loglik = _filter(evidence)
    uniforms = rng.random(evidence.inside.shape)
    usable = evidence.inside & (loglik > -np.inf)[:, None]
    paths = np.full(evidence.inside.shape, -1)
    log_onward = np.zeros_like(evidence.log_initial)
    for t in reversed(range(evidence.n_periods)):
        log_onward = np.where((t >= evidence.last)[:, None], 0.0, log_onward)
        stage = _sample_stage(uniforms[:, t], log_filtered[:, t] + log_onward)
        paths[:, t] = np.where(usable[:, t], stage, -1)
        if t:
            log_onward = _log_column(evidence.matrix(t - 1), stage)
    return paths


class _Evidence(NamedTuple):
    """Checked inputs of the recursions, in one layout; cells outside the window say nothing."""

    log_initial: Floats  # (N, K)
    matrices: Floats  # (N or 1, T - 1 or 1, K, K)
    log_likelihoods: Floats  # (N, T, K), 0 outside the window
    first: NDArray[np.int64]  # (N,)
    last: NDArray[np.int64]  # (N,)
    inside: NDArray[np.bool_]  # (N, T)
    faintest: float  # log of the smallest positive transition probability

    @property
    def n_periods(self) -> int:
        return self.inside.shape[1]

    def matrix(self, t: int) -> Floats:
        """Return the matrices that move from period t to t + 1, (N or 1, K, K)."""
        return self.matrices[:, min(t, self.matrices.shape[1] - 1)]


def _filter(evidence: _Evidence) -> tuple[Floats, Floats, Floats]:
    """Run the filter in logarithms: log filtered, log predicted, log-likelihood."""
    log_filtered = np.full(evidence.log_likelihoods.shape, np.nan)
    log_predicted = log_filtered.copy()
    loglik = np.zeros(len(log_filtered))
    now = evidence.log_initial
    for t in range(evidence.n_periods):
        inside = evidence.inside[:, t]
        ahead = _log_move(now, evidence.matrix(t - 1), evidence.faintest) if t else now
        ahead = np.where((t == evidence.first)[:, None], evidence.log_initial, ahead)
        joint = ahead + evidence.log_likelihoods[:, t]
        total = _log_sum(joint)
        # Dividing by a total of zero: the probabilities are undefined from here on.
        now = joint - np.where(total > -np.inf, total, np.nan)[:, None]
        loglik += np.where(inside, total, 0.0)
        log_filtered[inside, t], log_predicted[inside, t] = now[inside], ahead[inside]
    return log_filtered, log_predicted, np.where(np.isnan(loglik), -np.inf, loglik)


def _log_move(log_probs: Floats, matrices: Floats, faintest: float) -> Floats:
    """Return log(probs @ matrix) for each customer, (N, K), where no product may underflow."""
    if len(matrices) == 1:
        ahead = np.exp(log_probs) @ matrices[0]
    else:
        ahead = (np.exp(log_probs)[:, None] @ matrices)[:, 0]
    log_ahead = _log(ahead)
    # exp(-745) is zero in floating point. Stages that faint are rare, but later evidence may
    # leave nothing else, so their customers are done again with sums of logarithms.
    faint = ((log_probs > -np.inf) & (log_probs + faintest < -700)).any(axis=1)
    if faint.any():
        chosen = matrices if len(matrices) == 1 else matrices[faint]
        terms = log_probs[faint][:, :, None] + _log(chosen)
        log_ahead[faint] = _log_sum(terms.swapaxes(1, 2))
    return log_ahead


def _best_arrivals(evidence: _Evidence) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the best predecessor of each stage (N, T, K) and the best last stage (N,)."""
    came_from = np.zeros(evidence.log_likelihoods.shape, dtype=np.intp)
    ends = np.full(len(came_from), -1)
    score = evidence.log_initial
    for t in range(evidence.n_periods):
        if t:
            candidates = score[:, :, None] + _log(evidence.matrix(t - 1))
            came_from[:, t], score = candidates.argmax(axis=1), candidates.max(axis=1)
        score = np.where((t == evidence.first)[:, None], evidence.log_initial, score)
        score = _lowered(score + evidence.log_likelihoods[:, t])
        possible = (t == evidence.last) & (score.max(axis=1) > -np.inf)
        ends = np.where(possible, score.argmax(axis=1), ends)
    return came_from, ends


def _sample_stage(uniforms: Floats, log_weights: Floats) -> NDArray[np.int64]:
    cumulative = np.exp(_normalised(log_weights)).cumsum(axis=1)
    # Divided by its own last entry, the sum ends in exactly 1, which no uniform reaches.
    return (cumulative / cumulative[:, -1:] <= uniforms[:, None]).sum(axis=1)


def _log_column(matrices: Floats, stage: NDArray[np.int64]) -> Floats:
    """Return log P[n, :, stage[n]], (N, K)."""
    customers = np.arange(len(stage)) if len(matrices) > 1 else np.zeros(len(stage), dtype=int)
    return _log(matrices[customers, :, stage])


def _log(values: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(values)


def _lowered(logs: Floats) -> Floats:
    """Subtract the largest of the last axis, which changes no comparison or ratio."""
    peak = logs.max(axis=-1, keepdims=True)
    return logs - np.where(peak == -np.inf, 0.0, peak)


def _log_sum(logs: Floats) -> Floats:
    peak = logs.max(axis=-1)
    peak = np.where(peak == -np.inf, 0.0, peak)
    return _log(np.exp(logs - peak[..., None]).sum(axis=-1)) + peak


def _normalised(logs: Floats) -> Floats:
    total = _log_sum(logs)
    return logs - np.where(total > -np.inf, total, np.nan)[..., None]


# ---------------------------------------------------------------------------------------------
# Linear algebra on sets of stages
# ---------------------------------------------------------------------------------------------


def _reachable(P: Floats) -> NDArray[np.bool_]:
    """Whether column can be reached from row in any number of moves, none included."""
    reach = (P > 0) | np.eye(len(P), dtype=bool)
    for _ in range(len(P).bit_length()):
        reach = reach @ reach
    return reach


def _is_recurrent(P: Floats) -> NDArray[np.bool_]:
    """Whether every stage that can be reached from a stage can reach it back."""
    reach = _reachable(P)
    return (reach <= reach.T).all(axis=1)


def _require_transient(P: Floats) -> NDArray[np.bool_]:
    recurrent = _is_recurrent(P)
    if recurrent.all():
        raise SpecError("transition_matrix: no stage is ever left for good, so nothing ends")
    return recurrent


def _closed_sets(P: Floats) -> list[NDArray[np.intp]]:
    """List the smallest closed sets, each as indices."""
    reach, recurrent = _reachable(P), _is_recurrent(P)
    sets = np.unique(reach[recurrent], axis=0)
    return sorted((np.flatnonzero(members) for members in sets), key=lambda indices: indices[0])


def _eliminate(P: Floats) -> Floats:
    """Solve pi = pi P on one closed set, from the first stage to the last and back."""
    A = P.copy()
    for k in range(len(A) - 1):
        A[k + 1 :, k] /= A[k, k + 1 :].sum()
        A[k + 1 :, k + 1 :] += np.outer(A[k + 1 :, k], A[k, k + 1 :])
    shares = np.ones(len(A))
    for k in reversed(range(len(A) - 1)):
        shares[k] = shares[k + 1 :] @ A[k + 1 :, k]
    return shares / shares.sum()


def _solve_on(P: Floats, members: NDArray[np.bool_], right: Floats) -> Floats:
    """Solve x = right + P x among the given stages."""
    if not members.any():
        return right
    T = P[np.ix_(members, members)]
    return linalg.solve(np.eye(len(T)) - T, right)


def _stop_at(P: Floats, target: NDArray[np.bool_]) -> Floats:
    return np.where(target[:, None], np.eye(len(P)), P)


def _spread(P: Floats, probs: Floats, n_periods: int) -> Floats:
    """Return the stage probabilities in periods 0 to n, (n + 1, K)."""
    path = np.empty((n_periods + 1, len(P)))
    path[0] = probs
    for t in range(n_periods):
        path[t + 1] = path[t] @ P
    return path


def _occupancy_for_ever(P: Floats, probs: Floats) -> Floats:
    transient = ~_is_recurrent(P)
    visited = _reachable(P)[probs > 0].any(axis=0)
    periods = np.where(visited, np.inf, 0.0)
    periods[transient] = _solve_on(P.T, transient, probs[transient])
    return periods


def _longest_wait(T: Floats, level: float, ends: NDArray[np.bool_]) -> Floats:
    """Return the largest n at which the survival from each stage, T^n 1, still exceeds `level`.

    Powers of two first, then the binary digits of n from the top: about 2 log2(n) products.
    """
    powers = [T]
    while (powers[-1].sum(axis=1)[ends] > level).any():
        powers.append(powers[-1] @ powers[-1])
    waits, reached = np.zeros(len(T)), np.eye(len(T))
    for k, power in reversed(list(enumerate(powers))):
        further = reached @ power
        survives = ends & (further.sum(axis=1) > level)
        reached = np.where(survives[:, None], further, reached)
        waits += np.where(survives, 2.0**k, 0.0)
    return waits


def _membership(blocks: Sequence[Hashable], n_stages: int) -> Floats:
    """Whether a stage (row) belongs to a block (column), blocks in order of appearance."""
    labels = list(blocks)
    if len(labels) != n_stages:
        raise SpecError(f"blocks must name one block per stage ({n_stages}), got {len(labels)}")
    names = list(dict.fromkeys(labels))
    return np.array([[float(label == name) for name in names] for label in labels])


def _block_weights(weights: ArrayLike | None, n_stages: int) -> Floats:
    if weights is None:
        return np.ones(n_stages)
    values = _numbers("weights", weights)
    if values.shape != (n_stages,) or not np.isfinite(values).all() or (values < 0).any():
        raise SpecError(
            f"weights must be {n_stages} finite numbers that are not negative, got {weights!r}"
        )
    return values


# ---------------------------------------------------------------------------------------------
# Likelihood ratios of contingency tables
# ---------------------------------------------------------------------------------------------


def _likelihood_ratio_test(tables: Iterable[NDArray]) -> ChiSquareTest:
    """Test in each table whether all rows share one distribution, and add up."""
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
    # An empty margin fits itself: it has no parameter in either hypothesis.
    rows, columns = (table.sum(axis=1) > 0).sum(), (table.sum(axis=0) > 0).sum()
    return max(rows - 1, 0) * max(columns - 1, 0)


# ---------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------


def _numbers(name: str, values: ArrayLike, error: type[ValueError] = SpecError) -> Floats:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as problem:
        raise error(f"{name} must be a regular array of numbers ({problem})") from problem


def _stochastic(transition_matrix: ArrayLike) -> Floats:
    P = _numbers("transition_matrix", transition_matrix)
    if P.ndim != 2 or P.shape[0] != P.shape[1] or not len(P):
        raise SpecError(f"transition_matrix must be square, (K, K), got shape {P.shape}")
    raise_problems(SpecError, "transition_matrix", _problems_of_probs("row", P))
    return P


def _problems_of_probs(row: str, probs: Floats) -> list[str]:
    if not np.isfinite(probs).all():
        return ["must hold finite numbers only"]
    problems = ["must not be negative"] if (probs < 0).any() else []
    off = np.argwhere(np.abs(probs.sum(axis=-1) - 1) > 1e-8)
    if len(off):
        place = tuple(map(int, off[0]))
        where = f"{row} {place[0] if len(place) == 1 else place}".strip() if place else row
        problems.append(
            f"{where} sums to {probs[place].sum():.10g}, must be 1"
            + (f" (and {len(off) - 1} more)" if len(off) > 1 else "")
        )
    return problems


def _count(name: str, value: int) -> int:
    if not isinstance(value, (int, np.integer)) or value < 0:
        raise SpecError(f"{name} must be an integer that is not negative, got {value!r}")
    return int(value)


def _stage_indices(name: str, stages: int | Sequence[int], n_stages: int) -> NDArray[np.intp]:
    indices = np.atleast_1d(np.asarray(stages))
    if not len(indices) or indices.dtype.kind not in "iu" or indices.ndim != 1:
        raise SpecError(
            f"{name} must be the index of a stage or several, got {stages!r}; "
            "`space.index(name)` gives it"
        )
    if (indices < 0).any() or (indices >= n_stages).any():
        raise SpecError(f"{name} must lie between 0 and {n_stages - 1}, got {indices.tolist()}")
    return indices


def _stage_mask(name: str, stages: int | Sequence[int], n_stages: int) -> NDArray[np.bool_]:
    mask = np.zeros(n_stages, dtype=bool)
    mask[_stage_indices(name, stages, n_stages)] = True
    return mask


def _start_probs(start: int | ArrayLike, n_stages: int) -> Floats:
    if np.ndim(start) == 0:
        return _stage_mask("start", start, n_stages).astype(float)
    return _probs("start", start, n_stages)


def _probs(name: str, values: ArrayLike, n_stages: int) -> Floats:
    probs = _numbers(name, values)
    if probs.shape != (n_stages,):
        raise SpecError(f"{name} must give {n_stages} probabilities, got shape {probs.shape}")
    raise_problems(SpecError, name, _problems_of_probs("the vector", probs))
    return probs


def _check_paths(paths: ArrayLike, n_stages: int) -> NDArray[np.integer]:
    stages = np.atleast_2d(np.asarray(paths))
    _count("n_stages", n_stages)
    if stages.ndim != 2 or stages.dtype.kind not in "iu":
        raise DataError(
            f"paths must be integers of shape (customers, periods), -1 where the stage is "
            f"unknown, got {stages.dtype} of shape {stages.shape}"
        )
    wrong = np.unique(stages[(stages < -1) | (stages >= n_stages)])
    if len(wrong):
        raise DataError(f"paths must lie between -1 and {n_stages - 1}, got {wrong.tolist()}")
    return stages


def _check_counts(counts: ArrayLike) -> Floats:
    values = _numbers("counts", counts, DataError)
    if not np.isfinite(values).all() or (values < 0).any():
        raise DataError("counts must be finite and not negative")
    return values


def _check_concentration(prior: ArrayLike) -> Floats:
    values = _numbers("prior", prior)
    if not np.isfinite(values).all() or (values < 0).any():
        raise SpecError("the prior's concentration must be finite and not negative")
    return values


def _check_dirichlet(counts: ArrayLike, prior: ArrayLike) -> tuple[Floats, Floats]:
    moves = _check_counts(counts)
    return moves, _fit_prior(prior, moves.shape)


def _fit_prior(prior: ArrayLike, shape: tuple[int, ...]) -> Floats:
    concentration = _check_concentration(prior)
    try:
        return np.broadcast_to(concentration, shape)
    except ValueError:
        raise SpecError(f"prior must broadcast to {shape}, got {concentration.shape}") from None


def _evidence(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None,
    last: ArrayLike | None,
) -> _Evidence:
    """Check the inputs of a recursion and bring them into one layout."""
    logs = _numbers("log_likelihoods", log_likelihoods, DataError)
    if logs.ndim != 3 or 0 in logs.shape[1:]:
        raise SpecError(f"log_likelihoods must have shape (N, T, K), got {logs.shape}")
    initial = _numbers("initial_probs", initial_probs)
    matrices = _four_dimensional(_numbers("transition_matrix", transition_matrix))
    problems = [
        *_problems_of_initial(initial, logs.shape),
        *_problems_of_matrices(matrices, logs.shape),
    ]
    raise_problems(SpecError, "hidden stages", problems)
    first, last, inside = _windows(first, last, *logs.shape[:2])
    return _Evidence(
        log_initial=_log(np.broadcast_to(initial, (logs.shape[0], logs.shape[2]))),
        matrices=matrices,
        log_likelihoods=_blank_outside(logs, inside),
        first=first,
        last=last,
        inside=inside,
        faintest=float(np.log(matrices.min(where=matrices > 0, initial=1.0))),
    )


def _four_dimensional(matrices: Floats) -> Floats:
    return matrices.reshape((1,) * (4 - matrices.ndim) + matrices.shape)


def _problems_of_initial(initial: Floats, shape: tuple[int, int, int]) -> list[str]:
    n, _, k = shape
    if initial.shape not in {(k,), (1, k), (n, k)}:
        return [f"initial_probs must have shape ({k},) or ({n}, {k}), got {initial.shape}"]
    return [f"initial_probs: {problem}" for problem in _problems_of_probs("row", initial)]


def _problems_of_matrices(matrices: Floats, shape: tuple[int, int, int]) -> list[str]:
    n, t, k = shape
    fits = (
        matrices.ndim == 4
        and matrices.shape[0] in (1, n)
        and matrices.shape[1] in (1, t - 1)
        and matrices.shape[2:] == (k, k)
    )
    if not fits:
        return [
            f"transition_matrix must broadcast to ({n}, {t - 1}, {k}, {k}), got {matrices.shape}"
        ]
    return [f"transition_matrix: {problem}" for problem in _problems_of_probs("row", matrices)]


def _windows(
    first: ArrayLike | None, last: ArrayLike | None, n_customers: int, n_periods: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    begin = _bound("first", 0 if first is None else first, n_customers)
    end = _bound("last", n_periods - 1 if last is None else last, n_customers)
    wrong = np.flatnonzero((begin < 0) | (end >= n_periods) | (begin > end))
    if len(wrong):
        n = int(wrong[0])
        raise DataError(
            f"each window must satisfy 0 <= first <= last <= {n_periods - 1}; customer {n} has "
            f"first {begin[n]} and last {end[n]} ({len(wrong)} such customers)"
        )
    periods = np.arange(n_periods)
    return begin, end, (periods >= begin[:, None]) & (periods <= end[:, None])


def _bound(name: str, values: ArrayLike, n_customers: int) -> NDArray[np.int64]:
    bound = np.asarray(values)
    if bound.dtype.kind not in "iu" or bound.shape not in {(), (n_customers,)}:
        raise SpecError(
            f"{name} must be {n_customers} integers, got {bound.dtype} of shape {bound.shape}"
        )
    return np.broadcast_to(bound.astype(np.int64), (n_customers,))


def _blank_outside(logs: Floats, inside: NDArray[np.bool_]) -> Floats:
    known = np.where(inside[:, :, None], logs, 0.0)
    wrong = np.argwhere(np.isnan(known) | (known == np.inf))
    if len(wrong):
        raise DataError(
            f"log_likelihoods must be below infinity and not NaN inside the window (0 where "
            f"nothing was seen), but customer {wrong[0, 0]}, period {wrong[0, 1]}, stage "
            f"{wrong[0, 2]} has {known[tuple(wrong[0])]} ({len(wrong)} such cells)"
        )
    return known
