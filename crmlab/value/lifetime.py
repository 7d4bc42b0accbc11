"""The value of each customer or stage under every posterior draw of a fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from crmlab.errors import SpecError, check_one_of
from crmlab.inference import Fit
from crmlab.inference.result import warn_if_unconverged
from crmlab.prediction import current_stage_probs
from crmlab.value.equity import value_in_blocks
from crmlab.value.inputs import margins_by_draw
from crmlab.value.rates import DiscountRate, rate_per_period, spell
from crmlab.value.spread import split_variance, value_variance
from crmlab.value.stage import stage_value


def lifetime_value(
    fit: Fit,
    *,
    margin: Mapping[str, float] | ArrayLike | xr.DataArray,
    discount_rate: float | DiscountRate,
    n_periods: int | None = None,
    timing: str = "start",
    by: str = "customer",
    panel: xr.Dataset | None = None,
    draws: int = 200,
) -> xr.DataArray:
    """Lifetime value in currency, one number per posterior draw: of each customer or each stage.

    A customer's value is the mean of `stage_value` under the stage probabilities at the end of
    the customer's window, sum over s of p(stage s | all that was seen) V(s). Each draw uses its
    own parameters for both, so the spread over draws is what the data leave open about the
    expected value, given the margins and the rate. (What one customer will bring varies more.)

    Parameters
    ----------
    fit : Fit
        Posterior of a model with one transition matrix.
    margin : mapping of stage name to float, array_like of shape (stage,), or DataArray
        Currency per customer and period spent in each stage; a mapping names every stage. A
        DataArray with dims (chain, draw, stage) is a posterior of margins (`margin_from_spend`
        makes one): each draw of the fit takes its own.
    discount_rate : float or DiscountRate
        A bare number is a fraction per period of the panel; `per_year` and `per_month` are
        converted with the panel's `freq`.
    n_periods : int, optional
        Number of payments, that of the customer's last period included. None: for ever.
    timing : {"start", "middle", "end"}
        When in its period a margin is paid, as in `stage_value`.
    by : {"customer", "stage"}
        Value each customer of the panel, or each stage.
    panel : xr.Dataset, optional
        Value these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all for customers, evenly thinned; stages use every draw.

    Returns
    -------
    DataArray
        Dims (chain, draw, customer_id) or (chain, draw, stage). The attrs say what was computed:
        `discount_rate` per period, `discount_rate_given`, `timing`, `horizon`, `unit`, `counts`.

    Raises
    ------
    SpecError
        Stages without a margin or margins without a stage, a rate of -1 or less, or a model whose
        transition matrix depends on covariates.

    References
    ----------
    Pfeifer & Carraway (2000), Journal of Interactive Marketing 14(2), 43-55.
    """
    check_one_of("lifetime_value", "by", by, ("customer", "stage"))
    valued = fit.panel if panel is None else panel
    per_period = rate_per_period(discount_rate, valued.attrs.get("freq"))
    options = {"discount_rate": per_period, "n_periods": n_periods, "timing": timing}
    if by == "stage":
        warn_if_unconverged(fit)
        value = _value_by_stage(_transition_matrices(fit), margin, options)
    else:
        law = current_stage_probs(fit, panel=panel, draws=draws)
        matrices = _transition_matrices(fit).sel(chain=law["chain"], draw=law["draw"])
        value = (law * _value_by_stage(matrices, margin, options)).sum("stage")
    attrs = _describe(per_period, discount_rate, n_periods, timing)
    return value.rename("lifetime_value").assign_attrs(attrs)


def value_of_base(
    fit: Fit,
    *,
    margin: Mapping[str, float] | ArrayLike | xr.DataArray,
    discount_rate: float | DiscountRate,
    n_periods: int | None = None,
    timing: str = "start",
    panel: xr.Dataset | None = None,
    draws: int = 200,
    prob: float = 0.9,
    block: int = 5_000,
) -> xr.Dataset:
    """Lifetime values of very many customers in currency, summarised a block of them at a time.

    The same numbers as `lifetime_value`, without ever holding customers x draws.

    Parameters
    ----------
    fit, margin, discount_rate, n_periods, timing, panel, draws
        As in `lifetime_value`.
    prob : float
        Probability of the central (equal-tailed) interval per customer.
    block : int
        Customers whose stages are filtered at a time.

    Returns
    -------
    Dataset
        `mean`, `low`, `high` (customer_id) and `equity` (chain, draw), the total of all customers;
        attrs as in `lifetime_value`, and `interval`.

    Raises
    ------
    SpecError
        As in `lifetime_value`, or a block that is no positive whole number.
    """
    if not isinstance(block, int) or block < 1:
        raise SpecError(f"value_of_base: `block` must be a whole number from 1, got {block!r}")
    valued = fit.panel if panel is None else panel
    per_period = rate_per_period(discount_rate, valued.attrs.get("freq"))
    options = {"discount_rate": per_period, "n_periods": n_periods, "timing": timing}
    first = current_stage_probs(fit, panel=valued.isel(customer_id=slice(0, 1)), draws=draws)
    matrices = _transition_matrices(fit).sel(chain=first["chain"], draw=first["draw"])
    values = _value_by_stage(matrices, margin, options)
    starts = range(0, valued.sizes["customer_id"], block)
    parts = (valued.isel(customer_id=slice(start, start + block)) for start in starts)
    laws = (_flat(current_stage_probs(fit, panel=part, draws=draws)) for part in parts)
    base = value_in_blocks(laws, values.values.reshape(-1, values.sizes["stage"]), prob=prob)
    equity = base.total.reshape(values.shape[:2])
    attrs = _describe(per_period, discount_rate, n_periods, timing)
    return xr.Dataset(
        {
            **{name: ("customer_id", getattr(base, name)) for name in ("mean", "low", "high")},
            "equity": (("chain", "draw"), equity),
        },
        coords={
            "customer_id": valued["customer_id"].values,
            **{dim: values[dim].values for dim in ("chain", "draw")},
        },
        attrs=attrs | {"interval": f"central {100 * prob:g}% (equal-tailed)"},
    )


def lifetime_spread(
    fit: Fit,
    *,
    margin: Mapping[str, float] | ArrayLike | xr.DataArray,
    discount_rate: float | DiscountRate,
    n_periods: int | None = None,
    timing: str = "start",
    margin_sd: ArrayLike = 0.0,
) -> xr.Dataset:
    """Split the spread of what one customer in each stage will bring, in currency, into two parts.

    Parameters
    ----------
    fit, margin, discount_rate, n_periods, timing
        As in `lifetime_value`.
    margin_sd : float or array_like of shape (stage,)
        Standard deviation of one period's payment in each stage, in currency.

    Returns
    -------
    Dataset
        By `stage`: `mean`, and standard deviations: `chance`, among customers under known
        parameters, which stays however much is seen; `ignorance`, of the posterior, which shrinks;
        `total`, the root of the sum of their squares. Attrs as in `lifetime_value`.

    Raises
    ------
    SpecError
        As in `lifetime_value` and `value_variance`.
    """
    warn_if_unconverged(fit)
    matrices = _transition_matrices(fit)
    names = tuple(map(str, matrices["stage_from"].values))
    per_period = rate_per_period(discount_rate, fit.panel.attrs.get("freq"))
    margins = margins_by_draw("lifetime_spread", margin, names, matrices)
    options = {"discount_rate": per_period, "n_periods": n_periods, "timing": timing}
    values = stage_value(matrices.values, margins, **options)
    variances = value_variance(matrices.values, margins, margin_sd=margin_sd, **options)
    flat = (-1, len(names))
    spread = split_variance(values.reshape(flat), variances.reshape(flat))
    parts = {
        "mean": values.mean(axis=(0, 1)),
        "chance": np.sqrt(spread.chance),
        "ignorance": np.sqrt(spread.ignorance),
        "total": np.sqrt(spread.total),
    }
    return xr.Dataset(
        {name: ("stage", numbers) for name, numbers in parts.items()},
        coords={"stage": list(names)},
        attrs=_describe(per_period, discount_rate, n_periods, timing),
    )


def _flat(law: xr.DataArray) -> NDArray:
    """Laws of one block as (draws, customers, K)."""
    law = law.transpose("chain", "draw", "customer_id", "stage")
    return law.values.reshape(-1, *law.shape[2:])


def _transition_matrices(fit: Fit) -> xr.DataArray:
    """Posterior draws of the one transition matrix (chain, draw, stage_from, stage_to)."""
    dims = ("chain", "draw", "stage_from", "stage_to")
    found = fit.posterior.get("transition_matrix")
    if found is None or set(found.dims) != set(dims):
        raise SpecError(
            f"lifetime_value: {type(fit.model).__name__} has no single transition matrix; give "
            "the matrix of one setting of its covariates to `stage_value`."
        )
    return found.transpose(*dims)


def _value_by_stage(
    matrices: xr.DataArray,
    margin: Mapping[str, float] | ArrayLike | xr.DataArray,
    options: Mapping[str, Any],
) -> xr.DataArray:
    """Apply `stage_value` to every draw (chain, draw, stage), with that draw's margins if given."""
    names = tuple(map(str, matrices["stage_from"].values))
    margins = margins_by_draw("lifetime_value", margin, names, matrices)
    values = stage_value(matrices.values, margins, **options)
    labels = {"stage": matrices["stage_from"].values}
    labels |= {dim: matrices[dim].values for dim in ("chain", "draw")}
    return xr.DataArray(values, dims=("chain", "draw", "stage"), coords=labels)


def _describe(
    rate: float, given: float | DiscountRate, n_periods: int | None, timing: str
) -> dict[str, object]:
    """Everything a reader needs to know which value this is, as attributes."""
    return {
        "discount_rate": float(rate),
        "discount_rate_given": spell(given),
        "timing": timing,
        "horizon": "infinite" if n_periods is None else f"{n_periods} periods",
        "unit": "currency of the margins, per customer",
        "counts": "the margin of the present period and all later ones",
    }
