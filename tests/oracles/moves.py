"""Transition probabilities with covariates, by hand. Imports nothing from crmlab."""

import math


def logistic(x):
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def logit_row(k, log_odds):
    """Probabilities of one stage's destinations; `log_odds` {destination: against staying}."""
    weights = {k: 1.0, **{j: math.exp(value) for j, value in log_odds.items()}}
    total = math.fsum(weights.values())
    return {j: weight / total for j, weight in weights.items()}


def ordered_row(destinations, cuts, propensity):
    """Netzer, Lattin and Srinivasan (2008): differences of logistic functions."""
    below = [0.0, *(logistic(cut - propensity) for cut in cuts), 1.0]
    return {j: below[m + 1] - below[m] for m, j in enumerate(destinations)}


def as_matrix(rows):
    """Rows {destination: probability} as lists of K numbers."""
    return [[row.get(j, 0.0) for j in range(len(rows))] for row in rows]
