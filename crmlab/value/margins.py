"""Margins from what customers spend: a share of the spend, less the cost of serving a stage."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from crmlab.arrays import number_problems
from crmlab.errors import SpecError, raise_problems


def mean_spend(
    prob: ArrayLike | xr.DataArray,
    median: ArrayLike | xr.DataArray,
    sigma: ArrayLike | xr.DataArray,
) -> xr.DataArray | np.ndarray:
    """Mean spend per period, in currency, of a channel that is often 0 and otherwise log-normal.

    prob * median * exp(sigma^2 / 2): the mean of a log-normal lies above its median, so a margin
    computed from the median is too small.

    Parameters
    ----------
    prob, median, sigma : array_like or DataArray, of shapes that broadcast
        Parameters of a `ZeroInflatedSpend` channel, by stage; draws of a posterior are allowed.

    Returns
    -------
    ndarray or DataArray
        Currency per period.

    Raises
    ------
    SpecError
        A probability outside 0 to 1, or a negative amount.

    Examples
    --------
    >>> float(mean_spend(0.5, 30.0, 1.0).round(3))
    24.731
    """
    prob, median, sigma = (_keep_labels(values) for values in (prob, median, sigma))
    problems = number_problems({"prob": prob}, least=0, most=1)
    problems += number_problems({"median": median, "sigma": sigma}, least=0)
    raise_problems(SpecError, "mean_spend", problems)
    return prob * median * np.exp(sigma**2 / 2)


def margin_from_spend(
    spend: ArrayLike | xr.DataArray,
    *,
    fraction: float,
    cost: ArrayLike | xr.DataArray = 0.0,
) -> xr.DataArray | np.ndarray:
    """Margin per period in each stage, in currency: a fraction of mean spend, less a cost.

    Parameters
    ----------
    spend : array_like of shape (..., K), or DataArray with dim stage
        Mean spend per period in each stage (`mean_spend`); draws keep their dims, and then
        `lifetime_value` gives every draw its own margins.
    fraction : float
        Share of the spend that is margin, 0 to 1.
    cost : array_like of shape (..., K), or DataArray
        Currency per period that serving a customer in each stage costs.

    Returns
    -------
    ndarray or DataArray

    Raises
    ------
    SpecError
        The fraction is outside 0 to 1, or a number is not finite.

    Examples
    --------
    >>> margin_from_spend([0.0, 25.0, 80.0], fraction=0.3, cost=[0.0, 1.5, 1.5]).tolist()
    [0.0, 6.0, 22.5]
    """
    spend, cost = _keep_labels(spend), _keep_labels(cost)
    problems = number_problems({"fraction": fraction}, least=0, most=1)
    if not np.isfinite(spend).all() or not np.isfinite(cost).all():
        problems.append("`spend` and `cost` must be finite; write 0 for none")
    raise_problems(SpecError, "margin_from_spend", problems)
    return fraction * spend - cost


def _keep_labels(values: ArrayLike | xr.DataArray) -> xr.DataArray | np.ndarray:
    return values if isinstance(values, xr.DataArray) else np.asarray(values, dtype=float)
