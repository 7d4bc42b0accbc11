"""Figures: colours that everybody can tell apart, texts that never touch, sentences that are kept.

Geometry is tested on the artists: every figure is drawn for a page and for a projector, and no two
texts may share a pixel. Colours are judged by an oracle of their own (tests/oracles/colour.py).
K10, in many of the figures, is a teaching matrix that was invented.
"""

import base64
import copy
import json
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO
from itertools import combinations, pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crmlab.errors import SpecError
from crmlab.plots import (
    describe_trend,
    figure_html,
    plot_calibration,
    plot_prediction,
    plot_row_posterior,
    plot_stage_graph,
    plot_stage_probs,
    plot_stage_value,
    plot_staircase,
    plot_survival,
    plot_transition_matrix,
    show,
    stage_colours,
    stage_markers,
    style,
)
from crmlab.plots.figure import _bundle
from crmlab.plots.layout import Box, place_boxes, spread, text_size
from crmlab.plots.routes import normals, outside, walk
from crmlab.plots.styles import (
    APART_RAMP,
    AWAY,
    DOWN,
    INK,
    LINES,
    MUTED,
    TOGETHER_RAMP,
    UP,
    ink_on,
    stage_title,
)
from crmlab.plots.treads import build_routes, build_treads
from crmlab.stages import K10, K10_MARGINS, KNAPP, KNAPP_MERGED, LIFECYCLE, SIX_STAGE, StageSpace
from tests.oracles import colour as oracle

mpl.use("Agg")
import matplotlib.pyplot as plt

MEDIA = ("page", "projector")
THREE = StageSpace(("dormant", "occasional", "active"))
P3 = np.array([[0.85, 0.13, 0.02], [0.15, 0.70, 0.15], [0.02, 0.18, 0.80]])
VALUE = np.linalg.solve(np.eye(10) - K10 / 1.1**0.25, K10_MARGINS)
OCCUPANCY = np.linalg.matrix_power(K10, 4)[0]


@pytest.fixture(autouse=True)
def clean_figures():
    """Start every test from the page style, and leave neither figures nor settings behind."""
    with mpl.rc_context():
        style("page")
        yield
        plt.close("all")


def dirichlet_draws(seed=1, n=300):
    """Draws of K10's row of experimenting, with its structural zeros."""
    rng = np.random.default_rng(seed)
    allowed = KNAPP.mask[1]
    draws = np.zeros((n, 10))
    draws[:, allowed] = rng.dirichlet(100 * K10[1, allowed] + 1, size=n)
    return draws


def one_customer(n_periods=24):
    """Stage probabilities of a customer who climbs the staircase and comes down again."""
    at = np.linspace(0, 9, n_periods)
    weights = np.exp(-1.2 * np.abs(at[:, None] - np.arange(10)))
    coords = {"stage": list(KNAPP.names), "period": np.arange(n_periods)}
    shares = weights / weights.sum(axis=1, keepdims=True)
    return xr.DataArray(shares, coords, dims=("period", "stage"), attrs={"freq": "M"})


def base(n_draws=12, n_periods=9, n_customers=5):
    """Stage probabilities of a base: (chain, draw, customer_id, period, stage)."""
    rng = np.random.default_rng(2)
    shares = np.empty((1, n_draws, n_customers, n_periods, 10))
    for draw in range(n_draws):
        P = np.zeros((10, 10))
        for i in range(10):
            P[i, K10[i] > 0] = rng.dirichlet(80 * K10[i, K10[i] > 0])
        start = rng.dirichlet(np.ones(10), size=n_customers)
        for t in range(n_periods):
            shares[0, draw, :, t] = start @ np.linalg.matrix_power(P, t)
    coords = {
        "stage": list(KNAPP.names),
        "period": pd.date_range("2020-01-01", periods=n_periods, freq="QS"),
    }
    dims = ("chain", "draw", "customer_id", "period", "stage")
    return xr.DataArray(shares, coords, dims, attrs={"freq": "Q"})


def survival_curves():
    years = np.arange(13)
    rates = np.random.default_rng(3).normal(0.8, 0.01, size=(50, 1))
    return {"sBG": rates**years, "exponential": 0.79**years, "linear": 1 - years / 40}


def calibration_table(stages=KNAPP.names):
    rng = np.random.default_rng(4)
    rows = [
        {"stage": stage, "predicted": p, "observed": np.clip(p + rng.normal(0, 0.05), 0, 1)}
        for stage in stages
        for p in (0.05, 0.2, 0.5, 0.8)
    ]
    table = pd.DataFrame(rows).assign(n=np.arange(1, 4 * len(stages) + 1))
    return table.assign(
        lower=(table.observed - 0.05).clip(0), upper=(table.observed + 0.05).clip(upper=1)
    )


WEEKS = np.arange(1, 79)
FIGURES = {
    "staircase of moves": lambda: plot_staircase(),
    "staircase of K10": lambda: plot_staircase(KNAPP, K10),
    "staircase with all facts": lambda: plot_staircase(KNAPP, K10, OCCUPANCY, VALUE, unit="EUR"),
    "staircase of values": lambda: plot_staircase(KNAPP, value=VALUE, unit="$"),
    "staircase of the life cycle": lambda: plot_staircase(LIFECYCLE),
    "staircase of six stages": lambda: plot_staircase(SIX_STAGE),
    "staircase of merged stages": lambda: plot_staircase(KNAPP_MERGED),
    "graph of Knapp": lambda: plot_stage_graph(KNAPP, K10),
    "graph of six stages": lambda: plot_stage_graph(SIX_STAGE),
    "graph of three stages": lambda: plot_stage_graph(THREE, P3),
    "graph of eight in a row": lambda: plot_stage_graph(StageSpace(tuple("abcdefgh"))),
    "matrix": lambda: plot_transition_matrix(K10, KNAPP),
    "row": lambda: plot_row_posterior(
        dirichlet_draws(), KNAPP, stage_from="experimenting", truth=K10[1]
    ),
    "one customer": lambda: plot_stage_probs(
        one_customer(), KNAPP, events={"visits": np.arange(24) % 5, "complaint": np.zeros(24)}
    ),
    "base": lambda: plot_stage_probs(base(), KNAPP),
    "survival": lambda: plot_survival(survival_curves(), observed=0.8 ** np.arange(6)),
    "prediction": lambda: plot_prediction(
        60.0 * WEEKS,
        {"BG/NBD": 59.0 * WEEKS, "HMM": 60.5 * WEEKS, "naive": 80.0 * WEEKS},
        cutoff=39,
    ),
    "calibration": lambda: plot_calibration(calibration_table(), KNAPP),
    "calibration of one model": lambda: plot_calibration(
        calibration_table(["bonding"]).drop(columns="stage")
    ),
    "value": lambda: plot_stage_value(
        VALUE * np.random.default_rng(5).normal(1, 0.1, (200, 1)), KNAPP, unit="EUR"
    ),
    "value of three stages": lambda: plot_stage_value([[-5, 20, 90]], THREE, unit="EUR"),
}


# --- what can be seen ----------------------------------------------------------------------------


def texts_of(figure):
    """Every text that is drawn, of the figure's axes and of axes inside them."""
    found = figure.findobj(mpl.text.Text)
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def boxes_of(figure):
    """(text, box in pixels, is upright) of every text that is drawn."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    hidden = {id(label) for label in undrawn_labels(figure)}
    return [
        (text.get_text(), box_of(text, renderer), text.get_rotation() == 0)
        for text in texts_of(figure)
        if id(text) not in hidden
    ]


def box_of(text, renderer):
    """Box of a text's ink: a name lowered by an empty first line does not fill that line."""
    x0, y0, x1, y1 = text.get_window_extent(renderer).extents
    lines = text.get_text().split("\n")
    empty = len(lines) - len([line for line in lines if line])
    return Box(x0, y0, x1, y1 - (y1 - y0) * empty / len(lines))


def undrawn_labels(figure):
    """Labels that exist but are not drawn: of ticks beyond the limits, of axes switched off."""
    for axes in figure.findobj(mpl.axes.Axes):
        for axis in (axes.xaxis, axes.yaxis):
            drawn = axis._update_ticks() if axes.axison else []
            ticks = [tick for tick in axis.majorTicks if tick not in drawn]
            yield from (label for tick in ticks for label in (tick.label1, tick.label2))


def written(ax):
    return [text.get_text() for text in texts_of(ax.get_figure(root=True))]


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("name", FIGURES)
def test_no_two_texts_touch_and_none_leaves_the_figure(name, medium):
    style(medium)
    figure = FIGURES[name]().get_figure(root=True)
    boxes = [(text, box) for text, box, upright in boxes_of(figure) if upright]
    touching = [(a, b) for (a, x), (b, y) in combinations(boxes, 2) if x.meets(y)]
    assert not touching
    width, height = figure.canvas.get_width_height()
    page = Box(-1, -1, width + 1, height + 1)
    assert not [
        text
        for text, b in boxes
        if b.x0 < page.x0 or b.y0 < page.y0 or b.x1 > page.x1 or b.y1 > page.y1
    ]
    assert len(boxes) >= 3


def test_the_test_for_touching_texts_can_fail():
    figure, ax = plt.subplots()
    ax.text(0.5, 0.5, "one")
    ax.text(0.51, 0.5, "two")
    boxes = {text: box for text, box, _ in boxes_of(figure)}
    assert boxes["one"].meets(boxes["two"])


def test_slanted_names_under_the_matrix_keep_a_line_apart():
    ax = plot_transition_matrix(K10, KNAPP)
    ax.figure.canvas.draw()
    labels = ax.get_xticklabels()
    anchors = [label.get_window_extent().x1 for label in labels]
    slant = np.sin(np.radians(labels[0].get_rotation()))
    assert min(np.diff(anchors)) * slant > labels[0].get_fontsize() * ax.figure.dpi / 72


@pytest.mark.parametrize("name", FIGURES)
def test_plots_return_the_axes_they_are_given_and_leave_settings_alone(name, monkeypatch):
    before = copy.deepcopy(dict(mpl.rcParams))
    ax = FIGURES[name]()
    assert isinstance(ax, mpl.axes.Axes)
    assert dict(mpl.rcParams) == before
    assert not ax.get_title()  # a figure's sentence says it, once


@pytest.mark.parametrize(
    "plot",
    [
        lambda ax: plot_staircase(KNAPP, K10, ax=ax),
        lambda ax: plot_stage_graph(THREE, P3, ax=ax),
        lambda ax: plot_transition_matrix(P3, THREE, ax=ax),
        lambda ax: plot_row_posterior([P3[0], P3[1]], THREE, stage_from="dormant", ax=ax),
        lambda ax: plot_stage_probs(one_customer(), KNAPP, ax=ax),
        lambda ax: plot_survival(survival_curves(), ax=ax),
        lambda ax: plot_prediction([1, 2, 3], {"m": [1, 2, 2]}, cutoff=2, ax=ax),
        lambda ax: plot_calibration(calibration_table(), KNAPP, ax=ax),
        lambda ax: plot_stage_value([[1, 2, 3]], THREE, unit="EUR", ax=ax),
    ],
)
def test_plots_draw_into_axes_of_the_user(plot):
    _, axes = plt.subplots(1, 2, figsize=(14, 5))
    assert plot(axes[1]) is axes[1]
    assert len(plt.get_fignums()) == 1
    with pytest.raises(SpecError, match="`ax` must be matplotlib Axes or None, got str"):
        plot("axes")


def test_arrays_are_not_changed():
    P, share, value = K10.copy(), OCCUPANCY.copy(), VALUE.copy()
    draws, probs, events = dirichlet_draws(), one_customer(), {"visits": np.arange(24.0)}
    table, curves = calibration_table(), survival_curves()
    inputs = (P, share, value, draws, probs, events, table, curves)
    kept = copy.deepcopy(inputs)
    plot_staircase(KNAPP, P, share, value)
    plot_stage_graph(KNAPP, P)
    plot_transition_matrix(P, KNAPP)
    plot_row_posterior(draws, KNAPP, stage_from="experimenting", truth=P[1])
    plot_stage_probs(probs, KNAPP, events=events)
    plot_calibration(table, KNAPP)
    plot_survival(curves, observed=share)
    plot_prediction(value, {"m": value}, cutoff=2)
    plot_stage_value(value[None], KNAPP, unit="EUR")
    for now, then in zip(inputs[:4], kept[:4], strict=True):
        np.testing.assert_array_equal(now, then)
    xr.testing.assert_identical(inputs[4], kept[4])
    np.testing.assert_array_equal(inputs[5]["visits"], kept[5]["visits"])
    pd.testing.assert_frame_equal(inputs[6], kept[6])
    for name in curves:
        np.testing.assert_array_equal(inputs[7][name], kept[7][name])


# --- style ---------------------------------------------------------------------------------------


def test_importing_plots_loads_no_drawing_library():
    code = (
        "import sys, crmlab.plots; print([m for m in ('matplotlib', 'seaborn', 'networkx', 'PIL', "
        "'scipy.stats', 'scipy.optimize', 'IPython') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_style_undoes_the_other_and_repeats_itself():
    style("page")
    page = dict(mpl.rcParams)
    style("projector")
    assert mpl.rcParams["font.size"] == 2 * page["font.size"]
    width, height = mpl.rcParams["figure.figsize"]
    assert width / height == pytest.approx(16 / 9, abs=1e-3)
    style("page")
    style("page")
    assert dict(mpl.rcParams) == page
    assert (page["savefig.facecolor"], page["savefig.transparent"]) == ("white", False)


def test_a_style_does_not_touch_the_backend():
    backend = mpl.get_backend()
    style("projector")
    assert mpl.get_backend() == backend


def test_an_unknown_style_is_refused():
    with pytest.raises(SpecError, match="must be 'page' or 'projector', got 'poster'"):
        style("poster")


@pytest.mark.parametrize("name", [name for name in FIGURES if "graph" not in name])
def test_figures_fit_a_slide(name):
    style("projector")
    width, height = FIGURES[name]().get_figure(root=True).get_size_inches()
    assert width == pytest.approx(12.8)
    assert height <= 7.2 + 1e-9


# --- colours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other", "difference"), oracle.SHARMA_PAIRS)
def test_the_oracle_reproduces_the_published_differences(one, other, difference):
    assert oracle.delta_e_2000(one, other) == pytest.approx(difference, abs=5e-5)


@pytest.mark.parametrize("vision", oracle.VISIONS)
def test_the_oracle_keeps_greys_grey_and_white_white(vision):
    lab = oracle.seen(["#FFFFFF", "#808080", "#000000"], vision)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1.0)
    np.testing.assert_allclose(lab[[0, 2], 0], [100, 0], atol=0.5)


def test_the_oracle_confuses_what_a_deuteranope_confuses():
    red_and_green = ["#C05A2E", "#827A2B"]
    clear = oracle.smallest_difference(red_and_green, "normal")
    assert clear > 25
    for model in ("Machado", "Vienot"):
        assert oracle.smallest_difference(red_and_green, f"deuteranopia ({model})") < clear / 2


@pytest.mark.parametrize("vision", oracle.VISIONS)
def test_any_two_of_knapps_stages_differ_by_11_for_everybody(vision):
    assert oracle.smallest_difference([*stage_colours(KNAPP).values()], vision) >= 11


@pytest.mark.parametrize("vision", oracle.VISIONS)
def test_ways_and_models_differ_for_everybody(vision):
    assert oracle.smallest_difference([UP, DOWN, AWAY], vision) >= 15
    assert oracle.smallest_difference(LINES, vision) >= 14


def test_grey_print_keeps_the_order_of_the_stages():
    levels = dict(zip(KNAPP.names, oracle.lightness(stage_colours(KNAPP).values()), strict=True))
    together, apart = (np.array([levels[n] for n in KNAPP.names[part]])
                       for part in (slice(5), slice(5, 10)))  # fmt: skip
    assert (np.diff(together) < -10).all()
    assert (np.diff(apart) < -10).all()
    assert all(abs(levels[a] - levels[b]) > 10 for a, b in pairwise(KNAPP.names))


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("phase", ["together", "apart"])
def test_other_spaces_take_their_colours_from_the_ramp_of_the_phase(n, phase):
    names = tuple(f"stage_{k}" for k in range(n))
    colours = [*stage_colours(StageSpace(names, (phase,) * n)).values()]
    ramp = TOGETHER_RAMP if phase == "together" else APART_RAMP
    assert len(set(colours)) == n
    assert (np.diff(oracle.lightness(colours)) < 0).all()
    if n == 1:
        assert colours == [ramp[3]]
    else:
        assert (colours[0], colours[-1]) == (ramp[0], ramp[4])


def test_colours_come_in_the_order_of_the_stages_whatever_the_phases():
    space = StageSpace(("a", "b", "c", "d"), ("apart", "together", "apart", "together"))
    assert stage_colours(space) == {
        "a": APART_RAMP[0],
        "b": TOGETHER_RAMP[0],
        "c": APART_RAMP[4],
        "d": TOGETHER_RAMP[4],
    }


def test_every_text_on_a_stage_or_in_the_colour_of_a_way_can_be_read():
    for colour in stage_colours(KNAPP).values():
        assert oracle.contrast(colour, ink_on(colour)) >= 4.5  # WCAG AA
    for colour in (UP, DOWN, INK, MUTED):
        assert oracle.contrast(colour, "#FFFFFF") >= 4.5
    for colour in LINES:
        assert oracle.contrast(colour, "#FFFFFF") >= 3  # bold names at the ends of lines


def test_markers_tell_stages_apart_without_colour():
    assert len(set(stage_markers(KNAPP).values())) == 10
    assert len({mark.marker for mark in stage_markers(KNAPP).values()}) == 10
    many = StageSpace(tuple(f"s{k}" for k in range(20)), ("together",) * 10 + ("apart",) * 10)
    assert len(set(stage_markers(many).values())) == 20


# --- the staircase -------------------------------------------------------------------------------

# Columns of the staircase by hand: together upwards, apart downwards.
COLUMN = dict(zip(KNAPP.names, (1, 2, 3, 4, 5, 5, 4, 3, 2, 1), strict=True))


def slabs(ax):
    """Box of each stage's slab in data units, by stage, found by its colour."""
    found = {patch.get_facecolor(): patch for patch in ax.patches
             if isinstance(patch, mpl.patches.FancyBboxPatch)}  # fmt: skip
    return {
        name: found[mpl.colors.to_rgba(colour)].get_bbox()
        for name, colour in stage_colours(KNAPP).items()
    }


def test_treads_rise_on_the_left_share_the_top_and_fall_on_the_right():
    boxes = slabs(plot_staircase())
    heights = {name: box.y0 for name, box in boxes.items()}
    levels = sorted({round(height, 6) for height in heights.values()})
    assert len(levels) == 5
    assert {name: levels.index(round(y, 6)) + 1 for name, y in heights.items()} == COLUMN
    assert all(boxes[name].x1 < 0 for name in KNAPP.names[:5])
    assert all(boxes[name].x0 > 0 for name in KNAPP.names[5:])
    lefts = [box.x0 for box in boxes.values()]
    assert lefts == sorted(lefts)


@pytest.mark.parametrize("medium", MEDIA)
def test_names_and_facts_stand_inside_their_treads(medium):
    style(medium)
    ax = plot_staircase(KNAPP, K10, OCCUPANCY, VALUE, unit="EUR")
    texts = {text: box for text, box, _ in boxes_of(ax.figure)}
    for name, slab in slabs(ax).items():
        x0, y0, x1, y1 = ax.transData.transform_bbox(slab).extents
        box = texts[stage_title(name)]
        assert x0 < box.x0 < box.x1 < x1
        assert y0 < box.y0 < box.y1 < y1


def test_percentages_keep_clear_of_the_treads():
    ax = plot_staircase(KNAPP, K10)
    boxes = [Box(*ax.transData.transform_bbox(slab).extents) for slab in slabs(ax).values()]
    labels = [box for text, box, _ in boxes_of(ax.figure) if text.endswith("%") and " " not in text]
    assert len(labels) > 20
    # A glyph may lean over the rounded white rim of a slab, which is two pixels wide.
    inside = [Box(b.x0 + 2, b.y0 + 2, b.x1 - 2, b.y1 - 2) for b in boxes]
    assert not [label for label in labels if any(label.meets(slab) for slab in inside)]


@pytest.mark.parametrize("medium", MEDIA)
def test_percentages_stand_beside_the_lines_of_probable_moves(medium):
    style(medium)
    ax = plot_staircase(KNAPP, K10)
    arrows = [line for line in ax.lines if np.ptp(line.get_ydata()) > 0 and line.get_zorder() > 1]
    widest = max(line.get_linewidth() for line in arrows)
    wide = [line for line in arrows if line.get_linewidth() > widest / 3]
    assert len(wide) == (K10[~np.eye(10, dtype=bool)] > 0.15).sum() + 1  # and 10 % to differentiate
    points = np.concatenate([ax.transData.transform(line.get_xydata()) for line in wide])
    labels = [box for text, box, _ in boxes_of(ax.figure) if text in ("25%", "28%", "30%", "35%")]
    assert len(labels) == 6
    assert not [box for box in labels if box.holds(points)]


def test_the_staircase_says_what_the_matrix_says():
    found = written(plot_staircase(KNAPP, K10))
    for i, name in enumerate(KNAPP.names):
        assert stage_title(name) in found
        assert found.count(f"stays {100 * K10[i, i]:.0f}%") == sum(
            round(100 * K10[k, k]) == round(100 * K10[i, i]) for k in range(10)
        )
    moves = K10[~np.eye(10, dtype=bool)]
    for percentage in (25, 28, 30, 35, 45):
        assert found.count(f"{percentage}%") == (np.round(100 * moves) == percentage).sum()
    assert {"Coming together", "Coming apart", "width: probability per period"} <= set(found)


def test_small_moves_carry_no_number_except_exits_at_the_ground():
    found = written(plot_staircase(KNAPP, K10, label_above=0.5))
    numbers = sorted(text for text in found if text.endswith("%") and " " not in text)
    assert numbers == sorted(["15%", "10%", "3%", "2%", "1%", "5%", "7%", "10%"])


def knapp_routes(drawn):
    return build_routes(KNAPP, build_treads(KNAPP, 0.36, 0.76), drawn)


def test_every_move_of_the_matrix_is_drawn_once_and_no_other():
    routes = knapp_routes(K10 > 0)
    drawn = {(route.stage_from, route.stage_to) for route in routes}
    assert len(drawn) == len(routes)
    assert drawn == {(i, j) for i, j in np.argwhere(K10 > 0) if i != j}
    assert len(knapp_routes(KNAPP.mask)) == KNAPP.mask.sum() - 10


def test_ways_up_are_green_ways_down_are_red_repairs_are_ladders():
    for route in knapp_routes(KNAPP.mask):
        a, b = KNAPP.names[route.stage_from], KNAPP.names[route.stage_to]
        was_together, is_together = a in KNAPP.names[:5], b in KNAPP.names[:5]
        if b == "terminating" and a != "avoiding":
            expected = ("exit", AWAY)
        elif was_together != is_together:
            expected = ("across", DOWN) if was_together else ("repair", UP)
        else:
            way = "step" if abs(COLUMN[a] - COLUMN[b]) == 1 else "skip"
            expected = (way, UP if COLUMN[b] > COLUMN[a] else DOWN)
        assert (route.way, route.colour) == expected, (a, b)


def test_moves_run_from_tread_to_tread():
    treads = build_treads(KNAPP, 0.36, 0.76)
    for route in build_routes(KNAPP, treads, KNAPP.mask):
        for stage, point in ((route.stage_from, route.curve[0]), (route.stage_to, route.curve[-1])):
            x0, y0, x1, y1 = treads[stage].box
            assert x0 - 1e-9 <= point[0] <= x1 + 1e-9
            assert y0 - 1e-9 <= point[1] <= y1 + 1e-9
            on_the_rim = (
                np.isclose(point[0], (x0, x1)).any() or np.isclose(point[1], (y0, y1)).any()
            )
            assert on_the_rim


def test_the_width_of_a_move_grows_in_proportion_to_its_probability():
    ax = plot_staircase(KNAPP, K10)
    level = [np.ptp(line.get_ydata()) == 0 for line in ax.lines]  # the samples in the key
    widths = sorted(
        line.get_linewidth() for line, is_key in zip(ax.lines, level, strict=True) if not is_key
    )
    repairs = {(5, 3), (5, 4), (6, 2), (7, 1), (8, 0)}  # ladders, not lines
    moves = [(i, j) for i, j in np.argwhere(K10 > 0) if i != j and (i, j) not in repairs]
    probs = np.sort([K10[move] for move in moves])
    slope, intercept = np.polyfit(probs, widths, 1)
    assert slope > 0
    np.testing.assert_allclose(widths, intercept + slope * probs, atol=1e-9)


def test_shares_of_customers_are_bars_in_proportion():
    ax = plot_staircase(KNAPP, occupancy=OCCUPANCY)
    bars = [p.get_width() for p in ax.patches if isinstance(p, mpl.patches.Rectangle)]
    tracks, filled = np.array(bars[::2]), np.array(bars[1::2])
    np.testing.assert_allclose(filled / tracks, OCCUPANCY, atol=1e-12)
    assert "40% of customers" in written(ax)  # K10 to the 4th: 0.4012 of initiating have ended


def test_values_carry_their_unit():
    found = written(plot_staircase(KNAPP, value=VALUE, unit="EUR"))
    assert "worth 138 EUR" in found  # V(INI) = 138.30, science.md
    assert "worth 463 EUR" in found  # V(BON) = 463.43


def test_a_staircase_needs_two_phases():
    with pytest.raises(SpecError, match=r"both phases, got only 'together'; use plot_stage_graph"):
        plot_staircase(THREE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transition_matrix": np.eye(9)}, r"must have shape \(10, 10\)"),
        ({"transition_matrix": np.full((10, 10), 0.1)}, "does not allow this move"),
        ({"occupancy": [0.5] * 9}, r"`occupancy` must have shape \(10,\), got \(9,\)"),
        ({"occupancy": [1.5] * 10}, "`occupancy` must be shares between 0 and 1"),
        ({"value": [np.nan] * 10}, "`value` must be finite, got 10 missing"),
        ({"value": ["much"] * 10}, "`value` must hold numbers only"),
    ],
)
def test_the_staircase_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(SpecError, match=message):
        plot_staircase(**arguments)


# --- graphs, matrices, rows ----------------------------------------------------------------------


def test_a_graph_draws_every_move_of_its_space_and_names_every_stage():
    ax = plot_stage_graph(THREE)
    assert [text.get_text() for text in ax.texts] == [
        "Dormant",
        "Occasional",
        "Active",
        "up",
        "down",
    ]
    heads = [p for p in ax.patches if isinstance(p, mpl.patches.Polygon)]
    assert len(heads) == 6 + 2  # six moves, two samples
    colours = [mpl.colors.to_hex(head.get_facecolor()).upper() for head in heads]
    assert colours.count(UP) == colours.count(DOWN) == 4


def test_a_graph_layers_stages_by_intensity_and_phases_by_row():
    ax = plot_stage_graph(SIX_STAGE)
    at = {text.get_text().lower(): text.get_position() for text in ax.texts}
    for one, other in (("contact", "dissolution"), ("involvement", "repair"),
                       ("intimacy", "deterioration")):  # fmt: skip
        assert at[one][0] == pytest.approx(at[other][0])
        assert at[one][1] > at[other][1]
    assert at["contact"][0] < at["involvement"][0] < at["intimacy"][0]


def test_exits_stay_back_in_a_graph_but_for_the_last_step():
    ax = plot_stage_graph(KNAPP)
    grey = [line for line in ax.lines if line.get_zorder() == 1]
    exits = [move for move in KNAPP.moves if move.kind == "exit"]
    assert len(grey) == len(exits) - 1 + 1  # all but avoiding's, and the sample in the key


def test_a_graph_refuses_a_matrix_of_another_space():
    with pytest.raises(SpecError, match=r"must have shape \(3, 3\)"):
        plot_stage_graph(THREE, K10)


def test_the_matrix_writes_percentages_and_leaves_forbidden_moves_blank():
    ax = plot_transition_matrix(K10, KNAPP)
    cells = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert set(cells) == {(i, j) for i, j in np.argwhere(KNAPP.mask)}
    assert all(float(text) == round(100 * K10[cell], 9) for cell, text in cells.items())
    assert [t.get_text() for t in ax.get_yticklabels()] == [stage_title(n) for n in KNAPP.names]
    assert ax.get_xlabel() == "Stage in the next period (% of the row)"
    assert ax.get_ylabel() == "Stage now"


def test_the_matrix_does_not_round_a_rare_move_to_nothing():
    ax = plot_transition_matrix([[0.998, 0.002], [0, 1]], StageSpace(("loyal", "lost")))
    assert [text.get_text() for text in ax.texts] == ["100", "<1", "0", "100"]


def test_the_matrix_is_darker_where_it_is_larger():
    ax = plot_transition_matrix(P3, THREE)
    ax.figure.canvas.draw()
    colours = [mpl.colors.to_hex(c) for c in ax.collections[0].get_facecolors()]
    order = np.argsort(P3.ravel())
    assert (np.diff(oracle.lightness(colours)[order])[np.diff(P3.ravel()[order]) > 0] < 0).all()


def test_a_row_shows_the_allowed_moves_with_means_intervals_and_truth():
    draws = dirichlet_draws()
    ax = plot_row_posterior(draws, KNAPP, stage_from="experimenting", truth=K10[1], prob=0.8)
    allowed = np.flatnonzero(KNAPP.mask[1])
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        stage_title(KNAPP.names[k]) for k in allowed
    ]
    low, high = np.quantile(draws[:, 2], [0.1, 0.9])
    assert f"{draws[:, 2].mean():.2f}  [{low:.2f}, {high:.2f}]" in written(ax)
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert dots == K10[1, allowed][::-1].tolist()
    assert ax.get_xlabel() == (
        "Probability of moving from experimenting, per period\n"
        "(bars: central 80% interval; dots: truth)"
    )


def test_ridges_take_the_colour_of_the_stage_and_stay_between_0_and_1():
    ax = plot_row_posterior(dirichlet_draws(), KNAPP, stage_from="experimenting")
    allowed = np.flatnonzero(KNAPP.mask[1])[::-1]
    colours = [*stage_colours(KNAPP).values()]
    for ridge, stage in zip(ax.collections, allowed, strict=True):
        assert mpl.colors.to_hex(ridge.get_facecolor()[0]).upper() == colours[stage]
        x = ridge.get_paths()[0].vertices[:, 0]
        assert 0 <= x.min() < x.max() <= 1


def test_a_row_is_found_in_a_posterior_by_name():
    rows = np.stack([dirichlet_draws(seed) for seed in range(10)], axis=1)
    coords = {"stage_from": list(KNAPP.names), "stage_to": list(KNAPP.names)}
    whole = xr.DataArray(rows[None], coords, dims=("chain", "draw", "stage_from", "stage_to"))
    one = whole.sel(stage_from="experimenting").isel(stage_to=slice(None, None, -1))
    direct = written(plot_row_posterior(rows[:, 1], KNAPP, stage_from="experimenting"))
    assert written(plot_row_posterior(whole, KNAPP, stage_from="experimenting")) == direct
    assert written(plot_row_posterior(one, KNAPP)) == direct


def test_a_row_without_spread_is_a_line():
    ax = plot_row_posterior([[1.0, 0.0]] * 5, StageSpace(("a", "b")), stage_from="a")
    assert not ax.collections
    assert "1.00  [1.00, 1.00]" in written(ax)


@pytest.mark.parametrize(
    ("draws", "options", "message"),
    [
        ([[0.5, 0.3, 0.2]], {}, "`stage_from` must be the name of the stage"),
        ([[0.5, 0.3, 0.2]], {"stage_from": "asleep"}, "no stage is called 'asleep'"),
        (
            [[0.5, 0.5]],
            {"stage_from": "active"},
            r"`draws` must have shape \('n', 3\), got \(1, 2\)",
        ),
        ([[0.5, np.nan, 0.2]], {"stage_from": "active"}, "`draws` must be finite, got 1 missing"),
        (P3, {"stage_from": "active", "truth": [1.0]}, r"`truth` must have shape \(3,\)"),
        (P3, {"stage_from": "active", "prob": 90}, "prob` must be above 0 and below 1 .* got 90"),
    ],
)
def test_a_row_refuses_what_does_not_fit(draws, options, message):
    with pytest.raises(SpecError, match=message):
        plot_row_posterior(draws, THREE, **options)


# --- stage probabilities over time ---------------------------------------------------------------


def layers(ax):
    """Height of each layer over time, recovered from what is drawn, (periods, K)."""
    found = []
    for layer in ax.collections:
        vertices = layer.get_paths()[0].vertices
        times = np.unique(vertices[:, 0])
        spans = [np.ptp(vertices[vertices[:, 0] == t, 1]) for t in times]
        found.append(spans)
    return np.array(found).T


def test_one_customer_is_stacked_in_the_order_of_the_stages():
    probs = one_customer()
    ax = plot_stage_probs(probs, KNAPP)
    np.testing.assert_allclose(layers(ax), 100 * probs.values, atol=1e-9)
    colours = [mpl.colors.to_hex(layer.get_facecolor()[0]).upper() for layer in ax.collections]
    assert colours == [*stage_colours(KNAPP).values()]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Month", "Probability of the stage (%)")
    assert {stage_title(name) for name in KNAPP.names} <= set(written(ax))


def test_one_customer_is_the_mean_over_draws_in_any_order_of_dims_and_stages():
    probs = one_customer()
    spread_out = xr.concat([0.5 * probs, 1.5 * probs], dim="draw")
    spread_out = spread_out / spread_out.sum("stage")
    shuffled = spread_out.expand_dims("customer_id").transpose("stage", ...)
    ax = plot_stage_probs(shuffled.isel(stage=slice(None, None, -1)), KNAPP)
    np.testing.assert_allclose(layers(ax), 100 * probs.values, atol=1e-9)


def test_periods_outside_the_window_are_left_out():
    probs = one_customer().copy()
    probs[:3] = np.nan
    ax = plot_stage_probs(probs, KNAPP)
    assert min(layer.get_paths()[0].vertices[:, 0].min() for layer in ax.collections) == 3
    assert {stage_title(name) for name in KNAPP.names[1:]} <= set(written(ax))


def test_customers_of_a_base_count_while_they_are_observed():
    probs = base().copy()
    probs[:, :, 0, :5] = np.nan  # joins late
    probs[:, :, :, -1] = np.nan  # nobody is observed
    ax = plot_stage_probs(probs, KNAPP)
    shares = 100 * probs.mean("customer_id").mean(("chain", "draw")).values[:-1]
    np.testing.assert_allclose(layers(ax), shares, atol=1e-9)
    alpha = np.asarray(ax.images[0].get_array()[:, :, 3])
    assert (alpha[:, 0] == 1).all()
    assert (alpha[:, -1] == 0).all()


def test_events_stand_in_lanes_under_the_ribbon():
    visits = np.where(np.arange(24) % 5 == 0, 3.0, 0.0)
    visits[5], visits[10] = np.nan, 6.0
    panel = xr.Dataset({"visits": ("period", visits), "complaints": ("period", np.zeros(24))})
    ax = plot_stage_probs(one_customer(), KNAPP, events=panel)
    (strip,) = ax.child_axes
    empty, dots = strip.collections
    assert len(empty.get_offsets()) == 0
    assert dots.get_offsets()[:, 0].tolist() == [0, 10, 15, 20]
    sizes = dots.get_sizes()
    assert sizes[1] == pytest.approx(2 * sizes[0])  # area is proportional to the value
    assert [t.get_text() for t in strip.get_yticklabels()] == [
        "Complaints, none",
        "Visits, up to 6",
    ]
    assert (ax.get_xlabel(), strip.get_xlabel()) == ("", "Month")


def test_a_base_shows_expected_shares_and_the_interval_at_the_end():
    probs = base()
    ax = plot_stage_probs(probs, KNAPP, prob=0.5)
    shares = probs.mean("customer_id")
    np.testing.assert_allclose(layers(ax), 100 * shares.mean(("chain", "draw")), atol=1e-9)
    last = 100 * shares.values[0, :, -1, 9]
    low, high = np.quantile(last, [0.25, 0.75])
    assert f"Terminating {last.mean():.0f}% [{low:.0f}, {high:.0f}]" in written(ax)
    assert "at the end [50% interval]" in written(ax)
    assert ax.get_ylabel() == "Share of customers in the stage (%)"
    assert ax.get_xlabel().startswith("Quarter\n(borders are as blurred")


def test_the_river_mixes_the_stages_that_draws_put_at_a_height():
    # Two draws, two stages: one border at 30 %, one at 60 %. Between them the colours mix evenly.
    shares = np.empty((2, 2, 4, 2))
    shares[0], shares[1] = (0.3, 0.7), (0.6, 0.4)
    space = StageSpace(("dormant", "active"))
    dims, coords = ("draw", "customer_id", "period", "stage"), {"stage": list(space.names)}
    image = plot_stage_probs(xr.DataArray(shares, coords, dims), space).images[0].get_array()
    one, other = (np.array(mpl.colors.to_rgb(c)) for c in stage_colours(space).values())
    rows = len(image)
    for height, expected in ((0.1, one), (0.45, (one + other) / 2), (0.9, other)):
        row = np.asarray(image[int(height * rows), :, :3])
        np.testing.assert_allclose(row, np.tile(expected, (len(row), 1)), atol=1e-12)
    assert (image[:, :, 3] == 1).all()


def test_a_forecast_is_drawn_over_the_periods_ahead():
    probs = one_customer(6).rename(period="horizon").drop_vars("horizon").drop_attrs()
    ax = plot_stage_probs(probs, KNAPP)
    assert ax.get_xlabel() == "Periods ahead"
    assert ax.get_xlim() == (1, 6)
    assert plot_stage_probs(probs.assign_attrs(freq="W"), KNAPP).get_xlabel() == "Weeks ahead"


def test_one_period_alone_can_be_drawn():
    assert plot_stage_probs(one_customer()[:1], KNAPP).get_xlim() == (-0.5, 0.5)


PROBS = one_customer()


@pytest.mark.parametrize(
    ("probs", "options", "message"),
    [
        (PROBS.values, {}, "`probs` must be an xarray DataArray, got ndarray"),
        (PROBS.rename(stage="state"), {}, "`probs` needs a dimension 'stage'"),
        (PROBS.rename(period="time"), {}, "needs the dimension 'period' or 'horizon'"),
        (PROBS.expand_dims("segment"), {}, "needs the dimension 'period' or 'horizon' besides"),
        (PROBS[:, :9], {}, "the 'stage' of `probs` must name"),
        (2 * PROBS, {}, "must be probabilities that sum to 1"),
        (PROBS.where(PROBS > 0.001), {}, "must be probabilities that sum to 1"),
        (PROBS * np.nan, {}, "`probs`: every value is missing"),
        (PROBS, {"events": {"visits": [1, 2]}}, r"'visits' must have one value per period \(24\)"),
        (PROBS, {"prob": 0}, "`prob` must be above 0 and below 1"),
        (base(), {"events": {"visits": np.ones(9)}}, "can only be shown for one customer"),
    ],
)
def test_stage_probs_refuse_what_does_not_fit(probs, options, message):
    with pytest.raises(SpecError, match=message):
        plot_stage_probs(probs, KNAPP, **options)


# --- curves --------------------------------------------------------------------------------------


def line_in(ax, colour):
    (found,) = [line for line in ax.lines if line.get_color() == colour]
    return found.get_xdata(), found.get_ydata()


def test_survival_is_a_fan_of_named_curves_with_the_observed_dots():
    curves = survival_curves()
    ax = plot_survival(curves, observed=[1.0, 0.8, 0.66], period_name="year", prob=0.5)
    for colour, curve in zip(LINES[1:], curves.values(), strict=False):
        x, y = line_in(ax, colour)
        np.testing.assert_array_equal(x, np.arange(13))
        np.testing.assert_allclose(y, 100 * (curve if curve.ndim == 1 else curve.mean(axis=0)))
    dots = line_in(ax, INK)
    assert (dots[0].tolist(), dots[1].tolist()) == ([0, 1, 2], [100, 80, 66])
    (band,) = ax.collections
    ends = band.get_paths()[0].vertices
    ends = np.unique(ends[ends[:, 0] == 12, 1])
    np.testing.assert_allclose(ends, 100 * np.quantile(curves["sBG"][:, -1], [0.25, 0.75]))
    assert ax.get_xlabel() == "Time (years)\n(bands: central 50% interval; dots: observed)"
    assert ax.get_ylabel() == "Still a customer (%)"
    colours = {text.get_text(): text.get_color() for text in ax.texts}
    assert colours == dict(zip(curves, LINES[1:], strict=False))


@pytest.mark.parametrize(
    ("curves", "options", "message"),
    [
        ({}, {}, "`curves` must map names to curves"),
        ([1, 0.5], {}, "`curves` must map names to curves"),
        ({"a": [1, 0.5], "b": [1, 0.5, 0.2]}, {}, "`curves` must be equally long"),
        ({"a": [1, 1.5], "b": [-1, 0]}, {}, "2 problems\n  - 'a' must hold shares from 0 to 1"),
        ({"a": [1, np.inf]}, {}, r"`curves\['a'\]` must be finite"),
        ({"a": [1]}, {}, "`periods` must be two or more, in increasing order"),
        ({"a": [1, 0.5]}, {"periods": [2, 1]}, "periods` must be two or more, in increasing order"),
        ({"a": [1, 0.5]}, {"periods": [1, 2, 3]}, r"`periods` must have shape \(2,\)"),
        ({"a": [1, 0.5]}, {"observed": [1, 1, 1]}, "`observed` must have at most 2 values, got 3"),
        ({"a": [1, 0.5]}, {"observed": [1, 2]}, "'observed' must hold shares from 0 to 1"),
        ({"a": [1, 0.5]}, {"prob": 1}, "`prob` must be above 0 and below 1 .* got 1"),
    ],
)
def test_survival_refuses_what_does_not_fit(curves, options, message):
    with pytest.raises(SpecError, match=message):
        plot_survival(curves, **options)


def test_predictions_are_tracked_past_a_cutoff():
    actual, draws = np.array([1.0, 3, 4, 6]), np.array([[1.0, 2, 4, 5], [1, 4, 4, 8]])
    ax = plot_prediction(
        actual, {"BG/NBD": draws, "naive": [1, 2, 3, 4]}, cutoff=2, quantity="Cumulative orders"
    )
    np.testing.assert_array_equal(line_in(ax, INK)[1], actual)
    np.testing.assert_array_equal(line_in(ax, LINES[1])[1], draws.mean(axis=0))
    np.testing.assert_array_equal(line_in(ax, LINES[2])[1], [1, 2, 3, 4])
    assert line_in(ax, MUTED)[0] == [2, 2]
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "Week\n(bands: central 90% interval)",
        "Cumulative orders",
    )
    assert ax.get_ylim()[0] == 0
    assert [t.get_text() for t in ax.texts] == [
        "seen by the models", "forecast", "actual", "BG/NBD", "naive",
    ]  # fmt: skip
    ahead = plot_prediction(actual, {"naive": [1, 2, 3, 4]})
    assert [t.get_text() for t in ahead.texts] == ["actual", "naive"]


def test_lines_of_models_differ_in_dash_as_well():
    ax = plot_prediction([1, 2], {name: [1, 2] for name in "abcde"}, cutoff=1)
    dashes = [line._dash_pattern for line in ax.lines if line.get_color() in LINES]
    assert len(set(map(str, dashes))) == 6


@pytest.mark.parametrize(
    ("actual", "forecasts", "options", "message"),
    [
        ([1, 2, 3], {"m": [1, 2]}, {"cutoff": 1}, "`actual` must have 2 values, as periods, got 3"),
        ([1, np.nan], {"m": [1, 2]}, {"cutoff": 1}, "`actual` must be finite"),
        ([1, 2], {}, {"cutoff": 1}, "`forecasts` must map names to curves"),
        ([1, 2], {"m": [1, 2]}, {"cutoff": 3}, "`cutoff` must lie in 1 to 2, got 3"),
    ],
)
def test_predictions_refuse_what_does_not_fit(actual, forecasts, options, message):
    with pytest.raises(SpecError, match=message):
        plot_prediction(actual, forecasts, **options)


def test_calibration_draws_every_stage_with_its_marker_and_its_bins():
    table = calibration_table().sample(frac=1, random_state=0)
    ax = plot_calibration(table, KNAPP)
    points = [c for c in ax.collections if isinstance(c, mpl.collections.PathCollection)]
    for name, dots in zip(KNAPP.names, points, strict=True):
        bins = table[table["stage"] == name].sort_values("predicted")
        np.testing.assert_allclose(dots.get_offsets(), 100 * bins[["predicted", "observed"]])
        assert mpl.colors.to_hex(dots.get_facecolor()[0]).upper() == stage_colours(KNAPP)[name]
        assert (np.diff(dots.get_sizes()[np.argsort(bins["n"])]) > 0).all()
    assert ax.get_ylabel() == "Came true (%)"
    assert ax.get_xlabel().split("\n") == [
        "Predicted probability (%)",
        "(diagonal: perfect; size: number of predictions; bars: interval)",
    ]
    assert {stage_title(name) for name in KNAPP.names} <= set(written(ax))


@pytest.mark.parametrize(
    ("table", "space", "message"),
    [
        ([1, 2], None, "`table` must be a pandas DataFrame, got list"),
        (pd.DataFrame({"n": [1]}), None, "2 problems\n  - table has no column 'predicted'"),
        (calibration_table()[:0], KNAPP, "table has no rows"),
        (calibration_table(), None, "'stage' names"),
        (calibration_table().assign(stage="asleep"), KNAPP, r"'stage' names \['asleep'\]"),
        (calibration_table().assign(observed=2, n=0), KNAPP, "2 problems"),
        (calibration_table().assign(predicted=np.nan), KNAPP, "'predicted' must hold shares"),
    ],
)
def test_calibration_refuses_what_does_not_fit(table, space, message):
    with pytest.raises(SpecError, match=message):
        plot_calibration(table, space)


# --- value ---------------------------------------------------------------------------------------


def test_value_stands_as_treads_with_intervals_and_steps():
    draws = np.array([[-10.0, 50, 100], [-20.0, 70, 140], [-30.0, 60, 120]])
    ax = plot_stage_value(draws, THREE, unit="EUR", prob=0.5)
    assert [t.get_text() for t in ax.texts] == ["\N{MINUS SIGN}20", "60", "120", "+80", "+60"]
    treads = [line.get_ydata().tolist() for line in ax.lines
              if line.get_color() in stage_colours(THREE).values()]  # fmt: skip
    assert treads == [[-20, -20], [60, 60], [120, 120]]
    boxes = [np.unique(c.get_paths()[0].vertices[:, 1]).tolist() for c in ax.collections[1::2]]
    assert boxes == [[-25, -15], [55, 65], [110, 130]]
    assert ax.get_ylabel() == "Worth of a customer (EUR)"
    assert (
        ax.get_xlabel()
        == "Stage (between stages: worth of the step; pale boxes: central 50% interval)"
    )


def test_value_puts_coming_together_first_and_reads_stages_by_name():
    space = StageSpace(("leaving", "new", "loyal"), ("apart", "together", "together"))
    values = xr.DataArray(
        [[30.0, 5, 10]], {"stage": ["loyal", "leaving", "new"]}, ("draw", "stage")
    )
    ax = plot_stage_value(values, space, unit="EUR")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["New", "Loyal", "Leaving"]
    assert [t.get_text() for t in ax.texts][:3] == ["10", "30", "5"]
    assert {"Coming together", "Coming apart"} <= set(written(ax))
    colours = {t.get_text(): t.get_color() for t in ax.texts}
    assert colours["+20"] == UP
    assert colours["\N{MINUS SIGN}25"] == DOWN
    assert ax.get_xlabel() == "Stage (between stages: worth of the step)"  # one draw, no interval


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2]], r"`values` must have shape \('n', 3\), got \(1, 2\)"),
        ([[1, 2, np.nan]], "`values` must be finite, got 1 missing"),
        (xr.DataArray([1.0], dims="stage", coords={"stage": ["new"]}), "the 'stage' of `values`"),
    ],
)
def test_value_refuses_what_does_not_fit(values, message):
    with pytest.raises(SpecError, match=message):
        plot_stage_value(values, THREE, unit="EUR")


# --- layout --------------------------------------------------------------------------------------


def test_spread_keeps_order_distance_and_centre():
    start = [0.0, 0.05, 0.1, 5.0]
    moved = spread(start, gap=1.0)
    assert (np.diff(moved) >= 1 - 1e-12).all()
    assert moved[:3].mean() == pytest.approx(0.05)  # least squares moves a cluster around its mean
    assert moved[3] == 5.0
    np.testing.assert_array_equal(spread([3.0, 1.0, 2.0], gap=0.5), [3, 1, 2])
    assert spread([], gap=1.0).size == 0


def test_spread_stays_inside_its_limits():
    np.testing.assert_allclose(spread([9.0, 9.5, 10], 1, low=0, high=10), [8, 9, 10])
    np.testing.assert_allclose(spread([0.0, 0.1], 1, low=0, high=10), [0, 1])


def test_labels_take_the_first_clear_place_that_covers_the_fewest_lines():
    line = np.column_stack([np.linspace(0, 10, 101), np.zeros(101)])
    candidates = [[(1, 0), (1, 1), (1, 2)], [(1, 1), (4, 0)], [(1, 1)]]
    places = place_boxes(candidates, [(1, 0.5)] * 3, [Box(0, 1.5, 2, 2.5)], line)
    assert places == [(1, 1), (4, 0), None]


def test_measured_texts_are_as_wide_as_drawn_ones():
    figure = plt.figure(figsize=(6, 2), dpi=200)
    for text, weight in (
        ("Differentiating", "bold"),
        ("stays 45%", "normal"),
        ("$5 or $6", "normal"),
    ):
        artist = figure.text(0.1, 0.5, text, size=12, weight=weight, parse_math=False)
        drawn = artist.get_window_extent().width * 72 / 200
        assert text_size(text, 12, weight)[0] == pytest.approx(drawn, rel=0.04)


def test_walks_are_even_and_normals_are_square():
    t = np.linspace(0, np.pi, 400)
    circle = np.column_stack([np.cos(t), np.sin(t)])
    steps = np.hypot(*np.diff(walk(circle, 0.1), axis=0).T)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
    np.testing.assert_allclose(normals(circle), -circle, atol=0.01)  # left of the way: inwards
    cut = outside(circle, Box(0.5, -1, 2, 2))
    assert cut[:, 0].max() <= 0.5


# --- figures with their sentence -----------------------------------------------------------------

SENTENCE = "Bonding lasts 7.1 quarters, and costs < $5 & more."


def pixels(png):
    from PIL import Image

    with Image.open(BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def shown(figure, sentence):
    return pixels(base64.b64decode(_bundle(figure, sentence)[0]["image/png"]))


def test_show_prints_the_sentence_where_there_is_no_notebook(capsys):
    ax = plot_transition_matrix(P3, THREE)
    show(ax, SENTENCE)
    assert capsys.readouterr().out == f"Reading: {SENTENCE}\n"
    assert not plt.fignum_exists(ax.figure.number)


def test_the_bundle_holds_the_sentence_three_times_and_is_the_same_each_time():
    figure = plot_transition_matrix(P3, THREE).figure
    data, metadata = _bundle(figure, SENTENCE)
    assert set(data) == {"text/plain", "image/png"}
    assert data["text/plain"] == SENTENCE
    assert metadata == {"image/png": {"alt": SENTENCE}}
    assert _bundle(figure, SENTENCE)[0] == data
    style("page")
    assert _bundle(plot_transition_matrix(P3, THREE).figure, SENTENCE)[0] == data


def test_the_reading_is_drawn_under_the_picture_and_inside_its_width():
    figure = plot_transition_matrix(P3, THREE).figure
    long = " ".join(["The sentence goes on and on, for many a word and number."] * 6)
    short, tall = (shown(figure, sentence) for sentence in (SENTENCE, long))
    assert short.shape[1] == tall.shape[1]
    above = min(len(short), len(tall)) - 80
    assert np.abs(short[:above] - tall[:above]).mean() < 1  # the same picture
    assert len(tall) > len(short) + 60  # more lines of text
    text = tall[len(short) - 10 :].min(axis=2) < 128
    columns = np.flatnonzero(text.any(axis=0))
    assert columns[0] > 5
    assert columns[-1] < tall.shape[1] - 5


def test_fewer_colours_in_the_file_do_not_change_the_stages():
    figure = plot_staircase(KNAPP, K10).figure
    found = shown(figure, SENTENCE).reshape(-1, 3)
    for colour in stage_colours(KNAPP).values():
        wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        near = np.abs(found - wanted).max(axis=1) <= 6
        assert near.sum() > 3000


def test_a_figure_in_html_stands_alone():
    class Parser(HTMLParser):
        tags, attributes, text = [], {}, ""

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)
            self.attributes |= dict(attrs)

        def handle_data(self, data):
            self.text += data

    ax = plot_transition_matrix(P3, THREE)
    parser = Parser()
    parser.feed(figure_html(ax, SENTENCE))
    assert parser.tags == ["figure", "img", "figcaption"]
    assert parser.attributes["alt"] == SENTENCE
    assert parser.text == f"Reading: {SENTENCE}"
    head, _, code = parser.attributes["src"].partition(",")
    assert head == "data:image/png;base64"
    assert pixels(base64.b64decode(code)).shape[2] == 3
    assert plt.fignum_exists(ax.figure.number)


@pytest.mark.parametrize("act", [show, figure_html])
@pytest.mark.parametrize("sentence", ["", "  ", "two\nlines", None, 7.1])
def test_a_figure_needs_a_sentence_of_one_line(act, sentence):
    with pytest.raises(SpecError, match="`sentence` must be one line of text"):
        act(plt.figure(), sentence)


@pytest.mark.parametrize("act", [show, figure_html])
def test_a_sentence_needs_a_figure(act):
    with pytest.raises(SpecError, match="ax_or_fig` must be matplotlib Axes or a Figure, got list"):
        act([1, 2], SENTENCE)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10, 20], "Sales rises from 10 in week 0 to 20 in week 1."),
        ([20, 10], "Sales falls from 20 in week 0 to 10 in week 1."),
        ([10, 30, 5, 10], "Sales goes from 10 in week 0 to 10 in week 3, with a peak of 30 in "
                          "week 1 and a low of 5 in week 2."),
        ([10, 10.2, 10], "Sales goes from 10 in week 0 to 10 in week 2."),
        ([1000, 2500, 2000], "Sales rises from 1,000 in week 0 to 2,000 in week 2, with a peak of "
                             "2,500 in week 1."),
    ],
)  # fmt: skip
def test_a_trend_is_said_with_the_digits_that_are_written(values, expected):
    assert describe_trend("Sales", values, time_name="week") == expected


@pytest.mark.parametrize(
    ("values", "times"), [([1.0], None), ([1.0, np.nan], None), ([1, 2], [1, 2, 3])]
)
def test_a_trend_needs_two_numbers_and_their_times(values, times):
    with pytest.raises(SpecError):
        describe_trend("Sales", values, times=times)


CELL = """
import warnings
warnings.simplefilter("error")
import numpy as np
from crmlab.plots import show, style, plot_transition_matrix
from crmlab.stages import StageSpace
style("page")
P = np.array([[0.8, 0.2], [0.0, 1.0]])
ax = plot_transition_matrix(P, StageSpace(("loyal", "lost")))
show(ax, f"Of the loyal, {100 * P[0, 1]:.0f}% are lost in each period.")
"""


def run_nbval(path):
    """Run nbval in a process of its own; return whether it passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command += ["--nbval-current-env", "--rootdir", str(path.parent), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=path.parent)
    return result.returncode == 0


@pytest.mark.slow
def test_a_notebook_keeps_one_output_that_nbval_compares_by_its_sentence(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert dict(output.metadata) == {"image/png": {"alt": output.data["text/plain"]}}
    assert set(output.data) == {"text/plain", "image/png"}
    assert output.data["text/plain"] == "Of the loyal, 20% are lost in each period."

    def saved(name, key, value):
        changed = json.loads(nbformat.writes(notebook))
        changed["cells"][0]["outputs"][0]["data"][key] = value
        (tmp_path / name).write_text(json.dumps(changed), encoding="utf-8")
        return tmp_path / name

    assert run_nbval(saved("image.ipynb", "image/png", "iVBORw0KGgo="))  # images are not compared
    wrong = output.data["text/plain"].replace("20%", "21%")
    assert not run_nbval(saved("sentence.ipynb", "text/plain", wrong))
