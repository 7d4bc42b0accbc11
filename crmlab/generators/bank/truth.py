"""What only the maker of a bank knows: stages, feelings, traits and why customers left."""

import numpy as np
import pandas as pd

from crmlab.generators.bank.people import TRAITS, People
from crmlab.generators.bank.relationship import CAUSES, EXIT_REASONS, Course
from crmlab.stages import StageSpace


def truth(people: People, course: Course, space: StageSpace) -> dict[str, pd.DataFrame]:
    """Everything latent: stages, what customers felt, who they are and why they left."""
    here = course.stage >= 0
    who, when = np.nonzero(here)
    stages = pd.DataFrame(
        {
            "customer_id": people.ids[who],
            "period": when,
            "stage": pd.Categorical.from_codes(course.stage[who, when], list(space.names)),
        },
        copy=False,
    )
    return {
        "stages": stages,
        "feelings": _feelings(people, course),
        "people": _people(people),
        "exits": _exits(people, course),
    }


def _feelings(people: People, course: Course) -> pd.DataFrame:
    who, when = np.nonzero(course.active)
    return pd.DataFrame(
        {
            "customer_id": people.ids[who],
            "period": when,
            "experience": course.experience[who, when].astype(float).round(4),
            "satisfaction": course.satisfaction[who, when].astype(float).round(4),
            "incident": pd.Categorical.from_codes(course.incident[who, when], ["none", *CAUSES]),
        },
        copy=False,
    )


def _people(people: People) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": people.ids,
            **dict(zip(TRAITS, people.traits.round(4), strict=True)),
            "ease": people.ease.round(4),
            "unrest": people.unrest.round(4),
            "pace": people.pace.round(4),
            "passive": people.passive,
        },
        copy=False,
    )


def _exits(people: People, course: Course) -> pd.DataFrame:
    who, when = np.nonzero(course.exit_reason >= 0)
    return pd.DataFrame(
        {
            "customer_id": people.ids[who],
            "period": when,
            "reason": pd.Categorical.from_codes(course.exit_reason[who, when], list(EXIT_REASONS)),
        },
        copy=False,
    )
