"""The project's own Python: made once, checked in milliseconds, repaired by another run.

A clone holds no packages. The first command makes ``.venv/`` from ``requirements.lock`` (every file
checked against its hash), byte-compiles it, and warms the compile cache in ``.cache/``, because the
first compilation of a model is the slowest moment of a learner's day. Each part then leaves a
*stamp*: a hash of what it was made from. Later commands only compare two hashes.

This module may only import the standard library, because it runs on an empty computer.
"""

import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# What determines the machine code in the cache; a change here fills it again.
KERNEL_SOURCES = ("crmlab/models/kernel/*.py", "crmlab/cli/warm.py")
# A variable that names another folder for compiled code, for tests with an empty cache.
COMPILED = "CRMLAB_COMPILED"
# Settings of the user's shell that would put packages elsewhere, or prevent bytecode.
_UNWANTED = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
)
_FOUND = ("Collecting ", "Processing ")  # the first word of pip's line about a package


class SetUpError(Exception):
    """The environment could not be made; the message says what to do."""


@dataclass(frozen=True)
class Project:
    """A clone of the repository, and the places of its parts.

    Parameters
    ----------
    root : Path
        The folder that contains ``pyproject.toml``.
    edition : {"", "-extras"}
        Which of its environments: that of the course, or that with peers and engines.

    Examples
    --------
    >>> Project(Path("clone")).lock.as_posix()
    'clone/requirements.lock'
    """

    root: Path
    edition: Literal["", "-extras"] = ""

    @property
    def has_extras(self) -> bool:
        """Whether this environment holds the peers and engines."""
        return self.edition == "-extras"

    @property
    def lock(self) -> Path:
        """The file that pins every package."""
        return self.root / f"requirements{self.edition}.lock"

    @property
    def venv(self) -> Path:
        """The folder of the project's own Python."""
        return self.root / f".venv{self.edition}"

    @property
    def python(self) -> Path:
        """The project's own Python."""
        windows = self.venv / "Scripts" / "python.exe"
        return windows if os.name == "nt" else self.venv / "bin" / "python"

    @property
    def cache(self) -> Path:
        """The folder of compiled kernels; safe to delete."""
        return self.root / f".cache{self.edition}"

    @property
    def packages_stamp(self) -> Path:
        """The stamp of the packages in ``.venv``."""
        return self.venv / "crmlab-packages"

    @property
    def unfinished(self) -> Path:
        """A file that exists during set-up, and after an interrupted set-up."""
        return self.venv / "crmlab-unfinished"

    @property
    def warm_stamp(self) -> Path:
        """The stamp of the compile cache."""
        return self.cache / "warm"


PROJECT = Project(Path(__file__).resolve().parents[2])
EXTRAS = Project(PROJECT.root, "-extras")


def project_variables(project: Project, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of every process that the project starts.

    One place decides where compiled code lives and what may differ between computers; the kernels
    of the lab, tests, notebooks under test and the doctor all inherit these variables.

    Parameters
    ----------
    project : Project
    inherited : mapping
        The variables of the calling process, usually ``os.environ``.

    Returns
    -------
    dict
        A new mapping; `inherited` is not changed.
    """
    cache = project.cache.resolve()
    compiled = Path(inherited.get(COMPILED, cache))
    ours = {
        "PYTENSOR_FLAGS": _pytensor_flags(
            compiled / "pytensor", inherited.get("PYTENSOR_FLAGS", "")
        ),
        "NUMBA_CACHE_DIR": str(compiled / "numba"),
        # Fonts are listed in advance; otherwise a slow first figure prints a notice.
        "MPLCONFIGDIR": str(cache / "matplotlib"),
        # A start-up file of the reader's own IPython must not change what a notebook prints.
        "IPYTHONDIR": str(cache / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONUTF8": "1",
    }
    # One thread gives the same sums on every number of cores; users can still set another number.
    defaults = {"OPENBLAS_NUM_THREADS": "1"}
    kept = {name: value for name, value in inherited.items() if name not in _UNWANTED}
    return {**defaults, **kept, **ours}


def _pytensor_flags(folder: Path, inherited: str) -> str:
    """Join flags; PyTensor uses the last one of each name.

    An empty ``cxx`` keeps PyTensor from compiling small parts in C where a compiler happens to be:
    all computers then run the same code, and the first fit is faster.
    """
    place = f"base_compiledir={_quoted(folder)}"
    kept = inherited.replace(place, "").strip(",")
    flags = ["" if kept.startswith("cxx=") else "cxx=", kept, place]
    return ",".join(flag for flag in flags if flag)


def packages_key(project: Project, python_version: str) -> str:
    """Return a hash of what the installed packages depend on: the lock and the Python version."""
    return _digest([python_version.encode(), platform.machine().encode(), _read(project.lock)])


def warm_key(project: Project, python_version: str) -> str:
    """Return a hash of what compiled kernels depend on: packages, kernels and the machine."""
    sources = sorted(path for name in KERNEL_SOURCES for path in project.root.glob(name))
    return _digest([packages_key(project, python_version).encode(), *map(_read, sources)])


def is_installed(project: Project) -> bool:
    """Whether ``.venv`` contains exactly the locked packages."""
    version = venv_version(project)
    return bool(
        version
        and not project.unfinished.exists()
        and not _asked_for_another_python(version)
        and _read(project.packages_stamp).decode() == packages_key(project, version)
    )


def is_warm(project: Project) -> bool:
    """Whether the compile cache was filled for these packages and kernels."""
    version = venv_version(project)
    return bool(version) and _read(project.warm_stamp).decode() == warm_key(project, version)


def is_inside(project: Project) -> bool:
    """Whether this process runs in the project's ``.venv``."""
    return project.venv.is_dir() and Path(sys.prefix).resolve() == project.venv.resolve()


def venv_version(project: Project) -> str:
    """Return the Python version that ``.venv`` was made with, or "" if there is no working one.

    Examples
    --------
    >>> venv_version(Project(Path("no such clone")))
    ''
    """
    if not project.python.exists():  # follows the link, to notice a removed Python
        return ""
    lines = _read(project.venv / "pyvenv.cfg").decode().splitlines()
    settings = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    return settings.get("version") or settings.get("version_info", "")


def ensure(project: Project, *, warm: bool) -> None:
    """Make the environment if necessary; takes well under a second if it exists.

    Parameters
    ----------
    project : Project
    warm : bool
        Whether the compile cache must be filled as well.
    """
    if is_installed(project) and (is_warm(project) or not warm):
        return
    set_up(project, warm=warm)


def set_up(project: Project, *, warm: bool, again: bool = False) -> bool:
    """Install the locked packages, compile them, and fill the cache; skip what is up to date.

    Parameters
    ----------
    project : Project
    warm : bool
        Whether to fill the compile cache as well.
    again : bool
        Whether to start from scratch even if all seems well.

    Returns
    -------
    bool
        Whether everything is ready. If the cache could not be filled, work can go on: models are
        then compiled on first use.

    Raises
    ------
    SetUpError
        If the packages could not be installed.
    """
    if not project.lock.exists():
        raise SetUpError(
            f"{project.root} is not a clone of the repository (no {project.lock.name}), so there "
            "is no environment to make. Run this in a clone, or add --here to use this Python."
        )
    if is_inside(project):
        return _set_up_from_outside(project, warm=warm, again=again)
    with _one_at_a_time(project):
        if again or not is_installed(project):
            _install(project, again=again)
        return not warm or is_warm(project) or _warm(project)


def hand_over(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Continue as another process, and return its exit code.

    On Windows a process cannot be replaced, so this one waits.
    """
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(command[0], list(command), dict(variables))
    try:
        return subprocess.run(command, env=variables, check=False).returncode
    except KeyboardInterrupt:
        return 130


def _set_up_from_outside(project: Project, *, warm: bool, again: bool) -> bool:
    """Use the Python from which ``.venv`` was made: a process cannot rebuild its own Python."""
    asked = {"--again": again, "--cold": not warm, "--extras": project.has_extras}
    words = ["setup", *(word for word, wanted in asked.items() if wanted)]
    command = [_base_python(), "-m", "crmlab", *words]
    variables = project_variables(project, os.environ)
    return subprocess.run(command, env=variables, cwd=project.root, check=False).returncode == 0


def _install(project: Project, *, again: bool) -> None:
    started = time.perf_counter()
    say(f"Setting up {project.venv.name}/ (once; a few minutes, mostly downloading)")
    if again or project.unfinished.exists() or not _is_usable(project):
        _make_venv(project)
    project.unfinished.write_text("A set-up began here and has not ended.\n")
    variables = project_variables(project, os.environ)
    _install_packages(project, variables)
    _make_importable(project, variables)
    _compile_bytecode(project, variables)
    project.packages_stamp.write_text(packages_key(project, venv_version(project)))
    project.unfinished.unlink()
    say(f"  ready in {time.perf_counter() - started:.0f} s")


def _is_usable(project: Project) -> bool:
    version = venv_version(project)
    if not version or _version_pair(version) < (3, 12) or _asked_for_another_python(version):
        return False
    return _runs([project.python, "-m", "pip", "--version"])


def _asked_for_another_python(version: str) -> bool:
    """Whether ``make ... PYTHON=python3.12`` asks for another version than that of ``.venv``."""
    if not os.environ.get("PYTHON") or sys.prefix != sys.base_prefix:
        return False
    return _version_pair(version) != sys.version_info[:2]


def _make_venv(project: Project) -> None:
    say(f"  Python {platform.python_version()}")
    base = _base_python()
    made = subprocess.run([base, "-m", "venv", "--clear", str(project.venv)], check=False)
    if made.returncode != 0:
        raise SetUpError(
            f"{base} could not make an environment (it printed why). On Debian and Ubuntu, "
            "install the package python3-venv; elsewhere, try another one with PYTHON=..."
        )


def _base_python() -> str:
    return getattr(sys, "_base_executable", None) or sys.executable


def _install_packages(project: Project, variables: Mapping[str, str]) -> None:
    pinned = sum(line[:1].isalnum() for line in _read(project.lock).decode().splitlines())
    built = ["--no-binary", "pyspark"] if project.has_extras else []  # only available as source
    command = [str(project.python), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input",
               "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", *built,
               "--no-compile", "--progress-bar", "off", "-r", str(project.lock)]  # fmt: skip
    lines = []
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        for line in pip.stdout or ():
            lines.append(line)
            _show_progress(lines, pinned)
    if pip.returncode != 0:
        raise SetUpError(
            "".join(lines[-25:])
            + "The packages could not be installed; the lines above say why. Set-up needs a "
            "package index (pip's own settings are used). Run the same command to try again."
        )


def _show_progress(lines: Sequence[str], pinned: int) -> None:
    if lines[-1].startswith("Installing collected packages"):
        say("  packages: all there; unpacking (about a minute)")
    if not lines[-1].startswith(_FOUND):
        return
    count = sum(line.startswith(_FOUND) for line in lines)
    if count % 25 == 0:
        say(f"  packages: {count} of {pinned}")


def _make_importable(project: Project, variables: Mapping[str, str]) -> None:
    """Put the clone on the path: one line, without a build."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run(
        [project.python, "-c", where], env=variables, capture_output=True, text=True, check=True
    )
    packages = Path(found.stdout.strip())
    steps_up = os.path.relpath(project.root.resolve(), packages.resolve())
    (packages / "crmlab.pth").write_text(steps_up + "\n")


def _compile_bytecode(project: Project, variables: Mapping[str, str]) -> None:
    """Halve every later import. Files that are templates for old Pythons fail, harmlessly."""
    say("  byte-compiling")
    command = [str(project.python), "-m", "compileall", "-q", "-j", "0", str(project.venv)]
    quiet = subprocess.DEVNULL
    subprocess.run(command, env=variables, stdout=quiet, stderr=quiet, check=False)


def _warm(project: Project) -> bool:
    say("Compiling the kernels (once; about half a minute)")
    key = warm_key(project, venv_version(project))
    command = [str(project.python), "-m", "crmlab", "--here", "warm"]
    variables = project_variables(project, os.environ)
    if subprocess.run(command, env=variables, cwd=project.root, check=False).returncode != 0:
        say("  not all could be compiled now: they will be when first used, which is slower")
        return False
    project.warm_stamp.write_text(key)
    return True


@contextmanager
def _one_at_a_time(project: Project) -> Iterator[None]:
    """Let a second ``make`` wait for the first; the system frees the lock if the first one dies."""
    project.cache.mkdir(parents=True, exist_ok=True)
    with (project.cache / "set-up.lock").open("a") as handle:
        _wait_for_lock(handle.fileno())
        yield


def _wait_for_lock(descriptor: int) -> None:
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    import msvcrt

    while True:  # Windows gives up after ten tries, but a set-up takes minutes
        with suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
            return


def say(line: str) -> None:
    """Print a line immediately, even if the output goes to a file."""
    print(line, flush=True)


def _quoted(path: Path) -> str:
    """Quote for PyTensor, which reads its flags like a shell, but splits them at commas."""
    return "'" + str(path).replace("'", "'\"'\"'") + "'"


def _runs(command: Sequence[str | Path]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _version_pair(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _digest(parts: Sequence[bytes]) -> str:
    joined = hashlib.sha256()
    for part in parts:
        joined.update(hashlib.sha256(part).digest())
    return joined.hexdigest()
