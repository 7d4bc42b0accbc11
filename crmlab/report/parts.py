"""The parts of a page: tables, figures, templates that escape all text; tables as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.plots import figure_html

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup
    from matplotlib.axes import Axes


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
    return environment.get_template(name)


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
