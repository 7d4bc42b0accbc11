"""Panels simulated by a model itself: its own moves, its own channels, the shape of a design."""

from dataclasses import replace

import numpy as np
import xarray as xr

from crmlab.arrays import Floats, count_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.models.base import StageModel
from crmlab.models.emissions import find_window
from crmlab.models.observation import draw_stages, observe
from crmlab.transitions.base import Parameters

DIMS = ("customer_id", "period")


def empty_panel(n_customers: int, n_periods: int) -> xr.Dataset:
    """Panel of customers who are all observed in all periods, but with nothing seen yet.

    Assign covariates to it, shorten windows in `observed`, or add a channel's variable that is NaN
    in the cells that nobody will see: it is a design to simulate in.

    Parameters
    ----------
    n_customers, n_periods : int

    Raises
    ------
    SpecError
        A number is not a positive integer.

    Examples
    --------
    >>> dict(empty_panel(20, 6).sizes)
    {'customer_id': 20, 'period': 6}
    """
    sizes = {"n_customers": n_customers, "n_periods": n_periods}
    raise_problems(SpecError, "empty_panel", count_problems(sizes))
    return xr.Dataset(
        {"observed": (DIMS, np.ones((n_customers, n_periods), dtype=bool))},
        coords={"customer_id": np.arange(n_customers), "period": np.arange(n_periods)},
    )


def blank_panel(model: StageModel, design: xr.Dataset) -> xr.Dataset:
    """Return the design with every channel present and nothing seen."""
    nothing = np.full([design.sizes[dim] for dim in DIMS], np.nan)
    return design.assign({channel.name: (DIMS, nothing) for channel in model.channels})


def simulate_panel(
    model: StageModel, design: xr.Dataset, parameters: Parameters, *, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate customers from a model, in the shape of a design.

    Parameters
    ----------
    model : StageModel
    design : xr.Dataset
        Windows (`observed`), covariates, and, if it has a channel's variable, the cells in which
        that channel cannot be seen (NaN). Values of channels are not read.
    parameters : mapping of name to ndarray
        One draw of the model's `posterior_names`.
    rng : numpy.random.Generator

    Returns
    -------
    xr.Dataset
        The design with simulated channels. Customers with effects of their own get new ones from
        the population that `parameters` describe.

    Examples
    --------
    >>> import crmlab as crm
    >>> space = crm.StageSpace(("dormant", "active"))
    >>> model = crm.HiddenMarkov(space, channels=(crm.Poisson("visits", rate=(0.0, 9.0)),))
    >>> draw = {"initial_probs": np.array([0.0, 1.0]), "transition_matrix": np.eye(2),
    ...         "visits_rate": np.array([0.0, 9.0])}
    >>> panel = simulate_panel(model, empty_panel(2, 3), draw, rng=np.random.default_rng(1))
    >>> bool((panel["visits"] > 0).all())  # all are active, and stay so
    True
    """
    n_effects = model.transitions.n_customer_effects(model.space)
    normals = rng.normal(size=(design.sizes["customer_id"], n_effects))
    matrices = moving(model, design, parameters, normals)
    window = find_window(design)
    stages = draw_stages(parameters["initial_probs"], matrices, window, design.sizes["period"], rng)
    seen = {
        channel.name: (DIMS, observe(channel, parameters, np.maximum(stages, 0), rng))
        for channel in model.channels
    }
    panel = design.assign(seen)
    visible = {
        name: design["observed"] & design[name].notnull() if name in design else design["observed"]
        for name in seen
    }
    return panel.assign({name: panel[name].where(visible[name]) for name in seen})


def moving(
    model: StageModel, design: xr.Dataset, parameters: Parameters, normals: Floats | None
) -> Floats:
    """Transition matrices (customer or 1, move or 1, K, K) of customers at these places."""
    transitions, space = model.transitions, model.space
    covariates = transitions.design.read(design).get("covariates")
    if normals is None:
        normals = np.zeros((1, transitions.n_customer_effects(space)))
    offsets = transitions.customer_offsets(space, parameters, normals)
    return transitions.matrices(space, parameters, covariates, offsets)


def always_answering(model: StageModel) -> StageModel:
    """Return the model with customers who always answer: the panel says where they did."""
    channels = tuple(channel.always_answered() for channel in model.channels)
    return model if channels == model.channels else replace(model, channels=channels)
