"""Contracts: integration of the story, published numbers, and a posterior that is calibrated."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import chisquare

from crmlab.contract import (
    BetaDiscreteWeibull,
    ShiftedBetaGeometric,
    bdw_posterior,
    contract_loglik,
    contract_standard_errors,
    cost_of_homogeneity,
    fit_bdw,
    fit_sbg,
    project_survivors,
    sbg_posterior,
)
from crmlab.errors import DataError, SpecError
from tests.oracles import contract as oracle
from tests.oracles.printed import assert_prints_as

HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491]
REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241]
SBG = [ShiftedBetaGeometric(0.668, 3.806), ShiftedBetaGeometric(0.704, 1.182)]
BDW = [BetaDiscreteWeibull(0.2594, 1.7226, 1.5843), BetaDiscreteWeibull(2.0, 5.0, 0.6)]


def tuples(params):
    return dataclasses.astuple(params)


# Against integration ------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [*SBG, *BDW], ids=str)
def test_survival_is_the_mean_over_customers(world):
    shares = [oracle.survival(tuples(world), t) for t in range(13)]
    np.testing.assert_allclose(world.survival(range(13)), shares, rtol=1e-9)
    ratios = np.divide(shares[1:], shares[:-1])
    np.testing.assert_allclose(world.retention_rate(range(1, 13)), ratios, rtol=1e-8)


@pytest.mark.parametrize("world", SBG, ids=str)
@pytest.mark.parametrize("renewals", [0, 1, 7])
@pytest.mark.parametrize("discount_rate", [0.05, 0.10, 1.0])
def test_residual_lifetime_is_the_mean_over_customers(world, renewals, discount_rate):
    lifetime = oracle.residual_lifetime(tuples(world), discount_rate, renewals)
    ours = world.discounted_lifetime(discount_rate, renewals=renewals)
    assert ours == pytest.approx(lifetime, rel=1e-8)


@pytest.mark.parametrize("world", [*SBG, *BDW], ids=str)
def test_likelihood_counts_leavers_and_stayers(world):
    assert contract_loglik(world, HIGH_END) == pytest.approx(
        oracle.loglik(tuples(world), HIGH_END), rel=1e-8
    )


def test_lifetime_of_a_new_customer_counts_the_present_payment():
    world, t = SBG[0], np.arange(5000)
    by_hand = (world.survival(t) / 1.1**t).sum()
    assert world.discounted_lifetime(0.1) == pytest.approx(by_hand, rel=1e-12)
    by_hand = (BDW[0].survival(t) / 1.1**t).sum()
    assert BDW[0].discounted_lifetime(0.1) == pytest.approx(by_hand, rel=1e-12)


def test_a_weibull_with_c_one_is_the_shifted_beta_geometric():
    nested = BetaDiscreteWeibull(0.668, 3.806, 1.0)
    np.testing.assert_allclose(nested.survival(range(20)), SBG[0].survival(range(20)), rtol=1e-12)
    for renewals in (None, 0, 5):
        lifetimes = [w.discounted_lifetime(0.1, renewals=renewals) for w in (nested, SBG[0])]
        assert lifetimes[0] == pytest.approx(lifetimes[1], rel=1e-11)


# Published numbers --------------------------------------------------------------------------------


def test_fits_print_as_fader_and_hardie():
    fits = [fit_sbg(REGULAR), fit_sbg(HIGH_END)]
    assert_prints_as([tuples(fit) for fit in fits], ["0.704", "1.182", "0.668", "3.806"])
    printed = ["46.0", "43.6", "41.4", "39.5", "37.8"]
    assert_prints_as(100 * fits[1].survival(range(8, 13)), printed)
    lifetimes = [fits[1].discounted_lifetime(0.1, renewals=m) for m in (0, 1, 2, 3, 4, 7)]
    assert_prints_as(lifetimes, ["5.414", "5.901", "6.294", "6.620", "6.897", "7.530"])


def test_weibull_fit_beats_the_printed_maximum_by_next_to_nothing():
    found, printed = fit_bdw(HIGH_END[:5]), BDW[0]
    gain = contract_loglik(found, HIGH_END[:5]) - contract_loglik(printed, HIGH_END[:5])
    assert 0 < gain < 1e-5


def test_perils_of_ignoring_heterogeneity():
    alike, unlike = ShiftedBetaGeometric(3.80, 15.20), ShiftedBetaGeometric(0.067, 0.267)
    costs = [cost_of_homogeneity(world, 0.1) for world in (alike, unlike)]
    assert_prints_as([c.lifetime for c in costs], ["3.31", "7.67"])
    assert_prints_as([c.lifetime_at_mean for c in costs], ["2.93", "2.93"])
    nobody_differs = cost_of_homogeneity(ShiftedBetaGeometric(2e6, 8e6), 0.1)
    assert nobody_differs.understated == pytest.approx(0, abs=1e-5)


# Properties ---------------------------------------------------------------------------------------

positive = st.floats(0.01, 500)


@settings(deadline=None)
@given(positive, positive, st.floats(0.02, 1))
def test_loyal_customers_remain(alpha, beta, discount_rate):
    world = ShiftedBetaGeometric(alpha, beta)
    rates = world.retention_rate(range(1, 60))
    assert np.all(np.diff(rates) > 0)
    assert np.all((rates > 0) & (rates < 1))
    cost = cost_of_homogeneity(world, discount_rate)
    assert cost.lifetime >= cost.lifetime_at_mean * (1 - 1e-9)  # differences only add value
    assert world.discounted_lifetime(discount_rate / 2) > world.discounted_lifetime(discount_rate)


@settings(deadline=None, max_examples=50)
@given(positive, positive, st.floats(0.2, 3), st.integers(1, 40))
def test_survival_falls_and_stays_a_probability(alpha, beta, c, t):
    world = BetaDiscreteWeibull(alpha, beta, c)
    survival = world.survival(np.arange(t + 2))
    assert survival[0] == 1
    assert np.all((survival >= 0) & np.isfinite(survival))
    assert np.all(np.diff(survival) <= 1e-12)


# Fitting ------------------------------------------------------------------------------------------


def test_cohorts_of_different_ages_are_fitted_together():
    world = ShiftedBetaGeometric(0.7, 3.0)
    cohorts = [1e6 * world.survival(range(n)) for n in (8, 5, 3)]
    together = fit_sbg(cohorts)
    assert tuples(together) == pytest.approx((0.7, 3.0), rel=1e-5)
    logliks = [contract_loglik(world, cohort) for cohort in cohorts]
    assert contract_loglik(world, cohorts) == pytest.approx(sum(logliks), rel=1e-12)


@pytest.mark.parametrize("counts", [HIGH_END, REGULAR])
def test_standard_errors_agree_with_exact_second_derivatives(counts):
    fit = fit_sbg(counts)
    errors = contract_standard_errors(fit, counts)
    exact = oracle.standard_errors(tuples(fit), counts)
    np.testing.assert_allclose([errors["alpha"], errors["beta"]], exact, rtol=1e-4)


def test_parameters_are_recovered_within_their_standard_errors():
    """Four standard errors of each of five parameters: wrong once in 3,000 runs."""
    rng = np.random.default_rng(1)
    for fit, truth in ((fit_sbg, SBG[1]), (fit_bdw, BDW[1])):
        counts = oracle.simulate(tuples(truth), 20_000, 12, rng)
        found = fit(counts)
        errors = contract_standard_errors(found, counts)
        for name in truth.names():
            assert abs(getattr(found, name) - getattr(truth, name)) < 4 * errors[name]


def test_projection_starts_from_the_last_count():
    ahead = project_survivors(SBG[0], HIGH_END, n_periods=3)
    expected = [491 * oracle.survival(tuples(SBG[0]), t) for t in (8, 9, 10)]
    np.testing.assert_allclose(ahead, np.divide(expected, oracle.survival(tuples(SBG[0]), 7)))


def test_data_without_differences_have_no_maximum():
    with pytest.raises(DataError, match="fit_sbg: these data do not determine the two parameters"):
        fit_sbg([1000, 500, 250, 125])  # everybody alike: alpha and beta run away


# Bayes --------------------------------------------------------------------------------------------


def test_posterior_mean_agrees_with_another_grid():
    mean = sbg_posterior(HIGH_END, seed=1).mean["leaving"]
    assert mean == pytest.approx(oracle.posterior_mean_leaving(HIGH_END), abs=2e-6)


@pytest.mark.parametrize("posterior", [sbg_posterior, bdw_posterior])
def test_grid_error_is_small_and_falls(posterior):
    errors = [posterior(HIGH_END, seed=1, n_draws=2, lines=n).grid_error for n in (21, 81)]
    assert errors[1] < 0.003
    assert errors[1] < errors[0] / 10


def test_draws_have_the_mean_of_the_grid():
    """4 standard errors of 4,000 independent draws."""
    result = bdw_posterior(HIGH_END[:5], seed=2, n_draws=4000)
    draws = result.draws
    leaving = draws["alpha"] / (draws["alpha"] + draws["beta"])
    assert abs(leaving.mean() - result.mean["leaving"]) < 4 * leaving.std() / math.sqrt(4000)
    log_c = np.log(draws["c"])
    assert abs(log_c.mean() - result.mean["log_c"]) < 4 * log_c.std() / math.sqrt(4000)
    assert result.contracts[7] == BetaDiscreteWeibull(*(draws[name][7] for name in draws))


def test_with_much_data_the_posterior_is_as_narrow_as_the_likelihood():
    """A ridge that a wide grid passes by: 2,000,000 customers, three parameters, correlated."""
    counts = np.round(2e6 * BDW[1].survival(range(10)))
    fit = fit_bdw(counts)
    errors = contract_standard_errors(fit, counts)
    result = bdw_posterior(counts, seed=1, n_draws=4000)
    for name in fit.names():
        assert abs(result.draws[name].mean() - getattr(fit, name)) < 0.2 * errors[name]
        assert result.draws[name].std() == pytest.approx(errors[name], rel=0.1)


@pytest.mark.bits
def test_the_same_seed_gives_the_same_draws():
    first, again, other = (sbg_posterior(REGULAR, seed=s, n_draws=5) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.draws["alpha"], again.draws["alpha"])
    assert not np.array_equal(first.draws["alpha"], other.draws["alpha"])


def test_the_posterior_knows_when_little_was_seen():
    little, much = (sbg_posterior([n, 0.9 * n, 0.82 * n], seed=1) for n in (50, 50_000))
    assert little.draws["beta"].std() > 3 * much.draws["beta"].std()


RANK_BINS = 10
N_RANKED = 99


def ranks_of_truth(posterior, draw_truth, n_worlds, lines, rng):
    """Rank of each true number among draws from its posterior, data after data."""
    ranks = []
    for _ in range(n_worlds):
        truth, values = draw_truth(rng)
        counts = oracle.simulate(truth, 150, 7, rng)
        if counts[-1] == counts[0]:  # nobody left: also data
            assert counts[1] == counts[0]
        draws = posterior(counts, seed=int(rng.integers(2**31)), n_draws=N_RANKED, lines=lines)
        size = draws.draws["alpha"] + draws.draws["beta"]
        seen = [draws.draws["alpha"] / size, 1 / (size + 1), draws.draws.get("c")]
        pairs = [(s, v) for s, v in zip(seen, values, strict=False) if s is not None]
        ranks.append([int((s < v).sum()) for s, v in pairs])
    return np.array(ranks)


def draw_sbg(rng):
    m, phi = rng.uniform(0.001, 0.999, 2)  # the prior, but for a sliver at its edges
    size = (1 - phi) / phi
    return (m * size, (1 - m) * size), (m, phi)


def draw_bdw(rng):
    (alpha, beta), (m, phi) = draw_sbg(rng)
    c = math.exp(rng.normal(0, 0.5))
    return (alpha, beta, c), (m, phi, c)


@pytest.mark.parametrize(
    ("posterior", "draw_truth", "n_worlds", "lines"),
    [(sbg_posterior, draw_sbg, 500, 41), (bdw_posterior, draw_bdw, 80, 31)],
    ids=["sbg", "bdw"],
)
def test_posteriors_are_calibrated(posterior, draw_truth, n_worlds, lines):
    """Simulation-based calibration (Talts et al. 2018): ranks of the truth are uniform.

    A chi-square test per parameter at 1 in 5,000; five of them: one false alarm in 1,000 runs.
    """
    ranks = ranks_of_truth(posterior, draw_truth, n_worlds, lines, np.random.default_rng(3))
    for column in ranks.T:
        counts = np.bincount(column * RANK_BINS // (N_RANKED + 1), minlength=RANK_BINS)
        assert chisquare(counts).pvalue > 0.0002, counts


def test_calibration_finds_a_posterior_that_is_too_sure():
    """Negative control: data counted four times over give ranks at the ends."""

    def sure(counts, **options):
        return sbg_posterior(4 * np.array(counts), **options)

    ranks = ranks_of_truth(sure, draw_sbg, 200, 41, np.random.default_rng(4))
    counts = np.bincount(ranks[:, 0] * RANK_BINS // (N_RANKED + 1), minlength=RANK_BINS)
    assert chisquare(counts).pvalue < 0.0002


# Errors -------------------------------------------------------------------------------------------


def test_all_problems_of_cohorts_at_once():
    with pytest.raises(DataError) as caught:
        fit_sbg([[100, 110], [5], [100, -1], [0, 0]])
    for words in ("cohort 0 must not rise", "cohort 1 needs", "cohort 2 must", "cohort 3 must"):
        assert words in str(caught.value)


def test_numbers_are_checked():
    with pytest.raises(SpecError, match="ShiftedBetaGeometric: 2 problems"):
        ShiftedBetaGeometric(0, math.nan)
    with pytest.raises(SpecError, match="whole numbers of at least 0"):
        SBG[0].survival([0.5])
    with pytest.raises(SpecError, match="whole numbers of at least 1"):
        SBG[0].retention_rate(0)
    with pytest.raises(SpecError, match="2 problems"):
        SBG[0].discounted_lifetime(0, renewals=-1)
    with pytest.raises(SpecError, match="use a larger one"):
        BDW[0].discounted_lifetime(1e-9)
    with pytest.raises(
        SpecError,
        match=r"`lines` .* whole number of at least 11",
    ):
        sbg_posterior(HIGH_END, seed=1, lines=3)
