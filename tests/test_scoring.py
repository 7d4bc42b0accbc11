"""Scores in blocks: the same for any size of block, any number of workers, any executor."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.inference import Fit
from crmlab.prediction.scoring import ON_THEIR_WAY, read_panels, score_customers

SPACE = crm.StageSpace(("dormant", "active"))
MODEL = crm.HiddenMarkov(SPACE, channels=(crm.Poisson("visits"),), ordered_by="visits_rate")
WORTH = {"dormant": 1.0, "active": 10.0}


@pytest.fixture(scope="module")
def panel(loyalty_world):
    """Fifty customers, some of whom left early and one who was never seen."""
    panel = crm.to_panel(crm.simulate(loyalty_world, 50, seed=1), freq="M")
    seen = np.arange(8) < np.random.default_rng(1).integers(1, 9, (50, 1))
    seen[7] = False
    observed = panel["observed"].copy(data=seen)
    return panel.assign(observed=observed, visits=panel["visits"].where(observed))


@pytest.fixture(scope="module")
def fit(panel):
    """Draws that were made up: scoring does not ask where they come from."""
    rng = np.random.default_rng(2)
    size = (2, 30)
    matrix = np.stack([rng.dirichlet((8, 2), size), rng.dirichlet((2, 8), size)], axis=-2)
    draws = {
        "initial_probs": (("chain", "draw", "stage"), rng.dirichlet((5, 5), size)),
        "transition_matrix": (("chain", "draw", "stage_from", "stage_to"), matrix),
        "visits_rate": (("chain", "draw", "stage"), rng.gamma(30, (0.01, 0.1), (*size, 2))),
    }
    names = {dim: list(SPACE.names) for dim in ("stage", "stage_from", "stage_to")}
    posterior = xr.Dataset(draws, {"chain": range(2), "draw": range(30), **names})
    return Fit(MODEL, panel, xr.DataTree.from_dict({"posterior": posterior}))


@pytest.fixture(scope="module")
def whole(fit, panel):
    return pd.concat(score_customers(fit, panel, draws=10, worth=WORTH))


def assert_same(found, expected):
    found = pd.concat(found, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-14)


def test_scores_are_the_filtered_law_of_the_last_period(fit, panel, whole):
    probs = crm.current_stage_probs(fit, panel=panel, draws=10).mean(("chain", "draw"))
    assert whole[["p_dormant", "p_active"]].values == pytest.approx(probs.values, abs=1e-14)
    assert (whole["stage"] == np.where(probs[:, 1] > probs[:, 0], "active", "dormant")).all()
    assert whole["expected_worth"].values == pytest.approx(probs.values @ [1.0, 10.0])
    never = fit.posterior["initial_probs"].isel(draw=[0, 7, 14, 22, 29]).mean(("chain", "draw"))
    assert whole.loc[7, ["p_dormant", "p_active"]].tolist() == pytest.approx(never.values)


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
def test_the_size_of_a_block_changes_nothing(block, fit, panel, whole):
    assert_same(score_customers(fit, panel, draws=10, worth=WORTH, block=block), whole)


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing(workers, fit, panel, whole):
    with ThreadPoolExecutor(workers) as pool:
        scores = score_customers(fit, panel, draws=10, worth=WORTH, block=3, executor=pool)
        assert_same(scores, whole)


def test_processes_change_nothing(fit, panel, whole):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        scores = score_customers(fit, panel, draws=10, worth=WORTH, block=20, executor=pool)
        assert_same(scores, whole)


def test_panels_are_read_when_their_turn_comes(fit, panel):
    """A million blocks would do: no more are read than are on their way."""
    read = []

    def blocks():
        for n in range(10**6):
            read.append(n)
            yield panel.isel(customer_id=slice(0, 2))

    with ThreadPoolExecutor(2) as pool:
        scores = score_customers(fit, blocks(), draws=2, executor=pool)
        for _ in range(3):
            next(scores)
        scores.close()
    assert len(read) <= ON_THEIR_WAY + 3


def test_a_folder_of_parquet_files_is_read_file_by_file(fit, panel, whole, tmp_path):
    rows = panel.to_dataframe().reset_index()
    rows = rows[rows["observed"]].drop(columns="observed")
    for part, some in enumerate((rows["customer_id"] < 20, rows["customer_id"] >= 20)):
        rows[some].to_parquet(tmp_path / f"part-{part}.parquet")
    found = pd.concat(score_customers(fit, read_panels(tmp_path), draws=10, worth=WORTH))
    seen = whole[whole["customer_id"].isin(rows["customer_id"])].reset_index(drop=True)
    assert_same([found], seen)


def test_files_that_are_no_panels_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no file \*.parquet"):
        read_panels(tmp_path)
    table = pd.DataFrame({"customer_id": [1, 1], "period": [0, 0], "visits": [1.0, 2.0]})
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"1 rows occur twice.*\[1, 0\]"):
        next(read_panels(tmp_path))
    table[["visits"]].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'customer_id' is missing"):
        next(read_panels(tmp_path))


def test_options_are_checked_at_the_call(fit, panel):
    with pytest.raises(SpecError) as caught:
        score_customers(fit, panel, block=0, draws=0.5, worth={"dormant": 1.0})
    for part in ("`block`", "`draws`", "`worth` must name each of ['dormant', 'active']"):
        assert part in str(caught.value)
