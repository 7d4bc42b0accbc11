"""Which rows are orders: rows are set aside reason by reason, and every reason is listed.

A row is counted under the first reason that applies, so rows used and rows set aside add up to the
rows of the file.
"""

import datetime
from dataclasses import dataclass

import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.columns import names_a_total
from crmlab.reading.dates import EARLIEST
from crmlab.reading.options import ReadingOptions, as_day
from crmlab.reading.quality import Finding, listed_rows, rows_of
from crmlab.reading.rows import CENT, RETURN_MARKS, Lines, OrderRows, Where

UNREADABLE_SHARE = 0.05  # above it, the file was probably misread rather than badly written
_NO_DAYS = ("1900-01-01", "1970-01-01")  # what systems write for a day that they do not know
_DAY = pd.Timedelta(days=1)
_FEWEST_SUMMANDS, _FEWEST_IDS = 3, 20
_YEARS = pd.Timedelta(days=3 * 365)
_FEWEST_ORDERS, _MANY_ORDERS, _NEARLY_ALL = 2, 20, 0.95  # when amounts may be totals of orders


@dataclass(frozen=True)
class Done:
    """What the columns say about the rows that are set aside.

    Parameters
    ----------
    nobody, no_sale : str
        What is done with rows without a customer, and with those that are no sale.
    unread : str
        Why dates could not be read; "" if all could.
    amount : str, optional
        The header of the amounts; None if they are products.
    """

    nobody: str
    no_sale: str
    unread: str
    amount: str | None


@dataclass(frozen=True)
class Sifted:
    """The rows with all their masks, the mask of those that are left, and what was found."""

    rows: OrderRows
    left: Where
    n_left: int
    findings: list[Finding]


def sift(rows: OrderRows, n_rows: int, options: ReadingOptions, done: Done) -> Sifted:
    """Set aside what is no order, and list rows that are unusual.

    Parameters
    ----------
    rows : OrderRows
    n_rows : int
    options : ReadingOptions
    done : Done

    Raises
    ------
    DataError
        If no order is left.
    """
    left, findings = _apply_reasons(rows, options, done)
    findings += _find_lost_totals(rows, options)
    left, repeats = _drop_repeats(rows, left, n_rows, options)
    rows, left, totals = _count_totals_once(rows, left, options, done.amount)
    findings += repeats + totals + _find_sum_of_others(rows, left) + _find_moved(rows, left)
    rows, left, returns = _take_back(rows, left)
    findings += returns
    n_left = rows.count(left)
    if not n_left:
        listed = (f"{rows_of(f.rows)} ({f.what})" for f in findings if f.set_aside)
        raise DataError(f"no orders remain after cleaning; set aside were: {', '.join(listed)}")
    return Sifted(rows, left, n_left, findings + _remark(rows, left, n_left, options))


def check_readable(rows: OrderRows, n_rows: int, options: ReadingOptions, unread: str) -> None:
    """Refuse a file with too many unreadable rows: then the reading is wrong, not the rows."""
    problems = []
    for column in ("date", "amount"):
        if not rows.has(column):
            continue
        bad = rows.missing(column) & ~rows.missing("customer_id")
        if (further := _further_lines(rows, options)) is not None:
            bad = bad & ~further
        share = rows.count(bad) / n_rows
        if share > UNREADABLE_SHARE:
            causes = f": {unread}" if column == "date" and unread else ""
            is_open = column == "amount" and rows.has("order") and not options.amount_of
            more = "; if amounts stand on the first line of each order only, say " * is_open
            more += "--amount-of first-line" * is_open
            problems.append(
                f"{share:.0%} of the rows have no readable {column}{causes} ({_list(rows, bad)}); "
                f"if this is the wrong column, name the right one with --{column}{more}"
            )
    if rows.count(rows.missing("customer_id")) == n_rows:
        problems.append("no row has a customer id; name the right column with --customer")
    if problems:
        raise DataError("; ".join(problems))


def check_days(rows: OrderRows, options: ReadingOptions) -> None:
    """Refuse impossible days, unless `since` or `until` excludes them; tomorrow is possible."""
    since = as_day(options.since) if options.since else None
    until = as_day(options.until) if options.until else None
    today = _today(options)
    checks = [
        (f"before {EARLIEST.date()}", rows.between(since, EARLIEST - _DAY), "--since"),
        (
            f"in the future (after {today.date()})",
            rows.between(today + 2 * _DAY, until),
            "--until",
        ),
    ]
    if since is None:
        first, second = (rows.between(as_day(day), as_day(day)) for day in _NO_DAYS)
        what = f"on a day that stands for none ({' or '.join(_NO_DAYS)})"
        checks.append((what, first | second, "--since"))
    problems = []
    for what, bad, option in checks:
        count = rows.count(bad)
        if count:
            problems.append(
                f"{rows_of(count)} dated {what}: {_list(rows, bad)}; fix them, or leave them out "
                f"with {option} DATE"
            )
    if problems:
        raise DataError("; ".join(problems))


def _today(options: ReadingOptions) -> pd.Timestamp:
    return as_day(options.today or datetime.date.today())


def _apply_reasons(
    rows: OrderRows, options: ReadingOptions, done: Done
) -> tuple[Where, list[Finding]]:
    """Set rows aside, reason by reason; a row is counted under the first reason that applies."""
    findings: list[Finding] = []
    left = None
    for what, how, bad in _reasons(rows, options, done):
        hit = bad if left is None else left & bad
        findings += _find(rows, hit, what, how, set_aside=True)
        left = ~bad if left is None else left & ~bad
    return left, findings


def _reasons(rows: OrderRows, options: ReadingOptions, done: Done) -> list[tuple[str, str, Where]]:
    further = _further_lines(rows, options)
    how = f"set aside: {(done.amount or '')[:40]!r} stands on the first line of an order only"
    reasons = [] if further is None else [("further lines of an order", how, further)]
    reasons += [
        ("no customer id", done.nobody, rows.missing("customer_id")),
        ("no readable date", f"set aside: {done.unread}".rstrip(": "), rows.missing("date")),
    ]
    if rows.has("amount"):
        reasons.append(("no readable amount", "set aside", rows.missing("amount")))
    if rows.has("no_sale"):
        reasons.append(("status says that it is no sale", done.no_sale, rows.where("no_sale")))
    if options.since:
        early = rows.between(None, as_day(options.since) - _DAY)
        reasons.append((f"before {options.since}", "set aside", early))
    if options.until:
        late = rows.between(as_day(options.until) + _DAY, None)
        reasons.append((f"after {options.until}", "set aside", late))
    if rows.has("refunded"):
        how = "set aside (--refund none keeps them)"
        reasons.append(("orders refunded in full", how, rows.where("refunded")))
    return reasons


# --- lines of orders ------------------------------------------------------------------------------


def _further_lines(rows: OrderRows, options: ReadingOptions) -> Where | None:
    """Mask: lines of an order whose total stands on another line; None if each has its own."""
    if options.amount_of != "first-line" or not (rows.has("order") and rows.has("amount")):
        return None
    blank = rows.where("blank") if rows.has("blank") else rows.missing("amount")
    return blank & ~rows.missing("order")


def _find_lost_totals(rows: OrderRows, options: ReadingOptions) -> list[Finding]:
    """Find orders of which no line has a total."""
    further = _further_lines(rows, options)
    if further is None:
        return []
    numbered = ~rows.missing("order")
    lost = rows.count(numbered, ["order"]) - rows.count(numbered & ~further, ["order"])
    done = "their lines are set aside with the further lines of other orders"
    return [Finding("orders without a total on any line", lost, done)] if lost else []


def _drop_repeats(
    rows: OrderRows, left: Where, n_rows: int, options: ReadingOptions
) -> tuple[Where, list[Finding]]:
    """Find rows that repeat another: equal lines of an order, or a file that was written twice."""
    repeated = left & rows.where("repeated")
    what = "rows that repeat another in every column"
    if options.drop_repeats is not None:
        is_double, how = options.drop_repeats, "as you said"
    elif not rows.has("order"):
        is_double, how = False, "without order numbers they may be two orders"
    elif _comes_again(rows, n_rows):
        is_double, how = True, "every row of the file comes again; --no-drop-repeats keeps them"
    else:
        is_double, how = False, "as lines of their orders"
    if is_double:
        return left & ~repeated, _find(rows, repeated, what, f"set aside: {how}", set_aside=True)
    more = "" if options.drop_repeats is False else " (--drop-repeats drops them)"
    return left, _find(rows, repeated, what, f"kept: {how}{more}")


def _comes_again(rows: OrderRows, n_rows: int) -> bool:
    """Whether each distinct row of the file is there at least twice."""
    n_distinct = n_rows - rows.count(rows.where("repeated"))
    return rows.count(rows.where("second")) == n_distinct


def _count_totals_once(
    rows: OrderRows, left: Where, options: ReadingOptions, amount: str | None
) -> tuple[OrderRows, Where, list[Finding]]:
    """Count the total of an order once if it stands on each of its lines."""
    if amount is None or not rows.has("order") or options.amount_of in ("line", "first-line"):
        return rows, left, []
    lines = Lines(0, 0, 0) if options.amount_of else rows.lines(left)
    all_equal = lines.several >= _FEWEST_ORDERS and lines.equal == lines.several
    if options.amount_of == "order" or (all_equal and names_a_total(amount)):
        rows = rows.once(left)
        again, left = rows.where("again"), rows.where("left")
        how = f"set aside: {amount[:40]!r} counts once per order (--amount-of line counts each)"
        what = "lines that repeat the total of their order"
        return rows, left & ~again, _find(rows, again, what, how, set_aside=True)
    nearly = lines.several >= _MANY_ORDERS and lines.equal >= _NEARLY_ALL * lines.several
    unsure = names_a_total(amount) and 2 * lines.equal >= lines.several > 0
    if not (all_equal or nearly or unsure):
        return rows, left, []
    done = (
        f"kept: {amount[:40]!r} is the same on all lines in {lines.equal:,} of {lines.several:,} "
        "orders with several; if it is the total of the order, say --amount-of order"
    )
    return (
        rows,
        left,
        [Finding("lines with the amount of their order's first", lines.further, done)],
    )


def _find_sum_of_others(rows: OrderRows, left: Where) -> list[Finding]:
    """Find a row that is the sum of all others: those that are left, or all that have an amount."""
    if not rows.has("amount"):
        return []
    for where in (left, ~rows.missing("amount")):
        seen = rows.summary(where)
        close = abs(seen.total - 2 * seen.largest) <= CENT + 1e-9 * abs(seen.total)
        if close and seen.largest > 0 and rows.count(where) > _FEWEST_SUMMANDS:
            hit = where & rows.amounts(at=seen.largest)
            done = "set aside for another reason"
            if rows.count(left & hit):
                done = "kept; if it is a total, leave it out with --guests and the id in it"
            if rows.count(hit) == 1:
                return _find(rows, hit, "a row that is the sum of all others", done)
    return []


# --- persons and returns --------------------------------------------------------------------------


def _find_moved(rows: OrderRows, left: Where) -> list[Finding]:
    """List rows whose id was replaced by another id of the same person."""
    if not rows.has("moved"):
        return []
    moved = left & rows.where("moved")
    count = rows.count(moved)
    if not count:
        return []
    done = f"counted under that id ({rows.count(moved, ['id']):,} ids, by your list)"
    return [Finding("rows whose id belongs to a person with another id", count, done)]


def _take_back(rows: OrderRows, left: Where) -> tuple[OrderRows, Where, list[Finding]]:
    if not rows.has("amount") or not rows.count(left & rows.amounts(below=0)):
        return rows, left, []
    rows = rows.settle(left)
    left = rows.where("left")
    is_return, unmatched, undone, reduced, several = (rows.where(name) for name in RETURN_MARKS)
    findings = [
        finding
        for where, what, done, aside in (
            (is_return & ~unmatched, "returns", "set aside: not purchases", True),
            (several, "returns of several purchases",
             "taken off earlier purchases, the latest first", False),
            (unmatched, "returns without an earlier purchase", "set aside", True),
            (undone, "purchases returned in full", "set aside with their return", True),
            (reduced & ~undone, "purchases returned in part",
             "kept, with the returned amount subtracted", False),
        )
        for finding in _find(rows, where, what, done, set_aside=aside)
    ]  # fmt: skip
    return rows, left & ~(is_return | undone), findings


def _remark(rows: OrderRows, left: Where, n_left: int, options: ReadingOptions) -> list[Finding]:
    """List findings about rows that are kept."""
    tomorrow = _today(options) + _DAY
    remarks = [
        (f"dated tomorrow ({tomorrow.date()})", rows.between(tomorrow, tomorrow),
         "kept: the shop may lie east of this computer"),
    ]  # fmt: skip
    early, next_day = _find_early(rows, left)
    how = f"kept: the next order is of {next_day:%Y-%m-%d}; --since leaves them out"
    remarks.append(("orders years before all others", early, how))
    if rows.has("amount"):
        remarks.append(("amount of zero", rows.amounts(), "kept: an order that cost nothing"))
    if rows.has("moved_day"):
        how = "kept: counted on their day in the stated time zone"
        remarks.append(("dates written in another time zone", rows.where("moved_day"), how))
    if rows.has("eased"):
        how = "kept, with the refund subtracted (--refund none keeps the amount)"
        remarks.append(("orders refunded in part", rows.where("eased"), how))
    if rows.has("odd"):
        what = "ids that a spreadsheet would take for a formula"
        how = "kept; written with an apostrophe in front, and flagged"
        remarks.append((what, rows.where("odd"), how))
    findings = [f for what, where, how in remarks for f in _find(rows, left & where, what, how)]
    if n_left >= _FEWEST_IDS and rows.count(left, ["customer_id"]) == n_left:
        findings.append(Finding(
            "ids that never come again", n_left,
            "kept: if these are ids of orders, name the column of customers with --customer",
        ))  # fmt: skip
    same_day = n_left - rows.count(left, ["customer_id", "date"])
    if same_day:
        findings.append(Finding(
            "orders of one customer on one day, after the first", same_day,
            "counted as one purchase; their amounts add up",
        ))  # fmt: skip
    return findings


def _find_early(rows: OrderRows, left: Where) -> tuple[Where, pd.Timestamp]:
    """Mask: rows of the first day, if the next day with rows is years later; and that day."""
    first = rows.summary(left).first
    later = left & rows.between(first + _DAY, None)
    next_day = rows.summary(later).first if rows.count(later) else first
    limit = first if next_day - first > _YEARS else first - _DAY
    return rows.between(None, limit), next_day


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
