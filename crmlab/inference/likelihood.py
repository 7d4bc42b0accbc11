"""The log-likelihood of each customer's history, with stages and customers' own effects summed out.

The customer is the unit that is left out when models are compared: customers are independent
observations, but the rows of one history are not. A log-likelihood must not depend on effects that
were fitted to the customer's own rows, so they are averaged over points of the population.
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy.special import logsumexp, ndtri

from crmlab.arrays import Floats, Ints
from crmlab.models.base import StageModel
from crmlab.models.emissions import Scorer, find_window, merge_histories

N_POINTS = 64


@functools.cache
def population_points(n_effects: int, n_points: int = N_POINTS) -> Floats:
    """Return points spread evenly over the population (point, effect), as standard normals.

    A Halton sequence without its first point, scaled to mean 0 and standard deviation 1: a rule of
    integration, not a sample.
    """
    from scipy.stats import qmc

    points = ndtri(qmc.Halton(n_effects, scramble=False).random(n_points + 1)[1:])
    return (points - points.mean(axis=0)) / points.std(axis=0)


class CustomerLogliks:
    """The customers of a panel who were seen, read once for any number of draws.

    Parameters
    ----------
    model : StageModel
    panel : xr.Dataset
    points : int
        Number of points of the population over which customers' own effects are averaged.
    """

    def __init__(self, model: StageModel, panel: xr.Dataset, points: int = 256) -> None:
        some = panel.isel(customer_id=np.flatnonzero(find_window(panel).last >= 0))
        self.model, self.customers = model, some["customer_id"].values
        self.score = Scorer(some, model.channels, model.space)
        design = model.transitions.design.read(some).get("covariates")
        codes = [encoded.codes for _, encoded in self.score.encoded]
        self.histories = merge_histories(find_window(some), codes, design)
        rows = slice(None) if design is None or len(design) == 1 else self.histories.example
        self.design = None if design is None else design[rows]
        n_effects = model.transitions.n_customer_effects(model.space)
        self.points = population_points(n_effects, points) if n_effects else np.empty((1, 0))

    def __call__(self, parameters: Mapping[str, Floats]) -> Floats:
        """Log-likelihood of each customer under one draw of the posterior (customer,) [nats]."""
        from crmlab.models.kernel import op

        initial, seen = parameters["initial_probs"], self._join(self.score.tables(parameters))
        moves, space = self.model.transitions, self.model.space
        offsets = moves.customer_offsets(space, parameters, self.points)
        if offsets is None:
            logs = self._walk(parameters, None, seen)[None]
        elif moves.offsets_are_log_odds:
            average = np.ascontiguousarray(moves.matrices(space, parameters, self.design))
            logs = op.compiled(op.logliks_at_points)(initial, average, np.exp(offsets), *seen)
        else:
            every = range(len(self.points))
            logs = np.stack([self._walk(parameters, offsets[p : p + 1], seen) for p in every])
        return (logsumexp(logs, axis=0) - np.log(len(logs)))[self.histories.which]

    def _walk(self, parameters: Mapping[str, Floats], own: Floats | None, seen: tuple) -> Floats:
        """Log-likelihood of each history, at one place of the population."""
        from crmlab.models.kernel import op

        moves, space = self.model.transitions, self.model.space
        matrices = np.ascontiguousarray(moves.matrices(space, parameters, self.design, own))
        return op.compiled(op.logliks)(parameters["initial_probs"], matrices, *seen)

    def _join(self, tables: Sequence[tuple[Floats, Ints]]) -> tuple[Floats, Ints, Ints]:
        """Stack the tables of all channels, with codes that point into the stack, and windows."""
        starts = np.cumsum([0, *(len(table) for table, _ in tables[:-1])])
        codes = [one + start for one, start in zip(self.histories.codes, starts, strict=True)]
        windows = np.stack([self.histories.first, self.histories.last], axis=-1)
        table = np.concatenate([table for table, _ in tables])
        return table, np.stack(codes, axis=-1), windows
