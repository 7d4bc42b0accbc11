"""Every channel with every law of motion and every kind of gap, against all paths, one by one.

The reference likelihood (`chains.forward` on scores and matrices in NumPy) is held to a sum over
paths in plain Python, for the full product. The models themselves, as a sampler gets them, are held
to the reference for a part of it in which any two of channels, law and gap meet: for all of that
part with compiled kernels in an interpreted graph, and for some of it with everything compiled,
which takes minutes: ``pytest -m compiling``.
"""

import functools
import itertools
import math

import numpy as np
import pytest
import xarray as xr

import crmlab as crm
from crmlab import chains
from crmlab.inference.log_density import read_log_density
from crmlab.models.emissions import Scorer, encode, find_window, merge_histories
from tests import interpreted, ragged
from tests.oracles import channels as oracle, panels, paths
from tests.ragged import FIRST, LAST, SPACE, given_parameters, oracle_laws, trim
from tests.test_covariates import (
    EVERY,
    covariates_by_hand,
    drawn,
    offset_by_hand,
    rows_by_hand,
)

N, T = 5, 4
INITIAL = np.array([0.6, 0.3, 0.1])
RNG = np.random.default_rng(5)
CALLS, GAP_PROBS = ((1.0, 4.0, 0.2), (0.5, 2.0, 1.0)), (0.1, 0.5, 0.8)
KNOWN = (
    *ragged.KNOWN,
    crm.NegativeBinomial("calls", *CALLS),
    crm.Geometric("since", GAP_PROBS),
)
LAWS_OF_OTHERS = {
    "calls": lambda y, k: oracle.negative_binomial(y, CALLS[0][k], CALLS[1][k]),
    "since": lambda y, k: oracle.geometric(y, GAP_PROBS[k]),
}


def full_panel():
    """Five customers seen in all four periods, all channels answering, with covariates."""
    world = crm.StageWorld(
        SPACE, INITIAL, ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1), (0, 0, 1)), KNOWN, n_periods=T
    )
    panel = crm.to_panel(crm.simulate(world, N, seed=8), freq="M")
    return panel.assign(
        contacts=(("customer_id", "period"), RNG.normal(size=(N, T))),
        age=("customer_id", RNG.normal(size=N)),
        season=("period", [0.5, -1.0, 2.0, 0.3]),
        region=("customer_id", [0.0, 1.0, 1.0, 0.0, 1.0], {"categories": ["north", "south"]}),
    )


def lose_cells(panel):
    lost = xr.DataArray(np.eye(N, T, dtype=bool), dims=("customer_id", "period"))
    return panel.assign({channel.name: panel[channel.name].where(~lost) for channel in KNOWN})


def close_windows(panel):
    drivers = panel[["contacts", "age", "season", "region"]]
    return trim(panel.drop_vars(list(drivers)), FIRST, LAST).assign(drivers)


def lose_whole_channel(panel):
    return panel.assign({c.name: panel[c.name] * np.nan for c in KNOWN})


FULL = full_panel()
GAPS = {
    "nothing missing": FULL,
    "cells": lose_cells(FULL),
    "windows": close_windows(FULL),
    "both": close_windows(lose_cells(FULL)),
    "nothing seen": lose_whole_channel(FULL),
}
LAWS = {"homogeneous": crm.StickyDirichlet(stickiness=1.0), **EVERY}
SETS = [(c,) for c in KNOWN] + [KNOWN]


def make_laws():
    """One prior draw of each law: parameters and customers' normals."""
    made = {}
    for name, transitions in LAWS.items():
        if name == "homogeneous":
            rows = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
            made[name] = ({"transition_matrix": rows}, None)
        else:
            parameters, normals, _ = drawn(transitions, SPACE, FULL)
            made[name] = (parameters, normals)
    return made


@pytest.fixture(scope="module")
def laws():
    return make_laws()


def matrices_by_hand(transitions, name, parameters, normals):
    """Matrices (customer, move, K, K), by the oracle."""
    if name == "homogeneous":
        return np.broadcast_to(parameters["transition_matrix"], (N, T - 1, 3, 3))
    return np.array(
        [
            [
                rows_by_hand(
                    transitions,
                    SPACE,
                    parameters,
                    covariates_by_hand(transitions, FULL, n, t),
                    None
                    if normals is None
                    else offset_by_hand(transitions, parameters, normals[n], SPACE),
                )
                for t in range(T - 1)
            ]
            for n in range(N)
        ]
    )


@functools.cache
def seen(which, gaps):
    """What the channels of a set say in a panel: in NumPy, and by the oracle."""
    channels, panel, window = SETS[which], GAPS[gaps], find_window(GAPS[gaps])
    cells = {c.name: panel[c.name].values.tolist() for c in channels}
    known = oracle_laws(given_parameters(KNOWN)) | LAWS_OF_OTHERS
    logs = [
        panels.evidence(cells, known, 3, n, first, last)
        for n, (first, last) in enumerate(zip(*window, strict=True))
    ]
    return Scorer(panel, channels, SPACE)(given_parameters(KNOWN)), logs


def reference(transitions, parameters, normals, which, gaps):
    """Log-likelihood of each customer who was seen, in NumPy."""
    panel, (score, _) = GAPS[gaps], seen(which, gaps)
    covariates = transitions.design.read(panel).get("covariates")
    offsets = transitions.customer_offsets(SPACE, parameters, normals)
    matrices = transitions.matrices(SPACE, parameters, covariates, offsets)
    first, last = find_window(panel)
    some = last >= 0
    moves = matrices[some] if len(matrices) > 1 else matrices
    return chains.forward(INITIAL, moves, score[some], first[some], last[some]).loglik


def enumerated(matrices, which, gaps):
    """The same by adding up all paths of all customers."""
    _, logs = seen(which, gaps)
    return np.array(
        [
            paths.loglik(INITIAL, matrices[n, start : start + len(rows) - 1].tolist(), rows)
            for n, (start, rows) in enumerate(zip(find_window(GAPS[gaps]).first, logs, strict=True))
            if rows
        ]
    )


@pytest.mark.parametrize("name", LAWS)
def test_the_reference_is_the_sum_over_paths(laws, name):
    """Eight sets of channels x five kinds of gap, for each law of motion."""
    transitions, (parameters, normals) = LAWS[name], laws[name]
    by_hand = matrices_by_hand(transitions, name, parameters, normals)
    for which, gaps in itertools.product(range(len(SETS)), GAPS):
        found = reference(transitions, parameters, normals, which, gaps)
        expected = enumerated(by_hand, which, gaps)
        assert found == pytest.approx(expected, abs=1e-9), (which, gaps)


def test_the_product_is_whole():
    """Every channel and every law of the package is in it."""
    assert {type(c) for c in KNOWN} == set(crm.Channel.__subclasses__()) - _of_others(crm.Channel)
    kinds = {type(transitions) for transitions in LAWS.values()}
    assert kinds == {crm.StickyDirichlet, crm.CovariateLogit, crm.transitions.OrderedLogit}
    assert math.prod(map(len, (LAWS, SETS, GAPS))) == 520


def _of_others(base):
    """Subclasses that tests have made."""
    return {cls for cls in base.__subclasses__() if not cls.__module__.startswith("crmlab.")}


# The models themselves ----------------------------------------------------------------------------

PAIRS = [
    (name, which, tuple(GAPS)[(i + which) % len(GAPS)])
    for i, name in enumerate(LAWS)
    for which in range(len(SETS))
]


def model_of(name, which):
    return crm.HiddenMarkov(SPACE, LAWS[name], SETS[which], initial_probs=tuple(INITIAL))


def rows_of_customers(model, panel):
    """The customer whom each row of the density belongs to, where nobody is merged."""
    codes = [encode(panel, channel, SPACE).codes for channel in model.channels]
    covariates = model.transitions.design.read(panel).get("covariates")
    return merge_histories(find_window(panel), codes, covariates, apart=True).example


def somewhere(model, panel, names, seed=4):
    """A point, the likelihood's part of the log-density there, and the variables by name."""
    built = model.build(panel)
    report, start = interpreted.as_function_of_vector(
        built, [*model.merged_loglik(built, panel), *(built[name] for name in names)]
    )
    x = start + np.random.default_rng(seed).normal(0, 0.5, len(start))
    loglik, *values = report(x)
    return x, float(loglik), dict(zip(names, values, strict=True))


def expected_loglik(model, name, which, gaps, found):
    """The reference at the values that a point of the model stands for."""
    normals = None
    if "customer_normals" in found:
        normals = np.zeros((N, *found["customer_normals"].shape[1:]))
        normals[rows_of_customers(model, GAPS[gaps])] = found.pop("customer_normals")
    return reference(LAWS[name], found, normals, which, gaps).sum()


@pytest.mark.parametrize(("name", "which", "gaps"), PAIRS)
def test_a_model_is_the_reference(name, which, gaps):
    model = model_of(name, which)
    _, loglik, found = somewhere(model, GAPS[gaps], variables_of(name))
    assert loglik == pytest.approx(expected_loglik(model, name, which, gaps, found), abs=1e-9)


@pytest.mark.compiling
@pytest.mark.parametrize(("name", "which", "gaps"), PAIRS[:: len(SETS) + 1])
def test_a_compiled_model_is_the_interpreted_one(name, which, gaps):
    """Log-density and gradient, for twelve laws and all sets of channels."""
    model = model_of(name, which)
    x, _, _ = somewhere(model, GAPS[gaps], [])
    value, gradient = read_log_density(model, GAPS[gaps])(x)
    expected, slope = interpreted.log_density(model.build(GAPS[gaps]))(x)
    assert value == pytest.approx(float(expected), abs=1e-9)
    assert gradient == pytest.approx(slope, abs=1e-8)


def variables_of(name):
    """What the likelihood of a law depends on."""
    transitions = LAWS[name]
    own = getattr(transitions, "customers", None)
    return [*transitions.posterior_names(SPACE), *(["customer_normals"] if own else [])]


def test_any_two_meet_in_the_part():
    for one, other in itertools.combinations(range(3), 2):
        sizes = [len(LAWS), len(SETS), len(GAPS)]
        met = {(case[one], case[other]) for case in PAIRS}
        assert len(met) == sizes[one] * sizes[other]


def test_nothing_seen_says_nothing():
    transitions, parameters = LAWS["homogeneous"], {"transition_matrix": np.eye(3)}
    found = reference(transitions, parameters, None, len(SETS) - 1, "nothing seen")
    assert found == pytest.approx(np.zeros(N), abs=1e-12)
