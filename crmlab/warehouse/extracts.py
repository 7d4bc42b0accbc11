"""Functional extracts: what one function of the firm hands over, and how to read it.

The sales system, the call centre and accounts keep records for purposes of their own: each has its
own ids, codes, units and way to write a date. An `Extract` is such a file together with a
description of its habits; `read_extract` translates it into common names, codes and units. A row
that cannot be translated is set aside with the reason, and counted; no row is lost in silence.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from crmlab.errors import SpecError, raise_problems
from crmlab.tables.records import to_numbers

OWN_COLUMNS = ("function", "source_row", "local_id", "date")


@dataclass(frozen=True, eq=False)
class Extract:
    """One file of one function, and how to read it.

    Parameters
    ----------
    function : str
        Who keeps it, e.g. "sales".
    into : str
        The subject table that its rows belong to: a record table (`crmlab.tables.records`),
        "profile" for attributes that change, or any other name.
    frame : DataFrame
        The rows as they come.
    party : str
        The column of the function's own id of a person.
    date : str
        The column that says when.
    date_format : str
        How a date is written: "ISO8601", a format such as "%d.%m.%Y", or "s" for seconds since
        1970-01-01 (UTC).
    columns : mapping of common name to own column
        What is read, and what it is called from now on.
    codes : mapping of common name to (mapping of own code to common code)
    per_unit : mapping of common name to number
        How many of the function's units are one common unit, e.g. 100 for cents in a euro.
    constant : mapping of common name to value
        What the file leaves unsaid, e.g. ``{"channel": "complaint"}``.
    read_id : function of a Series of text, optional
        How to write the function's ids in one way, e.g. ``lambda text: text.str.lower()``.

    Raises
    ------
    SpecError
        If the description names columns that are not there, or names that are not read.

    Examples
    --------
    >>> till = pd.DataFrame({"CLIENT": ["7"], "DAY": ["31.01.2024"], "CENTS": [1999]})
    >>> sales = Extract("sales", "transactions", till, party="CLIENT", date="DAY",
    ...     date_format="%d.%m.%Y", columns={"amount": "CENTS"}, per_unit={"amount": 100})
    >>> read_extract(sales).rows["amount"].tolist()
    [19.99]
    """

    function: str
    into: str
    frame: pd.DataFrame
    party: str
    date: str
    date_format: str = "ISO8601"
    columns: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[Any, str]] = field(default_factory=dict)
    per_unit: Mapping[str, float] = field(default_factory=dict)
    constant: Mapping[str, Any] = field(default_factory=dict)
    read_id: Callable[[pd.Series], pd.Series] | None = None

    def __post_init__(self) -> None:
        """Refuse a description that does not fit the file."""
        raise_problems(SpecError, f"Extract {self.function!r}", list(self._problems()))

    def _problems(self) -> Iterator[str]:
        listed = ", ".join(map(str, self.frame.columns))
        for column in (self.party, self.date, *self.columns.values()):
            if column not in self.frame:
                yield f"column `{column}` is missing (there are: {listed})"
        for name in sorted({*self.codes, *self.per_unit} - set(self.columns)):
            yield f"codes or per_unit name `{name}`, which is not among columns"
        for name in sorted({*self.columns, *self.constant} & {*OWN_COLUMNS, "customer_id"}):
            yield f"the common name `{name}` is taken; choose another"
        for name in sorted(set(self.columns) & set(self.constant)):
            yield f"`{name}` is both read and constant"
        if not self.into.isidentifier() or self.into in ("customers", "parties", "set_aside"):
            yield f"into={self.into!r} is no free name of a table"


class Reading(NamedTuple):
    """An extract in common words.

    Parameters
    ----------
    rows : DataFrame
        function, source_row (position in the file), local_id (text), date, and the common names.
    set_aside : DataFrame
        function, into, source_row, reason: rows that could not be translated.
    """

    rows: pd.DataFrame
    set_aside: pd.DataFrame


def read_extract(extract: Extract) -> Reading:
    """Translate one extract into common names, codes, units and dates.

    Parameters
    ----------
    extract : Extract

    Returns
    -------
    Reading
        A row is in `rows` or, with the first reason found, in `set_aside`; never in both.
    """
    frame = extract.frame.reset_index(drop=True)
    ids = _ids(frame[extract.party], extract.read_id)
    dates = _dates(frame[extract.date], extract.date_format)
    faults = {"no id": ids.isna(), "date cannot be read": dates.isna()}
    columns = {}
    for name, own in extract.columns.items():
        columns[name], fault = _translate(extract, name, frame[own])
        faults |= fault
    reason = _first_reason(faults, frame.index)
    said = {"function": extract.function, "source_row": frame.index, "local_id": ids, "date": dates}
    rows = pd.DataFrame({**said, **columns}, index=frame.index).assign(**extract.constant)
    aside = pd.DataFrame(
        {
            "function": extract.function,
            "into": extract.into,
            "source_row": frame.index,
            "reason": reason,
        },
        index=frame.index,
    )
    bad = reason.notna()
    return Reading(rows[~bad].reset_index(drop=True), aside[bad].reset_index(drop=True))


def _ids(raw: pd.Series, read_id: Callable[[pd.Series], pd.Series] | None) -> pd.Series:
    """Write ids as text; a whole number that a file made a decimal one loses its point."""
    text = raw.astype("str").str.strip().str.replace(r"^(\d+)\.0$", r"\1", regex=True)
    text = text if read_id is None else read_id(text)
    return text.mask(text == "")


def _dates(raw: pd.Series, date_format: str) -> pd.Series:
    if date_format == "s":
        read = pd.to_datetime(to_numbers(raw), unit="s", errors="coerce")
    else:
        read = pd.to_datetime(raw, format=date_format, errors="coerce")
    return read.astype("datetime64[us]")


def _translate(
    extract: Extract, name: str, raw: pd.Series
) -> tuple[pd.Series, dict[str, pd.Series]]:
    """Read one column: codes by their list, numbers by their unit; a blank stays a blank."""
    if name in extract.codes:
        read = raw.map(dict(extract.codes[name]))
        fault = {f"code of {name} is not listed": read.isna() & raw.notna()}
    elif name in extract.per_unit:
        read = to_numbers(raw) / extract.per_unit[name]
        fault = {f"{name} is no number": read.isna() & raw.notna()}
    else:
        return raw, {}
    return read, fault


def _first_reason(faults: Mapping[str, pd.Series], index: pd.Index) -> pd.Series:
    reason = pd.Series(None, index=index, dtype="str")
    for said, bad in faults.items():
        reason = reason.mask(bad & reason.isna(), said)
    return reason
