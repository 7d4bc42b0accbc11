"""The inputs of this package's functions: actions as matrices with costs, checked."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.value.inputs import (
    as_floats,
    bare_rate_problems,
    horizon_problems,
    matrix_problems,
    read_customers,
)


def read_actions(
    owner: str,
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    discount_rate: float,
    n_periods: int | None = None,
) -> tuple[Floats, Floats, float]:
    """Return matrices (..., A, K, K), rewards (..., A, K) and the discount factor, all checked."""
    P, margin, cost = as_floats("P", P), as_floats("margin", margin), as_floats("cost", cost)
    problems = [
        *_problems_of_actions(P, margin, cost),
        *bare_rate_problems(discount_rate),
        *horizon_problems(n_periods),
    ]
    raise_problems(SpecError, owner, problems)
    if n_periods is None and discount_rate <= 0:
        raise SpecError(
            f"{owner}: an infinite horizon needs a positive `discount_rate`, got "
            f"{discount_rate:g}; give one, or a number of periods `n_periods`."
        )
    return P, margin[..., None, :] - by_action(cost), 1 / (1 + discount_rate)


def with_rounding(limit: float) -> float:
    """Return a limit on a sum, with room for the rounding of its terms: .1 + .1 + .1 is above .3.

    Examples
    --------
    >>> 0.1 + 0.1 + 0.1 <= 0.3, 0.1 + 0.1 + 0.1 <= with_rounding(0.3)
    (False, True)
    """
    return limit * (1 + 1e-9)


def by_action(cost: Floats) -> Floats:
    """Costs (..., A, K) from one number per action, (A,), or as they are."""
    return cost[:, None] if cost.ndim == 1 else cost


def _problems_of_actions(P: Floats, margin: Floats, cost: Floats) -> list[str]:
    """Say why matrices, margins and costs do not fit each other (empty if they do)."""
    if P.ndim < 3:
        return [f"`P` must have shape (..., actions, K, K), got {P.shape}"]
    problems = matrix_problems(P)
    if problems:
        return problems
    n_actions, n_stages = P.shape[-3], P.shape[-1]
    if margin.ndim < 1 or margin.shape[-1] != n_stages:
        problems.append(f"`margin` needs one number per stage ({n_stages}), got {margin.shape}")
    one_each = cost.shape == (n_actions,)
    if not one_each and (cost.ndim < 2 or cost.shape[-2:] != (n_actions, n_stages)):
        problems.append(
            f"`cost` needs one number per action ({n_actions},), or per action and stage "
            f"(..., {n_actions}, {n_stages}), got {cost.shape}"
        )
    not_finite = number_problems({"margin": margin, "cost": cost})
    return problems + [f"{problem}; write 0 for none" for problem in not_finite]


def read_allowed(owner: str, allowed: ArrayLike | None, n_actions: int, n_stages: int) -> NDArray:
    """Return which actions may be taken in which stage, (A, K) of bool; every stage needs one."""
    if allowed is None:
        return np.ones((n_actions, n_stages), dtype=bool)
    mask = np.asarray(allowed)
    if mask.dtype != bool or mask.shape != (n_actions, n_stages) or not mask.any(axis=0).all():
        raise SpecError(
            f"{owner}: `allowed` must be bool of shape ({n_actions}, {n_stages}) with at least "
            f"one action in every stage, got {mask.dtype} of shape {mask.shape}"
        )
    return mask


def read_policy(owner: str, policy: ArrayLike, n_actions: int, n_stages: int) -> NDArray[np.intp]:
    """Return the index of an action for each stage, (..., K)."""
    actions = np.asarray(policy)
    whole = actions.dtype.kind in "iu" and actions.ndim and actions.shape[-1] == n_stages
    if not whole or (actions < 0).any() or (actions >= n_actions).any():
        raise SpecError(
            f"{owner}: `policy` must hold {n_stages} indices of actions, 0 to {n_actions - 1}, "
            f"got {actions.tolist()}"
        )
    return actions


def read_weights(owner: str, n_customers: ArrayLike | None, n_stages: int) -> Floats:
    """Return customers per stage, (K,); the same number in all stages if left out."""
    if n_customers is None:
        return np.ones(n_stages)
    counts = read_customers(owner, n_customers, n_stages)
    if not counts.any():
        raise SpecError(f"{owner}: `n_customers` must not be 0 in every stage")
    return counts
