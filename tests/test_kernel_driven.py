"""Moves driven by covariates and customers: the fast kernel against matrices made by NumPy."""

from dataclasses import dataclass, replace

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numba import njit

from crmlab.models.kernel import driven
from crmlab.models.kernel.driven import Drivers
from crmlab.models.kernel.op import compiled, driven_loglik
from crmlab.models.kernel.scalar import forward_backward
from crmlab.models.kernel.simd import WIDTH, exponential, load, store
from tests import interpreted

N, T, V = 19, 6, 4  # customers, periods, distinct values per channel


@dataclass
class Case:
    """Random customers with ragged windows; one move is forbidden."""

    initial: np.ndarray
    drivers: Drivers
    table: np.ndarray
    codes: np.ndarray
    windows: np.ndarray
    times: np.ndarray

    def kernel(self):
        """What the compiled kernel gives."""
        d = self.drivers
        free = (self.initial, d.base, d.effects, d.customers, self.table)
        data = (d.covariates, d.loads, self.codes, self.windows, self.times)
        return compiled(driven.loglik_and_gradient)(*free, *data)

    def matrices(self):
        """Softmax of the logits, (N, T - 1, K, K), by NumPy."""
        d = self.drivers
        pushes = np.einsum("ntm,mij->ntij", d.covariates, d.effects)
        own = np.einsum("nr,rij->nij", d.customers, d.loads)[:, None]
        logits = np.broadcast_to(d.base + pushes + own, (N, T - 1, *d.base.shape))
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    def loglik(self):
        """Log-likelihood by the recursion on ready-made matrices."""
        found = forward_backward(
            self.initial, self.matrices(), self.table, self.codes, self.windows, self.times
        )
        return float(found[0])

    def gradients(self):
        """Log-likelihood and its gradients: those of the matrices, through the softmax."""
        d, P = self.drivers, self.matrices()
        loglik, initial, matrices, table = forward_backward(
            self.initial, P, self.table, self.codes, self.windows, self.times
        )
        logits = P * (matrices - (P * matrices).sum(axis=-1, keepdims=True))
        covariates = np.broadcast_to(d.covariates, (N, T - 1, d.covariates.shape[-1]))
        effects = np.einsum("ntm,ntij->mij", covariates, logits)
        customers = np.einsum("rij,ntij->nr", d.loads, logits)
        if len(d.customers) == 1:
            customers = customers.sum(axis=0, keepdims=True)
        return loglik, initial, logits.sum(axis=(0, 1)), effects, customers, table


def make_case(K=3, M=2, R=1, shared=False, seed=1):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(K, K))
    if K > 1:
        base[0, -1] = -np.inf
    rows, steps = (1, 1) if shared else (N, T - 1)
    drivers = Drivers(
        base,
        rng.normal(scale=0.5, size=(M, K, K)),
        rng.normal(size=(rows, steps, M)),
        rng.normal(size=(R, K, K)),
        rng.normal(size=(rows, R)),
    )
    codes = rng.integers(V, size=(N, T, 2)) + np.array([0, V])
    first = rng.integers(0, 3, size=N)
    last = np.where(rng.random(N) < 0.1, -1, first + rng.integers(0, 4, size=N))
    return Case(
        rng.dirichlet(np.ones(K)),
        drivers,
        rng.normal(-2, 1.5, size=(2 * V, K)),
        codes,
        np.stack([first, last], axis=-1),
        rng.integers(1, 4, size=N).astype(float),
    )


CASES = pytest.mark.parametrize(
    "case",
    [
        make_case(),
        make_case(K=1, seed=2),
        make_case(K=10, M=1, R=2, seed=3),
        make_case(M=0, R=0, seed=4),
        make_case(shared=True, seed=5),
    ],
    ids=["three", "one", "ten", "undriven", "shared"],
)


@CASES
def test_loglik_is_that_of_the_matrices(case):
    assert float(case.kernel()[0]) == pytest.approx(case.loglik(), rel=1e-12)


@CASES
def test_gradients_are_those_of_the_matrices_through_the_softmax(case):
    for found, expected in zip(case.kernel(), case.gradients(), strict=True):
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_gradients_equal_central_differences():
    case = make_case()
    _, _, d_base, d_effects, d_customers, _ = case.kernel()
    for name, gradient in {
        "base": d_base,
        "effects": d_effects,
        "customers": d_customers,
    }.items():
        for index in np.ndindex(gradient.shape):
            if np.isinf(getattr(case.drivers, name)[index]):
                assert gradient[index] == 0
                continue
            slope = (shifted(case, name, index, 1e-6) - shifted(case, name, index, -1e-6)) / 2e-6
            assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def shifted(case, name, index, step):
    """Log-likelihood, by the recursion, with one number of the drivers changed."""
    changed = getattr(case.drivers, name).copy()
    changed[index] += step
    return replace(case, drivers=case.drivers._replace(**{name: changed})).loglik()


def test_channels_that_contradict_each_other_lose_nobody():
    case = make_case(seed=6)
    case.table[0], case.table[V] = [0.0, -700.0, -700.0], [-700.0, 0.0, -700.0]
    case.codes[4], case.codes[11, 2] = [0, V], [0, V]
    case.windows[4], case.windows[11] = [0, 5], [1, 4]
    test_loglik_is_that_of_the_matrices(case)
    test_gradients_are_those_of_the_matrices_through_the_softmax(case)


def test_an_impossible_history_has_no_likelihood_and_no_gradient():
    case = make_case(seed=7)
    case.table[:V] = -np.inf
    loglik, *gradients = case.kernel()
    assert loglik == -np.inf
    assert all((gradient == 0).all() for gradient in gradients)


def test_pytensor_agrees_with_the_gradient():
    case = make_case(seed=8)
    d, allowed = case.drivers, np.isfinite(case.drivers.base)

    def loglik(initial, base, effects, customers, table):
        drivers = Drivers(
            pt.where(allowed, base, -np.inf), effects, d.covariates, d.loads, customers
        )
        tables, codes = [table[:V], table[V:]], [case.codes[..., 0], case.codes[..., 1] - V]
        return driven_loglik(initial, drivers, tables, codes, case.windows, case.times)

    free = [case.initial, np.where(allowed, d.base, 0.0), d.effects, d.customers, case.table]
    with pytensor.config.change_flags(cxx=""):
        rng = np.random.default_rng(1)
        pytensor.gradient.verify_grad(loglik, free, rng=rng, mode=interpreted.MODE)


def test_the_exponential_of_eight_numbers():
    @njit
    def exponentials(x, result):
        for at in range(0, len(x), WIDTH):
            store(result, at, exponential(load(x, at)))

    x = -np.random.default_rng(1).exponential(60, size=8000)
    x[:4] = [0.0, -1e-300, -699.9, -np.log(2) / 2]
    x[4:8] = [-700.1, -745.0, -1e6, -np.inf]
    found = np.empty_like(x)
    exponentials(x, found)
    inside = x >= -700
    assert found[inside] == pytest.approx(np.exp(x[inside]), rel=5e-16)
    assert (found[~inside] == 0).all()
