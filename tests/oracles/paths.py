"""Hidden stages by brute force: list every path of one customer. Imports nothing from crmlab.

One customer's window has T periods. `initial` holds K probabilities, `matrices` holds T - 1
transition matrices, `logs` holds T rows of K log-likelihoods. With K stages there are K^T paths;
every question about them is a sum or a maximum over the list.
"""

import math
from itertools import pairwise, product


def log_joint(initial, matrices, logs, path):
    """Log-probability of one path together with the evidence of its periods."""
    prob = initial[path[0]]
    for t, (i, j) in enumerate(pairwise(path)):
        prob *= matrices[t][i][j]
    if prob == 0:
        return -math.inf
    return math.log(prob) + math.fsum(logs[t][stage] for t, stage in enumerate(path))


def joint_table(initial, matrices, logs, n_periods):
    """Log joint probability of each path over the first `n_periods`, impossible ones left out."""
    paths = product(range(len(initial)), repeat=n_periods)
    table = {path: log_joint(initial, matrices, logs, path) for path in paths}
    return {path: value for path, value in table.items() if value > -math.inf}


def log_total(values):
    values = list(values)
    if not values:
        return -math.inf
    peak = max(values)
    return peak + math.log(math.fsum(math.exp(value - peak) for value in values))


def loglik(initial, matrices, logs):
    return log_total(joint_table(initial, matrices, logs, len(logs)).values())


def path_probs(initial, matrices, logs):
    """Probability of each possible path given all the evidence; None if nothing is possible."""
    table = joint_table(initial, matrices, logs, len(logs))
    total = log_total(table.values())
    if total == -math.inf:
        return None
    return {path: math.exp(value - total) for path, value in table.items()}


def marginal(probs, t, n_stages):
    """Probability of each stage in period t; NaN if there is no possible path."""
    if probs is None:
        return [math.nan] * n_stages
    return [math.fsum(p for path, p in probs.items() if path[t] == k) for k in range(n_stages)]


def filtered(initial, matrices, logs):
    """Marginals of the last period, for growing histories."""
    n_stages = len(initial)
    return [
        marginal(path_probs(initial, matrices, logs[: t + 1]), t, n_stages)
        for t in range(len(logs))
    ]


def predicted(initial, matrices, logs):
    """Marginals of a period whose own evidence is struck out."""
    n_stages = len(initial)
    return [
        marginal(path_probs(initial, matrices, [*logs[:t], [0.0] * n_stages]), t, n_stages)
        for t in range(len(logs))
    ]


def smoothed(initial, matrices, logs):
    probs = path_probs(initial, matrices, logs)
    return [marginal(probs, t, len(initial)) for t in range(len(logs))]


def best_log_joint(initial, matrices, logs):
    """Largest log joint probability of a path; -inf if nothing is possible."""
    return max(joint_table(initial, matrices, logs, len(logs)).values(), default=-math.inf)
