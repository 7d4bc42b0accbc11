"""Notebooks as files: read, run in a fresh kernel, and written without accidental content.

``python -m crmlab.course.notebooks notebooks/06_learning_a_transition_matrix.ipynb`` executes a
notebook in place and writes the answer key of its exercises.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crmlab.course.keyring import DRAFTS_VARIABLE, keys_folder
from crmlab.tables.folders import write_file

if TYPE_CHECKING:
    from nbformat import NotebookNode

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_KEPT_IN_NOTEBOOK = ("crmlab",)
_KEPT_IN_CELL = ("crmlab", "mystnb", "reason", "slideshow", "tags")


def read_notebook(path: Path) -> "NotebookNode":
    """Read and validate a notebook (format 4)."""
    import nbformat

    return nbformat.read(Path(path), as_version=4)


def write_notebook(notebook: "NotebookNode", path: Path) -> None:
    """Validate a notebook and write it safely."""
    import nbformat

    nbformat.validate(notebook)
    write_file(path, notebook_bytes(notebook))


def notebook_bytes(notebook: "NotebookNode") -> bytes:
    """Return the bytes of a notebook's file; they are the same on every system."""
    import nbformat

    return (nbformat.writes(notebook) + "\n").encode()


def strip_metadata(notebook: "NotebookNode") -> "NotebookNode":
    """Return a copy without timestamps, versions, widget states and other traces of one machine."""
    import nbformat

    clean = nbformat.from_dict(notebook)
    kept = {name: clean.metadata[name] for name in _KEPT_IN_NOTEBOOK if name in clean.metadata}
    clean.metadata = nbformat.from_dict(
        {**kept, "kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    )
    for cell in clean.cells:
        cell.metadata = nbformat.from_dict(
            {name: cell.metadata[name] for name in _KEPT_IN_CELL if name in cell.metadata}
        )
    return clean


def run_cells(
    notebook: "NotebookNode",
    folder: Path,
    *,
    environment: dict[str, str] | None = None,
    seconds_per_cell: int = 600,
    allow_errors: Sequence[str] = (),
) -> "NotebookNode":
    """Run a copy of a notebook in a fresh kernel of this Python and return it with its outputs.

    Parameters
    ----------
    notebook : NotebookNode
    folder : path
        The working folder of the kernel.
    environment : dict, optional
        Variables for the kernel, in addition to those of this process.
    seconds_per_cell : int, seconds
    allow_errors : sequence of str
        Names of exceptions that a cell may raise without stopping the run.

    Returns
    -------
    NotebookNode

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises any other exception.
    """
    import nbformat
    from nbclient import NotebookClient

    copy = nbformat.from_dict(notebook)
    client = NotebookClient(
        copy,
        timeout=seconds_per_cell,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        allow_error_names=list(allow_errors),
        coalesce_streams=True,
        record_timing=False,
    )
    quiet = {"CRMLAB_PROGRESS": "off"}  # nobody watches, and the outputs are stored
    client.execute(env={**os.environ, **quiet, **(environment or {})})
    return copy


def execute_notebook(path: Path, *, seconds_per_cell: int = 600) -> None:
    """Execute a source notebook in place, and write the answer key of its exercises.

    Execution counts start at 1, metadata are stripped, and both files are written safely. If a cell
    fails, the notebook stays as it was. If its key has changed, it runs twice.

    Parameters
    ----------
    path : path of a source notebook, ``NN_topic.ipynb``
    seconds_per_cell : int, seconds
    """
    path = Path(path).resolve()
    executed = _run_with_key(path, seconds_per_cell)
    write_notebook(strip_metadata(executed), path)


def _run_with_key(path: Path, seconds_per_cell: int) -> "NotebookNode":
    """Run a notebook, store its key, and run it once more if the key is new.

    A cell that checks an answer above the cell that sets it has seen the old key.
    """
    source = strip_metadata(read_notebook(path))
    stored = keys_folder() / f"{path.name.split('_')[0]}.json"
    with tempfile.TemporaryDirectory() as drafts:
        executed = run_cells(
            source,
            path.parent,
            environment={DRAFTS_VARIABLE: drafts},
            seconds_per_cell=seconds_per_cell,
        )
        changed = _replace_key(Path(drafts) / stored.name, stored)
    return _run_with_key(path, seconds_per_cell) if changed else executed


def _replace_key(made: Path, stored: Path) -> bool:
    """Store the new key, or remove one without exercises; return whether anything changed."""
    new = made.read_bytes() if made.is_file() else None
    if new == (stored.read_bytes() if stored.is_file() else None):
        return False
    if new is None:
        stored.unlink()
    else:
        write_file(stored, new)
    return True


def main(paths: Sequence[str]) -> None:
    """Execute the notebooks named on the command line, one after the other."""
    for path in paths:
        execute_notebook(Path(path))
        print(f"{path}: executed")


if __name__ == "__main__":
    main(sys.argv[1:])
