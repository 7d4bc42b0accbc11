"""From a fit to stages: where customers stood, where they stand, where they go.

Every function walks the posterior draw by draw: each draw is one complete set of parameters, for
which the recursions of `crmlab.chains` are exact. Averaging afterwards keeps the uncertainty about
the parameters; averaging the parameters first would lose it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab import chains
from crmlab.channels import Channel
from crmlab.errors import SpecError, check_one_of
from crmlab.inference import Fit, make_rng, warn_if_unconverged
from crmlab.models.emissions import Scorer, Window, find_window

MEMORY_BUDGET = 2**30

Parameters = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class _Reader:
    """A fit and a panel, ready to be read draw by draw."""

    fit: Fit
    panel: xr.Dataset
    window: Window
    score: Scorer

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Customers with at least one observed period."""
        return self.window.last >= 0

    def evidence(self, parameters: Parameters) -> tuple:
        """Arguments of the recursions for the customers that were seen at all."""
        return (
            parameters["initial_probs"],
            parameters["transition_matrix"],
            self.score(parameters)[self.seen],
            self.window.first[self.seen],
            self.window.last[self.seen],
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
    reader = _open(fit, panel)
    chosen = _thin(fit, draws)
    shape = reader.score.shape
    _check_memory("stage_probs", 1 if average else chosen.sizes["sample"], shape)

    def probs(parameters: Parameters) -> NDArray[np.float64]:
        result = np.full(shape, np.nan)
        result[reader.seen] = _recursion(kind)(*reader.evidence(parameters))
        return result

    labels = _labels(reader.panel, fit)
    return _collect(probs, chosen, ("customer_id", "period", "stage"), labels, average)


def most_likely_path(fit: Fit, *, panel: xr.Dataset | None = None) -> xr.DataArray:
    """Most likely stage path of each customer, at the posterior mean of the parameters.

    Returns
    -------
    xr.DataArray of stage names with dims (customer_id, period); "" outside a customer's window

    References
    ----------
    Viterbi (1967); Rabiner (1989), equations 32-35.
    """
    reader = _open(fit, panel)
    mean = fit.posterior.mean(("chain", "draw"))
    parameters = {name: values.values for name, values in mean.data_vars.items()}
    paths = np.full(reader.score.shape[:2], -1)
    paths[reader.seen] = chains.viterbi(*reader.evidence(parameters))
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

    Returns
    -------
    xr.Dataset with dims (chain, draw, customer_id, horizon[, stage]), or without chain and draw
        ``stage_probs`` is exact given the parameters: the filtered law of the last period times
        ``P**horizon``. One variable per channel holds simulated observations (their mean, if
        averaged); a channel whose answers may be missing is NaN where nobody answers. Reports of
        a stage are indices; a channel called "stage" gives "stage_reported", since a dim has the
        name.

    Raises
    ------
    SpecError
        `n_periods` is not a positive integer, or the result would not fit the memory budget.
    """
    if not isinstance(n_periods, (int, np.integer)) or n_periods < 1:
        raise SpecError(
            "The `n_periods` parameter of `forecast` must be a positive integer, "
            f"got {n_periods!r}."
        )
    reader = _open(fit, panel)
    chosen = _thin(fit, draws)
    space, n_customers = fit.model.space, reader.score.shape[0]
    shape = (n_customers, n_periods, len(space) + len(fit.model.channels))
    _check_memory("forecast", 1 if average else chosen.sizes["sample"], shape)
    rng = make_rng("forecast", seed)
    labels = {
        "customer_id": reader.panel["customer_id"].values,
        "horizon": np.arange(1, n_periods + 1),
        "stage": list(space.names),
    }

    def future(parameters: Parameters) -> dict[str, NDArray[np.float64]]:
        now = _law_now(reader, parameters)
        matrix = parameters["transition_matrix"]
        paths = _walk(now, matrix, n_periods, rng)
        observed = {
            _forecast_name(channel, labels): _observe(channel, parameters, paths, rng)
            for channel in fit.model.channels
        }
        return {"stage_probs": _step_ahead(now, matrix, n_periods), **observed}

    return _collect_all(future, chosen, labels, average)


def law_now(fit: Fit, *, panel: xr.Dataset | None = None, draws: int = 200) -> xr.DataArray:
    """Give the filtered stage probabilities at each customer's last observed period.

    Returns
    -------
    xr.DataArray with dims (chain, draw, customer_id, stage)
        A customer who was never observed has the initial law.
    """
    reader = _open(fit, panel)
    labels = {
        "customer_id": reader.panel["customer_id"].values,
        "stage": list(fit.model.space.names),
    }
    return _collect(
        lambda parameters: _law_now(reader, parameters),
        _thin(fit, draws),
        ("customer_id", "stage"),
        labels,
        average=False,
    )


def _open(fit: Fit, panel: xr.Dataset | None) -> _Reader:
    warn_if_unconverged(fit)
    if panel is not None:
        fit.model.check(panel)
    panel = fit.panel if panel is None else panel
    scorer = Scorer(panel, fit.model.channels, fit.model.space)
    return _Reader(fit, panel, find_window(panel), scorer)


def _recursion(kind: str) -> Callable[..., NDArray[np.float64]]:
    return {
        "filtered": lambda *evidence: chains.forward(*evidence).filtered,
        "predicted": lambda *evidence: chains.forward(*evidence).predicted,
        "smoothed": chains.smooth,
    }[kind]


def _law_now(reader: _Reader, parameters: Parameters) -> NDArray[np.float64]:
    law = np.tile(parameters["initial_probs"], (reader.score.shape[0], 1))
    filtered = chains.forward(*reader.evidence(parameters)).filtered
    last = reader.window.last[reader.seen]
    law[reader.seen] = filtered[np.arange(len(filtered)), last]
    return law


def _step_ahead(
    now: NDArray[np.float64], matrix: NDArray[np.float64], n_periods: int
) -> NDArray[np.float64]:
    steps = [now]
    for _ in range(n_periods):
        steps.append(steps[-1] @ matrix)
    return np.stack(steps[1:], axis=1)


def _walk(
    now: NDArray[np.float64], matrix: NDArray[np.float64], n_periods: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Simulate one stage path per customer (customer, horizon)."""
    u = rng.random((n_periods + 1, len(now)))
    rows = _cumulate(matrix)
    stage = (u[0][:, None] >= _cumulate(now)).sum(axis=1)
    path = []
    for step in u[1:]:
        stage = (step[:, None] >= rows[stage]).sum(axis=1)
        path.append(stage)
    return np.stack(path, axis=1)


def _cumulate(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper edges of the cells of each row; the last is exactly 1, which no uniform reaches."""
    edges = np.cumsum(probs, axis=-1)
    return edges / edges[..., -1:]


def _forecast_name(channel: Channel, labels: Mapping[str, object]) -> str:
    return f"{channel.name}_reported" if channel.name in labels else channel.name


def _observe(
    channel: Channel, parameters: Parameters, paths: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    names = channel.parameter_names
    given = {name: parameters[f"{channel.name}_{name}"][paths] for name in names}
    size = paths.shape if channel.n_uniforms == 1 else (channel.n_uniforms, *paths.shape)
    # Centred in cells of 2**-52: a channel is never asked for the quantile of 0 or 1.
    u = (rng.integers(2**52, size=size) + 0.5) * 2.0**-52
    return channel.sample(u, **given)


def _thin(fit: Fit, draws: int) -> xr.Dataset:
    """Pick about `draws` posterior draws in all, evenly from every chain."""
    if not isinstance(draws, (int, np.integer)) or draws < 1:
        raise SpecError(f"The `draws` parameter must be a positive integer, got {draws!r}.")
    posterior = fit.posterior
    per_chain = min(posterior.sizes["draw"], -(-draws // posterior.sizes["chain"]))
    keep = np.linspace(0, posterior.sizes["draw"] - 1, per_chain).round().astype(int)
    return posterior.isel(draw=keep).stack(sample=("chain", "draw"), create_index=False)


def _parameters(chosen: xr.Dataset) -> Iterator[Parameters]:
    arrays = {
        name: values.transpose("sample", ...).values for name, values in chosen.data_vars.items()
    }
    for i in range(chosen.sizes["sample"]):
        yield {name: values[i] for name, values in arrays.items()}


def _collect(
    compute: Callable[[Parameters], NDArray[np.float64]],
    chosen: xr.Dataset,
    dims: tuple[str, ...],
    labels: Mapping[str, object],
    average: bool,
) -> xr.DataArray:
    result = _collect_all(lambda p: {"result": compute(p)}, chosen, labels, average)
    return result["result"].rename(None).transpose(..., *dims)


def _collect_all(
    compute: Callable[[Parameters], dict[str, NDArray[np.float64]]],
    chosen: xr.Dataset,
    labels: Mapping[str, object],
    average: bool,
) -> xr.Dataset:
    """Stack what each draw gives, or average it on the way; put names on the axes."""
    results = (compute(parameters) for parameters in _parameters(chosen))
    if average:
        values, lead = _mean(results), ()
    else:
        values, lead = _stack(results, chosen), ("chain", "draw")
        labels = {**{dim: np.unique(chosen[dim].values) for dim in lead}, **labels}
    axes = tuple(dim for dim in labels if dim not in lead)
    variables = {
        name: ((*lead, *axes[: array.ndim - len(lead)]), array) for name, array in values.items()
    }
    return xr.Dataset(variables, coords=labels)


def _mean(results: Iterator[dict[str, NDArray]]) -> dict[str, NDArray]:
    """Keep a running mean, ignoring what is missing."""
    totals, counts = {}, {}
    for result in results:
        for name, array in result.items():
            totals[name] = totals.get(name, 0.0) + np.nan_to_num(array)
            counts[name] = counts.get(name, 0) + ~np.isnan(array)
    return {
        name: np.where(counts[name] > 0, total / np.maximum(counts[name], 1), np.nan)
        for name, total in totals.items()
    }


def _stack(results: Iterator[dict[str, NDArray]], chosen: xr.Dataset) -> dict[str, NDArray]:
    n_chains = len(np.unique(chosen["chain"].values))
    rows = list(results)
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return {name: array.reshape(n_chains, -1, *array.shape[1:]) for name, array in stacked.items()}


def _labels(panel: xr.Dataset, fit: Fit) -> dict[str, object]:
    return {
        "customer_id": panel["customer_id"].values,
        "period": panel["period"].values,
        "stage": list(fit.model.space.names),
    }


def _check_memory(owner: str, n_draws: int, shape: tuple[int, ...]) -> None:
    size = 8 * n_draws * int(np.prod(shape))
    if size > MEMORY_BUDGET:
        raise SpecError(
            f"{owner} would need {size / 2**30:.1f} GiB for {n_draws} draws, over the budget "
            f"of {MEMORY_BUDGET / 2**30:.0f} GiB: use `average=True`, fewer `draws`, or a "
            "`panel` with fewer customers."
        )
