"""The sentences of the report: each is computed, so opposite data give the opposite verdict."""

import numpy as np
import pandas as pd

from crmlab.analyst.actions import ANY
from crmlab.analyst.customers import fallen
from crmlab.analyst.holdout import ALONE, Holdout, name_of
from crmlab.analyst.orders import count_until
from crmlab.analyst.purchase_models import BGNBD_NAME, NAIVE
from crmlab.analyst.segments import RECENT, SILENT
from crmlab.analyst.study import Study
from crmlab.report.numbers import listed, money, number, off_by, percent, plural, signed

_WIDE = 0.1  # half an interval, as a share of its mean, from which it is worth narrowing


def tell_data(study: Study) -> str:
    """Say whether orders grow or shrink over the window."""
    orders, plan = study.sales.orders, study.plan
    middle = plan.first + (plan.last - plan.first) / 2
    early = count_until(orders, middle)
    late = len(orders) - early
    verb = "fewer" if late < early else "more"
    return (
        f"The second half of these {plan.n_periods} {plan.period}s holds {number(late)} orders, "
        f"the first half {number(early)}: there are {verb} orders than before."
        if late != early
        else f"Both halves of these {plan.n_periods} {plan.period}s hold {number(late)} orders."
    )


def count_moves(study: Study) -> tuple[int, int]:
    """Count the customers who fell and who rose in a season, by their most likely stage."""
    frame = study.scored.customers
    return int((frame["now"] < frame["before"]).sum()), int((frame["now"] > frame["before"]).sum())


def tell_stand(study: Study) -> str:
    """Say where most customers are, and whether more fell than rose."""
    shares = study.scored.stages.mean(axis=(0, 1))
    shares = shares / shares.sum()
    top = study.names[int(shares.argmax())]
    fell, rose = count_moves(study)
    verdict = "more fell than rose" if fell > rose else "more rose than fell"
    verdict = verdict if fell != rose else "as many fell as rose"
    return (
        f"Most customers ({percent(shares.max())}) are in '{top}'; in the last "
        f"{study.plan.season} {study.plan.period}s (since {study.plan.season_start.date()}) "
        f"{number(fell)} fell to a lower stage and {number(rose)} rose to a higher one: {verdict}."
        if fell + rose
        else f"Most customers ({percent(shares.max())}) are in '{top}'; nobody changed the stage "
        f"in the last {study.plan.season} {study.plan.period}s."
    )


def tell_segments(counts: pd.DataFrame) -> str:
    """Say how far RFM and stages agree, and where they differ most.

    Parameters
    ----------
    counts : DataFrame
        As `count_segments` gives it; the first column is the lowest stage.
    """
    low, high = counts.iloc[:, 0], counts.iloc[:, 1:].sum(axis=1)
    silent, recent = counts.index.isin(SILENT), counts.index.isin(RECENT)
    judged = counts[silent | recent].to_numpy().sum()
    if not judged:
        return "No customer is in a segment at either end of RFM, so there is nothing to compare."
    agree = (low[silent].sum() + high[recent].sum()) / judged
    verdict = "mostly say the same" if agree >= 0.8 else "often differ"
    name = counts.columns[0]
    return (
        "RFM compares customers with each other; stages compare what each of them does now with "
        f"the own past. Of {plural(int(judged), 'customer')} at either end of RFM, the stages "
        f"agree about {percent(agree)}, so the two {verdict}. "
        f"{_tell_difference(int(low[recent].sum()), int(high[silent].sum()), name)}"
    )


def _tell_difference(dormant: int, awake: int, name: str) -> str:
    said = [
        f"{plural(n, 'customer')} whom RFM calls {how} {verb(n)} most likely {where}"
        for n, how, where in (
            (dormant, "recent", f"in '{name}' already"),
            (awake, "long silent or hibernating", f"above '{name}'"),
        )
        if n
    ]
    return f"{listed(said)}." if said else "They contradict each other for nobody."


def verb(n: int) -> str:
    """Return the form of "to be" for a count."""
    return "is" if n == 1 else "are"


def tell_sure(table: pd.DataFrame, n_ahead: int, period: str) -> str:
    """Say whether the probabilities of an order were right on average."""
    said = float(np.average(table["predicted"], weights=table["n"]))
    came = float(np.average(table["observed"], weights=table["n"]))
    inside = (table["lower"] <= table["predicted"]) & (table["predicted"] <= table["upper"])
    gap = said - came
    verdict = "about right" if abs(gap) < 0.02 else "too high" if gap > 0 else "too low"
    return (
        f"In the test the model expected {percent(said)} of the customers to order within "
        f"{n_ahead} {period}s, and {percent(came)} did: {verdict}. In {int(inside.sum())} of "
        f"{len(table)} groups its probability lies within the 90% interval of what came true."
    )


def tell_added(contributions: pd.DataFrame) -> str:
    """Say whether the other files make the stages more certain, and the forecast better."""
    first, last = contributions.iloc[0], contributions.iloc[-1]
    gap, gain = last["likeliest"] - first["likeliest"], last["log_score"]
    sure = "as certain" if abs(gap) < 0.005 else "more certain" if gap > 0 else "less certain"
    came = "as well as" if abs(gain) < 1 else "better than" if gain > 0 else "worse than"
    end = ", so do not trust the new certainty" if gap >= 0.005 and gain <= -1 else ""
    files = contributions.index[-1].removeprefix("orders and ")
    return (
        f"With {files}, the most likely stage of a customer "
        f"has a mean probability of {percent(last['likeliest'], 1)}, against "
        f"{percent(first['likeliest'], 1)} from orders alone: the stages are {sure}. The orders of "
        f"the test were forecast {came} without them (log score {signed(gain)}){end}."
    )


def tell_alone(holdout: Holdout) -> str:
    """Say whether fitting the stages to the other files made their forecast better."""
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
        f"A model fitted to orders alone forecast the orders of the test with a log score of "
        f"{number(alone, 1)}, the model of this report with {number(here, 1)}: {verdict}."
    )


def tell_followed(actions: pd.DataFrame, season: int, period: str) -> str:
    """Say who fell more often: customers who got an action, or others in the same stages."""
    row = actions.loc[ANY]
    if not row["followed"]:
        return "Nobody can be compared: no customer of a season ago got an action in the last one."
    gap = row["fell"] - row["fell_others"]
    often = "as often" if abs(gap) < 0.005 else "more often" if gap > 0 else "less often"
    return (
        f"Of {plural(int(row['followed']), 'customer')} who got an action in the last {season} "
        f"{period}s, {percent(row['fell'], 1)} fell to a lower stage; of others in the same "
        f"stages, {percent(row['fell_others'], 1)} did: the treated fell {often}. This file cannot "
        "tell whether that is due to the action or to the choice of whom to treat."
    )


def tell_drift(study: Study) -> str:
    """Say what repairs are worth, and how much of it lies with a few customers."""
    frame, fell = study.scored.customers, fallen(study.scored)
    if not fell.any():
        return "Nobody is in a lower stage than a season ago, so there is nothing to repair."
    worth = np.sort(frame["repair"][fell].to_numpy())[::-1]
    n_top = max(1, round(len(worth) / 10))
    share, base = worth.sum() / max(frame["value"].sum(), 1e-12), worth[:n_top].sum() / worth.sum()
    total = float(f"{worth.sum():.3g}")
    verdict = "worth looking into" if share >= 0.02 else "little compared with the whole base"
    return (
        f"{plural(len(worth), 'customer')} fell; back in their old stages they would be worth "
        f"{money(total, study.unit)} more, {percent(share, 1)} of what all customers are worth: "
        f"{verdict}. {percent(base)} of it lies with {plural(n_top, 'customer')}."
    )


def tell_worth(study: Study) -> str:
    """Say what the base is worth, and how evenly that is spread."""
    total = study.scored.totals["value"]
    low, high = np.quantile(total, (0.05, 0.95))
    each = np.sort(study.scored.customers["value"].to_numpy())[::-1]
    share = each[: max(1, round(len(each) / 10))].sum() / max(each.sum(), 1e-12)
    few = "a few carry most of it" if share >= 0.4 else "it is spread widely"
    mean, low, high = round_together(total.mean(), low, high)
    return (
        f"In the next {study.plan.year} {study.plan.period}s all customers are expected to bring "
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
    mean, low, high = (float(round(value, digits)) for value in (mean, low, high))
    return mean, low, high


def tell_test(holdout: Holdout) -> str:
    """Say which rule forecast best, and by how much each total was off."""
    errors = holdout.errors
    rivals = [name for name in (ALONE, BGNBD_NAME, NAIVE) if name in errors.index]
    shown = [name_of(holdout.chosen), *rivals]
    off = [off_by(errors.loc[name, "total_error"]) for name in shown]
    said = [f"{name} {gap}" for name, gap in zip(rivals, off[1:], strict=True)]
    said = "; ".join([f"{shown[0]}, the model of this page, {off[0]}", *said])
    best = errors["root_mean_squared_error"].idxmin()
    total = errors["total_error"].abs().idxmin()
    verdict = f"Customer by customer, {best} was closest"
    verdict += "; so it was in total" if best == total else f"; in total, {total} was"
    return f"Forecasts of all orders in the test: {said}. {verdict}."


def tell_fit(check: pd.DataFrame) -> str:
    """Say whether the model simulates data like these."""
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
        f"in its 90% interval. It is furthest off at {class_name(check, worst)}: it makes "
        f"{percent(check.loc[worst, 'expected'], 1)} where there are "
        f"{percent(check.loc[worst, 'seen'], 1)}, {way} than it should."
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
    """Say how much the answer changes with the size of the sample."""
    sizes = list(moved.index)
    if len(sizes) < 2:
        return f"All {number(n_customers)} customers were fitted; no sample was drawn."
    shift = moved.loc[sizes[-1], "mean"] / moved.loc[sizes[-2], "mean"] - 1
    width = (moved.loc[sizes[-1], "high"] - moved.loc[sizes[-1], "low"]) / 2
    if percent(abs(shift), 1) == "0.0%":
        return (
            f"When the fit grows from {number(sizes[-2])} to {number(sizes[-1])} customers, the "
            "orders expected of the same customers stay the same: a larger sample would tell "
            "little more."
        )
    within = abs(shift) * moved.loc[sizes[-2], "mean"] <= width
    verdict = (
        "less than their own uncertainty, so a larger sample would tell little more"
        if within and width <= _WIDE * moved.loc[sizes[-1], "mean"]
        else "less than their own uncertainty, which a larger sample would narrow (--sample)"
        if within
        else "more than their own uncertainty allows: fit a larger sample (--sample)"
    )
    return (
        f"When the fit grows from {number(sizes[-2])} to {number(sizes[-1])} customers, the orders "
        f"expected of the same customers move by {percent(abs(shift), 1)}, {verdict}."
    )
