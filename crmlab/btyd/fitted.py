"""One face for whatever was fitted to purchases: customers, and what is expected of each.

`Buyers` has one set of parameters, `BuyersPosterior` one per draw, `MarketingBuyers` asks
PyMC-Marketing. `crmlab.value.customers` puts the same questions to all of them.
"""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.btyd.base import BuyTillYouDie
from crmlab.btyd.gamma_gamma import GammaGamma
from crmlab.errors import SpecError


class FittedPurchases(ABC):
    """Customers and what a purchase model expects of each of them.

    Attributes
    ----------
    histories : DataFrame
        Indexed by customer_id: frequency, recency, T in units of `freq`, as `count_purchases`
        makes them.
    freq : str
        The unit of time, a pandas period alias.
    """

    histories: pd.DataFrame
    freq: str

    @abstractmethod
    def alive(self) -> xr.DataArray:
        """Probability of being alive at the end of the history (..., customer_id)."""

    @abstractmethod
    def purchases(self, t: float) -> xr.DataArray:
        """Mean purchases in the time t to come, in events (..., customer_id)."""

    @abstractmethod
    def amounts(self) -> xr.DataArray | None:
        """Mean amount of a purchase to come, in currency (..., customer_id); None if not known."""

    @property
    def history(self) -> list[np.ndarray]:
        """Frequency, recency and T of each customer, as a population reads them."""
        return [
            self.histories[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T")
        ]

    def thinned(self, draws: int) -> Self:
        """Give the same with at most about `draws` posterior draws; all where there are none."""
        return self


def check_kind(owner: str, kind: object) -> None:
    """Refuse what is no buy-till-you-die model."""
    if not (isinstance(kind, type) and issubclass(kind, BuyTillYouDie)):
        raise SpecError(
            f"The `kind` parameter of `{owner}` must be a buy-till-you-die model such as BGNBD, "
            f"got {kind!r}."
        )


def by_customer(histories: pd.DataFrame, values: np.ndarray) -> xr.DataArray:
    """Label one number per customer."""
    return xr.DataArray(values, dims="customer_id", coords={"customer_id": histories.index.values})


def by_draw(histories: pd.DataFrame, values: np.ndarray) -> xr.DataArray:
    """Label one number per draw and customer (draws, customers), as one chain."""
    coords = {"chain": [0], "draw": np.arange(len(values)), "customer_id": histories.index.values}
    return xr.DataArray(values[None], dims=("chain", "draw", "customer_id"), coords=coords)


def spenders(histories: pd.DataFrame) -> tuple[pd.Series, pd.Series] | None:
    """Repeat purchases and mean amount of those who bought again; None if no amounts are known."""
    if "monetary_value" not in histories:
        return None
    chosen = histories[histories["monetary_value"] > 0]
    return chosen["repeats"], chosen["monetary_value"]


def amounts_of(histories: pd.DataFrame, spend: GammaGamma) -> xr.DataArray:
    """Mean amount of each customer's purchases to come, in currency (customer_id,)."""
    amounts = spend.expected_spend(histories["repeats"], histories["monetary_value"])
    return by_customer(histories, amounts)
