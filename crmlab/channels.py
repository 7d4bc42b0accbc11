"""What a firm can see: one definition per channel, with two faces.

A channel is the law of one observation given the stage of the customer. It has two faces, and they
must never disagree:

* it **simulates**: `Channel.sample` turns uniforms into observations by inverting the distribution
  function, so two worlds that share their uniforms share their chance;
* it **scores**: `Channel.dist` is the same law as a PyMC distribution, whose log-density feeds
  every model.

`crmlab.testing.check_channel` compares the two faces in every stage. A parameter that is given is
known: a world simulates with it, a model holds it fixed. One that is left out is learned, under the
prior of `Channel.parameters`. Prior scales are fields in the user's units (``typical_rate=2``).
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crmlab.errors import SpecError, raise_problems
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    Parameters = Mapping[str, TensorVariable]


class _Rule(NamedTuple):
    """What a number must be, in words and as a test of an array."""

    words: str
    holds: Callable[[NDArray[np.float64]], NDArray[np.bool_]]


_REAL = _Rule("finite", np.isfinite)
_NOT_NEGATIVE = _Rule("finite and at least 0", lambda x: (x >= 0) & np.isfinite(x))
_POSITIVE = _Rule("finite and above 0", lambda x: (x > 0) & np.isfinite(x))
_SHARE = _Rule("from 0 to 1", lambda x: (x >= 0) & (x <= 1))
_OPEN_SHARE = _Rule("above 0 and below 1", lambda x: (x > 0) & (x < 1))


@dataclass(frozen=True)
class Channel(ABC):
    """One kind of observation, per customer and period.

    A subclass is a frozen dataclass with three methods; its parameters are the arguments of
    `sample` after `u`, and each may be a field that is None while it is to be learned.

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
    def dist(self, **parameters: "TensorVariable") -> "TensorVariable":
        """Give the unnamed PyMC distribution of one observation."""

    @abstractmethod
    def sample(self, u: NDArray[np.float64], **parameters: NDArray) -> NDArray[np.float64]:
        """Observations at the uniforms `u`: the inverse distribution function."""

    def supports(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
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
    def known(self) -> dict[str, NDArray[np.float64]]:
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


def _check(channel: Channel, rules: Mapping[str, _Rule], *more_problems: str) -> None:
    """Refuse fields that break their rules, all of them at once; None is always fine."""
    broken = [
        f"`{name}` must be {rule.words}, got {value!r}"
        for name, rule in rules.items()
        if (value := getattr(channel, name)) is not None and not _keeps(rule, value)
    ]
    raise_problems(
        SpecError, f"{type(channel).__name__}({channel.name!r})", [*broken, *more_problems]
    )


def _keeps(rule: _Rule, value: ArrayLike) -> bool:
    try:
        return bool(np.all(rule.holds(np.asarray(value, dtype=float))))
    except (TypeError, ValueError):  # text, or rows of different lengths
        return False


def _batch_shape(size: tuple[int, ...] | None, *parameters: NDArray) -> tuple[int, ...]:
    """Shape of the draws: PyMC gives no size where the parameters imply it."""
    return np.broadcast_shapes(*map(np.shape, parameters)) if size is None else size


def _freeze(channel: Channel) -> None:
    """Turn array fields into nested tuples, so that channels compare and hash by value."""
    for field in fields(channel):
        object.__setattr__(channel, field.name, _as_tuple(getattr(channel, field.name)))


def _as_tuple(value: object) -> object:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(map(_as_tuple, value)) if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class Poisson(Channel):
    """A count per period: visits, orders, calls [events per period].

    Parameters
    ----------
    name : str
    rate : sequence of K floats, optional
        Mean count in each stage [events per period]; learned if left out.
    typical_rate : float, or sequence of K floats
        Prior median of the rate [events per period], for all stages or stage by stage.
    spread : float
        Prior standard deviation of the log rate. At 1.5, nine rates in ten lie between a twelfth
        and twelve times of the median.

    Notes
    -----
    ``P(y | stage) = rate**y * exp(-rate) / y!``

    Examples
    --------
    >>> visits = Poisson("visits", rate=(0.3, 1.5, 4.0))
    >>> visits.sample(np.array([0.5, 0.9]), rate=np.array([0.3, 4.0]))
    array([0., 7.])
    """

    rate: tuple[float, ...] | None = None
    typical_rate: float | tuple[float, ...] = 1.0
    spread: float = 1.5

    def __post_init__(self) -> None:
        """Refuse negative rates."""
        _freeze(self)
        _check(self, {"rate": _NOT_NEGATIVE, "typical_rate": _POSITIVE, "spread": _POSITIVE})

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Log-normal rates around `typical_rate`."""
        import pymc as pm

        center = np.log(self.typical_rate)
        return {"rate": pm.LogNormal.dist(center, self.spread, shape=len(stages))}

    def dist(self, rate: "TensorVariable") -> "TensorVariable":
        """Poisson with mean `rate`."""
        import pymc as pm

        return pm.Poisson.dist(rate)

    def sample(self, u: NDArray[np.float64], rate: NDArray) -> NDArray[np.float64]:
        """Smallest count whose distribution function reaches `u`."""
        above = np.ceil(special.pdtrik(u, np.maximum(rate, 1e-300)))
        below = np.maximum(above - 1, 0)
        return np.where((special.pdtr(below, rate) >= u) | (rate == 0), below * (rate > 0), above)

    def supports(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value is a count."""
        return (values >= 0) & (values == np.floor(values)) & np.isfinite(values)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "a count (0, 1, 2, ...)"


@dataclass(frozen=True)
class Bernoulli(Channel):
    """Something that happens at most once in a period: a complaint, a renewal [0 or 1].

    Parameters
    ----------
    name : str
    prob : sequence of K floats, optional
        Probability per period in each stage; learned if left out.
    typical_prob : float, or sequence of K floats
        Prior mean of the probability, for all stages or stage by stage.
    confidence : float
        Weight of that prior [periods seen]; 2 around one half is the uniform prior.

    Examples
    --------
    >>> complaint = Bernoulli("complaint", prob=(0.1, 0.5))
    >>> complaint.sample(np.array([0.8, 0.95]), prob=np.array([0.1, 0.1]))
    array([0., 1.])
    """

    prob: tuple[float, ...] | None = None
    typical_prob: float | tuple[float, ...] = 0.5
    confidence: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        _freeze(self)
        _check(self, {"prob": _SHARE, "typical_prob": _OPEN_SHARE, "confidence": _POSITIVE})

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Beta probabilities around `typical_prob`."""
        import pymc as pm

        mean = np.broadcast_to(self.typical_prob, len(stages))
        return {"prob": pm.Beta.dist(self.confidence * mean, self.confidence * (1 - mean))}

    def dist(self, prob: "TensorVariable") -> "TensorVariable":
        """Bernoulli with success probability `prob`."""
        import pymc as pm

        return pm.Bernoulli.dist(p=prob)

    def sample(self, u: NDArray[np.float64], prob: NDArray) -> NDArray[np.float64]:
        """One where `u` exceeds the probability of nothing."""
        return (u > 1 - prob).astype(float)

    def supports(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value is 0 or 1."""
        return (values == 0) | (values == 1)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "0 or 1 (count it with Poisson if it can happen more often in a period)"


@dataclass(frozen=True)
class ZeroInflatedSpend(Channel):
    """Money spent in a period: often nothing, else log-normal [currency per period].

    Parameters
    ----------
    name : str
    prob : sequence of K floats, optional
        Probability of spending at all; uniform prior if left out.
    median : sequence of K floats, optional
        Median amount when something is spent [currency]; log-normal prior if left out.
    sigma : sequence of K floats, optional
        Standard deviation of the log amount; half-normal prior if left out.
    typical_spend : float, or sequence of K floats
        Prior median of `median` [currency], for all stages or stage by stage, with a log standard
        deviation of 1.

    Notes
    -----
    ``P(y = 0) = 1 - prob`` and, for y > 0, ``log y ~ Normal(log median, sigma)`` with probability
    ``prob``: a hurdle model, in which zero and the amounts have separate causes.

    Examples
    --------
    >>> spend = ZeroInflatedSpend("spend", prob=(0.5,), median=(30.0,), sigma=(1.0,))
    >>> spend.sample(np.array([0.2, 0.75]), prob=0.5, median=30.0, sigma=1.0)
    array([ 0., 30.])
    """

    prob: tuple[float, ...] | None = None
    median: tuple[float, ...] | None = None
    sigma: tuple[float, ...] | None = None
    typical_spend: float | tuple[float, ...] = 30.0

    def __post_init__(self) -> None:
        """Refuse what is no probability, and negative amounts."""
        _freeze(self)
        amounts = dict.fromkeys(("median", "sigma", "typical_spend"), _POSITIVE)
        _check(self, {"prob": _SHARE, **amounts})

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Uniform probability, log-normal median, half-normal spread."""
        import pymc as pm

        n = len(stages)
        return {
            "prob": pm.Beta.dist(1, 1, shape=n),
            "median": pm.LogNormal.dist(np.log(self.typical_spend), 1.0, shape=n),
            "sigma": pm.HalfNormal.dist(1.0, shape=n),
        }

    def dist(
        self, prob: "TensorVariable", median: "TensorVariable", sigma: "TensorVariable"
    ) -> "TensorVariable":
        """Hurdle log-normal, with an exact zero."""
        import pymc as pm

        return pm.CustomDist.dist(
            prob, median, sigma, logp=_spend_logp, random=_random_spend, signature="(),(),()->()"
        )

    def sample(
        self, u: NDArray[np.float64], prob: NDArray, median: NDArray, sigma: NDArray
    ) -> NDArray[np.float64]:
        """Nothing while `u` is within the zeros, then the log-normal quantile."""
        # Counted from above, where 1 - u is exact: a large amount keeps all its digits.
        possible = np.asarray(prob) > 0
        tail = np.where(possible, np.minimum(1 - u, prob) / np.where(possible, prob, 1), 1)
        return np.where(tail < 1, median * np.exp(-sigma * special.ndtri(tail)), 0.0)

    def supports(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value is an amount, zero included."""
        return (values >= 0) & np.isfinite(values)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "an amount of at least 0 (net out returns first)"


def _spend_logp(
    value: "TensorVariable",
    prob: "TensorVariable",
    median: "TensorVariable",
    sigma: "TensorVariable",
) -> "TensorVariable":
    import pytensor.tensor as pt

    amount = pt.switch(value > 0, value, 1.0)
    z = (pt.log(amount) - pt.log(median)) / sigma
    density = -0.5 * z**2 - pt.log(sigma * amount) - 0.5 * np.log(2 * np.pi)
    return pt.switch(value > 0, pt.log(prob) + density, pt.log1p(-prob))


def _random_spend(
    prob: NDArray,
    median: NDArray,
    sigma: NDArray,
    rng: np.random.Generator,
    size: tuple[int, ...] | None,
) -> NDArray[np.float64]:
    shape = _batch_shape(size, prob, median, sigma)
    return np.where(rng.random(shape) < prob, median * np.exp(sigma * rng.normal(size=shape)), 0.0)


@dataclass(frozen=True)
class OrdinalSurvey(Channel):
    """A rating on a scale of 1 to `n_levels`: satisfaction, recommendation [level].

    Parameters
    ----------
    name : str
    location : sequence of K floats, optional
        Where each stage stands on the latent scale [units of the cutpoints]; learned if left out.
    n_levels : int
    cutpoints : sequence of n_levels - 1 increasing floats
        Where one level gives way to the next.
    discrimination : float
        How sharply answers follow the latent position.
    response_rate : float
        Share of periods with an answer; the others are missing at random.
    typical_location : float, or sequence of K floats
        Prior mean of `location`, for all stages or stage by stage.
    prior_sd : float
        Prior standard deviation of `location`.

    Notes
    -----
    ``P(Y >= k+1 | stage) = logistic(discrimination * (location - cutpoints[k-1]))``, the graded
    response model of Samejima (1969), *Psychometrika Monograph* 17. The measurement scale
    (cutpoints, discrimination) is fixed by the user; the stages are placed on it.

    Examples
    --------
    >>> survey = OrdinalSurvey("survey", location=(0.0, 1.0))
    >>> np.round(survey.level_probs(0.0), 4)
    array([0.0724, 0.227 , 0.4011, 0.227 , 0.0724])
    """

    location: tuple[float, ...] | None = None
    n_levels: int = 5
    cutpoints: tuple[float, ...] = (-1.5, -0.5, 0.5, 1.5)
    discrimination: float = 1.7
    response_rate: float = 1.0
    typical_location: float | tuple[float, ...] = 0.0
    prior_sd: float = 1.5

    n_uniforms: ClassVar[int] = 2
    table: ClassVar[str] = "surveys"

    def __post_init__(self) -> None:
        """Refuse cutpoints that do not fit the levels, and impossible rates."""
        _freeze(self)
        problems = []
        if len(self.cutpoints) != self.n_levels - 1:
            problems.append(
                f"`cutpoints` must have n_levels - 1 = {self.n_levels - 1} values, "
                f"got {len(self.cutpoints)}"
            )
        if not np.all(np.diff(self.cutpoints) > 0):
            problems.append(f"`cutpoints` must increase, got {self.cutpoints}")
        places = dict.fromkeys(("location", "typical_location", "cutpoints"), _REAL)
        scales = {"discrimination": _POSITIVE, "prior_sd": _POSITIVE, "response_rate": _SHARE}
        _check(self, {**places, **scales}, *problems)

    def level_probs(self, location: ArrayLike) -> NDArray[np.float64]:
        """Probability of each level, on a last axis of length `n_levels`."""
        gap = np.asarray(location, dtype=float)[..., None] - np.asarray(self.cutpoints)
        reached = special.expit(self.discrimination * gap)
        edges = np.ones((*reached.shape[:-1], 1))
        return -np.diff(np.concatenate([edges, reached, 0 * edges], axis=-1), axis=-1)

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Draw locations around `typical_location`."""
        import pymc as pm

        center = np.broadcast_to(self.typical_location, len(stages))
        return {"location": pm.Normal.dist(center, self.prior_sd)}

    def dist(self, location: "TensorVariable") -> "TensorVariable":
        """Graded response at `location`."""
        import pymc as pm

        return pm.CustomDist.dist(
            location, logp=self._logp, random=self._random, signature="()->()", dtype="int64"
        )

    def _logp(self, value: "TensorVariable", location: "TensorVariable") -> "TensorVariable":
        """Log of sigmoid(upper) - sigmoid(lower), without cancellation."""
        import pytensor.tensor as pt

        edges = np.array([-np.inf, *self.cutpoints, np.inf])
        width = np.log(-np.expm1(-self.discrimination * np.diff(edges)))
        # Stands for infinity, whose gradient would be NaN; as is JAX's wherever exp overflows.
        far = 600 / self.discrimination
        edges = np.clip(edges, -far, far)
        level = pt.cast(value, "int64")
        from_below = self.discrimination * (location - pt.constant(edges)[level - 1])
        from_above = self.discrimination * (location - pt.constant(edges)[level])
        return pt.constant(width)[level - 1] - pt.softplus(-from_below) - pt.softplus(from_above)

    def _random(
        self, location: NDArray, rng: np.random.Generator, size: tuple[int, ...] | None
    ) -> NDArray[np.int64]:
        return self._answer(rng.random(_batch_shape(size, location)), location).astype(np.int64)

    def _answer(self, u: NDArray[np.float64], location: NDArray) -> NDArray[np.float64]:
        below = np.cumsum(self.level_probs(location), axis=-1)[..., :-1]
        return 1.0 + (np.asarray(u)[..., None] > below).sum(axis=-1)

    def sample(self, u: NDArray[np.float64], location: NDArray) -> NDArray[np.float64]:
        """Level whose distribution function reaches `u[0]`; NaN where nobody answers."""
        return np.where(u[1] < self.response_rate, self._answer(u[0], location), np.nan)

    def supports(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value is a level of the scale."""
        return (values >= 1) & (values <= self.n_levels) & (values == np.floor(values))

    @property
    def support(self) -> str:
        """The rule in words."""
        return f"a whole level from 1 to {self.n_levels} (one answer per customer and period)"


@dataclass(frozen=True)
class StageLabel(Channel):
    """A reported stage, by the customer or the salesperson, right or wrong [stage].

    Parameters
    ----------
    name : str
    confusion : K x K nested sequence, optional
        ``confusion[s][r]`` = probability that stage r is reported in stage s; rows sum to 1.
        Learned if left out. The identity means that stages are observed.
    accuracy : float
        Prior mean of a right report.
    confidence : float
        Weight of that prior, in reports per stage.
    response_rate : float
        Share of periods with a report; the others are missing at random.

    Examples
    --------
    >>> label = StageLabel("stage", confusion=((0.9, 0.1), (0.2, 0.8)))
    >>> label.sample(np.array([[0.95], [0.0]]), confusion=np.array([[0.9, 0.1]]))
    array([1.])
    """

    confusion: tuple[tuple[float, ...], ...] | None = None
    accuracy: float = 0.8
    confidence: float = 10.0
    response_rate: float = 1.0

    n_uniforms: ClassVar[int] = 2
    table: ClassVar[str] = "labels"

    def __post_init__(self) -> None:
        """Refuse rows that are no distributions."""
        _freeze(self)
        rules = {"confusion": _SHARE, "accuracy": _OPEN_SHARE, "confidence": _POSITIVE}
        _check(self, {**rules, "response_rate": _SHARE}, *self._confusion_problems())

    def _confusion_problems(self) -> list[str]:
        if self.confusion is None or not _keeps(_REAL, self.confusion):
            return []
        rows = np.asarray(self.confusion, dtype=float)
        if rows.ndim != 2 or rows.shape[0] != rows.shape[1]:
            return [f"`confusion` must have a row and a column per stage, got shape {rows.shape}"]
        if np.allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-8):
            return []
        return [f"each row of `confusion` must sum to 1, got sums {rows.sum(axis=1).tolist()}"]

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Dirichlet rows around the diagonal."""
        import pymc as pm

        n = len(stages)
        wrong = (1 - self.accuracy) / max(n - 1, 1)
        mean = wrong + (self.accuracy - wrong) * np.eye(n)
        return {"confusion": pm.Dirichlet.dist(self.confidence * mean, shape=(n, n))}

    def tells_stages(self, stages: StageSpace) -> bool:
        """Say yes: a report that is mostly right tells which stage is which."""
        return True

    def tells_apart(self, stages: StageSpace) -> bool:
        """Say yes, for the same reason."""
        return True

    def dist(self, confusion: "TensorVariable") -> "TensorVariable":
        """Categorical over the reported stages."""
        import pymc as pm

        return pm.CustomDist.dist(
            confusion,
            logp=_label_logp,
            random=_random_label,
            signature="(r)->()",
            dtype="int64",
        )

    def sample(self, u: NDArray[np.float64], confusion: NDArray) -> NDArray[np.float64]:
        """Index of the reported stage; NaN where nothing is reported."""
        return np.where(u[1] < self.response_rate, _pick_label(u[0], confusion), np.nan)

    def supports(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value is the index of a stage."""
        return (values >= 0) & (values == np.floor(values))

    @property
    def support(self) -> str:
        """The rule in words."""
        return "the name of a stage"


def _label_logp(value: "TensorVariable", confusion: "TensorVariable") -> "TensorVariable":
    """Look up log confusion[stage, reported]; `value` broadcasts against the stages."""
    import pytensor.tensor as pt

    reported = pt.arange(confusion.shape[-1])
    hit = pt.eq(pt.cast(value, "int64")[..., None], reported)
    chosen = pt.sum(pt.switch(hit, confusion, 0.0), axis=-1)
    return pt.log(chosen)


def _random_label(
    confusion: NDArray, rng: np.random.Generator, size: tuple[int, ...] | None
) -> NDArray[np.int64]:
    return _pick_label(rng.random(_batch_shape(size, confusion[..., 0])), confusion)


def _pick_label(u: NDArray[np.float64], confusion: NDArray) -> NDArray[np.int64]:
    below = np.cumsum(confusion, axis=-1)
    # Divided by its own last entry, so that rounding never reports what cannot be reported.
    return (np.asarray(u)[..., None] > below / below[..., -1:]).sum(axis=-1)
