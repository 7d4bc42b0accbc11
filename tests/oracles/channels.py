"""The law of each channel in closed form, one value and one stage at a time.

Imports nothing from crmlab. A law is a pair: the log-density of a value, and the quantile of a
probability, found by adding up probabilities or, where the law is continuous, by bisection of its
distribution function.
"""

import math
from decimal import Decimal, localcontext
from itertools import pairwise


def poisson(value, rate):
    if rate == 0:
        return 0.0 if value == 0 else -math.inf
    return value * math.log(rate) - rate - math.lgamma(value + 1)


def negative_binomial(value, rate, shape):
    """Failures before the shape-th success, factor by factor: no gamma function."""
    if rate == 0:
        return 0.0 if value == 0 else -math.inf
    total = shape * math.log(shape / (shape + rate))
    for k in range(int(value)):
        total += math.log((shape + k) / (k + 1)) + math.log(rate / (shape + rate))
    return total


def geometric(value, prob):
    """Nothing for `value` periods, then something."""
    if prob == 1:
        return 0.0 if value == 0 else -math.inf
    return math.log(prob) + value * math.log(1 - prob)


def bernoulli(value, prob):
    chance = prob if value == 1 else 1 - prob
    return math.log(chance) if chance > 0 else -math.inf


def spend(value, prob, median, sigma):
    """A hurdle: nothing, or a log-normal amount."""
    if value == 0:
        return math.log(1 - prob) if prob < 1 else -math.inf
    if prob == 0:
        return -math.inf
    z = math.log(value / median) / sigma
    return math.log(prob) - z * z / 2 - math.log(value * sigma * math.sqrt(2 * math.pi))


def survey_probs(location, cutpoints, discrimination):
    """Graded response (Samejima 1969): differences of logistic curves, level 1 first.

    In 60 digits, since both curves may lie closer to 1 than a double can tell.
    """
    with localcontext(prec=60):
        slope, place = Decimal(discrimination), Decimal(location)
        curves = [1 / (1 + (-slope * (place - Decimal(c))).exp()) for c in cutpoints]
        return [float(a - b) for a, b in pairwise([Decimal(1), *curves, Decimal(0)])]


def survey(value, location, cutpoints=(-1.5, -0.5, 0.5, 1.5), discrimination=1.7):
    return math.log(survey_probs(location, cutpoints, discrimination)[int(value) - 1])


def label(value, row):
    return math.log(row[int(value)]) if row[int(value)] > 0 else -math.inf


def discrete_quantile(u, log_density, first=0):
    """Smallest value, counting up from `first`, at which the added-up probabilities reach u."""
    value, total = first, math.exp(log_density(first))
    while total < u:
        value += 1
        total += math.exp(log_density(value))
    return value


def spend_quantile(u, prob, median, sigma):
    """Bisect the distribution function in the logarithm of the amount."""
    if u <= 1 - prob:
        return 0.0
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        above = prob * 0.5 * math.erfc((middle - math.log(median)) / (sigma * math.sqrt(2)))
        low, high = (low, middle) if above <= 1 - u else (middle, high)
    return math.exp((low + high) / 2)
