"""CDNOW: four models without stages, fitted to 39 weeks, forecast the next 39.

    python benchmarks/cdnow.py

prints, for each model, the log-likelihood, the time to fit, the total repeat purchases of the
holdout with their error, and two errors per customer: mean absolute error and root mean squared
error. The last line forecasts that everybody goes on at her own rate, as a firm without a model
would.
"""

import time

import numpy as np

from crmlab import load_cdnow_sample, split_holdout, tables_from_orders
from crmlab.btyd import BGNBD, MBGNBD, Buyers, BuyTillYouDie, ParetoNBD, fit_buyers
from crmlab.outlook import expected_purchases
from crmlab.tables import CustomerTables

WEEKS = 39


def holdout_purchases(later: CustomerTables, buyers: Buyers) -> np.ndarray:
    """Repeat purchases of each customer in the holdout, in the order of the buyers."""
    repeats = later.events[later.events["channel"] == "repeat_orders"]
    counts = repeats.groupby("customer_id").size()
    return counts.reindex(buyers.histories.index).fillna(0).to_numpy(dtype=float)


def describe(name: str, loglik: float, seconds: float, forecast: np.ndarray, actual) -> str:
    """One line of the table."""
    error = forecast - actual
    return (
        f"{name:<12}{loglik:>12.1f}{seconds:>9.2f}{forecast.sum():>10.0f}"
        f"{error.sum() / actual.sum():>9.1%}{np.abs(error).mean():>9.3f}"
        f"{np.sqrt((error**2).mean()):>9.3f}"
    )


def compare(kinds: tuple[type[BuyTillYouDie], ...] = (BGNBD, MBGNBD, ParetoNBD)) -> list[str]:
    """Fit each kind to the first 39 weeks and score its forecast of the next 39."""
    tables = tables_from_orders(load_cdnow_sample(), window=("1997-01-01", "1998-06-30"))
    first, later = split_holdout(tables, cutoff="1997-10-01")
    lines = [
        f"{'model':<12}{'loglik':>12}{'seconds':>9}{'total':>10}{'error':>9}{'MAE':>9}{'RMSE':>9}"
    ]
    for kind in kinds:
        began = time.perf_counter()
        buyers = fit_buyers(kind, first)
        seconds = time.perf_counter() - began
        actual = holdout_purchases(later, buyers)
        loglik = float(buyers.population.loglik(*buyers.history).sum())
        forecast = expected_purchases(buyers, n_periods=WEEKS).values
        lines.append(describe(kind.__name__, loglik, seconds, forecast, actual))
    x, _, T = buyers.history
    lines.append(describe("same rate", np.nan, 0.0, x / T * WEEKS, actual))
    return [*lines, f"{'actual':<33}{actual.sum():>10.0f}"]


if __name__ == "__main__":
    print("\n".join(compare()))
