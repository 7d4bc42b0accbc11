"""The folder of a report, and its manifest, from which it can be made again."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from crmlab import __version__
from crmlab.analyst.advice import describe_actions, next_actions
from crmlab.analyst.customers import describe_columns, write_customers
from crmlab.analyst.page import render_report
from crmlab.analyst.plan import Plan, drop_unfinished_month
from crmlab.analyst.purchase_models import fit_purchase_models
from crmlab.analyst.scoring import read_draws, score_orders
from crmlab.analyst.sources import Sources, blank_channels
from crmlab.analyst.study import Settings, Study, study_sales
from crmlab.errors import DataError
from crmlab.inference import load_fit
from crmlab.inference.saving import FILES
from crmlab.reading import (
    EventFile,
    Events,
    Quality,
    ReadingOptions,
    Sales,
    neutralise,
    read_events,
    read_key,
    read_raw,
    read_sales,
)
from crmlab.report.parts import to_csv
from crmlab.report.progress import Tell
from crmlab.tables.folders import FolderKind, Mark, new_folder, read_mark, to_json
from crmlab.value import per_year


def _upgrade(said: Mark) -> Mark:
    """Read a manifest of older versions, which lists no files."""
    names = ("report.html", "customers.csv", "customers_columns.csv", "quality.json")
    return {"files": (*names, *(f"fit/{name}" for name in FILES)), **said}


REPORT = FolderKind("crmlab report", "manifest.json", _upgrade)
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


def write_report(
    request: Request,
    folder: str | Path,
    *,
    tell: Tell,
    show: Callable[[Quality, str], None] = lambda quality, noun: None,
) -> Study:
    """Read, study, and write the folder, all of it or nothing.

    Parameters
    ----------
    request : Request
    folder : path
        A folder that is new, empty, or holds only an older report, which is replaced as a whole.
    tell : callable
        Takes each line of progress.
    show : callable, optional
        Takes the record of each reading, and the name of its rows, before anything is fitted.

    Returns
    -------
    Study

    Raises
    ------
    DataError
        The file cannot be read, or does not support a model of stages.
    SpecError
        The folder is anything else; it is checked before anything is read.
    """
    with new_folder(folder, REPORT) as aside:
        sales = drop_unfinished_month(read_request(request))
        show(sales.quality, "orders")
        events = read_event_files(request, sales)
        for one in events:
            show(one.quality, one.kind)
        study = study_sales(sales, request.settings, tell, events)
        tell("drawing and writing")
        _write(aside, study, request, Path(folder).resolve())
    return study


def read_request(request: Request) -> Sales:
    """Read the orders that a request names."""
    people, key = _read_identities(request)
    return read_sales(request.source, request.reading, same_person=people, key=key)


def read_event_files(request: Request, sales: Sales) -> tuple[Events, ...]:
    """Read the files besides the orders, under the same key and list of persons."""
    people, key = _read_identities(request)
    return tuple(
        read_events(file, sales, request.reading, same_person=people, key=key)
        for file in request.events
    )


def _read_identities(request: Request) -> tuple[pd.DataFrame | None, bytes | None]:
    people = None if request.same_person is None else read_raw(request.same_person).frame
    return people, None if request.key is None else read_key(request.key)


def _describe_quality(study: Study) -> dict[str, object]:
    """Return the record of the orders, and those of the other files."""
    beside = {one.kind: one.quality.to_dict() for one in study.events}
    return study.sales.quality.to_dict() | ({"beside": beside} if beside else {})


def _explain_columns(study: Study) -> pd.DataFrame:
    """Explain every column of the tables in the folder."""
    files = {
        "customers.csv": describe_columns(study),
        "next_actions.csv": describe_actions(study),
    }
    rows = [(file, *one) for file, described in files.items() for one in described.items()]
    return pd.DataFrame(rows, columns=["file", "column", "meaning"])


def _write(aside: Path, study: Study, request: Request, target: Path) -> None:
    shown = write_customers(study, aside / "customers.csv")
    actions = next_actions(study, shown)
    made = f"Written by crmlab {__version__}, seed {request.settings.seed}."
    texts = {
        "report.html": render_report(study, shown, pseudonyms=request.key is not None, made=made),
        "next_actions.csv": to_csv(actions),
        "customers_columns.csv": to_csv(_explain_columns(study)),
        "quality.json": to_json(_describe_quality(study)),
        REPORT.mark: to_json(describe_request(request, study, target)),
    }
    for name, text in texts.items():
        (aside / name).write_text(text, encoding="utf-8", newline="\n")
    study.fit.save(aside / "fit")


# --- the manifest ---------------------------------------------------------------------------------


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
    plan = {name: str(v) if isinstance(v, pd.Timestamp) else v for name, v in
            asdict(study.plan).items()}  # fmt: skip
    return {
        "versions": used_versions(),
        "inputs": {
            name: {"path": _relative(Path(path), target), "sha256": checksum(Path(path))}
            for name, path in inputs.items()
            if path is not None
        },
        "reading": asdict(request.reading),
        "columns": {file.kind: dict(file.columns) for file in request.events},
        "settings": asdict(request.settings),
        "plan": plan,
        "stages": list(study.names),
        "currency": study.sales.currency,
        "problems": list(study.fit.problems),
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


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read the manifest of a report.

    Parameters
    ----------
    path : path
        The file, or the folder that holds it.

    Raises
    ------
    DataError
        The file is not the manifest of a report.
    """
    path = Path(path)
    path = path / REPORT.mark if path.is_dir() else path
    found = read_mark(path, REPORT)
    if found.get("version") != 1:
        problem = f"is not of the format {REPORT.format!r}, version 1"
        raise DataError(f"{path.name}: {problem if path.is_file() else 'there is no such file'}")
    return found


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
        An input is missing or has changed; all problems at once.
    """
    said, place = read_manifest(manifest), Path(manifest)
    home = place if place.is_dir() else place.parent
    paths = {name: (home / one["path"]).resolve() for name, one in said["inputs"].items()}
    problems = [
        f"{path.name} is not at {said['inputs'][name]['path']}"
        if not path.is_file()
        else f"{path.name} has changed since (its checksum differs)"
        for name, path in paths.items()
        if not path.is_file() or checksum(path) != said["inputs"][name]["sha256"]
    ]
    if problems:
        raise DataError(f"the report cannot be made again: {'; '.join(problems)}")
    now = used_versions()
    for name, version in said["versions"].items():
        if now.get(name) != version:
            tell(f"{name} is {now.get(name, 'missing')} and was {version}: digits may differ")
    return Request(
        paths["source"],
        ReadingOptions(**said["reading"]),
        Settings(**said["settings"]),
        paths.get("same_person"),
        paths.get("key"),
        tuple(
            EventFile(kind, paths[kind], columns)
            for kind, columns in said.get("columns", {}).items()
        ),
    )


def rewrite_report(manifest: str | Path, folder: str | Path, *, tell: Tell) -> Study:
    """Make a report again from its manifest: the same versions give the same table, byte for byte.

    Parameters
    ----------
    manifest : path
        The manifest, or the folder of a report.
    folder : path
    tell : callable
    """
    return write_report(request_again(manifest, tell), folder, tell=tell)


# --- scoring others under an old fit --------------------------------------------------------------


def score_file(request: Request, report: str | Path, *, tell: Tell) -> pd.DataFrame:
    """Score the customers of another file under the fit of a report.

    Parameters
    ----------
    request : Request
        Its settings, except the margin, are those of the report.
    report : path
        Folder of a report.
    tell : callable

    Returns
    -------
    DataFrame
        customer_id, a probability per stage, expected orders and value.
    """
    said = read_manifest(report)
    fitted = load_fit(Path(report) / "fit")
    sales = drop_unfinished_month(read_request(request))
    old = said["plan"]
    plan = Plan(**{**old, **{k: pd.Timestamp(old[k]) for k in ("first", "last", "cutoff")}})
    plan = plan.covering(sales.window)
    settings = Settings(**said["settings"])
    rate = per_year(settings.discount).per_period(plan.freq)
    spend = fit_purchase_models(sales.orders, (plan.first, plan.last)).per_order() * settings.margin
    tell(f"scoring {len(spend):,} customers")
    drawn = read_draws(fitted, plan.year, discount=rate)
    unseen = [channel.name for channel in fitted.model.channels[1:]]
    if unseen:
        tell(f"{' and '.join(unseen)} count as not known: only orders are scored")

    def read(orders: pd.DataFrame, plan: Plan) -> xr.Dataset:
        panel = Sources(sales.window[0]).panel(orders, plan)
        return blank_channels(panel, fitted.model.channels)

    frame = score_orders(sales.orders, spend, plan, fitted, drawn, read=read).customers
    return tidy_scores(frame, fitted.model.space.names)


def tidy_scores(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Name the columns of scores by stage, and make ids safe for a spreadsheet."""
    ids = frame["customer_id"].astype("str")
    table = {"customer_id": ids}
    table |= {f"p_{name}": frame[f"p_{k}"].round(4) for k, name in enumerate(names)}
    table["most_likely_stage"] = pd.Series([names[k] for k in frame["now"]], dtype="str")
    table["expected_orders"] = frame["expected"].round(4)
    table["value"] = frame["value"].round(2)
    return neutralise(pd.DataFrame(table), columns=["customer_id"])
