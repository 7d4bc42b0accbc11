"""The process in which one submission runs: limited, watched, and without the keys.

``python -m crmlab.course.sandbox WORK_FOLDER`` reads ``task.json`` there, runs its cells in order
as a fresh kernel would, and after each exercise writes the value of the answer, never a verdict, to
``values.jsonl``. `crmlab.course.grading` starts it and judges the values in its own process, where
the keys are. So a submission cannot change its grade by tampering with its checks.

The operating system limits time, memory, file size and open files. A hook of the interpreter
forbids reading anything but what Python and crmlab need, writing outside the work folder, starting
programs and using the network. **It is a fence, not a wall**: code that calls the C library
directly can climb over it (see ``docs/instructors/grading.md``).
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

TASK, VALUES, OUTPUT = "task.json", "values.jsonl", "output.txt"
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn")
_REACHES = ("socket.connect", "socket.bind", "socket.sendto", "os.kill", "os.killpg")
_CHANGES = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
    "os.symlink", "os.truncate", "os.utime", "shutil.rmtree", "shutil.move",
)  # fmt: skip
_LOOKS = ("os.listdir", "os.scandir")
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/dev", "/sys", "/System", "/Library", "/opt/homebrew")
_MOST_REPORTED = 20
_PROC = ("/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/filesystems", "/proc/sys")


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Parameters
    ----------
    seconds : int
        In total; limits both elapsed time and processor time.
    seconds_per_cell : int
        A cell that takes longer is stopped, and the next one runs.
    megabytes : int
        Address space; compiled libraries alone take about 1,500.
    file_megabytes : int
        Largest size of a file that it writes.
    files : int
        Number of files open at the same time.
    """

    seconds: int = 300
    seconds_per_cell: int = 60
    megabytes: int = 4_000
    file_megabytes: int = 50
    files: int = 256


class CellTimeoutError(BaseException):
    """A cell exceeded its time limit.

    Not an `Exception`, so that ``except Exception`` in a submission does not catch it.
    """


def write_task(folder: Path, cells: list[dict], limits: Limits, forbidden: list[str]) -> None:
    """Write the task of the process: cells with ``source``, ``exercise`` and ``probe``."""
    task = {"cells": cells, "limits": asdict(limits), "forbidden": forbidden}
    (folder / TASK).write_text(json.dumps(task), encoding="utf-8")


def main(folder: Path) -> None:
    """Run the task in a folder."""
    folder = folder.resolve()
    os.chdir(folder)
    task = json.loads((folder / TASK).read_text(encoding="utf-8"))
    (folder / TASK).unlink()
    limits = Limits(**task["limits"])
    shell = _new_shell()
    import crmlab  # noqa: F401  (before the fence stands: it is what every submission imports)

    with (folder / VALUES).open("a", encoding="utf-8", buffering=1) as file:

        def report(**entries: object) -> None:
            file.write(json.dumps(entries) + "\n")
            file.flush()

        _limit(limits)
        _guard(_make_fence(folder, [Path(path) for path in task["forbidden"]]), report)
        for cell in task["cells"]:
            _run_cell(shell, cell, limits.seconds_per_cell, report)
        report(end=True)


def _new_shell() -> "InteractiveShell":
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    return InteractiveShell.instance(config=settings)


def _limit(limits: Limits) -> None:
    try:
        import resource
    except ImportError:  # Windows: only the grader's own clock is left
        return
    mega = 1024 * 1024
    for name, most in (
        ("RLIMIT_CPU", limits.seconds),
        ("RLIMIT_AS", limits.megabytes * mega),
        ("RLIMIT_FSIZE", limits.file_megabytes * mega),
        ("RLIMIT_NOFILE", limits.files),
        ("RLIMIT_CORE", 0),
    ):
        with suppress(ValueError, OSError):  # a limit that the system does not allow stays
            resource.setrlimit(getattr(resource, name), (most, most))


# --- running -----------------------------------------------------------------------------------


def _run_cell(shell: "InteractiveShell", cell: dict, seconds: int, report: Callable) -> None:
    exercise, probe = cell["exercise"], cell["probe"]
    if exercise and probe.isidentifier():
        shell.user_ns.pop(probe, None)  # an earlier exercise's answer does not count
    error = _within(seconds, lambda: shell.run_cell(cell["source"]))
    if not exercise:
        return
    if error:
        report(exercise=exercise, error=error)
    else:
        report(exercise=exercise, **_probe(shell, probe, seconds))


def _within(seconds: int, run: Callable) -> str:
    """Run a cell with a time limit; return the name of what stopped it, or ""."""

    def stop(*_: object) -> None:
        raise CellTimeoutError

    has_alarm = hasattr(signal, "SIGALRM")
    if has_alarm:
        signal.signal(signal.SIGALRM, stop)
        signal.alarm(seconds)
    try:
        result = run()
    except CellTimeoutError:
        return f"over {seconds} s"
    finally:
        if has_alarm:
            signal.alarm(0)
    found = result.error_before_exec or result.error_in_exec
    if isinstance(found, CellTimeoutError):
        return f"over {seconds} s"
    return type(found).__name__ if found else ""


def _probe(shell: "InteractiveShell", probe: str, seconds: int) -> dict:
    """Return the value of an answer, as plain data."""
    found: dict = {}

    def take() -> object:
        result = shell.run_cell(f"__answer__ = ({probe})", silent=True)
        if result.success:
            found.update(_plain(shell.user_ns.pop("__answer__", None)))
        return result

    error = _within(seconds, take)
    return {"error": error} if error else found or {"error": "no answer"}


def _plain(value: object) -> dict:
    import numpy as np

    if value is ... or value is None:
        return {"error": "no answer"}
    if isinstance(value, set | frozenset):
        return {"value": sorted(value, key=str), "is_set": True}
    try:
        items = np.asarray(value).tolist()
        json.dumps(items)
    except (TypeError, ValueError):
        return {"error": f"no answer, but a {type(value).__name__}"}
    return {"value": items}


# --- the fence ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fence:
    """Where a submission may write, and what it may read.

    Parameters
    ----------
    home : str
        May be read and written.
    readable : tuple of str
        Folders that may be read, with everything in them.
    listed : tuple of str
        Folders that may be listed (the import system does so) but not read.
    closed : tuple of str
        Folders that may not be read, although they are in a readable folder.
    """

    home: str
    readable: tuple[str, ...]
    listed: tuple[str, ...]
    closed: tuple[str, ...]

    def lets(self, path: object, *, writes: bool) -> bool:
        """Whether a path may be read, or written."""
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a file that is already open
        real = os.path.realpath(os.fsdecode(path))
        if _is_in(real, self.home) or real == os.devnull:
            return True
        if writes or any(_is_in(real, place) for place in self.closed):
            return False
        return real in self.listed or any(_is_in(real, place) for place in self.readable)

    def refuses(self, event: str, arguments: tuple) -> str:
        """Return what is refused about an event of the interpreter; "" if it is allowed."""
        if event in _STARTS or event in _REACHES:
            return f"{event} {arguments[0] if arguments else ''}"
        if event == "open":
            path, mode, flags = arguments
            writes = _writes(mode, flags)
            attempt = f"to {'write' if writes else 'read'} {path}"
            return "" if self.lets(path, writes=writes) else attempt
        if event in _CHANGES or event in _LOOKS:
            allowed = (self.lets(at, writes=event in _CHANGES) for at in arguments[:2])
            return "" if all(allowed) else f"{event} {arguments[0]}"
        return ""


def _make_fence(work: Path, forbidden: list[Path]) -> Fence:
    package = Path(__file__).resolve().parents[1]
    python = (sys.prefix, sys.base_prefix, package, package.parent / "datasets")
    readable = (*python, *_SYSTEM, *_PROC, f"/proc/{os.getpid()}")
    course = package / "course"
    closed = (*forbidden, course / "keys", course / "assignments")
    real = os.path.realpath
    return Fence(
        home=real(work),
        readable=tuple(real(path) for path in readable),
        listed=tuple(map(real, filter(None, sys.path))),
        closed=tuple(real(path) for path in closed),
    )


def _guard(fence: Fence, report: Callable) -> None:
    """Permanently refuse what a submission may not do."""
    reported: set[str] = set()

    def watch(event: str, arguments: tuple) -> None:
        refused = fence.refuses(event, arguments)[:200]
        if not refused:
            return
        if refused not in reported and len(reported) < _MOST_REPORTED:
            reported.add(refused)
            report(refused=refused)
        raise PermissionError(f"A submission may not do this: {refused}")

    sys.addaudithook(watch)


def _writes(mode: object, flags: object) -> bool:
    by_mode = isinstance(mode, str) and bool(set(mode) & set("wax+"))
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    return by_mode or (isinstance(flags, int) and bool(flags & changing))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
