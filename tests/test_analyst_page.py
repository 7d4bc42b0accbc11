"""What a report shows without a model, and what it advises: six orders, worked out by hand.

Two customers came in January (a: 10, 20 and 30; b: 5 and 5), one in February (c: 40).
"""

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import crmlab.report.parts as parts
from crmlab.analyst import (
    advice,
    cohorts,
    figures,
    history,
    page,
    segments,
    sentences,
    tables,
)
from crmlab.analyst.customers import list_customers, most_to_win, to_act_upon
from crmlab.analyst.orders import count_cohorts, first_days
from crmlab.cli.options import FileOptions
from crmlab.plots import style
from crmlab.plots.styles import APART_RAMP, INK, LINES, MUTED, TOGETHER_RAMP
from crmlab.reading import Finding, Sales
from tests.oracles import colour as oracle
from tests.test_analyst_report import hand_made, shop, shop_study  # noqa: F401
from tests.test_demo import Reader

mpl.use("Agg")
import matplotlib.pyplot as plt

LAST = pd.Timestamp("2024-03-30")  # March is over but for a day
SIX = pd.DataFrame(
    [
        ("a", "2024-01-05", 10.0),
        ("b", "2024-01-20", 5.0),
        ("c", "2024-02-02", 40.0),
        ("a", "2024-02-10", 20.0),
        ("a", "2024-03-03", 30.0),
        ("b", "2024-03-15", 5.0),
    ],
    columns=["customer_id", "date", "amount"],
).assign(date=lambda frame: pd.to_datetime(frame["date"]))


@pytest.fixture(autouse=True)
def clean_figures():
    with mpl.rc_context():
        style("page")
        yield
        plt.close("all")


def months(orders=SIX):
    return count_cohorts(orders, "M")


# --- cohorts and sales ----------------------------------------------------------------------------


def test_cohorts_of_six_orders():
    counts = months()
    first, second, third = (pd.Timestamp(f"2024-0{k}-01") for k in (1, 2, 3))
    expected = [
        (first, first, 2, 2, 15.0),
        (first, second, 1, 1, 20.0),
        (first, third, 2, 2, 35.0),
        (second, second, 1, 1, 40.0),
    ]
    assert list(counts.itertuples(index=False, name=None)) == expected
    found = cohorts.retention(counts, "M", LAST)
    np.testing.assert_array_equal(found.active, [[2, 1, 2], [1, 0, np.nan]])
    assert (found.at(1), found.at(2)) == (pytest.approx(1 / 3), 1.0)
    assert np.isnan(found.at(3))


def test_a_month_that_is_not_over_says_nothing_of_who_comes_back():
    found = cohorts.retention(months(), "M", pd.Timestamp("2024-03-15"))
    np.testing.assert_array_equal(found.active, [[2, 1], [1, np.nan]])


def test_new_and_returning_customers_of_six_orders():
    table = cohorts.new_and_returning(months(), "M")
    assert table["new"].tolist() == [15, 40, 0]
    assert table["returning"].tolist() == [0, 20, 35]
    counted = cohorts.new_and_returning(months(SIX.drop(columns="amount")), "M")
    assert counted.to_numpy().tolist() == [[2, 0], [1, 1], [0, 2]]
    gap = cohorts.new_and_returning(months(SIX[SIX["date"].dt.month != 2]), "M")
    assert gap.loc["2024-02"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("last", "unit"),
    [("2024-01-31", "W"), ("2024-03-01", "M"), ("2026-01-05", "Q"), ("2030-01-05", "Y")],
)
def test_longer_windows_have_longer_cohorts(last, unit):
    window = (pd.Timestamp("2024-01-05"), pd.Timestamp(last))
    assert cohorts.choose_unit(window) == unit
    assert cohorts.choose_bars(window) == ("W" if unit == "W" else "M")


ORDERS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 900), st.integers(0, 10_000)),
    min_size=1,
    max_size=40,
)


@given(rows=ORDERS, unit=st.sampled_from("WMQY"))
@settings(deadline=None, max_examples=40)
def test_nothing_is_lost_between_orders_and_tables(rows, unit):
    orders = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    orders["date"] = pd.Timestamp("2021-02-03") + pd.to_timedelta(orders["date"], unit="D")
    orders["amount"] = orders["amount"] / 100
    counts = count_cohorts(orders, unit)
    sums = cohorts.new_and_returning(counts, unit)
    assert sums.to_numpy().sum() == pytest.approx(orders["amount"].sum())
    found = cohorts.retention(counts, unit, orders["date"].max())
    assert found.size.sum() == orders["customer_id"].nunique()
    assert np.nanmax(found.shares) <= 1
    chosen = segments.rfm_segments(first_days(orders))
    assert set(chosen) <= {name for *_, name in segments.SEGMENTS}
    mixed = segments.rfm_segments(first_days(orders.sample(frac=1, random_state=1)))
    pd.testing.assert_series_equal(chosen, mixed)


# --- segments and the Lorenz curve ----------------------------------------------------------------


def test_the_lorenz_curve_of_three_customers():
    curve = segments.lorenz_curve(first_days(SIX)["amount"])
    expected = [[0, 0], [1 / 3, 60 / 110], [2 / 3, 100 / 110], [1, 1]]
    np.testing.assert_allclose(curve, expected)
    assert segments.share_of_best(curve, 0.2) == pytest.approx(0.6 * 60 / 110)


@given(amounts=st.lists(st.integers(0, 10**6), min_size=1, max_size=700))
@settings(deadline=None)
def test_a_lorenz_curve_rises_ever_more_slowly(amounts):
    if sum(amounts):
        curve = segments.lorenz_curve(amounts)
        slopes = np.diff(curve[:, 1]) / np.diff(curve[:, 0])
        assert (curve[0] == 0).all()
        np.testing.assert_allclose(curve[-1], 1)
        assert (np.diff(slopes) <= 1e-9).all()
        assert len(curve) <= 201


def test_rfm_segments_of_three_customers():
    """Scores by hand: a 4, 5 and 5; b 5, 4 and 2; c 2, 2 and 4."""
    found = segments.rfm_segments(first_days(SIX))
    assert found.to_dict() == {
        "a": "loyal, but slower",
        "b": "recent, few orders",
        "c": "hibernating",
    }
    counts = segments.cross_segments(found, pd.Series({"c": 0, "a": 1, "b": 0}), 2)
    assert counts.index.tolist() == ["recent, few orders", "loyal, but slower", "hibernating"]
    assert counts.to_numpy().tolist() == [[1, 0], [0, 1], [1, 0]]
    without = segments.rfm_segments(first_days(SIX.drop(columns="amount")))
    assert without["b"] == "champions"  # 4 by frequency alone


# --- figures --------------------------------------------------------------------------------------


def test_the_bars_are_the_sums_and_a_month_not_over_is_pale():
    sales = cohorts.new_and_returning(months(), "M")
    ax = history.plot_sales(sales, pd.Timestamp("2024-03-15"), "Revenue (EUR)")
    returning, new = ([bar.get_height() for bar in ax.patches[k : k + 3]] for k in (0, 3))
    assert returning == sales["returning"].tolist()
    assert new == sales["new"].tolist()
    assert [bar.get_y() for bar in ax.patches[3:]] == sales["returning"].tolist()
    shades = {bar.get_facecolor() for bar in ax.patches[:3]}
    assert len(shades) == 2
    assert "not over" in ax.get_xlabel()
    whole = history.plot_sales(sales, LAST, "Revenue (EUR)")
    assert len({bar.get_facecolor() for bar in whole.patches[:3]}) == 1
    assert whole.get_xlabel() == ""


def test_the_heat_map_shows_known_cells_in_a_legible_ink():
    active = pd.DataFrame(
        [[100, 1, 49, 51, 100], [50, 25, 5, *[np.nan] * 2], [8, *[np.nan] * 4]],
        index=pd.period_range("2024-01", periods=3, freq="M"),
    )
    ax = history.plot_retention(cohorts.Retention("M", active))
    assert [text.get_text() for text in ax.texts] == ["1", "49", "51", "100", "50", "10"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["2024-01  (100)", "2024-02  (50)"]
    cells = ax.collections[0].get_facecolor()[:6]
    for text, cell in zip(ax.texts, cells, strict=True):
        ink, shade = text.get_color(), mpl.colors.to_hex(cell)
        assert oracle.contrast(ink, shade) >= 4.5
        assert oracle.contrast(on_dark(ink), on_dark(shade)) >= 4.5


@pytest.mark.parametrize("amounts", [[98, 1, 1, 1, 1], [1, 1, 1, 1, 1], [4, 3, 2, 1, 1]])
def test_the_label_of_the_lorenz_curve_covers_no_line(amounts):
    curve = segments.lorenz_curve(amounts)
    ax = history.plot_lorenz(curve, "revenue")
    ax.figure.draw_without_rendering()
    box = ax.texts[0].get_window_extent().transformed(ax.transData.inverted())
    x = np.linspace(box.x0, box.x1, 50)
    for line in (100 * np.interp(x / 100, *curve.T), x):
        assert not ((box.y0 < line) & (line < box.y1)).any()


# --- sentences: reversed data reverse the verdict -------------------------------------------------


def test_returning_customers_turn_into_new_ones():
    sales = cohorts.new_and_returning(months(), "M")
    assert "both count alike" in history.tell_sales(sales, "EUR")  # 55 and 55
    more = sales.assign(returning=10 * sales["returning"])
    assert history.tell_sales(more, "EUR").endswith("lives on customers who come back.")
    swapped = more.rename(columns={"new": "returning", "returning": "new"})
    assert history.tell_sales(swapped, "EUR").endswith("the shop lives on new customers.")
    alone = history.tell_sales(sales.assign(returning=0.0), "EUR")
    assert "new customers brought all of 55 EUR" in alone
    assert "0%" not in alone
    assert "nobody paid" in history.tell_sales(0 * sales, "EUR")


def test_the_peak_is_compared_with_the_last_month_that_is_over():
    sales = cohorts.new_and_returning(months(), "M")
    assert history.tell_peak(sales, "EUR", LAST) == (
        "Most was sold in 2024-02: 60 EUR. In 2024-03, the last month that is over, it was 58% of "
        "that."
    )
    early = history.tell_peak(sales, "EUR", pd.Timestamp("2024-03-10"))
    assert early.endswith("60 EUR. That is the last month that is over.")
    late = sales.assign(new=0.0, returning=[0.0, 0.0, 9.0])
    assert "not over yet" in history.tell_peak(late, "EUR", pd.Timestamp("2024-03-10"))


def test_younger_cohorts_that_stay_turn_into_ones_that_leave():
    index = pd.period_range("2024-01", periods=2, freq="M")
    young = pd.DataFrame([[100, 10.0], [100, 60.0]], index=index)
    said = [
        history.tell_retention(cohorts.Retention("M", frame))
        for frame in (young, young.iloc[::-1].set_axis(index), young / 50)
    ]
    words = [re.search("more often|less often|about as often", text)[0] for text in said]
    assert words == ["more often", "less often", "about as often"]  # four customers prove nothing
    assert "35%" in said[0]
    assert "only one month" in history.tell_retention(cohorts.Retention("M", young.head(1)))


def test_few_who_carried_most_turn_into_many():
    verdicts = [
        history.tell_lorenz(segments.lorenz_curve(amounts), "revenue").rsplit(": ", 1)[1]
        for amounts in ([90, 1, 1, 1, 1], [1, 1, 1, 1, 1])
    ]
    assert verdicts == ["few customers carry most of it.", "it is spread widely."]


def test_segments_that_agree_turn_into_ones_that_differ():
    agree = pd.DataFrame(
        [[0, 9], [9, 0]], index=["champions", "hibernating"], columns=["asleep", "regular"]
    )
    said = sentences.tell_segments(agree)
    assert "mostly say the same" in said
    assert "contradict each other for nobody" in said
    other = sentences.tell_segments(agree.iloc[::-1].set_axis(agree.index))
    assert "often differ" in other
    assert "9 customers whom RFM calls recent are most likely in 'asleep' already" in other
    assert "nothing to compare" in sentences.tell_segments(agree.iloc[:0])


def test_a_share_that_stays_neither_falls_nor_rises():
    assert figures._tell_course(0.101, 0.099) == "stay at 10%"
    assert figures._tell_course(0.1, 0.2) == "rise from 10% to 20%"
    assert figures._tell_course(0.2, 0.1) == "fall from 20% to 10%"


# --- advice ---------------------------------------------------------------------------------------


def advised(done, n_repair, n_keep=3):
    """Return what is said on Monday of so many customers."""
    customers = pd.DataFrame({
        "suggested_action": ["repair"] * n_repair + ["keep"] * n_keep,
        "repair_value": 10.0,
        "value": 20.0,
    })  # fmt: skip
    return advice.tell_monday(done, customers)


def test_monday_depends_on_who_fell(shop_study):  # noqa: F811
    many, few, nobody, nothing = (
        advised(shop_study, *counts) for counts in ((200,), (5,), (0,), (0, 0))
    )
    assert "a random half of the 200 customers marked “repair”" in many
    assert "at most 2,000" in many
    assert "contact the 5 customers" in few
    assert "spend nothing on win-back offers" in nobody
    assert "the 3 customers marked “keep”" in nobody
    assert "change nothing" in nothing
    for said in (many, few, nobody, nothing):
        assert said.startswith("On Monday, ")
        assert said.count(". ") == 0, "one sentence"
    fit = hand_made(shop_study.fit.model, shop_study.fit.panel, problems=["R-hat is 1.9"])
    assert "do nothing" in advised(dataclasses.replace(shop_study, fit=fit), 200)


@pytest.mark.parametrize(
    ("error", "said"), [(0.91, "91% too many"), (-0.4, "40% too few"), (0.1, "")]
)
def test_monday_says_when_its_amounts_are_rough(shop_study, error, said):  # noqa: F811
    test = shop_study.holdout
    errors = test.errors.assign(total_error=error)
    done = dataclasses.replace(shop_study, holdout=dataclasses.replace(test, errors=errors))
    for n_repair in (5, 200):
        text = advised(done, n_repair)
        assert said in text
        assert ("a rough figure" in text) is bool(said)


def test_actions_say_why_for_how_much_and_how_sure(shop_study):  # noqa: F811
    names = shop_study.names
    table = pd.DataFrame({
        "customer_id": ["low", "best", "fell", "small"],
        "last_order": "2023-11-30",
        **{f"p_{name}": [0.7, 0.1, 0.25, 0.5] for name in names[:1]},
        **{f"p_{name}": [0.1, 0.2, 0.50, 0.3] for name in names[1:2]},
        **{f"p_{name}": [0.2, 0.7, 0.25, 0.2] for name in names[2:3]},
        **{f"p_{name}": 0.0 for name in names[3:]},
        "most_likely_stage": [names[0], names[2], names[1], names[0]],
        "stage_a_season_ago": [names[0], names[2], names[2], names[1]],
        "fell": [0, 0, 1, 1],
        "p_order_next_year": [0.1, 0.95, 0.6, 0.2],
        "value": [1.0, 99.0, 30.0, 2.0],
        "repair_value": [0.0, -3.0, 40.0, 4.0],
        "suggested_action": ["none", "keep", "repair", "watch"],
    })  # fmt: skip
    found = advice.next_actions(shop_study, table)
    assert list(found.columns) == list(advice.describe_actions(shop_study))
    assert found["customer_id"].tolist() == ["fell", "small", "best"]
    assert found["worth"].tolist() == [40, 4, 99]
    assert found["how_sure"].tolist() == [0.75, 0.5, 0.95]
    since = shop_study.plan.season_start.date()
    assert found["reason"][0] == (
        f"fell from '{names[2]}' to '{names[1]}' since {since}; last order on 2023-11-30"
    )
    assert most_to_win(table)["customer_id"].tolist() == ["fell", "small"]
    assert most_to_win(table.assign(repair_value=-1.0)).empty


def test_the_rows_to_act_upon_lose_no_action(shop_study):  # noqa: F811
    whole = list_customers(shop_study)
    some = to_act_upon(whole)
    assert 0 < len(some) < len(whole)
    pd.testing.assert_frame_equal(
        advice.next_actions(shop_study, some), advice.next_actions(shop_study, whole)
    )
    for name in ("fallen", "top"):
        made = [tables.make_tables(shop_study, one)[name] for one in (some, whole)]
        assert made[0] == made[1]


# --- the page -------------------------------------------------------------------------------------


def rendered(done):
    return page.render_report(done, list_customers(done), pseudonyms=False, made="")


def test_rows_read_less_those_set_aside_are_the_rows_used(shop_study):  # noqa: F811
    findings = (
        Finding("returns", 3, "set aside", 3),
        Finding("zero", 5, "kept"),
        Finding("no date", 40, "set aside", 40),
    )
    quality = dataclasses.replace(
        shop_study.sales.quality, rows_read=143, rows_used=100, findings=findings
    )
    done = dataclasses.replace(
        shop_study, sales=dataclasses.replace(shop_study.sales, quality=quality)
    )
    rows = tables.make_tables(done, list_customers(done))["findings"].rows
    assert [row[0] for row in rows] == ["rows read", "no date", "returns", "rows used", "zero"]
    read, *aside, used = (int(row[1]) for row in rows[:4])
    assert read - sum(aside) == used


def test_every_guess_is_listed_with_the_option_that_overrides_it(shop_study):  # noqa: F811
    rows = tables.make_tables(shop_study, list_customers(shop_study))["decisions"].rows
    evidence = {row[0]: row[2] for row in rows}
    assert evidence["customer column"].endswith(" (--customer)")
    assert evidence["dates"].endswith(" (--date-order)")
    known = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(FileOptions)}
    offered = {one for said in tables._OVERRIDES.values() for one in said.split(", ")}
    assert offered <= known
    assert [row[0] for row in rows[-1:]] == ["periods"], "the form of a file comes last"


def test_a_stage_of_nobody_is_left_out_and_named(shop_study):  # noqa: F811
    top = len(shop_study.names) - 1
    scored = shop_study.scored
    size = scored.stages.copy()
    size[..., top] = 0.1
    frame = scored.customers.assign(
        now=scored.customers["now"].clip(upper=top - 1),
        before=scored.customers["before"].clip(upper=top - 1),
    )
    done = dataclasses.replace(
        shop_study, scored=dataclasses.replace(scored, stages=size, customers=frame)
    )
    made = tables.make_tables(done, list_customers(done))
    name = shop_study.names[top]
    for table in (made["stages"], made["flow"], made["segments"]):
        assert f"Nobody is in '{name}'." in table.caption
        assert name not in [*table.head, *(row[0] for row in table.rows)]
    whole = tables.make_tables(shop_study, list_customers(shop_study))["stages"]
    assert name in [row[0] for row in whole.rows]
    assert "Nobody" not in whole.caption


def test_a_table_of_nobody_is_not_shown(shop_study):  # noqa: F811
    still = shop_study.scored.customers.assign(before=0)
    done = dataclasses.replace(
        shop_study, scored=dataclasses.replace(shop_study.scored, customers=still)
    )
    made = tables.make_tables(done, list_customers(done))
    assert "fallen" not in made
    assert [row[0] for row in made["actions"].rows] == ["keep", "none"]
    text = rendered(done)
    assert 'id="drifting"' not in text
    assert "spend nothing on win-back offers" in text


def test_every_figure_has_a_sentence_and_headings_do_not_skip(shop_study):  # noqa: F811
    text = rendered(shop_study)
    reader = Reader(text)
    alts = [image["alt"] for image in reader.images]
    assert len(alts) == len(set(alts)) == 7
    assert all(len(alt) > 40 and re.search(r"\d", alt) for alt in alts)
    levels = [int(tag[1]) for tag in reader.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1
    assert text.index('class="monday"') < text.index("In short")


def test_the_page_explains_the_words_that_it_uses(shop_study):  # noqa: F811
    text = rendered(shop_study)
    terms = re.findall("<dt>(.*?)</dt>", text)
    assert {shop_study.names[0], "stage", "season", "Gamma-Gamma", "interval (90%)"} <= set(terms)
    assert not {"R-hat", "entropy"} & set(terms)
    fit = hand_made(shop_study.fit.model, shop_study.fit.panel, problems=["R-hat is 1.9"])
    assert "<dt>R-hat</dt>" in rendered(dataclasses.replace(shop_study, fit=fit))


def looked_back(orders, window):
    has_amounts = "amount" in orders
    return history.look_back(
        SimpleNamespace(
            sales=Sales(orders, "EUR", window, None),
            known=first_days(orders),
            has_amounts=has_amounts,
        )
    )


def test_one_calendar_month_is_shown_by_weeks():
    rng = np.random.default_rng(1)
    days = pd.Timestamp("2024-03-04") + pd.to_timedelta(rng.integers(0, 21, 90), unit="D")
    orders = pd.DataFrame({"customer_id": rng.integers(0, 30, 90).astype("str"), "date": days})
    past = looked_back(orders, (days.min(), days.max()))
    assert set(history.draw_history(past, "orders")) == {"sales", "retention", "lorenz"}
    assert len(past.sales) == 3
    day = looked_back(orders.assign(date=days.min()), (days.min(), days.min()))
    assert set(history.draw_history(day, "orders")) == {"lorenz"}


def test_customers_who_paid_nothing_have_no_lorenz_curve():
    past = looked_back(SIX.assign(amount=0.0), (SIX["date"].min(), LAST))
    assert set(history.draw_history(past, "EUR")) == {"retention"}


def test_the_past_of_six_orders():
    past = looked_back(SIX, (SIX["date"].min(), LAST))
    assert sorted(past.brought) == [10, 40, 60]
    assert past.noun == "revenue"
    assert past.sales["new"].tolist() == [15, 40, 0]
    without = looked_back(SIX.drop(columns="amount"), (SIX["date"].min(), LAST))
    assert sorted(without.brought) == [1, 2, 3]
    assert without.noun == "orders"


def test_a_broad_table_says_that_it_can_be_slid():
    narrow = parts.Table("a", "", ["Stage", "n"], [["lost", "12"]])
    broad = parts.Table("b", "", ["Stage", *"abcd"], [["lost", *["1,234,567"] * 4]])
    assert not narrow.is_broad
    assert broad.is_broad
    assert not dataclasses.replace(broad, words=True).is_broad
    css = (Path(parts.__file__).parent / "page.css").read_text()
    assert re.search(r"\.broad \.table::before \{ content: .*slide the table", css)


# --- figures on a dark page -----------------------------------------------------------------------

PAPER = "#15181C"
FILTER = "filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen;"


def on_dark(colour):
    """Apply the filter of the style sheet: it mirrors luma and keeps hue; paper shows through."""
    channels, paper = (np.array([int(h[k : k + 2], 16) for k in (1, 3, 5)]) / 255 for h in
                       (colour, PAPER))  # fmt: skip
    turned = 1 - channels
    luma = turned @ [0.213, 0.715, 0.072]
    mirrored = np.clip(2 * luma - turned, 0, 1)
    shown = 1 - (1 - mirrored) * (1 - paper)
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in shown)


def test_colours_stay_apart_on_a_dark_page():
    css = (Path(parts.__file__).parent / "page.css").read_text()
    assert FILTER in css
    assert f"--paper: {PAPER.lower()}" in css.split("prefers-color-scheme: dark")[1]
    assert on_dark("#FFFFFF") == PAPER  # no slab
    assert min(oracle.contrast(on_dark(ink), PAPER) for ink in (INK, MUTED)) >= 4.5
    assert min(oracle.contrast(on_dark(line), PAPER) for line in LINES) >= 4.5
    for ramp in (TOGETHER_RAMP, APART_RAMP):
        shades = [on_dark(colour) for colour in ramp]
        assert (np.diff(oracle.lightness(shades)) > 5).all()
    ten = [on_dark(colour) for colour in (*TOGETHER_RAMP, *APART_RAMP)]
    for vision in oracle.VISIONS:  # 2 to 3 is just noticeable; a report uses the first ramp only
        assert oracle.smallest_difference(ten[:5], vision) >= 6.5
        assert oracle.smallest_difference(ten, vision) >= 4
