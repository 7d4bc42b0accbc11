"""Answers that can be checked but not read: hashes of right answers and of known mistakes.

An answer is stored as hashes of its rounded value, of its neighbours within a tolerance, and of
each known misconception, which selects the hint. This keeps honest people honest; it is not a
secret, because anyone can try all numbers of four digits.

`crmlab.course.judging` compares an answer with a key, `crmlab.course.keyring` stores keys.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from crmlab.errors import SpecError, raise_problems

_SALT = b"crmlab-answers-1"
_MOST_NEIGHBOURS = 200


@dataclass(frozen=True)
class Answer:
    """An answer in plain form: what kind, which shape, which items."""

    kind: str
    shape: tuple[int, ...]
    items: tuple
    ordered: bool = True


@dataclass(frozen=True)
class Mistake:
    """The hashes of a known wrong answer, position by position, and the hint for it."""

    hint: str
    accepted: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Key:
    """What is stored about one exercise: a tuple of accepted hashes per position, and hints."""

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


def read_answer(value: Any) -> Answer:
    """Convert an answer into plain form.

    Parameters
    ----------
    value : number, text, boolean, or a sequence, set or array of one of these kinds

    Returns
    -------
    Answer
        Dimensions of length one are dropped; the items of a set are sorted.

    Raises
    ------
    UnreadableAnswerError
        The message is a sentence for the learner.

    Examples
    --------
    >>> read_answer([0.5, 0.5])
    Answer(kind='number', shape=(2,), items=(0.5, 0.5), ordered=True)
    >>> read_answer({"Bonding "})
    Answer(kind='text', shape=(), items=('bonding',), ordered=False)
    """
    _refuse_non_answers(value)
    ordered = not isinstance(value, set | frozenset)
    array = _as_array(value if ordered else sorted(value))
    kind = _kind_of(array)
    items = tuple(_plain_item(kind, item) for item in array.ravel().tolist())
    return Answer(kind, array.squeeze().shape, items if ordered else tuple(sorted(items)), ordered)


def _refuse_non_answers(value: object) -> None:
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
    read: dict[str, Callable[[Any], float | str | bool]] = {
        "number": float,
        "text": normalise_text,
        "boolean": bool,
    }
    return read[kind](item)


def normalise_text(text: str) -> str:
    """Reduce a text so that case, accents, blanks and hyphens do not count.

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
    """Express a number in units of its last digit."""
    return round(value * 10.0**digits)


def item_tokens(item: object, digits: int, neighbours: int) -> tuple[str, ...]:
    """Write an item as the question asks, and its neighbours on both sides."""
    if isinstance(item, float):
        centre = _steps(item, digits)
        return tuple(str(centre + step) for step in range(-neighbours, neighbours + 1))
    return (str(item),)


def hash_items(
    exercise: str, items: Sequence, digits: int, neighbours: int = 0
) -> tuple[tuple[str, ...], ...]:
    """Hash every item and its neighbours, position by position."""
    return tuple(
        tuple(hash_token(exercise, at, token) for token in item_tokens(item, digits, neighbours))
        for at, item in enumerate(items)
    )


def matches(key: Key, accepted: tuple[tuple[str, ...], ...], answer: Answer) -> bool:
    """Whether all items of an answer are accepted."""
    return len(accepted) == len(answer.items) and all(match_each(key, accepted, answer.items))


def match_each(key: Key, accepted: tuple[tuple[str, ...], ...], items: Sequence) -> list[bool]:
    """Whether each item is accepted, position by position."""
    own = hash_items(key.exercise, items, key.digits)
    return [hashes[0] in good for hashes, good in zip(own, accepted, strict=True)]


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
    answer : number, text, boolean, or a sequence, set or array of one of these kinds
    digits : int, decimals
        Number of decimals in the question; needed unless the answer is whole, a text or a boolean.
        Negative digits round to tens, hundreds, ...
    tolerance : float, in the unit of the answer
        Largest difference that still counts as right; by default one unit in the last digit, and
        zero for whole numbers.
    mistakes : sequence of (value, hint)
    because : str
        A sentence to add when the answer is right.

    Returns
    -------
    Key

    Raises
    ------
    SpecError
        The exercise is not valid; the message lists all problems.

    Examples
    --------
    >>> key = make_key("99.1", 0.75, digits=2, mistakes=[(0.25, "This is churn.")])
    >>> from crmlab.course.judging import judge_with
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
    hash_all = partial(hash_items, exercise, digits=digits, neighbours=neighbours)
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
    """Hash the answer with one and two digits fewer, to recognise early rounding."""
    if whole or plain.shape != ():
        return ()
    return tuple(
        hash_items(f"{exercise}~{fewer}", plain.items, digits - fewer)[0] for fewer in (1, 2)
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
        if matches(key, key.accepted, read_answer(value))
    ]
    return problems
