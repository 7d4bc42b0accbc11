"""Any stage space as a graph in layers: stages of equal intensity are above each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats
from crmlab.plots.arrows import INCH, draw_key, draw_routes, label_routes, percent
from crmlab.plots.layout import Box, paper_scale, take_axes, text_size
from crmlab.plots.routes import Point, Route, bezier, outside
from crmlab.plots.styles import AWAY, DOWN, UP, ink_on, stage_colours, stage_title
from crmlab.stages import StageSpace, check_transition_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches and points at page width. A box is as wide as its layer allows, within limits.
_WIDTH, _NODE_HEIGHT, _ROWS_APART, _MARGIN = 7.2, 0.40, 1.75, 0.08
_NAME, _FACT = 7.6, 6.6
_BOW = 0.32


def plot_stage_graph(
    space: StageSpace,
    transition_matrix: ArrayLike | None = None,
    *,
    label_above: float = 0.05,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the stages of any space and the moves between them, in layers of equal intensity.

    Coming together reads from left to right; coming apart, if there is such a phase, from right to
    left below it. Forward moves curve away from the middle, moves back towards it.

    Parameters
    ----------
    space : StageSpace
        K stages.
    transition_matrix : array_like of shape (K, K), optional
        Probability per period of each move, drawn as width; by default, all look alike.
    label_above : float
        Moves at least this probable are labelled with their percentage, where there is room.
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
    >>> ax = plot_stage_graph(StageSpace(("dormant", "occasional", "active")))
    >>> [text.get_text() for text in ax.texts][:3]
    ['Dormant', 'Occasional', 'Active']
    """
    P = None if transition_matrix is None else check_transition_matrix(space, transition_matrix)
    boxes = _boxes(_layers(space))
    routes = _routes(space, boxes, space.mask if P is None else P > 0)
    points = np.concatenate([route.curve for route in routes] + [np.reshape(boxes, (-1, 2))])
    low, high = points[:, 1].min() - 0.15, points[:, 1].max() + 0.15
    key = low - 0.22

    ax = take_axes(ax, (high - key + 0.12) / _WIDTH)
    scale = paper_scale(ax, (-_WIDTH / 2, _WIDTH / 2), (key - 0.12, high))
    draw_routes(ax, routes, P, scale)
    _draw_nodes(ax, space, boxes, P, scale)
    draw_key(ax, routes, key, scale, with_width=P is not None)
    if P is not None:
        label_routes(ax, routes, P, label_above, boxes, scale)
    return ax


def _layers(space: StageSpace) -> list[Point]:
    """Centres of the stages: a column for each layer of intensity, a row for each phase."""
    graph = space.graph()
    groups = space.order_groups()
    n_layers = max(map(len, groups))
    # One long row has no room for names, so its stages alternate between high and low.
    in_turn = len(groups) == 1 and n_layers > 6
    pitch = min(1.9, (_WIDTH - 2 * _MARGIN) / (n_layers + 0.5 * in_turn))
    layer = {stage: k for group in groups for k, stage in enumerate(group)}
    rows = {"together": 1, "apart": -1} if len(groups) == 2 else dict.fromkeys(space.phases, 0)
    return [
        (
            pitch * (layer[k] - (n_layers - 1) / 2),
            rows[graph.nodes[name]["phase"]] * _ROWS_APART / 2 + 0.45 * in_turn * (-1) ** layer[k],
        )
        for k, name in enumerate(graph)
    ]


def _boxes(places: Sequence[Point]) -> list[Box]:
    """Place a box around each centre, as wide as the columns allow."""
    columns = sorted({x for x, _ in places})
    pitch = min(np.diff(columns), default=1.9)
    in_turn = len({y for x, y in places if y}) == 2 and len(columns) == len(places)
    width = min(1.3, (1.5 if in_turn else 0.76) * pitch)
    return [Box.around(place, (width, _NODE_HEIGHT)) for place in places]


def _routes(space: StageSpace, boxes: Sequence[Box], drawn: Bools) -> list[Route]:
    edges = [
        (space.index(a), space.index(b), kind) for a, b, kind in space.graph().edges.data("kind")
    ]
    return [
        Route(i, j, *_look(space, i, j, kind), _curve(boxes[i], boxes[j]))
        for i, j, kind in edges
        if drawn[i, j]
    ]


def _look(space: StageSpace, i: int, j: int, kind: str) -> tuple[str, str]:
    """Path and colour of a move; an exit from the stage next to the end is a step down."""
    same_phase = space.phases[i] == space.phases[j]
    if kind == "exit" and not (same_phase and abs(i - j) == 1):
        return "exit", AWAY
    if not same_phase:
        return ("across", DOWN) if space.phases[i] == "together" else ("repair", UP)
    rises = (j > i) == (space.phases[i] == "together")
    return "step", UP if rises else DOWN


def _curve(start: Box, end: Box) -> Floats:
    """Curve to the left of its direction, so that opposite moves stay apart; flat between rows."""
    a, b = _centre(start), _centre(end)
    bow = 0.10
    if abs(b[1] - a[1]) < _ROWS_APART / 2:
        # Long arcs start nearer the middle of a box than short ones, so that heads stay apart.
        steps = abs(b[0] - a[0]) / (start.x1 - start.x0)
        shift = np.sign(b[0] - a[0]) * (start.x1 - start.x0) * (0.30 if steps < 2 else 0.12)
        inwards = np.array([shift, 0.0])
        a, b, bow = a + inwards, b - inwards, _BOW if steps >= 2 else 0.55
    along = b - a
    bend = (a + b) / 2 + bow * np.array([-along[1], along[0]])
    return outside(bezier(tuple(a), tuple(bend), tuple(b)), start, end)


def _centre(box: Box) -> Floats:
    return np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])


def _draw_nodes(
    ax: "Axes", space: StageSpace, boxes: Sequence[Box], P: NDArray | None, scale: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    titles = [stage_title(name) for name in space.names]
    room = (boxes[0].x1 - boxes[0].x0 - 0.08) * INCH
    size = min(_NAME, *(_NAME * room / text_size(title, _NAME, "bold")[0] for title in titles))
    for k, (box, colour) in enumerate(zip(boxes, stage_colours(space).values(), strict=True)):
        node = FancyBboxPatch(
            box[:2],
            box.x1 - box.x0,
            box.y1 - box.y0,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=colour,
            edgecolor="white",
            linewidth=0.8 * scale,
            zorder=5,
        )
        ax.add_patch(node)
        (x, y), ink = _centre(box), ink_on(colour)
        lift = 0.0 if P is None else 0.07
        ax.text(
            x,
            y + lift,
            titles[k],
            size=size * scale,
            weight="bold",
            color=ink,
            zorder=6,
            ha="center",
            va="center_baseline",
        )
        if P is not None:
            ax.text(
                x,
                y - 0.085,
                f"stays {percent(P[k, k])}",
                size=_FACT * scale,
                color=ink,
                zorder=6,
                ha="center",
                va="center_baseline",
            )
