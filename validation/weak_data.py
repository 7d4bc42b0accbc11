"""Weak data: how many fits pass their gate, and do 95 % intervals hold the truth as often?

    python -m validation.weak_data --replicates 60 --minutes 60

The simulator is independent of crmlab's own: it draws three stages, an ordered logit with one
covariate, a survey and a spend with 30 % missing from the priors of the model, 60 customers over
12 periods. Each replicate is appended to results/weak_data.csv, written at once: a run that was
killed goes on where it ended. Printed: fits that pass, truths outside their 95 % intervals, and
the Kolmogorov-Smirnov test of uniform ranks.
"""

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

import crmlab as crm
from crmlab.errors import DataWarning, SamplingWarning

RESULTS = Path(__file__).parent / "results" / "weak_data.csv"
CUSTOMERS, PERIODS, STAGES, MISSING = 60, 12, 3, 0.3
DRAWS, TUNE, FIRST_SEED = 300, 400, 9000
MODEL = crm.HiddenMarkov(
    crm.StageSpace(("low", "mid", "high")),
    crm.transitions.OrderedLogit(("x",)),
    (crm.OrdinalSurvey("survey"), crm.ZeroInflatedSpend("spend")),
    ordered_by="survey_location",
)
CUTS, DISCRIMINATION = np.array([-1.5, -0.5, 0.5, 1.5]), 1.7
TYPICAL = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run replicates that are not there yet, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=60, help="in all, earlier ones counted")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--report", action="store_true", help="only tell what is there")
    chosen = parser.parse_args(arguments)
    if not chosen.report:
        run(chosen.replicates, 60 * chosen.minutes)
    report(pd.read_csv(RESULTS))


def run(n_replicates: int, seconds: float) -> None:
    """Add replicates to the results."""
    started = time.monotonic()
    done = len(pd.read_csv(RESULTS)) if RESULTS.exists() else 0
    for number in range(done, n_replicates):
        if time.monotonic() - started > seconds:
            return
        row = pd.DataFrame([judge(number)])
        row.to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)


def judge(number: int) -> dict[str, object]:
    """Fit one world, and rank each truth among its draws (share of draws below it)."""
    panel, truth = simulate(number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        warnings.simplefilter("ignore", DataWarning)
        fitted = crm.fit(MODEL, panel, draws=DRAWS, tune=TUNE, seed=number)
    draws = {name: fitted.posterior[name].values for name in truth}
    below = {  # the last threshold is infinite: it is no parameter
        name: (draws[name][..., : values.shape[-1]] < values).mean(axis=(0, 1))
        for name, values in truth.items()
    }
    ranks = {f"{n}{list(k)}": float(v) for n, r in below.items() for k, v in np.ndenumerate(r)}
    return {"replicate": number, "problems": "; ".join(fitted.problems), **ranks}


def report(table: pd.DataFrame) -> None:
    """Print how many fits pass, and how truths lie in all fits and in those that pass."""
    passed = table["problems"].isna() | (table["problems"] == "")
    print(f"{passed.sum()} of {len(table)} fits pass")
    for name, some in (("all", table), ("those that pass", table[passed])):
        ranks = some.drop(columns=["replicate", "problems"])
        if ranks.empty:
            continue
        outside = float(((ranks < 0.025) | (ranks > 0.975)).to_numpy().mean())
        p = [stats.kstest(ranks[k], "uniform").pvalue for k in ranks]
        print(f"{name}: {outside:.1%} of truths outside 95 % intervals; smallest p of {len(p)}: "
              f"{min(p):.2g} ({min(1.0, len(p) * min(p)):.2g} after Bonferroni)")  # fmt: skip


# --- the simulator --------------------------------------------------------------------------------


def simulate(number: int) -> tuple[xr.Dataset, dict[str, np.ndarray]]:
    """Draw parameters from the priors of the model, and a panel from the parameters."""
    rng = np.random.default_rng(FIRST_SEED + number)
    truth, thresholds = _draw_truth(rng)
    x = rng.normal(0, 1, (CUSTOMERS, PERIODS))
    stages = _draw_stages(rng, truth, thresholds, x)
    survey, spend = _draw_channels(rng, truth, stages)
    dims = ("customer_id", "period")
    observed = np.ones((CUSTOMERS, PERIODS), bool)
    cells = {"survey": survey, "spend": spend, "x": x, "observed": observed}
    coords = {"customer_id": np.arange(CUSTOMERS), "period": np.arange(PERIODS)}
    return xr.Dataset({k: (dims, v) for k, v in cells.items()}, coords, {"freq": "M"}), truth


def _draw_truth(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    reached = np.cumsum(TYPICAL, axis=1)[:, :2]
    centres = np.log(reached / (1 - reached))
    initial = rng.dirichlet(np.ones(STAGES))
    low = rng.normal(centres[:, 0], 1.5)
    gap = np.exp(rng.normal(np.log(centres[:, 1] - centres[:, 0]), 0.75))
    truth = {
        "initial_probs": initial,
        "x_effect": rng.normal(0, 1, STAGES),
        "survey_location": np.sort(rng.normal(0, 1.5, STAGES)),
        "spend_prob": rng.random(STAGES),
        "spend_median": 30 * np.exp(rng.normal(0, 1, STAGES)),
        "spend_sigma": abs(rng.normal(0, 1, STAGES)),
    }
    thresholds = np.column_stack([low, low + gap])
    return truth | {"thresholds": thresholds}, thresholds


def _draw_stages(
    rng: np.random.Generator, truth: dict[str, np.ndarray], thresholds: np.ndarray, x: np.ndarray
) -> np.ndarray:
    stages = np.zeros((CUSTOMERS, PERIODS), int)
    stages[:, 0] = [rng.choice(STAGES, p=truth["initial_probs"]) for _ in range(CUSTOMERS)]
    for t in range(1, PERIODS):
        before = stages[:, t - 1]
        push = x[:, t] * truth["x_effect"][before]
        reached = _logistic(thresholds[before] - push[:, None])
        stages[:, t] = (rng.random(CUSTOMERS)[:, None] > reached).sum(axis=1)
    return stages


def _draw_channels(
    rng: np.random.Generator, truth: dict[str, np.ndarray], stages: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    above = _logistic(DISCRIMINATION * (truth["survey_location"][:, None] - CUTS))
    survey = 1.0 + (rng.random(stages.shape)[..., None] > 1 - above[stages]).sum(axis=-1)
    buys = rng.random(stages.shape) < truth["spend_prob"][stages]
    noise = np.exp(truth["spend_sigma"][stages] * rng.normal(size=stages.shape))
    spend = np.where(buys, truth["spend_median"][stages] * noise, 0.0)
    survey[rng.random(stages.shape) < MISSING] = np.nan
    spend[rng.random(stages.shape) < MISSING] = np.nan
    return survey, spend


def _logistic(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


if __name__ == "__main__":
    main()
