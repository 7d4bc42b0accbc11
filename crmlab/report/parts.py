"""The parts of a page: tables, figures, templates that escape all text; tables as CSV."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.plots import figure_html

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup
    from matplotlib.axes import Axes


_OPTION = re.compile(r"(?<![\w-])--[a-z]+(-[a-z]+)*")
_PHONE, _GAP = 42, 2  # characters that fit beside each other on a phone, and between two columns


@dataclass(frozen=True)
class Table:
    """A table of the page, cells as they are printed.

    Parameters
    ----------
    anchor : str
        Its id on the page.
    caption : str
    head : sequence of str
    rows : sequence of sequences of str
    words : bool
        Whether the cells are words, set flush left.
    word_columns : sequence of int
        Single columns of words in a table of numbers.
    best : sequence of int
        Rows to stand out.
    """

    anchor: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False
    word_columns: Sequence[int] = ()
    best: Sequence[int] = ()

    @property
    def is_broad(self) -> bool:
        """Whether a phone shows only a part of it: its cells do not wrap unless they are words."""
        if self.words:
            return False
        columns = zip(*(map(str, row) for row in self.rows), strict=True)
        widest = [
            max(map(len, [*head.split(), *cells]))
            for head, cells in zip(self.head, columns, strict=True)
        ]
        return sum(widest) + _GAP * len(widest) > _PHONE


def tabulate(
    anchor: str,
    caption: str,
    frame: pd.DataFrame,
    columns: Mapping[str, Callable[[pd.Series], str]],
    *,
    word_columns: Sequence[int] = (),
    best: Sequence[int] = (),
) -> Table:
    """Make a table with a row for each row of a frame.

    Parameters
    ----------
    anchor, caption : str
    frame : DataFrame
    columns : mapping of head to function
        Prints a cell from a row of the frame, whose label is ``row.name``.
    word_columns, best : sequence of int
        As in `Table`.

    Examples
    --------
    >>> frame = pd.DataFrame({"total": [3.0]}, index=["stages"])
    >>> columns = {"Rule": lambda row: row.name, "total": lambda row: f"{row['total']:.1f}"}
    >>> tabulate("totals", "Totals.", frame, columns).rows
    [['stages', '3.0']]
    """
    rows = [[cell(row) for cell in columns.values()] for _, row in frame.iterrows()]
    return Table(anchor, caption, list(columns), rows, word_columns=word_columns, best=best)


@cache
def read_template(package: str, name: str) -> "Template":
    """Compile a template of a package; it escapes everything that is put in, except figures."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("crmlab.report", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["mark_options"] = mark_options
    return environment.get_template(name)


def mark_options(text: object) -> "Markup":
    """Escape a text and set the options in it as code, so that no line breaks within them.

    Examples
    --------
    >>> str(mark_options("<b> (--date-order)"))
    '&lt;b&gt; (<code>--date-order</code>)'
    """
    from markupsafe import Markup, escape

    return Markup(_OPTION.sub(r"<code>\g<0></code>", str(escape(text))))


def element(ax: "Axes", sentence: str) -> "Markup":
    """Turn a figure into HTML and close it."""
    import matplotlib.pyplot as plt
    from markupsafe import Markup

    html = figure_html(ax, sentence)
    plt.close(ax.get_figure(root=True))
    return Markup(html)


def to_csv(frame: pd.DataFrame) -> str:
    r"""Write a table as CSV with Unix line ends on every system.

    Examples
    --------
    >>> to_csv(pd.DataFrame({"customer_id": [7], "value": [1.5]}))
    'customer_id,value\n7,1.5\n'
    """
    return frame.to_csv(index=False, lineterminator="\n")
