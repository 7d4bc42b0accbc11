"""What eight histories do in one period: the steps of both fast recursions.

A history is in one lane of the SIMD registers. Arrays with lanes are flat: ``(period, stage,
lane)`` means that the lane varies fastest. What is copied number by number (windows, rows,
covariates) is copied for all periods first: a register that is loaded right after its eight
numbers were written would have to wait for them.

A history outside its window stands still: nothing is seen, the scaling factor is 1, and nothing is
counted. The functions of one period take the few arrays that they need: to hand over the whole
group would cost as much as their work.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from crmlab.arrays import Floats, Ints
from crmlab.models.kernel.scalar import LARGEST
from crmlab.models.kernel.simd import (
    WIDTH,
    broadcast,
    exponent,
    gather,
    load,
    mantissa,
    maximum,
    minimum,
    scatter_add,
    store,
)

_SMALLEST = 1e-100  # scaling factors below are left to the logarithms
NO_WINDOW = 1 << 40, -1  # the window of a lane without a customer
_LOWEST, _MANTISSA, _EXPONENT = 0, WIDTH, 2 * WIDTH  # places in `scales` (3, lane)


class Group(NamedTuple):
    """Eight customers: their windows, and what a walk over their periods writes down."""

    first: Ints  # (lane,)
    last: Ints
    alpha: Floats  # (period, stage, lane)
    seen: Floats
    beta: Floats  # (stage, lane)
    weight: Floats
    times: Floats  # (lane,): customers with this history
    inside: Floats  # (period, lane): 1 where the window holds the period
    moved: Floats  # (period, lane): 1 where it holds the period before as well
    scales: Floats  # (3, lane): smallest scaling factor; mantissa and exponent of their product
    rows: Ints  # (period, channel, lane): where the rows of what was seen begin


@register_jitable
def new_group(n_periods: int, n_states: int, n_channels: int) -> Group:
    """Make room for eight histories."""
    block = n_states * WIDTH
    return Group(
        np.empty(WIDTH, np.int64),
        np.empty(WIDTH, np.int64),
        np.empty(n_periods * block),
        np.empty(n_periods * block),
        np.empty(block),
        np.empty(block),
        np.empty(WIDTH),
        np.empty(n_periods * WIDTH),
        np.empty(n_periods * WIDTH),
        np.empty(3 * WIDTH),
        np.empty(n_periods * n_channels * WIDTH, np.int64),
    )


@register_jitable
def relative_densities(table: Floats) -> tuple[Floats, Floats]:
    """Densities of each row relative to its largest, flat, and the largest's logarithm.

    A row of ones follows, for cells outside a window.
    """
    n_states = table.shape[1]
    densities, peaks = np.ones((len(table) + 1) * n_states), np.zeros(len(table))
    for v in range(len(table)):
        largest = table[v].max()
        peaks[v] = largest if largest > -np.inf else 0.0
        densities[v * n_states : (v + 1) * n_states] = np.exp(table[v] - peaks[v])
    return densities, peaks


@register_jitable
def assign_lanes(
    group: Group, windows: Ints, numbers: Floats, start: int
) -> tuple[int, int, int, int, int]:
    """Give each lane the window and number of one history, from number `start` on.

    Returns `start`, the first and last period of any, the last one in which a window begins, and
    the first one in which a window ends. A lane without a customer has a window that never begins.
    """
    first, last, times = group.first, group.last, group.times
    begin, end = NO_WINDOW
    all_begun, any_ended = end, begin
    for lane in range(WIDTH):
        n = start + lane
        first[lane], last[lane] = NO_WINDOW
        times[lane] = numbers[n] if n < len(windows) else 0.0
        if n < len(windows) and windows[n, 0] <= windows[n, 1]:
            first[lane], last[lane] = windows[n, 0], windows[n, 1]
            begin, end = min(begin, first[lane]), max(end, last[lane])
        all_begun, any_ended = max(all_begun, first[lane]), min(any_ended, last[lane])
    return start, begin, end, all_begun, any_ended


@register_jitable
def mark_windows(
    first: Ints, last: Ints, begin: int, end: int, inside: Floats, moved: Floats
) -> None:
    """Mark the periods that each lane's window holds, and those whose past it holds as well."""
    for t in range(begin, end + 1):
        for lane in range(WIDTH):
            is_inside = first[lane] <= t and t <= last[lane]
            inside[t * WIDTH + lane] = 1.0 if is_inside else 0.0
            moved[t * WIDTH + lane] = 1.0 if is_inside and first[lane] < t else 0.0


@register_jitable
def find_rows(
    codes: Ints, inside: Floats, span: tuple, n_states: int, n_values: int, rows: Ints
) -> None:
    """Find where the rows begin that the cells point to, (period, channel, lane)."""
    n_channels, start = codes.shape[2], span[0]
    for t in range(span[1], span[2] + 1):
        for lane in range(WIDTH):
            is_inside = inside[t * WIDTH + lane] > 0.0
            for c in range(n_channels):
                row = codes[start + lane, t, c] if is_inside else n_values
                rows[(t * n_channels + c) * WIDTH + lane] = row * n_states


@register_jitable
def prepare(group: Group, codes: Ints, span: tuple, n_states: int, n_values: int) -> None:
    """Lay out what the walk over the periods of `span` reads."""
    start_scales(group.scales)
    mark_windows(group.first, group.last, span[1], span[2], group.inside, group.moved)
    find_rows(codes, group.inside, span, n_states, n_values, group.rows)


@register_jitable
def multiply_densities(
    seen: Floats, densities: Floats, rows: Ints, n_channels: int, n_states: int, t: int
) -> None:
    """Multiply the densities of what the channels saw in one period, (stage, lane) of `seen`."""
    first = t * n_channels * WIDTH
    for j in range(n_states):
        product = gather(densities, rows, first, j)
        for c in range(1, n_channels):
            product = product * gather(densities, rows, first + c * WIDTH, j)
        store(seen, (t * n_states + j) * WIDTH, product)


@register_jitable
def set_initial(alpha: Floats, initial: Floats, first: Ints, here: int, t: int) -> None:
    """Give customers whose window has not begun the initial probabilities."""
    for lane in range(WIDTH):
        if t <= first[lane]:
            for j in range(len(initial)):
                alpha[here + j * WIDTH + lane] = initial[j]


@register_jitable
def filter_period(
    alpha: Floats, seen: Floats, inside: Floats, scales: Floats, here: int, n: int, t: int
) -> None:
    """Weigh the prediction of `n` stages by what was seen, and multiply the scaling factors."""
    mass, one = broadcast(0.0), broadcast(1.0)
    for j in range(here, here + n * WIDTH, WIDTH):
        joint = load(alpha, j) * load(seen, j)
        store(alpha, j, joint)
        mass = mass + joint
    mask = load(inside, t * WIDTH)
    scale = maximum(mass * mask + (one - mask), broadcast(1e-300))
    inverse = one / scale
    for j in range(here, here + n * WIDTH, WIDTH):
        store(alpha, j, load(alpha, j) * inverse)
        store(seen, j, minimum(load(seen, j) * inverse, broadcast(LARGEST)))
    product = load(scales, _MANTISSA) * scale
    store(scales, _LOWEST, minimum(load(scales, _LOWEST), scale))
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
def clear_lane(alpha: Floats, seen: Floats, lane: int) -> None:
    """Clear the lane of a customer who is left to the recursion for one customer."""
    alpha[lane::WIDTH] = 0.0
    seen[lane::WIDTH] = 0.0


@register_jitable
def smooth_period(alpha: Floats, seen: Floats, beta: Floats, weight: Floats, here: int) -> None:
    """Join past and future: what is known of one period, and the weight that goes back.

    What is known takes the place of alpha, which nobody needs any more.
    """
    for j in range(0, len(beta), WIDTH):
        later = load(beta, j)
        store(alpha, here + j, load(alpha, here + j) * later)
        store(weight, j, minimum(load(seen, here + j) * later, broadcast(LARGEST)))


@register_jitable
def count_seen(
    smoothed: Floats, counts: Floats, rows: Ints, n_channels: int, n_states: int, t: int
) -> None:
    """Add the smoothed probabilities of one period to the rows of what was seen."""
    first = t * n_channels * WIDTH
    for j in range(n_states):
        value = load(smoothed, (t * n_states + j) * WIDTH)
        for c in range(n_channels):
            scatter_add(counts, rows, first + c * WIDTH, j, value)


@register_jitable
def count_starts(weight: Floats, first: Ints, t: int, d_initial: Floats) -> None:
    """Add the weights of those who began in this period."""
    for lane in range(WIDTH):
        if t == first[lane]:
            for j in range(len(d_initial)):
                d_initial[j] += weight[j * WIDTH + lane]


@register_jitable
def restart_beta(beta: Floats, last: Ints, times: Floats, t: int) -> None:
    """Set beta to the number of customers behind a window, from where nothing comes back."""
    for lane in range(WIDTH):
        if t > last[lane]:
            for j in range(lane, len(beta), WIDTH):
                beta[j] = times[lane]


@register_jitable
def start_scales(scales: Floats) -> None:
    """Begin the products of the scaling factors."""
    scales[:_EXPONENT], scales[_EXPONENT:] = 1.0, 0.0


@register_jitable
def has_underflowed(scales: Floats, lane: int) -> bool:
    """Whether a customer's densities are too small to be multiplied; NaN counts as such."""
    return not scales[_LOWEST + lane] >= _SMALLEST
