"""What moves share: groups of moves with one effect, and the priors of effects.

An effect is a number of log-odds per unit of a covariate. Moves that share an effect form a
*group*: those of one kind (forward, back, ...), those from one stage, all, or each move alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crmlab.arrays import Bools, Floats, Ints, number_problems
from crmlab.errors import SpecError, check_one_of, raise_problems, refuse
from crmlab.stages import StageSpace
from crmlab.transitions.backend import Backend

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

SHARED = ("kind", "move", "origin", "all")


@dataclass(frozen=True)
class Groups:
    """Which moves share an effect.

    `index` has the shape of what the effects are added to, (K, K) for moves or (K,) for origins,
    and is ``len(names)`` where there is no effect.
    """

    names: tuple[str, ...]
    index: Ints

    def spread(self, effects: Any, xp: Backend) -> Any:
        """Assign each place its group's effect: (..., group) to (..., K[, K])."""
        longer = xp.concatenate([effects, 0.0 * effects[..., :1]], axis=-1)
        return longer[..., self.index]

    def indicators(self) -> Floats:
        """1 where a group's effect is added, and 0 elsewhere: (group, K[, K])."""
        numbers = np.arange(len(self.names)).reshape(-1, *(1,) * self.index.ndim)
        return (self.index == numbers).astype(float)

    def gather(self, spread: Any) -> Any:
        """Undo `spread`: (K[, K]) to (group,)."""
        first = [int(np.argmax(self.index.ravel() == g)) for g in range(len(self.names))]
        return spread[np.unravel_index(first, self.index.shape)]


def group_moves(stages: StageSpace, shared: str) -> Groups:
    """Group the allowed moves; staying, the reference, is in no group.

    Moves of one kind that go both up and down the list of stages are two groups.

    Examples
    --------
    >>> group_moves(StageSpace(("dormant", "active")), "kind")
    Groups(names=('back', 'forward'), index=array([[2, 1],
           [0, 2]]))
    """
    names = np.array(stages.names, dtype=object)
    words = {
        "kind": _kinds_by_direction(stages),
        "move": names[:, None] + "_" + names[None, :],
        "origin": np.broadcast_to(names[:, None], stages.mask.shape),
        "all": np.full(stages.mask.shape, "moving", dtype=object),
    }[shared]
    return _number(words, stages.mask & ~np.eye(len(stages), dtype=bool))


def _kinds_by_direction(stages: StageSpace) -> NDArray[np.object_]:
    """Kinds of move, where one that is stated for moves up and moves down is made two."""
    words = stages.kinds.copy()
    down = np.tril(np.ones(words.shape, dtype=bool), -1)
    for kind in ("forward", "back", "skip", "drop"):
        of_kind = words == kind
        if (of_kind & down).any() and (of_kind & ~down).any():
            words[of_kind & down] = f"{kind}_down"
    return words


def group_origins(stages: StageSpace, shared: str) -> Groups:
    """Group the stages that can be left: each alone ("origin") or all together ("all")."""
    words = np.array(stages.names if shared == "origin" else ["moving"] * len(stages), dtype=object)
    return _number(words, stages.mask.sum(axis=1) > 1)


def _number(words: NDArray[np.object_], used: Bools) -> Groups:
    names = sorted({str(word) for word in words[used]})
    index = np.full(words.shape, len(names))
    for number, name in enumerate(names):
        index[used & (words == name)] = number
    return Groups(tuple(names), index)


# Priors of effects --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Horseshoe:
    """A prior for many covariates of which few matter: most effects shrink to 0, some stay.

    Parameters
    ----------
    n_matter : float
        Number of effects that are expected to matter.
    n_moves : float
        Rough number of observed moves; the more there are, the harder the prior shrinks effects
        that they do not support.
    slab_scale : float
        Typical size of an effect that matters [log-odds per unit].

    Notes
    -----
    ``effect = tau * lam~ * z``, ``z ~ Normal(0, 1)``, ``lam ~ HalfCauchy(1)``,
    ``tau ~ HalfCauchy(n_matter / (D - n_matter) * 2 / sqrt(n_moves))``,
    ``lam~^2 = c^2 lam^2 / (c^2 + tau^2 lam^2)``, ``c^2 ~ InvGamma(2, 2 slab_scale^2)``
    (Piironen and Vehtari 2017, *Electronic Journal of Statistics* 11, with the
    pseudo-deviation 2 of a logistic model; from memory).

    Examples
    --------
    >>> Horseshoe(n_matter=2, n_moves=400).tau_scale(12)
    0.02
    """

    n_matter: float = 2.0
    n_moves: float = 1000.0
    slab_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers that are not above 0."""
        raise_problems(SpecError, "Horseshoe", number_problems(vars(self), above=0))

    def tau_scale(self, n_effects: int) -> float:
        """Scale of the common factor, for `n_effects` effects in all."""
        matter = min(self.n_matter, 0.5 * n_effects)
        return float(matter / (n_effects - matter) * 2 / np.sqrt(self.n_moves))

    def register(self, name: str, shape: tuple[int, int]) -> "TensorVariable":
        """Register the prior of a table of effects in the open model."""
        import pymc as pm
        import pytensor.tensor as pt

        common = pm.HalfCauchy(f"{name}_common", self.tau_scale(int(np.prod(shape))))
        local = pm.HalfCauchy(f"{name}_local", 1.0, shape=shape)
        slab = pm.InverseGamma(f"{name}_slab", 2.0, 2.0 * self.slab_scale**2)
        free = common * local
        return pm.Normal(f"{name}_raw", shape=shape) * free * pt.sqrt(slab / (slab + free**2))


EffectPrior = float | tuple[float, ...] | Horseshoe


def register_effects(name: str, prior: EffectPrior, shape: tuple[int, int]) -> "TensorVariable":
    """Register effects (covariate, group): normal around 0 with one scale or one per covariate."""
    import pymc as pm

    if isinstance(prior, Horseshoe):
        return prior.register(name, shape)
    scales = np.broadcast_to(np.asarray(prior, dtype=float), shape[:1])
    return pm.Normal(name, 0.0, scales[:, None], shape=shape)


def prior_problems(prior: EffectPrior, n_covariates: int) -> list[str]:
    """Say what is wrong with the scales of normal effects."""
    if isinstance(prior, Horseshoe):
        return []
    scales = np.asarray(prior, dtype=float)
    if scales.shape in ((), (n_covariates,)) and (scales > 0).all() and np.isfinite(scales).all():
        return []
    return [
        f"`effect_scale` must be a Horseshoe, or finite and above 0: one number or one per "
        f"covariate ({n_covariates}); got {prior!r}"
    ]


def typical_size(prior: EffectPrior) -> float:
    """Return the typical size of effects [log-odds per unit]."""
    scales = prior.slab_scale if isinstance(prior, Horseshoe) else prior
    return float(np.max(scales))


def normal_log_density(values: Floats, centre: Floats | float, scale: Floats | float) -> Floats:
    """Log-density of independent normals, summed over all but the draws, up to a constant."""
    scale = np.broadcast_to(scale, values.shape)
    terms = -0.5 * ((values - centre) / scale) ** 2 - np.log(scale)
    return terms.reshape(len(values), -1).sum(axis=1)


# Customers who differ -----------------------------------------------------------------------------


@dataclass(frozen=True)
class CustomerEffects:
    """Customers differ in how they move, beyond what the covariates say.

    Parameters
    ----------
    shared : {"kind", "move", "origin", "all"}
        A customer has one effect for each kind of move, each move or each stage left, or only one.
        `OrderedLogit` allows "origin" and "all".
    scale : float
        Prior scale of the standard deviations between customers [log-odds].
    correlated : bool
        Whether a customer's effects may be correlated with each other.

    Notes
    -----
    ``u_n = sd * (L z_n)``, ``z_n ~ Normal(0, 1)``, ``sd ~ HalfNormal(scale)``; L is the identity or
    the Cholesky factor of a correlation matrix with the LKJ(2) prior. The z are what is sampled
    (non-centred); the posterior keeps the standard deviations and correlations. Predictions
    integrate over each customer's effects, given what was seen of the customer.

    Examples
    --------
    >>> CustomerEffects(shared="all", scale=1.0).correlated
    False
    """

    shared: str = "kind"
    scale: float = 0.5
    correlated: bool = False

    def __post_init__(self) -> None:
        """Refuse groups that do not exist and scales that are not above 0."""
        check_one_of("CustomerEffects", "shared", self.shared, SHARED)
        if not 0 < self.scale < np.inf:
            rule = "finite and above 0"
            refuse("CustomerEffects", "scale", rule, self.scale)

    def names(self, groups: Groups) -> tuple[str, ...]:
        """Posterior variables that describe the population."""
        if not groups.names:
            return ()
        correlations = groups.names if self.correlates(groups) else ()
        return ("customer_sd", *(f"customer_corr_{name}" for name in correlations))

    def correlates(self, groups: Groups) -> bool:
        """Whether there are at least two effects to correlate."""
        return self.correlated and len(groups.names) > 1

    def register(self, groups: Groups, xp: Backend, dims: Sequence[str]) -> tuple[Any, Any]:
        """Register the population's priors; return its standard deviations and its factor L."""
        import pymc as pm

        size = len(groups.names)
        sd = pm.HalfNormal("customer_sd_by_group", self.scale, shape=size)
        pm.Deterministic("customer_sd", groups.spread(sd, xp), dims=dims)
        if not self.correlates(groups):
            return sd, None
        factor = _lkj_factor("customer_corr_partial", size, eta=2.0)
        for g, name in enumerate(groups.names):
            correlations = groups.spread((factor * factor[g]).sum(axis=1), xp)
            pm.Deterministic(f"customer_corr_{name}", correlations, dims=dims)
        return sd, factor

    def read(
        self, groups: Groups, parameters: Mapping[str, Floats]
    ) -> tuple[Floats, Floats | None]:
        """Read standard deviations and factor of one posterior draw."""
        sd = groups.gather(parameters["customer_sd"])
        if not self.correlates(groups):
            return sd, None
        rows = [groups.gather(parameters[f"customer_corr_{name}"]) for name in groups.names]
        return sd, np.linalg.cholesky(np.stack(rows))


def scale_customers(population: tuple, normals: Any, xp: Backend) -> Any:
    """Turn standard normals (N, group) into the customers' effects (N, group)."""
    sd, factor = population
    effects = normals if factor is None else xp.tensordot(normals, factor, axes=[[1], [1]])
    return effects * sd


def _lkj_factor(name: str, size: int, eta: float) -> "TensorVariable":
    """Cholesky factor of a correlation matrix with the LKJ prior.

    Partial correlations are independent, ``(z_ij + 1) / 2 ~ Beta(b_j, b_j)`` with
    ``b_j = eta + (size - 2 - j) / 2``, and ``L_ij = z_ij prod_{l<j} sqrt(1 - z_il^2)``
    (Lewandowski, Kurowicka and Joe 2009, *J. Multivariate Analysis* 100; from memory, tested
    against the marginal distribution of a correlation). PyMC's own `LKJCorr` needs a compiler.
    """
    import pymc as pm
    import pytensor.tensor as pt

    rows, columns = np.tril_indices(size, -1)
    shape = eta + (size - 2 - columns) / 2
    partial = 2 * pm.Beta(name, shape, shape) - 1
    table = pt.zeros((size, size))[rows, columns].set(partial)
    left = pt.cumprod(pt.sqrt(1 - table**2), axis=1)
    before = pt.concatenate([pt.ones((size, 1)), left[:, :-1]], axis=1)
    return (table + pt.eye(size)) * before
