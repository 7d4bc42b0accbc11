"""Maintenance: style and types, the lock file, and cleaning."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from crmlab.cli.environment import Project, say

LOCK_TOOL = "uv>=0.9"
OLDEST_PYTHON = "3.12"  # --universal resolves for this version and all later ones
_HEADER = """\
# Every version of {what}, with the hash of every file that may be
# installed, for Python 3.12 and 3.13 on Linux, macOS and Windows. Written by `make lock`.
"""
_GROUPS = ("course", "test", "lint", "site")
_LEFTOVERS = ("build", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis", ".coverage")
_SLOW_TO_MAKE = (".venv", ".cache", ".venv-extras", ".cache-extras")


def lint(project: Project) -> int:
    """Check the style of the code and its types; return the first exit code that is not 0."""
    tools = (["ruff", "check", "."], ["mypy"])
    commands = ([sys.executable, "-m", *tool] for tool in tools)
    codes = [subprocess.run(c, cwd=project.root, check=False).returncode for c in commands]
    return next(filter(None, codes), 0)


def write_lock(project: Project, *, upgrade: bool) -> int:
    """Resolve a lock again, that of the course or that of the peers and engines.

    Parameters
    ----------
    project : Project
        Its ``edition`` decides which lock.
    upgrade : bool
        Whether to replace versions that still fit by the newest ones.

    Returns
    -------
    int
        0 if the lock was written; otherwise the old one stays.
    """
    tool = [sys.executable, "-m", "pip", "install", "--quiet", LOCK_TOOL]
    if subprocess.run(tool, check=False).returncode != 0:
        return 1
    draft = project.lock.with_suffix(".part")
    if project.lock.exists() and not upgrade:
        shutil.copy(project.lock, draft)  # the tool keeps the versions that it finds here
    command = lock_command(draft, extras=project.has_extras)
    variables = {**os.environ, **index_variables(pip_settings())}
    if subprocess.run(command, cwd=project.root, env=variables, check=False).returncode != 0:
        draft.unlink(missing_ok=True)
        return 1
    what = "the peers and engines" if project.has_extras else "the course, its tests and its site"
    draft.write_text(_HEADER.format(what=what) + draft.read_text())
    os.replace(draft, project.lock)
    say(f"{project.lock.name}: {len(read_lock(project.lock.read_text()))} packages")
    return 0


def lock_command(target: Path, *, extras: bool = False) -> list[str]:
    """Return the command that resolves every version; the result names no index."""
    groups = ("test", "extras") if extras else _GROUPS
    builds = [] if extras else ["--no-build"]  # PySpark is only available as source
    return [
        *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet"),
        *(word for group in groups for word in ("--group", group)),
        *("--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", *builds),
        *("--no-emit-index-url", "--no-header", "--no-annotate", "-o", str(target)),
    ]


def pip_settings() -> dict[str, str]:
    """Return the pip configuration of this computer, including environment variables."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    pairs = (line.split("=", 1) for line in listed.stdout.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}


def index_variables(settings: dict[str, str]) -> dict[str, str]:
    """Translate pip's index and certificate into variables of the resolver.

    Extra indexes are left out on purpose: a partial copy of the index would hide the files for
    other systems, and their hashes are the point of a lock that is shared.

    Examples
    --------
    >>> index_variables({":env:.index-url": "file:///mirror"})
    {'UV_DEFAULT_INDEX': 'file:///mirror'}
    """
    wanted = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
    # `pip config list` writes "global.cert" for files and ":env:.cert" for variables, which win.
    ranked = sorted(settings.items(), key=lambda pair: pair[0].startswith(":env:"))
    return {wanted[key]: value for name, value in ranked if (key := name.split(".")[-1]) in wanted}


def clean(project: Project, *, everything: bool) -> None:
    """Delete everything that can be made again; ``learn/`` contains the user's work and stays."""
    names = (*_LEFTOVERS, *(_SLOW_TO_MAKE if everything else ()))
    kept = (project.venv, project.cache, project.root / "learn", project.root / ".git")
    bytecode = [
        folder
        for folder in project.root.rglob("__pycache__")
        if not any(folder.is_relative_to(place) for place in kept)
    ]
    for path in [*(project.root / name for name in names), *bytecode]:
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_lock(text: str) -> dict[str, tuple[str, str]]:
    r"""Read a lock file: package -> (version, marker; "" = every system).

    Examples
    --------
    >>> read_lock("numpy==2.5 \\\n    --hash=sha256:0\ncolorama==1 ; os_name == 'nt' \\\n")
    {'numpy': ('2.5', ''), 'colorama': ('1', "os_name == 'nt'")}
    """
    pins = [line.rstrip("\\ ") for line in text.splitlines() if line[:1].isalnum()]
    split = (pin.partition(";") for pin in pins)
    named = ((pin.strip().split("=="), marker.strip()) for pin, _, marker in split)
    return {name: (version, marker) for (name, version), marker in named}
