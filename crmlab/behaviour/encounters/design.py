"""How often to make contact, and in which order."""

from collections.abc import Callable, Iterable, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems

_LONGEST_SERIES = 8  # 40,320 orders


def contact_response(n_contacts: ArrayLike, *, benefit: float, fatigue: float) -> Floats:
    """Gain in log-odds from contacts, which rises with their number per period, then falls.

    benefit n - fatigue n^2 (Fournier, Dobscha & Mick 1998 on fatigue; the form is ours).

    Parameters
    ----------
    n_contacts : array_like
        Number of contacts per period.
    benefit, fatigue : float
        Log-odds per contact, and per squared contact.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> contact_response([0, 2, 4, 8], benefit=0.8, fatigue=0.1).round(2).tolist()
    [0.0, 1.2, 1.6, 0.0]
    """
    n = np.asarray(n_contacts, dtype=float)
    return benefit * n - fatigue * n**2


def best_contacts(*, benefit: float, fatigue: float, cost: float = 0.0) -> int:
    """Whole number of contacts per period with the largest response net of cost.

    The smallest n where one more adds benefit - cost - fatigue (2 n + 1) <= 0. The
    continuous optimum is (benefit - cost) / (2 fatigue).

    Parameters
    ----------
    benefit, fatigue : float
        As in `contact_response`; fatigue above 0.
    cost : float
        Cost of one contact, in the units of the response.

    Returns
    -------
    int

    Raises
    ------
    SpecError
        `fatigue` is not above 0: without fatigue, no number is best.

    Examples
    --------
    >>> best_contacts(benefit=0.8, fatigue=0.1), best_contacts(benefit=0.8, fatigue=0.1, cost=0.4)
    (4, 2)
    """
    raise_problems(SpecError, "best_contacts", number_problems({"fatigue": fatigue}, above=0))
    optimum = (benefit - cost) / (2 * fatigue)
    # Rounding may put an exact tie between n and n + 1 a hair above the half.
    return max(0, int(np.ceil(optimum - 0.5 - 1e-9)))


def best_order(
    encounters: Sequence[float],
    remember: Callable[[Floats], Floats],
    *,
    before: Iterable[tuple[int, int]] = (),
) -> tuple[int, ...]:
    """Order of the steps that leaves the best memory, as positions in the given list.

    All orders that keep the constraints are tried. Among equals, the first in dictionary order
    wins.

    Parameters
    ----------
    encounters : sequence of float
        At most eight.
    remember : callable
        Takes encounters (..., n) in order and returns the memory after each, (..., n), as the
        functions of `memory` do.
    before : iterable of (int, int)
        Pairs (i, j): step i must come before step j.

    Returns
    -------
    tuple of int

    Raises
    ------
    SpecError
        Too many steps, or constraints on steps that do not exist or that form a circle.

    Examples
    --------
    Finish strong; then, with a memory that fades, bad steps early, but step 0 before step 2:

    >>> from crmlab.behaviour.encounters import remember_peak_end, remember_sum
    >>> steps = [1, 5, -3, 2]
    >>> best_order(steps, remember_peak_end)
    (0, 2, 3, 1)
    >>> best_order(steps, lambda x: remember_sum(x, keep=0.8), before=[(0, 2)])
    (0, 2, 3, 1)
    """
    pairs = list(before)
    n = len(encounters)
    problems = []
    if not 1 <= n <= _LONGEST_SERIES:
        problems.append(f"`encounters` must hold 1 to {_LONGEST_SERIES} steps, got {n}")
    if any(not (0 <= i < n and 0 <= j < n) for i, j in pairs):
        problems.append(f"`before` names steps outside 0 to {n - 1}: {pairs}")
    raise_problems(SpecError, "best_order", problems)
    orders = np.array([p for p in permutations(range(n)) if _keeps(p, pairs)])
    if not len(orders):
        raise SpecError(f"best_order: `before` forms a circle, so no order keeps it: {pairs}")
    memory = remember(np.asarray(encounters, dtype=float)[orders])[..., -1]
    # Sums of the same steps in another order differ by rounding only: these count as equal.
    best = np.flatnonzero(np.isclose(memory, memory.max(), rtol=1e-12, atol=1e-12))[0]
    return tuple(int(step) for step in orders[best])


def _keeps(order: tuple[int, ...], pairs: list[tuple[int, int]]) -> bool:
    return all(order.index(i) < order.index(j) for i, j in pairs)
