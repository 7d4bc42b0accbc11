"""Banque Méridienne: whole, addressed, lawful, consistent with itself, and said what it is."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import crmlab as crm
from crmlab.generators import bank
from crmlab.generators.bank import quantiles, tilts
from crmlab.generators.bank.people import NEEDS, TRAITS, whole_communities
from crmlab.generators.bank.profile import MOTIONS, profile_of
from crmlab.testing import check_generator

ALARM = 1e-6  # chance of a false alarm of each statistical test here
TIES = {"n_periods": 10, "arrival_span": 5}
TWO = crm.StageSpace(("dormant", "active"))


@pytest.fixture(scope="module")
def tables():
    return crm.simulate(crm.bank.Bank(), 500, seed=8)


@pytest.fixture(scope="module")
def quiet():
    levers = crm.bank.quiet_levers()
    bank = crm.bank.Bank(levers=levers).turned(
        {"surveys.invited": 0.8, "talk.posts": 2, "talk.reach": 11.7}
    )
    return crm.simulate(bank, 1500, seed=9)  # fmt: skip


def frames_of(tables):
    records = {form.name: frame for form, frame in tables.records()}
    return {"customers": tables.customers, **records, **tables.more, **tables.truth}


# --- addressed -----------------------------------------------------------------------------------

BANKS = {
    "default": crm.bank.Bank(**TIES),
    "lifecycle": crm.bank.Bank(space=crm.stages.LIFECYCLE, transition_matrix=np.eye(5), **TIES),
    "policy": crm.bank.Bank(policy=crm.actions.RandomPolicy({"gift": 0.3}), **TIES),
    "impressions": crm.bank.Bank(
        policy=crm.actions.ManagerImpression("gift", ("bonding",)), **TIES
    ),
}


@pytest.mark.parametrize("name", BANKS)
def test_banks_keep_the_contract_of_a_world(name):
    check_generator(replace(BANKS[name], n_periods=8), seed=0)


@pytest.mark.bits
def test_more_customers_and_other_blocks_change_nobody_in_any_table():
    bank = crm.bank.Bank(**TIES)
    few, many = (crm.simulate(bank, n, seed=1) for n in (70, 230))
    late = bank.sample(crm.generators.Streams(1), np.arange(60, 160))
    for name, crowd in frames_of(many).items():
        if "customer_id" not in crowd:
            pd.testing.assert_frame_equal(frames_of(few)[name], crowd, obj=name)
            continue
        for part, (first, last) in ((few, (0, 70)), (late, (60, 160))):
            ours = crowd[crowd["customer_id"].between(first, last - 1)].reset_index(drop=True)
            pd.testing.assert_frame_equal(frames_of(part)[name], ours, obj=name)


def test_communities_are_simulated_whole():
    assert whole_communities(np.array([3, 12]), 5).tolist() == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    size_one = crm.bank.Bank(community_size=1, **TIES)
    assert len(crm.simulate(size_one, 30, seed=1).more["ties"]) == 0


# --- the law of a quiet bank ---------------------------------------------------------------------


def test_quiet_stages_are_the_bare_matrix_inverted_at_the_addressed_uniforms():
    bank = crm.bank.Bank(levers=crm.bank.quiet_levers(), n_periods=12, arrival_span=1)
    truth = crm.simulate(bank, 100, seed=5).truth["stages"]
    seen = truth["stage"].cat.codes.to_numpy().reshape(100, 12)
    u = crm.generators.Streams(5).uniforms("move", np.arange(100)[:, None], np.arange(12), size=2)[
        0
    ]
    for customer in range(100):
        stage = 0
        for t in range(12):
            assert seen[customer, t] == stage
            stage = int(np.searchsorted(np.cumsum(crm.K10[stage]), u[customer, t] * (1 - 1e-15)))


@pytest.mark.bits
def test_quiet_contacts_and_purchases_are_scipys_poisson_quantiles():
    bank = crm.bank.Bank(levers=crm.bank.quiet_levers(), n_periods=10, arrival_span=1)
    tables = crm.simulate(bank, 80, seed=6)
    stage = tables.truth["stages"]["stage"].cat.codes.to_numpy().reshape(80, 10)
    u = crm.generators.Streams(6).uniforms(
        "encounter", np.arange(80)[:, None], np.arange(10), size=12
    )
    panel = crm.to_panel(tables, freq="Q")
    profile = bank.profile
    for k, (name, rate) in enumerate(
        {"contacts": profile.contacts, "purchases": profile.purchases}.items()
    ):
        expected = np.where(stage == 9, 0, stats.poisson.ppf(u[k], rate[stage] + 1e-300))
        np.testing.assert_array_equal(panel[name].values, expected)


def test_quiet_moves_follow_the_matrix(quiet):
    stages = quiet.truth["stages"]
    before = stages.groupby("customer_id")["stage"].shift()
    counts = pd.crosstab(before, stages["stage"], dropna=False)
    counts = counts.reindex(index=crm.KNAPP.names, columns=crm.KNAPP.names).to_numpy()
    for i in range(9):
        possible = crm.K10[i] > 0
        assert counts[i][~possible].sum() == 0
        expected = crm.K10[i][possible] * counts[i].sum()
        assert stats.chisquare(counts[i][possible], expected).pvalue > ALARM


def test_quiet_answers_follow_the_ordinal_law(quiet):
    answers = quiet.surveys[quiet.surveys["channel"] == "satisfaction"].dropna(subset="value")
    answers = answers.merge(quiet.truth["stages"])
    warmth = profile_of(crm.KNAPP).warmth
    for name in ("initiating", "bonding", "differentiating"):
        values = answers.loc[answers["stage"] == name, "value"].to_numpy().astype(int)
        probs = crm.OrdinalSurvey("s").level_probs(warmth[crm.KNAPP.index(name)])
        seen = np.bincount(values, minlength=6)[1:]
        assert stats.chisquare(seen, probs * len(values)).pvalue > ALARM
    reports = quiet.labels.merge(quiet.truth["stages"], on=["customer_id", "period"])
    assert (reports["stage_x"].astype(str) == reports["stage_y"].astype(str)).all()


def test_bad_news_reaches_more_than_ten_people_in_48_posts_of_100(quiet):
    """Negative binomial of mean 11.70 and shape 2.705: P(N > 10) = .48 and P(N > 20) = .13."""
    posts = quiet.more["posts"]
    reach = posts.loc[posts["valence"] == "negative", "reach"].to_numpy()
    n, p = 2.705, 2.705 / (2.705 + 11.7)
    for beyond, printed in ((10, 0.48), (20, 0.13)):
        exact = stats.nbinom.sf(beyond, n, p)
        assert exact == pytest.approx(printed, abs=0.005)
        assert stats.binomtest((reach > beyond).sum(), len(reach), exact).pvalue > ALARM
    assert crm.bank.reach_shares(quiet)["P(N > 10)"] == (reach > 10).mean()


def test_nothing_optional_happens_in_a_quiet_bank(quiet):
    assert len(quiet.cases) == len(quiet.actions) == 0
    kinds = quiet.more["touchpoints"]["kind"].value_counts()
    for kind in ("complaint", "relationship_marketing", "closing", "treatment", "win_back"):
        assert kinds[kind] == 0
    assert not quiet.more["touchpoints"]["contradictory"].any()
    assert (quiet.more["assignments"]["propensity"] == 1).all()
    assert (quiet.truth["feelings"]["satisfaction"] == 0).all()


# --- pieces --------------------------------------------------------------------------------------


@pytest.mark.bits
def test_choices_have_their_probabilities_and_leave_uniforms_behind():
    u = (np.arange(200_000) + 0.5) / 200_000
    cells, rest = quantiles.choose(u, (1, 0, 3, 4))
    assert np.bincount(cells) / len(u) == pytest.approx([0.125, 0, 0.375, 0.5], abs=1e-5)
    for cell in (0, 2, 3):
        assert stats.kstest(rest[cells == cell], "uniform").statistic < 1e-4
    alone, _ = quantiles.choose(u, (3, 1))
    among, _ = quantiles.choose_within(u, np.full(len(u), 1), ((1, 1), (3, 1)))
    np.testing.assert_array_equal(alone, among)


@pytest.mark.bits
@pytest.mark.parametrize("rate", [0.0, 0.05, 1.0, 7.5, 30.0])
def test_counts_are_scipys_poisson_quantiles(rate):
    u = (np.arange(5000) + 0.5) / 5000
    expected = stats.poisson.ppf(u, rate) if rate else np.zeros(5000)
    np.testing.assert_array_equal(quantiles.poisson(u, np.full(5000, rate)), expected)


def test_a_move_has_the_tilted_probabilities_of_its_formula():
    profile = profile_of(crm.KNAPP)
    shift = np.array([0, 0.7, -0.2, 0.4, 0.1, 0.3, -0.9, 0.5])
    n, i = 40_000, crm.KNAPP.index("circumscribing")
    u = (np.arange(n) + 0.5) / n
    after = tilts.move(
        np.full(n, i), np.repeat(shift[:, None], n, axis=1), u, crm.K10, profile.motion
    )
    expected = [crm.K10[i, j] * np.exp(shift[profile.motion[i, j]]) for j in range(10)]
    shares = np.bincount(after, minlength=10) / n
    assert shares == pytest.approx(np.array(expected) / sum(expected), abs=2 / n)


def test_motions_say_whether_a_move_leads_closer():
    motion = profile_of(crm.KNAPP).motion
    expected = {
        ("initiating", "intensifying"): "deepen",
        ("integrating", "intensifying"): "slip",
        ("bonding", "differentiating"): "cross",
        ("stagnating", "avoiding"): "drift",
        ("stagnating", "circumscribing"): "ease",
        ("avoiding", "initiating"): "repair",
        ("bonding", "terminating"): "exit",
        ("avoiding", "avoiding"): "stay",
    }
    for (a, b), word in expected.items():
        assert MOTIONS[motion[crm.KNAPP.index(a), crm.KNAPP.index(b)]] == word


def test_every_space_has_a_profile():
    for space in (
        crm.stages.LIFECYCLE,
        crm.stages.SIX_STAGE,
        crm.stages.KNAPP_MERGED,
        TWO,
        crm.StageSpace(("one",)),
    ):
        profile = profile_of(space)
        assert ((profile.intensity >= 0) & (profile.intensity <= 1)).all()
        assert (profile.purchases[profile.lost] == 0).all()
        assert ((profile.motion > 0) == (space.mask & ~np.eye(len(space), dtype=bool))).all()


# --- consistent with itself ----------------------------------------------------------------------


def test_events_are_the_sums_of_touchpoints_and_transactions(tables):
    touches, sales = tables.more["touchpoints"], tables.more["transactions"]
    own = touches["kind"].isin(["customer_service", "sales_support", "technical_assistance"])
    cell = ["customer_id", "period"]
    expected = {
        "contacts": touches[own].groupby(cell).size(),
        "purchases": sales.groupby(cell).size(),
        "margin": sales.groupby(cell)["margin"].sum().round(2).loc[lambda total: total != 0],
    }
    for name, total in expected.items():
        events = tables.events[tables.events["channel"] == name].set_index(cell)["value"]
        pd.testing.assert_series_equal(
            events.sort_index(), total.astype(float), check_names=False, rtol=1e-9
        )


def test_people_are_introduced_by_whoever_was_there_before(tables):
    customers = tables.customers.set_index("customer_id")
    referred = customers[customers["referrer"].notna()]
    assert len(referred) > 20
    assert (referred["acquisition_channel"] == "referral").all()
    assert (customers["acquisition_channel"] == "referral").sum() == len(referred)
    ties = tables.more["ties"]
    assert (ties["other_id"] < ties["customer_id"]).all()
    assert (ties["other_id"] // 50 == ties["customer_id"] // 50).all()
    start = customers["start"]
    assert (start[ties["other_id"]].to_numpy() <= start[ties["customer_id"]].to_numpy()).all()
    stages = tables.truth["stages"].set_index(["customer_id", "period"])["stage"]
    for newcomer, row in referred.iterrows():
        if row["start"] > start[row["referrer"]]:
            before = stages[int(row["referrer"]), row["start"] - 1]
            now = stages[int(row["referrer"]), row["start"]]
            assert {before, now} & {"integrating", "bonding"}, newcomer


def test_nothing_happens_before_arrival_or_after_the_end(tables):
    stages = tables.truth["stages"].set_index(["customer_id", "period"])["stage"]
    for name in ("touchpoints", "transactions", "posts", "assignments"):
        rows = tables.more[name]
        rows = rows[rows["kind"] != "win_back"] if "kind" in rows else rows
        where = stages.reindex(pd.MultiIndex.from_frame(rows[["customer_id", "period"]]))
        assert where.notna().all()
        assert (where != "terminating").all()


def test_cases_and_complaints_are_the_same_incidents(tables):
    touches = tables.more["touchpoints"]
    keys = ["customer_id", "period", "day"]
    voiced = touches.loc[touches["kind"] == "complaint", keys].sort_values(keys)
    cases = tables.cases[keys].sort_values(keys)
    np.testing.assert_array_equal(voiced.to_numpy(), cases.to_numpy())
    felt = tables.cases.merge(tables.truth["feelings"])
    assert (felt["cause"].astype(str) == felt["incident"].astype(str)).all()


def test_won_opportunities_are_transactions(tables):
    deals = tables.more["opportunities"]
    won = deals[deals["status"] == "won"]
    sales = tables.more["transactions"]
    large = sales[sales["process"].isin(["loan", "investment"])]
    keys = ["customer_id", "period", "amount"]
    ours, theirs = (f[keys].sort_values(keys).to_numpy() for f in (won, large))
    np.testing.assert_array_equal(ours, theirs)
    opened = deals[deals["status"] == "open"].set_index("opportunity_id")["period"]
    decided = deals[deals["status"] != "open"].set_index("opportunity_id")["period"]
    assert opened.index.is_unique
    assert (opened.reindex(decided.index) <= decided).all()


def test_bank_does_not_serve_or_close_accounts_that_are_not_there(tables):
    first = tables.more["transactions"].groupby("customer_id")["period"].min()
    touches = tables.more["touchpoints"]
    late = touches[touches["kind"].isin(["after_sales", "accounting", "follow_up", "closing"])]
    assert (first.reindex(late["customer_id"]).to_numpy() <= late["period"].to_numpy()).all()
    dedicated = tables.customers["service_mode"] == "dedicated"
    assert (tables.customers["account_manager"].notna() == dedicated).all()
    assert (tables.customers.loc[dedicated, "relationship_type"] == "long_term").all()


def test_traits_and_need_levels_are_those_of_the_sources(tables):
    assert len(TRAITS) == 9
    assert set(TRAITS) <= set(tables.truth["people"].columns)
    assert set(tables.customers["need_level"]) == set(range(1, len(NEEDS) + 1))


def test_data_dictionary_lists_every_column_of_every_table(tables):
    words = crm.bank.data_dictionary()
    assert (words["meaning"].str.len() > 2).all()
    described = words.groupby("table")["column"].agg(set).to_dict()
    shown = {name: frame for name, frame in frames_of(tables).items() if name not in tables.truth}
    held = {f"truth: {name}": frame for name, frame in tables.truth.items()}
    assert described == {name: set(frame.columns) for name, frame in {**shown, **held}.items()}


def test_tables_make_a_panel_and_split(tables):
    panel = crm.to_panel(tables, freq="Q", channels=["contacts", "purchases", "satisfaction"])
    assert panel["observed"].sum() == (36 - tables.customers["start"]).sum()
    train, holdout = crm.split_holdout(tables, cutoff=24)
    assert train.more["touchpoints"]["period"].max() == 23
    assert holdout.more["transactions"]["period"].min() == 24
    assert train.truth is None
    assert len(train.more["costs"]) == len(tables.more["costs"])


def test_community_is_a_graph_of_talk_and_referral(tables):
    graph = crm.bank.community_graph(tables)
    assert len(graph) == 500
    assert graph.number_of_edges() == len(tables.more["ties"])
    referrals = crm.bank.community_graph(tables, tie="referral")
    assert referrals.number_of_edges() == tables.customers["referrer"].notna().sum()
    with pytest.raises(crm.DataError, match="ties"):
        crm.bank.community_graph(crm.CustomerTables(tables.customers, window=(0, 35)))


# --- policies ------------------------------------------------------------------------------------


def test_policy_decides_who_is_treated_and_its_propensities_are_logged():
    world = crm.bank.Bank(**TIES)
    half = crm.simulate(world, 100, seed=3, policy=crm.actions.RandomPolicy({"gift": 0.5}))
    log = half.more["assignments"]
    assert set(log["decision"]) == {"gift", "nothing"}
    assert (log["propensity"] == 0.5).all()
    assert stats.binomtest((log["decision"] == "gift").sum(), len(log), 0.5).pvalue > ALARM
    none = crm.simulate(world, 100, seed=3, policy=crm.actions.NoAction())
    assert set(none.actions.loc[none.actions["value"] > 0, "action"]) <= {"win_back"}


def test_policy_sees_what_the_bank_has_recorded():
    rule = crm.actions.ThresholdRule("note", "purchases_total", 3)
    treated = crm.simulate(crm.bank.Bank(**TIES), 100, seed=3, policy=rule)
    sold = treated.events[treated.events["channel"] == "purchases"]
    total = sold.groupby(["customer_id", "period"])["value"].sum().unstack(fill_value=0)
    total = total.reindex(columns=range(10), fill_value=0).cumsum(axis=1).stack()
    log = treated.more["assignments"].set_index(["customer_id", "period"])
    due = total.reindex(log.index, fill_value=0) >= 3
    assert ((log["decision"] == "note") == due).all()


@pytest.mark.bits
def test_twins_differ_only_where_the_policy_reaches():
    idle = crm.bank.Bank(**TIES).turned({"treatments.gift_effect": 0.0})
    without, given = (
        crm.simulate(idle, 100, seed=3, policy=p)
        for p in (crm.actions.NoAction(), crm.actions.AlwaysTreat("gift"))
    )
    pd.testing.assert_frame_equal(without.truth["stages"], given.truth["stages"])
    pd.testing.assert_frame_equal(without.events, given.events)
    late = crm.actions.AlwaysTreat("gift", periods=(6,))
    moved = crm.simulate(crm.bank.Bank(**TIES), 100, seed=3, policy=late).truth["stages"]
    never = crm.simulate(crm.bank.Bank(**TIES), 100, seed=3, policy=crm.actions.NoAction()).truth[
        "stages"
    ]
    early = never["period"] <= 6
    pd.testing.assert_frame_equal(moved[early], never[early])
    assert (moved["stage"] != never["stage"]).any()


def test_a_policy_that_does_not_log_leaves_its_propensities_to_the_key():
    gut = crm.actions.ManagerImpression("gift", ("stagnating", "avoiding"))
    tables = crm.simulate(crm.bank.Bank(**TIES), 100, seed=3, policy=gut)
    assert "propensity" not in tables.more["assignments"]
    assert "propensity" not in tables.actions
    assert (tables.actions["value"] == 1).all()
    decisions = tables.truth["decisions"]
    gifts = decisions[decisions["action"] == "gift"]
    seen = gifts["impression"].isin(gut.stages)
    assert (gifts["propensity"] == np.where(seen, 0.8, 0.1)).all()


@pytest.mark.parametrize("policy", [crm.actions.RandomPolicy({"gift": 0.3, "note": 0.1}), None])
def test_the_log_of_actions_is_that_of_any_world(policy):
    tables = crm.simulate(crm.bank.Bank(**TIES), 100, seed=3, policy=policy)
    world = crm.generators.confounded_world()
    other = crm.simulate(world, 5, seed=1, policy=crm.actions.RandomPolicy({"call": 0.5})).actions
    log = tables.actions
    assert log.dtypes.drop("action").equals(other.dtypes.drop("action"))
    assert log.columns.tolist() == other.columns.tolist()
    assert log.equals(tables.truth["decisions"])
    assert not log.duplicated(["customer_id", "period", "action"]).any()
    decided = tables.more["assignments"]
    treated = log[(log["value"] == 1) & (log["action"] != "win_back")]
    both = decided.merge(treated, on=["customer_id", "period"], how="left")
    given = both["action"].astype("str").fillna("nothing")
    assert (given == both["decision"].astype("str")).all()
    acted = both["value"].notna()
    assert (both.loc[acted, "propensity_x"] == both.loc[acted, "propensity_y"]).all()
    could = log[log["action"] == "gift"].merge(decided, on=["customer_id", "period"], how="right")
    assert could["value"].notna().all()
    prices = tables.more["costs"].set_index("item")["cost"]
    assert (log["cost"] == log["value"] * prices[log["action"].astype("str")].to_numpy()).all()
    back = log[log["action"] == "win_back"]
    if policy is None:
        assert stats.binomtest(int(back["value"].sum()), len(back), 0.02).pvalue > ALARM


# --- said what it is -----------------------------------------------------------------------------


def test_a_bank_that_makes_no_sense_lists_everything_at_once():
    with pytest.raises(crm.SpecError) as error:
        crm.bank.Bank(
            levers=crm.bank.Levers(
                quality=crm.bank.Levers().quality.__class__(sd=-1, carry=2),
                treatments=crm.bank.Levers().treatments.__class__(gift=0.9),
            ),
            transition_matrix=np.eye(3),
            initial_probs=(1, 1),
            n_periods=0,
            community_size=2.5,
            policy="everybody",
        )
    for word in ("quality.sd", "quality.carry", "sums to 1.11", "transition_matrix",
                 "initial_probs", "n_periods", "community_size", "policy"):  # fmt: skip
        assert word in str(error.value)


def test_description_says_levers_stages_and_moves_before_anything_is_simulated():
    description = bank.describe(bank.Bank().turned({"quality.mean": 0.6}))
    levers = description["levers"].set_index("knob")
    assert levers.loc["quality.mean", ["value", "default"]].tolist() == [0.6, 0.15]
    assert description["stages"]["stage"].tolist() == list(crm.KNAPP.names)
    assert description["moves"].groupby("stage_from")["prob"].sum().to_numpy() == pytest.approx(1)
    for words in ("invented", "quality.mean", "bonding", "deepen"):
        assert words in repr(description)
        assert words in description._repr_html_()


def test_banks_compare_by_value_travel_and_print_themselves():
    assert crm.bank.Bank() == crm.bank.Bank(transition_matrix=crm.K10)
    assert pickle.loads(pickle.dumps(crm.bank.passive_bank())) == crm.bank.passive_bank()
    assert eval(repr(crm.bank.Bank(space=TWO, transition_matrix=np.eye(2)).levers), vars_of()) == (
        crm.bank.Levers()
    )


def vars_of():
    from crmlab.generators.bank import levers

    return vars(levers)


def test_a_hidden_stage_model_builds_on_the_panel_of_a_bank():
    bank = crm.bank.well_specified_bank()
    channels = ["contacts", "purchases", "satisfaction"]
    panel = crm.to_panel(crm.simulate(bank, 50, seed=1), freq="Q", channels=channels)
    looks = bank.profile
    model = crm.HiddenMarkov(
        crm.KNAPP,
        crm.StickyDirichlet(),
        (
            crm.Poisson("contacts"),
            crm.Poisson("purchases", typical_rate=tuple(looks.purchases + 0.01)),
            crm.OrdinalSurvey("satisfaction", location=tuple(looks.warmth)),
        ),
        ordered_by="purchases_rate",
    )
    names = {variable.name for variable in model.build(panel).free_RVs}
    assert {"contacts_rate", "purchases_rate", "sticks"} <= names
