"""Fits on disk: model, panel and posterior in one folder."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np
import xarray as xr

from crmlab.errors import DataError, SpecError
from crmlab.models.base import StageModel
from crmlab.tables.folders import FolderKind, Mark

FILES = ("model.json", "panel.nc", "posterior.nc")
PARTS = ("crmlab.stages", "crmlab.channels", "crmlab.transitions", "crmlab.models")
LONGEST_SHOWN = 80


def _upgrade(said: Mark) -> Mark:
    """Read a model from a file without anything else, as older versions wrote it."""
    is_older = ":" in str(said.get("class"))
    return {"format": FIT.format, "files": FILES, "model": said} if is_older else said


FIT = FolderKind("crmlab fit", "model.json", _upgrade, private=True)


def to_spec(value: object) -> object:
    """Describe nested frozen dataclasses as JSON."""
    if is_dataclass(value):
        home = _home_of(type(value))
        return {"class": home, **{f.name: to_spec(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, (tuple, list)):
        return [to_spec(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value


def from_spec(spec: object, trust: Sequence[str] = ()) -> StageModel:
    """Rebuild the model that `to_spec` has described, from classes of crmlab and trusted packages.

    A name in `spec` is only looked up among classes that are there; nothing is imported because a
    file asks for it.

    Parameters
    ----------
    spec : object
        As it was read from JSON.
    trust : sequence of str
        Names of further packages or modules, which are imported.

    Raises
    ------
    DataError
        A class is unknown or not trusted, or a class refuses its values.
    SpecError
        A module named in `trust` cannot be imported.
    """
    try:
        model = _build(spec, _find_classes(trust))
    except RecursionError:
        raise DataError("The saved model is nested too deeply.") from None
    if not isinstance(model, StageModel):
        raise DataError(f"The saved model is not a model of stages but {_shorten(model)}.")
    return model


def _build(spec: object, classes: Mapping[str, type]) -> Any:
    if isinstance(spec, list):
        return tuple(_build(item, classes) for item in spec)
    if not isinstance(spec, dict):
        return spec
    home = spec.get("class")
    if not isinstance(home, str) or home not in classes:
        raise DataError(_unknown_class(home))
    values = {key: _build(item, classes) for key, item in spec.items() if key != "class"}
    try:
        return classes[home](**values)
    except Exception as problem:  # values from a file: a class may fail on them in any way
        raise DataError(f"The saved model cannot be rebuilt: {home}: {problem}") from None


def _unknown_class(home: object) -> str:
    needs = f"The saved model needs the class {_shorten(home)}, which"
    module, _, _ = str(home).partition(":")
    if module.partition(".")[0] == "crmlab":
        return f"{needs} is not among the parts of a model in this version of crmlab."
    return (
        f"{needs} is not there: crmlab loads its own classes and those of packages that you trust. "
        f"If you trust this one, name it: load_fit(folder, trust=({_shorten(module)},))."
    )


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _find_classes(trust: Sequence[str]) -> dict[str, type]:
    """Find the dataclasses of crmlab's parts of a model, and of trusted packages, by their home."""
    for home in (import_module(part) for part in PARTS):
        for name in home.__all__:
            getattr(home, name)  # loads the module that it is in
    for name in trust:
        _import_trusted(name)
    known = (*PARTS, *trust)
    return {
        _home_of(found): found
        for name, module in list(sys.modules.items())
        if any(name == one or name.startswith(f"{one}.") for one in known)
        for found in list(vars(module).values())
        if isinstance(found, type) and is_dataclass(found) and found.__module__ == name
    }


def _import_trusted(name: str) -> None:
    try:
        import_module(name)
    except ImportError as problem:
        raise SpecError(f"`trust`: {name!r} cannot be imported ({problem})") from None


def _home_of(found: type) -> str:
    return f"{found.__module__}:{found.__qualname__}"


def mend_attrs(panel: xr.Dataset) -> xr.Dataset:
    """Restore what netCDF cannot store: that a list of one name is a list."""
    for values in panel.data_vars.values():
        if "categories" in values.attrs:
            values.attrs["categories"] = [str(n) for n in np.atleast_1d(values.attrs["categories"])]
    return panel
