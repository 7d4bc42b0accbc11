"""Contracts from their story: a chance to leave per customer, averaged by quadrature.

Nothing here comes from crmlab.
"""

import functools
import math

import numpy as np
from scipy.special import polygamma

from tests.oracles.btyd import mean_over_dropouts


def survival(params, t):
    """Share still there after t renewals: each customer stays with (1 - theta) ** (t ** c)."""
    alpha, beta, *c = params
    aged = t ** (c[0] if c else 1.0)
    return mean_over_dropouts(lambda theta: (1 - theta) ** aged, alpha, beta)


def residual_lifetime(params, discount_rate, renewals, n_terms=2000):
    """Payments still to come of the mixed population, customer by customer.

    A customer who stays with r at each renewal is worth r (1 + d) / (1 + d - r) just before one;
    among those who renewed m times, the easy leavers have become rare.
    """
    alpha, beta = params
    weight = mean_over_dropouts(lambda theta: (1 - theta) ** renewals, alpha, beta)

    def worth(theta):
        stays = 1 - theta
        return stays**renewals * stays * (1 + discount_rate) / (1 + discount_rate - stays)

    return mean_over_dropouts(worth, alpha, beta) / weight


def loglik(params, survivors):
    """Log-likelihood of one cohort: the leavers of each period, and those who stayed."""
    shares = [survival(params, t) for t in range(len(survivors))]
    total = survivors[-1] * math.log(shares[-1])
    for t in range(1, len(survivors)):
        left = survivors[t - 1] - survivors[t]
        total += left * math.log(shares[t - 1] - shares[t])
    return total


def standard_errors(params, survivors):
    """Inverse of minus the second derivatives of the log-likelihood, by polygamma functions."""
    alpha, beta = params
    psi = functools.partial(polygamma, 1)
    left = -np.diff(survivors)
    t = np.arange(1, len(survivors))
    n, stayed, last = survivors[0], survivors[-1], len(survivors) - 1
    # log P(leaves at t) = ln B(alpha + 1, beta + t - 1) - ln B(alpha, beta)
    # log P(stays to T)  = ln B(alpha, beta + T) - ln B(alpha, beta)
    both = (left * psi(alpha + beta + t)).sum() + stayed * psi(alpha + beta + last)
    aa = left.sum() * psi(alpha + 1) + stayed * psi(alpha) - both
    bb = (left * psi(beta + t - 1)).sum() + stayed * psi(beta + last) - both
    start = n * np.array([[psi(alpha), 0], [0, psi(beta)]]) - n * psi(alpha + beta)
    hessian = np.array([[aa, -both], [-both, bb]]) - start
    return np.sqrt(np.diag(np.linalg.inv(-hessian)))


def simulate(params, size, n_periods, rng):
    """Survivors of a cohort in which each customer decides period by period."""
    alpha, beta, *c = params
    power = c[0] if c else 1.0
    theta = rng.beta(alpha, beta, size)
    alive, counts = np.ones(size, dtype=bool), [size]
    for t in range(1, n_periods + 1):
        with np.errstate(divide="ignore", invalid="ignore"):
            stays = (1 - theta) ** (t**power - (t - 1) ** power)
        alive &= rng.random(size) < stays
        counts.append(int(alive.sum()))
    return counts


def posterior_mean_leaving(survivors, lines=400):
    """Posterior mean of alpha / (alpha + beta) under the uniform prior on the unit square.

    A midpoint rule on the square itself, not in logits, with the geometric mixture multiplied out.
    """
    cells = (np.arange(lines) + 0.5) / lines
    m, phi = np.meshgrid(cells, cells, indexing="ij")
    size = (1 - phi) / phi
    alpha, beta = m * size, (1 - m) * size
    log, share = np.zeros_like(m), np.zeros_like(m)
    for t in range(1, len(survivors)):
        leaves = alpha / (alpha + beta + t - 1)
        log += (survivors[t - 1] - survivors[t]) * (share + np.log(leaves))
        share += np.log1p(-leaves)
    log += survivors[-1] * share
    weight = np.exp(log - log.max())
    return float((weight * m).sum() / weight.sum())
