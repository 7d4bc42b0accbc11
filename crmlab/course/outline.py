"""The map of the course: what each notebook asks, and what it needs first."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

SHORT_COURSE = ("01", "03", "06", "09", "14", "16", "17")
_KEYS = Path(__file__).parent / "keys"


@dataclass(frozen=True)
class Unit:
    """One notebook of the course.

    Parameters
    ----------
    number : str
        Two digits, as in the file name.
    title, short : str
        The title of the notebook, and a short one for the map.
    question : str
        What the reader can answer afterwards.
    needs : tuple of str
        Numbers of the notebooks that come before it.
    place : (float, float)
        On the map: steps from the start, and row.
    """

    number: str
    title: str
    short: str
    question: str
    needs: tuple[str, ...]
    place: tuple[float, float]

    @property
    def is_written(self) -> bool:
        """Whether the notebook exists, judged by its key."""
        return (_KEYS / f"{self.number}.json").is_file()


UNITS = (
    Unit(
        "01",
        "Analytical CRM: questions before tools",
        "Questions",
        "What should a firm ask of its data?",
        (),
        (0, 2),
    ),
    Unit(
        "02",
        "From function-oriented to subject-oriented data",
        "Data",
        "Where in four systems is the customer?",
        ("01",),
        (1, 2),
    ),
    Unit(
        "03",
        "Knapp's staircase as a stochastic machine",
        "Staircase",
        "How far does a relationship climb, and when does it end?",
        ("02",),
        (2, 2),
    ),
    Unit(
        "04",
        "Four stage models, one customer",
        "Four models",
        "What does each theory of stages fail to see?",
        ("03",),
        (3, 4),
    ),
    Unit(
        "05",
        "Types of relationship, levels of need, categories of customer",
        "Types, needs",
        "Are all relationships of one kind?",
        ("04",),
        (4, 4),
    ),
    Unit(
        "06",
        "Learning a transition matrix",
        "Learning",
        "How sure can we be of a matrix that we estimate?",
        ("03",),
        (3, 2),
    ),
    Unit(
        "07",
        "When do moves happen?",
        "Timing",
        "How long until the next move?",
        ("06",),
        (4, 3),
    ),
    Unit(
        "08",
        "What moves customers?",
        "Causes",
        "What pushes up, and what pushes down?",
        ("07",),
        (5, 3),
    ),
    Unit(
        "09",
        "Hidden stages",
        "Hidden stages",
        "In which stage is a customer who does not say?",
        ("08",),
        (6, 4),
    ),
    Unit(
        "10",
        "What customers perceive",
        "Perception",
        "Do we measure what they feel?",
        ("08",),
        (6, 3),
    ),
    Unit(
        "11",
        "Designing encounters",
        "Encounters",
        "Which moment will they remember?",
        ("10",),
        (7, 3),
    ),
    Unit(
        "12",
        "Loyalty: active, passive, silent",
        "Loyalty",
        "Who stays because they want to?",
        ("11",),
        (8, 3),
    ),
    Unit(
        "13",
        "Word of mouth and communities",
        "Word of mouth",
        "What does a lost customer say, and to whom?",
        ("12",),
        (9, 3),
    ),
    Unit(
        "14",
        "Retention under contract",
        "Contracts",
        "Why does retention seem to rise with age?",
        ("06",),
        (4, 1),
    ),
    Unit(
        "15",
        "Buying till you die",
        "Buying",
        "Has this customer left, or is she only quiet?",
        ("14",),
        (5, 0),
    ),
    Unit(
        "16",
        "What a customer is worth: Markov lifetime value and customer equity",
        "Value",
        "What is a customer worth?",
        ("03", "06", "14"),
        (5, 1),
    ),
    Unit(
        "17",
        "Acting on individuals",
        "Individuals",
        "Whom should we contact?",
        ("08", "16"),
        (6, 2),
    ),
    Unit(
        "18",
        "Policies over time",
        "Policies",
        "What should we do in each stage?",
        ("08", "16"),
        (6, 1),
    ),
    Unit(
        "19",
        "Capstone: does the CRM programme pay?",
        "Capstone (needs all)",
        "Does it pay?",
        ("05", "09", "13", "15", "17", "18"),
        (9, 1),
    ),
)


def course_table() -> pd.DataFrame:
    """List the notebooks of the course.

    Returns
    -------
    DataFrame
        One row per notebook: number (index), title, question, needs, written.

    Examples
    --------
    >>> course_table().loc["06", "title"]
    'Learning a transition matrix'
    """
    rows = [
        (u.number, u.title, u.question, ", ".join(u.needs), "yes" if u.is_written else "not yet")
        for u in UNITS
    ]
    columns = ["number", "title", "question", "needs", "written"]
    return pd.DataFrame(rows, columns=columns).set_index("number")


def course_graph() -> "nx.DiGraph":
    """Return the graph with an edge from each notebook to those that need it; nodes have a `Unit`.

    Returns
    -------
    networkx.DiGraph

    Examples
    --------
    >>> sorted(course_graph().predecessors("16"))
    ['03', '06', '14']
    """
    import networkx as nx

    graph = nx.DiGraph()
    for unit in UNITS:
        graph.add_node(unit.number, unit=unit)
    graph.add_edges_from((before, unit.number) for unit in UNITS for before in unit.needs)
    return graph


def plot_course_map(ax: "Axes | None" = None) -> "Axes":
    """Draw the map of the course: the order of the notebooks, and which are written today.

    Parameters
    ----------
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    from crmlab.plots.layout import take_axes

    ax = take_axes(ax, aspect=0.46)
    for before, after in _drawn_edges():
        _draw_edge(ax, _unit(before), _unit(after))
    for unit in UNITS:
        _draw_unit(ax, unit)
    ax.set(xlim=(-0.55, 9.65), ylim=(-0.75, 4.4))
    ax.set_axis_off()
    return ax


def _drawn_edges() -> list[tuple[str, str]]:
    """Leave out edges that follow from others, and the capstone, which needs everything."""
    import networkx as nx

    edges = nx.transitive_reduction(course_graph()).edges
    return [(before, after) for before, after in edges if after != UNITS[-1].number]


def _unit(number: str) -> Unit:
    return next(unit for unit in UNITS if unit.number == number)


def _draw_edge(ax: "Axes", before: Unit, after: Unit) -> None:
    from crmlab.plots.styles import AWAY

    (x0, y0), (x1, y1) = before.place, after.place
    ax.annotate(
        "",
        xy=(x1, y1),
        xytext=(x0, y0),
        arrowprops={
            "arrowstyle": "-|>",
            "color": AWAY,
            "linewidth": 0.8,
            "shrinkA": 10,
            "shrinkB": 10,
        },
    )


def _draw_unit(ax: "Axes", unit: Unit) -> None:
    from crmlab.plots.layout import points_of
    from crmlab.plots.styles import INK, MUTED, PHASE_COLOURS

    colour = PHASE_COLOURS["together"]
    face, ink = (colour, "white") if unit.is_written else ("white", MUTED)
    x, y = unit.place
    ax.plot(x, y, "o", markersize=points_of(2), color=face, markeredgecolor=colour, zorder=3)
    centred: dict[str, Any] = {"ha": "center", "fontsize": points_of(0.85), "zorder": 4}
    ax.text(x, y, unit.number, color=ink, va="center", weight="bold", **centred)
    label = unit.short.replace(" ", "\n", 1)
    weight = "bold" if unit.number in SHORT_COURSE else "normal"
    card = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    ax.text(x, y - 0.34, label, color=INK, va="top", weight=weight, bbox=card, **centred)
