"""The common interface of fitted purchase models: customers, and what each is expected to do.

`Buyers` has one set of parameters, `BuyersPosterior` one per draw, `MarketingBuyers` wraps
PyMC-Marketing. `crmlab.value.any_model` works with all of them.
"""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.arrays import check_count
from crmlab.btyd.base import BuyTillYouDie
from crmlab.btyd.gamma_gamma import GammaGamma
from crmlab.errors import refuse


class FittedPurchases(ABC):
    """Customers, and the expectations of a purchase model about each of them.

    Attributes
    ----------
    histories : DataFrame
        Indexed by customer_id: frequency, recency, T in units of `freq`, as `count_purchases`
        returns them.
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
        """Mean purchases in the next time t, in events (..., customer_id)."""

    @abstractmethod
    def amounts(self) -> xr.DataArray | None:
        """Mean amount of a future purchase, in currency (..., customer_id); None if not known."""

    @property
    def history(self) -> list[np.ndarray]:
        """Frequency, recency and T of each customer, as the methods of a population expect them."""
        return [
            self.histories[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T")
        ]

    def thinned(self, draws: int) -> Self:
        """Return a copy with about `draws` draws at most; itself if there are no draws."""
        check_count("thinned", "draws", draws)
        return self._thinned(draws)

    def _thinned(self, draws: int) -> Self:
        return self


def check_kind(owner: str, kind: object) -> None:
    """Refuse anything but a buy-till-you-die model."""
    if not (isinstance(kind, type) and issubclass(kind, BuyTillYouDie)):
        refuse(owner, "kind", "a buy-till-you-die model such as BGNBD", kind)


def by_customer(histories: pd.DataFrame, values: np.ndarray) -> xr.DataArray:
    """Label one number per customer."""
    return xr.DataArray(values, dims="customer_id", coords={"customer_id": histories.index.values})


def by_draw(histories: pd.DataFrame, values: np.ndarray) -> xr.DataArray:
    """Label one number per draw and customer (draws, customers), as one chain."""
    coords = {"chain": [0], "draw": np.arange(len(values)), "customer_id": histories.index.values}
    return xr.DataArray(values[None], dims=("chain", "draw", "customer_id"), coords=coords)


def spenders(histories: pd.DataFrame) -> tuple[pd.Series, pd.Series] | None:
    """Repeat purchases and mean amount of repeat buyers; None if no amounts are known."""
    if "monetary_value" not in histories:
        return None
    chosen = histories[histories["monetary_value"] > 0]
    return chosen["repeats"], chosen["monetary_value"]


def amounts_of(histories: pd.DataFrame, spend: GammaGamma) -> xr.DataArray:
    """Mean amount of each customer's future purchases, in currency (customer_id,)."""
    amounts = spend.expected_spend(histories["repeats"], histories["monetary_value"])
    return by_customer(histories, amounts)
