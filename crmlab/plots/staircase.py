"""Knapp's staircase, drawn: five treads up, five treads down, and every move between them.

The drawing has a grammar. Steps run outside, over the treads: up in green, down in red, the main
direction of a flight as a wide arc and the way back close to the riser. Moves between the flights
run inside, under the stairs: red from together to apart, green ladders of repair back. Exits fall
to the ground in grey and join on their way to the last tread. Width is probability.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.errors import SpecError
from crmlab.plots.arrows import INCH, LABEL, draw_key, draw_routes, label_routes, percent
from crmlab.plots.layout import Box, check_numbers, paper_scale, take_axes, text_size
from crmlab.plots.routes import Route
from crmlab.plots.styles import (
    MUTED,
    PHASE_COLOURS,
    PHASE_TITLES,
    ink_on,
    mixed,
    stage_colours,
    stage_title,
)
from crmlab.plots.treads import (
    GROUND,
    LANDING,
    RUN,
    SLAB,
    Tread,
    build_routes,
    build_treads,
    outline,
)
from crmlab.stages import KNAPP, StageSpace, check_transition_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAME, _FACT, _HEADING = 7.6, 6.6, 10.5  # font sizes in points at page width
_MARGIN, _HEADROOM, KEY, _BAR = 0.06, 0.58, -0.32, 0.10


def plot_staircase(
    space: StageSpace = KNAPP,
    transition_matrix: ArrayLike | None = None,
    occupancy: ArrayLike | None = None,
    value: ArrayLike | None = None,
    *,
    unit: str = "",
    label_above: float = 0.05,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the stages as treads of a staircase, up on the left, down on the right.

    Steps run outside, over the treads; moves between the flights run inside, under the stairs, with
    repairs as ladders; exits fall to the ground. On a slide, show one fact per tread.

    Parameters
    ----------
    space : StageSpace
        K stages of both phases.
    transition_matrix : array_like of shape (K, K), optional
        Probability per period of each move, drawn as width. Left out: every allowed move, alike.
    occupancy : array_like of shape (K,), optional
        Share of customers in each stage, 0 to 1, drawn as a bar and a percentage.
    value : array_like of shape (K,), optional
        Worth of a customer in each stage, in `unit`.
    unit : str, optional
        Unit of `value`, for example 'EUR'.
    label_above : float
        Moves at least this probable carry their percentage, where there is room.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        The space has only one phase, or an array does not match it.

    Examples
    --------
    >>> from crmlab.stages import K10  # invented for teaching
    >>> ax = plot_staircase(transition_matrix=K10)
    >>> "Bonding" in [text.get_text() for text in ax.texts]
    True
    """
    P = None if transition_matrix is None else check_transition_matrix(space, transition_matrix)
    check_phases(space)
    facts = _facts(space, P, occupancy, value, unit)
    height = 0.24 + 0.12 * max(len(facts[0]), 1) + (0.0 if occupancy is None else _BAR)
    treads = build_treads(space, height, height + gap(ax, space, height))
    routes = build_routes(space, treads, space.mask if P is None else P > 0)

    ax, scale = take_stage(ax, treads)
    draw_body(ax, treads)
    draw_routes(ax, routes, P, scale)
    draw_treads(ax, space, treads, facts, scale)
    if occupancy is not None:
        _draw_bars(ax, space, treads, np.asarray(occupancy, dtype=float))
    taken = [*draw_headings(ax, treads, scale), *(tread.box for tread in treads)]
    draw_key(ax, routes, KEY, scale, with_width=P is not None)
    if P is not None:
        exits = [route for route in routes if route.way == "exit"]
        moves = [route for route in routes if route.way != "exit"]
        _label_exits(ax, exits, P, scale)
        label_routes(ax, moves, P, label_above, taken, scale)
    return ax


def check_phases(space: StageSpace) -> None:
    """Refuse a space without two sides."""
    if set(space.phases) != {"together", "apart"}:
        raise SpecError(
            "plot_staircase: the space needs stages of both phases, got only "
            f"{space.phases[0]!r}; use plot_stage_graph for it"
        )


def _facts(
    space: StageSpace,
    P: NDArray | None,
    occupancy: ArrayLike | None,
    value: ArrayLike | None,
    unit: str,
) -> list[list[str]]:
    """Return the lines of text under each stage's name."""
    lines: list[list[str]] = [[] for _ in space.names]
    if P is not None:
        for line, stays in zip(lines, P.diagonal(), strict=True):
            line.append(f"stays {percent(stays)}")
    if occupancy is not None:
        for line, share in zip(lines, _shares(occupancy, len(space)), strict=True):
            line.append(f"{percent(share)} of customers")
    if value is not None:
        for line, worth in zip(lines, check_numbers("value", value, (len(space),)), strict=True):
            line.append(f"worth {worth:,.0f} {unit}".strip().replace("-", "\N{MINUS SIGN}"))
    return lines


def _shares(occupancy: ArrayLike, n_stages: int) -> NDArray:
    shares = check_numbers("occupancy", occupancy, (n_stages,))
    if (shares < 0).any() or (shares > 1).any():
        raise SpecError(f"`occupancy` must be shares between 0 and 1, got {shares.tolist()}")
    return shares


def _wrapped(title: str) -> str:
    """Break a long title of several words into two lines."""
    head, _, tail = title.rpartition(" ")
    return f"{head}\n{tail}" if len(title) > 16 and head else title


def gap(ax: "Axes | None", space: StageSpace, height: float) -> float:
    """Space between treads: as much as the shape of the figure allows, within limits."""
    import matplotlib

    box = None if ax is None else take_axes(ax, 1.0).get_window_extent()
    width, tall = matplotlib.rcParams["figure.figsize"] if box is None else (box.width, box.height)
    levels = max(space.phases.count("together"), space.phases.count("apart")) - 1
    half = SLAB + LANDING / 2 + RUN * levels + _MARGIN
    free = 2 * half * tall / width - (GROUND + height + _HEADROOM - KEY + 0.12)
    return float(np.clip(free / max(levels, 1) - height, 0.28, 0.40))


def take_stage(ax: "Axes | None", treads: Sequence[Tread]) -> tuple["Axes", float]:
    """Set up axes in inches of the page; return them and their enlargement."""
    half = max(abs(tread.outer) for tread in treads) + _MARGIN
    bottom, top = KEY - 0.12, max(tread.top for tread in treads) + _HEADROOM
    ax = take_axes(ax, (top - bottom) / (2 * half))
    return ax, paper_scale(ax, (-half, half), (bottom, top))


def draw_body(ax: "Axes", treads: Sequence[Tread]) -> None:
    """Draw the two sides on which the treads lie."""
    for side, phase in ((-1, "together"), (1, "apart")):
        tint = mixed(PHASE_COLOURS[phase], "#FFFFFF", 0.07)
        ax.fill(*outline(treads, side).T, facecolor=tint, edgecolor="none", zorder=0)


def draw_treads(
    ax: "Axes",
    space: StageSpace,
    treads: Sequence[Tread],
    facts: Sequence[Sequence[str]],
    scale: float,
) -> None:
    """Draw each stage as a tread with its facts."""
    from matplotlib.patches import FancyBboxPatch

    titles = [_wrapped(stage_title(name)) for name in space.names]
    room = (SLAB - 0.10) * INCH
    size = min(_NAME, *(_NAME * room / text_size(t, _NAME, "bold")[0] for t in titles))
    colours = stage_colours(space).values()
    for tread, title, lines, colour in zip(treads, titles, facts, colours, strict=True):
        x0, y0, x1, y1 = tread.box
        slab = FancyBboxPatch(
            (x0, y0),
            x1 - x0,
            y1 - y0,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=colour,
            edgecolor="white",
            linewidth=0.8 * scale,
            zorder=5,
        )
        ax.add_patch(slab)
        ink, x = ink_on(colour), (x0 + x1) / 2
        first = y1 - 0.115 if lines else (y0 + y1) / 2
        ax.text(
            x,
            first,
            title,
            size=size * scale,
            weight="bold",
            color=ink,
            zorder=6,
            ha="center",
            va="center_baseline",
        )
        for k, line in enumerate(lines, start=1):
            ax.text(
                x,
                first - 0.005 - 0.12 * k,
                line,
                size=_FACT * scale,
                color=ink,
                zorder=6,
                ha="center",
                va="center_baseline",
            )


def _draw_bars(ax: "Axes", space: StageSpace, treads: Sequence[Tread], shares: NDArray) -> None:
    """Show shares as bars along the bottom of the treads; a full bar is 100 %."""
    from matplotlib.patches import Rectangle

    colours = stage_colours(space).values()
    for tread, share, colour in zip(treads, shares, colours, strict=True):
        left, ink = tread.box.x0 + 0.08, ink_on(colour)
        for length, alpha in ((1.0, 0.25), (share, 1.0)):
            corner = (left, tread.bottom + 0.065)
            bar = Rectangle(
                corner, (SLAB - 0.16) * length, 0.045, color=ink, alpha=alpha, linewidth=0, zorder=6
            )
            ax.add_patch(bar)


def draw_headings(ax: "Axes", treads: Sequence[Tread], scale: float) -> list[Box]:
    """Write the names of the phases above the low ends of their flights."""
    y = max(tread.top for tread in treads) + 0.28
    boxes = []
    for side, phase in ((-1, "together"), (1, "apart")):
        outer = max(abs(t.outer) for t in treads if t.side == side)
        title = PHASE_TITLES[phase]
        ax.text(
            side * outer,
            y,
            title,
            size=_HEADING * scale,
            weight="bold",
            color=PHASE_COLOURS[phase],
            ha="left" if side < 0 else "right",
            va="center",
        )
        width = text_size(title, _HEADING, "bold")[0] / INCH
        boxes.append(Box.around((side * (outer - width / 2), y), (width, 0.2)))
    return boxes


def _label_exits(ax: "Axes", routes: Sequence[Route], P: NDArray, scale: float) -> None:
    """Write every exit's percentage where it meets the ground."""
    for route in routes:
        text = percent(P[route.stage_from, route.stage_to])
        ax.text(
            route.curve[1, 0],
            -0.10,
            text,
            size=LABEL * scale,
            color=MUTED,
            ha="center",
            va="center",
        )
