"""The base class of worlds, and the one function that simulates them."""

from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass, replace

import numpy as np

import crmlab
from crmlab.actions import Policy
from crmlab.arrays import Ints, check_count
from crmlab.errors import SpecError, refuse
from crmlab.streams import Streams
from crmlab.tables import CustomerTables
from crmlab.tables.customer_tables import with_provenance


class Generator(ABC):
    """A world of customers. A subclass is a frozen dataclass with one method."""

    @abstractmethod
    def sample(self, streams: Streams, customers: Ints) -> CustomerTables:
        """Tables and truth of the customers with these addresses.

        A customer's rows may depend on `streams` only at that customer's address, so the other
        customers change nothing about this one.
        """


def simulate(
    generator: Generator, n_customers: int, *, seed: int, policy: Policy | None = None
) -> CustomerTables:
    """Simulate a world of customers whose truth is known.

    Parameters
    ----------
    generator : Generator
    n_customers : int
        With more customers, the first ones stay the same.
    seed : int
        The same seed gives the same tables. Twins (the same world and seed under two policies)
        share their random numbers, so they differ only through the policies.
    policy : Policy, optional
        Who is treated; by default, the world's own policy, if it has actions.

    Returns
    -------
    CustomerTables
        The tables with their `truth`, and a provenance that says how to make them again.

    Raises
    ------
    SpecError
        `n_customers` is not a whole number of at least 1, `seed` not one of at least 0, or the
        world has no actions for a policy to choose from.
    """
    check_count("simulate", "n_customers", n_customers)
    world = generator if policy is None else with_policy(generator, policy)
    tables = world.sample(Streams(seed), np.arange(n_customers))
    stamp = {
        "generator": repr(world),
        "n_customers": int(n_customers),
        "seed": int(seed),
        "crmlab": crmlab.__version__,
    }
    return with_provenance(tables, stamp)


def with_policy(generator: Generator, policy: Policy) -> Generator:
    """Return the same world under another policy.

    Parameters
    ----------
    generator : Generator
        A dataclass with a field `policy`.
    policy : Policy

    Raises
    ------
    SpecError
        The world has no such field, or `policy` is not a Policy.
    """
    if not isinstance(policy, Policy):
        refuse("simulate", "policy", "a Policy", policy)
    if not is_dataclass(generator) or "policy" not in {f.name for f in fields(generator)}:
        raise SpecError(
            f"{type(generator).__name__} has no actions, so it cannot run under a policy."
        )
    return replace(generator, policy=policy)
