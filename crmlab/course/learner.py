"""What a learner has solved, stored only in the learner's own folder."""

from pathlib import Path

MARKER = ".crmlab"


def learner_folder(start: Path | None = None) -> Path | None:
    """Find the student edition that contains a folder; None if there is none.

    Parameters
    ----------
    start : path, default the working folder
        A notebook's kernel runs in the folder of the notebook.

    Returns
    -------
    path or None

    Examples
    --------
    >>> learner_folder(Path("/")) is None
    True
    """
    here = Path.cwd() if start is None else Path(start)
    folders = (folder for folder in (here, *here.parents) if (folder / MARKER).is_dir())
    return next(folders, None)


def record_solved(exercise: str, folder: Path | None = None) -> None:
    """Record in the student edition that an exercise is solved; elsewhere do nothing."""
    home = learner_folder(folder)
    if home is None:
        return
    solved = home / MARKER / "solved"
    solved.mkdir(exist_ok=True)
    (solved / exercise).touch()


def solved_exercises(folder: Path | None = None) -> frozenset[str]:
    """Return the ids of the exercises solved in the student edition around a folder."""
    home = learner_folder(folder)
    solved = None if home is None else home / MARKER / "solved"
    if solved is None or not solved.is_dir():
        return frozenset()
    return frozenset(path.name for path in solved.iterdir())
