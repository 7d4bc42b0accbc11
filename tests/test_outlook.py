"""One face for two kinds of model: the same questions, the same units, the same customers."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crmlab.btyd import BGBB, BGNBD, MBGNBD, ParetoNBD, count_purchases, fit_buyers
from crmlab.channels import Poisson, ZeroInflatedSpend
from crmlab.datasets import load_cdnow_sample
from crmlab.errors import DataError, SpecError
from crmlab.inference import Fit
from crmlab.models.hidden import HiddenMarkov
from crmlab.stages import StageSpace
from crmlab.tables import CustomerTables, rfm_summary, split_holdout, tables_from_orders
from crmlab.transitions import StickyDirichlet
from crmlab.value import lifetime_value, per_year
from crmlab.value.any_model import customer_value, expected_purchases, expected_spend, prob_alive

ROOT = Path(__file__).resolve().parents[1]
MATRICES = np.array([[[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0, 0, 1]],
                     [[0.5, 0.4, 0.1], [0.1, 0.7, 0.2], [0, 0, 1]]])  # fmt: skip
START = np.array([[0.6, 0.3, 0.1], [0.2, 0.8, 0.0]])
RATES = np.array([[0.5, 2.5, 0.0], [0.2, 4.0, 0.0]])
CHANCE, MEDIAN, SIGMA = [0.2, 0.9, 0.0], [10.0, 30.0, 10.0], [0.5, 0.7, 0.5]
AMOUNT = np.array(CHANCE) * MEDIAN * np.exp(np.array(SIGMA) ** 2 / 2)


def stage_fit():
    """Two made-up draws of a model with hidden stages; the second customer was never observed."""
    moves = [("idle", "active"), ("active", "idle"), ("idle", "lost"), ("active", "lost")]
    space = StageSpace(("idle", "active", "lost"), moves=moves)
    channels = (Poisson("repeat_orders"), ZeroInflatedSpend("spend"))
    model = HiddenMarkov(space, StickyDirichlet(), channels, ordered_by="repeat_orders_rate")
    axes = ("customer_id", "period")
    nothing = [np.nan, np.nan]
    panel = xr.Dataset(
        {
            "repeat_orders": (axes, [[0.0, 3.0], nothing]),
            "spend": (axes, [[0.0, 40.0], nothing]),
            "observed": (axes, [[True, True], [False, False]]),
        },
        coords={"customer_id": [7, 8], "period": range(2)},
        attrs={"freq": "W"},
    )
    for name in ("repeat_orders", "spend"):
        panel[name].attrs["kind"] = "total"
    by_stage = ("chain", "draw", "stage")
    names = list(space.names)
    posterior = xr.Dataset(
        {
            "initial_probs": (by_stage, START[None]),
            "transition_matrix": (("chain", "draw", "stage_from", "stage_to"), MATRICES[None]),
            "repeat_orders_rate": (by_stage, RATES[None]),
            "spend_prob": (by_stage, np.array([[CHANCE, CHANCE]])),
            "spend_median": (by_stage, np.array([[MEDIAN, MEDIAN]])),
            "spend_sigma": (by_stage, np.array([[SIGMA, SIGMA]])),
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


@pytest.fixture(scope="module")
def cdnow():
    orders = load_cdnow_sample()
    tables = tables_from_orders(orders, window=("1997-01-01", "1998-06-30"), currency="USD")
    return orders, *split_holdout(tables, cutoff="1997-10-01")


@pytest.fixture(scope="module")
def buyers(cdnow):
    return fit_buyers(ParetoNBD, cdnow[1])


# Stage models -------------------------------------------------------------------------------------


def test_a_customer_never_seen_has_the_initial_law():
    fit = stage_fit()
    alive = prob_alive(fit).sel(customer_id=8, chain=0)
    np.testing.assert_allclose(alive, [0.9, 1.0])
    np.testing.assert_allclose(
        prob_alive(fit, dead=("idle", "lost")).sel(customer_id=8)[0], [0.3, 0.8]
    )
    assert prob_alive(fit).sel(customer_id=7).min() == pytest.approx(1)  # the lost do not order


def test_purchases_and_spend_ahead_are_those_of_the_paths():
    """Every stage path of three periods, one by one."""
    fit = stage_fit()
    purchases = expected_purchases(fit, n_periods=3).sel(customer_id=8, chain=0).values
    spend = expected_spend(fit, n_periods=3).sel(customer_id=8, chain=0).values
    for draw in (0, 1):
        bought = spent = 0.0
        for s0, s1, s2, s3 in np.ndindex(3, 3, 3, 3):
            P = MATRICES[draw]
            chance = START[draw][s0] * P[s0, s1] * P[s1, s2] * P[s2, s3]
            bought += chance * RATES[draw][[s1, s2, s3]].sum()
            spent += chance * AMOUNT[[s1, s2, s3]].sum()
        assert purchases[draw] == pytest.approx(bought, rel=1e-12)
        assert spend[draw] == pytest.approx(spent, rel=1e-12)


def test_value_is_that_of_the_stages_with_one_convention_of_time():
    """The same default; or `lifetime_value` with the present period, its margin taken away."""
    fit = stage_fit()
    margin = dict(zip(fit.model.space.names, 0.3 * AMOUNT, strict=True))
    options = {"margin": margin, "discount_rate": 0.02}
    ahead = lifetime_value(fit, n_periods=4, **options)
    whole = lifetime_value(fit, n_periods=5, first="current", **options)
    present = lifetime_value(fit, n_periods=1, first="current", **options)
    ours = customer_value(fit, n_periods=4, fraction=0.3, discount_rate=0.02)
    np.testing.assert_allclose(ours, ahead, rtol=1e-12)
    np.testing.assert_allclose(ours, whole - present, rtol=1e-12)
    counted = "the margin of the next period and all later ones"
    assert ours.attrs["counts"] == ahead.attrs["counts"] == counted


def test_stage_models_say_what_they_lack():
    fit = stage_fit()
    with pytest.raises(SpecError, match="unknown stage 'gone'"):
        prob_alive(fit, dead=("gone",))
    with pytest.raises(SpecError, match="or Bernoulli channel 'orders'"):
        expected_purchases(fit, n_periods=1, channel="orders")
    with pytest.raises(SpecError, match="no ZeroInflatedSpend channel 'repeat_orders'"):
        expected_spend(fit, n_periods=1, channel="repeat_orders")


# Buyers -------------------------------------------------------------------------------------------


def test_tables_give_the_summary_of_the_orders(cdnow):
    orders, first, _ = cdnow
    ours = count_purchases(first).reset_index()
    summary = rfm_summary(orders, observation_end="1997-09-30")
    columns = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    pd.testing.assert_frame_equal(ours[columns], summary[columns], check_dtype=False)


def test_buyers_answer_the_same_questions_as_stages(buyers):
    """Same names, same customer dimension; what a fit has per draw, buyers have once."""
    fit = stage_fit()
    options = {"n_periods": 3}
    money = {"n_periods": 3, "fraction": 0.3, "discount_rate": per_year(0.1)}
    for ask, given in (
        (prob_alive, {}),
        (expected_purchases, options),
        (expected_spend, options),
        (customer_value, money),
    ):
        ours, theirs = ask(buyers, **given), ask(fit, **given)
        assert ours.name == theirs.name == ask.__name__
        assert set(theirs.dims) == {"chain", "draw", "customer_id"}
        assert ours.dims == ("customer_id",)
        assert ours.attrs.get("discount_rate") == theirs.attrs.get("discount_rate")
        assert np.isfinite(ours).all()


@pytest.mark.bits
def test_buyers_hand_on_what_their_population_says(buyers):
    x, t_x, T = buyers.history
    np.testing.assert_array_equal(prob_alive(buyers), buyers.population.prob_alive(x, t_x, T))
    ahead = expected_purchases(buyers, n_periods=39)
    np.testing.assert_array_equal(ahead, buyers.population.expected_purchases(39, x, t_x, T))
    amount = buyers.spend.expected_spend(x, buyers.histories["monetary_value"])
    spend = expected_spend(buyers, n_periods=39)
    np.testing.assert_allclose(spend, ahead * amount, rtol=1e-9)


def test_discounting_weighs_each_week(buyers):
    x, t_x, T = buyers.history
    upto = [buyers.population.expected_purchases(h, x, t_x, T) for h in range(5)]
    amount = buyers.spend.expected_spend(x, buyers.histories["monetary_value"])
    by_hand = sum((upto[h] - upto[h - 1]) * amount * 0.3 / 1.01**h for h in range(1, 5))
    ours = customer_value(buyers, n_periods=4, fraction=0.3, discount_rate=0.01)
    np.testing.assert_allclose(ours, by_hand, rtol=1e-9)


@pytest.mark.parametrize("kind", [BGNBD, MBGNBD])
def test_every_kind_forecasts_the_holdout_within_a_fifth(cdnow, kind):
    _, first, later = cdnow
    actual = (later.events["channel"] == "repeat_orders").sum()
    forecast = expected_purchases(fit_buyers(kind, first), n_periods=39).sum()
    assert float(forecast) == pytest.approx(actual, rel=0.2)


def test_the_benchmark_runs_and_a_model_beats_none():
    """1,882 repeat purchases in weeks 40 to 78, counted from the orders."""
    compare = runpy.run_path(str(ROOT / "benchmarks/cdnow.py"))["compare"]
    head, line, naive, actual = compare((BGNBD,))
    assert head.split()[0] == "model"
    assert line.split()[:2] == ["BGNBD", "-9582.4"]
    assert -15 < float(line.split()[4].rstrip("%")) < 0
    assert float(naive.split()[-1]) > float(line.split()[-1])  # a model beats none
    assert actual.split() == ["actual", "1882"]


def test_whole_periods_are_counted_after_that_of_the_first_order():
    """By hand: customer 1 buys in January (twice), March and April; 2 in February only."""
    dates = ["1997-01-03", "1997-01-20", "1997-03-05", "1997-04-01", "1997-02-10"]
    orders = pd.DataFrame({"customer_id": [1, 1, 1, 1, 2], "date": dates})
    tables = tables_from_orders(orders, window=("1997-01-01", "1997-05-31"))
    counted = count_purchases(tables, freq="M", whole_periods=True)
    assert counted[["frequency", "recency", "T"]].values.tolist() == [[2, 3, 4], [0, 0, 3]]
    assert counted["repeats"].tolist() == [3, 0]


def test_bg_bb_reads_months(cdnow):
    buyers = fit_buyers(BGBB, cdnow[1], freq="M")
    assert buyers.history[2].max() == 8
    alive, ahead = prob_alive(buyers), expected_purchases(buyers, n_periods=9)
    assert float(alive.min()) > 0
    assert float(ahead.max()) <= 9


def test_buyers_say_what_they_lack(cdnow, buyers):
    _, first, _ = cdnow
    with pytest.raises(SpecError, match="must be a buy-till-you-die model"):
        fit_buyers("BG/NBD", first)
    with pytest.raises(SpecError, match="fit_buyers: `freq`"):
        fit_buyers(BGNBD, first, freq="M")
    periods = CustomerTables(
        pd.DataFrame({"customer_id": [1]}),
        pd.DataFrame({"customer_id": [1], "period": [0], "channel": ["orders"]}),
    )
    with pytest.raises(DataError, match="this model needs days"):
        fit_buyers(BGNBD, periods)
    visits = pd.DataFrame({"customer_id": [1], "date": ["1997-01-01"], "channel": ["visits"]})
    with pytest.raises(DataError, match="no channel 'orders'"):
        fit_buyers(BGNBD, CustomerTables(pd.DataFrame({"customer_id": [1]}), visits))
    with pytest.raises(SpecError, match="3 problems"):
        customer_value(buyers, n_periods=0, fraction=np.nan, discount_rate=-2)


def test_without_amounts_there_is_no_spend(cdnow):
    orders = cdnow[0].drop(columns="amount")
    tables = tables_from_orders(orders[orders["date"] < "1997-10-01"])
    buyers = fit_buyers(BGNBD, tables)
    assert buyers.spend is None
    with pytest.raises(SpecError, match="nothing is known about amounts"):
        expected_spend(buyers, n_periods=3)
