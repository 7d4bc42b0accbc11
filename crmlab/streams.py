"""Addressed randomness: a random number is a function of its address, not of the calls before it.

A sequential generator hands out its numbers in the order of the calls, so one more customer, or
another block size, changes everybody. A *counter-based* generator is a function: the number at an
address depends on the address alone,

    u = Philox4x32-10(key = hash(seed, purpose), counter = (block, customer, period)).

Two worlds that differ in a policy therefore share the random numbers of every customer exactly, and
a customer looks the same in a world of ten and in a world of a million.

References
----------
Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC'11,
section 4.3 (the Philox rounds) and table 2 (its constants). DOI 10.1145/2063384.2063405.
"""

import hashlib
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, check_count
from crmlab.errors import SpecError

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WORD = np.uint64(0xFFFFFFFF)
_ROUNDS = 10
_LARGEST = 2**32
_AT_ONCE = 8192  # addresses whose words fit into a core's cache together

Word = NDArray[np.uint64] | np.uint64
Words = tuple[Word, Word, Word, Word]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Encrypt a counter of four 32-bit words into four random 32-bit words.

    Parameters
    ----------
    counter : tuple of four uint64 arrays that broadcast, each below 2**32
    key : tuple of two ints below 2**32

    Returns
    -------
    tuple of four uint64 arrays, each below 2**32

    References
    ----------
    Salmon et al. (2011), section 4.3.

    Examples
    --------
    >>> zero = np.uint64(0)
    >>> [f"{int(word):08x}" for word in philox((zero, zero, zero, zero), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    keys = [
        (
            np.uint64((key[0] + i * _WEYL[0]) % _LARGEST),
            np.uint64((key[1] + i * _WEYL[1]) % _LARGEST),
        )
        for i in range(_ROUNDS)
    ]
    return reduce(_philox_round, keys, counter)


def _philox_round(words: Words, key: tuple[np.uint64, np.uint64]) -> Words:
    first, second = words[0] * _MULTIPLIERS[0], words[2] * _MULTIPLIERS[1]
    shift = np.uint64(32)
    return (
        (second >> shift) ^ words[1] ^ key[0],
        second & _WORD,
        (first >> shift) ^ words[3] ^ key[1],
        first & _WORD,
    )


@dataclass(frozen=True)
class Streams:
    """The random numbers of one world: uniforms by (seed, customer, period, purpose).

    Parameters
    ----------
    seed : int
        Non-negative. One seed is one world.

    Examples
    --------
    >>> streams = Streams(seed=1)
    >>> alone = streams.uniforms("visits", customers=7, periods=3)
    >>> everybody = streams.uniforms("visits", customers=np.arange(10), periods=3)
    >>> bool(alone == everybody[7])
    True
    """

    seed: int

    def __post_init__(self) -> None:
        """Refuse a seed that is not a whole number of at least 0."""
        check_count("Streams", "seed", self.seed, at_least=0)

    def uniforms(
        self, purpose: str, customers: ArrayLike, periods: ArrayLike, size: int = 1
    ) -> Floats:
        """Uniforms in the open interval (0, 1) at the given addresses.

        Parameters
        ----------
        purpose : str
            What the uniforms are for, e.g. the name of a channel.
        customers, periods : array_like of int, below 2**32
            Addresses; they broadcast against each other.
        size : int
            Uniforms per address.

        Returns
        -------
        ndarray of shape (size, ...) if size > 1, else of the broadcast shape
        """
        check_count("uniforms", "size", size)
        customers, periods = np.broadcast_arrays(_address(customers), _address(periods))
        flat = np.empty((size + size % 2, customers.size))
        self.fill(flat, customers.ravel(), periods.ravel(), self.key(purpose))
        values = flat[:size].reshape(size, *customers.shape)
        return values[0] if size == 1 else values

    def fill(
        self,
        out: Floats,
        customers: NDArray[np.uint64],
        periods: NDArray[np.uint64],
        key: tuple[int, int],
    ) -> None:
        """Write the uniforms of n addresses: the inner loop, which a subclass may compile.

        Parameters
        ----------
        out : ndarray of shape (an even number, n)
            Filled two rows at a time, one block of the counter each.
        customers, periods : ndarray of shape (n,)
        key : tuple of two ints
            From `key`.
        """
        for first in range(0, len(customers), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            for block in range(len(out) // 2):
                counter = (np.uint64(block), customers[some], periods[some], np.uint64(0))
                out[2 * block : 2 * block + 2, some] = _to_uniforms(philox(counter, key))

    def key(self, purpose: str) -> tuple[int, int]:
        """Give the key of the cipher for one purpose: two words of 32 bits.

        Parameters
        ----------
        purpose : str

        Returns
        -------
        tuple of two ints below 2**32
            The first eight bytes of BLAKE2b of "seed/purpose", little-endian.

        Examples
        --------
        >>> Streams(seed=1).key("visits") == Streams(seed=1).key("spend")
        False
        """
        digest = hashlib.blake2b(f"{int(self.seed)}/{purpose}".encode(), digest_size=8).digest()
        return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def _address(values: ArrayLike) -> NDArray[np.uint64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or (
        array.size and (array.min() < 0 or array.max() >= _LARGEST)
    ):
        raise SpecError("`customers` and `periods` must be integers from 0 to 2**32 - 1.")
    return array.astype(np.uint64)


def _to_uniforms(words: Words) -> Floats:
    """Make two doubles of 52 bits, centred in their cells so that 0 and 1 never occur."""
    high = np.stack([words[0], words[2]]).astype(np.float64)
    low = np.stack([words[1], words[3]]) >> np.uint64(12)
    return (high * 2.0**20 + low.astype(np.float64) + 0.5) * 2.0**-52
