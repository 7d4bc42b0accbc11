"""Where customers were, where they are, where they go: stage probabilities from a fit."""

import numpy as np
import xarray as xr

from crmlab import chains
from crmlab.arrays import check_count
from crmlab.errors import check_one_of
from crmlab.inference import Fit
from crmlab.inference.fitting import make_rng
from crmlab.models.observation import observe
from crmlab.prediction.ahead import design_ahead, forecast_name, step_ahead, walk
from crmlab.prediction.customers import Parameters, read_customers
from crmlab.prediction.draws import (
    check_memory,
    collect,
    collect_all,
    count_draws,
    each_draw,
    stack_draws,
    thin_draws,
)
from crmlab.prediction.population import (
    Summary,
    mean_normals,
    probs_by_period,
    probs_now,
    sample_normals,
    summarise,
)


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
    customers, chosen = read_customers(fit, panel), thin_draws(fit, draws)
    shape = customers.score.shape
    check_memory("stage_probs", 1 if average else count_draws(chosen), shape)
    labels = _labels(customers.panel, fit, "period")
    return collect(
        lambda parameters: probs_by_period(customers, parameters, kind),
        chosen,
        ("customer_id", "period", "stage"),
        labels,
        average,
    )


def most_likely_path(fit: Fit, *, panel: xr.Dataset | None = None) -> xr.DataArray:
    """Most likely stage path of each customer, at the posterior mean of the parameters.

    Where customers have effects of their own, each gets their mean given what was seen.

    Returns
    -------
    xr.DataArray of stage names with dims (customer_id, period); "" outside a customer's window

    References
    ----------
    Viterbi (1967); Rabiner (1989), equations 32-35.
    """
    customers = read_customers(fit, panel)
    mean = fit.posterior.mean(("chain", "draw"))
    parameters = {str(name): values.values for name, values in mean.data_vars.items()}
    paths, seen = np.full(customers.score.shape[:2], -1), customers.seen
    normals = mean_normals(customers, parameters)
    own = None if normals is None else normals[seen]
    paths[seen] = chains.viterbi(*customers.evidence(parameters, own))
    names = np.array([*fit.model.space.names, ""])
    labels = {dim: customers.panel[dim].values for dim in ("customer_id", "period")}
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
    """Stages and observations of future periods, after each customer's last one.

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
        Covariates of future periods, for models that read any that change: dims
        (customer_id, horizon) or (horizon,), where horizon 1 is the period after a customer's last
        one and `n_periods` the last that is needed. Those that do not change come from the panel.

    Returns
    -------
    xr.Dataset with dims (chain, draw, customer_id, horizon[, stage]), or without chain and draw
        ``stage_probs`` is exact given the parameters: the filtered probabilities of the last period
        times ``P**horizon``, or times the matrices under the covariates to come. Where customers
        have effects of their own, each draw takes a value given what was seen. One variable per
        channel holds simulated observations (their mean, if averaged); a channel whose answers may
        be missing is NaN where nobody answers. Reports of a stage are indices; a channel called
        "stage" gives "stage_reported", since a dim has that name.

    Raises
    ------
    SpecError
        `n_periods` is not a positive integer, covariates to come are missing, or the result would
        not fit the memory budget.
    """
    check_count("forecast", "n_periods", n_periods)
    customers, chosen = read_customers(fit, panel), thin_draws(fit, draws)
    n_numbers = len(fit.model.space) + len(fit.model.channels)
    shape = (customers.score.shape[0], n_periods, n_numbers)
    check_memory("forecast", 1 if average else count_draws(chosen), shape)
    rng, dims = make_rng("forecast", seed), ("customer_id", "horizon")
    labels = _labels(customers.panel, fit) | {"horizon": np.arange(1, n_periods + 1)}
    design = design_ahead(customers, n_periods, future)

    def look_ahead(parameters: Parameters) -> dict[str, tuple]:
        normals = sample_normals(customers, parameters, rng)
        now = probs_now(customers, parameters, normals)
        matrix = customers.matrices(parameters, design, normals)
        paths = walk(now, matrix, n_periods, rng)
        observed = {
            forecast_name(channel, labels): (dims, observe(channel, parameters, paths, rng))
            for channel in fit.model.channels
        }
        return {"stage_probs": ((*dims, "stage"), step_ahead(now, matrix, n_periods)), **observed}

    return collect_all(look_ahead, chosen, labels, average)


def current_stage_probs(
    fit: Fit, *, panel: xr.Dataset | None = None, draws: int = 200, average: bool = False
) -> xr.DataArray:
    """Return the filtered stage probabilities at each customer's last observed period.

    Parameters
    ----------
    fit : Fit
    panel : xr.Dataset, optional
        Score these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all, evenly thinned from the chains.
    average : bool
        Average over the draws on the way, which needs little memory.

    Returns
    -------
    xr.DataArray with dims (chain, draw, customer_id, stage), or without chain and draw
        A customer who was never observed has the initial probabilities.
    """
    customers = read_customers(fit, panel)
    return collect(
        lambda parameters: probs_now(customers, parameters, None),
        thin_draws(fit, draws),
        ("customer_id", "stage"),
        _labels(customers.panel, fit),
        average,
    )


def score_histories(
    fit: Fit, *, panel: xr.Dataset | None = None, ago: int = 0, draws: int = 200
) -> xr.Dataset:
    """Read all histories once: stages now and earlier, customers per stage, and likelihood.

    Customers with the same history are computed once, so blocks of a few thousand customers make
    it fast.

    Parameters
    ----------
    fit : Fit
    panel : xr.Dataset, optional
        Read these customers instead of those of the fit.
    ago : int
        Number of periods before the last observed one for the earlier stage; for a customer with a
        shorter history, the first period is used.
    draws : int
        Posterior draws to use in all, evenly thinned from the chains: those of `thin_draws`.

    Returns
    -------
    xr.Dataset
        ``now`` and ``earlier`` (chain, draw, customer_id, stage): filtered probabilities, of a
        customer who was never observed the initial ones. ``occupancy`` (chain, draw, period,
        stage): customers expected in each stage, by what was seen up to the period. ``loglik``
        (chain, draw, customer_id): log-likelihood of the whole history [nats].

    Raises
    ------
    SpecError
        `ago` is negative, or the result would not fit the memory budget of 1 GiB.
    DataError
        The panel does not match the model.
    """
    check_count("score_histories", "ago", ago, at_least=0)
    customers, chosen = read_customers(fit, panel), thin_draws(fit, draws)
    n_customers, _, n_stages = customers.score.shape
    check_memory("score_histories", count_draws(chosen), (n_customers, 2 * n_stages + 1))

    dims = ("customer_id", "stage"), ("customer_id", "stage"), ("period", "stage"), ("customer_id",)
    answers = (
        dict(zip(Summary._fields, zip(dims, found, strict=True), strict=True))
        for found in summarise(customers, each_draw(chosen), ago)
    )
    return stack_draws(answers, chosen, _labels(customers.panel, fit, "period"))


def _labels(panel: xr.Dataset, fit: Fit, *dims: str) -> dict[str, object]:
    labels = {dim: panel[dim].values for dim in ("customer_id", *dims)}
    return {**labels, "stage": list(fit.model.space.names)}
