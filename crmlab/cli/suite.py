"""Run the whole suite: code tests on all cores, then each notebook in its own process.

A notebook under test is executed in a fresh kernel and every output is compared with the stored
one. One process per notebook keeps kernels, time limits and failures separate.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from crmlab.cli.environment import Project, say

CELL_SECONDS = 120  # a learner should never wait longer for one cell


@dataclass(frozen=True)
class Outcome:
    """How one pytest process ended."""

    name: str
    exit_code: int
    seconds: float
    output: str = ""

    @property
    def closing_line(self) -> str:
        """The last line of pytest's output, which is its summary."""
        lines = [line.strip("= ") for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.exit_code}"


def run_suite(project: Project, *, only: str | None = None, jobs: int | None = None) -> int:
    """Run all tests and report each part.

    Parameters
    ----------
    project : Project
    only : {"code", "notebooks"}, optional
        One half of the suite; both by default.
    jobs : int, optional
        Number of parallel processes; by default, one per core.

    Returns
    -------
    int
        0 if everything passed, otherwise 1.
    """
    at_a_time = jobs or os.cpu_count() or 1
    code = [] if only == "notebooks" else [run_code_tests(project, at_a_time)]
    notebooks = [] if only == "code" else find_notebooks(project.root / "notebooks")
    with ThreadPoolExecutor(at_a_time) as pool:
        running = [pool.submit(run_notebook, project, path) for path in notebooks]
        outcomes = [*_report_notebooks(running), *code]
    return _summarise(outcomes)


def find_notebooks(folder: Path, number: str | None = None) -> list[Path]:
    """Return the notebooks of a folder in order, or those whose names begin with `number`.

    Examples
    --------
    >>> find_notebooks(Path("no such folder"))
    []
    """
    return sorted(folder.glob(f"{number or ''}*.ipynb"))


def run_extras(project: Project) -> int:
    """Run the tests that need peers and engines, and a small part of `drift`; return an exit code.

    Other packages have to fix their own warnings, so warnings are not errors here.
    """
    python = [sys.executable, "-m"]
    tests = [*python, "pytest", "tests/extras", "--durations=5", "-rs"]
    relaxed = ["-o", "filterwarnings=default", "--disable-warnings"]
    drift = [*python, "crmlab", "drift", "--brief"]
    commands = [*tests, *relaxed], drift
    return max([subprocess.run(one, cwd=project.root, check=False).returncode for one in commands])


def run_bit_tests(project: Project, variables: Mapping[str, str]) -> int:
    """Run the tests that compare bits, in another environment; return pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "tests", "-q", "-m", "bits"]
    return subprocess.run(command, cwd=project.root, env=variables, check=False).returncode


def run_code_tests(project: Project, jobs: int) -> Outcome:
    """Run pytest on ``tests/`` and on the examples in docstrings, its output shown as it comes."""
    # A file stays on one core, so that its shared fixtures are made once.
    spread = ["-n", str(jobs), "--dist", "loadfile"] if jobs > 1 else []
    command = [sys.executable, "-m", "pytest", "--durations=5", *spread]
    started = time.perf_counter()
    heard = []
    with subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pytest:
        for line in pytest.stdout or ():
            heard.append(line)
            print(line, end="", flush=True)
    return Outcome("code", pytest.returncode, time.perf_counter() - started, "".join(heard))


def run_notebook(project: Project, path: Path) -> Outcome:
    """Execute one notebook and compare every output with the stored one."""
    started = time.perf_counter()
    ran = subprocess.run(
        notebook_command(project, path),
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Outcome(path.stem, ran.returncode, time.perf_counter() - started, ran.stdout)


def notebook_command(project: Project, path: Path) -> list[str]:
    """Return the pytest command that checks one notebook strictly.

    The options of the code tests (doctests, warnings as errors) are put aside: inside a notebook
    the kernel decides about warnings, and a printed one differs from the stored output anyway.
    """
    sanitize = project.root / "tests" / "nbval_sanitize.cfg"
    return [
        *(sys.executable, "-m", "pytest", str(path), "-q", "-p", "no:cacheprovider"),
        *("-o", "addopts=", "-o", "filterwarnings=default"),
        *("--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(sanitize)),
        *("--nbval-cell-timeout", str(CELL_SECONDS)),
    ]


def _report_notebooks(running: Sequence[Future[Outcome]]) -> list[Outcome]:
    outcomes = []
    for future in as_completed(running):
        outcome = future.result()
        if outcome.exit_code != 0:
            say(outcome.output)
        say(_line(outcome))
        outcomes.append(outcome)
    return sorted(outcomes, key=lambda outcome: outcome.name)


def _summarise(outcomes: Sequence[Outcome]) -> int:
    failed = [outcome.name for outcome in outcomes if outcome.exit_code != 0]
    say("\nSummary")
    for outcome in outcomes:
        say(_line(outcome))
    say(f"FAILED: {', '.join(failed)}" if failed else "All passed.")
    return 1 if failed or not outcomes else 0


def _line(outcome: Outcome) -> str:
    verdict = "ok    " if outcome.exit_code == 0 else "FAILED"
    return f"{verdict} {outcome.name:<28} {outcome.seconds:6.1f} s   {outcome.closing_line}"
