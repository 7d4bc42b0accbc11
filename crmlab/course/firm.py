"""The firm in a notebook: the student's own firm if there is one, otherwise the course's."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crmlab.tables import CustomerTables

WORLD = "crmlab.course.assignments:own_branch"
CUSTOMERS = 600
_SEED = 2024


def own_firm(folder: Path | None = None) -> "CustomerTables":
    """Return the tables of the student's own firm, from ``data/`` as `make variants` writes it.

    Without that folder, it is the firm of the course's printed answers.

    Parameters
    ----------
    folder : path, default the working folder
        A notebook's kernel runs in the folder of the notebook.

    Returns
    -------
    CustomerTables
        600 customers of a branch with four stages, noted each quarter. They include the truth for
        the course's own firm, and if ``truth/`` is next to ``data/``, as it is while keys are made.

    Examples
    --------
    >>> sorted(own_firm().labels["stage"].unique())
    ['drifting', 'gone', 'regular', 'trying']
    """
    from crmlab.tables import read_tables, read_truth

    home = Path.cwd() if folder is None else Path(folder)
    if not (home / "data" / "tables.json").is_file():
        return _course_firm()
    tables, truth = read_tables(home / "data"), home / "truth"
    return replace(tables, truth=read_truth(truth)) if truth.is_dir() else tables


def write_course_firm(folder: Path) -> Path:
    """Write the course's own firm into ``data/`` of a folder, without the truth, as for a student.

    Parameters
    ----------
    folder : path
        Created if it does not exist.

    Returns
    -------
    path
        The folder.
    """
    from crmlab.tables import write_tables

    folder.mkdir(parents=True, exist_ok=True)
    write_tables(_course_firm(), folder / "data")
    return folder


def _course_firm() -> "CustomerTables":
    from crmlab.course.assignments import own_branch
    from crmlab.generators.base import simulate

    return simulate(own_branch(), CUSTOMERS, seed=_SEED)
