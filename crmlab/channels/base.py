"""What every channel is: one definition that simulates an observation and also scores it."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats
from crmlab.errors import SpecError, raise_problems
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    Parameters = Mapping[str, TensorVariable]


class Rule(NamedTuple):
    """What a number must be, in words and as a test of an array."""

    words: str
    holds: Callable[[Floats], Bools]


REAL = Rule("finite", np.isfinite)
NOT_NEGATIVE = Rule("finite and at least 0", lambda x: (x >= 0) & np.isfinite(x))
POSITIVE = Rule("finite and above 0", lambda x: (x > 0) & np.isfinite(x))
SHARE = Rule("from 0 to 1", lambda x: (x >= 0) & (x <= 1))
OPEN_SHARE = Rule("above 0 and below 1", lambda x: (x > 0) & (x < 1))


@dataclass(frozen=True)
class Channel(ABC):
    """One kind of observation, per customer and period.

    A subclass is a frozen dataclass with three methods. It names its parameters: they are the
    arguments of `dist`, those of `sample` after `u`, and each may be a field that is None while
    it is to be learned.

    Attributes
    ----------
    n_uniforms : int
        Uniforms that `sample` needs per observation.
    table : str
        Where a simulated observation is written: "events", "surveys" or "labels".
    """

    name: str

    n_uniforms: ClassVar[int] = 1
    table: ClassVar[str] = "events"

    @abstractmethod
    def parameters(self, stages: StageSpace) -> "Parameters":
        """Unnamed PyMC priors of the parameters, one value per stage."""

    @abstractmethod
    def dist(self, *args: Any, **parameters: Any) -> "TensorVariable":
        """Give the unnamed PyMC distribution of one observation."""

    @abstractmethod
    def sample(self, u: Floats, *args: Any, **parameters: Any) -> Floats:
        """Observations at the uniforms `u`: the inverse distribution function."""

    def supports(self, values: Floats) -> Bools:
        """Whether each value can occur; unless refined, any finite number."""
        return np.isfinite(values)

    @property
    def support(self) -> str:
        """The rule of `supports` in words."""
        return "a finite number"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of `sample`."""
        return tuple(inspect.signature(self.sample).parameters)[1:]

    def tells_stages(self, stages: StageSpace) -> bool:
        """Whether something said beforehand, stage by stage, ties the stages to their names."""
        return any(len(set(value)) > 1 for value in self._said_per_stage(stages))

    def tells_apart(self, stages: StageSpace) -> bool:
        """Whether what is said beforehand differs between coming together and coming apart."""
        together = np.array([phase == "together" for phase in stages.phases])
        return any(
            set(np.asarray(value)[together]) != set(np.asarray(value)[~together])
            for value in self._said_per_stage(stages)
        )

    def _said_per_stage(self, stages: StageSpace) -> list[tuple]:
        """Collect given parameters and typical values that have one entry per stage."""
        values = [
            getattr(self, field.name)
            for field in fields(self)
            if field.name in self.parameter_names or field.name.startswith("typical_")
        ]
        return [v for v in values if isinstance(v, tuple) and len(v) == len(stages)]

    @property
    def known(self) -> dict[str, Floats]:
        """The parameters that are given, as arrays with the stage axis first."""
        given = {name: getattr(self, name, None) for name in self.parameter_names}
        return {
            name: np.asarray(value, dtype=float)
            for name, value in given.items()
            if value is not None
        }


def check_channels(owner: str, channels: Sequence[Channel], stages: StageSpace) -> None:
    """Raise `SpecError` unless names are unique and what is said stage by stage fits the stages."""
    names = [channel.name for channel in channels]
    problems = [
        f"channel name {n!r} occurs twice" for n in sorted(set(names)) if names.count(n) > 1
    ]
    problems += [
        f"`{field}` of channel {channel.name!r} must have one value per stage "
        f"({len(stages)}: {', '.join(stages.names)}), got {len(np.atleast_1d(value))}"
        for channel in channels
        for field, value in _given_per_stage(channel).items()
        if np.shape(value)[:1] != (len(stages),)
    ]
    raise_problems(SpecError, owner, problems)


def _given_per_stage(channel: Channel) -> dict[str, ArrayLike]:
    """Collect known parameters, and typical values unless one serves all stages."""
    typical = {
        field.name: getattr(channel, field.name)
        for field in fields(channel)
        if field.name.startswith("typical_") and np.ndim(getattr(channel, field.name)) > 0
    }
    return {**channel.known, **typical}


def check_fields(channel: Channel, rules: Mapping[str, Rule], *more_problems: str) -> None:
    """Refuse fields that break their rules, all of them at once; None is always fine."""
    broken = [
        f"`{name}` must be {rule.words}, got {value!r}"
        for name, rule in rules.items()
        if (value := getattr(channel, name)) is not None and not _keeps(rule, value)
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
    for field in fields(channel):
        object.__setattr__(channel, field.name, _as_tuple(getattr(channel, field.name)))


def _as_tuple(value: object) -> object:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(map(_as_tuple, value)) if isinstance(value, (list, tuple)) else value
