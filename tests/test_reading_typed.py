"""Parquet and DuckDB files: odd types, nested columns, and views that look outside."""

import datetime
import decimal
import os
import uuid

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from crmlab.errors import DataError
from crmlab.reading import ReadingOptions, read_raw, read_sales
from crmlab.reading.disk import Stored
from tests.cases.faults import need, refusal

TODAY = "2024-12-01"
N = 4
DAYS = pa.array([datetime.date(2024, 1, k + 1) for k in range(N)])
ORDERS = {"customer": pa.array(["a", "b", "a", "c"]), "date": DAYS,
          "amount": pa.array([1.5, 2.5, 3.5, 4.5])}  # fmt: skip


@pytest.fixture(params=[False, True], ids=["in memory", "engine"])
def read(request):
    def ask(path, **options):
        sales = read_sales(path, ReadingOptions(today=TODAY, large=request.param, **options))
        orders = sales.orders
        frame = orders.frame(orders.table) if isinstance(orders, Stored) else orders
        return sales, frame.sort_values(["date", "customer_id"], ignore_index=True)

    return ask


@pytest.fixture
def parquet(tmp_path):
    def write(**columns):
        pq.write_table(pa.table({**ORDERS, **columns}), tmp_path / "orders.parquet")
        return tmp_path / "orders.parquet"

    return write


def decision(sales, what):
    return next(one for one in sales.quality.decisions if one.what == what)


# --- types ----------------------------------------------------------------------------------------

NESTED = {
    "list": pa.array([[1], [], None, [2, None]]),
    "struct": pa.array([{"a": 1}, None, {"a": None}, {"a": 4}]),
    "map": pa.array([[("k", 1)], [], None, [("l", 2)]], pa.map_(pa.string(), pa.int64())),
    "list of structs": pa.array([[{"a": 1, "b": [2]}], [], None, []]),
    "fixed list": pa.array([[1, 2], [3, 4], None, [5, 6]], pa.list_(pa.int32(), 2)),
    "bytes": pa.array([b"\xff\xfe", b"\x00", None, b"\x80"]),
}
FLAT = {
    "dictionary": pa.array(["x", "y", None, "x"]).dictionary_encode(),
    "dictionary of numbers": pa.array([1, 2, None, 1]).dictionary_encode(),
    "nulls only": pa.nulls(N),
    "booleans": pa.array([True, None, False, True]),
    "decimal": pa.array([decimal.Decimal("1.125"), None, None, decimal.Decimal("-2")]),
    "time": pa.array([datetime.time(10, 30), None, None, datetime.time(1)]),
    "half": pa.array(np.array([1.5, 2.5, 3.5, 4.5], np.float16)),
    "small": pa.array([1, None, 3, 4], pa.uint8()),
}


@pytest.mark.parametrize("kind", NESTED)
def test_a_nested_column_beside_the_orders_is_left_out(read, parquet, kind):
    sales, frame = read(parquet(items=NESTED[kind]))
    assert frame["amount"].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert decision(sales, "columns left out").choice == "items"


@pytest.mark.parametrize("kind", FLAT)
def test_a_column_of_any_type_beside_the_orders_does_no_harm(read, parquet, kind):
    sales, frame = read(parquet(extra=FLAT[kind]))
    assert frame["customer_id"].tolist() == ["a", "b", "a", "c"]
    assert sales.quality.rows_used == N


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("role", ["customer", "date"])
def test_a_nested_column_that_orders_need_is_named(read, parquet, role, kind):
    refused = refusal(lambda: read(parquet(**{role: NESTED[kind]})))
    assert f"'{role}' cannot be used: their cells are lists, records or bytes" in refused
    refused = refusal(lambda: read(parquet(items=NESTED[kind]), **{role: "items"}))
    assert "'items' cannot be used" in refused


def test_rows_that_differ_only_in_a_nested_column_are_no_repeats(read, parquet):
    ones = {"customer": pa.array(["a"] * N), "date": DAYS.take(pa.array([0] * N)),
            "amount": pa.array([1.0] * N), "order_id": pa.array([7] * N)}  # fmt: skip
    items = pa.array([[{"sku": 1}], [{"sku": 2}], [{"sku": 2}], [{"sku": 3}]])
    sales, frame = read(parquet(**ones, items=items), drop_repeats=True)
    assert sales.quality.rows_set_aside == 1
    assert len(frame) == 3


@pytest.mark.parametrize(
    "amounts",
    [
        pa.array([decimal.Decimal(x) for x in ("1.125", "2.375", "1000.001", "0.009")]),
        pa.array([1.125, 2.375, 1000.001, 0.009]),
        pa.array(["1.125", "2.375", "1000.001", "0.009"]).dictionary_encode(),
    ],
    ids=["decimals", "floats", "texts"],
)
def test_stored_numbers_are_taken_as_they_are(read, parquet, amounts):
    _, frame = read(parquet(amount=amounts))
    assert frame["amount"].tolist() == [1.125, 2.375, 1000.001, 0.009]


LONG = [2**53 + 1, 2**53 + 2, 2**53 + 1, 7]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (pa.array(LONG), [str(one) for one in LONG]),
        (pa.array([decimal.Decimal(k) for k in (1, 2, 1, 3)], pa.decimal128(20, 0)), list("1213")),
        (pa.array([b"x", b"y", b"x", b"z"]), list("xyxz")),
        (pa.array(list("xyxz"), pa.large_string()), list("xyxz")),
        (pa.array(list("xyxz"), pa.string_view()), list("xyxz")),
    ],
    ids=["long", "decimals", "bytes of text", "large text", "views of text"],
)
def test_ids_of_any_type_keep_all_their_digits(parquet, ids, said):
    frame = read_sales(parquet(customer=ids), ReadingOptions(today=TODAY)).orders
    assert frame["customer_id"].tolist() == said


def test_long_ids_with_gaps_are_not_rounded(read, parquet):
    """Floats, which hold a gap too, would make two customers one."""
    _, frame = read(parquet(customer=pa.array([2**53 + 1, 2**53 + 2, 2**53 + 1, None])))
    assert sorted(set(frame["customer_id"])) == [str(2**53 + 1), str(2**53 + 2)]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (pa.array([1.0, float("nan"), 3.0, None]), ["1", "3"]),
        (pa.array([decimal.Decimal(10**30 + k % 2) for k in range(4)]), [
            str(10**30), str(10**30 + 1), str(10**30), str(10**30 + 1)]),
    ],
    ids=["floats that are none", "long decimals"],
)  # fmt: skip
def test_an_engine_reads_ids_that_are_numbers_as_memory_does(read, parquet, ids, said):
    assert read(parquet(customer=ids))[1]["customer_id"].tolist() == said


def test_universal_ids_are_text(tmp_path):
    ids = [uuid.UUID(int=k + 1) for k in range(3)]
    with duckdb.connect(str(tmp_path / "o.duckdb")) as connection:
        connection.execute("create table o (customer uuid, date date, amount decimal(9, 3))")
        for k, one in enumerate(ids):
            connection.execute("insert into o values (?, ?, 1.125)", [one, f"2024-01-0{k + 1}"])
    for large in (False, True):
        sales = read_sales(tmp_path / "o.duckdb", ReadingOptions(today=TODAY, large=large))
        orders = sales.orders
        frame = orders.frame(orders.table) if large else orders
        assert sorted(frame["customer_id"]) == [str(one) for one in ids]
        assert set(frame["amount"]) == {1.125}


def test_an_index_of_pandas_is_a_column_if_it_has_a_name(read, tmp_path):
    frame = pa.table(ORDERS).to_pandas().set_index("customer")
    frame.to_parquet(tmp_path / "named.parquet")
    assert read(tmp_path / "named.parquet")[1]["customer_id"].tolist() == ["a", "b", "a", "c"]
    frame.reset_index().set_index(pd.Index([5, 7, 9, 11])).to_parquet(tmp_path / "plain.parquet")
    sales, _ = read(tmp_path / "plain.parquet")
    assert "__index_level_0__" not in str(sales.quality.to_dict())


def test_too_many_rows_for_memory_are_refused_before_they_are_unpacked(tmp_path):
    ones = pa.array(np.zeros(30_000_000, np.int8))
    pq.write_table(pa.table({"customer": ones}), tmp_path / "o.parquet")
    need((tmp_path / "o.parquet").stat().st_size < 2**20, "the file is small")
    assert "30,000,000 rows, too many for memory" in refusal(
        lambda: read_raw(tmp_path / "o.parquet")
    )


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_cut_parquet_file_is_refused_in_a_sentence(parquet, data):
    path = parquet(items=NESTED["list"])
    content = path.read_bytes()
    path.write_bytes(content[: 4 + int(data.draw(st.floats(0, 1)) * (len(content) - 5))])
    assert "cannot be read" in refusal(lambda: read_raw(path))


# --- databases ------------------------------------------------------------------------------------

SECRET = "customer,date,amount\nsecret,2024-01-03,1.5\n"


@pytest.fixture
def database(tmp_path):
    def write(*statements):
        path = tmp_path / "orders.duckdb"
        (tmp_path / "secret.csv").write_text(SECRET)
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement.replace("HERE", tmp_path.as_posix()))
        return path

    return write


OUTSIDE = {
    "csv": "create view orders as select * from read_csv('HERE/secret.csv')",
    "text": "create view orders as select content as customer, date '2024-01-01' as date, "
    "1.0 as amount from read_text('HERE/secret.csv')",
    "glob": "create view orders as select file as customer, date '2024-01-01' as date, 1.0 as "
    "amount from glob('HERE/*')",
    "a view of a view": "create view inner_view as select * from 'HERE/secret.csv'; "
    "create view orders as select * from inner_view",
    "macro": "create macro spy() as table select * from read_csv('HERE/secret.csv'); "
    "create view orders as select * from spy()",
    "secrets": "create view orders as select name as customer, date '2024-01-01' as date, 1.0 as "
    "amount from duckdb_secrets()",
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_view_looks_at_nothing_outside(read, database, kind):
    path = database(OUTSIDE[kind])
    refused = refusal(lambda: read(path, table="orders"))
    assert refused.startswith("orders.duckdb: ")
    assert "secret,2024" not in refused
    assert kind == "secrets" or "outside the database" in refused


@pytest.mark.parametrize(
    ("day", "said"), [("infinity", "in the future"), ("-infinity", "before 1900-01-01")]
)
def test_a_day_that_never_comes_is_refused_or_set_aside(read, database, day, said):
    path = database(
        "create table o as select 'k' || range as customer, 1.5 as amount, "
        f"case when range = 3 then '{day}'::date else date '2024-01-05' end as date from range(9)"
    )
    assert f"1 row dated {said}" in refusal(lambda: read(path))
    sales, frame = read(path, since="2024-01-01", until="2024-02-01")
    assert (sales.quality.rows_set_aside, len(frame)) == (1, 8)


def test_a_view_whose_table_is_gone_is_refused(read, database):
    path = database(
        "create table found as select 'x' customer, '2024-01-03' date, 1.5 amount",
        "create view orders as select * from found",
        "drop table found",
    )
    assert "cannot be read" in refusal(lambda: read(path, table="orders"))


def test_a_view_of_a_table_is_read_and_nothing_is_written_beside_the_file(read, database, tmp_path):
    path = database(
        "create schema shop",
        "create table shop.sales as select 'c' || range customer, date '2024-01-01' + "
        "cast(range as integer) date, 1.125::decimal(9, 3) amount, [range] items, interval 1 day "
        "as iv, {'a': range} as s from range(40)",
        "create view main.latest as select * from shop.sales where amount > 0",
    )
    before = sorted(tmp_path.iterdir())
    for table in ("latest", "shop.sales"):
        sales, frame = read(path, table=table)
        assert len(frame) == 40
        assert decision(sales, "columns left out").choice == "items, iv, s"
    assert "holds the tables ['latest', 'shop.sales']" in refusal(lambda: read(path))
    assert "has no table 'x'" in refusal(lambda: read(path, table="x"))
    assert sorted(tmp_path.iterdir()) == before


def test_a_database_that_is_none_or_is_empty_is_refused(read, database, tmp_path):
    assert "holds the tables []" in refusal(lambda: read(database()))
    whole = database("create table o as select 1 as customer").read_bytes()
    for share in (0.001, 0.3, 0.7):
        (tmp_path / "torn.duckdb").write_bytes(whole[: max(16, int(share * len(whole)))])
        assert "torn.duckdb: " in refusal(lambda: read(tmp_path / "torn.duckdb"))


def test_reading_a_database_leaves_no_file_behind(read, database):
    path = database("create table o as select 'a' customer, date '2024-01-01' date, 1.0 amount")
    os.chmod(path, 0o400)
    assert len(read(path)[1]) == 1
    with pytest.raises(DataError):
        read_raw(path, table="p")
