"""Every contact between the bank and a customer, one row each: front office and back office."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.arrays import Bools, Floats, Ints
from crmlab.generators.bank.cells import DAYS, Rows, days, rows_of
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.people import SELF_SERVICE, People
from crmlab.generators.bank.quantiles import choose, choose_within, expit, log_normal, normal
from crmlab.generators.bank.relationship import CAUSES, DISMISSED, Course
from crmlab.streams import Streams

CHANNELS = ("branch", "call_centre", "app", "e_mail", "forum")
KINDS = (
    "first_contact",
    "customer_service",
    "sales_support",
    "technical_assistance",
    "complaint",
    "relationship_marketing",
    "after_sales",
    "accounting",
    "follow_up",
    "closing",
    "treatment",
    "win_back",
)
OFFICES = ("front", "back")
DIRECTIONS = ("in", "out")
OUTCOMES = ("done", "passed_on", "unresolved")
REASONS = ("start", "account", "advice", "help", "problem", "offer", "papers", "end", "xxx")
JUNK = REASONS.index("xxx")

_REASON_OF_KIND = np.array([0, 1, 2, 3, 4, 5, 6, 6, 1, 7, 5, 0])
_IN_BACK_OFFICE = np.array([kind in ("after_sales", "accounting", "follow_up") for kind in KINDS])
_OUTGOING = np.array(
    [
        kind in ("relationship_marketing", "accounting", "follow_up", "treatment", "win_back")
        for kind in KINDS
    ]
)
_CHANNELS_BY_MODE = np.array(
    [
        [0.50, 0.30, 0.10, 0.10, 0.00],  # personal
        [0.60, 0.25, 0.05, 0.10, 0.00],  # dedicated
        [0.05, 0.15, 0.65, 0.15, 0.00],  # self-service
        [0.05, 0.15, 0.50, 0.30, 0.00],  # automated
        [0.10, 0.15, 0.35, 0.10, 0.30],  # community
    ]
)
_IN_PERSON = (0.4, 0.6, 0.0, 0.0, 0.0)
_BY_MAIL = (0.0, 0.0, 0.4, 0.6, 0.0)
_BACK_CHANNELS = (0.1, 0.4, 0.0, 0.5, 0.0)
_CHANNEL_OF_TREATMENT = (1, 3, 3, 0, 3, 2)  # a call, mails, a gift in the branch, the app
_FIRST_CHANNELS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0],  # found through a branch
        [0.0, 0.1, 0.7, 0.2, 0.0],  # web
        [0.3, 0.4, 0.3, 0.0, 0.0],  # advert
        [0.7, 0.3, 0.0, 0.0, 0.0],  # partner
        [0.6, 0.2, 0.2, 0.0, 0.0],  # referral
    ]
)
_WAIT = np.array([8.0, 5.0, 0.5, 240.0, 90.0])
_DURATION = np.array([20.0, 8.0, 4.0, 6.0, 10.0])
_DELAY_FACTOR = 3.0
_JUNK_PER_FIELD = 0.03
_PASSED_ON = 0.1  # share of the contacts that are not unresolved
_LOAD_SD = 0.2


@dataclass(frozen=True)
class Contacts:
    """Touch points as columns of (n,), in the order of customer, period and day."""

    who: Ints
    when: Ints
    day: Ints
    kind: Ints
    channel: Ints
    duration: Floats
    wait: Floats
    outcome: Ints
    reason: Ints
    contradictory: Bools


def load_factors(streams: Streams, n_periods: int) -> Floats:
    """How busy each channel is in each period, (T, 5) multipliers of waiting; exogenous."""
    z = normal(
        streams.uniforms("load", np.arange(len(CHANNELS))[None], np.arange(n_periods)[:, None])
    )
    return np.exp(_LOAD_SD * z)


def draw_touchpoints(
    streams: Streams, people: People, course: Course, levers: Levers, load: Floats
) -> Contacts:
    """Give every contact its kind, channel, day, waiting, duration, outcome and note.

    Parameters
    ----------
    streams : Streams
    people : People
        N customers.
    course : Course
    levers : Levers
    load : ndarray of shape (T, 5)
        From `load_factors`.
    """
    parts = [
        _first_contacts(streams, people, course),
        _own_contacts(streams, people, course),
        _outreach(streams, people, course),
        _back_office(streams, people, course),
        _complaints(streams, people, course),
        _closings(streams, people, course, levers),
        _treatments(streams, people, course),
        _win_backs(streams, people, course),
    ]
    who, when, day, kind, channel = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(
        ((who * course.stage.shape[1] + when) * DAYS + day) * len(KINDS) + kind, kind="stable"
    )
    who, when, day, kind, channel = (a[order] for a in (who, when, day, kind, channel))
    rows = Rows(who, when, _number_in_cell(who, when, course.stage.shape[1]))
    return _with_details(
        rows, day, kind, channel, rows.uniforms(streams, people, "touch", 4), people, course,
        levers, load,
    )  # fmt: skip


Part = tuple[Ints, Ints, Ints, Ints, Ints]


def _first_contacts(streams: Streams, people: People, course: Course) -> Part:
    who = np.flatnonzero(people.start < course.stage.shape[1])
    when = people.start[who]
    u = streams.uniforms("first_contact", people.ids[who], when)
    channel, _ = choose_within(u, course.found_by[who], _FIRST_CHANNELS)
    return who, when, np.zeros(len(who), dtype=np.int64), np.zeros(len(who), np.int64), channel


def _own_contacts(streams: Streams, people: People, course: Course) -> Part:
    rows = rows_of(course.contacts)
    u = rows.uniforms(streams, people, "contact", 2)
    kind, rest = choose(u[0], (0.5, 0.25, 0.25))
    channel, _ = choose_within(u[1], people.mode[rows.who], _CHANNELS_BY_MODE)
    return rows.who, rows.when, days(rest), kind + 1, channel


def _outreach(streams: Streams, people: People, course: Course) -> Part:
    rows = rows_of(course.outgoing)
    u = rows.uniforms(streams, people, "outreach", 2)
    in_person = rows.which < course.personal[rows.who, rows.when]
    channel, _ = choose_within(u[0], in_person.astype(np.int64), (_BY_MAIL, _IN_PERSON))
    kind = np.full(len(rows.who), KINDS.index("relationship_marketing"))
    return rows.who, rows.when, days(u[1]), kind, channel


def _back_office(streams: Streams, people: People, course: Course) -> Part:
    who, when = np.nonzero(course.back_office)
    u = streams.uniforms("back_office", people.ids[who], when, size=2)
    kind, _ = choose(u[0], (0.4, 0.4, 0.2))
    channel, rest = choose(u[1], _BACK_CHANNELS)
    return who, when, days(rest), kind + KINDS.index("after_sales"), channel


def _complaints(streams: Streams, people: People, course: Course) -> Part:
    who, when = np.nonzero(course.complaint)
    u = streams.uniforms("complaint_contact", people.ids[who], when)
    channel, _ = choose(u, (0.3, 0.45, 0.1, 0.15, 0.0))
    kind = np.full(len(who), KINDS.index("complaint"))
    return who, when, complaint_days(streams, people, who, when), kind, channel


def complaint_days(streams: Streams, people: People, who: Ints, when: Ints) -> Ints:
    """Days on which complaints come in: one rule for the contact and for the case."""
    return days(streams.uniforms("complaint_day", people.ids[who], when))


def _closings(streams: Streams, people: People, course: Course, levers: Levers) -> Part:
    """Leavers who tell the bank, and those whom the bank tells that it ends the relationship."""
    who, when = np.nonzero(course.exit_reason >= 0)
    u = streams.uniforms("closing", people.ids[who], when, size=2)
    dismissed = course.exit_reason[who, when] >= DISMISSED
    has_account = np.cumsum(course.purchases, axis=1)[who, when] > 0
    overt = has_account & (dismissed | (u[0] < levers.shocks.closing))
    channel, _ = choose(u[1], (0.5, 0.2, 0.1, 0.2, 0.0))
    kind = np.full(len(who), KINDS.index("closing"))
    day = np.full(len(who), DAYS - 1)
    return who[overt], when[overt], day[overt], kind[overt], channel[overt]


def _treatments(streams: Streams, people: People, course: Course) -> Part:
    who, when = np.nonzero(course.treatment)
    u = streams.uniforms("treatment_day", people.ids[who], when)
    channel = np.array(_CHANNEL_OF_TREATMENT)[course.treatment[who, when] - 1]
    return who, when, days(u), np.full(len(who), KINDS.index("treatment")), channel


def _win_backs(streams: Streams, people: People, course: Course) -> Part:
    who, when = np.nonzero(course.won_back)
    u = streams.uniforms("win_back_day", people.ids[who], when)
    kind, channel = KINDS.index("win_back"), CHANNELS.index("call_centre")
    return who, when, days(u), np.full(len(who), kind), np.full(len(who), channel)


def _number_in_cell(who: Ints, when: Ints, n_periods: int) -> Ints:
    cell = who * n_periods + when
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    return np.arange(len(cell)) - np.repeat(starts, np.diff(starts, append=len(cell)))


def _with_details(
    rows: Rows,
    day: Ints,
    kind: Ints,
    channel: Ints,
    u: Floats,
    people: People,
    course: Course,
    levers: Levers,
    load: Floats,
) -> Contacts:
    who, when = rows.who, rows.when
    delayed = course.incident[who, when] == CAUSES.index("delays") + 1
    saved = levers.service.self_service * (people.mode[who] == SELF_SERVICE)
    saved = saved + levers.pillars.convenience
    wait = _WAIT[channel] * load[when, channel] * np.where(delayed, _DELAY_FACTOR, 1.0)
    wait = log_normal(u[0], wait * np.exp(-saved), 0.6) * ~_OUTGOING[kind]
    bad = expit(-2.5 - course.experience[who, when])
    outcome = np.where(u[2] < bad, 2, np.where(u[2] > 1 - _PASSED_ON * (1 - bad), 1, 0))
    clean = (1 - _JUNK_PER_FIELD) ** levers.surveys.field_burden
    junk, rest = choose(u[3], (clean, 1 - clean))
    marketing = kind == KINDS.index("relationship_marketing")
    n_out = np.maximum(course.outgoing[who, when], 1)
    return Contacts(
        who=who,
        when=when,
        day=day,
        kind=kind,
        channel=channel,
        duration=np.round(log_normal(u[1], _DURATION[channel], 0.5), 1),
        wait=np.round(wait, 1),
        outcome=outcome,
        reason=np.where(junk == 1, JUNK, _REASON_OF_KIND[kind]),
        contradictory=marketing & (rest < course.contradictory[who, when] / n_out),
    )


def touchpoint_table(contacts: Contacts, people: People) -> pd.DataFrame:
    """Write contacts as the table `touchpoints`."""
    return pd.DataFrame(
        {
            "customer_id": people.ids[contacts.who],
            "period": contacts.when,
            "day": contacts.day,
            "kind": _named(contacts.kind, KINDS),
            "channel": _named(contacts.channel, CHANNELS),
            "office": _named(_IN_BACK_OFFICE[contacts.kind].astype(int), OFFICES),
            "direction": _named(_OUTGOING[contacts.kind].astype(int), DIRECTIONS),
            "duration": contacts.duration,
            "wait": contacts.wait,
            "outcome": _named(contacts.outcome, OUTCOMES),
            "reason": _named(contacts.reason, REASONS),
            "contradictory": contacts.contradictory,
        },
        copy=False,
    )


def _named(codes: Ints, names: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, list(names))


def service_levels(load: Floats, levers: Levers) -> pd.DataFrame:
    """Return the bank's own indicators of each channel, period by period."""
    n_periods = len(load)
    wait = _WAIT * load * np.exp(-levers.pillars.convenience)
    wait = wait * (1 + (_DELAY_FACTOR - 1) * levers.stagnation.delays)
    in_time = 1 / (1 + (wait / (2 * _WAIT)) ** 3)
    return pd.DataFrame(
        {
            "period": np.repeat(np.arange(n_periods), len(CHANNELS)),
            "channel": _named(np.tile(np.arange(len(CHANNELS)), n_periods), CHANNELS),
            "median_wait": np.round(wait.ravel(), 2),
            "share_in_time": np.round(in_time.ravel(), 3),
        },
        copy=False,
    )
