"""The study behind a report: a holdout test, a choice, a fit, and every customer scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from crmlab.analyst.acted import follow_actions, usual_cost
from crmlab.analyst.added import compare_readings
from crmlab.analyst.book import orders_of
from crmlab.analyst.buying import Buying, study_buying
from crmlab.analyst.check import check_counts
from crmlab.analyst.fitting import compare_sizes, fit_samples
from crmlab.analyst.holdout import VERSIONS, Holdout, hold_out
from crmlab.analyst.plan import SAMPLE, Plan, draw_sample, make_plan
from crmlab.analyst.scoring import DRAWS, FEW_DRAWS, MANY, Drawn, Scored, read_draws, score_orders
from crmlab.analyst.view import Verdict, View, see
from crmlab.analyst.window import settle_window
from crmlab.inference import Fit
from crmlab.reading import Events, Sales
from crmlab.value import per_year

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What a user may choose about the study.

    Parameters
    ----------
    seed : int
    discount : float
        Per year.
    margin : float
        What is left of a currency unit of revenue; 1 values revenue.
    sample : int
        Customers for the fit.
    """

    seed: int = 1
    discount: float = 0.10
    margin: float = 1.0
    sample: int = SAMPLE


@dataclass(frozen=True)
class Study:
    """All that a report tells.

    Attributes
    ----------
    sales : Sales
    settings : Settings
    plan : Plan
    holdout : Holdout
    fit : Fit
        To the sample, over the whole window.
    drawn : Drawn
    scored : Scored
        Every customer.
    buying : Buying
    moved : DataFrame
        One row per sample size: orders expected of the largest sample, mean, low, high.
    check : DataFrame
        Share of customers by repeat orders: `seen`, `expected`, `low`, `high`.
    events : tuple of Events
        The files beside the orders.
    verdicts : tuple of Verdict
        Which of them became a channel, and why.
    added : DataFrame
        What each adds, as `compare_readings` gives it; empty without such channels.
    acted : DataFrame
        How customers moved to whom something was done, as `follow_actions`; empty without.
    """

    sales: Sales
    settings: Settings
    plan: Plan
    holdout: Holdout
    fit: Fit
    drawn: Drawn
    scored: Scored
    buying: Buying
    moved: pd.DataFrame
    check: pd.DataFrame
    events: tuple[Events, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    added: pd.DataFrame = field(default_factory=pd.DataFrame)
    acted: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def names(self) -> tuple[str, ...]:
        """Stages, lowest first."""
        return self.fit.model.space.names

    @property
    def has_amounts(self) -> bool:
        """Whether worth is money."""
        return "amount" in self.sales.orders

    @property
    def unit(self) -> str:
        """What worth is counted in."""
        return self.sales.currency if self.has_amounts else "orders"

    @property
    def action_cost(self) -> float:
        """What an action usually costs, in the unit of worth; NaN if that is not known."""
        costs = [usual_cost(one) for one in self.events if one.kind == "actions"]
        return costs[0] if costs and self.has_amounts else float("nan")


def study_sales(
    sales: Sales, settings: Settings, tell: Tell, events: Sequence[Events] = ()
) -> Study:
    """Test on the last third, choose, fit the whole, score everybody.

    Parameters
    ----------
    sales : Sales
    settings : Settings
    tell : callable
        Takes each line of progress.
    events : sequence of Events
        Files beside the orders, read for these sales.

    Raises
    ------
    DataError
        If the file carries no stages.
    """
    sales = settle_window(sales)
    orders, seed = sales.orders, settings.seed
    plan = make_plan(orders, sales.window)
    view, verdicts = see(orders, sales.window[0], events, plan)
    buying = study_buying(orders, (plan.first, plan.last))
    n = len(buying.histories)
    tell(f"{n:,} customers, {plan.n_periods} {plan.period}s; the last {plan.n_ahead} are a test")
    _tell_view(verdicts, tell)
    sample = buying.histories.index[draw_sample(buying.histories, settings.sample, seed=seed)]
    some = orders_of(orders, sample)
    holdout = hold_out(some, plan, view, seed=seed, tell=tell)
    may_lose = VERSIONS[holdout.chosen]
    fits = fit_samples(some, buying.histories, plan, view, may_lose=may_lose, seed=seed, tell=tell)
    fitted = fits[max(fits)]
    rate = per_year(settings.discount).per_period(plan.freq)
    drawn = read_draws(fitted, plan.year, discount=rate, draws=DRAWS if n <= MANY else FEW_DRAWS)
    spend = buying.per_order() * settings.margin
    moved = compare_sizes(fits, view.panel(some, plan), spend, plan, rate)
    _tell_moved(moved, plan, tell)
    tell(f"scoring {n:,} customers")
    scored = score_orders(
        orders, spend, plan, fitted, drawn, read=view.panel,
        tell=lambda done: tell(f"scored {done:,} customers"),
    )  # fmt: skip
    tell("comparing with what the model would make")
    panel = view.panel(some, plan)
    return Study(
        sales,
        settings,
        plan,
        holdout,
        fitted,
        drawn,
        scored,
        buying,
        moved,
        check_counts(panel, drawn, seed=seed),
        tuple(events),
        verdicts,
        _added(some, plan, view, fitted, holdout),
        _acted(scored, events, plan),
    )


def _tell_moved(moved: pd.DataFrame, plan: Plan, tell: Tell) -> None:
    """Print how the answer moves with the size of the sample."""
    for size, row in moved.iterrows() if len(moved) > 1 else ():
        tell(
            f"fitted to {size:,}: the largest sample is expected to order {row['mean']:,.0f} times "
            f"in {plan.year} {plan.period}s ({row['low']:,.0f} to {row['high']:,.0f}, 90% interval)"
        )


def _tell_view(verdicts: Sequence[Verdict], tell: Tell) -> None:
    for one in verdicts:
        tell(f"{one.kind}: {one.why}" if one.is_used else f"{one.kind} are not used: {one.why}")
    if any(one.is_used for one in verdicts):
        tell("a model of such files is compiled when it is first used, up to a minute each time")


def _added(
    orders: pd.DataFrame, plan: Plan, view: View, fitted: Fit, holdout: Holdout
) -> pd.DataFrame:
    if not view.sights:
        return pd.DataFrame()
    return compare_readings(orders, plan, view, fitted, holdout)


def _acted(scored: Scored, events: Sequence[Events], plan: Plan) -> pd.DataFrame:
    found = [follow_actions(scored.customers, one, plan) for one in events if one.kind == "actions"]
    return found[0] if found else pd.DataFrame()
