"""Orders: the simplest record that a firm has, and two ways to use it.

An orders file has one row per order: who, when and, if known, how much. `rfm_summary` turns
it into the four numbers per customer that buy-till-you-die models need; `tables_from_orders` turns
it into `CustomerTables`, from which any panel can be made.

Both count **purchase days**: orders of one customer on one day are one purchase, and their amounts
add up. Fader and Hardie count this way, and a model of purchases as points in time needs it,
because in such a model two points never coincide.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from crmlab.errors import DataError, SpecError, check_one_of, error_of, raise_problems, refuse
from crmlab.tables.customer_tables import CustomerTables
from crmlab.tables.records import (
    as_frame,
    extra_columns,
    id_problems,
    read_time,
    row_problems,
    time_faults,
    to_dates,
    to_ids,
    to_numbers,
)
from crmlab.tables.storage import read_frame, with_plain_ids

_DAYS = {"D": 1, "W": 7}


def read_orders(path: str | Path) -> pd.DataFrame:
    """Read an orders file, one row per order.

    Parameters
    ----------
    path : path of a .csv or .parquet file
        Columns customer_id, date (ISO 8601), and, if known, amount (currency, not negative).
        Further columns are kept.

    Returns
    -------
    DataFrame
        As `clean_orders` returns it.

    Raises
    ------
    DataError
        If the file is missing, empty or unreadable, or orders break a rule: all problems at once.
    """
    path = Path(path)
    return clean_orders(with_plain_ids({"orders": read_frame(path)})["orders"], owner=path.name)


def clean_orders(orders: pd.DataFrame, *, owner: str = "clean_orders") -> pd.DataFrame:
    """Convert and check orders.

    Parameters
    ----------
    orders : DataFrame
        customer_id (whole number or text), date, optional amount (currency, not negative).
    owner : str
        The function or file to name in an error.

    Returns
    -------
    DataFrame
        customer_id as int64 or str, date as datetime64, amount as float64, in the original order.

    Raises
    ------
    DataError
        If orders break a rule; the message lists all problems with example rows.

    Examples
    --------
    >>> clean_orders(pd.DataFrame({"customer_id": [1], "date": ["31.1.97"], "amount": [-3]}))
    Traceback (most recent call last):
    ...
    crmlab.errors.DataError: clean_orders: 2 problems
      - orders: 1 row whose date cannot be read (use ISO 8601 text such as 1997-01-31, \
without a time zone): row 0 (customer_id=1, date='31.1.97', amount=-3)
      - orders: 1 row whose amount is negative (record returns as a channel of \
their own): row 0 (customer_id=1, date='31.1.97', amount=-3)
    """
    frame, problems = as_frame("orders", orders, ["customer_id", "date"])
    if frame is None:
        raise error_of(DataError, owner, problems)
    columns = {"customer_id": to_ids(frame["customer_id"]), "date": to_dates(frame["date"])}
    faults = time_faults("date", frame["date"], columns["date"])
    if "amount" in frame:
        columns["amount"] = to_numbers(frame["amount"])
        faults |= _amount_faults(columns["amount"])
    extras, extra_problems = extra_columns("orders", frame, list(columns))
    clean = pd.DataFrame(columns | extras)
    problems = [] if len(frame) else ["orders: has no rows"]
    problems += id_problems("orders", frame, clean) + row_problems("orders", frame, faults)
    raise_problems(DataError, owner, problems + extra_problems)
    return clean


def _amount_faults(amounts: pd.Series) -> dict[str, pd.Series]:
    finite = amounts.abs() < float("inf")
    return {
        "whose amount is missing or not a finite number": ~finite,
        "whose amount is negative (record returns as a channel of their own)": finite
        & (amounts < 0),
    }


def purchase_days(orders: pd.DataFrame) -> pd.DataFrame:
    """Merge the orders of one customer on one day into one purchase.

    Parameters
    ----------
    orders : DataFrame
        As `clean_orders` returns it.

    Returns
    -------
    DataFrame
        customer_id, date (the day), amount (their sum; if there are amounts) and first (the day of
        the customer's first purchase), sorted by customer and day.
    """
    days = orders.assign(date=orders["date"].dt.normalize())
    amounts = [column for column in ("amount",) if column in orders]
    # a fixed order of summation keeps the last digit of an amount when rows are reordered
    ordered = days.sort_values(["customer_id", "date", *amounts])[["customer_id", "date", *amounts]]
    merged = ordered.groupby(["customer_id", "date"], as_index=False, sort=True).sum()
    return merged.assign(first=merged.groupby("customer_id")["date"].transform("min"))


def rfm_summary(orders: pd.DataFrame, *, observation_end: Any, freq: str = "W") -> pd.DataFrame:
    """Summarise orders per customer, in the buy-till-you-die sense.

    Parameters
    ----------
    orders : DataFrame
        customer_id, date, optional amount (currency).
    observation_end : date
        The last day of observation, inclusive. Later orders are left out, and so are customers
        whose first order is later.
    freq : {"W", "D"}
        The unit of recency and T: weeks (days / 7, with decimals) or days.

    Returns
    -------
    DataFrame
        One row per customer, sorted by customer_id:

        - frequency: repeat purchases, i.e. days with an order after the day of the first;
        - recency: time from the first purchase to the last (0 if there was no repeat);
        - T: time from the first purchase to the end of observation;
        - monetary_value: mean amount of a repeat purchase (currency; 0 if there was none), if the
          orders have amounts.

    Raises
    ------
    DataError
        If orders break a rule; all problems at once.
    SpecError
        If `observation_end` is not a date or comes before every order.

    References
    ----------
    Fader, Hardie and Lee (2005), "'Counting your customers' the easy way", Marketing Science
    24(2), 275-284: the data of the model are X = x, t_x, T.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": 1, "amount": [29.33, 29.73, 14.96],
    ...                        "date": ["1997-01-01", "1997-01-18", "1997-08-02"]})
    >>> rfm_summary(orders, observation_end="1997-09-30").round(2).to_dict("records")
    [{'customer_id': 1, 'frequency': 2, 'recency': 30.43, 'T': 38.86, 'monetary_value': 22.34}]
    """
    check_one_of("rfm_summary", "freq", freq, _DAYS)
    end = _check_end(observation_end)
    days = purchase_days(clean_orders(orders, owner="rfm_summary"))
    seen = days[days["date"] <= end]
    if seen.empty:
        raise SpecError(
            "rfm_summary: `observation_end` must not be before the first order "
            f"({days['date'].min().date()}), got {observation_end!r}"
        )
    return _summarise(seen, end, pd.Timedelta(days=_DAYS[freq]))


def _check_end(value: object) -> pd.Timestamp:
    end = read_time(value)
    if not isinstance(end, pd.Timestamp):
        refuse("rfm_summary", "observation_end", "a date such as '1997-09-30'", value)
    return end


def _summarise(days: pd.DataFrame, end: pd.Timestamp, unit: pd.Timedelta) -> pd.DataFrame:
    by_customer = days.groupby("customer_id")
    first, last = by_customer["date"].min(), by_customer["date"].max()
    summary = {
        "frequency": by_customer.size() - 1,
        "recency": (last - first) / unit,
        "T": (end - first) / unit,
    }
    if "amount" in days:
        repeats = days[days["date"] > days["first"]].groupby("customer_id")["amount"]
        summary["monetary_value"] = repeats.mean().reindex(first.index).fillna(0.0)
    return pd.DataFrame(summary).reset_index()


def tables_from_orders(
    orders: pd.DataFrame,
    *,
    window: tuple[Any, Any] | None = None,
    currency: str = "currency units",
) -> CustomerTables:
    """Make customer tables from orders.

    Parameters
    ----------
    orders : DataFrame
        customer_id, date, optional amount (currency).
    window : (first, last) dates, optional
        The first and last day of recording, both inclusive. Default: from the first order to the
        last. A customer is observed from the first purchase onwards.
    currency : str
        The unit of the amounts, e.g. "USD".

    Returns
    -------
    CustomerTables
        Customers sorted by id, with `start`, the day of the first purchase. Events in three
        channels: "orders", 1 per day with an order; "repeat_orders", the same without the first
        day, because an order that makes someone a customer says nothing about the rate of the next
        ones; "spend", the amount of each purchase day, if there are amounts.

    Raises
    ------
    DataError
        If orders break a rule or lie outside the window; all problems at once.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": 1, "amount": [29.33, 29.73],
    ...                        "date": ["1997-01-01", "1997-01-18"]})
    >>> tables_from_orders(orders, window=("1997-01-01", "1997-01-21"), currency="USD")
    CustomerTables(1 customers; 5 events (orders, repeat_orders, spend); window 1997-01-01 to
    1997-01-21)
    """
    days = purchase_days(clean_orders(orders, owner="tables_from_orders"))
    channels = {"orders": days, "repeat_orders": days[days["date"] > days["first"]]}
    rows = [_events(name, frame, 1.0) for name, frame in channels.items()]
    if "amount" in days:
        rows.append(_events("spend", days, days["amount"]))
    names = [*channels, "spend"][: len(rows)]
    events = pd.concat(rows, ignore_index=True)
    units = {"orders": "purchase days", "repeat_orders": "purchase days", "spend": currency}
    return CustomerTables(
        days.groupby("customer_id", as_index=False)["first"]
        .min()
        .rename(columns={"first": "start"}),
        events.assign(channel=events["channel"].astype(pd.CategoricalDtype(names))),
        window=window or (),
        units={name: units[name] for name in names},
    )


def _events(channel: str, days: pd.DataFrame, value: float | pd.Series) -> pd.DataFrame:
    return days[["customer_id", "date"]].assign(channel=channel, value=value)
