"""A multinomial logit per stage: covariates change the odds of each move against staying."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from crmlab.arrays import Floats
from crmlab.errors import check_one_of
from crmlab.stages import StageSpace
from crmlab.transitions.backend import Backend
from crmlab.transitions.base import Drivers
from crmlab.transitions.design import DIMS
from crmlab.transitions.effect_priors import SHARED, Groups, group_moves, normal_log_density
from crmlab.transitions.link import Link
from crmlab.transitions.with_covariates import DrivenTransitions

if TYPE_CHECKING:
    import xarray as xr
    from pytensor.tensor.variable import TensorVariable


@dataclass(frozen=True)
class CovariateLogit(DrivenTransitions):
    """Moves by multinomial logit, with staying as the reference.

    Parameters
    ----------
    covariates : sequence of str
        Variables of the panel, with dims among (customer_id, period): they may differ between
        customers, between periods, or both.
    effect_scale : float, sequence of float, or Horseshoe
        Prior scale of effects around 0 [log-odds per one unit of the covariate, as the panel holds
        it; nothing is standardised]: one for all, one per covariate, or `Horseshoe` where many
        covariates compete.
    typical_stay : float or sequence of K floats
        Typical probability of staying for one period, where all covariates are 0; the rest is
        spread evenly over the allowed moves.
    spread : float
        Prior scale of the base around the typical probabilities [log-odds].
    lag : {0, 1}
        0: a move takes the covariates of the period that it leads into. 1: of the period it leaves.
    customers : CustomerEffects, optional
        Customers differ beyond their covariates.
    segments : Segments, optional
        Groups of customers differ.
    shared : {"kind", "move", "origin", "all"}
        Which moves share an effect: those of one kind (forward, back, ...), none, those from one
        stage, or all.

    Notes
    -----
    ``log P_nt[i, j] / P_nt[i, i] = base[i, j] + sum_k x_ntk effect_k[group(i, j)] + u_n[...]`` for
    the moves i -> j that the space allows; the others have probability exactly 0. The posterior
    holds ``base_logits`` and, for each covariate, ``<covariate>_effect`` [log-odds per unit], both
    (stage, stage_to), and 0 where nothing moves.

    Examples
    --------
    >>> space = StageSpace(("new", "loyal", "lost"), moves=(("new", "loyal"), ("loyal", "lost")))
    >>> contacts = CovariateLogit(("contacts",), typical_stay=0.9)
    >>> contacts.posterior_names(space)
    ('base_logits', 'contacts_effect')
    >>> import numpy as np
    >>> effect = np.array([[0, 1.0, 0], [0, 0, -1.0], [0, 0, 0]])
    >>> draw = {"base_logits": np.zeros((3, 3)), "contacts_effect": effect}
    >>> contacts.matrices(space, draw, np.array([[[2.0]]]))[0, 0].round(3)
    array([[0.119, 0.881, 0.   ],
           [0.   , 0.881, 0.119],
           [0.   , 0.   , 1.   ]])
    """

    shared: str = "kind"
    offsets_are_log_odds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse hyper-parameters that make no prior."""
        check_one_of("CovariateLogit", "shared", self.shared, SHARED)
        super().__post_init__()

    def link(self, stages: StageSpace) -> Link:
        """Multinomial logit against staying."""
        return _MultinomialLogit(stages, self.typical_stay, self.spread)

    def drivers(self, stages: StageSpace, covariates: "xr.Dataset | None") -> Drivers | None:
        """Register the priors, and return the parts of the logits."""
        import pytensor.tensor as pt

        if self.design.is_empty:
            return None
        base, parameters, cells, by_customer = self._register(stages, covariates)
        groups, nothing = self.effects(stages).customer_groups, pt.zeros((0, *stages.mask.shape))
        effects = [parameters[f"{column}_effect"] for column in self.design.columns]
        return Drivers(
            pt.where(stages.mask, base, -np.inf),
            pt.stack(effects) if effects else nothing,
            cells,
            pt.constant(groups.indicators()) if groups and by_customer is not None else nothing,
            pt.zeros((1, 0)) if by_customer is None else by_customer,
        )


@dataclass(frozen=True)
class _MultinomialLogit(Link):
    """The softmax of the log-odds of each move against staying."""

    base_name: ClassVar[str] = "base_logits"

    def group(self, shared: str) -> Groups:
        return group_moves(self.stages, shared)

    def register(self) -> "TensorVariable":
        import pymc as pm
        import pytensor.tensor as pt

        moves, typical = self._typical
        logits = pt.zeros(self.stages.mask.shape)
        if len(typical):
            logits = logits[moves].set(pm.Normal("base_of_moves", typical, self.spread))
        return pm.Deterministic("base_logits", logits, dims=DIMS)

    @property
    def _typical(self) -> tuple[tuple[NDArray[np.intp], ...], Floats]:
        """The moves, and the log-odds against staying on which their prior is centred."""
        moves = np.nonzero(self.stages.mask & ~np.eye(len(self.stages), dtype=bool))
        probs = self.typical_probs
        return moves, np.log(probs[moves] / probs[moves[0], moves[0]])

    def probs(self, base: Any, push: Any, xp: Backend) -> Any:
        return xp.softmax(xp.where(self.stages.mask, base + push, -np.inf), axis=-1)

    def log_prior(self, base: Floats) -> Floats:
        moves, typical = self._typical
        return normal_log_density(base[:, moves[0], moves[1]], typical, self.spread)
