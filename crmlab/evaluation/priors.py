"""What a model believes before it sees anything, in units that a marketer uses."""

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.models.base import StageModel
from crmlab.models.prior import prior_draws
from crmlab.models.simulation import empty_panel
from crmlab.transitions import Design

UNITS = {
    "rate": "events per period",
    "shape": "squared rate / extra variance",
    "prob": "probability per period",
    "median": "currency",
    "sigma": "standard deviation of the log amount",
    "location": "units of the cutpoints",
    "confusion": "probability",
}


def describe_priors(
    model: StageModel, *, draws: int = 1000, prob: float = 0.9, seed: int
) -> pd.DataFrame:
    """Tabulate the prior of a model in the user's units.

    Parameters
    ----------
    model : StageModel
    draws : int
        Draws from the prior. An end of an interval is known to about 2 % of draws at 1,000.
    prob : float
        Probability of the intervals.
    seed : int

    Returns
    -------
    DataFrame
        One row per parameter and stage (`to` = where a move leads): `median`, `lower` and `upper`
        (equal-tailed) and `unit`. Parameters that are fixed have lower = upper. Moves are
        probabilities per period of a typical customer whose covariates are 0, with the expected
        stay in each stage beside them; effects of covariates are factors of the odds of a move, per
        unit of the covariate.

    Examples
    --------
    >>> from crmlab.channels import Poisson
    >>> from crmlab.models.hidden import HiddenMarkov
    >>> from crmlab.stages import StageSpace
    >>> from crmlab.transitions import StickyDirichlet
    >>> visits = Poisson("visits", typical_rate=2.0, spread=0.5)
    >>> model = HiddenMarkov(StageSpace(("all",)), StickyDirichlet(), (visits,))
    >>> table = describe_priors(model, seed=1)
    >>> f"{table.loc['visits_rate', 'median']:.0f} {table.loc['visits_rate', 'unit']}"
    '2 events per period'
    """
    raise_problems(SpecError, "describe_priors", number_problems({"prob": prob}, above=0, below=1))
    prior = prior_draws(model, _design(model.transitions.design), draws, seed)
    values = {str(name): cells.values[0] for name, cells in prior.data_vars.items()}
    matrices = np.stack(
        [_matrix(model, {n: v[i] for n, v in values.items()}) for i in range(draws)]
    )
    rows = [*_of_moves(model, matrices, prob)]
    for name, cells in values.items():
        if name not in ("transition_matrix", "base_logits", "thresholds"):
            rows += _of_parameter(model, name, cells, prob)
    return pd.DataFrame(rows).set_index("parameter")


def _design(design: Design) -> xr.Dataset:
    """Panel with every variable that the moves read; none of them is constant."""
    segments = design.segments
    labels = segments.labels if segments else (0, 1)
    panel = empty_panel(len(labels), 3)
    for name in design.variables:
        if segments and name == segments.variable:
            panel = panel.assign({name: ("customer_id", list(labels))})
        else:
            panel = panel.assign({name: ("period", [0.0, 0.0, 1.0])})
    return panel


def _matrix(model: StageModel, parameters: dict[str, Floats]) -> Floats:
    """Transition matrix (K, K) of a typical customer, at covariates of 0."""
    nothing = np.zeros((1, 1, len(model.transitions.design.columns)))
    return model.transitions.matrices(model.space, parameters, nothing)[0, 0]


def _of_moves(model: StageModel, matrices: Floats, prob: float) -> list[dict[str, object]]:
    names, mask = model.space.names, model.space.mask
    rows = [
        _row("transition_matrix", (names[i], names[j]), matrices[:, i, j], prob, UNITS["prob"])
        for i, j in np.argwhere(mask)
    ]
    stays = np.diagonal(matrices, axis1=1, axis2=2)
    lengths = 1 / (1 - np.minimum(stays, 1 - 1e-15))
    left = np.flatnonzero(mask.sum(axis=1) > 1)
    stay = [_row("expected_stay", (names[k], ""), lengths[:, k], prob, "periods") for k in left]
    return rows + stay


def _of_parameter(
    model: StageModel, name: str, cells: Floats, prob: float
) -> list[dict[str, object]]:
    """Rows of one variable of the posterior, draws first."""
    names, unit = model.space.names, _unit(model, name)
    if unit.startswith("factor"):
        cells = np.exp(cells)
    rows = []
    for place in np.ndindex(cells.shape[1:]):
        stages = tuple(names[k] for k in place)
        if place and not _is_used(model, name, place):
            continue
        rows.append(_row(name, (*stages, "", "")[:2], cells[(slice(None), *place)], prob, unit))
    return rows


def _is_used(model: StageModel, name: str, place: tuple[int, ...]) -> bool:
    """Whether a table has an entry at a place; of moves, only those that can happen."""
    channels = [f"{c.name}_{p}" for c in model.channels for p in c.parameter_names]
    if name in (*channels, "initial_probs"):
        return True
    if len(place) == 1:
        return model.space.mask[place[0]].sum() > 1
    return bool(model.space.mask[place]) and place[0] != place[1]


def _unit(model: StageModel, name: str) -> str:
    for channel in model.channels:
        for parameter in channel.parameter_names:
            if name == f"{channel.name}_{parameter}":
                return UNITS.get(parameter, "")
    if name == "initial_probs":
        return "probability"
    if name.endswith("_effect"):
        return "factor of the odds per unit"
    return "correlation" if name.startswith("customer_corr") else "log-odds"


def _row(
    parameter: str, stages: tuple[str, ...], draws: Floats, prob: float, unit: str
) -> dict[str, object]:
    lower, median, upper = np.quantile(draws, [(1 - prob) / 2, 0.5, (1 + prob) / 2])
    found = {"parameter": parameter, "stage": stages[0], "to": stages[1]}
    return {**found, "median": median, "lower": lower, "upper": upper, "unit": unit}
