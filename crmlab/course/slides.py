"""Slides from an executed notebook: one file that needs no network and no other file.

What becomes a slide: each heading with the first sentences under it, its lists, tables and
formulas; each request to predict; each exercise, as a question; each figure with its sentence; each
printed result with its code, if both are short. The rest of the prose goes into the speaker notes.
Solutions and their output are never in slides or notes.

The metadata of a cell can override this: ``slideshow: {"slide_type": ...}`` with ``skip`` (not in
the deck), ``notes`` (into the notes), or ``slide`` (all of its text on slides).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from crmlab.course.answers import Key
from crmlab.course.editions import student_source
from crmlab.course.prose import (
    Section,
    leading_sentences,
    split_blocks,
    split_sections,
    to_html,
    word_count,
)
from crmlab.course.schedule import Part, lesson_plan

if TYPE_CHECKING:
    from nbformat import NotebookNode

_MOST_COLUMNS = 96
_MOST_WORDS, _MOST_LEAD, _MOST_TAKEAWAY, _MOST_LINES = 80, 60, 24, 13
_PREDICT = re.compile(r"^\*\*(?:Predict|Before you)")
_EXERCISE = re.compile(r"^\*\*Exercise (?P<id>\d\d\.\d+)")
_EXERCISE_ID = re.compile(r"\b[Ee]xercise (\d\d\.\d+)")
_UNSPOKEN = ("further reading",)


@dataclass(frozen=True)
class Slide:
    """One slide.

    Parameters
    ----------
    kind : str
        ``title``, ``text``, ``predict``, ``exercise``, ``figure`` or ``result``.
    section : str
        The second-level heading to which it belongs.
    title, body : str
        HTML.
    notes : tuple of str
        Markdown, for the speaker.
    """

    kind: str
    section: str
    title: str
    body: str
    notes: tuple[str, ...] = ()


def make_slides(notebook: "NotebookNode") -> tuple[Slide, ...]:
    """Make slides from an executed notebook.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    tuple of Slide
        The first is the title. Text without a heading goes into the notes of the slide before it.
    """
    slides: list[Slide] = list(_opening(notebook.cells[0].source))
    section = ""
    for cell in notebook.cells[1:]:
        role = cell.metadata.get("slideshow", {}).get("slide_type", "")
        if role == "skip" or "hint" in cell.metadata.get("tags", ()):
            continue
        if role == "notes" or "instructor" in cell.metadata.get("tags", ()):
            continue
        if cell.cell_type == "markdown":
            whole = role == "slide"
            for part in split_sections(cell.source):
                section = part.title if part.level == 2 else section
                if section.lower() not in _UNSPOKEN:
                    slides = _add_section(slides, part, section, whole)
        elif cell.cell_type == "code":
            slides += _shown(cell, section)
    return tuple(slides)


# --- the title ---------------------------------------------------------------------------------


def _opening(source: str) -> Iterator[Slide]:
    blocks = split_blocks(source)
    title, promise = blocks[0].removeprefix("# "), blocks[1] if len(blocks) > 1 else ""
    minutes = re.search(r"\*\*Minutes\*\*\W*(\d+)", source)
    length = f'<p class="minutes">{minutes[1]} minutes</p>' if minutes else ""
    yield Slide("title", "", _inline(title), to_html(promise) + length)
    goals = [block for block in blocks if re.match(r"[-*1]", block) and not block.startswith("**")]
    if goals:
        lead = "<p>After this notebook you can</p>"
        yield Slide("text", "", "What you will be able to do", lead + to_html(goals[0]))


def _inline(text: str) -> str:
    return re.sub(r"^<p>|</p>\s*$", "", to_html(text).strip())


# --- prose -------------------------------------------------------------------------------------


def _add_section(slides: Sequence[Slide], part: Section, section: str, whole: bool) -> list[Slide]:
    """Add the slides of one headed section; without a heading it belongs to the slide before."""
    is_exercise = part.title.startswith("Exercise")
    calm = [block for block in part.blocks if not _asks(block)]
    made: list[Slide] = []
    if part.title:
        kind = "exercise" if is_exercise else "text"
        made = _packed(kind, part.title, section, calm, whole or is_exercise)
        before = list(slides)
    else:
        before = [*slides[:-1], _concluded(slides[-1], calm)]
    asked = [_asked(block, section) for block in part.blocks if _asks(block)]
    return [*before, *made, *asked]


def _asks(block: str) -> bool:
    return bool(_PREDICT.match(block) or _EXERCISE.match(block))


def _asked(block: str, section: str) -> Slide:
    """Make a separate slide from a request to predict, or from an exercise."""
    exercise = _EXERCISE.match(block)
    label, _, question = block.partition("**")[2].partition("**")
    if exercise:
        return Slide("exercise", section, _inline(label.rstrip(".")), to_html(question.strip()))
    if not label.lower().startswith("predict"):
        question = label + question
    return Slide("predict", section, "Predict first", to_html(question.strip()))


def _packed(kind: str, title: str, section: str, blocks: Sequence[str], whole: bool) -> list[Slide]:
    """Fill slides with the shown parts of a section; the rest goes into the notes of the first."""
    bodies: list[list[str]] = [[]]
    for block in _shown_blocks(blocks, whole):
        held = sum(map(word_count, bodies[-1]))
        if bodies[-1] and held + word_count(block) > _MOST_WORDS:
            bodies.append([])
        bodies[-1].append(block)
    shown = [to_html("\n\n".join(body)) for body in bodies]
    notes = () if whole else tuple(blocks)
    first = Slide(kind, section, _inline(title), shown[0], notes)
    return [first, *(replace(first, body=body, notes=()) for body in shown[1:])]


def _shown_blocks(blocks: Sequence[str], whole: bool) -> Iterator[str]:
    """Choose the parts of a section that go on slides: the lead, lists, tables, formulas."""
    for at, block in enumerate(blocks):
        leads_to_formula = at + 1 < len(blocks) and blocks[at + 1].startswith("$$")
        if whole or _is_structured(block):
            yield block
        elif at == 0 or leads_to_formula:
            yield leading_sentences(block, _MOST_LEAD) if not leads_to_formula else block


def _is_structured(block: str) -> bool:
    return bool(re.match(r"\||[-*] |\d+\. |\$\$|>|```", block))


def _concluded(slide: Slide, blocks: Sequence[str]) -> Slide:
    """Add the text after a result to its notes, and its first sentences under the result."""
    if slide.kind == "result" and not slide.notes and blocks and not _is_structured(blocks[0]):
        lead = _inline(leading_sentences(blocks[0], _MOST_TAKEAWAY))
        slide = replace(slide, body=f'{slide.body}<p class="takeaway">{lead}</p>')
    return _with_notes(slide, blocks)


def _with_notes(slide: Slide, blocks: Iterable[str]) -> Slide:
    return replace(slide, notes=(*slide.notes, *blocks))


# --- code and its outputs ----------------------------------------------------------------------


def _shown(cell: "NotebookNode", section: str) -> Iterator[Slide]:
    """Yield the slides of a code cell: its figures or its output; nothing for an exercise."""
    if "### BEGIN SOLUTION" in cell.source:
        return
    code = student_source(cell.source)
    figures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
    for output in figures:
        body = _figure(output.data["image/png"], output.data.get("text/plain", ""))
        yield Slide("figure", section, "", body, (f"```python\n{code}\n```",))
    printed = "".join(_output_html(output) for output in cell.outputs if output not in figures)
    if printed and not figures:
        lines = code.splitlines()
        short = len(lines) <= _MOST_LINES and max(map(len, lines)) <= _MOST_COLUMNS
        body = (_code_html(code) if short else "") + printed
        notes = () if short else (f"```python\n{code}\n```",)
        yield Slide("result", section, "", body, notes)


def _figure(png: str, sentence: str) -> str:
    data = "".join(png.split())
    alt = escape(sentence.strip().strip("'"), quote=True)
    return f'<img class="figure" alt="{alt}" src="data:image/png;base64,{data}">'


def _output_html(output: "NotebookNode") -> str:
    data = output.get("data", {})
    if "text/html" in data:
        return re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
    text = output.get("text", "") or data.get("text/plain", "")
    return f'<pre class="printed">{escape(text.rstrip())}</pre>' if text.strip() else ""


def _code_html(code: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    formatter = HtmlFormatter(noclasses=True, style="friendly", nobackground=True, cssclass="code")
    return highlight(code, PythonLexer(), formatter)


# --- the file ----------------------------------------------------------------------------------


def slides_html(
    notebook: "NotebookNode", keys: dict[str, Key] | None = None, *, notes: bool = True
) -> str:
    """Write the slides of a notebook as one self-contained HTML file.

    Parameters
    ----------
    notebook : NotebookNode
        Executed.
    keys : dict of exercise to Key, optional
        Their hints become the speaker's list of errors to expect.
    notes : bool
        False for a handout without the instructor's notes.

    Returns
    -------
    str
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    slides = (
        [_spoken(slide, keys or {}) for slide in make_slides(notebook)]
        if notes
        else [replace(slide, notes=()) for slide in make_slides(notebook)]
    )
    if notes:
        slides = _with_plan(slides, notebook)
    source = (files("crmlab.course") / "slides.html.jinja").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    shown = [
        {
            "kind": slide.kind,
            "section": Markup(_inline(slide.section)) if slide.section else "",
            "title": Markup(slide.title),
            "body": Markup(slide.body),
            "notes": Markup(to_html("\n\n".join(slide.notes))) if slide.notes else "",
        }
        for slide in slides
    ]
    heading = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    return page.render(slides=shown, title=heading, has_notes=notes) + "\n"


def _spoken(slide: Slide, keys: dict[str, Key]) -> Slide:
    """Add the errors that `check` knows to the slide of an exercise."""
    found = _EXERCISE_ID.search(slide.title)
    if slide.kind != "exercise" or not found or found[1] not in keys:
        return slide
    hints = dict.fromkeys(mistake.hint for mistake in keys[found[1]].mistakes)
    lines = "\n".join(f"- {hint}" for hint in hints)
    return _with_notes(slide, ["**Errors that `check` answers:**", lines])


def _with_plan(slides: Sequence[Slide], notebook: "NotebookNode") -> list[Slide]:
    """Add the minutes of each section to the notes of its first slide, the rest to the title."""
    plan: dict[str, Part] = {part.title: part for part in lesson_plan(notebook)}
    told = [cell.source for cell in notebook.cells if _is_for_instructors(cell)]
    first, *others = slides
    timed = [_with_notes(first, [*_plan_lines(plan.values()), *map(_plain_headings, told)])]
    for slide in others:
        part = plan.pop(slide.section, None)
        lead = (f"**{part.minutes} minutes** for this section.",) if part else ()
        timed.append(replace(slide, notes=(*lead, *slide.notes)))
    return timed


def _is_for_instructors(cell: "NotebookNode") -> bool:
    role = cell.metadata.get("slideshow", {}).get("slide_type", "")
    noted = cell.cell_type == "markdown" and role == "notes"
    return noted or "instructor" in cell.metadata.get("tags", ())


def _plan_lines(parts: Iterable[Part]) -> list[str]:
    rows = [f"| {part.title} | {part.minutes} |" for part in parts]
    return ["\n".join(["| section | minutes |", "|---|---|", *rows])]


def _plain_headings(source: str) -> str:
    return re.sub(r"^#+ +(.*)$", r"**\1**", source, flags=re.MULTILINE)
