"""The commands: one table, each entry with a help text that teaches.

A command declares what it needs (nothing, the packages, or the packages and a warm compile cache).
The environment is made if necessary, and the command then continues inside it, so every command
works on a fresh clone, with or without ``make``.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crmlab.cli import environment
from crmlab.cli.environment import EXTRAS, PROJECT, Project

_Arguments = Callable[[argparse.ArgumentParser], None]


@dataclass(frozen=True)
class Command:
    """One command.

    Parameters
    ----------
    name : str
        The word after ``python -m crmlab``.
    summary : str
        One line, for the list of all commands.
    lesson : str
        What it does and when to use it, for ``--help`` of this command.
    run : callable
        Takes the parsed options and returns an exit code.
    needs : {"nothing", "packages", "warm"}
        What must be ready before it runs.
    add_arguments : callable
        Adds the command's own options to its parser.
    passes_on : bool
        Whether options unknown to crmlab are passed on to another program.
    home : Project
        The environment in which it runs: that of the course, or that with peers and engines.
    explains_itself : bool
        Whether ``--help`` is passed on too.
    """

    name: str
    summary: str
    lesson: str
    run: Callable[[argparse.Namespace], int]
    needs: Literal["nothing", "packages", "warm"] = "packages"
    add_arguments: _Arguments = lambda parser: None
    passes_on: bool = False
    home: Project = PROJECT
    explains_itself: bool = False


def run_command(words: Sequence[str]) -> int:
    """Parse a command line and run the command.

    Parameters
    ----------
    words : sequence of str
        The words after ``python -m crmlab``.

    Returns
    -------
    int
        Exit code: 0 if all is well.
    """
    options = parse(words)
    home = options.command.home
    variables = environment.project_variables(home, os.environ)
    here = options.here or _is_installed_alone(options.command)
    try:
        if not here and options.command.needs != "nothing":
            environment.ensure(home, warm=options.command.needs == "warm")
    except environment.SetUpError as problem:
        sys.exit(f"crmlab: {problem}")
    if not here and _should_move(options.command):
        return environment.hand_over([str(home.python), "-m", "crmlab", *words], variables)
    _settle(variables)
    return options.command.run(options)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; print an explanation and exit if it is not valid.

    Returns
    -------
    argparse.Namespace
        The options, with the chosen `Command` as ``command`` and passed-on options as ``others``.

    Examples
    --------
    >>> parse(["lab", "--source", "--no-browser"]).others
    ['--no-browser']
    """
    parser = build_parser()
    options, others = parser.parse_known_args([word for word in words if word != "--"])
    if others and not options.command.passes_on:
        parser.error(f"{options.command.name} has no option {' '.join(others)} (see its --help)")
    options.others = others
    return options


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m crmlab",
        description="crmlab: from relationship stages to customer value. Begin with: lab",
        epilog="Each command has its own help: python -m crmlab lab --help",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="use the current Python and its packages (for conda), not .venv",
    )
    chosen = parser.add_subparsers(title="commands", metavar="command", required=True)
    for command in COMMANDS:
        own = chosen.add_parser(
            command.name,
            help=command.summary,
            description=command.lesson,
            allow_abbrev=False,
            add_help=not command.explains_itself,
        )
        own.add_argument(
            "--here", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        command.add_arguments(own)
        own.set_defaults(command=command)
    return parser


def _is_installed_alone(command: Command) -> bool:
    """Whether crmlab is installed as a package, so that it has no environment of its own."""
    return command.run is _analyst and not PROJECT.lock.exists()


def _should_move(command: Command) -> bool:
    if command.run in _BOOTSTRAP or environment.is_inside(command.home):
        return False
    return command.home.python.exists()


def _settle(variables: dict[str, str]) -> None:
    """Set the project's variables for this process and its children."""
    os.environ.clear()
    os.environ.update(variables)
    sys.dont_write_bytecode = False


def _setup(options: argparse.Namespace) -> int:
    home = EXTRAS if options.extras else PROJECT
    warm = not (options.cold or options.extras)
    try:
        fine = environment.set_up(home, warm=warm, again=options.again)
    except environment.SetUpError as problem:
        sys.exit(f"crmlab: {problem}")
    if fine:
        environment.say("The environment is up to date.")
    return 0 if fine else 1


def _lab(options: argparse.Namespace) -> int:
    from crmlab.cli.lab import open_lab

    return open_lab(PROJECT, source=options.source, jupyter_options=options.others)


def _test(options: argparse.Namespace) -> int:
    from crmlab.cli.suite import run_suite

    return run_suite(PROJECT, only=options.only, jobs=options.jobs)


def _test_extras(options: argparse.Namespace) -> int:
    from crmlab.cli.suite import run_extras

    return run_extras(EXTRAS)


def _bench(options: argparse.Namespace) -> int:
    from crmlab.cli.studies import run_benchmarks

    return run_benchmarks(EXTRAS, options.others)


def _validate(options: argparse.Namespace) -> int:
    from crmlab.cli.studies import run_validation

    return run_validation(PROJECT, options.others)


def _analyst(options: argparse.Namespace) -> int:
    from crmlab.cli.analyst import main

    return main([options.command.name, *options.others])


def _learn(options: argparse.Namespace) -> int:
    from crmlab.cli.lab import make_student_edition

    make_student_edition(PROJECT)
    return 0


def _notebooks(options: argparse.Namespace) -> int:
    from crmlab.cli.notebooks import execute_notebooks

    return execute_notebooks(PROJECT, number=options.number)


def _slides(options: argparse.Namespace) -> int:
    from crmlab.cli.teach import write_slides

    return write_slides(PROJECT, number=options.number)


def _editions(options: argparse.Namespace) -> int:
    from crmlab.cli.teach import write_editions

    return write_editions(PROJECT)


def _site(options: argparse.Namespace) -> int:
    from crmlab.cli.teach import write_site

    return write_site(PROJECT)


def _variants(options: argparse.Namespace) -> int:
    from crmlab.cli.teach import make_variants

    return make_variants(
        PROJECT,
        ids=options.ids,
        key=options.key,
        number=options.number,
        with_checks=options.with_checks,
    )


def _grade(options: argparse.Namespace) -> int:
    from crmlab.cli.teach import grade

    return grade(PROJECT, folder=options.folder, number=options.number, seconds=options.seconds)


def _drift(options: argparse.Namespace) -> int:
    from crmlab.cli.teach import measure_drift

    return measure_drift(PROJECT, number=options.number, brief=options.brief)


def _replicate(options: argparse.Namespace) -> int:
    from crmlab.replication.ledger import main

    return main()


def _warm(options: argparse.Namespace) -> int:
    from crmlab.cli.warm import warm_cache

    return warm_cache()


def _doctor(options: argparse.Namespace) -> int:
    from crmlab.cli.doctor import examine

    return examine(PROJECT)


def _demo(options: argparse.Namespace) -> int:
    from crmlab.demo import write_demo

    folder = PROJECT.root / "build" / "demo"
    write_demo(folder)
    environment.say(f"Written to {folder}")
    return 0


def _lint(options: argparse.Namespace) -> int:
    from crmlab.cli.upkeep import lint

    return lint(PROJECT)


def _lock(options: argparse.Namespace) -> int:
    from crmlab.cli.upkeep import write_lock

    codes = [write_lock(home, upgrade=options.upgrade) for home in (PROJECT, EXTRAS)]
    return max(codes)


def _clean(options: argparse.Namespace) -> int:
    from crmlab.cli.upkeep import clean

    clean(PROJECT, everything=options.all)
    return 0


def _setup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--again", action="store_true", help="start from scratch")
    parser.add_argument("--cold", action="store_true", help="do not fill the compile cache yet")
    parser.add_argument(
        "--extras", action="store_true", help="make the environment with peers and engines instead"
    )


def _lab_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", action="store_true", help="open notebooks/ (with solutions), not learn/"
    )


def _test_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only", choices=("code", "notebooks"), help="one half of the suite (default: both)"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes at a time (default: one per core)"
    )


def _notebooks_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "number", nargs="?", help="only notebooks whose names begin with this, e.g. 03"
    )


def _drift_arguments(parser: argparse.ArgumentParser) -> None:
    _notebooks_arguments(parser)
    parser.add_argument(
        "--brief", action="store_true", help="only one other processor and one other seed"
    )


def _variants_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", type=Path, help="file of student ids, one per line; no names")
    parser.add_argument(
        "--key", type=Path, help="file with your secret (default: instructor.key next to the ids)"
    )
    parser.add_argument("--number", help="a notebook of the course with a world for variants")
    parser.add_argument(
        "--with-checks", action="store_true", help="let crm.check answer the students"
    )


def _grade_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="ID.ipynb, or folders ID with one notebook each")
    parser.add_argument(
        "--number", help="a notebook of the course (default: that of the last variants)"
    )
    parser.add_argument(
        "--seconds", type=int, default=300, help="time limit of a submission (default: %(default)s)"
    )


def _lock_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upgrade", action="store_true", help="use the newest versions that the bounds allow"
    )


def _clean_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="also .venv/ and .cache/")


_BOOTSTRAP = (_setup, _clean)

_ANALYST = {
    "report": "from a file of orders to a page, a table of customers and the fit",
    "fit": "fit the stages of a file of orders, without the page",
    "score": "apply an existing fit to new orders",
    "simulate": "write an invented file of orders, to try things on",
    "glossary": "explain a term, in English, French and Danish",
}

COMMANDS = (
    Command(
        "lab",
        "open the course in JupyterLab",
        "Open JupyterLab on learn/, the student edition: notebooks with tasks to fill in. It is "
        "made on the first run and updated later; a file that you changed is never overwritten. "
        "Nothing leaves your computer. Options that crmlab does not know are passed on to "
        "JupyterLab, for example --no-browser or --port 9000. Stop it with Ctrl-C.",
        _lab,
        needs="warm",
        add_arguments=_lab_arguments,
        passes_on=True,
    ),
    Command(
        "test",
        "run every test: code, examples in docstrings, stored outputs of notebooks",
        "Run pytest on tests/ and on the examples in crmlab/, then execute each notebook in a "
        "fresh kernel and compare every output with the stored one, character by character "
        "(nbval). The exit code is 0 only if all of it passes.",
        _test,
        needs="warm",
        add_arguments=_test_arguments,
    ),
    Command(
        "test-extras",
        "run the tests that need peers and engines: PyMC-Marketing, QuantEcon, Dask, PySpark, ...",
        "Run pytest on tests/extras/ in a separate environment, .venv-extras/, made from "
        "requirements-extras.lock. A test whose engine cannot run here (PySpark without Java) is "
        "skipped with the reason.",
        _test_extras,
        home=EXTRAS,
    ),
    Command(
        "bench",
        "compare the speed of crmlab with its peers; benchmarks/results.md has the results",
        "Run the benchmarks, each next to packages that do the same, in .venv-extras/. Read the "
        "ratios: machines differ, and are noisy. Options go to benchmarks/__main__.py (--help).",
        _bench,
        passes_on=True,
        home=EXTRAS,
    ),
    Command(
        "validate",
        "run a slow statistical study (up to hours); without a name, list them",
        "Run a study of validation/ by its name: calibration by simulation, planted mistakes, "
        "identification. The words after the name are its own options.",
        _validate,
        needs="warm",
        passes_on=True,
    ),
    Command(
        "setup",
        "make .venv/ and fill the compile cache (other commands do this automatically)",
        "Install what requirements.lock pins into .venv/, each file checked against its hash, and "
        "compile the kernels once. What is up to date is skipped; to repair an "
        "interrupted set-up, run it again. --extras makes .venv-extras/ instead.",
        _setup,
        needs="nothing",
        add_arguments=_setup_arguments,
    ),
    Command(
        "learn",
        "make or update the student edition in learn/",
        "Make learn/ from notebooks/, without solutions but with tasks and hints. A file that you "
        "changed is kept as it is, and listed.",
        _learn,
    ),
    Command(
        "doctor",
        "examine the environment and say how to fix any problem",
        "Compare the installed packages with the lock, fit one model in closed form and one by "
        "sampling, and look for the compile cache and the notebooks. Changes nothing.",
        _doctor,
        needs="nothing",
    ),
    Command(
        "demo",
        "write an example report into build/demo/",
        "Simulate customers, fit, forecast, value, and write the report with its figures and "
        "tables into build/demo/.",
        _demo,
        needs="warm",
    ),
    Command(
        "notebooks",
        "execute the notebooks in place (for authors)",
        "Execute notebooks/ from top to bottom, each in a fresh kernel, and store what they print. "
        "`test` compares with these outputs, so read the difference before you keep it.",
        _notebooks,
        needs="warm",
        add_arguments=_notebooks_arguments,
    ),
    Command(
        "slides",
        "write slides into build/slides/",
        "Make slides from the executed notebooks, one file each, which open in any browser without "
        "a network. They contain notes for the speaker (n shows them), but no solutions.",
        _slides,
        add_arguments=_notebooks_arguments,
    ),
    Command(
        "editions",
        "write all editions and two zip files into build/editions/",
        "Make the student, recall and instructor editions, slides with and without notes, and the "
        "schedule of a course of seven weeks, all from the executed notebooks. Runs none of them.",
        _editions,
    ),
    Command(
        "site",
        "build the site into build/site/",
        "Build the pages of the course, the reference, the glossary in three languages, the "
        "bibliography and the ledger of published numbers. They open from the folder, with search "
        "and without a network. Runs no notebook; a warning is an error.",
        _site,
    ),
    Command(
        "variants",
        "write one folder per student, each with its own bank, into build/variants/",
        "Give each student id in a file its own data and answer key, made from your secret. "
        "handout/ID goes to the student; keys/ID stays with you. The same secret and id give the "
        "same variant again. Without --number: the assignment 'Your own bank'.",
        _variants,
        add_arguments=_variants_arguments,
    ),
    Command(
        "grade",
        "grade the notebooks in a folder into build/grades/",
        "Run each submission in its own process with limits on time, memory and files, read its "
        "answers, and judge them in another process. If it crashes or loops, the report says so. "
        "Use it only for people you know: docs/instructors/grading.md says what it cannot stop.",
        _grade,
        add_arguments=_grade_arguments,
    ),
    Command(
        "drift",
        "show what another processor or another seed changes, into build/drift/",
        "Execute the notebooks as other kinds of processors would (Haswell, Nehalem, generic), and "
        "with five other seeds of the sampler, and compare every printed number with the stored "
        "one; run the tests that compare bits on those processors too. Takes half an hour. A small "
        "part of it (--brief) belongs to `test-extras`.",
        _drift,
        add_arguments=_drift_arguments,
    ),
    Command(
        "replicate",
        "recompute every published number of the ledger",
        "Print each number next to the one in its paper: pass, explained (with the reason), or "
        "from memory. The exit code is 1 if anything is unexplained.",
        _replicate,
    ),
    Command(
        "lint",
        "check the style of the code and its types",
        "Run ruff and mypy by the rules in pyproject.toml; `ruff check --fix` fixes many problems.",
        _lint,
    ),
    Command(
        "lock",
        "resolve requirements.lock again (for maintainers; needs the package index)",
        "Pin every package of the course, its tests and its lint with hashes, for Python 3.12 and "
        "3.13 on Linux, macOS and Windows. Without --upgrade, versions that still fit are kept.",
        _lock,
        add_arguments=_lock_arguments,
    ),
    Command(
        "warm",
        "compile the kernels into .cache/ (part of setup)",
        "Fit one small model of each kind, so that a reader's first fit does not wait for a "
        "compiler.",
        _warm,
    ),
    Command(
        "clean",
        "delete everything that can be made again (never learn/)",
        "Delete build/ and the caches of tools. With --all also .venv/ and .cache/, which take "
        "minutes to make again. learn/ holds your own work and is never touched.",
        _clean,
        needs="nothing",
        add_arguments=_clean_arguments,
    ),
    *(
        Command(name, said, said, _analyst, "warm", passes_on=True, explains_itself=True)
        for name, said in _ANALYST.items()
    ),
)
