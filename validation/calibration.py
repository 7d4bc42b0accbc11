"""Simulation-based calibration of every shipped model.

    python -m validation.calibration --model hidden ordered --replicates 1000 --minutes 30
    python -m validation.calibration --report

Replicates are appended to results/calibration_MODEL.csv, one line each, written at once: a run
that was killed leaves whole lines, and the next one goes on where it ended. Models take turns, so
that each gets an equal share of the time. `--report` writes results/calibration.md and a figure.

A small p value is a reason to look again, at worlds that did not cause the suspicion:
`--model ordered_again` runs replicates beyond the thousand that were planned, counted apart.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from crmlab.evaluation.ranks import Calibration, Replicate, replicate
from validation.models import CASES
from validation.pages import write_rows

RESULTS = Path(__file__).parent / "results"
SEED = 20261
PLANNED = 1000
AGAIN = "_again"
ALL = {**CASES, **{f"{name}{AGAIN}": case for name, case in CASES.items()}}
RUN = ["ess", "n_run", "n_diverging"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="*", default=list(CASES), choices=list(ALL))
    parser.add_argument(
        "--replicates", type=int, default=PLANNED, help="in all, earlier ones counted"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--report", action="store_true", help="only tell what is there")
    chosen = parser.parse_args(arguments)
    if not chosen.report:
        run(chosen.model, chosen.replicates, chosen.seed, 60 * chosen.minutes)
    report()


def run(models: Sequence[str], n_replicates: int, seed: int, seconds: float) -> None:
    """Add replicates to the results; the model that has had the least time is next."""
    started, spent = time.monotonic(), dict.fromkeys(models, 0.0)
    lines = {name: _lines(name, seed) for name in models}
    counts, begun = {name: len(read(name)) for name in models}, set()
    while time.monotonic() - started < seconds:
        waiting = [name for name in models if counts[name] < n_replicates]
        if not waiting:
            return
        name = min(waiting, key=spent.get)
        before = time.monotonic()
        append(name, next(lines[name]), ALL[name].n_draws, seed)
        counts[name] += 1
        is_first = name not in begun  # which compiles
        begun.add(name)
        spent[name] += 1e-9 if is_first else time.monotonic() - before


def _lines(name: str, seed: int) -> Iterator[Replicate]:
    """Yield what is still to do; nothing is computed before it is asked for."""
    case = ALL[name]
    first = PLANNED if name.endswith(AGAIN) else 0
    yield from replicate(
        case.model,
        case.design,
        n_draws=case.n_draws,
        method=case.method,
        first=first + len(read(name)),
        seed=seed,
    )


def append(name: str, found: Replicate, n_draws: int, seed: int) -> None:
    """Write one line, whole."""
    path = _path(name)
    row = {
        "replicate": found.number,
        "seed": seed,
        "n_draws": n_draws,
        "ess": round(found.ess, 1),
        "n_run": found.n_run,
        "n_diverging": found.n_diverging,
        **found.ranks,
    }
    path.parent.mkdir(exist_ok=True)
    text = pd.DataFrame([row]).to_csv(index=False, header=not path.exists(), lineterminator="\n")
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def read(name: str) -> pd.DataFrame:
    """Replicates of a model that are there; a half line at the end is cut off first."""
    path = _path(name)
    if not path.exists():
        return pd.DataFrame()
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return pd.read_csv(path)


def _path(name: str) -> Path:
    return RESULTS / f"calibration_{name}.csv"


def gather(name: str) -> Calibration | None:
    """Make a `Calibration` of the replicates that are there; None if there are none."""
    table = read(name)
    if table.empty:
        return None
    table = table.set_index("replicate")
    ranks = table.drop(columns=["seed", "n_draws", *RUN])
    return Calibration(ranks, int(table["n_draws"].iloc[0]), table[RUN])


def report() -> None:
    """Write the table and the figure of all that is there."""
    found = {name: found for name in ALL if (found := gather(name)) is not None}
    rows = [_row(name, calibration) for name, calibration in found.items()]
    table = pd.DataFrame(rows)
    (RESULTS / "calibration.md").write_text(_page(table), encoding="utf-8")
    draw(found, RESULTS / "calibration.png")
    print(table.to_string(index=False))


def _row(name: str, found: Calibration) -> dict[str, object]:
    inside, p_values = found.coverage(0.9), found.p_values
    if p_values.isna().all():  # no run is left
        p_values = p_values.fillna(1.0)
    return {
        "model": name,
        "replicates": len(found.ranks),
        "left out": int((~found.moved_well).sum()),
        "ranks": found.ranks.shape[1],
        "among": found.n_draws,
        "p (all)": f"{found.p_value:.3g}",
        "least uniform": p_values.idxmin(),
        "its p": f"{p_values.min():.3g}",
        "coverage of 90 % intervals": f"{inside.min():.3f} to {inside.max():.3f}",
    }


def _page(table: pd.DataFrame) -> str:
    text = (
        "# Simulation-based calibration\n\n"
        "Made by `python -m validation.calibration`; the ranks are in `calibration_*.csv`, the\n"
        "models in `validation/models.py`. A model whose posterior is right has p values spread\n"
        'evenly from 0 to 1; "p (all)" is the smallest one times the number of ranks.\n'
        '"Left out" are replicates whose sampler moved too slowly even after three doublings of\n'
        "its run, or diverged in more than 1 % of its draws (a limit that was set when the first\n"
        "lines had been seen; those were run under a stricter rule of doubling). Coverage is that\n"
        "of the least and the most covered number. 1,000 replicates were planned for each;\n"
        "a model with a small p was looked at again, in new worlds.\n\n"
    )
    return text + write_rows(table)


def draw(found: dict[str, Calibration], path: Path) -> None:
    """Draw the difference between empirical and uniform distribution, and the band, per model."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from crmlab.plots import style
    from crmlab.plots.ranks import plot_rank_ecdf

    style("page")
    n_rows = -(-len(found) // 3)
    figure, axes = plt.subplots(
        n_rows, 3, figsize=(10, 2.8 * n_rows), squeeze=False, layout="constrained"
    )
    for axis in np.ravel(axes)[len(found) :]:
        axis.remove()
    for axis, (name, calibration) in zip(np.ravel(axes), found.items(), strict=False):
        kept = calibration.ranks[calibration.moved_well]
        if kept.empty:
            axis.remove()
            continue
        plot_rank_ecdf(kept.to_numpy(), calibration.n_draws, ax=axis)
        axis.set_title(f"{name} ({len(kept)} worlds)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
