"""Examine the environment: what is wrong, and how to fix it.

Each check returns a `Finding`. Nothing is changed, and any installation will do: a check that
cannot run is a finding too.
"""

import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from crmlab.cli import environment
from crmlab.cli.environment import Project, say
from crmlab.cli.suite import find_notebooks
from crmlab.cli.upkeep import read_lock

_SET_UP = "run `make setup` (or `python -m crmlab setup`)"
_REBUILD = "run `make setup AGAIN=1` (or `python -m crmlab setup --again`)"


@dataclass(frozen=True)
class Finding:
    """What one check found, and what to do about a problem.

    Parameters
    ----------
    part : str
        What was examined.
    seen : str
        What was found there.
    advice : str
        What to do; "" if all is well.
    """

    part: str
    seen: str
    advice: str = ""

    def text(self) -> str:
        """Return one line, or two if there is a problem.

        Examples
        --------
        >>> print(Finding("cache", "empty", "run `make warm`").text())
        OFF  cache: empty
             -> run `make warm`
        """
        if self.advice:
            return f"OFF  {self.part}: {self.seen}\n     -> {self.advice}"
        return f"ok   {self.part}: {self.seen}"


def examine(project: Project) -> int:
    """Examine every part of the project and report problems.

    Parameters
    ----------
    project : Project

    Returns
    -------
    int
        0 if all is well, otherwise 1.
    """
    # Before set-up there are no packages, and one answer is enough.
    checks = CHECKS if find_spec("packaging") else (check_python,)
    findings = [_look(check, project) for check in checks]
    off = sum(bool(finding.advice) for finding in findings)
    say(f"{off} of {len(findings)} are off." if off else "All is well.")
    return 1 if off else 0


def check_python(project: Project) -> Finding:
    """Examine the current Python."""
    seen = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if environment.is_inside(project):
        return Finding("python", f"{seen}, in .venv")
    return Finding("python", f"{seen}, outside .venv", "" if _in_conda() else _SET_UP)


def check_packages(project: Project) -> Finding:
    """Compare installed versions with the lock."""
    from packaging.markers import Marker

    pins = {
        name: version
        for name, (version, marker) in read_lock(project.lock.read_text()).items()
        if not marker or Marker(marker).evaluate()
    }
    wrong = [
        f"{name} {installed or 'is missing'} (lock: {version})"
        for name, version in pins.items()
        if (installed := _installed_version(name)) != version
    ]
    if not wrong:
        return Finding("packages", f"{len(pins)} at the locked version")
    others = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Finding("packages", ", ".join(wrong[:3]) + others, _SET_UP)


def check_exact_fit(project: Project) -> Finding:
    """Fit observed stages in closed form, and compare with the textbook formula."""
    import numpy as np

    import crmlab as crm
    from crmlab.cli.warm import make_panel, make_space

    space = make_space()
    panel = make_panel(space, "stage", n_customers=300)
    result = crm.fit(crm.ObservedMarkov(space), panel, draws=2000, seed=1)
    drawn = result.posterior["transition_matrix"].mean(("chain", "draw")).values
    codes = panel["stage"].values.astype(int)
    counts = np.ones((len(space), len(space)))  # a uniform prior on each row, then each move
    np.add.at(counts, (codes[:, :-1], codes[:, 1:]), 1)
    gap = float(abs(drawn - counts / counts.sum(axis=1, keepdims=True)).max())
    seen = f"largest gap to the Dirichlet mean {gap:.4f}"
    return Finding("closed-form fit", seen, "" if gap < 0.01 else _REBUILD)


def check_sampled_fit(project: Project) -> Finding:
    """Sample a hidden Markov model; the first run on a computer includes compilation."""
    import crmlab as crm
    from crmlab.cli.warm import make_hidden_model, make_panel, make_space

    space = make_space()
    panel = make_panel(space, "visits", n_customers=200, n_periods=16)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", crm.SamplingWarning)  # reported below, in plain words
        result = crm.fit(make_hidden_model(space, "visits"), panel, draws=600, tune=500, seed=1)
    seconds = time.perf_counter() - started
    seen = f"{seconds:.0f} s, {'; '.join(result.problems) or 'converged'}"
    return Finding("sampled fit", seen, _REBUILD if result.problems else "")


def check_cache(project: Project) -> Finding:
    """Look for compiled kernels."""
    size = sum(path.stat().st_size for path in project.cache.rglob("*") if path.is_file())
    seen = f".cache/ holds {size / 1e6:.0f} MB"
    if environment.is_warm(project):
        return Finding("compile cache", f"{seen}, warm")
    return Finding("compile cache", f"{seen}, not warm: first fits are slower", _SET_UP)


def check_notebooks(project: Project) -> Finding:
    """Look for the course and its student edition."""
    course = len(find_notebooks(project.root / "notebooks"))
    edition = len(find_notebooks(project.root / "learn"))
    seen = f"{course} in notebooks/, {edition} in learn/"
    if not course:
        return Finding("notebooks", seen, "the clone is incomplete: `git checkout -- notebooks`")
    made = "" if edition else " (made by `make lab`)"
    return Finding("notebooks", seen + made)


CHECKS: tuple[Callable[[Project], Finding], ...] = (
    check_python,
    check_packages,
    check_notebooks,
    check_cache,
    check_exact_fit,
    check_sampled_fit,
)


def _look(check: Callable[[Project], Finding], project: Project) -> Finding:
    try:
        finding = check(project)
    except Exception as problem:  # every failure is a finding
        part = check.__name__.removeprefix("check_").replace("_", " ")
        finding = Finding(part, f"{type(problem).__name__}: {problem}", _SET_UP)
    say(finding.text())
    return finding


def _installed_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _in_conda() -> bool:
    return (Path(sys.prefix) / "conda-meta").is_dir()
