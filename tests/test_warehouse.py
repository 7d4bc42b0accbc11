"""From functional extracts to the subject: nothing lost or doubled, and every break is seen."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import crmlab as crm
from crmlab import DataError, SpecError, warehouse
from crmlab.warehouse.identity import LINK_COLUMNS

WINDOW = ("2021-01-01", "2025-12-31")
SPAN = ("2022-01-01", "2022-12-31")
TOTALS = {"purchases": ("transactions", None), "margin": ("postings", "margin")}


@pytest.fixture(scope="module")
def bank():
    return crm.simulate(crm.bank.Bank(n_periods=20, arrival_span=8), 150, seed=5)


@pytest.fixture(scope="module")
def systems(bank):
    return warehouse.to_source_systems(bank, seed=2)


@pytest.fixture(scope="module")
def tables(systems):
    return crm.warehouse.to_subject(systems.extracts, systems.links, window=WINDOW, totals=TOTALS)


def changed(tables, name, rows):
    return replace(tables, more={**tables.more, name: rows})


# The way there and back --------------------------------------------------------------------------


def test_the_way_back_finds_every_person_and_nobody_else(systems, tables):
    found = tables.more["parties"].merge(systems.persons, on=["function", "local_id"])
    assert len(found) == len(tables.more["parties"])
    assert found.groupby("customer_id")["person"].nunique().max() == 1
    assert found.groupby("person")["customer_id"].nunique().max() == 1
    assert len(tables.customers) == 150


def test_the_panel_of_the_subject_is_the_panel_of_the_bank(bank, systems, tables):
    """Purchases and margin per person and quarter, from four functions, as the bank had them."""
    panel = crm.to_panel(tables, freq="Q")
    person = tables.more["parties"].merge(systems.persons, on=["function", "local_id"])
    number = person.drop_duplicates("customer_id").set_index("customer_id")["person"]
    order = number.loc[panel["customer_id"].values].to_numpy()
    original = crm.to_panel(bank, freq="Q").sel(customer_id=order)
    for name in ("purchases", "margin"):
        np.testing.assert_allclose(
            panel[name].fillna(0).values, original[name].fillna(0).values, atol=1e-9
        )
    assert panel["purchases"].sum() == len(bank.more["transactions"])


def test_answers_keep_their_scale(bank, tables):
    def shares(frame):
        return frame["value"].round(6).value_counts(dropna=False).sort_index().tolist()

    assert shares(tables.surveys) == shares(bank.surveys)


def test_source_systems_are_a_function_of_the_seed(bank, systems):
    again, other = (
        warehouse.to_source_systems(bank, seed=2),
        warehouse.to_source_systems(bank, seed=3),
    )
    pd.testing.assert_frame_equal(again.links, systems.links)
    assert len(other.links) != len(systems.links)
    with pytest.raises(SpecError, match="first_day"):
        warehouse.to_source_systems(bank, first_day=3, seed=1)


# Reading -----------------------------------------------------------------------------------------

TILL = pd.DataFrame(
    {
        "WHO": ["7", "", "8", "9", "9"],
        "DAY": ["31.01.2024", "01.02.2024", "2024-02-01", "02.02.2024", "03.02.2024"],
        "OP": ["1", "1", "1", "4", "2"],
        "CENTS": ["1999", "5", "5", "5", "five"],
    }
)
CODES = {"1": "deposit", "2": "withdrawal"}


def read(**changes):
    described = {
        "party": "WHO", "date": "DAY", "date_format": "%d.%m.%Y",
        "columns": {"product": "OP", "amount": "CENTS"}, "codes": {"product": CODES},
        "per_unit": {"amount": 100},
    }  # fmt: skip
    return warehouse.Extract("sales", "transactions", TILL, **described | changes)


def test_a_row_that_cannot_be_read_is_set_aside_with_its_reason():
    rows, aside = warehouse.read_extract(read())
    assert rows["amount"].tolist() == [19.99]
    assert dict(zip(aside["source_row"], aside["reason"], strict=True)) == {
        1: "no id",
        2: "date cannot be read",
        3: "code of product is not listed",
        4: "amount is not a number",
    }


def test_rows_read_and_set_aside_add_up(systems, tables):
    broken = replace(systems.extracts[0], frame=systems.extracts[0].frame.assign(POSTED="soon"))
    extracts = (broken, *systems.extracts[1:])
    found = crm.warehouse.to_subject(
        extracts, systems.links, window=("2022-01-01", "2023-12-31"), totals=TOTALS
    )
    aside = found.more["set_aside"]["reason"].value_counts()
    assert aside["date cannot be read"] == len(broken.frame)
    assert warehouse.check_subject_oriented(extracts, found).holds


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"party": "NAME"}, "`NAME` is missing"),
        ({"codes": {"channel": {}}}, "`channel`, which is not in columns"),
        ({"columns": {"customer_id": "WHO"}, "codes": {}, "per_unit": {}}, "is reserved"),
        ({"constant": {"product": "x"}}, "both read and constant"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(changes, words):
    with pytest.raises(SpecError, match=words):
        read(**changes)


def test_two_extracts_of_one_function_for_one_table_are_refused():
    links = pd.DataFrame(columns=LINK_COLUMNS)
    with pytest.raises(SpecError, match="two extracts of 'sales'"):
        crm.warehouse.to_subject([read(), read()], links, window=("2024-01-01", "2024-12-31"))
    with pytest.raises(SpecError, match="'visits', which no extract"):
        crm.warehouse.to_subject(
            [read()], links, window=("2024-01-01", "2024-12-31"), totals={"n": ("visits", None)}
        )


# Identity ----------------------------------------------------------------------------------------

_NODES = st.tuples(st.sampled_from(["sales", "web"]), st.sampled_from("abcdef"))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(_NODES, min_size=1, max_size=12),
    st.lists(st.tuples(_NODES, _NODES), max_size=8),
)
def test_customers_are_the_components_of_the_graph(nodes, edges):
    """Networkx is the oracle, and the order of rows changes nobody."""
    parties = pd.DataFrame(sorted(set(nodes)), columns=["function", "local_id"])
    links = pd.DataFrame([(*a, *b) for a, b in edges], columns=LINK_COLUMNS).astype("str")
    found = warehouse.join_ids(parties, links)
    graph = nx.Graph(edges)
    graph.add_nodes_from(nodes)
    mine = found.groupby("customer_id")[["function", "local_id"]].apply(
        lambda rows: frozenset(rows.itertuples(index=False, name=None))
    )
    theirs = {frozenset(set(part) & set(nodes)) for part in nx.connected_components(graph)}
    assert set(mine) == theirs - {frozenset()}
    shuffled = warehouse.join_ids(parties, links.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(found, shuffled)


def test_a_key_that_too_many_share_links_nobody():
    keys = pd.DataFrame(
        {
            "function": ["sales", "web", "web", "web", "web", "sales"],
            "local_id": list("abcdef"),
            "key": ["x", "x", "n/a", "n/a", "n/a", "n/a"],
        }
    )
    links, refused = warehouse.link_by_key(keys)
    assert links.values.tolist() == [["web", "b", "sales", "a"]]
    assert refused.values.tolist() == [["n/a", 4]]


def test_a_link_with_an_empty_end_is_refused():
    links = pd.DataFrame([("web", None, "sales", "7")], columns=LINK_COLUMNS)
    parties = pd.DataFrame({"function": ["web"], "local_id": ["x"]})
    with pytest.raises(DataError, match="1 rows with an empty end"):
        warehouse.join_ids(parties, links)


# The four properties: whole tables pass, and each break is found, to the row ----------------------


def test_whole_tables_pass_all_four(systems, tables):
    known = {"product": ["deposit", "withdrawal", "card", "loan", "investment"]}
    findings = [
        warehouse.check_subject_oriented(systems.extracts, tables),
        warehouse.check_integrated(tables, codes=known, units=[("transactions", "amount")]),
        warehouse.check_non_volatile(tables, tables),
        warehouse.check_time_variant(tables),
    ]
    assert [finding.holds for finding in findings] == [True] * 4
    assert min(finding.checked for finding in findings) > 10_000
    assert repr(findings[3]).startswith("time-variant: holds (")


def test_a_join_that_multiplies_is_found_to_the_row(systems, tables):
    sold, parties = tables.more["transactions"], tables.more["parties"]
    numbers = parties[parties["function"] == "sales"][["customer_id", "local_id"]]
    joined = sold.merge(numbers, on="customer_id")
    finding = warehouse.check_subject_oriented(
        systems.extracts, changed(tables, "transactions", joined)
    )
    partners = sold["customer_id"].map(numbers["customer_id"].value_counts()).fillna(0)
    assert finding.counts == {
        "lost": (partners == 0).sum(),
        "multiplied": (partners > 1).sum(),
        "from nowhere": 0,
    }
    assert set(finding.rows["into"]) == {"transactions"}


def test_a_row_from_nowhere_is_found(systems, tables):
    sold = tables.more["transactions"]
    invented = pd.concat([sold, sold.head(1).assign(source_row=10**6)], ignore_index=True)
    finding = warehouse.check_subject_oriented(
        systems.extracts, changed(tables, "transactions", invented)
    )
    assert finding.counts == {"lost": 0, "multiplied": 0, "from nowhere": 1}


def test_an_unknown_code_and_another_unit_are_found(tables):
    sold = tables.more["transactions"]
    online = sold["function"] == "web_shop"
    cents = sold.assign(
        amount=sold["amount"].where(~online, sold["amount"] * 100),
        product=sold["product"].mask(sold.index == 5, "DEP"),
    )
    finding = warehouse.check_integrated(
        changed(tables, "transactions", cents),
        codes={"product": ["deposit", "withdrawal", "card", "loan", "investment"]},
        units=[("transactions", "amount")],
    )
    assert finding.counts["code not on the list"] == 1
    odd = finding.rows[finding.rows["rule"] == "unit unlike the others"]
    assert odd["function"].tolist() == ["web_shop"]


def test_people_who_share_what_is_personal_are_found(tables):
    people = tables.customers["customer_id"].head(3).tolist()
    start = tables.customers["start"].head(3)
    numbers = pd.DataFrame(
        {
            "customer_id": [people[0], people[1], people[2], people[2]],
            "date": [start[0], start[1], start[2], start[2]],
            "attribute": "tax_number",
            "value": ["1", "1", "2", "3"],
            "function": "sales",
            "source_row": [90_001, 90_002, 90_003, 90_004],
        }
    )
    log = pd.concat([tables.more["profile"], numbers], ignore_index=True)
    finding = warehouse.check_integrated(changed(tables, "profile", log), unique=["tax_number"])
    assert finding.counts["one person, two customers"] == 2
    assert finding.counts["one customer, two persons"] == 2
    with pytest.raises(SpecError, match="'shoe_size'"):
        warehouse.check_integrated(tables, unique=["shoe_size"])


def test_what_is_gone_or_changed_between_two_loads_is_found(tables):
    sold = tables.more["transactions"]
    later = sold.drop(index=[3, 4]).assign(amount=lambda f: f["amount"].mask(f.index == 7, 1.0))
    finding = warehouse.check_non_volatile(tables, changed(tables, "transactions", later))
    assert finding.counts == {"gone": 2, "changed": 1}
    lost = finding.rows[finding.rows["rule"] == "gone"]
    assert lost["source_row"].tolist() == sold.loc[[3, 4], "source_row"].tolist()


def test_more_rows_are_no_break(systems, tables):
    earlier = crm.warehouse.to_subject(
        systems.extracts, systems.links, window=(WINDOW[0], "2023-12-31"), totals=TOTALS
    )
    assert warehouse.check_non_volatile(earlier, tables).holds
    assert not warehouse.check_non_volatile(tables, earlier).holds


def test_an_overwritten_history_is_found(tables):
    """Dated at the first row it knows the future; dated at the last, it does not know the past."""
    log = tables.more["profile"]
    finding = warehouse.check_time_variant(changed(tables, "profile", warehouse.overwrite(log)))
    ends = log.sort_values("date").groupby(["customer_id", "attribute"])["value"]
    assert finding.counts["knows the future"] == (ends.first() != ends.last()).sum()
    last = log.sort_values("date").drop_duplicates(["customer_id", "attribute"], keep="last")
    late = warehouse.check_time_variant(changed(tables, "profile", last))
    assert late.counts["unknown at first"] > 20


def test_two_values_at_one_time_are_found(tables):
    log = tables.more["profile"]
    twice = pd.concat([log, log.head(1).assign(value="else", source_row=10**6)], ignore_index=True)
    finding = warehouse.check_time_variant(changed(tables, "profile", twice))
    assert finding.counts["two values at one time"] == 2


def test_a_table_without_time_is_found(tables):
    scores = tables.customers[["customer_id"]].assign(score=1.0)
    finding = warehouse.check_time_variant(changed(tables, "scores", scores))
    assert finding.counts["without a time"] == 150


# History -----------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 300), st.sampled_from("xyz")),
        min_size=1, max_size=15, unique_by=lambda row: row[:2],
    ),
    st.integers(0, 320),
)  # fmt: skip
def test_the_state_at_a_date_is_the_last_row_before_it(rows, day):
    first = pd.Timestamp("2024-01-01")
    log = pd.DataFrame(rows, columns=["customer_id", "day", "value"]).assign(attribute="tier")
    log = log.assign(date=first + pd.to_timedelta(log["day"], unit="D")).drop(columns="day")
    people = pd.DataFrame({"customer_id": [0, 1, 2]}).assign(start=first)
    tables = crm.CustomerTables(people, window=("2024-01-01", "2024-12-31"), more={"profile": log})
    seen = warehouse.as_of(tables, first + pd.Timedelta(days=day))["tier"]
    for who in range(3):
        before = sorted((d, v) for w, d, v in rows if w == who and d <= day)
        assert (seen[who] == before[-1][1]) if before else pd.isna(seen[who])
    intervals = warehouse.validity(log)
    inside = first + pd.Timedelta(days=day)
    open_then = intervals[
        (intervals["date"] <= inside) & ~(intervals["until"] <= inside)
    ].set_index("customer_id")["value"]
    assert open_then.to_dict() == seen.dropna().to_dict()


def test_stages_by_period_take_the_value_at_the_end():
    log = pd.DataFrame(
        {
            "customer_id": 1,
            "attribute": "tier",
            "value": ["basic", "premier", "basic"],
            "date": pd.to_datetime(["2024-02-10", "2024-05-01", "2024-06-30"]),
        }
    )
    path = warehouse.stages_by_period(log, "tier", window=("2024-01-01", "2024-12-31"), freq="Q")
    assert path[["period", "stage"]].values.tolist() == [
        [0, "basic"], [1, "basic"], [2, "basic"], [3, "basic"],
    ]  # fmt: skip


def test_customers_carry_what_was_first_known(tables):
    """A training window must not learn from a later tier."""
    log = tables.more["profile"].query("attribute == 'tier'").sort_values("date")
    first = log.drop_duplicates("customer_id").set_index("customer_id")["value"]
    held = tables.customers.set_index("customer_id")["tier"].astype("str").reindex(first.index)
    assert (held == first).all()
    train, _ = crm.split_holdout(tables, cutoff="2023-01-01")
    assert train.more["profile"]["date"].max() < pd.Timestamp("2023-01-01")


# Quality and the seven questions -----------------------------------------------------------------


def test_completeness_validity_and_staleness():
    frame = pd.DataFrame(
        {
            "customer_id": [1, 1, 2],
            "date": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])
            + pd.Timedelta(hours=9),
            "reason": ["loan", " ", "xxx"],
        }
    )
    assert warehouse.measure_completeness(frame)["reason"] == pytest.approx(2 / 3)
    judged = warehouse.measure_validity(frame, {"reason": lambda text: text != "xxx"})
    assert judged.loc["reason"].tolist() == [3, 1, pytest.approx(2 / 3)]
    assert warehouse.measure_staleness(frame, date="2024-02-10").to_dict() == {1: 9}
    assert np.isnan(warehouse.measure_completeness(frame.head(0))["reason"])
    with pytest.raises(SpecError, match="`age`"):
        warehouse.measure_validity(frame, {"age": (0, 120)})


def test_seven_questions_agree_with_the_bank_s_own_tables(bank, tables):
    def own(name):
        return bank.more[name].query("4 <= period <= 7")

    happened = warehouse.what_happened(tables, SPAN)
    assert happened["contacts"].sum() == len(own("touchpoints"))
    done = (own("touchpoints")["outcome"] == "done").sum()
    assert (happened["contacts"] * happened["settled"]).sum() == pytest.approx(done)
    received = warehouse.how_received(tables, SPAN)
    answers = bank.surveys.query("4 <= period <= 7 and channel == 'satisfaction'")["value"]
    complaints = bank.cases.query("4 <= period <= 7")
    assert received["positive"].sum() == (answers > 3).sum()
    assert received["negative"].sum() == (answers < 3).sum() + len(complaints)
    causes = warehouse.why_negative(tables, SPAN).set_index("cause")["complaints"]
    assert causes.to_dict() == complaints["cause"].value_counts().loc[causes.index].to_dict()
    needs = warehouse.needs_met(tables, SPAN)
    decided = own("opportunities").drop_duplicates("opportunity_id", keep="last")["status"]
    assert needs["gap"].sum() == (decided == "lost").sum()
    assert (needs["bridge"] <= needs["gap"]).all()
    ours = warehouse.share_of_business(tables, SPAN)
    assert ours["ours"].sum() == pytest.approx(own("transactions")["amount"].sum())
    assert ours["share"].between(0.199, 0.901).all()
    held = warehouse.products_held(tables, SPAN)["n_products"]
    assert held.sum() == len(own("transactions")[["customer_id", "process"]].drop_duplicates())
    professional = bank.customers.query("segment == 'professional'")["customer_id"]
    history = warehouse.institutional_history(tables, SPAN, segments=("professional",))
    assert len(history) == own("transactions")["customer_id"].isin(professional).sum()


def test_a_question_names_the_table_that_it_lacks(tables):
    without = replace(tables, more={k: v for k, v in tables.more.items() if k != "outside"})
    with pytest.raises(DataError, match="'outside'"):
        warehouse.share_of_business(without, SPAN)
    with pytest.raises(SpecError, match="span"):
        warehouse.products_held(tables, ("2024-01-01", "2023-01-01"))
