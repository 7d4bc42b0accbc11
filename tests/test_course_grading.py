"""Grading: five submissions of one small notebook, and none of them stops the others."""

import os
import re

import pytest

from crmlab.course import answers, grading, keyring, notebooks, sandbox
from crmlab.course.sandbox import Fence, Limits
from crmlab.errors import DataError

nbformat = pytest.importorskip("nbformat")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits of the operating system are POSIX")

EASY = """# Exercise 99.1
### BEGIN SOLUTION
answer = 1 - churn
### END SOLUTION
### BEGIN HIDDEN TESTS
crm.set_answer("99.1", answer, digits=2, mistakes=[(churn, "This is churn.")])
### END HIDDEN TESTS
crm.check("99.1", answer)"""
HARD = """# Exercise 99.2
### BEGIN SOLUTION
answer = {"bonding", "avoiding"}
### END SOLUTION
### BEGIN HIDDEN TESTS
crm.set_answer("99.2", answer)
### END HIDDEN TESTS
crm.check("99.2", answer)"""
KEYS = {
    "99.1": answers.make_key("99.1", 0.8, digits=2, mistakes=[(0.2, "This is churn.")]),
    "99.2": answers.make_key("99.2", {"bonding", "avoiding"}),
}
LIMITS = Limits(seconds=8, seconds_per_cell=2, megabytes=4_000)


def source():
    """Return the source notebook: a cell to begin with, two exercises."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    cells = [
        new_markdown_cell("# A small notebook", id="title"),
        new_code_cell("import crmlab as crm\nchurn = 0.2", id="begin"),
        new_code_cell(EASY, id="easy"),
        new_code_cell(HARD, id="hard"),
    ]
    return new_notebook(cells=cells)


def submission(easy, hard='answer = {"avoiding", "bonding"}\ncrm.check("99.2", answer)', begin=""):
    """Return a submission: the source with what a student wrote in its place."""
    notebook = source()
    for cell, code in zip(notebook.cells[2:], (easy, hard), strict=True):
        cell.source = code
    notebook.cells[1].source += f"\n{begin}"
    return notebook


CHEAT = """import crmlab.course.keyring as a
crm.check = lambda *given: print("99.1: right.")
a.judge = lambda *given: a.Verdict(True, "right")
for path in (PLACES):
    try:
        print(open(path, "a" if path.endswith(".py") else "r").read())
    except PermissionError as refused:
        print(refused)
import subprocess
try:
    subprocess.run(["ls"])
except PermissionError:
    pass
answer = "right"
"""


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grade five submissions once: name -> Grade."""
    folder = tmp_path_factory.mktemp("submissions")
    keys = tmp_path_factory.mktemp("keys")
    (keys / "99.json").write_text("the key")
    places = (str(keys / "99.json"), keyring.__file__)
    right = 'answer = 1 - churn\ncrm.check("99.1", answer)'
    handed_in = {
        "perfect": submission(right),
        "half": submission('answer = churn\ncrm.check("99.1", answer)'),
        "crashing": submission(right, "import os\nos._exit(3)"),
        "looping": submission("while True:\n    pass"),
        "cheating": submission(CHEAT.replace("PLACES", repr(places))),
        "stubborn": submission(right, "import signal\nsignal.alarm(0)\nwhile True:\n    pass"),
    }
    for name, notebook in handed_in.items():
        notebooks.write_notebook(notebook, folder / f"{name}.ipynb")
    (folder / "torn.ipynb").write_text("{")
    found = grading.grade_folder(
        grading.find_submissions(folder),
        source(),
        lambda student: KEYS,
        limits=LIMITS,
        forbidden=[keys],
    )
    return {grade.student_id: grade for grade in found}


def marks(grade):
    return [verdict.right for verdict in grade.verdicts.values()]


def test_a_perfect_submission(graded):
    assert marks(graded["perfect"]) == [True, True]
    assert (graded["perfect"].state, graded["perfect"].notes) == ("ran to the end", ())


def test_half_of_it_and_the_hint_that_fits(graded):
    assert marks(graded["half"]) == [False, True]
    assert "This is churn." in graded["half"].verdicts["99.1"].sentence


def test_a_crash_keeps_what_came_before(graded):
    assert marks(graded["crashing"]) == [True, False]
    assert graded["crashing"].state == "crashed (exit code 3)"
    assert graded["crashing"].verdicts["99.2"].sentence == "not reached"


def test_a_loop_costs_its_exercise_and_no_other(graded):
    assert marks(graded["looping"]) == [False, True]
    assert "over 2 s" in graded["looping"].verdicts["99.1"].sentence


def test_a_loop_that_turns_off_the_alarm_is_stopped_too(graded):
    assert marks(graded["stubborn"]) == [True, False]
    assert graded["stubborn"].state == "stopped: over 8 s"
    assert graded["stubborn"].seconds < LIMITS.seconds + 4


def test_edited_checks_change_nothing_and_are_noted(graded):
    assert marks(graded["cheating"]) == [False, True]
    notes = " ".join(graded["cheating"].notes)
    assert "99.1: the check was changed" in notes
    assert re.search(r"tried to read \S*99\.json", notes)
    assert re.search(r"tried to write \S*keyring\.py", notes)
    assert "tried subprocess.Popen" in notes


def test_a_torn_file_gets_a_line(graded):
    assert graded["torn"].state.startswith("not graded")
    assert graded["torn"].points == 0


def test_the_table_and_the_lines_have_everybody(graded):
    table = grading.grades_table(list(graded.values()))
    assert list(table["points"]) == [graded[name].points for name in table.index]
    assert table.loc["perfect", ["99.1", "99.2"]].tolist() == ["right", "right"]
    text = grading.grades_text(list(graded.values()))
    assert [name for name in graded if name not in text] == []


def test_memory_has_a_limit():
    resource = pytest.importorskip("resource")
    assert resource.RLIMIT_AS
    hog = 'big = bytearray(3_000_000_000)\nanswer = 1 - churn\ncrm.check("99.1", answer)'
    cells, _ = grading._cells_to_run(submission(hog), grading.find_questions(source()))
    run = grading._run(cells, None, Limits(8, 4, 2_500, 10, 256), [])
    lines = {line.get("exercise"): line for line in run.lines}
    assert lines["99.1"]["error"] == "MemoryError"
    assert "value" in lines["99.2"]


def test_an_answer_of_an_exercise_before_is_no_answer_to_this_one():
    notebook = submission('answer = {"avoiding", "bonding"}', "pass")
    cells, _ = grading._cells_to_run(notebook, grading.find_questions(source()))
    run = grading._run(cells, None, LIMITS, [])
    verdicts = [grading._verdict(q, run.lines, KEYS) for q in grading.find_questions(source())]
    assert [verdict.right for verdict in verdicts] == [False, False]
    assert "no answer" in verdicts[1].sentence


# --- without a process -------------------------------------------------------------------------


def test_questions_come_from_the_source():
    found = grading.find_questions(source())
    assert [(q.exercise, q.cell_id, q.probe) for q in found] == [
        ("99.1", "easy", "answer"),
        ("99.2", "hard", "answer"),
    ]


def test_a_source_without_exercises_is_refused():
    from nbformat.v4 import new_notebook

    with pytest.raises(DataError, match="no exercise"):
        grading.find_questions(new_notebook())


def test_a_cell_is_found_by_its_words_when_its_id_is_lost():
    notebook = submission("# Exercise 99.1\nanswer = 1", "# Exercise 99.2\nanswer = 2")
    for cell in notebook.cells:
        cell["id"] = f"new-{cell['id']}"
    cells, notes = grading._cells_to_run(notebook, grading.find_questions(source()))
    assert [cell["exercise"] for cell in cells] == ["", "99.1", "99.2"]
    assert len(notes) == 2


def test_one_notebook_a_student(tmp_path):
    with pytest.raises(DataError, match="contains no notebooks"):
        grading.find_submissions(tmp_path)
    for name in ("s1/a.ipynb", "s1/b.ipynb", "s2/a.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="s1 submitted 2 notebooks"):
        grading.find_submissions(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        grading.find_submissions(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("path", "writes", "allowed"),
    [
        ("/homework/a.csv", True, True),
        ("/python/lib/x.py", False, True),
        ("/python/lib/x.py", True, False),
        ("/python/keys/06.json", False, False),
        ("/python", False, True),
        ("/pythons/x", False, False),
        ("/homework/../other", False, False),
        ("/project", False, True),
        ("/project/notebooks/03.ipynb", False, False),
        (7, True, True),
    ],
)
def test_the_fence(path, writes, allowed):
    fence = Fence("/homework", ("/python",), ("/project",), ("/python/keys",))
    assert fence.lets(path, writes=writes) is allowed


def test_values_are_plain_data():
    import numpy as np

    assert sandbox._plain(np.float64(0.5)) == {"value": 0.5}
    assert sandbox._plain({"b", "a"}) == {"value": ["a", "b"], "is_set": True}
    assert sandbox._plain(...) == {"error": "no answer"}
    assert sandbox._plain(object()) == {"error": "no answer, but a object"}
