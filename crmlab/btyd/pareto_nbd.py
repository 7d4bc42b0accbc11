"""Pareto/NBD: a customer may die at any moment, not only after a purchase.

Schmittlein, Morrison and Colombo (1987) told the story first:

1. While alive, a customer buys at rate lambda: purchases are a Poisson process.
2. She dies at rate mu: her lifetime is exponential. Death is never seen.
3. lambda varies between customers as a Gamma(r, alpha), mu as a Gamma(s, beta), independently.

With k = r + x, a customer is alive at T, or died at some moment tau after the last purchase:

    L = Gamma(k) alpha^r beta^s / Gamma(r) * ( (alpha + T)^-k (beta + T)^-s
        + s * integral from t_x to T of (alpha + tau)^-k (beta + tau)^-(s + 1) d tau ).

Papers and packages write the integral as a difference of two hypergeometric functions whose factors
overflow. Here each of them is a probability instead,

    g(tau) = s integral_0^inf ((alpha + tau) / (alpha + tau + v))^k (beta + tau)^s
             / (beta + tau + v)^(s + 1) dv:

the probability that a customer with x purchases who is alive at tau dies before she buys again (v
is the waiting time). So the likelihood is a sum of two positive terms, each between 0 and a power,

    L ~ (alpha + T)^-k (beta + T)^-s (1 - g(T)) + (alpha + t_x)^-k (beta + t_x)^-s g(t_x),

without overflow or cancellation.

References
----------
Schmittlein, Morrison and Colombo (1987), "Counting your customers: who are they and what will they
do next?", Management Science 33(1), 1-24.
Fader and Hardie (2005), "A note on deriving the Pareto/NBD model and related expressions".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import exprel, gammaln, hyp2f1

from crmlab.arrays import Floats
from crmlab.btyd.base import BuyTillYouDie, maximise_histories
from crmlab.btyd.histories import check_histories, check_times

_STEP = 0.0125
_NODES = np.arange(-4.6, 4.6 + _STEP / 2, _STEP)  # for the double exponential rule


@dataclass(frozen=True)
class ParetoNBD(BuyTillYouDie):
    """The four parameters of a Pareto/NBD population.

    Parameters
    ----------
    r, alpha : float
        Gamma distribution of purchase rates; above 0. The mean rate is r / alpha per unit of time.
    s, beta : float
        Gamma distribution of death rates; above 0. The mean rate is s / beta per unit of time.

    Raises
    ------
    SpecError
        If a parameter is not a positive, finite number; all problems at once.

    Examples
    --------
    >>> cdnow = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)  # per week
    >>> cdnow.prob_alive([0], [0], [39]).round(4)
    array([0.2945])
    """

    r: float
    alpha: float
    s: float
    beta: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> "ParetoNBD":
        """Estimate the parameters by maximum likelihood; see `fit_paretonbd`."""
        return fit_paretonbd(frequency, recency, T)

    def loglik(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Log-likelihood of each customer's history, shape (n,).

        Fader and Hardie (2005), written as two positive terms.
        """
        return _loglik(self, *check_histories("ParetoNBD.loglik", frequency, recency, T))

    def prob_alive(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Probability that each customer is alive at the end of observation, shape (n,)."""
        return _prob_alive(self, *check_histories("ParetoNBD.prob_alive", frequency, recency, T))

    def expected_purchases(
        self, t: ArrayLike, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
    ) -> Floats:
        """Mean purchases of each customer in the time t after the end of observation.

        P(alive) (r + x) / (alpha + T) times the mean time that she is alive within t.

        Examples
        --------
        >>> cdnow = ParetoNBD(r=0.553, alpha=10.578, s=0.606, beta=11.669)
        >>> cdnow.expected_purchases(39, [2], [30.43], [38.86]).round(3)
        array([1.455])
        """
        x, t_x, T = check_histories("ParetoNBD.expected_purchases", frequency, recency, T)
        t = check_times("ParetoNBD.expected_purchases", t)
        rate = (self.r + x) / (self.alpha + T)
        return _prob_alive(self, x, t_x, T) * rate * _mean_life(t, self.s, self.beta + T)

    def mean_purchases(self, t: ArrayLike) -> Floats:
        """Mean repeat purchases of a new customer up to time t.

        r beta / (alpha (s - 1)) (1 - (beta / (beta + t))^(s - 1)).
        """
        t = check_times("ParetoNBD.mean_purchases", t)
        return self.r / self.alpha * _mean_life(t, self.s, np.asarray(self.beta))


def _mean_life(t: Floats, s: float, beta: Floats) -> Floats:
    """Mean of the part of a Pareto(s, beta) lifetime that lies within t; smooth at s = 1."""
    log_ratio = np.log1p(t / beta)
    return beta * log_ratio * exprel((1 - s) * log_ratio)


def _log_terms(
    params: ParetoNBD, x: Floats, t_x: Floats, T: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return logs of three terms: alive at T; alive and buying again; dying before buying again."""
    k = params.r + x
    alive = _log_power(params, k, T)
    return (
        alive,
        alive + np.log1p(-_dies_first(params, k, T)),
        _log_power(params, k, t_x) + np.log(_dies_first(params, k, t_x)),
    )


def _log_power(params: ParetoNBD, k: Floats, tau: Floats) -> Floats:
    return -k * np.log(params.alpha + tau) - params.s * np.log(params.beta + tau)


def _loglik(params: ParetoNBD, x: Floats, t_x: Floats, T: Floats) -> Floats:
    purchases = gammaln(params.r + x) - gammaln(params.r)
    scale = params.r * np.log(params.alpha) + params.s * np.log(params.beta)
    _, buys_again, dies = _log_terms(params, x, t_x, T)
    return purchases + scale + np.logaddexp(buys_again, dies)


def _prob_alive(params: ParetoNBD, x: Floats, t_x: Floats, T: Floats) -> Floats:
    alive, buys_again, dies = _log_terms(params, x, t_x, T)
    return np.exp(np.minimum(alive - np.logaddexp(buys_again, dies), 0.0))


def _dies_first(params: ParetoNBD, k: Floats, tau: Floats) -> Floats:
    """g(tau): probability of death before the next purchase, s / (k + s) where alpha = beta.

    A hypergeometric function with positive terms on either side of alpha = beta (Euler's and
    Pfaff's transformations). Where SciPy's value is not a probability, quadrature is used instead.
    """
    k, tau = np.broadcast_arrays(k, tau)
    alpha, s, beta = params.alpha, params.s, params.beta
    with np.errstate(all="ignore"):  # values that are not probabilities are replaced below
        if alpha >= beta:
            series = hyp2f1(1.0, k, k + s + 1, (alpha - beta) / (alpha + tau))
        else:
            series = hyp2f1(1.0, s + 1, k + s + 1, (beta - alpha) / (beta + tau))
            series = series * (alpha + tau) / (beta + tau)
        probs = np.array(s / (k + s) * series)
    lost = ~((probs > 0) & (probs < 1))
    if lost.any():
        probs[lost] = _dies_first_by_quadrature(params, k[lost], tau[lost])
    return probs


def _dies_first_by_quadrature(params: ParetoNBD, k: Floats, tau: Floats) -> Floats:
    """Average over y = P(still alive), uniform between 0 and 1, by the tanh-sinh rule."""
    log_odds = np.pi * np.sinh(_NODES)
    log_y = -np.logaddexp(0, -log_odds)
    log_weight = log_y - np.logaddexp(0, log_odds) + np.log(np.pi * np.cosh(_NODES) * _STEP)
    ratio = ((params.beta + tau) / (params.alpha + tau))[..., None]
    waited = np.log1p(ratio * np.expm1(np.minimum(-log_y / params.s, 700.0)))
    probs = np.exp(log_weight - k[..., None] * waited).sum(axis=-1)
    return np.clip(probs, np.finfo(float).tiny, 1 - np.finfo(float).epsneg)


def fit_paretonbd(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> ParetoNBD:
    """Estimate the four parameters by maximum likelihood.

    Parameters
    ----------
    frequency, recency, T : array_like (n,)
        Repeat purchases, time of the last one and time observed, counted from the first purchase.

    Returns
    -------
    ParetoNBD

    Raises
    ------
    DataError
        If a history is impossible, or the data do not determine the four parameters.
    """
    histories = check_histories("fit_paretonbd", frequency, recency, T)
    (r, alpha, s, beta), unit = maximise_histories("fit_paretonbd", ParetoNBD, _loglik, histories)
    return ParetoNBD(r=r, alpha=alpha * unit, s=s, beta=beta * unit)
