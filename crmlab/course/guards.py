"""The rules of a source notebook, each a function that returns the problems.

``python -m crmlab.course.guards notebooks/*.ipynb`` lists them all. nbval compares outputs, but has
holes: it passes a cell that was never run, ignores a misspelt tag, and never looks at an image.
These rules close them, and keep the notebooks uniform, small and free of traces of one machine.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from crmlab.course.notebooks import KERNELSPEC, read_notebook

if TYPE_CHECKING:
    from nbformat import NotebookNode

KNOWN_TAGS = frozenset(
    {
        "expected-figure",
        "hint",
        "instructor",
        "nbval-check-output",
        "nbval-ignore-output",
        "nbval-raises-exception",
        "nbval-skip",
        "raises-exception",
    }
)
_UNCHECKED = frozenset({"nbval-ignore-output", "nbval-skip"})
_ROLES = frozenset({"skip", "notes", "slide"})
_RAISING = frozenset({"raises-exception", "nbval-raises-exception"})
_MOST_CELLS, _MOST_LINES, _MOST_BYTES, _MOST_UNCHECKED = 40, 25, 1_000_000, 0.05
_FRONT_MATTER = ("**Objectives**", "**Minutes**", "**Prerequisites**", "**Runs in a browser**")
_FORBIDDEN = {
    r";[ \t]*(#.*)?$": "a trailing ';' (nbval does not honour it)",
    r"#[ \t]*NBVAL|#[ \t]*PYTEST_VALIDATE": "an nbval comment: use a tag with a reason",
    r"%time|%%time|\btqdm\b|\bclear_output\b": "timing or a progress bar",
    r"\bpip install\b|^\s*[!%]": "a shell or magic line",
    r"https?://|\burlopen\b|\burlretrieve\b|\bimport requests\b": "something from the web",
    r"\bpm\.sample\(": "a bare pm.sample: sample through crm.fit",
    r"\bnp\.random\.(?!default_rng|Generator)": "NumPy's global random state",
    r"\bformat=[\"']svg|retina|set_matplotlib_formats": "a figure format other than PNG",
}
_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])(?:/(?:home|work|tmp|usr|root|Users|opt|var)/|[A-Z]:\\)")
_HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", re.DOTALL)

Rule = Callable[["NotebookNode"], list[str]]


def code_cells(notebook: "NotebookNode") -> "Iterator[tuple[int, NotebookNode]]":
    """Yield the non-empty code cells, with their number among all cells (from 1)."""
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code" and cell.source.strip():
            yield number, cell


def cell_tags(cell: "NotebookNode") -> frozenset[str]:
    """Return the tags of a cell."""
    return frozenset(cell.metadata.get("tags", ()))


def _texts(cell: "NotebookNode") -> Iterator[str]:
    """Yield what a cell shows as text: streams, plain text and HTML."""
    for output in cell.outputs:
        yield output.get("text", "")
        for mime, content in output.get("data", {}).items():
            if mime.startswith("text/"):
                yield content


# --- the holes of nbval ------------------------------------------------------------------------


def unrun_cells(notebook: "NotebookNode") -> list[str]:
    """Check that every code cell was run in order in a fresh kernel: counts are 1, 2, ..., n."""
    counts = [cell.execution_count for _, cell in code_cells(notebook)]
    expected = list(range(1, len(counts) + 1))
    return [] if counts == expected else [f"execution counts are {counts}, not 1 to {len(counts)}"]


def unknown_tags(notebook: "NotebookNode") -> list[str]:
    """Find unknown tags: nbval silently ignores a misspelt one."""
    return [
        f"cell {number}: unknown tag {tag!r}"
        for number, cell in enumerate(notebook.cells, start=1)
        for tag in sorted(cell_tags(cell) - KNOWN_TAGS)
    ]


def unknown_roles(notebook: "NotebookNode") -> list[str]:
    """Find unknown slide roles: a misspelt one would be ignored."""
    roles = (cell.metadata.get("slideshow", {}).get("slide_type") for cell in notebook.cells)
    return [
        f"cell {number}: unknown slide_type {role!r} (skip, notes or slide)"
        for number, role in enumerate(roles, start=1)
        if role is not None and role not in _ROLES
    ]


def unchecked_cells(notebook: "NotebookNode") -> list[str]:
    """Check that at most one cell in twenty escapes the comparison, with a reason."""
    cells = list(code_cells(notebook))
    escaping = [(number, cell) for number, cell in cells if cell_tags(cell) & _UNCHECKED]
    problems = [
        f"cell {number}: give the `reason` for its tag in the metadata of the cell"
        for number, cell in escaping
        if not str(cell.metadata.get("reason", "")).strip()
    ]
    if len(escaping) > _MOST_UNCHECKED * len(cells):
        problems.append(f"{len(escaping)} of {len(cells)} code cells are not compared (most: 5 %)")
    return problems


def missing_exceptions(notebook: "NotebookNode") -> list[str]:
    """Find cells that are tagged as raising but have no stored error."""
    return [
        f"cell {number}: tagged as raising, but no error is stored"
        for number, cell in code_cells(notebook)
        if cell_tags(cell) & _RAISING
        and not any(output.output_type == "error" for output in cell.outputs)
    ]


def forbidden_code(notebook: "NotebookNode") -> list[str]:
    """Find code that depends on the web, the machine or the clock, or that nbval mishandles."""
    return [
        f"cell {number}: {what}"
        for number, cell in code_cells(notebook)
        for pattern, what in _FORBIDDEN.items()
        if re.search(pattern, _HIDDEN.sub("", cell.source), re.MULTILINE)
    ]


def machine_paths(notebook: "NotebookNode") -> list[str]:
    """Find absolute paths in sources and outputs."""
    problems = []
    for number, cell in enumerate(notebook.cells, start=1):
        shown = _texts(cell) if cell.cell_type == "code" else ()
        if any(_ABSOLUTE_PATH.search(text) for text in (cell.source, *shown)):
            problems.append(f"cell {number}: an absolute path")
    return problems


def stored_warnings(notebook: "NotebookNode") -> list[str]:
    """Find stored stderr, SVG images and widgets."""
    problems = []
    for number, cell in code_cells(notebook):
        mimes = {mime for output in cell.outputs for mime in output.get("data", {})}
        if any(output.get("name") == "stderr" for output in cell.outputs):
            problems.append(f"cell {number}: stderr is stored: {' '.join(_texts(cell))[:80]!r}")
        if mimes & {"image/svg+xml", "application/vnd.jupyter.widget-view+json"}:
            problems.append(f"cell {number}: an SVG or a widget")
    return problems


# --- size and shape ----------------------------------------------------------------------------


def size(notebook: "NotebookNode") -> list[str]:
    """Check the size: at most 40 cells, and 25 lines per code cell (without hidden tests)."""
    problems = [
        f"cell {number}: {count} lines (most: {_MOST_LINES})"
        for number, cell in code_cells(notebook)
        if (count := len(_HIDDEN.sub("", cell.source).strip().splitlines())) > _MOST_LINES
    ]
    if len(notebook.cells) > _MOST_CELLS:
        problems.append(f"{len(notebook.cells)} cells (most: {_MOST_CELLS})")
    return problems


def headings(notebook: "NotebookNode") -> list[str]:
    """Check the headings: one H1, in the first cell; no level is skipped on the way down."""
    levels = [len(mark) for mark in _heading_marks(notebook)]
    problems = [] if levels.count(1) == 1 else [f"{levels.count(1)} headings of level 1, not one"]
    if levels[:1] != [1]:
        problems.append("the first heading is not the H1")
    skips = [(up, low) for up, low in pairwise(levels) if low > up + 1]
    return problems + [f"a heading of level {low} follows one of level {up}" for up, low in skips]


def _heading_marks(notebook: "NotebookNode") -> Iterator[str]:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            source = re.sub(r"^```.*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            yield from re.findall(r"^(#{1,6}) ", source, re.MULTILINE)


def front_matter(notebook: "NotebookNode") -> list[str]:
    """Require in the first cell: 3 to 5 objectives, minutes, prerequisites, browser status."""
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        return ["the first cell is not Markdown that begins with the H1"]
    problems = [
        f"the first cell lacks {part}" for part in _FRONT_MATTER if part not in first.source
    ]
    if "**Minutes**" in first.source and not re.search(r"\*\*Minutes\*\*\W*\d+", first.source):
        problems.append("**Minutes** is not followed by a number")
    return problems + _objective_problems(first.source)


def _objective_problems(source: str) -> list[str]:
    _, _, after = source.partition("**Objectives**")
    listed = re.match(r"[^\n]*\n+((?:[-*\d].*\n?|[ ]+\S.*\n?)+)", after)
    count = len(re.findall(r"^(?:[-*]|\d+\.) ", listed[1], re.MULTILINE)) if listed else 0
    return [] if 3 <= count <= 5 else [f"{count} objectives, not 3 to 5"]


def figure_sentences(notebook: "NotebookNode") -> list[str]:
    """Check that every figure has its own sentence, which nbval then compares."""
    return [
        f"cell {number}: a figure without its sentence (show it with crm.show)"
        for number, cell in code_cells(notebook)
        for output in cell.outputs
        if "image/png" in output.get("data", {}) and not _is_sentence(output.data)
    ]


def _is_sentence(data: dict[str, str]) -> bool:
    text = data.get("text/plain", "")
    return len(text) >= 20 and not text.lstrip("'\"").startswith("<") and "Figure size" not in text


def traces(notebook: "NotebookNode") -> list[str]:
    """Require the kernel python3, and no metadata of one machine."""
    problems = []
    if notebook.metadata.get("kernelspec") != KERNELSPEC:
        problems.append("the kernelspec is not python3")
    if notebook.metadata.get("language_info") != {"name": "python"}:
        problems.append("metadata are not stripped (language_info)")
    if set(notebook.metadata) - {"kernelspec", "language_info", "crmlab"}:
        problems.append("metadata of the notebook are not stripped")
    known = {"crmlab", "mystnb", "reason", "slideshow", "tags"}
    stray = {name for cell in notebook.cells for name in set(cell.metadata) - known}
    return problems + [f"cell metadata {name!r} are not stripped" for name in sorted(stray)]


# --- exercises ---------------------------------------------------------------------------------


def exercises(notebook: "NotebookNode") -> list[str]:
    """Check that markers are paired, and that every solution and every answer is checked."""
    problems = []
    for number, cell in code_cells(notebook):
        problems += [f"cell {number}: {what}" for what in _exercise_problems(cell.source)]
    return problems


def _exercise_problems(source: str) -> Iterator[str]:
    for name in ("SOLUTION", "HIDDEN TESTS"):
        opened, closed = (
            len(re.findall(f"^[ \t]*### {edge} {name}$", source, re.MULTILINE))
            for edge in ("BEGIN", "END")
        )
        mentioned = len(re.findall(rf"(?:BEGIN|END) {name}", source, re.IGNORECASE))
        if opened != closed or opened + closed != mentioned:
            yield f"the markers ### BEGIN {name} and ### END {name} do not pair"
    answered = re.findall(r"\bset_answer\(\s*[\"'](.+?)[\"']", source)
    checked = re.findall(r"\bcheck\(\s*[\"'](.+?)[\"']", _HIDDEN.sub("", source))
    if set(answered) - set(checked):
        yield f"an answer is set but not checked: {sorted(set(answered) - set(checked))}"
    if "set_answer(" in _HIDDEN.sub("", source):
        yield "set_answer is outside the hidden tests"


RULES: tuple[Rule, ...] = (
    unrun_cells,
    unknown_tags,
    unknown_roles,
    unchecked_cells,
    missing_exceptions,
    forbidden_code,
    machine_paths,
    stored_warnings,
    size,
    headings,
    front_matter,
    figure_sentences,
    traces,
    exercises,
)


def notebook_problems(path: Path) -> list[str]:
    """List everything that is wrong with the file of a source notebook.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of str
        Empty if there are no problems.
    """
    path = Path(path)
    notebook = read_notebook(path)
    problems = [problem for rule in RULES for problem in rule(notebook)]
    problems += _broken_links(notebook, path.parent)
    if path.stat().st_size >= _MOST_BYTES:
        problems.append(f"{path.stat().st_size:,} bytes (most: {_MOST_BYTES:,})")
    return problems


def _broken_links(notebook: "NotebookNode", folder: Path) -> list[str]:
    """Find links to files that do not exist."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = (link for text in texts for link in re.findall(r"\]\(([^)#\s]+)", text))
    files = (link for link in links if not re.match(r"[a-z]+:", link))
    return [
        f"a link to {link}, which does not exist" for link in files if not (folder / link).exists()
    ]


def main(paths: Sequence[str]) -> int:
    """Print the problems of the notebooks named on the command line; return how many there are."""
    found = [(path, problem) for path in paths for problem in notebook_problems(Path(path))]
    for path, problem in found:
        print(f"{path}: {problem}")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
