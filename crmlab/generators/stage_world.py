"""A world that obeys one stage model exactly: the first thing to test an inference on."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.channels import Channel, StageLabel, check_channels
from crmlab.errors import SpecError, raise_problems
from crmlab.generators.base import Generator
from crmlab.stages import StageSpace, check_transition_matrix
from crmlab.streams import Streams
from crmlab.tables import CustomerTables


@dataclass(frozen=True)
class StageWorld(Generator):
    """Customers who move by one transition matrix and show it through channels.

    Parameters
    ----------
    space : StageSpace
    initial_probs : sequence of K floats
        Stage law in period 0.
    transition_matrix : K x K array_like
        Rows sum to 1; 0 where `space` allows no move.
    channels : sequence of Channel
        Every parameter given.
    n_periods : int

    Raises
    ------
    SpecError
        With everything that is wrong with the world at once.

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

    def __post_init__(self) -> None:
        """Check the whole world, then keep its numbers as tuples."""
        object.__setattr__(self, "channels", tuple(self.channels))
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
        if not isinstance(self.n_periods, (int, np.integer)) or self.n_periods < 1:
            yield f"`n_periods` must be a positive integer, got {self.n_periods!r}"
        for channel in self.channels:
            unknown = [name for name in channel.parameter_names if name not in channel.known]
            if unknown:
                yield f"channel {channel.name!r} must be given {unknown}: a world knows its laws"

    def sample(self, streams: Streams, customers: NDArray[np.int64]) -> CustomerTables:
        """Walk the stages, then let each channel show them."""
        stages = self._walk(streams, customers)
        tables = {
            name: pd.concat(
                [
                    self._observe(streams, customers, channel, stages)
                    for channel in self._channels_in(name)
                ],
                ignore_index=True,
            )
            for name in sorted({channel.table for channel in self.channels})
        }
        return CustomerTables(
            customers=pd.DataFrame({"customer_id": customers}),
            **tables,
            window=(0, self.n_periods - 1),
            truth={"stages": self._truth(customers, stages)},
        )

    def _walk(self, streams: Streams, customers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Stage paths (customer, period), each step by inverting one row's distribution."""
        periods = np.arange(self.n_periods)
        u = streams.uniforms("stage", customers[:, None], periods)
        initial = _cumulate(self.initial_probs)
        rows = _cumulate(self.transition_matrix)
        paths = np.empty(u.shape, dtype=np.int64)
        paths[:, 0] = (u[:, 0, None] > initial).sum(axis=1)
        for t in periods[1:]:
            paths[:, t] = (u[:, t, None] > rows[paths[:, t - 1]]).sum(axis=1)
        return paths

    def _observe(
        self,
        streams: Streams,
        customers: NDArray[np.int64],
        channel: Channel,
        stages: NDArray[np.int64],
    ) -> pd.DataFrame:
        """Rows of one channel; what did not happen leaves none."""
        periods = np.arange(self.n_periods)
        u = streams.uniforms(channel.name, customers[:, None], periods, size=channel.n_uniforms)
        given = {name: value[stages] for name, value in channel.known.items()}
        values = channel.sample(u, **given)
        happened = ~np.isnan(values) & ((values != 0) | (channel.table != "events"))
        who, when = np.nonzero(happened)
        siblings = [other.name for other in self._channels_in(channel.table)]
        rows = {
            "customer_id": customers[who],
            "period": periods[when],
            "channel": pd.Categorical([channel.name] * len(who), categories=siblings),
        }
        if isinstance(channel, StageLabel):
            codes = values[happened].astype(int)
            return pd.DataFrame(
                {**rows, "stage": pd.Categorical.from_codes(codes, list(self.space.names))}
            )
        return pd.DataFrame({**rows, "value": values[happened]})

    def _channels_in(self, table: str) -> list[Channel]:
        return [channel for channel in self.channels if channel.table == table]

    def _truth(self, customers: NDArray[np.int64], stages: NDArray[np.int64]) -> pd.DataFrame:
        names = np.array(self.space.names)
        return pd.DataFrame(
            {
                "customer_id": np.repeat(customers, self.n_periods),
                "period": np.tile(np.arange(self.n_periods), len(customers)),
                "stage": names[stages.ravel()],
            }
        )


def _cumulate(probs: ArrayLike) -> NDArray[np.float64]:
    """Upper edges of the cells of a distribution; the last one is exactly one.

    Probabilities sum to 1 up to rounding. Without the division, what is missing would become the
    chance of the last stage, which the space may forbid.
    """
    edges = np.cumsum(np.asarray(probs, dtype=float), axis=-1)
    return edges / edges[..., -1:]
