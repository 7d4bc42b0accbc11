"""The site: built once, without a warning; what a reader may rely on holds for every page."""

import re
from importlib import import_module
from types import ModuleType

import pytest

import crmlab
from crmlab.cli.environment import PROJECT
from crmlab.course.glossary import first_uses, read_glossary
from crmlab.course.notebooks import read_notebook
from crmlab.course.site import PAGES, build_site, leaked_addresses, notebook_texts
from crmlab.lazy import read_stub

STUB = PROJECT.root / "crmlab/__init__.pyi"
NOTEBOOKS = sorted((PROJECT.root / "notebooks").glob("*.ipynb"))
_SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "site"
    assert build_site(PROJECT.root, folder) == 0
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {
        path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")
    }


def test_every_notebook_and_every_guide_has_a_page(pages):
    assert {f"course/{path.stem}.html" for path in NOTEBOOKS} <= pages.keys()
    guides = (PROJECT.root / "docs").rglob("*.md")
    expected = {
        p.relative_to(PROJECT.root / "docs").with_suffix(".html").as_posix() for p in guides
    }
    assert expected <= pages.keys()


def test_no_page_loads_anything_from_elsewhere(site, tmp_path):
    assert leaked_addresses(site) == []
    (tmp_path / "bad.html").write_text('<script src="https://far.example/x.js"></script>')
    assert leaked_addresses(tmp_path) == ["bad.html: far.example/x.js"]


def test_every_picture_is_described(pages):
    bare = [
        f"{name}: {tag[:80]}"
        for name, page in pages.items()
        for tag in re.findall(r"<img\b[^>]*>", page)
        if not re.search(r'alt="[^"]{2,}"|alt="\w"', tag) or re.search(r'alt="[^"]*\.png"', tag)
    ]
    assert bare == []


def test_no_solution_reaches_a_page(pages):
    for path in NOTEBOOKS:
        text = re.sub(r"<[^>]+>", "", pages[f"course/{path.stem}.html"])
        cells = [cell.source for cell in read_notebook(path).cells if cell.cell_type == "code"]
        for solution in (found for cell in cells for found in _SOLUTION.findall(cell)):
            assert "".join(solution.split()) not in "".join(text.split()), path.name
        assert "END SOLUTION" not in text


def test_the_reference_has_every_public_name_once(pages):
    public = (
        f"{module.__name__}.{name}"
        for module in (import_module(f"crmlab.{page}") for page in PAGES)
        for name in module.__all__
        if not isinstance(getattr(module, name), ModuleType)
    )
    text = "".join(page for name, page in pages.items() if name.startswith("reference/"))
    assert [name for name in public if text.count(f'id="{name}"') != 1] == []
    values = [getattr(crmlab, name) for name in crmlab.__all__]
    homes = {v.__name__ for v in values if isinstance(v, ModuleType)} | {*read_stub(STUB).values()}
    assert homes - {f"crmlab.{page}" for page in PAGES} == {"crmlab", "crmlab.behaviour"}


def test_published_numbers_and_sources_are_there(pages):
    assert "Fader" in pages["bibliography.html"]
    assert pages["ledger.html"].count("<tr") > 30


# --- the glossary ------------------------------------------------------------------------------


def test_glossary_is_whole_and_sorted():
    glossary = read_glossary()
    assert glossary.index.is_unique
    assert list(glossary.index) == sorted(glossary.index, key=str.lower)
    words = glossary[["french", "danish", "definition"]]
    assert not (words == "").to_numpy().any()
    assert (glossary["definition"].str.strip().str.endswith(".")).all()


def test_glossary_stands_on_its_page_with_its_first_use(pages):
    texts = notebook_texts(NOTEBOOKS)
    uses = first_uses(read_glossary().index, texts)
    for term, number in uses.items():
        assert not first_uses(read_glossary().loc[[term]].index, _before(texts, number))
    assert len(uses) > 0.6 * len(read_glossary())
    for term in ("retention rate", "transition matrix", "period"):
        assert f"term-{term.replace(' ', '-')}" in pages["glossary.html"]


def _before(texts, number):
    return {name: text for name, text in texts.items() if name < number}


def test_homonyms_are_explained():
    glossary = read_glossary()
    twice = ("recency", "margin", "policy", "rate matrix", "stage", "channel", "period")
    assert (glossary.loc[list(twice), "beware"] != "").all()
