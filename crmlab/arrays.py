"""Arrays: the names of their types, and the checks that many modules share."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.errors import SpecError, wrong_value

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def check_count(owner: str, parameter: str, value: object, at_least: int = 1) -> int:
    """Give a whole number of at least `at_least`; raise `SpecError` on behalf of `owner` if not.

    Examples
    --------
    >>> check_count("simulate", "n_customers", 0)
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: The `n_customers` parameter of `simulate` must be a whole number of \
at least 1, got 0.
    """
    if not _is_count(value, at_least):
        raise SpecError(
            wrong_value(owner, parameter, f"be a whole number of at least {at_least}", value)
        )
    return int(value)


def count_problems(counts: Mapping[str, object], at_least: int = 1) -> list[str]:
    """Say which numbers, by name, are not whole or not at least `at_least`; empty if none.

    Examples
    --------
    >>> count_problems({"n_ranks": 10, "n_draws": 0})
    ['`n_draws` must be a whole number of at least 1, got 0']
    """
    return [
        f"`{name}` must be a whole number of at least {at_least}, got {value!r}"
        for name, value in counts.items()
        if not _is_count(value, at_least)
    ]


def upper_edges(probs: ArrayLike) -> Floats:
    """Upper edges of the cells of a distribution, on the last axis; the last one is exactly 1.

    Probabilities sum to 1 up to rounding. Without the division, what is missing would become the
    probability of the last cell, which may be impossible.
    """
    edges = np.cumsum(np.asarray(probs, dtype=float), axis=-1)
    return edges / edges[..., -1:]


def length_problems(arrays: Mapping[str, NDArray]) -> list[str]:
    """Say what is wrong with the lengths of arrays that belong together."""
    lengths = {name: len(values) for name, values in arrays.items()}
    if 0 in lengths.values():
        return [f"nothing to judge: {lengths}"]
    return [] if len(set(lengths.values())) == 1 else [f"lengths differ: {lengths}"]


def _is_count(value: object, at_least: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and value >= at_least
