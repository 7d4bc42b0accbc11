"""The one safe folder writer: a folder is complete or absent, and no foreign files are replaced.

A new folder is written under a temporary name in the same parent folder and renamed when complete.
An older version is moved aside first, and is moved back if anything fails. If the process is killed
between the two renames, the next writer in that parent folder moves it back.

Each folder has a *mark*: a JSON file whose `format` says "crmlab ..." and whose `files` lists what
crmlab wrote. A folder is replaced only if it has the mark of its kind and contains nothing else.
Unfinished folders have a mark too, and only these are cleaned up.
"""

import json
import os
import platform
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile, mkdtemp
from typing import Any

from crmlab.errors import SpecError, error_of

Mark = dict[str, Any]
MARK = "crmlab.json"
UNFINISHED = ".crmlab-part"  # suffix of a file until it is complete
_ASIDE = "crmlab unfinished"
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_OF_THE_SYSTEM = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # created by file browsers


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that crmlab writes, and how its mark is recognised.

    Parameters
    ----------
    format : str
        What the mark says, such as "crmlab fit".
    mark : str
        The name of that JSON file.
    upgrade : callable
        Converts a mark of an older version into one with `format` and `files`.
    private : bool
        Whether only its owner may read it, because it tells of single customers.
    """

    format: str
    mark: str = MARK
    upgrade: Callable[[Mark], Mark] = dict
    private: bool = False


@contextmanager
def new_folder(
    folder: str | Path, kind: FolderKind, *, giving_up: Collection[str] = ()
) -> Iterator[Path]:
    """Write a folder under a temporary name, then rename it: it is complete or absent.

    Parameters
    ----------
    folder : path
        New, empty, or an older folder of the same kind, which is replaced.
    kind : FolderKind
        Its mark is written after the body of the ``with`` statement. To add entries, the body
        writes a JSON object into the file of the mark, which is then completed.
    giving_up : collection of str
        Files of others in an older folder that may go with it: what `list_others` has found.

    Yields
    ------
    Path
        An empty folder to write into. If the body raises, everything stays as it was.

    Raises
    ------
    SpecError
        If `folder` is anything else; this is checked before and after the body runs.

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
    check_folder(target, kind, giving_up)
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    check_folder(target, kind, giving_up)  # once more, as the sweep may have put one back
    aside = make_aside(target.parent, target.name)
    new = aside / "new"
    try:
        new.mkdir()
        yield new
        _finish(new, kind)
        check_folder(target, kind, giving_up)
        if target.exists():
            os.rename(target, aside / "old")
        os.rename(new, target)
    finally:
        _settle(aside, target)


def write_file(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write a file under a temporary name, then rename it, so that no reader sees half of it.

    Parameters
    ----------
    path : path
        Its folder is created if necessary.
    content : bytes or str
        Text is written as UTF-8, with its line endings unchanged.
    private : bool
        Whether only its owner may read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        if private:
            aside.touch(_PRIVATE_FILE)
            aside.chmod(_PRIVATE_FILE)
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def to_json(content: Mark) -> str:
    """Write an object as human-readable JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def flush(path: Path) -> None:
    """Force a file's bytes to disk, because a rename may be stored before the content is."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _finish(new: Path, kind: FolderKind) -> None:
    """Complete the mark of a folder, and force all files to disk."""
    mark = new / kind.mark
    files = [path for path in sorted(new.rglob("*")) if path.is_file() and path != mark]
    names = [path.relative_to(new).as_posix() for path in files]
    write_file(
        mark, to_json({"format": kind.format, "version": 1, **_read_object(mark), "files": names})
    )
    for path in files:
        with suppress(PermissionError):  # a read-only copy
            flush(path)
    if kind.private:
        _close(new)


def _close(new: Path) -> None:
    """Let nobody but the owner read a folder and what is in it."""
    for path in (new, *new.rglob("*")):
        path.chmod(_PRIVATE_FOLDER if path.is_dir() else _PRIVATE_FILE)


# --- ownership ------------------------------------------------------------------------------------


def check_folder(folder: str | Path, kind: FolderKind, giving_up: Collection[str] = ()) -> None:
    """Refuse a folder that must not be replaced, or that cannot be written.

    Raises
    ------
    SpecError
        If it exists, is not empty, and is anything other than a folder of this kind; if it holds
        files of others, except those in `giving_up`; or if its place cannot be written to.
    """
    folder = Path(folder)
    problem = _reason_to_stay(folder, kind, giving_up)
    if problem:
        raise SpecError(
            f"{folder} {problem} and stays as it is: crmlab replaces only a folder that says "
            f"{kind.format!r} in its {kind.mark} and holds nothing else. Name a new or an empty "
            "folder, or move the contents of this one."
        )
    problem = _reason_not_to_write(folder.resolve().parent)
    if problem:
        raise SpecError(f"{folder} cannot be written: {problem}. Name another place.")


def _reason_to_stay(folder: Path, kind: FolderKind, giving_up: Collection[str]) -> str:
    if not os.path.exists(folder):  # or it cannot be seen
        return ""
    if not folder.is_dir():
        return "is a file"
    if not os.access(folder, os.W_OK):
        return "is read-only"
    if not read_mark(folder, kind):
        return "is something else" if any(map(_is_foreign, folder.iterdir())) else ""
    others = [name for name in list_others(folder, kind) if name not in giving_up]
    more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
    return f"also holds {', '.join(others[:3])}{more}" if others else ""


def list_others(folder: str | Path, kind: FolderKind) -> tuple[str, ...]:
    """List what a folder of this kind holds that crmlab did not write; nothing if it is another.

    Parameters
    ----------
    folder : path
    kind : FolderKind

    Returns
    -------
    tuple of str
        Paths in the folder, sorted.
    """
    folder = Path(folder)
    content = read_mark(folder, kind)
    if not content:
        return ()
    own = {kind.mark, *content["files"]}
    own |= {str(parent) for name in own for parent in PurePosixPath(name).parents}
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if _is_foreign(path))
    return tuple(sorted(name for name in found if name not in own))


def check_files(paths: Sequence[Path], *, replace: bool = False) -> None:
    """Refuse files that exist, which carry no mark of crmlab, and places that cannot be written.

    Parameters
    ----------
    paths : sequence of path
        Files that are to be written.
    replace : bool
        Whether files that exist may be replaced.

    Raises
    ------
    SpecError
        All problems at once.
    """
    found = {path: _reason_not_to_replace(path.resolve(), replace) for path in paths}
    problems = [f"{path} {problem}" for path, problem in found.items() if problem]
    if problems:
        raise error_of(SpecError, "nothing was written", problems)


def _reason_not_to_replace(path: Path, replace: bool) -> str:
    is_there = os.path.exists(path)  # which is False, not an error, where nothing can be seen
    if os.path.isdir(path):
        return "is a folder: name a file in it"
    if is_there and not path.is_file():
        return "is a device, not a file"
    if is_there and not replace:
        return "exists and stays as it is: name another file, or replace it with --force"
    problem = _reason_not_to_write(path.parent)
    return f"cannot be written: {problem}. Name another place" if problem else ""


def _reason_not_to_write(home: Path) -> str:
    """Try to make a file in a folder, or in the nearest one above it that exists."""
    while not os.path.exists(home):
        home = home.parent
    try:
        with TemporaryFile(dir=home):
            return ""
    except OSError as problem:
        return f"{home}: {problem.strerror or problem}"


def _is_foreign(path: Path) -> bool:
    return path.name not in _OF_THE_SYSTEM


def read_mark(path: Path, kind: FolderKind) -> Mark:
    """Read the mark of a folder, or a mark file; {} if it is not of this kind."""
    mark = kind.upgrade(_read_object(path / kind.mark if path.is_dir() else path))
    names = mark.get("files")
    if mark.get("format") != kind.format or not isinstance(names, list | tuple):
        return {}
    return mark if all(isinstance(name, str) for name in names) else {}


def _read_object(path: Path) -> Mark:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # the last: nested too deep
        return {}
    return content if isinstance(content, dict) else {}


# --- unfinished folders ---------------------------------------------------------------------------


def make_aside(home: Path, target: str = "") -> Path:
    """Make a hidden work folder of this process, marked so that another process can remove it.

    Parameters
    ----------
    home : path
        Where to make it.
    target : str, optional
        Name of the folder in `home` whose older version it keeps temporarily, as ``old``.
    """
    aside = Path(mkdtemp(prefix=f".crmlab-{os.getpid()}-", dir=home))
    mark = {"format": _ASIDE, "target": target, "process": os.getpid(), "host": _host()}
    (aside / MARK).write_text(json.dumps(mark), encoding="utf-8")
    return aside


def sweep(home: Path) -> None:
    """Remove what dead processes left unfinished; put back what they moved aside.

    Only folders with crmlab's mark are touched, and only those of this computer.
    """
    for left in home.glob(".crmlab-*-*"):
        with suppress(OSError, KeyError, TypeError, ValueError):  # swept by others, or not ours
            mark = _read_object(left / MARK) or _mark_never_written(left)
            is_ours = mark.get("format") == _ASIDE and mark["host"] == _host()
            if is_ours and not is_alive(mark["process"]):
                _settle(left, home / PurePosixPath(mark["target"]).name)


def _mark_never_written(left: Path) -> Mark:
    """Make a mark for a folder whose process was killed before it wrote one; {} if not empty."""
    if any(path.name != MARK or path.stat().st_size for path in left.iterdir()):
        return {}
    process = int(left.name.split("-")[1])
    return {"format": _ASIDE, "target": "", "process": process, "host": _host()}


def _settle(aside: Path, target: Path) -> None:
    """Put the older folder back unless a new one has replaced it, and remove the rest."""
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
    """Whether a process is running, as far as this system can tell without disturbing it."""
    if os.name != "posix":  # elsewhere signal 0 may end a process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
