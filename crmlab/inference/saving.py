"""Fits on disk: model, panel and posterior in one folder."""

from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np
import xarray as xr

from crmlab.errors import DataError
from crmlab.tables.folders import FolderKind, Mark

FILES = ("model.json", "panel.nc", "posterior.nc")


def _upgrade(said: Mark) -> Mark:
    """Read a model from a file without anything else, as older versions wrote it."""
    is_older = ":" in str(said.get("class"))
    return {"format": FIT.format, "files": FILES, "model": said} if is_older else said


FIT = FolderKind("crmlab fit", "model.json", _upgrade)


def to_spec(value: object) -> object:
    """Describe nested frozen dataclasses as JSON."""
    if is_dataclass(value):
        home = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"class": home, **{f.name: to_spec(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, (tuple, list)):
        return [to_spec(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value


def from_spec(spec: object) -> Any:
    """Rebuild what `to_spec` has described; classes must be dataclasses that can be imported."""
    if isinstance(spec, list):
        return tuple(from_spec(item) for item in spec)
    if not isinstance(spec, dict):
        return spec
    module, _, name = spec["class"].partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        found = None
    if not isinstance(found, type) or not is_dataclass(found):
        raise DataError(f"The saved model needs the class {spec['class']}, which is not there.")
    return found(**{key: from_spec(item) for key, item in spec.items() if key != "class"})


def mend_attrs(panel: xr.Dataset) -> xr.Dataset:
    """Restore what netCDF cannot store: that a list of one name is a list."""
    for values in panel.data_vars.values():
        if "categories" in values.attrs:
            values.attrs["categories"] = [str(n) for n in np.atleast_1d(values.attrs["categories"])]
    return panel
