import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from crmlab import chains
from crmlab.errors import DataError, SpecError
from crmlab.stages import K10, KNAPP_TO_LIFECYCLE
from tests.oracles import chains as oracle
from tests.oracles.printed import assert_prints_as

LUMPABLE, BLOCKS = np.array(oracle.LUMPABLE), oracle.BLOCKS


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


# --- what is refused ---------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: chains.dirichlet_posterior([1, 2], -1), "`prior` must be finite and not negative"),
        (lambda: chains.dirichlet_posterior([1, 2], [1, 1, 1]), "`prior` must broadcast to (2,)"),
        (lambda: chains.dirichlet_mean([[1, 1], [0, 0]]), "a positive entry in each row"),
        (lambda: chains.dirichlet_mean([1, -1]), "`concentration` must be finite and not negative"),
    ],
)
def test_priors_that_are_refused(call, part):
    with pytest.raises(SpecError) as caught:
        call()
    assert part in str(caught.value)
