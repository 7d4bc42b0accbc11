"""Counts and yes-or-no observations: visits, purchases, replies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crmlab.arrays import Bools, Floats, Ints
from crmlab.channels.base import (
    NOT_NEGATIVE,
    OPEN_SHARE,
    POSITIVE,
    SHARE,
    Channel,
    Compiled,
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
        return (values >= 0) & (values == np.floor(values)) & np.isfinite(values)

    @property
    def support(self) -> str:
        """The rule in words."""
        return "a count (0, 1, 2, ...)"


def _poisson_table(rate: Floats) -> Floats:
    """Distribution functions (stage, count), until they are 1 for every possible uniform."""
    most = 1
    while (special.pdtr(most, rate) < 1 - 2.0**-53).any():
        most += 1
    table = special.pdtr(np.arange(most + 1), rate[:, None])
    table[:, -1] = np.inf
    return table


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
