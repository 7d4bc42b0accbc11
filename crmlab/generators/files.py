"""Files of a data set: frames as Parquet, facts as JSON, each on the disk before it counts."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmlab.errors import DataError
from crmlab.tables.folders import flush

if TYPE_CHECKING:
    import pyarrow as pa


def without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace categories, whose codes would depend on the block, with text."""
    categorical = [c for c in frame if isinstance(frame[c].dtype, pd.CategoricalDtype)]
    return frame.astype(dict.fromkeys(categorical, "str"))


def digest_of(frame: pd.DataFrame) -> str:
    """Give a checksum of a frame as text."""
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame; categories become text, so that the block does not matter."""
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.Schema.from_pandas(without_categories(frame.head(0)), preserve_index=False)
    columns = [_to_arrow(frame[field.name], field.type) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    parquet.write_table(table, path, compression="zstd")
    flush(path)


def _to_arrow(column: pd.Series, kind: "pa.DataType") -> "pa.Array":
    """Return a column as text or numbers; categories are looked up, not copied row by row."""
    import pyarrow as pa

    if not isinstance(column.dtype, pd.CategoricalDtype):
        return pa.array(column, type=kind, from_pandas=True)
    codes = pa.array(column.cat.codes, mask=(column.cat.codes < 0).to_numpy())
    names = pa.array(column.cat.categories.astype("str"), type=kind, from_pandas=True)
    return names.take(codes)


def describe_file(path: Path, n_rows: int) -> dict[str, Any]:
    """Return how many rows and bytes a file has, and its checksum."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"rows": n_rows, "bytes": path.stat().st_size, "sha256": digest}


def read_json(path: Path) -> dict[str, Any]:
    """Read facts, or raise `DataError` that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: cannot be read ({error})") from error
