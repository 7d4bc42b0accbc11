"""The figures of the report, each with a sentence computed from its data."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.holdout import name_of
from crmlab.analyst.study import Study
from crmlab.plots import plot_calibration, plot_prediction, plot_stage_probs, plot_stage_value
from crmlab.report.numbers import listed, money, number, percent
from crmlab.report.parts import element

if TYPE_CHECKING:
    from markupsafe import Markup


def draw_figures(study: Study) -> "dict[str, Markup]":
    """Draw all figures of the page.

    Parameters
    ----------
    study : Study
    """
    reliability = study.holdout.reliability
    return {
        "shares": _draw_shares(study),
        "tracks": _draw_tracks(study),
        "reliability": element(plot_calibration(reliability), _tell_bins(reliability)),
        "worth": _draw_worth(study),
    }


def _draw_shares(study: Study) -> "Markup":
    """Draw the share of customers in each stage, period by period."""
    plan, size = study.plan, study.scored.occupancy
    total = size.sum(axis=-1, keepdims=True)
    shares = xr.DataArray(
        size / np.where(total > 0, total, 1),
        dims=("chain", "draw", "period", "stage"),
        coords={"period": plan.starts, "stage": list(study.names)},
    )
    first = int(np.argmax(total[0, 0, :, 0] > 0))
    shares = shares.isel(period=slice(first, None)).expand_dims(customer_id=[0])
    ax = plot_stage_probs(shares, study.fit.model.space)
    ax.set(xlabel=f"First day of the {plan.period}", ylabel="Customers in the stage (%)")
    return element(ax, _tell_shares(shares, plan.period))


def _draw_tracks(study: Study) -> "Markup":
    """Draw the cumulative orders of the test, as they happened and as each rule forecast them."""
    from matplotlib.dates import ConciseDateFormatter, date2num

    test, plan = study.holdout, study.plan
    names = [name_of(test.chosen), *(n for n in test.tracks if "(" not in n and n != "actual")]
    start = {name: np.insert(values, 0, 0.0, axis=-1) for name, values in test.tracks.items()}
    ends = plan.starts[plan.n_seen :].append(pd.DatetimeIndex([plan.last + pd.Timedelta(days=1)]))
    ax = plot_prediction(
        start["actual"],
        {name: start[name] for name in names},
        periods=date2num(ends),
        quantity="Repeat orders in the test",
        period_name=f"End of the {plan.period}",
    )
    ax.xaxis_date()
    ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
    return element(ax, _tell_tracks(study, names))


def _draw_worth(study: Study) -> "Markup":
    """Draw what a customer with average orders is worth in each stage."""
    mean_spend = float((study.purchases.per_order() * study.settings.margin).mean())
    worth = study.drawn.worth * mean_spend
    flat = xr.DataArray(worth, dims=("chain", "draw", "stage"), coords={"stage": list(study.names)})
    ax = plot_stage_value(flat, study.fit.model.space, unit=study.unit)
    return element(ax, _tell_stages(study, worth))


def _tell_shares(shares: xr.DataArray, period: str) -> str:
    mean = shares.mean(("chain", "draw", "customer_id")).transpose("period", "stage").values
    names = shares["stage"].values
    moved = [
        f"'{name}' {_tell_course(mean[0, k], mean[-1, k])}"
        for k, name in enumerate(names)
        if percent(mean[0, k]) != "0%" or percent(mean[-1, k]) != "0%"
    ]
    begin, end = (str(day)[:10] for day in shares["period"].values[[0, -1]])
    return f"From the {period} of {begin} to the {period} of {end}, customers in {listed(moved)}."


def _tell_course(begin: float, end: float) -> str:
    """Say where a share began and ended."""
    if percent(begin) == percent(end):
        return f"stay at {percent(end)}"
    return f"{'fall' if end < begin else 'rise'} from {percent(begin)} to {percent(end)}"


def _tell_tracks(study: Study, names: list[str]) -> str:
    tracks = study.holdout.tracks
    said = [f"{name} forecast {number(np.atleast_2d(tracks[name]).mean(0)[-1])}" for name in names]
    return (
        f"By the end of the test there were {number(tracks['actual'][-1])} repeat orders; "
        f"{listed(said)}."
    )


def _tell_bins(table: pd.DataFrame) -> str:
    gap = (table["observed"] - table["predicted"]).abs()
    row = table.loc[gap.idxmax()]
    return (
        f"The largest gap is in the group whose mean probability was {percent(row['predicted'])}: "
        f"{percent(row['observed'])} of it ordered."
    )


def _tell_stages(study: Study, worth: np.ndarray) -> str:
    means = worth.mean(axis=(0, 1))
    best, least = study.names[int(means.argmax())], study.names[int(means.argmin())]
    high, low = (money(mean, study.unit, int(mean < 10)) for mean in (means.max(), means.min()))
    return f"An average customer is worth {high} in '{best}' and {low} in '{least}'."
