"""CDNOW: models with and without stages, fitted to 39 weeks, forecast the next 39.

    python benchmarks/cdnow.py              # three purchase models and the naive rule: seconds
    python benchmarks/cdnow.py --stages     # a hidden Markov model of four stages too: minutes

prints, for each model, the log-likelihood, the time to fit, the total repeat purchases of the
holdout with their error, and two errors per customer: mean absolute error and root mean squared
error. The stage model reads weekly counts instead of days, so its likelihood is not comparable and
is left out. The last line forecasts that everybody goes on at her own rate, as a firm without a
model would.
"""

import argparse
import time

import numpy as np
import pandas as pd

from crmlab.btyd import BGNBD, MBGNBD, BuyTillYouDie, ParetoNBD, fit_buyers
from crmlab.channels import Poisson
from crmlab.datasets import load_cdnow_sample
from crmlab.inference import Fit, fit
from crmlab.models.hidden import HiddenMarkov
from crmlab.stages import StageSpace
from crmlab.tables import CustomerTables, split_holdout, tables_from_orders, to_panel
from crmlab.transitions import StickyDirichlet
from crmlab.value.any_model import expected_purchases

WEEKS = 39
ALIVE = ("rare", "regular", "frequent")
# Lost is for good; everything else may happen.
SHOPPERS = StageSpace(
    ("lost", *ALIVE),
    moves=[(a, b) for a in ALIVE for b in ("lost", *ALIVE) if a != b],
)


def holdout_purchases(later: CustomerTables, customers: pd.Index) -> np.ndarray:
    """Repeat purchases of each customer in the holdout, in the order given."""
    repeats = later.events[later.events["channel"] == "repeat_orders"]
    counts = repeats.groupby("customer_id").size()
    return counts.reindex(customers).fillna(0).to_numpy(dtype=float)


def fit_stages(first: CustomerTables, *, draws: int = 500, seed: int = 1) -> Fit:
    """Fit four hidden stages to the weekly counts of repeat purchases."""
    panel = to_panel(first, freq="W", channels=["repeat_orders"])
    model = HiddenMarkov(
        SHOPPERS,
        StickyDirichlet(stickiness=10),
        (Poisson("repeat_orders"),),
        ordered_by="repeat_orders_rate",
    )
    return fit(model, panel, draws=draws, tune=draws, chains=2, seed=seed)


def stage_line(first: CustomerTables, later: CustomerTables, *, draws: int = 500) -> str:
    """Score the forecast of the stage model."""
    began = time.perf_counter()
    found = fit_stages(first, draws=draws)
    seconds = time.perf_counter() - began
    ahead = expected_purchases(found, n_periods=WEEKS, draws=100)
    actual = holdout_purchases(later, pd.Index(ahead["customer_id"].values))
    forecast = ahead.mean(("chain", "draw")).values
    total = ahead.sum("customer_id")
    print(
        f"stages: total {float(total.mean()):.0f}, sd over draws {float(total.std()):.0f}; "
        f"rates {found.posterior['repeat_orders_rate'].mean(('chain', 'draw')).values.round(3)}"
    )
    return describe("4 stages", np.nan, seconds, forecast, actual)


def describe(name: str, loglik: float, seconds: float, forecast: np.ndarray, actual) -> str:
    """One line of the table."""
    error = forecast - actual
    return (
        f"{name:<12}{loglik:>12.1f}{seconds:>9.2f}{forecast.sum():>10.0f}"
        f"{error.sum() / actual.sum():>9.1%}{np.abs(error).mean():>9.3f}"
        f"{np.sqrt((error**2).mean()):>9.3f}"
    )


def compare(
    kinds: tuple[type[BuyTillYouDie], ...] = (BGNBD, MBGNBD, ParetoNBD), *, stages: bool = False
) -> list[str]:
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
        actual = holdout_purchases(later, buyers.histories.index)
        loglik = float(buyers.population.loglik(*buyers.history).sum())
        forecast = expected_purchases(buyers, n_periods=WEEKS).values
        lines.append(describe(kind.__name__, loglik, seconds, forecast, actual))
    if stages:
        lines.append(stage_line(first, later))
    x, _, T = buyers.history
    lines.append(describe("same rate", np.nan, 0.0, x / T * WEEKS, actual))
    return [*lines, f"{'actual':<33}{actual.sum():>10.0f}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", action="store_true", help="a hidden Markov model too (minutes)")
    print("\n".join(compare(stages=parser.parse_args().stages)))
