"""Arrays: the names of their types, and the checks that many modules share."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from crmlab.errors import refuse, wrong

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_COUNTS = {0: "a non-negative integer", 1: "a positive integer"}


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number from `least` on; True and False are none.

    Examples
    --------
    >>> is_count(3), is_count(np.int64(0), least=0), is_count(0), is_count(2.0), is_count(True)
    (True, True, False, False, False)
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_whole and bool(value >= least)


def count_problems(counts: Mapping[str, object], least: int = 1) -> list[str]:
    """Say which numbers, by name, do not count anything.

    Examples
    --------
    >>> count_problems({"draws": 10, "block": 0.5})
    ['`block` must be a positive integer, got 0.5']
    """
    rule = _COUNTS.get(least, f"an integer from {least}")
    return [wrong(name, rule, v) for name, v in counts.items() if not is_count(v, least)]


def check_count(owner: str, parameter: str, value: object, least: int = 1) -> None:
    """Raise `SpecError` unless a parameter is a whole number from `least` on."""
    if not is_count(value, least):
        refuse(owner, parameter, _COUNTS.get(least, f"an integer from {least}"), value)


def spread_evenly(n: int, wanted: int) -> Ints:
    """Positions of at most `wanted` of n things, evenly spread, the first and the last included.

    Examples
    --------
    >>> spread_evenly(100, 3)
    array([ 0, 50, 99])
    """
    return np.linspace(0, n - 1, min(n, wanted)).round().astype(np.int64)
