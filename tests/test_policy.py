"""Decisions with known stages: programmes, one choice for all draws, budgets, triage, ending."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from crmlab import policy
from crmlab.errors import SpecError
from crmlab.stages import K10, K10_MARGINS, KNAPP
from tests.oracles import policy as oracle, value as value_oracle

KEEP = 0.9
RATE = 1 / 9


def problem(seed, n_actions=3, n_stages=4):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(n_stages), size=(n_actions, n_stages))
    return P, rng.normal(5, 4, n_stages), rng.gamma(1, 2, (n_actions, n_stages))


# --- the dynamic programme ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_policy_iteration_equals_value_iteration(seed):
    P, margin, cost = problem(seed)
    plan = policy.best_action(P, margin, cost, discount_rate=RATE)
    reward = margin - cost
    expected = oracle.value_iteration(P.tolist(), reward.tolist(), KEEP, rounds=400)
    np.testing.assert_allclose(plan.value, expected, rtol=1e-9)
    own = policy.policy_value(P, margin, cost, plan.action, discount_rate=RATE)
    np.testing.assert_allclose(own, plan.value, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_no_policy_is_better_in_any_stage(seed):
    P, margin, cost = problem(seed, n_stages=3)
    plan = policy.best_action(P, margin, cost, discount_rate=RATE)
    best = oracle.best_of_all(P.tolist(), (margin - cost).tolist(), RATE)
    np.testing.assert_allclose(plan.value, np.array(best, float), rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_policy_iteration_equals_linear_programming(seed):
    P, margin, cost = problem(seed)
    start = np.array([3.0, 1.0, 0.0, 2.0])
    plan = policy.best_action(P, margin, cost, discount_rate=RATE)
    expected = oracle.occupancy_programme(P, margin - cost, cost, KEEP, start)
    assert plan.value @ start == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("n_periods", [1, 2, 7])
def test_backward_induction_equals_value_iteration_from_nothing(n_periods):
    P, margin, cost = problem(1)
    plan = policy.best_action(P, margin, cost, discount_rate=RATE, n_periods=n_periods)
    reward = (margin - cost).tolist()
    expected = oracle.horizon_values(P.tolist(), reward, KEEP, n_periods)
    np.testing.assert_allclose(plan.value, expected, rtol=1e-12)


@pytest.mark.bits
def test_draws_are_solved_side_by_side():
    parts = [problem(seed) for seed in range(6)]
    P = np.stack([p[0] for p in parts]).reshape(2, 3, 3, 4, 4)
    margin = np.stack([p[1] for p in parts]).reshape(2, 3, 4)
    cost = np.stack([p[2] for p in parts]).reshape(2, 3, 3, 4)
    many = policy.best_action(P, margin, cost, discount_rate=RATE)
    one = policy.best_action(*parts[4], discount_rate=RATE)
    np.testing.assert_array_equal(many.action[1, 1], one.action)
    np.testing.assert_allclose(many.value[1, 1], one.value, rtol=1e-10)


def test_an_action_that_is_not_allowed_is_not_taken():
    P, margin, cost = problem(2)
    free = policy.best_action(P, margin, cost, discount_rate=RATE)
    allowed = np.ones((3, 4), dtype=bool)
    allowed[free.action[0], 0] = False
    bound = policy.best_action(P, margin, cost, discount_rate=RATE, allowed=allowed)
    assert bound.action[0] != free.action[0]
    assert (bound.value <= free.value + 1e-12).all()
    assert np.isneginf(bound.action_values[free.action[0], 0])


def test_ties_go_to_the_first_action():
    P = np.stack([K10, K10, K10])
    plan = policy.best_action(P, K10_MARGINS, [0, 0, 1], discount_rate=0.02)
    assert plan.action.tolist() == [0] * 10


def test_toymaker_of_howard():
    cost = np.subtract((6, -3), oracle.TOYMAKER_REWARD)
    plan = policy.best_action(oracle.TOYMAKER_P, (6, -3), cost, discount_rate=RATE)
    assert plan.action.tolist() == [1, 1]
    np.testing.assert_allclose(plan.value, oracle.TOYMAKER_VALUE, rtol=0, atol=0.05)
    first = policy.policy_value(oracle.TOYMAKER_P, (6, -3), cost, [0, 0], discount_rate=RATE)
    np.testing.assert_allclose(first, oracle.TOYMAKER_FIRST, rtol=0, atol=0.05)
    # At a tiny rate d, the value is the gain per period times (1+d)/d, about.
    tiny = 1e-6
    for both, gain in zip(([0, 0], [1, 1]), oracle.TOYMAKER_GAINS, strict=True):
        V = policy.policy_value(oracle.TOYMAKER_P, (6, -3), cost, both, discount_rate=tiny)
        assert V[0] * tiny / (1 + tiny) == pytest.approx(gain, abs=1e-4)


def test_catalogue_decision():
    cost = np.subtract((10, 25), oracle.CATALOGUE_REWARD)
    plan = policy.best_action(oracle.CATALOGUE_P, (10, 25), cost, discount_rate=RATE)
    assert plan.action.tolist() == [1, 1]
    np.testing.assert_allclose(plan.value, oracle.CATALOGUE_BOTH, rtol=0, atol=0.0005)
    other = policy.policy_value(oracle.CATALOGUE_P, (10, 25), cost, [0, 1], discount_rate=RATE)
    np.testing.assert_allclose(other, oracle.CATALOGUE_HIGH_ONLY, rtol=0, atol=0.0005)


def test_stopping_to_mail_after_recency_three_is_found():
    """Pfeifer & Carraway: in recency 4 the value is negative, so the catalogue goes no further."""
    mail = np.array(value_oracle.recency_chain(value_oracle.PC_PROBS), dtype=float)
    stop = np.zeros_like(mail)
    stop[:, 4] = 1
    cost = np.array([[4.0, 4, 4, 4, 0], [0, 0, 0, 0, 0]])
    plan = policy.best_action([mail, stop], (40, 0, 0, 0, 0), cost, discount_rate=0.2)
    assert plan.action.tolist() == [0, 0, 0, 1, 0]
    np.testing.assert_allclose(plan.value[:3], (53.149, 6.621, 2.644), rtol=0, atol=0.0005)


def test_impossible_problems_are_refused_at_once():
    P, margin, _ = problem(0)
    with pytest.raises(SpecError) as caught:
        policy.best_action(P, margin[:3], [1, 2], discount_rate=-2)
    for part in ("`margin` needs one number per stage", "`cost` needs one number", "above -1"):
        assert part in str(caught.value)
    with pytest.raises(SpecError, match="positive `discount_rate`"):
        policy.best_action(P, margin, [0, 0, 0], discount_rate=0)
    with pytest.raises(SpecError, match="actions, K, K"):
        policy.best_action(P[0], margin, [0], discount_rate=0.1)
    with pytest.raises(SpecError, match="indices of actions"):
        policy.policy_value(P, margin, [0, 0, 0], [0, 1, 2, 3], discount_rate=0.1)
    with pytest.raises(SpecError, match="at least one action in every stage"):
        policy.best_action(
            P, margin, [0, 0, 0], discount_rate=0.1, allowed=np.zeros((3, 4), dtype=bool)
        )


# --- one choice for all draws ---------------------------------------------------------------------


def draws_of_a_problem(n_draws=40, n_stages=3, concentration=8):
    rng = np.random.default_rng(4)
    base = rng.dirichlet(np.ones(n_stages), size=(2, n_stages))
    P = np.stack([[rng.dirichlet(concentration * row + 0.2) for row in a] for a in base
                  for _ in range(n_draws)])  # fmt: skip
    P = P.reshape(2, n_draws, n_stages, n_stages).swapaxes(0, 1)
    return P, rng.normal(5, 4, n_stages), np.array([0.0, 0.5])


def test_the_chosen_policy_is_the_best_of_all_in_the_mean():
    P, margin, cost = draws_of_a_problem()
    weights = np.array([5.0, 1.0, 2.0])
    found = policy.choose_policy(P, margin, cost, discount_rate=RATE, n_customers=weights)
    assert found.exact
    means = {}
    for draw in P:
        reward = (margin - cost[:, None]).tolist()
        for actions, V in oracle.all_policies(draw.tolist(), reward, RATE):
            worth = sum(w * float(v) for w, v in zip(weights, V, strict=True))
            means[actions] = means.get(actions, 0.0) + worth / len(P)
    assert means[tuple(found.policy)] == pytest.approx(max(means.values()), rel=1e-9)
    known = np.mean([
        np.array(oracle.best_of_all(d.tolist(), (margin - cost[:, None]).tolist(), RATE), float)
        @ weights for d in P
    ])  # fmt: skip
    assert found.evpi == pytest.approx(known - max(means.values()), rel=1e-8)
    assert found.evpi > 0.01


def test_probabilities_of_being_best_count_draws():
    P, margin, cost = draws_of_a_problem()
    found = policy.choose_policy(P, margin, cost, discount_rate=RATE)
    np.testing.assert_allclose(found.prob_best.sum(axis=0), 1)
    best = [policy.best_action(d, margin, cost, discount_rate=RATE).action for d in P]
    np.testing.assert_allclose(found.prob_best[1], np.mean(best, axis=0))
    assert (found.regret >= 0).all()


def test_draws_that_agree_leave_nothing_to_learn():
    P, margin, cost = draws_of_a_problem()
    same = np.repeat(P[:1], 5, axis=0)
    found = policy.choose_policy(same, margin, cost, discount_rate=RATE)
    assert found.evpi == 0
    assert set(np.unique(found.prob_best)) <= {0.0, 1.0}


@pytest.mark.bits
def test_the_climb_finds_what_comparing_all_finds(monkeypatch):
    P, margin, cost = draws_of_a_problem()
    every = policy.choose_policy(P, margin, cost, discount_rate=RATE)
    monkeypatch.setattr("crmlab.policy.choice._EXHAUSTIVE", 0)
    climbed = policy.choose_policy(P, margin, cost, discount_rate=RATE)
    assert not climbed.exact
    np.testing.assert_array_equal(climbed.policy, every.policy)


def test_a_single_matrix_is_no_posterior():
    P, margin, cost = problem(0)
    with pytest.raises(SpecError, match="best_action"):
        policy.choose_policy(P, margin, cost, discount_rate=0.1)


def test_value_of_a_trial_equals_the_conjugate_answer():
    """A rate of prior Beta(2, 3), worth 100; or 45 for sure; 5 customers in a trial."""
    rng = np.random.default_rng(7)
    rate = rng.beta(2, 3, size=4000)
    rows = np.column_stack([rate, 1 - rate])
    benefit = np.column_stack([100 * rate, np.full(4000, 45.0)])
    exact = oracle.evsi_of_a_trial(5, 2, 3, 100, 45)
    answers = [
        policy.evsi(benefit, policy.simulate_trial(rows, 5, n_results=1500, rng=rng))
        for _ in range(8)
    ]
    # Eight runs share one set of draws; its own error of about 20 / sqrt(4000) = .3 dominates.
    assert np.mean(answers) == pytest.approx(exact, abs=1.0)
    assert exact > 3
    assert np.mean(answers) < policy.evpi(benefit)


def test_a_trial_tells_apart_what_is_impossible():
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    logs = policy.simulate_trial(rows, 3, n_results=20, rng=np.random.default_rng(1))
    assert set(np.unique(logs)) == {-np.inf, 0.0}
    assert policy.evsi([[1, 0], [0, 1]], logs) == pytest.approx(0.5)
    with pytest.raises(SpecError, match="impossible under every draw"):
        policy.evsi([[1, 0], [0, 1]], [[-np.inf, -np.inf]])


# --- budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_allocation_is_within_its_bound_of_the_best(seed):
    rng = np.random.default_rng(seed)
    gain = np.column_stack([np.zeros(7), rng.gamma(2, 3, (7, 2))])
    cost = np.column_stack([np.zeros(7), rng.gamma(2, 2, (7, 2))])
    budget = 8.0
    found = policy.allocate(gain, cost, budget=budget)
    best = oracle.best_allocation(gain.tolist(), cost.tolist(), budget)
    assert found.spent <= budget
    assert found.gain <= best + 1e-9
    assert best <= found.bound + 1e-9
    rows = np.arange(7)
    assert found.gain == pytest.approx(gain[rows, found.action].sum())
    assert found.bound - found.gain <= gain.max() + 1e-9


def test_a_budget_for_everybody_costs_nothing():
    found = policy.allocate([[0, 5], [0, -1], [0, 2]], [0, 1], budget=10)
    assert found.action.tolist() == [1, 0, 1]
    assert (found.price, found.bound) == (0.0, found.gain)


def test_no_budget_buys_what_is_free_only():
    found = policy.allocate([[0, 5, 1], [0, 4, 2]], [0, 1, 0], budget=0)
    assert found.action.tolist() == [2, 2]
    assert found.spent == 0


def test_alike_customers_share_a_budget_as_far_as_it_goes():
    gain = np.tile([0.0, 3.0], (1000, 1))
    found = policy.allocate(gain, [0, 2], budget=501)
    assert found.action.sum() == 250
    assert found.bound == pytest.approx(751.5, rel=1e-6)


def test_equal_steps_are_climbed_one_after_the_other():
    gain = np.tile([0.0, 1.0, 2.0], (3, 1))
    found = policy.allocate(gain, [0, 1, 2], budget=5)
    assert found.gain == found.spent == 5
    assert found.bound == pytest.approx(5, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_lost_to_whole_offers_is_less_than_one_step(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    gain = np.column_stack([np.zeros(n), rng.integers(0, 9, (n, 3))])
    cost = np.column_stack([np.zeros(n), rng.integers(1, 6, (n, 3))])
    budget = float(rng.integers(0, 2 * n))
    found = policy.allocate(gain, cost, budget=budget)
    assert found.spent <= budget
    assert found.bound - found.gain <= gain.max() + 1e-6


def test_allocation_refuses_at_once():
    with pytest.raises(SpecError) as caught:
        policy.allocate([[0, 1]], [1, -2], budget=-1)
    assert "0 for action 0" in str(caught.value)
    assert "`budget`" in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(hours=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), order=st.randoms())
def test_a_capacity_that_is_the_sum_of_the_hours_is_enough_in_any_order(hours, order):
    """Rounding depends on the order of a sum, and no case may be lost by it."""
    capacity, n = sum(hours), len(hours)
    order.shuffle(hours)
    for must in (None, [True] * n):
        found = policy.triage([1.0] * n, [0.0] * n, hours, capacity=capacity, must=must)
        assert found.handled.all()
    costs = [[0.0, cost] for cost in hours]
    assert policy.allocate([[0.0, 1.0]] * n, costs, budget=capacity).gain == n


def test_room_for_rounding_is_no_second_budget():
    cases = [10] * 3, [0] * 3, [0.1] * 3
    with pytest.raises(SpecError, match=r"must be handled need 0\.3 hours"):
        policy.triage(*cases, capacity=0.2999, must=[True] * 3)
    assert policy.triage(*cases, capacity=0.2999).handled.sum() == 2
    assert policy.allocate([[0, 1]] * 3, [0, 0.1], budget=0.2999).gain == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_plan_within_a_budget_equals_the_linear_programme(seed, share):
    P, margin, cost = problem(seed)
    cost[0] = 0
    start = np.array([4.0, 1.0, 2.0, 3.0])
    free = policy.plan_within_budget(
        P, margin, cost, discount_rate=RATE, budget=1e9, n_customers=start
    )
    budget = share * free.spent
    found = policy.plan_within_budget(
        P, margin, cost, discount_rate=RATE, budget=budget, n_customers=start
    )
    expected = oracle.occupancy_programme(P, margin - cost, cost, KEEP, start, budget)
    assert found.value == pytest.approx(expected, rel=1e-7, abs=1e-7)
    assert found.bound == pytest.approx(found.value, rel=1e-7, abs=1e-7)
    assert found.spent <= budget + 1e-9
    mixed = sum(
        w * policy.policy_value(P, margin, cost, p, discount_rate=RATE) @ start
        for w, p in zip(found.shares, found.policies, strict=True)
    )
    assert mixed == pytest.approx(found.value, rel=1e-9)


def test_the_price_is_the_slope_of_value_in_the_budget():
    P, margin, cost = problem(3)
    cost[0] = 0
    options = {"discount_rate": RATE}
    most = policy.plan_within_budget(P, margin, cost, budget=1e9, **options).spent
    values = [
        policy.plan_within_budget(P, margin, cost, budget=0.5 * most + h, **options)
        for h in (-1e-4, 0, 1e-4)
    ]
    slope = (values[2].value - values[0].value) / 2e-4
    assert values[1].price == pytest.approx(slope, rel=1e-4)


@pytest.mark.bits
def test_the_map_of_budgets_runs_from_nothing_to_the_free_plan():
    P, margin, cost = problem(3)
    cost[0] = 0
    draws = np.stack([P, problem(4)[0]])
    free = policy.best_action(P, margin, cost, discount_rate=RATE)
    found = policy.policy_by_budget(draws, margin, cost, [0, 1e6], discount_rate=RATE)
    assert found.shape == (2, 2, 4)
    assert (cost[found[:, 0], np.arange(4)] == 0).all()
    np.testing.assert_array_equal(found[0, 1], free.action)


def test_a_budget_that_nothing_fits_is_refused():
    P, margin, cost = problem(0)
    with pytest.raises(SpecError, match="cheapest policy spends"):
        policy.plan_within_budget(P, margin, cost + 1, discount_rate=RATE, budget=1)


# --- triage and ending ----------------------------------------------------------------------------


def test_triage_takes_the_value_saved_per_hour():
    handled, left, hours = [100, 50, 300, 80], [0, 20, 290, 79], [4, 1, 1, 1]
    found = policy.triage(handled, left, hours, capacity=5)
    assert found.order.tolist() == [1, 0, 2, 3]
    assert found.handled.tolist() == [True, True, False, False]
    assert found.saved == found.bound == 130


def test_what_must_be_done_comes_first_whatever_it_is_worth():
    found = policy.triage([9, 1, 50], [0, 5, 0], [1, 1, 1], capacity=2,
                          must=[False, True, False])  # fmt: skip
    assert found.order.tolist() == [1, 2, 0]
    assert found.handled.tolist() == [False, True, True]
    assert found.saved == 46
    with pytest.raises(SpecError, match="find more hours"):
        policy.triage([1, 1], [0, 0], [3, 3], capacity=4, must=[True, True])


def test_a_case_that_is_made_worse_is_left():
    found = policy.triage([10, 3], [0, 5], [1, 1], capacity=9)
    assert found.handled.tolist() == [True, False]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_triage_never_saves_more_than_its_bound(seed):
    rng = np.random.default_rng(seed)
    value, hours = rng.gamma(1, 10, 8), rng.gamma(2, 1, 8)
    found = policy.triage(value, np.zeros(8), hours, capacity=5.0)
    best = oracle.best_allocation([[0, v] for v in value], [[0, h] for h in hours], 5.0)
    assert found.saved <= best + 1e-9
    assert best <= found.bound + 1e-9
    assert hours[found.handled].sum() <= 5


def test_triage_refuses_at_once():
    with pytest.raises(SpecError) as caught:
        policy.triage([1, 2], [0, 0], [0, 1], capacity=-1)
    assert "`hours`" in str(caught.value)
    assert "`capacity`" in str(caught.value)


@pytest.mark.parametrize("seed", range(4))
def test_ending_equals_the_best_of_all_subsets(seed):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(4), size=4)
    margin, ending = rng.normal(0, 3, 4), rng.normal(-1, 2, 4)
    found = policy.serve_or_end(P, margin, discount_rate=RATE, ending_value=ending)
    best = oracle.best_stopping(P.tolist(), margin.tolist(), ending.tolist(), RATE)
    np.testing.assert_allclose(found.value, np.array(best, float), rtol=1e-9)
    assert (found.value[~found.serve] == ending[~found.serve]).all()


def test_the_charge_makes_serving_one_more_period_break_even():
    P = np.array([[0.7, 0.3], [0.2, 0.8]])
    margin = np.array([-4.0, 1.0])
    found = policy.serve_or_end(P, margin, discount_rate=0.1)
    assert found.serve.tolist() == [False, True]
    on = margin[0] + found.charge[0] + (P[0] @ found.value) / 1.1
    assert on == pytest.approx(0, abs=1e-12)


def test_draws_give_the_probability_that_serving_is_right():
    P = np.array([[0.7, 0.3], [0.2, 0.8]])
    margins = np.array([[-4.0, 1.0], [3.0, 1.0]])
    found = policy.serve_or_end(P, margins, discount_rate=0.1)
    assert found.serve.mean(axis=0).tolist() == [0.5, 1.0]


def test_a_costly_ending_keeps_customers():
    margins = K10_MARGINS - 5
    free = policy.serve_or_end(K10, margins, discount_rate=0.02)
    dear = policy.serve_or_end(K10, margins, discount_rate=0.02, ending_value=-1e4)
    assert not free.serve[KNAPP.index("terminating")]
    assert dear.serve.all()
