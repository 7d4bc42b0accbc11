"""Prose, slides, recall, instructor's edition, schedule, bundle, drift: on small notebooks."""

import re
import zipfile

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from crmlab.course import bundle, drift, instructor, notebooks, prose, schedule, slides
from crmlab.course.answers import make_key

nbformat = pytest.importorskip("nbformat")

FRONT = """# A title with $x^2$

A promise.

**Objectives** After this notebook you can

- do one thing;
- do another;
- do a third.

**Minutes** 40

**Prerequisites** none

**Runs in a browser** yes"""
EXERCISE = """# Exercise 98.1
### BEGIN SOLUTION
answer = secret_recipe(1)
### END SOLUTION
### BEGIN HIDDEN TESTS
crm.set_answer("98.1", answer, digits=1)
### END HIDDEN TESTS
crm.check("98.1", answer)"""
KEYS = {
    "98.1": make_key("98.1", 0.8, digits=1, mistakes=[(0.2, "This is churn."), (8, "Too large.")])
}


def lesson():
    """Return a small executed notebook with every kind of cell."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    figure = new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "It falls."})
    told = new_output("stream", name="stdout", text="98.1: right. Because.\n")
    cells = [
        new_markdown_cell(FRONT),
        new_markdown_cell(
            "## One idea\n\nA first sentence. "
            + "Many words follow here. " * 20
            + "\n\nHidden in the notes.\n\n- a point\n\n**Predict first.** Up or down?"
        ),
        new_code_cell("import crmlab as crm", execution_count=1),
        new_code_cell(
            "print(2)",
            execution_count=2,
            outputs=[new_output("stream", name="stdout", text="<2>\n")],
        ),
        new_markdown_cell("So it is two. And more."),
        new_code_cell("plot()", execution_count=3, outputs=[figure]),
        new_markdown_cell("### Exercise 98.1 (easy): churn\n\nWhat is it?"),
        new_markdown_cell("Think of the complement.", metadata={"tags": ["hint"]}),
        new_code_cell(EXERCISE, execution_count=4, outputs=[told, figure]),
        new_markdown_cell("Half of the class fails.", metadata={"tags": ["instructor"]}),
        new_markdown_cell("## Key points\n\n- One.\n\n## Further reading\n\n- A book."),
    ]
    return notebooks.strip_metadata(new_notebook(cells=cells))


# --- prose -------------------------------------------------------------------------------------


@given(st.lists(st.text(alphabet="ab #$`\n.", max_size=30), max_size=8))
def test_splitting_loses_no_word(parts):
    source = "\n\n".join(parts)
    kept = "".join("".join(prose.split_blocks(source)).split())
    assert kept == "".join(source.split())


def test_a_fence_and_a_formula_are_one_block():
    assert len(prose.split_blocks("```\na\n\nb\n```\n\n$$\na\n\nb\n$$")) == 2


def test_a_formula_is_a_picture_with_its_tex():
    html = prose.to_html("The mean is $\\frac{a}{b}$, for 5 $ or 6 $ each.")
    assert 'alt="\\frac{a}{b}"' in html
    assert html.count("<img") == 1
    assert "5 $ or 6 $ each" in html


def test_what_cannot_be_drawn_is_shown_as_it_was_written():
    assert '<code class="tex">\\begin{matrix}' in prose.to_html(r"$\begin{matrix}1\end{matrix}$")


def test_a_lead_is_at_least_one_sentence():
    assert prose.leading_sentences("One two three four. Five.", 2) == "One two three four."


def test_an_initial_ends_no_sentence():
    text = "Mark L. Knapp wrote it. He did."
    assert prose.leading_sentences(text, 5) == "Mark L. Knapp wrote it."


# --- slides ------------------------------------------------------------------------------------


def test_one_slide_for_each_thing_to_see():
    made = slides.make_slides(lesson())
    assert [slide.kind for slide in made] == [
        "title", "text", "text", "predict", "result", "figure", "exercise", "text",
    ]  # fmt: skip
    assert "Many words" in made[2].body
    assert "Hidden in the notes." not in made[2].body
    assert "Hidden in the notes." in made[2].notes
    assert "&lt;2&gt;" in made[4].body
    assert "So it is two." in made[4].body
    assert "A book" not in made[-1].body


def test_the_deck_for_the_speaker_has_minutes_errors_and_notes():
    page = slides.slides_html(lesson(), KEYS)
    for words in ("This is churn.", "Too large.", "Half of the class fails.", "minutes</strong>"):
        assert words in page
    assert "secret_recipe" not in page
    assert "98.1: right" not in page
    assert "Think of the complement" not in page


def test_the_deck_to_hand_out_has_none_of_it():
    page = slides.slides_html(lesson(), KEYS, notes=False)
    for words in ("This is churn.", "Half of the class", "secret_recipe", "Hidden in the notes"):
        assert words not in page


@pytest.mark.parametrize(("role", "on_slide"), [("skip", 0), ("notes", 0), ("slide", 1)])
def test_a_cell_may_choose_its_role(role, on_slide):
    notebook = lesson()
    notebook.cells[1].metadata["slideshow"] = {"slide_type": role}
    bodies = "".join(slide.body for slide in slides.make_slides(notebook))
    assert bodies.count("Hidden in the notes.") == on_slide
    assert slides.slides_html(notebook).count("Hidden in the notes.") == (role != "skip")


def test_the_template_is_small():
    from importlib.resources import files

    text = (files("crmlab.course") / "slides.html.jinja").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200


# --- recall and instructor's edition -----------------------------------------------------------


def test_recall_keeps_headings_code_and_questions():
    text = "\n".join(cell.source for cell in instructor.recall_notebook(lesson()).cells)
    for kept in ("# A title", "## One idea", "print(2)", "What is it?", "NotImplementedError"):
        assert kept in text
    for gone in ("A first sentence", "secret_recipe", "complement", "Half of the class", "Because"):
        assert gone not in text


def test_the_instructor_s_edition_shows_all_but_the_hidden_tests():
    edition = instructor.instructor_notebook(lesson(), KEYS)
    text = "\n".join(cell.source for cell in edition.cells)
    for kept in ("secret_recipe", "This is churn.", "Half of the class", "**Plan: 40 minutes**"):
        assert kept in text
    assert "set_answer" not in text
    nbformat.validate(edition)


# --- schedule ----------------------------------------------------------------------------------


@given(st.integers(0, 300), st.lists(st.floats(0.1, 50), min_size=1, max_size=12))
def test_shared_minutes_sum_and_are_fair(total, weights):
    shares = schedule._share(total, weights)
    assert sum(shares) == total
    assert all(
        abs(share - total * weight / sum(weights)) < 1 + 1e-9
        for share, weight in zip(shares, weights, strict=True)
    )


def test_a_plan_sums_to_the_stated_minutes():
    plan = schedule.lesson_plan(lesson())
    assert sum(part.minutes for part in plan) == 40
    assert [part.exercises for part in plan if part.exercises] == [("98.1",)]
    assert "Further reading" not in [part.title for part in plan]


def test_a_schedule_says_what_is_missing(tmp_path):
    notebooks.write_notebook(lesson(), tmp_path / "03_x.ipynb")
    table = schedule.course_schedule(tmp_path, ("03", "06"), session_minutes=30)
    assert table.loc[1, ["minutes", "in_class", "at_home", "exercises"]].tolist() == [40, 30, 10, 1]
    assert table["state"].tolist() == ["ready", "missing"]
    assert "Still missing: 06." in schedule.schedule_text(table)
    assert pd.isna(table.loc[2, "minutes"])


# --- the bundle --------------------------------------------------------------------------------


def test_the_learners_zip_holds_no_solution_and_the_same_bytes_twice(tmp_path):
    source = tmp_path / "notebooks"
    source.mkdir()
    notebooks.write_notebook(lesson(), source / "98_x.ipynb")
    first = bundle.build_editions(source, tmp_path / "out")
    held = [path.read_bytes() for path in first]
    again = bundle.build_editions(source, tmp_path / "out")
    assert held == [path.read_bytes() for path in again]
    with zipfile.ZipFile(first[0]) as archive:
        names = set(archive.namelist())
        texts = [archive.read(name).decode() for name in names]
    assert {"learn/98_x.ipynb", "recall/98_x.ipynb", "slides/98_x.html"} <= names
    assert not [text for text in texts if "secret_recipe" in text or "Half of the class" in text]
    with zipfile.ZipFile(first[1]) as archive:
        assert "secret_recipe" in archive.read("notebooks/98_x.ipynb").decode()
        assert {"slides/98_x.html", "schedule.md"} <= set(archive.namelist())


# --- drift -------------------------------------------------------------------------------------


def printed(*texts):
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    cells = [
        new_code_cell("x", outputs=[new_output("stream", name="stdout", text=text)])
        for text in texts
    ]
    return new_notebook(cells=cells)


def test_numbers_that_move_are_measured():
    stored, found = (
        printed("mean 0.25 of 1,000\n", "same 7\n"),
        printed("mean 0.27 of 1,000\n", "same 7\n"),
    )
    seen = drift.compare_outputs("here", "98_x", stored, found)
    assert (seen.numbers, seen.broken) == (3, ())
    (moved,) = seen.moved
    assert (moved.cell, moved.stored, moved.found) == (1, 0.25, 0.27)
    assert moved.distance == pytest.approx(0.02)
    assert "1 of 3 numbers moved" in drift.drift_text(seen)
    assert drift.drift_table([seen])["distance"].tolist() == [moved.distance]


def test_words_that_change_and_numbers_that_vanish_are_said():
    seen = drift.compare_outputs(
        "here", "98_x", printed("inside: yes", "1 2"), printed("inside: no", "1")
    )
    assert seen.broken == (1, 2)
    assert "cell 2: its words changed" in drift.drift_text(seen)


def test_a_cell_that_is_not_compared_may_move():
    stored, found = printed("1"), printed("2")
    stored.cells[0].metadata["tags"] = ["nbval-ignore-output"]
    assert drift.compare_outputs("here", "98_x", stored, found).numbers == 0


def test_a_name_with_a_digit_is_no_number():
    assert not re.search(drift._NUMBER, "x1 T_2")


def test_drift_is_measured_in_another_environment(tmp_path):
    stored = printed("generic\n", "12\n")
    stored.cells[0].source = "import os; print(os.environ['NUMBA_CPU_NAME'])"
    stored.cells[1].source = "print(11)"
    notebooks.write_notebook(stored, tmp_path / "98_x.ipynb")
    generic = drift.CODE_PATHS[-1]
    (seen,) = drift.measure_drift([tmp_path / "98_x.ipynb"], generic, generic.variables)
    assert [moved.found for moved in seen.moved] == [11.0]
    assert seen.broken == ()


def test_with_another_seed_only_notebooks_that_fit_are_executed(tmp_path):
    stored = printed("0\n")
    stored.cells[0].source = "import os; print(os.environ['CRMLAB_SEED_SHIFT'])  # crm.fit()"
    notebooks.write_notebook(stored, tmp_path / "98_x.ipynb")
    notebooks.write_notebook(printed("1"), tmp_path / "99_y.ipynb")
    paths = sorted(tmp_path.glob("*.ipynb"))
    control = drift.other_seed(7)
    (seen,) = drift.measure_drift(paths, control, control.variables)
    assert (seen.control, seen.name) == ("seed + 7", "98_x")
    assert [moved.found for moved in seen.moved] == [7.0]


def test_a_path_that_this_processor_cannot_run_says_so():
    foreign = drift.code_path("wide", openblas="wide", numba="wide", numpy="X86_V99")
    assert "X86" in foreign.obstacle.upper()
    assert drift.CODE_PATHS[-1].obstacle == ""
