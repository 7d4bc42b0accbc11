"""Covariates that state a hypothesis: fatigue, the weakest link, one cause among several.

Each function takes a panel and returns a panel with new variables; nothing is fitted here.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from crmlab.behaviour.encounters import power_mean
from crmlab.errors import DataError, SpecError, raise_problems


def add_square(panel: xr.Dataset, name: str) -> xr.Dataset:
    """Add ``<name>_squared``: an effect that rises and falls, as contact fatigue does.

    With the effects a of ``name`` and b < 0 of its square, a move gains most at ``-a / (2 b)``;
    `crmlab.behaviour.encounters.best_contacts` takes benefit a and fatigue -b.

    Parameters
    ----------
    panel : xr.Dataset
    name : str
        Variable of the panel.

    Returns
    -------
    xr.Dataset

    Examples
    --------
    >>> panel = xr.Dataset({"contacts": ("period", [0.0, 1.0, 3.0])})
    >>> add_square(panel, "contacts")["contacts_squared"].values
    array([0., 1., 9.])
    """
    _check("add_square", panel, [name])
    return panel.assign({f"{name}_squared": panel[name] ** 2})


def add_pillars(panel: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Add ``pillars_mean`` and ``pillars_shortfall``: additive pillars against the weakest link.

    The shortfall is the mean minus the weakest. If pillars add up, only the mean has an effect, m;
    if the chain is as strong as its weakest link, the effects are m and -m; a share w of the
    weakest link makes them m and -w m.

    Parameters
    ----------
    panel : xr.Dataset
    names : sequence of str
        Scores of two or more pillars, on one scale, above 0.

    Returns
    -------
    xr.Dataset

    Examples
    --------
    >>> panel = xr.Dataset({n: ("period", [4.5, s]) for n, s in zip("abcde", (1.5, 2, 3, 4, 5))})
    >>> found = add_pillars(panel, list("abcde"))
    >>> found["pillars_mean"].values, found["pillars_shortfall"].values
    (array([4.5, 3.1]), array([0. , 1.6]))
    """
    _check("add_pillars", panel, names)
    if len(names) < 2:
        raise SpecError(f"add_pillars: `names` must be two or more pillars, got {list(names)}")
    scores = xr.broadcast(*(panel[name] for name in names))
    table = np.stack([score.values for score in scores], axis=-1).astype(float)
    missing = np.isnan(table).any(axis=-1)
    filled = np.where(missing[..., None], 1.0, table)
    found = {}
    mean = power_mean(filled, 1.0)
    for name, values in (("mean", mean), ("shortfall", mean - power_mean(filled, -np.inf))):
        found[f"pillars_{name}"] = scores[0].copy(data=np.where(missing, np.nan, values))
    return panel.assign({name: score.drop_attrs() for name, score in found.items()})


def add_indicators(panel: xr.Dataset, name: str, labels: Sequence[str]) -> xr.Dataset:
    """Add ``<name>_<label>``, 1 where the variable has that label and 0 elsewhere.

    Where nothing is recorded (NaN, or an empty name) all are 0: nothing happened.

    Parameters
    ----------
    panel : xr.Dataset
    name : str
        Variable of names, or of codes with ``categories`` in its attrs.
    labels : sequence of str
        All labels.

    Returns
    -------
    xr.Dataset

    Raises
    ------
    DataError
        The panel has other labels.

    Examples
    --------
    >>> panel = xr.Dataset({"cause": ("period", ["delays", "", "low_standard"])})
    >>> add_indicators(panel, "cause", ("delays", "low_standard"))["cause_delays"].values
    array([1., 0., 0.])
    """
    _check("add_indicators", panel, [name])
    held = panel[name]
    said = held.values
    if "categories" in held.attrs:
        words = np.array([*held.attrs["categories"], ""], dtype=object)
        said = words[np.nan_to_num(said, nan=-1).astype(int)]
    allowed = np.array([*labels, "", None], dtype=object)
    known = np.isin(said.astype(object), allowed) | (said != said)
    if not known.all():
        others = sorted({str(word) for word in said[~known]})
        raise DataError(f"add_indicators: {name!r} names {others}, not among {list(labels)}")
    flags = {f"{name}_{label}": (said == label).astype(float) for label in labels}
    return panel.assign({column: (held.dims, values) for column, values in flags.items()})


def standardise(panel: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Put variables on the scale of their standard deviation, around their mean.

    Effects are then log-odds per standard deviation, and the usual prior scales fit.

    Parameters
    ----------
    panel : xr.Dataset
    names : sequence of str

    Returns
    -------
    xr.Dataset
        ``attrs`` of each variable keep its `mean` and `sd`.

    Raises
    ------
    DataError
        A variable is absent, or constant.

    Examples
    --------
    >>> panel = xr.Dataset({"age": ("customer_id", [20.0, 40.0, np.nan])})
    >>> standardise(panel, ["age"])["age"].values
    array([-1.,  1., nan])
    """
    _check("standardise", panel, names)
    scaled = {}
    for name in names:
        mean, sd = float(panel[name].mean()), float(panel[name].std())
        if not sd > 0:
            raise DataError(f"standardise: {name!r} is constant, so it has no scale; leave it out")
        scaled[name] = ((panel[name] - mean) / sd).assign_attrs(mean=mean, sd=sd)
    return panel.assign(scaled)


def _check(owner: str, panel: xr.Dataset, names: Sequence[str]) -> None:
    have = [str(name) for name in panel.data_vars]
    problems = [f"{name!r} is not among the variables {have}" for name in names if name not in have]
    raise_problems(DataError, owner, problems)
