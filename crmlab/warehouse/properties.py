"""The four properties of a warehouse, each as a check that shows what it found.

================  ============================================================================
subject-oriented  every row that was read is in the tables of the subject, exactly once
integrated        one person has one id, one meaning one code, one measure one unit
non-volatile      a later load still holds what an earlier one held, word for word
time-variant      every record has a time, and what changes has kept its past
================  ============================================================================

The terms are Inmon's (1992, Building the Data Warehouse); the counts are ours. A check never
repairs anything. It returns a `Finding`: how many rows break which rule, and which rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from crmlab.errors import SpecError, raise_problems
from crmlab.tables import CustomerTables
from crmlab.warehouse.extracts import Extract
from crmlab.warehouse.subjects import LINEAGE

_ROW = ["into", *LINEAGE]


@dataclass(frozen=True, eq=False)
class Finding:
    """The result of a check.

    Parameters
    ----------
    name : str
        The property.
    counts : mapping of rule to int
        Rows (or customers) that break each rule; 0 if none does.
    rows : DataFrame
        A row for each of them: `rule`, and the columns that identify it.
    checked : int
        How many were checked.
    """

    name: str
    counts: Mapping[str, int]
    rows: pd.DataFrame
    checked: int

    @property
    def holds(self) -> bool:
        """Whether no rule is broken."""
        return not any(self.counts.values())

    def __repr__(self) -> str:
        """Summarise the result in a sentence."""
        broken = [f"{n:,} {rule}" for rule, n in self.counts.items() if n]
        return f"{self.name}: {'; '.join(broken) or 'holds'} ({self.checked:,} checked)"


def _finding(name: str, checked: int, found: Mapping[str, pd.DataFrame]) -> Finding:
    parts = [rows.assign(rule=rule) for rule, rows in found.items() if len(rows)]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"rule": []})
    front = ["rule", *(column for column in rows if column != "rule")]
    return Finding(name, {rule: len(rows) for rule, rows in found.items()}, rows[front], checked)


# Subject-oriented --------------------------------------------------------------------------------


def check_subject_oriented(extracts: Sequence[Extract], tables: CustomerTables) -> Finding:
    """Check that each row of each extract is in the tables of the subject, exactly once.

    Parameters
    ----------
    extracts : sequence of Extract
        The files that were read.
    tables : CustomerTables
        The tables that were written, with the origin of each row; rows in `set_aside` count as
        present.

    Returns
    -------
    Finding
        Rules: lost (in no table), multiplied (a join matched twice), from nowhere (in no extract).
        Rows have into, function, source_row.
    """
    read = pd.concat([_read_rows(extract) for extract in extracts], ignore_index=True)
    written = pd.concat([*_written_rows(tables)], ignore_index=True)
    number = written.groupby(_ROW).size().rename("n").reset_index()
    both = read.merge(number, on=_ROW, how="outer", indicator=True, validate="one_to_one")
    found = {
        "lost": both[both["_merge"] == "left_only"],
        "multiplied": both[both["n"] > 1],
        "from nowhere": both[both["_merge"] == "right_only"],
    }
    return _finding("subject-oriented", len(read), {rule: f[_ROW] for rule, f in found.items()})


def _read_rows(extract: Extract) -> pd.DataFrame:
    rows = {"into": extract.into, "function": extract.function}
    return pd.DataFrame({**rows, "source_row": range(len(extract.frame))})


def _written_rows(tables: CustomerTables) -> Iterator[pd.DataFrame]:
    for name, frame in _with_origin(tables):
        rows = frame.dropna(subset=LINEAGE).astype({"function": "str", "source_row": "int64"})
        if name == "profile":  # a source row holds several attributes
            multiple = rows.drop_duplicates([*LINEAGE, "attribute"])
            again = rows[rows.duplicated([*LINEAGE, "attribute"])]
            rows = pd.concat([multiple.drop_duplicates(LINEAGE), again])
        yield rows[LINEAGE].assign(into=name)
    aside = tables.more.get("set_aside")
    if aside is not None:
        yield aside[_ROW].astype({"into": "str", "function": "str", "source_row": "int64"})


def _with_origin(tables: CustomerTables) -> Iterator[tuple[str, pd.DataFrame]]:
    named = [(form.name, frame) for form, frame in tables.records()]
    for name, frame in [*named, *tables.more.items()]:
        if name != "set_aside" and set(LINEAGE) <= set(frame):
            yield name, frame


# Integrated --------------------------------------------------------------------------------------


def check_integrated(
    tables: CustomerTables,
    *,
    unique: Sequence[str] = (),
    codes: Mapping[str, Sequence[str]] | None = None,
    units: Sequence[tuple[str, str]] = (),
    factor: float = 20.0,
) -> Finding:
    """Check that the functions describe the same people, in the same codes and units.

    Parameters
    ----------
    tables : CustomerTables
    unique : sequence of str
        Attributes of the profile that identify a person and never change (a tax number).
    codes : mapping of column to codes, optional
        The allowed codes; a column is checked in every table that has it.
    units : sequence of (table, column), optional
        Quantities that several functions report.
    factor : float
        Functions whose medians of a quantity differ by more than this factor probably use different
        units: cents for euros is 100, seconds for minutes 60.

    Returns
    -------
    Finding
        Rules: one person, two customers; one customer, two persons; code not on the list; unit
        unlike the others.

    Raises
    ------
    SpecError
        If an attribute, a table or a column is unknown.
    """
    _check_known(tables, unique, units)
    profile = tables.more.get("profile", pd.DataFrame(columns=["customer_id", "attribute"]))
    identifying = profile[profile["attribute"].isin(unique)]
    found = {
        "one person, two customers": _shared(identifying, "value", "customer_id"),
        "one customer, two persons": _shared(identifying, "customer_id", "value"),
        "code not on the list": _strange_codes(tables, codes or {}),
        "unit unlike the others": _other_units(tables, units, factor),
    }
    checked = sum(len(frame) for _, frame in _with_origin(tables))
    return _finding("integrated", checked, found)


def _check_known(
    tables: CustomerTables, unique: Sequence[str], units: Sequence[tuple[str, str]]
) -> None:
    frames = dict(_with_origin(tables))
    known = set(frames["profile"]["attribute"]) if "profile" in frames else set()
    problems = [
        f"unique names {name!r}, which is not in the profile" for name in set(unique) - known
    ]
    problems += [
        f"units names {table}.{column}, which does not exist"
        for table, column in units
        if table not in frames or column not in frames[table]
    ]
    raise_problems(SpecError, "check_integrated", sorted(problems))


def _shared(profile: pd.DataFrame, one: str, many: str) -> pd.DataFrame:
    """List the pairs in which one value of a column goes with several values of another."""
    if profile.empty:
        return pd.DataFrame(columns=["attribute", one, many])
    pairs = profile[["attribute", one, many]].astype("str").drop_duplicates()
    several = pairs.groupby(["attribute", one])[many].transform("size") > 1
    return pairs[several].sort_values(["attribute", one, many], ignore_index=True)


def _strange_codes(tables: CustomerTables, codes: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    parts = [
        _strange(frame, column, known).assign(into=name, column=column)
        for name, frame in _with_origin(tables)
        for column, known in codes.items()
        if column in frame
    ]
    return pd.concat([pd.DataFrame(columns=_ROW), *parts], ignore_index=True)


def _strange(frame: pd.DataFrame, column: str, known: Sequence[str]) -> pd.DataFrame:
    bad = frame[frame[column].notna() & ~frame[column].isin(list(known))]
    return pd.DataFrame({**bad[LINEAGE], "value": bad[column].astype("str")})


def _other_units(
    tables: CustomerTables, units: Sequence[tuple[str, str]], factor: float
) -> pd.DataFrame:
    frames, found = dict(_with_origin(tables)), []
    for table, column in units:
        sizes = frames[table][column].abs()
        by_function = sizes[sizes > 0].groupby(frames[table]["function"], observed=True).median()
        usual = by_function.median() if len(by_function) > 2 else by_function.min()
        odd = by_function[(by_function / usual > factor) | (usual / by_function > factor)]
        found += [
            {"into": table, "column": column, "function": who, "median": size, "usual": usual}
            for who, size in odd.items()
        ]
    return pd.DataFrame(found)


# Non-volatile ------------------------------------------------------------------------------------


def check_non_volatile(earlier: CustomerTables, later: CustomerTables) -> Finding:
    """Check that a later load still holds what an earlier one held.

    Parameters
    ----------
    earlier, later : CustomerTables
        Two loads of the same functions; rows are only appended to their files.

    Returns
    -------
    Finding
        Rules: gone; changed (a cell of the row, or its customer, differs). Rows have into,
        function, source_row and the customer of the earlier load.
    """
    after = dict(_with_origin(later))
    parts = [
        _compare(name, frame, after.get(name, frame.head(0)))
        for name, frame in _with_origin(earlier)
    ]
    gone, changed = (pd.concat(part, ignore_index=True) for part in zip(*parts, strict=True))
    checked = sum(len(frame) for _, frame in _with_origin(earlier))
    return _finding("non-volatile", checked, {"gone": gone, "changed": changed})


def _compare(
    name: str, before: pd.DataFrame, after: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    key = [*LINEAGE, *(["attribute"] if name == "profile" else [])]
    columns = [column for column in before if column in after]
    old, new = (_as_text(frame, columns, key) for frame in (before, after))
    both = old.join(new.add_suffix("_later"), how="left")
    there = old.index.isin(new.index)
    same = pd.Series(True, index=both.index)
    for column in (column for column in columns if column not in key):
        same &= (both[column] == both[f"{column}_later"]).to_numpy()
    rows = both.reset_index()[[*key, "customer_id"]].astype({"source_row": "int64"})
    rows = rows.assign(into=name)
    return rows[~there], rows[(there & ~same).to_numpy()]


def _as_text(frame: pd.DataFrame, columns: Sequence[str], key: list[str]) -> pd.DataFrame:
    """Write cells as text, so that missing cells are equal and types do not matter."""
    text = pd.DataFrame({column: frame[column].astype("str").fillna("") for column in columns})
    return text[text["function"] != ""].drop_duplicates(key).set_index(key)


# Time-variant ------------------------------------------------------------------------------------


def check_time_variant(tables: CustomerTables) -> Finding:
    """Check that every record has a time, and that changing attributes keep their past.

    Parameters
    ----------
    tables : CustomerTables

    Returns
    -------
    Finding
        Rules: without a time; two values at one time; unknown at first (the log of an attribute
        begins after the customer's first transaction); knows the future (an attribute in
        `customers` is not the first value of its log).
    """
    profile = tables.more.get("profile")
    found = {"without a time": _timeless(tables)}
    if profile is not None:
        found |= {
            "two values at one time": _contradictions(profile),
            "unknown at first": _unknown_at_first(tables, profile),
            "knows the future": _foreknown(tables.customers, profile),
        }
    checked = sum(len(frame) for _, frame in _with_origin(tables))
    return _finding("time-variant", checked, found)


def _timeless(tables: CustomerTables) -> pd.DataFrame:
    parts = [
        frame[["customer_id"]].assign(into=name)
        for name, frame in tables.more.items()
        if name != "parties" and "customer_id" in frame and not {"date", "period"} & set(frame)
    ]
    return pd.concat([pd.DataFrame(columns=["customer_id", "into"]), *parts], ignore_index=True)


def _contradictions(profile: pd.DataFrame) -> pd.DataFrame:
    values = profile[["customer_id", "attribute", "date", "value"]].drop_duplicates()
    several = values.duplicated(["customer_id", "attribute", "date"], keep=False)
    return values[several].sort_values(["customer_id", "attribute", "date"], ignore_index=True)


def _unknown_at_first(tables: CustomerTables, profile: pd.DataFrame) -> pd.DataFrame:
    """List logs that begin after the customer's first transaction, if transactions are recorded."""
    bought = tables.more.get("transactions")
    if bought is None:
        return pd.DataFrame(columns=["customer_id", "attribute", "date"])
    first = (
        bought.groupby("customer_id")["date"].min().dt.normalize().rename("bought").reset_index()
    )
    known = profile.groupby(["customer_id", "attribute"])["date"].min().reset_index()
    both = known.merge(first, on="customer_id", validate="many_to_one")
    return both[both["date"] > both["bought"]].reset_index(drop=True)


def _foreknown(customers: pd.DataFrame, profile: pd.DataFrame) -> pd.DataFrame:
    ordered = profile.sort_values("date", kind="stable")
    first = ordered.drop_duplicates(["customer_id", "attribute"])
    held = [name for name in customers if name in set(first["attribute"])]
    if not held:
        return pd.DataFrame(columns=["customer_id", "attribute", "held", "value"])
    names = {"var_name": "attribute", "value_name": "held"}
    long = customers[["customer_id", *held]].astype("str").melt("customer_id", **names)
    pairs = long.merge(first.astype({"customer_id": "str"}), on=["customer_id", "attribute"])
    other = pairs[pairs["held"] != pairs["value"]]
    return other[["customer_id", "attribute", "held", "value"]].reset_index(drop=True)
