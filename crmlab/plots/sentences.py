"""Sentences for the plots of survival and stage value."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.plots.curves import common_length, find_curves
from crmlab.plots.layout import check_prob, stage_draws
from crmlab.plots.styles import spell_money, stage_title
from crmlab.stages import StageSpace


def describe_survival(
    curves: Mapping[str, ArrayLike],
    *,
    periods: ArrayLike | None = None,
    period_name: str = "period",
    prob: float = 0.9,
) -> str:
    """Say in one sentence what share of customers is left at the end of each curve, with interval.

    Parameters
    ----------
    curves, periods, period_name, prob
        As in `plot_survival`.

    Returns
    -------
    str

    Examples
    --------
    >>> draws = [[1.0, 0.8, 0.6], [1.0, 0.7, 0.5]]
    >>> describe_survival({"sBG": draws}, period_name="year", prob=0.5)
    'After 2 years, 55% of the customers are left under sBG (central 50% interval: 52% to 58%).'
    """
    check_prob("prob", prob)
    found = find_curves("curves", curves)
    length = common_length(found)
    last = float(length - 1 if periods is None else np.asarray(periods, dtype=float)[-1])
    told = [_share(name, curve, prob) for name, curve in found.items()]
    return f"After {last:g} {period_name}{'s' if last != 1 else ''}, {'; '.join(told)}."


def _share(name: str, curve: NDArray, prob: float) -> str:
    ends = 100 * np.atleast_2d(curve)[:, -1]
    mean = f"{ends.mean():.0f}% of the customers are left under {name}"
    if len(ends) == 1:
        return mean
    low, high = np.quantile(ends, [(1 - prob) / 2, (1 + prob) / 2])
    return f"{mean} (central {100 * prob:.0f}% interval: {low:.0f}% to {high:.0f}%)"


def describe_stage_value(
    values: xr.DataArray | ArrayLike, space: StageSpace, *, unit: str = "", prob: float = 0.9
) -> str:
    """Say in one sentence which stage is worth most and least, with the interval of the highest.

    Parameters
    ----------
    values, space, prob
        As in `plot_stage_value`.
    unit : str
        Written after each amount: ' EUR'.

    Returns
    -------
    str

    Examples
    --------
    >>> space = StageSpace(("new", "loyal", "lost"))
    >>> describe_stage_value([[20, 90, 0], [30, 110, 0]], space, unit=" EUR", prob=0.5)
    'A customer is worth most in loyal (100 EUR, central 50% interval 95 to 105) and least in lost \
(0 EUR).'
    """
    check_prob("prob", prob)
    draws = stage_draws("values", values, space)
    means = draws.mean(axis=0)
    names = [stage_title(name).lower() for name in space.names]
    best, worst = int(means.argmax()), int(means.argmin())
    top, bottom = spell_money(means[best]), spell_money(means[worst])
    sure = ""
    if len(draws) > 1:
        low, high = np.quantile(draws[:, best], [(1 - prob) / 2, (1 + prob) / 2])
        sure = f", central {100 * prob:.0f}% interval {spell_money(low)} to {spell_money(high)}"
    return (
        f"A customer is worth most in {names[best]} ({top}{unit}{sure}) and least in "
        f"{names[worst]} ({bottom}{unit})."
    )
