import signal
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import crmlab as crm
from crmlab.inference.log_density import read_log_density, run_nuts
from tests import interpreted

pytestmark = pytest.mark.sampling


@pytest.fixture(scope="module")
def density(loyalty_model, loyalty_panel):
    return read_log_density(loyalty_model, loyalty_panel)


@pytest.fixture(scope="module")
def other_panel(loyalty_world):
    """More customers, fewer periods, other counts."""
    tables = crm.simulate(loyalty_world, 41, seed=77)
    return crm.to_panel(tables, freq="M").isel(period=slice(1, 6))


def points(density, n=4):
    return density.start + np.random.default_rng(1).normal(0, 1.5, (n, len(density.start)))


def assert_same_density(density, model, panel):
    slow = interpreted.log_density(model.build(panel))
    for x in points(density):
        value, gradient = density(x)
        expected = slow(x)
        assert value == pytest.approx(float(expected[0]), rel=1e-12)
        assert gradient == pytest.approx(expected[1], rel=1e-9, abs=1e-9)


def test_machine_code_equals_plain_python(density, loyalty_model, loyalty_panel):
    assert_same_density(density, loyalty_model, loyalty_panel)


def test_other_data_need_no_compilation(density, loyalty_model, other_panel):
    swapped = density.with_data(loyalty_model.read(other_panel))
    assert swapped.logp_grad is density.logp_grad
    assert_same_density(swapped, loyalty_model, other_panel)


def test_other_data_leave_the_first_density_as_it_was(density, loyalty_model, other_panel):
    x = points(density)[0]
    before = density(x)[0]
    assert density.with_data(loyalty_model.read(other_panel))(x)[0] != before
    assert density(x)[0] == before


def test_where_numbers_overflow_the_density_is_minus_infinity(density):
    """A sampler's step may be far too long; that is no reason to stop."""
    for far in (1e3, -1e3, 1e200, np.nan):
        value, gradient = density(np.full_like(density.start, far))
        assert not value > -1e3
        assert len(gradient) == len(density.start)


def test_a_panel_in_which_nothing_was_seen_leaves_the_prior(density, loyalty_model, loyalty_panel):
    """Also through the compiled code, which then reads empty arrays."""
    blank = loyalty_panel.assign(visits=loyalty_panel["visits"] * np.nan)
    nobody = blank.assign(observed=blank["observed"] & False)
    found = [density.with_data(loyalty_model.read(p)) for p in (blank, nobody)]
    prior = interpreted.log_density(loyalty_model.build(nobody))
    for x in points(density):
        for one in found:
            assert one(x)[0] == pytest.approx(float(prior(x)[0]), rel=1e-12)


def test_constrained_values_are_those_of_the_model(density, loyalty_model, loyalty_panel):
    built = loyalty_model.build(loyalty_panel)
    report, _ = interpreted.as_function_of_vector(built, [built[n] for n in density.names])
    for x in points(density):
        for found, expected in zip(density.constrain(x), report(x), strict=True):
            assert found == pytest.approx(expected, rel=1e-12)


def draw(density, seed, **options):
    kept, stats = run_nuts(density, **{"draws": 30, "tune": 50, "chains": 2, **options}, seed=seed)
    return kept, stats


def test_draws_have_a_chain_and_a_draw_axis(density):
    kept, stats = draw(density, seed=3)
    assert kept["initial_probs"].shape == (2, 30, 2)
    assert kept["transition_matrix"].shape == (2, 30, 2, 2)
    assert kept["visits_rate"].shape == (2, 30, 2)
    assert stats["diverging"].shape == (2, 30)


@pytest.mark.bits
def test_the_seed_decides_and_chains_differ(density):
    one, again, other = (draw(density, seed=s)[0]["visits_rate"] for s in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])


def test_one_chain_is_enough_to_sample(density):
    assert draw(density, seed=3, chains=1)[0]["visits_rate"].shape == (1, 30, 2)


def test_linear_algebra_has_one_thread_while_chains_run(density):
    """And as many as before afterwards."""

    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    seen = set()

    def watched(x, *data):
        seen.update(threads())
        return density.logp_grad(x, *data)

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        run_nuts(replace(density, logp_grad=watched), draws=5, tune=5, chains=2, seed=1)
        assert threads() == before
    assert seen == {1}


@pytest.mark.parametrize("at_call", [1, 2000], ids=["while a start is looked for", "later"])
def test_control_c_stops_the_sampler(density, at_call):
    calls = count(1)

    def interrupted(x, *data):
        if next(calls) == at_call:
            signal.raise_signal(signal.SIGINT)  # the main thread, which waits, gets to see it
        return density.logp_grad(x, *data)

    with pytest.raises(KeyboardInterrupt):
        draw(replace(density, logp_grad=interrupted), seed=1, draws=1_000_000)
