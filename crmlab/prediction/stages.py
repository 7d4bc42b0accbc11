"""Where customers stood, where they stand, where they go: probabilities of stages from a fit."""

import numpy as np
import xarray as xr

from crmlab import chains
from crmlab.arrays import Floats
from crmlab.errors import SpecError, check_one_of
from crmlab.inference import Fit
from crmlab.inference.fitting import make_rng
from crmlab.prediction.ahead import design_ahead, forecast_name, observe, step_ahead, walk
from crmlab.prediction.customers import law_under, mean_normals, probs_of_seen, sample_normals
from crmlab.prediction.draws import check_memory, collect, collect_all, thin
from crmlab.prediction.reader import Parameters, Reader, open_reader


def stage_probs(
    fit: Fit,
    *,
    kind: str,
    panel: xr.Dataset | None = None,
    draws: int = 200,
    average: bool = False,
) -> xr.DataArray:
    """Probability of each stage, for every customer and period.

    Parameters
    ----------
    fit : Fit
    kind : {"filtered", "predicted", "smoothed"}
        Given what was seen up to and including the period, before it, or over the whole window.
    panel : xr.Dataset, optional
        Score these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all, evenly thinned from the chains.
    average : bool
        Average over the draws on the way, which needs little memory.

    Returns
    -------
    xr.DataArray with dims (chain, draw, customer_id, period, stage), or without chain and draw
        NaN outside a customer's window.

    Raises
    ------
    SpecError
        `kind` is unknown, or the result would not fit the memory budget of 1 GiB.
    DataError
        The panel does not match the model.

    References
    ----------
    Rabiner (1989), *Proceedings of the IEEE* 77(2), equations 19-27.
    """
    check_one_of("stage_probs", "kind", kind, ("filtered", "predicted", "smoothed"))
    reader = open_reader(fit, panel)
    chosen = thin(fit, draws)
    shape = reader.score.shape
    check_memory("stage_probs", 1 if average else chosen.sizes["sample"], shape)

    def probs(parameters: Parameters) -> Floats:
        result = np.full(shape, np.nan)
        result[reader.seen] = probs_of_seen(reader, parameters, kind)
        return result

    labels = _labels(reader.panel, fit)
    return collect(probs, chosen, ("customer_id", "period", "stage"), labels, average)


def most_likely_path(fit: Fit, *, panel: xr.Dataset | None = None) -> xr.DataArray:
    """Most likely stage path of each customer, at the posterior mean of the parameters.

    Where customers have effects of their own, each has the mean of them given what was seen.

    Returns
    -------
    xr.DataArray of stage names with dims (customer_id, period); "" outside a customer's window

    References
    ----------
    Viterbi (1967); Rabiner (1989), equations 32-35.
    """
    reader = open_reader(fit, panel)
    mean = fit.posterior.mean(("chain", "draw"))
    parameters = {name: values.values for name, values in mean.data_vars.items()}
    paths = np.full(reader.score.shape[:2], -1)
    normals = mean_normals(reader, parameters)
    paths[reader.seen] = chains.viterbi(*reader.evidence(parameters, normals))
    names = np.array([*fit.model.space.names, ""])
    labels = {dim: reader.panel[dim].values for dim in ("customer_id", "period")}
    return xr.DataArray(names[paths], dims=("customer_id", "period"), coords=labels)


def forecast(
    fit: Fit,
    *,
    n_periods: int,
    seed: int,
    panel: xr.Dataset | None = None,
    draws: int = 200,
    average: bool = False,
    future: xr.Dataset | None = None,
) -> xr.Dataset:
    """Stages and observations of the periods to come, after each customer's last one.

    Parameters
    ----------
    fit : Fit
    n_periods : int
        Periods ahead.
    seed : int
        Of the simulated stages and observations.
    panel : xr.Dataset, optional
        Forecast these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all; each gives one simulated future per customer.
    average : bool
        Average over the draws on the way.
    future : xr.Dataset, optional
        Covariates of the periods to come, for models that read any which change: dims
        (customer_id, horizon) or (horizon,), where horizon 1 is the period after a customer's last
        one and `n_periods` the last that is needed. Those that do not change come from the panel.

    Returns
    -------
    xr.Dataset with dims (chain, draw, customer_id, horizon[, stage]), or without chain and draw
        ``stage_probs`` is exact given the parameters: the filtered law of the last period times
        ``P**horizon``, or times the matrices under the covariates to come. Where customers have
        effects of their own, each draw takes one of them given what was seen. One variable per
        channel holds simulated observations (their mean, if averaged); a channel whose answers may
        be missing is NaN where nobody answers. Reports of a stage are indices; a channel called
        "stage" gives "stage_reported", since a dim has the name.

    Raises
    ------
    SpecError
        `n_periods` is not a positive integer, covariates to come are missing, or the result would
        not fit the memory budget.
    """
    if not isinstance(n_periods, (int, np.integer)) or n_periods < 1:
        raise SpecError(
            "The `n_periods` parameter of `forecast` must be a positive integer, "
            f"got {n_periods!r}."
        )
    reader = open_reader(fit, panel)
    chosen = thin(fit, draws)
    space, n_customers = fit.model.space, reader.score.shape[0]
    shape = (n_customers, n_periods, len(space) + len(fit.model.channels))
    check_memory("forecast", 1 if average else chosen.sizes["sample"], shape)
    rng = make_rng("forecast", seed)
    labels = {
        "customer_id": reader.panel["customer_id"].values,
        "horizon": np.arange(1, n_periods + 1),
        "stage": list(space.names),
    }

    design = design_ahead(reader, n_periods, future)

    def look_ahead(parameters: Parameters) -> dict[str, Floats]:
        normals = sample_normals(reader, parameters, rng)
        now = law_under(reader, parameters, normals)
        matrix = reader.move(parameters, design, normals)
        paths = walk(now, matrix, n_periods, rng)
        observed = {
            forecast_name(channel, labels): observe(channel, parameters, paths, rng)
            for channel in fit.model.channels
        }
        return {"stage_probs": step_ahead(now, matrix, n_periods), **observed}

    return collect_all(look_ahead, chosen, labels, average)


def current_stage_probs(
    fit: Fit, *, panel: xr.Dataset | None = None, draws: int = 200
) -> xr.DataArray:
    """Give the filtered stage probabilities at each customer's last observed period.

    Returns
    -------
    xr.DataArray with dims (chain, draw, customer_id, stage)
        A customer who was never observed has the initial law.
    """
    reader = open_reader(fit, panel)
    labels = {
        "customer_id": reader.panel["customer_id"].values,
        "stage": list(fit.model.space.names),
    }
    return collect(
        lambda parameters: _law_now(reader, parameters),
        thin(fit, draws),
        ("customer_id", "stage"),
        labels,
        average=False,
    )


def _law_now(reader: Reader, parameters: Parameters) -> Floats:
    """Give the filtered law of each customer's last period; the initial law if never seen."""
    if not reader.n_effects:
        return law_under(reader, parameters, None)
    law = np.tile(parameters["initial_probs"], (reader.score.shape[0], 1))
    law[reader.seen] = _at_last(reader, probs_of_seen(reader, parameters, "filtered"))
    return law


def _at_last(reader: Reader, probs: Floats) -> Floats:
    return probs[np.arange(len(probs)), reader.window.last[reader.seen]]


def _labels(panel: xr.Dataset, fit: Fit) -> dict[str, object]:
    return {
        "customer_id": panel["customer_id"].values,
        "period": panel["period"].values,
        "stage": list(fit.model.space.names),
    }
