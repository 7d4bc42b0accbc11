"""Knapp's ten stages from what a firm sees: what can be known, and how near inference comes.

    python -m validation.knapp --channels seen reported --train 1000 --replicates 20 --minutes 30
    python -m validation.knapp --report

Two questions, on an invented world (Banque Méridienne: quarterly, moves by the teaching matrix
K10, which is invented as well).

1. What can be identified from which channels? An oracle that knows all true parameters decodes the
   stages from growing sets of channels. Nobody can do better on average with the same data.
2. How near does a fit come? The model of the demo is fitted to some customers, and decodes others,
   held out, who share the world's laws. Each replicate is another set of customers; its line is
   appended to results/knapp_CHANNELS_SIZE.csv at once.
"""

import argparse
import itertools
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import crmlab as crm
from crmlab.demo.bank import APART, MIRROR, build_model, build_world
from crmlab.evaluation import log_score
from crmlab.evaluation.oracle import stage_oracle
from crmlab.generators.stage_world import StageWorld
from crmlab.tables import CustomerTables
from validation.pages import write_rows

RESULTS = Path(__file__).parent / "results"
N_QUARTERS, N_HELD = 12, 300
DRAWS, TUNE = 500, 500
PROB = 0.9
SEED = 20262

RIGHT, NEAR, MIRRORED = 0.60, 0.25, 0.10  # the rest is spread over all stages

SETS = {
    "spend": ("spend",),
    "touchpoints, spend": ("visits", "spend"),
    "+ complaints": ("visits", "spend", "complaint"),
    "+ surveys": ("visits", "spend", "complaint", "survey"),
    "+ self-reports": ("visits", "spend", "complaint", "survey", "report"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", nargs="*", default=["seen"], choices=["seen", "reported"])
    parser.add_argument("--train", type=int, nargs="*", default=[1000], help="customers of a fit")
    parser.add_argument("--replicates", type=int, default=20, help="in all, earlier ones counted")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--report", action="store_true", help="only tell what is there")
    chosen = parser.parse_args(arguments)
    if not chosen.report:
        end = time.monotonic() + 60 * chosen.minutes
        for channels, size in itertools.product(chosen.channels, chosen.train):
            run(channels, size, chosen.replicates, end)
    report()


def confusion() -> np.ndarray:
    """Self-reports: mostly right, else a neighbour, the mirror stage, or anything."""
    n = len(crm.KNAPP)
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    near = (steps == 1) / (steps == 1).sum(axis=1, keepdims=True)
    other = np.full((n, n), (1 - RIGHT - NEAR - MIRRORED) / n)
    return RIGHT * np.eye(n) + NEAR * near + MIRRORED * np.eye(n)[MIRROR] + other


def make_world() -> StageWorld:
    """Make the bank of the demo, whose customers are also asked where they stand."""
    world = build_world(N_QUARTERS)
    report = crm.StageLabel("report", confusion=confusion(), response_rate=0.3)
    return replace(world, channels=(*world.channels, report))


def make_model(channels: str) -> crm.HiddenMarkov:
    """Make the model of the demo; "reported" adds self-reports whose errors are learned."""
    model = build_model()
    if channels == "seen":
        return model
    report = crm.StageLabel("report", accuracy=0.6, confidence=20.0, response_rate=0.3)
    return replace(model, channels=(*model.channels, report))


# What could be known ------------------------------------------------------------------------------


def true_stages(tables: CustomerTables) -> np.ndarray:
    """Positions of the true stages (customer, period)."""
    names = tables.truth["stages"]["stage"].to_numpy()
    return np.array([crm.KNAPP.index(name) for name in names]).reshape(-1, N_QUARTERS)


def judge(probs: np.ndarray, stages: np.ndarray) -> dict[str, float]:
    """Score decoded stages: log score [nats], and shares of periods that were named rightly."""
    named = probs.argmax(axis=-1)
    is_apart = probs[..., APART].sum(axis=-1) > 0.5
    tread = (probs + probs[..., MIRROR]).argmax(axis=-1)
    in_pair = (tread == stages) | (MIRROR[tread] == stages)
    return {
        "log_score": log_score(probs, stages),
        "stage_right": (named == stages).mean(),
        "tread_right": in_pair.mean(),
        "phase_right": (is_apart == APART[stages]).mean(),
    }


def identify(n_customers: int = 3000) -> pd.DataFrame:
    """Let the oracle decode from growing sets of channels."""
    world = make_world()
    tables = crm.simulate(world, n_customers, seed=SEED)
    stages, rows = true_stages(tables), []
    for words, names in SETS.items():
        seen = replace(world, channels=tuple(c for c in world.channels if c.name in names))
        rows.append({"channels": words, **judge(stage_oracle(tables, seen).smoothed, stages)})
    return pd.DataFrame(rows)


# What a fit comes to know -------------------------------------------------------------------------


def run(channels: str, size: int, n_replicates: int, end: float) -> None:
    """Add replicates to the results until there are enough, or the time is over."""
    path = RESULTS / f"knapp_{channels}_{size}.csv"
    path.parent.mkdir(exist_ok=True)
    done = len(pd.read_csv(path)) if path.exists() else 0
    for number in range(done, n_replicates):
        if time.monotonic() > end:
            return
        row = replicate(channels, size, number)
        text = pd.DataFrame([row]).to_csv(index=False, header=number == 0, lineterminator="\n")
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)


def replicate(channels: str, size: int, number: int) -> dict[str, float]:
    """Fit one set of customers, decode another, and see which intervals hold the truth."""
    world, model = make_world(), make_model(channels)
    names = {channel.name for channel in model.channels}
    seen = replace(world, channels=tuple(c for c in world.channels if c.name in names))
    tables = crm.simulate(world, size + N_HELD, seed=SEED + 1 + number)
    panel = crm.to_panel(tables, freq="M")
    train, held = (panel.isel(customer_id=part) for part in (slice(size), slice(size, None)))
    stages, oracle = true_stages(tables)[size:], stage_oracle(tables, seen).smoothed[size:]
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", crm.SamplingWarning)  # counted below
        fit = crm.fit(model, train, draws=DRAWS, tune=TUNE, seed=number)
        decoded = crm.stage_probs(fit, kind="smoothed", panel=held, draws=100, average=True)
    probs = decoded.transpose("customer_id", "period", "stage").values
    best = {f"oracle_{name}": value for name, value in judge(oracle, stages).items()}
    inside, n_free = count_covered(fit)
    return {
        "replicate": number,
        **judge(probs, stages),
        **best,
        "moves": n_free,
        "covered": inside,
        "problems": len(fit.problems),
        "seconds": round(time.monotonic() - started),
    }


def count_covered(fit: crm.Fit) -> tuple[int, int]:
    """Count the moves whose true probability lies in the central interval, and all moves."""
    tail = (1 - PROB) / 2
    draws = fit.posterior["transition_matrix"].stack(sample=("chain", "draw"), create_index=False)
    low, high = np.quantile(draws.transpose("sample", ...).values, [tail, 1 - tail], axis=0)
    free = crm.KNAPP.mask & (crm.KNAPP.mask.sum(axis=1) > 1)[:, None]
    possible = free & (np.asarray(crm.K10) > 0)
    inside = (low <= crm.K10) & (np.asarray(crm.K10) <= high)
    return int(inside[possible].sum()), int(possible.sum())


# The page -----------------------------------------------------------------------------------------


def report() -> None:
    """Write results/knapp.md of all that is there."""
    known = identify()
    parts = [
        _HEAD.format(n=3000, quarters=N_QUARTERS),
        write_rows(known.round(3)),
        _say_mirrors(known),
    ]
    for path in sorted(RESULTS.glob("knapp_*_*.csv"), reverse=True):
        _, channels, size = path.stem.split("_")
        parts.append(_fitted(channels, int(size), pd.read_csv(path)))
    text = "\n".join(parts)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "knapp.md").write_text(text, encoding="utf-8")
    print(text)


_HEAD = """# Knapp's ten stages from what a firm sees

Made by `python -m validation.knapp`; an invented bank whose {quarters} quarters and true stages
are known.

## What can be identified from which channels

An oracle with the true parameters decodes {n:,} customers (smoothed probabilities). `log_score` in
nats per customer and quarter, 0 is perfect; the others are shares of quarters. `tread_right`: the
stage or its mirror on the other side of the staircase was named; `phase_right`: together or apart.
"""


def _say_mirrors(known: pd.DataFrame) -> str:
    """Say how often mirror stages cannot be told apart."""
    open_side = 100 * (known["tread_right"] - known["stage_right"])
    wrong_side = 100 * (1 - known["phase_right"])
    first, last = known["channels"].iloc[[0, -1]]
    return (
        f"Mirror stages: with {first} alone the tread is known but the side is not in "
        f"{open_side.iloc[0]:.1f} % of quarters, and the phase is wrong in "
        f"{wrong_side.iloc[0]:.1f} %; with everything ({last}) {open_side.iloc[-1]:.1f} % and "
        f"{wrong_side.iloc[-1]:.1f} % are left. What is left cannot be told apart from these "
        "channels by anybody.\n"
    )


def _fitted(channels: str, size: int, rows: pd.DataFrame) -> str:
    words = {"seen": "without self-reports", "reported": "with self-reports, errors learned"}
    passed = rows[rows["problems"] == 0]
    parts = [
        f"\n## A fit {words[channels]}: {len(rows)} replicates of {size:,} customers, "
        f"{N_HELD} held out\n\nOf them {len(rows) - len(passed)} missed the convergence gate; "
        f"{rows['seconds'].median():.0f} s per fit (median).\n",
        _describe("All", rows),
    ]
    if 0 < len(passed) < len(rows):
        parts.append(_describe("Those that passed the gate", passed))
    return "\n".join(parts)


def _describe(which: str, rows: pd.DataFrame) -> str:
    ratio = rows["log_score"] / rows["oracle_log_score"] - 1
    covered = rows["covered"].sum() / rows["moves"].sum()
    # Intervals of one fit hang together: the error is that of means of replicates.
    each = rows["covered"] / rows["moves"]
    error = each.std() / np.sqrt(len(rows)) if len(rows) > 1 else np.nan
    return (
        f"{which}:\n\n"
        f"* log score {rows['log_score'].mean():.3f}, oracle "
        f"{rows['oracle_log_score'].mean():.3f}: {100 * ratio.mean():.1f} % worse on average "
        f"(worst replicate {100 * ratio.max():.1f} %)\n"
        f"* phase right in {100 * rows['phase_right'].mean():.1f} % of quarters, oracle "
        f"{100 * rows['oracle_phase_right'].mean():.1f} %; stage right in "
        f"{100 * rows['stage_right'].mean():.1f} %, oracle "
        f"{100 * rows['oracle_stage_right'].mean():.1f} %\n"
        f"* 90 % intervals of the {int(rows['moves'].iloc[0])} moves held the truth in "
        f"{covered:.3f} (standard error {error:.3f})\n"
    )


if __name__ == "__main__":
    main()
