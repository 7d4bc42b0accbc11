"""Seven simple questions for a warehouse.

The source documents argue that a firm needs no expensive tools: "Answers to simple questions are
enough to form a precise picture of the business." They list seven. Each is a function of the
customer's tables over a span of time, and returns a table.

The tables that they read are in `CustomerTables.more` or among the records:

=============  ================================================================================
touchpoints    customer_id, date, kind, channel, outcome
transactions   customer_id, date, product, amount (currency)
opportunities  customer_id, date, opportunity_id, product, status (open, won, lost), amount
outside        customer_id, date, amount: the customer's business with all firms, from an agency
surveys        channel "satisfaction", value on a scale from 1 to 5 (3 is neither)
posts          customer_id, date, valence (negative, neutral, positive)
cases          customer_id, date, cause
=============  ================================================================================
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import DataError, SpecError, raise_problems, wrong
from crmlab.tables import CustomerTables
from crmlab.tables.records import clean_window

Span = tuple[Any, Any]
_REACTIONS = ("negative", "neutral", "positive")


def what_happened(tables: CustomerTables, span: Span) -> pd.DataFrame:
    """Answer question i: what happened to the service during a period.

    Parameters
    ----------
    tables : CustomerTables
        With touchpoints.
    span : (first, last) dates, both inclusive

    Returns
    -------
    DataFrame
        Per kind and channel of contact: contacts, customers, and the share settled at once.
    """
    seen = _rows(tables, "touchpoints", span, ("kind", "channel", "outcome"))
    by = seen.assign(done=seen["outcome"] == "done").groupby(["kind", "channel"], observed=True)
    counted = by.agg(
        contacts=("done", "size"), customers=("customer_id", "nunique"), settled=("done", "mean")
    )
    return counted.reset_index()


def how_received(tables: CustomerTables, span: Span) -> pd.DataFrame:
    """Answer question ii: whether the customer's reaction was positive or negative.

    Parameters
    ----------
    tables : CustomerTables
        With surveys, posts or cases; a complaint is a negative reaction.
    span : (first, last) dates, both inclusive

    Returns
    -------
    DataFrame
        customer_id, negative, neutral, positive (counts), silent (no reaction); one row per
        customer whose relationship had begun by the end of the span.
    """
    reactions = pd.concat([*_reactions(tables, span)], ignore_index=True)
    by = reactions.groupby(["customer_id", "reaction"], observed=True)
    counted = by.size().unstack(fill_value=0)
    there = _there(tables, span)
    whole = counted.reindex(index=there, columns=list(_REACTIONS), fill_value=0)
    whole = whole.rename_axis(columns=None).assign(silent=whole.sum(axis=1) == 0)
    return whole.rename_axis("customer_id").reset_index()


def _reactions(tables: CustomerTables, span: Span) -> Iterator[pd.DataFrame]:
    columns = ["customer_id", "reaction"]
    yield pd.DataFrame(columns=columns)
    if tables.surveys is not None:
        asked = _rows(tables, "surveys", span, ("channel", "value"))
        answers = asked[(asked["channel"] == "satisfaction") & asked["value"].notna()]
        sign = np.sign(answers["value"] - 3).astype(int) + 1
        yield answers.assign(reaction=np.array(_REACTIONS)[sign])[columns]
    if "posts" in tables.more:
        yield _rows(tables, "posts", span, ("valence",)).rename(columns={"valence": "reaction"})[
            columns
        ]
    if tables.cases is not None:
        yield _rows(tables, "cases", span, ()).assign(reaction="negative")[columns]


def why_negative(tables: CustomerTables, span: Span) -> pd.DataFrame:
    """Answer question iii: why the reaction was negative.

    Parameters
    ----------
    tables : CustomerTables
        With cases that have a cause.
    span : (first, last) dates, both inclusive

    Returns
    -------
    DataFrame
        Per cause: complaints, customers, share of complaints; the most frequent first. Not every
        dissatisfied customer complains, and only complaints are counted.
    """
    seen = _rows(tables, "cases", span, ("cause",))
    by = seen.groupby("cause", observed=True)["customer_id"]
    counted = by.agg(complaints="size", customers="nunique").reset_index()
    ordered = counted.sort_values(
        ["complaints", "cause"], ascending=[False, True], ignore_index=True
    )
    return ordered.assign(share=ordered["complaints"] / max(len(seen), 1))


def needs_met(tables: CustomerTables, span: Span) -> pd.DataFrame:
    """Answer question iv: whether needs are fully met, and where there is a gap to bridge.

    Parameters
    ----------
    tables : CustomerTables
        With opportunities: needs that came up in a conversation. Won means met, lost means a gap,
        open means undecided.
    span : (first, last) dates, both inclusive

    Returns
    -------
    DataFrame
        Per product: met, gap, undecided (opportunities), gap_amount (currency), and bridge: how
        many customers a better offer of that product would have to reach.
    """
    columns = ("opportunity_id", "product", "status", "amount")
    seen = _rows(tables, "opportunities", span, columns)
    last = seen.sort_values("date", kind="stable").drop_duplicates("opportunity_id", keep="last")
    lost = last["status"] == "lost"
    outcomes = last.assign(
        met=last["status"] == "won",
        gap=lost,
        undecided=last["status"] == "open",
        gap_amount=last["amount"].where(lost, 0.0),
        bridge=last["customer_id"].astype("object").where(lost),
    )
    by = outcomes.groupby("product", observed=True)
    sums = by[["met", "gap", "undecided", "gap_amount"]].sum()
    return sums.assign(bridge=by["bridge"].nunique()).reset_index()


def share_of_business(tables: CustomerTables, span: Span) -> pd.DataFrame:
    """Answer question v: how much of the customer's business the firm handles.

    Parameters
    ----------
    tables : CustomerTables
        With transactions, and with the table "outside": the customers' business with all firms,
        including ours.
    span : (first, last) dates, both inclusive

    Returns
    -------
    DataFrame
        customer_id, ours, whole (currency), share; customers unknown to the agency are absent. The
        overall share is ours.sum() / whole.sum(), not the mean of the shares.
    """
    ours = _rows(tables, "transactions", span, ("amount",)).groupby("customer_id")["amount"].sum()
    whole = _rows(tables, "outside", span, ("amount",)).groupby("customer_id")["amount"].sum()
    both = pd.DataFrame({"ours": ours.reindex(whole.index).fillna(0.0), "whole": whole})
    return both.assign(share=both["ours"] / both["whole"]).reset_index()


def products_held(tables: CustomerTables, span: Span) -> pd.DataFrame:
    """Answer question vi: how many of the firm's products each customer uses.

    Parameters
    ----------
    tables : CustomerTables
        With transactions.
    span : (first, last) dates, both inclusive

    Returns
    -------
    DataFrame
        customer_id, n_products (distinct products used in the span); 0 for customers whose
        relationship had begun and who used none.
    """
    used = _rows(tables, "transactions", span, ("product",)).groupby("customer_id")["product"]
    held = used.nunique().reindex(_there(tables, span)).fillna(0).astype("int64")
    return held.rename("n_products").rename_axis("customer_id").reset_index()


def institutional_history(
    tables: CustomerTables, span: Span, *, segments: tuple[str, ...]
) -> pd.DataFrame:
    """Answer question vii: the history of institutional clients' transactions.

    Parameters
    ----------
    tables : CustomerTables
        With transactions, and a profile with the attribute "segment".
    span : (first, last) dates, both inclusive
    segments : tuple of str
        The segments of institutional clients, e.g. ``("professional",)``.

    Returns
    -------
    DataFrame
        Their transactions in order of customer and date, each with the segment **on that day** and
        the running total of the customer.
    """
    seen = _rows(tables, "transactions", span, ("product", "amount"))
    log = tables.more["profile"]
    known = log.loc[log["attribute"] == "segment", ["customer_id", "date", "value"]]
    known = known.rename(columns={"value": "segment"}).sort_values("date", kind="stable")
    dated = pd.merge_asof(
        seen.sort_values("date", kind="stable"), known, on="date", by="customer_id"
    )
    mine = dated[dated["segment"].isin(segments)]
    ordered = mine.sort_values(["customer_id", "date"], kind="stable", ignore_index=True)
    running = ordered.groupby("customer_id")["amount"].cumsum()
    columns = ["customer_id", "date", "segment", "product", "amount"]
    return ordered[columns].assign(running=running)


def _span(span: Span) -> tuple[pd.Timestamp, pd.Timestamp]:
    ends = clean_window(span)[0]
    if ends and isinstance(ends[0], pd.Timestamp):
        return ends
    raise SpecError(wrong("span", "(first, last), two dates in order", span))


def _rows(tables: CustomerTables, name: str, span: Span, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of a table inside the span; refuse a table that is missing or incomplete."""
    first, last = _span(span)
    frame = tables.more.get(name, vars(tables).get(name))
    if frame is None:
        raise DataError(f"the question needs the table {name!r}, which is missing")
    absent = [column for column in ("date", *columns) if column not in frame]
    raise_problems(DataError, name, [f"column `{column}` is missing" for column in absent])
    day = frame["date"].dt.normalize()
    return frame[(day >= first) & (day <= last)]


def _there(tables: CustomerTables, span: Span) -> pd.Index:
    people = tables.customers
    begun = people["start"] <= _span(span)[1] if "start" in people else slice(None)
    return pd.Index(people.loc[begun, "customer_id"])
