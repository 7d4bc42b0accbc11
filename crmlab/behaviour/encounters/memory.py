"""What remains of a series of encounters: peak and end, mean, or a sum that fades."""

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems


def remember_peak_end(encounters: ArrayLike, *, peak_weight: float = 0.5) -> Floats:
    """Memory after each encounter, in its units: a mix of the strongest and the latest so far.

    M = w peak + (1 - w) end. The peak is the encounter furthest from 0; in a tie between a good
    and a bad one, the bad one. How long it all took does not matter (Kahneman et al. 1993). Rows
    C9, C19, D50.

    Parameters
    ----------
    encounters : array_like of shape (..., n)
        In order; NaN where there was none, and the memory stays as it was.
    peak_weight : float
        w, between 0 and 1.

    Returns
    -------
    ndarray of shape (..., n)
        NaN before the first encounter; the last column is what remains of the whole series.

    Raises
    ------
    SpecError
        A weight outside 0 to 1.

    Examples
    --------
    More pain in total, but a better memory of it:

    >>> remember_peak_end([-2, -4, -8])[-1], remember_peak_end([-2, -4, -8, -4])[-1]
    (np.float64(-8.0), np.float64(-6.0))
    """
    problems = number_problems({"peak_weight": peak_weight}, least=0, most=1)
    raise_problems(SpecError, "remember_peak_end", problems)
    x = _series(encounters)
    best, worst = np.fmax.accumulate(x, axis=-1), np.fmin.accumulate(x, axis=-1)
    peak = np.where(-worst >= best, worst, best)
    return peak_weight * peak + (1 - peak_weight) * _latest(x)


def remember_mean(encounters: ArrayLike) -> Floats:
    """Memory after each encounter as the mean of all so far, in its units.

    Parameters
    ----------
    encounters : array_like of shape (..., n)
        NaN where there was none, and the memory stays as it was.

    Returns
    -------
    ndarray of shape (..., n)
        NaN before the first encounter.

    Examples
    --------
    >>> remember_mean([2, float("nan"), 4]).tolist()
    [2.0, 2.0, 3.0]
    """
    x = _series(encounters)
    count = np.cumsum(~np.isnan(x), axis=-1)
    return np.where(count > 0, np.nancumsum(x, axis=-1) / np.maximum(count, 1), np.nan)


def remember_sum(encounters: ArrayLike, *, keep: float = 1.0) -> Floats:
    """Memory after each encounter as a sum that fades, in its units.

    M_t = keep M_{t-1} + x_t, from M_0 = 0. With `keep` 1 the relationship is the plain sum of its
    encounters. Below 1 the recent ones weigh more: an encounter's weight halves after
    ln(1/2) / ln(keep) further encounters.

    Parameters
    ----------
    encounters : array_like of shape (..., n)
        NaN where there was none, and the memory stays as it was.
    keep : float
        Share of the memory that survives one more encounter, from 0 to 1.

    Returns
    -------
    ndarray of shape (..., n)

    Raises
    ------
    SpecError
        A share outside 0 to 1.

    Examples
    --------
    >>> remember_sum([-2, -4, -8])[-1], remember_sum([-2, -4, -8, -4])[-1]
    (np.float64(-14.0), np.float64(-18.0))
    """
    raise_problems(SpecError, "remember_sum", number_problems({"keep": keep}, least=0, most=1))
    x = _series(encounters)
    memory, held = np.empty(x.shape), np.zeros(x.shape[:-1])
    for t in range(x.shape[-1]):
        held = np.where(np.isnan(x[..., t]), held, keep * held + x[..., t])
        memory[..., t] = held
    return memory


def _series(encounters: ArrayLike) -> Floats:
    return np.atleast_1d(np.asarray(encounters, dtype=float))


def _latest(x: Floats) -> Floats:
    """Carry each value forward over the gaps behind it."""
    place = np.where(np.isnan(x), 0, np.arange(x.shape[-1]))
    return np.take_along_axis(x, np.maximum.accumulate(place, axis=-1), axis=-1)
