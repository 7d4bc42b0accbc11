"""Times of day and time zones: on which day something happened, in one zone that is stated.

A time with an offset from UTC is a day of its own place. As long as all rows are of one place, the
written day counts. Where they are not, all are converted to one zone: the one that the user names,
or that of most rows.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.arrays import Bools, Floats
from crmlab.reading.cells import Cells
from crmlab.reading.quality import Decision, rows_of
from crmlab.reading.words import ZONES, half_days

_HALF_DAYS = half_days()
_HALF = "|".join(sorted(map(re.escape, _HALF_DAYS), key=len, reverse=True))
# 10.30, as in Danish, or 02.30.15.000000, as in Oracle
_DOTTED = r"(?<=[\s,])\d{1,2}\.\d{2}(?:\.\d{2}(?:\.\d{3,9})?)?(?![.\d])"
_WHOLE = rf"(?<!\d)\d{{1,2}}\s?(?:(?:{_HALF})\b|h\b|uhr\b)"  # 3 pm
_BEGIN = rf"(?:(?:{_HALF})\s?)?(?<!\d)\d{{1,2}}\s?[:h]\s?\d{{2}}|{_DOTTED}|{_WHOLE}"
_PARTS = re.compile(rf"(\D*\d.*?)((?:{_BEGIN}).*)?", re.DOTALL)
# the same for the most common forms, for speed
_PLAIN_PARTS = re.compile(r"(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})[t ](\d{1,2}:\d{2}.*)")
_CLOCK = re.compile(
    rf"(?P<before>{_HALF})?\s?(?P<hour>\d{{1,2}})\s?(?:[:.h]\s?(?P<minute>\d{{2}}))?h?"
    rf"(?:[:.]\d{{2}}(?:[.,]\d+)?)?\s*(?P<after>{_HALF})?\s*"
    rf"(?P<name>{'|'.join(sorted(ZONES, key=len, reverse=True))})?\s?"
    r"(?P<sign>[+\u2212-])?(?P<hours>(?<=[+\u2212-])\d{2})?:?(?P<minutes>(?<=\d|:)\d{2})?"
)
_IN_ORDER = (  # forms that are first written as a date before a time
    (re.compile(r"(\d{8})t?(\d{2})(\d{2})(\d{2})(?=\D|$)"), r"\1 \2:\3:\4"),  # 20240305T101500
    (re.compile(r"^(\D+\d{1,2}) ([\d:]{8})((?: [a-z]+)?) (\d{4})$"), r"\1 \4 \2\3"),  # of Unix
)
_HALF_IN_LETTERS = re.compile(r"\b([ap])\.?\s?m\b\.?")
_REMARK = re.compile(r"\s*(?:\([^)]*\)|\[[^]]*\]|\buhr\b)\s*$")  # "(CET)", "[Europe/Paris]"
_SEASON = {12: "winter", 1: "winter", 2: "winter", **dict.fromkeys(range(5, 9), "summer")}
_DAY = 1440  # minutes


@dataclass(frozen=True)
class Clocks:
    """Times of day, and the places where they hold.

    Parameters
    ----------
    minutes : ndarray
        Since midnight; 0 where no time is written, NaN where it cannot be read.
    offsets : ndarray
        Minutes east of UTC; NaN where none is written.
    """

    minutes: Floats
    offsets: Floats

    def take(self, places: NDArray[np.intp]) -> "Clocks":
        """Return the clocks at some places."""
        return Clocks(self.minutes[places], self.offsets[places])


def part_texts(texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Part folded texts into what stands before a time of day, and the time ("" if none)."""
    for form, place in _IN_ORDER:
        texts = texts.str.replace(form, place, regex=True)
    found = [_PLAIN_PARTS.fullmatch(text) or _PARTS.fullmatch(text) for text in texts]
    pairs = [
        parts.groups(default="") if parts else (text, "")
        for text, parts in zip(texts, found, strict=True)
    ]
    days, times = zip(*pairs, strict=True) if pairs else ((), ())
    return pd.Series(days, dtype="str"), pd.Series(times, dtype="str")


def read_clocks(times: pd.Index) -> Clocks:
    """Read folded times of day such as "8:26 a. m.", "下午3:05" or "12:01:00+05:30".

    Examples
    --------
    >>> clocks = read_clocks(pd.Index(["12:26:00 a. m.", "23:30 +0530", ""]))
    >>> clocks.minutes.tolist(), clocks.offsets.tolist()
    ([26.0, 1410.0, 0.0], [nan, 330.0, nan])
    """
    read = np.array([_read_clock(time) for time in times], dtype=float).reshape(-1, 2)
    return Clocks(read[:, 0], read[:, 1])


def _read_clock(time: str) -> tuple[float, float]:
    if not time:
        return 0.0, np.nan
    bare = _REMARK.sub("", _HALF_IN_LETTERS.sub(r"\1m", time)).strip(" .")
    found = _CLOCK.fullmatch(bare)
    if not found or (found["sign"] and not found["hours"]):
        return np.nan, np.nan
    half = found["before"] or found["after"]
    hour = int(found["hour"])
    hour = hour if half is None else hour % 12 + _HALF_DAYS[half]
    return 60.0 * hour + int(found["minute"] or 0), _offset(found)


def _offset(found: re.Match[str]) -> float:
    if found["sign"]:
        size = 60 * int(found["hours"]) + int(found["minutes"] or 0)
        return float(size if found["sign"] == "+" else -size)
    return float(ZONES[found["name"]]) if found["name"] else np.nan


def place_days(
    cells: Cells, days: NDArray[np.datetime64], clocks: Clocks, timezone: str | None
) -> tuple[NDArray[np.datetime64], Decision | None]:
    """Give the day of each text in one time zone, and say which.

    Parameters
    ----------
    cells : Cells
    days : ndarray of datetime64[us]
        As written; one per text.
    clocks : Clocks
    timezone : str, optional
        The user's choice: a name such as "Europe/Paris". Times without an offset are taken as
        times of that zone.

    Returns
    -------
    days : ndarray of datetime64[us]
    decision : Decision or None
        None if no text has an offset.
    """
    offsets = clocks.offsets
    known = ~np.isnan(offsets) & ~np.isnat(days)
    if not known.any():
        return days, None
    codes, different = pd.factorize(np.where(known, offsets, np.nan), use_na_sentinel=False)
    names = np.array([name_offset(offset) for offset in different], dtype=object)[codes]
    counts = cells.tally(names)
    listed = ", ".join(f"{name} in {rows_of(rows)}" for name, rows in counts.items())
    if timezone is not None:
        told = Decision("time zone", timezone, f"as you said; written: {listed}")
        return _in_zone(days, clocks, known, timezone), told
    if len(counts) == 1:
        return days, Decision("time zone", counts.index[0], f"{listed}; days as written")
    if _is_one_place(days[known], offsets[known]):
        why = f"summer and winter time of one place ({listed}); days as written"
        return days, Decision("time zone", " and ".join(counts.index), why)
    common = offsets[names == counts.index[0]][0]
    moved = _moved(days, clocks.minutes + common - offsets)
    why = f"{listed}; days in the zone of most rows (--timezone chooses another)"
    return np.where(known, moved, days), Decision("time zone", counts.index[0], why)


def name_offset(minutes: float) -> str:
    """Write an offset from UTC; "" for none.

    Examples
    --------
    >>> name_offset(330.0), name_offset(-60.0), name_offset(0.0), name_offset(float("nan"))
    ('UTC+05:30', 'UTC-01:00', 'UTC', '')
    """
    if np.isnan(minutes):
        return ""
    hours, rest = divmod(int(abs(minutes)), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours:02d}:{rest:02d}" if minutes else "UTC"


def _is_one_place(days: NDArray[np.datetime64], offsets: Floats) -> bool:
    """Whether offsets an hour apart change with the season, as in one place with summer time."""
    seasons = pd.Series(pd.DatetimeIndex(days).month).map(_SEASON)
    by_season = pd.Series(offsets).groupby(seasons).nunique()
    return len(set(offsets)) == 2 and np.ptp(offsets) == 60 and bool((by_season <= 1).all())


def _moved(days: NDArray[np.datetime64], minutes: Floats) -> NDArray[np.datetime64]:
    """Return the days that lie some minutes after the beginning of other days."""
    whole = np.floor(np.nan_to_num(minutes) / _DAY).astype("timedelta64[D]")
    return days + whole


def _in_zone(
    days: NDArray[np.datetime64], clocks: Clocks, known: Bools, timezone: str
) -> NDArray[np.datetime64]:
    minutes = np.nan_to_num(clocks.minutes - clocks.offsets).astype("timedelta64[m]")
    return np.where(known, days_in(days + minutes, timezone), days)


def days_in(instants: NDArray[np.datetime64], timezone: str | None) -> NDArray[np.datetime64]:
    """Return the days of instants of UTC in a time zone; None: in UTC."""
    local = pd.DatetimeIndex(instants).tz_localize("UTC").tz_convert(timezone or "UTC")
    return local.tz_localize(None).normalize().as_unit("us").to_numpy()
