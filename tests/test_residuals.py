"""Pseudo-residuals against sums over paths, under the law that made the data and under others."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import crmlab as crm
from crmlab.errors import SpecError
from crmlab.evaluation import pseudo_residuals
from crmlab.evaluation.residuals import predictive_limits, step_limits
from crmlab.inference import Fit
from crmlab.plots import plot_pseudo_residuals
from crmlab.prediction.customers import read_customers

SPACE = crm.StageSpace(("dormant", "active"))
INITIAL, MATRIX = np.array([0.6, 0.4]), np.array([[0.8, 0.2], [0.3, 0.7]])
CHANNELS = (
    crm.Poisson("visits", rate=(0.4, 3.0)),
    crm.ZeroInflatedSpend("spend", prob=(0.2, 0.8), median=(10.0, 30.0), sigma=(0.5, 1.0)),
    crm.OrdinalSurvey("survey", location=(-1.0, 1.0), response_rate=0.6),
    crm.StageLabel("report", confusion=((0.9, 0.1), (0.2, 0.8)), response_rate=0.5),
)


def fit_at(channels, panel, matrix=MATRIX):
    """A fit of one draw: these very numbers."""
    values = {"initial_probs": INITIAL, "transition_matrix": matrix}
    for channel in channels:
        values |= {f"{channel.name}_{name}": value for name, value in channel.known.items()}
    axes = {"transition_matrix": ("stage_from", "stage_to")}
    draws = {
        name: (("chain", "draw", *axes.get(name, ("stage", "stage_to")[: v.ndim])), v[None, None])
        for name, v in values.items()
    }
    labels = {dim: list(SPACE.names) for dim in ("stage", "stage_from")}
    posterior = xr.Dataset(draws, {"chain": [0], "draw": [0], **labels})
    model = crm.HiddenMarkov(SPACE, channels=channels)
    return Fit(model, panel, xr.DataTree.from_dict({"posterior": posterior}))


def simulated(n, seed, n_periods=6):
    world = crm.StageWorld(SPACE, INITIAL, MATRIX, CHANNELS, n_periods=n_periods)
    return crm.to_panel(crm.simulate(world, n, seed=seed), freq="M")


def laws_of(channel, y):
    """P(Y < y), P(Y <= y) and the density in each stage, by SciPy or by hand."""
    if channel.name == "visits":
        rate = np.array(channel.rate)
        law = stats.poisson(rate)
        return law.cdf(y - 1), law.cdf(y), law.pmf(y)
    if channel.name == "spend":
        prob, median, sigma = (np.array(v) for v in (channel.prob, channel.median, channel.sigma))
        if y == 0:
            return 0 * prob, 1 - prob, 1 - prob
        law = stats.lognorm(sigma, scale=median)
        until = 1 - prob + prob * law.cdf(y)
        return until, until, prob * law.pdf(y)
    if channel.name == "survey":
        levels = np.array([channel.level_probs(place) for place in channel.location])
        k = int(y) - 1
        return levels[:, :k].sum(1), levels[:, : k + 1].sum(1), levels[:, k]
    confusion, k = np.array(channel.confusion), int(y)
    return confusion[:, :k].sum(1), confusion[:, : k + 1].sum(1), confusion[:, k]


def limits_by_paths(panel, n, at, channel, kind):
    """P(Y < y) and P(Y <= y) of one cell given what is known, all paths one by one."""
    n_periods = panel.sizes["period"]
    upto = at if kind == "forecast" else n_periods
    known = np.zeros(2)
    for path in itertools.product((0, 1), repeat=max(upto, at + 1)):
        weight = INITIAL[path[0]]
        for one, other in itertools.pairwise(path):
            weight *= MATRIX[one, other]
        for t, c in itertools.product(range(upto), CHANNELS):
            y = panel[c.name].values[n, t]
            if not np.isnan(y) and not (t == at and c is channel):
                weight *= laws_of(c, y)[2][path[t]]
        known[path[at]] += weight
    known /= known.sum()
    below, until, _ = laws_of(channel, panel[channel.name].values[n, at])
    return known @ below, known @ until


@pytest.mark.parametrize("kind", ["forecast", "ordinary"])
def test_a_cell_lies_where_all_paths_put_it(kind):
    panel = simulated(3, seed=4, n_periods=4)
    found = fit_at(CHANNELS, panel)
    draw = {str(n): v.values[0, 0] for n, v in found.posterior.data_vars.items()}
    limits = predictive_limits(read_customers(found), draw, kind)
    n_seen = 0
    for channel in CHANNELS:
        cells = panel[channel.name].values
        assert np.array_equal(np.isnan(limits[channel.name][0]), np.isnan(cells))
        for n, t in np.argwhere(~np.isnan(cells)):
            expected = limits_by_paths(panel, n, t, channel, kind)
            assert limits[channel.name][:, n, t] == pytest.approx(expected, abs=1e-12)
            n_seen += 1
    assert n_seen > 30


@pytest.mark.parametrize("kind", ["forecast", "ordinary"])
def test_under_the_true_law_residuals_are_normal_and_under_another_they_are_not(kind):
    panel = simulated(400, seed=5)
    right = pseudo_residuals(fit_at(CHANNELS, panel), kind=kind, seed=1)
    wrong_rate = replace(CHANNELS[0], rate=(0.8, 3.0))
    wrong = pseudo_residuals(fit_at((wrong_rate, *CHANNELS[1:]), panel), kind=kind, seed=1)
    for name, cells in right.data_vars.items():
        one_each = cells.values[np.arange(400), np.arange(400) % 6]  # customers are independent
        assert stats.kstest(one_each[~np.isnan(one_each)], "norm").pvalue > 1e-3, name
        assert np.array_equal(cells.isnull(), panel[name].isnull())
    assert stats.kstest(wrong["visits"].values.ravel(), "norm").pvalue < 1e-8


def test_forecast_residuals_of_a_customer_are_independent_of_each_other():
    """And depend on each other where the model knows nothing of moves."""
    panel = simulated(600, seed=6)
    idle = np.tile(INITIAL, (2, 1))
    correlations = [
        np.corrcoef(
            *(pseudo_residuals(fit_at(CHANNELS[:1], panel, matrix), seed=2)["visits"].values.T)[2:4]
        )[0, 1]
        for matrix in (MATRIX, idle)
    ]
    assert abs(correlations[0]) < 4 / np.sqrt(600)
    assert correlations[1] > 4 / np.sqrt(600)


def test_steps_come_from_the_sampler_alone():
    shape = {"rate": np.array([2.0]), "shape": np.array([0.5])}
    counts = np.arange(6.0)
    below, until = step_limits(crm.channels.NegativeBinomial("calls"), counts, shape)[..., 0]
    law = stats.nbinom(0.5, 0.5 / 2.5)
    assert until == pytest.approx(law.cdf(counts), abs=1e-12)
    assert below == pytest.approx(law.cdf(counts - 1), abs=1e-12)


def test_the_seed_decides_and_options_are_checked():
    found = fit_at(CHANNELS, simulated(5, seed=7))
    one, again, other = (pseudo_residuals(found, seed=s) for s in (1, 1, 2))
    assert one.identical(again)
    assert not one["visits"].equals(other["visits"])
    with pytest.raises(SpecError, match="`kind` must be 'forecast' or 'ordinary'"):
        pseudo_residuals(found, kind="deviance", seed=1)
    with pytest.raises(SpecError, match="`view` must be 'histogram', 'quantiles' or 'periods'"):
        plot_pseudo_residuals(one["visits"], view="all")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("histogram", "Density"),
        ("quantiles", "Pseudo-residual of visits"),
        ("periods", "Pseudo-residual of visits"),
    ],
)
def test_a_channel_s_residuals_are_shown(view, words):
    residuals = pseudo_residuals(fit_at(CHANNELS, simulated(20, seed=8)), seed=1)
    axes = plot_pseudo_residuals(residuals["visits"], view=view)
    assert axes.get_ylabel() == words
    if view == "quantiles":
        shown = axes.lines[1].get_ydata()
        assert np.array_equal(shown, np.sort(residuals["visits"].values.ravel()))
