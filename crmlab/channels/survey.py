"""Answers on an ordered scale."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crmlab.arrays import Bools, Floats, Ints
from crmlab.channels.base import POSITIVE, REAL, SHARE, Channel, batch_shape, check_fields, freeze
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    Parameters = Mapping[str, TensorVariable]


@dataclass(frozen=True)
class OrdinalSurvey(Channel):
    """A rating on a scale of 1 to `n_levels`: satisfaction, recommendation [level].

    Parameters
    ----------
    name : str
    location : sequence of K floats, optional
        Position of each stage on the latent scale [units of the cutpoints]; learned if left out.
    n_levels : int
    cutpoints : sequence of n_levels - 1 increasing floats
        Positions where one level gives way to the next.
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

    location: ArrayLike | None = None
    n_levels: int = 5
    cutpoints: tuple[float, ...] = (-1.5, -0.5, 0.5, 1.5)
    discrimination: float = 1.7
    response_rate: float = 1.0
    typical_location: ArrayLike = 0.0
    prior_sd: float = 1.5

    n_uniforms: ClassVar[int] = 2
    table: ClassVar[str] = "surveys"

    def __post_init__(self) -> None:
        """Refuse cutpoints that do not fit the levels, and impossible rates."""
        freeze(self)
        problems = []
        if len(self.cutpoints) != self.n_levels - 1:
            problems.append(
                f"`cutpoints` must have n_levels - 1 = {self.n_levels - 1} values, "
                f"got {len(self.cutpoints)}"
            )
        if not np.all(np.diff(self.cutpoints) > 0):
            problems.append(f"`cutpoints` must increase, got {self.cutpoints}")
        places = dict.fromkeys(("location", "typical_location", "cutpoints"), REAL)
        scales = {"discrimination": POSITIVE, "prior_sd": POSITIVE, "response_rate": SHARE}
        check_fields(self, {**places, **scales}, *problems)

    def level_probs(self, location: ArrayLike) -> Floats:
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
        # Stands for infinity, whose gradient would be NaN, like JAX's wherever exp overflows.
        far = 600 / self.discrimination
        edges = np.clip(edges, -far, far)
        level = pt.cast(value, "int64")
        from_below = self.discrimination * (location - pt.constant(edges)[level - 1])
        from_above = self.discrimination * (location - pt.constant(edges)[level])
        return pt.constant(width)[level - 1] - pt.softplus(-from_below) - pt.softplus(from_above)

    def _random(
        self, location: NDArray, rng: np.random.Generator, size: tuple[int, ...] | None
    ) -> Ints:
        return self._answer(rng.random(batch_shape(size, location)), location).astype(np.int64)

    def _answer(self, u: Floats, location: NDArray) -> Floats:
        below = np.cumsum(self.level_probs(location), axis=-1)[..., :-1]
        return 1.0 + (np.asarray(u)[..., None] > below).sum(axis=-1, dtype=float)

    def sample(self, u: Floats, location: NDArray) -> Floats:
        """Level whose distribution function reaches `u[0]`; NaN where nobody answers."""
        return np.where(u[1] < self.response_rate, self._answer(u[0], location), np.nan)

    def always_answered(self) -> "OrdinalSurvey":
        """Return the survey that everybody answers in every period."""
        return replace(self, response_rate=1.0)

    def mean(self, location: ArrayLike) -> Floats:
        """Mean level of the answers."""
        return self.level_probs(location) @ np.arange(1, self.n_levels + 1)

    def supports(self, values: Floats) -> Bools:
        """Whether each value is a level of the scale."""
        return (values >= 1) & (values <= self.n_levels) & (values == np.floor(values))

    @property
    def support(self) -> str:
        """The rule in words."""
        return f"a whole level from 1 to {self.n_levels} (one answer per customer and period)"
