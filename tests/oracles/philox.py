"""Philox4x32-10 in plain integers, and the addresses of a world. Imports nothing from crmlab.

Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", section 4.3:
each of ten rounds multiplies two words into 64 bits, swaps halves, and mixes in a key that is
bumped by two constants. The known answers are those of the authors' library Random123, file
tests/kat_vectors.
"""

import hashlib

MASK = 2**32 - 1
MULTIPLY = 0xD2511F53, 0xCD9E8D57
BUMP = 0x9E3779B9, 0xBB67AE85

# counter, key, answer
KNOWN_ANSWERS = (
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (MASK, MASK, MASK, MASK),
        (MASK, MASK),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


def philox(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(MULTIPLY[0] * c0, 2**32)
        high1, low1 = divmod(MULTIPLY[1] * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + BUMP[0]) & MASK, (k1 + BUMP[1]) & MASK
    return c0, c1, c2, c3


def uniform(seed, purpose, customer, period, which=0):
    """One uniform of 52 bits, in the middle of its cell; two share one block of four words."""
    block, half = divmod(which, 2)
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
    words = philox((block, customer, period, 0), key)[2 * half : 2 * half + 2]
    bits = (words[0] << 20) | (words[1] >> 12)
    return (bits + 0.5) / 2**52
