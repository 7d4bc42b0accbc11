"""The value of each customer or stage under every posterior draw of a fit."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, check_count
from crmlab.errors import check_one_of
from crmlab.inference import Fit
from crmlab.prediction import thin_draws, transition_matrices
from crmlab.prediction.moves import expect_by_customer
from crmlab.value.equity import summarise_base
from crmlab.value.inputs import check_timing, margins_by_draw
from crmlab.value.rates import DiscountRate, rate_per_period, spell
from crmlab.value.spread import split_variance, value_variance
from crmlab.value.stage import stage_value

Margin = Mapping[str, float] | ArrayLike | xr.DataArray


def lifetime_value(
    fit: Fit,
    *,
    margin: Margin,
    discount_rate: float | DiscountRate,
    n_periods: int | None = None,
    timing: str = "start",
    first: str = "next",
    by: str = "customer",
    at: Mapping[str, float] | None = None,
    panel: xr.Dataset | None = None,
    draws: int = 200,
) -> xr.DataArray:
    """Lifetime value in currency, one number per posterior draw: of each customer or each stage.

    A customer's value is the mean of `stage_value` under the stage probabilities at the end of
    the customer's window, sum over s of p(stage s | all that was seen) V(s). Each draw uses its
    own parameters for both, so the spread over draws is what the data leave open about the
    expected value, given the margins and the rate. (What one customer brings varies more.)

    Parameters
    ----------
    fit : Fit
    margin : mapping of stage name to float, array_like of shape (stage,), or DataArray
        Currency per customer and period spent in each stage; a mapping names every stage. A
        DataArray with dims (chain, draw, stage) is a posterior of margins (`margin_from_spend`
        makes one): each draw of the fit takes its own.
    discount_rate : float or DiscountRate
        A bare number is a fraction per period of the panel; `per_year` and `per_month` are
        converted with the panel's `freq`.
    n_periods : int, optional
        Number of payments. None: for ever.
    timing : {"start", "middle", "end"}
        When in its period a margin is paid, as in `stage_value`.
    first : {"next", "current"}
        The period of the first payment that counts; the current one is the last observed one.
    by : {"customer", "stage"}
        Value each customer of the panel, or each stage.
    at : mapping of covariate to number, optional
        Covariates to set, for all customers and all future periods, as in
        `transition_matrices`; the others stay as each customer's last period has them.
    panel : xr.Dataset, optional
        Value these customers instead of those of the fit.
    draws : int
        Posterior draws to use in all, evenly thinned; stages use every draw, unless the model has
        covariates.

    Returns
    -------
    DataArray
        Dims (chain, draw, customer_id) or (chain, draw, stage). The attrs say what was computed:
        `discount_rate` per period, `discount_rate_given`, `timing`, `horizon`, `unit`, `counts`.

    Raises
    ------
    SpecError
        Stages without a margin or margins without a stage, a rate of -1 or less, or covariates that
        the model does not have.

    Notes
    -----
    Where customers differ by covariates or effects of their own, each is valued by her own
    matrix, and her unknown effects are averaged last. A stage is then valued by the mean
    matrix of all customers (``transition_matrices(..., by="population")``).

    References
    ----------
    Pfeifer & Carraway (2000), Journal of Interactive Marketing 14(2), 43-55.
    """
    check_one_of("lifetime_value", "by", by, ("customer", "stage"))
    options, attrs = _read_options(
        "lifetime_value",
        fit.panel if panel is None else panel,
        discount_rate,
        n_periods,
        timing,
        first,
    )
    if by == "customer":
        value = value_by_customer(fit, margin, options, at=at, panel=panel, draws=draws)
    else:
        value = _value_by_stage(_matrices(fit, at, panel, draws), margin, options)
    return value.rename("lifetime_value").assign_attrs(attrs)


def value_of_base(
    fit: Fit,
    *,
    margin: Margin,
    discount_rate: float | DiscountRate,
    n_periods: int | None = None,
    timing: str = "start",
    first: str = "next",
    panel: xr.Dataset | None = None,
    draws: int = 200,
    prob: float = 0.9,
    block: int = 5_000,
) -> xr.Dataset:
    """Lifetime values of very many customers in currency, summarised block by block.

    The same numbers as `lifetime_value`, without ever holding customers x draws.

    Parameters
    ----------
    fit, margin, discount_rate, n_periods, timing, first, panel, draws
        As in `lifetime_value`.
    prob : float
        Probability of the central (equal-tailed) interval per customer.
    block : int
        Number of customers to process at a time.

    Returns
    -------
    Dataset
        `mean`, `low`, `high` (customer_id) and `equity` (chain, draw), the total of all customers;
        attrs as in `lifetime_value`, and `interval`.

    Raises
    ------
    SpecError
        As in `lifetime_value`, or a block that is not a positive integer.
    """
    check_count("value_of_base", "block", block)
    valued = fit.panel if panel is None else panel
    options, attrs = _read_options("value_of_base", valued, discount_rate, n_periods, timing, first)

    def blocks() -> Iterator[Floats]:
        for start in range(0, valued.sizes["customer_id"], block):
            part = valued.isel(customer_id=slice(start, start + block))
            values = value_by_customer(fit, margin, options, panel=part, draws=draws)
            yield values.values.reshape(-1, values.sizes["customer_id"])

    base, chosen = summarise_base(blocks(), prob), thin_draws(fit, draws)
    lead = {dim: chosen[dim].values for dim in ("chain", "draw")}
    equity = base.total.reshape([len(values) for values in lead.values()])
    return xr.Dataset(
        {
            **{name: ("customer_id", getattr(base, name)) for name in ("mean", "low", "high")},
            "equity": (("chain", "draw"), equity),
        },
        coords={"customer_id": valued["customer_id"].values, **lead},
        attrs=attrs | {"interval": f"central {100 * prob:g}% (equal-tailed)"},
    )


def lifetime_spread(
    fit: Fit,
    *,
    margin: Margin,
    discount_rate: float | DiscountRate,
    n_periods: int | None = None,
    timing: str = "start",
    first: str = "next",
    at: Mapping[str, float] | None = None,
    margin_sd: ArrayLike = 0.0,
    draws: int = 200,
) -> xr.Dataset:
    """Split the spread of what one customer in each stage will bring, in currency, into two parts.

    Parameters
    ----------
    fit, margin, discount_rate, n_periods, timing, first, at, draws
        As in `lifetime_value`, for stages.
    margin_sd : float or array_like of shape (stage,)
        Standard deviation of one period's payment in each stage, in currency.

    Returns
    -------
    Dataset
        By `stage`: `mean`, and three standard deviations: `aleatoric`, among customers under known
        parameters, which no amount of data reduces; `epistemic`, of the posterior, which shrinks;
        `total`, the root of the sum of their squares. Attrs as in `lifetime_value`.

    Raises
    ------
    SpecError
        As in `lifetime_value` and `value_variance`.
    """
    options, attrs = _read_options(
        "lifetime_spread", fit.panel, discount_rate, n_periods, timing, first
    )
    matrices = _matrices(fit, at, None, draws)
    names = fit.model.space.names
    margins = margins_by_draw("lifetime_spread", margin, names, matrices)
    values = stage_value(matrices.values, margins, **options)
    variances = value_variance(matrices.values, margins, margin_sd=margin_sd, **options)
    flat = (-1, len(names))
    spread = split_variance(values.reshape(flat), variances.reshape(flat))
    parts = {
        "mean": values.mean(axis=(0, 1)),
        "aleatoric": np.sqrt(spread.aleatoric),
        "epistemic": np.sqrt(spread.epistemic),
        "total": np.sqrt(spread.total),
    }
    return xr.Dataset(
        {name: ("stage", numbers) for name, numbers in parts.items()},
        coords={"stage": list(names)},
        attrs=attrs,
    )


def value_by_customer(
    fit: Fit,
    margin: Margin,
    options: Mapping[str, Any],
    *,
    at: Mapping[str, float] | None = None,
    panel: xr.Dataset | None = None,
    draws: int = 200,
    owner: str = "lifetime_value",
) -> xr.DataArray:
    """Apply `stage_value` with `options` to each customer's stages (chain, draw, customer_id)."""
    chosen, names = thin_draws(fit, draws), fit.model.space.names
    margins = margins_by_draw(owner, margin, names, chosen)
    shape = (chosen.sizes["chain"], chosen.sizes["draw"], margins.shape[-1])
    dims = ("chain", "draw", "margin_stage")
    chosen = chosen.assign(margin_=(dims, np.broadcast_to(margins, shape)))
    return expect_by_customer(
        fit,
        chosen,
        lambda parameters, P: stage_value(P, parameters["margin_"], **options),
        at=at,
        panel=panel,
        owner=owner,
    )


def _matrices(
    fit: Fit, at: Mapping[str, float] | None, panel: xr.Dataset | None, draws: int
) -> xr.DataArray:
    """Return the population's matrices (chain, draw, stage_from, stage_to); if one, every draw."""
    posterior = fit.posterior
    if "transition_matrix" in posterior:
        draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    return transition_matrices(fit, at=at, by="population", panel=panel, draws=draws)


def _value_by_stage(
    matrices: xr.DataArray, margin: Margin, options: Mapping[str, Any]
) -> xr.DataArray:
    """Apply `stage_value` to every draw (chain, draw, stage), with that draw's margins if given."""
    names = tuple(map(str, matrices["stage_from"].values))
    margins = margins_by_draw("lifetime_value", margin, names, matrices)
    values = stage_value(matrices.values, margins, **options)
    labels = {"stage": matrices["stage_from"].values}
    labels |= {dim: matrices[dim].values for dim in ("chain", "draw")}
    return xr.DataArray(values, dims=("chain", "draw", "stage"), coords=labels)


def _read_options(
    owner: str,
    panel: xr.Dataset,
    given: float | DiscountRate,
    n_periods: int | None,
    timing: str,
    first: str,
) -> tuple[dict[str, Any], dict[str, object]]:
    """Options of `stage_value`, and their description as attributes."""
    check_timing(owner, timing, first)
    rate = rate_per_period(given, panel.attrs.get("freq"))
    options = {"discount_rate": rate, "n_periods": n_periods, "timing": timing, "first": first}
    since = "present" if first == "current" else "next"
    return options, {
        "discount_rate": float(rate),
        "discount_rate_given": spell(given),
        "timing": timing,
        "horizon": "infinite" if n_periods is None else f"{n_periods} periods",
        "unit": "currency of the margins, per customer",
        "counts": f"the margin of the {since} period and all later ones",
    }
