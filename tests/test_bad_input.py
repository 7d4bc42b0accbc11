"""Panels that can tell little: what is said, and that the answer stays finite."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import crmlab as crm
from crmlab.calibration import empty_panel
from crmlab.models.remarks import data_remarks
from tests import interpreted

ROOT = Path(__file__).resolve().parents[1]
DIMS = ("customer_id", "period")
SPACE = crm.StageSpace(("low", "middle", "high"))
VISITS = crm.Poisson("visits")
REPORT = crm.StageLabel("report")
RNG = np.random.default_rng(3)
MODEL = crm.HiddenMarkov(SPACE, crm.StickyDirichlet(2.0), (VISITS, REPORT), "visits_rate")
DRIVEN = crm.CovariateLogit(("a", "b", "c"))


def panel_of(n_customers, n_periods, **cells):
    size = (n_customers, n_periods)
    usual = {"visits": RNG.poisson(2.0, size), "report": RNG.integers(0, 3, size)}
    cells = {
        name: (DIMS, np.broadcast_to(value, size).astype(float))
        for name, value in (usual | cells).items()
    }
    return empty_panel(n_customers, n_periods).assign(cells)


CASES = {
    "one customer": (panel_of(1, 12), "there is one customer"),
    "one period": (panel_of(20, 1), "there is no move between two periods"),
    "more stages than data": (panel_of(2, 3), "4 moves to learn 6 probabilities"),
    "a stage never visited": (
        panel_of(20, 6, report=np.arange(6) % 2),
        r"'report' never reports \['high'\]",
    ),
    "a constant channel": (panel_of(20, 6, visits=3.0), "'visits' is 3 wherever it was seen"),
    "a channel never seen": (panel_of(20, 6, visits=np.nan), "'visits' was never seen"),
}


@pytest.mark.parametrize(("panel", "words"), CASES.values(), ids=CASES.keys())
def test_a_panel_that_tells_little_is_remarked_upon_and_can_be_fitted(panel, words):
    """The reason is said; the density and its gradient are finite at and around the start."""
    remarks = data_remarks(panel, MODEL.channels, SPACE, MODEL.transitions)
    assert len(remarks) == 1
    assert re.search(words, remarks[0])
    built = MODEL.build(panel)
    start = built.initial_point()
    x = np.concatenate([np.ravel(start[v.name]) for v in built.value_vars]).astype(float)
    density = interpreted.log_density(built)
    for shift in (0.0, 1.0, -1.0):
        value, gradient = density(x + shift)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_a_panel_that_tells_enough_is_not_remarked_upon():
    assert data_remarks(panel_of(20, 6), MODEL.channels, SPACE, MODEL.transitions) == []


def test_a_singular_design_is_named_by_what_makes_it_so():
    size = (30, 6)
    a, b = RNG.normal(size=size), RNG.normal(size=size)
    singular = panel_of(*size, a=a, b=b, c=0.5 * a - 2 * b + 7)
    remarks = data_remarks(singular, MODEL.channels, SPACE, DRIVEN)
    assert len(remarks) == 1
    assert "covariates ['c'] are sums of the others" in remarks[0]
    sound = panel_of(*size, a=a, b=b, c=a * b)
    assert data_remarks(sound, MODEL.channels, SPACE, DRIVEN) == []
    wild = panel_of(*size, a=1e6 * a, b=1e-6 * b, c=a * b)
    assert data_remarks(wild, MODEL.channels, SPACE, DRIVEN) == []


@pytest.mark.parametrize("case", ["one customer", "one period", "a stage never visited"])
def test_observed_stages_give_the_prior_where_the_data_are_silent(case):
    panel = CASES[case][0]
    model = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(1.0), label="report")
    fit = crm.fit(model, panel, draws=500, seed=1)
    matrix = fit.posterior["transition_matrix"]
    assert np.isfinite(matrix).all()
    if case == "one customer":
        return
    unseen = matrix.sel(stage_from="high").mean(("chain", "draw")).values
    # Dirichlet(1, 1, 2): means 1/4, 1/4, 1/2, standard deviations below 0.23, 1,000 draws.
    assert unseen == pytest.approx([0.25, 0.25, 0.5], abs=5 * 0.23 / np.sqrt(1000))


KILLED = """
import os, signal, sys
import xarray as xr
import crmlab as crm
fit = crm.load_fit(sys.argv[1])
write = xr.DataTree.to_netcdf
def die(*args, **kwargs):
    write(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
xr.DataTree.to_netcdf = die
fit.save(sys.argv[2])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills like this here")
def test_a_killed_run_leaves_no_half_written_fit(tmp_path):
    """Killed with everything on disk but the last step: the old fit stays, a new one is absent."""
    model = crm.ObservedMarkov(SPACE, label="report")
    fit = crm.fit(model, panel_of(5, 4), draws=4, seed=1)
    fit.save(tmp_path / "old")
    for target in ("old", "new"):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "old"), str(tmp_path / target)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert crm.load_fit(tmp_path / "old").idata.identical(fit.idata)
    assert not (tmp_path / "new").exists()
