"""The sentences that end the sections: computed, and the other way round on reversed data."""

import numpy as np
import pandas as pd

from crmlab.analyst.acted import ANY
from crmlab.analyst.book import count_until
from crmlab.analyst.customers import fallen
from crmlab.analyst.holdout import ALONE, Holdout, name_of
from crmlab.analyst.study import Study
from crmlab.demo.orders import BGNBD_NAME, NAIVE
from crmlab.demo.sentences import listed, money, number, off_by, percent, plural


def tell_data(study: Study) -> str:
    """Say whether orders grow or shrink over the window."""
    orders, plan = study.sales.orders, study.plan
    middle = plan.first + (plan.last - plan.first) / 2
    early = count_until(orders, middle)
    late = len(orders) - early
    verb = "fewer" if late < early else "more" if late > early else "as many"
    return (
        f"{number(late)} orders fall into the second half of the window and {number(early)} into "
        f"the first: there are {verb} orders than before."
        if late != early
        else f"Both halves of the window hold {number(late)} orders."
    )


def count_moves(study: Study) -> tuple[int, int]:
    """Count who fell and who rose in a season, by the most likely stage."""
    frame = study.scored.customers
    return int((frame["now"] < frame["before"]).sum()), int((frame["now"] > frame["before"]).sum())


def tell_stand(study: Study) -> str:
    """Say where most stand, and whether more fall than rise."""
    shares = study.scored.stages.mean(axis=(0, 1))
    shares = shares / shares.sum()
    top = study.names[int(shares.argmax())]
    fell, rose = count_moves(study)
    verdict = "more fall than rise" if fell > rose else "more rise than fall"
    verdict = verdict if fell != rose else "as many fall as rise"
    return (
        f"Most customers ({percent(shares.max())}) stand in '{top}'; in the last "
        f"{study.plan.season} {study.plan.period}s {number(fell)} fell to a lower stage and "
        f"{number(rose)} rose to a higher one: {verdict}."
    )


def tell_sure(table: pd.DataFrame, n_ahead: int, period: str) -> str:
    """Say whether probabilities of an order meant what they said."""
    said = float(np.average(table["predicted"], weights=table["n"]))
    came = float(np.average(table["observed"], weights=table["n"]))
    inside = (table["lower"] <= table["predicted"]) & (table["predicted"] <= table["upper"])
    gap = said - came
    verdict = "about right" if abs(gap) < 0.02 else "too hopeful" if gap > 0 else "too gloomy"
    return (
        f"In the test the model gave the average customer {percent(said)} to order within "
        f"{n_ahead} {period}s, and {percent(came)} did: {verdict}. In {int(inside.sum())} of "
        f"{len(table)} groups its probability lies within the 90% interval of what came true."
    )


def tell_added(added: pd.DataFrame) -> str:
    """Say whether the files beside the orders make the stages surer, and the forecast better."""
    first, last = added.iloc[0], added.iloc[-1]
    gap, gain = last["likeliest"] - first["likeliest"], last["log_score"]
    sure = "as sure as before" if abs(gap) < 0.005 else "surer" if gap > 0 else "less sure"
    came = "as well as" if abs(gain) < 1 else "better than" if gain > 0 else "worse than"
    end = ", so the new certainty is not to be trusted" if gap >= 0.005 and gain <= -1 else ""
    return (
        f"With {added.index[-1].removeprefix('orders and ')}, the most likely stage of a customer "
        f"has a probability of {percent(last['likeliest'], 1)} on average, from orders alone "
        f"{percent(first['likeliest'], 1)}: the stages are {sure}. The orders of the test were "
        f"forecast {came} without (log score {signed(gain)}){end}."
    )


def tell_alone(holdout: Holdout) -> str:
    """Say whether the stages forecast better for having been fitted to the files, too."""
    here, alone = holdout.log_scores[holdout.chosen], holdout.log_scores[ALONE]
    gap = here - alone
    verdict = (
        "hardly any difference"
        if abs(gap) < 1
        else "the files made the forecast better"
        if gap > 0
        else "the files made the forecast worse, so compare with a report without them"
    )
    return (
        f"A model that was fitted to orders alone gave the orders of the test a log score of "
        f"{number(alone, 1)}, the one of this report {number(here, 1)}: {verdict}."
    )


def signed(value: float) -> str:
    """Write a difference with its sign, one digit after the point.

    Examples
    --------
    >>> signed(2.34), signed(-0.04)
    ('+2.3', '0.0')
    """
    rounded = round(value, 1) + 0.0
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}")


def tell_acted(acted: pd.DataFrame, season: int, period: str) -> str:
    """Say who fell more often: those to whom something was done, or others in the same stages."""
    row = acted.loc[ANY]
    if not row["followed"]:
        return "Nobody can be compared: no customer of a season ago got anything in the last one."
    gap = row["fell"] - row["fell_others"]
    often = "as often" if abs(gap) < 0.005 else "more often" if gap > 0 else "less often"
    return (
        f"Of {plural(int(row['followed']), 'customer')} to whom something was done in the last "
        f"{season} {period}s, {percent(row['fell'], 1)} fell to a lower stage, and of others who "
        f"stood in the same stages {percent(row['fell_others'], 1)}: they fell {often}. Whether "
        "that was the action or the choice of whom to treat, this file cannot tell."
    )


def tell_drift(study: Study) -> str:
    """Say what a repair is worth, and how much of it lies with few."""
    frame, fell = study.scored.customers, fallen(study.scored)
    if not fell.any():
        return "Nobody stands in a lower stage than a season ago, so there is nothing to repair."
    worth = np.sort(frame["repair"][fell].to_numpy())[::-1]
    n_top = max(1, round(len(worth) / 10))
    share, base = worth.sum() / max(frame["value"].sum(), 1e-12), worth[:n_top].sum() / worth.sum()
    total = float(f"{worth.sum():.3g}")
    verdict = "worth looking after" if share >= 0.02 else "little beside the worth of the base"
    return (
        f"{plural(len(worth), 'customer')} fell; back where they stood they would be worth "
        f"{money(total, study.unit)} more, {percent(share, 1)} of the worth of the base: "
        f"{verdict}. {percent(base)} of it lies with {plural(n_top, 'customer')}."
    )


def tell_worth(study: Study) -> str:
    """Say what the base is worth, and how evenly."""
    total = study.scored.totals["value"]
    low, high = np.quantile(total, (0.05, 0.95))
    each = np.sort(study.scored.customers["value"].to_numpy())[::-1]
    share = each[: max(1, round(len(each) / 10))].sum() / max(each.sum(), 1e-12)
    few = "a few carry it" if share >= 0.4 else "it is spread widely"
    mean, low, high = round_together(total.mean(), low, high)
    return (
        f"In the {study.plan.year} {study.plan.period}s to come the base is expected to bring "
        f"{money(mean, study.unit)} ({number(low)} to {number(high)}, 90% interval); the best "
        f"tenth of the customers brings {percent(share)} of it: {few}."
    )


def round_together(mean: float, low: float, high: float) -> tuple[float, float, float]:
    """Round a mean and its interval to two digits of the interval's half width.

    Examples
    --------
    >>> round_together(123456.0, 120123.0, 128987.0)
    (123500.0, 120100.0, 129000.0)
    """
    digits = 1 - int(np.floor(np.log10(max((high - low) / 2, 1e-6))))
    return tuple(float(round(value, digits)) for value in (mean, low, high))


def tell_test(holdout: Holdout) -> str:
    """Say who forecast best, straight, and by how much each total was off."""
    errors = holdout.errors
    rivals = [name for name in (ALONE, BGNBD_NAME, NAIVE) if name in errors.index]
    shown = [name_of(holdout.chosen), *rivals]
    said = listed([f"{name} {off_by(errors.loc[name, 'total_error'])}" for name in shown])
    best = errors.loc[shown, "root_mean_squared_error"].idxmin()
    total = errors.loc[shown, "total_error"].abs().idxmin()
    verdict = f"Customer by customer {best} was closest"
    verdict += " and so it was in total" if best == total else f", in total {total}"
    return f"The totals were: {said}. {verdict} (root mean squared error)."


def tell_fit(check: pd.DataFrame) -> str:
    """Say in words how well the model makes data like these."""
    inside = (check["low"] <= check["seen"]) & (check["seen"] <= check["high"])
    gap = check["seen"] - check["expected"]
    worst = gap.abs().idxmax()
    verdict = (
        "The model makes data like these"
        if inside.all()
        else "The model makes data nearly like these"
        if gap.abs().max() < 0.03
        else "The model does not make data like these"
    )
    way = "fewer" if gap[worst] > 0 else "more"
    return (
        f"{verdict}: in {int(inside.sum())} of {len(check)} classes the share of customers lies "
        f"in its 90% interval. It is furthest off at {class_name(check, worst)}, where it makes "
        f"{percent(check.loc[worst, 'expected'], 1)} and there are "
        f"{percent(check.loc[worst, 'seen'], 1)}: {way} than there should be."
    )


def class_name(table: pd.DataFrame, edge: int) -> str:
    """Name a class of repeat orders by its range.

    Examples
    --------
    >>> table = pd.DataFrame(index=[0, 3, 6])
    >>> class_name(table, 0), class_name(table, 3), class_name(table, 6)
    ('0 to 2 repeat orders', '3 to 5 repeat orders', '6 or more repeat orders')
    """
    edges = list(table.index)
    place = edges.index(edge)
    if place == len(edges) - 1:
        return f"{edge} or more repeat orders"
    last = edges[place + 1] - 1
    if last == edge:
        return f"{edge} repeat order" + ("" if edge == 1 else "s")
    return f"{edge} to {last} repeat orders"


def tell_sample(moved: pd.DataFrame, n_customers: int) -> str:
    """Say how the answer moves with the size of the sample."""
    sizes = list(moved.index)
    if len(sizes) < 2:
        return f"All {number(n_customers)} customers were fitted; no sample was drawn."
    shift = moved.loc[sizes[-1], "mean"] / moved.loc[sizes[-2], "mean"] - 1
    width = (moved.loc[sizes[-1], "high"] - moved.loc[sizes[-1], "low"]) / 2
    within = abs(shift) * moved.loc[sizes[-2], "mean"] <= width
    verdict = (
        "less than its own uncertainty, so a larger sample would tell little more"
        if within
        else "more than its own uncertainty allows: fit a larger sample (--sample)"
    )
    return (
        f"From {number(sizes[-2])} to {number(sizes[-1])} customers in the fit, the orders "
        f"expected of the same customers move by {percent(abs(shift), 1)}, {verdict}."
    )
