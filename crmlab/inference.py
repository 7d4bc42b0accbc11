"""Fit a model to a panel: the one door to every sampler.

The same seed gives the same draws, on a cold compile cache as on a warm one (see
`crmlab.density`). `fit` judges the result before it hands it over: a fit that has not converged
says so then, and again at every use.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab import chains
from crmlab.errors import (
    DataError,
    DataWarning,
    SamplingWarning,
    SpecError,
    check_one_of,
    raise_problems,
)
from crmlab.models.base import StageModel, coords
from crmlab.models.emissions import Scorer, find_window
from crmlab.models.remarks import data_remarks
from crmlab.transitions import StickyDirichlet

if TYPE_CHECKING:
    from crmlab.density import Density

RHAT_LIMIT = 1.02
ESS_PER_CHAIN = 100
ROUGH = 2000  # customers that are enough to find out where the mode is
SEED_SHIFT = "CRMLAB_SEED_SHIFT"  # a variable for tests of the course: `fit` adds it to each seed


@dataclass(frozen=True)
class Fit:
    """A model, the panel it was fitted to, and the posterior.

    Attributes
    ----------
    model : StageModel
    panel : xr.Dataset
    idata : xr.DataTree
        Group `posterior` and, where a sampler ran, `sample_stats`, with ArviZ's dims ``chain``
        and ``draw``.
    """

    model: StageModel
    panel: xr.Dataset
    idata: xr.DataTree

    def __repr__(self) -> str:
        """Say what was fitted to what, and whether it can be read."""
        sizes = self.idata["posterior"].sizes
        verdict = "; ".join(self.problems) or "no sign of trouble"
        return (
            f"Fit of {type(self.model).__name__} on {self.panel.sizes['customer_id']} customers "
            f"x {self.panel.sizes['period']} periods: {sizes['chain']} chains "
            f"x {sizes['draw']} draws ({verdict})"
        )

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws."""
        return self.idata["posterior"].to_dataset()

    @property
    def problems(self) -> tuple[str, ...]:
        """What the convergence gate found; empty if the draws can be read."""
        return tuple(json.loads(self.idata.attrs.get("problems", "[]")))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the panel could not tell, so that the answer is the prior's; empty if nothing."""
        return tuple(find_remarks(self.model, self.panel))

    def save(self, folder: str | Path) -> None:
        """Write model, panel and posterior into `folder`, all or nothing."""
        folder = Path(folder)
        _check_target(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            (aside / "model.json").write_text(json.dumps(_to_spec(self.model), indent=1))
            self.panel.to_netcdf(aside / "panel.nc", engine="h5netcdf")
            self.idata.to_netcdf(aside / "posterior.nc", engine="h5netcdf")
            _swap(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def fit(
    model: StageModel,
    panel: xr.Dataset,
    *,
    method: str | None = None,
    draws: int = 500,
    tune: int = 500,
    chains: int = 2,
    target_accept: float = 0.8,
    seed: int,
) -> Fit:
    """Sample the posterior of a model given a panel.

    Parameters
    ----------
    model : StageModel
    panel : xr.Dataset
        Made by `to_panel`.
    method : {"exact", "nuts", "laplace", "map"}, optional
        The model's default if left out. "exact": independent draws from a closed form, for models
        that have one. "nuts": the No-U-Turn sampler. "laplace": independent draws around the mode
        of the unconstrained parameters, as wide as the curvature there says and chosen by their
        weight under the posterior (see `crmlab.modes`): minutes where "nuts" needs hours, good
        where customers are many. "map": that mode alone, a fit of one draw without uncertainty.
        The last two are refused where customers have effects of their own.
    draws, tune : int
        Kept draws and warm-up draws per chain; only "nuts" needs a warm-up, and "map" has one draw.
    chains : int
    target_accept : float
        Share of the proposed steps that "nuts" aims to accept, between 0 and 1; closer to 1 the
        steps are shorter, which takes longer and is the way out where draws diverge.
    seed : int
        The same seed and versions give the same draws, bit for bit.

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

    Warns
    -----
    DataWarning
        The panel is too small, or too dull, to tell something that the model asks (a constant
        channel, a stage never reported, covariates that make each other up): there the answer is
        the prior's. Once for each, before the sampler starts.
    SamplingWarning
        The chains disagree, moved too slowly, or diverged; or no mode was found, or the posterior
        is far from normal around it: do not read the result yet.

    Notes
    -----
    "laplace" writes into ``idata.attrs``: `pareto_khat` of the weights and `n_effective`, the
    number of independent draws that they are worth; like "map" also `log_density` at the mode, what
    is `left_to_gain` there, `smallest_eigenvalue` of its curvature, and `n_agreeing`, the number of
    starts, of 4, that ended there.
    """
    method = method or model.default_method
    check_one_of("fit", "method", method, _methods(model))
    _check_plan(target_accept, draws=draws, tune=tune, chains=chains)
    rng = make_rng("fit", seed, shift=int(os.environ.get(SEED_SHIFT, "0")))
    model.check(panel)
    for remark in find_remarks(model, panel):
        warnings.warn(remark, DataWarning, stacklevel=2)
    if method == "exact":
        idata = _label_draws(model, model.sample_exact(panel, (chains, draws), rng))
    elif method == "nuts":
        plan = {"draws": draws, "tune": tune, "chains": chains, "target_accept": target_accept}
        idata = _sample_nuts(model, panel, plan, rng)
    else:
        size = (chains, draws) if method == "laplace" else None
        idata = _sample_around_mode(model, panel, size, rng)
    problems = json.loads(idata.attrs.get("problems", "[]")) + find_problems(idata, method)
    idata.attrs.update(method=method, seed=int(seed), problems=json.dumps(problems))
    result = Fit(model, panel, idata)
    warn_if_unconverged(result)
    return result


def find_remarks(model: StageModel, panel: xr.Dataset) -> list[str]:
    """Say what a panel is too small, or too dull, to tell a model."""
    law = getattr(model, "transitions", StickyDirichlet())
    return data_remarks(panel, model.channels, model.space, law)


def load_fit(folder: str | Path) -> Fit:
    """Read a fit that `Fit.save` has written.

    Raises
    ------
    DataError
        The folder holds no complete fit.
    """
    folder = Path(folder)
    missing = [n for n in ("model.json", "panel.nc", "posterior.nc") if not (folder / n).is_file()]
    raise_problems(
        DataError, f"{folder} holds no saved fit", [f"{name} is missing" for name in missing]
    )
    model = _from_spec(json.loads((folder / "model.json").read_text()))
    panel = _mend_attrs(xr.load_dataset(folder / "panel.nc", engine="h5netcdf"))
    with xr.open_datatree(folder / "posterior.nc", engine="h5netcdf") as stored:
        idata = stored.load()
    return Fit(model, panel, idata)


def find_problems(idata: xr.DataTree, method: str = "nuts") -> list[str]:
    """Say what speaks against reading these draws.

    The limits are rank-normalised R-hat at most 1.02 and a bulk effective sample size of at least
    100 per chain (Vehtari et al. 2021, *Bayesian Analysis* 16(2), section 4, who ask for 1.01 with
    four chains), and no divergences.
    """
    if method != "nuts":  # independent draws; what is wrong with a mode stands in the attrs
        return []
    posterior = idata["posterior"].to_dataset()
    problems = _unreadable(posterior) or _mixing_problems(posterior)
    divergences = int(idata["sample_stats"]["diverging"].sum())
    return [*problems, *([f"{divergences} draws diverged"] if divergences else [])]


def _unreadable(posterior: xr.Dataset) -> list[str]:
    """Say why R-hat and the effective sample size cannot even be computed."""
    if posterior.sizes["chain"] < 2 or posterior.sizes["draw"] < 4:
        return ["convergence can be judged from 2 chains of 4 draws on, not from fewer"]
    problems = [
        f"{name} has draws that are not finite"
        for name, values in posterior.data_vars.items()
        if not np.isfinite(values).all()
    ]
    if not problems and not any(moves.any() for moves in _moves(posterior).data_vars.values()):
        problems.append("no draw differs from another")
    return problems


def _mixing_problems(posterior: xr.Dataset) -> list[str]:
    import arviz_stats

    moves = _moves(posterior)
    with np.errstate(invalid="ignore", divide="ignore"):  # of what does not move
        rhat = arviz_stats.rhat(posterior).fillna(np.inf).where(moves)
        ess = arviz_stats.ess(posterior, method="bulk").fillna(0.0).where(moves)
    (rhat, stray), (ess, slow) = _worst(rhat, max), _worst(ess, min)
    enough = ESS_PER_CHAIN * posterior.sizes["chain"]
    problems = []
    if rhat > RHAT_LIMIT:
        problems.append(f"R-hat is {rhat:.2f} for {stray} (limit {RHAT_LIMIT})")
    if ess < enough:
        problems.append(f"the effective sample size is {ess:.0f} for {slow} (limit {enough})")
    return problems


def _moves(posterior: xr.Dataset) -> xr.Dataset:
    """Whether each number differs between draws; what is known does not."""
    dims = ("chain", "draw")
    return posterior.max(dims) > posterior.min(dims)


def warn_if_unconverged(result: Fit) -> None:
    """Warn, every time, about a fit that should not be read yet."""
    if result.problems:
        warnings.warn(
            f"do not read this fit yet: {'; '.join(result.problems)}. {_way_out(result)}",
            SamplingWarning,
            stacklevel=3,
        )


def _way_out(result: Fit) -> str:
    if result.idata.attrs.get("method") in ("laplace", "map"):
        return "Use method='nuts', state priors more tightly, or use fewer stages."
    longer = "Draw longer (`draws`, `tune`) in shorter steps (`target_accept`)"
    return f"{longer}, state priors more tightly, or use fewer stages."


def _methods(model: StageModel) -> tuple[str, ...]:
    closed = ("exact",) if model.default_method == "exact" else ()
    return (*closed, "nuts", "laplace", "map")


def _check_plan(target_accept: float, **counts: int) -> None:
    problems = [
        f"`{name}` must be a positive integer, got {value!r}"
        for name, value in counts.items()
        if not isinstance(value, (int, np.integer)) or value < 1
    ]
    if not (isinstance(target_accept, float) and 0 < target_accept < 1):
        problems.append(f"`target_accept` must lie between 0 and 1, got {target_accept!r}")
    raise_problems(SpecError, "fit", problems)


def make_rng(owner: str, seed: int, *, shift: int = 0) -> np.random.Generator:
    """Make a generator from a seed; raise `SpecError` on behalf of `owner` if it is none."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SpecError(
            f"The `seed` parameter of `{owner}` must be a non-negative integer, got {seed!r}."
        )
    return np.random.default_rng(seed + shift)


def _compile(model: StageModel, panel: xr.Dataset) -> "Density":
    from crmlab.density import compile_density

    density = compile_density(model.build(panel), model.posterior_names)
    _check_start(model, panel, density)
    return density


def _sample_around_mode(
    model: StageModel, panel: xr.Dataset, size: tuple[int, int] | None, rng: np.random.Generator
) -> xr.DataTree:
    """Find the mode, and draw (chain, draw) from the normal law around it; the mode alone if None.

    The normal law of customers' own effects given that of their population is a funnel, and the
    joint mode says that all are alike: neither is an answer.
    """
    from crmlab.modes import find_mode, sample_around

    _refuse_own_effects(model, "map" if size is None else "laplace")
    density = _compile(model, panel)
    mode = find_mode(density, density.start, rng, _rough(model, panel, density))
    about = {
        "log_density": mode.logp,
        "left_to_gain": mode.left_to_gain,
        "smallest_eigenvalue": mode.smallest_eigenvalue,
        "n_agreeing": mode.n_agreeing,
    }
    problems, places = mode.problems, mode.place[None]
    if size is not None:
        cloud = sample_around(density, mode, int(np.prod(size)), rng)
        about |= {"pareto_khat": cloud.khat, "n_effective": cloud.n_effective}
        problems, places = problems + cloud.problems, cloud.places
    rows = [density.constrain(x) for x in places]
    draws = {
        name: np.reshape([row[i] for row in rows], (*(size or (1, 1)), *np.shape(rows[0][i])))
        for i, name in enumerate(density.names)
    }
    idata = _label_draws(model, draws)
    idata.attrs.update(about, problems=json.dumps(problems))
    return idata


def _refuse_own_effects(model: StageModel, method: str) -> None:
    law = getattr(model, "transitions", None)
    if law is not None and law.n_customer_effects(model.space):
        raise SpecError(
            f"The `method` parameter of `fit` cannot be {method!r} where customers have effects of "
            "their own (`customers`): the mode says that all are alike. Use method='nuts' on a "
            "sample of the customers, or leave `customers` out and let covariates or `segments` "
            "tell them apart."
        )


def _rough(model: StageModel, panel: xr.Dataset, density: "Density") -> "Density | None":
    """Give the density of some of the customers, to find out where the climb should begin."""
    stride = panel.sizes["customer_id"] // ROUGH
    if stride < 2 or not hasattr(model, "read"):
        return None
    return density.with_data(model.read(panel.isel(customer_id=slice(None, None, stride))))


def _sample_nuts(
    model: StageModel, panel: xr.Dataset, plan: Mapping[str, float], rng: np.random.Generator
) -> xr.DataTree:
    from crmlab.density import sample_density

    density = _compile(model, panel)
    seed = int(rng.integers(2**31))
    kept, stats = sample_density(density, **plan, seed=seed)
    posterior = _label_draws(model, kept)["posterior"].to_dataset()
    stats = stats[["diverging", "n_steps", "energy"]]
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})


def _check_start(model: StageModel, panel: xr.Dataset, density: "Density") -> None:
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
        f"{type(model).__name__} holds for impossible what {len(customers)} customers did, e.g. "
        f"{customers[:3].tolist()}: allow more moves, or soften given parameters of exactly 0 or 1."
    )


def _moves_at_start(
    model: StageModel, panel: xr.Dataset, values: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Transition matrices (N or 1, T - 1 or 1, K, K) of average customers, at given values."""
    if "transition_matrix" in values:
        return values["transition_matrix"][None, None]
    covariates = model.transitions.read(panel).get("covariates")
    return model.transitions.matrices(model.space, values, covariates)


def _label_draws(model: StageModel, draws: Mapping[str, NDArray[np.float64]]) -> xr.DataTree:
    """Put names on the axes: (chain, draw), then those of the parameter."""
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


def _worst(diagnostic: xr.Dataset, pick: Callable[..., object]) -> tuple[float, str]:
    """Worst value over all parameters, and where; constants are NaN and have none."""
    found = [
        (float(value), name)
        for name, values in diagnostic.data_vars.items()
        for value in np.ravel(values)
        if not np.isnan(value)
    ]
    return pick(found)


def _to_spec(value: object) -> object:
    """Describe nested frozen dataclasses as JSON."""
    if is_dataclass(value):
        home = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"class": home, **{f.name: _to_spec(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, (tuple, list)):
        return [_to_spec(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value


def _from_spec(spec: object) -> object:
    """Rebuild what `_to_spec` has described; classes must be dataclasses that can be imported."""
    if isinstance(spec, list):
        return tuple(_from_spec(item) for item in spec)
    if not isinstance(spec, dict):
        return spec
    module, _, name = spec["class"].partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        found = None
    if not is_dataclass(found):
        raise DataError(f"The saved model needs the class {spec['class']}, which is not there.")
    return found(**{key: _from_spec(item) for key, item in spec.items() if key != "class"})


def _mend_attrs(panel: xr.Dataset) -> xr.Dataset:
    """Give back what netCDF cannot say: that a list of one name is a list."""
    for values in panel.data_vars.values():
        if "categories" in values.attrs:
            values.attrs["categories"] = [str(n) for n in np.atleast_1d(values.attrs["categories"])]
    return panel


def _check_target(folder: Path) -> None:
    """Refuse to replace anything but an older fit."""
    replaceable = folder.is_dir() and (
        (folder / "model.json").is_file() or not any(folder.iterdir())
    )
    if folder.exists() and not replaceable:
        raise SpecError(
            "The `folder` parameter of `Fit.save` must be new, empty or an older fit, but "
            f"{folder} is something else: name a folder inside it."
        )


def _swap(aside: Path, folder: Path) -> None:
    """Put a finished folder in the place of an old one."""
    if folder.exists():
        old = Path(mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        folder.rename(old / "fit")
        aside.rename(folder)
        shutil.rmtree(old)
    else:
        aside.rename(folder)
