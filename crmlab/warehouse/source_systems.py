"""A simulated bank's records, as the systems of its functions would keep them.

To practise the warehouse step with a known answer, `to_source_systems` takes the tables of
`crm.bank.Bank`, which identify every customer by one number, and hides that number: each function
gets its own rows, with its own ids, codes, units and dates. `to_subject` has to find the way back.
The functions, ids and registers are invented, like the bank.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import SpecError
from crmlab.streams import Streams
from crmlab.tables import CustomerTables
from crmlab.tables.records import read_time
from crmlab.warehouse.extracts import Extract
from crmlab.warehouse.identity import LINK_COLUMNS

FUNCTIONS = ("accounting", "sales", "web_shop", "call_centre", "marketing", "agency")
TIERS = ("dormant", "basic", "premier")
PREMIER_MARGIN = 10.0  # EUR in the last four quarters
_PROCESSES = ("deposit", "withdrawal", "card", "loan", "investment")
_WEB_CODES = dict(zip(("DEP", "WDR", "CRD", "LON", "INV"), _PROCESSES, strict=True))
_SALES_CODES = {str(code): name for code, name in enumerate(_PROCESSES, start=1)}
_OUTCOMES = {"D": "done", "P": "passed_on", "U": "unresolved"}
_RENUMBERED = 0.15  # share of the clients whom a branch has entered twice
_IDS = {  # the prefix of each function's ids, and the multiplier that scrambles their digits
    "accounting": ("MER", 271_828_182),
    "sales": ("C", 314_159_265),
    "web_shop": ("user", 577_215_664),
    "marketing": ("m", 693_147_180),
    "call_centre": ("+33", 161_803_398),
}


@dataclass(frozen=True, eq=False)
class SourceSystems:
    """The records that the functions of a bank keep.

    Parameters
    ----------
    extracts : tuple of Extract
    links : DataFrame
        `LINK_COLUMNS` and register: which ids the firm has noted as one person.
    persons : DataFrame
        function, local_id, person: the truth that a warehouse has to find.
    """

    extracts: tuple[Extract, ...]
    links: pd.DataFrame
    persons: pd.DataFrame


def to_source_systems(
    tables: CustomerTables, *, first_day: Any = "2021-01-01", seed: int
) -> SourceSystems:
    """Split the tables of a simulated bank into the records of its functions.

    Parameters
    ----------
    tables : CustomerTables
        As `crmlab.bank.Bank` makes them: quarters, with touchpoints and transactions.
    first_day : date
        The first day of quarter 0.
    seed : int
        Seed of the duplicate client numbers and of the shares of business.

    Returns
    -------
    SourceSystems
        accounting: margin in cents. sales: branch transactions, contacts at the branch, profile.
        web_shop: transactions in cents with times in seconds, contacts. call_centre: contacts in
        seconds, complaints. marketing: answers of 20 to 100 points. agency: yearly business with
        all banks.

    Raises
    ------
    SpecError
        If `first_day` is not a date, or the tables are not those of a bank.
    """
    first = read_time(first_day)
    if not isinstance(first, pd.Timestamp) or tables.is_dated:
        raise SpecError(
            "to_source_systems needs tables with quarters, as `crmlab.bank.Bank` makes them, and a "
            f"date as `first_day`; got {first_day!r}."
        )
    absent = [
        name for name in ("touchpoints", "transactions", "opportunities") if name not in tables.more
    ]
    if absent:
        raise SpecError(
            f"to_source_systems needs the tables of `crmlab.bank.Bank`; {absent} are missing."
        )
    quarters = _Quarters(first)
    streams = Streams(seed)
    extracts = (
        _accounting(tables, quarters),
        *_sales(tables, quarters, streams),
        *_web_shop(tables, quarters),
        *_call_centre(tables, quarters),
        _marketing(tables, quarters),
        _agency(tables, quarters, streams),
    )
    links, persons = _registers(tables, streams)
    return SourceSystems(extracts, links, persons)


@dataclass(frozen=True)
class _Quarters:
    """Calendar days for a bank that counts quarters."""

    first: pd.Timestamp

    def dates(self, frame: pd.DataFrame) -> pd.Series:
        """Return the day of each row; the last day of the quarter if the table has no day."""
        quarter = self.first.to_period("Q") + frame["period"].to_numpy()
        start = pd.PeriodIndex(quarter, freq="Q").to_timestamp()
        day = frame.get("day", 89)
        return pd.Series(start + pd.to_timedelta(day, unit="D"), index=frame.index)


# Ids ---------------------------------------------------------------------------------------------


def local_ids(function: str, person: pd.Series) -> pd.Series:
    """Write the id under which a function knows a person."""
    if function == "agency":
        return local_ids("accounting", person)
    prefix, step = _IDS[function]
    # 899,999,963 is a prime, so no two people share a number
    number = 100_000_000 + (person.to_numpy() + 1) * step % 899_999_963
    suffix = "@example.org" if function == "marketing" else ""
    return pd.Series([f"{prefix}{n}{suffix}" for n in number], index=person.index, dtype="str")


def _renumbered_from(tables: CustomerTables, streams: Streams) -> pd.Series:
    """Return the quarter after which a person has a second client number; missing for most."""
    people = tables.customers
    u = streams.uniforms("second number", people["customer_id"].to_numpy(), 0, size=2)
    later = people["start"].to_numpy() + 1 + np.floor(u[1] * 6)
    return pd.Series(np.where(u[0] < _RENUMBERED, later, np.inf), index=people["customer_id"])


def _client_numbers(rows: pd.DataFrame, since: pd.Series) -> pd.Series:
    first = local_ids("sales", rows["customer_id"])
    second = rows["period"].to_numpy() >= since.loc[rows["customer_id"]].to_numpy()
    return first.where(~second, "N" + first.str[1:])


# What each function keeps ------------------------------------------------------------------------


def _accounting(tables: CustomerTables, quarters: _Quarters) -> Extract:
    sold = tables.more["transactions"]
    frame = pd.DataFrame(
        {
            "ACCOUNT": local_ids("accounting", sold["customer_id"]),
            "POSTED": quarters.dates(sold).dt.strftime("%Y%m%d"),
            "CENTS": (sold["margin"] * 100).round().astype("int64"),
        }
    )
    return Extract(
        "accounting", "postings", frame, "ACCOUNT", "POSTED", "%Y%m%d",
        columns={"margin": "CENTS"}, per_unit={"margin": 100},
    )  # fmt: skip


def _sales(tables: CustomerTables, quarters: _Quarters, streams: Streams) -> list[Extract]:
    since = _renumbered_from(tables, streams)
    sold = tables.more["transactions"]
    branch = sold[~sold["channel"].isin(["app", "e_mail"])]
    codes = {name: code for code, name in _SALES_CODES.items()}
    till = pd.DataFrame(
        {
            "CLIENT": _client_numbers(branch, since),
            "DAY": quarters.dates(branch).dt.strftime("%d.%m.%Y"),
            "OP": branch["process"].astype("str").map(codes),
            "EUR": branch["amount"],
        }
    )
    deals = tables.more["opportunities"]
    offers = pd.DataFrame(
        {
            "CLIENT": _client_numbers(deals, since),
            "DAY": quarters.dates(deals.assign(day=0)).dt.strftime("%d.%m.%Y"),
            **{name.upper(): deals[name] for name in ("opportunity_id", "product", "status")},
            "EUR": deals["amount"],
        }
    )
    described = ("CLIENT", "DAY", "%d.%m.%Y")
    deal = {"opportunity_id": "OPPORTUNITY_ID", "product": "PRODUCT", "status": "STATUS"}
    return [
        Extract("sales", "transactions", till, *described, codes={"product": _SALES_CODES},
                columns={"product": "OP", "amount": "EUR"}),
        Extract("sales", "opportunities", offers, *described, columns={**deal, "amount": "EUR"}),
        Extract("sales", "profile", _profile(tables, quarters, since), *described,
                columns={"segment": "SEGMENT", "tier": "TIER"}),
        _contacts("sales", tables, quarters, ("branch",), since),
    ]  # fmt: skip


def _profile(tables: CustomerTables, quarters: _Quarters, since: pd.Series) -> pd.DataFrame:
    """Write a row at the first transaction, and one for each later quarter with a new tier."""
    sold = tables.more["transactions"]
    margin = sold.pivot_table(
        index="customer_id", columns="period", values="margin", aggfunc="sum", fill_value=0.0
    ).reindex(columns=range(tables.window[1] + 1), fill_value=0.0)
    bought = sold.pivot_table(
        index="customer_id", columns="period", values="margin", aggfunc="size"
    )
    year = margin.T.rolling(4, min_periods=1).sum().T
    silent = bought.reindex(columns=margin.columns).T.rolling(2, min_periods=1).count().T == 0
    tier = np.select([silent, year >= PREMIER_MARGIN], ["dormant", "premier"], "basic")
    known = sold.groupby("customer_id")["period"].min().reindex(margin.index).to_numpy()
    frame = pd.DataFrame(tier, index=margin.index, columns=margin.columns)
    long = frame.stack().rename("TIER").rename_axis(["customer_id", "period"]).reset_index()
    long = long[long["period"].to_numpy() >= np.repeat(known, margin.shape[1])]
    before = long.groupby("customer_id")["TIER"].shift()
    changes = long[before.ne(long["TIER"])].assign(day=0)
    segment = tables.customers.set_index("customer_id")["segment"].astype("str")
    return pd.DataFrame(
        {
            "CLIENT": _client_numbers(changes, since),
            "DAY": quarters.dates(changes).dt.strftime("%d.%m.%Y"),
            "SEGMENT": changes["customer_id"].map(segment),
            "TIER": changes["TIER"],
        }
    )


def _web_shop(tables: CustomerTables, quarters: _Quarters) -> list[Extract]:
    sold = tables.more["transactions"]
    online = sold[sold["channel"].isin(["app", "e_mail"])]
    codes = {name: code for code, name in _WEB_CODES.items()}
    epoch = pd.Timestamp("1970-01-01")
    frame = pd.DataFrame(
        {
            "login": local_ids("web_shop", online["customer_id"]),
            "ts": (quarters.dates(online) - epoch) // pd.Timedelta(seconds=1) + 43_200,
            "type": online["process"].astype("str").map(codes),
            "cents": (online["amount"] * 100).round().astype("int64"),
        }
    )
    orders = Extract(
        "web_shop", "transactions", frame, "login", "ts", "s",
        columns={"product": "type", "amount": "cents"}, codes={"product": _WEB_CODES},
        per_unit={"amount": 100},
    )  # fmt: skip
    return [orders, _contacts("web_shop", tables, quarters, ("app", "forum"))]


def _contacts(
    function: str,
    tables: CustomerTables,
    quarters: _Quarters,
    channels: tuple[str, ...],
    since: pd.Series | None = None,
) -> Extract:
    """List contacts; their length is in seconds, except in the branches, which use minutes."""
    seen = tables.more["touchpoints"]
    mine = seen[seen["channel"].isin(channels)]
    minutes = mine["duration"]
    codes = {name: code for code, name in _OUTCOMES.items()}
    ids = (
        local_ids(function, mine["customer_id"]) if since is None else _client_numbers(mine, since)
    )
    frame = pd.DataFrame(
        {
            "WHO": ids,
            "WHEN": quarters.dates(mine).dt.strftime("%m/%d/%Y"),
            "KIND": mine["kind"].astype("str"),
            "CHANNEL": mine["channel"].astype("str"),
            "LENGTH": minutes if function == "sales" else (minutes * 60).round().astype("int64"),
            "RESULT": mine["outcome"].astype("str").map(codes),
            "REASON": mine["reason"].astype("str"),
        }
    )
    names = {"kind": "KIND", "channel": "CHANNEL", "minutes": "LENGTH", "outcome": "RESULT"}
    return Extract(
        function, "touchpoints", frame, "WHO", "WHEN", "%m/%d/%Y",
        columns={**names, "reason": "REASON"}, codes={"outcome": _OUTCOMES},
        per_unit={"minutes": 1 if function == "sales" else 60},
        read_id=_read_phones if function == "call_centre" else None,
    )  # fmt: skip


def _call_centre(tables: CustomerTables, quarters: _Quarters) -> list[Extract]:
    heard = tables.table("cases")
    phones = local_ids("call_centre", heard["customer_id"])
    spaced = phones.str.replace(
        r"^\+33(\d)(\d\d)(\d\d)(\d\d)(\d\d)$", r"0\1 \2 \3 \4 \5", regex=True
    )
    frame = pd.DataFrame(
        {
            "CALLER": spaced.where(heard["day"] % 2 == 0, phones),  # two formats of a number
            "WHEN": quarters.dates(heard).dt.strftime("%m/%d/%Y"),
            "CAUSE": heard["cause"].astype("str"),
        }
    )
    complaints = Extract(
        "call_centre", "cases", frame, "CALLER", "WHEN", "%m/%d/%Y",
        columns={"cause": "CAUSE"}, constant={"channel": "complaint"}, read_id=_read_phones,
    )  # fmt: skip
    return [complaints, _contacts("call_centre", tables, quarters, ("call_centre", "e_mail"))]


def _read_phones(text: pd.Series) -> pd.Series:
    """Bring telephone numbers into one format: +33 and nine digits."""
    return text.str.replace(r"\D", "", regex=True).str.replace(r"^(33|0)", "+33", regex=True)


def _marketing(tables: CustomerTables, quarters: _Quarters) -> Extract:
    asked = tables.table("surveys")
    addresses = local_ids("marketing", asked["customer_id"])
    frame = pd.DataFrame(
        {
            "mail": addresses.str.upper().where(asked["period"] % 2 == 0, addresses),
            "sent": quarters.dates(asked).dt.strftime("%Y-%m-%d"),
            "question": asked["channel"].astype("str"),
            "points": asked["value"] * 20,
        }
    )
    return Extract(
        "marketing", "surveys", frame, "mail", "sent",
        columns={"channel": "question", "value": "points"}, per_unit={"value": 20},
        read_id=lambda text: text.str.lower(),
    )  # fmt: skip


def _agency(tables: CustomerTables, quarters: _Quarters, streams: Streams) -> Extract:
    """Report once a year what the agency knows about a customer's business with all banks."""
    sold = tables.more["transactions"]
    yearly = sold.assign(period=sold["period"] // 4 * 4 + 3)
    ours = yearly.groupby(["customer_id", "period"])["amount"].sum().reset_index()
    share = 0.2 + 0.7 * streams.uniforms("share of business", ours["customer_id"].to_numpy(), 0)
    frame = pd.DataFrame(
        {
            "account": local_ids("agency", ours["customer_id"]),
            "day": quarters.dates(ours).dt.strftime("%Y-%m-%d"),
            "thousands": (ours["amount"] / share / 1000).round(3),
        }
    )
    return Extract(
        "agency", "outside", frame[ours["period"] <= tables.window[1]], "account", "day",
        columns={"amount": "thousands"}, per_unit={"amount": 0.001},
    )  # fmt: skip


# Registers ---------------------------------------------------------------------------------------


def _registers(tables: CustomerTables, streams: Streams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Record which ids are one person: each register covers one pair of functions."""
    person = tables.customers["customer_id"]
    ids = {name: local_ids(name, person) for name in FUNCTIONS}
    second = np.isfinite(_renumbered_from(tables, streams).loc[person].to_numpy())
    renumbered = ("N" + ids["sales"].str[1:])[second]
    pairs = [
        ("contracts", "sales", ids["sales"], "accounting", ids["accounting"]),
        ("contracts", "sales", renumbered, "accounting", ids["accounting"][second]),
        ("online access", "web_shop", ids["web_shop"], "accounting", ids["accounting"]),
        ("telephones", "call_centre", ids["call_centre"], "web_shop", ids["web_shop"]),
        ("consents", "marketing", ids["marketing"], "sales", ids["sales"]),
        ("agency", "agency", ids["agency"], "accounting", ids["accounting"]),
    ]
    links = pd.concat(
        [
            pd.DataFrame(dict(zip(LINK_COLUMNS, (f, a, g, b), strict=True))).assign(register=name)
            for name, f, a, g, b in pairs
        ],
        ignore_index=True,
    )
    numbers = [(name, ids[name], person) for name in FUNCTIONS]
    known = [*numbers, ("sales", renumbered, person[second])]
    persons = [pd.DataFrame({"function": f, "local_id": i, "person": p}) for f, i, p in known]
    return links, pd.concat(persons, ignore_index=True)
