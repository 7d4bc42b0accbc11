"""Covariates as the moves see them: one row of numbers for each move of each customer.

A panel of T periods has T - 1 moves. With ``lag = 0`` the move from period t to t + 1 takes the
covariates of t + 1, the period that it leads into (Netzer, Lattin and Srinivasan 2008: the move
into period t depends on the reunion in t). With ``lag = 1`` it takes those of t, the period that it
leaves: what a firm did in one period shows in the stage of the next.

A cell is read if both ends of its move lie inside the customer's window. Such a cell must hold a
finite number: missing covariates are not filled in here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crmlab.arrays import Bools, Floats, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.tables import observed_cells

if TYPE_CHECKING:
    import xarray as xr


AXES = ("customer_id", "period")
# With standard deviations beyond these, in the covariate's own unit, effects of a usual size
# are thousandths, or hundreds, of a log-odds per unit, which the prior hides.
NARROWEST, WIDEST = 0.02, 50.0


@dataclass(frozen=True)
class Segments:
    """Groups of customers whose moves differ, pulled together as far as the data support.

    Parameters
    ----------
    variable : str
        Variable of the panel that holds each customer's segment.
    labels : sequence of str or numbers
        All segments.
    scale : float
        Prior scale of the differences between segments [log-odds].

    Raises
    ------
    SpecError
        Fewer than two labels, labels that repeat, or a scale that is not above 0.

    Examples
    --------
    >>> Segments("region", ("north", "south")).columns
    ('region_north', 'region_south')
    """

    variable: str
    labels: tuple[str | float, ...]
    scale: float = 0.5

    def __post_init__(self) -> None:
        """Refuse fewer than two groups."""
        object.__setattr__(self, "labels", tuple(self.labels))
        problems = []
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            problems.append(f"`labels` must be two or more different ones, got {self.labels}")
        problems += number_problems({"scale": self.scale}, above=0)
        raise_problems(SpecError, "Segments", problems)

    @property
    def columns(self) -> tuple[str, ...]:
        """Name of each segment among the covariates."""
        return tuple(f"{self.variable}_{label}" for label in self.labels)

    def indicate(self, panel: "xr.Dataset") -> list["xr.DataArray"]:
        """Return 1 for the customers of each segment and 0 for the others."""
        held = self._labels_in(panel)
        return [held.copy(data=(held.values == label).astype(float)) for label in self.labels]

    def problems(self, panel: "xr.Dataset") -> list[str]:
        """List the problems of the segments in a panel; empty if every customer has one."""
        if self.variable not in panel:
            return [f"the segments' variable {self.variable!r} is not in the panel"]
        if panel[self.variable].dims != ("customer_id",):
            dims = panel[self.variable].dims
            return [f"{self.variable!r} must have the dim customer_id alone, got {dims}"]
        known = sum(column.values for column in self.indicate(panel)) > 0
        strangers = panel["customer_id"].values[~known & panel["observed"].any("period").values]
        if len(strangers) == 0:
            return []
        return [
            f"{self.variable!r} puts {len(strangers)} customers, e.g. {strangers[:3].tolist()}, in "
            f"none of the segments {list(self.labels)}"
        ]

    def _labels_in(self, panel: "xr.Dataset") -> "xr.DataArray":
        """Return the labels themselves where the panel holds their codes."""
        held = panel[self.variable]
        if "categories" not in held.attrs:
            return held
        names = np.array([*held.attrs["categories"], None], dtype=object)
        return held.copy(data=names[np.nan_to_num(held.values, nan=-1).astype(int)])


def moves_inside(panel: "xr.Dataset") -> Bools:
    """Whether both ends of a move lie inside the customer's window (N, max(T - 1, 1))."""
    observed = observed_cells(panel)
    if observed.shape[1] == 1:
        return np.zeros_like(observed)
    return observed[:, :-1] & observed[:, 1:]


def read_design(
    panel: "xr.Dataset",
    covariates: Sequence[str],
    segments: Segments | None = None,
    *,
    lag: int = 0,
    apart: bool = False,
) -> Floats:
    """Return the covariates of each move (N or 1, moves or 1, columns).

    An axis has length 1 where no covariate needs it: all customers, or all periods, share the
    matrices. With `apart` every customer has a row in any case. Cells that no move reads are 0.
    """
    inside = moves_inside(panel)
    columns = [panel[name] for name in covariates]
    columns += segments.indicate(panel) if segments else []
    cells = [_at_moves(column, inside, lag) for column in columns]
    n = max([len(inside) if apart else 1, *(len(cell) for cell in cells)])
    t = max([1, *(cell.shape[1] for cell in cells)])
    design = np.zeros((n, t, len(cells)))
    for column, cell in enumerate(cells):
        design[..., column] = cell
    return design


def _at_moves(column: "xr.DataArray", inside: Bools, lag: int) -> Floats:
    """Return one covariate (N or 1, moves or 1), 0 where no move reads it."""
    cells, inside = _cells(column, inside, lag)
    return np.where(inside, cells, 0.0)


def _cells(column: "xr.DataArray", inside: Bools, lag: int) -> tuple[Floats, Bools]:
    """Return a covariate at the moves, and whether any move reads the cell."""
    for axis, dim in enumerate(AXES):
        if dim not in column.dims:
            column = column.expand_dims(dim)
            inside = inside.any(axis=axis, keepdims=True)
    cells = column.transpose(*AXES).values.astype(float)
    if cells.shape[1] > 1:
        cells = cells[:, :-1] if lag else cells[:, 1:]
    return cells, inside


def mean_design(design: Floats, panel: "xr.Dataset") -> Floats:
    """Mean of each covariate over the moves inside the windows (columns,); 0 if there are none."""
    inside = moves_inside(panel)
    weights = np.broadcast_to(inside[..., None], (*inside.shape, design.shape[-1]))
    return (weights * design).sum(axis=(0, 1)) / max(int(inside.sum()), 1)


def design_problems(panel: "xr.Dataset", covariates: Sequence[str], lag: int) -> list[str]:
    """List covariates that are absent, of the wrong form, or not finite where a move reads them."""
    inside = moves_inside(panel)
    return [problem for name in covariates for problem in _problems_of(panel, name, inside, lag)]


def _problems_of(panel: "xr.Dataset", name: str, inside: Bools, lag: int) -> list[str]:
    if name not in panel:
        have = [str(variable) for variable in panel.data_vars if variable != "observed"]
        return [f"covariate {name!r} is not among its variables {have}"]
    column = panel[name]
    if not column.dims or set(column.dims) - set(AXES):
        return [f"covariate {name!r} must have dims among {AXES}, got {column.dims}"]
    if column.dtype.kind not in "biuf":
        return [f"covariate {name!r} must hold numbers, got {column.dtype}; use Segments for names"]
    if "categories" in column.attrs:
        return [f"covariate {name!r} holds codes of names, not amounts: use Segments"]
    cells, read = _cells(column, inside, lag)
    bad = read & ~np.isfinite(cells)
    return [_say_where(panel, column, bad, lag)] if bad.any() else []


def _say_where(panel: "xr.Dataset", column: "xr.DataArray", bad: Bools, lag: int) -> str:
    """Name a few of the cells in which a covariate is missing."""
    rows, moves = np.nonzero(bad)
    ids, periods = panel["customer_id"].values, panel["period"].values
    places = []
    for row, move in zip(rows[:3], moves[:3], strict=True):
        who = [f"customer {ids[row]}"] if "customer_id" in column.dims else []
        when = [f"period {periods[move + 1 - lag]}"] if "period" in column.dims else []
        places.append(" in ".join([*who, *when]))
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return (
        f"covariate {column.name!r} is missing or not finite where a move needs it: "
        f"{', '.join(places)}{more}; fill it in, or end the windows before the gap"
    )


def design_remarks(
    panel: "xr.Dataset", covariates: Sequence[str], lag: int, scale: float
) -> list[str]:
    """List covariates that cannot, or can hardly, show an effect."""
    inside = moves_inside(panel)
    found = []
    for name in covariates:
        cells, read = _cells(panel[name], inside, lag)
        values = cells[np.broadcast_to(read, cells.shape)]
        if len(values) == 0:
            continue
        sd = float(values.std())
        if sd == 0:
            found.append(
                f"covariate {name!r} is {values[0]:g} in every move: its effect cannot be told "
                "from the base and stays at its prior; leave it out"
            )
        elif not NARROWEST <= sd <= WIDEST:
            found.append(
                f"covariate {name!r} has a standard deviation of {sd:.3g}: effects are log-odds "
                f"per one unit with prior scale {scale:g}; divide it by about {sd:.1g} first"
            )
    return found
