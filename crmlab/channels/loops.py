"""Loops over customers that sample an observation faster than array operations, once compiled.

They are plain functions, so that they can be read and run uncompiled; large worlds compile them
(`crmlab.generators.kernels`).
"""

import numpy as np
from numpy.typing import NDArray

from crmlab.arrays import Floats, Ints


def find_cell(out: NDArray, rows: Ints, u: Floats, edges: Floats, guide: Ints) -> NDArray:
    """Find the first cell of each customer's row whose upper edge reaches her uniform.

    The guide says where to begin for each 256th of the unit interval (`guide_to`), so the search
    rarely takes a step, and processors predict that correctly.
    """
    for i in range(u.shape[0]):
        row = rows[i]
        k = guide[row, int(u[i] * 256)]
        while u[i] > edges[row, k]:
            k += 1
        out[i] = k
    return out


def guide_to(edges: Floats) -> Ints:
    """First cell that each 256th of the unit interval can lie in, row by row."""
    lower = np.arange(256) / 256
    return np.stack([np.searchsorted(row, lower) for row in edges])


def find_spenders(out: Ints, stages: Ints, u: Floats, prob: Floats) -> int:
    """List the customers who spend something, and count them."""
    n = 0
    for i in range(u.shape[0]):
        out[n] = i
        n += 1 - u[i] < prob[stages[i]]
    return n
