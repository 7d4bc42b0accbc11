"""Decisions when the stage is hidden: bounds and plans against trees of all that may happen."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from crmlab import policy
from crmlab.errors import SpecError
from tests.oracles import policy as oracle

RATE, KEEP = 1 / 9, 0.9


def problem(seed, n_actions=2, n_stages=3, n_signals=2):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(n_stages), size=(n_actions, n_stages))
    margin, cost = rng.normal(3, 4, n_stages), rng.gamma(1, 2, (n_actions, n_stages))
    return P, margin, cost, rng.dirichlet(np.ones(n_signals), size=n_stages)


def beliefs(n, n_stages=3, seed=9):
    return np.random.default_rng(seed).dirichlet(np.ones(n_stages), size=n)


def tree(P, margin, cost, signals, belief, n_periods):
    reward = (margin - cost).tolist()
    return oracle.belief_tree(
        P.tolist(), reward, signals.tolist(), KEEP, belief.tolist(), n_periods
    )


def test_a_belief_moves_by_bayes_rule():
    P = np.array([[0.85, 0.13, 0.02], [0.15, 0.70, 0.15], [0.02, 0.18, 0.80]])
    p = np.array([0.05, 0.40, 0.90])
    belief = np.array([0.3, 0.4, 0.3]) * p / (np.array([0.3, 0.4, 0.3]) @ p)
    for y in (1, 0, 0, 0):
        belief = policy.update_belief(belief, P, p if y else 1 - p)
    np.testing.assert_allclose(belief, (0.6062, 0.3755, 0.0183), rtol=0, atol=0.00005)
    with pytest.raises(SpecError, match="impossible"):
        policy.update_belief([1.0, 0.0], [[1, 0], [0, 1]], [0.0, 1.0])
    with pytest.raises(SpecError, match="sum to 1"):
        policy.update_belief([0.5, 0.4], [[1, 0], [0, 1]], [1.0, 1.0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_periods", [1, 2, 4])
def test_the_exact_plan_equals_the_tree(seed, n_periods):
    P, margin, cost, signals = problem(seed)
    plan = policy.plan_beliefs(P, margin, cost, signals, discount_rate=RATE, n_periods=n_periods)
    for belief in [*beliefs(6), *np.eye(3)]:
        expected = tree(P, margin, cost, signals, belief, n_periods)
        assert plan.value(belief) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_best_action_is_the_tree_s_first_action():
    P, margin, cost, signals = problem(5)
    plan = policy.plan_beliefs(P, margin, cost, signals, discount_rate=RATE, n_periods=3)
    for belief in beliefs(10):
        a = int(plan.best(belief))
        now = belief @ (margin - cost)[a]
        later = sum(
            tree(P, margin, cost, signals, (belief @ P[a]) * signals[:, y], 2) for y in range(2)
        )
        assert now + KEEP * later == pytest.approx(float(plan.value(belief)), rel=1e-9)


def test_signals_that_tell_all_give_the_value_of_known_stages():
    P, margin, cost, _ = problem(2)
    plan = policy.plan_beliefs(P, margin, cost, np.eye(3), discount_rate=RATE, n_periods=4)
    known = policy.best_action(P, margin, cost, discount_rate=RATE, n_periods=4)
    belief = beliefs(1)[0]
    now = (margin - cost) @ belief
    three = policy.best_action(P, margin, cost, discount_rate=RATE, n_periods=3).value
    expected = (now + KEEP * (belief @ P) @ three).max()
    assert plan.value(belief) == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(plan.value(np.eye(3)), known.value, rtol=1e-10)


def test_better_signals_are_worth_more():
    P, margin, cost, _ = problem(3)
    blurred = np.full((3, 2), 0.5)
    sharp = np.array([[1.0, 0], [0.5, 0.5], [0, 1.0]])
    options = {"discount_rate": RATE, "n_periods": 4}
    low = policy.plan_beliefs(P, margin, cost, blurred, **options)
    high = policy.plan_beliefs(P, margin, cost, sharp, **options)
    points = beliefs(50)
    assert (high.value(points) >= low.value(points) - 1e-9).all()
    assert (high.value(points) > low.value(points) + 1e-3).any()


@pytest.mark.parametrize("seed", range(4))
def test_bounds_for_ever_hold_the_long_horizon_between_them(seed):
    P, margin, cost, signals = problem(seed)
    points = beliefs(12)
    below = policy.improve_planes(P, margin, cost, signals, points, discount_rate=RATE)
    above = policy.qmdp(P, margin, cost, discount_rate=RATE)
    blind = policy.blind_planes(P, margin, cost, discount_rate=RATE)
    n = 5
    exact = policy.plan_beliefs(P, margin, cost, signals, discount_rate=RATE, n_periods=n)
    # What comes after n periods lies between the least and the most that can ever be earned.
    reward = margin - cost
    tail = KEEP**n / (1 - KEEP) * np.array([reward.min(), reward.max()])
    every = beliefs(200, seed=1)
    assert (blind.value(points) <= below.value(points) + 1e-9).all()
    assert (below.value(every) <= above.value(every) + 1e-9).all()
    assert (below.value(every) <= exact.value(every) + tail[1] + 1e-9).all()
    assert (above.value(every) >= exact.value(every) + tail[0] - 1e-9).all()


def test_more_rounds_never_lose_at_the_chosen_beliefs():
    P, margin, cost, signals = problem(0)
    points = beliefs(12)
    options = {"discount_rate": RATE}
    values = [
        policy.improve_planes(P, margin, cost, signals, points, n_rounds=n, **options).value(points)
        for n in (1, 3, 10, 60)
    ]
    for few, many in pairwise(values):
        assert (many >= few - 1e-9).all()
    assert (values[-1] > values[0] + 1e-6).any()


def test_many_beliefs_close_the_gap_to_the_truth():
    """At a long horizon the lower bound at its own beliefs meets the exact value."""
    P, margin, cost, signals = problem(1, n_stages=2)
    grid = np.column_stack([np.linspace(0, 1, 101), 1 - np.linspace(0, 1, 101)])
    rate = 1.0
    below = policy.improve_planes(
        P, margin, cost[:, :2], signals[:2], grid, discount_rate=rate, n_rounds=60
    )
    exact = policy.plan_beliefs(
        P, margin, cost[:, :2], signals[:2], discount_rate=rate, n_periods=14
    )
    slack = 2 * 0.5**14 * np.abs(margin - cost).max()
    np.testing.assert_allclose(below.value(grid), exact.value(grid), rtol=0, atol=slack + 1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_value_is_convex_in_the_belief(seed):
    P, margin, cost, signals = problem(seed, n_stages=2)
    plan = policy.plan_beliefs(P, margin, cost, signals, discount_rate=RATE, n_periods=3)
    one, other = beliefs(2, n_stages=2, seed=seed)
    middle = plan.value((one + other) / 2)
    assert middle <= (plan.value(one) + plan.value(other)) / 2 + 1e-9


def test_impossible_problems_are_refused():
    P, margin, cost, signals = problem(0)
    with pytest.raises(SpecError, match="signal_probs"):
        policy.plan_beliefs(P, margin, cost, signals * 0.5, discount_rate=0.1, n_periods=2)
    with pytest.raises(SpecError, match="needs a number of periods"):
        policy.plan_beliefs(P, margin, cost, signals, discount_rate=0.1, n_periods=None)
    with pytest.raises(SpecError, match="plan draw by draw"):
        policy.qmdp(P[None], margin, cost, discount_rate=0.1)


def test_too_many_planes_are_refused(monkeypatch):
    monkeypatch.setattr("crmlab.policy.beliefs._MOST_PLANES", 3)
    P, margin, cost, signals = problem(0)
    with pytest.raises(SpecError, match="planes at a time"):
        policy.plan_beliefs(P, margin, cost, signals, discount_rate=0.1, n_periods=5)
