"""Assignments that are handed out in variants, and the worlds behind them.

A notebook here is a source (solutions, hidden tests) that names its world in its metadata; see
`crmlab.course.variants`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crmlab.generators.stage_world import StageWorld

OWN_BANK = Path(__file__).parent / "90_own_bank.ipynb"


def own_bank() -> "StageWorld":
    """Make the bank of the first assignment: its staff note one of four stages each quarter.

    Returns
    -------
    StageWorld
        Invented, like everything in it.

    Examples
    --------
    >>> own_bank().space.names
    ('trying', 'regular', 'drifting', 'gone')
    """
    import numpy as np

    from crmlab.channels import StageLabel
    from crmlab.generators.stage_world import StageWorld
    from crmlab.stages import StageSpace

    space = StageSpace(("trying", "regular", "drifting", "gone"))
    moves = (
        (0.50, 0.30, 0.05, 0.15),
        (0.00, 0.85, 0.12, 0.03),
        (0.00, 0.15, 0.55, 0.30),
        (0.00, 0.00, 0.00, 1.00),
    )
    noted = (StageLabel("stage", confusion=np.eye(4)),)
    return StageWorld(space, (1.0, 0.0, 0.0, 0.0), moves, noted, n_periods=16)


def own_branch() -> "StageWorld":
    """Make the branch of the course's own-firm exercises: `own_bank`, with visits and calls.

    In every quarter a coin decides who is called; a call brings back some drifting customers.

    Returns
    -------
    StageWorld
        Invented, like everything in it.

    Examples
    --------
    >>> [action.name for action in own_branch().actions]
    ['call']
    """
    from dataclasses import replace

    from crmlab.actions import Action, RandomPolicy
    from crmlab.channels import Poisson

    bank = own_bank()
    return replace(
        bank,
        channels=(*bank.channels, Poisson("visits", rate=(1.0, 3.0, 0.6, 0.05))),
        actions=(Action("call", 5.0, {("drifting", "regular"): 1.2}),),
        policy=RandomPolicy({"call": 0.5}),
    )
