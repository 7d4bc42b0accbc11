"""Numbers rounded to the digits that the draws support."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, Ints

_BATCHES = 10


def monte_carlo_error(draws: xr.DataArray) -> Floats:
    """Estimate the standard error of means over posterior draws, by batch means.

    Parameters
    ----------
    draws : DataArray with dims chain, draw and others

    Returns
    -------
    ndarray of the shape of the others
        ``sd(means of batches) / sqrt(number of batches)``: neighbouring draws, which may be alike,
        fall into one batch (Flegal, Haran and Jones 2008, *Statistical Science* 23, 250-260).

    Examples
    --------
    >>> draws = xr.DataArray(np.tile([0.0, 1.0], (2, 50)), dims=("chain", "draw"))
    >>> monte_carlo_error(draws).round(6).item()  # each batch holds as many zeros as ones
    0.0
    """
    values = draws.transpose("chain", "draw", ...).values
    batches = np.concatenate(
        [part.mean(axis=1) for part in np.array_split(values, _BATCHES, axis=1)]
    )
    return batches.std(axis=0, ddof=1) / np.sqrt(len(batches))


def supported_decimals(error: ArrayLike) -> int:
    """Digits after the point that are worth printing; negative means tens, hundreds, ...

    Parameters
    ----------
    error : array_like
        Monte Carlo standard errors of the numbers of one column.

    Returns
    -------
    int
        The last digit is worth at least the error of nine numbers in ten; at most 6.

    Examples
    --------
    >>> supported_decimals([0.004, 0.006]), supported_decimals([3.0]), supported_decimals([0.0])
    (2, -1, 6)
    """
    usual = float(np.quantile(np.asarray(error, dtype=float), 0.9))
    if usual <= 1e-6:
        return 6
    return int(min(np.floor(-np.log10(usual)), 6))


def round_by_error(draws: xr.DataArray, values: ArrayLike | None = None) -> Floats | Ints:
    """Round means over draws, or other summaries of them, to what the draws support.

    Parameters
    ----------
    draws : DataArray with dims chain, draw and others
    values : array_like of the shape of the others, optional
        What to round; the means if left out.

    Returns
    -------
    ndarray
        Whole numbers as integers.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> draws = xr.DataArray(rng.normal(123.456, 40, (2, 100)), dims=("chain", "draw"))
    >>> round_by_error(draws).item()
    120
    """
    means = draws.mean(("chain", "draw")).values if values is None else np.asarray(values)
    decimals = supported_decimals(monte_carlo_error(draws))
    rounded = np.round(means, decimals) + 0.0  # no minus zero
    return rounded.astype(np.int64) if decimals <= 0 else rounded
