"""Banks with a purpose: each breaks one assumption of an analysis, and nothing else.

All start from `well_specified_bank`, in which a hidden Markov model with Poisson contacts and
purchases and an ordinal survey is exactly true. The source of each purpose is the question that a
course asks with it.
"""

from collections.abc import Mapping
from typing import Any

from crmlab.generators.bank.knobs import turn
from crmlab.generators.bank.levers import quiet_levers
from crmlab.generators.bank.world import Bank
from crmlab.stages import StageSpace

_ASKED = {"surveys.invited": 0.5}
_THREE = StageSpace(("dormant", "occasional", "active"))
_THREE_MATRIX = ((0.80, 0.17, 0.03), (0.12, 0.73, 0.15), (0.02, 0.13, 0.85))
_ALIVE = StageSpace(("alive", "gone"), moves=(("alive", "gone"),))


def _bank(changes: Mapping[str, float], **fields: Any) -> Bank:
    return Bank(levers=turn(quiet_levers(), {**_ASKED, **changes}), **fields)


def well_specified_bank() -> Bank:
    """Build the bank on which a stage model is exactly right: the baseline of all others.

    Customers differ in their stage only. Contacts and purchases are Poisson by stage, satisfaction
    is ordinal by stage (`OrdinalSurvey` with its default cutpoints), and silence is random.

    Examples
    --------
    >>> well_specified_bank().levers.variety.moves
    0.0
    """
    return _bank({})


def varied_bank() -> Bank:
    """Build a bank with omitted heterogeneity: customers differ for reasons that no column shows.

    A model without customer effects mistakes lasting differences for stages, and finds stages
    stickier than they are.
    """
    return _bank({"variety.moves": 0.8, "variety.rates": 0.7})


def three_stage_bank() -> Bank:
    """Build a bank with another number of stages than the analyst's: three, without an end.

    Ten stages, or two, are wrong here; a comparison of models should say so.
    """
    return _bank({}, space=_THREE, transition_matrix=_THREE_MATRIX, initial_probs=(0.3, 0.4, 0.3))


def dwelling_bank() -> Bank:
    """Build a bank with memory of time (Knapp's fourth rule): the longer in a stage, the stickier.

    Sojourns are not geometric. `DwellingWorld` says exactly how far such a chain is from a
    first-order one.
    """
    return _bank({"memory.dwelling": 0.5})


def scarred_bank() -> Bank:
    """Build a bank with memory of history (Knapp's fifth rule): each crossing leaves a scar.

    Those who have been apart deepen and repair less readily. See `ScarWorld`.
    """
    return _bank({"memory.scars": 0.8})


def silent_bank() -> Bank:
    """Build a bank with informative missingness: the dissatisfied do not answer.

    In every stage, customers who answer are happier than those who do not.
    """
    return _bank({"quality.sd": 1.0, "quality.carry": 0.7, "surveys.silence": 1.5})


def confounded_bank() -> Bank:
    """Build a bank that treats those who are about to leave: naive comparisons are wrong.

    Follow-ups help, and go to the dissatisfied, who leave more often. `assignments` logs the true
    propensities. Under `policy=RandomPolicy(...)` the same world is an experiment.
    """
    return _bank(
        {
            "treatments.follow_up": 0.25,
            "treatments.follow_up_effect": 0.6,
            "treatments.confounding": 1.2,
            "quality.sd": 1.0,
            "quality.weight": 0.6,
            "quality.carry": 0.7,
        }
    )


def shocked_bank() -> Bank:
    """Build a bank with shocks: life events all along, and a scandal in period 20.

    The transition matrix is not the same in all periods.
    """
    return _bank({"shocks.life_events": 0.03, "shocks.scandal": 1.5})


def dismissing_bank() -> Bank:
    """Build a bank that ends relationships itself: supplier-side exit.

    Some customers leave because the bank ends stale relationships, and a few because of fraud;
    all of them are told.
    """
    return _bank({"shocks.dismissal": 0.4, "shocks.fraud": 0.003, "shocks.closing": 0.3})


def passive_bank() -> Bank:
    """Build a bank whose loyalty is partly passive, until a rival enters in period 24.

    Passive customers look loyal, but stay for want of an alternative until there is one.
    """
    return _bank({"market.passive_share": 0.45, "market.inertia": 1.5, "market.rival_pull": 4.0})


def stageless_bank() -> Bank:
    """Build a bank without stages: customers buy at their own rate until they silently leave.

    Purchases are Poisson with log-normal rates, lifetimes geometric with logit-normal
    probabilities. This is close to what buy-till-you-die models assume, with their gamma and beta
    distributions, but not the same.
    """
    return _bank(
        {"variety.rates": 0.8, "variety.moves": 0.8, "surveys.invited": 0.0},
        space=_ALIVE,
        transition_matrix=((0.93, 0.07), (0.0, 1.0)),
        arrival_span=4,
    )
