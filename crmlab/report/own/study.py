"""The study behind a report: a holdout test, a choice, a fit, and every customer scored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmlab.btyd.bg_nbd import BGNBD
from crmlab.btyd.customers import count_purchases
from crmlab.btyd.gamma_gamma import GammaGamma, fit_gammagamma
from crmlab.errors import DataError
from crmlab.evaluation import forecast_errors, mean_by_class
from crmlab.inference import Fit, fit
from crmlab.orders import purchase_days, tables_from_orders
from crmlab.reading import Sales
from crmlab.report.orders import BGNBD_NAME, CHANNEL, NAIVE, STAGES, log_mean_exp
from crmlab.report.own.plan import SAMPLE, Plan, build_model, draw_sample, make_plan
from crmlab.report.own.scoring import (
    Drawn,
    Scored,
    make_panel,
    read_draws,
    score_orders,
    score_panel,
)
from crmlab.tables import CustomerTables
from crmlab.value import per_year

Tell = Callable[[str], None]
Floats = NDArray[np.float64]
DRAWS, TUNE = 400, 400
FEWER = 0.6  # share of the draws for the smaller samples, which only show how the answer moves
FREQUENCY_CLASSES = (0, 1, 2, 3, 6)
VERSIONS = {"asleep": False, "lost": True}


@dataclass(frozen=True)
class Settings:
    """What a user may choose about the study.

    Parameters
    ----------
    seed : int
    discount : float
        Per year.
    margin : float
        What is left of a currency unit of revenue; 1 values revenue.
    sample : int
        Customers for the fit.
    """

    seed: int = 1
    discount: float = 0.10
    margin: float = 1.0
    sample: int = SAMPLE


@dataclass(frozen=True)
class Buying:
    """The buy-till-you-die side: histories, BG/NBD, Gamma-Gamma; None where data do not determine.

    Attributes
    ----------
    histories : DataFrame
        Indexed by customer_id: frequency, recency, T [weeks], monetary_value if known.
    population : BGNBD or None
    spend : GammaGamma or None
    """

    histories: pd.DataFrame
    population: BGNBD | None
    spend: GammaGamma | None

    @property
    def history(self) -> list[Floats]:
        """Frequency, recency and T of each customer."""
        return [self.histories[n].to_numpy(float) for n in ("frequency", "recency", "T")]

    def per_order(self) -> pd.Series:
        """Say what one order of each customer brings: Gamma-Gamma's mean, the mean of all, or 1."""
        if "monetary_value" not in self.histories:
            return pd.Series(1.0, index=self.histories.index)
        mean = self.histories["monetary_value"]
        repeats = self.histories["repeats"].where(mean > 0, 0)
        if self.spend is None or self.spend.q <= 1:
            spent = (mean * repeats).sum() / max(repeats.sum(), 1)
            return pd.Series(float(spent), index=self.histories.index)
        return pd.Series(self.spend.expected_spend(repeats, mean), index=self.histories.index)


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
    """

    errors: pd.DataFrame
    classes: pd.DataFrame
    tracks: Mapping[str, Floats]
    reliability: pd.DataFrame
    log_scores: Mapping[str, float]
    n_customers: int

    @property
    def chosen(self) -> str:
        """The version that forecast better, by log score."""
        return max(self.log_scores, key=lambda name: self.log_scores[name])


@dataclass(frozen=True)
class Study:
    """All that a report tells.

    Attributes
    ----------
    sales : Sales
    settings : Settings
    plan : Plan
    holdout : Holdout
    fit : Fit
        To the sample, over the whole window.
    drawn : Drawn
    scored : Scored
        Every customer.
    buying : Buying
    moved : DataFrame
        One row per sample size: orders expected of the largest sample, mean, low, high.
    check : DataFrame
        Share of customers by repeat orders: `seen`, `expected`, `low`, `high`.
    """

    sales: Sales
    settings: Settings
    plan: Plan
    holdout: Holdout
    fit: Fit
    drawn: Drawn
    scored: Scored
    buying: Buying
    moved: pd.DataFrame
    check: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """Stages, lowest first."""
        return self.fit.model.space.names

    @property
    def has_amounts(self) -> bool:
        """Whether worth is money."""
        return "amount" in self.sales.orders

    @property
    def unit(self) -> str:
        """What worth is counted in."""
        return self.sales.currency if self.has_amounts else "orders"


def study_sales(sales: Sales, settings: Settings, tell: Tell) -> Study:
    """Test on the last third, choose, fit the whole, score everybody.

    Parameters
    ----------
    sales : Sales
    settings : Settings
    tell : callable
        Takes each line of progress.

    Raises
    ------
    DataError
        If the file carries no stages.
    """
    orders = sales.orders
    plan = make_plan(orders, sales.window)
    tables = tables_from_orders(orders, window=(plan.first, plan.last), currency=sales.currency)
    buying = study_buying(tables)
    n = len(buying.histories)
    tell(f"{n:,} customers, {plan.n_periods} {plan.period}s; the last {plan.n_ahead} are a test")
    chosen = draw_sample(buying.histories, settings.sample, seed=settings.seed)
    sample = buying.histories.index[chosen]
    some = orders[orders["customer_id"].isin(sample)]
    holdout = hold_out(some, plan, settings, tell)
    may_lose = VERSIONS[holdout.chosen]
    fits = fit_samples(some, buying, plan, settings, may_lose, tell)
    fitted = fits[max(fits)]
    rate = per_year(settings.discount).per_period(plan.freq)
    drawn = read_draws(fitted, plan.year, discount=rate)
    spend = buying.per_order() * settings.margin
    tell(f"scoring {n:,} customers")
    scored = score_orders(orders, spend, plan, fitted, drawn)
    tell("comparing with what the model would make")
    moved = compare_sizes(fits, make_panel(some, plan), spend, plan, rate)
    check = check_counts(make_panel(some, plan), drawn, seed=settings.seed)
    return Study(sales, settings, plan, holdout, fitted, drawn, scored, buying, moved, check)


def study_buying(tables: CustomerTables) -> Buying:
    """Summarise histories and fit BG/NBD and Gamma-Gamma, as far as the data determine them."""
    histories = count_purchases(tables, freq="W")
    return Buying(
        histories,
        _if_determined(lambda: BGNBD.fit(*(histories[n] for n in ("frequency", "recency", "T")))),
        _if_determined(lambda: _fit_spend(histories)),
    )


def _if_determined[T](estimate: Callable[[], T]) -> T | None:
    try:
        return estimate()
    except DataError:
        return None


def _fit_spend(histories: pd.DataFrame) -> GammaGamma | None:
    if "monetary_value" not in histories:
        return None
    spenders = histories[histories["monetary_value"] > 0]
    return fit_gammagamma(spenders["repeats"], spenders["monetary_value"])


def fit_stages(
    orders: pd.DataFrame, plan: Plan, *, may_lose: bool, seed: int, share: float = 1.0
) -> Fit:
    """Fit four stages; three, if four do not converge: the file carries no more.

    Parameters
    ----------
    orders : DataFrame
    plan : Plan
        `last` may be earlier than the last order, which is then not seen.
    may_lose : bool
    seed : int
    share : float
        Of the usual number of draws.
    """
    import warnings

    from crmlab.errors import SamplingWarning

    panel = make_panel(orders, plan)
    draws, tune = round(share * DRAWS), round(share * TUNE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)  # the report says so, at its top
        for n_stages in (4, 3):
            model = build_model(plan, may_lose=may_lose, n_stages=n_stages)
            fitted = fit(model, panel, draws=draws, tune=tune, seed=seed)
            if not fitted.problems:
                break
    return fitted


def fit_samples(
    orders: pd.DataFrame,
    buying: Buying,
    plan: Plan,
    settings: Settings,
    may_lose: bool,
    tell: Tell,
) -> dict[int, Fit]:
    """Fit the sample, and, if it is not everybody, a half and a quarter of it."""
    histories = buying.histories.loc[np.sort(orders["customer_id"].unique())]
    n = len(histories)
    sizes = [n] if n == len(buying.histories) else [n // 4, n // 2, n]
    fits = {}
    for size in sizes:
        tell(f"fitting {size:,} customers over {plan.n_periods} {plan.period}s")
        chosen = histories.index[draw_sample(histories, size, seed=settings.seed)]
        part = orders[orders["customer_id"].isin(chosen)]
        share = 1.0 if size == n else FEWER
        fits[len(chosen)] = fit_stages(
            part, plan, may_lose=may_lose, seed=settings.seed, share=share
        )
    return fits


def compare_sizes(
    fits: Mapping[int, Fit], panel: object, spend: pd.Series, plan: Plan, rate: float
) -> pd.DataFrame:
    """Ask fits to samples of several sizes about the same customers: orders in the next year."""
    rows = {}
    for size, fitted in fits.items():
        drawn = read_draws(fitted, plan.year, discount=rate, draws=40)
        total = score_panel(panel, spend, plan, fitted, drawn).totals["expected"]
        low, high = np.quantile(total, (0.05, 0.95))
        rows[size] = {"mean": total.mean(), "low": low, "high": high,
                      "stages": len(fitted.model.space)}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


# --- the test -------------------------------------------------------------------------------------


def hold_out(orders: pd.DataFrame, plan: Plan, settings: Settings, tell: Tell) -> Holdout:
    """Fit everything before the cutoff, forecast what came after, and look.

    Parameters
    ----------
    orders : DataFrame
        Of the sample.
    plan : Plan
    settings : Settings
    tell : callable
    """
    early = before_cutoff(plan)
    seen = orders[orders["date"] < plan.cutoff]
    known = orders[orders["customer_id"].isin(seen["customer_id"].unique())]
    actual = _later_counts(known, plan)
    said, tracks, again, scores = {}, {"actual": actual.sum(axis=0).cumsum()}, {}, {}
    unit = pd.Series(1.0, index=np.sort(seen["customer_id"].unique()))
    for version, may_lose in VERSIONS.items():
        tell(f"testing on the last {plan.n_ahead} {plan.period}s: silent customers are {version}")
        fitted = fit_stages(seen, early, may_lose=may_lose, seed=settings.seed)
        drawn = read_draws(fitted, plan.n_ahead, discount=0.0, draws=60)
        scored = score_panel(make_panel(seen, early), unit, early, fitted, drawn)
        whole = score_panel(make_panel(known, plan), unit, plan, fitted, drawn)
        gain = whole.loglik - scored.loglik
        scores[version] = float(log_mean_exp(list(gain.reshape(-1, gain.shape[-1]))).sum())
        said[name_of(version)] = scored.customers["expected"].to_numpy()
        tracks[name_of(version)] = _track(scored.stages, drawn, plan.n_ahead)
        again[version] = scored.customers["p_order"].to_numpy()
    rivals, rival_tracks, frequency = _rivals(seen, early, plan)
    said, tracks = {**said, **rivals}, {**tracks, **rival_tracks}
    totals = actual.sum(axis=1)
    best = max(scores, key=lambda name: scores[name])
    rules = {name: values for name, values in said.items() if name != name_of(_other(best))}
    return Holdout(
        forecast_errors(totals, said),
        mean_by_class(totals, rules, _classes(frequency)),
        tracks,
        rely(again[best], totals > 0),
        scores,
        len(totals),
    )


def name_of(version: str) -> str:
    """Give the name of a version among the rules."""
    return f"{STAGES} ({version})"


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
    buying = study_buying(tables_from_orders(seen, window=(early.first, early.last)))
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


def _classes(frequency: Floats) -> NDArray[np.int64]:
    """Class of each customer by the lower end of its range of repeat orders."""
    edges = np.array(FREQUENCY_CLASSES)
    return edges[np.searchsorted(edges, frequency, side="right") - 1]


def rely(said: Floats, came: NDArray[np.bool_], bins: int = 8) -> pd.DataFrame:
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


# --- does the model make such data? ---------------------------------------------------------------


def check_counts(panel: object, drawn: Drawn, *, seed: int) -> pd.DataFrame:
    """Let the model make customers with the same windows, and compare how often they order.

    Parameters
    ----------
    panel : xr.Dataset
    drawn : Drawn
    seed : int

    Returns
    -------
    DataFrame
        Index: lower end of a class of repeat orders. `seen`: share of customers; `expected`,
        `low`, `high`: mean and central 90 % interval over simulated bases.
    """
    observed = panel["observed"].values.astype(bool)
    seen = _shares(np.nansum(np.where(observed, panel[CHANNEL].values, 0), axis=1))
    rng = np.random.default_rng(seed)
    flat = [values.reshape(-1, *values.shape[2:]) for values in
            (drawn.initial, drawn.matrix, drawn.rate)]  # fmt: skip
    picks = range(0, len(flat[0]), max(1, len(flat[0]) // 40))
    made = np.stack([_shares(_make_counts(observed, *(p[k] for p in flat), rng)) for k in picks])
    low, high = np.quantile(made, (0.05, 0.95), axis=0)
    return pd.DataFrame(
        {"seen": seen, "expected": made.mean(axis=0), "low": low, "high": high},
        index=pd.Index(FREQUENCY_CLASSES, name="repeats"),
    )


def _shares(counts: Floats) -> Floats:
    classes = _classes(counts)
    return np.array([(classes == edge).mean() for edge in FREQUENCY_CLASSES])


def _make_counts(
    observed: NDArray[np.bool_], initial: Floats, matrix: Floats, rate: Floats,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Simulate the repeat orders of one base."""
    n, T = observed.shape
    first = observed.argmax(axis=1)
    edges, start = matrix.cumsum(axis=1), initial.cumsum()
    stage, total = np.zeros(n, dtype=int), np.zeros(n)
    for t in range(T):
        u = rng.random(n)
        moved = np.minimum((u[:, None] >= edges[stage]).sum(axis=1), len(rate) - 1)
        begun = np.minimum((u[:, None] >= start).sum(axis=1), len(rate) - 1)
        stage = np.where(t == first, begun, np.where(t > first, moved, stage))
        total += np.where(observed[:, t], rng.poisson(rate[stage]), 0)
    return total


def first_days(orders: pd.DataFrame) -> pd.DataFrame:
    """Give first and last day, purchases and amount of each customer, sorted by id."""
    days = purchase_days(orders)
    by = days.groupby("customer_id")
    frame = pd.DataFrame({"first_order": by["date"].min(), "last_order": by["date"].max(),
                          "orders": by.size()})  # fmt: skip
    return frame.assign(amount=by["amount"].sum()) if "amount" in days else frame
