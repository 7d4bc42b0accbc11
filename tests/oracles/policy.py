"""Independent answers about decisions. Imports nothing from crmlab.

Value iteration in plain Python, all policies one by one in exact fractions, linear programmes over
discounted occupancy, decision trees over what may be seen, all subsets of a small knapsack. Below
them stand published numbers with their sources.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
from scipy.optimize import linprog

from tests.oracles.value import value_in_fractions


def value_iteration(P, reward, keep, rounds=3000):
    """Best value of each stage: V <- max over a of r + q P V, until it no longer moves."""
    n_actions, n_stages = len(P), len(P[0])
    V = [0.0] * n_stages
    for _ in range(rounds):
        V = [
            max(
                reward[a][s] + keep * sum(P[a][s][j] * V[j] for j in range(n_stages))
                for a in range(n_actions)
            )
            for s in range(n_stages)
        ]
    return V


def horizon_values(P, reward, keep, n_periods):
    """Best value over n periods, by value iteration from nothing."""
    return value_iteration(P, reward, keep, rounds=n_periods)


def policy_in_fractions(P, reward, discount_rate, policy):
    """Value of one policy for ever, in exact fractions."""
    rows = [P[a][s] for s, a in enumerate(policy)]
    paid = [reward[a][s] for s, a in enumerate(policy)]
    return value_in_fractions(rows, paid, discount_rate)


def all_policies(P, reward, discount_rate):
    """(policy, value in fractions) of every policy."""
    for policy in product(range(len(P)), repeat=len(P[0])):
        yield policy, policy_in_fractions(P, reward, discount_rate, policy)


def best_of_all(P, reward, discount_rate):
    """Highest value of each stage over all policies."""
    values = [v for _, v in all_policies(P, reward, discount_rate)]
    return [max(column) for column in zip(*values, strict=True)]


def occupancy_programme(P, reward, spend, keep, start, budget=None):
    """Best value of a customer base by linear programming over discounted visits x[a, s] >= 0.

    sum_a x[a, j] - q sum_{a,s} x[a, s] P_a[s, j] = start_j; maximise x . reward; x . spend within
    the budget.
    """
    P, reward = np.asarray(P, float), np.asarray(reward, float)
    n_actions, n_stages = reward.shape
    flow = np.zeros((n_stages, n_actions * n_stages))
    for a in range(n_actions):
        for s in range(n_stages):
            flow[:, a * n_stages + s] = -keep * P[a, s]
            flow[s, a * n_stages + s] += 1
    more = {}
    if budget is not None:
        more = {"A_ub": np.asarray(spend, float).reshape(1, -1), "b_ub": [budget]}
    found = linprog(-reward.ravel(), A_eq=flow, b_eq=start, bounds=(0, None), **more)
    return -found.fun


def belief_tree(P, reward, signal, keep, belief, n_periods):
    """Best value at a belief: every action, every signal, every action after it, and so on."""
    n_actions, n_stages, n_signals = len(P), len(P[0]), len(signal[0])
    best = -math.inf
    for a in range(n_actions):
        worth = sum(belief[s] * reward[a][s] for s in range(n_stages))
        if n_periods > 1:
            ahead = [sum(belief[s] * P[a][s][j] for s in range(n_stages)) for j in range(n_stages)]
            for y in range(n_signals):
                joint = [ahead[j] * signal[j][y] for j in range(n_stages)]
                # Weights that do not sum to 1 carry the probability of the signal themselves.
                worth += keep * belief_tree(P, reward, signal, keep, joint, n_periods - 1)
        best = max(best, worth)
    return best


def best_allocation(gain, cost, budget):
    """Highest gain within a budget over all choices of one action per customer."""
    n_customers, n_actions = len(gain), len(gain[0])
    best = -math.inf
    for choice in product(range(n_actions), repeat=n_customers):
        if sum(cost[i][a] for i, a in enumerate(choice)) <= budget + 1e-9:
            best = max(best, sum(gain[i][a] for i, a in enumerate(choice)))
    return best


def best_stopping(P, margin, ending, discount_rate):
    """Optimal stopping by all subsets of stages that are served, in exact fractions."""
    n = len(P)
    best = None
    for serve in product((False, True), repeat=n):
        rows = [P[s] if serve[s] else [0] * n for s in range(n)]
        paid = [margin[s] if serve[s] else ending[s] for s in range(n)]
        V = value_in_fractions(rows, paid, discount_rate)
        best = V if best is None else [max(a, b) for a, b in zip(best, V, strict=True)]
    return best


def beta_binomial(n, y, a, b):
    """Probability of y successes in n trials whose rate is Beta(a, b)."""
    logs = math.lgamma(a + y) + math.lgamma(b + n - y) - math.lgamma(a + b + n)
    prior = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.comb(n, y) * math.exp(logs - prior)


def evsi_of_a_trial(n, a, b, worth, safe):
    """Worth of n trials before choosing a rate times `worth` or a sure amount, conjugate."""
    chosen = sum(
        beta_binomial(n, y, a, b) * max(worth * (a + y) / (a + b + n), safe) for y in range(n + 1)
    )
    return chosen - max(worth * a / (a + b), safe)


# Howard 1960, Dynamic Programming and Markov Processes, the toymaker: successful or not; do
# nothing, or advertise (when successful) and do research (when not).
TOYMAKER_P = (((0.5, 0.5), (0.4, 0.6)), ((0.8, 0.2), (0.7, 0.3)))
TOYMAKER_REWARD = ((6, -3), (4, -5))
TOYMAKER_VALUE = (22.2, 12.3)  # discount factor .9, both in use
TOYMAKER_FIRST = (15.5, 5.6)  # neither in use
TOYMAKER_GAINS = (1, 2)  # reward per period in the long run, without and with

# A catalogue decision, of the kind of Puterman's exercises: cost 15; class low 20 with, 10 without;
# class high 50 and 25; discount factor .9. Sending to both is best; sending to high only is not.
CATALOGUE_P = (((0.5, 0.5), (0.6, 0.4)), ((0.3, 0.7), (0.2, 0.8)))
CATALOGUE_REWARD = ((10, 25), (5, 35))
CATALOGUE_BOTH = (257.692, 290.659)
CATALOGUE_HIGH_ONLY = (254.110, 288.356)

# Feit & Berman 2019: N = 100,000, mean .68, prior standard deviation .03.
TEST_AND_ROLL = 2284

TENTH = Fraction(1, 9)  # the rate per period of a discount factor of .9
