"""From tables to the panel that models read.

**Each kind of table aggregates in its own way.** A firm's records arrive as rows: an order, an
answer to a survey, a complaint, a stage that somebody noted, a mailing. The *table* of a row
decides what a cell of the panel holds (`crmlab.tables.records` has the list): events and actions
add up, cases are counted, surveys are averaged, labels keep the last. Counts and sums are 0 in a
cell without a record, because nothing happened; means and labels are missing, because nobody asked.

**The window decides what silence means.** Without records, a customer is silent inside the window
of observation and unknown outside it. The window of the firm is (first, last), both inclusive; a
customer's own may be shorter: `customers.start` and `customers.end`. In the panel, `observed` says
which cells are inside; in all others, every channel is missing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from crmlab.arrays import Bools, Floats, Ints
from crmlab.errors import SpecError, refuse
from crmlab.tables.customer_tables import CustomerTables, listed
from crmlab.tables.records import RecordForm, customer_windows, variables_of

_FREQUENCIES = re.compile(r"D|W(-(MON|TUE|WED|THU|FRI|SAT|SUN))?|M|[QY](-[A-Z]{3})?")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def to_panel(
    tables: CustomerTables, *, freq: str, channels: Sequence[str] | None = None
) -> xr.Dataset:
    """Aggregate records into one cell per customer and period.

    Parameters
    ----------
    tables : CustomerTables
    freq : str
        The length of a period, a pandas period alias. Dates are binned by it: "D", "W", "M", "Q"
        or "Y" (or an anchored one, such as "W-SUN": weeks that end on Sunday). **"W" counts weeks
        from the first day of the window**, so that the first week is complete. Tables with periods
        are never re-binned: for them, `freq` only states how long a period is.
    channels : sequence of str, optional
        The channels and actions to include; by default, all.

    Returns
    -------
    Dataset
        Dims (customer_id, period); one variable per channel and action, float; `observed` (bool),
        whether the period overlaps the customer's window. In an observed cell without a record,
        totals are 0, and means and labels are missing; in other cells, everything is missing.
        A label holds codes of ``attrs["categories"]``. Covariates have dim (customer_id,).
        `period` is the whole number, or the first day of the period. Each variable's attrs hold its
        ``kind`` (total, mean, label, covariate), its ``table``, and its ``unit`` if known; the
        panel's attrs hold ``freq``, ``window_start``, ``window_end`` and ``partial_periods``, the
        periods that the window covers only in part.

    Raises
    ------
    SpecError
        If `freq` is not a valid alias, or a channel is unknown.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": [7, 7], "date": ["1997-01-01", "1997-01-08"],
    ...                        "channel": "spend", "value": [29.33, 5.]})
    >>> tables = CustomerTables(pd.DataFrame({"customer_id": [7]}), orders, units={"spend": "USD"})
    >>> panel = to_panel(tables, freq="W")
    >>> panel["spend"].values.tolist(), panel["spend"].attrs["unit"]
    ([[29.33, 5.0]], 'USD')
    >>> panel.attrs["partial_periods"]
    '1997-01-08'
    """
    chosen = _chosen(tables, channels)
    clock = _Clock.of(tables, freq)
    grid = _Grid.of(tables, clock)
    variables = {
        name: values
        for form, frame in tables.records()
        for name, values in _variables(form, _keep(form, frame, chosen), grid, clock).items()
    }
    observed = xr.DataArray(grid.observed, dims=("customer_id", "period"))
    coords = {"customer_id": _plain_ids(tables.customers), "period": clock.coordinate}
    data = {**{name: variables[name] for name in chosen}, **_covariates(tables)}
    panel = xr.Dataset({**data, "observed": observed}, coords, _panel_attrs(tables, freq, clock))
    return panel.assign({name: _with_unit(panel[name], tables.units) for name in data})


def _with_unit(values: xr.DataArray, units: Mapping[str, str]) -> xr.DataArray:
    unit = units.get(str(values.name))
    return values if unit is None else values.assign_attrs(unit=unit)


def _chosen(tables: CustomerTables, channels: Sequence[str] | None) -> list[str]:
    known = list(tables.channels)
    chosen = known if channels is None else [channels] if isinstance(channels, str) else channels
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise SpecError(
            f"to_panel: `channels` names {listed(unknown)}, but the tables have {listed(known)}"
        )
    return list(chosen)


def observed_cells(panel: xr.Dataset) -> Bools:
    """Return which cells of a panel lie inside the customers' windows, (customer, period)."""
    return panel["observed"].transpose("customer_id", "period").values.astype(bool)


@dataclass(frozen=True)
class _Clock:
    """Turns times into the numbers 0, 1, 2, ... of the panel's periods."""

    first: int
    n_periods: int
    alias: str | None  # a pandas period alias; None if the tables have periods already
    partial: tuple[str, ...] = ()

    @classmethod
    def of(cls, tables: CustomerTables, freq: str) -> "_Clock":
        if not tables.is_dated:
            _check_label(freq)
            return cls(tables.periods[0], len(tables.periods), alias=None)
        alias = _alias(freq, tables.window[0])
        first, last = (pd.Period(end, freq=alias) for end in tables.window)
        partial = {
            period.start_time.date().isoformat(): None
            for period, whole in (
                (first, first.start_time == tables.window[0]),
                (last, last.end_time.normalize() == tables.window[1]),
            )
            if not whole
        }
        return cls(first.ordinal, last.ordinal - first.ordinal + 1, alias, tuple(partial))

    def codes(self, values: pd.Series) -> Ints:
        if self.alias is None:
            return values.to_numpy(dtype=np.int64) - self.first
        return pd.DatetimeIndex(values).to_period(self.alias).asi8 - self.first

    @property
    def coordinate(self) -> NDArray[Any]:
        numbers = np.arange(self.first, self.first + self.n_periods)
        if self.alias is None:
            return numbers
        starts = pd.PeriodIndex.from_ordinals(numbers, freq=self.alias).to_timestamp()
        return starts.as_unit("ns").to_numpy()


def _check_label(freq: object) -> None:
    if not isinstance(freq, str) or not freq:
        rule = "text that says how long a period is, such as 'W', 'M' or 'Q'"
        refuse("to_panel", "freq", rule, freq)


def _alias(freq: object, window_start: pd.Timestamp) -> str:
    """Check a period alias, and anchor weeks on the weekday of the window's first day."""
    if isinstance(freq, str) and _FREQUENCIES.fullmatch(freq):
        try:
            pd.Period(window_start, freq=freq)
        except ValueError:  # an anchor that is not a month
            pass
        else:
            last_weekday = _WEEKDAYS[(window_start.weekday() - 1) % 7]
            return f"W-{last_weekday}" if freq == "W" else freq
    raise SpecError(
        "to_panel: `freq` must be a period alias: 'D', 'W', 'M', 'Q', 'Y', or one with an anchor, "
        f"such as 'W-SUN' or 'Q-JAN', got {freq!r}"
    )


@dataclass(frozen=True)
class _Grid:
    """The cells of a panel, customer by customer, and which of them are observed."""

    ids: pd.Index
    observed: Bools

    @classmethod
    def of(cls, tables: CustomerTables, clock: _Clock) -> "_Grid":
        first, last = customer_windows(tables.customers, tables.window)
        period = np.arange(clock.n_periods)
        observed = (clock.codes(first)[:, None] <= period) & (period <= clock.codes(last)[:, None])
        return cls(pd.Index(tables.customers["customer_id"]), observed)

    def cells(self, ids: pd.Series, periods: Ints) -> Ints:
        return self.ids.get_indexer(ids) * self.observed.shape[1] + periods


def _keep(form: RecordForm, frame: pd.DataFrame, chosen: Sequence[str]) -> pd.DataFrame:
    """Keep the records and the categories of the chosen channels."""
    known = frame[form.key].cat.categories
    if set(known) <= set(chosen):
        return frame
    keys = frame[form.key].cat.set_categories([name for name in known if name in chosen])
    return frame.assign(**{form.key: keys})[keys.notna()]


def _variables(
    form: RecordForm, frame: pd.DataFrame, grid: _Grid, clock: _Clock
) -> dict[str, xr.DataArray]:
    """Fill the cells of all channels of one table at once: one long count over channel x cell."""
    time = frame["period"] if "period" in frame else frame["date"]
    keys = frame[form.key].cat
    cells = grid.cells(frame["customer_id"], clock.codes(time))
    cells = cells + keys.codes.to_numpy(dtype=np.int64) * grid.observed.size
    size = grid.observed.size * len(keys.categories)
    filled = _FILL[form.kind](form, frame, cells, size, time)
    filled = filled.reshape(len(keys.categories), *grid.observed.shape)
    attrs: dict[str, Any] = {"kind": form.kind, "table": form.name}
    if form.kind == "label":
        attrs["categories"] = list(frame["stage"].cat.categories)
    return {
        name: xr.DataArray(
            np.where(grid.observed, values, np.nan),
            dims=("customer_id", "period"),
            attrs=attrs,
        )
        for name, values in zip(keys.categories, filled, strict=True)
    }


def _fill_total(
    form: RecordForm, frame: pd.DataFrame, cells: Ints, size: int, time: pd.Series
) -> Floats:
    if form.value is None:
        return np.bincount(cells, minlength=size).astype(np.float64)
    return _sum(cells, frame[form.value].to_numpy(), size)


def _fill_mean(
    form: RecordForm, frame: pd.DataFrame, cells: Ints, size: int, time: pd.Series
) -> Floats:
    values = frame[form.value].to_numpy()
    answered = ~np.isnan(values)
    n_answers = np.bincount(cells[answered], minlength=size)
    total = _sum(cells[answered], values[answered], size)
    return np.divide(total, n_answers, out=np.full(size, np.nan), where=n_answers > 0)


def _fill_label(
    form: RecordForm, frame: pd.DataFrame, cells: Ints, size: int, time: pd.Series
) -> Floats:
    codes = frame[form.value].cat.codes.to_numpy()
    labelled = np.flatnonzero(codes >= 0)
    in_time = labelled[np.argsort(time.to_numpy()[labelled], kind="stable")]
    filled = np.full(size, np.nan)
    filled[cells[in_time]] = codes[in_time]  # the last of several values in one cell wins
    return filled


_FILL = {"total": _fill_total, "mean": _fill_mean, "label": _fill_label}


def _sum(cells: Ints, values: Floats, size: int) -> Floats:
    """Sum in an order that depends only on the values, so that the order of rows has no effect."""
    if not (values % 1 == 0).all():
        order = np.lexsort((values, cells))
        cells, values = cells[order], values[order]
    return np.bincount(cells, weights=values, minlength=size)


def _covariates(tables: CustomerTables) -> dict[str, xr.DataArray]:
    return {
        name: _covariate(tables.customers[name])
        for name in variables_of("customers", tables.customers)
    }


def _covariate(values: pd.Series) -> xr.DataArray:
    """Return a covariate as numbers, or as codes with their categories if it is text."""
    attrs: dict[str, Any] = {"kind": "covariate", "table": "customers"}
    if isinstance(values.dtype, pd.CategoricalDtype):
        attrs["categories"] = list(values.cat.categories)
        codes = values.cat.codes.to_numpy()
        return xr.DataArray(np.where(codes < 0, np.nan, codes), dims="customer_id", attrs=attrs)
    if pd.api.types.is_datetime64_dtype(values):
        return xr.DataArray(values.to_numpy("datetime64[ns]"), dims="customer_id", attrs=attrs)
    return xr.DataArray(values.to_numpy(dtype=np.float64), dims="customer_id", attrs=attrs)


def _plain_ids(customers: pd.DataFrame) -> NDArray[Any]:
    ids = customers["customer_id"]
    return ids.to_numpy(dtype=str if isinstance(ids.dtype, pd.StringDtype) else np.int64)


def _panel_attrs(tables: CustomerTables, freq: str, clock: _Clock) -> dict[str, Any]:
    first, last = (end.date().isoformat() if tables.is_dated else end for end in tables.window)
    partial = ", ".join(clock.partial)
    return {"freq": freq, "window_start": first, "window_end": last, "partial_periods": partial}
