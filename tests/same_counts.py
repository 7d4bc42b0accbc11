"""The same counts on any backend: orders and labels, and what pandas says of them.

Used by the tests of the Ibis expressions, on DuckDB and, with the extras, on PySpark.
"""

import numpy as np
import pandas as pd

from crmlab import CustomerTables, chains, to_panel, warehouse
from crmlab.tables import rfm_summary

WINDOW = ("2023-01-10", "2024-05-20")
FREQUENCIES = ("D", "W", "M", "Q", "Y")
STAGES = ("a", "b", "c")


def orders(seed: int, n: int = 600) -> pd.DataFrame:
    """Orders of 60 customers with a time of day, several on one day, some at the window's ends."""
    rng = np.random.default_rng(seed)
    first, last = (pd.Timestamp(end) for end in WINDOW)
    minutes = rng.integers(0, ((last - first).days + 1) * 1440, n)
    minutes[:3] = 0, minutes.max(), 1439
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(1, 61, n),
            "date": (first + pd.to_timedelta(minutes, unit="min")).astype("datetime64[us]"),
            "amount": rng.integers(100, 9_999, n) / 100,
        }
    )
    return pd.concat([frame, frame.head(20)], ignore_index=True)


def labels(seed: int) -> pd.DataFrame:
    """Stages of 40 customers in 9 periods, a third of them untold."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer_id": np.repeat(np.arange(40), 9),
            "period": np.tile(np.arange(9), 40),
            "stage": np.array(STAGES)[rng.integers(0, 3, 360)],
        }
    )
    return frame[rng.random(360) < 2 / 3]


def check_summary(rows: pd.DataFrame, connection=None) -> None:
    end = "2024-01-31"
    pandas = rfm_summary(rows, observation_end=end)
    found = warehouse.collect(
        warehouse.order_summary(warehouse.as_expression(rows), observation_end=end), connection
    )
    found = found.sort_values("customer_id", ignore_index=True)
    assert found["customer_id"].tolist() == pandas["customer_id"].tolist()
    assert found["frequency"].tolist() == pandas["frequency"].tolist()
    for name in ("recency", "T", "monetary_value"):
        np.testing.assert_allclose(found[name], pandas[name], rtol=1e-12)


def check_cells(rows: pd.DataFrame, freq: str, connection=None) -> None:
    """The panel of the cells, dense again, is the panel of the rows."""
    events = pd.concat(
        [
            rows.assign(channel="orders", value=1.0),
            rows.assign(channel="spend", value=rows["amount"]),
        ],
        ignore_index=True,
    )
    people = pd.DataFrame({"customer_id": np.arange(1, 61)})
    pandas = to_panel(CustomerTables(people, events, window=WINDOW), freq=freq)
    cells = warehouse.collect(
        warehouse.panel_cells(warehouse.as_expression(events), window=WINDOW, freq=freq), connection
    )
    periods = (0, pandas.sizes["period"] - 1)
    found = to_panel(CustomerTables(people, cells, window=periods), freq="M")
    np.testing.assert_array_equal(found["orders"], pandas["orders"])
    np.testing.assert_allclose(found["spend"], pandas["spend"], rtol=1e-12)


def check_recency_moves(rows: pd.DataFrame, freq: str, n_stages: int, connection=None) -> None:
    """Moves from the gaps are the moves of paths that are written out, period by period."""
    gaps = warehouse.collect(
        warehouse.purchase_gaps(warehouse.as_expression(rows), window=WINDOW, freq=freq), connection
    )
    people = pd.DataFrame({"customer_id": rows["customer_id"].unique()})
    events = rows[["customer_id", "date"]].assign(channel="orders")
    bought = to_panel(CustomerTables(people, events, window=WINDOW), freq=freq)["orders"].values > 0
    found = warehouse.recency_moves(gaps, n_stages)
    np.testing.assert_array_equal(
        found, chains.transition_counts(_recency_paths(bought, n_stages), n_stages)
    )


def _recency_paths(bought: np.ndarray, n_stages: int) -> np.ndarray:
    paths = np.full(bought.shape, -1)
    for row, path in zip(bought, paths, strict=True):
        stage = -1
        for t, now in enumerate(row):
            stage = 0 if now else stage if stage < 0 else min(stage + 1, n_stages - 1)
            path[t] = stage
    return paths


def check_label_moves(told: pd.DataFrame, connection=None) -> None:
    codes = told.assign(stage=told["stage"].map(STAGES.index))
    paths = codes.pivot(index="customer_id", columns="period", values="stage")
    paths = paths.fillna(-1).to_numpy(dtype=np.int64)
    moves = warehouse.collect(warehouse.stage_moves(warehouse.as_expression(told)), connection)
    np.testing.assert_array_equal(
        warehouse.move_matrix(moves, STAGES), chains.transition_counts(paths, len(STAGES))
    )
