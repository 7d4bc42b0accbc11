"""Encounters: memories told one at a time, orders tried one by one, published numbers."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import gmean, hmean

from crmlab.behaviour.encounters import (
    adjust_encounters,
    all_go_well,
    best_contacts,
    best_order,
    contact_response,
    message_agreement,
    power_mean,
    prospect_value,
    remember_mean,
    remember_peak_end,
    remember_sum,
)
from crmlab.errors import SpecError
from tests.oracles import encounters as oracle
from tests.oracles.printed import assert_prints_as

NAN = float("nan")
felt = st.one_of(st.integers(-5, 5).map(float), st.just(NAN))
series = st.lists(felt, min_size=1, max_size=9)
MEMORIES = {
    "peak and end": (
        lambda x: remember_peak_end(x, peak_weight=0.3),
        lambda x: oracle.peak_end(x, 0.3),
    ),
    "mean": (remember_mean, oracle.mean),
    "sum that fades": (lambda x: remember_sum(x, keep=0.7), lambda x: oracle.faded_sum(x, 0.7)),
    "sum": (remember_sum, lambda x: oracle.faded_sum(x, 1.0)),
}


# Memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEMORIES)
@given(encounters=series)
def test_running_memory_is_the_memory_of_each_beginning(name, encounters):
    running, whole = MEMORIES[name]
    expected = [whole(encounters[: t + 1]) for t in range(len(encounters))]
    np.testing.assert_allclose(running(encounters), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.bits
@pytest.mark.parametrize("name", MEMORIES)
def test_customers_do_not_share_a_memory(name):
    remember = MEMORIES[name][0]
    both = np.array([[1.0, NAN, -3.0, 2.0], [NAN, 5.0, NAN, -5.0]])
    np.testing.assert_array_equal(remember(both), [remember(row) for row in both])


def test_published_peak_end():
    rows = [[-2, -4, -8], [-2, -4, -8, -4]]
    assert [remember_peak_end(row)[-1] for row in rows] == [-8, -6]
    assert [remember_sum(row)[-1] for row in rows] == [-14, -18]


def test_of_two_peaks_the_bad_one_is_kept():
    assert remember_peak_end([4, -4, 0], peak_weight=1)[-1] == -4
    assert remember_peak_end([-4, 4, 0], peak_weight=1)[-1] == -4


def test_duration_does_not_matter_to_peak_and_end():
    assert remember_peak_end([-8, *[-3] * 50, -2])[-1] == remember_peak_end([-8, -2])[-1]


@pytest.mark.parametrize("weight", [-0.1, 1.1, NAN])
def test_memories_refuse_weights_outside_0_to_1(weight):
    with pytest.raises(SpecError, match="peak_weight"):
        remember_peak_end([1], peak_weight=weight)
    with pytest.raises(SpecError, match="keep"):
        remember_sum([1], keep=weight)


# Pleasure and pain --------------------------------------------------------------------------------


def test_published_splitting_and_combining():
    assert_prints_as([2 * prospect_value(50), prospect_value(100)], ["62.5", "57.5"])
    assert_prints_as([2 * prospect_value(-50), prospect_value(-100)], ["-140.7", "-129.5"])


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4), st.floats(0.1, 0.99), st.floats(0.1, 5))
def test_split_pleasures_and_combine_pains(a, b, curvature, aversion):
    def v(x):
        return prospect_value(x, curvature=curvature, loss_aversion=aversion)

    assert v(a) + v(b) > v(a + b)
    assert v(-a) + v(-b) < v(-a - b)


def test_a_linear_value_does_not_care():
    v = prospect_value([30, 70, 100], curvature=1)
    assert v[0] + v[1] == pytest.approx(v[2])


def test_choice_eases_pain_alone_and_a_broken_ritual_costs_anybody():
    x = adjust_encounters(
        [-4, -4, 4, 4],
        chosen=[True, False, True, False],
        ritual_broken=[False, True, False, True],
        relief=0.5,
        penalty=1,
    )
    assert x.tolist() == [-2, -5, 4, 3]


def test_feelings_refuse():
    with pytest.raises(SpecError, match="2 problems"):
        prospect_value(1, curvature=2, loss_aversion=0)
    with pytest.raises(SpecError, match="2 problems"):
        adjust_encounters([1], relief=2, penalty=-1)


# Links --------------------------------------------------------------------------------------------


def test_published_chain_with_an_accountant():
    chains = [[0.95] * 5, [0.95] * 4 + [0.70]]
    assert_prints_as(all_go_well(chains), [".774", ".570"])


def test_chain_is_what_happens_to_customers():
    """200,000 customers; four standard errors: fails once in 16,000 seeds."""
    probs = np.array([0.95, 0.9, 0.7])
    good = (np.random.default_rng(4).random((200_000, 3)) < probs).all(axis=1)
    assert abs(good.mean() - all_go_well(probs)) < 4 * good.std() / np.sqrt(len(good))


def test_published_pillars():
    pillars = [4.5, 4.5, 4.5, 4.5, 1.5]
    means = [power_mean(pillars, e) for e in (1, 0, -np.inf)]
    assert_prints_as(means, ["3.90", "3.61", "1.5"])


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=6))
def test_power_mean_has_the_old_means_inside(scores):
    exponents = {0: gmean, -1: hmean, 1: np.mean, np.inf: np.max, -np.inf: np.min}
    for exponent, mean in exponents.items():
        assert power_mean(scores, exponent) == pytest.approx(mean(scores), rel=1e-9)


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=6), st.floats(-50, 50), st.floats(0, 9))
def test_power_mean_grows_with_its_exponent(scores, exponent, more):
    assert power_mean(scores, exponent) <= power_mean(scores, exponent + more) * (1 + 1e-7)


def test_power_mean_neither_overflows_nor_jumps_near_zero():
    assert power_mean([1e-200, 1e200], -500) == pytest.approx(1e-200 * 2 ** (1 / 500))
    near, at = power_mean([1, 4, 9], 1e-7), power_mean([1, 4, 9], 0)
    assert near == pytest.approx(at, rel=1e-6)
    assert power_mean([0, 4], 2) == pytest.approx(np.sqrt(8))
    assert power_mean([0, 0], 1) == 0


def test_links_refuse():
    with pytest.raises(SpecError, match="at most 1"):
        all_go_well([95, 70])
    with pytest.raises(SpecError, match="lowest answer is 1"):
        power_mean([0, 1], 0)
    with pytest.raises(SpecError, match="exponent"):
        power_mean([1, 2], NAN)
    with pytest.raises(SpecError, match="two channels"):
        message_agreement(["free"])


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=8))
def test_agreement_counts_pairs(messages):
    n = len(messages)
    pairs = [messages[i] == messages[j] for i in range(n) for j in range(n) if i != j]
    assert message_agreement(messages) == pytest.approx(np.mean(pairs))


# Design -------------------------------------------------------------------------------------------


@given(st.floats(-2, 5), st.floats(0.05, 2), st.floats(0, 2))
def test_best_contacts_beats_every_other_number(benefit, fatigue, cost):
    best = best_contacts(benefit=benefit, fatigue=fatigue, cost=cost)
    n = np.arange(120)
    net = contact_response(n, benefit=benefit, fatigue=fatigue) - cost * n
    assert net[best] >= net.max() - 1e-7


def test_of_equal_numbers_of_contacts_the_smaller():
    """At benefit 2.1 and fatigue 0.3, three contacts and four both bring 3.6.

    In floating point 2.1 / 0.6 - 0.5 lies above 3: rounding must not decide.
    """
    assert best_contacts(benefit=2.1, fatigue=0.3) == 3
    assert best_contacts(benefit=0.3, fatigue=0.1) == 1
    with pytest.raises(SpecError, match="fatigue"):
        best_contacts(benefit=1, fatigue=0)


@given(
    st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3),
)
def test_best_order_has_the_best_memory_of_all_orders(steps, pairs):
    before = [(i, j) for i, j in pairs if i < j < len(steps)]
    found = best_order(steps, lambda x: remember_sum(x, keep=0.6), before=before)
    best = oracle.best_memory(steps, lambda x: oracle.faded_sum(x, 0.6), before)
    assert sorted(found) == list(range(len(steps)))
    assert all(found.index(i) < found.index(j) for i, j in before)
    assert oracle.faded_sum([steps[i] for i in found], 0.6) == pytest.approx(best, abs=1e-9)


def test_equal_orders_give_the_one_that_was_given():
    """Floating-point sums of these steps are largest in another order."""
    assert best_order([0.8, 0.6, 0.5, 0.3], remember_sum) == (0, 1, 2, 3)


def test_a_fading_memory_wants_the_bad_first():
    assert best_order([3, -2, 1], lambda x: remember_sum(x, keep=0.9)) == (1, 2, 0)


def test_orders_refuse():
    with pytest.raises(SpecError, match="circle"):
        best_order([1, 2], remember_sum, before=[(0, 1), (1, 0)])
    with pytest.raises(SpecError, match=r"(?s)2 problems.*steps.*outside"):
        best_order([1] * 9, remember_sum, before=[(0, 9)])
