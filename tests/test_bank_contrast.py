"""The naive comparison in a bank is wrong by the amount that its twins say."""

import numpy as np
import pytest
from scipy import stats

import crmlab as crm

ALARM = 1e-6  # chance of a false alarm of each statistical test here
N, PERIOD, SEED = 3000, 12, 1
WORLD = crm.bank.confounded_bank()
GOOD = dict.fromkeys(crm.KNAPP.names[:5], 1.0)


def contrast(world=WORLD, n=N, action="follow_up", period=PERIOD, outcome=GOOD):
    return crm.bank.bank_contrast(world, n, action, outcome=outcome, period=period, seed=SEED)


@pytest.fixture(scope="module")
def found():
    return contrast()


@pytest.fixture(scope="module")
def exported():
    """What an analyst has: decisions of the period with propensities, and the next stage."""
    tables = crm.simulate(WORLD, N, seed=SEED)
    log = tables.actions[tables.actions["period"] == PERIOD]
    log = log[log["action"] == "follow_up"]
    stages = tables.truth["stages"]
    after = stages[stages["period"] == PERIOD + 1].set_index("customer_id")["stage"]
    good = log["customer_id"].map(after).astype("str").map(GOOD).fillna(0.0).to_numpy()
    return good, log["value"].to_numpy(), log["propensity"].to_numpy()


def test_the_naive_estimate_is_that_of_the_exported_tables(found, exported):
    good, treated, _ = exported
    assert found.naive == pytest.approx(good[treated == 1].mean() - good[treated == 0].mean())
    assert (found.n_treated, found.n_untreated) == (treated.sum(), (1 - treated).sum())


def test_naive_less_the_known_bias_is_the_effect_and_propensities_find_it(found, exported):
    good, treated, propensity = exported
    terms = good * (treated / propensity - (1 - treated) / (1 - propensity))
    spread = terms.std() / np.sqrt(len(terms))
    assert abs(terms.mean() - (found.naive - found.bias)) < -stats.norm.ppf(ALARM / 2) * spread
    assert found.naive - found.bias == pytest.approx(found.effect)


def test_the_bias_is_selection_and_who_is_treated(found):
    parts = found.selection + found.effect_on_treated - found.effect
    assert found.bias == pytest.approx(parts)


def test_confounding_turns_the_sign_of_a_helpful_action(found):
    assert found.naive < 0 < found.effect
    z = -stats.norm.ppf(ALARM / 2)
    strong = contrast(WORLD.turned({"treatments.confounding": 5.0, "quality.weight": 2.0}))
    assert strong.bias < -z * strong.standard_error
    fair = contrast(WORLD.turned({"treatments.confounding": 0.0}))
    assert abs(fair.bias) < z * fair.standard_error
    idle = contrast(WORLD.turned({"treatments.follow_up_effect": 0.0}))
    assert idle.effect == idle.effect_on_treated == 0
    assert idle.naive == idle.bias == idle.selection


def test_the_standard_error_is_that_of_other_customers():
    """Twenty-four banks of 300 customers: they spread as much as each of them says, on average."""
    world = crm.bank.Bank(community_size=1).turned(
        {"treatments.confounding": 1.0, "treatments.gift": 0.3}
    )
    early = {"initiating": 1.0, "experimenting": 2.0}
    made = [
        crm.bank.bank_contrast(world, 300, "gift", outcome=early, period=4, seed=seed)
        for seed in range(24)
    ]
    ratio = np.std([c.bias for c in made], ddof=1) / np.mean([c.standard_error for c in made])
    low, high = np.sqrt(stats.chi2.ppf([ALARM / 2, 1 - ALARM / 2], 23) / 23)
    assert low / 1.1 < ratio < high * 1.1


def test_everything_wrong_with_a_contrast_is_said_at_once():
    with pytest.raises(crm.SpecError) as error:
        contrast(n=0, action="hug", period=35, outcome={"platinum": 1.0})
    for words in ("`n_customers`", "'hug'", "from 0 to 34, got 35", "'platinum'"):
        assert words in str(error.value)
    with pytest.raises(crm.SpecError, match="treats everybody or nobody"):
        contrast(crm.bank.well_specified_bank(), n=100)
