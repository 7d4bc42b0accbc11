"""A fit and a panel, ready to be read draw by draw."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import xarray as xr

from crmlab.arrays import Bools, Floats
from crmlab.inference import Fit
from crmlab.inference.result import warn_if_unconverged
from crmlab.models.emissions import Scorer, Window, find_window
from crmlab.transitions import TransitionModel

Parameters = Mapping[str, Floats]


@dataclass(frozen=True)
class Reader:
    """A fit and a panel, ready to be read draw by draw."""

    fit: Fit
    panel: xr.Dataset
    window: Window
    score: Scorer
    design: Floats | None  # covariates of each move (customer or 1, move or 1, column)

    @property
    def seen(self) -> Bools:
        """Customers with at least one observed period."""
        return self.window.last >= 0

    @property
    def n_seen(self) -> int:
        """Number of customers with at least one observed period."""
        return int(self.seen.sum())

    def evidence(self, parameters: Parameters, normals: Floats | None = None) -> tuple:
        """Arguments of the recursions for the customers that were seen at all.

        `normals` (customer, effect) say where in the population they stand.
        """
        return next(self.evidence_at(parameters, [normals]))

    def evidence_at(
        self, parameters: Parameters, places: Iterable[Floats | None]
    ) -> Iterator[tuple]:
        """Do as `evidence` for one place in the population after the other."""
        scores = self.score(parameters)[self.seen]
        window = self.window.first[self.seen], self.window.last[self.seen]
        for normals in places:
            matrices = self.matrices(parameters, normals)
            yield parameters["initial_probs"], matrices, scores, *window

    def matrices(self, parameters: Parameters, normals: Floats | None = None) -> Floats:
        """Transition matrices (customer or 1, move or 1, K, K) inside the windows."""
        design = self.design
        if design is not None and len(design) > 1:
            design = design[self.seen]
        return self.move(parameters, design, normals)

    def move(self, parameters: Parameters, design: Floats | None, normals: Floats | None) -> Floats:
        """Transition matrices under a design."""
        law, space = law_of(self.fit), self.fit.model.space
        offsets = None if normals is None else law.customer_offsets(space, parameters, normals)
        return law.matrices(space, parameters, design, offsets)

    @property
    def n_effects(self) -> int:
        """Number of effects that each customer has of their own."""
        return law_of(self.fit).n_customer_effects(self.fit.model.space)


def law_of(fit: Fit) -> TransitionModel:
    """Give the model of moves."""
    return fit.model.transitions


def open_reader(fit: Fit, panel: xr.Dataset | None = None) -> Reader:
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
    design = law_of(fit).design.read(panel).get("covariates")
    return Reader(fit, panel, find_window(panel), scorer, design)
