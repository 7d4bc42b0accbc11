"""Posterior draws, one after the other: thinned, handed to a function, stacked or averaged."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import Floats
from crmlab.errors import SpecError
from crmlab.inference import Fit
from crmlab.prediction.reader import Parameters

MEMORY_BUDGET = 2**30  # bytes


def check_memory(owner: str, n_draws: int, shape: tuple[int, ...]) -> None:
    """Refuse results of one number per draw and cell that would not fit the budget."""
    size = 8 * n_draws * int(np.prod(shape))
    if size > MEMORY_BUDGET:
        raise SpecError(
            f"{owner} would need {size / 2**30:.1f} GiB for {n_draws} draws, over the budget "
            f"of {MEMORY_BUDGET / 2**30:.0f} GiB: use `average=True` where there is one, fewer "
            "`draws`, or a panel with fewer customers."
        )


def thin(fit: Fit, draws: int) -> xr.Dataset:
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


def collect(
    compute: Callable[[Parameters], Floats],
    chosen: xr.Dataset,
    dims: tuple[str, ...],
    labels: Mapping[str, object],
    average: bool,
) -> xr.DataArray:
    """Compute one array per draw; stack them, or average on the way."""
    result = collect_all(lambda p: {"result": compute(p)}, chosen, labels, average)
    return result["result"].rename(None).transpose(..., *dims)


def collect_all(
    compute: Callable[[Parameters], dict[str, Floats]],
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


def upper_edges(probs: Floats) -> Floats:
    """Upper edges of the cells of each row; the last is exactly 1, which no uniform reaches."""
    edges = np.cumsum(probs, axis=-1)
    return edges / edges[..., -1:]
