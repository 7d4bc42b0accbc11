"""Dates as firms write them: the format is found, the order of day and month proved or refused.

``03/04/2024`` is a day in March or in April. One date with a number above 12 settles it for the
whole column; without one, nothing in the file can, and a wrong guess would move orders by months.
So the order comes from the evidence or from the user, never from habit (except for dates with full
stops, which no country writes month first).
"""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.errors import DataError
from crmlab.reading.cells import Cells, collect_cells
from crmlab.reading.quality import Decision

_TIME = (
    r"(?:[T ,]+\d{1,2}[:.h]\d{2}(?:[:.]\d{2}(?:[.,]\d+)?)?"
    r"\s*(?:[AaPp]\.?[Mm]\.?)?\s*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?"
)
_WORD = r"([^\W\d_]{3,})\.?"
_YEAR = r"(\d{4}|\d{2})"
_FORMS = {
    "year-month-day": re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _TIME),
    "yyyymmdd": re.compile(r"((?:18|19|20|21)\d{2})(\d{2})(\d{2})"),
    "numbers": re.compile(r"(\d{1,2})([-/. ])(\d{1,2})\2" + _YEAR + _TIME),
    "day month name": re.compile(r"(\d{1,2})\.?[-/ ]" + _WORD + r"[-/ ,]+" + _YEAR + _TIME),
    "month name day": re.compile(_WORD + r"[-/ ](\d{1,2})(?:st|nd|rd|th)?[-/ ,]+" + _YEAR + _TIME),
}
_MONTHS = {
    "jan ene gen": 1, "feb fev": 2, "mar mrz mae mrt": 3, "apr avr abr": 4, "may mai mei mag": 5,
    "jun juin giu": 6, "jul juil lug": 7, "aug aou ago": 8, "sep set": 9, "oct okt ott out": 10,
    "nov": 11, "dec dez dic": 12,
}  # fmt: skip
_MONTH_OF = {name: month for names, month in _MONTHS.items() for name in names.split()}
_SERIAL_START, _SERIALS = pd.Timestamp("1899-12-30"), (20_000, 80_000)
_PIVOT = 69  # POSIX: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068
EARLIEST = pd.Timestamp("1900-01-01")
ORDERS = ("day-month", "month-day")
STORED_DATES = Decision("dates", "dates as stored", "the file holds dates")


@dataclass(frozen=True)
class ReadDates:
    """The days of a column, NaT where a cell could not be read, and how they were read."""

    days: pd.Series
    decision: Decision


def read_dates(raw: pd.Series, *, name: str, order: str | None = None) -> ReadDates:
    """Read a column of dates in any common format.

    Parameters
    ----------
    raw : Series
        Text, or stored dates. Times of day and time zones are dropped: the written day counts.
    name : str
        The column, for messages.
    order : {"day-month", "month-day"}, optional
        The order in dates made of numbers, if the user knows it.

    Returns
    -------
    ReadDates
        Days as datetime64; what cannot be read is NaT.

    Raises
    ------
    DataError
        If nothing shows which number is the day, or the evidence is contradictory.

    Examples
    --------
    >>> read = read_dates(pd.Series(["31/01/1997", "05/02/1997"]), name="date")
    >>> read.days.dt.strftime("%Y-%m-%d").tolist(), read.decision.choice
    (['1997-01-31', '1997-02-05'], 'day before month')
    """
    if pd.api.types.is_datetime64_any_dtype(raw):
        return ReadDates(days_of(raw), STORED_DATES)
    cells, codes = collect_cells(raw, name)
    days, decision = read_day_texts(cells, order=order)
    return ReadDates(pd.Series(days[codes], index=raw.index), decision)


def days_of(raw: pd.Series) -> pd.Series:
    """Drop times of day and time zones: the day that was written counts."""
    plain = raw.dt.tz_localize(None) if raw.dt.tz is not None else raw
    return plain.dt.normalize().astype("datetime64[us]")


def read_day_texts(
    cells: Cells, *, order: str | None = None
) -> tuple[NDArray[np.datetime64], Decision]:
    """Read the distinct texts of a column of dates.

    Parameters
    ----------
    cells : Cells
    order : {"day-month", "month-day"}, optional

    Returns
    -------
    days : ndarray of datetime64[us]
        One per text; what cannot be read is NaT.
    decision : Decision

    Raises
    ------
    DataError
        As `read_dates`.
    """
    texts = pd.Series(cells.texts)
    if _are_serials(texts):
        return _read_serials(texts)
    parts, forms = _split(cells.texts)
    choice, evidence = _choose_order(cells, parts, forms, order)
    days = _assemble(parts, forms, month_first=choice == "month before day")
    described = _describe(cells.tally(forms))
    plainly = choice or "year, month, day"
    return days, Decision("dates", plainly, f"{described}; {evidence}".strip("; "))


def _are_serials(text: pd.Series) -> bool:
    filled = text[text != ""]
    if filled.empty or not filled.str.fullmatch(r"\d{5}(\.\d+)?").all():
        return False
    return pd.to_numeric(filled).between(*_SERIALS).all()


def _read_serials(text: pd.Series) -> tuple[NDArray[np.datetime64], Decision]:
    numbers = pd.to_numeric(text.mask(text == ""))
    days = _SERIAL_START + pd.to_timedelta(np.floor(numbers), unit="D")
    evidence = "five-digit numbers, as spreadsheets store"
    return days.astype("datetime64[us]").to_numpy(), Decision(
        "dates", "days since 1899-12-30", evidence
    )


def _split(unique: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Split each text into three numbers, and name its format ("" if none fits)."""
    parts = np.zeros((len(unique), 3), dtype=np.int64)
    forms = np.full(len(unique), "", dtype=object)
    for k, text in enumerate(unique):
        for form, pattern in _FORMS.items():
            found = pattern.fullmatch(text)
            numbers = _numbers(form, found.groups()) if found else None
            if found and numbers:
                parts[k], forms[k] = numbers, form if form != "numbers" else found.group(2)
                break
    return parts, forms


def _numbers(form: str, groups: tuple[str, ...]) -> tuple[int, int, int] | None:
    """Return (year, month, day), or (year, first, second) if the order is not known yet."""
    if form in ("year-month-day", "yyyymmdd"):
        return int(groups[0]), int(groups[1]), int(groups[2])
    if form == "numbers":
        return _full_year(groups[3]), int(groups[0]), int(groups[2])
    day, word = groups[:2] if form == "day month name" else groups[1::-1]
    month = _month(word)
    return (_full_year(groups[2]), month, int(day)) if month else None


def _full_year(text: str) -> int:
    year = int(text)
    if len(text) == 4:
        return year
    return year + (1900 if year >= _PIVOT else 2000)


def _month(word: str) -> int | None:
    plain = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode().lower()
    return _MONTH_OF.get(plain[:4]) or _MONTH_OF.get(plain[:3])


def _choose_order(
    cells: Cells, parts: np.ndarray, forms: np.ndarray, order: str | None
) -> tuple[str, str]:
    """Decide which number in dates such as 03/04/2024 is the day, and say why."""
    open_ = np.isin(forms, ("-", "/", ".", " "))
    if not open_.any():
        return "", ""
    choices = {"day-month": "day before month", "month-day": "month before day"}
    if order is not None:
        return choices[order], "as you said"
    first, second = open_ & (parts[:, 1] > 12), open_ & (parts[:, 2] > 12)
    if first.any() and second.any():
        raise DataError(
            f"column {cells.name!r} mixes two orders: {cells.count(first):,} rows have the day "
            f"first ({cells.listed(first)}), {cells.count(second):,} have the month first "
            f"({cells.listed(second)}), and smaller numbers could be either. Export the "
            "column as YYYY-MM-DD"
        )
    if first.any() or second.any():
        rows = cells.count(first | second)
        choice = choices["day-month" if first.any() else "month-day"]
        where = "first" if first.any() else "second"
        return choice, f"{rows:,} rows have a {where} number above 12"
    if (forms[open_] == ".").all():
        return choices["day-month"], "dates with full stops are written this way everywhere"
    if (parts[open_, 1] == parts[open_, 2]).all():
        return choices["day-month"], "day and month are the same number everywhere"
    raise DataError(
        f"column {cells.name!r}: every date can be read as day before month and as month before "
        f"day ({'; '.join(cells.show(open_, 3))}); no number is above 12. Choose one: --date-order "
        "day-month or --date-order month-day"
    )


def _assemble(parts: np.ndarray, forms: np.ndarray, *, month_first: bool) -> np.ndarray:
    """Turn (year, month, day) into dates; NaT where there is no such day."""
    open_ = np.isin(forms, ("-", "/", ".", " "))
    year, month, day = parts.T
    swap = open_ & (not month_first)
    month, day = np.where(swap, day, month), np.where(swap, month, day)
    known = (forms != "") & (year >= 1) & (day >= 1) & (month >= 1) & (month <= 12)
    year, month, day = (np.where(known, part, 1) for part in (year, month, day))
    begin = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    length = (begin + np.timedelta64(1, "M")).astype("datetime64[D]") - begin.astype(
        "datetime64[D]"
    )
    found = begin.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    fine = known & (day <= length.astype(int))
    return pd.Series(found.astype("datetime64[us]")).where(fine).to_numpy()


def _describe(counts: pd.Series) -> str:
    names = {"-": "1-2-2003", "/": "1/2/2003", ".": "1.2.2003", " ": "1 2 2003"}
    listed = [f"{names.get(f, f)} in {n:,} rows" for f, n in counts.items()]
    return ", ".join(listed) or "no date in any row"
