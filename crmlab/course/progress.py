"""What a learner has solved, kept in the folder in which she works and nowhere else."""

from pathlib import Path

MARKER = ".crmlab"


def learner_folder(start: Path | None = None) -> Path | None:
    """Find the student edition that contains a folder, or None outside of one.

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
    """Remember in the student edition that an exercise is solved; elsewhere do nothing."""
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


def progress_text(exercises: dict[str, list[str]], solved: frozenset[str]) -> str:
    """Say in one line per notebook how many of its exercises are solved, and what is open.

    Parameters
    ----------
    exercises : dict of notebook number -> list of exercise ids
    solved : frozenset of exercise ids

    Returns
    -------
    str

    Examples
    --------
    >>> print(progress_text({"03": ["03.1", "03.2"], "06": ["06.1"]}, frozenset({"03.1", "06.1"})))
    03: 1 of 2 solved; open: 03.2
    06: 1 of 1 solved
    """
    return "\n".join(_line(number, ids, solved) for number, ids in sorted(exercises.items()))


def _line(number: str, ids: list[str], solved: frozenset[str]) -> str:
    open_ids = [exercise for exercise in ids if exercise not in solved]
    line = f"{number}: {len(ids) - len(open_ids)} of {len(ids)} solved"
    return f"{line}; open: {' '.join(open_ids)}" if open_ids else line


def progress() -> None:
    """Print what has been solved so far in this student edition.

    Examples
    --------
    >>> progress()  # doctest: +SKIP
    00: 1 of 1 solved
    06: 2 of 5 solved; open: 06.3 06.4 06.5
    """
    from crmlab.course.answers import exercise_ids

    if learner_folder() is None:
        print("Progress is kept in the student edition (the folder learn/), and this is not it.")
        return
    print(progress_text(exercise_ids(), solved_exercises()))
