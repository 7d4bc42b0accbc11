"""Whole histories of stages, drawn from the posterior."""

import numpy as np
import xarray as xr

from crmlab import chains
from crmlab.arrays import Ints
from crmlab.inference import Fit
from crmlab.inference.fitting import make_rng
from crmlab.prediction.customers import Customers, Parameters, read_customers
from crmlab.prediction.draws import collect, thin_draws
from crmlab.prediction.population import sample_normals


def sample_stages(
    fit: Fit, *, panel: xr.Dataset | None = None, draws: int = 200, seed: int
) -> xr.DataArray:
    """Draw whole stage paths given everything that was seen of each customer.

    Probabilities period by period do not show how periods belong together: how often somebody
    crossed, or how long a stay was. A function of drawn paths has the posterior of that function.

    Parameters
    ----------
    fit : Fit
    panel : xr.Dataset, optional
        Draw paths of these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all; each gives one path per customer.
    seed : int

    Returns
    -------
    xr.DataArray of int with dims (chain, draw, customer_id, period)
        Positions of the stages in their space; -1 outside a customer's window.

    References
    ----------
    Carter and Kohn (1994), *Biometrika* 81(3), 541-553.
    """
    customers, rng = read_customers(fit, panel), make_rng("sample_stages", seed)
    labels = {dim: customers.panel[dim].values for dim in ("customer_id", "period")}
    return collect(
        lambda parameters: draw_paths(customers, parameters, rng),
        thin_draws(fit, draws),
        ("customer_id", "period"),
        labels,
    )


def draw_paths(customers: Customers, parameters: Parameters, rng: np.random.Generator) -> Ints:
    """Draw one path per customer under one draw (customer, period), -1 outside the window."""
    paths, seen = np.full(customers.score.shape[:2], -1), customers.seen
    normals = sample_normals(customers, parameters, rng)
    own = None if normals is None else normals[seen]
    if seen.any():
        paths[seen] = chains.sample_paths(rng, *customers.evidence(parameters, own))
    return paths
