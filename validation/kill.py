"""Fifty runs of `crmlab report` on 200 invented customers, each killed at a random moment.

The folder must be whole or absent every time, and nothing may lie next to it after the next run
that finishes. `python -m validation kill --runs 50` prints one line per run and a verdict; the seed
fixes the moments as shares of the time that one undisturbed run took.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = {"report.html", "customers.csv", "customers_columns.csv", "quality.json", "manifest.json",
         "fit"}  # fmt: skip


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "crmlab.cli.analyst", *words]


def is_whole(folder: Path) -> bool:
    """Whether every file is there and can be read to its end."""
    found = {path.name for path in folder.iterdir()} == FILES
    json.loads((folder / "manifest.json").read_text())
    ends = (folder / "report.html").read_text().rstrip().endswith("</html>")
    rows = len((folder / "customers.csv").read_text().splitlines())
    return found and ends and rows == 201


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, torn = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as elsewhere:
        orders, out, older = Path(home, "orders.csv"), Path(home, "out"), Path(elsewhere, "older")
        subprocess.run(command("simulate", "--out", str(orders)), check=True)
        run = command("report", str(orders), "--out", str(out))
        started = time.perf_counter()
        subprocess.run(run, check=False, capture_output=True)
        whole = time.perf_counter() - started
        shutil.copytree(out, older)
        for k in range(options.runs):
            shutil.rmtree(out, ignore_errors=True)
            if k % 4 >= 2:  # this run replaces an older report
                shutil.copytree(older, out)
            # half of the moments fall into the last tenth, in which the folder is written
            share = rng.uniform(0.9, 1.02) if k % 2 else rng.uniform(0.0, 1.0)
            with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
                time.sleep(share * whole)
                job.send_signal(signal.SIGKILL)
            state = ("whole" if is_whole(out) else "TORN") if out.exists() else "absent"
            torn += state == "TORN"
            print(f"{k + 1:3d}: killed after {share * whole:6.1f} s: {state}", flush=True)
        subprocess.run(run, check=False, capture_output=True)
        left = sorted(path.name for path in Path(home).iterdir())
        print(f"{torn} of {options.runs} torn; after one more run there are {left}")
    return 1 if torn or left != ["orders.csv", "out"] else 0


if __name__ == "__main__":
    sys.exit(main())
