"""All editions of the course, made from the executed notebooks and zipped.

``learners/`` is for everybody: the student edition, the recall edition, slides without notes.
``instructors/`` is for instructors: solutions, slides with notes, the schedule. No notebook is run.
"""

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from crmlab.course.editions import build_student
from crmlab.course.instructor import instructor_notebook, recall_notebook
from crmlab.course.keyring import keys_folder, load_keys
from crmlab.course.notebooks import notebook_bytes, read_notebook
from crmlab.course.schedule import course_schedule, schedule_text
from crmlab.course.slides import slides_html
from crmlab.tables.folders import FolderKind, new_folder, write_file

EDITIONS, SLIDES = FolderKind("crmlab editions"), FolderKind("crmlab slides")
LEARNERS, INSTRUCTORS = "learners", "instructors"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that the same files give the same zip, byte by byte


def build_slides(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write the slides of notebooks, with notes.

    Parameters
    ----------
    paths : sequence of path
        Executed source notebooks.
    folder : path
        New, empty, or only older slides; slides of other notebooks stay.

    Returns
    -------
    list of path
    """
    with new_folder(folder, SLIDES) as aside:
        if Path(folder).is_dir():
            mark = shutil.ignore_patterns(SLIDES.mark)
            shutil.copytree(folder, aside, ignore=mark, dirs_exist_ok=True)
        for path in paths:
            keys = load_keys(keys_folder() / f"{path.name[:2]}.json")
            write_file(aside / f"{path.stem}.html", slides_html(read_notebook(path), keys))
    return [Path(folder) / f"{path.stem}.html" for path in paths]


def build_editions(source_dir: Path, folder: Path) -> list[Path]:
    """Write every edition and two zip files.

    Parameters
    ----------
    source_dir : path
        The executed source notebooks.
    folder : path
        New, empty, or only older editions, which are replaced.

    Returns
    -------
    list of path
        The zip files.
    """
    with new_folder(folder, EDITIONS) as aside:
        build_student(Path(source_dir), aside / LEARNERS / "learn")
        for name, content in _derived(Path(source_dir)):
            write_file(aside / name, content)
        zipped = [_zip(aside, part).name for part in (LEARNERS, INSTRUCTORS)]
    return [Path(folder) / name for name in zipped]


def _derived(source_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files that are derived from each notebook: name, content."""
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
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / part).rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder / part).as_posix(), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    return target
