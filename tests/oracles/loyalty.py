"""Loyalty by counting people and patterns. Imports nothing from crmlab."""

import math
from itertools import product


def pattern_probs(shares, yes):
    """Probability of every pattern of indicators, class by class."""
    n = len(yes[0])
    return {
        pattern: sum(
            share * math.prod(p if said else 1 - p for p, said in zip(row, pattern, strict=True))
            for share, row in zip(shares, yes, strict=True)
        )
        for pattern in product((0, 1), repeat=n)
    }


def loglik(shares, yes, data):
    """Log-likelihood of rows that may hold None: patterns that agree with a row are added up."""
    probs = pattern_probs(shares, yes)

    def prob(row):
        return sum(
            p
            for pattern, p in probs.items()
            if all(x is None or x == y for x, y in zip(row, pattern, strict=True))
        )

    return sum(math.log(prob(row)) for row in data)


def membership(shares, yes, pattern):
    """Posterior of the classes for one full pattern."""
    joint = [
        share * math.prod(p if said else 1 - p for p, said in zip(row, pattern, strict=True))
        for share, row in zip(shares, yes, strict=True)
    ]
    return [x / sum(joint) for x in joint]
