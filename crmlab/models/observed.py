"""Observed stages: when each stage is known, counts of moves are all that matters.

Without covariates the posterior has a closed form. With covariates it is a multinomial logit of the
counts under each of their patterns, however many customers there are.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from crmlab.arrays import Floats, Ints
from crmlab.channels import Channel, StageLabel
from crmlab.channels.base import slash_problems
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.models.base import StageModel, coords
from crmlab.models.emissions import check_panel, read_cells
from crmlab.models.move_counts import Patterns, count_patterns
from crmlab.stages import StageSpace
from crmlab.tables import observed_cells
from crmlab.transitions import StickyDirichlet, TransitionModel

if TYPE_CHECKING:
    import pymc as pm


@dataclass(frozen=True)
class ObservedMarkov(StageModel):
    """A Markov chain over stages that are reported without error.

    Parameters
    ----------
    space : StageSpace
    transitions : StickyDirichlet or a model with covariates
        Prior of the rows, or what drives them: `CovariateLogit`, `OrderedLogit`, ... without
        customers' effects of their own.
    label : str
        Panel variable that holds the stage.

    Notes
    -----
    With counts n of observed moves, ``P[i, :] | n ~ Dirichlet(alpha[i, :] + n[i, :])``, and the
    stage at the start of the windows likewise under a uniform prior (Anderson and Goodman 1957
    for the counts; the update is Dirichlet-multinomial conjugacy). Draws are independent.

    Moves that covariates drive are counted per pattern of covariates g,
    ``log L = sum_g sum_ij n_g[i, j] log P_g[i, j]``, once per panel; the posterior of the
    parameters is then close to normal, and ``method="laplace"`` (the default) gives independent
    draws of it. A softmax over all K columns without a reference mixes badly because a constant
    may be added to its logits; here staying is the reference.

    A cell without a report breaks the path: a move is counted between two neighbouring periods
    that both have one. What the gaps leave out is not summed over: with missing reports
    the likelihood is a partial one. `HiddenMarkov` with a `StageLabel` whose confusion is the
    identity uses everything.
    """

    space: StageSpace
    transitions: TransitionModel = StickyDirichlet()  # noqa: RUF009
    label: str = "stage"

    def __post_init__(self) -> None:
        """Refuse transitions that counts do not determine."""
        problems = self.transitions.design.problems + self.transitions.space_problems(self.space)
        problems += slash_problems("`label`", [self.label])
        problems += self.transitions.design.emitted_problems([self.label])
        if self.transitions.n_customer_effects(self.space):
            problems.append(
                "`transitions` cannot have customers' effects of their own, which counts do not "
                "show; use HiddenMarkov with a StageLabel whose confusion is the identity"
            )
        raise_problems(SpecError, "ObservedMarkov", problems)

    @property
    def _is_closed(self) -> bool:
        """Whether counts of moves give the posterior in closed form."""
        return self.transitions.alpha(self.space) is not None

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Reports that are never wrong."""
        return (StageLabel(self.label, confusion=np.eye(len(self.space))),)

    @property
    def default_method(self) -> str:
        """Independent draws, from the closed form if there is one."""
        return "exact" if self._is_closed else "laplace"

    def check(self, panel: xr.Dataset) -> None:
        """Raise `DataError` unless the panel reports possible moves between known stages."""
        check_panel("ObservedMarkov", panel, self.channels, self.space, self.transitions.design)
        moves = self.count_moves(panel)
        where = np.argwhere((moves > 0) & ~self.space.mask)
        names = self.space.names
        problems = [
            f"{int(moves[i, j])} moves {names[i]} -> {names[j]} are not allowed by the space"
            for i, j in where
        ]
        raise_problems(DataError, "ObservedMarkov cannot read this panel", problems)

    def count_moves(self, panel: xr.Dataset) -> Ints:
        """Count moves between neighbouring periods with reports (stage_from, stage_to)."""
        alike = count_patterns(self._stages(panel), np.zeros((1, 1, 0)), len(self.space))
        return alike.counts[0].astype(np.int64)

    def count_starts(self, panel: xr.Dataset) -> Ints:
        """Count reported stages in the first period of each customer's window (stage,)."""
        stages = self._stages(panel)
        starts = stages[np.arange(len(stages)), observed_cells(panel).argmax(axis=1)]
        return np.bincount(starts[starts >= 0], minlength=len(self.space))

    def remarks(self, panel: xr.Dataset) -> list[str]:
        """Say also how many moves between reports are lost because they go over a gap."""
        return [*super().remarks(panel), *self._gap_remarks(panel)]

    def _gap_remarks(self, panel: xr.Dataset) -> list[str]:
        known = self._stages(panel) >= 0
        n_pairs = int(np.maximum(known.sum(axis=1) - 1, 0).sum())
        n_lost = n_pairs - int((known[:, :-1] & known[:, 1:]).sum())
        if not n_lost:
            return []
        return [
            f"{n_lost / n_pairs:.1%} of the moves between two reports of {self.label!r} go over a "
            "gap of periods without a report and are left out, which biases the matrix where "
            "reports depend on the stage: use HiddenMarkov with StageLabel("
            f"{self.label!r}, confusion=np.eye({len(self.space)})), which sums over the gaps"
        ]

    def _stages(self, panel: xr.Dataset) -> Ints:
        """Index of the reported stage (customer, period), -1 where there is no report."""
        cells = read_cells(panel, self.channels[0], self.space)
        return np.where(np.isnan(cells), -1, cells).astype(np.int64)

    def _count_patterns(self, panel: xr.Dataset) -> Patterns:
        """Count moves under each pattern of covariates; all are alike where there are none."""
        design = self.transitions.design.read(panel).get("covariates", np.zeros((1, 1, 0)))
        return count_patterns(self._stages(panel), design, len(self.space))

    def build(self, panel: xr.Dataset) -> "pm.Model":
        """Return the same posterior as a PyMC model, to be sampled or extended."""
        import pymc as pm
        import pytensor.tensor as pt

        self.check(panel)
        patterns, starts = self._count_patterns(panel), self.count_starts(panel)
        data = {"move_counts": patterns.counts, "start_counts": starts.astype(float)}
        if not self._is_closed:
            weights = patterns.counts.sum(axis=(1, 2))
            means = weights @ patterns.design[:, 0] / max(weights.sum(), 1.0)
            data |= {"covariates": patterns.design, "covariate_means": means}
        with pm.Model(coords=coords(self.space)) as model:
            data = {name: pm.Data(name, values) for name, values in data.items()}
            initial = pm.Dirichlet("initial_probs", np.ones(len(self.space)), dims="stage")
            # The patterns are registered already, so the transitions take nothing from the panel.
            some = None if self._is_closed else panel.isel(customer_id=slice(0, 1))
            matrix = self.transitions.matrix(self.space, some)
            matrix = matrix.reshape((-1, *self.space.mask.shape))
            rows, columns = np.nonzero(self.space.mask)
            counted = data["move_counts"][:, rows, columns]
            pm.Potential("moves", pt.sum(counted * pt.log(matrix[:, rows, columns])))
            pm.Potential("starts", pt.sum(data["start_counts"] * pt.log(initial)))
            never_wrong = np.eye(len(self.space))
            pm.Deterministic(
                f"{self.label}_confusion", pt.constant(never_wrong), dims=("stage", "stage_to")
            )
        return model

    def sample_exact(
        self, panel: xr.Dataset, size: tuple[int, ...], rng: np.random.Generator
    ) -> dict[str, Floats]:
        """Independent draws from the posterior, each with leading axes `size`."""
        self.check(panel)
        alpha = self.transitions.alpha(self.space)
        if alpha is None:
            return super().sample_exact(panel, size, rng)
        weights = alpha + self.count_moves(panel)
        return {
            "initial_probs": rng.dirichlet(1.0 + self.count_starts(panel), size),
            "transition_matrix": np.stack(
                [_sample_row(row, size, rng) for row in weights], axis=-2
            ),
            f"{self.label}_confusion": np.broadcast_to(
                np.eye(len(self.space)), (*size, len(self.space), len(self.space))
            ),
        }


def _sample_row(weights: Floats, size: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """One Dirichlet row with structural zeros."""
    row = np.zeros((*size, len(weights)))
    if (weights > 0).sum() == 1:  # a stage that is never left, exactly
        row[..., weights > 0] = 1.0
    else:
        row[..., weights > 0] = rng.dirichlet(weights[weights > 0], size)
    return row
