"""Loyalty: people counted, patterns enumerated, shares recovered."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crmlab.behaviour.loyalty import (
    LatentClasses,
    Ties,
    fit_classes,
    loyalty_type,
    mistake_passive,
    passive_share_from_leavers,
    prob_engaged,
    shares_among_leavers,
)
from crmlab.errors import DataError, SpecError
from tests.oracles import loyalty as oracle
from tests.oracles.printed import assert_prints_as

probability = st.floats(0, 1)
SHARES, YES = (0.55, 0.45), ((0.9, 0.8, 0.3, 0.7), (0.2, 0.7, 0.9, 0.3))


def draw_people(n, rng):
    kind = (rng.random(n) >= SHARES[0]).astype(int)
    return kind, (rng.random((n, 4)) < np.array(YES)[kind]).astype(float)


# Ties ---------------------------------------------------------------------------------------------


def test_active_and_passive_look_alike_until_a_rival_enters():
    ties = Ties(base=-1, attitude=1.5, switching_cost=1, rival=0.5)
    people = {"attitude": [2, 0], "switching_cost": [0, 3]}
    odds = np.exp(-1 + 3.0)
    np.testing.assert_allclose(ties.prob_stay(**people, rival=0), odds / (1 + odds))
    odds_after = np.exp(-1 + 3.0 - 0.5 * 4)
    drop = ties.drop_when_rival_enters(**people, rival=4)
    np.testing.assert_allclose(drop, odds / (1 + odds) - odds_after / (1 + odds_after))


@given(st.floats(-3, 3), st.floats(0, 3), st.floats(0, 3))
def test_each_tie_pulls_its_own_way(a, k, c):
    ties = Ties(base=0.2, attitude=1, switching_cost=0.7, rival=1.3)
    here = ties.prob_stay(attitude=a, switching_cost=k, rival=c)
    assert ties.prob_stay(attitude=a + 1, switching_cost=k, rival=c) > here
    assert ties.prob_stay(attitude=a, switching_cost=k + 1, rival=c) > here
    assert ties.prob_stay(attitude=a, switching_cost=k, rival=c + 1) < here


def test_ties_refuse_weights_that_push_the_wrong_way():
    with pytest.raises(SpecError, match=r"(?s)2 problems.*attitude.*rival"):
        Ties(base=0, attitude=-1, switching_cost=1, rival=-1)


def test_quarters_include_their_cut():
    found = loyalty_type([0, 0, -1, -1], [0.5, 0.4, 0.5, 0.4], attitude_cut=0, patronage_cut=0.5)
    assert found.tolist() == ["loyal", "latent", "spurious", "none"]
    with pytest.raises(DataError, match="missing"):
        loyalty_type([np.nan], [1], attitude_cut=0, patronage_cut=0.5)


# The mistake --------------------------------------------------------------------------------------


def test_published_thousand_customers():
    loss = mistake_passive(1000, passive_share=0.45, leave_active=0.05, leave_passive=0.40)
    assert_prints_as([*loss], ["207.5", "50.0", "157.5"])


@given(probability, probability, probability)
def test_share_of_the_passive_comes_back_from_the_leavers(share, active, passive):
    n = 10**6
    loss = mistake_passive(n, passive_share=share, leave_active=active, leave_passive=passive)
    if abs(active - passive) < 0.01:
        return
    found = passive_share_from_leavers(
        round(loss.expected), n, leave_active=active, leave_passive=passive
    )
    assert found.value == pytest.approx(share, abs=1e-4)  # half a customer in 10^6, over 0.01


def test_standard_error_of_the_share_is_its_spread():
    """4,000 banks of 2,000: the spread is within 5 % (its own standard error is 1.1 %)."""
    leavers = np.random.default_rng(2).binomial(2000, 0.2075, size=4000)
    found = [
        passive_share_from_leavers(x, 2000, leave_active=0.05, leave_passive=0.40).value
        for x in leavers
    ]
    claimed = passive_share_from_leavers(415, 2000, leave_active=0.05, leave_passive=0.40)
    assert np.std(found) == pytest.approx(claimed.standard_error, rel=0.05)
    assert np.mean(found) == pytest.approx(0.45, abs=4 * np.std(found) / np.sqrt(4000))


def test_leavers_are_counted_by_group():
    n, shares, leave = 10**5, np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.5, 0.0])
    leavers = n * shares * leave
    np.testing.assert_allclose(shares_among_leavers(shares, leave), leavers / leavers.sum())


def test_most_leavers_may_have_been_satisfied():
    satisfied, _ = shares_among_leavers([0.9, 0.1], [0.1, 0.4])
    assert satisfied == pytest.approx(0.09 / 0.13)


def test_mistakes_are_refused_together():
    with pytest.raises(SpecError, match="3 problems"):
        mistake_passive(-1, passive_share=45, leave_active=0.05, leave_passive=40)
    with pytest.raises(SpecError, match="differ"):
        passive_share_from_leavers(1, 10, leave_active=0.2, leave_passive=0.2)
    with pytest.raises(DataError, match="11 of 10"):
        passive_share_from_leavers(11, 10, leave_active=0.2, leave_passive=0.4)
    with pytest.raises(SpecError, match="sum to 1"):
        shares_among_leavers([0.5, 0.6], [0.1, 0.1])
    with pytest.raises(SpecError, match="nobody leaves"):
        shares_among_leavers([1, 0], [0, 0.5])


# Engagement ---------------------------------------------------------------------------------------


def logistic(x):
    return 1 / (1 + np.exp(-x))


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=4), st.floats(0.2, 3))
def test_a_gate_never_opens_wider_than_its_narrowest(scores, steepness):
    zeros = np.zeros(len(scores))
    both = prob_engaged(scores, thresholds=zeros, steepness=steepness)
    gates = [logistic(steepness * s) for s in scores]
    assert both == pytest.approx(np.prod(gates))
    assert both <= min(gates) * (1 + 1e-12)
    mean = prob_engaged(scores, thresholds=zeros, steepness=steepness, conjunctive=False)
    assert mean == pytest.approx(logistic(steepness * np.mean(scores)))


def test_gate_refuses():
    with pytest.raises(SpecError, match="2 problems"):
        prob_engaged([1, 2], thresholds=[0], steepness=0)


# Latent classes -----------------------------------------------------------------------------------


def test_likelihood_and_membership_are_those_of_the_patterns():
    rng = np.random.default_rng(1)
    _, people = draw_people(300, rng)
    people[rng.random(people.shape) < 0.1] = np.nan
    found = fit_classes(people, seed=1)
    rows = [[None if np.isnan(x) else int(x) for x in row] for row in people]
    expected = oracle.loglik(found.shares, found.yes_probs, rows)
    assert found.loglik == pytest.approx(expected, rel=1e-9)
    full = [1, 0, 1, 1]
    expected = oracle.membership(found.shares, found.yes_probs, full)
    np.testing.assert_allclose(found.membership([full])[0], expected, rtol=1e-9)


def test_fit_stands_on_top():
    """No small step in any parameter raises the likelihood."""
    _, people = draw_people(400, np.random.default_rng(6))
    found = fit_classes(people, seed=1)
    rows = [[int(x) for x in row] for row in people]
    top = oracle.loglik(found.shares, found.yes_probs, rows)
    for step in (-0.01, 0.01):
        share = found.shares[0] + step
        assert oracle.loglik((share, 1 - share), found.yes_probs, rows) < top
        for c in range(2):
            for j in range(4):
                yes = found.yes_probs.copy()
                yes[c, j] = np.clip(yes[c, j] + step, 1e-9, 1 - 1e-9)
                assert oracle.loglik(found.shares, yes, rows) <= top + 1e-6


def test_classes_are_recovered_from_exact_shares():
    """Patterns as often as the law has them, so the maximum is the truth up to rounding."""
    n = 200_000
    probs = oracle.pattern_probs(SHARES, YES)
    people = np.repeat(list(probs), [round(n * p) for p in probs.values()], axis=0)
    found = fit_classes(people, seed=3)
    np.testing.assert_allclose(found.shares, SHARES, atol=2e-3)
    np.testing.assert_allclose(found.yes_probs, YES, atol=2e-3)


def test_membership_is_calibrated():
    """Of those given a probability near x, the share x is active: within five standard errors."""
    kind, people = draw_people(40_000, np.random.default_rng(9))
    truth = LatentClasses(np.array(SHARES), np.array(YES), 0.0)
    active = truth.membership(people)[:, 0]
    for low in np.arange(0, 1, 0.2):
        near = (active >= low) & (active < low + 0.2)
        if near.sum() < 50:
            continue
        gap = (kind[near] == 0).mean() - active[near].mean()
        assert abs(gap) < 5 * np.sqrt(0.25 / near.sum())


@pytest.mark.bits
def test_starts_depend_on_the_seed_alone():
    _, people = draw_people(200, np.random.default_rng(1))
    one, two = fit_classes(people, seed=4), fit_classes(people, seed=4)
    np.testing.assert_array_equal(one.yes_probs, two.yes_probs)


def test_one_class_is_the_mean():
    _, people = draw_people(200, np.random.default_rng(1))
    found = fit_classes(people, n_classes=1, seed=1)
    np.testing.assert_allclose(found.yes_probs[0], people.mean(axis=0))


def test_classes_refuse_what_they_cannot_learn_from():
    with pytest.raises(SpecError, match="more parameters"):
        fit_classes([[0, 1], [1, 0]], seed=1)
    with pytest.raises(SpecError, match="`n_starts` must be a whole number of at least 1"):
        fit_classes([[0, 1, 1]], n_starts=0, seed=1)
    with pytest.raises(DataError, match=r"(?s)2 problems.*cut scores.*nobody"):
        fit_classes([[2, 0, np.nan]], seed=1)
    with pytest.raises(DataError, match="shape"):
        fit_classes([1, 0, 1], seed=1)
    with pytest.raises(SpecError, match="settled"):
        fit_classes(draw_people(200, np.random.default_rng(1))[1], max_rounds=2, seed=1)
