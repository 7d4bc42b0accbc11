"""A firm for each student: data from a different world, graded with its own key.

A notebook with variants names its world in its metadata::

    "crmlab": {"variant": {"world": "crmlab.course.assignments:own_bank", "customers": 600}}

(``world`` is a function without parameters that returns a StageWorld, or a world factory as
`crmlab.generators.variants.own_world` takes it.) It reads its tables with
``crm.read_tables("data")``. Its hidden tests state the answers with `crmlab.set_answer`: computed
from the data, or from the truth of the student's world, ``crm.tables.read_truth("truth")``, which
exists only while the key is made and is never handed out. So one notebook makes all keys.

`write_variants` writes, for each id::

    handout/ID/      the student edition and data/: this folder goes to the student
    keys/ID/         the key with its hints, and truth/: this stays with the instructor
    source.ipynb     the notebook from which they were made, for grading
"""

import re
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from crmlab.course.answers import Key
from crmlab.course.editions import student_notebook
from crmlab.course.keyring import DRAFTS_VARIABLE, FOLDER_VARIABLE, load_keys
from crmlab.course.learner import MARKER
from crmlab.course.notebooks import read_notebook, run_cells, write_notebook
from crmlab.errors import DataError, SpecError, raise_problems
from crmlab.tables.folders import FolderKind, new_folder, write_file

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from crmlab.generators.variants import Factory

HANDOUT, KEYS, SOURCE = "handout", "keys", "source.ipynb"
_HANDOUT = FolderKind("crmlab handout")
_KEY = FolderKind("crmlab variant key", "crmlab.mark")  # every *.json beside it is a key
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_ids(path: Path) -> tuple[str, ...]:
    """Read student ids from a file: one per line; empty lines and lines with # are skipped.

    Raises
    ------
    DataError
        There is no file or no id, an id is not valid (names and addresses do not belong here), or
        an id occurs twice. All problems at once.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"variants: there is no file {path}.")
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    ids = tuple(line for line in lines if line and not line.startswith("#"))
    problems = [
        f"{found!r} is not an id: letters, digits, dot, dash and underscore only. Use numbers that "
        "the school gives out, and no names or addresses"
        for found in ids
        if not _ID.fullmatch(found)
    ]
    counts = Counter(found.casefold() for found in ids)
    problems += [f"{found!r} occurs {count} times" for found, count in counts.items() if count > 1]
    problems += [] if ids else ["the file contains no ids"]
    raise_problems(DataError, path.name, problems)
    return ids


def read_secret(path: Path) -> tuple[bytes, bool]:
    """Read the instructor's key file, or make it; also return whether it was made.

    Raises
    ------
    SpecError
        The file holds fewer than 16 bytes.
    """
    path = Path(path)
    is_new = not path.exists()
    if is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
    secret = path.read_bytes().strip()
    if len(secret) < 16:
        raise SpecError(f"variants: {path} holds {len(secret)} bytes; a key needs at least 16.")
    return secret, is_new


def write_variants(
    source: Path,
    ids: Sequence[str],
    folder: Path,
    *,
    key: bytes,
    with_checks: bool = False,
    on_done: Callable[[str], None] = lambda student_id: None,
) -> Path:
    """Write one folder and, separately, one key per student.

    Parameters
    ----------
    source : path
        The notebook with solutions and hidden tests, its world in its metadata.
    ids : sequence of str
    folder : path
        Where to write. The two folders of each id must be new, or contain only what an earlier run
        wrote, which is replaced.
    key : bytes
        The instructor's secret.
    with_checks : bool
        Whether students get the hashed key, so that `crm.check` works for them. Not for an exam:
        numbers can be guessed from their hashes.
    on_done : callable
        Called with each id when it is done.

    Returns
    -------
    path
        `folder`.

    Raises
    ------
    SpecError
        If the notebook names no world, or the folder of an id contains anything else.
    """
    from crmlab.generators.variants import own_tables
    from crmlab.tables import write_tables

    source, folder = Path(source), Path(folder)
    notebook = read_notebook(source)
    world, customers = _world_of(notebook, source.name)
    student = student_notebook(notebook)
    write_file(folder / SOURCE, source.read_bytes())
    for student_id in ids:
        tables = own_tables(world, student_id, customers, key=key, purpose=source.stem)
        with (
            new_folder(folder / HANDOUT / student_id, _HANDOUT) as handout,
            new_folder(folder / KEYS / student_id, _KEY) as own,
        ):
            write_tables(tables, handout / "data", truth_folder=own / "truth")
            _make_key(notebook, handout / "data", own)
            write_notebook(student, handout / source.name)
            if with_checks:
                _hand_out_checks(own, handout)
        on_done(student_id)
    return folder


def _world_of(notebook: "NotebookNode", name: str) -> tuple["Factory", int]:
    variant = notebook.metadata.get("crmlab", {}).get("variant", {})
    where = str(variant.get("world", ""))
    if not re.fullmatch(r"crmlab(\.\w+)*:\w+", where):
        raise SpecError(
            f"{name} cannot be handed out in variants: its metadata name no world "
            '("crmlab": {"variant": {"world": "crmlab.module:function", "customers": 600}}).'
        )
    module, function = where.split(":")
    return getattr(import_module(module), function)(), int(variant.get("customers", 600))


def _make_key(notebook: "NotebookNode", data: Path, own: Path) -> None:
    """Run the source with its solutions, in a folder with data and truth."""
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(data, Path(work) / "data")
        shutil.copytree(own / "truth", Path(work) / "truth")
        # Both at once: a check must see the key of this world, not that of the course.
        made = {DRAFTS_VARIABLE: str(own), FOLDER_VARIABLE: str(own)}
        run_cells(notebook, Path(work), environment=made, seconds_per_cell=120)
    if not list(own.glob("*.json")):
        raise DataError("The source notebook sets no answer: no crm.set_answer(...) was run.")


def _hand_out_checks(own: Path, handout: Path) -> None:
    for path in own.glob("*.json"):
        write_file(handout / MARKER / "keys" / path.name, path.read_bytes())


def variant_keys(folder: Path, student_id: str) -> dict[str, Key]:
    """Read the keys of one student, by exercise.

    Raises
    ------
    DataError
        If there is no variant for the id.
    """
    own = Path(folder) / KEYS / student_id
    if not own.is_dir():
        raise DataError(f"{student_id} has no variant in {folder}: check the name of the file")
    found: dict[str, Key] = {}
    for path in sorted(own.glob("*.json")):
        found |= load_keys(path)
    return found
