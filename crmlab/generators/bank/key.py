"""The answer key of a bank, and its description: what only the maker of a world can say."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.generators.bank.knobs import list_knobs
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.people import TRAITS, People
from crmlab.generators.bank.profile import MOTIONS
from crmlab.generators.bank.relationship import CAUSES, EXIT_REASONS, Course
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from crmlab.generators.bank.world import Bank


def truth(people: People, course: Course, space: StageSpace) -> dict[str, pd.DataFrame]:
    """Everything latent: stages, what customers felt, who they are, why they left."""
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


class Description(dict[str, pd.DataFrame]):
    """Tables by name that print themselves one below the other."""

    def __repr__(self) -> str:
        """Give all tables as text."""
        return "\n\n".join(
            f"{name}\n{table.to_string(index=False)}" for name, table in self.items()
        )

    def _repr_html_(self) -> str:
        parts = [f"<h4>{name}</h4>{table.to_html(index=False)}" for name, table in self.items()]
        return "".join(parts)


def describe(bank: "Bank") -> Description:
    """Say what a bank is, as tables."""
    return Description(
        world=_world(bank), levers=_levers(bank), stages=_stages(bank), moves=_moves(bank)
    )


def _world(bank: "Bank") -> pd.DataFrame:
    policy = "levers.treatments" if bank.policy is None else repr(bank.policy)
    rows = {
        "firm": "Banque Méridienne (invented)",
        "period": "a quarter of 90 days",
        "n_periods": str(bank.n_periods),
        "arrivals": f"periods 0 to {bank.arrival_span - 1}",
        "community_size": f"{bank.community_size} consecutive customers",
        "policy": policy,
    }
    return pd.DataFrame({"what": list(rows), "value": list(rows.values())})


def _levers(bank: "Bank") -> pd.DataFrame:
    default = list_knobs(Levers())
    return pd.DataFrame(
        [
            {
                "knob": name,
                "value": float(value),
                "default": float(default[name][0]),
                "unit": said["unit"],
                "source": said["source"],
                "meaning": said["text"],
            }
            for name, (value, said) in list_knobs(bank.levers).items()
        ]
    )


def _stages(bank: "Bank") -> pd.DataFrame:
    profile = bank.profile
    return pd.DataFrame(
        {
            "stage": bank.space.names,
            "phase": bank.space.phases,
            "arrival": bank.first_law,
            "intensity": profile.intensity,
            "contacts": profile.contacts,
            "purchases": profile.purchases,
            "warmth": profile.warmth,
        },
        copy=False,
    )


def _moves(bank: "Bank") -> pd.DataFrame:
    matrix, names = np.array(bank.transition_matrix), bank.space.names
    origin, target = np.nonzero(matrix)
    return pd.DataFrame(
        {
            "stage_from": [names[i] for i in origin],
            "stage_to": [names[j] for j in target],
            "meaning": [MOTIONS[k] for k in bank.profile.motion[origin, target]],
            "prob": matrix[origin, target],
        },
        copy=False,
    )
