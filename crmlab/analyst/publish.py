"""A folder that is there as a whole or not at all, whatever happens to its writer."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from crmlab.reading.disk import is_alive


def publish(target: Path, write: Callable[[Path], None]) -> None:
    """Write a folder aside, then rename it into place: it is there as a whole or not at all.

    What a run that was killed left behind is swept away by the next one into the same place.

    Parameters
    ----------
    target : path
    write : callable
        Fills the folder that it is handed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target)
    aside = Path(mkdtemp(prefix=f".{target.name}-{os.getpid()}-", dir=target.parent))
    try:
        new = aside / "new"
        new.mkdir()
        write(new)
        if target.exists():
            os.rename(target, aside / "old")
        try:
            os.rename(new, target)
        except OSError:
            if (aside / "old").exists():
                os.rename(aside / "old", target)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sweep(target: Path) -> None:
    """Remove what dead runs left beside a target; give back the report that one had moved away."""
    for left in target.parent.glob(f".{target.name}-*-*"):
        process = left.name.removeprefix(f".{target.name}-").split("-")[0]
        if not process.isdigit() or is_alive(int(process)):
            continue
        if not target.exists() and (left / "old").is_dir():
            os.rename(left / "old", target)
        shutil.rmtree(left, ignore_errors=True)
