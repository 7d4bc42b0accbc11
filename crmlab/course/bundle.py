"""All editions of the course, made at once from the executed notebooks, and zipped.

``learners/`` holds what everybody may have: the student edition, the recall edition, slides without
notes. ``instructors/`` holds the rest: solutions, slides with notes, the schedule. Nothing here
runs a notebook.
"""

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from crmlab.course.editions import build_student
from crmlab.course.instructor import instructor_notebook, recall_notebook
from crmlab.course.keyring import keys_folder, load_keys
from crmlab.course.notebooks import notebook_bytes, read_notebook, write_aside
from crmlab.course.schedule import course_schedule, schedule_text
from crmlab.course.slides import slides_html

LEARNERS, INSTRUCTORS = "learners", "instructors"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that the same files make the same zip, byte by byte


def build_slides(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write the slides of notebooks, with notes.

    Parameters
    ----------
    paths : sequence of path
        Executed source notebooks.
    folder : path

    Returns
    -------
    list of path
    """
    written = []
    for path in paths:
        keys = load_keys(keys_folder() / f"{path.name[:2]}.json")
        target = Path(folder) / f"{path.stem}.html"
        write_aside(target, slides_html(read_notebook(path), keys).encode())
        written.append(target)
    return written


def build_editions(source_dir: Path, folder: Path) -> list[Path]:
    """Write every edition and two zip files.

    Parameters
    ----------
    source_dir : path
        The executed source notebooks.
    folder : path
        Its two parts, ``learners`` and ``instructors``, are written anew.

    Returns
    -------
    list of path
        The zip files.
    """
    source_dir, folder = Path(source_dir), Path(folder)
    for part in (LEARNERS, INSTRUCTORS):
        shutil.rmtree(folder / part, ignore_errors=True)
    build_student(source_dir, folder / LEARNERS / "learn")
    for name, content in _derived(source_dir):
        write_aside(folder / name, content)
    return [_zip(folder, part) for part in (LEARNERS, INSTRUCTORS)]


def _derived(source_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files that are derived of each notebook: name, content."""
    for path in sorted(source_dir.glob("*.ipynb")):
        notebook = read_notebook(path)
        keys = load_keys(keys_folder() / f"{path.name[:2]}.json")
        yield f"{LEARNERS}/recall/{path.name}", notebook_bytes(recall_notebook(notebook))
        yield f"{LEARNERS}/slides/{path.stem}.html", slides_html(notebook, notes=False).encode()
        taught = instructor_notebook(notebook, keys)
        yield f"{INSTRUCTORS}/notebooks/{path.name}", notebook_bytes(taught)
        yield f"{INSTRUCTORS}/slides/{path.stem}.html", slides_html(notebook, keys).encode()
    schedule = schedule_text(course_schedule(source_dir))
    yield f"{INSTRUCTORS}/schedule.md", f"# Seven weeks\n\n{schedule}\n".encode()


def _zip(folder: Path, part: str) -> Path:
    """Zip a part of the editions; the same content gives the same bytes."""
    target = folder / f"crmlab-{part}.zip"
    aside = target.with_suffix(".part")
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / part).rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder / part).as_posix(), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    aside.replace(target)
    return target
