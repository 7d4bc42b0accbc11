"""The stored keys, one file per notebook, and what a notebook calls: `set_answer`, `check`."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from crmlab.course.answers import Key, Mistake, make_key
from crmlab.course.judging import Verdict, judge_with
from crmlab.course.learner import MARKER, learner_folder, record_solved
from crmlab.errors import SpecError
from crmlab.tables.folders import write_file

FOLDER_VARIABLE = "CRMLAB_ANSWER_KEYS"
DRAFTS_VARIABLE = "CRMLAB_ANSWER_DRAFTS"


def keys_folder() -> Path:
    """Return the folder of the keys: one JSON file per notebook."""
    return Path(os.environ.get(FOLDER_VARIABLE, Path(__file__).parent / "keys"))


def drafts_folder() -> Path | None:
    """Return the folder where an author's run puts new keys, or None in any other run."""
    folder = os.environ.get(DRAFTS_VARIABLE)
    return Path(folder) if folder else None


def known_keys(notebook: str) -> dict[str, Key]:
    """Return the keys of a notebook by exercise.

    The keys of a student's own firm, in the student's folder, take precedence over those of the
    course; in an author's run, new keys come first.
    """
    drafts, home = drafts_folder(), learner_folder()
    places = (keys_folder(), home and home / MARKER / "keys", drafts)
    found: dict[str, Key] = {}
    for place in filter(None, places):
        found |= load_keys(place / f"{notebook}.json")
    return found


def load_keys(path: Path) -> dict[str, Key]:
    """Read the keys of one notebook; without a file there are no exercises."""
    if not path.is_file():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {exercise: _key_from_json(exercise, entry) for exercise, entry in stored.items()}


def _key_from_json(exercise: str, entry: dict) -> Key:
    mistakes = tuple(Mistake(m["hint"], _split(m["accepted"])) for m in entry["mistakes"])
    changed = {
        "shape": tuple(entry["shape"]),
        "accepted": _split(entry["accepted"]),
        "rounded": _split(entry["rounded"]),
        "mistakes": mistakes,
    }
    return Key(exercise=exercise, **{**entry, **changed})


def _key_to_json(key: Key) -> dict:
    """Convert a key into plain data, with the hashes of one position on one line."""
    entry = asdict(key)
    mistakes = [{"hint": m.hint, "accepted": _join(m.accepted)} for m in key.mistakes]
    entry.update(accepted=_join(key.accepted), rounded=_join(key.rounded), mistakes=mistakes)
    return {name: value for name, value in entry.items() if name != "exercise"}


def _split(lines: list[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in lines)


def _join(rows: tuple[tuple[str, ...], ...]) -> list[str]:
    return [" ".join(row) for row in rows]


def save_key(path: Path, key: Key) -> None:
    """Add one key to the file of its notebook, which is written safely."""
    keys = {**load_keys(path), key.exercise: key}
    entries = {exercise: _key_to_json(keys[exercise]) for exercise in sorted(keys, key=_in_order)}
    write_file(path, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")


def _in_order(exercise: str) -> tuple[str, int, str]:
    notebook, _, count = exercise.partition(".")
    return notebook, int(count) if count.isdigit() else 0, count


def exercise_ids() -> dict[str, list[str]]:
    """List the exercises that have a key, by notebook number."""
    return {path.stem: list(load_keys(path)) for path in sorted(keys_folder().glob("*.json"))}


def set_answer(
    exercise: str,
    answer: object,
    *,
    digits: int | None = None,
    tolerance: float | None = None,
    mistakes: Sequence[tuple[object, str]] = (),
    because: str = "",
) -> None:
    """Set the answer of an exercise, in an author's notebook (see `crmlab.course`).

    The key is written while `crmlab.course.notebooks.execute_notebook` runs the notebook; any other
    run compares it with the stored key.

    Parameters
    ----------
    exercise, answer, digits, tolerance, mistakes, because
        As in `make_key`.

    Raises
    ------
    SpecError
        If the stored key is stale, or the exercise is not valid.
    """
    key = make_key(
        exercise, answer, digits=digits, tolerance=tolerance, mistakes=mistakes, because=because
    )
    notebook, drafts = exercise.split(".")[0], drafts_folder()
    if drafts:
        save_key(drafts / f"{notebook}.json", key)
    elif known_keys(notebook).get(exercise) != key:
        raise SpecError(
            f"The stored key of exercise {exercise} is not the one of this cell. "
            "Execute the notebook with `make notebooks` or `python -m crmlab.course.notebooks`."
        )


def judge(exercise: str, answer: object) -> Verdict:
    """Judge an answer by the stored key.

    Parameters
    ----------
    exercise : str, such as "06.1"
    answer : number, text, boolean, or a sequence, set or array of one of these kinds

    Returns
    -------
    Verdict
    """
    notebook = exercise.split(".")[0]
    keys = known_keys(notebook)
    if exercise in keys:
        return judge_with(keys[exercise], answer)
    known = f"It has {', '.join(keys)}." if keys else f"Notebook {notebook} has none."
    return Verdict(False, f"There is no exercise {exercise}. {known}")


def check(exercise: str, answer: object) -> None:
    """Print one sentence: the answer is right, or a hint that fits the mistake.

    Parameters
    ----------
    exercise : str, such as "06.1"
    answer : number, text, boolean, or a sequence, set or array of one of these kinds
        No need to round: the answer is rounded as the question asks.

    Examples
    --------
    >>> check("99.1", 0.5)
    There is no exercise 99.1. Notebook 99 has none.
    """
    verdict = judge(exercise, answer)
    if verdict.right:
        record_solved(exercise)
    print(verdict.sentence)
