"""Hidden stages: a Markov chain that is seen only through its channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import Ints
from crmlab.channels import Channel, check_channels
from crmlab.errors import SpecError, raise_problems
from crmlab.models.base import StageModel, coords
from crmlab.models.emissions import (
    Encoded,
    Histories,
    check_panel,
    encode,
    find_window,
    merge_histories,
    score_table,
)
from crmlab.models.observation import (
    SEEN,
    Dynamics,
    StagePaths,
    parameters_of,
    read_dynamics,
    read_seen,
    register,
    seen_coords,
    swap_data,
)
from crmlab.stages import StageSpace
from crmlab.transitions import StickyDirichlet, TransitionModel
from crmlab.transitions.base import Drivers

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.basic import Variable
    from pytensor.tensor.variable import TensorVariable


@dataclass(frozen=True)
class HiddenMarkov(StageModel):
    """A hidden Markov model of customers over a stage space.

    Parameters
    ----------
    space : StageSpace
    transitions : TransitionModel
    channels : sequence of Channel
        What is seen, given the stage; channels are independent of each other within a period.
    ordered_by : str, optional
        "<channel>_<parameter>" that rises from stage to stage within each phase (and falls as a
        relationship comes apart); this ties the stages to their names.
    initial_probs : sequence of K floats or "stationary", optional
        Stage probabilities at the start of each customer's window; learned under a uniform prior
        if left out. "stationary": those that the transition matrix at mean covariates leaves
        unchanged (Netzer, Lattin and Srinivasan 2008), for customers with a long unseen past.

    Raises
    ------
    SpecError
        Channels do not fit the space, `ordered_by` names no learned parameter, "stationary"
        is asked of a space in which some stage does not lead to some other, or nothing ties the
        stages to their names: then the posterior would mean nothing, and the error says what to
        add.

    Notes
    -----
    ``s_1 ~ initial_probs``, ``s_{t+1} ~ P[s_t, :]``, ``y_{ct} ~ channel_c(parameters[s_t])``. The
    stages are summed out by the forward recursion (Rabiner 1989, equations 19-21). P may differ
    between moves and customers; the posterior then holds what the matrices are made of instead of
    ``transition_matrix``.

    Examples
    --------
    >>> from crmlab.channels import Poisson
    >>> space = StageSpace(("dormant", "active"))
    >>> visits = Poisson("visits")
    >>> model = HiddenMarkov(space, StickyDirichlet(), (visits,), ordered_by="visits_rate")
    >>> model.posterior_names
    ('initial_probs', 'transition_matrix', 'visits_rate')
    """

    space: StageSpace
    transitions: TransitionModel = StickyDirichlet()  # noqa: RUF009
    channels: tuple[Channel, ...] = ()
    ordered_by: str | None = None
    initial_probs: tuple[float, ...] | str | None = None

    def __post_init__(self) -> None:
        """Refuse a specification whose posterior would be meaningless."""
        object.__setattr__(self, "channels", tuple(self.channels))
        check_channels("HiddenMarkov", self.channels, self.space)
        problems = [
            *self._order_problems(),
            *self._initial_problems(),
            *self.transitions.design.problems,
            *self.transitions.design.emitted_problems([channel.name for channel in self.channels]),
            *self.transitions.space_problems(self.space),
        ]
        raise_problems(SpecError, "HiddenMarkov", problems or self._meaning_problems())

    def _order_problems(self) -> list[str]:
        learned = [
            f"{channel.name}_{name}"
            for channel in self.channels
            for name in channel.ordering_parameters
            if name not in channel.known
        ]
        if not self.channels:
            return ["`channels` is empty: hidden stages need something that is seen"]
        if self.ordered_by is None or self.ordered_by in learned:
            return []
        return [
            f"`ordered_by` must name a learned parameter among {learned}, got {self.ordered_by!r}"
        ]

    def _initial_problems(self) -> list[str]:
        if self.initial_probs is None:
            return []
        if isinstance(self.initial_probs, str):
            return _stationary_problems(self.initial_probs, self.space)
        probs = np.asarray(self.initial_probs, dtype=float)
        if probs.shape == (len(self.space),) and np.isclose(probs.sum(), 1) and (probs >= 0).all():
            return []
        return [
            f"`initial_probs` must be {len(self.space)} probabilities that sum to 1, got {probs}"
        ]

    def _meaning_problems(self) -> list[str]:
        """List what is missing for the stages to keep their names."""
        apart_matters = len(set(self.space.phases)) > 1
        told_apart = any(channel.tells_apart(self.space) for channel in self.channels)
        anchored = any(channel.tells_stages(self.space) for channel in self.channels)
        problems = []
        if len(self.space) > 1 and self.ordered_by is None and not anchored:
            problems.append(
                "nothing ties the stages to their names: name the parameter that orders them "
                "(`ordered_by`), give a channel's parameter, or add a StageLabel channel"
            )
        if apart_matters and not told_apart:
            problems.append(
                "coming together and coming apart look alike in these channels: add a StageLabel "
                "channel, or give one channel a parameter or a typical value for each stage that "
                "differs between the phases (a survey's `typical_location`, say)"
            )
        return problems

    def check(self, panel: xr.Dataset) -> None:
        """Raise `DataError`, with all problems at once, unless the panel can be read."""
        check_panel("HiddenMarkov", panel, self.channels, self.space, self.transitions.design)

    def build(self, panel: xr.Dataset) -> "pm.Model":
        """Return the PyMC model whose log-density sums over all stage paths."""
        import pymc as pm

        self.check(panel)
        rows = _find_rows(self, panel)
        some = panel.isel(customer_id=rows)
        with pm.Model(coords={**coords(self.space), **seen_coords(some, self.channels)}) as model:
            for name, values in self.transitions.design.read_some(panel, rows).items():
                pm.Data(name, values)
            parameters = {k: v for one in self.channels for k, v in self._register(one).items()}
            moves = _register_moves(self.transitions, self.space, panel)
            dynamics = Dynamics(self._initial(), moves, parameters)
            register(
                StagePaths(self.channels), dynamics, read_seen(some, self.channels, self.space)
            )
        return model

    def merged_loglik(self, built: "pm.Model", panel: xr.Dataset) -> "list[Variable]":
        """Log-likelihood as one number, in which customers with the same history are one row."""
        import pytensor
        import pytensor.tensor as pt

        from crmlab.models.kernel.op import driven_loglik, panel_loglik

        data = {name: pytensor.shared(cells, name) for name, cells in self.read(panel).items()}
        dynamics = read_dynamics(built[SEEN], self.channels)
        tables = [
            score_table(one, data[f"{one.name}_values"], parameters_of(one, dynamics.parameters))
            for one in self.channels
        ]
        codes = [data[f"{channel.name}_codes"] for channel in self.channels]
        windows = pt.stack([data["first"], data["last"]], axis=-1)
        sum_over_paths = driven_loglik if isinstance(dynamics.moves, Drivers) else panel_loglik
        loglik = sum_over_paths(
            dynamics.initial, dynamics.moves, tables, codes, windows, data["times"]
        )
        return swap_data([loglik], built, data)

    def read(self, panel: xr.Dataset) -> dict[str, NDArray]:
        """Return the arrays that the log-posterior reads, by name: all that changes with a panel.

        Customers with the same history, covariates included, are one row; `times` counts them.
        """
        encoded = [encode(panel, channel, self.space) for channel in self.channels]
        histories = _merge(self, panel, encoded)
        arrays = {"first": histories.first, "last": histories.last, "times": histories.times}
        for channel, (values, _), codes in zip(
            self.channels, encoded, histories.codes, strict=True
        ):
            arrays |= {f"{channel.name}_values": values, f"{channel.name}_codes": codes}
        return {**arrays, **self.transitions.design.read_some(panel, histories.example)}

    def _initial(self) -> "TensorVariable":
        import pymc as pm
        import pytensor.tensor as pt

        if self.initial_probs is None:
            return pm.Dirichlet("initial_probs", np.ones(len(self.space)), dims="stage")
        if isinstance(self.initial_probs, str):
            found = pm.modelcontext(None).named_vars
            probs = _stationary(self.transitions.typical_matrix(self.space, found))
        else:
            probs = pt.constant(np.asarray(self.initial_probs, dtype=float))
        return pm.Deterministic("initial_probs", probs, dims="stage")

    def _register(self, channel: Channel) -> dict[str, "TensorVariable"]:
        """Register the parameters of one channel, and return them by their full names."""
        return {
            f"{channel.name}_{name}": self._parameter(channel, name, prior)
            for name, prior in channel.parameters(self.space).items()
        }

    def _parameter(self, channel: Channel, name: str, prior: "TensorVariable") -> "TensorVariable":
        """Register one parameter: known, learned, or learned in order."""
        import pymc as pm
        import pytensor.tensor as pt

        full_name = f"{channel.name}_{name}"
        dims = ("stage", "stage_to")[: prior.ndim]
        if name in channel.known:
            return pm.Deterministic(full_name, pt.constant(channel.known[name]), dims=dims)
        model = pm.modelcontext(None)
        if full_name != self.ordered_by:
            return model.register_rv(prior, full_name, dims=dims)
        from crmlab.models.ordering import OrderedWithin, start_in_order

        groups = self.space.order_groups()
        ordered = start_in_order(prior, groups)
        return model.register_rv(ordered, full_name, dims=dims, transform=OrderedWithin(groups))


def _register_moves(
    transitions: TransitionModel, space: StageSpace, panel: xr.Dataset
) -> "Drivers | TensorVariable":
    """Register what moves customers: matrices, or parts of logits where there are some."""
    apart = transitions.n_customer_effects(space) > 0
    moved_by = panel if transitions.design.variables or apart else None
    drivers = transitions.drivers(space, moved_by)
    return transitions.matrix(space, moved_by) if drivers is None else drivers


def _merge(model: HiddenMarkov, panel: xr.Dataset, encoded: Sequence[Encoded]) -> Histories:
    """Find the different histories; all customers' own if they have effects of their own."""
    covariates = model.transitions.design.read(panel).get("covariates")
    apart = model.transitions.n_customer_effects(model.space) > 0
    codes = [one.codes for one in encoded]
    return merge_histories(find_window(panel), codes, covariates, apart=apart)


def _find_rows(model: HiddenMarkov, panel: xr.Dataset) -> Ints:
    """Positions of the customers who were seen, in the order of their own effects, if any."""
    if not model.transitions.n_customer_effects(model.space):
        return np.flatnonzero(find_window(panel).last >= 0)
    encoded = [encode(panel, channel, model.space) for channel in model.channels]
    return _merge(model, panel, encoded).example


def _stationary_problems(asked: str, space: StageSpace) -> list[str]:
    """List why customers of a space cannot start from its stationary distribution."""
    if asked != "stationary":
        return [f"`initial_probs` must be probabilities, 'stationary' or None, got {asked!r}"]
    reach = np.linalg.matrix_power(space.mask.astype(float), len(space)) > 0
    if reach.all():
        return []
    i, j = np.argwhere(~reach)[0]
    return [
        "`initial_probs` cannot be 'stationary': in the long run everybody would be where no move "
        f"leads back from ({space.names[i]!r} never reaches {space.names[j]!r}); leave it out"
    ]


def _stationary(matrix: "TensorVariable") -> "TensorVariable":
    """Solve ``pi P = pi``, ``sum(pi) = 1``: pi = 1' (I - P + E)^-1 with E all ones."""
    import pytensor.tensor as pt

    size = matrix.shape[0]
    left = pt.eye(size) - matrix + pt.ones((size, size))
    return pt.linalg.solve(left.T, pt.ones(size))
