"""The report on a file of one's own, without its sampler: fits are made by hand.

The shop in most of what follows is invented.
"""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crmlab.analyst import (
    fitting,
    folder,
    holdout,
    manifest,
    model as stage_model,
    page,
    plan,
    replicates,
    sample,
    scoring,
    sentences,
    sources,
    study,
)
from crmlab.analyst.customers import describe_columns, fallen, list_customers
from crmlab.analyst.example_shop import simulate_orders
from crmlab.analyst.purchase_models import BGNBD_NAME, NAIVE
from crmlab.errors import DataError, SpecError
from crmlab.prediction import score_histories
from crmlab.reading import ReadingOptions, read_sales
from tests.oracles import paths as oracle
from tests.test_demo import Reader, fit_by_hand, normalised
from tests.test_folders import refused

NASTY = "<script>alert(1)</script>"
OPTIONS = ReadingOptions(today="2026-01-01")
MATRIX = np.array([[0.99, 0.01, 0, 0], [0.03, 0.95, 0.02, 0], [0, 0.04, 0.94, 0.02],
                   [0, 0, 0.05, 0.95]])  # fmt: skip


def hand_made(model, panel, *, problems=(), **options):
    """Stand in for the sampler: levels as multiples of what the model expects before looking."""
    K = len(model.space)
    matrix = np.where(model.space.mask, MATRIX[:K, :K], 0.0)
    parameters = {
        "initial_probs": normalised(np.array([0.4, 0.4, 0.15, 0.05])[:K]),
        "transition_matrix": normalised(matrix),
        "repeat_orders_rate": np.array(model.channels[0].typical_rate),
    }
    for channel in model.channels[1:]:
        name = f"{channel.name}_{channel.parameter_names[0]}"
        steps = np.linspace(0.1, 1.0, K)  # upwards: rates, or places on the scale of a survey
        parameters[name] = getattr(channel, "typical_rate", 1.0) * steps
    return fit_by_hand(model, panel, parameters, problems=problems)


@pytest.fixture(scope="module")
def shop():
    orders = simulate_orders(150, 52, seed=4)
    orders["customer_id"] = orders["customer_id"].replace("C00001", NASTY)
    return orders.rename(columns={"amount": "<b>amount"})


@pytest.fixture(scope="module")
def shop_study(shop):
    patch = pytest.MonkeyPatch()
    patch.setattr(fitting, "fit", hand_made)
    told = []
    done = study.study_sales(read_sales(shop, OPTIONS), study.Settings(sample=100), told.append)
    patch.undo()
    return done


@pytest.fixture(scope="module")
def html(shop_study):
    customers = list_customers(shop_study)
    return page.render_report(shop_study, customers, pseudonyms=False, made="Made by a test.")


# --- the plan -------------------------------------------------------------------------------------


def test_a_file_that_carries_no_stages_is_refused_with_counts():
    few = pd.DataFrame({"customer_id": ["a", "a", "b"], "date": pd.to_datetime(
        ["2024-01-01", "2024-02-01", "2024-03-01"])})  # fmt: skip
    with pytest.raises(DataError, match=r"1 customers who ordered again .at least 20 are needed"):
        plan.make_plan(few, (few["date"].min(), few["date"].max()))


@pytest.mark.parametrize(("n_days", "freq"), [(60, "D"), (400, "W"), (2000, "M")])
def test_periods_cover_the_window_and_end_with_it(n_days, freq):
    first = pd.Timestamp("2020-01-15")
    rng = np.random.default_rng(1)
    days = np.concatenate([[0] * 60, rng.integers(1, n_days, 600)])
    orders = pd.DataFrame({"customer_id": np.arange(660) % 60,
                           "date": first + pd.to_timedelta(days, unit="D")})  # fmt: skip
    last = first + pd.Timedelta(days=n_days - 1)
    made = plan.make_plan(orders, (first, last))
    assert (made.freq, made.last) == (freq, last)
    assert made.first <= first < made.cutoff < last
    assert 0.2 < made.n_ahead / made.n_periods < 0.4
    panel = sources.make_panel(orders[orders["date"] <= last], made)
    assert panel.sizes["period"] == made.n_periods
    before = orders[orders["date"] < made.cutoff]
    early = sources.make_panel(before, made.before_cutoff())
    assert early.sizes["period"] == made.n_seen


@pytest.mark.bits
def test_samples_are_nested_and_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(2)
    base = pd.DataFrame({"frequency": rng.poisson(1, 500), "T": rng.uniform(1, 60, 500)})
    small, large = (sample.draw_sample(base, n, seed=1) for n in (100, 250))
    assert (small <= large).all()
    assert abs(large.sum() - 250) < 15
    mixed = base.sample(frac=1, random_state=3)
    again = pd.Series(sample.draw_sample(mixed, 100, seed=1), index=mixed.index).sort_index()
    assert (again.to_numpy() == small).all()
    assert (sample.draw_sample(base, 100, seed=2) != small).any()


# --- scoring --------------------------------------------------------------------------------------


def test_scores_are_bayes_rule_over_all_paths():
    """Two customers, four weeks: every path listed; the year ahead is two weeks."""
    orders = pd.DataFrame({"customer_id": ["a", "a", "b"], "date": pd.to_datetime(
        ["2024-01-01", "2024-01-16", "2024-01-02"])})  # fmt: skip
    first = pd.Timestamp("2024-01-01")
    short = plan.Plan("W", first, first + pd.Timedelta(days=27), first, 4, 4, 0.2)
    panel = sources.make_panel(orders, short)
    fitted = hand_made(
        stage_model.build_model(stage_model.typical_rates(short), may_lose=False), panel
    )
    drawn = scoring.read_draws(fitted, 2, discount=0.1, draws=20)
    spend = pd.Series({"a": 10.0, "b": 2.0})
    scored = scoring.score_panel(panel, spend, short, fitted, drawn)
    loglik = score_histories(fitted, panel=panel, draws=20)["loglik"].values
    P, rate, start = drawn.matrix[0, 3], drawn.rate[0, 3], drawn.initial[0, 3]
    for n, counts in enumerate(([0, 0, 1, 0], [0, 0, 0, 0])):
        logs = [[y * np.log(r) - r for r in rate] for y in counts]
        law = oracle.filtered(start, [P] * 3, logs)[-1]
        assert loglik[0, 3, n] == pytest.approx(oracle.loglik(start, [P] * 3, logs))
        ahead = law @ P @ rate / 1.1 + law @ P @ P @ rate / 1.1**2
        assert law @ drawn.worth[0, 3] == pytest.approx(ahead)
        assert law @ drawn.orders[0, 3] == pytest.approx(law @ (P + P @ P) @ rate)
        quiet = np.diag(np.exp(-rate))
        assert law @ drawn.silent[0, 3] == pytest.approx((law @ P @ quiet @ P @ quiet).sum())
    totals = scored.totals["value"].mean()
    assert totals == pytest.approx(scored.customers["value"].sum())


def test_histories_that_are_too_improbable_for_a_double_are_scored():
    """All start in the lowest stage and stay there, where an order has probability 1e-200."""
    days = pd.to_datetime(["2024-01-01", "2024-01-09", "2024-01-16", "2024-01-23"])
    orders = pd.DataFrame({"customer_id": ["a"] * 4 + ["b"], "date": [*days, days[0]]})
    short = plan.Plan("W", days[0], days[0] + pd.Timedelta(days=27), days[0], 4, 4, 0.2)
    panel = sources.make_panel(orders, short)
    model = stage_model.build_model((0.1, 0.2, 0.3, 0.4), may_lose=False)
    parameters = {
        "initial_probs": np.eye(4)[0],
        "transition_matrix": np.eye(4),
        "repeat_orders_rate": np.array([1e-200, 0.05, 0.2, 0.7]),
    }
    fitted = fit_by_hand(model, panel, parameters, wobble=0.0)
    found = score_histories(fitted, panel=panel, ago=2, draws=2)
    np.testing.assert_allclose(found["loglik"], [[[3 * np.log(1e-200), 0.0]]] * 2, atol=1e-9)
    np.testing.assert_array_equal(found["now"], found["earlier"])
    np.testing.assert_allclose(found["occupancy"].sel(stage="asleep"), 2.0)


def test_blocks_do_not_change_a_score(shop_study, monkeypatch):
    monkeypatch.setattr(scoring, "BLOCK", 37)
    done = shop_study
    again = scoring.score_orders(
        done.sales.orders,
        done.purchases.per_order(),
        done.plan,
        done.fit,
        done.drawn,
        read=sources.Sources(done.sales.window[0]).panel,
    )
    whole = done.scored.customers.set_index("customer_id")
    parts = again.customers.set_index("customer_id").loc[whole.index]
    pd.testing.assert_frame_equal(parts, whole, check_exact=False, rtol=1e-12)
    np.testing.assert_allclose(again.stages, done.scored.stages)


def test_the_model_s_own_customers_are_like_it():
    """One stage that matters: repeat orders are Poisson, so shares are known."""
    first = pd.Timestamp("2024-01-01")
    short = plan.Plan("W", first, first + pd.Timedelta(days=69), first, 10, 10, 0.1)
    orders = pd.DataFrame({"customer_id": np.arange(2000), "date": first})
    panel = sources.make_panel(orders, short)
    one = np.ones((1, 40, 1))
    dims = ("chain", "draw", "stage")
    posterior = xr.Dataset({
        "initial_probs": (dims, one),
        "transition_matrix": (("chain", "draw", "stage_from", "stage_to"), one[..., None]),
        "repeat_orders_rate": (dims, 0.1 * one),
    })  # fmt: skip
    drawn = scoring.StageDraws(posterior, one, one, one)
    table = replicates.check_counts(panel, drawn, seed=1)
    assert table.loc[0, "expected"] == pytest.approx(np.exp(-1), abs=0.006)  # 5 sd of 40 x 2000
    assert table.loc[0, "seen"] == 1.0
    assert "does not make data like these" in sentences.tell_fit(table)


# --- sentences: reversed data reverse the verdict -------------------------------------------------


def turned(done):
    """The same study with time turned round: who fell rises, late orders are early."""
    frame = done.scored.customers
    swapped = frame.assign(now=frame["before"], before=frame["now"], repair=-frame["repair"])
    orders = done.sales.orders
    mirrored = orders.assign(date=done.plan.first + (done.plan.last - orders["date"]))
    return dataclasses.replace(
        done,
        sales=dataclasses.replace(done.sales, orders=mirrored),
        scored=dataclasses.replace(done.scored, customers=swapped),
    )


def test_more_orders_turn_into_fewer(shop_study):
    said = sentences.tell_data(shop_study), sentences.tell_data(turned(shop_study))
    assert {re.search("more|fewer", text)[0] for text in said} == {"more", "fewer"}


def test_falling_turns_into_rising(shop_study):
    fell, rose = sentences.count_moves(shop_study)
    assert fell != rose
    said = sentences.tell_stand(shop_study), sentences.tell_stand(turned(shop_study))
    verdicts = [text.rsplit(": ", 1)[1] for text in said]
    assert set(verdicts) == {"more fell than rose.", "more rose than fell."}


def test_a_repair_of_nobody_is_no_repair(shop_study):
    assert fallen(shop_study.scored).any()
    assert " fell; " in sentences.tell_drift(shop_study)
    level = shop_study.scored.customers.assign(before=0)
    still = dataclasses.replace(
        shop_study, scored=dataclasses.replace(shop_study.scored, customers=level)
    )
    assert sentences.tell_drift(still).startswith("Nobody is in a lower stage")


def test_too_high_turns_into_too_low():
    table = pd.DataFrame({"predicted": [0.2, 0.6], "observed": [0.1, 0.3], "n": [50, 50],
                          "lower": [0.05, 0.2], "upper": [0.15, 0.4]})  # fmt: skip
    other = table.rename(columns={"predicted": "observed", "observed": "predicted"})
    assert "too high" in sentences.tell_sure(table, 26, "week")
    assert "too low" in sentences.tell_sure(other, 26, "week")


def test_the_winner_of_the_test_changes_with_the_errors(shop_study):
    test = shop_study.holdout
    best = holdout.name_of(test.chosen)
    column = "root_mean_squared_error"
    for winner in (best, BGNBD_NAME, NAIVE):
        errors = test.errors.assign(**{column: 2.0})
        errors.loc[winner, column] = 1.0
        said = sentences.tell_test(dataclasses.replace(test, errors=errors))
        assert f"Customer by customer, {winner} was closest" in said


def test_few_who_carry_turn_into_many(shop_study):
    flat = dataclasses.replace(
        shop_study,
        scored=dataclasses.replace(
            shop_study.scored, customers=shop_study.scored.customers.assign(value=1.0)
        ),
    )
    assert sentences.tell_worth(flat).endswith("it is spread widely.")
    steep = flat.scored.customers.assign(value=np.r_[1000.0, np.ones(149)])
    one = dataclasses.replace(flat, scored=dataclasses.replace(flat.scored, customers=steep))
    assert sentences.tell_worth(one).endswith("a few carry most of it.")


def test_a_moving_answer_asks_for_a_larger_sample():
    frame = pd.DataFrame({"mean": [100.0, 102.0], "low": 95.0, "high": 107.0}, index=[50, 100])
    assert "a larger sample would tell little" in sentences.tell_sample(frame, 1000)
    wide = frame.assign(low=75.0, high=135.0)
    assert "a larger sample would narrow" in sentences.tell_sample(wide, 1000)
    frame.loc[50, "mean"] = 150.0
    assert "fit a larger sample" in sentences.tell_sample(frame, 1000)
    assert "no sample was drawn" in sentences.tell_sample(frame.iloc[1:], 100)


# --- the page and the table -----------------------------------------------------------------------


def test_every_section_ends_in_a_sentence(html):
    sections = html.split("<h2 id=")[1:]
    names = [text[1 : text.index('"', 1)] for text in sections]
    assert names == ["data", "past", "stand", "sure", "apart", "worth", "test", "fits", "not",
                     "files", "words"]  # fmt: skip
    for name, text in zip(names[:8], sections[:8], strict=True):
        assert text.rstrip().endswith("</p>"), name
        assert '<p class="end">' in text, name


def test_the_page_needs_nothing_and_its_links_lead_somewhere(html):
    reader = Reader(html)
    assert len(reader.ids) == len(set(reader.ids))
    inside = {link for link in reader.links if link.startswith("#")}
    assert {link.removeprefix("#") for link in inside} <= set(reader.ids)
    assert set(reader.links) - inside == set(page.FILES)  # which are the files of the folder, below
    assert not re.search(r"src=\"(?!data:image/png)", html)
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    assert not re.search(r"\b(nan|inf|None)\b", text)
    assert "Orders alone can never show ten" in html


def test_text_of_a_file_is_never_markup(shop_study):
    moved = shop_study.scored.customers
    here = moved["customer_id"] == NASTY
    assert here.sum() == 1
    moved = moved.assign(now=np.where(here, 0, moved["now"]), before=np.where(here, 3, 0),
                         repair=np.where(here, 1e6, 0),
                         value=np.where(here, 1e6, moved["value"]))  # fmt: skip
    done = dataclasses.replace(
        shop_study, scored=dataclasses.replace(shop_study.scored, customers=moved)
    )
    text = page.render_report(done, list_customers(done), pseudonyms=False, made="")
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2  # most to win, and most worth
    assert "&lt;b&gt;amount" in text


def test_a_fit_that_has_not_converged_says_so_before_anything_else(shop_study, html):
    assert "Do not read this yet" not in html
    model, panel = shop_study.fit.model, shop_study.fit.panel
    shaky = dataclasses.replace(shop_study, fit=hand_made(model, panel, problems=["R-hat is 1.9"]))
    text = page.render_report(shaky, list_customers(shop_study), pseudonyms=False, made="")
    assert text.index("Do not read this yet") < text.index('id="data"')


def test_every_column_is_described_and_rows_agree(shop_study):
    frame = list_customers(shop_study)
    assert list(frame.columns) == list(describe_columns(shop_study))
    assert frame["customer_id"].is_unique
    assert frame.notna().all().all()
    assert (frame["value_low"] <= frame["value_high"]).all()
    probs = frame[[f"p_{name}" for name in shop_study.names]]
    assert np.allclose(probs.sum(axis=1), 1, atol=0.03)
    assert (frame.loc[frame["fell"] == 0, "suggested_action"].isin(["keep", "none"])).all()
    days = shop_study.sales.orders.groupby("customer_id")["date"].nunique()
    assert frame.set_index("customer_id")["orders"].equals(days.astype("int64").rename("orders"))


def test_orders_without_amounts_are_valued_in_orders(shop):
    patch = pytest.MonkeyPatch()
    patch.setattr(fitting, "fit", hand_made)
    bare = read_sales(shop[["customer_id", "date"]], OPTIONS)
    done = study.study_sales(bare, study.Settings(), lambda line: None)
    patch.undo()
    frame = list_customers(done)
    assert list(frame.columns) == list(describe_columns(done))
    assert "worth is counted in orders" in page.render_report(
        done, frame, pseudonyms=False, made=""
    )


# --- the folder -----------------------------------------------------------------------------------


@pytest.fixture
def request_(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "fit", hand_made)
    shop.to_csv(tmp_path / "orders.csv", index=False)
    return manifest.Request(tmp_path / "orders.csv", OPTIONS, study.Settings(sample=100))


@pytest.mark.bits
def test_the_manifest_makes_the_same_table(request_, tmp_path):
    told = []
    folder.write_report(request_, tmp_path / "one", tell=told.append)
    folder.rewrite_report(tmp_path / "one" / "manifest.json", tmp_path / "two", tell=told.append)
    for name in ("customers.csv", "next_actions.csv", "report.html"):
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
        assert one == two, name
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"report.html", *(name.removesuffix("/") for name in page.FILES)}
    said = json.loads((tmp_path / "one/manifest.json").read_text())
    assert said["inputs"]["source"]["path"] == "../orders.csv"
    assert set(said["versions"]) >= {"crmlab", "numpy", "pymc"}
    (tmp_path / "orders.csv").write_text("customer,date\na,2024-01-01\n")
    with pytest.raises(DataError, match="has changed since"):
        folder.rewrite_report(tmp_path / "one", tmp_path / "two", tell=told.append)


def test_pseudonyms_hide_every_id_and_score_the_same(request_, tmp_path):
    hidden = dataclasses.replace(request_, key=tmp_path / "my.key")
    folder.write_report(hidden, tmp_path / "out", tell=lambda line: None)
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"C000" not in path.read_bytes(), path.name
    assert "Ids are pseudonyms" in (tmp_path / "out/report.html").read_text()
    scores = folder.score_file(hidden, tmp_path / "out", tell=lambda line: None)
    table = pd.read_csv(tmp_path / "out/customers.csv").set_index("customer_id")
    np.testing.assert_allclose(
        scores.set_index("customer_id")["expected_orders"].loc[table.index],
        table["expected_orders"], atol=0.06,
    )  # fmt: skip


@pytest.mark.parametrize("mark", [None, '{"name": "my app", "start_url": "/"}'])
def test_a_folder_of_something_else_is_not_replaced(request_, tmp_path, mark):
    """It is refused before anything is read, so that nobody waits for a fit in vain."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("dear")
    if mark:
        (tmp_path / "mine/manifest.json").write_text(mark)
    told = []
    with pytest.raises(SpecError, match="is something else"):
        folder.write_report(request_, tmp_path / "mine", tell=told.append)
    assert (tmp_path / "mine/diary.txt").read_text() == "dear"
    assert told == []


def test_an_older_report_is_replaced_and_a_file_of_others_in_it_survives(request_, tmp_path):
    for _ in range(2):
        folder.write_report(request_, tmp_path / "out", tell=lambda line: None)
    before = (tmp_path / "out/customers.csv").read_bytes()
    (tmp_path / "out/fit/notes.txt").write_text("mine")
    with pytest.raises(SpecError, match=r"also holds fit/notes\.txt"):
        folder.write_report(request_, tmp_path / "out", tell=lambda line: None)
    (tmp_path / "out/fit/notes.txt").unlink()
    with refused("new"):  # the disk gives up while the new one is written
        folder.write_report(request_, tmp_path / "out", tell=lambda line: None)
    assert (tmp_path / "out/customers.csv").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"orders.csv", "out"}


def test_a_report_of_an_older_version_is_replaced(request_, tmp_path):
    """Its manifest lists no files, and the fit in it describes nothing but its model."""
    folder.write_report(request_, tmp_path / "out", tell=lambda line: None)
    (tmp_path / "out/next_actions.csv").unlink()  # older versions did not write it
    for name, dropped in (("manifest.json", "files"), ("fit/model.json", "format")):
        said = json.loads((tmp_path / "out" / name).read_text())
        del said[dropped]
        (tmp_path / "out" / name).write_text(json.dumps(said.get("model", said)))
    assert manifest.request_again(tmp_path / "out", print).source == tmp_path / "orders.csv"
    folder.write_report(request_, tmp_path / "out", tell=lambda line: None)
    assert json.loads((tmp_path / "out/fit/model.json").read_text())["format"] == "crmlab fit"


def test_what_is_no_manifest_is_said_to_be_none(tmp_path):
    for text in ("", "[]", '{"format": "else"}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=r"manifest\.json: "):
            manifest.read_manifest(tmp_path)
