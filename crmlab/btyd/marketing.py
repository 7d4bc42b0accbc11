"""PyMC-Marketing (an extra) behind the interface of this package, as an independent check.

Their model is fitted and queried; nothing is computed twice. `method="map"` with flat priors is
maximum likelihood and must agree with the `fit_` functions of this package; `method="mcmc"` samples
their posterior under their default priors. The result works with `crmlab.value.any_model` like any
other.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.btyd.base import BuyTillYouDie, Positive
from crmlab.btyd.bg_bb import BGBB
from crmlab.btyd.bg_nbd import BGNBD
from crmlab.btyd.fitted import FittedPurchases, check_kind, spenders
from crmlab.btyd.gamma_gamma import GammaGamma
from crmlab.btyd.mbg_nbd import MBGNBD
from crmlab.btyd.pareto_nbd import ParetoNBD
from crmlab.errors import DataError, SpecError, check_one_of

METHODS = ("map", "mcmc")
_MODELS: dict[type[Positive], str] = {
    BGNBD: "BetaGeoModel",
    MBGNBD: "ModifiedBetaGeoModel",
    ParetoNBD: "ParetoNBDModel",
    BGBB: "BetaGeoBetaBinomModel",
    GammaGamma: "GammaGammaModel",
}


@dataclass(frozen=True)
class MarketingBuyers(FittedPurchases):
    """Customers, and the PyMC-Marketing model that was fitted to them.

    Parameters
    ----------
    kind : subclass of BuyTillYouDie
        The same model in this package.
    model : pymc_marketing.clv model
        Fitted; its own methods, plots and `idata` are available.
    histories : DataFrame
        As in `Buyers`.
    freq : str
        The unit of recency and T.
    spend_model : pymc_marketing.clv.GammaGammaModel, optional
        None if no amounts are known.
    """

    kind: type[BuyTillYouDie]
    model: Any
    histories: pd.DataFrame
    freq: str
    spend_model: Any = None

    def alive(self) -> xr.DataArray:
        """Probability of being alive at the end of the history (chain, draw, customer_id)."""
        # BG/BB predicts a future period, so ask for period 0.
        ahead = {"future_t": 0} if self.kind.whole_periods else {}
        return _ordered(self.model.expected_probability_alive(_frame(self.histories), **ahead))

    def purchases(self, t: float) -> xr.DataArray:
        """Mean purchases in the next time t, in events (chain, draw, customer_id)."""
        if t == 0:  # some of their closed forms divide by the time
            return self.alive() * 0.0
        frame = _frame(self.histories)
        return _ordered(self.model.expected_purchases(frame, future_t=t))

    def amounts(self) -> xr.DataArray | None:
        """Mean amount of a future purchase, in currency (chain, draw, customer_id)."""
        if self.spend_model is None:
            return None
        frame = _frame(self.histories).assign(frequency=self.histories["repeats"].to_numpy())
        return _ordered(self.spend_model.expected_customer_spend(frame))

    def _thinned(self, draws: int) -> Self:
        sizes = self.model.fit_result.sizes
        every = max(1, sizes["chain"] * sizes["draw"] // draws)
        if every == 1:
            return self
        spend = self.spend_model and self.spend_model.thin_fit_result(every)
        return replace(self, model=self.model.thin_fit_result(every), spend_model=spend)

    @property
    def population(self) -> BuyTillYouDie:
        """The mean of the draws (or the point estimate), as a population of this package."""
        return read_population(self.kind, self.model)


def fit_marketing(
    kind: type[BuyTillYouDie],
    histories: pd.DataFrame,
    *,
    seed: int,
    freq: str = "W",
    method: str = "map",
    n_draws: int = 1000,
) -> MarketingBuyers:
    """Fit a purchase model of PyMC-Marketing, and their Gamma-Gamma model if amounts are known.

    Parameters
    ----------
    kind : {BGNBD, MBGNBD, ParetoNBD, BGBB}
        The model; their `BGBB` needs customers who were all observed equally long.
    histories : DataFrame
        As `count_purchases` returns them: indexed by customer_id, with frequency, recency, T in
        units of `freq`, and, if amounts are known, repeats and monetary_value.
    seed : int
        Seed of their sampler.
    freq : str
        The unit of time.
    method : {"map", "mcmc"}
        The maximum of the likelihood (flat priors), or a sample from their posterior (their default
        priors; takes minutes).
    n_draws : int
        Draws per chain, and warm-up steps, for "mcmc".

    Returns
    -------
    MarketingBuyers

    Raises
    ------
    SpecError
        If PyMC-Marketing is not installed, or `kind` or `method` is unknown.
    DataError
        If their model refuses the histories.
    """
    check_kind("fit_marketing", kind)
    check_one_of("fit_marketing", "method", method, METHODS)
    if kind not in _MODELS:
        raise SpecError(
            f"fit_marketing: PyMC-Marketing has no {kind.__name__}; it has "
            f"{', '.join(model.__name__ for model in _MODELS)}"
        )
    model = fit_peer(kind, _frame(histories), method, seed, n_draws)
    known = spenders(histories)
    spend = None
    if known is not None:
        counts, amounts = known
        columns = {"customer_id": counts.index, "frequency": counts.to_numpy()}
        frame = pd.DataFrame({**columns, "monetary_value": amounts.to_numpy()})
        spend = fit_peer(GammaGamma, frame, method, seed, n_draws)
    return MarketingBuyers(kind, model, histories, freq, spend)


def fit_peer(
    kind: type[Positive], frame: pd.DataFrame, method: str, seed: int, n_draws: int = 1000
) -> Any:
    """Fit the PyMC-Marketing model of a population to a table of customers."""
    clv = load_peer()
    prior = import_module("pymc_extras.prior").Prior
    flat = {name: prior("HalfFlat") for name in kind.names()} if method == "map" else None
    return run_peer(getattr(clv, _MODELS[kind])(model_config=flat), frame, method, seed, n_draws)


def run_peer(model: Any, frame: pd.DataFrame, method: str, seed: int, n_draws: int = 1000) -> Any:
    """Fit a model of PyMC-Marketing silently; its errors become ours."""
    sampled = {"draws": n_draws, "tune": n_draws} if method == "mcmc" else {}
    try:
        model.fit(frame, method=method, progressbar=False, random_seed=seed, **sampled)
    except ValueError as error:
        raise DataError(
            f"fit_marketing: {type(model).__name__} refuses the data: {error}"
        ) from error
    return model


def load_peer() -> ModuleType:
    """Import `pymc_marketing.clv`, or say what to install."""
    try:
        return import_module("pymc_marketing.clv")
    except ImportError as error:
        raise SpecError(
            "PyMC-Marketing is not installed; it is an extra: pip install pymc-marketing"
        ) from error


def read_population[Kind: Positive](kind: type[Kind], model: Any) -> Kind:
    """Average the parameters of a fitted model over its draws, as a population of this package."""
    return kind(*(float(np.mean(model.fit_result[name])) for name in kind.names()))


def _frame(histories: pd.DataFrame) -> pd.DataFrame:
    columns = ["frequency", "recency", "T", "monetary_value"]
    kept = histories[[name for name in columns if name in histories]]
    return kept.rename_axis("customer_id").reset_index()


def _ordered(answer: xr.DataArray) -> xr.DataArray:
    return answer.transpose("chain", "draw", "customer_id").drop_vars(
        [name for name in answer.coords if name not in ("chain", "draw", "customer_id")]
    )
