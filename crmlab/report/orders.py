"""Part two of the demo: real orders, whose truth nobody knows; only a forecast can be judged.

The CDNOW sample: 2,357 customers of a music shop, 78 weeks. Models see weeks 1 to 39 and forecast
weeks 40 to 78. The rival is BG/NBD at its published estimates, and a rule that needs no model.

**What is forecast.** Repeat orders (days with an order; the first, which made the customer one, is
given to both models and forecast by neither). BG/NBD reads the day of each; the stages read counts
per week, from the week of a customer's first order on. That first week is shorter than seven days;
the repeat orders in it (64 of 2,457) are counted as they are.

**What orders alone carry.** One channel tells how often somebody orders, and no more: a few levels
of intensity. Whether a silent customer is asleep or lost shows in nothing but what comes later, so
two versions are rehearsed, on weeks 27 to 39, before the real forecast is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from crmlab import chains
from crmlab.btyd import (
    BGNBD,
    bgnbd_expected_purchases,
    bgnbd_loglik,
    bgnbd_mean_purchases,
    bgnbd_prob_alive,
)
from crmlab.channels import Poisson
from crmlab.datasets import load_cdnow_sample
from crmlab.evaluation import forecast_errors, mean_by_class
from crmlab.generators.base import simulate
from crmlab.generators.stage_world import StageWorld
from crmlab.inference import Fit, fit
from crmlab.models.emissions import Scorer, find_window
from crmlab.models.hidden import HiddenMarkov
from crmlab.orders import rfm_summary, tables_from_orders
from crmlab.prediction import law_now
from crmlab.report.rounding import round_by_error
from crmlab.stages import StageSpace
from crmlab.tables import to_panel
from crmlab.transitions import StickyDirichlet
from crmlab.value import per_year, stage_value

FIRST_DAY, LAST_SEEN, LAST_DAY = "1997-01-01", "1997-09-30", "1998-06-30"
N_WEEKS, N_SEEN, N_REHEARSED = 78, 39, 26
N_VALUED = 52  # weeks over which a customer is valued
YEARLY_RATE = 0.10
FIT_SEED = 23
CAREFULLY = {"draws": 700, "tune": 800, "target_accept": 0.95}  # short steps: none diverges
# 26 weeks leave a second, faint hill, to which chains cross seldom: the rehearsals draw longer.
REHEARSAL = {**CAREFULLY, "draws": 2000, "tune": 1000}
EVERY = 2  # the rehearsals are on every other customer
PUBLISHED = BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)
PUBLISHED_LOGLIK = -9582.4
CHANNEL = "repeat_orders"
STAGES, BGNBD_NAME, NAIVE = "stages", "BG/NBD", "same rate"

Tell = Callable[[str], None]
Floats = NDArray[np.float64]


def build_space(*, may_lose: bool) -> StageSpace:
    """Make four levels of ordering, one step at a time.

    Parameters
    ----------
    may_lose : bool
        Whether the lowest is for ever ("lost"), or a sleep from which one may wake ("asleep").

    Examples
    --------
    >>> build_space(may_lose=True).absorbing
    ('lost',)
    """
    names = ("lost" if may_lose else "asleep", "occasional", "regular", "frequent")
    steps = [(names[k], names[k + 1]) for k in range(3)]
    back = [(later, earlier) for earlier, later in steps]
    return StageSpace(names, moves=tuple(steps[may_lose:] + back))


def build_model(*, may_lose: bool = False) -> HiddenMarkov:
    """Make the model of the shop: weekly counts, and what one would say before looking.

    Those who sleep order once in four years, occasional customers every twenty weeks, regular ones
    every five, frequent ones in two weeks of three.
    """
    return HiddenMarkov(
        build_space(may_lose=may_lose),
        StickyDirichlet(stickiness=10),
        (Poisson(CHANNEL, typical_rate=(0.005, 0.05, 0.2, 0.7), spread=0.5),),
        ordered_by=f"{CHANNEL}_rate",
    )


def fit_small(*, may_lose: bool = False) -> Fit:
    """Fit the shop's model to a dozen simulated customers: fills the compile cache."""
    shown = Poisson(CHANNEL, rate=(0.005, 0.05, 0.2, 0.7))
    world = StageWorld(build_space(may_lose=False), (0.25,) * 4, np.eye(4), (shown,), n_periods=8)
    panel = to_panel(simulate(world, 12, seed=1), freq="W")
    return fit(build_model(may_lose=may_lose), panel, draws=20, tune=20, seed=FIT_SEED)


@dataclass(frozen=True)
class Rehearsal:
    """Two versions of the stages, forecasting weeks 27 to 39 from weeks 1 to 26.

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
    """The shop after 39 weeks, as each model sees it, beside what happened.

    Attributes
    ----------
    orders : DataFrame
        All of them.
    panel : xr.Dataset
        Weekly, 78 weeks.
    rehearsal : Rehearsal
    fit : Fit
        To weeks 1 to 39.
    law : xr.DataArray (chain, draw, customer_id, stage)
        Stage probabilities at the end of week 39, draw by draw.
    """

    orders: pd.DataFrame
    panel: xr.Dataset
    rehearsal: Rehearsal
    fit: Fit
    law: xr.DataArray

    @cached_property
    def summary(self) -> pd.DataFrame:
        """What BG/NBD reads: frequency, recency, T [weeks], monetary value."""
        return rfm_summary(self.orders, observation_end=LAST_SEEN)

    @cached_property
    def weekly(self) -> Floats:
        """Repeat orders (customer, week); 0 before the first order."""
        return np.nan_to_num(self.panel[CHANNEL].values)

    @property
    def actual(self) -> Floats:
        """Repeat orders of each customer in weeks 40 to 78."""
        return self.weekly[:, N_SEEN:].sum(axis=1)

    @cached_property
    def _history(self) -> tuple[Floats, Floats, Floats]:
        return tuple(self.summary[c].to_numpy(float) for c in ("frequency", "recency", "T"))

    @cached_property
    def drawn(self) -> xr.Dataset:
        """Parameters of the draws of `law`."""
        return self.fit.posterior.sel(chain=self.law["chain"], draw=self.law["draw"])

    @property
    def _matrices(self) -> Floats:
        order = ("chain", "draw", "stage_from", "stage_to")
        return self.drawn["transition_matrix"].transpose(*order).values

    @property
    def _rates(self) -> Floats:
        return self.drawn[f"{CHANNEL}_rate"].transpose("chain", "draw", "stage").values

    @cached_property
    def expected(self) -> xr.DataArray:
        """Repeat orders that the stages expect in weeks 40 to 78 (chain, draw, customer_id)."""
        return self._weigh(counts_to_come(self._matrices, self._rates, N_WEEKS - N_SEEN))

    @cached_property
    def value(self) -> xr.DataArray:
        """Expected revenue [USD] of the 52 weeks after week 39, discounted, as `expected`."""
        rate = per_year(YEARLY_RATE).per_period("W")
        margin = self._rates * self.mean_spend
        worth = stage_value(self._matrices, margin, discount_rate=rate, n_periods=N_VALUED)
        # Money comes from next week on: one move, and one week of discount, before the first.
        return self._weigh((self._matrices @ worth[..., None])[..., 0] / (1 + rate))

    @cached_property
    def mean_spend(self) -> float:
        """USD per repeat order in weeks 1 to 39."""
        spent = self.summary["monetary_value"] * self.summary["frequency"]
        return float(spent.sum() / self.summary["frequency"].sum())

    def _weigh(self, per_stage: Floats) -> xr.DataArray:
        weights = xr.DataArray(per_stage, dims=("chain", "draw", "stage"))
        return (self.law * weights).sum("stage")

    @cached_property
    def prob_alive(self) -> Floats:
        """P(alive) of BG/NBD at the end of week 39."""
        return bgnbd_prob_alive(PUBLISHED, *self._history)

    @cached_property
    def loglik(self) -> float:
        """Log-likelihood of BG/NBD at the published estimates."""
        return float(bgnbd_loglik(PUBLISHED, *self._history).sum())

    @cached_property
    def forecasts(self) -> dict[str, Floats]:
        """Repeat orders in weeks 40 to 78, customer by customer, as each rule says."""
        x, _, T = self._history
        ahead = N_WEEKS - N_SEEN
        return {
            STAGES: self.expected.mean(("chain", "draw")).values,
            BGNBD_NAME: bgnbd_expected_purchases(PUBLISHED, ahead, *self._history),
            NAIVE: x / T * ahead,
        }

    @cached_property
    def most_likely(self) -> NDArray[np.int64]:
        """Position of each customer's most likely stage at the end of week 39."""
        return self.law.mean(("chain", "draw")).values.argmax(axis=1)


def study_shop(tell: Tell) -> Shop:
    """Rehearse, choose, fit weeks 1 to 39, and read off what the stages say.

    Parameters
    ----------
    tell : callable
        Takes one line of progress.
    """
    orders = load_cdnow_sample()
    tables = tables_from_orders(orders, window=(FIRST_DAY, LAST_DAY), currency="USD")
    panel = to_panel(tables, freq="W", channels=["repeat_orders"])
    rehearsal = rehearse(panel, tell)
    version = "lost" if rehearsal.may_lose else "asleep"
    tell(f"fitting four stages ('{version}' won) to weeks 1 to 39 of 2,357 customers (a minute)")
    model = build_model(may_lose=rehearsal.may_lose)
    seen = panel.isel(period=slice(N_SEEN))
    fitted = fit(model, seen, **CAREFULLY, seed=FIT_SEED)
    tell("reading off stages, forecasts and value")
    return read_shop(orders, panel, rehearsal, fitted)


def read_shop(orders: pd.DataFrame, panel: xr.Dataset, rehearsal: Rehearsal, fitted: Fit) -> Shop:
    """Read off what the stages say, from a fit to weeks 1 to 39."""
    return Shop(orders, panel, rehearsal, fitted, law_now(fitted))


def rehearse(panel: xr.Dataset, tell: Tell) -> Rehearsal:
    """Fit both versions to weeks 1 to 26 of every other customer; score weeks 27 to 39 of all."""
    rows = {}
    for version in ("asleep", "lost"):
        tell(f"rehearsing the version in which silent customers are {version}")
        early = panel.isel(period=slice(N_REHEARSED))
        fitted = fit(
            build_model(may_lose=version == "lost"),
            early.isel(customer_id=slice(None, None, EVERY)),
            **REHEARSAL,
            seed=FIT_SEED,
        )
        rows[version] = _score_rehearsal(fitted, panel.isel(period=slice(N_SEEN)))
    actual = np.nansum(panel[CHANNEL].values[:, N_REHEARSED:N_SEEN])
    return Rehearsal(float(actual), pd.DataFrame.from_dict(rows, orient="index"))


def _score_rehearsal(fitted: Fit, panel: xr.Dataset, draws: int = 200) -> dict[str, float]:
    """Forecast weeks 27 to 39 of every customer, and score the forecast."""
    early = panel.isel(period=slice(N_REHEARSED))
    law = law_now(fitted, panel=early, draws=draws)
    drawn = fitted.posterior.sel(chain=law["chain"], draw=law["draw"])
    gains = [
        _loglik(fitted, panel, one) - _loglik(fitted, early, one) for one in _one_by_one(drawn)
    ]
    rates = drawn[f"{CHANNEL}_rate"].transpose("chain", "draw", "stage").values
    matrices = (
        drawn["transition_matrix"].transpose("chain", "draw", "stage_from", "stage_to").values
    )
    ahead = counts_to_come(matrices, rates, N_SEEN - N_REHEARSED)
    expected = (law.values * ahead[:, :, None]).sum(axis=-1).mean(axis=(0, 1))
    return {"expected": float(expected.sum()), "log_score": float(log_mean_exp(gains).sum())}


def _one_by_one(drawn: xr.Dataset) -> list[dict[str, Floats]]:
    names = ("initial_probs", "transition_matrix", f"{CHANNEL}_rate")
    flat = drawn.stack(sample=("chain", "draw"), create_index=False).transpose("sample", ...)
    return [{n: flat[n].values[k] for n in names} for k in range(flat.sizes["sample"])]


def _loglik(fitted: Fit, panel: xr.Dataset, parameters: dict[str, Floats]) -> Floats:
    """Log-likelihood of each customer's history (customer,)."""
    scores = Scorer(panel, fitted.model.channels, fitted.model.space)(parameters)
    initial, matrix = parameters["initial_probs"], parameters["transition_matrix"]
    return chains.forward(initial, matrix, scores, *find_window(panel)).loglik


def log_mean_exp(values: list[Floats]) -> Floats:
    """Logarithm of a mean of exponentials over the first axis, without overflow.

    Examples
    --------
    >>> log_mean_exp([np.array([0.0]), np.log(np.array([3.0]))]).round(4)  # log of 2
    array([0.6931])
    """
    stacked = np.stack(values)
    peak = stacked.max(axis=0)
    return peak + np.log(np.exp(stacked - peak).mean(axis=0))


def counts_to_come(matrices: Floats, rates: Floats, n_periods: int) -> Floats:
    """Add up the events expected in the next periods, by the stage of the present one.

    Parameters
    ----------
    matrices : ndarray of shape (..., K, K)
        Transition matrices per period.
    rates : ndarray of shape (..., K)
        Mean events per period in each stage.
    n_periods : int

    Returns
    -------
    ndarray of shape (..., K)
        ``P rate + P^2 rate + ... + P^n rate``.

    Examples
    --------
    >>> counts_to_come(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([4.0, 0.0]), 2)
    array([3., 0.])
    """
    total = np.zeros_like(rates)
    for _ in range(n_periods):
        total = (matrices @ (rates + total)[..., None])[..., 0]
    return total


# --- judging --------------------------------------------------------------------------------------


def score_forecasts(shop: Shop) -> pd.DataFrame:
    """Score weeks 40 to 78, as `forecast_errors` does."""
    return forecast_errors(shop.actual, shop.forecasts)


def compare_by_frequency(shop: Shop) -> pd.DataFrame:
    """Mean repeat orders in weeks 40 to 78, by repeat orders in weeks 1 to 39 (7 = 7 or more)."""
    classes = np.minimum(shop.summary["frequency"].to_numpy(int), 7)
    return mean_by_class(shop.actual, shop.forecasts, classes)


def track_weeks(shop: Shop) -> dict[str, Floats]:
    """Cumulate repeat orders week by week, as it happened and as each model says.

    Up to week 39 a model says what it would expect of customers of whom it knows the first order
    only; from then on it knows their 39 weeks.

    Returns
    -------
    dict
        "actual" (78,), the stages (draws, 78), BG/NBD (78,).
    """
    weekly = {
        STAGES: np.concatenate([_weeks_before(shop), _weeks_after(shop)], axis=1),
        BGNBD_NAME: np.concatenate([_published_before(shop), _published_after(shop)]),
    }
    tracks = {name: values.cumsum(axis=-1) for name, values in weekly.items()}
    return {"actual": shop.weekly.sum(axis=0).cumsum(), **tracks}


def _weeks_before(shop: Shop) -> Floats:
    """Repeat orders expected in weeks 1 to 39 from the first orders alone (draws, week)."""
    starts = np.bincount(find_window(shop.panel).first, minlength=N_SEEN)[:N_SEEN]
    drawn = shop.drawn["initial_probs"].transpose("chain", "draw", "stage").values
    here, weeks = np.zeros_like(drawn), []
    for joined in starts:
        here = (here[..., None, :] @ shop._matrices)[..., 0, :] + joined * drawn
        weeks.append((here * shop._rates).sum(axis=-1).ravel())
    return np.stack(weeks, axis=1)


def _weeks_after(shop: Shop) -> Floats:
    """Repeat orders expected in weeks 40 to 78 from what was seen (draws, week)."""
    here, weeks = shop.law.sum("customer_id").transpose("chain", "draw", "stage").values, []
    for _ in range(N_WEEKS - N_SEEN):
        here = (here[..., None, :] @ shop._matrices)[..., 0, :]
        weeks.append((here * shop._rates).sum(axis=-1).ravel())
    return np.stack(weeks, axis=1)


def _published_before(shop: Shop) -> Floats:
    ends = np.arange(1, N_SEEN + 1)
    T = shop.summary["T"].to_numpy(float)
    age = np.maximum(ends[:, None] - (N_SEEN - T), 0.0)
    return np.diff(bgnbd_mean_purchases(PUBLISHED, age).sum(axis=1), prepend=0.0)


def _published_after(shop: Shop) -> Floats:
    ahead = np.arange(1, N_WEEKS - N_SEEN + 1)[:, None]
    return np.diff(
        bgnbd_expected_purchases(PUBLISHED, ahead, *shop._history).sum(axis=1), prepend=0.0
    )


def describe_stages(shop: Shop) -> pd.DataFrame:
    """Describe each stage: how often one orders, how long it lasts, who is there, who is alive.

    Returns
    -------
    DataFrame
        One row per stage: `rate` (orders per week, posterior mean), `weeks_between` (1 / rate),
        `sojourn` (mean weeks until it is left), `customers` (most likely there after week 39),
        `expected` and `actual` (mean repeat orders of these in weeks 40 to 78) and `prob_alive`
        (their mean P(alive) by BG/NBD; NaN if there are none).
    """
    rates = shop._rates.mean(axis=(0, 1))
    stays = np.diagonal(shop._matrices.mean(axis=(0, 1)))
    here = shop.most_likely[:, None] == np.arange(len(rates))
    size = here.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = {
            name: (here * values[:, None]).sum(axis=0) / size
            for name, values in {
                "expected": shop.forecasts[STAGES],
                "actual": shop.actual,
                "prob_alive": shop.prob_alive,
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
    rounded = round_by_error(shop.law)
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
            "p_alive_bgnbd": shop.prob_alive.round(4),
            "expected_orders_stages": round_by_error(shop.expected),
            "expected_orders_bgnbd": shop.forecasts[BGNBD_NAME].round(4),
            "actual_orders": shop.actual.astype(int),
            "value": round_by_error(shop.value),
            "value_low": low,
            "value_high": high,
        }
    )
