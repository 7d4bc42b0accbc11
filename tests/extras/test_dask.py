"""Data sets made by a Dask cluster: two worker processes, the same bytes as one."""

import hashlib

import pytest
from distributed import Client, LocalCluster

import crmlab as crm

SIZES = {"n_customers": 250, "seed": 3, "partition_size": 50}
BANK = crm.bank.Bank(n_periods=4)


@pytest.fixture(scope="module")
def client():
    """Two workers that know nothing but what they are sent; no dashboard, no other machine."""
    cluster = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
    )
    with cluster, Client(cluster) as client:
        yield client


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_cluster_of_two_workers_gives_the_bytes_of_one_process(client, tmp_path):
    assert len(client.scheduler_info()["workers"]) == 2
    crm.generators.write_dataset(BANK, tmp_path / "alone", **SIZES)
    done = []
    crm.generators.write_dataset(
        BANK,
        tmp_path / "cluster",
        **SIZES,
        executor=client.get_executor(),
        progress=lambda count, total: done.append((count, total)),
    )
    assert digests(tmp_path / "cluster") == digests(tmp_path / "alone")
    assert done == [(count, 5) for count in range(6)]
    assert crm.generators.verify_dataset(tmp_path / "cluster") == []


def test_both_workers_make_parts(client, tmp_path):
    crm.generators.write_dataset(BANK, tmp_path / "firm", **SIZES, executor=client.get_executor())
    seen = client.run(lambda: __import__("sys").modules.get("crmlab.generators.bank") is not None)
    assert list(seen.values()) == [True, True]


def test_a_finished_part_is_not_made_again_by_the_cluster(client, tmp_path):
    few = {**SIZES, "n_customers": 100}
    crm.generators.write_dataset(BANK, tmp_path / "firm", **few)
    before = {p: p.stat().st_ino for p in tmp_path.rglob("*.parquet")}
    crm.generators.write_dataset(BANK, tmp_path / "firm", **SIZES, executor=client.get_executor())
    assert all(path.stat().st_ino == number for path, number in before.items())
    crm.generators.write_dataset(BANK, tmp_path / "fresh", **SIZES)
    assert digests(tmp_path / "firm") == digests(tmp_path / "fresh")
