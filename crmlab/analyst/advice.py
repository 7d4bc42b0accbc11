"""What to do: one sentence for Monday, and a list of actions for a CRM system."""

import numpy as np
import pandas as pd

from crmlab.analyst.holdout import name_of
from crmlab.analyst.study import Study
from crmlab.report.numbers import money, percent, plural

ADVICE = {
    "repair": "test a win-back offer",
    "watch": "wait and watch",
    "keep": "look after",
    "none": "nothing special",
}
_FEWEST_FOR_TEST = 40  # of whom half are left alone
_ROUGH = 0.2  # error of the total in the test from which amounts are called rough


def next_actions(study: Study, customers: pd.DataFrame) -> pd.DataFrame:
    """List the customers with a suggested action, those with most at stake first.

    Parameters
    ----------
    study : Study
    customers : DataFrame
        The table of customers, or its rows of `to_act_upon`.

    Returns
    -------
    DataFrame
        The columns of `describe_actions`.
    """
    some = customers[customers["suggested_action"] != "none"].reset_index(drop=True)
    fell = some["suggested_action"] != "keep"
    table = pd.DataFrame({
        "customer_id": some["customer_id"],
        "action": some["suggested_action"],
        "reason": _reasons(some, fell, study),
        "worth": some["repair_value"].where(fell, some["value"]),
        "how_sure": _how_sure(some, fell, study.names),
    })  # fmt: skip
    ordered = table.assign(turn=table["action"].map(list(ADVICE).index))
    by, rising = ["turn", "worth", "customer_id"], [True, False, True]
    return ordered.sort_values(by, ascending=rising, ignore_index=True).drop(columns="turn")


def _reasons(some: pd.DataFrame, fell: pd.Series, study: Study) -> pd.Series:
    """Say why each customer is on the list; no word comes from the file."""
    then, now = some["stage_a_season_ago"], some["most_likely_stage"]
    since = study.plan.season_start.date()
    moved = "fell from '" + then + "' to '" + now + f"' since {since}"
    tenth = "is in the tenth of customers expected to bring most, and did not fall"
    return moved.where(fell, tenth) + "; last order on " + some["last_order"]


def _how_sure(some: pd.DataFrame, fell: pd.Series, names: tuple[str, ...]) -> pd.Series:
    """Return the probability of being below the stage of a season ago, or of another order."""
    return some["p_order_next_year"].where(~fell, prob_below(some, names))


def prob_below(some: pd.DataFrame, names: tuple[str, ...]) -> pd.Series:
    """Return the probability of being in a lower stage than a season ago.

    Parameters
    ----------
    some : DataFrame
        Rows of the table of customers.
    names : tuple of str
        The stages, lowest first.
    """
    below = np.cumsum(some[[f"p_{name}" for name in names]].to_numpy(float), axis=1)
    then = some["stage_a_season_ago"].map(names.index).to_numpy(int)
    lower = below[np.arange(len(some)), np.maximum(then - 1, 0)].round(4)
    return pd.Series(np.minimum(lower, 1.0), index=some.index)


def describe_actions(study: Study) -> dict[str, str]:
    """Explain every column of the list of actions.

    Parameters
    ----------
    study : Study
    """
    plan = study.plan
    return {
        "customer_id": "as in customers.csv",
        "action": "; ".join(f"{word} = {what}" for word, what in ADVICE.items() if word != "none"),
        "reason": "why the customer is on the list, in words",
        "worth": f"what is at stake, {study.unit}: for repair and watch repair_value, for keep "
        "value, as in customers.csv",
        "how_sure": "a probability: for repair and watch, that the customer now is in a lower "
        f"stage than {plan.season} {plan.period}s ago; for keep, of at least one order in the "
        f"{plan.year} {plan.period}s after {plan.last.date()}",
    }


def tell_monday(study: Study, customers: pd.DataFrame) -> str:
    """Say in one sentence what to do on Monday.

    Parameters
    ----------
    study : Study
    customers : DataFrame
        The table of customers, or its rows of `to_act_upon`.
    """
    if study.fit.problems:
        return "On Monday, do nothing with this page yet: its model has not converged."
    word = customers["suggested_action"]
    asked, kept = customers[word == "repair"], customers[word == "keep"]
    if not len(asked):
        return _tell_kept(study, kept)
    marked = f"{plural(len(asked), 'customer')} marked “repair” in next_actions.csv"
    win = float(f"{asked['repair_value'].sum():.2g}")
    stake = f" (at most {money(win, study.unit)} to win in a year{_tell_doubt(study)})"
    if len(asked) < _FEWEST_FOR_TEST:
        return (
            f"On Monday, contact the {marked} one by one{stake} and ask why they order less; they "
            "are too few for a test that could show whether an offer works."
        )
    plan = study.plan
    return (
        f"On Monday, send a win-back offer to a random half of the {marked}{stake}, leave the "
        f"other half alone, and after {plan.season} {plan.period}s compare what the two halves "
        "have ordered."
    )


def _tell_doubt(study: Study) -> str:
    """Say that a worth is rough where the test came out far from what happened."""
    test = study.holdout
    error = test.errors.loc[name_of(test.chosen), "total_error"]
    if abs(error) < _ROUGH:
        return ""
    way = "few" if error < 0 else "many"
    return (
        f", a rough figure: in its test the model forecast {percent(abs(error))} too {way} orders"
    )


def _tell_kept(study: Study, kept: pd.DataFrame) -> str:
    """Say what to do where nobody is to be won back."""
    if not len(kept):
        return "On Monday, change nothing: no customer stands out."
    share = kept["value"].sum() / max(study.scored.customers["value"].sum(), 1e-12)
    return (
        "On Monday, spend nothing on win-back offers, because nobody has fallen who would be "
        f"worth one; look after the {plural(len(kept), 'customer')} marked “keep” in "
        f"next_actions.csv, who are expected to bring {percent(share)} of the {study.worth_of} "
        "of the year to come."
    )
