"""Pseudo-residuals of one channel: their distribution, their quantiles, their course."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.special import ndtri

from crmlab.arrays import Floats
from crmlab.errors import check_one_of
from crmlab.plots.layout import take_axes
from crmlab.plots.styles import INK, LINES, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_pseudo_residuals(
    residuals: xr.DataArray, *, view: str = "quantiles", ax: "Axes | None" = None
) -> "Axes":
    """Compare the pseudo-residuals of one channel with the standard normal distribution.

    Parameters
    ----------
    residuals : xr.DataArray (customer_id, period)
        One variable of `pseudo_residuals`.
    view : {"histogram", "quantiles", "periods"}
        How often they occur, with the normal density; their quantiles against the normal ones; or
        their mean and standard deviation in each period, which should be 0 and 1.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> numbers = xr.DataArray(ndtri((np.arange(40) + 0.5) / 40).reshape(8, 5), name="visits",
    ...                        dims=("customer_id", "period"), coords={"period": range(5)})
    >>> plot_pseudo_residuals(numbers).get_ylabel()
    'Pseudo-residual of visits'
    """
    check_one_of("plot_pseudo_residuals", "view", view, tuple(VIEWS))
    ax = take_axes(ax, 0.6)
    VIEWS[view](ax, residuals)
    return ax


def _draw_histogram(ax: "Axes", residuals: xr.DataArray) -> None:
    values, places = _seen(residuals), np.linspace(-4, 4, 161)
    ax.hist(values, bins=np.linspace(-4, 4, 33), density=True, color=MUTED)
    ax.plot(places, np.exp(-(places**2) / 2) / np.sqrt(2 * np.pi), color=INK)
    ax.set(xlabel=f"Pseudo-residual of {residuals.name}", ylabel="Density")


def _draw_quantiles(ax: "Axes", residuals: xr.DataArray) -> None:
    values = np.sort(_seen(residuals))
    expected = ndtri((np.arange(len(values)) + 0.5) / max(len(values), 1))
    ax.plot([-4, 4], [-4, 4], color=INK, linewidth=0.8)
    ax.plot(expected, values, ".", color=LINES[1], markersize=3)
    ax.set(xlabel="Normal quantile", ylabel=f"Pseudo-residual of {residuals.name}")


def _draw_periods(ax: "Axes", residuals: xr.DataArray) -> None:
    mean, sd = residuals.mean("customer_id"), residuals.std("customer_id")
    for level in (0, 1):
        ax.axhline(level, color=MUTED, linewidth=0.8)
    ax.plot(residuals["period"], mean, "o-", color=LINES[1], label="mean")
    ax.plot(residuals["period"], sd, "s--", color=INK, label="standard deviation")
    ax.set(xlabel="Period", ylabel=f"Pseudo-residual of {residuals.name}")
    ax.legend()


def _seen(residuals: xr.DataArray) -> Floats:
    values = residuals.values.ravel()
    return values[~np.isnan(values)]


VIEWS: dict[str, Callable[["Axes", xr.DataArray], None]] = {
    "histogram": _draw_histogram,
    "quantiles": _draw_quantiles,
    "periods": _draw_periods,
}
