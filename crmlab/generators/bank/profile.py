"""What a stage looks like from outside: intensity, rates, warmth, for any stage space.

A profile reads only the place of a stage on its side of the relationship, so every `StageSpace`
has one. The k-th of m stages of coming together has intensity k / (m - 1), from 0 to 1; coming
apart mirrors it and is somewhat cooler; a stage that is never left is silent.
"""

from dataclasses import dataclass

import numpy as np

from crmlab.arrays import Bools, Floats, Ints
from crmlab.stages import StageSpace

MOTIONS = ("stay", "deepen", "ease", "repair", "slip", "drift", "cross", "exit")
"""Moves by what they mean: deepen, ease and repair bring closer; the last four lead apart."""

STAY, DEEPEN, EASE, REPAIR, SLIP, DRIFT, CROSS, EXIT = range(len(MOTIONS))
CLOSER = [DEEPEN, EASE, REPAIR]
APART = [SLIP, DRIFT, CROSS, EXIT]

_APART_COOLS = 0.8
_FLAT = 0.8  # the intensity of a phase with only one stage


@dataclass(frozen=True)
class StageProfile:
    """Numbers by stage, each an array of K.

    Parameters
    ----------
    intensity : from 0 to 1
    rank : place among the stages of its phase, from 0 (least intense)
    together, lost : bool
        Whether the stage belongs to coming together, and whether it is never left.
    contacts, purchases : mean number per period
    warmth : what it adds to satisfaction in a survey
    motion : (K, K) of int
        Meaning of each move, an index of `MOTIONS`.
    """

    intensity: Floats
    rank: Ints
    together: Bools
    lost: Bools
    contacts: Floats
    purchases: Floats
    warmth: Floats
    motion: Ints

    @property
    def highest(self) -> Bools:
        """Whether a stage is the most intense one of coming together, (K,)."""
        best = self.intensity[self.together].max(initial=0.0)
        return self.together & ~self.lost & (self.intensity == best)


def profile_of(space: StageSpace) -> StageProfile:
    """Derive the profile of a stage space.

    Parameters
    ----------
    space : StageSpace

    Returns
    -------
    StageProfile

    Examples
    --------
    >>> from crmlab.stages import KNAPP
    >>> profile_of(KNAPP).purchases.round(2)
    array([0.1 , 0.46, 1.13, 1.98, 3.  , 2.18, 1.45, 0.83, 0.36, 0.  ])
    """
    together = np.array([phase == "together" for phase in space.phases])
    lost = np.array([name in space.absorbing for name in space.names])
    rank, intensity = _places(space, together & lost)
    intensity = np.where(lost, 0.0, intensity * np.where(together, 1.0, _APART_COOLS))
    alive = ~lost
    return StageProfile(
        intensity=intensity,
        rank=rank,
        together=together,
        lost=lost,
        contacts=alive * (0.4 + 1.6 * intensity + 0.3 * ~together),
        purchases=alive * (0.1 + 2.9 * intensity**1.5),
        warmth=np.where(together, 0.4 + 1.2 * intensity, -1.2 + 1.2 * intensity),
        motion=_motions(space, lost),
    )


def _places(space: StageSpace, no_step: Bools) -> tuple[Ints, Floats]:
    """Place of each stage on its side; an end is not a step of coming together."""
    rank = np.zeros(len(space), dtype=np.int64)
    intensity = np.full(len(space), _FLAT)
    for listed in space.order_groups():
        group = [i for i in listed if not no_step[i]]
        rank[group] = np.arange(len(group))
        if len(group) > 1:
            intensity[group] = np.arange(len(group)) / (len(group) - 1)
    return rank, intensity


def _motions(space: StageSpace, lost: Bools) -> Ints:
    motion = np.zeros((len(space), len(space)), dtype=np.int64)
    for i, j in np.argwhere(space.kinds != ""):
        motion[i, j] = _motion(space, int(i), int(j), bool(lost[j]))
    return motion


def _motion(space: StageSpace, i: int, j: int, is_end: bool) -> int:
    """Read the meaning of a move from the phases and the listed order."""
    if is_end or space.kinds[i, j] == "exit":
        return EXIT
    was, now = space.phases[i], space.phases[j]
    if was != now:
        return CROSS if was == "together" else REPAIR
    if was == "together":
        return DEEPEN if j > i else SLIP
    return EASE if j < i else DRIFT
