"""Customer lifetime value by PyMC-Marketing at growing sizes: seconds, memory, and where it ends.

    python -m benchmarks.value_peer                   # until 4 GiB or two minutes are passed

Their `expected_customer_lifetime_value` (BG/NBD with Gamma-Gamma, 12 months, discounted) with 200
draws of the parameters around CDNOW's, each size in a process of its own; then `benchmarks.value`
with 1,000,000 customers and as many draws, and the ratio in customer-draws per second. The tasks
are alike, not the same: theirs sums 12 months of hypergeometric functions, ours values ten stages
for ever and adds every customer's interval.
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.value import draw_matrices, one_law, peak_gib
from crmlab.btyd import BGNBD, GammaGamma
from crmlab.btyd.marketing import load_peer
from crmlab.stages import K10

CHAINS, DRAWS = 4, 50
SIZES = (1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 200_000)
LIMIT_SECONDS, LIMIT_GIB = 120.0, 4.0
RATES = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
AMOUNTS = GammaGamma(p=6.25, q=3.74, v=15.44)


def draw_customers(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Histories of invented customers, in weeks, as PyMC-Marketing reads them."""
    x = rng.poisson(rng.gamma(0.5, 2.0, n))
    T = rng.uniform(27.0, 39.0, n)
    columns = {"frequency": x, "recency": np.where(x > 0, T * rng.random(n), 0.0), "T": T}
    money = np.where(x > 0, rng.gamma(6.0, 6.0, n), 0.0)
    return pd.DataFrame({"customer_id": np.arange(n), **columns, "monetary_value": money})


def give_draws(model: object, params: BGNBD | GammaGamma, rng: np.random.Generator) -> None:
    """Put draws 3 % around the parameters where a sampler would have put its own."""
    draws = {
        name: (("chain", "draw"), getattr(params, name) * np.exp(0.03 * rng.normal(size=(4, 50))))
        for name in params.names()
    }
    coords = {"chain": range(CHAINS), "draw": range(DRAWS)}
    model.idata = xr.DataTree.from_dict({"posterior": xr.Dataset(draws, coords=coords)})


def time_peer(n: int) -> dict[str, float]:
    """Seconds and peak GiB of one call; set-up is not timed."""
    clv, rng = load_peer(), np.random.default_rng(1)
    customers = draw_customers(n, rng)
    few = customers[customers["frequency"] > 0].head(50)
    buying, spending = clv.BetaGeoModel(), clv.GammaGammaModel()
    for model, params in ((buying, RATES), (spending, AMOUNTS)):
        model.build_model(few)
        give_draws(model, params, rng)
    began = time.perf_counter()
    value = spending.expected_customer_lifetime_value(
        buying, customers, future_t=12, discount_rate=0.008, time_unit="W"
    )
    seconds = time.perf_counter() - began
    assert value.shape == (CHAINS, DRAWS, n), value.shape
    return {"seconds": seconds, "gib": peak_gib()}


def time_ours(n: int) -> dict[str, float]:
    """Seconds and peak GiB of `value_in_blocks` for as many draws."""
    rng = np.random.default_rng(1)
    P = draw_matrices(CHAINS * DRAWS, rng)
    laws = rng.dirichlet(np.full(len(K10), 0.3), size=n)
    began = time.perf_counter()
    one_law(P, laws)
    return {"seconds": time.perf_counter() - began, "gib": peak_gib()}


def alone(face: str, n: int) -> dict[str, float] | None:
    """Measure in a process of its own; None where it died."""
    command = [sys.executable, "-m", "benchmarks.value_peer", face, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def line(name: str, n: int, found: dict[str, float]) -> tuple[str, float]:
    """One line, and customer-draws per second in millions."""
    speed = n * CHAINS * DRAWS / found["seconds"] / 1e6
    text = f"{name:<16}{n:>10,} customers {found['seconds']:>8.1f} s  peak {found['gib']:.2f} GiB"
    return f"{text}  {speed:8.2f} M customer-draws/s", speed


def compare() -> None:
    """Print theirs at growing sizes, ours, and the ratio."""
    theirs = 0.0
    for n in SIZES:
        found = alone("--peer", n)
        if found is None:
            print(f"PyMC-Marketing  {n:>10,} customers: the process died")
            break
        text, theirs = line("PyMC-Marketing", n, found)
        print(text, flush=True)
        if found["seconds"] > LIMIT_SECONDS or found["gib"] > LIMIT_GIB:
            print(f"passed {LIMIT_SECONDS:.0f} s or {LIMIT_GIB:.0f} GiB at {n:,} customers")
            break
    found = alone("--ours", 1_000_000)
    text, ours = line("crmlab", 1_000_000, found)
    print(text)
    print(f"ratio of customer-draws per second: {ours / theirs:.0f}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=int, metavar="N", help="measure one size of theirs")
    parser.add_argument("--ours", type=int, metavar="N", help="measure one size of ours")
    options = parser.parse_args()
    if options.peer:
        print(json.dumps(time_peer(options.peer)))
    elif options.ours:
        print(json.dumps(time_ours(options.ours)))
    else:
        compare()


if __name__ == "__main__":
    main()
