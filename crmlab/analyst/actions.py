"""How customers who got an action moved: a description, not the result of an experiment."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crmlab.analyst.plan import Plan
from crmlab.reading import Events

ANY = "any of them"
_SHOWN = 12


def follow_actions(scores: pd.DataFrame, events: Sequence[Events], plan: Plan) -> pd.DataFrame:
    """Compare customers who got an action in the last season with others in the same stages.

    Parameters
    ----------
    scores : DataFrame
        As in `Scored.customers`: customer_id, periods, now, before.
    events : sequence of Events
        At most one of them holds actions; without one, the result is empty.
    plan : Plan

    Returns
    -------
    DataFrame
        One row per action, the most frequent first, and a last row for any action. In the whole
        window: `rows`, `customers` and mean `cost`. In the last season: `followed`, the number of
        customers who got the action and were there before; `fell` and `rose`, the shares of these
        that did. For customers in the same stages without an action in that season: `others`, their
        number, and `fell_others` and `rose_others`, weighted to the stages of the treated.
    """
    actions = [one.frame for one in events if one.kind == "actions"]
    if not actions:
        return pd.DataFrame()
    frame = actions[0]
    there = scores[scores["periods"] > plan.season].set_index("customer_id")
    recent = frame[frame["date"] >= plan.season_start]
    others = there[~there.index.isin(recent["customer_id"])]
    names = frame["action"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    rows = {}
    for name in [*names.index[:_SHOWN], ANY]:
        these = frame if name == ANY else frame[frame["action"] == name]
        treated = there[there.index.isin(these["customer_id"][these["date"] >= plan.season_start])]
        rows[name] = {
            "rows": len(these),
            "customers": these["customer_id"].nunique(),
            "cost": these["cost"].mean(),
            **_compare(treated, others),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _compare(treated: pd.DataFrame, others: pd.DataFrame) -> dict[str, float]:
    """Compare with others, weighted to the stages of the treated."""
    met = treated[treated["before"].isin(others["before"].unique())]
    alike = others[others["before"].isin(met["before"].unique())]
    weights = met["before"].value_counts(normalize=True).sort_index()
    found: dict[str, float] = {"followed": len(met), "others": len(alike)}
    for word, moved in (("fell", np.less), ("rose", np.greater)):
        by_stage = pd.Series(moved(alike["now"], alike["before"]), index=alike.index).groupby(
            alike["before"]
        )
        found[word] = float(moved(met["now"], met["before"]).mean()) if len(met) else np.nan
        found[f"{word}_others"] = float((by_stage.mean() * weights).sum()) if len(met) else np.nan
    return found


def usual_cost(actions: Events) -> float:
    """Return the median cost of one action; NaN if no cost is known."""
    return float(actions.frame["cost"].median())
