"""What a move is worth: derivatives of value, in closed form, for each posterior draw.

Write q = 1/(1+d), N = (I - q P)^(-1) for the discounted fundamental matrix, and V = N R, which
includes the payment of the current period. If the matrix changes a little, by dP, the value changes
by

    dV = q N dP V:

whoever passes through stage a (N counts how often, discounted) meets the changed row there, and
gains the value of the stages that the row leads to, one period later. Rows must still sum to 1, so
"more of the move a -> b" has no meaning until it is clear where the probability comes from:

    taken_from="stay"      from staying in a:          q N[i, a] (V_b - V_a)
    taken_from="others"    from all other moves of the row, in proportion:
                                                       q N[i, a] (V_b - sum_j P_aj V_j) / (1 - P_ab)

An action that adds x_ab to the log-odds of each move shifts the whole row. Its derivative is the
covariance, under row a, of the shift with the value of the stage that comes next:

    dP_ab = P_ab (x_ab - sum_j P_aj x_aj),             dV = q N c,   c_a = Cov_a(x, V).

Over a horizon of n payments, the same holds one payment at a time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.errors import SpecError, check_one_of, raise_problems
from crmlab.value.inputs import (
    TIMINGS,
    as_floats,
    check_timing,
    matrix_problems,
    read_customers,
    read_valued,
)
from crmlab.value.stage import mean_ahead, stage_value


def transition_gradient(
    P: ArrayLike,
    margin: ArrayLike,
    *,
    discount_rate: float,
    taken_from: str = "stay",
    n_periods: int | None = None,
    timing: str = "start",
    first: str = "next",
) -> Floats:
    """Change of each stage's value, in currency, per unit of probability of each move.

    Multiply by 0.01 for the worth of one percentage point.

    Parameters
    ----------
    P : array_like of shape (..., K, K)
        Transition matrix per period; rows sum to 1.
    margin : array_like of shape (..., K)
        Currency per period in each stage.
    discount_rate : float
        d: a fraction per period of `P`; above 0 for ever.
    taken_from : {"stay", "others"}
        Where the probability of a move comes from (the row constraint; module docstring).
    n_periods : int, optional
        Number of payments. None: for ever.
    timing : {"start", "middle", "end"}
    first : {"next", "current"}
        As in `stage_value`. No move changes what is paid in the current period.

    Returns
    -------
    ndarray of shape (..., K, K, K)
        [i, a, b]: derivative of V_i with respect to P_ab. 0 at a = b with "stay"; NaN with
        "others" where P_ab = 1, since it cannot grow.

    Raises
    ------
    SpecError
        As in `stage_value`.

    Examples
    --------
    If one percentage point more of the loyal are lost, a loyal customer is worth 12.22 less:

    >>> gradient = transition_gradient([[0.8, 0.2], [0, 1]], [100, 0], discount_rate=0.10)
    >>> round(0.01 * float(gradient[0, 0, 1]), 2)
    -12.22
    """
    check_timing("transition_gradient", timing, first)
    check_one_of("transition_gradient", "taken_from", taken_from, ("stay", "others"))
    P, margin, keep = _read("transition_gradient", P, margin, discount_rate, n_periods)
    gain = _stay_gain if taken_from == "stay" else _others_gain
    steps = _steps(P, margin, keep, n_periods, first)
    total = sum(N[..., :, :, None] * gain(P, V)[..., None, :, :] for N, V in steps)
    shape = (*np.broadcast_shapes(P.shape[:-1], margin.shape), *P.shape[-2:])
    return np.broadcast_to(keep * total, shape) * keep ** TIMINGS[timing]


def action_gradient(
    P: ArrayLike,
    margin: ArrayLike,
    shifts: ArrayLike,
    *,
    discount_rate: float,
    n_periods: int | None = None,
    timing: str = "start",
    first: str = "next",
) -> Floats:
    """Change of each stage's value, in currency, per unit of an action's effect in log-odds.

    An action of strength h changes the matrix to P_ab exp(h x_ab), each row divided by its sum;
    this is the derivative at h = 0. Moves of probability 0 stay impossible.

    Parameters
    ----------
    P : array_like of shape (..., K, K)
    margin : array_like of shape (..., K)
    shifts : array_like of shape (K, K) or (E, K, K)
        x: what one unit of each effect adds to the log-odds of each move.
    discount_rate, n_periods, timing, first
        As in `transition_gradient`.

    Returns
    -------
    ndarray of shape (..., K) or (..., E, K)
        Derivative of the value of each stage, for each effect.

    Raises
    ------
    SpecError
        As in `stage_value`, or shifts of another shape.

    Examples
    --------
    >>> pull = [[1, 0], [0, 0]]  # towards staying loyal
    >>> action_gradient([[0.8, 0.2], [0, 1]], [100, 0], pull, discount_rate=0.10).round(1)
    array([195.6,   0. ])
    """
    check_timing("action_gradient", timing, first)
    P, margin, keep = _read("action_gradient", P, margin, discount_rate, n_periods)
    shifts = as_floats("shifts", shifts)
    n_stages = P.shape[-1]
    if shifts.ndim not in (2, 3) or shifts.shape[-2:] != (n_stages, n_stages):
        raise SpecError(
            f"action_gradient: `shifts` must have shape ({n_stages}, {n_stages}) or (effects, "
            f"{n_stages}, {n_stages}), got {shifts.shape}"
        )
    effects = shifts[None] if shifts.ndim == 2 else shifts
    steps = _steps(P, margin, keep, n_periods, first)
    total = sum(np.einsum("...ia,...ea->...ei", N, _covariance(P, effects, V)) for N, V in steps)
    total = keep ** (1 + TIMINGS[timing]) * total
    return total[..., 0, :] if shifts.ndim == 2 else total


def _read(
    owner: str, P: ArrayLike, margin: ArrayLike, discount_rate: float, n_periods: int | None
) -> tuple[NDArray, NDArray, float]:
    P, margin, keep = read_valued(owner, P, margin, discount_rate, n_periods)
    if n_periods is None and keep >= 1:
        raise SpecError(
            f"{owner}: an infinite horizon needs a positive `discount_rate`, got "
            f"{discount_rate:g}; give one, or a number of payments `n_periods`."
        )
    return P, margin, keep


def _steps(
    P: NDArray, margin: NDArray, keep: float, n_periods: int | None, first: str
) -> list[tuple[NDArray, NDArray]]:
    """Pairs (discounted visits, value from the next payment on) whose products add up.

    Over an infinite horizon there is one pair, all visits and V. Over a finite one, a customer in
    stage a after t moves has n - t - 1 payments to come after the next move, where n includes that
    of the current period.
    """
    n_periods = n_periods + 1 if n_periods and first == "next" else n_periods
    stay = np.eye(P.shape[-1])
    if n_periods is None:
        N = np.linalg.inv(stay - keep * P)
        return [(N, mean_ahead(N, margin))]
    if n_periods == 1:  # no move is ever paid for
        return [(np.zeros(P.shape), margin)]
    shape = np.broadcast_shapes(P.shape[:-1], margin.shape)
    visits, values = [np.broadcast_to(stay, P.shape)], [np.broadcast_to(margin, shape)]
    for _ in range(n_periods - 2):
        visits.append(keep * visits[-1] @ P)
        values.append(margin + keep * mean_ahead(P, values[-1]))
    return list(zip(visits, values[::-1], strict=True))


def _stay_gain(P: NDArray, value: NDArray) -> NDArray:
    """Worth of a move instead of staying (..., a, b)."""
    return value[..., None, :] - value[..., :, None]


def _others_gain(P: NDArray, value: NDArray) -> NDArray:
    """Worth of a move instead of the row's other moves in proportion (..., a, b)."""
    ahead = mean_ahead(P, value)
    room = np.where(P < 1, 1 - P, np.nan)
    return (value[..., None, :] - ahead[..., :, None]) / room


def _covariance(P: NDArray, effects: NDArray, value: NDArray) -> NDArray:
    """Covariance, under each row, of each effect with the next stage's value (..., E, a)."""
    mean = mean_ahead(P, value)
    surprise = P * (value[..., None, :] - mean[..., :, None])
    return np.einsum("...ab,eab->...ea", surprise, effects)


class Elasticities(NamedTuple):
    """Per cent change of customer equity per 1 % change of each input."""

    transitions: Floats
    margins: Floats
    discount_rate: Floats


def equity_elasticities(
    P: ArrayLike,
    margin: ArrayLike,
    n_customers: ArrayLike,
    *,
    discount_rate: float,
    taken_from: str = "others",
    first: str = "next",
) -> Elasticities:
    """Elasticities of customer equity E = sum_i n_i V_i, over an infinite horizon.

    Parameters
    ----------
    P : array_like of shape (..., K, K)
    margin : array_like of shape (..., K)
    n_customers : array_like of shape (K,)
        Customers in each stage.
    discount_rate : float
        d: a fraction per period of `P`, above 0.
    taken_from : {"stay", "others"}
        Where the probability of a move comes from, as in `transition_gradient`.
    first : {"next", "current"}
        As in `stage_value`.

    Returns
    -------
    Elasticities
        `transitions` (..., K, K): (P_ab / E) dE/dP_ab; `margins` (..., K): share of equity that
        each stage's margin earns, which sum to 1; `discount_rate` (...): (d / E) dE/dd.

    Raises
    ------
    SpecError
        As in `transition_gradient`; counts that are negative; equity of 0.

    Examples
    --------
    Retention .8 at 10 %: 1 % more retention adds 2.67 % to equity.

    >>> P, margin = [[0.8, 0.2], [0, 1]], [100, 0]
    >>> found = equity_elasticities(P, margin, [1, 0], discount_rate=0.10, first="current")
    >>> found.transitions[0, 0].round(2), found.margins.round(2), found.discount_rate.round(3)
    (np.float64(2.67), array([1., 0.]), np.float64(-0.242))
    """
    check_timing("equity_elasticities", "start", first)
    gradient = transition_gradient(P, margin, discount_rate=discount_rate, taken_from=taken_from)
    P, margin = as_floats("P", P), as_floats("margin", margin)
    counts = read_customers("equity_elasticities", n_customers, P.shape[-1])
    keep = 1 / (1 + discount_rate)
    N = np.linalg.inv(np.eye(P.shape[-1]) - keep * P)
    visits = counts @ N
    paid = visits - counts if first == "next" else visits
    equity = (paid * margin).sum(axis=-1)
    if (equity == 0).any():
        raise SpecError("equity_elasticities: equity is 0, so per cent of it mean nothing")
    value = mean_ahead(N, margin)
    # dV/dd = dq/dd N P V and dq/dd = -q^2
    by_rate = -(keep**2) * np.einsum("...a,...ab,...b->...", visits, P, value)
    by_move = np.einsum("i,...iab->...ab", counts, gradient)
    return Elasticities(
        transitions=P * by_move / equity[..., None, None],
        margins=paid * margin / equity[..., None],
        discount_rate=discount_rate * by_rate / equity,
    )


def break_even_cost(
    P: ArrayLike,
    margin: ArrayLike,
    P_offer: ArrayLike,
    *,
    discount_rate: float,
    timing: str = "start",
) -> Floats:
    """Highest cost per customer and period, in currency, at which an offer pays, by stage.

    q sum_j (P'_ij - P_ij) V_j: what the row changed by the offer gains, one period later. The
    number is the same for an offer made once and for one made in every period in the stage: with
    the offer for ever, the gain is N' [q (P' - P) V - c], which is 0 where the bracket is.

    Parameters
    ----------
    P : array_like of shape (..., K, K)
        Transition matrix per period without the offer.
    margin : array_like of shape (..., K)
        Currency per period in each stage.
    P_offer : array_like of shape (..., K, K)
        Transition matrix with the offer in every stage.
    discount_rate : float
        d: a fraction per period of `P`.
    timing : {"start", "middle", "end"}
        When in its period a margin is paid. The offer is paid for at the start of its period.

    Returns
    -------
    ndarray of shape (..., K)
        Negative where the offer does harm at any price.

    Raises
    ------
    SpecError
        As in `stage_value`.

    Examples
    --------
    An offer that keeps 85 instead of 80 of 100 customers a year:

    >>> P, P_offer = [[0.8, 0.2], [0, 1]], [[0.85, 0.15], [0, 1]]
    >>> break_even_cost(P, [100, 0], P_offer, discount_rate=0.10).round(2)
    array([16.67,  0.  ])
    """
    offer = as_floats("P_offer", P_offer)
    raise_problems(
        SpecError,
        "break_even_cost",
        [p.replace("`P`", "`P_offer`") for p in matrix_problems(offer)],
    )
    value = stage_value(P, margin, discount_rate=discount_rate, timing=timing, first="current")
    return mean_ahead(offer - as_floats("P", P), value) / (1 + discount_rate)
