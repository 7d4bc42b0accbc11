"""Worlds too large for memory: data sets on disk in parts, made in any order by any workers.

A data set is a folder:

    crmlab.json             written first; marks the folder as a data set of crmlab
    manifest.json           parameters of the world, versions, size and checksum of every file
    tables/schema.json      window, units and columns: what a firm may know
    tables/<table>/part-00000.parquet ...
    truth/<table>/part-00000.parquet ...     the answer key; so are the parameters in the manifest
    parts/part-00000.json ...                one receipt per finished part

**A part holds a fixed range of customers**, so neither the number of workers nor the size of a
block (the customers simulated at once, on which memory use depends) changes the bytes, and with
more customers the first parts stay the same. Rows are ordered by customer, then time.

**A file is whole or absent.** Each part is written aside, its files are renamed into place, and its
receipt comes last. If the work is interrupted, calling again makes the parts without a receipt and
leaves the others alone. Hand out `tables/`; keep the rest.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import crmlab
from crmlab.arrays import count_problems
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.generators.base import Generator
from crmlab.generators.files import (
    describe_file,
    digest_of,
    read_json,
    without_categories,
    write_parquet,
)
from crmlab.streams import Streams
from crmlab.tables import CustomerTables
from crmlab.tables.folders import UNFINISHED, FolderKind, new_folder, read_mark, to_json, write_file

Frames = dict[str, pd.DataFrame]
Progress = Callable[[int, int], None]

DATA_SET = FolderKind("crmlab data set")
_ASIDE = ".aside"
_KEYS = ("channel", "action", "stage")  # their categories are the channels and stages that exist


@dataclass(frozen=True)
class _Task:
    """One part to make: everything that a worker needs to know."""

    world: Generator
    folder: Path
    seed: int
    index: int
    first: int
    stop: int
    partition_size: int
    block_size: int

    @property
    def name(self) -> str:
        return f"part-{self.index:05d}"

    @property
    def receipt(self) -> Path:
        return self.folder / "parts" / f"{self.name}.json"

    @property
    def fingerprint(self) -> str:
        """What the bytes of the part depend on."""
        said = [repr(self.world), self.seed, self.first, self.stop, _versions()]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def write_dataset(
    world: Generator,
    path: str | Path,
    *,
    n_customers: int,
    seed: int,
    executor: Executor | None = None,
    partition_size: int = 20_000,
    block_size: int = 20_000,
    progress: Progress | None = None,
) -> Path:
    """Simulate a world into partitioned Parquet files, whatever its size.

    Parameters
    ----------
    world : Generator
    path : path
        A folder: new, empty, or with this data set, finished or not. Existing parts are not made
        again, even if `n_customers` has grown.
    n_customers : int
    seed : int
    executor : concurrent.futures.Executor, optional
        Makes the parts, e.g. ``ProcessPoolExecutor(2)`` or the executor of a cluster whose workers
        see the same files. By default, parts are made one after the other in this process.
    partition_size : int
        Customers per part. Another size is another data set.
    block_size : int
        Customers simulated at once; memory grows with it and with `partition_size`, but not with
        `n_customers`. It changes nothing else.
    progress : function of (parts done, parts in all), optional
        Called at the start and after each part.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SpecError
        A number is not valid, or the folder holds something else. All problems at once.

    Notes
    -----
    The same arguments and versions give the same bytes. A table without
    customers (costs, service levels) is written once, and must be the same for every block.
    pandas reads ``pd.read_parquet(path / "tables" / "events")``, DuckDB
    ``FROM 'tables/events/*.parquet'``.

    Examples
    --------
    >>> import tempfile
    >>> from crmlab.generators.confounding import confounded_world
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     path = write_dataset(confounded_world(), f"{parent}/firm", n_customers=30, seed=1)
    ...     read_dataset(path).events.shape == (len(pd.read_parquet(path / "tables/events")), 4)
    True
    """
    folder = Path(path)
    _check_numbers(n_customers, seed, partition_size, block_size)
    size = int(partition_size)
    tasks = [
        _Task(world, folder, int(seed), i, first, min(first + size, n_customers), size, block_size)
        for i, first in enumerate(range(0, int(n_customers), size))
    ]
    _check_folder(folder, tasks, partition_size)
    if not read_mark(folder, DATA_SET):
        with new_folder(folder, DATA_SET):
            pass  # its mark comes with it
    shutil.rmtree(folder / _ASIDE, ignore_errors=True)  # what a killed run left
    _make_parts(tasks, executor, progress or _say_nothing)
    _write_manifest(folder, tasks, n_customers, partition_size)
    shutil.rmtree(folder / _ASIDE, ignore_errors=True)
    return folder


def _say_nothing(done: int, total: int) -> None:
    """Report to nobody."""


def _check_numbers(n_customers: object, seed: object, *sizes: object) -> None:
    given = dict(
        zip(("n_customers", "partition_size", "block_size"), (n_customers, *sizes), strict=True)
    )
    problems = [*count_problems(given), *count_problems({"seed": seed}, at_least=0)]
    raise_problems(SpecError, "write_dataset", problems)


def _check_folder(folder: Path, tasks: Sequence[_Task], partition_size: int) -> None:
    """Refuse a folder that holds anything but parts of this data set."""
    if folder.exists() and not folder.is_dir():
        raise SpecError(f"write_dataset: `path` is a file: {folder.name}")
    part_of = {DATA_SET.mark, "manifest.json", "tables", "truth", "parts", _ASIDE}
    ours = part_of if read_mark(folder, DATA_SET) else set()
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    others = [name for name in sorted(names - ours) if not name.endswith(UNFINISHED)]
    problems = [f"`path` also holds {name}" for name in others[:5]]
    expected = {task.receipt.name: task for task in tasks}
    for receipt in sorted((folder / "parts").glob("*.json")) if ours else ():
        task, said = expected.get(receipt.name), read_json(receipt)
        if task is None:
            problems.append(f"`path` holds {receipt.stem}, beyond `n_customers`")
        elif (said["world"], said["seed"]) != (repr(task.world), task.seed):
            problems.append(f"`path` holds {receipt.stem} of another world or seed")
        elif said["first"] != task.first or said["partition_size"] != partition_size:
            problems.append(f"`path` holds {receipt.stem} of another `partition_size`")
    raise_problems(SpecError, "write_dataset", problems[:5])


# Making parts -------------------------------------------------------------------------------------


def _make_parts(tasks: Sequence[_Task], executor: Executor | None, progress: Progress) -> None:
    open_tasks = [task for task in tasks if not _is_done(task)]
    done = len(tasks) - len(open_tasks)
    progress(done, len(tasks))
    if open_tasks:  # until they are done, the data set is not finished
        (tasks[0].folder / "manifest.json").unlink(missing_ok=True)
    made = map(_make_part, open_tasks) if executor is None else _spread(open_tasks, executor)
    for count, _ in enumerate(made, start=done + 1):
        progress(count, len(tasks))


def _spread(tasks: Sequence[_Task], executor: Executor) -> Iterator[None]:
    """Yield as parts are finished; if one fails, waiting ones are not started."""
    futures = [executor.submit(_make_part, task) for task in tasks]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _is_done(task: _Task) -> bool:
    """Whether the receipt is there, is of these versions, and its files have their sizes."""
    if not task.receipt.exists():
        return False
    said = read_json(task.receipt)
    return said["fingerprint"] == task.fingerprint and all(
        (task.folder / name).is_file() and (task.folder / name).stat().st_size == file["bytes"]
        for name, file in said["files"].items()
    )


def _make_part(task: _Task) -> None:
    """Simulate one part block by block, write it aside, move it into place, write its receipt."""
    shutil.rmtree(aside := task.folder / _ASIDE / task.name, ignore_errors=True)
    tables, frames, shared = _simulate(task)
    files = {}
    for name, frame in frames.items():
        target = Path(*name.split("/")) / f"{task.name}.parquet"
        write_parquet(frame, aside / target)
        files[target.as_posix()] = describe_file(aside / target, len(frame))
    for name in files:
        (task.folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside / name, task.folder / name)
    receipt = {
        "world": repr(task.world),
        "seed": task.seed,
        "first": task.first,
        "stop": task.stop,
        "partition_size": task.partition_size,
        "fingerprint": task.fingerprint,
        "files": files,
        "shared": shared,
        "schema": _schema(tables),
    }
    write_file(task.receipt, to_json(receipt))
    shutil.rmtree(aside, ignore_errors=True)


def _simulate(task: _Task) -> tuple[CustomerTables, Frames, dict[str, str]]:
    """Return one block (for its form), all frames, and digests of tables without customers."""
    blocks: dict[str, list[pd.DataFrame]] = {}
    for first in range(task.first, task.stop, task.block_size):
        customers = np.arange(first, min(first + task.block_size, task.stop))
        tables = task.world.sample(Streams(task.seed), customers)
        for name, frame in _frames_of(tables).items():
            blocks.setdefault(name, []).append(frame)
    owned = {name: _in_order(some) for name, some in blocks.items() if _owner(some[0])}
    common = {name: some for name, some in blocks.items() if not _owner(some[0])}
    _refuse_differing(common)
    shared = {name: digest_of(without_categories(some[0])) for name, some in common.items()}
    once = {name: some[0] for name, some in common.items()} if task.index == 0 else {}
    return tables, {**owned, **once}, shared


def _frames_of(tables: CustomerTables) -> Frames:
    records = {form.name: frame for form, frame in tables.records()}
    known = {"customers": tables.customers, **records, **tables.more}
    truth = tables.truth or {}
    return {
        **{f"tables/{name}": frame for name, frame in known.items()},
        **{f"truth/{name}": frame for name, frame in truth.items()},
    }


def _owner(frame: pd.DataFrame) -> str:
    """Column that identifies the customer of a row: customer_id or the first such column, or ''."""
    named = [c for c in frame if str(c).startswith("customer")]
    return "customer_id" if "customer_id" in frame else named[0] if named else ""


def _in_order(blocks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join blocks; rows are ordered by customer, then time, then as they came."""
    blocks = _alike(blocks)
    frame = pd.concat(blocks, ignore_index=True) if len(blocks) > 1 else blocks[0]
    order = [_owner(frame), *(c for c in ("period", "date") if c in frame)]
    if _is_sorted([frame[column].to_numpy() for column in order]):
        return frame
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _alike(blocks: Sequence[pd.DataFrame]) -> Sequence[pd.DataFrame]:
    """Return blocks unchanged if their categories agree, else with text instead."""
    first = blocks[0].dtypes
    same = all(first.equals(block.dtypes) for block in blocks)
    return blocks if same else [without_categories(block) for block in blocks]


def _is_sorted(columns: Sequence[np.ndarray]) -> bool:
    """Whether rows ascend by the first column, then by the second, as in most tables."""
    tied = np.ones(max(len(columns[0]) - 1, 0), dtype=bool)
    for values in columns:
        if (tied & (values[1:] < values[:-1])).any():
            return False
        tied &= values[1:] == values[:-1]
    return True


def _refuse_differing(common: Mapping[str, Sequence[pd.DataFrame]]) -> None:
    problems = [
        f"{name} has no column that names a customer, so it must be the same for every block"
        for name, blocks in common.items()
        if any(not block.equals(blocks[0]) for block in blocks)
    ]
    raise_problems(SpecError, "write_dataset", problems)


@cache
def _versions() -> dict[str, str]:
    packages = ("numpy", "pandas", "pyarrow", "scipy")
    return {"crmlab": crmlab.__version__, **{name: version(name) for name in packages}}


def _schema(tables: CustomerTables) -> dict[str, Any]:
    """Return what the files cannot say: window, units, and the channels and stages that exist."""
    known = {name[7:]: frame for name, frame in _frames_of(tables).items() if name[:7] == "tables/"}
    return {
        "window": [str(end) if tables.is_dated else end for end in tables.window],
        "units": tables.units,
        "categories": {
            name: {
                column: list(frame[column].cat.categories)
                for column in _KEYS
                if column in frame and isinstance(frame[column].dtype, pd.CategoricalDtype)
            }
            for name, frame in known.items()
        },
    }


def _write_manifest(
    folder: Path, tasks: Sequence[_Task], n_customers: int, partition_size: int
) -> None:
    receipts = [read_json(task.receipt) for task in tasks]
    _refuse_changing(receipts)
    write_file(folder / "tables" / "schema.json", to_json(receipts[0]["schema"]))
    manifest = {
        "format": DATA_SET.format,
        "version": 1,
        "world": receipts[0]["world"],
        "n_customers": int(n_customers),
        "seed": tasks[0].seed,
        "partition_size": int(partition_size),
        "versions": _versions(),
        "files": {name: file for receipt in receipts for name, file in receipt["files"].items()},
    }
    write_file(folder / "manifest.json", to_json(manifest))


def _refuse_changing(receipts: Sequence[Mapping[str, Any]]) -> None:
    problems = [
        f"{name} has no column that names a customer, so it must be the same for every part"
        for name, digest in receipts[0]["shared"].items()
        if any(receipt["shared"].get(name) != digest for receipt in receipts)
    ]
    raise_problems(SpecError, "write_dataset", problems)


# Reading ------------------------------------------------------------------------------------------


def read_dataset(
    path: str | Path, *, parts: Sequence[int] | None = None, truth: bool = False
) -> CustomerTables:
    """Read a data set, or some of its parts, as tables.

    Parameters
    ----------
    path : path
        What `write_dataset` made, or a folder with its `tables` only.
    parts : sequence of int, optional
        Which parts to read; all by default, if memory allows.
    truth : bool
        Whether to read the answer key too.

    Returns
    -------
    CustomerTables

    Raises
    ------
    DataError
        The folder is not a data set, or a part is missing.
    """
    folder = Path(path)
    schema = read_json(folder / "tables" / "schema.json")
    frames = _read_folder(folder / "tables", parts, schema["categories"])
    known = {f.name for f in CustomerTables.__dataclass_fields__.values()} - {"more", "truth"}
    manifest = folder / "manifest.json"
    provenance = {} if not manifest.exists() else read_json(manifest)
    return CustomerTables(
        **{name: frame for name, frame in frames.items() if name in known},
        more={name: frame for name, frame in frames.items() if name not in known},
        window=tuple(schema["window"]),
        units=schema["units"],
        provenance={k: v for k, v in provenance.items() if k != "files"},
        truth=_read_folder(folder / "truth", parts, {}) if truth else None,
    )


def _read_folder(
    folder: Path, parts: Sequence[int] | None, categories: Mapping[str, Mapping[str, list[str]]]
) -> Frames:
    wanted = None if parts is None else {f"part-{i:05d}.parquet" for i in parts}
    if not folder.is_dir():
        raise DataError(f"read_dataset: there is no folder {folder.name}")
    frames = {}
    listed = {entry: sorted(entry.glob("part-*.parquet")) for entry in sorted(folder.iterdir())}
    most = max(map(len, listed.values()))
    for table, files in listed.items():
        if not files:
            continue
        is_shared = len(files) == 1 < most
        chosen = [f for f in files if wanted is None or f.name in wanted or is_shared]
        if not chosen or (wanted and not is_shared and len(chosen) < len(wanted)):
            raise DataError(f"read_dataset: {table.name} lacks some of the parts {parts}")
        frame = pd.concat([pd.read_parquet(file) for file in chosen], ignore_index=True)
        types = {
            column: pd.CategoricalDtype(pd.Index(names, dtype="str"))
            for column, names in categories.get(table.name, {}).items()
        }
        frames[table.name] = frame.astype(types)
    return frames


def verify_dataset(path: str | Path) -> list[str]:
    """Compare every file of a finished data set with its checksum.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of str
        What is wrong; empty if nothing is.
    """
    folder = Path(path)
    if not (folder / "manifest.json").exists():
        return ["manifest.json is missing: the data set was never finished"]
    listed = read_json(folder / "manifest.json")["files"]
    there = {
        file.relative_to(folder).as_posix()
        for name in ("tables", "truth")
        for file in (folder / name).rglob("*.parquet")
    }
    return [
        *(f"{name} is missing" for name in sorted(set(listed) - there)),
        *(f"{name} is not in the manifest" for name in sorted(there - set(listed))),
        *(
            f"{name} has changed"
            for name in sorted(there & set(listed))
            if describe_file(folder / name, listed[name]["rows"]) != listed[name]
        ),
    ]
