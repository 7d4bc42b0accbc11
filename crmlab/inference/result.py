"""`Fit`: a model, the panel it was fitted to, and the posterior."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from crmlab.errors import DataError, SamplingWarning, raise_problems
from crmlab.inference.saving import FILES, FIT, from_spec, mend_attrs, to_spec
from crmlab.inference.summary import Summary, summarise
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
        and ``draw``.
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


def load_fit(folder: str | Path) -> Fit:
    """Read a fit that `Fit.save` has written.

    Raises
    ------
    DataError
        The folder does not hold a complete fit.
    """
    folder = Path(folder)
    said = read_mark(folder, FIT)
    problems = [f"{name} is missing" for name in FILES if not (folder / name).is_file()]
    if not ("model" in said or problems):
        problems = [f"{FIT.mark} is not of the format {FIT.format!r}"]
    raise_problems(DataError, f"{folder} holds no saved fit", problems)
    model = from_spec(said["model"])
    panel = mend_attrs(xr.load_dataset(folder / "panel.nc", engine="h5netcdf"))
    with xr.open_datatree(folder / "posterior.nc", engine="h5netcdf") as stored:
        idata = stored.load()
    return Fit(model, panel, idata)


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
