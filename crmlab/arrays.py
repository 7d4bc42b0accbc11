"""Arrays: the names of their types, and the checks that many modules share."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_whole and bool(value >= at_least)


def check_count(owner: str, parameter: str, value: object, at_least: int = 1) -> None:
    """Raise `SpecError` on behalf of `owner` unless a parameter is a whole number.

    Examples
    --------
    >>> check_count("simulate", "n_customers", 0)
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: The `n_customers` parameter of `simulate` must be a whole number of \
at least 1, got 0.
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


def length_problems(arrays: Mapping[str, NDArray]) -> list[str]:
    """Say what is wrong with the lengths of arrays that belong together."""
    lengths = {name: len(values) for name, values in arrays.items()}
    if 0 in lengths.values():
        return [f"nothing to judge: {lengths}"]
    return [] if len(set(lengths.values())) == 1 else [f"lengths differ: {lengths}"]


def spread_evenly(n: int, wanted: int) -> Ints:
    """Positions of at most `wanted` of n things, evenly spread, the first and the last included.

    Examples
    --------
    >>> spread_evenly(100, 3)
    array([ 0, 50, 99])
    """
    return np.linspace(0, n - 1, min(n, wanted)).round().astype(np.int64)
