"""How well models predict customers and periods that they have not seen."""

import itertools
import math

import arviz
import numpy as np
import pytest
import xarray as xr
from scipy.special import gammaln

import crmlab as crm
from crmlab.errors import SpecError
from crmlab.evaluation import compare_fits, judge_decoder, leave_future_out
from crmlab.evaluation.decoding import brier_score
from crmlab.inference import Fit
from tests import test_covariates
from tests.oracles import gibbs, paths
from tests.ragged import SPACE
from tests.test_covariates import (
    DIFFERING,
    MOVING,
    SEEN,
    hand_made_fit,
    integrate,
    problem,
)

panel = test_covariates.panel

OBSERVED = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(stickiness=1.0))
MATRIX = ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1), (0.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def reports():
    """Forty customers who say in each of six months in which stage they are."""
    label = crm.StageLabel("stage", confusion=np.eye(3))
    world = crm.StageWorld(SPACE, (0.6, 0.3, 0.1), MATRIX, (label,), n_periods=6)
    return crm.to_panel(crm.simulate(world, 40, seed=2), freq="M")


# The log-likelihood of a customer -----------------------------------------------------------------


def test_the_loglik_of_a_customer_is_the_sum_over_all_paths(panel):
    fit = hand_made_fit(MOVING, panel)
    found = crm.prediction.customer_loglik(fit)["log_likelihood"]["customer"]
    assert found.dims == ("chain", "draw", "customer_id")
    assert found["customer_id"].values.tolist() == panel["customer_id"].values[:4].tolist()
    for draw, n in itertools.product(range(2), SEEN):
        expected = paths.loglik(*problem(fit, panel, draw, n))
        assert float(found[0, draw, n]) == pytest.approx(expected, abs=1e-10)


def test_what_a_customer_is_like_is_averaged_out_of_her_loglik(panel):
    """Against quadrature with 60 nodes, on histories of at most four periods."""
    fit = hand_made_fit(DIFFERING, panel)
    found = crm.prediction.customer_loglik(fit)["log_likelihood"]["customer"].values
    for draw, n in itertools.product(range(2), SEEN):
        total = integrate(fit, panel, draw, n, lambda *given: math.exp(paths.loglik(*given)))
        expected = math.log(total / math.sqrt(2 * math.pi))
        assert found[0, draw, n] == pytest.approx(expected, abs=0.01)


# Leaving a customer out ---------------------------------------------------------------------------


def dirichlet_log_marginal(weights, counts):
    """Log-probability of a sequence with these counts under a Dirichlet law, its order given."""
    used = weights > 0
    a, n = weights[used], counts[used]
    return gammaln(a.sum()) - gammaln((a + n).sum()) + (gammaln(a + n) - gammaln(a)).sum()


def test_leaving_a_customer_out_is_right_where_it_has_a_closed_form(reports):
    """Observed stages: without customer n, the law of her moves is Dirichlet-multinomial.

    The tolerance is five standard errors of the importance weights; with 40 customers a correct
    program fails in less than 1 of 10,000 cases.
    """
    fit = crm.fit(OBSERVED, reports, draws=400, seed=1)
    tree = crm.prediction.customer_loglik(fit)
    found = arviz.loo(tree, pointwise=True)
    logliks = tree["log_likelihood"]["customer"].values.reshape(800, -1)
    alpha = OBSERVED.transitions.alpha(SPACE)
    moves, starts = OBSERVED.count_moves(reports), OBSERVED.count_starts(reports)
    for n in range(40):
        alone = reports.isel(customer_id=[n])
        mine, start = OBSERVED.count_moves(alone), OBSERVED.count_starts(alone)
        expected = dirichlet_log_marginal(1.0 + starts - start, start) + sum(
            dirichlet_log_marginal(alpha[i] + moves[i] - mine[i], mine[i]) for i in range(3)
        )
        ratios = np.exp(-logliks[:, n] + logliks[:, n].min())
        error = ratios.std() / ratios.mean() / np.sqrt(800)
        assert float(found.elpd_i[n]) == pytest.approx(expected, abs=5 * error + 1e-3)
    assert float(found.pareto_k.max()) < 0.7


STAGES = ("quiet", "busy", "busiest")


def counted_fit(panel, n_stages, rng):
    """A fit of a chain with Poisson counts, its draws made by another program."""
    space = crm.StageSpace(STAGES[:n_stages])
    order = "visits_rate" if n_stages > 1 else None
    model = crm.HiddenMarkov(space, crm.StickyDirichlet(), (crm.Poisson("visits"),), order)
    rate, initial, matrix = gibbs.poisson_chains(panel["visits"].values, n_stages, 250, rng)
    draws = xr.Dataset(
        {
            "visits_rate": (("chain", "draw", "stage"), rate[None]),
            "initial_probs": (("chain", "draw", "stage"), initial[None]),
            "transition_matrix": (("chain", "draw", "stage_from", "stage_to"), matrix[None]),
        },
        coords={"chain": [0], "draw": np.arange(250)},
    )
    return Fit(model, panel, xr.DataTree.from_dict({"posterior": draws}))


def choose_number_of_stages(seed, n_customers=60):
    """Fewest stages within two standard errors of the best, for a world that has two."""
    rates, matrix = (0.5, 3.0), ((0.85, 0.15), (0.2, 0.8))
    visits = crm.Poisson("visits", rate=rates)
    world = crm.StageWorld(crm.StageSpace(STAGES[:2]), (0.5, 0.5), matrix, (visits,), n_periods=8)
    panel = crm.to_panel(crm.simulate(world, n_customers, seed=seed), freq="M")
    rng = np.random.default_rng(seed)
    table = compare_fits({str(k): counted_fit(panel, k, rng) for k in (1, 2, 3)})
    near = table["elpd_diff"].abs() <= 2 * table["dse"]
    return int(min(table.index[near])), table


@pytest.mark.parametrize("seed", [1, 2])
def test_the_number_of_stages_is_found(seed):
    """Of 25 worlds (other seeds, beside the suite) the rule chose two stages in 25."""
    chosen, table = choose_number_of_stages(seed)
    assert chosen == 2
    assert table.loc["1", "elpd_diff"] < -5 * table.loc["1", "dse"] or table.index[-1] == "1"


def test_only_fits_to_the_same_data_are_compared(reports):
    fit = crm.fit(OBSERVED, reports, draws=20, seed=1)
    with pytest.raises(SpecError, match="two or more fits"):
        compare_fits({"alone": fit})
    fewer = crm.fit(OBSERVED, reports.isel(customer_id=slice(30)), draws=20, seed=1)
    changed = reports.assign(stage=reports["stage"].where(reports["period"] > 1))
    lost = crm.fit(OBSERVED, changed, draws=20, seed=1)
    other = crm.fit(
        crm.ObservedMarkov(SPACE, label="said"), reports.rename(stage="said"), draws=20, seed=1
    )
    with pytest.raises(SpecError) as error:
        compare_fits({"one": fit, "fewer": fewer, "lost": lost, "other": other})
    for words in ("'fewer' was fitted to other data than 'one' (other customers)", "other cells",
                  "(other channels)"):  # fmt: skip
        assert words in str(error.value)


# Leaving the future out ---------------------------------------------------------------------------


def exact_future(panel, first, known=None):
    """Sum over customers of the log predictive probability, period by period.

    `known` = number of periods from which all are predicted; the periods before each if left out.
    """
    labels = panel["stage"].values.astype(int)
    totals = []
    for t in range(first, labels.shape[1]):
        past = panel.isel(period=slice(known or t))
        weights = OBSERVED.transitions.alpha(SPACE) + OBSERVED.count_moves(past)
        probs = weights / weights.sum(axis=1, keepdims=True)
        totals.append(np.log(probs[labels[:, t - 1], labels[:, t]]).sum())
    return np.array(totals)


@pytest.mark.parametrize(("k_limit", "error"), [(0.7, 0.4), (1e-9, 0.4)])
def test_the_future_is_predicted_from_the_past_alone(k_limit, error, reports):
    """Observed stages: each period's predictive law is a ratio of counts.

    The weights of up to three periods leave some 100 of 500 draws, so a period's sum over 40
    customers, with a posterior standard deviation near 0.8, is known to 0.08: five times that.
    """
    found = leave_future_out(OBSERVED, reports, first=2, k_limit=k_limit, draws=250, seed=3)
    expected = exact_future(reports, 2)
    assert found.periods["elpd"].values == pytest.approx(expected, abs=error)
    stale = exact_future(reports, 2, known=2)
    assert np.abs(stale - expected).max() > 2 * error, "draws of the first fit alone would pass"
    assert found.elpd == pytest.approx(found.periods["elpd"].sum(), abs=1e-9)
    refitted, k = found.periods["refitted"].values, found.periods["pareto_k"].values
    assert refitted[0]
    assert (k[refitted] == 0).all()
    assert (k <= k_limit).all()
    assert refitted.sum() > 1 or k_limit > 0.1
    assert (found.periods["customers"] == 40).all()
    assert 0 < found.standard_error < abs(found.elpd)


@pytest.mark.bits
def test_a_future_score_is_repeatable(reports):
    one, two = (leave_future_out(OBSERVED, reports, first=4, draws=50, seed=1) for _ in range(2))
    assert one.elpd == two.elpd


@pytest.mark.parametrize("first", [0, 6, 2.0])
def test_a_first_fit_needs_periods_before_and_behind(first, reports):
    with pytest.raises(SpecError, match="`first` must be a number of periods from 1 to 5"):
        leave_future_out(OBSERVED, reports, first=first, seed=1)


# Judging a decoder --------------------------------------------------------------------------------


def test_a_decoder_is_judged_where_there_is_something_to_judge():
    probs = np.array([[[0.9, 0.1], [0.7, 0.3]], [[0.2, 0.8], [np.nan, np.nan]]])
    found = judge_decoder(probs, [[0, 1], [-1, 1]], n_bins=2)
    assert found.brier_score == pytest.approx((0.02 + 0.98) / 2)
    assert found.log_score == pytest.approx((math.log(0.9) + math.log(0.3)) / 2)
    # Below one half: said (0.1 + 0.3) / 2, came true 1 of 2; above: (0.9 + 0.7) / 2, 1 of 2.
    assert found.calibration_error == pytest.approx(0.3)
    assert "off by 30.0 points" in found.sentence


def test_the_oracle_is_calibrated_and_a_boaster_is_not():
    rng = np.random.default_rng(4)
    probs = rng.dirichlet((0.7, 0.7, 0.7), size=(2000, 3))
    truth = (rng.random((2000, 3, 1)) > np.cumsum(probs, axis=-1)).sum(axis=-1)
    honest = judge_decoder(probs, truth)
    loud = probs**3 / (probs**3).sum(axis=-1, keepdims=True)
    boaster = judge_decoder(loud, truth)
    # 18,000 statements in 10 bins: chance alone gives about 0.005.
    assert honest.calibration_error < 0.015 < 0.05 < boaster.calibration_error
    assert honest.log_score > boaster.log_score
    assert honest.brier_score < boaster.brier_score


def test_brier_of_ignorance():
    assert brier_score(np.full((3, 4), 0.25), [0, 1, 2]) == pytest.approx(0.75)
