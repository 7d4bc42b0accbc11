"""The analyst's commands: from an export of orders to a report, without writing a program.

``crmlab --help`` lists them. Progress goes to standard error, results to standard output, and
nothing is asked, so every command works in a pipe. Exit codes are in `Code`.
"""

import enum
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from crmlab.errors import DataError, SpecError

if TYPE_CHECKING:
    from crmlab.reading import Quality, Sales

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
SamePerson = Annotated[
    Path | None, typer.Option(help="File of two columns: an id, and the id of the same person.")
]
Pseudonymise = Annotated[
    Path | None,
    typer.Option(help="Replace ids by keyed hashes; this file holds the key (made if absent). "
                 "Keep it to yourself."),
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
    same_person: SamePerson = None,
    pseudonymise: Pseudonymise = None,
    seed: Seed = 1,
    discount: Discount = 0.10,
    margin: Margin = 1.0,
    sample: Sample = 1200,
) -> int:
    """Read orders and write a report: a page, a table of customers, the fit, a manifest.

    Columns and forms are guessed and shown; options overrule a guess. Rows that cannot be used are
    counted, never dropped in silence. The folder appears when it is complete, or not at all.
    Nothing leaves this computer.
    """
    from crmlab.reading import ReadingOptions
    from crmlab.report.own.folder import Request, request_again, write_report
    from crmlab.report.own.study import Settings

    _check_out(out, pseudonymise)
    with _told() as tell:
        if from_ is not None:
            request = request_again(from_, tell)
        elif orders is None:
            raise SpecError("name a file of orders, or --from a manifest")
        else:
            reading = ReadingOptions(
                customer, date, amount, table, encoding, delimiter, decimal, date_order, since,
                until, drop_repeats, today=time.strftime("%Y-%m-%d"),
            )  # fmt: skip
            request = Request(orders, reading, Settings(seed, discount, margin, sample),
                              same_person, pseudonymise)  # fmt: skip
        study = write_report(request, out, tell=tell, show=_show_quality)
    print(out / "report.html")
    return Code.UNCONVERGED if study.fit.problems else Code.FINE


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
    from crmlab.reading import ReadingOptions, read_sales
    from crmlab.report.own.plan import draw_sample, make_plan
    from crmlab.report.own.study import fit_stages

    with _told() as tell:
        sales = read_sales(orders, ReadingOptions(customer, date, amount))
        _show_quality(sales.quality)
        plan = make_plan(sales.orders, sales.window)
        chosen = _sample_of(sales, draw_sample, sample, seed)
        tell(f"fitting {chosen['customer_id'].nunique():,} customers")
        fitted = fit_stages(chosen, plan, may_lose=lost, seed=seed)
        fitted.save(out)
    print(out)
    return Code.UNCONVERGED if fitted.problems else Code.FINE


def _sample_of(sales: "Sales", draw: object, size: int, seed: int) -> object:
    from crmlab.orders import rfm_summary

    histories = rfm_summary(sales.orders, observation_end=sales.window[1]).set_index("customer_id")
    chosen = histories.index[draw(histories, size, seed=seed)]
    return sales.orders[sales.orders["customer_id"].isin(chosen)]


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
    from crmlab.reading import ReadingOptions
    from crmlab.report.demo import to_csv, write_files
    from crmlab.report.own.folder import Request, score_file
    from crmlab.report.own.study import Settings

    with _told() as tell:
        reading = ReadingOptions(customer, date, amount)
        request = Request(orders, reading, Settings(margin=margin), None, pseudonymise)
        text = to_csv(score_file(request, report, tell=tell))
    if out is None:
        sys.stdout.write(text)
    else:
        write_files(out.resolve().parent, {out.name: text})
    return Code.FINE


@app.command(epilog=_EPILOG)
def simulate(
    out: Annotated[Path, typer.Option(help="CSV to write.")] = Path("orders.csv"),
    customers: Annotated[int, typer.Option(min=1, max=1_000_000)] = 200,
    weeks: Annotated[int, typer.Option(min=2, max=520)] = 78,
    seed: Seed = 1,
) -> int:
    """Write the orders of an invented shop, to try the other commands on."""
    from crmlab.report.demo import to_csv, write_files
    from crmlab.report.own.invented import invent_orders

    with _told():
        text = to_csv(invent_orders(customers, weeks, seed=seed))
        write_files(out.resolve().parent, {out.name: text})
    print(out)
    return Code.FINE


@app.command(epilog=_EPILOG)
def glossary(word: Annotated[str, typer.Argument(help="Part of a word; all if left out.")] = ""):
    """Explain the words of the field and of the report, with their French and Danish names."""
    from crmlab.course.glossary import read_glossary
    from crmlab.report.own.words import WORDS

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


def _show_quality(quality: "Quality") -> None:
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
    console.print(f"{quality.rows_used:,} of {quality.rows_read:,} rows are orders.")


def _plain(text: str) -> str:
    """Escape what a console would take for markup or for a command."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "?" for c in text))


if __name__ == "__main__":
    sys.exit(main())
