"""What a firm records about its customers, and the holdout split.

**Split first, aggregate second.** `split_holdout` cuts the records at a date or a period, before
any cell is computed, so no later record can reach a training panel. The truth of a simulated world
travels with the tables but stays out of reach: splitting and writing drop it, and `to_panel` does
not read it.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from crmlab.errors import SpecError, check_one_of
from crmlab.tables.records import (
    FORMS,
    RecordForm,
    Time,
    clean_records,
    customer_windows,
    read_time,
    times,
    variables_of,
)


@dataclass(frozen=True, eq=False, repr=False)
class CustomerTables:
    """What a firm knows about its customers, as tables that follow the rules of the format.

    Parameters
    ----------
    customers : DataFrame
        One row per customer: `customer_id` (whole number or text); optional `start` and `end`, the
        first and last period or day on which the customer is observed (missing: the window's);
        any further column is a constant covariate (number, bool, text, date).
    events, surveys, cases, labels, actions : DataFrame, optional
        Records: `customer_id`, a whole number `period` or a `date` (all tables agree which), the
        `channel` (for actions: `action`), and `value` or, for labels, `stage`.
        `crmlab.tables.records` lists how each table fills a panel. A channel column may be
        categorical: its categories are the existing channels, with or without records, and the
        categories of `stage` are the stages in their order. Further columns are kept.
    window : (first, last), optional
        Periods or dates between which the firm keeps records, both inclusive. Default: from the
        first to the last record (or customers' start and end).
    units : mapping of variable to text, optional
        The unit of each channel, e.g. ``{"spend": "EUR"}``; copied to the panel's attrs.
    provenance : mapping, optional
        Where the tables come from; must be valid JSON if the tables are to be written.
    truth : mapping of DataFrames, optional
        What only a simulated world knows.
    more : mapping of name to DataFrame, optional
        Further relational tables, which the panel does not read (touch points, orders line by
        line, costs). Any columns; `customer_id`, `period` and `date` follow the rules of the
        records, and `split_holdout` cuts these tables too.

    Raises
    ------
    DataError
        If any rule is broken: all problems at once, with example rows.

    Examples
    --------
    >>> from crmlab.tables import to_panel
    >>> customers = pd.DataFrame({"customer_id": [1, 2]})
    >>> visits = pd.DataFrame({"customer_id": [1, 1], "period": [0, 2], "channel": "visits"})
    >>> tables = CustomerTables(customers, visits, window=(0, 3))
    >>> tables
    CustomerTables(2 customers; 2 events (visits); window 0 to 3)
    >>> from crmlab.tables import to_panel
    >>> to_panel(tables, freq="M")["visits"].values
    array([[1., 0., 1., 0.],
           [0., 0., 0., 0.]])
    """

    customers: pd.DataFrame
    events: pd.DataFrame | None = None
    surveys: pd.DataFrame | None = None
    cases: pd.DataFrame | None = None
    labels: pd.DataFrame | None = None
    actions: pd.DataFrame | None = None
    window: tuple[Any, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, pd.DataFrame] | None = None
    more: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Convert and copy the tables, so that later changes to the input have no effect."""
        names = ("customers", *(form.name for form in FORMS))
        raw = {name: getattr(self, name) for name in names}
        clean = clean_records(raw, self.window or None, self.more)
        for name, frame in clean.frames.items():
            object.__setattr__(self, name, frame)
        object.__setattr__(self, "window", clean.window)
        object.__setattr__(self, "more", clean.more)
        object.__setattr__(self, "units", dict(self.units))
        object.__setattr__(self, "provenance", dict(self.provenance))
        _check_units(self)

    def __repr__(self) -> str:
        """Summarise the tables, without the truth."""
        parts = [f"{len(self.customers):,} customers"]
        parts += [
            f"{len(frame):,} {form.name} ({', '.join(variables_of(form.name, frame))})"
            for form, frame in self.records()
        ]
        parts += [f"{len(frame):,} {name}" for name, frame in self.more.items()]
        first, last = (str(end).removesuffix(" 00:00:00") for end in self.window)
        return f"CustomerTables({'; '.join(parts)}; window {first} to {last})"

    def records(self) -> Iterator[tuple[RecordForm, pd.DataFrame]]:
        """Yield each record table with its form, which says how it aggregates."""
        for form in FORMS:
            frame = getattr(self, form.name)
            if frame is not None:
                yield form, frame

    def table(self, name: str) -> pd.DataFrame:
        """Give a record table by name, such as "events"; raise `SpecError` if it is not there."""
        tables = {form.name: frame for form, frame in self.records()}
        check_one_of("CustomerTables.table", "name", name, tables)
        return tables[name]

    @property
    def is_dated(self) -> bool:
        """Whether the records have dates; if not, they have periods."""
        return isinstance(self.window[0], pd.Timestamp)

    @property
    def periods(self) -> range:
        """The periods of tables that have periods, e.g. range(0, 24)."""
        if self.is_dated:
            raise SpecError("These tables have dates: their periods depend on to_panel(freq=...).")
        return range(self.window[0], self.window[1] + 1)

    @property
    def channels(self) -> dict[str, str]:
        """The panel variables that the records define, and the table of each."""
        return {
            variable: form.name
            for form, frame in self.records()
            for variable in variables_of(form.name, frame)
        }


def _check_units(tables: CustomerTables) -> None:
    known = [*tables.channels, *variables_of("customers", tables.customers)]
    unknown = sorted(set(tables.units) - set(known))
    if unknown:
        raise SpecError(
            f"CustomerTables: `units` names {listed(unknown)}, but the tables have {listed(known)}"
        )


def with_provenance(tables: CustomerTables, entries: Mapping[str, Any]) -> CustomerTables:
    """Add entries to the provenance of tables, without checking the tables again.

    Parameters
    ----------
    tables : CustomerTables
    entries : mapping
        Further entries of the provenance.

    Returns
    -------
    CustomerTables
        A copy that shares its frames.
    """
    stamped = copy.copy(tables)
    object.__setattr__(stamped, "provenance", {**tables.provenance, **entries})
    return stamped


def split_holdout(tables: CustomerTables, *, cutoff: Any) -> tuple[CustomerTables, CustomerTables]:
    """Split tables in time, before anything is aggregated.

    Parameters
    ----------
    tables : CustomerTables
    cutoff : int or date
        The first period, or the first day, of the holdout.

    Returns
    -------
    train, holdout : CustomerTables
        Records before the cutoff, and from the cutoff onwards; the windows end and begin there. A
        customer belongs to a part if the customer's window overlaps it, with or without records.
        Neither part has the truth. A cutoff inside a week or month splits it: choose a cutoff at
        the start of a period of the panel that you will build.

    Raises
    ------
    SpecError
        If the cutoff is of the wrong kind, or leaves one side empty.

    Examples
    --------
    >>> customers = pd.DataFrame({"customer_id": [1]})
    >>> visits = pd.DataFrame({"customer_id": 1, "period": [0, 2, 3], "channel": "visits"})
    >>> train, holdout = split_holdout(CustomerTables(customers, visits), cutoff=2)
    >>> train.periods, holdout.periods, len(holdout.events)
    (range(0, 2), range(2, 4), 2)
    """
    cut = _check_cutoff(tables, cutoff)
    before = cut - (pd.Timedelta(days=1) if tables.is_dated else 1)
    first, last = tables.window
    return _part(tables, "train", (first, before)), _part(tables, "holdout", (cut, last))


def _check_cutoff(tables: CustomerTables, cutoff: object) -> Time:
    cut = read_time(cutoff)
    first, last = tables.window
    kind = "a date" if tables.is_dated else "a whole number"
    if cut is None or isinstance(cut, int) == tables.is_dated:
        raise SpecError(
            f"split_holdout: `cutoff` must be {kind}, because the tables have "
            f"{'dates' if tables.is_dated else 'periods'}, got {cutoff!r}"
        )
    if not first < cut <= last:
        raise SpecError(
            f"split_holdout: `cutoff`, where the holdout begins, must be later than {first} and no "
            f"later than {last}, got {cutoff!r}"
        )
    return cut


def _part(tables: CustomerTables, name: str, window: tuple[Time, Time]) -> CustomerTables:
    customers = _customers_within(tables, name, window)
    records = {
        form.name: frame[_within(times(frame), window)].reset_index(drop=True)
        for form, frame in tables.records()
    }
    more = {
        title: _rows_within(frame, customers, window).reset_index(drop=True)
        for title, frame in tables.more.items()
    }
    part = {"part": name, "part_window": [str(end) for end in window]}
    changed = {"provenance": {**tables.provenance, **part}, "truth": None, "more": more, **records}
    return replace(tables, customers=customers, window=window, **changed)


def _rows_within(
    frame: pd.DataFrame, customers: pd.DataFrame, window: tuple[Time, Time]
) -> pd.DataFrame:
    """Keep the rows of a further table that lie in this part's window, for its customers."""
    kept = pd.Series(True, index=frame.index)
    if "customer_id" in frame:
        kept &= frame["customer_id"].isin(customers["customer_id"])
    if "period" in frame or "date" in frame:
        kept &= _within(times(frame), window)
    return frame[kept]


def _customers_within(tables: CustomerTables, name: str, window: tuple[Time, Time]) -> pd.DataFrame:
    """Keep the customers whose window overlaps this one, and clip their windows."""
    first, last = customer_windows(tables.customers, tables.window)
    inside = (first <= window[1]) & (last >= window[0])
    if not inside.any():
        raise SpecError(f"The `cutoff` parameter leaves no customer in the {name}.")
    clipped = {"start": first.clip(lower=window[0]), "end": last.clip(upper=window[1])}
    stated = {column: clipped[column] for column in clipped if column in tables.customers}
    return tables.customers.assign(**stated)[inside].reset_index(drop=True)


def _within(values: pd.Series, window: tuple[Time, Time]) -> pd.Series:
    return (values >= window[0]) & (values <= window[1])


def listed(names: Sequence[str]) -> str:
    """Return names as a list in words, "none" if there are none."""
    return ", ".join(repr(name) for name in names) or "none"
