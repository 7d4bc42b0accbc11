"""Every student has a world of her own, which nobody can derive without the instructor's key."""

import hashlib
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, strategies as st

import crmlab as crm
from crmlab.errors import SpecError
from crmlab.generators.confounding import confounded_world, expected_contrast
from crmlab.generators.variants import Bounds, own_tables, own_world, student_seed

KEY = bytes(range(32))
IDS = [f"s{number:04d}" for number in range(20)]
KNAPP_WORLD = crm.StageWorld(
    crm.KNAPP,
    (0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01),
    crm.K10,
    (
        crm.Poisson("visits", rate=(0.5, 1.5, 3.0, 4.0, 5.0, 4.0, 2.5, 1.0, 0.3, 0.0)),
        crm.ZeroInflatedSpend(
            "spend",
            (0.1, 0.3, 0.5, 0.6, 0.8, 0.6, 0.5, 0.3, 0.1, 0.0),
            (20, 30, 40, 50, 60, 50, 40, 30, 20, 1),
            (0.5,) * 10,
        ),
        crm.OrdinalSurvey(
            "survey", location=(0, 0.5, 1, 1.3, 1.6, 0, -0.5, -1, -1.5, -2), response_rate=0.3
        ),
        crm.StageLabel("report", confusion=0.6 * np.eye(10) + 0.04),
    ),
    n_periods=12,
    actions=(
        crm.actions.Action("call", 5.0, {"repair": 0.7, "exit": -0.5}),
        crm.actions.Action("win_back", 20.0, adds={("terminating", "initiating"): 0.08}),
    ),
)
MARGINS = np.asarray(crm.K10_MARGINS, dtype=float)


@pytest.fixture(scope="module")
def worlds():
    return [own_world(KNAPP_WORLD, who, key=KEY) for who in IDS]


def assert_all_differ(answers):
    """No two of twenty agree in the digits that are asked for."""
    assert len(answers) == 20
    for one, other in combinations(answers, 2):
        assert one != other


# Answers differ -----------------------------------------------------------------------------------


def test_the_value_of_a_stage_differs_between_any_two(worlds):
    def value(world):
        P = np.asarray(world.transition_matrix)
        return round(np.linalg.solve(np.eye(10) - P / 1.01, MARGINS)[4], 1)

    assert_all_differ([value(world) for world in worlds])


def test_the_long_run_differs_between_any_two():
    """The stationary law of a world without an end."""
    space = crm.StageSpace(("dormant", "occasional", "active"))
    P = ((0.85, 0.13, 0.02), (0.15, 0.7, 0.15), (0.02, 0.18, 0.8))
    world = crm.StageWorld(space, (0.3, 0.4, 0.3), P)
    made = [own_world(world, who, key=KEY).transition_matrix for who in IDS]
    laws = [np.linalg.matrix_power(np.asarray(P), 4096)[0].round(3) for P in made]
    assert_all_differ([probs.tolist() for probs in laws])


def test_time_to_the_end_differs_between_any_two(worlds):
    inner = [np.asarray(world.transition_matrix)[:9, :9] for world in worlds]
    assert_all_differ([round(np.linalg.inv(np.eye(9) - Q).sum(axis=1)[0], 2) for Q in inner])


def test_causal_answers_differ_between_any_two():
    base = confounded_world()
    contrasts = [
        expected_contrast(world, world.policy, "call", outcome={"loyal": 1.0})
        for world in (own_world(base, who, key=KEY) for who in IDS)
    ]
    assert_all_differ([round(made.bias, 4) for made in contrasts])
    # What the exercise teaches holds in every world: the call helps, and seems to help far less.
    assert all(made.effect > 0.02 and made.bias < -0.05 for made in contrasts)


def test_what_is_counted_differs_between_any_two():
    tables = [own_tables(KNAPP_WORLD, who, 200, key=KEY) for who in IDS]
    panels = [crm.to_panel(one, freq="M") for one in tables]
    assert_all_differ([round(float(p["visits"].mean()), 4) for p in panels])
    assert_all_differ([round(float(p["spend"].sum()), 0) for p in panels])
    assert_all_differ([float(p["survey"].mean()) for p in panels])


# Sane bounds --------------------------------------------------------------------------------------


def test_the_same_code_works_on_all(worlds):
    for world in worlds:
        assert world.space == KNAPP_WORLD.space
        assert world.n_periods == 12
        assert [c.name for c in world.channels] == ["visits", "spend", "survey", "report"]
        assert [(a.name, len(a.effects)) for a in world.actions] == [("call", 2), ("win_back", 0)]
        moves = np.asarray(world.transition_matrix) > 0
        assert np.array_equal(moves, crm.K10 > 0)
        crm.actions.action_matrices(world.transition_matrix, world.space, world.actions)


def test_stages_keep_their_order_and_numbers_their_size(worlds):
    for world in worlds:
        for base, moved in zip(KNAPP_WORLD.channels, world.channels, strict=True):
            for name, before in base.known.items():
                after = moved.known[name]
                if before.ndim == 1:
                    ranks = [
                        np.unique(values, return_inverse=True)[1] for values in (before, after)
                    ]
                    assert np.array_equal(*ranks)
                    assert ((after == 0) >= ((before == 0) & (name != "location"))).all()
        rates = world.channels[0].known["rate"][:9] / KNAPP_WORLD.channels[0].known["rate"][:9]
        assert (np.abs(np.log(rates)) <= 0.25 + 1e-12).all()
        ratio = np.asarray(world.transition_matrix)[crm.K10 > 0] / crm.K10[crm.K10 > 0]
        assert (np.abs(np.log(ratio)) <= 2 * 0.5).all()
        effects = dict(world.actions[0].effects)
        assert effects["repair"] > 0 > effects["exit"]


def test_bounds_of_zero_leave_the_world_as_it_is():
    same = own_world(KNAPP_WORLD, "ada", key=KEY, bounds=Bounds(0, 0, 0))
    assert np.allclose(same.transition_matrix, KNAPP_WORLD.transition_matrix)
    assert same.actions == KNAPP_WORLD.actions
    for moved, base in zip(same.channels, KNAPP_WORLD.channels, strict=True):
        for name, value in base.known.items():
            assert moved.known[name] == pytest.approx(value)


@given(
    st.lists(st.floats(0.05, 8), min_size=3, max_size=3),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.text("abcdef", min_size=1),
)
def test_any_world_stays_a_world(rates, probs, who):
    space = crm.StageSpace(("a", "b", "c"), moves=(("a", "b"), ("b", "c")))
    channels = (crm.Poisson("n", rate=rates), crm.Bernoulli("y", prob=probs))
    P = ((0.5, 0.5, 0), (0, 0.7, 0.3), (0, 0, 1))
    back = crm.actions.Action("back", 1.0, adds={("c", "a"): 0.55, ("c", "b"): 0.4})
    world = crm.StageWorld(space, (1, 0, 0), P, channels, actions=(back,))
    made = own_world(world, who, key=KEY, bounds=Bounds(2, 2, 2))
    assert made.initial_probs == (1, 0, 0)
    for before, after in ((rates, made.channels[0].rate), (probs, made.channels[1].prob)):
        for i, j in combinations(range(3), 2):
            assert (before[i] <= before[j]) <= (after[i] <= after[j] + 1e-9)
    crm.actions.action_matrices(made.transition_matrix, space, made.actions)


# The key ------------------------------------------------------------------------------------------


@pytest.mark.bits
def test_the_same_key_and_id_give_the_same_tables_again():
    one, other = (own_tables(KNAPP_WORLD, "Ada  Lovelace", 10, key=KEY) for _ in range(2))
    assert one.events.equals(other.events)
    spelled = own_tables(KNAPP_WORLD, " ada lovelace", 10, key=KEY)
    assert spelled.events.equals(one.events)


def test_the_seed_is_a_keyed_hash():
    known = hashlib.blake2b(b"5:world:ada", key=KEY, digest_size=16).digest()
    assert student_seed("Ada", key=KEY) == int.from_bytes(known, "little")


def test_keys_and_purposes_make_other_worlds():
    seeds = [
        student_seed("ada", key=key, purpose=purpose)
        for key in (KEY, bytes(16), KEY[:-1] + b"!", KEY * 3)
        for purpose in ("world", "exam", "exam:ada")
    ]
    assert len(set(seeds)) == 12
    assert student_seed("b:c", key=KEY, purpose="a") != student_seed("c", key=KEY, purpose="a:b")
    assert own_world(KNAPP_WORLD, "ada", key=KEY) != own_world(KNAPP_WORLD, "ada", key=KEY[::-1])


def test_what_a_student_gets_says_nothing_of_seed_or_parameters(tmp_path):
    tables = own_tables(KNAPP_WORLD, "ada", 10, key=KEY)
    assert set(tables.provenance) == {"student_id", "purpose", "n_customers", "crmlab"}
    folder = crm.write_tables(replace(tables, truth=None), tmp_path / "ada")
    given_ = b"".join(path.read_bytes() for path in folder.iterdir())
    seed = student_seed("ada", key=KEY, purpose="world/tables")
    assert str(seed).encode() not in given_
    assert b"transition_matrix" not in given_


def test_other_worlds_are_drawn_by_a_function():
    def draw(rng):
        return replace(confounded_world(), n_periods=int(rng.integers(3, 1000)))

    lengths = {own_world(draw, who, key=KEY).n_periods for who in IDS}
    assert len(lengths) > 15
    with pytest.raises(SpecError, match="a function that returns a world"):
        own_world(lambda rng: 3, "ada", key=KEY)


@pytest.mark.parametrize("key", [b"short", "a text that is long enough", None])
def test_a_key_is_long_and_secret(key):
    with pytest.raises(SpecError) as error:
        student_seed(" ", key=key)
    assert "`key` must be at least 16 secret bytes" in str(error.value)
    assert "`student_id` must be a text that is not empty" in str(error.value)


def test_bounds_are_checked():
    with pytest.raises(SpecError, match="`log_odds` must be from 0 to 2, got 5"):
        Bounds(log_odds=5)
