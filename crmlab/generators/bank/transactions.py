"""What customers buy: the five processes of the bank, and the opportunities before large ones."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.arrays import Floats, Ints
from crmlab.generators.bank.cells import DAYS, Rows, days, rows_of
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.people import People
from crmlab.generators.bank.profile import StageProfile
from crmlab.generators.bank.quantiles import choose, choose_within, log_normal
from crmlab.generators.bank.relationship import CAUSES, Course
from crmlab.generators.bank.touchpoints import CHANNELS
from crmlab.streams import Streams

PROCESSES = ("deposit", "withdrawal", "card", "loan", "investment")
STATUSES = ("open", "won", "lost")
_AMOUNT = np.array([600.0, 150.0, 300.0, 6000.0, 2500.0])
_AMOUNT_SD = np.array([0.6, 0.5, 0.7, 0.6, 0.7])
_MARGIN = np.array([0.004, 0.006, 0.012, 0.022, 0.01])
_PROCESSING = np.array([0.3, 0.2, 1.0, 9.0, 2.0])
_SHARES_LOW = np.array([0.50, 0.35, 0.145, 0.0, 0.005])
_SHARES_HIGH = np.array([0.34, 0.22, 0.28, 0.04, 0.12])
_CHANNEL_SHARES = np.array(
    [
        [0.35, 0.0, 0.6, 0.05, 0.0],
        [0.45, 0.0, 0.55, 0.0, 0.0],
        [0.2, 0.1, 0.65, 0.05, 0.0],
        [0.8, 0.1, 0.1, 0.0, 0.0],
        [0.5, 0.15, 0.3, 0.05, 0.0],
    ]
)
_DELAY_FACTOR = 3.0
_LOST = 0.3  # lost opportunities per period, at full intensity
_LARGE = (PROCESSES.index("loan"), PROCESSES.index("investment"))


@dataclass(frozen=True)
class Sales:
    """Transactions as columns of (n,)."""

    who: Ints
    when: Ints
    day: Ints
    process: Ints
    channel: Ints
    amount: Floats
    margin: Floats
    processing: Floats


def draw_transactions(
    streams: Streams, people: People, course: Course, levers: Levers, profile: StageProfile
) -> Sales:
    """Give every purchase its process, amount, margin, channel and day."""
    rows = rows_of(course.purchases)
    u = rows.uniforms(streams, people, "purchase", 4)
    shares = _SHARES_LOW + profile.intensity[:, None] * (_SHARES_HIGH - _SHARES_LOW)
    process, rest = choose_within(u[0], course.stage[rows.who, rows.when], shares)
    process = _one_loan_a_quarter(process, rows)
    channel, _ = choose_within(u[1], process, _CHANNEL_SHARES)
    amount = np.round(log_normal(u[2], _AMOUNT[process], _AMOUNT_SD[process]), 2)
    given_away = levers.traits.power * people.trait("power")[rows.who]
    delayed = course.incident[rows.who, rows.when] == CAUSES.index("delays") + 1
    slow = np.where(delayed, _DELAY_FACTOR, 1.0)
    return Sales(
        who=rows.who,
        when=rows.when,
        day=days(rest),
        process=process,
        channel=channel,
        amount=amount,
        margin=np.round(amount * _MARGIN[process] * np.exp(-given_away), 2),
        processing=np.round(log_normal(u[3], _PROCESSING[process] * slow, 0.4), 1),
    )


def _one_loan_a_quarter(process: Ints, rows: Rows) -> Ints:
    """Turn a second loan of the same customer and quarter into a card statement."""
    loans = np.flatnonzero(process == _LARGE[0])
    same = np.diff(rows.who[loans], prepend=-1) == 0
    same &= np.diff(rows.when[loans], prepend=-1) == 0
    process = process.copy()
    process[loans[same]] = PROCESSES.index("card")
    return process


def transaction_table(sales: Sales, people: People, n_periods: int) -> pd.DataFrame:
    """Write transactions in the order of customer, period and day."""
    order = np.argsort((sales.who * n_periods + sales.when) * DAYS + sales.day, kind="stable")
    return pd.DataFrame(
        {
            "customer_id": people.ids[sales.who[order]],
            "period": sales.when[order],
            "day": sales.day[order],
            "process": pd.Categorical.from_codes(sales.process[order], list(PROCESSES)),
            "channel": pd.Categorical.from_codes(sales.channel[order], list(CHANNELS)),
            "amount": sales.amount[order],
            "margin": sales.margin[order],
            "processing_days": sales.processing[order],
        },
        copy=False,
    )


def opportunity_table(
    streams: Streams, people: People, course: Course, sales: Sales, profile: StageProfile
) -> pd.DataFrame:
    """Log opportunities by status: each loan and investment was one; others were lost."""
    won = _won(course, sales)
    lost = _lost(streams, people, course, profile)
    parts = [_logged(won, STATUSES.index("won")), _logged(lost, STATUSES.index("lost"))]
    who, when, number, product, status, amount = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    inside = when < course.stage.shape[1]
    frame = pd.DataFrame(
        {
            "customer_id": people.ids[who],
            "period": when,
            "opportunity_id": people.ids[who] * 100_000 + number,
            "product": pd.Categorical.from_codes(product, ["loan", "investment"]),
            "status": pd.Categorical.from_codes(status, list(STATUSES)),
            "amount": amount,
        },
        copy=False,
    )[inside]
    return frame.sort_values(["customer_id", "period", "opportunity_id"], ignore_index=True)


Deal = tuple[Ints, Ints, Ints, Ints, Ints, Floats]


def _won(course: Course, sales: Sales) -> Deal:
    """Deals behind large sales: opened one quarter before, if the customer was there."""
    large = np.flatnonzero(np.isin(sales.process, _LARGE))
    who, when = sales.who[large], sales.when[large]
    before = np.maximum(when - 1, 0)
    opened = np.where(course.active[who, before], before, when)
    cell = who * course.stage.shape[1] + when
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    place = np.arange(len(cell)) - np.repeat(starts, np.diff(starts, append=len(cell)))
    product = (sales.process[large] == _LARGE[1]).astype(np.int64)
    return who, opened, when, when * 100 + place, product, sales.amount[large]


def _lost(streams: Streams, people: People, course: Course, profile: StageProfile) -> Deal:
    """Deals that are lost one quarter after they were opened."""
    who, when = np.nonzero(course.active)
    u = streams.uniforms("opportunity", people.ids[who], when, size=3)
    intensity = profile.intensity[course.stage[who, when]]
    opened = u[0] < _LOST * (0.2 + 0.8 * intensity)
    who, when, u = who[opened], when[opened], u[:, opened]
    product, _ = choose(u[1], (0.25, 0.75))
    amount = np.round(log_normal(u[2], _AMOUNT[list(_LARGE)][product], 0.6), 2)
    return who, when, when + 1, when * 100 + 99, product, amount


def _logged(deal: Deal, status: int) -> tuple:
    """Write two rows for each deal: opened, and decided."""
    who, opened, decided, number, product, amount = deal
    states = np.repeat([STATUSES.index("open"), status], len(who))
    twice = [np.tile(column, 2) for column in (who, number, product, amount)]
    return twice[0], np.concatenate([opened, decided]), twice[1], twice[2], states, twice[3]
