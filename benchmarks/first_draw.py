"""Seconds from the start of a process to the first draw, with a warm compile cache.

    PYTHONPATH=. python benchmarks/first_draw.py

Three stages, the channels visits, spend and a survey, two chains; every number is the best of
three processes, each from its start to its end. One process before them fills the cache, which is
what set-up does for the models of the course.

* `crmlab`          `crm.fit` with one draw after one step of warm-up, imports and data included;
* `another size`    the same with other numbers of customers and periods;
* `a second model`  in the same process, after the first: seconds of the second `crm.fit` alone;
* `stock nutpie`    the same PyMC model, compiled and started by nutpie as it comes.
"""

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import xarray as xr

import crmlab as crm

SPACE = crm.StageSpace(("dormant", "occasional", "active"))
CHANNELS = (crm.Poisson("visits"), crm.ZeroInflatedSpend("spend"), crm.OrdinalSurvey("survey"))
MODEL = crm.HiddenMarkov(SPACE, crm.StickyDirichlet(), CHANNELS, ordered_by="visits_rate")
ONE = {"draws": 1, "tune": 1, "chains": 2, "seed": 1}
SIZES = {"usual": (300, 24), "other": (500, 36)}


def make_panel(n: int, n_periods: int) -> xr.Dataset:
    """Simulate a panel of three channels."""
    rng = np.random.default_rng(n)
    shape = (n, n_periods)
    stage = rng.choice(3, shape, p=(0.5, 0.3, 0.2))
    buys = rng.random(shape) < np.array([0.05, 0.25, 0.6])[stage]
    columns = {
        "visits": rng.poisson(np.array([0.3, 1.5, 4.0])[stage]).astype(float),
        "spend": np.where(buys, np.exp(3 + 0.5 * rng.normal(size=shape)).round(1), 0.0),
        "survey": rng.integers(1, 6, shape).astype(float),
        "observed": np.ones(shape, dtype=bool),
    }
    labels = {"customer_id": np.arange(n), "period": np.arange(n_periods)}
    axes = ("customer_id", "period")
    return xr.Dataset({name: (axes, values) for name, values in columns.items()}, coords=labels)


def fit(size: str) -> float:
    """Draw once with crmlab; give its seconds without imports and data."""
    panel, began = make_panel(*SIZES[size]), time.perf_counter()
    crm.fit(MODEL, panel, **ONE)
    return time.perf_counter() - began


def fit_twice() -> float:
    """Draw once for each of two panels; give the seconds of the second."""
    fit("usual")
    return fit("other")


def run_nutpie() -> float:
    """Draw once with nutpie as it comes."""
    import nutpie

    began = time.perf_counter()
    compiled = nutpie.compile_pymc_model(MODEL.build(make_panel(*SIZES["usual"])))
    nutpie.sample(compiled, **ONE, progress_bar=False)
    return time.perf_counter() - began


ROUTES: dict[str, Callable[[], float]] = {
    "crmlab": lambda: fit("usual"),
    "another size": lambda: fit("other"),
    "a second model": fit_twice,
    "stock nutpie": run_nutpie,
}


def run_apart(route: str) -> tuple[float, float]:
    """Run a route in a process of its own: seconds of the process, and what the route says."""
    command = [sys.executable, __file__, "--route", route]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, float(done.stdout.splitlines()[-1])


def main() -> None:
    """Print one line per route."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--route", choices=ROUTES)
    if route := parser.parse_args().route:
        warnings.simplefilter("ignore")  # one draw is too few to read, and nobody does
        print(ROUTES[route]())
        return
    run_apart("crmlab")
    print("| route | process [s] | of it model, compilation and first draw [s] |")
    print("|---|---:|---:|", flush=True)
    for route in ROUTES:
        whole, part = min(run_apart(route) for _ in range(3))
        print(f"| {route} | {whole:.1f} | {part:.1f} |", flush=True)


if __name__ == "__main__":
    main()
