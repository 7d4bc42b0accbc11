"""What every world is, and the one door through which worlds are simulated."""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import crmlab
from crmlab.errors import SpecError
from crmlab.streams import Streams
from crmlab.tables import CustomerTables


class Generator(ABC):
    """A world of customers. A subclass is a frozen dataclass with one method."""

    @abstractmethod
    def sample(self, streams: Streams, customers: NDArray[np.int64]) -> CustomerTables:
        """Tables and truth of the customers with these addresses.

        A customer's rows may depend on `streams` at that customer's address only, so that another
        set of customers changes nobody.
        """


def simulate(generator: Generator, n_customers: int, *, seed: int) -> CustomerTables:
    """Simulate a world of customers whose truth is known.

    Parameters
    ----------
    generator : Generator
    n_customers : int
        More customers leave the first ones as they were.
    seed : int
        The same seed gives the same tables.

    Returns
    -------
    CustomerTables
        With `truth` beside the tables, and a provenance that says how to make them again.

    Raises
    ------
    SpecError
        `n_customers` is not a positive integer, or `seed` not a non-negative one.
    """
    if not isinstance(n_customers, (int, np.integer)) or n_customers < 1:
        raise SpecError(
            f"The `n_customers` parameter of `simulate` must be a positive integer, got "
            f"{n_customers!r}."
        )
    tables = generator.sample(Streams(seed), np.arange(n_customers))
    stamp = {
        "generator": repr(generator),
        "n_customers": int(n_customers),
        "seed": int(seed),
        "crmlab": crmlab.__version__,
    }
    return replace(tables, provenance={**tables.provenance, **stamp})
