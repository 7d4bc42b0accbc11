"""What the user says about a file of orders; whatever is left out is detected, and listed."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from zoneinfo import available_timezones

import pandas as pd

from crmlab.errors import SpecError, raise_problems
from crmlab.reading.amounts import DECIMALS
from crmlab.reading.dates import ORDERS
from crmlab.reading.rules import YES_NO, Rule, find_broken, one_of, rules_of

NONE = "none"
AMOUNTS_OF = ("order", "line", "first-line")
_ROLES = (
    "customer", "date", "amount", "quantity", "price", "currency", "status", "order", "refund"
)  # fmt: skip


@dataclass(frozen=True)
class ReadingOptions:
    """The user's choices about a file; whatever is left out is detected.

    Parameters
    ----------
    customer, date : str, optional
        Names of columns, or positions such as "#3".
    amount, quantity, price, currency, status, order, refund : str, optional
        The same; "none" if there is no such column, whatever a header says.
    amount_of : {"order", "line", "first-line"}, optional
        Whether an amount is the total of its order, repeated on each of its lines; that of its
        line; or the total of its order, written on the first of its lines only.
    no_sale : str, optional
        Statuses of orders that are no sales, separated by commas, besides those that are known;
        "none" as one of them forgets those that are known.
    guests : str, optional
        Ids that stand for nobody, separated by commas, besides those that are known; "none" as
        one of them forgets those that are known.
    table, encoding, delimiter : str, optional
        As in `read_raw`.
    decimal : {".", ","}, optional
    date_order : {"day-month", "month-day"}, optional
    timezone : str, optional
        The zone in which days count, e.g. "Europe/Paris"; without it, that of most rows.
    since, until : date, optional
        First and last day of the orders to use. `until` also ends the observation.
    drop_repeats : bool, optional
        Whether rows that repeat another in every column are duplicates. By default they are only
        where orders have numbers and every row of the file comes again.
    today : date, optional
        Orders after it are in the future; by default, the computer's date.
    large : bool, optional
        Whether an engine on disk holds the rows instead of memory; by default, the size of the
        file decides (`crmlab.reading.files.is_large`). Decisions and counts are the same.
    """

    customer: str | None = None
    date: str | None = None
    amount: str | None = None
    quantity: str | None = None
    price: str | None = None
    currency: str | None = None
    status: str | None = None
    order: str | None = None
    refund: str | None = None
    amount_of: str | None = None
    no_sale: str | None = None
    guests: str | None = None
    table: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    date_order: str | None = None
    timezone: str | None = None
    since: str | None = None
    until: str | None = None
    drop_repeats: bool | None = None
    today: str | None = None
    large: bool | None = None

    def __post_init__(self) -> None:
        """Refuse options that are not valid."""
        raise_problems(SpecError, "ReadingOptions", find_broken(asdict(self), READING_RULES))

    def chosen(self) -> dict[str, object]:
        """Return what the user chose: the options that are not left at their default."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def columns(self) -> Mapping[str, str | None]:
        """Return the user's choice of a column for each role."""
        return {role: asdict(self)[role] for role in _ROLES}


def as_day(value: object) -> pd.Timestamp:
    """Return the day that a text names, or NaT."""
    day = pd.to_datetime(str(value), errors="coerce", format="ISO8601")
    return day if pd.isna(day) else day.normalize()


def _is_codec(name: object) -> bool:
    try:
        return isinstance(name, str) and bool("a".encode(name))
    except (LookupError, ValueError):
        return False


def _is_day(value: object) -> bool:
    """Whether a value is a day of its own: "today" is another day when it is read again."""
    if not isinstance(value, str | datetime.date) or not str(value)[:4].isdecimal():
        return False
    day = as_day(value)
    return not pd.isna(day) and day.tz is None


DAY = Rule("a date such as 2024-12-31", _is_day)
_MARK = Rule(
    "one character that is no letter, digit, quote or line end",
    lambda x: isinstance(x, str) and len(x) == 1 and not x.isalnum() and x not in "\"'\r\n",
)
READING_RULES = rules_of(ReadingOptions, {
    "encoding": Rule("an encoding such as utf-8 or cp1252", _is_codec),
    "delimiter": _MARK,
    "amount_of": one_of(*AMOUNTS_OF),
    "decimal": one_of(*DECIMALS),
    "date_order": one_of(*ORDERS),
    "timezone": Rule(
        "a name such as Europe/Paris or UTC",
        lambda x: isinstance(x, str) and x in available_timezones(),
    ),
    "since": DAY,
    "until": DAY,
    "today": DAY,
    "drop_repeats": YES_NO,
    "large": YES_NO,
})  # fmt: skip


def split_words(said: str | None) -> tuple[tuple[str, ...], bool]:
    """Split a list of words; return them, and whether "none" switches the guess off.

    Examples
    --------
    >>> split_words("none, Till 1"), split_words(None)
    ((('till 1',), True), ((), False))
    """
    words = [word.strip().casefold() for word in (said or "").split(",")]
    return tuple(w for w in words if w not in ("", NONE)), NONE in words
