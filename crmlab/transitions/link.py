"""From log-odds to probabilities of moving, over one stage space."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from crmlab.arrays import Floats
from crmlab.stages import StageSpace
from crmlab.transitions.backend import Backend
from crmlab.transitions.effect_priors import Groups

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable


@dataclass(frozen=True)
class Link(ABC):
    """How a base and a push on it become probabilities of moving, over one stage space.

    Parameters
    ----------
    stages : StageSpace
    typical_stay : float or sequence of K floats
        Typical probability of staying for one period in each stage, where the push is 0; the rest
        is spread evenly over the allowed moves.
    spread : float
        Prior scale around the typical probabilities [log-odds].
    """

    stages: StageSpace
    typical_stay: float | tuple[float, ...]
    spread: float

    base_name: ClassVar[str]

    @abstractmethod
    def group(self, shared: str) -> Groups:
        """Group the places that effects are added to: moves (K, K), or the stages left (K,)."""

    @abstractmethod
    def register(self) -> "TensorVariable":
        """Register the prior of the base (K, K) in the open model, under `base_name`."""

    @abstractmethod
    def probs(self, base: Any, push: Any, xp: Backend) -> Any:
        """Turn a push (..., K[, K]) into transition matrices (..., K, K)."""

    @abstractmethod
    def log_prior(self, base: Floats) -> Floats:
        """Log-density of the prior at draws (draw, K, K) of the base, up to a constant."""

    @property
    def typical_probs(self) -> Floats:
        """Typical probabilities (K, K) without a push: stay, or spread over the other moves."""
        moves = self.stages.mask & ~np.eye(len(self.stages), dtype=bool)
        n_moves = moves.sum(axis=1)
        stay = np.where(n_moves > 0, np.asarray(self.typical_stay, dtype=float), 1.0)
        return np.diag(stay) + moves * ((1 - stay) / np.maximum(n_moves, 1))[:, None]
