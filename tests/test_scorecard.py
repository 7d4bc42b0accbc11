"""Methods against the truth: forecasts against what was brought, lists against twins."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from crmlab.actions import Action, FirmView, NoAction, tilt
from crmlab.errors import DataError, SpecError
from crmlab.evaluation.targeting import (
    Shortlist,
    ValueForecast,
    score_targets,
    score_values,
    usual_shortcuts,
)
from crmlab.generators.bank.presets import three_stage_bank
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.stages import StageSpace

SPACE = StageSpace(("dormant", "active"))
P = np.array([[0.9, 0.1], [0.3, 0.7]])
CALL = Action("call", cost=2.0, effects={("dormant", "active"): 2.0})
WORLD = StageWorld(SPACE, (0.5, 0.5), P, n_periods=8, actions=(CALL,))
MARGINS = {"dormant": 0.0, "active": 20.0}


def true_stages(period, n, seed):
    stages = simulate(WORLD, n, seed=seed, policy=NoAction()).truth["stages"]
    return stages[stages["period"] == period]["stage"].astype(str).tolist()


# Values -------------------------------------------------------------------------------------------


def test_scores_by_hand():
    told = {
        "flat": ValueForecast([4.0, 4.0, 4.0]),
        "sure": ValueForecast([1.0, 2.0, 9.0], np.linspace(11.5, 11.9, 101)),
        "wide": ValueForecast([1.0, 2.0, 9.0], np.linspace(5, 15, 101)),
    }
    found = score_values(told, [0.0, 3.0, 7.0], prob=0.8)
    assert found["bias"].round(6).tolist() == [0.666667, 0.666667, 0.666667]
    assert found["total_error"].round(6).tolist() == [2.0, 2.0, 2.0]
    np.testing.assert_allclose(found["mae"], [8 / 3, 4 / 3, 4 / 3])
    errors = np.array([4.0, 1.0, -3.0])
    assert found.loc["flat", "standard_error"] == pytest.approx(errors.std(ddof=1) / 3**0.5)
    np.testing.assert_allclose(found.loc["wide", ["low", "high"]].astype(float), [6, 14])
    assert found["covers"].tolist()[1:] == [False, True]
    assert pd.isna(found.loc["flat", "covers"])


def test_forecasts_that_do_not_fit_are_refused():
    told = {"short": ValueForecast([1.0]), "odd": ValueForecast([1.0, 2.0], [np.nan])}
    with pytest.raises(DataError, match="3 problems"):
        score_values(told, [1.0, 2.0], prob=1.0)


# Shortcuts ----------------------------------------------------------------------------------------


def test_shortcuts_by_hand():
    """Two customers, four periods, two ahead at no interest."""
    bought = [[1, 1, 1, 0], [1, 0, 0, 1]]
    spend = [[10.0, 10, 10, 0], [8, 0, 0, 6]]
    found = usual_shortcuts(bought, spend, n_periods=2, discount_rate=0.0)
    np.testing.assert_allclose(found.values["last year again"].customers, [10, 6])
    # Of those who bought in the first of the last two periods, nobody bought in the second.
    np.testing.assert_allclose(found.values["one retention rate"].customers, [0, 0])
    np.testing.assert_allclose(found.rankings["risk"], [1 * 4 / 4, 0])
    everybody = usual_shortcuts(np.ones((3, 4)), np.full((3, 4), 5.0), n_periods=4, discount_rate=0)
    for forecast in everybody.values.values():  # a firm in which nothing changes
        np.testing.assert_allclose(forecast.customers, 20.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(2, 9), st.floats(0, 0.5), st.integers(0, 2**32 - 1))
def test_rfm_keeps_the_total_and_retention_never_adds(n, n_periods, rate, seed):
    rng = np.random.default_rng(seed)
    bought = rng.poisson(0.7, (n, 9))
    found = usual_shortcuts(bought, 3.0 * bought, n_periods=n_periods, discount_rate=rate)
    again = np.asarray(found.values["last year again"].customers)
    cells = np.asarray(found.values["RFM"].customers)
    assert cells.sum() == pytest.approx(again.sum())
    assert (np.asarray(found.values["one retention rate"].customers) <= again + 1e-9).all()
    assert all(np.isfinite(order).all() for order in found.rankings.values())


def test_shortcuts_refuse_tables_that_do_not_fit():
    for bought, spend, ahead in (
        ([[1]], [[1.0]], 2),
        ([[1, 1]], [[1.0]], 2),
        ([[1, 1]], [[1.0, 2]], 1),
    ):
        with pytest.raises(DataError, match="one shape"):
            usual_shortcuts(bought, spend, n_periods=ahead, discount_rate=0.0)


# Targets ------------------------------------------------------------------------------------------


def test_a_shortlist_treats_its_customers_once():
    view = FirmView(3, pd.DataFrame({"customer_id": [5, 6, 7]}), ("call",))
    assert Shortlist("call", (7, 5), 3).propensities(view).ravel().tolist() == [1, 0, 1]
    assert Shortlist("call", (7, 5), 2).propensities(view).ravel().tolist() == [0, 0, 0]


def test_regrets_are_those_of_the_law():
    """The gain of a call has a closed form; a ranking upside down calls whom it cannot help."""
    n, period, share = 4000, 3, 0.25
    stages = true_stages(period, n, seed=2)
    dormant = np.array([stage == "dormant" for stage in stages])
    found = score_targets(
        WORLD, n, {"dormant first": dormant, "active first": ~dormant},
        action="call", period=period, share=share, stages=stages, margins=MARGINS, seed=2,
    )  # fmt: skip
    later = sum(np.linalg.matrix_power(P, k) for k in range(4)) @ [0.0, 20.0]  # periods 4 to 7
    gain = ((tilt(P, SPACE, CALL) - P) @ later)[0] - CALL.cost
    called = round(share * n)
    assert gain > 0
    assert found.index[-1] == "active first"
    assert found.loc["dormant first", "regret"] == 0 == found.loc["knows the stages", "regret"]
    brought = found.loc["dormant first", "value"] - found.loc["nobody", "value"]
    # The gain of a customer has a standard deviation of at most 40 (four payments and the cost).
    assert abs(brought - called * gain) < 4 * 40 * np.sqrt(called)
    wasted = found.loc["nobody", "value"] - found.loc["active first", "value"]
    assert wasted == pytest.approx(CALL.cost * called)  # the active stay as they are


def test_the_bank_can_be_asked():
    bank = three_stage_bank().turned({"treatments.follow_up_effect": 1.0})
    stages = simulate(bank, 50, seed=1, policy=NoAction()).truth["stages"]
    now = stages[stages["period"] == 20].set_index("customer_id")["stage"].astype(str)
    found = score_targets(
        bank, 50, {"by number": -np.arange(50)},
        action="follow_up", period=20, share=0.2, stages=now.tolist(),
        margins={"occasional": 20.0, "active": 70.0}, seed=1, discount_rate=0.02,
    )  # fmt: skip
    assert set(found.index) == {"by number", "knows the stages", "nobody"}
    assert (found["regret"] >= 0).all()


def test_rankings_that_do_not_fit_are_refused():
    with pytest.raises(SpecError, match="3 problems"):
        score_targets(
            WORLD, 3, {"short": [1, 2]}, action="call", period=1, share=0, stages=["active"],
            margins=MARGINS, seed=1,
        )  # fmt: skip
