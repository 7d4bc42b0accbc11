"""What can go wrong, said so that the reader knows what to do next.

Two kinds of mistake reach a user: a *specification* that contradicts itself (`SpecError`) and
*data* that break the rules of their table (`DataError`). Both are `ValueError`, so
``except ValueError`` catches either. One input is checked whole: `raise_problems` reports
everything that is wrong with it at once.

* `SpecError`: a stage space, world, model or option is specified wrongly
* `DataError`: tables, panels or files break a rule of their format
* `DataWarning`: a panel tells little about something
* `SamplingWarning`: a sampled posterior should not be read yet
"""

from collections.abc import Iterable, Sequence
from typing import NoReturn

__all__ = ["DataError", "DataWarning", "SamplingWarning", "SpecError"]


class SpecError(ValueError):
    """A stage space, world, model or option is specified wrongly."""


class DataError(ValueError):
    """Tables, panels or files break a rule of their format."""


class DataWarning(UserWarning):
    """The panel says little about a parameter, so its posterior is close to its prior."""


class SamplingWarning(UserWarning):
    """A sampled posterior should not be read yet."""


def raise_problems(error: type[ValueError], heading: str, problems: Sequence[str]) -> None:
    """Raise `error` once, with every problem on a line of its own; do nothing if there is none.

    Examples
    --------
    >>> raise_problems(SpecError, "StageSpace", [])
    >>> raise_problems(SpecError, "StageSpace", ["names repeat 'new'"])
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: StageSpace: names repeat 'new'
    """
    if problems:
        raise error_of(error, heading, problems)


def error_of[E: ValueError](error: type[E], heading: str, problems: Sequence[str]) -> E:
    """Make one error of one problem or more, each on a line of its own."""
    if len(problems) == 1:
        return error(f"{heading}: {problems[0]}")
    return error("\n  - ".join([f"{heading}: {len(problems)} problems", *problems]))


def wrong(parameter: str, rule: str, value: object) -> str:
    """Say what is wrong with a parameter: one of the problems that `raise_problems` takes.

    Examples
    --------
    >>> wrong("draws", "a positive integer", 0)
    '`draws` must be a positive integer, got 0'
    """
    return f"`{parameter}` must be {rule}, got {value!r}"


def refuse(owner: str, parameter: str, rule: str, value: object) -> NoReturn:
    """Raise `SpecError` about one parameter of a function.

    Examples
    --------
    >>> refuse("forecast", "n_periods", "a positive integer", 0)
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: forecast: `n_periods` must be a positive integer, got 0
    """
    raise SpecError(f"{owner}: {wrong(parameter, rule, value)}")


def check_one_of(owner: str, parameter: str, value: object, options: Iterable[object]) -> None:
    """Raise `SpecError` unless `value` is one of `options`.

    Examples
    --------
    >>> check_one_of("stage_probs", "kind", "smooth", ("filtered", "smoothed"))
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: stage_probs: `kind` must be 'filtered' or 'smoothed', got 'smooth'
    """
    allowed = list(options)
    if value in allowed:
        return
    *head, last = [repr(option) for option in allowed]
    refuse(owner, parameter, f"{', '.join(head)} or {last}" if head else last, value)
