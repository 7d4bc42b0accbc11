"""How a customer moves: several periods ahead, in the long run, along a path.

A customer is in stage s_t in period t. The chain forgets all but the present, so one matrix says
everything about the next period, and its powers everything about later ones:

    P[i, j] = Pr(s_{t+1} = j | s_t = i),    rows sum to 1,    Pr(s_{t+n} = j | s_t = i) = P^n[i, j].

**The long run.** If there is one smallest closed set of stages, pi = pi P, sum(pi) = 1 has one
solution, the `stationary_distribution`: the share of periods spent in each stage, whatever the
start.

**Stays and moves.** The length of one visit to stage i is geometric, 1 / (1 - P[i, i]) periods on
average (`sojourn_time`). Without the stays, the `jump_chain` is left: which stage comes next,
whenever that may be.

**Paths.** Period by period, the probability of a path is the product of its moves (`path_prob`).
If only the sequence of different stages matters, and each may last as long as it likes, it is the
product of the jumps, P[i, j] / (1 - P[i, i]) (`eventual_path_prob`).

**What if.** `block_moves` forbids moves and returns the new chain, which every other function here
accepts.

References
----------
Kemeny and Snell (1960), Finite Markov Chains, chapters IV and V.
"""

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats
from crmlab.chains.inputs import read_count, read_matrix, read_probs, read_stages
from crmlab.chains.reach import closed_sets
from crmlab.errors import SpecError


def n_step(transition_matrix: ArrayLike, n_periods: int) -> Floats:
    """Return the probabilities of each stage `n_periods` periods from now.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    n_periods : int
        At least 0.

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
    P = read_matrix(transition_matrix)
    return np.linalg.matrix_power(P, read_count("n_periods", n_periods))


def move_probs(probs: Floats, matrices: Floats) -> Floats:
    """Move the stage probabilities of many customers forward by one period.

    The same as ``probs[n] @ matrices[n]``, but summed stage by stage: a matrix product rounds
    differently for many rows than for one, so a customer's probabilities would depend on the other
    customers in the batch.

    Parameters
    ----------
    probs : ndarray of shape (N, K)
    matrices : ndarray of shape (N or 1, K, K)

    Returns
    -------
    ndarray of shape (N, K)

    Examples
    --------
    >>> move_probs(np.array([[0.5, 0.5]]), np.array([[[0.8, 0.2], [0.4, 0.6]]]))
    array([[0.6, 0.4]])
    """
    rows = np.moveaxis(matrices, 0, -1)
    ahead = sum(probs[:, stage] * rows[stage] for stage in range(len(rows)))
    return np.ascontiguousarray(ahead.T)


def stationary_distribution(transition_matrix: ArrayLike) -> Floats:
    """Return the share of periods that a customer spends in each stage in the long run.

    Solves pi = pi P by the Grassmann-Taksar-Heyman elimination, which never subtracts and so keeps
    small probabilities accurate.

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
    P = read_matrix(transition_matrix)
    closed = closed_sets(P)
    if len(closed) > 1:
        raise SpecError(
            f"transition_matrix: the long run depends on the start, because the sets of stages "
            f"{', '.join(str(members.tolist()) for members in closed)} are never left; use "
            "`passage_prob` for the probability of ending in each of them"
        )
    shares = np.zeros(len(P))
    shares[closed[0]] = _eliminate(P[np.ix_(closed[0], closed[0])])
    return shares


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
    leave = 1 - np.diag(read_matrix(transition_matrix))
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
    P = read_matrix(transition_matrix)
    jumps = P - np.diag(np.diag(P))
    leave = jumps.sum(axis=1, keepdims=True)
    return np.divide(jumps, leave, out=np.eye(len(P)), where=leave > 0)


def path_prob(
    transition_matrix: ArrayLike, path: ArrayLike, *, initial_probs: ArrayLike | None = None
) -> float:
    """Return the probability of one path, period by period.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    path : sequence of int
        Index of the stage in each period.
    initial_probs : array_like of shape (K,), optional
        Probabilities of the first stage; if left out, the first stage is certain.

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
    P = read_matrix(transition_matrix)
    stages = read_stages("path", path, len(P))
    moves = P[stages[:-1], stages[1:]].prod()
    if initial_probs is None:
        return float(moves)
    return float(read_probs("initial_probs", initial_probs, len(P))[stages[0]] * moves)


def eventual_path_prob(transition_matrix: ArrayLike, path: ArrayLike) -> float:
    """Return the probability of a sequence of different stages, however long each lasts.

    The product of P[i, j] / (1 - P[i, i]) along the path.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    path : sequence of int
        Indices of stages, no stage directly after itself; the first is where the customer is now.

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
    P = read_matrix(transition_matrix)
    stages = read_stages("path", path, len(P))
    if (stages[1:] == stages[:-1]).any():
        raise SpecError(
            f"`path` must not repeat a stage directly, because stays of any length are included, "
            f"got {stages.tolist()}"
        )
    return path_prob(jump_chain(P), stages)


def block_moves(transition_matrix: ArrayLike, blocked: ArrayLike) -> Floats:
    """Forbid moves: a customer who would have made one of them stays where she is.

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
        The matrix or the shape of `blocked` is not valid, or staying would be blocked.

    Examples
    --------
    >>> blocked = [[False, False], [True, False]]
    >>> block_moves([[0.75, 0.25], [0.5, 0.5]], blocked)
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    P = read_matrix(transition_matrix)
    blocked = np.asarray(blocked)
    if blocked.shape != P.shape or blocked.dtype != bool:
        raise SpecError(
            f"`blocked` must be an array of bool of shape {P.shape}, got {blocked.dtype} of shape "
            f"{blocked.shape}"
        )
    if np.diag(blocked).any():
        raise SpecError("`blocked` must be False on its diagonal: a customer can always stay")
    kept = np.where(blocked, 0.0, P)
    return kept + np.diag(np.where(blocked, P, 0.0).sum(axis=1))
