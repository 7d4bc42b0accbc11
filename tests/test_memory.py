"""Worlds with memory: closed forms, the truth about the gap, and what a test sees of it."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import crmlab as crm
from crmlab.testing import check_generator

SPACE = crm.StageSpace(
    ("calm", "tense", "gone"),
    ("together", "apart", "apart"),
    (("calm", "tense"), ("calm", "gone"), ("tense", "calm"), ("tense", "gone")),
)
START = (0.7, 0.3, 0.0)
MATRIX = ((0.7, 0.2, 0.1), (0.3, 0.5, 0.2), (0.0, 0.0, 1.0))
SMALL = crm.StageSpace(("on", "off"))
VISITS = crm.Poisson("visits", rate=(3.0, 1.0, 0.0))
ALARM = 1e-6  # chance of a false alarm of each statistical test here


def scars(scar=-0.9, **changes):
    return crm.generators.ScarWorld(
        SPACE, START, MATRIX, (VISITS,), **{"n_periods": 12, "scar": scar, **changes}
    )


def settling(dwelling=-0.8, **changes):
    return crm.generators.DwellingWorld(
        SPACE, START, MATRIX, (VISITS,), **{"n_periods": 12, "dwelling": dwelling, **changes}
    )


@pytest.mark.parametrize("world", [scars(), settling()], ids=["scars", "dwelling"])
def test_worlds_with_memory_keep_the_contract(world):
    check_generator(world, seed=0)


@pytest.mark.bits
@pytest.mark.parametrize("make", [scars, settling])
def test_without_effect_they_are_the_stage_world_itself(make):
    plain = crm.StageWorld(SPACE, START, MATRIX, (VISITS,), n_periods=12)
    ours, theirs = (crm.simulate(w, 60, seed=3) for w in (make(0.0), plain))
    pd.testing.assert_frame_equal(ours.truth["stages"], theirs.truth["stages"])
    pd.testing.assert_frame_equal(ours.events, theirs.events)
    assert make(0.0).first_order_matrix == pytest.approx(np.array(MATRIX))


def brute_gap(world):
    """Enumerate every path of stages; memory is recomputed from the path. Shares no code."""
    counts = {}

    def walk(path, prob, depth):
        if depth == 0:
            return
        i = path[-1]
        if isinstance(world, crm.generators.ScarWorld):
            crossings = sum(a == 0 and b == 1 for a, b in pairwise(path))
            m = min(crossings, world.max_scars)
            odds = {j: np.exp(world.scar * m * ((i, j) == (1, 0))) for j in range(3)}
        else:
            run = next((k for k, s in enumerate(reversed(path)) if s != i), len(path))
            m = min(run, world.max_dwell)
            odds = {j: m ** (world.dwelling / np.log(2)) if j != i else 1.0 for j in range(3)}
        row = np.array([MATRIX[i][j] * odds[j] for j in range(3)])
        row = row / row.sum()
        for j in range(3):
            counts[m, i, j] = counts.get((m, i, j), 0) + prob * row[j]
            if row[j]:
                walk([*path, j], prob * row[j], depth - 1)

    for i, p in enumerate(START):
        if p:
            walk([i], p, world.n_periods - 1)
    flow = pd.Series(counts).rename_axis(["m", "i", "j"])
    given = flow / flow.groupby(["m", "i"]).transform("sum")
    pooled = flow.groupby(["i", "j"]).sum()
    pooled = pooled / pooled.groupby("i").transform("sum")
    gain = flow * np.log(
        (given / pooled.reindex(given.droplevel(0).index).to_numpy()).where(flow > 0, 1)
    )
    return flow.sum(), gain.sum() / flow.sum(), pooled  # fmt: skip


@pytest.mark.parametrize(
    "world",
    [scars(n_periods=7), scars(n_periods=7, max_scars=1), settling(n_periods=7),
     settling(n_periods=7, max_dwell=3)],
)  # fmt: skip
def test_gap_is_what_enumeration_of_all_paths_gives(world):
    departures, information, pooled = brute_gap(world)
    gap = crm.generators.memory_gap(world).set_index("stage")
    assert gap.loc["all", "departures"] == pytest.approx(departures)
    assert gap.loc["all", "information"] == pytest.approx(information, rel=1e-9)
    assert world.first_order_matrix.ravel() == pytest.approx(pooled.to_numpy(), abs=1e-12)


@pytest.mark.parametrize("make", [scars, settling])
def test_a_stronger_memory_is_further_from_a_chain(make):
    gaps = [crm.generators.memory_gap(make(x)).iloc[-1] for x in (0.0, -0.3, -0.9, -1.8)]
    for column in ("information", "distance"):
        values = [gap[column] for gap in gaps]
        assert values[0] == pytest.approx(0, abs=1e-12)
        assert values == sorted(values)


def test_gone_has_no_memory():
    gap = crm.generators.memory_gap(scars()).set_index("stage")
    assert gap.loc["gone", "distance"] == pytest.approx(0, abs=1e-12)


def sojourns(paths, stage):
    """Lengths of complete visits that begin in period 0."""
    here = np.cumprod(paths == stage, axis=1).sum(axis=1)
    return here[(paths[:, 0] == stage) & (here < paths.shape[1])]


def test_sojourns_follow_their_closed_form_and_not_the_geometric():
    world = crm.generators.DwellingWorld(
        SMALL, (1, 0), ((0.6, 0.4), (0.4, 0.6)), n_periods=40, dwelling=-1.0, max_dwell=5
    )
    truth = crm.simulate(world, 4000, seed=5).truth["stages"]
    paths = truth["stage"].to_numpy().reshape(4000, 40)
    lengths = np.minimum(sojourns(paths, "on"), 9)
    seen = np.bincount(lengths, minlength=10)[1:]
    probs = world.sojourn_probs("on", 39)
    probs = np.append(probs[:8], probs[8:].sum()) / probs.sum()
    assert stats.chisquare(seen, probs * seen.sum()).pvalue > ALARM
    geometric = 0.6 ** np.arange(9) * np.append(np.full(8, 0.4), 1)
    assert stats.chisquare(seen, geometric * seen.sum()).pvalue < ALARM


@pytest.mark.parametrize("make", [scars, settling])
def test_likelihood_ratio_statistic_is_as_large_as_the_gap_says(make):
    """G2 is about noncentral chi-square with noncentrality 2 n I and df below M K (K - 1)."""
    world, n = make(), 3000
    truth = crm.simulate(world, n, seed=11).truth
    shape = (n, world.n_periods)
    codes = pd.Index(SPACE.names).get_indexer(truth["stages"]["stage"]).reshape(shape)
    memory = truth["memory"]["memory"].to_numpy().reshape(shape)
    counts = np.zeros((world.n_memories, 3, 3))
    np.add.at(counts, (memory[:, :-1], codes[:, :-1], codes[:, 1:]), 1)
    given = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    pooled = counts.sum(axis=0) / counts.sum(axis=(0, 2))[:, None]
    at = counts > 0
    g2 = 2 * (counts[at] * np.log(given[at] / np.broadcast_to(pooled, counts.shape)[at])).sum()
    gap = crm.generators.memory_gap(world).iloc[-1]
    center = 2 * n * gap["departures"] * gap["information"]
    spread = 2 * np.sqrt(center) + np.sqrt(2 * world.n_memories * 6)
    assert center - 5 * spread < g2 < center + world.n_memories * 6 + 5 * spread


def test_truth_holds_the_memory_and_the_gap():
    world = scars()
    truth = crm.simulate(world, 50, seed=1).truth
    pd.testing.assert_frame_equal(truth["gap"], crm.generators.memory_gap(world))
    merged = truth["stages"].merge(truth["memory"])
    before = merged.groupby("customer_id")["stage"].shift()
    crossed = (before == "calm") & (merged["stage"] == "tense")
    scarred = crossed.groupby(merged["customer_id"]).cumsum().clip(upper=world.max_scars)
    assert (merged["memory"] == scarred).all()


def test_a_world_with_memory_lists_everything_that_is_wrong():
    with pytest.raises(crm.SpecError) as error:
        crm.generators.ScarWorld(SPACE, (1, 0), MATRIX, n_periods=0, scar=np.nan, max_scars=0)
    for word in ("initial_probs", "n_periods", "`scar`", "max_scars"):
        assert word in str(error.value)
    with pytest.raises(crm.SpecError, match="actions"):
        settling(actions=(crm.actions.Action("mail"),))
