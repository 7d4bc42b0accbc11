"""Fit a model to a panel: the one door to every sampler.

The same seed gives the same draws, on the first run on a computer as on the thousandth (see
`crmlab.inference.log_density`). `fit` checks the result before it returns it: a fit that has not
converged warns at once, and again at every use.
"""

import json
import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from crmlab import chains
from crmlab.arrays import Floats, check_count
from crmlab.errors import DataError, DataWarning, SpecError, check_one_of
from crmlab.inference.convergence import find_problems
from crmlab.inference.groups import add_derived, tidy_stats
from crmlab.inference.interruption import run_interruptibly
from crmlab.inference.plan import Plan
from crmlab.inference.progress import Progress
from crmlab.inference.result import Fit, warn_if_unconverged
from crmlab.models.base import StageModel, coords
from crmlab.models.emissions import Scorer, find_window

if TYPE_CHECKING:
    from crmlab.inference.log_density import LogDensity

SUBSAMPLE = 2000  # customers that are enough to find the mode
SEED_SHIFT = "CRMLAB_SEED_SHIFT"  # a variable for tests of the course: `fit` adds it to each seed


def fit(
    model: StageModel,
    panel: xr.Dataset,
    *,
    method: str | None = None,
    draws: int = 500,
    tune: int = 500,
    chains: int = 2,
    target_accept: float = 0.8,
    attempts: int = 3,
    seed: int,
    progress: bool = True,
) -> Fit:
    """Sample the posterior of a model given a panel.

    Parameters
    ----------
    model : StageModel
    panel : xr.Dataset
        Made by `to_panel`.
    method : {"exact", "nuts", "laplace", "map"}, optional
        The model's default if left out. "exact": independent draws from a closed form, for models
        that have one. "nuts": the No-U-Turn sampler, on every hill of the posterior. "laplace":
        independent draws around the mode of the unconstrained parameters, with the width of the
        curvature there and resampled by their weight under the posterior (see
        `crmlab.inference.laplace`): minutes where "nuts" needs hours, and good with many
        customers. "map": only that mode, a fit of one draw without uncertainty. The last two are
        refused where customers have effects of their own.
    draws, tune : int
        Kept draws and warm-up draws per chain; only "nuts" needs a warm-up, and "map" has one draw.
    chains : int
    target_accept : float
        Share of the proposed steps that "nuts" aims to accept, between 0 and 1. Closer to 1, the
        steps are shorter: this takes longer, but helps where draws diverge.
    attempts : int
        Most runs of "nuts" on one hill: as long as its chains do not agree, they run again, longer
        and in shorter steps, with at most four times the gradients of the first run in all.
    seed : int
        The same seed and versions give the same draws, bit for bit.
    progress : bool
        Whether a fit that takes longer than two seconds shows what it is doing, on one line in a
        terminal or notebook (see `crmlab.inference.progress`).

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        The panel cannot be read by the model (everything that is wrong is listed), or is
        impossible under it.
    SpecError
        An option is wrong.
    KeyboardInterrupt
        Ctrl-C ends the fit within a second, at any moment; nothing is returned.

    Warns
    -----
    DataWarning
        The panel says nothing about a part of the model (a constant channel, a stage that is never
        reported, collinear covariates): there the answer is the prior's. One warning for each,
        before the sampler starts.
    SamplingWarning
        The chains disagree, move too slowly, or diverge; or no mode was found, or the posterior is
        far from normal around it: do not read the result yet.

    Notes
    -----
    Data can have several readings: hills of the posterior that no chain connects. "nuts" samples
    each, judges convergence within it, and mixes the draws by the masses of the hills, in random
    order (`Fit.readings`, `crmlab.inference.readings`). A problem is told where the masses are not
    known. Where customers have effects of their own, each chain begins on the highest hill that it
    has found, and only R-hat tells of others.

    "laplace" writes into ``idata.attrs`` the `pareto_khat` of the weights and `n_effective`, the
    number of independent draws that they are worth. "laplace" and "map" write the `log_density` at
    the mode, how much is `left_to_gain` there, the `smallest_eigenvalue` of its curvature, and
    `n_agreeing`, the number of the 4 starts that ended there.
    """
    method = method or model.default_method
    check_one_of("fit", "method", method, _methods(model))
    plan = Plan(draws, tune, chains, target_accept, attempts)
    plan.check()
    rng = make_rng("fit", seed, shift=int(os.environ.get(SEED_SHIFT, "0")))
    model.check(panel)
    for remark in model.remarks(panel):
        warnings.warn(remark, DataWarning, stacklevel=2)
    with Progress("preparing the model", shown=progress) as told:
        idata = run_interruptibly(lambda: _sample(model, panel, method, plan, rng, told), told.stop)
    idata.attrs.update(method=method, seed=int(seed))
    result = Fit(model, panel, add_derived(model, panel, idata))
    warn_if_unconverged(result)
    return result


def _sample(
    model: StageModel,
    panel: xr.Dataset,
    method: str,
    plan: Plan,
    rng: np.random.Generator,
    progress: Progress,
) -> xr.DataTree:
    """Draw (chain, draw) with a method."""
    size = plan.chains, plan.draws
    if method == "exact":
        progress.say("drawing from the closed form")
        return _label_draws(model, model.sample_exact(panel, size, rng))
    if method == "nuts":
        return _sample_nuts(model, panel, plan, rng, progress)
    return _sample_around_mode(model, panel, size if method == "laplace" else None, rng, progress)


def _methods(model: StageModel) -> tuple[str, ...]:
    closed = ("exact",) if model.default_method == "exact" else ()
    return (*closed, "nuts", "laplace", "map")


def make_rng(owner: str, seed: int, *, shift: int = 0) -> np.random.Generator:
    """Make a generator from a seed; raise `SpecError` on behalf of `owner` if that fails."""
    check_count(owner, "seed", seed, at_least=0)
    return np.random.default_rng(seed + shift)


def _as_density(model: StageModel, panel: xr.Dataset, progress: Progress) -> "LogDensity":
    from crmlab.inference.log_density import read_log_density

    density = read_log_density(model, panel, progress)
    check_possible(model, panel, density)
    return density


def _sample_around_mode(
    model: StageModel,
    panel: xr.Dataset,
    size: tuple[int, int] | None,
    rng: np.random.Generator,
    progress: Progress,
) -> xr.DataTree:
    """Find the mode, and draw (chain, draw) around it; return only the mode if `size` is None.

    With customers' own effects neither is valid: given the population, the effects form a funnel,
    and at the joint mode all customers are alike.
    """
    from crmlab.inference.laplace import find_mode, sample_around

    _refuse_own_effects(model, "map" if size is None else "laplace")
    density = _as_density(model, panel, progress)
    progress.say("looking for the mode")
    mode = find_mode(density, density.start, rng, _subsample(model, panel, density))
    about = {
        "log_density": mode.logp,
        "left_to_gain": mode.left_to_gain,
        "smallest_eigenvalue": mode.smallest_eigenvalue,
        "n_agreeing": mode.n_agreeing,
    }
    problems, places = mode.problems, mode.place[None]
    if size is not None:
        progress.say("drawing around the mode")
        cloud = sample_around(density, mode, int(np.prod(size)), rng)
        about |= {"pareto_khat": cloud.khat, "n_effective": cloud.n_effective}
        problems, places = problems + cloud.problems, cloud.places
    places = places.reshape(*(size or (1, 1)), -1)
    idata = _label_draws(model, density.constrain_all(places))
    idata.attrs.update(about, problems=json.dumps(problems))
    return idata


def _refuse_own_effects(model: StageModel, method: str) -> None:
    if model.transitions.n_customer_effects(model.space):
        raise SpecError(
            f"fit: `method` cannot be {method!r} where customers have effects of their own "
            "(`customers`), because the joint mode shrinks all customers' own effects to the same "
            "value. Use method='nuts' on a sample of the customers, or leave `customers` out and "
            "let covariates or `segments` tell them apart."
        )


def _subsample(model: StageModel, panel: xr.Dataset, density: "LogDensity") -> "LogDensity | None":
    """Return the log-density of a subsample of customers, to find a start; None if too few."""
    stride = panel.sizes["customer_id"] // SUBSAMPLE
    if stride < 2:
        return None
    arrays = model.read(panel.isel(customer_id=slice(None, None, stride)))
    return density.with_data(arrays) if arrays else None


def _sample_nuts(
    model: StageModel,
    panel: xr.Dataset,
    plan: Plan,
    rng: np.random.Generator,
    progress: Progress,
) -> xr.DataTree:
    """Draw from every hill of the posterior.

    With customers' own effects a hill has no top that tells of its mass (see
    `_sample_around_mode`): there every chain begins at the highest place that it has found.
    """
    from crmlab.inference.readings import sample_readings

    density = _as_density(model, panel, progress)
    if model.transitions.n_customer_effects(model.space):
        return _sample_from_own_starts(model, density, plan, rng, progress)

    def label(places: Floats) -> xr.Dataset:
        return _label_draws(model, density.constrain_all(places))["posterior"].to_dataset()

    found = sample_readings(density, plan, label, rng, progress)
    groups = {"posterior": label(found.places), "sample_stats": tidy_stats(found.stats)}
    idata = xr.DataTree.from_dict({**groups, "search": found.search})
    idata.attrs["problems"] = json.dumps(found.problems)
    return idata


def _sample_from_own_starts(
    model: StageModel,
    density: "LogDensity",
    plan: Plan,
    rng: np.random.Generator,
    progress: Progress,
) -> xr.DataTree:
    from crmlab.inference.log_density import run_nuts

    seed = int(rng.integers(2**31))
    kept, stats = run_nuts(density, **plan.options, seed=seed, progress=progress)
    posterior = _label_draws(model, kept)["posterior"].to_dataset()
    groups = {"posterior": posterior, "sample_stats": tidy_stats(stats)}
    idata = xr.DataTree.from_dict(groups)
    idata.attrs["problems"] = json.dumps(find_problems(idata))
    return idata


def check_possible(model: StageModel, panel: xr.Dataset, density: "LogDensity") -> None:
    """Refuse a panel that is impossible under the model: no sampler could take a step."""
    if np.isfinite(density(density.start)[0]):
        return
    values = dict(zip(density.names, density.constrain(density.start), strict=True))
    window = find_window(panel)
    seen = window.last >= 0
    scores = Scorer(panel, model.channels, model.space)(values)[seen]
    moves = _moves_at_start(model, panel, values)
    moves = moves[seen] if len(moves) > 1 else moves
    first, last = window.first[seen], window.last[seen]
    result = chains.forward(values["initial_probs"], moves, scores, first, last)
    customers = panel["customer_id"].values[seen][result.loglik == -np.inf]
    raise DataError(
        f"The panel is impossible under {type(model).__name__} for {len(customers)} of its "
        f"customers, e.g. {customers[:3].tolist()}: allow more moves, or move given parameters "
        "away from 0 and 1."
    )


def _moves_at_start(model: StageModel, panel: xr.Dataset, values: Mapping[str, Floats]) -> Floats:
    """Return the matrices (N or 1, T - 1 or 1, K, K) of customers without effects of their own."""
    if "transition_matrix" in values:
        return values["transition_matrix"][None, None]
    covariates = model.transitions.design.read(panel).get("covariates")
    return model.transitions.matrices(model.space, values, covariates)


def _label_draws(model: StageModel, draws: Mapping[str, Floats]) -> xr.DataTree:
    """Name the axes: (chain, draw), then those of the parameter."""
    axes = {"initial_probs": ("stage",), "transition_matrix": ("stage_from", "stage_to")}
    variables = {
        name: (("chain", "draw", *axes.get(name, ("stage", "stage_to")[: values.ndim - 2])), values)
        for name, values in draws.items()
    }
    n_chains, n_draws = next(iter(draws.values())).shape[:2]
    labels = {"chain": np.arange(n_chains), "draw": np.arange(n_draws), **coords(model.space)}
    posterior = xr.Dataset(variables)
    posterior = posterior.assign_coords({k: v for k, v in labels.items() if k in posterior.dims})
    return xr.DataTree.from_dict({"posterior": posterior})
