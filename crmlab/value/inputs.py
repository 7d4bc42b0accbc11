"""The inputs of this package's functions: matrices, margins, rates and horizons, checked."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, are_probs, is_count, number_problems
from crmlab.errors import SpecError, check_one_of, raise_problems, wrong
from crmlab.value.rates import DiscountRate, rate_problems, spell

# How far into its period a payment comes, as a share of the period.
TIMINGS = {"start": 0.0, "middle": 0.5, "end": 1.0}
# The first payment that counts: that of the next period or of the current one.
FIRSTS = ("next", "current")


def check_timing(owner: str, timing: str, first: str) -> None:
    """Refuse an unknown convention of time."""
    check_one_of(owner, "timing", timing, TIMINGS)
    check_one_of(owner, "first", first, FIRSTS)


def read_valued(
    owner: str,
    P: ArrayLike,
    margin: ArrayLike,
    discount_rate: float,
    n_periods: int | None,
    more: Callable[[Floats, Floats], Iterable[str]] = lambda P, margin: (),
) -> tuple[Floats, Floats, float]:
    """Return matrices (..., K, K), margins (..., K) and the discount factor, all checked.

    `more` lists further problems, given the arrays.
    """
    P, margin = as_floats("P", P), as_floats("margin", margin)
    problems = [
        *matrix_problems(P),
        *margin_problems(P, margin),
        *bare_rate_problems(discount_rate),
        *horizon_problems(n_periods),
        *more(P, margin),
    ]
    raise_problems(SpecError, owner, problems)
    return P, margin, 1 / (1 + discount_rate)


def as_floats(parameter: str, given: object) -> Floats:
    """Read numbers; refuse names, mappings and rows of unequal length, and say why."""
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
    """Say why `n_periods` is not a number of payments (empty if it is)."""
    if n_periods is None or is_count(n_periods):
        return []
    return [wrong("n_periods", "a whole number of at least 1, or None for ever", n_periods)]


def read_probs(owner: str, parameter: str, probs: object, n_stages: int) -> Floats:
    """Return probabilities of the stages (..., K)."""
    found = as_floats(parameter, probs)
    if found.ndim and found.shape[-1] == n_stages and are_probs(found):
        return found
    told = found.tolist() if found.size <= 20 else found.shape
    raise SpecError(
        f"{owner}: " + wrong(parameter, f"{n_stages} probabilities that sum to 1", told)
    )


def read_customers(owner: str, n_customers: ArrayLike, n_stages: int) -> Floats:
    """Return customers in each stage (K,)."""
    counts = as_floats("n_customers", n_customers)
    if counts.shape != (n_stages,) or number_problems({"n_customers": counts}, least=0):
        rule = f"{n_stages} counts of at least 0"
        raise SpecError(f"{owner}: " + wrong("n_customers", rule, counts.tolist()))
    return counts


def by_stage(owner: str, parameter: str, given: object, names: tuple[str, ...]) -> NDArray:
    """Return numbers in the order of `names`; labels must name every stage and no other."""
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
    owner: str, margin: object, names: tuple[str, ...], draws: xr.DataArray | xr.Dataset
) -> Floats:
    """Return margins in the order of `names`: (stage,), or (chain, draw, stage) for a posterior.

    `draws` has the chains and draws to value; a posterior of margins must have them too.
    """
    if not isinstance(margin, xr.DataArray) or not {"chain", "draw"} & set(margin.dims):
        return by_stage(owner, "margin", margin, names)
    problems = _posterior_problems(margin, names, draws)
    raise_problems(SpecError, owner, problems)
    chosen = margin.sel(stage=list(names), chain=draws["chain"], draw=draws["draw"])
    return chosen.transpose("chain", "draw", "stage").values


def _posterior_problems(
    margin: xr.DataArray, names: tuple[str, ...], draws: xr.DataArray | xr.Dataset
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
