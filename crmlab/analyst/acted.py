"""What became of customers to whom something was done: a description, and no experiment."""

import numpy as np
import pandas as pd

from crmlab.analyst.plan import Plan
from crmlab.reading import Events

ANY = "any of them"
_SHOWN = 12


def follow_actions(scores: pd.DataFrame, actions: Events, plan: Plan) -> pd.DataFrame:
    """Compare how customers moved in a season with those who stood in the same stages.

    Parameters
    ----------
    scores : DataFrame
        As in `Scored.customers`: customer_id, periods, now, before.
    actions : Events
    plan : Plan

    Returns
    -------
    DataFrame
        One row per action, most frequent first, and one of any: `rows`, `customers` and mean
        `cost` in the whole window; `followed`, customers who got it in the last season and were
        there before it; `fell` and `rose`, their shares; `others`, how many who got no action in
        that season stood in the same stages, and `fell_others` and `rose_others`, their shares,
        weighted so that their stages before are those of the treated.
    """
    frame = actions.frame
    begin = season_begins(plan)
    there = scores[scores["periods"] > plan.season].set_index("customer_id")
    recent = frame[frame["date"] >= begin]
    others = there[~there.index.isin(recent["customer_id"])]
    names = frame["action"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    rows = {}
    for name in [*names.index[:_SHOWN], ANY]:
        these = frame if name == ANY else frame[frame["action"] == name]
        treated = there[there.index.isin(these["customer_id"][these["date"] >= begin])]
        rows[name] = {
            "rows": len(these),
            "customers": these["customer_id"].nunique(),
            "cost": these["cost"].mean(),
            **_compare(treated, others),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def season_begins(plan: Plan) -> pd.Timestamp:
    """Give the first day after the period that counts as a season ago."""
    if plan.freq == "M":
        return (plan.last.to_period("M") - (plan.season - 1)).start_time
    days = round(7 * plan.weeks(plan.season))
    return plan.last - pd.Timedelta(days=days - 1)


def _compare(treated: pd.DataFrame, others: pd.DataFrame) -> dict[str, float]:
    """Standardise the others to the stages in which the treated stood."""
    met = treated[treated["before"].isin(others["before"].unique())]
    alike = others[others["before"].isin(met["before"].unique())]
    weights = met["before"].value_counts(normalize=True).sort_index()
    said = {"followed": len(met), "others": len(alike)}
    for word, moved in (("fell", np.less), ("rose", np.greater)):
        by_stage = pd.Series(moved(alike["now"], alike["before"]), index=alike.index).groupby(
            alike["before"]
        )
        said[word] = float(moved(met["now"], met["before"]).mean()) if len(met) else np.nan
        said[f"{word}_others"] = float((by_stage.mean() * weights).sum()) if len(met) else np.nan
    return said


def usual_cost(actions: Events) -> float:
    """Give the median cost of one action; NaN if no cost is known."""
    return float(actions.frame["cost"].median())
