"""Exports of shop systems: recognised by their headers, and read as their vendors mean them.

The files are invented; their columns are those of the vendors' documentation.
"""

import pandas as pd
import pytest
from test_reading import adds_up, chose, found
from test_reading_large import assert_same

from crmlab.errors import DataError
from crmlab.reading import ReadingOptions, read_sales
from crmlab.reading.presets import PRESETS, find_preset
from tests.cases.faults import given

TODAY = "2025-01-01"
ANN, BOB, CY = "ann@example.org", "bob@example.org", "cy@example.org"
RIGHT = {
    "23_shopify_lines.csv": ("Shopify", "EUR", {(ANN, "2024-01-05"): 45.0,
                                                (ANN, "2024-02-09"): 40.0,
                                                (CY, "2024-03-11"): 35.0}),
    "40_woocommerce.csv": ("WooCommerce", "EUR", {(ANN, "2024-01-05"): 45.0,
                                                  (BOB, "2024-01-09"): 25.0,
                                                  (CY, "2024-03-20"): 12.5}),
    "41_magento.csv": ("Magento", "EUR", {(ANN, "2024-01-05"): 45.0, (BOB, "2024-01-09"): 25.0,
                                          (CY, "2024-03-20"): 12.5}),
    "42_stripe.csv": ("Stripe", "EUR", {("cus_a", "2024-01-05"): 45.0,
                                        ("cus_b", "2024-01-09"): 25.0,
                                        ("cus_c", "2024-03-20"): 12.5}),
    "43_amazon.tsv": ("Amazon", "EUR", {("ann@m.example.org", "2024-01-05"): 45.0,
                                        ("bob@m.example.org", "2024-01-09"): 25.0,
                                        ("cy@m.example.org", "2024-03-20"): 12.5}),
    "44_olist.csv": ("Olist", "currency units", {("u_ann", "2018-01-05"): 45.0,
                                                 ("u_bob", "2018-01-09"): 25.0,
                                                 ("u_cy", "2018-03-20"): 12.5}),
}  # fmt: skip


def paid(sales):
    orders = sales.orders
    days = orders["date"].dt.strftime("%Y-%m-%d")
    return orders.groupby(["customer_id", days])["amount"].sum().to_dict()


@pytest.mark.parametrize("name", RIGHT)
def test_an_export_is_read_as_its_vendor_means_it(name):
    system, currency, right = RIGHT[name]
    sales = read_sales(given(name), ReadingOptions(today=TODAY))
    assert chose(sales)["preset"] == system
    assert sales.currency == currency
    assert paid(sales) == right
    assert adds_up(sales.quality)
    assert f"as {system} exports it" in str(sales.quality.decisions)


@pytest.mark.parametrize("name", RIGHT)
def test_both_engines_read_an_export_alike(name):
    assert_same(given(name))


def test_what_the_user_says_overrides_a_preset():
    path = given("40_woocommerce.csv")
    said = ReadingOptions(customer="customer_id", amount="item_total", refund="none", today=TODAY)
    sales = read_sales(path, said)
    assert set(sales.orders["customer_id"]) <= {"7", "0"}
    assert chose(sales)["amount column"] == "item_total"
    assert chose(sales)["order column"] == "order_id"
    first = sales.orders[sales.orders["date"] == "2024-01-05"]
    assert first["amount"].sum() == 40.0
    kept = read_sales(given("41_magento.csv"), ReadingOptions(no_sale="none", today=TODAY))
    assert set(kept.orders["date"].dt.month) == {1, 2, 3}


@pytest.mark.parametrize(
    ("missing", "revenue"),
    [("Financial Status", 155.0), ("Lineitem quantity", 120.0), ("Refunded Amount", 180.0)],
)
def test_an_export_without_one_of_its_columns_is_still_known(missing, revenue, tmp_path):
    frame = pd.read_csv(given("23_shopify_lines.csv"), dtype=str).drop(columns=missing)
    frame.to_csv(tmp_path / "orders.csv", index=False)
    sales = read_sales(tmp_path / "orders.csv", ReadingOptions(today=TODAY))
    assert chose(sales)["preset"] == "Shopify"
    assert sales.orders["amount"].sum() == revenue
    assert_same(tmp_path / "orders.csv")


def test_lines_that_have_no_total_are_listed():
    sales = read_sales(given("23_shopify_lines.csv"), ReadingOptions(today=TODAY))
    assert found(sales)["further lines of an order"] == 2


def test_an_order_without_a_total_is_told():
    frame = pd.read_csv(given("23_shopify_lines.csv"), dtype=str).fillna("")
    frame.loc[len(frame) - 1, "Total"] = ""
    sales = read_sales(frame, ReadingOptions(today=TODAY))
    assert found(sales)["orders without a total on any line"] == 1
    assert adds_up(sales.quality)


def test_any_file_may_have_totals_on_first_lines_only():
    frame = pd.DataFrame({"customer": ["a", "a", "b"], "order id": ["1", "1", "2"],
                          "date": ["2024-01-05"] * 3, "amount": ["5.50", "", "7.25"]})  # fmt: skip
    sales = read_sales(frame, ReadingOptions(amount_of="first-line", today=TODAY))
    assert sales.orders["amount"].tolist() == [5.5, 7.25]
    with pytest.raises(DataError, match="--amount-of first-line"):
        read_sales(frame, ReadingOptions(today=TODAY))


def test_a_file_of_no_system_has_no_preset():
    assert find_preset(["customer", "date", "amount", "order id", "status"]) is None


def test_no_export_has_the_signs_of_two_systems():
    for preset in PRESETS:
        headers = {*preset.signs, *(names[0] for names in preset.columns.values())}
        assert find_preset(sorted(headers)).name == preset.name
