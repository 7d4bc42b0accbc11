"""Commands for instructors: slides, editions, variants, grades, and the drift of numbers."""

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
        say(f"notebooks/ has no notebook {number or ''}")
        return 1
    for path in build_slides(paths, project.root / "build" / "slides"):
        say(f"{path}")
    say("Open one in a browser: arrow keys change slides, n shows the notes, s opens them in a "
        "separate window, f fills the screen; print makes a PDF.")  # fmt: skip
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
            say(f"Made a new key, {keyfile}. Keep it, outside the repository: only with it can "
                "the same variants be made again.")  # fmt: skip
        folder = project.root / "build" / "variants"
        write_variants(source, students, folder, key=secret, with_checks=with_checks, on_done=say)
        say(f"Hand out a folder of {folder / 'handout'} to each student; {folder / 'keys'} stays "
            "with you.")  # fmt: skip
        return 0

    return _explained(write)


def grade(project: Project, *, folder: Path, number: str | None, seconds: int) -> int:
    """Grade the submissions in a folder; write ``build/grades/``; return an exit code."""

    def work() -> int:
        from crmlab.course.grading import find_submissions, grade_folder, grades_table, grades_text
        from crmlab.course.notebooks import read_notebook
        from crmlab.course.sandbox import Limits
        from crmlab.tables.folders import FolderKind, new_folder, write_file

        variants, target = project.root / "build" / "variants", project.root / "build" / "grades"
        with new_folder(target, FolderKind("crmlab grades")) as aside:
            source, keys_of, data_of = _grading_of(project, variants, number, aside)
            grades = grade_folder(
                find_submissions(folder),
                read_notebook(source),
                keys_of,
                data_of=data_of,
                limits=Limits(seconds=seconds, seconds_per_cell=max(2, seconds // 5)),
                forbidden=[variants, project.root / "notebooks"],
                on_grade=lambda one: say(grades_text([one])),
            )
            write_file(aside / "grades.csv", grades_table(grades).to_csv())
            write_file(aside / "grades.txt", grades_text(grades) + "\n")
        say(f"Written to {target}. See docs/instructors/grading.md for the limits.")
        return 0

    return _explained(work)


def _grading_of(project: Project, variants: Path, number: str | None, target: Path) -> tuple:
    """Return the source notebook, and the keys and data of each student."""
    from crmlab.course.firm import write_course_firm
    from crmlab.course.grading import stored_keys
    from crmlab.course.variants import HANDOUT, SOURCE, variant_keys
    from crmlab.errors import DataError

    if number:
        source, firm = _source(project, number), write_course_firm(target / "course-firm")
        return source, lambda student: stored_keys(number), lambda student: firm
    if not (variants / SOURCE).is_file():
        raise DataError(
            "grade: there are no variants in build/variants; make them with `make variants`, or "
            "name the notebook of the course that was submitted (N=03)."
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
        raise DataError(f"notebooks/ has no notebook {number}.")
    return paths[0]


def _explained(work: Callable[[], int]) -> int:
    """Show problems of the input as messages, without a traceback."""
    from crmlab.errors import DataError, SpecError

    try:
        return work()
    except (SpecError, DataError) as problem:
        print(f"crmlab: {problem}", file=sys.stderr)
        return 1


def measure_drift(project: Project, *, number: str | None, brief: bool = False) -> int:
    """Execute notebooks, and tests that compare bits, as on other machines and with other seeds.

    Changes are written into ``build/drift/``. Returns an exit code.
    """
    from crmlab.course import drift
    from crmlab.tables.folders import FolderKind, new_folder

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
    with new_folder(target.parent, FolderKind("crmlab drift")) as aside:
        drift.drift_table(found).to_csv(aside / target.name, index=False)
    if broken:
        say(f"Tests that compare bits failed under: {', '.join(broken)}")
    say(f"Written to {target}")
    return 1 if any(one.moved or one.broken for one in found) or broken or not found else 0


@contextmanager
def _variables(project: Project, control: "Control") -> Iterator[dict[str, str]]:
    """Yield the variables of a process under a control; with an empty cache for other code."""
    with tempfile.TemporaryDirectory() as cold:
        place = {COMPILED: cold} if control.other_code else {}
        yield project_variables(project, {**os.environ, **control.variables, **place})
