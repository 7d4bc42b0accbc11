"""Contracts: what a channel, a transition model, a world or a model of your own must keep to.

Each extension point has one check. Write a subclass, call its check in a test of your own, and
every function of crmlab can be used with it. A check that passes returns nothing.

`check_channel`            `sample` and `dist` are one distribution, in every stage
`check_transition_model`   matrices are stochastic and make no move that the space forbids
`check_generator`          nobody changes when others are simulated too
`check_policy`             propensities that depend on each customer alone
`check_model`              the posterior is complete, its gradient right, its customers alike
=========================  ====================================================================
=======
* `check_channel`: `sample` and `dist` are the same distribution in every stage
* `check_transition_model`: matrices are stochastic and make no move that the space forbids
* `check_generator`: nobody changes when others are simulated too
* `check_policy`: propensities depend on each customer alone
* `check_model`: the posterior is complete, its gradient right, the order of customers irrelevant
* `ContractError`: what a check raises, with all breaches at once
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy import special

from crmlab.actions import FirmView, Policy, check_propensities
from crmlab.arrays import Floats, Ints
from crmlab.channels import Channel
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.generators.base import Generator, simulate
from crmlab.models.base import StageModel, coords
from crmlab.stages import StageSpace
from crmlab.streams import Streams
from crmlab.tables import CustomerTables
from crmlab.transitions import TransitionModel

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.compile.mode import Mode
    from pytensor.tensor.variable import TensorVariable

__all__ = [
    "ContractError", "check_channel", "check_generator", "check_model", "check_policy",
    "check_transition_model",
]  # fmt: skip

# A chi-square test at this level raises a false alarm once in a million stages.
SIZE = 1e-6
_FEWEST = 5  # draws expected in a cell of the test
_N_BINS = 20


class ContractError(AssertionError, ValueError):
    """A part of a user's own breaks the contract of its base class."""


# Channels -----------------------------------------------------------------------------------------


def check_channel(channel: Channel, space: StageSpace, *, seed: int, n_draws: int = 20_000) -> None:
    """Check that `sample` and `dist` of a channel are one distribution in every stage.

    Parameters that the channel knows are used as they are; the others are drawn once from their
    priors. Draws of `sample` (and of `dist`, if it can draw) are counted in cells and held against
    the log-density of `dist` by a chi-square test of size `SIZE`.

    Parameters
    ----------
    channel : Channel
    space : StageSpace
    seed : int
        Of the uniforms and the prior draw.
    n_draws : int
        Draws per stage. At 20 000, a share that is off by two percentage points is seen.

    Raises
    ------
    ContractError
        With every breach: parameters without a value per stage, values outside the channel's own
        support, a `sample` that does not rise with its uniform, distributions that differ (naming
        the stage and the worst cell).

    Examples
    --------
    >>> from crmlab.channels import Bernoulli
    >>> space = StageSpace(("dormant", "active"))
    >>> check_channel(Bernoulli("renewal", prob=(0.1, 0.7)), space, seed=1, n_draws=500)
    """
    owner = f"{type(channel).__name__}({channel.name!r})"
    parameters = _draw_parameters(channel, space, seed)
    raise_problems(ContractError, owner, list(_parameter_breaches(channel, space, parameters)))
    stages = np.repeat(np.arange(len(space))[:, None], n_draws, axis=1)
    given = {name: value[stages] for name, value in parameters.items()}
    u = Streams(seed).uniforms(channel.name, np.arange(n_draws), stages, channel.n_uniforms)
    draws = channel.sample(u, **given)
    raise_problems(ContractError, owner, list(_sample_breaches(channel, u, draws, given)))
    sources = {"sample": draws, "dist": _draw_dist(channel, given, seed)}
    raise_problems(
        ContractError,
        owner,
        [
            f"in stage {space.names[k]!r}, {breach}"
            for source, values in sources.items()
            if values is not None
            for k in range(len(space))
            for breach in _dist_breaches(
                channel, source, values[k], _read_dist(channel, parameters, k)
            )
        ],
    )


def _draw_parameters(channel: Channel, space: StageSpace, seed: int) -> dict[str, Floats]:
    priors = channel.parameters(space)
    drawn = _draw(list(priors.values()), seed)
    return {**{n: np.asarray(v) for n, v in zip(priors, drawn, strict=True)}, **channel.known}


def _parameter_breaches(
    channel: Channel, space: StageSpace, parameters: Mapping[str, Floats]
) -> Iterator[str]:
    wanted, priors = channel.parameter_names, channel.parameters(space)
    if set(priors) != set(wanted):
        yield f"`parameters` gives priors of {sorted(priors)}, `sample` takes {sorted(wanted)}"
    for name, value in parameters.items():
        if value.shape[:1] != (len(space),):
            yield f"`{name}` has shape {value.shape}: its first axis must hold {len(space)} stages"
        if not np.isfinite(value).all():
            yield f"the prior of `{name}` gives values that are not finite"
    for name, prior in priors.items():
        if prior.name is not None:
            yield f"the prior of `{name}` has the name {prior.name!r}: models give the names"


def _sample_breaches(
    channel: Channel, u: Floats, draws: Floats, given: Mapping[str, Floats]
) -> Iterator[str]:
    expected = u.shape if channel.n_uniforms == 1 else u.shape[1:]
    if np.shape(draws) != expected:
        yield f"`sample` gives shape {np.shape(draws)} for uniforms of shape {u.shape}"
        return
    if not np.array_equal(draws, channel.sample(u, **given), equal_nan=True):
        yield "`sample` gives other values when it is called again: `u` alone may decide"
    seen = draws[~np.isnan(draws)]
    outside = seen[~channel.supports(seen)]
    if len(outside):
        yield f"`sample` gives {outside[0]:g}, but values must be {channel.support}"
    if channel.n_uniforms == 1:
        falls = np.diff(np.take_along_axis(draws, np.argsort(u, axis=1), axis=1), axis=1) < 0
        if falls.any():
            yield "`sample` falls while `u` rises: it must invert the distribution function"
    if set(channel.known) == set(given):
        sampler = channel.sampler(lambda loop: loop)
        again = np.stack(
            [sampler(u[..., k, :], np.full(row.shape, k)) for k, row in enumerate(draws)]
        )
        if not np.array_equal(draws, again, equal_nan=True):
            yield "`sampler` gives other values than `sample`"


def _draw_dist(channel: Channel, given: Mapping[str, Floats], seed: int) -> Floats | None:
    """Draw from `dist` itself, which prior predictions do; None if it cannot."""
    try:
        return np.asarray(_draw([channel.dist(**given)], seed)[0], dtype=float)
    except NotImplementedError:
        return None


class _Dist(NamedTuple):
    """What `dist` says in one stage."""

    density: Callable[[ArrayLike], Floats]
    is_discrete: bool


def _read_dist(channel: Channel, parameters: Mapping[str, Floats], stage: int) -> _Dist:
    import pytensor.tensor as pt

    from crmlab.models.emissions import score_table

    here = {name: pt.constant(value[[stage]]) for name, value in parameters.items()}
    values = pt.dvector("values")
    score = _interpret([values], [score_table(channel, values, here)[:-1, 0]])
    is_discrete = channel.dist(**here).dtype.startswith(("int", "uint"))
    return _Dist(lambda x: np.exp(score(np.asarray(x, dtype=float))[0]), is_discrete)


class _Cells(NamedTuple):
    """Cells of the chi-square test: what lies in them is in words, counted, and expected."""

    words: list[str]
    observed: Floats
    expected: Floats


def _dist_breaches(channel: Channel, source: str, draws: Floats, dist: _Dist) -> Iterator[str]:
    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        return
    cells = _count_cells(draws, dist)
    if not np.isfinite(cells.expected).all() or (cells.expected < -1e-6 * len(draws)).any():
        yield "the density of `dist` is not finite, or adds up to more than 1"
        return
    cells = _pool(cells)
    gaps = (cells.observed - cells.expected) ** 2 / np.maximum(cells.expected, 1e-300)
    if special.chdtrc(max(len(gaps) - 1, 1), gaps.sum()) >= SIZE:
        return
    worst = int(np.argmax(gaps))
    shares = cells.observed[worst] / cells.observed.sum(), cells.expected[worst] / len(draws)
    yield (
        f"`{source}` and the density of `dist` disagree: {cells.words[worst]} has a share of "
        f"{shares[0]:.3g} in the draws, and a probability of {shares[1]:.3g}"
    )


def _count_cells(draws: Floats, dist: _Dist) -> _Cells:
    """Count atoms one by one and the continuous part in bins; the last cell takes the rest.

    The bins are placed by every other draw and filled by the remaining ones, so that the counts
    know nothing of the edges.
    """
    values, counts = np.unique(draws, return_counts=True)
    atoms = values if dist.is_discrete else values[counts > 1]
    smooth = draws[~np.isin(draws, atoms)]
    edges = np.empty(0)
    if len(smooth) > 2 * _N_BINS * _FEWEST:
        edges = np.quantile(smooth[::2], np.linspace(0, 1, _N_BINS + 1)[1:-1])
        draws = np.concatenate([draws[np.isin(draws, atoms)][::2], smooth[1::2]])
    n = len(draws)
    probs = np.concatenate([dist.density(atoms), _integrate(dist.density, edges)])
    observed = [(draws == atom).sum() for atom in atoms]
    observed += [((draws > low) & (draws <= high)).sum() for low, high in itertools.pairwise(edges)]
    words = [f"the value {atom:g}" for atom in atoms]
    words += [f"the range {low:.3g} to {high:.3g}" for low, high in itertools.pairwise(edges)]
    return _Cells(
        [*words, "everything else"],
        np.array([*observed, n - sum(observed)], dtype=float),
        n * np.array([*probs, 1 - probs.sum()]),
    )


def _integrate(density: Callable[[Floats], Floats], edges: Floats) -> Floats:
    """Integral of a density between neighbouring edges, by Gauss-Legendre quadrature."""
    nodes, weights = special.roots_legendre(32)
    low, width = edges[:-1, None], np.diff(edges)[:, None]
    points = low + width * (nodes + 1) / 2
    return (density(points.ravel()).reshape(points.shape) * weights * width / 2).sum(axis=1)


def _pool(cells: _Cells) -> _Cells:
    """Merge the rare cells, with each other or, if still rare, with the least common other one."""
    common = cells.expected >= _FEWEST
    rare = cells.expected[~common].sum()
    least = int(np.argmin(np.where(common, cells.expected, np.inf)))
    home = len(common) - 1 if rare >= _FEWEST else least
    keep = common.copy()
    keep[home] = True

    def merge(values: Floats) -> Floats:
        merged = np.where(common, values, 0.0)
        merged[home] += values[~common].sum()
        return merged[keep]

    words = [word for word, kept in zip(cells.words, keep, strict=True) if kept]
    return _Cells(words, merge(cells.observed), merge(cells.expected))


# Transition models --------------------------------------------------------------------------------


def check_transition_model(
    transitions: TransitionModel,
    space: StageSpace,
    *,
    seed: int,
    covariates: xr.Dataset | None = None,
    n_draws: int = 20,
) -> None:
    """Check that a transition model makes transition matrices of the space.

    Parameters
    ----------
    transitions : TransitionModel
    space : StageSpace
    seed : int
        Of the prior draws.
    covariates : xr.Dataset, optional
        What the model reads, with dims (customer_id, period).
    n_draws : int

    Raises
    ------
    ContractError
        With every breach: shape, rows that do not sum to 1, negative entries, probability where
        the space allows no move, a missing "transition_matrix (stage_from, stage_to)" or other name
        that is promised, `matrices` that are not those of `matrix`, a log-density whose gradient
        is not finite at the start.

    Examples
    --------
    >>> from crmlab.transitions import StickyDirichlet
    >>> check_transition_model(StickyDirichlet(), StageSpace(("dormant", "active")), seed=1)
    """
    import pymc as pm

    with pm.Model(coords=coords(space)) as model:
        matrix = transitions.matrix(space, covariates)
    promised = [name for name in transitions.posterior_names(space) if name in model.named_vars]
    draws, *values = _draw([matrix, *(model[name] for name in promised)], seed, n_draws)
    breaches = list(_matrix_breaches(draws, space)) or list(
        _numpy_breaches(
            transitions, space, covariates, draws, dict(zip(promised, values, strict=True))
        )
    )
    if covariates is None:
        dims = model.named_vars_to_dims.get("transition_matrix")
        if dims != ("stage_from", "stage_to"):
            breaches.append(
                "it must register 'transition_matrix' with dims (stage_from, stage_to) in the "
                f"model, got dims {dims}"
            )
    if model.value_vars:
        density = _read_density(model)
        breaches += _gradient_breaches(density, [density.start], seed)
    raise_problems(ContractError, repr(transitions), breaches)


def _matrix_breaches(draws: Floats, space: StageSpace) -> Iterator[str]:
    """Judge prior draws of shape (draw, ..., K, K)."""
    if draws.shape[-2:] != (len(space), len(space)) or draws.ndim not in (3, 5):
        yield f"matrices must have shape (K, K) or (N, T - 1, K, K), got {draws.shape[1:]}"
        return
    if not np.isfinite(draws).all() or (draws < 0).any():
        yield "matrices must hold finite numbers that are not negative"
    gap = np.abs(draws.sum(axis=-1) - 1).max(axis=tuple(range(draws.ndim - 2)))
    for k in np.flatnonzero(gap > 1e-9):
        yield f"row {space.names[k]!r} misses a sum of 1 by {gap[k]:.2g}"
    largest = draws.max(axis=tuple(range(draws.ndim - 2)))
    for i, j in np.argwhere((largest > 0) & ~space.mask):
        yield (
            f"{space.names[i]!r} -> {space.names[j]!r} has probability {largest[i, j]:.2g}, but "
            "the space does not allow this move"
        )


def _numpy_breaches(
    transitions: TransitionModel,
    space: StageSpace,
    covariates: xr.Dataset | None,
    draws: Floats,
    values: Mapping[str, Floats],
) -> Iterator[str]:
    """Hold `matrices`, draw by draw, against what `matrix` gave; customers are alike."""
    missing = [name for name in transitions.posterior_names(space) if name not in values]
    for name in missing:
        yield f"`matrix` registers no {name!r}, which `posterior_names` promises"
    if missing or transitions.n_customer_effects(space):
        return
    cells = transitions.design.read(covariates).get("covariates")
    for k, draw in enumerate(draws):
        found = transitions.matrices(space, {name: v[k] for name, v in values.items()}, cells)
        if not np.allclose(found, draw, rtol=0, atol=1e-9):
            yield f"`matrices` and `matrix` disagree by {np.abs(found - draw).max():.2g}"
            return


# Generators ---------------------------------------------------------------------------------------


def check_generator(generator: Generator, *, seed: int, n_customers: int = 12) -> None:
    """Check that a customer's records depend neither on other customers nor on blocks or order.

    Parameters
    ----------
    generator : Generator
    seed : int
    n_customers : int
        At least 4.

    Raises
    ------
    ContractError
        With every breach: another result on a second call, a customer who differs when others
        are simulated too or alone, a seed without effect, missing truth.
    """
    everybody = simulate(generator, n_customers, seed=seed)
    half = np.arange(n_customers // 2)
    some = np.arange(n_customers)[::-3]
    sample = generator.sample
    worlds = {
        "the same call gives another world": (simulate(generator, n_customers, seed=seed), None),
        "more customers change the first ones": (simulate(generator, len(half), seed=seed), half),
        "a customer differs in another set of customers": (sample(Streams(seed), some), some),
    }
    breaches = [
        f"{words}: {name}"
        for words, (world, customers) in worlds.items()
        for name in _differing(world, everybody, customers)
    ]
    if not _differing(simulate(generator, n_customers, seed=seed + 1), everybody, None):
        breaches.append("the seed changes nothing")
    if everybody.truth is None:
        breaches.append("`truth` is missing: a world knows what a firm cannot see")
    raise_problems(ContractError, type(generator).__name__, breaches)


def _differing(
    world: CustomerTables, everybody: CustomerTables, customers: Ints | None
) -> list[str]:
    """Names of the tables in which these customers differ; all customers if None."""
    ours, theirs = _all_frames(world), _all_frames(everybody)
    if set(ours) != set(theirs):
        return sorted(set(ours) ^ set(theirs))
    return [
        name
        for name, frame in theirs.items()
        if not _in_order(ours[name]).equals(_in_order(_only(frame, customers)))
    ]


def _all_frames(world: CustomerTables) -> dict[str, pd.DataFrame]:
    records = {form.name: frame for form, frame in world.records()}
    truth = {f"truth[{name!r}]": frame for name, frame in (world.truth or {}).items()}
    further = {f"more[{name!r}]": frame for name, frame in world.more.items()}
    return {"customers": world.customers, **records, **further, **truth}


def _only(frame: pd.DataFrame, customers: Ints | None) -> pd.DataFrame:
    if customers is None or "customer_id" not in frame:
        return frame
    return frame[frame["customer_id"].isin(customers)]


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(frame.columns)).reset_index(drop=True)


# Policies -----------------------------------------------------------------------------------------


def check_policy(policy: Policy, world: Generator, *, seed: int, n_customers: int = 24) -> None:
    """Check that a policy gives propensities, the same each time, to each customer alone.

    The policy decides in a simulation of the world; what it was shown is then shown to it again:
    as it was, in another order, and for every customer alone.

    Parameters
    ----------
    policy : Policy
    world : Generator
        One with actions that the policy knows, e.g. `crmlab.bank.Bank(n_periods=6)`.
    seed : int
        Of the world.
    n_customers : int
        At least 2.

    Raises
    ------
    ContractError
        With every breach: no field `accuracy` or `logged` of the right kind, propensities that
        are none, that change from call to call, or with the other customers in view.

    Examples
    --------
    >>> from crmlab.actions import ThresholdRule
    >>> from crmlab.generators.confounding import confounded_world
    >>> check_policy(ThresholdRule("call", "orders_total", 3), confounded_world(), seed=1)
    """
    owner = type(policy).__name__
    raise_problems(ContractError, owner, list(_policy_breaches(policy)))
    watched = _Watched(policy)
    try:
        simulate(world, n_customers, seed=seed, policy=watched)
    except SpecError as error:
        raise ContractError(str(error)) from error
    breaches = [breach for view, given in watched.seen for breach in _replay(policy, view, given)]
    raise_problems(ContractError, owner, list(dict.fromkeys(breaches)))


def _policy_breaches(policy: Policy) -> Iterator[str]:
    if not isinstance(policy, Policy):
        yield "it must extend crmlab.actions.Policy"
        return
    accuracy = policy.accuracy
    if accuracy is not None and not (isinstance(accuracy, (int, float)) and 0 <= accuracy <= 1):
        yield f"`accuracy` must be None or from 0 to 1, got {accuracy!r}"
    if not isinstance(policy.logged, bool):
        yield f"`logged` must be True or False, got {policy.logged!r}"


class _Watched(Policy):
    """A policy that keeps what its inner one was shown and what it said."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.accuracy = policy.accuracy
        self.seen: list[tuple[FirmView, Floats]] = []

    def propensities(self, view: FirmView) -> Floats:
        """Ask the inner policy, and keep the view as it was."""
        kept = _view_of(view, np.arange(len(view.customers)))
        shape = (len(view.customers), len(view.actions))
        given = check_propensities(self.policy, self.policy.propensities(view), shape)
        self.seen.append((kept, given.copy()))
        return given


def _view_of(view: FirmView, who: Ints) -> FirmView:
    """Show the same period, but only these customers, in this order."""
    return FirmView(
        view.period,
        view.customers.iloc[who].reset_index(drop=True),
        view.actions,
        {name: np.asarray(view.observed[name])[who] for name in view.observed},
        None if view.impressions is None else np.asarray(view.impressions)[who],
    )


def _replay(policy: Policy, view: FirmView, given: Floats) -> Iterator[str]:
    everybody = np.arange(len(given))
    orders: dict[str, Iterable[Ints]] = {
        "gives other propensities when it is asked again": [everybody],
        "gives other propensities in another order of the customers": [everybody[::-1]],
        "gives a customer alone other propensities than among all": everybody[:, None],
    }
    for words, groups in orders.items():
        for who in groups:
            if not np.array_equal(policy.propensities(_view_of(view, who)), given[who]):
                yield f"it {words} (period {view.period})"
                break


# Models -------------------------------------------------------------------------------------------


def check_model(model: StageModel, panel: xr.Dataset, *, seed: int) -> None:
    """Check that a model's posterior is complete, smooth, and blind to the order of customers.

    Parameters
    ----------
    model : StageModel
    panel : xr.Dataset
        A small panel that the model can read (ten customers will do).
    seed : int
        Of the points at which the log-density is examined.

    Raises
    ------
    ContractError
        With every breach: posterior variables that are missing or have no stage axis, a
        log-density that is not finite or whose gradient is not its slope, one that depends on the
        order of the customers or on one who was never observed, a panel without a channel that is
        not refused.
    """
    model.check(panel)
    built = model.build(panel)
    breaches = [*_variable_breaches(model, built), *_refusal_breaches(model, panel)]
    density = _read_density(built)
    start, rng = density.start, np.random.default_rng(seed)
    points = [start, start + rng.uniform(-0.5, 0.5, len(start))]
    breaches += _gradient_breaches(density, points, seed)
    n = panel.sizes["customer_id"]
    shuffled = panel.isel(customer_id=np.random.default_rng(seed).permutation(n))
    others = {
        "the order of the customers": shuffled,
        "a customer who was never observed": _with_stranger(panel),
    }
    for words, other in others.items():
        again = _read_density(model.build(other))
        values = np.array([[again(x)[0], density(x)[0]] for x in points])
        gap = np.abs(np.diff(values, axis=1)).max()
        if not gap <= 1e-8 * (1 + np.abs(values).max()):
            breaches.append(f"{words} changes the log-density by {gap:.2g}")
    raise_problems(ContractError, repr(model), breaches)


def _with_stranger(panel: xr.Dataset) -> xr.Dataset:
    """Add a customer whose window is empty."""
    ids = panel["customer_id"].values
    stranger = ids.max() + 1 if ids.dtype.kind in "iu" else "".join(sorted(ids))
    longer = panel.reindex(customer_id=[*ids, stranger], fill_value={"observed": False})
    return longer.assign(observed=longer["observed"].astype(bool))


def _variable_breaches(model: StageModel, built: "pm.Model") -> Iterator[str]:
    known_dims = {
        "initial_probs": ("stage",),
        "transition_matrix": ("stage_from", "stage_to"),
    }
    for name in model.posterior_names:
        if name not in built.named_vars:
            yield f"`build` registers no {name!r}, which `posterior_names` promises"
            continue
        dims = built.named_vars_to_dims.get(name, ())
        wanted = known_dims.get(name, ("stage",))
        if tuple(dims[: len(wanted)]) != wanted:
            yield f"{name!r} must have dims {wanted}, got {tuple(dims)}"


def _refusal_breaches(model: StageModel, panel: xr.Dataset) -> Iterator[str]:
    for channel in model.channels:
        try:
            model.check(panel.drop_vars(channel.name))
        except DataError as error:
            if channel.name not in str(error):
                yield f"the refusal of a panel without {channel.name!r} does not name it: {error}"
        else:
            yield f"`check` accepts a panel without {channel.name!r}"


# Densities, interpreted: nothing is compiled to machine code --------------------------------------


class _Density(NamedTuple):
    """Log-density and gradient as a function of one vector."""

    function: Callable[[Floats], list[Floats]]
    start: Floats

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        value, gradient = self.function(x)
        return float(value), gradient


def _read_density(model: "pm.Model") -> _Density:
    import pytensor.tensor as pt
    from pymc.pytensorf import join_nonshared_inputs

    start = model.initial_point()
    (logp,), x = join_nonshared_inputs(start, [model.logp()], model.value_vars)
    flat = np.concatenate([np.ravel(start[v.name]) for v in model.value_vars])
    return _Density(_interpret([x], [logp, pt.grad(logp, x)]), flat.astype(float))


def _gradient_breaches(density: _Density, points: Sequence[Floats], seed: int) -> Iterator[str]:
    """Hold the gradient against central differences in two random directions."""
    rng = np.random.default_rng(seed)
    for x in points:
        value, gradient = density(x)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            yield f"the log-density or its gradient is not finite at {np.round(x, 3).tolist()}"
            continue
        for direction in rng.normal(size=(2, len(x))):
            slope = _slope(density, x, direction)
            if not abs(slope - gradient @ direction) <= 1e-5 * (1 + np.linalg.norm(gradient)):
                yield (
                    f"the gradient promises a slope of {gradient @ direction:.6g} in a direction "
                    f"in which the log-density rises by {slope:.6g}"
                )


def _slope(density: _Density, x: Floats, direction: Floats, step: float = 1e-5) -> float:
    ahead, behind = density(x + step * direction)[0], density(x - step * direction)[0]
    return (ahead - behind) / (2 * step)


def _interpreted_mode() -> "Mode":
    from pytensor.compile.mode import Mode

    return Mode(linker="py", optimizer="None")


def _interpret(inputs: list["TensorVariable"], outputs: list[Any]) -> Callable[..., list[Floats]]:
    import pytensor

    # Without `cxx`, inner graphs are interpreted too, also where a C compiler is found.
    with pytensor.config.change_flags(cxx=""):
        return pytensor.function(
            inputs, outputs, mode=_interpreted_mode(), on_unused_input="ignore"
        )


def _draw(variables: list["TensorVariable"], seed: int, draws: int = 1) -> list[Floats]:
    import pymc as pm
    import pytensor

    with pytensor.config.change_flags(cxx=""):
        return pm.draw(variables, draws=draws, random_seed=seed, mode=_interpreted_mode())
