"""What a bank is, as tables: its clock, its levers, its stages and its moves."""

import numpy as np
import pandas as pd

from crmlab.generators.bank.knobs import list_knobs
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.profile import MOTIONS
from crmlab.generators.bank.world import Bank


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


def describe(bank: Bank) -> Description:
    """Say what a bank is, before anything is simulated.

    Parameters
    ----------
    bank : Bank

    Returns
    -------
    dict of DataFrames that prints itself as tables
        "world" (its size and clock), "levers" (each knob with value, default, unit, source,
        meaning), "stages" (what each looks like), "moves" (the matrix without tilts, with
        meanings).

    Examples
    --------
    >>> from crmlab.generators.bank import Bank
    >>> list(describe(Bank()))
    ['world', 'levers', 'stages', 'moves']
    """
    return Description(
        world=_world(bank), levers=_levers(bank), stages=_stages(bank), moves=_moves(bank)
    )


def _world(bank: Bank) -> pd.DataFrame:
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


def _levers(bank: Bank) -> pd.DataFrame:
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


def _stages(bank: Bank) -> pd.DataFrame:
    profile = bank.profile
    return pd.DataFrame(
        {
            "stage": bank.space.names,
            "phase": bank.space.phases,
            "arrival": bank.first_probs,
            "intensity": profile.intensity,
            "contacts": profile.contacts,
            "purchases": profile.purchases,
            "warmth": profile.warmth,
        },
        copy=False,
    )


def _moves(bank: Bank) -> pd.DataFrame:
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
