"""The shipped models as they are calibrated: small panels, every part that can go wrong.

Each case is a model and a design. Panels are small because calibration has to hold for any size,
and a mistake in the prior or in the first period shows best where data say little.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

import crmlab as crm
from crmlab import transitions
from crmlab.evaluation import empty_panel
from crmlab.models.base import StageModel

TWO = crm.StageSpace(("dormant", "active"))
THREE = crm.StageSpace(
    ("new", "loyal", "leaving"),
    phases=("together", "together", "apart"),
    moves=(("new", "loyal"), ("loyal", "new"), ("new", "leaving"), ("loyal", "leaving")),
)
LADDER = crm.StageSpace(("low", "middle", "high"))
VISITS = crm.Poisson("visits", typical_rate=(0.5, 4.0), spread=0.5)
VISITS_OF_THREE = crm.Poisson("visits", typical_rate=(0.5, 2.0, 6.0), spread=0.5)
STICKY = crm.StickyDirichlet(stickiness=2.0, concentration=2.0)


@dataclass(frozen=True)
class Case:
    """A model, the design of its panels, and the draws that truths are ranked among."""

    model: StageModel
    design: xr.Dataset
    n_draws: int = 49
    method: str | None = None


def ragged(n_customers: int, n_periods: int) -> xr.Dataset:
    """A design whose windows begin and end when they like."""
    rng = np.random.default_rng(1)
    first = rng.integers(0, n_periods // 3, n_customers)
    last = n_periods - 1 - rng.integers(0, n_periods // 3, n_customers)
    period = np.arange(n_periods)
    inside = (period >= first[:, None]) & (period <= last[:, None])
    return empty_panel(n_customers, n_periods).assign(observed=(("customer_id", "period"), inside))


def with_gaps(design: xr.Dataset, name: str, share: float = 0.2) -> xr.Dataset:
    """Add cells of a channel that nobody will see, at random places."""
    shape = design["observed"].shape
    lost = np.random.default_rng(2).random(shape) < share
    return design.assign({name: (("customer_id", "period"), np.where(lost, np.nan, 0.0))})


def with_drivers(design: xr.Dataset) -> xr.Dataset:
    """Add contacts (they change), age (it does not) and region (a segment)."""
    rng = np.random.default_rng(3)
    n, n_periods = design["observed"].shape
    return design.assign(
        contacts=(("customer_id", "period"), rng.normal(size=(n, n_periods)).round(2)),
        age=("customer_id", rng.normal(size=n).round(2)),
        region=("customer_id", np.arange(n) % 3.0),
    )


def _channels() -> StageModel:
    """Five channels at once, one with gaps, in ragged windows, two phases, structural zeros."""
    channels = (
        crm.Poisson("visits", typical_rate=(1.0, 4.0, 1.0), spread=0.5),
        crm.Bernoulli("complaint", typical_prob=(0.1, 0.1, 0.5), confidence=6),
        crm.ZeroInflatedSpend("spend", typical_spend=20.0),
        crm.OrdinalSurvey("survey", typical_location=(0.0, 1.0, -1.0), response_rate=0.5),
        crm.StageLabel("report", response_rate=0.3),
    )
    return crm.HiddenMarkov(THREE, STICKY, channels, "visits_rate")


def _counts() -> StageModel:
    """Counts that vary more than Poisson's, and periods since."""
    channels = (
        crm.NegativeBinomial("calls", typical_rate=(1.0, 4.0), spread=0.5, typical_shape=1.0),
        crm.Geometric("periods_since", typical_prob=(0.2, 0.5), confidence=6),
    )
    return crm.HiddenMarkov(TWO, STICKY, channels, "calls_rate")


def _driven(transitions: crm.TransitionModel, initial: str | None = None) -> StageModel:
    return crm.HiddenMarkov(TWO, transitions, (VISITS,), "visits_rate", initial)


def _ordered() -> StageModel:
    moves = transitions.OrderedLogit(("contacts",), effect_scale=0.7, spread=0.7, typical_stay=0.6)
    return crm.HiddenMarkov(LADDER, moves, (VISITS_OF_THREE,), "visits_rate")


CONTACTS = crm.CovariateLogit(("contacts", "age"), effect_scale=0.7, spread=0.7)
LAGGED = crm.CovariateLogit(("contacts",), effect_scale=0.7, spread=0.7, lag=1)
REGIONS = crm.CovariateLogit(spread=0.7, segments=transitions.Segments("region", (0.0, 1.0, 2.0)))
PERSONS = crm.CovariateLogit(
    ("contacts",),
    effect_scale=0.7,
    spread=0.7,
    customers=transitions.CustomerEffects(shared="kind"),
)
ALIKE = crm.CovariateLogit(spread=0.7)

SMALL, LONGER = empty_panel(24, 8), empty_panel(40, 10)

CASES = {
    "observed": Case(crm.ObservedMarkov(LADDER, STICKY), empty_panel(6, 6), 99),
    "hidden": Case(crm.HiddenMarkov(TWO, STICKY, (VISITS,), "visits_rate"), SMALL),
    "channels": Case(_channels(), with_gaps(ragged(24, 9), "visits")),
    "counts": Case(_counts(), SMALL),
    "covariates": Case(_driven(CONTACTS), with_drivers(LONGER)),
    "lagged": Case(_driven(LAGGED), with_drivers(ragged(40, 12))),
    "ordered": Case(_ordered(), with_drivers(LONGER)),
    "segments": Case(_driven(REGIONS), with_drivers(LONGER)),
    "customers": Case(_driven(PERSONS), with_drivers(LONGER)),
    "stationary": Case(_driven(ALIKE, "stationary"), SMALL),
}
