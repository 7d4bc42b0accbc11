"""The table beside the page: one row per customer, every column explained."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from crmlab.analyst.book import first_days
from crmlab.analyst.buying import MOST
from crmlab.analyst.scoring import Scored
from crmlab.analyst.study import Study
from crmlab.reading import is_formula, neutralise

N_TOP, BLOCK = 12, 50_000
ACTIONS = {
    "repair": "test an offer to win back: fell, and among the half of the fallen with most to win "
    "(and more than an action usually costs, where the cost is known)",
    "watch": "watch: fell, with less to win",
    "keep": "keep: among the tenth expected to bring most, and not fallen",
    "none": "nothing special",
}


def list_customers(study: Study) -> pd.DataFrame:
    """Make the table: numbers rounded to what the draws support, ids safe for a spreadsheet.

    Parameters
    ----------
    study : Study
    """
    return pd.concat(list_blocks(study), ignore_index=True)


def write_customers(study: Study, path: Path) -> pd.DataFrame:
    """Write the table as CSV, block by block; return the rows that a page shows.

    Parameters
    ----------
    study : Study
    path : path
    """
    shown = []
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for k, block in enumerate(list_blocks(study)):
            file.write(block.to_csv(index=False, lineterminator="\n", header=k == 0))
            shown.append(most_to_win(block))
    return most_to_win(pd.concat(shown, ignore_index=True))


def most_to_win(customers: pd.DataFrame) -> pd.DataFrame:
    """Choose, of those who fell, the dozen with most to win.

    Parameters
    ----------
    customers : DataFrame
        As `list_customers` gives it.
    """
    listed = customers[customers["fell"] == 1]
    return listed.sort_values(["repair_value", "customer_id"], ascending=[False, True]).head(N_TOP)


def list_blocks(study: Study) -> Iterator[pd.DataFrame]:
    """Make the table, some customers at a time, sorted by id."""
    known = first_days(study.sales.orders)
    scored = study.scored.customers.set_index("customer_id")
    words = suggest(study.scored, study.action_cost).set_axis(scored.index)
    alive = _alive(study)
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
    law = frame[[f"p_{k}" for k in range(len(names))]].to_numpy()
    table |= {f"p_{name}": _round(law[:, k], frame["p_error"]) for k, name in enumerate(names)}
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
    """Round each number to the digits that its own draws support, two at least, four at most."""
    with np.errstate(divide="ignore"):
        digits = np.floor(-np.log10(np.asarray(error, dtype=float)))
    scale = 10.0 ** np.clip(digits, 2, 4)
    return np.round(np.asarray(values, dtype=float) * scale) / scale + 0.0  # no minus zero


def _alive(study: Study) -> pd.Series:
    """P(alive) by BG/NBD; empty where it could not be fitted."""
    buying = study.buying
    ids = buying.histories.index
    if buying.population is None:
        return pd.Series(np.nan, ids)
    return pd.Series(buying.population.prob_alive(*buying.history), ids)


def fallen(scored: Scored) -> pd.Series:
    """Mark who stands, most likely, in a lower stage than a season ago, and would be worth more."""
    frame = scored.customers
    return (frame["now"] < frame["before"]) & (frame["repair"] > 0)


def needed_success(frame: pd.DataFrame, cost: float) -> np.ndarray:
    """Share of offers that must succeed for their cost to come back; NaN for who did not fall.

    Parameters
    ----------
    frame : DataFrame
        repair, now, before.
    cost : float
        Of one action, in the unit of worth. Above 1 it never comes back.

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
    plan, unit = study.plan, study.unit
    last, year = plan.last.date(), f"{plan.year} {plan.period}s after {plan.last.date()}"
    money = f"{unit}, discounted at {study.settings.discount:.0%} a year"
    said = {
        "customer_id": "id as in the file (or its pseudonym); an apostrophe in front if a "
        "spreadsheet would take it for a formula",
        "id_neutralised": "1 if that apostrophe was written, else 0",
        "orders": "days with an order",
        "first_order": "day of the first order",
        "last_order": "day of the last order",
        "amount": f"what all orders came to, {study.sales.currency}, returns taken off",
        **{f"p_{name}": f"probability of standing in '{name}' on {last}" for name in study.names},
        "most_likely_stage": "the stage with the highest of these probabilities",
        "stage_a_season_ago": f"the most likely stage {plan.season} {plan.period}s earlier, or in "
        "the first of a newer customer, as it would have been judged then",
        "fell": "1 if the most likely stage is lower now than then, else 0",
        "p_alive_bgnbd": f"probability of being a customer still on {last}, by BG/NBD, in "
        "which nobody leaves before a first repeat order; empty if it could not be fitted"
        + (f"; fitted to {MOST:,} of the customers" if len(study.buying.histories) > MOST else ""),
        "p_order_next_year": f"probability of at least one order in the {year}",
        "expected_orders": f"days with an order expected in the {year}",
        "expected_orders_low": "lower end of the central 90 % interval of that expectation",
        "expected_orders_high": "its upper end",
        "value": f"{_worth_of(study)} expected in the {year}, {money}",
        "value_low": "lower end of the central 90 % interval of that expectation",
        "value_high": "its upper end",
        "repair_value": "how much more the customer would be worth in the stage of a season ago, "
        f"before any costs, {unit}; below 0 if the customer rose",
        "needed_success": "share of such offers that would have to succeed for their usual cost "
        f"({study.action_cost:,.2f} {unit}, the median of your file of actions) to come back: "
        "that cost / repair_value; empty for who did not fall",
        "suggested_action": "; ".join(f"{word} = {what}" for word, what in ACTIONS.items())
        + ". A suggestion of whom to test something on: no experiment stands behind it"
        + (", nor behind your file of actions" if len(study.acted) else ""),
    }
    left_out = [] if study.has_amounts else ["amount"]
    left_out += [] if study.action_cost > 0 else ["needed_success"]
    return {name: meaning for name, meaning in said.items() if name not in left_out}


def _worth_of(study: Study) -> str:
    if not study.has_amounts:
        return "orders"
    share = study.settings.margin
    return "revenue" if share == 1 else f"margin ({share:.0%} of revenue)"
