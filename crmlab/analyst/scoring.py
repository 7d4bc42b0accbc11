"""Scoring customers in blocks: whoever they are and however many, under draws of one fit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from crmlab.analyst.book import Orders, order_blocks
from crmlab.analyst.plan import Plan
from crmlab.analyst.walk import Walk
from crmlab.arrays import Floats
from crmlab.demo.orders import CHANNEL, counts_to_come
from crmlab.inference import Fit
from crmlab.models.emissions import Scorer, encode, find_window
from crmlab.report.rounding import monte_carlo_error
from crmlab.tables import tables_from_orders, to_panel
from crmlab.value import stage_value

BLOCK = 5_000
DRAWS, FEW_DRAWS = 100, 40
MANY = 100_000  # customers from which on fewer draws are read
TOLD = 200_000
_LOW, _HIGH = 0.05, 0.95


@dataclass(frozen=True)
class Drawn:
    """Parameters, draw by draw, and what they say of each stage: arrays (chain, draw, ...).

    Attributes
    ----------
    initial, matrix, rate : ndarray (..., K), (..., K, K), (..., K)
    ahead : ndarray (..., K)
        Orders expected in the year to come.
    worth : ndarray (..., K)
        The same, discounted.
    silent : ndarray (..., K)
        Probability of no order at all in the year to come.
    seen : mapping of "<channel>_<parameter>" to ndarray (..., K)
        Of every channel, orders included: what a history is scored with.
    """

    initial: Floats
    matrix: Floats
    rate: Floats
    ahead: Floats
    worth: Floats
    silent: Floats
    seen: Mapping[str, Floats] = field(default_factory=dict)


def read_draws(fit: Fit, n_ahead: int, *, discount: float, draws: int = DRAWS) -> Drawn:
    """Read evenly spaced draws of a fit.

    Parameters
    ----------
    fit : Fit
    n_ahead : int
        Periods to look ahead.
    discount : float
        Rate per period.
    draws : int
        In all.
    """
    posterior = fit.posterior
    each = min(posterior.sizes["draw"], max(10, draws // posterior.sizes["chain"]))
    chosen = posterior.isel(
        draw=np.linspace(0, posterior.sizes["draw"] - 1, each).round().astype(int)
    )
    initial = chosen["initial_probs"].transpose("chain", "draw", "stage").values
    matrix = chosen["transition_matrix"].transpose("chain", "draw", "stage_from", "stage_to").values
    seen = {
        f"{channel.name}_{name}": chosen[f"{channel.name}_{name}"]
        .transpose("chain", "draw", "stage")
        .values
        for channel in fit.model.channels
        for name in channel.parameter_names
    }
    rate = seen[f"{CHANNEL}_rate"]
    worth = stage_value(matrix, rate, discount_rate=discount, n_periods=n_ahead)
    return Drawn(
        initial,
        matrix,
        rate,
        counts_to_come(matrix, rate, n_ahead),
        worth,
        silence(matrix, rate, n_ahead),
        seen,
    )


def silence(matrix: Floats, rate: Floats, n_ahead: int) -> Floats:
    """Probability of no event in the next periods, by the stage of the present one.

    Parameters
    ----------
    matrix : ndarray (..., K, K)
    rate : ndarray (..., K)
        Poisson events per period.
    n_ahead : int

    Examples
    --------
    >>> silence(np.eye(2), np.array([0.0, 1.0]), 3).round(4)  # 1 and exp(-3)
    array([1.    , 0.0498])
    """
    quiet, still = np.exp(-rate), np.ones_like(rate)
    for _ in range(n_ahead):
        still = (matrix @ (quiet * still)[..., None])[..., 0]
    return still


@dataclass(frozen=True)
class Scored:
    """What the stages say of customers.

    Attributes
    ----------
    customers : DataFrame
        One row each, means over draws; columns ending in ``_error`` hold Monte Carlo errors.
    totals : mapping of str to ndarray (chain, draw)
        Sums over customers, draw by draw.
    stages : ndarray (chain, draw, K)
        Customers expected in each stage at the end.
    river : ndarray (chain, draw, period, K)
        Customers expected in each stage, period by period.
    loglik : ndarray (chain, draw, customer)
        Log-likelihood of each history; empty unless asked for.
    """

    customers: pd.DataFrame
    totals: Mapping[str, Floats]
    stages: Floats
    river: Floats
    loglik: Floats


def score_orders(
    orders: Orders,
    spend: pd.Series,
    plan: Plan,
    fit: Fit,
    drawn: Drawn,
    *,
    read: Callable[[pd.DataFrame, Plan], xr.Dataset] | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> Scored:
    """Score every customer of these orders, a block at a time.

    Parameters
    ----------
    orders : DataFrame or Stored
        customer_id, date.
    spend : Series
        By customer_id: what one order brings (currency; 1 if no amounts are known).
    plan : Plan
    fit : Fit
    drawn : Drawn
    read : callable, optional
        Makes the panel of a block; `make_panel` if left out.
    tell : callable
        Takes the customers done, now and then.
    """
    parts, done, told = [], 0, 0
    for block in order_blocks(orders, BLOCK):
        part = score_panel((read or make_panel)(block, plan), spend, plan, fit, drawn)
        done += len(part.customers)
        # single log-likelihoods are looked at in small files only
        parts.append(part if done <= MANY else replace(part, loglik=part.loglik[..., :0]))
        if done - told >= TOLD:
            tell(told := done)
    return _join(parts)


def make_panel(orders: pd.DataFrame, plan: Plan) -> xr.Dataset:
    """Count the repeat orders of each customer and period."""
    tables = tables_from_orders(orders, window=(plan.first, plan.last))
    return to_panel(tables, freq=plan.freq, channels=[CHANNEL])


def _join(parts: list[Scored]) -> Scored:
    totals = {name: sum(p.totals[name] for p in parts) for name in parts[0].totals}
    return Scored(
        pd.concat([p.customers for p in parts], ignore_index=True),
        totals,
        sum(p.stages for p in parts),
        sum(p.river for p in parts),
        np.concatenate([p.loglik for p in parts], axis=-1),
    )


def score_panel(panel: xr.Dataset, spend: pd.Series, plan: Plan, fit: Fit, drawn: Drawn) -> Scored:
    """Score the customers of one panel."""
    rows, back, counts = _histories(panel, fit)
    few = panel.isel(customer_id=rows)
    law, before, river, loglik = _walk(few, fit, drawn, plan.season, counts)
    each = spend.reindex(panel["customer_id"].values).to_numpy(float)
    return _summarise(panel, law[:, :, back], before[:, :, back], river, loglik[:, :, back], each,
                      drawn)  # fmt: skip


def _histories(panel: xr.Dataset, fit: Fit) -> tuple[NDArray, NDArray, NDArray]:
    """Find an example of each different history, which one each customer has, and how many do."""
    window = find_window(panel)
    codes = [encode(panel, channel, fit.model.space).codes for channel in fit.model.channels]
    known = np.column_stack([window.first, window.last, *codes])
    _, rows, back, counts = np.unique(
        known, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return rows, back.ravel(), counts


def _walk(
    panel: xr.Dataset, fit: Fit, drawn: Drawn, season: int, counts: NDArray
) -> tuple[Floats, Floats, Floats, Floats]:
    """Filter each history under each draw: the law now, a season ago, of the base, and loglik."""
    scorer = Scorer(panel, fit.model.channels, fit.model.space)
    first, last = find_window(panel)
    then = np.maximum(last - season, first)
    n, T, K = scorer.shape
    lead = drawn.initial.shape[:2]
    now, before = np.empty((*lead, n, K)), np.empty((*lead, n, K))
    river, loglik = np.zeros((*lead, T, K)), np.empty((*lead, n))
    for c, d in np.ndindex(lead):
        tables = scorer.tables({name: values[c, d] for name, values in drawn.seen.items()})
        walk = Walk(drawn.initial[c, d], drawn.matrix[c, d], tables, first, last)
        now[c, d], before[c, d], river[c, d], loglik[c, d] = walk.follow(then, counts)
    return now, before, river, loglik


def _summarise(
    panel: xr.Dataset,
    law: Floats,
    before: Floats,
    river: Floats,
    loglik: Floats,
    spend: Floats,
    drawn: Drawn,
) -> Scored:
    """Reduce draws to one row per customer, and to sums over customers."""

    def weigh(law_: Floats, per_stage: Floats) -> Floats:
        return np.einsum("cdnk,cdk->cdn", law_, per_stage)

    first, last = find_window(panel)
    expected, worth = weigh(law, drawn.ahead), weigh(law, drawn.worth) * spend
    repair = weigh(before, drawn.worth) * spend - worth
    again = 1 - weigh(law, drawn.silent)
    frame = {"customer_id": panel["customer_id"].values, "periods": last - first + 1}
    for k in range(law.shape[-1]):
        frame[f"p_{k}"] = law[..., k].mean(axis=(0, 1))
    frame["p_error"] = np.max([_error(law[..., k]) for k in range(law.shape[-1])], axis=0)
    frame["now"] = law.mean(axis=(0, 1)).argmax(axis=1)
    frame["before"] = before.mean(axis=(0, 1)).argmax(axis=1)
    for name, values in (("expected", expected), ("value", worth), ("repair", repair),
                         ("p_order", again)):  # fmt: skip
        frame[name] = values.mean(axis=(0, 1))
        frame[f"{name}_error"] = _error(values)
    for name, values in (("expected", expected), ("value", worth)):
        frame[f"{name}_low"], frame[f"{name}_high"] = np.quantile(
            values, (_LOW, _HIGH), axis=(0, 1)
        )
    # a repair is worth something to those who fell, and nothing is lost with those who rose
    drifting = (frame["now"] < frame["before"])[None, None]
    totals = {
        "expected": expected.sum(axis=-1),
        "value": worth.sum(axis=-1),
        "repair": (np.maximum(repair, 0) * drifting).sum(axis=-1),
    }
    return Scored(pd.DataFrame(frame), totals, law.sum(axis=2), river, loglik)


def _error(values: Floats) -> Floats:
    return monte_carlo_error(xr.DataArray(values, dims=("chain", "draw", "customer_id")))
