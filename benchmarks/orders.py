"""Orders larger than memory: time and memory against rows, beside pandas and PyMC-Marketing.

    python benchmarks/orders.py            # 1e6 and 1e7 rows
    python benchmarks/orders.py --full     # 1e8 rows as well, DuckDB only

writes orders of rows / 7 customers in 78 weeks to a Parquet file, and summarises it: recency,
frequency and money per customer (`summary`), weekly cells (`cells`), gaps between purchases
(`gaps`). Each measurement has a process of its own, whose peak of memory counts the interpreter and
its packages; DuckDB may use 2 GB and two threads, and spills the rest to disk. PyMC-Marketing is
asked if it is installed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

WINDOW = ("1997-01-01", "1998-06-30")
BLOCK = 1_000_000
SMALL = 10_000_000  # rows up to which frames in memory are tried


def write_orders(path: Path, rows: int, seed: int = 1) -> None:
    """Write orders block by block, so that any number of them fits."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    first = np.datetime64(WINDOW[0], "us")
    days = (pd.Timestamp(WINDOW[1]) - pd.Timestamp(WINDOW[0])).days + 1
    writer = None
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        block = pa.table(
            {
                "customer_id": rng.integers(0, max(rows // 7, 1), n),
                "date": first + rng.integers(0, days, n).astype("timedelta64[D]"),
                "amount": rng.integers(100, 10_000, n) / 100,
            }
        )
        writer = writer or pq.ParquetWriter(path, block.schema)
        writer.write_table(block)
    writer.close()


def duckdb(path: Path, job: str) -> int:
    """Run one job in DuckDB, writing its result to a file; return the rows of the result."""
    import ibis

    from crmlab.warehouse import order_summary, panel_cells, purchase_gaps

    connection = ibis.duckdb.connect(
        memory_limit="2GB", threads=2, temp_directory=str(path.parent / "spill")
    )
    orders = connection.read_parquet(path)
    jobs: dict[str, Callable] = {
        "summary": lambda: order_summary(orders, observation_end=WINDOW[1]),
        "cells": lambda: panel_cells(
            orders.mutate(channel=ibis.literal("orders")), window=WINDOW, freq="W"
        ),
        "gaps": lambda: purchase_gaps(orders, window=WINDOW, freq="W"),
    }
    target = path.parent / "result.parquet"
    jobs[job]().to_parquet(target)
    return connection.read_parquet(target).count().execute()


def pandas(path: Path, job: str) -> int:
    """Summarise by `crmlab.tables.rfm_summary`."""
    from crmlab.tables import rfm_summary

    return len(rfm_summary(pd.read_parquet(path), observation_end=WINDOW[1]))


def pymc_marketing(path: Path, job: str) -> int:
    """Summarise by the function of the same name in PyMC-Marketing."""
    from pymc_marketing.clv import rfm_summary

    summary = rfm_summary(
        pd.read_parquet(path), "customer_id", "date", "amount",
        observation_period_end=WINDOW[1], time_unit="D",
    )  # fmt: skip
    return len(summary)


ENGINES = {"duckdb": duckdb, "pandas": pandas, "pymc_marketing": pymc_marketing}


def measure(engine: str, job: str, path: Path) -> str:
    """Run one measurement in a process of its own."""
    ran = subprocess.run(
        [sys.executable, __file__, "--one", engine, job, str(path)], capture_output=True, text=True
    )
    if ran.returncode:
        return f"{engine:<16}{job:<9} not done: {ran.stderr.strip().splitlines()[-1][:80]}"
    found = json.loads(ran.stdout.splitlines()[-1])
    return (
        f"{engine:<16}{job:<9}{found['seconds']:>9.1f} s{found['gib']:>8.2f} GiB"
        f"{found['rows']:>14,} rows out"
    )


def one(engine: str, job: str, path: Path) -> None:
    """Measure this process."""
    began = time.perf_counter()
    rows = ENGINES[engine](path, job)
    seconds = time.perf_counter() - began
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    print(json.dumps({"seconds": seconds, "gib": peak, "rows": int(rows)}))


def main() -> None:
    """Print a table of measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="1e8 rows as well (some 2 GB of disk)")
    parser.add_argument("--rows", type=int, nargs="*", default=[10**6, 10**7])
    parser.add_argument("--one", nargs=3, metavar=("ENGINE", "JOB", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        engine, job, path = options.one
        one(engine, job, Path(path))
        return
    for rows in [*options.rows, *([10**8] if options.full else [])]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "orders.parquet"
            write_orders(path, rows)
            print(f"{rows:,} orders, {path.stat().st_size / 2**20:,.0f} MiB", flush=True)
            jobs = [("duckdb", job) for job in ("summary", "cells", "gaps")]
            jobs += [("pandas", "summary"), ("pymc_marketing", "summary")] if rows <= SMALL else []
            for engine, job in jobs:
                print("  " + measure(engine, job, path), flush=True)


if __name__ == "__main__":
    main()
