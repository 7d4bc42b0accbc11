"""Grading: each submission runs in its own process; its answers are judged here, with the keys.

A submission is a notebook that a student has filled in. The *source* notebook, never the
submission, decides which cell answers which exercise and which expression is the answer.
"""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.course.answers import Key
from crmlab.course.editions import student_source
from crmlab.course.judging import Verdict, judge_with
from crmlab.course.keyring import DRAFTS_VARIABLE, FOLDER_VARIABLE, keys_folder, load_keys
from crmlab.course.notebooks import read_notebook
from crmlab.course.sandbox import OUTPUT, VALUES, Limits, write_task
from crmlab.errors import DataError, raise_problems

if TYPE_CHECKING:
    from nbformat import NotebookNode

_MOST_BYTES = 5_000_000
_CACHES = {"NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib"}
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "OPENBLAS_NUM_THREADS", "SYSTEMROOT", "PYTHONUTF8")


@dataclass(frozen=True)
class Question:
    """One exercise of the source notebook: its cell, and the expression for its answer."""

    exercise: str
    cell_id: str
    probe: str
    check: str


@dataclass(frozen=True)
class Grade:
    """The result of one submission.

    Parameters
    ----------
    student_id : str
    verdicts : dict of exercise to Verdict
    state : str
        "ran to the end", or why it stopped.
    notes : tuple of str
        What the instructor should check.
    seconds : float
    """

    student_id: str
    verdicts: dict[str, Verdict]
    state: str
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def points(self) -> int:
        """How many exercises are right."""
        return sum(verdict.right for verdict in self.verdicts.values())


@dataclass(frozen=True)
class _Run:
    """The output of a process."""

    lines: list[dict] = field(default_factory=list)
    state: str = ""
    seconds: float = 0.0


# --- questions ---------------------------------------------------------------------------------


def find_questions(source: "NotebookNode") -> tuple[Question, ...]:
    """List the exercises of a source notebook.

    Parameters
    ----------
    source : NotebookNode
        With solutions and hidden tests.

    Returns
    -------
    tuple of Question

    Raises
    ------
    DataError
        If no cell answers an exercise with ``crm.check("NN.k", expression)``.
    """
    found = []
    for cell in source.cells:
        if cell.cell_type != "code" or "set_answer(" not in cell.source:
            continue
        for call in ast.walk(ast.parse(student_source(cell.source))):
            for exercise, probe in _checked(call):
                found.append(Question(exercise, cell.get("id", ""), probe, ast.unparse(call)))
    if not found:
        raise DataError("The source notebook has no exercise: no cell with crm.check(...).")
    return tuple(found)


def _checked(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the exercise and the answer of ``check("NN.k", answer)``."""
    match node:
        case ast.Call(
            func=ast.Attribute(attr="check") | ast.Name(id="check"),
            args=[ast.Constant(value=str(exercise)), answer],
        ):
            yield exercise, ast.unparse(answer)


def find_submissions(folder: Path) -> dict[str, Path]:
    """Find one notebook per student: ``ID.ipynb``, or a folder ``ID`` with one notebook in it.

    Raises
    ------
    DataError
        The folder is missing or empty, or has more than one notebook of a student.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"grade: there is no folder {folder}.")
    found = {path.stem: [path] for path in sorted(folder.glob("*.ipynb"))}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        inside = sorted(inner.glob("*.ipynb"))
        if inside:
            found.setdefault(inner.name, []).extend(inside)
    problems = [
        f"{name} submitted {len(paths)} notebooks"
        for name, paths in found.items()
        if len(paths) > 1
    ]
    problems += [] if found else [f"{folder} contains no notebooks"]
    raise_problems(DataError, "grade", problems)
    return {name: paths[0] for name, paths in found.items()}


# --- grading -----------------------------------------------------------------------------------


def grade_folder(
    submissions: dict[str, Path],
    source: "NotebookNode",
    keys_of: Callable[[str], dict[str, Key]],
    *,
    data_of: Callable[[str], Path | None] = lambda student_id: None,
    limits: Limits | None = None,
    forbidden: Sequence[Path] = (),
    on_grade: Callable[[Grade], None] = lambda grade: None,
) -> list[Grade]:
    """Grade submissions one by one; a bad one does not stop the others.

    Parameters
    ----------
    submissions : dict of student id to notebook
    source : NotebookNode
        The notebook from which the submissions were made, with its solutions.
    keys_of : callable
        Returns the keys of a student, by exercise.
    data_of : callable
        Returns the data folder of a student, which is copied into the work folder, or None.
    limits : Limits
    forbidden : sequence of path
        Folders that a submission may not read, in addition to the course's keys.
    on_grade : callable
        Called with each grade.

    Returns
    -------
    list of Grade
    """
    questions = find_questions(source)
    grades = []
    for student_id, path in submissions.items():
        grade = grade_submission(
            student_id,
            path,
            questions,
            keys_of,
            data=data_of(student_id),
            limits=limits or Limits(),
            forbidden=forbidden,
        )
        grades.append(grade)
        on_grade(grade)
    return grades


def grade_submission(
    student_id: str,
    path: Path,
    questions: Sequence[Question],
    keys_of: Callable[[str], dict[str, Key]],
    *,
    data: Path | None,
    limits: Limits,
    forbidden: Sequence[Path] = (),
) -> Grade:
    """Grade one submission; any error becomes its state."""
    try:
        cells, notes = _cells_to_run(read_notebook(path), questions)
        keys = keys_of(student_id)
    except Exception as error:
        # A submitted file can contain anything; it must not stop the grading of other students.
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        none = {question.exercise: Verdict(False, "not graded") for question in questions}
        return Grade(student_id, none, f"not graded: {reason}")
    run = _run(cells, data, limits, [*forbidden, path.parent])
    notes += [f"tried {line['refused']}" for line in run.lines if "refused" in line]
    verdicts = {q.exercise: _verdict(q, run.lines, keys) for q in questions}
    return Grade(student_id, verdicts, run.state, tuple(notes), run.seconds)


def _cells_to_run(
    notebook: "NotebookNode", questions: Sequence[Question]
) -> tuple[list[dict], list[str]]:
    """Choose the cell of each exercise, by its id or by its text; note what was changed."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    place, notes = {}, []
    for question in questions:
        at = _find_cell(code, question)
        if at is None:
            notes.append(f"{question.exercise}: its cell is gone")
            continue
        place[at] = question
        if _compact(question.check) not in _compact(code[at].source):
            notes.append(f"{question.exercise}: the check was changed (judged without it)")
    cells = [
        {
            "source": cell.source,
            "exercise": place[at].exercise if at in place else "",
            "probe": place[at].probe if at in place else "",
        }
        for at, cell in enumerate(code)
    ]
    return cells, notes


def _find_cell(code: Sequence["NotebookNode"], question: Question) -> int | None:
    by_id = [at for at, cell in enumerate(code) if cell.get("id") == question.cell_id]
    words = rf"(?<![\d.]){re.escape(question.exercise)}(?![\d])"
    by_words = [at for at, cell in enumerate(code) if re.search(words, cell.source)]
    both = [at for at in by_id if at in by_words]
    chosen = both or by_words[-1:] or by_id
    return chosen[0] if chosen else None


def _compact(code: str) -> str:
    return re.sub(r"\s", "", code).replace('"', "'")


def _verdict(question: Question, output: Sequence[dict], keys: dict[str, Key]) -> Verdict:
    lines = [line for line in output if line.get("exercise") == question.exercise]
    if question.exercise not in keys:
        return Verdict(False, "no key")
    if not lines:
        return Verdict(False, "not reached")
    if "value" not in lines[0]:
        return Verdict(False, f"no answer ({lines[0].get('error', 'unreadable')})")
    try:
        value = lines[0]["value"]
        return judge_with(keys[question.exercise], set(value) if lines[0].get("is_set") else value)
    except Exception as error:  # the value from a submission may be anything
        return Verdict(False, f"unreadable answer ({type(error).__name__})")


# --- the process -------------------------------------------------------------------------------


def _run(cells: list[dict], data: Path | None, limits: Limits, forbidden: Sequence[Path]) -> _Run:
    """Run cells in their own process and return its output, however it ended."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        work = Path(made) / "work"
        work.mkdir()
        if data is not None:
            shutil.copytree(data, work, dirs_exist_ok=True)
        variables = _variables(work)
        write_task(work, cells, limits, [str(Path(path).resolve()) for path in forbidden])
        started = time.perf_counter()
        state = _wait(work, variables, limits.seconds)
        seconds = time.perf_counter() - started
        lines = _read_values(work / VALUES)
    ended = any("end" in line for line in lines)
    return _Run(lines, state or ("ran to the end" if ended else "stopped before the end"), seconds)


def _variables(work: Path) -> dict[str, str]:
    """Variables of the process: few, no path to the keys, and its own copy of compiled code."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    for name, folder in _CACHES.items():
        have = os.environ.get(name)
        if have and Path(have).is_dir():
            shutil.copytree(have, work / ".cache" / folder, ignore_dangling_symlinks=True)
        kept[name] = str(work / ".cache" / folder)
    empty = work / ".cache" / "no-keys"
    empty.mkdir(parents=True, exist_ok=True)
    package = str(Path(__file__).resolve().parents[2])
    return {
        **kept,
        FOLDER_VARIABLE: str(empty),
        DRAFTS_VARIABLE: "",
        "HOME": str(work),
        "TMPDIR": str(work),
        "IPYTHONDIR": str(work / ".cache" / "ipython"),
        "PYTENSOR_FLAGS": f"cxx=,base_compiledir={work / '.cache' / 'pytensor'}",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": package,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _wait(work: Path, variables: dict[str, str], seconds: int) -> str:
    """Start the process and wait; return how it failed, or "" if it did not."""
    command = [sys.executable, "-P", "-m", "crmlab.course.sandbox", str(work)]
    with (work / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    return _ending(code, seconds)


def _end(process: subprocess.Popen) -> None:
    """End the process and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _ending(code: int | None, seconds: int) -> str:
    if code is None or code == -getattr(signal, "SIGXCPU", 0) != 0:
        return f"stopped: over {seconds} s"
    if code < 0:
        return f"crashed (signal {-code}, {signal.Signals(-code).name})"
    return f"crashed (exit code {code})" if code else ""


def _read_values(path: Path) -> list[dict]:
    """Read the output of the process, which is only as trustworthy as the submission."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _MOST_BYTES:
        return []
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            found = json.loads(line)
            lines += [found] if isinstance(found, dict) else []
    return lines


# --- reports -----------------------------------------------------------------------------------


def grades_table(grades: Sequence[Grade]) -> pd.DataFrame:
    """Arrange grades in a table: one row per student.

    Returns
    -------
    DataFrame
        student_id (index), points, out_of, state, one column per exercise ("right", or the message
        of `check`), notes, seconds.
    """
    rows = []
    for grade in grades:
        results = {
            name: "right" if verdict.right else verdict.sentence.removeprefix(f"{name}: ")
            for name, verdict in grade.verdicts.items()
        }
        row = {"student_id": grade.student_id, "points": grade.points, "out_of": len(results)}
        notes = {"notes": "; ".join(grade.notes), "seconds": round(grade.seconds, 1)}
        rows.append({**row, "state": grade.state, **results, **notes})
    return pd.DataFrame(rows).set_index("student_id")


def grades_text(grades: Sequence[Grade]) -> str:
    """Write grades as human-readable lines."""
    width = max((len(grade.student_id) for grade in grades), default=0)
    lines = []
    for grade in grades:
        marks = "  ".join(
            f"{name} {'+' if verdict.right else '-'}" for name, verdict in grade.verdicts.items()
        )
        out_of = len(grade.verdicts)
        score = f"{grade.points} of {out_of}"
        lines.append(f"{grade.student_id:<{width}}  {score}  {marks}  {grade.state}")
        lines += [f"{'':<{width}}  note: {note}" for note in grade.notes]
    return "\n".join(lines)


def stored_keys(number: str) -> dict[str, Key]:
    """Return the course's own keys of a notebook, which are the same for everybody."""
    return load_keys(keys_folder() / f"{number}.json")
