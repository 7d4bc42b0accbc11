"""Options that several of the analyst's commands share, in groups.

A group is a frozen dataclass whose fields are options. A command that is marked with
`takes_groups` takes a group as one argument; on the command line each field is an option.
"""

import inspect
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crmlab.errors import SpecError

if TYPE_CHECKING:
    from crmlab.analyst.folder import Request
    from crmlab.analyst.study import Settings
    from crmlab.reading import EventFile, ReadingOptions

_column = partial(typer.Option, rich_help_panel="Columns and formats (guessed if left out)")
_row = partial(typer.Option, rich_help_panel="Rows")
_file = partial(typer.Option, rich_help_panel="Other files")
_identity = partial(typer.Option, rich_help_panel="Customers")
_study = partial(typer.Option, rich_help_panel="Model and value")

Seed = Annotated[int, _study(help="The same seed gives the same numbers.", min=0)]
Sample = Annotated[int, _study(help="Customers in the fit.", min=100)]
Margin = Annotated[float, _study(help="What is left of one unit of revenue.", min=0, max=1)]


@dataclass(frozen=True)
class FileOptions:
    """How a file of orders is read."""

    customer: Annotated[
        str | None, _column(help="Column of customer ids, or its position: '#1'.")
    ] = None
    date: Annotated[str | None, _column(help="Column of order dates.")] = None
    amount: Annotated[
        str | None, _column(help="Column of amounts; 'none' if there is none, as for those below.")
    ] = None
    quantity: Annotated[str | None, _column(help="Column of quantities.")] = None
    price: Annotated[str | None, _column(help="Column of prices of one piece.")] = None
    currency: Annotated[str | None, _column(help="Column of currencies.")] = None
    status: Annotated[str | None, _column(help="Column of the status of orders.")] = None
    order: Annotated[str | None, _column(help="Column of order numbers.")] = None
    refund: Annotated[
        str | None, _column(help="Column of refunds, to be subtracted from amounts.")
    ] = None
    amount_of: Annotated[
        str | None,
        _column(
            help="order, if an amount is that of the order, repeated on its lines; first-line, if "
            "it stands on the first of them only; or line."
        ),
    ] = None
    table: Annotated[str | None, _column(help="Sheet, or table of a database.")] = None
    encoding: Annotated[str | None, _column(help="Encoding of a CSV, e.g. cp1252.")] = None
    delimiter: Annotated[str | None, _column(help="Delimiter of a CSV.")] = None
    decimal: Annotated[str | None, _column(help="Decimal mark: . or ,")] = None
    date_order: Annotated[
        str | None, _column(help="day-month or month-day, for dates such as 3/4/2024.")
    ] = None
    timezone: Annotated[
        str | None,
        _column(help="Zone in which days count, e.g. Europe/Paris, if times have zones."),
    ] = None
    since: Annotated[str | None, _row(help="First day to use, e.g. 2023-01-01.")] = None
    until: Annotated[str | None, _row(help="Last day of observation.")] = None
    no_sale: Annotated[
        str | None,
        _row(
            help="Statuses that are no sales, e.g. 'on-hold,pending', besides those that are "
            "known; 'none' forgets the latter."
        ),
    ] = None
    guests: Annotated[
        str | None,
        _row(
            help="Ids that stand for nobody, e.g. '0,Till 1', besides those that are known; 'none' "
            "forgets the latter."
        ),
    ] = None
    drop_repeats: Annotated[
        bool | None,
        _row(
            "--drop-repeats/--no-drop-repeats",
            help="Drop rows that repeat another row in every column, or keep them. By default "
            "they are kept, unless orders have numbers and every row comes again.",
        ),
    ] = None
    large: Annotated[
        bool | None,
        _row(
            "--large/--small",
            help="Process the rows on disk, or read them into memory. By default this depends on "
            "the size: text above 128 MiB, and gzip, Parquet and DuckDB above 24 MiB, stay on "
            "disk.",
        ),
    ] = None

    def reading(self) -> "ReadingOptions":
        """Give the options of `crmlab.reading`; today is today."""
        from crmlab.reading import ReadingOptions

        return ReadingOptions(**asdict(self), today=time.strftime("%Y-%m-%d"))


@dataclass(frozen=True)
class IdentityOptions:
    """Who is the same person, and whether ids are hidden."""

    same_person: Annotated[
        Path | None,
        _identity(help="File of two columns: an id, and the id of the same person."),
    ] = None
    pseudonymise: Annotated[
        Path | None,
        _identity(
            help="Replace ids by keyed hashes. This file holds the key and is made if it does not "
            "exist; keep it to yourself."
        ),
    ] = None


@dataclass(frozen=True)
class EventOptions:
    """Files besides the orders."""

    touchpoints: Annotated[
        Path | None, _file(help="File of contacts that customers made: visits, calls, mails.")
    ] = None
    surveys: Annotated[Path | None, _file(help="File of survey answers, with a score.")] = None
    cases: Annotated[Path | None, _file(help="File of complaints and other cases.")] = None
    actions: Annotated[
        Path | None,
        _file(help="File of what was done to customers: the action and, if known, its cost."),
    ] = None
    column: Annotated[
        list[str] | None,
        _file(
            help="Name a column of one of these files, e.g. --column surveys.score=NPS or --column "
            "cases.opened='#3'. Repeat as needed.",
        ),
    ] = None

    def files(self) -> "tuple[EventFile, ...]":
        """Combine the files with what `column` says about them.

        Raises
        ------
        SpecError
            If `column` says something else, or names a file that is not given.

        Examples
        --------
        >>> EventOptions(surveys=Path("a.csv"), column=["surveys.score=NPS"]).files()[0].columns
        {'score': 'NPS'}
        """
        from crmlab.reading import EventFile

        kinds = ("touchpoints", "surveys", "cases", "actions")
        paths = {kind: path for kind in kinds if (path := asdict(self)[kind]) is not None}
        columns: dict[str, dict[str, str]] = {kind: {} for kind in paths}
        for one in self.column or ():
            what, _, name = one.partition("=")
            kind, _, role = what.partition(".")
            if not (role and name):
                raise SpecError(
                    f"--column takes FILE.COLUMN=NAME, e.g. surveys.score=NPS; got {one!r}"
                )
            if kind not in paths:
                raise SpecError(f"--column {one}: there is no --{kind} on this command line")
            columns[kind][role] = name
        return tuple(EventFile(kind, path, columns[kind]) for kind, path in paths.items())


@dataclass(frozen=True)
class StudyOptions:
    """What is fitted, and how customers are valued."""

    seed: Seed = 1
    sample: Sample = 1200
    discount: Annotated[float, _study(help="Discount rate per year, as a fraction.", min=0)] = 0.10
    margin: Margin = 1.0

    def settings(self) -> "Settings":
        """Give the settings of a study."""
        from crmlab.analyst.study import Settings

        return Settings(**asdict(self))


def make_request(
    orders: Path,
    file: FileOptions,
    identity: IdentityOptions,
    study: StudyOptions,
    events: EventOptions | None = None,
) -> "Request":
    """Combine all options into the request for a report."""
    from crmlab.analyst.folder import Request

    return Request(
        orders,
        file.reading(),
        study.settings(),
        identity.same_person,
        identity.pseudonymise,
        () if events is None else events.files(),
    )


def takes_groups(command: Callable[..., int]) -> Callable[..., int]:
    """Show each field of a command's groups as an option of its own, after the other options."""
    given = inspect.signature(command).parameters.values()
    groups: dict[str, Any] = {p.name: p.annotation for p in given if is_dataclass(p.annotation)}
    members = {name: [f.name for f in fields(group)] for name, group in groups.items()}

    def run(**options: object) -> int:
        made = {
            name: group(**{member: options.pop(member) for member in members[name]})
            for name, group in groups.items()
        }
        return command(**options, **made)

    shown = [p.replace(kind=p.KEYWORD_ONLY) for p in given if p.name not in groups]
    shown += [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default,
                          annotation=f.type)
        for group in groups.values()
        for f in fields(group)
    ]  # fmt: skip
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    seen_by_typer: Any = run
    seen_by_typer.__signature__ = inspect.Signature(shown)
    return run
