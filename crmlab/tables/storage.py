"""Tables on disk: one file per table, and `tables.json`, which says how to read them back.

A folder is replaced as a whole or not at all. The new one is written aside, in the same parent
folder, and renamed into place when it is complete, so a disk that fills up, or a value that cannot
be written, leaves the old folder as it was. The truth of a simulated world is written only if
asked for, into a folder of its own that says what it is: whoever gets the tables does not get it.

A folder from elsewhere needs no `tables.json`: `customers.csv` and any of `events.csv`,
`surveys.csv`, `cases.csv`, `labels.csv`, `actions.csv` (or `.parquet`) are enough.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import DataError, SpecError, check_one_of, raise_problems
from crmlab.tables.customer_tables import CustomerTables
from crmlab.tables.records import FORMS, to_dates

_MANIFEST = "tables.json"
_KEY = "answer_key.json"
_FORMS_ON_DISK = {_MANIFEST: "crmlab tables", _KEY: "crmlab answer key"}
_FORMATS = ("csv", "parquet")
_NAMES = ("customers", *(form.name for form in FORMS))
_TEXT = ("customer_id", "date", "channel", "action", "stage")
_MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")
_WHOLE = r"0|-?[1-9][0-9]{0,17}"  # ids such as 007 are text, or their zeros would be lost
_DTYPES = {"integer": "Int64", "truth": "bool"}  # everything else is read as text first


# Writing ------------------------------------------------------------------------------------------


def write_tables(
    tables: CustomerTables,
    folder: str | Path,
    *,
    format: str = "csv",
    truth_folder: str | Path | None = None,
) -> Path:
    """Write tables to a folder, all of it or nothing.

    Parameters
    ----------
    tables : CustomerTables
        Their truth is not written, unless `truth_folder` asks for it.
    folder : path
        Made if it is not there; if it is there it must be empty, or hold tables, which are
        replaced.
    format : {"csv", "parquet"}
    truth_folder : path, optional
        Where the truth of a simulated world goes, outside of `folder`, marked as an answer key
        (`read_truth` reads it). It is replaced as a whole, too.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SpecError
        If the format is unknown, a folder holds something else, the provenance cannot be
        written as JSON, or the truth is asked for and there is none.

    Examples
    --------
    >>> customers = pd.DataFrame({"customer_id": ["007"]})
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = write_tables(CustomerTables(customers, window=(0, 3)), f"{parent}/firm")
    ...     read_tables(folder)
    CustomerTables(1 customers; window 0 to 3)
    """
    check_one_of("write_tables", "format", format, _FORMATS)
    target = Path(folder).resolve()
    _check_target(target, _NAMES, "folder")
    manifest = _manifest(tables)
    if truth_folder is not None:
        _check_truth(tables, target, Path(truth_folder).resolve())
    _replace_folder(target, lambda aside: _write_files(tables, manifest, aside, format))
    if truth_folder is not None:
        _write_truth(tables, Path(truth_folder).resolve(), format)
    return Path(folder)


def _check_target(target: Path, names: Iterable[str], parameter: str) -> None:
    if target.exists() and not target.is_dir():
        raise SpecError(f"The `{parameter}` parameter of `write_tables` is a file: {target.name}.")
    names = {*names, *_listed_in(target)}
    ours = {_MANIFEST, _KEY, *(f"{name}.{suffix}" for name in names for suffix in _FORMATS)}
    found = {path.name for path in target.iterdir()} if target.exists() else set()
    others = sorted(found - ours)
    if others:
        raise SpecError(
            f"The `{parameter}` parameter of `write_tables` must be new, empty or hold tables, as "
            f"it is replaced whole; {target.name} also holds {', '.join(others[:5])}."
        )


def _listed_in(folder: Path) -> list[str]:
    """Names of the tables that a folder says it holds."""
    known = (_read_manifest(folder, name)[0] for name in (_MANIFEST, _KEY))
    return [name for manifest in known for name in manifest.get("columns", {})]


def _check_truth(tables: CustomerTables, target: Path, truth: Path) -> None:
    if tables.truth is None:
        raise SpecError(
            "The `truth_folder` parameter of `write_tables` asks for a truth that these tables do "
            "not have; only simulated worlds have one."
        )
    if truth == target or target in truth.parents:
        raise SpecError(
            "The `truth_folder` parameter of `write_tables` must lie outside of `folder`: an "
            "answer key does not travel with the tables."
        )
    _check_target(truth, tables.truth, "truth_folder")


def _write_truth(tables: CustomerTables, target: Path, format: str) -> None:
    truth = tables.truth or {}
    columns = {
        name: {column: _type_of(frame[column]) for column in frame} for name, frame in truth.items()
    }
    said = {
        "format": "crmlab answer key",
        "version": 1,
        "warning": "The truth of a simulated world, which no firm knows. Not for learners' eyes, "
        "and not for models.",
        "columns": columns,
        "provenance": tables.provenance,
    }

    def write(aside: Path) -> None:
        for name, frame in truth.items():
            _write_frame(frame, aside / f"{name}.{format}")
        (aside / _KEY).write_text(_to_json(said), encoding="utf-8", newline="\n")

    _replace_folder(target, write)


def _manifest(tables: CustomerTables) -> str:
    """Say as JSON what the files cannot: window, types, categories, units, provenance."""
    columns = {
        name: {column: _type_of(frame[column]) for column in frame}
        for name, frame in _frames(tables).items()
    }
    said = {
        "format": "crmlab tables",
        "version": 1,
        "window": [str(end) if tables.is_dated else end for end in tables.window],
        "columns": columns,
        "units": tables.units,
        "provenance": tables.provenance,
    }
    return _to_json(said)


def _to_json(said: Mapping[str, Any]) -> str:
    try:
        return json.dumps(said, indent=2, ensure_ascii=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"The provenance of the tables cannot be written as JSON: {error}"
        ) from error


def _frames(tables: CustomerTables) -> dict[str, pd.DataFrame]:
    records = {form.name: frame for form, frame in tables.records()}
    return {"customers": tables.customers, **records, **tables.more}


def _type_of(values: pd.Series) -> str | dict[str, list[str]]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return {"categories": list(values.cat.categories)}
    if isinstance(values.dtype, pd.StringDtype):
        return "text"
    return {"i": "integer", "f": "number", "b": "truth", "M": "date"}[values.dtype.kind]


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON form")


def _write_files(tables: CustomerTables, manifest: str, folder: Path, format: str) -> None:
    for name, frame in _frames(tables).items():
        _write_frame(frame, folder / f"{name}.{format}")
    (folder / _MANIFEST).write_text(manifest, encoding="utf-8", newline="\n")


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
    else:
        frame.to_parquet(path, index=False)


def _replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write a folder aside, then rename it into place; on any failure the old one stands."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as aside:
        new, old = Path(aside) / "new", Path(aside) / "old"
        new.mkdir()
        write(new)
        if not target.exists():
            os.rename(new, target)
            return
        os.rename(target, old)
        try:
            os.rename(new, target)
        except OSError:
            os.rename(old, target)
            raise


# Reading ------------------------------------------------------------------------------------------


def read_tables(
    folder: str | Path,
    *,
    window: tuple[Any, Any] | None = None,
    units: Mapping[str, str] | None = None,
) -> CustomerTables:
    """Read a folder of tables, written by `write_tables` or by hand.

    Parameters
    ----------
    folder : path
        Holds customers.csv and any record table as .csv or .parquet.
    window : (first, last), optional
        As in `CustomerTables`; default what `tables.json` says, else from the data.
    units : mapping of variable to text, optional
        As in `CustomerTables`; default what `tables.json` says.

    Returns
    -------
    CustomerTables
        Without truth. In a folder without `tables.json`, ids are whole numbers if all of them
        are written as such (7, not 007), else text.

    Raises
    ------
    DataError
        If a file is missing, empty, unreadable or unknown, or a rule of the format is broken: all
        problems of the files at once, then all of the records.
    """
    folder = Path(folder)
    manifest, manifest_problems = _read_manifest(folder)
    listed = manifest.get("columns", {})
    files, problems = _find_files(
        folder, (*_NAMES, *(name for name in listed if name not in _NAMES))
    )
    problems += [
        f"{name}: listed in {_MANIFEST}, but not there" for name in listed if name not in files
    ]
    frames, unread = _read_frames(files, listed)
    raise_problems(DataError, f"read_tables({folder.name})", problems + manifest_problems + unread)
    frames = frames if listed else with_plain_ids(frames)
    return CustomerTables(
        **{name: frame for name, frame in frames.items() if name in _NAMES},
        more={name: frame for name, frame in frames.items() if name not in _NAMES},
        window=window or manifest.get("window") or (),
        units=units or manifest.get("units", {}),
        provenance=manifest.get("provenance", {}),
    )


def read_truth(folder: str | Path) -> dict[str, pd.DataFrame]:
    """Read an answer key: what `write_tables(..., truth_folder=...)` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    dict of DataFrames
        As in `CustomerTables.truth`.

    Raises
    ------
    DataError
        If the folder is no answer key, or a file is missing or cannot be read.
    """
    folder = Path(folder)
    manifest, problems = _read_manifest(folder, _KEY)
    if not manifest and not problems:
        problems = [f"{_KEY} is missing: this folder is no answer key"]
    listed = manifest.get("columns", {})
    files = {path.stem: path for path in _data_files(folder)}
    problems += [f"{name}: listed in {_KEY}, but not there" for name in listed if name not in files]
    present = {name: files[name] for name in listed if name in files}
    frames, unread = _read_frames(present, listed)
    raise_problems(DataError, f"read_truth({folder.name})", problems + unread)
    return {name: frame.astype(_whole_columns(frame)) for name, frame in frames.items()}


def _whole_columns(frame: pd.DataFrame) -> dict[str, str]:
    """Columns of whole numbers without a gap, which need no missing value."""
    return {
        name: "int64"
        for name in frame
        if isinstance(frame[name].dtype, pd.Int64Dtype) and frame[name].notna().all()
    }


def _data_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.suffix[1:] in _FORMATS]


def _find_files(folder: Path, names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    if not folder.is_dir():
        return {}, ["there is no such folder"]
    paths = _data_files(folder)
    stems = [path.stem for path in paths]
    problems = [
        f"{path.name}: no table of this name (there are: {', '.join(names)})"
        for path in paths
        if path.stem not in names
    ]
    problems += [
        f"{name}: there as .csv and as .parquet" for name in names if stems.count(name) > 1
    ]
    if "customers" not in stems:
        problems.append("customers.csv (or .parquet) is missing")
    return {path.stem: path for path in paths if path.stem in names}, problems


def _read_manifest(folder: Path, name: str = _MANIFEST) -> tuple[dict[str, Any], list[str]]:
    path = folder / name
    if not path.exists():
        return {}, []
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return {}, [f"{name}: is no JSON ({error})"]
    form = _FORMS_ON_DISK[name]
    known = isinstance(manifest, dict) and manifest.get("format") == form
    if not known or manifest.get("version") != 1:
        return {}, [f"{name}: is not of the format '{form}', version 1"]
    return manifest, []


def _read_frames(
    files: Mapping[str, Path], listed: Mapping[str, Any]
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    frames, problems = {}, []
    for name, path in files.items():
        try:
            frames[name] = read_frame(path, listed.get(name))
        except DataError as error:
            problems.append(str(error))
    return frames, problems


def read_frame(path: Path, columns: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Read one .csv or .parquet file.

    Parameters
    ----------
    path : path
    columns : mapping of column to type, optional
        As `tables.json` lists them. Without it, ids, dates and names are read as text and other
        columns as what they look like.

    Raises
    ------
    DataError
        If the file is missing, empty or cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return _typed(pd.read_parquet(path), columns or {})
        return _read_csv(path, columns)
    except FileNotFoundError:
        raise DataError(f"{path.name}: there is no such file") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path.name}: is empty") from None
    except (ValueError, OSError) as error:  # pandas' and Arrow's parsers raise ValueErrors
        raise DataError(f"{path.name}: cannot be read ({_one_line(error)})") from error


def _read_csv(path: Path, columns: Mapping[str, Any] | None) -> pd.DataFrame:
    header = list(pd.read_csv(path, nrows=0, dtype="str", encoding="utf-8").columns)
    if columns is None:
        types = {column: "str" for column in header if column in _TEXT}
        missing = {column: [""] if column in _TEXT else list(_MISSING) for column in header}
    else:
        types = {column: _DTYPES.get(str(said), "str") for column, said in columns.items()}
        missing = {column: [""] for column in header}
    frame = pd.read_csv(
        path,
        dtype=types,
        na_values=missing,
        keep_default_na=False,
        skip_blank_lines=columns is None,
        encoding="utf-8",
    )
    return _typed(frame, columns or {})


def _typed(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Give back the types that a file of text does not know."""
    present = {column: said for column, said in columns.items() if column in frame}
    return frame.assign(**{name: _as_type(frame[name], said) for name, said in present.items()})


def _as_type(values: pd.Series, said: str | Mapping[str, list[str]]) -> pd.Series:
    if isinstance(said, Mapping):
        return values.astype(pd.CategoricalDtype(pd.Index(said["categories"], dtype="str")))
    if said == "date":
        return to_dates(values)
    return values.astype("float64") if said == "number" else values  # to the last digit


def with_plain_ids(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Make ids whole numbers if every id of every table is written as one."""
    ids = [frame["customer_id"] for frame in frames.values() if "customer_id" in frame]
    whole = all(
        isinstance(values.dtype, pd.StringDtype) and values.dropna().str.fullmatch(_WHOLE).all()
        for values in ids
    )
    if not whole:
        return dict(frames)
    return {
        name: frame.assign(customer_id=pd.to_numeric(frame["customer_id"]).astype("Int64"))
        if "customer_id" in frame
        else frame
        for name, frame in frames.items()
    }


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
