"""Dates as firms write them: the form is found, the order of day and month is proved or refused.

``03/04/2024`` is a day in March or in April. One date of the column with a number above 12 settles
it for all; without one nothing in the file can, and a guess would move orders by months. So the
order is taken from the evidence, or from whoever asks, and never from habit (apart from dates with
full stops, which no country writes month first).
"""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.errors import DataError
from crmlab.reading.quality import Decision, listed_rows, show_rows

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


@dataclass(frozen=True)
class ReadDates:
    """Days as they were read, NaT where none could be, and how."""

    days: pd.Series
    decision: Decision


def read_dates(raw: pd.Series, *, name: str, order: str | None = None) -> ReadDates:
    """Read a column of dates, whatever form they have.

    Parameters
    ----------
    raw : Series
        Text, or dates already. Times of day and zones are cut off: the day is the one written.
    name : str
        The column, for messages.
    order : {"day-month", "month-day"}, optional
        What the user says about dates made of numbers.

    Returns
    -------
    ReadDates
        Days as datetime64; what cannot be read is NaT.

    Raises
    ------
    DataError
        If nothing shows which number is the day, or some dates show the one and some the other.

    Examples
    --------
    >>> read = read_dates(pd.Series(["31/01/1997", "05/02/1997"]), name="date")
    >>> read.days.dt.strftime("%Y-%m-%d").tolist(), read.decision.choice
    (['1997-01-31', '1997-02-05'], 'day before month')
    """
    if pd.api.types.is_datetime64_any_dtype(raw):
        plain = raw.dt.tz_localize(None) if raw.dt.tz is not None else raw
        days = plain.dt.normalize().astype("datetime64[us]")
        return ReadDates(days, Decision("dates", "dates as stored", "the file holds dates"))
    text = as_words(raw)
    if _are_serials(text):
        return _read_serials(text)
    codes, unique = pd.factorize(text)
    parts, forms = _split(unique)
    choice, evidence = _choose_order(raw, parts, forms, codes, name, order)
    days = _assemble(parts, forms, month_first=choice == "month before day")
    described = _describe(forms, codes)
    plainly = choice or "year, month, day"
    decision = Decision("dates", plainly, f"{described}; {evidence}".strip("; "))
    return ReadDates(pd.Series(days[codes], index=raw.index), decision)


def as_words(raw: pd.Series) -> pd.Series:
    """Give any column as stripped text, "" where there is nothing; whole floats without ``.0``."""
    if pd.api.types.is_float_dtype(raw):
        whole = raw.dropna()
        if (np.isfinite(whole) & (whole % 1 == 0) & (whole.abs() < 2**53)).all():
            raw = raw.astype("Int64")
    if pd.api.types.is_datetime64_any_dtype(raw):
        raw = raw.dt.strftime("%Y-%m-%d")
    return raw.astype("str").fillna("").str.strip()


def _are_serials(text: pd.Series) -> bool:
    filled = text[text != ""]
    if filled.empty or not filled.str.fullmatch(r"\d{5}(\.\d+)?").all():
        return False
    return pd.to_numeric(filled).between(*_SERIALS).all()


def _read_serials(text: pd.Series) -> ReadDates:
    numbers = pd.to_numeric(text.mask(text == ""))
    days = _SERIAL_START + pd.to_timedelta(np.floor(numbers), unit="D")
    return ReadDates(
        days.astype("datetime64[us]"),
        Decision("dates", "days since 1899-12-30", "five-digit numbers, as spreadsheets store"),
    )


def _split(unique: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Split each text into three numbers; the form of each ("" = none)."""
    parts = np.zeros((len(unique), 3), dtype=np.int64)
    forms = np.full(len(unique), "", dtype=object)
    for k, text in enumerate(unique):
        for form, pattern in _FORMS.items():
            found = pattern.fullmatch(text)
            numbers = _numbers(form, found.groups()) if found else None
            if numbers:
                parts[k], forms[k] = numbers, form if form != "numbers" else found.group(2)
                break
    return parts, forms


def _numbers(form: str, groups: tuple[str, ...]) -> tuple[int, int, int] | None:
    """Give (year, month, day), or (year, first, second) where the order is open."""
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
    raw: pd.Series,
    parts: np.ndarray,
    forms: np.ndarray,
    codes: np.ndarray,
    name: str,
    order: str | None,
) -> tuple[str, str]:
    """Say which number of dates such as 03/04/2024 is the day, and why."""
    open_ = np.isin(forms, ("-", "/", ".", " "))
    if not open_.any():
        return "", ""
    said = {"day-month": "day before month", "month-day": "month before day"}
    if order is not None:
        return said[order], "as you said"
    first, second = open_ & (parts[:, 1] > 12), open_ & (parts[:, 2] > 12)
    if first.any() and second.any():
        raise DataError(_both_orders(raw, first[codes], second[codes], name))
    if first.any() or second.any():
        rows = int((first | second)[codes].sum())
        choice = said["day-month" if first.any() else "month-day"]
        where = "first" if first.any() else "second"
        return choice, f"{rows:,} rows have a {where} number above 12"
    if (forms[open_] == ".").all():
        return said["day-month"], "numbers with full stops are written so wherever they are used"
    if (parts[open_, 1] == parts[open_, 2]).all():
        return said["day-month"], "day and month are the same number everywhere"
    shown = show_rows(raw.to_frame(name), pd.Series(open_[codes], index=raw.index))
    raise DataError(
        f"column {name!r}: every date can be read as day before month and as month before day "
        f"({'; '.join(shown)}); no number is above 12. Say which: --date-order day-month or "
        "--date-order month-day"
    )


def _both_orders(raw: pd.Series, first: np.ndarray, second: np.ndarray, name: str) -> str:
    frame = raw.to_frame(name)
    shown = [show_rows(frame, pd.Series(which, index=raw.index)) for which in (first, second)]
    return (
        f"column {name!r} mixes two orders: {int(first.sum()):,} rows have the day first "
        f"({listed_rows(shown[0], int(first.sum()))}) and {int(second.sum()):,} the month "
        f"({listed_rows(shown[1], int(second.sum()))}). Rows with smaller numbers could be either: "
        "export the column as YYYY-MM-DD"
    )


def _assemble(parts: np.ndarray, forms: np.ndarray, *, month_first: bool) -> np.ndarray:
    """Make days of (year, month, day); NaT where the calendar has none."""
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


def _describe(forms: np.ndarray, codes: np.ndarray) -> str:
    counts = pd.Series(forms[codes]).value_counts()
    names = {"-": "1-2-2003", "/": "1/2/2003", ".": "1.2.2003", " ": "1 2 2003"}
    said = [f"{names.get(f, f)} in {n:,} rows" for f, n in counts.items() if f]
    return ", ".join(said) or "no date in any row"
