import numpy as np
import pytest

from crmlab.errors import SpecError
from crmlab.stages import (
    K10,
    K10_MARGINS,
    KNAPP,
    KNAPP_MERGED,
    KNAPP_TO_LIFECYCLE,
    KNAPP_TO_MERGED,
    KNAPP_TO_SIX_STAGE,
    LIFECYCLE,
    LIFECYCLE_EXPLORATION_FIRST,
    SIX_STAGE,
    Crosswalk,
    Move,
    StageSpace,
    check_transition_matrix,
)
from tests.oracles import chains as oracle

SPACES = (KNAPP, LIFECYCLE, LIFECYCLE_EXPLORATION_FIRST, SIX_STAGE, KNAPP_MERGED)
CROSSWALKS = (KNAPP_TO_LIFECYCLE, KNAPP_TO_SIX_STAGE, KNAPP_TO_MERGED)

# Knapp's first three movement rules as a table, written by hand from the staircase: from the stage
# in front to f(orward), b(ack), s(kip), c(ross), r(epair), e(xit); '.' stays, '-' cannot happen.
KNAPP_BY_HAND = """
    initiating      . f s - - - - - c e
    experimenting   b . f s - c - c c e
    intensifying    - b . f s c c c - e
    integrating     - - b . f c c - - e
    bonding         - - - b . c - - - e
    differentiating - - - r r . f - - e
    circumscribing  - - r r - b . f - e
    stagnating      - r r - - - b . f e
    avoiding        r r - - - - - b . e
    terminating     - - - - - - - - - .
"""
KIND = {"f": "forward", "b": "back", "s": "skip", "c": "cross", "r": "repair", "e": "exit"}


# --- Knapp's staircase -----------------------------------------------------------------------


def test_knapp_moves_are_the_movement_rules():
    names, *letters = zip(
        *(line.split() for line in KNAPP_BY_HAND.split("\n") if line), strict=True
    )
    expected = [[KIND.get(letter, "") for letter in row] for row in zip(*letters, strict=True)]
    assert KNAPP.names == names
    assert KNAPP.kinds.tolist() == expected
    assert KNAPP.phases == ("together",) * 5 + ("apart",) * 5
    assert KNAPP.absorbing == ("terminating",)


def test_k10_is_the_teaching_matrix():
    np.testing.assert_array_equal(K10, np.array(oracle.K10, dtype=float))
    np.testing.assert_array_equal(check_transition_matrix(KNAPP, K10), K10)
    assert K10_MARGINS.tolist() == [-2, -1, 4, 20, 35, 15, 8, 3, 0, 0]


@pytest.mark.parametrize(
    "array", [K10, K10_MARGINS, KNAPP.mask, KNAPP.kinds, KNAPP_TO_MERGED.matrix]
)
def test_constants_cannot_be_changed(array):
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


# --- stage spaces ----------------------------------------------------------------------------


def test_moves_left_out_allow_everything():
    space = StageSpace(["dormant", "occasional", "active"])
    assert space.mask.all()
    assert space.absorbing == ()
    assert space.phases == ("together",) * 3
    assert space.kinds.tolist() == [
        ["", "forward", "skip"],
        ["back", "", "forward"],
        ["drop", "back", ""],
    ]


def test_no_moves_makes_every_stage_absorbing():
    space = StageSpace(("a", "b"), moves=())
    np.testing.assert_array_equal(space.mask, np.eye(2, dtype=bool))
    assert space.absorbing == ("a", "b")


def test_kinds_that_are_left_out_follow_from_the_position():
    space = StageSpace(
        ("new", "loyal", "cold", "lost"),
        ("together", "together", "apart", "apart"),
        [("new", "loyal"), ("new", "cold"), ("cold", "new"), ("cold", "lost"), ("loyal", "new")],
    )
    assert space.moves == (
        Move("new", "loyal", "forward"),
        Move("new", "cold", "cross"),
        Move("cold", "new", "repair"),
        Move("cold", "lost", "exit"),
        Move("loyal", "new", "back"),
    )


def test_a_given_kind_is_kept():
    space = StageSpace(("a", "b", "c"), moves=[("a", "b", "cross"), Move("b", "c"), ("c", "a")])
    assert space.move_kind("a", "b") == "cross"
    assert space.move_kind("b", "c") == "forward"
    assert space.move_kind("c", "a") == "drop"
    assert space.move_kind("a", "a") == ""


def test_equal_spaces_are_equal_and_can_be_keys():
    first = StageSpace(["a", "b"], moves=[("a", "b")])
    second = StageSpace(("a", "b"), ("together", "together"), (Move("a", "b", "exit"),))
    assert first == second
    assert len({first, second}) == 1
    assert first != StageSpace(("a", "b"))


def test_a_space_is_frozen():
    with pytest.raises(AttributeError):
        KNAPP.names = ()


def test_index_coords_and_length():
    assert [LIFECYCLE.index(name) for name in LIFECYCLE.names] == [0, 1, 2, 3, 4]
    assert SIX_STAGE.coords == {"stage": list(SIX_STAGE.names)}
    assert [len(space) for space in SPACES] == [10, 5, 5, 6, 8]


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(SpecError, match="'bonded'; the stages are awareness, exploration"):
        LIFECYCLE.index("bonded")


def test_order_groups_rise_together_and_fall_apart():
    assert StageSpace(("a", "b")).order_groups() == ((0, 1),)
    assert StageSpace(("a", "b"), ("apart", "apart")).order_groups() == ((1, 0),)
    mixed = StageSpace(("up", "end", "top", "fall"), ("together", "apart", "together", "apart"))
    assert mixed.order_groups() == ((0, 2), (3, 1))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.names[0]}-{len(space)}")
def test_graph_says_what_the_arrays_say(space):
    graph = space.graph()
    assert list(graph.nodes) == list(space.names)
    assert tuple(phase for _, phase in graph.nodes(data="phase")) == space.phases
    edges = {(a, b): kind for a, b, kind in graph.edges(data="kind")}
    assert edges == {
        (a, b): space.move_kind(a, b)
        for a in space.names
        for b in space.names
        if a != b and space.mask[space.index(a), space.index(b)]
    }


def test_all_problems_of_a_space_are_reported_at_once():
    with pytest.raises(SpecError) as caught:
        StageSpace(
            ("new", "old", "new"),
            ("together", "sideways"),
            [("new", "old"), ("new", "old"), ("old", "old"), ("old", "gone"), ("old", "new", "up")],
        )
    message = str(caught.value)
    assert message.startswith("StageSpace: 7 problems")
    for part in (
        "'new' repeats",
        "one phase per stage (3), got 2",
        "got 'sideways'",
        "repeat 'new' -> 'old'",
        "unknown stage 'gone'",
        "'old' -> 'old': staying is always allowed",
        "got 'up'",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"names": ()}, "at least one stage"),
        ({"names": ("a", "")}, "non-empty strings, got ''"),
        ({"names": ("a", 3)}, "non-empty strings, got 3"),
        ({"names": ("a", "b"), "phases": "apart"}, "one phase per stage (2), got 1"),
        ({"names": ("a", "b"), "moves": "ab"}, "(from, to) or (from, to, kind), got 'ab'"),
        ({"names": ("a", "b"), "moves": [("a",)]}, "(from, to) or (from, to, kind), got ('a',)"),
    ],
)
def test_one_problem_of_a_space(arguments, part):
    with pytest.raises(SpecError) as caught:
        StageSpace(**arguments)
    assert part in str(caught.value)


# --- crosswalks ------------------------------------------------------------------------------


@pytest.mark.parametrize("crosswalk", CROSSWALKS, ids=("lifecycle", "six", "merged"))
def test_a_crosswalk_translates_every_stage_once(crosswalk):
    assert crosswalk.matrix.sum(axis=1).tolist() == [1] * 10
    translated = [crosswalk.space_to.names[j] for j in crosswalk.matrix.argmax(axis=1)]
    assert tuple(translated) == crosswalk.labels


@pytest.mark.parametrize("crosswalk", CROSSWALKS, ids=("lifecycle", "six", "merged"))
def test_a_translated_knapp_journey_is_allowed(crosswalk):
    matrix, mask = crosswalk.matrix, KNAPP.mask.astype(int)
    possible = matrix.T @ mask @ matrix > 0
    assert (crosswalk.space_to.mask >= possible).all()


@pytest.mark.parametrize("crosswalk", CROSSWALKS, ids=("lifecycle", "six", "merged"))
def test_a_crosswalk_keeps_the_phase(crosswalk):
    phase = dict(zip(crosswalk.space_to.names, crosswalk.space_to.phases, strict=True))
    assert tuple(phase[label] for label in crosswalk.labels) == KNAPP.phases


def test_repair_is_a_stage_that_no_knapp_stage_becomes():
    assert "repair" not in KNAPP_TO_SIX_STAGE.labels
    together = SIX_STAGE.names[:3]
    assert {SIX_STAGE.move_kind("repair", name) for name in together} == {"repair"}
    assert {SIX_STAGE.move_kind(name, "repair") for name in together} == {""}


def test_the_order_of_the_lifecycle_has_consequences():
    skip = ("awareness", "expansion")
    assert LIFECYCLE.move_kind(*skip) == "skip"
    assert LIFECYCLE_EXPLORATION_FIRST.move_kind(*skip) == "forward"
    assert LIFECYCLE.move_kind("expansion", "awareness") == ""
    assert LIFECYCLE_EXPLORATION_FIRST.move_kind("expansion", "awareness") == "back"


def test_a_crosswalk_takes_a_mapping():
    space, coarse = StageSpace(("a", "b")), StageSpace(("all",))
    crosswalk = Crosswalk(space, coarse, {"a": "all", "b": "all"})
    assert crosswalk == Crosswalk(space, coarse, (("a", "all"), ("b", "all")))
    assert crosswalk.labels == ("all", "all")


def test_all_problems_of_a_crosswalk_are_reported_at_once():
    space = StageSpace(("a", "b", "c"))
    with pytest.raises(SpecError) as caught:
        Crosswalk(space, space, [("a", "b"), ("a", "c"), ("b", "z"), ("x", "a")])
    message = str(caught.value)
    assert message.startswith("Crosswalk: 4 problems")
    for part in (
        "space_from has no stage 'x'",
        "space_to has no stage 'z'",
        "'a' is translated more than once",
        "'c' is not translated",
    ):
        assert part in message


# --- transition matrices ---------------------------------------------------------------------


def test_all_problems_of_a_matrix_are_reported_at_once():
    space = StageSpace(("new", "old", "lost"), moves=[("new", "old"), ("old", "lost")])
    with pytest.raises(SpecError) as caught:
        check_transition_matrix(space, [[0.5, 0.6, 0], [-0.2, 1.2, 0], [0.1, np.nan, 0.9]])
    message = str(caught.value)
    assert message.startswith("transition_matrix: 4 problems")
    for part in (
        "row 'new' sums to 1.1, must be 1",
        "'old' -> 'new' is -0.2, must not be negative",
        "'lost' -> 'old' is nan, must be a number",
        "'lost' -> 'new' has probability 0.1, but the stage space does not allow this move",
    ):
        assert part in message


@pytest.mark.parametrize("matrix", [[[1.0]], [0.5, 0.5], np.ones((2, 2, 2)) / 2])
def test_a_matrix_of_another_shape_is_refused(matrix):
    with pytest.raises(SpecError, match=r"must have shape \(2, 2\)"):
        check_transition_matrix(StageSpace(("a", "b")), matrix)


def test_a_matrix_of_words_is_refused():
    with pytest.raises(SpecError, match="must hold numbers only"):
        check_transition_matrix(StageSpace(("a", "b")), [["a", "b"], ["c", "d"]])


def test_rounding_of_a_row_is_forgiven_but_not_a_typing_error():
    space = StageSpace(("a", "b", "c"))
    check_transition_matrix(space, np.full((3, 3), 1 / 3))
    with pytest.raises(SpecError, match=r"row 'a' sums to 0\.999"):
        check_transition_matrix(space, [[0.333, 0.333, 0.333], [0, 1, 0], [0, 0, 1]])


def test_the_checked_matrix_is_a_copy():
    mine = np.eye(2)
    checked = check_transition_matrix(StageSpace(("a", "b")), mine)
    checked[0, 0] = 0.5
    assert mine[0, 0] == 1.0
