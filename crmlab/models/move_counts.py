"""Counts of moves between known stages: all that a likelihood needs to know about them.

Moves that happened under the same covariates form one *pattern*. A million customers over three
years make thirty-five million moves, but only a few hundred patterns if covariates take few values.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from crmlab.arrays import Bools, Floats, Ints
from crmlab.errors import DataError

MANY = 20_000_000  # numbers in the transition matrices of all patterns: 160 MB


class Patterns(NamedTuple):
    """Different covariates of moves, and the moves that happened under each."""

    design: Floats  # (pattern, 1, column)
    counts: Floats  # (pattern, stage_from, stage_to)


def count_patterns(stages: Ints, design: Floats, n_states: int) -> Patterns:
    """Count the moves under each set of covariates.

    Parameters
    ----------
    stages : ndarray of int, shape (customer, period)
        -1 where the stage is not known; a move is counted where both its ends are.
    design : ndarray of shape (customer or 1, move or 1, column)
    n_states : int

    Returns
    -------
    Patterns

    Raises
    ------
    DataError
        There are too many patterns to hold: some covariate hardly ever takes a value twice.

    Examples
    --------
    >>> stages = np.array([[0, 1, 1], [0, 1, -1]])
    >>> found = count_patterns(stages, np.array([[[0.5], [2.0]]]), n_states=2)
    >>> found.design[:, 0], found.counts[:, :, 1]
    (array([[0.5],
           [2. ]]), array([[2., 0.],
           [0., 1.]]))
    """
    known = (stages[:, :-1] >= 0) & (stages[:, 1:] >= 0)
    pairs = stages[:, :-1][known] * n_states + stages[:, 1:][known]
    numbers, rows = _number_rows(design, known)
    if len(rows) * n_states**2 > MANY:
        raise DataError(
            f"The moves have {len(rows)} different sets of covariates, too many for {n_states} "
            "stages to be counted apart: round the covariates, or put them into classes."
        )
    size = n_states * n_states
    counts = np.bincount(numbers * size + pairs, minlength=len(rows) * size).astype(float)
    return Patterns(rows[:, None], counts.reshape(-1, n_states, n_states))


def _number_rows(design: Floats, known: Bools) -> tuple[Ints, Floats]:
    """Return the row of the design for each known move, and the different rows."""
    n_columns = design.shape[-1]
    numbers = np.zeros(int(known.sum()), dtype=np.int64)
    rows = np.zeros((1, 0))
    for m in range(n_columns):
        column = np.broadcast_to(design[..., m], known.shape)[known]
        codes, values = pd.factorize(column, sort=True)
        numbers, found = pd.factorize(numbers * len(values) + codes, sort=True)
        rows = np.column_stack([rows[found // len(values)], values[found % len(values)]])
    return numbers, rows
