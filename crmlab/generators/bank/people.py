"""Who the customers are before anything happens: attributes, traits, acquaintances.

Communities are fixed blocks of consecutive customers. Inside one, customers arrive in the order of
their numbers, so an earlier customer has a smaller number. Acquaintances and referrers are always
earlier customers, so a table of the first n customers names nobody else.
"""

from dataclasses import dataclass

import numpy as np

from crmlab.arrays import Bools, Floats, Ints
from crmlab.generators.bank.levers import Levers
from crmlab.generators.bank.quantiles import choose, choose_within, normal
from crmlab.streams import Streams

TRAITS = (
    "adaptation",
    "trust",
    "commitment",
    "communication",
    "cooperation",
    "conflict_resolution",
    "interdependence",
    "past_satisfaction",
    "power",
)
ACQUISITION = ("branch", "web", "advert", "partner", "referral")
CHANNEL_STRENGTH = np.array([0.4, -0.1, -0.5, 0.2, 0.6])
MODES = ("personal", "dedicated", "self_service", "automated", "community")
SEGMENTS = ("student", "household", "affluent", "professional", "retired")
BRANCHES = ("Port", "Vieille Ville", "Gare", "Colline", "Plage", "Jardins")
NEEDS = (
    "utility",
    "convenience",
    "comfort",
    "personal_recognition",
    "self_expression",
    "co_creation",
)

REFERRAL = ACQUISITION.index("referral")
DEDICATED = MODES.index("dedicated")
SELF_SERVICE = MODES.index("self_service")
COMMUNITY = MODES.index("community")

N_TIES = 3
_FOUND_BY = (0.35, 0.3, 0.2, 0.15)
_MODE_SHARES = (  # personal, dedicated, self-service, automated, community
    (0.10, 0.00, 0.45, 0.25, 0.20),  # student
    (0.30, 0.00, 0.32, 0.20, 0.18),  # household
    (0.30, 0.40, 0.15, 0.10, 0.05),  # affluent
    (0.25, 0.20, 0.30, 0.15, 0.10),  # professional
    (0.60, 0.05, 0.12, 0.10, 0.13),  # retired
)
_SEGMENT_SHARES = (0.15, 0.4, 0.12, 0.15, 0.18)
_NEED_SHARES = np.array([0.25, 0.25, 0.2, 0.15, 0.1, 0.05])
_CUSTOMERS_PER_MANAGER = 400


@dataclass(frozen=True)
class People:
    """Attributes of N customers in whole communities; arrays are (N,), except `traits` and `ties`.

    Parameters
    ----------
    ids : addresses
    start : period of arrival
    found_by : code of `ACQUISITION`, used if nobody refers the customer
    mode, segment, branch, need : codes (need from 1 to 6)
    transactional, passive : bool
    traits : (9, N), standard normal
    ease, unrest, pace : standard normal; hidden readiness to come closer, to part, to be active
    ties : (N, 3), positions of acquaintances; the customer's own position where there is none
    size : customers per community
    """

    ids: Ints
    start: Ints
    found_by: Ints
    mode: Ints
    segment: Ints
    branch: Ints
    need: Ints
    transactional: Bools
    passive: Bools
    traits: Floats
    ease: Floats
    unrest: Floats
    pace: Floats
    ties: Ints
    size: int

    def __len__(self) -> int:
        """Count the customers."""
        return len(self.ids)

    def trait(self, name: str) -> Floats:
        """Values of one trait, (N,)."""
        return self.traits[TRAITS.index(name)]

    @property
    def place(self) -> Ints:
        """Place of each customer in the community, from 0."""
        return self.ids % self.size


def whole_communities(customers: Ints, size: int) -> Ints:
    """List all members of the communities that these customers belong to.

    Examples
    --------
    >>> whole_communities(np.array([0, 7]), size=3)
    array([0, 1, 2, 6, 7, 8])
    """
    communities = np.unique(np.asarray(customers, dtype=np.int64) // size)
    return (communities[:, None] * size + np.arange(size)).ravel()


def draw_people(
    streams: Streams, ids: Ints, levers: Levers, *, size: int, arrival_span: int
) -> People:
    """Draw attributes at each customer's own address.

    Parameters
    ----------
    streams : Streams
    ids : ndarray of int of shape (N,), whole communities
    levers : Levers
    size : int
        Customers per community.
    arrival_span : int
        Customers arrive in the periods 0 to arrival_span - 1.
    """
    u = streams.uniforms("person", ids, 0, size=8)
    hidden = normal(streams.uniforms("hidden", ids, 0, size=len(TRAITS) + 3))
    place = ids % size
    segment, _ = choose(u[4], _SEGMENT_SHARES)
    mode, _ = choose_within(u[1], segment, _MODE_SHARES)
    sale_by_sale = (u[5] < levers.service.transactional_share) & (mode != DEDICATED)
    need, _ = choose(u[2], _NEED_SHARES * np.exp(levers.service.need_level * np.arange(len(NEEDS))))
    return People(
        ids=ids,
        start=np.floor(arrival_span * (place + u[0]) / size).astype(np.int64),
        found_by=choose(u[3], _FOUND_BY)[0],
        mode=mode,
        segment=segment,
        branch=(ids // size) % len(BRANCHES),
        need=need + 1,
        transactional=sale_by_sale,
        passive=u[6] < levers.market.passive_share,
        traits=hidden[: len(TRAITS)],
        ease=hidden[-3],
        unrest=hidden[-2],
        pace=hidden[-1],
        ties=_draw_ties(streams, ids, place),
        size=size,
    )


def _draw_ties(streams: Streams, ids: Ints, place: Ints) -> Ints:
    """Pick acquaintances among those who came before, as positions in the block."""
    u = streams.uniforms("ties", ids, 0, size=N_TIES)
    steps = 1 + np.floor(u * np.maximum(place, 1)).astype(np.int64)
    return (np.arange(len(ids)) - np.minimum(steps, place)).T


def account_managers(people: People) -> Floats:
    """Give the number of each customer's own account manager; NaN where there is none."""
    return np.where(people.mode == DEDICATED, 1 + people.ids // _CUSTOMERS_PER_MANAGER, np.nan)
