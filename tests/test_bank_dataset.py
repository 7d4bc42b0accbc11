"""datasets/meridienne: small, remade byte for byte, documented, its answer key apart."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import crmlab as crm
from crmlab.generators.bank.__main__ import BANK, N_CUSTOMERS, SEED

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "datasets" / "meridienne"


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remade") / "bank"
    command = [sys.executable, "-m", "crmlab.generators.bank", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


@pytest.mark.bits
def test_command_remakes_the_folder_byte_for_byte(remade):
    ours, theirs = files_of(HERE), files_of(remade)
    assert set(ours) - set(theirs) == {"README.md"}
    assert set(theirs) <= set(ours)
    writer = pq.ParquetFile(HERE / "parquet" / "events.parquet").metadata.created_by
    same_writer = writer == pq.ParquetFile(theirs["parquet/events.parquet"]).metadata.created_by
    for name, path in theirs.items():
        if same_writer or not ("parquet" in name or name == "checksums.txt"):
            assert path.read_bytes() == ours[name].read_bytes(), name


def test_csv_and_parquet_hold_the_same_tables():
    csv, parquet = (crm.read_tables(HERE / kind) for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(csv.customers, parquet.customers)
    pd.testing.assert_frame_equal(csv.events, parquet.events)
    assert list(csv.more) == list(parquet.more)
    for name, frame in csv.more.items():
        pd.testing.assert_frame_equal(frame, parquet.more[name], obj=name)


def test_what_is_read_is_what_was_simulated():
    read, made = crm.read_tables(HERE / "csv"), crm.simulate(BANK, N_CUSTOMERS, seed=SEED)
    assert read.truth is None
    for name, frame in made.more.items():
        pd.testing.assert_frame_equal(read.more[name], frame, obj=name)
    truth = crm.tables.read_truth(HERE / "answer_key")
    for name, frame in made.truth.items():
        pd.testing.assert_frame_equal(truth[name], frame, obj=name)


def test_answer_key_is_apart_and_marked():
    assert "truth" in (HERE / "answer_key" / "answer_key.json").read_text(encoding="utf-8")
    tables = {p.name for kind in ("csv", "parquet") for p in (HERE / kind).iterdir()}
    assert not tables & {p.name for p in (HERE / "answer_key").iterdir()}


def test_card_counts_the_rows():
    card = (HERE / "README.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", card, flags=re.MULTILINE))
    counted = {p.stem: f"{len(pd.read_csv(p)):,}" for p in (HERE / "csv").glob("*.csv")}
    assert stated == counted


def test_dictionary_is_the_data_dictionary():
    written = pd.read_csv(HERE / "dictionary.csv", keep_default_na=False)
    assert written.to_dict() == crm.bank.data_dictionary().to_dict()


def test_folder_is_small():
    assert sum(p.stat().st_size for p in files_of(HERE).values()) < 5e6
