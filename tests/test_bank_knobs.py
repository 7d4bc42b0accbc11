"""Every knob of the bank: the observable it moves, the direction, and that at zero nothing moves.

Worlds that are compared share all their chance (addressed uniforms), so what differs is the knob.
Each comparison starts from quiet levers, with what the knob needs in order to act.
"""

from dataclasses import replace
from functools import cache
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import crmlab as crm
from crmlab.generators.bank.knobs import list_knobs, turn
from crmlab.tables.records import CleanRecords

N, FEW, PERIODS, SEED = 300, 50, 14, 4


def as_it_is(raw, window, more):
    """Take tables unchecked: two thirds of the time of a small world are checks."""
    return CleanRecords({name: f for name, f in raw.items() if f is not None}, window, more)


@cache
def world_of(changes, n):
    levers = turn(crm.bank.quiet_levers(), dict(changes))
    bank = crm.bank.Bank(levers=levers, n_periods=PERIODS, arrival_span=6)
    with mock.patch("crmlab.tables.customer_tables.clean_records", as_it_is):
        return bank.sample(crm.generators.Streams(SEED), np.arange(n))


def simulated(n=N, **settings):
    return world_of(tuple(sorted((k.replace("__", "."), v) for k, v in settings.items())), n)


# --- observables: each a number of one world -----------------------------------------------------


def per_customer(tables, channel):
    events = tables.events[tables.events["channel"] == channel]
    total = events.groupby("customer_id")["value"].sum()
    return total.reindex(tables.customers["customer_id"], fill_value=0).to_numpy()


def purchases(tables):
    return per_customer(tables, "purchases").mean()


def activity(tables):
    """Share of customers with any event in the last year."""
    late = tables.events[tables.events["period"] >= PERIODS - 4]
    return late["customer_id"].nunique() / N


def tenure(tables):
    last = tables.events.groupby("customer_id")["period"].max()
    return last.reindex(tables.customers["customer_id"], fill_value=0).to_numpy()


def contrast(column, value, measure):
    """Mean of a measure among customers with a value, less that of the others."""

    def observe(tables):
        group = tables.customers[column].isin(np.atleast_1d(value)).to_numpy()
        measured = measure(tables)
        return measured[group].mean() - measured[~group].mean()

    return observe


def with_trait(name, measure):
    return lambda tables: np.corrcoef(tables.truth["people"][name], measure(tables))[0, 1]


def bought(tables):
    return per_customer(tables, "purchases")


def contacted(tables):
    return per_customer(tables, "contacts")


def margin_rate(tables):
    sales = tables.more["transactions"].groupby("customer_id")[["margin", "amount"]].sum()
    sales = sales.reindex(tables.customers["customer_id"])
    rate = (sales["margin"] / sales["amount"]).fillna(0.006)
    return rate.to_numpy()


def answered(tables):
    share = tables.surveys["value"].notna().groupby(tables.surveys["customer_id"]).mean()
    return share.reindex(tables.customers["customer_id"], fill_value=0.5).to_numpy()


def rated(tables):
    means = tables.surveys.groupby("customer_id")["value"].mean()
    means = means.reindex(tables.customers["customer_id"])
    return means.fillna(means.mean()).to_numpy()


def share_of(table, column, value):
    return lambda tables: (table_of(tables, table)[column] == value).mean()


def count_of(table, column=None, value=None):
    def observe(tables):
        frame = table_of(tables, table)
        return len(frame) if column is None else (frame[column] == value).sum()

    return observe


def taken(name):
    """How often an action was taken: the log also has those who could have been treated."""
    return lambda tables: tables.actions.loc[tables.actions["action"] == name, "value"].sum()


def table_of(tables, name):
    return tables.more[name] if name in tables.more else getattr(tables, name)


def moves(tables):
    stages = tables.truth["stages"]
    before = stages.groupby("customer_id")["stage"].shift()
    return stages.assign(before=before)[before.notna() & (before != stages["stage"])]


def repairs_of(tables):
    made = moves(tables)
    kind = [crm.KNAPP.move_kind(a, b) for a, b in zip(made["before"], made["stage"], strict=True)]
    count = made[np.array(kind) == "repair"].groupby("customer_id").size()
    return count.reindex(tables.customers["customer_id"], fill_value=0).to_numpy()


def repairs(tables):
    return repairs_of(tables).sum()


def crossings(tables):
    made = moves(tables)
    kind = [crm.KNAPP.move_kind(a, b) for a, b in zip(made["before"], made["stage"], strict=True)]
    return (np.array(kind) == "cross").sum() / len(made)


def wait_of_self_service(tables):
    touches = tables.more["touchpoints"].merge(tables.customers[["customer_id", "service_mode"]])
    return touches.loc[touches["service_mode"] == "self_service", "wait"].mean()


def cases_of_members(tables):
    merged = tables.cases.merge(tables.customers[["customer_id", "service_mode"]])
    return (merged["service_mode"] == "community").sum()


def persistence(tables):
    felt = tables.truth["feelings"]
    before = felt.groupby("customer_id")["satisfaction"].shift()
    return felt["satisfaction"].corr(before)


def treated_mood(tables):
    merged = tables.more["assignments"].merge(tables.truth["feelings"])
    treated = merged["decision"] != "nothing"
    return merged.loc[treated, "satisfaction"].mean() - merged.loc[~treated, "satisfaction"].mean()


def outgoing_in_person(tables):
    touches = tables.more["touchpoints"]
    out = touches[touches["kind"] == "relationship_marketing"]
    return out["channel"].isin(["branch", "call_centre"]).mean()


def contradictions(tables):
    touches = tables.more["touchpoints"]
    return touches.loc[touches["kind"] == "relationship_marketing", "contradictory"].mean()


def satisfaction(tables):
    answers = tables.surveys[tables.surveys["channel"] == "satisfaction"]
    return answers["value"].mean()


def reports_right(tables):
    merged = tables.labels.merge(tables.truth["stages"], on=["customer_id", "period"])
    return (merged["stage_x"].astype(str) == merged["stage_y"].astype(str)).mean()


def mean_reach(tables):
    return tables.more["posts"]["reach"].mean()


def closings(tables):
    return count_of("touchpoints", "kind", "closing")(tables)


UP, DOWN = 1, -1
ASKED = {"surveys__invited": 0.7}
FELT = {"quality__weight": 0.5}
MOODY = {"quality__sd": 1.0, **FELT}
CALLED = {"outreach__contacts": 2.0}
REFERRED = {"awareness__referral_share": 0.6}

# knob: (value, what it needs to act, observable, direction)
KNOBS = {
    "awareness.channel_pull": (
        2.0, {}, contrast("acquisition_channel", ["branch", "partner"], bought), UP),
    "awareness.message_fit": (1.0, {}, purchases, UP),
    "awareness.referral_share": (
        0.6, {}, share_of("customers", "acquisition_channel", "referral"), UP),
    "awareness.referral_lead": (
        2.0, REFERRED, contrast("acquisition_channel", "referral", bought), UP),
    "awareness.interactivity": (1.0, {}, purchases, UP),
    "awareness.depth": (1.0, {}, purchases, UP),
    "awareness.breadth": (1.0, {}, crossings, DOWN),
    "traits.adaptation": (0.8, {}, with_trait("adaptation", bought), UP),
    "traits.trust": (0.8, {}, with_trait("trust", bought), UP),
    "traits.commitment": (0.8, {}, with_trait("commitment", tenure), UP),
    "traits.communication": (0.5, {}, with_trait("communication", contacted), UP),
    "traits.cooperation": (1.0, ASKED, with_trait("cooperation", answered), UP),
    "traits.conflict_resolution": (1.5, {}, with_trait("conflict_resolution", repairs_of), UP),
    "traits.interdependence": (0.5, {}, with_trait("interdependence", bought), UP),
    "traits.past_satisfaction": (
        2.0, {**ASKED, "quality__carry": 0.9}, with_trait("past_satisfaction", rated), UP),
    "traits.power": (0.5, {}, with_trait("power", margin_rate), DOWN),
    "pillars.solutions": (0.8, {}, purchases, UP),
    "pillars.respect": (0.8, {}, purchases, UP),
    "pillars.emotional_connection": (0.8, {}, purchases, UP),
    "pillars.fair_prices": (-0.8, {}, purchases, DOWN),
    "pillars.convenience": (0.8, {}, wait_of_self_service, DOWN),
    "service.need_level": (
        1.0, {}, lambda tables: tables.customers["need_level"].mean(), UP),
    "service.mismatch": (0.5, {}, activity, DOWN),
    "service.co_creation": (2.0, {}, contrast("need_level", [5, 6], bought), UP),
    "service.transactional_share": (
        0.6, {}, share_of("customers", "relationship_type", "transactional"), UP),
    "service.transactional_exit": (
        1.5, {"service__transactional_share": 0.5},
        contrast("relationship_type", "transactional", tenure), DOWN),
    "service.dedicated_bond": (2.0, {}, contrast("service_mode", "dedicated", bought), UP),
    "service.self_service": (1.0, {}, wait_of_self_service, DOWN),
    "service.peer_support": (0.9, {"stagnation__delays": 0.3}, cases_of_members, DOWN),
    "market.alternatives": (1.0, {}, activity, DOWN),
    "market.power_asymmetry": (1.0, {}, activity, UP),
    "market.passive_share": (
        0.8, {}, lambda tables: tables.truth["people"]["passive"].mean(), UP),
    "market.inertia": (1.5, {"market__passive_share": 0.5}, activity, UP),
    "market.rival_pull": (
        3.0, {"market__passive_share": 0.5, "market__rival_period": 8}, activity, DOWN),
    "stagnation.innovation_lack": (0.3, {}, count_of("cases", "cause", "innovation_lack"), UP),
    "stagnation.low_standard": (0.3, {}, count_of("cases", "cause", "low_standard"), UP),
    "stagnation.inconvenience": (0.3, {}, count_of("cases", "cause", "inconvenience"), UP),
    "stagnation.delays": (0.3, {}, count_of("cases", "cause", "delays"), UP),
    "stagnation.resolution": (
        0.9, {"stagnation__delays": 0.3}, share_of("cases", "resolution", "recovered"), UP),
    "quality.mean": (1.0, FELT, purchases, UP),
    "quality.sd": (1.5, FELT, purchases, DOWN),
    "quality.back_office": (-1.5, FELT, purchases, DOWN),
    "quality.choice": (0.8, MOODY, purchases, UP),
    "quality.ritual_breach": (0.5, FELT, purchases, DOWN),
    "quality.carry": (0.9, MOODY, persistence, UP),
    "quality.weight": (1.0, {"quality__mean": 0.7}, purchases, UP),
    **{
        f"treatments.{name}": (0.3, {}, taken(name), UP)
        for name in ("follow_up", "inform", "note", "gift", "information", "automation")
    },
    "treatments.follow_up_effect": (2.0, {"treatments__follow_up": 0.6}, purchases, UP),
    "treatments.follow_up_delay": (
        90.0, {"treatments__follow_up": 0.6, "treatments__follow_up_effect": 2.0}, purchases, DOWN),
    "treatments.inform_effect": (2.0, {"treatments__inform": 0.6}, activity, UP),
    "treatments.note_effect": (2.0, {"treatments__note": 0.6}, purchases, UP),
    "treatments.gift_effect": (2.0, {"treatments__gift": 0.6}, crossings, DOWN),
    "treatments.information_effect": (2.0, {"treatments__information": 0.6}, purchases, UP),
    "treatments.automation_effect": (2.0, {"treatments__automation": 0.6}, repairs, UP),
    "treatments.confounding": (
        2.0, {"treatments__follow_up": 0.3, "quality__sd": 1.0}, treated_mood, DOWN),
    "treatments.win_back": (0.3, {}, taken("win_back"), UP),
    "treatments.win_back_effect": (0.5, {"treatments__win_back": 0.5}, activity, UP),
    "outreach.contacts": (1.0, {}, count_of("touchpoints", "kind", "relationship_marketing"), UP),
    "outreach.fatigue": (1.0, CALLED, activity, DOWN),
    "outreach.richness": (1.0, {**CALLED, "outreach__personal_share": 0.5}, purchases, UP),
    "outreach.personal_share": (0.8, CALLED, outgoing_in_person, UP),
    "outreach.contradiction": (0.5, CALLED, contradictions, UP),
    "talk.ripple": (2.0, {}, activity, DOWN),
    "talk.praise": (4.0, {}, purchases, UP),
    "talk.posts": (1.0, {}, count_of("posts"), UP),
    "talk.reach": (11.7, {"talk__posts": 1.0}, mean_reach, UP),
    "talk.reward": (1.5, {}, purchases, UP),
    "surveys.invited": (0.5, {}, count_of("surveys"), UP),
    "surveys.silence": (2.0, {**ASKED, "quality__sd": 1.5}, satisfaction, UP),
    "surveys.perception_gap": (1.0, ASKED, satisfaction, DOWN),
    "surveys.report_error": (0.5, ASKED, reports_right, DOWN),
    "surveys.field_burden": (20, {}, share_of("touchpoints", "reason", "xxx"), UP),
    "shocks.life_events": (0.3, {}, activity, DOWN),
    "shocks.scandal": (3.0, {"shocks__scandal_period": 10}, activity, DOWN),
    "shocks.dismissal": (0.5, {}, closings, UP),
    "shocks.fraud": (0.05, {}, closings, UP),
    "shocks.closing": (0.9, {}, closings, UP),
    "memory.scars": (2.0, {}, repairs, DOWN),
    "memory.dwelling": (1.5, {}, lambda tables: len(moves(tables)), DOWN),
    "variety.moves": (1.5, {}, lambda tables: bought(tables).var() / bought(tables).mean(), UP),
    "variety.rates": (1.0, {}, lambda tables: bought(tables).var() / bought(tables).mean(), UP),
}  # fmt: skip


@pytest.mark.parametrize("knob", KNOBS)
def test_each_knob_moves_its_observable_in_its_direction(knob):
    value, needed, observe, direction = KNOBS[knob]
    before = observe(simulated(**needed))
    after = observe(simulated(**needed, **{knob.replace(".", "__"): value}))
    assert direction * (after - before) > 1e-3 * max(abs(before), 0.1)


def test_every_knob_is_in_the_table_and_zero_is_its_neutral_value():
    knobs = list_knobs(crm.bank.Levers())
    assert {name for name, (_, about) in knobs.items() if about["neutral"] is not None} == set(
        KNOBS
    )
    quiet = list_knobs(crm.bank.quiet_levers())
    assert {quiet[name][0] for name in KNOBS} == {0.0}


# What a knob acts on is not there in a quiet world, so the knob alone changes not one cell.
IDLE = [
    "awareness.referral_lead", "service.transactional_exit", "service.peer_support",
    "market.inertia", "market.rival_pull", "stagnation.resolution", "quality.choice",
    "quality.carry", "quality.weight", "treatments.follow_up_effect",
    "treatments.follow_up_delay",
    "treatments.inform_effect", "treatments.note_effect", "treatments.gift_effect",
    "treatments.information_effect", "treatments.automation_effect", "treatments.confounding",
    "treatments.win_back_effect", "outreach.fatigue", "outreach.richness",
    "outreach.personal_share", "outreach.contradiction", "talk.reach", "surveys.silence",
    "surveys.perception_gap", "surveys.report_error",
]  # fmt: skip


def frames_of(tables):
    records = {form.name: frame for form, frame in tables.records()}
    return {"customers": tables.customers, **records, **tables.more, **tables.truth}


@pytest.mark.bits
@pytest.mark.parametrize("knob", IDLE)
def test_a_knob_without_anything_to_act_on_changes_nothing_exactly(knob):
    ours, theirs = (
        frames_of(t)
        for t in (simulated(FEW, **{knob.replace(".", "__"): KNOBS[knob][0]}), simulated(FEW))
    )
    for name, frame in theirs.items():
        pd.testing.assert_frame_equal(ours[name], frame, obj=name, check_exact=True)


SPOKEN = [
    "surveys.invited", "surveys.field_burden", "talk.posts", "shocks.closing",
    "service.self_service", "traits.power", "traits.cooperation", "traits.communication",
    "traits.interdependence", "variety.rates",
]  # fmt: skip


@pytest.mark.bits
@pytest.mark.parametrize("knob", SPOKEN)
def test_what_is_only_seen_leaves_every_relationship_as_it_was(knob):
    ours = simulated(FEW, **{knob.replace(".", "__"): KNOBS[knob][0]}).truth["stages"]
    pd.testing.assert_frame_equal(ours, simulated(FEW).truth["stages"])


@pytest.mark.bits
@pytest.mark.parametrize("knob", ["quality.mean", "talk.ripple", "memory.scars", "variety.moves"])
def test_turning_a_knob_back_to_zero_gives_the_same_world_cell_by_cell(knob):
    there = crm.bank.Bank(n_periods=8).turned({knob: 0.7})
    back, never = (b.turned({knob: 0.0}) for b in (there, crm.bank.Bank(n_periods=8)))
    assert back == never
    ours, theirs = (frames_of(crm.simulate(b, 60, seed=2)) for b in (back, never))
    for name, frame in theirs.items():
        pd.testing.assert_frame_equal(ours[name], frame, obj=name)


def test_groups_say_default_unit_and_source_of_each_knob():
    for name, (value, about) in list_knobs(crm.bank.Levers()).items():
        group, _, knob = name.partition(".")
        text = type(getattr(crm.bank.Levers(), group)).__doc__
        assert f"{knob} : float, default {value:g}" in text
        assert f"[{about['unit']}] ({about['source']})" in text


def test_knobs_name_ids_of_the_map_of_sources():
    last = {"A": 25, "B": 33, "C": 19, "D": 83}
    for _, about in list_knobs(crm.bank.Levers()).values():
        for source in about["source"].split(", "):
            assert 1 <= int(source[1:]) <= last[source[0]]


def test_unknown_knobs_are_all_named():
    with pytest.raises(crm.SpecError) as error:
        crm.bank.Bank().turned({"quality.average": 1, "quantity.mean": 2})
    assert "quality.average" in str(error.value)
    assert "quantity.mean" in str(error.value)


RANGES = {
    "from 0 to 1": (0, 1), "from -1 to 1": (-1, 1), "a finite number of at least 0": (0, 4),
    "a finite number": (-4, 4), "a level from 1 to 6": (1, 6),
    "a whole number of at least 0": (0, 0),
}  # fmt: skip
SHARED = ("treatments.follow_up", "treatments.inform", "treatments.note", "treatments.gift",
          "treatments.information", "treatments.automation", "stagnation.innovation_lack",
          "stagnation.low_standard", "stagnation.inconvenience", "stagnation.delays")  # fmt: skip


@st.composite
def any_levers(draw):
    """Any levers that keep the rules: knobs anywhere in (a sane part of) their range."""
    values = {}
    for name, (_, about) in list_knobs(crm.bank.Levers()).items():
        low, high = RANGES[about["rule"].words]
        part = 1 / 6 if name in SHARED else 1
        values[name] = draw(st.sampled_from([low, high, (low + high) / 2])) * part
    return turn(crm.bank.Levers(), values)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(any_levers(), st.sampled_from([1, 7]), st.integers(1, 4), st.integers(1, 25))
def test_any_levers_make_a_world_that_moves_as_its_space_allows(levers, size, n_periods, n):
    bank = crm.bank.Bank(levers=levers, community_size=size, n_periods=n_periods)
    tables = crm.simulate(bank, n, seed=1)
    stages = tables.truth["stages"]
    before = stages.groupby("customer_id")["stage"].shift()
    for a, b in zip(before, stages["stage"], strict=True):
        allowed = pd.isna(a) or a == b or crm.KNAPP.move_kind(a, b)
        ended = b == "terminating" or (a == "terminating" and b == "initiating")
        assert allowed or ended
    assert (tables.more["transactions"]["amount"] > 0).all()
    assert (tables.more["touchpoints"]["wait"] >= 0).all()


def test_levers_are_frozen():
    with pytest.raises(AttributeError):
        crm.bank.Levers().quality.mean = 1
    assert replace(crm.bank.Levers()) == crm.bank.Levers()
