"""Excel workbooks: the sheets that hold orders, read row by row.

A sheet may claim seventeen thousand million cells and hold ten, so no grid is ever built: only rows
with something in them are kept. Numbers and dates that a sheet stores as such stay what they are.
"""

import datetime
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.columns import score_header
from crmlab.reading.quality import Decision, Finding
from crmlab.reading.raw import MOST_BYTES, MOST_COLUMNS, RawTable, check_shape, in_brief
from crmlab.reading.text import MOST_ABOVE, count_lines_above, list_lines_above

if TYPE_CHECKING:
    from openpyxl import Workbook

_MOST_ROWS = 2**20  # of a sheet
_MOST_WIDE = 100  # rows with cells far to the right: more are no stray cells
_LARGEST_WHOLE = 2**53  # below it, floats hold every whole number
_BOMB_BYTES, _BOMB_RATIO = 64 * 2**20, 200  # a sheet of orders packs to a tenth or a thirtieth
_SAME_ROWS = 0.5
_ALIKE = 2 / 3
_OTHER_KINDS = {
    "workbook.bin": "is a binary workbook (.xlsb): save it as .xlsx or .csv",
    "content.xml": "is an OpenDocument file (.ods): save it as .xlsx or .csv",
}
IS_WORKBOOK = Decision("format", "Excel workbook", "first bytes of the file")
_Row = tuple[Any, ...]
_Key = tuple[str, int]


@dataclass(frozen=True)
class _Sheet:
    """The rows of a sheet that have something in them; the first is the header.

    Parameters
    ----------
    name : str
    rows : sequence of tuple
        Cells from the first column to the last one that is filled.
    far : tuple of str
        Places of cells beyond `MOST_COLUMNS`, which are left out.
    above : tuple of str
        Titles and remarks above the header.
    """

    name: str
    rows: Sequence[_Row]
    far: tuple[str, ...]
    above: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """Names of the columns, as text; "" where there is none."""
        return tuple("" if cell is None else _text_of(cell).strip() for cell in self.rows[0])

    @property
    def keys(self) -> list[_Key]:
        """A key for each column: its name, and how many columns before it have that name."""
        width = max(map(len, self.rows))
        names = [*(name.casefold() for name in self.header), *[""] * (width - len(self.header))]
        return [(name, names[:k].count(name)) for k, name in enumerate(names)]

    @property
    def columns(self) -> frozenset[_Key]:
        """The keys of the columns that have a name."""
        return frozenset(key for key in self.keys if key[0])


def read_workbook(path: Path, sheet: str | None) -> RawTable:
    """Read a sheet of a workbook, or the sheets that have the same header.

    Parameters
    ----------
    path : path
    sheet : str, optional
        The user's choice.

    Raises
    ------
    DataError
        The file is damaged, no workbook, or does not say which sheet holds the orders.
    """
    _check_archive(path)
    with _open_book(path) as book:
        chosen, decision, left = _choose(book, sheet)
        if _has_formulas(path):
            _check_results(path, chosen)
    frame = _to_frame(_append(chosen))
    far = [place for one in chosen for place in one.far]
    why = f"{len(far)} cells lie beyond column {MOST_COLUMNS:,}"
    left_out = [Decision("cells left out", ", ".join(far[:3]), why)] if far else []
    decisions = (IS_WORKBOOK, decision, *left_out)
    findings = (*list_lines_above(chosen[0].above), *map(_report_unread, left))
    return RawTable(frame, path.name, decisions, findings=findings)


def _report_unread(sheet: _Sheet) -> Finding:
    done = f"not read: its header is another one; --table {sheet.name!r} reads it instead"
    return Finding(f"rows of another sheet, {sheet.name!r}", len(sheet.rows) - 1, done)


# --- the file -------------------------------------------------------------------------------------


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {PurePosixPath(name).name for name in archive.namelist()}
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise DataError("the workbook or archive is damaged or cut short") from None
    for name, advice in _OTHER_KINDS.items():
        if name in names and "workbook.xml" not in names:
            raise DataError(advice)
    if "workbook.xml" not in names:
        raise DataError("is a zip archive, not an Excel workbook: unpack it first")
    if size > MOST_BYTES // 4:
        raise DataError("the workbook unpacks to more than 1 GiB: save it as CSV or Parquet")
    if size > max(_BOMB_BYTES, _BOMB_RATIO * path.stat().st_size):
        raise DataError(
            f"the workbook unpacks to {size // path.stat().st_size:,} times its size, as no sheet "
            "of orders does: save it as CSV or Parquet"
        )


@contextmanager
def _open_book(path: Path, *, results: bool = True) -> "Iterator[Workbook]":
    """Open a workbook for reading row by row: the results of formulas, or the formulas.

    Whatever its parts do wrong becomes one sentence.
    """
    from openpyxl import load_workbook

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles, which do not affect values
            yield load_workbook(file, read_only=True, data_only=results, keep_links=False)
    except DataError:
        raise
    except Exception as problem:  # openpyxl raises anything from KeyError to XML errors
        said = in_brief(problem) or type(problem).__name__
        raise DataError(f"the workbook cannot be read ({said})") from None


def _read_sheet(book: "Workbook", name: str) -> _Sheet:
    kept = []
    far: list[str] = []
    for number, row in _rows_of(book, name):
        far += [_place(number, k) for k in range(MOST_COLUMNS, len(row)) if row[k] is not None]
        if len(far) > _MOST_WIDE:
            check_shape(1, len(row))
        inside = _strip(row[:MOST_COLUMNS])
        if inside:
            kept.append(inside)
    texts = [["" if cell is None else _text_of(cell) for cell in row] for row in kept[:MOST_ABOVE]]
    width = max(map(len, texts), default=0)
    n_above = count_lines_above([row + [""] * (width - len(row)) for row in texts])
    above = tuple(" ".join(filter(None, row)) for row in texts[:n_above])
    return _Sheet(name, kept[n_above:], tuple(far), above)


def _rows_of(book: "Workbook", name: str) -> Iterator[tuple[int, _Row]]:
    sheet = book[name]
    sheet.reset_dimensions()  # what a sheet claims about its size may be wrong
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        if number > _MOST_ROWS:
            raise DataError(f"sheet {name!r} has a row beyond the {_MOST_ROWS:,} of a sheet")
        if row:
            yield number, row


def _strip(row: Iterable[Any]) -> _Row:
    """Turn blank texts into empty cells, and cut those at the end."""
    cells = [None if isinstance(cell, str) and not cell.strip() else cell for cell in row]
    while cells and cells[-1] is None:
        cells.pop()
    return tuple(cells)


def _place(row: int, column: int) -> str:
    from openpyxl.utils import get_column_letter

    return f"{get_column_letter(column + 1)}{row}"


# --- which sheets ---------------------------------------------------------------------------------


def _choose(book: "Workbook", sheet: str | None) -> tuple[list[_Sheet], Decision, Sequence[_Sheet]]:
    """Read the sheet that was named, or the first of orders and those that continue it.

    Returns the sheets that are read, why, and those that are left out.
    """
    names = [one.title for one in book.worksheets]
    if sheet is not None:
        if sheet not in names:
            raise DataError(f"has no sheet {sheet!r}; there are {', '.join(map(repr, names))}")
        found = [_read_sheet(book, sheet)]
        return _filled(found), Decision("sheet", sheet, "as you said"), ()
    visible = [one.title for one in book.worksheets if one.sheet_state == "visible"]
    filled = _filled([_read_sheet(book, name) for name in visible])
    first = next((one for one in filled if _names_orders(one.header)), filled[0])
    same = [one for one in filled if one is not first and one.columns == first.columns]
    rest = [one for one in filled if one.columns != first.columns]
    _refuse_doubtful(first, rest)
    _refuse_copies([first, *same])
    left = [one.name for one in rest]
    left += [f"{name} (hidden)" for name in names if name not in visible]
    named = "the first whose header names customers and dates"
    why = named if first is not filled[0] else "the first with cells"
    why = "they have the same header" if same else why
    choice = " and ".join(one.name for one in (first, *same))
    return [first, *same], Decision("sheet", choice, f"{why} (others: {left or 'none'})"), rest


def _names_orders(header: Sequence[str]) -> bool:
    return all(any(score_header(role, name) for name in header) for role in ("customer", "date"))


def _filled(sheets: Sequence[_Sheet]) -> list[_Sheet]:
    filled = [one for one in sheets if one.rows]
    if not filled:
        raise DataError("the workbook is empty")
    return filled


def _refuse_doubtful(first: _Sheet, others: Sequence[_Sheet]) -> None:
    """Refuse to guess whether a sheet with another header, or none, continues the first."""
    for one in others:
        shared = len(first.columns & one.columns) / max(len(first.columns | one.columns), 1)
        is_data = any(name and not any(map(str.isalpha, name)) for name in one.header)
        if shared > _ALIKE:
            differ = sorted(name for name, _ in first.columns ^ one.columns)
            said = f"have almost the same header (only one has {', '.join(map(repr, differ[:3]))})"
        elif is_data and len(one.header) == len(first.header):
            said = "have the same number of columns, but the second has no header"
        else:
            continue
        raise DataError(
            f"the sheets {first.name!r} and {one.name!r} {said}: choose one with --table, or give "
            "both the same header"
        )


def _refuse_copies(sheets: Sequence[_Sheet]) -> None:
    """Refuse to add up a sheet and its copy."""
    if len(sheets) == 1:
        return
    seen: dict[_Row, str] = {}
    for one in sheets:
        body = one.rows[1:]
        again = [seen[row] for row in body if row in seen]
        if again and len(again) >= _SAME_ROWS * len(body):
            raise DataError(
                f"{len(again):,} of the {len(body):,} rows of sheet {one.name!r} also stand in "
                f"{again[0]!r}: one seems to be a copy. Choose one with --table"
            )
        seen |= dict.fromkeys(body, one.name)


def _append(sheets: Sequence[_Sheet]) -> _Sheet:
    """Put the rows of sheets under the header of the first, whatever the order of their columns."""
    first, *others = sheets
    keys, rows = first.keys, list(first.rows)
    for one in others:
        places = {key: k for k, key in enumerate(one.keys)}
        keys += [key for key in places if key not in keys]  # columns without a name
        order = [places.get(key, len(places)) for key in keys]
        rows += [tuple(row[k] if k < len(row) else None for k in order) for row in one.rows[1:]]
    return _Sheet(first.name, rows, first.far)


# --- formulas -------------------------------------------------------------------------------------


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(
            _contains(archive, name, (b"<f>", b"<f "))
            for name in archive.namelist()
            if "/worksheets/" in name and name.endswith(".xml")
        )


def _contains(archive: zipfile.ZipFile, name: str, marks: Sequence[bytes]) -> bool:
    last = b""
    with archive.open(name) as file:
        while block := file.read(2**20):
            if any(mark in last + block for mark in marks):
                return True
            last = block[-8:]
    return False


def _check_results(path: Path, sheets: Sequence[_Sheet]) -> None:
    """Refuse sheets in which no formula has a result: a program has written them, not Excel."""
    for one in sheets:
        places = list(_formulas_of(path, one.name))
        if places and all(result is None for _, result in places):
            raise DataError(
                f"sheet {one.name!r} has {len(places):,} formulas without results (the first is in "
                f"{places[0][0]}): open the workbook in Excel, save it, and try again"
            )


def _formulas_of(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the place and the result of each formula of a sheet."""
    from openpyxl.worksheet.formula import ArrayFormula, DataTableFormula

    with _open_book(path, results=False) as written, _open_book(path) as calculated:
        pairs = zip(_rows_of(written, name), _rows_of(calculated, name), strict=True)
        for (number, row), (_, result) in pairs:
            for k, cell in enumerate(row):
                is_text = isinstance(cell, str) and cell.startswith("=")
                if is_text or isinstance(cell, (ArrayFormula, DataTableFormula)):
                    yield _place(number, k), result[k]


# --- columns --------------------------------------------------------------------------------------


def _to_frame(sheet: _Sheet) -> pd.DataFrame:
    header, body = sheet.header, sheet.rows[1:]
    width = max(map(len, sheet.rows))
    columns = {}
    for k in range(width):
        cells = [row[k] if k < len(row) else None for row in body]
        name = header[k] if k < len(header) else ""
        if name or any(cell is not None for cell in cells):
            columns[k, name] = _typed(cells)
    frame = pd.DataFrame(columns)
    return frame.set_axis([name for _, name in columns], axis=1)


def _typed(cells: Sequence[Any]) -> pd.Series:
    """Make a column of numbers or dates if all its cells are, and of text otherwise."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds and kinds <= {int, float}:
        filled = [cell for cell in cells if cell is not None]
        if all(abs(cell) < _LARGEST_WHOLE for cell in filled):
            whole = "int64" if len(filled) == len(cells) else "Int64"
            return pd.Series(cells, dtype=whole if kinds == {int} else "float64")
    if kinds and kinds <= {datetime.datetime, datetime.date}:
        return pd.Series(cells, dtype="datetime64[us]")
    return pd.Series(["" if cell is None else _text_of(cell) for cell in cells], dtype="str")


def _text_of(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, float):
        return _unmistakable(repr(cell))
    return cell.isoformat() if isinstance(cell, (datetime.date, datetime.time)) else str(cell)


def _unmistakable(number: str) -> str:
    """Write 1.125 as 1.1250, which nobody takes for a thousand: among texts its type is lost."""
    return f"{number}0" if len(number.partition(".")[2]) == 3 else number
