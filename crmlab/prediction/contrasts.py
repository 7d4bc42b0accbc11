"""The effects of a covariate: on every move, and on where customers are years ahead.

An effect is a contrast of two settings of the same customers: *from* these values of the
covariates *to* those, with everything else unchanged. It is causal only if the covariate was
assigned at random, or if nothing else explains both it and the moves.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from crmlab.arrays import Floats, count_problems, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.inference import Fit
from crmlab.prediction.customers import Customers, Parameters, read_customers
from crmlab.prediction.draws import collect_all, thin_draws
from crmlab.prediction.moves import ROWS, matrices_at
from crmlab.prediction.population import find_places, population_points
from crmlab.prediction.recursion import advance
from crmlab.transitions.covariates import moves_inside

Setting = Mapping[str, float]
INTERVALS = "equal-tailed"


class Contrast(NamedTuple):
    """Two settings of some columns of the design; the others stay as they were."""

    columns: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, design: Floats, high: bool) -> Floats:
        """Return the design under one of the settings (..., column)."""
        changed = design.copy()
        changed[..., list(self.columns)] = self.high if high else self.low
        return changed


def transition_effects(
    fit: Fit,
    *,
    low: Setting,
    high: Setting,
    draws: int = 200,
    prob: float = 0.9,
) -> xr.Dataset:
    """Average marginal effect of covariates on the probability of every move.

    Parameters
    ----------
    fit : Fit
        Of a model whose moves depend on covariates.
    low, high : mapping of covariate to number
        The two settings that are compared, in the panel's units, both of the same covariates:
        ``low={"contacts": 0}, high={"contacts": 1}``. Name a covariate and its square together.
        The other covariates stay as they were in each move.
    draws : int
        Posterior draws to use in all.
    prob : float
        Probability of the intervals.

    Returns
    -------
    xr.Dataset with dims (stage_from, stage_to)
        ``mean``, ``lower`` and ``upper`` of the effect [probability per period], and ``low`` and
        ``high``, mean probabilities under the settings. ``draws`` (chain, draw, stage_from,
        stage_to) are the effects themselves. Each row of an effect sums to 0. ``attrs`` name the
        settings and the kind and probability of the interval.

    Raises
    ------
    SpecError
        The model has no such covariate, or the settings name different ones.

    Notes
    -----
    ``mean over moves (n, t) of E_u [ P(high, x_nt, u) - P(low, x_nt, u) ]``: the moves are those
    inside the customers' windows; u are a customer's own effects, averaged over the population. A
    move has the same weight whichever stage it may have started from.
    """
    customers = read_customers(fit)
    contrast = _read_contrast("transition_effects", customers, low, high, prob)
    rows, counts = _distinct_moves(customers, contrast)
    names = list(fit.model.space.names)

    def matrices(parameters: Parameters) -> list[Floats]:
        return [
            _mean_matrix(customers, parameters, contrast.apply(rows, side), counts)
            for side in (False, True)
        ]

    labels = {"stage_from": names, "stage_to": names}
    found = _contrast_draws(matrices, thin_draws(fit, draws), labels)
    return _summarise(found, prob).assign_attrs(_say(low, high, prob))


def occupancy_effects(
    fit: Fit,
    *,
    n_periods: int,
    low: Setting,
    high: Setting,
    start: str | None = None,
    draws: int = 200,
    prob: float = 0.9,
) -> xr.Dataset:
    """Effect of a lasting setting of covariates on the shares of the stages in the periods ahead.

    Parameters
    ----------
    fit, draws, prob
        As in `transition_effects`.
    n_periods : int
        Periods ahead.
    low, high : mapping of covariate to number
        As there; each setting applies from the next period. The other covariates stay as in each
        customer's last move.
    start : str, optional
        Stage in which all customers start; if left out, each starts in the current stage.

    Returns
    -------
    xr.Dataset with dims (horizon, stage)
        ``mean``, ``lower`` and ``upper`` of the effect on the share of customers in each stage, and
        ``periods_mean``, ``periods_lower``, ``periods_upper`` on the periods spent there up to the
        horizon, per customer. ``low`` and ``high`` are the mean shares, ``draws`` (chain, draw,
        horizon, stage) the effects on them. ``attrs`` name settings and interval.

    Raises
    ------
    SpecError
        The model has no such covariate, `start` is not a stage, or `n_periods` is not
        a positive integer.

    Notes
    -----
    ``mean over n of E_u [ f_n(u) P_n(high, u)^h - f_n(u) P_n(low, u)^h ]``, where f_n are
    the filtered probabilities of the last period and u are the customer's own effects, given what
    was seen.
    """
    customers = read_customers(fit)
    contrast = _read_contrast("occupancy_effects", customers, low, high, prob)
    _check_ahead(fit, n_periods, start)
    histories, space = customers.histories, fit.model.space
    last, shares_of = _last_design(customers), histories.times / histories.times.sum()

    def shares(parameters: Parameters) -> list[Floats]:
        places = find_places(customers, parameters)
        now = places.now if start is None else np.eye(len(space))[space.index(start)]
        joint = shares_of[:, None, None] * places.weights[..., None] * now
        return [
            _shares_ahead(customers, parameters, contrast.apply(last, side), joint, n_periods)
            for side in (False, True)
        ]

    labels = {"horizon": np.arange(1, n_periods + 1), "stage": list(space.names)}
    result = _summarise(_contrast_draws(shares, thin_draws(fit, draws), labels), prob)
    spent = _interval(result["draws"].cumsum("horizon"), prob)
    spent = {f"periods_{name}": values for name, values in spent.items()}
    return result.assign(spent).assign_attrs(_say(low, high, prob))


# What moves are like under a setting --------------------------------------------------------------


def _distinct_moves(customers: Customers, contrast: Contrast) -> tuple[Floats, Floats]:
    """Find the other covariates of the moves (row, column), and the share of moves of each row."""
    inside = moves_inside(customers.panel)
    cells = contrast.apply(customers.read_design(customers.panel), high=False)
    design = np.broadcast_to(cells, (*inside.shape, cells.shape[-1]))
    rows, counts = np.unique(design[inside], axis=0, return_counts=True)
    if not len(rows):
        raise SpecError("transition_effects: no customer was observed in two periods in a row.")
    return rows, counts / counts.sum()


def _last_design(customers: Customers) -> Floats:
    """Covariates of each history's last move (history, column); of the first if it has none."""
    last = np.maximum(customers.histories.last - 1, 0)
    cells = customers.read_design(customers.panel)
    cells = np.broadcast_to(cells, (len(customers.seen), *cells.shape[1:]))
    cells = cells[customers.histories.example]
    return cells[np.arange(len(last)), np.minimum(last, cells.shape[1] - 1)]


def _mean_matrix(
    customers: Customers, parameters: Parameters, rows: Floats, weights: Floats
) -> Floats:
    """Mean transition matrix (K, K) over covariates and the population."""
    points = population_points(customers.n_effects) if customers.n_effects else np.empty((1, 0))
    size = max(1, ROWS // len(points))
    total = np.zeros(())
    for i in range(0, len(rows), size):
        some = slice(i, i + size)
        matrices = matrices_at(customers, parameters, rows[some], points)
        total = total + np.einsum("n,npij->ij", weights[some], matrices) / len(points)
    return total


def _shares_ahead(
    customers: Customers, parameters: Parameters, design: Floats, joint: Floats, n_periods: int
) -> Floats:
    """Mean stage probabilities of the periods to come (horizon, stage).

    `joint` (customer, point, stage) says where customers start.
    """
    points = population_points(customers.n_effects) if customers.n_effects else np.empty((1, 0))
    size = max(1, ROWS // len(points))
    shares = np.zeros((n_periods, joint.shape[-1]))
    allowed = np.argwhere(customers.fit.model.space.mask)
    for i in range(0, len(design), size):
        some = slice(i, i + size)
        matrices = np.moveaxis(
            matrices_at(customers, parameters, design[some], points), (0, 1), (2, 3)
        )
        probs = np.moveaxis(joint[some], -1, 0)
        for h in range(n_periods):
            probs = advance(probs, matrices, allowed)
            shares[h] += probs.sum(axis=(1, 2))
    return shares


# What is asked, and what is said ------------------------------------------------------------------


def _contrast_draws(
    settle: Callable[[Parameters], list[Floats]], chosen: xr.Dataset, labels: Mapping[str, object]
) -> xr.Dataset:
    """Compute both settings and their difference, draw by draw."""

    def both(parameters: Parameters) -> dict[str, tuple]:
        low, high = settle(parameters)
        values = {"low": low, "high": high, "draws": high - low}
        return {name: (tuple(labels), array) for name, array in values.items()}

    return collect_all(both, chosen, labels)


def _summarise(found: xr.Dataset, prob: float) -> xr.Dataset:
    settings = found[["low", "high"]].mean(("chain", "draw"))
    effects = found[["draws"]].assign(_interval(found["draws"], prob))
    return effects.merge(settings)


def _interval(draws: xr.DataArray, prob: float) -> dict[str, xr.DataArray]:
    """Mean and equal-tailed interval over the draws."""
    dims, tail = ("chain", "draw"), (1 - prob) / 2
    ends = draws.quantile([tail, 1 - tail], dims)
    return {
        "mean": draws.mean(dims),
        "lower": ends.isel(quantile=0, drop=True),
        "upper": ends.isel(quantile=1, drop=True),
    }


def _say(low: Setting, high: Setting, prob: float) -> dict[str, object]:
    words = [", ".join(f"{name} = {value:g}" for name, value in s.items()) for s in (low, high)]
    return {
        "contrast": f"from {words[0]} to {words[1]}",
        "interval_kind": INTERVALS,
        "interval_prob": prob,
    }


def _read_contrast(
    owner: str, customers: Customers, low: Setting, high: Setting, prob: float
) -> Contrast:
    columns = customers.columns
    problems = []
    if not low or set(low) != set(high):
        problems.append(
            f"`low` and `high` must set the same covariates, got {list(low)} and {list(high)}"
        )
    problems += [
        f"{name!r} is not among the covariates {list(columns)} of the model"
        for name in dict.fromkeys([*low, *high])
        if name not in columns
    ]
    problems += [
        f"{name!r} must be set to finite numbers, got {value!r}"
        for name, value in [*low.items(), *high.items()]
        if not np.isfinite(value)
    ]
    problems += number_problems({"prob": prob}, above=0, below=1)
    raise_problems(SpecError, owner, problems)
    places = tuple(columns.index(name) for name in low)
    return Contrast(places, tuple(low.values()), tuple(high[name] for name in low))


def _check_ahead(fit: Fit, n_periods: int, start: str | None) -> None:
    problems = count_problems({"n_periods": n_periods})
    names = fit.model.space.names
    if start is not None and start not in names:
        problems.append(f"`start` must be one of the stages {list(names)}, got {start!r}")
    raise_problems(SpecError, "occupancy_effects", problems)
