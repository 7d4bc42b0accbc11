"""Fits of the stages: to a sample, and to parts of it that show how the answer changes."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.model import build_model, typical_rates
from crmlab.analyst.plan import Plan
from crmlab.analyst.sample import draw_sample
from crmlab.analyst.scoring import read_draws, weigh
from crmlab.analyst.sources import Sources
from crmlab.errors import DataWarning, SamplingWarning
from crmlab.inference import Fit, fit
from crmlab.prediction import current_stage_probs
from crmlab.report.progress import Tell

DRAWS, TUNE = 400, 400
COMPARED = 40  # draws with which samples of several sizes are compared
FEWER = 0.6  # share of the draws for the smaller samples, which only show how the answer changes


def fit_stages(
    orders: pd.DataFrame,
    plan: Plan,
    sources: Sources,
    *,
    may_lose: bool,
    seed: int,
    share: float = 1.0,
) -> Fit:
    """Fit four stages, or three if four do not converge: then the file supports no more.

    Parameters
    ----------
    orders : DataFrame
    plan : Plan
        Orders after its last day are not seen.
    sources : Sources
    may_lose : bool
        Whether the lowest stage is permanent.
    seed : int
    share : float
        Share of the usual number of draws.
    """
    panel, rates = sources.panel(orders, plan), typical_rates(plan)
    draws, tune = round(share * DRAWS), round(share * TUNE)
    with warnings.catch_warnings():
        for kind in (SamplingWarning, DataWarning):  # the report says so, at its top
            warnings.simplefilter("ignore", kind)
        for n_stages in (4, 3):
            model = build_model(rates[:n_stages], may_lose=may_lose, more=sources.channels)
            fitted = fit(
                model, panel, draws=draws, tune=tune, attempts=1, seed=seed, progress=False
            )
            if not fitted.problems:
                break
    return fitted


def fit_samples(
    orders: pd.DataFrame,
    histories: pd.DataFrame,
    plan: Plan,
    sources: Sources,
    *,
    may_lose: bool,
    seed: int,
    tell: Tell,
) -> dict[int, Fit]:
    """Fit the sample and, unless it holds every customer, a half and a quarter of it.

    Parameters
    ----------
    orders : DataFrame
        Of the sample.
    histories : DataFrame
        Of all customers.
    plan : Plan
    sources : Sources
    may_lose : bool
    seed : int
    tell : callable

    Returns
    -------
    dict of number of customers to Fit
    """
    n_all, histories = len(histories), histories.loc[np.sort(orders["customer_id"].unique())]
    n = len(histories)
    fits = {}
    for size in [n] if n == n_all else [n // 4, n // 2, n]:
        tell(f"fitting {size:,} customers over {plan.n_periods} {plan.period}s")
        chosen = histories.index[draw_sample(histories, size, seed=seed)]
        part = orders[orders["customer_id"].isin(chosen)]
        share = 1.0 if size == n else FEWER
        fits[len(chosen)] = fit_stages(
            part, plan, sources, may_lose=may_lose, seed=seed, share=share
        )
    return fits


def compare_sizes(fits: Mapping[int, Fit], panel: xr.Dataset, plan: Plan) -> pd.DataFrame:
    """Ask fits to samples of several sizes about the same customers: orders in the next year.

    Returns
    -------
    DataFrame
        One row per size: `mean`, `low` and `high` (central 90 % interval), `stages`.
    """
    rows = {}
    for size, fitted in fits.items():
        drawn = read_draws(fitted, plan.year, draws=COMPARED)
        now = current_stage_probs(fitted, panel=panel, draws=COMPARED).values
        total = weigh(now, drawn.orders).sum(axis=-1)
        low, high = np.quantile(total, (0.05, 0.95))
        rows[size] = {"mean": total.mean(), "low": low, "high": high,
                      "stages": len(fitted.model.space)}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")
