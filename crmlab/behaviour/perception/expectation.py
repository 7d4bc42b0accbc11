"""Expectation, experience and surprise; and the gap to the firm's own indicator."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, count_problems, number_problems
from crmlab.errors import DataError, SpecError, raise_problems


class Confirmation(NamedTuple):
    """What a customer expected before each experience, and the surprise that followed."""

    expectation: Floats
    disconfirmation: Floats


def learning_gains(prior_var: float, noise_var: float, n_experiences: int) -> Floats:
    """Weight of each new experience for a customer who learns a constant quality by Bayes' rule.

    The customer's prior for quality is Normal(E_0, v); each experience is quality plus
    Normal(0, s) noise. The t-th experience then has weight v / (s + t v), t = 1, 2, ... Early
    experiences weigh most.

    Parameters
    ----------
    prior_var, noise_var : float
        v and s, in squared units of quality.
    n_experiences : int

    Returns
    -------
    ndarray of shape (n_experiences,)

    Raises
    ------
    SpecError
        A variance that is not positive, or fewer than one experience.

    Examples
    --------
    >>> learning_gains(1, 1, 3).round(3).tolist()
    [0.5, 0.333, 0.25]
    """
    problems = number_problems({"prior_var": prior_var, "noise_var": noise_var}, above=0)
    problems += count_problems({"n_experiences": n_experiences})
    raise_problems(SpecError, "learning_gains", problems)
    return prior_var / (noise_var + prior_var * np.arange(1.0, n_experiences + 1))


def follow_expectation(experience: ArrayLike, *, start: ArrayLike, gain: ArrayLike) -> Confirmation:
    """Compute what a customer expects and the surprise of each experience, in units of quality.

    C = P - E and E' = E + gain C (Oliver 1980; Bhattacherjee 2001, *MIS Quarterly* 25, from
    memory). A customer with a constant gain forgets; one with `learning_gains` averages.

    Parameters
    ----------
    experience : array_like of shape (..., n)
        P, in order of time; NaN where there was no experience, and nothing is learned.
    start : array_like of shape (...)
        E before the first experience.
    gain : array_like, a number or shape (n,)
        Between 0 and 1.

    Returns
    -------
    Confirmation
        Both of shape (..., n); the disconfirmation is NaN where there was no experience.

    Raises
    ------
    SpecError
        A gain outside 0 to 1.

    Examples
    --------
    >>> path = follow_expectation([4, 4, 4], start=2, gain=0.5)
    >>> path.expectation.tolist(), path.disconfirmation.tolist()
    ([2.0, 3.0, 3.5], [2.0, 1.0, 0.5])
    """
    P = np.atleast_1d(np.asarray(experience, dtype=float))
    gains = np.asarray(gain, dtype=float)
    problems = number_problems({"gain": gain}, least=0, most=1)
    raise_problems(SpecError, "follow_expectation", problems)
    gains = np.broadcast_to(gains, P.shape[-1:])
    held = np.broadcast_to(np.asarray(start, dtype=float), P.shape[:-1])
    expectation = np.empty(P.shape)
    for t in range(P.shape[-1]):
        expectation[..., t] = held
        surprise = P[..., t] - held
        held = held + gains[t] * np.where(np.isnan(surprise), 0.0, surprise)
    return Confirmation(expectation, P - expectation)


def satisfaction(
    perceived: ArrayLike,
    disconfirmation: ArrayLike,
    *,
    level_weight: float,
    surprise_weight: float,
    loss_weight: float = 1.0,
) -> Floats:
    """Satisfaction, in units of quality, from what was perceived and how it surprised.

    S = surprise_weight * C + level_weight * P, where a negative C counts `loss_weight` times
    (Oliver 1980; Anderson & Mittal 2000 on negatives that weigh more).

    Parameters
    ----------
    perceived, disconfirmation : array_like
        P and C; they broadcast.
    level_weight, surprise_weight : float
    loss_weight : float
        1 means that both signs count the same.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> satisfaction([1, -1], [1, -1], level_weight=0, surprise_weight=1, loss_weight=2).tolist()
    [1.0, -2.0]
    """
    C = np.asarray(disconfirmation, dtype=float)
    surprise = np.where(C < 0, loss_weight * C, C)
    return level_weight * np.asarray(perceived, dtype=float) + surprise_weight * surprise


def when_gap_opens(indicator: ArrayLike, perception: ArrayLike) -> int:
    """Position of the period in which perception parts from the firm's own indicator.

    The gap is perception minus indicator, both on one scale. The series is cut into two parts,
    each with its own mean, where the squared error is smallest: the maximum-likelihood estimate
    for one step in independent Normal noise (gap model: Parasuraman, Zeithaml & Berry
    1985, *Journal of Marketing* 49, from memory).

    Parameters
    ----------
    indicator, perception : array_like of shape (n_periods,)

    Returns
    -------
    int
        First period of the second part, from 1 to n_periods - 1. A cut is returned even if no gap
        opens: look at the picture too.

    Raises
    ------
    DataError
        Fewer than two periods, unequal lengths or missing values.

    Examples
    --------
    >>> when_gap_opens([4, 4, 4, 4, 4], [4, 4.1, 3.9, 3, 3.1])
    3
    """
    shown, felt = np.asarray(indicator, dtype=float), np.asarray(perception, dtype=float)
    if shown.ndim != 1 or shown.shape != felt.shape or len(shown) < 2:
        raise DataError(
            "when_gap_opens: `indicator` and `perception` must be two series of the same length, "
            f"of two periods or more, got shapes {shown.shape} and {felt.shape}"
        )
    gap = felt - shown
    if not np.isfinite(gap).all():
        raise DataError("when_gap_opens: fill or drop the periods with a missing value first")
    first = np.arange(1, len(gap))
    before, after = np.cumsum(gap)[:-1], gap.sum() - np.cumsum(gap)[:-1]
    return int(first[np.argmax(before**2 / first + after**2 / (len(gap) - first))])
