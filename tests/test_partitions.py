"""Data sets on disk: the same bytes however they were made, and whole whatever kills the work."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

import crmlab as crm
from crmlab.errors import DataError, SpecError
from crmlab.generators.bank.world import Bank
from crmlab.generators.confounding import confounded_world
from crmlab.generators.partitions import read_dataset, verify_dataset, write_dataset

SHOWN = (
    crm.Poisson("orders", rate=(3.0, 1.0, 0.0)),
    crm.OrdinalSurvey("survey", location=(1.0, -1.0, -2.0), response_rate=0.3),
    crm.StageLabel("report", confusion=0.7 * np.eye(3) + 0.1, response_rate=0.2),
)
WORLD = replace(confounded_world(), channels=SHOWN, policy=crm.actions.RandomPolicy({"call": 0.3}))
SIZES = {"n_customers": 20, "seed": 3, "partition_size": 8}


def digests(folder, *, of="parquet"):
    """Checksum of every file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(f"*.{of}"))
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_dataset(WORLD, tmp_path_factory.mktemp("data") / "firm", **SIZES)


# The same bytes -----------------------------------------------------------------------------------


@pytest.mark.bits
@pytest.mark.parametrize("block_size", [1, 5, 1000])
def test_the_size_of_a_block_does_not_show(made, tmp_path, block_size):
    other = write_dataset(WORLD, tmp_path / "firm", **SIZES, block_size=block_size)
    assert digests(other, of="*") == digests(made, of="*")


@pytest.mark.bits
def test_the_number_of_workers_does_not_show(made, tmp_path):
    for workers in (1, 2):
        # "spawn": the workers know nothing but what they are sent.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
            folder = tmp_path / str(workers)
            write_dataset(WORLD, folder, **SIZES, executor=executor, block_size=7)
        assert digests(folder, of="*") == digests(made, of="*")


@pytest.mark.bits
def test_ten_times_the_customers_leave_the_first_as_they_were(made, tmp_path):
    larger = write_dataset(WORLD, tmp_path / "firm", **{**SIZES, "n_customers": 200})
    few, many = digests(made), digests(larger)
    whole = {name: digest for name, digest in few.items() if "part-00002" not in name}
    assert whole
    assert whole.items() <= many.items()
    last = pd.read_parquet(made / "tables/events/part-00002.parquet")
    grown = pd.read_parquet(larger / "tables/events/part-00002.parquet")
    pd.testing.assert_frame_equal(last, grown[grown["customer_id"] < 20].reset_index(drop=True))


def test_a_data_set_grows_without_making_its_parts_again(tmp_path):
    write_dataset(WORLD, tmp_path / "firm", **SIZES)
    before = stamps(tmp_path / "firm")
    write_dataset(WORLD, tmp_path / "firm", **{**SIZES, "n_customers": 30})
    after = stamps(tmp_path / "firm")
    assert all(after[name] == stamp for name, stamp in before.items() if "part-00002" not in name)
    assert verify_dataset(tmp_path / "firm") == []
    fresh = write_dataset(WORLD, tmp_path / "fresh", **{**SIZES, "n_customers": 30})
    assert digests(tmp_path / "firm", of="*") == digests(fresh, of="*")


def stamps(folder):
    return {p.relative_to(folder).as_posix(): p.stat().st_ino for p in folder.rglob("*.parquet")}


@pytest.mark.bits
def test_a_bank_of_communities_shows_no_blocks_either(tmp_path):
    sizes = {"n_customers": 120, "seed": 3, "partition_size": 100}
    made = [
        write_dataset(Bank(n_periods=4), tmp_path / str(block), **sizes, block_size=block)
        for block in (50, 33, 100)
    ]
    assert digests(made[0], of="*") == digests(made[1], of="*") == digests(made[2], of="*")
    assert set(read_dataset(made[0]).more) == set(crm.simulate(Bank(n_periods=4), 2, seed=1).more)


# Killed -------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
import test_partitions as t
from crmlab.generators import partitions

calls, replace = [], os.replace
def die(*arguments):
    calls.append(arguments)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(*arguments)

partitions.os.replace = die
partitions.write_dataset(t.WORLD, {folder!r}, **t.SIZES)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
# The mark, then 7 files and a receipt for each part: before the mark, before the first file, within
# the second part, before the third receipt, and before the manifest.
@pytest.mark.parametrize("call", [1, 2, 13, 25, 27])
def test_a_killed_run_is_finished_by_the_next_one(made, tmp_path, call):
    folder = tmp_path / "firm"
    here = os.path.dirname(__file__)
    script = KILLED.format(paths=[os.path.dirname(here), here], call=call, folder=str(folder))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert verify_dataset(folder) == ["manifest.json is missing: the data set was never finished"]
    whole = digests(made)
    for name, digest in digests(folder).items():
        assert name.startswith(".aside") or whole[name] == digest
    finished = {path.stem for path in (folder / "parts").glob("*.json")}
    assert len(finished) == max(call - 2, 0) // 8
    before = {name: s for name, s in stamps(folder).items() if name[-16:-8] in finished}
    write_dataset(WORLD, folder, **SIZES)
    assert digests(folder, of="*") == digests(made, of="*")
    after = stamps(folder)
    assert all(after[name] == stamp for name, stamp in before.items())
    assert not (folder / ".aside").exists()


@dataclass(frozen=True)
class Fragile(crm.Generator):
    """Works until it meets customer 18."""

    def sample(self, streams, customers):
        if (customers == 18).any():
            raise OSError("the disk is full")
        return WORLD.sample(streams, customers)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_passed_on_and_leaves_whole_parts(tmp_path, workers):
    executor = ThreadPoolExecutor(workers) if workers else None
    with pytest.raises(OSError, match="the disk is full"):
        write_dataset(Fragile(), tmp_path / "firm", **SIZES, executor=executor)
    assert not (tmp_path / "firm" / "manifest.json").exists()
    assert len(list((tmp_path / "firm" / "parts").glob("*"))) == 2


def test_a_damaged_part_is_found_and_made_again(tmp_path):
    folder = write_dataset(WORLD, tmp_path / "firm", **SIZES)
    sound = digests(folder)
    hurt = folder / "tables/events/part-00001.parquet"
    hurt.write_bytes(hurt.read_bytes()[:-1])
    (folder / "truth/stages/part-00000.parquet").unlink()
    assert verify_dataset(folder) == [
        "truth/stages/part-00000.parquet is missing",
        "tables/events/part-00001.parquet has changed",
    ]
    write_dataset(WORLD, folder, **SIZES)
    assert digests(folder) == sound
    assert verify_dataset(folder) == []


def test_progress_counts_the_parts(tmp_path):
    told = []
    for _ in range(2):
        write_dataset(WORLD, tmp_path / "firm", **SIZES, progress=lambda *n: told.append(n))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3), (3, 3)]


# What is in it ------------------------------------------------------------------------------------


@pytest.mark.bits
def test_the_tables_are_those_of_simulate(made):
    simulated = crm.simulate(WORLD, 20, seed=3)
    read = read_dataset(made, truth=True)
    assert read.window == simulated.window
    panels = [crm.to_panel(tables, freq="M") for tables in (read, simulated)]
    assert panels[0].equals(panels[1])
    assert panels[0]["report"].attrs == panels[1]["report"].attrs
    for name, frame in simulated.truth.items():
        pd.testing.assert_frame_equal(
            read.truth[name], frame.astype({"action": "str"}) if "action" in frame else frame
        )


def test_parts_can_be_read_alone(made):
    some = read_dataset(made, parts=[0, 2])
    assert some.customers["customer_id"].tolist() == [*range(8), *range(16, 20)]
    assert some.truth is None
    with pytest.raises(DataError, match="lacks some of the parts"):
        read_dataset(made, parts=[3])


def test_the_tables_can_be_read_without_the_rest(made, tmp_path):
    (tmp_path / "given").mkdir()
    os.symlink(made / "tables", tmp_path / "given" / "tables")
    assert read_dataset(tmp_path / "given").provenance == {}
    with pytest.raises(DataError, match="there is no folder truth"):
        read_dataset(tmp_path / "given", truth=True)


def test_what_is_handed_out_holds_neither_truth_nor_parameters(made):
    for path in (made / "tables").rglob("*"):
        assert "stages" not in path.name
        assert path.is_dir() or b"transition_matrix" not in path.read_bytes()
    assert "transition_matrix" in (made / "manifest.json").read_text()


def test_pandas_reads_a_table_straight(made):
    events = pd.read_parquet(made / "tables" / "events")
    assert events.columns.tolist() == ["customer_id", "period", "channel", "value"]
    assert events["channel"].unique().tolist() == ["orders"]
    ids = events["customer_id"].to_numpy()
    assert (np.diff(ids) >= 0).all()


def test_duckdb_reads_the_tables_straight(made):
    """The glob is the whole interface: types and rows are those that pandas reads."""
    import duckdb

    for folder in sorted((made / "tables").iterdir()):
        if not folder.is_dir():
            continue
        rows = duckdb.sql(f"SELECT * FROM '{folder}/*.parquet' ORDER BY ALL").df()
        frame = pd.read_parquet(folder)
        assert list(rows) == list(frame)
        frame = frame.sort_values(list(frame), ignore_index=True)
        pd.testing.assert_frame_equal(rows, frame, check_dtype=False)
    joined = duckdb.sql(
        f"SELECT sum(value) FROM '{made}/tables/events/*.parquet' JOIN "
        f"'{made}/tables/customers/*.parquet' USING (customer_id) WHERE period >= 2"
    ).fetchall()[0]
    events = read_dataset(made).events
    assert joined[0] == events.loc[events["period"] >= 2, "value"].sum()


def test_the_manifest_says_how_to_make_it_again(made):
    manifest = json.loads((made / "manifest.json").read_text())
    names = {name: getattr(crm, name) for name in dir(crm) if name[0].isupper()}
    assert eval(manifest["world"], names) == WORLD
    assert (manifest["seed"], manifest["n_customers"], manifest["partition_size"]) == (3, 20, 8)
    assert manifest["versions"]["numpy"] == np.__version__
    assert set(manifest["files"]) == set(digests(made))


@dataclass(frozen=True)
class Priced(crm.Generator):
    """Has a table that belongs to no customer; in a bad world it depends on the block."""

    bad: bool = False

    def sample(self, streams, customers):
        tables = WORLD.sample(streams, customers)
        price = float(customers[0]) if self.bad else 2.0
        costs = pd.DataFrame({"period": range(6), "price": price})
        edges = pd.DataFrame({"customer_from": customers[:1], "customer_to": customers[-1:]})
        return replace(tables, more={"costs": costs, "edges": edges})


def test_a_table_of_nobody_is_written_once(tmp_path):
    folder = write_dataset(Priced(), tmp_path / "firm", **SIZES, block_size=4)
    assert [p.name for p in (folder / "tables/costs").glob("*")] == ["part-00000.parquet"]
    assert read_dataset(folder).more["costs"]["period"].tolist() == list(range(6))
    assert read_dataset(folder, parts=[2]).more["costs"]["price"].tolist() == [2.0] * 6
    assert len(pd.read_parquet(folder / "tables/edges")) == 5


@pytest.mark.parametrize("block_size", [4, 8])
def test_a_table_of_nobody_must_not_depend_on_the_block(tmp_path, block_size):
    with pytest.raises(SpecError, match="tables/costs has no column that names a customer"):
        write_dataset(Priced(bad=True), tmp_path / "firm", **SIZES, block_size=block_size)


# What is refused ----------------------------------------------------------------------------------


def test_everything_wrong_with_the_numbers_is_reported_at_once(tmp_path):
    with pytest.raises(SpecError) as error:
        write_dataset(
            WORLD, tmp_path, n_customers=0, seed=-1, partition_size=2.5, block_size="many"
        )
    for name in ("n_customers", "seed", "partition_size", "block_size"):
        assert f"`{name}` must be" in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "of another world or seed"),
        ({"partition_size": 5}, "of another `partition_size`"),
        ({"n_customers": 10}, "beyond `n_customers`"),
    ],
)
def test_a_folder_with_another_data_set_is_refused(made, change, words):
    before = digests(made, of="*")
    with pytest.raises(SpecError, match=words):
        write_dataset(WORLD, made, **{**SIZES, **change})
    assert digests(made, of="*") == before


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(SpecError, match="also holds thesis"):
        write_dataset(WORLD, tmp_path, **SIZES)
    with pytest.raises(SpecError, match="is a file"):
        write_dataset(WORLD, tmp_path / "thesis.docx", **SIZES)


@pytest.mark.parametrize("name", ["manifest.json", "tables/events/part-00000.parquet"])
def test_files_of_others_that_are_named_like_ours_survive(tmp_path, name):
    """A folder is a data set if it says so from its first moment, and not by the names in it."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('{"name": "my app"}')
    (tmp_path / ".aside").mkdir()
    (tmp_path / ".aside/draft").write_text("mine")
    with pytest.raises(SpecError, match=r"also holds \.aside"):
        write_dataset(WORLD, tmp_path, **SIZES)
    assert (tmp_path / name).read_text() == '{"name": "my app"}'
    assert (tmp_path / ".aside/draft").read_text() == "mine"
