"""Files as people have them: read rightly and said so, or refused with what to do."""

import gzip
import io
import random
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from crmlab.errors import DataError, SpecError
from crmlab.reading import (
    ReadingOptions,
    is_formula,
    neutralise,
    pseudonymise,
    read_key,
    read_sales,
)
from crmlab.reading.amounts import read_amounts
from crmlab.reading.dates import read_dates
from crmlab.reading.ids import read_people
from crmlab.reading.returns import settle_returns
from crmlab.reading.words import plain

PLAIN = "customer,date,amount\na,2024-01-31,3.50\nb,2024-02-28,4.25\na,2024-03-01,1.00\n"
TODAY = ReadingOptions(today="2025-01-01")


def put(folder, content, name="orders.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def found(sales):
    return {finding.what: finding.rows for finding in sales.quality.findings}


def chose(sales):
    return {decision.what: decision.choice for decision in sales.quality.decisions}


def adds_up(quality):
    return quality.rows_read == quality.rows_used + quality.rows_set_aside


# --- twenty nasty files and more ------------------------------------------------------------------


def workbook(frame, **options):
    buffer = io.BytesIO()
    frame.to_excel(buffer, index=False, **options)
    return buffer.getvalue()


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("orders.csv", PLAIN)
    return buffer.getvalue()


NASTY = {
    "empty": (b"", "is empty"),
    "blanks": (b"\n \n\n", "only blanks"),
    "header only": (b"customer,date,amount\n", "a header but no rows"),
    "binary": (bytes(range(256)) * 40, "binary"),
    "pickle": (b"\x80\x04\x95\x10\x00\x00\x00" + b"x" * 40, "never loaded"),
    "pdf": (b"%PDF-1.7\n" + b"x" * 40, "is a PDF"),
    "old excel": (b"\xd0\xcf\x11\xe0" + b"\x00" * 40, "old Excel"),
    "zip": (archive(), "unpack it first"),
    "torn workbook": (workbook(pd.DataFrame({"customer": ["a"]}))[:300], "damaged or cut short"),
    "torn gzip": (gzip.compress(PLAIN.encode() * 50)[:-20], "cut short or damaged"),
    "torn parquet": (b"PAR1" + b"\x00" * 50, "Parquet file cannot be read"),
    "utf-16 that is not": (b"\xff\xfea\x00,", "marked as utf-16"),
    "ten thousand columns": (
        (",".join(f"c{k}" for k in range(10_000)) + "\n" + "1," * 9_999 + "1\n").encode(),
        "10,000 columns",
    ),
    "no such columns": (b"x,y\nhello,world\n", "no column looks like the customer"),
    "duplicate headers": (
        b"customer,customer,date,amount\na,b,2024-01-01,3\n",
        "fit equally well",
    ),
    "ragged": (PLAIN.encode() + b"c,2024-03-01,1.00,extra\n", "is not one table"),
    "unclosed quote": (
        b'customer,date,amount\na,2024-01-01,1\n"b,2024-01-02,2\n' + b"c,2024-01-03,3\n" * 3000,
        "is not one table|quotation mark|no readable",
    ),
    "enormous field": (
        b"customer,date,amount\n" + b"a" * 40_000 + b",2024-01-01,3\n",
        "40,000 characters",
    ),
    "long id": (b"customer,date,amount\n" + b"a" * 300 + b",2024-01-01,3\n", "longer than 200"),
    "ambiguous days": (
        b"customer,date,amount\na,03/04/2024,3\nb,05/06/2024,4\n",
        "--date-order day-month",
    ),
    "two orders of days": (
        b"customer,date,amount\na,31/01/2024,3\nb,01/31/2024,4\n",
        "mixes day-first and month-first dates",
    ),
    "future": (PLAIN.encode() + b"c,2031-01-01,2.00\n", "in the future"),
    "before the telephone": (PLAIN.encode() + b"c,0203-01-01,2.00\nd,1850-01-01,2\n",
                             "before 1900"),
    "mixed currencies": (
        "customer;date;amount\na;2024-01-01;3,50 €\nb;2024-01-02;4,50 $\n".encode(),
        "mixes currencies: EUR in 1 row .*row 1",
    ),
    "currency column": (
        b"customer,date,amount,currency\na,2024-01-01,3.5,EUR\nb,2024-01-02,4,USD\n",
        "mixes currencies",
    ),
    "both decimal marks": (
        b"customer;date;amount\na;2024-01-01;3,50\nb;2024-01-02;4.50\n",
        "both decimal marks",
    ),
    "thousands or decimals": (
        b"customer;date;amount\na;2024-01-01;3.500\nb;2024-01-02;4.250\n",
        "thousands or decimals",
    ),
    "all refunds": (
        b"customer,date,amount\na,2024-01-01,-3.50\nb,2024-01-02,-4.50\n",
        "no orders remain after cleaning; set aside were: 2 rows",
    ),
    "no ids": (b"customer,date,amount\n,2024-01-01,3.50\n,2024-01-02,4.50\n",
               "no row has a customer id"),
    "words for dates": (b"customer,date,amount\na,soon,3.50\nb,later,4.50\n",
                        "no readable date"),
}  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_file_is_refused_with_what_is_wrong(name, tmp_path):
    content, rule = NASTY[name]
    with pytest.raises(DataError, match=rule) as caught:
        read_sales(put(tmp_path, content), TODAY)
    said = str(caught.value)
    assert said.startswith("orders.csv: ")
    assert len(said) < 2_000


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="is a folder: name a file in it"):
        read_sales(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: there is no such file"):
        read_sales(tmp_path / "nowhere.csv")


ODD = {
    "one row": b"customer,date,amount\na,2024-01-31,3.50\n",
    "windows ends": PLAIN.replace("\n", "\r\n").encode(),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "utf-16": PLAIN.encode("utf-16"),
    "utf-32": PLAIN.encode("utf-32"),
    "old Mac ends": PLAIN.replace("\n", "\r").encode(),
    "gzip": gzip.compress(PLAIN.encode()),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "bars": PLAIN.replace(",", "|").encode(),
    "spaces": PLAIN.replace(",", "  ").encode(),
    "decimal comma": PLAIN.replace(",", ";").replace(".", ",").encode(),
    "workbook": workbook(
        pd.DataFrame(
            {
                "customer": ["a", "b", "a"],
                "date": pd.to_datetime(["2024-01-31", "2024-02-28", "2024-03-01"]),
                "amount": [3.5, 4.25, 1.0],
            }
        )
    ),
    "no header": PLAIN.split("\n", 1)[1].encode(),
    "sep line": b"sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n").encode(),
    "sep line, no header": b'"sep=,"\n' + PLAIN.split("\n", 1)[1].encode(),
    "preamble": b"My shop\n\nExported: 2024-04-01 10:00, by Ann\n" + PLAIN.encode(),
    "title row": b"Orders,,\n,,\n" + PLAIN.encode(),
    "workbook with a title": workbook(
        pd.DataFrame([["Orders of 2024", None, None], [None] * 3]
                     + [line.split(",") for line in PLAIN.split()]), header=False
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_read_as_the_plain_one(name, tmp_path):
    sales = read_sales(put(tmp_path, ODD[name]), TODAY)
    expected = [("a", "2024-01-31", 3.5), ("b", "2024-02-28", 4.25), ("a", "2024-03-01", 1.0)]
    rows = sales.orders.assign(date=sales.orders["date"].dt.strftime("%Y-%m-%d"))
    assert list(rows.itertuples(index=False, name=None)) == expected[: len(rows)]
    assert len(rows) == (1 if name == "one row" else 3)
    assert adds_up(sales.quality)


def test_text_of_two_bytes_without_a_mark_is_read_if_it_is_named(tmp_path):
    path = put(tmp_path, PLAIN.encode("utf-16-le"))
    with pytest.raises(DataError, match="--encoding utf-16-le"):
        read_sales(path, TODAY)
    named = ReadingOptions(today="2025-01-01", encoding="utf-16-le")
    assert len(read_sales(path, named).orders) == 3


def test_old_windows_text_is_read_and_stated(tmp_path):
    text = "Kunde;Datum;Betrag\nMüller;31.01.2024;3,50\n"
    sales = read_sales(put(tmp_path, text.encode("cp1252")), TODAY)
    assert sales.orders["customer_id"].tolist() == ["Müller"]
    assert chose(sales)["encoding"] == "Windows-1252"


def test_parquet_duckdb_and_an_ibis_table_give_the_same(tmp_path):
    import duckdb
    import ibis

    plain_orders = read_sales(put(tmp_path, PLAIN), TODAY).orders
    frame = pd.read_csv(tmp_path / "orders.csv")
    frame.to_parquet(tmp_path / "orders.parquet")
    with duckdb.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders AS SELECT * FROM frame")
    for source in ("orders.parquet", "shop.db"):
        options = ReadingOptions(today="2025-01-01", table="orders" if source[0] == "s" else None)
        pd.testing.assert_frame_equal(read_sales(tmp_path / source, options).orders, plain_orders)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of ibis, about pandas
        again = ibis.memtable(frame)
    for table in (again, again.filter(again.amount > 0)):
        pd.testing.assert_frame_equal(read_sales(table, TODAY).orders, plain_orders)


# --- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        ("Kunden-Nr.", "Bestelldatum", "Gesamtbetrag"),
        ("id_client", "Date de commande", "Montant TTC"),
        ("ID Cliente", "Fecha pedido", "Importe total"),
        ("CustomerID", "InvoiceDate", "Revenue"),
        ("klantnummer", "besteldatum", "bedrag"),
        ("顧客ID", "注文日", "金額"),
    ],
)
def test_headers_are_known_in_many_languages(headers):
    frame = pd.DataFrame([["x", "2024-01-05", "3.50"]], columns=headers)
    shuffled = frame[[headers[2], headers[0], headers[1]]].assign(Notiz="hm")
    sales = read_sales(shuffled, TODAY)
    assert tuple(chose(sales)[f"{r} column"] for r in ("customer", "date", "amount")) == headers


def test_options_overrule_a_guess_by_name_and_by_place():
    frame = pd.DataFrame(
        {"customer": ["a"], "payer": ["z"], "date": ["2024-01-05"], "amount": ["3.5"]}
    )
    for said in ("payer", "#2", "Payer"):
        sales = read_sales(frame, ReadingOptions(customer=said, today="2025-01-01"))
        assert sales.orders["customer_id"].tolist() == ["z"]
    with pytest.raises(DataError, match="no such column"):
        read_sales(frame, ReadingOptions(customer="nobody"))


def test_quantity_and_price_make_an_amount():
    frame = pd.DataFrame(
        {"CustomerID": ["1"], "InvoiceDate": ["2010-12-01 08:26"], "Quantity": ["6"],
         "UnitPrice": ["2.55"], "InvoiceNo": ["536365"]}
    )  # fmt: skip
    sales = read_sales(frame, TODAY)
    assert sales.orders["amount"].tolist() == [15.3]


def test_personal_columns_are_named_and_not_kept():
    frame = pd.DataFrame(
        {"customer": ["a"], "date": ["2024-01-05"], "amount": ["3.5"], "E-Mail": ["x@y.z"]}
    )
    sales = read_sales(frame, TODAY)
    assert sales.quality.personal == ("E-Mail",)
    assert "x@y.z" not in str(sales.quality.to_dict()) + sales.orders.to_csv()


# --- dates and amounts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["2024-03-05", "2024/3/5", "20240305", "2024-03-05T23:59:59Z", "2024-03-05 08:15",
     "5 Mar 2024", "5. März 2024", "Mar 5, 2024", "5-mars-24", "05.03.2024", "05.03.24 17:00"],
)  # fmt: skip
def test_forms_of_a_day(text):
    assert read_dates(pd.Series([text]), name="d").days[0] == pd.Timestamp("2024-03-05")


def test_one_large_number_settles_the_order_of_all():
    for texts, choice in (
        (["03/04/2024", "31/12/2024"], "day before month"),
        (["03/04/2024", "12/31/2024"], "month before day"),
    ):
        read = read_dates(pd.Series(texts), name="d")
        assert read.decisions[0].choice == choice
        assert "1 row" in read.decisions[0].evidence
        assert read.days[0].month == (4 if choice[0] == "d" else 3)


def test_impossible_days_are_missing():
    read = read_dates(pd.Series(["2023-02-29", "2024-02-29", "31.04.2024", "2024-13-01"]), name="d")
    assert read.days.isna().tolist() == [True, False, True, True]


def test_numbers_of_a_spreadsheet_are_days():
    read = read_dates(pd.Series(["45292", "45293"]), name="d")
    assert read.days.tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")]


days = st.dates(min_value=pd.Timestamp("1900-01-01").date(), max_value=pd.Timestamp("2100").date())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(days, min_size=1, max_size=12),
    st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%d %b %Y", "%b %d, %Y", "%Y/%m/%d"]),
)
def test_what_is_written_is_read_back(when, form):
    read = read_dates(pd.Series([day.strftime(form) for day in when]), name="d")
    assert [day.date() for day in read.days] == when


@settings(max_examples=30, deadline=None)
@given(st.lists(days, min_size=1, max_size=12), st.booleans())
def test_dates_of_numbers_are_right_or_refused(when, day_first):
    form = "%d/%m/%Y" if day_first else "%m/%d/%Y"
    try:
        read = read_dates(pd.Series([day.strftime(form) for day in when]), name="d")
    except DataError:
        assert all(day.day <= 12 for day in when)
        return
    assert [day.date() for day in read.days] == when


cents = st.integers(min_value=-(10**9), max_value=10**9)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(cents, min_size=1, max_size=12),
    st.sampled_from([(",", "."), (".", ","), ("", "."), ("", ","), (" ", ","), ("'", ".")]),
    st.sampled_from(["{}", "{} €", "EUR {}", "{}€"]),
)
def test_amounts_are_read_back_whatever_the_marks(values, marks, dress):
    thousands, decimal = marks

    def write(value):
        text = f"{abs(value) / 100:,.2f}".replace(",", "T").replace(".", decimal)
        return ("-" if value < 0 else "") + dress.format(text.replace("T", thousands))

    read = read_amounts(pd.Series([write(v) for v in values]), name="amount")
    np.testing.assert_allclose(read.values, np.array(values) / 100)


@pytest.mark.parametrize(
    ("text", "value"),
    [("(12.50)", -12.5), ("12.50-", -12.5), ("-$12.50", -12.5), ("$-12.50", -12.5), ("+3.10", 3.1),
     ("1,234,567.80", 1234567.8), ("\u22123.20", -3.2), ("free", np.nan), ("1e999", np.nan),
     ("12.50.30", np.nan)],
)  # fmt: skip
def test_signs_and_what_is_no_amount(text, value):
    read = read_amounts(pd.Series([text, "1.25"]), name="amount", decimal=".")
    if text == "12.50.30":
        assert read.values[0] != 12.5
    else:
        np.testing.assert_equal(read.values[0], value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10,-", 10.0), ("1.200,-", 1200.0), ("10,\u2014 kr.", 10.0), ("kr. -10,--", -10.0),
     ("10,50-", -10.5), ("1.200,50 kr.", 1200.5), ("Kr 7,5", 7.5)],
)  # fmt: skip
def test_a_dash_for_no_cents_is_no_minus_and_a_unit_may_end_in_a_stop(text, value):
    read = read_amounts(pd.Series([text, "1,25"]), name="amount")
    assert read.values[0] == value
    assert read.currency in ("", "KR")


def test_a_column_of_currencies_may_write_one_in_several_ways():
    frame = pd.DataFrame({"customer": list("abc"), "date": "2024-01-05", "amount": ["1.5"] * 3})
    sales = read_sales(frame.assign(currency=["EUR", "€", " eur"]))
    assert sales.currency == "EUR"


# --- rows -----------------------------------------------------------------------------------------

CELLS = st.sampled_from(["a", "b", "c", "", "NA", "=1+1", "007"])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(CELLS, st.sampled_from(["2024-01-05", "2024-02-06", "2024-02-07"]),
                  st.sampled_from(["1.50", "2.50", "-1.50", "-9.99", "0.00"])),
        min_size=1, max_size=30,
    ),
    st.booleans(),
)  # fmt: skip
def test_rows_that_are_used_and_set_aside_add_up(rows, drop):
    frame = pd.DataFrame(rows, columns=["customer", "date", "amount"])
    options = ReadingOptions(today="2025-01-01", drop_repeats=drop)
    known = [float(amount) >= 0 and customer not in ("", "NA") for customer, _, amount in rows]
    if not any(known):
        with pytest.raises(DataError, match=r"no orders remain|no row has a customer id"):
            read_sales(frame, options)
        return
    try:
        sales = read_sales(frame, options)
    except DataError:  # each purchase came back whole
        assert any(float(amount) < 0 for _, _, amount in rows)
        return
    assert adds_up(sales.quality)
    assert len(sales.orders) == sales.quality.rows_used
    assert (sales.orders["amount"] >= 0).all()
    assert sales.orders["customer_id"].notna().all()


def test_a_shuffled_file_gives_the_same_orders():
    rows = [(f"c{k % 7}", f"2024-01-{k % 28 + 1:02d}", f"{k}.50") for k in range(80)]
    rows += [(f"c{k}", "2024-01-30", f"-{k}.50") for k in range(5)]
    frames = []
    for seed in (None, 3):
        some = list(rows)
        if seed is not None:
            random.Random(seed).shuffle(some)
        sales = read_sales(pd.DataFrame(some, columns=["customer", "date", "amount"]), TODAY)
        frames.append(sales.orders.sort_values(list(sales.orders), ignore_index=True))
    pd.testing.assert_frame_equal(*frames)


def test_repeats_are_duplicates_only_where_order_numbers_say_so():
    row = {"customer": "a", "date": "2024-01-05", "amount": "3.5"}
    what = "rows that repeat another in every column"
    kept = read_sales(pd.DataFrame([row, row]), TODAY)
    dropped = read_sales(pd.DataFrame([{**row, "order id": "7"}] * 2), TODAY)
    assert (len(kept.orders), len(dropped.orders)) == (2, 1)
    assert found(kept)[what] == found(dropped)[what] == 1


def test_status_and_cut_offs_set_rows_aside():
    frame = pd.DataFrame(
        {"customer": list("abcd"), "amount": ["1.50"] * 4,
         "date": ["2024-01-05", "2024-02-05", "2024-03-05", "2024-04-05"],
         "status": ["paid", "Storniert", "paid", "paid"]}
    )  # fmt: skip
    options = ReadingOptions(since="2024-01-10", until="2024-03-31", today="2025-01-01")
    sales = read_sales(frame, options)
    assert sales.orders["customer_id"].tolist() == ["c"]
    assert found(sales) == {
        "status says that it is no sale": 1, "before 2024-01-10": 1, "after 2024-03-31": 1,
    }  # fmt: skip
    assert sales.window == (pd.Timestamp("2024-01-10"), pd.Timestamp("2024-03-31"))


def test_a_return_takes_back_the_latest_purchase_of_its_amount():
    orders = pd.DataFrame(
        {"customer_id": ["a"] * 5, "amount": [20.0, 20.0, 30.0, -20.0, -5.0],
         "date": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"] + ["2024-01-09"] * 2)}
    )  # fmt: skip
    settled = settle_returns(orders)
    assert settled.undone.tolist() == [False, True, False, False, False]
    assert settled.amounts[2] == 25.0
    assert not settled.unmatched.any()


def test_a_return_before_any_purchase_is_counted_alone():
    frame = pd.DataFrame({"customer": ["a", "a"], "date": ["2024-01-01", "2024-01-05"],
                          "amount": ["-3.50", "3.50"]})  # fmt: skip
    sales = read_sales(frame, TODAY)
    assert found(sales) == {"returns without an earlier purchase": 1}
    assert len(sales.orders) == 1


def test_two_ids_of_one_person_are_one():
    frame = pd.read_csv(io.StringIO(PLAIN), dtype=str)
    people = pd.DataFrame({"old": ["b"], "new": ["a"]})
    sales = read_sales(frame, TODAY, same_person=people)
    assert sales.orders["customer_id"].unique().tolist() == ["a"]
    for bad in ([("a", "b"), ("b", "a")], [("a", "b"), ("a", "c")]):
        with pytest.raises(DataError, match=r"circle|two people"):
            read_people(pd.DataFrame(bad))


def test_ids_keep_their_zeros_and_lose_idle_decimals():
    frame = pd.DataFrame({"date": ["2024-01-05"] * 2, "amount": ["1.5"] * 2})
    assert read_sales(frame.assign(customer=["007", "7"]), TODAY).orders[
        "customer_id"
    ].tolist() == ["007", "7"]
    assert read_sales(frame.assign(customer=[7.0, 8.0]), TODAY).orders["customer_id"].tolist() == [
        "7",
        "8",
    ]


def test_too_much_that_cannot_be_read_is_the_reader_s_fault():
    frame = pd.DataFrame({"customer": list("ab"), "date": ["2024-01-05"] * 2,
                          "amount": ["1.50", "gratis"]})  # fmt: skip
    with pytest.raises(DataError, match="50% of the rows have no readable amount"):
        read_sales(frame, TODAY)


def test_options_that_mean_nothing_are_refused_together():
    with pytest.raises(SpecError, match="2 problems"):
        ReadingOptions(decimal=";", until="soon")


# --- safety ---------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_no_cell_is_a_formula_after_neutralising(texts):
    frame = pd.DataFrame({"id": pd.Series(texts, dtype="str")})
    assert not is_formula(neutralise(frame)["id"]).any()


def test_formulas_are_counted_and_kept():
    frame = pd.DataFrame({"customer": ["=cmd|' /C calc'!A0", "b"], "date": ["2024-01-05"] * 2,
                          "amount": ["1.50"] * 2})  # fmt: skip
    sales = read_sales(frame, TODAY)
    assert found(sales)["ids that a spreadsheet would take for a formula"] == 1


def test_pseudonyms_depend_on_id_and_key_alone(tmp_path):
    ids = pd.Series(["ann", "bob", "ann"])
    keys = [read_key(tmp_path / name) for name in ("one.key", "two.key")]
    first, second = (pseudonymise(ids, key) for key in keys)
    assert first[0] == first[2] != first[1]
    assert not set(first) & set(second)
    assert read_key(tmp_path / "one.key") == keys[0]
    assert (tmp_path / "one.key").stat().st_mode & 0o077 == 0
    (tmp_path / "bad.key").write_text("hello")
    with pytest.raises(DataError, match="does not hold a key"):
        read_key(tmp_path / "bad.key")


def test_no_id_is_left_where_pseudonyms_stand():
    frame = pd.DataFrame({"customer": ["secret1", "secret2"], "date": ["2024-01-05"] * 2,
                          "amount": ["1.50", "0.00"]})  # fmt: skip
    sales = read_sales(frame, TODAY, key=b"k" * 32)
    assert "secret" not in sales.orders.to_csv() + str(sales.quality.to_dict())


def test_the_frame_that_was_handed_in_is_unchanged():
    frame = pd.read_csv(io.StringIO(PLAIN), dtype=str)
    before = frame.copy()
    read_sales(frame, TODAY)
    pd.testing.assert_frame_equal(frame, before)


def test_a_header_is_reduced_to_words():
    assert plain("  Größe__des-Kunden ") == "grosse des kunden"


def test_any_bytes_are_read_or_refused(tmp_path):
    rng = random.Random(7)
    for _ in range(40):
        path = put(tmp_path, rng.randbytes(rng.randrange(1, 400)))
        with pytest.raises(DataError):
            read_sales(path, TODAY)
