"""The recursion of `crmlab.models.kernel.scalar` for eight histories at once, one in each lane.

Three things make it fast. The densities, not their logarithms, are multiplied, each row of the
table relative to its largest entry, so no exponential is taken per cell. The scaling factors c_t
are multiplied too, exponents apart from mantissas, so there is one logarithm per customer. And
every step is done on eight customers at once (`crmlab.models.kernel.steps`).

A product of relative densities can vanish where a sum of logarithms would not: when channels
contradict each other beyond 1e-100. Such customers go through `crmlab.models.kernel.scalar`.
"""

import numpy as np
from numba.extending import register_jitable

from crmlab.arrays import Floats, Ints
from crmlab.models.kernel import steps
from crmlab.models.kernel.scalar import (
    Buffers,
    Gradient,
    forward_backward,
    impossible_history,
    new_buffers,
    walk_backward,
    walk_forward,
)
from crmlab.models.kernel.simd import WIDTH, broadcast, load, multiply_add, store
from crmlab.models.kernel.steps import Group, new_group


@register_jitable
def _predict(alpha: Floats, matrix: Floats, here: int) -> None:
    """Move one period on."""
    n_states = len(matrix)
    before = here - n_states * WIDTH
    for j in range(n_states):
        mass = broadcast(0.0)
        for i in range(n_states):
            mass = multiply_add(load(alpha, before + i * WIDTH), broadcast(matrix[i, j]), mass)
        store(alpha, here + j * WIDTH, mass)


@register_jitable
def _step_back(
    alpha: Floats, weight: Floats, moved: Floats, matrix: Floats, beta: Floats, counts: Floats,
    before: int, t: int,
) -> None:  # fmt: skip
    """Bring beta one period back, and count the moves of those who were there before."""
    n_states = len(matrix)
    mask = load(moved, t * WIDTH)
    for i in range(n_states):
        was = load(alpha, before + i * WIDTH) * mask
        back = broadcast(0.0)
        for j in range(n_states):
            now = load(weight, j * WIDTH)
            at = (i * n_states + j) * WIDTH
            store(counts, at, multiply_add(was, now, load(counts, at)))
            back = multiply_add(now, broadcast(matrix[i, j]), back)
        store(beta, i * WIDTH, back)


@register_jitable
def _sum_lanes(move_counts: Floats, gradient: Gradient) -> None:
    """Add up the lanes of the counts, always in the same order."""
    n_states = len(gradient.initial)
    for at in range(len(move_counts)):
        for i in range(n_states):
            for j in range(n_states):
                for lane in range(WIDTH):
                    counted = move_counts[at, (i * n_states + j) * WIDTH + lane]
                    gradient.matrices[0, at, i, j] += counted


@register_jitable
def _filter_group(
    group: Group, initial: Floats, matrices: Floats, densities: Floats, codes: Ints, span: tuple
) -> None:
    """Filter eight customers through the periods of their windows."""
    first, _, alpha, seen, beta, _, _, inside, _, scales, rows = group
    _, begin, end, all_begun, _ = span
    n_states, block = len(initial), len(beta)
    n_channels = codes.shape[2]
    steps.prepare(group, codes, span, n_states, len(densities) // n_states - 1)
    for t in range(begin, end + 1):
        steps.multiply_densities(seen, densities, rows, n_channels, n_states, t)
        if t > begin:
            _predict(alpha, matrices[(t - 1) % len(matrices)], t * block)
        if t <= all_begun:
            steps.set_initial(alpha, initial, first, t * block, t)
        steps.filter_period(alpha, seen, inside, scales, t * block, n_states, t)


@register_jitable
def _smooth_group(
    group: Group,
    matrices: Floats,
    codes: Ints,
    span: tuple,
    starts: Floats,
    row_counts: Floats,
    move_counts: Floats,
) -> None:
    """Smooth eight customers, and count their starts, what they showed and their moves."""
    first, last, alpha, seen, beta, weight, times, _, moved, _, rows = group
    _, begin, end, all_begun, any_ended = span
    n_states, n_channels, block = len(starts), codes.shape[2], len(beta)
    steps.restart_beta(beta, last, times, end + 1)
    for t in range(end, begin - 1, -1):
        steps.smooth_period(alpha, seen, beta, weight, t * block)
        steps.count_seen(alpha, row_counts, rows, n_channels, n_states, t)
        if t <= all_begun:
            steps.count_starts(weight, first, t, starts)
        if t > begin:
            at, before = (t - 1) % len(matrices), (t - 1) * block
            _step_back(alpha, weight, moved, matrices[at], beta, move_counts[at], before, t)
            if t > any_ended:
                steps.restart_beta(beta, last, times, t)


@register_jitable
def _loglik_of_lane(
    group: Group,
    lane: int,
    n: int,
    initial: Floats,
    matrices: Floats,
    seen: tuple,
    buffers: Buffers,
    gradient: Gradient,
) -> float:
    """Log-likelihood of one customer; after an underflow by the recursion for one customer.

    `seen` is the table, its peaks and the codes.
    """
    table, peaks, codes = seen
    window = group.first[lane], group.last[lane]
    if not steps.has_underflowed(group.scales, lane):
        return steps.loglik_of(group.scales, peaks, codes, window, n, lane)
    steps.clear_lane(group.alpha, group.seen, lane)
    group.first[lane], group.last[lane] = steps.NO_WINDOW
    loglik = walk_forward(initial, matrices, table, codes[n], window, buffers)
    if loglik > -np.inf:
        walk_backward(matrices, codes[n], window, buffers, gradient, 0, group.times[lane])
    return loglik


def walk_eight_at_once(
    initial: Floats, matrices: Floats, table: Floats, codes: Ints, windows: Ints, times: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Do as `scalar.forward_backward` does, for matrices that all customers share."""
    n_states, n_periods, matrices = len(initial), codes.shape[1], matrices[0]
    densities, peaks = steps.relative_densities(table)
    group = new_group(n_periods, n_states, codes.shape[2])
    buffers = new_buffers(n_periods, n_states)
    row_counts = np.zeros(len(densities))
    gradient = Gradient(
        np.zeros_like(initial),
        np.zeros((1, *matrices.shape)),
        row_counts[: table.size].reshape(table.shape),
    )
    move_counts = np.zeros((len(matrices), n_states * n_states * WIDTH))
    total = 0.0
    for start in range(0, len(codes), WIDTH):
        span = steps.assign_lanes(group, windows, times, start)
        _filter_group(group, initial, matrices, densities, codes, span)
        for lane in range(WIDTH):
            if group.first[lane] <= group.last[lane]:
                seen = table, peaks, codes
                n = start + lane
                loglik = _loglik_of_lane(group, lane, n, initial, matrices, seen, buffers, gradient)
                total += group.times[lane] * loglik
        if total == -np.inf:
            return impossible_history(initial, gradient.matrices, table)
        _smooth_group(group, matrices, codes, span, gradient.initial, row_counts, move_counts)
    _sum_lanes(move_counts, gradient)
    return np.asarray(total), gradient.initial, gradient.matrices, gradient.table


_eight_at_once = register_jitable(walk_eight_at_once)
_one_by_one = register_jitable(forward_backward)


def loglik_and_gradient(
    initial: Floats, matrices: Floats, table: Floats, codes: Ints, windows: Ints, times: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Eight histories at a time where customers share the matrices, else one by one."""
    if len(matrices) == 1:
        return _eight_at_once(initial, matrices, table, codes, windows, times)
    return _one_by_one(initial, matrices, table, codes, windows, times)
