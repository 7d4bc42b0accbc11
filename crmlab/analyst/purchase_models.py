"""The rivals of the stages: BG/NBD and a rule without a model; Gamma-Gamma for amounts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.analyst.orders import Orders, summarise_orders
from crmlab.analyst.plan import Window
from crmlab.analyst.sample import draw_sample
from crmlab.arrays import Floats
from crmlab.btyd.bg_nbd import BGNBD
from crmlab.btyd.gamma_gamma import GammaGamma, fit_gammagamma
from crmlab.errors import DataError

BGNBD_NAME, NAIVE = "BG/NBD", "same rate"
LARGEST_SAMPLE = 100_000  # customers to whom the four parameters are fitted


@dataclass(frozen=True)
class PurchaseModels:
    """Histories of purchases and the models fitted to them; None where the data are too few.

    Attributes
    ----------
    histories : DataFrame
        Indexed by customer_id: frequency, recency, T [weeks], repeats, monetary_value if known.
    bgnbd : BGNBD or None
    gamma_gamma : GammaGamma or None
    """

    histories: pd.DataFrame
    bgnbd: BGNBD | None
    gamma_gamma: GammaGamma | None = None

    @property
    def history(self) -> list[Floats]:
        """Frequency, recency and T of each customer."""
        return [self.histories[n].to_numpy(float) for n in ("frequency", "recency", "T")]

    def prob_alive(self) -> pd.Series:
        """P(alive) of each customer by BG/NBD; NaN where it could not be fitted."""
        ids = self.histories.index
        if self.bgnbd is None:
            return pd.Series(np.nan, ids)
        return pd.Series(self.bgnbd.prob_alive(*self.history), ids)

    def forecasts(self, weeks: NDArray) -> dict[str, Floats]:
        """Forecast repeat purchases of each customer without stages.

        Parameters
        ----------
        weeks : ndarray (horizon,)
            Weeks from now, for each of which to forecast.

        Returns
        -------
        dict of name to ndarray (horizon, customer)
            BG/NBD, if it could be fitted, and the rule that everybody continues at the same rate.
        """
        frequency, _, T = self.history
        said = {NAIVE: weeks[:, None] * (frequency / np.maximum(T, 1 / 7))}
        if self.bgnbd is None:
            return said
        return {BGNBD_NAME: self.bgnbd.expected_purchases(weeks[:, None], *self.history), **said}

    def per_order(self) -> pd.Series:
        """Return what an order of each customer brings: the Gamma-Gamma mean, that of all, or 1."""
        if "monetary_value" not in self.histories:
            return pd.Series(1.0, index=self.histories.index)
        mean = self.histories["monetary_value"]
        repeats = self.histories["repeats"].where(mean > 0, 0)
        if self.gamma_gamma is None or self.gamma_gamma.q <= 1:
            spent = (mean * repeats).sum() / max(repeats.sum(), 1)
            return pd.Series(float(spent), index=self.histories.index)
        return pd.Series(self.gamma_gamma.expected_spend(repeats, mean), index=self.histories.index)


def fit_purchase_models(orders: Orders, window: Window) -> PurchaseModels:
    """Summarise histories and fit BG/NBD and Gamma-Gamma, as far as the data determine them.

    Where there are more than a hundred thousand customers, a stratified sample of that size is
    fitted.
    """
    histories = summarise_orders(orders, window)
    known = histories[draw_sample(histories, LARGEST_SAMPLE, seed=0)]
    return PurchaseModels(
        histories,
        _if_determined(lambda: BGNBD.fit(*(known[n] for n in ("frequency", "recency", "T")))),
        _if_determined(lambda: _fit_amounts(known)),
    )


def _if_determined[T](estimate: Callable[[], T]) -> T | None:
    try:
        return estimate()
    except DataError:
        return None


def _fit_amounts(histories: pd.DataFrame) -> GammaGamma | None:
    if "monetary_value" not in histories:
        return None
    spenders = histories[histories["monetary_value"] > 0]
    return fit_gammagamma(spenders["repeats"], spenders["monetary_value"])
