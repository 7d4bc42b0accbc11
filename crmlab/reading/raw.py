"""The cells of a file before anything is interpreted, and the limits of what is a table."""

from dataclasses import dataclass

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.quality import Decision, Finding

MOST_COLUMNS = 1_000
LONGEST_FIELD = 32_767  # what a spreadsheet's cell can hold
MOST_BYTES = 4 * 2**30


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
    nested : DataFrame, optional
        Columns whose cells are lists or records, as text. They have no role; rows that differ in
        them are different.
    findings : tuple of Finding
        Lines of the file that are not rows.
    """

    frame: pd.DataFrame
    source: str
    decisions: tuple[Decision, ...]
    has_header: bool = True
    nested: pd.DataFrame | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def whole(self) -> pd.DataFrame:
        """All columns, the nested ones too."""
        return self.frame if self.nested is None else pd.concat([self.frame, self.nested], axis=1)

    @property
    def nested_names(self) -> tuple[str, ...]:
        """The names of the columns that have no role because they are nested."""
        return () if self.nested is None else tuple(map(str, self.nested.columns))


def check_table(raw: RawTable) -> RawTable:
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


def check_shape(n_rows: int, n_columns: int) -> None:
    """Refuse a table without rows, or with far too many columns."""
    if n_columns > MOST_COLUMNS:
        raise DataError(
            f"has {n_columns:,} columns; a table of orders has a few. Export one row per order, "
            "with the columns customer, date and amount"
        )
    if not n_rows:
        raise DataError("has a header but no rows: there is nothing to report on")


def too_long(row: int, size: int, name: str) -> str:
    """Say which cell is too long for a table."""
    return (
        f"row {row + 1} holds {size:,} characters in column {name[:60]!r} (limit "
        f"{LONGEST_FIELD:,}): a quotation mark is never closed, or the file is not a table"
    )


def in_brief(problem: object) -> str:
    """Shorten another library's error to part of a sentence."""
    return " ".join(str(problem).split())[:200]
