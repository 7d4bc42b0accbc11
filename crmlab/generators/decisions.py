"""How a world asks a policy: what the firm has seen so far, and what it decides."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.actions import (
    Action,
    FirmView,
    Policy,
    check_propensities,
    choose_actions,
    impression_probs,
)
from crmlab.arrays import Floats, Ints
from crmlab.streams import Streams

Look = Callable[[str, int], Floats]


class Decision(NamedTuple):
    """What a firm did to N customers in one period.

    Parameters
    ----------
    chosen : ndarray of int (N,)
        0 nothing, 1 the first action, and so on.
    propensities : ndarray (N, A)
    impressions : ndarray of int (N,) or None
        Stages as account managers saw them, if the policy looked at them.
    """

    chosen: Ints
    propensities: Floats
    impressions: Ints | None


def decide(
    policy: Policy,
    view: FirmView,
    streams: Streams,
    addresses: Ints,
    stages: Ints,
    stage_names: Sequence[str],
) -> Decision:
    """Ask the policy, then draw from its propensities at the customers' own addresses."""
    seen = None
    if policy.accuracy is not None:
        seen = _impressions(policy.accuracy, streams, addresses, view.period, stages, stage_names)
        view = FirmView(
            view.period, view.customers, view.actions, view.observed, np.array(stage_names)[seen]
        )
    shape = (len(addresses), len(view.actions))
    propensities = check_propensities(policy, policy.propensities(view), shape)
    u = streams.uniforms("action", addresses, view.period)
    return Decision(choose_actions(propensities, u), propensities, seen)


def _impressions(
    accuracy: float,
    streams: Streams,
    addresses: Ints,
    period: int,
    stages: Ints,
    stage_names: Sequence[str],
) -> Ints:
    edges = np.cumsum(impression_probs(len(stage_names), accuracy), axis=1)
    u = streams.uniforms("impression", addresses, period)
    return (u[:, None] > (edges / edges[:, -1:])[stages]).sum(axis=1)


class Records(Mapping[str, NDArray]):
    """Summaries of the records up to a period, each computed on first use.

    Parameters
    ----------
    look : function of (channel, period) giving values (N,), NaN where there is no record
    channels, actions : sequence of str
    chosen : sequence of int arrays (N,)
        Decisions so far, one per past period.
    period : int
    totals : sequence of str
        The channels in which 0 means that nothing happened.
    n_customers : int
    """

    def __init__(
        self,
        look: Look,
        channels: Sequence[str],
        actions: Sequence[str],
        chosen: Sequence[Ints],
        period: int,
        totals: Sequence[str],
        n_customers: int,
    ) -> None:
        self._look = look
        self._chosen = chosen
        self._period = period
        self._totals = totals
        self._n_customers = n_customers
        self._channels = tuple(channels)
        self._actions = tuple(actions)
        self._names = (
            *channels,
            *(f"{name}_{end}" for name in (*channels, *actions) for end in ("total", "since")),
        )

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the summaries."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count the summaries."""
        return len(self._names)

    def __getitem__(self, name: str) -> NDArray:
        """Compute one summary, (N,)."""
        if name not in self._names:
            raise KeyError(name)
        if name in self._channels:
            return self._look(name, self._period)
        base, _, end = name.rpartition("_")
        history = self._done(base) if base in self._actions else self._seen(base)
        return np.nansum(history, axis=0) if end == "total" else _time_since(history, self._period)

    def _seen(self, channel: str) -> Floats:
        values = np.stack([self._look(channel, t) for t in range(self._period + 1)])
        silent = channel in self._totals
        return np.where(values == 0, np.nan, values) if silent else values

    def _done(self, action: str) -> Floats:
        code = self._actions.index(action) + 1
        if not self._chosen:
            return np.full((1, self._n_customers), np.nan)
        return np.where(np.stack(self._chosen) == code, 1.0, np.nan)


def _time_since(history: Floats, period: int) -> Floats:
    """Periods since the last value that is not missing; infinity if there is none."""
    times = np.arange(len(history))[:, None]
    last = np.where(np.isnan(history), -np.inf, times).max(axis=0)
    return period - last


def decision_log(
    customers: Ints,
    actions: Sequence[Action],
    decisions: Sequence[Decision],
    stage_names: Sequence[str],
) -> pd.DataFrame:
    """Everything about the decisions of a world, for its truth: one row per possible action.

    Returns
    -------
    DataFrame
        customer_id, period, action, value (1 if it was taken, else 0), cost [currency],
        propensity and, if there were any, impression (stage); only where the propensity is above
        0, in the order of customers, periods, actions.
    """
    seen = [d.impressions for d in decisions if d.impressions is not None]
    return tabulate_decisions(
        customers,
        {action.name: action.cost for action in actions},
        np.stack([d.chosen for d in decisions], axis=1),
        np.stack([d.propensities for d in decisions], axis=1),
        np.array(stage_names)[np.stack(seen, axis=1)] if seen else None,
    )


def tabulate_decisions(
    customers: Ints,
    costs: Mapping[str, float],
    chosen: Ints,
    propensities: Floats,
    impressions: NDArray | None = None,
) -> pd.DataFrame:
    """Write decisions as a table: the form of every log of actions.

    Parameters
    ----------
    customers : ndarray of int (N,)
    costs : mapping of action to cost of one use [currency]
        The A actions, in the order of the propensities.
    chosen : ndarray of int (N, T)
        0 nothing, 1 the first action, and so on.
    propensities : ndarray (N, T, A)
    impressions : ndarray of str (N, T), optional

    Returns
    -------
    DataFrame
        As in `decision_log`.
    """
    who, when, what = np.nonzero(propensities > 0)
    taken = (chosen[who, when] == what + 1).astype(float)
    log = pd.DataFrame(
        {
            "customer_id": customers[who],
            "period": when,
            "action": pd.Categorical.from_codes(what, list(costs)),
            "value": taken,
            "cost": taken * np.array(list(costs.values()))[what],
            "propensity": propensities[who, when, what],
        }
    )
    return log if impressions is None else log.assign(impression=impressions[who, when])


def exported(log: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Give the part of a decision log that the firm records.

    A logged policy records whom it could have treated and with which propensity. An unlogged one
    records only what was done.
    """
    kept = log.drop(columns=[c for c in ("impression",) if c in log])
    if policy.logged:
        return kept
    return kept[kept["value"] > 0].drop(columns="propensity").reset_index(drop=True)
