"""Counts, yes-or-no observations, and periods since: visits, purchases, replies, recency."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crmlab.arrays import Bools, Floats, Ints
from crmlab.channels.base import (
    NOT_NEGATIVE,
    OPEN_SHARE,
    POSITIVE,
    POSITIVE_SHARE,
    SHARE,
    Channel,
    Compiled,
    batch_shape,
    check_fields,
    freeze,
)
from crmlab.channels.loops import find_cell, guide_to
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    Parameters = Mapping[str, TensorVariable]


_LARGEST_RATE = 50.0  # of a count that is looked up in a table


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
        of the median and twelve times the median.

    Notes
    -----
    ``P(y | stage) = rate**y * exp(-rate) / y!``

    Examples
    --------
    >>> visits = Poisson("visits", rate=(0.3, 1.5, 4.0))
    >>> visits.sample(np.array([0.5, 0.9]), rate=np.array([0.3, 4.0]))
    array([0., 7.])
    """

    rate: ArrayLike | None = None
    typical_rate: ArrayLike = 1.0
    spread: float = 1.5

    def __post_init__(self) -> None:
        """Refuse negative rates."""
        freeze(self)
        check_fields(self, {"rate": NOT_NEGATIVE, "typical_rate": POSITIVE, "spread": POSITIVE})

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Log-normal rates around `typical_rate`."""
        import pymc as pm

        center = np.log(self.typical_rate)
        return {"rate": pm.LogNormal.dist(center, self.spread, shape=len(stages))}

    def dist(self, rate: "TensorVariable") -> "TensorVariable":
        """Poisson with mean `rate`."""
        import pymc as pm

        return pm.Poisson.dist(rate)

    def sample(self, u: Floats, rate: NDArray) -> Floats:
        """Smallest count whose distribution function reaches `u`."""
        above = np.ceil(special.pdtrik(u, np.maximum(rate, 1e-300)))
        below = np.maximum(above - 1, 0)
        return np.where((special.pdtr(below, rate) >= u) | (rate == 0), below * (rate > 0), above)

    def sampler(self, compiled: Compiled) -> Callable[[Floats, Ints], Floats]:
        """Look small counts up in a table of the distribution function: the inverse is slow."""
        rate = self.known["rate"]
        if rate.max() > _LARGEST_RATE:
            return super().sampler(compiled)
        table, search = _poisson_table(rate), compiled(find_cell)
        guide = guide_to(table)
        return lambda u, stages: search(np.empty(len(u)), stages, u, table, guide)

    def mean(self, rate: Any) -> Any:
        """Events per period."""
        return rate

    def supports(self, values: Floats) -> Bools:
        """Whether each value is a count."""
        return _are_counts(values)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "a count (0, 1, 2, ...)"


def _are_counts(values: Floats) -> Bools:
    return (values >= 0) & (values == np.floor(values)) & np.isfinite(values)


def _poisson_table(rate: Floats) -> Floats:
    """Distribution functions (stage, count), until they are 1 for every possible uniform."""
    most = 1
    while (special.pdtr(most, rate) < 1 - 2.0**-53).any():
        most += 1
    table = special.pdtr(np.arange(most + 1), rate[:, None])
    table[:, -1] = np.inf
    return table


@dataclass(frozen=True)
class NegativeBinomial(Channel):
    """A count per period that varies more than `Poisson`: calls, visits [events per period].

    Parameters
    ----------
    name : str
    rate : sequence of K floats, optional
        Mean count in each stage [events per period]; learned if left out.
    shape : sequence of K floats, optional
        How alike customers and periods of a stage are: the variance is rate + rate**2 / shape.
        Learned if left out. The larger, the closer to `Poisson`.
    typical_rate : float, or sequence of K floats
        Prior median of the rate [events per period], for all stages or stage by stage.
    spread : float
        Prior standard deviation of the log rate.
    typical_shape : float, or sequence of K floats
        Prior median of the shape, with a log standard deviation of 1.

    Notes
    -----
    ``P(y | stage) = Gamma(y + shape) / (Gamma(shape) y!) * (shape / (shape + rate))**shape
    * (rate / (shape + rate))**y``: `Poisson` with a rate that is itself drawn in each period, from
    a gamma distribution with this mean and shape. A Poisson channel on such counts takes a burst
    for a change of stage.

    Examples
    --------
    >>> calls = NegativeBinomial("calls", rate=(0.5, 3.0), shape=(1.0, 1.0))
    >>> calls.sample(np.array([0.5, 0.9]), rate=np.array([0.5, 3.0]), shape=np.array([1.0, 1.0]))
    array([0., 8.])
    """

    rate: ArrayLike | None = None
    shape: ArrayLike | None = None
    typical_rate: ArrayLike = 1.0
    spread: float = 1.5
    typical_shape: ArrayLike = 1.0

    def __post_init__(self) -> None:
        """Refuse negative rates, and shapes that are not above 0."""
        freeze(self)
        scales = dict.fromkeys(("shape", "typical_rate", "spread", "typical_shape"), POSITIVE)
        check_fields(self, {"rate": NOT_NEGATIVE, **scales})

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Log-normal rates and shapes around their typical values."""
        import pymc as pm

        n, rate, shape = len(stages), np.log(self.typical_rate), np.log(self.typical_shape)
        return {
            "rate": pm.LogNormal.dist(rate, self.spread, shape=n),
            "shape": pm.LogNormal.dist(shape, 1.0, shape=n),
        }

    def dist(self, rate: "TensorVariable", shape: "TensorVariable") -> "TensorVariable":
        """Negative binomial with mean `rate` and variance rate + rate**2 / shape."""
        import pymc as pm

        return pm.CustomDist.dist(
            rate,
            shape,
            logp=_negative_binomial_logp,
            random=_random_negative_binomial,
            signature="(),()->()",
            dtype="int64",
        )

    def sample(self, u: Floats, rate: NDArray, shape: NDArray) -> Floats:
        """Smallest count whose distribution function reaches `u`."""
        prob = shape / (shape + rate)
        return _smallest_count(
            u,
            lambda count: special.betainc(shape, count + 1, prob),
            lambda count: special.betaincc(shape, count + 1, prob),
        )

    def mean(self, rate: Any, shape: Any) -> Any:
        """Events per period."""
        return rate

    def supports(self, values: Floats) -> Bools:
        """Whether each value is a count."""
        return _are_counts(values)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "a count (0, 1, 2, ...)"


def _negative_binomial_logp(
    value: "TensorVariable", rate: "TensorVariable", shape: "TensorVariable"
) -> "TensorVariable":
    import pytensor.tensor as pt

    ways = pt.gammaln(value + shape) - pt.gammaln(shape) - pt.gammaln(value + 1)
    some = pt.switch(value > 0, value * (pt.log(rate) - pt.log(shape + rate)), 0.0)
    return ways - shape * pt.log1p(rate / shape) + some


def _random_negative_binomial(
    rate: NDArray, shape: NDArray, rng: np.random.Generator, size: tuple[int, ...] | None
) -> Ints:
    return rng.poisson(rng.gamma(shape, rate / shape, batch_shape(size, rate, shape)))


def _smallest_count(
    u: Floats, below: Callable[[Floats], Floats], above: Callable[[Floats], Floats]
) -> Floats:
    """Bisect for the smallest count whose distribution function reaches `u`.

    `below` gives the probability of a count or less, `above` that of more. Each is read where it
    is the smaller one, and keeps its digits: 1 - u is exact above one half.
    """

    def reaches(count: Floats) -> Bools:
        return np.where(u < 0.5, below(count) >= u, above(count) <= 1 - u)

    high = np.ones(np.shape(below(u)))
    while not (enough := reaches(high)).all():
        high = np.where(enough, high, 2 * high)
    low = np.full_like(high, -1.0)
    while (high - low > 1).any():
        middle = np.maximum(np.floor((low + high) / 2), 0.0)
        enough = reaches(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


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

    prob: ArrayLike | None = None
    typical_prob: ArrayLike = 0.5
    confidence: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what is not a probability."""
        freeze(self)
        check_fields(self, {"prob": SHARE, "typical_prob": OPEN_SHARE, "confidence": POSITIVE})

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Beta probabilities around `typical_prob`."""
        import pymc as pm

        mean = np.broadcast_to(self.typical_prob, len(stages))
        return {"prob": pm.Beta.dist(self.confidence * mean, self.confidence * (1 - mean))}

    def dist(self, prob: "TensorVariable") -> "TensorVariable":
        """Bernoulli with success probability `prob`."""
        import pymc as pm

        return pm.Bernoulli.dist(p=prob)

    def sample(self, u: Floats, prob: NDArray) -> Floats:
        """Return 1 where `u` exceeds the probability of 0."""
        return (u > 1 - prob).astype(float)

    def mean(self, prob: Any) -> Any:
        """Events per period."""
        return prob

    def supports(self, values: Floats) -> Bools:
        """Whether each value is 0 or 1."""
        return (values == 0) | (values == 1)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "0 or 1 (count it with Poisson if it can happen more often in a period)"


@dataclass(frozen=True)
class Geometric(Channel):
    """Periods since something happened last: 0 if in this period [periods].

    Parameters
    ----------
    name : str
    prob : sequence of K floats, optional
        Probability per period, in each stage, that it happens; learned if left out.
    typical_prob : float, or sequence of K floats
        Prior mean of the probability, for all stages or stage by stage.
    confidence : float
        Weight of that prior [periods seen]; 2 around one half is the uniform prior.

    Notes
    -----
    ``P(y | stage) = prob * (1 - prob)**y``, for what happens with the same probability in every
    period. Values of one customer in neighbouring periods are independent given the stages, as in
    every channel; a clock that only adds 1 until the next event is not. Use it where each value
    stands for itself, such as the age of an order that is asked for in a survey, and count the
    events themselves (`Poisson`, `Bernoulli`) where they are known.

    Examples
    --------
    >>> age = Geometric("periods_since", prob=(0.05, 0.5))
    >>> age.sample(np.array([0.5, 0.5]), prob=np.array([0.05, 0.5]))
    array([13.,  0.])
    """

    prob: ArrayLike | None = None
    typical_prob: ArrayLike = 0.5
    confidence: float = 2.0

    table: ClassVar[str] = "surveys"

    def __post_init__(self) -> None:
        """Refuse what is not a probability above 0."""
        freeze(self)
        rules = {"prob": POSITIVE_SHARE, "typical_prob": OPEN_SHARE, "confidence": POSITIVE}
        check_fields(self, rules)

    def parameters(self, stages: StageSpace) -> "Parameters":
        """Beta probabilities around `typical_prob`."""
        import pymc as pm

        mean = np.broadcast_to(self.typical_prob, len(stages))
        return {"prob": pm.Beta.dist(self.confidence * mean, self.confidence * (1 - mean))}

    def dist(self, prob: "TensorVariable") -> "TensorVariable":
        """Geometric from 0 on."""
        import pymc as pm

        return pm.CustomDist.dist(
            prob, logp=_geometric_logp, random=_random_geometric, signature="()->()", dtype="int64"
        )

    def sample(self, u: Floats, prob: NDArray) -> Floats:
        """Smallest number of periods whose distribution function reaches `u`."""
        with np.errstate(divide="ignore"):  # where it happens in every period
            kept = np.log1p(-np.asarray(prob, dtype=float))
        return _smallest_count(
            u, lambda count: -np.expm1((count + 1) * kept), lambda count: np.exp((count + 1) * kept)
        )

    def mean(self, prob: Any) -> Any:
        """Periods."""
        return (1 - prob) / prob

    def supports(self, values: Floats) -> Bools:
        """Whether each value is a number of whole periods."""
        return _are_counts(values)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "a number of whole periods (0, 1, 2, ...)"


def _geometric_logp(value: "TensorVariable", prob: "TensorVariable") -> "TensorVariable":
    import pytensor.tensor as pt

    return pt.log(prob) + pt.switch(value > 0, value * pt.log1p(-prob), 0.0)


def _random_geometric(
    prob: NDArray, rng: np.random.Generator, size: tuple[int, ...] | None
) -> Ints:
    return rng.geometric(prob, batch_shape(size, prob)) - 1
