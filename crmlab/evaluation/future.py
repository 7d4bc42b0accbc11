"""How well a model would have predicted each next period, without one fit per period."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from crmlab.arrays import Floats
from crmlab.errors import SpecError, raise_problems
from crmlab.inference import Fit, fit
from crmlab.inference.fitting import make_rng
from crmlab.models.base import StageModel
from crmlab.prediction.customers import read_customers
from crmlab.prediction.draws import collect
from crmlab.prediction.likelihood import period_logliks
from crmlab.tables import observed_cells


class FutureScore(NamedTuple):
    """How well each period was predicted one period ahead.

    Parameters
    ----------
    periods : DataFrame
        One row per predicted period: `customers` who were observed in it, `elpd` (sum of their log
        predictive probabilities, nats), `pareto_k` of the weights (0 right after a fit) and
        `refitted`.
    elpd : float
        Sum over the periods [nats].
    standard_error : float
        Of `elpd`, over customers.
    """

    periods: pd.DataFrame
    elpd: float
    standard_error: float


def leave_future_out(
    model: StageModel,
    panel: xr.Dataset,
    *,
    first: int,
    k_limit: float = 0.7,
    draws: int = 500,
    tune: int = 500,
    chains: int = 2,
    seed: int,
) -> FutureScore:
    """Score one-period-ahead predictions, each based only on the periods before it.

    The first fit sees the first periods. Its draws are weighted by how well they predicted what
    came since; where a few draws have most of the weight, the model is fitted again.

    Parameters
    ----------
    model : StageModel
    panel : xr.Dataset
        Covariates of a predicted period are taken as known.
    first : int
        Periods that the first fit sees, 1 to T - 1.
    k_limit : float
        Fit again where Pareto k of the weights exceeds it.
    draws, tune, chains : int
        Of each fit.
    seed : int

    Returns
    -------
    FutureScore

    Raises
    ------
    SpecError
        `first` or `k_limit` is out of range.

    Notes
    -----
    For period t, with a fit to the periods before m <= t,

        elpd_t = sum_n log sum_s w_s p(y_nt | y_n,<t, theta_s),
        w_s ~ prod_n prod_{m <= u < t} p(y_nu | y_n,<u, theta_s),

    where the weights are smoothed by a generalised Pareto tail, and customers' own effects are
    averaged over what the periods before t leave open about them.

    References
    ----------
    Buerkner, Gabry and Vehtari (2020), "Approximate leave-future-out cross-validation for Bayesian
    time series models", *J. Statistical Computation and Simulation* 90(14), section 2.2 (from
    memory).
    """
    _check(panel, first, k_limit)
    rng = make_rng("leave_future_out", seed)
    options: dict[str, Any] = {"draws": draws, "tune": tune, "chains": chains}
    rows, scores, start, steps = [], [], first, None
    for t in range(first, panel.sizes["period"]):
        if steps is None or _smooth(steps[..., : t - start])[1] > k_limit:
            seen = panel.isel(period=slice(t))
            result = fit(model, seen, **options, seed=int(rng.integers(2**31)))
            start, steps = t, _steps_ahead(result, panel, t)
        log_weights, k = _smooth(steps[..., : t - start])
        scores.append(logsumexp(log_weights[:, None] + steps[..., t - start], axis=0))
        rows.append({"elpd": scores[-1].sum(), "pareto_k": k, "refitted": start == t})
    return _summary(panel, first, pd.DataFrame(rows), np.array(scores))


def _steps_ahead(result: Fit, panel: xr.Dataset, start: int) -> Floats:
    """Log-probability of each period from `start` on, given those before (draw, customer, t)."""
    customers = read_customers(result, panel)
    seen = customers.seen
    labels = {
        "customer_id": panel["customer_id"].values[seen],
        "period": panel["period"].values[start:],
    }
    found = collect(
        lambda parameters: period_logliks(customers, parameters)[seen, start:],
        result.posterior,
        ("customer_id", "period"),
        labels,
    )
    return found.values.reshape(-1, *found.shape[2:])


def _smooth(steps: Floats) -> tuple[Floats, float]:
    """Normalised log weights of the draws after these periods, and Pareto k."""
    from arviz_stats.base import array_stats

    log_ratios = steps.sum(axis=(1, 2))
    if np.ptp(log_ratios) == 0:
        return np.full(len(log_ratios), -np.log(len(log_ratios))), 0.0
    log_weights, k = array_stats.psislw(log_ratios.min() - log_ratios, axis=-1)  # takes 1 / ratio
    return log_weights - logsumexp(log_weights), float(k)


def _summary(panel: xr.Dataset, first: int, periods: pd.DataFrame, scores: Floats) -> FutureScore:
    observed = observed_cells(panel)
    periods.insert(0, "customers", observed[:, first:].sum(axis=0))
    periods.index = pd.Index(panel["period"].values[first:], name="period")
    totals = scores.sum(axis=0)
    error = np.sqrt(len(totals) * totals.var(ddof=1)) if len(totals) > 1 else np.nan
    return FutureScore(periods, float(totals.sum()), float(error))


def _check(panel: xr.Dataset, first: int, k_limit: float) -> None:
    problems = []
    n_periods = panel.sizes["period"]
    if not isinstance(first, (int, np.integer)) or not 1 <= first < n_periods:
        problems.append(
            f"`first` must be a number of periods from 1 to {n_periods - 1}, got {first!r}"
        )
    if not k_limit > 0:
        problems.append(f"`k_limit` must be above 0 (0.7 is usual), got {k_limit!r}")
    raise_problems(SpecError, "leave_future_out", problems)
