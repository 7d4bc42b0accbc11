"""Fits of the stages: to a sample, and to parts of it that show how the answer moves."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.plan import Plan, build_model, draw_sample
from crmlab.analyst.scoring import read_draws, score_panel
from crmlab.analyst.view import View
from crmlab.inference import Fit, fit
from crmlab.models.hidden import HiddenMarkov

Tell = Callable[[str], None]
DRAWS, TUNE = 400, 400
FEWER = 0.6  # share of the draws for the smaller samples, which only show how the answer moves


def fit_stages(
    orders: pd.DataFrame,
    plan: Plan,
    view: View,
    *,
    may_lose: bool,
    seed: int,
    share: float = 1.0,
) -> Fit:
    """Fit four stages; three, if four do not converge: the file carries no more.

    Parameters
    ----------
    orders : DataFrame
    plan : Plan
        `last` may be earlier than the last order, which is then not seen.
    view : View
        The channels beside the orders.
    may_lose : bool
    seed : int
    share : float
        Of the usual number of draws.
    """
    import warnings

    from crmlab.errors import DataWarning, SamplingWarning

    panel = view.panel(orders, plan)
    draws, tune = round(share * DRAWS), round(share * TUNE)
    with warnings.catch_warnings():
        for kind in (SamplingWarning, DataWarning):  # the report says so, at its top
            warnings.simplefilter("ignore", kind)
        for n_stages in (4, 3):
            model = with_sights(build_model(plan, may_lose=may_lose, n_stages=n_stages), view)
            fitted = fit(model, panel, draws=draws, tune=tune, seed=seed, progress=False)
            if not fitted.problems:
                break
    return fitted


def with_sights(model: HiddenMarkov, view: View) -> HiddenMarkov:
    """Let a model of orders also read the channels of a view."""
    further = tuple(sight.channel for sight in view.sights)
    return replace(model, channels=(*model.channels, *further))


def fit_samples(
    orders: pd.DataFrame,
    histories: pd.DataFrame,
    plan: Plan,
    view: View,
    *,
    may_lose: bool,
    seed: int,
    tell: Tell,
) -> dict[int, Fit]:
    """Fit the sample, and, if it is not everybody, a half and a quarter of it."""
    n_all, histories = len(histories), histories.loc[np.sort(orders["customer_id"].unique())]
    n = len(histories)
    sizes = [n] if n == n_all else [n // 4, n // 2, n]
    fits = {}
    for size in sizes:
        tell(f"fitting {size:,} customers over {plan.n_periods} {plan.period}s")
        chosen = histories.index[draw_sample(histories, size, seed=seed)]
        part = orders[orders["customer_id"].isin(chosen)]
        share = 1.0 if size == n else FEWER
        fits[len(chosen)] = fit_stages(part, plan, view, may_lose=may_lose, seed=seed, share=share)
    return fits


def compare_sizes(
    fits: Mapping[int, Fit], panel: xr.Dataset, spend: pd.Series, plan: Plan, rate: float
) -> pd.DataFrame:
    """Ask fits to samples of several sizes about the same customers: orders in the next year."""
    rows = {}
    for size, fitted in fits.items():
        drawn = read_draws(fitted, plan.year, discount=rate, draws=40)
        total = score_panel(panel, spend, plan, fitted, drawn).totals["expected"]
        low, high = np.quantile(total, (0.05, 0.95))
        rows[size] = {"mean": total.mean(), "low": low, "high": high,
                      "stages": len(fitted.model.space)}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")
