"""The likelihood of hidden stages and its exact gradient, one customer after the other.

For each customer the forward recursion multiplies the current belief by the transition
probabilities and by the likelihood of the observation,

    alpha_t(j) = [ sum_i alpha_{t-1}(i) P(i, j) ] * b_t(j) / c_t,        log L = sum_t log c_t,

and the backward recursion brings back what the future says,

    beta_{t-1}(i) = sum_j P(i, j) w_t(j),        w_t(j) = b_t(j) beta_t(j) / c_t.

Both are needed for the gradient, which is a sum of posterior expected counts:

    d log L / d P(i, j)    = sum_t alpha_{t-1}(i) w_t(j)
    d log L / d log b_t(j) = alpha_t(j) beta_t(j)
    d log L / d pi(j)      = b_1(j) beta_1(j) / c_1.

What was seen comes as codes into a table of log-densities, one row per distinct value of a channel;
log b_t is the sum of the rows that a customer's cell points to. `crmlab.chains.forward` is the same
recursion for readers, in NumPy; `crmlab.models.kernel.shared` is the same for eight customers at
once. Tests hold all three to the enumeration of paths.

References
----------
Rabiner (1989), *Proceedings of the IEEE* 77(2), equations 19-25, with the scaling of section V.A.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from crmlab.arrays import Floats, Ints

# A stage that cannot be reached may explain what was seen better by any factor. Its weight is
# stopped here, so that its product with a probability of zero is zero and never NaN.
LARGEST = 1e150


class Buffers(NamedTuple):
    """What one walk over a customer's periods computes: (period, stage), and (stage,)."""

    scores: Floats
    seen: Floats
    alpha: Floats
    predicted: Floats
    weight: Floats
    beta: Floats


class Gradient(NamedTuple):
    """Gradient of the log-likelihood, with the shapes of what it belongs to."""

    initial: Floats
    matrices: Floats
    table: Floats


@register_jitable
def new_buffers(n_periods: int, n_states: int) -> Buffers:
    """Allocate buffers for one customer."""
    history = (n_periods, n_states)
    return Buffers(
        np.empty(history),
        np.empty(history),
        np.empty(history),
        np.empty(n_states),
        np.empty(n_states),
        np.empty(n_states),
    )


@register_jitable
def _add_scores(table: Floats, codes: Ints, scores: Floats) -> None:
    """Add up the log-densities of what all channels saw in one period."""
    scores[:] = 0.0
    for code in codes:
        scores += table[code]


@register_jitable
def _filter(predicted: Floats, scores: Floats, seen: Floats, alpha: Floats) -> float:
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
        seen[j] = min(seen[j] / mass, LARGEST)
    return np.log(mass) + peak


@register_jitable
def _predict(alpha: Floats, matrix: Floats, predicted: Floats) -> None:
    """Predict the next period: alpha times the transition matrix."""
    predicted[:] = 0.0
    for i in range(len(alpha)):
        for j in range(len(alpha)):
            predicted[j] += alpha[i] * matrix[i, j]


@register_jitable
def _step_back(
    alpha: Floats, matrix: Floats, weight: Floats, beta: Floats, d_matrix: Floats
) -> None:
    """Bring beta one period back, and count the moves on the way."""
    for i in range(len(alpha)):
        beta[i] = 0.0
        for j in range(len(alpha)):
            beta[i] += matrix[i, j] * weight[j]
            d_matrix[i, j] += alpha[i] * weight[j]


@register_jitable
def walk_forward(
    initial: Floats, matrices: Floats, table: Floats, codes: Ints, window: Ints, buffers: Buffers
) -> float:
    """Filter one customer, with `matrices` (T - 1 or 1, K, K); return the log-likelihood."""
    total = 0.0
    buffers.predicted[:] = initial
    for t in range(window[0], window[1] + 1):
        if t > window[0]:
            _predict(buffers.alpha[t - 1], matrices[(t - 1) % len(matrices)], buffers.predicted)
        _add_scores(table, codes[t], buffers.scores[t])
        total += _filter(buffers.predicted, buffers.scores[t], buffers.seen[t], buffers.alpha[t])
        if total == -np.inf:
            return total
    return total


@register_jitable
def walk_backward(
    matrices: Floats,
    codes: Ints,
    window: Ints,
    buffers: Buffers,
    gradient: Gradient,
    row: int,
    times: float,
) -> None:
    """Add one history's expected counts to the gradient, after `walk_forward`.

    `row` is its place on the first axis of ``gradient.matrices``. All counts are linear in beta,
    so a history that stands for several customers starts back from their number.
    """
    n_states = len(buffers.beta)
    buffers.beta[:] = times
    for t in range(window[1], window[0] - 1, -1):
        for j in range(n_states):
            smoothed = buffers.alpha[t, j] * buffers.beta[j]
            buffers.weight[j] = min(buffers.seen[t, j] * buffers.beta[j], LARGEST)
            for code in codes[t]:
                gradient.table[code, j] += smoothed
        if t == window[0]:
            gradient.initial[:] += buffers.weight
        else:
            at = (t - 1) % len(matrices)
            counts = gradient.matrices[row, at]
            _step_back(buffers.alpha[t - 1], matrices[at], buffers.weight, buffers.beta, counts)


@register_jitable
def impossible_history(initial: Floats, matrices: Floats, table: Floats) -> tuple:
    """Log-likelihood and gradient where some history is impossible."""
    nothing = np.zeros_like(initial), np.zeros_like(matrices), np.zeros_like(table)
    return np.asarray(-np.inf), *nothing


def forward_backward(
    initial: Floats, matrices: Floats, table: Floats, codes: Ints, windows: Ints, times: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Log-likelihood of a panel, and its gradient, serially over histories.

    Parameters
    ----------
    initial : ndarray of shape (K,)
    matrices : ndarray of shape (N or 1, T - 1 or 1, K, K)
        ``matrices[n, t]`` moves customer n from period t to t + 1; axes of length 1 are shared.
    table : ndarray of shape (V, K)
        Log-density of each distinct value of each channel; a row of zeros where nothing was seen.
    codes : ndarray of int, shape (N, T, C)
        Row of `table` of each cell of each channel.
    windows : ndarray of int, shape (N, 2)
        First and last period of each customer, both included; a customer with first > last is
        skipped.
    times : ndarray of shape (N,)
        Number of customers with this very history.

    Returns
    -------
    tuple of loglik (), and gradients with the shapes of `initial`, `matrices`, `table`
        An impossible history gives -inf and zero gradients.
    """
    gradient = Gradient(np.zeros_like(initial), np.zeros_like(matrices), np.zeros_like(table))
    buffers = new_buffers(codes.shape[1], len(initial))
    total = 0.0
    for n in range(len(codes)):
        row = n % len(matrices)
        loglik = walk_forward(initial, matrices[row], table, codes[n], windows[n], buffers)
        if loglik == -np.inf:
            return impossible_history(initial, matrices, table)
        total += times[n] * loglik
        walk_backward(matrices[row], codes[n], windows[n], buffers, gradient, row, times[n])
    return np.asarray(total), gradient.initial, gradient.matrices, gradient.table
