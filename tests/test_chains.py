import math

import numpy as np
import pytest

from crmlab import chains
from crmlab.errors import SpecError
from crmlab.stages import K10, KNAPP, KNAPP_TO_LIFECYCLE, KNAPP_TO_MERGED, KNAPP_TO_SIX_STAGE
from tests.oracles import chains as oracle
from tests.oracles.printed import assert_prints_as

INITIATING, BONDING, TERMINATING = (
    KNAPP.index(n) for n in ("initiating", "bonding", "terminating")
)

# Two closed sets, {1} and {2, 3}, and one transient stage.
TWO_ENDS = np.array(
    [[0.5, 0.2, 0.3, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.2, 0.8], [0.0, 0.0, 0.4, 0.6]]
)


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

LUMPABLE, BLOCKS = np.array(oracle.LUMPABLE), oracle.BLOCKS


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
    with pytest.raises(SpecError, match="`weights` must be"):
        chains.lump(LUMPABLE, BLOCKS, weights=weights)


def test_blocks_need_one_label_per_stage():
    with pytest.raises(SpecError, match=r"one block per stage \(10\), got 4"):
        chains.lumpability_gap(K10, BLOCKS)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: chains.n_step([[0.9, 0.2], [0, 1]], 1), "row 0 sums to 1.1"),
        (lambda: chains.n_step([0.5, 0.5], 1), "must be square"),
        (
            lambda: chains.n_step([["a"]], 1),
            "transition_matrix` must be a regular array of numbers",
        ),
        (
            lambda: chains.n_step(K10, -1),
            "`n_periods` must be a whole number of at least 0, got -1",
        ),
        (lambda: chains.n_step(K10, 1.5), "`n_periods` must be a whole number"),
        (lambda: chains.passage_prob(K10, 10), "`to` must lie between 0 and 9, got [10]"),
        (lambda: chains.passage_prob(K10, "bonding"), "`space.index(name)` gives it"),
        (
            lambda: chains.first_passage_time(K10, []),
            "to` must be the index of a stage, or several",
        ),
        (lambda: chains.first_passage_quantile(K10, 1, prob=1), "must be above 0 and below 1"),
        (lambda: chains.absorption_time(np.full((2, 2), 0.5)), "nothing ends"),
        (lambda: chains.fundamental_matrix(np.eye(2)), "nothing ends"),
        (lambda: chains.occupancy(K10, [1.0, 0.0]), "`start` must give 10 probabilities"),
        (lambda: chains.occupancy(np.eye(2), [0.5, 0.4]), "start: the vector sums to 0.9"),
        (lambda: chains.path_prob(np.eye(2), [0], initial_probs=[1]), "initial_probs` must give 2"),
    ],
)
def test_arguments_that_are_refused(call, part):
    with pytest.raises(SpecError) as caught:
        call()
    assert part in str(caught.value)
