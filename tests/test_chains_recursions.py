import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from crmlab import chains
from crmlab.errors import DataError, SpecError
from crmlab.stages import K10, KNAPP
from tests.oracles import chains as oracle, paths as listed
from tests.oracles.printed import assert_prints_as

INITIATING = KNAPP.index("initiating")
EARTHQUAKES = Path(__file__).parents[1] / "datasets" / "earthquakes" / "earthquakes.csv"


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


@pytest.mark.bits
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


@pytest.mark.bits
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


@pytest.mark.bits
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
        ({"first": [0, 0]}, SpecError, "`first` must be 3 integers"),
        ({"last": [1.0, 1.0, 1.0]}, SpecError, "`last` must be 3 integers, got float64"),
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
