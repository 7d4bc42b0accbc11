"""Pareto/NBD, MBG/NBD, BG/BB and Gamma-Gamma from their stories, and customers who live them.

Nothing here comes from crmlab, and no hypergeometric function is used: mixing distributions are
integrated numerically, and simulated customers buy and die one event at a time.
"""

import itertools
import math

import numpy as np
from scipy.integrate import quad

from tests.oracles.btyd import mean_over_dropouts, mean_over_rates

# Pareto/NBD ---------------------------------------------------------------------------------------


def pareto_stories(params, x, t_x, T):
    """Likelihood of the two stories: alive at T, and dead at some moment since t_x."""
    r, alpha, s, beta = params

    def bought(until):
        return mean_over_rates(lambda rate: rate**x * math.exp(-rate * until), r, alpha)

    def dies_at(moment):
        return mean_over_rates(lambda mu: mu * math.exp(-mu * moment), s, beta)

    alive = bought(T) * mean_over_rates(lambda mu: math.exp(-mu * T), s, beta)
    dead = quad(lambda tau: bought(tau) * dies_at(tau), t_x, T, epsabs=0, epsrel=1e-9)[0]
    return alive, dead


def pareto_expected(params, t, x, t_x, T):
    """Mean purchases in (T, T + t]: a living customer buys at her rate while she lives."""
    r, alpha, s, beta = params
    bought = mean_over_rates(lambda rate: rate ** (x + 1) * math.exp(-rate * T), r, alpha)
    lived = mean_over_rates(
        lambda mu: math.exp(-mu * T) * (-math.expm1(-mu * t) / mu if mu > 0 else t), s, beta
    )
    return bought * lived / sum(pareto_stories(params, x, t_x, T))


# MBG/NBD ------------------------------------------------------------------------------------------


def mbg_stories(params, x, t_x, T):
    """Likelihood of the two stories: alive at T, and dead since t_x, also if t_x is 0."""
    r, alpha, a, b = params
    alive = mean_over_dropouts(lambda p: (1 - p) ** (x + 1), a, b) * mean_over_rates(
        lambda rate: rate**x * math.exp(-rate * T), r, alpha
    )
    dead = mean_over_dropouts(lambda p: p * (1 - p) ** x, a, b) * mean_over_rates(
        lambda rate: rate**x * math.exp(-rate * t_x), r, alpha
    )
    return alive, dead


def mbg_expected(params, t, x, t_x, T):
    r, alpha, a, b = params

    def given_dropout(p):
        def bought(rate):
            return -math.expm1(-rate * p * t) / p if p > 0 else rate * t

        mean = mean_over_rates(lambda rate: rate**x * math.exp(-rate * T) * bought(rate), r, alpha)
        return mean * (1 - p) ** (x + 1)

    return mean_over_dropouts(given_dropout, a, b) / sum(mbg_stories(params, x, t_x, T))


# BG/BB --------------------------------------------------------------------------------------------


def bgbb_likelihood(params, purchases):
    """Likelihood of 0s and 1s: the sum over the number of periods lived through."""
    alpha, beta, gamma, delta = params
    n, x = len(purchases), sum(purchases)
    last = max((i + 1 for i, bought in enumerate(purchases) if bought), default=0)
    total = 0.0
    for lived in range(last, n + 1):
        silent = lived - x
        bought = mean_over_dropouts(lambda p, k=silent: p**x * (1 - p) ** k, alpha, beta)
        died = mean_over_dropouts(
            lambda q, k=lived: (1 - q) ** k * (q if k < n else 1.0), gamma, delta
        )
        total += bought * died
    return total


def histories(n):
    """Every sequence of n purchases or none."""
    return list(itertools.product((0, 1), repeat=n))


def summary(purchases):
    """Frequency and recency of one sequence."""
    return sum(purchases), max((i + 1 for i, bought in enumerate(purchases) if bought), default=0)


# Gamma-Gamma --------------------------------------------------------------------------------------


def gammagamma_density(params, x, mean):
    """Density of the mean of x amounts, the rate nu integrated out numerically."""
    p, q, v = params
    shape = p * x

    def given_rate(nu):
        log = shape * math.log(x * nu) + (shape - 1) * math.log(mean) - x * nu * mean
        return math.exp(log - math.lgamma(shape))

    return mean_over_rates(given_rate, q, v)


def gammagamma_expected(params, x, mean):
    p, q, v = params

    def weighed(nu, amount):
        return amount * math.exp(p * x * math.log(nu) - x * nu * mean)

    total = mean_over_rates(lambda nu: weighed(nu, p / nu), q, v)
    return total / mean_over_rates(lambda nu: weighed(nu, 1.0), q, v)


# Customers who live the stories -------------------------------------------------------------------


def live_and_buy(rate, T, survives, rng, dies_at=math.inf):
    """Buy at a rate until T, death, or a purchase after which `survives` says no."""
    x, last, now = 0, 0.0, 0.0
    while True:
        now += rng.exponential(1 / rate)
        if now > min(T, dies_at):
            return x, last
        x, last = x + 1, now
        if not survives():
            return x, last


def simulate_bgnbd(params, T, rng, *, first_may_be_last=False):
    r, alpha, a, b = params
    rows = []
    for observed in T:
        rate, p = rng.gamma(r, 1 / alpha), rng.beta(a, b)
        if first_may_be_last and rng.random() < p:
            rows.append((0, 0.0))
        else:
            rows.append(live_and_buy(rate, observed, lambda p=p: rng.random() >= p, rng))
    return np.array(rows, dtype=float).T


def simulate_pareto(params, T, rng):
    r, alpha, s, beta = params
    rows = []
    for observed in T:
        rate, mu = rng.gamma(r, 1 / alpha), rng.gamma(s, 1 / beta)
        death = rng.exponential(1 / mu)
        rows.append(live_and_buy(rate, observed, lambda: True, rng, death))
    return np.array(rows, dtype=float).T


def simulate_bgbb(params, n, size, rng):
    alpha, beta, gamma, delta = params
    rows = []
    for _ in range(size):
        p, theta, purchases = rng.beta(alpha, beta), rng.beta(gamma, delta), [0] * n
        for i in range(n):
            if rng.random() < theta:
                break
            purchases[i] = int(rng.random() < p)
        rows.append(summary(purchases))
    return np.array(rows, dtype=float).T


def simulate_gammagamma(params, x, rng):
    p, q, v = params
    return np.array([rng.gamma(p, 1 / rng.gamma(q, 1 / v), int(n)).mean() for n in x])
