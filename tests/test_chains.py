import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab import chains
from crmlab.errors import DataError, SpecError
from crmlab.stages import (
    K10,
    KNAPP,
    KNAPP_TO_LIFECYCLE,
    KNAPP_TO_MERGED,
    KNAPP_TO_SIX_STAGE,
)
from tests.oracles import chains as oracle
from tests.oracles import paths as listed

INITIATING, BONDING, TERMINATING = (
    KNAPP.index(n) for n in ("initiating", "bonding", "terminating")
)
EARTHQUAKES = Path(__file__).parents[1] / "datasets" / "earthquakes" / "earthquakes.csv"

# Two closed sets, {1} and {2, 3}, and one transient stage.
TWO_ENDS = np.array(
    [[0.5, 0.2, 0.3, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.2, 0.8], [0.0, 0.0, 0.4, 0.6]]
)


def assert_prints_as(values, printed):
    """Each value equals the printed number to half a unit in its last digit."""
    values, printed = np.ravel(values), np.ravel(printed)
    assert len(values) == len(printed)
    for value, text in zip(values, printed, strict=True):
        half_a_unit = 0.5 * 10.0 ** -len(text.partition(".")[2])
        assert abs(value - float(text)) <= half_a_unit * (1 + 1e-9), f"{value} is not {text}"


def floats(rows):
    return np.array([[float(p) for p in row] for row in rows])


# --- K10, the invented teaching matrix ---------------------------------------------------------


def test_k10_time_to_the_end():
    assert_prints_as(chains.absorption_time(K10)[INITIATING], oracle.K10_MEAN_QUARTERS)
    assert_prints_as(
        chains.first_passage_time(K10, TERMINATING)[INITIATING], oracle.K10_MEAN_QUARTERS
    )
    assert chains.absorption_quantile(K10)[INITIATING] == oracle.K10_MEDIAN_QUARTERS


def test_k10_ever_bonded():
    assert_prints_as(chains.passage_prob(K10, BONDING)[INITIATING], oracle.K10_EVER_BONDED)
    without_repair = chains.block_moves(K10, KNAPP.kinds == "repair")
    assert_prints_as(
        chains.passage_prob(without_repair, BONDING)[INITIATING],
        oracle.K10_EVER_BONDED_WITHOUT_REPAIR,
    )


def test_k10_straight_path_to_bonding():
    straight = [0, 1, 2, 3, 4]
    assert_prints_as(chains.path_prob(K10, straight), oracle.K10_FOUR_STEPS_TO_BONDING)
    assert_prints_as(chains.eventual_path_prob(K10, straight), oracle.K10_STRAIGHT_TO_BONDING)


def test_k10_survival():
    alive = chains.survival(K10, TERMINATING, start=INITIATING, n_periods=20)
    assert_prints_as(alive[[4, 20]], [oracle.K10_ALIVE_1_YEAR, oracle.K10_ALIVE_5_YEARS])


def test_k10_quarters_in_bonding():
    assert_prints_as(chains.occupancy(K10, INITIATING)[BONDING], oracle.K10_QUARTERS_IN_BONDING)
    assert_prints_as(
        chains.fundamental_matrix(K10)[INITIATING, BONDING], oracle.K10_QUARTERS_IN_BONDING
    )
    assert_prints_as(chains.sojourn_time(K10)[BONDING], oracle.K10_BONDING_VISIT)


def test_k10_lumpability_gaps():
    pairs = {
        "lifecycle": KNAPP_TO_LIFECYCLE.labels,
        "merged": KNAPP_TO_MERGED.labels,
        "CIR+STA": [0, 1, 2, 3, 4, 5, 6, 6, 8, 9],
        "AVO+TER": [0, 1, 2, 3, 4, 5, 6, 7, 8, 8],
    }
    for name, blocks in pairs.items():
        assert_prints_as(chains.lumpability_gap(K10, blocks), oracle.K10_GAPS[name])


def test_k10_the_lifecycle_fails_in_dissolution():
    rows = chains.block_probs(K10, KNAPP_TO_LIFECYCLE.labels)
    assert_prints_as(np.ptp(rows[5:], axis=0).max(), oracle.K10_GAPS["lifecycle"])
    assert np.ptp(rows[2:4], axis=0).max() < float(oracle.K10_GAPS["lifecycle"])


@pytest.mark.parametrize("labels", [KNAPP_TO_LIFECYCLE.labels, KNAPP_TO_SIX_STAGE.labels])
def test_k10_gaps_by_listing_pairs(labels):
    expected = oracle.lumpability_gap(oracle.K10, labels)
    assert chains.lumpability_gap(K10, labels) == pytest.approx(float(expected), abs=1e-12)


def test_k10_in_exact_fractions():
    exact = oracle.passage_probs(oracle.K10, BONDING, ends=[TERMINATING])
    np.testing.assert_allclose(
        chains.passage_prob(K10, BONDING), [float(p) for p in exact], rtol=1e-12
    )
    for start in range(9):
        visits = oracle.expected_visits(oracle.K10, start, ends=[TERMINATING])
        row = chains.occupancy(K10, start)
        np.testing.assert_allclose(row[:9], [float(visits[j]) for j in range(9)], rtol=1e-12)
        assert row[TERMINATING] == np.inf
        assert chains.absorption_time(K10)[start] == pytest.approx(float(sum(visits.values())))
        curve = oracle.survival(oracle.K10, TERMINATING, start, 30)
        alive = chains.survival(K10, TERMINATING, start=start, n_periods=30)
        np.testing.assert_allclose(alive, [float(p) for p in curve], rtol=1e-12)
        median = next(n for n, p in enumerate(curve) if p <= 0.5)
        assert chains.absorption_quantile(K10)[start] == median


def test_k10_against_simulated_customers():
    lifetimes = oracle.simulate_lifetimes(oracle.K10, INITIATING, TERMINATING, 4_000, seed=1)
    error = np.std(lifetimes) / math.sqrt(len(lifetimes))
    assert abs(np.mean(lifetimes) - chains.absorption_time(K10)[INITIATING]) < 4 * error
    alive = chains.survival(K10, TERMINATING, start=INITIATING, n_periods=12)[12]
    share = np.mean(np.array(lifetimes) > 12)
    assert abs(share - alive) < 4 * math.sqrt(alive * (1 - alive) / len(lifetimes))


# --- the long run ------------------------------------------------------------------------------


def test_n_step_multiplies():
    np.testing.assert_allclose(chains.n_step(K10, 3), K10 @ K10 @ K10, rtol=1e-13, atol=1e-17)
    np.testing.assert_array_equal(chains.n_step(K10, 0), np.eye(10))


def test_stationary_of_the_chain_worked_by_hand():
    shares = chains.stationary_distribution(oracle.HAND_MATRIX)
    assert_prints_as(shares, oracle.HAND_STATIONARY)
    np.testing.assert_allclose(shares, oracle.stationary(oracle.HAND_MATRIX), atol=1e-12)


def test_stationary_is_zero_in_transient_stages():
    P = [[0.5, 0.5, 0.0], [0.0, 0.25, 0.75], [0.0, 0.5, 0.5]]
    np.testing.assert_allclose(chains.stationary_distribution(P), [0, 0.4, 0.6], rtol=1e-14)
    np.testing.assert_array_equal(chains.stationary_distribution(K10), np.eye(10)[TERMINATING])


def test_stationary_of_a_periodic_chain():
    P = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    np.testing.assert_allclose(chains.stationary_distribution(P), [1 / 3] * 3, rtol=1e-14)


def test_stationary_keeps_tiny_probabilities_accurate():
    # A birth-death chain has pi[k + 1] / pi[k] = up / down exactly; here down to 1e-60.
    up, down, n = 1e-10, 0.5, 7
    P = np.diag([up] * (n - 1), 1) + np.diag([down] * (n - 1), -1)
    P += np.diag(1 - P.sum(axis=1))
    shares = chains.stationary_distribution(P)
    np.testing.assert_allclose(shares[1:] / shares[:-1], up / down, rtol=1e-12)


def test_stationary_refuses_two_closed_sets():
    with pytest.raises(SpecError, match=r"depends on the start.*\[1\], \[2, 3\]"):
        chains.stationary_distribution(TWO_ENDS)


def test_jump_chain_is_the_chain_seen_at_its_moves():
    jumps = chains.jump_chain(K10)
    np.testing.assert_allclose(jumps.sum(axis=1), 1)
    assert np.diag(jumps)[:9].tolist() == [0.0] * 9
    assert jumps[TERMINATING, TERMINATING] == 1
    assert jumps[BONDING, 5] == pytest.approx(0.5)  # .07 of the .14 that leave


def test_sojourn_time_of_an_absorbing_stage():
    assert chains.sojourn_time(K10)[TERMINATING] == np.inf


# --- the way to the end ------------------------------------------------------------------------


def test_two_ends_in_one_chain():
    np.testing.assert_array_equal(chains.transient_stages(TWO_ENDS), [0])
    np.testing.assert_allclose(chains.fundamental_matrix(TWO_ENDS), [[2.0]])
    np.testing.assert_allclose(chains.absorption_time(TWO_ENDS), [2, 0, 0, 0])
    np.testing.assert_allclose(chains.passage_prob(TWO_ENDS, 1), [0.4, 1, 0, 0])
    np.testing.assert_allclose(chains.passage_prob(TWO_ENDS, 3), [0.6, 0, 1, 1])
    np.testing.assert_allclose(chains.passage_prob(TWO_ENDS, [1, 3]), [1, 1, 1, 1])


def test_first_passage_time_is_infinite_where_the_target_may_be_missed():
    # From 2 to 3 takes 1 / 0.8 periods; from 0 the chain may end in 1 instead.
    np.testing.assert_allclose(
        chains.first_passage_time(TWO_ENDS, 3), [np.inf, np.inf, 1.25, 0], rtol=1e-14
    )
    # 2 periods until 0 is left, and 3 more in 0.6 of the cases ... but {1, 2} takes just the 2.
    np.testing.assert_allclose(chains.first_passage_time(TWO_ENDS, [1, 2]), [2, 0, 0, 2.5])


def test_passage_through_a_recurrent_target():
    P = np.array(oracle.HAND_MATRIX)
    np.testing.assert_allclose(chains.passage_prob(P, 2), [1, 1, 1], rtol=1e-14)
    times = chains.first_passage_time(P, 2)
    np.testing.assert_allclose(times[:2], 1 + P[:2, :2] @ times[:2], rtol=1e-13)
    # Kac: the mean return time is the inverse of the stationary share.
    assert 1 + P[2] @ times == pytest.approx(1 / chains.stationary_distribution(P)[2])


def test_first_passage_quantiles():
    coin = [[0.5, 0.5], [0.0, 1.0]]
    assert chains.first_passage_quantile(coin, 1)[0] == 1
    assert chains.first_passage_quantile(coin, 1, prob=0.75)[0] == 2
    assert chains.first_passage_quantile(coin, 1, prob=0.76)[0] == 3
    slow = [[1 - 1e-6, 1e-6], [0.0, 1.0]]
    expected = math.ceil(math.log(0.1) / math.log1p(-1e-6))
    assert chains.first_passage_quantile(slow, 1, prob=0.9)[0] == expected


def test_a_quantile_that_is_never_reached_is_infinite():
    assert chains.first_passage_quantile(TWO_ENDS, 1, prob=0.3).tolist() == [2, 0, np.inf, np.inf]
    assert chains.first_passage_quantile(TWO_ENDS, 1, prob=0.5).tolist() == [
        np.inf,
        0,
        np.inf,
        np.inf,
    ]


def test_survival_counts_the_first_arrival_only():
    P = [[0.5, 0.5], [1.0, 0.0]]
    np.testing.assert_allclose(chains.survival(P, 1, start=[1.0, 0.0], n_periods=2), [1, 0.5, 0.25])
    np.testing.assert_allclose(chains.survival(P, 1, start=[0.2, 0.8], n_periods=1), [0.2, 0.1])


def test_occupancy_of_a_horizon_adds_up():
    start = [0.5, 0.5] + [0.0] * 8
    periods = chains.occupancy(K10, start, n_periods=7)
    expected = sum(start @ chains.n_step(K10, t) for t in range(7))
    np.testing.assert_allclose(periods, expected, rtol=1e-12, atol=1e-16)
    assert periods.sum() == pytest.approx(7)
    np.testing.assert_array_equal(chains.occupancy(K10, 0, n_periods=0), np.zeros(10))


def test_occupancy_for_ever_is_zero_where_nobody_comes():
    assert chains.occupancy(TWO_ENDS, 1).tolist() == [0, np.inf, 0, 0]
    assert chains.occupancy(TWO_ENDS, 0).tolist() == [2, np.inf, np.inf, np.inf]


def test_path_prob_with_and_without_a_start():
    assert chains.path_prob(K10, [4]) == 1.0
    assert chains.path_prob(K10, [4], initial_probs=np.full(10, 0.1)) == pytest.approx(0.1)
    assert chains.path_prob(K10, [0, 4]) == 0.0


def test_eventual_path_prob_refuses_stays():
    with pytest.raises(SpecError, match="must not repeat a stage"):
        chains.eventual_path_prob(K10, [0, 0, 1])


def test_block_moves_leaves_the_blocked_where_they_are():
    blocked = KNAPP.kinds == "repair"
    without = chains.block_moves(K10, blocked)
    assert (without[blocked] == 0).all()
    np.testing.assert_allclose(np.diag(without) - np.diag(K10), (K10 * blocked).sum(axis=1))
    elsewhere = ~blocked & ~np.eye(10, dtype=bool)
    np.testing.assert_array_equal(without[elsewhere], K10[elsewhere])


@pytest.mark.parametrize(
    ("blocked", "part"),
    [
        (np.zeros((2, 2), dtype=bool), "of shape (10, 10)"),
        (np.zeros((10, 10)), "float64"),
        (np.eye(10, dtype=bool), "can always stay"),
    ],
)
def test_block_moves_refuses(blocked, part):
    with pytest.raises(SpecError) as caught:
        chains.block_moves(K10, blocked)
    assert part in str(caught.value)


# --- coarser stages ----------------------------------------------------------------------------

# Stages 1 and 2 move to the blocks {0}, {1, 2}, {3} alike, though not to stages alike.
LUMPABLE = np.array(
    [[0.6, 0.3, 0.1, 0.0], [0.2, 0.5, 0.1, 0.2], [0.2, 0.0, 0.6, 0.2], [0.0, 0.2, 0.2, 0.6]]
)
BLOCKS = ["up", "middle", "middle", "down"]


def test_a_lumpable_chain_has_no_gap_and_one_coarse_matrix():
    coarse = [[0.6, 0.4, 0.0], [0.2, 0.6, 0.2], [0.0, 0.4, 0.6]]
    assert chains.lumpability_gap(LUMPABLE, BLOCKS) == pytest.approx(0, abs=1e-15)
    for weights in (None, [1, 5, 2, 3], [1, 0, 2, 3]):
        np.testing.assert_allclose(
            chains.lump(LUMPABLE, BLOCKS, weights=weights), coarse, atol=1e-15
        )


def test_lumping_commutes_with_time_only_if_lumpable():
    def coarse(P):
        return chains.lump(P, BLOCKS)

    np.testing.assert_allclose(
        coarse(chains.n_step(LUMPABLE, 2)), chains.n_step(coarse(LUMPABLE), 2)
    )
    other = LUMPABLE.copy()
    other[1] = [0.5, 0.2, 0.1, 0.2]
    assert chains.lumpability_gap(other, BLOCKS) == pytest.approx(0.3)
    difference = coarse(chains.n_step(other, 2)) - chains.n_step(coarse(other), 2)
    assert np.abs(difference).max() > 0.01


def test_weights_decide_where_the_chain_is_not_lumpable():
    P = [[0.5, 0.3, 0.2], [0.0, 0.6, 0.4], [0.1, 0.0, 0.9]]
    lumped = chains.lump(P, ["new", "old", "old"], weights=[1, 3, 1])
    np.testing.assert_allclose(lumped, [[0.5, 0.5], [0.025, 0.975]])


@pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1, 1], [1, np.nan, 1, 1], [0, 1, 1, 1]])
def test_lump_refuses_weights(weights):
    with pytest.raises(SpecError, match="weights must be"):
        chains.lump(LUMPABLE, BLOCKS, weights=weights)


def test_blocks_need_one_label_per_stage():
    with pytest.raises(SpecError, match=r"one block per stage \(10\), got 4"):
        chains.lumpability_gap(K10, BLOCKS)


# --- counts and tests --------------------------------------------------------------------------


def simulate(P, n_customers, n_periods, rng):
    """Walk through a chain from a uniform start."""
    cumulative = np.cumsum(P, axis=1)
    paths = np.empty((n_customers, n_periods), dtype=int)
    paths[:, 0] = rng.integers(len(P), size=n_customers)
    for t in range(1, n_periods):
        u = rng.random((n_customers, 1))
        paths[:, t] = (cumulative[paths[:, t - 1]] < u).sum(axis=1)
    return paths


@settings(derandomize=True, database=None, deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(-1, 2), min_size=5, max_size=5), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_transition_counts_are_counted_one_by_one(paths, order):
    counts = chains.transition_counts(paths, 3, order=order)
    expected = np.zeros((3,) * (order + 1), dtype=int)
    for run, n in oracle.count_runs(paths, order + 1).items():
        expected[run] = n
    np.testing.assert_array_equal(counts, expected)


def test_paths_that_are_too_short_count_nothing():
    assert chains.transition_counts([[0], [1]], 2).sum() == 0


@pytest.mark.parametrize("order", [0, 1, 2])
def test_order_statistic_term_by_term(order):
    rng = np.random.default_rng(3)
    paths = rng.integers(-1, 3, size=(100, 12))
    test = chains.order_test(paths, 3, order=order)
    assert test.statistic == pytest.approx(oracle.order_statistic(paths, order), rel=1e-10)
    assert test.df == (3 - 1) ** 2 * 3**order


def test_structural_zeros_cost_no_degree_of_freedom():
    # 0 <-> 1 <-> 2 with 0 -> 2 impossible. By middle stage, (ways in - 1) x (ways out - 1):
    # 0: ways in 0, 1, 2, out 0, 1 -> 2; 1: 3 in, 3 out -> 4; 2: in 1, 2, out 0, 1, 2 -> 2.
    P = np.array([[0.6, 0.4, 0.0], [0.3, 0.4, 0.3], [0.2, 0.3, 0.5]])
    paths = simulate(P, 50, 40, np.random.default_rng(1))
    assert chains.order_test(paths, 3).df == 2 + 4 + 2


def test_k10_order_test_has_the_degrees_of_freedom_of_its_moves():
    paths = simulate(K10, 60_000, 30, np.random.default_rng(2))
    possible = K10 > 0
    expected = sum((possible[:, i].sum() - 1) * (possible[i].sum() - 1) for i in range(len(K10)))
    assert chains.order_test(paths, 10).df == expected


def rejections(test, n_replicates, seed):
    rng = np.random.default_rng(seed)
    results = [test(rng) for _ in range(n_replicates)]
    return (
        np.array([r.statistic for r in results]),
        np.array([r.p_value for r in results]),
        results[0].df,
    )


def assert_chi_square(statistics, p_values, df):
    """Mean and 5% level of a chi-square, each within 4 standard errors of its theory."""
    n = len(statistics)
    assert abs(statistics.mean() - df) < 4 * math.sqrt(2 * df / n)
    assert abs((p_values < 0.05).mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / n)


def test_the_order_test_keeps_its_size():
    P = np.array([[0.6, 0.4, 0.0], [0.3, 0.4, 0.3], [0.2, 0.3, 0.5]])

    def one(rng):
        return chains.order_test(simulate(P, 100, 40, rng), 3)

    statistics, p_values, df = rejections(one, 300, seed=4)
    assert df == 8
    assert_chi_square(statistics, p_values, df)


def test_the_order_test_finds_a_memory_of_two_periods():
    rng = np.random.default_rng(5)
    paths = np.zeros((200, 30), dtype=int)
    paths[:, :2] = rng.integers(2, size=(200, 2))
    for t in range(2, 30):
        # Whoever has just moved up moves down again more often: a scar.
        stay = np.where(paths[:, t - 2] == paths[:, t - 1], 0.8, 0.6)
        paths[:, t] = np.where(rng.random(200) < stay, paths[:, t - 1], 1 - paths[:, t - 1])
    assert chains.order_test(paths, 2).p_value < 1e-6
    assert chains.order_test(paths, 2, order=2).p_value > 0.001


def test_the_lumpability_test_keeps_its_size():
    def one(rng):
        counts = chains.transition_counts(simulate(LUMPABLE, 100, 40, rng), 4)
        return chains.lumpability_test(counts, BLOCKS)

    statistics, p_values, df = rejections(one, 300, seed=6)
    assert df == (2 - 1) * (3 - 1)
    assert_chi_square(statistics, p_values, df)


def test_lumpability_degrees_of_freedom_without_structural_zeros():
    P = np.array([[0.6, 0.4, 0.0], [0.0, 0.5, 0.5], [0.0, 0.7, 0.3]])
    counts = chains.transition_counts(simulate(P, 50, 20, np.random.default_rng(7)), 3)
    # Stages 1 and 2 can never reach the block of stage 0: nothing is left to compare.
    test = chains.lumpability_test(counts, [0, 1, 1])
    assert (test.statistic, test.df, test.p_value) == (pytest.approx(0, abs=1e-9), 0, 1.0)


def test_k10_is_found_not_lumpable():
    counts = chains.transition_counts(simulate(K10, 2_000, 20, np.random.default_rng(8)), 10)
    test = chains.lumpability_test(counts, KNAPP_TO_LIFECYCLE.labels)
    # Expansion (2 stages) reaches 4 blocks, dissolution (5 stages) all 5.
    assert test.df == 1 * 3 + 4 * 4
    assert test.p_value < 1e-6


def test_homogeneity_keeps_its_size():
    P = np.array([[0.7, 0.3], [0.2, 0.8]])

    def one(rng):
        groups = [chains.transition_counts(simulate(P, n, 30, rng), 2) for n in (40, 60, 80)]
        return chains.homogeneity_test(groups)

    statistics, p_values, df = rejections(one, 300, seed=9)
    assert df == (3 - 1) * 2 * (2 - 1)
    assert_chi_square(statistics, p_values, df)


def test_p_values_are_those_of_scipy():
    from scipy.stats import chi2, chi2_contingency

    table = np.array([[12, 5, 9], [7, 11, 3]])
    # One origin is moved out of by two groups: a single 2 x 3 table.
    counts = np.zeros((2, 3, 3))
    counts[:, 0] = table
    test = chains.homogeneity_test(counts)
    expected = chi2_contingency(table, correction=False, lambda_="log-likelihood")
    assert test.statistic == pytest.approx(expected.statistic)
    assert (test.df, test.p_value) == (2, pytest.approx(expected.pvalue))
    assert test.p_value == pytest.approx(chi2.sf(test.statistic, 2))


# --- Dirichlet rows ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "means"),
    [(oracle.ROW_COUNTS, oracle.ROW_MEANS), (oracle.CAV_COUNTS, oracle.CAV_MEANS)],
    ids=("course", "cav"),
)
def test_published_posterior_means(counts, means):
    assert_prints_as(chains.dirichlet_mean(chains.dirichlet_posterior(counts, prior=1)), means)


def test_an_impossible_move_stays_impossible():
    prior = [[1.0, 1.0, 0.0], [0.5, 0.5, 0.5]]
    posterior = chains.dirichlet_posterior([[3, 1, 0], [0, 0, 4]], prior)
    np.testing.assert_allclose(posterior, [[4, 2, 0], [0.5, 0.5, 4.5]])
    assert chains.dirichlet_mean(posterior)[0, 2] == 0


def test_counting_an_impossible_move_is_refused_cell_by_cell():
    with pytest.raises(DataError) as caught:
        chains.dirichlet_posterior([[3, 1], [2, 4]], [[1, 0], [0, 1]])
    assert "cell (0, 1) counts 1 moves" in str(caught.value)
    assert "cell (1, 0) counts 2 moves" in str(caught.value)


@pytest.mark.parametrize(
    ("counts", "prior"),
    [
        ([[45, 35, 0, 20]], [[1, 1, 1, 1]]),
        ([[3, 1], [0, 5]], [[0.5, 2.5], [1.5, 0.25]]),
        ([[0, 0], [7, 2]], [[1, 1], [3, 1]]),
    ],
)
def test_log_marginal_equals_the_urn_and_the_closed_form(counts, prior):
    value = chains.dirichlet_log_marginal(counts, prior)
    assert value == pytest.approx(oracle.urn_log_marginal(counts, prior), rel=1e-11)
    assert value == pytest.approx(oracle.gamma_log_marginal(counts, prior), rel=1e-11)


def test_log_marginal_equals_numerical_integration():
    counts, prior = [[9, 4], [2, 6]], [[1.5, 2.0], [1.0, 3.0]]
    value = chains.dirichlet_log_marginal(counts, prior)
    assert value == pytest.approx(oracle.integrated_log_marginal(counts, prior), rel=1e-9)


def test_log_marginal_with_structural_zeros():
    narrow = chains.dirichlet_log_marginal([[3, 1, 0]], [[1, 1, 0]])
    assert narrow == pytest.approx(chains.dirichlet_log_marginal([[3, 1]], [[1, 1]]))
    assert chains.dirichlet_log_marginal([[3, 1, 2]], [[1, 1, 0]]) == -math.inf
    assert chains.dirichlet_log_marginal([[0, 0], [0, 2]], [[0, 0], [0, 1]]) == 0.0


def test_order_log_marginals_by_urns():
    path = [0, 0, 1, 1, 0, 0, 1, 1, 0, 1]
    # The eight stages from the third on, 1 1 0 0 1 1 0 1, by what is remembered of the past.
    by_memory = [
        [[3, 5]],  # nothing
        [[1, 3], [2, 2]],  # after 0, after 1
        [[0, 2], [0, 2], [1, 1], [2, 0]],  # after 00, 01, 10, 11
    ]
    expected = [oracle.urn_log_marginal(rows, [[1, 1]] * len(rows)) for rows in by_memory]
    np.testing.assert_allclose(chains.order_log_marginals([path], 2), expected, rtol=1e-11)


def test_order_log_marginals_find_the_order():
    rng = np.random.default_rng(10)
    independent = rng.integers(2, size=(30, 30))
    first = simulate(np.array([[0.8, 0.2], [0.3, 0.7]]), 30, 30, rng)
    second = np.tile([0, 0, 1, 1], (30, 7))
    best = [chains.order_log_marginals(paths, 2).argmax() for paths in (independent, first, second)]
    assert best == [0, 1, 2]


def test_order_log_marginals_take_a_prior_by_last_stage():
    paths = [[0, 1, 1, 0, 0, 1], [1, 1, 1, 0, 1, 1]]
    prior = np.array([[2.0, 1.0], [0.5, 3.0]])
    counts = chains.transition_counts(np.array(paths)[:, 1:], 2)
    logs = chains.order_log_marginals(paths, 2, prior=prior)
    assert logs[1] == pytest.approx(oracle.gamma_log_marginal(counts, prior), rel=1e-12)
    totals = counts.sum(axis=0, keepdims=True)
    assert logs[0] == pytest.approx(
        oracle.gamma_log_marginal(totals, [prior.mean(axis=0)]), rel=1e-12
    )


def test_pooling_bayes_factor_by_urns():
    segments = [[[8, 2], [3, 7]], [[9, 1], [2, 8]]]
    prior = [[1, 1], [2, 1]]
    pooled = [[17, 3], [5, 15]]
    expected = oracle.urn_log_marginal(pooled, prior) - sum(
        oracle.urn_log_marginal(segment, prior) for segment in segments
    )
    assert chains.log_bayes_factor_pooling(segments, prior) == pytest.approx(expected, rel=1e-10)


# --- hidden stages: published answers ----------------------------------------------------------


def hand_evidence():
    probs, seen = np.array(oracle.HAND_PROBS), np.array(oracle.HAND_SEEN)
    return np.log(np.where(seen[:, None] == 1, probs, 1 - probs))[None]


def test_the_chain_worked_by_hand():
    result = chains.forward(oracle.HAND_INITIAL, oracle.HAND_MATRIX, hand_evidence())
    assert_prints_as(result.filtered[0, -1], oracle.HAND_FILTERED)
    assert_prints_as(result.loglik, oracle.HAND_LOGLIK)
    ahead = result.filtered[0, -1] @ np.array(oracle.HAND_MATRIX)
    assert_prints_as(ahead @ oracle.HAND_PROBS, oracle.HAND_NEXT)


def test_an_empty_period_at_the_end_predicts_the_next():
    longer = np.concatenate([hand_evidence(), np.zeros((1, 1, 3))], axis=1)
    result = chains.forward(oracle.HAND_INITIAL, oracle.HAND_MATRIX, longer)
    assert_prints_as(result.predicted[0, -1] @ oracle.HAND_PROBS, oracle.HAND_NEXT)
    assert_prints_as(result.loglik, oracle.HAND_LOGLIK)


def test_umbrella_world():
    evidence = np.log([[oracle.UMBRELLA_GIVEN_RAIN] * 2])
    arguments = ([0.5, 0.5], oracle.UMBRELLA_MATRIX, evidence)
    assert_prints_as(chains.forward(*arguments).filtered[0, :, 0], oracle.UMBRELLA_FILTERED)
    assert_prints_as(chains.smooth(*arguments)[0, 0, 0], oracle.UMBRELLA_SMOOTHED)


def test_healthy_or_fever():
    evidence = np.log([[oracle.FEVER_FEELING[feeling] for feeling in oracle.FEVER_SEEN]])
    arguments = (oracle.FEVER_INITIAL, oracle.FEVER_MATRIX)
    assert tuple(chains.viterbi(*arguments, evidence)[0]) == oracle.FEVER_PATH
    for t, best in enumerate(oracle.FEVER_BEST):
        for stage, printed in enumerate(best):
            ending = evidence[:, : t + 1].copy()
            ending[0, t, 1 - stage] = -np.inf
            path = chains.viterbi(*arguments, ending)[0]
            prob = chains.path_prob(arguments[1], path, initial_probs=arguments[0])
            assert_prints_as(prob * np.exp(ending[0, range(t + 1), path].sum()), printed)


class PoissonStages:
    """Maximum likelihood of a Poisson hidden Markov model with a stationary start."""

    def __init__(self, counts, n_stages):
        self.counts, self.n_stages = np.asarray(counts), n_stages

    def unpack(self, parameters):
        """Rates (M, K) and matrices (M, K, K) of M parameter vectors."""
        k = self.n_stages
        logits = np.zeros((len(parameters), k, k))
        logits[:, ~np.eye(k, dtype=bool)] = parameters[:, k:]
        weights = np.exp(logits)
        return np.exp(parameters[:, :k]), weights / weights.sum(axis=2, keepdims=True)

    def loglik(self, parameters):
        from scipy.special import gammaln

        rates, matrices = self.unpack(parameters)
        starts = np.stack([chains.stationary_distribution(P) for P in matrices])
        y = self.counts[:, None]
        evidence = y * np.log(rates)[:, None] - rates[:, None] - gammaln(y + 1)
        return chains.forward(starts, matrices[:, None], evidence).loglik

    def loss(self, parameters):
        """Negative log-likelihood and its gradient by central differences, in one call."""
        step = 1e-5 * np.eye(len(parameters))
        values = -self.loglik(
            np.concatenate([parameters[None], parameters + step, parameters - step])
        )
        up, down = np.split(values[1:], 2)
        return values[0], (up - down) / 2e-5

    def climb(self, rates):
        """Log-likelihood, rates and matrix of the maximum uphill from these rates."""
        from scipy.optimize import minimize

        k = self.n_stages
        start = np.concatenate([np.log(rates), np.full(k * (k - 1), -2.0)])
        best = minimize(self.loss, start, jac=True, method="BFGS", options={"gtol": 1e-4})
        (rates,), (matrix,) = self.unpack(best.x[None])
        order = rates.argsort()
        return -best.fun, rates[order], matrix[np.ix_(order, order)]


# With four stages the likelihood has several maxima, so each start is tried with its neighbours.
EARTHQUAKE_STARTS = [(20,), (15, 25), (10, 20, 30), (10, 14, 20, 30)]


@pytest.mark.parametrize("start", EARTHQUAKE_STARTS, ids=len)
def test_earthquakes(start):
    counts, n_stages = pd.read_csv(EARTHQUAKES)["count"], len(start)
    assert (len(counts), counts.sum()) == (107, 2072)
    model = PoissonStages(counts, n_stages)
    climbs = [model.climb(scale * np.array(start)) for scale in (0.98, 1.0, 1.02)]
    loglik, rates, matrix = max(climbs, key=lambda climb: climb[0])
    assert_prints_as(loglik, oracle.EARTHQUAKE_LOGLIK[n_stages])
    if n_stages in oracle.EARTHQUAKE_RATES:
        assert_prints_as(rates, oracle.EARTHQUAKE_RATES[n_stages])
        assert_prints_as(matrix, oracle.EARTHQUAKE_MATRIX[n_stages])
    if n_stages in oracle.EARTHQUAKE_START:
        assert_prints_as(chains.stationary_distribution(matrix), oracle.EARTHQUAKE_START[n_stages])


# --- hidden stages: every path listed ----------------------------------------------------------


def random_rows(rng, shape, zeros):
    """Rows of probabilities, some of them with structural zeros."""
    rows = rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])
    kept = rng.random(rows.shape) >= zeros
    kept[..., 0] |= ~kept.any(axis=-1)
    return np.where(kept, rows, 0) / np.where(kept, rows, 0).sum(axis=-1, keepdims=True)


@st.composite
def hidden_cases(draw):
    """Small problems: missing cells, impossible cells, ragged windows, any form of P."""
    n, t, k = (draw(st.sampled_from(sizes)) for sizes in ([3, 4, 1], [4, 5, 2, 1], [3, 2, 1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    zeros, scale = (
        draw(st.sampled_from([0.0, 0.3, 0.6])),
        draw(st.sampled_from([2000.0, 1.0, 30.0])),
    )
    form = draw(st.sampled_from([(n, t - 1, k, k), (n, 1, k, k), (1, t - 1, k, k), (k, k)]))
    logs = scale * rng.normal(size=(n, t, k))
    logs[rng.random((n, t, k)) < zeros / 3] = -np.inf
    logs[rng.random((n, t)) < draw(st.sampled_from([0.0, 0.4]))] = 0.0
    first = rng.integers(0, t, size=n)
    last = rng.integers(first, t)
    initial = random_rows(rng, draw(st.sampled_from([(k,), (n, k)])), zeros)
    return initial, random_rows(rng, form, zeros), logs, first, last


def customers_of(case):
    """Each customer's own problem, cut to the window, as the oracle wants it."""
    initial, P, logs, first, last = case
    n, t, k = logs.shape
    matrices = np.broadcast_to(P, (n, t - 1, k, k))
    for i in range(n):
        window = slice(first[i], last[i] + 1)
        own = initial[i] if initial.ndim == 2 else initial
        steps = matrices[i, first[i] : last[i]].tolist()
        yield i, window, (own.tolist(), steps, logs[i, window].tolist())


thorough = settings(derandomize=True, database=None, deadline=None, max_examples=150)


@thorough
@given(hidden_cases())
def test_forward_equals_enumeration(case):
    result = chains.forward(*case)
    outside = np.ones(case[2].shape[:2], dtype=bool)
    for i, window, problem in customers_of(case):
        outside[i, window] = False
        assert result.loglik[i] == pytest.approx(listed.loglik(*problem), rel=1e-12, abs=1e-10)
        np.testing.assert_allclose(
            result.filtered[i, window], listed.filtered(*problem), rtol=0, atol=1e-10
        )
        np.testing.assert_allclose(
            result.predicted[i, window], listed.predicted(*problem), rtol=0, atol=1e-10
        )
    assert np.isnan(result.filtered[outside]).all()
    assert np.isnan(result.predicted[outside]).all()


@thorough
@given(hidden_cases())
def test_smooth_equals_enumeration(case):
    smoothed = chains.smooth(*case)
    outside = np.ones(case[2].shape[:2], dtype=bool)
    for i, window, problem in customers_of(case):
        outside[i, window] = False
        np.testing.assert_allclose(
            smoothed[i, window], listed.smoothed(*problem), rtol=0, atol=1e-10
        )
    assert np.isnan(smoothed[outside]).all()


@thorough
@given(hidden_cases())
def test_viterbi_equals_enumeration(case):
    paths = chains.viterbi(*case)
    outside = np.ones(paths.shape, dtype=bool)
    for i, window, problem in customers_of(case):
        outside[i, window] = False
        best = listed.best_log_joint(*problem)
        if best == -math.inf:
            assert (paths[i] == -1).all()
        else:
            found = listed.log_joint(*problem, paths[i, window])
            assert found == pytest.approx(best, rel=1e-12, abs=1e-10)
    assert (paths[outside] == -1).all()


@thorough
@given(hidden_cases(), st.integers(0, 2**32 - 1))
def test_sampled_paths_are_possible(case, seed):
    paths = chains.sample_paths(np.random.default_rng(seed), *case)
    outside = np.ones(paths.shape, dtype=bool)
    for i, window, problem in customers_of(case):
        outside[i, window] = False
        if listed.loglik(*problem) == -math.inf:
            assert (paths[i] == -1).all()
        else:
            assert listed.log_joint(*problem, paths[i, window]) > -math.inf
    assert (paths[outside] == -1).all()


def test_sampled_paths_follow_their_distribution():
    rng = np.random.default_rng(11)
    initial, P = random_rows(rng, (3,), 0.0), random_rows(rng, (3, 3), 0.3)
    logs, n = rng.normal(size=(1, 4, 3)), 40_000
    probs = listed.path_probs(initial.tolist(), [P.tolist()] * 3, logs[0].tolist())
    crowd = np.broadcast_to(logs, (n, 4, 3))
    paths, counts = np.unique(
        chains.sample_paths(rng, initial, P, crowd), axis=0, return_counts=True
    )
    seen = {tuple(map(int, path)): int(count) for path, count in zip(paths, counts, strict=True)}
    assert set(seen) <= set(probs)
    common = {path: p for path, p in probs.items() if n * p >= 5}
    chi_square = sum((seen.get(path, 0) - n * p) ** 2 / (n * p) for path, p in common.items())
    # Mean len - 1, variance twice that: 5 standard deviations above.
    df = len(common) - 1
    assert chi_square < df + 5 * math.sqrt(2 * df)


class ZeroGenerator:
    """The one unlucky stream in which every uniform is exactly 0."""

    @staticmethod
    def random(shape):
        return np.zeros(shape)


def test_a_uniform_of_zero_never_picks_an_impossible_stage():
    P, initial = [[0.0, 1.0], [0.0, 1.0]], [0.0, 1.0]
    paths = chains.sample_paths(ZeroGenerator(), initial, P, np.zeros((1, 3, 2)))
    assert paths.tolist() == [[1, 1, 1]]


def test_the_same_generator_gives_the_same_paths():
    arguments = (oracle.HAND_INITIAL, oracle.HAND_MATRIX, np.zeros((5, 20, 3)))
    first = chains.sample_paths(np.random.default_rng(1), *arguments)
    np.testing.assert_array_equal(first, chains.sample_paths(np.random.default_rng(1), *arguments))
    assert (first != chains.sample_paths(np.random.default_rng(2), *arguments)).any()


def test_without_evidence_the_recursions_return_the_chain():
    start, nothing = np.eye(10)[INITIATING], np.zeros((2, 9, 10))
    result = chains.forward(start, K10, nothing)
    expected = np.stack([start @ chains.n_step(K10, t) for t in range(9)])
    for probs in (result.filtered, result.predicted, chains.smooth(start, K10, nothing)):
        np.testing.assert_allclose(probs, [expected] * 2, atol=1e-14)
    np.testing.assert_allclose(result.loglik, 0, atol=1e-14)


def test_customers_do_not_touch_each_other():
    rng = np.random.default_rng(12)
    logs = rng.normal(size=(6, 8, 3))
    first, last = np.array([0, 2, 0, 5, 7, 1]), np.array([7, 6, 0, 7, 7, 2])
    whole = chains.forward(oracle.HAND_INITIAL, oracle.HAND_MATRIX, logs, first, last)
    for i in range(6):
        alone = chains.forward(
            oracle.HAND_INITIAL, oracle.HAND_MATRIX, logs[[i]], first[[i]], last[[i]]
        )
        np.testing.assert_array_equal(whole.filtered[i], alone.filtered[0])
        assert whole.loglik[i] == alone.loglik[0]


def test_a_window_is_the_same_as_a_shorter_panel():
    rng = np.random.default_rng(14)
    logs = rng.normal(size=(1, 9, 3))
    # Rows typed to nine decimals: what happens outside the window must not even leak rounding.
    arguments = (
        oracle.HAND_INITIAL,
        [[0.333333333] * 3, [0.2, 0.3, 0.5], [0.111111111] * 2 + [0.777777777]],
    )
    cut, (first, last) = logs[:, 2:6], ([2], [5])
    inner, outer = chains.forward(*arguments, cut), chains.forward(*arguments, logs, first, last)
    np.testing.assert_array_equal(outer.filtered[:, 2:6], inner.filtered)
    np.testing.assert_array_equal(outer.predicted[:, 2:6], inner.predicted)
    np.testing.assert_array_equal(outer.loglik, inner.loglik)
    for function in (chains.smooth, chains.viterbi):
        found = function(*arguments, logs, first, last)[:, 2:6]
        np.testing.assert_array_equal(found, function(*arguments, cut))


# --- hidden stages: extremes -------------------------------------------------------------------


def test_long_and_extreme_histories_do_not_underflow():
    # The same evidence in every stage: 2000 periods of -1e5 say nothing about the stage.
    P, initial = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.3, 0.7])
    logs = np.full((1, 2000, 2), -1e5)
    result = chains.forward(initial, P, logs)
    assert result.loglik[0] == pytest.approx(-2e8, rel=1e-12)
    expected = oracle.stationary(P.tolist(), 2000)
    np.testing.assert_allclose(result.filtered[0, -1], expected, atol=1e-10)
    np.testing.assert_allclose(chains.smooth(initial, P, logs)[0, -1], expected, atol=1e-10)
    # Staying in 0 throughout: .3 x .9^1999 beats starting in 1: .7 x .2 x .9^1998.
    assert (chains.viterbi(initial, P, logs) == 0).all()


def test_extreme_evidence_decides_every_period():
    # Each period forces one stage by 1e5; the likelihood is that of the forced path.
    rng = np.random.default_rng(13)
    forced = rng.integers(2, size=2000)
    logs = np.full((1, 2000, 2), -1e5)
    logs[0, range(2000), forced] = 0.0
    P, initial = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.3, 0.7])
    expected = math.log(initial[forced[0]]) + np.log(P[forced[:-1], forced[1:]]).sum()
    result = chains.forward(initial, P, logs)
    assert result.loglik[0] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(chains.viterbi(initial, P, logs)[0], forced)
    np.testing.assert_array_equal(chains.sample_paths(rng, initial, P, logs)[0], forced)
    np.testing.assert_allclose(chains.smooth(initial, P, logs)[0, range(2000), forced], 1.0)


def test_a_stage_that_was_all_but_excluded_can_turn_out_true():
    # Period 0 speaks against stage 0 by 1e5, period 1 excludes stage 1, and stage 1 is never left.
    P, initial = np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0.5, 0.5])
    logs = np.array([[[-1e5, 0.0], [0.0, -np.inf]]])
    result = chains.forward(initial, P, logs)
    assert result.loglik[0] == pytest.approx(-1e5 + math.log(0.25), rel=1e-14)
    assert result.filtered[0].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    np.testing.assert_allclose(chains.smooth(initial, P, logs)[0], [[1, 0], [1, 0]])
    assert chains.viterbi(initial, P, logs).tolist() == [[0, 0]]
    assert chains.sample_paths(np.random.default_rng(1), initial, P, logs).tolist() == [[0, 0]]


def test_faint_stages_times_tiny_probabilities_survive():
    # exp(-100) and 1e-300 are numbers, but their product is none. Two customers, two matrices.
    P = np.tile(np.eye(3), (2, 1, 1, 1))
    P[1, 0, 0] = [1.0, 1e-300, 0.0]
    P[0, 0, 0] = [0.5, 0.5, 0.0]
    logs = np.array([[[-100.0, 0.0, 0.0], [-np.inf, 0.0, -np.inf]]] * 2)
    result = chains.forward([0.5, 0.0, 0.5], P, logs)
    expected = [math.log(0.25) - 100, math.log(0.5) - 100 + math.log(1e-300)]
    np.testing.assert_allclose(result.loglik, expected, rtol=1e-14)


def test_tiny_transition_probabilities_survive():
    P = np.array([[1.0, 1e-300], [0.0, 1.0]])
    logs = np.array([[[0.0, -np.inf], [-50.0, 0.0], [-np.inf, -60.0]]])
    result = chains.forward([1.0, 0.0], P, logs)
    # Over at period 1 or at period 2: exp(0 - 60) + exp(-50 - 60), each times 1e-300.
    expected = math.log(1e-300) - 60 + math.log1p(math.exp(-50))
    assert result.loglik[0] == pytest.approx(expected, rel=1e-14)


def test_an_impossible_history_is_told_and_spoils_nobody_else():
    P, initial = np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0.5, 0.5])
    logs = np.zeros((2, 3, 2))
    logs[0, 0, 0] = logs[0, 1, 1] = -np.inf  # surely in stage 1, then surely not
    result = chains.forward(initial, P, logs)
    assert result.loglik[0] == -np.inf
    assert result.loglik[1] == pytest.approx(0, abs=1e-15)
    assert result.filtered[0, 0].tolist() == [0.0, 1.0]
    assert result.predicted[0, 1].tolist() == [0.0, 1.0]
    assert np.isnan(result.filtered[0, 1:]).all()
    assert np.isnan(result.predicted[0, 2]).all()
    smoothed = chains.smooth(initial, P, logs)
    assert np.isnan(smoothed[0]).all()
    paths = chains.sample_paths(np.random.default_rng(1), initial, P, logs)
    for found in (chains.viterbi(initial, P, logs), paths):
        assert (found[0] == -1).all()
        assert (found[1] >= 0).all()
    np.testing.assert_allclose(
        result.filtered[1], np.stack([initial @ chains.n_step(P, t) for t in range(3)])
    )


def test_nobody_and_one_period():
    nobody = chains.forward([0.5, 0.5], np.eye(2), np.zeros((0, 4, 2)))
    assert nobody.loglik.shape == (0,)
    assert chains.viterbi([0.5, 0.5], np.eye(2), np.zeros((0, 4, 2))).shape == (0, 4)
    one = chains.smooth([0.25, 0.75], np.eye(2), np.log([[[0.9, 0.3]]]))
    np.testing.assert_allclose(one, [[[0.5, 0.5]]])


def test_ties_go_to_the_first_listed_stage():
    assert chains.viterbi([0.5, 0.5], np.full((2, 2), 0.5), np.zeros((1, 3, 2))).tolist() == [
        [0, 0, 0]
    ]


# --- what is refused ---------------------------------------------------------------------------

GOOD = {
    "initial_probs": [0.5, 0.5],
    "transition_matrix": [[0.9, 0.1], [0.2, 0.8]],
    "log_likelihoods": np.zeros((3, 4, 2)),
}
RECURSIONS = (
    chains.forward,
    chains.smooth,
    chains.viterbi,
    lambda **given: chains.sample_paths(np.random.default_rng(1), **given),
)


@pytest.mark.parametrize("recursion", RECURSIONS)
@pytest.mark.parametrize(
    ("change", "error", "part"),
    [
        ({"initial_probs": [0.5, 0.4]}, SpecError, "initial_probs: row sums to 0.9, must be 1"),
        ({"initial_probs": [1.0]}, SpecError, "shape (2,) or (3, 2), got (1,)"),
        ({"transition_matrix": np.eye(3)}, SpecError, "broadcast to (3, 3, 2, 2)"),
        ({"transition_matrix": [[1.2, -0.2], [0, 1]]}, SpecError, "must not be negative"),
        ({"transition_matrix": [[0.9, 0.2], [0, 1]]}, SpecError, "sums to 1.1"),
        ({"transition_matrix": [[np.nan, 1], [0, 1]]}, SpecError, "finite numbers only"),
        ({"log_likelihoods": np.zeros((4, 2))}, SpecError, "shape (N, T, K)"),
        (
            {"log_likelihoods": np.full((3, 4, 2), np.nan)},
            DataError,
            "customer 0, period 0, stage 0",
        ),
        ({"log_likelihoods": np.full((3, 4, 2), np.inf)}, DataError, "24 such cells"),
        ({"first": [0, 0]}, SpecError, "first must be 3 integers"),
        ({"last": [1.0, 1.0, 1.0]}, SpecError, "last must be 3 integers, got float64"),
        ({"first": [0, 3, 0], "last": [3, 2, 3]}, DataError, "customer 1 has first 3 and last 2"),
        ({"last": [3, 3, 4]}, DataError, "customer 2 has first 0 and last 4"),
    ],
)
def test_recursions_refuse(recursion, change, error, part):
    with pytest.raises(error) as caught:
        recursion(**{**GOOD, **change})
    assert part in str(caught.value)


def test_recursions_report_all_problems_at_once():
    with pytest.raises(SpecError) as caught:
        chains.forward([0.5, 0.4], np.full((2, 2), 0.4), GOOD["log_likelihoods"])
    assert "initial_probs: row sums to 0.9" in str(caught.value)
    assert "transition_matrix: row (0, 0, 0) sums to 0.8, must be 1 (and 1 more)" in str(
        caught.value
    )


def test_evidence_outside_the_window_is_never_read():
    logs = np.zeros((1, 3, 2))
    logs[0, 2] = np.nan
    result = chains.forward([0.5, 0.5], np.eye(2), logs, last=[1])
    assert result.loglik.tolist() == [0.0]


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: chains.n_step([[0.9, 0.2], [0, 1]], 1), "row 0 sums to 1.1"),
        (lambda: chains.n_step([0.5, 0.5], 1), "must be square"),
        (lambda: chains.n_step([["a"]], 1), "transition_matrix must be a regular array of numbers"),
        (
            lambda: chains.n_step(K10, -1),
            "n_periods must be an integer that is not negative, got -1",
        ),
        (lambda: chains.n_step(K10, 1.5), "n_periods must be an integer"),
        (lambda: chains.passage_prob(K10, 10), "to must lie between 0 and 9, got [10]"),
        (lambda: chains.passage_prob(K10, "bonding"), "`space.index(name)` gives it"),
        (lambda: chains.first_passage_time(K10, []), "to must be the index of a stage or several"),
        (lambda: chains.first_passage_quantile(K10, 1, prob=1), "prob must lie between 0 and 1"),
        (lambda: chains.absorption_time(np.full((2, 2), 0.5)), "nothing ends"),
        (lambda: chains.fundamental_matrix(np.eye(2)), "nothing ends"),
        (lambda: chains.occupancy(K10, [1.0, 0.0]), "start must give 10 probabilities"),
        (lambda: chains.occupancy(np.eye(2), [0.5, 0.4]), "start: the vector sums to 0.9"),
        (lambda: chains.path_prob(np.eye(2), [0], initial_probs=[1]), "initial_probs must give 2"),
        (lambda: chains.dirichlet_posterior([1, 2], -1), "prior's concentration"),
        (lambda: chains.dirichlet_posterior([1, 2], [1, 1, 1]), "prior must broadcast to (2,)"),
        (lambda: chains.dirichlet_mean([[1, 1], [0, 0]]), "positive somewhere in each row"),
    ],
)
def test_arguments_that_are_refused(call, part):
    with pytest.raises(SpecError) as caught:
        call()
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: chains.transition_counts([[0, 2]], 2), "between -1 and 1, got [2]"),
        (lambda: chains.transition_counts([[0.0, 1.0]], 2), "must be integers"),
        (lambda: chains.homogeneity_test(np.ones((2, 2))), "shape (groups, K, K)"),
        (lambda: chains.lumpability_test(-np.eye(2), [0, 0]), "finite and not negative"),
        (lambda: chains.lumpability_test(np.ones(2), [0, 0]), "shape (K, K)"),
        (lambda: chains.log_bayes_factor_pooling(np.ones((2, 2))), "shape (segments, K, K)"),
    ],
)
def test_data_that_are_refused(call, part):
    with pytest.raises(DataError) as caught:
        call()
    assert part in str(caught.value)
