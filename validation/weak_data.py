"""Weak data: how many fits pass their gate, and do 95 % intervals contain the truth in 95 %?

    python -m validation.weak_data --worlds ordered --replicates 200 --minutes 60
    python -m validation.weak_data --report

Four kinds of worlds, whose parameters are drawn from the priors of the model that is fitted, with
the default settings of `crmlab.fit`:

* ordered: three stages, an ordered logit with one covariate, a survey and a spend with 30 %
  missing, 60 customers over 12 periods. Its simulator is independent of crmlab's own.
* smaller: the same with 30 customers.
* visits: two stages, Poisson visits with 40 % missing, `CovariateLogit` with one covariate, 50
  customers over 10 periods.
* knapp: Knapp's ten stages with all channels, 300 customers over 8 periods.

Each replicate is appended to results/weak_data_WORLDS.csv at once: a run that was killed goes on
where it ended. Reported for fits with one reading, and with several: fits that pass, truths outside
their 95 % intervals (with a standard error clustered by world), and the smallest p value of the
Kolmogorov-Smirnov tests of uniform ranks, one per number.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

import crmlab as crm
from crmlab.errors import DataWarning, SamplingWarning
from crmlab.evaluation.ranks import draw_prior, empty_panel, simulate_panel
from validation.knapp import make_model
from validation.pages import write_rows

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "readings.png"
CUSTOMERS, PERIODS, STAGES, MISSING = 60, 12, 3, 0.3
DRAWS, TUNE, FIRST_SEED = 300, 400, 9000  # of the replicates that are tests
MODEL = crm.HiddenMarkov(
    crm.StageSpace(("low", "mid", "high")),
    crm.transitions.OrderedLogit(("x",)),
    (crm.OrdinalSurvey("survey"), crm.ZeroInflatedSpend("spend")),
    ordered_by="survey_location",
)
VISITS = crm.HiddenMarkov(
    crm.StageSpace(("dormant", "active")),
    crm.transitions.CovariateLogit(("x",)),
    (crm.Poisson("visits", typical_rate=(0.5, 4.0)),),
    ordered_by="visits_rate",
)
KNAPP = make_model("reported")
CUTS, DISCRIMINATION = np.array([-1.5, -0.5, 0.5, 1.5]), 1.7
TYPICAL = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
INTERVAL = 0.025, 0.975
ABOUT = ["replicate", "problems", "readings", "largest_mass", "runs", "seconds"]

Truth = dict[str, np.ndarray]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run replicates that are not there yet, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--replicates", type=int, default=200, help="in all, earlier ones counted")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--report", action="store_true", help="only tell what is there")
    parser.add_argument("--picture", type=int, help="draw the readings of this ordered world")
    chosen = parser.parse_args(arguments)
    if chosen.picture is not None:
        draw_readings(chosen.picture)
        return
    end = time.monotonic() + 60 * chosen.minutes
    for kind in [] if chosen.report else chosen.worlds:
        run(kind, chosen.replicates, end)
    report()


def file_of(kind: str) -> Path:
    """Return where the replicates of a kind of worlds are kept."""
    return RESULTS / f"weak_data_{kind}.csv"


def run(kind: str, n_replicates: int, end: float) -> None:
    """Add replicates to the results."""
    model, make = WORLDS[kind]
    file = file_of(kind)
    done = len(pd.read_csv(file)) if file.exists() else 0
    for number in range(done, n_replicates):
        if time.monotonic() > end:
            return
        row = pd.DataFrame([judge(model, *make(number), number)])
        row.to_csv(file, mode="a", header=not file.exists(), index=False)


def judge(
    model: crm.HiddenMarkov, panel: xr.Dataset, truth: Truth, number: int
) -> dict[str, object]:
    """Fit one world, and rank each truth among its draws (share of draws below it)."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        warnings.simplefilter("ignore", DataWarning)
        fitted = crm.fit(model, panel, seed=number)
    about = (
        number,
        "; ".join(fitted.problems),
        len(fitted.readings),
        round(float(fitted.readings["mass"].max()), 3),
        int(fitted.readings["n_runs"].sum()),
        round(time.monotonic() - began),
    )
    return dict(zip(ABOUT, about, strict=True)) | rank(fitted.posterior, truth)


def rank(posterior: xr.Dataset, truth: Truth) -> dict[str, float]:
    """Rank each number that is not known; the last threshold is infinite, and no parameter."""
    ranks = {}
    for name, values in truth.items():
        draws = posterior[name].values
        for place, true in np.ndenumerate(values):
            mine = draws[(..., *place)]
            if np.isfinite(true) and np.ptp(mine) > 0:
                ranks[f"{name}{[int(k) for k in place]}"] = round(float((mine < true).mean()), 4)
    return ranks


def draw_readings(number: int) -> None:
    """Draw the chance to buy in the stages mid and high, one colour for each reading."""
    import matplotlib.pyplot as plt

    panel, truth = simulate(number)
    fitted = crm.fit(MODEL, panel, seed=number)
    mid, high = (fitted.posterior["spend_prob"].isel(stage=k).values for k in (1, 2))
    reading = fitted.idata["sample_stats"]["reading"].values
    figure, axis = plt.subplots(figsize=(5, 4.2), layout="constrained")
    for k, mass in fitted.readings["mass"].items():
        mine = reading == k
        words = f"reading {k + 1}, mass {mass:.2f}"
        axis.plot(mid[mine], high[mine], ".", markersize=3, alpha=0.5, label=words)
    axis.plot(*truth["spend_prob"][1:], "k+", markersize=14, markeredgewidth=2, label="truth")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="chance to buy in mid", ylabel="in high")
    axis.legend(frameon=False)
    figure.savefig(PICTURE, dpi=150)


def report() -> None:
    """Print what is there, one row for each kind of worlds and number of readings."""
    rows = []
    for kind in WORLDS:
        if not file_of(kind).exists():
            continue
        table = pd.read_csv(file_of(kind))
        one = table["readings"] == 1
        for name, some in (("one", table[one]), ("several", table[~one]), ("any", table)):
            if len(some):
                rows.append(summarise(kind, name, some))
    print(write_rows(pd.DataFrame(rows)))


def summarise(kind: str, readings: str, table: pd.DataFrame) -> dict[str, object]:
    """Put fits that pass, truths outside, and ranks into words, also of those that pass."""
    passed = table[table["problems"].fillna("") == ""]
    return {
        "worlds": kind,
        "readings": readings,
        "fits": len(table),
        "pass": f"{len(passed) / len(table):.0%}",
        "outside 95 %": describe_outside(table),
        "outside, if passed": describe_outside(passed),
        "smallest p": describe_ranks(table),
    }


def describe_outside(table: pd.DataFrame) -> str:
    """Give the share of truths outside their intervals, and its error, clustered by world."""
    if len(table) < 2:
        return "-"
    ranks = table.drop(columns=ABOUT)
    outside = ((ranks < INTERVAL[0]) | (ranks > INTERVAL[1])).where(ranks.notna()).mean(axis=1)
    return f"{outside.mean():.1%} ± {outside.std() / len(outside) ** 0.5:.1%}"


def describe_ranks(table: pd.DataFrame) -> str:
    """Give the smallest p value of uniform ranks, and the same after Bonferroni."""
    ranks = table.drop(columns=ABOUT)
    p = [stats.kstest(ranks[name].dropna(), "uniform").pvalue for name in ranks]
    return f"{min(p):.2g} of {len(p)} ({min(1.0, len(p) * min(p)):.2g} after Bonferroni)"


# --- the simulator --------------------------------------------------------------------------------


def simulate(number: int, n_customers: int = CUSTOMERS) -> tuple[xr.Dataset, Truth]:
    """Draw parameters from the priors of the model, and a panel from the parameters."""
    rng = np.random.default_rng(FIRST_SEED + number)
    truth, thresholds = _draw_truth(rng)
    x = rng.normal(0, 1, (n_customers, PERIODS))
    stages = _draw_stages(rng, truth, thresholds, x)
    survey, spend = _draw_channels(rng, truth, stages)
    dims = ("customer_id", "period")
    observed = np.ones((n_customers, PERIODS), bool)
    cells = {"survey": survey, "spend": spend, "x": x, "observed": observed}
    coords = {"customer_id": np.arange(n_customers), "period": np.arange(PERIODS)}
    return xr.Dataset({k: (dims, v) for k, v in cells.items()}, coords, {"freq": "M"}), truth


def _draw_truth(rng: np.random.Generator) -> tuple[Truth, np.ndarray]:
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
    rng: np.random.Generator, truth: Truth, thresholds: np.ndarray, x: np.ndarray
) -> np.ndarray:
    stages = np.zeros(x.shape, int)
    stages[:, 0] = [rng.choice(STAGES, p=truth["initial_probs"]) for _ in x]
    for t in range(1, PERIODS):
        before = stages[:, t - 1]
        push = x[:, t] * truth["x_effect"][before]
        reached = _logistic(thresholds[before] - push[:, None])
        stages[:, t] = (rng.random(len(x))[:, None] > reached).sum(axis=1)
    return stages


def _draw_channels(
    rng: np.random.Generator, truth: Truth, stages: np.ndarray
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


def simulate_visits(number: int) -> tuple[xr.Dataset, Truth]:
    """Draw a world of two stages, visits with gaps and one covariate."""
    rng = np.random.default_rng(FIRST_SEED + number)
    design = empty_panel(50, 10)
    shape = design["observed"].shape
    gaps = np.where(rng.random(shape) < 0.4, np.nan, 0.0)
    cells = {"x": rng.normal(size=shape), "visits": gaps}
    dims = ("customer_id", "period")
    return _from_prior(VISITS, design.assign({k: (dims, v) for k, v in cells.items()}), number, rng)


def simulate_knapp(number: int) -> tuple[xr.Dataset, Truth]:
    """Draw a world of Knapp's ten stages."""
    rng = np.random.default_rng(FIRST_SEED + number)
    return _from_prior(KNAPP, empty_panel(300, 8), number, rng)


def _from_prior(
    model: crm.HiddenMarkov, design: xr.Dataset, number: int, rng: np.random.Generator
) -> tuple[xr.Dataset, Truth]:
    truth = next(islice(draw_prior(model, design, seed=FIRST_SEED), number, None))
    return simulate_panel(model, design, truth, rng=rng), truth


Simulator = Callable[[int], tuple[xr.Dataset, Truth]]
WORLDS: dict[str, tuple[crm.HiddenMarkov, Simulator]] = {
    "ordered": (MODEL, simulate),
    "smaller": (MODEL, lambda number: simulate(number, CUSTOMERS // 2)),
    "visits": (VISITS, simulate_visits),
    "knapp": (KNAPP, simulate_knapp),
}

if __name__ == "__main__":
    main()
