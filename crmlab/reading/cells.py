"""The cells of a column, each different text once: what decisions on a whole column are made from.

A file holds ten million dates and a few thousand different ones. Whatever decides how a column is
written looks at the different texts and at how often each occurs, so it need not care whether the
rows lie in memory or in an engine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.arrays import Bools, Ints
from crmlab.reading.quality import listed_rows, show_rows


@dataclass(frozen=True)
class Cells:
    """Different texts in the order in which they first occur.

    Parameters
    ----------
    name : str
        The column, for messages.
    texts : Index of str
        Without blanks at the ends; "" where a cell holds nothing.
    counts : ndarray of int
        Rows with each text.
    show : callable
        Takes marks of texts and a number, and gives that many of the first rows with one of them.
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

    def tally(self, labels: NDArray[np.object_]) -> pd.Series:
        """Count rows by a label of each text, the commonest first, leaving out ""."""
        sums = pd.Series(self.counts).groupby(labels, sort=False).sum()
        return sums[sums.index != ""].sort_values(ascending=False, kind="stable")


def as_words(raw: pd.Series) -> pd.Series:
    """Give any column as stripped text, "" where there is nothing; whole floats without ``.0``."""
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
    """Collect the different texts of a column, and the place of each row's text among them.

    Parameters
    ----------
    raw : Series
    name : str
    shown : DataFrame, optional
        The rows as examples show them; the column alone if left out.
    """
    codes, texts = pd.factorize(as_words(raw))
    frame = raw.to_frame(name) if shown is None else shown

    def show(marks: Bools, most: int) -> tuple[str, ...]:
        return show_rows(frame, pd.Series(marks[codes], index=frame.index), most=most)

    return Cells(name, texts, np.bincount(codes, minlength=len(texts)), show), codes
