"""Dates as firms write them: the order of day and month is proved from the data, or refused.

``03/04/2024`` is a day in March or in April. One date with a number above 12 settles it for the
whole column; without one, nothing in the file can, and a wrong guess would move orders by months.
So the order comes from the evidence or from the user, never from habit (except for dates with full
stops, which no country writes month first).
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.arrays import Bools
from crmlab.errors import DataError
from crmlab.reading.cells import Cells, collect_cells
from crmlab.reading.clocks import Clocks, days_in, part_texts, place_days, read_clocks
from crmlab.reading.quality import Decision, rows_of, shorten
from crmlab.reading.words import FILLERS, fold, month_words, weekday_words

_WORD = r"([^\W\d_]{3,})\.?"
_YEAR = r"(\d{4}|\d{2})"
_NTH = r"(?:\.|er|re|st|nd|rd|th|:?[ae]|o|°)?"
_FORMS = {
    "year-month-day": re.compile(
        r"(\d{4})\s?[-/.年년]\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})[日일.]?"
    ),
    "yyyymmdd": re.compile(r"((?:18|19|20|21)\d{2})(\d{2})(\d{2})"),
    "numbers": re.compile(r"(\d{1,2})([-/. ])\s?(\d{1,2})\2\s?" + _YEAR),
    "day month name": re.compile(rf"(\d{{1,2}}){_NTH}[-/ ]?{_WORD}[-/ ,]*{_YEAR}"),
    "month name day": re.compile(rf"{_WORD}[-/ ](\d{{1,2}}){_NTH}[-/ ,]+{_YEAR}"),
    "year month name day": re.compile(rf"(\d{{4}})[-/ ]{_WORD}[-/ ](\d{{1,2}})"),
}
_NAMED = re.compile(r"[^\W\d_]{3,}")
_FILLER = re.compile(rf"(?:^|(?<=[\s.]))(?:{'|'.join(FILLERS)})\.?(?=[\s.]|$)")
_WEEKDAY = re.compile(r"([^\W\d_]+(?:-[^\W\d_]+)?)\.?,?\s+(.*)")
_SERIAL = r"\d{5}(?:[.,]\d+)?"
_SERIAL_START, _SERIALS = pd.Timestamp("1899-12-30"), (20_000, 80_000)
_EPOCHS = {
    10: "s",
    13: "ms",
    16: "us",
    19: "ns",
}  # digits of the time since 1970, from 2001 to 2100
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_EPOCH_SECONDS = (1_000_000_000, 4_102_444_800)
_PIVOT = 69  # POSIX: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068
_CALENDAR = (pd.Timestamp("0001-01-01"), pd.Timestamp("9999-12-31"))  # databases have infinity
EARLIEST = pd.Timestamp("1900-01-01")
ORDERS = ("day-month", "month-day")
STORED_DATES = Decision("dates", "dates as stored", "the file holds dates")


@dataclass(frozen=True)
class ReadDates:
    """The days of a column, NaT where a cell could not be read, and how they were read.

    Parameters
    ----------
    days : Series of datetime64[us]
        One per row.
    decisions : tuple of Decision
        The order of day and month, and the time zone if one is written.
    unread : str
        Why cells could not be read; "" if all could.
    """

    days: pd.Series
    decisions: tuple[Decision, ...]
    unread: str = ""


@dataclass(frozen=True)
class ReadTexts:
    """The days of the distinct texts of a column, as in `ReadDates`.

    Parameters
    ----------
    days : ndarray of datetime64[us]
        One per text.
    decisions : tuple of Decision
    unread : str
    moved : ndarray of bool, optional
        Texts whose day is another one in the time zone in which days count.
    """

    days: NDArray[np.datetime64]
    decisions: tuple[Decision, ...]
    unread: str = ""
    moved: Bools | None = None


def read_dates(
    raw: pd.Series, *, name: str, order: str | None = None, timezone: str | None = None
) -> ReadDates:
    """Read a column of dates in any common format.

    Parameters
    ----------
    raw : Series
        Text, or stored dates. Times of day are dropped. If all times are of one place, the
        written day counts; if not, they are converted to one time zone.
    name : str
        The column, for messages.
    order : {"day-month", "month-day"}, optional
        The order in dates made of numbers, if the user knows it.
    timezone : str, optional
        The zone in which days count, e.g. "Europe/Paris"; by default, that of most rows.

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
    >>> read.days.dt.strftime("%Y-%m-%d").tolist(), read.decisions[0].choice
    (['1997-01-31', '1997-02-05'], 'day before month')
    >>> read_dates(pd.Series(["1er mai 2023", "15. maj 2024"]), name="date").days.dt.month.tolist()
    [5, 5]
    """
    if pd.api.types.is_datetime64_any_dtype(raw):
        return ReadDates(days_of(raw, timezone), (STORED_DATES,))
    cells, codes = collect_cells(raw, name)
    read = read_day_texts(cells, order=order, timezone=timezone)
    days = pd.Series(read.days[codes], index=raw.index)
    return ReadDates(days, read.decisions, read.unread)


def days_of(raw: pd.Series, timezone: str | None = None) -> pd.Series:
    """Drop times of day and time zones: the day of the stored zone counts, or of another one."""
    if timezone is not None and raw.dt.tz is not None:
        raw = raw.dt.tz_convert(timezone)
    plain = raw.dt.tz_localize(None) if raw.dt.tz is not None else raw
    return plain.clip(*_CALENDAR).dt.normalize().astype("datetime64[us]")


def read_day_texts(
    cells: Cells, *, order: str | None = None, timezone: str | None = None
) -> ReadTexts:
    """Read the distinct texts of a column of dates.

    Parameters
    ----------
    cells : Cells
    order : {"day-month", "month-day"}, optional
    timezone : str, optional

    Returns
    -------
    ReadTexts
        One day per text; what cannot be read is NaT.

    Raises
    ------
    DataError
        As `read_dates`.
    """
    texts = pd.Series(cells.texts, dtype="str")
    if _are_serials(texts):
        return _read_serials(texts)
    if unit := _epoch_unit(texts):
        return _read_epochs(cells, texts, unit, timezone)
    return _read_written(cells, texts, order, timezone)


def _read_written(
    cells: Cells, texts: pd.Series, order: str | None, timezone: str | None
) -> ReadTexts:
    dates, times = part_texts(pd.Series([fold(text) for text in texts], dtype="str"))
    (codes, dates), (clock_codes, times) = pd.factorize(dates), pd.factorize(times)
    parts, forms = _split(dates)
    parts, forms, clocks = parts[codes], forms[codes], read_clocks(times).take(clock_codes)
    choice, evidence = _choose_order(cells, parts, forms, order)
    days = _assemble(parts, forms, month_first=choice == "month before day")
    unread = _explain(cells, days, forms, dates[codes], clocks)
    days = np.where(np.isnan(clocks.minutes), np.datetime64("NaT", "us"), days)
    placed, zone = place_days(cells, days, clocks, timezone)
    described = f"{_describe(cells.tally(forms))}; {evidence}".strip("; ")
    written = Decision("dates", choice or "year, month, day", described)
    moved = (placed != days) & ~np.isnat(days)
    return ReadTexts(placed, (written, *([zone] if zone else [])), unread, moved)


def _are_serials(text: pd.Series) -> bool:
    filled = text[text != ""]
    if filled.empty or not filled.str.fullmatch(_SERIAL).all():
        return False
    return filled.str[:5].astype("int64").between(*_SERIALS).all()


def _read_serials(text: pd.Series) -> ReadTexts:
    numbers = pd.to_numeric(text.mask(text == "").str[:5])
    days = _SERIAL_START + pd.to_timedelta(numbers, unit="D")
    evidence = "five-digit numbers, as spreadsheets store"
    decision = Decision("dates", "days since 1899-12-30", evidence)
    return ReadTexts(days.astype("datetime64[us]").to_numpy(), (decision,))


def _epoch_unit(texts: pd.Series) -> str:
    """Find in which unit of time a column counts from 1970; "" if it does not."""
    filled = texts[texts != ""]
    for digits, unit in _EPOCHS.items():
        counts = filled[filled.str.fullmatch(rf"\d{{{digits}}}(\.\d+)?")]
        seconds = counts.str[:10].astype("int64")
        if len(filled) and seconds.between(*_EPOCH_SECONDS).sum() > 0.5 * len(filled):
            return unit
    return ""


def _read_epochs(cells: Cells, texts: pd.Series, unit: str, timezone: str | None) -> ReadTexts:
    digits = next(n for n, name in _EPOCHS.items() if name == unit)
    seconds = pd.to_numeric(texts.where(texts.str.fullmatch(rf"\d{{{digits}}}(\.\d+)?")).str[:10])
    instants = pd.to_datetime(seconds.where(seconds.between(*_EPOCH_SECONDS)), unit="s")
    days = days_in(instants.to_numpy(), timezone)
    written = Decision("dates", f"{_UNITS[unit]} since 1970-01-01", f"numbers of {digits} digits")
    zone = Decision("time zone", timezone or "UTC", "as you said" if timezone else
                    "what such numbers count in (--timezone chooses another)")  # fmt: skip
    unread = _list_causes(cells, np.where(np.isnat(days), f"no number of {digits} digits", ""))
    return ReadTexts(days, (written, zone), unread)


def _split(unique: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Split each folded date into three numbers, and name its format ("" if none fits)."""
    parts = np.zeros((len(unique), 3), dtype=np.int64)
    forms = np.full(len(unique), "", dtype=object)
    for k, text in enumerate(unique):
        for bare in _readings(text):
            form, numbers = _match(bare)
            if form:
                parts[k], forms[k] = numbers, form
                break
    return parts, forms


def _readings(text: str) -> list[str]:
    """Give a date as it may be meant: as written, without fillers, without its weekday."""
    bare = text.strip(" ,'").removesuffix("t").rstrip(" ,")
    spare = " ".join(_FILLER.sub(" ", text).split()).strip(" ,'")
    found = _WEEKDAY.fullmatch(spare)
    named = [found[2]] if found and found[1] in weekday_words() else []
    return [bare, spare, *named]


def _match(text: str) -> tuple[str, tuple[int, int, int]]:
    for form, pattern in _FORMS.items():
        found = pattern.fullmatch(text)
        numbers = _numbers(form, found.groups()) if found else None
        if found and numbers:
            return (form if form != "numbers" else found.group(2)), numbers
    return "", (0, 0, 0)


def _numbers(form: str, groups: tuple[str, ...]) -> tuple[int, int, int] | None:
    """Return (year, month, day), or (year, first, second) if the order is not known yet."""
    if form in ("year-month-day", "yyyymmdd"):
        return int(groups[0]), int(groups[1]), int(groups[2])
    if form == "numbers":
        return _full_year(groups[3]), int(groups[0]), int(groups[2])
    places = {"day month name": (2, 1, 0), "month name day": (2, 0, 1)}
    year, word, day = (groups[k] for k in places.get(form, (0, 1, 2)))
    month = month_words().get(word)
    return (_full_year(year), month, int(day)) if month else None


def _full_year(text: str) -> int:
    year = int(text)
    if len(text) == 4:
        return year
    return year + (1900 if year >= _PIVOT else 2000)


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
            f"column {cells.name!r} mixes day-first and month-first dates: the day comes first in "
            f"{rows_of(cells.count(first))} ({cells.listed(first)}), the month comes first in "
            f"{rows_of(cells.count(second))} ({cells.listed(second)}). In rows without a number "
            "above 12, nothing shows which is which. Export the column as YYYY-MM-DD"
        )
    if first.any() or second.any():
        rows = cells.count(first | second)
        choice = choices["day-month" if first.any() else "month-day"]
        where = "first" if first.any() else "second"
        return choice, f"a {where} number above 12 in {rows_of(rows)}"
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
    listed = [f"{names.get(f, f)} in {rows_of(n)}" for f, n in counts.items()]
    return ", ".join(listed) or "no date in any row"


def _explain(
    cells: Cells, days: np.ndarray, forms: np.ndarray, dates: pd.Index, clocks: Clocks
) -> str:
    """Say why texts could not be read, with an example and the number of rows for each cause."""
    causes = np.full(len(days), "", dtype=object)
    for k in np.flatnonzero(np.isnat(days) | np.isnan(clocks.minutes)):
        causes[k] = _cause(cells.texts[k], dates[k], bool(forms[k]), bool(np.isnat(days[k])))
    return _list_causes(cells, causes)


def _cause(text: str, date: str, is_matched: bool, is_missing: bool) -> str:
    if not text:
        return "an empty cell"
    if not is_missing:
        return f"a time of day in an unknown form, such as {shorten(text)}"
    if is_matched:
        return "no day of the calendar"
    known = month_words().keys() | weekday_words() | set(FILLERS)
    unknown = [word for word in _NAMED.findall(date) if word not in known]
    if unknown and any(letter.isdigit() for letter in date):
        return f"the word {unknown[0]!r}, which is no month known here"
    return "no form of a date that is known here"


def _list_causes(cells: Cells, causes: NDArray[np.object_]) -> str:
    counts = cells.tally(causes)
    listed = [f"{cause} ({rows_of(rows)})" for cause, rows in counts.head(3).items()]
    return ", ".join(listed) + (" and other causes" if len(counts) > 3 else "")
