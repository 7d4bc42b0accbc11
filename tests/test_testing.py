"""The contracts catch what they are for: each test plants one mistake."""

from dataclasses import dataclass, replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from pytensor.gradient import disconnected_grad

import crmlab as crm
from crmlab.testing import (
    ContractError,
    check_channel,
    check_generator,
    check_model,
    check_policy,
    check_transition_model,
)

SPACE = crm.StageSpace(("dormant", "active"), moves=(("dormant", "active"),))


# Channels -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wait(crm.Channel):
    """Days until the next call: exponential with a rate. Sound."""

    rate: tuple[float, ...] | None = (0.5, 1.0)

    def parameters(self, stages):
        return {"rate": pm.LogNormal.dist(0.0, 1.0, shape=len(stages))}

    def dist(self, rate):
        return pm.Exponential.dist(rate)

    def sample(self, u, rate):
        return -np.log1p(-u) / rate


class ScaleForRate(Wait):
    def sample(self, u, rate):
        return -np.log1p(-u) * rate


class UpsideDown(Wait):
    def sample(self, u, rate):
        return -np.log(u) / rate


class Whole(Wait):
    """Says days, gives days before zero."""

    def sample(self, u, rate):
        return np.floor(-np.log1p(-u) / rate) - 1

    def supports(self, values):
        return values >= 0

    @property
    def support(self):
        return "a number of days"


class Forgetful(Wait):
    def sample(self, u, rate):
        return np.random.default_rng().random(u.shape)


class Flat(Wait):
    def sample(self, u, rate):
        return -np.log1p(-u.ravel()) / 1.0


class Nameless(Wait):
    def parameters(self, stages):
        return {"speed": pm.LogNormal.dist(0.0, 1.0, shape=len(stages))}


class Shapeless(Wait):
    def parameters(self, stages):
        return {"rate": pm.LogNormal.dist(0.0, 1.0)}


class Named(Wait):
    def parameters(self, stages):
        with pm.Model():
            return {"rate": pm.LogNormal("rate", 0.0, 1.0, shape=len(stages))}


class Leaking(Wait):
    """A density that misses a factor."""

    def dist(self, rate):
        return pm.CustomDist.dist(rate, logp=lambda value, rate: -rate * value)


class OneForAll(Wait):
    """Draws one number and gives it to everybody."""

    def dist(self, rate):
        return pm.CustomDist.dist(
            rate,
            logp=lambda value, rate: pt.log(rate) - rate * value,
            random=lambda rate, rng, size: rng.exponential() / rate,
        )


@pytest.mark.parametrize("seed", range(20))
def test_a_sound_channel_passes_with_every_seed(seed):
    check_channel(Wait("wait"), SPACE, seed=seed, n_draws=2000)


def test_scale_for_rate_is_caught_and_the_stage_named():
    with pytest.raises(ContractError) as error:
        check_channel(ScaleForRate("wait"), SPACE, seed=0)
    message = str(error.value)
    assert "ScaleForRate('wait'): in stage 'dormant', `sample` and the density of" in message
    # A rate of one is its own scale: nothing is wrong there.
    assert "'active'" not in message


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (UpsideDown, "`sample` falls while `u` rises"),
        (Whole, "`sample` gives -1, but values must be a number of days"),
        (Forgetful, "gives other values when it is called again"),
        (Flat, r"`sample` gives shape \(40000,\) for uniforms of shape \(2, 20000\)"),
        (Leaking, "in stage 'dormant', the density of `dist` is not finite, or adds up to more"),
        (OneForAll, "in stage 'dormant', `dist` and the density of `dist` disagree"),
    ],
)
def test_a_broken_law_is_caught(cls, sentence):
    with pytest.raises(ContractError, match=sentence):
        check_channel(cls("wait"), SPACE, seed=0)


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (Nameless, r"`parameters` gives priors of \['speed'\], `sample` takes \['rate'\]"),
        (Shapeless, r"`rate` has shape \(\): its first axis must hold 2 stages"),
        (Named, "the prior of `rate` has the name 'rate'"),
    ],
)
def test_broken_priors_are_caught(cls, sentence):
    with pytest.raises(ContractError, match=sentence):
        check_channel(cls("wait", rate=None), SPACE, seed=0)


def test_a_small_difference_in_one_stage_is_caught():
    """A share of 0.30 for 0.33, at 20 000 draws: nine standard errors."""

    class Rounded(crm.Bernoulli):
        def sample(self, u, prob):
            return (u > 1 - np.round(prob, 1)).astype(float)

    with pytest.raises(ContractError, match="in stage 'active'") as error:
        check_channel(Rounded("renewal", prob=(0.2, 0.33)), SPACE, seed=0)
    assert "'dormant'" not in str(error.value)


def test_a_contract_error_is_a_failed_assertion():
    assert issubclass(ContractError, AssertionError)


# Transition models --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given(crm.TransitionModel):
    """A fixed matrix under the name that is asked for."""

    rows: tuple
    name: str = "transition_matrix"

    def matrix(self, stages, covariates):
        dims = ("stage_from", "stage_to")
        return pm.Deterministic(self.name, pt.constant(np.array(self.rows)), dims=dims)


@dataclass(frozen=True)
class Cliff(Given):
    """A prior whose density is not finite at the start."""

    def matrix(self, stages, covariates):
        pm.Potential("cliff", pt.log(pm.Normal("x", 0.0, 1.0)))
        return super().matrix(stages, covariates)


@pytest.mark.parametrize(
    ("transitions", "sentence"),
    [
        (Given(((0.5, 0.4), (0.0, 1.0))), "row 'dormant' misses a sum of 1 by 0.1"),
        (Given(((1.2, -0.2), (0.0, 1.0))), "finite numbers that are not negative"),
        (Given(((0.5, 0.5), (0.2, 0.8))), "'active' -> 'dormant' has probability 0.2"),
        (Given(((1.0,),)), "matrices must have shape"),
        (Given(((0.5, 0.5), (0.0, 1.0)), name="P"), "it must register 'transition_matrix'"),
        (Cliff(((0.5, 0.5), (0.0, 1.0))), "log-density or its gradient is not finite"),
    ],
)
def test_a_broken_matrix_is_caught(transitions, sentence):
    with pytest.raises(ContractError, match=sentence):
        check_transition_model(transitions, SPACE, seed=0)


@dataclass(frozen=True)
class Forgetful(crm.CovariateLogit):
    """NumPy's matrices leave the covariates out."""

    def matrices(self, stages, parameters, covariates=None, offsets=None):
        return super().matrices(stages, parameters, 0 * covariates, offsets)


@dataclass(frozen=True)
class Boastful(crm.StickyDirichlet):
    """Promises a variable that nobody registers."""

    def posterior_names(self, stages):
        return ("transition_matrix", "boast")


def test_a_promise_that_is_not_kept_is_caught():
    with pytest.raises(ContractError, match="`matrix` registers no 'boast'"):
        check_transition_model(Boastful(), SPACE, seed=0)
    dims = ("customer_id", "period")
    panel = xr.Dataset(
        {"observed": (dims, np.ones((2, 3), dtype=bool)), "x": (dims, np.ones((2, 3)))}
    )
    check_transition_model(crm.CovariateLogit(("x",)), SPACE, seed=0, covariates=panel)
    with pytest.raises(ContractError, match="`matrices` and `matrix` disagree"):
        check_transition_model(Forgetful(("x",)), SPACE, seed=0, covariates=panel)


class Doubled(crm.Poisson):
    """Other counts than the table of its base class has."""

    def sample(self, u, rate):
        return super().sample(u, 2 * rate)

    def dist(self, rate):
        return super().dist(2 * rate)


def test_a_sampler_is_held_to_sample():
    with pytest.raises(ContractError, match="`sampler` gives other values than `sample`"):
        check_channel(Doubled("visits", rate=(0.5, 3.0)), SPACE, seed=0, n_draws=500)


def test_a_sound_matrix_passes():
    check_transition_model(Given(((0.5, 0.5), (0.0, 1.0))), SPACE, seed=0)


# Models -------------------------------------------------------------------------------------------

LADDER = crm.StageSpace(("dormant", "active"))
VISITS = crm.Poisson("visits")


@pytest.fixture(scope="module")
def panel():
    visits = crm.Poisson("visits", rate=(0.3, 3.0))
    world = crm.StageWorld(LADDER, (0.5, 0.5), ((0.9, 0.1), (0.2, 0.8)), (visits,), n_periods=3)
    return crm.to_panel(crm.simulate(world, 4, seed=1), freq="M")


class Favourite(crm.HiddenMarkov):
    """The first customer counts more than the others."""

    def build(self, panel):
        model = super().build(panel)
        with model:
            first = float(panel["visits"].values[0].sum())
            pm.Potential("favourite", first * pt.log(model["visits_rate"][0]))
        return model


class Counting(crm.HiddenMarkov):
    """Every row counts, also that of a customer who was never observed."""

    def build(self, panel):
        model = super().build(panel)
        with model:
            size = panel.sizes["customer_id"]
            pm.Potential("size", -size * model["visits_rate"].sum())
        return model


class Bent(crm.HiddenMarkov):
    """A gradient cut off from its density."""

    def build(self, panel):
        model = super().build(panel)
        with model:
            rate = disconnected_grad(model["visits_rate"])
            pm.Potential("bent", -(rate**2).sum())
        return model


class Incomplete(crm.HiddenMarkov):
    @property
    def posterior_names(self):
        return (*super().posterior_names, "loyalty")


class Careless(crm.HiddenMarkov):
    def check(self, panel):
        pass


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (Favourite, "the order of the customers changes the log-density"),
        (Counting, "a customer who was never observed changes the log-density"),
        (Bent, "the gradient promises a slope of"),
        (Incomplete, "`build` registers no 'loyalty', which `posterior_names` promises"),
        (Careless, "`check` accepts a panel without 'visits'"),
    ],
)
def test_a_broken_model_is_caught(panel, cls, sentence):
    model = cls(LADDER, channels=(VISITS,), ordered_by="visits_rate")
    with pytest.raises(ContractError, match=sentence):
        check_model(model, panel, seed=0)


def test_a_sound_model_passes_whatever_the_ids(panel):
    model = crm.HiddenMarkov(LADDER, channels=(VISITS,), ordered_by="visits_rate")
    check_model(model, panel, seed=0)
    check_model(model, panel.assign_coords(customer_id=["ada", "ben", "cem", "dia"]), seed=0)


# Generators: see test_generators for worlds that break the contract -------------------------------


def test_a_world_with_another_seed_is_another_world():
    visits = (crm.Poisson("visits", rate=(0.0, 3.0)),)
    world = crm.StageWorld(SPACE, (0.5, 0.5), ((0.9, 0.1), (0.0, 1.0)), visits, n_periods=3)
    check_generator(world, seed=0)
    silent = replace(world, channels=(crm.Poisson("visits", rate=(0.0, 0.0)),))
    certain = replace(silent, initial_probs=(0.0, 1.0))
    with pytest.raises(ContractError, match="the seed changes nothing"):
        check_generator(certain, seed=0)


# Policies -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Half(crm.actions.Policy):
    """Calls every customer with probability one half. Sound."""

    def propensities(self, view):
        return view.propensities({"call": self.chances(view)})

    def chances(self, view):
        return np.full(len(view.customers), 0.5)


class BestThree(Half):
    """Ranks the whole crowd, so that a customer's chance depends on who else is there."""

    def chances(self, view):
        return (np.argsort(np.argsort(view.column("orders"))) < 3).astype(float)


class ByPlace(Half):
    def chances(self, view):
        return np.linspace(0, 1, len(view.customers))


class Moody(Half):
    rng = np.random.default_rng(1)

    def chances(self, view):
        return self.rng.random(len(view.customers))


class Certain(Half):
    def chances(self, view):
        return 1.5


class Flat(Half):
    def propensities(self, view):
        return np.full(len(view.customers), 0.5)


class Clairvoyant(Half):
    accuracy = 1.2


class Unsure(Half):
    logged = "yes"


class Stranger(Half):
    def propensities(self, view):
        return view.propensities({"letter": 0.5})


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (BestThree(), "gives a customer alone other propensities than among all"),
        (ByPlace(), "gives other propensities in another order of the customers"),
        (Moody(), "gives other propensities when it is asked again"),
        (Certain(), "`propensities` must be probabilities from 0 to 1"),
        (Flat(), "`propensities` must have shape"),
        (Clairvoyant(), "`accuracy` must be None or from 0 to 1, got 1.2"),
        (Unsure(), "`logged` must be True or False, got 'yes'"),
        (Stranger(), "names the action 'letter'; the world has call"),
        ("call everybody", "it must extend crmlab.actions.Policy"),
    ],
)
def test_a_broken_policy_is_caught(policy, sentence):
    with pytest.raises(ContractError, match=sentence):
        check_policy(policy, crm.generators.confounded_world(), seed=1)


def test_a_sound_policy_passes():
    check_policy(Half(), crm.generators.confounded_world(), seed=1)
