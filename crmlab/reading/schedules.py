"""Orders at constant gaps: payments under a contract rather than purchases."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.reading.disk import Stored
from crmlab.reading.quality import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKED_AT = 200_000  # orders, about; of larger files every so many-th customer is looked at
_FEWEST_GAPS, _FEWEST_CUSTOMERS, _SHARE = 3, 5, 0.3
_SHORTEST, _TOLERANCE, _MOST_DAYS = 5, 0.15, 3  # months have 28 to 31 days


def find_constant_gaps(orders: "pd.DataFrame | Stored") -> list[Finding]:
    """Find customers who order at constant gaps, and point to the models of contracts.

    Parameters
    ----------
    orders : DataFrame or Stored
        customer_id, date.

    Returns
    -------
    list of Finding
        At most one; its rows are those of the customers who were looked at.

    Examples
    --------
    >>> days = pd.date_range("2024-01-01", periods=6, freq="MS")
    >>> orders = pd.DataFrame([(who, day) for who in "abcde" for day in days],
    ...                       columns=["customer_id", "date"])
    >>> find_constant_gaps(orders)[0].rows
    30
    """
    some = _take_some(orders)
    days = some[["customer_id", "date"]].drop_duplicates().sort_values(["customer_id", "date"])
    gaps = days.groupby("customer_id")["date"].diff().dt.days
    known = gaps.notna()
    gaps, who = gaps[known], days["customer_id"][known]
    middle = gaps.groupby(who).transform("median")
    near = (gaps - middle).abs() <= np.minimum(_MOST_DAYS, _TOLERANCE * middle)
    by_customer = pd.DataFrame({"near": near, "middle": middle}).groupby(who).agg(
        n=("near", "size"), near=("near", "mean"), middle=("middle", "first")
    )  # fmt: skip
    often = by_customer[by_customer["n"] >= _FEWEST_GAPS]
    steady = often[(often["near"] >= 0.9) & (often["middle"] >= _SHORTEST)]
    if len(steady) < max(_FEWEST_CUSTOMERS, _SHARE * len(often)):
        return []
    count = int(some["customer_id"].isin(steady.index).sum())
    done = (
        f"kept: {len(steady):,} of {len(often):,} customers with at least {_FEWEST_GAPS + 1} "
        f"orders order every {steady['middle'].median():.0f} days or so, as under a contract; "
        "then silence means that it has ended, and the models of crmlab.contract fit better"
    )
    return [Finding("orders at constant gaps", count, done)]


def _take_some(orders: "pd.DataFrame | Stored") -> pd.DataFrame:
    """Take all customers of a small file, and some of a large one, by a hash of their ids."""
    part = -(-len(orders) // _LOOKED_AT)
    if isinstance(orders, Stored):
        return orders.of(orders.names[_hash(orders.names) % part == 0])
    if part == 1:
        return orders
    codes, ids = pd.factorize(orders["customer_id"])
    return orders[(_hash(ids.to_numpy(object)) % part == 0)[codes]]


def _hash(ids: "NDArray") -> "NDArray[np.uint64]":
    return pd.util.hash_array(np.asarray(ids, dtype=object), categorize=False)
