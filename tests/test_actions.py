"""Actions tilt the moves of stages; policies say with which probability whom they reach."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy.special import logit, softmax

import crmlab as crm
from crmlab.actions import (
    FirmView,
    check_actions,
    check_propensities,
    choose_actions,
    impression_probs,
)
from crmlab.errors import SpecError

SPACE = crm.StageSpace(
    ("new", "loyal", "lost"), moves=(("new", "loyal"), ("new", "lost"), ("loyal", "lost"))
)
MATRIX = np.array(((0.6, 0.3, 0.1), (0.0, 0.9, 0.1), (0.0, 0.0, 1.0)))
MATRICES = st.lists(st.floats(0.01, 5), min_size=9, max_size=9).map(
    lambda w: (m := np.reshape(w, (3, 3)) * SPACE.mask) / m.sum(axis=1, keepdims=True)
)
SHIFTS = st.lists(st.floats(-4, 4), min_size=9, max_size=9).map(lambda s: np.reshape(s, (3, 3)))


# Tilting ------------------------------------------------------------------------------------------


@given(MATRICES, SHIFTS)
def test_a_tilted_row_is_the_softmax_of_shifted_log_probabilities(matrix, shifts):
    with np.errstate(divide="ignore"):
        expected = softmax(np.log(matrix) + shifts, axis=1)
    assert crm.actions.tilt(matrix, SPACE, shifts) == pytest.approx(expected, abs=1e-14)


@given(MATRICES, SHIFTS)
def test_a_tilted_matrix_makes_no_other_moves(matrix, shifts):
    crm.stages.check_transition_matrix(SPACE, crm.actions.tilt(matrix, SPACE, shifts))


@pytest.mark.bits
@given(MATRICES)
def test_no_shift_returns_the_matrix_bit_for_bit(matrix):
    assert np.array_equal(crm.actions.tilt(matrix, SPACE, np.zeros((3, 3))), matrix)
    assert np.array_equal(crm.actions.tilt(matrix, SPACE, crm.actions.Action("nothing")), matrix)


@pytest.mark.bits
def test_rows_that_are_not_shifted_stay_bit_for_bit():
    matrix = np.array(((1 / 3, 1 / 3, 1 / 3), (0, 0.3, 0.7), (0, 0, 1)))
    tilted = crm.actions.tilt(
        matrix, SPACE, crm.actions.Action("welcome", effects={("new", "loyal"): 2.0})
    )
    assert np.array_equal(tilted[1:], matrix[1:])
    assert not np.array_equal(tilted[0], matrix[0])


@given(MATRICES, SHIFTS)
def test_tilting_back_gives_the_matrix_again(matrix, shifts):
    there = crm.actions.tilt(matrix, SPACE, shifts)
    assert crm.actions.tilt(there, SPACE, -shifts) == pytest.approx(matrix, abs=1e-12)


def test_a_shift_is_a_log_odds_ratio_against_staying():
    tilted = crm.actions.tilt(MATRIX, SPACE, crm.actions.Action("rescue", effects={"exit": -0.8}))
    for i in (0, 1):
        before = np.log(MATRIX[i, 2] / MATRIX[i, i])
        assert np.log(tilted[i, 2] / tilted[i, i]) - before == pytest.approx(-0.8)
    # Two cells only: the row's own log-odds moves by the shift.
    assert logit(tilted[1, 2]) - logit(0.1) == pytest.approx(-0.8)


@pytest.mark.bits
def test_leading_axes_are_tilted_side_by_side():
    rng = np.random.default_rng(1)
    matrices = rng.dirichlet(np.ones(3), size=(4, 5, 3))
    shifts = rng.normal(size=(5, 3, 3))
    free = crm.StageSpace(("a", "b", "c"))
    tilted = crm.actions.tilt(matrices, free, shifts)
    for i, j in np.ndindex(4, 5):
        assert np.array_equal(tilted[i, j], crm.actions.tilt(matrices[i, j], free, shifts[j]))


def test_huge_shifts_neither_overflow_nor_lose_the_row():
    tilted = crm.actions.tilt(MATRIX, SPACE, np.full((3, 3), [0.0, 900.0, -900.0]))
    assert tilted[0].tolist() == [0, 1, 0]
    assert tilted[2].tolist() == [0, 0, 1]


@pytest.mark.bits
def test_a_win_back_adds_a_move_and_leaves_other_rows_alone():
    win_back = crm.actions.Action("win_back", adds={("lost", "new"): 0.05, ("loyal", "new"): 0.2})
    tilted = crm.actions.tilt(MATRIX, SPACE, win_back)
    assert tilted[2] == pytest.approx([0.05, 0, 0.95])
    assert tilted[1] == pytest.approx([0.2, 0.72, 0.08])
    assert np.array_equal(tilted[0], MATRIX[0])
    wide = win_back.widen(SPACE)
    crm.stages.check_transition_matrix(wide, tilted)
    assert wide.absorbing == ()
    assert wide.move_kind("new", "loyal") == SPACE.move_kind("new", "loyal")


def test_an_action_that_adds_nothing_keeps_the_space():
    assert crm.actions.Action("mail", effects={"exit": 1}).widen(SPACE) is SPACE


def test_kinds_and_pairs_add_up():
    both = crm.actions.Action("gift", effects={"exit": 1.0, ("loyal", "lost"): 0.5, "stay": 0.25})
    expected = np.zeros((3, 3))
    expected[[0, 1], 2] = (1.0, 1.5)
    expected += 0.25 * np.eye(3)
    assert np.array_equal(both.log_odds(SPACE), expected)


@pytest.mark.bits
def test_action_matrices_begin_with_the_matrix_itself():
    mail = crm.actions.Action("mail", effects={"exit": -1})
    stack = crm.actions.action_matrices(MATRIX, SPACE, [mail, crm.actions.Action("nothing")])
    assert stack.shape == (3, 3, 3)
    assert np.array_equal(stack[0], MATRIX)
    assert np.array_equal(stack[1], crm.actions.tilt(MATRIX, SPACE, mail))
    assert np.array_equal(stack[2], MATRIX)


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [(MATRIX[:2], np.zeros((3, 3))), (MATRIX, np.zeros(3)), (MATRIX, np.full((3, 3), np.nan))],
)
def test_tilt_refuses_what_does_not_fit(matrix, shift):
    with pytest.raises(SpecError, match="tilt: `"):
        crm.actions.tilt(matrix, SPACE, shift)


# Specifications -----------------------------------------------------------------------------------


def test_an_action_is_a_value():
    one = crm.actions.Action("gift", 3, {"exit": -1.0, ("new", "loyal"): 0.5})
    assert one == crm.actions.Action("gift", 3.0, (("exit", -1), (("new", "loyal"), 0.5)))
    assert hash(one) == hash(eval(repr(one), {"Action": crm.actions.Action}))


def test_everything_wrong_with_an_action_is_reported_at_once():
    with pytest.raises(SpecError) as error:
        crm.actions.Action(
            "", -1, {"sideways": 1.0, "exit": np.inf}, {("lost", "new"): 1.2, "exit": 0.1}
        )
    message = str(error.value)
    for part in (
        "`name` must be a text that is not empty",
        "`cost` must be finite and at least 0 [currency per use], got -1",
        "got 'sideways'",
        "got inf for 'exit'",
        "got 1.2 for ('lost', 'new')",
        "`adds` must name moves as (from, to), got 'exit'",
    ):
        assert part in message


def test_additions_may_not_empty_a_row():
    with pytest.raises(SpecError, match="leaves 'lost' with probability"):
        crm.actions.Action("back", adds={("lost", "new"): 0.6, ("lost", "loyal"): 0.5})


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            crm.actions.Action("a", effects={("lost", "new"): 1.0}),
            "cannot happen; put it into `adds`",
        ),
        (
            crm.actions.Action("a", adds={("new", "loyal"): 0.1}),
            "happen anyway; put it into `effects`",
        ),
        (crm.actions.Action("a", effects={("gone", "new"): 1.0}), "the unknown stage 'gone'"),
    ],
)
def test_an_action_must_fit_the_space(action, words):
    with pytest.raises(SpecError, match=words):
        action.log_odds(SPACE)


def test_actions_of_a_world_have_different_names():
    with pytest.raises(SpecError, match="'a' occurs twice"):
        check_actions("World", [crm.actions.Action("a"), crm.actions.Action("a")], SPACE)


# Policies -----------------------------------------------------------------------------------------

VIEW = FirmView(
    4,
    pd.DataFrame({"customer_id": [1, 2, 3], "age": [20, 40, 60]}),
    ("mail", "call"),
    {"visits_since": np.array([0.0, np.inf, np.nan])},
    np.array(["new", "lost", "loyal"]),
)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (crm.actions.NoAction(), [(0, 0)] * 3),
        (crm.actions.AlwaysTreat("call"), [(0, 1)] * 3),
        (crm.actions.AlwaysTreat("call", periods=(3,)), [(0, 0)] * 3),
        (crm.actions.RandomPolicy({"mail": 0.2, "call": 0.5}), [(0.2, 0.5)] * 3),
        (crm.actions.ThresholdRule("mail", "age", 40), [(0, 0), (1, 0), (1, 0)]),
        (crm.actions.ThresholdRule("mail", "age", 40, above=False), [(1, 0), (0, 0), (0, 0)]),
        # Never seen is longest ago; not known is no target.
        (crm.actions.ThresholdRule("call", "visits_since", 3), [(0, 0), (0, 1), (0, 0)]),
        (crm.actions.ManagerImpression("call", ("lost",)), [(0, 0.1), (0, 0.8), (0, 0.1)]),
    ],
)
def test_propensities_of_the_ready_policies(policy, expected):
    assert policy.propensities(VIEW).tolist() == [list(map(float, row)) for row in expected]


def test_a_policy_may_not_name_what_is_not_there():
    with pytest.raises(SpecError, match="the action 'gift'; the world has mail, call"):
        crm.actions.AlwaysTreat("gift").propensities(VIEW)
    with pytest.raises(SpecError, match="cannot see 'income'; it sees visits_since, age"):
        crm.actions.ThresholdRule("mail", "income", 3).propensities(VIEW)


@pytest.mark.parametrize(
    "make",
    [
        lambda: crm.actions.RandomPolicy({"mail": 0.7, "call": 0.6}),
        lambda: crm.actions.RandomPolicy({"mail": -0.1}),
        lambda: crm.actions.ThresholdRule("mail", "age", 1, prob_target=1.1),
        lambda: crm.actions.ManagerImpression("mail", ("new",), accuracy=2),
    ],
)
def test_policies_refuse_what_is_no_probability(make):
    with pytest.raises(SpecError):
        make()


@pytest.mark.parametrize("given_", [[[0.5]], [[np.nan, 0.1]], [[0.7, 0.6]]])
def test_propensities_are_checked(given_):
    with pytest.raises(SpecError, match=r"NoAction: .*`propensities`"):
        check_propensities(crm.actions.NoAction(), given_, (1, 2))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(2**-53, 1 - 2**-53))
def test_the_chosen_action_is_the_one_whose_cell_holds_u(a, b, u):
    first, second = a * b, (1 - a) * b
    chosen = choose_actions(np.array([[first, second]]), np.array([u]))[0]
    edges = np.cumsum([first, second])
    assert chosen == (1 if u < edges[0] else 2 if u < edges[1] else 0)


@given(st.integers(1, 6), st.floats(0, 1))
def test_impressions_are_laws(n_stages, accuracy):
    probs = impression_probs(n_stages, accuracy)
    assert probs.sum(axis=1) == pytest.approx(1)
    assert n_stages == 1 or np.diag(probs) == pytest.approx(accuracy)


# Policies in a world ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spy(crm.actions.Policy):
    """Treats by parity, and keeps what it was shown."""

    seen: list

    def propensities(self, view):
        self.seen.append({name: view.column(name).copy() for name in view.observed})
        even = view.customers["customer_id"].to_numpy() % 2 == 0
        return view.propensities({"mail": np.where(even, 0.5, 0.0)})


WORLD = crm.StageWorld(
    SPACE,
    (0.7, 0.2, 0.1),
    MATRIX,
    (
        crm.Poisson("visits", rate=(1.0, 4.0, 0.0)),
        crm.OrdinalSurvey("survey", location=(0.0, 1.0, -2.0), response_rate=0.4),
    ),
    n_periods=6,
    actions=(
        crm.actions.Action("mail", 0.5, {"exit": -1.0}),
        crm.actions.Action("call", 5.0, {"exit": -2.0}),
    ),
)


def test_a_policy_sees_what_is_recorded_and_no_more():
    spy = Spy([])
    tables = crm.simulate(WORLD, 40, seed=3, policy=spy)
    panel = crm.to_panel(tables, freq="M")
    assert len(spy.seen) == 6
    for t, seen in enumerate(spy.seen):
        past = panel.isel(period=slice(0, t + 1))
        assert seen["visits"] == pytest.approx(past["visits"].values[:, -1])
        assert seen["visits_total"] == pytest.approx(past["visits"].values.sum(axis=1))
        assert seen["survey"] == pytest.approx(past["survey"].values[:, -1], nan_ok=True)
        answered = past["survey"].values
        assert seen["survey_since"].tolist() == [since(row, np.isnan(row)) for row in answered]
        visited = past["visits"].values
        assert seen["visits_since"].tolist() == [since(row, row == 0) for row in visited]
        mailed = panel["mail"].values[:, :t]
        assert seen["mail_total"] == pytest.approx(mailed.sum(axis=1))
        late = [since(row, row == 0) + 1 for row in mailed]
        assert seen["mail_since"].tolist() == late


def since(row, is_empty):
    filled = [t for t in range(len(row)) if not is_empty[t]]
    return len(row) - 1 - filled[-1] if filled else np.inf


def test_the_log_holds_whoever_could_have_been_treated():
    tables = crm.simulate(WORLD, 60, seed=3, policy=Spy([]))
    log = tables.actions
    assert len(log) == 30 * 6
    assert (log["customer_id"] % 2 == 0).all()
    assert (log["propensity"] == 0.5).all()
    assert (log["cost"] == 0.5 * log["value"]).all()
    # Half of 180 fair coins: 6 standard deviations.
    assert abs(log["value"].sum() - 90) < 6 * np.sqrt(180) / 2
    panel = crm.to_panel(tables, freq="M")
    assert panel["mail"].values.sum() == log["value"].sum()
    assert (panel["call"] == 0).all()


def test_impressions_and_their_propensities_stay_in_the_truth():
    manager = crm.actions.ManagerImpression("call", ("lost",), accuracy=0.9)
    tables = crm.simulate(WORLD, 200, seed=3, policy=manager)
    assert (tables.actions["value"] == 1).all()
    assert "propensity" not in tables.actions
    assert "impression" not in tables.actions
    decisions = tables.truth["decisions"].merge(tables.truth["stages"])
    right = (decisions["impression"] == decisions["stage"]).mean()
    # 1200 impressions, right in 9 of 10: 6 standard deviations.
    assert abs(right - 0.9) < 6 * np.sqrt(0.09 / 1200)
    expected = np.where(decisions["impression"] == "lost", 0.8, 0.1)
    assert (decisions["propensity"] == expected).all()


def test_a_world_lists_what_is_wrong_with_its_actions():
    with pytest.raises(SpecError, match="'visits' is the name of a channel and of an action"):
        crm.StageWorld(
            SPACE, (1, 0, 0), MATRIX, WORLD.channels, actions=(crm.actions.Action("visits"),)
        )
    with pytest.raises(SpecError, match="`policy` has no `actions` to choose from"):
        crm.StageWorld(SPACE, (1, 0, 0), MATRIX, policy=crm.actions.AlwaysTreat("mail"))
    with pytest.raises(SpecError, match="must be a Policy, got 'all'"):
        crm.simulate(WORLD, 3, seed=1, policy="all")
