"""Benchmarks and statistical studies: programs outside the package, run from the clone."""

import subprocess
import sys
from collections.abc import Sequence

from crmlab.cli.environment import Project


def run_benchmarks(project: Project, options: Sequence[str]) -> int:
    """Run ``benchmarks/``; return its exit code."""
    return _run(project, "benchmarks", options)


def run_validation(project: Project, options: Sequence[str]) -> int:
    """Run ``validation/``; return its exit code."""
    return _run(project, "validation", options)


def _run(project: Project, package: str, options: Sequence[str]) -> int:
    command = [sys.executable, "-m", package, *options]
    return subprocess.run(command, cwd=project.root, check=False).returncode
