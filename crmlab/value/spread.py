"""How far one customer's value may be from its mean: the spread behind a lifetime value.

A lifetime value is a mean over everything that may happen to a customer. Two customers in the same
stage, under the same known matrix, can bring very different sums. Write G for the discounted sum
that one customer brings, V = E G by stage, and q = 1 / (1+d). One step ahead,

    G = R_i + e + q G',

where e is the noise of this period's payment (variance s_i^2, independent of the rest) and G' the
sum from the next stage on. The variance obeys a linear system of the same kind as the value, with
the square of the discount factor (Sobel 1982, *Journal of Applied Probability* 19(4), 794-802,
from memory):

    theta_i = s_i^2 + q^2 [ sum_j P_ij V_j^2 - (sum_j P_ij V_j)^2 ],    W = [I - q^2 P]^(-1) theta

This variance is aleatoric: more data narrow the posterior of V but do not change W.
`split_variance` adds the two.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.errors import SpecError
from crmlab.value.inputs import TIMINGS, as_floats, check_timing, read_valued
from crmlab.value.stage import mean_ahead, sum_for_ever


def value_variance(
    P: ArrayLike,
    margin: ArrayLike,
    *,
    discount_rate: float,
    n_periods: int | None = None,
    timing: str = "start",
    first: str = "next",
    margin_sd: ArrayLike = 0.0,
) -> Floats:
    """Variance of what one customer in each stage will bring, in currency squared.

    Parameters
    ----------
    P : array_like of shape (..., K, K)
        Transition matrix per period; rows sum to 1.
    margin : array_like of shape (..., K)
        R: mean currency per period spent in each stage.
    discount_rate : float
        d: a fraction per period of `P`.
    n_periods : int, optional
        Number of payments. None: for ever.
    timing : {"start", "middle", "end"}
    first : {"next", "current"}
        As in `stage_value`.
    margin_sd : float or array_like of shape (..., K)
        Standard deviation of one period's payment in each stage, in currency, independent from
        period to period; 0 if a stage pays its margin exactly.

    Returns
    -------
    ndarray of shape (..., K)

    Raises
    ------
    SpecError
        As in `stage_value`, or a standard deviation that is negative.

    References
    ----------
    Sobel (1982), Journal of Applied Probability 19(4), 794-802 (from memory).

    Examples
    --------
    A buyer stays with probability .8 a year and pays 100 each year: undiscounted, the number of
    payments is geometric with variance .8 / .2^2 = 20, with or without the certain one now.

    >>> value_variance([[0.8, 0.2], [0, 1]], [100, 0], discount_rate=0).round(6).tolist()
    [200000.0, 0.0]
    """
    check_timing("value_variance", timing, first)
    noise = as_floats("margin_sd", margin_sd)
    P, margin, keep = read_valued(
        "value_variance",
        P,
        margin,
        discount_rate,
        n_periods,
        lambda _, R: _noise_problems(noise, R),
    )
    if n_periods is None:
        value = sum_for_ever(P, margin, keep)
        risk = noise**2 + keep**2 * _row_variance(P, value)
        variance = sum_for_ever(P, risk, keep**2)
    else:
        value, variance = _sum_horizon(P, margin, noise**2, keep, n_periods)
    if first == "next":
        variance = keep**2 * (_row_variance(P, value) + mean_ahead(P, variance))
    return variance * keep ** (2 * TIMINGS[timing])


def _noise_problems(noise: NDArray, margin: NDArray) -> list[str]:
    if noise.ndim and margin.ndim and noise.shape[-1] != margin.shape[-1]:
        return [f"`margin_sd` needs one number per stage, or one for all, got shape {noise.shape}"]
    if not (np.isfinite(noise) & (noise >= 0)).all():
        return ["`margin_sd` must hold finite numbers of at least 0"]
    return []


def _row_variance(P: NDArray, value: NDArray) -> NDArray:
    """Variance of the next stage's value, by stage now."""
    ahead = mean_ahead(P, value)
    # About the mean, not as a difference of two large squares: a certain move has variance 0.
    return (P * (value[..., None, :] - ahead[..., :, None]) ** 2).sum(axis=-1)


def _sum_horizon(
    P: NDArray, margin: NDArray, noise: NDArray, keep: float, n_periods: int
) -> tuple[NDArray, NDArray]:
    """Step back one payment at a time: value and variance of `n_periods` payments."""
    shape = np.broadcast_shapes(P.shape[:-1], margin.shape, noise.shape)
    variance = np.broadcast_to(noise, shape).astype(float)
    value = np.broadcast_to(margin, shape)
    for _ in range(n_periods - 1):
        risk = noise + keep**2 * _row_variance(P, value)
        variance = risk + keep**2 * mean_ahead(P, variance)
        value = margin + keep * mean_ahead(P, value)
    return value, variance


class Spread(NamedTuple):
    """A variance in two parts, in currency squared; only the epistemic part shrinks with data."""

    aleatoric: Floats
    epistemic: Floats

    @property
    def total(self) -> Floats:
        """Total variance of what a customer will bring."""
        return self.aleatoric + self.epistemic


def split_variance(values: ArrayLike, variances: ArrayLike) -> Spread:
    """Split the predictive variance of a value into an aleatoric and an epistemic part.

    Var G = E[Var(G | draw)] + Var(E[G | draw]), over draws, in currency squared.

    Parameters
    ----------
    values : array_like of shape (draws, ...)
        Value under each draw.
    variances : array_like of shape (draws, ...)
        Variance of what one customer brings under each draw: `value_variance`.

    Returns
    -------
    Spread
        Its parts have the shape of `values` without the draws.

    Examples
    --------
    >>> split_variance([[10.0], [14.0]], [[30.0], [50.0]])
    Spread(aleatoric=array([40.]), epistemic=array([4.]))
    """
    values, variances = as_floats("values", values), as_floats("variances", variances)
    if values.ndim < 1 or values.shape != variances.shape or not values.size:
        raise SpecError(
            "split_variance: `values` and `variances` must have one shape (draws, ...), got "
            f"{values.shape} and {variances.shape}"
        )
    return Spread(variances.mean(axis=0), values.var(axis=0))


def hidden_variance(probs: ArrayLike, values: ArrayLike, variances: ArrayLike) -> Floats:
    """Variance of what a customer whose stage is hidden will bring, in currency squared.

    sum_s p(s) [W(s) + V(s)^2] - [sum_s p(s) V(s)]^2: not knowing the stage adds variance.

    Parameters
    ----------
    probs : array_like of shape (..., K)
        Probabilities of the stages.
    values, variances : array_like of shape (..., K)
        `stage_value` and `value_variance`, under the same matrix.

    Returns
    -------
    ndarray of shape (...)

    Examples
    --------
    >>> float(hidden_variance([0.5, 0.5], [0.0, 10.0], [1.0, 3.0]))
    27.0
    """
    probs, values = as_floats("probs", probs), as_floats("values", values)
    variances = as_floats("variances", variances)
    mean = (probs * values).sum(axis=-1, keepdims=True)
    return (probs * (variances + (values - mean) ** 2)).sum(axis=-1)
