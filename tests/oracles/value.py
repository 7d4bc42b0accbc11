"""Independent answers about the value of stages. Imports nothing from crmlab.

Two ways that share nothing with linear algebra in floating point: listing every path with its
probability and its discounted payments, and solving the equations in exact fractions. Below them
stand published numbers with their sources.
"""

from fractions import Fraction
from itertools import pairwise, product


def value_by_paths(P, margin, discount_rate, n_periods):
    """Worth of each stage over `n_periods` payments: the mean over all paths, listed one by one."""
    stages = range(len(P))
    values = []
    for start in stages:
        total = 0.0
        for rest in product(stages, repeat=n_periods - 1):
            path = (start, *rest)
            prob = 1.0
            for here, there in pairwise(path):
                prob *= P[here][there]
            paid = sum(margin[s] / (1 + discount_rate) ** t for t, s in enumerate(path))
            total += prob * paid
        values.append(total)
    return values


def value_in_fractions(P, margin, discount_rate):
    """Worth of each stage for ever, V = R + P V / (1+d), by Gauss-Jordan in exact fractions.

    Give numbers as strings or fractions to keep them exact.
    """
    keep = 1 / (1 + Fraction(discount_rate))
    n = len(P)
    rows = [
        [Fraction(i == j) - keep * Fraction(P[i][j]) for j in range(n)] + [Fraction(margin[i])]
        for i in range(n)
    ]
    for i in range(n):
        pivot = next(r for r in range(i, n) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def recency_chain(repurchase_probs):
    """Pfeifer & Carraway's chain: recency 1, 2, ... and former; a purchase leads to recency 1."""
    n = len(repurchase_probs)
    P = [[Fraction(0)] * (n + 1) for _ in range(n + 1)]
    for i, text in enumerate(repurchase_probs):
        P[i][0] += Fraction(text)
        P[i][i + 1] += 1 - Fraction(text)
    P[n][n] = Fraction(1)
    return P


# Pfeifer & Carraway 2000, J. Interactive Marketing 14(2), 43-55: net contribution 40, marketing
# cost 4, 20 % a year, recency 1 to 4 and former. Horizon 4 counts the payments of t = 0, ..., 4.
PC_PROBS = ("3/10", "1/5", "3/20", "1/20")
PC_MARGIN = (36, -4, -4, -4, 0)
PC_FOR_EVER = (52.320, 5.554, 1.251, -1.820, 0)
PC_HORIZON_4 = (50.115, 4.220, 0.592, -1.980, 0)
# After recency 2 the exact values are 2424/47 = 51.57447 and 216/47 = 4.59574. A note made from
# memory says 51.575, which is what carrying the rounded 4.596 by hand gives: not a third decimal.
PC_STOP_AFTER = {3: (53.149, 6.621, 2.644, 0), 2: (51.574, 4.596, 0), 1: (48.0, 0)}

# The same chain with other inputs, from the unit tests of the phpOMS project (two decimals).
VARIANT_FOR_EVER = (231.08, 57.29, 21.01, 0)  # p = .5, .2, .1; payoff 100; 10 %
VARIANT_HORIZON_4 = (49.40, 2.69, -1.98, 0)  # p = .3, .2, .05; payoff 36, -4, -4; 20 %

# Lilien, Rangaswamy & De Bruyn, Principles of Marketing Engineering, OfficeStar. Inputs published;
# values recomputed with the margin less the marketing cost of each period, the present included.
OFFICESTAR_P = (
    (0.75, 0.25, 0, 0),
    (0.30, 0, 0.70, 0),
    (0.08, 0, 0, 0.92),
    (0, 0, 0, 1),
)
OFFICESTAR_MARGIN = (90 - 25, -15, -10, 0)
OFFICESTAR_BASE = (12_000, 4_000, 3_000, 6_000)
OFFICESTAR_NEXT_BASE = (10_440, 3_000, 2_800, 8_760)
OFFICESTAR_VALUE = {0.10: (244.81, 56.73, 7.80, 0), 0.15: (214.31, 43.89, 4.91, 0)}
OFFICESTAR_EQUITY = {0.10: 3_188_049, 0.15: 2_762_012}

# Berger & Nasr 1998, J. Interactive Marketing 12(1), 17-30, case 1.
BERGER_NASR = 568.78

# Gupta & Lehmann 2003: r / (1 + i - r) for i = 10, 12, 14, 16 %.
MULTIPLES = {
    0.6: (1.20, 1.15, 1.11, 1.07),
    0.7: (1.75, 1.67, 1.59, 1.52),
    0.8: (2.67, 2.50, 2.35, 2.22),
    0.9: (4.50, 4.09, 3.75, 3.46),
}

# The invented ten-stage teaching matrix at an effective 10 % a year, quarterly: values of
# initiating, bonding and differentiating, and the same with every repair move blocked (its mass
# stays where it is). Recomputed independently when the matrix was made.
K10_VALUE = (138.30, 463.43, 243.34)
K10_VALUE_WITHOUT_REPAIR = (88.48, 351.44, 76.98)

# One offer to differentiating customers, for ever: .10 of the fall to circumscribing goes to
# integrating, at a cost of 12 a quarter. And the cost at which the same offer breaks even, in
# differentiating, circumscribing, stagnating, avoiding (back to one tread lower).
K10_GAIN_OF_OFFER = 50.64
K10_BREAK_EVEN_COSTS = (25.89, 25.63, 18.74, 13.50)
K10_VALUE_WITH_ALL_OFFERS = (162.02, 317.68)  # initiating, differentiating


def spread_by_paths(P, margin, discount_rate, n_periods):
    """Variance of what is paid on the way from each stage: over all paths, listed one by one."""
    stages = range(len(P))
    variances = []
    for start in stages:
        sums = []
        for rest in product(stages, repeat=n_periods - 1):
            path = (start, *rest)
            prob = 1.0
            for here, there in pairwise(path):
                prob *= P[here][there]
            sums.append(
                (prob, sum(margin[s] / (1 + discount_rate) ** t for t, s in enumerate(path)))
            )
        mean = sum(p * x for p, x in sums)
        variances.append(sum(p * (x - mean) ** 2 for p, x in sums))
    return variances


def spread_in_fractions(P, margin, discount_rate):
    """Variance of what is paid for ever, through second moments M_i = E G^2, in exact fractions.

    G = R + q G' gives M_i = R_i^2 + 2 q R_i sum_j P_ij V_j + q^2 sum_j P_ij M_j: an equation of the
    form of the value's, with the square of the discount factor, that knows no variances.
    """
    q = 1 / (1 + Fraction(discount_rate))
    V = value_in_fractions(P, margin, discount_rate)
    ahead = [sum(Fraction(p) * v for p, v in zip(row, V, strict=True)) for row in P]
    R = [Fraction(m) for m in margin]
    paid = [r * r + 2 * q * r * a for r, a in zip(R, ahead, strict=True)]
    moments = value_in_fractions(P, paid, 1 / q**2 - 1)
    return [m - v * v for m, v in zip(moments, V, strict=True)]


def slope_in_fractions(P, change, margin, discount_rate, step=Fraction(1, 10**12)):
    """Derivative of the value along a change of the matrix: a difference quotient in fractions."""
    moved = [
        [Fraction(p) + step * Fraction(c) for p, c in zip(row, move, strict=True)]
        for row, move in zip(P, change, strict=True)
    ]
    base = [[Fraction(p) for p in row] for row in P]
    before = value_in_fractions(base, margin, discount_rate)
    after = value_in_fractions(moved, margin, discount_rate)
    return [(b - a) / step for a, b in zip(before, after, strict=True)]
