"""Effective draws per second, end to end: one posterior, one data set, several samplers.

    PYTHONPATH=. python benchmarks/sampling.py                    # 1,000 + 1,000 draws, 2 chains
    PYTHONPATH=. python benchmarks/sampling.py --draws 300        # a first look

300 customers x 24 periods x 3 stages, an effect of each customer's own, one covariate, three
channels (visits, spend, a survey), 10 % of the cells missing. All routes take the same PyMC model:
priors, transforms and channels are crmlab's, and only the sum over stage paths and the sampler
differ.

* `crmlab`         the compiled kernel, `crm.fit`'s compilation and sampler;
* `scan, nutpie`   a PyTensor scan in logarithms, compiled and sampled by nutpie as it comes;
* `scan, NumPyro`  the same scan translated to JAX, NumPyro's NUTS, chains one after the other
                   (where NumPyro is installed).

The rivals' chains begin where crmlab's first one does: from their own starting points they end on
different hills (two stages swapped, R-hat 1.84), and no rate could be stated. Finding that place
is in crmlab's own time, not in theirs.

Every route runs in a process of its own, one after the other. `set-up` is compilation, with the
compile cache as it is found: run twice, and the second run shows a warm one. Wall-clock times: on a
machine that does other things, only compare routes of one run. A route that is not done after
`--limit` seconds is stopped, and the table says so.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import xarray as xr
from peers import is_installed

import crmlab as crm

SPACE = crm.StageSpace(("dormant", "occasional", "active"))
LAW = crm.CovariateLogit(
    ("price",), shared="all", customers=crm.transitions.CustomerEffects(shared="all", scale=1.0)
)
CHANNELS = (crm.Poisson("visits"), crm.ZeroInflatedSpend("spend"), crm.OrdinalSurvey("survey"))
MODEL = crm.HiddenMarkov(SPACE, LAW, CHANNELS, ordered_by="visits_rate")
CHAINS = 2


def make_panel(n: int, n_periods: int) -> xr.Dataset:
    """Simulate the customers by matrices of their own, and blank a tenth of the cells."""
    rng = np.random.default_rng(1)
    price, own = rng.normal(size=(n, n_periods)).round(2), 0.6 * rng.normal(size=n)
    base = np.array([[0, -2, -3.5], [-2, 0, -2], [-3, -2, 0.0]])
    stage = rng.choice(3, n, p=(0.5, 0.3, 0.2))
    columns = {"visits": [], "spend": [], "survey": []}
    for t in range(n_periods):
        if t:
            push = (0.8 * price[:, t] + own)[:, None] * (np.arange(3) != stage[:, None])
            stage = (base[stage] + push + rng.gumbel(size=(n, 3))).argmax(axis=1)
        buys = rng.random(n) < np.array([0.05, 0.25, 0.6])[stage]
        amount = np.exp(np.array([3.0, 3.3, 4.0])[stage] + 0.5 * rng.normal(size=n)).round(1)
        answer = np.clip(np.round(3 + np.array([-1.0, 0.2, 1.2])[stage] + rng.normal(size=n)), 1, 5)
        columns["visits"].append(rng.poisson(np.array([0.3, 1.5, 4.0])[stage]).astype(float))
        columns["spend"].append(np.where(buys, amount, 0.0))
        columns["survey"].append(answer)
    axes = ("customer_id", "period")
    cells = {name: np.stack(values, axis=1) for name, values in columns.items()}
    cells = {k: np.where(rng.random(v.shape) < 0.1, np.nan, v) for k, v in cells.items()}
    data = {**cells, "price": price, "observed": np.ones((n, n_periods), dtype=bool)}
    labels = {"customer_id": np.arange(n), "period": np.arange(n_periods)}
    return xr.Dataset({k: (axes, v) for k, v in data.items()}, coords=labels)


def scan_loglik(initial, drivers, tables, codes, windows, times):
    """Do as `driven_loglik`, by a scan over all customers at once; windows are whole here."""
    import pytensor
    import pytensor.tensor as pt

    base, effects, covariates, loads, customers = drivers
    scores = sum(table[code] for table, code in zip(tables, codes, strict=True))
    scores = scores.dimshuffle(1, 0, 2)
    own = pt.tensordot(customers, loads, axes=[[1], [0]])
    logits = base + pt.tensordot(covariates.dimshuffle(1, 0, 2), effects, axes=[[2], [0]]) + own
    log_p = logits - pt.logsumexp(logits, axis=-1, keepdims=True)

    def step(log_p: object, score: object, log_alpha: object) -> object:
        return pt.logsumexp(log_alpha[:, :, None] + log_p, axis=1) + score

    alphas = pytensor.scan(
        step,
        sequences=[log_p, scores[1:]],
        outputs_info=[pt.log(initial) + scores[0]],
        return_updates=False,
    )
    return pt.logsumexp(alphas[-1], axis=-1).sum()


def find_top() -> dict[str, np.ndarray]:
    """Find where crmlab's first chain begins: the value of every free variable."""
    from crmlab.inference.laplace import find_start
    from crmlab.inference.log_density import make_log_density

    model = MODEL.build(make_panel(300, 24))
    names = tuple(variable.name for variable in model.free_RVs)
    density = make_log_density(model, names)
    top = find_start(density, density.start, np.random.default_rng(1))
    return dict(zip(names, density.constrain(top), strict=True))


def build_scan() -> object:
    """Build the same model with the scan in the place of the kernel."""
    import pymc as pm

    from crmlab.models.kernel import op

    op.driven_loglik = scan_loglik
    panel = make_panel(300, 24)
    model = MODEL.build(panel)
    with model:
        pm.Potential("loglik", *MODEL.merged_loglik(model, panel))
    model.observed_RVs.clear()
    return model


def run_crmlab(draws: int) -> tuple[xr.Dataset, float, float]:
    """Sample one hill as `crm.fit` does; give draws, seconds of set-up, seconds of sampling."""
    from crmlab.inference.fitting import _label_draws
    from crmlab.inference.log_density import read_log_density, run_nuts

    began = time.perf_counter()
    density = read_log_density(MODEL, make_panel(300, 24))
    ready = time.perf_counter()
    kept, _ = run_nuts(density, draws=draws, tune=draws, chains=CHAINS, seed=1)
    done = time.perf_counter()
    return _label_draws(MODEL, kept)["posterior"].to_dataset(), ready - began, done - ready


def run_nutpie(draws: int) -> tuple[xr.Dataset, float, float]:
    """Sample the scan with nutpie as it comes."""
    import nutpie

    top, model = find_top(), build_scan()
    began = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model, initial_points=top, jitter_rvs=set())
    ready = time.perf_counter()
    found = nutpie.sample(
        compiled, draws=draws, tune=draws, chains=CHAINS, seed=1, progress_bar=False
    )
    return found["posterior"].to_dataset(), ready - began, time.perf_counter() - ready


def run_numpyro(draws: int) -> tuple[xr.Dataset, float, float]:
    """Sample the scan with NumPyro; set-up is what a run of two draws takes."""
    from pymc.sampling.jax import sample_numpyro_nuts

    top, model = find_top(), build_scan()

    def run(n: int) -> object:
        with model:
            return sample_numpyro_nuts(
                draws=n, tune=n, chains=CHAINS, random_seed=1, progressbar=False, initvals=top,
                jitter=False, chain_method="sequential", compute_convergence_checks=False,
            )  # fmt: skip

    began = time.perf_counter()
    run(1)
    ready = time.perf_counter()
    found = run(draws)
    setup = ready - began
    sampling = max(time.perf_counter() - ready - setup, 1e-3)
    return found["posterior"].to_dataset(), setup, sampling


ROUTES: dict[str, Callable[[int], tuple[xr.Dataset, float, float]]] = {
    "crmlab": run_crmlab,
    "scan, nutpie": run_nutpie,
    "scan, NumPyro": run_numpyro,
}


def judge(posterior: xr.Dataset) -> dict[str, float]:
    """Smallest bulk effective sample size and largest R-hat of what the posterior reports."""
    import arviz_stats

    posterior = posterior[list(MODEL.posterior_names)]
    moves = posterior.max(("chain", "draw")) > posterior.min(("chain", "draw"))
    with np.errstate(invalid="ignore", divide="ignore"):
        ess = arviz_stats.ess(posterior, method="bulk").where(moves)
        rhat = arviz_stats.rhat(posterior).where(moves)
    effect = posterior["price_effect"].mean(("chain", "draw")).max()
    return {
        "ess": min(float(v.min()) for v in ess.data_vars.values() if v.notnull().any()),
        "rhat": max(float(v.max()) for v in rhat.data_vars.values() if v.notnull().any()),
        "effect": float(effect),
    }


def run_apart(route: str, draws: int, limit: float) -> dict[str, float] | None:
    """Run one route in a process of its own, and say so if it takes too long."""
    if "NumPyro" in route and not is_installed("numpyro"):
        return None
    command = [sys.executable, __file__, "--route", route, "--draws", str(draws)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        print(f"| {route} | not finished after {limit:.0f} s | | | | | | |", flush=True)
        return None
    if done.returncode:
        print(f"{route}: failed; {done.stderr.strip().splitlines()[-1]}", flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print one line per route."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for a route")
    parser.add_argument("--route", choices=ROUTES)
    chosen = parser.parse_args()
    if chosen.route:
        warnings.simplefilter("ignore")
        posterior, setup, sampling = ROUTES[chosen.route](chosen.draws)
        print(json.dumps({**judge(posterior), "setup": setup, "sampling": sampling}))
        return
    print(f"{CHAINS} chains of {chosen.draws} + {chosen.draws} draws; seconds", end="\n\n")
    print("| route | set-up | sampling | min ESS | ESS/s | ESS/s with set-up | R-hat | effect |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for route in ROUTES:
        if (r := run_apart(route, chosen.draws, chosen.limit)) is None:
            continue
        rate, whole = r["ess"] / r["sampling"], r["ess"] / (r["sampling"] + r["setup"])
        print(
            f"| {route} | {r['setup']:.1f} | {r['sampling']:.1f} | {r['ess']:.0f} | {rate:.2f} "
            f"| {whole:.2f} | {r['rhat']:.3f} | {r['effect']:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
