"""The groups of a fit beside its draws, in the forms that ArviZ reads.

What was seen of a channel is one row of cells, without those that nobody saw: ArviZ's plots expect
neither missing values nor rows of customers.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from crmlab.arrays import Floats, spread_evenly
from crmlab.errors import check_one_of
from crmlab.inference.likelihood import CustomerLogliks
from crmlab.models.base import StageModel
from crmlab.models.emissions import find_window, read_cells
from crmlab.models.prior import log_priors, prior_draws
from crmlab.models.simulation import always_answering, simulate_panel

DERIVED = ("observed_data", "constant_data", "log_likelihood")  # never saved: the panel has it all
GROUPS = ("posterior_predictive", "prior", "prior_predictive", "log_prior")
SAMPLE = ("chain", "draw")
DIMS = ("customer_id", "period")


def add_derived(model: StageModel, panel: xr.Dataset, idata: xr.DataTree) -> xr.DataTree:
    """Add what was seen, covariates and windows, and the log-likelihood of each customer.

    The log-likelihood is computed when it is first read.
    """
    posterior = idata["posterior"].to_dataset()
    groups = {
        "observed_data": observed_data(model, panel),
        "constant_data": _constant_data(model, panel),
        "log_likelihood": _log_likelihood(model, panel, posterior),
    }
    return _with_groups(idata, groups)


def tidy_stats(stats: xr.Dataset) -> xr.Dataset:
    """Return a sampler's statistics as a file can hold them, and without the time of day."""
    words = {n: v.fillna("").astype(str) for n, v in stats.items() if v.dtype == object}
    return stats.assign(words).drop_attrs()


def extend(
    model: StageModel,
    panel: xr.Dataset,
    idata: xr.DataTree,
    group: str,
    draws: int,
    rng: np.random.Generator,
) -> xr.DataTree:
    """Add one of `GROUPS`; a predictive prior brings the draws that it comes from."""
    check_one_of("Fit.extended", "group", group, GROUPS)
    posterior = idata["posterior"].to_dataset()
    if group == "log_prior":
        return _with_groups(idata, {group: log_priors(model, posterior)})
    if group == "posterior_predictive":
        per_chain = -(-draws // posterior.sizes["chain"])
        chosen = posterior.isel(draw=spread_evenly(posterior.sizes["draw"], per_chain))
        return _with_groups(idata, {group: _replicate(model, panel, chosen, rng)})
    prior = prior_draws(model, panel, draws, int(rng.integers(2**31)))
    added = {"prior": prior}
    if group == "prior_predictive":
        added[group] = _replicate(model, panel, prior, rng)
    return _with_groups(idata, added)


def without_derived(idata: xr.DataTree) -> xr.DataTree:
    """Return the draws, and what was added to them by hand: what a file holds."""
    kept = {name: tree.to_dataset() for name, tree in idata.children.items() if name not in DERIVED}
    return _tree(kept, idata.attrs)


def observed_data(model: StageModel, panel: xr.Dataset) -> xr.Dataset:
    """Values of each channel where it was seen (``<channel>_cell``); stages are positions.

    The coordinates ``<channel>_customer_id`` and ``<channel>_period`` say whose cell it is.
    """
    panel = panel.transpose(*DIMS, ...)
    found = {}
    for channel in model.channels:
        cells = read_cells(panel, channel, model.space)
        rows, columns = np.nonzero(~np.isnan(cells))
        found[channel.name] = xr.DataArray(
            _whole(cells[rows, columns]),
            dims=f"{channel.name}_cell",
            coords={
                f"{channel.name}_{dim}": (f"{channel.name}_cell", panel[dim].values[at])
                for dim, at in zip(DIMS, (rows, columns), strict=True)
            },
        )
    return xr.Dataset(found)


def _whole(values: NDArray) -> NDArray:
    """Return whole numbers as integers, which is how ArviZ recognises counts."""
    return values.astype(np.int64) if (values == np.round(values)).all() else values


def _constant_data(model: StageModel, panel: xr.Dataset) -> xr.Dataset:
    """Covariates, and the first and last period of each customer (-1 if never observed)."""
    window = find_window(panel)
    ends = np.stack([np.where(window.last < 0, -1, window.first), window.last], axis=-1)
    kept = panel[list(model.transitions.design.variables)].drop_attrs()
    labels = {"customer_id": panel["customer_id"].values, "end": ["first", "last"]}
    return kept.assign(window=(("customer_id", "end"), ends)).assign_coords(labels)


class _Logliks(BackendArray):
    """The log-likelihood of each draw and customer, computed for the draws that are read."""

    dtype = np.dtype("float64")

    def __init__(self, model: StageModel, panel: xr.Dataset, posterior: xr.Dataset) -> None:
        self.model, self.panel, self.posterior = model, panel, posterior
        n_seen = int((find_window(panel).last >= 0).sum())
        self.shape = (posterior.sizes["chain"], posterior.sizes["draw"], n_seen)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._compute)

    def _compute(self, key: tuple) -> Floats:
        loglik = CustomerLogliks(self.model, self.panel)
        places = np.indices(self.shape[:2])[(slice(None), *key[:2])]
        found = np.empty((*places.shape[1:], self.shape[2]))
        for at in np.ndindex(places.shape[1:]):
            found[at] = loglik(_parameters(self.posterior, tuple(places[(slice(None), *at)])))
        return found[..., key[2]]


def _log_likelihood(model: StageModel, panel: xr.Dataset, posterior: xr.Dataset) -> xr.Dataset:
    lazy: Any = indexing.LazilyIndexedArray(_Logliks(model, panel, posterior))
    cached = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy))
    seen = find_window(panel).last >= 0
    labels = {dim: posterior[dim].values for dim in SAMPLE}
    return xr.Dataset(
        {"customer": xr.Variable((*SAMPLE, "customer_id"), cached)},
        {**labels, "customer_id": panel["customer_id"].values[seen]},
    )


def _parameters(draws: xr.Dataset, place: tuple[int, ...]) -> dict[str, Floats]:
    """One draw of all variables."""
    return {str(n): v.transpose(*SAMPLE, ...).values[place] for n, v in draws.data_vars.items()}


def _replicate(
    model: StageModel, panel: xr.Dataset, draws: xr.Dataset, rng: np.random.Generator
) -> xr.Dataset:
    """Simulate the same customers anew under each draw, and take the cells that were seen."""
    panel = panel.transpose(*DIMS, ...)
    answering = always_answering(model)
    size = tuple(draws.sizes[dim] for dim in SAMPLE)
    seen = observed_data(model, panel)
    where = {
        channel.name: np.nonzero(~np.isnan(read_cells(panel, channel, model.space)))
        for channel in model.channels
    }
    made = {name: np.empty((*size, len(at[0]))) for name, at in where.items()}
    for place in np.ndindex(size):
        again = simulate_panel(answering, panel, _parameters(draws, place), rng=rng)
        for name, at in where.items():
            made[name][place] = again[name].values[at]
    cells = {n: ((*SAMPLE, *seen[n].dims), _whole(v)) for n, v in made.items()}
    return xr.Dataset(cells, {**{dim: draws[dim] for dim in SAMPLE}, **seen.coords})


def _with_groups(idata: xr.DataTree, groups: dict[str, xr.Dataset]) -> xr.DataTree:
    kept = {name: tree.to_dataset() for name, tree in idata.children.items()}
    return _tree({**kept, **groups}, idata.attrs)


def _tree(groups: dict[str, xr.Dataset], attrs: dict) -> xr.DataTree:
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(attrs)
    return tree
