"""The model of orders: three or four levels of ordering, seen through repeat orders."""

import itertools
from collections.abc import Sequence

import numpy as np

from crmlab.analyst.plan import Plan
from crmlab.channels import Channel, Poisson
from crmlab.models.hidden import HiddenMarkov
from crmlab.stages import StageSpace
from crmlab.transitions import StickyDirichlet

CHANNEL = "repeat_orders"
RATE = f"{CHANNEL}_rate"
# Typical orders per period in the four stages, as multiples of the mean of all customers.
_LEVELS = (0.15, 1.5, 6.0, 20.0)


def build_stages(*, may_lose: bool, n_stages: int = 4) -> StageSpace:
    """Make levels of ordering; a customer moves one level at a time.

    Parameters
    ----------
    may_lose : bool
        Whether the lowest level is permanent ("lost"), or customers can come back ("asleep").
    n_stages : {3, 4}
        Three leave out the highest, "frequent".

    Examples
    --------
    >>> build_stages(may_lose=True).absorbing
    ('lost',)
    >>> build_stages(may_lose=False, n_stages=3).names
    ('asleep', 'occasional', 'regular')
    """
    names = ("lost" if may_lose else "asleep", "occasional", "regular", "frequent")[:n_stages]
    up = list(itertools.pairwise(names))
    down = [(higher, lower) for lower, higher in up]
    return StageSpace(names, moves=tuple(up[may_lose:] + down))


def build_model(
    typical_rates: Sequence[float],
    *,
    may_lose: bool,
    spread: float = 0.35,
    more: Sequence[Channel] = (),
) -> HiddenMarkov:
    """Make a model with one stage for each typical rate of ordering.

    Parameters
    ----------
    typical_rates : sequence of three or four floats
        Repeat orders per period in each stage, before looking at the data.
    may_lose : bool
        As in `build_stages`.
    spread : float
        Standard deviation of each rate's logarithm around the typical one.
    more : sequence of Channel
        Channels besides orders.
    """
    return HiddenMarkov(
        build_stages(may_lose=may_lose, n_stages=len(typical_rates)),
        StickyDirichlet(stickiness=10),
        (Poisson(CHANNEL, typical_rate=tuple(typical_rates), spread=spread), *more),
        ordered_by=RATE,
    )


def typical_rates(plan: Plan) -> tuple[float, ...]:
    """Return typical rates of four stages, centred on the mean rate of a plan."""
    rates = plan.mean_rate * np.array(_LEVELS)
    top = 0.8 * plan.days_per_period  # nobody purchases more than once a day
    if rates[-1] > top:
        rates = np.geomspace(min(rates[0], top / 100), top, len(rates))
    return tuple(float(f"{rate:.3g}") for rate in rates)
