"""Learning by doing: tests, bandits, uplift, logged policies, win-back."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import optimize, special

from crmlab import policy
from crmlab.errors import DataError, SpecError
from tests.oracles import policy as oracle

# --- test and roll --------------------------------------------------------------------------------

FEIT_BERMAN = {"mean": 0.68, "prior_sd": 0.03, "response_sd": math.sqrt(0.68 * 0.32)}


def test_size_of_feit_and_berman():
    assert round(policy.plan_trial(100_000, **FEIT_BERMAN).n) == oracle.TEST_AND_ROLL


@pytest.mark.parametrize("n_customers", [10, 1000, 10**7])
@pytest.mark.parametrize("noise", [0.1, 3.0, 60.0])
def test_no_other_size_is_more_profitable(n_customers, noise):
    prior = {"mean": 1.0, "prior_sd": 0.2, "response_sd": 0.2 * noise}
    plan = policy.plan_trial(n_customers, **prior)
    found = optimize.minimize_scalar(
        lambda n: -float(policy.trial_profit(n, n_customers, **prior)),
        bounds=(0, n_customers / 2),
        method="bounded",
        options={"xatol": 1e-9 * n_customers},
    )
    assert 0 < plan.n < n_customers / 2
    assert plan.profit >= -found.fun - 1e-9 * abs(found.fun)
    assert plan.n == pytest.approx(found.x, rel=1e-3, abs=1e-3)
    assert plan.profit_untested < plan.profit < plan.profit_known


def test_profit_of_a_trial_equals_simulation():
    rng = np.random.default_rng(2)
    N, n, mean, sigma, s = 1000, 60, 0.5, 0.1, 0.8
    means = rng.normal(mean, sigma, size=(100_000, 2))
    seen = means + rng.normal(0, s / math.sqrt(n), size=means.shape)
    rolled = np.take_along_axis(means, seen.argmax(axis=1)[:, None], axis=1)[:, 0]
    profit = n * means.sum(axis=1) + (N - 2 * n) * rolled
    expected = policy.trial_profit(n, N, mean=mean, prior_sd=sigma, response_sd=s)
    # Four standard errors: a right formula fails once in 16,000 seeds.
    assert abs(profit.mean() - expected) < 4 * profit.std() / math.sqrt(len(profit))
    assert expected > N * mean + 10


def test_impossible_trials_are_refused_at_once():
    with pytest.raises(SpecError) as caught:
        policy.plan_trial(0, mean=math.nan, prior_sd=-1, response_sd=1)
    for part in ("`n_customers`", "`mean`", "`prior_sd`"):
        assert part in str(caught.value)
    with pytest.raises(SpecError, match="between 0 and 50"):
        policy.trial_profit(60, 100, **FEIT_BERMAN)


# --- bandits --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curves():
    rates = np.random.default_rng(3).beta(1, 1, size=(400, 2))
    rules = {
        "thompson": policy.thompson,
        "greedy": policy.greedy,
        "even": policy.even_split,
        "trial": policy.trial_then_winner(20),
    }
    return rates, policy.regret_curves(rates, rules, n_customers=600, seed=4)


def test_regret_of_an_even_split_is_half_the_gap(curves):
    rates, found = curves
    expected = 600 * np.abs(np.diff(rates, axis=1)).mean() / 2
    assert found["even"][:, -1].mean() == pytest.approx(expected, rel=0.03)


def test_thompson_sampling_learns(curves):
    """On rates drawn from the prior that it uses, its regret grows like a logarithm."""
    _, found = curves
    means = {name: curve.mean(axis=0) for name, curve in found.items()}
    assert means["thompson"][-1] < 0.3 * means["even"][-1]
    assert means["thompson"][-1] < means["greedy"][-1]
    late, early = means["thompson"][-1] - means["thompson"][299], means["thompson"][299]
    assert late < 0.4 * early
    for curve in found.values():
        assert (np.diff(curve, axis=1) >= -1e-12).all()


def test_a_trial_costs_what_it_tries(curves):
    rates, found = curves
    gap = np.abs(np.diff(rates, axis=1))[:, 0]
    np.testing.assert_allclose(found["trial"][:, 39], 20 * gap, rtol=1e-12)


@pytest.mark.bits
def test_regret_repeats_with_its_seed_and_serves_every_customer():
    rates = [[0.2, 0.6]]
    rules = {"thompson": policy.thompson}
    one = policy.regret_curves(rates, rules, n_customers=95, batch=10, seed=5)["thompson"]
    again = policy.regret_curves(rates, rules, n_customers=95, batch=10, seed=5)["thompson"]
    np.testing.assert_array_equal(one, again)
    assert one.shape == (1, 10)
    assert one[0, -1] <= 95 * 0.4 + 1e-12


def test_impossible_worlds_are_refused():
    with pytest.raises(SpecError, match="`rates`"):
        policy.regret_curves([[0.5, 1.5]], {}, n_customers=10, seed=1)
    with pytest.raises(SpecError, match="`batch`"):
        policy.regret_curves([[0.5, 0.5]], {}, n_customers=10, batch=0, seed=1)


# --- uplift ---------------------------------------------------------------------------------------

NAMES = ("new", "loyal", "lost")
EFFECT = np.array([0.10, 0.0, 0.30])


def experiment(n=60_000, seed=6):
    rng = np.random.default_rng(seed)
    stage = rng.integers(3, size=n)
    treated = rng.random(n) < 0.4
    rate = np.array([0.3, 0.6, 0.1])[stage] + treated * EFFECT[stage]
    return (rng.random(n) < rate).astype(float), treated, stage


def test_uplift_by_stage_finds_the_effect():
    outcome, treated, stage = experiment()
    table = policy.uplift_by_stage(outcome, treated, stage, names=NAMES)
    z = (table["uplift"] - EFFECT) / table["se"]
    assert (abs(z) < 4).all()
    assert (table["se"] < 0.01).all()
    named = policy.uplift_by_stage(outcome, treated, np.array(NAMES)[stage], names=NAMES)
    assert table.equals(named)


def test_standard_errors_of_uplift_are_the_spread_over_experiments():
    errors, effects = [], []
    for seed in range(150):
        table = policy.uplift_by_stage(*experiment(600, seed), names=NAMES)
        effects.append(table["uplift"])
        errors.append(table["se"])
    # The spread of 150 numbers is known to 6 %; four of these standard errors.
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(effects, axis=0), rtol=0.24)


def test_transformed_outcome_has_the_effect_as_its_mean():
    outcome, treated, stage = experiment()
    z = policy.transformed_outcome(outcome, treated, 0.4)
    for k in range(3):
        part = z[stage == k]
        assert abs(part.mean() - EFFECT[k]) < 4 * part.std() / math.sqrt(len(part))
    with pytest.raises(SpecError, match="above 0 and below 1"):
        policy.transformed_outcome(outcome, treated, 1.0)


def test_qini_curve_by_hand():
    score = [5, 4, 4, 3, 2, 1]
    outcome, treated = [1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 1, 0]
    found = policy.qini_curve(score, outcome, treated)
    np.testing.assert_allclose(found.share, [0, 1 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    np.testing.assert_allclose(found.gain, np.array([0, 1, 2, 2, 3, 3 - 1 * 3 / 3]) / 3)
    np.testing.assert_allclose(found.random, found.share * 2 / 3)


def test_qini_ranks_a_good_score_above_chance_and_its_reverse_below():
    outcome, treated, stage = experiment()
    good = policy.qini_curve(EFFECT[stage], outcome, treated)
    bad = policy.qini_curve(-EFFECT[stage], outcome, treated)
    noise = policy.qini_curve(np.random.default_rng(1).random(len(stage)), outcome, treated)
    risk = policy.qini_curve(np.array([0.3, 0.6, 0.1])[stage], outcome, treated)
    assert good.coefficient > 0.02
    assert bad.coefficient < -0.02
    assert risk.coefficient < 0  # who buys anyway is not whom the offer changes
    assert abs(noise.coefficient) < 0.005
    assert good.gain[-1] == pytest.approx(EFFECT.mean(), abs=0.02)
    # Area of three thirds by falling effect, .3, .1, 0, against the straight line, by hand.
    assert good.coefficient == pytest.approx(0.1 / 3, abs=0.006)


@pytest.mark.bits
def test_the_order_of_ties_and_rows_makes_no_difference():
    outcome, treated, stage = experiment(900)
    shuffled = np.random.default_rng(2).permutation(900)
    one = policy.qini_curve(stage, outcome, treated)
    other = policy.qini_curve(stage[shuffled], outcome[shuffled], treated[shuffled])
    np.testing.assert_allclose(one.gain, other.gain, rtol=1e-12)
    assert len(one.share) == 4


@pytest.mark.bits
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 50))
def test_qini_depends_on_the_order_of_scores_only(seed, unit):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 60))
    score, outcome = rng.integers(0, 5, n).astype(float), rng.normal(size=n)
    treated = np.append([0, 1], rng.integers(0, 2, n - 2))
    plain = policy.qini_curve(score, outcome, treated)
    bent = policy.qini_curve(np.exp(score), unit * outcome, treated)
    np.testing.assert_allclose(bent.gain, unit * plain.gain, rtol=1e-9, atol=1e-9)
    assert plain.share[0] == 0
    assert plain.share[-1] == 1
    effect = outcome[treated == 1].mean() - outcome[treated == 0].mean()
    assert plain.gain[-1] == pytest.approx(effect, abs=1e-9)
    alike = policy.qini_curve(np.zeros(n), outcome, treated)
    assert alike.coefficient == pytest.approx(0, abs=1e-12)


def test_bootstrap_spreads_around_the_curve():
    outcome, treated, stage = experiment(3000)
    curve = policy.qini_curve(EFFECT[stage], outcome, treated)
    boot = policy.bootstrap_qini(
        EFFECT[stage], outcome, treated, n_resamples=60, n_points=11, seed=3
    )
    assert boot.gain.shape == (60, 11)
    low, high = np.quantile(boot.coefficient, [0.01, 0.99])
    assert low < curve.coefficient < high
    assert (boot.gain[:, 0] == 0).all()


def test_experiments_that_cannot_be_read_are_refused_at_once():
    with pytest.raises(DataError) as caught:
        policy.qini_curve([1, 2], [1, math.nan], [0, 2])
    assert "`outcome` must be finite" in str(caught.value)
    assert "`treated` must be 0 or 1" in str(caught.value)
    with pytest.raises(DataError, match="with and without treatment"):
        policy.qini_curve([1, 2], [1, 0], [1, 1])
    with pytest.raises(DataError, match="`names` does not"):
        policy.uplift_by_stage([1, 0], [1, 0], ["new", "gone"], names=NAMES)


# --- logged policies ------------------------------------------------------------------------------


def log(n, seed, noise=1.0):
    """A firm that treats by stage with known chances, and the value of always taking action 1."""
    rng = np.random.default_rng(seed)
    x = rng.integers(2, size=n)
    chances = np.array([[0.7, 0.3], [0.2, 0.8]])[x]
    action = (rng.random(n) < chances[:, 1]).astype(int)
    mean = np.array([[1.0, 2.0], [3.0, 1.0]])[x]
    reward = mean[np.arange(n), action] + noise * rng.normal(size=n)
    return reward, action, chances[np.arange(n), action], mean, x


TREAT = np.array([0.0, 1.0])


def test_estimators_are_right_and_their_errors_are_their_spread():
    estimates = {"ips": [], "snips": [], "dr": []}
    errors = {"ips": [], "snips": [], "dr": []}
    for seed in range(200):
        reward, action, propensity, _, _ = log(400, seed)
        wrong_model = np.tile([2.0, 1.2], (400, 1))
        found = policy.logged_value(
            reward, action, propensity, np.tile(TREAT, (400, 1)), model=wrong_model
        )
        for name in estimates:
            estimates[name].append(getattr(found, name).value)
            errors[name].append(getattr(found, name).se)
    for name in estimates:
        spread = np.std(estimates[name])
        assert abs(np.mean(estimates[name]) - 1.5) < 4 * spread / math.sqrt(200)
        assert np.mean(errors[name]) == pytest.approx(spread, rel=0.2)
    # What each refinement is for.
    assert np.std(estimates["snips"]) < np.std(estimates["ips"])
    assert np.std(estimates["dr"]) < np.std(estimates["ips"])


def test_a_right_model_mends_wrong_propensities():
    reward, action, propensity, mean, _ = log(20_000, 1)
    wrong = np.clip(propensity * 0.6, 0.05, 1)
    found = policy.logged_value(reward, action, wrong, np.tile(TREAT, (20_000, 1)), model=mean)
    assert abs(found.dr.value - 1.5) < 4 * found.dr.se
    assert abs(found.ips.value - 1.5) > 10 * found.ips.se


def test_the_logged_policy_itself_is_worth_its_mean():
    reward, action, propensity, _, x = log(500, 2)
    own = np.array([[0.7, 0.3], [0.2, 0.8]])[x]
    found = policy.logged_value(reward, action, propensity, own)
    assert found.ips.value == pytest.approx(reward.mean(), rel=1e-12)
    assert found.snips.value == pytest.approx(reward.mean(), rel=1e-12)
    assert found.n_effective == pytest.approx(500)
    assert found.dr is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-20, 20), st.floats(0.1, 9))
def test_estimates_move_with_the_unit_of_reward(seed, shift, unit):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    reward, action = rng.normal(size=n), np.append(0, rng.integers(3, size=n - 1))
    propensity = rng.uniform(0.05, 1, n)
    target = np.tile(rng.dirichlet(np.ones(3)), (n, 1))
    model = rng.normal(size=(n, 3))
    one = policy.logged_value(reward, action, propensity, target, model=model)
    other = policy.logged_value(
        shift + unit * reward, action, propensity, target, model=shift + unit * model
    )
    for name in ("snips", "dr"):
        moved = shift + unit * getattr(one, name).value
        assert getattr(other, name).value == pytest.approx(moved, rel=1e-7, abs=1e-7)
        scaled = unit * getattr(one, name).se
        assert getattr(other, name).se == pytest.approx(scaled, rel=1e-6, abs=1e-7)
    assert 1 - 1e-9 <= one.n_effective <= n + 1e-9


def test_logs_that_cannot_be_read_are_refused_at_once():
    with pytest.raises(DataError) as caught:
        policy.logged_value([1, math.inf], [0, 3], [0.0, 0.5], [[1, 0], [0.5, 0.4]])
    for part in ("`reward`", "`propensity`", "`action`", "`policy`"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="no logged action"):
        policy.logged_value([1, 1], [0, 0], [0.5, 0.5], [[0, 1], [0, 1]])


# --- win-back -------------------------------------------------------------------------------------


def profit_of(offer, W, a, b):
    return special.expit(a + b * offer) * (W - offer)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 5000), st.floats(-8, 4), st.floats(0.001, 2))
def test_no_other_offer_is_more_profitable(W, a, b):
    found = policy.best_offer(W, intercept=a, slope=b)
    others = np.concatenate(
        [np.linspace(0, max(W, 1), 400), found.offer * np.linspace(0.9, 1.1, 9)]
    )
    best = profit_of(others, W, a, b).max()
    assert float(found.offer) >= 0
    assert float(found.profit) >= best - 1e-9 * max(1.0, abs(best))
    assert float(found.gain) >= -1e-9 * max(1.0, W)
    assert float(found.profit) == pytest.approx(float(profit_of(found.offer, W, a, b)), rel=1e-9)


def test_the_closed_form_equals_scipy_s_lambert_function():
    W, a, b = 80.0, -2.5, 0.07
    expected = W - (1 + special.lambertw(np.exp(a + b * W - 1)).real) / b
    assert float(policy.best_offer(W, intercept=a, slope=b).offer) == pytest.approx(expected)


def test_who_comes_back_anyway_gets_nothing_and_who_never_does_neither():
    found = policy.best_offer([100, 100, 0], intercept=[3, -2, -2], slope=0.03)
    assert found.offer[0] == 0
    assert found.gain[0] == 0
    assert found.offer[1] > 0
    assert found.offer[2] == 0


def test_huge_values_do_not_overflow():
    found = policy.best_offer(1e7, intercept=-5, slope=0.1)
    assert 0 < float(found.offer) < 1e3
    assert float(found.prob_return) > 0.999


@pytest.mark.parametrize(
    ("g", "h", "c", "d"), [(6, 0.1, 10, 0.02), (3, 0.5, 1, 0.1), (9, 1, 0, 0.3)]
)
def test_the_best_price_is_a_maximum(g, h, c, d):
    found = policy.best_price(unit_cost=c, intercept=g, slope=h, discount_rate=d)

    def worth(p):
        return (p - c) * (1 + d) / (1 + d - special.expit(g - h * p))

    assert found.value == pytest.approx(worth(found.price), rel=1e-12)
    near = found.price + np.linspace(-1, 1, 41) / h * 0.2
    assert found.value >= worth(near).max() - 1e-9
    assert found.retention == pytest.approx(special.expit(g - h * found.price))


def test_a_price_without_a_best_is_refused():
    with pytest.raises(SpecError, match="no price is best"):
        policy.best_price(unit_cost=10, intercept=-5, slope=0.1, discount_rate=0.1)
    with pytest.raises(SpecError, match="`slope`"):
        policy.best_price(unit_cost=10, intercept=1, slope=0, discount_rate=0.1)


def test_low_price_now_and_higher_later():
    """The offer is worth giving because the later price makes the second life worth something."""
    life = policy.best_price(unit_cost=10, intercept=6, slope=0.1, discount_rate=0.02)
    found = policy.best_offer(life.value, intercept=-3, slope=0.03)
    assert float(found.offer) > life.price - 10  # more than the first period's margin
    assert float(found.gain) > 0


@pytest.mark.parametrize("correlation", [-0.6, 0.0, 0.7])
def test_second_lives_of_returners_equal_simulation(correlation):
    rng = np.random.default_rng(12)
    e = rng.normal(size=400_000)
    u = 0.5 * (correlation * e + math.sqrt(1 - correlation**2) * rng.normal(size=len(e)))
    back, tenure = e > 0.8, np.exp(1.2 + u)
    found = policy.returner_tenure(-0.8, mean_log=1.2, sd_log=0.5, correlation=correlation)
    seen = tenure[back]
    assert abs(seen.mean() - found.tenure) < 4 * seen.std() / math.sqrt(len(seen))
    assert abs(tenure.mean() - found.tenure_of_all) < 4 * tenure.std() / math.sqrt(len(tenure))
    assert abs(back.mean() - found.prob_return) < 4 * back.std() / math.sqrt(len(back))
    assert np.sign(found.tenure - found.tenure_of_all) == np.sign(correlation)


def test_improbable_returns_stay_finite():
    found = policy.returner_tenure(-40.0, mean_log=1.0, sd_log=0.5, correlation=0.9)
    assert np.isfinite(found.tenure)
    with pytest.raises(SpecError) as caught:
        policy.returner_tenure(0.0, mean_log=0, sd_log=0, correlation=2)
    assert "`sd_log`" in str(caught.value)
    assert "`correlation`" in str(caught.value)
