"""What was asked for, and the manifest of a report, from which it can be asked again.

A manifest is a file that people edit: whatever is wrong with it is said, all at once, and its
values obey the rules of the options.
"""

import datetime
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from crmlab import __version__
from crmlab.analyst.plan import Plan
from crmlab.analyst.study import SETTINGS_RULES, Settings, Study
from crmlab.errors import DataError, raise_problems
from crmlab.inference.saving import FILES
from crmlab.reading import EventFile, ReadingOptions
from crmlab.reading.events import KINDS, roles_of
from crmlab.reading.options import DAY, READING_RULES
from crmlab.reading.rules import OBJECT, TEXT, Rule, find_broken, number_within, one_of
from crmlab.report.progress import Tell
from crmlab.tables.folders import FolderKind, Mark, read_mark


def _upgrade(said: Mark) -> Mark:
    """Read a manifest of older versions, which lists no files."""
    names = ("report.html", "customers.csv", "customers_columns.csv", "quality.json")
    return {"files": (*names, *(f"fit/{name}" for name in FILES)), **said}


REPORT = FolderKind("crmlab report", "manifest.json", _upgrade, private=True)
_SHOWN_VERSIONS = ("numpy", "pandas", "scipy", "pymc", "pytensor", "nutpie", "numba")


@dataclass(frozen=True)
class Request:
    """Everything that decides what a report says.

    Parameters
    ----------
    source : path
    reading : ReadingOptions
    settings : Settings
    same_person : path, optional
    key : path, optional
        Key of the pseudonyms.
    events : tuple of EventFile
        Touchpoints, surveys, cases, actions: at most one file of each kind.
    """

    source: Path
    reading: ReadingOptions
    settings: Settings
    same_person: Path | None = None
    key: Path | None = None
    events: tuple[EventFile, ...] = ()


@dataclass(frozen=True)
class Input:
    """A file that a report was made from, and its SHA-256 at that time."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the manifest of a report says.

    Parameters
    ----------
    versions : mapping of package to version
    inputs : mapping of str to Input
        `source`, and if given `same_person`, `key` and the files besides the orders.
    reading : ReadingOptions
    settings : Settings
    plan : Plan
    columns : mapping of kind to (mapping of role to column)
        The user's choices about the files besides the orders.
    levels : mapping of kind to tuple of float
        Lowest score of each level of a survey, except the first.
    """

    versions: Mapping[str, str]
    inputs: Mapping[str, Input]
    reading: ReadingOptions
    settings: Settings
    plan: Plan
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    levels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def reading_of_others(self) -> ReadingOptions:
        """Return the options that hold for another file too.

        These are how files are written, and the first day. When the observation ends, and how
        large a file is, is the other file's own.
        """
        return replace(self.reading, until=None, today=None, large=None)


# --- writing --------------------------------------------------------------------------------------


def used_versions() -> dict[str, str]:
    """Return the versions that may change a digit; a clone of the repository has no entry."""
    return {"crmlab": __version__, **{name: metadata.version(name) for name in _SHOWN_VERSIONS}}


def describe_request(request: Request, study: Study, target: Path) -> dict[str, object]:
    """Return everything needed to make the report again, as plain values."""
    inputs: dict[str, Any] = {
        "source": request.source,
        "same_person": request.same_person,
        "key": request.key,
    }
    inputs |= {file.kind: file.source for file in request.events}
    return {
        "versions": used_versions(),
        "inputs": {
            name: {"path": _relative(Path(path), target), "sha256": checksum(Path(path))}
            for name, path in inputs.items()
            if path is not None
        },
        "reading": _as_plain(request.reading),
        "columns": {file.kind: dict(file.columns) for file in request.events},
        "levels": {one.kind: list(one.edges) for one in study.verdicts if one.edges},
        "settings": _as_plain(request.settings),
        "plan": _as_plain(study.plan),
        "stages": list(study.names),
        "currency": study.sales.currency,
        "problems": list(study.fit.problems),
    }


def _as_plain(specification: ReadingOptions | Settings | Plan) -> dict[str, object]:
    """Return the fields as values of JSON; days as text."""
    return {
        name: str(value) if isinstance(value, datetime.date) else value
        for name, value in asdict(specification).items()
    }


def _relative(path: Path, target: Path) -> str:
    """Return a path relative to the report, so that both can be moved together."""
    try:
        return Path(os.path.relpath(path.resolve(), target)).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- reading --------------------------------------------------------------------------------------

_NUMBER = number_within(-1e12, 1e12)
_FILE = Rule(
    "an object with two texts, path and sha256",
    lambda x: OBJECT.holds(x) and all(_is_path(x.get(name)) for name in ("path", "sha256")),
)
_LEVELS = Rule(
    "a list of rising numbers",
    lambda x: isinstance(x, list) and all(map(_NUMBER.holds, x)) and x == sorted(set(x)),
)
_VERSIONS = Rule(
    "an object of printable texts",
    lambda x: OBJECT.holds(x) and all(TEXT.holds(t) and t.isprintable() for t in x.values())
    and all(name.isprintable() for name in x),
)  # fmt: skip
_PLAN_RULES = {
    "freq": one_of("D", "W", "M"),
    "first": DAY,
    "last": DAY,
    "cutoff": DAY,
    "n_periods": number_within(1, 1_000_000, whole=True),
    "n_seen": number_within(1, 1_000_000, whole=True),
    "mean_rate": number_within(1e-9, 1e6),
}


def _is_path(value: object) -> bool:
    """Whether a text can be the name of a file: no system takes NUL or half a character."""
    text = str(value)
    is_short = len(text) < 4096 and all(len(part.encode(errors="replace")) < 256
                                        for part in text.split("/"))  # fmt: skip
    is_sound = not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)
    return TEXT.holds(value) and is_short and is_sound


def _columns_of(kind: str) -> Rule:
    roles = roles_of(kind)
    return Rule(
        f"an object of columns by name ({', '.join(roles)})",
        lambda x: OBJECT.holds(x) and set(x) <= set(roles) and all(map(TEXT.holds, x.values())),
    )


# The parts of a manifest: the rules of what is in them, and the names that must be there.
_PARTS: dict[str, tuple[Mapping[str, Rule], tuple[str, ...]]] = {
    "inputs": (dict.fromkeys(("source", "same_person", "key", *KINDS), _FILE), ("source",)),
    "columns": ({kind: _columns_of(kind) for kind in KINDS}, ()),
    "levels": ({"surveys": _LEVELS}, ()),
    "reading": (READING_RULES, ()),
    "settings": (SETTINGS_RULES, tuple(SETTINGS_RULES)),
    "plan": (_PLAN_RULES, tuple(_PLAN_RULES)),
}
_NOT_IN_OLDER: Mark = {"columns": {}, "levels": {}}


def read_manifest(path: str | Path) -> Manifest:
    """Read the manifest of a report.

    Parameters
    ----------
    path : path
        The file, or the folder that holds it.

    Raises
    ------
    DataError
        The file is not the manifest of a report, or a value in it breaks its rule: all problems
        at once.
    """
    path = Path(path)
    path = path / REPORT.mark if path.is_dir() else path
    found = read_mark(path, REPORT)
    if found.get("version") != 1:
        problem = f"is not of the format {REPORT.format!r}, version 1"
        raise DataError(f"{path.name}: {problem if path.is_file() else 'there is no such file'}")
    said = _NOT_IN_OLDER | found
    raise_problems(DataError, path.name, _find_problems(said))
    return _make(said, path.parent)


def _find_problems(said: Mark) -> list[str]:
    names = ("versions", *_PARTS)
    there = {name: said[name] for name in names if name in said}
    rules = dict.fromkeys(names, OBJECT) | {"versions": _VERSIONS}
    problems = find_broken(there, rules, required=names)
    for name, (inside, required) in _PARTS.items():
        if OBJECT.holds(part := said.get(name)):
            spell, whole = f"`{name}.{{}}`".format, f"`{name}`"
            problems += find_broken(part, inside, spell=spell, required=required, whole=whole)
    return problems or [
        f"`columns.{kind}` says how to read a file, and `inputs.{kind}` is missing"
        for kind in said["columns"]
        if kind not in said["inputs"]
    ]


def _make(said: Mark, home: Path) -> Manifest:
    days = {name: pd.Timestamp(said["plan"][name]) for name in ("first", "last", "cutoff")}
    return Manifest(
        said["versions"],
        {name: Input(home / one["path"], one["sha256"]) for name, one in said["inputs"].items()},
        ReadingOptions(**{name: _as_tuple(value) for name, value in said["reading"].items()}),
        Settings(**said["settings"]),
        Plan(**(said["plan"] | days)),
        said["columns"],
        {kind: tuple(map(float, edges)) for kind, edges in said["levels"].items()},
    )


def _as_tuple(value: object) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def request_again(manifest: str | Path, tell: Tell) -> Request:
    """Rebuild a request from a manifest; the inputs must be the same, byte for byte.

    Parameters
    ----------
    manifest : path
    tell : callable
        Takes a line for each version that differs.

    Raises
    ------
    DataError
        The manifest is wrong, or an input is missing or has changed; all problems at once.
    """
    said = read_manifest(manifest)
    problems = [p for one in said.inputs.values() for p in _input_problems(one)]
    if problems:
        raise DataError(f"{REPORT.mark}: the report cannot be made again: {'; '.join(problems)}")
    now = used_versions()
    for name, version in said.versions.items():
        if now.get(name) != version:
            tell(f"{name} is {now.get(name, 'missing')} and was {version}: digits may differ")
    paths = {name: one.path.resolve() for name, one in said.inputs.items()}
    return Request(
        paths["source"],
        said.reading,
        said.settings,
        paths.get("same_person"),
        paths.get("key"),
        tuple(
            EventFile(kind, paths[kind], said.columns.get(kind, {}))
            for kind in paths
            if kind in KINDS
        ),
    )


def _input_problems(one: Input) -> list[str]:
    if not one.path.is_file():
        return [f"{one.path.name} is not at {one.path}"]
    if checksum(one.path) != one.sha256:
        return [f"{one.path.name} has changed since (its checksum differs)"]
    return []
