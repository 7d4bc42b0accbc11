"""Transition models with covariates: a design, its effects, and a link to probabilities."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.stages import StageSpace
from crmlab.transitions.backend import numpy_backend, pytensor_backend
from crmlab.transitions.base import Parameters, TransitionModel
from crmlab.transitions.covariates import Segments
from crmlab.transitions.design import Design, Effects, as_tuple
from crmlab.transitions.effect_priors import CustomerEffects, EffectPrior
from crmlab.transitions.link import Link

if TYPE_CHECKING:
    import xarray as xr
    from pytensor.tensor.variable import TensorVariable


@dataclass(frozen=True)
class DrivenTransitions(TransitionModel):
    """Moves that depend on covariates, segments and customers; a subclass defines the `link`.

    Parameters
    ----------
    covariates, effect_scale, lag, customers, segments
        What each move depends on, as in `Design`.
    typical_stay : float or sequence of K floats
        Typical probability of staying for one period in each stage, where the push is 0; the rest
        is spread evenly over the allowed moves.
    spread : float
        Prior scale around the typical probabilities [log-odds].
    shared : str
        Which moves share an effect; the link defines the options.
    """

    covariates: tuple[str, ...] = ()
    effect_scale: EffectPrior = 1.0
    typical_stay: float | tuple[float, ...] = 0.8
    spread: float = 1.5
    lag: int = 0
    customers: CustomerEffects | None = None
    segments: Segments | None = None
    shared: str = "all"

    def __post_init__(self) -> None:
        """Refuse hyper-parameters that make no prior."""
        design = self.design
        object.__setattr__(self, "covariates", design.covariates)
        object.__setattr__(self, "effect_scale", design.effect_scale)
        object.__setattr__(self, "typical_stay", as_tuple(self.typical_stay))
        problems = design.problems
        problems += number_problems({"typical_stay": self.typical_stay}, above=0, below=1)
        problems += number_problems({"spread": self.spread}, above=0)
        raise_problems(SpecError, type(self).__name__, problems)

    @abstractmethod
    def link(self, stages: StageSpace) -> Link:
        """Return how the log-odds become probabilities of moving between these stages."""

    @property
    def design(self) -> Design:
        """What each move depends on."""
        return Design(self.covariates, self.effect_scale, self.segments, self.customers, self.lag)

    def effects(self, stages: StageSpace) -> Effects:
        """Return the effects of the design between these stages."""
        group, customers = self.link(stages).group, self.customers
        own = group(customers.shared) if customers else None
        return Effects(self.design, group(self.shared), own)

    def n_customer_effects(self, stages: StageSpace) -> int:
        """Count the effects that each customer has of their own."""
        groups = self.effects(stages).customer_groups
        return len(groups.names) if groups else 0

    def posterior_names(self, stages: StageSpace) -> tuple[str, ...]:
        """Variables that the posterior holds for this part of a model."""
        names = (self.link(stages).base_name, *self.effects(stages).names)
        return (*names, "transition_matrix") if self.design.is_empty else names

    def space_problems(self, stages: StageSpace) -> list[str]:
        """List what does not fit the stages."""
        n, k = np.size(self.typical_stay), len(stages)
        problems = []
        if np.ndim(self.typical_stay) and n != k:
            problems.append(f"`typical_stay` has {n} values for {k} stages")
        if not self.design.is_empty and (stages.mask.sum(axis=1) <= 1).all():
            problems.append(
                "nothing can move in this space, so nothing can drive a move: allow moves, or "
                "leave `covariates`, `segments` and `customers` out"
            )
        return problems

    def matrix(self, stages: StageSpace, covariates: "xr.Dataset | None") -> "TensorVariable":
        """Register the priors, and return the matrices of every move."""
        import pymc as pm

        xp, link = pytensor_backend(), self.link(stages)
        base, parameters, cells, by_customer = self._register(stages, covariates)
        if self.design.is_empty:
            matrix = link.probs(base, 0.0, xp)
            return pm.Deterministic("transition_matrix", matrix, dims=("stage_from", "stage_to"))
        groups = self.effects(stages).customer_groups
        offsets = groups.spread(by_customer, xp) if groups and by_customer is not None else None
        return link.probs(base, self.design.push(parameters, cells, offsets, xp), xp)

    def _register(self, stages: StageSpace, covariates: "xr.Dataset | None") -> tuple:
        """Register all priors: the base, named parameters, design, and customers' own effects."""
        raise_problems(SpecError, type(self).__name__, self.space_problems(stages))
        data = {name: _data(name, cells) for name, cells in self.design.read(covariates).items()}
        xp, link, effects = pytensor_backend(), self.link(stages), self.effects(stages)
        base = link.register()
        if self.design.is_empty:
            return base, {}, None, None
        parameters = {link.base_name: base, **effects.register(xp)}
        cells = data["covariates"]
        return base, parameters, cells, effects.register_customers(cells.shape[0], xp)

    def matrices(
        self,
        stages: StageSpace,
        parameters: Parameters,
        covariates: Floats | None = None,
        offsets: Floats | None = None,
    ) -> Floats:
        """Return the matrices of one posterior draw, in NumPy."""
        xp, link = numpy_backend(), self.link(stages)
        push = self.design.push(parameters, covariates, offsets, xp)
        matrices = link.probs(parameters[link.base_name], push, xp)
        return matrices.reshape((1,) * (4 - matrices.ndim) + matrices.shape)

    def customer_offsets(
        self, stages: StageSpace, parameters: Parameters, normals: Floats
    ) -> Floats | None:
        """Turn standard normals (N, effects) into what customers add to their logits."""
        return self.effects(stages).offsets(parameters, normals)

    def typical_matrix(
        self, stages: StageSpace, parameters: Mapping[str, "TensorVariable"]
    ) -> "TensorVariable":
        """Transition matrix (K, K) of an average customer at mean covariates."""
        if self.design.is_empty:
            return parameters["transition_matrix"]
        xp, link = pytensor_backend(), self.link(stages)
        means = parameters["covariate_means"] if self.design.columns else None
        push = self.design.push(parameters, means, None, xp)
        return link.probs(parameters[link.base_name], push, xp)

    def log_prior(
        self, stages: StageSpace, values: Parameters
    ) -> tuple[dict[str, Floats], list[str]]:
        """Log-density of the prior at posterior draws; correlations and horseshoes are left out."""
        link = self.link(stages)
        effects, left_out = self.effects(stages).log_prior(values)
        return {link.base_name: link.log_prior(values[link.base_name]), **effects}, left_out


def _data(name: str, values: Floats) -> "TensorVariable":
    """Return data of the open model, which may have been registered already."""
    import pymc as pm

    model = pm.modelcontext(None)
    return model[name] if name in model.named_vars else pm.Data(name, values)
