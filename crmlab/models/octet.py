"""What eight histories do in one period, side by side: the steps of every fast recursion.

Arrays of lanes are flat. ``(period, stage, lane)`` means that the lane varies fastest; rows of the
table are padded to whole registers, so ``(value, stage)`` can be multiplied eight stages at a time.
A history outside its window stands still: nothing is seen, the scaling factor is 1, and nothing is
counted. The functions of one period take the few arrays that they need: to hand over the whole
group would cost as much as their work.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from crmlab.models.lanes import WIDTH, exponent, higher, load, lower, mantissa, spread, store
from crmlab.models.recursion import LARGEST, Floats, Ints

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
def new_group(n_periods: int, n_states: int, width: int) -> Group:
    """Make room for eight histories."""
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
def lift(table: Floats, width: int) -> tuple[Floats, Floats]:
    """Densities of each row relative to its largest (value, stage), and the largest's logarithm."""
    lifted, peaks = np.zeros(len(table) * width), np.zeros(len(table))
    for v in range(len(table)):
        largest = table[v].max()
        peaks[v] = largest if largest > -np.inf else 0.0
        lifted[v * width : v * width + table.shape[1]] = np.exp(table[v] - peaks[v])
    return lifted, peaks


@register_jitable
def seat(
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
def mark_inside(first: Ints, last: Ints, t: int, inside: Floats) -> None:
    """Mark the lanes whose window holds a period."""
    for lane in range(WIDTH):
        inside[lane] = 1.0 if first[lane] <= t and t <= last[lane] else 0.0


@register_jitable
def mark_moved(first: Ints, last: Ints, t: int, moved: Floats) -> None:
    """Mark the lanes whose window holds a period and the one before."""
    for lane in range(WIDTH):
        moved[lane] = 1.0 if first[lane] < t and t <= last[lane] else 0.0


@register_jitable
def _multiply_rows(lifted: Floats, width: int, codes: Ints, n: int, t: int, row: Floats) -> None:
    """Multiply the relative densities of what all channels saw of a customer (stage,)."""
    for j in range(0, width, WIDTH):
        product = load(lifted, codes[n, t, 0] * width + j)
        for c in range(1, codes.shape[2]):
            product = product * load(lifted, codes[n, t, c] * width + j)
        store(row, j, product)


@register_jitable
def look(
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
def stand_at_start(alpha: Floats, initial: Floats, first: Ints, here: int, t: int) -> None:
    """Put customers who have not begun at the start."""
    for lane in range(WIDTH):
        if t <= first[lane]:
            for j in range(len(initial)):
                alpha[here + j * WIDTH + lane] = initial[j]


@register_jitable
def filter_period(
    alpha: Floats, seen: Floats, inside: Floats, scales: Floats, here: int, n: int
) -> None:
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
def loglik_of(
    scales: Floats, peaks: Floats, codes: Ints, window: tuple, n: int, lane: int
) -> float:
    """Log-likelihood of one customer."""
    total = scales[_EXPONENT + lane] * np.log(2.0) + np.log(scales[_MANTISSA + lane])
    for t in range(window[0], window[1] + 1):
        for c in range(codes.shape[2]):
            total += peaks[codes[n, t, c]]
    return total


@register_jitable
def empty_lane(alpha: Floats, seen: Floats, lane: int) -> None:
    """Empty the lane of a customer who must be walked alone."""
    alpha[lane::WIDTH] = 0.0
    seen[lane::WIDTH] = 0.0


@register_jitable
def smooth_period(
    alpha: Floats, seen: Floats, beta: Floats, weight: Floats, smoothed: Floats, here: int
) -> None:
    """Join past and future: what is known of one period, and the weight that goes back."""
    for j in range(0, len(beta), WIDTH):
        later = load(beta, j)
        store(smoothed, j, load(alpha, here + j) * later)
        store(weight, j, lower(load(seen, here + j) * later, spread(LARGEST)))


@register_jitable
def count_seen(
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
def count_starts(weight: Floats, first: Ints, t: int, d_initial: Floats) -> None:
    """Add the weights of those who began in this period."""
    for lane in range(WIDTH):
        if t == first[lane]:
            for j in range(len(d_initial)):
                d_initial[j] += weight[j * WIDTH + lane]


@register_jitable
def rest_behind(beta: Floats, last: Ints, times: Floats, t: int) -> None:
    """Start back from the number of customers; nothing comes back from behind a window."""
    for lane in range(WIDTH):
        if t > last[lane]:
            for j in range(lane, len(beta), WIDTH):
                beta[j] = times[lane]


@register_jitable
def start_scales(scales: Floats) -> None:
    """Begin the products of the scaling factors."""
    scales[:_EXPONENT], scales[_EXPONENT:] = 1.0, 0.0


@register_jitable
def has_vanished(scales: Floats, lane: int) -> bool:
    """Whether a customer's densities are too small to be multiplied; NaN is, too."""
    return not scales[_LOWEST + lane] >= _SMALLEST


@register_jitable
def add_up_rows(row_counts: Floats, width: int, d_table: Floats) -> None:
    """Take the counts of what was seen out of their padded rows."""
    for v in range(d_table.shape[0]):
        for j in range(d_table.shape[1]):
            d_table[v, j] += row_counts[v * width + j]
