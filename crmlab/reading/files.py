"""From a file of any common kind to a table of raw cells: what is in it, before what it means.

The kind is told by the first bytes, not by the name. Nothing is unpickled and no YAML is read;
databases are opened read-only and asked through Ibis expressions, never through SQL text.
"""

import csv
import gzip
import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.quality import Decision

if TYPE_CHECKING:
    from ibis.backends import BaseBackend
    from ibis.expr.types import Table

MOST_COLUMNS = 1_000
LONGEST_FIELD = 32_767  # what a spreadsheet's cell can hold
MOST_BYTES = 4 * 2**30
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", r"\s+": "spaces"}
_SAMPLE = 64 * 1024


@dataclass(frozen=True)
class RawTable:
    """Cells as they stand in a file.

    Parameters
    ----------
    frame : DataFrame
        Text, or what the file's own types are; names may repeat.
    source : str
        The file or table.
    decisions : tuple of Decision
        How it was read.
    has_header : bool
        Whether the names come from the file.
    """

    frame: pd.DataFrame
    source: str
    decisions: tuple[Decision, ...]
    has_header: bool = True


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
        Of a CSV; found out if left out.

    Returns
    -------
    RawTable

    Raises
    ------
    DataError
        With what is wrong and what to do.
    """
    if isinstance(source, pd.DataFrame):
        return _checked(RawTable(source.reset_index(drop=True), "a table in memory", ()))
    if not isinstance(source, str | Path):
        return _checked(_from_ibis(source))
    path = Path(source)
    if not path.is_file():
        raise DataError(f"{path.name}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: the file is empty (0 bytes)")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            f"{path.name}: is larger than {MOST_BYTES >> 30} GiB; put it into a DuckDB or Parquet "
            "file, of which columns can be read one by one"
        )
    try:
        return _checked(_read_kind(path, table, encoding, delimiter))
    except DataError as problem:
        raise DataError(f"{path.name}: {problem}") from None


def _read_kind(
    path: Path, table: str | None, encoding: str | None, delimiter: str | None
) -> RawTable:
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"PAR1"):
        return _read_parquet(path)
    if head.startswith(b"PK\x03\x04"):
        return _read_excel(path, table)
    if head[8:12] == b"DUCK":
        return _read_duckdb(path, table)
    known = {b"\xd0\xcf\x11\xe0": "an old Excel file (.xls): save it as .xlsx or .csv",
             b"SQLite format": "a SQLite file: open it with ibis.sqlite.connect and pass a table",
             b"%PDF": "a PDF: export a table instead", b"BZh": "bzip2: unpack it",
             b"\xfd7zXZ": "xz: unpack it", b"\x80\x04\x95": "a pickle, which is never loaded: it "
             "can run any program. Save the table as CSV or Parquet"}  # fmt: skip
    for magic, advice in known.items():
        if head.startswith(magic):
            raise DataError(f"is {advice}")
    content = _gunzip(path) if head.startswith(b"\x1f\x8b") else path.read_bytes()
    return _read_text(content, path.name, encoding, delimiter)


def _checked(raw: RawTable) -> RawTable:
    """Refuse what is too wide, too empty or too long to be a table of orders."""
    frame = raw.frame
    if frame.shape[1] > MOST_COLUMNS:
        raise DataError(
            f"has {frame.shape[1]:,} columns; a table of orders has a few. Export one row per "
            "order, with the columns customer, date and amount"
        )
    if frame.empty:
        raise DataError("has a header and no row: there is nothing to report on")
    for place, name in enumerate(frame.columns):
        cells = frame.iloc[:, place]
        if not (pd.api.types.is_string_dtype(cells) or cells.dtype == object):
            continue
        sizes = cells.astype("str").str.len()
        if (sizes > LONGEST_FIELD).any():
            row = int(sizes.to_numpy().argmax())
            raise DataError(
                f"row {row + 1} holds {int(sizes.max()):,} characters in column {str(name)[:60]!r} "
                f"(limit {LONGEST_FIELD:,}): a quotation mark that is never closed, or no table"
            )
    return raw


# --- text -----------------------------------------------------------------------------------------


def _gunzip(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise DataError(
            f"the compressed file is cut short or damaged ({problem}); copy or export it again"
        ) from None
    if len(content) > MOST_BYTES:
        raise DataError(f"unpacks to more than {MOST_BYTES >> 30} GiB")
    return content


def _read_text(
    content: bytes, source: str, encoding: str | None, delimiter: str | None
) -> RawTable:
    text, decoded = decode(content, encoding)
    if not text.strip():
        raise DataError("holds nothing but blanks")
    delimiter, split = find_delimiter(text, delimiter)
    first = next(line for line in text.splitlines() if line.strip())
    if first.count(delimiter) > MOST_COLUMNS:
        raise DataError(
            f"has {first.count(delimiter) + 1:,} columns; a table of orders has a few. Export one "
            "row per order, with the columns customer, date and amount"
        )
    rows = _parse(text, delimiter)
    names = [str(cell).strip() for cell in rows.iloc[0].fillna("")]
    has_header = not _is_data(names)
    header = Decision("header", "first line", "its cells are words")
    if not has_header:
        names = [f"column {k + 1}" for k in range(len(names))]
        header = Decision("header", "none", "the first line holds numbers and dates")
    body = rows.iloc[int(has_header) :].reset_index(drop=True).fillna("")
    return RawTable(body.set_axis(names, axis=1), source, (decoded, split, header), has_header)


def decode(content: bytes, encoding: str | None = None) -> tuple[str, Decision]:
    r"""Turn bytes into text, and say how.

    Parameters
    ----------
    content : bytes
    encoding : str, optional
        What the user says.

    Raises
    ------
    DataError
        If the bytes are no text, or not in the encoding that was said.

    Examples
    --------
    >>> decode("Menge;Stück".encode("cp1252"))[1].choice
    'Windows-1252'
    """
    if encoding is not None:
        try:
            return content.decode(encoding), Decision("encoding", encoding, "as you said")
        except (LookupError, UnicodeError) as problem:
            raise DataError(f"cannot be read as {encoding!r}: {problem}") from None
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    for mark, name in marks.items():
        if content.startswith(mark):
            try:
                return content.decode(name), Decision("encoding", name, "byte order mark")
            except UnicodeError as problem:
                raise DataError(f"is marked as {name}, but is not: {problem}") from None
    if b"\x00" in content[:_SAMPLE]:
        raise DataError("is a binary file, not a table of text")
    try:
        return content.decode("utf-8"), Decision("encoding", "UTF-8", "every byte is valid UTF-8")
    except UnicodeDecodeError:
        return _decode_old(content)


def _decode_old(content: bytes) -> tuple[str, Decision]:
    strange = sum(content.count(byte) for byte in range(0x20) if byte not in (9, 10, 13, 12))
    if strange > 0.01 * len(content):
        raise DataError("is a binary file, not a table of text")
    evidence = "not UTF-8; if names look wrong, say --encoding"
    try:
        return content.decode("cp1252"), Decision("encoding", "Windows-1252", evidence)
    except UnicodeDecodeError:
        return content.decode("latin-1"), Decision("encoding", "Latin-1", evidence)


def find_delimiter(text: str, delimiter: str | None = None) -> tuple[str, Decision]:
    r"""Find what parts the cells of a line.

    Examples
    --------
    >>> find_delimiter("id;date;amount\n1;2024-01-05;3,50\n2;2024-01-06;4,50")[1].choice
    'semicolon'
    """
    if delimiter is not None:
        return delimiter, Decision("delimiter", repr(delimiter), "as you said")
    sample = text[:_SAMPLE]
    lines = [line for line in (sample.splitlines()[:-1] or [sample]) if line.strip()][:200]
    scores = {mark: _evenness(lines, mark) for mark in _DELIMITERS}
    best = max(scores, key=lambda mark: scores[mark])
    share, columns = scores[best]
    share = share * 2 if best == r"\s+" else share
    if columns < 2:
        return ",", Decision("delimiter", "comma", "no line has more than one cell")
    evidence = f"{columns} cells in {share:.0%} of the first {len(lines)} lines"
    return best, Decision("delimiter", _DELIMITERS[best], evidence)


def _evenness(lines: Sequence[str], mark: str) -> tuple[float, int]:
    """Share of lines with the commonest number of cells, if that is 2 or more."""
    if mark == r"\s+":
        # dates and names hold spaces too: only a table aligned by them counts, and it counts last
        counts = [len(line.split()) for line in lines]
        weight = 0.5
    else:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        except csv.Error:
            return 0.0, 0
        weight = 1.0
    if not counts:
        return 0.0, 0
    common = max(set(counts), key=counts.count)
    share = counts.count(common) / len(counts)
    return (weight * share, common) if common > 1 else (0.0, common)


def _parse(text: str, delimiter: str) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text),
                sep=delimiter,
                header=None,
                dtype="str",
                keep_default_na=False,
                index_col=False,
                skipinitialspace=True,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error, OverflowError) as problem:
        said = " ".join(str(problem).split()).removeprefix("Error tokenizing data. C error: ")
        raise DataError(
            f"is not one table ({said[:200]}): a cell that holds the delimiter needs quotation "
            "marks, and lines above the header must go"
        ) from None


def _is_data(names: Sequence[str]) -> bool:
    """Whether a first line is a row of data: it holds a number or a date, and no header would."""
    return any(name and not any(letter.isalpha() for letter in name) for name in names)


# --- other kinds ----------------------------------------------------------------------------------


def _read_parquet(path: Path) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.ParquetFile(path).read().to_pandas()
    except (pa.ArrowInvalid, pa.ArrowException, OSError, ValueError) as problem:
        said = " ".join(str(problem).split())[:200]
        raise DataError(f"the Parquet file cannot be read ({said})") from None
    kind = Decision("format", "Parquet", "first bytes of the file")
    return RawTable(frame.reset_index(drop=True), path.name, (kind,))


def _read_excel(path: Path, sheet: str | None) -> RawTable:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            size = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        raise DataError("the workbook or archive is damaged or cut short") from None
    if not any(PurePosixPath(name).name == "workbook.xml" for name in names):
        raise DataError("is a zip archive and no Excel workbook: unpack it first")
    if size > MOST_BYTES // 4:
        raise DataError("the workbook unpacks to more than 1 GiB: save it as CSV or Parquet")
    book = _load_sheets(path)
    filled = {name: cells for name, cells in book.items() if len(cells.dropna(how="all"))}
    if not filled:
        raise DataError("the workbook holds no cell")
    if sheet is not None and sheet not in book:
        raise DataError(f"has no sheet {sheet!r}; there are {', '.join(map(repr, book))}")
    chosen = sheet or next(iter(filled))
    others = [name for name in filled if name != chosen]
    why = "as you said" if sheet else f"the first with cells (others: {others or 'none'})"
    cells = book[chosen].dropna(how="all").dropna(how="all", axis=1).map(_excel_cell)
    names = [str(cell) for cell in cells.iloc[0]] if len(cells) else []
    kind = Decision("format", "Excel workbook", "first bytes of the file")
    body = cells.iloc[1:].reset_index(drop=True).astype("str").set_axis(names, axis=1)
    return RawTable(body, path.name, (kind, Decision("sheet", chosen, why)))


def _load_sheets(path: Path) -> dict[str, pd.DataFrame]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles that no cell's value depends on
            return pd.read_excel(
                path, sheet_name=None, header=None, dtype=object, engine="openpyxl"
            )
    except Exception as problem:  # openpyxl raises what it meets, from KeyError to XML errors
        said = " ".join(str(problem).split())[:200]
        raise DataError(f"the workbook cannot be read ({said})") from None


def _excel_cell(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)) or value is pd.NaT:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _read_duckdb(path: Path, table: str | None) -> RawTable:
    import ibis

    try:
        connection = ibis.duckdb.connect(path, read_only=True)
    except Exception as problem:  # an engine of another language: any error of its own
        said = " ".join(str(problem).split())[:200]
        raise DataError(f"the DuckDB file cannot be opened ({said})") from None
    try:
        names = _quietly(lambda: _list_tables(connection))
        if table is None and len(names) != 1:
            raise DataError(f"holds the tables {names}: say which one with --table")
        if table is not None and table not in names:
            raise DataError(f"has no table {table!r}; there are {names}")
        raw = _from_ibis(_quietly(lambda: connection.table(table or names[0])))
    finally:
        connection.disconnect()
    kind = Decision("format", "DuckDB", "first bytes of the file")
    return RawTable(raw.frame, path.name, (kind, *raw.decisions))


def _list_tables(connection: "BaseBackend") -> list[str]:
    """List the tables by an expression: the method for it needs an older engine."""
    listed = connection.table("tables", database="information_schema")
    own = listed.filter(listed.table_catalog == connection.current_catalog)
    return sorted(own["table_name"].to_pyarrow().to_pylist())


def _from_ibis(table: "Table") -> RawTable:
    if not hasattr(table, "to_pyarrow"):
        raise DataError(
            "orders must be a path, a DataFrame or an Ibis table, got " + type(table).__name__
        )
    named = table.get_name() if table.op().__class__.__name__ == "DatabaseTable" else "a query"
    found = Decision("table", named, "read through an Ibis expression")
    frame = _quietly(table.to_pyarrow).to_pandas(date_as_object=False)
    return RawTable(frame.reset_index(drop=True), named, (found,))


def _quietly[T](ask: Callable[[], T]) -> T:
    """Ask an engine without its remarks on the next version of its own interface."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ask()
