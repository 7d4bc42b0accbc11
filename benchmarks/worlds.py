"""How fast worlds are simulated, how much memory that takes, and how both grow.

    python benchmarks/worlds.py [number of customers, default 1,000,000]

The core world: Knapp's ten stages moving by the teaching matrix K10 (invented), a count channel and
a purchase channel, 36 periods. Measured in blocks, side by side in one run:

    draw          StageWorld.draw, as users call it
    same bytes    the plain NumPy code that gives the same bits, period by period
    NumPy loop    a loop over time with NumPy's own generator: other chance, not addressed
    fill          writing as many bytes as `draw` returns: nothing can be faster
    tables        StageWorld.sample: the same as data frames, checked
    data set      write_dataset: the same as Parquet files, with truth and checksums

Each number is the best of a few repeats; a busy machine makes all of them worse.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import crmlab as crm
from crmlab.generators import kernels
from crmlab.generators.partitions import write_dataset
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


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Best time of a few repeats [s]."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def numpy_loop(n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Simulate the core world as one would by hand."""
    edges = np.asarray(WORLD.transition_matrix).cumsum(axis=1)
    stages = np.empty((n, N_PERIODS), dtype=np.int64)
    stages[:, 0] = (rng.random((n, 1)) > np.cumsum(WORLD.initial_probs)).sum(axis=1)
    for t in range(1, N_PERIODS):
        stages[:, t] = (rng.random((n, 1)) > edges[stages[:, t - 1]]).sum(axis=1)
    visits = rng.poisson(np.asarray(RATE)[stages])
    amount = np.asarray(MEDIAN)[stages] * np.exp(0.5 * rng.standard_normal(stages.shape))
    spend = np.where(rng.random(stages.shape) < np.asarray(PROB)[stages], amount, 0.0)
    return stages, visits, spend


def draw_blocks(n: int, workers: int = 1) -> None:
    """Draw n customers block by block, keeping nothing."""
    blocks = [np.arange(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]
    if workers == 1:
        for block in blocks:
            WORLD.draw(Streams(1), block)
        return
    with ThreadPoolExecutor(workers) as executor:
        list(executor.map(lambda block: WORLD.draw(Streams(1), block) and None, blocks))


def loop_blocks(n: int) -> None:
    """Run the NumPy loop block by block, keeping nothing."""
    rng = np.random.default_rng(1)
    for first in range(0, n, BLOCK):
        numpy_loop(min(BLOCK, n - first), rng)


def draw_same_bytes(n: int) -> None:
    """Draw with plain NumPy."""
    compile_from = kernels.WORTH_COMPILING
    kernels.WORTH_COMPILING = sys.maxsize
    try:
        WORLD.draw(Streams(1), np.arange(n))
    finally:
        kernels.WORTH_COMPILING = compile_from


def peak_memory() -> float:
    """Highest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_data_set(n: int) -> None:
    """Print time [s], peak memory [MB] and volume [MB] of a data set of n customers."""
    with tempfile.TemporaryDirectory() as parent:
        spent = seconds(lambda: write_dataset(WORLD, f"{parent}/x", n_customers=n, seed=1), 1)
        size = sum(f.stat().st_size for f in Path(parent).rglob("*.parquet")) / 2**20
    print(f"{spent:.3f} {peak_memory():.0f} {size:.1f}")


def line(name: str, spent: float, n: int, note: str = "") -> None:
    """Print one measurement."""
    cells = n * N_PERIODS
    print(
        f"{name:<22}{n:>10,}  {spent:>8.3f} s  {n / spent:>12,.0f} customers/s"
        f"  {spent / cells * 1e9:>8.1f} ns/cell  {note}"
    )


def main(n: int) -> None:
    """Print everything."""
    few = min(n, BLOCK)
    WORLD.draw(Streams(1), np.arange(BLOCK))  # compiles
    block = seconds(lambda: draw_blocks(few))
    same = seconds(lambda: draw_same_bytes(few), 1)
    loop = seconds(lambda: numpy_loop(few, np.random.default_rng(1)))
    outs = [np.empty((few, N_PERIODS)) for _ in range(3)]
    fill = seconds(lambda: [out.fill(1.0) for out in outs])
    line("draw, one block", block, few)
    line("same bytes, NumPy", same, few, f"draw is {same / block:.1f} times as fast")
    line("NumPy loop", loop, few, f"draw is {loop / block:.1f} times as fast")
    line("fill", fill, few, f"draw is {block / fill:.0f} times a memory fill")
    before = peak_memory()
    whole = seconds(lambda: draw_blocks(n), 1)
    line("draw, all blocks", whole, n, f"{peak_memory() - before:+.0f} MB")
    two = seconds(lambda: draw_blocks(n, 2), 1)
    line("draw, two threads", two, n)
    loop = seconds(lambda: loop_blocks(n), 1)
    ratios = f"draw is {loop / whole:.1f} times as fast, with two threads {loop / two:.1f}"
    line("NumPy loop, blocks", loop, n, ratios)
    line("tables", seconds(lambda: WORLD.sample(Streams(1), np.arange(few)), 1), few)
    for size in (few, 2 * few, 4 * few):
        command = [sys.executable, __file__, "--data-set", str(size)]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        spent, memory, volume = map(float, made.stdout.split())
        line("data set", spent, size, f"peak {memory:.0f} MB in all, {volume:.1f} MB on disk")


if __name__ == "__main__":
    if "--data-set" in sys.argv:
        measure_data_set(int(sys.argv[-1]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
