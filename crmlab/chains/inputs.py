"""Checks of the arguments of this package: matrices, probabilities, stages, counts.

Every public function reads its arguments through one of these before it computes anything, so an
error names the caller's own argument, and nothing is checked twice. Each accepts what a caller may
pass (a list, a frame, one index or several) and returns an array. What cannot be read raises a
`SpecError`, or a `DataError` if it was observed rather than specified.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats, is_count
from crmlab.errors import DataError, SpecError, raise_problems, wrong


def read_numbers(name: str, values: ArrayLike, error: type[ValueError] = SpecError) -> Floats:
    """Return an array of floats; refuse text, and rows of unequal length."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as problem:
        raise error(f"`{name}` must be a regular array of numbers ({problem})") from problem


def read_matrix(transition_matrix: ArrayLike) -> Floats:
    """Return one transition matrix (K, K) whose rows are probabilities."""
    P = read_numbers("transition_matrix", transition_matrix)
    if P.ndim != 2 or P.shape[0] != P.shape[1] or not len(P):
        raise SpecError(f"`transition_matrix` must be square, (K, K), got shape {P.shape}")
    raise_problems(SpecError, "transition_matrix", problems_of_probs("row", P))
    return P


def problems_of_probs(row: str, probs: Floats) -> list[str]:
    """List why the last axis does not hold probabilities (empty if it does).

    Examples
    --------
    >>> problems_of_probs("row", np.array([[0.5, 0.5], [0.5, 0.4]]))
    ['row 1 sums to 0.9, must be 1']
    """
    if not np.isfinite(probs).all():
        return ["must hold finite numbers only"]
    problems = ["must not be negative"] if (probs < 0).any() else []
    off = np.argwhere(np.abs(probs.sum(axis=-1) - 1) > 1e-8).tolist()
    if off:
        place = tuple(off[0])
        more = f" (and {len(off) - 1} more)" if len(off) > 1 else ""
        total = f"sums to {probs[place].sum():.10g}, must be 1{more}"
        problems.append(f"{_name_row(row, place)} {total}")
    return problems


def _name_row(row: str, place: tuple[int, ...]) -> str:
    if not place:
        return row
    return f"{row} {place[0] if len(place) == 1 else place}"


def read_count(name: str, value: int) -> int:
    """Return a whole number of at least 0."""
    if not is_count(value, at_least=0):
        raise SpecError(wrong(name, "a whole number of at least 0", value))
    return int(value)


def read_stages(name: str, stages: ArrayLike, n_stages: int) -> NDArray[np.intp]:
    """Return the indices of one stage or several, in the caller's order."""
    indices = np.atleast_1d(np.asarray(stages))
    if not len(indices) or indices.dtype.kind not in "iu" or indices.ndim != 1:
        raise SpecError(
            f"`{name}` must be the index of a stage, or several indices, got {stages!r}; "
            "`space.index(name)` gives it"
        )
    if (indices < 0).any() or (indices >= n_stages).any():
        raise SpecError(f"`{name}` must lie between 0 and {n_stages - 1}, got {indices.tolist()}")
    return indices


def mark_stages(name: str, stages: ArrayLike, n_stages: int) -> Bools:
    """Return a mask of the named stages (one or several), (K,)."""
    mask = np.zeros(n_stages, dtype=bool)
    mask[read_stages(name, stages, n_stages)] = True
    return mask


def read_start(start: ArrayLike, n_stages: int) -> Floats:
    """Return the probabilities of the first stage, from probabilities or from one index."""
    if np.ndim(start) == 0:
        return mark_stages("start", start, n_stages).astype(float)
    return read_probs("start", start, n_stages)


def read_probs(name: str, values: ArrayLike, n_stages: int) -> Floats:
    """Return one probability per stage, (K,)."""
    probs = read_numbers(name, values)
    if probs.shape != (n_stages,):
        raise SpecError(f"`{name}` must give {n_stages} probabilities, got shape {probs.shape}")
    raise_problems(SpecError, name, problems_of_probs("the vector", probs))
    return probs


def read_counts(counts: ArrayLike) -> Floats:
    """Return counts; they may be fractions, for example after weighting."""
    values = read_numbers("counts", counts, DataError)
    if not np.isfinite(values).all() or (values < 0).any():
        raise DataError("`counts` must be finite and not negative")
    return values


def read_move_counts(counts: ArrayLike, *leading: str) -> Floats:
    """Return counts of moves (K, K), after one axis for each name in `leading`."""
    values = read_counts(counts)
    if values.ndim != len(leading) + 2 or values.shape[-1] != values.shape[-2]:
        expected = ", ".join([*leading, "K", "K"])
        raise DataError(f"`counts` must have shape ({expected}), got {values.shape}")
    return values
