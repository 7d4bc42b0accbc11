"""`Fit`: a model, the panel it was fitted to, and the posterior."""

import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.arrays import check_count
from crmlab.errors import DataError, SamplingWarning, raise_problems, refuse
from crmlab.inference.groups import add_derived, extend, without_derived
from crmlab.inference.saving import FILES, FIT, from_spec, mend_attrs, to_spec
from crmlab.inference.summary import Summary, summarise, tabulate_readings
from crmlab.models.base import StageModel
from crmlab.tables.folders import new_folder, read_mark, to_json


@dataclass(frozen=True, eq=False)
class Fit:
    """A model, the panel it was fitted to, and the posterior.

    Attributes
    ----------
    model : StageModel
    panel : xr.Dataset
    idata : xr.DataTree
        `posterior` and, where a sampler ran, `sample_stats`, with ArviZ's dims ``chain`` and
        ``draw``, and `search`: the hills of the posterior (see `readings`); `observed_data` and
        `constant_data`; `log_likelihood` of each customer's history with their own effects
        averaged out, computed when it is first read. Files hold only the draws; a loaded fit has
        the rest, too.
    """

    model: StageModel
    panel: xr.Dataset
    idata: xr.DataTree

    def __eq__(self, other: object) -> bool:
        """Whether another fit has an equal model, an identical panel and identical draws."""
        if not isinstance(other, Fit):
            return NotImplemented
        if not (self.model == other.model and self.panel.identical(other.panel)):
            return False
        return without_derived(self.idata).identical(without_derived(other.idata))

    def __repr__(self) -> str:
        """Describe the model, the data, whether the fit can be read, and its results."""
        return self._summarise().as_text()

    def _repr_html_(self) -> str:
        """Describe the fit in a notebook."""
        return self._summarise().as_html()

    def _summarise(self) -> Summary:
        return summarise(self.model, self.panel, self.idata, self.problems, self.remarks)

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws."""
        return self.idata["posterior"].to_dataset()

    @property
    def problems(self) -> tuple[str, ...]:
        """Reasons not to read the draws; empty if they can be read."""
        return tuple(json.loads(self.idata.attrs.get("problems", "[]")))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the panel says nothing about, where the answer is the prior's."""
        return tuple(self.model.remarks(self.panel))

    @property
    def readings(self) -> pd.DataFrame:
        """The ways to read the data that "nuts" has sampled, the most probable first.

        Returns
        -------
        DataFrame
            One row per reading: its `mass` (share of the posterior), `log_evidence`, the standard
            `error` of that, `n_runs` of the sampler until its chains agreed, and `n_starts` of the
            search that ended on its hill. Empty for other methods, and where customers have
            effects of their own. The reading of each draw is ``idata["sample_stats"]["reading"]``.
        """
        return tabulate_readings(self.idata)

    def check(self) -> None:
        """Raise `DataError` unless the panel and the posterior are those of the model.

        `load_fit` reads model, panel and posterior from three files, and trusts that they belong
        together; a program that reads fits of others asks first.
        """
        problems = [
            f"the posterior lacks {name}"
            for name in self.model.posterior_names
            if name not in self.posterior
        ]
        stages = self.posterior.coords.get("stage", xr.DataArray([])).values.tolist()
        if stages != list(self.model.space.names):
            problems.append("the stages of the posterior are not those of the model")
        raise_problems(DataError, "The saved fit does not belong to its model", problems)
        self.model.check(self.panel)

    def extended(self, group: str, *, draws: int = 200, seed: int) -> "Fit":
        """Return the fit with one more group in `idata`, for ArviZ.

        Parameters
        ----------
        group : {"posterior_predictive", "prior", "prior_predictive", "log_prior"}
            The same customers simulated anew under draws of the posterior or of the prior, in the
            cells that were seen; draws of the prior; or the log-density of the prior at each draw
            of the posterior, which `arviz.psense` reads.
        draws : int
            Draws to use in all, evenly thinned from the chains; "log_prior" has them all.
        seed : int

        Raises
        ------
        SpecError
            There is no such group, an option is wrong, or the prior of the model is not known.
        """
        check_count("Fit.extended", "draws", draws)
        check_count("Fit.extended", "seed", seed, at_least=0)
        rng = np.random.default_rng(seed)
        return replace(self, idata=extend(self.model, self.panel, self.idata, group, draws, rng))

    def save(self, folder: str | Path) -> None:
        """Write model, panel and posterior into `folder`, all or nothing.

        Parameters
        ----------
        folder : path
            A folder that is new, empty, or holds only an older fit, which is replaced.

        Raises
        ------
        SpecError
            `folder` is anything else.
        """
        with new_folder(folder, FIT) as aside:
            (aside / "model.json").write_text(to_json({"model": to_spec(self.model)}), "utf-8")
            self.panel.to_netcdf(aside / "panel.nc", engine="h5netcdf")
            without_derived(self.idata).to_netcdf(aside / "posterior.nc", engine="h5netcdf")


def load_fit(folder: str | Path, *, trust: Sequence[str] = ()) -> Fit:
    """Read a fit that `Fit.save` has written.

    A saved fit names the classes of its model. Only classes of crmlab are used, and those of the
    packages in `trust`: a file cannot make crmlab import anything.

    Parameters
    ----------
    folder : path
    trust : sequence of str
        Packages or modules with classes of your own, such as ``("mypackage",)``.

    Raises
    ------
    DataError
        The folder does not hold a complete fit, or the model needs a class that is not trusted.
    SpecError
        `trust` is not a sequence of names of modules that can be imported.
    """
    folder = Path(folder)
    if isinstance(trust, str) or not all(isinstance(name, str) for name in trust):
        refuse("load_fit", "trust", "a sequence of names such as ('mypackage',)", trust)
    said = read_mark(folder, FIT)
    problems = [f"{name} is missing" for name in FILES if not (folder / name).is_file()]
    if not ("model" in said or problems):
        problems = [f"{FIT.mark} is not of the format {FIT.format!r}"]
    raise_problems(DataError, f"{folder} holds no saved fit", problems)
    model = from_spec(said["model"], trust)
    panel, idata = _read_arrays(folder)
    fit = Fit(model, panel, idata)
    with suppress(DataError):  # of files that do not belong together, which are read as they are
        fit.check()
        fit = Fit(model, panel, add_derived(model, panel, idata))
    return fit


def _read_arrays(folder: Path) -> tuple[xr.Dataset, xr.DataTree]:
    try:
        panel = mend_attrs(xr.load_dataset(folder / "panel.nc", engine="h5netcdf"))
        with xr.open_datatree(folder / "posterior.nc", engine="h5netcdf") as stored:
            return panel, stored.load()
    except Exception as problem:  # a damaged file makes the library raise anything
        message = " ".join(str(problem).split())[:200]
        raise DataError(f"{folder} holds no saved fit: a file is damaged ({message})") from None


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
    longer = "Increase `draws` and `tune`, or raise `target_accept`"
    return f"{longer}; or state priors more tightly, or use fewer stages."
