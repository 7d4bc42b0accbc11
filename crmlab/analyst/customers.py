"""The table of customers: one row each, every column explained."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from crmlab.analyst.purchase_models import LARGEST_SAMPLE
from crmlab.analyst.scoring import Scored
from crmlab.analyst.study import Study
from crmlab.reading import is_formula, neutralise

N_TOP, BLOCK = 12, 50_000
ACTIONS = {
    "repair": "test a win-back offer: fell, and is in the half of the fallen with most to win (and "
    "with more than an action usually costs, where the cost is known)",
    "watch": "wait and watch: fell, with less to win",
    "keep": "look after: among the tenth of customers expected to bring most, and did not fall",
    "none": "nothing special",
}


def list_customers(study: Study) -> pd.DataFrame:
    """Make the table; numbers are rounded to what the draws support, ids safe for a spreadsheet.

    Parameters
    ----------
    study : Study
    """
    return pd.concat(_list_blocks(study), ignore_index=True)


def write_customers(study: Study, path: Path) -> pd.DataFrame:
    """Write the table as CSV, block by block; return the rows that a reader may act upon.

    Parameters
    ----------
    study : Study
    path : path

    Returns
    -------
    DataFrame
        The rows of `to_act_upon`.
    """
    shown = []
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for k, block in enumerate(_list_blocks(study)):
            file.write(block.to_csv(index=False, lineterminator="\n", header=k == 0))
            shown.append(to_act_upon(block))
    return pd.concat(shown, ignore_index=True)


def to_act_upon(customers: pd.DataFrame) -> pd.DataFrame:
    """Choose the rows with a suggestion, and the dozen that bring most or have most to win.

    Parameters
    ----------
    customers : DataFrame
        As `list_customers` gives it.
    """
    best = most_to_win(customers).index.union(most_worth(customers).index)
    return customers[(customers["suggested_action"] != "none") | customers.index.isin(best)]


def most_to_win(customers: pd.DataFrame) -> pd.DataFrame:
    """Choose the dozen with the most to win among those who fell.

    Parameters
    ----------
    customers : DataFrame
        As `list_customers` gives it.
    """
    return _top(
        customers[(customers["fell"] == 1) & (customers["repair_value"] > 0)], "repair_value"
    )


def most_worth(customers: pd.DataFrame) -> pd.DataFrame:
    """Choose the dozen who are expected to bring most.

    Parameters
    ----------
    customers : DataFrame
        As `list_customers` gives it.
    """
    return _top(customers[customers["value"] > 0], "value")


def _top(customers: pd.DataFrame, column: str) -> pd.DataFrame:
    return customers.sort_values([column, "customer_id"], ascending=[False, True]).head(N_TOP)


def _list_blocks(study: Study) -> Iterator[pd.DataFrame]:
    """Make the table, some customers at a time, sorted by id."""
    known = study.known
    scored = study.scored.customers.set_index("customer_id")
    words = suggest(study.scored, study.action_cost).set_axis(scored.index)
    alive = study.purchases.prob_alive()
    for begin in range(0, len(known), BLOCK):
        part = known.iloc[begin : begin + BLOCK]
        yield _list_some(study, part, scored.loc[part.index], words, alive)


def _list_some(
    study: Study, known: pd.DataFrame, frame: pd.DataFrame, words: pd.Series, alive: pd.Series
) -> pd.DataFrame:
    names = np.array(study.names)
    odd = is_formula(pd.Series(known.index, dtype="str"))
    table = {
        "customer_id": pd.Series(known.index.astype("str"), dtype="str"),
        "id_neutralised": odd.astype(int).to_numpy(),
        "orders": known["orders"].to_numpy(),
        "first_order": known["first_order"].dt.strftime("%Y-%m-%d").to_numpy(),
        "last_order": known["last_order"].dt.strftime("%Y-%m-%d").to_numpy(),
    }
    if "amount" in known:
        table["amount"] = known["amount"].round(2).to_numpy()
    probs = frame[[f"p_{k}" for k in range(len(names))]].to_numpy()
    table |= {f"p_{name}": _round(probs[:, k], frame["p_error"]) for k, name in enumerate(names)}
    table["most_likely_stage"] = names[frame["now"]]
    table["stage_a_season_ago"] = names[frame["before"]]
    table["fell"] = (frame["now"] < frame["before"]).astype(int).to_numpy()
    table["p_alive_bgnbd"] = alive.reindex(known.index).to_numpy().round(4)
    for name, columns in _GROUPS.items():
        error = frame[f"{name}_error"]
        table |= {new: _round(frame[old], error) for old, new in columns.items()}
    if study.action_cost > 0:
        table["needed_success"] = needed_success(frame, study.action_cost)
    table["suggested_action"] = words.reindex(known.index).to_numpy()
    return neutralise(pd.DataFrame(table), columns=["customer_id"])


_GROUPS = {
    "p_order": {"p_order": "p_order_next_year"},
    "expected": {
        "expected": "expected_orders",
        "expected_low": "expected_orders_low",
        "expected_high": "expected_orders_high",
    },
    "value": {"value": "value", "value_low": "value_low", "value_high": "value_high"},
    "repair": {"repair": "repair_value"},
}


def _round(values: object, error: pd.Series) -> np.ndarray:
    """Round each number to the digits that its draws support, at least two and at most four."""
    with np.errstate(divide="ignore"):
        digits = np.floor(-np.log10(np.asarray(error, dtype=float)))
    scale = 10.0 ** np.clip(digits, 2, 4)
    return np.round(np.asarray(values, dtype=float) * scale) / scale + 0.0  # no minus zero


def fallen(scored: Scored) -> pd.Series:
    """Mark customers whose most likely stage fell in a season and who would gain from a repair."""
    frame = scored.customers
    return (frame["now"] < frame["before"]) & (frame["repair"] > 0)


def needed_success(frame: pd.DataFrame, cost: float) -> np.ndarray:
    """Share of offers that must succeed to pay back their cost; NaN for customers who did not fall.

    Parameters
    ----------
    frame : DataFrame
        repair, now, before.
    cost : float
        Cost of one action, in the unit of worth. A share above 1 means that it is never paid back.

    Examples
    --------
    >>> fell = pd.DataFrame({"repair": [10.0, 2.0, 5.0], "now": [0, 0, 1], "before": [1, 2, 1]})
    >>> needed_success(fell, 4.0)
    array([0.4, 2. , nan])
    """
    can = (frame["now"] < frame["before"]) & (frame["repair"] > 0)
    return (cost / frame["repair"].where(can)).to_numpy(float).round(2)


def suggest(scored: Scored, cost: float = np.nan) -> pd.Series:
    """Suggest something for each customer: a word of `ACTIONS`.

    Parameters
    ----------
    scored : Scored
    cost : float
        What an action usually costs, in the unit of worth; NaN if that is not known.
    """
    frame, fell = scored.customers, fallen(scored)
    middle = frame["repair"][fell].median() if fell.any() else 0.0
    top = frame["value"] >= frame["value"].quantile(0.9)
    words = np.select(
        [fell & (frame["repair"] >= middle) & ~(frame["repair"] <= cost), fell, top],
        ["repair", "watch", "keep"],
        "none",
    )
    return pd.Series(words, index=frame.index, dtype="str")


def describe_columns(study: Study) -> dict[str, str]:
    """Explain every column of the table.

    Parameters
    ----------
    study : Study
    """
    described = {
        **_describe_history(study),
        **_describe_stages(study),
        **_describe_year(study),
        **_describe_advice(study),
    }
    left_out = [] if study.has_amounts else ["amount"]
    left_out += [] if study.action_cost > 0 else ["needed_success"]
    return {name: meaning for name, meaning in described.items() if name not in left_out}


def _describe_history(study: Study) -> dict[str, str]:
    return {
        "customer_id": "id as in the file (or its pseudonym), with an apostrophe in front if a "
        "spreadsheet would take it for a formula",
        "id_neutralised": "1 if that apostrophe was written, else 0",
        "orders": "days with an order",
        "first_order": "day of the first order",
        "last_order": "day of the last order",
        "amount": f"sum of all orders, {study.sales.currency}, less returns",
    }


def _describe_stages(study: Study) -> dict[str, str]:
    plan, last = study.plan, study.plan.last.date()
    sampled = len(study.purchases.histories) > LARGEST_SAMPLE
    return {
        **{f"p_{name}": f"probability of being in '{name}' on {last}" for name in study.names},
        "most_likely_stage": "the stage with the highest of these probabilities",
        "stage_a_season_ago": f"the most likely stage {plan.season} {plan.period}s earlier, judged "
        "by what was known then; for newer customers, that of their first period",
        "fell": "1 if the most likely stage is lower now than then, else 0",
        "p_alive_bgnbd": f"probability of still being a customer on {last}, by BG/NBD, in which "
        "nobody leaves before a first repeat order; empty if it could not be fitted"
        + (f"; fitted to {LARGEST_SAMPLE:,} of the customers" if sampled else ""),
    }


def _describe_year(study: Study) -> dict[str, str]:
    plan, margin = study.plan, study.settings.margin
    year = f"{plan.year} {plan.period}s after {plan.last.date()}"
    worth = study.worth_of + (f" ({margin:.0%} of revenue)" if study.worth_of == "margin" else "")
    interval = "lower end of the central 90% interval of that expectation", "its upper end"
    return {
        "p_order_next_year": f"probability of at least one order in the {year}",
        "expected_orders": f"expected number of days with an order in the {year}",
        "expected_orders_low": interval[0],
        "expected_orders_high": interval[1],
        "value": f"expected {worth} in the {year}, {study.unit}, discounted at "
        f"{study.settings.discount:.0%} a year",
        "value_low": interval[0],
        "value_high": interval[1],
        "repair_value": "how much more the customer would be worth in the stage of a season ago, "
        f"before any costs, {study.unit}; below 0 if the customer rose",
    }


def _describe_advice(study: Study) -> dict[str, str]:
    return {
        "needed_success": "share of such offers that must succeed to pay back their usual cost "
        f"({study.action_cost:,.2f} {study.unit}, the median of your file of actions): that cost / "
        "repair_value; empty if the customer did not fall",
        "suggested_action": "; ".join(f"{word} = {what}" for word, what in ACTIONS.items())
        + ". This suggests whom to test something on; no experiment supports it"
        + (", and neither does your file of actions" if len(study.actions) else ""),
    }
