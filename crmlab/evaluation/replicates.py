"""Does the model make data like those that it was fitted to? Panels replicated from its draws.

Each posterior draw simulates the same customers anew: in the same windows, with the same cells
missing, under the same covariates, and with effects of their own drawn from the population. What a
marketer would notice in the data (silence, bursts, streaks) is then computed in both.
"""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.errors import DataError
from crmlab.inference import Fit
from crmlab.inference.fitting import make_rng
from crmlab.models.base import StageModel
from crmlab.models.emissions import encode
from crmlab.models.prior import prior_draws
from crmlab.models.simulation import always_answering, simulate_panel
from crmlab.prediction.customers import Parameters, read_customers
from crmlab.prediction.draws import (
    check_memory,
    collect_all,
    count_draws,
    each_draw,
    thin_draws,
)
from crmlab.prediction.paths import draw_paths

DIMS = ("customer_id", "period")
PATHS = "stage_paths"


def predictive_checks(fit: Fit, *, draws: int = 200, seed: int) -> xr.DataTree:
    """Replicate the fit's panel from its posterior, channel by channel.

    Parameters
    ----------
    fit : Fit
    draws : int
        Posterior draws to use in all; each gives one panel.
    seed : int

    Returns
    -------
    xr.DataTree
        ``posterior_predictive`` (chain, draw, customer_id, period) and ``observed_data``
        (customer_id, period), a variable per channel in the channel's unit, NaN where the data are
        missing; whole numbers are integers where nothing is missing. Reports of a stage are
        positions in the space. ``stage_paths`` holds a drawn stage path behind each replicate
        (``replicated``) and one behind the data (``observed``), -1 outside the windows. Read the
        tree with `check_statistics`, or hand `seen_cells` of it to ArviZ's ``plot_ppc_*``.

    Raises
    ------
    SpecError
        The panels would not fit the memory budget.

    References
    ----------
    Gelman, Meng and Stern (1996), *Statistica Sinica* 6, 733-807 (from memory).
    """
    customers, rng = read_customers(fit), make_rng("predictive_checks", seed)
    answering, panel = always_answering(fit.model), fit.panel.transpose(*DIMS, ...)
    chosen = thin_draws(fit, draws)
    n_channels = len(fit.model.channels)
    shape = (*(panel.sizes[dim] for dim in DIMS), n_channels + 2)
    check_memory("predictive_checks", count_draws(chosen), shape)

    def once(parameters: Parameters) -> dict[str, tuple]:
        made = simulate_panel(answering, panel, parameters, rng=rng)
        stages = draw_paths(customers, parameters, rng)
        again = draw_paths(read_customers(fit, made), parameters, rng)
        cells = {channel.name: made[channel.name].values for channel in fit.model.channels}
        found = {**_numbered(cells), "observed": stages, "replicated": again}
        return {name: (DIMS, values) for name, values in found.items()}

    labels = {dim: panel[dim].values for dim in DIMS}
    found = collect_all(once, chosen, labels)
    replicated = found.drop_vars(["observed", "replicated"])
    names = [channel.name for channel in fit.model.channels]
    replicated = replicated.rename(dict(zip(replicated.data_vars, names, strict=True)))
    paths = found[["observed", "replicated"]].assign_attrs(stages=list(fit.model.space.names))
    return _tree("posterior_predictive", replicated, fit.model, panel, {PATHS: paths})


def prior_checks(
    model: StageModel, panel: xr.Dataset, *, draws: int = 200, seed: int
) -> xr.DataTree:
    """Draw panels from the prior of a model: what it expects before it sees any data.

    Parameters
    ----------
    model : StageModel
    panel : xr.Dataset
        Windows, covariates and missing cells are taken from it; values of channels are only kept
        for comparison.
    draws : int
    seed : int

    Returns
    -------
    xr.DataTree
        ``prior`` (the parameters), ``prior_predictive`` (chain, draw, customer_id, period) and
        ``observed_data``. Read it with `check_statistics`: a prior under which nine customers in
        ten are silent for years, or buy a thousand times a month, is not what you meant.
    """
    model.check(panel)
    panel = panel.transpose(*DIMS, ...)
    size = (*(panel.sizes[dim] for dim in DIMS), len(model.channels))
    check_memory("prior_checks", draws, size)
    rng, answering = make_rng("prior_checks", seed), always_answering(model)
    prior = prior_draws(model, panel, draws, int(rng.integers(2**31)))
    panels = [
        simulate_panel(answering, panel, parameters, rng=rng) for parameters in each_draw(prior)
    ]
    cells = {
        channel.name: (
            ("chain", "draw", *DIMS),
            np.stack([made[channel.name].values for made in panels])[None],
        )
        for channel in model.channels
    }
    labels = {"chain": [0], "draw": np.arange(draws), **{dim: panel[dim].values for dim in DIMS}}
    replicated = xr.Dataset(cells, coords=labels)
    return _tree("prior_predictive", replicated, model, panel, {"prior": prior})


def seen_cells(tree: xr.DataTree) -> xr.DataTree:
    """Return a tree of replicated panels with the seen cells of each channel in one row.

    Panels have missing cells and cells outside a customer's window; ArviZ's plots expect neither.

    Parameters
    ----------
    tree : xr.DataTree
        Of `predictive_checks` or `prior_checks`.

    Returns
    -------
    xr.DataTree
        The same with dims (chain, draw, ``<channel>_cell``) and (``<channel>_cell``,): what
        ``plot_ppc_dist``, ``plot_ppc_rootogram``, ``plot_ppc_tstat``, ``plot_ppc_pit`` read. The
        owner of each cell is in ``<channel>_customer_id`` and ``<channel>_period``.
    """
    group = replicated_group(tree)
    observed, replicated = tree["observed_data"].to_dataset(), tree[group].to_dataset()
    flat: dict[str, dict] = {"observed_data": {}, group: {}}
    for name, cells in observed.data_vars.items():
        rows, columns = np.nonzero(cells.notnull().values)
        whose = {
            f"{name}_{dim}": (f"{name}_cell", cells[dim].values[at])
            for dim, at in zip(DIMS, (rows, columns), strict=True)
        }
        dims = ("chain", "draw", f"{name}_cell")
        made = _whole(replicated[name].values[:, :, rows, columns])
        flat["observed_data"][name] = xr.DataArray(
            _whole(cells.values[rows, columns]), dims=dims[2:], coords=whose
        )
        flat[group][name] = xr.DataArray(made, dims=dims, coords=whose)
    kept = {key: replicated[key].values for key in ("chain", "draw")}
    groups = {
        "observed_data": xr.Dataset(flat["observed_data"]),
        group: xr.Dataset(flat[group]).assign_coords(kept),
    }
    return xr.DataTree.from_dict(groups)


def replicated_group(tree: xr.DataTree) -> str:
    """Name the group of the replicated panels; raise `DataError` if there is none."""
    for group in ("posterior_predictive", "prior_predictive"):
        if group in tree.children and "observed_data" in tree.children:
            return group
    raise DataError(
        "This tree holds no replicated panels (posterior_predictive or prior_predictive, and "
        f"observed_data) but {sorted(tree.children)}: make it with predictive_checks."
    )


def _numbered(cells: dict[str, NDArray]) -> dict[str, NDArray]:
    """Name the channels by number, so that no name collides."""
    return {f"channel_{i}": values for i, values in enumerate(cells.values())}


def _tree(
    group: str,
    replicated: xr.Dataset,
    model: StageModel,
    panel: xr.Dataset,
    more: dict[str, xr.Dataset],
) -> xr.DataTree:
    labels = {dim: panel[dim].values for dim in DIMS}
    observed = {}
    for channel in model.channels:
        values, codes = encode(panel, channel, model.space)
        observed[channel.name] = (DIMS, _whole(np.append(values, np.nan)[codes]))
        made = replicated[channel.name]
        made = made.copy(data=_whole(made.values)).assign_attrs(table=channel.table)
        replicated = replicated.assign({channel.name: made})
    return xr.DataTree.from_dict(
        {group: replicated, "observed_data": xr.Dataset(observed, coords=labels), **more}
    )


def _whole(values: NDArray) -> NDArray:
    """Return whole numbers as integers if none is missing, which is how ArviZ recognises counts."""
    if np.isfinite(values).all() and (values == np.round(values)).all():
        return values.astype(np.int64)
    return values
