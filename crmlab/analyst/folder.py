"""What is done with a request: the folder of a report, a fit alone, scores under an older fit."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pandas as pd

from crmlab import __version__
from crmlab.analyst.advice import describe_actions, next_actions
from crmlab.analyst.customers import describe_columns, write_customers
from crmlab.analyst.fitting import fit_stages
from crmlab.analyst.manifest import (
    REPORT,
    Manifest,
    Request,
    describe_request,
    read_manifest,
    request_again,
)
from crmlab.analyst.orders import sample_orders
from crmlab.analyst.page import render_report
from crmlab.analyst.plan import drop_unfinished_month, make_plan
from crmlab.analyst.purchase_models import fit_purchase_models
from crmlab.analyst.scoring import read_draws, score_orders
from crmlab.analyst.sources import Sources, choose_sources, fill_channels
from crmlab.analyst.study import Study, study_sales, tell_verdicts
from crmlab.channels import OrdinalSurvey
from crmlab.errors import DataError, SpecError
from crmlab.inference import Fit, load_fit
from crmlab.reading import (
    Events,
    Quality,
    Sales,
    neutralise,
    read_events,
    read_key,
    read_raw,
    read_sales,
)
from crmlab.report.numbers import listed
from crmlab.report.parts import to_csv
from crmlab.report.progress import Tell
from crmlab.tables.folders import new_folder, to_json
from crmlab.value import per_year

type Show = Callable[[Quality, str], None]


def show_nothing(quality: Quality, noun: str) -> None:
    """Stand in for a reader who does not watch."""


def write_report(
    request: Request,
    folder: str | Path,
    *,
    tell: Tell,
    show: Show = show_nothing,
    giving_up: Collection[str] = (),
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
    giving_up : collection of str
        Files of others in an older report that may go with it.

    Returns
    -------
    Study

    Raises
    ------
    DataError
        The file cannot be read, or does not support a model of stages.
    SpecError
        The folder is anything else, or holds what the report is made from; it is checked before
        anything is read.
    """
    _check_sources(request, Path(folder))
    with new_folder(folder, REPORT, giving_up=giving_up) as aside:
        sales, events = read_files(request, show)
        study = study_sales(sales, request.settings, tell, events)
        tell("drawing and writing")
        _write(aside, study, request, Path(folder).resolve())
    return study


def _check_sources(request: Request, folder: Path) -> None:
    """Refuse to replace a folder that holds a file which the report is made from."""
    sources = [request.source, request.same_person, *(file.source for file in request.events)]
    inside = [
        path.name
        for path in (Path(source) for source in sources if isinstance(source, str | Path))
        if folder.resolve() in path.resolve().parents
    ]
    if inside:
        raise SpecError(
            f"{folder} holds {', '.join(inside)}, which the report is made from: "
            "name another folder"
        )


def read_files(request: Request, show: Show) -> tuple[Sales, tuple[Events, ...]]:
    """Read the orders that a request names, and its other files under the same ids.

    Parameters
    ----------
    request : Request
    show : callable
        Takes the record of each reading, and the name of its rows.
    """
    people, key = _read_identities(request)
    read = read_sales(request.source, request.reading, same_person=people, key=key)
    sales = drop_unfinished_month(read)
    show(sales.quality, "orders")
    events = tuple(
        read_events(file, sales, request.reading, same_person=people, key=key)
        for file in request.events
    )
    for one in events:
        show(one.quality, one.kind)
    return sales, events


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


# --- a fit alone, and scores of others under the fit of a report ----------------------------------


def fit_file(request: Request, *, may_lose: bool, tell: Tell, show: Show = show_nothing) -> Fit:
    """Fit the stages to the orders and the other files of a request.

    Parameters
    ----------
    request : Request
    may_lose : bool
        Whether the lowest stage is permanent.
    tell : callable
    show : callable, optional
        Takes the record of each reading, and the name of its rows.

    Raises
    ------
    DataError
        A file cannot be read, or does not support a model of stages.
    """
    sales, events = read_files(request, show)
    seed = request.settings.seed
    plan = make_plan(sales.orders, sales.window)
    sources, verdicts = choose_sources(sales.orders, sales.window[0], events, plan)
    tell_verdicts(verdicts, tell)
    chosen = sample_orders(sales.orders, sales.window, request.settings.sample, seed=seed)
    tell(f"fitting {chosen['customer_id'].nunique():,} customers")
    return fit_stages(chosen, plan, sources, may_lose=may_lose, seed=seed)


def score_file(
    request: Request,
    report: str | Path,
    *,
    tell: Tell,
    show: Show = show_nothing,
) -> pd.DataFrame:
    """Score the customers of another file under the fit of a report.

    Parameters
    ----------
    request : Request
        Its files besides the orders are read as the channels of the fit; a channel without a file
        is not known. Its settings, except the margin, are those of the report.
    report : path
        Folder of a report.
    tell : callable
    show : callable, optional
        Takes the record of each reading, and the name of its rows.

    Returns
    -------
    DataFrame
        customer_id, a probability per stage, expected orders and value.

    Raises
    ------
    DataError
        The report or a file cannot be read, or a survey has no levels in an older manifest.
    """
    said, fitted = read_manifest(report), load_fit(Path(report) / "fit")
    fitted.check()
    sales, events = read_files(request, show)
    plan = said.plan.covering(sales.window)
    sources = _channels_of(fitted, said, sales, events, tell)
    spend = fit_purchase_models(sales.orders, (plan.first, plan.last)).per_order()
    tell(f"scoring {len(spend):,} customers")
    rate = per_year(said.settings.discount).per_period(plan.freq)
    drawn = read_draws(fitted, plan.year, discount=rate)
    scored = score_orders(
        sales.orders, spend * request.settings.margin, plan, fitted, drawn, read=sources.panel
    )
    return tidy_scores(scored.customers, fitted.model.space.names)


def _channels_of(
    fitted: Fit, said: Manifest, sales: Sales, events: Sequence[Events], tell: Tell
) -> Sources:
    """Read the files as channels of the fit, and tell what is not known or not used."""
    channels = fitted.model.channels[1:]
    names = [channel.name for channel in channels]
    given = [one.kind for one in events]
    if unknown := [name for name in names if name not in given]:
        tell(f"{listed(unknown)} count as not known: no such file is named")
    if unused := [kind for kind in given if kind not in names]:
        tell(f"{listed(unused)} are not used: the fit of the report has no such channel")
    for channel in channels:
        edges = said.levels.get(channel.name, ())
        if isinstance(channel, OrdinalSurvey) and channel.name in given:
            _check_levels(channel, edges)
    return fill_channels(channels, sales.window[0], events, said.levels)


def _check_levels(channel: OrdinalSurvey, edges: Sequence[float]) -> None:
    if len(edges) + 1 != channel.n_levels:
        raise DataError(
            f"{REPORT.mark}: `levels.{channel.name}` must have {channel.n_levels - 1} numbers, as "
            f"the fit has {channel.n_levels} levels; got {len(edges)}. Make the report again (an "
            f"older version wrote no levels), or leave out --{channel.name}"
        )


def tidy_scores(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Name the columns of scores by stage, and make ids safe for a spreadsheet."""
    ids = frame["customer_id"].astype("str")
    table = {"customer_id": ids}
    table |= {f"p_{name}": frame[f"p_{k}"].round(4) for k, name in enumerate(names)}
    table["most_likely_stage"] = pd.Series([names[k] for k in frame["now"]], dtype="str")
    table["expected_orders"] = frame["expected"].round(4)
    table["value"] = frame["value"].round(2)
    return neutralise(pd.DataFrame(table), columns=["customer_id"])
