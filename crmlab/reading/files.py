"""From a file of any common kind to a table of raw cells, before anything is interpreted.

The first bytes decide the kind, not the name. Nothing is unpickled and no YAML is read; databases
are opened read-only and queried through Ibis expressions, never through SQL text.
"""

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.raw import MOST_BYTES, RawTable, check_table
from crmlab.reading.text import HEADED, decode, parse_text, tell_header, tell_layout
from crmlab.reading.typed import read_duckdb, read_ibis, read_parquet
from crmlab.reading.workbooks import read_workbook

if TYPE_CHECKING:
    from ibis.expr.types import Table

LARGE_TEXT, LARGE_PACKED = 128 * 2**20, 24 * 2**20  # bytes; some two to four million orders


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
        return check_table(RawTable(source.reset_index(drop=True), "a table in memory", ()))
    if not isinstance(source, str | Path):
        return check_table(read_ibis(source))
    path = Path(source)
    check_file(path)
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            f"{path.name}: is larger than {MOST_BYTES >> 30} GiB, too large for memory; "
            "`crmlab report` leaves such a file to an engine (--large)"
        )
    try:
        return check_table(_read_kind(path, table, encoding, delimiter))
    except DataError as problem:
        raise DataError(f"{path.name}: {problem}") from None


def check_file(path: Path) -> None:
    """Refuse a file that is missing or empty, and a folder."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file in it")
    if not path.is_file():
        raise DataError(f"{path.name}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: the file is empty (0 bytes)")


def _read_kind(
    path: Path, table: str | None, encoding: str | None, delimiter: str | None
) -> RawTable:
    kind = tell_kind(path)
    if kind == "parquet":
        return read_parquet(path)
    if kind == "excel":
        return read_workbook(path, table)
    if kind == "duckdb":
        return read_duckdb(path, table)
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
    known = {b"\xd0\xcf\x11\xe0": "an old Excel file (.xls), or one with a "
             "password: save it as .xlsx or .csv, without a password",
             b"SQLite format": "a SQLite file: open it with ibis.sqlite.connect and pass a table",
             b"%PDF": "a PDF: export a table instead", b"BZh": "bzip2: unpack it",
             b"\xfd7zXZ": "xz: unpack it", b"\x80\x04\x95": "a pickle, which is never loaded: it "
             "can run any program. Save the table as CSV or Parquet"}  # fmt: skip
    for magic, advice in known.items():
        if head.startswith(magic):
            raise DataError(f"is {advice}")
    return "text"


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
    cells = body.set_axis(names, axis=1)
    return RawTable(cells, source, decisions, has_header, findings=layout.findings)
