"""The tables that a bank keeps anyway: customers, events, actions, ties, costs."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pandas as pd

from crmlab.arrays import Ints
from crmlab.generators.bank.people import (
    ACQUISITION,
    BRANCHES,
    MODES,
    N_TIES,
    SEGMENTS,
    People,
    account_managers,
)
from crmlab.generators.bank.relationship import Course
from crmlab.generators.bank.tilts import TREATMENTS
from crmlab.generators.bank.touchpoints import CHANNELS
from crmlab.generators.bank.transactions import Sales
from crmlab.generators.decisions import tabulate_decisions

EVENTS = ("contacts", "purchases", "margin")
ACTIONS = (*TREATMENTS, "win_back")
TYPES = ("long_term", "transactional")

_CHANNEL_COST = (12.0, 7.0, 0.1, 0.3, 0.2)
_ACTION_COST = (4.0, 0.5, 3.0, 15.0, 1.0, 0.2, 25.0)


def numbered(people: People, course: Course) -> tuple[People, Course]:
    """Name acquaintances and referrers by customer number instead of by position."""
    referrer = np.where(course.referrer >= 0, people.ids[course.referrer], -1)
    return replace(people, ties=people.ids[people.ties]), replace(course, referrer=referrer)


def only(people: People, course: Course, who: Ints) -> tuple[People, Course]:
    """Keep some customers, once their communities have been lived through."""
    named = [f.name for f in fields(people) if f.name not in ("size", "traits")]
    kept = {name: getattr(people, name)[who] for name in named}
    lived = {f.name: getattr(course, f.name)[who] for f in fields(course)}
    return replace(people, **kept, traits=people.traits[:, who]), replace(course, **lived)


def attributes(people: People) -> pd.DataFrame:
    """Return what the bank knows about each customer from the first day."""
    return pd.DataFrame(
        {
            "customer_id": people.ids,
            "start": people.start,
            "segment": _named(people.segment, SEGMENTS),
            "need_level": people.need,
            "relationship_type": _named(people.transactional.astype(int), TYPES),
            "service_mode": _named(people.mode, MODES),
            "home_branch": _named(people.branch, BRANCHES),
            "account_manager": account_managers(people),
        },
        copy=False,
    )


def customer_table(people: People, course: Course) -> pd.DataFrame:
    """Attributes, with how the customer was found and through whom."""
    return attributes(people).assign(
        acquisition_channel=_named(course.found_by, ACQUISITION),
        referrer=np.where(course.referrer >= 0, course.referrer, np.nan),
    )


def event_table(people: People, course: Course, sales: Sales) -> pd.DataFrame:
    """Totals per customer and period, made of the touch points and the transactions."""
    shape = course.stage.shape
    sold = sales.who * shape[1] + sales.when
    cents = np.round(sales.margin * 100)
    totals = (
        course.contacts.ravel(),
        course.purchases.ravel(),
        np.bincount(sold, weights=cents, minlength=course.stage.size) / 100,
    )
    filled = [np.flatnonzero(total) for total in totals]
    where = np.concatenate(filled)
    return pd.DataFrame(
        {
            "customer_id": people.ids[where // shape[1]],
            "period": where % shape[1],
            "channel": _named(np.repeat(np.arange(3), [len(f) for f in filled]), EVENTS),
            "value": np.concatenate(
                [total[f] for total, f in zip(totals, filled, strict=True)]
            ).astype(float),
        },
        copy=False,
    )


def action_table(people: People, course: Course, stage_names: Sequence[str]) -> pd.DataFrame:
    """Log whom the bank could have treated or won back, the probability, and whether it did.

    The columns mean the same as in the log of a `StageWorld` (`decision_log`): one row per
    customer, period and action with a positive probability.
    """
    seen = course.impression >= 0
    chosen = np.where(course.won_back > 0, len(ACTIONS), course.treatment)
    return tabulate_decisions(
        people.ids,
        dict(zip(ACTIONS, _ACTION_COST, strict=True)),
        chosen,
        course.propensities.astype(float).round(6),
        np.where(seen, np.array(stage_names)[course.impression], "") if seen.any() else None,
    )


def assignment_table(people: People, course: Course) -> pd.DataFrame:
    """Return what was decided for every active customer, and with which probability.

    A policy that does not log its propensities leaves the last column to the answer key.
    """
    who, when = np.nonzero(course.active)
    treatment, given = course.treatment[who, when].astype(np.int64), course.propensities[who, when]
    nothing = 1 - given[:, :-1].sum(axis=1, dtype=float)
    chosen = np.take_along_axis(given, np.maximum(treatment - 1, 0)[:, None], axis=1)[:, 0]
    return pd.DataFrame(
        {
            "customer_id": people.ids[who],
            "period": when,
            "decision": _named(treatment, ("nothing", *TREATMENTS)),
            "propensity": np.where(treatment > 0, chosen, nothing).round(6),
        },
        copy=False,
    )


def tie_table(people: People, course: Course) -> pd.DataFrame:
    """Edges of the community: who talks to whom and who referred whom, from the later arrival."""
    here, there = np.repeat(np.arange(len(people)), N_TIES), people.ties.ravel()
    real = people.ids[here] != there
    talk = np.unique(np.stack([people.ids[here][real], there[real]], axis=1), axis=0)
    referred = np.flatnonzero(course.referrer >= 0)
    edges = np.concatenate(
        [talk, np.stack([people.ids[referred], course.referrer[referred]], axis=1)]
    )
    start = pd.Series(people.start, index=people.ids)
    return pd.DataFrame(
        {
            "customer_id": edges[:, 0],
            "period": start.loc[edges[:, 0]].to_numpy(),
            "other_id": edges[:, 1],
            "tie": _named(np.repeat([0, 1], [len(talk), len(referred)]), ("talk", "referral")),
        },
        copy=False,
    )


def cost_table() -> pd.DataFrame:
    """Say what one contact or one action costs."""
    return pd.DataFrame(
        {
            "item": pd.Categorical([*CHANNELS, *ACTIONS], categories=[*CHANNELS, *ACTIONS]),
            "of": pd.Categorical(["contact"] * len(CHANNELS) + ["action"] * len(ACTIONS)),
            "cost": np.array([*_CHANNEL_COST, *_ACTION_COST]),
        },
        copy=False,
    )


def _named(codes: Ints, names: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, list(names))
