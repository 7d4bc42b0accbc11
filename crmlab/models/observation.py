"""What is seen of customers as one observed PyMC variable: scored over stage paths, and simulated.

The channels of a customer depend on each other through her stages, so their joint density has no
factor per channel. They are one variable with an axis `channel`, and its log-density has one number
per customer: what is left out when models are compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import softmax

from crmlab.arrays import Bools, Floats, Ints, upper_edges
from crmlab.channels import Channel
from crmlab.models.emissions import Window, find_window, read_cells, score_table
from crmlab.stages import StageSpace
from crmlab.transitions.base import Drivers

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.basic import Apply, Variable
    from pytensor.graph.op import Op
    from pytensor.tensor.variable import TensorVariable

SEEN = "seen"
DIMS = ("customer_id", "period", "channel")


class Seen(NamedTuple):
    """What a panel shows of some customers.

    PyMC takes NaN in observed data for something to be imputed, so a missing cell holds a value
    that its channel can have, and `is_seen` says that nothing was seen there.
    """

    values: Floats  # (customer, period, channel)
    is_seen: Bools  # (customer, period, channel)
    usual: Floats  # (channel,): what missing cells hold
    windows: Ints  # (customer, 2): first and last period


class Dynamics(NamedTuple):
    """What makes customers move and show themselves: arrays, or tensors of a PyMC model."""

    initial: Any
    moves: Any  # transition matrices (..., K, K), or Drivers
    parameters: Mapping[str, Any]  # "<channel>_<parameter>"


def read_seen(panel: xr.Dataset, channels: Sequence[Channel], stages: StageSpace) -> Seen:
    """Read the cells of all channels."""
    cells = np.stack([read_cells(panel, channel, stages) for channel in channels], axis=-1)
    is_seen = ~np.isnan(cells)
    usual = np.where(is_seen, cells, np.inf).min(axis=(0, 1), initial=np.inf)
    usual = np.where(np.isfinite(usual), usual, 0.0)
    windows = np.stack(find_window(panel), axis=-1)
    return Seen(np.where(is_seen, cells, usual), is_seen, usual, windows)


def seen_coords(panel: xr.Dataset, channels: Sequence[Channel]) -> dict[str, Any]:
    """Coordinates of what is seen."""
    labels = {dim: panel[dim].values for dim in DIMS[:2]}
    return {**labels, "channel": [channel.name for channel in channels], "end": ["first", "last"]}


def register(one: "StagePaths", dynamics: Dynamics, seen: Seen) -> None:
    """Register what is seen as the observed variable `SEEN` of the open PyMC model."""
    import pymc as pm
    from pytensor.link.numba.dispatch.random import numba_core_rv_funcify

    is_seen = pm.Data("is_seen", seen.is_seen, dims=DIMS)
    windows = pm.Data("windows", seen.windows, dims=("customer_id", "end"))
    parts = one.flatten(dynamics, seen.usual, is_seen, windows)
    registered = pm.CustomDist(
        SEEN,
        *parts,
        logp=one.logp,
        random=one.random,
        signature=_signature([part.ndim for part in parts], parts.index(is_seen)),
        class_name=type(one).__name__,
        observed=seen.values,
        dims=DIMS,
    )
    numba_core_rv_funcify.register(type(registered.owner.op), one.funcify_random)


def _signature(ndims: Sequence[int], mask: int) -> str:
    """Say that one draw is all that is seen, in the shape of a mask; no part has other axes.

    Examples
    --------
    >>> _signature([1, 2, 3], mask=2)
    '(p0_0),(p1_0,p1_1),(p2_0,p2_1,p2_2)->(p2_0,p2_1,p2_2)'
    """
    parts = [",".join(f"p{i}_{axis}" for axis in range(n)) for i, n in enumerate(ndims)]
    return ",".join(f"({part})" for part in parts) + f"->({parts[mask]})"


@dataclass(frozen=True)
class StagePaths:
    """The distribution of what is seen, with its parts in a list, as PyMC hands them over.

    Parameters
    ----------
    channels : tuple of Channel
    """

    channels: tuple[Channel, ...]

    def flatten(self, dynamics: Dynamics, *more: Any) -> list:
        """List the parts of a dynamics, then what a panel adds: `usual`, `is_seen`, `windows`."""
        moves = dynamics.moves if isinstance(dynamics.moves, Drivers) else [dynamics.moves]
        return [
            dynamics.initial,
            *(dynamics.parameters[name] for name in self._names),
            *more,
            *moves,
        ]

    def unflatten(self, parts: Sequence) -> tuple:
        """Undo `flatten`."""
        n = 1 + len(self._names)
        initial, parameters, more, moves = parts[0], parts[1:n], parts[n : n + 3], parts[n + 3 :]
        dynamics = Dynamics(
            initial,
            moves[0] if len(moves) == 1 else Drivers(*moves),
            dict(zip(self._names, parameters, strict=True)),
        )
        return dynamics, *more

    @property
    def _names(self) -> list[str]:
        return [f"{one.name}_{name}" for one in self.channels for name in one.parameter_names]

    def logp(self, value: "TensorVariable", *parts: "TensorVariable") -> "Variable":
        """Log-density of each customer's history, with the stages summed out (customer,)."""
        import pytensor.tensor as pt

        from crmlab.models.kernel.op import customer_logliks

        dynamics, _, is_seen, windows = self.unflatten(parts)
        n_customers, n_periods, _ = is_seen.shape
        n_cells = n_customers * n_periods
        cells = pt.arange(n_cells).reshape((n_customers, n_periods))
        tables = [
            score_table(one, value[..., c].ravel(), parameters_of(one, dynamics.parameters))
            for c, one in enumerate(self.channels)
        ]
        codes = [pt.where(is_seen[..., c], cells, n_cells) for c in range(len(tables))]
        driven = isinstance(dynamics.moves, Drivers)
        matrices = _matrices_of(dynamics.moves) if driven else dynamics.moves
        return customer_logliks(dynamics.initial, matrices, tables, codes, windows)

    def funcify_random(self, op: "Op", node: "Apply") -> tuple[Callable, None]:
        """Tell numba to call `random` as it is, which it otherwise does with a warning."""
        import numba

        def draw(parts: tuple, rng: np.random.Generator) -> Floats:
            return self.random(*parts, rng=rng, size=None)

        @numba.njit
        def random(rng: np.random.Generator, *parts: NDArray) -> Floats:
            with numba.objmode(found="float64[:, :, ::1]"):
                found = draw(parts, rng)
            return found

        return random, None

    def random(
        self, *parts: NDArray, rng: np.random.Generator, size: tuple[int, ...] | None
    ) -> Floats:
        """Draw stage paths, and what is seen of them, in the same windows and cells."""
        dynamics, usual, is_seen, windows = self.unflatten(parts)
        driven = isinstance(dynamics.moves, Drivers)
        matrices = _make_matrices(dynamics.moves) if driven else dynamics.moves
        matrices = matrices.reshape((1,) * (4 - matrices.ndim) + matrices.shape)
        stages = draw_stages(dynamics.initial, matrices, Window(*windows.T), is_seen.shape[1], rng)
        answering = [channel.always_answered() for channel in self.channels]
        shown = [observe(channel, dynamics.parameters, stages, rng) for channel in answering]
        return np.where(is_seen, np.stack(shown, axis=-1), usual)


class KnownStages(StagePaths):
    """The same for reports that are never wrong, where a gap without a report is left out."""

    def logp(self, value: "TensorVariable", *parts: "TensorVariable") -> "TensorVariable":
        """Log-probability of each customer's start and of her moves between reports (customer,)."""
        import pytensor.tensor as pt

        dynamics, _, is_seen, windows = self.unflatten(parts)
        stages, known = pt.cast(value[..., 0], "int64"), is_seen[..., 0]
        matrices = dynamics.moves[(None,) * (4 - dynamics.moves.ndim)]
        who, when = pt.arange(stages.shape[0]), pt.arange(stages.shape[1] - 1)
        rows, steps = who[:, None] % matrices.shape[0], when % matrices.shape[1]
        probs = matrices[rows, steps, stages[:, :-1], stages[:, 1:]]
        starts = dynamics.initial[stages[who, windows[:, 0]]]
        moves = pt.log(pt.where(known[:, :-1] & known[:, 1:], probs, 1.0)).sum(axis=1)
        return moves + pt.log(pt.where(known[who, windows[:, 0]], starts, 1.0))


def read_dynamics(seen: "TensorVariable", channels: tuple[Channel, ...]) -> Dynamics:
    """Find the dynamics that a registered variable follows."""
    node = seen.owner
    return StagePaths(channels).unflatten(node.op.dist_params(node))[0]


def swap_data(graphs: list, built: "pm.Model", data: Mapping[str, "Variable"]) -> list:
    """Replace data of a built model by others of the same names, in graphs of its variables."""
    from pytensor.graph.replace import graph_replace

    # What the model names stays itself, also where its shape comes from data that are swapped.
    held = {v: v.type() for v in (*built.basic_RVs, *built.deterministics)}
    swapped = {v: data[str(v.name)] for v in built.data_vars if v.name in data}
    graphs = graph_replace(graphs, {**held, **swapped}, strict=False)
    return graph_replace(graphs, {new: v for v, new in held.items()}, strict=False)


def parameters_of(channel: Channel, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of one channel, by their own names."""
    return {name: parameters[f"{channel.name}_{name}"] for name in channel.parameter_names}


def _matrices_of(drivers: Drivers) -> "TensorVariable":
    """Transition matrices (customer or 1, move or 1, K, K) of drivers that are tensors."""
    import pytensor.tensor as pt

    push = pt.tensordot(drivers.covariates, drivers.effects, axes=[[-1], [0]])
    own = pt.tensordot(drivers.customers, drivers.loads, axes=[[-1], [0]])
    return pt.special.softmax(drivers.base + push + own[:, None], axis=-1)


def _make_matrices(drivers: Drivers) -> Floats:
    """Do the same with arrays."""
    push = np.tensordot(drivers.covariates, drivers.effects, axes=1)
    own = np.tensordot(drivers.customers, drivers.loads, axes=1)
    return softmax(drivers.base + push + own[:, None], axis=-1)


def draw_stages(
    initial: Floats, matrices: Floats, window: Window, n_periods: int, rng: np.random.Generator
) -> Ints:
    """Draw stage paths (customer, period); their values outside a window have no meaning."""
    start, edges = upper_edges(initial), upper_edges(matrices)
    who = np.arange(len(window.first))
    stages = np.zeros((len(who), n_periods), dtype=np.int64)
    now = stages[:, 0]
    for t in range(n_periods):
        onward = edges[who % len(edges), (t - 1) % edges.shape[1], now] if t else start
        rows = np.where(t <= window.first[:, None], start, onward)
        now = (rng.random(len(who))[:, None] >= rows).sum(axis=1)
        stages[:, t] = now
    return stages


def observe(
    channel: Channel, parameters: Mapping[str, Floats], paths: Ints, rng: np.random.Generator
) -> Floats:
    """Simulate what a channel shows along stage paths (customer, period)."""
    given = {name: value[paths] for name, value in parameters_of(channel, parameters).items()}
    size = paths.shape if channel.n_uniforms == 1 else (channel.n_uniforms, *paths.shape)
    # Centred in cells of 2**-52: a channel is never asked for the quantile of 0 or 1.
    u = (rng.integers(2**52, size=size) + np.float64(0.5)) * 2.0**-52
    return channel.sample(u, **given)
