"""What the moves depend on, and the priors of these effects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crmlab.arrays import Floats, Ints
from crmlab.channels.base import slash_problems
from crmlab.errors import refuse
from crmlab.transitions.backend import Backend, numpy_backend
from crmlab.transitions.covariates import (
    Segments,
    design_problems,
    design_remarks,
    mean_design,
    read_design,
)
from crmlab.transitions.effect_priors import (
    CustomerEffects,
    EffectPrior,
    Groups,
    Horseshoe,
    normal_log_density,
    prior_problems,
    register_effects,
    scale_customers,
    typical_size,
)

if TYPE_CHECKING:
    import xarray as xr
    from pytensor.tensor.variable import TensorVariable

DIMS = ("stage", "stage_to")


@dataclass(frozen=True)
class Design:
    """What each move depends on: covariates, segments and the customer's own effects.

    Together they form one *push* on the log-odds of a move, or on the propensity of a stage.

    Parameters
    ----------
    covariates : sequence of str
        Variables of the panel, with dims among (customer_id, period).
    effect_scale : float, sequence of float, or Horseshoe
        Prior scale of effects around 0 [log-odds per one unit of the covariate, as the panel holds
        it]: one for all, one per covariate, or `Horseshoe` where many covariates compete.
    segments : Segments, optional
        Groups of customers differ.
    customers : CustomerEffects, optional
        Customers differ beyond their covariates.
    lag : {0, 1}
        0: a move takes the covariates of the period that it leads into. 1: of the period it leaves.

    Examples
    --------
    >>> Design(("contacts",), segments=Segments("region", ("north", "south"))).columns
    ('contacts', 'region_north', 'region_south')
    """

    covariates: tuple[str, ...] = ()
    effect_scale: EffectPrior = 1.0
    segments: Segments | None = None
    customers: CustomerEffects | None = None
    lag: int = 0

    def __post_init__(self) -> None:
        """Read one name as a tuple of one, and lists as tuples."""
        names = (self.covariates,) if isinstance(self.covariates, str) else self.covariates
        object.__setattr__(self, "covariates", tuple(names))
        object.__setattr__(self, "effect_scale", as_tuple(self.effect_scale))

    @property
    def problems(self) -> list[str]:
        """Problems of the specification; empty if there are none."""
        problems = prior_problems(self.effect_scale, len(self.covariates))
        if len(set(self.columns)) < len(self.columns):
            problems.append(f"`covariates` must differ from each other, got {self.columns}")
        problems += slash_problems("covariate name", self.columns)
        if self.lag not in (0, 1):
            problems.append(f"`lag` must be 0 or 1, got {self.lag!r}")
        return problems

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the covariates, segments included."""
        return (*self.covariates, *(self.segments.columns if self.segments else ()))

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables of the panel that are read."""
        return (*self.covariates, *((self.segments.variable,) if self.segments else ()))

    @property
    def is_empty(self) -> bool:
        """Whether all moves are alike."""
        return not self.columns and self.customers is None

    def check(self, panel: "xr.Dataset") -> list[str]:
        """List what is wrong with the variables of a panel, place by place; empty if nothing is."""
        problems = design_problems(panel, self.covariates, self.lag)
        if self.segments and not problems:
            problems += self.segments.problems(panel)
        return problems

    def emitted_problems(self, emitted: Sequence[str]) -> list[str]:
        """List covariates that stages emit in the period into which they drive the move."""
        return [
            f"covariate {name!r} is emitted by the stage of the period into which it drives the "
            "move, so it would explain itself: use lag=1, by which a move follows the period before"
            for name in self.covariates
            if name in emitted and self.lag == 0
        ]

    def remarks(self, panel: "xr.Dataset") -> list[str]:
        """List covariates that cannot, or can hardly, show an effect, each with the way out."""
        return design_remarks(panel, self.covariates, self.lag, typical_size(self.effect_scale))

    def read(self, panel: "xr.Dataset | None") -> dict[str, Floats]:
        """Return the covariates of each move and their means; nothing if all moves are alike."""
        if self.is_empty:
            return {}
        if panel is None:
            rule = f"a panel with {list(self.variables)}"
            refuse("matrix", "covariates", rule, None)
        apart = self.customers is not None
        cells = read_design(panel, self.covariates, self.segments, lag=self.lag, apart=apart)
        return {"covariates": cells, "covariate_means": mean_design(cells, panel)}

    def read_some(self, panel: "xr.Dataset", rows: Ints) -> dict[str, Floats]:
        """Do as `read` does, for some customers by position; the means are those of all."""
        found = self.read(panel)
        if len(found.get("covariates", ())) > 1:
            found["covariates"] = np.ascontiguousarray(found["covariates"][rows])
        return found

    def push(self, parameters: Mapping, cells: Any, offsets: Any, xp: Backend) -> Any:
        """Add up what covariates and customers do to each move (N or 1, moves or 1, K[, K])."""
        push = 0.0
        if self.columns:
            table = xp.stack([parameters[f"{column}_effect"] for column in self.columns])
            push = xp.tensordot(cells, table, axes=[[-1], [0]])
        return push if offsets is None else push + offsets[:, None]


class Effects(NamedTuple):
    """The effects of a design over one stage space: their names and priors.

    `groups` are the places that share the effect of a covariate, `customer_groups` those that
    share the effect of a customer.
    """

    design: Design
    groups: Groups
    customer_groups: Groups | None

    @property
    def names(self) -> tuple[str, ...]:
        """Variables that the posterior holds."""
        customers, groups = self.design.customers, self.customer_groups
        effects = tuple(f"{column}_effect" for column in self.design.columns)
        segments = ("segment_sd",) if self.design.segments else ()
        return (*effects, *segments, *(customers.names(groups) if customers and groups else ()))

    def register(self, xp: Backend) -> dict[str, "TensorVariable"]:
        """Register the effects of covariates and segments in the open model."""
        import pymc as pm

        covariates, segments = self.design.covariates, self.design.segments
        dims, size = DIMS[: self.groups.index.ndim], len(self.groups.names)
        tables: dict[str, Any] = {}
        found = {}
        if covariates and size:
            effects = register_effects("effects", self.design.effect_scale, (len(covariates), size))
            tables |= {name: effects[m] for m, name in enumerate(covariates)}
        if segments and size:
            sd = pm.HalfNormal("segment_sd_by_group", segments.scale, shape=size)
            normals = pm.Normal("segment_normals", shape=(len(segments.columns), size))
            tables |= {name: normals[s] * sd for s, name in enumerate(segments.columns)}
            spread = self.groups.spread(sd, xp)
            found["segment_sd"] = pm.Deterministic("segment_sd", spread, dims=dims)
        for name, effects in tables.items():
            spread = self.groups.spread(effects, xp)
            found[f"{name}_effect"] = pm.Deterministic(f"{name}_effect", spread, dims=dims)
        return found

    def register_customers(self, n_customers: Any, xp: Backend) -> Any:
        """Register the customers' own effects (N, group); None if they are alike."""
        import pymc as pm

        customers, groups = self.design.customers, self.customer_groups
        if not customers or not groups or not groups.names:
            return None
        population = customers.register(groups, xp, DIMS[: groups.index.ndim])
        normals = pm.Normal("customer_normals", shape=(n_customers, len(groups.names)))
        return scale_customers(population, normals, xp)

    def offsets(self, parameters: Mapping[str, Floats], normals: Floats) -> Floats | None:
        """Turn standard normals (N, group) into what customers add to their logits."""
        customers, groups, xp = self.design.customers, self.customer_groups, numpy_backend()
        if not customers or not groups or not groups.names:
            return None
        population = customers.read(groups, parameters)
        return groups.spread(scale_customers(population, normals, xp), xp)

    def log_prior(self, values: Mapping[str, Floats]) -> tuple[dict[str, Floats], list[str]]:
        """Log-density of the prior at posterior draws, each group once; and the parts left out."""
        design, found, left_out = self.design, {}, []
        gathered = {name: _gather(self.groups, values[f"{name}_effect"]) for name in design.columns}
        if isinstance(design.effect_scale, Horseshoe):
            left_out += [f"{name}_effect" for name in design.covariates]
        else:
            scales = np.broadcast_to(design.effect_scale, len(design.covariates))
            for name, scale in zip(design.covariates, scales, strict=True):
                found[f"{name}_effect"] = normal_log_density(gathered[name], 0.0, scale)
        if design.segments:
            sd = _gather(self.groups, values["segment_sd"])
            found["segment_sd"] = normal_log_density(sd, 0.0, design.segments.scale)
            for name in design.segments.columns:
                found[f"{name}_effect"] = normal_log_density(gathered[name], 0.0, sd)
        if design.customers and self.customer_groups:
            sd = _gather(self.customer_groups, values["customer_sd"])
            found["customer_sd"] = normal_log_density(sd, 0.0, design.customers.scale)
            left_out += [name for name in values if name.startswith("customer_corr_")]
        return found, left_out


def as_tuple(value: Any) -> Any:
    """Return lists and arrays as tuples, so that specifications compare and print."""
    return tuple(np.ravel(value).tolist()) if isinstance(value, (list, np.ndarray)) else value


def _gather(groups: Groups, draws: Floats) -> Floats:
    """Each group's effect once, draw by draw."""
    return np.stack([groups.gather(draw) for draw in draws])
