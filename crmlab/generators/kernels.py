"""The inner loops of large worlds, compiled; small ones never load the compiler.

Everything here has a plain NumPy counterpart that gives the same bits (`Streams.uniforms`, the walk
of a `StageWorld`, `Channel.sample`); tests compare them. What makes the difference is not to hold
arrays in between, to find a count in a table of its distribution function rather than by the
inverse of an incomplete gamma function, and to compute amounts only where something is spent.

The loops are plain functions on one period of all customers, so that they can be read, and run
uncompiled; they release the interpreter, so blocks of customers may run in threads.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from crmlab.arrays import Floats, Ints
from crmlab.channels import Channel, Poisson, ZeroInflatedSpend
from crmlab.streams import Streams

Words = NDArray[np.uint32]

WORTH_COMPILING = 500_000  # cells; below, loading the compiler takes longer than it saves
_LARGEST_RATE = 50.0  # of a count that is looked up in a table
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


def step(out: Ints, before: Ints, u: Floats, edges: Floats, guide: Ints) -> None:
    """Move every customer: the first cell of her row whose upper edge reaches `u`.

    The guide knows where to begin for each 256th of the unit interval, so the search rarely takes
    a step, and processors guess rightly that it does not.
    """
    for i in range(u.shape[0]):
        row = before[i]
        k = guide[row, int(u[i] * 256)]
        while u[i] > edges[row, k]:
            k += 1
        out[i] = k


def look_up(out: Floats, stages: Ints, u: Floats, table: Floats, guide: Ints) -> None:
    """Write the smallest count whose distribution function reaches `u`, searched as in `step`."""
    for i in range(u.shape[0]):
        row = stages[i]
        k = guide[row, int(u[i] * 256)]
        while u[i] > table[row, k]:
            k += 1
        out[i] = k


def find_spenders(out: Ints, stages: Ints, u: Floats, prob: Floats) -> int:
    """List the customers who spend something, and say how many they are."""
    n = 0
    for i in range(u.shape[0]):
        out[n] = i
        n += 1 - u[i] < prob[stages[i]]
    return n


class Loops(NamedTuple):
    """The loops, compiled or not."""

    fill_uniforms: Callable[..., None] = fill_uniforms
    step: Callable[..., None] = step
    look_up: Callable[..., None] = look_up
    find_spenders: Callable[..., int] = find_spenders


@functools.cache
def compiled() -> Loops:
    """Compile the loops with numba, without fast-math: the same bits as NumPy."""
    import numba

    jit = numba.njit(error_model="numpy", fastmath=False, nogil=True, cache=True)
    return Loops(*(jit(loop) for loop in Loops()))


# Streams ------------------------------------------------------------------------------------------


class CompiledStreams(Streams):
    """The same chance as `Streams`, number for number, from the compiled loop.

    Examples
    --------
    >>> quick_streams(Streams(7), n_cells=10)
    Streams(seed=7)
    """

    def fill(self, out: Floats, customers: Ints, periods: Ints, key: tuple[int, int]) -> None:
        """Write the uniforms of n addresses; see `Streams.fill`."""
        words = customers.astype(np.uint32), periods.astype(np.uint32)
        _fill(out, *words, _round_keys(key), compiled())


def quick_streams(streams: Streams, n_cells: int) -> Streams:
    """Give streams with the compiled loop where there is enough to do for it, else as they are.

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
    loops: Loops | None = None,
) -> Ints:
    """Stage paths (customer, period) of a chain without actions.

    Parameters
    ----------
    streams : Streams
    customers : ndarray of int (N,)
    n_periods : int
    initial_edges, edges : ndarray (K,) and (K, K)
        Upper edges of the cells of the distributions; the last ones are exactly 1.
    loops : Loops, optional
        Default the compiled ones.
    """
    loops = loops or compiled()
    stages = np.empty((n_periods, len(customers)), dtype=np.int64)
    before, rows = np.zeros(len(customers), dtype=np.int64), initial_edges[None]
    guide, later = _guide(rows), _guide(edges)
    for t, u in _uniforms_by_period(streams, "stage", customers, n_periods, 1, loops):
        loops.step(stages[t], before, u[0], rows, guide)
        before, rows, guide = stages[t], edges, later
    return stages.T


def show(
    streams: Streams, customers: Ints, channel: Channel, stages: Ints, loops: Loops | None = None
) -> Floats:
    """Values of one channel (customer, period), NaN where there is none.

    Parameters
    ----------
    streams : Streams
    customers : ndarray of int (N,)
    channel : Channel
        Every parameter given.
    stages : ndarray of int (N, T)
    loops : Loops, optional
        Default the compiled ones.
    """
    loops = loops or compiled()
    by_period = np.ascontiguousarray(stages.T)
    values = np.empty(by_period.shape)
    sample = _sampler(channel, loops)
    size = channel.n_uniforms
    for t, u in _uniforms_by_period(streams, channel.name, customers, len(by_period), size, loops):
        sample(values[t], by_period[t], u)
    return values.T


def _uniforms_by_period(
    streams: Streams, purpose: str, customers: Ints, n_periods: int, size: int, loops: Loops
) -> Iterator[tuple[int, Floats]]:
    """Yield each period with its uniforms, (size, N); the array is used again for the next."""
    keys = _round_keys(streams.key(purpose))
    words = customers.astype(np.uint32)
    u = np.empty((size + size % 2, len(words)))
    for t in range(n_periods):
        _fill(u, words, np.full(len(words), t, dtype=np.uint32), keys, loops)
        yield t, u[:size]


def _fill(u: Floats, customers: Words, periods: Words, keys: Words, loops: Loops) -> None:
    for block in range(len(u) // 2):
        loops.fill_uniforms(u[2 * block], u[2 * block + 1], customers, periods, block, keys)


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


def _sampler(channel: Channel, loops: Loops) -> Callable[[Floats, Ints, Floats], None]:
    """Choose how one period of a channel is sampled: by table, where it is spent, or as it is."""
    known = channel.known
    if type(channel) is Poisson and known["rate"].max() <= _LARGEST_RATE:
        table = _poisson_table(known["rate"])
        guide = _guide(table)
        return lambda out, stages, u: loops.look_up(out, stages, u[0], table, guide)
    if type(channel) is ZeroInflatedSpend:
        return functools.partial(_spend, channel, known, loops)
    return functools.partial(_sample_as_it_is, channel, known)


def _guide(edges: Floats) -> Ints:
    """First cell that each 256th of the unit interval can lie in, row by row."""
    lower = np.arange(256) / 256
    return np.stack([np.searchsorted(row, lower) for row in edges])


def _poisson_table(rate: Floats) -> Floats:
    """Distribution functions (stage, count), until they are 1 for every uniform there is."""
    most = 1
    while (special.pdtr(most, rate) < 1 - 2.0**-53).any():
        most += 1
    table = special.pdtr(np.arange(most + 1), rate[:, None])
    table[:, -1] = np.inf
    return table


def _spend(
    channel: Channel,
    known: dict[str, Floats],
    loops: Loops,
    out: Floats,
    stages: Ints,
    u: Floats,
) -> None:
    """Compute amounts for those who spend; all others have 0."""
    who = np.empty(len(out), dtype=np.int64)
    who = who[: loops.find_spenders(who, stages, u[0], known["prob"])]
    at = stages[who]
    out[:] = 0.0
    out[who] = channel.sample(u[0][who], **{name: value[at] for name, value in known.items()})


def _sample_as_it_is(
    channel: Channel, known: dict[str, Floats], out: Floats, stages: Ints, u: Floats
) -> None:
    given = {name: value[stages] for name, value in known.items()}
    out[:] = channel.sample(u[0] if len(u) == 1 else u, **given)
