"""Orders of a shop that does not exist, for trying things on."""

import numpy as np
import pandas as pd

from crmlab.channels import Poisson
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.report.own.plan import build_stages

_FIRST_DAY = pd.Timestamp("2023-01-02")
_MATRIX = (
    (1.0, 0.0, 0.0, 0.0),
    (0.030, 0.960, 0.010, 0.0),
    (0.0, 0.030, 0.950, 0.020),
    (0.0, 0.0, 0.050, 0.950),
)


def invent_orders(customers: int, weeks: int, *, seed: int) -> pd.DataFrame:
    """Invent orders of customers who join in the first half of the window, and may be lost.

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
    >>> invent_orders(3, 10, seed=1)["customer_id"].nunique()
    3
    """
    shown = Poisson("orders", rate=(0.0005, 0.05, 0.2, 0.7))
    space = build_stages(may_lose=True, n_stages=4)
    world = StageWorld(space, (0.2, 0.4, 0.3, 0.1), _MATRIX, (shown,), n_periods=weeks)
    events = simulate(world, customers, seed=seed).events
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, max(1, weeks // 2), customers)
    rows = events.loc[events.index.repeat(events["value"].astype(int)), ["customer_id", "period"]]
    rows = rows[rows["period"].to_numpy() > joined[rows["customer_id"].to_numpy()]]
    first = pd.DataFrame({"customer_id": np.arange(customers), "period": joined})
    rows = pd.concat([first, rows], ignore_index=True)
    days = 7 * rows["period"].to_numpy() + rng.integers(0, 7, len(rows))
    typical = rng.lognormal(3.5, 0.5, customers)[rows["customer_id"].to_numpy()]
    frame = pd.DataFrame(
        {
            "customer_id": "C" + (rows["customer_id"] + 1).astype("str").str.zfill(5),
            "date": (_FIRST_DAY + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d"),
            "amount": (typical * rng.lognormal(0, 0.3, len(rows))).round(2),
        }
    )
    return frame.sort_values(["date", "customer_id"], kind="stable", ignore_index=True)
