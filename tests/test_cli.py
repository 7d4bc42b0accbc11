"""The commands: what they accept, what they say, what they start, and with which exit code."""

import os
import pickle
import re
import shutil
import subprocess
import sys
import types
from functools import partial
from pathlib import Path

import pytest

from crmlab import __main__ as entry
from crmlab.cli import commands, doctor, environment, lab, notebooks, suite, upkeep, warm
from crmlab.cli.doctor import Finding
from crmlab.cli.environment import PROJECT, Project
from crmlab.cli.suite import Outcome

NAMES = [command.name for command in commands.COMMANDS]
OF_THE_ANALYST = {command.name for command in commands.COMMANDS if command.explains_itself}
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="no make on this computer")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*NAMES} - OF_THE_ANALYST))
def test_every_command_teaches(name, capsys):
    with pytest.raises(SystemExit) as left:
        commands.parse([name, "--help"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert len(said.split()) > 20


@pytest.mark.parametrize("name", sorted(OF_THE_ANALYST))
def test_a_command_of_the_analyst_gets_all_of_its_words(name):
    words = ["orders.csv", "--customer", "id", "--help"]
    assert commands.parse([name, *words]).others == words


def test_the_list_of_commands_names_each(capsys):
    with pytest.raises(SystemExit):
        commands.parse(["--help"])
    said = capsys.readouterr().out
    assert [name for name in NAMES if f"\n    {name} " not in said] == []


def test_lab_hands_on_what_it_does_not_know():
    options = commands.parse(["lab", "--source", "--", "--no-browser", "--port", "9000"])
    assert options.source
    assert options.others == ["--no-browser", "--port", "9000"]


def test_other_commands_refuse_what_they_do_not_know(capsys):
    with pytest.raises(SystemExit) as left:
        commands.parse(["test", "--fast"])
    assert left.value.code == 2
    assert "test has no option --fast" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--here", "lint"], ["lint", "--here"]])
def test_here_may_stand_on_either_side(words):
    assert commands.parse(words).here


def test_an_old_python_is_told_what_is_needed(monkeypatch):
    monkeypatch.setattr(entry.sys, "version_info", (3, 11, 7, "final", 0))
    with pytest.raises(SystemExit) as left:
        entry.main(["lab"])
    assert "needs Python 3.12 or newer" in left.value.code
    assert "this is 3.11.7" in left.value.code
    assert "\n" not in left.value.code


@pytest.fixture
def dispatch(monkeypatch):
    """Run a command line with everything that would start a process recorded instead."""
    seen = []
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(environment, "ensure", lambda _, *, warm: seen.append(("ensure", warm)))
    monkeypatch.setattr(
        environment, "hand_over", lambda command, _: seen.append(("moved", *command[3:])) or 7
    )
    monkeypatch.setattr(environment, "is_inside", lambda _: False)
    monkeypatch.setattr(Project, "python", property(lambda _: Path(sys.executable)))
    return seen


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["test", "--only", "code"], [("ensure", True), ("moved", "test", "--only", "code")]),
        (["lint"], [("ensure", False), ("moved", "lint")]),
        (["doctor"], [("moved", "doctor")]),  # looks, and makes nothing
    ],
)
def test_commands_make_what_they_need_and_go_on_in_the_project_s_python(dispatch, words, steps):
    assert commands.run_command(words) == 7
    assert dispatch == steps


def test_inside_the_environment_the_command_runs_with_the_project_s_variables(
    dispatch, monkeypatch
):
    monkeypatch.setattr(environment, "is_inside", lambda _: True)
    monkeypatch.setattr(upkeep, "lint", lambda _: int("NUMBA_CACHE_DIR" not in os.environ))
    monkeypatch.delitem(os.environ, "NUMBA_CACHE_DIR", raising=False)
    assert commands.run_command(["lint"]) == 0
    assert dispatch == [("ensure", False)]


def test_here_makes_nothing(dispatch, monkeypatch):
    monkeypatch.setattr(upkeep, "lint", lambda _: 3)
    assert commands.run_command(["lint", "--here"]) == 3
    assert dispatch == []


def test_a_set_up_that_fails_is_explained_in_words(dispatch, monkeypatch):
    def fail(*_, **__):
        raise environment.SetUpError("no package index was reached")

    monkeypatch.setattr(environment, "ensure", fail)
    with pytest.raises(SystemExit, match="crmlab: no package index was reached"):
        commands.run_command(["lab"])


def test_demo_writes_where_it_says(dispatch, monkeypatch, project, capsys):
    report = types.ModuleType("crmlab.demo")
    report.write_demo = lambda folder: write(folder / "report.html", "demo")
    monkeypatch.setitem(sys.modules, "crmlab.demo", report)
    monkeypatch.setattr(commands, "PROJECT", project)
    assert commands.run_command(["demo", "--here"]) == 0
    assert (project.root / "build" / "demo" / "report.html").read_text() == "demo"
    assert str(project.root / "build" / "demo") in capsys.readouterr().out


# --- make ---------------------------------------------------------------------------------------


def targets() -> dict[str, str]:
    """Targets of the Makefile with their one line of help."""
    text = (PROJECT.root / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z-]+):(?: ##)?(.*)$", text, flags=re.MULTILINE))


def test_make_and_python_offer_the_same_commands():
    assert sorted(targets()) == sorted(({*NAMES} - OF_THE_ANALYST) | {"help"})
    assert [name for name, line in targets().items() if not line.strip()] == []


@needs_make
def test_make_help_lists_every_target():
    said = subprocess.run(
        ["make", "help"], cwd=PROJECT.root, capture_output=True, text=True, check=True
    ).stdout
    assert [name for name in targets() if f"\n  {name} " not in said] == []


@pytest.fixture
def empty_machine(tmp_path):
    """A folder with the Makefile, a package that echoes, and no Python to be found."""
    shutil.copy(PROJECT.root / "Makefile", tmp_path)
    write(tmp_path / ".python-version", "3.13\n")
    write(tmp_path / "crmlab" / "__init__.py")
    echo = "import os, sys\nprint(os.environ['WHO'], *sys.argv[1:])\n"
    write(tmp_path / "crmlab" / "__main__.py", echo)
    (tmp_path / "bin").mkdir()
    for tool in ("cat", "make"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def install(machine: Path, name: str, *, works: bool = True) -> Path:
    """Put a Python on the machine: a real one, or the kind that only prints an error."""
    real = f'export WHO="{name}"\nexec "{sys.executable}" -B "$@"'
    broken = f'echo "{name}: command not found" >&2; exit 127'
    path = write(machine / "bin" / name, f"#!/bin/sh\n{real if works else broken}\n")
    path.chmod(0o755)
    return path


def run_make(machine: Path, *words: str) -> subprocess.CompletedProcess:
    alone = {"PATH": str(machine / "bin"), "HOME": str(machine)}
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=machine, env=alone, capture_output=True, text=True, check=False,
    )  # fmt: skip


@needs_make
def test_make_prefers_the_version_of_the_project(empty_machine):
    for name in ("python3", "python3.12", "python3.13"):
        install(empty_machine, name)
    assert run_make(empty_machine, "doctor").stdout == "python3.13 doctor\n"


@needs_make
def test_make_passes_over_commands_that_only_exist(empty_machine):
    install(empty_machine, "python3.13", works=False)
    install(empty_machine, "python3.12")
    assert run_make(empty_machine, "doctor").stdout == "python3.12 doctor\n"


@needs_make
def test_make_finds_a_version_behind_a_broken_shim(empty_machine):
    """pyenv: the command on the path fails, and the installed version stands beside it."""
    install(empty_machine, "python3.13", works=False)
    real = install(empty_machine, "real")
    hidden = empty_machine / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3.13"
    hidden.parent.mkdir(parents=True)
    hidden.symlink_to(real)
    assert run_make(empty_machine, "doctor").stdout == "real doctor\n"


@needs_make
def test_make_takes_the_python_that_is_named(empty_machine):
    install(empty_machine, "python3.13")
    mine = install(empty_machine, "my python")
    assert run_make(empty_machine, "doctor", f"PYTHON={mine}").stdout == "my python doctor\n"


@needs_make
@pytest.mark.parametrize("words", [["lab"], ["lab", "PYTHON=python3.11"]])
def test_make_says_in_one_line_what_is_needed(empty_machine, words):
    install(empty_machine, "python3", works=False)
    ended = run_make(empty_machine, *words)
    said = [line for line in ended.stderr.splitlines() if not line.startswith("make:")]
    assert ended.returncode != 0
    assert len(said) == 1
    assert "needs Python 3.12 or newer" in said[0]


@needs_make
@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["lab"], "lab"),
        (["lab", "SOURCE=1", "LAB_ARGS=--a --port 9"], "lab --source -- --a --port 9"),
        (["test", "ONLY=notebooks", "JOBS=1"], "test --only notebooks --jobs 1"),
        (["notebooks", "N=03"], "notebooks 03"),
        (["clean", "ALL=1"], "clean --all"),
        (["setup", "AGAIN=1"], "setup --again"),
        (["lock", "UPGRADE=1"], "lock --upgrade"),
    ],
)  # fmt: skip
def test_make_passes_its_variables_on(empty_machine, words, passed):
    install(empty_machine, "python3.13")
    assert run_make(empty_machine, *words).stdout == f"python3.13 {passed}\n"
    assert commands.parse(passed.split())  # and the command understands them


# --- the lab ------------------------------------------------------------------------------------


def test_jupyter_understands_to_ask_nobody(tmp_path):
    """Fed to JupyterLab's own reader of options: an option it drops would be an open door."""
    from jupyterlab import NeverCheckForUpdate
    from jupyterlab.labapp import LabApp

    options = [word for word in lab.lab_command(tmp_path, []) if word.startswith("--LabApp")]
    app = LabApp()
    app.parse_command_line(options)
    assert app.news_url is None
    assert app.check_for_updates_class is NeverCheckForUpdate
    assert app.extension_manager == "readonly"


def test_lab_command_ends_with_the_reader_s_options(tmp_path):
    command = lab.lab_command(tmp_path, ["--port", "9000"])
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert command[-2:] == ["--port", "9000"]
    assert not any("token" in word or "password" in word for word in command)


@pytest.mark.parametrize(("source", "folder"), [(True, "notebooks"), (False, "learn")])
def test_lab_opens_the_student_edition_unless_asked(project, monkeypatch, source, folder):
    opened = []
    monkeypatch.setattr(lab, "hand_over", lambda command, _: opened.append(command) or 0)
    write(project.root / "notebooks" / "notes.txt", "data")
    assert lab.open_lab(project, source=source, jupyter_options=[]) == 0
    assert f"--ServerApp.root_dir={project.root / folder}" in opened[0]
    assert (project.root / "learn" / "notes.txt").exists() != source


# --- the suite ----------------------------------------------------------------------------------


def test_notebooks_are_checked_strictly(project):
    command = " ".join(suite.notebook_command(project, Path("notebooks/01_a.ipynb")))
    for option in ("--nbval ", "--nbval-current-env", "--nbval-cell-timeout 120", "addopts= "):
        assert option in command
    assert "lax" not in command


@pytest.mark.parametrize(
    ("code", "notebook", "only", "expected"),
    [(0, 0, None, 0), (1, 0, None, 1), (0, 1, None, 1), (0, 1, "code", 0), (1, 0, "notebooks", 0)],
)
def test_the_suite_passes_only_if_all_of_it_does(
    project, monkeypatch, capsys, code, notebook, only, expected
):
    write(project.root / "notebooks" / "01_a.ipynb")
    closing = "= 3 passed in 0.1s ="
    monkeypatch.setattr(suite, "run_code_tests", lambda *_: Outcome("code", code, 1.0, closing))
    monkeypatch.setattr(
        suite, "run_notebook", lambda _, path: Outcome(path.stem, notebook, 2.0, closing)
    )
    assert suite.run_suite(project, only=only, jobs=1) == expected
    *_, last_part, verdict = capsys.readouterr().out.strip().splitlines()
    assert "3 passed in 0.1s" in last_part
    assert verdict == ("All passed." if expected == 0 else verdict)
    assert ("FAILED" in verdict) == bool(expected)


def test_a_suite_of_nothing_does_not_pass(project):
    assert suite.run_suite(project, only="notebooks", jobs=1) == 1


def test_code_tests_report_pytest_s_own_verdict(project, capfd):
    write(project.root / "test_two.py", "def test_a(): pass\ndef test_b(): assert 0\n")
    outcome = suite.run_code_tests(project, 1)
    assert outcome.exit_code == 1
    assert outcome.closing_line.startswith("1 failed, 1 passed in ")
    assert outcome.closing_line in capfd.readouterr().out


def test_notebooks_come_in_order_and_by_number(project):
    for name in ("02_b.ipynb", "01_a.ipynb", "notes.txt"):
        write(project.root / name)
    assert [p.stem for p in suite.find_notebooks(project.root)] == ["01_a", "02_b"]
    assert [p.stem for p in suite.find_notebooks(project.root, "02")] == ["02_b"]


NOTEBOOK = """{"cells": [{"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {},
 "outputs": [{"name": "stdout", "output_type": "stream", "text": ["%s\\n"]}],
 "source": ["print(1 + 1)"]}],
 "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
 "nbformat": 4, "nbformat_minor": 5}"""


@pytest.mark.parametrize(("stored", "exit_code"), [("2", 0), ("3", 1)])
def test_a_stored_output_that_differs_fails(project, stored, exit_code):
    """The real thing, and its negative control: one stored digit is changed."""
    write(project.root / "tests" / "nbval_sanitize.cfg", "[none]\nregex: x\nreplace: x\n")
    path = write(project.root / "notebooks" / "01_a.ipynb", NOTEBOOK % stored)
    outcome = suite.run_notebook(project, path)
    assert outcome.exit_code == exit_code, outcome.output


# --- notebooks ----------------------------------------------------------------------------------


def test_notebooks_are_executed_one_by_one(project, monkeypatch, capsys):
    from nbclient.exceptions import CellTimeoutError

    def execute(path, *, seconds_per_cell):
        if path.stem == "02_b":
            raise CellTimeoutError("too long")

    monkeypatch.setattr("crmlab.course.notebooks.execute_notebook", execute)
    for name in ("01_a", "02_b", "03_c"):
        write(project.root / "notebooks" / f"{name}.ipynb")
    assert notebooks.execute_notebooks(project, number="03") == 0
    assert notebooks.execute_notebooks(project) == 1
    said = capsys.readouterr().out
    assert "STOPPED 02_b.ipynb" in said
    assert said.count("03_c.ipynb") == 2  # one that stops does not keep the others back


def test_a_number_without_a_notebook_is_an_error(project, capsys):
    assert notebooks.execute_notebooks(project, number="99") == 1
    assert "has no notebook 99" in capsys.readouterr().out


# --- the doctor ---------------------------------------------------------------------------------


def test_a_check_that_breaks_is_a_finding(project, monkeypatch, capsys):
    def check_something(_):
        raise ImportError("no module named 'pymc'")

    monkeypatch.setattr(doctor, "CHECKS", (check_something, lambda _: Finding("sky", "blue")))
    assert doctor.examine(project) == 1
    said = capsys.readouterr().out
    assert "OFF  something: ImportError: no module named 'pymc'\n     -> run `make setup`" in said
    assert "ok   sky: blue" in said
    assert "1 of 2 are off." in said


def test_doctor_is_content_when_all_is_well(project, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", (lambda _: Finding("sky", "blue"),))
    assert doctor.examine(project) == 0
    assert capsys.readouterr().out.endswith("All is well.\n")


def test_doctor_without_packages_asks_for_the_set_up_only():
    script = (
        f"import sys; sys.path.insert(0, {str(PROJECT.root)!r})\n"
        "from crmlab.cli import doctor; from crmlab.cli.environment import Project, Path\n"
        "sys.exit(doctor.examine(Project(Path('nowhere'))))"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stdout.count("OFF") == ran.stdout.count("make setup") == 1


def test_doctor_compares_versions_with_the_lock(project):
    import numpy as np

    project.lock.write_text(f"numpy=={np.__version__} \\\nother==1 ; sys_platform == 'vms' \\\n")
    assert not doctor.check_packages(project).advice
    project.lock.write_text("numpy==0.0.1 \\\nno-such-package==1 \\\n")
    finding = doctor.check_packages(project)
    assert f"numpy {np.__version__} (lock: 0.0.1)" in finding.seen
    assert "no-such-package is missing (lock: 1)" in finding.seen
    assert "make setup" in finding.advice


def test_doctor_misses_cache_and_notebooks(project):
    assert doctor.check_cache(project).advice
    assert doctor.check_notebooks(project).advice
    write(project.root / "notebooks" / "01_a.ipynb")
    assert not doctor.check_notebooks(project).advice


def test_doctor_fits_in_closed_form(project):
    finding = doctor.check_exact_fit(project)
    assert not finding.advice, finding


# --- the compile cache --------------------------------------------------------------------------


def fail():
    raise ValueError("no such prior")


def test_a_kind_that_fails_does_not_stop_the_others(capsys):
    compiled = []
    kinds = (("one", fail), ("two", partial(compiled.append, 2)))
    assert warm.warm_cache(kinds, workers=1) == 1
    assert compiled == [2]
    said = capsys.readouterr().out
    assert "one: ValueError: no such prior" in said
    assert "two: 0 s" in said


def test_kinds_are_compiled_side_by_side(capfd):
    kinds = (("here", partial(print, "compiled")), ("there", partial(print, "compiled")))
    assert warm.warm_cache(kinds, workers=2) == 0
    assert capfd.readouterr().out.count("compiled") == 2


def test_every_kind_can_be_sent_to_another_process():
    assert [label for label, kind in warm.KINDS if pickle.loads(pickle.dumps(kind)) is None] == []


@pytest.mark.parametrize(
    "channels", [["visits"], ["visits", "reply", "spend"], ["survey", "stage"]], ids="+".join
)
def test_models_that_are_warmed_can_read_their_panels(channels):
    space = warm.make_space()
    model = warm.make_hidden_model(space, *channels)
    model.check(warm.make_panel(space, *channels))


# --- house-keeping ------------------------------------------------------------------------------


def test_clean_keeps_the_learner_s_work_and_what_is_slow(project):
    for name in ("build/x", "crmlab/__pycache__/x", ".pytest_cache/x", ".hypothesis/x",
                 "learn/01.ipynb", "learn/__pycache__/x", ".cache/x", ".venv/x"):  # fmt: skip
        write(project.root / name)
    upkeep.clean(project, everything=False)
    left = {p.relative_to(project.root).as_posix() for p in project.root.rglob("*") if p.is_file()}
    assert left == {"learn/01.ipynb", "learn/__pycache__/x", ".cache/x", ".venv/x"}
    upkeep.clean(project, everything=True)
    left = {p.relative_to(project.root).as_posix() for p in project.root.rglob("*") if p.is_file()}
    assert left == {"learn/01.ipynb", "learn/__pycache__/x"}


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2)])
def test_lint_asks_for_style_and_types_and_hides_neither(project, monkeypatch, codes):
    ran = []

    def run(command, **_):
        ran.append(command[2])
        return subprocess.CompletedProcess(command, codes[len(ran) - 1])

    monkeypatch.setattr(upkeep.subprocess, "run", run)
    assert upkeep.lint(project) == max(codes)
    assert ran == ["ruff", "mypy"]


def test_lock_follows_pip_s_index_and_writes_none_of_it():
    settings = {
        "global.index-url": "file:///of-the-file",
        ":env:.index-url": "file:///of-the-shell",
        "global.cert": "/certificates.pem",
        "global.extra-index-url": "file:///partial",
    }
    assert upkeep.index_variables(settings) == {
        "UV_DEFAULT_INDEX": "file:///of-the-shell",
        "SSL_CERT_FILE": "/certificates.pem",
    }
    assert "--no-emit-index-url" in upkeep.lock_command(Path("x"))


def test_a_lock_that_cannot_be_resolved_leaves_the_old_one(project, monkeypatch):
    project.lock.write_text("old\n")
    codes = iter([0, 1])  # the tool installs, the resolution fails
    monkeypatch.setattr(upkeep, "pip_settings", dict)
    monkeypatch.setattr(
        upkeep.subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, next(codes))
    )
    assert upkeep.write_lock(project, upgrade=False) == 1
    assert [p.name for p in project.root.iterdir()] == ["requirements.lock"]
    assert project.lock.read_text() == "old\n"
