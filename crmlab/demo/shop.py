"""Part two of the demo: real orders. The truth is unknown, so only a forecast can be judged.

The CDNOW sample: 2,357 customers of a music shop, 78 weeks. Models see weeks 1 to 39 and forecast
weeks 40 to 78. The rivals are BG/NBD at its published estimates, and a rule without a model.

**What is forecast.** Repeat orders: days with an order, except the first, which both models know
and neither forecasts. BG/NBD reads the day of each; the stages read counts per week, starting in
the week of a customer's first order. That first week is shorter than seven days; the repeat orders
in it (64 of 2,457) are counted as they are.

**What orders alone show.** One channel shows only how often somebody orders: a few levels of
intensity. Only later orders show whether a silent customer is asleep or lost, so two versions are
rehearsed, on weeks 27 to 39, before the real forecast is made.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.holdout import STAGES, VERSIONS, forecast_fit, orders_by_period
from crmlab.analyst.model import CHANNEL, build_model
from crmlab.analyst.purchase_models import BGNBD_NAME, PurchaseModels
from crmlab.analyst.scoring import StageDraws, read_draws
from crmlab.arrays import Floats, Ints
from crmlab.btyd import BGNBD, bgnbd_mean_purchases
from crmlab.datasets import load_cdnow_sample
from crmlab.evaluation import forecast_errors, mean_by_class
from crmlab.inference import Fit, fit
from crmlab.models.emissions import find_window
from crmlab.models.hidden import HiddenMarkov
from crmlab.prediction import current_stage_probs
from crmlab.report.progress import Tell
from crmlab.report.rounding import round_by_error
from crmlab.tables import rfm_summary, tables_from_orders, to_panel
from crmlab.value import per_year, stage_value

FIRST_DAY, LAST_SEEN, LAST_DAY = "1997-01-01", "1997-09-30", "1998-06-30"
N_WEEKS, N_SEEN, N_REHEARSED = 78, 39, 26
N_VALUED = 52  # weeks over which a customer is valued
YEARLY_RATE = 0.10
FIT_SEED = 23
DRAWS_READ = 200
CAREFULLY: dict[str, Any] = {
    "draws": 700,
    "tune": 800,
    "target_accept": 0.95,
}  # short steps: none diverges
# 26 weeks leave a second, small mode, which chains seldom reach: the rehearsals draw longer.
REHEARSAL: dict[str, Any] = {**CAREFULLY, "draws": 2000, "tune": 1000}
EVERY = 2  # the rehearsals use every other customer
PUBLISHED = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
PUBLISHED_LOGLIK = -9582.4
TYPICAL_RATES = (0.005, 0.05, 0.2, 0.7)  # orders per week


def build_shop_model(*, may_lose: bool = False) -> HiddenMarkov:
    """Make the model of the shop: weekly counts, and a prior that needs no data.

    Customers who sleep order once in four years, occasional ones every twenty weeks, regular ones
    every five weeks, frequent ones in two weeks of three.
    """
    return build_model(TYPICAL_RATES, may_lose=may_lose, spread=0.5)


@dataclass(frozen=True)
class Rehearsal:
    """Two versions of the stages that forecast weeks 27 to 39 from weeks 1 to 26.

    Attributes
    ----------
    actual : float
        Repeat orders in these weeks.
    scores : DataFrame
        Index "asleep" and "lost"; `expected` repeat orders, and `log_score`, the summed log
        probability of every customer's weekly counts (nats; higher is better).
    """

    actual: float
    scores: pd.DataFrame

    @property
    def may_lose(self) -> bool:
        """Whether the version in which customers may be lost forecast better."""
        return bool(self.scores.loc["lost", "log_score"] > self.scores.loc["asleep", "log_score"])


@dataclass(frozen=True)
class Shop:
    """The shop after 39 weeks, as each model sees it, and what happened next.

    Attributes
    ----------
    orders : DataFrame
        All of them.
    panel : xr.Dataset
        Weekly, 78 weeks.
    rehearsal : Rehearsal
    fit : Fit
        To weeks 1 to 39.
    probs_now : xr.DataArray (chain, draw, customer_id, stage)
        Stage probabilities at the end of week 39, draw by draw.
    """

    orders: pd.DataFrame
    panel: xr.Dataset
    rehearsal: Rehearsal
    fit: Fit
    probs_now: xr.DataArray

    @cached_property
    def summary(self) -> pd.DataFrame:
        """What BG/NBD reads: frequency, recency, T [weeks], monetary value."""
        return rfm_summary(self.orders, observation_end=LAST_SEEN)

    @cached_property
    def rivals(self) -> PurchaseModels:
        """BG/NBD at its published estimates."""
        return PurchaseModels(self.summary.set_index("customer_id"), PUBLISHED)

    @cached_property
    def rival_forecasts(self) -> dict[str, Floats]:
        """Repeat orders within 1 to 39 weeks, by the rules without stages (week, customer)."""
        return self.rivals.forecasts(np.arange(1, N_WEEKS - N_SEEN + 1))

    @cached_property
    def weekly(self) -> Floats:
        """Repeat orders (customer, week); 0 before the first order."""
        return np.nan_to_num(self.panel[CHANNEL].values)

    @property
    def actual(self) -> Floats:
        """Repeat orders of each customer in weeks 40 to 78."""
        return self.weekly[:, N_SEEN:].sum(axis=1)

    @cached_property
    def drawn(self) -> StageDraws:
        """The draws of `probs_now`, and the expected orders of each stage in weeks 40 to 78."""
        return read_draws(self.fit, N_WEEKS - N_SEEN, draws=DRAWS_READ)

    @cached_property
    def expected(self) -> xr.DataArray:
        """Repeat orders that the stages expect in weeks 40 to 78 (chain, draw, customer_id)."""
        return self._weigh(self.drawn.orders)

    @cached_property
    def value(self) -> xr.DataArray:
        """Expected revenue [USD] of the 52 weeks after week 39, discounted, as `expected`."""
        rate = per_year(YEARLY_RATE).per_period("W")
        revenue = self.drawn.rate * self.mean_spend
        return self._weigh(
            stage_value(self.drawn.matrix, revenue, discount_rate=rate, n_periods=N_VALUED)
        )

    @cached_property
    def mean_spend(self) -> float:
        """USD per repeat order in weeks 1 to 39."""
        spent = self.summary["monetary_value"] * self.summary["frequency"]
        return float(spent.sum() / self.summary["frequency"].sum())

    def _weigh(self, per_stage: Floats) -> xr.DataArray:
        weights = xr.DataArray(per_stage, dims=("chain", "draw", "stage"))
        return (self.probs_now * weights).sum("stage")

    @cached_property
    def forecasts(self) -> dict[str, Floats]:
        """Repeat orders in weeks 40 to 78, customer by customer, by each rule."""
        rivals = {name: by_week[-1] for name, by_week in self.rival_forecasts.items()}
        return {STAGES: self.expected.mean(("chain", "draw")).values, **rivals}

    @cached_property
    def most_likely(self) -> Ints:
        """Position of each customer's most likely stage at the end of week 39."""
        return self.probs_now.mean(("chain", "draw")).values.argmax(axis=1)


def study_shop(say: Tell) -> Shop:
    """Rehearse, choose, fit weeks 1 to 39, and derive the results of the stages.

    Parameters
    ----------
    say : callable
        Takes one line of progress.
    """
    orders = load_cdnow_sample()
    tables = tables_from_orders(orders, window=(FIRST_DAY, LAST_DAY), currency="USD")
    panel = to_panel(tables, freq="W", channels=[CHANNEL])
    rehearsal = rehearse(panel, say)
    version = "lost" if rehearsal.may_lose else "asleep"
    say(f"fitting four stages ('{version}' won) to weeks 1 to 39 of 2,357 customers (a minute)")
    model = build_shop_model(may_lose=rehearsal.may_lose)
    seen = panel.isel(period=slice(N_SEEN))
    fitted = fit(model, seen, **CAREFULLY, seed=FIT_SEED)
    say("reading off stages, forecasts and value")
    return read_shop(orders, panel, rehearsal, fitted)


def read_shop(orders: pd.DataFrame, panel: xr.Dataset, rehearsal: Rehearsal, fitted: Fit) -> Shop:
    """Derive the results of the stages from a fit to weeks 1 to 39."""
    return Shop(orders, panel, rehearsal, fitted, current_stage_probs(fitted, draws=DRAWS_READ))


def rehearse(panel: xr.Dataset, say: Tell) -> Rehearsal:
    """Fit both versions to weeks 1 to 26 of every other customer; score weeks 27 to 39 of all."""
    rows, early = {}, panel.isel(period=slice(N_REHEARSED))
    for version in VERSIONS:
        say(f"rehearsing the version in which silent customers are {version}")
        fitted = fit(
            build_shop_model(may_lose=VERSIONS[version]),
            early.isel(customer_id=slice(None, None, EVERY)),
            **REHEARSAL,
            seed=FIT_SEED,
        )
        made = forecast_fit(fitted, early, panel.isel(period=slice(N_SEEN)), draws=DRAWS_READ)
        rows[version] = {"expected": made.expected.sum(), "log_score": made.log_score}
    actual = np.nansum(panel[CHANNEL].values[:, N_REHEARSED:N_SEEN])
    return Rehearsal(float(actual), pd.DataFrame.from_dict(rows, orient="index"))


# --- judging --------------------------------------------------------------------------------------


def score_forecasts(shop: Shop) -> pd.DataFrame:
    """Score weeks 40 to 78, as `forecast_errors` does."""
    return forecast_errors(shop.actual, shop.forecasts)


def compare_by_frequency(shop: Shop) -> pd.DataFrame:
    """Mean repeat orders in weeks 40 to 78, by repeat orders in weeks 1 to 39 (7 = 7 or more)."""
    classes = np.minimum(shop.summary["frequency"].to_numpy(int), 7)
    return mean_by_class(shop.actual, shop.forecasts, classes)


def track_weeks(shop: Shop) -> dict[str, Floats]:
    """Cumulate repeat orders week by week: actual ones and those of each model.

    Up to week 39, a model gives what it would expect if it knew only the first order of each
    customer; after that, it knows the 39 weeks.

    Returns
    -------
    dict
        "actual" (78,), the stages (draws, 78), BG/NBD (78,).
    """
    now = shop.probs_now.sum("customer_id").transpose("chain", "draw", "stage").values
    after = orders_by_period(now, shop.drawn, N_WEEKS - N_SEEN)
    published = _published_before(shop)
    published_after = published[-1] + shop.rival_forecasts[BGNBD_NAME].sum(axis=1)
    return {
        "actual": shop.weekly.sum(axis=0).cumsum(),
        STAGES: np.concatenate([_weeks_before(shop), after], axis=1).cumsum(axis=1),
        BGNBD_NAME: np.concatenate([published, published_after]),
    }


def _weeks_before(shop: Shop) -> Floats:
    """Repeat orders expected in weeks 1 to 39 from the first orders alone (draws, week)."""
    starts = np.bincount(find_window(shop.panel).first, minlength=N_SEEN)[:N_SEEN]
    initial, matrix, rate = shop.drawn.initial, shop.drawn.matrix, shop.drawn.rate
    here, weeks = np.zeros_like(initial), []
    for joined in starts:
        here = (here[..., None, :] @ matrix)[..., 0, :] + joined * initial
        weeks.append((here * rate).sum(axis=-1).ravel())
    return np.stack(weeks, axis=1)


def _published_before(shop: Shop) -> Floats:
    """Repeat orders that BG/NBD expects up to weeks 1 to 39 from the first orders alone (week,)."""
    ends = np.arange(1, N_SEEN + 1)
    T = shop.summary["T"].to_numpy(float)
    age = np.maximum(ends[:, None] - (N_SEEN - T), 0.0)
    return bgnbd_mean_purchases(PUBLISHED, age).sum(axis=1)


def describe_stages(shop: Shop) -> pd.DataFrame:
    """Describe each stage: how often customers order, how long they stay, how many are there.

    Returns
    -------
    DataFrame
        One row per stage: `rate` (orders per week, posterior mean), `weeks_between` (1 / rate),
        `sojourn` (mean weeks of a stay), `customers` (most likely there after week 39),
        `expected` and `actual` (mean repeat orders of these in weeks 40 to 78) and `prob_alive`
        (their mean P(alive) by BG/NBD; NaN if there are none).
    """
    rates = shop.drawn.rate.mean(axis=(0, 1))
    stays = np.diagonal(shop.drawn.matrix.mean(axis=(0, 1)))
    here = shop.most_likely[:, None] == np.arange(len(rates))
    size = here.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = {
            name: (here * values[:, None]).sum(axis=0) / size
            for name, values in {
                "expected": shop.forecasts[STAGES],
                "actual": shop.actual,
                "prob_alive": shop.rivals.prob_alive().to_numpy(),
            }.items()
        }
        sojourn = 1 / (1 - stays)
    return pd.DataFrame(
        {
            "rate": rates,
            "weeks_between": 1 / rates,
            "sojourn": sojourn,
            "customers": size,
            **means,
        },
        index=pd.Index(shop.fit.model.space.names, name="stage"),
    )


# --- the file -------------------------------------------------------------------------------------

COLUMNS = {
    "customer_id": "number of the customer in the sample",
    "orders": "days with an order in weeks 1 to 39, the first included",
    "last_order": "day of the last order in these weeks",
    "p_...": "probability of each stage at the end of week 39",
    "most_likely_stage": "the stage with the highest of these probabilities",
    "p_alive_bgnbd": "probability of being alive at the end of week 39, by BG/NBD",
    "expected_orders_stages": "repeat orders expected in weeks 40 to 78, by the stages",
    "expected_orders_bgnbd": "the same, by BG/NBD",
    "actual_orders": "repeat orders in weeks 40 to 78, as they happened",
    "value": "revenue expected in the 52 weeks after week 39, USD, discounted at 10 % a year",
    "value_low, value_high": "central 90 % interval of that expectation",
}


def list_customers(shop: Shop) -> pd.DataFrame:
    """Write one row per customer, numbers rounded to what the draws support (see `COLUMNS`)."""
    names = np.array(shop.fit.model.space.names)
    seen = shop.orders[shop.orders["date"] <= LAST_SEEN]
    last = seen.groupby("customer_id")["date"].max()
    rounded = round_by_error(shop.probs_now)
    low, high = (
        round_by_error(shop.value, shop.value.quantile(q, ("chain", "draw")).values)
        for q in (0.05, 0.95)
    )
    return pd.DataFrame(
        {
            "customer_id": shop.summary["customer_id"],
            "orders": shop.summary["frequency"] + 1,
            "last_order": last.dt.strftime("%Y-%m-%d").to_numpy(),
            **{f"p_{name}": rounded[:, k] for k, name in enumerate(names)},
            "most_likely_stage": names[shop.most_likely],
            "p_alive_bgnbd": shop.rivals.prob_alive().to_numpy().round(4),
            "expected_orders_stages": round_by_error(shop.expected),
            "expected_orders_bgnbd": shop.forecasts[BGNBD_NAME].round(4),
            "actual_orders": shop.actual.astype(int),
            "value": round_by_error(shop.value),
            "value_low": low,
            "value_high": high,
        }
    )
