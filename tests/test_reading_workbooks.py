"""Workbooks: which sheets are read, what their cells become, and how odd ones are refused."""

import datetime
import io
import time
import zipfile

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from test_reading import adds_up

from crmlab.errors import DataError
from crmlab.reading import ReadingOptions, read_raw, read_sales
from tests.cases.faults import refusal

resource = pytest.importorskip("resource")  # which measures memory
HEADER = ("customer", "date", "amount")
DAY = datetime.datetime(2024, 1, 3)


def rows_of(first, n=4, header=HEADER):
    """Some orders, which differ from those of another `first`."""
    days = [DAY + datetime.timedelta(days=first + k) for k in range(n)]
    return [header, *[(f"c{first + k}", days[k], 1.5 + k) for k in range(n)]]


def save(book, path):
    if "Sheet" in book.sheetnames and len(book.sheetnames) > 1:
        del book["Sheet"]
    book.save(path)
    return path


@pytest.fixture
def put(tmp_path):
    def write(**sheets):
        book = Workbook()
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
        return save(book, tmp_path / "book.xlsx")

    return write


def decision(raw, what="sheet"):
    return next(one for one in raw.decisions if one.what == what)


# --- which sheets ---------------------------------------------------------------------------------


def test_sheets_of_one_header_are_read_together_in_any_order_of_columns(put):
    turned = [
        (row[2], row[0], row[1]) for row in rows_of(10, header=("CUSTOMER", "date", "Amount"))
    ]
    path = put(a=rows_of(0), notes=[("made by", "me")], empty=[], b=turned, only_header=[HEADER])
    raw = read_raw(path)
    assert raw.frame["customer"].tolist() == [f"c{k}" for k in (0, 1, 2, 3, 10, 11, 12, 13)]
    assert raw.frame["amount"].tolist() == [1.5, 2.5, 3.5, 4.5] * 2
    assert decision(raw).choice == "a and b and only_header"
    assert "notes" in decision(raw).evidence
    sales = read_sales(path, ReadingOptions(today="2024-12-01"))
    assert sales.quality.rows_used == 8
    assert adds_up(sales.quality)
    assert len(read_raw(path, table="b").frame) == 4


def test_columns_without_a_name_are_kept_in_their_place(put):
    plain = [(k, *row) for k, row in enumerate(rows_of(0))]
    other = [(k, *row) for k, row in enumerate(rows_of(5))]
    plain[0], other[0] = (None, *HEADER), (None, *HEADER)
    raw = read_raw(put(a=plain, b=other))
    assert raw.frame.columns.tolist() == ["", *HEADER]
    assert raw.frame[""].tolist() == [1, 2, 3, 4] * 2


def test_hidden_and_chart_sheets_are_not_read_unless_named(tmp_path):
    book = Workbook()
    for name, first in (("old", 20), ("orders", 0)):
        for row in rows_of(first):
            (book[name] if name in book.sheetnames else book.create_sheet(name)).append(row)
    book["old"].sheet_state = "hidden"
    chart = BarChart()
    chart.add_data(Reference(book["orders"], min_col=3, min_row=1, max_row=5))
    book.create_chartsheet("picture").add_chart(chart)
    path = save(book, tmp_path / "book.xlsx")
    raw = read_raw(path)
    assert raw.frame["customer"].tolist() == ["c0", "c1", "c2", "c3"]
    assert "old (hidden)" in decision(raw).evidence
    assert read_raw(path, table="old").frame["customer"].iloc[0] == "c20"
    assert "has no sheet 'picture'" in refusal(lambda: read_raw(path, table="picture"))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (rows_of(0), "one seems to be a copy"),
        ([*rows_of(0), ("new", DAY, 7.0)], "one seems to be a copy"),
        (rows_of(9)[1:], "the second has no header"),
        ([(*row, k) for k, row in enumerate(rows_of(9))], "almost the same header"),
    ],
    ids=["a copy", "a longer copy", "no header", "one more column"],
)
def test_a_sheet_that_may_belong_to_the_first_is_asked_about(put, other, said):
    if other[0][0] == "customer" and len(other[0]) == 4:
        other[0] = (*HEADER, "coupon")
    path = put(one=rows_of(0), two=other)
    refused = refusal(lambda: read_raw(path))
    assert said in refused
    assert "--table" in refused
    assert len(read_raw(path, table="one").frame) == 4


def test_a_summary_before_the_orders_is_not_taken_for_them_and_is_told(put):
    path = put(overview=[("Our year", None), ("total", 12.0)], orders=rows_of(0))
    raw = read_raw(path)
    assert raw.frame["customer"].tolist() == ["c0", "c1", "c2", "c3"]
    assert decision(raw).choice == "orders"
    assert [(f.what, f.rows) for f in raw.findings] == [("rows of another sheet, 'overview'", 1)]


def test_rows_of_a_sheet_with_another_header_are_told(put):
    header = ("Kunde", "Datum", "Betrag")
    raw = read_raw(put(old=rows_of(0), new=rows_of(9, n=3, header=header)))
    assert len(raw.frame) == 4
    assert [(f.what, f.rows) for f in raw.findings] == [("rows of another sheet, 'new'", 3)]


def test_a_book_without_cells_is_refused(put):
    assert "the workbook is empty" in refusal(lambda: read_raw(put(a=[], b=[(" ", None)])))
    assert "no rows" in refusal(lambda: read_raw(put(a=[HEADER])))


# --- what cells become ----------------------------------------------------------------------------


def test_numbers_and_dates_stay_what_they_are(put):
    long = 2**53 + 2
    cells = [("id", "long", "date", "amount", "count", "mixed", "half"),
             (1, long, DAY, 1.125, 3, 1.125, 2.5), (2, 7, DAY, 2, None, "n/a", None)]  # fmt: skip
    frame = read_raw(put(a=cells)).frame
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert kinds == {"id": "int64", "long": "str", "date": "datetime64[us]", "amount": "float64",
                     "count": "Int64", "mixed": "str", "half": "float64"}  # fmt: skip
    assert frame["long"].tolist() == [str(long), "7"]
    assert frame["mixed"].tolist() == ["1.1250", "n/a"]


def test_stored_numbers_beside_a_text_need_no_decimal_mark(put):
    rows = [HEADER, ("a", DAY, 1.125), ("b", DAY, "none"), *[("c", DAY, 2.375)] * 30]
    sales = read_sales(put(a=rows), ReadingOptions(today="2024-12-01"))
    assert sales.orders["amount"].iloc[0] == 1.125
    assert sales.quality.rows_used == 31


def test_formulas_without_results_are_named(put):
    rows = [HEADER, ("a", DAY, "=1+1"), ("b", DAY, "=SUM(C2)")]
    refused = refusal(lambda: read_raw(put(a=rows)))
    assert "has 2 formulas without results (the first is in C2)" in refused
    assert "open the workbook in Excel, save it" in refused


def with_member(path, name, change):
    """Rewrite one part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {one: archive.read(one) for one in archive.namelist()}
    parts[name] = change(parts[name])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in parts.items():
            archive.writestr(one, content)
    return path


FIRST = "xl/worksheets/sheet1.xml"


def test_results_of_formulas_are_read(put):
    path = put(a=[HEADER, ("a", DAY, "=1+1"), ("b", DAY, "=2*2")])
    with_member(path, FIRST, lambda xml: xml.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")
                .replace(b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>"))  # fmt: skip
    assert read_raw(path).frame["amount"].fillna(-1).tolist() == [2, -1]


# --- sizes ----------------------------------------------------------------------------------------


def measured(ask):
    """What a reading gives or is refused with, its seconds, and the megabytes it added."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        said = str(len(ask().frame))
    except DataError as problem:
        said = str(problem)
    seconds = time.perf_counter() - start
    return said, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def sheet_of(cells):
    start = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    return start + b"<sheetData>" + cells + b"</sheetData></worksheet>"


TEXT = '<c r="{0}" t="inlineStr"><is><t>{1}</t></is></c>'
TOP = "".join(TEXT.format(f"{c}1", name) for c, name in zip("ABC", HEADER, strict=True))
ORDER = TEXT.format("A2", "a") + TEXT.format("B2", "2024-01-03") + '<c r="C2"><v>1.5</v></c>'
PLAIN = f'<row r="1">{TOP}</row><row r="2">{ORDER}</row>'
SHARES = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', "1"),
        ('<row r="1048576"><c r="D1048576"><v>1</v></c></row>', "2"),
        ('<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>', "cannot be read|beyond"),
        ('<row r="3"><c r="ZZZZZZ3"><v>1</v></c></row>', "cannot be read|^1$"),
        ("".join(f'<row r="{k}"><c r="XFD{k}"><v>1</v></c></row>' for k in range(3, 9999)),
         "has 16,384 columns"),
        ('<row r="3"><c r="A3"><v>one</v></c></row>', "cannot be read"),
        ('<row r="3"><c r="A3" t="s"><v>77</v></c></row>', "cannot be read"),
        ('<row r="3"><c r="A3"', "cannot be read"),
        ("&lol;", "cannot be read"),
    ],
    ids=["far corner", "far row", "no such row", "no such column", "wide", "no number",
         "no such text", "torn", "entity"],
)  # fmt: skip
def test_a_sheet_that_claims_much_costs_little(put, cells, said):
    path = with_member(put(a=rows_of(0)), FIRST, lambda _: sheet_of((PLAIN + cells).encode()))
    found, seconds, megabytes = measured(lambda: read_raw(path))
    assert pd.Series([found]).str.contains(said).all(), found
    assert seconds < 20
    assert megabytes < 300


def test_a_far_cell_is_told(put):
    far = '<row r="9"><c r="XFD9"><v>1</v></c></row>'
    path = with_member(put(a=rows_of(0)), FIRST, lambda _: sheet_of((PLAIN + far).encode()))
    assert decision(read_raw(path), "cells left out").choice == "XFD9"


def test_bombs_are_refused_before_they_are_unpacked(put):
    blanks = b" " * (80 * 2**20)
    path = with_member(put(a=rows_of(0)), FIRST, lambda xml: xml.replace(b"<sheetData>", blanks))
    found, seconds, megabytes = measured(lambda: read_raw(path))
    assert "times its size" in found
    assert seconds < 2
    assert megabytes < 50


def test_entities_do_not_multiply(put):
    entities = b"".join(b'<!ENTITY e%d "%s">' % (k, b"&e%d;" % (k - 1) * 10) for k in range(1, 12))
    bomb = b'<!DOCTYPE x [<!ENTITY e0 "ha">' + entities + b"]>"
    text = PLAIN.replace("2024-01-03", "&e11;").encode()
    path = with_member(put(a=rows_of(0)), FIRST, lambda _: bomb + sheet_of(text))
    found, seconds, megabytes = measured(lambda: read_raw(path))
    assert "cannot be read" in found
    assert seconds < 20
    assert megabytes < 300


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_book_is_read_or_refused_in_a_sentence(put, data):
    path = put(a=rows_of(0), b=rows_of(9))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = int(data.draw(SHARES) * len(content))
        if data.draw(st.booleans()):
            content[place] = data.draw(st.integers(0, 255))
        else:
            del content[place:]
            content += b"P"
    path.write_bytes(content)
    refused = refusal(lambda: read_raw(path))
    assert not refused or refused.startswith("book.xlsx: ")


PARTS = ["xl/workbook.xml", "xl/styles.xml", "xl/sharedStrings.xml", "[Content_Types].xml",
         "xl/_rels/workbook.xml.rels", FIRST]  # fmt: skip


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(part=st.sampled_from(PARTS), data=st.data())
def test_a_part_that_was_edited_is_read_or_refused_in_a_sentence(put, part, data):
    def edit(xml):
        place = int(data.draw(SHARES) * len(xml))
        new = data.draw(st.sampled_from([b"", b"9", b"x", b"<"]))
        return xml[:place] + new + xml[place + data.draw(st.integers(0, 40)) :]

    path = put(a=rows_of(0))
    with zipfile.ZipFile(path) as archive:
        if part not in archive.namelist():
            return
    path = with_member(path, part, edit)
    refused = refusal(lambda: read_raw(path))
    assert not refused or refused.startswith("book.xlsx: ")


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("content.xml", "OpenDocument"),
        ("xl/workbook.bin", "binary workbook"),
        ("a.csv", "unpack it"),
    ],
)
def test_other_archives_are_named(tmp_path, member, said):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, "x")
    (tmp_path / "book.xlsx").write_bytes(stream.getvalue())
    assert said in refusal(lambda: read_raw(tmp_path / "book.xlsx"))
