"""Layout: axes, measured text, and labels that do not overlap."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Box(NamedTuple):
    """A rectangle, in any one unit of length."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def around(cls, centre: tuple[float, float], size: tuple[float, float]) -> "Box":
        """Place a rectangle of (width, height) around its centre."""
        (x, y), (width, height) = centre, size
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def meets(self, other: "Box") -> bool:
        """Whether two rectangles share some area."""
        apart_x = self.x1 <= other.x0 or other.x1 <= self.x0
        apart_y = self.y1 <= other.y0 or other.y1 <= self.y0
        return not (apart_x or apart_y)

    def holds(self, points: Floats) -> int:
        """Count the points, (n, 2), that lie inside."""
        inside = (points > (self.x0, self.y0)) & (points < (self.x1, self.y1))
        return int(inside.all(axis=1).sum())


def take_axes(ax: "Axes | None", aspect: float) -> "Axes":
    """Return `ax`, or new axes as wide as the style says, with height = aspect * width.

    The projector style limits the height as well, because a slide cannot be scrolled.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        width, height = plt.rcParams["figure.figsize"]
        is_screen = height / width < 0.6
        height = min(aspect * width, height) if is_screen else aspect * width
        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise SpecError(f"`ax` must be matplotlib Axes or None, got {type(ax).__name__}")
    return ax


def settle(ax: "Axes") -> "Figure":
    """Settle the layout of the figure of axes, so that lengths on paper are known; return it."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise SpecError("`ax` no longer belongs to a figure; create new axes")
    figure.draw_without_rendering()
    return figure


def paper_scale(ax: "Axes", x: tuple[float, float], y: tuple[float, float]) -> float:
    """Turn axes into a sheet of paper measured in inches; return its enlargement."""
    ax.set(xlim=x, ylim=y, aspect="equal")
    ax.axis("off")
    figure = settle(ax)
    return ax.get_window_extent().width / figure.dpi / (x[1] - x[0])


def points_of(share: float) -> float:
    """Font size in points, for a share of the style's font size."""
    import matplotlib

    return share * matplotlib.rcParams["font.size"]


def text_size(text: str, size: float, weight: str = "normal") -> tuple[float, float]:
    """Width and height of a text of one or more lines, in the unit of the font size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    # Measured large and scaled down: glyphs are hinted to whole units at small sizes.
    font = FontProperties(weight=weight, size=100)
    lines = text.replace("$", r"\$").split("\n")  # a dollar sign is money here, never mathematics
    widths = [np.ptp(TextPath((0, 0), line, prop=font).vertices[:, 0]) for line in lines if line]
    return 1.02 * max(widths, default=0.0) * size / 100, 1.2 * len(lines) * size


def spread(
    positions: ArrayLike, gap: float, *, low: float = -np.inf, high: float = np.inf
) -> Floats:
    """Move positions as little as possible (least squares), with their order and a minimum gap.

    Parameters
    ----------
    positions : array_like of shape (n,)
        In any order.
    gap : float
        Smallest distance between neighbours.
    low, high : float
        Limits of the positions, as long as there is room.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> spread([0.5, 0.4, 0.9], gap=0.2)
    array([0.55, 0.35, 0.9 ])
    """
    from scipy.optimize import isotonic_regression

    positions = np.asarray(positions, dtype=float)
    if not len(positions):
        return positions
    order = np.argsort(positions, kind="stable")
    offsets = gap * np.arange(len(positions))
    moved = np.empty_like(positions)
    pressed = isotonic_regression(positions[order] - offsets).x
    moved[order] = np.clip(pressed, low, max(low, high - offsets[-1])) + offsets
    return moved


def place_boxes(
    candidates: Sequence[Sequence[tuple[float, float]]],
    sizes: Sequence[tuple[float, float]],
    taken: Iterable[Box],
    lines: Floats,
) -> list[tuple[float, float] | None]:
    """Choose a centre for each label: outside `taken`, and covering the fewest lines.

    Parameters
    ----------
    candidates : for each label, its possible centres, the best first
    sizes : for each label, (width, height)
    taken : boxes that no label may touch
    lines : ndarray of shape (n, 2)
        Points along the lines that a label should not cover.

    Returns
    -------
    list of (x, y), or None where no candidate is clear
        Earlier labels choose first.
    """
    taken = list(taken)
    chosen: list[tuple[float, float] | None] = []
    for centres, size in zip(candidates, sizes, strict=True):
        places = [(Box.around(centre, size), centre) for centre in centres]
        clear = [place for place in places if not any(place[0].meets(other) for other in taken)]
        best = [_least_covering(clear, lines)] if clear else []
        taken += [box for box, _ in best]
        chosen.append(best[0][1] if best else None)
    return chosen


def _least_covering(
    places: Sequence[tuple[Box, tuple[float, float]]], lines: Floats
) -> tuple[Box, tuple[float, float]]:
    """Choose the first place that covers no line, otherwise the first that covers the fewest."""
    covered = []
    for place in places:
        covered.append(place[0].holds(lines))
        if not covered[-1]:
            return place
    return places[int(np.argmin(covered))]


def stage_draws(
    parameter: str, values: xr.DataArray | ArrayLike, space: StageSpace, dim: str = "stage"
) -> Floats:
    """Return draws as (n, K), in the order of the space; other dimensions are stacked.

    Raises
    ------
    SpecError
        The dimension is missing, its names are not those of the space, or a value is not finite.
    """
    if not isinstance(values, xr.DataArray):
        return check_numbers(parameter, values, (None, len(space)))
    ordered = in_order(parameter, values, space, dim)
    return check_numbers(parameter, ordered.values.reshape(-1, len(space)), (None, len(space)))


def in_order(parameter: str, values: xr.DataArray, space: StageSpace, dim: str) -> xr.DataArray:
    """Move the stage dimension last and put it in the order of the space."""
    if dim not in values.dims:
        raise SpecError(f"`{parameter}` needs a dimension {dim!r}, got {values.dims}")
    names = [str(name) for name in values[dim].values]
    if sorted(names) != sorted(space.names):
        raise SpecError(f"the {dim!r} of `{parameter}` must name {list(space.names)}, got {names}")
    return values.sel({dim: list(space.names)}).transpose(..., dim)


def check_numbers(parameter: str, values: ArrayLike, shape: tuple[int | None, ...]) -> NDArray:
    """Return finite floats of this shape (None: any length), or raise `SpecError`."""
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise SpecError(f"`{parameter}` must hold numbers only ({error})") from error
    wanted = tuple("n" if length is None else length for length in shape)
    fits = array.ndim == len(shape) and all(
        length in (None, found) for length, found in zip(shape, array.shape, strict=True)
    )
    if not fits or not array.size:
        raise SpecError(f"`{parameter}` must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        raise SpecError(
            f"`{parameter}` must be finite, got {(~np.isfinite(array)).sum()} missing or infinite "
            f"of {array.size} values"
        )
    return array


def check_prob(parameter: str, prob: float) -> None:
    """Raise `SpecError` unless `prob` is above 0 and below 1."""
    for problem in number_problems({parameter: prob}, above=0, below=1):
        raise SpecError(problem)
