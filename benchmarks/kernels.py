"""One log-likelihood with its gradient: crmlab's kernels compared with others, in one process.

    PYTHONPATH=. python benchmarks/kernels.py     # N, T and K varied
    PYTHONPATH=. python benchmarks/kernels.py --customers 300 --periods 24 --stages 3

Every row computes the same numbers from the same data: one covariate that shifts the logits of all
moves, an effect of each customer's own, 10 % of the cells missing. The columns are

* `driven`      crmlab: probabilities of moving made in SIMD registers, eight customers at once;
* `matrices`    crmlab: a softmax in NumPy, then the scalar recursion on ready-made matrices;
* `scan`        a PyTensor scan in logarithms over all customers at once, compiled by numba;
* `jax`         a JAX scan, scaled, double precision, free to use all cores (where installed);
* `shared`      crmlab: the recursion alone where all customers share one matrix (no covariate);
* `em`          hmmlearn: one EM iteration on counts where all share one matrix (where installed);
* `extras`      pymc-extras: a chain that `marginalize` sums out, on counts where all share one
                matrix (where installed);
* `copy`        memory: one copy of the log-densities, the least that anything could take;
* `flops`       arithmetic: the kernel's multiplications and additions at the speed of a matrix
                product on one core, less than any program with exponentials could take.

Times are minima over repeats, in milliseconds; only ratios inside one run mean something.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from peers import compile_em, compile_extras, compile_jax

from crmlab.models.kernel import driven, shared
from crmlab.models.kernel.driven import Drivers
from crmlab.models.kernel.op import compiled

Floats = NDArray[np.float64]
REPEATS = 9


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

    def driven(self) -> float:
        """crmlab, in registers."""
        free = (self.initial, self.base, self.effects, self.customers, self.table)
        data = (self.covariates, self.loads, self.codes, self.windows, self.times)
        return float(compiled(driven.loglik_and_gradient)(*free, *data)[0])

    def with_matrices(self) -> float:
        """crmlab, from ready-made matrices; their gradient is carried back to the logits."""
        P = self.matrices()
        found = compiled(shared.loglik_and_gradient)(
            self.initial, P, self.table, self.codes, self.windows, self.times
        )
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
        return float(compiled(shared.loglik_and_gradient)(self.initial, *given)[0])

    @property
    def n_operations(self) -> float:
        """Multiplications and additions of the driven kernel, exponentials written out.

        Per move: 2 for each covariate and customer effect, forth and back; 2 to predict; 2 to come
        back; 4 for the slope; 34 for the exponential.
        """
        n, t, _ = self.codes.shape
        n_drivers = len(self.effects) + len(self.loads)
        return n * (t - 1) * len(self.initial) ** 2 * (4.0 * n_drivers + 42.0)

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


def operations_per_ms() -> float:
    """Operations per millisecond of a matrix product on one core."""
    a = np.random.default_rng(1).normal(size=(600, 600))
    return 2 * 600.0**3 / fastest(lambda: a @ a)


def measure(n: int, t: int, k: int, speed: float) -> list[float]:
    """Milliseconds of every column."""
    problem = Problem(n, t, k)
    scan, jax = compile_scan(problem), compile_jax(problem)
    em, extras = compile_em(n, t, k), compile_extras(n, t, k)
    others = [scan, problem.with_matrices, *([jax] if jax else [])]
    gap = max(abs(problem.driven() - other()) for other in others)
    if gap > 1e-6:
        raise SystemExit(f"N = {n}, T = {t}, K = {k}: the columns disagree by {gap}")
    ours = [problem.driven, problem.with_matrices]
    runs = [*ours, scan, jax, problem.shared, em, extras, problem.copy]
    times = [fastest(run) if run else np.nan for run in runs]
    return [*times, problem.n_operations / speed]


def write_row(sizes: tuple[int, int, int], times: list[float]) -> str:
    """One line of a Markdown table, with the ratios that are promised."""
    cells = [f"{size:,}" for size in sizes] + [f"{ms:.3g}" for ms in times]
    driven, _, scan, jax, shared, em, extras, copy, flops = times
    ratios = [
        scan / driven,
        jax / driven,
        em / shared,
        extras / shared,
        driven / copy,
        driven / flops,
    ]
    return " | ".join(["", *cells, *(f"{ratio:.1f}" for ratio in ratios), ""]).strip()


HEADS = (
    "N", "T", "K", "driven", "matrices", "scan", "jax", "shared", "em", "extras", "copy",
    "flops", "scan/driven", "jax/driven", "em/shared", "extras/shared", "driven/copy",
    "driven/flops",
)  # fmt: skip
SIZES = ((1000, 36, 3), (1000, 36, 5), (1000, 36, 10), (300, 24, 3), (1000, 12, 5), (10_000, 36, 5))


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--periods", type=int, default=36)
    parser.add_argument("--stages", type=int, nargs="+")
    chosen = parser.parse_args()
    sizes = SIZES
    if chosen.stages:
        sizes = tuple((chosen.customers, chosen.periods, k) for k in chosen.stages)
    print(f"Milliseconds, fastest of {REPEATS}; nan: the library is not installed.", end="\n\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---:|' * len(HEADS)}", flush=True)
    speed = operations_per_ms()
    for size in sizes:
        print(write_row(size, measure(*size, speed)), flush=True)


if __name__ == "__main__":
    main()
