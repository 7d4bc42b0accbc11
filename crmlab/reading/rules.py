"""What a value that a user writes must be: in an option, or in the manifest of a report.

Both are checked by the same rules, with the same words; only the spelling of a name differs.
"""

import numbers
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from reprlib import Repr
from typing import Any, NamedTuple

_SHORT = Repr(maxstring=80, maxother=80)


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


TEXT = Rule("text that is not empty", lambda x: isinstance(x, str) and x.strip() != "")
YES_NO = Rule("true or false", lambda x: isinstance(x, bool))
OBJECT = Rule("an object with names and values", lambda x: isinstance(x, Mapping))
TEXTS = Rule("a list of texts", lambda x: isinstance(x, tuple | list) and all(map(TEXT.holds, x)))
_BY_DEFAULT: dict[type, Rule] = {bool: YES_NO, tuple: TEXTS, dict: OBJECT}


def one_of(*options: str) -> Rule:
    """Make the rule that a value is one of a few texts."""
    return Rule(" or ".join(map(repr, options)), lambda x: isinstance(x, str) and x in options)


def number_within(least: float, most: float, *, whole: bool = False) -> Rule:
    """Make the rule that a value is a number, neither below `least` nor above `most`.

    Examples
    --------
    >>> share = number_within(0, 1)
    >>> share.words, share.holds(0.5), share.holds(float("nan")), share.holds(True)
    ('a number from 0 to 1', True, False, False)
    """
    kind: Any = numbers.Integral if whole else numbers.Real
    words = f"a {'whole ' if whole else ''}number from {least:,} to {most:,}"

    def holds(x: Any) -> bool:
        return isinstance(x, kind) and not isinstance(x, bool) and bool(least <= x <= most)

    return Rule(words, holds)


def rules_of(specification: type, rows: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return a rule for each field of a dataclass.

    Parameters
    ----------
    specification : type
        A frozen dataclass, each of whose fields has a default.
    rows : mapping of str to Rule
        The rules of some fields. A field without a row must be like its default: true or false, a
        list or an object; otherwise text. A field whose default is None may be None.
    """
    rules = {}
    for field in fields(specification):
        rule = rows.get(field.name) or _BY_DEFAULT.get(type(field.default), TEXT)
        rules[field.name] = _or_none(rule) if field.default is None else rule
    return rules


def _or_none(rule: Rule) -> Rule:
    return Rule(rule.words, lambda x: x is None or rule.holds(x))


def find_broken(
    values: object,
    rules: Mapping[str, Rule],
    *,
    spell: Callable[[str], str] = "`{}`".format,
    required: Collection[str] = (),
    whole: str = "the options",
) -> list[str]:
    """Say which values break their rule, which names are unknown, and which are missing.

    Parameters
    ----------
    values : mapping of str to object
        Anything else is a problem too.
    rules : mapping of str to Rule
    spell : callable
        Writes a name as the user knows it.
    required : collection of str
        Names that must be there.
    whole : str
        What the values are together.

    Returns
    -------
    list of str
        Empty if everything is right.

    Examples
    --------
    >>> rules = {"margin": number_within(0, 1)}
    >>> find_broken({"margin": 1e9, "evil": 3}, rules, whole="`settings`")
    ['`margin` must be a number from 0 to 1, got 1000000000.0',
    "`settings`: 'evil' is not one of margin"]
    >>> find_broken([], rules, whole="`settings`")
    ['`settings` must be an object with names and values, got []']
    """
    if not isinstance(values, Mapping):
        return [f"{whole} must be {OBJECT.words}, got {show(values)}"]
    problems = [f"{spell(name)} is missing" for name in required if name not in values]
    for name, value in values.items():
        if name not in rules:
            problems.append(f"{whole}: {show(name)} is not one of {', '.join(rules)}")
        elif not rules[name].holds(value):
            problems.append(f"{spell(name)} must be {rules[name].words}, got {show(value)}")
    return problems


def show(value: object) -> str:
    """Write a value for a message: in one line, and only the beginning of a long one."""
    return _SHORT.repr(value)
