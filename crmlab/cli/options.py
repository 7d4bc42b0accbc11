"""Options that several of the analyst's commands share, in groups.

A group is a frozen dataclass whose fields are options. A command that is marked with
`takes_groups` takes a group as one argument; on the command line each field is an option.

An option that is left out is None: then the report says it that a command goes on from, or it has
its usual value. Values are checked by the rules that also check a manifest.
"""

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crmlab.errors import DataError, SpecError, raise_problems

if TYPE_CHECKING:
    from crmlab.analyst.manifest import Manifest, Request
    from crmlab.reading import EventFile

_column = partial(typer.Option, rich_help_panel="Columns and formats (guessed if left out)")
_row = partial(typer.Option, rich_help_panel="Rows")
_file = partial(typer.Option, rich_help_panel="Other files")
_identity = partial(typer.Option, rich_help_panel="Customers")
_study = partial(typer.Option, rich_help_panel="Model and value")

Seed = Annotated[int | None, _study(help="The same seed gives the same numbers. 1 if left out.")]
Sample = Annotated[
    int | None,
    _study(
        help="Customers to whom the model is fitted, at least 100; all are scored. 1200 if left "
        "out."
    ),
]
Discount = Annotated[
    float | None,
    _study(help="How much less money is worth a year later: 0.1, if left out, is 10 percent."),
]
Margin = Annotated[
    float | None,
    _study(
        help="Share of revenue that is left after the costs of goods, 0 to 1. 1 if left out: then "
        "customers are valued by revenue."
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        "--report", help="Read as for this report; options given here come before its own."
    ),
]


@dataclass(frozen=True)
class FileOptions:
    """How a file of orders is read."""

    customer: Annotated[
        str | None, _column(help="Column of customer ids, or its position: '#1'.")
    ] = None
    date: Annotated[str | None, _column(help="Column of order dates.")] = None
    amount: Annotated[
        str | None,
        _column(help="Column of amounts; 'none' if there is none, as for the columns below."),
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
            help="What an amount is: 'line', of its own row; 'order', of the whole order and "
            "repeated on its rows; 'first-line', of the whole order and on its first row only."
        ),
    ] = None
    table: Annotated[str | None, _column(help="Sheet of a workbook, or table of a database.")] = (
        None
    )
    encoding: Annotated[str | None, _column(help="Encoding of a CSV, e.g. cp1252.")] = None
    delimiter: Annotated[str | None, _column(help="Delimiter of a CSV.")] = None
    decimal: Annotated[str | None, _column(help="Decimal mark: '.' or ','.")] = None
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
            help="Words of the status column that mean 'no sale', e.g. 'on-hold,pending', besides "
            "those that crmlab knows; 'none' among them forgets the latter."
        ),
    ] = None
    guests: Annotated[
        str | None,
        _row(
            help="Ids that stand for guests or a till, e.g. '0,Till 1', besides those that crmlab "
            "knows; 'none' among them forgets the latter."
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
class ChannelOptions:
    """Files besides the orders that become channels of the stages."""

    touchpoints: Annotated[
        Path | None, _file(help="File of contacts that customers made: visits, calls, mails.")
    ] = None
    surveys: Annotated[Path | None, _file(help="File of survey answers, with a score.")] = None
    cases: Annotated[Path | None, _file(help="File of complaints and other cases.")] = None
    column: Annotated[
        list[str] | None,
        _file(
            help="Name a column of one of these files, e.g. --column surveys.score=NPS or --column "
            "cases.opened='#3'. Repeat as needed.",
        ),
    ] = None

    def files(
        self, said: "Mapping[str, Mapping[str, str]] | None" = None
    ) -> "tuple[EventFile, ...]":
        """Combine the files with what `column` says about them.

        Parameters
        ----------
        said : mapping of kind to (mapping of role to column), optional
            The columns of earlier files of these kinds; `column` comes before them.

        Raises
        ------
        DataError
            If `column` says something else, or names a file that is not given.

        Examples
        --------
        >>> EventOptions(surveys=Path("a.csv"), column=["surveys.score=NPS"]).files()[0].columns
        {'score': 'NPS'}
        """
        from crmlab.reading import EventFile
        from crmlab.reading.events import KINDS

        given = asdict(self)
        paths = {kind: given[kind] for kind in KINDS if given.get(kind) is not None}
        columns = {kind: dict((said or {}).get(kind, {})) for kind in paths}
        for one in self.column or ():
            kind, role, name = _read_column(one, paths)
            columns[kind][role] = name
        try:
            return tuple(EventFile(kind, path, columns[kind]) for kind, path in paths.items())
        except SpecError as problem:
            raise DataError(f"--column: {problem}") from None


def _read_column(text: str, paths: "Mapping[str, Path]") -> tuple[str, str, str]:
    what, _, name = text.partition("=")
    kind, _, role = what.partition(".")
    if not (role and name):
        raise DataError(f"--column takes FILE.COLUMN=NAME, e.g. surveys.score=NPS; got {text!r}")
    if kind not in paths:
        raise DataError(f"--column {text}: there is no --{kind} on this command line")
    return kind, role, name


@dataclass(frozen=True)
class EventOptions(ChannelOptions):
    """Files besides the orders: channels, and actions, which only a report describes."""

    actions: Annotated[
        Path | None,
        _file(help="File of what was done to customers: the action and, if known, its cost."),
    ] = None


@dataclass(frozen=True)
class StudyOptions:
    """What is fitted, and how customers are valued."""

    seed: Seed = None
    sample: Sample = None
    discount: Discount = None
    margin: Margin = None


def make_request(
    orders: Path,
    file: FileOptions,
    identity: IdentityOptions,
    study: StudyOptions,
    events: ChannelOptions,
    like: "Manifest | None" = None,
) -> "Request":
    """Combine all options into a request; what is left out is as in an earlier report.

    Parameters
    ----------
    orders : path
    file, identity, study, events : groups of options
    like : Manifest, optional
        Of that report.

    Raises
    ------
    DataError
        If values break their rules; all problems at once.
    """
    from crmlab.analyst.manifest import Request
    from crmlab.analyst.study import SETTINGS_RULES, Settings
    from crmlab.reading import ReadingOptions
    from crmlab.reading.options import READING_RULES
    from crmlab.reading.rules import find_broken

    read, valued = _given(file), _given(study)
    problems = find_broken(read, READING_RULES, spell=_spell)
    problems += find_broken(valued, SETTINGS_RULES, spell=_spell)
    raise_problems(DataError, "options", problems)
    reading = ReadingOptions() if like is None else like.reading_of_others()
    return Request(
        orders,
        replace(reading, **read, today=time.strftime("%Y-%m-%d")),
        replace(Settings() if like is None else like.settings, **valued),
        identity.same_person or _file_of(like, "same_person", "--same-person"),
        identity.pseudonymise or _file_of(like, "key", "--pseudonymise"),
        events.files(None if like is None else like.columns),
    )


def _file_of(like: "Manifest | None", name: str, option: str) -> Path | None:
    """Find a file that an earlier report used, or say how to name another."""
    if like is None or name not in like.inputs:
        return None
    path = like.inputs[name].path
    if not path.is_file():
        raise DataError(f"the report used {path}, which is not there; name the file with {option}")
    return path


def _given(group: Any) -> dict[str, Any]:
    """Return the options of a group that were given; repeated ones as a tuple."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in asdict(group).items()
        if value is not None
    }


def _spell(name: str) -> str:
    return f"--{name.replace('_', '-')}"


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
