"""What every transition model is: a recipe for transition matrices, with priors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from crmlab.arrays import Floats
from crmlab.stages import StageSpace
from crmlab.transitions.design import Design

if TYPE_CHECKING:
    import xarray as xr
    from pytensor.tensor.variable import TensorVariable

Parameters = Mapping[str, Floats]


class Drivers(NamedTuple):
    """Logits of moving that add up from parts, as arrays or as tensors.

    ``eta_nt = base + sum_m covariates[n, t, m] effects[m] + sum_r customers[n, r] loads[r]``, and
    row i of a transition matrix is the softmax of row i of ``eta_nt``. base (K, K), minus infinity
    where a move is not allowed; effects (M, K, K) per unit of covariates (N or 1, T - 1 or 1, M),
    of which row t drives the move from period t to t + 1; loads (R, K, K) per unit of customers
    (N or 1, R). Axes of length 1 are shared.
    """

    base: Any
    effects: Any
    covariates: Any
    loads: Any
    customers: Any


@dataclass(frozen=True)
class TransitionModel(ABC):
    """How customers move between stages: transition matrices, with priors.

    A subclass is a frozen dataclass of hyper-parameters with one method, `matrix`. Everything else
    has a default, which is right for one matrix that all customers share in all periods. A model
    whose matrices differ defines the `design` that they depend on, what its posterior holds
    (`posterior_names`), and how matrices follow from that in NumPy (`matrices`, and
    `customer_offsets` where customers have effects of their own).

    Attributes
    ----------
    offsets_are_log_odds : bool
        Whether the result of `customer_offsets` is added to the log-odds of each move. Then a
        customer's matrices are those of an average customer, reweighted.
    """

    offsets_are_log_odds: ClassVar[bool] = False

    @abstractmethod
    def matrix(self, stages: StageSpace, covariates: "xr.Dataset | None") -> "TensorVariable":
        """Register priors in the open PyMC model and return the transition matrix.

        Parameters
        ----------
        stages : StageSpace
        covariates : xr.Dataset, optional
            The design's `variables`, and `observed`, of the customers whose matrices are wanted.

        Returns
        -------
        tensor of shape (K, K), or (customer, period, K, K) where covariates move it; rows sum to 1
        and moves that `stages` does not allow have probability exactly 0
        """

    @property
    def design(self) -> Design:
        """What each move depends on: covariates, segments and customers; nothing by default."""
        return Design()

    def drivers(self, stages: StageSpace, covariates: "xr.Dataset | None") -> Drivers | None:
        """Register priors as `matrix` does, but return the parts of the logits, or None.

        A model with parts never holds an array of customers x periods x stages x stages.
        """
        return None

    def alpha(self, stages: StageSpace) -> Floats | None:
        """Weights (K, K) of the prior, if its rows are independent Dirichlet; None if not."""
        return None

    def n_customer_effects(self, stages: StageSpace) -> int:
        """Count the effects that each customer has of their own; 0 if customers are alike."""
        return 0

    def posterior_names(self, stages: StageSpace) -> tuple[str, ...]:
        """Variables that the posterior holds for this part of a model."""
        return ("transition_matrix",)

    def space_problems(self, stages: StageSpace) -> list[str]:
        """List what does not fit the stages; empty if all fits."""
        return []

    def matrices(
        self,
        stages: StageSpace,
        parameters: Parameters,
        covariates: Floats | None = None,
        offsets: Floats | None = None,
    ) -> Floats:
        """Give the matrices of one posterior draw, in NumPy.

        Parameters
        ----------
        stages : StageSpace
        parameters : mapping of name to ndarray
            One draw of `posterior_names`.
        covariates : ndarray of shape (N or 1, moves or 1, columns), optional
            ``design.read(...)["covariates"]``.
        offsets : ndarray, optional
            The result of `customer_offsets`, one row per customer.

        Returns
        -------
        ndarray of shape (N or 1, moves or 1, K, K)
        """
        return np.asarray(parameters["transition_matrix"])[None, None]

    def customer_offsets(
        self, stages: StageSpace, parameters: Parameters, normals: Floats
    ) -> Floats | None:
        """Turn standard normals (N, effects) into what customers add to their logits."""
        return None

    def typical_matrix(
        self, stages: StageSpace, parameters: Mapping[str, "TensorVariable"]
    ) -> "TensorVariable":
        """Transition matrix (K, K) of an average customer at mean covariates."""
        return parameters["transition_matrix"]

    def log_prior(
        self, stages: StageSpace, values: Parameters
    ) -> tuple[dict[str, Floats], list[str]] | None:
        """Log-density of the prior at draws of the posterior, each up to a constant.

        Parameters
        ----------
        stages : StageSpace
        values : mapping of name to ndarray
            `posterior_names`, each with the draws on its first axis.

        Returns
        -------
        densities : dict of name to ndarray (draws,)
        left_out : list of str
            Parts of which the posterior does not keep enough.
            None in place of both if the prior cannot be read from the posterior at all.
        """
        return None
