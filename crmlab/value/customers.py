"""The same questions to both kinds of model.

Is she alive, what will she buy, what is she worth? A model of stages (`Fit`) has a posterior, a
matrix and channels; a buy-till-you-die model has four parameters and a likelihood, known by their
most likely values (`Buyers`), by a posterior (`BuyersPosterior`), or through PyMC-Marketing
(`MarketingBuyers`). Asked about the same `CustomerTables` all answer alike: one number per
customer, for the same periods, in the same units, so that they can stand side by side.
Answers have dims (chain, draw, customer_id); those of `Buyers`, which have one set of parameters,
(customer_id,).
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from crmlab.btyd.fitted import FittedPurchases
from crmlab.channels import Bernoulli, Channel, Poisson, ZeroInflatedSpend
from crmlab.errors import SpecError, raise_problems
from crmlab.inference import Fit
from crmlab.prediction import current_stage_probs
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
        If `dead` names no stage, or is left out where no stage is absorbing.
    """
    if isinstance(fitted, FittedPurchases):
        return fitted.thinned(draws).alive().rename("prob_alive")
    names = fitted.model.space.names
    gone = fitted.model.space.absorbing if dead is None else tuple(dead)
    problems = [f"`dead` names the unknown stage {name!r}" for name in gone if name not in names]
    if not gone:
        problems.append("no stage is absorbing: name the stages that count as gone in `dead`")
    raise_problems(SpecError, "prob_alive", problems)
    law = current_stage_probs(fitted, draws=draws)
    return (1 - law.sel(stage=list(gone)).sum("stage")).clip(0, 1).rename("prob_alive")


def expected_purchases(
    fitted: Fit | FittedPurchases,
    *,
    n_periods: int,
    channel: str = "repeat_orders",
    draws: int = 200,
) -> xr.DataArray:
    """Mean purchases of each customer in the next `n_periods`, in events.

    Parameters
    ----------
    fitted : Fit or FittedPurchases
    n_periods : int
        Periods ahead, each as long as those of the fit.
    channel : str
        For a `Fit`: the Poisson or Bernoulli channel of purchases.
    draws : int
        Posterior draws to use in all.

    Returns
    -------
    DataArray with dims (chain, draw, customer_id), or (customer_id,) for `Buyers`

    Raises
    ------
    SpecError
        If the model has no such channel, or `n_periods` is no number of periods.
    """
    _check_ahead("expected_purchases", n_periods)
    if isinstance(fitted, FittedPurchases):
        return fitted.thinned(draws).purchases(n_periods).rename("expected_purchases")
    flows = _flows(fitted, channel, (Poisson, Bernoulli), n_periods, draws)
    return flows.sum("horizon").rename("expected_purchases")


def expected_spend(
    fitted: Fit | FittedPurchases, *, n_periods: int, channel: str = "spend", draws: int = 200
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
    draws : int
        Posterior draws to use in all.

    Returns
    -------
    DataArray with dims (chain, draw, customer_id), or (customer_id,) for `Buyers`

    Raises
    ------
    SpecError
        If nothing is known of amounts, or `n_periods` is no number of periods.
    """
    _check_ahead("expected_spend", n_periods)
    return _spend_flows(fitted, channel, n_periods, draws).sum("horizon").rename("expected_spend")


def customer_value(
    fitted: Fit | FittedPurchases,
    *,
    n_periods: int,
    fraction: float,
    discount_rate: float | DiscountRate,
    channel: str = "spend",
    draws: int = 200,
) -> xr.DataArray:
    """Discounted margin of each customer in the next `n_periods`, in currency.

    sum over h = 1 .. n_periods of fraction * spend in period h / (1 + d)^h: money comes at the end
    of each period to come, and the present one is over (`lifetime_value` counts it).

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
    draws : int
        Posterior draws to use in all.

    Returns
    -------
    DataArray with dims (chain, draw, customer_id), or (customer_id,) for `Buyers`
        The attrs say the rate, the horizon and the unit.

    Raises
    ------
    SpecError
        If nothing is known of amounts, or a number is impossible. All problems at once.
    """
    freq = fitted.freq if isinstance(fitted, FittedPurchases) else fitted.panel.attrs.get("freq")
    rate = rate_per_period(discount_rate, freq)
    problems = [*rate_problems(rate), *_ahead_problems(n_periods)]
    if not (isinstance(fraction, int | float | np.number) and np.isfinite(fraction)):
        problems.append(f"`fraction` must be a finite share of spend, got {fraction!r}")
    raise_problems(SpecError, "customer_value", problems)
    flows = _spend_flows(fitted, channel, n_periods, draws)
    value = (fraction * flows / (1 + rate) ** flows["horizon"]).sum("horizon")
    return value.rename("customer_value").assign_attrs(
        discount_rate=float(rate),
        discount_rate_given=spell(discount_rate),
        horizon=f"{n_periods} periods",
        unit="currency, per customer",
        counts="the periods to come, paid at their ends",
    )


def _spend_flows(
    fitted: Fit | FittedPurchases, channel: str, n_periods: int, draws: int
) -> xr.DataArray:
    """Mean amount in each period to come, in currency (..., customer_id, horizon)."""
    if not isinstance(fitted, FittedPurchases):
        return _flows(fitted, channel, (ZeroInflatedSpend,), n_periods, draws)
    thinned = fitted.thinned(draws)
    amounts = thinned.amounts()
    if amounts is None:
        raise SpecError(
            "The buyers' tables have no channel 'spend', so nothing is known of amounts."
        )
    horizon = xr.DataArray(np.arange(n_periods + 1), dims="horizon", name="horizon")
    upto = xr.concat([thinned.purchases(float(h)) for h in horizon], dim=horizon)
    return (upto.diff("horizon") * amounts).transpose(..., "customer_id", "horizon")


def _flows(
    fit: Fit, channel: str, kinds: tuple[type[Channel], ...], n_periods: int, draws: int
) -> xr.DataArray:
    """Mean of a channel in each period to come (chain, draw, customer_id, horizon)."""
    found = [c for c in fit.model.channels if c.name == channel and isinstance(c, kinds)]
    if not found:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        names = [c.name for c in fit.model.channels]
        raise SpecError(f"The model has no {wanted} channel {channel!r}; its channels are {names}.")
    if "transition_matrix" not in fit.posterior:
        raise SpecError(
            f"{type(fit.model.transitions).__name__} has no single transition matrix to look ahead "
            "with; use `forecast`, which takes the covariates of the periods to come."
        )
    law = current_stage_probs(fit, draws=draws)
    posterior = fit.posterior.sel(chain=law["chain"], draw=law["draw"])
    matrix = posterior["transition_matrix"]
    ahead = _mean_by_stage(found[0], posterior).rename(stage="stage_to")
    flows = []
    for _ in range(n_periods):  # the mean one period further on, from each stage
        step = xr.dot(matrix, ahead, dim="stage_to").rename(stage_from="stage")
        flows.append(xr.dot(law, step, dim="stage"))
        ahead = step.rename(stage="stage_to")
    horizon = xr.DataArray(np.arange(1, n_periods + 1), dims="horizon", name="horizon")
    return xr.concat(flows, dim=horizon)


def _mean_by_stage(channel: Channel, posterior: xr.Dataset) -> xr.DataArray:
    """Mean of what a channel shows per period in each stage (chain, draw, stage)."""
    names = channel.parameter_names
    return channel.mean(**{name: posterior[f"{channel.name}_{name}"] for name in names})


def _check_ahead(owner: str, n_periods: object) -> None:
    raise_problems(SpecError, owner, _ahead_problems(n_periods))


def _ahead_problems(n_periods: object) -> list[str]:
    if (
        isinstance(n_periods, int | np.integer)
        and not isinstance(n_periods, bool)
        and n_periods >= 1
    ):
        return []
    return [f"`n_periods` must be a whole number from 1 on, got {n_periods!r}"]
