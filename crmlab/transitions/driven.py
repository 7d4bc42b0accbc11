"""What transition models with covariates share: all but the law that turns a push into moves.

Covariates, segments and customers add up to one *push* on the log-odds of a move (or on the
propensity of a stage). A subclass says what the push does to the probabilities.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crmlab.arrays import Floats
from crmlab.errors import SpecError, raise_problems
from crmlab.stages import StageSpace
from crmlab.transitions.base import Parameters, TransitionModel
from crmlab.transitions.design import (
    Segments,
    design_problems,
    design_remarks,
    mean_design,
    read_design,
)
from crmlab.transitions.effects import (
    CustomerEffects,
    Groups,
    Horseshoe,
    prior_problems,
    register_effects,
    scale_customers,
)
from crmlab.transitions.faces import Face, numpy_face, pytensor_face

if TYPE_CHECKING:
    import xarray as xr
    from pytensor.tensor.variable import TensorVariable

DIMS = ("stage", "stage_to")


@dataclass(frozen=True)
class DrivenTransitions(TransitionModel):
    """Moves that covariates, segments and customers push; its subclasses say how.

    Parameters
    ----------
    covariates : sequence of str
        Variables of the panel, with dims among (customer_id, period).
    effect_scale : float, sequence of float, or Horseshoe
        Prior scale of effects around 0 [log-odds per one unit of the covariate, as the panel holds
        it]: one for all, one per covariate, or `Horseshoe` where many covariates compete.
    typical_stay : float or sequence of K floats
        Typical probability of staying for one period in each stage, where the push is 0; what is
        left is spread evenly over the allowed moves.
    spread : float
        Prior scale around what is typical [log-odds].
    lag : {0, 1}
        0: a move takes the covariates of the period that it leads into. 1: of the period it leaves.
    customers : CustomerEffects, optional
        Customers differ beyond their covariates.
    segments : Segments, optional
        Groups of customers differ.
    """

    covariates: tuple[str, ...] = ()
    effect_scale: float | tuple[float, ...] | Horseshoe = 1.0
    typical_stay: float | tuple[float, ...] = 0.8
    spread: float = 1.5
    lag: int = 0
    customers: CustomerEffects | None = None
    segments: Segments | None = None

    def __post_init__(self) -> None:
        """Refuse knobs that make no prior."""
        names = (self.covariates,) if isinstance(self.covariates, str) else self.covariates
        object.__setattr__(self, "covariates", tuple(names))
        for knob in ("effect_scale", "typical_stay"):
            if isinstance(getattr(self, knob), (list, np.ndarray)):
                object.__setattr__(self, knob, tuple(np.ravel(getattr(self, knob)).tolist()))
        raise_problems(SpecError, type(self).__name__, self._problems())

    def _problems(self) -> list[str]:
        stay = np.asarray(self.typical_stay, dtype=float)
        problems = prior_problems(self.effect_scale, len(self.covariates))
        if len(set(self.columns)) < len(self.columns):
            problems.append(f"`covariates` must differ from each other, got {self.columns}")
        if not ((stay > 0) & (stay < 1)).all():
            problems.append(
                f"`typical_stay` must be probabilities above 0 and below 1, got {self.typical_stay}"
            )
        if not 0 < self.spread < np.inf:
            problems.append(f"`spread` must be finite and above 0, got {self.spread!r}")
        if self.lag not in (0, 1):
            problems.append(f"`lag` must be 0 or 1, got {self.lag!r}")
        return problems

    # What a subclass says ------------------------------------------------------------------------

    @abstractmethod
    def _groups(self, stages: StageSpace, shared: str | None = None) -> Groups:
        """Group the places that effects are added to."""

    @abstractmethod
    def _register_base(self, stages: StageSpace) -> "TensorVariable":
        """Register the priors of what moves are like without a push."""

    @property
    @abstractmethod
    def _base_name(self) -> str:
        """Name of the variable that `_register_base` gives."""

    @abstractmethod
    def _law(self, stages: StageSpace, base: Any, push: Any, face: Face) -> Any:
        """Turn a push (..., K[, K]) into transition matrices (..., K, K)."""

    # What follows --------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the covariates, segments included."""
        return (*self.covariates, *(self.segments.columns if self.segments else ()))

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables of the panel that the matrices depend on."""
        return (*self.covariates, *((self.segments.variable,) if self.segments else ()))

    @property
    def _is_driven(self) -> bool:
        return bool(self.columns) or self.customers is not None

    def n_customer_effects(self, stages: StageSpace) -> int:
        """Count the effects that each customer has of their own."""
        return len(self._customer_groups(stages).names) if self.customers else 0

    def _customer_groups(self, stages: StageSpace) -> Groups:
        return self._groups(stages, self.customers.shared)

    def posterior_names(self, stages: StageSpace) -> tuple[str, ...]:
        """Variables that the posterior holds for this part of a model."""
        names = [self._base_name, *(f"{column}_effect" for column in self.columns)]
        names += ["segment_sd"] if self.segments else []
        names += self.customers.names(self._customer_groups(stages)) if self.customers else []
        return (*names, *(() if self._is_driven else ("transition_matrix",)))

    def check(self, stages: StageSpace, panel: "xr.Dataset") -> list[str]:
        """Say what is wrong with the variables of a panel, place by place."""
        problems = design_problems(panel, self.covariates, self.lag)
        if self.segments and not problems:
            problems += self.segments.problems(panel)
        return problems

    def space_problems(self, stages: StageSpace) -> list[str]:
        """Say what does not fit the stages."""
        if np.ndim(self.typical_stay) and len(self.typical_stay) != len(stages):
            n, k = len(self.typical_stay), len(stages)
            return [f"`typical_stay` has {n} values for {k} stages"]
        return []

    def remarks(self, panel: "xr.Dataset") -> list[str]:
        """Say which covariates cannot, or can hardly, show an effect, and the way out."""
        scale = float(np.max(getattr(self.effect_scale, "slab_scale", self.effect_scale)))
        return design_remarks(panel, self.covariates, self.lag, scale)

    def read(self, covariates: "xr.Dataset | None") -> dict[str, Floats]:
        """Give the covariates of each move, and their means."""
        if not self._is_driven:
            return {}
        if covariates is None:
            raise SpecError(
                f"{type(self).__name__}: `covariates` must be a panel with {list(self.variables)}, "
                "got None"
            )
        apart = self.customers is not None
        design = read_design(covariates, self.covariates, self.segments, lag=self.lag, apart=apart)
        return {"covariates": design, "covariate_means": mean_design(design, covariates)}

    def matrix(self, stages: StageSpace, covariates: "xr.Dataset | None") -> "TensorVariable":
        """Register the priors, and give the matrices of every move."""
        import pymc as pm

        face = pytensor_face()
        base, parameters, design, own = self._register(stages, covariates)
        if not self._is_driven:
            matrix = self._law(stages, base, 0.0, face)
            return pm.Deterministic("transition_matrix", matrix, dims=("stage_from", "stage_to"))
        offsets = None if own is None else self._customer_groups(stages).spread(own, face)
        return self._law(stages, base, self._push(parameters, design, offsets, face), face)

    def _register(self, stages: StageSpace, covariates: "xr.Dataset | None") -> tuple:
        """Register all priors: the base, named parameters, design, and customers' own effects."""
        raise_problems(SpecError, type(self).__name__, self.space_problems(stages))
        data = {name: _data(name, values) for name, values in self.read(covariates).items()}
        face, base = pytensor_face(), self._register_base(stages)
        if not self._is_driven:
            return base, {}, None, None
        parameters = {self._base_name: base, **self._register_push(stages, face)}
        design = data["covariates"]
        return base, parameters, design, self._register_customers(stages, design.shape[0], face)

    def _register_customers(self, stages: StageSpace, n_customers: Any, face: Face) -> Any:
        """Register the customers' own effects (N, group); None if they are alike."""
        import pymc as pm

        size = self.n_customer_effects(stages)
        if not size:
            return None
        groups = self._customer_groups(stages)
        population = self.customers.register(groups, face, DIMS[: groups.index.ndim])
        normals = pm.Normal("customer_normals", shape=(n_customers, size))
        return scale_customers(population, normals, face)

    def _register_push(self, stages: StageSpace, face: Face) -> dict[str, "TensorVariable"]:
        """Register the effects of covariates and segments."""
        import pymc as pm

        groups = self._groups(stages)
        dims, size = DIMS[: groups.index.ndim], len(groups.names)
        tables, found = {}, {}
        if self.covariates and size:
            shape = (len(self.covariates), size)
            tables |= _by_name(self.covariates, "effects", self.effect_scale, shape)
        if self.segments and size:
            sd = pm.HalfNormal("segment_sd_by_group", self.segments.scale, shape=size)
            normals = pm.Normal("segment_normals", shape=(len(self.segments.columns), size))
            tables |= {n: normals[s] * sd for s, n in enumerate(self.segments.columns)}
            found["segment_sd"] = pm.Deterministic("segment_sd", groups.spread(sd, face), dims=dims)
        for name, effects in tables.items():
            spread = groups.spread(effects, face)
            found[f"{name}_effect"] = pm.Deterministic(f"{name}_effect", spread, dims=dims)
        return found

    def _push(self, parameters: Mapping, design: Any, offsets: Any, face: Face) -> Any:
        """Add up what covariates and customers do to each move (N or 1, moves or 1, K[, K])."""
        push = 0.0
        if self.columns:
            table = face.stack([parameters[f"{column}_effect"] for column in self.columns])
            push = face.tensordot(design, table, axes=[[-1], [0]])
        return push if offsets is None else push + offsets[:, None]

    def matrices(
        self,
        stages: StageSpace,
        parameters: Parameters,
        covariates: Floats | None = None,
        offsets: Floats | None = None,
    ) -> Floats:
        """Give the matrices of one posterior draw, in NumPy."""
        face = numpy_face()
        push = self._push(parameters, covariates, offsets, face)
        matrices = self._law(stages, parameters[self._base_name], push, face)
        return matrices.reshape((1,) * (4 - matrices.ndim) + matrices.shape)

    def customer_offsets(
        self, stages: StageSpace, parameters: Parameters, normals: Floats
    ) -> Floats | None:
        """Turn standard normals (N, effects) into what customers add to their logits."""
        if not self.n_customer_effects(stages):
            return None
        groups = self._customer_groups(stages)
        population = self.customers.read(groups, parameters)
        face = numpy_face()
        return groups.spread(scale_customers(population, normals, face), face)

    def typical_matrix(
        self, stages: StageSpace, parameters: Mapping[str, "TensorVariable"]
    ) -> "TensorVariable":
        """Transition matrix (K, K) at mean covariates, of a customer like the population."""
        face = pytensor_face()
        if not self._is_driven:
            return parameters["transition_matrix"]
        means = parameters["covariate_means"] if self.columns else None
        push = self._push(parameters, means, None, face)
        return self._law(stages, parameters[self._base_name], push, face)

    def typical_probs(self, stages: StageSpace) -> Floats:
        """Typical probabilities (K, K) without a push: stay, or leave evenly to all sides."""
        moves = stages.mask & ~np.eye(len(stages), dtype=bool)
        n_moves = moves.sum(axis=1)
        stay = np.where(n_moves > 0, np.asarray(self.typical_stay, dtype=float), 1.0)
        return np.diag(stay) + moves * ((1 - stay) / np.maximum(n_moves, 1))[:, None]


def _by_name(
    names: tuple[str, ...], variable: str, prior: Any, shape: tuple[int, int]
) -> dict[str, "TensorVariable"]:
    table = register_effects(variable, prior, shape)
    return {name: table[row] for row, name in enumerate(names)}


def _data(name: str, values: Floats) -> "TensorVariable":
    """Give data of the open model; whoever builds it may have registered them already."""
    import pymc as pm

    model = pm.modelcontext(None)
    return model[name] if name in model.named_vars else pm.Data(name, values)
