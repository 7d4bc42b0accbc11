"""Tables on disk: one file per table, and `tables.json`, which says how to read them back.

A folder is replaced completely or not at all (`crmlab.tables.folders`), so a full disk, or a value
that cannot be written, leaves the old folder as it was. The truth of a simulated world is written
only on request, into a separate folder that is marked as such: whoever gets the tables does not
get the truth.

A folder from elsewhere needs no `tables.json`: `customers.csv` and any of `events.csv`,
`surveys.csv`, `cases.csv`, `labels.csv`, `actions.csv` (or `.parquet`) are enough.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import DataError, SpecError, check_one_of, raise_problems, refuse
from crmlab.tables.customer_tables import CustomerTables
from crmlab.tables.folders import FolderKind, Mark, new_folder, read_mark
from crmlab.tables.records import FORMS, to_dates

_FORMATS = ("csv", "parquet")


def _upgrade(mark: Mark) -> Mark:
    """Convert a mark of an older version, which names the tables but not their files."""
    tables = mark.get("columns")
    names = tables if isinstance(tables, dict) else ()
    return {"files": [f"{name}.{format}" for name in names for format in _FORMATS], **mark}


TABLES = FolderKind("crmlab tables", "tables.json", _upgrade)
ANSWER_KEY = FolderKind("crmlab answer key", "answer_key.json", _upgrade)
_NAMES = ("customers", *(form.name for form in FORMS))
_TEXT = ("customer_id", "date", "channel", "action", "stage")
_MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")
_WHOLE = r"0|-?[1-9][0-9]{0,17}"  # ids such as 007 stay text, to keep their zeros
_DTYPES = {"integer": "Int64", "truth": "bool"}  # everything else is read as text first


# Writing ------------------------------------------------------------------------------------------


def write_tables(
    tables: CustomerTables,
    folder: str | Path,
    *,
    format: str = "csv",
    truth_folder: str | Path | None = None,
) -> Path:
    """Write tables to a folder, completely or not at all.

    Parameters
    ----------
    tables : CustomerTables
        Their truth is only written if `truth_folder` is set.
    folder : path
        New, empty, or a folder that this function wrote and nothing else, which is replaced.
    format : {"csv", "parquet"}
    truth_folder : path, optional
        Where to write the truth of a simulated world, outside `folder`; marked as an answer key
        (`read_truth` reads it). New, empty, or an older answer key and nothing else.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SpecError
        If the format is unknown, a folder is anything else, the provenance cannot be written as
        JSON, or there is no truth to write.

    Examples
    --------
    >>> customers = pd.DataFrame({"customer_id": ["007"]})
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parent:
    ...     folder = write_tables(CustomerTables(customers, window=(0, 3)), f"{parent}/firm")
    ...     read_tables(folder)
    CustomerTables(1 customers; window 0 to 3)
    """
    check_one_of("write_tables", "format", format, _FORMATS)
    manifest = _manifest(tables)
    if truth_folder is not None:
        _check_truth(tables, Path(folder).resolve(), Path(truth_folder).resolve())
    with new_folder(folder, TABLES) as aside:
        _write_files(tables, manifest, aside, format)
        if truth_folder is not None:
            _write_truth(tables, truth_folder, format)
    return Path(folder)


def _check_truth(tables: CustomerTables, target: Path, truth: Path) -> None:
    if tables.truth is None:
        rule = "left out for tables without truth (only simulated worlds have one)"
    elif truth == target or target in truth.parents:
        rule = "a folder outside `folder`, because an answer key must not travel with the tables"
    else:
        return
    refuse("write_tables", "truth_folder", rule, str(truth))


def _write_truth(tables: CustomerTables, folder: str | Path, format: str) -> None:
    truth = tables.truth or {}
    columns = {
        name: {column: _type_of(frame[column]) for column in frame} for name, frame in truth.items()
    }
    mark = {
        "warning": "The truth of a simulated world, which no firm knows. Not for learners' eyes, "
        "and not for models.",
        "columns": columns,
        "provenance": tables.provenance,
    }
    with new_folder(folder, ANSWER_KEY) as aside:
        for name, frame in truth.items():
            _write_frame(frame, aside / f"{name}.{format}")
        (aside / ANSWER_KEY.mark).write_text(_to_json(mark), encoding="utf-8", newline="\n")


def _manifest(tables: CustomerTables) -> str:
    """Write as JSON what the files cannot hold: window, types, categories, units, provenance."""
    columns = {
        name: {column: _type_of(frame[column]) for column in frame}
        for name, frame in _frames(tables).items()
    }
    manifest = {
        "window": [str(end) if tables.is_dated else end for end in tables.window],
        "columns": columns,
        "units": tables.units,
        "provenance": tables.provenance,
    }
    return _to_json(manifest)


def _to_json(content: Mapping[str, Any]) -> str:
    try:
        return json.dumps(content, indent=2, ensure_ascii=False, default=_plain) + "\n"
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
    (folder / TABLES.mark).write_text(manifest, encoding="utf-8", newline="\n")


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
    else:
        frame.to_parquet(path, index=False)


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
        As in `CustomerTables`; by default, taken from `tables.json`, else from the data.
    units : mapping of variable to text, optional
        As in `CustomerTables`; by default, taken from `tables.json`.

    Returns
    -------
    CustomerTables
        Without truth. In a folder without `tables.json`, ids are whole numbers if all of them look
        like whole numbers (7, not 007), else text.

    Raises
    ------
    DataError
        If a file is missing, empty, unreadable or unknown, or a rule of the format is broken. All
        problems of the files are reported at once, then all of the records.
    """
    folder = Path(folder)
    manifest, manifest_problems = _read_manifest(folder)
    listed = manifest.get("columns", {})
    files, problems = _find_files(
        folder, (*_NAMES, *(name for name in listed if name not in _NAMES))
    )
    problems += [
        f"{name}: listed in {TABLES.mark}, but missing" for name in listed if name not in files
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
    """Read an answer key that `write_tables(..., truth_folder=...)` wrote.

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
        If the folder is not an answer key, or a file is missing or cannot be read.
    """
    folder = Path(folder)
    manifest, problems = _read_manifest(folder, ANSWER_KEY)
    if not manifest and not problems:
        problems = [f"{ANSWER_KEY.mark} is missing: this folder is not an answer key"]
    listed = manifest.get("columns", {})
    files = {path.stem: path for path in _data_files(folder)}
    missing = [name for name in listed if name not in files]
    problems += [f"{name}: listed in {ANSWER_KEY.mark}, but missing" for name in missing]
    present = {name: files[name] for name in listed if name in files}
    frames, unread = _read_frames(present, listed)
    raise_problems(DataError, f"read_truth({folder.name})", problems + unread)
    return {name: frame.astype(_whole_columns(frame)) for name, frame in frames.items()}


def _whole_columns(frame: pd.DataFrame) -> dict[str, str]:
    """Find the columns of whole numbers without missing values."""
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
        f"{path.name}: unknown table (there are: {', '.join(names)})"
        for path in paths
        if path.stem not in names
    ]
    problems += [
        f"{name}: exists as .csv and as .parquet" for name in names if stems.count(name) > 1
    ]
    if "customers" not in stems:
        problems.append("customers.csv (or .parquet) is missing")
    return {path.stem: path for path in paths if path.stem in names}, problems


def _read_manifest(folder: Path, kind: FolderKind = TABLES) -> tuple[Mark, list[str]]:
    manifest = read_mark(folder, kind)
    if manifest.get("version") == 1 or not (folder / kind.mark).exists():
        return manifest, []
    return {}, [f"{kind.mark}: is not of the format {kind.format!r}, version 1"]


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
        As `tables.json` lists them. Without it, ids, dates and names are read as text, and pandas
        infers the types of other columns.

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
        types = {column: _DTYPES.get(str(kind), "str") for column, kind in columns.items()}
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
    """Restore the types that a text file cannot store."""
    present = {column: kind for column, kind in columns.items() if column in frame}
    return frame.assign(**{name: _as_type(frame[name], kind) for name, kind in present.items()})


def _as_type(values: pd.Series, kind: str | Mapping[str, list[str]]) -> pd.Series:
    if isinstance(kind, Mapping):
        return values.astype(pd.CategoricalDtype(pd.Index(kind["categories"], dtype="str")))
    if kind == "date":
        return to_dates(values)
    return values.astype("float64") if kind == "number" else values  # to the last digit


def with_plain_ids(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Convert ids to whole numbers if every id of every table looks like one."""
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
