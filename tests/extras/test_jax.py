"""Densities translated to JAX, as whoever samples a crmlab model with NumPyro has them."""

import numpy as np
import pytest

import crmlab as crm

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("discrimination", [0.5, 1.0, 3.0])
def test_every_answer_of_a_survey_has_the_gradient_that_pytensor_gives(discrimination):
    """The lowest and the highest answer have an edge at infinity."""
    import jax  # here, where the remarks of peers on each other's imports are no errors
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    jax.config.update("jax_enable_x64", True)
    channel = crm.OrdinalSurvey("survey", discrimination=discrimination)
    location, answers = pt.dvector("location"), np.arange(1, 6)
    total = pm.logp(channel.dist(location), answers).sum()
    translated = pytensor.function([location], total, mode="JAX").vm.jit_fn
    at = np.array([-8.0, -1.0, 0.3, 2.0, 9.0])
    expected = pytensor.function([location], pt.grad(total, location), mode="FAST_COMPILE")(at)
    found = jax.grad(lambda x: translated(x)[0].sum())(at)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
