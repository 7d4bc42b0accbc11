"""Two faces of one definition: the few operations that NumPy and PyTensor name differently.

A transition model writes its matrices once, in terms of a `Face`. PyTensor's face builds the graph
that a sampler differentiates; NumPy's gives the numbers that predictions read, draw by draw.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Face(NamedTuple):
    """Operations on arrays or tensors."""

    where: Callable[..., Any]
    tensordot: Callable[..., Any]
    concatenate: Callable[..., Any]
    stack: Callable[..., Any]
    expm1: Callable[..., Any]
    sigmoid: Callable[..., Any]
    softmax: Callable[..., Any]


def numpy_face() -> Face:
    """Operations on NumPy arrays."""
    import numpy as np
    from scipy import special

    return Face(
        where=np.where,
        tensordot=np.tensordot,
        concatenate=np.concatenate,
        stack=np.stack,
        expm1=np.expm1,
        sigmoid=special.expit,
        softmax=special.softmax,
    )


def pytensor_face() -> Face:
    """Operations on PyTensor's tensors."""
    import pytensor.tensor as pt
    from pytensor.tensor import special

    return Face(
        where=pt.where,
        tensordot=pt.tensordot,
        concatenate=pt.concatenate,
        stack=pt.stack,
        expm1=pt.expm1,
        sigmoid=pt.sigmoid,
        softmax=special.softmax,
    )
