"""Relationship stages, and the moves between them that a theory allows.

A *stage* is what a relationship means at one moment. A stage space lists K stages and says

* the **phase** of each: partners come *together*, or they come *apart*;
* the **moves** that may happen from one period to the next, each with its kind.

Staying is always allowed, so a space is a K x K mask with a true diagonal: the zeros of every
transition matrix P that respects the theory, P[i, j] = 0 where mask[i, j] is false.

**Knapp's staircase** (`KNAPP`; Knapp 1978) has five treads. Relationships climb on one side and
descend on the other, and two stages share each tread, or *column* c:

    column        1             2               3              4               5
    together  initiating    experimenting   intensifying   integrating     bonding
    apart     terminating   avoiding        stagnating     circumscribing  differentiating

Its first three movement rules (movement is mostly step by step; it may go forward; it may go
back) become kinds of move:

    forward   to the next stage of the same phase
    back      to the previous stage of the same phase
    skip      two treads up at once while coming together ("an uncertain gamble")
    drop      two treads back at once: in no space of Knapp's, but where every move is allowed
    cross     from together at column c to apart at column c or c + 1, and from column 2 up also
              to differentiating, where coming apart starts
    repair    from apart at column c back to together at column c or c - 1
    exit      from anywhere to terminating, which is never left

The other two rules (relationships dwell within a stage; a stage is never the same on return) are
about memory. A mask cannot express them: they belong to the dynamics of a world or a model.

**Rival spaces** describe the same customers in other words. A `Crosswalk` translates stage by
stage. Each rival space here allows every move that a translated Knapp journey can make.

Classes and checks:

* `StageSpace`: stages, phases and allowed moves
* `Move`: an allowed move and its kind
* `Crosswalk`: a translation from one space to another
* `check_transition_matrix`: raise unless a matrix respects a space
* `PHASES`: the two phases
* `MOVE_KINDS`: the kinds of move

Spaces and their translations:

* `KNAPP`: Knapp's ten stages
* `LIFECYCLE`: the five stages of Dwyer, Schurr and Oh
* `LIFECYCLE_EXPLORATION_FIRST`: the same five, with exploration before awareness
* `SIX_STAGE`: DeVito's six stages, of which one is repair
* `KNAPP_MERGED`: Knapp's stages with the last four merged in pairs
* `KNAPP_TO_LIFECYCLE`: from Knapp's stages to `LIFECYCLE`
* `KNAPP_TO_SIX_STAGE`: from Knapp's stages to `SIX_STAGE`
* `KNAPP_TO_MERGED`: from Knapp's stages to `KNAPP_MERGED`

An example to compute with, invented for teaching:

* `K10`: a quarterly transition matrix of Knapp's stages
* `K10_MARGINS`: the margin per quarter in each of them

References
----------
Knapp (1978), Social Intercourse: From Greeting to Goodbye. Allyn and Bacon.
Dwyer, Schurr and Oh (1987), "Developing buyer-seller relationships", J. Marketing 51(2), 11-27.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats, Ints
from crmlab.errors import SpecError, raise_problems, wrong

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "K10", "K10_MARGINS", "KNAPP", "KNAPP_MERGED", "KNAPP_TO_LIFECYCLE", "KNAPP_TO_MERGED",
    "KNAPP_TO_SIX_STAGE", "LIFECYCLE", "LIFECYCLE_EXPLORATION_FIRST", "MOVE_KINDS", "PHASES",
    "SIX_STAGE", "Crosswalk", "Move", "StageSpace", "check_transition_matrix",
]  # fmt: skip

PHASES = ("together", "apart")
MOVE_KINDS = ("forward", "back", "skip", "drop", "cross", "repair", "exit")


class Move(NamedTuple):
    """One allowed move between two different stages.

    Parameters
    ----------
    stage_from, stage_to : str
        Names of stages.
    kind : str, optional
        One of 'forward', 'back', 'skip', 'drop', 'cross', 'repair', 'exit'. A space fills in a
        kind that is left out (see `StageSpace`).

    Examples
    --------
    >>> Move("stagnating", "experimenting", "repair").kind
    'repair'
    """

    stage_from: str
    stage_to: str
    kind: str = ""


@dataclass(frozen=True)
class StageSpace:
    """The stages of a relationship and the moves between them that are possible.

    Parameters
    ----------
    names : sequence of K str
        The stages, in the order of the relationship's course. All arrays use this order.
    phases : sequence of K str, optional
        'together' or 'apart' for each stage; all 'together' if left out.
    moves : sequence of `Move`, (from, to) or (from, to, kind), optional
        What may happen besides staying. If left out (None), every move is allowed.
        A missing kind follows from the position: 'exit' into a stage that no move leaves, 'cross'
        from together to apart, 'repair' from apart to together, and within a phase 'forward' or
        'back' by one listed stage, 'skip' forward or 'drop' back by more.

    Raises
    ------
    SpecError
        Names are missing or repeat, a phase or a kind does not exist, the phases are not K, or a
        move names an unknown stage, repeats, or goes nowhere. All problems at once.

    Examples
    --------
    >>> space = StageSpace(("new", "loyal", "lost"), moves=(("new", "loyal"), ("loyal", "lost")))
    >>> space.mask.astype(int)
    array([[1, 1, 0],
           [0, 1, 1],
           [0, 0, 1]])
    >>> space.absorbing
    ('lost',)
    >>> space.move_kind("loyal", "lost")
    'exit'
    """

    names: tuple[str, ...]
    phases: tuple[str, ...] = ()
    moves: Sequence[tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        """Check everything, then complete phases and kinds."""
        names = _as_tuple(self.names)
        phases = _as_tuple(self.phases or ()) or ("together",) * len(names)
        moves = None if self.moves is None else _as_tuple(self.moves)
        problems = [
            *_problems_of_names(names),
            *_problems_of_phases(phases, len(names)),
            *_problems_of_moves(moves or (), names),
        ]
        raise_problems(SpecError, "StageSpace", problems)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "phases", phases)
        object.__setattr__(self, "moves", moves and _with_kinds(moves, names, phases))

    def __len__(self) -> int:
        """Count the stages."""
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of the stage called `name`, from 0.

        Parameters
        ----------
        name : str

        Returns
        -------
        int

        Raises
        ------
        SpecError
            No stage has this name.

        Examples
        --------
        >>> KNAPP.index("bonding")
        4
        """
        if name not in self.names:
            raise SpecError(f"no stage is called {name!r}; the stages are {', '.join(self.names)}")
        return self.names.index(name)

    @cached_property
    def kinds(self) -> NDArray[np.object_]:
        """Kind of each move, (K, K) of str; '' for staying and for forbidden moves."""
        kinds = np.full((len(self), len(self)), "", dtype=object)
        moves = _all_moves(self.names, self.phases) if self.moves is None else self.moves
        for stage_from, stage_to, kind in moves:
            kinds[self.index(stage_from), self.index(stage_to)] = kind
        return _read_only(kinds)

    @cached_property
    def mask(self) -> Bools:
        """Whether each move (row to column) is allowed, (K, K) of bool; staying always is."""
        return _read_only((self.kinds != "") | np.eye(len(self), dtype=bool))

    @cached_property
    def absorbing(self) -> tuple[str, ...]:
        """Names of the stages that are never left."""
        is_absorbing = self.mask.sum(axis=1) == 1
        return tuple(name for name, ends in zip(self.names, is_absorbing, strict=True) if ends)

    @property
    def coords(self) -> dict[str, list[str]]:
        """Coordinates of the dimension `stage`, as PyMC and xarray take them."""
        return {"stage": list(self.names)}

    def move_kind(self, stage_from: str, stage_to: str) -> str:
        """Kind of the move between two stages; '' for staying and for forbidden moves.

        Parameters
        ----------
        stage_from, stage_to : str

        Returns
        -------
        str

        Raises
        ------
        SpecError
            No stage has this name.

        Examples
        --------
        >>> KNAPP.move_kind("integrating", "differentiating")
        'cross'
        """
        return self.kinds[self.index(stage_from), self.index(stage_to)]

    def order_groups(self) -> tuple[tuple[int, ...], ...]:
        """List stage indices in ascending intensity, one group for each phase that occurs.

        Coming together, intensity rises in the listed order; coming apart it falls, so those
        stages are reversed. Stages of different groups are not ordered against each other.

        Returns
        -------
        tuple of tuples of int

        Examples
        --------
        >>> KNAPP.order_groups()
        ((0, 1, 2, 3, 4), (9, 8, 7, 6, 5))
        """
        together = tuple(i for i, phase in enumerate(self.phases) if phase == "together")
        apart = tuple(i for i, phase in enumerate(self.phases) if phase == "apart")
        return tuple(group for group in (together, apart[::-1]) if group)

    def graph(self) -> "nx.DiGraph":
        """Return the space as a directed graph: nodes with `phase`, edges with `kind`.

        Returns
        -------
        networkx.DiGraph
            Stages in listed order; staying is not drawn.

        Examples
        --------
        >>> graph = KNAPP.graph()
        >>> graph.nodes["avoiding"]["phase"], graph.edges["avoiding", "initiating"]["kind"]
        ('apart', 'repair')
        """
        import networkx as nx

        graph = nx.DiGraph()
        for name, phase in zip(self.names, self.phases, strict=True):
            graph.add_node(name, phase=phase)
        for i, j in np.argwhere(self.kinds != ""):
            graph.add_edge(self.names[i], self.names[j], kind=self.kinds[i, j])
        return graph


@dataclass(frozen=True)
class Crosswalk:
    """A translation from one stage space to another, stage by stage.

    Parameters
    ----------
    space_from, space_to : StageSpace
    pairs : sequence of (str, str), or mapping of str to str
        (stage of `space_from`, stage of `space_to`). Every stage of `space_from` is translated
        exactly once; a stage of `space_to` may receive several stages, or none.

    Raises
    ------
    SpecError
        A name is unknown, or a stage is translated twice or not at all. All problems at once.

    Examples
    --------
    >>> KNAPP_TO_LIFECYCLE.labels[:5]
    ('awareness', 'exploration', 'expansion', 'expansion', 'commitment')
    >>> KNAPP_TO_LIFECYCLE.matrix.sum(axis=0)
    array([1, 1, 2, 1, 5])
    """

    space_from: StageSpace
    space_to: StageSpace
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        """Check that the pairs map each stage of one space to one stage of the other."""
        pairs = self.pairs.items() if isinstance(self.pairs, Mapping) else self.pairs
        pairs = tuple((str(a), str(b)) for a, b in pairs)
        raise_problems(SpecError, "Crosswalk", _problems_of_pairs(pairs, self))
        object.__setattr__(self, "pairs", pairs)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Stage of `space_to` for each stage of `space_from`, in order: the blocks for `lump`."""
        translation = dict(self.pairs)
        return tuple(translation[name] for name in self.space_from.names)

    @cached_property
    def matrix(self) -> Ints:
        """Whether a stage (row) becomes a stage (column), (K_from, K_to) of 0 and 1.

        Stage probabilities translate by a product: `probs_to = probs_from @ matrix`.
        """
        matrix = np.zeros((len(self.space_from), len(self.space_to)), dtype=np.int64)
        for i, label in enumerate(self.labels):
            matrix[i, self.space_to.index(label)] = 1
        return _read_only(matrix)


def check_transition_matrix(space: StageSpace, matrix: ArrayLike) -> Floats:
    """Check that a matrix holds transition probabilities of a stage space, per period.

    Parameters
    ----------
    space : StageSpace
        K stages.
    matrix : array_like of shape (K, K)
        P[i, j] = probability of stage j in the next period, given stage i in this one.

    Returns
    -------
    ndarray of shape (K, K)
        The matrix as floats.

    Raises
    ------
    SpecError
        The shape is wrong, an entry is not finite or is negative, a row does not sum to 1, or a
        move that the space does not allow has a probability. All problems at once.

    Examples
    --------
    >>> space = StageSpace(("loyal", "lost"), moves=(("loyal", "lost"),))
    >>> check_transition_matrix(space, [[0.9, 0.1], [0.2, 0.7]])
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: transition_matrix: 2 problems
      - row 'lost' sums to 0.9, must be 1
      - 'lost' -> 'loyal' has probability 0.2, but the stage space does not allow this move
    """
    try:
        P = np.array(matrix, dtype=float)
    except (TypeError, ValueError) as error:
        raise SpecError(f"`transition_matrix` must hold numbers only ({error})") from error
    expected = (len(space), len(space))
    if P.shape != expected:
        raise SpecError(
            f"`transition_matrix` must have shape {expected}, one row and one column per stage, "
            f"got {P.shape}"
        )
    raise_problems(SpecError, "transition_matrix", _problems_of_probabilities(space, P))
    return P


def _problems_of_probabilities(space: StageSpace, P: Floats) -> list[str]:
    names = space.names
    not_finite = ~np.isfinite(P)
    sums = np.where(not_finite.any(axis=1), 1.0, P.sum(axis=1))
    return [
        *(f"{_arrow(names, ij)} is {P[ij]}, must be a number" for ij in _where(not_finite)),
        *(f"{_arrow(names, ij)} is {P[ij]:.6g}, must not be negative" for ij in _where(P < 0)),
        *(
            f"row {names[i]!r} sums to {sums[i]:.10g}, must be 1"
            for (i,) in _where(np.abs(sums - 1) > 1e-8)
        ),
        *(
            f"{_arrow(names, ij)} has probability {P[ij]:.6g}, but the stage space does not allow "
            "this move"
            for ij in _where((P > 0) & ~space.mask)
        ),
    ]


def _where(condition: Bools) -> list[tuple[int, ...]]:
    return [tuple(map(int, index)) for index in np.argwhere(condition)]


def _arrow(names: Sequence[str], ij: tuple[int, ...]) -> str:
    return f"{names[ij[0]]!r} -> {names[ij[1]]!r}"


def _as_tuple(values: Iterable) -> tuple:
    # A bare string is probably meant as a one-element tuple, and would split into letters.
    return (values,) if isinstance(values, str) else tuple(values)


def _read_only(array: NDArray) -> NDArray:
    array.setflags(write=False)
    return array


def _repeated[T](values: Sequence[T]) -> list[T]:
    return [value for value in dict.fromkeys(values) if values.count(value) > 1]


def _problems_of_names(names: tuple) -> list[str]:
    if not names:
        return ["`names` must list at least one stage"]
    empty = [name for name in names if not isinstance(name, str) or not name]
    if empty:
        return [wrong("names", "non-empty strings", name) for name in empty]
    return [f"`names` must be unique, but {name!r} repeats" for name in _repeated(names)]


def _problems_of_phases(phases: tuple, n_stages: int) -> list[str]:
    problems = []
    if len(phases) != n_stages:
        problems.append(f"`phases` must give one phase per stage ({n_stages}), got {len(phases)}")
    unknown = [phase for phase in dict.fromkeys(phases) if phase not in PHASES]
    return problems + [wrong("phases", "'together' or 'apart'", phase) for phase in unknown]


def _problems_of_moves(moves: tuple, names: tuple) -> list[str]:
    problems = [
        f"`moves` must be (from, to) or (from, to, kind), got {move!r}"
        for move in moves
        if not isinstance(move, (tuple, list)) or len(move) not in (2, 3)
    ]
    if problems:
        return problems
    ends = [tuple(move[:2]) for move in moves]
    return [
        *(f"moves repeat {a!r} -> {b!r}" for a, b in _repeated(ends)),
        *(f"moves name the unknown stage {end!r}" for end in _unknown(ends, names)),
        *(f"moves contain {a!r} -> {b!r}: staying is always allowed" for a, b in ends if a == b),
        *_problems_of_kinds(moves),
    ]


def _problems_of_kinds(moves: tuple) -> list[str]:
    kinds = dict.fromkeys(move[2] for move in moves if len(move) == 3 and move[2] != "")
    return [
        f"the kind of a move must be one of {', '.join(MOVE_KINDS)}; got {kind!r}"
        for kind in kinds
        if kind not in MOVE_KINDS
    ]


def _unknown(ends: Iterable[tuple[str, str]], names: tuple) -> list[str]:
    return [end for end in dict.fromkeys(end for pair in ends for end in pair) if end not in names]


def _problems_of_pairs(pairs: tuple[tuple[str, str], ...], crosswalk: Crosswalk) -> list[str]:
    sources = [a for a, _ in pairs]
    known_from, known_to = crosswalk.space_from.names, crosswalk.space_to.names
    missing = [name for name in known_from if name not in sources]
    unknown_from = [a for a in dict.fromkeys(sources) if a not in known_from]
    unknown_to = [b for b in dict.fromkeys(b for _, b in pairs) if b not in known_to]
    return [
        *(f"space_from has no stage {a!r}" for a in unknown_from),
        *(f"space_to has no stage {b!r}" for b in unknown_to),
        *(f"{a!r} is translated more than once" for a in _repeated(sources)),
        *(f"{a!r} is not translated" for a in missing),
    ]


def _with_kinds(moves: tuple, names: tuple[str, ...], phases: tuple[str, ...]) -> tuple[Move, ...]:
    left = {move[0] for move in moves}
    ends = frozenset(name for name in names if name not in left)
    stated = (Move(*move) for move in moves)
    return tuple(
        move if move.kind else move._replace(kind=_kind_by_position(move, names, phases, ends))
        for move in stated
    )


def _all_moves(names: tuple[str, ...], phases: tuple[str, ...]) -> tuple[Move, ...]:
    return _with_kinds(tuple(permutations(names, 2)), names, phases)


def _kind_by_position(
    move: Move, names: tuple[str, ...], phases: tuple[str, ...], ends: frozenset[str]
) -> str:
    i, j = names.index(move.stage_from), names.index(move.stage_to)
    if move.stage_to in ends:
        return "exit"
    if phases[i] != phases[j]:
        return "cross" if phases[i] == "together" else "repair"
    return {1: "forward", -1: "back"}.get(j - i, "skip" if i < j else "drop")


# ---------------------------------------------------------------------------------------------
# Knapp's staircase
# ---------------------------------------------------------------------------------------------

_TOGETHER = ("initiating", "experimenting", "intensifying", "integrating", "bonding")
_APART = ("differentiating", "circumscribing", "stagnating", "avoiding", "terminating")
_COLUMN = {name: c for c, name in enumerate(_TOGETHER, start=1)} | {
    name: c for c, name in enumerate(reversed(_APART), start=1)
}


def _knapp_kind(stage_from: str, stage_to: str) -> str:
    """Apply the movement rules of the module docstring; '' if none allows the move."""
    if stage_from == "terminating":
        return ""
    if stage_to == "terminating":
        return "exit"
    was_together, is_together = stage_from in _TOGETHER, stage_to in _TOGETHER
    if was_together != is_together:
        return _cross(stage_from, stage_to) if was_together else _repair(stage_from, stage_to)
    step = (_COLUMN[stage_to] - _COLUMN[stage_from]) * (1 if was_together else -1)
    return {1: "forward", -1: "back", 2: "skip" if was_together else ""}.get(step, "")


def _cross(stage_from: str, stage_to: str) -> str:
    column = _COLUMN[stage_from]
    starts_apart = stage_to == "differentiating" and column >= 2
    return "cross" if starts_apart or _COLUMN[stage_to] - column in (0, 1) else ""


def _repair(stage_from: str, stage_to: str) -> str:
    return "repair" if _COLUMN[stage_from] - _COLUMN[stage_to] in (0, 1) else ""


def _knapp_moves() -> tuple[Move, ...]:
    moves = (Move(a, b, _knapp_kind(a, b)) for a, b in permutations(_TOGETHER + _APART, 2))
    return tuple(move for move in moves if move.kind)


KNAPP = StageSpace(_TOGETHER + _APART, ("together",) * 5 + ("apart",) * 5, _knapp_moves())
"""Knapp's staircase: ten stages, five coming together and five coming apart."""


# ---------------------------------------------------------------------------------------------
# Rival spaces and their translations
# ---------------------------------------------------------------------------------------------


def _translate_moves(labels: Sequence[str]) -> tuple[Move, ...]:
    """Collect the moves that a translated Knapp journey can make, each with its simplest kind."""
    word = dict(zip(KNAPP.names, labels, strict=True))
    moves = [Move(word[a], word[b], kind) for a, b, kind in _knapp_moves()]
    plainest_last = sorted(moves, key=lambda move: -MOVE_KINDS.index(move.kind))
    kinds = {(m.stage_from, m.stage_to): m.kind for m in plainest_last}
    return tuple(Move(a, b, kind) for (a, b), kind in sorted(kinds.items()) if a != b)


_DISSOLUTION = ("dissolution",) * 5
_LIFECYCLE_LABELS = (
    *("awareness", "exploration", "expansion", "expansion", "commitment"),
    *_DISSOLUTION,
)
_EXPLORATION_FIRST_LABELS = (
    *("exploration", "awareness", "expansion", "expansion", "commitment"),
    *_DISSOLUTION,
)
_SIX_STAGE_LABELS = (
    *("contact", "involvement", "involvement", "intimacy", "intimacy"),
    *("deterioration", "deterioration", "deterioration", "dissolution", "dissolution"),
)
_MERGED_LABELS = (
    *_TOGETHER,
    *("differentiating", "circumscribing_stagnating", "circumscribing_stagnating"),
    *("avoiding_terminating", "avoiding_terminating"),
)
# In the six-stage model repair is a stage of its own, where Knapp has only moves.
_THROUGH_REPAIR = (
    Move("deterioration", "repair", "forward"),
    Move("dissolution", "repair", "back"),
    Move("repair", "deterioration", "back"),
    Move("repair", "dissolution", "exit"),
    Move("repair", "contact", "repair"),
    Move("repair", "involvement", "repair"),
    Move("repair", "intimacy", "repair"),
)

LIFECYCLE = StageSpace(
    ("awareness", "exploration", "expansion", "commitment", "dissolution"),
    ("together",) * 4 + ("apart",),
    _translate_moves(_LIFECYCLE_LABELS),
)
"""The five stages of Dwyer, Schurr and Oh (1987). Dissolution is a process here, not an end."""

LIFECYCLE_EXPLORATION_FIRST = StageSpace(
    ("exploration", "awareness", "expansion", "commitment", "dissolution"),
    ("together",) * 4 + ("apart",),
    _translate_moves(_EXPLORATION_FIRST_LABELS),
)
"""The same five stages in the order of one source document: exploration before awareness."""

SIX_STAGE = StageSpace(
    ("contact", "involvement", "intimacy", "deterioration", "repair", "dissolution"),
    ("together",) * 3 + ("apart",) * 3,
    _translate_moves(_SIX_STAGE_LABELS) + _THROUGH_REPAIR,
)
"""DeVito's six stages: repair is a stage, which no Knapp stage translates into."""

KNAPP_MERGED = StageSpace(
    tuple(dict.fromkeys(_MERGED_LABELS)),
    ("together",) * 5 + ("apart",) * 3,
    _translate_moves(_MERGED_LABELS),
)
"""Knapp's staircase with its last four stages merged in pairs: eight stages."""

KNAPP_TO_LIFECYCLE = Crosswalk(
    KNAPP, LIFECYCLE, tuple(zip(KNAPP.names, _LIFECYCLE_LABELS, strict=True))
)
"""Initiating makes aware; intensifying and integrating expand; bonding commits."""

KNAPP_TO_SIX_STAGE = Crosswalk(
    KNAPP, SIX_STAGE, tuple(zip(KNAPP.names, _SIX_STAGE_LABELS, strict=True))
)
"""Avoiding is already dissolution (partners part company); nothing becomes the stage repair."""

KNAPP_TO_MERGED = Crosswalk(
    KNAPP, KNAPP_MERGED, tuple(zip(KNAPP.names, _MERGED_LABELS, strict=True))
)
"""Circumscribing joins stagnating, avoiding joins terminating."""


# ---------------------------------------------------------------------------------------------
# The teaching matrix
# ---------------------------------------------------------------------------------------------

_K10_ROWS: dict[str, dict[str, float]] = {
    "initiating": {
        "initiating": 0.45,
        "experimenting": 0.35,
        "intensifying": 0.03,
        "avoiding": 0.02,
        "terminating": 0.15,
    },
    "experimenting": {
        "initiating": 0.05,
        "experimenting": 0.45,
        "intensifying": 0.30,
        "integrating": 0.03,
        "differentiating": 0.02,
        "stagnating": 0.05,
        "terminating": 0.10,
    },
    "intensifying": {
        "experimenting": 0.08,
        "intensifying": 0.50,
        "integrating": 0.30,
        "bonding": 0.02,
        "differentiating": 0.07,
        "terminating": 0.03,
    },
    "integrating": {
        "intensifying": 0.04,
        "integrating": 0.66,
        "bonding": 0.18,
        "differentiating": 0.10,
        "terminating": 0.02,
    },
    "bonding": {
        "integrating": 0.06,
        "bonding": 0.86,
        "differentiating": 0.07,
        "terminating": 0.01,
    },
    "differentiating": {
        "integrating": 0.14,
        "bonding": 0.06,
        "differentiating": 0.50,
        "circumscribing": 0.25,
        "terminating": 0.05,
    },
    "circumscribing": {
        "intensifying": 0.08,
        "differentiating": 0.07,
        "circumscribing": 0.50,
        "stagnating": 0.28,
        "terminating": 0.07,
    },
    "stagnating": {
        "experimenting": 0.05,
        "circumscribing": 0.05,
        "stagnating": 0.55,
        "avoiding": 0.25,
        "terminating": 0.10,
    },
    "avoiding": {
        "initiating": 0.04,
        "stagnating": 0.04,
        "avoiding": 0.47,
        "terminating": 0.45,
    },
    "terminating": {"terminating": 1.0},
}

K10 = _read_only(
    check_transition_matrix(
        KNAPP, [[_K10_ROWS[a].get(b, 0.0) for b in KNAPP.names] for a in KNAPP.names]
    )
)
"""A quarterly transition matrix of the ten Knapp stages: invented for teaching, not published."""

K10_MARGINS = _read_only(np.array([-2.0, -1.0, 4.0, 20.0, 35.0, 15.0, 8.0, 3.0, 0.0, 0.0]))
"""Margins that go with `K10`, in currency units per customer and quarter: invented as well."""
