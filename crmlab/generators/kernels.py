"""The inner loops of large worlds, compiled; small ones never load the compiler.

Everything here has a plain NumPy counterpart that gives the same bits (`Streams.uniforms`, the walk
of a `StageWorld`, `Channel.sample`); tests compare them. The loops are faster because they hold no
arrays in between, look counts up in a table of the distribution function instead of inverting an
incomplete gamma function, and compute amounts only where something is spent.

The loops are plain functions on one period of all customers, so that they can be read, and run
uncompiled; they release the interpreter, so blocks of customers may run in threads.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from crmlab.arrays import Floats, Ints
from crmlab.channels import Channel
from crmlab.channels.loops import find_cell, guide_to
from crmlab.streams import Streams

Words = NDArray[np.uint32]
Address = NDArray[np.uint64]

WORTH_COMPILING = 500_000  # cells; below, loading the compiler takes longer than it saves
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WORD, _SHIFT, _CUT, _ZERO = (np.uint64(n) for n in (0xFFFFFFFF, 32, 12, 0))


# Loops --------------------------------------------------------------------------------------------


def fill_uniforms(
    first: Floats, second: Floats, customers: Words, periods: Words, block: int, keys: Words
) -> None:
    """Write the two uniforms of a block per address: `crmlab.streams.philox`, ten rounds.

    Customers, periods and keys come in 32 bits: then the compiler sees that no factor has more, and
    multiplies several at once.
    """
    for i in range(customers.shape[0]):
        a, b, c, d = np.uint64(block), np.uint64(customers[i]), np.uint64(periods[i]), _ZERO
        for r in range(10):
            p, q = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
            a, b = (q >> _SHIFT) ^ b ^ np.uint64(keys[0, r]), q & _WORD
            c, d = (p >> _SHIFT) ^ d ^ np.uint64(keys[1, r]), p & _WORD
        first[i] = (np.float64(a) * 2.0**20 + np.float64(b >> _CUT) + 0.5) * 2.0**-52
        second[i] = (np.float64(c) * 2.0**20 + np.float64(d >> _CUT) + 0.5) * 2.0**-52


@functools.cache
def compiled(loop: Callable) -> Callable:
    """Compile a loop with numba, without fast-math: the same bits as NumPy."""
    import numba

    return numba.njit(error_model="numpy", fastmath=False, nogil=True, cache=True)(loop)


# Streams ------------------------------------------------------------------------------------------


class CompiledStreams(Streams):
    """The same uniforms as `Streams`, number for number, from the compiled loop.

    Examples
    --------
    >>> quick_streams(Streams(7), n_cells=10)
    Streams(seed=7)
    """

    def fill(self, out: Floats, customers: Address, periods: Address, key: tuple[int, int]) -> None:
        """Write the uniforms of n addresses; see `Streams.fill`."""
        words = customers.astype(np.uint32), periods.astype(np.uint32)
        _fill(out, *words, _round_keys(key))


def quick_streams(streams: Streams, n_cells: int) -> Streams:
    """Return streams with the compiled loop if there is enough work for it, else unchanged.

    Parameters
    ----------
    streams : Streams
    n_cells : int
        Customers times periods of the world.
    """
    return CompiledStreams(streams.seed) if n_cells >= WORTH_COMPILING else streams


# Worlds in blocks ---------------------------------------------------------------------------------


def walk(
    streams: Streams,
    customers: Ints,
    n_periods: int,
    initial_edges: Floats,
    edges: Floats,
) -> Ints:
    """Stage paths (customer, period) of a chain without actions.

    Parameters
    ----------
    streams : Streams
    customers : ndarray of int (N,)
    n_periods : int
    initial_edges, edges : ndarray (K,) and (K, K)
        Upper edges of the cells of the distributions; the last ones are exactly 1.
    """
    stages, step = np.empty((n_periods, len(customers)), dtype=np.int64), compiled(find_cell)
    before, rows = np.zeros(len(customers), dtype=np.int64), initial_edges[None]
    guide, later = guide_to(rows), guide_to(edges)
    for t, u in _uniforms_by_period(streams, "stage", customers, n_periods, 1):
        step(stages[t], before, u[0], rows, guide)
        before, rows, guide = stages[t], edges, later
    return stages.T


def show(streams: Streams, customers: Ints, channel: Channel, stages: Ints) -> Floats:
    """Values of one channel (customer, period), NaN where there is none.

    Parameters
    ----------
    streams : Streams
    customers : ndarray of int (N,)
    channel : Channel
        Every parameter given.
    stages : ndarray of int (N, T)
    """
    by_period = np.ascontiguousarray(stages.T)
    values, sample, size = np.empty(by_period.shape), channel.sampler(compiled), channel.n_uniforms
    purpose, n_periods = channel.name, len(by_period)
    for t, u in _uniforms_by_period(streams, purpose, customers, n_periods, size):
        values[t] = sample(u[0] if size == 1 else u, by_period[t])
    return values.T


def _uniforms_by_period(
    streams: Streams, purpose: str, customers: Ints, n_periods: int, size: int
) -> Iterator[tuple[int, Floats]]:
    """Yield each period with its uniforms, (size, N); the array is reused for the next."""
    keys = _round_keys(streams.key(purpose))
    words = customers.astype(np.uint32)
    u = np.empty((size + size % 2, len(words)))
    for t in range(n_periods):
        _fill(u, words, np.full(len(words), t, dtype=np.uint32), keys)
        yield t, u[:size]


def _fill(u: Floats, customers: Words, periods: Words, keys: Words) -> None:
    fill = compiled(fill_uniforms)
    for block in range(len(u) // 2):
        fill(u[2 * block], u[2 * block + 1], customers, periods, block, keys)


def _round_keys(key: tuple[int, int]) -> Words:
    first, second = key
    rounds = range(10)
    return np.array(
        [
            [(first + i * _WEYL[0]) % 2**32 for i in rounds],
            [(second + i * _WEYL[1]) % 2**32 for i in rounds],
        ],
        dtype=np.uint32,
    )
