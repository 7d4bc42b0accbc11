"""The audit finds what exported columns say of the stage beyond the channels, and nothing else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.evaluation import audit_leakage, log_score, stage_oracle
from crmlab.evaluation.leakage import true_stages
from crmlab.evaluation.oracle import sample_stage_paths
from crmlab.generators.bank import presets
from crmlab.generators.confounding import confounded_world

MANAGED = confounded_world()
RULED = replace(
    MANAGED,
    policy=crm.actions.ThresholdRule("call", "orders_since", 1, prob_target=0.7, prob_other=0.2),
)
N = 1000
EXTRAS = ("surveys", "cases", "actions")  # record tables with columns of their own


@pytest.fixture(scope="module")
def tables():
    return crm.simulate(RULED, N, seed=6)


def codes(tables):
    return true_stages(tables, RULED.space)


def with_column(tables, name, values):
    return replace(tables, customers=tables.customers.assign(**{name: values}))


def noisy(stages, accuracy, seed):
    """The stage with a probability of `accuracy`, else any of three."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(stages.shape) < accuracy, stages, rng.integers(0, 3, stages.shape))


# Clean exports ------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [MANAGED, RULED], ids=["managed", "ruled"])
def test_a_clean_export_is_clean(world):
    report = audit_leakage(crm.simulate(world, N, seed=6), world, seed=1)
    assert report.leaks == ()
    assert report.chance < report.bound_at_the_time < report.bound < 0
    listed = set(report.columns["column"])
    assert listed == {"customers.customer_id", "actions.cost"} | (
        {"actions.propensity"} if world is RULED else set()
    )
    assert "None of" in str(report)


def test_what_follows_from_the_channels_is_no_leak(tables):
    """Functions of the records predict the stage well, and add nothing to the records."""
    panel = crm.to_panel(tables, freq="M")
    orders = panel["orders"].values
    derived = tables.customers.assign(
        total=orders.sum(axis=1),
        last=np.where(orders > 0, np.arange(6), -1).max(axis=1),
        segment=np.where(panel["spend"].values.sum(axis=1) > 150, "gold", "plain"),
        dice=np.random.default_rng(1).random(N),
        joined=pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N) % 91, unit="D"),
    )
    assert audit_leakage(replace(tables, customers=derived), RULED, seed=1).leaks == ()


def test_the_false_alarm_rate_is_what_it_says():
    """60 clean audits at 10 %: 6 alarms, at most 15 (four standard deviations), some at all."""
    space = crm.StageSpace(("low", "high"))
    visits = crm.Poisson("visits", rate=(0.5, 2.0))
    world = crm.StageWorld(space, (0.5, 0.5), ((0.9, 0.1), (0.1, 0.9)), (visits,), n_periods=4)
    alarms = 0
    for seed in range(60):
        made = crm.simulate(world, 20, seed=seed)
        early = crm.to_panel(made, freq="M")["visits"].values[:, 0]
        made = with_column(made, "early", early)
        alarms += bool(audit_leakage(made, world, seed=seed, alpha=0.1, n_draws=29).leaks)
    assert 0 < alarms < 16


# Planted leaks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [1.0, 0.5, 0.3])
def test_a_noisy_function_of_the_stage_is_found(tables, accuracy):
    """At 0.3 the column names the last stage in 53 % of cases, where guessing has 33 %."""
    leaky = with_column(tables, "potential", noisy(codes(tables)[:, -1], accuracy, seed=4))
    leaky = with_column(leaky, "dice", np.random.default_rng(1).random(N))
    report = audit_leakage(leaky, RULED, seed=1)
    assert report.leaks == ("customers.potential",)
    assert "These columns add to it: customers.potential." in str(report)
    assert report.columns["gain"].iloc[0] > 0
    assert report.columns["column"].iloc[0] == "customers.potential"


def test_leaks_of_every_form_are_found_by_name(tables):
    stages = codes(tables)
    share = (stages == 0).mean(axis=1) + np.random.default_rng(2).normal(0, 0.3, N)
    words = np.array(["calm", "calm", "angry"])[noisy(stages[:, 0], 0.6, seed=3)]
    who = tables.events["customer_id"].to_numpy()
    then = stages[who, tables.events["period"].to_numpy()]
    clicks = np.random.default_rng(5).poisson(1.0 + 1.5 * (stages == 1))
    at = np.argwhere(clicks > 0)
    more_events = pd.DataFrame(
        {"customer_id": at[:, 0], "period": at[:, 1], "value": clicks[at[:, 0], at[:, 1]]}
    )
    names = list(tables.events["channel"].cat.categories)
    events = pd.concat(
        [
            tables.events.assign(mood=noisy(then, 0.4, seed=6), channel=tables.events["channel"]),
            more_events.assign(channel="clicks", mood=-1),
        ]
    ).astype({"channel": pd.CategoricalDtype(pd.Index([*names, "clicks"], dtype="str"))})
    letters = pd.DataFrame({"customer_id": np.flatnonzero(noisy(stages[:, -1], 0.7, seed=7) == 1)})
    leaky = replace(
        tables,
        customers=tables.customers.assign(share=share, words=words, spare=np.arange(N) % 7),
        events=events,
        more={"letters": letters},
    )
    report = audit_leakage(leaky, RULED, seed=1)
    assert set(report.leaks) == {
        *("customers.share", "customers.words", "events.mood", "events.clicks", "letters.rows")
    }


def test_customers_in_the_order_of_their_stages_are_a_leak(tables):
    order = np.argsort(codes(tables)[:, 0], kind="stable")
    new = pd.Series(np.arange(N), index=order).sort_index().to_numpy()

    def renumber(frame):
        renamed = frame.assign(customer_id=new[frame["customer_id"].to_numpy()])
        return renamed.sort_values("customer_id", kind="stable", ignore_index=True)

    records = {form.name: renumber(frame) for form, frame in tables.records()}
    truth = {name: renumber(frame) for name, frame in tables.truth.items()}
    leaky = replace(tables, customers=renumber(tables.customers), **records, truth=truth)
    assert audit_leakage(leaky, RULED, seed=1).leaks == ("customers.customer_id",)


def test_propensities_that_come_from_impressions_are_a_leak():
    managed = crm.simulate(MANAGED, N, seed=6)
    log = managed.truth["decisions"].drop(columns=["value", "cost", "impression"])
    actions = managed.actions.merge(log, how="left").assign(action=managed.actions["action"])
    report = audit_leakage(replace(managed, actions=actions), MANAGED, seed=1)
    assert report.leaks == ("actions.propensity",)


def test_other_worlds_are_audited_by_probabilities(tables):
    probs = stage_oracle(tables, RULED).smoothed
    leaky = with_column(tables, "potential", noisy(codes(tables)[:, -1], 0.5, seed=4))
    leaky = with_column(leaky, "dice", np.random.default_rng(1).random(N))
    report = audit_leakage(leaky, probs, space=RULED.space, seed=1)
    assert report.leaks == ("customers.potential",)
    assert report.bound_at_the_time is None
    assert report.bound == pytest.approx(log_score(probs, codes(tables)))


def test_without_an_oracle_probabilities_are_learned(tables):
    leaky = with_column(tables, "potential", noisy(codes(tables)[:, -1], 0.6, seed=4))
    leaky = with_column(leaky, "dice", np.random.default_rng(1).random(N))
    report = audit_leakage(leaky, None, space=RULED.space, trusted=("actions",), seed=1)
    assert report.leaks == ("customers.potential",)
    # It knows less than the oracle, and much more than chance.
    exact = audit_leakage(tables, RULED, seed=1)
    assert exact.chance < report.bound < exact.bound
    assert report.bound > exact.bound - 0.25


PRESETS = sorted(n for n in vars(presets) if n.endswith("_bank") and not n.startswith("_"))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_screened(preset):
    """A planted leak is found in all of them, and noise in none; the bank's tables are trusted.

    Most customers of these banks arrive later, so windows differ.
    """
    world = replace(getattr(presets, preset)(), n_periods=8)
    made = crm.simulate(world, 300, seed=1)
    stages = true_stages(made, world.space)
    assert (stages < 0).any()
    rng = np.random.default_rng(3)
    last = np.array([row[row >= 0][-1] for row in stages])
    guess = np.where(rng.random(300) < 0.8, last, rng.integers(0, len(world.space), 300))
    made = replace(made, customers=made.customers.assign(guess=guess, dice=rng.random(300)))
    audited = {"customers.guess", "customers.dice", "customers.customer_id"}
    known = [f"customers.{c}" for c in made.customers if f"customers.{c}" not in audited]
    known += [form.name for form, _ in made.records() if form.name in EXTRAS]
    known += [name for name, frame in made.more.items() if "customer_id" in frame]
    report = audit_leakage(made, None, space=world.space, trusted=known, seed=1)
    assert set(report.columns["column"]) == audited
    assert report.leaks == ("customers.guess",)


def test_trusted_columns_are_not_audited(tables):
    leaky = with_column(tables, "potential", codes(tables)[:, -1])
    assert audit_leakage(leaky, RULED, trusted=("customers.potential",), seed=1).leaks == ()
    with pytest.raises(SpecError, match="`trusted` names 'clicks'"):
        audit_leakage(leaky, RULED, trusted=("clicks",), seed=1)
    with pytest.raises(SpecError, match="leaves no column to audit"):
        audit_leakage(leaky, RULED, trusted=("customers", "actions"), seed=1)


# The oracle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [MANAGED, RULED], ids=["managed", "ruled"])
def test_the_oracle_means_what_it_says(world):
    """Over many customers, its probabilities add up to what is true: six standard deviations."""
    made = crm.simulate(world, 4000, seed=9)
    oracle = stage_oracle(made, world)
    hits = np.eye(3)[true_stages(made, world.space)]
    for probs in (oracle.filtered, oracle.smoothed):
        gap = (hits - probs).mean(axis=0)
        error = (hits - probs).std(axis=0) / np.sqrt(4000)
        assert (np.abs(gap) <= 6 * error + 1e-12).all()
        # Also where it is nearly sure, and where it is not.
        for low, high in ((0.02, 0.2), (0.2, 0.8), (0.8, 0.98)):
            chosen = (probs > low) & (probs < high)
            spread = np.sqrt((probs[chosen] * (1 - probs[chosen])).mean() / chosen.sum())
            # Cells of one customer share their luck: at most six of them, so sqrt(6) wider.
            assert abs((hits - probs)[chosen].mean()) < 6 * np.sqrt(6) * spread


def test_decisions_by_impression_are_evidence():
    made = crm.simulate(MANAGED, 2000, seed=9)
    stages = true_stages(made, MANAGED.space)
    fair = replace(MANAGED, policy=crm.actions.RandomPolicy({"call": 0.5}))
    with_them, without = (
        log_score(stage_oracle(made, world).filtered, stages) for world in (MANAGED, fair)
    )
    assert with_them > without + 0.02


def test_drawn_histories_follow_the_smoothed_probabilities(tables):
    few = crm.simulate(RULED, 20, seed=6)
    oracle = stage_oracle(few, RULED)
    paths = sample_stage_paths(oracle, 4000, np.random.default_rng(3))
    shares = np.stack([(paths == k).mean(axis=0) for k in range(3)], axis=-1)
    spread = np.sqrt(oracle.smoothed * (1 - oracle.smoothed) / 4000)
    assert (np.abs(shares - oracle.smoothed) < 6 * spread + 1e-9).all()
    gone = paths == 2
    assert (gone[..., 1:] >= gone[..., :-1]).all()  # nobody returns


# What is refused ----------------------------------------------------------------------------------


def test_an_audit_needs_the_truth(tables):
    with pytest.raises(DataError, match="no truth"):
        audit_leakage(replace(tables, truth=None), RULED, seed=1)


def test_everything_wrong_with_an_audit_is_reported_at_once(tables):
    with pytest.raises(SpecError) as error:
        audit_leakage(tables, np.ones((2, 2, 2)), seed=1, alpha=1e-4)
    assert "`space` must be given" in str(error.value)
    assert "`alpha` must be at least 1 / (n_draws + 1)" in str(error.value)
    with pytest.raises(SpecError, match="`reference` must have shape"):
        audit_leakage(tables, np.ones((2, 2, 2)), space=RULED.space, seed=1)
    with pytest.raises(SpecError, match="`n_draws` must be a whole number of at least 19"):
        audit_leakage(tables, RULED, seed=1, n_draws=5)


def test_tables_of_another_world_are_refused(tables):
    other = replace(RULED, channels=(*RULED.channels, crm.Poisson("calls", rate=(1, 1, 1))))
    with pytest.raises(DataError, match="channel 'calls'"):
        audit_leakage(tables, other, seed=1)
