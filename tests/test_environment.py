"""The environment: three files that must say the same, and a set-up that repairs itself.

Nothing here reaches a network: a lock without packages is installed for real, and what real
packages ask for is read from those that run this test.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crmlab.cli import environment
from crmlab.cli.environment import EXTRAS, PROJECT, Project, project_variables
from crmlab.cli.upkeep import read_lock

ROOT = PROJECT.root
HOMES = [pytest.param(PROJECT, id="course"), pytest.param(EXTRAS, id="extras")]
PYTHONS = ("3.12", "3.13")
SYSTEMS = {
    "linux": {"os_name": "posix", "platform_system": "Linux"},
    "darwin": {"os_name": "posix", "platform_system": "Darwin"},
    "win32": {"os_name": "nt", "platform_system": "Windows"},
}
ONLY_IN_CONDA = {"python", "pip"}
NAME_IN_CONDA = {"ibis-duckdb": "ibis-framework"}  # conda names a package with its extra


def declared(*, extras: bool = False) -> dict[str, Requirement]:
    """What pyproject.toml asks for: the package, and all groups but the extras, or those alone."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = settings["dependency-groups"]
    lines = list(settings["project"]["dependencies"])
    lines += [line for name in groups if (name == "extras") == extras for line in groups[name]]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def in_conda_file(text: str) -> dict[str, Requirement]:
    """What environment.yml asks for; every line below `dependencies:` must be readable."""
    lines = [line.split("#")[0].strip() for line in text.split("dependencies:")[1].splitlines()]
    found = [Requirement(line.removeprefix("- ")) for line in lines if line]
    return {NAME_IN_CONDA.get(r.name, canonicalize_name(r.name)): r for r in found}


def differences(project: dict[str, Requirement], conda: dict[str, Requirement]) -> list[str]:
    """Say where two declarations differ, package by package."""
    names = sorted((project.keys() | conda.keys()) - ONLY_IN_CONDA)
    pairs = [(name, project.get(name), conda.get(name)) for name in names]
    return [
        f"{name}: {ours and ours.specifier} for pip, {theirs and theirs.specifier} for conda"
        for name, ours, theirs in pairs
        if ours is None or theirs is None or ours.specifier != theirs.specifier
    ]


# --- three files, one truth ---------------------------------------------------------------------


def test_conda_file_says_the_same_as_pyproject():
    conda = in_conda_file((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert differences(declared(), conda) == []
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert str(conda["python"].specifier) == settings["project"]["requires-python"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("pandas>=3.0,<4", "pandas>=3.0"), ("  - nbval>=0.11\n", ""), ("pymc", "pymcx")],
)
def test_a_planted_difference_is_found(old, new):
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert old in text
    assert differences(declared(), in_conda_file(text.replace(old, new))) != []


def locked(home: Project = PROJECT) -> dict[str, tuple[str, str]]:
    return read_lock(home.lock.read_text(encoding="utf-8"))


@pytest.mark.parametrize("home", HOMES)
def test_lock_holds_every_declared_package_within_its_bounds(home):
    pins = locked(home)
    outside = [
        f"{requirement} but {pins.get(name, ('nothing',))[0]} is locked"
        for name, requirement in declared(extras=home.has_extras).items()
        if not requirement.specifier.contains(pins.get(name, ("0",))[0])
    ]
    assert outside == []


def lock_entries(text: str) -> dict[str, list[str]]:
    """Split a lock into packages and their hashes."""
    entries: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line[:1].isalnum():
            entries[line.split("==")[0]] = name_hashes = []
        elif "--hash=" in line:
            name_hashes += re.findall(r"--hash=sha256:([0-9a-f]{64})(?:\s|$)", line)
    return entries


@pytest.mark.parametrize("home", HOMES)
def test_every_locked_package_has_hashes(home):
    entries = lock_entries(home.lock.read_text(encoding="utf-8"))
    assert entries.keys() == locked(home).keys()
    assert [name for name, hashes in entries.items() if not hashes] == []
    assert lock_entries("a==1 \\\n    --hash=sha256:12\n") == {"a": []}  # a short hash is none


@pytest.mark.parametrize("home", HOMES)
def test_lock_names_no_host_and_no_address(home):
    text = home.lock.read_text(encoding="utf-8")
    assert re.findall(r"\w+://|--\w*(?:index|links)\S*|\S+\.(?:org|com|io|net)\b| @ ", text) == []


def markers(python: str, system: str) -> dict[str, str]:
    given = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": system}
    return {**default_environment(), **SYSTEMS[system], **given}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_lock_is_complete_for(python, system):
    """Walk from the declared packages through what each installed one asks for."""
    marked = markers(python, system)
    pins = {
        name: version
        for name, (version, marker) in locked().items()
        if not marker or Requirement(f"x; {marker}").marker.evaluate(marked)
    }
    waiting, seen, problems = list(declared().values()), set(), []
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if not wanted.specifier.contains(pins.get(name, "0"), prereleases=True):
            problems.append(f"{wanted}: {pins.get(name, 'nothing')} is locked")
        if (name, frozenset(wanted.extras)) not in seen:
            seen.add((name, frozenset(wanted.extras)))
            waiting += asked_for_by(wanted, marked)
    assert problems == []
    assert len(seen) > 100  # the walk did leave the first packages


def asked_for_by(wanted: Requirement, marked: dict[str, str]) -> list[Requirement]:
    try:
        lines = metadata.requires(wanted.name) or []
    except metadata.PackageNotFoundError:  # a package for another system is not installed here
        return []
    extras = ["", *wanted.extras]
    return [
        requirement
        for requirement in map(Requirement, lines)
        if requirement.marker is None
        or any(requirement.marker.evaluate({**marked, "extra": extra}) for extra in extras)
    ]


def test_preferred_python_is_one_that_the_lock_covers():
    assert (ROOT / ".python-version").read_text().strip() in PYTHONS


# --- what every child process sees --------------------------------------------------------------


def test_variables_send_compiled_code_into_the_project(tmp_path):
    variables = project_variables(Project(tmp_path), {})
    assert variables["NUMBA_CACHE_DIR"] == str(tmp_path / ".cache" / "numba")
    assert str(tmp_path / ".cache" / "pytensor") in variables["PYTENSOR_FLAGS"]


@pytest.mark.parametrize("folder", ["plain", "two words", "a,b", "it's # odd"])
def test_flags_survive_odd_folder_names(tmp_path, folder):
    from pytensor.configparser import parse_config_string

    project = Project(tmp_path / folder)
    variables = project_variables(project, {"PYTENSOR_FLAGS": "floatX=float64,base_compiledir=old"})
    flags = parse_config_string(variables["PYTENSOR_FLAGS"])
    place = str(project.cache / "pytensor")
    assert flags == {"cxx": "", "floatX": "float64", "base_compiledir": place}


@pytest.mark.parametrize("given", ["", "cxx=", "cxx=/usr/bin/g++,floatX=float64"])
def test_no_compiler_is_used_unless_it_is_named(tmp_path, given):
    from pytensor.configparser import parse_config_string

    once = project_variables(Project(tmp_path), {"PYTENSOR_FLAGS": given})
    twice = project_variables(Project(tmp_path), once)
    expected = parse_config_string(given).get("cxx", "")
    assert parse_config_string(twice["PYTENSOR_FLAGS"])["cxx"] == expected
    assert twice == once


def test_variables_keep_what_is_given_and_do_not_grow(tmp_path):
    given = {"PATH": "p", "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "4"}
    once = project_variables(Project(tmp_path), given)
    assert (once["PATH"], once["OPENBLAS_NUM_THREADS"]) == ("p", "4")
    assert "PYTHONDONTWRITEBYTECODE" not in once
    assert project_variables(Project(tmp_path), once) == once
    assert given["PYTHONDONTWRITEBYTECODE"] == "1"


# --- set-up -------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path):
    """A clone whose lock asks for nothing, so that it can be set up for real without a network."""
    project = Project(tmp_path / "a clone")
    project.root.mkdir()
    project.lock.write_text("# no packages\n")
    (project.root / "crmlab").mkdir()
    (project.root / "crmlab" / "__init__.py").write_text("")
    (project.root / "crmlab" / "models" / "kernel").mkdir(parents=True)
    (project.root / "crmlab" / "models" / "kernel" / "op.py").write_text("first")
    return project


@pytest.fixture
def made(clone):
    """The same with a `.venv` that looks finished, made by hand in no time."""
    clone.python.parent.mkdir(parents=True)
    clone.python.symlink_to(sys.executable)
    (clone.venv / "pyvenv.cfg").write_text("home = somewhere\nversion = 3.13.0\n")
    clone.packages_stamp.write_text(environment.packages_key(clone, "3.13.0"))
    return clone


@pytest.fixture
def steps(monkeypatch):
    """Record the steps of a set-up instead of taking them."""
    taken = []
    for name in ("_make_venv", "_install_packages", "_make_importable", "_compile_bytecode"):
        monkeypatch.setattr(environment, name, lambda *_, name=name: taken.append(name))
    monkeypatch.setattr(environment, "_is_usable", lambda project: True)
    monkeypatch.delenv("PYTHON", raising=False)
    return taken


def test_what_stands_is_left_alone(made, steps):
    environment.ensure(made, warm=False)
    assert steps == []


@pytest.mark.parametrize("change", ["the lock", "the stamp", "another Python", "it was cut short"])
def test_what_changed_is_made_again(made, steps, change):
    if change == "the lock":
        made.lock.write_text("# other packages\n")
    elif change == "the stamp":
        made.packages_stamp.unlink()
    elif change == "another Python":
        (made.venv / "pyvenv.cfg").write_text("version = 3.12.1\n")
    else:
        made.unfinished.write_text("")
    assert not environment.is_installed(made)
    environment.ensure(made, warm=False)
    assert ("_make_venv" in steps) == (change == "it was cut short")  # only then from nothing
    assert steps[-3:] == ["_install_packages", "_make_importable", "_compile_bytecode"]
    assert environment.is_installed(made)
    assert not made.unfinished.exists()


def test_a_set_up_that_fails_leaves_its_mark(made, steps, monkeypatch):
    def break_off(*_):
        raise environment.SetUpError("the cable was pulled")

    made.packages_stamp.unlink()
    monkeypatch.setattr(environment, "_install_packages", break_off)
    with pytest.raises(environment.SetUpError, match="cable"):
        environment.ensure(made, warm=False)
    assert made.unfinished.exists()
    assert not environment.is_installed(made)


def test_asking_for_another_python_makes_it_again(made, monkeypatch):
    (made.venv / "pyvenv.cfg").write_text("version = 3.99.0\n")
    made.packages_stamp.write_text(environment.packages_key(made, "3.99.0"))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)  # as if run by a Python outside .venv
    monkeypatch.delenv("PYTHON", raising=False)
    assert environment.is_installed(made)
    monkeypatch.setenv("PYTHON", "python3.13")
    assert not environment.is_installed(made)


def test_kernels_that_changed_are_compiled_again(made, steps, monkeypatch):
    warmed = []
    fine = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: warmed.append(1) or fine)
    environment.ensure(made, warm=True)
    environment.ensure(made, warm=True)
    assert (len(warmed), environment.is_warm(made)) == (1, True)
    (made.root / "crmlab" / "models" / "kernel" / "op.py").write_text("second")
    environment.ensure(made, warm=True)
    assert (len(warmed), steps) == (2, [])


def test_models_that_do_not_compile_stop_nobody(made, steps, monkeypatch):
    broken = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: broken)
    assert environment.set_up(made, warm=True) is False
    assert not environment.is_warm(made)


def test_outside_a_clone_it_says_what_to_do(tmp_path):
    with pytest.raises(environment.SetUpError, match="--here"):
        environment.ensure(Project(tmp_path), warm=False)


def test_a_real_set_up_from_nothing(clone, monkeypatch, capsys):
    """A lock without packages: everything but the index is real, also a folder that is moved."""
    monkeypatch.delenv("PYTHON", raising=False)
    assert environment.set_up(clone, warm=False)
    assert "ready in" in capsys.readouterr().out
    assert environment.is_installed(clone)
    moved = Project(clone.root.with_name("moved"))
    shutil.move(clone.root, moved.root)
    ran = subprocess.run(
        [moved.python, "-c", "import crmlab; print(crmlab.__file__)"],
        capture_output=True, text=True, check=True, cwd=Path(os.sep),
    )  # fmt: skip
    assert Path(ran.stdout.strip()).parent == moved.root / "crmlab"
    assert environment.set_up(moved, warm=False)
    assert capsys.readouterr().out == ""  # nothing left to do
