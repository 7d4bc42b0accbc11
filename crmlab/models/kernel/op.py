"""The likelihood of hidden stages as a PyTensor operation, so that PyMC's samplers can call it.

The mathematics is in `crmlab.models.kernel.scalar`, the speed in `crmlab.models.kernel.shared`.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable, Sequence

import numpy as np
from numba.extending import register_jitable
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key
from pytensor.tensor import as_tensor_variable, cast, concatenate, stack
from pytensor.tensor.type import dmatrix, dscalar, dtensor3, dtensor4, dvector

from crmlab.arrays import Floats, Ints
from crmlab.models.kernel import driven, scalar, shared, simd, steps


@functools.cache
def compiled[Loop: Callable](loop: Loop) -> Loop:
    """Compile a loop with numba, without fast-math: the same bits on every run."""
    import numba

    compiled: Loop = numba.njit(error_model="numpy", fastmath=False, nogil=True, cache=True)(loop)
    return compiled


class PanelLikelihood(Op):
    """The kernel as a PyTensor operation: outputs the log-likelihood and its gradients.

    The gradients are outputs of the same call, so the sampler's backward pass only scales them.
    """

    __props__ = ()
    loop = staticmethod(shared.loglik_and_gradient)

    def make_node(self, *inputs: Variable) -> Apply:
        """Take (initial, matrices, table, codes, windows, times)."""
        tensors = [as_tensor_variable(value) for value in inputs]
        return Apply(self, tensors, [dscalar(), dvector(), dtensor4(), dmatrix()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Run the kernel on arrays."""
        results = compiled(self.loop)(*[np.ascontiguousarray(value) for value in inputs])
        for storage, value in zip(outputs, results, strict=True):
            storage[0] = np.asarray(value)

    def infer_shape(self, node: Apply, shapes: list) -> list:
        """Give the gradients the shapes of what they belong to."""
        return [(), *shapes[: len(node.outputs) - 1]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the log-likelihood is differentiated, and not with respect to the windows."""
        n_gradients, n_inputs = len(node.outputs) - 1, len(node.inputs)
        none = [False] * n_gradients
        return [[True, *none]] * n_gradients + [[False, *none]] * (n_inputs - n_gradients)

    def pullback(self, inputs: list, outputs: list, cotangents: list) -> list:
        """Scale the gradients that the forward call has computed."""
        scaled = [cotangents[0] * gradient for gradient in outputs[1:]]
        return [*scaled, *(disconnected_type() for _ in inputs[len(scaled) :])]


def logliks(initial: Floats, matrices: Floats, table: Floats, codes: Ints, windows: Ints) -> Floats:
    """Log-likelihood of each history (history,); minus infinity where it is impossible."""
    buffers = scalar.new_buffers(codes.shape[1], len(initial))
    found = np.zeros(len(codes))
    for n in range(len(codes)):
        own = matrices[n % len(matrices)]
        found[n] = scalar.walk_forward(initial, own, table, codes[n], windows[n], buffers)
    return found


@register_jitable
def _multiply_odds(matrices: Floats, odds: Floats, own: Floats) -> None:
    """Write the matrices (move, K, K) whose odds are multiplied by some (K, K)."""
    n_moves, n_states, _ = matrices.shape
    for t in range(n_moves):
        for i in range(n_states):
            total = 0.0
            for j in range(n_states):
                own[t, i, j] = matrices[t, i, j] * odds[i, j]
                total += own[t, i, j]
            for j in range(n_states):
                own[t, i, j] /= total


def logliks_at_points(
    initial: Floats, matrices: Floats, odds: Floats, table: Floats, codes: Ints, windows: Ints
) -> Floats:
    """Log-likelihood of each history (point, history) if the odds of its moves are multiplied.

    `odds` (point, K, K) are what a place in the population multiplies each move by.
    """
    buffers = scalar.new_buffers(codes.shape[1], len(initial))
    found, own = np.zeros((len(odds), len(codes))), np.zeros(matrices.shape[1:])
    for p in range(len(odds)):
        for n in range(len(codes)):
            if len(matrices) > 1 or n == 0:
                _multiply_odds(matrices[n % len(matrices)], odds[p], own)
            found[p, n] = scalar.walk_forward(initial, own, table, codes[n], windows[n], buffers)
    return found


class CustomerLikelihood(Op):
    """The log-likelihood of each customer as a PyTensor operation, for what is read one by one.

    Its gradient is that of `PanelLikelihood`, in which each customer counts as often as the
    log-likelihood is weighted.
    """

    __props__ = ()

    def make_node(self, *inputs: Variable) -> Apply:
        """Take (initial, matrices, table, codes, windows)."""
        return Apply(self, [as_tensor_variable(value) for value in inputs], [dvector()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Run the recursion on arrays."""
        outputs[0][0] = compiled(logliks)(*[np.ascontiguousarray(value) for value in inputs])

    def infer_shape(self, node: Apply, shapes: list) -> list:
        """One number per customer."""
        return [shapes[3][:1]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Codes and windows are not differentiated."""
        return [[True], [True], [True], [False], [False]]

    def pullback(self, inputs: list, outputs: list, cotangents: list) -> list:
        """Weigh the customers."""
        gradients = PanelLikelihood()(*inputs, cotangents[0])[1:]
        return [*gradients, disconnected_type(), disconnected_type()]


class DrivenLikelihood(PanelLikelihood):
    """The same for moves that covariates and customers drive; see `crmlab.models.kernel.driven`."""

    loop = staticmethod(driven.loglik_and_gradient)

    def make_node(self, *inputs: Variable) -> Apply:
        """Take what `driven.loglik_and_gradient` takes."""
        tensors = [as_tensor_variable(value) for value in inputs]
        gradients = [dvector(), dmatrix(), dtensor3(), dmatrix(), dmatrix()]
        return Apply(self, tensors, [dscalar(), *gradients])


def panel_loglik(
    initial: Variable,
    matrix: Variable,
    tables: Sequence[Variable],
    codes: Sequence[Variable],
    windows: Variable,
    times: Variable,
) -> Variable:
    """Log-likelihood of a panel as a PyTensor scalar.

    Parameters
    ----------
    initial : (stage,)
    matrix : (..., stage_from, stage_to)
        Leading axes, if any: customer, period.
    tables : one (value, stage) per channel
        Log-densities of the distinct values.
    codes : one (customer, period) per channel
        Row of its table that each cell points to.
    windows : (customer, 2)
        First and last period.
    times : (customer,)
        Number of customers with this history.
    """
    rows, codes = _join_channels(tables, codes)
    leading = (None,) * (4 - matrix.ndim)
    return PanelLikelihood()(initial, matrix[leading], rows, codes, windows, times)[0]


def customer_logliks(
    initial: Variable,
    matrix: Variable,
    tables: Sequence[Variable],
    codes: Sequence[Variable],
    windows: Variable,
) -> Variable:
    """Log-likelihood of each customer as a PyTensor vector; arguments as `panel_loglik` has."""
    rows, codes = _join_channels(tables, codes)
    matrices, ends = matrix[(None,) * (4 - matrix.ndim)], cast(windows, "int64")
    return CustomerLikelihood()(initial, matrices, rows, codes, ends)


def driven_loglik(
    initial: Variable,
    drivers: driven.Drivers,
    tables: Sequence[Variable],
    codes: Sequence[Variable],
    windows: Variable,
    times: Variable,
) -> Variable:
    """Log-likelihood of a panel whose moves are driven, as a PyTensor scalar.

    Parameters
    ----------
    initial : (stage,)
    drivers : driven.Drivers of tensors
        Differentiated with respect to base, effects and customers; covariates and loads are data.
    tables, codes, windows, times
        As `panel_loglik` takes them.
    """
    rows, codes = _join_channels(tables, codes)
    base, effects, covariates, loads, customers = drivers
    inputs = (initial, base, effects, customers, rows, covariates, loads, codes, windows, times)
    return DrivenLikelihood()(*inputs)[0]


def _join_channels(
    tables: Sequence[Variable], codes: Sequence[Variable]
) -> tuple[Variable, Variable]:
    """Stack the tables; make the codes (customer, period, channel) point into the stack."""
    starts = np.cumsum([0, *[table.shape[0] for table in tables[:-1]]])
    moved = [as_tensor_variable(code) + start for code, start in zip(codes, starts, strict=True)]
    return concatenate(list(tables), axis=0), cast(stack(moved, axis=-1), "int64")


@register_funcify_default_op_cache_key(PanelLikelihood)
def _compile_panel_likelihood(op: PanelLikelihood, node: Apply, **_: object) -> tuple:
    """Hand numba the kernel; the cache key carries its source, which PyTensor does not see."""
    import numba

    kernel = compiled(shared.loglik_and_gradient)

    @numba.njit
    def panel_likelihood(initial, matrices, table, codes, windows, times):
        return kernel(
            np.ascontiguousarray(initial),
            np.ascontiguousarray(matrices),
            np.ascontiguousarray(table),
            np.ascontiguousarray(codes),
            np.ascontiguousarray(windows),
            np.ascontiguousarray(times),
        )

    return panel_likelihood, _fingerprint()


@register_funcify_default_op_cache_key(DrivenLikelihood)
def _compile_driven_likelihood(op: DrivenLikelihood, node: Apply, **_: object) -> tuple:
    """Hand numba the kernel of driven moves."""
    import numba

    kernel = compiled(driven.loglik_and_gradient)

    @numba.njit
    def driven_likelihood(
        initial, base, effects, customers, table, covariates, loads, codes, windows, times
    ):
        return kernel(
            np.ascontiguousarray(initial),
            np.ascontiguousarray(base),
            np.ascontiguousarray(effects),
            np.ascontiguousarray(customers),
            np.ascontiguousarray(table),
            np.ascontiguousarray(covariates),
            np.ascontiguousarray(loads),
            np.ascontiguousarray(codes),
            np.ascontiguousarray(windows),
            np.ascontiguousarray(times),
        )

    return driven_likelihood, _fingerprint()


@register_funcify_default_op_cache_key(CustomerLikelihood)
def _compile_customer_likelihood(op: CustomerLikelihood, node: Apply, **_: object) -> tuple:
    """Hand numba the recursion of each customer."""
    import numba

    kernel = compiled(logliks)

    @numba.njit
    def customer_likelihood(initial, matrices, table, codes, windows):
        return kernel(
            np.ascontiguousarray(initial),
            np.ascontiguousarray(matrices),
            np.ascontiguousarray(table),
            np.ascontiguousarray(codes),
            np.ascontiguousarray(windows),
        )

    return customer_likelihood, _fingerprint()


def _fingerprint() -> int:
    """Sum up the kernels' source: PyTensor's own keys do not see it."""
    modules = (simd, steps, scalar, shared, driven)
    source = "".join(inspect.getsource(part) for part in (*modules, logliks))
    return int(hashlib.sha256(source.encode()).hexdigest()[:12], 16)
