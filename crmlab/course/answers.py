"""Answers that can be checked, but not read: hashes of what is right and of what goes wrong.

An answer is stored as hashes of the answer rounded as asked, of its neighbours within a tolerance,
and of each known misconception, which chooses the hint. This keeps honest people honest; it is not
secrecy, because anyone can try all numbers of four digits.

`judge` decides, `check` prints, `set_answer` is what an author calls (see `crmlab.course`).
"""

import json
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from crmlab.course.learner import MARKER, learner_folder, record_solved
from crmlab.errors import SpecError, raise_problems

FOLDER_VARIABLE = "CRMLAB_ANSWER_KEYS"
DRAFTS_VARIABLE = "CRMLAB_ANSWER_DRAFTS"
_SALT = b"crmlab-answers-1"
_MOST_NEIGHBOURS = 200
_ASKED = {
    "number": ("a number", "numbers"),
    "text": ("a text", "texts"),
    "boolean": ("True or False", "values True or False"),
}


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and the sentence that says so or gives a hint."""

    right: bool
    sentence: str


@dataclass(frozen=True)
class Answer:
    """An answer in plain form: what kind, which shape, which items."""

    kind: str
    shape: tuple[int, ...]
    items: tuple
    ordered: bool = True


@dataclass(frozen=True)
class Mistake:
    """The hashes of a known wrong answer, position by position, and the hint that it earns."""

    hint: str
    accepted: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Key:
    """What is stored about one exercise: hashes, one tuple of accepted ones per position."""

    exercise: str
    kind: str
    shape: tuple[int, ...]
    ordered: bool
    digits: int
    accepted: tuple[tuple[str, ...], ...]
    rounded: tuple[tuple[str, ...], ...]
    mistakes: tuple[Mistake, ...]
    because: str


class UnreadableAnswerError(ValueError):
    """An answer that is not a number, a text, a boolean, or a sequence of one of them."""


# --- reading an answer -------------------------------------------------------------------------


def read_answer(value: object) -> Answer:
    """Bring an answer into plain form.

    Parameters
    ----------
    value : number, text, boolean, or a sequence, set or array of one kind of them

    Returns
    -------
    Answer
        Dimensions of length one are dropped; the items of a set are sorted.

    Raises
    ------
    UnreadableAnswerError
        With a sentence for the learner.

    Examples
    --------
    >>> read_answer([0.5, 0.5])
    Answer(kind='number', shape=(2,), items=(0.5, 0.5), ordered=True)
    >>> read_answer({"Bonding "})
    Answer(kind='text', shape=(), items=('bonding',), ordered=False)
    """
    _refuse_what_is_no_answer(value)
    ordered = not isinstance(value, set | frozenset)
    array = _as_array(value if ordered else sorted(value))
    kind = _kind_of(array)
    items = tuple(_plain_item(kind, item) for item in array.ravel().tolist())
    return Answer(kind, array.squeeze().shape, items if ordered else tuple(sorted(items)), ordered)


def _refuse_what_is_no_answer(value: object) -> None:
    reasons = (
        (value is None, "the answer is None; does your function return its result?"),
        (callable(value), "this is a function; call it, and hand over what it returns."),
        (isinstance(value, dict), "this is a dict; hand over its values alone, as a list."),
    )
    for applies, reason in reasons:
        if applies:
            raise UnreadableAnswerError(reason)


def _as_array(value: object) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        raise UnreadableAnswerError("the rows of this answer differ in length.") from None
    if array.size == 0:
        raise UnreadableAnswerError("this answer is empty.")
    return array


def _kind_of(array: np.ndarray) -> str:
    items = array.ravel().tolist()
    if all(isinstance(item, bool) for item in items):
        return "boolean"
    if all(isinstance(item, str) for item in items):
        return "text"
    if all(isinstance(item, int | float) and not isinstance(item, bool) for item in items):
        return _refuse_infinite(items)
    raise UnreadableAnswerError("this is neither a number, nor a text, nor True or False.")


def _refuse_infinite(items: Sequence[float]) -> str:
    if np.isnan(items).any():
        raise UnreadableAnswerError("the answer is not a number (NaN).")
    if np.isinf(items).any():
        raise UnreadableAnswerError("the answer is infinite; was something divided by zero?")
    return "number"


def _plain_item(kind: str, item: object) -> float | str | bool:
    return {"number": float, "text": normalise_text, "boolean": bool}[kind](item)


def normalise_text(text: str) -> str:
    """Make two ways of writing one word equal: case, accents, blanks and hyphens do not count.

    Examples
    --------
    >>> normalise_text("  Coming-Apart ")
    'coming apart'
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return " ".join(plain.replace("-", " ").replace("_", " ").split())


# --- hashing -----------------------------------------------------------------------------------


def hash_token(exercise: str, position: int, token: str) -> str:
    """Return the salted hash of one item of an answer, 16 hexadecimal digits."""
    message = f"{exercise}|{position}|{token}".encode()
    return blake2b(message, digest_size=8, salt=_SALT).hexdigest()


def _steps(value: float, digits: int) -> int:
    """Count a number in units of its last digit."""
    return round(value * 10.0**digits)


def _tokens(item: object, digits: int, neighbours: int) -> tuple[str, ...]:
    if isinstance(item, float):
        centre = _steps(item, digits)
        return tuple(str(centre + step) for step in range(-neighbours, neighbours + 1))
    return (str(item),)


def _hash_items(
    exercise: str, items: Sequence, digits: int, neighbours: int = 0
) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(hash_token(exercise, at, token) for token in _tokens(item, digits, neighbours))
        for at, item in enumerate(items)
    )


# --- making a key ------------------------------------------------------------------------------


def make_key(
    exercise: str,
    answer: object,
    *,
    digits: int | None = None,
    tolerance: float | None = None,
    mistakes: Sequence[tuple[object, str]] = (),
    because: str = "",
) -> Key:
    """Hash an answer, its neighbours and its misconceptions.

    Parameters
    ----------
    exercise : str, such as "06.1"
    answer : number, text, boolean, or a sequence, set or array of one kind of them
    digits : int, decimals
        Decimals that are asked for; needed unless the answer is whole, a text or a boolean.
        Negative digits round to tens, hundreds, ...
    tolerance : float, in the unit of the answer
        How far from the answer still counts as right; by default one unit in the last digit, and
        zero for whole numbers.
    mistakes : sequence of (value, hint)
    because : str
        A sentence that is added when the answer is right.

    Returns
    -------
    Key

    Raises
    ------
    SpecError
        All that is wrong with the exercise.

    Examples
    --------
    >>> key = make_key("99.1", 0.75, digits=2, mistakes=[(0.25, "This is churn.")])
    >>> judge_with(key, 0.25).sentence
    '99.1: not yet. This is churn.'
    >>> judge_with(key, 0.749).right
    True
    """
    plain = read_answer(answer)
    whole = plain.kind != "number" or _is_whole(answer)
    problems = [] if digits is not None or whole else ["say how many digits are asked for"]
    raise_problems(SpecError, f"Exercise {exercise}", problems)
    digits = 0 if digits is None else digits
    neighbours = _neighbours(tolerance, digits, whole)
    hash_all = partial(_hash_items, exercise, digits=digits, neighbours=neighbours)
    key = Key(
        exercise,
        plain.kind,
        plain.shape,
        plain.ordered,
        digits,
        hash_all(plain.items),
        _hash_coarsely(exercise, plain, digits, whole),
        tuple(Mistake(hint, hash_all(read_answer(value).items)) for value, hint in mistakes),
        because,
    )
    raise_problems(SpecError, f"Exercise {exercise}", _key_problems(key, neighbours, mistakes))
    return key


def _is_whole(answer: object) -> bool:
    array = np.asarray(sorted(answer) if isinstance(answer, set | frozenset) else answer)
    return np.issubdtype(array.dtype, np.integer)


def _neighbours(tolerance: float | None, digits: int, whole: bool) -> int:
    if tolerance is None:
        return 0 if whole else 1
    return _steps(tolerance, digits)


def _hash_coarsely(
    exercise: str, plain: Answer, digits: int, whole: bool
) -> tuple[tuple[str, ...], ...]:
    """Hash the answer with one and two digits fewer, to recognise rounding too early."""
    if whole or plain.shape != ():
        return ()
    return tuple(
        _hash_items(f"{exercise}~{fewer}", plain.items, digits - fewer)[0] for fewer in (1, 2)
    )


def _key_problems(key: Key, neighbours: int, mistakes: Sequence[tuple[object, str]]) -> list[str]:
    problems = []
    if "." not in key.exercise:
        problems.append("its id must be the notebook's number, a dot and a count, as in '06.1'")
    if neighbours > _MOST_NEIGHBOURS:
        problems.append(f"tolerance spans {neighbours} units of the last digit: ask fewer digits")
    problems += [
        f"the misconception {value!r} counts as right"
        for value, _ in mistakes
        if _matches(key, key.accepted, read_answer(value))
    ]
    return problems


# --- judging -----------------------------------------------------------------------------------


def _matches(key: Key, accepted: tuple[tuple[str, ...], ...], answer: Answer) -> bool:
    return len(accepted) == len(answer.items) and all(_matches_each(key, accepted, answer.items))


def _matches_each(key: Key, accepted: tuple[tuple[str, ...], ...], items: Sequence) -> list[bool]:
    own = _hash_items(key.exercise, items, key.digits)
    return [hashes[0] in good for hashes, good in zip(own, accepted, strict=True)]


def judge_with(key: Key, value: object) -> Verdict:
    """Judge an answer by a key.

    Parameters
    ----------
    key : Key
    value : the answer; ``...`` for none yet

    Returns
    -------
    Verdict
    """
    if value is ...:
        return Verdict(False, f"{key.exercise}: no answer yet; put it in place of the three dots.")
    try:
        answer = read_answer(value)
    except UnreadableAnswerError as reason:
        return Verdict(False, f"{key.exercise}: not yet. {_capital(str(reason))}")
    if not key.ordered:
        answer = Answer(answer.kind, answer.shape, tuple(sorted(answer.items)), False)
    if _is_right(key, answer):
        return Verdict(True, " ".join(filter(None, (f"{key.exercise}: right.", key.because))))
    return Verdict(False, f"{key.exercise}: not yet. {_hint(key, answer)}")


def _is_right(key: Key, answer: Answer) -> bool:
    comparable = (key.kind, key.shape) == (answer.kind, answer.shape)
    comparable = comparable and (answer.ordered or not key.ordered or key.shape == ())
    return comparable and _matches(key, key.accepted, answer)


def _hint(key: Key, answer: Answer) -> str:
    for recognise in (_wrong_kind, _known_mistake, _wrong_shape, _slip, _partly_right):
        hint = recognise(key, answer)
        if hint:
            return hint
    return "Read the question once more, and say in words what you computed."


def _wrong_kind(key: Key, answer: Answer) -> str:
    if answer.kind == key.kind:
        return ""
    asked = _asked(key.kind, key.shape)
    return f"The question asks for {asked}, and this is {_asked(answer.kind, answer.shape)}."


def _known_mistake(key: Key, answer: Answer) -> str:
    hints = (m.hint for m in key.mistakes if _matches(key, m.accepted, answer))
    return next(hints, "")


def _wrong_shape(key: Key, answer: Answer) -> str:
    if not answer.ordered and key.ordered and key.shape != ():
        return "A set has no order; hand over a list."
    if answer.shape == key.shape:
        return ""
    asked = _asked(key.kind, key.shape)
    return f"The question asks for {asked}, and this is {_asked(answer.kind, answer.shape)}."


def _asked(kind: str, shape: tuple[int, ...]) -> str:
    one, many = _ASKED[kind]
    return one if shape == () else f"{' by '.join(map(str, shape))} {many}"


def _slip(key: Key, answer: Answer) -> str:
    """Recognise what goes wrong in every course."""
    if key.kind != "number":
        return _another_order(key, answer)
    slips: tuple[tuple[Callable[[float], float], str], ...] = (
        (lambda x: x / 100, "This looks like a percentage; the question asks for a fraction."),
        (lambda x: x * 100, "This looks like a fraction; the question asks for a percentage."),
        (lambda x: -x, "The size is right, the sign is not."),
        (lambda x: 1 - x, "This is one minus the answer."),
    )
    for undo, hint in slips:
        undone = Answer(key.kind, key.shape, tuple(undo(item) for item in answer.items))
        if _matches(key, key.accepted, undone):
            return hint
    return _rounded_early(key, answer) or _another_order(key, answer)


def _rounded_early(key: Key, answer: Answer) -> str:
    for fewer, accepted in enumerate(key.rounded, start=1):
        (item,) = answer.items
        coarse = _hash_items(f"{key.exercise}~{fewer}", (item,), key.digits - fewer)[0][0]
        is_coarse = item == round(item, key.digits - fewer) and item != 0
        if is_coarse and coarse in accepted:
            return f"Right so far, but rounded too early: keep {key.digits} decimals."
    return ""


def _another_order(key: Key, answer: Answer) -> str:
    """Match every position with some item, each item used once, whatever the order."""
    if len(answer.items) < 2:
        return ""
    left = list(answer.items)
    for at, good in enumerate(key.accepted):
        found = [item for item in left if _token_hash(key, at, item) in good]
        if not found:
            return ""
        left.remove(found[0])
    return "These are the right values in another order."


def _token_hash(key: Key, position: int, item: object) -> str:
    return hash_token(key.exercise, position, _tokens(item, key.digits, 0)[0])


def _partly_right(key: Key, answer: Answer) -> str:
    fits = _matches_each(key, key.accepted, answer.items)
    if not any(fits):
        return ""
    first = fits.index(False)
    return f"{sum(fits)} of {len(fits)} values are right; the first that is not: value {first + 1}."


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


# --- the stored keys ---------------------------------------------------------------------------


def keys_folder() -> Path:
    """Return the folder of the keys: one JSON file per notebook."""
    return Path(os.environ.get(FOLDER_VARIABLE, Path(__file__).parent / "keys"))


def drafts_folder() -> Path | None:
    """Return the folder where an author's run lays new keys aside, or None in any other run."""
    folder = os.environ.get(DRAFTS_VARIABLE)
    return Path(folder) if folder else None


def known_keys(notebook: str) -> dict[str, Key]:
    """Return the keys of a notebook by exercise.

    The keys of a student's own firm, which lie in the student's own folder, come before those of
    the course; in an author's run, new ones come first.
    """
    drafts, home = drafts_folder(), learner_folder()
    places = (keys_folder(), home and home / MARKER / "keys", drafts)
    found: dict[str, Key] = {}
    for place in filter(None, places):
        found |= load_keys(place / f"{notebook}.json")
    return found


def load_keys(path: Path) -> dict[str, Key]:
    """Read the keys of one notebook; no file means no exercise."""
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
    """Turn a key into plain data, the hashes of one position on one line."""
    entry = asdict(key)
    mistakes = [{"hint": m.hint, "accepted": _join(m.accepted)} for m in key.mistakes]
    entry.update(accepted=_join(key.accepted), rounded=_join(key.rounded), mistakes=mistakes)
    return {name: value for name, value in entry.items() if name != "exercise"}


def _split(lines: list[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in lines)


def _join(rows: tuple[tuple[str, ...], ...]) -> list[str]:
    return [" ".join(row) for row in rows]


def save_key(path: Path, key: Key) -> None:
    """Add one key to the file of its notebook, written aside and renamed into place."""
    keys = {**load_keys(path), key.exercise: key}
    entries = {exercise: _key_to_json(keys[exercise]) for exercise in sorted(keys, key=_in_order)}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".json.part")
    aside.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(path)


def _in_order(exercise: str) -> tuple[str, int, str]:
    notebook, _, count = exercise.partition(".")
    return notebook, int(count) if count.isdigit() else 0, count


def exercise_ids() -> dict[str, list[str]]:
    """List the exercises that have a key, by notebook number."""
    return {path.stem: list(load_keys(path)) for path in sorted(keys_folder().glob("*.json"))}


# --- what a notebook calls ---------------------------------------------------------------------


def set_answer(
    exercise: str,
    answer: object,
    *,
    digits: int | None = None,
    tolerance: float | None = None,
    mistakes: Sequence[tuple[object, str]] = (),
    because: str = "",
) -> None:
    """State the answer of an exercise, in an author's notebook (see `crmlab.course`).

    The key is written while `crmlab.course.notebooks.execute_notebook` runs the notebook; in any
    other run it is compared, and must be what is stored.

    Parameters
    ----------
    exercise, answer, digits, tolerance, mistakes, because
        As in `make_key`.

    Raises
    ------
    SpecError
        If the stored key is stale, or the exercise is not well made.
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
    answer : number, text, boolean, or a sequence, set or array of one kind of them

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
    """Print one sentence: the answer is right, or a hint that fits how it is wrong.

    Parameters
    ----------
    exercise : str, such as "06.1"
    answer : number, text, boolean, or a sequence, set or array of one kind of them
        Rounding is not needed: the answer is rounded as the question asks.

    Examples
    --------
    >>> check("99.1", 0.5)
    There is no exercise 99.1. Notebook 99 has none.
    """
    verdict = judge(exercise, answer)
    if verdict.right:
        record_solved(exercise)
    print(verdict.sentence)
