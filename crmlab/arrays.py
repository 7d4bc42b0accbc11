"""Arrays: the names of their types, and the checks that many modules share."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.errors import refuse, wrong

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def is_count(value: object, at_least: int = 1) -> bool:
    """Whether a value is a whole number of at least `at_least`; True and False are not.

    Examples
    --------
    >>> is_count(3), is_count(np.int64(0), at_least=0), is_count(0), is_count(2.0), is_count(True)
    (True, True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return bool(value >= at_least)


def check_count(owner: str, parameter: str, value: object, at_least: int = 1) -> None:
    """Raise `SpecError` on behalf of `owner` unless a parameter is a whole number.

    Examples
    --------
    >>> check_count("simulate", "n_customers", 0)
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: simulate: `n_customers` must be a whole number of at least 1, got 0
    """
    if not is_count(value, at_least):
        refuse(owner, parameter, f"a whole number of at least {at_least}", value)


def count_problems(counts: Mapping[str, object], at_least: int = 1) -> list[str]:
    """Say which numbers, by name, are not whole or not at least `at_least`; empty if none.

    Examples
    --------
    >>> count_problems({"n_ranks": 10, "n_draws": 0})
    ['`n_draws` must be a whole number of at least 1, got 0']
    """
    rule = f"a whole number of at least {at_least}"
    return [wrong(name, rule, v) for name, v in counts.items() if not is_count(v, at_least)]


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


def number_problems(
    numbers: Mapping[str, ArrayLike],
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> list[str]:
    """Say which numbers or arrays, by name, are not finite or not within the bounds.

    Examples
    --------
    >>> number_problems({"hours": [1.0, 0.0], "cost": np.nan}, above=0)
    ['`hours` must be finite and above 0, got 0.0', '`cost` must be finite and above 0, got nan']
    >>> number_problems({"prob": 90}, above=0, below=1)
    ['`prob` must be above 0 and below 1 (5 % is 0.05), got 90.0']
    """
    lower = (("at least", least, np.greater_equal), ("above", above, np.greater))
    upper = (("at most", most, np.less_equal), ("below", below, np.less))
    bounds = [(word, limit, holds) for word, limit, holds in lower + upper if limit is not None]
    words = [f"{word} {limit:g}" for word, limit, _ in bounds]
    rule = " and ".join(words if len(words) == 2 else ["finite", *words])
    rule += " (5 % is 0.05)" if 1 in (most, below) else ""
    problems = []
    for name, given in numbers.items():
        values = np.ravel(np.asarray(given, dtype=float))
        right = np.isfinite(values)
        for _, limit, holds in bounds:
            right &= holds(values, limit)
        if not right.all():
            problems.append(wrong(name, rule, float(values[~right][0])))
    return problems


def are_probs(values: Floats) -> bool:
    """Whether the last axis holds probabilities: none below 0, in sum 1 to within 1e-8."""
    return bool((values >= 0).all() and (np.abs(values.sum(axis=-1) - 1) <= 1e-8).all())


def spread_evenly(n: int, wanted: int) -> Ints:
    """Positions of at most `wanted` of n things, evenly spread, the first and the last included.

    Examples
    --------
    >>> spread_evenly(100, 3)
    array([ 0, 50, 99])
    """
    return np.linspace(0, n - 1, min(n, wanted)).round().astype(np.int64)
