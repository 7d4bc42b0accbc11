"""Memories told one encounter at a time, in plain Python. Imports nothing from crmlab."""

import math
from itertools import permutations


def present(encounters):
    return [x for x in encounters if not math.isnan(x)]


def peak_end(encounters, weight):
    """Memory of a whole series."""
    seen = present(encounters)
    if not seen:
        return math.nan
    peak = max(seen, key=lambda x: (abs(x), x < 0))
    return weight * peak + (1 - weight) * seen[-1]


def mean(encounters):
    seen = present(encounters)
    return math.fsum(seen) / len(seen) if seen else math.nan


def faded_sum(encounters, keep):
    seen = present(encounters)
    return math.fsum(x * keep**age for age, x in enumerate(reversed(seen)))


def best_memory(steps, memory, before):
    """Largest memory over all orders that keep the constraints, and None if there are none."""
    return max(
        (
            memory([steps[i] for i in order])
            for order in permutations(range(len(steps)))
            if all(order.index(i) < order.index(j) for i, j in before)
        ),
        default=None,
    )
