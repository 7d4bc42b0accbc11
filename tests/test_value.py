import itertools
import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import crmlab as crm
from crmlab import value
from crmlab.channels import Poisson, StageLabel
from crmlab.errors import SpecError
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.inference import Fit, fit
from crmlab.models.hidden import HiddenMarkov
from crmlab.models.observed import ObservedMarkov
from crmlab.stages import K10, K10_MARGINS, KNAPP, StageSpace
from crmlab.tables import to_panel
from crmlab.transitions import StickyDirichlet
from tests.oracles import value as oracle

QUARTERLY = value.per_year(0.10).per_period("Q")


def half_a_unit(numbers):
    """Tolerance of a published number: half a unit in its last printed digit."""
    decimals = max(len(repr(float(n)).partition(".")[2].rstrip("0")) for n in np.ravel(numbers))
    return 0.5 * 10.0**-decimals * (1 + 1e-9)


def assert_prints_as(numbers, published):
    """Every number rounds to the published one."""
    tolerance = half_a_unit(published)
    np.testing.assert_allclose(np.asarray(numbers), published, rtol=0, atol=tolerance)


def recency_chain(*probs):
    return np.array(oracle.recency_chain(probs), dtype=float)


# --- the formula ---------------------------------------------------------------------------------

P3 = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
R3 = np.array([10.0, -3.0, 1.5])


@pytest.mark.parametrize("n_periods", [1, 2, 3, 6])
@pytest.mark.parametrize("discount_rate", [-0.2, 0.0, 0.1, 1.0])
def test_horizon_equals_the_mean_over_all_paths(n_periods, discount_rate):
    got = value.stage_value(
        P3, R3, discount_rate=discount_rate, n_periods=n_periods, first="current"
    )
    expected = oracle.value_by_paths(P3.tolist(), R3.tolist(), discount_rate, n_periods)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_infinite_horizon_equals_the_exact_fractions():
    P = oracle.recency_chain(oracle.PC_PROBS)
    exact = oracle.value_in_fractions(P, oracle.PC_MARGIN, "1/5")
    got = value.stage_value(
        np.array(P, float), oracle.PC_MARGIN, discount_rate=0.2, first="current"
    )
    np.testing.assert_allclose(got, np.array(exact, float), rtol=1e-13, atol=1e-13)


def test_infinite_horizon_is_the_limit_of_the_horizons():
    for_ever = value.stage_value(P3, R3, discount_rate=0.1, first="current")
    long = value.stage_value(P3, R3, discount_rate=0.1, n_periods=500, first="current")
    np.testing.assert_allclose(long, for_ever, rtol=1e-12)


def test_payment_at_the_end_is_one_period_later():
    options = {"discount_rate": 0.1, "n_periods": 7}
    start = value.stage_value(P3, R3, timing="start", **options, first="current")
    end = value.stage_value(P3, R3, timing="end", **options, first="current")
    np.testing.assert_allclose(end, start / 1.1, rtol=1e-14)


def test_leading_axes_are_solved_one_by_one():
    rng = np.random.default_rng(5)
    P = rng.dirichlet(np.ones(4), size=(2, 3, 4))
    margin = rng.normal(size=4)
    for n_periods in (None, 5):
        got = value.stage_value(P, margin, discount_rate=0.05, n_periods=n_periods, first="current")
        assert got.shape == (2, 3, 4)
        one = value.stage_value(
            P[1, 2], margin, discount_rate=0.05, n_periods=n_periods, first="current"
        )
        np.testing.assert_allclose(got[1, 2], one, rtol=1e-13)


def test_margins_may_differ_by_draw():
    margin = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    got = value.stage_value(P3, margin, discount_rate=0.1, first="current")
    assert got.shape == (2, 3)
    np.testing.assert_allclose(
        got[1], value.stage_value(P3, margin[1], discount_rate=0.1, first="current")
    )


def test_undiscounted_money_before_an_absorbing_end_is_time_spent():
    # Stay with probability .8: 5 periods on average, each worth 7.
    got = value.stage_value([[0.8, 0.2], [0, 1]], [7, 0], discount_rate=0, first="current")
    np.testing.assert_allclose(got, [35, 0], rtol=1e-14)


def test_money_at_the_end_of_a_long_way_is_found():
    line = np.eye(10, k=1)
    line[9, 9] = 1
    margin = np.eye(10)[8]
    np.testing.assert_allclose(
        value.stage_value(line, margin, discount_rate=0, first="current"),
        [*np.ones(9), 0],
        rtol=1e-14,
    )
    np.testing.assert_allclose(
        value.stage_value(line, margin, discount_rate=0.1, first="current")[:9],
        1.1 ** -np.arange(8.0, -1, -1),
    )


def test_negative_rate_is_valued_while_the_sum_converges():
    # sum of (.5 / .8)^t = 1 / (1 - .625)
    got = value.stage_value([[0.5, 0.5], [0, 1]], [1, 0], discount_rate=-0.2, first="current")
    np.testing.assert_allclose(got, [1 / 0.375, 0], rtol=1e-14)


def test_pfeifer_carraway_in_exact_fractions_when_mailing_stops_after_two():
    P = oracle.recency_chain(oracle.PC_PROBS[:2])
    exact = oracle.value_in_fractions(P, (36, -4, 0), "1/5")
    assert exact == [oracle.Fraction(2424, 47), oracle.Fraction(216, 47), 0]


# --- published numbers ----------------------------------------------------------------------------


def test_pfeifer_carraway_for_ever_and_over_four_years():
    P = recency_chain(*oracle.PC_PROBS)
    for_ever = value.stage_value(P, oracle.PC_MARGIN, discount_rate=0.2, first="current")
    horizon = value.stage_value(
        P, oracle.PC_MARGIN, discount_rate=0.2, n_periods=5, first="current"
    )
    assert_prints_as(for_ever, oracle.PC_FOR_EVER)
    assert_prints_as(horizon, oracle.PC_HORIZON_4)


@pytest.mark.parametrize(("recency", "published"), oracle.PC_STOP_AFTER.items())
def test_pfeifer_carraway_stops_mailing_after_a_recency(recency, published):
    P = recency_chain(*oracle.PC_PROBS[:recency])
    got = value.stage_value(P, [*[36, -4, -4, -4][:recency], 0], discount_rate=0.2, first="current")
    assert_prints_as(got, published)


def test_two_variants_of_the_recency_chain():
    first = value.stage_value(
        recency_chain("1/2", "1/5", "1/10"), [100, 0, 0, 0], discount_rate=0.1, first="current"
    )
    second = value.stage_value(
        recency_chain("3/10", "1/5", "1/20"),
        [36, -4, -4, 0],
        discount_rate=0.2,
        n_periods=5,
        first="current",
    )
    assert_prints_as(first, oracle.VARIANT_FOR_EVER)
    assert_prints_as(second, oracle.VARIANT_HORIZON_4)


@pytest.mark.parametrize("discount_rate", [0.10, 0.15])
def test_officestar(discount_rate):
    P, margin = np.array(oracle.OFFICESTAR_P), oracle.OFFICESTAR_MARGIN
    got = value.stage_value(P, margin, discount_rate=discount_rate, first="current")
    assert_prints_as(got, oracle.OFFICESTAR_VALUE[discount_rate])
    equity = value.customer_equity(got, n_customers=oracle.OFFICESTAR_BASE)
    assert_prints_as(equity, oracle.OFFICESTAR_EQUITY[discount_rate])
    np.testing.assert_allclose(oracle.OFFICESTAR_BASE @ P, oracle.OFFICESTAR_NEXT_BASE)


def without_repair():
    """K10 with each repair move blocked: the customer stays where he is."""
    P = K10.copy()
    for i in range(10):
        for j in range(10):
            if KNAPP.kinds[i, j] == "repair":
                P[i, i] += P[i, j]
                P[i, j] = 0
    return P


def test_k10_needs_the_effective_rate():
    got = value.stage_value(K10, K10_MARGINS, discount_rate=QUARTERLY, first="current")
    assert_prints_as(got[[0, 4, 5]], oracle.K10_VALUE)
    got = value.stage_value(without_repair(), K10_MARGINS, discount_rate=QUARTERLY, first="current")
    assert_prints_as(got[[0, 4, 5]], oracle.K10_VALUE_WITHOUT_REPAIR)


def offer(stages, cost):
    """K10 and its margins when customers in these stages get an offer that repairs."""
    P, margin = K10.copy(), K10_MARGINS.copy()
    for i in stages:
        P[i, i + 1] -= 0.10
        P[i, 8 - i] += 0.10
        margin[i] -= cost
    return P, margin


def test_k10_offers():
    base = value.stage_value(K10, K10_MARGINS, discount_rate=QUARTERLY, first="current")
    one = value.stage_value(*offer([5], 12), discount_rate=QUARTERLY, first="current")
    assert_prints_as(one[5] - base[5], oracle.K10_GAIN_OF_OFFER)
    every = value.stage_value(*offer([5, 6, 7, 8], 12), discount_rate=QUARTERLY, first="current")
    assert_prints_as(every[[0, 5]], oracle.K10_VALUE_WITH_ALL_OFFERS)
    for stage, cost in zip([5, 6, 7, 8], oracle.K10_BREAK_EVEN_COSTS, strict=True):
        for c, sign in ((cost - 0.005, 1), (cost + 0.005, -1)):
            gain = (
                value.stage_value(*offer([stage], c), discount_rate=QUARTERLY, first="current")
                - base
            )
            assert np.sign(gain[stage]) == sign


def test_berger_nasr():
    got = value.berger_nasr(260, 50, retention=0.75, discount_rate=0.20, n_years=10)
    assert_prints_as(got, oracle.BERGER_NASR)


def test_berger_nasr_without_marketing_is_the_chain_of_two_stages():
    got = value.berger_nasr(260, 0, retention=0.75, discount_rate=0.20, n_years=10)
    chain = value.stage_value(
        [[0.75, 0.25], [0, 1]], [260, 0], discount_rate=0.20, n_periods=11, first="current"
    )
    assert got == pytest.approx(chain[0], rel=1e-13)


def test_retention_multiples():
    for retention, published in oracle.MULTIPLES.items():
        got = value.retention_multiple(retention, [0.10, 0.12, 0.14, 0.16])
        np.testing.assert_allclose(got, published, rtol=0, atol=0.005)


def test_retention_multiple_is_the_chain_without_the_present_payment():
    chain = value.stage_value([[0.7, 0.3], [0, 1]], [1, 0], discount_rate=0.12, first="current")
    assert value.retention_multiple(0.7, 0.12) == pytest.approx(chain[0] - 1, rel=1e-13)


def test_blattberg_deighton_optimum_beats_every_other_spend():
    best = value.blattberg_deighton_optimum(50, ceiling=0.40, spend=5, response=0.20)
    assert_prints_as(best.spend, 7.356)
    assert_prints_as(best.response, 0.2557)
    assert_prints_as(best.profit, 5.43)
    spends = np.linspace(0, 30, 3001)
    profits = 0.40 * (1 - 0.5 ** (spends / 5)) * 50 - spends
    assert profits.max() <= best.profit
    assert best.profit - profits.max() < 1e-5


def test_blattberg_deighton_spends_nothing_on_a_margin_too_small():
    best = value.blattberg_deighton_optimum(5, ceiling=0.40, spend=5, response=0.20)
    assert best == (0, 0, 0)


# --- rates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freq", "periods_per_year"),
    [
        ("Y", 1),
        ("Q", 4),
        ("M", 12),
        ("W", 365.25 / 7),
        ("D", 365.25),
        ("Q-DEC", 4),
        ("W-SUN", 365.25 / 7),
    ],
)
def test_a_year_of_periods_compounds_to_the_yearly_rate(freq, periods_per_year):
    rate = value.per_year(0.10).per_period(freq)
    assert (1 + rate) ** periods_per_year == pytest.approx(1.10, rel=1e-12)


def test_months_compound_to_years():
    assert value.per_month(0.01).per_period("Y") == pytest.approx(1.01**12 - 1, rel=1e-12)
    assert value.per_month(0.01).per_period("Q") == pytest.approx(1.01**3 - 1, rel=1e-12)


@pytest.mark.parametrize("freq", ["h", "2Q", "", None, "quarter"])
def test_a_rate_needs_periods_of_known_length(freq):
    with pytest.raises(SpecError, match="bare number per period"):
        value.per_year(0.10).per_period(freq)


@pytest.mark.parametrize("rate", [-1, -1.5, math.nan, math.inf, "10%", None, True])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(SpecError, match="discount_rate"):
        value.per_year(rate)
    with pytest.raises(SpecError, match="discount_rate"):
        value.stage_value(P3, R3, discount_rate=rate, first="current")


def test_a_rate_with_a_unit_must_be_converted_for_the_pure_formula():
    with pytest.raises(SpecError, match=r"per_year\(0.1\).per_period"):
        value.stage_value(P3, R3, discount_rate=value.per_year(0.10), first="current")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("discount_rate", [0, -0.05])
def test_endless_money_is_refused(discount_rate):
    with pytest.raises(SpecError, match="n_periods"):
        value.stage_value(P3, R3, discount_rate=discount_rate, first="current")
    with pytest.raises(SpecError, match="absorbing stage"):
        value.stage_value(
            [[0.8, 0.2], [0, 1]], [7, 1], discount_rate=discount_rate, first="current"
        )


def test_all_problems_of_one_call_at_once():
    with pytest.raises(SpecError) as caught:
        value.stage_value(
            P3 * 0.9, [1, math.nan, 2], discount_rate=-2, n_periods=0, first="current"
        )
    message = str(caught.value)
    for part in ("absorbing, with margin 0", "positions [1]", "above -1", "number of at least 1"):
        assert part in message


def test_a_transposed_matrix_is_recognised():
    with pytest.raises(SpecError, match="transpose"):
        value.stage_value(
            np.array([[0.8, 0.2], [0, 1]]).T, [7, 0], discount_rate=0.1, first="current"
        )


@pytest.mark.parametrize(
    "P", [np.ones(3), np.ones((2, 3)), [[1.5, -0.5], [0, 1]], [[math.nan, 1], [0, 1]]]
)
def test_what_is_no_matrix_is_refused(P):
    with pytest.raises(SpecError, match="`P` must"):
        value.stage_value(P, [1, 2], discount_rate=0.1, first="current")


@pytest.mark.parametrize("n_periods", [0, -1, 1.5, True, "5"])
def test_impossible_horizons_are_refused(n_periods):
    with pytest.raises(SpecError, match="n_periods"):
        value.stage_value(P3, R3, discount_rate=0.1, n_periods=n_periods, first="current")


def test_unknown_timing_is_refused():
    with pytest.raises(SpecError, match="'middle' or 'end', got 'noon'"):
        value.stage_value(P3, R3, discount_rate=0.1, timing="noon", first="current")


def test_textbook_formulas_refuse_percent_for_fraction():
    with pytest.raises(SpecError, match="at least 0 and at most 1"):
        value.berger_nasr(260, 50, retention=75, discount_rate=0.2, n_years=10)
    with pytest.raises(SpecError, match="at least 0 and at most 1"):
        value.retention_multiple(75, 0.1)
    with pytest.raises(SpecError, match="has no end"):
        value.retention_multiple(1, 0)
    with pytest.raises(SpecError, match=r"20 % as 0\.20"):
        value.blattberg_deighton_optimum(50, ceiling=40, spend=5, response=20)


# --- fits -----------------------------------------------------------------------------------------

SPACE = StageSpace(("new", "loyal", "lost"))
MARGINS = {"new": -2.0, "loyal": 10.0, "lost": 0.0}


def label_panel(paths, freq="Q"):
    """Turn each customer's reported stages, one letter per period, into a panel; "." is no report
    and "_" is outside the customer's window."""
    codes = {"n": 0.0, "l": 1.0, "x": 2.0}
    cells = [[codes.get(letter, np.nan) for letter in path] for path in paths]
    inside = [[letter != "_" for letter in path] for path in paths]
    axes = ("customer_id", "period")
    stage = xr.DataArray(cells, dims=axes, attrs={"kind": "label", "categories": SPACE.names})
    return xr.Dataset(
        {"stage": stage, "observed": (axes, inside)},
        coords={
            "customer_id": [f"c{i}" for i in range(len(paths))],
            "period": range(len(cells[0])),
        },
        attrs={"freq": freq},
    )


@pytest.fixture(scope="module")
def observed():
    panel = label_panel(["nnll", "nlxx", "nl._", "_nn."])
    return fit(ObservedMarkov(SPACE), panel, draws=40, seed=1)


def exact_value(P, margin, discount_rate):
    values = oracle.value_in_fractions(P.tolist(), margin, discount_rate)
    return np.array([float(v) for v in values])


def test_stages_are_valued_draw_by_draw(observed):
    got = value.lifetime_value(
        observed, margin=MARGINS, discount_rate=0.05, by="stage", first="current"
    )
    assert got.dims == ("chain", "draw", "stage")
    assert got.shape == (2, 40, 3)
    assert list(got["stage"].values) == list(SPACE.names)
    for chain, draw in ((0, 0), (1, 39)):
        P = observed.posterior["transition_matrix"].values[chain, draw]
        expected = exact_value(P, list(MARGINS.values()), 0.05)
        np.testing.assert_allclose(got.values[chain, draw], expected, rtol=1e-10)


def test_customers_are_valued_at_their_last_period(observed):
    options = {"margin": MARGINS, "discount_rate": 0.05}
    by_stage = value.lifetime_value(observed, by="stage", **options, first="current")
    got = value.lifetime_value(observed, draws=80, **options, first="current")
    assert got.dims == ("chain", "draw", "customer_id")
    known = {"c0": "loyal", "c1": "lost"}
    for customer, stage in known.items():
        expected = by_stage.sel(stage=stage).values
        np.testing.assert_allclose(got.sel(customer_id=customer), expected, rtol=1e-12)
    # No report in the last period inside the window: one step on from the last known stage.
    P = observed.posterior["transition_matrix"]
    for customer, stage in {"c2": "loyal", "c3": "new"}.items():
        rows = P.sel(stage_from=stage).values
        expected = (rows * by_stage.values).sum(axis=-1)
        np.testing.assert_allclose(got.sel(customer_id=customer), expected, rtol=1e-12)


def test_thinned_draws_use_their_own_matrix(observed):
    options = {"margin": MARGINS, "discount_rate": 0.05}
    few = value.lifetime_value(observed, draws=6, **options, first="current")
    every = value.lifetime_value(observed, draws=80, **options, first="current")
    assert few.sizes["chain"] * few.sizes["draw"] == 6
    xr.testing.assert_allclose(few, every.sel(draw=few["draw"]), rtol=1e-12)


def test_other_customers_can_be_valued(observed):
    options = {"margin": MARGINS, "discount_rate": value.per_year(0.10)}
    yearly = label_panel(["ll"], freq="Y")
    got = value.lifetime_value(observed, panel=yearly, draws=80, **options, first="current")
    by_stage = value.lifetime_value(
        observed, margin=MARGINS, discount_rate=0.10, by="stage", first="current"
    )
    np.testing.assert_allclose(got.values[..., 0], by_stage.sel(stage="loyal"), rtol=1e-12)
    assert got.attrs["discount_rate"] == pytest.approx(0.10, rel=1e-12)


def hidden_fit():
    """Two made-up draws of a model with hidden stages, and one customer's three periods."""
    space = StageSpace(("idle", "active"))
    model = HiddenMarkov(space, StickyDirichlet(), (Poisson("visits"),), ordered_by="visits_rate")
    axes = ("customer_id", "period")
    panel = xr.Dataset(
        {"visits": (axes, [[0.0, 3.0, 1.0]]), "observed": (axes, [[True, True, True]])},
        coords={"customer_id": [7], "period": range(3)},
        attrs={"freq": "M"},
    )
    panel["visits"].attrs["kind"] = "total"
    names = list(space.names)
    posterior = xr.Dataset(
        {
            "initial_probs": (("chain", "draw", "stage"), [[[0.7, 0.3], [0.2, 0.8]]]),
            "transition_matrix": (
                ("chain", "draw", "stage_from", "stage_to"),
                [[[[0.9, 0.1], [0.3, 0.7]], [[0.6, 0.4], [0.5, 0.5]]]],
            ),
            "visits_rate": (("chain", "draw", "stage"), [[[0.5, 2.5], [0.2, 4.0]]]),
        },
        coords={
            "chain": [0],
            "draw": [0, 1],
            "stage": names,
            "stage_from": names,
            "stage_to": names,
        },
    )
    return Fit(model, panel, xr.DataTree.from_dict({"posterior": posterior}))


def law_by_paths(initial, P, rates, counts):
    """Law of the last hidden stage: the weights of all paths, added by where they end."""
    weights = np.zeros(len(initial))
    for path in itertools.product(range(len(initial)), repeat=len(counts)):
        weight = initial[path[0]]
        for here, there in itertools.pairwise(path):
            weight *= P[here][there]
        for stage, count in zip(path, counts, strict=True):
            weight *= math.exp(-rates[stage]) * rates[stage] ** count / math.factorial(int(count))
        weights[path[-1]] += weight
    return weights / weights.sum()


def test_hidden_stages_are_averaged_over_by_the_filter():
    made = hidden_fit()
    got = value.lifetime_value(
        made, margin={"idle": 1, "active": 8}, discount_rate=0.02, first="current"
    )
    for draw in range(2):
        one = made.posterior.isel(chain=0, draw=draw)
        P = one["transition_matrix"].values
        probs = law_by_paths(one["initial_probs"].values, P, one["visits_rate"].values, (0, 3, 1))
        expected = probs @ exact_value(P, [1, 8], 0.02)
        np.testing.assert_allclose(got.values[0, draw, 0], expected, rtol=1e-10)


def test_the_posterior_finds_the_value_of_the_world():
    world = StageWorld(
        KNAPP, np.full(10, 0.1), K10, (StageLabel("stage", confusion=np.eye(10)),), n_periods=12
    )
    panel = to_panel(simulate(world, n_customers=600, seed=3), freq="Q")
    result = fit(ObservedMarkov(KNAPP), panel, seed=4)
    margin = dict(zip(KNAPP.names, K10_MARGINS, strict=True))
    got = value.lifetime_value(
        result, margin=margin, discount_rate=value.per_year(0.10), by="stage", first="current"
    ).isel(stage=slice(9))
    z = (got.mean(("chain", "draw")) - value_of_k10()[:9]) / got.std(("chain", "draw"))
    # Nine dependent z-scores: 3.5 standard errors leave a chance of a few in a thousand.
    assert abs(z).max() < 3.5
    # And the posterior is narrow enough for this to mean something.
    assert (got.std(("chain", "draw")) / value_of_k10()[:9]).sel(stage="bonding") < 0.10


def value_of_k10():
    return exact_value(K10, K10_MARGINS.tolist(), QUARTERLY)


def test_attributes_say_which_value_this_is(observed):
    got = value.lifetime_value(
        observed,
        margin=MARGINS,
        discount_rate=value.per_year(0.10),
        n_periods=8,
        timing="end",
        first="current",
    )
    assert got.attrs["discount_rate"] == pytest.approx(QUARTERLY)
    assert got.attrs["discount_rate_given"] == "per_year(0.1)"
    assert (got.attrs["timing"], got.attrs["horizon"]) == ("end", "8 periods")
    bare = value.lifetime_value(
        observed, margin=MARGINS, discount_rate=0.02, by="stage", first="current"
    )
    assert bare.attrs["discount_rate_given"] == "0.02 per period"
    assert bare.attrs["horizon"] == "infinite"
    np.testing.assert_allclose(
        got.mean("customer_id"),
        value.lifetime_value(
            observed,
            margin=MARGINS,
            discount_rate=value.per_year(0.10),
            n_periods=8,
            first="current",
        ).mean("customer_id")
        / (1 + QUARTERLY),
        rtol=1e-12,
    )


def test_margins_may_come_in_any_labelled_form(observed):
    plain = value.lifetime_value(
        observed, margin=list(MARGINS.values()), discount_rate=0.05, by="stage", first="current"
    )
    shuffled = {name: MARGINS[name] for name in ("lost", "new", "loyal")}
    series = pd.Series(shuffled)
    array = xr.DataArray(series.to_numpy(), coords={"stage": list(shuffled)}, dims="stage")
    for margin in (shuffled, series, array):
        got = value.lifetime_value(
            observed, margin=margin, discount_rate=0.05, by="stage", first="current"
        )
        xr.testing.assert_equal(got, plain)


def test_every_stage_needs_a_margin_and_no_other_name_does(observed):
    with pytest.raises(SpecError) as caught:
        value.lifetime_value(
            observed, margin={"loyal": 1, "gone": 0}, discount_rate=0.05, first="current"
        )
    message = str(caught.value)
    for part in ("missing for stage 'new'", "missing for stage 'lost'", "unknown stage 'gone'"):
        assert part in message


def test_by_is_checked(observed):
    with pytest.raises(SpecError, match="'customer' or 'stage', got 'segment'"):
        value.lifetime_value(
            observed, margin=MARGINS, discount_rate=0.05, by="segment", first="current"
        )


def test_a_yearly_rate_needs_a_known_frequency(observed):
    with pytest.raises(SpecError, match="bare number per period"):
        value.lifetime_value(
            observed,
            panel=label_panel(["ll"], freq="fortnight"),
            margin=MARGINS,
            discount_rate=value.per_year(0.10),
            first="current",
        )


# --- equity ---------------------------------------------------------------------------------------


def test_equity_adds_customers_within_each_draw(observed):
    values = value.lifetime_value(
        observed, margin=MARGINS, discount_rate=0.05, draws=80, first="current"
    )
    equity = value.customer_equity(values)
    assert equity.dims == ("chain", "draw")
    np.testing.assert_allclose(equity.values, sum(values.values[..., i] for i in range(4)))
    assert equity.attrs["discount_rate"] == 0.05


def test_equity_weights_stages_with_their_customers(observed):
    values = value.lifetime_value(
        observed, margin=MARGINS, discount_rate=0.05, by="stage", first="current"
    )
    equity = value.customer_equity(values, n_customers={"lost": 5, "new": 1, "loyal": 2})
    expected = values.values @ np.array([1, 2, 5])
    np.testing.assert_allclose(equity.values, expected, rtol=1e-12)


def test_equity_refuses_counts_that_do_not_fit(observed):
    values = value.lifetime_value(
        observed, margin=MARGINS, discount_rate=0.05, by="stage", first="current"
    )
    customers = value.lifetime_value(observed, margin=MARGINS, discount_rate=0.05, first="current")
    with pytest.raises(SpecError, match="need `n_customers`"):
        value.customer_equity(values)
    with pytest.raises(SpecError, match="unknown stage 'gone'"):
        value.customer_equity(values, n_customers={"new": 1, "loyal": 2, "lost": 0, "gone": 1})
    with pytest.raises(SpecError, match="3 counts of at least 0"):
        value.customer_equity(values, n_customers=[1, 2])
    with pytest.raises(SpecError, match="3 counts of at least 0"):
        value.customer_equity([1.0, 2.0, 3.0], n_customers=[1, -2, 0])
    with pytest.raises(SpecError, match="omit `n_customers`"):
        value.customer_equity(customers, n_customers=[1, 2, 3])


def test_a_bare_rate_in_percent_is_refused_wherever_it_is_given():
    P, margin = [[0.8, 0.2], [0, 1]], [100, 0]
    contract = crm.contract.ShiftedBetaGeometric(1, 1)
    for call in (
        lambda: value.stage_value(P, margin, discount_rate=10),
        lambda: value.discounted_occupancy(P, discount_rate=10),
        lambda: value.retention_multiple(0.8, 10),
        lambda: crm.policy.best_action([P], margin, [0], discount_rate=10),
        lambda: crm.policy.best_price(unit_cost=10, intercept=6, slope=0.1, discount_rate=10),
        lambda: contract.discounted_lifetime(10),
    ):
        with pytest.raises(SpecError, match=r"`discount_rate` must be .*at most 1"):
            call()
    assert np.isfinite(value.stage_value(P, margin, discount_rate=1.0)).all()


@pytest.mark.parametrize("make", [value.per_year, value.per_month])
def test_a_rate_in_percent_is_refused(make):
    with pytest.raises(SpecError, match=r"write 10 % as 0\.10"):
        make(10)
    assert make(1).rate == 1
