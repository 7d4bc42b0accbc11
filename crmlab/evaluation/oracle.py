"""The most that can be known of hidden stages: the true parameters, applied to an export.

The oracle knows the world's parameters and sees what the firm sees: channels and actions. Nobody
who has the same columns can predict the stages better on average, so its log score bounds what
exported columns may reveal. `sample_stage_paths` draws whole histories from the oracle's
distribution, which the true one also follows: the reference of the leakage audit.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from crmlab import chains
from crmlab.actions import action_matrices
from crmlab.arrays import Floats, Ints
from crmlab.errors import DataError, raise_problems
from crmlab.generators.confounding import stage_propensities
from crmlab.generators.stage_world import StageWorld
from crmlab.models.emissions import Scorer, check_panel
from crmlab.tables import CustomerTables, to_panel
from crmlab.transitions import Design


@dataclass(frozen=True, eq=False)
class Oracle:
    """What is known of N customers' stages in T periods, given the true parameters.

    Parameters
    ----------
    filtered : ndarray of shape (N, T, K)
        Probability of each stage given everything exported up to the period.
    smoothed : ndarray of shape (N, T, K)
        Probability of each stage given everything exported, before and after.
    matrices : ndarray of shape (N or 1, T - 1 or 1, K, K)
        Transition matrices under what was done.
    """

    filtered: Floats
    smoothed: Floats
    matrices: Floats


def stage_oracle(tables: CustomerTables, world: StageWorld) -> Oracle:
    """Filter and smooth with the parameters of the world that made the tables.

    Parameters
    ----------
    tables : CustomerTables
        As simulated. Channels of the tables that the world does not have are not used.
    world : StageWorld
        With the policy under which the tables were made.

    Returns
    -------
    Oracle

    Raises
    ------
    DataError
        The tables are not of this world.
    """
    panel = to_panel(tables, freq="M")
    check_panel("stage_oracle", panel, world.channels, world.space, Design())
    evidence = Scorer(panel, world.channels, world.space)(
        {f"{c.name}_{name}": value for c in world.channels for name, value in c.known.items()}
    )
    matrices = np.asarray(world.transition_matrix)[None, None]
    if world.actions:
        chosen = _chosen(panel, world)
        every = action_matrices(world.transition_matrix, world.space, world.actions)
        matrices = every[chosen[:, :-1]]
        evidence = evidence + _evidence_of_decisions(world, chosen)
    inputs = (world.initial_probs, matrices, evidence)
    return Oracle(chains.forward(*inputs).filtered, chains.smooth(*inputs), matrices)


def _chosen(panel: xr.Dataset, world: StageWorld) -> Ints:
    """Code of the action of each customer and period, (N, T); 0 where nothing was done."""
    names = [action.name for action in world.actions]
    missing = [f"action {name!r} is not in the panel" for name in names if name not in panel]
    raise_problems(DataError, "stage_oracle", missing)
    done = np.stack([panel[name].values > 0 for name in names])
    return np.where(done.any(axis=0), done.argmax(axis=0) + 1, 0)


def _evidence_of_decisions(world: StageWorld, chosen: Ints) -> Floats:
    """Log probability of what was done in each stage; 0 for rules that look only at records."""
    if world.policy.accuracy is None:
        return np.zeros((*chosen.shape, len(world.space)))
    evidence = []
    for t in range(chosen.shape[1]):
        given = stage_propensities(world, world.policy, t)
        every = np.concatenate([1 - given.sum(axis=1, keepdims=True), given], axis=1)
        with np.errstate(divide="ignore"):
            evidence.append(np.log(every.T)[chosen[:, t]])
    return np.stack(evidence, axis=1)


def sample_stage_paths(oracle: Oracle, n_draws: int, rng: np.random.Generator) -> Ints:
    """Draw histories from the oracle's distribution, (n_draws, N, T).

    Given everything exported, the true history is one more such draw. Backward sampling as in
    `crmlab.chains.sample_paths`, of all draws at once.
    """
    n, n_periods, _ = oracle.filtered.shape
    paths = np.empty((n_draws, n, n_periods), dtype=np.int64)
    customers = np.arange(n)
    edges = np.cumsum(oracle.filtered[:, -1], axis=-1)
    for t in reversed(range(n_periods)):
        u = rng.random((n_draws, n)) * edges[..., -1]
        paths[..., t] = (u[..., None] >= edges).sum(axis=-1)
        if t:
            moves = oracle.matrices[:, min(t - 1, oracle.matrices.shape[1] - 1)]
            joint = oracle.filtered[:, t - 1, :, None] * moves
            edges = np.cumsum(joint, axis=1)[customers, :, paths[..., t]]
    return paths
