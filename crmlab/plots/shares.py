"""Stage probabilities over time: of one customer, or of a whole customer base."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.errors import SpecError
from crmlab.plots.layout import (
    check_prob,
    in_order,
    points_of,
    settle,
    spread,
    take_axes,
    text_size,
)
from crmlab.plots.styles import INK, MUTED, ink_on, stage_colours, stage_title
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_TIMES = {"period": "Period", "horizon": "Periods ahead"}
_UNITS = {"D": "Day", "W": "Week", "M": "Month", "Q": "Quarter", "Y": "Year"}
_ROW = 0.075  # height of one row of events, as a share of the axes


def plot_stage_probs(
    probs: xr.DataArray,
    space: StageSpace,
    *,
    events: Mapping[str, ArrayLike] | None = None,
    prob: float = 0.9,
    ax: "Axes | None" = None,
) -> "Axes":
    """Show the probabilities of the stages over time as a ribbon, stacked in stage order.

    One customer: the posterior mean, with a row of the customer's events per channel below it. A
    base (several customers along `customer_id`): the expected share of customers in each stage,
    like a river. The colour of each point mixes the stages of the posterior draws there, so the
    borders are as blurred as they are uncertain; the shares and intervals of the last period are
    at the right end. Periods outside the window are left out.

    Parameters
    ----------
    probs : DataArray with dims stage and period (or horizon)
        Probabilities as `stage_probs` and `forecast` return them, with or without chain, draw and
        customer_id.
    space : StageSpace
        K stages.
    events : mapping of str to array_like of shape (periods,), optional
        For one customer: what happened, per channel and period. Each value that is neither 0 nor
        missing is a dot, larger for larger values. A panel of one customer works too:
        ``panel[["visits"]].sel(customer_id=7)``.
    prob : float
        Probability of the central (equal-tailed) intervals of a base.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        A dimension or a stage is missing, values are not probabilities, or `events` is set for a
        base or does not match the periods.

    Examples
    --------
    >>> space = StageSpace(("dormant", "active"))
    >>> probs = xr.DataArray([[.9, .1], [.4, .6]], dims=("period", "stage"),
    ...                      coords={"stage": ["dormant", "active"]})
    >>> plot_stage_probs(probs, space, events={"visits": [0, 2]}).get_ylabel()
    'Probability of the stage (%)'
    """
    check_prob("prob", prob)
    time, draws = _shares_by_draw(probs, space)
    is_base = probs.sizes.get("customer_id", 1) > 1
    rows = _event_rows(events, len(time[0]), is_base=is_base)

    ax = take_axes(ax, 0.52 + 0.5 * _ROW * len(rows))
    colours = list(stage_colours(space).values())
    titles = [stage_title(name) for name in space.names]
    _draw_layers(ax, time[0], draws, colours)
    _finish(ax, time, is_base=is_base, blurred=len(draws) > 1 and is_base)
    if rows:
        _draw_events(ax, time, rows)
    if is_base:
        _label_mouth(ax, draws, titles, colours, prob)
    else:
        _label_layers(ax, time[0], draws[0], titles, colours)
    return ax


def _shares_by_draw(probs: xr.DataArray, space: StageSpace) -> tuple[tuple[NDArray, str], Floats]:
    """Return time, its label, and probabilities (draws, periods, K), averaged over customers."""
    if not isinstance(probs, xr.DataArray):
        raise SpecError(f"`probs` must be an xarray DataArray, got {type(probs).__name__}")
    ordered = in_order("probs", probs, space, "stage")
    dim = next((dim for dim in _TIMES if dim in probs.dims), None)
    unknown = set(probs.dims) - {"chain", "draw", "customer_id", "stage", dim}
    if dim is None or unknown:
        raise SpecError(
            "`probs` needs the dimension 'period' or 'horizon' besides stage, chain, draw and "
            f"customer_id, got {probs.dims}"
        )
    _check_probabilities(ordered.values)
    if "customer_id" in ordered.dims:
        ordered = ordered.mean("customer_id", skipna=True)
    if probs.sizes.get("customer_id", 1) == 1:
        ordered = ordered.mean([d for d in ("chain", "draw") if d in ordered.dims])
    shares = ordered.transpose("chain", "draw", dim, "stage", missing_dims="ignore").values
    shares = shares.reshape(-1, *shares.shape[-2:])
    if not np.isfinite(shares).any():
        raise SpecError("`probs`: every value is missing")
    return (_times(probs, dim), _time_label(probs, dim)), shares


def _check_probabilities(values: NDArray) -> None:
    missing = np.isnan(values)
    sums = values.sum(axis=-1)
    wrong = (values < -1e-9).any() or (np.abs(sums - 1) > 1e-6)[~missing.any(axis=-1)].any()
    if wrong or (missing.any(axis=-1) != missing.all(axis=-1)).any():
        raise SpecError("`probs` must be probabilities that sum to 1 over the stages, or missing")


def _times(probs: xr.DataArray, dim: str) -> NDArray:
    times = probs[dim].values if dim in probs.coords else np.arange(probs.sizes[dim])
    if dim == "horizon" and dim not in probs.coords:
        times = times + 1
    return times


def _time_label(probs: xr.DataArray, dim: str) -> str:
    unit = _UNITS.get(str(probs.attrs.get("freq", ""))[:1])
    if unit is None:
        return _TIMES[dim]
    return unit if dim == "period" else f"{unit}s ahead"


def _event_rows(
    events: Mapping[str, ArrayLike] | None, n_periods: int, *, is_base: bool
) -> dict[str, NDArray]:
    """Check the events, and return one row of numbers per channel."""
    if not events:
        return {}
    if is_base:
        raise SpecError("`events` can only be shown for one customer, but `probs` has several")
    rows = {str(name): np.array(events[name], dtype=float) for name in events}
    for name, values in rows.items():
        if values.shape != (n_periods,):
            raise SpecError(
                f"`events`: {name!r} must have one value per period ({n_periods}), got shape "
                f"{values.shape}"
            )
    return rows


def _numbers(times: NDArray) -> NDArray:
    """Convert times to matplotlib's numbers."""
    from matplotlib.dates import date2num

    return date2num(times) if np.issubdtype(times.dtype, np.datetime64) else times.astype(float)


def _borders(shares: NDArray) -> NDArray:
    """Lower and upper border of each layer in %, (..., periods, K + 1)."""
    start = np.zeros((*shares.shape[:-1], 1))
    return 100 * np.concatenate([start, shares.cumsum(axis=-1)], axis=-1)


def _draw_layers(ax: "Axes", times: NDArray, draws: NDArray, colours: Sequence[str]) -> None:
    """Stack the layers of the mean; where draws disagree, draw their mixture on top."""
    borders, x = _borders(draws.mean(axis=0)), _numbers(times)
    for k, colour in enumerate(colours):
        ax.fill_between(
            x,
            borders[:, k],
            borders[:, k + 1],
            facecolor=colour,
            edgecolor="white",
            linewidth=points_of(0.06),
        )
    if len(draws) > 1:
        ax.imshow(
            _mixture(x, draws, colours),
            extent=(x[0], x[-1], 0, 100),
            aspect="auto",
            origin="lower",
            interpolation="bilinear",
            zorder=2,
        )


def _mixture(x: NDArray, draws: NDArray, colours: Sequence[str]) -> Floats:
    """Colour of each point of the river, (heights, times, RGBA): stages mixed over draws."""
    from matplotlib.colors import to_rgb

    fine, heights = np.linspace(x[0], x[-1], 240), np.linspace(0.25, 99.75, 200)
    flat = _borders(draws).transpose(0, 2, 1).reshape(-1, len(x))
    borders = np.array([np.interp(fine, x, border) for border in flat])
    borders = borders.reshape(len(draws), -1, len(fine))
    # Share of the draws in which border k is below each height, (K + 1, heights, times).
    below = np.array(
        [(borders[:, k, None, :] <= heights[:, None]).mean(axis=0) for k in range(borders.shape[1])]
    )
    weights = below[:-1] - below[1:]
    weights[-1] = below[-2]  # the top border is 100, up to rounding
    rgb = np.einsum("kyx,kc->yxc", weights, [to_rgb(colour) for colour in colours])
    filled = np.isfinite(borders).all(axis=(0, 1))
    alpha = np.broadcast_to(filled, weights.shape[1:]).astype(float)
    return np.dstack([np.clip(rgb, 0, 1), alpha])


def _finish(ax: "Axes", time: tuple[NDArray, str], *, is_base: bool, blurred: bool) -> None:
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    times, label = time
    x = _numbers(times)
    note = "\n(borders are as blurred as the posterior draws disagree)" if blurred else ""
    subject = "Share of customers in the stage (%)" if is_base else "Probability of the stage (%)"
    ax.set(
        xlim=(x[0], x[-1]) if len(x) > 1 else (x[0] - 0.5, x[0] + 0.5),
        ylim=(0, 100),
        xlabel=label + note,
        ylabel=subject,
    )
    if np.issubdtype(times.dtype, np.datetime64):
        ax.xaxis_date()
        ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=False)


def _label_layers(
    ax: "Axes", times: NDArray, mean: NDArray, titles: Sequence[str], colours: Sequence[str]
) -> None:
    """Write each name where its layer is thick enough, otherwise at the right."""
    aside: list[int] = []
    while True:  # labels at the right narrow the axes, so that fewer names may fit inside
        key = _write_aside(ax, mean, aside, titles, colours)
        places = _rooms(ax, times, mean, titles)
        narrow = [
            k for k, place in enumerate(places) if place is None and np.nanmax(mean[:, k]) >= 0.02
        ]
        if set(narrow) <= set(aside):
            break
        aside = sorted({*aside, *narrow})
        for artist in key:
            artist.remove()
    for k, place in enumerate(places):
        if place is not None and k not in aside:
            ax.text(
                *place,
                titles[k],
                size=points_of(0.9),
                weight="bold",
                color=ink_on(colours[k]),
                ha="center",
                va="center",
                zorder=4,
            )


def _rooms(
    ax: "Axes", times: NDArray, mean: NDArray, titles: Sequence[str]
) -> list[tuple[float, float] | None]:
    """Find a place for each name inside its layer; None if it does not fit."""
    figure = settle(ax)
    box, inch = ax.get_window_extent(), figure.dpi / 72
    x = np.linspace(*ax.get_xlim(), 241)
    borders = np.column_stack([np.interp(x, _numbers(times), b) for b in _borders(mean).T])
    places = []
    for k, title in enumerate(titles):
        width, height = (length * inch for length in text_size(title, points_of(0.9), "bold"))
        room = _room(borders[:, k : k + 2], 1.12 * width / box.width, 110 * height / box.height)
        places.append(None if room is None else (x[room[0]], room[1]))
    return places


def _room(layer: NDArray, width: float, height: float) -> tuple[int, float] | None:
    """Find where a label of a width (share of the axis) and height (%) best fits into a layer."""
    n = len(layer)
    half = int(np.ceil(n * width / 2))
    best, best_room = None, height
    for middle in range(half, n - half):
        window = layer[middle - half : middle + half + 1]
        low, high = window[:, 0].max(), window[:, 1].min()
        if high - low > best_room:
            best, best_room = (middle, (low + high) / 2), high - low
    return best


def _write_aside(
    ax: "Axes",
    shares: NDArray,
    stages: Sequence[int],
    titles: Sequence[str],
    colours: Sequence[str],
) -> list:
    """Write names at the right of the axes, near the ends of their layers; return the artists."""
    figure = settle(ax)
    gap = 115 * points_of(1.1) * figure.dpi / 72 / ax.get_window_extent().height
    last = shares[np.flatnonzero(np.isfinite(shares).all(axis=1))[-1]]
    middles = 100 * (last.cumsum() - last / 2)
    heights = spread(middles[list(stages)], gap, low=gap / 2, high=100 - 1.5 * gap)
    artists: list[Artist] = []
    for k, y in zip(stages, heights, strict=True):
        artists += ax.plot(
            1.02,
            y,
            marker="s",
            markersize=points_of(0.6),
            color=colours[k],
            linestyle="",
            transform=ax.get_yaxis_transform(),
            clip_on=False,
        )
        artists.append(
            ax.text(
                1.04,
                y,
                titles[k],
                size=points_of(0.85),
                va="center",
                color=INK,
                transform=ax.get_yaxis_transform(),
            )
        )
    return artists


def _label_mouth(
    ax: "Axes", draws: NDArray, titles: Sequence[str], colours: Sequence[str], prob: float
) -> None:
    """Write names, shares and intervals of the last period at the right, with a heading."""
    seen = np.isfinite(draws).all(axis=(0, 2))
    last = 100 * draws[:, np.flatnonzero(seen)[-1]]
    low, high = np.quantile(last, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    texts = [
        f"{title} {mean:.0f}%" + (f" [{a:.0f}, {b:.0f}]" if len(draws) > 1 else "")
        for title, mean, a, b in zip(titles, last.mean(axis=0), low, high, strict=True)
    ]
    shown = np.flatnonzero(np.nanmax(draws, axis=(0, 1)) >= 0.02)
    _write_aside(ax, draws.mean(axis=0), shown.tolist(), texts, colours)
    head = f"at the end [{100 * prob:.0f}% interval]" if len(draws) > 1 else "at the end"
    ax.text(1.02, 1.0, head, size=points_of(0.85), color=MUTED, va="top", transform=ax.transAxes)


def _draw_events(ax: "Axes", time: tuple[NDArray, str], rows: Mapping[str, NDArray]) -> None:
    """Draw a row per channel under the ribbon, with a dot per event, larger for larger values."""
    strip = ax.inset_axes((0, -_ROW * len(rows) - 0.02, 1, _ROW * len(rows)), sharex=ax)
    x = _numbers(time[0])
    for row, values in enumerate(reversed(list(rows.values()))):
        happened = np.nan_to_num(values) != 0
        largest = np.abs(values[happened]).max(initial=0.0) or 1.0
        area = points_of(0.75) ** 2 * np.abs(values[happened]) / largest
        strip.scatter(
            x[happened],
            np.full(happened.sum(), row),
            s=area,
            color=INK,
            linewidth=0,
            clip_on=False,
            zorder=3,
        )
    labels = [_row_label(name, values) for name, values in rows.items()][::-1]
    strip.set_yticks(range(len(rows)), labels)
    strip.set(ylim=(-0.6, len(rows) - 0.4), xlabel=ax.get_xlabel())
    strip.tick_params(axis="y", length=0, pad=points_of(0.75))  # a dot may be on the edge
    strip.grid(visible=False, axis="x")
    strip.spines["left"].set_visible(False)
    ax.set_xlabel("")
    ax.tick_params(axis="x", labelbottom=False, length=0)


def _row_label(name: str, values: NDArray) -> str:
    happened = np.abs(values[np.nan_to_num(values) != 0])
    title = stage_title(name)
    return f"{title}, up to {happened.max():.4g}" if len(happened) else f"{title}, none"
