"""Methods of valuing and targeting customers, scored against the truth of a simulated firm.

Two questions. What will these customers bring? Forecasts are compared with what the firm's own
customers went on to bring: bias, error, and whether an interval of the whole base covers it. Whom
to treat? Each method draws up its list; twin worlds say what each list brings, and what it loses
compared with the list of somebody who knows every stage.

The usual shortcuts are compared with any model: RFM cells, one average retention rate, last year
again, and the ranking by risk, which knows who is likely to leave but not whom an action changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmlab.actions import FirmView, Policy
from crmlab.arrays import Floats, number_problems
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.generators.base import Generator
from crmlab.generators.twins import Margins, true_effects, true_regrets

# What will they bring? ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ValueForecast:
    """What a method says that customers will bring.

    Parameters
    ----------
    customers : array_like (n,)
        Mean value of each customer, in currency.
    total : array_like (draws,), optional
        Draws of what all of them together will bring, including randomness; None if the method says
        nothing about its uncertainty.
    """

    customers: ArrayLike
    total: ArrayLike | None = None


def score_values(
    forecasts: Mapping[str, ValueForecast], actual: ArrayLike, *, prob: float = 0.9
) -> pd.DataFrame:
    """Compare forecasts of value with what customers brought, in currency.

    Parameters
    ----------
    forecasts : mapping of method to ValueForecast
    actual : array_like (n,)
        What each customer brought.
    prob : float
        Probability of the interval of the total, equal tails.

    Returns
    -------
    DataFrame
        One row per method: `bias`, mean of forecast less actual, per customer, and its
        `standard_error`; `mae`, mean absolute error per customer; `total_error`, of the base;
        `low` and `high`, the interval of the base's total, and `covers`, whether it holds what the
        base brought (missing where a method gives none).

    Raises
    ------
    DataError
        Forecasts and customers do not match, or a number is not finite.

    Examples
    --------
    >>> told = {"flat": ValueForecast([10.0, 10.0]), "sure": ValueForecast([8, 13], [18, 20, 22])}
    >>> score_values(told, [7.0, 12.0])[["bias", "mae", "covers"]]
          bias  mae covers
    flat   0.5  2.5   <NA>
    sure   1.0  1.0   True
    """
    brought = np.asarray(actual, dtype=float)
    _check_forecasts(forecasts, brought, prob)
    rows = {name: _value_row(forecast, brought, prob) for name, forecast in forecasts.items()}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"covers": "boolean"})


def _value_row(forecast: ValueForecast, actual: Floats, prob: float) -> dict[str, object]:
    error = np.asarray(forecast.customers, dtype=float) - actual
    row: dict[str, object] = {
        "bias": error.mean(),
        "standard_error": error.std(ddof=1) / np.sqrt(len(error)) if len(error) > 1 else np.nan,
        "mae": np.abs(error).mean(),
        "total_error": error.sum(),
    }
    if forecast.total is None:
        return {**row, "low": np.nan, "high": np.nan, "covers": pd.NA}
    low, high = np.quantile(np.asarray(forecast.total, float), [(1 - prob) / 2, (1 + prob) / 2])
    return {**row, "low": low, "high": high, "covers": bool(low <= actual.sum() <= high)}


def _check_forecasts(forecasts: Mapping[str, ValueForecast], actual: Floats, prob: float) -> None:
    problems = []
    if actual.ndim != 1 or not actual.size or not np.isfinite(actual).all():
        problems.append(f"`actual` must be finite, one number per customer, got {actual.shape}")
    for name, forecast in forecasts.items():
        told = np.asarray(forecast.customers, dtype=float)
        if told.shape != actual.shape or not np.isfinite(told).all():
            problems.append(
                f"`customers` of {name!r} must be finite, of shape {actual.shape}, got {told.shape}"
            )
        total = forecast.total
        if total is not None and (np.ndim(total) != 1 or not np.isfinite(total).all()):
            bad = np.count_nonzero(~np.isfinite(total))
            problems.append(
                f"`total` of {name!r} must be finite draws in one dimension, got shape "
                f"{np.shape(total)}, {bad} of them not finite"
            )
    problems += number_problems({"prob": prob}, above=0, below=1)
    raise_problems(DataError, "score_values", problems)


# The usual shortcuts ------------------------------------------------------------------------------


class Shortcuts(NamedTuple):
    """Values and rankings of firms without a model, from counts and amounts by period."""

    values: dict[str, ValueForecast]
    rankings: dict[str, Floats]


def usual_shortcuts(
    purchases: ArrayLike, spend: ArrayLike, *, n_periods: int, discount_rate: float
) -> Shortcuts:
    """Value and rank customers the usual way, from purchases and margins by period.

    * "last year again": a customer brings the same as in the last `n_periods`.
    * "RFM": thirds by recency, frequency and margin; each customer brings the mean of the cell.
    * "one retention rate": of the buyers in one half of the last `n_periods`, the share who bought
      in the other half is everybody's retention; each brings her mean margin while she stays.
    * "risk": a ranking without values: who has been silent longest for her own rhythm.

    Parameters
    ----------
    purchases, spend : array_like (n, T)
        Number of purchases, and margin in currency, of each customer in each period.
    n_periods : int
        Periods ahead, at most T; margins of the last `n_periods` are the base of the forecasts.
    discount_rate : float
        A fraction per period.

    Returns
    -------
    Shortcuts
        `values` of the first three; `rankings` of all but the first, in which a higher number is
        treated first: by value, by RFM cell, by risk.

    Raises
    ------
    DataError
        The tables do not fit each other or the horizon.
    """
    bought, margin = (np.asarray(table, dtype=float) for table in (purchases, spend))
    if bought.ndim != 2 or bought.shape != margin.shape or not 2 <= n_periods <= bought.shape[1]:
        raise DataError(
            "usual_shortcuts: `purchases` and `spend` must have one shape (n, T) with T at least "
            f"`n_periods`, and `n_periods` at least 2; got {bought.shape}, {margin.shape} and "
            f"{n_periods}"
        )
    discount = (1 + discount_rate) ** -np.arange(1.0, n_periods + 1)
    recent = margin[:, -n_periods:]
    again = recent.mean(axis=1) * discount.sum()
    cells = _rfm_cells(bought, recent)
    stays = _retention(bought[:, -n_periods:])
    per_period = stays ** (2 / n_periods)  # from half a horizon to a period
    decline = (per_period ** np.arange(1.0, n_periods + 1) * discount).sum()
    retained = recent.mean(axis=1) * decline
    by_cell = pd.Series(again).groupby(cells).transform("mean").to_numpy()
    values = {
        "last year again": ValueForecast(again),
        "RFM": ValueForecast(by_cell),
        "one retention rate": ValueForecast(retained),
    }
    return Shortcuts(
        values, {"RFM": by_cell, "one retention rate": retained, "risk": _risk(bought)}
    )


def _rfm_cells(bought: Floats, recent: Floats) -> Floats:
    """Give the code of each customer's cell, 0 to 26."""
    scores = (-_silence(bought), bought.sum(axis=1), recent.sum(axis=1))
    thirds = [(pd.Series(score).rank(pct=True) * 3).clip(upper=2.999) // 1 for score in scores]
    return (9 * thirds[0] + 3 * thirds[1] + thirds[2]).to_numpy()


def _silence(bought: Floats) -> Floats:
    """Periods since the last purchase; the whole window where there was none."""
    return np.where((bought > 0).any(axis=1), (bought[:, ::-1] > 0).argmax(axis=1), bought.shape[1])


def _retention(bought: Floats) -> float:
    half = bought.shape[1] // 2
    earlier, later = (bought[:, :half] > 0).any(axis=1), (bought[:, half:] > 0).any(axis=1)
    return float(later[earlier].mean()) if earlier.any() else 1.0


def _risk(bought: Floats) -> Floats:
    """Silence in units of the customer's own mean interval between purchases."""
    return _silence(bought) * (bought.sum(axis=1) + 1) / bought.shape[1]


# Whom to treat? -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shortlist(Policy):
    """An action for the customers of a list, in one period.

    Parameters
    ----------
    action : str
    customers : tuple of int
        Their customer_id.
    period : int
    """

    action: str
    customers: tuple[int, ...]
    period: int

    def propensities(self, view: FirmView) -> Floats:
        """Return 1 for those on the list, in the period."""
        listed = np.isin(view.customers["customer_id"].to_numpy(), self.customers)
        return view.propensities({self.action: listed & (view.period == self.period)})


def score_targets(
    world: Generator,
    n_customers: int,
    rankings: Mapping[str, ArrayLike],
    *,
    action: str,
    period: int,
    share: float,
    stages: Sequence[str],
    margins: Margins,
    seed: int,
    discount_rate: float = 0.0,
) -> pd.DataFrame:
    """Compute what each method's list loses compared with that of someone who knows every stage.

    Parameters
    ----------
    world : Generator
        With the action.
    n_customers : int
        The world's customers 0 to n_customers - 1 are ranked.
    rankings : mapping of method to array_like (n_customers,)
        Who is treated first: the highest numbers; ties go to the lower customer_id.
    action : str
    period : int
        When the customers on the lists are treated, once.
    share : float
        Share of the customers that the budget reaches.
    stages : sequence of str (n_customers,)
        True stage of each customer in that period, for the list of someone who knows.
    margins, seed, discount_rate
        As in `true_regrets`.

    Returns
    -------
    DataFrame
        One row per list, best first: `value` and `regret` of all customers together, and the
        `standard_error` of the regret, in currency. "knows the stages" treats the stages in which
        twins say that the action helps most, as far as it pays; "nobody" treats no one.

    Raises
    ------
    SpecError
        A ranking or the share is not valid. All problems at once.
    """
    problems = [
        f"`rankings` of {name!r} must hold {n_customers} finite numbers, got {np.shape(order)}"
        for name, order in rankings.items()
        if np.shape(order) != (n_customers,) or not np.isfinite(order).all()
    ]
    if not 0 < share <= 1:
        problems.append(f"`share` must be above 0 and at most 1, got {share!r}")
    if len(stages) != n_customers:
        problems.append(f"`stages` must name {n_customers} stages, got {len(stages)}")
    raise_problems(SpecError, "score_targets", problems)
    money: dict[str, Any] = {"margins": margins, "seed": seed, "discount_rate": discount_rate}
    everybody = Shortlist(action, tuple(range(n_customers)), period)
    effects = true_effects(world, n_customers, everybody, **money).individual["effect"]
    known = effects.groupby(np.asarray(stages)).transform("mean").to_numpy()
    size = round(share * n_customers)
    lists = {name: _first(order, size) for name, order in rankings.items()}
    lists["knows the stages"] = tuple(i for i in _first(known, size) if known[i] > 0)
    policies = {name: Shortlist(action, chosen, period) for name, chosen in lists.items()}
    policies["nobody"] = Shortlist(action, (), period)
    return n_customers * true_regrets(world, n_customers, policies, **money)


def _first(order: ArrayLike, size: int) -> tuple[int, ...]:
    return tuple(np.argsort(-np.asarray(order, dtype=float), kind="stable")[:size].tolist())
