"""Posterior draws, one after the other: thinned, handed to a function, stacked or averaged."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import check_count, spread_evenly
from crmlab.errors import SpecError
from crmlab.inference import Fit
from crmlab.prediction.customers import Parameters

MEMORY_BUDGET = 2**30  # bytes

type Answer = dict[str, tuple[tuple[str, ...], NDArray]]


def thin_draws(fit: Fit, draws: int = 200) -> xr.Dataset:
    """Return about `draws` posterior draws in total, evenly spread over every chain.

    All functions with a parameter `draws` use these, so their answers can be compared.

    Parameters
    ----------
    fit : Fit
    draws : int

    Returns
    -------
    xr.Dataset with dims (chain, draw, ...)

    Raises
    ------
    SpecError
        `draws` is not a positive integer.
    """
    check_count("thin_draws", "draws", draws)
    posterior = fit.posterior
    per_chain = -(-draws // posterior.sizes["chain"])
    return posterior.isel(draw=spread_evenly(posterior.sizes["draw"], per_chain))


def count_draws(chosen: xr.Dataset) -> int:
    """Count the draws of all chains together."""
    return chosen.sizes["chain"] * chosen.sizes["draw"]


def check_memory(owner: str, n_draws: int, shape: tuple[int, ...]) -> None:
    """Refuse results of one number per draw and cell that would not fit the budget."""
    size = 8 * n_draws * int(np.prod(shape))
    if size > MEMORY_BUDGET:
        raise SpecError(
            f"{owner} would need {size / 2**30:.1f} GiB for {n_draws} draws, over the budget "
            f"of {MEMORY_BUDGET / 2**30:.0f} GiB: use `average=True` where there is one, fewer "
            "`draws`, or a panel with fewer customers."
        )


def each_draw(chosen: xr.Dataset) -> Iterator[Parameters]:
    """Yield the parameters of one draw after the other, chain by chain."""
    arrays = {str(n): v.transpose("chain", "draw", ...).values for n, v in chosen.data_vars.items()}
    for place in np.ndindex(chosen.sizes["chain"], chosen.sizes["draw"]):
        yield {name: values[place] for name, values in arrays.items()}


def collect(
    compute: Callable[[Parameters], NDArray],
    chosen: xr.Dataset,
    dims: tuple[str, ...],
    labels: Mapping[str, object],
    average: bool = False,
) -> xr.DataArray:
    """Compute one array per draw; stack them, or average as they come."""
    found = collect_all(lambda p: {"found": (dims, compute(p))}, chosen, labels, average)
    return found["found"].rename(None)


def collect_all(
    compute: Callable[[Parameters], Answer],
    chosen: xr.Dataset,
    labels: Mapping[str, object],
    average: bool = False,
) -> xr.Dataset:
    """Stack the named arrays (dims, values) of each draw, or average them as they come."""
    answers = map(compute, each_draw(chosen))
    if average:
        return xr.Dataset(_mean(answers), coords=labels)
    return stack_draws(answers, chosen, labels)


def stack_draws(
    answers: Iterable[Answer], chosen: xr.Dataset, labels: Mapping[str, object]
) -> xr.Dataset:
    """Stack the named arrays (dims, values) of each draw."""
    found, size = {}, (chosen.sizes["chain"], chosen.sizes["draw"])
    for place, answer in zip(np.ndindex(size), answers, strict=True):
        for name, (dims, values) in answer.items():
            if name not in found:
                found[name] = (
                    ("chain", "draw", *dims),
                    np.empty(size + values.shape, values.dtype),
                )
            found[name][1][place] = values
    lead = {dim: chosen[dim].values for dim in ("chain", "draw")}
    return xr.Dataset(found, coords={**lead, **labels})


def _mean(answers: Iterator[Answer]) -> dict[str, tuple]:
    """Keep a running mean, ignoring what is missing."""
    found: dict[str, tuple] = {}
    for answer in answers:
        for name, (dims, array) in answer.items():
            _, total, count = found.get(name, (dims, 0.0, 0))
            found[name] = (dims, total + np.nan_to_num(array), count + ~np.isnan(array))
    return {
        name: (dims, np.where(count > 0, total / np.maximum(count, 1), np.nan))
        for name, (dims, total, count) in found.items()
    }
