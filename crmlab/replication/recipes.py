"""One function per claim of the ledger, which recomputes its numbers from its inputs."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from crmlab.arrays import Floats
from crmlab.btyd import (
    BGBB,
    BGNBD,
    GammaGamma,
    ParetoNBD,
    fit_bgbb,
    fit_bgnbd,
    fit_gammagamma,
    fit_mbgnbd,
    fit_paretonbd,
)
from crmlab.btyd.base import Positive
from crmlab.chains import stationary_distribution
from crmlab.contract import (
    BetaDiscreteWeibull,
    ShiftedBetaGeometric,
    contract_loglik,
    cost_of_homogeneity,
    fit_bdw,
    fit_sbg,
)
from crmlab.datasets import dataset_path, load_cdnow_sample, load_cdnow_summary
from crmlab.policy.learning import plan_trial
from crmlab.policy.programme import best_action, policy_value
from crmlab.tables import rfm_summary
from crmlab.value import berger_nasr, blattberg_deighton_optimum, retention_multiple, stage_value

# Data, each read and fitted once ------------------------------------------------------------------


@cache
def _retention(segment: str, last_year: int) -> tuple[float, ...]:
    """Survivors per 1,000 customers of years 0 to `last_year`."""
    table = pd.read_csv(dataset_path("published/retention.csv"))
    return tuple((10 * table.loc[:last_year, segment]).round(6))


@cache
def _sbg(segment: str) -> ShiftedBetaGeometric:
    return fit_sbg(_retention(segment, 7))


@cache
def _bdw() -> BetaDiscreteWeibull:
    return fit_bdw(_retention("high_end", 4))


@cache
def _donors() -> tuple[list[pd.Series], pd.Series, BGBB]:
    table = pd.read_csv(dataset_path("published/donations.csv"))
    histories = [table[name] for name in ("frequency", "recency", "T")]
    return histories, table["customers"], fit_bgbb(*histories, counts=table["customers"])


@cache
def _cdnow() -> list[pd.Series]:
    summary = load_cdnow_summary()
    return [summary[name] for name in ("frequency", "recency", "T")]


@cache
def _cdnow_days() -> pd.DataFrame:
    return rfm_summary(load_cdnow_sample(), observation_end="1997-09-30")


@cache
def _bgnbd() -> BGNBD:
    return fit_bgnbd(*_cdnow())


# Recipes, one per claim ---------------------------------------------------------------------------


def sbg_regular_fit() -> Iterable[float]:
    """Maximum likelihood for the regular segment."""
    return _values(_sbg("regular"))


def sbg_high_end_fit() -> Iterable[float]:
    """Maximum likelihood for the high end segment."""
    return _values(_sbg("high_end"))


def sbg_loglik_at_one() -> Iterable[float]:
    """Log-likelihood per customer at alpha = beta = 1."""
    counts = _retention("high_end", 7)
    return [contract_loglik(ShiftedBetaGeometric(1, 1), counts) / counts[0]]


def sbg_regular_curve() -> Iterable[float]:
    """Percent of the regular segment in years 1 to 7."""
    return 100 * _sbg("regular").survival(range(1, 8))


def sbg_high_end_curve() -> Iterable[float]:
    """Percent of the high end segment in years 1 to 7."""
    return 100 * _sbg("high_end").survival(range(1, 8))


def sbg_regular_projection() -> Iterable[float]:
    """Percent of the regular segment in years 8 to 12."""
    return 100 * _sbg("regular").survival(range(8, 13))


def sbg_high_end_projection() -> Iterable[float]:
    """Percent of the high end segment in years 8 to 12."""
    return 100 * _sbg("high_end").survival(range(8, 13))


def sbg_residual_lifetime() -> Iterable[float]:
    """Discounted expected residual lifetime of the high end segment."""
    return [_sbg("high_end").discounted_lifetime(0.1, renewals=m) for m in (0, 1, 2, 3, 4, 7)]


def sbg_perils() -> Iterable[float]:
    """Lifetimes of two bases with the same retention rate, and the lifetime from the rate alone."""
    alike, unlike = ShiftedBetaGeometric(3.80, 15.20), ShiftedBetaGeometric(0.067, 0.267)
    return [
        cost_of_homogeneity(alike, 0.1).lifetime,
        cost_of_homogeneity(unlike, 0.1).lifetime,
        cost_of_homogeneity(alike, 0.1).lifetime_at_mean,
    ]


def bdw_fit() -> Iterable[float]:
    """Maximum likelihood for four years of the high end segment."""
    return _values(_bdw())


def bdw_projection() -> Iterable[float]:
    """Percent of the high end segment in years 1 to 10."""
    return 100 * _bdw().survival(range(1, 11))


def bgbb_fit() -> Iterable[float]:
    """Maximum likelihood for the donors."""
    histories, counts, fit = _donors()
    return [*_values(fit), float(counts @ fit.loglik(*histories))]


def bgbb_fit_finer() -> Iterable[float]:
    """Maximum likelihood for the donors, to more digits."""
    return _values(_donors()[-1])


def bgbb_mean_purchases() -> Iterable[float]:
    """Donations of a new donor in 1 to 11 years."""
    return _donors()[-1].mean_purchases(range(1, 12))


_BGNBD_PRINTED = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
_BGNBD_CUSTOMER = (2, 30.43, 38.86)  # purchases, time of the last, time observed


def bgnbd_fit() -> Iterable[float]:
    """Maximum likelihood for CDNOW's summary."""
    return [*_values(_bgnbd()), _bgnbd().loglik(*_cdnow()).sum()]


def bgnbd_loglik_of_days() -> Iterable[float]:
    """Maximal log-likelihood of CDNOW's orders, with unrounded weeks."""
    histories = [_cdnow_days()[name] for name in ("frequency", "recency", "T")]
    return [fit_bgnbd(*histories).loglik(*histories).sum()]


def bgnbd_customer() -> Iterable[float]:
    """Predict the purchases of the paper's customer, with the printed parameters."""
    return [float(_BGNBD_PRINTED.expected_purchases(39, *_BGNBD_CUSTOMER))]


def bgnbd_customer_alive() -> Iterable[float]:
    """Probability that the paper's customer is alive, with the printed parameters."""
    return [float(_BGNBD_PRINTED.prob_alive(*_BGNBD_CUSTOMER))]


def bgnbd_mean_purchases() -> Iterable[float]:
    """Purchases of a new customer, over time."""
    return _bgnbd().mean_purchases([1 / 7, 1, 3, 31 + 6 / 7, 32, 78])


def paretonbd_fit() -> Iterable[float]:
    """Maximum likelihood of Pareto/NBD for CDNOW's summary."""
    fit = fit_paretonbd(*_cdnow())
    return [*_values(fit), fit.loglik(*_cdnow()).sum()]


def paretonbd_prob_alive() -> Iterable[float]:
    """P(alive) without a repeat purchase in 39 weeks."""
    return [float(ParetoNBD(0.5533971, 10.5801985, 0.6060625, 11.6562237).prob_alive(0, 0, 39))]


def mbgnbd_fit() -> Iterable[float]:
    """Maximum likelihood of MBG/NBD for CDNOW's summary."""
    return _values(fit_mbgnbd(*_cdnow()))


def gammagamma_fit() -> Iterable[float]:
    """Maximum likelihood of Gamma-Gamma for CDNOW's repeat customers."""
    spenders = _cdnow_spenders()
    data = spenders["frequency"], spenders["monetary_value"]
    fit = fit_gammagamma(*data)
    return [*_values(fit), fit.loglik(*data).sum()]


def gammagamma_sample() -> Iterable[float]:
    """Count the repeat customers, and average their mean amounts."""
    return [len(_cdnow_spenders()), _cdnow_spenders()["monetary_value"].mean()]


def _cdnow_spenders() -> pd.DataFrame:
    return _cdnow_days().query("monetary_value > 0")


def gammagamma_mean() -> Iterable[float]:
    """Mean amount of all customers."""
    return GammaGamma(6.25, 3.74, 15.44).expected_spend([0], [0])


def pfeifer_carraway_for_ever() -> Iterable[float]:
    """Value by recency, for ever."""
    return stage_value(*_recency_chain(4), discount_rate=0.2, first="current")


def pfeifer_carraway_horizon() -> Iterable[float]:
    """Value by recency, over five payments."""
    return stage_value(*_recency_chain(4), discount_rate=0.2, n_periods=5, first="current")


def pfeifer_carraway_stop() -> Iterable[float]:
    """Value by recency, when nobody is mailed after three periods without a purchase."""
    return stage_value(*_recency_chain(3), discount_rate=0.2, first="current")


def pfeifer_carraway_stop_earlier() -> Iterable[float]:
    """Value by recency, when nobody is mailed after two periods, or one, without a purchase."""
    after_two, after_one = (
        stage_value(*_recency_chain(mailed), discount_rate=0.2, first="current")
        for mailed in (2, 1)
    )
    return [*after_two[:2], after_one[0]]


def recency_chain_payoff() -> Iterable[float]:
    """Value by recency, paid in the first state only."""
    return stage_value(
        _recency_matrix((0.5, 0.2, 0.1)), [100, 0, 0, 0], discount_rate=0.1, first="current"
    )


def recency_chain_mailed() -> Iterable[float]:
    """Value by recency, mailed for three periods, over five payments."""
    P = _recency_matrix((0.3, 0.2, 0.05))
    return stage_value(P, [36, -4, -4, 0], discount_rate=0.2, n_periods=5, first="current")


def _recency_chain(mailed: int) -> tuple[Floats, list[float]]:
    """Recency 1 to `mailed`, then former: the matrix and the net contribution of each state."""
    P = _recency_matrix((0.3, 0.2, 0.15, 0.05)[:mailed])
    return P, [40 - 4, *[-4.0] * (mailed - 1), 0]


def _recency_matrix(purchase_probs: Sequence[float]) -> Floats:
    """Recency matrix: a purchase leads back to 1, silence to the next; the last is absorbing."""
    n = len(purchase_probs)
    P = np.zeros((n + 1, n + 1))
    P[:n, 0] = purchase_probs
    P[range(n), range(1, n + 1)] = 1 - np.array(purchase_probs)
    P[n, n] = 1
    return P


def berger_nasr_case_1() -> Iterable[float]:
    """Value of a customer who pays at the end of each year, with marketing costs at mid-year."""
    return [berger_nasr(260, 50, retention=0.75, discount_rate=0.2, n_years=10)]


_OFFICESTAR = np.array([[0.75, 0.25, 0, 0], [0.30, 0, 0.70, 0], [0.08, 0, 0, 0.92], [0, 0, 0, 1]])
_OFFICESTAR_BASE = np.array([12_000, 4_000, 3_000, 6_000])


def officestar_base() -> Iterable[float]:
    """Move the customer base forward by one period."""
    return _OFFICESTAR_BASE @ _OFFICESTAR


def officestar_value() -> Iterable[float]:
    """Value of a customer in each stage with earnings, and of the base, at 10 %."""
    return _officestar_at(0.10)


def officestar_value_at_15() -> Iterable[float]:
    """Value of a customer in each stage with earnings, and of the base, at 15 %."""
    return _officestar_at(0.15)


def _officestar_at(discount_rate: float) -> list[float]:
    value = stage_value(
        _OFFICESTAR, [90 - 25, -15, -10, 0], discount_rate=discount_rate, first="current"
    )
    return [*value[:3], float(value @ _OFFICESTAR_BASE)]


def gupta_lehmann_multiples() -> Iterable[float]:
    """Multiples of the margin, retention by discount rate."""
    rates = np.array([0.10, 0.12, 0.14, 0.16])
    return np.concatenate([retention_multiple(r, rates) for r in (0.6, 0.7, 0.8, 0.9)])


def blattberg_deighton() -> Iterable[float]:
    """Best spend on winning a prospect."""
    return blattberg_deighton_optimum(50, ceiling=0.4, spend=5, response=0.2)


_TOYMAKER = [[[0.5, 0.5], [0.4, 0.6]], [[0.8, 0.2], [0.7, 0.3]]]


def howard_toymaker() -> Iterable[float]:
    """Best values, and those without advertising and research."""
    plan = best_action(_TOYMAKER, [6, -3], [[0, 0], [2, 2]], discount_rate=1 / 0.9 - 1)
    first = stage_value(_TOYMAKER[0], [6, -3], discount_rate=1 / 0.9 - 1, first="current")
    return [*plan.value, *first]


def howard_gain() -> Iterable[float]:
    """Long-run gain per period of neither, and of both advertising and research."""
    plain, both = (stationary_distribution(P) for P in _TOYMAKER)
    return [float(plain @ [6, -3]), float(both @ [4, -5])]


def catalogue_decision() -> Iterable[float]:
    """Send the catalogue to both classes, the best, and to the high class only."""
    P = [[[0.5, 0.5], [0.6, 0.4]], [[0.3, 0.7], [0.2, 0.8]]]
    cost = [[0, 0], [15 - 10, 15 - 25]]
    rate = 1 / 0.9 - 1
    best = best_action(P, [10, 25], cost, discount_rate=rate)
    high_only = policy_value(P, [10, 25], cost, [0, 1], discount_rate=rate)
    return [*best.value, *high_only]


def test_and_roll() -> Iterable[float]:
    """Size of each test group, to whole customers."""
    trial = plan_trial(100_000, mean=0.68, prior_sd=0.03, response_sd=(0.68 * 0.32) ** 0.5)
    return [trial.n]


def _values(params: Positive) -> list[float]:
    return np.exp(params.logs()).tolist()


RECIPES: tuple[Callable[[], Iterable[float]], ...] = (
    sbg_regular_fit,
    sbg_high_end_fit,
    sbg_loglik_at_one,
    sbg_regular_curve,
    sbg_high_end_curve,
    sbg_regular_projection,
    sbg_high_end_projection,
    sbg_residual_lifetime,
    sbg_perils,
    bdw_fit,
    bdw_projection,
    bgbb_fit,
    bgbb_fit_finer,
    bgbb_mean_purchases,
    bgnbd_fit,
    bgnbd_loglik_of_days,
    bgnbd_customer,
    bgnbd_customer_alive,
    bgnbd_mean_purchases,
    paretonbd_fit,
    paretonbd_prob_alive,
    mbgnbd_fit,
    gammagamma_fit,
    gammagamma_sample,
    gammagamma_mean,
    pfeifer_carraway_for_ever,
    pfeifer_carraway_horizon,
    pfeifer_carraway_stop,
    pfeifer_carraway_stop_earlier,
    recency_chain_payoff,
    recency_chain_mailed,
    berger_nasr_case_1,
    officestar_base,
    officestar_value,
    officestar_value_at_15,
    gupta_lehmann_multiples,
    blattberg_deighton,
    howard_toymaker,
    howard_gain,
    catalogue_decision,
    test_and_roll,
)
