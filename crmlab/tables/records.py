"""The rules that records must follow, and the messages about broken rules.

Records arrive from files, databases and simulators, so every rule is checked, and all problems of
an input are reported at once. Each function here either **converts** a column, turning what cannot
be read into a missing value, or **lists problems**, comparing the input with what could be read. A
problem names the table, the rule and how many rows break it, and shows three of them.

The record tables differ only in how they aggregate; `FORMS` defines it:

========  =======================  ==============================  ==========================
table     columns                  a cell of the panel holds       an empty cell means
========  =======================  ==============================  ==========================
events    channel [, value]        the sum of value (default 1)    0: nothing happened
cases     channel                  the number of rows              0: nothing happened
surveys   channel, value           the mean of value               missing: nobody asked
labels    channel, stage           the last stage                  missing: nobody labelled
actions   action [, value]         the sum of value (default 1)    0: the firm did nothing
========  =======================  ==============================  ==========================

A record belongs to a customer (`customer_id`) and to a time: a whole number `period`, or a `date`.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from crmlab.errors import DataError, error_of

type Time = int | pd.Timestamp
type Window = tuple[Time, Time]

_RESERVED = ("customer_id", "period", "observed")
_ZONE = r"[0-9][Zz]$|[0-9]:[0-9]{2}.*[+-][0-9]{2}|[Tt ][0-9]{2}[+-][0-9]{2}"
_EXAMPLES = 3


@dataclass(frozen=True)
class RecordForm:
    """How the records of one table fill the cells of a panel.

    Parameters
    ----------
    name : str
        The table.
    kind : {"total", "mean", "label"}
        A total is 0 where there is no record; a mean and a label are missing there.
    key : str
        The column that names the panel's variable.
    value : str or None
        The column that is aggregated; None counts rows.
    default : float or None
        The value of a record if the table has no value column; None makes the column required.
    """

    name: str
    kind: Literal["total", "mean", "label"]
    key: str = "channel"
    value: str | None = "value"
    default: float | None = None

    @property
    def required(self) -> list[str]:
        """The columns that the table must have, apart from the time."""
        value = [self.value] if self.value is not None and self.default is None else []
        return ["customer_id", self.key, *value]


FORMS = (
    RecordForm("events", "total", default=1.0),
    RecordForm("surveys", "mean"),
    RecordForm("cases", "total", value=None, default=1.0),
    RecordForm("labels", "label", value="stage"),
    RecordForm("actions", "total", key="action", default=1.0),
)


@dataclass(frozen=True)
class CleanRecords:
    """Frames that follow every rule, and the window that contains them."""

    frames: Mapping[str, pd.DataFrame]
    window: Window
    more: Mapping[str, pd.DataFrame]


def clean_records(
    raw: Mapping[str, object], window: object, more: Mapping[str, object] | None = None
) -> CleanRecords:
    """Convert and check all tables of one firm, and report every problem at once.

    Parameters
    ----------
    raw : mapping of table name to DataFrame; "customers" and any of `FORMS`
    window : (first, last) or None
        Both inclusive; None takes it from the data.
    more : mapping of table name to DataFrame, optional
        Further tables, of any columns.

    Raises
    ------
    DataError
        If a rule is broken; the message lists all problems.
    """
    frames, problems = _clean_each(raw)
    stated, window_problems = clean_window(window)
    problems += window_problems
    kinds = _time_kinds(frames, stated)
    problems += _disagreement(kinds)
    agreed = len(set(kinds.values())) == 1
    found = _window_of(frames) if stated is None and agreed else stated
    problems += _across_tables(frames, found)
    others, other_problems = clean_more(more or {}, frames.get("customers"), found)
    problems += other_problems
    if problems or found is None:
        nothing = ["there are no records and no window: pass window=(first, last)"]
        raise error_of(DataError, "CustomerTables", problems or nothing)
    return CleanRecords(frames, found, others)


def _clean_each(raw: Mapping[str, object]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    customers, problems = clean_customers(raw["customers"])
    frames = {} if customers is None else {"customers": customers}
    for form in FORMS:
        if raw.get(form.name) is None:
            continue
        frame, found = clean_table(form, raw[form.name])
        problems += found
        if frame is not None:
            frames[form.name] = frame
    return frames, problems


# Further tables, which no panel reads ------------------------------------------------------------


def clean_more(
    raw: Mapping[str, object], customers: pd.DataFrame | None, window: Window | None
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Convert and check the tables that the format does not define."""
    taken = {"customers", "truth", *(form.name for form in FORMS)}
    frames, problems = {}, []
    for name, table in raw.items():
        if not str(name).isidentifier() or name in taken:
            problems.append(f"more: {name!r} is not a free table name (letters, digits and _)")
            continue
        frame, found = as_frame(name, table, [])
        problems += found
        if frame is None:
            continue
        columns, found = _more_columns(name, frame)
        frames[name] = pd.DataFrame(columns, index=frame.index)
        problems += found or _more_faults(name, frames[name], customers, window)
    return frames, problems


def _more_columns(name: str, frame: pd.DataFrame) -> tuple[dict[str, pd.Series], list[str]]:
    convert = {"customer_id": to_ids, "period": to_periods, "date": to_dates}
    known = {column: convert[column](frame[column]) for column in frame if column in convert}
    columns, problems = extra_columns(name, frame, list(known))
    faults = {f"whose {column} cannot be read": v.isna() for column, v in known.items()}
    columns |= known
    ordered = {column: columns[column] for column in frame if column in columns}
    return ordered, problems + row_problems(name, frame, faults)


def _more_faults(
    name: str, frame: pd.DataFrame, customers: pd.DataFrame | None, window: Window | None
) -> list[str]:
    problems = []
    owned = "customer_id" in frame and customers is not None
    if owned:
        problems += _strangers(name, frame, customers)
    if window is not None and ("period" in frame or "date" in frame):
        everybody = pd.DataFrame() if customers is None else customers
        problems += _outside(name, frame, everybody if owned else pd.DataFrame(), window)
    return problems


# Converting a column: what cannot be read becomes missing -----------------------------------------


def to_ids(raw: pd.Series) -> pd.Series:
    """Return ids as whole numbers or as text; missing where an id is neither.

    Examples
    --------
    >>> to_ids(pd.Series([1.0, 2.0])).tolist()
    [1, 2]
    >>> to_ids(pd.Series(["a", ""])).isna().tolist()
    [False, True]
    """
    raw = _without_categories(raw)
    if types.is_bool_dtype(raw) or not (types.is_numeric_dtype(raw) or _is_text(raw)):
        whole = _whole_objects(raw)
        return to_names(raw) if whole is None else whole
    return to_names(raw) if _is_text(raw) else to_periods(raw)


def to_names(raw: pd.Series) -> pd.Series:
    """Return text as pandas' str; missing where it is empty or not text."""
    raw = _without_categories(raw)
    if not _is_text(raw):
        raw = raw.astype(object).where([isinstance(value, str) for value in raw])
    return raw.astype("str").where(lambda text: text != "")


def to_periods(raw: pd.Series) -> pd.Series:
    """Return whole numbers as int64 (Int64 if some are missing); other values become missing."""
    raw = raw.infer_objects()
    if types.is_integer_dtype(raw) and not raw.isna().any() and (raw < 2**63).all():
        return raw.astype("int64")
    numbers = to_numbers(raw)
    numbers = numbers.where((numbers % 1 == 0) & (numbers.abs() < 2**53))  # larger ones lose digits
    return numbers.astype("int64" if numbers.notna().all() else "Int64")


def to_numbers(raw: pd.Series) -> pd.Series:
    """Return numbers as float64; other values become NaN."""
    raw = _without_categories(raw)
    if types.is_datetime64_any_dtype(raw) or types.is_timedelta64_dtype(raw):
        return pd.Series(np.nan, index=raw.index)
    if types.is_complex_dtype(raw):
        return pd.Series(np.nan, index=raw.index)
    numbers = pd.to_numeric(raw, errors="coerce")
    return pd.Series(numbers.to_numpy(dtype="float64", na_value=np.nan), index=raw.index)


def to_dates(raw: pd.Series) -> pd.Series:
    """Return dates as datetime64[us]; NaT unless it is an ISO 8601 date without a time zone.

    Examples
    --------
    >>> to_dates(pd.Series(["1997-01-31", "31/01/1997"])).isna().tolist()
    [False, True]
    """
    raw = _without_categories(raw)
    if types.is_datetime64_dtype(raw):
        return raw.astype("datetime64[us]")
    text = raw.str.strip() if _is_text(raw) else _date_texts(raw)
    return _parse_dates(text.mask(text == "")).astype("datetime64[us]")


def _date_texts(raw: pd.Series) -> pd.Series:
    return pd.Series([_date_text(value) for value in raw], index=raw.index, dtype="str")


def _parse_dates(text: pd.Series) -> pd.Series:
    """Parse ISO 8601; a text with a time zone becomes NaT."""
    try:
        parsed = pd.to_datetime(text, errors="coerce", format="ISO8601")
    except ValueError:  # several zones, or some texts with and some without
        parsed = None
    if parsed is not None and parsed.dt.tz is None:
        return parsed
    return pd.to_datetime(
        text.mask(text.str.contains(_ZONE, na=False)), errors="coerce", format="ISO8601"
    )


def to_categories(names: pd.Series, raw: pd.Series) -> pd.Series:
    """Return names as a categorical: with the categories of `raw` if it has any, else sorted."""
    if _is_named(names):
        return names.cat.as_unordered()
    if isinstance(raw.dtype, pd.CategoricalDtype):
        listed = [name for name in raw.cat.categories if isinstance(name, str) and name]
    else:
        listed = sorted(names.dropna().unique())
    return names.astype(pd.CategoricalDtype(pd.Index(listed, dtype="str")))


def to_extra(raw: pd.Series) -> pd.Series | None:
    """Return a further column as number, bool, text, category or date; None if it is none.

    Blank text becomes missing, as in a file.
    """
    if isinstance(raw.dtype, pd.CategoricalDtype):
        names = _names(raw)
        return None if _lost(raw, names).any() else to_categories(names, raw)
    if types.is_numeric_dtype(raw) or raw.isna().all():
        return _numeric_extra(raw)
    converted = (convert(raw) for convert in (to_names, to_dates))
    return next((values for values in converted if not _lost(raw, values).any()), None)


def _numeric_extra(raw: pd.Series) -> pd.Series | None:
    if raw.isna().any():
        return to_numbers(raw)
    if types.is_bool_dtype(raw):
        return raw.astype("bool")
    converted = to_periods(raw) if types.is_integer_dtype(raw) else to_numbers(raw)
    return None if converted.isna().any() else converted


def _lost(raw: pd.Series, converted: pd.Series) -> pd.Series:
    return converted.isna() & raw.notna() & ~_is_blank(raw)


def _is_blank(raw: pd.Series) -> pd.Series:
    if _is_text(raw):
        return (raw == "").fillna(False).astype(bool)
    if types.is_numeric_dtype(raw) or _is_named(raw):
        return pd.Series(False, index=raw.index)
    return pd.Series([isinstance(value, str) and not value for value in raw], raw.index, bool)


def _without_categories(raw: pd.Series) -> pd.Series:
    categorical = isinstance(raw.dtype, pd.CategoricalDtype)
    return raw.astype(raw.cat.categories.dtype) if categorical else raw


def _names(raw: pd.Series) -> pd.Series:
    """Return text; a categorical of text stays, as only its categories need a check."""
    return raw if _is_named(raw) else to_names(raw)


def _is_named(raw: pd.Series) -> bool:
    """Whether a column is a categorical whose categories are all non-empty text."""
    if not isinstance(raw.dtype, pd.CategoricalDtype):
        return False
    known = raw.cat.categories
    return isinstance(known.dtype, pd.StringDtype) and "" not in known


def _is_text(raw: pd.Series) -> bool:
    return isinstance(raw.dtype, pd.StringDtype)


def _whole_objects(raw: pd.Series) -> pd.Series | None:
    """Return ids from a column of Python objects that are all whole numbers; else None."""
    present = raw.dropna()
    if raw.dtype != object or not len(present):
        return None
    whole = [isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in present]
    return to_periods(raw) if all(whole) else None


def _date_text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip()
    dated = isinstance(value, (datetime.date, np.datetime64)) and not pd.isna(value)
    return str(value) if dated else None


# One table --------------------------------------------------------------------------------------


def clean_customers(raw: object) -> tuple[pd.DataFrame | None, list[str]]:
    """Convert and check the customers: one row each, ids present and unique."""
    frame, problems = as_frame("customers", raw, ["customer_id"])
    if frame is None:
        return None, problems
    if frame.empty:
        return None, [*problems, "customers: has no rows"]
    columns = {"customer_id": to_ids(frame["customer_id"])}
    columns |= {name: _to_day(frame[name]) for name in ("start", "end") if name in frame}
    extras, extra_problems = extra_columns("customers", frame, list(columns))
    # text becomes categories now, so that a subset of customers keeps the same codes
    extras |= {name: to_categories(v, v) for name, v in extras.items() if _is_text(v)}
    clean = pd.DataFrame(columns | extras)
    problems += id_problems("customers", frame, clean)
    problems += _repeated(frame, clean)
    problems += row_problems("customers", frame, _window_faults(frame, clean))
    return _empty_times_dropped(clean), problems + extra_problems


def clean_table(form: RecordForm, raw: object) -> tuple[pd.DataFrame | None, list[str]]:
    """Convert and check one record table on its own."""
    frame, problems = as_frame(form.name, raw, form.required, has_time=True)
    if frame is None:
        return None, problems
    time = "period" if "period" in frame else "date"
    clean, faults = _convert_record(form, frame, time)
    extras, extra_problems = extra_columns(form.name, frame, list(clean))
    clean = pd.DataFrame(clean | extras, index=frame.index)
    problems += id_problems(form.name, frame, clean) + row_problems(form.name, frame, faults)
    return clean, problems + extra_problems


def _convert_record(
    form: RecordForm, frame: pd.DataFrame, time: str
) -> tuple[dict[str, pd.Series], dict[str, pd.Series]]:
    """Convert the columns of a record, and mark the rows that break a rule, by rule."""
    names = _names(frame[form.key])
    clean = {
        "customer_id": to_ids(frame["customer_id"]),
        time: to_periods(frame[time]) if time == "period" else to_dates(frame[time]),
        form.key: to_categories(names, frame[form.key]),
    }
    faults = time_faults(time, frame[time], clean[time])
    faults |= {f"whose {form.key} is missing or not text": names.isna()}
    faults |= {f"whose {form.key} is a reserved word": names.isin(_RESERVED)}
    if form.value is not None:
        clean[form.value], value_faults = _convert_value(form, frame)
        faults |= value_faults
    return clean, faults


def _convert_value(form: RecordForm, frame: pd.DataFrame) -> tuple[pd.Series, dict[str, pd.Series]]:
    if form.value not in frame:
        return pd.Series(form.default, index=frame.index, dtype="float64"), {}
    raw = frame[form.value]
    if form.kind == "label":
        names = _names(raw)
        return to_categories(names, raw), {"whose stage is not text": _lost(raw, names)}
    values = to_numbers(raw)
    finite = pd.Series(np.isfinite(values), index=raw.index)
    if form.kind == "mean":  # an unanswered survey is an empty cell, not an error
        return values, {"whose value is not a finite number": ~finite & raw.notna()}
    return values, {"whose value is missing or not a finite number": ~finite}


def time_faults(name: str, raw: pd.Series, read: pd.Series) -> dict[str, pd.Series]:
    """Mark the rows whose period or date is missing or cannot be read."""
    way_out = {
        "period": "whole numbers",
        "date": "ISO 8601 text such as 1997-01-31, without a time zone",
    }[name]
    return {
        f"whose {name} is missing": raw.isna(),
        f"whose {name} cannot be read (use {way_out})": read.isna() & raw.notna(),
    }


def as_frame(
    name: str, raw: object, required: list[str], has_time: bool = False
) -> tuple[pd.DataFrame | None, list[str]]:
    """Return the frame with rows numbered from 0, or the problems that prevent reading it."""
    if not isinstance(raw, pd.DataFrame):
        return None, [f"`{name}` must be a pandas DataFrame, got {type(raw).__name__}"]
    listed = [str(column) for column in raw.columns]
    repeated = sorted({column for column in listed if listed.count(column) > 1})
    missing = [column for column in required if column not in listed]
    problems = [f"{name}: column `{column}` appears twice" for column in repeated]
    problems += [
        f"{name}: column `{column}` is missing (there are: {', '.join(listed) or 'none'})"
        for column in missing
    ]
    if has_time and ("period" in listed) == ("date" in listed):
        problems.append(f"`{name}` must have either a column `period` or a column `date`")
    return (None if problems else raw.set_axis(listed, axis=1).reset_index(drop=True)), problems


def extra_columns(
    name: str, frame: pd.DataFrame, known: list[str]
) -> tuple[dict[str, pd.Series], list[str]]:
    """Convert the columns that the format does not define; they are kept."""
    converted = {column: to_extra(frame[column]) for column in frame if column not in known}
    problems = [
        f"{name}: column `{column}` is of an unknown type ({frame[column].dtype}); "
        "use numbers, bools, text or dates, one type per column"
        for column, values in converted.items()
        if values is None
    ]
    return {column: values for column, values in converted.items() if values is not None}, problems


def _to_day(raw: pd.Series) -> pd.Series:
    """Read a start or end: a period if it is a number, otherwise the day of a date."""
    if types.is_numeric_dtype(raw) and not types.is_bool_dtype(raw):
        return to_periods(raw)
    return to_dates(raw).dt.normalize()


def _empty_times_dropped(customers: pd.DataFrame) -> pd.DataFrame:
    """Drop a start or end that is missing in every row: even its type is unknown."""
    present = [name for name in ("start", "end") if name in customers]
    return customers.drop(columns=[name for name in present if customers[name].isna().all()])


def _window_faults(raw: pd.DataFrame, clean: pd.DataFrame) -> dict[str, pd.Series]:
    faults = {
        f"whose {name} cannot be read (use whole numbers, or ISO 8601 dates)": clean[name].isna()
        & raw[name].notna()
        for name in ("start", "end")
        if name in clean
    }
    if {"start", "end"} <= set(clean) and _kind(clean["start"]) == _kind(clean["end"]):
        late = clean["start"] > clean["end"]
        faults |= {"whose start is after the end": late.fillna(False).astype(bool)}
    return faults


def id_problems(name: str, raw: pd.DataFrame, clean: pd.DataFrame) -> list[str]:
    """List the rows whose id is missing or of an unknown type."""
    missing = raw["customer_id"].isna() | _is_blank(raw["customer_id"])
    unread = clean["customer_id"].isna() & ~missing
    return row_problems(
        name,
        raw,
        {
            "whose customer_id is missing": missing,
            "whose customer_id is neither a whole number nor text": unread,
        },
    )


def _repeated(raw: pd.DataFrame, clean: pd.DataFrame) -> list[str]:
    ids = clean["customer_id"]
    fault = {"whose customer_id appears more than once": ids.duplicated(keep=False) & ids.notna()}
    return row_problems("customers", raw, fault)


# Across tables ------------------------------------------------------------------------------------


def clean_window(window: object) -> tuple[Window | None, list[str]]:
    """Read a window as two whole numbers or two days.

    Examples
    --------
    >>> clean_window((0, 23))
    ((0, 23), [])
    >>> clean_window(("1997-01-01", "1998-06-30"))[0][1]
    Timestamp('1998-06-30 00:00:00')
    """
    if window is None:
        return None, []
    rule = f"`window` must be (first, last), two periods or two dates, got {window!r}"
    if not isinstance(window, (tuple, list)) or len(window) != 2:
        return None, [rule]
    first, last = (read_time(end) for end in window)
    if first is None or last is None or isinstance(first, int) != isinstance(last, int):
        return None, [rule]
    if first > last:
        return None, [f"`window` must not end before it begins, got {window!r}"]
    return (first, last), []


def read_time(value: object) -> Time | None:
    """Read one point in time as a period (int) or as a day (Timestamp); None if it is neither."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64)):
        return int(value)
    days = to_dates(pd.Series([value], dtype=object)).dt.normalize()
    return None if days.isna().all() else days[0]


def customer_windows(customers: pd.DataFrame, window: Window) -> tuple[pd.Series, pd.Series]:
    """First and last period or day of each customer; by default, those of the window."""
    dtype = "int64" if isinstance(window[0], int) else "datetime64[us]"
    first, last = (
        customers[name].fillna(end).astype(dtype)
        if name in customers
        else pd.Series(end, index=customers.index, dtype=dtype)
        for name, end in zip(("start", "end"), window, strict=True)
    )
    return first, last


def times(frame: pd.DataFrame) -> pd.Series:
    """Return the period, or the day, of each record."""
    return frame["period"] if "period" in frame else frame["date"].dt.normalize()


def _kind(values: pd.Series) -> str:
    return "period" if types.is_integer_dtype(values) else "date"


def _times_of(frames: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, pd.Series]]:
    for name, frame in frames.items():
        if name != "customers":
            yield name, times(frame)
            continue
        for end in ("start", "end"):
            if end in frame:
                yield f"customers.{end}", frame[end]


def _time_kinds(frames: Mapping[str, pd.DataFrame], window: Window | None) -> dict[str, str]:
    kinds = {name: _kind(values) for name, values in _times_of(frames)}
    if window is not None:
        kinds["window"] = "period" if isinstance(window[0], int) else "date"
    return kinds


def _disagreement(kinds: Mapping[str, str]) -> list[str]:
    by_kind = {kind: [name for name in kinds if kinds[name] == kind] for kind in ("period", "date")}
    if not all(by_kind.values()):
        return []
    found = "; ".join(f"{kind} in {', '.join(names)}" for kind, names in by_kind.items())
    return [f"all tables must agree on period or date, got {found}"]


def _window_of(frames: Mapping[str, pd.DataFrame]) -> Window | None:
    present = [values.dropna() for _, values in _times_of(frames)]
    present = [values for values in present if len(values)]
    if not present:
        return None
    first, last = min(v.min() for v in present), max(v.max() for v in present)
    return (int(first), int(last)) if _kind(present[0]) == "period" else (first, last)


def _across_tables(frames: Mapping[str, pd.DataFrame], window: Window | None) -> list[str]:
    problems = _name_clashes(frames)
    if "labels" in frames:
        problems += _conflicting_labels(frames["labels"])
    if "customers" not in frames:
        return problems
    customers = frames["customers"]
    if window is not None:
        problems += _customers_outside(customers, window)
    for name, frame in frames.items():
        if name != "customers":
            problems += _strangers(name, frame, customers)
            problems += [] if window is None else _outside(name, frame, customers, window)
    return problems


def _name_clashes(frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """List names that two sources would give to one panel variable."""
    homes: dict[str, list[str]] = {}
    for name, frame in frames.items():
        for variable in variables_of(name, frame):
            homes.setdefault(variable, []).append(name)
    problems = [
        f"the name {variable!r} is used in {' and '.join(found)}; a panel needs it to be unique"
        for variable, found in homes.items()
        if len(found) > 1
    ]
    return problems + [
        f"customers: `{name}` is a reserved word; rename the column"
        for name in _RESERVED[1:]
        if "customers" in homes.get(name, [])
    ]


def variables_of(name: str, frame: pd.DataFrame) -> list[str]:
    """Name the variables that a table contributes to a panel."""
    if name == "customers":
        return [column for column in frame if column not in ("customer_id", "start", "end")]
    key = next(form.key for form in FORMS if form.name == name)
    return list(frame[key].cat.categories)


def _strangers(name: str, frame: pd.DataFrame, customers: pd.DataFrame) -> list[str]:
    ids, known = frame["customer_id"], customers["customer_id"]
    if not ids.notna().any() or not known.notna().any():
        return []
    if _is_text(ids) != _is_text(known):
        found, expected = (
            "text" if _is_text(values) else "whole numbers" for values in (ids, known)
        )
        return [f"{name}: customer_id is {found}, but {expected} in customers"]
    unknown = ids.notna() & ~ids.isin(known)
    return row_problems(name, frame, {"whose customer_id is not in customers": unknown})


def _outside(name: str, frame: pd.DataFrame, customers: pd.DataFrame, window: Window) -> list[str]:
    """List records outside the firm's window, then those outside their customer's window."""
    when = times(frame)
    if _kind(when) != ("period" if isinstance(window[0], int) else "date"):
        return []
    beyond = _mask((when < window[0]) | (when > window[1]))
    own = pd.Series(False, index=frame.index)
    if {"start", "end"} & set(customers) and not customers["customer_id"].duplicated().any():
        own = _outside_own(frame["customer_id"], when, customers, window) & ~beyond
    return row_problems(
        name,
        frame,
        {
            f"outside the window {_span(window)}": beyond,
            "outside their customer's window (customers.start to customers.end)": own,
        },
    )


def _outside_own(
    ids: pd.Series, when: pd.Series, customers: pd.DataFrame, window: Window
) -> pd.Series:
    known = {_kind(customers[name]) for name in ("start", "end") if name in customers}
    if known != {_kind(when)} or _is_text(ids) != _is_text(customers["customer_id"]):
        return pd.Series(False, index=ids.index)
    first, last = customer_windows(customers, window)
    code = pd.Index(customers["customer_id"]).get_indexer(ids)
    early = when.lt(pd.Series(first.to_numpy()[code], index=ids.index))
    late = when.gt(pd.Series(last.to_numpy()[code], index=ids.index))
    return _mask(early | late) & (code >= 0)


def _customers_outside(customers: pd.DataFrame, window: Window) -> list[str]:
    kind = "period" if isinstance(window[0], int) else "date"
    ends = [name for name in ("start", "end") if name in customers]
    faults = {
        f"whose {name} is outside the window {_span(window)}": _mask(
            (customers[name] < window[0]) | (customers[name] > window[1])
        )
        for name in ends
        if _kind(customers[name]) == kind
    }
    return row_problems("customers", customers, faults)


def _conflicting_labels(labels: pd.DataFrame) -> list[str]:
    """List labels that name two stages at one time: they cannot both be the last."""
    time = "period" if "period" in labels else "date"
    named = labels[labels["stage"].notna()]
    where = ["customer_id", time, "channel"]
    once = named.drop_duplicates([*where, "stage"])
    twice = once.duplicated(where, keep=False).reindex(labels.index, fill_value=False)
    rule = f"that name another stage for the same customer, {time} and channel"
    return row_problems("labels", labels, {rule: twice})


# Messages -----------------------------------------------------------------------------------------


def row_problems(name: str, frame: pd.DataFrame, faults: Mapping[str, pd.Series]) -> list[str]:
    """List each broken rule, with the number of rows that break it and the first of them.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": [7, 8], "amount": [-1, 5]})
    >>> row_problems("orders", orders, {"whose amount is negative": orders["amount"] < 0})
    ['orders: 1 row whose amount is negative: row 0 (customer_id=7, amount=-1)']
    """
    return [
        f"{name}: {_count(int(bad.sum()))} {rule}: {_examples(frame, bad)}"
        for rule, bad in faults.items()
        if bad.any()
    ]


def _count(n_rows: int) -> str:
    return f"{n_rows} row" if n_rows == 1 else f"{n_rows} rows"


def _examples(frame: pd.DataFrame, bad: pd.Series) -> str:
    shown = frame[bad.to_numpy()].head(_EXAMPLES)
    rows = [
        f"row {row} ({', '.join(f'{column}={_plain(shown.at[row, column])}' for column in shown)})"
        for row in shown.index
    ]
    more = int(bad.sum()) - len(rows)
    return "; ".join([*rows, *([f"and {more} more"] if more else [])])


def _plain(value: object) -> str:
    if isinstance(value, (pd.Timestamp, datetime.datetime)) and not pd.isna(value):
        return str(value).removesuffix(" 00:00:00")
    return repr(value.item()) if isinstance(value, np.generic) else repr(value)


def _span(window: Window) -> str:
    return f"{_plain(window[0])} to {_plain(window[1])}"


def _mask(values: pd.Series) -> pd.Series:
    """Treat an unknown comparison (a missing time) as passed."""
    return values.fillna(False).astype(bool)
