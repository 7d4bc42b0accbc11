"""Twins share their chance: what differs between two lives is what the policies did.

Statistical tests compare with closed forms at six standard errors: two-sided 2e-9 each.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import crmlab as crm
from crmlab.errors import SpecError
from crmlab.generators.bank.world import Bank
from crmlab.generators.confounding import (
    confounded_world,
    expected_contrast,
    expected_value,
    period_stage_probs,
    stage_propensities,
)
from crmlab.generators.twins import life_values, true_effects, true_regrets, true_value
from crmlab.testing import check_generator

WORLD = confounded_world()
MARGINS = {"loyal": 60.0, "drifting": 15.0}
ALL = crm.actions.AlwaysTreat("call")


def frames(tables):
    records = {form.name: frame for form, frame in tables.records() if form.name != "actions"}
    return {"customers": tables.customers, **records, "stages": tables.truth["stages"]}


def assert_same_lives(one, other):
    ours, theirs = frames(one), frames(other)
    assert list(ours) == list(theirs)
    for name, frame in ours.items():
        pd.testing.assert_frame_equal(frame, theirs[name], check_exact=True)


# Exact equality -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        crm.actions.Action("call", 5.0),
        crm.actions.Action("call", 5.0, {"repair": 0.0}),
        crm.actions.Action(
            "call", 5.0, {"skip": 3.0}
        ),  # a kind of move that this space does not have
        crm.actions.Action("call", 5.0, adds={("gone", "loyal"): 0.0}),
    ],
)
def test_an_action_with_no_reach_changes_nothing(action):
    world = replace(WORLD, actions=(action,))
    treated = crm.simulate(world, 300, seed=4, policy=ALL)
    assert_same_lives(treated, crm.simulate(world, 300, seed=4, policy=crm.actions.NoAction()))
    plain = replace(world, actions=(), policy=crm.actions.NoAction())
    assert_same_lives(treated, crm.simulate(plain, 300, seed=4))
    assert treated.actions["value"].sum() == 300 * 6


@pytest.mark.bits
def test_twins_differ_only_where_the_policies_do():
    """One policy treats customers with an even id from period 2 on, the other nobody."""
    world = replace(
        WORLD, actions=(crm.actions.Action("call", 5.0, {"repair": 3.0, "exit": -3.0}),)
    )
    policy = crm.actions.ThresholdRule("call", "orders_total", 4, above=False, periods=(2, 3, 4, 5))
    one = crm.simulate(world, 400, seed=4, policy=policy)
    other = crm.simulate(world, 400, seed=4, policy=crm.actions.NoAction())
    reached = set(one.actions.loc[one.actions["value"] > 0, "customer_id"])
    assert 0 < len(reached) < 400
    assert other.actions.empty
    changed = set()
    for name, frame in frames(one).items():
        twin = frames(other)[name]
        if name == "customers":
            continue
        for kept in (
            lambda f: f[~f["customer_id"].isin(reached)],
            lambda f: f[f["period"] <= 2],  # the first call of period 2 shows in period 3
        ):
            pd.testing.assert_frame_equal(
                kept(frame).reset_index(drop=True), kept(twin).reset_index(drop=True)
            )
        both = frame.merge(twin, how="outer", indicator=True)
        changed |= set(both.loc[both["_merge"] != "both", "customer_id"])
    assert changed
    assert changed <= reached


def test_an_effect_begins_after_the_action():
    stages = [
        crm.simulate(WORLD, 400, seed=4, policy=policy).truth["stages"]
        for policy in (crm.actions.AlwaysTreat("call", periods=(3,)), crm.actions.NoAction())
    ]
    differ = stages[0]["stage"] != stages[1]["stage"]
    assert stages[0].loc[differ, "period"].min() == 4


def test_more_customers_change_nobody_under_any_policy():
    for policy in (WORLD.policy, crm.actions.ThresholdRule("call", "spend_since", 1)):
        check_generator(replace(WORLD, policy=policy), seed=2)


def test_a_policy_needs_a_world_with_actions():
    plain = crm.StageWorld(crm.StageSpace(("a", "b")), (1, 0), np.full((2, 2), 0.5))
    with pytest.raises(SpecError, match="`policy` has no `actions`"):
        crm.simulate(plain, 3, seed=1, policy=ALL)


def test_a_win_back_returns_the_lost():
    back = crm.actions.Action("call", 5.0, adds={("gone", "loyal"): 0.5})
    world = replace(WORLD, actions=(back,))
    without = crm.simulate(world, 2000, seed=1, policy=crm.actions.NoAction()).truth["stages"]
    with_ = crm.simulate(world, 2000, seed=1, policy=ALL).truth["stages"]
    gone = without["stage"].to_numpy().reshape(2000, 6)[:, 0] == "gone"
    after = with_["stage"].to_numpy().reshape(2000, 6)[gone, 1]
    assert set(after) == {"gone", "loyal"}
    assert abs((after == "loyal").mean() - 0.5) < 6 * 0.5 / np.sqrt(gone.sum())


# Effects, values, regrets -------------------------------------------------------------------------


def test_average_effects_agree_with_closed_forms():
    for policy in (ALL, crm.actions.RandomPolicy({"call": 0.5}), WORLD.policy):
        made = true_effects(WORLD, 4000, policy, margins=MARGINS, seed=5, discount_rate=0.02)
        exact = [
            expected_value(WORLD, rule, margins=MARGINS, discount_rate=0.02)
            for rule in (policy, crm.actions.NoAction())
        ]
        assert abs(made.average - (exact[0] - exact[1])) < 6 * made.standard_error
        assert made.individual["effect"].mean() == made.average
        assert 0 < made.standard_error < made.individual["value"].std(ddof=1) / np.sqrt(4000)


def test_the_value_of_a_life_by_hand():
    tables = crm.simulate(WORLD, 5, seed=3, policy=ALL)
    values = life_values(tables, margins=MARGINS, discount_rate=0.1)
    stages = tables.truth["stages"].pivot(index="customer_id", columns="period", values="stage")
    for customer, row in stages.iterrows():
        by_hand = sum((MARGINS.get(s, 0.0) - 5.0) / 1.1**t for t, s in row.items())
        assert values[customer] == pytest.approx(by_hand)


def test_a_policy_that_does_nothing_has_no_effect():
    made = true_effects(WORLD, 50, crm.actions.NoAction(), margins=MARGINS, seed=5)
    assert (made.individual["effect"] == 0).all()


def test_regret_is_paired_and_the_best_has_none():
    rules = {"nobody": crm.actions.NoAction(), "all": ALL, "manager": WORLD.policy}
    table = true_regrets(WORLD, 4000, rules, margins=MARGINS, seed=5)
    assert table["regret"].iloc[0] == 0
    assert table["regret"].is_monotonic_increasing
    exact = {name: expected_value(WORLD, rule, margins=MARGINS) for name, rule in rules.items()}
    best = table.index[0]
    for name, row in table.iterrows():
        gap = exact[best] - exact[name]
        assert abs(row["regret"] - gap) <= 6 * row["standard_error"]
        alone = true_value(WORLD, 4000, rules[name], margins=MARGINS, seed=5)
        assert alone.value == pytest.approx(row["value"])
        if name != best:  # twins make the comparison sharper than two separate values
            assert row["standard_error"] < alone.standard_error


def test_money_that_makes_no_sense_is_refused_at_once():
    with pytest.raises(SpecError) as error:
        true_effects(WORLD, 5, ALL, margins={"loyal": np.nan}, seed=1, discount_rate=-2)
    assert "`margins` must be finite" in str(error.value)
    assert "`discount_rate` must be above -1" in str(error.value)
    with pytest.raises(SpecError, match="names platinum; the stages that occur are"):
        true_value(WORLD, 5, ALL, margins={"platinum": 1.0}, seed=1)


def test_only_simulated_lives_have_a_true_value():
    tables = replace(crm.simulate(WORLD, 5, seed=1), truth=None)
    with pytest.raises(SpecError, match="the tables have no truth"):
        life_values(tables, margins=MARGINS)


@pytest.mark.bits
def test_the_bank_has_twins_too():
    bank = Bank(n_periods=8)
    gift = crm.actions.AlwaysTreat(bank_action(bank))
    made = true_effects(bank, 150, gift, margins={"bonding": 50.0, "integrating": 30.0}, seed=1)
    assert (made.individual["effect"] != 0).any()
    none = true_effects(bank, 20, crm.actions.NoAction(), margins={"bonding": 50.0}, seed=1)
    assert (none.individual["effect"] == 0).all()


def bank_action(bank):
    return crm.simulate(bank, 2, seed=1).actions["action"].cat.categories[0]


# Confounding --------------------------------------------------------------------------------------


def outcome_and_decision(tables, n):
    """Loyalty one period after the decision of period 0, the decision, and its propensity."""
    loyal = (tables.truth["stages"]["stage"] == "loyal").to_numpy().reshape(n, -1)[:, 1]
    first = tables.truth["decisions"].query("period == 0")
    treated = first["value"].to_numpy()
    return loyal.astype(float), treated, first["propensity"].to_numpy()


def naive(y, treated):
    groups = y[treated == 1], y[treated == 0]
    error = np.sqrt(sum(group.var() / len(group) for group in groups))
    return groups[0].mean() - groups[1].mean(), error


def weighted(y, treated, propensity):
    terms = y * (treated / propensity - (1 - treated) / (1 - propensity))
    return terms.mean(), terms.std() / np.sqrt(len(terms))


def test_confounding_misleads_by_the_amount_that_is_known():
    n = 20_000
    tables = crm.simulate(replace(WORLD, n_periods=2), n, seed=8)
    exact = expected_contrast(WORLD, WORLD.policy, "call", outcome={"loyal": 1.0})
    y, treated, propensity = outcome_and_decision(tables, n)
    estimate, error = naive(y, treated)
    assert abs(estimate - exact.naive) < 6 * error
    right, error = weighted(y, treated, propensity)
    assert abs(right - exact.effect) < 6 * error
    # The call helps, and the naive comparison says clearly that it harms.
    assert exact.effect > 0.05
    assert exact.naive < -0.05
    assert exact.bias == exact.naive - exact.effect
    assert estimate + 6 * error < 0 < right - 3 * error


def test_twins_tell_the_effect_on_all_and_on_the_treated():
    n = 20_000
    world = replace(WORLD, n_periods=2)
    loyal = {
        name: outcome_and_decision(crm.simulate(world, n, seed=8, policy=policy), n)[0]
        for name, policy in {
            "all": ALL,
            "nobody": crm.actions.RandomPolicy({"call": 1e-300}),
        }.items()
    }
    treated = outcome_and_decision(crm.simulate(world, n, seed=8), n)[1] == 1
    effect = loyal["all"] - loyal["nobody"]
    exact = expected_contrast(WORLD, WORLD.policy, "call", outcome={"loyal": 1.0})
    for made, known in ((effect, exact.effect), (effect[treated], exact.effect_on_treated)):
        assert abs(made.mean() - known) < 6 * made.std() / np.sqrt(len(made))


def test_impressions_that_say_nothing_confound_nothing():
    blind = confounded_world(accuracy=1 / 3)
    exact = expected_contrast(blind, blind.policy, "call", outcome={"loyal": 1.0}, period=2)
    assert exact.bias == pytest.approx(0, abs=1e-12)
    assert exact.effect_on_treated == pytest.approx(exact.effect)


def test_the_law_of_the_stages_follows_the_policy():
    for policy in (WORLD.policy, crm.actions.RandomPolicy({"call": 0.3}, periods=(0, 2))):
        laws = period_stage_probs(WORLD, policy)
        stages = crm.simulate(WORLD, 10_000, seed=2, policy=policy).truth["stages"]
        for t, probs in enumerate(laws):
            counts = stages.loc[stages["period"] == t, "stage"].value_counts()
            for name, prob in zip(WORLD.space.names, probs, strict=True):
                spread = np.sqrt(prob * (1 - prob) * 10_000)
                assert abs(counts.get(name, 0) - 10_000 * prob) < 6 * spread


def test_propensities_are_averaged_over_impressions():
    given = stage_propensities(WORLD, WORLD.policy, 0)[:, 0]
    # A drifting customer seems so with .8 and is then called with .8; any other seems so with .1.
    assert given == pytest.approx([0.1 * 0.8 + 0.9 * 0.1, 0.8 * 0.8 + 0.2 * 0.1, 0.17])


def test_a_rule_on_records_has_no_closed_form():
    with pytest.raises(SpecError, match="cannot see 'orders'"):
        expected_value(WORLD, crm.actions.ThresholdRule("call", "orders", 2), margins=MARGINS)


@pytest.mark.parametrize(
    ("action", "period", "policy"),
    [("gift", 0, WORLD.policy), ("call", 5, WORLD.policy), ("call", 0, ALL)],
)
def test_contrasts_that_do_not_exist_are_refused(action, period, policy):
    with pytest.raises(SpecError, match="expected_contrast"):
        expected_contrast(WORLD, policy, action, outcome={"loyal": 1.0}, period=period)
