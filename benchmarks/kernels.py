"""One log-likelihood with its gradient: crmlab's kernels beside a PyTensor scan, in one process.

    PYTHONPATH=. python benchmarks/kernels.py     # 1,000 customers x 36 periods, K = 3, 5, 10
    PYTHONPATH=. python benchmarks/kernels.py --customers 300 --periods 24

Every row computes the same numbers from the same data: one covariate that shifts the logits of all
moves, an effect of each customer's own, 10 % of the cells missing. The rows are

* `fused`       crmlab: probabilities of moving made in SIMD registers, eight customers at once;
* `matrices`    crmlab: a softmax in NumPy, then the scalar recursion on ready-made matrices;
* `scan`        a PyTensor scan in logarithms over all customers at once, compiled by numba;
* `shared`      crmlab: the recursion alone where all customers share one matrix (no covariate);
* `copy`        memory: one copy of the log-densities, the least that anything could take.

Times are minima over repeats, in milliseconds; only ratios inside one run mean something.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crmlab.models.fused import Drivers
from crmlab.models.likelihood import compiled_driven_kernel, compiled_kernel

Floats = NDArray[np.float64]
REPEATS = 7


class Problem:
    """Random customers with one count channel, one covariate and one effect of their own."""

    def __init__(self, n: int, t: int, k: int, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.initial = np.full(k, 1 / k)
        self.base = rng.normal(size=(k, k)) + 2 * np.eye(k)
        self.effects = 0.3 * rng.normal(size=(1, k, k))
        self.loads = rng.normal(size=(1, k, k))
        self.customers = rng.normal(size=(n, 1))
        self.covariates = rng.normal(size=(n, t - 1, 1))
        self.table = rng.normal(-2, 1, size=(20, k))
        self.table[-1] = 0.0
        codes = rng.integers(19, size=(n, t, 1))
        self.codes = np.where(rng.random(codes.shape) < 0.1, 19, codes)
        self.windows = np.tile([0, t - 1], (n, 1))
        self.times = np.ones(n)

    @property
    def drivers(self) -> Drivers:
        """What the moves depend on."""
        return Drivers(self.base, self.effects, self.covariates, self.loads, self.customers)

    def matrices(self) -> Floats:
        """Transition matrices of every move (N, T - 1, K, K)."""
        logits = self.base + np.einsum("ntm,mij->ntij", self.covariates, self.effects)
        logits += np.einsum("nr,rij->nij", self.customers, self.loads)[:, None]
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    def fused(self) -> float:
        """crmlab, in registers."""
        free = (self.initial, self.base, self.effects, self.customers, self.table)
        data = (self.covariates, self.loads, self.codes, self.windows, self.times)
        return float(compiled_driven_kernel()(*free, *data)[0])

    def with_matrices(self) -> float:
        """crmlab, from ready-made matrices; their gradient is carried back to the logits."""
        P = self.matrices()
        found = compiled_kernel()(self.initial, P, self.table, self.codes, self.windows, self.times)
        counts = found[2]
        slopes = P * (counts - (P * counts).sum(axis=-1, keepdims=True))
        slopes.sum(axis=(0, 1))
        np.einsum("ntij,ntm->mij", slopes, self.covariates)
        np.einsum("ntij,rij->nr", slopes, self.loads)
        return float(found[0])

    def shared(self) -> float:
        """crmlab, where everybody moves by one matrix."""
        P = np.exp(self.base) / np.exp(self.base).sum(axis=1, keepdims=True)
        given = (P[None, None], self.table, self.codes, self.windows, self.times)
        return float(compiled_kernel()(self.initial, *given)[0])

    def copy(self) -> Floats:
        """The log-densities, once through memory."""
        n, t, _ = self.codes.shape
        return np.copy(np.broadcast_to(self.table[0], (n, t, len(self.initial))))


def compile_scan(problem: Problem) -> Callable[[], float]:
    """Write the same density as a scan, as PyMC's users do, with PyTensor's own gradient."""
    import pytensor
    import pytensor.tensor as pt

    names = ("base", "effects", "customers", "table")
    base, effects, customers, table = (pt.as_tensor(getattr(problem, n)).type() for n in names)
    x, loads, codes = problem.covariates[..., 0], problem.loads[0], problem.codes[..., 0]
    own = customers[:, :1, None] * loads

    def step(x_t: object, code: object, log_alpha: object, *_: object) -> object:
        logits = base + x_t[:, None, None] * effects[0] + own
        log_p = logits - pt.logsumexp(logits, axis=-1, keepdims=True)
        return pt.logsumexp(log_alpha[:, :, None] + log_p, axis=1) + table[code]

    start = pt.log(pt.as_tensor(problem.initial)) + table[codes[:, 0]]
    sequences = [pt.as_tensor(x.T), pt.as_tensor(codes.T[1:])]
    alphas = pytensor.scan(
        step, sequences=sequences, outputs_info=[start],
        non_sequences=[base, effects, own, table], return_updates=False,
    )  # fmt: skip
    loglik = pt.logsumexp(alphas[-1], axis=-1).sum()
    free = [base, effects, customers, table]
    run = pytensor.function(free, [loglik, *pt.grad(loglik, free)], mode="NUMBA")
    values = [getattr(problem, name) for name in names]
    return lambda: float(run(*values)[0])


def fastest(run: Callable[[], object]) -> float:
    """Milliseconds of the fastest of some runs, after one to compile."""
    run()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return 1e3 * min(times)


def main() -> None:
    """Print one line per number of stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--periods", type=int, default=36)
    parser.add_argument("--stages", type=int, nargs="+", default=[3, 5, 10])
    chosen = parser.parse_args()
    print(f"{chosen.customers} customers x {chosen.periods} periods; ms, fastest of {REPEATS}")
    print("   K    fused  matrices     scan   shared     copy   scan/fused  matrices/fused")
    for k in chosen.stages:
        problem = Problem(chosen.customers, chosen.periods, k)
        scan = compile_scan(problem)
        gap = abs(problem.fused() - scan()) + abs(problem.fused() - problem.with_matrices())
        if gap > 1e-6:
            raise SystemExit(f"K = {k}: the rows disagree by {gap}")
        runs = (problem.fused, problem.with_matrices, scan, problem.shared, problem.copy)
        fused, matrices, scanned, shared, copy = (fastest(run) for run in runs)
        print(
            f"{k:4d} {fused:8.2f} {matrices:9.2f} {scanned:8.2f} {shared:8.2f} {copy:8.3f} "
            f"{scanned / fused:12.1f} {matrices / fused:15.1f}"
        )


if __name__ == "__main__":
    main()
