"""Parameters drawn from a model's own prior, ordered stages included."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import Floats, check_count
from crmlab.channels import Channel
from crmlab.errors import SpecError
from crmlab.models.base import StageModel
from crmlab.models.simulation import blank_panel
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    import pymc as pm

Draw = dict[str, Floats]

_TRIES = 20_000


def draw_prior(model: StageModel, design: xr.Dataset, *, seed: int) -> Iterator[Draw]:
    """Yield draws of all posterior variables from the prior, one after the other, without end.

    Parameters
    ----------
    model : StageModel
    design : xr.Dataset
        A panel's windows and covariates; see `empty_panel`.
    seed : int
        The n-th draw depends on it alone.

    Raises
    ------
    SpecError
        Too few draws are in the order that the model asks for.

    Notes
    -----
    A parameter that orders the stages has the prior of its channel, conditional on being in order:
    other draws are rejected.

    Examples
    --------
    >>> import crmlab as crm
    >>> from crmlab.models.simulation import empty_panel
    >>> space = crm.StageSpace(("dormant", "active"))
    >>> model = crm.HiddenMarkov(space, channels=(crm.Poisson("visits"),), ordered_by="visits_rate")
    >>> draw = next(draw_prior(model, empty_panel(3, 2), seed=1))
    >>> sorted(draw), bool(draw["visits_rate"][0] < draw["visits_rate"][1])
    (['initial_probs', 'transition_matrix', 'visits_rate'], True)
    """
    with_order = _compile(model, model.build(blank_panel(model, design)), seed)
    while True:
        found = next((draw for is_fine, draw in islice(with_order, _TRIES) if is_fine), None)
        if found is None:
            raise SpecError(
                f"calibrate: none of {_TRIES} draws from the prior is in the order that "
                "`ordered_by` asks for: give that channel typical values stage by stage."
            )
        yield found


def _compile(model: StageModel, built: "pm.Model", seed: int) -> Iterator[tuple[bool, Draw]]:
    """Yield whether a draw is in order, and the draw; interpreted, so nothing is compiled."""
    import pytensor
    from pymc.pytensorf import compile as compile_graph
    from pytensor.compile.mode import Mode

    names, orders = model.posterior_names, _orders(built)
    outputs = [*(built[name] for name in names), *(rv for rv, _ in orders)]
    with pytensor.config.change_flags(cxx=""):
        function = compile_graph(
            [], outputs, random_seed=seed, mode=Mode(linker="py", optimizer="fast_compile")
        )
    while True:
        values = [np.array(value, dtype=float) for value in function()]
        ordered, kept = values[len(names) :], dict(zip(names, values, strict=False))
        rises = (rise(value) for (_, rise), value in zip(orders, ordered, strict=True))
        yield all(rises), kept


def _orders(built: "pm.Model") -> list[tuple[object, Callable[[NDArray], bool]]]:
    """Find the variables that rise along groups of stages, and the test of it."""
    from pymc.logprob.transforms import ChainedTransform

    from crmlab.models.ordering import OrderedWithin

    def parts(transform: object) -> list:
        return transform.transform_list if isinstance(transform, ChainedTransform) else [transform]

    def make(transform: OrderedWithin) -> Callable[[NDArray], bool]:
        def rises(value: NDArray) -> bool:
            steps = np.diff(value[transform.sequence])
            return bool((steps[~transform.starts[1:]] > 0).all())

        return rises

    return [
        (rv, make(part))
        for rv, transform in built.rvs_to_transforms.items()
        for part in parts(transform)
        if isinstance(part, OrderedWithin)
    ]


def prior_draws(model: StageModel, panel: xr.Dataset, draws: int, seed: int) -> xr.Dataset:
    """Draws of all posterior variables from the prior, with ArviZ's dims, one chain."""
    check_count("prior_draws", "draws", draws)
    found = list(islice(draw_prior(model, panel, seed=seed), draws))
    axes = {"initial_probs": ("stage",), "transition_matrix": ("stage_from", "stage_to")}
    variables = {}
    for name, value in found[0].items():
        dims = axes.get(name, ("stage", "stage_to")[: value.ndim])
        cells = np.stack([draw[name] for draw in found])[None]
        variables[name] = (("chain", "draw", *dims), cells)
    labels = {"chain": [0], "draw": np.arange(draws)}
    used = {dim for dims, _ in variables.values() for dim in dims[2:]}
    stages = {dim: list(model.space.names) for dim in sorted(used)}
    return xr.Dataset(variables, coords={**labels, **stages})


def log_priors(model: StageModel, posterior: xr.Dataset) -> xr.Dataset:
    """Log-density of each prior at each draw (chain, draw), up to constants.

    The prior of the initial probabilities is uniform, and is left out; so are the parts of which
    the posterior keeps no trace (``attrs["left_out"]``).
    """
    flat = posterior.stack(sample=("chain", "draw"), create_index=False)
    values = {str(n): v.transpose("sample", ...).values for n, v in flat.data_vars.items()}
    space = model.space
    found: dict[str, Floats] = {}
    for channel in model.channels:
        found |= _of_channel(channel, space, values)
    moves = model.transitions.log_prior(space, values)
    if moves is None:
        raise SpecError(
            f"log_prior: the prior of {type(model.transitions).__name__} cannot be read "
            "from its posterior; use StickyDirichlet, CovariateLogit or OrderedLogit."
        )
    dims = ("chain", "draw")
    size = tuple(posterior.sizes[dim] for dim in dims)
    cells = {name: (dims, v.reshape(size)) for name, v in {**found, **moves[0]}.items()}
    labels = {dim: posterior[dim].values for dim in dims}
    return xr.Dataset(cells, coords=labels, attrs={"left_out": moves[1]})


def _of_channel(channel: Channel, space: StageSpace, values: dict) -> dict[str, Floats]:
    import pymc as pm
    import pytensor.tensor as pt

    from crmlab.models.numpy_graph import to_numpy

    found = {}
    for name, prior in channel.parameters(space).items():
        if name in channel.known:
            continue
        full = f"{channel.name}_{name}"
        draw = pt.TensorType("float64", (None,) * prior.ndim)("draw")
        density, _ = to_numpy([draw], [pt.sum(pm.logp(prior, draw))])
        found[full] = np.array([float(density(row)[0]) for row in values[full]])
    return found
