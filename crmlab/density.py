"""A PyMC model as a function of one vector: what a sampler needs, compiled once and for all data.

PyTensor compiles a model's log-density and its gradient to machine code and keeps it on disk. Two
things are decided here, and nowhere else:

* fast-math is off, so a cold and a warm cache give the same bits;
* the compiled function lets go of Python's lock, so chains run side by side in one process.

Data stay arguments of the compiled code. The same model on another panel, or on a thousand
simulated ones, compiles nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.utils import ParameterValueError
from pymc.pytensorf import join_nonshared_inputs, rewrite_pregrad
from pytensor.compile.mode import Mode, get_mode
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS
from pytensor.link.numba.linker import NumbaLinker
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

Floats = NDArray[np.float64]

_FEW = 200  # unconstrained numbers, up to which a low-rank mass matrix pays


class UnlockedLinker(NumbaLinker):
    """PyTensor's numba linker, but the compiled function releases the interpreter lock.

    Numba's cache does not look at that option, so the function gets a cache entry of its own.
    """

    def jit_compile(self, fn_and_cache: tuple) -> Callable:
        """Compile the outermost function."""
        from pytensor.link.numba.dispatch.basic import numba_njit

        function, key = fn_and_cache
        if key is not None:
            CACHED_SRC_FUNCTIONS[function.py_func] = f"{key}unlocked"
        return numba_njit(function.py_func, final_function=True, nogil=True, cache=key is not None)


@dataclass(frozen=True)
class Density:
    """Log-density of a model over the unconstrained reals.

    Attributes
    ----------
    logp_grad : callable
        ``logp_grad(x, *data)`` gives the log-density and its gradient.
    constrain : callable
        Values of the model's variables at x.
    data : mapping of name to ndarray
        What the model's `pm.Data` held at compile time.
    start : ndarray
        Starting point, before jitter.
    names : tuple of str
        Names of what `constrain` gives.
    """

    logp_grad: Callable[..., tuple[NDArray, Floats]]
    constrain: Callable[[Floats], list[NDArray]]
    data: dict[str, NDArray]
    start: Floats
    names: tuple[str, ...]

    def with_data(self, data: Mapping[str, NDArray]) -> "Density":
        """Give the density of the same model on other data, without compiling anything."""
        swapped = {name: data[name].astype(old.dtype) for name, old in self.data.items()}
        return replace(self, data=swapped)

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Log-density and gradient at x; minus infinity where a parameter cannot be what x says."""
        try:
            value, gradient = self.logp_grad(x, *self.data.values())
        except ParameterValueError:  # far out, where numbers overflow: a step too long, no mistake
            return -np.inf, np.zeros_like(x)
        return float(value), gradient


def compile_density(model: "pm.Model", names: tuple[str, ...]) -> Density:
    """Compile a model.

    Parameters
    ----------
    model : pm.Model
    names : tuple of str
        Free and deterministic variables to report.
    """
    start = model.initial_point()
    variables = model.value_vars
    with pytensor.config.change_flags(numba__fastmath=False):
        (logp,), x = join_nonshared_inputs(start, [rewrite_pregrad(model.logp())], variables)
        mode = Mode(linker=UnlockedLinker(), optimizer=get_mode("NUMBA")._optimizer)
        function = pytensor.function([x], [logp, pt.grad(logp, x)], mode=mode)
        flat = np.concatenate([np.ravel(start[v.name]) for v in variables]).astype(float)
        function(flat)
    data = {s.name: np.asarray(s.get_value(borrow=True)) for s in function.get_shared()}
    return Density(function.vm.jit_fn, _constrainer(model, start, names), data, flat, names)


def _constrainer(
    model: "pm.Model", start: dict[str, NDArray], names: tuple[str, ...]
) -> Callable[[Floats], list[NDArray]]:
    """Map x to the model's variables; interpreted, since it runs once per kept draw."""
    outputs = model.replace_rvs_by_values([model[name] for name in names])
    outputs, x = join_nonshared_inputs(start, outputs, model.value_vars)
    mode = Mode(linker="py", optimizer="fast_compile")
    return pytensor.function([x], outputs, mode=mode, on_unused_input="ignore")


@threadpool_limits.wrap(limits=1, user_api="blas")
def sample_density(
    density: Density, *, draws: int, tune: int, chains: int, seed: int, target_accept: float = 0.8
) -> tuple[dict[str, NDArray], "xr.Dataset"]:
    """Run the No-U-Turn sampler, in silence.

    Each chain begins on the highest hill that it has seen (`crmlab.modes.find_start`). Chains take
    the processor's cores; NumPy's linear algebra, whose matrices are small here, stays on one
    thread meanwhile: where it shares cores, waiting for its own threads takes most of the time.

    Returns
    -------
    draws : mapping of name to ndarray with leading axes (chain, draw)
    sample_stats : xr.Dataset

    References
    ----------
    Hoffman and Gelman (2014), *JMLR* 15; the mass matrix is adapted with a low-rank part
    (nutpie), which suits ordered stages: measured here, ten times the effective sample size. Where
    every customer has effects of their own, finding that part costs more than it gives.
    """
    import nutpie
    from numpy.random import default_rng
    from nutpie.compiled_pyfunc import from_pyfunc

    from crmlab.modes import find_start

    size = len(density.start)
    compiled = from_pyfunc(
        ndim=size,
        make_logp_fn=lambda: density,
        make_expand_fn=lambda *_: lambda x: {"x": np.array(x)},
        expanded_dtypes=[np.dtype("float64")],
        expanded_shapes=[(size,)],
        expanded_names=["x"],
        make_initial_point_fn=lambda s: find_start(density, density.start, default_rng(s)),
    )
    raw = nutpie.sample(
        compiled,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=min(chains, 2),
        seed=seed,
        target_accept=target_accept,
        save_warmup=False,
        progress_bar=False,
        adaptation="low_rank" if size <= _FEW else "diag",
    )
    flat = raw["posterior"]["x"].values.reshape(-1, size)
    rows = [density.constrain(x) for x in flat]
    kept = {
        name: np.stack([np.asarray(row[i]) for row in rows]) for i, name in enumerate(density.names)
    }
    shaped = {n: values.reshape(chains, -1, *values.shape[1:]) for n, values in kept.items()}
    return shaped, raw["sample_stats"].to_dataset()
