"""Money spent in a period: often nothing, otherwise log-normal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crmlab.arrays import Bools, Floats, Ints
from crmlab.channels.base import (
    POSITIVE,
    SHARE,
    Channel,
    Compiled,
    batch_shape,
    check_fields,
    freeze,
)
from crmlab.channels.loops import find_spenders
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    Parameters = Mapping[str, TensorVariable]


@dataclass(frozen=True)
class ZeroInflatedSpend(Channel):
    """Money spent in a period: often nothing, otherwise log-normal [currency per period].

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

    prob: ArrayLike | None = None
    median: ArrayLike | None = None
    sigma: ArrayLike | None = None
    typical_spend: ArrayLike = 30.0

    def __post_init__(self) -> None:
        """Refuse what is not a probability, and negative amounts."""
        freeze(self)
        amounts = dict.fromkeys(("median", "sigma", "typical_spend"), POSITIVE)
        check_fields(self, {"prob": SHARE, **amounts})

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

    def sample(self, u: Floats, prob: NDArray, median: NDArray, sigma: NDArray) -> Floats:
        """Return 0 while `u` is below the probability of 0, then the log-normal quantile."""
        # Counted from above, where 1 - u is exact: a large amount keeps all its digits.
        possible = np.asarray(prob) > 0
        tail = np.where(possible, np.minimum(1 - u, prob) / np.where(possible, prob, 1), 1)
        return np.where(tail < 1, median * np.exp(-sigma * special.ndtri(tail)), 0.0)

    def sampler(self, compiled: Compiled) -> Callable[[Floats, Ints], Floats]:
        """Compute amounts for those who spend; all others have 0."""
        known, find = self.known, compiled(find_spenders)

        def sample(u: Floats, stages: Ints) -> Floats:
            who, amounts = np.empty(len(u), dtype=np.int64), np.zeros(len(u))
            who = who[: find(who, stages, u, known["prob"])]
            at = stages[who]
            amounts[who] = self.sample(u[who], **{name: v[at] for name, v in known.items()})
            return amounts

        return sample

    def mean(self, prob: Any, median: Any, sigma: Any) -> Any:
        """Amount per period: the mean of a log-normal lies above its median."""
        return prob * median * np.exp(sigma**2 / 2)

    def supports(self, values: Floats) -> Bools:
        """Whether each value is an amount, including 0."""
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
) -> Floats:
    shape = batch_shape(size, prob, median, sigma)
    return np.where(rng.random(shape) < prob, median * np.exp(sigma * rng.normal(size=shape)), 0.0)
