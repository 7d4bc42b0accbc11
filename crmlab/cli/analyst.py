"""The analyst's commands: from an export of orders to a report, without writing a program.

``crmlab --help`` lists them. Progress goes to standard error, results to standard output, and
nothing is asked, so every command works in a pipe. Exit codes are in `Code`.
"""

import enum
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from crmlab.errors import DataError, SpecError

if TYPE_CHECKING:
    import pandas as pd

    from crmlab.reading import EventFile, Quality, Sales

_EPILOG = (
    "Exit codes: 0 all is well; 1 something broke; 2 the command line makes no sense; "
    "3 the data break a rule (the message says which); 4 written, but the fit has not converged; "
    "130 stopped with Ctrl-C."
)
app = typer.Typer(
    name="crmlab",
    help="From a file of orders to where customers stand, where they go, and what they are worth. "
    "Begin with: crmlab report orders.csv",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Code(enum.IntEnum):
    """What a command says to the script that called it."""

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
        """Tell one line."""
        seconds = time.perf_counter() - self.started
        self.console.print(f"[{seconds:4.0f} s] {line}", markup=False, highlight=False)
        if self.status is not None:
            self.status.update("working")
            self.status.start()

    def stop(self) -> None:
        """Take the spinner away."""
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
        _errors().print(f"crmlab: {problem}", markup=False, highlight=False)
        return Code.DATA if isinstance(problem, DataError) else Code.USAGE
    except OSError as problem:
        _errors().print(f"crmlab: {problem}", markup=False, highlight=False)
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
    except Exception as problem:
        if hasattr(problem, "show") and hasattr(problem, "exit_code"):  # of the command line
            problem.show()
            return Code.USAGE
        raise
    return int(result or Code.FINE)


def _errors() -> Console:
    return Console(stderr=True, soft_wrap=True)


@contextmanager
def _told() -> Iterator[Progress]:
    progress = Progress(_errors())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is said in words
            yield progress
    finally:
        progress.stop()


# --- options that several commands take -----------------------------------------------------------

Orders = Annotated[Path, typer.Argument(help="CSV (also .gz), Parquet, Excel or DuckDB file.")]
Customer = Annotated[str | None, typer.Option(help="Column of customer ids, or its place: '#1'.")]
Date = Annotated[str | None, typer.Option(help="Column of order dates.")]
Amount = Annotated[str | None, typer.Option(help="Column of amounts.")]
TableName = Annotated[str | None, typer.Option("--table", help="Sheet, or table of a database.")]
Encoding = Annotated[str | None, typer.Option(help="Of a CSV, e.g. cp1252; found if left out.")]
Delimiter = Annotated[str | None, typer.Option(help="Of a CSV; found if left out.")]
Decimal = Annotated[str | None, typer.Option(help="Decimal mark: . or ,")]
DateOrder = Annotated[
    str | None, typer.Option(help="day-month or month-day, for dates such as 3/4/2024.")
]
Since = Annotated[str | None, typer.Option(help="First day to use, e.g. 2023-01-01.")]
Until = Annotated[str | None, typer.Option(help="Last day of observation.")]
DropRepeats = Annotated[bool, typer.Option(help="Drop rows that repeat another in every column.")]
Large = Annotated[
    bool | None,
    typer.Option(
        "--large/--small",
        help="Leave the rows to an engine on disk, or read them into memory; by size if left out "
        "(text above 128 MiB, gzip, Parquet and DuckDB above 24 MiB go to the engine).",
    ),
]
SamePerson = Annotated[
    Path | None, typer.Option(help="File of two columns: an id, and the id of the same person.")
]
Pseudonymise = Annotated[
    Path | None,
    typer.Option(help="Replace ids by keyed hashes; this file holds the key (made if absent). "
                 "Keep it to yourself."),
]  # fmt: skip
Touchpoints = Annotated[
    Path | None,
    typer.Option(help="File of contacts that customers made: visits, calls, mails."),
]
Surveys = Annotated[Path | None, typer.Option(help="File of survey answers, with a score.")]
Cases = Annotated[Path | None, typer.Option(help="File of complaints and other cases.")]
Actions = Annotated[
    Path | None,
    typer.Option(help="File of what was done to customers, with its name and, if known, cost."),
]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", help="Name a column of one of these four files, e.g. "
                 "--column surveys.score=NPS or --column cases.opened='#3'; repeat as needed."),
]  # fmt: skip
Seed = Annotated[int, typer.Option(help="The same seed gives the same numbers.", min=0)]
Out = Annotated[Path, typer.Option(help="Folder to write; an older report there is replaced.")]
Discount = Annotated[float, typer.Option(help="Discount rate per year, as a fraction.", min=0)]
Margin = Annotated[float, typer.Option(help="What is left of one unit of revenue.", min=0, max=1)]
Sample = Annotated[int, typer.Option(help="Customers in the fit; all are scored.", min=100)]


@app.command(epilog=_EPILOG)
def report(
    orders: Annotated[Path | None, typer.Argument(help="File with one row per order.")] = None,
    out: Out = Path("crmlab-report"),
    from_: Annotated[
        Path | None, typer.Option("--from", help="Make a report again from its manifest.json.")
    ] = None,
    customer: Customer = None,
    date: Date = None,
    amount: Amount = None,
    table: TableName = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    date_order: DateOrder = None,
    since: Since = None,
    until: Until = None,
    drop_repeats: DropRepeats = False,
    large: Large = None,
    same_person: SamePerson = None,
    pseudonymise: Pseudonymise = None,
    touchpoints: Touchpoints = None,
    surveys: Surveys = None,
    cases: Cases = None,
    actions: Actions = None,
    column: Column = None,
    seed: Seed = 1,
    discount: Discount = 0.10,
    margin: Margin = 1.0,
    sample: Sample = 1200,
) -> int:
    """Read orders and write a report: a page, a table of customers, the fit, a manifest.

    Columns and forms are guessed and shown; options overrule a guess. Rows that cannot be used are
    counted, never dropped in silence. The folder appears when it is complete, or not at all.
    Nothing leaves this computer.

    Orders show how often somebody buys. Touchpoints, surveys and cases, each a file with a column
    of customers and one of dates, let the stages see more: the report says how much surer they
    make them, and whether orders were forecast better. Actions tell how customers moved to whom
    something was done, and, with a cost, what share of offers must succeed to pay. Only orders
    are needed. To try it: crmlab simulate --with-files beside, then crmlab report orders.csv
    --touchpoints beside/touchpoints.csv --surveys beside/surveys.csv.
    """
    from crmlab.analyst.folder import Request, request_again, write_report
    from crmlab.analyst.study import Settings
    from crmlab.reading import ReadingOptions

    _check_out(out, pseudonymise)
    with _told() as tell:
        if from_ is not None:
            request = request_again(from_, tell)
        elif orders is None:
            raise SpecError("name a file of orders, or --from a manifest")
        else:
            reading = ReadingOptions(
                customer, date, amount, table, encoding, delimiter, decimal, date_order, since,
                until, drop_repeats, today=time.strftime("%Y-%m-%d"), large=large,
            )  # fmt: skip
            files = {"touchpoints": touchpoints, "surveys": surveys, "cases": cases,
                     "actions": actions}  # fmt: skip
            beside = name_files(files, column or ())
            request = Request(orders, reading, Settings(seed, discount, margin, sample),
                              same_person, pseudonymise, beside)  # fmt: skip
        study = write_report(request, out, tell=tell, show=_show_quality)
    print(out / "report.html")
    return Code.UNCONVERGED if study.fit.problems else Code.FINE


def name_files(files: Mapping[str, Path | None], said: Sequence[str]) -> "tuple[EventFile, ...]":
    """Put the files beside the orders together with what was said of their columns.

    Parameters
    ----------
    files : mapping of kind to path, or None
    said : sequence of str
        Each "kind.role=column".

    Raises
    ------
    SpecError
        If something else was said, or of a file that was not named.

    Examples
    --------
    >>> name_files({"surveys": Path("a.csv"), "cases": None}, ["surveys.score=NPS"])[0].columns
    {'score': 'NPS'}
    """
    from crmlab.reading import EventFile

    columns: dict[str, dict[str, str]] = {kind: {} for kind, path in files.items() if path}
    for one in said:
        what, _, column = one.partition("=")
        kind, _, role = what.partition(".")
        if not (role and column):
            raise SpecError(f"--column takes FILE.COLUMN=NAME, e.g. surveys.score=NPS; got {one!r}")
        if kind not in columns:
            raise SpecError(f"--column {one}: there is no --{kind} on this command line")
        columns[kind][role] = column
    return tuple(EventFile(kind, files[kind], columns[kind]) for kind in columns)


@app.command(epilog=_EPILOG)
def fit(
    orders: Orders,
    out: Out = Path("crmlab-fit"),
    customer: Customer = None,
    date: Date = None,
    amount: Amount = None,
    lost: Annotated[bool, typer.Option(help="Silent customers are lost for good.")] = False,
    seed: Seed = 1,
    sample: Sample = 1200,
) -> int:
    """Fit the stages to a file of orders and keep the posterior (crmlab.load_fit reads it)."""
    from crmlab.analyst.fitting import fit_stages
    from crmlab.analyst.plan import make_plan
    from crmlab.analyst.view import View
    from crmlab.analyst.window import settle_window
    from crmlab.inference.saving import FIT
    from crmlab.reading import ReadingOptions, read_sales
    from crmlab.tables.folders import check_folder

    with _told() as tell:
        check_folder(out, FIT)  # so that nobody waits for a fit in vain
        sales = settle_window(read_sales(orders, ReadingOptions(customer, date, amount)))
        _show_quality(sales.quality)
        plan = make_plan(sales.orders, sales.window)
        chosen = _sample_of(sales, sample, seed)
        tell(f"fitting {chosen['customer_id'].nunique():,} customers")
        fitted = fit_stages(chosen, plan, View(sales.window[0]), may_lose=lost, seed=seed)
        fitted.save(out)
    print(out)
    return Code.UNCONVERGED if fitted.problems else Code.FINE


def _sample_of(sales: "Sales", size: int, seed: int) -> "pd.DataFrame":
    from crmlab.analyst.book import orders_of, summarise_orders
    from crmlab.analyst.plan import draw_sample

    histories = summarise_orders(sales.orders, sales.window)
    return orders_of(sales.orders, histories.index[draw_sample(histories, size, seed=seed)])


@app.command(epilog=_EPILOG)
def score(
    orders: Orders,
    report: Annotated[Path, typer.Option("--report", help="Folder of a report.")],
    out: Annotated[Path | None, typer.Option(help="CSV to write; standard output if none.")] = None,
    customer: Customer = None,
    date: Date = None,
    amount: Amount = None,
    pseudonymise: Pseudonymise = None,
    margin: Margin = 1.0,
) -> int:
    """Score other customers, or the same ones later, under the fit of a report."""
    from crmlab.analyst.folder import Request, score_file
    from crmlab.analyst.study import Settings
    from crmlab.demo.writing import to_csv
    from crmlab.reading import ReadingOptions
    from crmlab.tables.folders import write_file

    with _told() as tell:
        reading = ReadingOptions(customer, date, amount)
        request = Request(orders, reading, Settings(margin=margin), None, pseudonymise)
        text = to_csv(score_file(request, report, tell=tell))
    if out is None:
        sys.stdout.write(text)
    else:
        write_file(out.resolve(), text)
    return Code.FINE


@app.command(epilog=_EPILOG)
def simulate(
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("orders.csv"),
    customers: Annotated[int, typer.Option(min=1, max=1_000_000)] = 200,
    weeks: Annotated[int, typer.Option(min=2, max=520)] = 78,
    with_files: Annotated[
        Path | None,
        typer.Option(help="Folder for touchpoints.csv, surveys.csv, cases.csv, actions.csv."),
    ] = None,
    seed: Seed = 1,
) -> int:
    """Write the orders of an invented shop, and files beside them, to try the other commands on.

    Touchpoints, surveys and cases follow the stages of its customers. Its letters and coupons
    change nothing: what a report says of them shows how much the choice of whom to treat can do.
    """
    from crmlab.analyst.invented import invent_shop
    from crmlab.demo.writing import to_csv
    from crmlab.tables.folders import write_file

    with _told():
        shop = {name: to_csv(frame) for name, frame in
                invent_shop(customers, weeks, seed=seed).items()}  # fmt: skip
        if with_files is not None:
            for name in sorted({*shop} - {"orders"}):
                write_file(with_files.resolve() / f"{name}.csv", shop[name])
        write_file(out.resolve(), shop["orders"])
    print(out)
    if with_files is not None:
        print(with_files)
    return Code.FINE


@app.command(epilog=_EPILOG)
def glossary(
    word: Annotated[str, typer.Argument(help="Part of a word; all if left out.")] = "",
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
    """Check that this installation fits models, in closed form and by sampling."""
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


# --- what is shown on the way ---------------------------------------------------------------------


def _check_out(out: Path, key: Path | None) -> None:
    if key is not None and out.resolve() in key.resolve().parents:
        raise SpecError("the key of the pseudonyms must not lie in the report that it protects")


def _show_quality(quality: "Quality", noun: str = "orders") -> None:
    """Show the guess and the counts on standard error."""
    console = _errors()
    table = Table(title=quality.source, title_justify="left", box=None, pad_edge=False)
    for head in ("what", "choice", "evidence"):
        table.add_column(head, overflow="fold")
    for decision in quality.decisions:
        table.add_row(*map(_plain, (decision.what, decision.choice, decision.evidence)))
    for finding in quality.findings:
        table.add_row(*map(_plain, (f"{finding.rows:,} rows", finding.what, finding.done)))
    console.print(table)
    console.print(f"{quality.rows_used:,} of {quality.rows_read:,} rows are {noun}.")


def _plain(text: str) -> str:
    """Escape what a console would take for markup or for a command."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "?" for c in text))


if __name__ == "__main__":
    sys.exit(main())
