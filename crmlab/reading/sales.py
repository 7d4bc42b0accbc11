"""From a file to clean orders, with a record of everything that was done."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

import numpy as np
import pandas as pd

from crmlab.arrays import Bools
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.reading.amounts import DECIMALS, STORED_NUMBERS, check_one_currency, read_amount_texts
from crmlab.reading.cells import Cells, as_words, collect_cells
from crmlab.reading.columns import Columns, guess_columns
from crmlab.reading.dates import EARLIEST, ORDERS, STORED_DATES, read_day_texts
from crmlab.reading.files import is_large, read_raw
from crmlab.reading.privacy import is_formula, pseudonymise
from crmlab.reading.quality import Decision, Finding, Quality, listed_rows
from crmlab.reading.rows import RETURN_MARKS, FrameRawRows, OrderRows, RawRows, Spread, Where
from crmlab.reading.words import STATUSES, plain

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from crmlab.reading.disk import Stored

UNREADABLE_SHARE = 0.05  # above it, the file was probably misread rather than badly written
LONGEST_ID = 200
_NOBODY = ("", "na", "n/a", "nan", "null", "none", "-", "?", "unknown", "#n/a")
_NO_SALE = STATUSES["cancelled"] | STATUSES["refunded"] | STATUSES["failed"]


@dataclass(frozen=True)
class ReadingOptions:
    """The user's choices about a file; whatever is left out is detected.

    Parameters
    ----------
    customer, date, amount : str, optional
        Names of columns, or positions such as "#3".
    table, encoding, delimiter : str, optional
        As in `read_raw`.
    decimal : {".", ","}, optional
    date_order : {"day-month", "month-day"}, optional
    timezone : str, optional
        The zone in which days count, e.g. "Europe/Paris"; without it, that of most rows.
    since, until : date, optional
        First and last day of the orders to use. `until` also ends the observation.
    drop_repeats : bool
        Whether rows that repeat another in every column are duplicates even without order numbers.
    today : date, optional
        Orders after it are in the future; by default, the computer's date.
    large : bool, optional
        Whether an engine on disk holds the rows instead of memory; by default, the size of the
        file decides (`crmlab.reading.files.is_large`). Decisions and counts are the same.
    """

    customer: str | None = None
    date: str | None = None
    amount: str | None = None
    table: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    date_order: str | None = None
    timezone: str | None = None
    since: str | None = None
    until: str | None = None
    drop_repeats: bool = False
    today: str | None = None
    large: bool | None = None

    def __post_init__(self) -> None:
        """Refuse options that are not valid."""
        problems = [
            f"`{name}` must be one of {options}, got {value!r}"
            for name, value, options in (
                ("decimal", self.decimal, DECIMALS),
                ("date_order", self.date_order, ORDERS),
            )
            if value is not None and value not in options
        ]
        for name in ("since", "until", "today"):
            value = getattr(self, name)
            if value is not None and pd.isna(_day(value)):
                problems.append(f"`{name}` must be a date such as 2024-12-31, got {value!r}")
        if self.timezone is not None and self.timezone not in available_timezones():
            problems.append(
                f"`timezone` must be a name such as Europe/Paris or UTC, got {self.timezone!r}"
            )
        raise_problems(SpecError, "ReadingOptions", problems)


@dataclass(frozen=True)
class Sales:
    """Orders that were read, and the record of the reading.

    Parameters
    ----------
    orders : DataFrame or Stored
        customer_id (str), date (day), and amount (currency, not negative) if amounts are known;
        one row per order of the file, in file order. `Stored` if an engine holds the rows.
    currency : str
        As written in the file; "currency units" if none is written.
    window : (first day, last day)
        Both inclusive.
    quality : Quality
    """

    orders: "pd.DataFrame | Stored"
    currency: str
    window: tuple[pd.Timestamp, pd.Timestamp]
    quality: Quality


def read_sales(
    source: "str | Path | pd.DataFrame | Table",
    options: ReadingOptions | None = None,
    *,
    same_person: pd.DataFrame | None = None,
    key: bytes | None = None,
) -> Sales:
    """Read orders from a file, a frame or an Ibis table, and record what was found.

    Parameters
    ----------
    source : path, DataFrame or Ibis table
        One row per order, or per line of an order.
    options : ReadingOptions, optional
    same_person : DataFrame, optional
        Two columns: an id, and the id under which all orders of that person are counted.
    key : bytes, optional
        Replace ids by pseudonyms with this key.

    Returns
    -------
    Sales

    Raises
    ------
    DataError
        If the file cannot be read, is ambiguous, mixes currencies, has impossible dates, or has
        no orders.

    Examples
    --------
    >>> sales = read_sales(pd.DataFrame({"Kunde": ["a", "a", "", "b", "a"],
    ...     "Datum": ["31.01.2024", "02.03.2024", "02.03.2024", "05.03.2024", "06.03.2024"],
    ...     "Betrag": ["3,50 €", "0,00 €", "9,90 €", "7,25 €", "-3,50 €"]}))
    >>> sales.orders["amount"].tolist(), sales.currency
    ([0.0, 7.25], 'EUR')
    >>> [finding.what for finding in sales.quality.findings]
    ['no customer id', 'returns', 'purchases returned in full', 'amount of zero']
    """
    options = options or ReadingOptions()
    raw = open_rows(source, options)
    chosen = {"customer": options.customer, "date": options.date, "amount": options.amount}
    try:
        columns, guesses, personal = guess_columns(raw.head, chosen)
        return _clean(raw, columns, guesses, personal, options, same_person, key)
    except DataError as problem:
        raise DataError(f"{raw.head.source}: {problem}") from None


def open_rows(source: "str | Path | pd.DataFrame | Table", options: ReadingOptions) -> RawRows:
    """Read the rows into memory, or leave those of a large file to an engine."""
    how = {
        "table": options.table, "encoding": options.encoding, "delimiter": options.delimiter
    }  # fmt: skip
    if is_large(source) if options.large is None else options.large:
        from crmlab.reading.store import store_rows

        return store_rows(source, **how)
    return FrameRawRows(read_raw(source, **how))


def _clean(
    raw: RawRows,
    columns: Columns,
    guesses: Sequence[Decision],
    personal: tuple[str, ...],
    options: ReadingOptions,
    same_person: pd.DataFrame | None,
    key: bytes | None,
) -> Sales:
    people = {} if same_person is None else read_people(same_person)
    made, id_decisions = _read_people_of(raw, columns.customer, people, key)
    days, date_decisions, unread = _read_days(raw, columns.date, options)
    made |= days
    money, currency, amount_decisions = _read_money(raw, columns, options)
    made |= money
    if columns.status is not None:
        made["cancelled"] = raw.spread(columns.status, _is_cancelled(raw.cells(columns.status)))
    shown = [p for p in vars(columns).values() if p is not None]
    shown = [p for p in shown if not (key is not None and p == columns.customer)]
    rows = raw.build(shown, made, repeats=True)
    _check_readable(rows, raw.n_rows, unread)
    today = _day(options.today) if options.today else pd.Timestamp(datetime.date.today())
    _check_days(rows, today, options)
    left, findings = _sift(rows, columns, options, unread)
    mapping_findings = _find_moved(rows, left) if people else []
    rows, left, return_findings = _take_back(rows, left)
    n_left = rows.count(left)
    if not n_left:
        raise DataError(
            "no orders remain after cleaning; set aside were: "
            + ", ".join(f"{f.rows:,} rows ({f.what})" for f in [*findings, *return_findings])
        )
    findings += mapping_findings + return_findings + _remark(rows, left, n_left, key)
    findings = [*raw.head.findings, *findings]
    decisions = (*raw.head.decisions, *guesses, *id_decisions, *date_decisions, *amount_decisions)
    quality = Quality(raw.head.source, raw.n_rows, n_left, decisions, tuple(findings), personal)
    first, last = rows.span(left)
    window = (
        _day(options.since) if options.since else first,
        _day(options.until) if options.until else last,
    )
    return Sales(rows.orders(left), currency or "currency units", window, quality)


def _day(value: object) -> pd.Timestamp:
    day = pd.to_datetime(str(value), errors="coerce", format="ISO8601")
    return day if pd.isna(day) else day.normalize()


def read_ids(raw: pd.Series) -> tuple[pd.Series, list[Decision]]:
    """Read ids as text, missing if a cell names nobody; refuse texts too long to be ids."""
    cells, codes = collect_cells(raw, str(raw.name))
    ids, decisions = name_ids(cells)
    return ids.take(codes).set_axis(raw.index), decisions


def name_ids(cells: Cells) -> tuple[pd.Series, list[Decision]]:
    """Read the distinct texts of a column of ids, as `read_ids` does."""
    text = pd.Series(cells.texts, dtype="str")
    decisions = []
    filled = text[~text.str.casefold().isin(_NOBODY)]
    if len(filled) and filled.str.fullmatch(r"\d+\.0").all():
        text = text.str.removesuffix(".0")
        decisions.append(Decision("customer ids", "without '.0'", "all are whole numbers"))
    ids = text.mask(text.str.casefold().isin(_NOBODY))
    long = (ids.str.len() > LONGEST_ID).to_numpy(bool)
    if long.any():
        raise DataError(
            f"{cells.count(long):,} customer ids are longer than {LONGEST_ID} characters "
            f"({cells.listed(long)}): is this the right column? Name it with --customer"
        )
    return ids, decisions


def _read_people_of(
    raw: RawRows, place: int, people: Mapping[str, str], key: bytes | None
) -> tuple[dict[str, Spread], list[Decision]]:
    """Read who ordered: the person behind each id, or the pseudonym of that person."""
    ids, decisions = name_ids(raw.cells(place))
    persons = ids.map(people).fillna(ids).astype("str") if people else ids
    made = {}
    if people:
        made["id"] = raw.spread(place, ids)
        made["moved"] = raw.spread(place, (persons != ids).to_numpy() & ids.notna().to_numpy())
    if key is None:
        made["odd"] = raw.spread(place, is_formula(persons).to_numpy())
    else:
        named = persons.notna()
        persons = pseudonymise(persons[named], key).reindex(persons.index)
    return made | {"customer_id": raw.spread(place, persons)}, decisions


def _read_days(
    raw: RawRows, place: int, options: ReadingOptions
) -> tuple[dict[str, Spread], tuple[Decision, ...], str]:
    """Read the days of a column: also how they were read, and why some could not be."""
    if raw.type_of(place) == "dates":
        return {"date": raw.stored(place, options.timezone)}, (STORED_DATES,), ""
    cells = raw.cells(place)
    read = read_day_texts(cells, order=options.date_order, timezone=options.timezone)
    made = {"date": raw.spread(place, read.days)}
    if read.moved is not None and read.moved.any():
        made["moved_day"] = raw.spread(place, read.moved)
    return made, read.decisions, read.unread


def _read_money(
    raw: RawRows, columns: Columns, options: ReadingOptions
) -> tuple[dict[str, Spread], str, list[Decision]]:
    """Read amounts, or multiply quantities by prices; check that there is one currency at most."""
    currency = "" if columns.currency is None else _one_currency(raw.cells(columns.currency))
    if columns.amount is not None:
        values, written, decision = _read_amount(raw, columns.amount, options)
        return {"amount": values}, currency or written, [decision]
    if columns.quantity is None or columns.price is None:
        return {}, "", []
    count, _, _ = _read_amount(raw, columns.quantity, options)
    price, written, decision = _read_amount(raw, columns.price, options)
    made = Decision("amounts", "quantity x price", "there is no column of amounts")
    return {"amount": (count, price)}, currency or written, [decision, made]


def _read_amount(raw: RawRows, place: int, options: ReadingOptions) -> tuple[Spread, str, Decision]:
    if raw.type_of(place) == "numbers":
        return raw.stored(place), "", STORED_NUMBERS
    values, currency, decision = read_amount_texts(raw.cells(place), decimal=options.decimal)
    return raw.spread(place, values), currency, decision


def _one_currency(cells: Cells) -> str:
    units = cells.texts.str.upper().to_numpy(object)
    check_one_currency(cells, units)
    return next((unit for unit in units if unit), "")


def _is_cancelled(cells: Cells) -> Bools:
    return np.array([plain(text) in _NO_SALE for text in cells.texts], dtype=bool)


def _check_readable(rows: OrderRows, n_rows: int, unread: str) -> None:
    """Refuse a file with too many unreadable rows: then the reading is wrong, not the rows."""
    problems = []
    for column in ("date", "amount"):
        if not rows.has(column):
            continue
        bad = rows.missing(column)
        share = rows.count(bad) / n_rows
        if share > UNREADABLE_SHARE:
            causes = f": {unread}" if column == "date" and unread else ""
            problems.append(
                f"{share:.0%} of the rows have no readable {column}{causes} ({_list(rows, bad)}); "
                "if this "
                f"is the wrong column, name the right one with --{column}"
            )
    if rows.count(rows.missing("customer_id")) == n_rows:
        problems.append("no row has a customer id; name the right column with --customer")
    if problems:
        raise DataError("; ".join(problems))


def _check_days(rows: OrderRows, today: pd.Timestamp, options: ReadingOptions) -> None:
    """Refuse impossible days, unless `since` or `until` excludes them."""
    since = _day(options.since) if options.since else pd.Timestamp.min
    until = _day(options.until) if options.until else pd.Timestamp.max
    day = pd.Timedelta(days=1)
    problems = []
    for what, bad, option in (
        (f"before {EARLIEST.date()}", rows.between(since, EARLIEST - day), "--since"),
        (f"in the future (after {today.date()})", rows.between(today + day, until), "--until"),
    ):
        count = rows.count(bad)
        if count:
            problems.append(
                f"{count:,} rows are {what}: {_list(rows, bad)}; fix them, or leave them out with "
                f"{option} DATE"
            )
    if problems:
        raise DataError("; ".join(problems))


def _sift(
    rows: OrderRows, columns: Columns, options: ReadingOptions, unread: str
) -> tuple[Where, list[Finding]]:
    """Set rows aside, reason by reason; a row is counted under the first reason that applies."""
    findings: list[Finding] = []
    left = None
    for what, bad in _reasons(rows, options):
        hit = bad if left is None else left & bad
        done = f"set aside: {unread}" if what == "no readable date" and unread else "set aside"
        findings += _find(rows, hit, what, done, set_aside=True)
        left = ~bad if left is None else left & ~bad
    repeated = left & rows.where("repeated")
    numbered = columns.order is not None
    what = "rows that repeat another in every column"
    if numbered or options.drop_repeats:
        why = "they share an order number" if numbered else "as you said"
        findings += _find(rows, repeated, what, f"set aside ({why})", set_aside=True)
        return left & ~repeated, findings
    done = "kept: without order numbers they may be two orders (--drop-repeats drops them)"
    return left, findings + _find(rows, repeated, what, done)


def _reasons(rows: OrderRows, options: ReadingOptions) -> list[tuple[str, Where]]:
    reasons = [
        ("no customer id", rows.missing("customer_id")),
        ("no readable date", rows.missing("date")),
    ]
    if rows.has("amount"):
        reasons.append(("no readable amount", rows.missing("amount")))
    if rows.has("cancelled"):
        reasons.append(("status says cancelled or returned", rows.where("cancelled")))
    day = pd.Timedelta(days=1)
    if options.since:
        early = rows.between(pd.Timestamp.min, _day(options.since) - day)
        reasons.append((f"before {options.since}", early))
    if options.until:
        late = rows.between(_day(options.until) + day, pd.Timestamp.max)
        reasons.append((f"after {options.until}", late))
    return reasons


def _find_moved(rows: OrderRows, left: Where) -> list[Finding]:
    """List rows whose id was replaced by another id of the same person."""
    moved = left & rows.where("moved")
    count = rows.count(moved)
    if not count:
        return []
    done = f"counted under that id ({rows.different(['id'], moved):,} ids, by your list)"
    return [Finding("rows whose id belongs to a person with another id", count, done)]


def read_people(same_person: pd.DataFrame) -> dict[str, str]:
    """Follow a list of ids to the person that each belongs to.

    Parameters
    ----------
    same_person : DataFrame
        Two columns: an id, and the id of the same person.

    Returns
    -------
    dict
        Id to the last id that the list leads to.

    Raises
    ------
    DataError
        If the list goes in a circle, or leads from one id to two people.

    Examples
    --------
    >>> read_people(pd.DataFrame({"id": ["a", "b"], "person": ["b", "c"]}))
    {'a': 'c', 'b': 'c'}
    """
    if same_person.shape[1] != 2:
        raise DataError(
            f"the list of ids must have two columns, id and person; it has {same_person.shape[1]}"
        )
    pairs = pd.DataFrame({k: as_words(same_person.iloc[:, k]) for k in (0, 1)}).drop_duplicates()
    pairs = pairs[(pairs[0] != "") & (pairs[1] != "") & (pairs[0] != pairs[1])]
    twice = pairs[0][pairs[0].duplicated()]
    if len(twice):
        raise DataError(f"the list of ids leads {twice.iloc[0]!r} to two people")
    step = dict(zip(pairs[0], pairs[1], strict=True))
    return {first: _follow(first, step) for first in step}


def _follow(first: str, step: dict[str, str]) -> str:
    seen, now = {first}, step[first]
    while now in step:
        if now in seen:
            raise DataError(f"the list of ids goes in a circle from {first!r}")
        seen.add(now)
        now = step[now]
    if now in seen:
        raise DataError(f"the list of ids goes in a circle from {first!r}")
    return now


def _take_back(rows: OrderRows, left: Where) -> tuple[OrderRows, Where, list[Finding]]:
    if not rows.has("amount") or not rows.count(left & rows.amounts(below=0)):
        return rows, left, []
    rows = rows.settle(left)
    left = rows.where("left")
    is_return, unmatched, undone, reduced = (rows.where(name) for name in RETURN_MARKS)
    findings = [
        finding
        for where, what, done, aside in (
            (is_return & ~unmatched, "returns", "set aside: not purchases", True),
            (unmatched, "returns without an earlier purchase", "set aside", True),
            (undone, "purchases returned in full", "set aside with their return", True),
            (reduced & ~undone, "purchases returned in part",
             "kept, with the returned amount subtracted", False),
        )
        for finding in _find(rows, where, what, done, set_aside=aside)
    ]  # fmt: skip
    return rows, left & ~(is_return | undone), findings


def _remark(rows: OrderRows, left: Where, n_left: int, key: bytes | None) -> list[Finding]:
    """List findings about rows that are kept."""
    findings = []
    if rows.has("amount"):
        findings += _find(
            rows, left & rows.amounts(), "amount of zero", "kept: an order that cost nothing"
        )
    if rows.has("moved_day"):
        findings += _find(
            rows, left & rows.where("moved_day"), "dates written in another time zone",
            "kept: counted on their day in the stated time zone",
        )  # fmt: skip
    if key is None:
        findings += _find(
            rows, left & rows.where("odd"), "ids that a spreadsheet would take for a formula",
            "kept; written with an apostrophe in front, and flagged",
        )  # fmt: skip
    same_day = n_left - rows.different(["customer_id", "date"], left)
    if same_day:
        findings.append(Finding(
            "orders of one customer on one day, after the first", same_day,
            "counted as one purchase; their amounts add up",
        ))  # fmt: skip
    return findings


def _list(rows: OrderRows, where: Where) -> str:
    """List the first marked rows, and say how many more there are."""
    return listed_rows(rows.show(where), rows.count(where))


def _find(
    rows: OrderRows, where: Where, what: str, done: str, *, set_aside: bool = False
) -> list[Finding]:
    """Return one finding if any row is marked, and none otherwise."""
    count = rows.count(where)
    if not count:
        return []
    return [Finding(what, count, done, count if set_aside else 0, rows.show(where))]
