"""A report from orders on disk: the same numbers as from orders in memory."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crmlab.analyst import orders as questions, plan, scoring
from crmlab.analyst.example_shop import simulate_orders
from crmlab.analyst.model import build_model, typical_rates
from crmlab.analyst.sources import Sources
from crmlab.inference import Fit
from crmlab.reading import ReadingOptions, read_sales
from crmlab.report.parts import to_csv


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "orders.csv"
    path.write_text(to_csv(simulate_orders(150, 60, seed=3)))
    return [read_sales(path, ReadingOptions(large=large)) for large in (False, True)]


def test_what_a_report_asks_has_the_same_answers(routes):
    small, large = (sales.orders for sales in routes)
    window = routes[0].window
    assert routes[0].quality == routes[1].quality
    assert routes[1].window == window
    for ask in (questions.first_days, lambda orders: questions.summarise_orders(orders, window)):
        pd.testing.assert_frame_equal(
            ask(large), ask(small), check_dtype=False, check_names=False, rtol=1e-12
        )
    for unit in "WMQY":
        pd.testing.assert_frame_equal(
            questions.count_cohorts(large, unit),
            questions.count_cohorts(small, unit),
            check_dtype=False,
            rtol=1e-12,
        )
    ours, theirs = questions.tally_days(small), questions.tally_days(large)
    for name in ("joined", "repeats"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert dict(one) == dict(other)
    assert ours.n_repeaters == theirs.n_repeaters
    assert plan.make_plan(small, window) == plan.make_plan(large, window)
    middle = window[0] + (window[1] - window[0]) / 2
    assert questions.count_until(small, middle) == questions.count_until(large, middle)
    assert len(questions.orders_until(large, middle)) == len(questions.orders_until(small, middle))


def test_blocks_hold_every_customer_once(routes, monkeypatch):
    monkeypatch.setattr(questions, "_BLOCK_ROWS", 90)
    small, large = (sales.orders for sales in routes)
    blocks = list(questions.order_blocks(large, 20))
    assert len(blocks) > 5
    together = pd.concat(blocks, ignore_index=True)
    columns = list(small.columns)
    pd.testing.assert_frame_equal(
        together[columns].sort_values(columns, ignore_index=True),
        small.sort_values(columns, ignore_index=True),
    )
    ids = [set(block["customer_id"]) for block in blocks]
    assert sum(map(len, ids)) == len(set.union(*ids))
    some = small["customer_id"].unique()[[3, 17]]
    assert len(questions.orders_of(large, some)) == len(questions.orders_of(small, some))


@pytest.fixture(scope="module")
def fit(routes):
    """Draws that were made up: scoring does not ask where they come from."""
    made = plan.make_plan(routes[0].orders, routes[0].window)
    model = build_model(typical_rates(made), may_lose=True)
    rng, size = np.random.default_rng(5), (2, 10)
    matrix = rng.uniform(0.1, 1.0, (*size, 4, 4)) * model.space.mask
    levels = np.array(typical_rates(made))
    draws = {
        "initial_probs": (("chain", "draw", "stage"), rng.dirichlet((2, 3, 3, 2), size)),
        "transition_matrix": (
            ("chain", "draw", "stage_from", "stage_to"),
            matrix / matrix.sum(axis=-1, keepdims=True),
        ),
        "repeat_orders_rate": (("chain", "draw", "stage"), rng.gamma(30, levels / 30, (*size, 4))),
    }
    names = {dim: list(model.space.names) for dim in ("stage", "stage_from", "stage_to")}
    panel = Sources(routes[0].window[0]).panel(routes[0].orders, made)
    posterior = xr.DataTree.from_dict({"posterior": xr.Dataset(draws, names)})
    return Fit(model, panel, posterior)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block", [40, 1000])
def test_blocks_and_threads_change_no_byte_of_the_scores(routes, fit, monkeypatch, block, threads):
    monkeypatch.setattr(scoring, "THREADS", threads)
    monkeypatch.setattr(scoring, "BLOCK", block)
    monkeypatch.setattr(questions, "_BLOCK_ROWS", 5 * block)
    small, large = (sales.orders for sales in routes)
    made, sources = plan.make_plan(small, routes[0].window), Sources(routes[0].window[0])
    spend = pd.Series(np.linspace(5, 90, 150), np.sort(small["customer_id"].unique()))
    drawn = scoring.read_draws(fit, made.year, draws=20)
    whole = scoring.score_panel(sources.panel(small, made), spend, made, fit, drawn)
    for orders in (small, large):
        found = scoring.score_orders(orders, spend, made, fit, drawn, read=sources.panel)
        assert found.customers.to_csv() == whole.customers.to_csv()


def test_sums_do_not_depend_on_the_order_of_the_rows(tmp_path):
    rng = np.random.default_rng(7)
    n = 4_000
    shop = pd.DataFrame({
        "customer_id": rng.integers(0, 60, n),
        "date": (pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, n), "D")),
        "amount": rng.integers(1, 99_999, n) / 100,
    })  # fmt: skip
    asked = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.csv"
        path.write_text(to_csv(shop.sample(frac=1, random_state=seed)))
        sales = read_sales(path, ReadingOptions(large=True))
        asked.append([
            questions.first_days(sales.orders),
            questions.summarise_orders(sales.orders, sales.window),
        ])  # fmt: skip
    for one, other in zip(*asked, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
