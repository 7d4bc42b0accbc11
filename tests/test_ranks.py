"""Calibration itself: worlds, priors, ranks, and the test of their uniformity."""

import itertools
from math import comb

import numpy as np
import pytest
import xarray as xr

import crmlab as crm
from crmlab.errors import SpecError
from crmlab.evaluation.ranks import (
    Calibration,
    calibrate,
    draw_prior,
    empty_panel,
    rank_band,
    rank_p_value,
    replicate,
    simulate_panel,
)
from crmlab.evaluation.ranks.study import Replicate, _choose_numbers, _logliks
from tests.oracles import paths
from tests.ragged import SPACE
from validation.models import CASES

OBSERVED = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(stickiness=1.0, concentration=0.8))
PAIR = crm.StageSpace(("dormant", "active"))
LAW = {
    "initial_probs": np.array([0.2, 0.8]),
    "transition_matrix": np.array([[0.9, 0.1], [0.3, 0.7]]),
    "visits_rate": np.array([0.5, 6.0]),
}
VISITS = crm.HiddenMarkov(PAIR, channels=(crm.Poisson("visits"),), ordered_by="visits_rate")


# The test of uniform ranks ------------------------------------------------------------------------


def all_outcomes(n, n_draws):
    """Every count of ranks per value, with its probability under uniformity."""
    for counts in itertools.product(range(n + 1), repeat=n_draws + 1):
        if sum(counts) == n:
            ways, left = 1, n
            for c in counts:
                ways, left = ways * comb(left, c), left - c
            yield np.repeat(np.arange(n_draws + 1), counts), ways / (n_draws + 1) ** n


def test_the_p_value_is_exact_on_every_outcome():
    """Four ranks among three draws: P(p <= p0) = p0 for every p value that can occur."""
    outcomes = [(rank_p_value(ranks, 3), prob) for ranks, prob in all_outcomes(4, 3)]
    assert sum(prob for _, prob in outcomes) == pytest.approx(1.0)
    for p in {p for p, _ in outcomes}:
        at_most = sum(prob for other, prob in outcomes if other <= p + 1e-9)
        assert at_most == pytest.approx(p, abs=1e-9)


def test_the_band_holds_as_often_as_it_says():
    """And as the p value says: outside the 95 % band exactly where p < 0.05 or so."""
    rng = np.random.default_rng(1)
    lower, upper = rank_band(100, 19, 0.9)
    ranks = rng.integers(0, 20, size=(4000, 100))
    below = (ranks[:, :, None] < np.arange(1, 20)).mean(axis=1)
    inside = ((below >= lower - 1e-12) & (below <= upper + 1e-12)).all(axis=1).mean()
    # At least 0.9, and hardly more: five standard errors, and what whole counts allow.
    assert 0.9 - 5 * np.sqrt(0.09 / 4000) < inside < 0.93


def test_p_values_of_uniform_ranks_are_uniform():
    rng = np.random.default_rng(2)
    found = np.array([rank_p_value(rng.integers(0, 30, 60), 29) for _ in range(300)])
    for level in (0.05, 0.2, 0.5):
        assert abs((found <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 300)


@pytest.mark.parametrize("bend", [lambda u: u**1.3, lambda u: 0.5 + (u - 0.5) * 0.75])
def test_bent_ranks_are_noticed(bend):
    """A posterior that lies too low, and one that is too wide."""
    u = bend(np.random.default_rng(3).random(1000))
    assert rank_p_value((u * 100).astype(int), 99) < 1e-4


def test_ranks_out_of_range_are_refused():
    with pytest.raises(SpecError, match="whole numbers from 0 to n_draws = 9"):
        rank_p_value([3, 10], 9)
    with pytest.raises(SpecError, match=r"n_ranks.*\n.*prob"):
        rank_band(0, 9, 2.0)


# Worlds and priors --------------------------------------------------------------------------------


def test_simulated_panels_follow_the_law():
    """Shares of starts, moves and values, each within four standard errors."""
    design, rng = empty_panel(4000, 3), np.random.default_rng(1)
    label = crm.StageLabel("stage", confusion=np.eye(2))
    model = crm.HiddenMarkov(PAIR, channels=(label, crm.Poisson("visits")))
    parameters = {**LAW, "stage_confusion": np.eye(2)}
    panel = simulate_panel(model, design, parameters, rng=rng)
    stages = panel["stage"].values.astype(int)
    starts, before, after = stages[:, 0], stages[:, :-1].ravel(), stages[:, 1:].ravel()
    assert abs(starts.mean() - 0.8) < 4 * np.sqrt(0.16 / 4000)
    for k in range(2):
        share, p = after[before == k].mean(), LAW["transition_matrix"][k, 1]
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / (before == k).sum())
        visits, rate = panel["visits"].values[stages == k], LAW["visits_rate"][k]
        assert abs(visits.mean() - rate) < 4 * np.sqrt(rate / len(visits))


def test_the_design_says_what_is_seen():
    design = CASES["channels"].design
    model = CASES["channels"].model
    panel = simulate_panel(model, design, next(draw_prior(model, design, seed=1)), rng=_rng())
    inside = design["observed"].values
    assert np.isnan(panel["visits"].values[~inside]).all()
    lost = np.isnan(design["visits"].values)
    assert (np.isnan(panel["visits"].values) == (lost | ~inside)).all()
    assert not np.isnan(panel["complaint"].values[inside]).any()
    model.check(panel)


def _rng():
    return np.random.default_rng(7)


def test_customers_with_effects_of_their_own_differ():
    """With a huge spread of effects, some customers never move and others always do."""
    own = crm.transitions.CustomerEffects(shared="all")
    model = crm.HiddenMarkov(
        PAIR,
        crm.CovariateLogit(customers=own),
        (crm.StageLabel("stage", confusion=np.eye(2)),),
    )
    parameters = {
        "initial_probs": np.array([1.0, 0.0]),
        "base_logits": np.zeros((2, 2)),
        "customer_sd": np.array([[0.0, 50.0], [50.0, 0.0]]),
        "stage_confusion": np.eye(2),
    }
    panel = simulate_panel(model, empty_panel(200, 12), parameters, rng=_rng())
    n_moves = np.abs(np.diff(panel["stage"].values, axis=1)).sum(axis=1)
    assert ((n_moves == 0) | (n_moves == 11)).mean() > 0.9
    assert 0.3 < (n_moves == 11).mean() < 0.7


def test_the_prior_is_that_of_the_channel_in_order():
    """Ratio of two ordered log-normal rates: its median, against draws that NumPy sorts."""
    draws = itertools.islice(draw_prior(VISITS, empty_panel(2, 2), seed=4), 800)
    logs = np.log([draw["visits_rate"] for draw in draws])
    assert (np.diff(logs, axis=1) > 0).all()
    # Both have the same prior, so those in order are pairs that were sorted.
    pairs = np.sort(np.random.default_rng(5).normal(0.0, 1.5, size=(100_000, 2)), axis=1)
    for found, expected in zip(logs.T, pairs.T, strict=True):
        assert abs(found.mean() - expected.mean()) < 4 * expected.std() / np.sqrt(800)


def test_a_prior_that_is_never_in_order_is_refused(monkeypatch):
    monkeypatch.setattr("crmlab.models.prior._TRIES", 30)
    wrong_way = crm.Poisson("visits", typical_rate=(100.0, 0.01), spread=0.1)
    model = crm.HiddenMarkov(PAIR, channels=(wrong_way,), ordered_by="visits_rate")
    with pytest.raises(SpecError, match="give that channel typical values"):
        next(draw_prior(model, empty_panel(2, 2), seed=1))


# Ranks --------------------------------------------------------------------------------------------


def test_the_closed_form_is_calibrated_over_a_thousand_worlds():
    """False alarm: one in a thousand. Coverage of 90 % intervals: four standard errors."""
    found = calibrate(OBSERVED, empty_panel(4, 6), n_replicates=1000, seed=1)
    assert found.ranks.shape == (1000, 3 + 6 + 1)
    assert found.p_value > 1e-3, found.p_values
    assert (abs(found.coverage(0.9) - 0.9) < 4 * np.sqrt(0.09 / 1000)).all()
    assert "1000 replicates x 10 ranks among 99 draws (0 left out" in repr(found)


@pytest.mark.bits
def test_a_replicate_depends_on_its_number_alone():
    arguments = {"n_draws": 19, "seed": 2}
    design = empty_panel(3, 4)
    alone = next(replicate(OBSERVED, design, first=4, **arguments))
    of_many = list(itertools.islice(replicate(OBSERVED, design, **arguments), 5))[4]
    assert alone == of_many
    assert of_many.ranks != next(replicate(OBSERVED, design, n_draws=19, seed=3)).ranks


def test_numbers_are_ranked_once():
    """Constants, copies and complements say nothing new."""
    p = np.random.default_rng(1).random((9, 1))
    draws = {"law": np.hstack([p, 1 - p]), "known": np.ones((9, 2)), "other": p[:, 0] ** 2}
    chosen = _choose_numbers(draws, ("dormant", "active"))
    assert chosen == {"law[dormant]": ("law", (0,)), "other": ("other", ())}


def test_the_loglik_is_the_sum_over_paths():
    from scipy.stats import poisson

    panel = simulate_panel(VISITS, empty_panel(2, 4), LAW, rng=_rng())
    other = {**LAW, "visits_rate": np.array([1.0, 4.0])}
    draws = {name: np.stack([LAW[name], other[name]]) for name in LAW}
    found = _logliks(VISITS, panel, LAW, draws)
    for value, parameters in zip(found, (LAW, LAW, other), strict=True):
        rows = poisson.logpmf(panel["visits"].values[..., None], parameters["visits_rate"])
        matrices = [parameters["transition_matrix"].tolist()] * 3
        total = sum(
            paths.loglik(parameters["initial_probs"], matrices, row.tolist()) for row in rows
        )
        assert value == pytest.approx(total, rel=1e-10)


def test_runs_that_moved_badly_are_left_out_and_counted():
    ranks = {"p": 3}
    rows = [
        Replicate(n, ranks, *run)
        for n, run in enumerate([(400.0, 400, 4), (12.0, 3200, 0), (400.0, 400, 5)])
    ]
    found = Calibration.gather(rows, 19)
    assert found.moved_well.tolist() == [True, False, False]
    assert found.coverage().tolist() == [1.0]


@pytest.mark.sampling
def test_the_sampler_is_calibrated_on_a_few_worlds(loyalty_model):
    """Twelve worlds only: that the way through the sampler is whole. The study is elsewhere."""
    found = calibrate(loyalty_model, empty_panel(12, 6), n_replicates=12, n_draws=19, seed=6)
    assert found.p_value > 1e-4
    assert (found.runs["ess"] > 19).sum() >= 10


def test_wrong_numbers_are_all_named():
    with pytest.raises(SpecError, match=r"(?s)n_replicates.*n_draws"):
        calibrate(OBSERVED, empty_panel(2, 2), n_replicates=0, n_draws=-1, seed=1)
    with pytest.raises(SpecError, match="n_periods"):
        empty_panel(3, 0)


@pytest.mark.parametrize("name", CASES)
def test_every_case_of_the_study_can_be_simulated_and_read(name):
    case = CASES[name]
    parameters = next(draw_prior(case.model, case.design, seed=2))
    panel = simulate_panel(case.model, case.design, parameters, rng=_rng())
    case.model.check(panel)
    assert isinstance(panel, xr.Dataset)
