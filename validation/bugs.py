"""Ten mistakes, planted on purpose: each is a small change to a model that is right.

Some are caught by calibration in closed form within seconds, the others by calibration with the
sampler (`python -m validation.planted`) and, at once, by adding up paths (tests/test_planted.py).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

import crmlab as crm
from crmlab.evaluation.ranks import empty_panel
from crmlab.models.base import StageModel
from validation.models import LADDER, TWO, VISITS, with_drivers, with_gaps

if TYPE_CHECKING:
    import pymc as pm

PRIOR = crm.StickyDirichlet(stickiness=1.0, concentration=0.8)
OBSERVED = crm.ObservedMarkov(LADDER, PRIOR)
CONTACTS = crm.CovariateLogit(("contacts",), effect_scale=1.0, spread=0.7)
STICKY = crm.StickyDirichlet(stickiness=2.0, concentration=2.0)
HIDDEN = crm.HiddenMarkov(TWO, STICKY, (VISITS,), "visits_rate")
DRIVEN = crm.HiddenMarkov(TWO, CONTACTS, (VISITS,), "visits_rate")


# Observed stages: the closed form -----------------------------------------------------------------


class Transposed(crm.ObservedMarkov):
    """Counts moves backwards."""

    def count_moves(self, panel):
        return super().count_moves(panel).T


class Shifted(crm.ObservedMarkov):
    """Counts moves over two periods as if they were one."""

    def count_moves(self, panel):
        return super().count_moves(panel.isel(period=slice(None, None, 2)))


class LateStart(crm.ObservedMarkov):
    """Takes the second period for the first."""

    def count_starts(self, panel):
        return super().count_starts(panel.isel(period=slice(1, None)))


class Alphabetical(crm.ObservedMarkov):
    """Reads the codes of stages as if the stages were listed by alphabet."""

    def _stages(self, panel):
        order = np.argsort(self.space.names)
        codes = super()._stages(panel)
        return np.where(codes >= 0, order[codes], -1)


# Hidden stages: what the density reads ------------------------------------------------------------


class MissingIsLeast(crm.HiddenMarkov):
    """Takes a missing cell for the smallest value that was seen."""

    def read(self, panel):
        arrays = super().read(panel)
        codes, n_values = arrays["visits_codes"], len(arrays["visits_values"])
        return {**arrays, "visits_codes": np.where(codes == n_values, 0, codes)}


class MixedUp(crm.HiddenMarkov):
    """Hands the covariates of one customer to another."""

    def read(self, panel):
        arrays = super().read(panel)
        return {**arrays, "covariates": np.ascontiguousarray(arrays["covariates"][::-1])}


class Stale(crm.HiddenMarkov):
    """Takes the covariates of the move before."""

    def read(self, panel):
        arrays = super().read(panel)
        return {**arrays, "covariates": np.roll(arrays["covariates"], 1, axis=1)}


@dataclass(frozen=True)
class PerQuarter(crm.Poisson):
    """Scores counts of a month with the rate of a month and a half."""

    def dist(self, rate):
        return super().dist(1.5 * rate)


class NoJacobian(crm.HiddenMarkov):
    """Orders the stages by a change of variables and forgets that it stretches space."""

    def build(self, panel: xr.Dataset) -> "pm.Model":
        import pytensor.tensor as pt
        from pymc.logprob.transforms import ChainedTransform

        from crmlab.models.ordering import OrderedWithin

        class Careless(OrderedWithin):
            def log_jac_det(self, value, *inputs):
                return pt.zeros_like(value).sum(axis=-1)

        model = super().build(panel)
        careless = Careless(self.space.order_groups())
        rate = model["visits_rate"]
        parts = getattr(model.rvs_to_transforms[rate], "transform_list", None)
        changed = [careless if isinstance(p, OrderedWithin) else p for p in parts or [None]]
        model.rvs_to_transforms[rate] = ChainedTransform(changed) if parts else careless
        return model


@dataclass(frozen=True)
class Bug:
    """A mistake: the model that is right, the one that is not, and where to look."""

    words: str
    right: StageModel
    wrong: StageModel
    design: xr.Dataset


def _hidden(kind: type, transitions=STICKY, channel=VISITS) -> StageModel:
    return kind(TWO, transitions, (channel,), "visits_rate")


SHORT, LONG = empty_panel(6, 6), empty_panel(24, 8)
WIDE = with_drivers(empty_panel(40, 10))
QUARTERLY = PerQuarter("visits", typical_rate=VISITS.typical_rate, spread=VISITS.spread)

CLOSED = {
    "transposed matrix": Bug("moves counted backwards", OBSERVED, Transposed(LADDER, PRIOR), SHORT),
    "wrong prior": Bug(
        "prior weight 4 of staying instead of 1",
        OBSERVED,
        crm.ObservedMarkov(LADDER, crm.StickyDirichlet(4.0, 0.8)),
        SHORT,
    ),
    "shifted period": Bug("two periods taken for one", OBSERVED, Shifted(LADDER, PRIOR), SHORT),
    "initial law": Bug(
        "the second period for the first", OBSERVED, LateStart(LADDER, PRIOR), empty_panel(20, 6)
    ),
    "order of stages": Bug(
        "stages listed by alphabet", OBSERVED, Alphabetical(LADDER, PRIOR), SHORT
    ),
}
SAMPLED = {
    "missing cell": Bug(
        "a missing cell read as the least value",
        HIDDEN,
        _hidden(MissingIsLeast),
        with_gaps(LONG, "visits", 0.3),
    ),
    "scale of a rate": Bug(
        "a rate per month and a half", HIDDEN, _hidden(crm.HiddenMarkov, channel=QUARTERLY), LONG
    ),
    # It changes the prior alone: many observations would drown it.
    "Jacobian": Bug(
        "forgotten for the ordered rates", HIDDEN, _hidden(NoJacobian), empty_panel(3, 3)
    ),
    "stale covariate": Bug(
        "the covariates of the move before",
        DRIVEN,
        _hidden(Stale, CONTACTS),
        WIDE,
    ),
    "mixed-up customers": Bug(
        "one customer's covariates for another's", DRIVEN, _hidden(MixedUp, CONTACTS), WIDE
    ),
}
