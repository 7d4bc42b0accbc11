"""Rows on disk, queried by an engine: files that are too large for memory.

Text is parsed by the same parser as a small file, chunk by chunk, into columns on disk; Parquet and
DuckDB files have columns already. From there DuckDB scans them through Ibis: the distinct texts of
a column come back, and decisions are made as for a small file; masks and counts of rows stay in the
engine. Memory grows with the number of customers and distinct texts, not of rows. A column that the
engine could read differently from the reader of small files is refused by name.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.disk import Disk, open_disk
from crmlab.reading.files import (
    check_file,
    cut_short,
    tell_kind,
)
from crmlab.reading.quality import Decision
from crmlab.reading.raw import LONGEST_FIELD, check_shape, too_long
from crmlab.reading.stored_rows import StoredRawRows
from crmlab.reading.text import (
    HEADED,
    find_encoding,
    parse_text,
    tell_header,
    tell_layout,
)
from crmlab.reading.typed import (
    IS_DUCKDB,
    IS_PARQUET,
    as_texts,
    bad_parquet,
    is_pandas_index,
    name_table,
    nested_columns,
    open_duckdb,
    quietly,
    say_nested,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

BLOCK_BYTES, CHUNK_ROWS = 2**20, 400_000
HEAD_CHARACTERS = 4 * 2**20


def store_rows(
    source: "str | Path | ir.Table",
    *,
    table: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> StoredRawRows:
    """Leave the rows of a CSV (also gzipped), Parquet or DuckDB file to an engine.

    Parameters
    ----------
    source : path
    table : str, optional
        Of a database.
    encoding, delimiter : str, optional
        Of a CSV file; detected if left out.

    Raises
    ------
    DataError
        The message says what is wrong and what to do, as for a small file.
    """
    if not isinstance(source, str | Path):
        raise DataError("only CSV, Parquet and DuckDB files can be left to an engine (--large)")
    path, disk = Path(source), open_disk()
    check_file(path)
    try:
        kind = tell_kind(path)
        if kind == "excel":
            raise DataError("a workbook is read into memory: leave --large out")
        if kind == "parquet":
            rows = _store_parquet(path, disk)
        elif kind == "duckdb":
            rows = _store_duckdb(path, disk, table)
        else:
            rows = _store_text(path, disk, kind == "gzip", encoding, delimiter)
        return _checked(rows)
    except DataError as problem:
        raise DataError(f"{path.name}: {problem}") from None


def _store_text(
    path: Path, disk: Disk, is_packed: bool, encoding: str | None, delimiter: str | None
) -> StoredRawRows:
    import pyarrow.parquet as pq

    def blocks() -> Iterator[bytes]:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            try:
                while block := file.read(BLOCK_BYTES):
                    yield block
            except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
                raise DataError(cut_short(problem)) from None

    codec, decoded = find_encoding(blocks, encoding)
    head = _read_head(lambda: _open_text(path, is_packed, codec))
    layout = tell_layout(head, delimiter)
    names: list[str] = []
    header, written = None, 0
    writer = None
    with _open_text(path, is_packed, codec) as file:
        for rows in parse_text(file, layout, rows=CHUNK_ROWS):
            if header is None:
                names, header = tell_header(rows)
                rows = rows.iloc[int(header.choice == HEADED) :]
            piece = _columns_of(rows, written)
            writer = writer or pq.ParquetWriter(disk.path("raw.parquet"), piece.schema)
            writer.write_table(piece)
            written += len(rows)
    if writer is None or header is None:
        raise DataError("the file has no row")
    writer.close()
    raw = quietly(lambda: disk.connection.read_parquet(disk.path("raw.parquet")))
    decisions, has_header = (decoded, layout.decision, header), header.choice == HEADED
    return StoredRawRows(
        disk, raw, tuple(names), path.name, decisions, has_header, findings=layout.findings
    )  # fmt: skip


def _open_text(path: Path, is_packed: bool, codec: str) -> TextIO:
    if is_packed:
        return gzip.open(path, "rt", encoding=codec, newline="")
    return path.open(encoding=codec, newline="")


def _read_head(open_text: Callable[[], TextIO]) -> str:
    """Read the beginning of a text, up to something that is not blank."""
    with open_text() as file:
        head = file.read(HEAD_CHARACTERS)
        while not head.strip() and (more := file.read(HEAD_CHARACTERS)):
            head += more
    return head


def _columns_of(rows: pd.DataFrame, before: int) -> "pa.Table":
    import pyarrow as pa

    places = np.arange(before, before + len(rows), dtype=np.int64)
    filled = rows.fillna("")
    texts = {f"c{k}": pa.array(filled.iloc[:, k], type=pa.string()) for k in range(rows.shape[1])}
    return pa.table({"row": places, **texts})


def _store_parquet(path: Path, disk: Disk) -> StoredRawRows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.ParquetFile(path).schema_arrow.names
        table = quietly(lambda: disk.connection.read_parquet(path, file_row_number=True))
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DataError(bad_parquet(problem)) from None
    if len(set(names)) < len(names):
        raise DataError("two columns have the same name, which an engine cannot tell apart")
    table, kept, nested = _number_columns(table, names, {"row": table["file_row_number"]})
    return _stored(disk, table, kept, nested, path, (IS_PARQUET,))


def _store_duckdb(path: Path, disk: Disk, table: str | None) -> StoredRawRows:
    import ibis

    with open_duckdb(path, table, disk.folder) as found:
        decisions = (IS_DUCKDB, name_table(found))
        numbered, kept, nested = _number_columns(found, found.columns, {"row": ibis.row_number()})
        quietly(lambda: numbered.to_parquet(disk.path("raw.parquet")))
    raw = quietly(lambda: disk.connection.read_parquet(disk.path("raw.parquet")))
    return _stored(disk, raw, kept, nested, path, decisions)


def _number_columns(
    table: "ir.Table", names: Sequence[str], first: Mapping[str, "ir.Column"]
) -> tuple["ir.Table", tuple[str, ...], tuple[str, ...]]:
    """Name columns c0, c1, ..., and n0, n1, ... those whose cells are no single values."""
    nested = tuple(name for name in nested_columns(table) if name in names)
    kept = tuple(name for name in names if name not in nested and not is_pandas_index(name))
    table = table.mutate(**as_texts(table))
    columns = {f"c{k}": table[name] for k, name in enumerate(kept)}
    columns |= {f"n{k}": table[name] for k, name in enumerate(nested)}
    return table.select(**first, **columns), kept, nested


def _stored(
    disk: Disk,
    raw: "ir.Table",
    names: tuple[str, ...],
    nested: tuple[str, ...],
    path: Path,
    decisions: tuple[Decision, ...],
) -> StoredRawRows:
    said = (say_nested(nested),) if nested else ()
    return StoredRawRows(disk, raw, names, path.name, (*decisions, *said), True, nested)


def _checked(rows: StoredRawRows) -> StoredRawRows:
    """Refuse a table without rows, with too many columns, or with overlong cells."""
    check_shape(rows.n_rows, len(rows.names))
    texts = [k for k in range(len(rows.names)) if rows.raw[f"c{k}"].type().is_string()]
    if not texts:
        return rows
    sizes = {f"c{k}": rows.raw[f"c{k}"].length().max() for k in texts}
    longest = rows.disk.collect(rows.raw.aggregate(**sizes)).iloc[0]
    for k in texts:
        size = longest[f"c{k}"]
        if pd.notna(size) and size > LONGEST_FIELD:
            cell = rows.raw[f"c{k}"]
            first = rows.raw.filter(cell.length() == int(size))["row"].min()
            row = quietly(partial(rows.disk.connection.to_pyarrow, first)).as_py()
            raise DataError(too_long(row, int(size), rows.names[k]))
    return rows
