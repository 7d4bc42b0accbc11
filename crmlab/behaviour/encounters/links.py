"""Several contacts or pillars as one: from additive to weakest link."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems


def all_go_well(probs: ArrayLike) -> Floats:
    """Probability that every contact of a series goes well, if contacts are independent.

    The product along the last axis, as for a system in series. The back office counts as much as
    the front.

    Parameters
    ----------
    probs : array_like of shape (..., n_contacts)

    Returns
    -------
    ndarray of shape (...)

    Raises
    ------
    SpecError
        A number outside 0 to 1.

    Examples
    --------
    >>> [round(float(all_go_well([0.95] * 4 + [last])), 3) for last in (0.95, 0.70)]
    [0.774, 0.57]
    """
    probs = np.asarray(probs, dtype=float)
    raise_problems(SpecError, "all_go_well", number_problems({"probs": probs}, least=0, most=1))
    return probs.prod(axis=-1)


def power_mean(scores: ArrayLike, exponent: float) -> Floats:
    """One score for several pillars, from additive to weakest link, in the units of the scores.

    (mean of s^e)^(1/e): the mean at e = 1, the geometric mean at e = 0, and the minimum as e goes
    to minus infinity. The lower the exponent, the less one pillar makes up for another.

    Parameters
    ----------
    scores : array_like of shape (..., n_pillars)
        Above 0; 0 is allowed if the exponent is above 0.
    exponent : float
        e; -inf and inf are allowed.

    Returns
    -------
    ndarray of shape (...)

    Raises
    ------
    SpecError
        A score or exponent for which the mean is not defined.

    Examples
    --------
    >>> pillars = [4.5, 4.5, 4.5, 4.5, 1.5]
    >>> [round(float(power_mean(pillars, e)), 2) for e in (1, 0, -float("inf"))]
    [3.9, 3.61, 1.5]
    """
    s = np.asarray(scores, dtype=float)
    if np.isnan(exponent):
        raise SpecError("power_mean: `exponent` must be a number, got nan")
    if not ((s > 0) | ((s == 0) & (exponent > 0))).all():
        raise SpecError(
            "power_mean: `scores` must be above 0 (0 is allowed with an exponent above 0); shift "
            "the scale so that its lowest answer is 1"
        )
    if np.isinf(exponent):
        return s.max(axis=-1) if exponent > 0 else s.min(axis=-1)
    # As exponents of logarithms, scaled by the largest score, so that no power overflows.
    top = s.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(top > 0, np.log(s) - np.log(top), 0.0)
    return top[..., 0] * np.exp(_log_power_mean(logs, exponent))


def _log_power_mean(logs: Floats, exponent: float) -> Floats:
    if abs(exponent) < 1e-8:
        return logs.mean(axis=-1)
    return (logsumexp(exponent * logs, axis=-1) - np.log(logs.shape[-1])) / exponent


def message_agreement(messages: ArrayLike) -> float:
    """Probability that two different channels, picked at random, say the same thing.

    sum n_m (n_m - 1) / (n (n - 1)) over the messages m.

    Parameters
    ----------
    messages : array_like of shape (n_channels,)
        What each channel says, as labels of any kind; at least two channels.

    Returns
    -------
    float

    Raises
    ------
    SpecError
        Fewer than two channels.

    Examples
    --------
    >>> message_agreement(["free", "free", "5 euros"])
    0.3333333333333333
    """
    n = np.size(messages)
    if n < 2:
        raise SpecError(f"message_agreement: `messages` needs two channels or more, got {n}")
    counts = np.unique(np.asarray(messages), return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))
