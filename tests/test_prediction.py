import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.inference import Fit
from crmlab.prediction import draws as kept
from tests.oracles import panels, paths
from tests.ragged import (
    FIRST,
    KNOWN,
    LAST,
    MATRIX,
    SPACE,
    cells_of,
    given_parameters,
    oracle_laws,
    ragged_panel,
)

N, T, K = 5, 4, 3
SEEN = range(4)  # the fifth customer was never observed
KINDS = ("filtered", "predicted", "smoothed")
MODEL = crm.HiddenMarkov(SPACE, channels=KNOWN)


def hand_made_fit(panel, n_chains=2, n_draws=3, model=MODEL):
    """A fit whose draws are known: transitions and initial law vary, channels are given."""
    rng = np.random.default_rng(1)
    size = (n_chains, n_draws)
    matrix = np.zeros((*size, K, K))
    for k in range(K):
        allowed = SPACE.mask[k]
        matrix[:, :, k, allowed] = rng.dirichlet(np.ones(allowed.sum()), size)
    known = {
        name: (
            ("chain", "draw", "stage", "stage_to")[: 2 + value.ndim],
            np.broadcast_to(value, (*size, *value.shape)),
        )
        for name, value in given_parameters(model.channels).items()
    }
    names = list(SPACE.names)
    posterior = xr.Dataset(
        {
            "initial_probs": (("chain", "draw", "stage"), rng.dirichlet(np.ones(K), size)),
            "transition_matrix": (("chain", "draw", "stage_from", "stage_to"), matrix),
            **known,
        },
        coords={
            "chain": np.arange(n_chains),
            "draw": np.arange(n_draws),
            "stage": names,
            "stage_from": names,
            "stage_to": names,
        },
    )
    return Fit(model, panel, xr.DataTree.from_dict({"posterior": posterior}))


N_FUTURES = 4000
INITIAL = np.array([0.2, 0.7, 0.1])


def strangers(panel, model=MODEL):
    """A fit with two equal draws, to many customers who were never observed: futures to count."""
    crowd = panel.isel(customer_id=np.full(N_FUTURES // 2, 4))
    crowd = crowd.assign_coords(customer_id=np.arange(N_FUTURES // 2))
    fit = hand_made_fit(crowd, 1, 2, model)
    parameters = {"initial_probs": INITIAL, "transition_matrix": np.array(MATRIX)}
    same = {
        name: fit.posterior[name].copy(data=np.broadcast_to(value, (1, 2, *value.shape)))
        for name, value in parameters.items()
    }
    return replace(fit, idata=xr.DataTree.from_dict({"posterior": fit.posterior.assign(same)}))


@pytest.fixture(scope="module")
def panel():
    return ragged_panel()


@pytest.fixture(scope="module")
def fit(panel):
    return hand_made_fit(panel)


def problem(panel, fit, draw, customer):
    """Initial law, matrices and evidence of one customer under one draw, for the oracle."""
    chain, index = divmod(draw, fit.posterior.sizes["draw"])
    one = fit.posterior.isel(chain=chain, draw=index)
    values = {name: array.values for name, array in one.data_vars.items()}
    cells = cells_of(panel, [channel.name for channel in KNOWN])
    logs = panels.evidence(cells, oracle_laws(values), K, customer, FIRST[customer], LAST[customer])
    matrix = values["transition_matrix"]
    return values["initial_probs"], [matrix] * (len(logs) - 1), logs


# Where customers stood ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_equal_enumeration_for_every_draw(panel, fit, kind):
    found = crm.stage_probs(fit, kind=kind)
    assert found.dims == ("chain", "draw", "customer_id", "period", "stage")
    assert found.shape == (2, 3, N, T, K)
    for draw, n in itertools.product(range(6), SEEN):
        expected = getattr(paths, kind)(*problem(panel, fit, draw, n))
        values = found.values[*divmod(draw, 3), n]
        window = slice(FIRST[n], LAST[n] + 1)
        assert values[window] == pytest.approx(np.array(expected), abs=1e-10)
        assert np.isnan(np.delete(values, np.arange(T)[window], axis=0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_customer_who_was_never_observed_has_no_probabilities(fit, kind):
    found = crm.stage_probs(fit, kind=kind)
    assert found.isel(customer_id=4).isnull().all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_average_is_the_mean_over_draws(fit, kind):
    whole = crm.stage_probs(fit, kind=kind).mean(("chain", "draw"), skipna=False)
    average = crm.stage_probs(fit, kind=kind, average=True)
    assert average.dims == ("customer_id", "period", "stage")
    xr.testing.assert_allclose(average, whole, rtol=1e-12)


def test_coordinates_are_those_of_the_panel_and_the_space(panel, fit):
    found = crm.stage_probs(fit, kind="filtered")
    assert found["stage"].values.tolist() == list(SPACE.names)
    assert found["customer_id"].equals(panel["customer_id"])
    assert found["period"].equals(panel["period"])


@pytest.mark.parametrize("kind", KINDS)
def test_other_customers_are_scored_as_if_they_had_been_there(panel, fit, kind):
    some = panel.isel(customer_id=[3, 0])
    found = crm.stage_probs(fit, kind=kind, panel=some)
    xr.testing.assert_allclose(found, crm.stage_probs(fit, kind=kind).isel(customer_id=[3, 0]))


def test_one_customer_and_one_draw(panel):
    fit = hand_made_fit(panel.isel(customer_id=[0]), 1, 1)
    found = crm.stage_probs(fit, kind="smoothed")
    assert found.shape == (1, 1, 1, T, K)
    assert found.values[0, 0, 0] == pytest.approx(
        np.array(paths.smoothed(*problem(panel, fit, 0, 0))), abs=1e-10
    )


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_was_seen_the_chain_runs_on_alone(panel, fit, kind):
    blank = panel.isel(customer_id=[0])
    blank = blank.assign({c.name: blank[c.name] * np.nan for c in KNOWN})
    found = crm.stage_probs(fit, kind=kind, panel=blank).values[:, :, 0]
    probs = fit.posterior["initial_probs"].values[:, :, None]
    for t in range(T):
        assert found[:, :, t] == pytest.approx(probs[:, :, 0], abs=1e-12)
        probs = probs @ fit.posterior["transition_matrix"].values


def test_a_customer_without_events_is_evidence(panel, fit):
    """Zeros inside the window are seen, and speak for the stages with few visits."""
    silent = panel.isel(customer_id=[0])
    silent = silent.assign(visits=silent["visits"] * 0, spend=silent["spend"] * 0)
    silent = silent.assign({name: silent[name] * np.nan for name in ("survey", "report")})
    found = crm.stage_probs(fit, kind="smoothed", panel=silent, average=True)
    blank = silent.assign({c.name: silent[c.name] * np.nan for c in KNOWN})
    unseen = crm.stage_probs(fit, kind="smoothed", panel=blank, average=True)
    assert (found.sel(stage="loyal") < unseen.sel(stage="loyal")).all()


@pytest.mark.bits
def test_a_panel_may_list_its_dims_the_other_way_round(panel, fit):
    turned = panel.transpose("period", "customer_id")
    for kind in KINDS:
        found = crm.stage_probs(fit, kind=kind, panel=turned)
        assert found.identical(crm.stage_probs(fit, kind=kind))


def test_a_panel_of_nobody_observed(panel, fit):
    nobody = panel.isel(customer_id=[4])
    assert crm.stage_probs(fit, kind="smoothed", panel=nobody).isnull().all()
    assert (crm.most_likely_path(fit, panel=nobody) == "").all()
    future = crm.forecast(fit, n_periods=2, seed=1, panel=nobody)
    assert future["stage_probs"].notnull().all()


def test_an_impossible_history_is_not_scored_in_silence(panel):
    """Under a matrix that forbids what was reported without error, no probability is made up."""
    exact = crm.ObservedMarkov(SPACE, label="report")
    fit = hand_made_fit(panel, 1, 1, exact)
    back = panel.isel(customer_id=[0])
    back = back.assign(report=back["report"].copy(data=[[2.0, 2.0, 2.0, 2.0]]))
    stuck = np.zeros((1, 1, K, K))
    stuck[..., :, 0] = 1.0  # everybody is new again: "lost" twice is impossible
    posterior = fit.posterior.assign(
        transition_matrix=fit.posterior["transition_matrix"].copy(data=stuck)
    )
    fit = replace(fit, idata=xr.DataTree.from_dict({"posterior": posterior}))
    assert crm.stage_probs(fit, kind="filtered", panel=back).isel(period=1).isnull().all()


# Draws and memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draws", "kept"), [(1, [0]), (2, [0]), (4, [0, 99]), (6, [0, 50, 99]), (1000, range(100))]
)
def test_draws_are_thinned_evenly_from_every_chain(panel, draws, kept):
    fit = hand_made_fit(panel.isel(customer_id=[0]), 2, 100)
    found = crm.stage_probs(fit, kind="filtered", draws=draws)
    assert found["chain"].values.tolist() == [0, 1]
    assert found["draw"].values.tolist() == list(kept)
    whole = crm.stage_probs(fit, kind="filtered", draws=200)
    xr.testing.assert_allclose(found, whole.sel(draw=list(kept)))


def test_a_result_over_the_memory_budget_is_refused_with_a_way_out(fit, monkeypatch):
    monkeypatch.setattr(kept, "MEMORY_BUDGET", 8 * 6 * N * T * K - 1)
    with pytest.raises(SpecError) as error:
        crm.stage_probs(fit, kind="filtered")
    for words in ("for 6 draws", "`average=True`", "fewer `draws`", "panel with fewer"):
        assert words in str(error.value)
    assert crm.stage_probs(fit, kind="filtered", average=True).shape == (N, T, K)
    assert crm.stage_probs(fit, kind="filtered", draws=4).sizes["draw"] == 2


def test_a_forecast_over_the_memory_budget_is_refused(fit, monkeypatch):
    n_numbers = 6 * N * 9 * (K + len(KNOWN))
    monkeypatch.setattr(kept, "MEMORY_BUDGET", 8 * n_numbers - 1)
    with pytest.raises(SpecError, match="forecast would need"):
        crm.forecast(fit, n_periods=9, seed=1)
    crm.forecast(fit, n_periods=9, seed=1, average=True)
    monkeypatch.setattr(kept, "MEMORY_BUDGET", 8 * n_numbers)
    crm.forecast(fit, n_periods=9, seed=1)


# The most likely path -----------------------------------------------------------------------------


def test_the_most_likely_path_equals_enumeration(panel):
    fit = hand_made_fit(panel, 1, 1)
    found = crm.most_likely_path(fit)
    assert found.dims == ("customer_id", "period")
    for n in SEEN:
        initial, matrices, logs = problem(panel, fit, 0, n)
        window = found.values[n, FIRST[n] : LAST[n] + 1]
        path = tuple(SPACE.index(name) for name in window)
        best = paths.best_log_joint(initial, matrices, logs)
        assert paths.log_joint(initial, matrices, logs, path) == pytest.approx(best, abs=1e-10)
        assert (np.delete(found.values[n], np.arange(FIRST[n], LAST[n] + 1)) == "").all()
    assert (found.values[4] == "").all()


@pytest.mark.bits
def test_the_path_is_taken_at_the_posterior_mean(panel):
    fit = hand_made_fit(panel, 2, 3)
    mean = fit.posterior.mean(("chain", "draw")).expand_dims(chain=[0], draw=[0])
    at_mean = replace(fit, idata=xr.DataTree.from_dict({"posterior": mean}))
    assert crm.most_likely_path(fit).equals(crm.most_likely_path(at_mean))


# Where customers go -------------------------------------------------------------------------------


def test_the_forecast_is_the_filtered_law_times_powers_of_the_matrix(fit):
    future = crm.forecast(fit, n_periods=5, seed=1)
    assert future["stage_probs"].dims == ("chain", "draw", "customer_id", "horizon", "stage")
    assert future["horizon"].values.tolist() == [1, 2, 3, 4, 5]
    filtered = crm.stage_probs(fit, kind="filtered").values
    now = np.stack(
        [filtered[:, :, n, LAST[n]] for n in SEEN] + [fit.posterior["initial_probs"].values],
        axis=2,
    )
    assert crm.current_stage_probs(fit).values == pytest.approx(now, abs=1e-12)
    for h in range(1, 6):
        power = np.linalg.matrix_power(fit.posterior["transition_matrix"].values, h)
        found = future["stage_probs"].sel(horizon=h).values
        assert found == pytest.approx(now @ power, abs=1e-12)


@pytest.fixture(scope="module")
def futures(panel):
    """Many futures of one law, and their stage probabilities by horizon, from plain products."""
    future = crm.forecast(strangers(panel), n_periods=3, seed=5)
    future = future.stack(future=("chain", "draw", "customer_id"))
    probs = [INITIAL @ np.linalg.matrix_power(np.array(MATRIX), h) for h in (1, 2, 3)]
    return future, np.array(probs)


def assert_mean(draws, probs, stage_means, stage_variances):
    """Mean over futures within five standard errors of the mixture over stages."""
    mean = probs @ stage_means
    variance = probs @ (np.asarray(stage_variances) + np.square(stage_means)) - mean**2
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / len(draws))


@pytest.mark.parametrize("h", [0, 1, 2])
def test_sampled_channels_have_the_expectation_of_their_stages(futures, h):
    future, probs = futures
    stranger = future.isel(horizon=h)
    rate, prob = np.array(KNOWN[0].rate), np.array(KNOWN[1].prob)
    assert_mean(stranger["visits"].values, probs[h], rate, rate)
    assert_mean(stranger["complaint"].values, probs[h], prob, prob * (1 - prob))
    spending, median, sigma = (KNOWN[2].known[name] for name in ("prob", "median", "sigma"))
    amount = [stats.lognorm(s=s, scale=m) for s, m in zip(sigma, median, strict=True)]
    means = spending * np.array([dist.mean() for dist in amount])
    squares = spending * np.array([dist.moment(2) for dist in amount])
    assert_mean(stranger["spend"].values, probs[h], means, squares - means**2)


@pytest.mark.parametrize("h", [0, 1, 2])
def test_sampled_answers_have_the_frequencies_of_their_stages(futures, h):
    future, probs = futures
    stranger = future.isel(horizon=h)
    levels = probs[h] @ KNOWN[3].level_probs(KNOWN[3].known["location"])
    _assert_frequencies(stranger["survey"].values, levels, 0.6, first=1)
    reported = probs[h] @ KNOWN[4].known["confusion"]
    _assert_frequencies(stranger["report"].values, reported, 0.6, first=0)


def _assert_frequencies(draws, probs, response_rate, first):
    """Chi-square test of size 1e-6, silence being one of the answers."""
    counts = [(draws == first + k).sum() for k in range(len(probs))]
    counts, probs = np.array([*counts, np.isnan(draws).sum()]), response_rate * probs
    probs = np.append(probs, 1 - response_rate)
    assert counts.sum() == len(draws)
    statistic = ((counts - len(draws) * probs) ** 2 / (len(draws) * probs)).sum()
    assert statistic < stats.chi2.isf(1e-6, len(probs) - 1)


def test_sampled_futures_walk_by_the_matrix(panel):
    """With reports that are never wrong the sampled path is seen, and pairs can be counted."""
    fit = strangers(panel, crm.ObservedMarkov(SPACE, label="report"))
    path = crm.forecast(fit, n_periods=2, seed=9)["report"].values.reshape(N_FUTURES, 2)
    counts = np.zeros((K, K))
    np.add.at(counts, tuple(path.astype(int).T), 1)
    expected = N_FUTURES * (INITIAL @ MATRIX)[:, None] * np.array(MATRIX)
    assert (counts[expected == 0] == 0).all()
    possible = expected > 0
    statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert statistic < stats.chi2.isf(1e-6, possible.sum() - 1)


def test_a_stage_channel_called_stage_keeps_its_forecast(panel):
    model = crm.ObservedMarkov(SPACE)
    renamed = panel.rename(report="stage")
    fit = hand_made_fit(renamed, 1, 2, model)
    future = crm.forecast(fit, n_periods=2, seed=1)
    assert set(future.data_vars) == {"stage_probs", "stage_reported"}
    assert set(np.unique(future["stage_reported"])) <= {0.0, 1.0, 2.0}


def test_the_average_forecast_is_the_mean_of_its_futures(fit):
    whole = crm.forecast(fit, n_periods=3, seed=4)
    average = crm.forecast(fit, n_periods=3, seed=4, average=True)
    assert average["stage_probs"].dims == ("customer_id", "horizon", "stage")
    xr.testing.assert_allclose(average, whole.mean(("chain", "draw")), rtol=1e-12)


@pytest.mark.bits
def test_a_forecast_is_repeatable_and_its_seed_counts(fit):
    one, again, other = (crm.forecast(fit, n_periods=3, seed=s) for s in (1, 1, 2))
    assert one.identical(again)
    assert one["stage_probs"].identical(other["stage_probs"])
    assert not one["visits"].equals(other["visits"])


# What is refused ----------------------------------------------------------------------------------


def test_options_that_are_wrong_are_refused(fit):
    with pytest.raises(SpecError, match="stage_probs: `kind` must be 'filtered'"):
        crm.stage_probs(fit, kind="smooth")
    for draws in (0, -1, 2.5):
        with pytest.raises(SpecError, match="`draws` must be a whole number of at least 1"):
            crm.stage_probs(fit, kind="filtered", draws=draws)
    for n_periods in (0, 1.5, "all"):
        with pytest.raises(SpecError, match="forecast: `n_periods`"):
            crm.forecast(fit, n_periods=n_periods, seed=1)
    for seed in (-1, None, 0.5):
        with pytest.raises(SpecError, match="forecast: `seed`"):
            crm.forecast(fit, n_periods=1, seed=seed)


@pytest.mark.parametrize(
    "predict",
    [
        lambda fit, panel: crm.stage_probs(fit, kind="filtered", panel=panel),
        lambda fit, panel: crm.most_likely_path(fit, panel=panel),
        lambda fit, panel: crm.forecast(fit, n_periods=1, seed=1, panel=panel),
        lambda fit, panel: crm.current_stage_probs(fit, panel=panel),
    ],
    ids=["stage_probs", "most_likely_path", "forecast", "current_stage_probs"],
)
def test_a_panel_that_does_not_match_the_model_is_refused(panel, fit, predict):
    bad = panel.drop_vars("survey").assign(visits=panel["visits"] - 100)
    with pytest.raises(DataError, match="2 problems") as error:
        predict(fit, bad)
    assert "'survey'" in str(error.value)
    assert "'visits'" in str(error.value)


def test_probabilities_sum_to_one_wherever_they_are_given(fit):
    for kind in KINDS:
        sums = crm.stage_probs(fit, kind=kind).sum("stage", skipna=False).values
        known = ~np.isnan(sums)
        assert known.sum() == 6 * (LAST - FIRST + 1).sum()
        assert sums[known] == pytest.approx(1, abs=1e-12)
    assert math.isclose(float(crm.current_stage_probs(fit).sum()), 6 * N, rel_tol=1e-12)


# One pass over the histories ----------------------------------------------------------------------


@pytest.mark.parametrize("ago", [0, 1, 9])
def test_one_pass_says_what_the_other_functions_say(panel, fit, ago):
    """Customers who share a history, one who was never seen, and an earlier look at each."""
    again = panel.isel(customer_id=[0, 1, 2, 3, 4, 2, 0, 0]).assign_coords(customer_id=np.arange(8))
    found = crm.prediction.score_histories(fit, panel=again, ago=ago)
    filtered = crm.stage_probs(fit, kind="filtered", panel=again)
    assert found["now"].identical(crm.current_stage_probs(fit, panel=again).rename("now"))
    assert found["occupancy"].values == pytest.approx(filtered.sum("customer_id").values)
    logliks = crm.prediction.customer_loglik(fit, panel=again)["log_likelihood"]["customer"]
    seen = np.isin(np.arange(8), logliks["customer_id"])
    assert found["loglik"].values[..., seen] == pytest.approx(logliks.values)
    assert (found["loglik"].values[..., ~seen] == 0).all()
    for place, n in enumerate([0, 1, 2, 3, 4, 2, 0, 0]):
        then = max(LAST[n] - ago, FIRST[n])
        expected = filtered.values[:, :, place, then] if n in SEEN else fit.posterior.initial_probs
        assert found["earlier"].values[:, :, place] == pytest.approx(np.asarray(expected))


def test_the_average_of_the_last_period_is_the_mean_over_draws(fit):
    average = crm.current_stage_probs(fit, average=True)
    assert average.dims == ("customer_id", "stage")
    xr.testing.assert_allclose(average, crm.current_stage_probs(fit).mean(("chain", "draw")))


def test_one_pass_refuses_a_look_ahead_and_what_does_not_fit(fit, monkeypatch):
    with pytest.raises(SpecError, match="score_histories: `ago`"):
        crm.prediction.score_histories(fit, ago=-1)
    monkeypatch.setattr(kept, "MEMORY_BUDGET", 8 * 6 * N * (2 * K + 1) - 1)
    with pytest.raises(SpecError, match="score_histories would need"):
        crm.prediction.score_histories(fit)
