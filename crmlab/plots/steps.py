"""Knapp's staircase with the worth of each step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats
from crmlab.plots.arrows import LABEL, draw_key, draw_routes, label_places, label_size, line_width
from crmlab.plots.layout import Box, check_numbers, check_prob, place_boxes, stage_draws
from crmlab.plots.routes import Route, walk
from crmlab.plots.staircase import (
    KEY,
    check_phases,
    draw_body,
    draw_headings,
    draw_treads,
    gap,
    take_stage,
)
from crmlab.plots.styles import DOWN, MUTED, UP, spell_money, stage_title
from crmlab.plots.treads import Tread, build_routes, build_treads
from crmlab.stages import StageSpace, check_transition_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_step_worth(
    space: StageSpace,
    transition_matrix: ArrayLike,
    values: xr.DataArray | ArrayLike,
    *,
    discount_rate: float = 0.0,
    unit: str = "",
    prob: float = 0.9,
    label_above: float = 0.03,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the staircase, with the worth of a customer on each tread and of each move beside it.

    The worth of a move from a to b is the firm's gain or loss when one customer makes it instead of
    staying, (V_b - V_a) / (1+d): the derivative of value with respect to the move, per visit.

    Parameters
    ----------
    space : StageSpace
        K stages of both phases.
    transition_matrix : array_like of shape (K, K)
        Probability per period of each move, drawn as width.
    values : DataArray with dim stage, or array_like of shape (K,) or (draws, K)
        Worth of a customer in each stage, in `unit`; draws add an interval to each tread.
    discount_rate : float
        d: a fraction per period; a move pays off one period later.
    unit : str
        Currency, for example 'EUR'.
    prob : float
        Probability of the central (equal-tailed) intervals.
    label_above : float
        Moves at least this probable are labelled with their worth, where there is room.
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
    >>> from crmlab.stages import K10, KNAPP  # invented for teaching
    >>> ax = plot_step_worth(KNAPP, K10, np.arange(10.0), unit="EUR")
    >>> "worth 4 EUR" in [text.get_text() for text in ax.texts]
    True
    """
    check_prob("prob", prob)
    P = check_transition_matrix(space, transition_matrix)
    check_phases(space)
    draws = _read_values(values, space)
    facts = _facts(draws, unit, prob)
    height = 0.24 + 0.12 * len(facts[0])
    treads = build_treads(space, height, height + gap(ax, space, height))
    routes = build_routes(space, treads, P > 0)

    ax, scale = take_stage(ax, treads)
    draw_body(ax, treads)
    draw_routes(ax, routes, P, scale)
    draw_treads(ax, space, treads, facts, scale)
    taken = [*draw_headings(ax, treads, scale), *(tread.box for tread in treads)]
    taken.append(_draw_note(ax, treads, unit, prob if len(draws) > 1 else None, scale))
    draw_key(ax, routes, KEY, scale, with_width=True)
    worth = step_worth(draws.mean(axis=0), discount_rate)
    _label_moves(ax, [r for r in routes if r.way != "exit"], P, worth, label_above, taken, scale)
    for route in (route for route in routes if route.way == "exit"):
        text = spell_money(worth[route.stage_from, route.stage_to], "+")
        x, size = route.curve[1, 0], LABEL * scale
        ax.text(x, -0.10, text, ha="center", va="center", size=size, color=MUTED)
    return ax


def step_worth(value: NDArray, discount_rate: float) -> Floats:
    """Worth of each move instead of staying (K, K): (V_b - V_a) / (1 + d)."""
    return (value[None, :] - value[:, None]) / (1 + discount_rate)


def describe_steps(
    space: StageSpace,
    transition_matrix: ArrayLike,
    values: xr.DataArray | ArrayLike,
    *,
    discount_rate: float = 0.0,
    unit: str = "",
) -> str:
    """Say in one sentence which of the possible moves gain and lose most.

    Parameters
    ----------
    space, transition_matrix, values, discount_rate, unit
        As in `plot_step_worth`.

    Returns
    -------
    str

    Examples
    --------
    >>> space = StageSpace(("new", "loyal", "lost"))
    >>> P = [[0.7, 0.2, 0.1], [0, 0.9, 0.1], [0, 0, 1]]
    >>> describe_steps(space, P, [20, 100, 0], unit=" EUR")
    'The best move is new to loyal (+80 EUR per customer), the worst loyal to lost (−100 EUR).'
    """
    P = check_transition_matrix(space, transition_matrix)
    worth = step_worth(_read_values(values, space).mean(axis=0), discount_rate)
    moves = np.where((P > 0) & ~np.eye(len(P), dtype=bool), worth, np.nan)
    if np.isnan(moves).all():
        return "No customer ever moves, so no move is worth anything."
    (a, b), (c, d) = (
        tuple(np.unravel_index(find(moves), moves.shape)) for find in (np.nanargmax, np.nanargmin)
    )
    names = [stage_title(name).lower() for name in space.names]
    best, worst = (spell_money(worth[move], "+") for move in ((a, b), (c, d)))
    return (
        f"The best move is {names[a]} to {names[b]} ({best}{unit} per customer), "
        f"the worst {names[c]} to {names[d]} ({worst}{unit})."
    )


def _read_values(values: xr.DataArray | ArrayLike, space: StageSpace) -> Floats:
    """Return draws (n, K); a single set of values is one draw."""
    if isinstance(values, xr.DataArray) or np.ndim(values) == 2:
        return stage_draws("values", values, space)
    return check_numbers("values", values, (len(space),))[None]


def _facts(draws: NDArray, unit: str, prob: float) -> list[list[str]]:
    """Return the lines under each stage's name: its worth, and the interval if there are draws."""
    low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    lines = [[f"worth {spell_money(mean)} {unit}".strip()] for mean in draws.mean(axis=0)]
    if len(draws) > 1:
        for line, a, b in zip(lines, low, high, strict=True):
            line.append(f"{spell_money(a)} to {spell_money(b)}")
    return lines


def _draw_note(
    ax: "Axes", treads: Sequence[Tread], unit: str, prob: float | None, scale: float
) -> Box:
    """Explain the numbers under the right heading, where there are no moves."""
    outer = max(abs(tread.outer) for tread in treads)
    y = max(tread.top for tread in treads) + 0.12
    of = f" ({unit})" if unit else ""
    lines = [f"beside moves: worth of the move{of}"]
    lines += [] if prob is None else [f"on treads: mean, central {100 * prob:.0f}% interval"]
    text = "\n".join(lines)
    ax.text(outer, y, text, size=LABEL * scale, color=MUTED, ha="right", va="top", linespacing=1.3)
    width = max(label_size(line)[0] for line in lines)
    return Box(outer - width, y - 0.13 * len(lines), outer, y)


def _label_moves(
    ax: "Axes",
    routes: Sequence[Route],
    P: NDArray,
    worth: NDArray,
    label_above: float,
    taken: Sequence[Box],
    scale: float,
) -> None:
    """Write the worth beside the moves, where there is room; most probable first."""
    from matplotlib.patheffects import withStroke

    if not routes:
        return
    probs = np.array([P[route.stage_from, route.stage_to] for route in routes])
    order = [k for k in np.argsort(-probs, kind="stable") if probs[k] >= label_above]
    texts = [spell_money(worth[routes[k].stage_from, routes[k].stage_to], "+") for k in order]
    sizes = [label_size(text) for text in texts]
    candidates = [
        label_places(routes[k], line_width(routes[k], P), size)
        for k, size in zip(order, sizes, strict=True)
    ]
    room = [(width + 0.03, height + 0.02) for width, height in sizes]
    lines = np.concatenate([walk(route.curve, 0.03) for route in routes])
    halo = [withStroke(linewidth=1.6 * scale, foreground="white")]
    places = place_boxes(candidates, room, taken, lines)
    for k, text, place in zip(order, texts, places, strict=True):
        if place is not None:
            gains = worth[routes[k].stage_from, routes[k].stage_to] > 0
            look: dict[str, Any] = {"color": UP if gains else DOWN, "size": LABEL * scale}
            look |= {"weight": "bold", "path_effects": halo, "zorder": 7}
            ax.text(*place, text, ha="center", va="center", **look)
