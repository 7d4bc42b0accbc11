"""The whole way from a file to clean orders, with everything that was done on it written down."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.reading.amounts import DECIMALS, mixed_currencies, read_amounts
from crmlab.reading.columns import Columns, guess_columns
from crmlab.reading.dates import EARLIEST, ORDERS, as_words, read_dates
from crmlab.reading.files import RawTable, read_raw
from crmlab.reading.privacy import is_formula, pseudonymise
from crmlab.reading.quality import Decision, Finding, Quality, find_rows, listed_rows, show_rows
from crmlab.reading.returns import Settled, settle_returns

if TYPE_CHECKING:
    from ibis.expr.types import Table

UNREADABLE_SHARE = 0.05  # above it the file was read wrongly, rather than written badly
LONGEST_ID = 200
_NOBODY = ("", "na", "n/a", "nan", "null", "none", "-", "?", "unknown", "#n/a")
_CANCELLED = frozenset(
    word
    for line in (
        "cancelled canceled cancel void voided refunded returned failed rejected storniert storno",
        "abgebrochen retourniert annule annulee rembourse cancelado cancelada anulado devuelto",
        "annullato rimborsato geannuleerd avbruten",
    )
    for word in line.split()
)


@dataclass(frozen=True)
class ReadingOptions:
    """What the user says about a file; whatever is left out is found out.

    Parameters
    ----------
    customer, date, amount : str, optional
        Names of columns, or positions such as "#3".
    table, encoding, delimiter : str, optional
        As in `read_raw`.
    decimal : {".", ","}, optional
    date_order : {"day-month", "month-day"}, optional
    since, until : date, optional
        First and last day of the orders to use. `until` also ends the observation.
    drop_repeats : bool
        Whether rows that repeat another in every column are duplicates even without order numbers.
    today : date, optional
        Orders after it lie in the future; the day of the computer if left out.
    """

    customer: str | None = None
    date: str | None = None
    amount: str | None = None
    table: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    date_order: str | None = None
    since: str | None = None
    until: str | None = None
    drop_repeats: bool = False
    today: str | None = None

    def __post_init__(self) -> None:
        """Refuse options that mean nothing."""
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
        raise_problems(SpecError, "ReadingOptions", problems)


@dataclass(frozen=True)
class Sales:
    """Orders that were read, and the record of the reading.

    Parameters
    ----------
    orders : DataFrame
        customer_id (str), date (day), and amount (currency, not negative) if amounts are known;
        one row per row of the file that is an order, in its order.
    currency : str
        As written in the file; "currency units" where nothing is.
    window : (first day, last day)
        Both inclusive.
    quality : Quality
    """

    orders: pd.DataFrame
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
    """Read orders from a file, a frame or an Ibis table, and say what was found there.

    Parameters
    ----------
    source : path, DataFrame or Ibis table
        One row per order, or per line of an order.
    options : ReadingOptions, optional
    same_person : DataFrame, optional
        Two columns: an id, and the id of the same person under which all are counted.
    key : bytes, optional
        Replace ids by pseudonyms under this key.

    Returns
    -------
    Sales

    Raises
    ------
    DataError
        If the file cannot be read, leaves open what it means, mixes currencies, holds impossible
        dates, or holds no order.

    Examples
    --------
    >>> sales = read_sales(pd.DataFrame({"Kunde": ["a", "a", "", "b", "a"],
    ...     "Datum": ["31.01.2024", "02.03.2024", "02.03.2024", "05.03.2024", "06.03.2024"],
    ...     "Betrag": ["3,50 €", "0,00 €", "9,90 €", "7,25 €", "-3,50 €"]}))
    >>> sales.orders["amount"].tolist(), sales.currency
    ([0.0, 7.25], 'EUR')
    >>> [finding.what for finding in sales.quality.findings]
    ['no customer id', 'returns', 'purchases that came back whole', 'amount of zero']
    """
    options = options or ReadingOptions()
    raw = read_raw(
        source, table=options.table, encoding=options.encoding, delimiter=options.delimiter
    )
    said = {"customer": options.customer, "date": options.date, "amount": options.amount}
    try:
        columns, guesses, personal = guess_columns(raw, said)
        return _clean(raw, columns, guesses, personal, options, same_person, key)
    except DataError as problem:
        raise DataError(f"{raw.source}: {problem}") from None


def _clean(
    raw: RawTable,
    columns: Columns,
    guesses: Sequence[Decision],
    personal: tuple[str, ...],
    options: ReadingOptions,
    same_person: pd.DataFrame | None,
    key: bytes | None,
) -> Sales:
    shown = _shown(raw.frame, columns, hide_ids=key is not None)
    ids, id_decisions = _read_ids(raw.frame.iloc[:, columns.customer])
    dates = read_dates(_column(raw, columns.date), name=_name(raw, columns.date),
                       order=options.date_order)  # fmt: skip
    amounts, currency, amount_decisions = _read_money(raw, columns, options)
    orders = pd.DataFrame({"customer_id": ids, "date": dates.days})
    if amounts is not None:
        orders["amount"] = amounts
    _check_readable(shown, orders)
    today = _day(options.today) if options.today else pd.Timestamp(datetime.date.today())
    _check_days(shown, orders["date"], today, options)
    kept, findings = _sift(raw, columns, shown, orders, options)
    mapped, mapping_findings = _map_people(kept, same_person)
    settled, return_findings = _take_back(shown, mapped)
    if settled.empty:
        raise DataError(
            "no order is left: " + "; ".join(f"{f.rows:,} rows: {f.what}" for f in findings)
            + "".join(f"; {f.rows:,} {f.what}" for f in return_findings)
        )  # fmt: skip
    findings += mapping_findings + return_findings + _remark(shown, settled, key)
    if key is not None:
        settled = settled.assign(customer_id=pseudonymise(settled["customer_id"], key))
    decisions = (*raw.decisions, *guesses, *id_decisions, dates.decision, *amount_decisions)
    quality = Quality(
        raw.source, len(raw.frame), len(settled), decisions, tuple(findings), personal
    )
    window = (
        _day(options.since) if options.since else settled["date"].min(),
        _day(options.until) if options.until else settled["date"].max(),
    )
    return Sales(settled.reset_index(drop=True), currency or "currency units", window, quality)


def _column(raw: RawTable, place: int) -> pd.Series:
    return raw.frame.iloc[:, place]


def _name(raw: RawTable, place: int) -> str:
    return str(raw.frame.columns[place])


def _day(value: object) -> pd.Timestamp:
    day = pd.to_datetime(str(value), errors="coerce", format="ISO8601")
    return day if pd.isna(day) else day.normalize()


def _shown(frame: pd.DataFrame, columns: Columns, *, hide_ids: bool = False) -> pd.DataFrame:
    """Give the columns that examples show: those that were read, and no other."""
    places = [p for p in vars(columns).values() if p is not None]
    places = [p for p in places if not (hide_ids and p == columns.customer)]
    return frame.iloc[:, places].set_axis([str(frame.columns[p])[:40] for p in places], axis=1)


def _read_ids(raw: pd.Series) -> tuple[pd.Series, list[Decision]]:
    text = as_words(raw)
    decisions = []
    filled = text[~text.str.casefold().isin(_NOBODY)]
    if len(filled) and filled.str.fullmatch(r"\d+\.0").all():
        text = text.str.removesuffix(".0")
        decisions.append(Decision("customer ids", "without '.0'", "all are whole numbers"))
    ids = text.mask(text.str.casefold().isin(_NOBODY))
    long = ids.str.len() > LONGEST_ID
    if long.any():
        raise DataError(
            f"{int(long.sum()):,} customer ids are longer than {LONGEST_ID} characters "
            f"({listed_rows(show_rows(raw.to_frame(), long), int(long.sum()))}): is this the "
            "right column? Say --customer"
        )
    return ids, decisions


def _read_money(
    raw: RawTable, columns: Columns, options: ReadingOptions
) -> tuple[pd.Series | None, str, list[Decision]]:
    """Read amounts, or multiply quantities by prices; one currency or none."""
    if columns.currency is not None:
        currency = _one_currency(raw, columns)
    if columns.amount is not None:
        read = read_amounts(_column(raw, columns.amount), name=_name(raw, columns.amount),
                            decimal=options.decimal)  # fmt: skip
        values, decisions = read.values, [read.decision]
    elif columns.quantity is not None and columns.price is not None:
        count = read_amounts(_column(raw, columns.quantity), name=_name(raw, columns.quantity),
                             decimal=options.decimal)  # fmt: skip
        read = read_amounts(_column(raw, columns.price), name=_name(raw, columns.price),
                            decimal=options.decimal)  # fmt: skip
        values = (count.values * read.values).round(4)
        made = Decision("amounts", "quantity x price", "there is no column of amounts")
        decisions = [read.decision, made]
    else:
        return None, "", []
    return values, (currency if columns.currency is not None else "") or read.currency, decisions


def _one_currency(raw: RawTable, columns: Columns) -> str:
    units = as_words(_column(raw, columns.currency)).str.upper()
    found = [unit for unit in units.unique() if unit]
    if len(found) > 1:
        raise DataError(
            mixed_currencies(_shown(raw.frame, columns), units, _name(raw, columns.currency))
        )
    return found[0] if found else ""


def _check_readable(shown: pd.DataFrame, orders: pd.DataFrame) -> None:
    """Refuse a file of which too much cannot be read: then the reading is wrong, not the rows."""
    problems = []
    for column in ("date", "amount"):
        if column not in orders:
            continue
        bad = orders[column].isna()
        if bad.mean() > UNREADABLE_SHARE:
            rows = listed_rows(show_rows(shown, bad), int(bad.sum()))
            problems.append(
                f"{bad.mean():.0%} of the rows have no readable {column} ({rows}); if this is the "
                f"wrong column, name the right one with --{column}"
            )
    if orders["customer_id"].isna().all():
        problems.append("no row has a customer id; name the right column with --customer")
    if problems:
        raise DataError("; ".join(problems))


def _check_days(
    shown: pd.DataFrame, days: pd.Series, today: pd.Timestamp, options: ReadingOptions
) -> None:
    """Refuse days that cannot be, unless the user cut them off."""
    since = _day(options.since) if options.since else pd.Timestamp.min
    until = _day(options.until) if options.until else pd.Timestamp.max
    problems = []
    for what, bad, option in (
        (f"before {EARLIEST.date()}", (days < EARLIEST) & (days >= since), "--since"),
        (f"in the future (after {today.date()})", (days > today) & (days <= until), "--until"),
    ):
        if bad.any():
            rows = listed_rows(show_rows(shown, bad), int(bad.sum()))
            problems.append(
                f"{int(bad.sum()):,} rows lie {what}: {rows}; mend them, or leave them out with "
                f"{option} DATE"
            )
    if problems:
        raise DataError("; ".join(problems))


def _sift(
    raw: RawTable,
    columns: Columns,
    shown: pd.DataFrame,
    orders: pd.DataFrame,
    options: ReadingOptions,
) -> tuple[pd.DataFrame, list[Finding]]:
    """Set rows aside one reason after the other; a row is counted under the first that fits."""
    left = pd.Series(True, index=orders.index)
    findings: list[Finding] = []
    for what, bad in _reasons(raw, columns, orders, options):
        hit = left & bad.to_numpy()
        findings += find_rows(shown, hit, what, "set aside", set_aside=True)
        left &= ~hit
    repeated = raw.frame.duplicated().to_numpy() & left
    numbered = columns.order is not None
    if numbered or options.drop_repeats:
        why = "they share an order number" if numbered else "as you said"
        findings += find_rows(shown, repeated, "rows that repeat another in every column",
                              f"set aside ({why})", set_aside=True)  # fmt: skip
        left &= ~repeated
    else:
        findings += find_rows(
            shown, repeated, "rows that repeat another in every column",
            "kept: without order numbers they may be two orders (--drop-repeats drops them)",
        )  # fmt: skip
    return orders[left], findings


def _reasons(
    raw: RawTable, columns: Columns, orders: pd.DataFrame, options: ReadingOptions
) -> list[tuple[str, pd.Series]]:
    days = orders["date"]
    reasons = [
        ("no customer id", orders["customer_id"].isna()),
        ("no readable date", days.isna()),
    ]
    if "amount" in orders:
        reasons.append(("no readable amount", orders["amount"].isna()))
    if columns.status is not None:
        words = as_words(_column(raw, columns.status)).str.casefold()
        plain = words.str.normalize("NFKD").str.replace("[^a-z]", "", regex=True)
        reasons.append(("status says cancelled or returned", plain.isin(_CANCELLED)))
    if options.since:
        reasons.append((f"before {options.since}", days < _day(options.since)))
    if options.until:
        reasons.append((f"after {options.until}", days > _day(options.until)))
    return reasons


def _map_people(
    orders: pd.DataFrame, same_person: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[Finding]]:
    """Count several ids of one person under one id."""
    if same_person is None:
        return orders, []
    people = read_people(same_person)
    new = orders["customer_id"].map(people).fillna(orders["customer_id"]).astype("str")
    moved = new != orders["customer_id"]
    finding = Finding(
        "rows whose id belongs to a person with another id",
        int(moved.sum()),
        f"counted under that id ({orders['customer_id'][moved].nunique():,} ids, by your list)",
    )
    return orders.assign(customer_id=new), [finding] if moved.any() else []


def read_people(same_person: pd.DataFrame) -> dict[str, str]:
    """Follow a list of ids to the person whom each belongs to.

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
        If the list goes round in a circle, or leads one id to two people.

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
            raise DataError(f"the list of ids goes round in a circle from {first!r}")
        seen.add(now)
        now = step[now]
    if now in seen:
        raise DataError(f"the list of ids goes round in a circle from {first!r}")
    return now


def _take_back(shown: pd.DataFrame, orders: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    if "amount" not in orders or not (orders["amount"] < 0).any():
        return orders, []
    settled = settle_returns(orders)
    findings = []
    for what, rows, done, aside in _return_kinds(settled):
        where = pd.Series(False, index=shown.index)
        where.loc[orders.index[rows]] = True
        findings += find_rows(shown, where, what, done, set_aside=aside)
    kept = ~(settled.is_return | settled.undone)
    return orders.assign(amount=settled.amounts)[kept], findings


def _return_kinds(settled: Settled) -> list[tuple[str, np.ndarray, str, bool]]:
    matched = settled.is_return & ~settled.unmatched
    return [
        ("returns", matched, "set aside: no purchases", True),
        ("returns without an earlier purchase", settled.unmatched, "set aside", True),
        ("purchases that came back whole", settled.undone, "set aside with their return", True),
        ("purchases that came back in part", settled.reduced & ~settled.undone,
         "kept, with the returned amount taken off", False),
    ]  # fmt: skip


def _remark(shown: pd.DataFrame, orders: pd.DataFrame, key: bytes | None) -> list[Finding]:
    """Count what is kept and still worth knowing."""

    def marked(values: np.ndarray) -> pd.Series:
        where = pd.Series(False, index=shown.index)
        where.loc[orders.index[values]] = True
        return where

    findings = []
    if "amount" in orders:
        free = marked((orders["amount"] == 0).to_numpy())
        findings += find_rows(shown, free, "amount of zero", "kept: an order that cost nothing")
    if key is None:
        odd = marked(is_formula(orders["customer_id"]).to_numpy())
        findings += find_rows(
            shown, odd, "ids that a spreadsheet would take for a formula",
            "kept; written with an apostrophe in front, and flagged",
        )  # fmt: skip
    same_day = orders.duplicated(["customer_id", "date"])
    if same_day.any():
        findings.append(Finding(
            "orders of one customer on one day, after the first", int(same_day.sum()),
            "counted as one purchase; their amounts add up",
        ))  # fmt: skip
    return findings
