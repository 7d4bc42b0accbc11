"""A world that obeys one stage model exactly: the first thing to test an inference on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crmlab.actions import Action, FirmView, NoAction, Policy, action_matrices, check_actions
from crmlab.arrays import Floats, Ints, count_problems, upper_edges
from crmlab.channels import Channel, check_channels
from crmlab.errors import SpecError, raise_problems
from crmlab.generators import kernels
from crmlab.generators.base import Generator
from crmlab.generators.decisions import Decision, Records, decide, decision_log, exported
from crmlab.stages import StageSpace, check_transition_matrix
from crmlab.streams import Streams
from crmlab.tables import CustomerTables


class Draw(NamedTuple):
    """What happened to N customers in T periods, as arrays.

    Parameters
    ----------
    stages : ndarray of int (N, T)
        Positions in the stage space.
    values : dict of channel to ndarray (N, T)
        NaN where a channel shows nothing.
    """

    stages: Ints
    values: dict[str, Floats]


@dataclass(frozen=True)
class StageWorld(Generator):
    """Customers who move by one transition matrix and show it through channels.

    Parameters
    ----------
    space : StageSpace
    initial_probs : sequence of K floats
        Stage probabilities in period 0.
    transition_matrix : K x K array_like
        Rows sum to 1; 0 where `space` allows no move.
    channels : sequence of Channel
        Every parameter given.
    n_periods : int
    actions : sequence of Action
        What the firm can do. An action of period t tilts the move from t to t + 1.
    policy : Policy
        Who is treated; the `policy` of `simulate` takes its place.

    Raises
    ------
    SpecError
        The world is not consistent; the message lists all problems at once.

    Examples
    --------
    >>> from crmlab.channels import Poisson
    >>> from crmlab.generators.base import simulate
    >>> space = StageSpace(("dormant", "active"))
    >>> visits = Poisson("visits", rate=(0.2, 3.0))
    >>> world = StageWorld(space, (0.5, 0.5), ((0.9, 0.1), (0.2, 0.8)), (visits,), n_periods=4)
    >>> simulate(world, 3, seed=1).truth["stages"].head(2)
       customer_id  period    stage
    0            0       0  dormant
    1            0       1  dormant
    """

    space: StageSpace
    initial_probs: tuple[float, ...]
    transition_matrix: tuple[tuple[float, ...], ...]
    channels: tuple[Channel, ...] = ()
    n_periods: int = 12
    actions: tuple[Action, ...] = ()
    policy: Policy = field(default_factory=NoAction)

    def __post_init__(self) -> None:
        """Check the whole world, then keep its numbers as tuples."""
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "actions", tuple(self.actions))
        check_actions("StageWorld", self.actions, self.space)
        raise_problems(SpecError, "StageWorld", list(self._problems()))
        check_channels("StageWorld", self.channels, self.space)
        check_transition_matrix(self.space, self.transition_matrix)
        matrix = np.asarray(self.transition_matrix, dtype=float)
        object.__setattr__(self, "initial_probs", tuple(map(float, self.initial_probs)))
        object.__setattr__(self, "transition_matrix", tuple(map(tuple, matrix.tolist())))

    def _problems(self) -> Iterable[str]:
        probs = np.asarray(self.initial_probs, dtype=float)
        n = len(self.space)
        if probs.shape != (n,) or not np.isclose(probs.sum(), 1) or (probs < 0).any():
            yield f"`initial_probs` must be {n} probabilities that sum to 1, got {probs}"
        yield from count_problems({"n_periods": self.n_periods})
        yield from self._problems_of_actions()
        for channel in self.channels:
            unknown = [name for name in channel.parameter_names if name not in channel.known]
            if unknown:
                yield f"channel {channel.name!r} must be given {unknown}: a world has no priors"

    def _problems_of_actions(self) -> Iterable[str]:
        if not isinstance(self.policy, Policy):
            yield f"`policy` must be a Policy, got {self.policy!r}"
        elif self.policy.acts and not self.actions:
            yield f"`policy` has no `actions` to choose from, got {self.policy!r}"
        taken = {channel.name for channel in self.channels}
        for action in self.actions:
            if action.name in taken:
                yield f"{action.name!r} is the name of a channel and of an action"

    def sample(self, streams: Streams, customers: Ints) -> CustomerTables:
        """Walk the stages, under the policy if there is one, then let each channel show them."""
        stages, decisions = self._walk(streams, customers)
        values = self._values(streams, customers, stages)
        tables = {
            name: pd.concat(
                [
                    self._rows(customers, channel, values[channel.name])
                    for channel in self._channels_in(name)
                ],
                ignore_index=True,
            )
            for name in sorted({channel.table for channel in self.channels})
        }
        truth = {"stages": self._truth(customers, stages)}
        if self.actions:
            log = decision_log(customers, self.actions, decisions, self.space.names)
            tables["actions"], truth["decisions"] = exported(log, self.policy), log
        return CustomerTables(
            customers=pd.DataFrame({"customer_id": customers}),
            **tables,
            window=(0, self.n_periods - 1),
            truth=truth,
        )

    def draw(self, streams: Streams, customers: Ints) -> Draw:
        """Stages and values of the channels as arrays: what `sample` makes tables of.

        Parameters
        ----------
        streams : Streams
        customers : ndarray of int (N,)

        Returns
        -------
        Draw

        Examples
        --------
        >>> from crmlab.generators.confounding import confounded_world
        >>> confounded_world().draw(Streams(1), np.arange(5)).values["orders"].shape
        (5, 6)
        """
        stages, _ = self._walk(streams, customers)
        return Draw(stages, self._values(streams, customers, stages))

    def _values(self, streams: Streams, customers: Ints, stages: Ints) -> dict[str, Floats]:
        if stages.size >= kernels.WORTH_COMPILING:
            return {c.name: kernels.show(streams, customers, c, stages) for c in self.channels}
        periods = np.arange(self.n_periods)
        return {c.name: self._show(streams, customers, c, stages, periods) for c in self.channels}

    def _walk(self, streams: Streams, customers: Ints) -> tuple[Ints, list[Decision]]:
        """Stage paths (customer, period), each step by inverting one row's distribution."""
        if not self.actions and len(customers) * self.n_periods >= kernels.WORTH_COMPILING:
            edges = upper_edges(self.initial_probs), upper_edges(self.transition_matrix)
            return kernels.walk(streams, customers, self.n_periods, *edges), []
        periods = np.arange(self.n_periods)
        u = streams.uniforms("stage", customers[:, None], periods)
        rows = upper_edges(action_matrices(self.transition_matrix, self.space, self.actions))
        paths = np.empty(u.shape, dtype=np.int64)
        paths[:, 0] = (u[:, 0, None] > upper_edges(self.initial_probs)).sum(axis=1)
        decisions: list[Decision] = []
        for t in periods:
            if t > 0:
                chosen = decisions[-1].chosen if decisions else 0
                paths[:, t] = (u[:, t, None] > rows[chosen, paths[:, t - 1]]).sum(axis=1)
            if self.actions:
                decisions.append(self._decide(streams, customers, paths[:, : t + 1], decisions))
        return paths, decisions

    def _decide(
        self,
        streams: Streams,
        customers: Ints,
        stages: Ints,
        decisions: Sequence[Decision],
    ) -> Decision:
        """Show the firm what it can see in the last of these periods, and let it act."""
        now = stages.shape[1] - 1
        channels = {channel.name: channel for channel in self.channels}
        actions = tuple(action.name for action in self.actions)
        records = Records(
            lambda name, t: self._show(streams, customers, channels[name], stages[:, t], t),
            tuple(channels),
            actions,
            [decision.chosen for decision in decisions],
            now,
            [channel.name for channel in self._channels_in("events")],
            len(customers),
        )
        view = FirmView(now, pd.DataFrame({"customer_id": customers}), actions, records)
        return decide(self.policy, view, streams, customers, stages[:, now], self.space.names)

    def _show(
        self,
        streams: Streams,
        customers: Ints,
        channel: Channel,
        stages: Ints,
        periods: ArrayLike,
    ) -> Floats:
        """Values of one channel, NaN where there is none, in the shape of `stages`."""
        who = customers[:, None] if stages.ndim > 1 else customers
        u = streams.uniforms(channel.name, who, periods, size=channel.n_uniforms)
        return channel.sample(u, **{name: value[stages] for name, value in channel.known.items()})

    def _rows(
        self,
        customers: Ints,
        channel: Channel,
        values: Floats,
    ) -> pd.DataFrame:
        """Rows of one channel; what did not happen leaves none."""
        happened = ~np.isnan(values) & ((values != 0) | (channel.table != "events"))
        who, when = np.nonzero(happened)
        siblings = [other.name for other in self._channels_in(channel.table)]
        rows = {
            "customer_id": customers[who],
            "period": when,
            "channel": pd.Categorical([channel.name] * len(who), categories=siblings),
        }
        if channel.names_stages:
            codes = values[happened].astype(int)
            return pd.DataFrame(
                {**rows, "stage": pd.Categorical.from_codes(codes, list(self.space.names))}
            )
        return pd.DataFrame({**rows, "value": values[happened]})

    def _channels_in(self, table: str) -> list[Channel]:
        return [channel for channel in self.channels if channel.table == table]

    def _truth(self, customers: Ints, stages: Ints) -> pd.DataFrame:
        names = pd.array(list(self.space.names), dtype="str")
        return pd.DataFrame(
            {
                "customer_id": np.repeat(customers, self.n_periods),
                "period": np.tile(np.arange(self.n_periods), len(customers)),
                "stage": names.take(stages.ravel()),
            }
        )
