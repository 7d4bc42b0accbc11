"""The geometry of the staircase: the place of each stage, and the path of each move.

Nothing is drawn here. Lengths are inches of a page-wide figure; the centre line of the staircase is
x = 0, the ground y = 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crmlab.arrays import Bools, Floats
from crmlab.plots.layout import Box
from crmlab.plots.routes import Point, Route, bezier
from crmlab.plots.styles import AWAY, DOWN, UP
from crmlab.stages import StageSpace

RUN, SLAB, LANDING = 0.60, 1.16, 0.06
GROUND = 0.40  # from the ground line up to the underside of the lowest tread


@dataclass(frozen=True)
class Tread:
    """A stage on the staircase: a slab from its outer end to its inner end."""

    stage: int
    side: int  # -1 on the left (coming together), +1 on the right (coming apart)
    outer: float
    inner: float
    bottom: float
    top: float
    shares_top: bool

    @property
    def middle(self) -> float:
        """Height of the middle of the slab."""
        return (self.bottom + self.top) / 2

    @property
    def box(self) -> Box:
        """The slab as a rectangle."""
        left, right = sorted((self.outer, self.inner))
        return Box(left, self.bottom, right, self.top)


def build_treads(space: StageSpace, height: float, rise: float) -> list[Tread]:
    """Place the stages of both phases on two flights that share top and bottom, in stage order."""
    flights = {
        -1: [i for i, phase in enumerate(space.phases) if phase == "together"],
        +1: [i for i, phase in enumerate(space.phases) if phase == "apart"][::-1],
    }
    levels = max(map(len, flights.values())) - 1
    treads = []
    for side, stages in flights.items():
        for place, stage in enumerate(stages):
            level = levels * place / max(len(stages) - 1, 1)
            inner = side * (LANDING / 2 + RUN * (levels - level))
            bottom = GROUND + rise * level
            on_top = level == levels
            treads.append(
                Tread(stage, side, inner + side * SLAB, inner, bottom, bottom + height, on_top)
            )
    return sorted(treads, key=lambda tread: tread.stage)


def build_routes(space: StageSpace, treads: Sequence[Tread], drawn: Bools) -> list[Route]:
    """Route every move of `drawn`, (K, K) of bool, along or across the flights."""
    moves = [(int(i), int(j)) for i, j in np.argwhere(drawn & ~np.eye(len(space), dtype=bool))]
    ways = {(i, j): _way(space, treads, i, j) for i, j in moves}
    ports = _ports(treads, [move for move in moves if ways[move] in ("across", "repair")])
    paths: dict[str, Callable[[int, int], NDArray]] = {
        "step": lambda i, j: _step(treads, i, j),
        "skip": lambda i, j: _skip(treads, i, j),
        "across": lambda i, j: _across(treads, ports, i, j),
        "repair": lambda i, j: _across(treads, ports, i, j),
        "exit": lambda i, j: _exit(treads[i], treads[j]),
    }
    return [
        Route(i, j, way, _colour(treads, i, j, way), paths[way](i, j))
        for (i, j), way in ways.items()
    ]


def _way(space: StageSpace, treads: Sequence[Tread], i: int, j: int) -> str:
    """Return the kind of path of a move; the last step of a descent counts as a step."""
    start, end = treads[i], treads[j]
    if start.side != end.side:
        if space.kinds[i, j] == "exit" and end.bottom == GROUND and end.side > 0:
            return "exit"
        return "across" if start.side < 0 else "repair"
    between = [t for t in treads if t.side == start.side and _is_between(t, start, end)]
    if not between:
        return "step"
    return "exit" if space.kinds[i, j] == "exit" and end.bottom == GROUND else "skip"


def _is_between(tread: Tread, one: Tread, other: Tread) -> bool:
    return min(one.bottom, other.bottom) < tread.bottom < max(one.bottom, other.bottom)


def _colour(treads: Sequence[Tread], i: int, j: int, way: str) -> str:
    if way in ("exit", "repair", "across"):
        return {"exit": AWAY, "repair": UP, "across": DOWN}[way]
    return UP if treads[j].bottom > treads[i].bottom else DOWN


def _step(treads: Sequence[Tread], i: int, j: int) -> Floats:
    """Run along the main direction in a wide arc, and back close to the riser."""
    lower, upper = sorted((treads[i], treads[j]), key=lambda tread: tread.bottom)
    side = lower.side
    if (treads[j] is upper) == (side < 0):
        ends = (lower.outer - side * 0.17, lower.top), (upper.outer, upper.top - 0.09)
        bend = (lower.outer - side * 0.13, upper.top + 0.04)
    else:
        ends = (upper.outer + side * 0.11, lower.top), (upper.outer, upper.bottom + 0.10)
        bend = (upper.outer + side * 0.13, upper.bottom + 0.09)
    return _directed(ends, bend, reverse=treads[i] is upper)


def _skip(treads: Sequence[Tread], i: int, j: int) -> Floats:
    """Jump over one or more treads, outside the steps."""
    lower, upper = sorted((treads[i], treads[j]), key=lambda tread: tread.bottom)
    side = lower.side
    # The way back lands a little further in and curves less, so that the two lines stay apart.
    back = 0.0 if (treads[j] is upper) == (side < 0) else 0.20
    ends = (
        (lower.outer - side * (0.07 + back), lower.top),
        (upper.outer - side * (0.06 + back / 2), upper.top),
    )
    bend = (lower.outer - side * (0.02 + back), upper.top + 0.34 - back / 2)
    return _directed(ends, bend, reverse=treads[i] is upper)


def _across(treads: Sequence[Tread], ports: dict, i: int, j: int) -> Floats:
    """Cross under the stairs, or above them between the two top treads."""
    start, end = treads[i], treads[j]
    if start.shares_top and end.shares_top:
        lift, reach = (0.34, 0.60) if start.side < 0 else (0.17, 0.26)
        ends = (start.side * reach, start.top), (end.side * reach, end.top)
        return bezier(ends[0], (0.0, start.top + 2 * lift), ends[1])
    a, b = ports[i, j, "from"], ports[i, j, "to"]
    # Ladders are straight; the way to coming apart curves upwards, away from the ladder.
    bulge = 0.09 * np.hypot(b[0] - a[0], b[1] - a[1]) if start.side < 0 else 0.0
    return bezier(a, ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2 + bulge), b)


def _exit(start: Tread, end: Tread) -> Floats:
    """Fall from a tread's inner end to the ground, then run along it, up into the last tread."""
    x = start.inner + start.side * (RUN / 2 if start.bottom > GROUND else SLAB / 2)
    goal = (end.inner + end.outer) / 2
    return np.array([(x, start.bottom), (x, 0.0), (goal, 0.0), (goal, end.bottom)])


def _ports(treads: Sequence[Tread], moves: Sequence[tuple[int, int]]) -> dict:
    """Give every move across its own place at both ends, ordered so that few lines cross."""
    ends: dict[int, list] = {tread.stage: [] for tread in treads}
    for i, j in moves:
        if not (treads[i].shares_top and treads[j].shares_top):
            ends[i].append((treads[j].bottom, treads[i].side < 0, (i, j, "from")))
            ends[j].append((treads[i].bottom, treads[i].side < 0, (i, j, "to")))
    return {
        key: place
        for stage, keys in ends.items()
        for key, place in zip(
            [key for *_, key in sorted(keys)], _places(treads[stage], len(keys)), strict=True
        )
    }


def _places(tread: Tread, n: int) -> list[Point]:
    """Spread n places over the inner side of a tread, or over the underside of a top tread."""
    shares = (np.arange(n) + 0.5) / max(n, 1)
    if tread.shares_top:
        return [(tread.inner + tread.side * (0.72 - 0.62 * s), tread.bottom) for s in shares]
    height = tread.top - tread.bottom
    return [(tread.inner, tread.bottom + height * (0.06 + 0.88 * s)) for s in shares]


def _directed(
    ends: tuple[Point, Point],
    bend: Point,
    *,
    reverse: bool,
) -> Floats:
    start, end = ends[::-1] if reverse else ends
    return bezier(start, bend, end)


def outline(treads: Sequence[Tread], side: int) -> Floats:
    """Trace the profile of one flight, a polygon from the ground at its outer end to the centre."""
    flight = sorted((t for t in treads if t.side == side), key=lambda tread: tread.bottom)
    corners = [(flight[0].outer, 0.0), (flight[0].outer, flight[0].top)]
    for lower, upper in pairwise(flight):
        corners += [(upper.outer, lower.top), (upper.outer, upper.top)]
    return np.array([*corners, (0.0, flight[-1].top), (0.0, 0.0)])
