"""Observed stages whose moves covariates drive: counts per pattern of covariates."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, strategies as st

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.inference.log_density import read_log_density
from crmlab.models import move_counts
from crmlab.models.move_counts import count_patterns
from tests import interpreted

SPACE = crm.StageSpace(
    ("new", "loyal", "lost"), moves=(("new", "loyal"), ("loyal", "new"), ("loyal", "lost"))
)
LAW = crm.CovariateLogit(("price", "age"), shared="move", typical_stay=0.6)
MODEL = crm.ObservedMarkov(SPACE, LAW)
BASE = np.array([[0.0, 0.3, 0.0], [-1.0, 0.0, -2.0], [0.0, 0.0, 0.0]])
PRICE = np.array([[0.0, -0.8, 0.0], [0.5, 0.0, 1.2], [0.0, 0.0, 0.0]])


def simulate(n, t, seed):
    """Stages that move by a logit written out here, with holes in what is reported."""
    rng = np.random.default_rng(seed)
    price = rng.choice([-1.0, 0.0, 1.0], (n, t))
    stage = np.zeros((n, t), dtype=int)
    for k in range(1, t):
        logits = BASE[stage[:, k - 1]] + price[:, k, None] * PRICE[stage[:, k - 1]]
        logits = np.where(SPACE.mask[stage[:, k - 1]], logits, -np.inf)
        stage[:, k] = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    cells = np.where(rng.random((n, t)) < 0.05, np.nan, stage)
    axes = ("customer_id", "period")
    return xr.Dataset(
        {
            "stage": (axes, cells),
            "observed": (axes, np.ones((n, t), dtype=bool)),
            "price": (axes, price),
            "age": ("customer_id", rng.choice([0.0, 1.0], n)),
        },
        coords={"customer_id": np.arange(n), "period": np.arange(t)},
    )


PANEL = simulate(40, 6, seed=1)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5), st.integers(0, 3))
def test_every_known_move_is_counted_under_its_covariates(seed, n, t, columns):
    rng = np.random.default_rng(seed)
    stages = rng.integers(-1, 3, (n, t))
    rows, steps = rng.choice([1, n]), rng.choice([1, t - 1])
    design = rng.integers(0, 2, (rows, steps, columns)) / 2
    found = count_patterns(stages, design, n_states=3)
    counted = {tuple(x): c for x, c in zip(found.design[:, 0], found.counts, strict=True)}
    expected = {}
    for i in range(n):
        for k in range(t - 1):
            if stages[i, k] >= 0 and stages[i, k + 1] >= 0:
                x = tuple(design[i % rows, k % steps])
                expected.setdefault(x, np.zeros((3, 3)))[stages[i, k], stages[i, k + 1]] += 1
    assert set(expected) <= set(counted)
    for x, counts in counted.items():
        assert np.array_equal(counts, expected.get(x, 0 * counts))


def test_the_density_is_that_of_the_moves_one_by_one():
    """Against matrices per customer and period, cell by cell, at random places."""
    built = MODEL.build(PANEL)
    names = ["initial_probs", "base_logits", "price_effect", "age_effect"]
    report, start = interpreted.as_function_of_vector(built, [built[n] for n in names])
    density = interpreted.log_density(built)
    likelihoods, totals = [], []
    for x in start + np.random.default_rng(2).normal(size=(3, len(start))):
        draw = dict(zip(names, report(x), strict=True))
        matrices = LAW.matrices(SPACE, draw, LAW.design.read(PANEL)["covariates"])
        likelihoods.append(loglik(draw["initial_probs"], matrices, PANEL["stage"].values))
        priors = interpreted.log_density(MODEL.build(blank(PANEL)))
        totals.append(float(density(x)[0]) - float(priors(x)[0]))
    assert totals == pytest.approx(likelihoods, rel=1e-9)


def loglik(initial, matrices, stages):
    total = 0.0
    for row, own in zip(stages, matrices, strict=True):
        total += 0.0 if np.isnan(row[0]) else np.log(initial[int(row[0])])
        for k, (now, then) in enumerate(itertools.pairwise(row)):
            if not np.isnan(now + then):
                total += np.log(own[k, int(now), int(then)])
    return total


def blank(panel):
    return panel.assign(stage=panel["stage"] * np.nan)


@pytest.mark.sampling
@pytest.mark.filterwarnings("ignore:.*go over a gap:crmlab.errors.DataWarning")
def test_effects_are_found_again_by_independent_draws():
    """Two thousand customers; each true value within 4 posterior standard deviations."""
    found = crm.fit(MODEL, simulate(2000, 12, seed=3), draws=300, seed=4)
    assert found.problems == ()
    assert found.idata.attrs["method"] == "laplace"
    assert found.idata.attrs["n_effective"] > 200
    for name, truth in {"price_effect": PRICE, "base_logits": BASE, "age_effect": 0 * BASE}.items():
        draws, dims = found.posterior[name], ("chain", "draw")
        gap = abs(draws.mean(dims) - truth)
        assert (gap <= 4 * draws.std(dims)).all(), name
        assert draws.std(dims).max() < 0.1
    probs = crm.stage_probs(found, kind="smoothed", draws=2, panel=PANEL)
    assert probs.sum("stage").values == pytest.approx(1)


def test_customers_with_effects_of_their_own_are_refused():
    with pytest.raises(SpecError, match=r"customers' effects of their own.*HiddenMarkov"):
        crm.ObservedMarkov(SPACE, crm.CovariateLogit(customers=crm.transitions.CustomerEffects()))


def test_covariates_that_never_repeat_are_refused(monkeypatch):
    monkeypatch.setattr(move_counts, "MANY", 20)
    with pytest.raises(DataError, match=r"6 different sets.*round the covariates"):
        read_log_density(MODEL, PANEL)


def test_a_missing_covariate_is_named_with_its_place():
    broken = PANEL.assign(price=PANEL["price"].where(PANEL["period"] != 3))
    with pytest.raises(DataError, match=r"'price' is missing.*customer 0 in period 3"):
        MODEL.check(broken)
