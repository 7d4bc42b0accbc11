"""The three numbers that every model here reads from a customer's history, checked.

`frequency` x, the repeat purchases; `recency` t_x, the time of the last of them; and T, the time
observed, all counted from the first purchase (`crmlab.tables.orders.rfm_summary` makes them).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Bools, Floats
from crmlab.errors import DataError, raise_problems


def check_histories(
    owner: str, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Return the histories as float arrays of equal length; all problems at once."""
    x, t_x, observed = check_numbers(owner, {"frequency": frequency, "recency": recency, "T": T})
    raise_problems(DataError, owner, _impossible(x, t_x, observed))
    return x, t_x, observed


def check_opportunities(
    owner: str, frequency: ArrayLike, recency: ArrayLike, n: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """As `check_histories`, for whole periods with at most one purchase each."""
    x, t_x, n = check_numbers(owner, {"frequency": frequency, "recency": recency, "n": n})
    rules = {
        "`frequency` must be a whole number, 0 or more": ~((x >= 0) & (x % 1 == 0)),
        "`recency` must be a whole number of periods, 0 or more": ~((t_x >= 0) & (t_x % 1 == 0)),
        "`n` must be a whole number of periods, 0 or more": ~((n >= 0) & (n % 1 == 0)),
        "`recency` must not exceed `n`": t_x > n,
        "`frequency` must not exceed `recency`: at most one purchase per period": x > t_x,
        "frequency 0 needs recency 0": (x == 0) & (t_x > 0),
    }
    raise_problems(DataError, owner, broken_rules(rules, {"frequency": x, "recency": t_x, "n": n}))
    return x, t_x, n


def check_numbers(owner: str, columns: Mapping[str, ArrayLike]) -> list[Floats]:
    """Return the columns as float arrays of the same shape, with at least one customer."""
    read = {name: _as_numbers(values) for name, values in columns.items()}
    arrays = {name: values for name, values in read.items() if values is not None}
    problems = [f"`{name}` must hold numbers" for name in read if name not in arrays]
    raise_problems(DataError, owner, problems)
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        *head, last = columns
        names = f"{', '.join(head)} and {last}"
        raise DataError(f"{owner}: {names} must have the same shape, got {shapes}")
    if not next(iter(arrays.values())).size:
        raise DataError(f"{owner}: there are no customers")
    return list(arrays.values())


def _impossible(x: Floats, t_x: Floats, T: Floats) -> list[str]:
    rules = {
        "`frequency` must be a whole number, 0 or more": ~((x >= 0) & (x % 1 == 0)),
        "`recency` must be a number, 0 or more": ~((t_x >= 0) & np.isfinite(t_x)),
        "`T` must be a number, 0 or more": ~((T >= 0) & np.isfinite(T)),
        "`recency` must not exceed `T`": t_x > T,
        "frequency 0 needs recency 0: the first purchase is the last": (x == 0) & (t_x > 0),
    }
    return broken_rules(rules, {"frequency": x, "recency": t_x, "T": T})


def broken_rules(rules: Mapping[str, Bools], columns: Mapping[str, Floats]) -> list[str]:
    """List each broken rule with its count and the first customer who breaks it."""
    size = next(iter(columns.values())).size
    return [
        f"{rule}; {int(bad.sum())} of {size} customers break it, first at position {first} ("
        + ", ".join(f"{name}={values.flat[first]:g}" for name, values in columns.items())
        + ")"
        for rule, bad in rules.items()
        if bad.any()
        for first in [int(np.flatnonzero(bad)[0])]
    ]


def check_times(owner: str, t: ArrayLike) -> Floats:
    """Return a horizon as a float array; refuse anything but a time of at least 0."""
    times = _as_numbers(t)
    if times is None or not (np.isfinite(times) & (times >= 0)).all():
        raise DataError(f"{owner}: `t` must be a time, 0 or more, got {t!r}")
    return times


def _as_numbers(values: ArrayLike) -> Floats | None:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
