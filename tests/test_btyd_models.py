"""Pareto/NBD, MBG/NBD, BG/BB, Gamma-Gamma: integration of their stories, recovery, extremes."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from crmlab.btyd import (
    BGBB,
    BGNBD,
    MBGNBD,
    GammaGamma,
    ParetoNBD,
    chain_loglik,
    fit_bgbb,
    fit_bgnbd,
    fit_gammagamma,
    fit_mbgnbd,
    fit_paretonbd,
    mixed_chain_loglik,
    standard_errors,
)
from crmlab.btyd.pareto_nbd import _dies_first, _dies_first_by_quadrature
from crmlab.datasets import dataset_path
from crmlab.errors import DataError, SpecError
from tests.oracles import btyd_models as oracle

HISTORIES = [(0, 0.0, 38.86), (1, 1.71, 38.86), (2, 30.43, 38.86), (9, 20.0, 27.0)]
PARETO_WORLDS = [
    ParetoNBD(0.553, 10.578, 0.606, 11.669),
    ParetoNBD(1.5, 3.0, 1.0, 12.0),  # s = 1: the closed form of the mean divides by zero
    ParetoNBD(0.7, 9.0, 2.5, 9.0),  # alpha = beta
    ParetoNBD(2.0, 30.0, 0.3, 2.0),
]
MBG_WORLDS = [MBGNBD(0.525, 6.183, 0.891, 1.614), MBGNBD(1.7, 9.0, 1.0, 1.3)]
DONORS = BGBB(1.204, 0.750, 0.657, 2.783)


def tuples(params):
    return dataclasses.astuple(params)


# Against numerical integration of the stories -----------------------------------------------------


@pytest.mark.parametrize("world", PARETO_WORLDS, ids=str)
@pytest.mark.parametrize("history", HISTORIES[::2], ids=str)
def test_pareto_nbd_agrees_with_integration(world, history):
    alive, dead = oracle.pareto_stories(tuples(world), *history)
    assert world.loglik(*history) == pytest.approx(math.log(alive + dead), rel=1e-8)
    assert world.prob_alive(*history) == pytest.approx(alive / (alive + dead), rel=1e-7)
    expected = oracle.pareto_expected(tuples(world), 39, *history)
    assert world.expected_purchases(39, *history) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("world", MBG_WORLDS, ids=str)
@pytest.mark.parametrize("history", HISTORIES, ids=str)
def test_mbg_nbd_agrees_with_integration(world, history):
    alive, dead = oracle.mbg_stories(tuples(world), *history)
    assert world.loglik(*history) == pytest.approx(math.log(alive + dead), rel=1e-9)
    assert world.prob_alive(*history) == pytest.approx(alive / (alive + dead), rel=1e-9)


@pytest.mark.parametrize("world", MBG_WORLDS, ids=str)
def test_mbg_nbd_expected_purchases_agree_with_integration(world):
    for history in (HISTORIES[0], HISTORIES[2]):
        expected = oracle.mbg_expected(tuples(world), 39, *history)
        assert world.expected_purchases(39, *history) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("world", [DONORS, BGBB(2.0, 1.0, 1.0, 4.0)], ids=str)
def test_bg_bb_agrees_with_a_sum_over_times_of_death(world):
    for purchases in oracle.histories(5):
        likelihood = oracle.bgbb_likelihood(tuples(world), purchases)
        ours = world.loglik(*oracle.summary(purchases), 5)
        assert ours == pytest.approx(math.log(likelihood), rel=1e-8)


def test_bg_bb_predicts_what_its_likelihood_says():
    """One more period: a purchase in it has the odds of the two longer histories."""
    for purchases in oracle.histories(4):
        now = oracle.bgbb_likelihood(tuples(DONORS), purchases)
        then = oracle.bgbb_likelihood(tuples(DONORS), (*purchases, 1))
        ahead = DONORS.expected_purchases(1, *oracle.summary(purchases), 4)
        assert ahead == pytest.approx(then / now, rel=1e-8)


def test_bg_bb_mean_is_the_mean_over_all_histories():
    weights = [math.exp(DONORS.loglik(*oracle.summary(h), 6)) for h in oracle.histories(6)]
    assert sum(weights) == pytest.approx(1, rel=1e-12)
    mean = sum(w * sum(h) for w, h in zip(weights, oracle.histories(6), strict=True))
    assert DONORS.mean_purchases(6) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(("x", "mean"), [(1, 20.0), (4, 35.0), (12, 90.0)])
def test_gamma_gamma_agrees_with_integration(x, mean):
    world = GammaGamma(6.25, 3.74, 15.44)
    density = oracle.gammagamma_density(tuples(world), x, mean)
    assert world.loglik(x, mean) == pytest.approx(math.log(density), rel=1e-8)
    expected = oracle.gammagamma_expected(tuples(world), x, mean)
    assert world.expected_spend(x, mean) == pytest.approx(expected, rel=1e-8)


def test_gamma_gamma_pulls_towards_the_mean_of_all():
    world = GammaGamma(6.25, 3.74, 15.44)
    everybody, few, many = world.expected_spend([0, 1, 1000], [0, 90, 90])
    assert everybody < few < many < 90
    assert world.expected_spend(0, 0) == pytest.approx(6.25 * 15.44 / 2.74)
    assert GammaGamma(1, 0.9, 1).expected_spend([0], [0]) == np.inf  # a mean without end


@settings(deadline=None)
@given(
    parameters=st.tuples(*[st.floats(0.05, 50)] * 3),
    x=st.integers(1, 1000),
    mean=st.floats(0.01, 1e5),
)
def test_gamma_gamma_stays_finite_and_between_the_two_means(parameters, x, mean):
    world = GammaGamma(*parameters)
    assert np.isfinite(world.loglik(x, mean))
    expected, more = world.expected_spend([x, x], [mean, 2 * mean])
    assert expected > 0
    if np.isfinite(expected):
        assert expected < more
    if world.q > 1:
        ends = sorted([mean, float(world.expected_spend(0, 0))])
        assert ends[0] * (1 - 1e-9) <= expected <= ends[1] * (1 + 1e-9)


# The bridge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [DONORS, BGBB(0.3, 5.0, 4.0, 0.2), BGBB(1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("n", [1, 6, 7])
def test_a_mixed_chain_of_two_stages_is_bg_bb(world, n):
    purchases = oracle.histories(n)
    chain = mixed_chain_loglik(world, purchases)
    x, t_x = np.transpose([oracle.summary(h) for h in purchases])
    np.testing.assert_allclose(chain, world.loglik(x, t_x, np.full(len(x), n)), rtol=0, atol=1e-10)


def test_the_chain_of_the_bridge_is_not_the_wrong_one():
    """Negative control: dying at the end of a period instead gives another likelihood."""
    p, theta = 0.4, 0.2
    at_start = chain_loglik(p, theta, [[1, 0]])[0]
    assert at_start == pytest.approx(math.log((1 - theta) * p * ((1 - theta) * (1 - p) + theta)))
    assert at_start != pytest.approx(math.log(p * ((1 - theta) * (1 - p) + theta)), abs=0.1)


def test_the_bridge_needs_zeros_and_ones():
    with pytest.raises(DataError, match="zeros and ones"):
        mixed_chain_loglik(DONORS, [[0, 2]])


# Nested models and limits -------------------------------------------------------------------------


def test_without_death_all_models_are_one():
    """Dropout and death rates near zero: P(alive) is 1 and purchases are those of the NBD."""
    immortal = [
        BGNBD(0.5, 4.0, 1e-9, 1.0),
        MBGNBD(0.5, 4.0, 1e-9, 1.0),
        ParetoNBD(0.5, 4.0, 1e-9, 1.0),
    ]
    nbd = (0.5 + 3) / (4.0 + 30) * 10
    for world in immortal:
        assert world.prob_alive(3, 10.0, 30.0) == pytest.approx(1, abs=1e-5)
        assert world.expected_purchases(10, 3, 10.0, 30.0) == pytest.approx(nbd, rel=1e-5)
    logliks = [float(world.loglik(3, 10.0, 30.0)) for world in immortal]
    np.testing.assert_allclose(logliks, logliks[0], rtol=1e-6)


@settings(deadline=None, max_examples=300)
@given(
    st.floats(0.02, 50),
    st.floats(0.02, 50),
    st.floats(0.02, 50),
    st.floats(0.05, 20000),
    st.floats(0.001, 3000),
)
def test_dying_first_is_one_number_by_two_ways(alpha, s, beta, k, tau):
    world = ParetoNBD(1.0, alpha, s, beta)
    k, tau = np.array([k]), np.array([tau])
    fast, slow = _dies_first(world, k, tau), _dies_first_by_quadrature(world, k, tau)
    np.testing.assert_allclose(fast, slow, rtol=1e-9)


# Extreme inputs -----------------------------------------------------------------------------------

positive = st.floats(0.05, 20)
histories = st.tuples(st.integers(0, 40), st.floats(0.01, 1), st.floats(1, 200)).map(
    lambda h: (h[0], h[1] * h[2] if h[0] else 0.0, h[2])
)


@pytest.mark.parametrize("kind", [ParetoNBD, MBGNBD])
@settings(deadline=None, max_examples=60)
@given(parameters=st.tuples(*[positive] * 4), history=histories, t=st.floats(0.1, 300))
def test_predictions_obey_the_story(kind, parameters, history, t):
    world = kind(*parameters)
    x, t_x, T = history
    alive = world.prob_alive(*history)
    assert np.isfinite(world.loglik(*history))
    assert 0 <= alive <= 1
    assert world.prob_alive(x, t_x, T + 5) <= alive * (1 + 1e-9)
    expected = world.expected_purchases(np.array([0.0, t, 2 * t]), *history)
    assert expected[0] == 0
    assert np.all(np.diff(expected) >= -1e-12 * expected[-1])  # flat, to rounding, once all died
    assert np.diff(expected, 2)[0] <= 1e-9 * (1 + expected[-1])
    assert expected[1] <= alive * (world.r + x) / (world.alpha + T) * t * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(
    parameters=st.tuples(*[st.floats(0.01, 200)] * 4),
    n=st.integers(1, 200),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_bg_bb_obeys_its_story(parameters, n, shares):
    world = BGBB(*parameters)
    t_x = round(shares[0] * n)
    x = max(round(shares[1] * t_x), min(t_x, 1))
    alive = world.prob_alive(x, t_x, n)
    assert np.isfinite(world.loglik(x, t_x, n))
    assert 0 <= alive <= 1 + 1e-9
    assert world.prob_alive(x, t_x, n + 1) <= alive * (1 + 1e-9)
    ahead = world.expected_purchases([0, 1, 2, 50], [x] * 4, [t_x] * 4, [n] * 4)
    assert ahead[0] == 0
    assert np.all(np.diff(ahead) >= 0)
    assert ahead[-1] <= 50 * alive * (1 + 1e-9)


@pytest.mark.parametrize("world", [PARETO_WORLDS[0], MBG_WORLDS[0]], ids=str)
def test_extreme_histories_stay_finite(world):
    heavy, quiet = (5000, 9000.0, 10_000.0), (5000, 100.0, 10_000.0)
    assert np.isfinite(world.loglik(*heavy))
    assert np.isfinite(world.loglik(*quiet))
    assert world.prob_alive(*quiet) == 0.0
    assert 0 < world.expected_purchases(1e6, *heavy) < 5000 / 10_000 * 1e6
    assert world.prob_alive(5000, 10_000.0, 10_000.0) == pytest.approx(1, abs=0.001)


# Fitting ------------------------------------------------------------------------------------------

TRUTHS = {
    fit_bgnbd: (BGNBD(0.6, 4.0, 0.9, 2.5), oracle.simulate_bgnbd),
    fit_mbgnbd: (
        MBGNBD(0.8, 4.0, 0.9, 2.5),
        lambda *world: oracle.simulate_bgnbd(*world, first_may_be_last=True),
    ),
    fit_paretonbd: (ParetoNBD(0.7, 6.0, 0.8, 9.0), oracle.simulate_pareto),
}


@pytest.mark.parametrize("fit", TRUTHS, ids=lambda f: f.__name__)
def test_parameters_are_recovered_within_their_standard_errors(fit):
    """Four standard errors of the log of each parameter: wrong once in 4,000 runs or so."""
    truth, simulate = TRUTHS[fit]
    rng = np.random.default_rng(5)
    T = rng.uniform(20, 60, 4000)
    histories = (*simulate(tuples(truth), T, rng), T)
    found = fit(*histories)
    errors = standard_errors(found, *histories)
    for name in truth.names():
        distance = math.log(getattr(found, name) / getattr(truth, name))
        assert abs(distance) < 4 * errors[name] / getattr(found, name)
        assert errors[name] / getattr(found, name) < 0.5  # and the errors say something


def test_bg_bb_is_recovered():
    rng = np.random.default_rng(6)
    x, t_x = oracle.simulate_bgbb(tuples(DONORS), 8, 6000, rng)
    histories = (x, t_x, np.full(6000, 8))
    found = fit_bgbb(*histories)
    errors = standard_errors(found, *histories)
    for name in DONORS.names():
        assert abs(getattr(found, name) - getattr(DONORS, name)) < 4 * errors[name]


def test_gamma_gamma_is_recovered_whatever_the_currency():
    rng = np.random.default_rng(7)
    truth = GammaGamma(6.25, 3.74, 15.44)
    x = rng.integers(1, 8, 3000)
    mean = oracle.simulate_gammagamma(tuples(truth), x, rng)
    found, cents = fit_gammagamma(x, mean), fit_gammagamma(x, 100 * mean)
    errors = standard_errors(found, x, mean)
    for name in truth.names():  # four standard errors: wrong once in 5,000 runs
        assert abs(getattr(found, name) - getattr(truth, name)) < 4 * errors[name]
        assert errors[name] < getattr(truth, name) / 4
    assert cents.v == pytest.approx(100 * found.v, rel=1e-5)


@pytest.mark.parametrize("fit", [fit_paretonbd, fit_mbgnbd], ids=lambda f: f.__name__)
def test_a_fit_does_not_depend_on_the_unit_of_time_and_is_a_maximum(fit):
    rng = np.random.default_rng(8)
    truth, simulate = TRUTHS[fit]
    T = rng.uniform(20, 60, 800)
    x, t_x = simulate(tuples(truth), T, rng)
    weeks, days = fit(x, t_x, T), fit(x, 7 * t_x, 7 * T)
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-5)
    assert days.r == pytest.approx(weeks.r, rel=1e-5)
    best = weeks.loglik(x, t_x, T).sum()
    for name in weeks.names():
        for factor in (0.98, 1.02):
            moved = dataclasses.replace(weeks, **{name: getattr(weeks, name) * factor})
            assert moved.loglik(x, t_x, T).sum() < best


def test_counts_weigh_histories():
    donors = pd.read_csv(dataset_path("published/donations.csv"))
    histories = [donors[name] for name in ("frequency", "recency", "T")]
    some = donors["customers"] // 40 + 1
    weighed = fit_bgbb(*histories, counts=some)
    repeated = fit_bgbb(*(column.repeat(some) for column in histories))
    np.testing.assert_allclose(weighed.logs(), repeated.logs(), atol=1e-4)
    errors = standard_errors(weighed, *histories, counts=some)
    again = standard_errors(weighed, *(column.repeat(some) for column in histories))
    assert errors == pytest.approx(again, rel=1e-6)
    with pytest.raises(DataError, match="`counts` must hold one number"):
        fit_bgbb(*histories, counts=[1, 2])


@pytest.mark.parametrize("fit", [fit_paretonbd, fit_mbgnbd, fit_bgbb], ids=lambda f: f.__name__)
def test_data_without_a_maximum_are_refused(fit):
    with pytest.raises(DataError, match=f"{fit.__name__}: these data do not determine"):
        fit([0, 0, 0], [0, 0, 0], [9, 9, 9])


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ParetoNBD, MBGNBD, BGBB])
def test_impossible_parameters_and_histories_are_reported(kind):
    with pytest.raises(SpecError, match=f"{kind.__name__}: 4 problems"):
        kind(0, -1, math.nan, math.inf)
    with pytest.raises(DataError, match="`frequency` must be a whole number"):
        kind(1, 1, 1, 1).loglik([1.5], [2], [3])


def test_bg_bb_counts_whole_periods_with_one_purchase_each():
    with pytest.raises(DataError) as caught:
        DONORS.loglik([4, 1], [3, 1.5], [6, 6])
    for words in ("`frequency` must not exceed `recency`", "`recency` must be a whole number"):
        assert words in str(caught.value)
    with pytest.raises(DataError, match="`t` must be a whole number of periods"):
        DONORS.mean_purchases(1.5)


def test_amounts_are_checked():
    with pytest.raises(DataError) as caught:
        fit_gammagamma([0, 2], [10, -1])
    for words in ("leave out customers without one", "`monetary_value` must be a number above 0"):
        assert words in str(caught.value)
