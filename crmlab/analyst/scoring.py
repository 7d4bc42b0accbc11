"""What a fit of the stages says about customers, block by block, and about the future."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from crmlab.analyst.model import RATE
from crmlab.analyst.orders import Orders, order_blocks
from crmlab.analyst.plan import Plan
from crmlab.arrays import Floats
from crmlab.inference import Fit
from crmlab.models.emissions import find_window
from crmlab.prediction import score_histories, thin_draws
from crmlab.prediction.scoring import compute_in_order
from crmlab.report.rounding import monte_carlo_error
from crmlab.value import stage_value

BLOCK, THREADS = 5_000, 2
DRAWS, FEW_DRAWS = 100, 40
MANY = 100_000  # number of customers above which fewer draws are read
TOLD = 200_000
_ENDS = (0.05, 0.95)


@dataclass(frozen=True)
class StageDraws:
    """Posterior draws of the stages, and the expected orders of each stage in future periods.

    Parameters
    ----------
    posterior : xr.Dataset
        Draws of the parameters, evenly thinned.
    orders : ndarray (chain, draw, K)
        Orders expected of a customer in each stage.
    worth : ndarray (chain, draw, K)
        The same, discounted.
    silent : ndarray (chain, draw, K)
        Probability of no order at all.
    """

    posterior: xr.Dataset
    orders: Floats
    worth: Floats
    silent: Floats

    @property
    def n_draws(self) -> int:
        """Number of draws, all chains together."""
        return self.posterior.sizes["chain"] * self.posterior.sizes["draw"]

    @property
    def initial(self) -> Floats:
        """Probability of each stage in the first period (chain, draw, K)."""
        return self.parameter("initial_probs")

    @property
    def matrix(self) -> Floats:
        """Transition matrices (chain, draw, K, K)."""
        return _transitions(self.posterior)

    @property
    def rate(self) -> Floats:
        """Orders per period in each stage (chain, draw, K)."""
        return self.parameter(RATE)

    def parameter(self, name: str) -> Floats:
        """One parameter of each stage (chain, draw, K)."""
        return self.posterior[name].transpose("chain", "draw", "stage").values


def read_draws(fit: Fit, n_ahead: int, *, discount: float = 0.0, draws: int = DRAWS) -> StageDraws:
    """Thin the draws of a fit and look ahead from each stage.

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
    chosen = thin_draws(fit, draws)
    matrix, rate = _transitions(chosen), chosen[RATE].transpose("chain", "draw", "stage").values
    return StageDraws(
        chosen,
        stage_value(matrix, rate, discount_rate=0.0, n_periods=n_ahead),
        stage_value(matrix, rate, discount_rate=discount, n_periods=n_ahead),
        prob_no_order(matrix, rate, n_ahead),
    )


def _transitions(posterior: xr.Dataset) -> Floats:
    """Transition matrices of the draws (chain, draw, K, K)."""
    order = ("chain", "draw", "stage_from", "stage_to")
    return posterior["transition_matrix"].transpose(*order).values


def prob_no_order(matrix: Floats, rate: Floats, n_ahead: int) -> Floats:
    """Probability of no order in the next periods, by the current stage.

    Parameters
    ----------
    matrix : ndarray (..., K, K)
    rate : ndarray (..., K)
        Poisson orders per period.
    n_ahead : int

    Examples
    --------
    >>> prob_no_order(np.eye(2), np.array([0.0, 1.0]), 3).round(4)  # 1 and exp(-3)
    array([1.    , 0.0498])
    """
    quiet, still = np.exp(-rate), np.ones_like(rate)
    for _ in range(n_ahead):
        still = (matrix @ (quiet * still)[..., None])[..., 0]
    return still


def weigh(probs: Floats, per_stage: Floats) -> Floats:
    """Average over stages: (chain, draw, customer, K) and (chain, draw, K)."""
    return np.einsum("cdnk,cdk->cdn", probs, per_stage)


@dataclass(frozen=True)
class Scored:
    """What the stages say about customers.

    Attributes
    ----------
    customers : DataFrame
        One row each, means over draws; columns ending in ``_error`` hold Monte Carlo errors.
    totals : mapping of str to ndarray (chain, draw)
        Sums over customers, draw by draw.
    stages : ndarray (chain, draw, K)
        Customers expected in each stage at the end.
    occupancy : ndarray (chain, draw, period, K)
        Customers expected in each stage, period by period.
    """

    customers: pd.DataFrame
    totals: Mapping[str, Floats]
    stages: Floats
    occupancy: Floats


def score_orders(
    orders: Orders,
    spend: pd.Series,
    plan: Plan,
    fit: Fit,
    drawn: StageDraws,
    *,
    read: Callable[[pd.DataFrame, Plan], xr.Dataset],
    tell: Callable[[int], None] = lambda done: None,
) -> Scored:
    """Score every customer of these orders, a block at a time, two at once.

    Parameters
    ----------
    orders : DataFrame or Stored
        customer_id, date.
    spend : Series
        By customer_id: what one order brings (currency; 1 if no amounts are known).
    plan : Plan
    fit : Fit
    drawn : StageDraws
    read : callable
        Makes the panel of a block.
    tell : callable
        Takes the number of customers done, now and then.
    """

    def score(block: pd.DataFrame) -> Scored:
        return score_panel(read(block, plan), spend, plan, fit, drawn)

    parts, done, told = [], 0, 0
    with ThreadPoolExecutor(THREADS) as pool:
        for part in compute_in_order(score, zip(order_blocks(orders, BLOCK)), pool):
            parts.append(part)
            done += len(part.customers)
            if done - told >= TOLD:
                tell(told := done)
    return _join(parts)


def _join(parts: list[Scored]) -> Scored:
    return Scored(
        pd.concat([p.customers for p in parts], ignore_index=True),
        {name: sum((p.totals[name] for p in parts), np.zeros(())) for name in parts[0].totals},
        sum((p.stages for p in parts), np.zeros(())),
        sum((p.occupancy for p in parts), np.zeros(())),
    )


def score_panel(
    panel: xr.Dataset, spend: pd.Series, plan: Plan, fit: Fit, drawn: StageDraws
) -> Scored:
    """Score the customers of one panel, as `score_orders` does."""
    found = score_histories(fit, panel=panel, ago=plan.season, draws=drawn.n_draws)
    now, before = found["now"].values, found["earlier"].values
    ids = panel["customer_id"].values
    each = spend.reindex(ids).to_numpy(float)
    worth = weigh(now, drawn.worth) * each
    drawn_values = {
        "expected": weigh(now, drawn.orders),
        "value": worth,
        "repair": weigh(before, drawn.worth) * each - worth,
        "p_order": 1 - weigh(now, drawn.silent),
    }
    first, last = find_window(panel)
    frame = pd.DataFrame({
        "customer_id": ids,
        "periods": last - first + 1,
        **_summarise_stages(now, before),
        **_summarise_values(drawn_values),
    })  # fmt: skip
    totals = {name: drawn_values[name].sum(axis=-1) for name in ("expected", "value")}
    return Scored(frame, totals, now.sum(axis=2), found["occupancy"].values)


def _summarise_stages(now: Floats, before: Floats) -> dict[str, np.ndarray]:
    """Average stage probabilities over draws; name the most likely stage now and before."""
    mean = now.mean(axis=(0, 1))
    columns = {f"p_{k}": mean[:, k] for k in range(mean.shape[1])}
    return {
        **columns,
        "p_error": np.max([_error(now[..., k]) for k in range(mean.shape[1])], axis=0),
        "now": mean.argmax(axis=1),
        "before": before.mean(axis=(0, 1)).argmax(axis=1),
    }


def _summarise_values(drawn: Mapping[str, Floats]) -> dict[str, np.ndarray]:
    """Average each number over draws, with its error; intervals of what is expected."""
    columns: dict[str, np.ndarray] = {}
    for name, values in drawn.items():
        columns |= {name: values.mean(axis=(0, 1)), f"{name}_error": _error(values)}
    for name in ("expected", "value"):
        low, high = np.quantile(drawn[name], _ENDS, axis=(0, 1))
        columns |= {f"{name}_low": low, f"{name}_high": high}
    return columns


def _error(values: Floats) -> Floats:
    return monte_carlo_error(xr.DataArray(values, dims=("chain", "draw", "customer_id")))
