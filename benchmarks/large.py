"""What many customers cost: a fit by Laplace, a logit of observed stages, scores in blocks.

    PYTHONPATH=. python benchmarks/large.py               # a tenth of everything
    PYTHONPATH=. python benchmarks/large.py --full        # 100,000 and 1,000,000 customers

Wall-clock seconds of one run each, compilation included where there is any, and the peak of memory
so far. The worlds are invented; their numbers are found again, which is printed as the largest
distance from the truth in posterior standard deviations.
"""

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

import crmlab as crm

SPACE = crm.StageSpace(("dormant", "occasional", "active"))
MATRIX = np.array([[0.85, 0.13, 0.02], [0.1, 0.75, 0.15], [0.03, 0.12, 0.85]])
RATE = (0.3, 1.5, 4.0)
PRICES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
EFFECT = 0.4 * (np.triu(np.ones((3, 3)), 1) - np.tril(np.ones((3, 3)), -1))


def timed(label: str, run: Callable[[], object]) -> object:
    """Print how long something took, and the peak of memory."""
    began = time.perf_counter()
    result = run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{label:58s} {time.perf_counter() - began:8.1f} s  {peak:6.1f} GiB", flush=True)
    return result


def count_panel(n: int, n_periods: int) -> xr.Dataset:
    """Customers who are seen through counts of visits."""
    visits = crm.Poisson("visits", rate=RATE)
    world = crm.StageWorld(SPACE, (0.3, 0.4, 0.3), MATRIX, (visits,), n_periods=n_periods)
    return crm.to_panel(crm.simulate(world, n, seed=1), freq="M")


def stage_panel(n: int, n_periods: int) -> xr.Dataset:
    """Customers whose stages are reported, moved by five prices and by two kinds of customer."""
    rng = np.random.default_rng(1)
    price = rng.integers(0, len(PRICES), (n, n_periods), dtype=np.int8)
    logits = np.log(MATRIX / MATRIX.diagonal()[:, None]) + PRICES[:, None, None] * EFFECT
    edges = np.exp(logits).cumsum(axis=-1)
    edges /= edges[..., -1:]
    stages = np.zeros((n, n_periods), dtype=np.int8)
    for t in range(1, n_periods):
        u = rng.random(n)
        stages[:, t] = (u[:, None] >= edges[price[:, t], stages[:, t - 1]]).sum(axis=1)
    axes = ("customer_id", "period")
    return xr.Dataset(
        {
            "stage": (axes, stages.astype(np.float32)),
            "price": (axes, PRICES.astype(np.float32)[price]),
            "member": ("customer_id", rng.integers(0, 2, n).astype(float)),
            "observed": (axes, np.ones((n, n_periods), dtype=bool)),
        },
        coords={"customer_id": np.arange(n), "period": np.arange(n_periods)},
    )


def distance(draws: xr.DataArray, truth: np.ndarray) -> float:
    """Largest distance of the truth from the mean, in posterior standard deviations."""
    sd = draws.std(("chain", "draw")).values
    gap = np.abs(draws.mean(("chain", "draw")).values - truth)
    return float((gap[sd > 0] / sd[sd > 0]).max())


def fit_hidden(n: int) -> crm.Fit:
    """Fit hidden stages by Laplace."""
    panel = count_panel(n, 36)
    visits = (crm.Poisson("visits"),)
    model = crm.HiddenMarkov(SPACE, crm.StickyDirichlet(2.0), visits, ordered_by="visits_rate")
    found = timed(
        f"laplace, {n:,} customers x 36 periods, 200 draws",
        lambda: crm.fit(model, panel, method="laplace", draws=100, seed=2),
    )
    far = distance(found.posterior["transition_matrix"], MATRIX)
    about = found.idata.attrs
    print(
        f"    off by {far:.1f} sd; k {about['pareto_khat']:.2f}; worth {about['n_effective']:.0f}"
    )
    return found


def fit_observed(n: int) -> None:
    """Fit a logit of observed stages, from counts per pattern."""
    panel = stage_panel(n, 36)
    law = crm.CovariateLogit(("price", "member"), shared="move")
    model = crm.ObservedMarkov(SPACE, law)
    for method in ("laplace", "nuts"):
        found = timed(
            f"observed logit by {method}, {n:,} x 36, 1,000 draws",
            lambda method=method: crm.fit(model, panel, method=method, draws=500, seed=2),
        )
        far = distance(found.posterior["price_effect"], EFFECT)
        print(f"    off by {far:.1f} sd; {_worth(found):.0f} effective draws; {found!r}")


def _worth(found: crm.Fit) -> float:
    import arviz_stats

    if "n_effective" in found.idata.attrs:
        return found.idata.attrs["n_effective"]
    ess = arviz_stats.ess(found.posterior[["price_effect", "member_effect"]], method="bulk")
    return float(min(values.min() for values in ess.data_vars.values()))


def score(fit: crm.Fit, n: int) -> None:
    """Score customers block by block."""
    panel = count_panel(n, 12)
    for workers in (0, 2):
        pool = ThreadPoolExecutor(workers) if workers else None
        n_rows = timed(
            f"scores, {n:,} x 12, 20 draws, {workers or 'no'} threads",
            lambda pool=pool: sum(
                map(len, crm.prediction.score_customers(fit, panel, executor=pool))
            ),
        )
        assert n_rows == n


def main() -> None:
    """Print one line per task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    share = 1 if parser.parse_args().full else 10
    fit_observed(1_000_000 // share)
    score(fit_hidden(100_000 // share), 1_000_000 // share)


if __name__ == "__main__":
    main()
