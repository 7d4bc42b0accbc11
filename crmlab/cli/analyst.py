"""The analyst's commands: from an export of orders to a report, without programming.

``crmlab --help`` lists them. Progress goes to standard error, results go to standard output, and
no command asks a question, so all of them work in a pipe. Exit codes are in `Code`.
"""

import enum
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from crmlab.cli.options import (
    ChannelOptions,
    EventOptions,
    FileOptions,
    IdentityOptions,
    Like,
    Margin,
    Sample,
    Seed,
    StudyOptions,
    make_request,
    takes_groups,
)
from crmlab.errors import DataError, SpecError

if TYPE_CHECKING:
    from crmlab.analyst.manifest import Manifest
    from crmlab.reading import Quality

_EPILOG = (
    "Exit codes: 0 success; 1 something broke; 2 the command line is wrong; 3 the data or the "
    "value of an option break a rule (the message says which); 4 written, but the fit has not "
    "converged; 130 stopped with Ctrl-C."
)
app = typer.Typer(
    name="crmlab",
    help="From a file of orders to the stages of customers, how they move, and what they are "
    "worth. Start with: crmlab report orders.csv",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which shows groups of options
)


_UsageError: Any = typer.BadParameter.mro()[1]  # which typer does not export


class Code(enum.IntEnum):
    """Exit codes, for the script that called a command."""

    FINE = 0
    BROKEN = 1
    USAGE = 2
    DATA = 3
    UNCONVERGED = 4
    STOPPED = 130


class Progress:
    """Lines on standard error, with the seconds since the start; in a terminal, also a spinner."""

    def __init__(self, console: Console) -> None:
        self.console, self.started = console, time.perf_counter()
        self.status = console.status("", spinner="line") if console.is_terminal else None

    def __call__(self, line: str) -> None:
        """Print one line."""
        seconds = time.perf_counter() - self.started
        self.console.print(f"[{seconds:4.0f} s] {line}", markup=False, highlight=False)
        if self.status is not None:
            self.status.update("working")
            self.status.start()

    def stop(self) -> None:
        """Remove the spinner."""
        if self.status is not None:
            self.status.stop()


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    words : sequence of str, optional
        What was written after the program's name; taken from the command line if left out.
    """
    try:
        code = _run(words)
    except (DataError, SpecError) as problem:
        _say(problem)
        return Code.DATA if isinstance(problem, DataError) else Code.USAGE
    except OSError as problem:
        _say(problem)
        return Code.BROKEN
    if code == Code.STOPPED:
        _errors().print("Stopped. Nothing was written.")
    return code


def _run(words: Sequence[str] | None) -> int:
    try:
        result = app(args=None if words is None else list(words), standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return Code.STOPPED
    except typer.Exit as left:
        return int(left.exit_code)
    except typer.BadParameter as problem:
        if problem.message:
            raise DataError(problem.format_message()) from None
        problem.show()  # nothing was given
        return Code.USAGE
    except _UsageError as problem:
        problem.show()
        return Code.USAGE
    return int(result or Code.FINE)


def _say(problem: Exception) -> None:
    text = str(problem).encode("utf-8", "backslashreplace").decode()  # names of files may be bytes
    _errors().print(f"crmlab: {text}", markup=False, highlight=False)


def _errors() -> Console:
    return Console(stderr=True, soft_wrap=True)


@contextmanager
def _told() -> Iterator[Progress]:
    progress = Progress(_errors())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the report says in words what matters
            yield progress
    finally:
        progress.stop()


# --- commands -------------------------------------------------------------------------------------

_FORMATS = (
    "CSV (also .gz), Parquet, Excel or DuckDB file, with one row per order or per line of one."
)
Orders = Annotated[Path, typer.Argument(help=_FORMATS)]
ReportFolder = Annotated[
    Path, typer.Option(help="Folder to write; an older report there is replaced.")
]
FitFolder = Annotated[Path, typer.Option(help="Folder to write; an older fit there is replaced.")]
Force = Annotated[bool, typer.Option(help="Replace files that exist; says which go.")]


@app.command(epilog=_EPILOG)
@takes_groups
def report(
    file: FileOptions,
    events: EventOptions,
    identity: IdentityOptions,
    study: StudyOptions,
    orders: Annotated[Path | None, typer.Argument(help=_FORMATS)] = None,
    out: ReportFolder = Path("crmlab-report"),
    from_: Annotated[
        Path | None, typer.Option("--from", help="Make a report again from its manifest.json.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(help="Replace an older report even if other files lie in it; says which go."),
    ] = False,
) -> int:
    """Read orders and write a report: a page, a table of customers, the fit, a manifest.

    Columns and formats are guessed and shown; options overrule a guess. Rows that cannot be used
    are counted, never dropped in silence. The folder appears when it is complete, or not at all.
    Nothing leaves this computer.

    Only orders are needed; they show how often each customer buys. Touchpoints, surveys and cases
    are further files with a column of customers and one of dates. They can make the stages more
    certain, and the report says whether they also make forecasts better. A file of actions shows
    how customers moved who got one; with costs, it also shows what share of offers must succeed
    to pay.

    To try it: crmlab simulate --with-files files, then crmlab report orders.csv
    --touchpoints files/touchpoints.csv --surveys files/surveys.csv.
    """
    from crmlab.analyst.folder import write_report
    from crmlab.analyst.manifest import REPORT, request_again
    from crmlab.tables.folders import list_others

    with _told() as tell:
        if from_ is not None:
            request = request_again(from_, tell)
        elif orders is None:
            raise SpecError("name a file of orders, or --from a manifest")
        else:
            request = make_request(orders, file, identity, study, events)
        _check_key(out, request.key)
        others = list_others(out, REPORT) if force else ()
        _tell_what_goes([out / name for name in others])
        done = write_report(request, out, tell=tell, show=_show_quality, giving_up=others)
    print(out / "report.html")
    return Code.UNCONVERGED if done.fit.problems else Code.FINE


@app.command(epilog=_EPILOG)
@takes_groups
def fit(
    file: FileOptions,
    events: ChannelOptions,
    identity: IdentityOptions,
    orders: Orders,
    out: FitFolder = Path("crmlab-fit"),
    report: Like = None,
    lost: Annotated[
        bool, typer.Option(help="Treat silent customers as lost for good, not as asleep.")
    ] = False,
    seed: Seed = None,
    sample: Sample = None,
) -> int:
    """Fit the stages to a file of orders and save the posterior; crmlab.load_fit reads it.

    With --report, the file is read as the orders of that report were.
    """
    from crmlab.analyst.folder import fit_file
    from crmlab.inference.saving import FIT
    from crmlab.tables.folders import check_folder

    with _told() as tell:
        check_folder(out, FIT)  # so that nobody waits for a fit in vain
        like = None if report is None else _read_report(report, tell)
        study = StudyOptions(seed=seed, sample=sample)
        request = make_request(orders, file, identity, study, events, like)
        fitted = fit_file(request, may_lose=lost, tell=tell, show=_show_quality)
        fitted.save(out)
    print(out)
    return Code.UNCONVERGED if fitted.problems else Code.FINE


@app.command(epilog=_EPILOG)
@takes_groups
def score(
    file: FileOptions,
    events: ChannelOptions,
    identity: IdentityOptions,
    orders: Orders,
    report: Annotated[Path, typer.Option("--report", help="Folder of a report.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV to write; standard output if left out.")
    ] = None,
    margin: Margin = None,
    force: Force = False,
) -> int:
    """Score other customers, or the same ones later, under the fit of a report.

    Files are read as those of the report were; options given here come before its own. The
    --until of the report is not used: the observation ends with these orders.
    """
    from crmlab.analyst.folder import score_file
    from crmlab.report.parts import to_csv
    from crmlab.tables.folders import check_files, write_file

    outs = [] if out is None else [out]
    with _told() as tell:
        if out is not None and out.resolve() == orders.resolve():
            raise SpecError(f"{out} is the file of orders: name another file with --out")
        check_files(outs, replace=force)  # so that nobody waits for scores in vain
        _tell_what_goes(outs)
        like = _read_report(report, tell)
        request = make_request(orders, file, identity, StudyOptions(margin=margin), events, like)
        text = to_csv(score_file(request, report, tell=tell, show=_show_quality))
        check_files(outs, replace=force)
    if out is None:
        sys.stdout.write(text)
    else:
        write_file(out.resolve(), text, private=True)
    return Code.FINE


@app.command(epilog=_EPILOG)
def simulate(
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("orders.csv"),
    customers: Annotated[int, typer.Option(help="How many.", min=1, max=1_000_000)] = 200,
    weeks: Annotated[int, typer.Option(help="Time that the file covers.", min=2, max=520)] = 78,
    with_files: Annotated[
        Path | None,
        typer.Option(help="Folder for touchpoints.csv, surveys.csv, cases.csv, actions.csv."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers.", min=0)] = 1,
    force: Force = False,
) -> int:
    """Write the orders of an invented shop, and further files, to try the other commands on.

    Touchpoints, surveys and cases follow the stages of its customers. Its letters and coupons
    change nothing: what a report says about them shows only the choice of whom to treat.
    """
    from crmlab.analyst.example_shop import simulate_shop
    from crmlab.reading.events import KINDS
    from crmlab.report.parts import to_csv
    from crmlab.tables.folders import check_files, write_file

    beside = {} if with_files is None else {name: with_files / f"{name}.csv" for name in KINDS}
    paths = {**beside, "orders": out}
    with _told():
        check_files([*paths.values()], replace=force)
        _tell_what_goes([*paths.values()])
        shop = simulate_shop(customers, weeks, seed=seed)
        check_files([*paths.values()], replace=force)
        for name, path in paths.items():
            write_file(path.resolve(), to_csv(shop[name]))
    print(out)
    if with_files is not None:
        print(with_files)
    return Code.FINE


@app.command(epilog=_EPILOG)
def glossary(
    word: Annotated[str, typer.Argument(help="Part of a word; all words if left out.")] = "",
) -> int:
    """Explain the words of the field and of the report, with their French and Danish names."""
    from crmlab.analyst.glossary import WORDS
    from crmlab.course.glossary import read_glossary

    course = {
        name: f"{row['definition']} ({row['french']}; {row['danish']})"
        for name, row in read_glossary().iterrows()
    }
    found = {
        name: text
        for name, text in sorted({**course, **WORDS}.items(), key=lambda pair: pair[0].casefold())
        if word.casefold() in name.casefold()
    }
    for name, text in found.items():
        print(f"{name}: {text}")
    return Code.FINE if found else Code.BROKEN


@app.command(epilog=_EPILOG)
def doctor() -> int:
    """Check that this installation can fit models, in closed form and by sampling."""
    from crmlab.cli.doctor import check_exact_fit, check_sampled_fit
    from crmlab.cli.environment import PROJECT

    fine = True
    with _told() as tell:
        for check in (check_exact_fit, check_sampled_fit):
            tell(check.__name__.replace("_", " "))
            finding = check(PROJECT)
            print(finding.text())
            fine &= not finding.advice
    return Code.FINE if fine else Code.BROKEN


def _read_report(report: Path, tell: Progress) -> "Manifest":
    """Read the manifest of a report, and tell how its options read other files."""
    from crmlab.analyst.manifest import read_manifest

    said = read_manifest(report)
    if chosen := said.reading_of_others().chosen():
        listed = ", ".join(f"{name} {value}" for name, value in chosen.items())
        tell(f"read as for the report, unless an option says otherwise: {listed}")
    return said


# --- what is shown on the way ---------------------------------------------------------------------


def _check_key(out: Path, key: Path | None) -> None:
    if key is not None and out.resolve() in key.resolve().parents:
        raise SpecError(
            "--pseudonymise: the key must not be in the folder of the report that it protects"
        )


def _tell_what_goes(paths: Sequence[Path]) -> None:
    """Say which files will be replaced, before anything is done."""
    for path in paths:
        if path.is_file():
            size = f"{path.stat().st_size:,} bytes"
            _errors().print(f"--force: {path} ({size}) goes", markup=False, highlight=False)


def _show_quality(quality: "Quality", noun: str = "orders") -> None:
    """Show on standard error how a file was read, and the counts of its rows."""
    from crmlab.report.numbers import plural

    console = _errors()
    table = Table(title=quality.source, title_justify="left", box=None, pad_edge=False)
    for head in ("what", "choice", "evidence"):
        table.add_column(head, overflow="fold")
    for decision in quality.decisions:
        table.add_row(*map(_plain, (decision.what, decision.choice, decision.evidence)))
    for finding in quality.findings:
        table.add_row(*map(_plain, (plural(finding.rows, "row"), finding.what, finding.done)))
    console.print(table)
    console.print(f"{quality.rows_used:,} of {quality.rows_read:,} rows are {noun}.")


def _plain(text: str) -> str:
    """Escape what a console would take for markup or for a command."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "?" for c in text))


if __name__ == "__main__":
    sys.exit(main())
