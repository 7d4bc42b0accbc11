"""Functional extracts: the file of one function of the firm, and how to read it.

The sales system, the call centre and accounts keep records for their own purposes: each has its own
ids, codes, units and date format. An `Extract` is such a file together with a description of these;
`read_extract` translates it into common names, codes and units. A row that cannot be translated is
set aside with the reason, and counted; no row is lost silently.
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
    """A file of one function of the firm, and how to read it.

    Parameters
    ----------
    function : str
        The function that keeps the file, e.g. "sales".
    into : str
        The subject table that its rows belong to: a record table (`crmlab.tables.records`),
        "profile" for attributes that change, or any other name.
    frame : DataFrame
        The raw rows.
    party : str
        The column with the function's own id of a person.
    date : str
        The column with the date.
    date_format : str
        The date format: "ISO8601", a pattern such as "%d.%m.%Y", or "s" for seconds since
        1970-01-01 (UTC).
    columns : mapping of common name to own column
        The columns to read, and their common names.
    codes : mapping of common name to (mapping of own code to common code)
    per_unit : mapping of common name to number
        How many of the function's units are one common unit, e.g. 100 for cents in a euro.
    constant : mapping of common name to value
        Values that the file does not state, e.g. ``{"channel": "complaint"}``.
    read_id : function of a Series of text, optional
        Brings the function's ids into one format, e.g. ``lambda text: text.str.lower()``.

    Raises
    ------
    SpecError
        If the description names missing columns, or common names that are not read.

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
            yield f"codes or per_unit name `{name}`, which is not in columns"
        for name in sorted({*self.columns, *self.constant} & {*OWN_COLUMNS, "customer_id"}):
            yield f"the common name `{name}` is reserved; choose another"
        for name in sorted(set(self.columns) & set(self.constant)):
            yield f"`{name}` is both read and constant"
        if not self.into.isidentifier() or self.into in ("customers", "parties", "set_aside"):
            yield f"into={self.into!r} is a reserved name; choose another"


class Reading(NamedTuple):
    """An extract, translated into common names, codes and units.

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
        Each row is either in `rows` or, with the first reason found, in `set_aside`.
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
    base = {"function": extract.function, "source_row": frame.index, "local_id": ids, "date": dates}
    rows = pd.DataFrame({**base, **columns}, index=frame.index).assign(**extract.constant)
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
    """Write ids as text; whole numbers that a file stored as decimals lose their ".0"."""
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
    """Translate one column by its codes or its unit; a blank stays a blank."""
    if name in extract.codes:
        read = raw.map(dict(extract.codes[name]))
        fault = {f"code of {name} is not listed": read.isna() & raw.notna()}
    elif name in extract.per_unit:
        read = to_numbers(raw) / extract.per_unit[name]
        fault = {f"{name} is not a number": read.isna() & raw.notna()}
    else:
        return raw, {}
    return read, fault


def _first_reason(faults: Mapping[str, pd.Series], index: pd.Index) -> pd.Series:
    reason = pd.Series(None, index=index, dtype="str")
    for fault, bad in faults.items():
        reason = reason.mask(bad & reason.isna(), fault)
    return reason
