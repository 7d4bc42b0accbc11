"""Observed stages: when each stage is known, the posterior is a closed form."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from crmlab.channels import StageLabel
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.models.base import StageModel, coords
from crmlab.models.emissions import check_panel, encode
from crmlab.stages import StageSpace
from crmlab.transitions import StickyDirichlet

if TYPE_CHECKING:
    import pymc as pm


@dataclass(frozen=True)
class ObservedMarkov(StageModel):
    """A Markov chain over stages that are reported without error.

    Parameters
    ----------
    space : StageSpace
    transitions : StickyDirichlet
        Prior of the rows.
    label : str
        Panel variable that holds the stage.

    Notes
    -----
    With counts n of observed moves, ``P[i, :] | n ~ Dirichlet(alpha[i, :] + n[i, :])``, and the
    stage at the start of the windows likewise under a uniform prior (Anderson and Goodman 1957
    for the counts; the update is Dirichlet-multinomial conjugacy). Draws are independent.

    A cell without a report breaks the path: a move is counted between two neighbouring periods
    that both have one. What the gaps leave out is not summed over: with missing reports
    the likelihood is a partial one. `HiddenMarkov` with a `StageLabel` whose confusion is the
    identity uses everything.
    """

    space: StageSpace
    transitions: StickyDirichlet = StickyDirichlet()  # noqa: RUF009
    label: str = "stage"

    def __post_init__(self) -> None:
        """Refuse transitions that have no closed form."""
        if not isinstance(self.transitions, StickyDirichlet):
            raise SpecError(
                "ObservedMarkov: `transitions` must be StickyDirichlet, got "
                f"{type(self.transitions).__name__}, whose posterior has no closed form; use "
                "HiddenMarkov with a StageLabel whose confusion is the identity."
            )

    @property
    def channels(self) -> tuple[StageLabel, ...]:
        """Reports that are never wrong."""
        return (StageLabel(self.label, confusion=np.eye(len(self.space))),)

    @property
    def default_method(self) -> str:
        """Independent draws from the closed form."""
        return "exact"

    def check(self, panel: xr.Dataset) -> None:
        """Raise `DataError` unless the panel reports possible moves between known stages."""
        check_panel("ObservedMarkov", panel, self.channels, self.space)
        moves = self.count_moves(panel)
        where = np.argwhere((moves > 0) & ~self.space.mask)
        names = self.space.names
        problems = [
            f"{int(moves[i, j])} moves {names[i]} -> {names[j]} are not allowed by the space"
            for i, j in where
        ]
        raise_problems(DataError, "ObservedMarkov cannot read this panel", problems)

    def count_moves(self, panel: xr.Dataset) -> NDArray[np.int64]:
        """Count moves between neighbouring periods with reports (stage_from, stage_to)."""
        stages = self._stages(panel)
        known = (stages[:, :-1] >= 0) & (stages[:, 1:] >= 0)
        n = len(self.space)
        pairs = stages[:, :-1][known] * n + stages[:, 1:][known]
        return np.bincount(pairs, minlength=n * n).reshape(n, n)

    def count_starts(self, panel: xr.Dataset) -> NDArray[np.int64]:
        """Count reported stages in the first period of each customer's window (stage,)."""
        stages = self._stages(panel)
        observed = panel["observed"].transpose("customer_id", "period").values.astype(bool)
        starts = stages[np.arange(len(stages)), observed.argmax(axis=1)]
        return np.bincount(starts[starts >= 0], minlength=len(self.space))

    def _stages(self, panel: xr.Dataset) -> NDArray[np.int64]:
        """Index of the reported stage (customer, period), -1 where there is no report."""
        values, codes = encode(panel, self.channels[0], self.space)
        return np.append(values, -1).astype(np.int64)[codes]

    def build(self, panel: xr.Dataset) -> "pm.Model":
        """Give the same posterior as a PyMC model, to be sampled or extended."""
        import pymc as pm
        import pytensor.tensor as pt

        self.check(panel)
        moves, starts = self.count_moves(panel), self.count_starts(panel)
        with pm.Model(coords=coords(self.space)) as model:
            initial = pm.Dirichlet("initial_probs", np.ones(len(self.space)), dims="stage")
            matrix = self.transitions.matrix(self.space, None)
            allowed = self.space.mask
            log_matrix = pt.log(matrix[np.nonzero(allowed)])
            pm.Potential("moves", pt.sum(moves[allowed] * log_matrix))
            pm.Potential("starts", pt.sum(starts * pt.log(initial)))
            never_wrong = np.eye(len(self.space))
            pm.Deterministic(
                f"{self.label}_confusion", pt.constant(never_wrong), dims=("stage", "stage_to")
            )
        return model

    def sample_exact(
        self, panel: xr.Dataset, size: tuple[int, int], rng: np.random.Generator
    ) -> dict[str, NDArray[np.float64]]:
        """Independent draws from the posterior, each with leading axes `size`."""
        self.check(panel)
        weights = self.transitions.alpha(self.space) + self.count_moves(panel)
        return {
            "initial_probs": rng.dirichlet(1.0 + self.count_starts(panel), size),
            "transition_matrix": np.stack(
                [_sample_row(row, size, rng) for row in weights], axis=-2
            ),
            f"{self.label}_confusion": np.broadcast_to(
                np.eye(len(self.space)), (*size, len(self.space), len(self.space))
            ),
        }


def _sample_row(
    weights: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """One Dirichlet row with structural zeros."""
    row = np.zeros((*size, len(weights)))
    if (weights > 0).sum() == 1:  # a stage that is never left, exactly
        row[..., weights > 0] = 1.0
    else:
        row[..., weights > 0] = rng.dirichlet(weights[weights > 0], size)
    return row
