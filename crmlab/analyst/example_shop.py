"""An invented shop to try reports on: its orders, touchpoints, surveys, cases and actions."""

import numpy as np
import pandas as pd

from crmlab.analyst.model import build_stages
from crmlab.channels import OrdinalSurvey, Poisson
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.tables import CustomerTables

_FIRST_DAY = pd.Timestamp("2023-01-02")
_MATRIX = (
    (1.0, 0.0, 0.0, 0.0),
    (0.030, 0.960, 0.010, 0.0),
    (0.0, 0.030, 0.950, 0.020),
    (0.0, 0.0, 0.050, 0.950),
)
_ORDERS = Poisson("orders", rate=(0.0005, 0.05, 0.2, 0.7))
_MORE_CHANNELS = (
    Poisson("touchpoints", rate=(0.02, 0.15, 0.40, 0.80)),
    Poisson("cases", rate=(0.004, 0.040, 0.020, 0.010)),
    OrdinalSurvey("surveys", location=(-1.2, -0.3, 0.5, 1.2), response_rate=0.08),
)
_COSTS = {"letter": 1.2, "coupon": 4.5}
_QUIET = 10  # weeks without an order before the firm acts


def simulate_orders(customers: int, weeks: int, *, seed: int) -> pd.DataFrame:
    """Simulate orders of customers who join in the first half of the window and may be lost.

    Parameters
    ----------
    customers, weeks : int
    seed : int

    Returns
    -------
    DataFrame
        customer_id, date (day), amount (two decimals), sorted by date. Everybody has a first
        order; what follows is drawn from the stages.

    Examples
    --------
    >>> simulate_orders(3, 10, seed=1)["customer_id"].nunique()
    3
    """
    return simulate_shop(customers, weeks, seed=seed)["orders"]


def simulate_shop(customers: int, weeks: int, *, seed: int) -> dict[str, pd.DataFrame]:
    """Simulate the orders of a shop, and its touchpoints, surveys, cases and actions.

    Touchpoints, cases and scores follow the same stages as the orders. The actions are letters and
    coupons to customers who have been silent for ten weeks. They **change nothing**: if the
    treated behave differently, it is because of who they are.

    Parameters
    ----------
    customers, weeks : int
    seed : int

    Returns
    -------
    dict of name to DataFrame
        "orders", as `simulate_orders` gives them; "touchpoints" (customer_id, date, channel; one in
        fifty belongs to somebody who never ordered), "surveys" (customer_id, date, score 1 to 5,
        empty where nobody answered), "cases" (customer_id, opened, closed, type), "actions"
        (customer_id, date, action, cost).

    Examples
    --------
    >>> {name: list(frame) for name, frame in simulate_shop(20, 30, seed=1).items()}["actions"]
    ['customer_id', 'date', 'action', 'cost']
    """
    space = build_stages(may_lose=True)
    start = (0.2, 0.4, 0.3, 0.1)
    world = StageWorld(space, start, _MATRIX, (_ORDERS, *_MORE_CHANNELS), n_periods=weeks)
    tables = simulate(world, customers, seed=seed)
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, max(1, weeks // 2), customers)
    orders = _date_orders(tables, joined, rng)
    more = np.random.default_rng((seed, 1))  # so that orders are the same with and without files
    return {
        "orders": orders,
        "touchpoints": _touchpoints(tables, joined, more),
        "surveys": _surveys(tables, joined, more),
        "cases": _cases(tables, joined, more),
        "actions": _actions(orders, weeks, more),
    }


def _date_orders(
    tables: CustomerTables, joined: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    rows = _rows(tables, "orders", joined)
    first = pd.DataFrame({"customer_id": np.arange(len(joined)), "period": joined})
    rows = pd.concat([first, rows], ignore_index=True)
    days = _days(rows, rng)
    typical = rng.lognormal(3.5, 0.5, len(joined))[rows["customer_id"].to_numpy()]
    amount = (typical * rng.lognormal(0, 0.3, len(rows))).round(2)
    return _frame(rows, days, amount=amount)


def _rows(tables: CustomerTables, channel: str, joined: np.ndarray) -> pd.DataFrame:
    """List the events after the week in which a customer joined, one row each."""
    events = tables.table("events")
    events = events[events["channel"] == channel]
    rows = events.loc[events.index.repeat(events["value"].astype(int)), ["customer_id", "period"]]
    return rows[rows["period"].to_numpy() > joined[rows["customer_id"].to_numpy()]]


def _days(rows: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draw a day of the week for each row."""
    return 7 * rows["period"].to_numpy() + rng.integers(0, 7, len(rows))


def _write(days: np.ndarray) -> pd.Index:
    return (_FIRST_DAY + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d")


def _name(customers: pd.Series) -> pd.Series:
    return "C" + (customers + 1).astype("str").str.zfill(5)


def _frame(
    rows: pd.DataFrame, days: np.ndarray, *, date: str = "date", **columns: object
) -> pd.DataFrame:
    frame = {"customer_id": _name(rows["customer_id"]), date: _write(days), **columns}
    table = pd.DataFrame(frame)
    return table.sort_values([date, "customer_id"], kind="stable", ignore_index=True)


def _touchpoints(
    tables: CustomerTables, joined: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    rows = _rows(tables, "touchpoints", joined)
    strange = rng.random(len(rows)) < 0.02
    rows = rows.assign(customer_id=rows["customer_id"] + np.where(strange, 90_000, 0))
    channel = rng.choice(["web", "phone", "shop"], len(rows), p=[0.6, 0.25, 0.15])
    return _frame(rows, _days(rows, rng), channel=channel)


def _surveys(tables: CustomerTables, joined: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    answers = tables.table("surveys")[["customer_id", "period", "value"]].dropna()
    silent = answers.sample(frac=0.5, random_state=rng).assign(value=np.nan)
    rows = pd.concat([answers, silent], ignore_index=True)
    rows = rows[rows["period"].to_numpy() > joined[rows["customer_id"].to_numpy()]]
    return _frame(rows, _days(rows, rng), score=rows["value"].astype("Int64"))


def _cases(tables: CustomerTables, joined: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    rows = _rows(tables, "cases", joined)
    days = _days(rows, rng)
    kind = rng.choice(["delivery", "invoice", "quality"], len(rows))
    closed = _write(days + rng.integers(1, 15, len(rows)))
    return _frame(rows, days, date="opened", closed=closed, type=kind)


def _actions(orders: pd.DataFrame, weeks: int, rng: np.random.Generator) -> pd.DataFrame:
    """Treat a third of those who have been silent for ten weeks, every fourth week."""
    day = (pd.to_datetime(orders["date"]) - _FIRST_DAY).dt.days
    rows = []
    for week in range(_QUIET, weeks, 4):
        last = day[day < 7 * week].groupby(orders["customer_id"]).max()
        silent = last.index[last < 7 * (week - _QUIET)]
        told = silent[rng.random(len(silent)) < 1 / 3]
        rows += [(one, 7 * week) for one in told]
    table = pd.DataFrame(rows, columns=["customer_id", "day"])
    name = rng.choice(list(_COSTS), len(table))
    return pd.DataFrame({
        "customer_id": table["customer_id"].astype("str"),
        "date": pd.Series(_write(table["day"].to_numpy(dtype=int)), dtype="str"),
        "action": pd.Series(name, dtype="str"),
        "cost": pd.Series(name, dtype="str").map(_COSTS).astype(float),
    })  # fmt: skip
