"""Kill `crmlab report` and `Fit.save` at random moments: their folders are whole or absent.

`python -m validation kill --runs 50 --fits 500` prints a line per run, and writes
`validation/results/kill.md`. Half of the kills fall while the folder is written. After every kill
the next writer must give back an older folder that had been moved aside, and remove what the killed
one left, but nothing of a folder of somebody else that is named like crmlab's own. As a control, a
fit whose files are written straight into its folder is killed in the same way.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

import pandas as pd

import crmlab as crm
from crmlab.inference import Fit
from crmlab.tables.folders import sweep
from validation.pages import write_rows

RESULTS = Path(__file__).parent / "results" / "kill.csv"
HEADS = ["kills", "while writing", "whole", "absent", "given back", "TORN", "lost", "left"]
PAGE = """# Kills while folders are written

`python -m validation kill --runs {runs} --fits {fits} --seed {seed}`; `kill -9` at random moments,
half of them while the folder is written. The fit written in place is the control.

{table}
*Whole*, *absent* and *TORN* are what was seen right after the kill. *Given back*: of the absent
ones, those where the next writer found an older folder aside and moved it back. *Lost*: an older
folder that did not come back. *Left*: kills after which the next writer left something beside the
folder, or touched a folder of somebody else that is named like crmlab's own.
"""
FILES = {"report.html", "customers.csv", "next_actions.csv", "customers_columns.csv",
         "quality.json", "manifest.json", "fit"}  # fmt: skip
CUSTOMERS = 120
FOREIGN = ".crmlab-4194999-mine"  # no process has so high a number
SPACE = crm.StageSpace(("new", "regular", "gone"))
MATRIX = ((0.6, 0.3, 0.1), (0.1, 0.8, 0.1), (0.0, 0.1, 0.9))
LABEL = crm.StageLabel("report", confusion=((1, 0, 0), (0, 1, 0), (0, 0, 1)))


def main() -> int:
    """Run studies, and write what was seen; the rows of other studies stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="kills of reports and of the control")
    parser.add_argument("--fits", type=int, default=500, help="kills of `Fit.save`")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("fits", "reports"), help="one half (default: both)")
    chosen = parser.parse_args()
    fits = {
        "a fit written in place": (partial(kill_saving, save=save_in_place), chosen.runs),
        "`Fit.save`": (kill_saving, chosen.fits),
    }
    reports = {"`crmlab report`": (kill_reports, chosen.runs)}
    studies = {"fits": fits, "reports": reports}.get(chosen.only, fits | reports)
    counts = {
        name: study(runs, random.Random(chosen.seed)) for name, (study, runs) in studies.items()
    }
    careful = record(counts, chosen).drop("a fit written in place", errors="ignore")
    return int(careful[["TORN", "lost", "left"]].to_numpy().any())


def record(counts: dict[str, Counter], chosen: argparse.Namespace) -> pd.DataFrame:
    """Write the table and the page; give the table."""
    seen = pd.DataFrame.from_dict(counts, orient="index").reindex(columns=HEADS)
    table = seen.fillna(0).astype(int).rename_axis("what was killed")
    if RESULTS.exists():
        older = pd.read_csv(RESULTS, index_col=0)
        table = pd.concat([older.drop(table.index, errors="ignore"), table])
    table.to_csv(RESULTS)
    page = PAGE.format(table=write_rows(table.reset_index()), **vars(chosen))
    RESULTS.with_suffix(".md").write_text(page, encoding="utf-8")
    print(page)
    return table


def look(folder: Path, is_whole: Callable[[Path], bool]) -> str:
    """Say in which state a folder is."""
    if not folder.exists():
        return "absent"
    try:
        return "whole" if is_whole(folder) else "TORN"
    except Exception:  # whatever reading half a file may raise
        return "TORN"


def settle(folder: Path, state: str, had_older: bool, others: set[str]) -> Counter:
    """Sweep as the next writer does, and count what came back, what is lost and what is left."""
    sweep(folder.parent)
    is_back = state == "absent" and folder.exists()
    is_lost = had_older and not folder.exists()
    expected = others | {FOREIGN} | ({folder.name} if folder.exists() else set())
    is_left = {path.name for path in folder.parent.iterdir()} != expected
    is_left |= not (folder.parent / FOREIGN / "precious.txt").exists()
    for left in folder.parent.glob(".crmlab-*"):  # each kill is counted by itself
        if left.name != FOREIGN:
            shutil.rmtree(left)
    return Counter({state: 1, "given back": is_back, "lost": is_lost, "left": is_left, "kills": 1})


def make_foreign(home: Path) -> None:
    """Put a folder of somebody else beside, named as what a killed process leaves."""
    (home / FOREIGN).mkdir()
    (home / FOREIGN / "precious.txt").write_text("mine")


# --- fits -----------------------------------------------------------------------------------------


def save_in_place(fit: Fit, folder: Path) -> None:
    """Write a fit as a writer does that takes no care: the control."""
    fit.panel.to_netcdf(folder / "panel.nc", engine="h5netcdf")
    fit.idata.to_netcdf(folder / "posterior.nc", engine="h5netcdf")


def kill_saving(
    runs: int, rng: random.Random, save: Callable[[Fit, Path], None] = Fit.save
) -> Counter:
    """Kill a process that saves one fit over another, again and again."""
    fits, count = (make_fit(1), make_fit(2)), Counter()
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "fit")
        make_foreign(Path(home))
        started = time.perf_counter()
        fits[0].save(folder)
        for _ in range(10):
            save(fits[0], folder)
        seconds = (time.perf_counter() - started) / 10
        for k in range(runs):
            writing = context.Event()
            job = context.Process(target=save_on, args=(save, fits, folder, writing, seconds))
            job.start()
            writing.wait()
            aims = k % 2 == 1  # else anywhere, pauses included
            time.sleep(rng.uniform(0, seconds if aims else 8 * seconds))
            os.kill(job.pid, signal.SIGKILL)
            job.join()
            state = look(folder, lambda place: any(is_same(crm.load_fit(place), f) for f in fits))
            print(f"{k + 1:3d}: a fit being saved killed: {state}", flush=True)
            count += settle(folder, state, True, set())
            count["while writing"] += aims
    return count


def make_fit(seed: int) -> Fit:
    """Fit in closed form, 20,000 numbers: enough that writing takes longer than renaming."""
    world = crm.StageWorld(SPACE, (1, 0, 0), MATRIX, (LABEL,), n_periods=12)
    panel = crm.to_panel(crm.simulate(world, 100, seed=seed), freq="M")
    return crm.fit(crm.ObservedMarkov(SPACE, label="report"), panel, draws=1000, seed=seed)


def save_on(
    save: Callable[[Fit, Path], None],
    fits: tuple[Fit, ...],
    folder: Path,
    writing: Event,
    seconds: float,
) -> None:
    """Save fits in turn, with pauses, until killed."""
    while True:
        for fit in fits:
            writing.set()
            save(fit, folder)
            time.sleep(seconds)


def is_same(one: Fit, other: Fit) -> bool:
    return one.panel.identical(other.panel) and one.idata.identical(other.idata)


# --- reports --------------------------------------------------------------------------------------


def kill_reports(runs: int, rng: random.Random) -> Counter:
    """Kill `crmlab report`; in half of the runs an older report is there to be replaced."""
    count: Counter = Counter()
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as elsewhere:
        orders, out, older = Path(home, "orders.csv"), Path(home, "out"), Path(elsewhere, "older")
        make_foreign(Path(home))
        size = ("--customers", str(CUSTOMERS), "--weeks", "52")
        subprocess.run(command("simulate", "--out", str(orders), *size), check=True)
        run = command("report", str(orders), "--out", str(out), "--sample", "100")
        before, writing = time_report(run, out)
        out.rename(older)
        for k in range(runs):
            shutil.rmtree(out, ignore_errors=True)
            if k % 4 >= 2:
                shutil.copytree(older, out)
            aims = k % 2 == 1  # at the writing; else anywhere
            seconds = rng.uniform(0, writing if aims else before + writing)
            with start(run) as job:
                if aims:
                    wait_for_writing(job)
                time.sleep(seconds)
                job.send_signal(signal.SIGKILL)
            state = look(out, is_report)
            print(f"{k + 1:3d}: report killed: {state}", flush=True)
            count += settle(out, state, k % 4 >= 2, {"orders.csv"})
            count["while writing"] += aims
    return count


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "crmlab.cli.analyst", *words]


def start(run: list[str]) -> subprocess.Popen:
    return subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_writing(job: subprocess.Popen) -> None:
    """Read what a report tells until it writes its folder."""
    while "drawing and writing" not in (line := job.stderr.readline()):
        if not line:
            raise RuntimeError("the report ended before it wrote anything")


def time_report(run: list[str], out: Path) -> tuple[float, float]:
    """Measure the seconds until a report writes its folder, and those of the writing."""
    subprocess.run(run, check=False, capture_output=True)  # compiles, once
    shutil.rmtree(out)
    started = time.perf_counter()
    with start(run) as job:
        wait_for_writing(job)
        begun = time.perf_counter()
        while not out.exists():
            time.sleep(0.005)
        ended = time.perf_counter()
        job.communicate()
    return begun - started, ended - begun


def is_report(folder: Path) -> bool:
    """Whether every file is there and can be read to its end."""
    found = {path.name for path in folder.iterdir()} == FILES
    json.loads((folder / "manifest.json").read_text())
    crm.load_fit(folder / "fit")
    ends = (folder / "report.html").read_text().rstrip().endswith("</html>")
    rows = len((folder / "customers.csv").read_text().splitlines())
    return found and ends and rows == CUSTOMERS + 1


if __name__ == "__main__":
    sys.exit(main())
