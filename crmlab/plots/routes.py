"""Moves as curves: pure geometry, in any unit of length."""

from dataclasses import dataclass

import numpy as np

from crmlab.arrays import Floats
from crmlab.plots.layout import Box

Point = tuple[float, float]


@dataclass(frozen=True)
class Route:
    """A move as it is drawn: a curve from stage to stage, and its appearance."""

    stage_from: int
    stage_to: int
    way: str  # 'step', 'skip', 'across', 'repair' or 'exit'
    colour: str
    curve: Floats  # (n, 2), from start to end


def bezier(start: Point, bend: Point, end: Point) -> Floats:
    """Quadratic curve from start to end, drawn towards its bend, (41, 2) points."""
    t = np.linspace(0, 1, 41)[:, None]
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)


def walk(curve: Floats, spacing: float) -> Floats:
    """Return points on a curve at equal distances of about `spacing`, including both ends.

    Examples
    --------
    >>> walk(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), 0.5)[:, 1]
    array([0. , 0. , 0. , 0.5, 1. ])
    """
    lengths = np.hypot(*np.diff(curve, axis=0).T)
    travelled = np.concatenate([[0.0], lengths.cumsum()])
    stops = np.linspace(0, travelled[-1], max(round(travelled[-1] / spacing), 2) + 1)
    return np.column_stack([np.interp(stops, travelled, curve[:, d]) for d in (0, 1)])


def normals(curve: Floats) -> Floats:
    """Find the unit vectors to the left of a curve, one at each of its points."""
    along = np.gradient(curve, axis=0)
    along = along / np.hypot(*along.T)[:, None]
    return np.column_stack([-along[:, 1], along[:, 0]])


def outer_normals(curve: Floats) -> Floats:
    """Find the normals on the outer side of a curve; upwards if it is straight."""
    sides = normals(curve)
    middle = len(curve) // 2
    bulge = curve[middle] - (curve[0] + curve[-1]) / 2
    outwards = bulge if np.hypot(*bulge) > 0.01 else np.array([0.0, 1.0])
    return sides if sides[middle] @ outwards >= 0 else -sides


def outside(curve: Floats, *boxes: Box) -> Floats:
    """Cut off the parts of a curve that lie in boxes at its ends."""
    points = walk(curve, 0.01)
    hidden = [any(box.holds(point[None]) for box in boxes) for point in points]
    return points[~np.array(hidden)]
