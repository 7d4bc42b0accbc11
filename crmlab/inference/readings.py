"""Sample every hill of a posterior, judge each on its own, and mix their draws by mass.

A reading is a hill that has been sampled (see `crmlab.inference.hills`). Chains start on its top,
in coordinates in which the curvature there is 1 in every direction. Convergence is judged within a
reading: two chains on two hills can never agree, and need not. A run that fails is repeated, longer
and with shorter steps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from crmlab.arrays import Floats, Ints, spread_evenly
from crmlab.inference.convergence import find_problems, print_beside
from crmlab.inference.hills import (
    ERROR_LIMIT,
    NEGLIGIBLE,
    Mass,
    find_hills,
    measure_mass,
    nearest_hill,
    share_mass,
)
from crmlab.inference.laplace import Mode, spread_of
from crmlab.inference.log_density import LogDensity, explore
from crmlab.inference.plan import Plan
from crmlab.inference.progress import Progress

MOST = 4  # hills that are sampled; where there are more, the fit has a problem
SMALLEST = 0.01  # share of the mass that makes a reading
VISITED = 0.01  # share of the draws of a run that makes a hill part of another
NEAR = 0.5  # scatter of the chains' starts, in standard deviations
LONGER = ((1.0, 0.9), (2.0, 0.95))  # further runs: how much longer, and what they aim to accept
BUDGET = 4.0  # gradients of all runs on one hill, as a multiple of those of the first
WAY_OUT = (
    "what tells the stages apart is missing: give a `StageLabel` channel, a further channel, or a "
    "stronger prior of what the stages look like"
)


class Run(NamedTuple):
    """Draws from one hill, and what is wrong with them."""

    places: Floats  # (chain, draw, D)
    stats: xr.Dataset  # of the sampler, (chain, draw)
    problems: list[str]
    n_runs: int  # the last of which this is
    gradients: float  # computed in this run alone


class Reading(NamedTuple):
    """A hill that has been sampled."""

    hill: int  # its number in the order of the search
    run: Run
    mass: Mass
    share: float


Label = Callable[[Floats], xr.Dataset]  # names the parameters at places (chain, draw, D)


class Sampled(NamedTuple):
    """Draws of all readings, mixed, and the record of the search."""

    places: Floats
    stats: xr.Dataset  # with `reading`, the number of the reading that a draw belongs to
    problems: list[str]
    search: xr.Dataset


def sample_readings(
    density: LogDensity, plan: Plan, label: Label, rng: np.random.Generator, progress: Progress
) -> Sampled:
    """Find the hills of a density, sample each, and mix them by their mass.

    Parameters
    ----------
    density : LogDensity
    plan : Plan
    label : callable
        Gives the parameters at places (chain, draw, D), to judge whether they have converged.
    rng : numpy.random.Generator
    progress : Progress
    """
    progress.say("looking for all readings of the data")
    hills = find_hills(density, density.start, plan.chains, rng)
    runs, homes = _sample_hills(density, hills, plan, label, rng, progress)
    readings = _weigh(density, hills, runs, rng)
    chosen, draws = _mix([one.share for one in readings], plan, rng)
    chains = np.arange(plan.chains)[:, None]
    places = np.stack([one.run.places for one in readings])[chosen, chains, draws]
    return Sampled(
        places,
        _pick_stats([one.run.stats for one in readings], chosen, draws),
        _problems(readings, hills, homes),
        _record(readings, hills, homes),
    )


# Sampling -----------------------------------------------------------------------------------------


def _sample_hills(
    density: LogDensity,
    hills: Sequence[Mode],
    plan: Plan,
    label: Label,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[dict[int, Run], Ints]:
    """Sample the hills that can hold mass, and that no chain from a larger hill has visited.

    Returns
    -------
    dict of int to Run
        By the number of the hill.
    ndarray of int
        For each hill the one from which it was sampled; -1 where it was not.
    """
    shares = share_mass([hill.log_mass for hill in hills])
    homes = np.full(len(hills), -1)
    runs: dict[int, Run] = {}
    for i in np.flatnonzero(shares >= NEGLIGIBLE).tolist():
        if homes[i] >= 0 or len(runs) == MOST:
            continue
        repeats = LONGER[: plan.attempts - 1] if shares[i] >= SMALLEST else ()
        run = sample_hill(density, hills[i], plan, repeats, label, rng, progress)
        visits = np.bincount(nearest_hill(run.places, hills).ravel(), minlength=len(hills))
        visited = visits >= VISITED * visits.sum()
        before = [j for j in runs if visited[j]]
        homes[visited & (homes < 0)] = i
        homes[i] = i
        if before:  # its chains came to a hill that is sampled already: they are one reading
            homes[homes == i] = before[0]
            run = min((runs[before[0]], run), key=lambda one: len(one.problems))
        runs[before[0] if before else i] = run
    return runs, homes


def sample_hill(
    density: LogDensity,
    hill: Mode,
    plan: Plan,
    repeats: Sequence[tuple[float, float]],
    label: Label,
    rng: np.random.Generator,
    progress: Progress,
) -> Run:
    """Sample from the top of a hill; again, longer and in shorter steps, until chains agree."""
    best = _run(density, hill, plan, plan.draws, label, rng, progress)
    first = spent = best.gradients
    for length, accept in repeats:
        if not best.problems or spent + length * first > BUDGET * first:
            break
        longer = plan._replace(
            draws=int(length * plan.draws),
            tune=int(length * plan.tune),
            target_accept=max(plan.target_accept, accept),
        )
        run = _run(density, hill, longer, plan.draws, label, rng, progress)
        spent += run.gradients
        best = min((run, best), key=lambda one: len(one.problems))._replace(n_runs=best.n_runs + 1)
    return best


def _run(
    density: LogDensity,
    hill: Mode,
    plan: Plan,
    n_kept: int,
    label: Label,
    rng: np.random.Generator,
    progress: Progress,
) -> Run:
    """Run all chains once, keep evenly spread draws, and judge them."""
    factor = spread_of(hill.curvature)
    z, stats = explore(
        density.seen_from(hill.place, factor),
        lambda rng: rng.uniform(-NEAR, NEAR, len(factor)),
        **plan.options,
        seed=int(rng.integers(2**31)),
        progress=progress,
    )
    progress.say("checking convergence")
    kept = np.arange(1, n_kept + 1) * plan.draws // n_kept - 1
    places = hill.place + z[:, kept] @ factor.T
    tree = xr.DataTree.from_dict({"posterior": label(places), "sample_stats": stats})
    gradients = float(stats["n_steps"].mean()) * (plan.draws + plan.tune) * plan.chains
    stats = stats.isel(draw=kept).assign_coords(draw=np.arange(n_kept))
    return Run(places, stats, find_problems(tree), 1, gradients)


# Weighing -----------------------------------------------------------------------------------------


def _weigh(
    density: LogDensity,
    hills: Sequence[Mode],
    runs: dict[int, Run],
    rng: np.random.Generator,
) -> list[Reading]:
    """Measure the mass of each run, and keep those that are a reading, the largest first.

    A mass that cannot be measured is guessed from the curvature; its error is infinite.
    """
    if len(runs) == 1:
        (only,) = runs
        return [Reading(only, runs[only], Mass(hills[only].log_mass, 0.0), 1.0)]
    masses = [_measure(density, hills[i], run, rng) for i, run in runs.items()]
    shares = share_mass([mass.log for mass in masses])
    found = [
        Reading(i, run, mass, float(share))
        for (i, run), mass, share in zip(runs.items(), masses, shares, strict=True)
        if share >= SMALLEST
    ]
    total = sum(one.share for one in found)
    found = [one._replace(share=one.share / total) for one in found]
    return sorted(found, key=lambda one: -one.share)


def _measure(density: LogDensity, hill: Mode, run: Run, rng: np.random.Generator) -> Mass:
    z = np.linalg.solve(spread_of(hill.curvature), (run.places - hill.place)[..., None])[..., 0]
    names = {"z": (("chain", "draw", "axis"), z)}
    n_independent = float(_independent(xr.Dataset(names)))
    found = measure_mass(
        lambda x: density(x)[0], run.places.reshape(-1, z.shape[-1]), n_independent, rng
    )
    return found if np.isfinite(found.log) else Mass(hill.log_mass, np.inf)


def _independent(draws: xr.Dataset) -> float:
    """Median of the bulk effective sample sizes of many numbers."""
    import arviz_stats

    with np.errstate(invalid="ignore", divide="ignore"):  # of what does not vary
        found = arviz_stats.ess(draws, method="bulk")["z"]
    return float(np.nan_to_num(found.median(), nan=1.0))


def _mix(shares: Sequence[float], plan: Plan, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Choose for each (chain, draw) a reading and one of its draws.

    Each reading gives a chain its share of draws, evenly spread over its own chain; those of
    several readings are in random order, since their order in time means nothing.
    """
    if len(shares) == 1:
        draws = np.broadcast_to(np.arange(plan.draws), (plan.chains, plan.draws))
        return np.zeros_like(draws), draws
    edges = np.cumsum(shares)
    rows = []
    for _ in range(plan.chains):
        chosen = np.searchsorted(edges, (np.arange(plan.draws) + rng.random()) / plan.draws)
        chosen = np.minimum(chosen, len(shares) - 1)
        sizes = np.bincount(chosen, minlength=len(shares))
        draws = np.concatenate([spread_evenly(plan.draws, n) for n in sizes.tolist()])
        order = rng.permutation(plan.draws)
        rows.append((chosen[order], draws[order]))
    readings, places = zip(*rows, strict=True)
    return np.array(readings), np.array(places)


def _pick_stats(stats: Sequence[xr.Dataset], chosen: Ints, draws: Ints) -> xr.Dataset:
    """Pick the sampler's numbers of the draws that were chosen, and say which reading they are."""
    dims = ("chain", "draw")
    chains = np.broadcast_to(np.arange(len(chosen))[:, None], chosen.shape)
    at = {"reading": chosen, "chain": chains, "draw": draws}
    joined = xr.concat(stats, "reading").drop_vars(dims)
    picked = joined.isel({name: xr.DataArray(values, dims=dims) for name, values in at.items()})
    return picked.assign(reading=(dims, chosen)).assign_coords(stats[0][list(dims)].coords)


# What is told -------------------------------------------------------------------------------------


def _problems(readings: Sequence[Reading], hills: Sequence[Mode], homes: Ints) -> list[str]:
    """List why the readings cannot be read."""
    problems = [
        problem if len(readings) == 1 else f"in the reading of mass {one.share:.2f}, {problem}"
        for one in readings
        for problem in one.run.problems
    ]
    error = _error(readings)
    if error > ERROR_LIMIT:
        value = print_beside(error, ERROR_LIMIT, 2)
        problems.append(
            f"the data can be read in {len(readings)} ways whose masses are not known well enough "
            f"(standard error of their log ratio {value}, limit {ERROR_LIMIT}): {WAY_OUT}"
        )
    shares = share_mass([hill.log_mass for hill in hills])
    left = (homes < 0) & (shares >= NEGLIGIBLE)
    if shares[left].sum() > SMALLEST:
        problems.append(f"the data can be read in more than {MOST} ways: {WAY_OUT}")
    return problems


def _error(readings: Sequence[Reading]) -> float:
    """Largest standard error of the log ratio of a mass to the largest one."""
    first, *others = (one.mass.error for one in readings)
    return max((float(np.hypot(first, other)) for other in others), default=0.0)


def _record(readings: Sequence[Reading], hills: Sequence[Mode], homes: Ints) -> xr.Dataset:
    """Keep what the search has seen, and what became of it."""
    place = {one.hill: k for k, one in enumerate(readings)}
    mine = {
        "mass": [one.share for one in readings],
        "log_evidence": [one.mass.log for one in readings],
        "error": [one.mass.error for one in readings],
        "n_runs": [one.run.n_runs for one in readings],
    }
    theirs = {
        "log_density": [hill.logp for hill in hills],
        "laplace_mass": share_mass([hill.log_mass for hill in hills]),
        "n_starts": [hill.n_agreeing for hill in hills],
        "hill_reading": [place.get(home, -1) for home in homes.tolist()],
    }
    columns = {name: ("reading", values) for name, values in mine.items()}
    columns |= {name: ("hill", values) for name, values in theirs.items()}
    return xr.Dataset(columns)
