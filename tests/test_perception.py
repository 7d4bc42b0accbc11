"""Perception: Bayes by precisions, every cut tried, published numbers, samples drawn."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crmlab.behaviour.perception import (
    Score,
    answer_probs,
    follow_expectation,
    learning_gains,
    net_promoter,
    nonresponse_bias,
    satisfaction,
    shares_seen,
    top_box,
    weigh_answers,
    when_gap_opens,
)
from crmlab.errors import DataError, SpecError
from tests.oracles import perception as oracle
from tests.oracles.printed import assert_prints_as

SHARES = [0.08, 0.12, 0.20, 0.35, 0.25]
RESPONSE = [0.60, 0.30, 0.15, 0.25, 0.45]
BOXES = [1, 2, 3, 4, 5]
TOP_TWO = [0, 0, 0, 1, 1]
ratings = st.lists(st.floats(-10, 10), min_size=1, max_size=8)


@st.composite
def people_who_answer(draw):
    n = draw(st.integers(2, 7))
    weights = draw(st.lists(st.floats(0.01, 1), min_size=n, max_size=n))
    response = draw(st.lists(st.floats(0.01, 1), min_size=n, max_size=n))
    return np.array(weights) / np.sum(weights), np.array(response)


# Expectation --------------------------------------------------------------------------------------


@given(ratings, st.floats(-5, 5), st.floats(0.1, 10), st.floats(0.1, 10))
def test_learning_is_bayes_by_precisions(experience, start, prior_var, noise_var):
    gain = learning_gains(prior_var, noise_var, len(experience))
    path = follow_expectation(experience, start=start, gain=gain)
    after = path.expectation + gain * path.disconfirmation
    expected = oracle.learn(start, prior_var, noise_var, experience)
    np.testing.assert_allclose(after, expected, rtol=1e-9, atol=1e-9)


def test_a_period_without_experience_teaches_nothing():
    path = follow_expectation([[4, np.nan, 4], [np.nan, 0, 0]], start=[2, 1], gain=0.5)
    np.testing.assert_allclose(path.expectation, [[2, 3, 3], [1, 1, 0.5]])
    np.testing.assert_allclose(path.disconfirmation, [[2, np.nan, 1], [np.nan, -1, -0.5]])


def test_constant_gain_forgets_geometrically():
    path = follow_expectation(np.full(6, 3.0), start=0, gain=0.25)
    np.testing.assert_allclose(path.disconfirmation, 3 * 0.75 ** np.arange(6))


def test_bad_surprises_weigh_more():
    felt = satisfaction([2, 2], [0.5, -0.5], level_weight=0.3, surprise_weight=2, loss_weight=3)
    np.testing.assert_allclose(felt, [0.6 + 1.0, 0.6 - 3.0])


# The gap ------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12))
def test_gap_opens_where_the_squared_error_is_least(gap):
    found = when_gap_opens(np.zeros(len(gap)), gap)
    _, errors = oracle.best_cut(np.array(gap))
    assert errors[found] <= min(errors.values()) + 1e-9


def test_gap_is_found_within_a_month():
    """With a step of 3 standard deviations each cut but the nearest is rare.

    For 24 months and 400 series the share within one month is at least 0.9 (seen: 0.96; the
    standard error is 0.01).
    """
    rng = np.random.default_rng(5)
    truth = rng.integers(4, 20, size=400)
    hits = 0
    for month in truth:
        felt = rng.normal(size=24) - 3.0 * (np.arange(24) >= month)
        hits += abs(when_gap_opens(np.zeros(24), felt) - month) <= 1
    assert hits / 400 > 0.9


def test_gap_refuses_series_that_do_not_match():
    with pytest.raises(DataError, match="same length"):
        when_gap_opens([1, 2, 3], [1, 2])
    with pytest.raises(DataError, match="missing"):
        when_gap_opens([1, 2, 3], [1, np.nan, 2])


# Answers ------------------------------------------------------------------------------------------


def test_published_graded_response():
    probs = answer_probs([0, 1], discrimination=1.7, thresholds=[-1.5, -0.5, 0.5, 1.5])
    assert_prints_as(probs[0], [".0724", ".2270", ".4011", ".2270", ".0724"])
    assert_prints_as(probs @ BOXES, ["3.000", "3.914"])


@given(
    st.floats(-5, 5),
    st.floats(0.1, 4),
    st.lists(st.integers(-30, 30), min_size=1, max_size=6, unique=True),
)
def test_answers_are_thresholds_on_logistic_noise(theta, a, cuts):
    b = sorted(x / 10 for x in cuts)
    probs = answer_probs(theta, discrimination=a, thresholds=b)
    np.testing.assert_allclose(probs, oracle.answer_probs_by_threshold(theta, a, b), atol=1e-12)
    assert probs.sum() == pytest.approx(1)


def test_far_out_boxes_keep_their_digits():
    """P(Y = 1) at theta = 60 is e^-60 (1 - e^-1) nearly; a difference of numbers near 1 gives 0."""
    probs = answer_probs([60, -60], discrimination=1, thresholds=[-1, 0, 1])
    near = np.exp(-60) * (1 - np.exp(-1))
    assert probs[0, 1] == pytest.approx(near, rel=1e-12, abs=0)
    assert probs[1, 2] == pytest.approx(near, rel=1e-12, abs=0)


def test_all_problems_of_a_scale_at_once():
    with pytest.raises(SpecError, match=r"(?s)2 problems.*discrimination.*thresholds"):
        answer_probs(0, discrimination=0, thresholds=[1, 1])


# Silence ------------------------------------------------------------------------------------------


def test_published_survey_with_two_loud_ends():
    seen = shares_seen(SHARES, RESPONSE)
    assert_prints_as([np.dot(SHARES, BOXES), seen @ BOXES], ["3.57", "3.57"])
    assert_prints_as([np.dot(SHARES, TOP_TWO), seen @ TOP_TWO], [".600", ".637"])


@given(people_who_answer(), st.integers(0, 6))
def test_bias_is_exact_and_can_be_undone(people, shift):
    shares, response = people
    values = np.roll(np.arange(len(shares), dtype=float) ** 2, shift)
    seen = shares_seen(shares, response)
    bias = nonresponse_bias(values, shares, response)
    assert bias == pytest.approx(values @ seen - values @ shares, abs=1e-9)
    np.testing.assert_allclose(weigh_answers(seen, response), shares, atol=1e-12)


def test_bias_is_what_a_survey_shows():
    """300,000 customers answer or not; four standard errors: fails once in 16,000 seeds."""
    rng = np.random.default_rng(3)
    answers = rng.choice(5, size=300_000, p=SHARES)
    answered = rng.random(len(answers)) < np.array(RESPONSE)[answers]
    top = (answers >= 3)[answered]
    bias = nonresponse_bias(TOP_TWO, SHARES, RESPONSE)
    assert abs(top.mean() - 0.6 - bias) < 4 * top.std() / np.sqrt(len(top))


def test_silence_that_does_not_depend_on_the_answer_does_no_harm():
    assert nonresponse_bias(BOXES, SHARES, np.full(5, 0.1)) == pytest.approx(0, abs=1e-15)


def test_silence_refuses_what_it_cannot_use():
    with pytest.raises(SpecError, match=r"(?s)2 problems.*sum to 1.*probabilities"):
        shares_seen([0.5, 0.6], [0.5, 1.5])
    with pytest.raises(SpecError, match="nobody answers"):
        shares_seen([0, 1], [0.5, 0])
    with pytest.raises(SpecError, match="above 0 for every answer"):
        weigh_answers([0, 1], [0, 0.5])
    with pytest.raises(SpecError, match="one number per answer"):
        nonresponse_bias([1, 2, 3], [0.5, 0.5], [0.5, 0.5])


# Scores -------------------------------------------------------------------------------------------


def test_published_net_promoter_score():
    score = net_promoter(0.45, 0.25, n=400)
    assert_prints_as([100 * score.value, 100 * score.half_width(0.95)], ["20", "8.0"])


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10_000))
def test_net_promoter_error_is_that_of_the_mean_of_three_values(a, b, n):
    p, d = a * b, a * (1 - b)
    variance = oracle.net_promoter_variance(p, d)
    assert net_promoter(p, d, n=n).standard_error ** 2 == pytest.approx(variance / n, abs=1e-12)


def test_intervals_cover_as_often_as_they_say():
    """4,000 surveys of 400: coverage 0.95 within four standard errors (0.0138) and 0.005 for the
    Normal approximation."""
    rng = np.random.default_rng(8)
    counts = rng.multinomial(400, [0.45, 0.25, 0.30], size=4000) / 400
    inside = [
        abs(score.value - 0.20) <= score.half_width(0.95)
        for score in (net_promoter(p, d, n=400) for p, d, _ in counts)
    ]
    assert abs(np.mean(inside) - 0.95) < 0.019


def test_top_box_is_binomial():
    assert top_box(0.6, n=150) == Score(0.6, pytest.approx(0.04))


def test_scores_refuse_shares_in_percent_and_empty_surveys():
    with pytest.raises(SpecError, match=r"(?s)2 problems.*45.*answer"):
        net_promoter(45, 25, n=0)
    with pytest.raises(SpecError, match=r"at most 1 \(5 % is 0\.05\), got 60"):
        top_box(60, n=10)
    with pytest.raises(SpecError, match="prob"):
        top_box(0.6, n=10).half_width(95)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: learning_gains(0, -1, 0), "3 problems"),
        (lambda: follow_expectation([1], start=0, gain=1.5), "gain"),
    ],
)
def test_expectation_refuses(call, word):
    with pytest.raises(SpecError, match=word):
        call()
