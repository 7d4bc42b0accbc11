"""Ten planted mistakes are caught, and the models without them are not accused.

Five by calibration of the closed form; five by the enumeration of paths, by the contract of
channels, or by the mass of a density. `validation/planted.py` catches the latter five by
calibration with the sampler too; its table has the p values.
"""

import itertools

import numpy as np
import pytest

import crmlab as crm
from crmlab.evaluation.ranks import calibrate, simulate_panel
from crmlab.testing import ContractError, check_channel
from tests import interpreted
from tests.oracles import channels, moves, paths
from validation.bugs import CLOSED, HIDDEN, SAMPLED, TWO, VISITS, NoJacobian, PerQuarter

# One calibration in a thousand without a mistake would be accused.
SIZE = 1e-3
N_WORLDS = 100


@pytest.mark.parametrize("name", CLOSED)
def test_a_mistake_in_the_closed_form_is_caught(name):
    bug = CLOSED[name]
    found = calibrate(bug.right, bug.design, fitted=bug.wrong, n_replicates=N_WORLDS, seed=3)
    assert found.p_value < SIZE


def test_without_the_mistake_nothing_is_found():
    bug = CLOSED["initial distribution"]
    assert calibrate(bug.right, bug.design, n_replicates=N_WORLDS, seed=3).p_value > SIZE


# Hidden stages, by adding up paths ----------------------------------------------------------------


def law_of(model, seed=5):
    """Numbers for everything that is learned, rates in order."""
    rng = np.random.default_rng(seed)
    parameters = {"initial_probs": np.array([0.4, 0.6]), "visits_rate": np.array([0.7, 3.0])}
    if model.transitions.design.variables:
        base = np.array([[0.0, -1.0], [-1.5, 0.0]])
        effect = np.array([[0.0, 1.5], [-1.0, 0.0]])
        return {**parameters, "base_logits": base, "contacts_effect": effect}
    return {**parameters, "transition_matrix": rng.dirichlet([2, 2], size=2)}


def by_paths(panel, parameters):
    """Log-likelihood of a panel, all paths of all customers added up in plain Python."""
    total = 0.0
    for n, row in enumerate(panel["visits"].values):
        logs = [
            [
                0.0 if np.isnan(y) else channels.poisson(y, rate)
                for rate in parameters["visits_rate"]
            ]
            for y in row
        ]
        matrices = [matrix_by_hand(panel, parameters, n, t) for t in range(len(row) - 1)]
        total += paths.loglik(parameters["initial_probs"], matrices, logs)
    return total


def matrix_by_hand(panel, parameters, n, t):
    if "transition_matrix" in parameters:
        return parameters["transition_matrix"]
    x = panel["contacts"].values[n, t + 1]
    odds = parameters["base_logits"] + x * parameters["contacts_effect"]
    return moves.as_matrix([moves.logit_row(k, {1 - k: odds[k, 1 - k]}) for k in range(2)])


def by_model(model, panel, parameters):
    """The log-likelihood that a sampler would see, at the same numbers."""
    import pytensor.tensor as pt
    from pytensor.graph.replace import graph_replace

    built = model.build(panel)
    given = {built[name]: pt.constant(value) for name, value in parameters.items()}
    graphs = graph_replace(model.merged_loglik(built, panel), given)
    return float(interpreted.evaluate(*graphs)[0])


def some_world(bug):
    """A few customers of the bug's design, with numbers at which it can be seen."""
    design = bug.design.isel(customer_id=slice(3), period=slice(6))
    parameters = law_of(bug.right)
    return simulate_panel(bug.right, design, parameters, rng=np.random.default_rng(1)), parameters


@pytest.mark.parametrize(
    "name", ["missing cell", "scale of a rate", "stale covariate", "mixed-up customers"]
)
def test_a_mistake_in_the_likelihood_is_caught(name):
    bug = SAMPLED[name]
    panel, parameters = some_world(bug)
    expected = by_paths(panel, parameters)
    assert by_model(bug.right, panel, parameters) == pytest.approx(expected, rel=1e-10)
    assert abs(by_model(bug.wrong, panel, parameters) - expected) > 0.1


def test_the_scale_of_a_rate_breaks_the_contract_of_channels():
    check_channel(VISITS, TWO, seed=1, n_draws=2000)
    wrong = PerQuarter("visits", rate=(0.7, 3.0))
    with pytest.raises(ContractError, match="disagree"):
        check_channel(wrong, TWO, seed=1, n_draws=2000)


# The forgotten Jacobian, by the mass of the prior -------------------------------------------------


def mass_of_rates(kind):
    """Integral of the prior of two ordered rates over the whole plane, on a grid."""
    known = {"initial_probs": (0.4, 0.6), "transitions": crm.CovariateLogit(typical_stay=0.7)}
    model = kind(TWO, channels=HIDDEN.channels, ordered_by="visits_rate", **known)
    panel = SAMPLED["Jacobian"].design.isel(customer_id=[0], period=[0])
    panel = panel.assign(visits=panel["observed"] * np.nan)
    built = model.build(panel)
    density = interpreted.function(built.value_vars, [built.logp(vars=[built["visits_rate"]])])
    rest = [np.zeros(v.type.shape or 2) for v in built.value_vars[1:]]
    low, step = np.linspace(-3.5, 2.0, 34, retstep=True)
    gap, width = np.linspace(-5.0, 2.0, 42, retstep=True)
    cells = [np.exp(density(np.array(at), *rest)[0]) for at in itertools.product(low, gap)]
    return float(np.sum(cells) * step * width)


def test_a_forgotten_jacobian_is_caught():
    """Two log rates around log 0.5 and log 4, spread 0.5 each, are in order with this chance."""
    from scipy.stats import norm

    in_order = norm.cdf(np.log(8) / np.hypot(0.5, 0.5))
    assert mass_of_rates(crm.HiddenMarkov) == pytest.approx(in_order, abs=0.01)
    assert abs(mass_of_rates(NoJacobian) - in_order) > 0.1


def test_there_are_ten():
    assert len({**CLOSED, **SAMPLED}) == 10
