"""Whether a printed digit, or a promised bit, depends on the processor or on the sampler's seed.

This processor imitates others: the libraries use the instructions of another kind, and code is
compiled again for it. Under each, the notebooks are executed again, every number in their outputs
is compared with the stored one, and the tests that compare bits run again. Notebooks that fit a
model are also executed with other sampler seeds. A printed digit that changes is one too many:
print fewer digits, print a verdict with some slack, or use more draws.
"""

import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.course.notebooks import read_notebook, run_cells
from crmlab.inference.fitting import SEED_SHIFT

if TYPE_CHECKING:
    from nbformat import NotebookNode

_NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNCHECKED = frozenset({"nbval-ignore-output", "nbval-skip"})
_IS_X86 = platform.machine() in ("x86_64", "AMD64")


@dataclass(frozen=True)
class Control:
    """Conditions under which no compared number may change.

    Parameters
    ----------
    name : str
    variables : mapping
        Environment variables of the processes that run under it.
    other_code : bool
        Whether other machine code runs, so that bits are compared too, from an empty cache.
    obstacle : str
        Why this processor cannot run it; "" if it can.
    """

    name: str
    variables: Mapping[str, str]
    other_code: bool = False
    obstacle: str = ""


def code_path(name: str, *, openblas: str, numba: str, numpy: str = "") -> Control:
    """Let this processor imitate another kind, by each library's name for it.

    Parameters
    ----------
    name, openblas, numba : str
    numpy : str, optional
        The best instructions that NumPy may use; by default, only its baseline.
    """
    found = np.show_config("dicts")["SIMD Extensions"].get("found", [])
    variables = {
        "OPENBLAS_CORETYPE": openblas,
        "NUMBA_CPU_NAME": numba,
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(one for one in found if one != numpy),
        # Without AVX2, exp and log of the C library round differently. FMA stays: fma rounds the
        # same without it, but is so slow then that notebook 09 takes more than ten minutes.
        "GLIBC_TUNABLES": "" if numpy else "glibc.cpu.hwcaps=-AVX2",
    }
    lacking = "" if not numpy or numpy in found else f"this processor lacks {numpy}"
    foreign = "" if _IS_X86 or numba == "generic" else "this processor is not an x86"
    return Control(name, variables, other_code=True, obstacle=foreign or lacking)


def other_seed(shift: int) -> Control:
    """Let every `crm.fit` add a number to its seed."""
    return Control(f"seed + {shift}", {SEED_SHIFT: str(shift)})


def _first_other(paths: Sequence[Control]) -> Control:
    """Return the first path on which NumPy has fewer instructions than here, otherwise the last."""
    fewer = (path for path in paths if path.variables["NPY_DISABLE_CPU_FEATURES"])
    return next((path for path in fewer if not path.obstacle), paths[-1])


CODE_PATHS = (
    code_path("Haswell", openblas="Haswell", numba="haswell", numpy="X86_V3"),
    code_path("Nehalem", openblas="Nehalem", numba="nehalem"),
    code_path("generic", openblas="Prescott" if _IS_X86 else "ARMV8", numba="generic"),
)
SEEDS = tuple(other_seed(shift) for shift in (1000, 2000, 3000, 4000, 5000))
CONTROLS = (*CODE_PATHS, *SEEDS)
BRIEF = (_first_other(CODE_PATHS), SEEDS[0])  # a small part, for `make test-extras`


@dataclass(frozen=True)
class Moved:
    """A number that differs from the stored one.

    Parameters
    ----------
    cell : int
        Number of the cell among all cells, from 1.
    line : str
        The stored line that contains it.
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
    """The compared numbers of one notebook under one control."""

    control: str
    name: str
    numbers: int
    moved: tuple[Moved, ...]
    broken: tuple[int, ...]


def compare_outputs(
    control: str, name: str, stored: "NotebookNode", found: "NotebookNode"
) -> Drift:
    """Compare the text outputs of two runs, number by number.

    Parameters
    ----------
    control, name : str
    stored, found : NotebookNode
        Two runs of the same source.

    Returns
    -------
    Drift
        ``broken`` lists cells whose words, or number of numbers, differ.
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
    return Drift(control, name, numbers, tuple(moved), tuple(broken))


def _lines(cell: "NotebookNode") -> Iterator[str]:
    for output in cell.outputs:
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        yield from text.splitlines()


def _values(line: str) -> list[float]:
    found = _NUMBER.findall(line)
    return [float(number.replace(",", "").replace("\u2212", "-").rstrip(".")) for number in found]


def measure_drift(
    paths: Sequence[Path], control: Control, variables: Mapping[str, str]
) -> Iterator[Drift]:
    """Execute notebooks again under a control, one after the other, and compare.

    Parameters
    ----------
    paths : sequence of path
        Executed source notebooks; they are not changed. Those without a fit are skipped if only
        the seed of `crm.fit` differs.
    control : Control
    variables : mapping
        All environment variables of their kernels.

    Yields
    ------
    Drift
    """
    for path in map(Path, paths):
        if control.other_code or "crm.fit(" in path.read_text(encoding="utf-8"):
            stored = read_notebook(path)
            found = run_cells(stored, path.parent, environment=dict(variables))
            yield compare_outputs(control.name, path.stem, stored, found)


def drift_table(drifts: Sequence[Drift]) -> pd.DataFrame:
    """List every number that moved: control, notebook, cell, stored, found, distance, line."""
    rows = [
        (drift.control, drift.name, m.cell, m.stored, m.found, m.distance, m.line)
        for drift in drifts
        for m in drift.moved
    ]
    columns = ["control", "notebook", "cell", "stored", "found", "distance", "line"]
    return pd.DataFrame(rows, columns=columns)


def drift_text(drift: Drift) -> str:
    """Describe in a few lines how far the numbers of a notebook moved."""
    lines = [f"{drift.control}, {drift.name}: {len(drift.moved)} of {drift.numbers} numbers moved"]
    lines += [
        f"  cell {at}: its words changed, or how many numbers it prints" for at in drift.broken
    ]
    for moved in sorted(drift.moved, key=lambda one: -one.distance):
        lines.append(
            f"  cell {moved.cell}: {moved.stored:g} became {moved.found:g} in {moved.line!r}"
        )
    return "\n".join(lines)
