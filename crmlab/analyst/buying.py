"""The buy-till-you-die side of a study: histories of purchases, BG/NBD, Gamma-Gamma."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from crmlab.analyst.book import Orders, summarise_orders
from crmlab.analyst.plan import draw_sample
from crmlab.arrays import Floats
from crmlab.btyd.bg_nbd import BGNBD
from crmlab.btyd.gamma_gamma import GammaGamma, fit_gammagamma
from crmlab.errors import DataError

MOST = 100_000  # customers to whom the four parameters are fitted


@dataclass(frozen=True)
class Buying:
    """The buy-till-you-die side: histories, BG/NBD, Gamma-Gamma; None where data do not determine.

    Attributes
    ----------
    histories : DataFrame
        Indexed by customer_id: frequency, recency, T [weeks], monetary_value if known.
    population : BGNBD or None
    spend : GammaGamma or None
    """

    histories: pd.DataFrame
    population: BGNBD | None
    spend: GammaGamma | None

    @property
    def history(self) -> list[Floats]:
        """Frequency, recency and T of each customer."""
        return [self.histories[n].to_numpy(float) for n in ("frequency", "recency", "T")]

    def per_order(self) -> pd.Series:
        """Say what one order of each customer brings: Gamma-Gamma's mean, the mean of all, or 1."""
        if "monetary_value" not in self.histories:
            return pd.Series(1.0, index=self.histories.index)
        mean = self.histories["monetary_value"]
        repeats = self.histories["repeats"].where(mean > 0, 0)
        if self.spend is None or self.spend.q <= 1:
            spent = (mean * repeats).sum() / max(repeats.sum(), 1)
            return pd.Series(float(spent), index=self.histories.index)
        return pd.Series(self.spend.expected_spend(repeats, mean), index=self.histories.index)


def study_buying(orders: Orders, window: tuple[pd.Timestamp, pd.Timestamp]) -> Buying:
    """Summarise histories and fit BG/NBD and Gamma-Gamma, as far as the data determine them.

    Of more than a hundred thousand customers, a stratified sample of so many is fitted.
    """
    histories = summarise_orders(orders, window)
    known = histories[draw_sample(histories, MOST, seed=0)]
    return Buying(
        histories,
        _if_determined(lambda: BGNBD.fit(*(known[n] for n in ("frequency", "recency", "T")))),
        _if_determined(lambda: _fit_spend(known)),
    )


def _if_determined[T](estimate: Callable[[], T]) -> T | None:
    try:
        return estimate()
    except DataError:
        return None


def _fit_spend(histories: pd.DataFrame) -> GammaGamma | None:
    if "monetary_value" not in histories:
        return None
    spenders = histories[histories["monetary_value"] > 0]
    return fit_gammagamma(spenders["repeats"], spenders["monetary_value"])
