"""What the reader guesses about orders: listed, overruled by an option, alike in both engines."""

import io
import json
from dataclasses import asdict, fields

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from test_reading import adds_up, chose, found, put
from test_reading_large import LARGE, SMALL, assert_same, outcome

from crmlab.analyst.plan import describe_periods, drop_unfinished_month, make_plan
from crmlab.cli.options import FileOptions
from crmlab.errors import DataError, SpecError
from crmlab.reading import ReadingOptions, read_raw, read_sales
from crmlab.reading.columns import Columns
from crmlab.reading.rows import FrameRawRows
from crmlab.reading.schedules import find_constant_gaps
from crmlab.reading.status import NO_SALE, OPEN, SALE, UNKNOWN, meaning_of
from tests.cases.faults import ORDERS

TODAY = "2026-12-01"


def read(text, **options):
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    sales = read_sales(frame, ReadingOptions(**{"today": TODAY, **options}))
    assert adds_up(sales.quality)
    return sales


def revenue(sales):
    return round(float(sales.orders["amount"].sum()), 2)


def told(sales, what):
    (done,) = [finding.done for finding in sales.quality.findings if finding.what == what]
    return done


# --- both engines ---------------------------------------------------------------------------------

TEXTS = sorted(path.name for path in ORDERS.glob("*.[ct]sv"))
OVERRULED = {
    "01_order_total_on_every_line.csv": {"amount_of": "line"},
    "02a_status_words.csv": {"no_sale": "none,on-hold"},
    "03a_woo_guest_zero.csv": {"guests": "none"},
    "16a_refund_column.csv": {"refund": "none"},
    "17_amazon_item_price.tsv": {"price": "item-price"},
    "24_total_row_dated.csv": {"guests": "Grand Total"},
    "30_equal_lines_of_one_order.csv": {"drop_repeats": True},
    "31_newsletter_status.csv": {"status": "newsletter status"},
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_case_comes_out_alike_on_disk(name):
    assert_same(ORDERS / name)
    if name in OVERRULED:
        assert_same(ORDERS / name, OVERRULED[name])


@pytest.mark.parametrize(
    ("name", "left"),
    [("01_order_total_on_every_line.csv", 210.0), ("02a_status_words.csv", 60.5),
     ("03a_woo_guest_zero.csv", 1050.0), ("16a_refund_column.csv", 150.0),
     ("17_amazon_item_price.tsv", 960.0), ("24_total_row_dated.csv", 300.0),
     ("30_equal_lines_of_one_order.csv", 49.99), ("31_newsletter_status.csv", 1.0)],
)  # fmt: skip
def test_an_option_overrules_each_guess(name, left):
    sales = read_sales(ORDERS / name, ReadingOptions(today=TODAY, **OVERRULED[name]))
    assert revenue(sales) == left
    assert adds_up(sales.quality)


word = st.sampled_from(["completed", "on-hold", "wc-cancelled", "refunded", "", "blue"])
row = st.tuples(
    st.sampled_from(["1", "2", "3", "4", " 4", ""]),  # order
    st.sampled_from(["a", "A", "b", "Guest", "0", "-1", "7.0", "7", "\u00a0b", ""]),  # customer
    st.sampled_from(["2024-01-05", "2024-01-06", "2024-02-07", "2026-12-02", "soon"]),
    st.sampled_from(["5.50", "5.50", "9.25", "-5.50", "-12.00", "0.00", "x"]),
    st.sampled_from(["", "0", "5.50", "2.25", "-1.00"]),  # refund
    word,
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(row, min_size=1, max_size=14),
    header=st.sampled_from(["amount", "order total"]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "amount_of": st.sampled_from(["order", "line"]),
            "drop_repeats": st.booleans(),
            "no_sale": st.sampled_from(["none", "blue,on-hold", "none,blue"]),
            "guests": st.sampled_from(["none", "a,b"]),
            "status": st.sampled_from(["none", "state of it"]),
            "order": st.sampled_from(["none", "#1"]),
            "refund": st.just("none"),
            "since": st.just("2024-01-06"),
        },
    ),
)
def test_rows_add_up_in_both_engines_whatever_is_guessed(rows, header, options, tmp_path):
    plain = [(f"{k + 50}", f"c{k}", "2024-03-04", f"{k}.75", "", "completed") for k in range(120)]
    text = "\n".join(",".join(r) for r in [*plain, *rows])
    file = f"order id,customer,date,{header},refunded amount,state of it\n{text}\n"
    path = put(tmp_path, file.replace("state of it", "order status", 1))
    if options.get("status") == "state of it":
        options = {**options, "status": "order status"}
    assert_same(path, {"today": TODAY, **options})
    small = outcome(path, {**SMALL, "today": TODAY, **options})
    if not isinstance(small, str):
        assert small[0].rows_read == 120 + len(rows)
        assert len(small[3]) == small[0].rows_used


def test_stored_columns_are_guessed_alike(tmp_path):
    n = 90
    frame = pd.DataFrame({
        "order_id": pd.array([k // 2 for k in range(n)], dtype="Int64"),
        "customer": [f"c{k // 2 % 9}" for k in range(n)],
        "date": [pd.Timestamp("2024-01-01") + pd.Timedelta(days=k // 2) for k in range(n)],
        "order total": [1.5 + k // 2 for k in range(n)],
        "refunded": [0.5 * (k // 2 % 4) for k in range(n)],
        "sku": ["xy"[k % 2] for k in range(n)],
    })  # fmt: skip
    for name, orders in {
        "numbers": frame["order_id"],
        "gaps": frame["order_id"].mask(frame["order_id"] == 5),
        "floats": frame["order_id"].astype(float) + 0.5,
        "texts": frame["order_id"].astype(str) + "\u00a0",
        "texts with gaps": frame["order_id"].astype(str).mask(frame["order_id"] == 5),
    }.items():
        path = tmp_path / f"{name}.parquet"
        frame.assign(order_id=orders).to_parquet(path)
        assert_same(path, with_examples=False)
        sales = read_sales(path, ReadingOptions(**LARGE))
        assert 40 <= found(sales)["lines that repeat the total of their order"] <= 45


def test_ids_sampled_for_gaps_are_the_same_in_both_engines(tmp_path, monkeypatch):
    monkeypatch.setattr("crmlab.reading.schedules._LOOKED_AT", 160)
    days = pd.date_range("2024-01-01", periods=8, freq="MS").strftime("%Y-%m-%d")
    rows = [f"c{k},{day},{k % 7}.50" for k in range(60) for day in days]
    path = put(tmp_path, "\n".join(["customer,date,amount", *rows]) + "\n")
    assert_same(path)
    sales = read_sales(path, ReadingOptions(**LARGE))
    assert 40 <= found(sales)["orders at constant gaps"] < 480


# --- options --------------------------------------------------------------------------------------


def test_each_role_has_an_option_and_the_command_line_has_it_too():
    assert {field.name for field in fields(Columns)} == set(ReadingOptions().columns())
    assert {f.name for f in fields(ReadingOptions)} - {f.name for f in fields(FileOptions)} == {
        "today"
    }


def test_options_survive_a_manifest():
    options = ReadingOptions(
        status="none", order="#2", quantity="q", price="none", currency="none", refund="r",
        amount_of="order", no_sale="none,open", guests="0", drop_repeats=False, today=TODAY,
    )  # fmt: skip
    assert ReadingOptions(**json.loads(json.dumps(asdict(options)))) == options


def test_what_an_amount_is_of_has_three_answers():
    with pytest.raises(SpecError, match=r"must be 'order' or 'line' or 'first-line'"):
        ReadingOptions(amount_of="basket")


def test_a_role_may_be_in_no_column():
    text = "customer,date,amount,currency\na,2024-01-05,3.50,EUR\nb,2024-01-06,3.50,USD\n"
    with pytest.raises(DataError, match="mixes currencies"):
        read(text)
    sales = read(text, currency="none")
    assert chose(sales)["currency column"] == "none"
    with pytest.raises(DataError, match="--customer 'none': no such column"):
        read(text, currency="none", customer="none")
    assert "amount" not in read(text, currency="none", amount="none").orders


def test_quantity_times_price_may_overrule_an_amount():
    text = "customer,date,amount,qty,price\na,2024-01-05,1.00,2,3.50\n"
    assert revenue(read(text)) == 1.0
    assert revenue(read(text, amount="none")) == 7.0


def test_a_column_that_the_user_names_is_not_guessed_for_another_role():
    text = "customer,date,total,paid\na,2024-01-05,1.00,4.00\n"
    assert revenue(read(text)) == 1.0
    assert revenue(read(text, refund="total")) == 3.0


# --- columns that only sound like it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "cells"),
    [("status", ["active", "inactive", "cancelled"]), ("customer status", ["vip", "gold", "new"]),
     ("subscription status", ["cancelled", "cancelled", "open"]), ("status", ["12", "13", "14"]),
     ("status", ["", "", ""])],
)  # fmt: skip
def test_a_status_of_the_customer_is_not_one_of_the_order(header, cells):
    lines = [
        f"{who},2024-01-0{k + 1},2.50,{c}"
        for k, (who, c) in enumerate(zip("aba", cells, strict=True))
    ]
    sales = read("\n".join([f"customer,date,amount,{header}", *lines]) + "\n")
    assert sales.quality.rows_used == 3
    assert chose(sales)["status column"] == "none"


def test_the_status_of_the_order_is_found_beside_another():
    text = (
        "customer,date,amount,newsletter status,financial status\n"
        "a,2024-01-05,2.50,cancelled,paid\nb,2024-01-06,4.50,active,voided\n"
    )
    sales = read(text)
    assert revenue(sales) == 2.5
    assert chose(sales)["status column"] == "financial status"


@pytest.mark.parametrize("cells", [["web", "web", "shop"], ["1", "1", "2"], ["", "", "7"]])
def test_an_order_number_is_not_shared_by_customers(cells):
    lines = [
        f"{who},2024-01-0{k + 1},2.50,{c}"
        for k, (who, c) in enumerate(zip("aba", cells, strict=True))
    ]
    sales = read("\n".join(["customer,date,amount,order channel", *lines]) + "\n")
    assert chose(sales)["order column"] == "none"


# --- statuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("wc-completed", SALE), ("WC_PENDING", NO_SALE), ("Pending", OPEN), ("CANCELED", NO_SALE),
     ("OrderCancelled", NO_SALE), ("order status: shipped", SALE), ("Annulée", NO_SALE),
     ("Partial refund", OPEN), ("Payment failed", NO_SALE), ("cancelled - no stock", NO_SALE),
     ("Shipped - Returned to Seller", NO_SALE), ("teilweise storniert", OPEN), ("17", UNKNOWN),
     ("paid late", UNKNOWN), ("  ", "")],
)  # fmt: skip
def test_a_status_is_known_in_any_dress(text, meaning):
    assert meaning_of(text) == meaning


def test_what_a_status_leaves_open_is_shown():
    text = "customer,date,amount,status\n" + "".join(
        f"a,2024-01-{k + 10},1.50,{word}\n"
        for k, word in enumerate(["paid", "paid", "on-hold", "blue", "void"])
    )
    sales = read(text)
    assert chose(sales)["status 'paid'"] == "a sale"
    assert "'on-hold' in 1 row" in told(sales, "status leaves open whether it is a sale")
    assert "'blue' in 1 row" in told(sales, "status with a meaning that crmlab does not know")
    assert "'void' in 1 row" in told(sales, "status says that it is no sale")
    assert read(text, no_sale="Blue").quality.rows_used == 3
    assert read(text, no_sale="none").quality.rows_used == 5
    assert read(text, status="none").quality.rows_used == 5


@pytest.mark.parametrize(
    ("words", "used"),
    [
        (["Paiement accepté", "En attente du paiement par chèque", "Livré", "Remboursé"], 2),
        (["Bezahlt", "Nicht bezahlt", "Wiedergutschrift", "Blau"], 2),
        (["PAID_AND_SHIPPED", "UNPAID_ITEM", "pending_paypal", "Auto-Cancelled"], 2),
        (["red", "green", "blue", "cancelled"], 3),
    ],
)
def test_statuses_of_other_systems_are_known(words, used):
    lines = [f"a,2024-01-1{k},1.50,{word}\n" for k, word in enumerate(words)]
    assert read("customer,date,amount,status\n" + "".join(lines)).quality.rows_used == used


NO_SALES = {
    "state": ["Shipped", "Canceled", "Refunded", "Shipped"],
    "type": ["charge", "refund", "Credit note", "charge"],
    "is_cancelled": ["0", "1", "true", "False"],
    "Cancelled at": ["", "2024-02-01", "2024-02-03", ""],
    "refunded": ["no", "yes", "yes", "no"],
}


@pytest.mark.parametrize("header", NO_SALES)
def test_a_column_that_may_say_which_rows_are_no_sales_is_told_and_can_be_used(header, tmp_path):
    lines = [f"{'ab'[k % 2]},2024-01-1{k},1.50,{c}\n" for k, c in enumerate(NO_SALES[header])]
    text = f"customer,date,amount,{header}\n" + "".join(lines)
    sales = read(text)
    assert found(sales)[f"a column {header!r} that may say which rows are no sales"] == 2
    assert sales.quality.rows_used == 4
    assert read(text, status=header).quality.rows_used == 2
    assert_same(put(tmp_path, text))
    assert_same(put(tmp_path, text), {"status": header})


def test_nothing_is_told_of_columns_that_say_nothing_of_sales():
    text = "customer,date,amount,newsletter\na,2024-01-05,1.50,subscribed\n"
    told_of = read(text + "a,2024-01-06,1.50,cancelled\n")
    assert not any("newsletter" in what for what in found(told_of))


def test_refunds_are_not_taken_off_an_amount_that_is_net_of_them(tmp_path):
    text = "order id,customer,date,net amount,refund amount\n" + "".join(
        f"{k},a,2024-01-1{k},{5 * k}.50,{10 - 5 * k}.00\n" for k in range(3)
    )
    sales = read(text)
    assert revenue(sales) == 16.5
    assert "a column 'refund amount' that speaks of refunds" in found(sales)
    assert revenue(read(text, refund="refund amount")) == 11.0
    assert_same(put(tmp_path, text))


# --- customers ------------------------------------------------------------------------------------


def orders_of(ids):
    rows = [f"{i},2024-{1 + k % 12:02d}-{1 + k % 28:02d},2.50" for k, i in enumerate(ids)]
    return "\n".join(["customer,date,amount", *rows]) + "\n"


def test_a_zero_from_which_ids_count_is_a_customer():
    sales = read(orders_of("0123450123"))
    assert sales.quality.rows_used == 10
    assert chose(sales)["id of zero"] == "a customer"
    assert read(orders_of("0123450123"), guests="0").quality.rows_used == 8
    outsized = read(orders_of(["0"] * 40 + list("123456")))
    assert told(outsized, "no customer id").startswith("set aside ('0' in 40 rows")


@pytest.mark.parametrize(
    "word",
    ["\u2014", "...", "XXXX", "0000000", "Kunde unbekannt", "Client comptoir", "no@email.com"],
)
def test_nobody_is_written_in_many_ways(word, tmp_path):
    text = orders_of(["17", word, "19", word, "\u9867\u5ba2"])
    sales = read(text)
    assert set(sales.orders["customer_id"]) == {"17", "19", "\u9867\u5ba2"}
    assert f"{word!r} in 2 rows" in told(sales, "no customer id")
    assert read(text, guests="none").quality.rows_used == 5
    assert_same(put(tmp_path, text))


def test_a_quarter_of_the_rows_is_an_outsized_share():
    ids = [k for n in range(10) for k in ("desk", f"c{n}", f"c{n}", f"d{n}")]
    assert "'desk' has 25%" in told(read(orders_of(ids)), "an id with an outsized share")


def test_one_id_with_an_outsized_share_is_told():
    ids = ["desk 1"] * 30 + [f"c{k}" for k in range(40)]
    sales = read(orders_of(ids))
    assert "'desk 1' has 43% of the rows" in told(sales, "an id with an outsized share")
    assert read(orders_of(ids), guests="Desk 1").quality.rows_used == 40
    frame = pd.read_csv(io.StringIO(orders_of(ids)), dtype=str)
    hidden = read_sales(frame, ReadingOptions(today=TODAY), key=b"0" * 32)
    assert "desk" not in str(hidden.quality.to_dict())
    assert "one id has 43%" in told(hidden, "an id with an outsized share")


@pytest.mark.parametrize(
    ("ids", "rows"),
    [(["Ann", "ann", "bob"], 2), (["e\u0301va", "\u00e9va", "bob"], 2), (["007", "7", "8"], 2),
     (["a b", "ab", "c"], 2), (["'70", "70", "8"], 2), (['"70,00"', "70", "8"], 2),
     (["1.700", "1700", "8"], 2), (["a.b", "ab", "1.7", "17"], 0), (["ann", "bob", "cy"], 0)],
)  # fmt: skip
def test_ids_that_are_one_but_for_their_writing_are_told(ids, rows):
    what = "ids that differ only in case, coding of accents, spaces, marks or leading zeros"
    assert found(read(orders_of(ids))).get(what, 0) == rows


def test_idle_decimals_go_where_the_id_is_there_without_them():
    sales = read(orders_of(["100", "100.0", "x", "7.0"]))
    assert set(sales.orders["customer_id"]) == {"100", "x", "7.0"}


def test_long_numbers_that_end_in_zeros_were_cut():
    cut = [f"12345678901234{k}000" for k in range(4)]
    what = "ids whose digits a spreadsheet has cut (scientific notation, or zeros at the end)"
    assert found(read(orders_of(cut)))[what] == 4
    assert what not in found(read(orders_of([*cut, "123456789012345678"])))


# --- amounts --------------------------------------------------------------------------------------

LINES = "order,customer,date,sku,{}\n" + "".join(
    f"{k},c{k % 5},2024-01-{k + 10},{sku},{k + 5}.00\n" for k in range(9) for sku in "xy"
)


def test_equal_amounts_on_the_lines_of_orders_are_totals_or_told():
    assert revenue(read(LINES.format("Order total"))) == 81.0
    one_differs = LINES.format("order total") + "9,a,2024-09-01,x,1.00\n9,a,2024-09-01,y,2.00\n"
    assert found(read(one_differs))["lines with the amount of their order's first"] == 9
    unsure = read(LINES.format("amount"))
    assert revenue(unsure) == 162.0
    assert found(unsure)["lines with the amount of their order's first"] == 9
    assert revenue(read(LINES.format("amount"), amount_of="order")) == 81.0
    assert revenue(read(LINES.format("Order total"), amount_of="line")) == 162.0
    assert "lines with the amount of their order's first" not in found(
        read(LINES.format("amount"), amount_of="line")
    )


def test_a_total_with_other_amounts_in_its_order_is_none():
    sales = read(LINES.format("Order total") + "8,c3,2024-01-18,z,1.00\n")
    assert sales.quality.rows_used == 19


def test_a_file_whose_every_row_comes_again_was_written_twice():
    rows = "1,a,2024-01-05,2.50\n2,b,2024-01-06,3.50\n2,b,2024-01-06,4.50\n"
    text = "order,customer,date,amount\n" + rows + rows
    assert revenue(read(text)) == 10.5
    assert revenue(read(text, drop_repeats=False)) == 21.0
    assert revenue(read(text + "3,a,2024-01-09,1.00\n")) == 22.0
    assert revenue(read(text + "3,a,2024-01-09,1.00\n", drop_repeats=True)) == 11.5


def test_a_flag_of_refunds_is_not_an_amount():
    text = "customer,date,amount,refunded\na,2024-01-05,2.50,0\nb,2024-01-06,3.50,1\n"
    sales = read(text)
    assert revenue(sales) == 6.0
    assert chose(sales)["refund column"] == "none"


def test_a_column_that_speaks_of_refunds_is_used_or_told():
    text = "customer,date,amount,{}\na,2024-01-05,2.50,1.25\nb,2024-01-06,3.50,\n"
    assert revenue(read(text.format("Refunded Amount"))) == 4.75
    unsure = read(text.format("Refund of delivery"))
    assert revenue(unsure) == 6.0
    assert "--refund 'Refund of delivery'" in told(
        unsure, "a column 'Refund of delivery' that speaks of refunds"
    )
    assert revenue(read(text.format("Refund of delivery"), refund="#4")) == 4.75
    for header in ("Refund id", "discount"):
        assert not any("refund" in what for what in found(read(text.format(header))))


def test_returns_are_taken_off_several_purchases_only_if_they_suffice():
    head = "customer,date,amount\na,2024-01-01,10.00\na,2024-01-05,20.00\n"
    for back, left, unmatched in (("-30.00", None, 0), ("-25.00", 5.0, 0), ("-31.00", 30.0, 1)):
        text = f"{head}a,2024-02-01,{back}\nb,2024-01-03,1.00\n"
        sales = read(text)
        spent = sales.orders.groupby("customer_id")["amount"].sum()
        assert spent.get("a") == left
        assert found(sales).get("returns without an earlier purchase", 0) == unmatched


def test_a_sum_of_all_others_may_be_left_out():
    text = orders_of(["a", "b", "c", "a"]) + "Everything,2024-06-01,10.00\n"
    assert told(read(text), "a row that is the sum of all others").startswith("kept")
    assert revenue(read(text, guests="everything")) == 10.0
    assert "a row that is the sum of all others" not in found(read(orders_of("abca")))


@pytest.mark.parametrize("word", ["Total", "GRAND TOTAL", "Zwischensumme", "Sous-total", "I alt"])
def test_rows_of_totals_are_no_orders(word):
    parts = [orders_of("abca"), f"{word},2024-06-01,5.00\n", f"{word},2024-06-30,5.00\n"]
    sales = read("".join(parts))
    assert revenue(sales) == 10.0
    assert f"{word!r} in 2 rows" in told(sales, "no customer id")
    assert revenue(read("".join(parts), guests="none")) == 20.0


# --- days -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", ["1901-01-01", "1980-01-01", "2000-01-01"])
def test_a_day_years_before_all_others_is_told(day, tmp_path):
    text = orders_of("abcabc") + f"a,{day},2.50\nb,{day},2.50\n"
    sales = read(text)
    assert found(sales)["orders years before all others"] == 2
    assert read(text, since="2010-01-01").quality.rows_used == 6
    assert "orders years before all others" not in found(read(orders_of("abcabc")))
    assert_same(put(tmp_path, text))


def test_ids_that_never_come_again_are_told():
    what = "ids that never come again"
    assert found(read(orders_of([f"c{k}" for k in range(30)])))[what] == 30
    assert what not in found(read(orders_of([f"c{k % 29}" for k in range(30)])))


def test_rows_without_a_customer_are_not_counted_as_unreadable():
    text = orders_of("abcabc") + "Total,,15.00\n"
    assert found(read(text))["no customer id"] == 1


def test_days_that_systems_write_for_none_are_refused():
    text = orders_of("ab") + "a,1970-01-01,1.00\n"
    with pytest.raises(DataError, match=r"stands for none .*1970-01-01.*--since"):
        read(text)
    assert read(text, since="2023-01-01").quality.rows_used == 2


def test_the_day_after_tomorrow_is_refused():
    assert found(read(orders_of("ab") + "a,2026-12-02,1.00\n"))["dated tomorrow (2026-12-02)"] == 1
    with pytest.raises(DataError, match="in the future"):
        read(orders_of("ab") + "a,2026-12-03,1.00\n")


def test_a_month_that_the_window_cuts_ends_on_a_stated_day():
    days = pd.date_range("2020-01-01", "2024-05-29", freq="9D")
    frame = pd.DataFrame({"customer_id": [f"c{k % 40}" for k in range(len(days))], "date": days})
    sales = drop_unfinished_month(read_sales(frame, ReadingOptions(until="2024-05-29")))
    said = describe_periods(sales, make_plan(sales.orders, sales.window))
    assert "the last one is cut and ends on 2024-05-29" in said.evidence


def test_gaps_of_free_purchases_are_not_constant():
    rng = pd.Series(range(400))
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta((rng * rng * 37) % 500, unit="D")
    frame = pd.DataFrame({"customer_id": [f"c{k % 20}" for k in rng], "date": days})
    assert find_constant_gaps(frame) == []


def test_rows_of_a_frame_are_numbered_by_their_text():
    raw = FrameRawRows(read_raw(pd.DataFrame({"a": ["x", " x", "", "y", None]})))
    assert raw.numbered(0).isna().tolist() == [False, False, True, False, True]
