"""Presets: each breaks what it says it breaks. Names of effects are those of the truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import crmlab as crm
from crmlab.testing import check_generator

N = 800
PRESETS = [
    crm.bank.well_specified_bank, crm.bank.varied_bank, crm.bank.three_stage_bank,
    crm.bank.dwelling_bank,
    crm.bank.scarred_bank, crm.bank.silent_bank, crm.bank.confounded_bank, crm.bank.shocked_bank,
    crm.bank.dismissing_bank, crm.bank.passive_bank, crm.bank.stageless_bank,
]  # fmt: skip


@pytest.fixture(scope="module")
def made():
    streams, customers = crm.generators.Streams(12), np.arange(N)
    return {preset.__name__: preset().sample(streams, customers) for preset in PRESETS}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_worlds_and_say_their_purpose(preset):
    check_generator(replace(preset(), n_periods=8), seed=0, n_customers=8)
    assert preset.__doc__.startswith("Build ")


def stages_of(tables):
    stages = tables.truth["stages"]
    before = stages.groupby("customer_id")["stage"].shift()
    return stages.assign(before=before).dropna(subset="before")


def test_well_specified_customers_differ_in_their_stage_only(made):
    tables = made["well_specified_bank"]
    panel = crm.to_panel(tables, freq="Q", channels=["purchases"])["purchases"]
    truth = tables.truth["stages"]
    bonded = truth[truth["stage"] == "bonding"]
    counts = panel.values[bonded["customer_id"], bonded["period"]]
    assert counts.var() / counts.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / len(counts)))


def test_varied_customers_are_overdispersed_inside_a_stage(made):
    tables = made["varied_bank"]
    panel = crm.to_panel(tables, freq="Q", channels=["purchases"])["purchases"]
    truth = tables.truth["stages"]
    bonded = truth[truth["stage"] == "bonding"]
    counts = panel.values[bonded["customer_id"], bonded["period"]]
    assert counts.var() / counts.mean() > 1.5


def test_three_stages_have_no_end(made):
    truth = made["three_stage_bank"].truth
    assert truth["stages"]["stage"].nunique() == 3
    assert len(truth["exits"]) == 0


def test_dwelling_makes_the_chance_of_leaving_fall_with_time(made):
    def leaving(tables):
        moves = stages_of(tables)
        moves = moves[moves["before"] == "integrating"]
        changed = moves["stage"] != "integrating"
        run = changed.groupby(moves["customer_id"]).cumcount()
        return changed[run == 0].mean(), changed[run >= 4].mean()

    early, late = leaving(made["dwelling_bank"])
    assert late < 0.7 * early
    early, late = leaving(made["well_specified_bank"])
    assert late == pytest.approx(early, abs=0.12)


def test_scars_make_repair_rarer_than_it_was_the_first_time(made):
    def repair(tables):
        moves = stages_of(tables)
        crossed = (moves["before"] != "differentiating") & (moves["stage"] == "differentiating")
        times = crossed.groupby(moves["customer_id"]).cumsum()
        apart = moves["before"] == "differentiating"
        mended = moves["stage"].isin(["integrating", "bonding"])
        return mended[apart & (times >= 2)].mean()

    assert repair(made["scarred_bank"]) < 0.6 * repair(made["well_specified_bank"])


def test_silence_is_informative(made):
    def mood_gap(tables):
        asked = tables.surveys[tables.surveys["channel"] == "satisfaction"]
        asked = asked.merge(tables.truth["feelings"], on=["customer_id", "period"])
        spoke = asked["value"].notna()
        return asked.loc[spoke, "satisfaction"].mean() - asked.loc[~spoke, "satisfaction"].mean()

    assert mood_gap(made["silent_bank"]) > 0.3
    assert mood_gap(made["well_specified_bank"]) == 0


def test_confounded_targeting_misleads_and_logged_propensities_do_not():
    """Follow-ups help, but go to those who leave; weighting by propensities finds the help."""
    world = crm.bank.confounded_bank()
    tables = crm.simulate(world, 6000, seed=2)
    log = tables.more["assignments"]
    stages = tables.truth["stages"].astype({"stage": "str"})
    after = stages.assign(period=stages["period"] - 1)
    rows = log.merge(after, on=["customer_id", "period"])
    apart = dict(zip(crm.KNAPP.names, crm.KNAPP.phases, strict=True))
    good = (rows["stage"].map(apart) == "together").to_numpy(dtype=float)
    treated = (rows["decision"] == "follow_up").to_numpy()
    naive = good[treated].mean() - good[~treated].mean()
    w = 1 / rows["propensity"].to_numpy()
    weighted = np.average(good[treated], weights=w[treated]) - np.average(
        good[~treated], weights=w[~treated]
    )
    assert naive < -0.02
    assert weighted > 0.01


def test_scandal_is_a_wave_of_departures(made):
    exits = made["shocked_bank"].truth["exits"]["period"].value_counts()
    assert exits[20] > 1.5 * exits.reindex([18, 19, 21, 22]).mean()


def test_the_bank_itself_ends_many_relationships(made):
    shares = made["dismissing_bank"].truth["exits"]["reason"].value_counts(normalize=True)
    dismissed = shares["dismissed_unprofitable"] + shares["dismissed_fraud"]
    assert dismissed > 0.15
    alone = made["well_specified_bank"].truth["exits"]["reason"].value_counts()
    assert alone["dismissed_unprofitable"] == alone["dismissed_fraud"] == 0


def test_passive_loyalty_lasts_until_there_is_a_rival(made):
    tables = made["passive_bank"]
    exits = tables.truth["exits"].merge(tables.truth["people"])
    alive = made["passive_bank"].truth["feelings"].merge(tables.truth["people"])
    risk = alive.groupby(["passive", "period"], observed=True).size()
    left = exits.groupby(["passive", "period"], observed=True).size()
    rate = (left / risk).fillna(0)
    before = rate[True].loc[14:23].mean(), rate[False].loc[14:23].mean()
    after = rate[True].loc[24:27].mean()
    assert before[0] < before[1]
    assert after > 3 * before[0]


def test_stageless_customers_are_alive_at_a_rate_of_their_own_and_then_gone(made):
    tables = made["stageless_bank"]
    assert set(tables.truth["stages"]["stage"]) == {"alive", "gone"}
    moves = stages_of(tables)
    assert not ((moves["before"] == "gone") & (moves["stage"] == "alive")).any()
    felt = tables.truth["feelings"].groupby("customer_id").size()
    sold = tables.events[tables.events["channel"] == "purchases"]
    rate = sold.groupby("customer_id")["value"].sum().reindex(felt.index, fill_value=0) / felt
    long = rate[felt >= 10]
    assert long.var() > 3 * long.mean() / 10
    assert isinstance(tables.customers, pd.DataFrame)
