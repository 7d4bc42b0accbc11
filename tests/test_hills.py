"""Every hill of a density is found, sampled, judged on its own, and weighed."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, strategies as st
from scipy.special import logsumexp, softmax

import crmlab as crm
from crmlab.errors import SamplingWarning
from crmlab.inference import readings as module
from crmlab.inference.hills import bridge, find_hills, measure_mass, nearest_hill, share_mass
from crmlab.inference.log_density import LogDensity
from crmlab.inference.plan import Plan
from crmlab.inference.progress import SILENT
from crmlab.inference.readings import sample_readings
from crmlab.inference.summary import describe_readings

PLAN = Plan(draws=400, tune=300, chains=2, target_accept=0.8, attempts=3)


def normals(masses, tops, widths, log_constant=0.0):
    """A mixture of normal distributions, whose parts have these masses; not normalised."""
    masses, tops, widths = (np.asarray(x, float) for x in (masses, tops, widths))

    def logp_grad(x):
        z = (x - tops) / widths[:, None]
        logs = np.log(masses) - 0.5 * (z**2).sum(axis=1) - x.size * np.log(widths)
        return log_constant + logsumexp(logs), -softmax(logs) @ (z / widths[:, None])

    return LogDensity(logp_grad, lambda x: [x], {}, np.zeros(tops.shape[1]), ("x",))


def label(places):
    return xr.Dataset({"x": (("chain", "draw", "axis"), places)})


def sample(density, plan=PLAN, seed=1):
    return sample_readings(density, plan, label, np.random.default_rng(seed), SILENT)


CASES = {
    "one hill": ([1.0], [[0.3, 0.4]], [0.5]),
    "two hills": ([0.3, 0.7], [[-0.9, 0.0], [0.9, 0.0]], [0.1, 0.1]),
    "a narrow hill": ([0.4, 0.6], [[-0.9, 0.0], [0.9, 0.0]], [0.02, 0.2]),
    "three hills": ([0.2, 0.3, 0.5], [[-0.9, 0.0], [0.9, 0.0], [0.0, 0.9]], [0.1, 0.1, 0.1]),
}


@pytest.mark.parametrize(("masses", "tops", "widths"), CASES.values(), ids=CASES)
def test_hills_are_found_and_their_masses_measured(masses, tops, widths):
    found = sample(normals(masses, tops, widths, log_constant=-1234.5))
    assert found.problems == []
    search = found.search
    order = np.argsort(masses)[::-1]
    assert search.sizes["reading"] == len(masses)
    for share, true, error in zip(
        search["mass"].values, np.array(masses)[order], search["error"].values, strict=True
    ):
        assert share == pytest.approx(true, abs=0.05)
        assert error < 0.1
    # the posterior is the mixture: each reading has its share of the draws of each chain
    for chain in found.stats["reading"].values:
        held = np.bincount(chain, minlength=len(masses)) / PLAN.draws
        assert held == pytest.approx(search["mass"].values, abs=1 / PLAN.draws)
    tops_of_draws = np.array(tops)[order][found.stats["reading"].values]
    away = np.linalg.norm(found.places - tops_of_draws, axis=-1)
    assert (away < 6 * np.array(widths)[order][found.stats["reading"].values]).all()


def test_a_hill_without_mass_is_kept_in_the_record_and_not_sampled():
    found = sample(normals([1e-5, 1.0], [[-0.9, 0.0], [0.9, 0.0]], [0.1, 0.1]))
    assert found.search["hill_reading"].values.tolist() == [0, -1]
    assert found.search["mass"].values.tolist() == [1.0]
    assert found.search["laplace_mass"].values[1] == pytest.approx(1e-5, rel=0.01)
    assert found.search["n_starts"].values.sum() == 32


def test_more_hills_than_can_be_sampled_are_a_problem():
    places = [[-0.9, 0.0], [0.9, 0.0], [0.0, 0.9], [0.0, -0.9], [0.0, 0.0]]
    found = sample(normals([0.2] * 5, places, [0.1] * 5))
    assert found.search.sizes["reading"] == 4
    assert any("in more than 4 ways" in problem for problem in found.problems)


def test_a_mass_that_is_not_known_is_a_problem_that_tells_the_way_out(monkeypatch):
    monkeypatch.setattr(module, "ERROR_LIMIT", 1e-6)
    (problem,) = sample(normals(*CASES["two hills"])).problems
    assert "standard error of their log ratio 0.0" in problem
    assert "`StageLabel` channel, a further channel, or a stronger prior" in problem


def test_a_run_that_fails_is_repeated_longer_within_the_budget(monkeypatch):
    monkeypatch.setattr(module, "find_problems", lambda tree: ["R-hat is 9"])
    plans = []
    explore = module.explore

    def watched(*given, **options):
        plans.append((options["draws"], options["tune"], options["target_accept"]))
        return explore(*given, **options)

    monkeypatch.setattr(module, "explore", watched)
    found = sample(normals(*CASES["one hill"]))
    assert plans[0] == (400, 300, 0.8)
    assert plans[1] == (400, 300, 0.9)
    assert found.search["n_runs"].values.tolist() == [len(plans)]
    assert found.problems == ["R-hat is 9"]
    assert found.places.shape == (2, 400, 2)


def test_a_hill_of_little_mass_is_sampled_once(monkeypatch):
    monkeypatch.setattr(module, "find_problems", lambda tree: ["R-hat is 9"])
    lengths = []
    explore = module.explore

    def watched(*given, **options):
        lengths.append(options["target_accept"])
        return explore(*given, **options)

    monkeypatch.setattr(module, "explore", watched)
    found = sample(normals([0.004, 0.996], [[-0.9, 0.0], [0.9, 0.0]], [0.1, 0.1]))
    assert lengths[-1] == 0.8, "the last, smaller hill"
    assert lengths.count(0.8) == 2
    assert found.search["mass"].values.tolist() == [1.0]
    assert found.problems == ["R-hat is 9"]


def test_divergences_in_one_reading_are_told_with_its_mass(monkeypatch):
    judged = []

    def judge(tree):
        judged.append(tree)
        return ["3 draws diverged"] if tree["posterior"]["x"].mean() > 0.1 else []

    monkeypatch.setattr(module, "find_problems", judge)
    found = sample(normals([0.3, 0.7], [[-0.9, -0.9], [0.9, 0.9]], [0.1, 0.1]))
    (problem,) = found.problems
    assert problem.startswith("in the reading of mass 0.7")
    assert problem.endswith(", 3 draws diverged")


@pytest.mark.bits
def test_the_seed_decides():
    density = normals(*CASES["two hills"])
    one, again, other = (sample(density, seed=s).places for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_one_chain_samples_hills_too():
    found = sample(normals(*CASES["two hills"]), PLAN._replace(chains=1))
    assert found.search["mass"].values == pytest.approx([0.7, 0.3], abs=0.05)


# The parts ----------------------------------------------------------------------------------------


def test_a_climb_that_ends_on_a_known_top_is_counted():
    hills = find_hills(normals(*CASES["two hills"]), np.zeros(2), 4, np.random.default_rng(2))
    assert [hill.n_agreeing for hill in hills] == pytest.approx([32, 32], abs=16)
    assert sum(hill.n_agreeing for hill in hills) == 64


def test_a_density_that_is_impossible_everywhere_has_no_mass():
    never = LogDensity(lambda x: (-np.inf, 0 * x), lambda x: [x], {}, np.zeros(2), ("x",))
    hills = find_hills(never, np.zeros(2), 1, np.random.default_rng(1))
    assert {hill.log_mass for hill in hills} == {-np.inf}


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=5))
def test_shares_sum_to_1_and_keep_ratios(logs):
    shares = share_mass(logs)
    assert shares.sum() == pytest.approx(1)
    assert np.log(shares) - np.log(shares[0]) == pytest.approx(np.array(logs) - logs[0], abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_bridge_sampling_gives_an_integral_and_its_error(seed):
    """A skew density whose integral is known: independent gamma variables, in logarithms."""
    rng = np.random.default_rng(seed)
    draws = np.log(rng.gamma(3.0, size=(1000, 5)))
    found = measure_mass(lambda x: float((3 * x - np.exp(x)).sum()), draws, 1000, rng)
    assert found.log == pytest.approx(5 * np.log(2), abs=4 * found.error)
    assert 0.005 < found.error < 0.1


def test_bridge_sampling_says_when_it_knows_nothing():
    rng = np.random.default_rng(1)
    apart = bridge(rng.normal(60, 120**0.5, 500), rng.normal(-60, 120**0.5, 500), 500)
    assert apart.error > 0.5, "two normal distributions, eleven standard deviations apart"
    assert bridge(np.full(9, -np.inf), np.zeros(9), 9).error == np.inf
    stuck = measure_mass(lambda x: 0.0, np.zeros((100, 2)), 1, rng)
    assert stuck.error == np.inf


def test_places_belong_to_the_hill_above_them():
    hills = find_hills(normals(*CASES["three hills"]), np.zeros(2), 2, np.random.default_rng(1))
    places = np.array([hill.place for hill in hills])
    assert nearest_hill(places + 0.05, hills).tolist() == [0, 1, 2]


# A fit tells --------------------------------------------------------------------------------------


@pytest.mark.sampling
def test_the_record_survives_saving(loyalty_fit, tmp_path):
    loyalty_fit.save(tmp_path / "fit")
    loaded = crm.load_fit(tmp_path / "fit")
    assert loaded.readings.equals(loyalty_fit.readings)
    assert loyalty_fit.readings["mass"].tolist() == [1.0]
    assert loyalty_fit.readings["n_starts"].item() >= 1
    assert "The data have one reading." in repr(loaded)
    assert "The data have one reading." in loaded._repr_html_()


def test_readings_are_told_in_words():
    search = sample(normals(*CASES["two hills"])).search
    search = search.assign(mass=("reading", [0.55, 0.45]))
    (words,) = describe_readings(xr.DataTree.from_dict({"search": search}))
    assert words == "The data have two readings, masses .55 and .45 (see `readings`)."
    assert describe_readings(xr.DataTree()) == []


@pytest.mark.sampling
def test_a_fit_of_customers_effects_has_no_readings(loyalty_panel):
    transitions = crm.CovariateLogit(customers=crm.transitions.CustomerEffects())
    model = crm.HiddenMarkov(
        crm.StageSpace(("dormant", "active")), transitions, (crm.Poisson("visits"),), "visits_rate"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        found = crm.fit(model, loyalty_panel, draws=10, tune=20, seed=1)
    assert found.readings.empty
    assert "reading." not in repr(found)
