"""From functions to the subject: extracts in, customer tables out.

"Data must be read in a functional format and written in a subject-oriented format." `to_subject`
does that in four steps: each extract is translated (`read_extract`), ids become customers
(`join_ids`), rows are sorted into the tables of the subject with their origin (`function`,
`source_row`), and changing attributes become a log. Nothing is joined row by row, so no row can
multiply; unusable rows are in the table `set_aside`, with the reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from crmlab.errors import SpecError, error_of
from crmlab.tables import CustomerTables
from crmlab.tables.records import FORMS, clean_window
from crmlab.warehouse.extracts import Extract, read_extract
from crmlab.warehouse.identity import join_ids

LINEAGE = ["function", "source_row"]
Total = tuple[str, str | None]


def to_subject(
    extracts: Sequence[Extract],
    links: pd.DataFrame,
    *,
    window: tuple[Any, Any],
    totals: Mapping[str, Total] | None = None,
    units: Mapping[str, str] | None = None,
) -> CustomerTables:
    """Write the extracts of a firm's functions as tables of its customers.

    Parameters
    ----------
    extracts : sequence of Extract
        At most one per function and table.
    links : DataFrame
        Which ids are one person, as `join_ids` expects them.
    window : (first, last) dates, both inclusive
        Rows outside it are set aside.
    totals : mapping of channel to (table, column or None), optional
        Events made from the rows of a table: the values of a column, or 1 per row.
    units : mapping of channel to text, optional

    Returns
    -------
    CustomerTables
        customers: `start`, the day of the first record, and the **first known** value of each
        attribute, so that no later value reaches a training window. In `more`: the further tables;
        "profile" (customer_id, date, attribute, value); "parties" (function, local_id,
        customer_id); "set_aside" (function, into, source_row, reason). Rows carry their origin.

    Raises
    ------
    SpecError
        If two extracts of a function go into one table, or a total names an unknown table.
    DataError
        If the tables break a rule of `CustomerTables`.
    """
    ends, problems = clean_window(window)
    problems += _clashes(extracts, totals or {})
    if problems or ends is None:
        nothing = ["`window` must be (first, last), two dates, got None"]
        raise error_of(SpecError, "to_subject", problems or nothing)
    readings = [read_extract(extract) for extract in extracts]
    inside, late = _split_window(extracts, [reading.rows for reading in readings], ends)
    parties = join_ids(pd.concat([rows[["function", "local_id"]] for rows in inside]), links)
    tables = _collect(extracts, inside, parties)
    aside = pd.concat([*(reading.set_aside for reading in readings), *late], ignore_index=True)
    profile = _log(tables.pop("profile", None))
    customers = _customers([*tables.values(), profile], profile)
    events = _events(tables, totals or {})
    forms = [form.name for form in FORMS]
    records = {name: tables.pop(name) for name in forms if name in tables}
    if events is not None:
        records["events"] = pd.concat([events, *_present(records.get("events"))], ignore_index=True)
    more = {**tables, "profile": profile, "parties": parties, "set_aside": aside}
    return CustomerTables(customers, **records, window=ends, units=units or {}, more=more)


def _clashes(extracts: Sequence[Extract], totals: Mapping[str, Total]) -> list[str]:
    places = [(extract.function, extract.into) for extract in extracts]
    twice = sorted({place for place in places if places.count(place) > 1})
    problems = [f"two extracts of {who!r} go into {into!r}; combine them" for who, into in twice]
    known = {into for _, into in places}
    return problems + [
        f"the total {channel!r} is made of {table!r}, which no extract goes into"
        for channel, (table, _) in totals.items()
        if table not in known
    ]


def _split_window(
    extracts: Sequence[Extract], rows: Sequence[pd.DataFrame], ends: tuple
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    inside, outside = [], []
    for extract, frame in zip(extracts, rows, strict=True):
        day = frame["date"].dt.normalize()
        kept = (day >= ends[0]) & (day <= ends[1])
        inside.append(frame[kept])
        outside.append(
            frame.loc[~kept, LINEAGE].assign(into=extract.into, reason="outside the window")
        )
    return inside, outside


def _collect(
    extracts: Sequence[Extract], rows: Sequence[pd.DataFrame], parties: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Sort rows into tables in order of time, with the customer in the first column."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for extract, frame in zip(extracts, rows, strict=True):
        # validated: each id has one customer, so this join cannot multiply rows
        owned = frame.merge(parties, on=["function", "local_id"], validate="many_to_one")
        parts.setdefault(extract.into, []).append(owned.drop(columns="local_id"))
    whole = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    return {name: _ordered(frame) for name, frame in whole.items()}


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    front = ["customer_id", "date"]
    rest = [column for column in frame if column not in (*front, *LINEAGE)]
    return frame[front + rest + LINEAGE].sort_values([*front, *LINEAGE], ignore_index=True)


def _log(wide: pd.DataFrame | None) -> pd.DataFrame:
    """Turn wide rows of attributes into a log, with a row per known attribute."""
    kept = ["customer_id", "date", *LINEAGE]
    if wide is None:
        columns = ["customer_id", "date", "attribute", "value", *LINEAGE]
        return pd.DataFrame({name: pd.Series(dtype="str") for name in columns}).astype(
            {"date": "datetime64[us]", "source_row": "int64"}
        )
    long = wide.melt(kept, var_name="attribute", value_name="value").dropna(subset=["value"])
    long = long.assign(value=long["value"].astype("str"), attribute=long["attribute"].astype("str"))
    order = ["customer_id", "attribute", "date", *LINEAGE]
    return long.sort_values(order, ignore_index=True)[
        ["customer_id", "date", "attribute", "value", *LINEAGE]
    ]


def _customers(tables: Sequence[pd.DataFrame], profile: pd.DataFrame) -> pd.DataFrame:
    seen = pd.concat([table[["customer_id", "date"]] for table in tables])
    start = seen.groupby("customer_id")["date"].min().dt.normalize().rename("start").reset_index()
    first = profile.drop_duplicates(["customer_id", "attribute"])
    known = first.pivot(index="customer_id", columns="attribute", values="value")
    return start.merge(known.reset_index(), on="customer_id", how="left", validate="one_to_one")


def _events(tables: Mapping[str, pd.DataFrame], totals: Mapping[str, Total]) -> pd.DataFrame | None:
    parts = [
        tables[table][["customer_id", "date"]].assign(
            channel=channel, value=1.0 if column is None else tables[table][column]
        )
        for channel, (table, column) in totals.items()
    ]
    return pd.concat(parts, ignore_index=True) if parts else None


def _present(frame: pd.DataFrame | None) -> list[pd.DataFrame]:
    return [] if frame is None else [frame]
