"""Curves to compare: survival, forecasts against outcomes, calibration."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.errors import SpecError, raise_problems
from crmlab.plots.layout import check_numbers, check_prob, points_of, settle, spread, take_axes
from crmlab.plots.styles import DASHES, INK, LINES, MUTED, stage_colours, stage_markers, stage_title
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_survival(
    curves: Mapping[str, ArrayLike],
    *,
    periods: ArrayLike | None = None,
    observed: ArrayLike | None = None,
    period_name: str = "period",
    prob: float = 0.9,
    ax: "Axes | None" = None,
) -> "Axes":
    """Show the share of customers, in %, left after each period: a fan of named curves.

    Parameters
    ----------
    curves : mapping of str to array_like of shape (periods,) or (draws, periods)
        Share of customers left, 0 to 1, by name. Draws add a band: the central interval.
    periods : array_like of shape (periods,), optional
        Times of the curves; by default 0, 1, 2, ...
    observed : array_like of shape (m,), optional
        Observed shares at the first m times, drawn as dots.
    period_name : str
        What a period is: 'year', 'quarter', ...
    prob : float
        Probability of the central (equal-tailed) interval.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        A curve does not match the periods, or has values that are not shares.

    Examples
    --------
    >>> plot_survival({"80% retention": 0.8 ** np.arange(13)}, period_name="year").get_xlabel()
    'Time (years)'
    """
    check_prob("prob", prob)
    fan = find_curves("curves", curves)
    times = _times(periods, common_length(fan))
    dots = None if observed is None else _dots(observed, len(times))
    _check_shares({**fan, **({} if dots is None else {"observed": dots})})

    ax = take_axes(ax, 0.55)
    draw_curves(ax, times, {name: 100 * curve for name, curve in fan.items()}, prob)
    notes = _band_notes(fan, prob)
    if dots is not None:
        ax.plot(times[: len(dots)], 100 * dots, marker="o", color=INK, linestyle="", zorder=5)
        notes.append("dots: observed")
    ax.set(
        xlim=(times[0], times[-1]),
        ylim=(0, 103),
        ylabel="Still a customer (%)",
        xlabel=with_notes(f"Time ({period_name}s)", notes),
    )
    label_ends(ax, {name: 100 * _middle(curve)[-1] for name, curve in fan.items()}, LINES[1:])
    return ax


def plot_prediction(
    actual: ArrayLike,
    forecasts: Mapping[str, ArrayLike],
    *,
    cutoff: float | None = None,
    periods: ArrayLike | None = None,
    quantity: str = "Cumulative repeat purchases",
    period_name: str = "Week",
    prob: float = 0.9,
    ax: "Axes | None" = None,
) -> "Axes":
    """Compare what happened with what models predicted, before and after a cutoff.

    Parameters
    ----------
    actual : array_like of shape (periods,)
        What happened, in units of `quantity`; cumulative for a tracking plot.
    forecasts : mapping of str to array_like of shape (periods,) or (draws, periods)
        Prediction of each model, by name. Draws add a band: the central interval.
    cutoff : float, optional
        The last time in the models' training data; left out if all periods come after it.
    periods : array_like of shape (periods,), optional
        Times; by default 1, 2, 3, ...
    quantity, period_name : str
        Labels of the axes, with units.
    prob : float
        Probability of the central (equal-tailed) interval.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        A curve does not match the periods, or the cutoff lies outside them.

    Examples
    --------
    >>> ax = plot_prediction([1, 3, 4, 6], {"naive": [1, 2, 3, 4]}, cutoff=2)
    >>> [text.get_text() for text in ax.texts]
    ['seen by the models', 'forecast', 'actual', 'naive']
    """
    check_prob("prob", prob)
    happened = check_numbers("actual", actual, (None,))
    models = find_curves("forecasts", forecasts)
    counted = np.arange(1, common_length(models) + 1)
    times = _times(counted if periods is None else periods, common_length(models))
    if happened.shape != times.shape:
        raise SpecError(f"`actual` must have {len(times)} values, as periods, got {len(happened)}")
    if cutoff is not None and not times[0] <= cutoff <= times[-1]:
        raise SpecError(f"`cutoff` must lie in {times[0]:g} to {times[-1]:g}, got {cutoff!r}")

    ax = take_axes(ax, 0.58)
    draw_curves(ax, times, models, prob)
    ax.plot(times, happened, color=INK, linestyle="-", marker="", linewidth=points_of(0.24))
    if cutoff is not None:
        _draw_cutoff(ax, cutoff)
    lowest = min(happened.min(), *(curve.min() for curve in models.values()))
    ax.set(
        xlim=(times[0], times[-1]),
        ylim=(0 if lowest >= 0 else None, None),
        ylabel=quantity,
        xlabel=with_notes(period_name, _band_notes(models, prob)),
    )
    ends = {"actual": happened[-1], **{name: _middle(c)[-1] for name, c in models.items()}}
    label_ends(ax, ends, LINES)
    return ax


def plot_calibration(
    table: pd.DataFrame, space: StageSpace | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Compare predicted probabilities, in %, with how often they came true, in %.

    Parameters
    ----------
    table : DataFrame
        One row per bin: `predicted` (mean probability), `observed` (share that came true), `n`
        (predictions in the bin, drawn as size) and, optionally, `lower` and `upper` (an interval
        of `observed`) and `stage`. Probabilities and shares are between 0 and 1.
    space : StageSpace, optional
        Needed if the table has the column `stage`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        A column is missing or does not hold shares, or a stage is unknown. All problems at once.

    Examples
    --------
    >>> table = pd.DataFrame({"predicted": [.1, .6], "observed": [.15, .55], "n": [40, 60]})
    >>> plot_calibration(table).get_ylabel()
    'Came true (%)'
    """
    raise_problems(SpecError, "plot_calibration", _problems_of_table(table, space))
    ax = take_axes(ax, 0.72)
    ax.plot([0, 100], [0, 100], color=MUTED, linestyle="-", marker="", linewidth=points_of(0.1))
    largest = table["n"].max()
    for name, bins in _by_stage(table, space):
        _draw_bins(ax, bins, name, space, largest)
    notes = ["diagonal: perfect", "size: number of predictions"]
    notes += ["bars: interval"] if {"lower", "upper"} <= set(table) else []
    ax.set(
        xlim=(-3, 103),
        ylim=(-3, 103),
        aspect="equal",
        ylabel="Came true (%)",
        xlabel=with_notes("Predicted probability (%)", notes),
    )
    if space is not None and "stage" in table:
        seen = set(table["stage"])
        _draw_stage_key(ax, [name for name in space.names if name in seen], space)
    return ax


def find_curves(parameter: str, curves: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    """Check named curves: all of the same length, each with or without draws."""
    if not isinstance(curves, Mapping) or not curves:
        raise SpecError(f"`{parameter}` must map names to curves, got {curves!r}")
    found = {}
    for name, curve in curves.items():
        n_dims = np.ndim(curve)
        shape = (None, None) if n_dims == 2 else (None,)
        found[str(name)] = check_numbers(f"{parameter}[{name!r}]", curve, shape)
    lengths = {name: curve.shape[-1] for name, curve in found.items()}
    if len(set(lengths.values())) > 1:
        raise SpecError(f"`{parameter}` must be equally long, got {lengths}")
    return found


def common_length(curves: Mapping[str, NDArray]) -> int:
    """Count the periods of the curves."""
    return next(iter(curves.values())).shape[-1]


def _times(periods: ArrayLike | None, length: int) -> NDArray:
    times = check_numbers("periods", np.arange(length) if periods is None else periods, (length,))
    if length < 2 or (np.diff(times) <= 0).any():
        raise SpecError(f"`periods` must be two or more, in increasing order, got {times.tolist()}")
    return times


def _dots(observed: ArrayLike, length: int) -> NDArray:
    dots = check_numbers("observed", observed, (None,))
    if len(dots) > length:
        raise SpecError(f"`observed` must have at most {length} values, got {len(dots)}")
    return dots


def _check_shares(curves: Mapping[str, NDArray]) -> None:
    slack = 1e-9  # for rounding in computed curves
    wrong = [name for name, c in curves.items() if c.min() < -slack or c.max() > 1 + slack]
    raise_problems(
        SpecError,
        "plot_survival",
        [f"{name!r} must hold shares from 0 to 1" for name in wrong],
    )


def _middle(curve: NDArray) -> NDArray:
    return curve if curve.ndim == 1 else curve.mean(axis=0)


def draw_curves(ax: "Axes", times: NDArray, curves: Mapping[str, NDArray], prob: float) -> None:
    """Draw each curve, with a band if it has draws."""
    for k, curve in enumerate(curves.values(), start=1):
        colour, dash = LINES[k % len(LINES)], DASHES[k % len(DASHES)]
        if curve.ndim == 2:
            low, high = np.quantile(curve, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
            ax.fill_between(times, low, high, facecolor=colour, alpha=0.18, linewidth=0)
        ax.plot(times, _middle(curve), color=colour, linestyle=dash, marker="")


def _band_notes(curves: Mapping[str, NDArray], prob: float) -> list[str]:
    has_band = any(curve.ndim == 2 for curve in curves.values())
    return [f"bands: central {100 * prob:.0f}% interval"] if has_band else []


def with_notes(label: str, notes: Sequence[str]) -> str:
    """Add notes about the drawing under an axis label."""
    return f"{label}\n({'; '.join(notes)})" if notes else label


def _draw_cutoff(ax: "Axes", cutoff: float) -> None:
    ax.axvline(cutoff, color=MUTED, linestyle="-", linewidth=points_of(0.09))
    for text, side in (("seen by the models", "right"), ("forecast", "left")):
        shift = points_of(0.5) * (-1 if side == "right" else 1)
        ax.annotate(
            text,
            (cutoff, 1.0),
            (shift, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha=side,
            va="bottom",
            color=MUTED,
            size=points_of(0.85),
        )


def label_ends(ax: "Axes", ends: Mapping[str, float], colours: Sequence[str]) -> None:
    """Name each line at its right end, in its colour, spread out so that names do not touch."""
    figure = settle(ax)
    low, high = ax.get_ylim()
    line = 1.25 * points_of(0.9) * figure.dpi / 72
    gap = (high - low) * line / ax.get_window_extent().height
    heights = spread(list(ends.values()), gap, low=low + gap / 2, high=high - gap / 2)
    for k, (name, height) in enumerate(zip(ends, heights, strict=True)):
        ax.annotate(
            name,
            (1.0, height),
            (points_of(0.6), 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=colours[k % len(colours)],
            size=points_of(0.9),
            weight="bold",
        )


def _problems_of_table(table: pd.DataFrame, space: StageSpace | None) -> list[str]:
    if not isinstance(table, pd.DataFrame):
        return [f"`table` must be a pandas DataFrame, got {type(table).__name__}"]
    missing = [c for c in ("predicted", "observed", "n") if c not in table]
    if missing or table.empty:
        empty = ["table has no rows"] if table.empty else []
        return [*(f"table has no column {c!r}" for c in missing), *empty]
    shares = [c for c in ("predicted", "observed", "lower", "upper") if c in table]
    problems = [
        f"{c!r} must hold shares from 0 to 1" for c in shares if not table[c].between(0, 1).all()
    ]
    problems += [] if (table["n"] > 0).all() else ["'n' must be above 0"]
    if "stage" in table:
        known = () if space is None else space.names
        unknown = [str(name) for name in table["stage"].unique() if name not in known]
        problems += [f"'stage' names {unknown}, which the space does not"] if unknown else []
    return problems


def _by_stage(
    table: pd.DataFrame, space: StageSpace | None
) -> list[tuple[str | None, pd.DataFrame]]:
    if space is None or "stage" not in table:
        return [(None, table)]
    parts = [(name, table[table["stage"] == name]) for name in space.names]
    return [(name, part) for name, part in parts if len(part)]


def _draw_bins(
    ax: "Axes", bins: pd.DataFrame, name: str | None, space: StageSpace | None, largest: float
) -> None:
    colour, marker = LINES[1], "o"
    if space is not None and name is not None:
        colour, marker = stage_colours(space)[name], stage_markers(space)[name].marker
    bins = 100 * bins.sort_values("predicted")[[c for c in bins if c != "stage"]]
    x, y = bins["predicted"], bins["observed"]
    if {"lower", "upper"} <= set(bins):
        ax.vlines(x, bins["lower"], bins["upper"], color=INK, linewidth=points_of(0.09), zorder=2)
    area = points_of(0.95) ** 2 * bins["n"] / (100 * largest)
    ax.plot(x, y, color=colour, linestyle="-", marker="", linewidth=points_of(0.12), zorder=3)
    ax.scatter(
        x,
        y,
        s=area + points_of(0.4) ** 2,
        facecolor=colour,
        edgecolor=INK,
        marker=marker,
        linewidth=points_of(0.06),
        zorder=4,
    )


def _draw_stage_key(ax: "Axes", names: Sequence[str], space: StageSpace) -> None:
    """List the stages beside the square: the points are too close to be named individually."""
    for k, name in enumerate(names):
        y = 0.97 - 0.075 * k
        mark, colour = stage_markers(space)[name].marker, stage_colours(space)[name]
        ax.plot(
            1.05,
            y,
            marker=mark,
            color=colour,
            markeredgecolor=INK,
            linestyle="",
            markersize=points_of(0.75),
            markeredgewidth=points_of(0.06),
            transform=ax.transAxes,
            clip_on=False,
        )
        ax.text(
            1.09, y, stage_title(name), size=points_of(0.9), va="center", transform=ax.transAxes
        )
