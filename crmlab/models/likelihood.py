"""The likelihood of hidden stages and its exact gradient, in one pass over the panel.

For each customer the forward recursion multiplies what is believed by what moves and what is seen,

    alpha_t(j) = [ sum_i alpha_{t-1}(i) P(i, j) ] * b_t(j) / c_t,        log L = sum_t log c_t,

and the backward recursion brings back what the future says,

    beta_{t-1}(i) = sum_j P(i, j) w_t(j),        w_t(j) = b_t(j) beta_t(j) / c_t.

Both are needed for the gradient, which is a sum of posterior expected counts:

    d log L / d P(i, j)    = sum_t alpha_{t-1}(i) w_t(j)
    d log L / d log b_t(j) = alpha_t(j) beta_t(j)
    d log L / d pi(j)      = b_1(j) beta_1(j) / c_1.

`crmlab.chains.forward` is the same recursion for readers, in NumPy; tests hold this kernel to it.
`PanelLikelihood` is the PyTensor operation that lets PyMC's samplers call it.

References
----------
Rabiner (1989), *Proceedings of the IEEE* 77(2), equations 19-25, with the scaling of section V.A.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key
from pytensor.tensor import as_tensor_variable
from pytensor.tensor.type import dscalar, dtensor3, dtensor4, dvector

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A stage that cannot be reached may explain what was seen better by any factor. Its weight is
# stopped here, so that its product with a probability of zero is zero and never NaN.
_LARGEST = 1e150


@register_jitable
def _advance(predicted: Floats, scores: Floats, seen: Floats, alpha: Floats) -> float:
    """Filter one period in place; return log c_t, or -inf if the history is impossible.

    The largest log-density among the stages that can be reached keeps the exponentials in range.
    """
    peak = -np.inf
    for j in range(len(predicted)):
        if predicted[j] > 0.0 and scores[j] > peak:
            peak = scores[j]
    if peak == -np.inf:
        return -np.inf
    mass = 0.0
    for j in range(len(predicted)):
        seen[j] = np.exp(min(scores[j] - peak, 345.0))
        alpha[j] = predicted[j] * seen[j]
        mass += alpha[j]
    for j in range(len(predicted)):
        alpha[j] /= mass
        seen[j] = min(seen[j] / mass, _LARGEST)
    return np.log(mass) + peak


@register_jitable
def _move(alpha: Floats, matrix: Floats, predicted: Floats) -> None:
    """Predict the next period: alpha times the transition matrix."""
    predicted[:] = 0.0
    for i in range(len(alpha)):
        for j in range(len(alpha)):
            predicted[j] += alpha[i] * matrix[i, j]


@register_jitable
def _retreat(alpha: Floats, matrix: Floats, weight: Floats, beta: Floats, d_matrix: Floats) -> None:
    """Bring beta one period back, and count the moves on the way."""
    for i in range(len(alpha)):
        beta[i] = 0.0
        for j in range(len(alpha)):
            beta[i] += matrix[i, j] * weight[j]
            d_matrix[i, j] += alpha[i] * weight[j]


def forward_backward(
    initial: Floats, matrices: Floats, log_likelihoods: Floats, first: Ints, last: Ints
) -> tuple[Floats, Floats, Floats, Floats]:
    """Log-likelihood of a panel, and its gradient, serially over customers.

    Parameters
    ----------
    initial : ndarray of shape (K,)
    matrices : ndarray of shape (N or 1, T - 1 or 1, K, K)
        ``matrices[n, t]`` moves customer n from period t to t + 1; axes of length 1 are shared.
    log_likelihoods : ndarray of shape (N, T, K)
        Log-density of what was seen; 0 where nothing was.
    first, last : ndarray of shape (N,)
        Window of each customer, both ends included; a customer with first > last is skipped.

    Returns
    -------
    tuple of loglik (), and gradients with the shapes of `initial`, `matrices`, `log_likelihoods`
        An impossible history gives -inf and zero gradients.
    """
    n_customers, n_periods, n_states = log_likelihoods.shape
    shared_n, shared_t = matrices.shape[0], matrices.shape[1]
    d_initial, d_matrices = np.zeros_like(initial), np.zeros_like(matrices)
    d_log = np.zeros_like(log_likelihoods)
    alpha, seen = np.empty((n_periods, n_states)), np.empty((n_periods, n_states))
    predicted, weight, beta = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    total = 0.0
    for n in range(n_customers):
        predicted[:] = initial
        for t in range(first[n], last[n] + 1):
            if t > first[n]:
                _move(alpha[t - 1], matrices[n % shared_n, (t - 1) % shared_t], predicted)
            total += _advance(predicted, log_likelihoods[n, t], seen[t], alpha[t])
            if total == -np.inf:
                return np.asarray(total), 0 * d_initial, 0 * d_matrices, 0 * d_log
        beta[:] = 1.0
        for t in range(last[n], first[n] - 1, -1):
            for j in range(n_states):
                d_log[n, t, j] = alpha[t, j] * beta[j]
                weight[j] = min(seen[t, j] * beta[j], _LARGEST)
            if t == first[n]:
                d_initial += weight
            else:
                at = (n % shared_n, (t - 1) % shared_t)
                _retreat(alpha[t - 1], matrices[at], weight, beta, d_matrices[at])
    return np.asarray(total), d_initial, d_matrices, d_log


@functools.cache
def compiled_kernel() -> Callable[..., tuple[Floats, Floats, Floats, Floats]]:
    """`forward_backward` compiled by numba, without fast-math: the same bits on every run."""
    import numba

    return numba.njit(error_model="numpy", fastmath=False, cache=True)(forward_backward)


class PanelLikelihood(Op):
    """PyTensor face of `forward_backward`: outputs the log-likelihood and its gradients.

    The gradients are outputs of the same call, so the sampler's backward pass only scales them.
    """

    __props__ = ()

    def make_node(self, *inputs: Variable) -> Apply:
        """Take (initial, matrices, log_likelihoods, first, last)."""
        tensors = [as_tensor_variable(value) for value in inputs]
        return Apply(self, tensors, [dscalar(), dvector(), dtensor4(), dtensor3()])

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
        return [[True, False, False, False]] * 3 + [[False] * 4] * 2

    def pullback(self, inputs: list, outputs: list, cotangents: list) -> list:
        """Scale the gradients that the forward call has computed."""
        scaled = [cotangents[0] * gradient for gradient in outputs[1:]]
        return [*scaled, disconnected_type(), disconnected_type()]


def panel_loglik(
    initial: Variable, matrix: Variable, log_likelihoods: Variable, first: Variable, last: Variable
) -> Variable:
    """Log-likelihood of a panel as a PyTensor scalar; `matrix` may have leading axes."""
    missing_axes = (None,) * (4 - matrix.ndim)
    return PanelLikelihood()(initial, matrix[missing_axes], log_likelihoods, first, last)[0]


@register_funcify_default_op_cache_key(PanelLikelihood)
def _compile_panel_likelihood(op: PanelLikelihood, node: Apply, **_: object) -> tuple:
    """Hand numba the kernel; the cache key carries its source, which PyTensor does not see."""
    import numba

    kernel = compiled_kernel()

    @numba.njit
    def panel_likelihood(initial, matrices, log_likelihoods, first, last):
        return kernel(
            np.ascontiguousarray(initial),
            np.ascontiguousarray(matrices),
            np.ascontiguousarray(log_likelihoods),
            first,
            last,
        )

    source = inspect.getsource(inspect.getmodule(forward_backward))
    digest = hashlib.sha256(source.encode()).hexdigest()
    return panel_likelihood, int(digest[:12], 16)
