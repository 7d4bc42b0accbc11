"""How long the way to a stage or to the end is, and how probable.

Write T for the rows and columns of P between transient stages, which are left for good sooner or
later. T^n holds the probabilities of still being on the way after n periods, and because they
shrink to zero, their sum is finite:

    N = I + T + T^2 + ... = (I - T)^-1        `fundamental_matrix`: expected periods in j from i
    N 1                                       `absorption_time`: expected periods until the end

For any other target, imagine that the customer stays there once she has arrived. After one step,
the problem is the same, one period later:

    m = 1 + P m, m = 0 at the target          `first_passage_time` (the smallest solution)
    h = P h,     h = 1 at the target          `passage_prob`: ever reach it (the smallest solution)

If the target may never be reached, the expected time is infinite, even if reaching it is almost
certain; the median may still be finite (`first_passage_quantile`). The share that has not arrived
after each number of periods is the curve of `survival`; the periods spent on the way, or within any
horizon, are the `occupancy` of the stages.

The present period counts: a customer who is in stage i now spends at least this period there.

References
----------
Kemeny and Snell (1960), Finite Markov Chains, chapter III.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from crmlab.arrays import Bools, Floats, number_problems
from crmlab.chains.inputs import mark_stages, read_count, read_matrix, read_start
from crmlab.chains.reach import is_recurrent, reachable
from crmlab.errors import SpecError, raise_problems


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
    P = read_matrix(transition_matrix)
    transient = ~_require_end(P)
    return _solve_on(P, transient, np.eye(transient.sum()))


def first_passage_time(transition_matrix: ArrayLike, to: ArrayLike) -> Floats:
    """Return the expected number of periods until a stage is first reached.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    to : int or sequence of int
        Index of the target stage, or several indices: reaching any of them counts.

    Returns
    -------
    ndarray of shape (K,)
        By current stage: periods; 0 in the target, infinite if the target may never be reached.

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
    P = read_matrix(transition_matrix)
    target = mark_stages("to", to, len(P))
    reach = reachable(_stop_at(P, target))
    may_miss = reach[:, ~reach[:, target].any(axis=1)].any(axis=1)
    times = np.where(may_miss, np.inf, 0.0)
    way = ~may_miss & ~target
    times[way] = _solve_on(P, way, np.ones(way.sum()))
    return times


def first_passage_quantile(
    transition_matrix: ArrayLike, to: ArrayLike, *, prob: float = 0.5
) -> Floats:
    """Return the number of periods after which a stage has been reached with a given probability.

    The smallest n with Pr(reached within n periods) >= `prob`; with 0.5 the median.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    to : int or sequence of int
        Index of the target stage, or several indices: reaching any of them counts.
    prob : float
        Between 0 and 1, both excluded.

    Returns
    -------
    ndarray of shape (K,)
        By current stage: whole periods, infinite if the probability of arriving stays below `prob`.

    Raises
    ------
    SpecError
        The matrix, the target or the probability is not valid.

    Examples
    --------
    >>> first_passage_quantile([[0.9, 0.1], [0.0, 1.0]], to=1)
    array([7., 0.])
    """
    P = read_matrix(transition_matrix)
    target = mark_stages("to", to, len(P))
    problems = number_problems({"prob": prob}, above=0, below=1)
    raise_problems(SpecError, "first_passage_quantile", problems)
    # A tie that only rounding decides (a fair coin reaches 0.5 after one period) counts as reached.
    tolerance = 1e-12
    way = ~target
    arrives = passage_prob(P, np.flatnonzero(target))[way] >= prob - tolerance
    waits = _longest_wait(P[np.ix_(way, way)], 1 - prob + tolerance, arrives)
    quantile = np.zeros(len(P))
    quantile[way] = np.where(arrives, waits + 1, np.inf)
    return quantile


def _longest_wait(T: Floats, level: float, ends: Bools) -> Floats:
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


def passage_prob(transition_matrix: ArrayLike, to: ArrayLike) -> Floats:
    """Return the probability that a stage is ever reached.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    to : int or sequence of int
        Index of the target stage, or several indices: reaching any of them counts.

    Returns
    -------
    ndarray of shape (K,)
        By current stage; 1 in the target itself.

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
    P = read_matrix(transition_matrix)
    target = mark_stages("to", to, len(P))
    way = reachable(P)[:, target].any(axis=1) & ~target
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
        By current stage: periods; 0 if the end has been reached already.

    Raises
    ------
    SpecError
        The matrix is not valid, or no stage is transient.

    Examples
    --------
    >>> absorption_time([[0.8, 0.2], [0.0, 1.0]])
    array([5., 0.])
    """
    P = read_matrix(transition_matrix)
    return first_passage_time(P, np.flatnonzero(_require_end(P)))


def absorption_quantile(transition_matrix: ArrayLike, *, prob: float = 0.5) -> Floats:
    """Return the number of periods after which a relationship has ended with probability `prob`.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    prob : float
        Between 0 and 1, both excluded; 0.5 gives the median.

    Returns
    -------
    ndarray of shape (K,)
        By current stage: whole periods; 0 if the end has been reached already.

    Raises
    ------
    SpecError
        The matrix or the probability is not valid, or no stage is transient.

    Examples
    --------
    >>> absorption_quantile([[0.8, 0.2], [0.0, 1.0]])
    array([4., 0.])
    """
    P = read_matrix(transition_matrix)
    return first_passage_quantile(P, np.flatnonzero(_require_end(P)), prob=prob)


def survival(
    transition_matrix: ArrayLike,
    absorbing: ArrayLike,
    *,
    start: ArrayLike,
    n_periods: int,
) -> Floats:
    """Return the probability of not having reached the end after 0, 1, ..., n periods.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    absorbing : int or sequence of int
        Index of the stage that ends the relationship, or several indices. If the matrix allows
        leaving it again, the first arrival counts.
    start : int or array_like of shape (K,)
        Stage in period 0, or a probability for each stage.
    n_periods : int
        At least 0.

    Returns
    -------
    ndarray of shape (n_periods + 1,)
        The survival curve; it never rises.

    Raises
    ------
    SpecError
        The matrix or an option is not valid.

    Examples
    --------
    >>> survival([[0.5, 0.5], [0.0, 1.0]], absorbing=1, start=0, n_periods=3)
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    P = read_matrix(transition_matrix)
    ended = mark_stages("absorbing", absorbing, len(P))
    probs, horizon = read_start(start, len(P)), read_count("n_periods", n_periods)
    return _spread(_stop_at(P, ended), probs, horizon)[:, ~ended].sum(axis=1)


def occupancy(
    transition_matrix: ArrayLike, start: ArrayLike, *, n_periods: int | None = None
) -> Floats:
    """Return the expected number of periods spent in each stage, this period included.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    start : int or array_like of shape (K,)
        Stage in the first period, or a probability for each stage.
    n_periods : int, optional
        Length of the horizon; by default, infinite.

    Returns
    -------
    ndarray of shape (K,)
        Periods; they sum to `n_periods`. Over an infinite horizon, they are infinite for stages
        that are visited for ever.

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
    P = read_matrix(transition_matrix)
    probs = read_start(start, len(P))
    if n_periods is None:
        return _occupancy_for_ever(P, probs)
    horizon = read_count("n_periods", n_periods)
    return _spread(P, probs, horizon)[:horizon].sum(axis=0)


def _occupancy_for_ever(P: Floats, probs: Floats) -> Floats:
    """Solve periods = probs + periods P on transient stages; recurrent ones have 0 or infinity."""
    transient = ~is_recurrent(P)
    visited = reachable(P)[probs > 0].any(axis=0)
    periods = np.where(visited, np.inf, 0.0)
    periods[transient] = _solve_on(P.T, transient, probs[transient])
    return periods


def _require_end(P: Floats) -> Bools:
    """Return a mask of the recurrent stages; refuse a chain in which all are recurrent."""
    recurrent = is_recurrent(P)
    if recurrent.all():
        raise SpecError("transition_matrix: no stage is ever left for good, so nothing ends")
    return recurrent


def _solve_on(P: Floats, members: Bools, right: Floats) -> Floats:
    """Solve x = right + P x among the member stages."""
    if not members.any():
        return right
    T = P[np.ix_(members, members)]
    return linalg.solve(np.eye(len(T)) - T, right)


def _stop_at(P: Floats, target: Bools) -> Floats:
    """Make the target absorbing."""
    return np.where(target[:, None], np.eye(len(P)), P)


def _spread(P: Floats, probs: Floats, n_periods: int) -> Floats:
    """Return the stage probabilities in periods 0 to n, (n + 1, K)."""
    path = np.empty((n_periods + 1, len(P)))
    path[0] = probs
    for t in range(n_periods):
        path[t + 1] = path[t] @ P
    return path
