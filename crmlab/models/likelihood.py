"""The likelihood of hidden stages as a PyTensor operation, so that PyMC's samplers can call it.

The mathematics is in `crmlab.models.recursion`, the speed in `crmlab.models.side_by_side`.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable, Sequence

import numpy as np
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key
from pytensor.tensor import as_tensor_variable, cast, concatenate, stack
from pytensor.tensor.type import dmatrix, dscalar, dtensor4, dvector

from crmlab.models import lanes, recursion, side_by_side
from crmlab.models.recursion import Floats


@functools.cache
def compiled_kernel() -> Callable[..., tuple[Floats, Floats, Floats, Floats]]:
    """`loglik_and_gradient` compiled by numba, without fast-math: the same bits on every run."""
    import numba

    compiled = numba.njit(error_model="numpy", fastmath=False, cache=True)
    return compiled(side_by_side.loglik_and_gradient)


class PanelLikelihood(Op):
    """PyTensor face of the kernel: outputs the log-likelihood and its gradients.

    The gradients are outputs of the same call, so the sampler's backward pass only scales them.
    """

    __props__ = ()

    def make_node(self, *inputs: Variable) -> Apply:
        """Take (initial, matrices, table, codes, windows, times)."""
        tensors = [as_tensor_variable(value) for value in inputs]
        return Apply(self, tensors, [dscalar(), dvector(), dtensor4(), dmatrix()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Run the kernel on arrays."""
        results = compiled_kernel()(*[np.ascontiguousarray(value) for value in inputs])
        for storage, value in zip(outputs, results, strict=True):
            storage[0] = np.asarray(value)

    def infer_shape(self, node: Apply, shapes: list) -> list:
        """Give the gradients the shapes of what they belong to."""
        return [(), *shapes[:3]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the log-likelihood is differentiated, and not with respect to the windows."""
        return [[True, False, False, False]] * 3 + [[False] * 4] * 3

    def pullback(self, inputs: list, outputs: list, cotangents: list) -> list:
        """Scale the gradients that the forward call has computed."""
        scaled = [cotangents[0] * gradient for gradient in outputs[1:]]
        return [*scaled, *(disconnected_type() for _ in inputs[3:])]


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
    starts = np.cumsum([0, *[table.shape[0] for table in tables[:-1]]])
    joined = stack(
        [as_tensor_variable(code) + start for code, start in zip(codes, starts, strict=True)],
        axis=-1,
    )
    rows = concatenate(list(tables), axis=0)
    leading = (None,) * (4 - matrix.ndim)
    codes = cast(joined, "int64")
    return PanelLikelihood()(initial, matrix[leading], rows, codes, windows, times)[0]


@register_funcify_default_op_cache_key(PanelLikelihood)
def _compile_panel_likelihood(op: PanelLikelihood, node: Apply, **_: object) -> tuple:
    """Hand numba the kernel; the cache key carries its source, which PyTensor does not see."""
    import numba

    kernel = compiled_kernel()

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

    source = "".join(inspect.getsource(module) for module in (lanes, recursion, side_by_side))
    digest = hashlib.sha256(source.encode()).hexdigest()
    return panel_likelihood, int(digest[:12], 16)
