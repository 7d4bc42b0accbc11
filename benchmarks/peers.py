"""The same densities as `benchmarks.kernels`, written for other libraries where they are installed.

JAX and hmmlearn are no part of the course's environment; a row without its library says so.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np


def is_installed(name: str) -> bool:
    """Whether a library can be imported."""
    return importlib.util.find_spec(name) is not None


def compile_jax(problem: Any) -> Callable[[], float] | None:
    """Write the density as `lax.scan`, scaled rather than in logarithms: JAX's fastest way here."""
    if not is_installed("jax"):
        return None
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, codes = jnp.asarray(problem.covariates[..., 0].T), jnp.asarray(problem.codes[..., 0].T)
    loads, initial = jnp.asarray(problem.loads[0]), jnp.asarray(problem.initial)

    def normalise(alpha: Any) -> tuple[Any, Any]:
        mass = alpha.sum(-1, keepdims=True)
        return alpha / mass, jnp.log(mass).sum()

    def loglik(base: Any, effects: Any, customers: Any, table: Any) -> Any:
        scores = table[codes]
        peaks = scores.max(-1, keepdims=True)
        seen, own = jnp.exp(scores - peaks), customers[:, :1, None] * loads

        def step(alpha: Any, now: tuple) -> tuple[Any, Any]:
            x_t, seen_t = now
            P = jax.nn.softmax(base + x_t[:, None, None] * effects[0] + own, axis=-1)
            return normalise(jnp.einsum("ni,nij->nj", alpha, P) * seen_t)

        alpha, first = normalise(initial * seen[0])
        _, rest = jax.lax.scan(step, alpha, (x, seen[1:]))
        return first + rest.sum() + peaks.sum()

    run = jax.jit(jax.value_and_grad(loglik, argnums=(0, 1, 2, 3)))
    values = [jnp.asarray(getattr(problem, n)) for n in ("base", "effects", "customers", "table")]
    return lambda: float(jax.block_until_ready(run(*values))[0])


def compile_em(n: int, t: int, k: int) -> Callable[[], object] | None:
    """One EM iteration of hmmlearn on counts, everybody moving by one matrix."""
    if not is_installed("hmmlearn"):
        return None
    from hmmlearn.hmm import PoissonHMM

    counts = np.random.default_rng(1).poisson(2.0, (n * t, 1))

    def iterate() -> object:
        model = PoissonHMM(k, n_iter=1, tol=-np.inf, random_state=1, implementation="scaling")
        return model.fit(counts, lengths=[t] * n)

    return iterate


def compile_extras(n: int, t: int, k: int) -> Callable[[], float] | None:
    """Sum a chain out with pymc-extras, on counts, everybody moving by one matrix."""
    if not is_installed("pymc_extras"):
        return None
    import pymc as pm
    import pymc_extras as pmx
    import pytensor
    import pytensor.tensor as pt

    counts = np.random.default_rng(1).poisson(2.0, (n, t))
    with pm.Model() as model:
        P, rate = pm.Flat("P", shape=(k, k)), pm.Flat("rate", shape=k)
        start = pm.Categorical.dist(p=np.full(k, 1 / k))
        chain = pmx.DiscreteMarkovChain("chain", P=P, init_dist=start, shape=(n, t))
        pm.Poisson("seen", mu=rate[chain], observed=counts)
    marginal = pmx.marginalize(model, [chain])
    values = [marginal.rvs_to_values[marginal[name]] for name in ("P", "rate")]
    logp = marginal.logp()
    run = pytensor.function(values, [logp, *pt.grad(logp, values)], mode="NUMBA")
    matrix = (np.full((k, k), 0.2) + np.eye(k)) / (1 + 0.2 * k)
    return lambda: float(run(matrix, np.arange(1.0, k + 1))[0])
