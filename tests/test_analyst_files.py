"""Files beside the orders: what the stages see of them, and what the report says.

Fits are made by hand; the shop is invented.
"""

import dataclasses
import json
import re
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from crmlab.analyst import (
    actions,
    contributions,
    fitting,
    holdout,
    model as stage_model,
    page,
    plan,
    sentences,
    sources,
    study,
)
from crmlab.analyst.customers import describe_columns, list_customers, needed_success, suggest
from crmlab.analyst.example_shop import simulate_orders, simulate_shop
from crmlab.analyst.plan import describe_periods, drop_unfinished_month
from crmlab.channels import OrdinalSurvey
from crmlab.cli import analyst
from crmlab.errors import DataError
from crmlab.inference import load_fit
from crmlab.prediction import score_histories
from crmlab.reading import EventFile, read_events, read_sales
from tests.test_analyst_report import NASTY, OPTIONS, hand_made
from tests.test_demo import Reader

KINDS = ("touchpoints", "surveys", "cases", "actions")


@pytest.fixture(scope="module")
def shop():
    frames = simulate_shop(150, 52, seed=4)
    letters = frames["actions"]["action"].replace("letter", NASTY)
    return {**frames, "actions": frames["actions"].assign(action=letters)}


@pytest.fixture(scope="module")
def read(shop):
    sales = read_sales(shop["orders"], OPTIONS)
    files = [EventFile(kind, shop[kind]) for kind in KINDS]
    return sales, tuple(read_events(file, sales, OPTIONS) for file in files)


@pytest.fixture(scope="module")
def done(read):
    patch = pytest.MonkeyPatch()
    patch.setattr(fitting, "fit", hand_made)
    told = []
    made = study.study_sales(read[0], study.Settings(sample=100), told.append, read[1])
    patch.undo()
    assert any("compiled" in line for line in told)
    return made


@pytest.fixture(scope="module")
def seen(read):
    sales, events = read
    laid = plan.make_plan(sales.orders, sales.window)
    return laid, sources.choose_sources(sales.orders, sales.window[0], events, laid)[0]


@pytest.fixture(scope="module")
def html(done):
    return page.render_report(done, list_customers(done), pseudonyms=False, made="")


# --- what is seen ---------------------------------------------------------------------------------


def test_cells_hold_what_the_files_say(read, seen):
    """Counted again, row by row."""
    (sales, events), (laid, looked) = read, seen
    some = sales.orders[sales.orders["customer_id"] < "C00026"]
    panel = looked.panel(some, laid)
    starts = pd.DatetimeIndex(panel["period"].values)
    assert looked.names == ("touchpoints", "surveys")
    for one in events[:2]:
        score = one.kind == "surveys"
        edges = (
            sources.find_edges(one.frame["score"][one.frame["date"] < laid.cutoff]) if score else 0
        )
        expected = np.full((len(panel["customer_id"]), len(starts)), np.nan)
        for n, customer in enumerate(panel["customer_id"].values):
            mine = one.frame[one.frame["customer_id"] == customer]
            for t, start in enumerate(starts):
                here = mine[(mine["date"] >= start) & (mine["date"] < start + pd.Timedelta("7D"))]
                known = one.recorded[0] < start + pd.Timedelta("7D") and start <= one.recorded[1]
                if not panel["observed"].values[n, t]:
                    continue
                if score and len(here):
                    last = here.sort_values(["date", "score"])["score"].iloc[-1]
                    expected[n, t] = 1 + sum(last >= edge for edge in edges)
                elif not score and known:
                    expected[n, t] = len(here)
        expected[:, 0] = np.nan  # the first week is cut
        np.testing.assert_array_equal(panel[one.kind].values, expected)
        assert np.nansum(expected) > 20


def test_a_first_period_that_is_cut_tells_nothing(read, seen):
    sales, (laid, looked) = read[0], seen
    assert laid.first < sales.window[0]
    counts = looked.panel(sales.orders, laid)["repeat_orders"].values
    assert np.isnan(counts[:, 0]).all()
    whole = sources.Sources(laid.first).panel(sales.orders, laid)["repeat_orders"].values
    np.testing.assert_array_equal(counts[:, 1:], whole[:, 1:])
    assert "the first one lacks" in describe_periods(sales, laid).evidence


def test_eyes_close_at_the_cutoff(read, seen):
    sales, (laid, looked) = read[0], seen
    panel = looked.until(laid.cutoff).panel(sales.orders, laid)
    late = panel["period"].values >= np.datetime64(laid.cutoff)
    for name in looked.names:
        assert np.isnan(panel[name].values[:, late]).all()
        assert np.nansum(panel[name].values[:, ~late]) > 0
    assert np.nansum(panel["repeat_orders"].values[:, late]) > 0


def test_a_withheld_channel_leaves_the_likelihood_of_orders_alone(read, seen):
    """Marginal over a channel that is missing everywhere: the model of the others."""
    sales, (laid, looked) = read[0], seen
    orders = sales.orders
    bare = sources.Sources(sales.window[0])
    logliks = []
    for other in (bare, looked):
        rates = stage_model.typical_rates(laid)
        model = stage_model.build_model(rates, may_lose=False, more=other.channels)
        fitted = hand_made(model, other.panel(orders, laid))
        panel = other.showing(()).panel(orders, laid)
        logliks.append(score_histories(fitted, panel=panel, draws=20)["loglik"])
    np.testing.assert_allclose(*logliks, rtol=1e-12)


def test_few_records_make_no_channel(read, seen):
    sales, events = read
    early = events[0].frame[events[0].frame["date"] < seen[0].cutoff]
    short = dataclasses.replace(events[0], frame=early.head(59))
    looked, verdicts = sources.choose_sources(sales.orders, sales.window[0], [short], seen[0])
    assert looked.files == ()
    assert "59 records" in verdicts[0].why
    flat = dataclasses.replace(events[1], frame=events[1].frame.assign(score=3.0))
    assert sources.find_problem(flat, seen[0]) == "all answers are the same"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3.5, 7, 10]), min_size=1, max_size=80))
def test_each_level_holds_a_tenth_of_the_answers(scores):
    scores = pd.Series(scores, dtype=float)
    edges = sources.find_edges(scores)
    levels = sources.grade(scores, edges)
    assert set(levels) == set(range(1, len(edges) + 2))
    if edges:
        assert min(np.mean(levels == k) for k in set(levels)) >= 0.1 - 1e-12
    order = np.argsort(scores, kind="stable")
    assert (np.diff(levels[order]) >= 0).all()


def test_a_customer_in_the_middle_answers_as_all_do(seen):
    channel = next(s for s in seen[1].files if s.name == "surveys").channel
    assert isinstance(channel, OrdinalSurvey)
    sight = next(s for s in seen[1].files if s.name == "surveys")
    early = sight.days["value"][sight.days["date"] < seen[0].cutoff]
    shares = [(early == k).mean() for k in range(1, channel.n_levels + 1)]
    np.testing.assert_allclose(channel.level_probs(0.0), shares, atol=1e-3)  # cutpoints: 3 digits


# --- what it adds, and what was done --------------------------------------------------------------


def test_what_files_add_is_counted_from_the_law_of_each_customer(done):
    assert list(done.contributions.index) == [
        contributions.ORDERS, "orders and touchpoints", "orders and surveys",
        "orders and all of these files",
    ]  # fmt: skip
    first = done.contributions.iloc[0]
    assert (first["changed"], first["log_score"]) == (0, 0)
    assert done.contributions["likeliest"].between(0.25, 1).all()
    assert done.contributions["entropy"].between(0, 2).all()
    assert set(done.holdout.readings) == {(), ("touchpoints",), ("surveys",),
                                          ("touchpoints", "surveys")}  # fmt: skip
    assert "stages from orders alone" in done.holdout.errors.index


def test_surer_turns_into_less_sure_and_better_into_worse():
    table = pd.DataFrame({"likeliest": [0.7, 0.8], "log_score": [0.0, 12.0]},
                         index=["orders alone", "orders and surveys"])  # fmt: skip
    said = sentences.tell_added(table)
    assert "With surveys" in said
    assert "the stages are more certain" in said
    assert "better than without them (log score +12.0)" in said
    turned = sentences.tell_added(table.assign(likeliest=[0.8, 0.7], log_score=[0.0, -12.0]))
    assert "less certain" in turned
    assert "worse than without" in turned
    blind = sentences.tell_added(table.assign(log_score=[0.0, -12.0]))
    assert blind.endswith("so do not trust the new certainty.")
    same = sentences.tell_added(table.assign(likeliest=0.7, log_score=0.2))
    assert "as certain" in same
    assert "as well as without" in same


def test_files_that_help_turn_into_files_that_harm(done):
    test, best = done.holdout, done.holdout.chosen
    for alone, said in ((-9.0, "better"), (9.0, "worse, so compare"), (0.2, "hardly any")):
        scores = dict.fromkeys(holdout.VERSIONS, -100.0)
        turned = dataclasses.replace(test, log_scores={**scores, best: 0.0, holdout.ALONE: alone})
        assert turned.chosen == best
        assert said in sentences.tell_alone(turned)


def test_actions_are_compared_stage_by_stage(done):
    """The same numbers by listing customers."""
    events = done.events[3].frame
    begin = done.plan.season_start
    assert (done.plan.last - begin).days + 1 == 7 * done.plan.season
    there = done.scored.customers.set_index("customer_id")
    there = there[there["periods"] > done.plan.season]
    recent = set(events["customer_id"][events["date"] >= begin])
    fell = {True: [], False: []}
    for customer, row in there.iterrows():
        fell[customer in recent].append((row["before"], row["now"] < row["before"]))
    by_stage = pd.DataFrame(fell[False]).groupby(0)[1].mean()
    treated = pd.DataFrame(fell[True])
    treated = treated[treated[0].isin(by_stage.index)]
    row = done.actions.loc[actions.ANY]
    assert row["followed"] == len(treated)
    assert row["fell"] == pytest.approx(treated[1].mean())
    assert row["fell_others"] == pytest.approx(by_stage.loc[treated[0]].mean())
    assert row["rows"] == len(events)
    assert row["cost"] == pytest.approx(events["cost"].mean())


def test_more_often_turns_into_less_often(done):
    table = done.actions
    assert table.loc[actions.ANY, "fell"] != table.loc[actions.ANY, "fell_others"]
    turned = table.rename(columns={"fell": "fell_others", "fell_others": "fell"})
    said = [sentences.tell_followed(one, 13, "week") for one in (table, turned)]
    assert {re.search("(more|less) often", text)[0] for text in said} == {"more often",
                                                                         "less often"}  # fmt: skip
    assert all("cannot tell" in text for text in said)
    nobody = table.assign(followed=0)
    assert sentences.tell_followed(nobody, 13, "week").startswith("Nobody can be compared")


def test_a_cost_decides_whom_to_repair(done):
    assert done.action_cost == pytest.approx(done.events[3].frame["cost"].median())
    frame = done.scored.customers
    repaired = suggest(done.scored, 0.0) == "repair"
    assert repaired.any()
    dear = float(frame["repair"][repaired].median())
    words = suggest(done.scored, dear)
    assert (words[repaired & (frame["repair"] <= dear)] == "watch").all()
    assert (words[repaired & (frame["repair"] > dear)] == "repair").all()
    assert (suggest(done.scored) == suggest(done.scored, 0.0)).all()
    needed = needed_success(frame, dear)
    assert (needed[words == "repair"] <= 1.0).all()
    table = list_customers(done)
    assert list(table.columns) == list(describe_columns(done))
    assert (
        table["needed_success"].notna().sum()
        == (frame["repair"] > 0)[frame["now"] < frame["before"]].sum()
    )


# --- the page -------------------------------------------------------------------------------------


def test_the_page_tells_of_every_file(html, done):
    sections = html.split("<h2 id=")[1:]
    names = [text[1 : text.index('"', 1)] for text in sections]
    assert names == ["data", "past", "stand", "sure", "added", "apart", "acted", "worth", "test",
                     "fits", "not", "files", "words"]  # fmt: skip
    for name, text in zip(names[:10], sections[:10], strict=True):
        assert text.rstrip().endswith("</p>"), name
        assert '<p class="end">' in text, name
    reader = Reader(html)
    assert len(reader.ids) == len(set(reader.ids))
    inside = {link for link in reader.links if link.startswith("#")}
    assert {link.removeprefix("#") for link in inside} <= set(reader.ids)
    plain = re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    assert not re.search(r"\b(nan|inf|None)\b", plain)
    assert "Read from orders, touchpoints and surveys." in html
    assert "Not used for the stages: 58 records" in html
    assert "Orders alone can never show ten" in html
    for one in done.events:
        for finding in one.quality.findings:
            assert finding.what.replace("'", "&#39;") in html


def test_very_many_customers_are_read_with_fewer_draws(done, html, monkeypatch):
    assert "40 draws of the fit" not in html
    monkeypatch.setattr(page, "MANY", 100)
    said = page.render_report(done, list_customers(done), pseudonyms=False, made="")
    assert "40 draws of the fit are read instead of 100" in said


def test_names_of_actions_are_never_markup(html):
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "fit", hand_made)
    monkeypatch.chdir(tmp_path)
    made = ["simulate", "--customers", "100", "--weeks", "40", "--seed", "2"]
    assert analyst.main([*made, "--with-files", "beside"]) == 0
    return tmp_path


@pytest.mark.bits
def test_a_report_with_files_is_made_again_byte_for_byte(files, capsys):
    named = [word for kind in KINDS for word in (f"--{kind}", f"beside/{kind}.csv")]
    ask = ["report", "orders.csv", *named, "--pseudonymise", "my.key", "--sample", "100",
           "--column", "surveys.score=score"]  # fmt: skip
    assert analyst.main([*ask, "--out", "one"]) == 0
    said = capsys.readouterr().err
    for text in ("rows are touchpoints", "rows are actions", "customers without an order"):
        assert text in said
    assert analyst.main(["report", "--from", "one", "--out", "two"]) == 0
    for name in ("customers.csv", "customers_columns.csv", "quality.json", "report.html"):
        assert (files / "one" / name).read_bytes() == (files / "two" / name).read_bytes(), name
    written = "".join((files / "one" / n).read_text() for n in ("customers.csv", "quality.json"))
    assert not re.search(r"C00\d\d\d|C9\d\d\d\d", written)
    capsys.readouterr()
    assert analyst.main(["score", "orders.csv", "--report", "one", "--pseudonymise", "my.key"]) == 0
    assert "count as not known" in capsys.readouterr().err
    with (files / "beside/cases.csv").open("a") as file:
        file.write("C00001,2023-05-05,,late\n")
    again = analyst.main(["report", "--from", "one", "--out", "three"])
    assert again == analyst.Code.DATA
    assert "cases.csv has changed" in capsys.readouterr().err


def test_odd_words_about_columns_are_refused(files, capsys):
    for words, said in (
        (["--column", "surveys.score=x"], "there is no --surveys"),
        (["--surveys", "beside/surveys.csv", "--column", "score"], "takes FILE.COLUMN=NAME"),
        (
            ["--surveys", "beside/surveys.csv", "--column", "surveys.cost=x"],
            "'cost' is not one of customer, date, score, kind",
        ),
    ):
        assert analyst.main(["report", "orders.csv", *words]) == analyst.Code.DATA
        assert said in capsys.readouterr().err
    wrong = ["--surveys", "beside/actions.csv"]
    assert analyst.main(["report", "orders.csv", *wrong]) == analyst.Code.DATA
    assert "surveys, actions.csv: no column looks like the score" in capsys.readouterr().err


def test_the_invented_files_do_not_change_the_orders(files):
    frames = simulate_shop(100, 40, seed=2)
    pd.testing.assert_frame_equal(frames["orders"], simulate_orders(100, 40, seed=2))
    for kind in KINDS:
        assert len(pd.read_csv(files / f"beside/{kind}.csv")) == len(frames[kind])


# --- scores with files ----------------------------------------------------------------------------


@pytest.fixture
def rated(files):
    """A report with files; only its options tell which column of the surveys is the score."""
    path = files / "beside/surveys.csv"
    text = path.read_text().replace("score", "q7", 1)
    path.write_text(text)
    ask = ["report", "orders.csv", "--touchpoints", "beside/touchpoints.csv", "--surveys",
           "beside/surveys.csv", "--column", "surveys.score=q7", "--pseudonymise", "my.key",
           "--sample", "100", "--margin", "0.5", "--out", "one"]  # fmt: skip
    assert analyst.main(ask) == 0
    return files


BESIDE = ["--touchpoints", "beside/touchpoints.csv", "--surveys", "beside/surveys.csv"]


def scores(capsys, *words):
    capsys.readouterr()
    assert analyst.main(["score", "orders.csv", "--report", "one", *words]) == 0
    said = capsys.readouterr()
    return pd.read_csv(StringIO(said.out)).set_index("customer_id"), " ".join(said.err.split())


def test_a_report_with_files_scores_its_own_files_as_it_did(rated, capsys):
    """Columns, key and margin are those of the report, and so are the numbers."""
    found, said = scores(capsys, *BESIDE)
    assert "not known" not in said
    table = pd.read_csv(rated / "one/customers.csv").set_index("customer_id").loc[found.index]
    stages = [name for name in found if name.startswith("p_")]
    # customers.csv keeps fewer digits
    np.testing.assert_allclose(found[stages], table[stages], atol=0.006)
    np.testing.assert_allclose(found["value"], table["value"], rtol=0.01, atol=0.51)
    bare, said = scores(capsys)
    assert "touchpoints and surveys count as not known" in said
    assert (found[stages] - bare[stages]).abs().max().max() > 0.05
    double, _ = scores(capsys, *BESIDE, "--margin", "1")
    np.testing.assert_allclose(double["value"], 2 * found["value"], atol=0.011)


def test_new_files_are_graded_by_the_levels_of_the_report(rated, capsys):
    """Answers of a few customers, all high: alone they have no levels."""
    answers = pd.read_csv(rated / "beside/surveys.csv")
    said = json.loads((rated / "one/manifest.json").read_text())
    assert said["levels"]["surveys"] == sorted(said["levels"]["surveys"])
    best, worst = (answers.head(12).assign(q7=score) for score in (answers["q7"].max(), 0))
    for name, frame in (("best", best), ("worst", worst)):
        frame.to_csv(rated / f"{name}.csv", index=False)
    high, low = (scores(capsys, "--surveys", f"{name}.csv")[0] for name in ("best", "worst"))
    changed = high["expected_orders"] - low["expected_orders"]
    assert (changed >= -1e-9).all()
    assert 0 < (changed > 0).sum() <= 12


def test_a_report_that_wrote_no_levels_says_so(rated, capsys):
    path = rated / "one/manifest.json"
    said = json.loads(path.read_text())
    del said["levels"]
    path.write_text(json.dumps(said))
    words = ["score", "orders.csv", "--report", "one"]
    assert analyst.main([*words, *BESIDE]) == analyst.Code.DATA
    assert "`levels.surveys` must have" in capsys.readouterr().err
    assert analyst.main([*words, *BESIDE[:2]]) == 0
    assert "surveys count as not known" in capsys.readouterr().err


def test_a_key_that_is_not_there_is_not_made_anew(rated, capsys):
    (rated / "my.key").unlink()
    assert analyst.main(["score", "orders.csv", "--report", "one"]) == analyst.Code.DATA
    assert "name the file with --pseudonymise" in capsys.readouterr().err
    assert not (rated / "my.key").exists()


def test_a_fit_sees_files_and_reads_as_a_report_did(rated, capsys):
    assert analyst.main(["fit", "orders.csv", "--report", "one", *BESIDE, "--out", "fitted"]) == 0
    fitted = load_fit("fitted")
    assert [one.name for one in fitted.model.channels[1:]] == ["touchpoints", "surveys"]
    assert fitted.panel.sizes == load_fit("one/fit").panel.sizes
    names = fitted.panel["customer_id"].values
    assert set(names) == set(load_fit("one/fit").panel["customer_id"].values)  # under the key
    few = ["--cases", "beside/cases.csv", "--since", "2099-01-01"]
    assert analyst.main(["fit", "orders.csv", *few, "--out", "none"]) == analyst.Code.DATA
    assert not (rated / "none").exists()


# --- months that are not over ---------------------------------------------------------------------


def long_sales(last):
    rng = np.random.default_rng(3)
    days = pd.date_range("2020-01-20", last)
    picks = np.r_[[0] * 40, rng.integers(0, len(days), 900), [len(days) - 1] * 3]
    frame = pd.DataFrame({"customer": np.r_[np.arange(40), rng.integers(0, 40, 903)],
                          "date": days[picks].strftime("%Y-%m-%d")})  # fmt: skip
    return read_sales(frame, OPTIONS)


def test_a_month_that_is_not_over_is_set_aside_and_counted():
    sales = long_sales("2023-07-12")
    settled = drop_unfinished_month(sales)
    assert settled.window[1] == pd.Timestamp("2023-06-30")
    late = int((sales.orders["date"] > "2023-06-30").sum())
    finding = settled.quality.findings[-1]
    assert (finding.rows, finding.set_aside) == (late, late)
    assert "2023-07-01 to 2023-07-12" in finding.what
    assert settled.quality.rows_used == len(settled.orders) == len(sales.orders) - late
    assert drop_unfinished_month(settled) == settled
    laid = plan.make_plan(settled.orders, settled.window)
    assert laid.freq == "M"
    assert laid.last == pd.Timestamp("2023-06-30")
    said = describe_periods(settled, laid).evidence
    assert "up to the last complete one" in said
    assert "the first one lacks 19 days" in said
    assert np.isnan(sources.Sources(settled.window[0]).panel(settled.orders, laid)
                    ["repeat_orders"].values[:, 0]).all()  # fmt: skip


def test_whole_months_and_weeks_stay_as_they_are():
    for last in ("2023-06-30", "2023-06-28", "2021-06-12"):
        sales = long_sales(last)
        assert drop_unfinished_month(sales) is sales


def test_nothing_left_is_said():
    late = long_sales("2023-07-12")
    only = dataclasses.replace(late, orders=late.orders[late.orders["date"] > "2023-06-30"])
    with pytest.raises(DataError, match="there is no order before 2023-06-30"):
        drop_unfinished_month(only)
