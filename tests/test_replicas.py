"""Replicated panels, what is noticed in them, and what was believed beforehand."""

import math
import warnings

import arviz
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.evaluation import sensitivity_data, statistics
from crmlab.inference import Fit
from crmlab.models.base import coords
from tests import interpreted, test_covariates, test_prediction
from tests.ragged import KNOWN, SPACE, ragged_panel
from tests.test_covariates import EVERY

PAIR = crm.StageSpace(("dormant", "active"))
RATES, MATRIX = (0.3, 3.0), ((0.9, 0.1), (0.2, 0.8))


def known_fit(panel, n_draws=60):
    """A fit that knows the world: every draw is the truth."""
    visits = crm.Poisson("visits", rate=RATES)
    model = crm.HiddenMarkov(PAIR, channels=(visits,), initial_probs=(0.5, 0.5))
    parameters = {"initial_probs": (0.5, 0.5), "transition_matrix": MATRIX, "visits_rate": RATES}
    dims = {"transition_matrix": ("stage_from", "stage_to")}
    posterior = xr.Dataset(
        {
            name: (
                ("chain", "draw", *dims.get(name, ("stage",))),
                np.broadcast_to(value, (1, n_draws, *np.shape(value))),
            )
            for name, value in parameters.items()
        },
        coords={"chain": [0], "draw": np.arange(n_draws)},
    )
    return Fit(model, panel, xr.DataTree.from_dict({"posterior": posterior}))


@pytest.fixture(scope="module")
def loyal_panel():
    visits = crm.Poisson("visits", rate=RATES)
    world = crm.StageWorld(PAIR, (0.5, 0.5), MATRIX, (visits,), n_periods=8)
    return crm.to_panel(crm.simulate(world, 80, seed=4), freq="M")


@pytest.fixture(scope="module")
def checks(loyal_panel):
    return crm.evaluation.predictive_checks(known_fit(loyal_panel), seed=1)


@pytest.fixture(scope="module")
def awkward():
    """Replicates of the ragged panel: five channels, gaps, silence, a customer never seen."""
    fit = test_prediction.hand_made_fit(ragged_panel(), 2, 20)
    return crm.evaluation.predictive_checks(fit, seed=2)


# Replicates ---------------------------------------------------------------------------------------


def test_replicates_have_the_cells_of_the_data_and_no_others(awkward):
    observed = awkward["observed_data"].to_dataset()
    made = awkward["posterior_predictive"].to_dataset()
    panel = ragged_panel()
    for channel in KNOWN:
        assert made[channel.name].dims == ("chain", "draw", "customer_id", "period")
        seen = observed[channel.name].notnull()
        assert (seen == panel[channel.name].notnull() & panel["observed"]).all()
        assert (made[channel.name].notnull() == seen).all()
        values = made[channel.name].values
        assert channel.supports(values[~np.isnan(values)]).all()
    paths = awkward["stage_paths"].to_dataset()
    assert ((paths["replicated"] >= 0) == panel["observed"]).all()
    assert ((paths["observed"] >= 0) == panel["observed"]).all()


def test_replicates_follow_the_law_of_the_draw(checks):
    """Mean visits by period: pi P^t rate, within five standard errors."""
    made = checks["posterior_predictive"]["visits"].values.reshape(-1, 8)
    probs = np.array([0.5, 0.5])
    for t in range(8):
        mean = probs @ RATES
        variance = probs @ (np.array(RATES) + np.square(RATES)) - mean**2
        assert made[:, t].mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / len(made)))
        probs = probs @ np.array(MATRIX)


@pytest.mark.bits
def test_replicates_are_repeatable_and_their_seed_counts(loyal_panel, checks):
    fit = known_fit(loyal_panel, 3)
    one, again, other = (crm.evaluation.predictive_checks(fit, seed=s) for s in (1, 1, 2))
    assert one.identical(again)
    assert not one["posterior_predictive"].equals(other["posterior_predictive"])


def test_paths_behind_data_and_replicates_have_one_law_where_the_model_is_true(checks):
    shares = checks["stage_paths"].to_dataset().mean(("draw", "customer_id", "period"))
    # 80 customers x 8 periods, neighbours alike: a share is known to about 0.03.
    assert float(shares["observed"][0]) == pytest.approx(float(shares["replicated"][0]), abs=0.15)


def test_customers_with_effects_get_new_ones():
    panel = test_covariates.panel._get_wrapped_function()()
    fit = test_covariates.hand_made_fit(EVERY["customers"], panel)
    made = crm.evaluation.predictive_checks(fit, seed=1)["posterior_predictive"]["visits"]
    assert (made.notnull() == (panel["visits"].notnull() & panel["observed"])).all()


def test_arviz_plots_the_seen_cells(awkward, checks):
    import matplotlib.pyplot as plt

    flat = crm.evaluation.seen_cells(awkward)
    cells = flat["observed_data"]["visits"]
    n = int(awkward["observed_data"]["visits"].notnull().sum())
    assert cells.sizes == {"visits_cell": n}
    assert cells.dtype.kind == "i"
    panel = ragged_panel()["visits"]
    for value, who, when in zip(
        cells.values, cells["visits_customer_id"].values, cells["visits_period"].values, strict=True
    ):
        assert panel.sel(customer_id=who, period=when) == value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ remarks on kinds of data
        arviz.plot_ppc_tstat(flat, var_names=["visits"], t_stat="mean")
        arviz.plot_ppc_rootogram(crm.evaluation.seen_cells(checks), var_names=["visits"])
        arviz.plot_ppc_dist(flat, var_names=["spend"])
    plt.close("all")


def test_a_tree_without_replicates_is_refused(loyal_panel):
    tree = known_fit(loyal_panel, 2).idata
    for use in (crm.evaluation.seen_cells, crm.evaluation.check_statistics):
        with pytest.raises(DataError, match="make it with predictive_checks"):
            use(tree)


# Statistics ---------------------------------------------------------------------------------------


def test_statistics_by_hand():
    cells = np.array([[0.0, 2.0, 0.0, np.nan, 0.0], [1.0, 1.0, 4.0, 0.0, np.nan]])
    assert statistics.silent_share(cells) == pytest.approx(4 / 8)
    assert statistics.longest_silence(cells) == pytest.approx((2 + 1) / 2)
    known = cells[~np.isnan(cells)]
    assert statistics.dispersion(cells) == pytest.approx(known.var() / known.mean())
    pairs = np.array([(0, 2), (2, 0), (1, 1), (1, 4), (4, 0)], dtype=float)
    assert statistics.autocorrelation(cells) == pytest.approx(np.corrcoef(pairs.T)[0, 1])
    assert statistics.repeats(cells) == pytest.approx(1 / 5)
    both = np.stack([cells, cells * 0 + 1])
    assert statistics.longest_silence(both).tolist() == [1.5, 0.0]
    assert np.isnan(statistics.autocorrelation(both)[1])


def test_a_true_model_is_not_accused(checks):
    """Seven p-values from 60 replicates: each is 0 or 1 in a thirtieth of all true worlds."""
    table = crm.evaluation.check_statistics(checks)
    assert table.index.get_level_values("channel").unique().tolist() == ["visits"]
    assert table["p_value"].between(0.01, 0.99).all()
    totals = table.loc[[("visits", f"total_in_{name}") for name in PAIR.names]]
    assert totals["observed"].sum() == pytest.approx(
        80 * 8 * table.loc[("visits", "mean")].observed
    )


@pytest.mark.parametrize(
    ("spoil", "accused", "side"),
    [
        (lambda v: v.where(v["customer_id"] % 3 > 0, 0.0), "longest_silence", 0.0),
        (lambda v: v.where(v["customer_id"] != 5, 40.0), "dispersion", 0.0),
        (lambda v: v.where(v > 0, 1.0), "silent_share", 1.0),
    ],
    ids=["a third is silent", "one buys for ten", "nobody is silent"],
)
def test_what_the_model_does_not_make_is_named(spoil, accused, side, loyal_panel):
    spoilt = loyal_panel.assign(visits=spoil(loyal_panel["visits"]))
    row = crm.evaluation.check_statistics(
        crm.evaluation.predictive_checks(known_fit(spoilt, 30), seed=3)
    )
    row = row.loc[("visits", accused)]
    assert row["p_value"] == side
    assert "not as the model expects" in row["sentence"]


def test_a_constant_channel_gets_no_verdict_that_it_cannot_have(loyal_panel):
    constant = loyal_panel.assign(visits=xr.ones_like(loyal_panel["visits"]))
    table = crm.evaluation.check_statistics(
        crm.evaluation.predictive_checks(known_fit(constant, 20), seed=3)
    )
    assert np.isnan(table.loc[("visits", "autocorrelation"), "p_value"])
    assert "cannot be computed" in table.loc[("visits", "autocorrelation"), "sentence"]
    assert table.loc[("visits", "dispersion"), "observed"] == 0


# Before anything is seen --------------------------------------------------------------------------

VISITS = crm.Poisson("visits", typical_rate=2.0, spread=0.5)
MODEL = crm.HiddenMarkov(
    PAIR, crm.StickyDirichlet(stickiness=2.0), (VISITS,), ordered_by="visits_rate"
)


def test_priors_are_described_in_the_users_units():
    """Against quantiles of the laws; 1,000 draws know a 5 % point to 0.7 % of probability."""
    table = crm.evaluation.describe_priors(MODEL, seed=1, prob=0.9)
    stays = table.query("parameter == 'transition_matrix' and stage == to")
    for _, row in stays.iterrows():
        for side, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
            assert stats.beta(3, 1).cdf(row[side]) == pytest.approx(p, abs=5 * 0.016)
    rates = table.loc["visits_rate"]
    # Two independent rates in order: the smaller of two, the larger of two.
    one = stats.lognorm(0.5, scale=2.0)
    assert 1 - (1 - one.cdf(rates["median"].iloc[0])) ** 2 == pytest.approx(0.5, abs=0.08)
    assert one.cdf(rates["median"].iloc[1]) ** 2 == pytest.approx(0.5, abs=0.08)
    assert set(rates["unit"]) == {"events per period"}
    lengths = table.loc["expected_stay"]
    assert lengths["median"].tolist() == pytest.approx(
        (1 / (1 - stays["median"])).tolist(), rel=1e-2
    )


@pytest.mark.parametrize("name", ["segments", "ordered, shared", "customers", "many"])
def test_priors_of_moves_that_are_driven_are_described(name):
    model = test_covariates.hidden(EVERY[name])
    table = crm.evaluation.describe_priors(model, seed=1, draws=100)
    moves = table.loc["transition_matrix"]
    allowed = {(SPACE.names[i], SPACE.names[j]) for i, j in np.argwhere(SPACE.mask)}
    assert set(zip(moves["stage"], moves["to"], strict=True)) == allowed
    assert (table["lower"] <= table["upper"]).all()
    effects = table[table.index.str.endswith("_effect")]
    assert (effects["median"] > 0).all()
    assert not effects["stage"].eq("lost").any()


def test_the_prior_makes_panels(loyal_panel):
    """Mean visits under the prior: ordering does not change the mean of the two rates."""
    tree = crm.evaluation.prior_checks(
        MODEL, loyal_panel.isel(customer_id=slice(5)), draws=200, seed=4
    )
    made, rates = tree["prior_predictive"]["visits"], tree["prior"]["visits_rate"]
    assert made.sizes == {"chain": 1, "draw": 200, "customer_id": 5, "period": 8}
    assert (rates.diff("stage") > 0).all()
    means = made.mean(("customer_id", "period")).values[0]
    expected = stats.lognorm(0.5, scale=2.0).mean()
    assert means.mean() == pytest.approx(expected, abs=5 * means.std() / math.sqrt(200))
    table = crm.evaluation.check_statistics(tree)
    assert ("visits", "silent_share") in table.index


def test_log_priors_are_those_of_the_model():
    """Up to a constant, against PyMC's own densities of the free variables."""
    free = {
        "one per kind": ["base_of_moves", "effects"],
        "segments": ["base_of_moves", "effects", "segment_sd_by_group"],
        "ordered": ["lowest_thresholds", "log_gaps", "effects"],
        "customers": ["base_of_moves", "customer_sd_by_group"],
    }
    panel = test_covariates.panel._get_wrapped_function()()
    for name, variables in free.items():
        transitions = EVERY[name]
        with pm.Model(coords=coords(SPACE)) as model:
            transitions.matrix(SPACE, panel)
        names = transitions.posterior_names(SPACE)
        scores = [pm.logp(model[v], model[v]).sum() for v in variables]
        *values, total = interpreted.draw([*(model[n] for n in names), sum(scores)], 5, 3)
        fit = test_covariates.hand_made_fit(transitions, panel, n_draws=5)
        posterior = fit.posterior
        for variable, draws in zip(names, values, strict=True):
            posterior = posterior.assign(
                {variable: posterior[variable].copy(data=np.asarray(draws)[None])}
            )
        renewed = Fit(fit.model, panel, xr.DataTree.from_dict({"posterior": posterior}))
        found = sensitivity_data(renewed)["log_prior"].to_dataset()
        given = [n for n in found.data_vars if not n.startswith("region")]
        mine = sum(found[n].values[0] for n in given)
        gaps = mine - np.asarray(total)
        assert gaps == pytest.approx(np.full(5, gaps[0]), abs=1e-9), name


def test_log_priors_of_rows_and_channels(loyal_panel):
    panel = loyal_panel.isel(customer_id=slice(10))
    rng = np.random.default_rng(1)
    matrix = rng.dirichlet((3, 1), size=(1, 30, 2))
    matrix[:, :, 1] = matrix[:, :, 1, ::-1]
    rates = np.sort(rng.lognormal(np.log(2), 0.5, (1, 30, 2)), axis=-1)
    fit = known_fit(panel, 30)
    posterior = fit.posterior.assign(
        transition_matrix=(("chain", "draw", "stage_from", "stage_to"), matrix),
        visits_rate=(("chain", "draw", "stage"), rates),
    )
    fit = Fit(MODEL, panel, xr.DataTree.from_dict({"posterior": posterior}))
    tree = sensitivity_data(fit)
    rows = [stats.dirichlet((3, 1)).logpdf(r[0]) + stats.dirichlet((1, 3)).logpdf(r[1])
            for r in matrix[0]]  # fmt: skip
    gaps = tree["log_prior"]["transition_matrix"].values[0] - rows
    assert gaps == pytest.approx(np.full(30, gaps[0]), abs=1e-9)
    expected = stats.lognorm(0.5, scale=2.0).logpdf(rates[0]).sum(axis=1)
    assert tree["log_prior"]["visits_rate"].values[0] == pytest.approx(expected, abs=1e-7)
    table = crm.evaluation.prior_sensitivity(fit)
    assert {"prior", "likelihood", "diagnosis"} <= set(table.columns)
    assert len(table) == 6  # the initial law is known, and never varies


@pytest.mark.parametrize("prob", [0, 1.0, 3])
def test_an_interval_needs_a_probability(prob, checks):
    with pytest.raises(SpecError, match="`prob` must be above 0 and below 1"):
        crm.evaluation.check_statistics(checks, prob=prob)
    with pytest.raises(SpecError, match="`prob` must be above 0 and below 1"):
        crm.evaluation.describe_priors(MODEL, prob=prob, seed=1)


@pytest.mark.parametrize("draws", [True, 0, 2.5])
def test_draws_are_counted(draws):
    with pytest.raises(SpecError, match=r"`draws` must be a whole number"):
        crm.evaluation.describe_priors(MODEL, draws=draws, seed=1)
