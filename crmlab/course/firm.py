"""The firm of whoever works in a notebook: her own, if she was handed one, or the course's."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crmlab.tables import CustomerTables

WORLD = "crmlab.course.assignments:own_branch"
CUSTOMERS = 600
_SEED = 2024


def own_firm(folder: Path | None = None) -> "CustomerTables":
    """Return the tables of one's own firm: of ``data/``, as `make variants` lays it out.

    Without that folder, the firm is the one that the course's printed answers are about.

    Parameters
    ----------
    folder : path, default the working folder
        A notebook's kernel runs in the folder of the notebook.

    Returns
    -------
    CustomerTables
        600 customers of a branch with four stages, noted each quarter. The truth is with them in
        the course's own firm, and where ``truth/`` lies beside ``data/``: while keys are made.

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
    """Write the course's own firm into ``data/`` of a folder, as a student gets hers: no truth.

    Parameters
    ----------
    folder : path
        Made where it is missing.

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
