"""The few operations that NumPy and PyTensor name differently.

A transition model computes its matrices once, in terms of a `Backend` (`xp`). PyTensor's builds the
graph that a sampler differentiates; NumPy's gives the numbers that predictions use, draw by draw.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Backend(NamedTuple):
    """Operations on arrays or tensors."""

    where: Callable[..., Any]
    tensordot: Callable[..., Any]
    concatenate: Callable[..., Any]
    stack: Callable[..., Any]
    expm1: Callable[..., Any]
    sigmoid: Callable[..., Any]
    softmax: Callable[..., Any]


def numpy_backend() -> Backend:
    """Operations on NumPy arrays."""
    import numpy as np
    from scipy import special

    return Backend(
        where=np.where,
        tensordot=np.tensordot,
        concatenate=np.concatenate,
        stack=np.stack,
        expm1=np.expm1,
        sigmoid=special.expit,
        softmax=special.softmax,
    )


def pytensor_backend() -> Backend:
    """Operations on PyTensor's tensors."""
    import pytensor.tensor as pt
    from pytensor.tensor import special

    return Backend(
        where=pt.where,
        tensordot=pt.tensordot,
        concatenate=pt.concatenate,
        stack=pt.stack,
        expm1=pt.expm1,
        sigmoid=pt.sigmoid,
        softmax=special.softmax,
    )
