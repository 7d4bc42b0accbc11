"""From a file of any common kind to a table of raw cells, before anything is interpreted.

The first bytes decide the kind, not the name. Nothing is unpickled and no YAML is read; databases
are opened read-only and queried through Ibis expressions, never through SQL text.
"""

import codecs
import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.quality import Decision
from crmlab.reading.raw import MOST_BYTES, MOST_COLUMNS, RawTable, check_shape, check_table
from crmlab.reading.typed import read_duckdb, read_ibis, read_parquet
from crmlab.reading.workbooks import read_workbook

if TYPE_CHECKING:
    from ibis.expr.types import Table

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", r"\s+": "spaces"}
_SAMPLE = 64 * 1024
HEADED = "first line"
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
    delimiter, split = tell_layout(text, delimiter)
    rows = next(parse_text(io.StringIO(text), delimiter))
    names, header = tell_header(rows)
    has_header = header.choice == HEADED
    body = rows.iloc[int(has_header) :].reset_index(drop=True).fillna("")
    return RawTable(body.set_axis(names, axis=1), source, (decoded, split, header), has_header)


def tell_layout(text: str, delimiter: str | None) -> tuple[str, Decision]:
    """Find the delimiter from the beginning of a text; refuse one that is blank or too wide."""
    if not text.strip():
        raise DataError("contains only blanks")
    delimiter, split = find_delimiter(text, delimiter)
    first = next(line for line in text.splitlines() if line.strip())
    if first.count(delimiter) > MOST_COLUMNS:
        check_shape(1, first.count(delimiter) + 1)
    return delimiter, split


def tell_header(rows: pd.DataFrame) -> tuple[list[str], Decision]:
    """Take the column names from the first row, if it is a header."""
    names = [str(cell).strip() for cell in rows.iloc[0].fillna("")]
    if not _is_data(names):
        return names, Decision("header", HEADED, "its cells are words")
    names = [f"column {k + 1}" for k in range(len(names))]
    return names, Decision("header", "none", "the first line holds numbers and dates")


def decode(content: bytes, encoding: str | None = None) -> tuple[str, Decision]:
    r"""Turn bytes into text, and report the encoding.

    Parameters
    ----------
    content : bytes
    encoding : str, optional
        The user's choice.

    Raises
    ------
    DataError
        If the bytes are not text, or not in the chosen encoding.

    Examples
    --------
    >>> decode("Menge;Stück".encode("cp1252"))[1].choice
    'Windows-1252'
    """
    codec, decision = find_encoding(lambda: iter([content]), encoding)
    return content.decode(codec), decision


def find_encoding(
    blocks: Callable[[], Iterator[bytes]], encoding: str | None = None
) -> tuple[str, Decision]:
    """Find out how text is encoded, reading it block by block.

    Parameters
    ----------
    blocks : callable
        Yields the bytes from the beginning, each time it is called.
    encoding : str, optional
        The user's choice.

    Returns
    -------
    codec : str
        A codec that decodes all blocks.
    decision : Decision

    Raises
    ------
    DataError
        As `decode`.
    """
    head = next(blocks(), b"")
    if encoding is not None:
        problem = _try_codec(blocks(), encoding)
        if problem:
            raise DataError(f"cannot be read as {encoding!r}: {problem}")
        return encoding, Decision("encoding", encoding, "as you said")
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    for mark, name in marks.items():
        if head.startswith(mark):
            problem = _try_codec(blocks(), name)
            if problem:
                raise DataError(f"is marked as {name}, but is not: {problem}")
            return name, Decision("encoding", name, "byte order mark")
    if b"\x00" in head[:_SAMPLE]:
        raise DataError("is a binary file, not a table of text")
    if not _try_codec(blocks(), "utf-8"):
        return "utf-8", Decision("encoding", "UTF-8", "every byte is valid UTF-8")
    return _find_old(blocks)


def _try_codec(blocks: Iterator[bytes], codec: str) -> str:
    """Decode all blocks, and return the error message; "" if there is none."""
    try:
        decoder = codecs.getincrementaldecoder(codec)()
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except (LookupError, UnicodeError) as problem:
        return str(problem)
    return ""


def _find_old(blocks: Callable[[], Iterator[bytes]]) -> tuple[str, Decision]:
    strange = size = 0
    for block in blocks():
        strange += sum(block.count(byte) for byte in range(0x20) if byte not in (9, 10, 13, 12))
        size += len(block)
    if strange > 0.01 * size:
        raise DataError("is a binary file, not a table of text")
    evidence = "not UTF-8; if names look wrong, set --encoding"
    if not _try_codec(blocks(), "cp1252"):
        return "cp1252", Decision("encoding", "Windows-1252", evidence)
    return "latin-1", Decision("encoding", "Latin-1", evidence)


def find_delimiter(text: str, delimiter: str | None = None) -> tuple[str, Decision]:
    r"""Find the delimiter that separates the cells of a line.

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
    """Share of lines with the most common number of cells, if that number is 2 or more."""
    if mark == r"\s+":
        # dates and names contain spaces too: only an aligned table counts, with less weight
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


def parse_text(file: TextIO, delimiter: str, *, rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Split text into cells, all at once or in chunks; a header is a row like the others."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            found = pd.read_csv(
                file,
                sep=delimiter,
                header=None,
                dtype="str",
                keep_default_na=False,
                index_col=False,
                skipinitialspace=True,
                chunksize=rows,
            )
            yield from [found] if rows is None else found
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error, OverflowError) as problem:
        message = " ".join(str(problem).split()).removeprefix("Error tokenizing data. C error: ")
        raise DataError(
            f"is not one table ({message[:200]}): put quotation marks around cells that contain "
            "the delimiter, and delete any lines above the header"
        ) from None


def _is_data(names: Sequence[str]) -> bool:
    """Whether a first line is data: it holds a number or a date, which no header would."""
    return any(name and not any(letter.isalpha() for letter in name) for name in names)
