"""`Fit`: a model, the panel it was fitted to, and the posterior."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from crmlab.errors import DataError, SamplingWarning, raise_problems, refuse
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
        Group `posterior` and, where a sampler ran, `sample_stats`, with ArviZ's dims ``chain``
        and ``draw``, and `search`: the hills of the posterior (see `readings`).
    """

    model: StageModel
    panel: xr.Dataset
    idata: xr.DataTree

    def __eq__(self, other: object) -> bool:
        """Whether another fit has an equal model, an identical panel and identical draws."""
        if not isinstance(other, Fit):
            return NotImplemented
        same_data = self.panel.identical(other.panel) and self.idata.identical(other.idata)
        return self.model == other.model and same_data

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
            self.idata.to_netcdf(aside / "posterior.nc", engine="h5netcdf")


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
    return Fit(model, *_read_arrays(folder))


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
