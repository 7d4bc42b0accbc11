"""Arrays: the names of their types, and the checks that many modules share."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def spread_evenly(n: int, wanted: int) -> Ints:
    """Positions of at most `wanted` of n things, evenly spread, the first and the last included.

    Examples
    --------
    >>> spread_evenly(100, 3)
    array([ 0, 50, 99])
    """
    return np.linspace(0, n - 1, min(n, wanted)).round().astype(np.int64)
