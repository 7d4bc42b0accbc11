"""Observed stages: when each stage is known, counts of moves are all that matters.

Without covariates the posterior has a closed form. With covariates it is a multinomial logit of the
counts under each of their patterns, however many customers there are.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from crmlab.arrays import Bools, Floats, Ints
from crmlab.channels import Channel, StageLabel
from crmlab.channels.base import slash_problems
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.models.base import StageModel, coords
from crmlab.models.emissions import check_panel, find_window, read_cells
from crmlab.models.move_counts import Patterns, count_patterns
from crmlab.models.observation import (
    SEEN,
    Dynamics,
    KnownStages,
    read_dynamics,
    read_seen,
    register,
    seen_coords,
    swap_data,
)
from crmlab.stages import StageSpace
from crmlab.tables import observed_cells
from crmlab.transitions import StickyDirichlet, TransitionModel

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.basic import Variable


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
        return [
            *super().remarks(panel),
            *_gap_remarks(self._stages(panel) >= 0, self.label, len(self.space)),
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
        channels = self.channels
        rows = np.flatnonzero(find_window(panel).last >= 0)
        some = panel.isel(customer_id=rows)
        with pm.Model(coords={**coords(self.space), **seen_coords(some, channels)}) as model:
            for name, values in self.transitions.design.read_some(panel, rows).items():
                pm.Data(name, values)
            initial = pm.Dirichlet("initial_probs", np.ones(len(self.space)), dims="stage")
            matrix = self.transitions.matrix(self.space, None if self._is_closed else panel)
            name, never_wrong = f"{self.label}_confusion", pt.constant(np.eye(len(self.space)))
            confusion = pm.Deterministic(name, never_wrong, dims=("stage", "stage_to"))
            dynamics = Dynamics(initial, matrix, {name: confusion})
            register(KnownStages(channels), dynamics, read_seen(some, channels, self.space))
        return model

    def merged_loglik(self, built: "pm.Model", panel: xr.Dataset) -> "list[Variable]":
        """Log-likelihood of the counts of moves under each pattern of covariates, and of starts."""
        import pytensor
        import pytensor.tensor as pt

        patterns, starts = self._count_patterns(panel), self.count_starts(panel).astype(float)
        counts = pytensor.shared(patterns.counts, "move_counts")
        dynamics = read_dynamics(built[SEEN], self.channels)
        matrix = dynamics.moves.reshape((-1, *self.space.mask.shape))
        rows, columns = np.nonzero(self.space.mask)
        moves = pt.sum(counts[:, rows, columns] * pt.log(matrix[:, rows, columns]))
        start_counts = pytensor.shared(starts, "start_counts")
        parts = [moves, pt.sum(start_counts * pt.log(dynamics.initial))]
        return swap_data(
            parts, built, {"covariates": pytensor.shared(patterns.design, "covariates")}
        )

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


def _gap_remarks(known: Bools, label: str, n_stages: int) -> list[str]:
    """Say how many moves between reports (customer, period) go over a gap."""
    n_pairs = int(np.maximum(known.sum(axis=1) - 1, 0).sum())
    n_lost = n_pairs - int((known[:, :-1] & known[:, 1:]).sum())
    if not n_lost:
        return []
    return [
        f"{n_lost / n_pairs:.1%} of the moves between two reports of {label!r} go over a "
        "gap of periods without a report and are left out, which biases the matrix where "
        "reports depend on the stage: use HiddenMarkov with StageLabel("
        f"{label!r}, confusion=np.eye({n_stages})), which sums over the gaps"
    ]


def _sample_row(weights: Floats, size: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """One Dirichlet row with structural zeros."""
    row = np.zeros((*size, len(weights)))
    if (weights > 0).sum() == 1:  # a stage that is never left, exactly
        row[..., weights > 0] = 1.0
    else:
        row[..., weights > 0] = rng.dirichlet(weights[weights > 0], size)
    return row
