"""The test of a report: everything before the cutoff is fitted, what came after is forecast."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from crmlab.analyst.buying import study_buying
from crmlab.analyst.check import sort_into_classes
from crmlab.analyst.fitting import fit_stages
from crmlab.analyst.plan import Plan
from crmlab.analyst.scoring import Drawn, make_panel, read_draws, score_panel
from crmlab.analyst.view import View
from crmlab.arrays import Bools, Floats
from crmlab.demo.orders import BGNBD_NAME, CHANNEL, NAIVE, STAGES, log_mean_exp
from crmlab.evaluation import forecast_errors, mean_by_class
from crmlab.inference import Fit

Tell = Callable[[str], None]
VERSIONS = {"asleep": False, "lost": True}
ALONE = f"{STAGES} from orders alone"


@dataclass(frozen=True)
class Holdout:
    """The test: what each rule said of the last third, and what happened.

    Attributes
    ----------
    errors : DataFrame
        One row per rule, as `forecast_errors`; the two versions of the stages are apart.
    classes : DataFrame
        Means by repeat orders before the cutoff.
    tracks : mapping of str to ndarray
        Cumulated repeat orders of the holdout, period by period.
    reliability : DataFrame
        `predicted`, `observed`, `n`, `lower`, `upper`: the probability of an order in the holdout.
    log_scores : mapping of version to float
    n_customers : int
    readings : mapping of tuple of channel names to float
        Log score of the orders of the test, of the better version, when only these channels beside
        the orders were read before it; without files, only that of ().
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


def hold_out(orders: pd.DataFrame, plan: Plan, view: View, *, seed: int, tell: Tell) -> Holdout:
    """Fit everything before the cutoff, forecast what came after, and look.

    Parameters
    ----------
    orders : DataFrame
        Of the sample.
    plan : Plan
    view : View
        What is seen until the cutoff; after it only orders are, which are what is forecast.
    seed : int
    tell : callable
    """
    early, before = before_cutoff(plan), view.until(plan.cutoff)
    seen = orders[orders["date"] < plan.cutoff]
    known = orders[orders["customer_id"].isin(seen["customer_id"].unique())]
    actual = _later_counts(known, plan)
    said, tracks, again, scores, fits = {}, {"actual": actual.sum(axis=0).cumsum()}, {}, {}, {}
    for version, may_lose in VERSIONS.items():
        tell(f"testing on the last {plan.n_ahead} {plan.period}s: silent customers are {version}")
        fits[version] = fit_stages(seen, early, before, may_lose=may_lose, seed=seed)
        test = _forecast(fits[version], before, seen, known, plan)
        scores[version] = test.log_score
        said[name_of(version)] = test.expected
        tracks[name_of(version)] = test.track
        again[version] = test.p_order
    best = max(scores, key=lambda name: scores[name])
    readings = {
        names: _forecast(fits[best], before.showing(names), seen, known, plan).log_score
        for names in readings_of(view)
        if names != view.names
    } | {view.names: scores[best]}
    if view.sights:
        tell("testing what orders alone would have said")
        bare = View(view.begun)
        alone = fit_stages(seen, early, bare, may_lose=VERSIONS[best], seed=seed)
        test = _forecast(alone, bare, seen, known, plan)
        said[ALONE], tracks[ALONE], scores[ALONE] = test.expected, test.track, test.log_score
    rivals, rival_tracks, frequency = _rivals(seen, early, plan)
    said, tracks = {**said, **rivals}, {**tracks, **rival_tracks}
    totals = actual.sum(axis=1)
    rules = {name: values for name, values in said.items() if name != name_of(_other(best))}
    return Holdout(
        forecast_errors(totals, said),
        mean_by_class(totals, rules, sort_into_classes(frequency)),
        tracks,
        rely(again[best], totals > 0),
        scores,
        len(totals),
        readings,
    )


@dataclass(frozen=True)
class _Forecast:
    log_score: float
    expected: Floats
    track: Floats
    p_order: Floats


def _forecast(
    fitted: Fit, view: View, seen: pd.DataFrame, known: pd.DataFrame, plan: Plan
) -> _Forecast:
    """Forecast the orders of the test, and score the forecast by what came."""
    early = before_cutoff(plan)
    unit = pd.Series(1.0, index=np.sort(seen["customer_id"].unique()))
    drawn = read_draws(fitted, plan.n_ahead, discount=0.0, draws=60)
    scored = score_panel(view.panel(seen, early), unit, early, fitted, drawn)
    whole = score_panel(view.panel(known, plan), unit, plan, fitted, drawn)
    gain = whole.loglik - scored.loglik
    return _Forecast(
        float(log_mean_exp(list(gain.reshape(-1, gain.shape[-1]))).sum()),
        scored.customers["expected"].to_numpy(),
        _track(scored.stages, drawn, plan.n_ahead),
        scored.customers["p_order"].to_numpy(),
    )


def readings_of(view: View) -> list[tuple[str, ...]]:
    """List what to read beside the orders: nothing, each file by itself, all files.

    Examples
    --------
    >>> readings_of(View(pd.Timestamp("2024-01-01")))
    [()]
    """
    each = [(name,) for name in view.names]
    return [(), *each, *([view.names] if len(each) > 1 else [])]


def name_of(version: str) -> str:
    """Give the name of a version among the rules."""
    return version if version == ALONE else f"{STAGES} ({version})"


def _other(version: str) -> str:
    return next(name for name in VERSIONS if name != version)


def before_cutoff(plan: Plan) -> Plan:
    """Give the plan that ends on the day before the holdout."""
    last = plan.cutoff - pd.Timedelta(days=1)
    return Plan(plan.freq, plan.first, last, plan.cutoff, plan.n_seen, plan.n_seen, plan.mean_rate)


def _later_counts(orders: pd.DataFrame, plan: Plan) -> Floats:
    """Count the repeat orders of the holdout (customer, period)."""
    counts = np.nan_to_num(make_panel(orders, plan)[CHANNEL].values)
    return counts[:, plan.n_seen :]


def _track(stages: Floats, drawn: Drawn, n_ahead: int) -> Floats:
    here, steps = stages, []
    for _ in range(n_ahead):
        here = (here[..., None, :] @ drawn.matrix)[..., 0, :]
        steps.append((here * drawn.rate).sum(axis=-1).ravel())
    return np.stack(steps, axis=1).cumsum(axis=1)


def _rivals(
    seen: pd.DataFrame, early: Plan, plan: Plan
) -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
    """Forecast with BG/NBD, where it can be fitted, and with everybody going on as before."""
    buying = study_buying(seen, (early.first, early.last))
    frequency, _, T = buying.history
    ahead = np.array([plan.weeks(h) for h in range(1, plan.n_ahead + 1)])
    rate = frequency / np.maximum(T, 1 / 7)
    said = {NAIVE: rate * ahead[-1]}
    tracks = {NAIVE: rate.sum() * ahead}
    if buying.population is not None:
        by_week = buying.population.expected_purchases(ahead[:, None], *buying.history)
        said = {BGNBD_NAME: by_week[-1], **said}
        tracks = {BGNBD_NAME: by_week.sum(axis=1), **tracks}
    return said, tracks, frequency


def rely(said: Floats, came: Bools, bins: int = 8) -> pd.DataFrame:
    """Compare probabilities with how often it came true, in bins of equally many customers.

    Parameters
    ----------
    said : ndarray (customer,)
    came : boolean ndarray (customer,)
    bins : int

    Returns
    -------
    DataFrame
        `predicted`, `observed`, `n`, and the 90 % Wilson interval of observed.

    Examples
    --------
    >>> rely(np.array([0.1] * 10 + [0.6] * 10), np.arange(20) >= 14, bins=2)["observed"].tolist()
    [0.0, 0.6]
    """
    order = np.argsort(said, kind="stable")
    rows = []
    for part in np.array_split(order, min(bins, max(1, len(order) // 10))):
        n, share = len(part), came[part].mean()
        low, high = _wilson(share, n)
        rows.append((said[part].mean(), share, n, low, high))
    return pd.DataFrame(rows, columns=["predicted", "observed", "n", "lower", "upper"])


def _wilson(share: float, n: int, z: float = 1.645) -> tuple[float, float]:
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)
