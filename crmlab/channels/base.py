"""The base class of channels: one definition that both simulates and scores an observation."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats, Ints
from crmlab.errors import SpecError, raise_problems
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    Parameters = Mapping[str, TensorVariable]


Compiled = Callable[[Callable], Callable]


class Rule(NamedTuple):
    """What a number must be, in words and as a test of an array."""

    words: str
    holds: Callable[[Floats], Bools]


REAL = Rule("finite", np.isfinite)
NOT_NEGATIVE = Rule("finite and at least 0", lambda x: (x >= 0) & np.isfinite(x))
POSITIVE = Rule("finite and above 0", lambda x: (x > 0) & np.isfinite(x))
SHARE = Rule("from 0 to 1", lambda x: (x >= 0) & (x <= 1))
POSITIVE_SHARE = Rule("above 0 and at most 1", lambda x: (x > 0) & (x <= 1))
OPEN_SHARE = Rule("above 0 and below 1", lambda x: (x > 0) & (x < 1))


@dataclass(frozen=True)
class Channel(ABC):
    """One kind of observation, per customer and period.

    A subclass is a frozen dataclass with three methods. Its parameters are the arguments of `dist`
    and those of `sample` after `u`. Each may be a field that is None if it is to be learned. All
    other methods have defaults; models, worlds and reports call them.

    Attributes
    ----------
    n_uniforms : int
        Uniforms that `sample` needs per observation.
    table : str
        Where a simulated observation is written: "events", "surveys" or "labels".
    names_stages : bool
        Whether a value is the index of a stage, which a panel may number in its own order.
    """

    name: str

    n_uniforms: ClassVar[int] = 1
    table: ClassVar[str] = "events"
    names_stages: ClassVar[bool] = False

    @abstractmethod
    def parameters(self, stages: StageSpace) -> "Parameters":
        """Unnamed PyMC priors of the parameters, one value per stage."""

    @abstractmethod
    def dist(self, *args: Any, **parameters: Any) -> "TensorVariable":
        """Give the unnamed PyMC distribution of one observation."""

    @abstractmethod
    def sample(self, u: Floats, *args: Any, **parameters: Any) -> Floats:
        """Observations at the uniforms `u`: the inverse distribution function."""

    def sampler(self, compiled: Compiled) -> Callable[[Floats, Ints], Floats]:
        """Prepare `sample`, every parameter given, for many customers in one stage each.

        Parameters
        ----------
        compiled : callable
            Compiles a loop, for a channel that samples faster with one.

        Returns
        -------
        callable
            From uniforms and stages (N,) to observations (N,): bit for bit those of `sample`.
        """
        known = self.known
        return lambda u, stages: self.sample(u, **{n: v[stages] for n, v in known.items()})

    def supports(self, values: Floats) -> Bools:
        """Whether each value can occur; by default, any finite number can."""
        return np.isfinite(values)

    @property
    def support(self) -> str:
        """The rule of `supports` in words."""
        return "a finite number"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of `sample`."""
        return tuple(inspect.signature(self.sample).parameters)[1:]

    @property
    def ordering_parameters(self) -> tuple[str, ...]:
        """Parameters that may rise from stage to stage: those with one number per stage."""
        return self.parameter_names

    def always_answered(self) -> "Channel":
        """Return the same channel without its own non-response."""
        return self

    def mean(self, *args: Any, **parameters: Any) -> Any:
        """Mean of an observation, given arrays of the parameters."""
        raise SpecError(f"{type(self).__name__}({self.name!r}) has no mean")

    def tells_stages(self, stages: StageSpace) -> bool:
        """Whether given or typical values, stage by stage, tie the stages to their names."""
        return any(len(set(value)) > 1 for value in _said_per_stage(self, stages))

    def tells_apart(self, stages: StageSpace) -> bool:
        """Whether given or typical values differ between coming together and coming apart."""
        together = np.array([phase == "together" for phase in stages.phases])
        return any(
            set(np.asarray(value)[together]) != set(np.asarray(value)[~together])
            for value in _said_per_stage(self, stages)
        )

    @property
    def known(self) -> dict[str, Floats]:
        """The parameters that are given, as arrays with the stage axis first."""
        given = {name: vars(self).get(name) for name in self.parameter_names}
        return {n: np.asarray(v, dtype=float) for n, v in given.items() if v is not None}


def check_channels(owner: str, channels: Sequence[Channel], stages: StageSpace) -> None:
    """Raise `SpecError` unless names are unique and values by stage fit the stages."""
    names = [channel.name for channel in channels]
    problems = [
        f"channel name {n!r} occurs twice" for n in sorted(set(names)) if names.count(n) > 1
    ]
    problems += slash_problems("channel name", names)
    problems += [
        f"`{field}` of channel {channel.name!r} must have one value per stage "
        f"({len(stages)}: {', '.join(stages.names)}), got {len(np.atleast_1d(value))}"
        for channel in channels
        for field, value in _given_per_stage(channel).items()
        if np.shape(value)[:1] != (len(stages),)
    ]
    raise_problems(SpecError, owner, problems)


def slash_problems(what: str, names: Sequence[str]) -> list[str]:
    """Say which names cannot name a variable of a posterior.

    Examples
    --------
    >>> slash_problems("channel name", ["visits", "shop/web"])
    ["channel name 'shop/web' has a slash, which separates the groups of a posterior: rename it"]
    """
    return [
        f"{what} {name!r} has a slash, which separates the groups of a posterior: rename it"
        for name in names
        if "/" in name
    ]


def _said_per_stage(channel: Channel, stages: StageSpace) -> list[tuple]:
    """Collect given parameters and typical values that have one entry per stage."""
    names = channel.parameter_names
    values = (v for k, v in vars(channel).items() if k in names or k.startswith("typical_"))
    return [v for v in values if isinstance(v, tuple) and len(v) == len(stages)]


def _given_per_stage(channel: Channel) -> dict[str, ArrayLike]:
    """Collect known parameters, and typical values unless one serves all stages."""
    values = vars(channel).items()
    typical = {k: v for k, v in values if k.startswith("typical_") and np.ndim(v) > 0}
    return {**channel.known, **typical}


def check_fields(channel: Channel, rules: Mapping[str, Rule], *more_problems: str) -> None:
    """Refuse fields that break their rules, all at once; None is always allowed."""
    broken = [
        f"`{name}` must be {rule.words}, got {value!r}"
        for name, rule in rules.items()
        if (value := vars(channel)[name]) is not None and not _keeps(rule, value)
    ]
    raise_problems(
        SpecError, f"{type(channel).__name__}({channel.name!r})", [*broken, *more_problems]
    )


def _keeps(rule: Rule, value: ArrayLike) -> bool:
    try:
        return bool(np.all(rule.holds(np.asarray(value, dtype=float))))
    except (TypeError, ValueError):  # text, or rows of different lengths
        return False


def batch_shape(size: tuple[int, ...] | None, *parameters: NDArray) -> tuple[int, ...]:
    """Shape of the draws: PyMC gives no size where the parameters imply it."""
    return np.broadcast_shapes(*map(np.shape, parameters)) if size is None else size


def freeze(channel: Channel) -> None:
    """Turn array fields into nested tuples, so that channels compare and hash by value."""
    for name, value in vars(channel).items():
        object.__setattr__(channel, name, _as_tuple(value))


def _as_tuple(value: object) -> object:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(map(_as_tuple, value)) if isinstance(value, (list, tuple)) else value
