"""Coarser stages: when blocks of stages form a Markov chain themselves, and when not.

Ten stages merged into five are easier to name and to draw. But the chain forgets all but the
present *stage*, and the block alone may be too little to know. Blocks form a Markov chain, whatever
the start, if and only if all stages of a block have the same probability of moving to each block:

    sum_{j in B} P[i, j]  is the same for all i of one block, for every block B.

Then the chain is *lumpable*, and these numbers are the moves between blocks (`lump`). If not, the
past may reveal which stage of the block a customer is in, and so where she goes next: the blocks
have a memory, and any matrix between them is an average that is valid for one mix of stages only.

`block_probs` lists the sums, `lumpability_gap` measures their largest difference, and
`lumpability_test` (in `crmlab.chains.counts`) tests whether data show a difference.

References
----------
Kemeny and Snell (1960), Finite Markov Chains, chapter VI.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats
from crmlab.chains.inputs import read_matrix, read_numbers
from crmlab.errors import SpecError


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
    P = read_matrix(transition_matrix)
    return P @ membership(blocks, len(P))


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
        How many customers each stage holds, e.g. its `occupancy`; by default, all stages of a block
        weigh the same. If the chain is lumpable, the weights make no difference; if it is not, the
        blocks do not form a Markov chain, and the result is valid for these weights only.

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
    members = membership(blocks, len(rows)) * _read_weights(weights, len(rows))[:, None]
    totals = members.sum(axis=0)
    if (totals <= 0).any():
        raise SpecError("`weights` must be positive for at least one stage of each block")
    return (members / totals).T @ rows


def lumpability_gap(transition_matrix: ArrayLike, blocks: Sequence[Hashable]) -> float:
    """Return the largest difference between stages of one block in their moves to blocks.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; rows sum to 1.
    blocks : sequence of K labels
        The block of each stage, e.g. ``KNAPP_TO_LIFECYCLE.labels``.

    Returns
    -------
    float
        A difference of probabilities: max ``|Pr(i to B) - Pr(k to B)|`` over blocks B and stages
        i, k of the same block. Zero if and only if the blocks follow a Markov chain from every
        start.

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
    members = membership(blocks, len(rows)).astype(bool)
    return float(max(np.ptp(rows[block], axis=0).max() for block in members.T))


def membership(blocks: Sequence[Hashable], n_stages: int) -> Floats:
    """Whether a stage (row) belongs to a block (column), blocks in order of appearance."""
    labels = list(blocks)
    if len(labels) != n_stages:
        raise SpecError(f"`blocks` must name one block per stage ({n_stages}), got {len(labels)}")
    names = list(dict.fromkeys(labels))
    return np.array([[float(label == name) for name in names] for label in labels])


def _read_weights(weights: ArrayLike | None, n_stages: int) -> Floats:
    if weights is None:
        return np.ones(n_stages)
    values = read_numbers("weights", weights)
    if values.shape != (n_stages,) or not np.isfinite(values).all() or (values < 0).any():
        raise SpecError(
            f"`weights` must be {n_stages} finite numbers that are not negative, got {weights!r}"
        )
    return values
