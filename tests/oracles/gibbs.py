"""A Gibbs sampler of hidden stages with Poisson counts. Imports nothing from crmlab.

Conjugate priors: rates Gamma(1, 1), rows and initial law Dirichlet(1). Stages are drawn by forward
filtering and backward sampling; rates are sorted at the end, which changes no likelihood.
"""

import numpy as np
from scipy.special import gammaln


def poisson_chains(y, n_stages, n_draws, rng, n_warm_up=60):
    """Draws of rate (S, K), initial (S, K) and matrix (S, K, K) given counts y (N, T)."""
    K = n_stages
    rate = np.quantile(y, (np.arange(K) + 0.5) / K) + np.arange(1, K + 1) * 0.1
    initial, matrix = np.full(K, 1 / K), (np.eye(K) + 1) / (K + 1)
    kept = []
    for step in range(n_warm_up + n_draws):
        s = _paths(y, rate, initial, matrix, rng)
        hits = np.eye(K)[s]
        rate = rng.gamma(1 + (hits * y[..., None]).sum((0, 1)), 1 / (1 + hits.sum((0, 1))))
        initial = rng.dirichlet(1 + hits[:, 0].sum(0))
        counts = np.einsum("nti,ntj->ij", hits[:, :-1], hits[:, 1:])
        matrix = np.stack([rng.dirichlet(1 + row) for row in counts])
        if step >= n_warm_up:
            order = np.argsort(rate)
            kept.append((rate[order], initial[order], matrix[np.ix_(order, order)]))
    return tuple(np.array(part) for part in zip(*kept, strict=True))


def _paths(y, rate, initial, matrix, rng):
    n, T = y.shape
    density = np.exp(y[..., None] * np.log(rate) - rate - gammaln(y + 1)[..., None])
    filtered = np.empty((T, n, len(rate)))
    for t in range(T):
        joint = (initial if t == 0 else filtered[t - 1] @ matrix) * density[:, t]
        filtered[t] = joint / joint.sum(axis=1, keepdims=True)
    s = np.empty((n, T), dtype=int)
    s[:, -1] = _draw(filtered[-1], rng)
    for t in reversed(range(T - 1)):
        s[:, t] = _draw(filtered[t] * matrix[:, s[:, t + 1]].T, rng)
    return s


def _draw(weights, rng):
    edges = np.cumsum(weights, axis=1)
    return (rng.random(len(weights))[:, None] * edges[:, -1:] > edges).sum(axis=1)
