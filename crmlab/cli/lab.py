"""Open the course in JupyterLab, on this computer only."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from crmlab.cli.environment import Project, hand_over, say

# JupyterLab asks the web for news, for newer versions and for extensions, unless told not to;
# and then asks the reader whether it may.
_UNASKED = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}
_OFFLINE = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)


def open_lab(project: Project, *, source: bool, jupyter_options: Sequence[str]) -> int:
    """Open JupyterLab on the student edition, or on the notebooks themselves.

    Parameters
    ----------
    project : Project
    source : bool
        Whether to open ``notebooks/`` instead of ``learn/``.
    jupyter_options : sequence of str
        Passed on to JupyterLab.

    Returns
    -------
    int
        JupyterLab's exit code.
    """
    folder = project.root / "notebooks" if source else make_student_edition(project)
    _keep_quiet(Path(sys.prefix))
    say(f"Opening {folder} in JupyterLab; the address follows. Leave with Ctrl-C.")
    return hand_over(lab_command(folder, jupyter_options), os.environ)


def _keep_quiet(environment: Path) -> None:
    """Answer JupyterLab's questions for this environment; later settings of the user win."""
    settings = environment / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(_UNASKED, indent=1), encoding="utf-8")


def make_student_edition(project: Project) -> Path:
    """Make or update ``learn/`` and return it; files that the learner changed are kept."""
    from crmlab.course.editions import build_student

    folder = project.root / "learn"
    folder.mkdir(exist_ok=True)
    report = build_student(project.root / "notebooks", folder)
    if report.written or report.beside:
        say(report.text())
    return folder


def lab_command(folder: Path, jupyter_options: Sequence[str]) -> list[str]:
    """Return the command line that opens JupyterLab on a folder.

    The port is the first free one from 8888, and the address carries a token, both by Jupyter's
    own defaults. Warnings and the address are shown, the rest of its log is not.

    Examples
    --------
    >>> lab_command(Path("learn"), ["--no-browser"])[-1]
    '--no-browser'
    """
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    start = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    return [*start, "--log-level=WARN", *_OFFLINE, *root, *jupyter_options]
