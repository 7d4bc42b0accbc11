"""From a fit and named actions to a decision; an action's derivative against its tilt."""

import numpy as np
import pytest

from crmlab import policy, value
from crmlab.actions import Action, action_matrices, tilt
from crmlab.channels import StageLabel
from crmlab.errors import SpecError
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.inference import fit
from crmlab.models.observed import ObservedMarkov
from crmlab.stages import K10, K10_MARGINS, KNAPP
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
        value.stage_value(tilt(K10, KNAPP, s * shift), K10_MARGINS, discount_rate=RATE)
        for s in (step, -step)
    )
    got = value.action_gradient(K10, K10_MARGINS, shift, discount_rate=RATE)
    np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=1e-6, atol=1e-6)


def test_the_decision_is_that_of_the_arrays(result):
    counts = np.array([30, 25, 20, 18, 15, 8, 6, 5, 3, 0])
    found = policy.decide(
        result,
        (CALL, GIFT),
        margin=MARGIN,
        discount_rate=value.per_year(0.10),
        n_customers=dict(zip(KNAPP.names, counts, strict=True)),
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
    untreated = value.stage_value(matrices.values, K10_MARGINS, discount_rate=RATE)
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
