"""Which stages can follow which: reachable, closed, absorbing, transient.

Stage j is *reachable* from i if some power of the transition matrix has P^n[i, j] > 0, that is, if
some sequence of allowed moves leads there. The probabilities of the moves make no difference; every
stage reaches itself, in zero moves.

A set of stages is *closed* if nothing outside it is reachable from inside; an *absorbing* stage is
closed on its own. Stages in a smallest closed set are *recurrent*: every stage that can be reached
from one of them leads back to it. All others are *transient*: from a transient stage some path
leads to a place without a way back, and sooner or later it is taken. A chain with finitely many
stages has at least one smallest closed set, so every relationship ends up in one.

Two later questions depend only on this. Is there exactly one smallest closed set? Then there is one
long run, whatever the start (`crmlab.chains.motion`). Is any stage transient? Then there is an end,
and a time until it (`crmlab.chains.passage`).

References
----------
Kemeny and Snell (1960), Finite Markov Chains, chapter II.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats
from crmlab.chains.inputs import read_matrix


def transient_stages(transition_matrix: ArrayLike) -> NDArray[np.intp]:
    """List the stages that a customer sooner or later leaves for good.

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
    return np.flatnonzero(~is_recurrent(read_matrix(transition_matrix)))


def reachable(P: Floats) -> Bools:
    """Whether each column can be reached from each row in zero or more moves, (..., K, K)."""
    n_stages = P.shape[-1]
    reach = (P > 0) | np.eye(n_stages, dtype=bool)
    # Each squaring doubles the number of moves; K - 1 moves are always enough.
    for _ in range((n_stages - 1).bit_length()):
        reach = reach @ reach
    return reach


def is_recurrent(P: Floats) -> Bools:
    """Whether each stage can be reached from every stage that it leads to."""
    reach = reachable(P)
    return (reach <= reach.T).all(axis=1)


def closed_sets(P: Floats) -> list[NDArray[np.intp]]:
    """List the smallest closed sets, each as indices."""
    reach, recurrent = reachable(P), is_recurrent(P)
    sets = np.unique(reach[recurrent], axis=0)
    return sorted((np.flatnonzero(members) for members in sets), key=lambda indices: indices[0])
