"""From a file to clean orders, with a record of everything that was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.amounts import (
    STORED_NUMBERS,
    check_one_currency,
    name_currency,
    read_amount_texts,
)
from crmlab.reading.cells import Cells
from crmlab.reading.columns import Columns, find_unused_refunds, find_unused_statuses, guess_columns
from crmlab.reading.dates import STORED_DATES, read_day_texts
from crmlab.reading.files import is_large, read_raw
from crmlab.reading.ids import describe_nobody, find_odd_ids, name_ids, read_people
from crmlab.reading.options import ReadingOptions, as_day
from crmlab.reading.presets import use_preset
from crmlab.reading.privacy import is_formula, pseudonymise
from crmlab.reading.quality import Decision, Finding, Quality
from crmlab.reading.rows import FrameRawRows, RawRows, Spread
from crmlab.reading.schedules import find_constant_gaps
from crmlab.reading.sieve import Done, check_days, check_readable, sift
from crmlab.reading.status import (
    NO_SALE,
    describe_statuses,
    find_doubtful,
    find_unused,
    judge_statuses,
    list_no_sales,
)

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from crmlab.reading.disk import Stored


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
    people = {} if same_person is None else read_people(same_person)
    try:
        options, taken, known = use_preset(raw.head.frame.columns, options)
        columns, guesses, personal = guess_columns(raw.head, options.columns(), taken)
        return _clean(raw, columns, [*known, *guesses], personal, options, people, key)
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


@dataclass(frozen=True)
class _Part:
    """What one column gives, or several columns together.

    Parameters
    ----------
    made : mapping of str to Spread
        Columns of the orders.
    decisions, findings : sequences
    done : str
        What is done with rows that it sets aside.
    currency : str
    """

    made: Mapping[str, Spread]
    decisions: Sequence[Decision] = ()
    findings: Sequence[Finding] = ()
    done: str = "set aside"
    currency: str = ""


def _clean(
    raw: RawRows,
    columns: Columns,
    guesses: Sequence[Decision],
    personal: tuple[str, ...],
    options: ReadingOptions,
    people: Mapping[str, str],
    key: bytes | None,
) -> Sales:
    who = _read_people_of(raw, columns.customer, people, key, options)
    when = _read_days(raw, columns.date, options)
    money = _read_money(raw, columns, options)
    order = {} if columns.order is None else {"order": raw.numbered(columns.order)}
    status = _read_status(raw, columns, options)
    parts = (who, when, money, _Part(order), status)
    shown = [p for p in vars(columns).values() if p is not None]
    shown = [p for p in shown if not (key is not None and p == columns.customer)]
    rows = raw.build(shown, {name: c for part in parts for name, c in part.made.items()})
    check_readable(rows, raw.n_rows, options, when.done)
    check_days(rows, options)
    amount = None if columns.amount is None else str(raw.head.frame.columns[columns.amount])
    sifted = sift(rows, raw.n_rows, options, Done(who.done, status.done, when.done, amount))
    orders = sifted.rows.orders(sifted.left)
    beside = [f for part in (money, who, status) for f in part.findings]
    findings = (*raw.head.findings, *sifted.findings, *beside, *find_constant_gaps(orders))
    decisions = (*raw.head.decisions, *guesses, *(d for part in parts for d in part.decisions))
    quality = Quality(raw.head.source, raw.n_rows, sifted.n_left, decisions, findings, personal)
    seen = sifted.rows.summary(sifted.left)
    window = (
        as_day(options.since) if options.since else seen.first,
        as_day(options.until) if options.until else seen.last,
    )
    return Sales(orders, money.currency or "currency units", window, quality)


def _read_people_of(
    raw: RawRows,
    place: int,
    people: Mapping[str, str],
    key: bytes | None,
    options: ReadingOptions,
) -> _Part:
    """Read who ordered: the person behind each id, or the pseudonym of that person."""
    cells = raw.cells(place)
    ids, decisions = name_ids(cells, options.guests)
    persons = ids.map(people).fillna(ids).astype("str") if people else ids
    findings = find_odd_ids(cells, persons, is_hidden=key is not None)
    made = {}
    if people:
        made["id"] = raw.spread(place, ids)
        made["moved"] = raw.spread(place, (persons != ids).to_numpy() & ids.notna().to_numpy())
    if key is None:
        made["odd"] = raw.spread(place, is_formula(persons).to_numpy())
    else:
        named = persons.notna()
        persons = pseudonymise(persons[named], key).reindex(persons.index)
    made["customer_id"] = raw.spread(place, persons)
    return _Part(made, decisions, findings, describe_nobody(cells, ids))


def _read_days(raw: RawRows, place: int, options: ReadingOptions) -> _Part:
    if raw.type_of(place) == "dates":
        return _Part({"date": raw.stored(place, options.timezone)}, [STORED_DATES], done="")
    cells = raw.cells(place)
    read = read_day_texts(cells, order=options.date_order, timezone=options.timezone)
    made = {"date": raw.spread(place, read.days)}
    if read.moved is not None and read.moved.any():
        made["moved_day"] = raw.spread(place, read.moved)
    return _Part(made, read.decisions, done=read.unread)


def _read_money(raw: RawRows, columns: Columns, options: ReadingOptions) -> _Part:
    """Read amounts, or multiply quantities by prices; check that there is one currency at most."""
    if columns.amount is not None:
        amount, written, decision = _read_amount(raw, columns.amount, options)
        decisions = [decision]
    elif columns.quantity is not None and columns.price is not None:
        count, _, _ = _read_amount(raw, columns.quantity, options)
        price, written, decision = _read_amount(raw, columns.price, options)
        amount = (count, price)
        name = str(raw.head.frame.columns[columns.price])
        why = "there is no column of amounts; if the price is that of the whole line, --amount "
        decisions = [decision, Decision("amounts", "quantity x price", f"{why}{name!r}")]
    else:
        return _Part({})
    named = "" if columns.currency is None else _one_currency(raw.cells(columns.currency))
    more, findings = {}, []
    if columns.refund is not None:
        more["refund"] = _read_amount(raw, columns.refund, options)[0]
    elif options.refund is None:
        names = [str(raw.head.frame.columns[k]) for k in find_unused_refunds(raw.head, columns)]
        findings = [
            Finding(f"a column {name!r} that speaks of refunds", raw.n_rows,
                    f"not used; --refund {name!r} subtracts it from amounts")
            for name in names
        ]  # fmt: skip
    place = columns.amount
    if options.amount_of == "first-line" and place is not None and raw.type_of(place) == "text":
        more["blank"] = raw.spread(place, raw.cells(place).texts == "")
    return _Part({"amount": amount, **more}, decisions, findings, currency=named or written)


def _read_amount(raw: RawRows, place: int, options: ReadingOptions) -> tuple[Spread, str, Decision]:
    if raw.type_of(place) == "numbers":
        return raw.stored(place), "", STORED_NUMBERS
    values, currency, decision = read_amount_texts(raw.cells(place), decimal=options.decimal)
    return raw.spread(place, values), currency, decision


def _one_currency(cells: Cells) -> str:
    units = np.array([name_currency(text) for text in cells.texts], dtype=object)
    check_one_currency(cells, units)
    return next((unit for unit in units if unit), "")


def _read_status(raw: RawRows, columns: Columns, options: ReadingOptions) -> _Part:
    """Read which orders are no sales, and list every status."""
    place = columns.status
    unused = find_unused_statuses(raw.head, columns) if options.status is None else ()
    beside = [finding for k in unused for finding in find_unused(raw.cells(k))]
    if place is None:
        return _Part({}, findings=beside)
    cells = raw.cells(place)
    meanings = judge_statuses(cells.texts, options.no_sale, cells.name)
    is_none = meanings == NO_SALE
    return _Part(
        {"no_sale": raw.spread(place, is_none)},
        describe_statuses(cells, meanings, options.no_sale),
        [*find_doubtful(cells, meanings), *beside],
        f"set aside{list_no_sales(cells, is_none)}; --no-sale says which statuses are no sales",
    )
