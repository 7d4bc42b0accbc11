"""Further tables beside the records, and the truth on disk: what the bank needs of the format."""

import json

import pandas as pd
import pytest

import crmlab as crm
from crmlab.tables.customer_tables import with_provenance

CUSTOMERS = pd.DataFrame({"customer_id": [1, 2, 3], "start": [0, 1, 4]})
VISITS = pd.DataFrame({"customer_id": [1, 2], "period": [0, 2], "channel": "visits"})
CALLS = pd.DataFrame(
    {
        "customer_id": [1, 2, 3],
        "period": [1, 2, 5],
        "minutes": [2.5, None, 4.0],
        "line": pd.Categorical(["a", "b", "a"], categories=["b", "a"]),
    }
)
PRICES = pd.DataFrame({"item": ["call", "visit"], "price": [1.0, 20.0]})
TRUTH = {"stages": pd.DataFrame({"customer_id": [1, 2], "period": [0, 2], "stage": ["new", "old"]})}


def made(**more):
    beside = {"calls": CALLS, "prices": PRICES, **more}
    return crm.CustomerTables(CUSTOMERS, VISITS, window=(0, 5), truth=TRUTH, more=beside)


def test_further_tables_are_kept_and_the_panel_does_not_read_them():
    tables = made()
    pd.testing.assert_frame_equal(tables.more["calls"], CALLS)
    assert "3 calls; 2 prices" in repr(tables)
    assert set(crm.to_panel(tables, freq="M").data_vars) == {"visits", "observed"}


def test_further_tables_are_copies():
    calls = CALLS.copy()
    tables = crm.CustomerTables(CUSTOMERS, VISITS, window=(0, 5), more={"calls": calls})
    calls.loc[0, "minutes"] = 99.0
    assert tables.more["calls"].loc[0, "minutes"] == 2.5


def test_everything_wrong_with_further_tables_is_said_at_once():
    strange = pd.DataFrame({"customer_id": [1, 9], "period": [0, 0]})
    late = pd.DataFrame({"customer_id": [1, 3], "period": [8, 1]})
    odd = pd.DataFrame({"what": [object(), {}]})
    gaps = pd.DataFrame({"customer_id": [1, None]})
    with pytest.raises(crm.DataError) as error:
        made(events=CALLS, **{"a b": CALLS}, strange=strange, late=late, odd=odd, gaps=gaps, no=1)
    message = str(error.value)
    for words in (
        "'events' is not a free table name",
        "'a b' is not a free table name",
        "strange: 1 row whose customer_id is not in customers",
        "late: 1 row outside the window 0 to 5",
        "late: 1 row outside their customer's window",
        "odd: column `what`",
        "gaps: 1 row whose customer_id cannot be read",
        "`no` must be a pandas DataFrame",
    ):
        assert words in message


def test_a_split_cuts_further_tables_in_time_and_keeps_those_without():
    train, holdout = crm.split_holdout(made(), cutoff=2)
    assert train.more["calls"]["customer_id"].tolist() == [1]
    assert holdout.more["calls"]["customer_id"].tolist() == [2, 3]
    pd.testing.assert_frame_equal(train.more["prices"], holdout.more["prices"])
    assert train.truth is None


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_further_tables_and_truth_travel_in_folders_of_their_own(tmp_path, format):
    tables = made()
    crm.write_tables(tables, tmp_path / "firm", format=format, truth_folder=tmp_path / "key")
    assert not list((tmp_path / "firm").glob("stages*"))
    read = crm.read_tables(tmp_path / "firm")
    for name, frame in tables.more.items():
        pd.testing.assert_frame_equal(read.more[name], frame)
    stored = json.loads((tmp_path / "key" / "answer_key.json").read_text(encoding="utf-8"))
    assert "Not for learners" in stored["warning"]
    truth = crm.tables.read_truth(tmp_path / "key")
    pd.testing.assert_frame_equal(truth["stages"], TRUTH["stages"])
    crm.write_tables(tables, tmp_path / "firm", format=format, truth_folder=tmp_path / "key")


def test_truth_is_written_only_where_it_may_be(tmp_path):
    tables = made()
    for inside in ("firm", "firm/key"):
        with pytest.raises(crm.SpecError, match="outside `folder`"):
            crm.write_tables(tables, tmp_path / "firm", truth_folder=tmp_path / inside)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "essay.txt").write_text("mine")
    with pytest.raises(crm.SpecError, match="mine is something else"):
        crm.write_tables(tables, tmp_path / "firm", truth_folder=tmp_path / "mine")
    train, _ = crm.split_holdout(tables, cutoff=2)
    with pytest.raises(crm.SpecError, match="must be left out for tables without truth"):
        crm.write_tables(train, tmp_path / "firm", truth_folder=tmp_path / "key")
    assert not (tmp_path / "firm").exists()


def test_a_folder_that_is_no_key_says_so(tmp_path):
    with pytest.raises(crm.DataError, match="not an answer key"):
        crm.tables.read_truth(tmp_path)
    crm.write_tables(made(), tmp_path / "firm", truth_folder=tmp_path / "key")
    (tmp_path / "key" / "stages.csv").unlink()
    with pytest.raises(crm.DataError, match="stages: listed"):
        crm.tables.read_truth(tmp_path / "key")


def test_provenance_is_added_without_touching_the_tables():
    tables = made()
    stamped = with_provenance(tables, {"seed": 1})
    assert stamped.provenance == {"seed": 1}
    assert tables.provenance == {}
    assert stamped.events is tables.events
