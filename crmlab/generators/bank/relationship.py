"""The latent course of every relationship: what happened to whom, period by period.

In each period, customers arrive. Each active one is contacted, buys, has an experience, perhaps an
incident and a treatment; then all move at once. What acquaintances did in the last move affects the
next one. Arrays are (customer, period); every random draw has its own address.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.actions import FirmView, Policy, choose_actions
from crmlab.arrays import Bools, Floats, Ints
from crmlab.behaviour.encounters import adjust_encounters, prospect_value, remember_sum
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.people import COMMUNITY, N_TIES, REFERRAL, People
from crmlab.generators.bank.profile import StageProfile
from crmlab.generators.bank.quantiles import choose, expit, logit, normal, poisson
from crmlab.generators.bank.tilts import (
    TREATMENTS,
    Moment,
    lasting_gates,
    lasting_tilts,
    move,
    tilts_of,
)
from crmlab.generators.decisions import Records, decide
from crmlab.streams import Streams

CAUSES = ("innovation_lack", "low_standard", "inconvenience", "delays")
EXIT_REASONS = (
    "dissatisfaction",
    "better_offer",
    "life_event",
    "not_convinced",
    "dismissed_unprofitable",
    "dismissed_fraud",
)
DISMISSED = EXIT_REASONS.index("dismissed_unprofitable")
NOT_YET = -1

_LOSS_WEIGHT = 2.25  # how much more a loss weighs than a gain
_INCIDENT_PAIN = 1.0
_RECOVERY_JOY = 1.2
_BACK_OFFICE_SHARE = 0.3
_DISSATISFIED = -0.25
_REMEMBERED = 8  # periods after which the bank no longer contacts lost customers
_VOICE = 0.6  # the share of incidents that become a complaint; the others stay silent


@dataclass(frozen=True)
class Course:
    """Everything latent and everything counted, filled period by period; (N, T) unless noted.

    Parameters
    ----------
    stage : code, or -1 before arrival
    active : whether the customer is there and not lost
    satisfaction, experience : running satisfaction; quality felt in this period
    incident : 0 none, else 1 + index of `CAUSES`; only those that peers did not solve
    complaint, resolved, back_office : bool
    contacts, purchases, outgoing, personal, contradictory : counts
    treatment : 0 none, else 1 + index of `TREATMENTS`
    propensities : probability that the bank gave to each action, (N, T, 7): the treatments, then
        winning back
    impression : stage as account managers saw it, -1 where nobody looked
    won_back : 0 nothing, 1 a lost customer was contacted, 2 and began anew
    exit_reason : -1, or code of `EXIT_REASONS` in the last active period
    found_by : code of acquisition, (N,)
    referrer : position of the referrer, -1 if none, (N,)
    """

    stage: Ints
    active: Bools
    satisfaction: Floats
    experience: Floats
    incident: Ints
    complaint: Bools
    resolved: Bools
    back_office: Bools
    contacts: Ints
    purchases: Ints
    outgoing: Ints
    personal: Ints
    contradictory: Ints
    treatment: Ints
    propensities: Floats
    impression: Ints
    won_back: Ints
    exit_reason: Ints
    found_by: Ints
    referrer: Ints

    @classmethod
    def blank(cls, people: People, n_periods: int) -> "Course":
        """Nothing has happened yet."""
        shape = (len(people), n_periods)

        def fill(value: float, dtype: str) -> NDArray:
            return np.full(shape, value, dtype=dtype)

        return cls(
            stage=fill(NOT_YET, "int8"),
            satisfaction=fill(0, "float32"),
            experience=fill(0, "float32"),
            **{name: fill(0, "int8") for name in ("incident", "treatment", "won_back")},
            **{
                name: fill(0, "bool") for name in ("active", "complaint", "resolved", "back_office")
            },
            **{
                name: fill(0, "int8")
                for name in ("contacts", "purchases", "outgoing", "personal", "contradictory")
            },
            propensities=np.zeros((*shape, len(TREATMENTS) + 1), dtype="float32"),
            impression=fill(-1, "int8"),
            exit_reason=fill(-1, "int8"),
            found_by=people.found_by.copy(),
            referrer=np.full(len(people), -1),
        )

    def has_bought(self, who: Ints, t: int) -> Bools:
        """Whether customers have bought anything by period t; until then they have no account."""
        return self.purchases[who, : t + 1].any(axis=1)


@dataclass(frozen=True)
class Scene:
    """What stays the same while a course is run."""

    people: People
    levers: Levers
    profile: StageProfile
    matrix: Floats
    initial: Floats
    n_periods: int
    streams: Streams
    policy: Policy | None
    stage_names: tuple[str, ...]
    view: pd.DataFrame
    forced: tuple[int, int] | None = None  # period and treatment of everybody: see `contrast`


def run_course(scene: Scene) -> Course:
    """Live through all periods.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    Course
    """
    people, profile = scene.people, scene.profile
    course = Course.blank(people, scene.n_periods)
    lasting = lasting_tilts(people, scene.levers)
    circle = _Circle.of(people)
    state = _State.fresh(people)
    log: list[Ints] = []
    for t in range(scene.n_periods):
        _arrive(scene, course, state, t)
        here = state.stage >= 0
        active = np.flatnonzero(here & ~profile.lost[state.stage])
        course.stage[:, t] = state.stage
        course.active[active, t] = True
        _win_back(scene, course, state, np.flatnonzero(here & profile.lost[state.stage]), t)
        _observe(scene, course, state, active, t)
        _treat(scene, course, active, t, log)
        if t + 1 < scene.n_periods:
            _advance(scene, course, state, active, t, lasting, circle)
    return course


@dataclass(frozen=True)
class _State:
    """Current stage of everybody, (N,)."""

    stage: Ints
    satisfaction: Floats
    crossings: Ints
    dwell: Ints
    departed: Bools
    life_event: Bools

    @classmethod
    def fresh(cls, people: People) -> "_State":
        n = len(people)
        return cls(
            stage=np.full(n, NOT_YET),
            satisfaction=np.zeros(n),
            crossings=np.zeros(n, dtype=np.int64),
            dwell=np.ones(n, dtype=np.int64),
            departed=np.zeros(n, dtype=bool),
            life_event=np.zeros(n, dtype=bool),
        )


@dataclass(frozen=True)
class _Circle:
    """Who hears about whom: both ends of every tie, and how many ties each customer has."""

    ends: Ints
    others: Ints
    degree: Ints

    @classmethod
    def of(cls, people: People) -> "_Circle":
        n = len(people)
        here, there = np.repeat(np.arange(n), N_TIES), people.ties.ravel()
        real = here != there
        ends = np.concatenate([here[real], there[real]])
        others = np.concatenate([there[real], here[real]])
        return cls(ends, others, np.bincount(ends, minlength=n))

    def hear(self, state: _State, profile: StageProfile) -> tuple[Floats, Floats]:
        """Count acquaintances who just left, and the share of those in the highest stage."""
        n = len(self.degree)
        devoted = (state.stage >= 0) & profile.highest[state.stage]
        left = np.bincount(self.ends, weights=state.departed[self.others], minlength=n)
        close = np.bincount(self.ends, weights=devoted[self.others], minlength=n)
        return left, close / np.maximum(self.degree, 1)


def _arrive(scene: Scene, course: Course, state: _State, t: int) -> None:
    """Let the customers of this period arrive; a referral needs somebody who would refer."""
    people, levers = scene.people, scene.levers
    new = np.flatnonzero(people.start == t)
    u = scene.streams.uniforms("arrival", people.ids[new], t, size=3)
    course.referrer[new] = _find_referrers(scene, state, new, u[0])
    referred = (u[1] < levers.awareness.referral_share) & (course.referrer[new] >= 0)
    course.referrer[new[~referred]] = -1
    course.found_by[new[referred]] = REFERRAL
    state.stage[new] = choose(u[2], scene.initial)[0]
    past = levers.traits.past_satisfaction * people.trait("past_satisfaction")[new]
    state.satisfaction[new] = past - levers.market.power_asymmetry


def _find_referrers(scene: Scene, state: _State, new: Ints, u: Floats) -> Ints:
    """Pick a willing earlier customer of the community; -1 if there is none."""
    people, profile = scene.people, scene.profile
    willing = (state.stage >= 0) & profile.together[state.stage]
    willing &= profile.intensity[state.stage] >= 0.7
    of_community = willing.reshape(-1, people.size)[new // people.size]
    earlier = np.cumsum(of_community & (np.arange(people.size) < people.place[new, None]), axis=1)
    wanted = np.floor(u * earlier[:, -1]).astype(np.int64) + 1
    found = (earlier < wanted[:, None]).sum(axis=1)
    return np.where(earlier[:, -1] > 0, new - people.place[new] + found, -1)


def _observe(scene: Scene, course: Course, state: _State, active: Ints, t: int) -> None:
    """Contacts, purchases, experience, incidents and complaints of one period."""
    people, levers, profile = scene.people, scene.levers, scene.profile
    ids, stage = people.ids[active], state.stage[active]
    u = scene.streams.uniforms("encounter", ids, t, size=12)
    pace = levers.variety.rates * people.pace[active]
    talkative = levers.traits.communication * people.trait("communication")[active]
    busy = levers.traits.interdependence * people.trait("interdependence")[active]
    course.contacts[active, t] = poisson(u[0], profile.contacts[stage] * np.exp(pace + talkative))
    course.purchases[active, t] = poisson(u[1], profile.purchases[stage] * np.exp(pace + busy))
    outgoing = poisson(u[2], np.full(len(active), levers.outreach.contacts))
    course.outgoing[active, t] = outgoing
    course.personal[active, t] = poisson(u[3], outgoing * levers.outreach.personal_share)
    course.contradictory[active, t] = poisson(u[4], outgoing * levers.outreach.contradiction)
    _have_incidents(course, people.mode[active] == COMMUNITY, levers, active, t, u[5:8])
    felt = _feel(course, levers, active, t, u[8:])
    state.life_event[active] = u[11] < levers.shocks.life_events
    carry = levers.quality.carry
    encounters = np.stack([state.satisfaction[active], (1 - carry) * felt], axis=-1)
    state.satisfaction[active] = remember_sum(encounters, keep=carry)[:, -1]
    course.experience[active, t] = felt
    course.satisfaction[active, t] = state.satisfaction[active]


def _have_incidents(
    course: Course,
    member: Bools,
    levers: Levers,
    active: Ints,
    t: int,
    u: Floats,
) -> None:
    """Draw a cause, whether peers solve it, whether it becomes a complaint, and how that ends."""
    probs = np.array([getattr(levers.stagnation, cause) for cause in CAUSES])
    edges = np.cumsum(probs)
    cause = np.searchsorted(edges, u[0], side="right")
    happened = cause < len(CAUSES)
    solved = member & (u[1] < levers.service.peer_support)
    open_case = happened & ~solved
    voice, rest = choose(u[2], (_VOICE, 1 - _VOICE))
    complaint = open_case & (voice == 0)
    course.incident[active, t] = np.where(open_case, cause + 1, 0)
    course.complaint[active, t] = complaint
    course.resolved[active, t] = complaint & (rest < levers.stagnation.resolution)


def _feel(course: Course, levers: Levers, active: Ints, t: int, u: Floats) -> Floats:
    """Experience of a period as it is felt: losses weigh more, chosen ones less."""
    quality = levers.quality
    back, rest = choose(u[1], (1 - _BACK_OFFICE_SHARE, _BACK_OFFICE_SHARE))
    served = (back == 1) & course.has_bought(active, t)
    course.back_office[active, t] = served
    objective = quality.mean + quality.sd * normal(u[0])
    objective += served * (quality.back_office + quality.sd * normal(rest))
    broken = u[2] < quality.ritual_breach
    objective = adjust_encounters(
        objective, ritual_broken=broken, relief=0.0, penalty=_INCIDENT_PAIN
    )
    objective -= (course.incident[active, t] > 0) * _INCIDENT_PAIN
    objective += course.resolved[active, t] * _RECOVERY_JOY
    eased = adjust_encounters(objective, chosen=True, relief=quality.choice, penalty=0.0)
    return prospect_value(eased, curvature=1.0, loss_aversion=_LOSS_WEIGHT)


def _treat(scene: Scene, course: Course, active: Ints, t: int, log: list[Ints]) -> None:
    """Decide what to do for whom, after seeing the period; keep the propensity of the choice."""
    if scene.policy is None:
        probs = _default_propensities(scene.levers, course.satisfaction[active, t])
        u = scene.streams.uniforms("action", scene.people.ids[active], t)
        chosen = choose_actions(probs, u)
    else:
        chosen, probs = _ask_policy(scene.policy, scene, course, active, t, log)
    if scene.forced is not None and scene.forced[0] == t:
        chosen = np.full(len(active), scene.forced[1])
    course.treatment[active, t] = chosen
    course.propensities[active, t, :-1] = probs


def _default_propensities(levers: Levers, satisfaction: Floats) -> Floats:
    """Coverage for everybody alike, or more of it for the dissatisfied, (n, 6)."""
    coverage = np.array([getattr(levers.treatments, name) for name in TREATMENTS])
    total = coverage.sum()
    if levers.treatments.confounding == 0 or not 0 < total < 1:
        return np.broadcast_to(coverage, (len(satisfaction), len(TREATMENTS)))
    reached = expit(logit(total) - levers.treatments.confounding * satisfaction)
    return reached[:, None] * coverage / total


def _ask_policy(
    policy: Policy, scene: Scene, course: Course, active: Ints, t: int, log: list[Ints]
) -> tuple[Ints, Floats]:
    """Show a policy what the bank has seen of everybody; keep its propensities for the active."""
    seen = {
        "contacts": course.contacts,
        "purchases": course.purchases,
        "complaint": course.complaint,
    }
    records = Records(
        lambda name, period: seen[name][:, period].astype(float),
        tuple(seen),
        TREATMENTS,
        log,
        t,
        tuple(seen),
        len(scene.people),
    )
    view = FirmView(t, scene.view, TREATMENTS, records)
    stages = np.maximum(course.stage[:, t], 0).astype(np.int64)
    decision = decide(policy, view, scene.streams, scene.people.ids, stages, scene.stage_names)
    done = np.zeros(len(scene.people), dtype=np.int64)
    done[active] = decision.chosen[active]
    log.append(done)
    if decision.impressions is not None:
        course.impression[active, t] = decision.impressions[active]
    return done[active], decision.propensities[active]


def _win_back(scene: Scene, course: Course, state: _State, lost: Ints, t: int) -> None:
    """Contact some of those who had an account and left recently; a few of them come back."""
    treatments = scene.levers.treatments
    state.dwell[lost] += 1
    lost = lost[(state.dwell[lost] <= _REMEMBERED + 1) & course.has_bought(lost, t)]
    u = scene.streams.uniforms("win_back", scene.people.ids[lost], t, size=2)
    contacted = u[0] < treatments.win_back
    returns = contacted & (u[1] < treatments.win_back_effect) & (t + 1 < scene.n_periods)
    course.won_back[lost, t] = contacted.astype(int) + returns
    course.propensities[lost, t, -1] = treatments.win_back
    state.stage[lost[returns]] = 0
    state.dwell[lost[returns]] = 1


def _advance(
    scene: Scene,
    course: Course,
    state: _State,
    active: Ints,
    t: int,
    lasting: Floats,
    circle: "_Circle",
) -> None:
    """Move everybody who is active, then let the bank end what it wants to end."""
    people, levers, profile = scene.people, scene.levers, scene.profile
    gates = lasting_gates(course.found_by, levers)
    departures, devotion = circle.hear(state, profile)
    stage = state.stage[active]
    moment = Moment(
        period=t,
        stage=stage,
        satisfaction=state.satisfaction[active],
        incident=(course.incident[active, t] > 0) & ~course.resolved[active, t],
        life_event=state.life_event[active],
        treatment=course.treatment[active, t],
        outgoing=course.outgoing[active, t].astype(np.int64),
        personal=course.personal[active, t],
        contradictory=course.contradictory[active, t],
        departures=departures[active],
        devotion=devotion[active],
        crossings=state.crossings[active],
        dwell=state.dwell[active],
    )
    tilts = tilts_of(moment, lasting, gates, people, levers, profile, active)
    u = scene.streams.uniforms("move", people.ids[active], t, size=2)
    after = move(stage, tilts, u[0], scene.matrix, profile.motion)
    idle = course.purchases[active, t] == 0
    after, dismissed = _dismiss(levers, profile, stage, after, idle, u[1])
    _note_exits(course, state, profile, active, after, dismissed, t)
    crossed = profile.together[stage] & ~profile.together[after] & ~profile.lost[after]
    state.crossings[active] += crossed
    state.dwell[active] = np.where(after == stage, state.dwell[active] + 1, 1)
    state.departed[:] = False
    state.departed[active] = profile.lost[after]
    state.stage[active] = after


def _dismiss(
    levers: Levers,
    profile: StageProfile,
    stage: Ints,
    after: Ints,
    idle: Bools,
    u: Floats,
) -> tuple[Ints, Ints]:
    """End stale and fraudulent relationships; 0 kept, 1 unprofitable, 2 fraud.

    Nobody is told to go in a quarter in which she bought something.
    """
    ends = np.flatnonzero(profile.lost)
    if not len(ends):
        return after, np.zeros(len(stage), dtype=np.int64)
    stale = ~profile.together[stage] & (profile.intensity[stage] < 0.5)
    fraud = u > 1 - levers.shocks.fraud
    unprofitable = stale & idle & (u < levers.shocks.dismissal)
    kind = np.where(fraud, 2, unprofitable.astype(np.int64))
    return np.where(kind > 0, ends[0], after), kind


def _note_exits(
    course: Course,
    state: _State,
    profile: StageProfile,
    active: Ints,
    after: Ints,
    dismissed: Ints,
    t: int,
) -> None:
    stage, unhappy = state.stage[active], state.satisfaction[active] < _DISSATISFIED
    unhappy |= course.incident[active, t] > 0
    early = profile.together[stage] & (profile.intensity[stage] < 0.5)
    own = np.where(unhappy, 0, np.where(early, 3, 1))
    own = np.where(state.life_event[active], 2, own)
    reason = np.where(dismissed > 0, DISMISSED - 1 + dismissed, own)
    course.exit_reason[active, t] = np.where(profile.lost[after], reason, -1)
