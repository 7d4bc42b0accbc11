"""BG/NBD from its story: the likelihood of one rate and one dropout probability, integrated.

Nothing here comes from crmlab, and no hypergeometric function is used: the mixing distributions
are integrated numerically.
"""

import itertools
import math

from scipy.integrate import quad


def mean_over_rates(function, r, alpha):
    """E[function(rate)], rate ~ Gamma(r, alpha), in s = rate**r, which removes the pole at 0."""
    scale = alpha**r / (r * math.gamma(r))

    def integrand(s):
        rate = s ** (1 / r)
        return function(rate) * math.exp(-alpha * rate)

    cuts = [(k / alpha) ** r for k in (0, 0.01, 0.1, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)]
    pieces = itertools.pairwise(cuts)
    return scale * sum(quad(integrand, *ends, epsabs=0, epsrel=1e-12)[0] for ends in pieces)


def mean_over_dropouts(function, a, b):
    """E[function(p)], p ~ Beta(a, b), by a rule that knows the powers at both ends."""
    beta = math.gamma(a) * math.gamma(b) / math.gamma(a + b)
    weighted = quad(function, 0, 1, weight="alg", wvar=(a - 1, b - 1), epsabs=0, epsrel=1e-9)
    return weighted[0] / beta


def stories(params, x, t_x, T):
    """Likelihood of the two stories of a customer: alive at T, and dead since t_x."""
    r, alpha, a, b = params
    alive = mean_over_dropouts(lambda p: (1 - p) ** x, a, b) * mean_over_rates(
        lambda rate: rate**x * math.exp(-rate * T), r, alpha
    )
    if x == 0:
        return alive, 0.0
    dead = mean_over_dropouts(lambda p: p * (1 - p) ** (x - 1), a, b) * mean_over_rates(
        lambda rate: rate**x * math.exp(-rate * t_x), r, alpha
    )
    return alive, dead


def loglik(params, x, t_x, T):
    return math.log(sum(stories(params, x, t_x, T)))


def prob_alive(params, x, t_x, T):
    alive, dead = stories(params, x, t_x, T)
    return alive / (alive + dead)


def expected_purchases(params, t, x, t_x, T):
    """Mean purchases in (T, T + t]: a living customer buys at rate * exp(-rate p s), time s on."""
    r, alpha, a, b = params

    def given_dropout(p):
        def bought(rate):  # (1 - exp(-rate p t)) / p, and its limit for an immortal customer
            return -math.expm1(-rate * p * t) / p if p > 0 else rate * t

        mean = mean_over_rates(lambda rate: rate**x * math.exp(-rate * T) * bought(rate), r, alpha)
        return mean * (1 - p) ** x

    return mean_over_dropouts(given_dropout, a, b) / sum(stories(params, x, t_x, T))


def mean_purchases(params, t):
    """Mean purchases of a new customer, adaptively over the log odds of p: for extreme worlds.

    Given p, the mean of 1 - exp(-rate p t) over the rates is 1 - (alpha / (alpha + p t)) ** r.
    """
    r, alpha, a, b = params
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    def integrand(log_odds):
        log_p, log_q = -math.log1p(math.exp(-log_odds)), -math.log1p(math.exp(log_odds))
        bought = -math.expm1(-r * math.log1p(math.exp(log_p) * t / alpha))
        return bought * math.exp((a - 1) * log_p + b * log_q - log_beta)

    pieces = itertools.pairwise(range(-300, 301))
    return sum(quad(integrand, *ends, epsabs=0, epsrel=1e-10)[0] for ends in pieces)


def mean_purchases_short_series(params, t, n_terms):
    """Equation 9 of Fader, Hardie and Lee (2005) with the series cut off, as in a spreadsheet."""
    r, alpha, a, b = params
    c, z = a + b - 1, t / (alpha + t)
    term = total = 1.0
    for j in range(n_terms):
        term *= (r + j) * (b + j) / ((c + j) * (j + 1)) * z
        total += term
    return c / (a - 1) * (1 - (alpha / (alpha + t)) ** r * total)
