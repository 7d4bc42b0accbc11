"""Exact expectations of policies that depend on the stage alone, and how confounding misleads.

Where the propensities depend only on the stage (an experiment, everybody, nobody, or the
impression of an account manager), no simulation is needed: the distribution of the stage follows
the mixture of the tilted matrices (`expected_value`, `expected_contrast`).

`expected_contrast` is the answer to confounding. In period t, with stage probabilities p and the
propensity e(s) in stage s, the stages of the treated have probabilities p(s) e(s) / sum p e. So

    naive   =  sum_s p(s | treated) (P'[s] y)  -  sum_s p(s | untreated) (P[s] y)
    effect  =  sum_s p(s) ((P'[s] - P[s]) y)
    bias    =  naive - effect,

where y is the mean outcome of each stage one period later, and P' the matrix under the action.
Weighting each customer by the inverse probability of what was done to her removes the bias
(Horvitz and Thompson 1952, J. American Statistical Association 47, 663-685; from memory).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from crmlab.actions import (
    Action,
    FirmView,
    ManagerImpression,
    Policy,
    action_matrices,
    check_propensities,
    impression_probs,
)
from crmlab.arrays import Floats
from crmlab.channels import Poisson, ZeroInflatedSpend
from crmlab.errors import SpecError, raise_problems
from crmlab.generators.stage_world import StageWorld
from crmlab.generators.twins import problems_of_money
from crmlab.stages import StageSpace

Margins = Mapping[str, float]


def stage_propensities(world: StageWorld, policy: Policy, period: int) -> Floats:
    """Probability of each action in each stage, (K, A), averaged over impressions.

    Raises
    ------
    SpecError
        The policy looks at something other than impressions, so that its propensities are not a
        function of the stage.
    """
    names = np.array(world.space.names)
    nobody = pd.DataFrame({"customer_id": np.arange(len(names))})
    actions = tuple(action.name for action in world.actions)
    impressions = None if policy.accuracy is None else names
    view = FirmView(period, nobody, actions, {}, impressions)
    shape = (len(names), len(actions))
    by_impression = check_propensities(policy, policy.propensities(view), shape)
    if policy.accuracy is None:
        return by_impression
    return impression_probs(len(names), policy.accuracy) @ by_impression


def expected_value(
    world: StageWorld, policy: Policy, *, margins: Margins, discount_rate: float = 0.0
) -> float:
    """Mean value of a customer under a policy [currency], without simulation.

    Parameters
    ----------
    world : StageWorld
    policy : Policy
        One whose propensities depend on the stage alone, through impressions if at all.
    margins : mapping of stage to float
        Currency per period; stages left out earn 0.
    discount_rate : float
        Per period.

    Returns
    -------
    float
        ``sum_t p_t (R - sum_a e_t[:, a] c_a) / (1 + d)**t`` with the stage probabilities
        ``p_(t+1) = p_t sum_a e_t[:, a] P_a``, where action 0 is to do nothing.

    Examples
    --------
    >>> from crmlab.actions import NoAction
    >>> world = confounded_world()
    >>> round(expected_value(world, NoAction(), margins={"loyal": 10.0}), 2)
    18.1
    """
    raise_problems(SpecError, "expected_value", list(problems_of_money(margins, discount_rate)))
    margin = _by_stage(margins, world.space)
    costs = np.array([action.cost for action in world.actions])
    total = 0.0
    for t, probs in enumerate(period_stage_probs(world, policy)):
        net = margin - stage_propensities(world, policy, t) @ costs
        total += probs @ net / (1 + discount_rate) ** t
    return float(total)


def period_stage_probs(world: StageWorld, policy: Policy) -> Floats:
    """Stage probabilities (T, K) under a policy that depends on the stage alone.

    Examples
    --------
    >>> from crmlab.actions import NoAction
    >>> period_stage_probs(confounded_world(), NoAction())[1].round(3)
    array([0.36, 0.32, 0.32])
    """
    matrices = action_matrices(world.transition_matrix, world.space, world.actions)
    probs = [np.asarray(world.initial_probs)]
    for t in range(world.n_periods - 1):
        moves = _mixed_matrix(stage_propensities(world, policy, t), matrices)
        probs.append(probs[-1] @ moves)
    return np.stack(probs)


def _mixed_matrix(propensities: Floats, matrices: Floats) -> Floats:
    nothing = 1 - propensities.sum(axis=1, keepdims=True)
    weights = np.concatenate([nothing, propensities], axis=1)
    return np.einsum("sa,ast->st", weights, matrices)


def _by_stage(margins: Margins, space: StageSpace) -> Floats:
    unknown = [name for name in margins if name not in space.names]
    if unknown:
        raise SpecError(f"`margins` names {unknown[0]!r}; the stages are {', '.join(space.names)}")
    return np.array([float(margins.get(name, 0.0)) for name in space.names])


# Confounding --------------------------------------------------------------------------------------


class Contrast(NamedTuple):
    """How treated and untreated differ, and what the action does [units of the outcome].

    Parameters
    ----------
    naive : float
        Expected mean of the treated minus that of the untreated.
    effect : float
        Average effect of the action on all customers.
    effect_on_treated : float
        Average effect on those whom the policy treats.
    bias : float
        ``naive - effect``.
    """

    naive: float
    effect: float
    effect_on_treated: float
    bias: float


def expected_contrast(
    world: StageWorld,
    policy: Policy,
    action: str,
    *,
    outcome: Margins,
    period: int = 0,
) -> Contrast:
    """How wrong the naive comparison of treated and untreated is: the formulas of this module.

    Parameters
    ----------
    world : StageWorld
    policy : Policy
        One whose propensities depend on the stage alone, through impressions if at all.
    action : str
    outcome : mapping of stage to float
        Mean of the outcome in each stage, one period after the action.
    period : int
        Period of the action. The untreated are those to whom nothing is done.

    Returns
    -------
    Contrast

    Raises
    ------
    SpecError
        The action is unknown, the period is not one before the last, or the policy treats
        everybody or nobody.

    Examples
    --------
    >>> world = confounded_world()
    >>> made = expected_contrast(world, world.policy, "call", outcome={"loyal": 1.0})
    >>> round(made.naive, 4), round(made.effect, 4)
    (-0.0898, 0.0591)
    """
    names = [a.name for a in world.actions]
    if action not in names or not 0 <= period < world.n_periods - 1:
        raise SpecError(
            f"expected_contrast: `action` must be one of {', '.join(names)} and `period` from 0 to "
            f"{world.n_periods - 2}, got {action!r} and {period!r}"
        )
    matrices = action_matrices(world.transition_matrix, world.space, world.actions)
    y = _by_stage(outcome, world.space)
    plain, treated = matrices[0] @ y, matrices[1 + names.index(action)] @ y
    probs = period_stage_probs(world, policy)[period]
    given = stage_propensities(world, policy, period)
    weights = probs * given[:, names.index(action)]
    others = probs * (1 - given.sum(axis=1))
    if weights.sum() == 0 or others.sum() == 0:
        raise SpecError("expected_contrast: the policy treats everybody or nobody in this period")
    naive = weights @ treated / weights.sum() - others @ plain / others.sum()
    effect = probs @ (treated - plain)
    on_treated = weights @ (treated - plain) / weights.sum()
    return Contrast(float(naive), float(effect), float(on_treated), float(naive - effect))


def confounded_world(
    *, accuracy: float = 0.8, prob_target: float = 0.8, prob_other: float = 0.1, n_periods: int = 6
) -> StageWorld:
    """Make a firm whose account managers call those who seem to be leaving (invented).

    The call helps, but those who are called do worse than the others, because they were worse off
    before: the naive comparison has the wrong sign. Nobody records the impressions, so there is no
    column to adjust for. In the truth, `decisions` holds the propensities; weighting by them works.

    Parameters
    ----------
    accuracy : float
        Share of managers' impressions of the stage that are right; 1/3 is pure guessing.
    prob_target, prob_other : float
        Probability of a call for those who seem to drift away, and for all others.
    n_periods : int

    Returns
    -------
    StageWorld
        Stages loyal, drifting, gone; channels `orders` and `spend` [EUR]; action `call` [5 EUR].

    Examples
    --------
    >>> confounded_world().policy.stages
    ('drifting',)
    """
    space = StageSpace(
        ("loyal", "drifting", "gone"),
        ("together", "apart", "apart"),
        (("loyal", "drifting"), ("drifting", "loyal"), ("drifting", "gone")),
    )
    return StageWorld(
        space,
        (0.4, 0.4, 0.2),
        ((0.75, 0.25, 0.0), (0.15, 0.55, 0.3), (0.0, 0.0, 1.0)),
        (
            Poisson("orders", rate=(3.0, 1.0, 0.0)),
            ZeroInflatedSpend("spend", (0.8, 0.4, 0.0), (40.0, 25.0, 1.0), (0.5, 0.5, 0.5)),
        ),
        n_periods,
        (Action("call", 5.0, {"repair": 0.7, ("loyal", "loyal"): 0.2}),),
        ManagerImpression("call", ("drifting",), accuracy, prob_target, prob_other),
    )
