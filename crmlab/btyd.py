"""Buy till you die: the BG/NBD model, the standard that models of stages must beat.

In a shop without contracts nobody says goodbye. A customer who has not ordered for ten weeks may
be about to order or may have left, and the records look the same. The BG/NBD model of Fader, Hardie
and Lee (2005) is the shortest honest story about that:

1. While alive, a customer buys at rate lambda: purchases are a Poisson process.
2. After each purchase the customer dies with probability p. Death is never seen.
3. lambda varies between customers as a Gamma(r, alpha): mean r / alpha per unit of time.
4. p varies between customers as a Beta(a, b): mean a / (a + b) per purchase.
5. lambda and p are independent.

A customer's history then enters through three numbers only (the data of `rfm_summary`): `frequency`
x, the repeat purchases; `recency` t_x, the time of the last of them; and T, the time observed, all
counted from the first purchase. Alive or dead is a chain with two stages and one absorbing state,
so this is also the smallest member of the family that the rest of crmlab is about.

The likelihood of one customer (their equation 6; Gamma functions written out) is

    L = Gamma(r + x) alpha^r / Gamma(r) * Gamma(a + b) Gamma(b + x) / (Gamma(b) Gamma(a + b + x))
        * ( (alpha + T)^-(r + x) + [x > 0] a / (b + x - 1) * (alpha + t_x)^-(r + x) ).

The two terms are the two stories: still alive at T, or dead since t_x. Their shares are the
probability of each, which is what `bgnbd_prob_alive` gives.

References
----------
Fader, Hardie and Lee (2005), "'Counting your customers' the easy way: an alternative to the
Pareto/NBD model", Marketing Science 24(2), 275-284. DOI 10.1287/mksc.1040.0098.
Fader, Hardie and Lee (2008), "Computing P(alive) using the BG/NBD model", technical note.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, expit, gammaln, hyp2f1

from crmlab.errors import DataError, SpecError, raise_problems

Array = NDArray[np.float64]

_LOG_BOUND = 12.0  # parameters are sought between exp(-12) and exp(12), with max(T) as unit
_LOG_FAR = 10.0  # beyond exp(10) a parameter runs away
_LEAST_CURVATURE = 1e-5  # of the mean log-likelihood, in the flattest direction of the logs
_NEAR_POLE = 1e-4
_NODES = np.linspace(-8.5, 8.5, 3401)  # log odds up to 7700, so that a may be as small as 0.005


@dataclass(frozen=True)
class BGNBD:
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

    def __post_init__(self) -> None:
        """Refuse parameters outside their range."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        problems = [
            f"{name} must be a positive, finite number, got {value!r}"
            for name, value in given.items()
            if not (isinstance(value, (int, float, np.number)) and 0 < value < np.inf)
        ]
        raise_problems(SpecError, "BGNBD", problems)


def bgnbd_loglik(params: BGNBD, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> Array:
    """Log-likelihood of each customer's history; the sum is that of the sample.

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
    return _loglik(params, *_check_histories("bgnbd_loglik", frequency, recency, T))


def _loglik(params: BGNBD, x: Array, t_x: Array, T: Array) -> Array:
    r, alpha, a, b = params.r, params.alpha, params.a, params.b
    purchases = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    survivals = betaln(a, b + x) - betaln(a, b)
    alive = -(r + x) * np.log(alpha + T)
    return purchases + survivals + np.logaddexp(alive, alive + _log_odds_dead(params, x, t_x, T))


def _log_odds_dead(params: BGNBD, x: Array, t_x: Array, T: Array) -> Array:
    """Log odds of dead against alive at T; a customer without repeat purchases is alive."""
    r, alpha, a, b = params.r, params.alpha, params.a, params.b
    repeated = x > 0
    chance = np.log(a) - np.log(np.where(repeated, b + x - 1, 1.0))
    silence = (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))
    return np.where(repeated, chance + silence, -np.inf)


def bgnbd_prob_alive(
    params: BGNBD, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> Array:
    """Probability that each customer is alive at the end of observation.

    Parameters
    ----------
    params, frequency, recency, T
        As in `bgnbd_loglik`.

    Returns
    -------
    ndarray (n,)
        Exactly 1 without a repeat purchase: in this model only a repeat purchase can be the last
        (the first one cannot), so such a customer says nothing about having left.

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
    x, t_x, T = _check_histories("bgnbd_prob_alive", frequency, recency, T)
    return expit(-_log_odds_dead(params, x, t_x, T))


def bgnbd_expected_purchases(
    params: BGNBD, t: ArrayLike, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> Array:
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
    x, t_x, T = _check_histories("bgnbd_expected_purchases", frequency, recency, T)
    t = _check_times("bgnbd_expected_purchases", t)
    alive = expit(-_log_odds_dead(params, x, t_x, T))
    return alive * _purchases_if_alive(
        t, params.r + x, params.alpha + T, np.asarray(params.a), params.b + x
    )


def bgnbd_mean_purchases(params: BGNBD, t: ArrayLike) -> Array:
    """Predict the mean repeat purchases, up to time t, of a new customer of whom nothing is known.

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
        If a time is negative or no number.

    References
    ----------
    Fader, Hardie and Lee (2005), equation 9.

    Examples
    --------
    >>> cdnow = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> bgnbd_mean_purchases(cdnow, [1, 3]).round(3)
    array([0.053, 0.151])
    """
    t = _check_times("bgnbd_mean_purchases", t)
    return _purchases_if_alive(
        t, *(np.asarray(value) for value in (params.r, params.alpha, params.a, params.b))
    )


def _purchases_if_alive(t: Array, r: Array, alpha: Array, a: Array, b: Array) -> Array:
    """Mean of (1 - exp(-lambda p t)) / p over lambda ~ Gamma(r, alpha) and p ~ Beta(a, b).

    The closed form divides by a - 1 and has a pole at a + b = 1, where the mean itself is smooth,
    and its factors overflow for extreme arguments. There the integral is done by quadrature.
    """
    arguments = np.broadcast_arrays(t, r, alpha, a, b)
    with np.errstate(all="ignore"):  # what is not finite is replaced below
        closed = np.array(_purchases_closed_form(*arguments))
    *_, a, b = arguments
    near_pole = (np.abs(a - 1) < _NEAR_POLE) | (np.abs(a + b - 1) < _NEAR_POLE)
    lost = (arguments[0] > 0) & (near_pole | ~np.isfinite(closed))
    closed[arguments[0] == 0] = 0.0
    if lost.any():
        closed[lost] = _purchases_by_quadrature(*(value[lost] for value in arguments))
    return closed


def _purchases_closed_form(t: Array, r: Array, alpha: Array, a: Array, b: Array) -> Array:
    """Equation 9, with the hypergeometric function in the Euler-transformed form.

    2F1(r, b; c; z) = (1 - z)^(a - 1 - r) 2F1(c - r, a - 1; c; z), where c = a + b - 1: measured
    against quadrature, this form does not overflow with large r and loses no digits for z near 1.
    """
    c, z = a + b - 1, t / (alpha + t)
    return c / (a - 1) * (1 - (1 - z) ** (a - 1) * hyp2f1(c - r, a - 1, c, z))


def _purchases_by_quadrature(t: Array, r: Array, alpha: Array, a: Array, b: Array) -> Array:
    """Integrate over p by the tanh-sinh rule: p = 1 / (1 + exp(-pi sinh u)), u equally spaced.

    Takahasi and Mori (1974): the rule is exact to rounding for integrands with powers at both ends.
    """
    t, r, alpha, a, b = (value[..., None] for value in (t, r, alpha, a, b))
    log_odds = np.pi * np.sinh(_NODES)
    log_p, log_q = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    odds = np.maximum(np.exp(log_p), np.finfo(float).tiny) * t / alpha
    # log of the mean of 1 - exp(-lambda p t); for small p it is r odds, and p itself underflows
    log_bought = np.log(-np.expm1(-r * np.log1p(odds))) - np.log(odds) + log_p + np.log(t / alpha)
    log_weight = (a - 1) * log_p + b * log_q - betaln(a, b) + np.log(np.pi * np.cosh(_NODES))
    return np.exp(log_weight + log_bought).sum(axis=-1) * (_NODES[1] - _NODES[0])


def fit_bgnbd(frequency: ArrayLike, recency: ArrayLike, T: ArrayLike) -> BGNBD:
    """Estimate the four parameters by maximum likelihood.

    Parameters
    ----------
    frequency, recency, T
        As in `bgnbd_loglik`: the columns of `rfm_summary`.

    Returns
    -------
    BGNBD
        The log of each parameter is sought, so all stay positive.

    Raises
    ------
    DataError
        If a history is impossible, or if the likelihood has no maximum inside the search range
        (a parameter runs away): the data do not carry four parameters.

    Examples
    --------
    >>> from crmlab.datasets import load_cdnow_summary
    >>> cdnow = load_cdnow_summary()
    >>> fit = fit_bgnbd(cdnow["frequency"], cdnow["recency"], cdnow["T"])
    >>> [round(value, 3) for value in (fit.r, fit.alpha, fit.a, fit.b)]
    [0.243, 4.414, 0.793, 2.426]
    """
    histories = _check_histories("fit_bgnbd", frequency, recency, T)
    x, t_x, T = histories
    unit = max(float(T.max()), np.finfo(float).tiny)  # a fit must not depend on the unit of time
    unique, counts = np.unique(np.stack([x, t_x / unit, T / unit]), axis=1, return_counts=True)
    shares = counts / counts.sum()
    r, alpha, a, b = _maximise(lambda logs: float(shares @ _loglik(BGNBD(*np.exp(logs)), *unique)))
    return BGNBD(r=r, alpha=alpha * unit, a=a, b=b)


def _maximise(mean_loglik: Callable[[Array], float]) -> list[float]:
    """Find the four parameters that maximise a function of their logs."""
    from scipy.optimize import minimize

    found = minimize(
        lambda logs: -mean_loglik(logs),
        np.zeros(4),
        method="L-BFGS-B",
        jac="3-point",
        bounds=[(-_LOG_BOUND, _LOG_BOUND)] * 4,
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000},
    )
    _check_maximum(mean_loglik, found.x)
    return [float(value) for value in np.exp(found.x)]


def _check_maximum(mean_loglik: Callable[[Array], float], logs: Array) -> None:
    """Refuse a point that is no maximum: at the edge of the search range, or on a plateau."""
    names = [field.name for field in fields(BGNBD)]
    far = [name for name, value in zip(names, logs, strict=True) if abs(value) > _LOG_FAR]
    problems = [f"the best {' and '.join(far)} would be 0 or infinite"] if far else []
    if not far and -np.linalg.eigvalsh(_hessian(mean_loglik, logs)).max() < _LEAST_CURVATURE:
        problems = ["the likelihood is flat where the search ended"]
    way_out = "use more customers with repeat purchases, or a model with priors"
    raise_problems(
        DataError,
        "fit_bgnbd",
        [f"these data do not determine the four parameters: {p}; {way_out}" for p in problems],
    )


def _hessian(function: Callable[[Array], float], at: Array, step: float = 1e-3) -> Array:
    """Second differences."""
    moves = step * np.eye(len(at))
    return np.array(
        [
            [
                function(at + i + j)
                - function(at + i - j)
                - function(at - i + j)
                + function(at - i - j)
                for j in moves
            ]
            for i in moves
        ]
    ) / (4 * step**2)


# Checking -----------------------------------------------------------------------------------------


def _check_histories(
    owner: str, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike
) -> tuple[Array, Array, Array]:
    """Give the histories as equally long float arrays, or say everything that is wrong."""
    given = {"frequency": frequency, "recency": recency, "T": T}
    arrays = {name: _as_numbers(values) for name, values in given.items()}
    problems = [f"{name} must hold numbers" for name in arrays if arrays[name] is None]
    raise_problems(DataError, owner, problems)
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{owner}: frequency, recency and T must have one shape, got {shapes}")
    x, t_x, observed = arrays.values()
    if not x.size:
        raise DataError(f"{owner}: there is no customer")
    raise_problems(DataError, owner, _impossible(x, t_x, observed))
    return x, t_x, observed


def _impossible(x: Array, t_x: Array, T: Array) -> list[str]:
    rules = {
        "frequency must be a whole number, 0 or more": ~((x >= 0) & (x % 1 == 0)),
        "recency must be a number, 0 or more": ~((t_x >= 0) & np.isfinite(t_x)),
        "T must be a number, 0 or more": ~((T >= 0) & np.isfinite(T)),
        "recency must not exceed T": t_x > T,
        "frequency 0 needs recency 0: the first purchase is the last": (x == 0) & (t_x > 0),
    }
    return [
        f"{rule}; {int(bad.sum())} of {x.size} customers break it, first at position "
        f"{first} (frequency={x.flat[first]:g}, recency={t_x.flat[first]:g}, T={T.flat[first]:g})"
        for rule, bad in rules.items()
        if bad.any()
        for first in [int(np.flatnonzero(bad)[0])]
    ]


def _check_times(owner: str, t: ArrayLike) -> Array:
    times = _as_numbers(t)
    if times is None or not (np.isfinite(times) & (times >= 0)).all():
        raise DataError(f"{owner}: t must be a time, 0 or more, got {t!r}")
    return times


def _as_numbers(values: ArrayLike) -> Array | None:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
