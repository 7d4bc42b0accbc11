"""The student edition: the executed source notebooks, without what the learner has to find out.

A source notebook is a plain notebook with nbgrader's conventions, so nbval tests it as it is. The
student edition is derived from it, never written by hand:

* a solution becomes a line that raises `NotImplementedError`; hidden tests are removed;
* outputs are cleared, except that an exercise tagged ``expected-figure`` keeps its figure and its
  sentence, folded, so that the learner can compare;
* Markdown cells tagged ``hint`` are folded; cells tagged ``instructor`` are removed.

A file that the learner has changed is never overwritten: its new version is written next to it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from crmlab.course.learner import MARKER
from crmlab.course.notebooks import notebook_bytes, read_notebook, strip_metadata
from crmlab.errors import DataError
from crmlab.tables.folders import write_file

if TYPE_CHECKING:
    from nbformat import NotebookNode

_SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^[ \t]*### END SOLUTION[ \t]*(?:\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS[ \t]*\n.*?^[ \t]*### END HIDDEN TESTS[ \t]*(?:\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_LEFT_OVER = re.compile(r"(?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS)", re.IGNORECASE)
_STUB = "# your code here\nraise NotImplementedError({message!r})\n"
_MANIFEST = "written.json"
_NOT_COPIED = frozenset({".ipynb_checkpoints", "__pycache__"})


@dataclass(frozen=True)
class EditionReport:
    """What building an edition did, file by file."""

    written: tuple[str, ...]
    beside: tuple[str, ...]
    kept: tuple[str, ...]

    def text(self) -> str:
        """Summarise the report in at most three lines."""
        lines = (
            ("written", self.written),
            ("you changed the file, so the new version is next to it", self.beside),
            ("up to date, or yours", self.kept),
        )
        return "\n".join(f"{what}: {', '.join(names)}" for what, names in lines if names)


# --- one notebook ------------------------------------------------------------------------------


def student_source(source: str) -> str:
    r"""Remove the solutions and the hidden tests from the code of one cell.

    Parameters
    ----------
    source : str

    Returns
    -------
    str

    Raises
    ------
    DataError
        If a marker has no partner.

    Examples
    --------
    >>> print(student_source("### BEGIN SOLUTION\nx = 1\n### END SOLUTION\nprint(x)"))
    # your code here
    raise NotImplementedError('Replace this line by your code.')
    print(x)
    """
    stubbed = _SOLUTION.sub(_stub, _HIDDEN.sub("", source))
    if _LEFT_OVER.search(stubbed):
        raise DataError(f"a solution or hidden test has no end, or no beginning:\n{source}")
    return stubbed.rstrip("\n")


def _stub(solution: re.Match[str]) -> str:
    stub = _STUB.format(message="Replace this line by your code.")
    return "".join(f"{solution[1]}{line}\n" for line in stub.splitlines())


def student_notebook(notebook: "NotebookNode") -> "NotebookNode":
    """Derive the student edition of an executed source notebook.

    Parameters
    ----------
    notebook : NotebookNode

    Returns
    -------
    NotebookNode
        A new one; the source is not changed.
    """
    student = strip_metadata(notebook)
    student.cells = [made for cell in student.cells for made in _student_cells(cell)]
    return student


def _student_cells(cell: "NotebookNode") -> "Iterator[NotebookNode]":
    tags = cell.metadata.get("tags", ())
    if "instructor" in tags:
        return
    if "expected-figure" in tags:
        yield _expected_figure(cell)
    if cell.cell_type == "code":
        cell.source, cell.outputs, cell.execution_count = student_source(cell.source), [], None
    elif "hint" in tags:
        cell.source = _fold("Hint", cell.source)
    yield cell


def _fold(summary: str, body: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def _expected_figure(cell: "NotebookNode") -> "NotebookNode":
    """Make a folded Markdown cell from the last figure of a cell and its sentence."""
    from nbformat.v4 import new_markdown_cell

    shown = [o.data for o in cell.outputs if "image/png" in o.get("data", {})]
    if not shown:
        raise DataError("a cell tagged 'expected-figure' has no figure: execute the notebook")
    sentence = shown[-1].get("text/plain", "").strip()
    image = "".join(shown[-1]["image/png"].split())
    alt = sentence.translate(str.maketrans("[]\n", "() "))
    return new_markdown_cell(
        _fold("The figure to expect", f"![{alt}](attachment:figure.png)"),
        id=f"{cell.id}-figure",
        attachments={"figure.png": {"image/png": image}},
    )


# --- the whole edition -------------------------------------------------------------------------


def build_student(source_dir: Path, learn_dir: Path) -> EditionReport:
    """Make or update the student edition, without touching files that the learner has changed.

    Parameters
    ----------
    source_dir : path
        The folder of executed source notebooks; other files in it are copied unchanged.
    learn_dir : path
        Next to `source_dir`, so that relative paths to data work in both.

    Returns
    -------
    EditionReport
    """
    source_dir, learn_dir = Path(source_dir), Path(learn_dir)
    edition = dict(_edition_files(source_dir))
    written = _read_manifest(learn_dir)
    done: dict[str, list[str]] = {"written": [], "beside": [], "kept": []}
    for name, content in edition.items():
        what, where = _place(learn_dir, name, content, written)
        done[what].append(where)
        written = {**written, where: _fingerprint(content)}
        _write_manifest(learn_dir, written)
    return EditionReport(**{what: tuple(names) for what, names in done.items()})


def _edition_files(source_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the student edition: relative name, content."""
    for path in sorted(source_dir.rglob("*")):
        inside = path.relative_to(source_dir)
        skipped = _NOT_COPIED.intersection(inside.parts) or inside.name.startswith(".")
        if path.is_dir() or skipped:
            continue
        yield inside.as_posix(), _edition_bytes(path)


def _edition_bytes(path: Path) -> bytes:
    if path.suffix != ".ipynb":
        return path.read_bytes()
    try:
        return notebook_bytes(student_notebook(read_notebook(path)))
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from None


def _place(folder: Path, name: str, content: bytes, written: dict[str, str]) -> tuple[str, str]:
    """Write one file without overwriting the learner's work; return what was done, and where."""
    new = _fingerprint(content)

    def is_current(candidate: str) -> bool:
        return written.get(candidate) == new and (folder / candidate).exists()

    def is_free(candidate: str) -> bool:
        return _is_ours(folder / candidate, written.get(candidate))

    target = next(c for c in _candidates(name) if is_current(c) or is_free(c))
    if is_current(target):
        return "kept", target
    write_file(folder / target, content)
    return ("written" if target == name else "beside"), target


def _candidates(name: str) -> Iterator[str]:
    """Yield the name, then the names of updates next to it."""
    yield name
    path, count = Path(name), 1
    while True:
        ending = "_updated" if count == 1 else f"_updated_{count}"
        yield path.with_name(f"{path.stem}{ending}{path.suffix}").as_posix()
        count += 1


def _is_ours(path: Path, fingerprint: str | None) -> bool:
    """Whether a file is absent, or still as it was written."""
    return not path.exists() or _fingerprint(path.read_bytes()) == fingerprint


def _fingerprint(content: bytes) -> str:
    return sha256(content).hexdigest()


def _read_manifest(learn_dir: Path) -> dict[str, str]:
    path = learn_dir / MARKER / _MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write_manifest(learn_dir: Path, written: dict[str, str]) -> None:
    content = json.dumps(written, indent=1, sort_keys=True) + "\n"
    write_file(learn_dir / MARKER / _MANIFEST, content)
