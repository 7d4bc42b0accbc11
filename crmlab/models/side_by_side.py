"""The recursion of `crmlab.models.recursion` for eight histories at once, one in each lane.

Three things make it fast. The densities, not their logarithms, are multiplied, each row of the
table relative to its largest entry, so no exponential is taken per cell. The scaling factors c_t
are multiplied too, exponents apart from mantissas, so there is one logarithm per customer. And
every step is done on eight customers side by side.

A product of relative densities can vanish where a sum of logarithms would not: when channels
contradict each other beyond 1e-100. Such customers are told apart and walked again, one by one.

Arrays of lanes are flat. ``(period, stage, lane)`` means that the lane varies fastest; rows of the
table are padded to whole registers, so ``(value, stage)`` can be multiplied eight stages at a time.
A customer outside the window stands still: nothing is seen, the scaling factor is 1, and nothing is
counted. The functions of one period take the few arrays that they need: to hand over the whole
group would cost as much as their work.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from crmlab.models.lanes import WIDTH, exponent, higher, load, lower, mantissa, spread, store
from crmlab.models.recursion import (
    LARGEST,
    Floats,
    Gradient,
    Ints,
    Notes,
    forward_backward,
    new_notes,
    no_history,
    walk_backward,
    walk_forward,
)

_SMALLEST = 1e-100  # scaling factors below are left to the logarithms
NEVER = 1 << 40, -1  # the window of a lane without a customer
_LOWEST, _MANTISSA, _EXPONENT = 0, WIDTH, 2 * WIDTH  # places in `scales` (3, lane)


class Group(NamedTuple):
    """Eight customers: their windows, and what a walk over their periods writes down."""

    first: Ints  # (lane,)
    last: Ints
    alpha: Floats  # (period, stage, lane)
    seen: Floats
    beta: Floats  # (stage, lane)
    weight: Floats
    smoothed: Floats
    times: Floats  # (lane,): customers with this history
    inside: Floats  # (lane,): 1 where the window holds the period
    moved: Floats  # (lane,): 1 where it holds the period before as well
    scales: Floats  # (3, lane): smallest scaling factor; mantissa and exponent of their product
    row: Floats  # (stage,), padded


@register_jitable
def _lift(table: Floats, width: int) -> tuple[Floats, Floats]:
    """Densities of each row relative to its largest (value, stage), and the largest's logarithm."""
    lifted, peaks = np.zeros(len(table) * width), np.zeros(len(table))
    for v in range(len(table)):
        largest = table[v].max()
        peaks[v] = largest if largest > -np.inf else 0.0
        lifted[v * width : v * width + table.shape[1]] = np.exp(table[v] - peaks[v])
    return lifted, peaks


@register_jitable
def _seat(
    windows: Ints, numbers: Floats, start: int, first: Ints, last: Ints, times: Floats
) -> tuple[int, int]:
    """Give each lane its history's window and number; return the first and last period of any.

    A lane without a customer has a window that never begins.
    """
    begin, end = NEVER
    for lane in range(WIDTH):
        n = start + lane
        first[lane], last[lane] = NEVER
        times[lane] = numbers[n] if n < len(windows) else 0.0
        if n < len(windows) and windows[n, 0] <= windows[n, 1]:
            first[lane], last[lane] = windows[n, 0], windows[n, 1]
            begin, end = min(begin, first[lane]), max(end, last[lane])
    return begin, end


@register_jitable
def _multiply_rows(lifted: Floats, width: int, codes: Ints, n: int, t: int, row: Floats) -> None:
    """Multiply the relative densities of what all channels saw of a customer (stage,)."""
    for j in range(0, width, WIDTH):
        product = load(lifted, codes[n, t, 0] * width + j)
        for c in range(1, codes.shape[2]):
            product = product * load(lifted, codes[n, t, c] * width + j)
        store(row, j, product)


@register_jitable
def _look(
    seen: Floats, inside: Floats, row: Floats, lifted: Floats, codes: Ints, start: int, t: int
) -> None:
    """Write down what the channels saw in one period, (stage, lane) of `seen`."""
    n_states, width = len(seen) // (codes.shape[1] * WIDTH), len(row)
    here = t * n_states * WIDTH
    for lane in range(WIDTH):
        if inside[lane] > 0.0:
            _multiply_rows(lifted, width, codes, start + lane, t, row)
            for j in range(n_states):
                seen[here + j * WIDTH + lane] = row[j]
        else:
            for j in range(n_states):
                seen[here + j * WIDTH + lane] = 1.0


@register_jitable
def _mark(first: Ints, last: Ints, t: int, inside: Floats) -> None:
    """Mark the lanes whose window holds a period."""
    for lane in range(WIDTH):
        inside[lane] = 1.0 if first[lane] <= t and t <= last[lane] else 0.0


@register_jitable
def _mark_moved(first: Ints, last: Ints, t: int, moved: Floats) -> None:
    """Mark the lanes whose window holds a period and the one before."""
    for lane in range(WIDTH):
        moved[lane] = 1.0 if first[lane] < t and t <= last[lane] else 0.0


@register_jitable
def _predict(alpha: Floats, matrix: Floats, here: int) -> None:
    """Move one period on."""
    n_states = len(matrix)
    before = here - n_states * WIDTH
    for j in range(n_states):
        mass = spread(0.0)
        for i in range(n_states):
            mass = mass + load(alpha, before + i * WIDTH) * spread(matrix[i, j])
        store(alpha, here + j * WIDTH, mass)


@register_jitable
def _begin(alpha: Floats, initial: Floats, first: Ints, here: int, t: int) -> None:
    """Put customers who have not begun at the start."""
    for lane in range(WIDTH):
        if t <= first[lane]:
            for j in range(len(initial)):
                alpha[here + j * WIDTH + lane] = initial[j]


@register_jitable
def _filter(alpha: Floats, seen: Floats, inside: Floats, scales: Floats, here: int, n: int) -> None:
    """Weigh the prediction of `n` stages by what was seen, and multiply the scaling factors."""
    mass, one = spread(0.0), spread(1.0)
    for j in range(here, here + n * WIDTH, WIDTH):
        joint = load(alpha, j) * load(seen, j)
        store(alpha, j, joint)
        mass = mass + joint
    mask = load(inside, 0)
    scale = higher(mass * mask + (one - mask), spread(1e-300))
    inverse = one / scale
    for j in range(here, here + n * WIDTH, WIDTH):
        store(alpha, j, load(alpha, j) * inverse)
        store(seen, j, lower(load(seen, j) * inverse, spread(LARGEST)))
    product = load(scales, _MANTISSA) * scale
    store(scales, _LOWEST, lower(load(scales, _LOWEST), scale))
    store(scales, _EXPONENT, load(scales, _EXPONENT) + exponent(product))
    store(scales, _MANTISSA, mantissa(product))


@register_jitable
def _loglik(scales: Floats, peaks: Floats, codes: Ints, window: tuple, n: int, lane: int) -> float:
    """Log-likelihood of one customer."""
    total = scales[_EXPONENT + lane] * np.log(2.0) + np.log(scales[_MANTISSA + lane])
    for t in range(window[0], window[1] + 1):
        for c in range(codes.shape[2]):
            total += peaks[codes[n, t, c]]
    return total


@register_jitable
def _empty(alpha: Floats, seen: Floats, lane: int) -> None:
    """Empty the lane of a customer who must be walked alone."""
    alpha[lane::WIDTH] = 0.0
    seen[lane::WIDTH] = 0.0


@register_jitable
def _smooth(
    alpha: Floats, seen: Floats, beta: Floats, weight: Floats, smoothed: Floats, here: int
) -> None:
    """Join past and future: what is known of one period, and the weight that goes back."""
    for j in range(0, len(beta), WIDTH):
        later = load(beta, j)
        store(smoothed, j, load(alpha, here + j) * later)
        store(weight, j, lower(load(seen, here + j) * later, spread(LARGEST)))


@register_jitable
def _count_seen(
    smoothed: Floats, inside: Floats, row: Floats, counts: Floats, codes: Ints, start: int, t: int
) -> None:
    """Add the smoothed probabilities to the rows of what was seen, (value, stage)."""
    n_states, width = len(smoothed) // WIDTH, len(row)
    for lane in range(WIDTH):
        if inside[lane] > 0.0:
            for j in range(n_states):
                row[j] = smoothed[j * WIDTH + lane]
            for c in range(codes.shape[2]):
                at = codes[start + lane, t, c] * width
                for j in range(0, width, WIDTH):
                    store(counts, at + j, load(counts, at + j) + load(row, j))


@register_jitable
def _count_starts(weight: Floats, first: Ints, t: int, d_initial: Floats) -> None:
    """Add the weights of those who began in this period."""
    for lane in range(WIDTH):
        if t == first[lane]:
            for j in range(len(d_initial)):
                d_initial[j] += weight[j * WIDTH + lane]


@register_jitable
def _step_back(
    alpha: Floats, weight: Floats, moved: Floats, matrix: Floats, beta: Floats, counts: Floats,
    before: int,
) -> None:  # fmt: skip
    """Bring beta one period back, and count the moves of those who were there before."""
    n_states = len(matrix)
    mask = load(moved, 0)
    for i in range(n_states):
        was = load(alpha, before + i * WIDTH) * mask
        back = spread(0.0)
        for j in range(n_states):
            now = load(weight, j * WIDTH)
            at = (i * n_states + j) * WIDTH
            store(counts, at, load(counts, at) + was * now)
            back = back + now * spread(matrix[i, j])
        store(beta, i * WIDTH, back)


@register_jitable
def _rest(beta: Floats, last: Ints, times: Floats, t: int) -> None:
    """Start back from the number of customers; nothing comes back from behind a window."""
    for lane in range(WIDTH):
        if t > last[lane]:
            for j in range(lane, len(beta), WIDTH):
                beta[j] = times[lane]


@register_jitable
def _gather(row_counts: Floats, move_counts: Floats, width: int, gradient: Gradient) -> None:
    """Take the counts out of their registers, always in the same order."""
    n_states = len(gradient.initial)
    for v in range(len(gradient.table)):
        for j in range(n_states):
            gradient.table[v, j] += row_counts[v * width + j]
    for at in range(len(move_counts)):
        for i in range(n_states):
            for j in range(n_states):
                for lane in range(WIDTH):
                    counted = move_counts[at, (i * n_states + j) * WIDTH + lane]
                    gradient.matrices[0, at, i, j] += counted


@register_jitable
def _new_group(n_periods: int, n_states: int, width: int) -> Group:
    block = n_states * WIDTH
    return Group(
        np.empty(WIDTH, np.int64),
        np.empty(WIDTH, np.int64),
        np.empty(n_periods * block),
        np.empty(n_periods * block),
        np.empty(block),
        np.empty(block),
        np.empty(block),
        np.empty(WIDTH),
        np.empty(WIDTH),
        np.empty(WIDTH),
        np.empty(3 * WIDTH),
        np.zeros(width),
    )


@register_jitable
def _go_forward(
    group: Group, initial: Floats, matrices: Floats, lifted: Floats, codes: Ints, span: tuple
) -> None:
    """Filter eight customers through the periods of their windows."""
    first, last, alpha, seen, beta, _, _, _, inside, _, scales, row = group
    start, begin, end = span
    block = len(beta)
    scales[:_EXPONENT], scales[_EXPONENT:] = 1.0, 0.0
    for t in range(begin, end + 1):
        _mark(first, last, t, inside)
        _look(seen, inside, row, lifted, codes, start, t)
        if t > begin:
            _predict(alpha, matrices[(t - 1) % len(matrices)], t * block)
        _begin(alpha, initial, first, t * block, t)
        _filter(alpha, seen, inside, scales, t * block, len(initial))


@register_jitable
def _go_back(
    group: Group,
    matrices: Floats,
    codes: Ints,
    span: tuple,
    starts: Floats,
    row_counts: Floats,
    move_counts: Floats,
) -> None:
    """Smooth eight customers, and count their starts, what they showed and their moves."""
    first, last, alpha, seen, beta, weight, smoothed, times, inside, moved, _, row = group
    start, begin, end = span
    block = len(beta)
    _rest(beta, last, times, end + 1)
    for t in range(end, begin - 1, -1):
        _mark(first, last, t, inside)
        _smooth(alpha, seen, beta, weight, smoothed, t * block)
        _count_seen(smoothed, inside, row, row_counts, codes, start, t)
        _count_starts(weight, first, t, starts)
        if t > begin:
            at, before = (t - 1) % len(matrices), (t - 1) * block
            _mark_moved(first, last, t, moved)
            _step_back(alpha, weight, moved, matrices[at], beta, move_counts[at], before)
            _rest(beta, last, times, t)


@register_jitable
def _settle(
    group: Group,
    lane: int,
    n: int,
    initial: Floats,
    matrices: Floats,
    seen: tuple,
    notes: Notes,
    gradient: Gradient,
) -> float:
    """Log-likelihood of one customer; one whose lane has vanished is walked alone.

    `seen` is the table, its peaks and the codes.
    """
    table, peaks, codes = seen
    window = group.first[lane], group.last[lane]
    if group.scales[_LOWEST + lane] >= _SMALLEST:
        return _loglik(group.scales, peaks, codes, window, n, lane)
    _empty(group.alpha, group.seen, lane)
    group.first[lane], group.last[lane] = NEVER
    loglik = walk_forward(initial, matrices, table, codes[n], window, notes)
    if loglik > -np.inf:
        walk_backward(matrices, codes[n], window, notes, gradient, 0, group.times[lane])
    return loglik


def walk_side_by_side(
    initial: Floats, matrices: Floats, table: Floats, codes: Ints, windows: Ints, times: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Do as `recursion.forward_backward` does, for matrices that all customers share."""
    n_states, n_periods, matrices = len(initial), codes.shape[1], matrices[0]
    width = -(-n_states // WIDTH) * WIDTH
    lifted, peaks = _lift(table, width)
    group, notes = _new_group(n_periods, n_states, width), new_notes(n_periods, n_states)
    gradient = Gradient(
        np.zeros_like(initial), np.zeros((1, *matrices.shape)), np.zeros_like(table)
    )
    row_counts = np.zeros(len(table) * width)
    move_counts = np.zeros((len(matrices), n_states * n_states * WIDTH))
    total = 0.0
    for start in range(0, len(codes), WIDTH):
        span = (start, *_seat(windows, times, start, group.first, group.last, group.times))
        _go_forward(group, initial, matrices, lifted, codes, span)
        for lane in range(WIDTH):
            if group.first[lane] <= group.last[lane]:
                seen = table, peaks, codes
                n = start + lane
                loglik = _settle(group, lane, n, initial, matrices, seen, notes, gradient)
                total += group.times[lane] * loglik
        if total == -np.inf:
            return no_history(initial, gradient.matrices, table)
        _go_back(group, matrices, codes, span, gradient.initial, row_counts, move_counts)
    _gather(row_counts, move_counts, width, gradient)
    return np.asarray(total), gradient.initial, gradient.matrices, gradient.table


_side_by_side, _one_by_one = register_jitable(walk_side_by_side), register_jitable(forward_backward)


def loglik_and_gradient(
    initial: Floats, matrices: Floats, table: Floats, codes: Ints, windows: Ints, times: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Choose the walk: side by side where customers share the matrices, else one by one."""
    if len(matrices) == 1:
        return _side_by_side(initial, matrices, table, codes, windows, times)
    return _one_by_one(initial, matrices, table, codes, windows, times)
