"""From a fit and named actions to a decision; an action's derivative against its tilt."""

import numpy as np
import pytest
import xarray as xr

from crmlab import policy, value
from crmlab.actions import Action, action_matrices, tilt
from crmlab.channels import StageLabel
from crmlab.errors import SpecError
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.inference import fit
from crmlab.models.observed import ObservedMarkov
from crmlab.stages import K10, K10_MARGINS, KNAPP, StageSpace
from crmlab.tables import to_panel

RATE = 1.1**0.25 - 1
CALL = Action("call", cost=6.0, effects={"repair": 0.8, "exit": -0.3})
GIFT = Action("gift", cost=3.0, effects={"forward": 0.4})
MARGIN = dict(zip(KNAPP.names, K10_MARGINS.tolist(), strict=True))


@pytest.fixture(scope="module")
def result():
    labels = StageLabel("stage", confusion=np.eye(10))
    world = StageWorld(KNAPP, np.full(10, 0.1), K10, (labels,), n_periods=12)
    panel = to_panel(simulate(world, n_customers=400, seed=3), freq="Q")
    return fit(ObservedMarkov(KNAPP), panel, draws=60, seed=4)


def test_the_derivative_of_an_action_is_that_of_its_tilt():
    shift, step = CALL.log_odds(KNAPP), 1e-5
    up, down = (
        value.stage_value(
            tilt(K10, KNAPP, s * shift), K10_MARGINS, discount_rate=RATE, first="current"
        )
        for s in (step, -step)
    )
    got = value.action_gradient(K10, K10_MARGINS, shift, discount_rate=RATE, first="current")
    np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=1e-6, atol=1e-6)


def test_the_decision_is_that_of_the_arrays(result):
    counts = np.array([30, 25, 20, 18, 15, 8, 6, 5, 3, 0])
    found = policy.decide(
        result,
        (CALL, GIFT),
        margin=MARGIN,
        discount_rate=value.per_year(0.10),
        n_customers=dict(zip(KNAPP.names, counts, strict=True)),
        first="current",
        draws=20,
    )
    assert found.sizes["chain"] * found.sizes["draw"] == 20
    matrices = result.posterior["transition_matrix"].sel(draw=found["draw"])
    P = np.moveaxis(action_matrices(matrices.values, KNAPP, (CALL, GIFT)), 0, 2)
    flat = P.reshape(20, 3, 10, 10)
    arrays = policy.choose_policy(
        flat, K10_MARGINS, [0, 6, 3], discount_rate=RATE, n_customers=counts
    )
    names = np.array(["nothing", "call", "gift"])
    assert found["policy"].values.tolist() == names[arrays.policy].tolist()
    np.testing.assert_allclose(found["prob_best"], arrays.prob_best)
    assert float(found["evpi"]) == pytest.approx(arrays.evpi)
    untreated = value.stage_value(matrices.values, K10_MARGINS, discount_rate=RATE, first="current")
    np.testing.assert_allclose(found["value_untreated"], untreated, rtol=1e-9, atol=1e-9)
    gain = (found["value"] - found["value_untreated"]).mean(("chain", "draw")).values @ counts
    assert float(gain) > 0
    # Knapp's common sense: those who differentiate are called, bonded ones are left in peace.
    assert found["policy"].sel(stage="differentiating") == "call"
    assert found.attrs["discount_rate_given"] == "per_year(0.1)"


def test_a_climb_is_marked_and_close_to_the_bound(result):
    found = policy.decide(result, (CALL, GIFT), margin=MARGIN, discount_rate=RATE, draws=20)
    assert found.attrs["exact"] == 0  # 3^10 policies are not compared one by one
    assert 0 <= float(found["evpi"]) < 0.05 * float(found["value"].mean(("chain", "draw")).sum())


def test_a_win_back_adds_a_way_out_of_the_end(result):
    back = Action("win_back", cost=2.0, adds={("terminating", "initiating"): 0.05})
    found = policy.decide(result, (back,), margin=MARGIN, discount_rate=RATE, draws=10)
    assert found["policy"].sel(stage="terminating") == "win_back"
    assert (found["value"].sel(stage="terminating") > 0).all()


def test_no_action_may_take_the_name_of_doing_nothing(result):
    with pytest.raises(SpecError, match="rename the action"):
        policy.decide(result, (Action("nothing"),), margin=MARGIN, discount_rate=RATE)
    with pytest.raises(SpecError, match="occurs twice"):
        policy.decide(result, (CALL, CALL), margin=MARGIN, discount_rate=RATE)
    with pytest.raises(SpecError, match="missing for stage 'bonding'"):
        policy.decide(result, (CALL,), margin={"initiating": 1}, discount_rate=RATE)
    with pytest.raises(SpecError, match="`draws`"):
        policy.decide(result, (CALL,), margin=MARGIN, discount_rate=RATE, draws=0)


# Effects in doubt ---------------------------------------------------------------------------------

PAIR = ("idle", "active", "lost")
COST, MARGINS = 4.0, np.array([0.0, 30.0, 0.0])


@pytest.fixture(scope="module")
def small():
    moves = [("idle", "active"), ("active", "idle"), ("idle", "lost"), ("active", "lost")]
    space = StageSpace(PAIR, moves=moves)
    matrix = [[0.7, 0.2, 0.1], [0.2, 0.75, 0.05], [0, 0, 1]]
    labels = StageLabel("stage", confusion=np.eye(3))
    world = StageWorld(space, (0.5, 0.5, 0.0), matrix, (labels,), n_periods=6)
    panel = to_panel(simulate(world, n_customers=60, seed=5), freq="Q")
    return fit(ObservedMarkov(space), panel, draws=24, seed=6)


def tilt_by_hand(P, shift):
    """The odds of idle -> active against staying, times exp(shift); nothing else."""
    weights = np.array([P[0, 0], P[0, 1] * np.exp(shift), P[0, 2]])
    return np.array([weights / weights.sum(), P[1], P[2]])


def worth(P, reward):
    return np.linalg.solve(np.eye(3) - P / (1 + RATE), reward)


def every_policy(matrices, shifts):
    """Value of all eight policies under all draws, one linear system each: (8, draws, 3)."""
    values = np.zeros((8, len(matrices), 3))
    for number, chosen in enumerate(np.ndindex(2, 2, 2)):
        for d, (P, shift) in enumerate(zip(matrices, shifts, strict=True)):
            both = np.stack([P, tilt_by_hand(P, shift)])
            rows = both[list(chosen), np.arange(3)]
            values[number, d] = worth(rows, MARGINS - COST * np.array(chosen))
    return values


@pytest.mark.parametrize("paired", [True, False])
def test_effects_in_doubt_enter_the_decision_as_enumeration_says(small, paired):
    offer = Action("offer", cost=COST, effects={("idle", "active"): 9.9})
    rng = np.random.default_rng(7)
    matrix = small.posterior["transition_matrix"]
    n = matrix.sizes["chain"] * matrix.sizes["draw"]
    shifts = rng.normal(0.35, 0.3, n)
    given = shifts
    if paired:
        shape = [matrix.sizes[dim] for dim in ("chain", "draw")]
        coords = {dim: matrix[dim] for dim in ("chain", "draw")}
        given = xr.DataArray(shifts.reshape(shape), dims=("chain", "draw"), coords=coords)
    found = policy.decide(
        small,
        (offer,),
        margin=dict(zip(PAIR, MARGINS, strict=True)),
        discount_rate=RATE,
        effects={"offer": {("idle", "active"): given}},
        draws=n,
    )
    flat = matrix.transpose("chain", "draw", "stage_from", "stage_to").values.reshape(-1, 3, 3)
    values = every_policy(flat, shifts)
    totals = values.sum(axis=-1)  # one customer in each stage
    best = totals.mean(axis=1).argmax()
    chosen = list(np.ndindex(2, 2, 2))[best]
    assert found["policy"].values.tolist() == [("nothing", "offer")[a] for a in chosen]
    evpi = totals.max(axis=0).mean() - totals[best].mean()
    assert evpi > 0.01  # the draws do not agree
    assert float(found["evpi"]) == pytest.approx(evpi, rel=1e-9)
    regret = values.max(axis=0) - values[best]  # a best policy is best in every stage
    np.testing.assert_allclose(found["regret"].values.reshape(-1, 3), regret, atol=1e-9)
    takes = np.array([list(np.ndindex(2, 2, 2))[i] for i in totals.argmax(axis=0)])
    share = found["prob_best"].sel(action="offer", stage="idle")
    assert 0 < float(share) < 1
    assert float(share) == pytest.approx(takes[:, 0].mean())


def test_doubt_about_an_effect_is_what_information_is_worth(small):
    """Same mean effect: known, nothing is at stake in it; in doubt, knowing it would pay."""
    offer = Action("offer", cost=COST, effects={("idle", "active"): 0.35})
    options = {"margin": dict(zip(PAIR, MARGINS, strict=True)), "discount_rate": RATE, "draws": 24}
    known = policy.decide(small, (offer,), **options)
    spread = {"offer": {("idle", "active"): np.random.default_rng(8).normal(0.35, 0.6, 24)}}
    doubtful = policy.decide(small, (offer,), effects=spread, **options)
    assert float(doubtful["evpi"]) > float(known["evpi"])


def test_a_chance_to_win_back_may_be_in_doubt(small):
    back = Action("back", cost=1.0, adds={("lost", "idle"): 0.5})
    options = {"margin": dict(zip(PAIR, MARGINS, strict=True)), "discount_rate": RATE, "draws": 4}
    certain = Action("back", cost=1.0, adds={("lost", "idle"): 0.1})
    same = {"back": {("lost", "idle"): np.full(7, 0.1)}}
    expected = policy.decide(small, (certain,), **options)["value"]
    np.testing.assert_allclose(
        policy.decide(small, (back,), effects=same, **options)["value"], expected
    )


def test_effects_that_fit_nothing_are_refused(small):
    offer = Action("offer", cost=COST, effects={"forward": 0.1})
    options = {"margin": dict(zip(PAIR, MARGINS, strict=True)), "discount_rate": RATE}
    cases = {
        "unknown action 'gift'": {"gift": {"forward": [0.1]}},
        "must map moves to draws": {"offer": [0.1]},
        "shape": {"offer": {"forward": 0.1}},
        "must be finite": {"offer": {"forward": [np.nan]}},
        "hold the draws of the fit": {"offer": {"forward": xr.DataArray([0.1], dims="draw")}},
        "cannot happen": {"offer": {("lost", "idle"): [0.1]}},
    }
    for message, effects in cases.items():
        with pytest.raises(SpecError, match=message):
            policy.decide(small, (offer,), effects=effects, **options)
