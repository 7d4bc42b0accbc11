"""From uniforms to counts, amounts and choices: inverse distribution functions, for many at once.

A uniform that has picked one of several cells is uniform again inside its cell, so one number can
serve several choices in turn; 52 binary digits are enough for a handful of them.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from crmlab.arrays import Floats, Ints

_LARGEST_COUNT = 60


def choose(u: Floats, probs: ArrayLike) -> tuple[Ints, Floats]:
    """Pick a cell for each uniform, and return the rest of the uniform.

    Parameters
    ----------
    u : ndarray of shape (N,)
    probs : array_like of shape (C,)
        Weights of the cells; they need not sum to 1.

    Returns
    -------
    cells : ndarray of int of shape (N,)
    rest : ndarray of shape (N,)
        Uniform inside the cell, and independent of it.

    Examples
    --------
    >>> cells, rest = choose(np.array([0.1, 0.5, 0.95]), (0.2, 0.8))
    >>> cells, rest.round(4)
    (array([0, 1, 1]), array([0.5   , 0.375 , 0.9375]))
    """
    return choose_within(u, np.zeros(len(u), dtype=np.int64), np.atleast_2d(probs))


def choose_within(u: Floats, groups: Ints, probs: ArrayLike) -> tuple[Ints, Floats]:
    """Pick a cell for each uniform, by the distribution of its group.

    Parameters
    ----------
    u : ndarray of shape (N,)
    groups : ndarray of int of shape (N,)
        Row of `probs` that applies to each.
    probs : array_like of shape (G, C)
        Weights of the cells in each group.

    Returns
    -------
    cells, rest
        As in `choose`.

    Examples
    --------
    >>> table = ((0.5, 0.5), (0.0, 1.0))
    >>> choose_within(np.array([0.4, 0.4]), np.array([0, 1]), table)[0]
    array([0, 1])
    """
    edges = np.cumsum(np.asarray(probs, dtype=float), axis=1)
    edges = edges / edges[:, -1:]
    lower = np.concatenate([np.zeros((len(edges), 1)), edges[:, :-1]], axis=1)
    # one search for all groups: group g has its edges between g and g + 1
    ladder = (edges + np.arange(len(edges))[:, None]).ravel()
    flat = np.searchsorted(ladder, u + groups)
    width = (edges - lower).ravel()
    rest = (u - lower.ravel()[flat]) / np.where(width > 0, width, 1.0)[flat]
    return flat - groups * edges.shape[1], inside(rest)


def inside(u: Floats) -> Floats:
    """Keep uniforms away from 0 and 1, where a quantile may be infinite."""
    return np.clip(u, 2.0**-53, 1 - 2.0**-53)


def poisson(u: Floats, rate: ArrayLike) -> Ints:
    """Count with mean `rate`: the smallest k whose distribution function reaches u, 59 at most.

    Examples
    --------
    >>> poisson(np.array([0.3, 0.5, 0.99, 0.5]), np.array([1.0, 1.0, 1.0, 0.0]))
    array([0, 1, 4, 0])
    """
    rates = np.broadcast_to(np.asarray(rate, dtype=float), u.shape)
    counts = np.zeros(u.shape, dtype=np.int64)
    term = np.exp(-rates)
    left = np.flatnonzero(u > term)
    term, rest, rates = term[left], u[left] - term[left], rates[left]
    for k in range(1, _LARGEST_COUNT):
        if not len(left):
            break
        term = term * rates / k
        counts[left] = k
        more = rest > term
        left, rest = left[more], (rest - term)[more]
        term, rates = term[more], rates[more]
    return counts


def gamma(u: Floats, shape: float) -> Floats:
    """Gamma variables with mean 1 [multiplier]."""
    return special.gammaincinv(shape, u) / shape


def normal(u: Floats) -> Floats:
    """Give standard normal variables."""
    return special.ndtri(u)


def log_normal(u: Floats, median: ArrayLike, sigma: ArrayLike) -> Floats:
    """Positive amounts with the given median and standard deviation of the logarithm."""
    return np.asarray(median) * np.exp(np.asarray(sigma) * special.ndtri(u))


def negative_binomial(u: Floats, rest: Floats, mean: float, shape: float) -> Ints:
    """Count with mean `mean` and variance mean + mean^2 / shape: Poisson with a gamma rate.

    Parameters
    ----------
    u, rest : ndarray of shape (N,)
        Two independent uniforms: one for the rate, one for the count.
    """
    return poisson(rest, np.minimum(mean * gamma(u, shape), 40.0))


def expit(x: ArrayLike) -> Floats:
    """Probabilities from log-odds."""
    return special.expit(x)


def logit(p: ArrayLike) -> Floats:
    """Log-odds of probabilities; infinite at 0 and 1."""
    return special.logit(p)
