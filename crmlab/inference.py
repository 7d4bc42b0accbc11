"""Fit a model to a panel: the one door to every sampler.

The same seed gives the same draws, on a cold compile cache as on a warm one (see
`crmlab.density`). `fit` judges the result before it hands it over: a fit that has not converged
says so then, and again at every use.
"""

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.errors import DataError, SamplingWarning, SpecError, check_one_of, raise_problems
from crmlab.models.base import StageModel, coords

RHAT_LIMIT = 1.02
ESS_PER_CHAIN = 100


@dataclass(frozen=True)
class Fit:
    """A model, the panel it was fitted to, and the posterior.

    Attributes
    ----------
    model : StageModel
    panel : xr.Dataset
    idata : xr.DataTree
        Groups `posterior` and `sample_stats`, with ArviZ's dims ``chain`` and ``draw``.
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

    def save(self, folder: str | Path) -> None:
        """Write model, panel and posterior into `folder`, all or nothing."""
        folder = Path(folder)
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
    seed: int,
) -> Fit:
    """Sample the posterior of a model given a panel.

    Parameters
    ----------
    model : StageModel
    panel : xr.Dataset
        Made by `to_panel`.
    method : {"exact", "nuts"}, optional
        The model's default if left out. "exact": independent draws from a closed form, for models
        that have one. "nuts": the No-U-Turn sampler.
    draws, tune : int
        Kept draws and warm-up draws per chain; "exact" needs no warm-up.
    chains : int
    seed : int
        The same seed and versions give the same draws, bit for bit.

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        The panel cannot be read by the model; everything that is wrong is listed.
    SpecError
        An option is wrong.

    Warns
    -----
    SamplingWarning
        The chains disagree, moved too slowly, or diverged: do not read the result yet.
    """
    method = method or model.default_method
    check_one_of("fit", "method", method, _methods(model))
    _check_counts(draws=draws, tune=tune, chains=chains)
    model.check(panel)
    rng = _make_rng(seed)
    if method == "exact":
        idata = _label_draws(model, model.sample_exact(panel, (chains, draws), rng))
    else:
        idata = _sample_nuts(model, panel, draws, tune, chains, rng)
    idata.attrs.update(
        method=method, seed=int(seed), problems=json.dumps(find_problems(idata, method))
    )
    result = Fit(model, panel, idata)
    warn_if_unconverged(result)
    return result


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
    panel = xr.load_dataset(folder / "panel.nc", engine="h5netcdf")
    with xr.open_datatree(folder / "posterior.nc", engine="h5netcdf") as stored:
        idata = stored.load()
    return Fit(model, panel, idata)


def find_problems(idata: xr.DataTree, method: str = "nuts") -> list[str]:
    """Say what speaks against reading these draws.

    The limits are rank-normalised R-hat at most 1.02 and a bulk effective sample size of at least
    100 per chain (Vehtari et al. 2021, *Bayesian Analysis* 16(2), section 4, who ask for 1.01 with
    four chains), and no divergences.
    """
    if method == "exact":
        return []
    import arviz_stats

    posterior = idata["posterior"].to_dataset()
    rhat = _worst(arviz_stats.rhat(posterior), np.nanmax)
    ess = _worst(arviz_stats.ess(posterior, method="bulk"), np.nanmin)
    enough = ESS_PER_CHAIN * posterior.sizes["chain"]
    divergences = int(idata["sample_stats"]["diverging"].sum())
    problems = []
    if rhat[0] > RHAT_LIMIT:
        problems.append(f"R-hat is {rhat[0]:.2f} for {rhat[1]} (limit {RHAT_LIMIT})")
    if ess[0] < enough:
        problems.append(f"the effective sample size is {ess[0]:.0f} for {ess[1]} (limit {enough})")
    if divergences:
        problems.append(f"{divergences} draws diverged")
    return problems


def warn_if_unconverged(result: Fit) -> None:
    """Warn, every time, about a fit that should not be read yet."""
    if result.problems:
        warnings.warn(
            f"do not read this fit yet: {'; '.join(result.problems)}. Draw longer (`draws`, "
            "`tune`), state priors more tightly, or use fewer stages.",
            SamplingWarning,
            stacklevel=3,
        )


def _methods(model: StageModel) -> tuple[str, ...]:
    return ("exact", "nuts") if hasattr(model, "sample_exact") else ("nuts",)


def _check_counts(**counts: int) -> None:
    raise_problems(
        SpecError,
        "fit",
        [
            f"`{name}` must be a positive integer, got {value!r}"
            for name, value in counts.items()
            if not isinstance(value, (int, np.integer)) or value < 1
        ],
    )


def _make_rng(seed: int) -> np.random.Generator:
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SpecError(
            f"The `seed` parameter of `fit` must be a non-negative integer, got {seed!r}."
        )
    return np.random.default_rng(seed)


def _sample_nuts(
    model: StageModel,
    panel: xr.Dataset,
    draws: int,
    tune: int,
    chains: int,
    rng: np.random.Generator,
) -> xr.DataTree:
    from crmlab.density import compile_density, sample_density

    density = compile_density(model.build(panel), model.posterior_names)
    seed = int(rng.integers(2**31))
    kept, stats = sample_density(density, draws=draws, tune=tune, chains=chains, seed=seed)
    posterior = _label_draws(model, kept)["posterior"].to_dataset()
    stats = stats[["diverging", "n_steps", "energy"]]
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})


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


def _worst(diagnostic: xr.Dataset, pick: object) -> tuple[float, str]:
    """Worst value over all parameters, and where; constants have none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        worst = {name: float(pick(values)) for name, values in diagnostic.data_vars.items()}
    worst = {name: value for name, value in worst.items() if np.isfinite(value)}
    if not worst:
        return 1.0 if pick is np.nanmax else np.inf, ""
    name = (max if pick is np.nanmax else min)(worst, key=worst.get)
    return worst[name], name


def _to_spec(value: object) -> object:
    """Describe nested frozen dataclasses as JSON."""
    if is_dataclass(value):
        home = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"class": home, **{f.name: _to_spec(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, (tuple, list)):
        return [_to_spec(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _from_spec(spec: object) -> object:
    """Rebuild what `_to_spec` has described; classes must be dataclasses that can be imported."""
    if isinstance(spec, list):
        return tuple(_from_spec(item) for item in spec)
    if not isinstance(spec, dict):
        return spec
    module, _, name = spec["class"].partition(":")
    found = getattr(import_module(module), name, None)
    if not is_dataclass(found):
        raise DataError(f"The saved model needs the class {spec['class']}, which is not there.")
    return found(**{key: _from_spec(item) for key, item in spec.items() if key != "class"})


def _swap(aside: Path, folder: Path) -> None:
    """Put a finished folder in the place of an old one."""
    if folder.exists():
        old = Path(mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        folder.rename(old / "fit")
        aside.rename(folder)
        shutil.rmtree(old)
    else:
        aside.rename(folder)
