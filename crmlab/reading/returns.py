"""Returns and cancellations: negative amounts, matched with the purchase that they undo.

A return is not a purchase, and neither, in the end, is a purchase returned in full. So a negative
row is matched with the same customer's latest earlier purchase of exactly that amount, and both are
set aside. If there is none, the amount is subtracted from the latest earlier purchase that is large
enough; if there is none, from several, the latest first. If all of them together are not enough,
only the return is set aside. Each case is counted.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.arrays import Bools, Floats

_CENT = 0.005
_MARKS = ("unmatched", "undone", "reduced", "several")


@dataclass(frozen=True)
class Settled:
    """The effect of returns on orders; arrays over the input rows.

    Parameters
    ----------
    is_return, unmatched : boolean arrays (n,)
        Negative rows, and those of them for which no purchase was found.
    undone, reduced : boolean arrays (n,)
        Purchases returned in full, and in part.
    several : boolean array (n,)
        Returns that were taken off several purchases.
    amounts : ndarray (n,)
        With partial returns subtracted.
    """

    is_return: Bools
    unmatched: Bools
    undone: Bools
    reduced: Bools
    several: Bools
    amounts: Floats


def settle_returns(orders: pd.DataFrame) -> Settled:
    """Match returns with purchases.

    Parameters
    ----------
    orders : DataFrame
        customer_id, date, amount (currency; negative = a return), in any order.

    Returns
    -------
    Settled

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": ["a"] * 3, "amount": [20.0, 30.0, -20.0],
    ...                        "date": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-09"])})
    >>> settle_returns(orders).undone.tolist()
    [True, False, False]
    """
    amounts = orders["amount"].to_numpy(float).copy()
    negative = amounts < 0
    marks = {name: np.zeros(len(orders), bool) for name in _MARKS}
    touched = orders["customer_id"].isin(orders["customer_id"][negative]).to_numpy()
    rows = np.flatnonzero(touched)
    # by day; within a day purchases come first, as goods are bought before they are returned
    order = np.lexsort((negative[rows], orders["date"].to_numpy()[rows]))
    ids = orders["customer_id"].to_numpy()
    bought: dict[object, list[int]] = defaultdict(list)
    for row in rows[order]:
        if not negative[row]:
            bought[ids[row]].append(row)
            continue
        _settle(row, bought[ids[row]], amounts, marks)
    return Settled(negative, *(marks[name] for name in _MARKS), amounts)


def _settle(row: int, earlier: list[int], amounts: Floats, marks: dict[str, Bools]) -> None:
    """Find the purchase that one return belongs to, the latest first."""
    back = -amounts[row]
    whole = next((r for r in reversed(earlier) if abs(amounts[r] - back) < _CENT), None)
    if whole is not None:
        marks["undone"][whole] = True
        earlier.remove(whole)
        return
    part = next((r for r in reversed(earlier) if amounts[r] > back), None)
    if part is not None:
        marks["reduced"][part] = True
        amounts[part] -= back
    elif sum(amounts[r] for r in earlier) > back - _CENT:
        marks["several"][row] = True
        _take_off_several(back, earlier, amounts, marks)
    else:
        marks["unmatched"][row] = True


def _take_off_several(
    back: float, earlier: list[int], amounts: Floats, marks: dict[str, Bools]
) -> None:
    """Take an amount off the latest purchases, one after another."""
    while back >= _CENT:
        last = earlier[-1]
        if amounts[last] < back + _CENT:
            back -= amounts[last]
            marks["undone"][earlier.pop()] = True
        else:
            marks["reduced"][last] = True
            amounts[last] -= back
            back = 0.0
