"""Alive probability, expected purchases and value, asked alike of both kinds of model.

A model of stages (`Fit`) has a posterior, a matrix and channels. A buy-till-you-die model has four
parameters and a likelihood, known by their most likely values (`Buyers`), by a posterior
(`BuyersPosterior`), or through PyMC-Marketing (`MarketingBuyers`). For the same `CustomerTables`,
all answer in the same form: one number per customer, for the same periods, in the same units, so
that they can be compared. Answers have dims (chain, draw, customer_id); those of `Buyers`, which
have one set of parameters, (customer_id,).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from crmlab.arrays import check_count, count_problems
from crmlab.btyd.fitted import FittedPurchases
from crmlab.channels import Bernoulli, Channel, NegativeBinomial, Poisson, ZeroInflatedSpend
from crmlab.errors import SpecError, raise_problems, wrong
from crmlab.inference import Fit
from crmlab.prediction import current_stage_probs
from crmlab.value.lifetime import value_by_customer
from crmlab.value.rates import DiscountRate, rate_per_period, rate_problems, spell


def prob_alive(
    fitted: Fit | FittedPurchases, *, dead: Sequence[str] | None = None, draws: int = 200
) -> xr.DataArray:
    """Probability that each customer is still a customer at the end of the window.

    Parameters
    ----------
    fitted : Fit or FittedPurchases
    dead : sequence of stage names, optional
        For a `Fit`: the stages that count as gone. The absorbing ones if left out.
    draws : int
        Posterior draws to use in all.

    Returns
    -------
    DataArray with dims (chain, draw, customer_id), or (customer_id,) for `Buyers`

    Raises
    ------
    SpecError
        `dead` names no stage, or is left out where no stage is absorbing.
    """
    if isinstance(fitted, FittedPurchases):
        return fitted.thinned(draws).alive().rename("prob_alive")
    names = fitted.model.space.names
    gone = fitted.model.space.absorbing if dead is None else tuple(dead)
    problems = [f"`dead` names the unknown stage {name!r}" for name in gone if name not in names]
    if not gone:
        problems.append("no stage is absorbing: name the stages that count as gone in `dead`")
    raise_problems(SpecError, "prob_alive", problems)
    probs = current_stage_probs(fitted, draws=draws)
    return (1 - probs.sel(stage=list(gone)).sum("stage")).clip(0, 1).rename("prob_alive")


def expected_purchases(
    fitted: Fit | FittedPurchases,
    *,
    n_periods: int,
    channel: str = "repeat_orders",
    at: Mapping[str, float] | None = None,
    draws: int = 200,
) -> xr.DataArray:
    """Mean purchases of each customer in the next `n_periods`, in events.

    Parameters
    ----------
    fitted : Fit or FittedPurchases
    n_periods : int
        Periods ahead, each as long as those of the fit.
    channel : str
        For a `Fit`: the Poisson, NegativeBinomial or Bernoulli channel of purchases.
    at : mapping of covariate to number, optional
        For a `Fit` with covariates: those that are set, as in `transition_matrices`; the others
        stay as each customer's last period has them.
    draws : int
        Posterior draws to use in all.

    Returns
    -------
    DataArray with dims (chain, draw, customer_id), or (customer_id,) for `Buyers`

    Raises
    ------
    SpecError
        The model has no such channel, or `n_periods` is not a number of periods.
    """
    check_count("expected_purchases", "n_periods", n_periods)
    if isinstance(fitted, FittedPurchases):
        found = fitted.thinned(draws).purchases(n_periods)
    else:
        kinds = (Poisson, NegativeBinomial, Bernoulli)
        found = _sum_ahead(fitted, channel, kinds, {"n_periods": n_periods}, at, draws)
    return found.rename("expected_purchases")


def expected_spend(
    fitted: Fit | FittedPurchases,
    *,
    n_periods: int,
    channel: str = "spend",
    at: Mapping[str, float] | None = None,
    draws: int = 200,
) -> xr.DataArray:
    """Mean amount that each customer will spend in the next `n_periods`, in currency.

    Parameters
    ----------
    fitted : Fit or FittedPurchases
        Purchase models multiply expected purchases with the Gamma-Gamma mean of each customer's
        amounts.
    n_periods : int
        Periods ahead.
    channel : str
        For a `Fit`: the `ZeroInflatedSpend` channel.
    at, draws
        As in `expected_purchases`.

    Returns
    -------
    DataArray with dims (chain, draw, customer_id), or (customer_id,) for `Buyers`

    Raises
    ------
    SpecError
        Nothing is known about amounts, or `n_periods` is not a number of periods.
    """
    check_count("expected_spend", "n_periods", n_periods)
    if isinstance(fitted, FittedPurchases):
        found = _spend_by_period(fitted, n_periods, draws).sum("horizon")
    else:
        kinds = (ZeroInflatedSpend,)
        found = _sum_ahead(fitted, channel, kinds, {"n_periods": n_periods}, at, draws)
    return found.rename("expected_spend")


def customer_value(
    fitted: Fit | FittedPurchases,
    *,
    n_periods: int,
    fraction: float,
    discount_rate: float | DiscountRate,
    channel: str = "spend",
    at: Mapping[str, float] | None = None,
    draws: int = 200,
) -> xr.DataArray:
    """Discounted margin of each customer in the next `n_periods`, in currency.

    sum over h = 1 .. n_periods of fraction * spend in period h / (1 + d)^h. For a `Fit`, this is
    `lifetime_value` with the margins of its own spend.

    Parameters
    ----------
    fitted : Fit or FittedPurchases
    n_periods : int
        Periods ahead.
    fraction : float
        Margin as a share of spend.
    discount_rate : float or DiscountRate
        A bare number is a fraction per period of the fit; `per_year` and `per_month` are
        converted.
    channel : str
        For a `Fit`: the `ZeroInflatedSpend` channel.
    at, draws
        As in `expected_purchases`.

    Returns
    -------
    DataArray with dims (chain, draw, customer_id), or (customer_id,) for `Buyers`
        The attrs give the rate, the horizon and the unit.

    Raises
    ------
    SpecError
        Nothing is known about amounts, or a number is not valid. All problems at once.
    """
    freq = fitted.freq if isinstance(fitted, FittedPurchases) else fitted.panel.attrs.get("freq")
    rate = rate_per_period(discount_rate, freq)
    problems = [*rate_problems(rate), *count_problems({"n_periods": n_periods})]
    if not (isinstance(fraction, int | float | np.number) and np.isfinite(fraction)):
        problems.append(wrong("fraction", "a finite share of spend", fraction))
    raise_problems(SpecError, "customer_value", problems)
    if isinstance(fitted, FittedPurchases):
        flows = _spend_by_period(fitted, n_periods, draws)
        found = (flows / (1 + rate) ** flows["horizon"]).sum("horizon")
    else:
        options = {"n_periods": n_periods, "discount_rate": rate}
        found = _sum_ahead(fitted, channel, (ZeroInflatedSpend,), options, at, draws)
    return (
        (fraction * found)
        .rename("customer_value")
        .assign_attrs(
            discount_rate=float(rate),
            discount_rate_given=spell(discount_rate),
            horizon=f"{n_periods} periods",
            unit="currency, per customer",
            counts="the margin of the next period and all later ones",
        )
    )


def _spend_by_period(fitted: FittedPurchases, n_periods: int, draws: int) -> xr.DataArray:
    """Mean amount in each period to come, in currency (..., customer_id, horizon)."""
    thinned = fitted.thinned(draws)
    amounts = thinned.amounts()
    if amounts is None:
        raise SpecError(
            "The buyers' tables have no channel 'spend', so nothing is known about amounts."
        )
    horizon = xr.DataArray(np.arange(n_periods + 1), dims="horizon", name="horizon")
    upto = xr.concat([thinned.purchases(float(h)) for h in horizon], dim=horizon)
    return (upto.diff("horizon") * amounts).transpose(..., "customer_id", "horizon")


def _sum_ahead(
    fit: Fit,
    channel: str,
    kinds: tuple[type[Channel], ...],
    options: Mapping[str, float],
    at: Mapping[str, float] | None,
    draws: int,
) -> xr.DataArray:
    """Sum of a channel's means over the periods to come (chain, draw, customer_id), discounted."""
    found = [c for c in fit.model.channels if c.name == channel and isinstance(c, kinds)]
    if not found:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        names = [c.name for c in fit.model.channels]
        raise SpecError(f"The model has no {wanted} channel {channel!r}; its channels are {names}.")
    means = _mean_by_stage(found[0], fit.posterior)
    return value_by_customer(fit, means, {"discount_rate": 0.0, **options}, at=at, draws=draws)


def _mean_by_stage(channel: Channel, posterior: xr.Dataset) -> xr.DataArray:
    """Mean of what a channel shows per period in each stage (chain, draw, stage)."""
    names = channel.parameter_names
    return channel.mean(**{name: posterior[f"{channel.name}_{name}"] for name in names})
