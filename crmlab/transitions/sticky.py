"""Rows drawn from Dirichlet distributions: one matrix for all customers and periods."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crmlab.arrays import Bools, Floats, Ints, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.stages import StageSpace
from crmlab.transitions.base import Parameters, TransitionModel

if TYPE_CHECKING:
    import xarray as xr
    from pytensor.tensor.variable import TensorVariable


@dataclass(frozen=True)
class StickyDirichlet(TransitionModel):
    """Rows drawn from Dirichlet distributions that may prefer staying.

    Parameters
    ----------
    stickiness : float
        Extra prior weight of staying [pseudo-moves].
    concentration : float
        Prior weight of each allowed move, including staying [pseudo-moves].

    Notes
    -----
    ``P[i, :] ~ Dirichlet(alpha[i, :])`` over the allowed destinations, with
    ``alpha[i, j] = concentration + stickiness * (i == j)``. The rows are built by breaking sticks:
    ``v_m ~ Beta(alpha_m, alpha_{m+1} + ...)`` and ``p_m = v_m * prod_{l<m} (1 - v_l)``, which is
    the same distribution (Connor and Mosimann 1969, *JASA* 64, section 3) with one free number per
    move, whichever moves are forbidden.

    Examples
    --------
    >>> space = StageSpace(("new", "loyal", "lost"), moves=(("new", "loyal"), ("loyal", "lost")))
    >>> StickyDirichlet(stickiness=2).alpha(space)
    array([[3., 1., 0.],
           [0., 3., 1.],
           [0., 0., 3.]])
    """

    stickiness: float = 0.0
    concentration: float = 1.0

    def __post_init__(self) -> None:
        """Refuse weights that make no Dirichlet."""
        problems = number_problems({"stickiness": self.stickiness}, least=0)
        problems += number_problems({"concentration": self.concentration}, above=0)
        raise_problems(SpecError, "StickyDirichlet", problems)

    def alpha(self, stages: StageSpace) -> Floats:
        """Dirichlet weights (K, K) in pseudo-moves; 0 where a move is not allowed."""
        return self.concentration * stages.mask + self.stickiness * np.eye(len(stages))

    def matrix(self, stages: StageSpace, covariates: "xr.Dataset | None") -> "TensorVariable":
        """Break one stick per row; the matrix is the same for all customers and periods."""
        import pymc as pm
        import pytensor.tensor as pt

        order, alpha, is_stick = _stick_order(self.alpha(stages))
        shares = pt.zeros(alpha.shape)
        if is_stick.any():
            rest = np.cumsum(alpha[:, ::-1], axis=1)[:, ::-1] - alpha
            sticks = pm.Beta("sticks", alpha[is_stick], rest[is_stick])
            shares = shares[np.nonzero(is_stick)].set(sticks)
        broken = break_sticks(shares, is_last=_is_last(alpha))
        matrix = broken[np.arange(len(stages))[:, None], np.argsort(order, axis=1)]
        return pm.Deterministic("transition_matrix", matrix, dims=("stage_from", "stage_to"))

    def log_prior(
        self, stages: StageSpace, values: Parameters
    ) -> tuple[dict[str, Floats], list[str]]:
        """Log-density of the Dirichlet rows at posterior draws."""
        weights = self.alpha(stages)[stages.mask] - 1
        logs = np.log(np.maximum(values["transition_matrix"][:, stages.mask], 1e-300))
        return {"transition_matrix": logs @ weights}, []


def break_sticks(shares: "TensorVariable", is_last: Bools) -> "TensorVariable":
    """Turn shares of the remainder into probabilities: ``p_m = v_m * prod_{l<m} (1 - v_l)``.

    Computed through cumulated logarithms, whose gradient stays finite; that of a product may not.
    """
    import pytensor.tensor as pt

    log_kept = pt.log1p(-shares[:, :-1])
    log_left = pt.concatenate([pt.zeros_like(shares[:, :1]), pt.cumsum(log_kept, axis=1)], axis=1)
    return pt.where(is_last, 1.0, shares) * pt.exp(log_left)


def _stick_order(alpha: Floats) -> tuple[Ints, Floats, Bools]:
    """Sort each row: staying first, then the allowed moves, then the forbidden ones."""
    n = len(alpha)
    rank = np.where(np.eye(n, dtype=bool), 0, np.where(alpha > 0, 1, 2))
    order = np.argsort(rank, axis=1, kind="stable")
    ordered = np.take_along_axis(alpha, order, axis=1)
    return order, ordered, (ordered > 0) & ~_is_last(ordered)


def _is_last(ordered: Floats) -> Bools:
    """Mark the last allowed move of each row, which takes the remainder."""
    n_allowed = (ordered > 0).sum(axis=1)
    return np.arange(ordered.shape[1]) == (n_allowed - 1)[:, None]
