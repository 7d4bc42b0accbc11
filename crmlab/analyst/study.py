"""The study behind a report: a test, a choice, a fit, and a score for every customer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from crmlab.analyst.actions import follow_actions, usual_cost
from crmlab.analyst.contributions import compare_contributions
from crmlab.analyst.fitting import compare_sizes, fit_samples
from crmlab.analyst.holdout import VERSIONS, Holdout, hold_out
from crmlab.analyst.orders import first_days, orders_of
from crmlab.analyst.plan import Plan, drop_unfinished_month, make_plan
from crmlab.analyst.purchase_models import PurchaseModels, fit_purchase_models
from crmlab.analyst.replicates import check_counts
from crmlab.analyst.sample import SAMPLE, draw_sample
from crmlab.analyst.scoring import (
    DRAWS,
    FEW_DRAWS,
    MANY,
    Scored,
    StageDraws,
    read_draws,
    score_orders,
)
from crmlab.analyst.sources import Verdict, choose_sources
from crmlab.errors import SpecError, raise_problems
from crmlab.inference import Fit
from crmlab.reading import Events, Sales
from crmlab.reading.rules import find_broken, number_within
from crmlab.report.progress import Tell
from crmlab.value import per_year


@dataclass(frozen=True)
class Settings:
    """What a user may choose about the study.

    Parameters
    ----------
    seed : int
    discount : float
        Per year.
    margin : float
        Margin per currency unit of revenue; 1 values revenue.
    sample : int
        Number of customers for the fit.

    Raises
    ------
    SpecError
        If a value breaks its rule in `SETTINGS_RULES`; all problems at once.
    """

    seed: int = 1
    discount: float = 0.10
    margin: float = 1.0
    sample: int = SAMPLE

    def __post_init__(self) -> None:
        """Refuse values that are not valid."""
        raise_problems(SpecError, "Settings", find_broken(vars(self), SETTINGS_RULES))


SETTINGS_RULES = {
    "seed": number_within(0, 2**32 - 1, whole=True),
    "discount": number_within(0, 1),
    "margin": number_within(0, 1),
    "sample": number_within(100, 1_000_000, whole=True),
}


@dataclass(frozen=True)
class Study:
    """Everything that a report tells.

    Attributes
    ----------
    sales : Sales
    settings : Settings
    plan : Plan
    holdout : Holdout
    fit : Fit
        To the sample, over the whole window.
    drawn : StageDraws
    scored : Scored
        Every customer.
    purchases : PurchaseModels
    sizes : DataFrame
        One row per sample size: orders expected of the largest sample, mean, low, high.
    check : DataFrame
        Share of customers by repeat orders: `seen`, `expected`, `low`, `high`.
    events : tuple of Events
        The files besides the orders.
    verdicts : tuple of Verdict
        Which of them became a channel, and why.
    contributions : DataFrame
        What each channel adds, from `compare_contributions`; empty without such channels.
    actions : DataFrame
        How customers who got an action moved, from `follow_actions`; empty without actions.
    """

    sales: Sales
    settings: Settings
    plan: Plan
    holdout: Holdout
    fit: Fit
    drawn: StageDraws
    scored: Scored
    purchases: PurchaseModels
    sizes: pd.DataFrame
    check: pd.DataFrame
    events: tuple[Events, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    contributions: pd.DataFrame = field(default_factory=pd.DataFrame)
    actions: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def names(self) -> tuple[str, ...]:
        """Stages, lowest first."""
        return self.fit.model.space.names

    @cached_property
    def known(self) -> pd.DataFrame:
        """First and last day, purchases and amount of each customer, as `first_days` gives them."""
        return first_days(self.sales.orders)

    @property
    def used_files(self) -> list[str]:
        """Kinds of the files that became channels."""
        return [one.kind for one in self.verdicts if one.is_used]

    @property
    def has_amounts(self) -> bool:
        """Whether worth is money."""
        return "amount" in self.sales.orders

    @property
    def unit(self) -> str:
        """The unit of worth."""
        return self.sales.currency if self.has_amounts else "orders"

    @property
    def worth_of(self) -> str:
        """What is valued: orders, revenue or margin."""
        if not self.has_amounts:
            return "orders"
        return "revenue" if self.settings.margin == 1 else "margin"

    @property
    def action_cost(self) -> float:
        """What an action usually costs, in the unit of worth; NaN if that is not known."""
        costs = [usual_cost(one) for one in self.events if one.kind == "actions"]
        return costs[0] if costs and self.has_amounts else float("nan")


def study_sales(
    sales: Sales, settings: Settings, tell: Tell, events: Sequence[Events] = ()
) -> Study:
    """Test on the last third of the window, choose a version, fit all, and score every customer.

    Parameters
    ----------
    sales : Sales
    settings : Settings
    tell : callable
        Takes each line of progress.
    events : sequence of Events
        Files besides the orders, read for these sales.

    Raises
    ------
    DataError
        The file cannot support a model of stages.
    """
    sales = drop_unfinished_month(sales)
    orders, seed = sales.orders, settings.seed
    plan = make_plan(orders, sales.window)
    sources, verdicts = choose_sources(orders, sales.window[0], events, plan)
    purchases = fit_purchase_models(orders, (plan.first, plan.last))
    histories, n = purchases.histories, len(purchases.histories)
    tell(f"{n:,} customers, {plan.n_periods} {plan.period}s; the last {plan.n_ahead} are a test")
    tell_verdicts(verdicts, tell)
    sample = orders_of(orders, histories.index[draw_sample(histories, settings.sample, seed=seed)])
    holdout = hold_out(sample, plan, sources, seed=seed, tell=tell)
    may_lose = VERSIONS[holdout.chosen]
    fits = fit_samples(sample, histories, plan, sources, may_lose=may_lose, seed=seed, tell=tell)
    fitted, panel = fits[max(fits)], sources.panel(sample, plan)
    sizes = compare_sizes(fits, panel, plan)
    _tell_sizes(sizes, plan, tell)
    rate = per_year(settings.discount).per_period(plan.freq)
    draws = DRAWS if n <= MANY else FEW_DRAWS
    drawn = read_draws(fitted, plan.year, discount=rate, draws=draws)
    tell(f"scoring {n:,} customers")
    scored = score_orders(
        orders, purchases.per_order() * settings.margin, plan, fitted, drawn,
        read=sources.panel, tell=lambda done: tell(f"scored {done:,} customers"),
    )  # fmt: skip
    tell("comparing with customers that the model makes")
    return Study(
        sales,
        settings,
        plan,
        holdout,
        fitted,
        drawn,
        scored,
        purchases,
        sizes,
        check_counts(panel, drawn, seed=seed),
        tuple(events),
        verdicts,
        compare_contributions(sample, plan, sources, fitted, holdout),
        follow_actions(scored.customers, events, plan),
    )


def _tell_sizes(sizes: pd.DataFrame, plan: Plan, tell: Tell) -> None:
    """Tell how the answer changes with the size of the sample."""
    for size, row in sizes.iterrows() if len(sizes) > 1 else ():
        tell(
            f"fitted to {size:,}: the largest sample is expected to order {row['mean']:,.0f} times "
            f"in {plan.year} {plan.period}s ({row['low']:,.0f} to {row['high']:,.0f}, 90% interval)"
        )


def tell_verdicts(verdicts: Sequence[Verdict], tell: Tell) -> None:
    """Tell which files became channels, and why."""
    for one in verdicts:
        tell(f"{one.kind}: {one.why}" if one.is_used else f"{one.kind} are not used: {one.why}")
    if any(one.is_used for one in verdicts):
        tell("a model of such files is compiled when it is first used, up to a minute each time")
