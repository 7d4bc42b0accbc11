"""Transition probabilities: the whole matrix as a table, and the posterior of one row."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.errors import refuse
from crmlab.plots.layout import check_numbers, check_prob, points_of, stage_draws, take_axes
from crmlab.plots.styles import INK, MUTED, stage_colours, stage_title
from crmlab.stages import StageSpace, check_transition_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PALE_TO_DARK = ("#F3F6F8", "#9CC3D5", "#3C86AB", "#12507D", "#0A2E52")
_STRIP = 0.14  # width of the colour strip beside the table, in cells


def plot_transition_matrix(
    transition_matrix: ArrayLike, space: StageSpace, *, ax: "Axes | None" = None
) -> "Axes":
    """Show transition probabilities, in % of each row, as a table shaded by size.

    Moves that the space does not allow stay blank; a 0 is an allowed move with probability zero.
    The strips beside the names show the colours of the stages.

    Parameters
    ----------
    transition_matrix : array_like of shape (K, K)
        Probability per period; row = stage now, column = stage in the next period.
    space : StageSpace
        K stages.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        The matrix does not fit the space.

    Examples
    --------
    >>> space = StageSpace(("loyal", "lost"), moves=(("loyal", "lost"),))
    >>> ax = plot_transition_matrix([[0.9, 0.1], [0, 1]], space)
    >>> [text.get_text() for text in ax.texts]
    ['90', '10', '100']
    """
    import seaborn
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    P = check_transition_matrix(space, transition_matrix)
    titles = [stage_title(name) for name in space.names]
    ax = take_axes(ax, 0.40 + 0.035 * len(space))
    cells = np.where(P == 0, "0", [[_in_percent(p) for p in row] for row in P])
    # The square root makes differences among small probabilities visible.
    seaborn.heatmap(
        P,
        mask=~space.mask,
        annot=cells,
        fmt="",
        norm=PowerNorm(0.5, 0, 1),
        cbar=False,
        cmap=LinearSegmentedColormap.from_list("stay", _PALE_TO_DARK),
        linewidths=1.0,
        linecolor="white",
        annot_kws={"size": points_of(0.85)},
        ax=ax,
    )
    ax.grid(visible=False)
    ax.set_yticks(np.arange(len(space)) + 0.5, titles, rotation=0)
    ax.set_xticks(
        np.arange(len(space)) + 0.5, titles, rotation=40, ha="right", rotation_mode="anchor"
    )
    ax.set(xlabel="Stage in the next period (% of the row)", ylabel="Stage now")
    _draw_strips(ax, space)
    return ax


def plot_row_posterior(
    draws: xr.DataArray | ArrayLike,
    space: StageSpace,
    *,
    stage_from: str | None = None,
    truth: ArrayLike | None = None,
    prob: float = 0.9,
    ax: "Axes | None" = None,
) -> "Axes":
    """Show what is known about one row of a transition matrix: a ridge for each allowed move.

    Each ridge is a kernel density, scaled to its own peak; the line under it is the central
    interval, and the numbers at the right are mean and interval.

    Parameters
    ----------
    draws : DataArray with dim stage_to, or array_like of shape (draws, K)
        Draws of the row. A DataArray may also have the dim stage_from, from which `stage_from`
        chooses.
    space : StageSpace
        K stages.
    stage_from : str, optional
        The stage whose row this is; by default, read from the coordinates of `draws`.
    truth : array_like of shape (K,), optional
        True probabilities of the row, drawn as dots.
    prob : float
        Probability of the central (equal-tailed) interval.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        The row is not known, or an array does not match the space.

    Examples
    --------
    >>> space = StageSpace(("loyal", "lost"))
    >>> ax = plot_row_posterior([[.8, .2], [.7, .3], [.9, .1]], space, stage_from="loyal")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Loyal', 'Lost']
    """
    name, row = _row(draws, space, stage_from)
    check_prob("prob", prob)
    truth = None if truth is None else check_numbers("truth", truth, (len(space),))
    shown = np.flatnonzero(space.mask[space.index(name)])
    ax = take_axes(ax, 0.16 + 0.07 * len(shown))
    colours = list(stage_colours(space).values())
    for place, stage in enumerate(shown[::-1]):
        _draw_ridge(ax, row[:, stage], place, colours[stage])
        _draw_interval(ax, row[:, stage], place, prob)
        if truth is not None:
            _draw_truth(ax, truth[stage], place)
    _finish_ridges(ax, space, name, shown, row, truth, prob)
    return ax


def _in_percent(p: float) -> str:
    return "<1" if 0 < p < 0.005 else f"{100 * p:.0f}"


def _draw_strips(ax: "Axes", space: StageSpace) -> None:
    """Colour the rows and columns by stage, outside the table."""
    from matplotlib.patches import Rectangle

    below = len(space) + 0.06
    for k, colour in enumerate(stage_colours(space).values()):
        for corner, width, height in (
            ((-0.06 - _STRIP, k + 0.03), _STRIP, 0.94),
            ((k + 0.03, below), 0.94, _STRIP),
        ):
            ax.add_patch(
                Rectangle(corner, width, height, facecolor=colour, linewidth=0, clip_on=False)
            )
    ax.tick_params(length=0, pad=points_of(1.15))


def _row(
    draws: xr.DataArray | ArrayLike, space: StageSpace, stage_from: str | None
) -> tuple[str, Floats]:
    """Return the name of the row's stage, and its draws as (n, K)."""
    if isinstance(draws, xr.DataArray) and "stage_from" in draws.coords:
        if draws["stage_from"].ndim == 0:
            stage_from = str(draws["stage_from"].values)
        elif stage_from is not None:
            space.index(stage_from)
            draws = draws.sel(stage_from=stage_from)
    if stage_from is None:
        refuse("plot_row_posterior", "stage_from", "the name of the stage of this row", None)
    space.index(stage_from)
    return stage_from, stage_draws("draws", draws, space, "stage_to")


def _draw_ridge(ax: "Axes", values: NDArray, place: float, colour: str) -> None:
    if np.ptp(values) < 1e-9:
        ax.plot([values[0]] * 2, [place, place + 0.75], color=colour, linestyle="-", marker="")
        return
    x, density = _density(values)
    ridge = place + 0.75 * density / density.max()
    ax.fill_between(x, place, ridge, facecolor=colour, edgecolor=INK, linewidth=0.7, alpha=0.95)


def _density(values: NDArray) -> tuple[NDArray, NDArray]:
    """Kernel density of probabilities, reflected at 0 and 1 where mass would leak out."""
    from scipy.stats import gaussian_kde

    kernel = gaussian_kde(values)
    spread = 3 * np.sqrt(kernel.covariance[0, 0])
    x = np.linspace(max(0.0, values.min() - spread), min(1.0, values.max() + spread), 200)
    return x, kernel(x) + kernel(-x) + kernel(2 - x)


def _draw_interval(ax: "Axes", values: NDArray, place: float, prob: float) -> None:
    low, high = np.quantile(values, [(1 - prob) / 2, (1 + prob) / 2])
    ax.plot(
        [low, high],
        [place - 0.06] * 2,
        color=INK,
        linestyle="-",
        marker="",
        linewidth=points_of(0.2),
        solid_capstyle="butt",
    )


def _draw_truth(ax: "Axes", value: float, place: float) -> None:
    ax.plot(
        value,
        place - 0.06,
        marker="o",
        markersize=points_of(0.62),
        color="white",
        markeredgecolor=INK,
        markeredgewidth=points_of(0.14),
        linestyle="",
        zorder=5,
        clip_on=False,
    )


def _finish_ridges(
    ax: "Axes",
    space: StageSpace,
    name: str,
    shown: NDArray,
    row: NDArray,
    truth: NDArray | None,
    prob: float,
) -> None:
    places = np.arange(len(shown))[::-1]
    ax.set_yticks(places + 0.2, [stage_title(space.names[stage]) for stage in shown])
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)
    dots = "" if truth is None else "; dots: truth"
    key = f"bars: central {100 * prob:.0f}% interval{dots}"
    ax.set(
        xlim=(0, None),
        ylim=(-0.3, len(shown) - 0.1),
        ylabel="Stage in the next period",
        xlabel=f"Probability of moving from {stage_title(name).lower()}, per period\n({key})",
    )
    tails = [(1 - prob) / 2, (1 + prob) / 2]
    for place, stage in zip(places, shown, strict=True):
        low, high = np.quantile(row[:, stage], tails)
        text = f"{row[:, stage].mean():.2f}  [{low:.2f}, {high:.2f}]"
        ax.annotate(
            text,
            (1.0, place + 0.2),
            (points_of(0.8), 0),
            size=points_of(0.85),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
        )
    ax.annotate(
        "mean  [interval]",
        (1.0, len(shown) - 0.1),
        (points_of(0.8), 0),
        size=points_of(0.85),
        color=MUTED,
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="bottom",
    )
