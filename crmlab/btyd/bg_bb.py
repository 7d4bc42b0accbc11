"""BG/BB: buy till you die in whole periods.

Donors are asked once a year; a yearly concert has one ticket. Fader, Hardie and Shang (2010):

1. In each period a living customer buys with probability p.
2. At the start of each period she dies with probability theta. Death is never seen.
3. p varies between customers as a Beta(alpha, beta), theta as a Beta(gamma, delta), independently.

For one customer (p, theta known) this is a chain of two stages, alive and dead, the second
absorbing, seen through one Bernoulli channel: `crmlab.chains.forward` gives the likelihood of her
purchases. Averaged over the two beta distributions it is, with B the beta function, the last
purchase in period t_x and n periods observed,

    L = B(alpha + x, beta + n - x) B(gamma, delta + n) / (B(alpha, beta) B(gamma, delta))
        + sum over i = 0 .. n - t_x - 1 of
          B(alpha + x, beta + t_x - x + i) B(gamma + 1, delta + t_x + i)
          / (B(alpha, beta) B(gamma, delta)):

alive after all n periods, or dead since period t_x + i. So x, t_x and n contain all that a history
says: with six periods, there are only 22 different histories.

References
----------
Fader, Hardie and Shang (2010), "Customer-base analysis in a discrete-time noncontractual setting",
Marketing Science 29(6), 1086-1108.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from crmlab.arrays import Floats
from crmlab.btyd.base import BuyTillYouDie, merge_customers
from crmlab.btyd.histories import check_opportunities
from crmlab.btyd.maximum import maximise
from crmlab.errors import DataError


@dataclass(frozen=True)
class BGBB(BuyTillYouDie):
    """The four parameters of a BG/BB population.

    Parameters
    ----------
    alpha, beta : float
        Beta distribution of purchase probabilities; above 0. The mean is alpha / (alpha + beta)
        per period, while alive.
    gamma, delta : float
        Beta distribution of death probabilities; above 0. The mean is gamma / (gamma + delta) per
        period.

    Raises
    ------
    SpecError
        If a parameter is not a positive, finite number; all problems at once.

    Notes
    -----
    `frequency` counts the periods with a purchase, `recency` is the number of the last of them
    (0 if there was none) and `T` the number of periods observed. None of them includes the purchase
    that made her a customer.

    Examples
    --------
    >>> donors = BGBB(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    >>> donors.mean_purchases([1, 2, 3]).round(3)
    array([0.498, 0.923, 1.297])
    >>> donors.prob_alive([6, 0], [6, 0], [6, 6]).round(2)  # gave every year, and never
    array([1.  , 0.12])
    """

    whole_periods: ClassVar[bool] = True

    alpha: float
    beta: float
    gamma: float
    delta: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> "BGBB":
        """Estimate the parameters by maximum likelihood; see `fit_bgbb`."""
        return fit_bgbb(frequency, recency, T)

    def loglik(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Log-likelihood of each customer's history, shape (n,)."""
        return _loglik(self, *check_opportunities("BGBB.loglik", frequency, recency, T))

    def prob_alive(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Probability that each customer is alive in the last period observed, shape (n,).

        Fader, Hardie and Shang (2010) use the period after it: multiply by the mean of 1 - theta
        among the living, (delta + n) / (gamma + delta + n).
        """
        x, t_x, n = check_opportunities("BGBB.prob_alive", frequency, recency, T)
        return np.exp(_log_alive(self, x, n) - _loglik(self, x, t_x, n))

    def expected_purchases(
        self, t: ArrayLike, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
    ) -> Floats:
        """Mean purchases of each customer in the t periods after the end of observation.

        P(alive) (alpha + x) / (alpha + beta + n) times the mean number of the t periods that a
        living customer lives through.
        """
        x, t_x, n = check_opportunities("BGBB.expected_purchases", frequency, recency, T)
        alive = np.exp(_log_alive(self, x, n) - _loglik(self, x, t_x, n))
        purchase_prob = (self.alpha + x) / (self.alpha + self.beta + n)
        return alive * purchase_prob * _mean_life(_whole(t), self.gamma, self.delta + n)

    def mean_purchases(self, t: ArrayLike) -> Floats:
        """Mean purchases of a new customer in the first t periods."""
        return self.expected_purchases(t, 0, 0, 0)


def _log_alive(params: BGBB, x: Floats, n: Floats) -> Floats:
    bought = betaln(params.alpha + x, params.beta + n - x) - betaln(params.alpha, params.beta)
    lived = betaln(params.gamma, params.delta + n) - betaln(params.gamma, params.delta)
    return bought + lived


def _loglik(params: BGBB, x: Floats, t_x: Floats, n: Floats) -> Floats:
    """Log of a sum: alive at the end, or dead since i periods after the last purchase."""
    total = _log_alive(params, x, n)
    start = betaln(params.alpha, params.beta) + betaln(params.gamma, params.delta)
    for i in range(int((n - t_x).max())):
        bought = betaln(params.alpha + x, params.beta + t_x - x + i)
        died = betaln(params.gamma + 1, params.delta + t_x + i)
        dead = np.where(i < n - t_x, bought + died - start, -np.inf)
        total = np.logaddexp(total, dead)
    return total


def _mean_life(t: Floats, gamma: float, delta: Floats) -> Floats:
    """Mean number of the next t periods that a customer survives, theta ~ Beta(gamma, delta).

    A sum of survival probabilities, all positive: the closed form divides by gamma - 1.
    """
    t, delta = np.broadcast_arrays(t, delta)
    total, alive = np.zeros(t.shape), np.ones(t.shape)
    for i in range(int(t.max())):
        alive = alive * (delta + i) / (gamma + delta + i)
        total = total + np.where(i < t, alive, 0.0)
    return total


def _whole(t: ArrayLike) -> Floats:
    times = np.asarray(t, dtype=float)
    if not (np.isfinite(times) & (times >= 0) & (times % 1 == 0)).all():
        raise DataError(f"BGBB: `t` must be a whole number of periods, 0 or more, got {t!r}")
    return times


def fit_bgbb(
    frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, *, counts: ArrayLike | None = None
) -> BGBB:
    """Estimate the four parameters by maximum likelihood.

    Parameters
    ----------
    frequency, recency, T : array_like (n,)
        Number of periods with a purchase, the last of them, and the number observed.
    counts : array_like (n,), optional
        Number of customers with each history; 1 if left out.

    Returns
    -------
    BGBB

    Raises
    ------
    DataError
        If a history is impossible, or the data do not determine the four parameters.

    Examples
    --------
    >>> import pandas as pd
    >>> from crmlab.datasets import dataset_path
    >>> donors = pd.read_csv(dataset_path("published/donations.csv"))
    >>> histories = [donors[name] for name in ("frequency", "recency", "T")]
    >>> fit = fit_bgbb(*histories, counts=donors["customers"])
    >>> [round(value, 3) for value in (fit.alpha, fit.beta, fit.gamma, fit.delta)]
    [1.204, 0.75, 0.657, 2.783]
    """
    histories = check_opportunities("fit_bgbb", frequency, recency, T)
    columns, weights = merge_customers(*histories, counts=_check_counts(counts, histories[0]))
    shares = weights / weights.sum()
    return BGBB(
        *maximise(
            "fit_bgbb",
            BGBB.names(),
            lambda logs: float(shares @ _loglik(BGBB.from_logs(logs), *columns)),
        )
    )


def _check_counts(counts: ArrayLike | None, like: Floats) -> Floats | None:
    if counts is None:
        return None
    weights = np.asarray(counts, dtype=float)
    if weights.shape != like.shape or not (np.isfinite(weights) & (weights >= 0)).all():
        raise DataError(
            f"fit_bgbb: `counts` must hold one number, 0 or more, per history ({like.shape}), "
            f"got {counts!r}"
        )
    return weights
