"""What covariates do: to moves, and to the periods ahead; and the recursion in blocks."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, strategies as st
from scipy import stats

import crmlab as crm
from crmlab import chains
from crmlab.behaviour.encounters import best_contacts
from crmlab.errors import DataError, SpecError
from crmlab.evaluation.ranks import empty_panel
from crmlab.inference import Fit
from crmlab.prediction import recursion
from crmlab.prediction.customers import read_customers
from crmlab.prediction.recursion import follow
from tests import test_covariates
from tests.oracles import paths
from tests.ragged import FIRST, LAST, SPACE
from tests.test_covariates import (
    AGE,
    CONTACTS,
    DIFFERING,
    MOVING,
    ORDERED,
    SEASON,
    SEEN,
    K,
    N,
    covariates_by_hand,
    draw_of,
    hand_made_fit,
    problem,
    rows_by_hand,
)

panel = test_covariates.panel


@pytest.fixture(scope="module")
def fit(panel):
    return hand_made_fit(MOVING, panel)


# Effects on moves ---------------------------------------------------------------------------------


def effect_by_hand(fit, panel, draw, low, high):
    """Mean over the moves inside the windows, one after the other."""
    transitions, parameters, gaps = fit.model.transitions, draw_of(fit, draw), []
    for n in SEEN:
        for t in range(FIRST[n], LAST[n]):
            x = covariates_by_hand(transitions, panel, n, t)
            both = [
                rows_by_hand(transitions, SPACE, parameters, {**x, **s}, None) for s in (low, high)
            ]
            gaps.append(both[1] - both[0])
    return np.mean(gaps, axis=0)


@pytest.mark.parametrize(
    ("transitions", "low", "high"),
    [
        (MOVING, {CONTACTS: 0.0}, {CONTACTS: 1.0}),
        (MOVING, {CONTACTS: -1.0, SEASON: 2.0}, {CONTACTS: 1.0, SEASON: 0.0}),
        (ORDERED["ordered"], {AGE: 0.5}, {AGE: -0.5}),
    ],
    ids=["one", "two", "ordered"],
)
def test_the_effect_on_moves_is_the_mean_of_contrasts(transitions, low, high, panel):
    fit = hand_made_fit(transitions, panel)
    found = crm.prediction.transition_effects(fit, low=low, high=high, prob=0.8)
    by_hand = np.array([effect_by_hand(fit, panel, draw, low, high) for draw in range(2)])
    assert found["draws"].values[0] == pytest.approx(by_hand, abs=1e-12)
    assert found["mean"].values == pytest.approx(by_hand.mean(axis=0), abs=1e-12)
    assert found["lower"].values == pytest.approx(np.quantile(by_hand, 0.1, axis=0), abs=1e-12)
    assert found["upper"].values == pytest.approx(np.quantile(by_hand, 0.9, axis=0), abs=1e-12)
    assert (found["high"] - found["low"]).values == pytest.approx(by_hand.mean(axis=0), abs=1e-12)
    assert (found.attrs["interval_kind"], found.attrs["interval_prob"]) == ("equal-tailed", 0.8)


def test_an_effect_turns_round_with_its_settings_and_moves_nothing_away(fit):
    there = crm.prediction.transition_effects(fit, low={CONTACTS: 0}, high={CONTACTS: 2})["draws"]
    back = crm.prediction.transition_effects(fit, low={CONTACTS: 2}, high={CONTACTS: 0})["draws"]
    assert there.values == pytest.approx(-back.values, abs=1e-14)
    assert there.sum("stage_to").values == pytest.approx(0, abs=1e-14)
    assert (there.values[..., ~SPACE.mask] == 0).all()


def test_the_effect_is_averaged_over_what_customers_are_like(panel):
    """Against quadrature with 60 nodes."""
    fit = hand_made_fit(DIFFERING, panel)
    found = crm.prediction.transition_effects(fit, low={CONTACTS: 0}, high={CONTACTS: 1})["draws"]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    moving = SPACE.mask & ~np.eye(K, dtype=bool)
    for draw in range(2):
        parameters, total = draw_of(fit, draw), 0.0
        for node, weight in zip(nodes, weights / math.sqrt(2 * math.pi), strict=True):
            offset = node * parameters["customer_sd"][0, 1] * moving
            one, zero = (
                rows_by_hand(DIFFERING, SPACE, parameters, {CONTACTS: x}, offset) for x in (1, 0)
            )
            total = total + weight * (one - zero)
        assert found.values[0, draw] == pytest.approx(total, abs=0.005)
        assert np.abs(total).max() > 0.01


# Effects on the periods ahead ---------------------------------------------------------------------


def ahead_by_hand(fit, panel, draw, setting, start, n_periods):
    """Mean law of all customers, each multiplied on by her own matrix."""
    transitions, parameters = fit.model.transitions, draw_of(fit, draw)
    laws = []
    for n in range(N):
        now = np.array(parameters["initial_probs"])
        if n in SEEN:
            now = np.array(paths.filtered(*problem(fit, panel, draw, n))[-1])
        if start is not None:
            now = np.eye(K)[SPACE.index(start)]
        # The last customer was never observed, and nothing is known of her covariates.
        move = max(LAST[n] - 1, 0)
        inside = n in SEEN and FIRST[n] < LAST[n]
        x = (
            covariates_by_hand(transitions, panel, n, move)
            if inside
            else dict.fromkeys((CONTACTS, AGE), 0)
        )
        x = {**x, SEASON: panel[SEASON].values[move + 1], **setting}
        matrix = rows_by_hand(transitions, SPACE, parameters, x, None)
        laws.append([now := now @ matrix for _ in range(n_periods)])
    return np.mean(laws, axis=0)


@pytest.mark.parametrize("start", [None, "loyal"])
def test_the_effect_years_ahead_is_the_gap_of_two_forecasts(start, fit, panel):
    settings = {CONTACTS: -0.5, AGE: 0.0}, {CONTACTS: 1.5, AGE: 0.0}
    found = crm.prediction.occupancy_effects(
        fit, low=settings[0], high=settings[1], n_periods=5, start=start, prob=0.5
    )
    for draw in range(2):
        low, high = (ahead_by_hand(fit, panel, draw, s, start, 5) for s in settings)
        assert found["draws"].values[0, draw] == pytest.approx(high - low, abs=1e-10)
    spent = found["draws"].values[0].cumsum(axis=1)
    assert found["periods_mean"].values == pytest.approx(spent.mean(axis=0), abs=1e-12)
    assert found["periods_upper"].values == pytest.approx(np.quantile(spent, 0.75, axis=0))
    assert found["low"].sum("stage").values == pytest.approx(1, abs=1e-12)
    assert found["mean"].dims == ("horizon", "stage")


def test_an_effect_without_customers_is_the_mean_of_their_places(panel):
    """With effects of their own: the setting that was there anyway gives the plain forecast."""
    steady = panel.assign(contacts=xr.zeros_like(panel[CONTACTS].fillna(0.0)))
    fit = hand_made_fit(DIFFERING, steady)
    found = crm.prediction.occupancy_effects(
        fit, low={CONTACTS: 0}, high={CONTACTS: 0}, n_periods=2
    )
    assert (found["draws"] == 0).all()
    future = xr.Dataset({"contacts": ("horizon", [0.0, 0.0])}, coords={"horizon": [1, 2]})
    many = steady.isel(customer_id=np.repeat(np.arange(N), 400))
    many = many.assign_coords(customer_id=np.arange(400 * N))
    sampled = crm.forecast(fit, n_periods=2, seed=1, panel=many, future=future)["stage_probs"]
    # One place in the population per copy: a mean of 2,000 laws of which each lies within 0 to 1.
    expected = sampled.mean(("chain", "draw", "customer_id"))
    assert found["low"].values == pytest.approx(expected.values, abs=5 * 0.5 / math.sqrt(4000))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"low": {"x": 0}, "high": {"x": 1}}, "'x' is not among the covariates"),
        ({"low": {CONTACTS: 0}, "high": {AGE: 1}}, "must set the same covariates"),
        ({"low": {}, "high": {}}, "must set the same covariates"),
        ({"low": {CONTACTS: 0}, "high": {CONTACTS: math.nan}}, "must be set to finite numbers"),
        ({"low": {CONTACTS: 0}, "high": {CONTACTS: 1}, "prob": 1.0}, "`prob` must be above"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, words, fit):
    with pytest.raises(SpecError, match=words):
        crm.prediction.transition_effects(fit, **options)
    with pytest.raises(SpecError, match=words):
        crm.prediction.occupancy_effects(fit, n_periods=2, **options)


def test_years_ahead_are_whole_periods_from_a_stage_that_exists(fit):
    with pytest.raises(SpecError, match="2 problems"):
        crm.prediction.occupancy_effects(
            fit, low={CONTACTS: 0}, high={CONTACTS: 1}, n_periods=0, start="married"
        )


# Covariates that state a hypothesis ---------------------------------------------------------------


@given(
    scores=st.lists(st.floats(0.1, 10.0), min_size=2, max_size=6),
    weight=st.floats(0, 1),
    effect=st.floats(-2, 2),
)
def test_two_effects_of_pillars_say_how_much_the_weakest_weighs(scores, weight, effect):
    """m (1 - w) mean + m w min = m mean - m w shortfall."""
    names = [f"p{i}" for i in range(len(scores))]
    panel = xr.Dataset({n: ("customer_id", [s]) for n, s in zip(names, scores, strict=True)})
    found = crm.prediction.add_pillars(panel, names)
    ours = effect * found["pillars_mean"] - effect * weight * found["pillars_shortfall"]
    by_hand = effect * ((1 - weight) * np.mean(scores) + weight * min(scores))
    assert float(ours[0]) == pytest.approx(by_hand, abs=1e-9)


def test_fatigue_turns_the_effect_of_one_more_contact_round():
    """Two stages of which one is left: the effect is a difference of two logistic functions."""
    space = crm.StageSpace(("asleep", "awake"), moves=(("asleep", "awake"),))
    transitions = crm.CovariateLogit(("contacts", "contacts_squared"))
    model = crm.HiddenMarkov(space, transitions, (crm.Poisson("visits", rate=(0.1, 2.0)),))
    cells = {"visits": np.ones((2, 3)), "contacts": np.ones((2, 3))}
    panel = empty_panel(2, 3).assign(
        {name: (("customer_id", "period"), values) for name, values in cells.items()}
    )
    panel = crm.prediction.add_square(panel, "contacts")
    benefit, fatigue, base = 0.8, 0.1, -2.0
    draw = {
        "base_logits": [[0, base], [0, 0]],
        "contacts_effect": [[0, benefit], [0, 0]],
        "contacts_squared_effect": [[0, -fatigue], [0, 0]],
    }
    posterior = {
        name: (("chain", "draw", "stage", "stage_to"), np.array(value, dtype=float)[None, None])
        for name, value in draw.items()
    }
    posterior |= {"initial_probs": (("chain", "draw", "stage"), [[[1.0, 0.0]]])}
    posterior |= {"visits_rate": (("chain", "draw", "stage"), [[[0.1, 2.0]]])}
    data = xr.Dataset(posterior, coords={"chain": [0], "draw": [0]})
    fit = Fit(model, panel, xr.DataTree.from_dict({"posterior": data}))

    def chance(n):
        return 1 / (1 + math.exp(-(base + benefit * n - fatigue * n**2)))

    gains = []
    for n in range(8):
        settings = [{"contacts": m, "contacts_squared": m**2} for m in (n, n + 1)]
        found = crm.prediction.transition_effects(fit, low=settings[0], high=settings[1])["mean"]
        gains.append(float(found[0, 1]))
        assert gains[-1] == pytest.approx(chance(n + 1) - chance(n), abs=1e-12)
    best = best_contacts(benefit=benefit, fatigue=fatigue)
    assert [gain > 0 for gain in gains] == [n < best for n in range(8)]
    ahead = crm.prediction.occupancy_effects(
        fit, low=settings[0], high=settings[1], n_periods=4, start="asleep"
    )["mean"]
    asleep = [(1 - chance(8)) ** h - (1 - chance(7)) ** h for h in (1, 2, 3, 4)]
    assert ahead.sel(stage="asleep").values == pytest.approx(asleep, abs=1e-12)


def test_causes_become_indicators_and_strangers_are_refused():
    held = ("period", [1.0, np.nan, 0.0], {"categories": ["delays", "low_standard"]})
    panel = xr.Dataset({"cause": held})
    found = crm.prediction.add_indicators(panel, "cause", ("low_standard", "delays"))
    assert found["cause_low_standard"].values.tolist() == [1, 0, 0]
    assert found["cause_delays"].values.tolist() == [0, 0, 1]
    with pytest.raises(DataError, match=r"names \['low_standard'\], not among"):
        crm.prediction.add_indicators(panel, "cause", ("delays",))
    with pytest.raises(DataError, match="'effect' is not among the variables"):
        crm.prediction.add_square(panel, "effect")
    with pytest.raises(DataError, match="'cause' is constant"):
        crm.prediction.standardise(xr.Dataset({"cause": ("period", [2.0, 2.0])}), ["cause"])


# Drawn paths --------------------------------------------------------------------------------------


def test_drawn_paths_have_the_law_of_the_enumeration(fit, panel):
    """Whole paths of customer 0: a chi-square test of size 1e-6."""
    copies = panel.isel(customer_id=np.zeros(3000, dtype=int))
    copies = copies.assign_coords(customer_id=np.arange(3000))
    found = crm.prediction.sample_stages(fit, panel=copies, draws=1, seed=3).values.reshape(-1, 4)
    probs = paths.path_probs(*problem(fit, panel, 0, 0))
    counts = dict.fromkeys(probs, 0)
    for path in map(tuple, found.tolist()):
        counts[path] += 1
    common = [path for path, p in probs.items() if p * 3000 >= 5]
    seen = np.array([counts[path] for path in common])
    expected = 3000 * np.array([probs[path] for path in common])
    rest = 3000 - np.array([seen.sum(), expected.sum()])
    statistic = ((seen - expected) ** 2 / expected).sum() + (rest[0] - rest[1]) ** 2 / rest[1]
    assert statistic < stats.chi2.isf(1e-6, len(common))


@pytest.mark.bits
def test_paths_are_drawn_inside_the_windows_and_follow_the_seed(fit):
    one, again, other = (crm.prediction.sample_stages(fit, seed=s) for s in (1, 1, 2))
    period = np.arange(4)
    inside = (period >= FIRST[:, None]) & (period <= LAST[:, None])
    assert ((one.values >= 0) == inside).all()
    assert one.identical(again)
    assert not one.equals(other)


# The recursion in blocks --------------------------------------------------------------------------


@dataclass(frozen=True)
class AnyLaw(crm.CovariateLogit):
    """The same model, but nothing is known of how offsets act on its odds."""

    offsets_are_log_odds = False


@pytest.mark.parametrize("kind", ["filtered", "predicted", "smoothed"])
@pytest.mark.parametrize("width", [1, 130, 8192])
def test_blocks_say_what_the_plain_recursions_say(width, kind, panel, monkeypatch):
    """Customers and points in blocks of any size, tilted or made one by one."""
    monkeypatch.setattr(recursion, "WIDTH", width)
    points = np.array([[-1.3], [0.0], [0.8], [2.0]])
    knobs = {name: getattr(DIFFERING, name) for name in ("covariates", "shared", "customers")}
    for transitions in (DIFFERING, AnyLaw(**knobs)):
        fit = hand_made_fit(transitions, panel, n_draws=1)
        customers, parameters = read_customers(fit), draw_of(fit, 0)
        example, compared = customers.histories.example, 0
        for some, found in follow(customers, parameters, points, kind=kind):
            for p, point in enumerate(points):
                own = np.broadcast_to(point, (len(SEEN), 1))
                evidence = customers.evidence(parameters, own)
                plain = chains.forward(*evidence)._asdict() | {"smoothed": chains.smooth(*evidence)}
                for place in range(some.start, some.stop):
                    if (n := example[place]) not in SEEN:
                        continue
                    window = slice(FIRST[n], LAST[n] + 1)
                    mine = found.probs[window, :, place - some.start, p]
                    assert mine == pytest.approx(plain[kind][n, window], abs=1e-12)
                    last = found.running[-1, place - some.start, p]
                    assert last == pytest.approx(plain["loglik"][n], abs=1e-10)
                    compared += 1
        assert compared == len(points) * len(SEEN)


FAR = (1e-3, 900.0, 1e-6)  # rates so different that a count rules out all other stages


@pytest.mark.parametrize("counts", [[0, 900, 900, 0], [900, 0, 0, 900], [0, 0, 2000, 2000]])
def test_extreme_evidence_is_done_again_in_logarithms(counts, panel, monkeypatch):
    again, plain = [], recursion._do_again
    monkeypatch.setattr(recursion, "_do_again", lambda *given: (again.append(given), plain(*given)))
    model_fit = hand_made_fit(crm.CovariateLogit((AGE,)), panel, n_draws=1)
    rate = model_fit.posterior["visits_rate"]
    posterior = model_fit.posterior.assign(visits_rate=rate.copy(data=np.array(FAR)[None, None]))
    # Nobody is ever loyal, so what was seen must have been most improbable.
    base, initial = posterior["base_logits"].copy(), posterior["initial_probs"].copy()
    base[:] = np.array([[0, -1000.0, -1.0], [-1.0, 0, -2.0], [0, 0, 0]])
    initial[:] = np.array([0.9, 0.0, 0.1])
    posterior = posterior.assign(base_logits=base, initial_probs=initial)
    fit = replace(model_fit, idata=xr.DataTree.from_dict({"posterior": posterior}))
    one = panel.isel(customer_id=[0])
    one = one.assign(visits=one["visits"].copy(data=[counts]))
    customers, parameters = read_customers(fit, one), draw_of(fit, 0)
    evidence = customers.evidence(parameters)
    for kind in ("filtered", "predicted"):
        expected = getattr(chains.forward(*evidence), kind)[0]
        found = crm.stage_probs(fit, kind=kind, panel=one).values[0, 0, 0]
        assert found == pytest.approx(expected, abs=1e-12)
    found = crm.stage_probs(fit, kind="smoothed", panel=one).values[0, 0, 0]
    assert found == pytest.approx(chains.smooth(*evidence)[0], abs=1e-12)
    loglik = float(
        crm.prediction.customer_loglik(fit, panel=one)["log_likelihood"]["customer"][0, 0, 0]
    )
    assert loglik == pytest.approx(chains.forward(*evidence).loglik[0], rel=1e-12)
    assert again


def test_a_big_base_is_scored_block_by_block_and_in_order(fit, panel, monkeypatch):
    whole = crm.stage_probs(fit, kind="smoothed")
    monkeypatch.setattr(recursion, "CELLS", 13)
    xr.testing.assert_allclose(crm.stage_probs(fit, kind="smoothed"), whole, rtol=1e-12)
    turned = panel.isel(customer_id=[3, 2, 1, 0])
    found = crm.stage_probs(fit, kind="smoothed", panel=turned)
    xr.testing.assert_allclose(found, whole.isel(customer_id=[3, 2, 1, 0]), rtol=1e-12)
    for n, t in itertools.product(SEEN, range(4)):
        assert np.isnan(whole.values[0, 0, n, t]).all() == (not FIRST[n] <= t <= LAST[n])
