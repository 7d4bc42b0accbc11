"""What an instructor asks for: slides, editions, variants, grades; and how far numbers drift."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crmlab.cli.environment import COMPILED, Project, project_variables, say
from crmlab.cli.suite import find_notebooks, run_bit_tests

if TYPE_CHECKING:
    from crmlab.course.drift import Control

BRIEF_NOTEBOOK = "09"  # it samples, and compiles one kind of model


def write_slides(project: Project, *, number: str | None) -> int:
    """Write the slides of notebooks into ``build/slides/``; return an exit code."""
    from crmlab.course.bundle import build_slides

    paths = find_notebooks(project.root / "notebooks", number)
    if not paths:
        say(f"notebooks/ holds no notebook that begins with {number or 'anything'}")
        return 1
    for path in build_slides(paths, project.root / "build" / "slides"):
        say(f"{path}")
    say("Open one in a browser: arrows turn, n shows the notes, s opens them apart, f fills the "
        "screen; print makes a PDF.")  # fmt: skip
    return 0


def write_editions(project: Project) -> int:
    """Write every edition and two zip files into ``build/editions/``; return an exit code."""
    from crmlab.course.bundle import build_editions

    for path in build_editions(project.root / "notebooks", project.root / "build" / "editions"):
        say(f"{path}")
    return 0


def write_site(project: Project) -> int:
    """Build the site into ``build/site/``; return an exit code."""
    from crmlab.course.site import build_site

    code = build_site(project.root, project.root / "build" / "site")
    if code == 0:
        say(f"Open {project.root / 'build' / 'site' / 'index.html'}; it needs no network.")
    return code


def make_variants(
    project: Project, *, ids: Path, key: Path | None, number: str | None, with_checks: bool
) -> int:
    """Write one folder per student into ``build/variants/``; return an exit code."""
    from crmlab.course.assignments import OWN_BANK
    from crmlab.course.variants import read_ids, read_secret, write_variants

    def write() -> int:
        students = read_ids(ids)
        source = _source(project, number) if number else OWN_BANK
        keyfile = key or ids.resolve().parent / "instructor.key"
        secret, is_new = read_secret(keyfile)
        if is_new:
            say(f"Made a new key, {keyfile}. Keep it, and keep it out of the repository: with it "
                "the same variants come again, without it nobody can make them.")  # fmt: skip
        folder = project.root / "build" / "variants"
        write_variants(source, students, folder, key=secret, with_checks=with_checks, tell=say)
        say(f"Hand out a folder of {folder / 'handout'} to each student; {folder / 'keys'} stays "
            "with you.")  # fmt: skip
        return 0

    return _explained(write)


def grade(project: Project, *, folder: Path, number: str | None, seconds: int) -> int:
    """Grade the submissions in a folder; write ``build/grades/``; return an exit code."""

    def work() -> int:
        from crmlab.course.grading import find_submissions, grade_folder, grades_table, grades_text
        from crmlab.course.notebooks import read_notebook, write_aside
        from crmlab.course.sandbox import Limits

        variants, target = project.root / "build" / "variants", project.root / "build" / "grades"
        source, keys_of, data_of = _grading_of(project, variants, number, target)
        grades = grade_folder(
            find_submissions(folder),
            read_notebook(source),
            keys_of,
            data_of=data_of,
            limits=Limits(seconds=seconds, seconds_per_cell=max(2, seconds // 5)),
            forbidden=[variants, project.root / "notebooks"],
            tell=lambda one: say(grades_text([one])),
        )
        table = grades_table(grades)
        write_aside(target / "grades.csv", table.to_csv().encode())
        write_aside(target / "grades.txt", (grades_text(grades) + "\n").encode())
        say(f"Written to {target}. Read docs/instructors/grading.md for what this is not.")
        return 0

    return _explained(work)


def _grading_of(project: Project, variants: Path, number: str | None, target: Path) -> tuple:
    """Return the source notebook, and who has which keys and data."""
    from crmlab.course.grading import stored_keys
    from crmlab.course.own import write_course_firm
    from crmlab.course.variants import HANDOUT, SOURCE, variant_keys
    from crmlab.errors import DataError

    if number:
        source, firm = _source(project, number), write_course_firm(target / "course-firm")
        return source, lambda student: stored_keys(number), lambda student: firm
    if not (variants / SOURCE).is_file():
        raise DataError(
            "grade: there are no variants in build/variants; make them with `make variants`, or "
            "name the notebook of the course that was handed in (N=03)."
        )
    return (
        variants / SOURCE,
        lambda student: variant_keys(variants, student),
        lambda student: variants / HANDOUT / student,
    )


def _source(project: Project, number: str) -> Path:
    from crmlab.errors import DataError

    paths = find_notebooks(project.root / "notebooks", number)
    if not paths:
        raise DataError(f"notebooks/ holds no notebook that begins with {number}.")
    return paths[0]


def _explained(work: Callable[[], int]) -> int:
    """Let what is wrong with the input be read, and not a traceback."""
    from crmlab.errors import DataError, SpecError

    try:
        return work()
    except (SpecError, DataError) as problem:
        print(f"crmlab: {problem}", file=sys.stderr)
        return 1


def measure_drift(project: Project, *, number: str | None, brief: bool = False) -> int:
    """Execute notebooks, and tests that compare bits, as other machines and other seeds would.

    What moved is written into ``build/drift/``. Returns an exit code.
    """
    from crmlab.course import drift

    found, broken = [], []
    paths = find_notebooks(
        project.root / "notebooks", number or (BRIEF_NOTEBOOK if brief else None)
    )
    for control in drift.BRIEF if brief else drift.CONTROLS:
        if control.obstacle:
            say(f"{control.name}: skipped, {control.obstacle}")
            continue
        with _variables(project, control) as variables:
            for one in drift.measure_drift(paths, control, variables):
                say(drift.drift_text(one))
                found.append(one)
            if control.other_code and not number and run_bit_tests(project, variables) != 0:
                broken.append(control.name)
    target = project.root / "build" / "drift" / "drift.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    drift.drift_table(found).to_csv(target, index=False)
    if broken:
        say(f"Tests that compare bits failed under: {', '.join(broken)}")
    say(f"Written to {target}")
    return 1 if any(one.moved or one.broken for one in found) or broken or not found else 0


@contextmanager
def _variables(project: Project, control: "Control") -> Iterator[dict[str, str]]:
    """Give the variables of a process under a control; where other code runs, with a cold cache."""
    with tempfile.TemporaryDirectory() as cold:
        place = {COMPILED: cold} if control.other_code else {}
        yield project_variables(project, {**os.environ, **control.variables, **place})
