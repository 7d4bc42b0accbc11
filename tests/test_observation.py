"""What is seen, as a variable of a PyMC model: its density, its draws, and a user's session."""

import itertools
import re
from pathlib import Path

import arviz
import numpy as np
import pytensor.tensor as pt
import pytest
import xarray as xr
from pytensor.graph.replace import graph_replace

import crmlab as crm
from crmlab.errors import SamplingWarning
from crmlab.inference.log_density import make_log_density, read_log_density
from crmlab.models.observation import SEEN
from tests import interpreted
from tests.oracles import channels, paths

pytestmark = pytest.mark.filterwarnings("error")

ROOT = Path(__file__).resolve().parents[1]
DIMS = ("customer_id", "period")
PAIR = crm.StageSpace(("dormant", "active"))
CUSTOMERS = crm.transitions.CustomerEffects()
CUSTOMERS_ALL = crm.transitions.CustomerEffects(shared="all")
LAWS = {
    "one matrix": crm.StickyDirichlet(2.0, 2.0),
    "covariates": crm.CovariateLogit(("x",)),
    "ordered": crm.transitions.OrderedLogit(("x",)),
    "own effects": crm.CovariateLogit(customers=CUSTOMERS),
    "own effects and covariates": crm.CovariateLogit(("x",), customers=CUSTOMERS),
}
CHANNELS = (
    crm.Poisson("visits", typical_rate=(0.5, 4.0), spread=0.5),
    crm.ZeroInflatedSpend("spend"),
    crm.OrdinalSurvey("survey"),
    crm.StageLabel("report"),
)


@pytest.fixture(scope="module")
def panel():
    """Twelve customers, some cells missing, one never observed, two who came later."""
    shown = (
        crm.Poisson("visits", rate=(0.3, 3.0)),
        crm.ZeroInflatedSpend("spend", prob=(0.2, 0.8), median=(10.0, 30.0), sigma=(1.0, 1.0)),
        crm.OrdinalSurvey("survey", location=(-1.0, 1.0), response_rate=0.5),
        crm.StageLabel("report", confusion=((0.9, 0.1), (0.2, 0.8)), response_rate=0.7),
    )
    world = crm.StageWorld(PAIR, (0.5, 0.5), ((0.9, 0.1), (0.2, 0.8)), shown, n_periods=6)
    full, rng = crm.to_panel(crm.simulate(world, 12, seed=1), freq="M"), np.random.default_rng(2)
    observed = full["observed"].values.copy()
    observed[3], observed[5, :2], observed[7, 4:] = False, False, False
    lost = (DIMS, rng.random((12, 6)) < 0.2)
    x = (DIMS, rng.normal(size=(12, 6)).round(1))
    return full.assign(
        visits=full["visits"].where(~xr.DataArray(lost[1], dims=DIMS)),
        observed=(DIMS, observed),
        x=x,
    )


def models():
    for name, law in LAWS.items():
        for start in (None, "stationary"):
            yield pytest.param(
                crm.HiddenMarkov(
                    PAIR, law, CHANNELS, ordered_by="visits_rate", initial_probs=start
                ),
                id=f"{name}, {start or 'learned'} start",
            )
    for name in ("one matrix", "covariates", "ordered"):
        model = crm.ObservedMarkov(PAIR, LAWS[name], label="report")
        yield pytest.param(model, id=f"known, {name}")


# Two faces ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.* go over a gap:crmlab.errors.DataWarning")
@pytest.mark.parametrize("model", list(models()))
def test_the_fast_density_is_that_of_the_pymc_model(model, panel):
    """Log-density and gradient at the same unconstrained numbers."""
    fast = read_log_density(model, panel)
    whole = make_log_density(model.build(panel), model.posterior_names)
    rng = np.random.default_rng(1)
    for _ in range(3):
        x = fast.start + rng.normal(0, 0.5, len(fast.start))
        (found, slope), (expected, steepness) = fast(x), whole(x)
        assert found == pytest.approx(expected, rel=1e-10)
        assert slope == pytest.approx(steepness, rel=1e-10, abs=1e-10)


# What is seen, as a variable ----------------------------------------------------------------------


def at_start(model, built, outputs):
    """Values of graphs in the built model's variables, at its initial point."""
    function, start = interpreted.as_function_of_vector(built, outputs)
    return function(start)


def test_the_log_density_of_each_customer_is_a_sum_over_paths(panel):
    """Every path of every customer, in plain Python."""
    visits = CHANNELS[0]
    model = crm.HiddenMarkov(PAIR, LAWS["covariates"], (visits,), ordered_by="visits_rate")
    built = model.build(panel)
    names = ("initial_probs", "visits_rate", "base_logits", "x_effect")
    density = built.logp(vars=[built[SEEN]], sum=False)[0]
    values = dict(zip(names, at_start(model, built, [built[n] for n in names]), strict=True))
    start = built.initial_point()
    given = [start[v.name] for v in built.value_vars]
    found = interpreted.function(built.value_vars, [density])(*given)[0]
    design = model.transitions.design.read(panel)["covariates"]
    matrices = model.transitions.matrices(PAIR, values, design)
    who = [n for n in range(12) if n != 3]
    assert built.coords["customer_id"] == tuple(panel["customer_id"].values[who])
    for loglik, n in zip(found, who, strict=True):
        inside = np.flatnonzero(panel["observed"].values[n])
        counts = panel["visits"].values[n, inside]
        logs = [
            [0.0 if np.isnan(y) else channels.poisson(y, r) for r in values["visits_rate"]]
            for y in counts
        ]
        own = [matrices[n, t] for t in inside[:-1]]
        expected = paths.loglik(values["initial_probs"], own, logs)
        assert loglik == pytest.approx(expected, rel=1e-12)


def test_draws_follow_the_law_and_the_mask():
    """Frequencies of two periods of two customers, of whom one misses a cell, against the law."""
    space, size = crm.StageSpace(("low", "high")), 4000
    complaint = crm.Bernoulli("complaint", prob=(0.2, 0.9))
    model = crm.HiddenMarkov(space, channels=(complaint,), initial_probs=(0.7, 0.3))
    cells = np.array([[0.0, 1.0], [1.0, np.nan]])
    panel = xr.Dataset(
        {"complaint": (DIMS, cells), "observed": (DIMS, np.ones((2, 2), dtype=bool))},
        {"customer_id": [1, 2], "period": [0, 1]},
    )
    built = model.build(panel)
    matrix = np.array([[0.6, 0.4], [0.1, 0.9]])
    seen = graph_replace(built[SEEN], {built["transition_matrix"]: pt.constant(matrix)})
    made = interpreted.draw(seen, size, seed=3)[..., 0]
    assert (made[:, 1, 1] == 0).all()  # what the missing cell holds
    shown = {0: np.array([0.8, 0.1]), 1: np.array([0.2, 0.9])}
    for first, second in itertools.product((0, 1), repeat=2):
        prob = np.array([0.7, 0.3]) * shown[first] @ matrix @ shown[second]
        found = ((made[:, 0, 0] == first) & (made[:, 0, 1] == second)).mean()
        assert abs(found - prob) < 5 * np.sqrt(prob * (1 - prob) / size)


# A fit, as ArviZ reads it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(loyalty_fit):
    found = loyalty_fit
    for group in ("posterior_predictive", "prior_predictive", "log_prior"):
        found = found.extended(group, draws=50, seed=4)
    return found


@pytest.mark.sampling
def test_a_fit_has_the_groups_that_arviz_expects(loyalty_fit, loyalty_panel):
    groups = set(loyalty_fit.idata.children)
    assert groups >= {"posterior", "sample_stats", "log_likelihood", "observed_data"}
    assert "constant_data" in groups
    assert {"energy", "depth", "step_size", "diverging"} <= set(loyalty_fit.idata["sample_stats"])
    seen = loyalty_fit.idata["observed_data"]["visits"]
    assert seen.dtype == np.int64
    where = {d: xr.DataArray(seen[f"visits_{d}"].values, dims="cell") for d in DIMS}
    assert np.array_equal(loyalty_panel["visits"].sel(where), seen)


@pytest.mark.sampling
def test_the_log_likelihood_is_that_of_the_comparison(loyalty_fit):
    lazy = loyalty_fit.idata["log_likelihood"]["customer"]
    expected = crm.prediction.customer_loglik(loyalty_fit, draws=800)
    expected = expected["log_likelihood"]["customer"]
    some = lazy.isel(chain=1, draw=[3, 7])
    assert some.values == pytest.approx(expected.isel(chain=1, draw=[3, 7]).values, rel=1e-12)
    assert lazy.values == pytest.approx(expected.values, rel=1e-12)


@pytest.mark.sampling
def test_own_effects_are_averaged_out_of_the_log_likelihood(panel):
    """Also where they are not log-odds of moves; against the points one by one."""
    ordered = crm.transitions.OrderedLogit(customers=CUSTOMERS_ALL)
    for law in (LAWS["own effects and covariates"], ordered):
        model = crm.HiddenMarkov(PAIR, law, CHANNELS[:2], ordered_by="visits_rate")
        with pytest.warns(SamplingWarning):
            found = crm.fit(model, panel, draws=4, tune=10, chains=1, seed=1)
        with pytest.warns(SamplingWarning):
            expected = crm.prediction.customer_loglik(found, draws=4)["log_likelihood"]
        lazy = found.idata["log_likelihood"]["customer"]
        assert lazy.values == pytest.approx(expected["customer"].values, rel=1e-10)


@pytest.mark.sampling
def test_an_extended_fit_is_saved_without_what_the_panel_has(fitted, tmp_path):
    fitted.save(tmp_path / "fit")
    stored = xr.open_datatree(tmp_path / "fit" / "posterior.nc", engine="h5netcdf")
    with stored:
        assert set(stored.children) == {
            "posterior",
            "sample_stats",
            "search",
            "posterior_predictive",
            "prior",
            "prior_predictive",
            "log_prior",
        }
    again = crm.load_fit(tmp_path / "fit")
    again.check()
    assert again == fitted
    assert again.idata.identical(fitted.idata)


@pytest.mark.sampling
def test_the_seed_decides_what_is_simulated(loyalty_fit):
    one, again, other = (
        loyalty_fit.extended("posterior_predictive", draws=10, seed=s) for s in (1, 1, 2)
    )
    assert one == again
    assert one != other
    assert "posterior_predictive" not in loyalty_fit.idata.children


def test_a_group_must_be_one_of_those_there_are(exact_fit):
    with pytest.raises(crm.errors.SpecError, match="`group` must be 'posterior_predictive', "):
        exact_fit.extended("predictions", seed=1)


@pytest.fixture(scope="module")
def exact_fit():
    label = crm.StageLabel("stage", confusion=np.eye(2))
    world = crm.StageWorld(PAIR, (0.5, 0.5), ((0.9, 0.1), (0.2, 0.8)), (label,), n_periods=6)
    panel = crm.to_panel(crm.simulate(world, 40, seed=2), freq="M")
    return crm.fit(crm.ObservedMarkov(PAIR), panel, draws=200, seed=1)


@pytest.mark.sampling
@pytest.mark.parametrize(
    "ask",
    [
        lambda az, tree: az.loo(tree),
        lambda az, tree: az.compare({"one": tree, "other": tree}),
        lambda az, tree: az.psense(tree),
        lambda az, tree: az.plot_rank(tree),
        lambda az, tree: az.plot_energy(tree),
        lambda az, tree: az.plot_ppc_rootogram(tree),
        lambda az, tree: az.plot_ppc_pit(tree),
        lambda az, tree: az.plot_ppc_tstat(tree),
        lambda az, tree: az.plot_prior_posterior(tree),
    ],
)
def test_arviz_reads_a_fit_as_it_comes(ask, fitted):
    ask(arviz, fitted.idata)


# A session ----------------------------------------------------------------------------------------


def blocks_of_the_page():
    """The code of the page for PyMC users: what `fit` gives, and what PyMC compiles."""
    text = (ROOT / "docs/pymc.md").read_text(encoding="utf-8")
    parts = text.partition("## The PyMC model")
    return [re.findall(r"^```python\n(.*?)^```$", one, re.DOTALL | re.MULTILINE) for one in parts]


@pytest.mark.sampling
def test_the_page_for_pymc_users_runs_up_to_the_model():
    page = {}
    for block in blocks_of_the_page()[0]:
        exec(block, page)
    assert page["loo"].n_data_points == 60
    assert set(page["table"].index) == {"uniform", "sticky"}
    assert not page["sensitivity"].isnull().any().to_array().any()


@pytest.mark.compiling
def test_a_session_of_a_pymc_user_from_build_to_compare():
    """The whole page: sampled by PyMC, the posterior is that of `fit`, and so is the loo."""
    page, (before, _, after) = {}, blocks_of_the_page()
    for block in [*before, *after]:
        exec(block, page)
    built, idata = page["built"], page["idata"]
    assert [variable.name for variable in built.observed_RVs] == [SEEN]
    assert not built.potentials
    assert SEEN in page["graph"].nodes
    assert idata["log_likelihood"][SEEN].dims == ("chain", "draw", "customer_id")
    assert page["prior"]["prior_predictive"][SEEN].shape == (1, 50, 60, 8, 2)
    assert page["visits_again"].shape == (2, 300, 60, 8)
    one, other = (tree["posterior"]["visits_rate"] for tree in (page["result"].idata, idata))
    gap = abs(one.mean(("chain", "draw")).values - other.mean(("chain", "draw")).values)
    assert (gap < 0.3 * one.std(("chain", "draw")).values).all()
    assert page["same"]["elpd_diff"].abs().max() < 0.5
    assert "far_apart" in [potential.name for potential in page["stricter"].potentials]
