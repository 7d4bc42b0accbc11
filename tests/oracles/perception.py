"""Perception, the long way round. Imports nothing from crmlab."""

from itertools import pairwise

import numpy as np


def learn(start, prior_var, noise_var, experiences):
    """Mean quality after each experience by precision weights, one Normal update at a time."""
    mean, precision, held = start, 1 / prior_var, []
    for x in experiences:
        mean = (precision * mean + x / noise_var) / (precision + 1 / noise_var)
        precision += 1 / noise_var
        held.append(mean)
    return held


def answer_probs_by_threshold(theta, a, b):
    """Share of customers with logistic noise who end up between two thresholds."""
    edges = [-np.inf, *b, np.inf]

    def below(edge):
        return 1 / (1 + np.exp(-a * (edge - theta)))

    return [below(hi) - below(lo) for lo, hi in pairwise(edges)]


def best_cut(gap):
    """Try every cut of a series and return the one with the least squared error."""
    errors = {
        cut: sum(((part - part.mean()) ** 2).sum() for part in (gap[:cut], gap[cut:]))
        for cut in range(1, len(gap))
    }
    return min(errors, key=errors.get), errors


def net_promoter_variance(p, d):
    """Variance of one answer that is +1, 0 or -1."""
    mean = p - d
    return p * (1 - mean) ** 2 + d * (-1 - mean) ** 2 + (1 - p - d) * mean**2
