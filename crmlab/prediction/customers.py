"""The customers of a panel, as the model of a fit sees them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from crmlab.arrays import Bools, Floats, Ints
from crmlab.inference import Fit
from crmlab.inference.result import warn_if_unconverged
from crmlab.models.emissions import Histories, Scorer, Window, find_window, merge_histories
from crmlab.transitions import TransitionModel

Parameters = Mapping[str, Floats]


@dataclass(frozen=True)
class Customers:
    """The customers of a panel, and everything that is the same in all draws.

    Attributes
    ----------
    fit : Fit
    panel : xr.Dataset
    window : Window
        First and last observed period of each customer; the last is -1 if there is none.
    score : Scorer
        Gives the log-density of what was seen.
    design : ndarray (customer or 1, move or 1, column), optional
        Covariates of each move.
    """

    fit: Fit
    panel: xr.Dataset
    window: Window
    score: Scorer
    design: Floats | None

    @cached_property
    def histories(self) -> Histories:
        """The different histories: customers who have the same one are computed once."""
        return merge_histories(self.window, self._codes, self.design)

    @cached_property
    def one_by_one(self) -> Histories:
        """Every customer's own history, for customers who differ in more than what was seen."""
        everyone = np.arange(len(self.window.first))
        return Histories(*self.window, self._codes, np.ones(len(everyone)), everyone, everyone)

    @property
    def _codes(self) -> list[Ints]:
        return [encoded.codes for _, encoded in self.score.encoded]

    @property
    def seen(self) -> Bools:
        """Customers with at least one observed period."""
        return self.window.last >= 0

    @property
    def transitions(self) -> TransitionModel:
        """The model of moves."""
        return self.fit.model.transitions

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the covariates that the moves read, segments included."""
        return self.transitions.design.columns

    @property
    def n_effects(self) -> int:
        """Number of effects that each customer has of their own."""
        return self.transitions.n_customer_effects(self.fit.model.space)

    def evidence(self, parameters: Parameters, normals: Floats | None = None) -> tuple:
        """Arguments of the recursions of `crmlab.chains`, for the customers seen at all.

        `normals` (customer seen, effect) are their positions in the population.
        """
        seen = self.seen
        matrices = self.matrices(parameters, self.design_of(np.flatnonzero(seen)), normals)
        window = (ends[seen] for ends in self.window)
        return parameters["initial_probs"], matrices, self.score(parameters)[seen], *window

    def design_of(self, who: Ints) -> Floats | None:
        """Covariates of the moves of some customers (some or 1, move or 1, column)."""
        design = self.design
        return design if design is None or len(design) == 1 else design[who]

    def read_design(self, panel: xr.Dataset) -> Floats:
        """Covariates of each move of another panel (customer or 1, move or 1, column)."""
        return self.transitions.design.read(panel)["covariates"]

    def matrices(
        self, parameters: Parameters, design: Floats | None, normals: Floats | None = None
    ) -> Floats:
        """Transition matrices (customer or 1, move or 1, K, K) under a design."""
        moves, space = self.transitions, self.fit.model.space
        offsets = None if normals is None else moves.customer_offsets(space, parameters, normals)
        return moves.matrices(space, parameters, design, offsets)


def read_customers(fit: Fit, panel: xr.Dataset | None = None) -> Customers:
    """Read a fit's own panel, or that of other customers; raise `DataError` if it does not fit.

    Warns
    -----
    SamplingWarning
        The fit has not converged.
    """
    warn_if_unconverged(fit)
    if panel is not None:
        fit.model.check(panel)
    panel = fit.panel if panel is None else panel
    scorer = Scorer(panel, fit.model.channels, fit.model.space)
    design = fit.model.transitions.design.read(panel).get("covariates")
    return Customers(fit, panel, find_window(panel), scorer, design)
