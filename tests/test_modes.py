"""The mode of a density and draws around it, against densities whose moments are known."""

import arviz_stats
import numpy as np
import pytest
from scipy import special

import crmlab as crm
from crmlab.errors import DataWarning, SamplingWarning, SpecError
from crmlab.inference import laplace
from tests.conftest import LOYALTY

# Of a standard normal, one value in ten thousand lies further out.
FAR = 3.9
CURVE = np.array([[4.0, 1.0], [1.0, 2.0]])


def rng(seed=1):
    return np.random.default_rng(seed)


def bowl(x):
    """A normal law around (1, -2)."""
    gap = x - np.array([1.0, -2.0])
    return -0.5 * float(gap @ CURVE @ gap), -CURVE @ gap


def log_gammas(x):
    """Logarithms of two gamma variables of shape 3, which lean to the left."""
    return float((3 * x - np.exp(x)).sum()), 3 - np.exp(x)


def ridge(x):
    """Nothing is known of the second number."""
    return -0.5 * float(x[0] ** 2), np.array([-x[0], 0.0])


def funnel(x):
    """The scale of seven numbers is exp(x[0]): no normal law looks like it."""
    a, rest = x[0], x[1:]
    square = float((rest**2).sum()) * np.exp(-2 * a)
    value = -(a**2) / 18 - len(rest) * a - 0.5 * square
    slope = -a / 9 - len(rest) + square
    return value, np.append(slope, -rest * np.exp(-2 * a))


def two_hills(x):
    """A hill of height 5 at 3 and one of height 0 at -3."""
    heights = np.array([5.0, 0.0]) - 8 * (x[0] - np.array([3.0, -3.0])) ** 2
    shares = special.softmax(heights)
    return float(special.logsumexp(heights)), np.array(
        [-16 * shares @ (x[0] - np.array([3.0, -3.0]))]
    )


def test_a_quadratic_is_found_exactly():
    mode = laplace.find_mode(bowl, np.zeros(2), rng())
    assert mode.place == pytest.approx([1.0, -2.0], abs=1e-6)
    assert mode.curvature == pytest.approx(CURVE, rel=1e-6)
    assert mode.smallest_eigenvalue == pytest.approx(np.linalg.eigvalsh(CURVE)[0])
    assert (mode.n_agreeing, mode.problems) == (laplace.N_STARTS, [])


def test_what_is_left_to_gain_is_what_a_step_gains():
    place = np.array([1.5, -2.5])
    mode = laplace.Mode(place, *bowl(place), CURVE, 4)
    assert mode.left_to_gain == pytest.approx(-bowl(place)[0])
    assert "was not reached" in mode.problems[0]


def test_a_rough_density_only_says_where_to_begin():
    mode = laplace.find_mode(bowl, np.zeros(2), rng(), rough=lambda x: bowl(x + 0.3))
    assert mode.place == pytest.approx([1.0, -2.0], abs=1e-6)


def test_the_highest_of_several_modes_is_kept():
    mode = laplace.find_mode(two_hills, np.zeros(1), rng(3))
    assert mode.place == pytest.approx([3.0], abs=1e-6)
    assert mode.n_agreeing < laplace.N_STARTS


def test_what_nothing_determines_is_said_and_stays_finite():
    mode = laplace.find_mode(ridge, np.ones(2), rng())
    assert "determined neither" in mode.problems[0]
    assert np.isfinite(laplace.sample_around(ridge, mode, 100, rng()).places).all()


def test_draws_of_a_leaning_law_have_its_moments():
    """Mean psi(3), variance psi'(3); false alarm 1 in 5,000."""
    mode = laplace.find_mode(log_gammas, np.zeros(2), rng())
    cloud = laplace.sample_around(log_gammas, mode, 4000, rng(5))
    assert cloud.khat < 0.5
    assert cloud.problems == []
    assert 2000 < cloud.n_effective <= 4000
    sd = np.sqrt(special.polygamma(1, 3))
    error = sd / np.sqrt(cloud.n_effective / 2)  # once for the weights, once for the choice
    assert (np.abs(cloud.places.mean(axis=0) - special.digamma(3)) < FAR * error).all()
    assert cloud.places.std(axis=0) == pytest.approx([sd, sd], rel=FAR / np.sqrt(2000))
    unweighed = mode.place.mean()
    assert abs(unweighed - special.digamma(3)) > 2 * FAR * error, "or the weights would do nothing"


def test_a_law_that_no_normal_law_resembles_is_said():
    mode = laplace.Mode(np.zeros(8), *funnel(np.zeros(8)), np.eye(8), 4)
    assert "Pareto k" in laplace.sample_around(funnel, mode, 2000, rng()).problems[0]


def test_too_few_draws_have_no_weights():
    mode = laplace.find_mode(bowl, np.zeros(2), rng())
    assert laplace.sample_around(bowl, mode, 10, rng()).khat == np.inf


# Through the one door -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def laplace_fit(loyalty_model, loyalty_panel):
    return crm.fit(loyalty_model, loyalty_panel, method="laplace", draws=500, seed=4)


@pytest.mark.sampling
def test_laplace_and_the_sampler_agree(laplace_fit, loyalty_fit):
    """Means, within Monte Carlo errors of both; false alarm 1 in 1,000 for 8 numbers."""
    assert laplace_fit.problems == ()
    n = laplace_fit.idata.attrs["n_effective"] / 2
    for name, draws in laplace_fit.posterior.data_vars.items():
        other, dims = loyalty_fit.posterior[name], ("chain", "draw")
        error = np.hypot(arviz_stats.mcse(other, method="mean"), draws.std(dims) / np.sqrt(n))
        assert (abs(draws.mean(dims) - other.mean(dims)) < FAR * error).all(), name
        assert draws.std(dims).values == pytest.approx(other.std(dims).values, rel=0.25)


@pytest.mark.sampling
def test_a_laplace_fit_is_a_fit(laplace_fit, loyalty_fit, tmp_path):
    assert dict(laplace_fit.posterior.sizes) == {**loyalty_fit.posterior.sizes, "draw": 500}
    assert laplace_fit.idata.attrs["method"] == "laplace"
    assert crm.stage_probs(laplace_fit, kind="filtered", draws=4).sum("stage").max() < 1 + 1e-9
    laplace_fit.save(tmp_path / "fit")
    assert crm.load_fit(tmp_path / "fit").idata.attrs["pareto_khat"] < laplace.KHAT_LIMIT


@pytest.mark.bits
@pytest.mark.sampling
def test_the_seed_decides(laplace_fit, loyalty_model, loyalty_panel):
    options = {"method": "laplace", "draws": 500}
    again, other = (crm.fit(loyalty_model, loyalty_panel, seed=s, **options) for s in (4, 5))
    assert again.posterior.identical(laplace_fit.posterior)
    assert not other.posterior["visits_rate"].equals(laplace_fit.posterior["visits_rate"])


@pytest.mark.sampling
def test_the_mode_is_one_draw_that_nothing_improves(laplace_fit, loyalty_model, loyalty_panel):
    found = crm.fit(loyalty_model, loyalty_panel, method="map", seed=9)
    assert (found.posterior.sizes["chain"], found.posterior.sizes["draw"]) == (1, 1)
    assert 0 <= found.idata.attrs["left_to_gain"] < 1e-6
    assert found.idata.attrs["log_density"] == pytest.approx(
        laplace_fit.idata.attrs["log_density"], abs=1e-6
    )
    future = crm.forecast(found, n_periods=2, seed=1)
    assert future["stage_probs"].sum("stage").values == pytest.approx(1)


@pytest.mark.sampling
def test_a_poor_approximation_is_said_loudly(loyalty_model, loyalty_panel, monkeypatch, tmp_path):
    monkeypatch.setattr(laplace, "KHAT_LIMIT", -5.0)
    with pytest.warns(SamplingWarning, match="Pareto k.*Use method='nuts'"):
        found = crm.fit(loyalty_model, loyalty_panel, method="laplace", draws=50, seed=4)
    found.save(tmp_path / "fit")
    with pytest.warns(SamplingWarning, match="Pareto k"):
        crm.stage_probs(crm.load_fit(tmp_path / "fit"), kind="filtered", draws=1)


@pytest.mark.parametrize("method", ["map", "laplace"])
def test_customers_with_effects_of_their_own_are_refused(method, loyalty_panel):
    transitions = crm.CovariateLogit(customers=crm.transitions.CustomerEffects())
    visits = crm.Poisson("visits")
    model = crm.HiddenMarkov(LOYALTY, transitions, (visits,), ordered_by="visits_rate")
    with pytest.raises(SpecError, match=f"cannot be '{method}'.*segments"):
        crm.fit(model, loyalty_panel, method=method, seed=1)


# At the edge ---------------------------------------------------------------------------------


@pytest.mark.sampling
def test_a_stage_that_is_never_visited_stays_finite(loyalty_model, loyalty_panel):
    """Nobody ever visits: the active stage is only what the prior says of it."""
    nobody = loyalty_panel.assign(visits=loyalty_panel["visits"] * 0)
    with pytest.warns(DataWarning, match="'visits' is 0 wherever"):
        found = crm.fit(loyalty_model, nobody, method="laplace", draws=200, seed=3)
    for values in found.posterior.data_vars.values():
        assert np.isfinite(values).all()
    assert found.posterior["initial_probs"].mean(("chain", "draw")).sel(stage="dormant") > 0.8


def test_chains_begin_on_the_high_hill():
    """A start below -0.05 climbs the low one; sixteen do in five cases of a million."""
    begin = [laplace.find_start(two_hills, np.zeros(1), rng(s))[0] for s in range(60)]
    assert all(abs(x - 3) < 0.1 for x in begin)


@pytest.mark.bits
def test_chains_begin_apart_and_again_at_the_same_place():
    first, second, again = (laplace.find_start(two_hills, np.zeros(1), rng(s)) for s in (1, 2, 1))
    assert first != second
    assert first == again
