"""What an action does, what a policy is worth and what a decision costs, from twin worlds.

Twins are one world under two policies. They share every uniform, so the difference between a
customer's two lives is the effect of the policy on this customer, and nothing else. No data can
show this, because each real customer lives once. Standard errors say how far the simulated
customers may be from their expectation; `crmlab.generators.confounding` has expectations without
simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from crmlab.actions import NoAction, Policy
from crmlab.errors import SpecError, raise_problems
from crmlab.generators.base import Generator, simulate
from crmlab.tables import CustomerTables

Margins = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class TwinEffects:
    """True effects of one policy compared with another, customer by customer.

    Parameters
    ----------
    individual : DataFrame
        customer_id, `value` and `baseline` (discounted margins less costs under the two policies)
        and `effect`, their difference [currency].
    average : float
        Mean effect of these customers [currency per customer].
    standard_error : float
        Standard error of `average`, as an estimate for all customers of the world [currency].
    """

    individual: pd.DataFrame
    average: float
    standard_error: float


def true_effects(
    world: Generator,
    n_customers: int,
    policy: Policy,
    *,
    margins: Margins,
    seed: int,
    baseline: Policy | None = None,
    discount_rate: float = 0.0,
) -> TwinEffects:
    """Compute what a policy does to each customer and on average, in currency.

    Parameters
    ----------
    world : Generator
        With actions; its truth holds `stages`.
    n_customers : int
    policy : Policy
    margins : mapping of stage to float
        Margin of a period in each stage [currency per period]; stages left out earn 0.
    seed : int
    baseline : Policy, optional
        What the policy is compared with; `NoAction` by default.
    discount_rate : float
        Per period.

    Returns
    -------
    TwinEffects

    Raises
    ------
    SpecError
        The world has no actions, or margins or rate are not valid. All problems at once.

    Notes
    -----
    The value of a life is ``sum_t (margin(s_t) - cost_t) / (1 + d)**t`` over the periods of the
    world. A cost counts in the period of the action, its effect on the stage from the next one on.

    Examples
    --------
    >>> from crmlab.generators.confounding import confounded_world
    >>> world = confounded_world()
    >>> effects = true_effects(world, 200, NoAction(), margins={"loyal": 10.0}, seed=1)
    >>> effects.average, effects.standard_error
    (0.0, 0.0)
    """
    values = {
        name: _values_of(world, n_customers, rule, margins, seed, discount_rate)
        for name, rule in {"value": policy, "baseline": baseline or NoAction()}.items()
    }
    frame = pd.DataFrame(values).rename_axis("customer_id").reset_index()
    frame = frame.assign(effect=frame["value"] - frame["baseline"])
    return TwinEffects(frame, float(frame["effect"].mean()), _standard_error(frame["effect"]))


class TrueValue(NamedTuple):
    """Mean value of a customer under a policy, and its standard error [currency]."""

    value: float
    standard_error: float


def true_value(
    world: Generator,
    n_customers: int,
    policy: Policy,
    *,
    margins: Margins,
    seed: int,
    discount_rate: float = 0.0,
) -> TrueValue:
    """Value of a customer under a policy [currency per customer], over the world's periods.

    Parameters
    ----------
    world, n_customers, policy, margins, seed, discount_rate
        As in `true_effects`.

    Returns
    -------
    TrueValue

    Examples
    --------
    >>> from crmlab.generators.confounding import confounded_world, expected_value
    >>> world = confounded_world()
    >>> value = true_value(world, 400, NoAction(), margins={"loyal": 10.0}, seed=1)
    >>> exact = expected_value(world, NoAction(), margins={"loyal": 10.0})
    >>> bool(abs(value.value - exact) < 4 * value.standard_error)
    True
    """
    values = _values_of(world, n_customers, policy, margins, seed, discount_rate)
    return TrueValue(float(values.mean()), _standard_error(values))


def true_regrets(
    world: Generator,
    n_customers: int,
    policies: Mapping[str, Policy],
    *,
    margins: Margins,
    seed: int,
    discount_rate: float = 0.0,
) -> pd.DataFrame:
    """Compute what each policy loses compared with the best of them, in currency per customer.

    Parameters
    ----------
    world, n_customers, margins, seed, discount_rate
        As in `true_effects`.
    policies : mapping of name to Policy

    Returns
    -------
    DataFrame
        One row per policy, best first: `value`, `regret` (value of the best less this one) and
        `standard_error` of the regret, from paired twins. The regret of a decision between
        policies is that of the policy that it chose. Where the regret is within two standard
        errors of 0, the simulated customers do not show which of the two is better.

    Examples
    --------
    >>> from crmlab.generators.confounding import confounded_world
    >>> world = confounded_world()
    >>> rules = {"manager": world.policy, "nobody": NoAction()}
    >>> true_regrets(world, 100, rules, margins={"loyal": 0.0}, seed=1).index.tolist()
    ['nobody', 'manager']
    """
    if not policies:
        raise SpecError("true_regrets: `policies` must name at least one policy")
    values = pd.DataFrame(
        {
            name: _values_of(world, n_customers, policy, margins, seed, discount_rate)
            for name, policy in policies.items()
        }
    )
    order = values.mean().sort_values(ascending=False, kind="stable").index
    regrets = values.rsub(values[order[0]], axis=0)[order]
    return pd.DataFrame(
        {
            "value": values.mean()[order],
            "regret": regrets.mean(),
            "standard_error": regrets.apply(_standard_error),
        }
    )


def _values_of(
    world: Generator,
    n_customers: int,
    policy: Policy,
    margins: Margins,
    seed: int,
    discount_rate: float,
) -> pd.Series:
    raise_problems(SpecError, "twins", list(problems_of_money(margins, discount_rate)))
    tables = simulate(world, n_customers, seed=seed, policy=policy)
    return life_values(tables, margins=margins, discount_rate=discount_rate)


def life_values(
    tables: CustomerTables, *, margins: Margins, discount_rate: float = 0.0
) -> pd.Series:
    """Discounted margins less costs of each simulated life [currency], by customer.

    Parameters
    ----------
    tables : CustomerTables
        With truth; actions may have a column `cost`.
    margins : mapping of stage to float
    discount_rate : float
        Per period; the window's first period is not discounted.

    Returns
    -------
    Series, index customer_id
    """
    if tables.truth is None or "stages" not in tables.truth:
        raise SpecError("life_values: the tables have no truth; only simulated lives have a value")
    stages = tables.truth["stages"]
    _refuse_strangers(margins, stages["stage"])
    earned = stages["stage"].astype(object).map(dict(margins)).fillna(0.0).astype(float)
    earned = earned * _discount(stages["period"], tables.window[0], discount_rate)
    value = earned.groupby(stages["customer_id"]).sum()
    if tables.actions is None or "cost" not in tables.actions:
        return value
    spent = tables.actions["cost"] * _discount(
        tables.actions["period"], tables.window[0], discount_rate
    )
    return value.sub(spent.groupby(tables.actions["customer_id"]).sum(), fill_value=0.0)


def _discount(periods: pd.Series, first: int, rate: float) -> pd.Series:
    return (1 + rate) ** -(periods - first).astype(float)


def _refuse_strangers(margins: Margins, stages: pd.Series) -> None:
    """Refuse margins that name no stage that occurs: most likely a slip."""
    if margins and not set(margins) & set(stages.unique()):
        raise SpecError(
            f"`margins` names {', '.join(map(str, margins))}; the stages that occur are "
            f"{', '.join(map(str, stages.unique()))}"
        )


def problems_of_money(margins: Margins, discount_rate: float) -> list[str]:
    """Say what is wrong with margins and a rate (empty if nothing is)."""
    problems = []
    if not isinstance(margins, Mapping):
        problems.append(f"`margins` must map stages to currency per period, got {margins!r}")
    else:
        problems += [
            f"`margins` must be finite, got {value!r} for {stage!r}"
            for stage, value in margins.items()
            if not np.isfinite(value)
        ]
    if not np.isfinite(discount_rate) or discount_rate <= -1:
        problems.append(f"`discount_rate` must be above -1 per period, got {discount_rate!r}")
    return problems


def _standard_error(values: pd.Series) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
