"""Ten planted mistakes, and the p value with which calibration catches each.

    python -m validation.planted --replicates 60

Writes results/planted.md. Beside each mistake stands the model without it, calibrated on the same
worlds: its p value shows that nobody is accused for nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crmlab.evaluation.ranks import calibrate
from validation.bugs import CLOSED, SAMPLED, Bug
from validation.pages import write_rows

RESULTS = Path(__file__).parent / "results"
SEED = 20263
CHECKS = {
    "missing cell": "enumeration",
    "scale of a rate": "enumeration, contract",
    "Jacobian": "mass of the prior",
    "stale covariate": "enumeration",
    "mixed-up customers": "enumeration",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Calibrate all of them, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=60, help="worlds for the sampler")
    parser.add_argument("--closed", type=int, default=300, help="worlds for closed forms")
    parser.add_argument("--bug", nargs="*", default=[*CLOSED, *SAMPLED])
    chosen = parser.parse_args(arguments)
    for name in chosen.bug:
        is_closed = name in CLOSED
        bug, n = ({**CLOSED, **SAMPLED})[name], chosen.closed if is_closed else chosen.replicates
        write(judge(name, bug, n, 99 if is_closed else 19))


def judge(name: str, bug: Bug, n_replicates: int, n_draws: int) -> dict[str, object]:
    """Calibrate the right model and the wrong one on the same worlds."""
    options = {"n_replicates": n_replicates, "n_draws": n_draws, "seed": SEED}
    wrong = calibrate(bug.right, bug.design, fitted=bug.wrong, **options)
    right = calibrate(bug.right, bug.design, **options)
    return {
        "mistake": name,
        "what": bug.words,
        "worlds": n_replicates,
        "p with it": _say(wrong.p_value),
        "least uniform": wrong.p_values.idxmin(),
        "p without": _say(right.p_value),
        "also caught at once by": CHECKS.get(name, "calibration in closed form"),
    }


def _say(p_value: float) -> str:
    """Print a p value, no smaller than rounding lets it be known."""
    return f"{p_value:.2g}" if p_value > 1e-9 else "below 1e-9"


def write(row: dict[str, object]) -> None:
    """Put one row into the table on disk, in the place of an older one."""
    path = RESULTS / "planted.csv"
    path.parent.mkdir(exist_ok=True)
    old = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(row))
    table = pd.concat([old[old["mistake"] != row["mistake"]].astype(object), pd.DataFrame([row])])
    table.to_csv(path, index=False, lineterminator="\n")
    text = "# Planted mistakes\n\nMade by `python -m validation.planted`.\n\n"
    path.with_suffix(".md").write_text(text + write_rows(table), encoding="utf-8")
    print(row, flush=True)


if __name__ == "__main__":
    main()
