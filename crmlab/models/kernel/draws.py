"""The filter alone, under eight posterior draws at once, as predictions need it.

A draw is in one lane of the SIMD registers. All customers share the matrices of a draw. Histories
come sorted, so neighbours begin alike, and each goes on from where the one before began to differ:
`probs` holds the probabilities of the latest history that reached each period. The operations and
their order are those of `crmlab.prediction.recursion`, so probabilities agree with it bit for bit.

Arrays with lanes are flat: the lane varies fastest. A view of a row would cost as much as the work
on it, so functions take whole arrays and where to begin.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from crmlab.arrays import Floats, Ints
from crmlab.models.kernel.simd import (
    WIDTH,
    broadcast,
    exponent,
    load,
    mantissa,
    minimum,
    store,
)

_MANTISSA, _EXPONENT, _PEAK, _SCALES = 0, WIDTH, 2 * WIDTH, 3 * WIDTH


class Laws(NamedTuple):
    """Eight draws of the parameters."""

    initial: Floats  # (stage, lane)
    weights: Floats  # (move, stage, stage, lane), 0 where no move is allowed
    totals: Floats  # (move, stage, lane), sums of the weights
    density: Floats  # (value, stage, lane), scaled
    peak: Floats  # (value, lane), logarithm of the scale


class Walk(NamedTuple):
    """Histories, sorted; `start` is the first period that one does not share with the one before.

    A history without a period has ``last = -1``.
    """

    codes: Ints  # (history, period, channel): rows of `Laws.density`
    first: Ints  # (history,)
    last: Ints
    ago: Ints  # an earlier period to look at
    start: Ints
    times: Floats  # number of customers


class Found(NamedTuple):
    """What the filter writes down."""

    now: Floats  # (history, stage, lane) probabilities of the last period
    earlier: Floats  # (history, stage, lane) those of the period `Walk.ago`
    occupancy: Floats  # (period, stage, lane) customers expected in each stage
    scales: Floats  # (history, 3, lane): likelihood as mantissa, binary exponent, log of the scale
    lowest: Floats  # (lane,) smallest scaling factor of all


@njit(error_model="numpy", fastmath=False, nogil=True, cache=True)
def filter_histories(laws: Laws, walk: Walk, found: Found) -> None:
    """Filter all histories, in their order."""
    initial, weights, totals, density, peak = laws
    codes, first, last, ago, start, times = walk
    n_channels, codes = codes.shape[2], codes.ravel()
    now, earlier, occupancy, ends, lowest = found
    block, n_periods = len(initial), walk.codes.shape[1]
    probs, leaving = np.empty(n_periods * block), np.empty(block)
    scales, waiting = np.empty(n_periods * _SCALES), np.zeros(n_periods)
    for n in range(len(first)):
        for t in range(start[n], last[n] + 1):
            here, seen = t * block, (n * n_periods + t) * n_channels
            _count(occupancy, probs, waiting, t, block)
            if t == first[n]:
                _copy(probs, here, initial, 0, block)
                _begin(scales, t * _SCALES)
            else:
                _predict(probs, here, weights, totals, (t - 1) * block % len(totals), leaving)
                _copy(scales, t * _SCALES, scales, (t - 1) * _SCALES, _SCALES)
            _see(probs, here, block, density, codes, seen, n_channels)
            _scale(probs, here, block, scales, t * _SCALES, lowest)
            _add_peaks(scales, t * _SCALES, peak, codes, seen, n_channels)
        if last[n] < 0:
            continue
        waiting[first[n] : last[n] + 1] += times[n]
        _copy(now, n * block, probs, last[n] * block, block)
        _copy(earlier, n * block, probs, ago[n] * block, block)
        _copy(ends, n * _SCALES, scales, last[n] * _SCALES, _SCALES)
    for t in range(n_periods):
        _count(occupancy, probs, waiting, t, block)


@register_jitable
def _copy(to: Floats, at: int, source: Floats, begin: int, size: int) -> None:
    for k in range(0, size, WIDTH):
        store(to, at + k, load(source, begin + k))


@register_jitable
def _count(occupancy: Floats, probs: Floats, waiting: Floats, t: int, block: int) -> None:
    """Add the customers who share what is about to be overwritten."""
    if waiting[t] > 0:
        customers = broadcast(waiting[t])
        for k in range(t * block, (t + 1) * block, WIDTH):
            store(occupancy, k, load(occupancy, k) + customers * load(probs, k))
        waiting[t] = 0.0


@register_jitable
def _predict(
    probs: Floats, here: int, weights: Floats, totals: Floats, at: int, leaving: Floats
) -> None:
    """Move one period on; the sums of this move's weights begin at `at`."""
    block = len(leaving)
    n_stages = block // WIDTH
    for i in range(0, block, WIDTH):
        store(leaving, i, load(probs, here - block + i) / load(totals, at + i))
    for j in range(0, block, WIDTH):
        mass = broadcast(0.0)
        for i in range(0, block, WIDTH):
            mass = mass + load(leaving, i) * load(weights, (at + i) * n_stages + j)
        store(probs, here + j, mass)


@register_jitable
def _see(
    probs: Floats, here: int, block: int, density: Floats, codes: Ints, seen: int, n_channels: int
) -> None:
    """Weigh the prediction by what was seen."""
    for k in range(0, block, WIDTH):
        likely = load(density, codes[seen] * block + k)
        for c in range(seen + 1, seen + n_channels):
            likely = likely * load(density, codes[c] * block + k)
        store(probs, here + k, load(probs, here + k) * likely)


@register_jitable
def _begin(scales: Floats, at: int) -> None:
    """Begin the product of the scaling factors."""
    store(scales, at + _MANTISSA, broadcast(1.0))
    store(scales, at + _EXPONENT, broadcast(0.0))
    store(scales, at + _PEAK, broadcast(0.0))


@register_jitable
def _scale(probs: Floats, here: int, block: int, scales: Floats, at: int, lowest: Floats) -> None:
    """Let the probabilities sum to 1, and multiply the scaling factors."""
    mass = broadcast(0.0)
    for k in range(here, here + block, WIDTH):
        mass = mass + load(probs, k)
    for k in range(here, here + block, WIDTH):
        store(probs, k, load(probs, k) / mass)
    store(lowest, 0, minimum(mass, load(lowest, 0)))
    product = load(scales, at + _MANTISSA) * mass
    store(scales, at + _EXPONENT, load(scales, at + _EXPONENT) + exponent(product))
    store(scales, at + _MANTISSA, mantissa(product))


@register_jitable
def _add_peaks(
    scales: Floats, at: int, peak: Floats, codes: Ints, seen: int, n_channels: int
) -> None:
    """Add the logarithms of the scales of what was seen."""
    total = load(scales, at + _PEAK)
    for c in range(seen, seen + n_channels):
        total = total + load(peak, codes[c] * WIDTH)
    store(scales, at + _PEAK, total)
