"""`Fit`: a model, the panel it was fitted to, and the posterior."""

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import xarray as xr

from crmlab.errors import (
    DataError,
    SamplingWarning,
    raise_problems,
)
from crmlab.inference.saving import check_target, from_spec, mend_attrs, swap, to_spec
from crmlab.models.base import StageModel
from crmlab.models.remarks import data_remarks


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
        check_target(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            (aside / "model.json").write_text(json.dumps(to_spec(self.model), indent=1))
            self.panel.to_netcdf(aside / "panel.nc", engine="h5netcdf")
            self.idata.to_netcdf(aside / "posterior.nc", engine="h5netcdf")
            swap(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def find_remarks(model: StageModel, panel: xr.Dataset) -> list[str]:
    """Say what a panel is too small, or too dull, to tell a model."""
    return data_remarks(panel, model.channels, model.space, model.transitions)


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
    model = from_spec(json.loads((folder / "model.json").read_text()))
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
    return "Draw longer (`draws`, `tune`), state priors more tightly, or use fewer stages."
