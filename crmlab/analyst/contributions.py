"""What each file adds to the orders: more certain stages, better forecasts."""

import numpy as np
import pandas as pd

from crmlab.analyst.fitting import COMPARED
from crmlab.analyst.holdout import Holdout
from crmlab.analyst.plan import Plan
from crmlab.analyst.sources import Sources
from crmlab.arrays import Floats
from crmlab.inference import Fit
from crmlab.prediction import current_stage_probs

ORDERS = "orders alone"


def compare_contributions(
    orders: pd.DataFrame, plan: Plan, sources: Sources, fitted: Fit, holdout: Holdout
) -> pd.DataFrame:
    """Read the same customers under one fit, with fewer and with more of the files.

    Parameters
    ----------
    orders : DataFrame
        Of the sample.
    plan : Plan
    sources : Sources
    fitted : Fit
        To all files together; only the evidence is withheld, not the parameters learned from it.
    holdout : Holdout

    Returns
    -------
    DataFrame
        One row per set of files, orders alone first, all files last; empty without files:
        `likeliest`, the mean
        probability of the most likely stage; `entropy`, the mean entropy of a customer's stage
        [bits]; `changed`, the share of customers whose most likely stage differs from that by
        orders alone; `log_score` of the orders of the test, less that of orders alone [nats].
    """
    if not sources.files:
        return pd.DataFrame()
    rows, first = {}, None
    for names in sources.subsets():
        panel = sources.showing(names).panel(orders, plan)
        drawn = current_stage_probs(fitted, panel=panel, draws=COMPARED)
        probs = drawn.mean(("chain", "draw")).transpose("customer_id", "stage").values
        first = probs if first is None else first
        rows[_name(names)] = {
            "likeliest": probs.max(axis=1).mean(),
            "entropy": entropy(probs).mean(),
            "changed": (probs.argmax(axis=1) != first.argmax(axis=1)).mean(),
            "log_score": holdout.readings[names] - holdout.readings[()],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _name(names: tuple[str, ...]) -> str:
    if len(names) > 1:
        return "orders and all of these files"
    return f"orders and {names[0]}" if names else ORDERS


def entropy(probs: Floats) -> Floats:
    """Entropy of each row, in bits: 0 if the stage is certain, 2 if four are equally likely.

    Examples
    --------
    >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]]))
    array([0., 1.])
    """
    logs = np.log2(np.where(probs > 0, probs, 1.0))
    return -(probs * logs).sum(axis=-1) + 0.0
