"""Rows on disk, behind the interfaces of `rows`: counts and masks stay in the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.arrays import Bools
from crmlab.errors import DataError
from crmlab.reading.amounts import LARGEST
from crmlab.reading.cells import Cells, as_words
from crmlab.reading.disk import Disk, Stored, count_rows, day_of, part_codes
from crmlab.reading.quality import Decision, Finding, show_rows
from crmlab.reading.raw import RawTable
from crmlab.reading.returns import settle_returns
from crmlab.reading.rows import (
    CENT,
    ONE_ORDER,
    REPEAT_MARKS,
    RETURN_MARKS,
    Lines,
    OrderRows,
    RawRows,
    Summary,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

HEAD_ROWS = 2_000
SETTLE_ROWS = 400_000
_NUMERIC_DAY = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
_TIMED = rf"^({_NUMERIC_DAY})[T ]\d{{1,2}}:\d{{2}}(:\d{{2}}(\.\d+)?)?$"
_ZONED = rf"^({_NUMERIC_DAY}[T ]\d{{1,2}}:\d{{2}}):\d{{2}}(\.\d+)?( ?(Z|[+-]\d{{2}}(:?\d{{2}})?))$"
_BLANK = r"[\s\p{Z}\x{0B}\x{1C}-\x{1F}\x{85}]+"  # what Python strips from the ends of a text


@dataclass(frozen=True)
class Joined:
    """A column derived from another: each value of that column maps to one of these."""

    place: int
    values: pd.Series


@dataclass(frozen=True)
class StoredRawRows(RawRows):
    """The rows of a file on disk.

    Parameters
    ----------
    disk : Disk
    raw : ibis Table
        `row` (from 0), `c0`, `c1`, ...: the columns of the file.
    names : tuple of str
        Their names.
    source : str
    decisions : tuple of Decision
    has_header : bool
    nested : tuple of str
        The names of `n0`, `n1`, ...: columns that have no role, as in `RawTable`.
    findings : tuple of Finding
        Lines of the file that are not rows.
    """

    disk: Disk
    raw: "ir.Table"
    names: tuple[str, ...]
    source: str
    decisions: tuple[Decision, ...]
    has_header: bool
    nested: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @cached_property
    def head(self) -> RawTable:
        """The first two thousand rows."""
        first = self.disk.collect(self.raw.order_by("row").limit(HEAD_ROWS))
        places = [f"c{k}" for k in range(len(self.names))]
        beside = [f"n{k}" for k in range(len(self.nested))]
        frame = first[places].set_axis(list(self.names), axis=1)
        nested = first[beside].set_axis(list(self.nested), axis=1) if beside else None
        read = self.source, self.decisions, self.has_header, nested, self.findings
        return RawTable(frame, *read)

    @cached_property
    def n_rows(self) -> int:
        """The number of rows of the file."""
        return count_rows(self.disk, self.raw)

    def type_of(self, place: int) -> str:
        """Return how a column is stored: "dates", "numbers" or "text"."""
        kind = self.raw[f"c{place}"].type()
        if kind.is_timestamp() and kind.timezone is not None:
            raise DataError(
                f"column {self.names[place]!r} holds times with a time zone, which an engine may "
                "read as a different day from the one written: store days"
            )
        if kind.is_date() or kind.is_timestamp():
            return "dates"
        is_number = kind.is_integer() or kind.is_floating() or kind.is_decimal()
        return "numbers" if is_number else "text"

    def stored(self, place: int, timezone: str | None = None) -> "ir.Column":
        """Return a column that is stored as dates (their days) or numbers; none has a zone."""
        column = self.raw[f"c{place}"]
        if self.type_of(place) == "dates":
            return column.cast("date")
        number = column.cast("float64")
        fine = number.notnull() & ~number.isnan() & (number.abs() <= LARGEST)
        return fine.ifelse(number, None)

    def _text(self, place: int) -> "ir.StringColumn":
        """Return a column as text, as `as_words` does; refuse types that would differ."""
        column, name = self.raw[f"c{place}"], self.names[place]
        kind = column.type()
        if kind.is_string():
            text = column
        elif kind.is_integer() or (kind.is_decimal() and kind.scale == 0):
            text = column.cast("string")
        elif self.type_of(place) == "dates":
            text = column.cast("date").cast("string")
        elif (kind.is_floating() or kind.is_decimal()) and _are_whole(self, column):
            column = column.isnan().ifelse(None, column) if kind.is_floating() else column
            text = column.cast("int64").cast("string")
        else:
            raise DataError(
                f"column {name!r} is stored as {kind}, which an engine writes differently from the "
                "reader of small files: store text or whole numbers"
            )
        # neither seconds nor times without a zone change the day: fewer texts are left
        return text.fill_null("").re_replace(_TIMED, r"\1").re_replace(_ZONED, r"\1\3")

    @cached_property
    def _collected(self) -> dict[int, tuple[pd.Series, Cells, NDArray[np.intp]]]:
        return {}

    def _collect(self, place: int) -> tuple[pd.Series, Cells, NDArray[np.intp]]:
        """Collect the distinct texts of a column: as stored, stripped, and the index of each."""
        if place not in self._collected:
            table = self.raw.select("row", text=self._text(place))
            by_text = table.group_by("text").aggregate(n=table.count(), first=table["row"].min())
            found = self.disk.collect(by_text).sort_values("first", ignore_index=True)
            codes, texts = pd.factorize(as_words(found["text"]))
            counts = np.bincount(codes, weights=found["n"], minlength=len(texts)).astype(np.int64)

            def show(marks: Bools, most: int) -> tuple[str, ...]:
                known = _known(found["text"], {"hit": pd.Series(marks[codes])})
                some = table.inner_join(known, "text")
                return _show(self, some.filter(some["hit"]), [place], most)

            cells = Cells(self.names[place], texts, counts, show)
            self._collected[place] = (found["text"], cells, codes)
        return self._collected[place]

    def cells(self, place: int) -> Cells:
        """Return the distinct texts of a column."""
        return self._collect(place)[1]

    def spread(self, place: int, values: NDArray) -> Joined:
        """Give every row the value of its text in a column."""
        return Joined(place, pd.Series(values).take(self._collect(place)[2]).reset_index(drop=True))

    def numbered(self, place: int) -> "ir.IntegerColumn":
        """Return a column as numbers that are equal where texts are: their hashes."""
        column = self.raw[f"c{place}"]
        text = column.cast("string").fill_null("")  # an engine's hash of nothing is a number
        if column.type().is_string():
            text = text.re_replace(f"^{_BLANK}|{_BLANK}$", "")
        return (text == "").ifelse(None, text.hash())

    def build(self, shown: list[int], columns: dict[str, Any]) -> "StoredOrderRows":
        """Make orders from columns; ids become codes."""
        columns = dict(columns)
        if isinstance(columns.get("amount"), tuple):
            columns |= dict(zip(("amount", "price"), columns["amount"], strict=True))
        person = columns.pop("customer_id")
        ids, codes = _number_ids(person.values)
        columns["customer"] = Joined(person.place, codes)
        if "id" in columns:
            columns["id"] = Joined(person.place, _number_ids(columns["id"].values)[1])
        table = self._join(columns)
        if "price" in columns:
            product = (table["amount"] * table["price"]).round(4)
            table = table.mutate(amount=product).drop("price")
        if "refund" in columns:
            table = _subtract_refunds(table)
        table = _mark_repeats(self, table)
        return StoredOrderRows(self, tuple(shown), self.disk.keep(table, "made"), ids)

    def _join(self, columns: Mapping[str, Any]) -> "ir.Table":
        """Add columns to the rows: those that are stored, and those joined by their text."""
        joined = {name: column for name, column in columns.items() if isinstance(column, Joined)}
        places = sorted({column.place for column in joined.values()})
        table = self.raw.select(
            "row",
            **{name: column for name, column in columns.items() if name not in joined},
            **{f"text{place}": self._text(place) for place in places},
        )
        for place in places:
            mine = {name: c.values for name, c in joined.items() if c.place == place}
            known = _known(self._collect(place)[0], mine).rename({f"text{place}": "text"})
            table = table.inner_join(known, f"text{place}").drop(f"text{place}")
        days = {"date": table["date"].cast("date")} if "date" in table.columns else {}
        return table.mutate(**days)


@dataclass(frozen=True)
class StoredOrderRows(OrderRows):
    """Orders on disk.

    Parameters
    ----------
    raw : StoredRawRows
        The rows of the file.
    shown : tuple of int
        Places of the columns that examples show.
    made : ibis Table
        `row`, `customer` (a code) and the columns that were built.
    ids : ndarray of str
        The id of each code, in ascending order.
    """

    raw: StoredRawRows
    shown: tuple[int, ...]
    made: "ir.Table"
    ids: NDArray[np.str_]

    def has(self, name: str) -> bool:
        """Whether the orders have a column."""
        return _stored_name(name) in self.made.columns

    def where(self, name: str) -> "ir.BooleanColumn":
        """Mask: rows that a mask of the orders marks."""
        return self.made[name]

    def missing(self, name: str) -> "ir.BooleanColumn":
        """Mask: rows in which a column of the orders is missing."""
        return self.made[_stored_name(name)].isnull()

    def between(self, first: pd.Timestamp | None, last: pd.Timestamp | None) -> "ir.BooleanColumn":
        """Mask: rows from the first day to the last, both inclusive; None is open."""
        day = self.made["date"]
        late = day.notnull() if first is None else day >= day_of(first)
        return (late if last is None else late & (day <= day_of(last))).fill_null(False)

    def amounts(self, *, at: float = 0.0, below: float | None = None) -> "ir.BooleanColumn":
        """Mask: rows with an amount below `below`, or of exactly `at` if `below` is None."""
        amount = self.made["amount"]
        return (amount == at if below is None else amount < below).fill_null(False)

    def count(self, where: "ir.BooleanColumn", names: Sequence[str] = ()) -> int:
        """Count the marked rows, or the distinct values of some columns among them."""
        some = self.made.filter(where)
        if names:
            some = some.select(*[_stored_name(name) for name in names]).distinct()
        return count_rows(self.raw.disk, some)

    def show(self, where: "ir.BooleanColumn", most: int = 3) -> tuple[str, ...]:
        """Write the first marked rows."""
        return _show(self.raw, self.made.filter(where), list(self.shown), most)

    def lines(self, where: "ir.BooleanColumn") -> Lines:
        """Compare the amounts above zero of each order's lines, among the marked rows."""
        made = self.made
        some = made.filter(where & made["order"].notnull() & (made["amount"] > 0))
        amount = some["amount"]
        orders = some.group_by(_ONE_ORDER).aggregate(
            n=some.count(), lo=amount.min(), hi=amount.max()
        )
        orders = orders.filter(orders["n"] > 1)
        equal = orders["lo"] == orders["hi"]
        counts = orders.aggregate(
            several=orders.count(),
            equal=equal.sum().fill_null(0),
            further=equal.ifelse(orders["n"] - 1, 0).sum().fill_null(0),
        )
        return Lines(*(int(n) for n in self.raw.disk.collect(counts).iloc[0]))

    def once(self, where: "ir.BooleanColumn") -> "StoredOrderRows":
        """Mark as `again` each amount that an earlier line of its order has."""
        import ibis

        made = self.made.mutate(left=where)
        whole = [*_ONE_ORDER, "amount", "left"]
        place = ibis.row_number().over(ibis.window(group_by=whole, order_by="row"))
        again = made["left"] & made["order"].notnull() & (place > 0)
        return replace(self, made=self.raw.disk.keep(made.mutate(again=again), "once"))

    def settle(self, where: "ir.BooleanColumn") -> "StoredOrderRows":
        """Match returns with purchases among the marked rows, some customers at a time."""
        disk, left = self.raw.disk, self.made.filter(where)
        back = left.filter(left["amount"] < 0).select("customer").distinct()
        touched = left.semi_join(back, "customer").select("row", "customer", "date", "amount")
        touched = disk.keep(touched.order_by("customer", "row"), "touched")
        marks = [_settle_some(disk, touched, *span) for span in _spans(disk, touched)]
        known = _known(None, pd.concat(marks, ignore_index=True).to_dict("series"))
        marked = self.made.mutate(left=where)
        beside = marked.left_join(known, marked["row"] == known["at"]).drop("at")
        settled = {name: beside[name].fill_null(False) for name in RETURN_MARKS}
        amount = beside["new"].fill_null(beside["amount"])
        table = beside.mutate(amount=amount, **settled).drop("new")
        return replace(self, made=disk.keep(table, "settled"))

    def summary(self, where: "ir.BooleanColumn") -> Summary:
        """Summarise the marked rows."""
        some = self.made.filter(where)
        money = some["amount"] if self.has("amount") else some["row"] * 0.0
        found = self.raw.disk.collect(some.aggregate(
            first=some["date"].min(), last=some["date"].max(), total=money.sum(),
            largest=money.max(),
        )).iloc[0]  # fmt: skip
        first, last = (pd.Timestamp(found[name]) for name in ("first", "last"))
        return Summary(first, last, float(found["total"]), float(found["largest"]))

    def orders(self, where: "ir.BooleanColumn") -> Stored:
        """Return the orders of the marked rows, sorted by customer."""
        names = ["customer", "date", *(["amount"] if self.has("amount") else [])]
        table = self.made.filter(where).order_by("customer", "date", "row").select(*names)
        table = self.raw.disk.keep(table, "orders")
        return Stored(self.raw.disk, table, self.ids, count_rows(self.raw.disk, table))


def _show(rows: StoredRawRows, hits: "ir.Table", places: list[int], most: int) -> tuple[str, ...]:
    """Write the first of some rows, as the file has them."""
    first = rows.disk.collect(hits.order_by("row").limit(most).select("row"))["row"]
    wanted = rows.raw.filter(rows.raw["row"].isin([int(row) for row in first]))
    found = rows.disk.collect(wanted.select("row", *[f"c{k}" for k in places]))
    frame = found.set_index("row").sort_index()
    frame.columns = [rows.names[k][:40] for k in places]
    return show_rows(frame, pd.Series(True, index=frame.index), most=most)


def _are_whole(rows: StoredRawRows, column: "ir.NumericColumn") -> bool:
    """Whether all numbers are whole and short enough for a float; an engine's NaN is none."""
    number = column.cast("float64")
    odd = ~number.isnan() & ~((number % 1 == 0) & (number.abs() < 2**53))
    return count_rows(rows.disk, rows.raw.filter(number.notnull() & odd)) == 0


def _subtract_refunds(table: "ir.Table") -> "ir.Table":
    """Subtract refunds from amounts above zero, and mark what came back in full and in part."""
    amount = table["amount"]
    back = (amount > 0).fill_null(False).ifelse(table["refund"].abs().fill_null(0.0), 0.0)
    net = (amount - back).round(4)
    refunded = ((back > 0) & (net < CENT)).fill_null(False)
    eased = (back > 0) & ~refunded
    net = eased.ifelse(net, amount)
    return table.mutate(amount=net, refunded=refunded, eased=eased).drop("refund")


def _mark_repeats(rows: StoredRawRows, table: "ir.Table") -> "ir.Table":
    """Mark rows that repeat an earlier one in every column, and the first repeat of each.

    Rows are first compared by a hash, so that only possible repeats are sorted.
    """
    import ibis

    names = [f"c{k}" for k in range(len(rows.names))]
    names += [f"n{k}" for k in range(len(rows.nested))]
    whole = rows.raw[names[0]].cast("string").fill_null("")
    for name in names[1:]:
        whole = whole + "\x1f" + rows.raw[name].cast("string").fill_null("")
    hashed = rows.raw.mutate(hash=whole.hash())
    by_hash = hashed.group_by("hash").aggregate(n=hashed.count())
    doubles = hashed.semi_join(by_hash.filter(by_hash["n"] > 1), "hash")
    place = ibis.row_number().over(ibis.window(group_by=names, order_by="row"))
    numbered = doubles.mutate(place=place)
    more = numbered.filter(numbered["place"] > 0).select("row", "place")
    again = rows.disk.keep(more, "repeats").rename(again="row")
    beside = table.left_join(again, table["row"] == again["again"]).drop("again")
    place = beside["place"].fill_null(0)
    marks = dict(zip(REPEAT_MARKS, (place > 0, place == 1), strict=True))
    return beside.mutate(**marks).drop("place")


def _spans(disk: Disk, touched: "ir.Table") -> list[tuple[int, int]]:
    """Split customers, by code, into groups with a limited number of rows."""
    by_customer = touched.group_by("customer").aggregate(n=touched.count())
    return part_codes(disk.collect(by_customer.order_by("customer")), SETTLE_ROWS)


def _settle_some(disk: Disk, touched: "ir.Table", first: int, last: int) -> pd.DataFrame:
    some = touched.filter(touched["customer"].between(first, last)).order_by("row")
    frame = disk.collect(some).rename(columns={"customer": "customer_id"})
    settled = settle_returns(frame)
    marks = {name: getattr(settled, name) for name in RETURN_MARKS}
    found = pd.DataFrame({"at": frame["row"], **marks, "new": settled.amounts})
    return found[found[list(RETURN_MARKS)].any(axis=1)]


def _stored_name(name: str) -> str:
    return "customer" if name == "customer_id" else name


_ONE_ORDER = [_stored_name(name) for name in ONE_ORDER]


def _number_ids(ids: pd.Series) -> tuple[NDArray[np.str_], pd.Series]:
    """Give each id a number, in ascending order; a missing id has none."""
    codes, names = pd.factorize(ids, sort=True)
    return np.asarray(names, dtype=object), pd.Series(codes, dtype="Int64").mask(codes < 0)


def _known(texts: pd.Series | None, columns: Mapping[str, pd.Series]) -> "ir.Table":
    """Pass values, and the texts that they belong to, to the engine."""
    import ibis
    import pyarrow as pa

    keys = {} if texts is None else {"text": pa.array(texts, type=pa.string())}
    return ibis.memtable(
        pa.table(keys | {name: pa.Array.from_pandas(column) for name, column in columns.items()})
    )
