"""Answers, progress, and editions."""

import json
import re
from itertools import product

import numpy as np
import pandas as pd
import pytest

from crmlab.course import answers, editions, keyring, notebooks
from crmlab.course.answers import make_key, read_answer
from crmlab.course.judging import Verdict, judge_with
from crmlab.course.keyring import check, judge, set_answer
from crmlab.course.learner import learner_folder, record_solved, solved_exercises
from crmlab.course.learner_progress import progress
from crmlab.errors import DataError, SpecError

nbformat = pytest.importorskip("nbformat")

ROW = (0.4423, 0.3462, 0.0096, 0.2019)


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """An empty folder of keys, open for writing."""
    folder = tmp_path / "keys"
    monkeypatch.setenv(keyring.FOLDER_VARIABLE, str(folder))
    monkeypatch.setenv(keyring.DRAFTS_VARIABLE, str(folder))
    return folder


# --- judging -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "given"),
    [
        (0.1234, 0.12344),
        (0.1234, np.float32(0.1234)),
        (0.1234, np.array([0.1234])),
        (0.1234, np.array(0.1234)),
        (ROW, list(ROW)),
        (ROW, np.array(ROW)),
        (ROW, np.array([ROW])),
        (ROW, pd.Series(ROW, index=list("abcd"))),
        ([[0.1, 0.2], [0.3, 0.4]], pd.DataFrame([[0.1, 0.2], [0.3, 0.4]])),
    ],
)
def test_the_answer_is_right_in_every_container(answer, given):
    assert judge_with(make_key("99.1", answer, digits=4), given).right


@pytest.mark.parametrize(("off", "right"), [(0, True), (1, True), (-1, True), (2, False)])
def test_one_unit_in_the_last_digit_is_forgiven(off, right):
    key = make_key("99.1", 0.3000, digits=4)
    assert judge_with(key, 0.3000 + off * 1e-4).right is right


def test_a_tolerance_is_the_distance_that_is_forgiven():
    key = make_key("99.1", 10.0, digits=1, tolerance=0.5)
    assert judge_with(key, 10.5).right
    assert judge_with(key, 9.5).right
    assert not judge_with(key, 10.6).right


def test_whole_numbers_are_exact_and_need_no_digits():
    key = make_key("99.1", 7)
    assert judge_with(key, 7.0).right
    assert not judge_with(key, 8).right


def test_negative_digits_round_to_thousands():
    key = make_key("99.1", 36_832.0, digits=-3)
    assert judge_with(key, 37_000).right
    assert not judge_with(key, 34_000).right


@pytest.mark.parametrize("given", ["Bonding", " BONDING ", "bonding", np.str_("bonding")])
def test_texts_forgive_case_and_blanks(given):
    assert judge_with(make_key("99.1", "bonding"), given).right


def test_texts_forgive_accents_and_hyphens():
    assert judge_with(make_key("99.1", "Banque Méridienne"), "banque-meridienne").right


def test_booleans_are_not_numbers():
    key = make_key("99.1", True)
    assert judge_with(key, np.True_).right
    assert not judge_with(key, False).right
    assert "asks for True or False, and this is a number" in judge_with(key, 1).sentence


def test_the_order_of_a_set_does_not_count():
    key = make_key("99.1", {"avoiding", "terminating"})
    assert judge_with(key, ["Terminating", "avoiding"]).right
    assert judge_with(key, {"terminating", "avoiding"}).right
    assert not judge_with(key, {"terminating", "bonding"}).right


def test_a_set_is_refused_where_the_order_counts():
    verdict = judge_with(make_key("99.1", ("a", "b")), {"a", "b"})
    assert (verdict.right, "has no order" in verdict.sentence) == (False, True)


@pytest.mark.parametrize(
    ("answer", "digits", "given", "words"),
    [
        (0.442, 3, 44.2, "looks like a percentage"),
        (ROW, 4, np.array(ROW) * 100, "looks like a percentage"),
        (44.2, 1, 0.442, "looks like a fraction"),
        (-1.82, 2, 1.82, "the sign is not"),
        (0.8, 2, 0.2, "one minus the answer"),
        (0.4423, 4, 0.44, "rounded too early: keep 4 decimals"),
        (0.4423, 4, 0.442, "rounded too early"),
        (ROW, 4, ROW[::-1], "another order"),
        (ROW, 4, (*ROW[:3], 0.5), "3 of 4 values are right; the first that is not: value 4"),
        (ROW, 4, 0.4423, "asks for 4 numbers, and this is a number"),
        (ROW, 4, np.ones((2, 2)), "asks for 4 numbers, and this is 2 by 2 numbers"),
        (0.4423, 4, "0.4423", "asks for a number, and this is a text"),
        (0.4423, 4, None, "does your function return"),
        (0.4423, 4, np.nan, "not a number (NaN)"),
        (0.4423, 4, [0.1, np.inf], "divided by zero"),
        (0.4423, 4, np.mean, "call it, and hand over"),
        (0.4423, 4, {"a": 0.4423}, "hand over its values"),
        (0.4423, 4, [], "empty"),
        (0.4423, 4, [[1], [1, 2]], "differ in length"),
        (0.4423, 4, object(), "neither a number"),
        (0.4423, 4, 0.9, "Read the question once more"),
        (("a", "b"), None, ("b", "a"), "another order"),
    ],
)
def test_common_slips_are_recognised(answer, digits, given, words):
    verdict = judge_with(make_key("99.1", answer, digits=digits), given)
    assert not verdict.right
    assert words in verdict.sentence


def test_no_answer_yet():
    verdict = judge_with(make_key("99.1", 1), ...)
    assert verdict == Verdict(False, "99.1: no answer yet; put it in place of the three dots.")


def test_a_known_misconception_chooses_its_hint():
    key = make_key(
        "99.1",
        0.8,
        digits=3,
        mistakes=[(0.2, "This is churn."), ([0.8, 0.2], "One number is enough.")],
    )
    assert judge_with(key, 0.2).sentence == "99.1: not yet. This is churn."
    assert judge_with(key, (0.8, 0.2)).sentence == "99.1: not yet. One number is enough."


def test_a_misconception_about_a_text():
    key = make_key("99.1", "bonding", mistakes=[("integrating", "One stage too early.")])
    assert "One stage too early" in judge_with(key, "Integrating").sentence


def test_the_reason_follows_a_right_answer():
    key = make_key("99.1", 3, because="Three stages are absorbing.")
    assert judge_with(key, 3).sentence == "99.1: right. Three stages are absorbing."


def test_text_in_unicode_forms_is_one_text():
    assert read_answer("me\u0301ridienne") == read_answer("m\u00e9ridienne")


# --- keys --------------------------------------------------------------------------------------


def test_a_key_needs_digits_unless_the_answer_is_whole():
    with pytest.raises(SpecError, match="how many digits"):
        make_key("99.1", 0.5)


def test_all_that_is_wrong_with_an_exercise_is_said_at_once():
    with pytest.raises(SpecError, match="2 problems") as caught:
        make_key("99", 0.5, digits=2, mistakes=[(0.505, "counts as right")])
    assert "'06.1'" in str(caught.value)
    assert "0.505 counts as right" in str(caught.value)


def test_a_tolerance_of_too_many_neighbours_is_refused():
    with pytest.raises(SpecError, match="ask fewer digits"):
        make_key("99.1", 1.0, digits=4, tolerance=0.5)


def test_a_key_survives_its_file(keys):
    set_answer("99.10", ROW, digits=4, mistakes=[(0.5, "no"), (ROW[::-1], "reversed")])
    set_answer("99.2", {"a", "b"}, because="so it is.")
    stored = keyring.load_keys(keys / "99.json")
    assert list(stored) == ["99.2", "99.10"]
    assert stored["99.2"] == make_key("99.2", {"a", "b"}, because="so it is.")
    assert judge("99.10", ROW).right
    assert judge("99.10", ROW[::-1]).sentence.endswith("reversed")


def test_a_key_tells_nobody_the_answer(keys):
    set_answer("99.1", (0.4423, 0.3462), digits=4)
    set_answer("99.2", "differentiating")
    text = (keys / "99.json").read_text()
    assert not re.search("4423|3462|differentiating", text)


def test_outside_of_the_author_s_run_a_stale_key_is_refused(keys, monkeypatch):
    set_answer("99.1", 0.5, digits=2)
    before = (keys / "99.json").read_bytes()
    monkeypatch.delenv(keyring.DRAFTS_VARIABLE)
    set_answer("99.1", 0.5, digits=2)
    with pytest.raises(SpecError, match="stored key"):
        set_answer("99.1", 0.6, digits=2)
    assert (keys / "99.json").read_bytes() == before


def test_an_unknown_exercise_lists_those_of_its_notebook(keys):
    set_answer("99.1", 1)
    set_answer("99.2", 2)
    assert judge("99.7", 1).sentence == "There is no exercise 99.7. It has 99.1, 99.2."
    assert judge("98.1", 1).sentence == "There is no exercise 98.1. Notebook 98 has none."


def test_check_prints_one_line_and_returns_nothing(keys, capsys):
    set_answer("99.1", 1)
    assert check("99.1", 1) is None
    assert check("99.1", 2) is None
    assert capsys.readouterr().out.splitlines()[0] == "99.1: right."


def test_positions_and_exercises_are_salted_apart():
    hashes = [
        answers.hash_token(exercise, position, "5")
        for exercise, position in product(("06.1", "06.2"), (0, 1))
    ]
    assert len(set(hashes)) == 4


# --- progress ----------------------------------------------------------------------------------


def test_progress_is_kept_in_the_student_edition_alone(keys, tmp_path, monkeypatch, capsys):
    set_answer("99.1", 1)
    set_answer("99.2", 2)
    elsewhere, learn = tmp_path / "source", tmp_path / "learn"
    elsewhere.mkdir()
    (learn / ".crmlab").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    check("99.1", 1)
    progress()
    monkeypatch.chdir(learn)
    check("99.2", 2)
    check("99.1", 3)
    progress()
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("Progress is kept in the student edition")
    assert printed[-1] == "99: 1 of 2 solved; open: 99.1"
    assert list(elsewhere.iterdir()) == []


def test_progress_of_an_untouched_edition(tmp_path):
    (tmp_path / ".crmlab").mkdir()
    inner = tmp_path / "deeper"
    inner.mkdir()
    assert learner_folder(inner) == tmp_path
    assert solved_exercises(inner) == frozenset()
    record_solved("99.1", inner)
    assert solved_exercises(tmp_path) == {"99.1"}


# --- the student edition -----------------------------------------------------------------------

EXERCISE = """# Exercise 99.1
def retention(churn):
    ### BEGIN SOLUTION
    return 1 - churn
    ### END SOLUTION
### BEGIN HIDDEN TESTS
crmlab.set_answer("99.1", retention(0.2), digits=2, mistakes=[(0.2, "This is churn.")])
### END HIDDEN TESTS
crmlab.check("99.1", retention(0.2))"""
STUB = """# Exercise 99.1
def retention(churn):
    # your code here
    raise NotImplementedError('Replace this line by your code.')
crmlab.check("99.1", retention(0.2))"""
FIGURE = """### BEGIN SOLUTION
bundle = {"image/png": "iVBORw0KGgo=", "text/plain": "Retention falls [slowly] from 1 to 0.8."}
get_ipython().display_pub.publish(bundle)
### END SOLUTION"""


def make_source(folder):
    """Write a source notebook with an exercise, a figure, a hint and an instructor's cell."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    cells = [
        new_markdown_cell("# A source"),
        new_code_cell("import crmlab.course as crmlab\nprint(1 + 1)"),
        new_markdown_cell("Think of the complement.", metadata={"tags": ["hint"]}),
        new_code_cell(EXERCISE),
        new_code_cell(FIGURE, metadata={"tags": ["expected-figure"]}),
        new_markdown_cell("Half of the class answers 0.2.", metadata={"tags": ["instructor"]}),
    ]
    folder.mkdir(exist_ok=True)
    notebooks.write_notebook(new_notebook(cells=cells), folder / "99_source.ipynb")
    return folder / "99_source.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """An executed source notebook, its keys, and its student edition."""
    folder = tmp_path_factory.mktemp("course")
    path = make_source(folder / "notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(keyring.FOLDER_VARIABLE, str(folder / "keys"))
        notebooks.execute_notebook(path)
    return path


@pytest.fixture
def learn(executed, tmp_path, monkeypatch):
    """A fresh student edition, with the keys of its source."""
    monkeypatch.setenv(keyring.FOLDER_VARIABLE, str(executed.parent.parent / "keys"))
    editions.build_student(executed.parent, tmp_path / "learn")
    return tmp_path / "learn"


def test_execution_in_place_counts_from_one_and_writes_the_key(executed):
    source = notebooks.read_notebook(executed)
    counts = [cell.execution_count for cell in source.cells if cell.cell_type == "code"]
    assert counts == [1, 2, 3]
    assert source.cells[3].outputs[0].text == "99.1: right.\n"
    assert source.metadata.kernelspec == notebooks.KERNELSPEC
    stored = json.loads((executed.parent.parent / "keys" / "99.json").read_text())
    assert list(stored) == ["99.1"]


def test_a_check_above_its_answer_sees_the_new_key(executed, tmp_path, monkeypatch):
    monkeypatch.setenv(keyring.FOLDER_VARIABLE, str(tmp_path / "keys"))
    source = notebooks.read_notebook(executed)
    source.cells[1].source += '\ncrmlab.check("99.1", 0.2)'
    notebooks.write_notebook(source, tmp_path / "99_source.ipynb")
    notebooks.execute_notebook(tmp_path / "99_source.ipynb")
    early = notebooks.read_notebook(tmp_path / "99_source.ipynb").cells[1].outputs[0].text
    assert early == "2\n99.1: not yet. This is churn.\n"


def test_the_key_of_an_exercise_that_is_gone_goes_too(executed, tmp_path, monkeypatch):
    monkeypatch.setenv(keyring.FOLDER_VARIABLE, str(tmp_path / "keys"))
    source = notebooks.read_notebook(executed)
    notebooks.write_notebook(source, tmp_path / "99_source.ipynb")
    notebooks.execute_notebook(tmp_path / "99_source.ipynb")
    assert (tmp_path / "keys" / "99.json").is_file()
    source.cells[3].source = "print(1)"
    notebooks.write_notebook(source, tmp_path / "99_source.ipynb")
    notebooks.execute_notebook(tmp_path / "99_source.ipynb")
    assert not (tmp_path / "keys" / "99.json").exists()


def test_executing_again_changes_no_byte(executed, monkeypatch):
    monkeypatch.setenv(keyring.FOLDER_VARIABLE, str(executed.parent.parent / "keys"))
    before = executed.read_bytes()
    notebooks.execute_notebook(executed)
    assert executed.read_bytes() == before


def test_a_failing_notebook_and_its_key_stay_as_they_were(executed, tmp_path, monkeypatch):
    from nbclient.exceptions import CellExecutionError

    broken = notebooks.read_notebook(executed)
    broken.cells[3].source = broken.cells[3].source.replace("1 - churn", "1 / 0")
    notebooks.write_notebook(broken, tmp_path / "99_source.ipynb")
    monkeypatch.setenv(keyring.FOLDER_VARIABLE, str(tmp_path / "keys"))
    before = (tmp_path / "99_source.ipynb").read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.execute_notebook(tmp_path / "99_source.ipynb")
    assert (tmp_path / "99_source.ipynb").read_bytes() == before
    assert not (tmp_path / "keys").exists()


def test_the_student_edition_cell_by_cell(learn):
    cells = notebooks.read_notebook(learn / "99_source.ipynb").cells
    assert cells[2].source.startswith("<details>\n<summary>Hint</summary>\n\nThink of")
    assert cells[3].source == STUB
    assert "![Retention falls (slowly) from 1 to 0.8.](attachment:" in cells[4].source
    assert cells[4].attachments["figure.png"]["image/png"] == "iVBORw0KGgo="
    assert len(cells) == 6
    assert all(not cell.outputs for cell in cells if cell.cell_type == "code")
    assert "Half of the class" not in (learn / "99_source.ipynb").read_text()


def test_the_student_edition_stops_at_its_exercises_alone(learn):
    notebook = notebooks.read_notebook(learn / "99_source.ipynb")
    run = notebooks.run_cells(notebook, learn, allow_errors=["NotImplementedError"])
    stopped = [
        number
        for number, cell in enumerate(run.cells)
        if any(output.output_type == "error" for output in cell.get("outputs", ()))
    ]
    assert stopped == [3, 5]


def test_a_solution_pasted_back_passes_and_is_remembered(learn):
    notebook = notebooks.read_notebook(learn / "99_source.ipynb")
    exercise = notebook.cells[3]
    exercise.source = exercise.source.replace(STUB.splitlines()[3].strip(), "return 1 - churn")
    run = notebooks.run_cells(notebook, learn, allow_errors=["NotImplementedError"])
    assert run.cells[3].outputs[0].text == "99.1: right.\n"
    assert solved_exercises(learn) == {"99.1"}


@pytest.mark.parametrize(
    "source",
    ["### BEGIN SOLUTION\nx = 1", "x = 1\n### END SOLUTION", "### Begin Solution\nx = 1"],
)
def test_a_broken_pair_of_markers_is_refused(source):
    with pytest.raises(DataError, match="no end, or no beginning"):
        editions.student_source(source)


def test_two_solutions_in_one_cell_are_both_cut():
    block = "### BEGIN SOLUTION\nsecret = {}\n### END SOLUTION\n"
    source = editions.student_source(block.format(1) + "shown = 2\n" + block.format(3))
    assert "secret" not in source
    assert source.count("NotImplementedError") == 2
    assert "shown = 2" in source


def test_an_expected_figure_needs_a_figure():
    from nbformat.v4 import new_code_cell, new_notebook

    cell = new_code_cell("1", metadata={"tags": ["expected-figure"]})
    with pytest.raises(DataError, match="has no figure"):
        editions.student_notebook(new_notebook(cells=[cell]))


# --- what a learner changed is hers ------------------------------------------------------------


@pytest.fixture
def plain(tmp_path):
    """A source folder with one file, and its edition."""
    source, learn = tmp_path / "notebooks", tmp_path / "learn"
    source.mkdir()
    (source / "data.txt").write_text("first")
    editions.build_student(source, learn)
    return source, learn


def renew(plain, content):
    """Bring out a new version of the file and return what building it did."""
    source, learn = plain
    (source / "data.txt").write_text(content)
    return editions.build_student(source, learn)


def test_building_twice_changes_nothing(plain):
    report = editions.build_student(*plain)
    assert report == editions.EditionReport(written=(), beside=(), kept=("data.txt",))


def test_an_untouched_file_is_renewed(plain):
    assert renew(plain, "second").written == ("data.txt",)
    assert (plain[1] / "data.txt").read_text() == "second"


def test_a_deleted_file_comes_back(plain):
    (plain[1] / "data.txt").unlink()
    assert editions.build_student(*plain).written == ("data.txt",)


def test_a_changed_file_is_never_overwritten(plain):
    mine = plain[1] / "data.txt"
    mine.write_text("my notes")
    assert editions.build_student(*plain).kept == ("data.txt",)
    report = renew(plain, "second")
    assert report.beside == ("data_updated.txt",)
    assert "is next to it: data_updated.txt" in report.text()
    assert (plain[1] / "data_updated.txt").read_text() == "second"
    assert renew(plain, "third").beside == ("data_updated.txt",)
    (plain[1] / "data_updated.txt").write_text("my notes too")
    assert renew(plain, "fourth").beside == ("data_updated_2.txt",)
    assert editions.build_student(*plain).kept == ("data_updated_2.txt",)
    assert mine.read_text() == "my notes"
    assert (plain[1] / "data_updated.txt").read_text() == "my notes too"


def test_a_file_that_was_there_before_is_not_ours(tmp_path):
    source, learn = tmp_path / "notebooks", tmp_path / "learn"
    source.mkdir()
    learn.mkdir()
    (source / "data.txt").write_text("first")
    (learn / "data.txt").write_text("hers")
    assert editions.build_student(source, learn).beside == ("data_updated.txt",)
    assert (learn / "data.txt").read_text() == "hers"
