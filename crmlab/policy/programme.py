"""What to do in each stage: the dynamic programme, when stages and matrices are known.

An action a changes the transition matrix to P_a for one period and costs c(a, s). The best value
from stage s onwards satisfies Bellman's equation, with q = 1 / (1+d):

    Q(a, s) = R_s - c(a, s) + q sum_j P_a[s, j] V_j,          V_s = max over a of Q(a, s).

*Policy iteration* (Howard 1960, *Dynamic Programming and Markov Processes*) starts from some
policy, values it exactly by one linear system, and changes the action of every stage in which
another has a higher Q. No policy occurs twice, and where nothing changes the equation holds. So it
ends after finitely many steps, usually three or four, with the best of all A^K policies. Over a
finite horizon, one step at a time back from the end is enough (backward induction).

The functions take actions as arrays: P[action, from, to] and cost[action], or cost[action, stage]
where the cost differs; an action that also earns something at once has that much less cost, which
may then be negative. Leading axes (chain, draw) are solved side by side.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.policy.inputs import read_actions, read_allowed, read_policy

# A better action must be better by this share of the largest value, or rounding could cycle.
_TOLERANCE = 1e-12


class Plan(NamedTuple):
    """What to do in each stage, and what it brings."""

    action: NDArray[np.intp]
    value: Floats
    action_values: Floats


def best_action(
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    *,
    discount_rate: float,
    n_periods: int | None = None,
    allowed: ArrayLike | None = None,
) -> Plan:
    """Best action in each stage and the value, in currency, of acting so from now on.

    Margins and costs are paid at the start of each period.

    Parameters
    ----------
    P : array_like of shape (..., A, K, K)
        Transition matrix per period under each action; rows sum to 1.
    margin : array_like of shape (..., K)
        Currency per period in each stage.
    cost : array_like of shape (A,) or (..., A, K)
        Currency per customer and period under each action.
    discount_rate : float
        d: a fraction per period of `P`; above 0 for ever.
    n_periods : int, optional
        Periods in which something is earned, including the present one. None: for ever.
    allowed : array_like of bool of shape (A, K), optional
        Whether an action may be taken in a stage; every action if left out.

    Returns
    -------
    Plan
        `action` (..., K), the lowest index where several tie, and `value` (..., K); over a horizon
        the plan of the present period. `action_values` (..., A, K): Q, an action now and the best
        plan afterwards; minus infinity where it is not allowed.

    Raises
    ------
    SpecError
        Matrices, margins, costs or the rate are not valid or do not fit. All problems at once.

    References
    ----------
    Howard (1960), Dynamic Programming and Markov Processes, chapter 7.

    Examples
    --------
    Send a catalogue (cost 15) to customers of class low and high? Without it they bring 10 and 25,
    with it 10 and 25 more, and more of them are high next time:

    >>> plain = [[0.5, 0.5], [0.6, 0.4]]
    >>> sent = [[0.3, 0.7], [0.2, 0.8]]
    >>> plan = best_action([plain, sent], [10, 25], [[0, 0], [5, -10]], discount_rate=1 / 9)
    >>> plan.action.tolist(), plan.value.round(3).tolist()
    ([1, 1], [257.692, 290.659])
    """
    P, reward, keep = read_actions("best_action", P, margin, cost, discount_rate, n_periods)
    mask = read_allowed("best_action", allowed, P.shape[-3], P.shape[-1])
    reward = np.where(mask, reward, -np.inf)
    if n_periods is None:
        return iterate_policy(P, reward, keep)
    value = np.zeros(reward.shape[-1])
    for _ in range(n_periods):
        action_values = look_ahead(P, reward, keep, value)
        value = action_values.max(axis=-2)
    return Plan(action_values.argmax(axis=-2), value, action_values)


def policy_value(
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    policy: ArrayLike,
    *,
    discount_rate: float,
) -> Floats:
    """Value of each stage, in currency, under a policy that is kept for ever.

    Parameters
    ----------
    P, margin, cost, discount_rate
        As in `best_action`.
    policy : array_like of int of shape (..., K)
        Index of the action in each stage.

    Returns
    -------
    ndarray of shape (..., K)

    Raises
    ------
    SpecError
        As in `best_action`, or an index that is not an action.

    Examples
    --------
    >>> P = [[[0.8, 0.2], [0, 1]], [[0.9, 0.1], [0, 1]]]
    >>> policy_value(P, [100, 0], [0, 10], [1, 0], discount_rate=0.10).round(1)
    array([495.,   0.])
    """
    P, reward, keep = read_actions("policy_value", P, margin, cost, discount_rate)
    actions = read_policy("policy_value", policy, P.shape[-3], P.shape[-1])
    return value_policy(P, reward, keep, actions)


def iterate_policy(P: Floats, reward: Floats, keep: float) -> Plan:
    """Improve a policy until no stage has a better action."""
    shape = (*np.broadcast_shapes(P.shape[:-3], reward.shape[:-2]), P.shape[-1])
    policy = np.broadcast_to(reward.argmax(axis=-2), shape)
    while True:
        value = value_policy(P, reward, keep, policy)
        action_values = look_ahead(P, reward, keep, value)
        best = action_values.max(axis=-2)
        slack = _TOLERANCE * np.abs(value).max(initial=1.0)
        better = best > value + slack
        if not better.any():
            # Ties go to the lowest index, whatever policy came first.
            ties = action_values >= best[..., None, :] - slack
            return Plan(ties.argmax(axis=-2), value, action_values)
        policy = np.where(better, action_values.argmax(axis=-2), policy)


def value_policy(P: Floats, reward: Floats, keep: float, policy: NDArray[np.intp]) -> Floats:
    """Solve (I - q P_policy) V = r_policy, (..., K)."""
    P, reward, policy = _align(P, reward, policy)
    rows = np.take_along_axis(P, policy[..., None, :, None], axis=-3)[..., 0, :, :]
    paid = np.take_along_axis(reward, policy[..., None, :], axis=-2)[..., 0, :]
    return np.linalg.solve(np.eye(P.shape[-1]) - keep * rows, paid[..., None])[..., 0]


def _align(P: Floats, reward: Floats, policy: NDArray) -> tuple[Floats, Floats, NDArray]:
    """Broadcast all three to the same leading axes."""
    lead = np.broadcast_shapes(P.shape[:-3], reward.shape[:-2], policy.shape[:-1])
    return (
        np.broadcast_to(P, (*lead, *P.shape[-3:])),
        np.broadcast_to(reward, (*lead, *P.shape[-3:-1])),
        np.broadcast_to(policy, (*lead, P.shape[-1])),
    )


def look_ahead(P: Floats, reward: Floats, keep: float, value: Floats) -> Floats:
    """Q: an action now, and `value` from the next period on (..., A, K)."""
    return reward + keep * (P @ value[..., None, :, None])[..., 0]
