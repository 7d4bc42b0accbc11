import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from crmlab.errors import DataError, SpecError
from crmlab.tables import CustomerTables, read_tables, storage, write_tables
from tests.table_strategies import customer_tables
from tests.test_tables import Untouchable

ONE = pd.DataFrame({"customer_id": [1]})
VISIT = pd.DataFrame({"customer_id": [1], "period": [0], "channel": ["visits"]})
FORMATS = ("csv", "parquet")


def assert_same(tables, other):
    assert other.window == tables.window
    assert other.units == tables.units
    assert other.provenance == tables.provenance
    pd.testing.assert_frame_equal(other.customers, tables.customers, check_exact=True)
    pairs = zip(tables.records(), other.records(), strict=True)
    for (form, frame), (other_form, other_frame) in pairs:
        assert other_form == form
        pd.testing.assert_frame_equal(other_frame, frame, check_exact=True)


# Round trips --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(tables=customer_tables(), format=st.sampled_from(FORMATS))
def test_tables_come_back_as_they_were(tmp_path_factory, tables, format):
    folder = tmp_path_factory.mktemp("tables") / "firm"
    write_tables(tables, folder, format=format)
    assert_same(tables, read_tables(folder))


@pytest.mark.parametrize("format", FORMATS)
def test_everything_that_is_beside_the_tables_comes_back(tmp_path, format):
    tables = CustomerTables(
        ONE,
        VISIT.assign(shop=["007"], seconds=[0.1 + 0.2], gift=[True]),
        window=(0, 3),
        units={"visits": "visits"},
        provenance={"world": {"rate": [0.3, 1.5]}, "seed": 1, "note": "Méridienne"},
    )
    assert_same(tables, read_tables(write_tables(tables, tmp_path / "firm", format=format)))


def test_provenance_of_numpy_comes_back_as_numbers(tmp_path):
    provenance = {"seed": np.int64(1), "rates": np.array([0.1, 0.2])}
    tables = CustomerTables(ONE, VISIT, provenance=provenance)
    assert read_tables(write_tables(tables, tmp_path / "firm")).provenance == {
        "seed": 1,
        "rates": [0.1, 0.2],
    }


@pytest.mark.bits
def test_writing_twice_writes_the_same_bytes(tmp_path):
    tables = CustomerTables(ONE, VISIT, window=(0, 3))
    first, second = (write_tables(tables, tmp_path / name) for name in "ab")
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (second / path.name).read_bytes()


# All or nothing -----------------------------------------------------------------------------------


def test_a_folder_is_replaced_whole(tmp_path):
    write_tables(CustomerTables(ONE, VISIT, window=(0, 3)), tmp_path / "firm")
    write_tables(CustomerTables(ONE, window=(0, 9)), tmp_path / "firm", format="parquet")
    found = sorted(path.name for path in (tmp_path / "firm").iterdir())
    assert found == ["customers.parquet", "tables.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["firm"]
    assert read_tables(tmp_path / "firm").window == (0, 9)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("failing", ["events", "customers"])
def test_a_failing_write_leaves_the_old_folder(tmp_path, monkeypatch, format, failing):
    old = CustomerTables(ONE, VISIT, window=(0, 3))
    folder = write_tables(old, tmp_path / "firm")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_frame = storage._write_frame

    def full_disk(frame, path):
        write_frame(frame, path)
        if path.stem == failing:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "_write_frame", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_tables(CustomerTables(ONE, VISIT, window=(0, 9)), folder, format=format)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["firm"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(SpecError, match="is something else and stays as it is"):
        write_tables(CustomerTables(ONE, VISIT), tmp_path)
    with pytest.raises(SpecError, match="is a file"):
        write_tables(CustomerTables(ONE, VISIT), tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


@pytest.mark.parametrize("name", ["notes.txt", "customers.csv", "answer_key.json"])
def test_a_file_of_others_among_the_tables_survives(tmp_path, name):
    folder = write_tables(CustomerTables(ONE, VISIT), tmp_path / "firm", format="parquet")
    (folder / name).write_text("mine")
    with pytest.raises(SpecError, match=f"also holds {name}"):
        write_tables(CustomerTables(ONE, VISIT), folder)
    assert (folder / name).read_text() == "mine"


def test_a_folder_from_elsewhere_is_read_and_never_replaced(tmp_path):
    (tmp_path / "customers.csv").write_text("customer_id\n1\n")
    tables = read_tables(tmp_path, window=(0, 3))
    with pytest.raises(SpecError, match="'crmlab tables' in its tables"):
        write_tables(tables, tmp_path)
    assert (tmp_path / "customers.csv").read_text() == "customer_id\n1\n"


def test_tables_of_an_older_version_are_replaced(tmp_path):
    """Their mark names the tables and not the files."""
    folder = write_tables(CustomerTables(ONE, VISIT, window=(0, 3)), tmp_path / "firm")
    mark = json.loads((folder / "tables.json").read_text())
    del mark["files"]
    (folder / "tables.json").write_text(json.dumps(mark))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(SpecError, match=r"also holds notes\.txt"):
        write_tables(CustomerTables(ONE, window=(0, 9)), folder)
    (folder / "notes.txt").unlink()
    write_tables(CustomerTables(ONE, window=(0, 9)), folder)
    assert read_tables(folder).window == (0, 9)


def test_what_json_cannot_say_is_refused_before_anything_is_written(tmp_path):
    for wrong in ({"world": object()}, {(1, 2): 3}):
        with pytest.raises(SpecError, match="provenance of the tables cannot be written as JSON"):
            write_tables(CustomerTables(ONE, VISIT, provenance=wrong), tmp_path / "firm")
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(SpecError, match="write_tables: `format` must be 'csv' or"):
        write_tables(CustomerTables(ONE, VISIT), tmp_path / "firm", format="xlsx")


def test_the_truth_is_not_written(tmp_path):
    tables = CustomerTables(ONE, VISIT, truth=Untouchable())
    folder = write_tables(tables, tmp_path / "firm")
    assert sorted(path.name for path in folder.iterdir()) == [
        "customers.csv",
        "events.csv",
        "tables.json",
    ]
    assert read_tables(folder).truth is None


# Folders from elsewhere ---------------------------------------------------------------------------


def folder_of(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_plain_folder(tmp_path):
    folder = folder_of(
        tmp_path,
        customers="customer_id,segment,age\n1,b2c,34\n2,b2b,NA\n",
        events="customer_id,date,channel,value\n1,2024-01-31,NA,12.5\n",
    )
    tables = read_tables(folder, window=("2024-01-01", "2024-12-31"), units={"NA": "EUR"})
    assert tables.customers["customer_id"].tolist() == [1, 2]
    assert tables.customers["age"].isna().tolist() == [False, True]
    assert tables.channels == {"NA": "events"}  # a name is a name
    assert tables.window[1] == pd.Timestamp("2024-12-31")
    assert tables.units == {"NA": "EUR"}


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        (["7", "12"], [7, 12]),
        (["-3", "0"], [-3, 0]),
        (["007", "12"], ["007", "12"]),
        (["7", "A7"], ["7", "A7"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["9" * 18, "9" * 17], [10**18 - 1, 10**17 - 1]),
        (["9" * 30, "1"], ["9" * 30, "1"]),
    ],
    ids=str,
)
def test_ids_lose_nothing(tmp_path, ids, read):
    folder = folder_of(
        tmp_path,
        customers="customer_id\n" + "\n".join(ids),
        cases=f"customer_id,period,channel\n{ids[0]},3,complaints\n",
    )
    tables = read_tables(folder)
    assert tables.customers["customer_id"].tolist() == read
    assert tables.cases["customer_id"].tolist() == read[:1]


def test_an_id_that_makes_all_of_them_text_is_reported(tmp_path):
    folder = folder_of(
        tmp_path,
        customers="customer_id\n1\n",
        cases="customer_id,period,channel\nX1,3,complaints\n",
    )
    with pytest.raises(DataError, match=r"cases: 1 row whose customer_id is not in customers"):
        read_tables(folder)


def test_all_problems_of_the_files_are_reported_at_once(tmp_path):
    folder = folder_of(
        tmp_path,
        event="customer_id,period,channel\n",
        cases="",
        surveys='customer_id,period,channel,value\n1,0,a,"1\n',
    )
    (folder / "labels.parquet").write_bytes(b"no parquet")
    (folder / "actions.csv").write_bytes(b"customer_id,action\n1,\xff\xfe\n")
    (folder / "tables.json").write_text("{")
    with pytest.raises(DataError) as caught:
        read_tables(folder)
    message = str(caught.value)
    for words in (
        ": 7 problems",
        "event.csv: unknown table",
        "customers.csv (or .parquet) is missing",
        "tables.json: is not of the format",
        "cases.csv: is empty",
        "surveys.csv: cannot be read",
        "labels.parquet: cannot be read",
        "actions.csv: cannot be read",
    ):
        assert words in message


def test_a_missing_folder_says_so(tmp_path):
    with pytest.raises(DataError, match=r"read_tables\(nowhere\): there is no such folder"):
        read_tables(tmp_path / "nowhere")


def test_a_table_there_twice_or_not_at_all_is_refused(tmp_path):
    folder = write_tables(CustomerTables(ONE, VISIT), tmp_path / "firm")
    (folder / "events.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"events: exists as \.csv and as \.parquet"):
        read_tables(folder)
    for path in folder.glob("events.*"):
        path.unlink()
    with pytest.raises(DataError, match=r"events: listed in tables\.json, but missing"):
        read_tables(folder)


@pytest.mark.parametrize("manifest", ["[]", '{"format": "other"}'])
def test_a_manifest_of_another_kind_is_refused(tmp_path, manifest):
    folder = write_tables(CustomerTables(ONE, VISIT), tmp_path / "firm")
    (folder / "tables.json").write_text(manifest)
    with pytest.raises(DataError, match="is not of the format 'crmlab tables', version 1"):
        read_tables(folder)


def test_a_newer_version_is_refused(tmp_path):
    folder = write_tables(CustomerTables(ONE, VISIT), tmp_path / "firm")
    manifest = json.loads((folder / "tables.json").read_text())
    (folder / "tables.json").write_text(json.dumps({**manifest, "version": 2}))
    with pytest.raises(DataError, match="version 1"):
        read_tables(folder)
