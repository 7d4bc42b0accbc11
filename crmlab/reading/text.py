"""From bytes to cells: the encoding of a text, its delimiter, and the line that is its header."""

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.quality import Decision, Finding, shorten
from crmlab.reading.raw import MOST_COLUMNS, check_shape
from crmlab.reading.words import HEADERS, plain

MOST_ABOVE = 60  # lines in which the header is looked for
HEADED = "first line"
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", r"\s+": "spaces"}
_SAMPLE = 64 * 1024
_KNOWN = frozenset().union(*HEADERS.values())
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # how spreadsheets name the delimiter


@dataclass(frozen=True)
class Layout:
    """How a text is laid out: the delimiter of its cells, and what stands above the header.

    Parameters
    ----------
    delimiter : str
    decision : Decision
        How the delimiter was found.
    n_above : int
        Lines above the header.
    findings : tuple of Finding
        Those lines, if they say anything.
    """

    delimiter: str
    decision: Decision
    n_above: int
    findings: tuple[Finding, ...]


def tell_layout(text: str, delimiter: str | None) -> Layout:
    r"""Find the delimiter and the header from the beginning of a text.

    Raises
    ------
    DataError
        If the text is blank or has too many columns.

    Examples
    --------
    >>> layout = tell_layout("Orders of 2024\n\nid;day\n1;2024-01-05\n2;2024-01-06\n", None)
    >>> layout.decision.choice, layout.n_above, layout.findings[0].examples
    ('semicolon', 2, ("'Orders of 2024'",))
    """
    if not text.strip():
        raise DataError("contains only blanks")
    lines = list(islice(io.StringIO(text, newline=""), MOST_ABOVE))
    named = _SEP.fullmatch(lines[0])
    if named and delimiter is None:
        delimiter, found = named[1], Decision("delimiter", repr(named[1]), "the first line says so")
    else:
        delimiter, found = find_delimiter(text, delimiter)
    start = int(named is not None)
    firsts, rows = _part_rows(lines[start:], delimiter)
    n_above = start + firsts[count_lines_above(rows)]
    header = next((line for line in lines[n_above:] if line.strip()), "")
    if header.count(delimiter) > MOST_COLUMNS:
        check_shape(1, header.count(delimiter) + 1)
    return Layout(delimiter, found, n_above, list_lines_above(lines[:n_above]))


def _part_rows(lines: Sequence[str], delimiter: str) -> tuple[list[int], list[list[str]]]:
    """Part lines into rows, whose cells may have several lines; number the first line of each."""
    if delimiter == r"\s+":
        return list(range(len(lines))), [line.split() for line in lines]
    reader = csv.reader(lines, delimiter=delimiter)
    firsts, rows = [0], []
    try:
        for row in reader:
            rows.append(row)
            firsts.append(reader.line_num)
    except csv.Error:
        pass
    return firsts, rows


def count_lines_above(rows: Sequence[Sequence[str]]) -> int:
    """Count the lines above a header: titles and remarks, which fill few cells of a row.

    Parameters
    ----------
    rows : sequence of sequence of str
        The cells of the first lines.

    Returns
    -------
    int
        0 if the first line is the header, or if no line can be told to be it.

    Examples
    --------
    >>> count_lines_above([["Orders"], [], ["id", "day"], ["1", "2024-01-05"]])
    2
    """
    widths = Counter(len(row) for row in rows if len(row) > 1)
    if not widths:
        return 0
    width = widths.most_common(1)[0][0]
    full = [
        k for k, row in enumerate(rows)
        if len(row) == width and 2 * sum(map(bool, map(str.strip, row))) > width
    ]  # fmt: skip
    if not full or _is_data(rows[full[0]]):
        return 0
    known = [k for k in full if sum(plain(cell) in _KNOWN for cell in rows[k]) > 1]
    header = (known or full)[0]
    return header if any(any(row) for row in rows[:header]) else 0


def list_lines_above(lines: Sequence[str]) -> tuple[Finding, ...]:
    """Report lines above the header; blank ones are not worth a word."""
    filled = [shorten(line.strip()) for line in lines if line.strip()]
    if not filled:
        return ()
    done = "skipped: they are no rows of the table"
    return (Finding("lines above the header", len(filled), done, 0, tuple(filled[:3])),)


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
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32",
             b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # fmt: skip
    for mark, name in marks.items():
        if head.startswith(mark):
            problem = _try_codec(blocks(), name)
            if problem:
                raise DataError(f"is marked as {name}, but is not: {problem}")
            return name, Decision("encoding", name, "byte order mark")
    if b"\x00" in head[:_SAMPLE]:
        raise DataError(
            "is a binary file, not a table of text (or text of two bytes a letter without a mark: "
            "then say --encoding utf-16-le)"
        )
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
    best, share, columns = _most_even(lines)
    if columns < 2:  # perhaps below a long title
        best, share, columns = _most_even(lines[len(lines) // 2 :])
    share = share * 2 if best == r"\s+" else share
    if columns < 2:
        return ",", Decision("delimiter", "comma", "no line has more than one cell")
    evidence = f"{columns} cells in {share:.0%} of the first {len(lines)} lines"
    return best, Decision("delimiter", _DELIMITERS[best], evidence)


def _most_even(lines: Sequence[str]) -> tuple[str, float, int]:
    scores = {mark: _evenness(lines, mark) for mark in _DELIMITERS}
    best = max(scores, key=lambda mark: scores[mark])
    return best, *scores[best]


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


def parse_text(file: TextIO, layout: Layout, *, rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Split text into cells, all at once or in chunks; a header is a row like the others."""
    for _ in range(layout.n_above):
        file.readline()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            found = pd.read_csv(
                file,
                sep=layout.delimiter,
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
            "the delimiter, and delete any lines above the header and below the table"
        ) from None


def _is_data(names: Sequence[str]) -> bool:
    """Whether a first line is data: it holds a number or a date, which no header would."""
    return any(name and not any(letter.isalpha() for letter in name) for name in names)
