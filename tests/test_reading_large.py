"""Rows left to an engine: the same decisions, counts, examples and orders as in memory."""

import gzip
import json
import shutil
import tempfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from test_reading import NASTY, ODD, PLAIN, adds_up, put

from crmlab.errors import DataError
from crmlab.reading import ReadingOptions, read_sales, store, stored_rows
from crmlab.reading.disk import Stored, open_disk, part_codes
from crmlab.reading.files import is_large
from crmlab.tables.folders import MARK, make_aside
from tests.test_folders import finished_process

SMALL = {"today": "2025-01-01", "large": False}
LARGE = {"today": "2025-01-01", "large": True}
IN_MEMORY = (
    "workbook",
    "workbook with a title",
    "torn workbook",
    "zip",
)  # kinds that are never left to an engine


def outcome(path, options, **more):
    """What a reading gives: its record and its orders, or what it refused."""
    try:
        sales = read_sales(path, ReadingOptions(**options), **more)
    except DataError as problem:
        return str(problem)
    orders = sales.orders
    if isinstance(orders, Stored):
        orders = orders.frame(orders.table)
    rows = orders.sort_values(list(orders.columns), ignore_index=True)
    return sales.quality, sales.currency, sales.window, rows


def assert_same(path, more_options=None, *, with_examples=True, **more):
    small = outcome(path, SMALL | (more_options or {}), **more)
    large = outcome(path, LARGE | (more_options or {}), **more)
    if isinstance(small, str) or isinstance(large, str):
        assert small == large
        return
    if not with_examples:
        small, large = ((without_examples(one[0]), *one[1:]) for one in (small, large))
    assert small[0] == large[0]
    assert small[1:3] == large[1:3]
    pd.testing.assert_frame_equal(small[3], large[3], check_exact=True)
    assert adds_up(large[0])


def without_examples(quality):
    bare = tuple(replace(finding, examples=()) for finding in quality.findings)
    return replace(quality, findings=bare)


@pytest.mark.parametrize("name", [name for name in [*NASTY, *ODD] if name not in IN_MEMORY])
def test_every_odd_file_comes_out_as_in_memory(name, tmp_path):
    content = NASTY[name][0] if name in NASTY else ODD[name]
    assert_same(put(tmp_path, content))


MESSY = (
    "Kunde;Bestell Nr;Datum;Betrag;Status;E-Mail\n"
    "a;1;31.01.2024;3,50 €;;x@y\n"
    "a;1;31.01.2024;3,50 €;;x@y\n"  # repeats, with an order number
    " a ;2; 31.01.2024;1.003,50 €;ok;x@y\n"
    "=cmd;3;02.03.2024;0,00;;\n"
    ";4;02.03.2024;9,90;;\n"
    "b;5;05.03.2024;(3,50);;\n"  # nothing to take back
    "a;6;06.03.2024;-3,50 €;;\n"  # a purchase that came back whole
    "a;7;07.03.2024;-3,00;;\n"  # and in part
    "c;8;08.03.2024 12:30;7,00;STORNIERT;\n"
    "\u00a0c;9;08.03.2024 12:31:05;7,00;;\n"
    "n/a;10;09.03.2024;1,00;;\n"
    + "".join(f"{k % 7:03d};{k + 20};{1 + k % 28:02d}.04.2024;{k % 5},{k % 100:02d};;\n"
              for k in range(200))
    + "d;999;kein Datum;1,00;;\n"
)  # fmt: skip
PEOPLE = pd.DataFrame({"id": ["001", "c", "b"], "person": ["002", "002", "zz"]})


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {}),
        ({"since": "2024-03-01", "until": "2024-04-20"}, {}),
        ({"drop_repeats": True, "customer": "#1"}, {"same_person": PEOPLE}),
        ({}, {"key": b"0" * 32, "same_person": PEOPLE}),
        ({"amount": "Bestell Nr"}, {}),
        ({"date": "Betrag"}, {}),
        ({"customer": "nowhere"}, {}),
    ],
)
def test_a_messy_file_has_the_same_counts(options, more, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK_ROWS", 7)
    monkeypatch.setattr(store, "BLOCK_BYTES", 256)
    monkeypatch.setattr(stored_rows, "SETTLE_ROWS", 5)
    if options:
        assert_same(put(tmp_path, MESSY), options, **more)
    else:
        packed = gzip.compress(MESSY.encode("cp1252"))
        assert_same(put(tmp_path, packed, "orders.csv.gz"), options, **more)


def typed():
    rng = np.random.default_rng(1)
    n = 300
    frame = pd.DataFrame(
        {
            "customer_id": pd.array(rng.integers(0, 40, n), dtype="Int64"),
            "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, n), unit="D"),
            "quantity": rng.integers(-2, 4, n),
            "unit_price": rng.integers(100, 900, n) / 100,
            "name": rng.choice(["<script>alert(1)</script>", "@x"], n),
        }
    )
    frame.loc[3, "customer_id"] = pd.NA
    frame.loc[5, "unit_price"] = np.nan
    frame.loc[7, "unit_price"] = 1e300
    frame.loc[9] = frame.loc[8]
    return frame


def test_typed_files_have_the_same_counts(tmp_path):
    import duckdb

    frame = typed()
    frame.to_parquet(tmp_path / "orders.parquet")
    days = frame.assign(date=frame["date"].dt.date, customer_id=frame["customer_id"].astype(float))
    days.to_parquet(tmp_path / "days.parquet")
    with duckdb.connect(tmp_path / "orders.duckdb") as connection:
        connection.sql("create table orders as select * from frame")
    for name in ("orders.parquet", "days.parquet", "orders.duckdb"):
        # an example writes an empty cell as the type of its column in memory does
        assert_same(tmp_path / name, with_examples=False)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("customer_id", [1.5, 2.5, 1.5], "column 'customer_id' is stored as float64"),
        ("date", pd.to_datetime(["2024-01-01"] * 3).tz_localize("Asia/Tokyo"), "with a time zone"),
    ],
)
def test_what_an_engine_would_read_otherwise_is_refused(column, values, said, tmp_path):
    frame = typed().head(3).assign(**{column: values})
    frame.to_parquet(tmp_path / "orders.parquet")
    read_sales(tmp_path / "orders.parquet", ReadingOptions(**SMALL))
    with pytest.raises(DataError, match=said):
        read_sales(tmp_path / "orders.parquet", ReadingOptions(**LARGE))


def test_workbooks_and_frames_stay_in_memory(tmp_path):
    with pytest.raises(DataError, match="leave --large out"):
        read_sales(put(tmp_path, ODD["workbook"]), ReadingOptions(**LARGE))
    with pytest.raises(DataError, match="only CSV, Parquet and DuckDB files"):
        read_sales(pd.DataFrame({"customer": ["a"]}), ReadingOptions(**LARGE))


def test_the_route_is_chosen_by_size_and_kind(tmp_path, monkeypatch):
    text = put(tmp_path, PLAIN)
    packed = put(tmp_path, gzip.compress(PLAIN.encode()), "orders.csv.gz")
    assert not any(map(is_large, (text, packed, pd.DataFrame())))
    monkeypatch.setattr("crmlab.reading.files.LARGE_PACKED", 10)
    assert not is_large(text)
    assert is_large(packed)
    assert isinstance(read_sales(packed, ReadingOptions(today="2025-01-01")).orders, Stored)
    monkeypatch.setattr("crmlab.reading.files.LARGE_TEXT", 10)
    assert is_large(text)
    assert not is_large(put(tmp_path, ODD["workbook"], "book.xlsx"))


cell = st.sampled_from(
    ["a", "b", " a", "", "NA", "=x", "2024-01-05", "2024-1-6 10:30", "7.1.2024", "1", "-1", "2.50",
     "0", "x,y", 'q"q', "1e3", "é", "\u00a0b"]
)  # fmt: skip


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=8))
def test_any_cells_are_read_alike(rows, tmp_path):
    lines = [",".join('"' + c.replace('"', '""') + '"' for c in row) for row in rows]
    plain = [f"{'ab'[k % 2]},2024-02-{1 + k % 28:02d},{k}.50" for k in range(90)]
    assert_same(put(tmp_path, "customer,date,amount\n" + "\n".join([*plain, *lines]) + "\n"))


def test_orders_of_some_customers_come_back(tmp_path):
    orders = read_sales(put(tmp_path, PLAIN), ReadingOptions(**LARGE)).orders
    assert orders.of(["a", "nobody"])["amount"].tolist() == [3.5, 1.0]
    assert orders.of([]).empty
    assert "amount" in orders
    assert len(orders) == 3
    assert orders.count_until(pd.Timestamp("2024-02-28")) == 2
    assert orders.block(1, 1)["customer_id"].tolist() == ["b"]


def test_codes_are_parted_by_rows():
    assert part_codes(pd.DataFrame({"customer": [5], "n": [9]}), 2) == [(5, 5)]


def test_what_a_killed_run_left_on_disk_is_swept_away(tmp_path, monkeypatch):
    """Folders of other processes that run stay, and so does what only looks like crmlab's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, foreign = (tmp_path / f".crmlab-{finished_process()}-{end}" for end in "ab")
    alive = make_aside(tmp_path)
    shutil.copytree(alive, dead)
    said = json.loads((dead / MARK).read_text())
    (dead / MARK).write_text(json.dumps({**said, "process": finished_process()}))
    foreign.mkdir()
    for folder in (dead, alive, foreign):
        (folder / "orders.parquet").write_bytes(b"PAR1")
    disk = open_disk()
    assert set(tmp_path.iterdir()) == {alive, foreign, disk.folder}
    assert (foreign / "orders.parquet").exists()
