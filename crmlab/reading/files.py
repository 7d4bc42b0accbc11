"""From a file of any common kind to a table of raw cells, before anything is interpreted.

The first bytes decide the kind, not the name. Nothing is unpickled and no YAML is read; databases
are opened read-only and queried through Ibis expressions, never through SQL text.
"""

import datetime
import gzip
import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.quality import Decision, Finding
from crmlab.reading.text import (
    HEADED,
    MOST_ABOVE,
    check_shape,
    count_lines_above,
    decode,
    list_lines_above,
    parse_text,
    tell_header,
    tell_layout,
)

if TYPE_CHECKING:
    from ibis.backends import BaseBackend
    from ibis.expr.types import Table

LONGEST_FIELD = 32_767  # what a spreadsheet's cell can hold
MOST_BYTES = 4 * 2**30
IS_PARQUET = Decision("format", "Parquet", "first bytes of the file")
IS_DUCKDB = Decision("format", "DuckDB", "first bytes of the file")
LARGE_TEXT, LARGE_PACKED = 128 * 2**20, 24 * 2**20  # bytes; some two to four million orders


@dataclass(frozen=True)
class RawTable:
    """The cells of a file, unchanged.

    Parameters
    ----------
    frame : DataFrame
        Text, or the types that the file stores; names may repeat.
    source : str
        The file or table.
    decisions : tuple of Decision
        How it was read.
    has_header : bool
        Whether the names come from the file.
    findings : tuple of Finding
        Lines of the file that are no rows.
    """

    frame: pd.DataFrame
    source: str
    decisions: tuple[Decision, ...]
    has_header: bool = True
    findings: tuple[Finding, ...] = ()


def is_large(source: "str | Path | pd.DataFrame | Table") -> bool:
    """Whether a file is left to an engine: text above 128 MiB, other kinds above 24 MiB.

    Workbooks never are: a sheet holds a million rows at most.
    """
    if not isinstance(source, str | Path) or not Path(source).is_file():
        return False
    size = Path(source).stat().st_size
    if size <= min(LARGE_TEXT, LARGE_PACKED):
        return False
    limits = {"text": LARGE_TEXT, "excel": size}
    return size > limits.get(tell_kind(Path(source)), LARGE_PACKED)


def read_raw(
    source: "str | Path | pd.DataFrame | Table",
    *,
    table: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> RawTable:
    """Read CSV (also gzipped), Parquet, Excel, a DuckDB file, an Ibis table or a frame.

    Parameters
    ----------
    source : path, DataFrame or Ibis table
    table : str, optional
        Sheet of a workbook, or table of a database.
    encoding, delimiter : str, optional
        Of a CSV file; detected if left out.

    Returns
    -------
    RawTable

    Raises
    ------
    DataError
        The message says what is wrong and what to do.
    """
    if isinstance(source, pd.DataFrame):
        return _checked(RawTable(source.reset_index(drop=True), "a table in memory", ()))
    if not isinstance(source, str | Path):
        return _checked(_from_ibis(source))
    path = Path(source)
    check_file(path)
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            f"{path.name}: is larger than {MOST_BYTES >> 30} GiB, too large for memory; "
            "`crmlab report` leaves such a file to an engine (--large)"
        )
    try:
        return _checked(_read_kind(path, table, encoding, delimiter))
    except DataError as problem:
        raise DataError(f"{path.name}: {problem}") from None


def check_file(path: Path) -> None:
    """Refuse a file that is missing or empty."""
    if not path.is_file():
        raise DataError(f"{path.name}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: the file is empty (0 bytes)")


def _read_kind(
    path: Path, table: str | None, encoding: str | None, delimiter: str | None
) -> RawTable:
    kind = tell_kind(path)
    if kind == "parquet":
        return _read_parquet(path)
    if kind == "excel":
        return _read_excel(path, table)
    if kind == "duckdb":
        return _read_duckdb(path, table)
    content = _gunzip(path) if kind == "gzip" else path.read_bytes()
    return _read_text(content, path.name, encoding, delimiter)


def tell_kind(path: Path) -> str:
    """Find "parquet", "excel", "duckdb", "gzip" or "text" by the first bytes; refuse the rest."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:12] == b"DUCK":
        return "duckdb"
    kinds = {b"PAR1": "parquet", b"PK\x03\x04": "excel", b"\x1f\x8b": "gzip"}
    for magic, kind in kinds.items():
        if head.startswith(magic):
            return kind
    known = {b"\xd0\xcf\x11\xe0": "an old Excel file (.xls): save it as .xlsx or .csv",
             b"SQLite format": "a SQLite file: open it with ibis.sqlite.connect and pass a table",
             b"%PDF": "a PDF: export a table instead", b"BZh": "bzip2: unpack it",
             b"\xfd7zXZ": "xz: unpack it", b"\x80\x04\x95": "a pickle, which is never loaded: it "
             "can run any program. Save the table as CSV or Parquet"}  # fmt: skip
    for magic, advice in known.items():
        if head.startswith(magic):
            raise DataError(f"is {advice}")
    return "text"


def _checked(raw: RawTable) -> RawTable:
    """Refuse a table without rows, with too many columns, or with overlong cells."""
    frame = raw.frame
    check_shape(len(frame), frame.shape[1])
    for place, name in enumerate(frame.columns):
        cells = frame.iloc[:, place]
        if not (pd.api.types.is_string_dtype(cells) or cells.dtype == object):
            continue
        sizes = cells.astype("str").str.len()
        if (sizes > LONGEST_FIELD).any():
            raise DataError(too_long(int(sizes.to_numpy().argmax()), int(sizes.max()), str(name)))
    return raw


def too_long(row: int, size: int, name: str) -> str:
    """Say which cell is too long for a table."""
    return (
        f"row {row + 1} holds {size:,} characters in column {name[:60]!r} (limit "
        f"{LONGEST_FIELD:,}): a quotation mark is never closed, or the file is not a table"
    )


# --- text -----------------------------------------------------------------------------------------


def _gunzip(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise DataError(cut_short(problem)) from None
    if len(content) > MOST_BYTES:
        raise DataError(f"unpacks to more than {MOST_BYTES >> 30} GiB")
    return content


def cut_short(problem: Exception) -> str:
    """Say that a compressed file is incomplete."""
    return f"the compressed file is cut short or damaged ({problem}); copy or export it again"


def _read_text(
    content: bytes, source: str, encoding: str | None, delimiter: str | None
) -> RawTable:
    text, decoded = decode(content, encoding)
    layout = tell_layout(text, delimiter)
    rows = next(parse_text(io.StringIO(text, newline=""), layout))
    names, header = tell_header(rows)
    has_header = header.choice == HEADED
    body = rows.iloc[int(has_header) :].reset_index(drop=True).fillna("")
    decisions = (decoded, layout.decision, header)
    return RawTable(body.set_axis(names, axis=1), source, decisions, has_header, layout.findings)


# --- other kinds ----------------------------------------------------------------------------------


def _read_parquet(path: Path) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.ParquetFile(path).read().to_pandas(date_as_object=False)
    except (pa.ArrowInvalid, pa.ArrowException, OSError, ValueError) as problem:
        raise DataError(bad_parquet(problem)) from None
    return RawTable(frame.reset_index(drop=True), path.name, (IS_PARQUET,))


def bad_parquet(problem: Exception) -> str:
    """Say that a Parquet file cannot be read."""
    return f"the Parquet file cannot be read ({' '.join(str(problem).split())[:200]})"


def _read_excel(path: Path, sheet: str | None) -> RawTable:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            size = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        raise DataError("the workbook or archive is damaged or cut short") from None
    if not any(PurePosixPath(name).name == "workbook.xml" for name in names):
        raise DataError("is a zip archive, not an Excel workbook: unpack it first")
    if size > MOST_BYTES // 4:
        raise DataError("the workbook unpacks to more than 1 GiB: save it as CSV or Parquet")
    book = _load_sheets(path)
    filled = {name: cells for name, cells in book.items() if len(cells.dropna(how="all"))}
    if not filled:
        raise DataError("the workbook is empty")
    if sheet is not None and sheet not in book:
        raise DataError(f"has no sheet {sheet!r}; there are {', '.join(map(repr, book))}")
    chosen = sheet or next(iter(filled))
    others = [name for name in filled if name != chosen]
    why = "as you said" if sheet else f"the first with cells (others: {others or 'none'})"
    cells = book[chosen].dropna(how="all").dropna(how="all", axis=1).map(_excel_cell)
    above = count_lines_above(cells.head(MOST_ABOVE).values.tolist())
    skipped = list_lines_above([" ".join(filter(None, row)) for row in cells.values[:above]])
    cells = cells.iloc[above:]
    names = [str(cell) for cell in cells.iloc[0]] if len(cells) else []
    kind = Decision("format", "Excel workbook", "first bytes of the file")
    body = cells.iloc[1:].reset_index(drop=True).astype("str").set_axis(names, axis=1)
    decisions = (kind, Decision("sheet", chosen, why))
    return RawTable(body, path.name, decisions, findings=skipped)


def _load_sheets(path: Path) -> dict[str, pd.DataFrame]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles, which do not affect values
            return pd.read_excel(
                path, sheet_name=None, header=None, dtype=object, engine="openpyxl"
            )
    except Exception as problem:  # openpyxl raises anything from KeyError to XML errors
        message = " ".join(str(problem).split())[:200]
        raise DataError(f"the workbook cannot be read ({message})") from None


def _excel_cell(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)) or value is pd.NaT:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)


def _read_duckdb(path: Path, table: str | None) -> RawTable:
    with open_duckdb(path, table) as found:
        raw = _from_ibis(found)
    return RawTable(raw.frame, path.name, (IS_DUCKDB, *raw.decisions))


@contextmanager
def open_duckdb(path: Path, table: str | None) -> "Iterator[Table]":
    """Open a table of a DuckDB file, for reading only."""
    import ibis

    try:
        connection = ibis.duckdb.connect(path, read_only=True)
    except Exception as problem:  # the engine may raise any error of its own
        message = " ".join(str(problem).split())[:200]
        raise DataError(f"the DuckDB file cannot be opened ({message})") from None
    try:
        names = quietly(lambda: _list_tables(connection))
        if table is None and len(names) != 1:
            raise DataError(f"holds the tables {names}: choose one with --table")
        if table is not None and table not in names:
            raise DataError(f"has no table {table!r}; there are {names}")
        yield quietly(lambda: connection.table(table or names[0]))
    finally:
        connection.disconnect()


def _list_tables(connection: "BaseBackend") -> list[str]:
    """List the tables with an expression: Ibis's own method needs an older engine."""
    listed = connection.table("tables", database="information_schema")
    own = listed.filter(listed.table_catalog == connection.current_catalog)
    return sorted(own["table_name"].to_pyarrow().to_pylist())


def _from_ibis(table: "Table") -> RawTable:
    if not hasattr(table, "to_pyarrow"):
        raise DataError(
            "orders must be a path, a DataFrame or an Ibis table, got " + type(table).__name__
        )
    found = name_table(table)
    named = found.choice
    frame = quietly(table.to_pyarrow).to_pandas(date_as_object=False)
    return RawTable(frame.reset_index(drop=True), named, (found,))


def name_table(table: "Table") -> Decision:
    """Say which table is read."""
    named = table.get_name() if table.op().__class__.__name__ == "DatabaseTable" else "a query"
    return Decision("table", named, "read through an Ibis expression")


def quietly[T](ask: Callable[[], T]) -> T:
    """Query an engine without its deprecation warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ask()
