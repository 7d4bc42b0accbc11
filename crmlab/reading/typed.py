"""Parquet and DuckDB files: columns that have types, read through Arrow and Ibis.

A database is opened read-only and without access to anything outside it: its views cannot read a
file of this computer, nor an address. Columns of lists and records have no role in orders; they
are kept as text, so that rows which differ in them are not taken for repeats.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.quality import Decision
from crmlab.reading.raw import RawTable, in_brief

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.backends import BaseBackend
    from ibis.expr.datatypes import DataType
    from ibis.expr.types import Table

MOST_ROWS = 20_000_000  # in memory
IS_PARQUET = Decision("format", "Parquet", "first bytes of the file")
IS_DUCKDB = Decision("format", "DuckDB", "first bytes of the file")
_CLOSED = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_LARGEST_WHOLE = 2**53  # below it, floats hold every whole number


# --- Parquet --------------------------------------------------------------------------------------


def read_parquet(path: Path) -> RawTable:
    """Read a Parquet file into memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        _check_rows(file.metadata.num_rows)
        table = file.read()
        return _from_arrow(table, _nested_in(table), path.name, (IS_PARQUET,))
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as problem:
        raise DataError(bad_parquet(problem)) from None


def bad_parquet(problem: Exception) -> str:
    """Say that a Parquet file cannot be read."""
    return f"the Parquet file cannot be read ({in_brief(problem)})"


def _check_rows(n_rows: int) -> None:
    if n_rows > MOST_ROWS:
        raise DataError(
            f"has {n_rows:,} rows, too many for memory: leave them to an engine (--large)"
        )


def _nested_in(table: "pa.Table") -> list[int]:
    """Find the columns whose cells are no single values, or bytes that are no text."""
    return [k for k, column in enumerate(table.columns) if not _is_flat(column)]


def _is_flat(column: "pa.ChunkedArray") -> bool:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(kind, pa.UuidType):
        return True
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _is_text(column)
    flat = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean,
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_date,
        pa.types.is_timestamp, pa.types.is_time, pa.types.is_null,
    )  # fmt: skip
    return any(test(kind) for test in flat)


def _is_text(column: "pa.ChunkedArray") -> bool:
    import pyarrow as pa

    try:
        column.cast(pa.string())
    except pa.ArrowException:
        return False
    return True


# --- Arrow ----------------------------------------------------------------------------------------


def _from_arrow(
    table: "pa.Table", nested: Sequence[int], source: str, decisions: tuple[Decision, ...]
) -> RawTable:
    """Turn Arrow columns into those of a frame; the nested ones into text."""
    names = list(table.column_names)
    indexes = [k for k, name in enumerate(names) if is_pandas_index(name)]
    flat = [k for k in range(len(names)) if k not in {*nested, *indexes}]
    frame = pd.DataFrame({k: _to_series(table.column(k)) for k in flat}, index=range(len(table)))
    frame = frame.set_axis([names[k] for k in flat], axis=1)
    if not nested:
        return RawTable(frame, source, decisions)
    texts = {k: [repr(value) for value in table.column(k).to_pylist()] for k in nested}
    beside = pd.DataFrame(texts, dtype="str").set_axis([names[k] for k in nested], axis=1)
    return RawTable(frame, source, (*decisions, say_nested(beside.columns)), nested=beside)


def is_pandas_index(name: str) -> bool:
    """Whether a column only numbers the rows of the frame that was stored."""
    return _PANDAS_INDEX.fullmatch(name) is not None


def say_nested(names: Sequence[str]) -> Decision:
    """Say which columns have no role."""
    shown = ", ".join(str(name)[:40] for name in names[:12])
    return Decision("columns left out", shown, "their cells are lists, records or bytes")


def _to_series(column: "pa.ChunkedArray") -> pd.Series:
    """Turn one column of single values into a Series."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_decimal(kind):
        return _read_decimals(column)
    if isinstance(kind, pa.UuidType):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        return pd.Series(texts, dtype="str")
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    is_plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not (is_plain or pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        column = column.cast(pa.string())
    if pa.types.is_integer(kind) and column.null_count:  # a float would round long ids
        sign = "UInt" if pa.types.is_unsigned_integer(kind) else "Int"
        nullable = pd.api.types.pandas_dtype(f"{sign}{kind.bit_width}")
        return column.to_pandas(types_mapper=lambda _: nullable)
    return column.to_pandas(date_as_object=False)


def _read_decimals(column: "pa.ChunkedArray") -> pd.Series:
    """Read decimals as numbers, unless they are so long (ids) that a float would round them."""
    texts = column.to_pylist()
    floats = np.array([np.nan if one is None else float(one) for one in texts])
    if not (np.abs(floats) >= _LARGEST_WHOLE).any():
        return pd.Series(floats)
    whole = [None if one is None else f"{one:f}" for one in texts]
    return pd.Series(
        [one.rstrip("0").rstrip(".") if one and "." in one else one for one in whole], dtype="str"
    )


# --- databases ------------------------------------------------------------------------------------


def read_duckdb(path: Path, table: str | None) -> RawTable:
    """Read a table of a DuckDB file into memory."""
    with open_duckdb(path, table) as found:
        raw = read_ibis(found)
    return RawTable(raw.frame, path.name, (IS_DUCKDB, *raw.decisions), nested=raw.nested)


@contextmanager
def open_duckdb(path: Path, table: str | None, folder: Path | None = None) -> "Iterator[Table]":
    """Open a table of a DuckDB file, for reading only, without access to anything else.

    Parameters
    ----------
    path : path
    table : str, optional
        The user's choice.
    folder : path, optional
        The one place in which the engine may write.
    """
    import duckdb

    connection = None
    try:
        connection = _connect(path, folder)
        tables = quietly(lambda: _list_tables(connection))
        schema, name = tables[_choose_table(tables, table)]
        yield quietly(lambda: connection.table(name, database=schema))
    except duckdb.PermissionException:
        raise DataError(
            "the table is a view that reads a file or an address outside the database, which "
            "crmlab does not open: store its rows as a table"
        ) from None
    except DataError:
        raise
    except Exception as problem:  # the engine, Ibis and Arrow share no base class of errors
        raise DataError(f"the DuckDB file cannot be read ({in_brief(problem)})") from None
    finally:
        if connection is not None:
            connection.disconnect()


def _connect(path: Path, folder: Path | None) -> "BaseBackend":
    """Connect, and lock every door before anything in the database is looked at."""
    import ibis

    try:
        connection = ibis.duckdb.connect(path, read_only=True, **_CLOSED)
        if folder is not None:
            connection.settings["allowed_directories"] = [str(folder)]
            connection.settings["temp_directory"] = str(folder / "spill")
        connection.settings["enable_external_access"] = False
        connection.settings["lock_configuration"] = True
    except Exception as problem:  # the engine may raise any error of its own
        raise DataError(f"the DuckDB file cannot be opened ({in_brief(problem)})") from None
    return connection


def _choose_table(tables: Mapping[str, object], table: str | None) -> str:
    if table is None and len(tables) != 1:
        raise DataError(f"holds the tables {[*tables]}: choose one with --table")
    if table is not None and table not in tables:
        raise DataError(f"has no table {table!r}; there are {[*tables]}")
    return table or next(iter(tables))


def _list_tables(connection: "BaseBackend") -> dict[str, tuple[str, str]]:
    """List the tables with an expression: Ibis's own method needs an older engine.

    Those outside the main schema are named with theirs.
    """
    listed = connection.table("tables", database="information_schema")
    own = listed.filter(listed.table_catalog == connection.current_catalog)
    pairs = own.select("table_schema", "table_name").to_pyarrow().to_pylist()
    places = [(one["table_schema"], one["table_name"]) for one in pairs]
    named = {name if home == "main" else f"{home}.{name}": (home, name) for home, name in places}
    return dict(sorted(named.items()))


def read_ibis(table: "Table") -> RawTable:
    """Read an Ibis table into memory."""
    from ibis.expr.types import Table

    if not isinstance(table, Table):
        raise DataError(
            "orders must be a path, a DataFrame or an Ibis table, got " + type(table).__name__
        )
    found = name_table(table)
    _check_rows(int(quietly(table.count().to_pyarrow).as_py()))
    nested = nested_columns(table)
    read = quietly(table.mutate(**as_texts(table)).to_pyarrow)
    places = [k for k, name in enumerate(table.columns) if name in nested]
    return _from_arrow(read, places, found.choice, (found,))


def name_table(table: "Table") -> Decision:
    """Say which table is read."""
    named = table.get_name() if table.op().__class__.__name__ == "DatabaseTable" else "a query"
    return Decision("table", named, "read through an Ibis expression")


def nested_columns(table: "Table") -> list[str]:
    """List the columns of an engine's table whose cells are no single values."""
    return [name for name, kind in table.schema().items() if not _is_single(kind)]


def _is_single(kind: "DataType") -> bool:
    tests = (kind.is_string, kind.is_numeric, kind.is_boolean, kind.is_date, kind.is_timestamp,
             kind.is_time, kind.is_uuid, kind.is_null)  # fmt: skip
    return any(test() for test in tests) and not kind.is_json()


def as_texts(table: "Table") -> dict[str, object]:
    """Return, as text, the columns of an engine's table whose types a frame does not have."""
    kinds = table.schema().items()
    odd = [name for name, kind in kinds if not _is_single(kind) or kind.is_time() or kind.is_uuid()]
    return {name: table[name].cast("string") for name in odd}


def quietly[T](ask: Callable[[], T]) -> T:
    """Query an engine without its deprecation warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ask()
