"""BG/NBD: the buy-till-you-die model that models of stages must beat.

In a shop without contracts nobody says goodbye. A customer who has not ordered for ten weeks may
be about to order or may have left, and the records look the same. The BG/NBD model of Fader, Hardie
and Lee (2005) is the shortest honest story about this:

1. While alive, a customer buys at rate lambda: purchases are a Poisson process.
2. After each purchase the customer dies with probability p. Death is never seen.
3. lambda varies between customers as a Gamma(r, alpha): mean r / alpha per unit of time.
4. p varies between customers as a Beta(a, b): mean a / (a + b) per purchase.
5. lambda and p are independent.

Only three numbers of a customer's history then matter (the columns of `rfm_summary`): `frequency`
x, the repeat purchases; `recency` t_x, the time of the last of them; and T, the time observed, all
counted from the first purchase. Alive or dead is a chain with two stages, one of them absorbing, so
this is also the smallest member of the model family of crmlab.

The likelihood of one customer (their equation 6; Gamma functions written out) is

    L = Gamma(r + x) alpha^r / Gamma(r) * Gamma(a + b) Gamma(b + x) / (Gamma(b) Gamma(a + b + x))
        * ( (alpha + T)^-(r + x) + [x > 0] a / (b + x - 1) * (alpha + t_x)^-(r + x) ).

The two terms are the two possibilities: still alive at T, or dead since t_x. Their shares are the
probabilities of each (`bgnbd_prob_alive`).

References
----------
Fader, Hardie and Lee (2005), "'Counting your customers' the easy way: an alternative to the
Pareto/NBD model", Marketing Science 24(2), 275-284. DOI 10.1287/mksc.1040.0098.
Fader, Hardie and Lee (2008), "Computing P(alive) using the BG/NBD model", technical note.
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
class BGNBD(BuyTillYouDie):
    """The four parameters of a BG/NBD population.

    Parameters
    ----------
    r : float
        Shape of the gamma distribution of purchase rates; above 0.
    alpha : float
        Its rate, in the unit of time of the data; above 0. The mean rate is r / alpha.
    a, b : float
        The beta distribution of dropout probabilities; above 0. The mean is a / (a + b).

    Raises
    ------
    SpecError
        If a parameter is not a positive, finite number; all problems at once.

    Examples
    --------
    >>> cdnow = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)  # per week; Fader et al. 2005
    >>> round(cdnow.r / cdnow.alpha, 3)  # purchases per week of the average customer, while alive
    0.055
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> "BGNBD":
        """Estimate the parameters by maximum likelihood; see `fit_bgnbd`."""
        return fit_bgnbd(frequency, recency, T)

    def loglik(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Log-likelihood of each customer's history; see `bgnbd_loglik`."""
        return bgnbd_loglik(self, frequency, recency, T)

    def prob_alive(self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
        """Probability of being alive at the end of observation; see `bgnbd_prob_alive`."""
        return bgnbd_prob_alive(self, frequency, recency, T)

    def expected_purchases(
        self, t: ArrayLike, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
    ) -> Floats:
        """Mean purchases in the time t after T; see `bgnbd_expected_purchases`."""
        return bgnbd_expected_purchases(self, t, frequency, recency, T)

    def mean_purchases(self, t: ArrayLike) -> Floats:
        """Mean repeat purchases of a new customer up to t; see `bgnbd_mean_purchases`."""
        return bgnbd_mean_purchases(self, t)


def bgnbd_loglik(params: BGNBD, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Floats:
    """Log-likelihood of each customer's history; their sum is that of the sample.

    Parameters
    ----------
    params : BGNBD
    frequency : array_like (n,), repeat purchases
    recency : array_like (n,), time from the first purchase to the last
    T : array_like (n,), time from the first purchase to the end of observation
        In one unit of time throughout, the unit of ``1 / params.alpha``'s rate.

    Returns
    -------
    ndarray (n,)

    Raises
    ------
    DataError
        If a history is impossible; all problems at once.

    References
    ----------
    Fader, Hardie and Lee (2005), equation 6, computed as a sum of logs.

    Examples
    --------
    >>> cdnow = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> bgnbd_loglik(cdnow, [0], [0], [38.86]).round(3)  # r log(alpha / (alpha + T))
    array([-0.555])
    """
    return _loglik(params, *check_histories("bgnbd_loglik", frequency, recency, T))


def _loglik(params: BGNBD, x: Floats, t_x: Floats, T: Floats) -> Floats:
    r, alpha, a, b = params.r, params.alpha, params.a, params.b
    purchases = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    survivals = betaln(a, b + x) - betaln(a, b)
    alive = -(r + x) * np.log(alpha + T)
    return purchases + survivals + np.logaddexp(alive, alive + _log_odds_dead(params, x, t_x, T))


def _log_odds_dead(params: BGNBD, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """Log odds of dead against alive at T; a customer without repeat purchases is alive."""
    r, alpha, a, b = params.r, params.alpha, params.a, params.b
    repeated = x > 0
    dropout = np.log(a) - np.log(np.where(repeated, b + (x - 1), 1.0))
    silence = (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))
    return np.where(repeated, dropout + silence, -np.inf)


def bgnbd_prob_alive(
    params: BGNBD, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> Floats:
    """Probability that each customer is alive at the end of observation.

    Parameters
    ----------
    params, frequency, recency, T
        As in `bgnbd_loglik`.

    Returns
    -------
    ndarray (n,)
        Exactly 1 without a repeat purchase: in this model, customers can only leave after a repeat
        purchase, not after the first one.

    Raises
    ------
    DataError
        If a history is impossible; all problems at once.

    References
    ----------
    Fader, Hardie and Lee (2008):
    1 / (1 + [x > 0] a / (b + x - 1) ((alpha + T) / (alpha + t_x))^(r + x)).

    Examples
    --------
    >>> cdnow = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> bgnbd_prob_alive(cdnow, [2], [30.43], [38.86]).round(3)
    array([0.727])
    """
    x, t_x, T = check_histories("bgnbd_prob_alive", frequency, recency, T)
    return expit(-_log_odds_dead(params, x, t_x, T))


def bgnbd_expected_purchases(
    params: BGNBD, t: ArrayLike, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> Floats:
    """Predict the mean purchases of each customer in the time t after the end of observation.

    Parameters
    ----------
    params : BGNBD
    t : array_like, not negative, in the unit of T; broadcasts against the histories
    frequency, recency, T
        As in `bgnbd_loglik`.

    Returns
    -------
    ndarray

    Raises
    ------
    DataError
        If a history is impossible or a time negative; all problems at once.

    References
    ----------
    Fader, Hardie and Lee (2005), equation 10: the probability of being alive times the
    expected purchases of a living customer, whose parameters are r + x, alpha + T, a and b + x.

    Examples
    --------
    >>> cdnow = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> bgnbd_expected_purchases(cdnow, 39, [2], [30.43], [38.86]).round(3)
    array([1.226])
    """
    x, t_x, T = check_histories("bgnbd_expected_purchases", frequency, recency, T)
    t = check_times("bgnbd_expected_purchases", t)
    alive = expit(-_log_odds_dead(params, x, t_x, T))
    return alive * purchases_if_alive(
        t, params.r + x, params.alpha + T, np.asarray(params.a), params.b + x
    )


def bgnbd_mean_purchases(params: BGNBD, t: ArrayLike) -> Floats:
    """Predict the mean repeat purchases of a new customer up to time t.

    Parameters
    ----------
    params : BGNBD
    t : array_like, not negative
        Time since the first purchase.

    Returns
    -------
    ndarray of the shape of t

    Raises
    ------
    DataError
        If a time is negative or not a number.

    References
    ----------
    Fader, Hardie and Lee (2005), equation 9.

    Examples
    --------
    >>> cdnow = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> bgnbd_mean_purchases(cdnow, [1, 3]).round(3)
    array([0.053, 0.151])
    """
    t = check_times("bgnbd_mean_purchases", t)
    return purchases_if_alive(
        t, *(np.asarray(value) for value in (params.r, params.alpha, params.a, params.b))
    )


def fit_bgnbd(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> BGNBD:
    """Estimate the four parameters by maximum likelihood.

    Parameters
    ----------
    frequency, recency, T
        As in `bgnbd_loglik`: the columns of `rfm_summary`.

    Returns
    -------
    BGNBD
        The search is over the logs of the parameters, so all stay positive.

    Raises
    ------
    DataError
        If a history is impossible, or if the likelihood has no maximum inside the search range: the
        data do not determine four parameters.

    Examples
    --------
    >>> from crmlab.datasets import load_cdnow_summary
    >>> cdnow = load_cdnow_summary()
    >>> fit = fit_bgnbd(cdnow["frequency"], cdnow["recency"], cdnow["T"])
    >>> [round(value, 3) for value in (fit.r, fit.alpha, fit.a, fit.b)]
    [0.243, 4.414, 0.793, 2.426]
    """
    histories = check_histories("fit_bgnbd", frequency, recency, T)
    (r, alpha, a, b), unit = maximise_histories("fit_bgnbd", BGNBD, _loglik, histories)
    return BGNBD(r=r, alpha=alpha * unit, a=a, b=b)
