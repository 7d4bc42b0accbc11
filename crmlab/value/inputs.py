"""What the functions of this package are given: matrices, margins, rates and horizons, checked."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.errors import SpecError, raise_problems
from crmlab.value.rates import DiscountRate, rate_problems, spell


def as_floats(parameter: str, given: ArrayLike) -> Floats:
    """Read numbers; refuse names, mappings and rows of unequal length with a word on why."""
    try:
        return np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"`{parameter}` must hold numbers only, in the order of the stages ({error})."
        ) from error


def matrix_problems(P: NDArray) -> list[str]:
    """Say why an array is not a (stack of) transition matrices (empty if it is)."""
    if P.ndim < 2 or P.shape[-1] != P.shape[-2] or P.size == 0:
        return [f"`P` must have shape (..., K, K), got {P.shape}"]
    if not np.isfinite(P).all() or (P < 0).any():
        return ["`P` must hold probabilities; it has negative or non-finite entries"]
    if np.allclose(P.sum(axis=-1), 1, rtol=0, atol=1e-8):
        return []
    if np.allclose(P.sum(axis=-2), 1, rtol=0, atol=1e-8):
        return [
            "the columns of `P` sum to 1 but its rows do not; transpose it: rows are where from"
        ]
    worst = np.abs(P.sum(axis=-1) - 1).max()
    return [
        f"rows of `P` must sum to 1 (the worst is off by {worst:.3g}); those who leave need a "
        "stage of their own, absorbing, with margin 0"
    ]


def margin_problems(P: NDArray, margin: NDArray) -> list[str]:
    """Say why margins do not fit the matrix (empty if they do)."""
    n_stages = P.shape[-1] if P.ndim else 0
    if margin.ndim < 1 or margin.shape[-1] != n_stages:
        return [f"`margin` needs one number per stage ({n_stages}), got shape {margin.shape}"]
    if not np.isfinite(margin).all():
        where = sorted({int(i) for i in np.argwhere(~np.isfinite(margin))[:, -1]})
        return [f"`margin` must be finite; it is not at stage positions {where}; write 0 for none"]
    return []


def bare_rate_problems(rate: object) -> list[str]:
    """As `rate_problems`, with the way out for a rate that still has a unit."""
    if isinstance(rate, DiscountRate):
        return [f"`discount_rate` is per period here: use {spell(rate)}.per_period('Q') or so"]
    return rate_problems(rate)


def horizon_problems(n_periods: object) -> list[str]:
    """Say why `n_periods` is no number of payments (empty if it is)."""
    if n_periods is None:
        return []
    whole = isinstance(n_periods, int | np.integer) and not isinstance(n_periods, bool)
    if whole and n_periods >= 1:
        return []
    return [f"`n_periods` must be a whole number from 1, or None for ever, got {n_periods!r}"]


def by_stage(owner: str, parameter: str, given: object, names: tuple[str, ...]) -> NDArray:
    """Numbers in the order of `names`; whatever carries labels must name every stage, no other."""
    if isinstance(given, xr.DataArray):
        given = given.to_series()
    if isinstance(given, pd.Series):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        return np.asarray(given, dtype=float)
    raise_problems(SpecError, owner, _naming_problems(parameter, names, list(given)))
    return np.array([given[name] for name in names], dtype=float)


def _naming_problems(parameter: str, names: Sequence[str], given: Sequence[str]) -> list[str]:
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    problems = [f"`{parameter}` is missing for stage {name!r} (0 is a number)" for name in missing]
    return problems + [f"`{parameter}` names the unknown stage {name!r}" for name in unknown]


def margins_by_draw(
    owner: str, margin: object, names: tuple[str, ...], draws: xr.DataArray
) -> Floats:
    """Margins in the order of `names`: (stage,), or (chain, draw, stage) if they are a posterior.

    `draws` carries the chains and draws that are valued; a posterior of margins must have them.
    """
    if not isinstance(margin, xr.DataArray) or not {"chain", "draw"} & set(margin.dims):
        return by_stage(owner, "margin", margin, names)
    problems = _posterior_problems(margin, names, draws)
    raise_problems(SpecError, owner, problems)
    chosen = margin.sel(stage=list(names), chain=draws["chain"], draw=draws["draw"])
    return chosen.transpose("chain", "draw", "stage").values


def _posterior_problems(
    margin: xr.DataArray, names: tuple[str, ...], draws: xr.DataArray
) -> list[str]:
    """Say why margins that vary over draws do not fit a posterior (empty if they do)."""
    if set(margin.dims) != {"chain", "draw", "stage"} or "stage" not in margin.coords:
        return [f"`margin` needs dims chain, draw and a named stage, got {margin.dims}"]
    held = [str(name) for name in margin["stage"].values]
    problems = _naming_problems("margin", names, held)
    for dim in ("chain", "draw"):
        lacking = sorted(set(draws[dim].values) - set(margin[dim].values))
        if lacking:
            problems.append(f"`margin` has no {dim} {lacking[0]}, which the fit has")
    return problems
