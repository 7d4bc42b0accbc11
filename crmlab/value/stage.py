"""The value of a stage: margins still to come, discounted.

A customer who is in stage i now earns the firm the margin R_i in this period, moves by the
transition matrix P, earns the margin of the next stage, and so on. Discounting at the rate d per
period, the worth of being in each stage is, with the margin of this period,

    V = R + P R / (1+d) + P^2 R / (1+d)^2 + ... = [I - P / (1+d)]^(-1) R = N R,

a system of linear equations with one unknown per stage (Pfeifer & Carraway 2000, *Journal of
Interactive Marketing* 14(2), 43-55). Row i of N, the discounted fundamental matrix, holds the
discounted number of periods that a customer who starts in i will spend in each stage: value is
time times price. What is still to come after this period is V - R = P V / (1+d).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats
from crmlab.chains.reach import reachable
from crmlab.errors import SpecError, check_one_of, raise_problems
from crmlab.value.inputs import (
    FIRSTS,
    TIMINGS,
    as_floats,
    bare_rate_problems,
    check_timing,
    horizon_problems,
    matrix_problems,
    read_valued,
)


def stage_value(
    P: ArrayLike,
    margin: ArrayLike,
    *,
    discount_rate: float,
    n_periods: int | None = None,
    timing: str = "start",
    first: str = "next",
) -> Floats:
    """Worth of being in each stage now, in currency: the discounted margins still to come.

    The payment h periods ahead is divided by (1+d)^h: V = sum over h of [P/(1+d)]^h R, where h runs
    from 1 to `n_periods` (``first="next"``), or from 0 to ``n_periods - 1`` (``first="current"``;
    Pfeifer & Carraway 2000, whose horizon T is ``n_periods = T + 1`` payments).

    Parameters
    ----------
    P : array_like of shape (..., K, K)
        Transition matrix per period; rows (where from) sum to 1. Leading axes, such as
        (chain, draw), broadcast.
    margin : array_like of shape (..., K)
        R: currency per period spent in each stage; costs are negative.
    discount_rate : float
        d: a fraction per period of `P`.
    n_periods : int, optional
        Number of payments. None: for ever.
    timing : {"start", "middle", "end"}
        When in its period a margin is paid. "end" is "start" divided by 1+d, "middle" divided by
        its root. Values are as of the start of the current period.
    first : {"next", "current"}
        The period of the first payment that counts. Over an infinite horizon, the two differ only
        by the margin of the current period.

    Returns
    -------
    ndarray of shape (..., K)
        V, in the currency of `margin`.

    Raises
    ------
    SpecError
        Rows that are not probabilities, margins that are not finite, a rate of -1 or less, or an
        infinite horizon over which the sum does not converge.

    Examples
    --------
    A buyer stays with probability .8 a year and is lost for good otherwise:

    >>> P, margin = [[0.8, 0.2], [0, 1]], [100, 0]
    >>> stage_value(P, margin, discount_rate=0.10).round(2).tolist()
    [266.67, 0.0]
    >>> stage_value(P, margin, discount_rate=0.10, first="current").round(2).tolist()
    [366.67, 0.0]
    """
    check_timing("stage_value", timing, first)
    P, margin, keep = read_valued("stage_value", P, margin, discount_rate, n_periods)
    if n_periods is None:
        value = sum_for_ever(P, margin, keep)
    else:
        value = sum_horizon(P, margin, keep, n_periods)
    if first == "next":
        value = keep * mean_ahead(P, value)
    return value * keep ** TIMINGS[timing]


def discounted_occupancy(
    P: ArrayLike, *, discount_rate: float, n_periods: int | None = None, first: str = "next"
) -> Floats:
    """Discounted periods in each stage (column) of a customer who is in a stage now (row).

    N = sum over h of [P/(1+d)]^h, h as in `stage_value`: V = N R at the start of each period.

    Parameters
    ----------
    P : array_like of shape (..., K, K)
        Transition matrix per period; rows sum to 1.
    discount_rate : float
        d: a fraction per period of `P`; above 0 for ever.
    n_periods : int, optional
        Number of periods. None: for ever.
    first : {"next", "current"}
        The first period that counts.

    Returns
    -------
    ndarray of shape (..., K, K)
        Periods, discounted; rows sum to 1/d for ever, and to 1 more with the current period.

    Raises
    ------
    SpecError
        Rows that are not probabilities, or an infinite horizon without discounting.

    Examples
    --------
    >>> discounted_occupancy([[0.8, 0.2], [0, 1]], discount_rate=0.10, first="current").round(2)
    array([[ 3.67,  7.33],
           [ 0.  , 11.  ]])
    """
    check_one_of("discounted_occupancy", "first", first, FIRSTS)
    P = as_floats("P", P)
    problems = [
        *matrix_problems(P),
        *bare_rate_problems(discount_rate),
        *horizon_problems(n_periods),
    ]
    raise_problems(SpecError, "discounted_occupancy", problems)
    keep = 1 / (1 + discount_rate)
    if n_periods is None and keep >= 1:
        raise SpecError(
            f"discounted_occupancy: periods without end need a positive `discount_rate`, got "
            f"{discount_rate:g}; give one, or a number of periods `n_periods`."
        )
    stay = np.eye(P.shape[-1])
    if n_periods is None:
        total = np.linalg.inv(stay - keep * P)
    else:
        total = np.array(np.broadcast_to(stay, P.shape))
        for _ in range(n_periods - 1):
            total = stay + keep * P @ total
    return keep * P @ total if first == "next" else total


def mean_ahead(P: NDArray, value: NDArray) -> NDArray:
    """Mean value of the next stage, by stage now (..., K)."""
    return (P @ value[..., None])[..., 0]


def sum_horizon(P: NDArray, margin: NDArray, keep: float, n_periods: int) -> NDArray:
    """Add `n_periods` payments by Horner's rule: V <- R + keep * P V."""
    shape = np.broadcast_shapes(P.shape[:-1], margin.shape)
    value = np.broadcast_to(margin, shape).astype(float)
    for _ in range(n_periods - 1):
        value = margin + keep * mean_ahead(P, value)
    return value


def sum_for_ever(P: NDArray, margin: NDArray, keep: float) -> NDArray:
    """Solve (I - keep P) V = R on the stages from which money can still come; others are worth 0.

    Without the others, a chain that ends in a stage of margin 0 can be valued without discounting,
    where I - P itself is singular; otherwise nothing changes.
    """
    paying = _paying_stages(P, margin)
    inside = P * (paying[..., :, None] & paying[..., None, :])
    _refuse_endless_sum(inside, keep)
    right = np.where(paying, margin, 0.0)[..., None]
    return np.linalg.solve(np.eye(P.shape[-1]) - keep * inside, right)[..., 0]


def _paying_stages(P: NDArray, margin: NDArray) -> Bools:
    """Stages from which some stage with a margin other than 0 can be reached."""
    return (reachable(P) & (margin != 0)[..., None, :]).any(axis=-1)


def _refuse_endless_sum(inside: NDArray, keep: float) -> None:
    """Refuse an infinite horizon over which payments grow faster than the discounting.

    The rows of `inside` sum to at most 1, so any positive rate converges and needs no check.
    """
    if keep < 1:
        return
    growth = keep * np.abs(np.linalg.eigvals(inside)).max()
    if growth >= 1 - 1e-12:
        raise SpecError(
            "stage_value: the sum over an infinite horizon does not converge: money comes for "
            f"ever and a discount_rate of {1 / keep - 1:.6g} does not shrink it. Give a positive "
            "`discount_rate`, a number of payments `n_periods`, or an absorbing stage whose "
            "margin is 0."
        )
