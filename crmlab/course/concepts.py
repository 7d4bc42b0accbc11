"""The map of ideas: each idea of the source documents, its home, and its knob.

It is one file (``docs/concepts.csv``); the site prints it, and a test checks it against the
notebooks and the knobs of the bank. A row names at most one home: a notebook that quotes the idea
(``phrase``) and executes code for it (``code``).
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def read_concepts(root: Path) -> "pd.DataFrame":
    """Read the map of ideas.

    Parameters
    ----------
    root : Path
        The clone.

    Returns
    -------
    pandas.DataFrame
        Index ``id``; columns ``idea``, ``notebooks`` (planned numbers, separated by spaces),
        ``notebook`` (the home), ``phrase``, ``code``, ``knob`` (names, separated by spaces). All
        are text; "" if empty.
    """
    import pandas as pd

    path = root / "docs" / "concepts.csv"
    return pd.read_csv(path, dtype=str, keep_default_na=False, index_col="id")


def concepts_page(root: Path) -> str:
    """Write the page of ideas, in Markdown: a table of their homes and knobs."""
    concepts = read_concepts(root)
    rows = [
        f"| {name} | {_cell(row['idea'])} | {row['notebook']} | {_knobs(row['knob'])} |"
        for name, row in concepts.iterrows()
    ]
    lead = (
        f"The ideas of the five documents behind this course, {len(concepts)} in all, in our "
        f"words. {(concepts['notebook'] != '').sum()} have a home so far: a notebook that quotes "
        "the idea or its words. A knob turns an idea on or off in the bank; where no knob does, "
        "the name is that of the function or stage model that carries it."
    )
    head = ["| id | idea | notebook | knob |", "|---|---|---|---|"]
    return "\n".join(["# Ideas and their homes", "", lead, "", *head, *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _knobs(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split())
