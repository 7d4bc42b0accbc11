"""The rows of a file, in memory or on disk: the interface that `read_sales` works with.

`RawRows` are the columns as the file has them; `OrderRows` are the orders made from them. Both are
held in memory here, and left to an engine in stored_rows.py. Decisions are made from the distinct
texts of a column and from masks of rows, so memory and engine give the same counts.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.reading.amounts import numbers_of
from crmlab.reading.cells import Cells, collect_cells
from crmlab.reading.dates import days_of
from crmlab.reading.files import RawTable
from crmlab.reading.quality import show_rows
from crmlab.reading.returns import settle_returns

Spread = Any  # a column of the rows: a Series, or an engine's recipe for one
Where = Any  # a mask of rows: a boolean Series, or an expression
RETURN_MARKS = ("is_return", "unmatched", "undone", "reduced")


class RawRows(ABC):
    """The rows of a file, in the columns that it has."""

    @property
    @abstractmethod
    def head(self) -> RawTable:
        """At least the first rows, from which columns are recognised."""

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """The number of rows of the file."""

    @abstractmethod
    def type_of(self, place: int) -> str:
        """Return how a column is stored: "dates", "numbers" or "text"."""

    @abstractmethod
    def stored(self, place: int, timezone: str | None = None) -> Spread:
        """Return a column that is stored as dates (their days, in a time zone) or numbers."""

    @abstractmethod
    def cells(self, place: int) -> Cells:
        """Return the distinct texts of a column."""

    @abstractmethod
    def spread(self, place: int, values: NDArray) -> Spread:
        """Give every row the value of its text in a column; `cells` must have been called."""

    @abstractmethod
    def build(self, shown: list[int], columns: dict[str, Spread], *, repeats: bool) -> "OrderRows":
        """Make orders from columns; `amount` may be a pair to be multiplied.

        `shown` are the columns that examples show; `repeats` adds the mask `repeated`: rows that
        equal an earlier one in every column.
        """


class OrderRows(ABC):
    """The rows of a file as orders, with masks that say what was found about each."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether the orders have a column."""

    @abstractmethod
    def where(self, name: str) -> Where:
        """Mask: rows that a mask of the orders marks."""

    @abstractmethod
    def missing(self, name: str) -> Where:
        """Mask: rows in which a column of the orders is missing."""

    @abstractmethod
    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> Where:
        """Mask: rows from the first day to the last, both inclusive."""

    @abstractmethod
    def amounts(self, *, below: float | None = None) -> Where:
        """Mask: rows with an amount below `below`, or of zero if `below` is None."""

    @abstractmethod
    def count(self, where: Where) -> int:
        """Count rows."""

    @abstractmethod
    def show(self, where: Where, most: int = 3) -> tuple[str, ...]:
        """Write the first marked rows."""

    @abstractmethod
    def different(self, names: list[str], where: Where) -> int:
        """Count the distinct values of some columns among the marked rows."""

    @abstractmethod
    def settle(self, where: Where) -> "OrderRows":
        """Match returns with purchases among the marked rows: new masks, new amounts."""

    @abstractmethod
    def span(self, where: Where) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Return the first and the last day of the marked rows."""

    @abstractmethod
    def orders(self, where: Where) -> Any:
        """Return the orders of the marked rows."""


@dataclass(frozen=True)
class FrameRawRows(RawRows):
    """The rows of a file in memory."""

    raw: RawTable

    @property
    def head(self) -> RawTable:
        """All rows."""
        return self.raw

    @property
    def n_rows(self) -> int:
        """The number of rows of the file."""
        return len(self.raw.frame)

    def _column(self, place: int) -> pd.Series:
        return self.raw.frame.iloc[:, place]

    def type_of(self, place: int) -> str:
        """Return how a column is stored: "dates", "numbers" or "text"."""
        raw = self._column(place)
        if pd.api.types.is_datetime64_any_dtype(raw):
            return "dates"
        is_number = pd.api.types.is_numeric_dtype(raw) and not pd.api.types.is_bool_dtype(raw)
        return "numbers" if is_number else "text"

    def stored(self, place: int, timezone: str | None = None) -> pd.Series:
        """Return a column that is stored as dates (their days, in a time zone) or numbers."""
        raw = self._column(place)
        return days_of(raw, timezone) if self.type_of(place) == "dates" else numbers_of(raw)

    def cells(self, place: int) -> Cells:
        """Return the distinct texts of a column."""
        return self._collect(place)[0]

    def _collect(self, place: int) -> tuple[Cells, NDArray[np.intp]]:
        return collect_cells(self._column(place), str(self.raw.frame.columns[place]))

    def spread(self, place: int, values: NDArray) -> pd.Series:
        """Give every row the value of its text in a column."""
        return pd.Series(values).take(self._collect(place)[1]).set_axis(self.raw.frame.index)

    def build(
        self, shown: list[int], columns: dict[str, Spread], *, repeats: bool
    ) -> "FrameOrderRows":
        """Make orders from columns."""
        frame = self.raw.frame
        names = [str(frame.columns[place])[:40] for place in shown]
        made = {
            name: (column[0] * column[1]).round(4) if isinstance(column, tuple) else column
            for name, column in columns.items()
        }
        marks = {"repeated": frame.duplicated()} if repeats else {}
        examples = frame.iloc[:, shown].set_axis(names, axis=1)
        return FrameOrderRows(examples, pd.DataFrame(made | marks))


@dataclass(frozen=True)
class FrameOrderRows(OrderRows):
    """Orders in memory.

    Parameters
    ----------
    shown : DataFrame
        What examples show.
    made : DataFrame
        The columns that were built.
    """

    shown: pd.DataFrame
    made: pd.DataFrame

    def has(self, name: str) -> bool:
        """Whether the orders have a column."""
        return name in self.made

    def where(self, name: str) -> pd.Series:
        """Mask: rows that a mask of the orders marks."""
        return self.made[name].astype(bool)

    def missing(self, name: str) -> pd.Series:
        """Mask: rows in which a column of the orders is missing."""
        return self.made[name].isna()

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.Series:
        """Mask: rows from the first day to the last, both inclusive."""
        return self.made["date"].between(first, last)

    def amounts(self, *, below: float | None = None) -> pd.Series:
        """Mask: rows with an amount below `below`, or of zero if `below` is None."""
        return self.made["amount"] == 0 if below is None else self.made["amount"] < below

    def count(self, where: pd.Series) -> int:
        """Count rows."""
        return int(where.sum())

    def show(self, where: pd.Series, most: int = 3) -> tuple[str, ...]:
        """Write the first marked rows."""
        return show_rows(self.shown, where, most=most)

    def different(self, names: list[str], where: pd.Series) -> int:
        """Count the distinct values of some columns among the marked rows."""
        return len(self.made.loc[where, names].drop_duplicates())

    def settle(self, where: pd.Series) -> "FrameOrderRows":
        """Match returns with purchases among the marked rows."""
        some = self.made[where]
        settled = settle_returns(some)
        marks = {name: pd.Series(False, index=self.made.index) for name in RETURN_MARKS}
        for name, mark in marks.items():
            mark.loc[some.index] = getattr(settled, name)
        amounts = self.made["amount"].copy()
        amounts.loc[some.index] = settled.amounts
        return replace(self, made=self.made.assign(amount=amounts, left=where, **marks))

    def span(self, where: pd.Series) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Return the first and the last day of the marked rows."""
        days = self.made.loc[where, "date"]
        return days.min(), days.max()

    def orders(self, where: pd.Series) -> pd.DataFrame:
        """Return customer_id, date and, if known, amount of the marked rows."""
        names = ["customer_id", "date", *(["amount"] if "amount" in self.made else [])]
        return self.made.loc[where, names].reset_index(drop=True)
