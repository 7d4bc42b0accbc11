"""A report from orders on disk: the same numbers as from orders in memory."""

import numpy as np
import pandas as pd
import pytest

from crmlab import chains
from crmlab.analyst import book, plan
from crmlab.analyst.invented import invent_orders
from crmlab.analyst.walk import Walk
from crmlab.demo.writing import to_csv
from crmlab.reading import ReadingOptions, read_sales


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "orders.csv"
    path.write_text(to_csv(invent_orders(150, 60, seed=3)))
    return [read_sales(path, ReadingOptions(large=large)) for large in (False, True)]


def test_what_a_report_asks_has_the_same_answers(routes):
    small, large = (sales.orders for sales in routes)
    window = routes[0].window
    assert routes[0].quality == routes[1].quality
    assert routes[1].window == window
    for ask in (book.first_days, lambda orders: book.summarise_orders(orders, window)):
        pd.testing.assert_frame_equal(
            ask(large), ask(small), check_dtype=False, check_names=False, rtol=1e-12
        )
    ours, theirs = book.tally_days(small), book.tally_days(large)
    for name in ("joined", "repeats"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert dict(one) == dict(other)
    assert ours.n_repeaters == theirs.n_repeaters
    assert plan.make_plan(small, window) == plan.make_plan(large, window)
    middle = window[0] + (window[1] - window[0]) / 2
    assert book.count_until(small, middle) == book.count_until(large, middle)
    assert len(book.orders_until(large, middle)) == len(book.orders_until(small, middle))


def test_blocks_hold_every_customer_once(routes, monkeypatch):
    monkeypatch.setattr(book, "_BLOCK_ROWS", 90)
    small, large = (sales.orders for sales in routes)
    blocks = list(book.order_blocks(large, 20))
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
    assert len(book.orders_of(large, some)) == len(book.orders_of(small, some))


@pytest.mark.parametrize("shift", [0.0, -900.0])  # where probabilities are too small for a double
def test_the_walk_is_the_filter(shift):
    rng = np.random.default_rng(5)
    n, T, K = 30, 9, 3
    initial, matrix = rng.dirichlet(np.ones(K)), rng.dirichlet(np.ones(K), size=K)
    tables = [(rng.normal(size=(v, K)) * 3 + shift, rng.integers(0, v, (n, T))) for v in (4, 6)]
    if shift:
        matrix, initial = np.eye(K), np.eye(K)[0]
        tables[0][0][:, 0] -= 900.0
    first = rng.integers(0, 4, n)
    last = rng.integers(5, T, n)
    counts = rng.integers(1, 5, n)
    then = np.maximum(last - 3, first)
    now, before, river, loglik = Walk(initial, matrix, tables, first, last).follow(then, counts)
    scores = sum(table[codes] for table, codes in tables)
    result = chains.forward(initial, matrix, scores, first, last)
    rows = np.arange(n)
    np.testing.assert_allclose(now, result.filtered[rows, last], atol=1e-12)
    np.testing.assert_allclose(before, result.filtered[rows, then], atol=1e-12)
    np.testing.assert_allclose(loglik, result.loglik, rtol=1e-12)
    expected = np.einsum("n,ntk->tk", counts, np.nan_to_num(result.filtered))
    np.testing.assert_allclose(river, expected, atol=1e-10)
