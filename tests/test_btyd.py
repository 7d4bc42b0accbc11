import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from crmlab.btyd import (
    BGNBD,
    bgnbd_expected_purchases,
    bgnbd_loglik,
    bgnbd_mean_purchases,
    bgnbd_prob_alive,
    dropouts,
    fit_bgnbd,
)
from crmlab.datasets import load_cdnow_sample, load_cdnow_summary
from crmlab.errors import DataError, SpecError
from crmlab.tables import rfm_summary
from tests.oracles import btyd as oracle

# Fader, Hardie and Lee (2005), Marketing Science 24(2), table 2 and section 5
PRINTED = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
PRINTED_LOGLIK = -9582.4
HISTORIES = [(0, 0.0, 38.86), (1, 1.71, 38.86), (2, 30.43, 38.86), (9, 20.0, 27.0)]
WORLDS = [
    BGNBD(0.243, 4.414, 0.793, 2.426),
    BGNBD(1.7, 9.0, 1.0, 1.3),  # a = 1: the closed form divides by zero
    BGNBD(0.6, 3.0, 0.4, 0.6),  # a + b = 1: its hypergeometric function has a pole
    BGNBD(2.5, 20.0, 3.0, 0.8),
]


@pytest.fixture(scope="module")
def cdnow():
    """The published summary: weeks, to two decimals."""
    summary = load_cdnow_summary()
    return tuple(summary[name].to_numpy() for name in ("frequency", "recency", "T"))


@pytest.fixture(scope="module")
def cdnow_fit(cdnow):
    return fit_bgnbd(*cdnow)


# Published numbers --------------------------------------------------------------------------------


def test_the_printed_parameters_give_the_printed_likelihood(cdnow):
    assert bgnbd_loglik(PRINTED, *cdnow).sum() == pytest.approx(PRINTED_LOGLIK, abs=0.05)


def test_maximum_likelihood_gives_the_printed_parameters(cdnow, cdnow_fit):
    for name, printed in dataclasses.asdict(PRINTED).items():
        assert getattr(cdnow_fit, name) == pytest.approx(printed, abs=0.0005)
    assert bgnbd_loglik(cdnow_fit, *cdnow).sum() == pytest.approx(PRINTED_LOGLIK, abs=0.05)


def test_unrounded_weeks_give_the_likelihood_that_clvtools_prints():
    """CLVTools (R) prints -9582.429 on the transactions; the rounded summary gives -9582.426."""
    summary = rfm_summary(load_cdnow_sample(), observation_end="1997-09-30")
    histories = tuple(summary[name] for name in ("frequency", "recency", "T"))
    fit = fit_bgnbd(*histories)
    assert bgnbd_loglik(fit, *histories).sum() == pytest.approx(-9582.429, abs=0.0005)


def test_the_customer_of_the_paper():
    """x = 2, t_x = 30.43, T = 38.86: 1.226 purchases in 39 weeks; alive with probability .727."""
    customer = (2, 30.43, 38.86)
    assert bgnbd_expected_purchases(PRINTED, 39, *customer) == pytest.approx(1.226, abs=0.0005)
    assert bgnbd_prob_alive(PRINTED, *customer) == pytest.approx(0.727, abs=0.0005)


def test_mean_purchases_of_the_published_spreadsheet(cdnow_fit):
    """Fader, Hardie and Lee's sheet prints E[X(t)] to four decimals (unrounded parameters)."""
    printed = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437]
    ours = bgnbd_mean_purchases(cdnow_fit, [1 / 7, 1, 3, 31 + 6 / 7, 32])
    np.testing.assert_allclose(ours, printed, atol=0.00005, rtol=0)


def test_the_sheet_cuts_its_series_off_at_78_weeks(cdnow_fit):
    """It prints 1.8576, a series of 150 terms; the sum of all of them is larger.

    The oracle's long series and ours agree, and the oracle's short one gives the printed digits.
    """
    params = dataclasses.astuple(cdnow_fit)
    short = oracle.mean_purchases_short_series(params, 78, n_terms=150)
    assert short == pytest.approx(1.8576, abs=0.00005)
    everything = oracle.mean_purchases_short_series(params, 78, n_terms=5000)
    assert bgnbd_mean_purchases(cdnow_fit, 78) == pytest.approx(everything, rel=1e-10)
    assert everything - short > 0.0003


# Against numerical integration of the story -------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS, ids=str)
@pytest.mark.parametrize("history", HISTORIES, ids=str)
def test_likelihood_and_prob_alive_agree_with_integration(world, history):
    params = dataclasses.astuple(world)
    assert bgnbd_loglik(world, *history) == pytest.approx(oracle.loglik(params, *history), rel=1e-9)
    alive = oracle.prob_alive(params, *history)
    assert bgnbd_prob_alive(world, *history) == pytest.approx(alive, rel=1e-9)


@pytest.mark.parametrize("world", WORLDS, ids=str)
@pytest.mark.parametrize(("history", "t"), [(HISTORIES[0], 78), (HISTORIES[2], 39)], ids=str)
def test_expected_purchases_agree_with_integration(world, history, t):
    truth = oracle.expected_purchases(dataclasses.astuple(world), t, *history)
    assert bgnbd_expected_purchases(world, t, *history) == pytest.approx(truth, rel=1e-8)


def test_a_new_customer_is_a_customer_observed_for_no_time():
    for world in WORLDS:
        new = bgnbd_expected_purchases(world, [1.0, 50.0], 0, 0, 0)
        np.testing.assert_allclose(bgnbd_mean_purchases(world, [1.0, 50.0]), new, rtol=1e-13)


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (0.3, 0.7)])
def test_the_mean_is_smooth_where_the_closed_form_breaks(a, b):
    """Across the pole, from quadrature to closed form: second differences shrink as step**2."""
    steps = np.array([-2e-4, -1e-4, -5e-5, -1e-11, 0, 1e-9, 5e-5, 1e-4, 2e-4])
    means = np.array([bgnbd_mean_purchases(BGNBD(0.5, 4.0, a + s, b), 50.0) for s in steps])
    line = np.polynomial.Polynomial.fit(steps, means, 2)
    np.testing.assert_allclose(means, line(steps), rtol=1e-9)


@pytest.mark.parametrize(
    ("world", "t"),
    [
        (BGNBD(1.43, 4.166, 1.82, 1401.0), 4636.0),  # hyp2f1 gives NaN
        (BGNBD(39.0, 0.63, 0.68, 56.0), 3.9),
        (BGNBD(83.0, 4.9, 3.3, 0.2), 5000.0),
        (BGNBD(0.3, 100.0, 20.0, 80.0), 0.01),
    ],
    ids=str,
)
def test_extreme_worlds_agree_with_integration(world, t):
    truth = oracle.mean_purchases(dataclasses.astuple(world), t)
    assert bgnbd_mean_purchases(world, t) == pytest.approx(truth, rel=1e-8)


@pytest.mark.parametrize(
    ("t", "expected"),
    # equation 9 with 60 digits (mpmath), for the population of CDNOW
    [
        (1e-12, 5.5052106932485631286e-14),
        (1e-9, 5.5052106930577978131e-11),
        (1e-6, 5.5052105022920418778e-8),
        (1e-3, 5.5050197502677486365e-5),
        (1.0, 5.326789117165828208e-2),
    ],
)
def test_short_horizons_keep_their_digits(t, expected):
    cdnow = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
    assert bgnbd_mean_purchases(cdnow, t) == pytest.approx(expected, rel=1e-14, abs=0)


@given(
    *(st.floats(*ends) for ends in ((0.01, 50), (0.1, 50), (0.02, 20), (0.02, 100), (1e-12, 0.2)))
)
@settings(deadline=None, max_examples=100)
def test_the_series_for_short_horizons_is_the_integral(r, alpha, a, b, short):
    t = short * alpha / max((r + 1) / 2, 1)
    numbers = [np.array([value]) for value in (t, r, alpha, a, b)]
    expected = dropouts._purchases_by_quadrature(*numbers)
    assert dropouts.purchases_if_alive(*numbers) == pytest.approx(expected, rel=1e-9, abs=0)


def test_extreme_histories_stay_finite():
    """The factors of the printed formulas overflow here; their product does not."""
    world = BGNBD(0.243, 4.414, 0.793, 2.426)
    heavy = (5000, 9000.0, 10_000.0)
    assert np.isfinite(bgnbd_loglik(world, *heavy))
    expected = bgnbd_expected_purchases(world, 1e6, *heavy)
    assert 0 < expected < 5000 / 10_000 * 1e6
    quiet = (5000, 100.0, 10_000.0)
    assert bgnbd_prob_alive(world, *quiet) == 0.0
    assert bgnbd_expected_purchases(world, 10, *quiet) == 0.0


# Properties ---------------------------------------------------------------------------------------

positive = st.floats(0.05, 20)
worlds = st.builds(BGNBD, positive, positive, positive, positive)
histories = st.tuples(st.integers(0, 40), st.floats(0.01, 1), st.floats(1, 200)).map(
    lambda h: (h[0], h[1] * h[2] if h[0] else 0.0, h[2])
)


@settings(deadline=None)
@given(worlds, histories, st.floats(0.1, 300))
def test_predictions_obey_the_story(world, history, t):
    x, t_x, T = history
    alive = bgnbd_prob_alive(world, *history)
    assert 0 <= alive <= 1
    assert bgnbd_prob_alive(world, x, t_x, T + 5) <= alive  # silence never speaks for life
    expected = bgnbd_expected_purchases(world, np.array([0.0, t, 2 * t]), *history)
    assert expected[0] == 0
    assert np.all(np.diff(expected) >= 0)
    assert np.diff(expected, 2)[0] <= 1e-9 * (1 + expected[-1])  # purchases slow down
    assert expected[1] <= alive * (world.r + x) / (world.alpha + T) * t * (1 + 1e-9)


@given(worlds, st.lists(histories, min_size=1, max_size=5), st.randoms())
def test_customers_are_independent(world, customers, random):
    shuffled = random.sample(customers, len(customers))
    together = dict(zip(shuffled, bgnbd_loglik(world, *np.transpose(shuffled)), strict=True))
    for customer in customers:
        assert bgnbd_loglik(world, *customer) == pytest.approx(together[customer], rel=1e-12)


# Fitting ------------------------------------------------------------------------------------------


def test_the_fit_is_a_maximum(cdnow, cdnow_fit):
    best = bgnbd_loglik(cdnow_fit, *cdnow).sum()
    for name in ("r", "alpha", "a", "b"):
        for factor in (0.99, 1.01):
            moved = dataclasses.replace(cdnow_fit, **{name: getattr(cdnow_fit, name) * factor})
            assert bgnbd_loglik(moved, *cdnow).sum() < best


def test_the_fit_does_not_depend_on_the_unit_of_time(cdnow, cdnow_fit):
    x, t_x, T = cdnow
    seconds = fit_bgnbd(x, t_x * 604_800, T * 604_800)
    assert seconds.alpha / 604_800 == pytest.approx(cdnow_fit.alpha, rel=1e-6)
    for name in ("r", "a", "b"):
        assert getattr(seconds, name) == pytest.approx(getattr(cdnow_fit, name), rel=1e-6)


@pytest.mark.bits
def test_the_fit_does_not_depend_on_the_order_of_customers(cdnow, cdnow_fit):
    assert fit_bgnbd(*(values[::-1] for values in cdnow)) == cdnow_fit


@pytest.mark.parametrize(
    "histories",
    [
        ([2], [30.0], [38.0]),
        ([0, 0, 0], [0, 0, 0], [38.0, 20.0, 10.0]),
        ([1, 1, 1], [3.0, 3.0, 3.0], [9.0, 9.0, 9.0]),
        ([0], [0], [0]),
    ],
    ids=["one customer", "no repeat purchase", "no difference", "no time"],
)
def test_data_that_do_not_carry_four_parameters_are_refused(histories):
    with pytest.raises(DataError, match="do not determine the four parameters"):
        fit_bgnbd(*histories)


# Errors -------------------------------------------------------------------------------------------


def test_all_impossible_histories_are_reported_at_once():
    frequency = [1, 0, -1, 1.5, 2, 1]
    recency = [5, 1, 0, 1, -3, np.nan]
    T = [3, 9, np.inf, 9, 9, 9]
    with pytest.raises(DataError) as caught:
        bgnbd_loglik(PRINTED, frequency, recency, T)
    message = str(caught.value)
    for words in (
        "bgnbd_loglik: 5 problems",
        "`recency` must not exceed `T`; 1 of 6 customers break it, first at position 0",
        "frequency 0 needs recency 0",
        "`frequency` must be a whole number, 0 or more; 2 of 6",
        "`recency` must be a number, 0 or more; 2 of 6",
        "`T` must be a number, 0 or more; 1 of 6",
    ):
        assert words in message


@pytest.mark.parametrize("call", [bgnbd_loglik, bgnbd_prob_alive])
def test_shapes_and_types_are_checked(call):
    with pytest.raises(DataError, match="the same shape"):
        call(PRINTED, [1, 2], [1], [2])
    with pytest.raises(DataError, match="`frequency` must hold numbers"):
        call(PRINTED, ["many"], [1], [2])
    with pytest.raises(DataError, match="there are no customers"):
        call(PRINTED, [], [], [])


@pytest.mark.parametrize("t", [-1, np.nan, np.inf, "soon"])
def test_a_horizon_is_a_time(t):
    with pytest.raises(DataError, match="`t` must be a time, 0 or more"):
        bgnbd_expected_purchases(PRINTED, t, 0, 0, 1)
    with pytest.raises(DataError, match="`t` must be a time, 0 or more"):
        bgnbd_mean_purchases(PRINTED, t)


def test_all_wrong_parameters_are_reported_at_once():
    with pytest.raises(SpecError) as caught:
        BGNBD(r=0, alpha=-1, a=np.nan, b="two")
    for name in ("r", "alpha", "a", "b"):
        assert f"  - `{name}` must be a positive, finite number" in str(caught.value)
