"""What a move is worth: derivatives against difference quotients in exact fractions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from crmlab import value
from crmlab.errors import SpecError
from crmlab.stages import K10, K10_MARGINS, KNAPP
from tests.oracles import value as oracle

P3 = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
R3 = np.array([10.0, -3.0, 1.5])
QUARTERLY = value.per_year(0.10).per_period("Q")


def change(kind, P, a, b):
    """Direction in which row a moves when the move a -> b gains one unit of probability."""
    direction = np.zeros_like(P)
    if kind == "stay":
        direction[a, b] += 1
        direction[a, a] -= 1
    else:
        direction[a] = -P[a] / (1 - P[a, b])
        direction[a, b] = 1
    return direction


@pytest.mark.parametrize("taken_from", ["stay", "others"])
def test_every_move_equals_its_difference_quotient_in_fractions(taken_from):
    got = value.transition_gradient(
        P3, R3, discount_rate=0.1, taken_from=taken_from, first="current"
    )
    for a in range(3):
        for b in range(3):
            slope = oracle.slope_in_fractions(
                P3.tolist(), change(taken_from, P3, a, b).tolist(), R3.tolist(), 0.1
            )
            np.testing.assert_allclose(got[:, a, b], np.array(slope, float), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_periods", [1, 2, 6])
@pytest.mark.parametrize("timing", ["start", "middle", "end"])
def test_moves_over_a_horizon_equal_finite_differences(n_periods, timing):
    options = {"discount_rate": 0.1, "n_periods": n_periods, "timing": timing}
    got = value.transition_gradient(P3, R3, **options, first="current")
    step = 1e-6
    for a, b in ((0, 1), (1, 0), (2, 1)):
        direction = step * change("stay", P3, a, b)
        up = value.stage_value(P3 + direction, R3, **options, first="current")
        down = value.stage_value(P3 - direction, R3, **options, first="current")
        np.testing.assert_allclose(got[:, a, b], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


def test_no_gain_from_a_move_that_is_certain():
    line = np.array([[0.0, 1.0], [0.0, 1.0]])
    got = value.transition_gradient(
        line, [1, 2], discount_rate=0.1, taken_from="others", first="current"
    )
    assert np.isnan(got[:, 0, 1]).all()
    assert np.isfinite(got[:, 0, 0]).all()


def tilted(P, shift, strength):
    weight = P * np.exp(strength * np.asarray(shift))
    return weight / weight.sum(axis=-1, keepdims=True)


def repairs():
    return (KNAPP.kinds == "repair").astype(float)


@pytest.mark.parametrize("n_periods", [None, 1, 9])
def test_an_action_equals_finite_differences_in_log_odds(n_periods):
    options = {"discount_rate": QUARTERLY, "n_periods": n_periods}
    got = value.action_gradient(K10, K10_MARGINS, repairs(), **options, first="current")
    step = 1e-5
    up, down = (
        value.stage_value(tilted(K10, repairs(), s), K10_MARGINS, **options, first="current")
        for s in (step, -step)
    )
    np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=1e-6, atol=1e-6)


def test_several_actions_and_draws_side_by_side():
    rng = np.random.default_rng(2)
    P = rng.dirichlet(np.ones(3), size=(2, 5, 3))
    shifts = rng.normal(size=(4, 3, 3))
    got = value.action_gradient(P, R3, shifts, discount_rate=0.1, first="current")
    assert got.shape == (2, 5, 4, 3)
    one = value.action_gradient(P[1, 3], R3, shifts[2], discount_rate=0.1, first="current")
    np.testing.assert_allclose(got[1, 3, 2], one, rtol=1e-12)
    moves = value.transition_gradient(P, R3, discount_rate=0.1, first="current")
    assert moves.shape == (2, 5, 3, 3, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_an_action_that_shifts_a_whole_row_alike_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    P, R = rng.dirichlet(np.ones(4), size=4), rng.normal(size=4)
    shift = np.repeat(rng.normal(size=(4, 1)), 4, axis=1)
    got = value.action_gradient(P, R, shift, discount_rate=0.1, first="current")
    np.testing.assert_allclose(got, 0, atol=1e-12)


# --- elasticities ---------------------------------------------------------------------------------


def test_retention_elasticity_of_the_textbook_chain():
    """E = m (1+d) / (1+d-r): the elasticity of retention is r / (1+d-r), of the rate -d r/..."""
    r, d = 0.75, 0.12
    found = value.equity_elasticities(
        [[r, 1 - r], [0, 1]], [80, 0], [7, 3], discount_rate=d, first="current"
    )
    assert found.transitions[0, 0] == pytest.approx(r / (1 + d - r), rel=1e-12)
    assert found.discount_rate == pytest.approx(d / (1 + d) - d / (1 + d - r), rel=1e-12)


def test_elasticities_equal_per_cent_changes():
    counts = np.array([50, 20, 30])
    found = value.equity_elasticities(P3, R3, counts, discount_rate=0.1, first="current")

    def equity(P=P3, R=R3, d=0.1):
        return counts @ value.stage_value(P, R, discount_rate=d, first="current")

    step = 1e-6
    for a, b in ((0, 0), (1, 2), (2, 1)):
        moved = change("others", P3, a, b) * P3[a, b] * step
        rise = (equity(P=P3 + moved) - equity(P=P3 - moved)) / (2 * step * equity())
        assert found.transitions[a, b] == pytest.approx(rise, rel=1e-5)
    by_rate = (equity(d=0.1 * (1 + step)) - equity(d=0.1 * (1 - step))) / (2 * step * equity())
    assert found.discount_rate == pytest.approx(by_rate, rel=1e-5)
    assert found.margins.sum() == pytest.approx(1, rel=1e-12)
    one = np.array([0, 1, 0])
    by_margin = (equity(R=R3 * (1 + step * one)) - equity(R=R3 * (1 - step * one))) / (
        2 * step * equity()
    )
    assert found.margins[1] == pytest.approx(by_margin, rel=1e-5)


def test_elasticities_refuse_what_they_cannot_read():
    with pytest.raises(SpecError, match="equity is 0"):
        value.equity_elasticities(P3, [0, 0, 0], [1, 1, 1], discount_rate=0.1, first="current")
    with pytest.raises(SpecError, match="3 counts"):
        value.equity_elasticities(P3, R3, [1, 1], discount_rate=0.1, first="current")
    with pytest.raises(SpecError, match="positive `discount_rate`"):
        value.transition_gradient(P3, R3, discount_rate=0, first="current")
    with pytest.raises(SpecError, match="'stay' or 'others', got 'all'"):
        value.transition_gradient(P3, R3, discount_rate=0.1, taken_from="all", first="current")
    with pytest.raises(SpecError, match="shifts"):
        value.action_gradient(P3, R3, np.ones((2, 2)), discount_rate=0.1, first="current")


# --- break-even -----------------------------------------------------------------------------------


def offer_back(stage, to):
    """K10 where .10 of the main fall of a stage is turned into a repair."""
    changed = K10.copy()
    i = KNAPP.index(stage)
    fall = int(np.argmax(np.where(np.arange(10) > i, K10[i], 0)))
    changed[i, fall] -= 0.10
    changed[i, KNAPP.index(to)] += 0.10
    return changed


def test_break_even_costs_of_the_teaching_matrix():
    backs = {
        "differentiating": "integrating",
        "circumscribing": "intensifying",
        "stagnating": "experimenting",
        "avoiding": "initiating",
    }
    costs = [
        value.break_even_cost(K10, K10_MARGINS, offer_back(s, to), discount_rate=QUARTERLY)[
            KNAPP.index(s)
        ]
        for s, to in backs.items()
    ]
    np.testing.assert_allclose(costs, oracle.K10_BREAK_EVEN_COSTS, rtol=0, atol=0.005)


def test_an_offer_for_ever_at_its_break_even_cost_gains_nothing():
    P_offer = offer_back("differentiating", "integrating")
    cost = value.break_even_cost(K10, K10_MARGINS, P_offer, discount_rate=QUARTERLY)
    before = value.stage_value(K10, K10_MARGINS, discount_rate=QUARTERLY, first="current")
    after = value.stage_value(P_offer, K10_MARGINS - cost, discount_rate=QUARTERLY, first="current")
    np.testing.assert_allclose(after, before, rtol=1e-12)


def test_an_offer_is_paid_at_once_even_where_margins_come_late():
    P_offer = [[0.9, 0.1], [0, 1]]
    got = value.break_even_cost(
        [[0.8, 0.2], [0, 1]], [100, 0], P_offer, discount_rate=0.1, timing="end"
    )
    assert got[0] == pytest.approx(0.1 / 1.1 * 100 / (1.1 - 0.8), rel=1e-12)


def test_the_offer_s_matrix_is_named_when_it_is_wrong():
    with pytest.raises(SpecError, match="`P_offer`"):
        value.break_even_cost(P3, R3, P3 * 0.9, discount_rate=0.1)
