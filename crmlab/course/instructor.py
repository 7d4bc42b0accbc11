"""The instructor's edition: solutions, minutes, notes, and the errors to expect.

It is the executed source without the hidden tests, with two additions: a plan in minutes after the
first cell, and the errors that `crmlab.check` knows after each exercise.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crmlab.course.answers import Key
from crmlab.course.notebooks import strip_metadata
from crmlab.course.schedule import lesson_plan, stated_minutes

if TYPE_CHECKING:
    from nbformat import NotebookNode

_HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS[ \t]*\n.*?^[ \t]*### END HIDDEN TESTS[ \t]*(?:\n|\Z)",
    re.DOTALL | re.MULTILINE,
)


def instructor_notebook(notebook: "NotebookNode", keys: dict[str, Key]) -> "NotebookNode":
    """Derive the instructor's edition of an executed source notebook.

    Parameters
    ----------
    notebook : NotebookNode
    keys : dict of exercise to Key

    Returns
    -------
    NotebookNode
        A new one; the source is not changed.
    """
    edition = strip_metadata(notebook)
    first, *others = edition.cells
    edition.cells = [
        first,
        _plan(notebook),
        *(made for cell in others for made in _instructor_cells(cell, keys)),
    ]
    return edition


def recall_notebook(notebook: "NotebookNode") -> "NotebookNode":
    """Derive the recall edition: headings and code, to do the notebook again from memory.

    Prose, hints, outputs, solutions and notes are gone; exercises keep their question.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    NotebookNode
    """
    from crmlab.course.editions import student_notebook

    edition = student_notebook(notebook)
    first = edition.cells[0]
    first.source = f"{first.source.splitlines()[0]}\n\n{_RECALL}"
    code = (made for cell in edition.cells[1:] for made in _recall_cells(cell))
    edition.cells = [first, *code]
    return edition


_RECALL = (
    "Recall edition: before you run a cell, say what it will show, and why it stands here. "
    "The text and the figures are in the student edition."
)


def _plan(notebook: "NotebookNode") -> "NotebookNode":
    from nbformat.v4 import new_markdown_cell

    parts = lesson_plan(notebook)
    rows = [f"| {part.title} | {part.minutes} | {', '.join(part.exercises)} |" for part in parts]
    source = "\n".join(
        [
            f"**Plan: {stated_minutes(notebook) or sum(part.minutes for part in parts)} minutes**, "
            "shared among the sections by words, cells and exercises.",
            "",
            "| section | minutes | exercises |",
            "|---|---|---|",
            *rows,
        ]
    )
    return new_markdown_cell(source, id="instructor-plan", metadata={"tags": ["instructor"]})


def _instructor_cells(cell: "NotebookNode", keys: dict[str, Key]) -> "Iterator[NotebookNode]":
    from nbformat.v4 import new_markdown_cell

    if cell.cell_type != "code":
        yield cell
        return
    exercises = re.findall(r"\bset_answer\(\s*[\"'](.+?)[\"']", cell.source)
    cell.source = _HIDDEN.sub("", cell.source).rstrip("\n")
    yield cell
    for exercise in exercises:
        if exercise in keys:
            tags = {"tags": ["instructor"]}
            name = f"errors-{exercise.replace('.', '-')}"
            yield new_markdown_cell(common_errors(keys[exercise]), id=name, metadata=tags)


def common_errors(key: Key) -> str:
    """List the wrong answers that have their own hint, as Markdown."""
    hints = dict.fromkeys(mistake.hint for mistake in key.mistakes)
    lines = [f"**Errors to expect in {key.exercise}**, and what `check` says to each:", ""]
    return "\n".join([*lines, *(f"- {hint}" for hint in hints)])


def _recall_cells(cell: "NotebookNode") -> "Iterator[NotebookNode]":
    from crmlab.course.prose import split_sections

    if cell.cell_type == "code":
        yield cell
        return
    kept = []
    for section in split_sections(cell.source):
        asks = section.title.startswith("Exercise")
        asked = section.blocks if asks else [b for b in section.blocks if "**Exercise " in b[:12]]
        kept += [f"{'#' * section.level} {section.title}"] if section.title else []
        kept += asked
    if kept and not cell.source.startswith("<details>"):
        cell.source = "\n\n".join(kept)
        cell.pop("attachments", None)
        yield cell
