"""Execute the notebooks in place, so that their stored outputs are up to date."""

import time
from pathlib import Path

from crmlab.cli.environment import Project, say
from crmlab.cli.suite import CELL_SECONDS, find_notebooks


def execute_notebooks(project: Project, *, number: str | None = None) -> int:
    """Execute notebooks from top to bottom, each in a fresh kernel, and store their outputs.

    Parameters
    ----------
    project : Project
    number : str, optional
        Only notebooks whose names begin with this.

    Returns
    -------
    int
        0 if every notebook ran, otherwise 1. A notebook that stops is left as it was.
    """
    paths = find_notebooks(project.root / "notebooks", number)
    if not paths:
        say(f"notebooks/ has no notebook {number or ''}")
    failed = [path for path in paths if not _execute(path)]
    return 1 if failed or not paths else 0


def _execute(path: Path) -> bool:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    from crmlab.course.notebooks import execute_notebook

    started = time.perf_counter()
    try:
        execute_notebook(path, seconds_per_cell=CELL_SECONDS)
    except (CellExecutionError, CellTimeoutError) as problem:
        say(f"STOPPED {path.name}; the file is as it was\n{problem}")
        return False
    say(f"{path.name:<48} {time.perf_counter() - started:6.1f} s")
    return True
