"""A report from orders on disk: the same numbers as from orders in memory."""

import pandas as pd
import pytest

from crmlab.analyst import orders as questions, plan
from crmlab.analyst.example_shop import simulate_orders
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
