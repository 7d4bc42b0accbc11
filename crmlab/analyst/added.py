"""What each file adds to the orders: how much surer stages are, how much better forecasts were."""

import numpy as np
import pandas as pd

from crmlab.analyst.holdout import Holdout, readings_of
from crmlab.analyst.plan import Plan
from crmlab.analyst.scoring import read_draws, score_panel
from crmlab.analyst.view import View
from crmlab.inference import Fit

ORDERS = "orders alone"
_DRAWS = 40


def compare_readings(
    orders: pd.DataFrame, plan: Plan, view: View, fitted: Fit, holdout: Holdout
) -> pd.DataFrame:
    """Read the same customers under one fit with fewer and with more of the files.

    Parameters
    ----------
    orders : DataFrame
        Of the customers who are read.
    plan : Plan
    view : View
    fitted : Fit
        To all files together; what is withheld is the evidence, not what was learned from it.
    holdout : Holdout

    Returns
    -------
    DataFrame
        One row per reading, orders alone first, all files last: `likeliest`, the mean probability
        of the most likely stage; `entropy`, the mean entropy of a customer's stage [bits];
        `changed`, the share of customers whose most likely stage is another than by orders alone;
        `log_score` of the orders of the test, less that of orders alone [nats].
    """
    drawn = read_draws(fitted, plan.year, discount=0.0, draws=_DRAWS)
    rows, first = {}, None
    for names in readings_of(view):
        law = _law(orders, plan, view.showing(names), fitted, drawn)
        first = law if first is None else first
        rows[_name(names)] = {
            "likeliest": law.max(axis=1).mean(),
            "entropy": entropy(law).mean(),
            "changed": (law.argmax(axis=1) != first.argmax(axis=1)).mean(),
            "log_score": holdout.readings[names] - holdout.readings[()],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _name(names: tuple[str, ...]) -> str:
    if len(names) > 1:
        return "orders and all of these files"
    return f"orders and {names[0]}" if names else ORDERS


def _law(orders: pd.DataFrame, plan: Plan, view: View, fitted: Fit, drawn: object) -> np.ndarray:
    unit = pd.Series(1.0, index=np.sort(orders["customer_id"].unique()))
    frame = score_panel(view.panel(orders, plan), unit, plan, fitted, drawn).customers
    return frame[[f"p_{k}" for k in range(len(fitted.model.space))]].to_numpy()


def entropy(law: np.ndarray) -> np.ndarray:
    """Entropy of each law, in bits: 0 if the stage is certain, 2 if four are equally likely.

    Examples
    --------
    >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]]))
    array([0., 1.])
    """
    logs = np.log2(np.where(law > 0, law, 1.0))
    return -(law * logs).sum(axis=-1) + 0.0
