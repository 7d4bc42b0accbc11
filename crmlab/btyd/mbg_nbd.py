"""MBG/NBD: BG/NBD in which a customer can also die after the first purchase.

In BG/NBD a customer without a repeat purchase is certainly alive, because she can only die after a
repeat purchase. Batislam, Denizel and Filiztekin (2007) let her flip the same coin once more, right
after the first purchase. With the parameters of BG/NBD, the odds of dead against alive become

    a / (b + x) ((alpha + T) / (alpha + t_x))^(r + x),    also for x = 0.

References
----------
Batislam, Denizel and Filiztekin (2007), "Empirical validation and comparison of models for customer
base analysis", International Journal of Research in Marketing 24(3), 201-209.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, expit, gammaln

from crmlab.arrays import Floats
from crmlab.btyd.base import BuyTillYouDie, maximise_histories
from crmlab.btyd.dropouts import purchases_if_alive
from crmlab.btyd.histories import check_histories, check_times


@dataclass(frozen=True)
class MBGNBD(BuyTillYouDie):
    """The four parameters of an MBG/NBD population.

    Parameters
    ----------
    r, alpha : float
        Gamma distribution of purchase rates; above 0. The mean rate is r / alpha per unit of time.
    a, b : float
        Beta distribution of dropout probabilities; above 0. The mean is a / (a + b) per purchase,
        including the first.

    Raises
    ------
    SpecError
        If a parameter is not a positive, finite number; all problems at once.

    Examples
    --------
    >>> shop = MBGNBD(r=0.525, alpha=6.183, a=0.891, b=1.614)
    >>> shop.prob_alive([0], [0], [0]).round(3)  # b / (a + b): who survived the first purchase
    array([0.644])
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> "MBGNBD":
        """Estimate the parameters by maximum likelihood; see `fit_mbgnbd`."""
        return fit_mbgnbd(frequency, recency, T)

    def loglik(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Log-likelihood of each customer's history, shape (n,)."""
        return _loglik(self, *check_histories("MBGNBD.loglik", frequency, recency, T))

    def prob_alive(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Probability that each customer is alive at the end of observation, shape (n,)."""
        histories = check_histories("MBGNBD.prob_alive", frequency, recency, T)
        return expit(-_log_odds_dead(self, *histories))

    def expected_purchases(
        self, t: ArrayLike, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
    ) -> Floats:
        """Mean purchases of each customer in the time t after the end of observation.

        A living customer has the parameters r + x, alpha + T, a and b + x + 1.
        """
        x, t_x, T = check_histories("MBGNBD.expected_purchases", frequency, recency, T)
        t = check_times("MBGNBD.expected_purchases", t)
        alive = expit(-_log_odds_dead(self, x, t_x, T))
        living = (self.r + x, self.alpha + T, np.asarray(self.a), self.b + x + 1)
        return alive * purchases_if_alive(t, *living)

    def mean_purchases(self, t: ArrayLike) -> Floats:
        """Mean repeat purchases of a new customer up to time t."""
        return self.expected_purchases(check_times("MBGNBD.mean_purchases", t), 0, 0, 0)


def _loglik(params: MBGNBD, x: Floats, t_x: Floats, T: Floats) -> Floats:
    r, alpha, a, b = params.r, params.alpha, params.a, params.b
    purchases = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x + 1) - betaln(a, b) - (r + x) * np.log(alpha + T)
    return purchases + np.logaddexp(alive, alive + _log_odds_dead(params, x, t_x, T))


def _log_odds_dead(params: MBGNBD, x: Floats, t_x: Floats, T: Floats) -> Floats:
    silence = np.log(params.alpha + T) - np.log(params.alpha + t_x)
    return np.log(params.a) - np.log(params.b + x) + (params.r + x) * silence


def fit_mbgnbd(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> MBGNBD:
    """Estimate the four parameters by maximum likelihood.

    Parameters
    ----------
    frequency, recency, T : array_like (n,)
        Repeat purchases, time of the last one and time observed, counted from the first purchase.

    Returns
    -------
    MBGNBD

    Raises
    ------
    DataError
        If a history is impossible, or the data do not determine the four parameters.
    """
    histories = check_histories("fit_mbgnbd", frequency, recency, T)
    (r, alpha, a, b), unit = maximise_histories("fit_mbgnbd", MBGNBD, _loglik, histories)
    return MBGNBD(r=r, alpha=alpha * unit, a=a, b=b)
