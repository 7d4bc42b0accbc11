"""The same counts, computed where the rows are: summaries, panels and moves as Ibis expressions.

An expression says what to compute, and the engine that holds the rows computes it: DuckDB on a
laptop, PySpark on a cluster. Only `collect` runs a query. What comes back is small: a row per
customer, per cell that is not empty, or per kind of move. `as_expression` and `collect` convert
from pandas and back through Arrow, because Ibis's own conversion uses a deprecated pandas option.
Each expression gives exactly the counts of a function on pandas:

==================  ====================================================
expression          on pandas
==================  ====================================================
`order_summary`     `crmlab.tables.rfm_summary`
`panel_cells`       `crmlab.to_panel`
`stage_moves`       `crmlab.chains.transition_counts`
`purchase_gaps`     the same, for stages of recency (`recency_moves`)
==================  ====================================================

Only operations that every backend of Ibis has are used: grouping, windows, arithmetic on dates.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.arrays import Ints, check_count
from crmlab.errors import DataError, check_one_of, raise_problems, refuse
from crmlab.tables.records import FORMS, RecordForm, clean_window, read_time

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends import BaseBackend

_DAYS = {"D": 1, "W": 7}
_FREQUENCIES = ("D", "W", "M", "Q", "Y")


def as_expression(frame: pd.DataFrame) -> "ir.Table":
    """Turn a frame in memory into an expression that any backend can run.

    Parameters
    ----------
    frame : DataFrame
        Categories become text; the index is dropped.

    Returns
    -------
    ibis Table
    """
    import ibis
    import pyarrow as pa

    named = frame.select_dtypes("category").columns
    plain = frame.astype({name: frame[name].cat.categories.dtype for name in named})
    return ibis.memtable(pa.Table.from_pandas(plain, preserve_index=False))


def collect(expression: "ir.Table", connection: "BaseBackend | None" = None) -> pd.DataFrame:
    """Run an expression and bring the result into memory.

    Parameters
    ----------
    expression : ibis Table
    connection : Ibis backend, optional
        Where to run it; by default, the backend that holds the rows, or DuckDB.

    Returns
    -------
    DataFrame
        Dates as datetime64, text as str; rows in no particular order.

    Examples
    --------
    >>> orders = as_expression(pd.DataFrame({"customer_id": [1, 1, 2]}))
    >>> collect(orders.group_by("customer_id").aggregate(n=orders.count()).order_by("n"))
       customer_id  n
    0            2  1
    1            1  2
    """
    arrow = expression.to_pyarrow() if connection is None else connection.to_pyarrow(expression)
    return arrow.to_pandas(date_as_object=False)


def daily_purchases(orders: "ir.Table") -> "ir.Table":
    """Merge the orders of one customer on one day into one purchase.

    Parameters
    ----------
    orders : ibis Table
        customer_id, date (a date or a timestamp), optional amount (currency).

    Returns
    -------
    ibis Table
        customer_id, day and, if there are amounts, amount (their sum).

    Raises
    ------
    DataError
        If a column is missing.
    """
    _need("orders", orders, ["customer_id", "date"])
    days = orders.mutate(day=orders["date"].cast("date"))
    sums = {"amount": days["amount"].sum()} if "amount" in orders.columns else {}
    return days.group_by("customer_id", "day").aggregate(n_orders=days.count(), **sums)


def order_summary(orders: "ir.Table", *, observation_end: Any, freq: str = "W") -> "ir.Table":
    """Summarise orders per customer, as `crmlab.tables.rfm_summary` does.

    Parameters
    ----------
    orders : ibis Table
        customer_id, date, optional amount (currency).
    observation_end : date
        The last day of observation, inclusive.
    freq : {"W", "D"}
        The unit of recency and T: weeks (days / 7, with decimals) or days.

    Returns
    -------
    ibis Table
        customer_id, frequency, recency, T and, if there are amounts, monetary_value; in no
        particular order.

    Raises
    ------
    DataError
        If a column is missing.
    SpecError
        If `observation_end` is not a date, or `freq` is not valid.

    Examples
    --------
    >>> dates = pd.to_datetime(["1997-01-01", "1997-01-18", "1997-08-02"])
    >>> orders = as_expression(pd.DataFrame({"customer_id": 1, "date": dates}))
    >>> summary = order_summary(orders, observation_end="1997-09-30")
    >>> collect(summary).round(2).to_dict("records")
    [{'customer_id': 1, 'frequency': 2, 'recency': 30.43, 'T': 38.86}]
    """
    import ibis

    check_one_of("order_summary", "freq", freq, _DAYS)
    end = ibis.date(_day("order_summary", "observation_end", observation_end))
    days = daily_purchases(orders)
    seen = days.filter(days["day"] <= end)
    first = seen["day"].min().over(ibis.window(group_by="customer_id"))
    dated = seen.mutate(first=first)
    by_customer = dated.group_by("customer_id").aggregate(
        n=dated.count(), first=dated["first"].min(), last=dated["day"].max(), **_repeats(dated)
    )
    unit = _DAYS[freq]
    columns = {
        "customer_id": by_customer["customer_id"],
        "frequency": by_customer["n"] - 1,
        "recency": by_customer["last"].delta(by_customer["first"], unit="day") / unit,
        "T": end.delta(by_customer["first"], unit="day") / unit,
    }
    if "repeats" in by_customer.columns:
        per_purchase = by_customer["repeats"] / (by_customer["n"] - 1).nullif(0)
        columns["monetary_value"] = per_purchase.fill_null(0.0)
    return by_customer.select(**columns)


def _repeats(days: "ir.Table") -> dict[str, "ir.Value"]:
    if "amount" not in days.columns:
        return {}
    return {"repeats": days["amount"].sum(where=days["day"] > days["first"])}


def panel_cells(
    records: "ir.Table", *, table: str = "events", window: tuple[Any, Any], freq: str
) -> "ir.Table":
    """Fill the cells of a panel: one row per customer, period and channel with a record.

    Parameters
    ----------
    records : ibis Table
        customer_id, date or period, and the columns of the table (see `crmlab.tables.records`).
    table : {"events", "cases", "surveys", "labels", "actions"}
        The kind of table, which decides how a cell is filled: a sum, a count, a mean, or the last
        label.
    window : (first, last)
        Two dates or two periods, both inclusive; records outside are left out.
    freq : {"D", "W", "M", "Q", "Y"}
        The length of a period; weeks count from the first day of the window. Records with periods
        are never re-binned.

    Returns
    -------
    ibis Table
        customer_id, period (0 is the first of the window), the channel (or action), and value or
        stage. A cell without a record has no row. The collected result is itself a table of records
        with periods: pass it to `CustomerTables`, and `to_panel` makes the panel.

    Raises
    ------
    DataError
        If a column is missing.
    SpecError
        If `table`, `window` or `freq` is not valid.

    Examples
    --------
    >>> visits = pd.DataFrame({"customer_id": [1, 1, 1], "period": [0, 2, 2], "channel": "visits"})
    >>> cells = panel_cells(as_expression(visits), window=(0, 3), freq="M")
    >>> collect(cells.order_by("period"))[["period", "value"]].values.tolist()
    [[0.0, 1.0], [2.0, 2.0]]
    """
    check_one_of("panel_cells", "table", table, [form.name for form in FORMS])
    form = next(form for form in FORMS if form.name == table)
    time = "period" if "period" in records.columns else "date"
    _need(table, records, [*form.required, time])
    inside = _within(records, time, _window("panel_cells", window, time), freq)
    cells = inside.group_by("customer_id", "cell", form.key)
    filled = cells.aggregate(**{form.value or "value": _fill(form, inside, time)})
    return filled.rename(period="cell")


def _within(records: "ir.Table", time: str, window: tuple, freq: str) -> "ir.Table":
    """Give each record the number of its period; leave out those outside the window."""
    import ibis

    check_one_of("panel_cells", "freq", freq, _FREQUENCIES)
    if time == "period":
        when, first, last = records["period"], *window
        cell = when - first
    else:
        when = records["date"].cast("date")
        first, last = (ibis.date(end.date().isoformat()) for end in window)
        cell = _period(when, window[0], freq)
    return records.mutate(cell=cell.cast("int64")).filter((when >= first) & (when <= last))


def _period(day: "ir.DateValue", first: pd.Timestamp, freq: str) -> "ir.IntegerValue":
    import ibis

    if freq in _DAYS:
        since = day.delta(ibis.date(first.date().isoformat()), unit="day")
        return (since / _DAYS[freq]).floor()
    if freq == "Y":
        return day.year() - first.year
    if freq == "Q":
        return (day.year() - first.year) * 4 + day.quarter() - first.quarter
    return (day.year() - first.year) * 12 + day.month() - first.month


def _fill(form: RecordForm, records: "ir.Table", time: str) -> "ir.Scalar":
    if form.value is None or form.value not in records.columns:
        return records.count().cast("float64")
    values = records[form.value]
    if form.kind == "label":
        return values.argmax(records[time])
    return values.mean() if form.kind == "mean" else values.sum()


def stage_moves(labels: "ir.Table") -> "ir.Table":
    """Count the moves between stages in consecutive periods.

    Parameters
    ----------
    labels : ibis Table
        customer_id, period (whole number), stage; one row per customer and period at most, as
        `panel_cells` gives it. A missing stage, like a missing row, breaks the path.

    Returns
    -------
    ibis Table
        stage_from, stage_to, n (moves); pairs that never occur have no row.

    Raises
    ------
    DataError
        If a column is missing.

    Examples
    --------
    >>> path = pd.DataFrame({"customer_id": 1, "period": [0, 1, 3], "stage": ["a", "b", "a"]})
    >>> move_matrix(collect(stage_moves(as_expression(path))), ("a", "b"))
    array([[0, 1],
           [0, 0]])
    """
    import ibis

    _need("labels", labels, ["customer_id", "period", "stage"])
    known = labels.filter(labels["stage"].notnull())
    path = ibis.window(group_by="customer_id", order_by="period")
    moves = known.mutate(
        stage_from=known["stage"].lag().over(path), before=known["period"].lag().over(path)
    )
    direct = moves.filter(moves["before"] == moves["period"] - 1).rename(stage_to="stage")
    return direct.group_by("stage_from", "stage_to").aggregate(n=direct.count())


def move_matrix(moves: pd.DataFrame, stages: Sequence[str]) -> Ints:
    """Arrange counted moves in a matrix.

    Parameters
    ----------
    moves : DataFrame
        stage_from, stage_to, n: `stage_moves`, collected.
    stages : sequence of str
        The stages in their order, e.g. ``space.names``.

    Returns
    -------
    ndarray of int, shape (K, K)
        Row = stage before, column = stage after.

    Raises
    ------
    DataError
        If a stage is not in the list.
    """
    place = {name: code for code, name in enumerate(stages)}
    strange = sorted({*moves["stage_from"], *moves["stage_to"]} - set(place))
    raise_problems(DataError, "move_matrix", [f"{name!r} is not a stage" for name in strange])
    counts = np.zeros((len(place), len(place)), dtype=np.int64)
    cells = (moves["stage_from"].map(place), moves["stage_to"].map(place))
    np.add.at(counts, tuple(cell.to_numpy(dtype=np.int64) for cell in cells), moves["n"])
    return counts


def purchase_gaps(orders: "ir.Table", *, window: tuple[Any, Any], freq: str) -> "ir.Table":
    """Count the gaps between periods with a purchase, and the silence after the last one.

    Parameters
    ----------
    orders : ibis Table
        customer_id, date.
    window : (first, last) dates, both inclusive
    freq : {"D", "W", "M", "Q", "Y"}

    Returns
    -------
    ibis Table
        gap (periods), closed (True if a purchase ended it, False if the window did), n. The open
        gap of a customer runs from the last purchase to the end of the window, and may be 0.

    Raises
    ------
    DataError, SpecError
        If a column is missing, or an option is not valid.

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-05", "2024-03-09"])
    >>> orders = as_expression(pd.DataFrame({"customer_id": 1, "date": dates}))
    >>> gaps = purchase_gaps(orders, window=("2024-01-01", "2024-12-31"), freq="M")
    >>> collect(gaps.order_by("gap")).values.tolist()
    [[2, True, 1], [9, False, 1]]
    """
    import ibis

    _need("orders", orders, ["customer_id", "date"])
    first, last = _window("purchase_gaps", window, "date")
    inside = _within(orders, "date", (first, last), freq)
    bought = inside.select("customer_id", "cell").distinct()
    path = ibis.window(group_by="customer_id", order_by="cell")
    ahead = bought.mutate(later=bought["cell"].lead().over(path))
    end = _last_period(first, last, freq)
    gaps = ahead.select(
        gap=ahead["later"].fill_null(end) - ahead["cell"], closed=ahead["later"].notnull()
    )
    return gaps.group_by("gap", "closed").aggregate(n=gaps.count())


def _last_period(first: pd.Timestamp, last: pd.Timestamp, freq: str) -> int:
    if freq in _DAYS:
        return (last - first).days // _DAYS[freq]
    return last.to_period(freq).ordinal - first.to_period(freq).ordinal


def recency_moves(gaps: pd.DataFrame, n_stages: int) -> Ints:
    """Count the moves between stages of recency, from the gaps alone.

    A customer is in stage r if the last purchase was r - 1 periods ago; the last stage holds all
    who have been silent for longer. A gap of g periods that a purchase closes is the path
    1, 2, ..., g and back to 1; an open gap is 1, 2, ..., g + 1 (Pfeifer and Carraway 2000).

    Parameters
    ----------
    gaps : DataFrame
        gap, closed, n: `purchase_gaps`, collected.
    n_stages : int
        K, at least 1.

    Returns
    -------
    ndarray of int, shape (K, K)
        Moves from recency 1, ..., K to recency 1, ..., K.

    Raises
    ------
    SpecError
        If `n_stages` is not a whole number of at least 1.

    Examples
    --------
    >>> gaps = pd.DataFrame({"gap": [2, 9], "closed": [True, False], "n": [1, 1]})
    >>> recency_moves(gaps, 3)
    array([[0, 2, 0],
           [1, 0, 1],
           [0, 0, 7]])
    """
    check_count("recency_moves", "n_stages", n_stages)
    counts = np.zeros((n_stages, n_stages), dtype=np.int64)
    rows = gaps[["gap", "closed", "n"]].itertuples(index=False)
    for gap, closed, n in ((int(gap), bool(closed), int(n)) for gap, closed, n in rows):
        silent = gap - 1 if closed else gap  # moves that lead one step further from the purchase
        stairs = np.minimum(np.arange(silent + 1), n_stages - 1)
        np.add.at(counts, (stairs[:-1], stairs[1:]), n)
        if closed:
            counts[stairs[-1], 0] += n
    return counts


def _need(owner: str, table: "ir.Table", columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table.columns]
    listed = ", ".join(table.columns)
    problems = [f"column `{column}` is missing (there are: {listed})" for column in missing]
    raise_problems(DataError, owner, problems)


def _day(owner: str, parameter: str, value: object) -> str:
    day = read_time(value)
    if isinstance(day, pd.Timestamp):
        return day.date().isoformat()
    refuse(owner, parameter, "a date such as '1997-09-30'", value)


def _window(owner: str, window: tuple[Any, Any], time: str) -> tuple[Any, Any]:
    kind = int if time == "period" else pd.Timestamp
    ends = clean_window(window)[0]
    if ends and isinstance(ends[0], kind):
        return ends
    rule = f"(first, last), two {time}s in order, because the records have {time}s"
    refuse(owner, "window", rule, window)
