"""How far the numbers of a notebook move on another machine.

Another machine is stood in for by this one, with code compiled anew for a generic processor. Each
notebook is executed once more, and every number in its compared outputs is held against the stored
one. A printed digit that moves was one too many: print fewer, or say how sure it is.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.course.notebooks import read_notebook, run_cells

if TYPE_CHECKING:
    from nbformat import NotebookNode

_NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNCHECKED = frozenset({"nbval-ignore-output", "nbval-skip"})


@dataclass(frozen=True)
class Moved:
    """A number that is not what was stored.

    Parameters
    ----------
    cell : int
        Its number among all cells, from 1.
    line : str
        The stored line in which it stands.
    stored, found : float
    """

    cell: int
    line: str
    stored: float
    found: float

    @property
    def distance(self) -> float:
        """How far it moved, in its own unit."""
        return abs(self.found - self.stored)


@dataclass(frozen=True)
class Drift:
    """What became of the compared numbers of one notebook."""

    name: str
    numbers: int
    moved: tuple[Moved, ...]
    broken: tuple[int, ...]


def compare_outputs(name: str, stored: "NotebookNode", found: "NotebookNode") -> Drift:
    """Compare the text outputs of two runs, number by number.

    Parameters
    ----------
    name : str
    stored, found : NotebookNode
        Of the same source.

    Returns
    -------
    Drift
        ``broken`` lists cells whose words differ, or the count of their numbers.
    """
    numbers, moved, broken = 0, [], []
    for at, (old, new) in enumerate(zip(stored.cells, found.cells, strict=True), start=1):
        if old.cell_type != "code" or _UNCHECKED & set(old.metadata.get("tags", ())):
            continue
        before, after = list(_lines(old)), list(_lines(new))
        numbers += sum(len(_NUMBER.findall(line)) for line in before)
        if [_NUMBER.sub("#", line).split() for line in before] != [
            _NUMBER.sub("#", line).split() for line in after
        ]:
            broken.append(at)
            continue
        moved += [
            Moved(at, line.strip(), old_value, new_value)
            for line, other in zip(before, after, strict=True)
            for old_value, new_value in zip(_values(line), _values(other), strict=True)
            if old_value != new_value
        ]
    return Drift(name, numbers, tuple(moved), tuple(broken))


def _lines(cell: "NotebookNode") -> Iterator[str]:
    for output in cell.outputs:
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        yield from text.splitlines()


def _values(line: str) -> list[float]:
    found = _NUMBER.findall(line)
    return [float(number.replace(",", "").replace("\u2212", "-").rstrip(".")) for number in found]


def measure_drift(paths: Sequence[Path]) -> Iterator[Drift]:
    """Execute notebooks again as another machine would, one after the other.

    Parameters
    ----------
    paths : sequence of path
        Executed source notebooks; they are not changed.

    Yields
    ------
    Drift
    """
    for path in map(Path, paths):
        stored = read_notebook(path)
        with tempfile.TemporaryDirectory() as cold:
            found = run_cells(stored, path.parent, environment=other_machine(Path(cold)))
        yield compare_outputs(path.stem, stored, found)


def other_machine(cold: Path) -> dict[str, str]:
    """Return the variables that stand in for another machine: no cache, a generic processor.

    Examples
    --------
    >>> other_machine(Path("cold"))["NUMBA_CPU_NAME"]
    'generic'
    """
    flags = [f"base_compiledir={cold / 'pytensor'}"]
    given = os.environ.get("PYTENSOR_FLAGS", "").split(",")
    kept = [flag for flag in given if flag and not flag.startswith("base_compiledir")]
    return {
        "PYTENSOR_FLAGS": ",".join([*kept, *flags]),
        "NUMBA_CACHE_DIR": str(cold / "numba"),
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    }


def drift_table(drifts: Sequence[Drift]) -> pd.DataFrame:
    """List every number that moved: notebook, cell, stored, found, distance, line."""
    rows = [
        (drift.name, m.cell, m.stored, m.found, m.distance, m.line)
        for drift in drifts
        for m in drift.moved
    ]
    columns = ["notebook", "cell", "stored", "found", "distance", "line"]
    return pd.DataFrame(rows, columns=columns)


def drift_text(drift: Drift) -> str:
    """Say in a few lines how far the numbers of a notebook moved."""
    lines = [f"{drift.name}: {len(drift.moved)} of {drift.numbers} numbers moved"]
    lines += [
        f"  cell {at}: its words changed, or how many numbers it prints" for at in drift.broken
    ]
    for moved in sorted(drift.moved, key=lambda one: -one.distance):
        lines.append(
            f"  cell {moved.cell}: {moved.stored:g} became {moved.found:g} in {moved.line!r}"
        )
    return "\n".join(lines)
