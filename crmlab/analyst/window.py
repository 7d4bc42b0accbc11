"""Where the periods of a file begin and end, so that none that is cut counts as a whole one."""

from dataclasses import replace

import pandas as pd

from crmlab.analyst.book import orders_until
from crmlab.analyst.plan import Plan
from crmlab.errors import DataError
from crmlab.reading import Decision, Finding, Sales

LONG = 3 * 366  # days from which on `make_plan` counts months
_SPARE = 3  # days that a month may lack at its end: nobody ordered then


def settle_window(sales: Sales) -> Sales:
    """Set aside the orders of a last month that is not over, where months are counted.

    A month in part looks like a month with few orders, so everybody would seem to fall. Weeks and
    days need nothing: they are counted back from the last day.

    Parameters
    ----------
    sales : Sales

    Returns
    -------
    Sales
        Unchanged if the window ends with a month (or within three days of its end), or is short.

    Raises
    ------
    DataError
        If no order is left.
    """
    first, last = sales.window
    over = (last + pd.Timedelta(days=_SPARE)).to_period("M") > last.to_period("M")
    if (last - first).days < LONG or over:
        return sales
    end = last.to_period("M").start_time - pd.Timedelta(days=1)
    kept = orders_until(sales.orders, end)
    if not len(kept):
        raise DataError(f"no order lies before {end.date()}, where the last whole month ends")
    n = len(sales.orders) - len(kept)
    if not n:
        return replace(sales, window=(first, end))
    finding = Finding(
        f"orders in a month that is not over ({(end + pd.Timedelta(days=1)).date()} to "
        f"{last.date()})",
        n,
        "set aside: a month in part would look like a month with few orders",
        n,
    )
    quality = replace(
        sales.quality,
        rows_used=sales.quality.rows_used - n,
        findings=(*sales.quality.findings, finding),
    )
    return replace(sales, orders=kept, window=(first, end), quality=quality)


def describe_periods(sales: Sales, plan: Plan) -> Decision:
    """Say which periods are counted, and what becomes of one that the window cuts.

    Parameters
    ----------
    sales : Sales
    plan : Plan
    """
    begun, last = sales.window
    ends = (
        "months of the calendar, up to the last that is over"
        if plan.freq == "M"
        else f"counted back from {last.date()}, so the last is whole"
    )
    missing = (begun - plan.first).days
    cut = (
        f"the first lacks {missing} {'day' if missing == 1 else 'days'}, so nothing in it tells "
        "the stages anything"
        if missing > 0
        else "so is the first"
    )
    return Decision("periods", f"{plan.n_periods} {plan.period}s", f"{ends}; {cut}")
