"""An ordered logit per stage: one propensity to rise, cut by thresholds into destinations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from crmlab.arrays import Bools, Floats, Ints
from crmlab.errors import check_one_of
from crmlab.stages import StageSpace
from crmlab.transitions.backend import Backend
from crmlab.transitions.design import DIMS, as_tuple
from crmlab.transitions.effect_priors import Groups, group_origins, normal_log_density
from crmlab.transitions.link import Link
from crmlab.transitions.with_covariates import DrivenTransitions

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

_SHARED = ("origin", "all")


@dataclass(frozen=True)
class OrderedLogit(DrivenTransitions):
    """Moves by ordered logit: covariates push customers up or down the list of stages.

    Parameters
    ----------
    covariates, typical_stay, lag, segments
        As in `CovariateLogit`.
    effect_scale : float, sequence of float, or Horseshoe
        Prior scale of effects around 0 [log-odds of going higher, per one unit].
    spread : float
        Prior scale of the lowest threshold of each stage [log-odds]; the logarithms of the gaps
        above it have half of it.
    customers : CustomerEffects, optional
        With `shared` "origin" (an effect in each stage) or "all" (one propensity to rise).
    shared : {"origin", "all"}
        Whether each stage has its own effects ("origin") or all share them ("all").
    low_to_high : sequence of K str, optional
        The stages from the lowest to the highest; in the order of the space if left out.

    Notes
    -----
    From stage k, with the allowed destinations in order, propensity ``a = x' rho_k + u_n`` and the
    logistic function L,

        P(k -> lowest) = L(mu_k1 - a),  P(k -> l) = L(mu_kl - a) - L(mu_k,l-1 - a),
        P(k -> highest) = 1 - L(mu_k,last - a),  mu_kl = mu_k,l-1 + exp(gap_kl)

    (Netzer, Lattin and Srinivasan 2008, *Marketing Science* 27(2), section 2; the thresholds there
    cut all K stages, here the allowed ones). The posterior holds ``thresholds`` (stage, stage_to),
    the upper threshold of each destination but the highest, elsewhere 0; and for each covariate
    ``<covariate>_effect`` (stage,).

    Examples
    --------
    >>> space = StageSpace(("low", "middle", "high"))
    >>> model = OrderedLogit(("event",))
    >>> import numpy as np
    >>> cuts = np.array([[-1.5, 1.0, 0.0]] * 3)
    >>> draw = {"thresholds": cuts, "event_effect": np.full(3, 1.2)}
    >>> model.matrices(space, draw, np.array([[[0.0]], [[1.0]]]))[:, 0, 1].round(4)
    array([[0.1824, 0.5486, 0.2689],
           [0.063 , 0.3872, 0.5498]])
    """

    shared: str = "origin"
    low_to_high: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse hyper-parameters that make no prior."""
        check_one_of("OrderedLogit", "shared", self.shared, _SHARED)
        if self.customers is not None:
            check_one_of("OrderedLogit", "customers.shared", self.customers.shared, _SHARED)
        object.__setattr__(self, "low_to_high", as_tuple(self.low_to_high))
        super().__post_init__()

    def space_problems(self, stages: StageSpace) -> list[str]:
        """List what does not fit the stages."""
        problems = super().space_problems(stages)
        given = self.low_to_high or stages.names
        if sorted(given) != sorted(stages.names):
            problems.append(
                f"`low_to_high` must list the stages {list(stages.names)}, each once, "
                f"got {list(given)}"
            )
        return problems

    def link(self, stages: StageSpace) -> Link:
        """Ordered logit over the allowed destinations."""
        names = self.low_to_high or stages.names
        order = tuple(stages.index(name) for name in names)
        return _OrderedLogit(stages, self.typical_stay, self.spread, order)


@dataclass(frozen=True)
class _OrderedLogit(Link):
    """The logistic curve, cut by thresholds into the allowed destinations."""

    order: tuple[int, ...]

    base_name: ClassVar[str] = "thresholds"

    def group(self, shared: str) -> Groups:
        return group_origins(self.stages, shared)

    @property
    def _ladder(self) -> "_Ladder":
        return _climb(self.stages.mask, np.array(self.order))

    def register(self) -> "TensorVariable":
        import pymc as pm
        import pytensor.tensor as pt

        ladder = self._ladder
        cuts = pt.zeros(self.stages.mask.shape)
        if len(ladder.places[0]):
            lowest, log_gaps = ladder.typical(self.typical_probs)
            height = ladder.from_lowest @ pm.Normal("lowest_thresholds", lowest, self.spread)
            if len(log_gaps):
                gaps = pm.Normal("log_gaps", log_gaps, self.spread / 2)
                height = height + ladder.from_gaps @ pt.exp(gaps)
            cuts = cuts[ladder.places].set(height)
        return pm.Deterministic("thresholds", cuts, dims=DIMS)

    def probs(self, base: Any, push: Any, xp: Backend) -> Any:
        """Multiply three factors instead of subtracting: no probability is lost to rounding.

        ``L(u) - L(l) = L(u) L(-l) (1 - exp(l - u))``.
        """
        ladder = self._ladder
        push = push[..., None] if np.ndim(push) else push
        lower = base[np.arange(len(self.stages))[:, None], ladder.below]
        below_upper = xp.where(ladder.is_highest, 1.0, xp.sigmoid(base - push))
        above_lower = xp.where(ladder.is_lowest, 1.0, xp.sigmoid(push - lower))
        is_between = ~ladder.is_highest & ~ladder.is_lowest
        width = xp.where(is_between, -xp.expm1(lower - base), 1.0)
        return xp.where(self.stages.mask, below_upper * above_lower * width, 0.0)

    def log_prior(self, base: Floats) -> Floats:
        """Give the lowest thresholds, and the logarithms of the gaps above them, normal priors."""
        ladder = self._ladder
        lowest, log_gaps = ladder.typical(self.typical_probs)
        starts, gaps = ladder.split(base[:, *ladder.places])
        return normal_log_density(starts, lowest, self.spread) + normal_log_density(
            np.log(gaps), log_gaps, self.spread / 2
        )


class _Ladder(NamedTuple):
    """The allowed destinations of each stage, from low to high.

    `places` are the rows and columns of the thresholds: all destinations but the highest, row by
    row, rising. They are ``from_lowest @ lowest + from_gaps @ gaps``.
    """

    order: Ints  # (K,) stages from low to high
    below: Ints  # (K, K) the next lower destination, or the same
    is_lowest: Bools  # (K, K)
    is_highest: Bools
    places: tuple[Ints, Ints]
    from_lowest: Floats  # (thresholds, stages that can be left)
    from_gaps: Floats  # (thresholds, gaps)

    def typical(self, probs: Floats) -> tuple[Floats, Floats]:
        """Lowest thresholds and logarithms of the gaps at which the moves have `probs`."""
        below = np.empty_like(probs)
        below[:, self.order] = np.cumsum(probs[:, self.order], axis=1)
        cuts = np.log(below[self.places] / (1 - below[self.places]))
        starts, gaps = self.split(cuts)
        return starts, np.log(gaps)

    def split(self, cuts: Floats) -> tuple[Floats, Floats]:
        """Split thresholds (..., threshold) into the lowest of each stage and the gaps above."""
        starts = self.from_gaps.sum(axis=1) == 0
        return cuts[..., starts], np.diff(cuts)[..., ~starts[1:]]


def _climb(mask: Bools, order: Ints) -> _Ladder:
    """Find each stage's ladder in a space."""
    below, places = np.tile(np.arange(len(mask)), (len(mask), 1)), []
    is_lowest, is_highest = np.zeros_like(mask), np.zeros_like(mask)
    for k, allowed in enumerate(mask):
        rungs = order[allowed[order]]
        below[k, rungs[1:]] = rungs[:-1]
        is_lowest[k, rungs[0]] = is_highest[k, rungs[-1]] = True
        places += [(k, rung) for rung in rungs[:-1]]
    rows, columns = np.array(places, dtype=int).reshape(-1, 2).T
    starts = np.append(True, np.diff(rows) > 0)[: len(rows)]
    same_row = (rows[:, None] == rows) & (np.arange(len(rows)) <= np.arange(len(rows))[:, None])
    steps = same_row.astype(float)
    return _Ladder(
        order, below, is_lowest, is_highest, (rows, columns), steps[:, starts], steps[:, ~starts]
    )
