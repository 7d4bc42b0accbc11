"""Names that texts mention, and what an editor and a type checker make of them.

Whatever the documents, the notebooks and the docstrings call `crm.x.y` or `crmlab.x.y` is there.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import jedi
import pytest

import crmlab

ROOT = Path(__file__).resolve().parents[1]
NAMESPACES = tuple(name for name in crmlab.__all__ if name.islower())
MENTION = re.compile(r"(?<![\w./-])(?:crm|crmlab)((?:\.[A-Za-z_]\w*)+)")
IN_TICKS = re.compile(rf"`((?:{'|'.join(NAMESPACES)})(?:\.(?!csv|json)[A-Za-z_]\w*)+)[`(]")
IMPORT = re.compile(r"(?m)^[ >#]*from (crmlab[\w.]*) import (\w[\w ,]*)$")
NO_NAMES = {
    **dict.fromkeys(("crmlab.pth", "crmlab.json", "crmlab.mark"), "a file"),
    "crmlab.module": "stands for any module",
    "crmlab.stages.mask": "of the argument `stages`",
    "crmlab.testing.check_": "the start of five names",
}


def find(dotted: str) -> object:
    """Return what a dotted name leads to: a module, an object, the type of a field; else None."""
    with suppress(ImportError):
        return import_module(dotted)
    head, _, name = dotted.rpartition(".")
    owner = find(head)
    return getattr(owner, name, getattr(owner, "__annotations__", {}).get(name))


def is_there(dotted: str) -> bool:
    return find(dotted) is not None


def texts() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of what a reader reads: documents, notebooks, source."""
    kinds = ("*.md", "docs/**/*.md", "docs/*.csv", "crmlab/**/*.py", "benchmarks/*.py",
             "validation/*.py")  # fmt: skip
    for path in sorted(path for kind in kinds for path in ROOT.glob(kind)):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path.name, "\n".join("".join(cell["source"]) for cell in cells)


def mentioned(text: str) -> set[str]:
    """Return the names of crmlab that a text mentions, as crmlab.x.y."""
    found = {f"crmlab{tail}" for tail in MENTION.findall(text)}
    found |= {f"crmlab.{name}" for name in IN_TICKS.findall(text)}
    imports = ((module, listed.split(" as ")[0]) for module, listed in IMPORT.findall(text))
    return found | {
        f"{module}.{n.strip()}" for module, listed in imports for n in listed.split(",")
    }


def test_every_name_that_a_text_mentions_is_there():
    missing = [
        f"{place}: {name}"
        for place, text in texts()
        for name in sorted(mentioned(text) - NO_NAMES.keys())
        if not is_there(name)
    ]
    assert missing == []


def test_names_that_moved_are_found():
    text = (
        "crm.fit_bgnbd, `chains.no_such(P)`, crm.btyd.fit_bgnbd, crm.StageSpace.names, x.crm.y\n"
        "    >>> from crmlab import BGNBD, fit\n"
    )
    names = sorted(mentioned(text))
    gone = ["crmlab.BGNBD", "crmlab.chains.no_such", "crmlab.fit_bgnbd"]
    assert [n for n in names if not is_there(n)] == gone
    assert len(names) == 6


@pytest.mark.parametrize("path", sorted(ROOT.glob("[bv]*/*.py")), ids=lambda p: p.stem)
def test_scripts_that_no_test_runs_import_names_that_are_there(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wanted = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "crmlab"
        for alias in node.names
    ]
    assert [name for name in wanted if not is_there(name)] == []


# --- editors and type checkers -----------------------------------------------------------------


def completions(code: str) -> set[str]:
    """What Jupyter's completer offers at the end of a piece of code."""
    return {found.name for found in jedi.Script(code, path=ROOT / "own.py").complete()}


def test_an_editor_completes_public_names():
    assert set(crmlab.__all__) <= completions("import crmlab as crm\ncrm.")
    assert set(crmlab.policy.__all__) <= completions("import crmlab as crm\ncrm.policy.")
    assert "mask" in completions("import crmlab as crm\ncrm.StageSpace(('a', 'b')).")


REVEALED = """\
from typing import assert_type

import numpy as np
import numpy.typing as npt
import xarray as xr

assert_type(space, crm.StageSpace)
assert_type(tables, crm.CustomerTables)
assert_type(train, crm.CustomerTables)
assert_type(result, crm.Fit)
assert_type(future, xr.Dataset)
assert_type(value, xr.DataArray)
assert_type(crm.chains.n_step(crm.K10, 2), npt.NDArray[np.float64])
assert_type(crm.behaviour.loyalty.Ties, type[crm.behaviour.loyalty.Ties])
assert_type(crm.bank.Bank(), crm.bank.Bank)
assert_type(crm.btyd.fit_bgnbd([1], [2.0], [3.0]), crm.btyd.BGNBD)
crm.StageSpace(("new", "loyal", "lost"), moves=(("new", "loyal"), ("loyal", "lost", "exit")))
crm.StageLabel("stage", confusion=np.eye(2))
"""
WRONG = """\
crm.StageSpace(3)
crm.no_such_name
crm.policy.no_such_name
crm.simulate(world, n_customers=300)
"""


def type_errors(folder: Path, code: str) -> list[str]:
    """Return what mypy says of a user's program, line by line."""
    program = folder / "own.py"
    program.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", program]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return [line for line in ran.stdout.splitlines() if ": error: " in line]


def test_a_type_checker_sees_the_types_of_the_readme_s_example(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert type_errors(tmp_path, example + REVEALED) == []
    wrong = type_errors(tmp_path, example + WRONG)
    first = example.count("\n") + 1
    assert [int(line.split(":")[1]) - first for line in wrong] == [0, 1, 2, 3]
