"""Pieces to play with on the site: the staircase, prior to posterior, retention to value.

Each piece is one element of HTML that needs no network. Before its script runs, or where none may
run, it shows a figure of its first frame and the sentence that says what it shows; the script then
redraws both when a slider moves. The script (``play.js``) is small and our own; it uses no library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

from crmlab.course.play.frames import Frame, posterior_frame, retention_frame, staircase_frame


@dataclass(frozen=True)
class Piece:
    """One thing to play with.

    Parameters
    ----------
    name : str
        Also the name of its function in ``play.js``.
    title, question : str
        What it is, and what to try to find out.
    frame : callable
        Makes the first frame.
    """

    name: str
    title: str
    question: str
    frame: Callable[[], Frame]


PIECES = (
    Piece(
        "staircase",
        "The staircase",
        "Choose a step, drag one of its moves, and watch where a hundred newcomers stand and what "
        "one of them is worth. Which single move is worth most?",
        staircase_frame,
    ),
    Piece(
        "posterior",
        "Prior to posterior",
        "How many customers must be seen before two people with different priors agree?",
        posterior_frame,
    ),
    Piece(
        "retention",
        "Retention to value",
        "How much more is a customer worth when one in twenty leaves instead of one in ten?",
        retention_frame,
    ),
)


def piece_html(piece: Piece) -> str:
    """Write a piece as HTML that stands alone once `script_html` is on the page.

    Examples
    --------
    >>> '<img' in piece_html(PIECES[2])
    True
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    frame = piece.frame()
    source = (files("crmlab.course.play") / "piece.html.jinja").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return template.render(piece=piece, figure=Markup(frame.figure), data=frame.data)


def script_html() -> str:
    """Return the style and the script of all pieces, for once on a page."""
    folder = files("crmlab.course.play")
    style, script = ((folder / f"play.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return f"<style>\n{style}</style>\n<script>\n{script}</script>"
