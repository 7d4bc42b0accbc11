"""Value where every customer moves by a matrix of their own: against every path, one by one."""

import itertools
import math

import numpy as np
import pytest
import xarray as xr

import crmlab as crm
from crmlab import policy, value
from crmlab.actions import Action
from crmlab.errors import SpecError
from crmlab.inference import Fit
from crmlab.prediction import transition_matrices
from tests import test_covariates
from tests.oracles import paths
from tests.ragged import LAST, SPACE
from tests.test_covariates import (
    AGE,
    CONTACTS,
    DIFFERING,
    MOVING,
    ORDERED,
    SEASON,
    SEEN,
    STEP_BACK,
    K,
    N,
    draw_of,
    hand_made_fit,
    problem,
    rows_by_hand,
)

panel = test_covariates.panel
MARGIN = np.array([3.0, 10.0, -1.0])
RATE, AHEAD = 0.05, 3
LAWS = pytest.mark.parametrize("transitions", [MOVING, STEP_BACK, ORDERED["ordered"]], ids=repr)


def last_covariates(transitions, panel, n):
    """Of the last period in which the customer was observed; 0 of one who never was."""
    at = max(LAST[n], 0)
    known = {
        CONTACTS: panel[CONTACTS].values[n, at] if n in SEEN else 0.0,
        AGE: panel[AGE].values[n],
        SEASON: panel[SEASON].values[at],
    }
    return {name: known[name] for name in transitions.covariates}


def start_of(fit, panel, draw, n):
    if n in SEEN:
        return np.array(paths.filtered(*problem(fit, panel, draw, n))[-1])
    return np.array(draw_of(fit, draw)["initial_probs"])


def worth_of_paths(start, matrix, margins, rate):
    """Discounted margins of the next periods, over every path of stages."""
    total = 0.0
    for path in itertools.product(range(K), repeat=AHEAD + 1):
        prob = start[path[0]]
        for i, j in itertools.pairwise(path):
            prob *= matrix[i][j]
        total += prob * sum(margins[s] / (1 + rate) ** (h + 1) for h, s in enumerate(path[1:]))
    return total


@LAWS
def test_every_customer_has_the_matrix_of_the_last_covariates(transitions, panel):
    fit = hand_made_fit(transitions, panel)
    found = transition_matrices(fit)
    assert found.dims == ("chain", "draw", "customer_id", "stage_from", "stage_to")
    by_hand = np.array(
        [
            [
                rows_by_hand(
                    transitions,
                    SPACE,
                    draw_of(fit, d),
                    last_covariates(transitions, panel, n),
                    None,
                )
                for n in range(N)
            ]
            for d in range(2)
        ]
    )
    assert found.values[0] == pytest.approx(by_hand, abs=1e-12)
    together = transition_matrices(fit, by="population")
    assert together.dims == ("chain", "draw", "stage_from", "stage_to")
    assert together.values[0] == pytest.approx(by_hand.mean(axis=1), abs=1e-12)


def test_covariates_may_be_set(panel):
    fit = hand_made_fit(MOVING, panel)
    found = transition_matrices(fit, at={CONTACTS: 2.0, SEASON: -1.0})
    for d, n in itertools.product(range(2), range(N)):
        x = {CONTACTS: 2.0, AGE: panel[AGE].values[n], SEASON: -1.0}
        by_hand = rows_by_hand(MOVING, SPACE, draw_of(fit, d), x, None)
        assert found.values[0, d, n] == pytest.approx(by_hand, abs=1e-12)


@LAWS
def test_value_and_purchases_are_those_of_all_paths(transitions, panel):
    fit = hand_made_fit(transitions, panel)
    worth = value.lifetime_value(fit, margin=MARGIN, discount_rate=RATE, n_periods=AHEAD)
    bought = value.expected_purchases(fit, channel="visits", n_periods=AHEAD)
    assert worth.dims == bought.dims == ("chain", "draw", "customer_id")
    for d, n in itertools.product(range(2), range(N)):
        parameters, start = draw_of(fit, d), start_of(fit, panel, d, n)
        matrix = rows_by_hand(
            transitions, SPACE, parameters, last_covariates(transitions, panel, n), None
        )
        by_hand = worth_of_paths(start, matrix, MARGIN, RATE)
        assert worth.values[0, d, n] == pytest.approx(by_hand, rel=1e-10)
        by_hand = worth_of_paths(start, matrix, parameters["visits_rate"], 0.0)
        assert bought.values[0, d, n] == pytest.approx(by_hand, rel=1e-10)


def test_customers_with_effects_are_valued_by_all_they_may_be_like(panel):
    """Against quadrature with 60 nodes."""
    fit = hand_made_fit(DIFFERING, panel)
    found = value.lifetime_value(fit, margin=MARGIN, discount_rate=RATE, n_periods=AHEAD)
    mean = transition_matrices(fit)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    moving = SPACE.mask & ~np.eye(K, dtype=bool)
    for d, n in itertools.product(range(2), SEEN):
        parameters = draw_of(fit, d)
        x, total, matrices, norm = last_covariates(DIFFERING, panel, n), 0.0, 0.0, 0.0
        for node, weight in zip(nodes, weights / math.sqrt(2 * math.pi), strict=True):
            offset = node * parameters["customer_sd"][0, 1] * moving
            asked = problem(fit, panel, d, n, offset)
            share = weight * math.exp(paths.loglik(*asked))
            matrix = rows_by_hand(DIFFERING, SPACE, parameters, x, offset)
            start = paths.filtered(*asked)[-1]
            total += share * worth_of_paths(start, matrix, MARGIN, RATE)
            matrices, norm = matrices + share * matrix, norm + share
        assert found.values[0, d, n] == pytest.approx(total / norm, abs=0.1)
        assert mean.values[0, d, n] == pytest.approx(matrices / norm, abs=0.005)


def plain_and_idle(panel):
    """The same matrices twice: as they are, and as a model whose covariates do nothing."""
    idle = hand_made_fit(MOVING, panel)
    posterior = idle.posterior
    posterior = posterior.assign(
        {name: xr.zeros_like(posterior[name]) for name in posterior if name.endswith("_effect")}
    )
    odds = np.where(SPACE.mask, np.exp(posterior["base_logits"].values), 0.0)
    odds[..., np.arange(K), np.arange(K)] = 1.0
    dims = ("chain", "draw", "stage_from", "stage_to")
    matrix = (dims, odds / odds.sum(axis=-1, keepdims=True))
    names = {dim: list(SPACE.names) for dim in dims[2:]}
    kept = posterior[["initial_probs", "visits_rate"]]
    single = kept.assign(transition_matrix=matrix).assign_coords(names)
    model = crm.HiddenMarkov(
        SPACE, channels=idle.model.channels, initial_probs=idle.model.initial_probs
    )
    return (
        Fit(model, panel, xr.DataTree.from_dict({"posterior": single})),
        Fit(idle.model, panel, xr.DataTree.from_dict({"posterior": posterior})),
    )


OFFER = Action("offer", cost=1.0, effects={("loyal", "lost"): -0.7})
ASKED = {
    "customers": lambda fit: value.lifetime_value(fit, margin=MARGIN, discount_rate=RATE),
    "the current period too": lambda fit: value.lifetime_value(
        fit, margin=MARGIN, discount_rate=RATE, first="current", timing="end", n_periods=4
    ),
    "stages": lambda fit: value.lifetime_value(fit, margin=MARGIN, discount_rate=RATE, by="stage"),
    "the base": lambda fit: value.value_of_base(fit, margin=MARGIN, discount_rate=RATE)["mean"],
    "the spread": lambda fit: value.lifetime_spread(fit, margin=MARGIN, discount_rate=RATE)[
        "total"
    ],
    "purchases": lambda fit: value.expected_purchases(fit, channel="visits", n_periods=5),
    "a decision": lambda fit: policy.decide(fit, (OFFER,), margin=MARGIN, discount_rate=RATE)[
        "value"
    ],
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_covariates_without_effect_change_nothing(ask, panel):
    plain, idle = plain_and_idle(panel)
    np.testing.assert_allclose(ask(idle), ask(plain).transpose(*ask(idle).dims), rtol=1e-12)


def test_a_decision_and_the_value_of_stages_count_the_same_periods(panel):
    fit = hand_made_fit(MOVING, panel)
    for first in ("next", "current"):
        options = {"margin": MARGIN, "discount_rate": RATE, "first": first, "at": {AGE: 1.0}}
        found = policy.decide(fit, (OFFER,), **options)["value_untreated"]
        by_stage = value.lifetime_value(fit, by="stage", **options)
        np.testing.assert_allclose(found, by_stage, rtol=1e-10)


def test_what_is_no_covariate_or_no_number_is_refused(panel):
    plain, idle = plain_and_idle(panel)
    for fit, words in (
        (plain, "'contacts' is not among"),
        (idle, "must be set to a finite number"),
    ):
        with pytest.raises(SpecError, match=words):
            transition_matrices(fit, at={CONTACTS: math.nan})
        with pytest.raises(SpecError, match=f"(?s)lifetime_value: `at`.*{words}"):
            value.lifetime_value(fit, margin=MARGIN, discount_rate=RATE, at={CONTACTS: math.inf})
    with pytest.raises(SpecError, match="'customer' or 'population', got 'stage'"):
        transition_matrices(idle, by="stage")
