"""What to do when money is short: budgets, by a price on each euro spent.

A budget couples customers who have nothing else to do with each other. Lagrange's method separates
them: charge an extra price for every euro spent, choose freely for each customer or stage, and
raise the price until the budget holds. The price is what one more euro of budget would bring.

The price also gives a bound. For any price p >= 0,

    best within the budget  <=  free optimum at price p  +  p x budget,

so each answer here has a bound on its distance from the best: exactly 0 for policies that may be
mixed, and at most the gain of one offer where each customer gets one offer or none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.policy.inputs import by_action, read_actions, read_weights, with_rounding
from crmlab.policy.programme import iterate_policy, value_policy
from crmlab.value.inputs import as_floats

_HALVINGS = 60

# A policy, its value and what it spends; and the best of them at a price on spend.
Priced = tuple[NDArray[np.intp], float, float]
AtPrice = Callable[[float], Priced]


class Allocation(NamedTuple):
    """One action for each customer, within a budget."""

    action: NDArray[np.intp]
    gain: float
    spent: float
    bound: float
    price: float


def allocate(gain: ArrayLike, cost: ArrayLike, *, budget: float) -> Allocation:
    """Choose an action for each customer: the highest gain, in currency, within a budget.

    Parameters
    ----------
    gain : array_like of shape (customers, A)
        What each action brings from each customer, in currency, before its cost. Action 0
        is to do nothing.
    cost : array_like of shape (A,) or (customers, A)
        Cost of each action, in currency; at least 0, and 0 for action 0.
    budget : float
        Most that may be spent, in currency.

    Returns
    -------
    Allocation
        `action` (customers,), its `gain` and what is `spent`; `bound`: no choice within the budget
        gains more; `price`: approximate gain of one more unit of budget.

    Raises
    ------
    SpecError
        Shapes that do not fit, negative costs or budget. All problems at once.

    Notes
    -----
    This is a multiple-choice knapsack. At the price where the budget just holds, customers may be
    moved up while money is left; the loss compared with the bound is less than the largest step
    between two actions of one customer (Dantzig 1957, *Operations Research* 5(2), 266-277, from
    memory).

    Examples
    --------
    >>> found = allocate([[0, 9], [0, 8], [0, 3]], [0, 4], budget=9)
    >>> found.action.tolist(), found.gain, found.spent
    ([1, 1, 0], 17.0, 8.0)
    """
    gain, cost = _read_allocation(gain, cost, budget)
    most = with_rounding(budget)
    price = _lowest_price(gain, cost, most)
    rows = np.arange(len(gain))
    action = _respond(gain, cost, price)
    action = _fill(gain, cost, action, most - cost[rows, action].sum())
    chosen = cost[rows, action].sum()
    bound = (gain - price * cost).max(axis=1).sum() + price * budget
    total = gain[rows, action].sum()
    return Allocation(action, float(total), float(chosen), float(max(bound, total)), float(price))


def _read_allocation(gain: ArrayLike, cost: ArrayLike, budget: float) -> tuple[Floats, Floats]:
    gain, cost = as_floats("gain", gain), as_floats("cost", cost)
    problems = []
    if gain.ndim != 2 or not gain.size or not np.isfinite(gain).all():
        problems.append(f"`gain` must be finite, of shape (customers, actions), got {gain.shape}")
    elif cost.shape not in ((gain.shape[1],), gain.shape):
        problems.append(
            f"`cost` must have shape ({gain.shape[1]},) or {gain.shape}, got {cost.shape}"
        )
    if not (np.isfinite(cost) & (cost >= 0)).all() or (cost[..., 0] != 0).any():
        problems.append("`cost` must be finite and at least 0, and 0 for action 0, doing nothing")
    problems += number_problems({"budget": budget}, least=0)
    raise_problems(SpecError, "allocate", problems)
    return gain, np.broadcast_to(cost, gain.shape)


def _respond(gain: Floats, cost: Floats, price: float) -> NDArray[np.intp]:
    """Best action of each customer at a price; the cheapest where several tie."""
    net = gain - price * cost
    tied = net >= net.max(axis=1, keepdims=True) - 1e-12 * np.abs(gain).max(initial=1.0)
    return np.where(tied, cost, np.inf).argmin(axis=1)


def _lowest_price(gain: Floats, cost: Floats, budget: float) -> float:
    """Bisect for the lowest price at which the customers' choices fit the budget."""
    rows = np.arange(len(gain))

    def spends(price: float) -> float:
        return cost[rows, _respond(gain, cost, price)].sum()

    if spends(0.0) <= budget:
        return 0.0
    paid = cost > 0
    high = 2 * np.max((gain - gain.min(axis=1, keepdims=True))[paid] / cost[paid]) + 1e-9
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if spends(middle) <= budget else (middle, high)
    return high


def _fill(gain: Floats, cost: Floats, action: NDArray[np.intp], left: float) -> NDArray[np.intp]:
    """Spend the rest on dearer actions, until no customer can be moved up any more."""
    rows = np.arange(len(gain))
    while True:
        filled = _fill_once(gain, cost, action, left)
        if (filled == action).all():
            return action
        left -= (cost[rows, filled] - cost[rows, action]).sum()
        action = filled


def _fill_once(
    gain: Floats, cost: Floats, action: NDArray[np.intp], left: float
) -> NDArray[np.intp]:
    """Move each customer up once where it fits, starting with the highest gain per unit."""
    rows = np.arange(len(gain))
    extra = cost - cost[rows, action][:, None]
    more = gain - gain[rows, action][:, None]
    who, what = np.nonzero((more > 0) & (extra <= left) & (extra > 0))
    order = np.argsort(-more[who, what] / extra[who, what], kind="stable")
    cheapest = extra[who, what].min(initial=np.inf)
    action, moved = action.copy(), set()
    for k in order:
        if left < cheapest:
            break
        if who[k] not in moved and extra[who[k], what[k]] <= left:
            action[who[k]] = what[k]
            left -= extra[who[k], what[k]]
            moved.add(who[k])
    return action


class BudgetPlan(NamedTuple):
    """The best policy within a lifetime budget: one policy, or two mixed at random."""

    policies: NDArray[np.intp]
    shares: Floats
    value: float
    spent: float
    bound: float
    price: float


def plan_within_budget(
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    *,
    discount_rate: float,
    budget: float,
    n_customers: ArrayLike | None = None,
) -> BudgetPlan:
    """Best policy when the discounted spend on all customers may not exceed a budget, in currency.

    Parameters
    ----------
    P, margin, cost, discount_rate
        As in `best_action`, without leading axes; costs are at least 0 and count as spend.
    budget : float
        Most that may be spent on today's customers, discounted, in currency.
    n_customers : array_like of shape (K,), optional
        Customers in each stage today; one in each if left out.

    Returns
    -------
    BudgetPlan
        `policies` (1 or 2, K) and `shares` of the customers who are treated by each: a constrained
        programme needs two policies at most, which differ where the budget runs out (Beutler &
        Ross 1985, from memory). `value` of all customers, net of spend; `spent` in the mean;
        `bound`: no policy within the budget is worth more; `price`: value of one more unit.

    Raises
    ------
    SpecError
        As in `best_action`; negative costs; a budget below what the cheapest policy needs.

    Examples
    --------
    >>> P = [[[0.8, 0.2], [0, 1]], [[0.9, 0.1], [0, 1]]]
    >>> plan = plan_within_budget(P, [100, 0], [0, 10], discount_rate=0.10, budget=22)
    >>> plan.policies.tolist(), plan.shares.round(2).tolist(), round(plan.value, 2)
    ([[0, 0], [1, 0]], [0.6, 0.4], 418.0)
    """
    P, reward, keep = read_actions("plan_within_budget", P, margin, cost, discount_rate)
    spend = _read_spend(P, cost, budget)
    weights = read_weights("plan_within_budget", n_customers, P.shape[-1])

    def at(price: float) -> Priced:
        policy = iterate_policy(P, reward - price * spend, keep).action
        worth = value_policy(P, reward, keep, policy) @ weights
        return policy, float(worth), float(value_policy(P, spend, keep, policy) @ weights)

    low = at(0.0)
    if low[2] <= budget:
        return BudgetPlan(low[0][None], np.ones(1), low[1], low[2], low[1], 0.0)
    high = _cheap_enough(at, reward, spend, budget)
    return _meet(at, low, high, budget)


def policy_by_budget(
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    budgets: ArrayLike,
    *,
    discount_rate: float,
    n_customers: ArrayLike | None = None,
) -> NDArray[np.intp]:
    """Best action in each stage within each of several budgets: a map of stage by budget.

    Where two policies are mixed, the map shows the one that most customers get.

    Parameters
    ----------
    P : array_like of shape (A, K, K) or (draws, A, K, K)
    margin : array_like of shape (K,) or (draws, K)
    cost : array_like of shape (A,) or (A, K)
    budgets : array_like of shape (budgets,)
        Discounted currency for all of today's customers.
    discount_rate, n_customers
        As in `plan_within_budget`.

    Returns
    -------
    ndarray of int of shape (budgets, K) or (draws, budgets, K)

    Raises
    ------
    SpecError
        As in `plan_within_budget`.

    Examples
    --------
    >>> P = [[[0.8, 0.2], [0, 1]], [[0.9, 0.1], [0, 1]]]
    >>> policy_by_budget(P, [100, 0], [0, 10], [0, 22, 44], discount_rate=0.10).tolist()
    [[0, 0], [0, 0], [1, 0]]
    """
    P, margin = as_floats("P", P), as_floats("margin", margin)
    options: dict[str, Any] = {"discount_rate": discount_rate, "n_customers": n_customers}
    if P.ndim == 4:
        margins = np.broadcast_to(margin, (len(P), P.shape[-1]))
        maps = [
            policy_by_budget(one, own, cost, budgets, **options)
            for one, own in zip(P, margins, strict=True)
        ]
        return np.stack(maps)
    plans = [
        plan_within_budget(P, margin, cost, budget=float(budget), **options)
        for budget in as_floats("budgets", budgets)
    ]
    return np.stack([plan.policies[plan.shares.argmax()] for plan in plans])


def _read_spend(P: Floats, cost: ArrayLike, budget: float) -> Floats:
    spend = by_action(as_floats("cost", cost))
    problems = []
    if P.ndim != 3:
        problems.append(f"`P` must have shape (actions, K, K), got {P.shape}; plan draw by draw")
    if (spend < 0).any():
        problems.append("`cost` must be at least 0, because it counts as spend")
    problems += number_problems({"budget": budget}, least=0)
    raise_problems(SpecError, "plan_within_budget", problems)
    return np.broadcast_to(spend, P.shape[:2])


def _cheap_enough(at: AtPrice, reward: Floats, spend: Floats, budget: float) -> Priced:
    """Raise the price until the plan fits the budget; stop at the cheapest policy of all."""
    price = 1.0
    for _ in range(_HALVINGS):
        found = at(price)
        if found[2] <= budget:
            return found
        price *= 4
    raise SpecError(
        f"plan_within_budget: the cheapest policy spends {found[2]:.6g}, more than the `budget` of "
        f"{budget:g}; allow an action of cost 0 in every stage, or raise the budget"
    )


def _meet(at: AtPrice, low: Priced, high: Priced, budget: float) -> BudgetPlan:
    """Close in on the two policies whose line crosses the budget at the highest value.

    Value plotted against spend has a concave upper edge. The price at which the two current
    policies are worth the same either finds a policy above their line, or proves there is none.
    """
    for _ in range(_HALVINGS):
        price = (low[1] - high[1]) / (low[2] - high[2])
        middle = at(price)
        lift = (middle[1] - price * middle[2]) - (high[1] - price * high[2])
        if lift <= 1e-9 * max(abs(low[1]), abs(high[1]), 1.0):
            break
        low, high = (low, middle) if middle[2] <= budget else (middle, high)
    share = (budget - high[2]) / (low[2] - high[2])
    shares = np.array([1 - share, share])
    value = high[1] + price * (budget - high[2])
    bound = middle[1] + price * (budget - middle[2])
    policies = np.stack([high[0], low[0]])
    return BudgetPlan(policies, shares, value, budget, max(bound, value), price)
