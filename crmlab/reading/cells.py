"""The distinct texts of a column, from which decisions about the whole column are made.

A file with ten million dates holds only a few thousand distinct ones. Code that decides how a
column is written looks at the distinct texts and their counts, so it does not matter whether the
rows are in memory or in a database engine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.arrays import Bools, Ints
from crmlab.reading.quality import listed_rows, rows_of, shorten, show_rows


@dataclass(frozen=True)
class Cells:
    """The distinct texts of a column, in the order in which they first occur.

    Parameters
    ----------
    name : str
        The column, for messages.
    texts : Index of str
        Without blanks at the ends; "" for empty cells.
    counts : ndarray of int
        Rows with each text.
    show : callable
        Takes a mask over the texts and a number n; returns the first n rows with a marked text.
    """

    name: str
    texts: pd.Index
    counts: Ints
    show: Callable[[Bools, int], tuple[str, ...]]

    def count(self, marks: Bools) -> int:
        """Count the rows whose text is marked."""
        return int(self.counts[marks].sum())

    def listed(self, marks: Bools, *, most: int = 3) -> str:
        """List the first rows whose text is marked, and say how many more there are."""
        return listed_rows(self.show(marks, most), self.count(marks))

    def counted(self, marks: Bools, *, most: int = 5) -> str:
        """List the marked texts with their rows, most common first."""
        order = np.flatnonzero(marks)[np.argsort(-self.counts[marks], kind="stable")]
        listed = [
            f"{shorten(self.texts[k]) if self.texts[k] else 'empty'} in {rows_of(self.counts[k])}"
            for k in order[:most]
        ]
        more = [f"{len(order) - most:,} more"] if len(order) > most else []
        return ", ".join([*listed, *more])

    def tally(self, labels: NDArray[np.object_]) -> pd.Series:
        """Count rows by the label of their text, most common first; "" is left out."""
        sums = pd.Series(self.counts).groupby(labels, sort=False).sum()
        return sums[sums.index != ""].sort_values(ascending=False, kind="stable")


def as_words(raw: pd.Series) -> pd.Series:
    """Return a column as stripped text: "" if empty, whole floats without ``.0``."""
    if pd.api.types.is_float_dtype(raw):
        whole = raw.dropna()
        if (np.isfinite(whole) & (whole % 1 == 0) & (whole.abs() < 2**53)).all():
            raw = raw.astype("Int64")
    if pd.api.types.is_datetime64_any_dtype(raw):
        raw = raw.dt.strftime("%Y-%m-%d")
    return raw.astype("str").fillna("").str.strip()


def collect_cells(
    raw: pd.Series, name: str, shown: pd.DataFrame | None = None
) -> tuple[Cells, NDArray[np.intp]]:
    """Collect the distinct texts of a column, and the index of each row's text among them.

    Parameters
    ----------
    raw : Series
    name : str
    shown : DataFrame, optional
        The rows as examples show them; by default, this column alone.
    """
    codes, texts = pd.factorize(as_words(raw))
    frame = raw.to_frame(name) if shown is None else shown

    def show(marks: Bools, most: int) -> tuple[str, ...]:
        return show_rows(frame, pd.Series(marks[codes], index=frame.index), most=most)

    return Cells(name, texts, np.bincount(codes, minlength=len(texts)), show), codes
