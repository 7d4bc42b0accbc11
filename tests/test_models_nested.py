"""Models that contain others: where one becomes the other, their likelihoods are the same number.

The larger model is always `HiddenMarkov` as it is fitted (its PyMC graph, its kernel); the smaller
one is SciPy or a closed form.
"""

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.special import expit, roots_jacobi

import crmlab as crm
from crmlab.btyd import BGBB
from crmlab.evaluation.ranks import empty_panel, simulate_panel
from tests import interpreted

DIMS = ("customer_id", "period")
ONE = crm.StageSpace(("only",))
PAIR = crm.StageSpace(("dormant", "active"))
MORTAL = crm.StageSpace(("alive", "dead"), moves=(("alive", "dead"),))
MATRIX = np.array([[0.8, 0.2], [0.3, 0.7]])


def loglik_at(model, panel, **given):
    """Log-likelihood of a model with parameters held at given values."""
    built = model.build(panel)
    fixed = {built[name]: np.asarray(value, dtype=float) for name, value in given.items()}
    with pm.Model():
        graph = interpreted.function([], [_replace(model.merged_loglik(built, panel)[0], fixed)])
    return float(graph()[0])


def _replace(graph, fixed):
    import pytensor.tensor as pt
    from pytensor.graph.replace import graph_replace

    constants = {rv: pt.constant(value, dtype=rv.dtype) for rv, value in fixed.items()}
    return graph_replace([graph], constants, strict=False)[0]


def panel_of(**cells):
    shape = np.shape(next(iter(cells.values())))
    return empty_panel(*shape).assign({n: (DIMS, np.asarray(v)) for n, v in cells.items()})


# One stage is a generalised linear model ----------------------------------------------------------

Y = np.random.default_rng(1)
COUNTS, HITS = Y.poisson(2.3, (6, 4)).astype(float), Y.integers(0, 2, (6, 4)).astype(float)
MONEY = np.where(HITS == 1, Y.lognormal(3.0, 0.7, (6, 4)), 0.0)
LEVELS = Y.integers(1, 6, (6, 4)).astype(float)


def survey_logpmf(levels, location):
    """Samejima's graded response by SciPy's logistic function."""
    upper = expit(1.7 * (location - np.array([-np.inf, -1.5, -0.5, 0.5, 1.5, np.inf])))
    return np.log(-np.diff(upper))[levels.astype(int) - 1]


def money_logpdf(money):
    amount = stats.lognorm.logpdf(np.where(money > 0, money, 1.0), 0.6, scale=25.0)
    return np.where(money > 0, np.log(0.4) + amount, np.log(0.6))


@pytest.mark.parametrize(
    ("channel", "cells", "expected"),
    [
        (crm.Poisson("y", rate=(2.0,)), COUNTS, stats.poisson.logpmf(COUNTS, 2.0)),
        (crm.Bernoulli("y", prob=(0.3,)), HITS, stats.bernoulli.logpmf(HITS, 0.3)),
        (crm.ZeroInflatedSpend("y", (0.4,), (25.0,), (0.6,)), MONEY, money_logpdf(MONEY)),
        (crm.OrdinalSurvey("y", location=(0.4,)), LEVELS, survey_logpmf(LEVELS, 0.4)),
    ],
    ids=["count", "yes or no", "money", "rating"],
)
def test_one_stage_is_the_law_of_its_channel(channel, cells, expected):
    found = loglik_at(crm.HiddenMarkov(ONE, channels=(channel,)), panel_of(y=cells))
    assert found == pytest.approx(expected.sum(), rel=1e-12)


def test_one_stage_is_most_likely_at_the_mean():
    """The maximum of a GLM with one constant is the mean, and its curvature n / mean."""
    panel, model = panel_of(y=COUNTS), crm.HiddenMarkov(ONE, channels=(crm.Poisson("y"),))
    mean, step = COUNTS.mean(), 1e-3
    low, top, high = (loglik_at(model, panel, y_rate=[mean + s]) for s in (-step, 0.0, step))
    assert (high - low) / (2 * step) == pytest.approx(0.0, abs=1e-4)
    assert (2 * top - low - high) / step**2 == pytest.approx(COUNTS.size / mean, rel=1e-4)


# No effect is no covariate ------------------------------------------------------------------------

VISITS = crm.Poisson("visits", rate=(0.5, 4.0))


@pytest.fixture(scope="module")
def driven_panel():
    model = crm.HiddenMarkov(PAIR, channels=(VISITS,))
    parameters = {
        "initial_probs": [0.4, 0.6],
        "transition_matrix": MATRIX,
        "visits_rate": [0.5, 4.0],
    }
    parameters = {name: np.asarray(value) for name, value in parameters.items()}
    panel = simulate_panel(model, empty_panel(7, 5), parameters, rng=np.random.default_rng(3))
    x = np.random.default_rng(4).normal(size=(7, 5))
    return panel.assign(contacts=(DIMS, x))


def homogeneous(panel):
    parameters = {"initial_probs": [0.4, 0.6], "transition_matrix": MATRIX}
    return loglik_at(crm.HiddenMarkov(PAIR, channels=(VISITS,)), panel, **parameters)


ODDS = np.log([MATRIX[0, 1] / MATRIX[0, 0], MATRIX[1, 0] / MATRIX[1, 1]])
DRIVEN = {
    "logit": (crm.CovariateLogit(("contacts",), shared="all"), {"base_of_moves": ODDS}),
    "ordered": (
        crm.transitions.OrderedLogit(("contacts",), shared="all"),
        {"lowest_thresholds": [-ODDS[0], ODDS[1]]},
    ),
}


@pytest.mark.parametrize("name", DRIVEN)
def test_zero_effects_are_the_homogeneous_chain(driven_panel, name):
    transitions, base = DRIVEN[name]
    model = crm.HiddenMarkov(PAIR, transitions, (VISITS,), initial_probs=(0.4, 0.6))
    effects = {"effects": np.zeros((1, 1))}
    found = loglik_at(model, driven_panel, **base, **effects)
    assert found == pytest.approx(homogeneous(driven_panel), rel=1e-12)
    moved = loglik_at(model, driven_panel, **base, effects=np.full((1, 1), 0.5))
    assert abs(moved - found) > 0.01, "the covariate must matter where it has an effect"


def test_customers_without_spread_are_alike(driven_panel):
    alike = crm.transitions.CustomerEffects(shared="all")
    transitions = crm.CovariateLogit(("contacts",), shared="all", customers=alike)
    model = crm.HiddenMarkov(PAIR, transitions, (VISITS,), initial_probs=(0.4, 0.6))
    parameters = {
        "base_of_moves": ODDS,
        "effects": np.zeros((1, 1)),
        "customer_normals": np.random.default_rng(5).normal(size=(7, 1)),
    }
    found = loglik_at(model, driven_panel, customer_sd_by_group=[0.0], **parameters)
    assert found == pytest.approx(homogeneous(driven_panel), rel=1e-12)
    spread = loglik_at(model, driven_panel, customer_sd_by_group=[1.0], **parameters)
    assert abs(spread - found) > 0.01


# Two stages, one of them final, are BG/BB ---------------------------------------------------------


def mortal_loglik(p, theta, purchases):
    """The model as it is fitted, one customer: alive or dead, buying only while alive."""
    channel = crm.Bernoulli("bought", prob=(p, 0.0))
    model = crm.HiddenMarkov(MORTAL, channels=(channel,), initial_probs=(1 - theta, theta))
    rows = [[1 - theta, theta], [0.0, 1.0]]
    return loglik_at(model, panel_of(bought=[purchases]), transition_matrix=rows)


@pytest.mark.parametrize("history", [(1, 0, 1, 0), (0, 0, 0, 0), (1, 1, 1, 1)])
def test_mixed_over_customers_alive_or_dead_is_bgbb(history):
    """Gauss's rule is exact: the likelihood is a polynomial in both probabilities."""
    params = BGBB(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    rules = [
        roots_jacobi(3, b - 1, a - 1)
        for a, b in ((params.alpha, params.beta), (params.gamma, params.delta))
    ]
    (p, p_weights), (theta, theta_weights) = [((1 + x) / 2, w / w.sum()) for x, w in rules]
    total = sum(
        w * v * np.exp(mortal_loglik(chance, death, history))
        for chance, w in zip(p, p_weights, strict=True)
        for death, v in zip(theta, theta_weights, strict=True)
    )
    frequency = sum(history)
    last = max((t + 1 for t, bought in enumerate(history) if bought), default=0)
    expected = params.loglik([frequency], [last], [len(history)])[0]
    assert np.log(total) == pytest.approx(expected, rel=1e-9)


# Stages that look alike are one stage -------------------------------------------------------------


def test_stages_with_the_same_channels_are_one():
    rng, k = np.random.default_rng(6), 4
    space = crm.StageSpace(tuple("abcd"))
    many = crm.HiddenMarkov(
        space, channels=(crm.Poisson("y", rate=(2.0,) * 3 + (2.0 + 1e-15,)),), ordered_by=None
    )
    one = crm.HiddenMarkov(ONE, channels=(crm.Poisson("y", rate=(2.0,)),))
    parameters = {
        "initial_probs": rng.dirichlet(np.ones(k)),
        "transition_matrix": rng.dirichlet(np.ones(k), size=k),
    }
    panel = panel_of(y=COUNTS)
    assert loglik_at(many, panel, **parameters) == pytest.approx(loglik_at(one, panel), rel=1e-12)


# Reports that are never wrong show the chain ------------------------------------------------------


def test_reports_without_error_are_the_observed_chain():
    label = crm.StageLabel("stage", confusion=np.eye(2))
    hidden = crm.HiddenMarkov(PAIR, channels=(label,))
    stages = np.random.default_rng(7).integers(0, 2, (9, 5)).astype(float)
    panel = panel_of(stage=stages)
    initial = np.array([0.3, 0.7])
    found = loglik_at(hidden, panel, initial_probs=initial, transition_matrix=MATRIX)
    observed = crm.ObservedMarkov(PAIR)
    moves, starts = observed.count_moves(panel), observed.count_starts(panel)
    expected = (moves * np.log(MATRIX)).sum() + (starts * np.log(initial)).sum()
    assert moves.sum() == 36
    assert found == pytest.approx(expected, rel=1e-12)


def test_hidden_and_observed_are_one_posterior():
    """Log-densities of the two models, of the same unconstrained numbers, at random points."""
    label = crm.StageLabel("stage", confusion=np.eye(2))
    stages = np.random.default_rng(8).integers(0, 2, (9, 5)).astype(float)
    panel, prior = panel_of(stage=stages), crm.StickyDirichlet(stickiness=1.0)
    one, other = (
        interpreted.log_density(model.build(panel))
        for model in (crm.HiddenMarkov(PAIR, prior, (label,)), crm.ObservedMarkov(PAIR, prior))
    )
    for x in np.random.default_rng(9).normal(size=(3, 3)):
        # One registers its moves first, the other the start: a number of its own.
        (found, slope), (expected, other_slope) = one(x), other(np.roll(x, 1))
        assert found == pytest.approx(expected, rel=1e-9)
        assert slope == pytest.approx(np.roll(other_slope, -1), rel=1e-9, abs=1e-9)
