"""The shape of the package: who may import whom, how light an import is, how long a function.

The import rules are read from the source of every module (also inside functions, and in every form
of import), so an order that is broken in a rarely used branch is found too.
"""

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import crmlab

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "crmlab"

# Left to right, in the order of the work; a module imports from modules to its left only. `/` parts
# modules that stand side by side and never meet. A module that is not listed here fails the test.
ORDER = (
    ("lazy", "errors", "arrays", "streams", "stages", "chains"),
    ("tables", "reading", "datasets", "warehouse"),
    ("channels", "transitions", "actions", "behaviour"),
    ("generators/models",),
    ("inference", "btyd", "contract"),
    ("prediction", "value", "policy"),
    ("evaluation", "replication"),
    ("plots", "report", "analyst", "demo"),
    ("course", "cli"),
)
MOST_DOORS = 31
MOST_NAMES = 70
OUTSIDE = {"testing"}  # contracts that users run: may import all, imported by none
ENTRY = {"__main__": "cli"}
HEAVY = ("pymc", "pytensor", "arviz", "numba", "nutpie", "scipy.stats", "networkx", "seaborn",
         "matplotlib")  # fmt: skip
LONGEST_FUNCTION = 60
MAY_BE_LONG = ("plots",)
BEHAVIOUR = ("encounters", "loyalty", "perception", "word_of_mouth")


# --- reading imports ---------------------------------------------------------------------------


def part_of(module: str) -> str:
    """Return the part of the package that a dotted name belongs to: crmlab.x.y -> x."""
    return [*module.split("."), ""][1]


def lazy_homes(package: Path) -> dict[str, str]:
    """Return name -> module from ``crmlab/__init__.pyi``, which the package loads its names by."""
    stub = ast.parse((package / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.name: f"crmlab.{alias.name}" if node.module == "crmlab" else str(node.module)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def imported_modules(
    tree: ast.AST, homes: Mapping[str, str], modules: Set[str] = frozenset()
) -> Iterator[str]:
    """Yield every module of crmlab that a piece of code imports, however it says so.

    A name that is itself one of `modules` counts as that module, not as the package it is in.
    """
    aliases = {
        alias.asname or "crmlab"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "crmlab" or (alias.name.startswith("crmlab.") and not alias.asname)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("crmlab."))
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, homes, modules)
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in aliases:
            yield homes.get(node.attr, f"crmlab.{node.attr}")
        elif isinstance(node, ast.Call):
            yield from _imported_by_call(node)


def _imported_from(
    node: ast.ImportFrom, homes: Mapping[str, str], modules: Set[str]
) -> Iterator[str]:
    if node.level:
        yield "crmlab.<relative>"
    elif node.module == "crmlab":
        yield from (homes.get(alias.name, f"crmlab.{alias.name}") for alias in node.names)
    elif (node.module or "").startswith("crmlab."):
        inside = {f"{node.module}.{alias.name}" for alias in node.names}
        yield from (inside & modules) or {node.module}


def _imported_by_call(node: ast.Call) -> Iterator[str]:
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    first = node.args[0] if node.args else None
    if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
        yield from (word for word in [str(first.value)] if word.startswith("crmlab."))


def import_problems(package: Path) -> list[str]:
    """Return every import of the package that runs against the order, as "file: why"."""
    homes = lazy_homes(package)
    return [
        f"{path.relative_to(package).as_posix()}: {problem}"
        for path in sorted(package.rglob("*.py"))
        if path != package / "__init__.py"
        for problem in _problems_of(path, package, homes)
    ]


def _problems_of(path: Path, package: Path, homes: Mapping[str, str]) -> Iterator[str]:
    own = path.relative_to(package).parts[0].removesuffix(".py")
    ranks = _ranks()
    if own not in ranks:
        yield f"{own} is in no place of the order"
        return
    for module in sorted(set(imported_modules(ast.parse(path.read_text(encoding="utf-8")), homes))):
        other = part_of(module)
        if other == own or other.startswith("__") or ENTRY.get(own) == other:
            continue
        if other not in ranks:
            yield f"imports {module}, which is in no place of the order"
        elif ranks[other] >= ranks[own]:
            yield f"imports {module}, which is not to its left"


def _ranks() -> dict[str, int]:
    places = list(enumerate(names for group in ORDER for names in group))
    ranks = {name: place for place, names in places for name in names.split("/")}
    return {**ranks, **dict.fromkeys([*ENTRY, *OUTSIDE], len(places))}


def test_imports_run_from_left_to_right():
    assert import_problems(PACKAGE) == []


def dotted_name(path: Path, package: Path) -> str:
    """Return the name under which a file of the package is imported."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def circle(package: Path) -> list[str]:
    """Return modules that import each other in a circle, if any do, also inside functions."""
    homes = lazy_homes(package)
    paths = [path for path in package.rglob("*.py") if path != package / "__init__.py"]
    modules = {dotted_name(path, package) for path in paths}
    imports = {
        dotted_name(path, package): set(
            imported_modules(ast.parse(path.read_bytes()), homes, modules)
        )
        for path in paths
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_modules_of_one_part_never_import_in_a_circle(tmp_path):
    assert circle(PACKAGE) == []
    package = tmp_path / "crmlab"
    (package / "course").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__init__.pyi").write_text("")
    (package / "course/answers.py").write_text("from crmlab.course.standing import record\n")
    assert circle(package) == []
    (package / "course/standing.py").write_text("from crmlab.course import answers\n")
    assert set(circle(package)) == {"crmlab.course.answers", "crmlab.course.standing"}
    (package / "course/standing.py").write_text("def f():\n    import crmlab.course.answers\n")
    assert set(circle(package)) == {"crmlab.course.answers", "crmlab.course.standing"}


def test_the_package_itself_imports_nothing_of_its_own():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert set(imported_modules(tree, {})) == {"crmlab.lazy"}


def test_doors_can_be_counted_at_a_glance():
    doors = {path.stem for path in PACKAGE.glob("*.py")}
    doors |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert len(doors - {"__init__", "__main__"}) <= MOST_DOORS
    assert len(crmlab.__all__) <= MOST_NAMES


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_use_public_doors_only(path):
    """`import crmlab as crm`, and namespaces of `crmlab.__all__`: no module behind them."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    imports = {m for text in code for m in re.findall(r"(?m)^\s*(?:from|import) (crmlab\S*)", text)}
    names = {n for text in code for n in re.findall(r"(?m)^from crmlab import (.+)$", text)}
    assert imports <= {"crmlab"}
    assert {n.strip() for line in names for n in line.split(",")} <= set(crmlab.__all__)


PLANTED = {
    "import x": ("stages.py", "import crmlab.inference\n"),
    "import x as y": ("stages.py", "import crmlab.inference as inf\n"),
    "from x import y": ("stages.py", "from crmlab.inference import fit\n"),
    "from package import module": ("stages.py", "from crmlab import inference\n"),
    "from package import lazy name": ("stages.py", "from crmlab import fit\n"),
    "package as alias": ("stages.py", "import crmlab as crm\nf = lambda: crm.fit\n"),
    "through the package": ("stages.py", "import crmlab\nf = lambda: crmlab.inference.fit\n"),
    "inside a function": ("stages.py", "def f():\n    from crmlab.inference import fit\n"),
    "by name": ("stages.py", "import importlib\nimportlib.import_module('crmlab.inference')\n"),
    "relative": ("stages.py", "from .errors import SpecError\n"),
    "models from generators": ("generators/base.py", "from crmlab.models.base import StageModel\n"),
    "generators from models": ("models/base.py", "from crmlab.generators.base import simulate\n"),
    "anything from testing": ("cli/lab.py", "import crmlab.testing\n"),
    "the entry point": ("errors.py", "from crmlab.cli import commands\n"),
}


@pytest.mark.parametrize("form", PLANTED)
def test_a_planted_import_is_found(form, tmp_path):
    """Negative control: a small package is sound, and one bad line is found in it."""
    package = tmp_path / "crmlab"
    for name in ("errors.py", "stages.py", "generators/base.py", "models/base.py", "cli/lab.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("")
    (package / "__init__.py").write_text("")
    (package / "__init__.pyi").write_text("from crmlab.inference import fit as fit\n")
    (package / "cli/lab.py").write_text("from crmlab import fit\nimport crmlab.stages\n")
    assert import_problems(package) == []
    name, bad = PLANTED[form]
    (package / name).write_text(bad)
    assert [problem.split(":")[0] for problem in import_problems(package)] == [name]


def test_an_unlisted_module_is_found(tmp_path):
    package = tmp_path / "crmlab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__init__.pyi").write_text("")
    (package / "helpers.py").write_text("")
    assert import_problems(package) == ["helpers.py: helpers is in no place of the order"]


# --- light imports -----------------------------------------------------------------------------

EVERYDAY = """
import sys
import crmlab as crm
assert not {"numpy", "pandas", "xarray"} & set(sys.modules), "the bare import loads packages"
space = crm.StageSpace(("dormant", "active"))
matrix = ((0.9, 0.1), (0.2, 0.8))
channels = (
    crm.Poisson("visits", rate=(0.3, 4.0)),
    crm.Bernoulli("reply", prob=(0.1, 0.8)),
    crm.ZeroInflatedSpend("spend", prob=(0.1, 0.8), median=(20, 30), sigma=(0.5, 0.5)),
    crm.OrdinalSurvey("mood", location=(-1, 1)),
    crm.StageLabel("stage", confusion=((1, 0), (0, 1))),
)
world = crm.StageWorld(space, (0.5, 0.5), matrix, channels, n_periods=4)
tables = crm.simulate(world, 5, seed=1)
assert isinstance(tables, crm.CustomerTables)
crm.to_panel(tables, freq="M")
crm.HiddenMarkov(space, crm.StickyDirichlet(), (crm.Poisson("visits"),), ordered_by="visits_rate")
print(*(name for name in HEAVY if name in sys.modules))
"""


def test_everyday_objects_load_no_heavy_package():
    script = f"HEAVY = {HEAVY!r}\n{EVERYDAY}"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert (ran.stderr, ran.stdout.strip()) == ("", "")


def test_setting_up_needs_the_standard_library_only():
    """``-I -S``: no site-packages, no environment; what a computer without packages sees."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import crmlab.__main__; "
        "from crmlab.cli.commands import parse; import crmlab.cli.upkeep, crmlab.cli.lab, "
        "crmlab.cli.suite, crmlab.cli.doctor; print(parse(['test', '--jobs', '1']).jobs)"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)
    assert (ran.stderr, ran.stdout.strip()) == ("", "1")


@pytest.mark.parametrize("name", ["environment", "commands", "upkeep"])
def test_bootstrap_modules_import_nothing_else_even_in_functions(name):
    tree = ast.parse((PACKAGE / "cli" / f"{name}.py").read_text(encoding="utf-8"))
    plain = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    named = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    roots = {module.split(".")[0] for module in plain + named}
    assert roots - sys.stdlib_module_names - {"crmlab"} == set()


# --- names, sizes, the map ---------------------------------------------------------------------


def test_every_public_name_imports():
    missing = [name for name in crmlab.__all__ if getattr(crmlab, name, None) is None]
    assert missing == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_every_name_in_a_module_s_all_exists(path):
    if path.name == "__main__.py":
        return
    module = importlib.import_module(dotted_name(path, PACKAGE))
    assert [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)] == []


def namespaces() -> dict[str, ModuleType]:
    """Return the modules among the public names, and those inside them, by dotted name."""
    found = {name: getattr(crmlab, name) for name in crmlab.__all__}
    found |= {f"behaviour.{name}": getattr(crmlab.behaviour, name) for name in BEHAVIOUR}
    return {name: value for name, value in found.items() if isinstance(value, ModuleType)}


def listed_names(docstring: str) -> list[str]:
    """Return the names that a docstring lists as "* `name`: some words"."""
    return re.findall(r"(?m)^\* `(\w+)`: `?\w.+$", docstring)


@pytest.mark.parametrize("name", namespaces())
def test_help_lists_each_name_of_a_namespace_with_a_line(name):
    namespace = namespaces()[name]
    listed = listed_names(namespace.__doc__)
    assert sorted(listed) == sorted(namespace.__all__)
    assert set(namespace.__all__) <= set(dir(namespace))


def test_a_name_without_a_line_is_not_listed():
    assert listed_names("* `a`: one\n* `b`:\n* `c`\nsee `d`: no\n* `e`: two\n  lines") == ["a", "e"]


def test_no_drawer_for_odds_and_ends():
    assert [p.name for p in PACKAGE.rglob("*.py") if p.stem in ("utils", "helpers", "misc")] == []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))


def length_without_docstring(function: ast.FunctionDef) -> int:
    first = function.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str)
    docstring = first.end_lineno - first.lineno + 1 if is_text else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_functions_fit_on_a_screen():
    long = [
        f"{path.relative_to(PACKAGE)}: {function.name}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in MAY_BE_LONG
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
        if length_without_docstring(function) > LONGEST_FUNCTION
    ]
    assert long == []


def test_length_counts_code_and_not_the_docstring():
    source = 'def f():\n    """One.\n\n    Two.\n    """\n    return 1\n'
    assert length_without_docstring(next(functions(ast.parse(source)))) == 2


MOST_METHODS, MOST_ARGUMENTS = 12, 10
# Classes with more methods, and why. Methods with two underscores are not counted.
MANY_METHODS = {
    "channels/base.py: Channel": "three to write; the others are defaults that callers ask for",
}
# Public functions with more arguments, and why. Fields of dataclasses are not counted: a record or
# a specification has as many as it has parts, each with a name and a type.
MANY_ARGUMENTS: dict[str, str] = {}


def many_methods(tree: ast.Module) -> Iterator[str]:
    """Yield classes with more than `MOST_METHODS` methods of their own, properties included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            own = [n.name for n in node.body if isinstance(n, ast.FunctionDef)]
            if len([name for name in own if not name.startswith("__")]) > MOST_METHODS:
                yield node.name


def many_arguments(tree: ast.Module) -> Iterator[str]:
    """Yield public functions, and methods, with more than `MOST_ARGUMENTS` arguments."""
    for node in functions(tree):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        named = [a for a in arguments if a.arg not in ("self", "cls")]
        if not node.name.startswith("_") and len(named) > MOST_ARGUMENTS:
            yield node.name


def found_by(rule: Callable[[ast.Module], Iterator[str]]) -> set[str]:
    return {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in rule(ast.parse(path.read_text(encoding="utf-8")))
    }


def test_large_classes_and_long_calls_are_listed_with_a_reason():
    assert found_by(many_methods) == set(MANY_METHODS)
    assert found_by(many_arguments) == set(MANY_ARGUMENTS)


def test_methods_and_arguments_are_counted():
    methods = "".join(f"    def m{k}(self): ...\n" for k in range(MOST_METHODS + 1))
    arguments = ", ".join(f"a{k}" for k in range(MOST_ARGUMENTS + 1))
    source = f"class Large:\n{methods}\ndef long({arguments}): ...\ndef _own({arguments}): ...\n"
    assert list(many_methods(ast.parse(source))) == ["Large"]
    assert list(many_arguments(ast.parse(source))) == ["long"]


# What is not crmlab's own has no base class that could answer: modules, files, the system.
MAY_ASK = ("__init__.py", "cli/", "course/", "inference/saving.py", "reading/typed.py")


def asking(tree: ast.Module) -> Iterator[str]:
    """Yield hasattr(...), getattr(...) with a default, and type(...) compared with a class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name == "hasattr" or (name == "getattr" and len(node.args) == 3):
                yield ast.unparse(node)
        elif isinstance(node, ast.Compare) and ast.unparse(node.left).startswith("type("):
            yield ast.unparse(node)


def test_a_base_class_answers_what_callers_ask():
    asked = {place for place in found_by(asking) if not place.startswith(MAY_ASK)}
    assert asked == set()


def test_questions_about_an_object_s_class_are_found():
    source = "hasattr(a, 'b')\ngetattr(a, 'b', 1)\ntype(a) is B\ngetattr(a, name)\nisinstance(a, B)"
    assert len(list(asking(ast.parse(source)))) == 3


def open_ended(tree: ast.Module) -> Iterator[str]:
    """Yield public functions and methods that take any keyword; those of channels may."""
    channels = {"Channel"}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and {getattr(b, "id", "") for b in node.bases} & channels:
            channels.add(node.name)
    bodies: list[Sequence[ast.stmt]] = [tree.body]
    bodies += [n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name not in channels]
    for body in bodies:
        for node in body:
            public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            if public and node.args.kwarg:
                yield node.name


def test_no_public_function_takes_just_any_keyword():
    found = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in open_ended(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_open_ended_functions_are_found_outside_channels_only():
    source = (
        "def plain(**o): ...\n"
        "class Other:\n    def method(self, **o): ...\n"
        "class Channel:\n    def dist(self, **p): ...\n"
        "class Poisson(Channel):\n    def dist(self, **p): ...\n"
    )
    assert list(open_ended(ast.parse(source))) == ["plain", "method"]


def test_architecture_lists_every_module():
    """In backticks, as `crmlab/stages.py` or `crmlab/models/`."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`crmlab/(\w+)(?:\.py|/)?`", text))
    parts = {p.stem for p in PACKAGE.glob("*.py")} | {p.parent.name for p in PACKAGE.glob("*/*.py")}
    assert sorted(parts - listed - {"__init__", "__main__"}) == []
    assert sorted(listed - parts) == []


def test_the_answers_of_the_map_exist():
    """Each row of "Where is ...?" names a file or a folder that is there."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.partition("## Where is ...?")[2].partition("\n## ")[0]
    named = re.findall(r"\| `(crmlab/[\w/.]+)` \|", table)
    assert len(named) >= 15
    assert [name for name in named if not (ROOT / name).exists()] == []
