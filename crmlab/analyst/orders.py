"""Questions about orders in memory or on disk.

Each function takes a frame (customer_id, date, perhaps amount) or `Stored` orders, for which an
engine computes the same answer; an answer has at most a row per customer or day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.analyst.sample import draw_sample
from crmlab.btyd.customers import count_purchases
from crmlab.reading.disk import Stored, part_codes
from crmlab.tables import tables_from_orders
from crmlab.tables.orders import purchase_days
from crmlab.warehouse import daily_purchases, order_summary

type Orders = pd.DataFrame | Stored
_BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class Tally:
    """Counts of days, from which a plan is made.

    Parameters
    ----------
    joined : Series
        Number of customers by the day of their first order.
    repeats : Series
        Number of repeat purchases by day.
    n_repeaters : int
        Customers with a repeat purchase.
    """

    joined: pd.Series
    repeats: pd.Series
    n_repeaters: int

    @property
    def n_repeats(self) -> int:
        """Total number of repeat purchases."""
        return int(self.repeats.sum())

    def exposure(self, last: pd.Timestamp) -> int:
        """Days from the first order to a given day, both included, summed over all customers."""
        return int((((last - self.joined.index).days + 1) * self.joined).sum())


def tally_days(orders: Orders) -> Tally:
    """Count customers by the day of their first order, and repeat purchases by day."""
    if isinstance(orders, Stored):
        return _tally_stored(orders)
    days = purchase_days(orders)
    repeats = days[days["date"] > days["first"]]
    return Tally(
        days.groupby("customer_id")["first"].first().value_counts().sort_index(),
        repeats["date"].value_counts().sort_index(),
        repeats["customer_id"].nunique(),
    )


def _tally_stored(orders: Stored) -> Tally:
    import ibis

    days = _days_of(orders)
    first = days["day"].min().over(ibis.window(group_by="customer_id"))
    dated = days.mutate(first=first)
    repeats = dated.filter(dated["day"] > dated["first"])
    counts = [
        orders.disk.collect(some.group_by("day").aggregate(n=some.count()).order_by("day"))
        for some in (dated.filter(dated["day"] == dated["first"]), repeats)
    ]
    joined, repeated = (
        pd.Series(found["n"].to_numpy(), pd.DatetimeIndex(found["day"])) for found in counts
    )
    n = repeats.select("customer_id").distinct().count()
    return Tally(joined, repeated, int(orders.disk.connection.to_pyarrow(n).as_py()))


def _days_of(orders: Stored) -> Any:
    """Merge the orders of one customer on one day; customer_id is a code."""
    return daily_purchases(_exact(orders))


def _exact(orders: Stored) -> Any:
    """Write amounts as decimals: sums of floats depend on the order of the rows, which varies."""
    table = orders.table.rename(customer_id="customer")
    if "amount" not in orders:
        return table
    return table.mutate(amount=table["amount"].cast("decimal(38, 10)"))


def summarise_orders(orders: Orders, window: tuple[pd.Timestamp, pd.Timestamp]) -> pd.DataFrame:
    """Return the history of each customer in weeks, as `count_purchases` does.

    Parameters
    ----------
    orders : DataFrame or Stored
    window : (first day, last day)
    """
    if not isinstance(orders, Stored):
        return count_purchases(tables_from_orders(orders, window=window), freq="W")
    summary = order_summary(_exact(orders), observation_end=window[1]).order_by("customer_id")
    found = orders.disk.collect(summary)
    columns = ["frequency", "recency", "T"]
    frame = found[columns].assign(repeats=found["frequency"])
    if "monetary_value" in found:
        frame["monetary_value"] = found["monetary_value"]
    return frame.set_index(_ids(orders, found["customer_id"]))


def first_days(orders: Orders) -> pd.DataFrame:
    """Return first and last day, purchases and amount of each customer, sorted by id."""
    if isinstance(orders, Stored):
        days = _days_of(orders)
        sums = {"amount": days["amount"].sum().cast("float64")} if "amount" in orders else {}
        table = days.group_by("customer_id").aggregate(
            first_order=days["day"].min(), last_order=days["day"].max(), orders=days.count(), **sums
        )
        found = orders.disk.collect(table.order_by("customer_id"))
        ids = _ids(orders, found["customer_id"])
        return found.drop(columns="customer_id").set_index(ids)
    days = purchase_days(orders)
    by = days.groupby("customer_id")
    frame = pd.DataFrame({"first_order": by["date"].min(), "last_order": by["date"].max(),
                          "orders": by.size()})  # fmt: skip
    return frame.assign(amount=by["amount"].sum()) if "amount" in days else frame


def count_cohorts(orders: Orders, unit: str) -> pd.DataFrame:
    """Count customers and orders by the calendar period of a customer's first order, and of theirs.

    Parameters
    ----------
    orders : DataFrame or Stored
    unit : {"W", "M", "Q", "Y"}

    Returns
    -------
    DataFrame
        joined and period (first days of calendar periods), customers, orders (days with an order),
        and amount if amounts are known; sorted, one row for each pair that holds an order.
    """
    if isinstance(orders, Stored):
        return _count_stored_cohorts(orders, unit)
    days = purchase_days(orders)
    begun = {
        name: days[column].dt.to_period(unit).dt.start_time
        for name, column in (("joined", "first"), ("period", "date"))
    }
    by = days.assign(**begun).groupby(["joined", "period"])
    counts = pd.DataFrame({"customers": by["customer_id"].nunique(), "orders": by.size()})
    counts = counts.assign(amount=by["amount"].sum()) if "amount" in days else counts
    return counts.reset_index()


def _count_stored_cohorts(orders: Stored, unit: str) -> pd.DataFrame:
    table, days = orders.table.rename(customer_id="customer"), _days_of(orders)
    joined = table.group_by("customer_id").aggregate(joined=table["date"].min().truncate(unit))
    dated = days.mutate(period=days["day"].truncate(unit)).join(joined, "customer_id")
    sums = {"amount": dated["amount"].sum().cast("float64")} if "amount" in orders else {}
    counts = dated.group_by(["joined", "period"]).aggregate(
        customers=dated["customer_id"].nunique(), orders=dated.count(), **sums
    )
    return orders.disk.collect(counts.order_by(["joined", "period"]))


def _ids(orders: Stored, codes: pd.Series) -> pd.Index:
    names: NDArray[np.str_] = orders.names[codes.to_numpy(np.int64)]
    return pd.Index(names, dtype="str", name="customer_id")


def orders_of(orders: Orders, ids: pd.Index) -> pd.DataFrame:
    """Bring the orders of some customers into memory."""
    if isinstance(orders, Stored):
        return orders.of(ids)
    return orders[orders["customer_id"].isin(ids)]


def sample_orders(
    orders: Orders, window: tuple[pd.Timestamp, pd.Timestamp], size: int, *, seed: int
) -> pd.DataFrame:
    """Bring the orders of a stratified sample of customers into memory."""
    histories = summarise_orders(orders, window)
    return orders_of(orders, histories.index[draw_sample(histories, size, seed=seed)])


def orders_until(orders: Orders, last: pd.Timestamp) -> Orders:
    """Leave out the orders after a day."""
    if isinstance(orders, Stored):
        return orders.until(last)
    return orders[orders["date"] <= last].reset_index(drop=True)


def count_until(orders: Orders, last: pd.Timestamp) -> int:
    """Count the orders up to a day."""
    if isinstance(orders, Stored):
        return orders.count_until(last)
    return int((orders["date"] <= last).sum())


def order_blocks(orders: Orders, n_customers: int) -> Iterator[pd.DataFrame]:
    """Bring the orders of all customers into memory, block after block, sorted by id.

    Parameters
    ----------
    orders : DataFrame or Stored
    n_customers : int
        Customers per block of a frame; blocks of stored orders have about as many rows each.
    """
    if isinstance(orders, Stored):
        by_customer = orders.table.group_by("customer").aggregate(n=orders.table.count())
        counts = orders.disk.collect(by_customer.order_by("customer"))
        for first, last in part_codes(counts, _BLOCK_ROWS):
            yield orders.block(first, last)
        return
    ids = np.sort(orders["customer_id"].unique())
    for begin in range(0, len(ids), n_customers):
        yield orders_of(orders, pd.Index(ids[begin : begin + n_customers]))
