"""From customer tables to buyers: histories, a fitted population, and spending."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.btyd.base import BuyTillYouDie
from crmlab.btyd.fitted import FittedPurchases, amounts_of, by_customer, check_kind, spenders
from crmlab.btyd.gamma_gamma import GammaGamma, fit_gammagamma
from crmlab.errors import DataError, check_one_of
from crmlab.tables import CustomerTables, observed_cells, to_panel

_DAYS = {"D": 1, "W": 7}


@dataclass(frozen=True)
class Buyers(FittedPurchases):
    """Customers, and the buy-till-you-die population that was fitted to them.

    Parameters
    ----------
    population : BuyTillYouDie
    histories : DataFrame
        Indexed by customer_id: frequency, recency, T and, if amounts are known, monetary_value
        (mean amount of a repeat purchase; 0 without one).
    freq : str
        The unit of recency and T, a pandas period alias.
    spend : GammaGamma, optional
        The population of spenders; None if no amounts are known.
    """

    population: BuyTillYouDie
    histories: pd.DataFrame
    freq: str
    spend: GammaGamma | None = None

    def alive(self) -> xr.DataArray:
        """Probability that each customer is alive at the end of her history, (customer_id,)."""
        return by_customer(self.histories, self.population.prob_alive(*self.history))

    def purchases(self, t: float) -> xr.DataArray:
        """Mean purchases of each customer in the next time t, (customer_id,)."""
        ahead = self.population.expected_purchases(t, *self.history)
        return by_customer(self.histories, ahead)

    def amounts(self) -> xr.DataArray | None:
        """Mean amount of each customer's future purchases, (customer_id,), in currency."""
        return None if self.spend is None else amounts_of(self.histories, self.spend)


def fit_buyers(kind: type[BuyTillYouDie], tables: CustomerTables, *, freq: str = "W") -> Buyers:
    """Fit a buy-till-you-die model to customer tables, by maximum likelihood.

    Parameters
    ----------
    kind : subclass of BuyTillYouDie
        `BGNBD`, `MBGNBD`, `ParetoNBD`, or `BGBB`, which counts whole periods.
    tables : CustomerTables
        With the channel "orders", as `tables_from_orders` makes it, and, if known, "spend".
    freq : str
        The unit of time: "W" or "D", and for `BGBB` any period of `to_panel`.

    Returns
    -------
    Buyers
        With a Gamma-Gamma population of the amounts of repeat purchases, if there are amounts.

    Raises
    ------
    DataError
        If the tables have no channel "orders", or the data do not determine the parameters.
    SpecError
        If `kind` is not a buy-till-you-die model, or `freq` is not a valid unit of time.

    Examples
    --------
    >>> from crmlab.btyd import BGNBD
    >>> from crmlab.datasets import load_cdnow_sample
    >>> from crmlab.tables import split_holdout, tables_from_orders
    >>> shop = tables_from_orders(load_cdnow_sample(), window=("1997-01-01", "1998-06-30"))
    >>> first, later = split_holdout(shop, cutoff="1997-10-01")
    >>> buyers = fit_buyers(BGNBD, first)
    >>> round(buyers.population.r, 3), round(buyers.spend.p, 2)
    (0.243, 6.25)
    """
    check_kind("fit_buyers", kind)
    histories = count_purchases(tables, freq=freq, whole_periods=kind.whole_periods)
    population = kind.fit(*(histories[name] for name in ("frequency", "recency", "T")))
    return Buyers(population, histories, freq, _fit_spend(histories))


def _fit_spend(histories: pd.DataFrame) -> GammaGamma | None:
    known = spenders(histories)
    return None if known is None else fit_gammagamma(*known)


def count_purchases(
    tables: CustomerTables, *, freq: str = "W", whole_periods: bool = False
) -> pd.DataFrame:
    """Summarise the purchases of each customer in the tables.

    Parameters
    ----------
    tables : CustomerTables
        With the channel "orders" and, if known, "spend".
    freq : str
        The unit of time.
    whole_periods : bool
        Count periods with an order after the first one's period, instead of days.

    Returns
    -------
    DataFrame
        Indexed by customer_id: frequency, recency, T in units of `freq`; `repeats`, the days with
        a repeat purchase; monetary_value, their mean amount (currency; 0 without one), if there
        are amounts.

    Raises
    ------
    DataError
        If there is no channel "orders", or `whole_periods` is False and the tables have no days.
    """
    if "orders" not in tables.channels:
        raise DataError(
            "fit_buyers: the tables have no channel 'orders'; `tables_from_orders` makes it"
        )
    if not tables.is_dated:
        raise DataError("fit_buyers: the tables have periods, but this model needs days")
    days = _count_days(tables, freq if not whole_periods else "D")
    if not whole_periods:
        return days
    return pd.concat([_count_periods(tables, freq), days.drop(columns=_HISTORY)], axis=1)


_HISTORY = ["frequency", "recency", "T"]


def _count_days(tables: CustomerTables, freq: str) -> pd.DataFrame:
    check_one_of("fit_buyers", "freq", freq, _DAYS)
    unit = pd.Timedelta(days=_DAYS[freq])
    start, end = _first_days(tables), _last_days(tables)
    repeats = _repeats(tables, "orders", start).groupby("customer_id")["date"]
    counts = repeats.size().reindex(start.index).fillna(0).astype(int)
    last = repeats.max().reindex(start.index).fillna(start)
    days = {
        "frequency": counts,
        "recency": (last - start) / unit,
        "T": (end - start) / unit,
        "repeats": counts,
    }
    if "spend" in tables.channels:
        amounts = _repeats(tables, "spend", start).groupby("customer_id")["value"]
        days["monetary_value"] = amounts.mean().reindex(start.index).fillna(0.0)
    return pd.DataFrame(days)


def _events(tables: CustomerTables, channel: str) -> pd.DataFrame:
    events = tables.table("events")
    return events[events["channel"] == channel]


def _first_days(tables: CustomerTables) -> pd.Series:
    """Day of each customer's first purchase: her `start`, otherwise her first order."""
    orders = _events(tables, "orders")
    first = orders.groupby("customer_id")["date"].min()
    customers = tables.customers.set_index("customer_id")
    start = first.reindex(customers.index)
    if "start" in customers:
        start = customers["start"].fillna(start)
    if start.isna().any():
        example = start.index[start.isna()][0]
        raise DataError(
            f"fit_buyers: {int(start.isna().sum())} customers have neither an order nor a start, "
            f"for example {example!r}; leave out customers who never bought"
        )
    return start.dt.normalize()


def _last_days(tables: CustomerTables) -> pd.Series:
    """Last day on which each customer is observed: her `end`, otherwise that of the window."""
    customers = tables.customers.set_index("customer_id")
    last = pd.Series(pd.Timestamp(tables.window[1]), index=customers.index)
    return (customers["end"].fillna(last) if "end" in customers else last).dt.normalize()


def _repeats(tables: CustomerTables, channel: str, start: pd.Series) -> pd.DataFrame:
    """Purchase days of a channel after the first one: one row per day, amounts added up."""
    events = _events(tables, channel)
    days = events.assign(date=events["date"].dt.normalize())
    merged = days.groupby(["customer_id", "date"], as_index=False)["value"].sum()
    return merged[merged["date"] > merged["customer_id"].map(start)]


def _count_periods(tables: CustomerTables, freq: str) -> pd.DataFrame:
    panel = to_panel(tables, freq=freq, channels=["orders"])
    orders = panel["orders"].transpose("customer_id", "period")
    observed = observed_cells(panel)
    place = np.cumsum(observed, axis=1) - 1  # 0 in the period of the first purchase
    bought = (orders.values > 0) & (place > 0)
    columns = (bought.sum(axis=1), (bought * place).max(axis=1), observed.sum(axis=1) - 1)
    ids = pd.Index(panel["customer_id"].values, name="customer_id")
    return pd.DataFrame(dict(zip(_HISTORY, columns, strict=True)), index=ids).astype(float)
