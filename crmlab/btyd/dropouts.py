"""Purchases of a living customer who dies with a fixed probability after each one.

With rate lambda and dropout probability p, a living customer buys on average
(1 - exp(-lambda p t)) / p times in the time t. BG/NBD and MBG/NBD average this over gamma rates and
beta dropout probabilities.
"""

import numpy as np
from scipy.special import betaln, hyp2f1

from crmlab.arrays import Floats

_NEAR_POLE = 1e-4
_SHORT = 0.25  # of the ratio between two terms of the series for short times
_N_TERMS = 27  # after which such a series is exact to rounding
_NODES = np.linspace(-8.5, 8.5, 3401)  # log odds up to 7700, so that a may be as small as 0.005


def purchases_if_alive(t: Floats, r: Floats, alpha: Floats, a: Floats, b: Floats) -> Floats:
    """Mean of (1 - exp(-lambda p t)) / p over lambda ~ Gamma(r, alpha) and p ~ Beta(a, b).

    The closed form subtracts from 1 what is close to 1 for short times; there a series is exact. It
    also divides by a - 1, has a pole at a + b = 1 (where the mean itself is smooth), and overflows
    for extreme arguments. In these cases the integral is computed by quadrature.
    """
    arguments = np.broadcast_arrays(t, r, alpha, a, b)
    with np.errstate(all="ignore"):  # non-finite values are replaced below
        found = np.array(_purchases_closed_form(*arguments))
    t, r, alpha, a, b = arguments
    near_pole = (np.abs(a - 1) < _NEAR_POLE) | (np.abs(a + b - 1) < _NEAR_POLE)
    short = t / alpha * np.maximum((r + 1) / 2, 1) <= _SHORT
    lost = ~short & (near_pole | ~np.isfinite(found))
    for chosen, compute in ((short, _purchases_by_series), (lost, _purchases_by_quadrature)):
        if chosen.any():
            found[chosen] = compute(*(value[chosen] for value in arguments))
    return found


def _purchases_closed_form(t: Floats, r: Floats, alpha: Floats, a: Floats, b: Floats) -> Floats:
    """Equation 9, with the hypergeometric function in the Euler-transformed form.

    2F1(r, b; c; z) = (1 - z)^(a - 1 - r) 2F1(c - r, a - 1; c; z), where c = a + b - 1. Compared
    with quadrature, this form does not overflow for large r and loses no digits for z near 1.
    """
    c, z = a + b - 1, t / (alpha + t)
    return c / (a - 1) * (1 - (1 - z) ** (a - 1) * hyp2f1(c - r, a - 1, c, z))


def _purchases_by_series(t: Floats, r: Floats, alpha: Floats, a: Floats, b: Floats) -> Floats:
    """Sum (1 - (1 + s p)^-r) / p over the powers of s = t / alpha, by Horner's rule.

    r s 3F2(r + 1, a, 1; 2, a + b; -s): the mean of p^j is (a)_j / (a + b)_j.
    """
    s, total = t / alpha, np.ones_like(t)
    for j in range(_N_TERMS, 0, -1):
        total = 1 - s * (r + j) / (1 + j) * (a + j - 1) / (a + b + j - 1) * total
    return r * s * total


def _purchases_by_quadrature(t: Floats, r: Floats, alpha: Floats, a: Floats, b: Floats) -> Floats:
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
