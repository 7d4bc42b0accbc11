"""The shifted beta-geometric model of PyMC-Marketing (an extra), as populations of this package."""

from importlib import import_module

import numpy as np
import pandas as pd

from crmlab.btyd.marketing import METHODS, load_peer, run_peer
from crmlab.contract.likelihood import Survivors, count_losses
from crmlab.contract.populations import ShiftedBetaGeometric
from crmlab.errors import check_one_of


def fit_sbg_marketing(
    survivors: Survivors, *, seed: int, method: str = "map"
) -> tuple[ShiftedBetaGeometric, ...]:
    """Fit the shifted beta-geometric model of PyMC-Marketing to survivors.

    Parameters
    ----------
    survivors : array_like (n_periods,), or a sequence of them, one per cohort
        Whole customers, as in `fit_sbg`; cohorts are pooled, as there.
    seed : int
        Seed of their sampler.
    method : {"map", "mcmc"}
        The maximum of the likelihood (flat priors), or a sample from their posterior (their
        priors).

    Returns
    -------
    tuple of ShiftedBetaGeometric
        One population per draw; only one for "map".

    Raises
    ------
    SpecError
        If PyMC-Marketing is not installed, or `method` is unknown.
    DataError
        If survivors rise, or their model refuses them.
    """
    check_one_of("fit_sbg_marketing", "method", method, METHODS)
    clv = load_peer()
    prior = import_module("pymc_extras.prior").Prior
    flat = {name: prior("HalfFlat", dims="cohort") for name in ShiftedBetaGeometric.names()}
    model = clv.ShiftedBetaGeoModel(model_config=flat if method == "map" else None)
    run_peer(model, _customers(count_losses("fit_sbg_marketing", survivors)), method, seed)
    draws = [model.fit_result[name].values.ravel() for name in ShiftedBetaGeometric.names()]
    return tuple(ShiftedBetaGeometric(*row) for row in np.transpose(draws).tolist())


def _customers(losses: np.ndarray) -> pd.DataFrame:
    """Return one row per customer: the renewal at which she left, or T if she stayed."""
    left, stayed = losses.round().astype(int)
    times = np.arange(len(left))
    gone = pd.DataFrame({"recency": np.repeat(times, left), "T": len(times)})
    # A customer who is still there after t renewals leaves at t + 1 or later: censored at t + 1.
    there = np.repeat(times, stayed) + 1
    frame = pd.concat([gone, pd.DataFrame({"recency": there, "T": there})], ignore_index=True)
    return frame.assign(cohort="all").rename_axis("customer_id").reset_index()
