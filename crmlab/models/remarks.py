"""What a model cannot learn from a panel, reported before sampling.

None of this stops a fit: priors keep every answer finite. But where the data say nothing, the
answer is the prior's, and the user must know.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from crmlab.arrays import Bools, Floats
from crmlab.channels import Channel
from crmlab.models.emissions import read_cells
from crmlab.stages import StageSpace
from crmlab.tables import observed_cells
from crmlab.transitions import StickyDirichlet, TransitionModel
from crmlab.transitions.covariates import moves_inside


def data_remarks(
    panel: xr.Dataset,
    channels: Sequence[Channel],
    space: StageSpace,
    transitions: TransitionModel = StickyDirichlet(),  # noqa: B008
) -> list[str]:
    """Report what a panel is too small, or too uniform, to show; empty if nothing stands out.

    Parameters
    ----------
    panel : xr.Dataset
        One that the model can read.
    channels : sequence of Channel
    space : StageSpace
    transitions : TransitionModel

    Returns
    -------
    list of str
        One sentence each: what is missing, what follows, and the way out.

    Examples
    --------
    >>> import crmlab as crm
    >>> from crmlab.evaluation.ranks import empty_panel
    >>> space = crm.StageSpace(("dormant", "active"))
    >>> panel = empty_panel(30, 1).assign(visits=(("customer_id", "period"), np.ones((30, 1))))
    >>> for remark in data_remarks(panel, (crm.Poisson("visits"),), space):
    ...     print(remark)
    there is no move between two periods: how stages move stays at its prior; add periods
    channel 'visits' is 1 wherever it was seen: it does not tell stages apart; leave it out
    """
    inside = moves_inside(panel)
    remarks = [*_size_remarks(panel, inside, space)]
    for channel in channels:
        remarks += _channel_remarks(panel, channel, space)
    remarks += _design_remarks(panel, inside, transitions)
    return [*remarks, *transitions.design.remarks(panel)]


def _size_remarks(panel: xr.Dataset, inside: Bools, space: StageSpace) -> list[str]:
    observed = observed_cells(panel)
    n_seen, n_moves = int(observed.any(axis=1).sum()), int(inside.sum())
    n_free = int(space.mask.sum()) - len(space)
    if n_seen == 0:
        return ["nobody was ever observed: everything stays at its prior; widen the windows"]
    remarks = []
    if n_seen == 1:
        remarks.append(
            "there is only one customer: the answer is about her, not about customers in general"
        )
    if n_moves == 0:
        remarks.append(
            "there is no move between two periods: how stages move stays at its prior; add periods"
        )
    elif n_moves < n_free:
        remarks.append(
            f"there are {n_moves} moves to learn {n_free} probabilities of moving from: they stay "
            "near their prior; take fewer stages, or forbid moves"
        )
    return remarks


def _channel_remarks(panel: xr.Dataset, channel: Channel, space: StageSpace) -> list[str]:
    cells = read_cells(panel, channel, space)
    values = cells[np.isfinite(cells)]
    if len(values) == 0:
        return [f"channel {channel.name!r} was never seen: it says nothing; leave it out"]
    if channel.names_stages:
        counts = np.bincount(values.astype(int), minlength=len(space))
        never = [name for name, count in zip(space.names, counts, strict=True) if not count]
        if not never:
            return []
        return [
            f"channel {channel.name!r} never reports {never}: what happens there stays at its "
            "prior; merge these stages with others, or say what is known of them"
        ]
    if values.min() == values.max() and len(space) > 1:
        return [
            f"channel {channel.name!r} is {values[0]:g} wherever it was seen: it does not tell "
            "stages apart; leave it out"
        ]
    return []


def _design_remarks(panel: xr.Dataset, inside: Bools, transitions: TransitionModel) -> list[str]:
    """Find covariates that are sums of others or constant: their effects are not identified."""
    names = transitions.design.covariates
    if len(names) < 2 or not inside.any():
        return []
    design = transitions.design.read(panel)["covariates"][..., : len(names)]
    rows = np.broadcast_to(design, (*inside.shape, len(names)))[inside]
    rows = rows - rows.mean(axis=0)
    spread = rows.std(axis=0)
    moving = np.flatnonzero(spread > 0)  # a constant one has a remark of its own
    rows = rows[:, moving] / spread[moving]
    made_up = [
        names[m] for k, m in enumerate(moving) if _rank(rows[:, : k + 1]) == _rank(rows[:, :k])
    ]
    if not made_up:
        return []
    return [
        f"the covariates {made_up} are sums of the others in every move: only the prior divides "
        "the effect among them; leave them out"
    ]


def _rank(rows: Floats) -> int:
    return int(np.linalg.matrix_rank(rows)) if rows.shape[1] else 0
