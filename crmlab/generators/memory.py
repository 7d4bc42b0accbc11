"""Worlds with memory: Knapp's fourth and fifth rules, and how far each is from a chain.

A first-order chain forgets how long a stage has lasted and what came before it. Two worlds
remember one of these each:

* `DwellingWorld` (rule 4, relationships dwell within a stage): each time the time spent in a stage
  doubles, the odds of moving on are multiplied by exp(dwelling);
* `ScarWorld` (rule 5, one never returns to a stage as it was): each crossing from coming together
  to coming apart leaves a scar, and each scar multiplies the odds of deepening and repair by
  exp(scar).

Stage and memory together, (s, m), form a chain again, so everything about these worlds can be
computed: `memory_gap` compares the distribution of the next stage given stage and memory with the
best that a first-order chain can say, the matrix to which transition counts converge. With n
customers, the likelihood-ratio statistic for memory,

    G2 = 2 sum over m, i, j of n[m, i, j] ln( p(j | i, m) / p(j | i) ),

grows by 2 n x `departures` x `information`, on top of its degrees of freedom.

References
----------
Knapp (1978), Social Intercourse: From Greeting to Goodbye (rules of movement; from memory).
Anderson and Goodman (1957), "Statistical inference about Markov chains", Annals of Mathematical
Statistics 28(1), 89-110 (the test; from memory).
"""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from crmlab.arrays import Floats, Ints, count_problems, upper_edges
from crmlab.generators.bank.profile import CROSS, DEEPEN, REPAIR, profile_of
from crmlab.generators.decisions import Decision
from crmlab.generators.stage_world import StageWorld
from crmlab.streams import Streams
from crmlab.tables import CustomerTables


@dataclass(frozen=True)
class MemoryWorld(StageWorld):
    """A `StageWorld` whose moves depend on a memory m = 0, ..., M - 1 besides the stage."""

    @property
    @abstractmethod
    def n_memories(self) -> int:
        """Number M of values that the memory can take."""

    @property
    @abstractmethod
    def rows(self) -> Floats:
        """P(next stage | memory, stage), (M, K, K)."""

    @abstractmethod
    def remember(self, memory: Ints, stage: Ints, after: Ints) -> Ints:
        """Memory after a move from `stage` to `after`, elementwise."""

    def _problems(self) -> Iterable[str]:
        yield from super()._problems()
        if self.actions:
            yield "`actions` must be empty: a world with memory has none"

    def sample(self, streams: Streams, customers: Ints) -> CustomerTables:
        """Tables of the world; its truth also holds the memory and how much it matters."""
        tables = super().sample(streams, customers)
        _, memories = self._remembered_walk(streams, customers)
        log = pd.DataFrame(
            {
                "customer_id": np.repeat(customers, self.n_periods),
                "period": np.tile(np.arange(self.n_periods), len(customers)),
                "memory": memories.ravel(),
            }
        )
        truth = {**(tables.truth or {}), "memory": log, "gap": memory_gap(self)}
        return replace(tables, truth=truth)

    def _walk(self, streams: Streams, customers: Ints) -> tuple[Ints, list[Decision]]:
        return self._remembered_walk(streams, customers)[0], []

    def _remembered_walk(self, streams: Streams, customers: Ints) -> tuple:
        """Stages and memories, (customer, period), from the uniforms that `StageWorld` uses."""
        u = streams.uniforms("stage", customers[:, None], np.arange(self.n_periods))
        stages, memories = np.zeros((2, *u.shape), dtype=np.int64)
        stages[:, 0] = _pick(u[:, 0], np.array(self.initial_probs)[None])
        for t in range(1, self.n_periods):
            stage, memory = stages[:, t - 1], memories[:, t - 1]
            stages[:, t] = _pick(u[:, t], self.rows[memory, stage])
            memories[:, t] = self.remember(memory, stage, stages[:, t])
        return stages, memories

    @cached_property
    def expected_departures(self) -> Floats:
        """Expected number of moves (stays included) from each memory and stage, (M, K).

        Per customer, over the n_periods - 1 steps of the world.
        """
        probs = np.zeros((self.n_memories, len(self.space)))
        probs[0] = self.initial_probs
        total = np.zeros_like(probs)
        for _ in range(self.n_periods - 1):
            total += probs
            probs = self._step(probs)
        return total

    def _step(self, probs: Floats) -> Floats:
        flow = probs[:, :, None] * self.rows
        memory, stage, after = np.meshgrid(*map(np.arange, flow.shape), indexing="ij")
        new = self.remember(memory, stage, after)
        following = np.zeros_like(probs)
        np.add.at(following, (new, after), flow)
        return following

    @property
    def first_order_matrix(self) -> Floats:
        """The best first-order chain for this world, (K, K): the limit of transition counts.

        Stages with no expected departures keep their row of `transition_matrix`.
        """
        weights = self.expected_departures
        flow = (weights[:, :, None] * self.rows).sum(axis=0)
        total = weights.sum(axis=0)[:, None]
        bare = np.array(self.transition_matrix)
        return np.where(total > 0, flow / np.where(total > 0, total, 1.0), bare)


@dataclass(frozen=True)
class ScarWorld(MemoryWorld):
    """Customers who do not forget that they once came apart (Knapp's fifth rule).

    Parameters
    ----------
    space, initial_probs, transition_matrix, channels, n_periods
        As in `StageWorld`; the matrix is that of a customer without scars.
    scar : float
        Log-odds of deepening and repair per scar; 0 is a first-order chain.
    max_scars : int
        Further scars have no effect.

    Examples
    --------
    >>> from crmlab.stages import K10, KNAPP
    >>> world = ScarWorld(KNAPP, np.eye(10)[0], K10, n_periods=20, scar=-0.7)
    >>> world.rows[1, 0, 1] < world.rows[0, 0, 1]
    np.True_
    """

    scar: float = -0.7
    max_scars: int = 3

    def _problems(self) -> Iterable[str]:
        yield from super()._problems()
        yield from _problems_of("scar", self.scar, "max_scars", self.max_scars)

    @property
    def n_memories(self) -> int:
        """Number of different counts of scars."""
        return self.max_scars + 1

    @cached_property
    def rows(self) -> Floats:
        """P(next stage | scars, stage), (M, K, K)."""
        motion = profile_of(self.space).motion
        marked = (motion == DEEPEN) | (motion == REPAIR)
        scars = np.arange(self.n_memories)[:, None, None]
        return _tilted(self.transition_matrix, self.scar * scars * marked)

    def remember(self, memory: Ints, stage: Ints, after: Ints) -> Ints:
        """Count one more scar where a move crosses from together to apart."""
        crossed = profile_of(self.space).motion[stage, after] == CROSS
        return np.minimum(memory + crossed, self.max_scars)


@dataclass(frozen=True)
class DwellingWorld(MemoryWorld):
    """Customers who settle: the longer they are in a stage, the less they move (fourth rule).

    Parameters
    ----------
    space, initial_probs, transition_matrix, channels, n_periods
        As in `StageWorld`; the matrix is that of the first period in a stage.
    dwelling : float
        Log-odds of moving, each time the periods in the stage double; 0 is a first-order chain,
        and above 0 customers grow restless instead.
    max_dwell : int
        Periods after which nothing changes any more.

    Examples
    --------
    >>> from crmlab.stages import StageSpace
    >>> space = StageSpace(("on", "off"))
    >>> world = DwellingWorld(space, (1, 0), ((0.5, 0.5), (0.5, 0.5)), dwelling=-1.0)
    >>> world.sojourn_probs("on", 3).round(4)
    array([0.5   , 0.1345, 0.0622])
    """

    dwelling: float = -0.5
    max_dwell: int = 12

    def _problems(self) -> Iterable[str]:
        yield from super()._problems()
        yield from _problems_of("dwelling", self.dwelling, "max_dwell", self.max_dwell)

    @property
    def n_memories(self) -> int:
        """Number of different times in a stage; memory m means m + 1 periods."""
        return self.max_dwell

    @cached_property
    def rows(self) -> Floats:
        """P(next stage | time in the stage, stage), (M, K, K)."""
        moves = ~np.eye(len(self.space), dtype=bool)
        doublings = np.log2(1 + np.arange(self.n_memories))[:, None, None]
        return _tilted(self.transition_matrix, self.dwelling * doublings * moves)

    def remember(self, memory: Ints, stage: Ints, after: Ints) -> Ints:
        """Count one more period in the stage, or start again."""
        return np.where(after == stage, np.minimum(memory + 1, self.max_dwell - 1), 0)

    def sojourn_probs(self, stage: str, n: int) -> Floats:
        """Probability that a visit to a stage lasts 1, 2, ..., n periods, (n,).

        Parameters
        ----------
        stage : str
        n : int
        """
        i = self.space.index(stage)
        stay = self.rows[np.minimum(np.arange(n), self.max_dwell - 1), i, i]
        lasting = np.concatenate([[1.0], np.cumprod(stay)[:-1]])
        return lasting * (1 - stay)


def memory_gap(world: MemoryWorld) -> pd.DataFrame:
    """Compute how far a world is from a first-order chain, stage by stage, without simulation.

    Parameters
    ----------
    world : ScarWorld or DwellingWorld

    Returns
    -------
    DataFrame
        One row per stage and one, "all", for the whole: departures (expected number per
        customer, stays included), information (nats per departure: how much the memory says about
        the next stage, given the stage), distance (mean total variation between the distribution
        given the memory and the first-order one, from 0 to 1).

    Examples
    --------
    >>> from crmlab.stages import K10, KNAPP
    >>> forgets = ScarWorld(KNAPP, np.eye(10)[0], K10, n_periods=20, scar=0.0)
    >>> bool((memory_gap(forgets)["information"] < 1e-12).all())
    True
    """
    weights, rows, pooled = world.expected_departures, world.rows, world.first_order_matrix
    ratio = np.divide(rows, pooled, out=np.ones_like(rows), where=rows > 0)
    information = (weights[:, :, None] * rows * np.log(ratio)).sum(axis=(0, 2))
    distance = (weights[:, :, None] * np.abs(rows - pooled) / 2).sum(axis=(0, 2))
    departures = weights.sum(axis=0)
    columns = [np.append(x, x.sum()) for x in (departures, information, distance)]
    per = np.where(columns[0] > 0, columns[0], 1.0)
    return pd.DataFrame(
        {
            "stage": [*world.space.names, "all"],
            "departures": columns[0],
            "information": np.maximum(columns[1] / per, 0.0),
            "distance": columns[2] / per,
        }
    )


def _tilted(matrix: object, log_odds: Floats) -> Floats:
    weights = np.asarray(matrix, dtype=float) * np.exp(log_odds)
    return weights / weights.sum(axis=-1, keepdims=True)


def _pick(u: Floats, rows: Floats) -> Ints:
    return (u[:, None] > upper_edges(rows)).sum(axis=1)


def _problems_of(effect: str, value: object, limit: str, count: object) -> Iterable[str]:
    if not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        yield f"`{effect}` must be a finite number [log-odds], got {value!r}"
    yield from count_problems({limit: count})
