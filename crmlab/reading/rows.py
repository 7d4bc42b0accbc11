"""The rows of a file, in memory or on disk: the interface that `read_sales` works with.

`RawRows` are the columns as the file has them; `OrderRows` are the orders made from them. Both are
held in memory here, and left to an engine in stored_rows.py. Decisions are made from the distinct
texts of a column and from masks of rows, so memory and engine give the same counts.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.reading.amounts import numbers_of
from crmlab.reading.cells import Cells, as_words, collect_cells
from crmlab.reading.dates import days_of
from crmlab.reading.quality import show_rows
from crmlab.reading.raw import RawTable
from crmlab.reading.returns import settle_returns

Spread = Any  # a column of the rows: a Series, or an engine's recipe for one
Where = Any  # a mask of rows: a boolean Series, or an expression
RETURN_MARKS = ("is_return", "unmatched", "undone", "reduced", "several")
REPEAT_MARKS = ("repeated", "second")
ONE_ORDER = ("order", "customer_id", "date")  # an order that is paid again later is another one
CENT = 0.005


@dataclass(frozen=True)
class Summary:
    """The first and the last day of some rows, and the sum and the largest of their amounts."""

    first: pd.Timestamp
    last: pd.Timestamp
    total: float
    largest: float


@dataclass(frozen=True)
class Lines:
    """How the lines of orders agree.

    Parameters
    ----------
    several : int
        Orders with several lines.
    equal : int
        Those of them with the same amount on every line.
    further : int
        Lines of the latter after the first of each.
    """

    several: int
    equal: int
    further: int


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
    def numbered(self, place: int) -> Spread:
        """Return a column as numbers that are equal where texts are; missing where one is empty."""

    @abstractmethod
    def build(self, shown: list[int], columns: dict[str, Spread]) -> "OrderRows":
        """Make orders from columns.

        `amount` may be a pair to be multiplied; a column `refund` is subtracted from amounts above
        zero and leaves the masks `refunded` (in full; the amount stays) and `eased` (in part).
        `shown` are the columns that examples show. The mask `repeated` marks rows that equal an
        earlier one in every column, and `second` the first of each of these.
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
    def between(self, first: pd.Timestamp | None, last: pd.Timestamp | None) -> Where:
        """Mask: rows from the first day to the last, both inclusive; None is open."""

    @abstractmethod
    def amounts(self, *, at: float = 0.0, below: float | None = None) -> Where:
        """Mask: rows with an amount below `below`, or of exactly `at` if `below` is None."""

    @abstractmethod
    def count(self, where: Where, names: Sequence[str] = ()) -> int:
        """Count the marked rows, or the distinct values of some columns among them."""

    @abstractmethod
    def show(self, where: Where, most: int = 3) -> tuple[str, ...]:
        """Write the first marked rows."""

    @abstractmethod
    def lines(self, where: Where) -> Lines:
        """Compare the amounts above zero of each order's lines, among the marked rows."""

    @abstractmethod
    def once(self, where: Where) -> "OrderRows":
        """Mark as `again` each amount that an earlier line of its order has, among the marked."""

    @abstractmethod
    def settle(self, where: Where) -> "OrderRows":
        """Match returns with purchases among the marked rows: new masks, new amounts."""

    @abstractmethod
    def summary(self, where: Where) -> Summary:
        """Summarise the marked rows."""

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

    def numbered(self, place: int) -> pd.Series:
        """Return a column as numbers that are equal where texts are."""
        codes, texts = pd.factorize(as_words(self._column(place)))
        numbers = pd.Series(codes, index=self.raw.frame.index, dtype="Int64")
        return numbers.mask(codes == texts.get_indexer([""])[0]) if "" in texts else numbers

    def build(self, shown: list[int], columns: dict[str, Spread]) -> "FrameOrderRows":
        """Make orders from columns."""
        frame = self.raw.frame
        names = [str(frame.columns[place])[:40] for place in shown]
        made = {
            name: (column[0] * column[1]).round(4) if isinstance(column, tuple) else column
            for name, column in columns.items()
        }
        if "refund" in made:
            made |= _net(made["amount"], made.pop("refund"))
        whole = self.raw.whole
        repeated = whole.duplicated()
        second = pd.Series(False, index=frame.index)
        second[repeated] = ~whole[repeated].duplicated()
        marks = dict(zip(REPEAT_MARKS, (repeated, second), strict=True))
        examples = frame.iloc[:, shown].set_axis(names, axis=1)
        return FrameOrderRows(examples, pd.DataFrame(made | marks))


def _net(amount: pd.Series, refund: pd.Series) -> dict[str, pd.Series]:
    """Subtract refunds from amounts above zero, and mark what came back in full and in part."""
    back = refund.fillna(0).abs().where(amount > 0, 0)
    net = (amount - back).round(4)
    refunded = (back > 0) & (net < CENT)
    return {
        "amount": net.where((back > 0) & ~refunded, amount),
        "refunded": refunded,
        "eased": (back > 0) & ~refunded,
    }


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

    def between(self, first: pd.Timestamp | None, last: pd.Timestamp | None) -> pd.Series:
        """Mask: rows from the first day to the last, both inclusive; None is open."""
        day = self.made["date"]
        late = day.notna() if first is None else day >= first
        return late if last is None else late & (day <= last)

    def amounts(self, *, at: float = 0.0, below: float | None = None) -> pd.Series:
        """Mask: rows with an amount below `below`, or of exactly `at` if `below` is None."""
        return self.made["amount"] == at if below is None else self.made["amount"] < below

    def count(self, where: pd.Series, names: Sequence[str] = ()) -> int:
        """Count the marked rows, or the distinct values of some columns among them."""
        return (
            len(self.made.loc[where, list(names)].drop_duplicates()) if names else int(where.sum())
        )

    def show(self, where: pd.Series, most: int = 3) -> tuple[str, ...]:
        """Write the first marked rows."""
        return show_rows(self.shown, where, most=most)

    def lines(self, where: pd.Series) -> Lines:
        """Compare the amounts above zero of each order's lines, among the marked rows."""
        made = self.made[where & self.made["order"].notna() & (self.made["amount"] > 0)]
        made = made[made.duplicated(list(ONE_ORDER), keep=False)]
        orders = made.groupby(list(ONE_ORDER))["amount"].agg(["size", "min", "max"])
        equal = orders["min"] == orders["max"]
        return Lines(len(orders), int(equal.sum()), int((orders["size"][equal] - 1).sum()))

    def once(self, where: pd.Series) -> "FrameOrderRows":
        """Mark as `again` each amount that an earlier line of its order has."""
        numbered = where & self.made["order"].notna()
        again = pd.Series(False, index=self.made.index)
        again[numbered] = self.made[numbered].duplicated([*ONE_ORDER, "amount"])
        return replace(self, made=self.made.assign(left=where, again=again))

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

    def summary(self, where: pd.Series) -> Summary:
        """Summarise the marked rows."""
        days = self.made.loc[where, "date"]
        money = self.made.loc[where, "amount"] if "amount" in self.made else pd.Series([0.0])
        return Summary(days.min(), days.max(), float(money.sum()), float(money.max()))

    def orders(self, where: pd.Series) -> pd.DataFrame:
        """Return customer_id, date and, if known, amount of the marked rows."""
        names = ["customer_id", "date", *(["amount"] if "amount" in self.made else [])]
        return self.made.loc[where, names].reset_index(drop=True)
