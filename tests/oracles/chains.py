"""Independent answers about Markov chains. Imports nothing from crmlab.

Exact fractions where the module under test uses floating point, sums over time where it solves
equations, urns where it uses gamma functions, loops over cells where it uses entropies. Below
them stand published numbers with their sources, as the text that was printed.
"""

import math
import random
from fractions import Fraction

# --- exact linear algebra --------------------------------------------------------------------


def fractions(rows):
    """Turn a matrix of decimal strings or numbers into exact fractions."""
    return [[Fraction(str(p)) for p in row] for row in rows]


def solve(A, b):
    """Solve A x = b by Gaussian elimination in fractions."""
    rows = [[*row, right] for row, right in zip(A, b, strict=True)]
    n = len(rows)
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(n):
            if i != k and rows[i][k]:
                factor = rows[i][k] / rows[k][k]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def passage_probs(P, target, ends):
    """Probability of ever reaching `target`, in a chain that must stop in `target` or `ends`."""
    free = [i for i in range(len(P)) if i != target and i not in ends]
    A = [[(i == j) - P[i][j] for j in free] for i in free]
    solution = dict(zip(free, solve(A, [P[i][target] for i in free]), strict=True))
    return [Fraction(i == target) if i not in free else solution[i] for i in range(len(P))]


def expected_visits(P, start, ends):
    """Expected periods in each stage that does not end the chain, by the transposed system."""
    free = [i for i in range(len(P)) if i not in ends]
    A = [[(i == j) - P[i][j] for i in free] for j in free]
    return dict(zip(free, solve(A, [Fraction(i == start) for i in free]), strict=True))


def survival(P, end, start, n_periods):
    """Probability of not having ended after 0, 1, ..., n periods, by stepping the distribution."""
    probs = [Fraction(i == start) for i in range(len(P))]
    curve = [1 - probs[end]]
    for _ in range(n_periods):
        probs = [sum(probs[i] * P[i][j] for i in range(len(P))) for j in range(len(P))]
        curve.append(1 - probs[end])
    return curve


def stationary(P, n_periods=20_000):
    """Share of stages after many periods of a chain that forgets its start."""
    probs = [1.0] + [0.0] * (len(P) - 1)
    for _ in range(n_periods):
        probs = [math.fsum(probs[i] * P[i][j] for i in range(len(P))) for j in range(len(P))]
    return probs


def simulate_lifetimes(P, start, end, n_customers, seed):
    """Draw how many periods each customer needs to reach `end`."""
    rng, stages = random.Random(seed), range(len(P))
    lifetimes = []
    for _ in range(n_customers):
        stage, periods = start, 0
        while stage != end:
            stage = rng.choices(stages, weights=[float(p) for p in P[stage]])[0]
            periods += 1
        lifetimes.append(periods)
    return lifetimes


def lumpability_gap(P, blocks):
    """Largest difference of two stages of one block in their probability of one block."""

    def into(i, block):
        return sum(P[i][j] for j in range(len(P)) if blocks[j] == block)

    pairs = [(i, k) for i in range(len(P)) for k in range(len(P)) if blocks[i] == blocks[k]]
    return max(abs(into(i, block) - into(k, block)) for i, k in pairs for block in set(blocks))


# --- a lumpable chain ------------------------------------------------------------------------

# Stages 1 and 2 move to the blocks {0}, {1, 2}, {3} alike, though not to stages alike.
LUMPABLE = (
    (0.6, 0.3, 0.1, 0.0),
    (0.2, 0.5, 0.1, 0.2),
    (0.2, 0.0, 0.6, 0.2),
    (0.0, 0.2, 0.2, 0.6),
)
BLOCKS = ("up", "middle", "middle", "down")


# --- counts and evidence ---------------------------------------------------------------------


def count_runs(paths, length):
    """Count runs of stages without gaps, one by one."""
    counts = {}
    for path in paths:
        for t in range(len(path) - length + 1):
            run = tuple(int(stage) for stage in path[t : t + length])
            if -1 not in run:
                counts[run] = counts.get(run, 0) + 1
    return counts


def order_statistic(paths, order):
    """G^2 of memory `order` against `order` + 1, term by term from the definition."""
    runs = count_runs(paths, order + 2)

    def matching(positions, run):
        return sum(n for other, n in runs.items() if all(other[p] == run[p] for p in positions))

    last, middle = order + 1, range(1, order + 1)
    total = 0.0
    for run, n in runs.items():
        long_share = n / matching(range(last), run)
        short_share = matching([*middle, last], run) / matching(middle, run)
        total += 2 * n * math.log(long_share / short_share)
    return total


def urn_log_marginal(rows, prior):
    """Log-probability of drawing the counts one after another from Polya urns, in fractions."""
    prob = Fraction(1)
    for row, weights in zip(rows, prior, strict=True):
        weights = [Fraction(str(weight)) for weight in weights]
        for j, n in enumerate(row):
            for _ in range(n):
                prob *= weights[j] / sum(weights)
                weights[j] += 1
    return math.log(prob.numerator) - math.log(prob.denominator)


def gamma_log_marginal(rows, prior):
    """The same by the closed form with scipy's log-gamma, cell by cell."""
    from scipy.special import gammaln

    total = 0.0
    for row, weights in zip(rows, prior, strict=True):
        total += gammaln(sum(weights)) - gammaln(sum(weights) + sum(row))
        total += sum(gammaln(a + n) - gammaln(a) for a, n in zip(weights, row, strict=True))
    return total


def integrated_log_marginal(rows, prior):
    """The same for two stages by numerical integration over each row's probability."""
    from scipy.integrate import quad
    from scipy.stats import beta

    total = 0.0
    for (n0, n1), (a0, a1) in zip(rows, prior, strict=True):
        density = beta(a0, a1).pdf
        value, _ = quad(
            lambda p, n0=n0, n1=n1, density=density: p**n0 * (1 - p) ** n1 * density(p),
            0,
            1,
            epsabs=0,
            epsrel=1e-11,
        )
        total += math.log(value)
    return total


# --- published numbers -----------------------------------------------------------------------

# K10, the course's teaching matrix (invented, per quarter), typed a second time and dense:
# initiating, experimenting, intensifying, integrating, bonding, differentiating, circumscribing,
# stagnating, avoiding, terminating.
K10 = fractions(
    row.split()
    for row in """
    .45 .35 .03 0   0   0   0   0   .02 .15
    .05 .45 .30 .03 0   .02 0   .05 0   .10
    0   .08 .50 .30 .02 .07 0   0   0   .03
    0   0   .04 .66 .18 .10 0   0   0   .02
    0   0   0   .06 .86 .07 0   0   0   .01
    0   0   0   .14 .06 .50 .25 0   0   .05
    0   0   .08 0   0   .07 .50 .28 0   .07
    0   .05 0   0   0   0   .05 .55 .25 .10
    .04 0   0   0   0   0   0   .04 .47 .45
    0   0   0   0   0   0   0   0   0   1
    """.strip().splitlines()
)
# The course's answers about it (notebooks 03 and 04), from the start in initiating.
K10_MEAN_QUARTERS, K10_MEDIAN_QUARTERS = "15.835", 7
K10_EVER_BONDED, K10_EVER_BONDED_WITHOUT_REPAIR = "0.2999", "0.2065"
K10_FOUR_STEPS_TO_BONDING, K10_STRAIGHT_TO_BONDING = "0.00567", "0.1103"
K10_ALIVE_1_YEAR, K10_ALIVE_5_YEARS = "0.5988", "0.2640"
K10_QUARTERS_IN_BONDING, K10_BONDING_VISIT = "4.492", "7.143"
K10_GAPS = {"lifecycle": "0.20", "CIR+STA": "0.25", "merged": "0.28", "AVO+TER": "0.08"}

# Counts of one row with prior 1: course exercise 06.1.
ROW_COUNTS, ROW_MEANS = (45, 35, 0, 20), (".4423", ".3462", ".0096", ".2019")
# First row of the transition counts of the `cav` data (heart transplant patients) as printed in
# the manual of the R package msm: Jackson (2011), J. Statistical Software 38(8). Prior 1.
CAV_COUNTS, CAV_MEANS = (1367, 204, 44, 148), (".7742", ".1160", ".0255", ".0843")

# A hidden chain worked out by hand for the course (notebook 09): Bernoulli evidence.
HAND_INITIAL = (0.3, 0.4, 0.3)
HAND_MATRIX = ((0.85, 0.13, 0.02), (0.15, 0.70, 0.15), (0.02, 0.18, 0.80))
HAND_PROBS, HAND_SEEN = (0.05, 0.40, 0.90), (1, 1, 0, 0, 0)
HAND_FILTERED, HAND_LOGLIK = (".6062", ".3755", ".0183"), "-3.43715"
HAND_NEXT, HAND_STATIONARY = ".24134", (".3746", ".3360", ".2894")

# The umbrella world of Russell and Norvig, Artificial Intelligence: A Modern Approach, chapter on
# probabilistic reasoning over time: rain given an umbrella on two days.
UMBRELLA_MATRIX, UMBRELLA_GIVEN_RAIN = ((0.7, 0.3), (0.3, 0.7)), (0.9, 0.2)
UMBRELLA_FILTERED, UMBRELLA_SMOOTHED = (".818", ".883"), ".883"

# Healthy or fever, the example of the Wikipedia article "Viterbi algorithm": what a patient feels
# is normal, cold, dizzy. Probability of the best path that ends in each stage.
FEVER_INITIAL, FEVER_MATRIX = (0.6, 0.4), ((0.7, 0.3), (0.4, 0.6))
FEVER_FEELING = {"normal": (0.5, 0.1), "cold": (0.4, 0.3), "dizzy": (0.1, 0.6)}
FEVER_SEEN = ("normal", "cold", "dizzy")
FEVER_BEST = ((".3", ".04"), (".084", ".027"), (".00588", ".01512"))
FEVER_PATH = (0, 0, 1)

# Poisson hidden Markov models of the earthquake counts, stationary start: Zucchini and MacDonald
# (2009), Hidden Markov Models for Time Series, chapters 1 to 3. The matrix and the start of the
# model with three states are those of a refit with the book's own R code, published by V. Wang,
# "HMM notes", chapter 8 (GitHub, vinky-wang/HMM-notes).
EARTHQUAKE_LOGLIK = {1: "-391.9189", 2: "-342.3183", 3: "-329.4603", 4: "-327.8316"}
EARTHQUAKE_RATES = {2: ("15.472", "26.125"), 3: ("13.146", "19.721", "29.714")}
EARTHQUAKE_MATRIX = {
    2: ((".934", ".066"), (".1285", ".8715")),
    3: (
        (".9546", ".0244", ".0209"),
        (".0498", ".8994", ".0509"),
        (".0000", ".1966", ".8034"),
    ),
}
EARTHQUAKE_START = {3: (".4436", ".4045", ".1519")}
