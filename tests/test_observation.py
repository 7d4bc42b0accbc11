"""What is seen, as a variable of a PyMC model: its density, its draws, and a user's session."""

import numpy as np
import pytest
import xarray as xr

import crmlab as crm
from crmlab.inference.log_density import make_log_density, read_log_density

pytestmark = pytest.mark.filterwarnings("error")

DIMS = ("customer_id", "period")
PAIR = crm.StageSpace(("dormant", "active"))
CUSTOMERS = crm.transitions.CustomerEffects()
LAWS = {
    "one matrix": crm.StickyDirichlet(2.0, 2.0),
    "covariates": crm.CovariateLogit(("x",)),
    "ordered": crm.transitions.OrderedLogit(("x",)),
    "own effects": crm.CovariateLogit(customers=CUSTOMERS),
    "own effects and covariates": crm.CovariateLogit(("x",), customers=CUSTOMERS),
}
CHANNELS = (
    crm.Poisson("visits", typical_rate=(0.5, 4.0), spread=0.5),
    crm.ZeroInflatedSpend("spend"),
    crm.OrdinalSurvey("survey"),
    crm.StageLabel("report"),
)


@pytest.fixture(scope="module")
def panel():
    """Twelve customers, some cells missing, one never observed, two who came later."""
    shown = (
        crm.Poisson("visits", rate=(0.3, 3.0)),
        crm.ZeroInflatedSpend("spend", prob=(0.2, 0.8), median=(10.0, 30.0), sigma=(1.0, 1.0)),
        crm.OrdinalSurvey("survey", location=(-1.0, 1.0), response_rate=0.5),
        crm.StageLabel("report", confusion=((0.9, 0.1), (0.2, 0.8)), response_rate=0.7),
    )
    world = crm.StageWorld(PAIR, (0.5, 0.5), ((0.9, 0.1), (0.2, 0.8)), shown, n_periods=6)
    full, rng = crm.to_panel(crm.simulate(world, 12, seed=1), freq="M"), np.random.default_rng(2)
    observed = full["observed"].values.copy()
    observed[3], observed[5, :2], observed[7, 4:] = False, False, False
    lost = (DIMS, rng.random((12, 6)) < 0.2)
    x = (DIMS, rng.normal(size=(12, 6)).round(1))
    return full.assign(
        visits=full["visits"].where(~xr.DataArray(lost[1], dims=DIMS)),
        observed=(DIMS, observed),
        x=x,
    )


def models():
    for name, law in LAWS.items():
        for start in (None, "stationary"):
            yield pytest.param(
                crm.HiddenMarkov(
                    PAIR, law, CHANNELS, ordered_by="visits_rate", initial_probs=start
                ),
                id=f"{name}, {start or 'learned'} start",
            )
    for name in ("one matrix", "covariates", "ordered"):
        model = crm.ObservedMarkov(PAIR, LAWS[name], label="report")
        yield pytest.param(model, id=f"known, {name}")


# Two faces ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.* go over a gap:crmlab.errors.DataWarning")
@pytest.mark.parametrize("model", list(models()))
def test_the_fast_density_is_that_of_the_pymc_model(model, panel):
    """Log-density and gradient at the same unconstrained numbers."""
    fast = read_log_density(model, panel)
    whole = make_log_density(model.build(panel), model.posterior_names)
    rng = np.random.default_rng(1)
    for _ in range(3):
        x = fast.start + rng.normal(0, 0.5, len(fast.start))
        (found, slope), (expected, steepness) = fast(x), whole(x)
        assert found == pytest.approx(expected, rel=1e-10)
        assert slope == pytest.approx(steepness, rel=1e-10, abs=1e-10)
