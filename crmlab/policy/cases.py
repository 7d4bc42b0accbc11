"""Whom to help first, and whom to stop serving.

**Triage.** An open case (a complaint, a cancellation, a silence) puts part of a customer's value at
risk: what the customer is worth if it is handled, less what is left if it is not. An hour of work
is scarce, so cases are ranked by value saved *per hour*, not by value or by the risk of leaving:
calling a customer who will surely leave, or surely stay, gains nothing.

Value is not the only claim. Cases that touch safety, rights, or a promise that was made come first,
whatever the customer is worth: mark them `must`, and the ranking orders only the rest.

**Serve or end.** Some stages bring less than they cost. Arithmetic can say so; it cannot say that
ending is right. `serve_or_end` is to be read under these conditions, which belong in the decision's
record:

* the loss is not of the firm's making: a customer who complains about bad service is owed service;
* repricing, self-service or repair came first (`charge` says which price would make serving pay);
* the margin leaves nobody worse off because of who they are: neither a protected trait nor any of
  its proxies decides; the outcome is audited by group;
* essential services (water, power, a bank account, medicine) are not ended for value;
* the customer is told in time, learns why and who can review it, and may appeal to a person.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats, number_problems
from crmlab.errors import SpecError, raise_problems, wrong
from crmlab.policy.inputs import with_rounding
from crmlab.policy.programme import look_ahead
from crmlab.value.inputs import as_floats, read_valued
from crmlab.value.stage import mean_ahead


class Triage(NamedTuple):
    """Cases in the order in which to take them."""

    order: NDArray[np.intp]
    handled: Bools
    at_risk: Floats
    saved: float
    bound: float


def triage(
    value_if_handled: ArrayLike,
    value_if_left: ArrayLike,
    hours: ArrayLike,
    *,
    capacity: float,
    must: ArrayLike | None = None,
) -> Triage:
    """Order open cases by the value, in currency, that an hour of work saves.

    Parameters
    ----------
    value_if_handled, value_if_left : array_like of shape (cases,)
        Value of the customer after the case in each event, in currency; means over posterior draws
        where they are uncertain (the ranking of means is the one with the highest expected value).
    hours : array_like of shape (cases,)
        Work that handling needs, above 0.
    capacity : float
        Hours available.
    must : array_like of bool of shape (cases,), optional
        Cases that come first whatever they are worth: safety, rights, promises.

    Returns
    -------
    Triage
        `order`: indices of all cases, in the order to take them; `handled`: whether there is time;
        `at_risk`: value that handling saves; `saved`: in all that are handled; `bound`: no choice
        of the others within the hours saves more.

    Raises
    ------
    SpecError
        Shapes that do not fit, hours that are not above 0, or too few hours for the `must` cases.

    Examples
    --------
    The most valuable customer is not the first: the second case saves more in the same hour.

    >>> found = triage([900, 300, 80], [880, 100, 20], [1, 1, 0.5], capacity=1.5)
    >>> found.order.tolist(), found.handled.tolist(), found.saved
    ([1, 2, 0], [False, True, True], 260.0)
    """
    handled, left = (
        as_floats("value_if_handled", value_if_handled),
        as_floats("left", value_if_left),
    )
    hours = as_floats("hours", hours)
    first = np.zeros(handled.shape, dtype=bool) if must is None else np.asarray(must)
    _check_cases(handled, left, hours, capacity, first)
    at_risk = handled - left
    rate = at_risk / hours
    order = np.lexsort((-rate, ~first))
    taken = np.zeros(len(order), dtype=bool)
    remaining = with_rounding(capacity)
    for case in order:
        if first[case] or (at_risk[case] > 0 and hours[case] <= remaining):
            taken[case] = True
            remaining -= hours[case]
    bound = _fractional_bound(at_risk, hours, capacity, first)
    return Triage(order, taken, at_risk, float(at_risk[taken].sum()), bound)


def _check_cases(
    handled: Floats, left: Floats, hours: Floats, capacity: float, first: NDArray
) -> None:
    shapes = {handled.shape, left.shape, hours.shape, first.shape}
    problems = []
    if handled.ndim != 1 or len(shapes) > 1:
        problems.append(f"all arrays must have one shape (cases,), got {sorted(shapes)}")
    if first.dtype != bool:
        problems.append(f"`must` must hold true or false, got {first.dtype}")
    problems += number_problems({"hours": hours}, above=0)
    problems += number_problems({"value_if_handled": handled, "value_if_left": left})
    if not capacity >= 0:
        problems.append(wrong("capacity", "at least 0", capacity))
    raise_problems(SpecError, "triage", problems)
    needed = hours[first].sum()
    if needed > with_rounding(capacity):
        raise SpecError(
            f"triage: the cases that must be handled need {needed:g} hours, `capacity` is "
            f"{capacity:g}: find more hours; value does not choose among them"
        )


def _fractional_bound(at_risk: Floats, hours: Floats, capacity: float, first: NDArray) -> float:
    """Value saved if the last case could be handled in part (Dantzig 1957, from memory)."""
    room = capacity - hours[first].sum()
    total = at_risk[first].sum()
    rest = np.flatnonzero(~first & (at_risk > 0))
    rest = rest[np.argsort(-(at_risk / hours)[rest], kind="stable")]
    before = np.concatenate([[0.0], np.cumsum(hours[rest])])[:-1]
    shares = np.clip((room - before) / hours[rest], 0, 1)
    return float(total + (shares * at_risk[rest]).sum())


class ServeOrEnd(NamedTuple):
    """Which stages are worth serving; arithmetic only, see the module docstring."""

    serve: Bools
    value: Floats
    charge: Floats


def serve_or_end(
    P: ArrayLike,
    margin: ArrayLike,
    *,
    discount_rate: float,
    ending_value: ArrayLike = 0.0,
) -> ServeOrEnd:
    """Stages in which serving is worth more, in currency, than ending the relationship.

    Optimal stopping: V_s = max(E_s, R_s + q sum_j P_sj V_j). Serving keeps the option to end later,
    so a stage with a negative margin may be worth serving for what it leads to. Read the conditions
    in the module's docstring before ending a relationship.

    Parameters
    ----------
    P : array_like of shape (..., K, K)
        Transition matrix per period while serving; rows sum to 1.
    margin : array_like of shape (..., K)
        Currency per period of serving a customer in each stage.
    discount_rate : float
        d: a fraction per period of `P`, above 0.
    ending_value : float or array_like of shape (..., K)
        E: what ending brings at once, in currency; negative where it costs (notice, goodwill, word
        of mouth).

    Returns
    -------
    ServeOrEnd
        `serve` (..., K), true where both tie; `value` (..., K); `charge` (..., K): the extra charge
        per period at which serving for one more period would break even, 0 where it already
        does. With draws as leading axis, the mean of `serve` is the probability that serving is
        right: end nothing on a posterior that is still in doubt.

    Raises
    ------
    SpecError
        As in `stage_value`.

    Examples
    --------
    >>> found = serve_or_end([[0.6, 0.4], [0.1, 0.9]], [-5, -2], discount_rate=0.10)
    >>> found.serve.tolist(), found.charge.tolist()
    ([False, False], [5.0, 2.0])
    >>> serve_or_end([[0.6, 0.4], [0.1, 0.9]], [-3, 2], discount_rate=0.10).serve.tolist()
    [True, True]
    """
    ending = as_floats("ending_value", ending_value)
    P, margin, keep = read_valued(
        "serve_or_end", P, margin, discount_rate, None,
        lambda *_: number_problems({"ending_value": ending}),
    )  # fmt: skip
    if discount_rate <= 0:
        raise SpecError(f"serve_or_end: needs a positive `discount_rate`, got {discount_rate:g}")
    value = _stop_best(P, margin, ending, keep)
    on = look_ahead(P[..., None, :, :], margin[..., None, :], keep, value)[..., 0, :]
    slack = 1e-9 * np.abs(value).max(initial=1.0)
    serve = on >= ending - slack
    return ServeOrEnd(serve, value, np.where(serve, 0.0, ending - on))


def _stop_best(P: Floats, margin: Floats, ending: Floats, keep: float) -> Floats:
    """Policy iteration: start by serving all, end where ending is better, until nothing changes."""
    n_stages = P.shape[-1]
    shape = (*np.broadcast_shapes(P.shape[:-2], margin.shape[:-1], ending.shape[:-1]), n_stages)
    ending = np.broadcast_to(ending, shape)
    serve = np.ones(shape, dtype=bool)
    for _ in range(2**n_stages + 1):
        inside = np.where(serve[..., None], P, 0.0)
        paid = np.where(serve, margin, ending)[..., None]
        value = np.linalg.solve(np.eye(n_stages) - keep * inside, paid)[..., 0]
        on = margin + keep * mean_ahead(P, value)
        slack = 1e-12 * np.abs(value).max(initial=1.0)
        better = np.where(serve, on >= ending - slack, on > ending + slack)
        if (better == serve).all():
            break
        serve = better
    return value
