"""What customers say: surveys, self-reported stages, complaints, posts."""

from functools import cache

import numpy as np
import pandas as pd

from crmlab.arrays import Floats, Ints
from crmlab.behaviour.word_of_mouth import negative_binomial_through
from crmlab.channels import OrdinalSurvey
from crmlab.generators.bank.cells import days, rows_of
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.people import COMMUNITY, People
from crmlab.generators.bank.profile import StageProfile
from crmlab.generators.bank.quantiles import expit, inside, log_normal, negative_binomial, poisson
from crmlab.generators.bank.relationship import CAUSES, Course
from crmlab.generators.bank.touchpoints import complaint_days
from crmlab.stages import StageSpace
from crmlab.streams import Streams

QUESTIONS = ("expectation", "experience", "satisfaction")
MOMENTS = ("before", "at", "after")
RESOLUTIONS = ("recovered", "closed")
VALENCES = ("negative", "neutral", "positive")

_REACH_CLAIMS = ((10, 0.48), (20, 0.13))  # shares of bad news that reach more than so many
_GOOD_NEWS = 0.5  # reach of a good experience, as a share of that of a bad one


def survey_tables(
    streams: Streams,
    people: People,
    course: Course,
    levers: Levers,
    profile: StageProfile,
    space: StageSpace,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Survey answers, and the stages that respondents say they are in.

    Customers who are invited and stay silent have rows without a value.
    """
    who, when = np.nonzero(course.active)
    u = streams.uniforms("survey", people.ids[who], when, size=7)
    asked = u[0] < levers.surveys.invited
    who, when, u = who[asked], when[asked], u[:, asked]
    stage, mood = course.stage[who, when], course.satisfaction[who, when]
    willing = levers.surveys.silence * mood
    willing = willing + levers.traits.cooperation * people.trait("cooperation")[who]
    answered = u[1] < expit(willing)
    felt = course.experience[who, when]
    places = _places(profile.warmth[stage[answered]], mood[answered], felt[answered], levers)
    values = np.full((len(QUESTIONS), len(who)), np.nan)
    values[:, answered] = _rate(u[2:5, answered], places)
    surveys = pd.DataFrame(
        {
            "customer_id": np.repeat(people.ids[who], len(QUESTIONS)),
            "period": np.repeat(when, len(QUESTIONS)),
            "channel": pd.Categorical.from_codes(
                np.tile(np.arange(len(QUESTIONS)), len(who)), list(QUESTIONS)
            ),
            "value": values.T.ravel(),
            "moment": pd.Categorical.from_codes(
                np.tile(np.arange(len(MOMENTS)), len(who)), list(MOMENTS)
            ),
        },
        copy=False,
    )
    said = _say_stage(stage[answered].astype(int), u[5:, answered], levers, len(space))
    labels = pd.DataFrame(
        {
            "customer_id": people.ids[who[answered]],
            "period": when[answered],
            "channel": pd.Categorical(
                ["reported_stage"] * int(answered.sum()), categories=["reported_stage"]
            ),
            "stage": pd.Categorical.from_codes(said, list(space.names)),
        },
        copy=False,
    )
    return surveys, labels


def _places(warmth: Floats, mood: Floats, felt: Floats, levers: Levers) -> tuple[Floats, ...]:
    """Where the three answers lie on the latent scale."""
    return (
        0.5 * warmth + 0.5 * mood,
        0.5 * warmth + felt - levers.surveys.perception_gap,
        warmth + mood - levers.surveys.perception_gap,
    )


def _rate(u: Floats, places: tuple[Floats, ...]) -> Floats:
    """Answers to the three questions, as if everybody who is asked answered."""
    scale, always = OrdinalSurvey("answer"), np.zeros(u.shape[1])
    return np.stack([scale.sample(np.stack([u[k], always]), p) for k, p in enumerate(places)])


def _say_stage(stage: Ints, u: Floats, levers: Levers, n_stages: int) -> Ints:
    """Name the stage, or with some probability one next to it in the list."""
    step = np.where(u[1] < 0.5, -1, 1)
    step = np.where(stage + step < 0, 1, np.where(stage + step >= n_stages, -1, step))
    wrong = (u[0] < levers.surveys.report_error) & (n_stages > 1)
    return np.where(wrong, stage + step, stage)


def case_table(streams: Streams, people: People, course: Course) -> pd.DataFrame:
    """Complaints with their cause, escalation and outcome."""
    who, when = np.nonzero(course.complaint)
    u = streams.uniforms("case", people.ids[who], when, size=3)
    recovered = course.resolved[who, when]
    escalated = u[0] < np.where(recovered, 0.15, 0.4)
    median = np.where(recovered, 4.0, 15.0) * np.where(escalated, 2.0, 1.0)
    return pd.DataFrame(
        {
            "customer_id": people.ids[who],
            "period": when,
            "channel": pd.Categorical(["complaint"] * len(who), categories=["complaint"]),
            "day": complaint_days(streams, people, who, when),
            "cause": pd.Categorical.from_codes(course.incident[who, when] - 1, list(CAUSES)),
            "escalated": escalated,
            "days_to_close": np.ceil(log_normal(u[1], median, 0.5)).astype(np.int64),
            "resolution": pd.Categorical.from_codes(np.where(recovered, 0, 1), list(RESOLUTIONS)),
        },
        copy=False,
    )


@cache
def reach_shape() -> float:
    """Shape of the distribution of reach (mean 11.70), to its printed digits."""
    return round(negative_binomial_through(_REACH_CLAIMS).shape, 3)


def post_table(streams: Streams, people: People, course: Course, levers: Levers) -> pd.DataFrame:
    """Write posts of the forum's members, and how many people each one reaches."""
    member = (people.mode == COMMUNITY)[:, None]
    who, when = np.nonzero(course.active & member)
    rate = levers.talk.posts * (1 + 2 * (course.incident[who, when] > 0))
    counts = np.zeros(course.stage.shape, dtype=np.int64)
    counts[who, when] = poisson(streams.uniforms("posting", people.ids[who], when), rate)
    rows = rows_of(counts)
    u = rows.uniforms(streams, people, "post", 4)
    tone = course.satisfaction[rows.who, rows.when].astype(float)
    total = np.exp(-tone) + 1 + np.exp(tone)
    worst, middle = np.exp(-tone) / total, (np.exp(-tone) + 1) / total
    valence = (u[0] > worst).astype(np.int64) + (u[0] > middle)
    bad, good = (
        negative_binomial(inside(u[1]), u[2], share * levers.talk.reach, reach_shape())
        for share in (1.0, _GOOD_NEWS)
    )
    return pd.DataFrame(
        {
            "customer_id": people.ids[rows.who],
            "period": rows.when,
            "day": days(u[3]),
            "valence": pd.Categorical.from_codes(valence, list(VALENCES)),
            "reach": np.where(valence == 0, bad, good),
        },
        copy=False,
    )
