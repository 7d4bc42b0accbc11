"""Banque Méridienne: one running firm with a true answer to every question. It is invented."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from crmlab.actions import NoAction, Policy
from crmlab.arrays import Floats, Ints, count_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.generators import kernels
from crmlab.generators.bank import feedback, ledger, touchpoints, transactions, truth
from crmlab.generators.bank.knobs import knob_problems, turn
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.people import People, draw_people, whole_communities
from crmlab.generators.bank.profile import StageProfile, profile_of
from crmlab.generators.bank.relationship import CAUSES, Course, Scene, run_course
from crmlab.generators.bank.tilts import TREATMENTS
from crmlab.generators.base import Generator
from crmlab.generators.decisions import exported
from crmlab.stages import K10, KNAPP, StageSpace, check_transition_matrix
from crmlab.streams import Streams
from crmlab.tables import CustomerTables


@dataclass(frozen=True)
class Bank(Generator):
    """Banque Méridienne, an invented bank: customers, contacts, sales, surveys, and the truth.

    One latent relationship per customer drives every table. In each quarter a customer in stage i
    moves to stage j with a probability proportional to ``transition_matrix[i, j]`` times the odds
    that the levers, the customer's traits and all that happened in the quarter give to a move of
    this meaning. `describe` prints the world as tables; `crm.bank.data_dictionary()` explains each
    column.

    Parameters
    ----------
    levers : Levers
        What the bank does and what customers are like; `turned` changes single knobs.
    space : StageSpace
    transition_matrix : K x K array_like
        Probabilities per period with all levers at 0.
    initial_probs : sequence of K floats, optional
        Stage probabilities on arrival; by default, everybody starts in the first stage.
    n_periods : int
        Quarters.
    arrival_span : int
        Customers arrive in the periods 0 to arrival_span - 1.
    community_size : int
        Customers whose lives touch each other: fixed blocks of consecutive customers.
    policy : Policy, optional
        Who is treated; by default, the coverage in `levers.treatments`.

    Raises
    ------
    SpecError
        The world is not consistent; the message lists all problems at once.

    Examples
    --------
    >>> from crmlab.generators.base import simulate
    >>> tables = simulate(Bank(n_periods=8), 20, seed=1)
    >>> list(tables.more)[:3], len(tables.customers)
    (['touchpoints', 'transactions', 'opportunities'], 20)
    >>> Bank().turned({"quality.mean": 0.5}).levers.quality.mean
    0.5
    """

    levers: Levers = field(default_factory=Levers)
    space: StageSpace = KNAPP
    transition_matrix: tuple[tuple[float, ...], ...] = tuple(map(tuple, K10.tolist()))
    initial_probs: tuple[float, ...] | None = None
    n_periods: int = 36
    arrival_span: int = 12
    community_size: int = 50
    policy: Policy | None = None

    def __post_init__(self) -> None:
        """Check the whole world, then keep its numbers as tuples."""
        raise_problems(SpecError, "Bank", list(self._problems()))
        matrix = np.asarray(self.transition_matrix, dtype=float)
        object.__setattr__(self, "transition_matrix", tuple(map(tuple, matrix.tolist())))
        if self.initial_probs is not None:
            object.__setattr__(self, "initial_probs", tuple(map(float, self.initial_probs)))

    def _problems(self) -> Iterable[str]:
        if isinstance(self.levers, Levers):
            yield from knob_problems(self.levers)
            yield from _coverage_problems(self.levers)
        else:
            yield f"`levers` must be Levers, got {type(self.levers).__name__}"
        sizes = ("n_periods", "arrival_span", "community_size")
        yield from count_problems({name: vars(self)[name] for name in sizes})
        if self.policy is not None and not isinstance(self.policy, Policy):
            yield f"`policy` must be a Policy, got {self.policy!r}"
        yield from self._matrix_problems()

    def _matrix_problems(self) -> Iterable[str]:
        if not isinstance(self.space, StageSpace):
            yield f"`space` must be a StageSpace, got {self.space!r}"
            return
        try:
            check_transition_matrix(self.space, self.transition_matrix)
        except SpecError as error:
            yield str(error)
        if self.initial_probs is not None:
            yield from _initial_problems(self.initial_probs, len(self.space))

    def turned(self, changes: Mapping[str, float]) -> "Bank":
        """Return the same bank with some knobs turned.

        Parameters
        ----------
        changes : mapping of "group.knob" to value

        Raises
        ------
        SpecError
            A name is not a knob, or a value breaks its rule.
        """
        return replace(self, levers=turn(self.levers, changes))

    @property
    def profile(self) -> StageProfile:
        """What each stage looks like from outside."""
        return profile_of(self.space)

    @property
    def first_probs(self) -> Floats:
        """Stage probabilities on arrival, (K,)."""
        if self.initial_probs is None:
            return np.eye(len(self.space))[0]
        return np.array(self.initial_probs)

    def sample(self, streams: Streams, customers: Ints) -> CustomerTables:
        """Live through whole communities, then write the tables of the customers asked for."""
        customers = np.asarray(customers, dtype=np.int64)
        ids = whole_communities(customers, self.community_size)
        streams = kernels.quick_streams(streams, len(ids) * self.n_periods)
        scene = self.scene(streams, ids)
        people, course = ledger.numbered(scene.people, run_course(scene))
        if len(ids) != len(customers):
            people, course = ledger.only(people, course, np.searchsorted(ids, np.sort(customers)))
        return self._tables(streams, people, course)

    def scene(self, streams: Streams, ids: Ints) -> Scene:
        """Set the scene for whole communities: what stays the same while they live.

        Parameters
        ----------
        streams : Streams
        ids : ndarray of int of shape (N,), whole communities
        """
        people = draw_people(
            streams,
            ids,
            self.levers,
            size=self.community_size,
            arrival_span=min(self.arrival_span, self.n_periods),
        )
        return Scene(
            people=people,
            levers=self.levers,
            profile=self.profile,
            matrix=np.array(self.transition_matrix),
            initial=self.first_probs,
            n_periods=self.n_periods,
            streams=streams,
            policy=self.policy,
            stage_names=self.space.names,
            view=ledger.attributes(people),
        )

    def _tables(self, streams: Streams, people: People, course: Course) -> CustomerTables:
        levers, profile = self.levers, self.profile
        load = touchpoints.load_factors(streams, self.n_periods)
        contacts = touchpoints.draw_touchpoints(streams, people, course, levers, load)
        sales = transactions.draw_transactions(streams, people, course, levers, profile)
        surveys, labels = feedback.survey_tables(
            streams, people, course, levers, profile, self.space
        )
        decided = ledger.assignment_table(people, course)
        log = ledger.action_table(people, course, self.space.names)
        policy = NoAction() if self.policy is None else self.policy  # the bank's own is logged
        return CustomerTables(
            customers=ledger.customer_table(people, course),
            events=ledger.event_table(people, course, sales),
            surveys=surveys,
            cases=feedback.case_table(streams, people, course),
            labels=labels,
            actions=exported(log, policy),
            window=(0, self.n_periods - 1),
            units={"contacts": "contacts", "purchases": "transactions", "margin": "EUR"},
            truth={**truth.truth(people, course, self.space), "decisions": log},
            more={
                "touchpoints": touchpoints.touchpoint_table(contacts, people),
                "transactions": transactions.transaction_table(sales, people, self.n_periods),
                "opportunities": transactions.opportunity_table(
                    streams, people, course, sales, profile
                ),
                "posts": feedback.post_table(streams, people, course, levers),
                "ties": ledger.tie_table(people, course),
                "assignments": decided if policy.logged else decided.drop(columns="propensity"),
                "service_levels": touchpoints.service_levels(load, levers),
                "costs": ledger.cost_table(),
            },
        )


def _coverage_problems(levers: Levers) -> Iterable[str]:
    total = sum(getattr(levers.treatments, name) for name in TREATMENTS)
    if total > 1:
        yield (
            f"coverage of the treatments ({', '.join(TREATMENTS)}) sums to {total:.6g}, must be "
            "at most 1: there is one treatment per customer and period"
        )
    total = sum(getattr(levers.stagnation, name) for name in CAUSES)
    if total > 1:
        yield f"probabilities of the incidents sum to {total:.6g}, must be at most 1"


def _initial_problems(initial_probs: ArrayLike, n_stages: int) -> Iterable[str]:
    probs = np.asarray(initial_probs, dtype=float)
    if probs.shape != (n_stages,) or not np.isclose(probs.sum(), 1) or (probs < 0).any():
        yield f"`initial_probs` must be {n_stages} probabilities that sum to 1, got {probs}"
