"""The notebooks of the course obey their rules, and the rules can be broken.

That the outputs are right is nbval's task: ``python -m pytest --nbval ... notebooks/NN.ipynb``, one
process per notebook. Here stand the guards of what nbval does not see, and a negative control of
nbval itself.
"""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crmlab.course import (
    editions,
    guards,
    instructor,
    keyring,
    notebooks,
    outline,
    schedule,
    slides,
)

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONTROL = ROOT / "notebooks" / "00_start_here.ipynb"
SANITIZE = Path(__file__).parent / "nbval_sanitize.cfg"
each_notebook = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


# --- the notebooks of the course ---------------------------------------------------------------


def test_there_are_notebooks():
    assert CONTROL in SOURCES


@each_notebook
def test_a_notebook_obeys_every_rule(path):
    assert guards.notebook_problems(path) == []


@each_notebook
def test_a_notebook_has_a_number_and_a_topic(path):
    assert re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem)


def test_the_numbers_of_notebooks_are_unique():
    numbers = [path.stem[:2] for path in SOURCES]
    assert len(set(numbers)) == len(numbers)


@each_notebook
def test_the_keys_are_those_of_the_exercises(path):
    code = "\n".join(cell.source for _, cell in guards.code_cells(notebooks.read_notebook(path)))
    set_there = re.findall(r"\bset_answer\(\s*[\"'](.+?)[\"']", code)
    stored = keyring.load_keys(keyring.keys_folder() / f"{path.stem[:2]}.json")
    assert sorted(set_there) == sorted(stored)


def test_no_key_without_a_notebook():
    assert set(keyring.exercise_ids()) <= {path.stem[:2] for path in SOURCES}


def solution_lines(path):
    """Return the lines that stand in solutions and nowhere else in the code of a notebook."""
    whole = [cell.source for _, cell in guards.code_cells(notebooks.read_notebook(path))]
    outside = {line.strip() for source in whole for line in _visible(source).splitlines()}
    lines = {
        line.strip()
        for source in whole
        for block in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", source, re.DOTALL)
        for line in block.splitlines()
    }
    return sorted(line for line in lines - outside if len(line) > 3)


def _visible(source):
    return editions.student_source(source)


@each_notebook
def test_no_solution_leaks_into_the_student_edition(path):
    text = "\n".join(
        cell.source for cell in editions.student_notebook(notebooks.read_notebook(path)).cells
    )
    assert [line for line in solution_lines(path) if line in text] == []
    assert "set_answer" not in text
    assert "HIDDEN TESTS" not in text


@each_notebook
def test_no_solution_leaks_into_recall_or_slides(path):
    source = notebooks.read_notebook(path)
    recall = "\n".join(cell.source for cell in instructor.recall_notebook(source).cells)
    keys = keyring.load_keys(keyring.keys_folder() / f"{path.stem[:2]}.json")
    spoken = slides.slides_html(source, keys)
    handed_out = slides.slides_html(source, keys, notes=False)
    for line in solution_lines(path):
        assert line not in recall
        assert html.escape(line) not in spoken
        assert html.escape(line) not in handed_out
    for text in (recall, spoken, handed_out):
        assert "set_answer" not in text
        assert "BEGIN SOLUTION" not in text
    assert not re.search(r"^\d\d\.\d+: right", handed_out, re.MULTILINE)


@each_notebook
def test_the_handed_out_slides_hold_nothing_of_the_instructor_s(path):
    source = notebooks.read_notebook(path)
    notes = [cell.source for cell in source.cells if "instructor" in guards.cell_tags(cell)]
    handed_out = slides.slides_html(source, notes=False)
    assert "<aside" not in handed_out
    for note in notes:
        assert html.escape(note.splitlines()[-1][:40]) not in handed_out


@each_notebook
def test_slides_need_no_network_and_show_every_figure(path):
    source = notebooks.read_notebook(path)
    page = slides.slides_html(source)
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)[^\"']*//", page)
    assert "<script src" not in page
    assert "<link" not in page
    free = [cell for _, cell in guards.code_cells(source) if "BEGIN SOLUTION" not in cell.source]
    figures = [o for c in free for o in c.outputs if "image/png" in o.get("data", {})]
    assert page.count('<img class="figure"') == len(figures)
    assert all(alt for alt in re.findall(r'<img [^>]*alt="(.*?)"', page))


@each_notebook
def test_every_formula_of_the_slides_is_drawn(path):
    assert 'class="tex"' not in slides.slides_html(notebooks.read_notebook(path))


@each_notebook
def test_the_instructor_s_edition_has_solutions_errors_and_a_plan(path):
    source = notebooks.read_notebook(path)
    keys = keyring.load_keys(keyring.keys_folder() / f"{path.stem[:2]}.json")
    edition = instructor.instructor_notebook(source, keys)
    text = "\n".join(cell.source for cell in edition.cells)
    assert [line for line in solution_lines(path) if line not in text] == []
    assert "BEGIN HIDDEN TESTS" not in text
    for exercise, key in keys.items():
        assert f"Errors to expect in {exercise}" in text
        assert all(mistake.hint in text for mistake in key.mistakes)
    plan = schedule.lesson_plan(source)
    assert sum(part.minutes for part in plan) == schedule.stated_minutes(source)
    assert sorted(e for part in plan for e in part.exercises) == sorted(keys)


@each_notebook
def test_every_exercise_knows_two_misconceptions_with_hints_of_their_own(path):
    keys = keyring.load_keys(keyring.keys_folder() / f"{path.stem[:2]}.json")
    poor = [name for name, key in keys.items() if len({m.hint for m in key.mistakes}) < 2]
    assert poor == []


@each_notebook
def test_a_student_edition_holds_no_output(path):
    student = editions.student_notebook(notebooks.read_notebook(path))
    assert all(not cell.outputs for cell in student.cells if cell.cell_type == "code")


@each_notebook
def test_a_student_edition_with_its_solutions_pasted_back_is_the_source(path):
    source = notebooks.read_notebook(path)
    kept = [cell for cell in source.cells if "instructor" not in guards.cell_tags(cell)]
    student = editions.student_notebook(source)
    pasted = [
        paste_back(stub.source, cell.source)
        for stub, cell in zip(_code(student.cells), _code(kept), strict=True)
    ]
    assert pasted == [without_hidden(cell.source) for cell in _code(kept)]


def _code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def paste_back(stub, source):
    """Put the solutions of a source into the stub that was made of it."""
    solutions = re.findall(
        r"^([ \t]*### BEGIN SOLUTION\n.*?### END SOLUTION)", source, re.DOTALL | re.MULTILINE
    )
    for solution in solutions:
        stub = re.sub(
            r"^[ \t]*# your code here\n[ \t]*raise NotImplementedError\(.*?\)$",
            lambda _, new=solution: new,
            stub,
            count=1,
            flags=re.MULTILINE,
        )
    return stub


def without_hidden(source):
    """Take out the hidden tests alone."""
    hidden = r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS\n?"
    return re.sub(hidden, "", source, flags=re.DOTALL | re.MULTILINE).rstrip("\n")


@pytest.mark.slow
@each_notebook
def test_a_student_edition_runs_and_stops_at_its_exercises_alone(path, tmp_path):
    source = notebooks.read_notebook(path)
    student = editions.student_notebook(source)
    run = notebooks.run_cells(student, path.parent, allow_errors=["NotImplementedError"])
    for cell in _code(run.cells):
        stops = any(output.output_type == "error" for output in cell.outputs)
        assert stops is ("raise NotImplementedError(" in cell.source), cell.source


@each_notebook
def test_a_notebook_is_on_the_map_under_its_title(path):
    title = notebooks.read_notebook(path).cells[0].source.splitlines()[0]
    beside = {"00": "Start here", "20": "Extend me"}  # the beginning, and the researcher's door
    known = {**beside, **outline.course_table()["title"]}
    assert known[path.stem[:2]] in title


def test_the_map_has_every_number_once_and_no_way_back():
    import networkx as nx

    graph = outline.course_graph()
    assert list(graph.nodes) == [f"{number:02d}" for number in range(1, 20)]
    assert nx.is_directed_acyclic_graph(graph)
    assert set(outline.SHORT_COURSE) <= set(graph.nodes)


# --- the negative control ----------------------------------------------------------------------


def run_nbval(path):
    """Run nbval as the course does, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command += ["--nbval-current-env", "--nbval-sanitize-with", str(SANITIZE), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False
    )


def change_first_number(notebook):
    """Change one digit in the first output that holds a number."""
    for cell in _code(notebook.cells):
        for output in cell.outputs:
            if re.search(r"\d", output.get("text", "")):
                flip = str((int(re.search(r"\d", output.text)[0]) + 1) % 10)
                output.text = re.sub(r"\d", flip, output.text, count=1)
                return
    raise ValueError("no output holds a number")


def change_first_sentence(notebook):
    """Change one letter in the sentence of the first figure."""
    for cell in _code(notebook.cells):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.data["text/plain"] = "X" + output.data["text/plain"][1:]
                return
    raise ValueError("no figure")


def read_control():
    """Read the start of the control, up to its first exercises: enough, and quick."""
    notebook = notebooks.read_notebook(CONTROL)
    notebook.cells = notebook.cells[:15]
    return notebook


def test_nbval_accepts_the_control_as_it_is(tmp_path):
    notebooks.write_notebook(read_control(), tmp_path / CONTROL.name)
    result = run_nbval(tmp_path / CONTROL.name)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("change", [change_first_number, change_first_sentence])
def test_nbval_refuses_the_control_with_one_character_changed(change, tmp_path):
    notebook = read_control()
    change(notebook)
    notebooks.write_notebook(notebook, tmp_path / CONTROL.name)
    result = run_nbval(tmp_path / CONTROL.name)
    assert result.returncode == 1, result.stdout
    assert "Traceback" in result.stdout or "mismatch" in result.stdout
    assert re.search(r"\b1 failed\b", result.stdout)


# --- every rule can be broken ------------------------------------------------------------------

FRONT = """# A title

A promise.

**Objectives**

1. Compute a posterior.
2. Compare two models.
3. Explain a gap.

**Minutes** 60

**Prerequisites** 00

**Runs in a browser** yes"""


def good():
    """Return a small notebook that obeys all rules."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    figure = new_output(
        "display_data",
        {"image/png": "iVBORw0KGgo=", "text/plain": "Retention falls from 1.0 to 0.8."},
    )
    stream = new_output("stream", name="stdout", text="2\n")
    cells = [
        new_markdown_cell(FRONT),
        new_markdown_cell("## One idea\n\n```\n# not a heading\n```"),
        new_code_cell("print(1 + 1)", execution_count=1, outputs=[stream]),
        new_code_cell("plot()", execution_count=2, outputs=[figure]),
        new_code_cell(""),
    ]
    return notebooks.strip_metadata(new_notebook(cells=cells))


def with_source(source, **changes):
    """Return the good notebook with another first code cell."""
    notebook = good()
    notebook.cells[2].update(source=source, **changes)
    return notebook


def with_tags(*tags, reason=None):
    notebook = good()
    notebook.cells[2].metadata.update({"tags": list(tags)} | ({"reason": reason} if reason else {}))
    return notebook


def with_output(output):
    notebook = good()
    notebook.cells[2].outputs = [nbformat.from_dict(output)]
    return notebook


def with_front(old, new):
    notebook = good()
    notebook.cells[0].source = notebook.cells[0].source.replace(old, new)
    return notebook


def with_markdown(source):
    notebook = good()
    notebook.cells[1].source = source
    return notebook


def with_cells(count):
    notebook = good()
    notebook.cells = [notebook.cells[0], *[notebook.cells[1]] * (count - 1)]
    return notebook


def with_metadata(**metadata):
    notebook = good()
    notebook.metadata.update(metadata)
    return notebook


def with_cell_metadata(**metadata):
    notebook = good()
    notebook.cells[2].metadata.update(metadata)
    return notebook


PNG = {"image/png": "iVBORw0KGgo="}
BROKEN = [
    (guards.unrun_cells, with_source("print(2)", execution_count=None)),
    (guards.unrun_cells, with_source("print(2)", execution_count=7)),
    (guards.unknown_tags, with_tags("NBVAL_IGNORE_OUTPUT")),
    (guards.unknown_tags, with_tags("nbval-ignore-ouput")),
    (guards.unknown_roles, with_cell_metadata(slideshow={"slide_type": "subslide"})),
    (guards.unchecked_cells, with_tags("nbval-skip", reason="half of the cells")),
    (guards.unchecked_cells, with_tags("nbval-ignore-output")),
    (guards.missing_exceptions, with_tags("raises-exception")),
    (guards.forbidden_code, with_source("ax.plot(x);")),
    (guards.forbidden_code, with_source("ax.plot(x);  # a comment")),
    (guards.forbidden_code, with_source("x = 1  # NBVAL_IGNORE_OUTPUT")),
    (guards.forbidden_code, with_source("%time fit()")),
    (guards.forbidden_code, with_source("from tqdm import tqdm")),
    (guards.forbidden_code, with_source("clear_output()")),
    (guards.forbidden_code, with_source("!pip install crmlab")),
    (guards.forbidden_code, with_source("pd.read_csv('https://example.org/x.csv')")),
    (guards.forbidden_code, with_source("trace = pm.sample(10)")),
    (guards.forbidden_code, with_source("np.random.seed(1)")),
    (guards.forbidden_code, with_source("set_matplotlib_formats('retina')")),
    (guards.machine_paths, with_source("open('/home/ana/x.csv')")),
    (guards.machine_paths, with_source(r"open('C:\data')")),
    (
        guards.machine_paths,
        with_output({"output_type": "stream", "name": "stdout", "text": "saved /tmp/x.csv"}),
    ),
    (
        guards.stored_warnings,
        with_output({"output_type": "stream", "name": "stderr", "text": "a warning"}),
    ),
    (
        guards.stored_warnings,
        with_output(
            {"output_type": "display_data", "data": {"image/svg+xml": "<svg/>"}, "metadata": {}}
        ),
    ),
    (guards.size, with_source("\n".join(["x = 1"] * 26))),
    (guards.size, with_cells(41)),
    (guards.headings, with_markdown("# A second title")),
    (guards.headings, with_markdown("### A level is skipped")),
    (guards.headings, with_front("# A title", "## A title")),
    (guards.front_matter, with_front("**Minutes**", "Minutes")),
    (guards.front_matter, with_front("**Minutes** 60", "**Minutes** about an hour")),
    (guards.front_matter, with_front("**Prerequisites**", "Needs")),
    (guards.front_matter, with_front("2. Compare two models.\n3. Explain a gap.\n", "")),
    (guards.front_matter, with_front("# A title", "A title")),
    (
        guards.figure_sentences,
        with_output({"output_type": "display_data", "data": PNG, "metadata": {}}),
    ),
    (
        guards.figure_sentences,
        with_output(
            {
                "output_type": "display_data",
                "data": {**PNG, "text/plain": "<Figure size 640x480 with 1 Axes>"},
                "metadata": {},
            }
        ),
    ),
    (guards.traces, with_metadata(kernelspec={"name": "mine", "display_name": "mine"})),
    (guards.traces, with_metadata(language_info={"name": "python", "version": "3.13.1"})),
    (guards.traces, with_metadata(widgets={})),
    (guards.traces, with_cell_metadata(execution={"iopub.status.busy": "2026-01-01"})),
    (guards.exercises, with_source("### BEGIN SOLUTION\nx = 1")),
    (guards.exercises, with_source("### BEGIN HIDDEN TESTS\nset_answer('1.1', 1)\n### END TESTS")),
    (guards.exercises, with_source("### begin solution\nx = 1\n### end solution")),
    (guards.exercises, with_source("crm.set_answer('99.1', 1)\ncrm.check('99.1', 1)")),
    (
        guards.exercises,
        with_source("### BEGIN HIDDEN TESTS\ncrm.set_answer('99.1', 1)\n### END HIDDEN TESTS"),
    ),
]


@pytest.mark.parametrize("rule", guards.RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_breaks_no_rule(rule):
    assert rule(good()) == []


@pytest.mark.parametrize(("rule", "notebook"), BROKEN)
def test_a_broken_rule_is_found(rule, notebook):
    assert rule(notebook) != []


def test_every_rule_has_a_notebook_that_breaks_it():
    assert {rule for rule, _ in BROKEN} == set(guards.RULES)


def test_a_raising_cell_that_holds_its_error_is_fine():
    notebook = with_tags("raises-exception")
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    notebook.cells[2].outputs = [nbformat.from_dict(error)]
    assert guards.missing_exceptions(notebook) == []


def test_one_unchecked_cell_in_twenty_is_allowed_if_it_says_why():
    notebook = with_tags("nbval-ignore-output", reason="the time of day")
    notebook.cells += [notebook.cells[3]] * 18
    assert guards.unchecked_cells(notebook) == []


def test_hidden_tests_do_not_count_as_lines():
    hidden = "### BEGIN HIDDEN TESTS\n" + "x = 1\n" * 30 + "### END HIDDEN TESTS\n"
    assert guards.size(with_source(hidden + "x = 1")) == []


def test_a_large_file_is_refused(tmp_path):
    notebook = with_output({"output_type": "stream", "name": "stdout", "text": "x" * 1_000_000})
    notebooks.write_notebook(notebook, tmp_path / "99_large.ipynb")
    assert any(
        "bytes" in problem for problem in guards.notebook_problems(tmp_path / "99_large.ipynb")
    )


def test_a_link_to_nowhere_is_found(tmp_path):
    (tmp_path / "98_there.ipynb").touch()
    links = "[a](98_there.ipynb#part) [b](https://example.org) [c](97_missing.ipynb)"
    notebooks.write_notebook(with_markdown(links), tmp_path / "99_x.ipynb")
    found = guards.notebook_problems(tmp_path / "99_x.ipynb")
    assert found == ["a link to 97_missing.ipynb, which does not exist"]


def test_the_command_lists_problems_with_their_file(tmp_path, capsys):
    notebooks.write_notebook(with_source("x = 1;"), tmp_path / "99_x.ipynb")
    assert guards.main([str(tmp_path / "99_x.ipynb")]) == 1
    assert "99_x.ipynb: cell 3: a trailing ';'" in capsys.readouterr().out


def test_the_sanitize_file_is_ascii_and_touches_no_plain_number():
    import configparser

    config = configparser.RawConfigParser()
    config.read_string(SANITIZE.read_bytes().decode("ascii"))
    text = "mean 0.4423 of 1,234 customers in T_1, 45 % and 1e-05"
    for name in config.sections():
        assert re.sub(config[name]["regex"], config[name]["replace"], text) == text
