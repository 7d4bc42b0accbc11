"""Pictures of decisions: texts never touch, sentences say the numbers, wrong input is named."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest

from crmlab.errors import SpecError
from crmlab.plots.decisions import (
    describe_alive_map,
    describe_policy_map,
    describe_qini,
    describe_regret,
    plot_alive_map,
    plot_policy_map,
    plot_qini,
    plot_regret,
)
from crmlab.plots.layout import Box
from crmlab.plots.sentences import describe_stage_value, describe_survival
from crmlab.plots.steps import describe_steps, plot_step_worth, step_worth
from crmlab.plots.styles import DOWN, UP, style
from crmlab.stages import K10, K10_MARGINS, KNAPP, SIX_STAGE, StageSpace
from crmlab.value import stage_value, transition_gradient
from tests.test_plots import boxes_of

mpl.use("Agg")
import matplotlib.pyplot as plt

RATE = 1.1**0.25 - 1
VALUE = stage_value(K10, K10_MARGINS, discount_rate=RATE, first="current")
DRAWS = VALUE * np.random.default_rng(1).normal(1, 0.1, (100, 1))
THREE = StageSpace(("dormant", "occasional", "active"))
SHARE = np.linspace(0, 1, 21)
SIZES = np.arange(10, 210, 10)


@pytest.fixture(autouse=True)
def _clean_figures():
    with mpl.rc_context():
        style("page")
        yield
        plt.close("all")


def actions_by_budget(n_draws=20):
    """Draws of a plan that acts on more stages as the budget grows, (draws, 8, 10)."""
    rng = np.random.default_rng(2)
    reach = np.arange(8)[:, None] + rng.normal(0, 1, (n_draws, 1, 1))
    wanted = np.array([4, 2, 5, 9, 12, 1, 6, 8, 20, 20])
    acts = reach > wanted
    return np.where(acts, 1 + (np.arange(10) >= 5), 0)


def gains():
    rng = np.random.default_rng(3)
    good = 0.2 * (1 - (1 - SHARE) ** 2)
    return {"uplift": good + rng.normal(0, 0.01, (50, 1)) * SHARE, "risk": 0.2 * SHARE**3}


def regrets():
    worlds = np.random.default_rng(4).gamma(4, 0.25, (40, 1))
    return {"even split": 0.4 * SIZES * worlds, "Thompson": 9 * np.log1p(SIZES) * worlds}


def alive():
    recency, frequency = np.linspace(1, 38, 30), np.arange(1, 15)
    odds = np.exp(0.3 * (recency - 20) - 0.2 * frequency[:, None])
    return odds / (1 + odds), recency, frequency


NAMES = ("nothing", "gift", "call")
FIGURES = {
    "steps": lambda: plot_step_worth(KNAPP, K10, VALUE, unit="EUR"),
    "steps with draws": lambda: plot_step_worth(KNAPP, K10, DRAWS, discount_rate=RATE, unit="EUR"),
    "steps of six stages": lambda: plot_step_worth(
        SIX_STAGE, SIX_STAGE.mask / SIX_STAGE.mask.sum(axis=1, keepdims=True), 40 * np.arange(6.0)
    ),
    "steps of customers who stay": lambda: plot_step_worth(KNAPP, np.eye(10), VALUE),
    "policy map": lambda: plot_policy_map(
        actions_by_budget(), 5_000 * np.arange(8), KNAPP, action_names=NAMES, unit="EUR"
    ),
    "policy map of one draw": lambda: plot_policy_map(
        actions_by_budget(1)[0], np.arange(8), KNAPP, action_names=NAMES
    ),
    "qini": lambda: plot_qini(SHARE, gains(), unit="orders per customer"),
    "regret": lambda: plot_regret(regrets(), SIZES, unit="EUR"),
    "regret on a log axis": lambda: plot_regret(regrets(), SIZES, unit="EUR", log=True),
    "alive": lambda: plot_alive_map(*alive()),
}


@pytest.mark.parametrize("medium", ["page", "projector"])
@pytest.mark.parametrize("name", FIGURES)
def test_no_two_texts_touch_and_none_leaves_the_figure(name, medium):
    style(medium)
    figure = FIGURES[name]().get_figure(root=True)
    boxes = [(text, box) for text, box, upright in boxes_of(figure) if upright]
    touching = [(a, b) for (a, x), (b, y) in combinations(boxes, 2) if x.meets(y)]
    assert not touching
    width, height = figure.canvas.get_width_height()
    page = Box(-1, -1, width + 1, height + 1)
    outside = [
        text
        for text, b in boxes
        if b.x0 < page.x0 or b.y0 < page.y0 or b.x1 > page.x1 or b.y1 > page.y1
    ]
    assert not outside
    assert len(boxes) >= 3


@pytest.mark.parametrize("name", FIGURES)
def test_settings_stay_and_there_is_no_title(name):
    before = dict(mpl.rcParams)
    ax = FIGURES[name]()
    assert dict(mpl.rcParams) == before
    assert not ax.get_title()


def test_plots_draw_into_axes_of_the_user():
    _, axes = plt.subplots(1, 2, figsize=(14, 6))
    assert plot_step_worth(KNAPP, K10, VALUE, ax=axes[0]) is axes[0]
    assert plot_qini(SHARE, gains(), unit="x", ax=axes[1]) is axes[1]
    assert len(plt.get_fignums()) == 1


# --- the worth of a step --------------------------------------------------------------------------


def test_the_worth_of_a_step_is_the_derivative_per_visit():
    """Of a stage's own value by a move out of it, for one discounted visit."""
    gradient = transition_gradient(K10, K10_MARGINS, discount_rate=RATE, first="current")
    visits = np.linalg.inv(np.eye(10) - K10 / (1 + RATE))
    worth = step_worth(VALUE, RATE)
    for a in range(10):
        np.testing.assert_allclose(gradient[a, a] / visits[a, a], worth[a], rtol=1e-9, atol=1e-9)


def test_steps_carry_their_worth_in_the_colour_of_its_sign():
    ax = plot_step_worth(KNAPP, K10, VALUE, discount_rate=RATE, unit="EUR")
    worth = step_worth(VALUE, RATE)
    colours = {text.get_text(): text.get_color() for text in ax.texts}
    i, j = KNAPP.index("bonding"), KNAPP.index("differentiating")
    assert colours[f"{worth[i, j]:+,.0f}".replace("-", "\N{MINUS SIGN}")] == DOWN
    assert colours[f"{worth[j, i]:+,.0f}"] == UP
    assert f"worth {VALUE[4]:,.0f} EUR" in colours


def test_draws_add_an_interval_to_each_tread():
    ax = plot_step_worth(KNAPP, K10, DRAWS, unit="EUR", prob=0.8)
    low, high = np.quantile(DRAWS[:, 4], [0.1, 0.9])
    assert any(f"{low:,.0f} to {high:,.0f}" in text.get_text() for text in ax.texts)
    assert any("central 80% interval" in text.get_text() for text in ax.texts)


def test_the_sentence_of_the_steps_names_moves_that_happen():
    sentence = describe_steps(KNAPP, K10, VALUE, discount_rate=RATE, unit=" EUR")
    worth = step_worth(VALUE, RATE)
    best = worth[KNAPP.index("differentiating"), KNAPP.index("bonding")]
    assert f"differentiating to bonding (+{best:,.0f} EUR per customer)" in sentence
    assert "bonding to terminating" in sentence
    still = describe_steps(KNAPP, np.eye(10), VALUE)
    assert still == "No customer ever moves, so no move is worth anything."


def test_a_staircase_needs_two_phases_and_values_that_fit():
    with pytest.raises(SpecError, match="both phases"):
        plot_step_worth(THREE, np.eye(3), [1, 2, 3])
    with pytest.raises(SpecError, match="values"):
        plot_step_worth(KNAPP, K10, [1.0, 2.0])


# --- maps and curves ------------------------------------------------------------------------------


def test_the_map_shows_the_majority_and_doubts():
    draws = np.array([[[1, 0, 0]], [[1, 0, 2]], [[1, 0, 2]], [[1, 1, 2]]])
    ax = plot_policy_map(draws, [100], THREE, action_names=NAMES)
    written = [text.get_text() for text in ax.texts]
    assert written == ["75%", "75%"]
    cells = ax.images[0].get_array()
    pure = plot_policy_map(draws[:1], [100], THREE, action_names=NAMES).images[0].get_array()
    np.testing.assert_allclose(cells[0], pure[0])  # all agree: full colour
    assert np.ptp(cells[1, 0]) < 0.03  # doing nothing stays grey
    assert cells[2, 0].sum() > cells[0, 0].sum()  # in doubt: paler


def test_the_sentence_of_the_map_says_where_action_starts():
    plan = [[0, 0, 0], [0, 0, 1], [0, 2, 1]]
    sentence = describe_policy_map(plan, [0, 50, 90], THREE, action_names=NAMES, unit=" EUR")
    assert sentence == (
        "As the budget grows, action starts with active (at 50 EUR), then occasional (at 90 EUR); "
        "never with dormant."
    )
    none = describe_policy_map([[0, 0, 0]], [1], THREE, action_names=NAMES)
    assert none == "At none of these budgets is any action better than none."


def test_a_map_that_cannot_be_read_is_refused_at_once():
    with pytest.raises(SpecError) as caught:
        plot_policy_map([[0, 5], [0, 0]], [3, 2], THREE, action_names=NAMES)
    for part in ("`actions` must have shape", "0 to 2", "`budgets` must be in increasing order"):
        assert part in str(caught.value)


def test_the_sentence_of_qini_reads_the_mean_curves():
    sentence = describe_qini(SHARE, gains(), unit="orders per customer")
    assert "risk gains most, 0.200, at 100%" in sentence
    with pytest.raises(SpecError, match="from 0 to 1"):
        plot_qini(SHARE[1:], {"x": SHARE[1:]}, unit="orders")


def test_regret_starts_at_nothing_and_is_named_at_its_end():
    ax = plot_regret(regrets(), SIZES, unit="EUR")
    assert ax.get_ylim()[0] == 0
    assert {"even split", "Thompson"} <= {text.get_text() for text in ax.texts}
    sentence = describe_regret(regrets(), SIZES, unit="EUR")
    assert sentence.index("Thompson") < sentence.index("even split")
    with pytest.raises(SpecError, match="sizes"):
        plot_regret({"x": [1, 2]}, [0, 5], unit="EUR", log=True)


def test_the_alive_map_needs_probabilities():
    assert "alive with" in describe_alive_map(*alive())
    with pytest.raises(SpecError) as caught:
        plot_alive_map([[0.5, 1.5], [0, 0]], [2, 1], [1, 2])
    assert "`probs` must be at least 0 and at most 1" in str(caught.value)
    assert "`recency` must hold" in str(caught.value)


# Sentences of survival and of worth ---------------------------------------------------------------


def test_the_sentence_of_survival_says_the_end_of_each_curve():
    curves = {"known": [1.0, 0.8, 0.64], "doubtful": np.array([[1, 0.9, 0.8], [1, 0.7, 0.4]])}
    sentence = describe_survival(curves, periods=[0, 6, 12], period_name="month", prob=0.5)
    assert sentence == (
        "After 12 months, 64% of the customers are left under known; 60% of the customers are "
        "left under doubtful (central 50% interval: 50% to 70%)."
    )
    one = describe_survival({"known": [1.0, 0.8]}, period_name="year")
    assert one == "After 1 year, 80% of the customers are left under known."


def test_the_sentence_of_worth_finds_the_best_and_the_worst_stage():
    space = StageSpace(("new", "loyal", "lost"))
    told = describe_stage_value([[5.0, 90.0, -2.0]], space, unit=" EUR")
    assert told == (
        "A customer is worth most in loyal (90 EUR) and least in lost (\N{MINUS SIGN}2 EUR)."
    )
    with pytest.raises(SpecError, match="prob"):
        describe_stage_value([[5.0, 90.0, -2.0]], space, prob=2)
