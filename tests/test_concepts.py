"""Each idea of the source documents has a home, or is on a list that must shrink.

A home is a notebook that quotes the idea and, mostly, executes something that belongs to it. Where
a knob of the bank carries the idea, tests/test_bank_knobs.py turns that knob and fails if nothing
moves.
"""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import crmlab as crm
from crmlab.course.concepts import concepts_page, read_concepts
from crmlab.course.editions import student_source
from crmlab.course.notebooks import read_notebook
from crmlab.generators.bank.knobs import list_knobs
from tests import test_bank_knobs

ROOT = Path(__file__).parent.parent
CONCEPTS = read_concepts(ROOT)
AT_HOME = CONCEPTS[CONCEPTS["notebook"] != ""]
PLANNED = CONCEPTS["notebooks"].str.split().map(set)
FINISHED = {path.stem[:2]: path for path in (ROOT / "notebooks").glob("*.ipynb")}
LEVERS = list_knobs(crm.bank.Levers())

# Planned for a notebook that is finished, and found in none. Take a row off when it is at home.
STILL_WITHOUT_A_HOME = frozenset()

# Quoted by their home, which executes nothing of them.
IN_WORDS_ONLY = frozenset()


def folded(text):
    return " ".join(text.split())


# The knobs with which pytest really calls the test that turns each of them.
TURNED = {
    knob
    for mark in test_bank_knobs.test_each_knob_moves_its_observable_in_its_direction.pytestmark
    for knob in mark.args[1]
}


def place(name):
    return name[0], int(name[1:])


def cells(number, kind):
    """Return what a reader of the notebook sees: no solution, nothing for instructors only."""
    cells = read_notebook(FINISHED[number]).cells
    seen = [c for c in cells if "instructor" not in c.metadata.get("tags", ())]
    return [student_source(c.source) for c in seen if c.cell_type == kind]


@pytest.fixture(scope="module")
def read():
    """Notebook and kind of cell to sources with white space folded."""
    return {
        (number, kind): [folded(source) for source in cells(number, kind)]
        for number in sorted(set(AT_HOME["notebook"]))
        for kind in ("markdown", "code")
    }


def names_in(path):
    """Yield every name in the code of a file, and none from its comments and texts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name


@pytest.fixture(scope="module")
def names_of_other_tests():
    paths = [path for path in (ROOT / "tests").glob("test_*.py") if path != Path(__file__)]
    return {name for path in paths for name in names_in(path)}


def test_all_rows_are_there_once_and_in_order():
    counts = {"A": 25, "B": 33, "C": 19, "D": 83}
    assert list(CONCEPTS.index) == [f"{k}{i}" for k, n in counts.items() for i in range(1, n + 1)]


def test_ideas_are_short_and_notebooks_are_numbers():
    assert CONCEPTS["idea"].str.split().str.len().between(2, 16).all()
    assert not CONCEPTS["idea"].duplicated().any()
    assert CONCEPTS["notebooks"].str.fullmatch(r"\d\d( \d\d)*").all()
    assert set(AT_HOME["notebook"]) <= FINISHED.keys()


def test_who_has_no_home_has_nothing_else():
    homeless = CONCEPTS[CONCEPTS["notebook"] == ""]
    assert (homeless[["phrase", "code", "knob"]] == "").to_numpy().all()


@pytest.mark.parametrize("name", AT_HOME.index)
def test_its_home_quotes_the_idea(name, read):
    row = AT_HOME.loc[name]
    assert 3 <= len(row["phrase"].split()) <= 12
    assert any(folded(row["phrase"]) in source for source in read[row["notebook"], "markdown"])


@pytest.mark.parametrize("name", AT_HOME.index[AT_HOME["code"] != ""])
def test_its_home_executes_what_belongs_to_it(name, read):
    row = AT_HOME.loc[name]
    assert any(folded(row["code"]) in source for source in read[row["notebook"], "code"])


def test_who_is_at_home_in_words_only_is_on_the_list():
    assert set(AT_HOME.index[AT_HOME["code"] == ""]) == IN_WORDS_ONLY


KNOBS_USED = sorted({knob for knobs in AT_HOME["knob"] for knob in knobs.split()})


@pytest.mark.parametrize("knob", [k for k in KNOBS_USED if not k.startswith("crmlab.")])
def test_a_knob_of_the_bank_is_turned_by_a_test_of_its_own(knob):
    assert knob in LEVERS
    assert knob in TURNED


@pytest.mark.parametrize("knob", [k for k in KNOBS_USED if k.startswith("crmlab.")])
def test_what_carries_an_idea_otherwise_is_named_by_other_tests(knob, names_of_other_tests):
    module, _, name = knob.rpartition(".")
    assert hasattr(import_module(module), name)
    assert name in names_of_other_tests


def test_a_row_at_home_names_the_levers_that_name_the_row():
    """A lever says which rows it carries; at least one of those is among the knobs of the row."""
    missed = {}
    for name, row in AT_HOME.iterrows():
        sources = {k: about["source"].split(", ") for k, (_, about) in LEVERS.items()}
        carry = {k for k, ids in sources.items() if name in ids and k in TURNED}
        if carry and not carry & set(row["knob"].split()):
            missed[name] = sorted(carry)
    assert missed == {}


def test_rows_without_a_home_are_the_listed_ones_and_no_others():
    due = PLANNED.map(lambda numbers: bool(numbers & FINISHED.keys()))
    without = set(CONCEPTS.index[due & (CONCEPTS["notebook"] == "")])
    lost, found = (
        "\n".join(
            f"  {name} (planned for {CONCEPTS.at[name, 'notebooks']}): {CONCEPTS.at[name, 'idea']}"
            for name in sorted(names, key=place)
        )
        for names in (without - STILL_WITHOUT_A_HOME, STILL_WITHOUT_A_HOME - without)
    )
    assert not lost, f"no notebook is their home:\n{lost}"
    assert not found, f"at home by now, or not due; take them off the list:\n{found}"


def test_the_page_shows_every_row_with_its_home_and_knob():
    lines = re.findall(r"^\| [A-D]\d+ .*$", concepts_page(ROOT), re.MULTILINE)
    assert len(lines) == len(CONCEPTS)
    for line, (name, row) in zip(lines, CONCEPTS.iterrows(), strict=True):
        shown = [part.strip() for part in line.strip("|").split(" |")]
        knobs = ", ".join(f"`{knob}`" for knob in row["knob"].split())
        assert shown == [name, row["idea"], row["notebook"], knobs]
