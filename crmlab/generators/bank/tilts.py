"""How the levers tilt the moves: log-odds for each kind of move, added to the bare matrix.

In period t a customer in stage i moves to j with probability

    P[i, j] exp(s[m(i, j)]) / sum over k of P[i, k] exp(s[m(i, k)]),

where P is the matrix of the world, m(i, j) the meaning of the move (`profile.MOTIONS`) and s the
sum of all that acts on this customer in this period. Staying has s = 0, and a lever at 0
multiplies by 1.
"""

from dataclasses import astuple, dataclass

import numpy as np

from crmlab.arrays import Bools, Floats, Ints
from crmlab.behaviour.encounters import contact_response
from crmlab.generators.bank.levers import Levers, Pillars
from crmlab.generators.bank.people import CHANNEL_STRENGTH, DEDICATED, REFERRAL, People
from crmlab.generators.bank.profile import (
    APART,
    CLOSER,
    CROSS,
    DEEPEN,
    EXIT,
    MOTIONS,
    REPAIR,
    SLIP,
    StageProfile,
)

TREATMENTS = ("follow_up", "inform", "note", "gift", "information", "automation")

INCIDENT_PUSH = 1.0
LIFE_EVENT_PUSH = 2.0
CONTRADICTION_PUSH = 0.5
FOLLOW_UP_HALF_LIFE = 30.0  # days
_PILLAR_PULL = 1.5
_MOST_SCARS = 3
_HIGH_NEED = 5


@dataclass(frozen=True)
class Moment:
    """What affects n customers in one period, besides who they are; arrays of (n,).

    Parameters
    ----------
    period : int
    stage : code of the stage
    satisfaction : running satisfaction
    incident, life_event : bool
    treatment : 0 none, else 1 + index of `TREATMENTS`
    outgoing : number of contacts that the bank began
    personal, contradictory : how many of them were in person, or contradicted another channel
    departures : acquaintances who left in the last period
    devotion : share of acquaintances in the highest stage
    crossings : past moves from together to apart
    dwell : periods in this stage so far, 1 in the first
    """

    period: int
    stage: Ints
    satisfaction: Floats
    incident: Bools
    life_event: Bools
    treatment: Ints
    outgoing: Ints
    personal: Ints
    contradictory: Ints
    departures: Floats
    devotion: Floats
    crossings: Ints
    dwell: Ints


def pillar_score(pillars: Pillars) -> float:
    """Score of the five pillars, from -1 to 1: between their mean and the weakest of them.

    Examples
    --------
    >>> pillar_score(Pillars(0.5, 0.5, 0.5, 0.5, 0.0, weakest_link=1.0))
    0.0
    """
    *levels, weakest = astuple(pillars)
    return (1 - weakest) * sum(levels) / len(levels) + weakest * min(levels)


def lasting_tilts(people: People, levers: Levers) -> Floats:
    """Lasting effects of customers' attributes on each kind of move, (8, N) log-odds."""
    tilts = np.zeros((len(MOTIONS), len(people)))
    traits, service, market = levers.traits, levers.service, levers.market
    pull = _PILLAR_PULL * pillar_score(levers.pillars)
    tilts[CLOSER] += pull + levers.variety.moves * people.ease
    tilts[APART] += levers.variety.moves * people.unrest - pull
    tilts[DEEPEN] += traits.adaptation * people.trait("adaptation")
    tilts[DEEPEN] += service.co_creation * (people.need >= _HIGH_NEED)
    tilts[DEEPEN] += service.dedicated_bond * (people.mode == DEDICATED)
    tilts[REPAIR] += traits.conflict_resolution * people.trait("conflict_resolution")
    tilts[CROSS] -= traits.trust * people.trait("trust")
    tilts[EXIT] -= traits.commitment * people.trait("commitment") + market.power_asymmetry
    tilts[EXIT] += service.transactional_exit * people.transactional
    away = service.mismatch * np.abs(people.need - service.service_level) + market.alternatives
    tilts[[CROSS, EXIT]] += away - market.inertia * people.passive
    return tilts


def lasting_gates(found_by: Ints, levers: Levers) -> Floats:
    """Effects on leaving the first, the second and a later stage for the next, (3, N) log-odds."""
    awareness = levers.awareness
    first = awareness.message_fit + awareness.channel_pull * CHANNEL_STRENGTH[found_by]
    second = awareness.interactivity + awareness.referral_lead * (found_by == REFERRAL)
    return np.stack([first, second, np.full(len(found_by), awareness.depth)])


def tilts_of(
    moment: Moment, lasting: Floats, gates: Floats, people: People, levers: Levers,
    profile: StageProfile, who: Ints,
) -> Floats:  # fmt: skip
    """Sum of all effects on n customers in one period, (8, n) log-odds.

    Parameters
    ----------
    moment : Moment
    lasting, gates : ndarray of shape (8, N) and (3, N)
        From `lasting_tilts` and `lasting_gates`.
    people : People
        N customers.
    levers : Levers
    profile : StageProfile
    who : ndarray of int of shape (n,)
        Positions of these customers among the N.
    """
    tilts = lasting[:, who]
    _add_stage(tilts, moment, gates[:, who], levers, profile)
    _add_experience(tilts, moment, people.passive[who], levers)
    _add_outreach(tilts, moment, levers)
    _add_talk(tilts, moment, levers)
    _add_memory(tilts, moment, levers)
    tilts[0] = 0.0
    return tilts


def _add_stage(
    tilts: Floats, moment: Moment, gates: Floats, levers: Levers, profile: StageProfile
) -> None:
    together = profile.together[moment.stage]
    rank = np.minimum(profile.rank[moment.stage], 2)
    gate = np.take_along_axis(gates, rank[None], axis=0)[0]
    tilts[DEEPEN] += np.where(together, gate, 0.0)
    tilts[CROSS] -= levers.awareness.breadth * (together & (rank == 2))
    tilts[[SLIP, CROSS, EXIT]] -= levers.talk.reward * profile.highest[moment.stage]


def _add_experience(tilts: Floats, moment: Moment, passive: Bools, levers: Levers) -> None:
    pull = levers.quality.weight * moment.satisfaction
    scandal = levers.shocks.scandal * (moment.period == levers.shocks.scandal_period)
    rival = levers.market.rival_pull * (moment.period >= levers.market.rival_period)
    tilts[CLOSER] += pull
    tilts[APART] += INCIDENT_PUSH * moment.incident - pull + scandal
    tilts[[CROSS, EXIT]] += LIFE_EVENT_PUSH * moment.life_event
    tilts[EXIT] += rival * passive


def _add_outreach(tilts: Floats, moment: Moment, levers: Levers) -> None:
    outreach, treatments = levers.outreach, levers.treatments
    got = {name: moment.treatment == k for k, name in enumerate(TREATMENTS, start=1)}
    in_time = 2 ** (-treatments.follow_up_delay / FOLLOW_UP_HALF_LIFE)
    tilts[CLOSER] += treatments.follow_up_effect * in_time * got["follow_up"]
    tilts[APART] -= treatments.inform_effect * got["inform"]
    tilts[DEEPEN] += treatments.note_effect * got["note"]
    tilts[DEEPEN] += treatments.information_effect * got["information"]
    tilts[CROSS] -= treatments.gift_effect * got["gift"]
    tilts[REPAIR] += treatments.automation_effect * got["automation"]
    tilts[DEEPEN] += outreach.richness * (moment.personal > 0)
    tilts[DEEPEN] -= CONTRADICTION_PUSH * moment.contradictory
    beyond = np.maximum(moment.outgoing - 1, 0)
    tilts[APART] -= contact_response(beyond, benefit=0.0, fatigue=outreach.fatigue)


def _add_talk(tilts: Floats, moment: Moment, levers: Levers) -> None:
    tilts[APART] += levers.talk.ripple * moment.departures
    tilts[DEEPEN] += levers.talk.praise * moment.devotion


def _add_memory(tilts: Floats, moment: Moment, levers: Levers) -> None:
    tilts[[DEEPEN, REPAIR]] -= levers.memory.scars * np.minimum(moment.crossings, _MOST_SCARS)
    tilts -= levers.memory.dwelling * np.log2(moment.dwell)


def move(stage: Ints, tilts: Floats, u: Floats, matrix: Floats, motion: Ints) -> Ints:
    """Next stages: each row of the matrix, tilted, inverted at a uniform.

    Parameters
    ----------
    stage : ndarray of int of shape (n,)
    tilts : ndarray of shape (8, n)
    u : ndarray of shape (n,)
    matrix, motion : ndarray of shape (K, K)

    Returns
    -------
    ndarray of int of shape (n,)
    """
    factors = np.exp(tilts).T
    weights = matrix[stage] * np.take_along_axis(factors, motion[stage], axis=1)
    edges = np.cumsum(weights, axis=1)
    return (u[:, None] * edges[:, -1:] > edges).sum(axis=1)
