"""The demo without its sampler: fits are made by hand, so that every answer can be foreseen.

K10 and Banque Méridienne, in most of what follows, were invented.
"""

import itertools
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crmlab import chains
from crmlab.analyst import holdout, model as stage_model, purchase_models
from crmlab.datasets import load_cdnow_sample
from crmlab.demo import bank, figures, page, sentences, shop, writing
from crmlab.errors import SpecError
from crmlab.evaluation import FlagQuality, stage_oracle
from crmlab.generators.base import simulate
from crmlab.inference import Fit
from crmlab.models.base import coords
from crmlab.models.emissions import Scorer
from crmlab.report import numbers
from crmlab.report.parts import to_csv
from crmlab.stages import K10, K10_MARGINS, KNAPP
from crmlab.tables import split_holdout, tables_from_orders, to_panel
from crmlab.value import per_year, stage_value
from tests.oracles import paths as oracle
from tests.test_folders import refused

N_DRAWS = 20


def fit_by_hand(model, panel, parameters, *, wobble=0.02, problems=()):
    """A fit whose draws scatter a little around given parameters."""
    rng = np.random.default_rng(5)
    axes = {
        "initial_probs": ("stage",),
        "transition_matrix": ("stage_from", "stage_to"),
    }
    posterior = {}
    for name, value in parameters.items():
        noise = np.exp(wobble * rng.normal(size=(2, N_DRAWS, *np.shape(value))))
        draws = value * noise if name not in axes else normalised(value * noise)
        draws = np.clip(draws, None, 0.999) if name.endswith("_prob") else draws
        posterior[name] = (("chain", "draw", *axes.get(name, ("stage",))), draws)
    labels = {"chain": np.arange(2), "draw": np.arange(N_DRAWS), **coords(model.space)}
    idata = xr.DataTree.from_dict({"posterior": xr.Dataset(posterior, coords=labels)})
    idata.attrs.update(seed=1, method="nuts", problems=json.dumps(list(problems)))
    return Fit(model, panel, idata)


def normalised(values):
    return values / values.sum(axis=-1, keepdims=True)


def bank_parameters():
    world = bank.build_world()
    known = {f"{c.name}_{name}": v for c in world.channels for name, v in c.known.items()}
    return {
        "initial_probs": np.array(world.initial_probs),
        "transition_matrix": np.array(world.transition_matrix),
        **known,
    }


@pytest.fixture(scope="module")
def bank_tables():
    return simulate(bank.build_world(), 60, seed=3)


@pytest.fixture(scope="module")
def small_bank(bank_tables):
    """Sixty customers, and a model that has learned almost the truth."""
    panel = to_panel(split_holdout(bank_tables, cutoff=bank.N_SEEN)[0], freq="Q")
    fitted = fit_by_hand(bank.build_model(), panel, bank_parameters())
    return bank.read_bank(bank_tables, fitted)


SHOP_PARAMETERS = {
    "initial_probs": np.array([0.45, 0.45, 0.09, 0.01]),
    "transition_matrix": np.array(
        [
            [0.996, 0.004, 0.0, 0.0],
            [0.040, 0.958, 0.002, 0.0],
            [0.0, 0.051, 0.947, 0.002],
            [0.0, 0.0, 0.096, 0.904],
        ]
    ),
    "repeat_orders_rate": np.array([0.002, 0.05, 0.22, 0.95]),
}


def rehearsal(asleep=-10.0, lost=-12.0):
    scores = {"expected": [95.0, 80.0], "log_score": [asleep, lost]}
    return shop.Rehearsal(100.0, pd.DataFrame(scores, index=["asleep", "lost"]))


@pytest.fixture(scope="module")
def small_shop():
    """Every twentieth customer of CDNOW, and stages with plausible parameters."""
    every = load_cdnow_sample()
    some = every[every["customer_id"] % 20 == 0].reset_index(drop=True)
    window = (shop.FIRST_DAY, shop.LAST_DAY)
    panel = to_panel(tables_from_orders(some, window=window), freq="W", channels=["repeat_orders"])
    seen = panel.isel(period=slice(shop.N_SEEN))
    fitted = fit_by_hand(shop.build_shop_model(), seen, SHOP_PARAMETERS)
    return shop.read_shop(some, panel, rehearsal(), fitted)


@pytest.fixture(scope="module")
def customers(small_bank, small_shop):
    return {
        page.BANK_FILE: bank.list_customers(small_bank),
        page.SHOP_FILE: shop.list_customers(small_shop),
    }


@pytest.fixture(scope="module")
def html(small_bank, small_shop, customers):
    return page.render_page(small_bank, small_shop, customers)


# --- the bank -------------------------------------------------------------------------------------


def test_the_world_is_knapp_s_and_nobody_starts_gone():
    world = bank.build_world()
    assert np.array_equal(world.transition_matrix, K10)
    assert world.initial_probs[bank.LEFT] == 0
    assert sum(p > 0 for p in world.initial_probs) == 9


def test_the_model_is_told_no_true_parameter():
    learned = {}
    for channel in bank.build_model().channels:
        assert channel.known == {}
        learned[channel.name] = channel
    true = bank_parameters()
    assert not set(learned["visits"].typical_rate) & set(true["visits_rate"][:-1])
    assert len(set(learned["survey"].typical_location)) == 2
    assert not set(learned["survey"].typical_location) & set(true["survey_location"])


def test_truth_is_read_in_order(bank_tables, small_bank):
    frame = bank_tables.truth["stages"]
    for customer in (0, 17, 59):
        names = frame[frame["customer_id"] == customer].sort_values("period")["stage"]
        assert [KNAPP.names[k] for k in small_bank.truth[customer]] == names.tolist()


def test_the_oracle_is_bayes_rule_over_all_paths(bank_tables):
    """Three customers, three quarters: every path listed, nothing recursive."""
    world, parameters = bank.build_world(), bank_parameters()
    seen, _ = split_holdout(bank_tables, cutoff=3)
    filtered = stage_oracle(seen, world).filtered
    scores = Scorer(to_panel(seen, freq="Q"), world.channels, KNAPP)(parameters)
    for n in (0, 5, 9):
        expected = oracle.filtered(world.initial_probs, [K10, K10], scores[n].tolist())
        np.testing.assert_allclose(filtered[n], expected, atol=1e-9)


def test_a_model_that_knows_almost_everything_scores_almost_like_the_oracle(small_bank):
    scores = bank.score_stages(small_bank)
    assert scores.loc["model", "stage"] == pytest.approx(scores.loc["oracle", "stage"], abs=0.02)
    assert scores.loc["guess", "stage"] < scores.loc["oracle", "stage"]
    assert scores.loc["guess", "log_score"] < scores.loc["oracle", "log_score"] < 0


def test_scores_leave_out_who_has_left(small_bank):
    """Naming a former customer rightly is no art, and would flatter every judge."""
    truth = small_bank.truth[:, : bank.N_SEEN]
    living = truth != bank.LEFT
    right = (small_bank.probs.argmax(axis=2) == truth)[living].mean()
    assert bank.score_stages(small_bank).loc["model", "stage"] == pytest.approx(right)


def test_mistakes_are_sorted_by_hand():
    counts = np.zeros((10, 10), dtype=int)
    counts[4, 4], counts[4, 5], counts[4, 3], counts[4, 0] = 50, 4, 3, 2
    counts[6, 3], counts[6, 7] = 1, 0
    counts[9, 0] = 100  # who has left is no mistake about a customer
    shares = bank.split_mistakes(pd.DataFrame(counts, KNAPP.names, KNAPP.names))
    assert shares == pytest.approx({"mirror": 0.5, "neighbour": 0.3, "other": 0.2})


def test_value_at_risk_is_the_gap_to_the_mirror_stage(small_bank):
    """Who surely stands in a stage risks its gap; coming together or gone, nothing."""
    sure = small_bank.probs_now.isel(customer_id=slice(0, 10)).copy(
        data=np.broadcast_to(np.eye(10), (2, N_DRAWS, 10, 10))
    )
    one = bank.Bank(small_bank.fit, None, None, None, None, sure)
    worth = stage_value(
        one.matrices.values,
        K10_MARGINS,
        discount_rate=per_year(0.1).per_period("Q"),
        first="current",
    )
    expected = np.zeros_like(worth)
    for apart, together in ((5, 4), (6, 3), (7, 2), (8, 1)):
        expected[..., apart] = worth[..., together] - worth[..., apart]
    np.testing.assert_allclose(one.at_risk.values, expected)
    np.testing.assert_allclose(one.worth.values, worth)
    assert (expected[..., 5] > 0).all()


def test_the_year_ahead_is_four_moves(small_bank):
    matrix = small_bank.matrices.values[1, 3]
    probs = small_bank.probs_now.values[1, 3, 7]
    for _ in range(bank.N_HIDDEN):
        probs = probs @ matrix
    left = small_bank.prob_left_later.transpose("chain", "draw", "customer_id").values
    assert left[1, 3, 7] == pytest.approx(probs[bank.LEFT])


def test_the_year_is_judged_by_who_really_left(small_bank):
    year = bank.judge_year(small_bank)
    gone = small_bank.truth[:, -1] == bank.LEFT
    assert year["happened"] == gone.sum()
    assert year["flagged"] == pytest.approx(gone[small_bank.flagged].mean())


def test_the_model_never_sees_the_truth_or_the_hidden_year(small_bank):
    assert small_bank.fit.panel.sizes["period"] == bank.N_SEEN
    assert "stage" not in small_bank.fit.panel


# --- the shop -------------------------------------------------------------------------------------


def test_orders_to_come_step_by_step(small_shop):
    P, rate = small_shop.drawn.matrix[1, 3], small_shop.drawn.rate[1, 3]
    expected = sum(np.linalg.matrix_power(P, h) @ rate for h in range(1, 40))
    np.testing.assert_allclose(small_shop.drawn.orders[1, 3], expected)


def test_lost_is_for_ever_and_asleep_is_not():
    assert stage_model.build_stages(may_lose=True).absorbing == ("lost",)
    assert stage_model.build_stages(may_lose=False).absorbing == ()
    assert len(stage_model.build_stages(may_lose=False).moves) == 6


@pytest.mark.parametrize(("asleep", "lost", "chosen"), [(-10, -12, False), (-12, -10, True)])
def test_the_better_rehearsal_is_chosen(asleep, lost, chosen):
    assert rehearsal(asleep, lost).may_lose is chosen


def test_a_rehearsal_is_scored_by_the_probability_of_what_came(small_shop):
    """Log P(weeks 3 to 4 | weeks 1 to 2), averaged over draws: all paths listed, by hand."""
    few = small_shop.panel.isel(customer_id=[0, 3], period=slice(12, 16))
    few = few.assign(repeat_orders=few["repeat_orders"].copy(data=[[0, 1, 0, 0], [2, 0, 1, 0]]))
    fitted = fit_by_hand(shop.build_shop_model(), few, SHOP_PARAMETERS, wobble=0.3)
    result = holdout.forecast_fit(fitted, few.isel(period=slice(2)), few, draws=40)
    total = 0.0
    for counts in ([0, 1, 0, 0], [2, 0, 1, 0]):
        gains = [math.exp(log_gain(counts, one)) for one in every_draw(fitted)]
        total += math.log(sum(gains) / len(gains))
    assert result.log_score == pytest.approx(total)


def every_draw(fitted):
    for chain in range(2):
        for draw in range(N_DRAWS):
            one = fitted.posterior.isel(chain=chain, draw=draw)
            yield {name: one[name].values for name in one.data_vars}


def log_gain(counts, parameters):
    logs = [
        [y * math.log(r) - r - math.lgamma(y + 1) for r in parameters["repeat_orders_rate"]]
        for y in counts
    ]
    initial, P = parameters["initial_probs"], parameters["transition_matrix"]
    return oracle.loglik(initial, [P] * 3, logs) - oracle.loglik(initial, [P], logs[:2])


def test_expected_orders_and_tracks_agree(small_shop):
    tracks = shop.track_weeks(small_shop)
    assert tracks["actual"][-1] == small_shop.weekly.sum()
    for name in (holdout.STAGES, purchase_models.BGNBD_NAME):
        track = np.atleast_2d(tracks[name]).mean(axis=0)
        gained = track[-1] - track[shop.N_SEEN - 1]
        assert gained == pytest.approx(small_shop.forecasts[name].sum())
        assert (np.diff(track) > 0).all()


def test_before_the_cutoff_a_model_knows_first_orders_only(small_shop):
    """Customer by customer and week by week, instead of by cohort."""
    first = small_shop.panel["observed"].values.argmax(axis=1)
    initial, P, rate = (
        small_shop.drawn.posterior[n].isel(chain=0, draw=0).values for n in SHOP_PARAMETERS
    )
    expected = sum(
        initial @ np.linalg.matrix_power(P, t - start) @ rate
        for start in first
        for t in range(start, shop.N_SEEN)
    )
    assert shop.track_weeks(small_shop)[holdout.STAGES][0, shop.N_SEEN - 1] == pytest.approx(
        expected
    )


def test_published_estimates_give_the_published_likelihood():
    """Fader, Hardie and Lee (2005), table 2: lnL = -9582.4, to half a unit of its last digit."""
    rivals = shop.Shop(load_cdnow_sample(), None, None, None, None).rivals
    loglik = shop.PUBLISHED.loglik(*rivals.history).sum()
    assert loglik == pytest.approx(shop.PUBLISHED_LOGLIK, abs=0.05)


def test_the_naive_rule_goes_on_as_before(small_shop):
    summary = small_shop.summary
    rate = summary["frequency"] / summary["T"]
    np.testing.assert_allclose(small_shop.forecasts[purchase_models.NAIVE], 39 * rate)


def test_value_is_discounted_revenue_week_by_week(small_shop):
    one = small_shop.drawn.posterior.isel(chain=1, draw=2)
    P, rate = one["transition_matrix"].values, one["repeat_orders_rate"].values
    weekly = per_year(0.10).per_period("W")
    here = small_shop.probs_now.isel(chain=1, draw=2, customer_id=4).values
    worth = 0.0
    for week in range(1, shop.N_VALUED + 1):
        here = here @ P
        worth += here @ rate * small_shop.mean_spend / (1 + weekly) ** week
    assert small_shop.value.isel(chain=1, draw=2, customer_id=4).item() == pytest.approx(worth)


def test_mean_spend_is_per_repeat_order(small_shop):
    seen = small_shop.orders[small_shop.orders["date"] <= shop.LAST_SEEN]
    days = seen.groupby(["customer_id", "date"])["amount"].sum().reset_index()
    repeats = days[days["date"] > days.groupby("customer_id")["date"].transform("min")]
    assert small_shop.mean_spend == pytest.approx(repeats["amount"].mean())


# --- sentences: reversed numbers reverse the verdict ----------------------------------------------


def scores_of(model, oracle, guess):
    stage = {"model": model, "oracle": oracle, "guess": guess}
    return pd.DataFrame({"stage": stage, "side": stage, "log_score": -1.0})


def errors_of(ours, rival):
    """Rows of (total error, mean absolute error, root mean squared error)."""
    columns = ["total_error", "mean_absolute_error", "root_mean_squared_error"]
    frame = pd.DataFrame([ours, rival], ["stages", "BG/NBD"], columns)
    return frame.assign(total=1000 * (1 + frame["total_error"]))


def test_accuracy_is_praised_only_where_it_is_due():
    good, poor = scores_of(0.70, 0.72, 0.4), scores_of(0.41, 0.72, 0.4)
    assert "far better than guessing, and 2 points short" in sentences.tell_accuracy(good)
    assert "little better than guessing, and 31 points short" in sentences.tell_accuracy(poor)
    assert "as good as one can be" in sentences.tell_accuracy(scores_of(0.72, 0.72, 0.4))


def test_the_commonest_mistake_is_named():
    scores = scores_of(0.7, 0.7, 0.4)
    mirror = sentences.tell_sides(scores, {"mirror": 0.6, "neighbour": 0.3, "other": 0.1})
    neighbour = sentences.tell_sides(scores, {"mirror": 0.3, "neighbour": 0.6, "other": 0.1})
    assert "takes a stage for its mirror" in mirror
    assert "one tread off" in neighbour


def test_calibration_is_not_claimed_against_the_table():
    bins = {"predicted": [0.1, 0.6], "lower": [0.05, 0.5], "upper": [0.2, 0.7], "n": [9, 9]}
    good = pd.DataFrame({**bins, "observed": [0.1, 0.55]})
    assert sentences.tell_calibration(good).startswith("The probabilities mean what they say")
    bad = good.assign(lower=[0.3, 0.1], upper=[0.5, 0.3], observed=[0.4, 0.2])
    text = sentences.tell_calibration(bad)
    assert text.startswith("The probabilities do not quite")
    assert "in 0 of 2 bins" in text
    assert "around 60%, of which 20%" in text


def test_flags_are_told_straight():
    text = sentences.tell_flags(FlagQuality(10, 20, 9, 0.9, 0.45))
    assert "Of 10 customers" in text
    assert "9 really are (90%)" in text
    assert "11 are missed (55%)" in text
    nobody = FlagQuality(0, 20, 0, math.nan, 0.0)
    assert sentences.tell_flags(nobody) == "No customer is flagged, though 20 are coming apart."


def test_a_flag_that_warns_of_nothing_is_called_so():
    year = {"flagged": 0.5, "others": 0.1, "expected": 110.0, "happened": 100}
    text = sentences.tell_year(year)
    assert "5.0 times as often" in text
    assert "10% too high" in text
    text = sentences.tell_year({**year, "flagged": 0.1, "others": 0.5, "expected": 90.0})
    assert "the flag was no warning" in text
    assert "10% too low" in text


def worth_of(bonding, differentiating, true=100.0):
    frame = pd.DataFrame({"mean": 10.0, "true": true}, index=list(KNAPP.names))
    frame.loc["bonding", "mean"], frame.loc["differentiating", "mean"] = bonding, differentiating
    return frame.assign(low=frame["mean"] - 50, high=frame["mean"] + 50)


def test_the_first_step_down_costs_or_gains():
    down, up = worth_of(400, 300), worth_of(300, 400)
    assert "differentiating costs 100 EUR" in sentences.tell_worth(down)
    assert "worth most in bonding" in sentences.tell_worth(down)
    assert "differentiating gains 100 EUR" in sentences.tell_worth(up)
    assert "worth most in differentiating" in sentences.tell_worth(up)
    assert "in 0 of 9 stages" in sentences.tell_worth(worth_of(400, 300, true=1000.0))


def test_repair_is_compared_with_going_on():
    names = list(KNAPP.names)
    P = pd.DataFrame(K10, names, names)
    assert "more go on down" in sentences.tell_staircase(P)
    P.loc["differentiating"] = 0.0
    P.loc["differentiating", ["bonding", "differentiating", "circumscribing"]] = 0.5, 0.3, 0.2
    assert "more come back than go on" in sentences.tell_staircase(P)


def test_a_river_rises_or_falls():
    shares = pd.DataFrame(
        {"those coming together": [0.7, 0.4], "those coming apart": [0.2, 0.2],
         "those who have left": [0.1, 0.4]}, index=[1, 8]
    )  # fmt: skip
    assert "those coming together fall from 70% to 40%" in sentences.tell_river(shares)
    assert "those who have left rise from 10% to 40%" in sentences.tell_river(shares)
    reverse = shares[::-1].set_axis([1, 8])
    assert "those coming together rise from 40% to 70%" in sentences.tell_river(reverse)


def test_an_example_is_right_or_wrong():
    row = {
        "p_coming_apart": 0.8,
        "most_likely_stage": "avoiding",
        "true_stage": "avoiding",
        "value": 100,
        "value_at_risk": 50,
    }
    assert "which is right" in sentences.tell_example(row)
    assert "while the truth is bonding" in sentences.tell_example({**row, "true_stage": "bonding"})


def test_the_base_is_compared_with_the_truth():
    names = list(KNAPP.names)
    now = pd.Series([0.1] * 4 + [0.3] + [0.05] * 4 + [0.1], names)
    text = sentences.tell_base(now, now.shift(1, fill_value=0.0))
    assert "bonding is the fullest with 30% (true: 10%)" in text
    assert "more than 25.0 points" in text


def test_risk_is_shared_out():
    text = sentences.tell_risk(1000.0, 600.0, 20, 400.0, 12)
    assert "60% of it lies with the 20 flagged customers, 40% with the first 12" in text


def test_whoever_wins_is_said_straight():
    theirs = sentences.tell_winner(errors_of((-0.3, 0.80, 1.7), (-0.1, 0.78, 1.6)))
    ours = sentences.tell_winner(errors_of((-0.1, 0.78, 1.6), (-0.3, 0.80, 1.7)))
    assert theirs.startswith("BG/NBD wins on every measure")
    assert ours.startswith("The stages win on every measure")
    split = sentences.tell_winner(errors_of((-0.3, 0.75, 1.7), (-0.1, 0.78, 1.6)))
    assert split.startswith("BG/NBD wins on the total and the squared error per customer;")
    assert split.endswith("the stages win on the absolute error per customer.")
    split = sentences.tell_winner(errors_of((-0.1, 0.78, 1.6), (-0.3, 0.75, 1.7)))
    assert split.startswith("The stages win on the total and the squared error")


def test_the_reason_belongs_to_the_winner():
    too_low = sentences.tell_why(errors_of((-0.3, 0, 0), (-0.1, 0, 0)))
    too_high = sentences.tell_why(errors_of((0.3, 0, 0), (-0.1, 0, 0)))
    ours = sentences.tell_why(errors_of((-0.1, 0, 0), (-0.3, 0, 0)))
    assert "too fast" in too_low
    assert "too slowly" in too_high
    assert "speed up again" in ours


def test_totals_are_too_low_or_too_high():
    text = sentences.tell_totals(1000.0, errors_of((-0.2, 0, 0), (0.3, 0, 0)))
    assert "stages expected 800 (20% too low)" in text
    assert "BG/NBD expected 1,300 (30% too high)" in text
    assert "half a percent" in numbers.off_by(0.004)


def test_the_rehearsal_names_its_winner():
    asleep, lost = rehearsal(-10, -12), rehearsal(-12, -10)
    assert "So the forecast is made with 'asleep'" in sentences.tell_rehearsal(100, asleep.scores)
    assert "So the forecast is made with 'lost'" in sentences.tell_rehearsal(100, lost.scores)


def classes_of(ours, rival):
    actual = {"customers": [90, 9, 1], "actual": [0.2, 1.0, 5.0]}
    return pd.DataFrame({**actual, "stages": ours, "BG/NBD": rival}, index=[0, 1, 2])


def test_classes_say_where_the_error_lies():
    text = sentences.tell_classes(classes_of([0.1, 1.0, 4.0], [0.2, 1.1, 4.5]))
    assert "in 1 of 3 classes of customers, BG/NBD in 2" in text
    assert "those who had made 0 repeat orders" in text
    text = sentences.tell_classes(classes_of([0.2, 1.0, -20.0], [0.9, 1.1, 4.5]))
    assert "in 2 of 3 classes of customers, BG/NBD in 1" in text
    assert "2 or more repeat orders" in text


def test_levels_and_alive_read_the_table(small_shop):
    stages = shop.describe_stages(small_shop)
    assert f"'{stages.index[0]}'" in sentences.tell_levels(stages)
    assert "there is one order in 500 weeks" in sentences.tell_levels(
        stages.assign(weeks_between=[500.0, 20.0, 5.0, 1.0])
    )
    text = sentences.tell_alive(stages.assign(customers=[0, 1, 1, 1]), 10, 9)
    assert "the stages put no customer in 'asleep'" in text


# --- figures --------------------------------------------------------------------------------------


def test_confusions_are_drawn_as_shares_of_the_true_stage():
    counts = pd.DataFrame([[3, 1], [0, 4]], ["left_bank", "right"], ["left_bank", "right"])
    ax = figures.draw_confusions(counts)
    assert [text.get_text() for text in ax.texts] == ["75", "25", "", "100"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Left bank (4)", "Right (4)"]


def test_classes_are_drawn_with_their_sizes_and_names():
    ax = figures.draw_classes(classes_of([0.1, 1.0, 4.0], [0.2, 1.1, 4.5]))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0\n(90)", "1\n(9)", "2+\n(1)"]
    assert {text.get_text() for text in ax.texts} == {"actual", "stages", "BG/NBD"}


# --- the page -------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Collects what the tests ask about."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.images, self.links, self.ids, self.open = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.images += [attrs] if tag == "img" else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_no_other_file_and_no_script(html):
    reader = Reader(html)
    assert reader.open == []
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert not re.search(r"https?://|url\(", html)
    assert all(image["src"].startswith("data:image/png;base64,") for image in reader.images)


def test_every_figure_has_a_sentence_of_its_own(html):
    alts = [image["alt"] for image in Reader(html).images]
    assert len(alts) == len(set(alts)) == 8
    assert all(len(alt) > 40 and re.search(r"\d", alt) for alt in alts)
    assert html.count("<figcaption>Reading: ") == 8


def test_links_lead_somewhere_and_headings_do_not_skip(html):
    reader = Reader(html)
    assert len(reader.ids) == len(set(reader.ids))
    assert {link.removeprefix("#") for link in reader.links} <= set(reader.ids)
    levels = [int(tag[1]) for tag in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_page_says_what_is_invented(html):
    assert "Banque Méridienne does not exist. We invented it" in html
    assert "It is a teaching table and was invented too" in html


def test_no_number_is_missing_on_the_page(html):
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    assert not re.search(r"\b(nan|inf|None)\b", text)


def test_what_is_put_in_is_escaped(small_bank, small_shop, customers, monkeypatch):
    monkeypatch.setattr(page, "TITLE", "<script>alert(1)</script> & co")
    text = page.render_page(small_bank, small_shop, customers)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in text


def test_a_fit_that_has_not_converged_says_so_at_the_top(small_bank, small_shop, customers, html):
    assert "Do not read this yet" not in html
    panel, model = small_bank.fit.panel, small_bank.fit.model
    bad = fit_by_hand(model, panel, bank_parameters(), problems=["R-hat is 1.90 for visits_rate"])
    shaky = bank.Bank(
        bad, small_bank.truth, small_bank.probs, small_bank.oracle, small_bank.hindsight,
        small_bank.probs_now,
    )  # fmt: skip
    text = page.render_page(shaky, small_shop, customers)
    assert text.index("Do not read this yet") < text.index('id="bank"')
    assert "The fit of the bank has not converged: R-hat is 1.90 for visits_rate." in text


def test_the_same_results_make_the_same_page(small_bank, small_shop, customers, html):
    assert page.render_page(small_bank, small_shop, customers) == html


# --- the files ------------------------------------------------------------------------------------


def described(column, columns):
    return column in {name for key in columns for name in key.split(", ")} or (
        column.startswith("p_") and "p_..." in columns
    )


@pytest.mark.parametrize(
    ("name", "columns"), [(page.BANK_FILE, bank.COLUMNS), (page.SHOP_FILE, shop.COLUMNS)]
)
def test_every_column_is_described(customers, name, columns):
    frame = customers[name]
    assert all(described(column, columns) for column in frame.columns)
    written = {name for key in columns for name in key.split(", ")} - {"p_..."}
    assert written <= set(frame.columns)


def test_one_row_per_customer(customers):
    for frame in customers.values():
        assert frame["customer_id"].is_unique
        assert frame.drop(columns="last_survey", errors="ignore").notna().all().all()


def test_rows_agree_with_themselves(customers):
    frame = customers[page.BANK_FILE]
    stages = frame[[f"p_{name}" for name in KNAPP.names]]
    assert np.allclose(stages.sum(axis=1), 1, atol=0.06)
    assert frame.loc[frame["flagged"] == 1, "p_coming_apart"].min() >= 0.45
    assert frame.loc[frame["flagged"] == 0, "p_coming_apart"].max() <= 0.55
    assert (frame["value_low"] <= frame["value_high"]).all()


@pytest.mark.bits
def test_the_same_results_make_the_same_bytes(small_bank, small_shop, customers):
    again = {
        page.BANK_FILE: bank.list_customers(small_bank),
        page.SHOP_FILE: shop.list_customers(small_shop),
    }
    for name, frame in customers.items():
        assert to_csv(again[name]) == to_csv(frame)
        assert "\r" not in to_csv(frame)


@pytest.mark.bits
def test_draws_that_differ_in_the_last_bit_make_the_same_bytes(small_bank):
    """What another processor may do to a sum must not reach the file."""
    probs = small_bank.probs_now * (1 + 1e-14)
    other = bank.Bank(
        small_bank.fit, small_bank.truth, small_bank.probs, small_bank.oracle,
        small_bank.hindsight, probs,
    )  # fmt: skip
    assert to_csv(bank.list_customers(other)) == to_csv(bank.list_customers(small_bank))


def test_a_file_in_an_older_demo_survives(small_bank, small_shop, tmp_path, monkeypatch):
    monkeypatch.setattr(bank, "study_bank", lambda say: small_bank)
    monkeypatch.setattr(shop, "study_shop", lambda say: small_shop)
    for _ in range(2):
        writing.write_demo(tmp_path / "demo", say=lambda line: None)
    (tmp_path / "demo/notes.txt").write_text("mine")
    told = []
    with pytest.raises(SpecError, match=r"also holds notes\.txt"):
        writing.write_demo(tmp_path / "demo", say=told.append)
    assert (tmp_path / "demo/notes.txt").read_text() == "mine"
    assert told == [], "refused before anything is studied"
    (tmp_path / "demo/notes.txt").unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "demo").iterdir()}
    with refused("new"):
        writing.write_demo(tmp_path / "demo", say=lambda line: None)
    assert {path.name: path.read_bytes() for path in (tmp_path / "demo").iterdir()} == before


def test_the_demo_writes_three_files_and_tells_its_progress(
    small_bank, small_shop, tmp_path, monkeypatch
):
    monkeypatch.setattr(bank, "study_bank", lambda say: say("fitting") or small_bank)
    monkeypatch.setattr(shop, "study_shop", lambda say: say("rehearsing") or small_shop)
    told = []
    writing.write_demo(tmp_path, say=told.append)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["bank_customers.csv", "crmlab.json", "index.html", "orders_customers.csv"]
    assert told == [
        "Part one: Banque Méridienne, an invented bank",
        "fitting",
        "Part two: CDNOW, real orders",
        "rehearsing",
        "drawing and writing",
        "done",
    ]
    written = pd.read_csv(tmp_path / "bank_customers.csv")
    assert len(written) == 60


def test_occupancy_of_the_refilled_base():
    """The base first seen: a new customer's quarters per stage in three years, shared out."""
    quarters = chains.occupancy(K10, 0, n_periods=12)[:9]
    np.testing.assert_allclose(bank.build_world().initial_probs[:9], quarters / quarters.sum())
