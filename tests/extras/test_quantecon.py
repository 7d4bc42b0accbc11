"""Policy iteration against QuantEcon's DiscreteDP, which shares no line with it."""

import numpy as np
import pytest
from quantecon.markov import DiscreteDP

from crmlab.policy import best_action, policy_value
from crmlab.stages import K10, K10_MARGINS

RATE = 0.03


def draw_problem(seed, n_actions, n_stages):
    """Random matrices with some zeros, margins, and costs per action and stage."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(n_stages, 0.3), size=(n_actions, n_stages))
    return P, rng.normal(10, 20, n_stages), rng.uniform(0, 15, (n_actions, n_stages))


def peer(P, margin, cost):
    """The same problem in QuantEcon's shapes: rewards (K, A), moves (K, A, K)."""
    return DiscreteDP((margin - cost).T, np.moveaxis(P, 0, 1), 1 / (1 + RATE))


@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (5, 10), (10, 40)])
@pytest.mark.parametrize("seed", range(25))
def test_the_best_plan_is_that_of_quantecon(seed, shape):
    P, margin, cost = draw_problem(seed, *shape)
    ours = best_action(P, margin, cost, discount_rate=RATE)
    theirs = peer(P, margin, cost).solve(method="policy_iteration")
    np.testing.assert_allclose(ours.value, theirs.v, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ours.action, theirs.sigma)


@pytest.mark.parametrize("seed", range(10))
def test_the_value_of_a_policy_is_that_of_quantecon(seed):
    P, margin, cost = draw_problem(seed, 4, 7)
    policy = np.random.default_rng(seed).integers(0, 4, 7)
    ours = policy_value(P, margin, cost, policy, discount_rate=RATE)
    theirs = peer(P, margin, cost).evaluate_policy(policy)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_backward_induction_is_that_of_quantecon():
    from quantecon.markov import backward_induction

    P, margin, cost = draw_problem(3, 4, 7)
    values, policies = backward_induction(peer(P, margin, cost), 12)
    for n_periods in (1, 5, 12):
        ours = best_action(P, margin, cost, discount_rate=RATE, n_periods=n_periods)
        np.testing.assert_allclose(ours.value, values[12 - n_periods], rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(ours.action, policies[12 - n_periods])


def test_knapps_staircase_with_a_call():
    """The teaching matrix (invented) and an action that keeps three in ten where they are."""
    P = np.stack([K10, 0.7 * K10 + 0.3 * np.eye(10)])
    cost = np.stack([np.zeros(10), np.full(10, 3.0)])
    ours = best_action(P, K10_MARGINS, cost, discount_rate=RATE)
    theirs = peer(P, K10_MARGINS, cost).solve(method="policy_iteration")
    np.testing.assert_allclose(ours.value, theirs.v, rtol=1e-10)
    np.testing.assert_array_equal(ours.action, theirs.sigma)
    assert 0 < ours.action.sum() < 10
