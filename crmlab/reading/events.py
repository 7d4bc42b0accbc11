"""Touchpoints, surveys, cases and actions, as firms export them to go with the orders.

Each file is read like the orders: columns are guessed and shown, unusable rows are counted under
the first reason that applies, and ids are hidden with the same key. Only customers with an order
count, and only from the day of their first order: their stages begin there.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.reading.amounts import read_amounts
from crmlab.reading.cells import as_words
from crmlab.reading.columns import find_personal, find_roles
from crmlab.reading.dates import EARLIEST, read_dates
from crmlab.reading.files import read_raw
from crmlab.reading.ids import read_ids, read_people
from crmlab.reading.options import ReadingOptions
from crmlab.reading.privacy import pseudonymise
from crmlab.reading.quality import Decision, Finding, Quality, find_rows, listed_rows, show_rows
from crmlab.reading.raw import RawTable
from crmlab.reading.rules import TEXT, find_broken
from crmlab.reading.sales import Sales
from crmlab.reading.sieve import UNREADABLE_SHARE

# The roles of columns in the order in which they are matched; the first group is required.
_ROLES = {
    "touchpoints": (("customer", "date"), ("kind",)),
    "surveys": (("customer", "date", "score"), ("kind",)),
    "cases": (("customer", "opened"), ("closed", "kind")),
    "actions": (("customer", "date"), ("action", "cost")),
}
KINDS = tuple(_ROLES)
_CHOOSING = ("customer", "closed", "opened", "date", "score", "cost", "action", "kind")
_KEPT = ("score", "kind", "action", "cost")
_MOST_LABELS, _LONGEST_LABEL = 20, 60
UNNAMED = "(no name)"


def roles_of(kind: str) -> tuple[str, ...]:
    """Return the columns that a file of some kind may have.

    Examples
    --------
    >>> roles_of("surveys")
    ('customer', 'date', 'score', 'kind')
    """
    return tuple(role for part in _ROLES[kind] for role in part)


@dataclass(frozen=True)
class EventFile:
    """A file that goes with the orders, and the user's choices of its columns.

    Parameters
    ----------
    kind : {"touchpoints", "surveys", "cases", "actions"}
    source : path or DataFrame
    columns : mapping of role to column, optional
        Names, or positions such as "#3"; the rest is guessed. Roles: customer, date (of a case:
        opened, closed), kind, score, action, cost.

    Raises
    ------
    SpecError
        If the kind or a role does not exist, or a column has no name.
    """

    kind: str
    source: "str | Path | pd.DataFrame"
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse kinds and roles that do not exist."""
        if self.kind not in KINDS:
            raise SpecError(f"`kind` must be one of {KINDS}, got {self.kind!r}")
        rules = dict.fromkeys(roles_of(self.kind), TEXT)
        problems = find_broken(self.columns, rules, whole="the columns")
        raise_problems(SpecError, self.kind, problems)


@dataclass(frozen=True)
class Events:
    """The usable rows of an event file, and the record of its reading.

    Parameters
    ----------
    kind : str
    frame : DataFrame
        customer_id, date (day), and `score` (surveys), `action` and `cost` (actions; NaN if
        unknown), or `kind` (touchpoints and cases; "" if there is none).
    recorded : (first day, last day)
        Over all rows with a date, whether or not the customer is known.
    quality : Quality
    """

    kind: str
    frame: pd.DataFrame
    recorded: tuple[pd.Timestamp, pd.Timestamp]
    quality: Quality


def read_events(
    file: EventFile,
    sales: Sales,
    options: ReadingOptions | None = None,
    *,
    same_person: pd.DataFrame | None = None,
    key: bytes | None = None,
) -> Events:
    """Read a file of touchpoints, surveys, cases or actions.

    Parameters
    ----------
    file : EventFile
    sales : Sales
        The orders: they define the customers, their first days and the window.
    options : ReadingOptions, optional
        Only `decimal`, `date_order`, `timezone` and `today` are used.
    same_person : DataFrame, optional
        As for the orders.
    key : bytes, optional
        The key of the orders' pseudonyms.

    Returns
    -------
    Events

    Raises
    ------
    DataError
        If the file cannot be read or is ambiguous.

    Examples
    --------
    >>> from crmlab.reading import read_sales
    >>> sales = read_sales(pd.DataFrame({"customer": ["a", "b"], "amount": [3, 4],
    ...     "date": ["2024-01-05", "2024-02-20"]}))
    >>> calls = pd.DataFrame({"client": ["a", "a", "x", "b"], "channel": "phone",
    ...     "date": ["2024-01-09", "2024-01-09", "2024-01-09", "2024-02-01"]})
    >>> events = read_events(EventFile("touchpoints", calls), sales)
    >>> len(events.frame), [(finding.what, finding.rows) for finding in events.quality.findings]
    (1, [('customers without an order', 1), ("before the customer's first order", 1),
    ('more of one customer on one day', 1)])
    """
    options = options or ReadingOptions()
    whose = file.kind
    try:
        raw = read_raw(file.source)
        whose = f"{file.kind}, {raw.source}"
        return _read(file, raw, sales, options, same_person, key)
    except DataError as problem:
        raise DataError(f"{whose}: {problem}") from None


def _read(
    file: EventFile,
    raw: RawTable,
    sales: Sales,
    options: ReadingOptions,
    same_person: pd.DataFrame | None,
    key: bytes | None,
) -> Events:
    needed, more = _ROLES[file.kind]
    roles = [role for role in _CHOOSING if role in (*needed, *more)]
    found, guesses = find_roles(raw, roles, needed, file.columns, f"--column {file.kind}.")
    hidden = () if key is None else ("customer", "kind", "action")  # texts may contain names
    shown = _shown(raw, {role: place for role, place in found.items() if role not in hidden})
    ids, id_decisions = read_ids(_cells(raw, found, "customer"))
    rows, decisions = _read_cells(file.kind, raw, found, options, sales)
    rows["customer_id"] = _identify(ids, same_person, key)
    _check_readable(file.kind, shown, rows)
    days = rows["date"][_is_possible(rows["date"], options)]
    if days.empty:
        raise DataError("no row has a readable date between 1900 and today")
    left, findings = _sift(file.kind, shown, rows, sales, options)
    kept = rows[left]
    quality = Quality(
        raw.source,
        len(rows),
        len(kept),
        (*raw.decisions, *guesses, *id_decisions, *decisions, *_list_labels(kept)),
        (*raw.findings, *findings, *_remarks(file.kind, shown, rows, left)),
        find_personal(raw),
    )
    columns = ["customer_id", "date", *(n for n in _KEPT if n in kept)]
    frame = kept[columns].sort_values(columns, ignore_index=True)
    return Events(file.kind, frame, (days.min(), days.max()), quality)


def _cells(raw: RawTable, found: Mapping[str, int], role: str) -> pd.Series:
    return raw.frame.iloc[:, found[role]]


def _shown(raw: RawTable, found: Mapping[str, int]) -> pd.DataFrame:
    places = list(found.values())
    names = [str(raw.frame.columns[place])[:40] for place in places]
    return raw.frame.iloc[:, places].set_axis(names, axis=1)


def _identify(ids: pd.Series, same_person: pd.DataFrame | None, key: bytes | None) -> pd.Series:
    """Write ids as the orders have them: one per person, hidden with the key."""
    if same_person is not None:
        ids = ids.map(read_people(same_person)).fillna(ids).astype("str")
    return ids if key is None else pseudonymise(ids.fillna(""), key).where(ids.notna())


def _read_cells(
    kind: str, raw: RawTable, found: Mapping[str, int], options: ReadingOptions, sales: Sales
) -> tuple[pd.DataFrame, list[Decision]]:
    """Read every column except the ids."""
    rows = pd.DataFrame(index=raw.frame.index)
    decisions = []
    for role in ("date", "opened", "closed"):
        if role in found:
            cells = _cells(raw, found, role)
            read = read_dates(
                cells, name=str(cells.name), order=options.date_order, timezone=options.timezone
            )
            rows["date" if role == "opened" else role] = read.days
            suffix = "" if role == "date" else f" {role}"
            decisions += [Decision(d.what + suffix, d.choice, d.evidence) for d in read.decisions]
    for role in ("score", "cost"):
        if role in found:
            cells = _cells(raw, found, role)
            numbers = read_amounts(cells, name=str(cells.name), decimal=options.decimal)
            rows[role], rows["blank"] = numbers.values, as_words(cells) == ""
            choice, evidence = _last_two(numbers.decision)
            decisions.append(Decision(f"{role}s", choice, evidence.replace("amount", role)))
            _check_currency(role, numbers.currency, sales.currency)
    label = "action" if kind == "actions" else "kind"
    if kind != "surveys":
        words = as_words(_cells(raw, found, label)) if label in found else ""
        rows[label] = pd.Series(words, index=rows.index, dtype="str").str[:_LONGEST_LABEL]
    if kind == "actions":
        rows["action"] = rows["action"].replace("", UNNAMED)
        rows["cost"] = rows["cost"].where(rows["cost"] >= 0) if "cost" in rows else float("nan")
    return rows, decisions


def _last_two(decision: Decision) -> tuple[str, str]:
    return decision.choice, decision.evidence


def _check_currency(role: str, own: str, orders: str) -> None:
    if role == "cost" and own and orders not in (own, "currency units"):
        raise DataError(
            f"costs are in {own} and orders in {orders}: convert one of them, or leave costs out"
        )


def _check_readable(kind: str, shown: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Refuse a file with too many unreadable rows: then the reading is wrong, not the rows."""
    bad = {"date": rows["date"].isna()}
    if "score" in rows:
        bad["score"] = rows["score"].isna() & ~rows["blank"]
    problems = [
        f"{where.mean():.0%} of the rows have no readable {role} "
        f"({listed_rows(show_rows(shown, where), int(where.sum()))}); if this is the wrong column, "
        f"name the right one with --column {kind}."
        + ("opened" if (kind, role) == ("cases", "date") else role)
        for role, where in bad.items()
        if where.mean() > UNREADABLE_SHARE
    ]
    if rows["customer_id"].isna().all():
        problems.append(f"no row has a customer id; name the column with --column {kind}.customer")
    if problems:
        raise DataError("; ".join(problems))


def _is_possible(days: pd.Series, options: ReadingOptions) -> pd.Series:
    """Mark days between 1900 and today."""
    today = pd.Timestamp(options.today or datetime.date.today())
    return days.between(EARLIEST, today.normalize())


def _sift(
    kind: str, shown: pd.DataFrame, rows: pd.DataFrame, sales: Sales, options: ReadingOptions
) -> tuple[pd.Series, list[Finding]]:
    """Set rows aside, reason by reason; a row is counted under the first reason that applies."""
    left = pd.Series(True, index=rows.index)
    findings: list[Finding] = []
    reasons = [
        *_own_reasons(kind, rows, options),
        *_reasons_from_orders(kind, rows, sales),
    ]
    for what, done, bad in reasons:
        hit = left & bad
        findings += find_rows(shown, hit, what, done, set_aside=True)
        left &= ~hit
    if kind in ("touchpoints", "cases"):
        again = rows[left].duplicated(["customer_id", "date"]).reindex(rows.index, fill_value=False)
        findings += find_rows(
            shown, again, "more of one customer on one day", "set aside: days are counted",
            set_aside=True,
        )  # fmt: skip
        left &= ~again
    return left, findings


def _own_reasons(
    kind: str, rows: pd.DataFrame, options: ReadingOptions
) -> list[tuple[str, str, pd.Series]]:
    """List the reasons to set a row aside that do not depend on the orders."""
    days = rows["date"]
    reasons = [
        ("no customer id", "set aside", rows["customer_id"].isna()),
        ("no readable date", "set aside", days.isna()),
        (
            f"a date before {EARLIEST.year} or in the future",
            "set aside: not possible",
            ~_is_possible(days, options),
        ),
    ]
    if kind == "surveys":
        asked = "set aside: no answer is neither good nor bad"
        reasons += [
            ("no score: asked but not answered", asked, rows["blank"]),
            ("no readable score", "set aside", rows["score"].isna()),
        ]
    return reasons


def _reasons_from_orders(
    kind: str, rows: pd.DataFrame, sales: Sales
) -> list[tuple[str, str, pd.Series]]:
    """List the reasons to set a row aside that depend on the orders."""
    days, (first, last) = rows["date"], sales.window
    orders = _orders_of(sales, rows["customer_id"])
    first_days = orders.groupby("customer_id")["date"].min()
    begun = first_days.reindex(rows["customer_id"]).set_axis(rows.index)
    begun = begun.astype("datetime64[us]")  # also if no customer is known
    reasons = [
        ("customers without an order", "set aside: the stages are those of buyers", begun.isna()),
        ("before the window of the orders", f"set aside: before {first.date()}", days < first),
        ("after the window of the orders", f"set aside: after {last.date()}", days > last),
        ("before the customer's first order", "set aside: the stages begin with it", days < begun),
    ]
    if kind == "touchpoints":
        bought = pd.MultiIndex.from_frame(orders[["customer_id", "date"]])
        here = pd.MultiIndex.from_frame(rows[["customer_id", "date"]]).isin(bought)
        reasons.append((
            "on the day of an order of the customer", "set aside: the order has been counted",
            pd.Series(here, index=rows.index),
        ))  # fmt: skip
    return reasons


def _orders_of(sales: Sales, ids: pd.Series) -> pd.DataFrame:
    """Return the orders of the customers that a file names."""
    named = ids.dropna().unique()
    if not isinstance(sales.orders, pd.DataFrame):
        return sales.orders.of(named)
    return sales.orders[sales.orders["customer_id"].isin(named)]


def _remarks(kind: str, shown: pd.DataFrame, rows: pd.DataFrame, left: pd.Series) -> list[Finding]:
    """List findings about rows that are kept."""
    findings = []
    if kind == "cases" and "closed" in rows:
        early = left & (rows["closed"] < rows["date"])
        findings += find_rows(shown, early, "closed before it was opened",
                              "kept: only the day of opening is used")  # fmt: skip
    if kind == "actions" and rows["cost"].notna().any():
        free = left & rows["cost"].isna()
        findings += find_rows(shown, free, "no readable cost, or one below 0",
                              "kept, without its cost")  # fmt: skip
    return findings


def _list_labels(kept: pd.DataFrame) -> list[Decision]:
    """List the kinds, unless there are too many to be kinds."""
    if "kind" not in kept or not (kept["kind"] != "").any():
        return []
    counts = kept["kind"].replace("", UNNAMED).value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    if len(counts) > _MOST_LABELS:
        return [Decision("kinds", f"{len(counts):,} different texts", "not told apart")]
    listed = ", ".join(f"{label} {count:,}" for label, count in counts.items())
    return [Decision("kinds", listed, "counted together")]
