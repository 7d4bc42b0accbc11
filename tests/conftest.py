"""What all tests share: where compiled code is kept, and a few small worlds with their fits.

A new kind of model compiles for half a minute once per computer. The fixtures below are the only
kinds that the tests of the core sample: use them before you add one.
"""

import os

from crmlab.cli.environment import PROJECT, project_variables

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.update(project_variables(PROJECT, os.environ))

# PyTensor and numba read their settings when they are imported.
import pytest
from hypothesis import settings

import crmlab as crm

# The same examples on every run: a failure is never a matter of luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

LOYALTY = crm.StageSpace(("dormant", "active"))
LOYALTY_MATRIX = ((0.9, 0.1), (0.2, 0.8))


@pytest.fixture(scope="session")
def loyalty_world():
    """Two stages, seen through counts of visits."""
    visits = crm.Poisson("visits", rate=(0.3, 3.0))
    return crm.StageWorld(LOYALTY, (0.5, 0.5), LOYALTY_MATRIX, (visits,), n_periods=8)


@pytest.fixture(scope="session")
def loyalty_panel(loyalty_world):
    return crm.to_panel(crm.simulate(loyalty_world, 30, seed=1), freq="M")


@pytest.fixture(scope="session")
def loyalty_model():
    """The kind of model that most tests sample: two stages, one channel, everything learned.

    Its priors are tight enough for short runs to converge on every world that they give.
    """
    visits = crm.Poisson("visits", typical_rate=(0.5, 4.0), spread=0.5)
    sticky = crm.StickyDirichlet(stickiness=2.0, concentration=2.0)
    return crm.HiddenMarkov(LOYALTY, sticky, (visits,), ordered_by="visits_rate")


@pytest.fixture(scope="session")
def loyalty_fit(loyalty_model, loyalty_panel):
    return crm.fit(loyalty_model, loyalty_panel, draws=400, tune=400, seed=2)
