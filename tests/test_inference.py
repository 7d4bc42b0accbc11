import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import arviz_stats
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, strategies as st

import crmlab as crm
from crmlab.errors import DataError, DataWarning, SamplingWarning, SpecError
from crmlab.inference import Fit, log_density
from crmlab.inference.convergence import RHAT_LIMIT, find_problems, print_beside
from crmlab.inference.fitting import SEED_SHIFT
from tests import interpreted
from tests.ragged import SPACE

# One report in ten is missing, of which every fit of observed stages tells.
pytestmark = pytest.mark.filterwarnings("ignore:.* go over a gap:crmlab.errors.DataWarning")

ROOT = Path(__file__).resolve().parents[1]
OBSERVED = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(stickiness=1.0))
MATRIX = ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1), (0.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def reports():
    """Forty customers who say each month in which stage they are, or nothing."""
    label = crm.StageLabel("stage", confusion=np.eye(3), response_rate=0.9)
    world = crm.StageWorld(SPACE, (0.6, 0.3, 0.1), MATRIX, (label,), n_periods=6)
    return crm.to_panel(crm.simulate(world, 40, seed=2), freq="M")


@pytest.fixture(scope="module")
def exact(reports):
    return crm.fit(OBSERVED, reports, draws=2000, chains=2, seed=1)


# What a fit holds ---------------------------------------------------------------------------------


@pytest.mark.sampling
def test_a_hidden_model_is_sampled(loyalty_fit, loyalty_model, loyalty_panel):
    posterior = loyalty_fit.posterior
    assert dict(posterior.sizes) == {
        "chain": 2,
        "draw": 400,
        "stage": 2,
        "stage_from": 2,
        "stage_to": 2,
    }
    assert posterior["initial_probs"].dims == ("chain", "draw", "stage")
    assert posterior["transition_matrix"].dims == ("chain", "draw", "stage_from", "stage_to")
    assert posterior["visits_rate"].dims == ("chain", "draw", "stage")
    assert posterior["stage"].values.tolist() == ["dormant", "active"]
    assert loyalty_fit.idata["sample_stats"]["diverging"].dims == ("chain", "draw")
    assert loyalty_fit.idata.attrs["method"] == "nuts"
    assert loyalty_fit.idata.attrs["seed"] == 2
    assert loyalty_fit.problems == ()
    assert loyalty_fit.model == loyalty_model
    assert loyalty_fit.panel.identical(loyalty_panel)


@pytest.mark.sampling
def test_every_draw_obeys_the_model(loyalty_fit):
    posterior = loyalty_fit.posterior
    assert posterior["transition_matrix"].sum("stage_to").values == pytest.approx(1)
    assert posterior["initial_probs"].sum("stage").values == pytest.approx(1)
    assert (posterior["visits_rate"].diff("stage") > 0).all()


@pytest.mark.bits
@pytest.mark.sampling
def test_the_seed_decides(loyalty_fit, loyalty_model, loyalty_panel):
    options = {"draws": 400, "tune": 400}
    again = crm.fit(loyalty_model, loyalty_panel, seed=2, **options)
    other = crm.fit(loyalty_model, loyalty_panel, seed=3, **options)
    assert again.posterior.identical(loyalty_fit.posterior)
    assert not other.posterior["visits_rate"].equals(loyalty_fit.posterior["visits_rate"])


def test_an_observed_model_needs_no_sampler(exact):
    assert exact.idata.attrs["method"] == "exact"
    assert exact.posterior["transition_matrix"].shape == (2, 2000, 3, 3)
    assert exact.posterior["stage_confusion"].dims == ("chain", "draw", "stage", "stage_to")
    assert exact.problems == ()


@pytest.mark.bits
def test_exact_draws_follow_the_seed(reports, exact):
    again, other = (crm.fit(OBSERVED, reports, draws=2000, seed=s) for s in (1, 2))
    assert again.posterior.identical(exact.posterior)
    assert not other.posterior["initial_probs"].equals(exact.posterior["initial_probs"])


@pytest.mark.sampling
def test_closed_form_and_sampler_agree(reports, exact):
    """Means and standard deviations, within five Monte Carlo standard errors of both."""
    sampled = crm.fit(OBSERVED, reports, method="nuts", draws=1000, tune=500, seed=5)
    assert sampled.problems == ()
    for name in ("initial_probs", "transition_matrix"):
        one, other = exact.posterior[name], sampled.posterior[name]
        free = one.std(("chain", "draw")) > 0
        assert (other.where(~free) == one.where(~free)).where(~free, True).all()
        for method in ("mean", "sd"):
            reduce = {"mean": xr.DataArray.mean, "sd": xr.DataArray.std}[method]
            gap = abs(reduce(one, ("chain", "draw")) - reduce(other, ("chain", "draw")))
            with np.errstate(invalid="ignore", divide="ignore"):
                errors = [arviz_stats.mcse(draws, method=method) for draws in (one, other)]
            bound = 5 * np.hypot(*errors)
            assert (gap < bound).where(free, True).all(), (name, method)
    assert sampled.posterior["stage_confusion"].equals(
        exact.posterior["stage_confusion"].isel(draw=slice(1000))
    )


def test_posterior_means_are_counts_plus_prior(reports, exact):
    weights = OBSERVED.transitions.alpha(SPACE) + OBSERVED.count_moves(reports)
    means = weights / weights.sum(axis=1, keepdims=True)
    sd = np.sqrt(means * (1 - means) / (weights.sum(axis=1, keepdims=True) + 1))
    found = exact.posterior["transition_matrix"].mean(("chain", "draw")).values
    assert (np.abs(found - means) <= 5 * sd / np.sqrt(4000)).all()


# What is refused ----------------------------------------------------------------------------------


def test_a_method_must_be_one_that_the_model_has(reports, loyalty_model, loyalty_panel):
    with pytest.raises(
        SpecError, match="fit: `method` must be 'exact', 'nuts', 'laplace' or 'map'"
    ):
        crm.fit(OBSERVED, reports, method="gibbs", seed=1)
    with pytest.raises(SpecError, match="must be 'nuts', 'laplace' or 'map', got 'exact'"):
        crm.fit(loyalty_model, loyalty_panel, method="exact", seed=1)


def test_all_counts_that_are_wrong_are_reported_at_once(reports):
    with pytest.raises(SpecError) as error:
        crm.fit(OBSERVED, reports, draws=0, tune=1.5, chains=-2, target_accept=1.0, seed=1)
    for name, value in (("draws", "0"), ("tune", "1.5"), ("chains", "-2")):
        assert f"`{name}` must be a whole number of at least 1, got {value}" in str(error.value)
    assert "`target_accept` must be between 0 and 1, got 1.0" in str(error.value)


def test_a_higher_target_takes_shorter_steps(loyalty_fit, loyalty_model, loyalty_panel):
    careful = crm.fit(loyalty_model, loyalty_panel, draws=400, tune=400, target_accept=0.99, seed=2)
    steps, fewer = (fit.idata["sample_stats"]["n_steps"].mean() for fit in (careful, loyalty_fit))
    assert steps > 1.5 * fewer


def test_a_variable_shifts_every_seed(reports, exact, monkeypatch):
    monkeypatch.setenv(SEED_SHIFT, "-1")
    again = crm.fit(OBSERVED, reports, draws=2000, seed=2)
    assert again.posterior.identical(exact.posterior)


@pytest.mark.parametrize("seed", [-1, 0.5, None, "one"])
def test_a_seed_is_a_non_negative_integer(reports, seed):
    with pytest.raises(SpecError, match="fit: `seed` must be a whole number of at least 0"):
        crm.fit(OBSERVED, reports, seed=seed)


def test_a_panel_that_does_not_match_is_refused_whole(loyalty_panel):
    channels = (crm.Poisson("visits"), crm.OrdinalSurvey("survey"))
    model = crm.HiddenMarkov(
        crm.StageSpace(("dormant", "active")), channels=channels, ordered_by="visits_rate"
    )
    with pytest.raises(DataError) as error:
        crm.fit(model, loyalty_panel.assign(visits=loyalty_panel["visits"] / 2), seed=1)
    assert "HiddenMarkov cannot read this panel: 2 problems" in str(error.value)
    assert "channel 'survey' is not among its variables ['visits']" in str(error.value)
    assert "'visits' must be a count" in str(error.value)


def test_a_panel_that_is_impossible_under_the_model_is_refused_by_name(monkeypatch, loyalty_panel):
    """No visits are possible in either stage; the sampler would never take a step."""

    def interpret(built, names, progress, logp):
        report, start = interpreted.as_function_of_vector(built, [built[name] for name in names])
        return log_density.LogDensity(interpreted.log_density(built), report, {}, start, names)

    monkeypatch.setattr(log_density, "make_log_density", interpret)
    never = crm.Poisson("visits", rate=(0.0, 0.0))
    channels = (never, crm.StageLabel("report", confusion=np.eye(2)))
    model = crm.HiddenMarkov(crm.StageSpace(("dormant", "active")), channels=channels)
    quiet = loyalty_panel.assign(
        visits=loyalty_panel["visits"] * (loyalty_panel["customer_id"] == 7),
        report=loyalty_panel["visits"] % 2,
    )
    with pytest.raises(DataError, match=r"for 1 of its customers, e.g. \[7\]"):
        crm.fit(model, quiet, seed=1)


# Saving -------------------------------------------------------------------------------------------


def assert_same(one, other):
    assert one.model == other.model
    assert one.panel.identical(other.panel)
    assert one.idata.identical(other.idata)
    assert one.problems == other.problems


@pytest.mark.bits
@pytest.mark.sampling
def test_a_sampled_fit_comes_back_whole(loyalty_fit, tmp_path):
    loyalty_fit.save(tmp_path / "deep" / "fit")
    loaded = crm.load_fit(tmp_path / "deep" / "fit")
    assert_same(loaded, loyalty_fit)
    before, after = (crm.stage_probs(f, kind="smoothed", draws=4) for f in (loyalty_fit, loaded))
    assert before.identical(after)


def test_an_exact_fit_comes_back_whole(exact, tmp_path):
    exact.save(tmp_path / "fit")
    assert_same(crm.load_fit(tmp_path / "fit"), exact)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit"], "nothing is left aside"


def test_dates_and_text_ids_come_back(tmp_path, reports):
    dated = reports.assign_coords(
        customer_id=[f"c{k}" for k in range(40)],
        period=np.arange("2024-01", "2024-07", dtype="datetime64[M]").astype("datetime64[ns]"),
    )
    fit = crm.fit(OBSERVED, dated, draws=4, seed=1)
    fit.save(tmp_path / "fit")
    assert_same(crm.load_fit(tmp_path / "fit"), fit)


def test_a_label_of_a_single_stage_comes_back(tmp_path, reports):
    """NetCDF gives a list of one name back as a name."""
    one_name = reports["stage"] * 0
    quiet = reports.assign(stage=one_name.assign_attrs(categories=["loyal"]))
    with pytest.warns(DataWarning, match="never reports"):
        fit = crm.fit(OBSERVED, quiet, draws=4, seed=1)
    fit.save(tmp_path / "fit")
    loaded = crm.load_fit(tmp_path / "fit")
    assert loaded.panel["stage"].attrs["categories"] == ["loyal"]
    assert (crm.most_likely_path(loaded) == "loyal").all()


def test_every_kind_of_model_comes_back(exact, tmp_path):
    spaces = [crm.KNAPP, SPACE, crm.StageSpace(("a", "b"))]
    for k, space in enumerate(spaces):
        channels = (
            crm.StageLabel("report", accuracy=0.6),
            crm.ZeroInflatedSpend("spend", median=np.linspace(1, 2, len(space))),
            crm.Bernoulli("reply", typical_prob=tuple(np.linspace(0.1, 0.9, len(space)))),
        )
        initial = tuple(np.full(len(space), 1 / len(space)))
        model = crm.HiddenMarkov(space, crm.StickyDirichlet(3), channels, initial_probs=initial)
        replace(exact, model=model).save(tmp_path / str(k))
        assert crm.load_fit(tmp_path / str(k)).model == model


def test_saving_again_replaces_the_old_fit(exact, reports, tmp_path):
    exact.save(tmp_path / "fit")
    newer = crm.fit(OBSERVED, reports, draws=10, seed=8)
    newer.save(tmp_path / "fit")
    assert_same(crm.load_fit(tmp_path / "fit"), newer)
    assert [p.name for p in tmp_path.iterdir()] == ["fit"]


def test_a_save_that_fails_leaves_the_old_fit(exact, tmp_path, monkeypatch):
    exact.save(tmp_path / "fit")

    def disk_full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", disk_full)
    with pytest.raises(OSError, match="no space left"):
        replace(exact, model=crm.ObservedMarkov(SPACE)).save(tmp_path / "fit")
    assert_same(crm.load_fit(tmp_path / "fit"), exact)
    assert [p.name for p in tmp_path.iterdir()] == ["fit"]


def test_a_folder_with_other_files_is_not_replaced(exact, tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(SpecError, match="is something else and stays as it is"):
        exact.save(tmp_path)
    with pytest.raises(SpecError, match="is a file and stays as it is"):
        exact.save(tmp_path / "thesis.txt")
    exact.save(tmp_path / "fit")
    (tmp_path / "fit/notes.txt").write_text("of this fit")
    with pytest.raises(SpecError, match=r"fit also holds notes\.txt and stays as it is"):
        exact.save(tmp_path / "fit")
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"
    assert (tmp_path / "fit/notes.txt").read_text() == "of this fit"


def test_a_fit_of_an_older_version_is_read_and_replaced(exact, tmp_path):
    """There the description of the model is all that model.json holds."""
    exact.save(tmp_path / "fit")
    path = tmp_path / "fit" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text())["model"]))
    assert_same(crm.load_fit(tmp_path / "fit"), exact)
    (tmp_path / "fit/notes.txt").write_text("of this fit")
    with pytest.raises(SpecError, match=r"also holds notes\.txt"):
        exact.save(tmp_path / "fit")
    (tmp_path / "fit/notes.txt").unlink()
    exact.save(tmp_path / "fit")
    assert json.loads(path.read_text())["format"] == "crmlab fit"


@pytest.mark.parametrize("text", ["{", "[]", '{"class": "dog"}', '{"format": "crmlab fit"}'])
def test_what_is_not_the_model_of_a_fit_is_refused(exact, tmp_path, text):
    exact.save(tmp_path / "fit")
    (tmp_path / "fit/model.json").write_text(text)
    with pytest.raises(DataError, match="is not of the format 'crmlab fit'"):
        crm.load_fit(tmp_path / "fit")


def test_an_incomplete_folder_is_refused(exact, tmp_path):
    exact.save(tmp_path / "fit")
    (tmp_path / "fit" / "panel.nc").unlink()
    (tmp_path / "fit" / "posterior.nc").unlink()
    with pytest.raises(DataError) as error:
        crm.load_fit(tmp_path / "fit")
    assert "panel.nc is missing" in str(error.value)
    assert "posterior.nc is missing" in str(error.value)


@pytest.mark.parametrize(
    "home", ["nowhere.at.all:Model", "crmlab.models.hidden:Gone", "json:dumps"]
)
def test_a_model_whose_class_is_gone_is_refused(exact, tmp_path, home):
    exact.save(tmp_path / "fit")
    path = tmp_path / "fit" / "model.json"
    stored = json.loads(path.read_text())
    stored["model"]["class"] = home
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match="needs the class"):
        crm.load_fit(tmp_path / "fit")


def test_a_fit_of_parts_that_do_not_belong_together_is_refused(exact):
    exact.check()
    fewer = crm.StageSpace(SPACE.names[:-1])
    with pytest.raises(DataError, match="stages of the posterior are not those of the model"):
        replace(exact, model=crm.ObservedMarkov(fewer)).check()
    hidden = crm.HiddenMarkov(SPACE, channels=(crm.StageLabel("report"),))
    with pytest.raises(DataError, match="the posterior lacks report_"):
        replace(exact, model=hidden).check()
    with pytest.raises(DataError):
        replace(exact, panel=exact.panel.drop_vars("stage")).check()


def test_a_damaged_file_of_a_fit_is_refused(exact, tmp_path):
    exact.save(tmp_path / "fit")
    for name in ("panel.nc", "posterior.nc"):
        whole = (tmp_path / "fit" / name).read_bytes()
        for torn in (b"", b"no file of arrays", whole[: len(whole) // 2]):
            (tmp_path / "fit" / name).write_bytes(torn)
            with pytest.raises(DataError, match="a file is damaged"):
                crm.load_fit(tmp_path / "fit")
        (tmp_path / "fit" / name).write_bytes(whole)
    assert_same(crm.load_fit(tmp_path / "fit"), exact)


# The convergence gate -----------------------------------------------------------------------------


def draws_of(values, diverging=0):
    values = np.asarray(values, dtype=float)
    flags = np.arange(values[..., 0].size).reshape(values.shape[:2]) < diverging
    posterior = xr.Dataset({"rate": (("chain", "draw", "stage"), values)})
    stats = xr.Dataset({"diverging": (("chain", "draw"), flags)})
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})


GOOD = np.random.default_rng(1).normal(size=(2, 500, 3))


def changed(index, value):
    values = GOOD.copy()
    values[index] = value
    return values


def test_independent_draws_are_no_problem():
    assert find_problems(draws_of(GOOD)) == []


def test_known_parameters_are_no_problem():
    assert find_problems(draws_of(changed((..., 1), 7.0))) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (GOOD + np.array([0, 3])[:, None, None], "R-hat is 1."),
        (changed((0, ..., 2), 0.0), "R-hat is"),
        (np.repeat([[[0.0]], [[1.0]]], 500, axis=1), "R-hat is"),
        (np.cumsum(GOOD, axis=1), "R-hat is"),
        (np.repeat(GOOD[:, ::5], 5, axis=1), "the effective sample size is"),
        (changed((0, 0, 0), np.nan), "rate has draws that are not finite"),
        (changed((0, 0, 0), np.inf), "rate has draws that are not finite"),
        (np.zeros((2, 500, 1)), "no draw differs from another"),
        (GOOD[:1], "convergence can only be judged with at least 2 chains of 4 draws"),
        (GOOD[:, :3], "convergence can only be judged with at least 2 chains of 4 draws"),
    ],
)
def test_draws_that_should_not_be_read_are_recognised(values, sentence):
    problems = find_problems(draws_of(values))
    assert any(sentence in problem for problem in problems), problems


def test_divergences_are_counted():
    assert find_problems(draws_of(GOOD, diverging=7)) == ["7 draws diverged"]


def test_the_gate_looks_at_every_number_not_at_the_first():
    """One bad stage among three is enough; the limits are 1.02 and 100 per chain."""
    slow = changed((..., 2), np.repeat(GOOD[:, ::10, 2], 10, axis=1))
    worst = float(arviz_stats.ess(xr.Dataset({"x": (("chain", "draw"), slow[..., 2])}))["x"])
    assert worst < 200
    assert f"the effective sample size is {worst:.0f} for rate (limit 200)" in find_problems(
        draws_of(slow)
    )


def test_a_number_is_never_printed_as_its_limit():
    """R-hat 1.0204 is above 1.02, and 199.97 effective draws are fewer than 200."""
    assert print_beside(1.02, 1.02, 2) == f"{1.02:.17f}"
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=(2, 500, 1))
        problems = find_problems(draws_of(values + np.array([0, 0.284])[:, None, None]))
        assert not any("is 1.02 for" in problem for problem in problems)


@given(st.floats(1e-3, 1e4), st.integers(0, 3))
def test_printed_beside_its_limit_a_number_differs_from_it(value, decimals):
    limit = round(value, decimals)
    assume(value != limit)
    assert float(print_beside(value, limit, decimals)) != limit


def test_independent_draws_are_never_judged():
    assert find_problems(draws_of(GOOD[:1, :1]), method="exact") == []


@pytest.mark.sampling
def test_too_few_draws_are_reported_at_the_fit_and_at_every_use(loyalty_model, loyalty_panel):
    with pytest.warns(SamplingWarning, match="do not read this fit yet") as caught:
        hasty = crm.fit(loyalty_model, loyalty_panel, draws=20, tune=20, seed=1)
    assert caught[0].filename == __file__
    assert hasty.problems
    assert hasty.problems[0] in repr(hasty)
    uses = (
        lambda: crm.stage_probs(hasty, kind="filtered", draws=2),
        lambda: crm.most_likely_path(hasty),
        lambda: crm.forecast(hasty, n_periods=1, seed=1, draws=2),
        lambda: crm.current_stage_probs(hasty, draws=2),
    )
    for use in (*uses, *uses):
        with pytest.warns(SamplingWarning, match="Increase `draws` and `tune`"):
            use()


def test_a_warned_fit_warns_again_after_loading(exact, tmp_path):
    idata = exact.idata.copy()
    idata.attrs["problems"] = json.dumps(["3 draws diverged"])
    replace(exact, idata=idata).save(tmp_path / "fit")
    loaded = crm.load_fit(tmp_path / "fit")
    assert loaded.problems == ("3 draws diverged",)
    with pytest.warns(SamplingWarning, match="3 draws diverged"):
        crm.stage_probs(loaded, kind="filtered", draws=1)


def test_a_sound_fit_is_silent(exact):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        crm.stage_probs(exact, kind="filtered", draws=1)


# A cold and a warm compile cache ------------------------------------------------------------------

FIT_SOMETHING = """
import sys, warnings
import crmlab as crm
from crmlab.inference.progress import Progress
said = []
Progress.say = lambda progress, text: said.append(text)
warnings.simplefilter("ignore", crm.SamplingWarning)
space = crm.StageSpace(("dormant", "active"))
visits = crm.Poisson("visits", rate=(0.3, 3.0))
world = crm.StageWorld(space, (0.5, 0.5), ((0.9, 0.1), (0.2, 0.8)), (visits,), n_periods=6)
panel = crm.to_panel(crm.simulate(world, 20, seed=1), freq="M")
model = crm.HiddenMarkov(space, crm.StickyDirichlet(), (visits,), initial_probs=(0.5, 0.5))
fit = crm.fit(model, panel, draws=60, tune=60, seed=4)
sys.stdout.write(fit.posterior["transition_matrix"].values.tobytes().hex())
sys.stderr.write(" ".join(text for text in said if "first use" in text))
"""


@pytest.mark.sampling
@pytest.mark.slow
def test_a_cold_and_a_warm_compile_cache_give_the_same_draws(tmp_path):
    caches = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    command = [sys.executable, "-c", FIT_SOMETHING]
    cold, warm = (
        subprocess.run(
            command,
            env={**os.environ, **caches},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    )
    assert "first use on this computer" in cold.stderr
    assert warm.stderr == ""
    cold, warm = cold.stdout, warm.stdout
    n_draws, n_numbers = 2 * 60, 4
    assert len(bytes.fromhex(cold)) == n_draws * n_numbers * 8
    assert cold == warm
    assert list((tmp_path / "numba").rglob("*.nbi")), "the first run must have filled the cache"


# A model of a user's own --------------------------------------------------------------------------


@dataclass(frozen=True)
class HalfFrozen(crm.StickyDirichlet):
    """A transition model that lives outside the package, with a field of its own."""

    shares: tuple[float, ...] = (0.5,)


def test_a_users_own_parts_come_back_from_a_saved_fit(exact, tmp_path):
    model = crm.ObservedMarkov(SPACE, HalfFrozen(shares=np.array([0.25, 0.75])))
    replace(exact, model=model).save(tmp_path / "fit")
    with pytest.raises(DataError, match=rf"trust=\('{__name__}',\)"):
        crm.load_fit(tmp_path / "fit")
    loaded = crm.load_fit(tmp_path / "fit", trust=(__name__,)).model.transitions
    assert type(loaded).__name__ == "HalfFrozen"
    assert loaded.shares == (0.25, 0.75)


def test_two_fits_are_equal_or_not(exact, reports, tmp_path):
    again = crm.fit(OBSERVED, reports, draws=2000, chains=2, seed=1)
    others = (
        crm.fit(OBSERVED, reports, draws=2000, chains=2, seed=2),
        crm.fit(crm.ObservedMarkov(SPACE), reports, draws=2000, chains=2, seed=1),
        crm.fit(OBSERVED, reports.isel(customer_id=slice(30)), draws=2000, chains=2, seed=1),
    )
    assert (exact == again) is True
    assert [exact == other for other in (*others, "a fit")] == [False] * 4
    exact.save(tmp_path / "fit")
    assert crm.load_fit(tmp_path / "fit") == exact


def test_fit_is_frozen(exact):
    assert isinstance(exact, Fit)
    with pytest.raises(AttributeError):
        exact.model = None
    assert RHAT_LIMIT == 1.02
