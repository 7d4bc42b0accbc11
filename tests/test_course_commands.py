"""What an instructor asks for on the command line, from a file of ids to a table of grades."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from crmlab.cli import teach
from crmlab.cli.environment import Project
from crmlab.course import drift, instructor, notebooks

ROOT = Path(__file__).resolve().parents[1]
nbformat = pytest.importorskip("nbformat")


@pytest.mark.skipif(os.name == "nt", reason="limits of the operating system are POSIX")
def test_from_ids_to_grades(tmp_path, capsys):
    project, ids = Project(tmp_path / "course"), tmp_path / "ids.txt"
    ids.write_text("a17\n")
    assert teach.make_variants(project, ids=ids, key=None, number=None, with_checks=False) == 0
    assert "Made a new key" in capsys.readouterr().out
    variants = project.root / "build" / "variants"
    solved = instructor.instructor_notebook(
        notebooks.read_notebook(variants / "source.ipynb"), keys={}
    )
    handed_in = tmp_path / "handed_in"
    handed_in.mkdir()
    notebooks.write_notebook(solved, handed_in / "a17.ipynb")
    notebooks.write_notebook(solved, handed_in / "stranger.ipynb")
    assert teach.grade(project, folder=handed_in, number=None, seconds=60) == 0
    table = pd.read_csv(project.root / "build" / "grades" / "grades.csv", index_col="student_id")
    assert table["points"].to_dict() == {"a17": 4, "stranger": 0}
    assert "stranger has no variant" in table.loc["stranger", "state"]
    (project.root / "build/grades/remarks.txt").write_text("mine")
    capsys.readouterr()
    assert teach.grade(project, folder=handed_in, number=None, seconds=60) == 1
    assert "also holds remarks.txt" in capsys.readouterr().err
    assert (project.root / "build/grades/remarks.txt").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="limits of the operating system are POSIX")
def test_a_notebook_of_the_course_is_graded_with_the_course_s_own_branch(tmp_path):
    """Its last exercise needs the branch, whose world and keys a submission cannot read."""
    project, handed_in = Project(tmp_path / "course"), tmp_path / "handed_in"
    (source,) = (ROOT / "notebooks").glob("03_*.ipynb")
    (project.root / "notebooks").mkdir(parents=True)
    handed_in.mkdir()
    shutil.copy(source, project.root / "notebooks")
    solved = instructor.instructor_notebook(notebooks.read_notebook(source), keys={})
    notebooks.write_notebook(solved, handed_in / "a17.ipynb")
    assert teach.grade(project, folder=handed_in, number="03", seconds=60) == 0
    grades = project.root / "build" / "grades"
    table = pd.read_csv(grades / "grades.csv", index_col="student_id")
    assert table["points"].to_dict() == {"a17": 6}
    assert "note" not in (grades / "grades.txt").read_text()
    assert not list(grades.rglob("*stages*")), "no truth lies there"


def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys):
    project, ids = Project(tmp_path), tmp_path / "ids.txt"
    assert teach.make_variants(project, ids=ids, key=None, number=None, with_checks=False) == 1
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "instructor.key").exists()
    assert teach.grade(project, folder=tmp_path, number=None, seconds=60) == 1
    assert "make variants" in capsys.readouterr().err
    assert teach.write_slides(project, number="42") == 1
    assert "has no notebook 42" in capsys.readouterr().out


def test_slides_and_editions_are_written_under_build(tmp_path):
    from nbformat.v4 import new_markdown_cell, new_notebook

    project = Project(tmp_path)
    lesson = new_notebook(cells=[new_markdown_cell("# A title\n\nA promise.\n\n**Minutes** 10")])
    (tmp_path / "notebooks").mkdir()
    notebooks.write_notebook(lesson, tmp_path / "notebooks" / "98_x.ipynb")
    assert teach.write_slides(project, number=None) == 0
    assert teach.write_editions(project) == 0
    build = tmp_path / "build"
    assert (build / "slides" / "98_x.html").is_file()
    assert (build / "editions" / "crmlab-learners.zip").is_file()


def test_drift_is_written_and_a_moved_number_fails(tmp_path, capsys, monkeypatch):
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    wide = drift.code_path("wide", openblas="wide", numba="wide", numpy="X86_V99")
    monkeypatch.setattr(drift, "CONTROLS", (wide, drift.other_seed(1)))
    stored = new_output("stream", name="stdout", text="2\n")
    lesson = new_notebook(cells=[new_code_cell("print(3)  # crm.fit()", outputs=[stored])])
    (tmp_path / "notebooks").mkdir()
    notebooks.write_notebook(lesson, tmp_path / "notebooks" / "98_x.ipynb")
    assert teach.measure_drift(Project(tmp_path), number="98") == 1
    output = capsys.readouterr().out
    assert "wide: skipped, this processor" in output
    assert "2 became 3" in output
    assert (tmp_path / "build" / "drift" / "drift.csv").is_file()


def test_other_code_is_compiled_into_a_folder_of_its_own(tmp_path):
    project, generic = Project(tmp_path), drift.CODE_PATHS[-1]
    with teach._variables(project, generic) as variables:
        assert str(tmp_path) not in variables["NUMBA_CACHE_DIR"]
        assert variables["NUMBA_CPU_NAME"] == "generic"
    with teach._variables(project, drift.SEEDS[0]) as variables:
        assert str(tmp_path) in variables["NUMBA_CACHE_DIR"]
