"""How fast worlds are simulated, how much memory that takes, and how both grow.

    PYTHONPATH=. python benchmarks/worlds.py            # a few minutes
    PYTHONPATH=. python benchmarks/worlds.py --full     # the million: core world and whole bank

**The core world**: Knapp's ten stages moving by the teaching matrix K10 (invented), a count channel
and a purchase channel, 36 periods; drawn in blocks of 20,000 customers, side by side in one run:

    draw          StageWorld.draw, as users call it; same bytes in any block size
    NumPy         the plain code behind it that gives the same bits, period by period
    NumPy loop    a loop over time with NumPy's own generator: other chance, not addressed
    hmmlearn      CategoricalHMM.sample, the stages and one channel only, customer by customer
    memory fill   writing as many bytes as `draw` returns: nothing can be faster

**The whole bank**: every table and the answer key, in 36 quarters: `sample` makes data frames,
`write_dataset` Parquet files with checksums. Each size runs in a process of its own, so that its
peak of memory is its own. Wall-clock times are the best of a few repeats on whatever else the
machine does; CPU seconds are what a free core would need.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

import crmlab as crm
from crmlab.generators import kernels
from crmlab.streams import Streams

N_PERIODS = 36
BLOCK = 20_000
RATE = (0.5, 1.5, 3.0, 4.0, 5.0, 4.0, 2.5, 1.0, 0.3, 0.0)
PROB = (0.1, 0.3, 0.5, 0.6, 0.8, 0.6, 0.5, 0.3, 0.1, 0.0)
MEDIAN = (20.0, 30.0, 40.0, 50.0, 60.0, 50.0, 40.0, 30.0, 20.0, 1.0)
WORLD = crm.StageWorld(
    crm.KNAPP,
    (0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01),
    crm.K10,
    (crm.Poisson("visits", rate=RATE), crm.ZeroInflatedSpend("spend", PROB, MEDIAN, (0.5,) * 10)),
    n_periods=N_PERIODS,
)
WORLDS = {"core": WORLD, "bank": crm.bank.Bank(n_periods=N_PERIODS)}
TARGETS = {"loop": 5.0, "hmmlearn": 100.0, "bank": 10_000.0, "memory": 4000.0}


class Row(NamedTuple):
    """One measurement: what, how many customers, wall and CPU seconds, peak memory [MB]."""

    name: str
    n: int
    seconds: float
    cpu: float
    memory: float = np.nan
    note: str = ""


def measure(name: str, n: int, work: Callable[[], object], repeats: int = 3, note: str = "") -> Row:
    """Best wall-clock time of a few repeats, with the CPU seconds of that repeat."""
    found = []
    for _ in range(repeats):
        begin, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - begin, time.process_time() - cpu))
    return Row(name, n, *min(found), note=note)


# The core world -----------------------------------------------------------------------------------


def in_blocks(n: int, work: Callable[[np.ndarray], object], workers: int = 1) -> None:
    """Work on n customers block by block, keeping nothing."""
    blocks = [np.arange(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]
    if workers == 1:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(workers) as executor:
        list(executor.map(lambda block: work(block) and None, blocks))


def draw(block: np.ndarray) -> object:
    """Draw a block of the core world as users do."""
    return WORLD.draw(Streams(1), block)


def draw_plainly(block: np.ndarray) -> object:
    """Draw the same bytes with NumPy alone."""
    compile_from = kernels.WORTH_COMPILING
    kernels.WORTH_COMPILING = sys.maxsize
    try:
        return draw(block)
    finally:
        kernels.WORTH_COMPILING = compile_from


def loop(rng: np.random.Generator, block: np.ndarray) -> tuple[np.ndarray, ...]:
    """Simulate the core world as one would by hand."""
    n, edges = len(block), np.asarray(WORLD.transition_matrix).cumsum(axis=1)
    stages = np.empty((n, N_PERIODS), dtype=np.int64)
    stages[:, 0] = (rng.random((n, 1)) > np.cumsum(WORLD.initial_probs)).sum(axis=1)
    for t in range(1, N_PERIODS):
        stages[:, t] = (rng.random((n, 1)) > edges[stages[:, t - 1]]).sum(axis=1)
    visits = rng.poisson(np.asarray(RATE)[stages])
    amount = np.asarray(MEDIAN)[stages] * np.exp(0.5 * rng.standard_normal(stages.shape))
    spend = np.where(rng.random(stages.shape) < np.asarray(PROB)[stages], amount, 0.0)
    return stages, visits, spend


def fill(block: np.ndarray) -> None:
    """Write as many bytes as `draw` returns: three numbers of 8 bytes per cell, in one block."""
    for out in FILLED:
        out[: len(block)].fill(1.0)


FILLED = [np.empty((BLOCK, N_PERIODS)) for _ in range(3)]


def peer(n: int) -> Row | None:
    """Sample n histories with hmmlearn; None where it is not installed."""
    if importlib.util.find_spec("hmmlearn") is None:
        return None
    from hmmlearn.hmm import PoissonHMM

    model = PoissonHMM(n_components=len(crm.KNAPP))
    model.startprob_ = np.array(WORLD.initial_probs)
    model.transmat_ = np.array(WORLD.transition_matrix)
    model.lambdas_ = np.array(RATE)[:, None]
    model.n_features = 1

    def sample_all() -> None:
        for seed in range(n):
            model.sample(N_PERIODS, random_state=seed)

    return measure("hmmlearn, one channel", n, sample_all, 2)


def core_rows(n: int) -> list[Row]:
    """Measure the core world and everything beside it in one run."""
    draw(np.arange(BLOCK))  # compiles
    fill(np.arange(BLOCK))
    rng = np.random.default_rng(1)
    many = 1 if n > 10 * BLOCK else 3
    rows = [
        measure("memory fill", n, partial(in_blocks, n, fill), many),
        measure("draw", n, partial(in_blocks, n, draw), many),
        measure("draw, two threads", n, partial(in_blocks, n, draw, 2), many),
        measure("NumPy loop", n, partial(in_blocks, n, partial(loop, rng)), many),
        measure("NumPy, same bytes", BLOCK, partial(in_blocks, BLOCK, draw_plainly), 1),
    ]
    hmm = peer(400)
    if hmm is None:
        print("hmmlearn is not installed here: skipped (make bench has it, in .venv-extras/)\n")
    return [*rows, hmm] if hmm else rows


# In processes of their own ------------------------------------------------------------------------


def run_alone(job: str, world: str, n: int, workers: int = 1) -> Row:
    """Run one job in a fresh process, and read what it says of itself."""
    command = [sys.executable, __file__, "--alone", job, world, str(n), str(workers)]
    path = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    made = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **path}, check=False
    )
    if made.returncode:
        sys.exit(made.stderr)
    return Row(**json.loads(made.stdout))


def work_alone(job: str, world: str, n: int, workers: int) -> None:
    """Do one job and print it: `sample` blocks as data frames, or `write` them as a data set."""
    names = {"sample": f"{world}: tables", "write": f"{world}: data set"}
    name = names[job] + (f", {workers} processes" if workers > 1 else "")
    begin, cpu = time.perf_counter(), cpu_seconds()
    note = {"sample": sample_alone, "write": write_alone}[job](world, n, workers)
    row = Row(name, n, time.perf_counter() - begin, cpu_seconds() - cpu, peak_memory(workers), note)
    print(json.dumps(row._asdict()))


def sample_alone(world: str, n: int, workers: int) -> str:
    """Sample block by block, keeping nothing."""
    in_blocks(n, lambda block: WORLDS[world].sample(Streams(1), block) and None)
    return ""


def write_alone(world: str, n: int, workers: int) -> str:
    """Write a data set below the folder of temporary files, and delete it again."""
    with tempfile.TemporaryDirectory() as parent:
        if workers == 1:
            crm.generators.write_dataset(WORLDS[world], f"{parent}/x", n_customers=n, seed=1)
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
                crm.generators.write_dataset(
                    WORLDS[world], f"{parent}/x", n_customers=n, seed=1, executor=executor
                )
        size = sum(file.stat().st_size for file in Path(parent).rglob("*.parquet"))
    return f"{size / 1e6:,.0f} MB on disk"


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_memory(workers: int) -> float:
    """Highest resident memory [MB]: of this process, and of as many workers as the largest."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + (workers * child if workers > 1 else 0)) / 1024


# What it comes to ---------------------------------------------------------------------------------


def table(rows: list[Row]) -> None:
    """Print measurements one below the other."""
    print(
        f"{'':<26}{'customers':>10}{'wall s':>10}{'CPU s':>10}{'customers/s':>14}"
        f"{'ns/cell':>9}{'peak MB':>9}"
    )
    for row in rows:
        memory = "" if np.isnan(row.memory) else f"{row.memory:,.0f}"
        print(
            f"{row.name:<26}{row.n:>10,}{row.seconds:>10.3f}{row.cpu:>10.3f}"
            f"{row.n / row.seconds:>14,.0f}{row.seconds / row.n / N_PERIODS * 1e9:>9.1f}"
            f"{memory:>9}  {row.note}"
        )
    print()


def verdicts(rows: list[Row]) -> None:
    """Hold the measurements against the targets, by wall-clock time."""
    speed = {row.name: row.n / row.seconds for row in rows}
    draws = speed["draw"], speed["draw, two threads"]
    for name, target in (("NumPy loop", "loop"), ("hmmlearn, one channel", "hmmlearn")):
        if name in speed:
            ratios = " and ".join(f"{s / speed[name]:,.1f}" for s in draws)
            print(f"draw: {ratios} (two threads) times {name}; the target is {TARGETS[target]:g}")
    print(f"draw: {speed['memory fill'] / draws[0]:,.1f} times as long as a memory fill")
    banks = [row for row in rows if row.name.startswith("bank: data set, 2")]
    best = max(banks, key=lambda row: row.n / row.seconds)
    print(
        f"bank: {best.n / best.seconds:,.0f} customers a second on two cores "
        f"({2 * best.n / best.cpu:,.0f} by CPU seconds); the target is {TARGETS['bank']:,.0f}"
    )
    most = max(banks, key=lambda row: row.n)
    print(
        f"bank: {most.memory:,.0f} MB in all for {most.n:,} customers; the target for 1,000,000 is "
        f"{TARGETS['memory']:,.0f} MB"
    )


def main(full: bool = False) -> None:
    """Measure and print everything."""
    rows = core_rows(1_000_000 if full else 200_000)
    table(rows)
    sizes = (40_000, 80_000, 1_000_000) if full else (40_000, 80_000, 160_000)
    alone = [
        run_alone("sample", "bank", 20_000),
        run_alone("write", "core", 40_000),
        run_alone("write", "bank", 40_000),
        *(run_alone("write", "bank", n, 2) for n in sizes),
    ]
    table(alone)
    verdicts([*rows, *alone])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="1,000,000 customers (10 minutes)")
    parser.add_argument("--alone", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        job, world, n, workers = options.alone
        work_alone(job, world, int(n), int(workers))
    else:
        main(options.full)
