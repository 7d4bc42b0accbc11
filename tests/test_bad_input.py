"""Panels that can tell little: what is said, and that the answer stays finite."""

import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import crmlab as crm
from crmlab.errors import DataWarning, SamplingWarning
from crmlab.evaluation.ranks import empty_panel
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
    "one customer": (panel_of(1, 12), "there is only one customer"),
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
    remarks = data_remarks(wild, MODEL.channels, SPACE, DRIVEN)
    assert len(remarks) == 2, "the scales are remarked upon, and no sum is found"
    assert all("standard deviation" in remark for remark in remarks)


def fit_little(transitions, panel):
    """Fit visits alone, by sixty draws, which are too few to read."""
    model = crm.HiddenMarkov(SPACE, transitions, (VISITS,), "visits_rate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        return crm.fit(model, panel, draws=60, tune=60, seed=1)


@pytest.mark.sampling
@pytest.mark.parametrize("case", [case for case in CASES if case != "a stage never visited"])
def test_a_fit_of_a_panel_that_tells_little_says_so_and_is_finite(case):
    panel, words = CASES[case]
    with pytest.warns(DataWarning, match=words):
        found = fit_little(crm.StickyDirichlet(2.0), panel)
    assert len(found.remarks) == 1
    assert re.search(words, found.remarks[0])
    assert all(np.isfinite(values).all() for values in found.posterior.data_vars.values())


@pytest.mark.sampling
def test_a_fit_with_a_singular_design_says_so_and_is_finite():
    size = (30, 6)
    a, b = RNG.normal(size=size), RNG.normal(size=size)
    panel = panel_of(*size, a=a, b=b, c=0.5 * a - 2 * b + 7)
    with pytest.warns(DataWarning, match="sums of the others"):
        found = fit_little(DRIVEN, panel)
    assert all(np.isfinite(values).all() for values in found.posterior.data_vars.values())


@pytest.mark.parametrize("case", ["one customer", "one period", "a stage never visited"])
def test_observed_stages_give_the_prior_where_the_data_are_silent(case):
    panel = CASES[case][0]
    model = crm.ObservedMarkov(SPACE, crm.StickyDirichlet(1.0), label="report")
    with pytest.warns(DataWarning):
        fit = crm.fit(model, panel, draws=500, seed=1)
    matrix = fit.posterior["transition_matrix"]
    assert np.isfinite(matrix).all()
    if case == "one customer":
        return
    unseen = matrix.sel(stage_from="high").mean(("chain", "draw")).values
    # Dirichlet(1, 1, 2): means 1/4, 1/4, 1/2, standard deviations below 0.23, 1,000 draws.
    assert unseen == pytest.approx([0.25, 0.25, 0.5], abs=5 * 0.23 / np.sqrt(1000))


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import crmlab as crm
fit, home = crm.load_fit(sys.argv[1]), Path(sys.argv[2])
TOUCHES = {"open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree"}

def save_until(moment, target):
    left = [moment]
    def hook(event, args):
        if event in TOUCHES and str(home) in str(args[0]):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    fit.save(target)
    os._exit(0)

for start in ("old", "new"):
    for moment in range(100):
        target = home / f"{start}-{moment}"
        if start == "old":
            shutil.copytree(sys.argv[1], target)
        child = os.fork()
        if child == 0:
            save_until(moment, target)
        if os.waitpid(child, 0)[1] == 0:
            break
    print(start, moment)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills like this here")
def test_a_killed_run_leaves_no_half_written_fit(tmp_path):
    """Killed before each touch of the disk in turn: what has the name is whole, or absent."""
    model = crm.ObservedMarkov(SPACE, label="report")
    fit = crm.fit(model, panel_of(5, 4), draws=4, seed=1)
    fit.save(tmp_path / "source")
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "source"), str(tmp_path / "home")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    moments = dict(line.split() for line in ran.stdout.splitlines())
    for start in ("old", "new"):
        last = int(moments[start])
        assert 3 <= last < 99, "killed at several moments, and finished in the end"
        there = [(tmp_path / "home" / f"{start}-{k}") for k in range(last + 1)]
        whole = [path for path in there if path.exists()]
        assert there[-1] in whole
        assert all(crm.load_fit(path).idata.identical(fit.idata) for path in whole)
        # An older fit is away only between the two renames.
        assert there[0] not in whole if start == "new" else len(there) - len(whole) <= 1
