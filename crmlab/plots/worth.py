"""What each stage is worth, drawn as a staircase in money."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.plots.layout import check_prob, points_of, stage_draws, take_axes
from crmlab.plots.styles import (
    DOWN,
    INK,
    MUTED,
    PHASE_COLOURS,
    PHASE_TITLES,
    UP,
    mixed,
    spell_money,
    stage_colours,
    stage_title,
)
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_stage_value(
    values: xr.DataArray | ArrayLike,
    space: StageSpace,
    *,
    unit: str,
    prob: float = 0.9,
    ax: "Axes | None" = None,
) -> "Axes":
    """Show the worth of a customer in each stage, in money, as treads with their uncertainty.

    The treads are at the means; the pale boxes around them are central intervals. The worth of the
    step from one stage to the next is under the axis, between the two.

    Parameters
    ----------
    values : DataArray with dim stage, or array_like of shape (draws, K)
        Draws of the value per stage, in `unit`.
    space : StageSpace
        K stages; coming together is drawn first, in the listed order, then coming apart.
    unit : str
        Currency, for example 'EUR'.
    prob : float
        Probability of the central (equal-tailed) interval.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        The draws do not match the space, or are not finite.

    Examples
    --------
    >>> ax = plot_stage_value([[0, 90], [0, 110]], StageSpace(("lost", "loyal")), unit="EUR")
    >>> [text.get_text() for text in ax.texts]
    ['0', '100', '+100']
    """
    check_prob("prob", prob)
    draws = stage_draws("values", values, space)
    order = np.argsort(np.array(space.phases) == "apart", kind="stable")
    ax = take_axes(ax, 0.60)
    draw_treads(ax, draws[:, order], [list(stage_colours(space).values())[k] for k in order], prob)
    _label_treads(ax, draws[:, order], prob)
    _draw_steps(ax, draws[:, order].mean(axis=0))
    _finish(ax, space, order, unit, prob if len(draws) > 1 else None)
    return ax


def _interval(draws: NDArray, prob: float) -> NDArray:
    return np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)


def draw_treads(ax: "Axes", draws: NDArray, colours: Sequence[str], prob: float) -> None:
    """Draw the worth of each stage: mean and interval."""
    means = draws.mean(axis=0)
    low, high = _interval(draws, prob)
    for k, (mean, colour) in enumerate(zip(means, colours, strict=True)):
        span = [k - 0.5, k + 0.5]
        ax.fill_between(span, 0, mean, facecolor=mixed(colour, "#FFFFFF", 0.22), linewidth=0)
        ax.fill_between(
            span, low[k], high[k], facecolor=mixed(colour, "#FFFFFF", 0.55), linewidth=0, zorder=2
        )
        ax.plot(
            span,
            [mean, mean],
            color=colour,
            linestyle="-",
            marker="",
            linewidth=points_of(0.45),
            solid_capstyle="butt",
            zorder=3,
        )
    edges = np.repeat(np.arange(len(means) + 1) - 0.5, 2)[1:-1]
    ax.plot(
        edges,
        np.repeat(means, 2),
        color=INK,
        linestyle="-",
        marker="",
        linewidth=points_of(0.07),
        zorder=4,
    )
    ax.axhline(0, color=MUTED, linestyle="-", linewidth=points_of(0.09), zorder=1)


def _label_treads(ax: "Axes", draws: NDArray, prob: float) -> None:
    """Write the means above the treads and their intervals."""
    top = np.maximum(_interval(draws, prob)[1], draws.mean(axis=0))
    for k, (mean, y) in enumerate(zip(draws.mean(axis=0), top, strict=True)):
        ax.annotate(
            spell_money(mean),
            (k, y),
            (0, points_of(0.45)),
            textcoords="offset points",
            ha="center",
            va="bottom",
            weight="bold",
            size=points_of(0.95),
            zorder=5,
        )


def _draw_steps(ax: "Axes", means: NDArray) -> None:
    """Write the worth of each step under the axis, between its two stages."""
    for k, step in enumerate(np.diff(means)):
        ax.annotate(
            spell_money(step, sign="+"),
            (k + 0.5, 0),
            (0, -points_of(0.5)),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            size=points_of(0.8),
            color=UP if step > 0 else DOWN,
        )


def _finish(ax: "Axes", space: StageSpace, order: NDArray, unit: str, prob: float | None) -> None:
    titles = [stage_title(space.names[k]) for k in order]
    # Long names alternate between two lines, so that they stay horizontal.
    lowered = ["\n" * (k % 2) + title for k, title in enumerate(titles)]
    ax.set_xticks(range(len(titles)), lowered if len(titles) > 5 else titles)
    ax.tick_params(axis="x", length=0, pad=points_of(2.0))
    note = "" if prob is None else f"; pale boxes: central {100 * prob:.0f}% interval"
    ax.set(
        xlim=(-0.5, len(titles) - 0.5),
        ylabel=f"Worth of a customer ({unit})",
        xlabel=f"Stage (between stages: worth of the step{note})",
    )
    ax.margins(y=0.10)
    ax.grid(visible=False, axis="x")
    if len(set(space.phases)) == 2:
        draw_headings(ax, space.phases.count("together"), len(titles))


def draw_headings(ax: "Axes", n_together: int, n_stages: int) -> None:
    """Write the names of the phases above their stages."""
    for phase, x, side in (("together", 0.0, "left"), ("apart", 1.0, "right")):
        ax.text(
            x,
            1.02,
            PHASE_TITLES[phase],
            transform=ax.transAxes,
            ha=side,
            va="bottom",
            weight="bold",
            size=points_of(1.1),
            color=PHASE_COLOURS[phase],
        )
    ax.axvline(n_together - 0.5, color=MUTED, linestyle=":", linewidth=points_of(0.09), zorder=0)
