"""The one safe folder writer: a folder is whole or absent, and nobody else's files are replaced.

A new folder is written aside, in the same parent folder, and is renamed into place when it is
complete. An older one is moved aside first, and is moved back if anything fails. A kill between the
two renames leaves it aside, and the next writer in that parent folder moves it back.

Each folder carries a *mark*: a JSON file whose `format` says "crmlab ..." and whose `files` lists
what crmlab wrote. A folder is replaced only if it carries the mark of its kind and holds nothing
that the mark does not list. Unfinished folders carry a mark too, and only those are swept.
"""

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Any

from crmlab.errors import SpecError

Mark = dict[str, Any]
MARK = "crmlab.json"
UNFINISHED = ".crmlab-part"  # ends the name of a file until it is complete
_ASIDE = "crmlab unfinished"
_OF_THE_SYSTEM = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # a look at a folder makes it


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that crmlab writes, and how its mark is recognised.

    Parameters
    ----------
    format : str
        What the mark says, such as "crmlab fit".
    mark : str
        The name of the JSON file that says so.
    upgrade : callable
        Turns a mark that an older version wrote into one with `format` and `files`.
    """

    format: str
    mark: str = MARK
    upgrade: Callable[[Mark], Mark] = dict


@contextmanager
def new_folder(folder: str | Path, kind: FolderKind) -> Iterator[Path]:
    """Write a folder aside and rename it into place: it is there as a whole or not at all.

    Parameters
    ----------
    folder : path
        New, empty, or an older folder of the same kind, which is replaced as a whole.
    kind : FolderKind
        Its mark is written after the body of the ``with`` statement. A body with more to say
        writes that as a JSON object into the file of the mark, which is then completed.

    Yields
    ------
    Path
        An empty folder to write into. If the body raises, everything stays as it was.

    Raises
    ------
    SpecError
        If `folder` is anything else; both before and after the body has run.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as home:
    ...     with new_folder(f"{home}/notes", FolderKind("crmlab notes")) as aside:
    ...         write_file(aside / "one.txt", "1")
    ...     sorted(path.name for path in Path(home, "notes").iterdir())
    ['crmlab.json', 'one.txt']
    """
    target = Path(folder).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    check_folder(target, kind)
    aside = make_aside(target.parent, target.name)
    new = aside / "new"
    try:
        new.mkdir()
        yield new
        _finish(new, kind)
        check_folder(target, kind)
        if target.exists():
            os.rename(target, aside / "old")
        os.rename(new, target)
    finally:
        _settle(aside, target)


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file under another name and rename it, so that no reader sees half of it.

    Parameters
    ----------
    path : path
        Its folder is made if it is not there.
    content : bytes or str
        Text is written as UTF-8, its line ends as they are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def to_json(said: Mark) -> str:
    """Give an object as JSON that people can read."""
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def flush(path: Path) -> None:
    """Have the bytes on the disk before the name is: a rename may overtake what it renames."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _finish(new: Path, kind: FolderKind) -> None:
    """Complete the mark of a folder, and have all of it on the disk."""
    mark = new / kind.mark
    files = [path for path in sorted(new.rglob("*")) if path.is_file() and path != mark]
    names = [path.relative_to(new).as_posix() for path in files]
    said = {"format": kind.format, "version": 1, **_read_object(mark), "files": names}
    write_file(mark, to_json(said))
    for path in files:
        with suppress(PermissionError):  # a copy of a file that is read-only
            flush(path)


# --- whose it is ----------------------------------------------------------------------------------


def check_folder(folder: str | Path, kind: FolderKind) -> None:
    """Refuse a folder that must not be replaced.

    Raises
    ------
    SpecError
        If it is there, holds something, and is not a folder of this kind and nothing else.
    """
    problem = _reason_to_stay(Path(folder), kind)
    if problem:
        raise SpecError(
            f"{folder} {problem} and stays as it is: crmlab replaces only a folder that says "
            f"{kind.format!r} in its {kind.mark} and holds nothing else, so name a new or an empty "
            "folder, or move away what is in this one."
        )


def _reason_to_stay(folder: Path, kind: FolderKind) -> str:
    if not folder.exists():
        return ""
    if not folder.is_dir():
        return "is a file"
    said = read_mark(folder, kind)
    if not said:
        return "is something else" if any(map(_is_content, folder.iterdir())) else ""
    own = {kind.mark, *map(str, said.get("files", ()))}
    own |= {str(parent) for name in own for parent in PurePosixPath(name).parents}
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if _is_content(p))
    others = sorted(name for name in found if name not in own)
    return f"also holds {', '.join(others[:3])}" if others else ""


def _is_content(path: Path) -> bool:
    return path.name not in _OF_THE_SYSTEM


def read_mark(path: Path, kind: FolderKind) -> Mark:
    """Read what a folder, or the file of its mark, says; nothing if it is not of this kind."""
    said = kind.upgrade(_read_object(path / kind.mark if path.is_dir() else path))
    return said if said.get("format") == kind.format else {}


def _read_object(path: Path) -> Mark:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


# --- what is unfinished ---------------------------------------------------------------------------


def make_aside(home: Path, target: str = "") -> Path:
    """Make a hidden folder for work of this process, marked so that another one can sweep it.

    Parameters
    ----------
    home : path
        Where to make it.
    target : str, optional
        Name of the folder in `home` whose older version is kept in it for a moment, as ``old``.
    """
    aside = Path(mkdtemp(prefix=f".crmlab-{os.getpid()}-", dir=home))
    said = {"format": _ASIDE, "target": target, "process": os.getpid(), "host": _host()}
    (aside / MARK).write_text(json.dumps(said), encoding="utf-8")
    return aside


def sweep(home: Path) -> None:
    """Clear away what processes that are gone left unfinished; give back what they moved aside.

    Only folders with crmlab's mark are touched, and only those of this computer.
    """
    for left in home.glob(".crmlab-*-*"):
        with suppress(OSError, KeyError, TypeError, ValueError):  # swept by others, or not ours
            said = _read_object(left / MARK) or _mark_never_written(left)
            is_ours = said.get("format") == _ASIDE and said["host"] == _host()
            if is_ours and not is_alive(said["process"]):
                _settle(left, home / PurePosixPath(said["target"]).name)


def _mark_never_written(left: Path) -> Mark:
    """Stand in for a mark that a killed process did not come to write: nothing is in there yet."""
    if any(path.name != MARK or path.stat().st_size for path in left.iterdir()):
        return {}
    process = int(left.name.split("-")[1])
    return {"format": _ASIDE, "target": "", "process": process, "host": _host()}


def _settle(aside: Path, target: Path) -> None:
    """Give back the older folder where no new one took its place, and remove what is left."""
    if (aside / "old").exists() and not target.exists():
        os.rename(aside / "old", target)
    remove_aside(aside)


def remove_aside(aside: Path) -> None:
    """Remove unfinished work, its mark last: what a kill or an error leaves of it can be swept."""
    with suppress(OSError):
        for path in aside.iterdir():
            if path.name != MARK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(aside)


def _host() -> str:
    return platform.node()


def is_alive(process: int) -> bool:
    """Whether a process runs, as far as this system tells without touching it."""
    if os.name != "posix":  # elsewhere signal 0 may end a process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
