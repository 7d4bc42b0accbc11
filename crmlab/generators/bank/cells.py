"""Rows of tables from cells of (customer, period), each row with an address of its own."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmlab.arrays import Floats, Ints
from crmlab.generators.bank.people import People
from crmlab.streams import Streams

DAYS = 90
_ROWS_PER_CELL = 64


class Rows(NamedTuple):
    """Where n rows belong: positions of customers, periods, places inside the cell."""

    who: Ints
    when: Ints
    which: Ints

    def uniforms(self, streams: Streams, people: People, purpose: str, size: int) -> Floats:
        """Uniforms at the address of each row, (size, n)."""
        where = self.when * _ROWS_PER_CELL + self.which
        return streams.uniforms(purpose, people.ids[self.who], where, size)


def rows_of(counts: NDArray) -> Rows:
    """Spread counts (N, T) to one row per unit, by customer and period.

    Examples
    --------
    >>> rows_of(np.array([[0, 2], [1, 0]]))
    Rows(who=array([0, 0, 1]), when=array([1, 1, 0]), which=array([0, 1, 0]))
    """
    who, when = np.nonzero(counts)
    n = np.minimum(counts[who, when], _ROWS_PER_CELL).astype(np.int64)
    first = np.cumsum(n) - n
    return Rows(
        np.repeat(who, n), np.repeat(when, n), np.arange(int(n.sum())) - np.repeat(first, n)
    )


def days(u: Floats) -> Ints:
    """Days of a quarter, from 0 to 89."""
    return np.floor(u * DAYS).astype(np.int64)
