"""Knobs: numbers of a world that carry their unit, their source and their rule with them.

A group of knobs is a frozen dataclass. The arguments of `knob` become the docstring of the group,
the rows of `describe` and the rule that a world checks, so each fact is written once.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crmlab.errors import SpecError, raise_problems

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Rule(NamedTuple):
    """What a knob must be, in words and as a test."""

    words: str
    holds: Callable[[float], bool]


ANY = Rule("a finite number", lambda x: True)
NOT_NEGATIVE = Rule("a finite number of at least 0", lambda x: x >= 0)
SHARE = Rule("from 0 to 1", lambda x: 0 <= x <= 1)
LEVEL = Rule("from -1 to 1", lambda x: -1 <= x <= 1)
NEED = Rule("a level from 1 to 6", lambda x: 1 <= x <= 6)
PERIOD = Rule("a whole number of at least 0", lambda x: x >= 0 and x == int(x))


def knob(default: float, unit: str, source: str, text: str, rule: Rule = ANY) -> Any:
    """Declare one knob of a group.

    Parameters
    ----------
    default : float
    unit : str
    source : str
        Ids of the concepts in the map of the source documents, e.g. "A10, A25".
    text : str
        What it does, without a full stop.
    rule : Rule
    """
    said = {"unit": unit, "source": source, "text": text, "rule": rule, "neutral": 0.0}
    return field(default=default, metadata=said)


def setting(default: float, unit: str, source: str, text: str, rule: Rule = ANY) -> Any:
    """Declare a number that says how or when another knob works; it has no neutral value."""
    said = {"unit": unit, "source": source, "text": text, "rule": rule, "neutral": None}
    return field(default=default, metadata=said)


def documented[T: DataclassInstance](group: type[T]) -> type[T]:
    """Complete the docstring of a group with a section on its knobs."""
    lines = [
        f"{f.name} : float, default {f.default:g}\n        {f.metadata['text']}\n"
        f"        [{f.metadata['unit']}] ({f.metadata['source']})."
        for f in fields(group)
    ]
    body = "\n    ".join(lines)
    group.__doc__ = f"{group.__doc__}\n\n    Parameters\n    ----------\n    {body}\n    "
    return group


def list_knobs(levers: Any) -> dict[str, tuple[float, Mapping[str, Any]]]:
    """Map every knob, as "group.name", to its value and metadata."""
    return {
        f"{group.name}.{knob.name}": (
            getattr(getattr(levers, group.name), knob.name),
            knob.metadata,
        )
        for group in fields(levers)
        if is_dataclass(getattr(levers, group.name))
        for knob in fields(getattr(levers, group.name))
    }


def knob_problems(levers: Any) -> Iterable[str]:
    """List every knob that breaks its rule."""
    for name, (value, said) in list_knobs(levers).items():
        is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not is_number or not np.isfinite(value) or not said["rule"].holds(value):
            yield f"`{name}` must be {said['rule'].words} [{said['unit']}], got {value!r}"


def turn[T: DataclassInstance](levers: T, changes: Mapping[str, float]) -> T:
    """Turn some knobs of a set of levers.

    Parameters
    ----------
    levers : Levers
    changes : mapping of "group.knob" to value

    Returns
    -------
    Levers
        A changed copy.

    Raises
    ------
    SpecError
        For every name that is not a knob.
    """
    known = list_knobs(levers)
    unknown = [name for name in changes if name not in known]
    raise_problems(
        SpecError,
        "turn",
        [f"there is no knob {name!r}; groups: {', '.join(_groups(levers))}" for name in unknown],
    )
    by_group: dict[str, dict[str, float]] = {}
    for name, value in changes.items():
        group, _, knob_name = name.partition(".")
        by_group.setdefault(group, {})[knob_name] = value
    turned = {name: replace(getattr(levers, name), **new) for name, new in by_group.items()}
    return replace(levers, **turned)


def silence[T: DataclassInstance](levers: T) -> T:
    """Set every knob that has a neutral value to it, and leave the settings as they are."""
    return turn(
        levers,
        {n: said["neutral"] for n, (_, said) in list_knobs(levers).items()
         if said["neutral"] is not None},
    )  # fmt: skip


def _groups(levers: Any) -> list[str]:
    return [group.name for group in fields(levers)]
