"""The test of a report: fit everything before the cutoff, and forecast the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from crmlab.analyst.fitting import fit_stages
from crmlab.analyst.model import CHANNEL
from crmlab.analyst.plan import Plan
from crmlab.analyst.purchase_models import fit_purchase_models
from crmlab.analyst.replicates import sort_into_classes
from crmlab.analyst.scoring import StageDraws, read_draws, weigh
from crmlab.analyst.sources import Sources, make_panel
from crmlab.arrays import Floats
from crmlab.evaluation import calibration_table, forecast_errors, mean_by_class
from crmlab.inference import Fit
from crmlab.prediction import score_histories
from crmlab.report.progress import Tell

STAGES = "stages"
ALONE = f"{STAGES} from orders alone"
VERSIONS = {"asleep": False, "lost": True}  # of the lowest stage; the value: is it permanent?


@dataclass(frozen=True)
class Holdout:
    """The test: each rule's forecast of the last third of the window, and what happened.

    Attributes
    ----------
    errors : DataFrame
        One row per rule, as `forecast_errors`; the two versions of the stages are separate rules.
    classes : DataFrame
        Means by repeat orders before the cutoff.
    tracks : mapping of str to ndarray
        Cumulative repeat orders of the test, period by period.
    reliability : DataFrame
        `predicted`, `observed`, `n`, `lower`, `upper`: the probability of an order in the test.
    log_scores : mapping of version to float
    n_customers : int
    readings : mapping of tuple of channel names to float
        Log score of the orders of the test, by the better version, when only these channels
        besides orders were read before it; without files, only that of ().
    """

    errors: pd.DataFrame
    classes: pd.DataFrame
    tracks: Mapping[str, Floats]
    reliability: pd.DataFrame
    log_scores: Mapping[str, float]
    n_customers: int
    readings: Mapping[tuple[str, ...], float] = field(default_factory=dict)

    @property
    def chosen(self) -> str:
        """The version that forecast better, by log score."""
        return max(VERSIONS, key=lambda name: self.log_scores[name])


@dataclass(frozen=True)
class Forecast:
    """What a fit predicts about the periods after its last one.

    Attributes
    ----------
    log_score : float
        Logarithm of the probability of what happened, summed over customers [nats].
    expected, p_order : ndarray (customer,)
        Repeat orders expected, and the probability of at least one.
    track : ndarray (draw, period)
        Cumulative repeat orders expected of all customers.
    """

    log_score: float
    expected: Floats
    p_order: Floats
    track: Floats


@dataclass(frozen=True)
class _Test:
    """The orders before and after the cutoff of customers who were known before it."""

    plan: Plan
    sources: Sources
    seen: pd.DataFrame
    known: pd.DataFrame

    def fit(self, version: str, seed: int) -> Fit:
        return fit_stages(
            self.seen, self.plan.before_cutoff(), self.sources,
            may_lose=VERSIONS[version], seed=seed,
        )  # fmt: skip

    def forecast(self, fitted: Fit) -> Forecast:
        early = self.sources.panel(self.seen, self.plan.before_cutoff())
        return forecast_fit(fitted, early, self.sources.panel(self.known, self.plan))

    def counts(self) -> Floats:
        """Count the repeat orders after the cutoff (customer, period)."""
        counts = np.nan_to_num(make_panel(self.known, self.plan)[CHANNEL].values)
        return counts[:, self.plan.n_seen :]


def hold_out(
    orders: pd.DataFrame, plan: Plan, sources: Sources, *, seed: int, tell: Tell
) -> Holdout:
    """Fit everything before the cutoff, forecast what came after, and compare.

    Parameters
    ----------
    orders : DataFrame
        Of the sample.
    plan : Plan
    sources : Sources
        Files are read until the cutoff; after it, only the orders, which are forecast.
    seed : int
    tell : callable
    """
    seen = orders[orders["date"] < plan.cutoff]
    known = orders[orders["customer_id"].isin(seen["customer_id"].unique())]
    test = _Test(plan, sources.until(plan.cutoff), seen, known)
    fits = {}
    for version in VERSIONS:
        tell(f"testing on the last {plan.n_ahead} {plan.period}s: silent customers are {version}")
        fits[version] = test.fit(version, seed)
    made = {version: test.forecast(fitted) for version, fitted in fits.items()}
    best = max(made, key=lambda version: made[version].log_score)
    readings = _withhold_files(test, fits[best], made[best])
    if sources.files:
        tell("testing what orders alone would have said")
        alone = replace(test, sources=Sources(sources.begun))
        made[ALONE] = alone.forecast(alone.fit(best, seed))
    return _judge(test, made, best, readings)


def _withhold_files(test: _Test, fitted: Fit, full: Forecast) -> dict[tuple[str, ...], float]:
    """Log score of one fit, by the files that it may read before the cutoff."""
    scores = {}
    for names in test.sources.subsets():
        some = replace(test, sources=test.sources.showing(names))
        scores[names] = (full if names == some.sources.names else some.forecast(fitted)).log_score
    return scores


def _judge(
    test: _Test,
    made: Mapping[str, Forecast],
    best: str,
    readings: Mapping[tuple[str, ...], float],
) -> Holdout:
    """Compare the forecasts of all rules with what happened."""
    plan, counts = test.plan, test.counts()
    totals = counts.sum(axis=1)
    rivals = fit_purchase_models(test.seen, (plan.first, plan.before_cutoff().last))
    by_period = rivals.forecasts(np.array([plan.weeks(h) for h in range(1, plan.n_ahead + 1)]))
    said = {name_of(version): one.expected for version, one in made.items()}
    said |= {name: values[-1] for name, values in by_period.items()}
    tracks = {name_of(version): one.track for version, one in made.items()}
    tracks |= {name: values.sum(axis=1) for name, values in by_period.items()}
    other = name_of(other_version(best))
    return Holdout(
        errors=forecast_errors(totals, said),
        classes=mean_by_class(
            totals,
            {name: values for name, values in said.items() if name != other},
            sort_into_classes(rivals.histories["frequency"].to_numpy(float)),
        ),
        tracks={"actual": counts.sum(axis=0).cumsum(), **tracks},
        reliability=calibration_table(
            made[best].p_order,
            totals > 0,
            n_bins=min(8, max(1, len(totals) // 10)),
            equal_counts=True,
        ),
        log_scores={version: one.log_score for version, one in made.items()},
        n_customers=len(totals),
        readings=readings,
    )


def name_of(version: str) -> str:
    """Return the name of a version among the rules."""
    return version if version == ALONE else f"{STAGES} ({version})"


def other_version(version: str) -> str:
    """Return the version that was not chosen."""
    return next(name for name in VERSIONS if name != version)


def forecast_fit(fitted: Fit, early: xr.Dataset, whole: xr.Dataset, *, draws: int = 60) -> Forecast:
    """Forecast the orders of a test, and score the forecast against what happened.

    Parameters
    ----------
    fitted : Fit
    early, whole : xr.Dataset
        The same customers without and with the periods of the test.
    draws : int
    """
    n_ahead = whole.sizes["period"] - early.sizes["period"]
    drawn = read_draws(fitted, n_ahead, draws=draws)
    before, after = (score_histories(fitted, panel=p, draws=draws) for p in (early, whole))
    gain = (after["loglik"] - before["loglik"]).stack(sample=("chain", "draw"))
    now = before["now"].values
    return Forecast(
        log_score=float(log_mean_exp(gain.transpose("sample", ...).values).sum()),
        expected=weigh(now, drawn.orders).mean(axis=(0, 1)),
        p_order=np.clip(1 - weigh(now, drawn.silent).mean(axis=(0, 1)), 0, 1),  # rounding
        track=orders_by_period(now.sum(axis=2), drawn, n_ahead).cumsum(axis=1),
    )


def log_mean_exp(values: Floats) -> Floats:
    """Logarithm of a mean of exponentials over the first axis, without overflow.

    Examples
    --------
    >>> log_mean_exp(np.log([[1.0], [3.0]])).round(4)  # log of 2
    array([0.6931])
    """
    return logsumexp(values, axis=0) - np.log(len(values))


def orders_by_period(stages: Floats, drawn: StageDraws, n_ahead: int) -> Floats:
    """Orders expected of all customers, period by period.

    Parameters
    ----------
    stages : ndarray (chain, draw, K)
        Customers expected in each stage now.
    drawn : StageDraws
    n_ahead : int

    Returns
    -------
    ndarray (draw, period)
    """
    matrix, rate, steps = drawn.matrix, drawn.rate, []
    for _ in range(n_ahead):
        stages = (stages[..., None, :] @ matrix)[..., 0, :]
        steps.append((stages * rate).sum(axis=-1).ravel())
    return np.stack(steps, axis=1)
