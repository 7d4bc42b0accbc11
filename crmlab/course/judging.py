"""Judging an answer by its key: right, or a hint that fits the mistake."""

from collections.abc import Callable
from dataclasses import dataclass

from crmlab.course.answers import (
    Answer,
    Key,
    UnreadableAnswerError,
    hash_items,
    hash_token,
    item_tokens,
    match_each,
    matches,
    read_answer,
)

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


def judge_with(key: Key, value: object) -> Verdict:
    """Judge an answer by a key.

    Parameters
    ----------
    key : Key
    value : the answer; ``...`` if there is none yet

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
    return comparable and matches(key, key.accepted, answer)


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
    hints = (m.hint for m in key.mistakes if matches(key, m.accepted, answer))
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
    """Recognise slips that are common in every course."""
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
        if matches(key, key.accepted, undone):
            return hint
    return _rounded_early(key, answer) or _another_order(key, answer)


def _rounded_early(key: Key, answer: Answer) -> str:
    for fewer, accepted in enumerate(key.rounded, start=1):
        (item,) = answer.items
        coarse = hash_items(f"{key.exercise}~{fewer}", (item,), key.digits - fewer)[0][0]
        is_coarse = item == round(item, key.digits - fewer) and item != 0
        if is_coarse and coarse in accepted:
            return f"Right so far, but rounded too early: keep {key.digits} decimals."
    return ""


def _another_order(key: Key, answer: Answer) -> str:
    """Match every position with one item, using each item once, in any order."""
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
    return hash_token(key.exercise, position, item_tokens(item, key.digits, 0)[0])


def _partly_right(key: Key, answer: Answer) -> str:
    fits = match_each(key, key.accepted, answer.items)
    if not any(fits):
        return ""
    first = fits.index(False)
    return f"{sum(fits)} of {len(fits)} values are right; the first that is not: value {first + 1}."


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
