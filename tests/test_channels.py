import math

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

import crmlab as crm
from crmlab.channels import check_channels
from crmlab.errors import SpecError
from crmlab.models.emissions import score_table
from crmlab.testing import check_channel
from tests import interpreted
from tests.oracles import channels as oracle

SPACE = crm.StageSpace(("dormant", "occasional", "active"))
TWO_PHASES = crm.StageSpace(("growing", "loyal", "fading"), ("together", "together", "apart"))
CONFUSION = ((0.8, 0.15, 0.05), (0.0, 0.7, 0.3), (0.1, 0.0, 0.9))

quick = settings(deadline=None, max_examples=100)
uniforms = st.floats(1e-9, 1 - 1e-9)


def scores(channel, values):
    """Log-density of values (row) in each stage (column), as every model computes it."""
    known = {name: pt.constant(value) for name, value in channel.known.items()}
    table = score_table(channel, pt.constant(np.asarray(values, dtype=float)), known)
    return interpreted.evaluate(table)[0]


def grid(n=2001):
    return (np.arange(n) + 0.5) / n


# Sampling inverts the distribution function -------------------------------------------------------


@pytest.mark.bits
@pytest.mark.parametrize("rate", [1e-9, 0.01, 0.3, 1.0, 4.0, 57.3, 1e3, 1e6])
def test_poisson_samples_are_quantiles(rate):
    u = np.concatenate([grid(), [1e-12, 1 - 1e-12]])
    assert np.array_equal(crm.Poisson("v").sample(u, rate=rate), stats.poisson.ppf(u, rate))


def test_poisson_with_rate_zero_never_happens():
    assert (crm.Poisson("v").sample(grid(), rate=np.zeros(2001)) == 0).all()


@quick
@given(u=uniforms, rate=st.floats(0.01, 20))
def test_poisson_samples_are_where_added_probabilities_reach_u(u, rate):
    expected = oracle.discrete_quantile(u, lambda y: oracle.poisson(y, rate))
    assert crm.Poisson("v").sample(np.array(u), rate=np.array(rate)) == expected


@quick
@given(u=uniforms, rate=st.floats(0.01, 20), shape=st.floats(0.1, 50))
def test_overdispersed_samples_are_where_added_probabilities_reach_u(u, rate, shape):
    found = crm.NegativeBinomial("c").sample(np.array(u), np.array(rate), np.array(shape))
    below = [
        sum(math.exp(oracle.negative_binomial(y, rate, shape)) for y in range(int(count)))
        for count in (found, found + 1)
    ]
    assert below[0] - 1e-12 <= u <= below[1] + 1e-12


@pytest.mark.parametrize("rate", [1e-9, 0.3, 4.0, 57.3, 1e4])
@pytest.mark.parametrize("shape", [1e-3, 0.1, 1.0, 7.0, 1e6])
def test_overdispersed_samples_are_quantiles(rate, shape):
    u = np.concatenate([grid(), [1e-12]])
    found = crm.NegativeBinomial("c").sample(u, rate=rate, shape=shape)
    assert np.array_equal(found, stats.nbinom.ppf(u, shape, shape / (shape + rate)))


@quick
@given(u=uniforms, prob=st.floats(1e-3, 1))
def test_periods_since_are_where_added_probabilities_reach_u(u, prob):
    found = float(crm.Geometric("g").sample(np.array(u), prob=np.array(prob)))
    beyond = [(1 - prob) ** count for count in (found, found + 1)]
    assert 1 - beyond[0] - 1e-12 <= u <= 1 - beyond[1] + 1e-12


def test_counts_keep_their_digits_far_out_in_the_tail():
    """By hand: half of the customers are left after each period, and these lie in between."""
    halves = np.arange(2, 52)
    u = 1 - 1.5 * 2.0**-halves
    assert np.array_equal(crm.Geometric("g").sample(u, prob=0.5), halves - 1)
    # a geometric distribution is a negative binomial one of shape 1
    assert np.array_equal(crm.NegativeBinomial("c").sample(u, rate=1.0, shape=1.0), halves - 1)


def test_what_is_certain_is_sampled():
    assert (crm.NegativeBinomial("c").sample(grid(), rate=np.zeros(2001), shape=2.0) == 0).all()
    assert (crm.Geometric("g").sample(grid(), prob=np.ones(2001)) == 0).all()


@pytest.mark.bits
@pytest.mark.parametrize("prob", [0.0, 0.2, 0.5, 1.0])
def test_bernoulli_samples_are_quantiles(prob):
    found = crm.Bernoulli("b").sample(grid(), prob=np.full(2001, prob))
    assert np.array_equal(found, stats.bernoulli.ppf(grid(), prob))


@quick
@given(
    u=uniforms,
    prob=st.floats(0, 1),
    median=st.floats(0.01, 1e4),
    sigma=st.floats(0.05, 3),
)
def test_spend_samples_are_quantiles(u, prob, median, sigma):
    found = crm.ZeroInflatedSpend("s").sample(np.array(u), prob, median, sigma)
    expected = oracle.spend_quantile(u, prob, median, sigma)
    # Near the edge of the zeros the amount is a huge power of what is left after rounding 1 - u.
    if abs(u - (1 - prob)) > 1e-6:
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_spend_keeps_its_digits_far_out_in_the_tail():
    u = 1 - 2.0 ** -np.arange(10, 54)
    found = crm.ZeroInflatedSpend("s").sample(u, prob=0.1, median=30.0, sigma=1.0)
    expected = stats.lognorm.isf(2.0 ** -np.arange(10, 54) / 0.1, s=1.0, scale=30.0)
    assert found == pytest.approx(expected, rel=1e-12)


def test_spend_is_never_undefined_at_any_uniform():
    u = np.array([2.0**-53, 0.1, 0.5, 0.9, 1 - 2.0**-53])[:, None]
    found = crm.ZeroInflatedSpend("s").sample(u, np.linspace(0, 1, 101), 30.0, 3.0)
    assert np.isfinite(found).all()
    assert (found[:, 0] == 0).all()
    assert (found[:, -1] > 0).all()


@quick
@given(u=uniforms, location=st.floats(-4, 4))
def test_survey_samples_are_where_added_probabilities_reach_u(u, location):
    channel = crm.OrdinalSurvey("s", cutpoints=(-2.0, 0.3, 1.0), n_levels=4, discrimination=0.8)
    probs = oracle.survey_probs(location, channel.cutpoints, 0.8)
    found = channel.sample(np.array([u, 0.5]), location=np.array(location))
    reached = np.cumsum(probs)
    assert found == 1 + (u > reached[:-1]).sum()


@pytest.mark.bits
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_label_samples_are_where_added_probabilities_reach_u(stage):
    row = np.array(CONFUSION[stage])
    found = crm.StageLabel("l").sample(np.stack([grid(), 0 * grid()]), confusion=row)
    expected = stats.rv_discrete(values=(np.arange(3), row)).ppf(grid())
    assert np.array_equal(found, expected)


def test_a_label_that_cannot_be_reported_never_is():
    # 0.7 + 0.2 + 0.1 adds up to less than 1 in floating point; what is missing is not the last.
    row = np.array([0.7, 0.2, 0.1, 0.0])
    assert row[:3].sum() < 1
    u = np.array([[1 - 2.0**-53, 2.0**-53], [0.5, 0.5]])
    assert crm.StageLabel("l").sample(u, confusion=row).tolist() == [2.0, 0.0]
    assert crm.StageLabel("l").sample(u, confusion=row[::-1]).tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("channel", "parameter"),
    [
        (crm.OrdinalSurvey("s", response_rate=0.3), {"location": np.zeros(2001)}),
        (crm.StageLabel("l", response_rate=0.3), {"confusion": np.full((2001, 3), 1 / 3)}),
    ],
    ids=["survey", "label"],
)
def test_answers_are_missing_where_nobody_responds(channel, parameter):
    silent = np.isnan(channel.sample(np.stack([grid()[::-1], grid()]), **parameter))
    assert np.array_equal(silent, grid() >= 0.3)


def test_a_response_rate_of_one_misses_nothing_and_of_zero_everything():
    u = np.array([[0.5, 0.5], [2.0**-53, 1 - 2.0**-53]])
    for rate, missing in ((1.0, False), (0.0, True)):
        survey = crm.OrdinalSurvey("s", response_rate=rate)
        assert (np.isnan(survey.sample(u, location=np.zeros(2))) == missing).all()


# The log-density ----------------------------------------------------------------------------------


def assert_scores(channel, values, log_density):
    """`law(value, stage)` is the oracle's log-density."""
    found = scores(channel, values)
    expected = [[log_density(value, k) for k in range(len(SPACE))] for value in values]
    assert found[:-1] == pytest.approx(np.array(expected), rel=1e-10, abs=1e-10)
    assert (found[-1] == 0).all(), "a missing cell says nothing"


def test_poisson_density():
    rate = (0.0, 1.5, 400.0)
    values = [0, 1, 2, 7, 390, 1000]
    assert_scores(crm.Poisson("v", rate=rate), values, lambda y, k: oracle.poisson(y, rate[k]))
    expected = stats.poisson.logpmf(np.array(values)[:, None], np.array(rate))
    assert scores(crm.Poisson("v", rate=rate), values)[:-1] == pytest.approx(expected)


def test_negative_binomial_density():
    rate, shape = (0.0, 1.5, 40.0), (0.5, 0.1, 12.0)
    channel, values = crm.NegativeBinomial("c", rate=rate, shape=shape), [0, 1, 2, 7, 90, 1000]
    assert_scores(channel, values, lambda y, k: oracle.negative_binomial(y, rate[k], shape[k]))
    probs = np.array(shape) / (np.array(shape) + rate)
    expected = stats.nbinom.logpmf(np.array(values)[:, None], shape, probs)
    assert scores(channel, values)[:-1, 1:] == pytest.approx(expected[:, 1:])


def test_a_large_shape_is_poisson():
    values, rate = np.arange(12), (0.1, 1.5, 4.0)
    found = scores(crm.NegativeBinomial("c", rate=rate, shape=(1e7,) * 3), values)
    assert found == pytest.approx(scores(crm.Poisson("v", rate), values), abs=1e-4)


def test_geometric_density():
    prob = (0.05, 0.5, 1.0)
    channel = crm.Geometric("g", prob=prob)
    assert_scores(channel, [0, 1, 3, 60], lambda y, k: oracle.geometric(y, prob[k]))


@pytest.mark.parametrize(
    ("channel", "parameters"),
    [
        (crm.NegativeBinomial("c"), {"rate": 3.0, "shape": 0.7}),
        (crm.Geometric("g"), {"prob": 0.2}),
    ],
    ids=["negative binomial", "geometric"],
)
def test_means_are_those_of_the_samples(channel, parameters):
    sampled = channel.sample(grid(200_001), **parameters)
    assert sampled.mean() == pytest.approx(channel.mean(**parameters), rel=1e-3)
    if "shape" in parameters:
        rate, shape = parameters["rate"], parameters["shape"]
        assert sampled.var() == pytest.approx(rate + rate**2 / shape, rel=1e-2)


def test_bernoulli_density():
    prob = (0.0, 0.3, 1.0)
    channel = crm.Bernoulli("b", prob=prob)
    assert_scores(channel, [0, 1], lambda y, k: oracle.bernoulli(y, prob[k]))


def test_spend_density():
    prob, median, sigma = (0.0, 0.4, 1.0), (10.0, 25.0, 400.0), (0.3, 1.0, 2.0)
    channel = crm.ZeroInflatedSpend("s", prob, median, sigma)
    values = [0.0, 0.01, 10.0, 33.3, 1e6]
    assert_scores(channel, values, lambda y, k: oracle.spend(y, prob[k], median[k], sigma[k]))
    amounts = np.array(values[1:])[:, None]
    with np.errstate(divide="ignore"):
        expected = np.log(prob) + stats.lognorm.logpdf(amounts, s=sigma, scale=median)
    assert scores(channel, values)[1:-1] == pytest.approx(expected)


@pytest.mark.parametrize("discrimination", [0.01, 1.7, 8.0])
def test_survey_density(discrimination):
    location = (-3.0, 0.2, 2.5)
    channel = crm.OrdinalSurvey("s", location, discrimination=discrimination)
    assert_scores(
        channel,
        [1, 2, 3, 4, 5],
        lambda y, k: oracle.survey(y, location[k], discrimination=discrimination),
    )


def test_survey_density_far_from_the_cutpoints_does_not_cancel():
    channel = crm.OrdinalSurvey("s", location=(-60.0, 0.0, 60.0))
    found = scores(channel, [1, 3, 5])
    # P(Y = 5 | -60) = logistic(-1.7 * 61.5) = exp(-104.55) up to 1e-45.
    assert found[2, 0] == pytest.approx(-1.7 * 61.5, rel=1e-12)
    assert found[0, 2] == pytest.approx(-1.7 * 61.5, rel=1e-12)
    # P(Y = 3 | 60) = exp(-1.7 * 59.5) * (1 - exp(-1.7)), from the tail of the logistic curve.
    expected = -1.7 * 59.5 + np.log(-np.expm1(-1.7))
    assert found[1, 2] == pytest.approx(expected, rel=1e-12)


def test_label_density():
    channel = crm.StageLabel("l", confusion=CONFUSION)
    assert_scores(channel, [0, 1, 2], lambda y, k: oracle.label(y, CONFUSION[k]))


@pytest.mark.parametrize(
    ("channel", "values"),
    [
        (crm.Poisson("v", rate=(0.0, 1.5, 40.0)), range(400)),
        (crm.NegativeBinomial("c", (0.0, 1.5, 4.0), (1.0, 0.5, 9.0)), range(400)),
        (crm.Geometric("g", prob=(0.1, 0.5, 1.0)), range(400)),
        (crm.Bernoulli("b", prob=(0.0, 0.3, 1.0)), (0, 1)),
        (crm.OrdinalSurvey("s", location=(-3.0, 0.2, 2.5)), range(1, 6)),
        (crm.StageLabel("l", confusion=CONFUSION), range(3)),
    ],
    ids=["poisson", "negative binomial", "geometric", "bernoulli", "survey", "label"],
)
def test_discrete_laws_sum_to_one(channel, values):
    assert np.exp(scores(channel, list(values))[:-1]).sum(axis=0) == pytest.approx(1, abs=1e-12)


def test_amounts_integrate_to_the_chance_of_spending():
    channel = crm.ZeroInflatedSpend("s", (0.2, 0.5, 0.9), (10.0, 25.0, 400.0), (0.3, 1.0, 2.0))
    log_amount = np.linspace(-15, 25, 20_001)
    density = np.exp(scores(channel, np.exp(log_amount))[:-1] + log_amount[:, None])
    zero = np.exp(scores(channel, [0.0])[0])
    # The trapezoidal rule converges exponentially for a density that vanishes at both ends.
    assert np.trapezoid(density, log_amount, axis=0) + zero == pytest.approx(1, abs=1e-9)


# By hand for a = 1.7 and b = (-1.5, -.5, .5, 1.5): 1 / (1 + exp(1.7 * 1.5)) = .0724, and so on.
def test_graded_response_gives_the_printed_numbers():
    probs = crm.OrdinalSurvey("s").level_probs([0.0, 1.0])
    assert probs[0].round(4).tolist() == [0.0724, 0.2270, 0.4011, 0.2270, 0.0724]
    assert (probs @ np.arange(1, 6)).round(3).tolist() == [3.000, 3.914]


# Priors -------------------------------------------------------------------------------------------

LEARNED = (
    crm.Poisson("v", typical_rate=(0.5, 2.0, 8.0), spread=0.7),
    crm.Bernoulli("b", typical_prob=(0.1, 0.5, 0.8), confidence=6),
    crm.ZeroInflatedSpend("s", typical_spend=(5.0, 20.0, 90.0)),
    crm.OrdinalSurvey("o", typical_location=(-1.0, 0.0, 1.0), prior_sd=0.4),
    crm.StageLabel("l", accuracy=0.7, confidence=9),
    crm.NegativeBinomial("c", typical_rate=(0.5, 2.0, 8.0), spread=0.7, typical_shape=2.0),
    crm.Geometric("g", typical_prob=(0.1, 0.5, 0.8), confidence=6),
)


@pytest.mark.parametrize("channel", LEARNED, ids=lambda channel: type(channel).__name__)
def test_priors_are_unnamed_and_have_a_value_per_stage(channel):
    priors = channel.parameters(SPACE)
    assert tuple(priors) == channel.parameter_names
    for prior in priors.values():
        assert prior.name is None
        assert interpreted.draw(prior, 1, seed=1).shape[0] == len(SPACE)


def prior_logp(channel, name, value):
    prior = channel.parameters(SPACE)[name]
    return interpreted.evaluate(pm.logp(prior, np.asarray(value, dtype=float)))[0]


def test_prior_scales_are_in_the_units_of_the_user():
    visits, complaint, spend, survey, label, calls, since = LEARNED
    rate = np.array([0.4, 3.0, 7.0])
    expected = stats.lognorm.logpdf(rate, s=0.7, scale=[0.5, 2.0, 8.0])
    assert prior_logp(visits, "rate", rate) == pytest.approx(expected)
    assert prior_logp(calls, "rate", rate) == pytest.approx(expected)
    expected = stats.lognorm.logpdf(rate, s=1.0, scale=2.0)
    assert prior_logp(calls, "shape", rate) == pytest.approx(expected)
    prob = np.array([0.2, 0.4, 0.9])
    expected = stats.beta.logpdf(prob, [0.6, 3.0, 4.8], [5.4, 3.0, 1.2])
    assert prior_logp(complaint, "prob", prob) == pytest.approx(expected)
    assert prior_logp(since, "prob", prob) == pytest.approx(expected)
    assert prior_logp(spend, "prob", prob) == pytest.approx(np.zeros(3), abs=1e-12)
    expected = stats.lognorm.logpdf(rate, s=1.0, scale=[5.0, 20.0, 90.0])
    assert prior_logp(spend, "median", rate) == pytest.approx(expected)
    assert prior_logp(spend, "sigma", rate) == pytest.approx(stats.halfnorm.logpdf(rate))
    expected = stats.norm.logpdf(rate, [-1.0, 0.0, 1.0], 0.4)
    assert prior_logp(survey, "location", rate) == pytest.approx(expected)
    rows = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6]])
    weights = 9 * np.array([[0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]])
    expected = [stats.dirichlet.logpdf(r, w) for r, w in zip(rows, weights, strict=True)]
    assert prior_logp(label, "confusion", rows) == pytest.approx(expected)


# Known and learned, compared and hashed -----------------------------------------------------------


def test_given_parameters_are_known_and_the_others_learned():
    spend = crm.ZeroInflatedSpend("s", median=(10, 20, 30))
    assert set(spend.known) == {"median"}
    assert spend.known["median"].dtype == float
    assert spend.parameter_names == ("prob", "median", "sigma")


def test_channels_compare_and_hash_by_value_however_they_are_written():
    one = crm.StageLabel("l", confusion=np.array(CONFUSION))
    other = crm.StageLabel("l", confusion=[list(row) for row in CONFUSION])
    third = crm.StageLabel("l", confusion=tuple(list(row) for row in CONFUSION))
    assert one == other == third
    assert len({one, other, third}) == 1
    assert crm.Poisson("v", rate=np.array([1.0, 2.0])) == crm.Poisson("v", rate=(1.0, 2.0))
    assert crm.Poisson("v", rate=(1.0, 2.0)) != crm.Poisson("v", rate=(1.0, 2.5))


# What tells stages, and phases, apart -------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "stages", "phases"),
    [
        (crm.Poisson("v"), False, False),
        (crm.Poisson("v", typical_rate=2.0), False, False),
        (crm.Poisson("v", rate=(1, 1, 1)), False, False),
        (crm.Poisson("v", rate=(1, 3, 3)), True, True),
        (crm.NegativeBinomial("c", shape=(1, 2, 2)), True, True),
        (crm.NegativeBinomial("c", typical_shape=3.0), False, False),
        (crm.Geometric("g", typical_prob=(0.5, 0.2, 0.5)), True, True),
        (crm.Poisson("v", rate=(3, 3, 1)), True, True),
        (crm.Poisson("v", typical_rate=(1, 3, 1)), True, True),
        (crm.ZeroInflatedSpend("s", sigma=(1, 1, 1)), False, False),
        (crm.OrdinalSurvey("o", n_levels=4, cutpoints=(-1, 0, 1)), False, False),
        (crm.OrdinalSurvey("o", typical_location=(1, 1, -1)), True, True),
        (crm.StageLabel("l"), True, True),
    ],
    ids=repr,
)
def test_what_is_said_beforehand_ties_stages_to_their_names(channel, stages, phases):
    assert channel.tells_stages(TWO_PHASES) is stages
    assert channel.tells_apart(TWO_PHASES) is phases


def test_mirror_stages_are_not_told_apart_by_values_that_both_phases_share():
    mirror = crm.StageSpace(tuple("abcd"), ("together", "together", "apart", "apart"))
    alike = crm.Poisson("v", rate=(1, 4, 4, 1))
    assert alike.tells_stages(mirror)
    assert not alike.tells_apart(mirror)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda: crm.Poisson("v", rate=(-1, 2), typical_rate=0, spread=np.nan),
            ["rate", "typical_rate", "spread"],
        ),
        (lambda: crm.Poisson("v", rate=(1, np.inf)), ["rate"]),
        (
            lambda: crm.NegativeBinomial("v", (-1, 2), (0, 1), 0, np.nan, typical_shape=np.inf),
            ["rate", "shape", "typical_rate", "spread", "typical_shape"],
        ),
        (
            lambda: crm.Geometric("v", prob=(0.0, 0.5), typical_prob=1.0, confidence=0),
            ["prob", "typical_prob", "confidence"],
        ),
        (lambda: crm.Poisson("v", rate=("a", "b")), ["rate"]),
        (
            lambda: crm.Bernoulli("v", prob=(0.5, 1.5), typical_prob=1.0, confidence=0),
            ["prob", "typical_prob", "confidence"],
        ),
        (
            lambda: crm.ZeroInflatedSpend("v", (2,), (0.0,), (-1.0,), typical_spend=-3),
            ["prob", "median", "sigma", "typical_spend"],
        ),
        (
            lambda: crm.OrdinalSurvey(
                "v",
                location=(0, np.inf),
                n_levels=3,
                cutpoints=(1, 0, 2),
                discrimination=0,
                response_rate=2,
                typical_location=np.nan,
                prior_sd=-1,
            ),
            [
                "`location`",
                "must increase",
                "discrimination",
                "response_rate",
                "typical_location",
                "prior_sd",
            ],
        ),
        (
            lambda: crm.StageLabel("v", ((1, -1), (0, 1)), 1.0, 0, response_rate=-1),
            ["confusion", "accuracy", "confidence", "response_rate"],
        ),
        (lambda: crm.StageLabel("v", ((0.5, 0.4), (0, 1))), ["each row of `confusion`"]),
        (lambda: crm.StageLabel("v", ((0.5, 0.5), (1,))), ["confusion"]),
        (lambda: crm.StageLabel("v", ((0.5, 0.5, 0), (0, 1, 0))), ["a row and a column"]),
        (lambda: crm.StageLabel("v", (0.5, 0.5)), ["a row and a column"]),
    ],
)
def test_everything_out_of_range_is_reported_at_once(make, named):
    with pytest.raises(SpecError) as error:
        make()
    message = str(error.value)
    assert "('v'): " in message
    assert all(name in message for name in named), message


def test_a_name_that_a_posterior_cannot_hold_is_refused_in_a_sentence():
    word = "has a slash, which separates the groups of a posterior: rename it"
    with pytest.raises(SpecError, match=f"channel name 'a/b' {word}"):
        check_channels("Shop", (crm.Poisson("a/b"),), SPACE)
    with pytest.raises(SpecError, match=f"covariate name 'a/b' {word}"):
        crm.CovariateLogit(("a/b",))
    with pytest.raises(SpecError, match=f"`label` 'a/b' {word}"):
        crm.ObservedMarkov(SPACE, label="a/b")


def test_channels_must_fit_the_space():
    channels = (
        crm.Poisson("v", rate=(1.0, 2.0)),
        crm.Bernoulli("v", prob=0.5),
        crm.OrdinalSurvey("o", typical_location=(0.0, 1.0)),
        crm.StageLabel("l", confusion=np.eye(2)),
    )
    with pytest.raises(SpecError) as error:
        check_channels("Shop", channels, SPACE)
    message = str(error.value)
    assert "Shop: 5 problems" in message
    assert "channel name 'v' occurs twice" in message
    for field in ("`rate`", "`prob`", "`typical_location`", "`confusion`"):
        assert f"{field} of channel" in message


@pytest.mark.parametrize(
    ("channel", "good", "bad"),
    [
        (crm.Poisson("v"), [0, 3, 1e9], [-1, 0.5, np.inf]),
        (crm.NegativeBinomial("v"), [0, 3, 1e9], [-1, 0.5, np.inf]),
        (crm.Geometric("v"), [0, 3, 1e9], [-1, 0.5, np.inf]),
        (crm.Bernoulli("v"), [0, 1], [2, 0.5, -1]),
        (crm.ZeroInflatedSpend("v"), [0, 0.01, 1e9], [-0.01, np.inf]),
        (crm.OrdinalSurvey("v"), [1, 5], [0, 6, 2.5]),
        (crm.StageLabel("v"), [0, 2], [-1, 0.5]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_support(channel, good, bad):
    assert channel.supports(np.array(good, dtype=float)).all()
    assert not channel.supports(np.array(bad, dtype=float)).any()
    assert channel.support


# Prior predictive draws use the third face: `dist` itself, drawn from by PyMC.
@pytest.mark.parametrize("channel", LEARNED, ids=lambda channel: type(channel).__name__)
def test_draws_of_a_channel_are_not_all_the_same(channel):
    check_channel(channel, SPACE, seed=3, n_draws=4000)
