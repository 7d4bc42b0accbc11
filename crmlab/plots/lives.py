"""Lives of customers as strips: each contact is a mark in time, each customer a row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from crmlab.arrays import Bools
from crmlab.errors import SpecError, raise_problems
from crmlab.plots.layout import points_of, take_axes
from crmlab.plots.styles import DOWN, INK, MUTED, UP, stage_colours, stage_title
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PALE = 0.45  # the bands are drawn under the marks
_MOST = 60  # strips that can still be distinguished
_DAY = ("customer_id", "period", "day")


class _Mark(NamedTuple):
    """How a group of contacts is drawn: label, kinds, marker, height in the strip, colour."""

    words: str
    kinds: tuple[str, ...]
    marker: str
    height: float
    colour: str


_MARKS = (
    _Mark("bank contacts customer", ("relationship_marketing", "follow_up", "treatment"),
          "|", -0.26, MUTED),
    _Mark("paperwork", ("after_sales", "accounting"), "_", -0.26, MUTED),
    _Mark("customer contacts bank", ("first_contact", "customer_service", "sales_support",
          "technical_assistance"), "|", 0.26, INK),
    _Mark("complaint", ("complaint",), "X", 0.26, DOWN),
    _Mark("win-back call", ("win_back",), "^", -0.26, UP),
    _Mark("account closed", ("closing",), "s", 0.0, DOWN),
)  # fmt: skip


def plot_lives(
    touchpoints: pd.DataFrame,
    *,
    customers: Sequence[object],
    stages: pd.DataFrame | None = None,
    space: StageSpace | None = None,
    days_per_period: int = 90,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the contacts of some customers over time, as one strip each.

    Contacts that the customer started are above the middle of a strip, those of the bank below it.
    With `stages`, the true (or most likely) stage is a band of colour under the marks.

    Parameters
    ----------
    touchpoints : DataFrame
        customer_id, period, day (within the period), kind: as a `Bank` makes them. Unknown kinds
        are drawn as contacts of the customer.
    customers : sequence of ids
        1 to 60 customers, drawn from top to bottom.
    stages : DataFrame, optional
        customer_id, period, stage.
    space : StageSpace, optional
        Needed with `stages`, for the colours.
    days_per_period : int
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        A column is missing, there are no or too many customers, or `stages` comes without `space`.

    Examples
    --------
    >>> contacts = pd.DataFrame({"customer_id": [7, 7], "period": [0, 1], "day": [3, 40],
    ...                          "kind": ["first_contact", "complaint"]})
    >>> plot_lives(contacts, customers=[7]).get_xlabel()
    'Period'
    """
    chosen = list(customers)
    raise_problems(SpecError, "plot_lives", _problems(touchpoints, chosen, stages, space))
    ax = take_axes(ax, 0.14 + 0.036 * len(chosen))
    rows = {customer: -k for k, customer in enumerate(chosen)}
    if stages is not None and space is not None:
        _draw_bands(ax, stages, rows, space)
    _draw_marks(ax, touchpoints, rows, days_per_period)
    ax.set_yticks([*rows.values()], [str(customer) for customer in rows])
    ax.tick_params(axis="y", length=0, labelsize=points_of(0.75))
    ax.set_ylim(-len(chosen) + 0.4, 0.6)
    ax.set_xlabel("Period")
    ax.set_ylabel("Customer")
    ax.grid(visible=False)
    _draw_legend(ax, space if stages is not None else None)
    return ax


def describe_lives(
    touchpoints: pd.DataFrame, *, customers: Sequence[object], days_per_period: int = 90
) -> str:
    """Say in one sentence how long and how busy the lives are.

    Parameters
    ----------
    touchpoints, customers, days_per_period
        As in `plot_lives`.

    Returns
    -------
    str

    Examples
    --------
    >>> contacts = pd.DataFrame({"customer_id": [7, 7, 8], "period": [0, 1, 0], "day": [3, 40, 9],
    ...                          "kind": ["first_contact", "complaint", "first_contact"]})
    >>> describe_lives(contacts, customers=[7, 8])
    'Of 2 customers, 1 met the firm once only; the median one had 1.5 contacts, the busiest 2; \
1 complained, and 0 closed their account.'
    """
    chosen = list(customers)
    raise_problems(SpecError, "describe_lives", _problems(touchpoints, chosen, None, None))
    theirs = touchpoints[touchpoints["customer_id"].isin(chosen)]
    counts = theirs.groupby("customer_id").size().reindex(chosen, fill_value=0)
    complained, closed = (
        theirs.loc[theirs["kind"] == kind, "customer_id"].nunique()
        for kind in ("complaint", "closing")
    )
    return (
        f"Of {len(chosen)} customers, {(counts <= 1).sum()} met the firm once only; the median one "
        f"had {counts.median():g} contacts, the busiest {counts.max()}; {complained} complained, "
        f"and {closed} closed their account."
    )


def _problems(
    touchpoints: pd.DataFrame,
    customers: Sequence[object],
    stages: pd.DataFrame | None,
    space: StageSpace | None,
) -> list[str]:
    wanted: dict[str, tuple[pd.DataFrame, tuple[str, ...]]] = {
        "touchpoints": (touchpoints, (*_DAY, "kind"))
    }
    if stages is not None:
        wanted["stages"] = (stages, ("customer_id", "period", "stage"))
    problems = [
        f"`{name}` has no column {column!r}"
        for name, (frame, columns) in wanted.items()
        for column in columns
        if column not in frame
    ]
    if not 1 <= len(customers) <= _MOST:
        problems.append(f"`customers` must name 1 to {_MOST} customers, got {len(customers)}")
    if stages is not None and space is None:
        problems.append("`space` is needed with `stages`, for their colours")
    return problems


def _draw_bands(
    ax: "Axes", stages: pd.DataFrame, rows: dict[object, int], space: StageSpace
) -> None:
    """Draw the stage of each period under the strip; a stage that is never left stays white."""
    colours = {**stage_colours(space), **dict.fromkeys(space.absorbing, "none")}
    theirs = stages[stages["customer_id"].isin(list(rows))]
    for customer, life in theirs.groupby("customer_id", observed=True):
        ax.broken_barh(
            [(period, 1) for period in life["period"]],
            (rows[customer] - 0.42, 0.84),
            facecolors=[colours[str(stage)] for stage in life["stage"]],
            alpha=_PALE,
            linewidth=0,
            zorder=1,
        )


def _draw_marks(ax: "Axes", touchpoints: pd.DataFrame, rows: dict[object, int], days: int) -> None:
    theirs = touchpoints[touchpoints["customer_id"].isin(list(rows))]
    when = theirs["period"].to_numpy() + (theirs["day"].to_numpy() + 0.5) / days
    row = theirs["customer_id"].map(rows).to_numpy(dtype=float)
    for mark, mine in zip(_MARKS, _by_mark(theirs["kind"]), strict=True):
        ax.plot(when[mine], row[mine] + mark.height, **_look(mark), zorder=3)
    ax.set_xlim(0, max(when.max(initial=1), 1))


def _by_mark(kinds: pd.Series) -> list[Bools]:
    """Masks of the groups of contacts; an unknown kind is a contact of the customer."""
    text = kinds.astype("str").to_numpy()
    found = [np.isin(text, mark.kinds) for mark in _MARKS]
    found[2] = found[2] | ~np.any(found, axis=0)
    return found


def _look(mark: _Mark) -> dict[str, Any]:
    is_line = mark.marker in "|_"
    return {
        "linestyle": "none",
        "marker": mark.marker,
        "color": mark.colour,
        "markersize": points_of(0.45 if is_line else 0.5),
        "markeredgewidth": 1.0 if is_line else 0.5,
        "markeredgecolor": mark.colour if is_line else "white",
    }


def _draw_legend(ax: "Axes", space: StageSpace | None) -> None:
    """Name the marks, then the colours beneath them, below the strips."""
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [Line2D([], [], label=mark.words, **_look(mark)) for mark in _MARKS]
    if space is not None:
        handles += [
            Patch(color=colour, alpha=_PALE, label=stage_title(name))
            for name, colour in stage_colours(space).items()
            if name not in space.absorbing
        ]
    ax.figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=5,
        fontsize=points_of(0.75),
        frameon=False,
        handlelength=1.2,
    )
