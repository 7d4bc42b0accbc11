"""How moves are drawn: arrows, ladders, their key, and percentages next to them.

Lengths are in inches and sizes in points of a page-wide figure; `scale` enlarges the points.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crmlab.plots.layout import Box, place_boxes, text_size
from crmlab.plots.routes import Point, Route, normals, outer_normals, walk
from crmlab.plots.styles import AWAY, DOWN, MUTED, UP, mixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCH = 72.0
LABEL = 6.8
_THIN, _PER_PROB, _PLAIN = 0.6, 7.0, 1.1
KEY = {
    ("step", UP): "up",
    ("step", DOWN): "down",
    ("repair", UP): "repair: back across",
    ("exit", AWAY): "exit",
}
_SAMPLE, _AFTER_SAMPLE, _AFTER_TEXT = 0.29, 0.07, 0.22


def percent(share: float) -> str:
    """Write a share as a whole percentage.

    Examples
    --------
    >>> percent(0.305), percent(0.002), percent(0.0)
    ('30%', '<1%', '0%')
    """
    return f"{100 * share:.0f}%" if share >= 0.005 or share <= 0 else "<1%"


def draw_routes(ax: "Axes", routes: Sequence[Route], P: NDArray | None, scale: float) -> None:
    """Draw moves, as wide as they are probable; all alike if P is None."""
    for route in routes:
        draw_route(ax, route, line_width(route, P), scale)


def line_width(route: Route, P: NDArray | None) -> float:
    """Width of a move's line, in points."""
    return _PLAIN if P is None else _THIN + _PER_PROB * P[route.stage_from, route.stage_to]


def draw_route(ax: "Axes", route: Route, width: float, scale: float) -> None:
    """Draw one move: an arrow, a ladder for a repair, an arrow in the background for an exit."""
    if route.way == "exit":
        _draw_arrow(ax, route.curve, mixed(route.colour, "#FFFFFF", 0.6), width, scale, zorder=1)
    elif route.way == "repair":
        _draw_ladder(ax, route.curve, route.colour, width, scale)
    else:
        _draw_arrow(ax, route.curve, route.colour, width, scale, zorder=4)


def draw_key(
    ax: "Axes", routes: Sequence[Route], y: float, scale: float, *, with_width: bool
) -> None:
    """Explain the kinds of arrows that occur, centred on x = 0."""
    looks = {
        ("step" if route.way in ("skip", "across") else route.way, route.colour) for route in routes
    }
    samples = [look for look in KEY if look in looks]
    texts = [KEY[look] for look in samples]
    texts += ["width: probability per period"] if with_width else []
    widths = np.array([text_size(text, LABEL)[0] / INCH for text in texts])
    leads = np.array([_SAMPLE + _AFTER_SAMPLE] * len(samples) + [0.0] * with_width)
    ends = np.cumsum(leads + widths + _AFTER_TEXT)
    lefts = ends - leads - widths - _AFTER_TEXT - (ends[-1] - _AFTER_TEXT) / 2
    for (way, colour), x in zip(samples, lefts, strict=False):
        sample = Route(0, 0, way, colour, np.array([(x, y), (x + _SAMPLE, y)]))
        draw_route(ax, sample, 1.4, scale)
    for text, x in zip(texts, lefts + leads, strict=True):
        ax.text(x, y, text, size=LABEL * scale, color=MUTED, va="center_baseline", ha="left")


def label_routes(
    ax: "Axes",
    routes: Sequence[Route],
    P: NDArray,
    label_above: float,
    taken: Sequence[Box],
    scale: float,
) -> None:
    """Write percentages beside probable moves, where there is room; most probable first."""
    from matplotlib.patheffects import withStroke

    probs = [P[route.stage_from, route.stage_to] for route in routes]
    order = [k for k in np.argsort(probs, kind="stable")[::-1] if probs[k] >= label_above]
    texts = [percent(probs[k]) for k in order]
    sizes = [label_size(text) for text in texts]
    places = place_boxes(
        [
            label_places(routes[k], line_width(routes[k], P), size)
            for k, size in zip(order, sizes, strict=True)
        ],
        [(width + 0.03, height + 0.02) for width, height in sizes],
        taken,
        np.concatenate([walk(route.curve, 0.03) for route in routes]),
    )
    halo = [withStroke(linewidth=1.6 * scale, foreground="white")]
    for k, text, place in zip(order, texts, places, strict=True):
        if place is not None:
            colour = MUTED if routes[k].way == "exit" else routes[k].colour
            ax.text(
                *place,
                text,
                size=LABEL * scale,
                color=colour,
                weight="bold",
                zorder=7,
                ha="center",
                va="center",
                path_effects=halo,
            )


def label_size(text: str) -> tuple[float, float]:
    """Width and height of the label of a move [inches]."""
    width, height = text_size(text, LABEL, "bold")
    return width / INCH, 0.8 * height / INCH


def label_places(route: Route, width: float, size: tuple[float, float]) -> list[Point]:
    """Places for a label beside a curve: on the outer side, then the inner, from the middle."""
    curve = walk(route.curve, 0.03)
    sides = outer_normals(curve)
    half = _half_ladder(width) if route.way == "repair" else width / INCH / 2
    reach = np.abs(sides) @ (np.array(size) / 2) + half + 0.02
    from_middle = np.argsort(np.abs(np.arange(len(curve)) - len(curve) / 2), kind="stable")
    inner = [k for k in from_middle if 0.12 * len(curve) < k < 0.88 * len(curve)]
    return [
        tuple(curve[k] + sign * (reach[k] + extra) * sides[k])
        for extra in (0.0, 0.03)
        for sign in (1, -1)
        for k in inner
    ]


def _draw_arrow(
    ax: "Axes", curve: NDArray, colour: str, width: float, scale: float, zorder: float
) -> None:
    """Draw a curve with a filled head whose tip is the curve's end."""
    length, half = 0.075 + 0.018 * width, 0.040 + 0.013 * width
    points = walk(curve, 0.01)
    n_head = min(max(2, round(length / 0.01)), len(points) - 2)
    shaft = points[: 1 - n_head]
    ax.plot(
        *shaft.T,
        color=colour,
        linestyle="-",
        marker="",
        linewidth=width * scale,
        solid_capstyle="butt",
        solid_joinstyle="round",
        zorder=zorder,
    )
    _draw_head(ax, points[-n_head], points[-1], half, colour, zorder + 0.1)


def _draw_ladder(ax: "Axes", curve: NDArray, colour: str, width: float, scale: float) -> None:
    """Draw a ladder with an arrow head: a way back that has to be climbed."""
    from matplotlib.collections import LineCollection

    points, half = walk(curve, 0.06), _half_ladder(width)
    sides = half * normals(points)
    left, right = (points + sides)[:-2], (points - sides)[:-2]
    ladder = LineCollection(
        [left, right, *np.stack([left, right], axis=1)],
        colors=colour,
        linewidths=(0.35 + 0.45 * width) * scale,
        zorder=3,
    )
    ax.add_collection(ladder, autolim=False)
    _draw_head(ax, points[-3], points[-1], 1.9 * half, colour, 4)


def _half_ladder(width: float) -> float:
    return 0.028 + 0.006 * width


def _draw_head(
    ax: "Axes", base: NDArray, tip: NDArray, half: float, colour: str, zorder: float
) -> None:
    along = (tip - base) / np.hypot(*(tip - base))
    across = np.array([-along[1], along[0]]) * half
    corners = np.array([tip, base + across, base - across])
    ax.fill(*corners.T, facecolor=colour, linewidth=0, zorder=zorder)
