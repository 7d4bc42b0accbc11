"""The spread of value, margins from spend, cohorts and customers in blocks."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from crmlab import value
from crmlab.errors import SpecError
from crmlab.inference import fit
from crmlab.models.observed import ObservedMarkov
from crmlab.stages import K10, K10_MARGINS, StageSpace
from tests.oracles import value as oracle

P3 = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
R3 = np.array([10.0, -3.0, 1.5])


# --- variance -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_periods", [1, 2, 5])
@pytest.mark.parametrize("discount_rate", [-0.2, 0.0, 0.1])
def test_variance_over_a_horizon_equals_the_variance_over_all_paths(n_periods, discount_rate):
    got = value.value_variance(
        P3, R3, discount_rate=discount_rate, n_periods=n_periods, first="current"
    )
    expected = oracle.spread_by_paths(P3.tolist(), R3.tolist(), discount_rate, n_periods)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-11)


def test_variance_for_ever_equals_second_moments_in_exact_fractions():
    P = oracle.recency_chain(oracle.PC_PROBS)
    exact = oracle.spread_in_fractions(P, oracle.PC_MARGIN, "1/5")
    got = value.value_variance(
        np.array(P, float), oracle.PC_MARGIN, discount_rate=0.2, first="current"
    )
    np.testing.assert_allclose(got, np.array(exact, float), rtol=1e-12, atol=1e-10)


def test_variance_for_ever_is_the_limit_of_the_horizons():
    for_ever = value.value_variance(P3, R3, discount_rate=0.1, margin_sd=2.0, first="current")
    long = value.value_variance(
        P3, R3, discount_rate=0.1, margin_sd=2.0, n_periods=300, first="current"
    )
    np.testing.assert_allclose(long, for_ever, rtol=1e-10)


def simulated_sums(n_customers, n_periods, keep, margin_sd, rng):
    """What each of n customers brings who starts in 'integrating' of the teaching matrix K10."""
    edges = np.cumsum(K10, axis=1)
    stage = np.full(n_customers, 3)
    total = np.zeros(n_customers)
    for t in range(n_periods):
        total += keep**t * (K10_MARGINS[stage] + margin_sd[stage] * rng.normal(size=n_customers))
        stage = (rng.random(n_customers)[:, None] >= edges[stage]).sum(axis=1).clip(max=9)
    return total


def test_variance_of_the_staircase_equals_simulation():
    keep, margin_sd = 1.1**-0.25, np.linspace(5, 1, 10)
    rate = 1 / keep - 1
    rng = np.random.default_rng(11)
    sums = simulated_sums(40_000, 120, keep, margin_sd, rng)
    expected = value.value_variance(
        K10, K10_MARGINS, discount_rate=rate, margin_sd=margin_sd, n_periods=120, first="current"
    )[3]
    # Standard error of a sample variance; four of them are missed once in 16,000 times.
    error = np.sqrt((((sums - sums.mean()) ** 2 - sums.var()) ** 2).mean() / len(sums))
    assert abs(sums.var(ddof=1) - expected) < 4 * error
    assert error < 0.02 * expected


def test_a_sure_path_has_no_variance():
    line = np.eye(4, k=1)
    line[3, 3] = 1
    got = value.value_variance(line, [5, 1, 7, 0], discount_rate=0.1, first="current")
    assert got.tolist() == [0, 0, 0, 0]


def test_later_payment_scales_the_spread_like_the_value():
    options = {"discount_rate": 0.1, "n_periods": 6}
    start = value.value_variance(P3, R3, **options, first="current")
    middle = value.value_variance(P3, R3, timing="middle", **options, first="current")
    end = value.value_variance(P3, R3, timing="end", **options, first="current")
    np.testing.assert_allclose(middle, start / 1.1, rtol=1e-14)
    np.testing.assert_allclose(end, start / 1.21, rtol=1e-14)


def test_draws_are_valued_side_by_side():
    P = np.random.default_rng(1).dirichlet(np.ones(3), size=(2, 4, 3))
    got = value.value_variance(P, R3, discount_rate=0.1, first="current")
    one = value.value_variance(P[1, 2], R3, discount_rate=0.1, first="current")
    np.testing.assert_allclose(got[1, 2], one, rtol=1e-12)


def test_impossible_noise_is_refused():
    with pytest.raises(SpecError, match="margin_sd"):
        value.value_variance(P3, R3, discount_rate=0.1, margin_sd=-1, first="current")
    with pytest.raises(SpecError, match="margin_sd"):
        value.value_variance(P3, R3, discount_rate=0.1, margin_sd=[1, 2], first="current")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 0.5))
def test_variance_is_the_variance_of_stage_and_future(seed, rate):
    """The law of total variance, one step ahead, at any matrix."""
    rng = np.random.default_rng(seed)
    P, R = rng.dirichlet(np.ones(4), size=4), rng.normal(size=4)
    V = value.stage_value(P, R, discount_rate=rate, first="current")
    W = value.value_variance(P, R, discount_rate=rate, first="current")
    assert (W >= 0).all()
    ahead = np.array([value.hidden_variance(row, V, W) for row in P])
    np.testing.assert_allclose(W, ahead / (1 + rate) ** 2, rtol=1e-9, atol=1e-9)


def test_the_aleatoric_and_the_epistemic_part_add_up_to_the_spread_of_all_outcomes():
    rng = np.random.default_rng(3)
    outcomes = rng.normal(rng.normal(size=(50, 1)), 2.0, size=(50, 400))
    found = value.split_variance(outcomes.mean(axis=1), outcomes.var(axis=1))
    np.testing.assert_allclose(found.total, outcomes.var(), rtol=1e-12)
    with pytest.raises(SpecError, match="one shape"):
        value.split_variance([1.0, 2.0], [1.0])


# --- timing and occupancy -------------------------------------------------------------------------


def test_payment_in_the_middle_is_half_a_period_later():
    start = value.stage_value(P3, R3, discount_rate=0.1, first="current")
    middle = value.stage_value(P3, R3, discount_rate=0.1, timing="middle", first="current")
    np.testing.assert_allclose(middle, start / np.sqrt(1.1), rtol=1e-14)


@pytest.mark.parametrize("n_periods", [None, 1, 7])
def test_value_is_time_spent_priced(n_periods):
    spent = value.discounted_occupancy(P3, discount_rate=0.1, n_periods=n_periods, first="current")
    worth = value.stage_value(P3, R3, discount_rate=0.1, n_periods=n_periods, first="current")
    np.testing.assert_allclose(spent @ R3, worth, rtol=1e-12)
    total = sum(1.1**-t for t in range(n_periods)) if n_periods else 11
    np.testing.assert_allclose(spent.sum(axis=1), total, rtol=1e-12)


def test_endless_time_is_refused():
    with pytest.raises(SpecError, match="positive `discount_rate`"):
        value.discounted_occupancy(P3, discount_rate=0, first="current")


# --- margins --------------------------------------------------------------------------------------


def test_mean_spend_is_the_mean_of_the_channel():
    rng = np.random.default_rng(5)
    buys = rng.random(400_000) < 0.3
    spend = np.where(buys, rng.lognormal(np.log(20), 0.8, size=400_000), 0)
    got = float(value.mean_spend(0.3, 20, 0.8))
    assert abs(got - spend.mean()) < 4 * spend.std() / np.sqrt(len(spend))


def test_margins_from_spend_refuse_what_is_no_share():
    with pytest.raises(SpecError, match="at least 0 and at most 1"):
        value.margin_from_spend([10, 20], fraction=30)
    with pytest.raises(SpecError) as caught:
        value.mean_spend(1.2, -1, 0.5)
    assert "`prob`" in str(caught.value)
    assert "`median`" in str(caught.value)


SPACE = StageSpace(("new", "loyal", "lost"))


@pytest.fixture(scope="module")
def observed():
    codes = {"n": 0.0, "l": 1.0, "x": 2.0}
    cells = [[codes[letter] for letter in path] for path in ("nnll", "nlxx", "nlll", "nnnx")]
    axes = ("customer_id", "period")
    stage = xr.DataArray(cells, dims=axes, attrs={"kind": "label", "categories": SPACE.names})
    panel = xr.Dataset(
        {"stage": stage, "observed": (axes, np.ones((4, 4), dtype=bool))},
        coords={"customer_id": list("abcd"), "period": range(4)},
        attrs={"freq": "Q"},
    )
    return fit(ObservedMarkov(SPACE), panel, draws=40, seed=1)


def test_a_posterior_of_margins_is_used_draw_by_draw(observed):
    sizes = observed.posterior.sizes
    rng = np.random.default_rng(6)
    spend = xr.DataArray(
        rng.gamma(5, 4, size=(sizes["chain"], sizes["draw"], 3)),
        dims=("chain", "draw", "stage"),
        coords={**{d: observed.posterior[d] for d in ("chain", "draw")},
                "stage": ["lost", "new", "loyal"]},
    )  # fmt: skip
    margin = value.margin_from_spend(spend, fraction=0.5, cost=1.0)
    by_stage = value.lifetime_value(
        observed, margin=margin, discount_rate=0.05, by="stage", first="current"
    )
    P = observed.posterior["transition_matrix"].values[1, 7]
    own = margin.isel(chain=1, draw=7).sel(stage=list(SPACE.names)).values
    expected = value.stage_value(P, own, discount_rate=0.05, first="current")
    np.testing.assert_allclose(by_stage.values[1, 7], expected, rtol=1e-12)
    few = value.lifetime_value(
        observed, margin=margin, discount_rate=0.05, draws=10, first="current"
    )
    known = by_stage.sel(draw=few["draw"], stage="loyal").values
    np.testing.assert_allclose(few.sel(customer_id="a"), known, rtol=1e-12)


def test_a_posterior_of_margins_must_fit(observed):
    margin = xr.DataArray(
        np.ones((2, 3, 3)),
        dims=("chain", "draw", "stage"),
        coords={"chain": [0, 1], "draw": [0, 1, 2], "stage": ["new", "loyal", "gone"]},
    )
    with pytest.raises(SpecError) as caught:
        value.lifetime_value(
            observed, margin=margin, discount_rate=0.05, by="stage", first="current"
        )
    for part in ("missing for stage 'lost'", "unknown stage 'gone'", "has no draw 3"):
        assert part in str(caught.value)


# --- cohorts and blocks ---------------------------------------------------------------------------


def test_a_cohort_is_worth_its_start_less_its_cost(observed):
    margin = {"new": -2, "loyal": 10, "lost": 0}
    values = value.lifetime_value(
        observed, margin=margin, discount_rate=0.05, by="stage", first="current"
    )
    start = {"loyal": 0.25, "new": 0.75, "lost": 0}
    got = value.cohort_value(values, start, acquisition_cost=30, n_customers=100)
    expected = 100 * (values.values @ [0.75, 0.25, 0] - 30)
    np.testing.assert_allclose(got.values, expected, rtol=1e-12)
    assert got.attrs["discount_rate"] == 0.05
    own = value.cohort_value(values, observed.posterior["initial_probs"])
    by_hand = (values.values * observed.posterior["initial_probs"].values).sum(axis=-1)
    np.testing.assert_allclose(own.values, by_hand, rtol=1e-12)


@pytest.mark.parametrize("start", [[0.5, 0.4], [1, 0, 0], [1.5, -0.5]])
def test_a_cohort_starts_with_probabilities(start):
    with pytest.raises(SpecError, match="2 probabilities that sum to 1"):
        value.cohort_value([1.0, 2.0], start)


def test_blocks_give_what_one_piece_gives():
    rng = np.random.default_rng(8)
    laws = rng.dirichlet(np.ones(3), size=1000)
    draws = rng.normal(size=(50, 3))
    whole = draws @ laws.T
    for given_laws in (laws, iter(np.split(laws, [1, 400])), (b for b in np.array_split(laws, 7))):
        found = value.value_in_blocks(given_laws, draws, prob=0.8)
        np.testing.assert_allclose(found.mean, whole.mean(axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.low, np.quantile(whole, 0.1, axis=0), rtol=1e-9)
        np.testing.assert_allclose(found.high, np.quantile(whole, 0.9, axis=0), rtol=1e-9)
        np.testing.assert_allclose(found.total, whole.sum(axis=1), rtol=1e-9)


def test_spread_of_a_fit_is_aleatoric_and_epistemic(observed):
    margin = np.array([-2.0, 10, 0])
    found = value.lifetime_spread(
        observed, margin=margin, discount_rate=0.05, margin_sd=1.5, first="current"
    )
    P = observed.posterior["transition_matrix"].values.reshape(-1, 3, 3)
    V = np.array([value.stage_value(p, margin, discount_rate=0.05, first="current") for p in P])
    W = np.array(
        [
            value.value_variance(p, margin, discount_rate=0.05, margin_sd=1.5, first="current")
            for p in P
        ]
    )
    np.testing.assert_allclose(found["mean"], V.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found["aleatoric"] ** 2, W.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found["epistemic"] ** 2, V.var(axis=0), rtol=1e-9)
    total = W.mean(axis=0) + V.var(axis=0)
    np.testing.assert_allclose(found["total"] ** 2, total, rtol=1e-9)
    assert list(found["stage"].values) == list(SPACE.names)


@pytest.mark.parametrize("block", [1, 3, 100])
def test_a_base_is_valued_in_blocks_as_in_one_piece(observed, block):
    options = {"margin": [-2, 10, 0], "discount_rate": value.per_year(0.1), "draws": 20}
    whole = value.lifetime_value(observed, **options, first="current")
    base = value.value_of_base(observed, block=block, prob=0.8, **options, first="current")
    dims = ("chain", "draw")
    np.testing.assert_allclose(base["mean"], whole.mean(dims), rtol=1e-10)
    np.testing.assert_allclose(base["low"], whole.quantile(0.1, dims), rtol=1e-10)
    np.testing.assert_allclose(base["equity"], value.customer_equity(whole), rtol=1e-10)
    assert list(base["customer_id"].values) == list("abcd")
    assert base.attrs["interval"] == "central 80% (equal-tailed)"
    assert base.attrs["discount_rate_given"] == "per_year(0.1)"


def test_a_block_holds_customers(observed):
    with pytest.raises(SpecError, match="value_of_base: `block`"):
        value.value_of_base(observed, margin=[1, 2, 3], discount_rate=0.1, block=0, first="current")


def test_small_blocks_change_nothing(monkeypatch):
    laws = np.random.default_rng(8).dirichlet(np.ones(3), size=100)
    draws = np.arange(12.0).reshape(4, 3)
    whole = value.value_in_blocks(laws, draws)
    monkeypatch.setattr("crmlab.value.equity._BLOCK_NUMBERS", 40)
    cut = value.value_in_blocks(laws, draws)
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_memory_does_not_grow_with_customers_times_draws(monkeypatch):
    monkeypatch.setattr("crmlab.value.equity._BLOCK_NUMBERS", 200_000)
    rng = np.random.default_rng(8)
    laws, draws = rng.dirichlet(np.ones(3), size=40_000), rng.normal(size=(200, 3))
    tracemalloc.start()
    try:
        value.value_in_blocks(laws, draws)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.2 * 8 * 40_000 * 200


def test_the_benchmark_runs(capsys, monkeypatch):
    from benchmarks import value as benchmark

    monkeypatch.setattr("sys.argv", ["value", "--customers", "500", "--draws", "20"])
    benchmark.main()
    output = capsys.readouterr().out
    assert "500 customers x 20 draws x 10 stages" in output
    assert "law by draw" in output


def test_each_draw_may_have_its_own_law():
    rng = np.random.default_rng(9)
    laws, draws = rng.dirichlet(np.ones(3), size=(5, 20)), rng.normal(size=(5, 3))
    found = value.value_in_blocks(iter([laws[:, :12], laws[:, 12:]]), draws)
    expected = np.einsum("dnk,dk->dn", laws, draws)
    np.testing.assert_allclose(found.total, expected.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.mean, expected.mean(axis=0), rtol=1e-12, atol=1e-12)


def test_blocks_refuse_what_is_no_law():
    with pytest.raises(SpecError, match="must sum to 1 per customer"):
        value.value_in_blocks([[0.5, 0.4]], [[1.0, 2.0]])
    with pytest.raises(SpecError, match="must have shape"):
        value.value_in_blocks([[0.5, 0.5]], [[1.0, 2.0, 3.0]])
    with pytest.raises(SpecError, match="iterable of blocks"):
        value.value_in_blocks(np.ones((2, 3, 1)), [[1.0], [2.0]])
