"""A stage that somebody reports, correctly or not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Bools, Floats, Ints, upper_edges
from crmlab.channels.base import (
    OPEN_SHARE,
    POSITIVE,
    REAL,
    SHARE,
    Channel,
    _keeps,
    batch_shape,
    check_fields,
    freeze,
)
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

    Parameters = Mapping[str, TensorVariable]


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
        Prior mean of the probability of a right report.
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

    confusion: ArrayLike | None = None
    accuracy: float = 0.8
    confidence: float = 10.0
    response_rate: float = 1.0

    n_uniforms: ClassVar[int] = 2
    table: ClassVar[str] = "labels"
    names_stages: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse rows that are not distributions."""
        freeze(self)
        rules = {"confusion": SHARE, "accuracy": OPEN_SHARE, "confidence": POSITIVE}
        check_fields(self, {**rules, "response_rate": SHARE}, *self._confusion_problems())

    def _confusion_problems(self) -> list[str]:
        if self.confusion is None or not _keeps(REAL, self.confusion):
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

    @property
    def ordering_parameters(self) -> tuple[str, ...]:
        """None: a row of probabilities does not rise."""
        return ()

    def always_answered(self) -> "StageLabel":
        """Return the label that is reported in every period."""
        return replace(self, response_rate=1.0)

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

    def sample(self, u: Floats, confusion: NDArray) -> Floats:
        """Index of the reported stage; NaN where nothing is reported."""
        return np.where(u[1] < self.response_rate, _pick_label(u[0], confusion), np.nan)

    def supports(self, values: Floats) -> Bools:
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
) -> Ints:
    return _pick_label(rng.random(batch_shape(size, confusion[..., 0])), confusion)


def _pick_label(u: Floats, confusion: NDArray) -> Ints:
    return (np.asarray(u)[..., None] > upper_edges(confusion)).sum(axis=-1)
