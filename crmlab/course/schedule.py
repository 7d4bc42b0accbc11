"""Minutes: how long each section of a notebook takes, and the calendar of a short course.

A notebook states its minutes in its first cell. They are divided among its sections in proportion
to the work: words to read, cells to run and look at, exercises to solve.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.course.notebooks import read_notebook
from crmlab.course.outline import SHORT_COURSE, UNITS
from crmlab.course.prose import split_sections, word_count

if TYPE_CHECKING:
    from nbformat import NotebookNode

_WORDS_A_MINUTE, _MINUTES_A_CELL, _MINUTES_AN_EXERCISE = 130, 1.0, 6.0
_NO_TEACHING = ("further reading", "for instructors")


@dataclass(frozen=True)
class Part:
    """A section of a notebook and its share of the minutes, in whole minutes."""

    title: str
    minutes: int
    exercises: tuple[str, ...]


def stated_minutes(notebook: "NotebookNode") -> int | None:
    """Read the minutes from the first cell; None if it states none."""
    found = re.search(r"\*\*Minutes\*\*\W*(\d+)", notebook.cells[0].source)
    return int(found[1]) if found else None


def lesson_plan(notebook: "NotebookNode") -> tuple[Part, ...]:
    """Divide the minutes of a notebook among its sections of the second level.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    tuple of Part
        Their minutes sum to the stated ones.
    """
    titles, weights = ["Opening"], [0.0]
    exercises: list[list[str]] = [[]]
    for cell in notebook.cells:
        if "instructor" in cell.metadata.get("tags", ()):
            continue
        if cell.cell_type == "code":
            done = re.findall(r"\bset_answer\(\s*[\"'](.+?)[\"']", cell.source)
            weights[-1] += _MINUTES_A_CELL + _MINUTES_AN_EXERCISE * len(done)
            exercises[-1] += done
            continue
        for section in split_sections(cell.source):
            if section.level == 2:
                titles.append(section.title)
                weights.append(0.0)
                exercises.append([])
            if titles[-1].lower() not in _NO_TEACHING:
                weights[-1] += sum(map(word_count, section.blocks)) / _WORDS_A_MINUTE
    minutes = _share(stated_minutes(notebook) or round(sum(weights)), weights)
    parts = zip(titles, minutes, exercises, strict=True)
    return tuple(Part(title, share, tuple(done)) for title, share, done in parts if share)


def _share(total: int, weights: Sequence[float]) -> list[int]:
    """Divide whole minutes in proportion, rounding up the largest remainders."""
    exact = [total * weight / sum(weights) for weight in weights]
    whole = [int(part) for part in exact]
    order = sorted(range(len(exact)), key=lambda at: whole[at] - exact[at])
    for at in order[: total - sum(whole)]:
        whole[at] += 1
    return whole


def course_schedule(
    folder: Path, numbers: Sequence[str] = SHORT_COURSE, *, session_minutes: int = 90
) -> pd.DataFrame:
    """Plan a course of one notebook a week.

    Parameters
    ----------
    folder : path
        Folder of the source notebooks.
    numbers : sequence of str
        Notebooks, in the order of teaching.
    session_minutes : int
        Length of a session in class; the rest is homework.

    Returns
    -------
    DataFrame
        One row per week: week (index), number, title, minutes, in_class, at_home, exercises, and
        state, which is "ready", or "missing" for a notebook that is not written yet (its minutes
        are then missing too).
    """
    titles = {unit.number: unit.title for unit in UNITS}
    rows = [
        (week, number, titles[number], *_week(folder, number, session_minutes))
        for week, number in enumerate(numbers, start=1)
    ]
    columns = ["week", "number", "title", "minutes", "in_class", "at_home", "exercises", "state"]
    table = pd.DataFrame(rows, columns=columns).set_index("week")
    whole = dict.fromkeys(("minutes", "in_class", "at_home", "exercises"), "Int64")
    return table.astype(whole)


def _week(folder: Path, number: str, session_minutes: int) -> tuple:
    paths = sorted(Path(folder).glob(f"{number}_*.ipynb"))
    if not paths:
        return (pd.NA, pd.NA, pd.NA, pd.NA, "missing")
    notebook = read_notebook(paths[0])
    minutes = stated_minutes(notebook) or 0
    exercises = sum(len(part.exercises) for part in lesson_plan(notebook))
    in_class = min(minutes, session_minutes)
    return (minutes, in_class, minutes - in_class, exercises, "ready")


def schedule_text(table: pd.DataFrame) -> str:
    """Write a schedule as a Markdown table, with the missing notebooks listed under it."""
    lines = ["| week | notebook | minutes | in class | at home | exercises |", "|" + "---|" * 6]
    for week, row in table.iterrows():
        numbers = [row[name] for name in ("minutes", "in_class", "at_home", "exercises")]
        shown = ["not yet" if pd.isna(number) else str(number) for number in numbers]
        lines.append(f"| {week} | {row['number']} {row['title']} | {' | '.join(shown)} |")
    missing = list(table.loc[table["state"] == "missing", "number"])
    ready = table["minutes"].sum()
    total = f"{ready} minutes in the {len(table) - len(missing)} notebooks that exist."
    if missing:
        total += f" Still missing: {', '.join(missing)}."
    return "\n".join([*lines, "", total])
