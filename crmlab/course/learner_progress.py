"""A learner's progress: which exercises are solved, and which are open."""

from crmlab.course.keyring import exercise_ids
from crmlab.course.learner import learner_folder, solved_exercises


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
    if learner_folder() is None:
        print("Progress is kept in the student edition (the folder learn/), and this is not it.")
        return
    print(progress_text(exercise_ids(), solved_exercises()))
