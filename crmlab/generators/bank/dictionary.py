"""The data dictionary: each column of each table of the bank, with its unit and meaning."""

import pandas as pd

from crmlab.generators.bank.people import NEEDS

ID = ("customer_id", "", "the customer")
PERIOD = ("period", "quarter", "0 is the first quarter")
DAY = ("day", "day", "day of the quarter, 0 to 89")

_NEEDS = ", ".join(f"{k} {need.replace('_', ' ')}" for k, need in enumerate(NEEDS, start=1))

_COLUMNS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "customers": (
        ID,
        ("start", "quarter", "quarter of arrival"),
        ("segment", "", "segment by age and occupation, as the bank files it"),
        ("need_level", "level", f"what the customer looks for: {_NEEDS}"),
        ("relationship_type", "", "long_term, or transactional: served sale by sale"),
        ("service_mode", "", "personal, dedicated (account manager of one's own), self_service, "
         "automated or community"),
        ("home_branch", "", "branch where the account is kept"),
        ("account_manager", "", "number of the account manager; empty unless dedicated"),
        ("acquisition_channel", "", "how the bank and the customer found each other"),
        ("referrer", "", "customer who sent this one; empty if nobody did"),
    ),
    "events": (
        ID, PERIOD,
        ("channel", "", "contacts (customer service, sales support, technical assistance), "
         "purchases, margin"),
        ("value", "contacts, transactions, EUR", "total of the quarter, made of touchpoints and "
         "transactions; no row where it is 0"),
    ),
    "surveys": (
        ID, PERIOD,
        ("channel", "", "question: expectation, experience, satisfaction"),
        ("value", "level 1 to 5", "answer; empty if the invited customer stayed silent"),
        ("moment", "", "before, at or after the service"),
    ),
    "labels": (
        ID, PERIOD,
        ("channel", "", "reported_stage"),
        ("stage", "", "stage of the relationship, as the customer says; not free of error"),
    ),
    "cases": (
        ID, PERIOD,
        ("channel", "", "complaint"),
        DAY,
        ("cause", "", "innovation_lack, low_standard, inconvenience or delays"),
        ("escalated", "", "whether a superior took over"),
        ("days_to_close", "day", "days until the case was closed"),
        ("resolution", "", "recovered: the customer was satisfied; closed: not"),
    ),
    "actions": (
        ID, PERIOD,
        ("action", "", "what the bank could do: one of six treatments, or win_back of a lost "
         "customer; one row for each that had a chance"),
        ("value", "action", "1 if it was done, 0 if not"),
        ("cost", "EUR", "cost of the action; 0 if it was not done"),
        ("propensity", "probability", "probability that the bank gave to the action; absent, like "
         "the rows of what was not done, where a policy does not log it"),
    ),
    "touchpoints": (
        ID, PERIOD, DAY,
        ("kind", "", "purpose of the contact; treatment and win_back are the contacts of actions"),
        ("channel", "", "branch, call_centre, app, e_mail or forum"),
        ("office", "", "front or back office"),
        ("direction", "", "in: the customer began it; out: the bank did"),
        ("duration", "minute", "length of the contact"),
        ("wait", "minute", "waiting before it; 0 if the bank began it"),
        ("outcome", "", "done, passed_on or unresolved"),
        ("reason", "", "reason in the contact note; xxx is junk, typed to pass a mandatory field"),
        ("contradictory", "", "whether the message contradicted another channel"),
    ),
    "transactions": (
        ID, PERIOD, DAY,
        ("process", "", "deposit, withdrawal, card (a statement), loan or investment"),
        ("channel", "", "where it was made"),
        ("amount", "EUR", "amount"),
        ("margin", "EUR", "contribution margin"),
        ("processing_days", "day", "time until it was carried out"),
    ),
    "opportunities": (
        ID,
        ("period", "quarter", "quarter in which the status began"),
        ("opportunity_id", "", "number of the opportunity"),
        ("product", "", "loan or investment"),
        ("status", "", "open; later won (then there is a transaction) or lost"),
        ("amount", "EUR", "expected amount"),
    ),
    "posts": (
        ID, PERIOD, DAY,
        ("valence", "", "negative, neutral or positive"),
        ("reach", "people", "people who read it"),
    ),
    "ties": (
        ID,
        ("period", "quarter", "quarter since which the tie exists"),
        ("other_id", "", "the customer at the other end, who was there before"),
        ("tie", "", "talk: they talk to each other; referral: the other sent this one"),
    ),
    "assignments": (
        ID, PERIOD,
        ("decision", "", "what was decided for this active customer: nothing, or a treatment"),
        ("propensity", "probability", "probability that the bank gave to it; absent where a "
         "policy does not log it"),
    ),
    "service_levels": (
        PERIOD,
        ("channel", "", "branch, call_centre, app, e_mail or forum"),
        ("median_wait", "minute", "the bank's own indicator of waiting"),
        ("share_in_time", "share", "contacts answered within the bank's own norm"),
    ),
    "costs": (
        ("item", "", "channel or action"),
        ("of", "", "contact or action"),
        ("cost", "EUR", "cost of one"),
    ),
    "truth: stages": (
        ID, PERIOD, ("stage", "", "the true stage, from arrival on"),
    ),
    "truth: feelings": (
        ID, PERIOD,
        ("experience", "unit", "the quarter as it was felt; losses weigh more"),
        ("satisfaction", "unit", "running satisfaction"),
        ("incident", "", "cause of an incident, voiced or not"),
    ),
    "truth: decisions": (
        ID, PERIOD,
        ("action", "", "as in actions"),
        ("value", "action", "as in actions"),
        ("cost", "EUR", "as in actions"),
        ("propensity", "probability", "as in actions, also where a policy does not log it"),
    ),
    "truth: people": (
        ID,
        *((name, "SD", f"trait: {name.replace('_', ' ')}") for name in (
            "adaptation", "trust", "commitment", "communication", "cooperation",
            "conflict_resolution", "interdependence", "past_satisfaction", "power")),
        ("ease", "SD", "hidden readiness to come closer"),
        ("unrest", "SD", "hidden readiness to part"),
        ("pace", "SD", "hidden level of activity"),
        ("passive", "", "whether the customer stays for want of an alternative"),
    ),
    "truth: exits": (
        ID,
        ("period", "quarter", "last active quarter"),
        ("reason", "", "why the relationship ended"),
    ),
}  # fmt: skip


def data_dictionary() -> pd.DataFrame:
    """List every column of every table of the bank.

    Returns
    -------
    DataFrame
        table, column, unit (empty where there is none), meaning. Tables of the answer key begin
        with "truth: ".

    Examples
    --------
    >>> words = data_dictionary()
    >>> words.loc[words["column"] == "wait", ["table", "unit"]].values.tolist()
    [['touchpoints', 'minute']]
    """
    return pd.DataFrame(
        [
            {"table": table, "column": column, "unit": unit, "meaning": meaning}
            for table, columns in _COLUMNS.items()
            for column, unit, meaning in columns
        ]
    )
