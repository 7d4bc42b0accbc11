"""One world per student: the same exercise with different numbers and a different answer key.

The instructor holds a secret key. From it and a student's id, a keyed hash (BLAKE2b in its keyed
mode, RFC 7693) makes a stream of uniforms, and these move the parameters of a world within bounds
that keep it plausible: impossible moves stay impossible, stages keep their order in every
channel, and probabilities stay away from 0 and 1. The same key and id give the same world on every
computer; without the key, ids reveal nothing about worlds.

`own_world` makes the world, `own_tables` what the student gets; the truth stays with whoever
holds the key.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from unicodedata import normalize

import numpy as np

from crmlab.actions import Action
from crmlab.arrays import Floats
from crmlab.channels import Channel
from crmlab.errors import SpecError, raise_problems, refuse
from crmlab.generators.base import Generator, simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.tables import CustomerTables

Factory = Callable[[np.random.Generator], Generator]

_SHORTEST_KEY = 16
_SHARES = ("prob", "response_rate")
_LEVELS = ("location",)


@dataclass(frozen=True)
class Bounds:
    """How far the worlds of students may differ from the world of the exercise.

    Parameters
    ----------
    log_odds : float
        Largest shift of the log odds of a probability (moves, first stages, channels).
    log_scale : float
        Largest shift of the logarithm of a positive number (rates, amounts, costs).
    units : float
        Largest shift on a latent scale (surveys, log odds ratios of actions).
    """

    log_odds: float = 0.5
    log_scale: float = 0.25
    units: float = 0.3

    def __post_init__(self) -> None:
        """Refuse bounds that are too wide to preserve anything."""
        problems = [
            f"`{field.name}` must be from 0 to 2, got {getattr(self, field.name)!r}"
            for field in fields(self)
            if not 0 <= getattr(self, field.name) <= 2
        ]
        raise_problems(SpecError, "Bounds", problems)


def student_seed(student_id: str, *, key: bytes, purpose: str = "world") -> int:
    """Seed of 128 bits that belongs to one student, and that only the key can make.

    Parameters
    ----------
    student_id : str
        Upper and lower case, and spaces around it, do not matter.
    key : bytes
        The instructor's secret: at least 16 bytes, e.g. of ``secrets.token_bytes(32)``.
    purpose : str
        Another purpose gives another seed, e.g. one per exercise.

    Returns
    -------
    int

    Raises
    ------
    SpecError
        The key is not bytes or too short, or the id empty.

    Examples
    --------
    >>> key = b"not a secret, as it is printed"
    >>> student_seed("Ada", key=key) == student_seed(" ada ", key=key)
    True
    >>> student_seed("Ada", key=key) == student_seed("Grace", key=key)
    False
    """
    problems = []
    if not isinstance(key, bytes) or len(key) < _SHORTEST_KEY:
        kind = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        problems.append(
            f"`key` must be at least {_SHORTEST_KEY} secret bytes, got {kind}; make one with "
            "secrets.token_bytes(32), and keep it"
        )
    plain = re.sub(r"\s+", " ", normalize("NFKC", str(student_id))).strip().casefold()
    if not isinstance(student_id, str) or not plain:
        problems.append(f"`student_id` must be a text that is not empty, got {student_id!r}")
    raise_problems(SpecError, "student_seed", problems)
    secret = key if len(key) <= 64 else hashlib.blake2b(key).digest()  # the mode takes 64 bytes
    # Lengths first, so that no two pairs of purpose and id are one message.
    message = f"{len(purpose)}:{purpose}:{plain}".encode()
    return int.from_bytes(hashlib.blake2b(message, key=secret, digest_size=16).digest(), "little")


def own_world(
    world: StageWorld | Factory,
    student_id: str,
    *,
    key: bytes,
    purpose: str = "world",
    bounds: Bounds | None = None,
) -> Generator:
    """Make a student's own world.

    Parameters
    ----------
    world : StageWorld, or function of a numpy Generator
        The world of the exercise, whose parameters are moved within `bounds`; or, for any other
        kind of world, a function that draws one within its own bounds.
    student_id, key, purpose
        As in `student_seed`.
    bounds : Bounds, optional
        Used for a StageWorld.

    Returns
    -------
    Generator
        A world of the same form: the same code works on it.

    Raises
    ------
    SpecError
        As for `student_seed`, or the function does not return a world.

    Examples
    --------
    >>> from crmlab.generators.confounding import confounded_world
    >>> key = b"not a secret, as it is printed"
    >>> ada = own_world(confounded_world(), "ada", key=key)
    >>> ada == own_world(confounded_world(), "ada", key=key)
    True
    >>> ada == own_world(confounded_world(), "grace", key=key)
    False
    """
    rng = np.random.default_rng(student_seed(student_id, key=key, purpose=purpose))
    if isinstance(world, StageWorld):
        return _vary_world(world, bounds or Bounds(), rng)
    made = world(rng) if callable(world) else None
    if not isinstance(made, Generator):
        rule = "a StageWorld or a function that returns a world"
        refuse("own_world", "world", rule, world)
    return made


def own_tables(
    world: StageWorld | Factory,
    student_id: str,
    n_customers: int,
    *,
    key: bytes,
    purpose: str = "world",
    bounds: Bounds | None = None,
) -> CustomerTables:
    """Simulate a student's own tables, with the truth of the student's own world.

    Parameters
    ----------
    world, student_id, key, purpose, bounds
        As in `own_world`.
    n_customers : int

    Returns
    -------
    CustomerTables
        With truth. Before handing them out, remove it (``replace(tables, truth=None)``) or write
        the tables, which leaves it out. The provenance reveals neither parameters nor seed.

    Examples
    --------
    >>> from crmlab.generators.confounding import confounded_world
    >>> key = b"not a secret, as it is printed"
    >>> own_tables(confounded_world(), "ada", 50, key=key).provenance["student_id"]
    'ada'
    """
    own = own_world(world, student_id, key=key, purpose=purpose, bounds=bounds)
    seed = student_seed(student_id, key=key, purpose=f"{purpose}/tables")
    tables = simulate(own, n_customers, seed=seed)
    said = {
        "student_id": student_id,
        "purpose": purpose,
        "n_customers": n_customers,
        "crmlab": tables.provenance["crmlab"],
    }
    return replace(tables, provenance=said)


# Moving the parameters of a world -----------------------------------------------------------------


def _vary_world(world: StageWorld, bounds: Bounds, rng: np.random.Generator) -> StageWorld:
    """Move all parameters, always in the same order, so that each number has its own uniforms."""
    matrix = _vary_probs(np.asarray(world.transition_matrix), bounds, rng)
    initial = _vary_probs(np.asarray(world.initial_probs), bounds, rng)
    return replace(
        world,
        transition_matrix=tuple(map(tuple, matrix.tolist())),
        initial_probs=tuple(initial.tolist()),
        channels=tuple(_vary_channel(channel, bounds, rng) for channel in world.channels),
        actions=tuple(_vary_action(action, bounds, rng) for action in world.actions),
    )


def _vary_probs(probs: Floats, bounds: Bounds, rng: np.random.Generator) -> Floats:
    """Tilt probabilities on the last axis; 0 and 1 stay as they are."""
    weights = probs * np.exp(rng.uniform(-bounds.log_odds, bounds.log_odds, probs.shape))
    return weights / weights.sum(axis=-1, keepdims=True)


def _vary_channel(channel: Channel, bounds: Bounds, rng: np.random.Generator) -> Channel:
    moved: dict = {
        name: _vary_parameter(name, values, bounds, rng) for name, values in channel.known.items()
    }
    return replace(channel, **moved)


def _vary_parameter(name: str, values: Floats, bounds: Bounds, rng: np.random.Generator) -> tuple:
    """Move one parameter of a channel: by a common shift, and a little stage by stage.

    The common part is large and the rest small, so that stages keep their order unless they are
    nearly alike; then they are put back into it.
    """
    if values.ndim == 2:
        return tuple(map(tuple, _vary_probs(values, bounds, rng).tolist()))
    common, each = rng.uniform(-1, 1), rng.uniform(-1, 1, len(values))
    shift = 0.6 * common + 0.4 * each
    if name in _SHARES:
        moved = _vary_shares(values, shift * bounds.log_odds)
    elif name in _LEVELS:
        moved = values + shift * bounds.units
    else:
        moved = values * np.exp(shift * bounds.log_scale)
    return tuple(_in_order_of(values, moved).tolist())


def _vary_shares(values: Floats, shift: Floats) -> Floats:
    inside = (values > 0) & (values < 1)
    odds = np.where(inside, values, 0.5) / (1 - np.where(inside, values, 0.5)) * np.exp(shift)
    return np.where(inside, odds / (1 + odds), values)


def _in_order_of(values: Floats, moved: Floats) -> Floats:
    """Reorder the moved values like the old ones; equal ones stay equal."""
    order = np.argsort(values, kind="stable")
    dealt = np.empty_like(moved)
    dealt[order] = np.sort(moved)
    return np.array([dealt[values == value].mean() for value in values])


def _vary_action(action: Action, bounds: Bounds, rng: np.random.Generator) -> Action:
    """Move cost and effects; an effect keeps its sign."""
    cost = action.cost * np.exp(rng.uniform(-bounds.log_scale, bounds.log_scale))
    effects = tuple(
        (move, shift * np.exp(rng.uniform(-bounds.units, bounds.units)))
        for move, shift in action.effects
    )
    shares = _vary_shares(
        np.array([prob for _, prob in action.adds]),
        rng.uniform(-bounds.log_odds, bounds.log_odds, len(action.adds)),
    )
    adds = tuple(zip((move for move, _ in action.adds), map(float, shares), strict=True))
    return Action(action.name, round(float(cost), 2), effects, _within_one(adds))


def _within_one(adds: Sequence[tuple]) -> tuple:
    """Keep the probability of leaving a stage by added moves at 0.9 or less."""
    leaving: dict[str, float] = {}
    for (stage, _), prob in adds:
        leaving[stage] = leaving.get(stage, 0.0) + prob
    return tuple(
        (move, prob * min(1.0, 0.9 / leaving[move[0]]) if leaving[move[0]] else prob)
        for move, prob in adds
    )
