"""A small panel with everything that is awkward about panels, for the tests of models and fits.

Five customers, four periods, five channels: ragged windows (customer 3 is seen in one period,
customer 4 never), cells that were lost, answers that were never given, a stage that is never left.
"""

import numpy as np
import xarray as xr

import crmlab as crm
from tests.oracles import channels as laws

FIRST, LAST = np.array([0, 1, 0, 2, 0]), np.array([3, 3, 2, 2, -1])
SPACE = crm.StageSpace(
    ("new", "loyal", "lost"),
    phases=("together", "together", "apart"),
    moves=(("new", "loyal"), ("loyal", "new"), ("new", "lost"), ("loyal", "lost")),
)
MATRIX = ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1), (0.0, 0.0, 1.0))
CONFUSION = ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.05, 0.05, 0.9))
KNOWN = (
    crm.Poisson("visits", rate=(1.0, 4.0, 0.2)),
    crm.Bernoulli("complaint", prob=(0.1, 0.05, 0.4)),
    crm.ZeroInflatedSpend("spend", (0.2, 0.6, 0.1), (15, 30, 10), (0.5, 0.8, 1.0)),
    crm.OrdinalSurvey("survey", location=(0.0, 1.0, -2.0), response_rate=0.6),
    crm.StageLabel("report", confusion=CONFUSION, response_rate=0.6),
)


def ragged_panel():
    """Simulate the panel, lose some cells, close the windows."""
    world = crm.StageWorld(SPACE, (0.7, 0.2, 0.1), MATRIX, KNOWN, n_periods=4)
    full = crm.to_panel(crm.simulate(world, 5, seed=3), freq="M")
    lost = np.random.default_rng(1).random((5, 4)) < 0.2
    cells = {name: full[name].where(~lost) for name in ("visits", "spend")}
    return trim(full.assign(cells), FIRST, LAST)


def trim(panel, first, last):
    """Close the windows of a panel's customers: nothing is known outside them."""
    period = np.arange(panel.sizes["period"])
    inside = (period >= np.asarray(first)[:, None]) & (period <= np.asarray(last)[:, None])
    observed = xr.DataArray(inside, dims=("customer_id", "period"))
    return panel.drop_vars("observed").where(observed).assign(observed=observed)


def oracle_laws(parameters):
    """Log-density of a value in a stage, channel by channel, in the oracle's words."""
    given = {name: np.asarray(value) for name, value in parameters.items()}
    rate, prob = given["visits_rate"], given["complaint_prob"]
    spend = [given[f"spend_{name}"] for name in ("prob", "median", "sigma")]
    location, confusion = given["survey_location"], given["report_confusion"]
    return {
        "visits": lambda y, k: laws.poisson(y, rate[k]),
        "complaint": lambda y, k: laws.bernoulli(y, prob[k]),
        "spend": lambda y, k: laws.spend(y, *(values[k] for values in spend)),
        "survey": lambda y, k: laws.survey(y, location[k]),
        "report": lambda y, k: laws.label(y, confusion[k]),
    }


def given_parameters(channels):
    return {f"{c.name}_{name}": value for c in channels for name, value in c.known.items()}


def cells_of(panel, names):
    return {name: panel[name].values.tolist() for name in names}
