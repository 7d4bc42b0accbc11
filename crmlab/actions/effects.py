"""Actions as specifications, and what they do to a transition matrix."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Bools, Floats
from crmlab.errors import SpecError, raise_problems
from crmlab.stages import MOVE_KINDS, Move, StageSpace

Pair = tuple[str, str]

STAY = "stay"


# Actions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Action:
    """Something a firm can do to a customer in a period, at a cost.

    Parameters
    ----------
    name : str
    cost : float
        Cost of one use [currency].
    effects : mapping of kind of move, or of (from, to), to float
        Log odds ratios. A kind ("forward", "repair", ..., or "stay") shifts all moves of that
        kind; a pair shifts one move. Where both apply to a move, they add up.
    adds : mapping of (from, to) to float
        Moves that are possible only under the action, each with its probability per period. The
        rest of the row is scaled down to make room; `effects` do not touch an added move.

    Raises
    ------
    SpecError
        The action is not consistent; the message lists all problems at once.

    Examples
    --------
    >>> from crmlab.stages import KNAPP
    >>> gift = Action("gift", cost=5.0, effects={"repair": 0.7, ("bonding", "bonding"): 0.2})
    >>> gift.log_odds(KNAPP)[KNAPP.index("avoiding"), KNAPP.index("initiating")]
    np.float64(0.7)
    >>> win_back = Action("win_back", cost=20.0, adds={("terminating", "initiating"): 0.05})
    >>> win_back.widen(KNAPP).absorbing
    ()
    """

    name: str
    cost: float = 0.0
    effects: Mapping[Any, float] | tuple[tuple[Any, float], ...] = ()
    adds: Mapping[Any, float] | tuple[tuple[Any, float], ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers, then keep mappings as tuples, so that actions compare by value."""
        effects, effect_problems = read_pairs("effects", self.effects)
        adds, add_problems = read_pairs("adds", self.adds)
        problems = [*_problems_of_name(self.name), *_problems_of_cost(self.cost)]
        problems += [*effect_problems, *add_problems]
        problems += [*_problems_of_effects(effects), *_problems_of_adds(adds)]
        raise_problems(SpecError, f"Action({self.name!r})", problems)
        object.__setattr__(self, "cost", float(self.cost))
        object.__setattr__(self, "effects", effects)
        object.__setattr__(self, "adds", adds)

    def log_odds(self, space: StageSpace) -> Floats:
        """Shift of each move, (K, K): log odds ratios against staying; 0 where nothing changes.

        Raises
        ------
        SpecError
            A pair names a stage that `space` does not have, or a move that it does not allow.
        """
        self._check_fit(space)
        shifts = np.zeros((len(space), len(space)))
        for key, shift in dict(self.effects).items():
            if isinstance(key, str):
                shifts[_moves_of_kind(space, key)] += shift
            else:
                shifts[space.index(key[0]), space.index(key[1])] += shift
        return shifts

    def additions(self, space: StageSpace) -> Floats:
        """Probability of each move that the action adds, (K, K); 0 elsewhere."""
        self._check_fit(space)
        added = np.zeros((len(space), len(space)))
        for (a, b), prob in dict(self.adds).items():
            added[space.index(a), space.index(b)] = prob
        return added

    def widen(self, space: StageSpace) -> StageSpace:
        """Return the space in which the moves that the action adds are also allowed."""
        self._check_fit(space)
        if space.moves is None or not self.adds:
            return space
        added = tuple(Move(a, b) for a, b in dict(self.adds))
        return StageSpace(space.names, space.phases, (*space.moves, *added))

    def _check_fit(self, space: StageSpace) -> None:
        pairs = {
            "effects": [key for key in dict(self.effects) if not isinstance(key, str)],
            "adds": list(dict(self.adds)),
        }
        problems = [
            f"`{name}` names the unknown stage {end!r}; the stages are {', '.join(space.names)}"
            for name, listed in pairs.items()
            for end in dict.fromkeys(end for pair in listed for end in pair)
            if end not in space.names
        ]
        if not problems:
            problems = list(_misplaced(space, pairs["effects"], pairs["adds"]))
        raise_problems(SpecError, f"Action({self.name!r})", problems)


def _misplaced(space: StageSpace, shifted: list[Pair], added: list[Pair]) -> Iterable[str]:
    allowed = {
        (space.names[i], space.names[j]) for i, j in np.argwhere(space.mask)
    }  # staying included
    for a, b in shifted:
        if (a, b) not in allowed:
            yield f"`effects` shifts {a!r} -> {b!r}, which cannot happen; put it into `adds`"
    for a, b in added:
        if (a, b) in allowed:
            yield f"`adds` adds {a!r} -> {b!r}, which can happen anyway; put it into `effects`"


def _moves_of_kind(space: StageSpace, kind: str) -> Bools:
    return np.eye(len(space), dtype=bool) if kind == STAY else space.kinds == kind


def read_pairs(name: str, given: Any) -> tuple[tuple, list[str]]:
    """Read a mapping, or pairs of key and value, as sorted-by-entry tuples of tuples."""
    items = given.items() if isinstance(given, Mapping) else given
    try:
        read = tuple(
            (key if isinstance(key, str) else tuple(map(str, key)), float(value))
            for key, value in items
        )
    except (TypeError, ValueError):
        return (), [f"`{name}` must map moves to numbers, got {given!r}"]
    keys = [key for key, _ in read]
    repeated = [key for key in dict.fromkeys(keys) if keys.count(key) > 1]
    problems = [f"`{name}` repeats {key!r}" for key in repeated]
    problems += [
        f"`{name}` must name moves as (from, to), got {key!r}"
        for key in keys
        if not isinstance(key, str) and len(key) != 2
    ]
    return (() if problems else read), problems


def _problems_of_name(name: object) -> Iterable[str]:
    if not isinstance(name, str) or not name:
        yield f"`name` must be a text that is not empty, got {name!r}"


def _problems_of_cost(cost: object) -> Iterable[str]:
    if not isinstance(cost, (int, float, np.number)) or not 0 <= cost < np.inf:
        yield f"`cost` must be finite and at least 0 [currency per use], got {cost!r}"


def _problems_of_effects(effects: tuple) -> Iterable[str]:
    kinds = (STAY, *MOVE_KINDS)
    for key, shift in effects:
        if isinstance(key, str) and key not in kinds:
            yield (
                f"`effects` must name kinds of move ({', '.join(kinds)}) or pairs (from, to), "
                f"got {key!r}"
            )
        if not np.isfinite(shift):
            yield f"`effects` must be finite log odds ratios, got {shift} for {key!r}"


def _problems_of_adds(adds: tuple) -> Iterable[str]:
    total: dict[str, float] = {}
    for key, prob in adds:
        if isinstance(key, str):
            yield f"`adds` must name moves as (from, to), got {key!r}"
            continue
        if not 0 <= prob < 1:
            yield f"`adds` must be probabilities of at least 0 and below 1, got {prob} for {key!r}"
        total[key[0]] = total.get(key[0], 0.0) + prob
    for stage, prob in total.items():
        if prob >= 1:
            yield f"`adds` leaves {stage!r} with probability {prob:.6g}, must be below 1 in all"


# Tilting ------------------------------------------------------------------------------------------


def tilt(matrix: ArrayLike, space: StageSpace, shift: Action | ArrayLike) -> Floats:
    """Transition matrix under an action, per period.

    Parameters
    ----------
    matrix : array_like of shape (..., K, K)
        Rows sum to 1; 0 where a move cannot happen.
    space : StageSpace
        K stages.
    shift : Action, or array_like of shape (..., K, K)
        An array holds log odds ratios against staying (ignored where `matrix` is 0). Its
        leading axes broadcast against those of `matrix`.

    Returns
    -------
    ndarray of shape (..., K, K)
        ``P[i, j] exp(e[i, j])``, each row divided by its sum; a row whose shifts are all 0 is the
        row of `matrix`, bit for bit.

    Raises
    ------
    SpecError
        The shapes do not fit, a shift is not finite, or the action does not fit the space.

    Examples
    --------
    >>> space = StageSpace(("dormant", "active"))
    >>> mail = Action("mail", effects={("dormant", "active"): np.log(2)})
    >>> tilt([[0.9, 0.1], [0.2, 0.8]], space, mail).round(4)
    array([[0.8182, 0.1818],
           [0.2   , 0.8   ]])
    """
    P = _read_square("matrix", matrix, len(space))
    if not isinstance(shift, Action):
        return _tilt_rows(P, _read_square("shift", shift, len(space)))
    added = shift.additions(space)
    tilted = _tilt_rows(P, shift.log_odds(space))
    room = 1 - added.sum(axis=-1, keepdims=True)
    return np.where(room < 1, tilted * room + added, tilted)


def _tilt_rows(P: Floats, shifts: Floats) -> Floats:
    shifts = np.where(P > 0, shifts, -np.inf)
    weights = P * np.exp(shifts - shifts.max(axis=-1, keepdims=True))
    is_same = ((shifts == 0) | (P == 0)).all(axis=-1, keepdims=True)
    return np.where(is_same, P, weights / weights.sum(axis=-1, keepdims=True))


def _read_square(name: str, values: ArrayLike, n_stages: int) -> Floats:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise SpecError(f"tilt: `{name}` must be an array of numbers ({error})") from error
    if array.ndim < 2 or array.shape[-2:] != (n_stages, n_stages):
        raise SpecError(
            f"tilt: `{name}` must have shape (..., {n_stages}, {n_stages}), got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise SpecError(f"tilt: `{name}` must hold finite numbers")
    return array


def action_matrices(matrix: ArrayLike, space: StageSpace, actions: Sequence[Action]) -> Floats:
    """Transition matrices without and with each action, (1 + n_actions, ..., K, K).

    Parameters
    ----------
    matrix : array_like of shape (..., K, K)
    space : StageSpace
    actions : sequence of Action

    Returns
    -------
    ndarray of shape (1 + n_actions, ..., K, K)
        First the matrix itself (no action), then one tilted matrix per action.

    Examples
    --------
    >>> space = StageSpace(("dormant", "active"))
    >>> mail = Action("mail", effects={"forward": 1.0})
    >>> action_matrices([[0.9, 0.1], [0.2, 0.8]], space, [mail])[:, 0, 1].round(3)
    array([0.1  , 0.232])
    """
    P = _read_square("matrix", matrix, len(space))
    return np.stack([P, *(tilt(P, space, action) for action in actions)])


def check_actions(owner: str, actions: Sequence[Action], space: StageSpace) -> None:
    """Raise `SpecError` unless all are actions with different names that fit the space."""
    strangers = [a for a in actions if not isinstance(a, Action)]
    problems = [f"`actions` must hold Actions, got {a!r}" for a in strangers]
    names = [a.name for a in actions if isinstance(a, Action)]
    problems += [
        f"action name {n!r} occurs twice" for n in dict.fromkeys(names) if names.count(n) > 1
    ]
    raise_problems(SpecError, owner, problems)
    for action in actions:
        action.log_odds(space)
