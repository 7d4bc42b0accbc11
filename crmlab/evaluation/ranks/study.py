"""Replicates of a calibration study, one by one or many, and what they show together."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from crmlab import chains
from crmlab.arrays import Floats, count_problems, spread_evenly
from crmlab.errors import SpecError, check_one_of, raise_problems
from crmlab.evaluation.ranks.uniformity import rank_p_value
from crmlab.inference.fitting import make_rng
from crmlab.models.base import StageModel
from crmlab.models.emissions import Scorer, find_window
from crmlab.models.prior import Draw, draw_prior
from crmlab.models.simulation import moving, simulate_panel

if TYPE_CHECKING:
    from crmlab.inference.log_density import LogDensity

LOGLIK = "loglik"

# How often a run that is too short for the kept draws is repeated with twice as many.
_DOUBLINGS = 3
_RUN, _TUNE = 400, 400
MOST_FOR_LOW_RANK = 0.01  # share of draws that may diverge


class Replicate(NamedTuple):
    """One world: the ranks of its truth, and how well the sampler worked.

    Parameters
    ----------
    number : int
    ranks : dict of str to int
        Rank of each true number among the kept draws; "loglik" is that of the data.
    ess : float
        Smallest bulk effective sample size of the run; that of independent draws is their number.
    n_run : int
        Draws from which the kept ones were thinned.
    n_diverging : int
    """

    number: int
    ranks: dict[str, int]
    ess: float
    n_run: int
    n_diverging: int


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of many replicates, and whether they are uniform.

    Parameters
    ----------
    ranks : DataFrame of int
        One row per replicate, one column per number of the posterior, and "loglik".
    n_draws : int
        Independent draws that each truth was ranked among.
    runs : DataFrame
        `ess`, `n_run`, `n_diverging` of each replicate.
    """

    ranks: pd.DataFrame
    n_draws: int
    runs: pd.DataFrame

    @classmethod
    def gather(cls, replicates: list[Replicate], n_draws: int) -> "Calibration":
        """Put replicates together."""
        index = pd.Index([one.number for one in replicates], name="replicate")
        ranks = pd.DataFrame([one.ranks for one in replicates], index=index)
        runs = pd.DataFrame([one[2:] for one in replicates], index, ["ess", "n_run", "n_diverging"])
        return cls(ranks, n_draws, runs)

    @property
    def moved_well(self) -> pd.Series:
        """Whether a run was worth its kept draws, with at most one draw in a hundred diverging.

        Given the data and the sampler's random numbers, that does not depend on the truth, so
        leaving other runs out keeps the ranks uniform. Their number is a result in itself.
        """
        few = self.runs["n_diverging"] <= MOST_FOR_LOW_RANK * self.runs["n_run"]
        return (self.runs["ess"] >= 0.9 * self.n_draws) & few

    @property
    def p_values(self) -> pd.Series:
        """Exact p value of uniform ranks, for each number alone; NaN if no run is left."""
        kept = self.ranks[self.moved_well]
        found = {
            name: rank_p_value(column, self.n_draws) if len(kept) else np.nan
            for name, column in kept.items()
        }
        return pd.Series(found, name="p_value")

    @property
    def p_value(self) -> float:
        """One p value for all numbers together (Bonferroni): small if any is off."""
        found = self.p_values
        return float(np.minimum(1.0, len(found) * found.min()))

    def coverage(self, prob: float = 0.9) -> pd.Series:
        """Share of truths inside the central interval of their posterior.

        Parameters
        ----------
        prob : float
            Probability of the interval; taken as the nearest whole number of ranks.
        """
        outside = round((self.n_draws + 1) * (1 - prob) / 2)
        kept = self.ranks[self.moved_well]
        inside = (kept >= outside) & (kept <= self.n_draws - outside)
        return inside.mean().rename("coverage")

    def __repr__(self) -> str:
        """Summarise the result."""
        kept = int(self.moved_well.sum())
        verdict = (
            f"p = {self.p_value:.3g}, least uniform {self.p_values.idxmin()}"
            if kept
            else ("nothing to judge")
        )
        return (
            f"Calibration: {kept} replicates x {self.ranks.shape[1]} ranks among {self.n_draws} "
            f"draws ({len(self.ranks) - kept} left out: slow or diverging); {verdict}"
        )


def calibrate(
    model: StageModel,
    design: xr.Dataset,
    *,
    n_replicates: int,
    n_draws: int = 99,
    method: str | None = None,
    fitted: StageModel | None = None,
    seed: int,
) -> Calibration:
    """Simulate worlds from a model's prior, fit each, and rank the truths.

    Parameters
    ----------
    model : StageModel
        Gives the prior, the worlds and, unless `fitted` is given, the fits.
    design : xr.Dataset
        The shape of the panels: windows, covariates, cells that are not seen. From `empty_panel`,
        or a real panel, whose observations are then replaced by simulated ones.
    n_replicates : int
    n_draws : int
        Independent posterior draws that a truth is ranked among. A run is thinned to them by its
        effective sample size, and repeated with more draws where that is too small.
    method : {"exact", "nuts"}, optional
        As in `fit`; the model's default if left out.
    fitted : StageModel, optional
        Fit this model to the worlds of `model`, to see whether a mistake is caught.
    seed : int
        Replicate r depends on the seed and r alone.

    Returns
    -------
    Calibration

    Raises
    ------
    SpecError
        A number is out of range, or the prior cannot be drawn in order.

    Examples
    --------
    >>> import crmlab as crm
    >>> from crmlab.evaluation.ranks import empty_panel
    >>> model = crm.ObservedMarkov(crm.StageSpace(("dormant", "active")))
    >>> calibrate(model, empty_panel(5, 6), n_replicates=40, seed=1).p_value > 0.01
    True
    """
    counts = {"n_replicates": n_replicates, "n_draws": n_draws}
    raise_problems(SpecError, "calibrate", count_problems(counts))
    one_by_one = replicate(model, design, n_draws=n_draws, method=method, fitted=fitted, seed=seed)
    return Calibration.gather(list(itertools.islice(one_by_one, n_replicates)), n_draws)


def replicate(
    model: StageModel,
    design: xr.Dataset,
    *,
    n_draws: int = 99,
    method: str | None = None,
    fitted: StageModel | None = None,
    first: int = 0,
    seed: int,
) -> Iterator[Replicate]:
    """Yield the replicates of `calibrate` one after the other, without end.

    Parameters
    ----------
    model, design, n_draws, method, fitted, seed
        As `calibrate` takes them.
    first : int
        Number of the first replicate, to continue a run that was interrupted.

    Yields
    ------
    Replicate
    """
    make_rng("calibrate", seed)
    fitted = model if fitted is None else fitted
    method = method or fitted.default_method
    check_one_of("calibrate", "method", method, ("exact", "nuts"))
    truths = itertools.islice(draw_prior(model, design, seed=seed), first, None)
    names, sampler = None, None
    for number, truth in enumerate(truths, start=first):
        rng = np.random.default_rng([seed, number])
        panel = simulate_panel(model, design, truth, rng=rng)
        sampler = sampler or _SAMPLERS[method](fitted, panel)
        run = sampler(panel, n_draws, rng)
        names = names or _choose_numbers(run.draws, model.space.names)
        yield _rank(fitted, panel, truth, run, names, number, rng)


# Samplers -----------------------------------------------------------------------------------------


class _Run(NamedTuple):
    """Kept draws (draw, ...) by name, and what `Replicate` says of their run."""

    draws: Draw
    ess: float
    n_run: int
    n_diverging: int


Sampler = Callable[[xr.Dataset, int, np.random.Generator], _Run]


def _exact_sampler(model: StageModel, panel: xr.Dataset) -> Sampler:
    def sample(panel: xr.Dataset, n_draws: int, rng: np.random.Generator) -> _Run:
        draws = model.sample_exact(panel, (n_draws,), rng)
        return _Run(draws, float(n_draws), n_draws, 0)

    return sample


def _nuts_sampler(model: StageModel, panel: xr.Dataset) -> Sampler:
    """Compile the log-posterior on the first panel; the others only change its data."""
    from crmlab.inference.log_density import read_log_density

    density = read_log_density(model, panel)

    def sample(panel: xr.Dataset, n_draws: int, rng: np.random.Generator) -> _Run:
        here = density.with_data(model.read(panel))
        n_run = max(_RUN, 4 * n_draws)
        for _ in range(_DOUBLINGS + 1):
            run = _sample_once(here, n_run, n_draws, int(rng.integers(2**31)))
            if run.ess >= n_draws:
                break
            n_run *= 2
        return run

    return sample


_SAMPLERS = {"exact": _exact_sampler, "nuts": _nuts_sampler}


def _sample_once(density: "LogDensity", n_run: int, n_draws: int, seed: int) -> _Run:
    import arviz_stats

    from crmlab.inference.log_density import run_nuts

    draws, stats = run_nuts(density, draws=n_run, tune=_TUNE, chains=1, seed=seed)
    moving = {
        name: (("chain", "draw", *(f"{name}_{axis}" for axis in range(values.ndim - 2))), values)
        for name, values in draws.items()
        if np.ptp(values) > 0
    }
    with np.errstate(invalid="ignore", divide="ignore"):  # of what does not vary
        found = arviz_stats.ess(xr.Dataset(moving), method="bulk")
    ess = min(float(values.min()) for values in found.data_vars.values())
    keep = spread_evenly(n_run, n_draws)
    thinned = {name: values[0, keep] for name, values in draws.items()}
    return _Run(thinned, ess, n_run, int(stats["diverging"].sum()))


# Ranks --------------------------------------------------------------------------------------------


def _choose_numbers(draws: Draw, stages: tuple[str, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Find the numbers that vary, each once: no duplicates, and none that is 1 minus another."""
    chosen: dict[str, tuple[str, tuple[int, ...]]] = {}
    seen: list[Floats] = []
    for name, values in draws.items():
        for place in np.ndindex(values.shape[1:]):
            column = values[(slice(None), *place)]
            if np.ptp(column) == 0 or any(_mirrors(column, other) for other in seen):
                continue
            seen.append(column)
            words = ",".join(stages[k] if k < len(stages) else str(k) for k in place)
            label = f"{name}[{words}]" if place else name
            chosen[label] = (name, place)
    return chosen


def _mirrors(column: Floats, other: Floats) -> bool:
    gaps = np.ptp(column - other), np.ptp(column + other)
    return bool(min(gaps) <= 1e-9 * np.ptp(column))


def _rank(
    model: StageModel,
    panel: xr.Dataset,
    truth: Draw,
    run: _Run,
    names: Mapping[str, tuple[str, tuple[int, ...]]],
    number: int,
    rng: np.random.Generator,
) -> Replicate:
    """Count how many kept draws lie below the truth; ties are broken at random."""
    logliks = _logliks(model, panel, truth, run.draws)
    columns = {
        label: (np.moveaxis(run.draws[name], 0, -1)[place], truth[name][place])
        for label, (name, place) in names.items()
    }
    columns[LOGLIK] = (logliks[1:], logliks[0])
    ranks = {
        label: int((draws < true).sum() + rng.integers((draws == true).sum() + 1))
        for label, (draws, true) in columns.items()
    }
    return Replicate(number, ranks, *run[1:])


def _logliks(model: StageModel, panel: xr.Dataset, truth: Draw, draws: Draw) -> Floats:
    """Log-likelihood of the panel at the truth and at each draw.

    Customers with effects of their own get the mean of their population here: any function of data
    and parameters may be ranked, and this one needs no integral.
    """
    every = {n: np.concatenate([truth[n][None], values]) for n, values in draws.items()}
    window = find_window(panel)
    seen = window.last >= 0
    score = _score(model, panel, every)[:, seen]
    n_draws, n_seen = score.shape[:2]
    each = ({name: values[s] for name, values in every.items()} for s in range(n_draws))
    moves = np.stack([moving(model, panel, draw, None) for draw in each])
    if moves.shape[1] > 1:
        moves = moves[:, seen]
    moves = np.broadcast_to(moves, (n_draws, n_seen, *moves.shape[2:]))
    initial = np.repeat(every["initial_probs"], n_seen, axis=0)
    first, last = (np.tile(ends[seen], n_draws) for ends in window)
    moves, score = (array.reshape(-1, *array.shape[2:]) for array in (moves, score))
    found = chains.forward(initial, moves, score, first, last)
    return found.loglik.reshape(n_draws, -1).sum(axis=1)


def _score(model: StageModel, panel: xr.Dataset, every: Draw) -> Floats:
    """Log-density of what was seen (draw, customer, period, stage)."""
    scorer = Scorer(panel, model.channels, model.space)
    names = [f"{c.name}_{p}" for c in model.channels for p in c.parameter_names]
    size = len(every["initial_probs"])
    if all((every[name] == every[name][:1]).all() for name in names):  # nothing to learn
        same = scorer({name: every[name][0] for name in names})
        return np.broadcast_to(same, (size, *same.shape))
    return np.stack([scorer({name: every[name][s] for name in names}) for s in range(size)])
