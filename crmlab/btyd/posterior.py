"""A posterior for purchase models: draws of the parameters, so that values have uncertainty.

Three or four positive parameters need no sampler. The posterior of their logs is close to a normal
distribution: its mode and curvature give a Student t with heavier tails, draws from it are weighted
by posterior over proposal, the proposal is fitted once more to the weighted draws, and weighted
draws are resampled (importance resampling; Rubin 1988, from memory), as `crmlab.inference.laplace`
does. The weights show how well that worked: a tail index (Pareto's k) above 0.7 is refused, and so
is an effective sample size that is too small.

The prior of each log is normal with mean 0 and standard deviation 2. Times are in units of the
longest history and amounts in units of the mean amount, so a parameter lies between 1/50 and 50
units in 19 of 20 populations. With hundreds of customers the prior matters little, and if the
likelihood has no maximum, there is still an answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, count_problems, spread_evenly
from crmlab.btyd.base import BuyTillYouDie, Positive, merge_customers
from crmlab.btyd.customers import count_purchases
from crmlab.btyd.fitted import FittedPurchases, amounts_of, by_draw, check_kind, spenders
from crmlab.btyd.gamma_gamma import GammaGamma
from crmlab.btyd.maximum import hessian
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.inference.convergence import print_beside
from crmlab.inference.laplace import KHAT_LIMIT, weigh_around
from crmlab.tables import CustomerTables

_PRIOR_SD = 2.0
_FAR = 30.0  # 15 standard deviations of the prior: a log further out has no weight
_FREEDOM = 5  # degrees of freedom of the proposal: heavier tails than the normal distribution
_PROPOSALS = 10  # proposals per draw to keep
_LEAST_WORTH = 2.0  # effective sample size of the weights, per draw to keep


class ParameterDraws[Kind: Positive](NamedTuple):
    """Draws of the parameters of a population, and the quality of their weights.

    Parameters
    ----------
    populations : tuple of populations
        One per draw.
    effective : float
        Effective sample size of the weighted proposals, (sum w)^2 / sum w^2.
    """

    populations: tuple[Kind, ...]
    effective: float


@dataclass(frozen=True)
class BuyersPosterior(FittedPurchases):
    """Customers, and draws from the posterior of their population.

    Parameters
    ----------
    populations : tuple of BuyTillYouDie
        One per draw.
    histories : DataFrame
        As in `Buyers`.
    freq : str
        The unit of recency and T.
    spends : tuple of GammaGamma, optional
        The same number of draws of the population of spenders; None if no amounts are known.
    """

    populations: tuple[BuyTillYouDie, ...]
    histories: pd.DataFrame
    freq: str
    spends: tuple[GammaGamma, ...] | None = None

    def alive(self) -> xr.DataArray:
        """Probability of being alive at the end of the history (chain, draw, customer_id)."""
        return self._by_draw(lambda kind, x, t_x, T: kind.prob_alive(x, t_x, T))

    def purchases(self, t: float) -> xr.DataArray:
        """Mean purchases in the next time t, in events (chain, draw, customer_id)."""
        return self._by_draw(lambda kind, x, t_x, T: kind.expected_purchases(t, x, t_x, T))

    def amounts(self) -> xr.DataArray | None:
        """Mean amount of a future purchase, in currency (chain, draw, customer_id)."""
        if self.spends is None:
            return None
        values = [amounts_of(self.histories, spend).values for spend in self.spends]
        return by_draw(self.histories, np.stack(values))

    def _thinned(self, draws: int) -> Self:
        places = spread_evenly(len(self.populations), draws)
        chosen = tuple(self.populations[i] for i in places)
        spends = None if self.spends is None else tuple(self.spends[i] for i in places)
        return replace(self, populations=chosen, spends=spends)

    def _by_draw(self, ask: Callable[..., Floats]) -> xr.DataArray:
        # Customers with the same history have the same answer.
        unique, place = np.unique(np.stack(self.history), axis=1, return_inverse=True)
        answers = np.stack([ask(kind, *unique) for kind in self.populations])
        return by_draw(self.histories, answers[:, place.ravel()])


def buyers_posterior(
    kind: type[BuyTillYouDie],
    tables: CustomerTables,
    *,
    seed: int,
    freq: str = "W",
    n_draws: int = 200,
) -> BuyersPosterior:
    """Draw from the posterior of a buy-till-you-die model, and of amounts, from customer tables.

    Parameters
    ----------
    kind, tables, freq
        As in `fit_buyers`.
    seed : int
        Seed of the draws.
    n_draws : int
        Draws to keep.

    Returns
    -------
    BuyersPosterior
        Rates and amounts are independent, as in the model. All functions of
        `crmlab.value.any_model` accept it; their results have dims (chain, draw, customer_id), with
        one chain.

    Raises
    ------
    DataError
        As in `fit_buyers`, or if the posterior is too far from normal for importance resampling.

    Examples
    --------
    >>> from crmlab.btyd import BGNBD
    >>> from crmlab.datasets import load_cdnow_sample
    >>> from crmlab.tables import split_holdout, tables_from_orders
    >>> shop = tables_from_orders(load_cdnow_sample(), window=("1997-01-01", "1998-06-30"))
    >>> first, later = split_holdout(shop, cutoff="1997-10-01")
    >>> buyers = buyers_posterior(BGNBD, first, seed=1, n_draws=50)
    >>> ahead = buyers.purchases(39).sum("customer_id")  # of all customers, in 39 weeks
    >>> bool(1550 < ahead.mean() < 1750), bool(20 < ahead.std() < 120)
    (True, True)
    """
    check_kind("buyers_posterior", kind)
    histories = count_purchases(tables, freq=freq, whole_periods=kind.whole_periods)
    columns = [histories[name] for name in ("frequency", "recency", "T")]
    found = population_posterior(kind, *columns, seed=seed, n_draws=n_draws)
    known = spenders(histories)
    spends = None
    if known is not None:
        spends = spend_posterior(*known, seed=seed, n_draws=n_draws).populations
    return BuyersPosterior(found.populations, histories, freq, spends)


def population_posterior[Kind: BuyTillYouDie](
    kind: type[Kind],
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    *,
    seed: int,
    n_draws: int = 200,
) -> ParameterDraws[Kind]:
    """Draw from the posterior of a population of buyers.

    Parameters
    ----------
    kind : subclass of BuyTillYouDie
    frequency, recency, T : array_like (n,)
        Histories, in the unit of time that the parameters should have.
    seed : int
    n_draws : int

    Returns
    -------
    ParameterDraws

    Raises
    ------
    DataError
        If a history is impossible, or the weights are too uneven.
    """
    kind(*np.ones(len(kind.names()))).loglik(frequency, recency, T)  # refuses what is not a history
    x, t_x, observed = (np.asarray(column, dtype=float) for column in (frequency, recency, T))
    unit = 1.0 if kind.whole_periods else max(float(observed.max()), np.finfo(float).tiny)
    (x, t_x, observed), counts = merge_customers(x, t_x / unit, observed / unit)
    times = [name in ("alpha", "beta") and not kind.whole_periods for name in kind.names()]

    def loglik(logs: Floats) -> float:
        return float(counts @ kind.from_logs(logs).loglik(x, t_x, observed))

    return _draw("population_posterior", kind, loglik, np.where(times, unit, 1.0), seed, n_draws)


def spend_posterior(
    frequency: ArrayLike, monetary_value: ArrayLike, *, seed: int, n_draws: int = 200
) -> ParameterDraws[GammaGamma]:
    """Draw from the posterior of a Gamma-Gamma population of spenders.

    Parameters
    ----------
    frequency, monetary_value : array_like (n,)
        As in `fit_gammagamma`; `monetary_value` in currency.
    seed : int
    n_draws : int

    Returns
    -------
    ParameterDraws
    """
    GammaGamma(1, 1, 1).loglik(frequency, monetary_value)  # refuses what is not a spender
    x, amounts = (np.asarray(column, dtype=float) for column in (frequency, monetary_value))
    unit = float(amounts.mean())

    def loglik(logs: Floats) -> float:
        return float(GammaGamma.from_logs(logs).loglik(x, amounts / unit).sum())

    units = np.array([1.0, 1.0, unit])
    return _draw("spend_posterior", GammaGamma, loglik, units, seed, n_draws)


def _draw[Kind: Positive](
    owner: str,
    kind: type[Kind],
    loglik: Callable[[Floats], float],
    units: Floats,
    seed: int,
    n_draws: int,
) -> ParameterDraws[Kind]:
    """Resample weighted proposals from a Student t that is fitted to the posterior twice."""
    problems = [*count_problems({"seed": seed}, at_least=0), *count_problems({"n_draws": n_draws})]
    raise_problems(SpecError, owner, problems)
    rng = np.random.default_rng(seed)

    def log_posterior(logs: Floats) -> float:
        if np.abs(logs).max() > _FAR:
            return -np.inf
        return loglik(logs) - 0.5 * float((logs**2).sum()) / _PRIOR_SD**2

    centre, spread = _peak(log_posterior, len(units))
    for _ in range(2):
        n_proposals = max(_PROPOSALS * n_draws, 500)
        found = weigh_around(log_posterior, centre, _root(spread), n_proposals, rng, _FREEDOM)
        centre = found.weights @ found.places
        spread = np.cov(found.places, rowvar=False, aweights=found.weights)
    if found.khat > KHAT_LIMIT or found.n_effective < _LEAST_WORTH * n_draws:
        khat = print_beside(found.khat, KHAT_LIMIT, 2)
        raise DataError(
            f"{owner}: the effective size of {n_proposals} weighted draws is "
            f"{found.n_effective:.0f} (Pareto k {khat}, limit {KHAT_LIMIT}), too few to "
            f"keep {n_draws}, because the posterior is far from normal; use more customers with "
            "repeat purchases, or PyMC-Marketing's sampler (`fit_marketing`)"
        )
    chosen = found.choose(n_draws, rng) + np.log(units)
    return ParameterDraws(tuple(kind.from_logs(logs) for logs in chosen), found.n_effective)


def _peak(log_posterior: Callable[[Floats], float], size: int) -> tuple[Floats, Floats]:
    """Mode of the logs and the inverse of the curvature there."""
    from scipy.optimize import minimize

    found = minimize(
        lambda logs: -log_posterior(logs),
        np.zeros(size),
        method="L-BFGS-B",
        jac="3-point",
        bounds=[(-_FAR, _FAR)] * size,
        options={"ftol": 1e-12, "maxiter": 2000},
    )
    curvature = -hessian(log_posterior, found.x)
    values, axes = np.linalg.eigh((curvature + curvature.T) / 2)
    # The posterior cannot be wider than the prior in any direction.
    return found.x, (axes / np.maximum(values, _PRIOR_SD**-2)) @ axes.T


def _root(spread: Floats) -> Floats:
    """Return L with ``L L' = spread``."""
    values, axes = np.linalg.eigh(spread)
    return axes * np.sqrt(np.maximum(values, 0.0))
