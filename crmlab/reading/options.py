"""What the user says about a file of orders; whatever is left out is detected, and listed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from zoneinfo import available_timezones

import pandas as pd

from crmlab.errors import SpecError, raise_problems
from crmlab.reading.amounts import DECIMALS
from crmlab.reading.dates import ORDERS

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
        problems = [
            f"`{name}` must be one of {options}, got {value!r}"
            for name, value, options in (
                ("amount_of", self.amount_of, AMOUNTS_OF),
                ("decimal", self.decimal, DECIMALS),
                ("date_order", self.date_order, ORDERS),
            )
            if value is not None and value not in options
        ]
        for name in ("since", "until", "today"):
            value = asdict(self)[name]
            if value is not None and pd.isna(as_day(value)):
                problems.append(f"`{name}` must be a date such as 2024-12-31, got {value!r}")
        if self.timezone is not None and self.timezone not in available_timezones():
            problems.append(
                f"`timezone` must be a name such as Europe/Paris or UTC, got {self.timezone!r}"
            )
        raise_problems(SpecError, "ReadingOptions", problems)

    def columns(self) -> Mapping[str, str | None]:
        """Return the user's choice of a column for each role."""
        return {role: asdict(self)[role] for role in _ROLES}


def as_day(value: object) -> pd.Timestamp:
    """Return the day that a text names, or NaT."""
    day = pd.to_datetime(str(value), errors="coerce", format="ISO8601")
    return day if pd.isna(day) else day.normalize()


def split_words(said: str | None) -> tuple[tuple[str, ...], bool]:
    """Split a list of words; return them, and whether "none" switches the guess off.

    Examples
    --------
    >>> split_words("none, Till 1"), split_words(None)
    ((('till 1',), True), ((), False))
    """
    words = [word.strip().casefold() for word in (said or "").split(",")]
    return tuple(w for w in words if w not in ("", NONE)), NONE in words
