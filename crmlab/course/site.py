"""The site: course, guides, reference, glossary, bibliography and ledger; no page needs a network.

The sources of the pages are collected in a separate folder: the files of ``docs/``, the executed
notebooks without their solutions, and pages that are made from the code (the reference, the
glossary, the ledger). Nothing is executed again, so a page prints exactly what the tests compared.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING

import crmlab
from crmlab.course.concepts import concepts_page
from crmlab.course.editions import student_source
from crmlab.course.glossary import first_uses, read_glossary
from crmlab.course.notebooks import notebook_bytes, read_notebook, strip_metadata
from crmlab.course.play import PIECES, piece_html, script_html
from crmlab.tables.folders import FolderKind, new_folder

if TYPE_CHECKING:
    from nbformat import NotebookNode

SITE = FolderKind("crmlab site")
# The pages of the reference: every module that public names come from, in the order of the work.
PAGES = (
    *("stages", "chains", "tables", "reading", "datasets", "warehouse", "channels", "transitions"),
    *("actions", "behaviour.perception", "behaviour.encounters", "behaviour.loyalty"),
    *("behaviour.word_of_mouth", "generators", "generators.bank", "models", "btyd", "contract"),
    *("inference", "prediction", "value", "policy", "evaluation", "plots", "course", "errors"),
    "testing",
)
_VERIFIED_WITH = ("numpy", "pandas", "scipy", "pymc", "arviz", "nutpie", "matplotlib")


def build_site(root: Path, target: Path) -> int:
    """Build the site; a warning is an error.

    Parameters
    ----------
    root : Path
        The clone.
    target : Path
        The folder of the pages: new, empty, or only an older site, which is replaced.
        Open its ``index.html``.

    Returns
    -------
    int
        0 if the site was built without a warning; otherwise an older site stays as it was.
    """
    try:
        with new_folder(target, SITE) as pages, TemporaryDirectory() as source:
            prepare_site(root, Path(source) / "site")
            options = ["-b", "html", "-W", "--keep-going", "-q", "-d", f"{source}/doctrees"]
            command = [sys.executable, "-m", "sphinx", *options, f"{source}/site", str(pages)]
            subprocess.run(command, cwd=root, check=True)
    except subprocess.CalledProcessError as problem:
        return problem.returncode
    return 0


def prepare_site(root: Path, source: Path) -> None:
    """Collect the sources of all pages in a new folder."""
    shutil.copytree(root / "docs", source)
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    pages = {
        **{f"course/{path.stem}.ipynb": site_notebook(read_notebook(path)) for path in notebooks},
        **{f"reference/{name}": page for name, page in reference_pages().items()},
        "play.md": play_page(),
        "glossary.md": glossary_page(notebook_texts(notebooks)),
        "ledger.md": ledger_page(),
        "concepts.md": concepts_page(root),
    }
    for name, content in pages.items():
        place = source / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else notebook_bytes(content))


# --- the course --------------------------------------------------------------------------------


def site_notebook(notebook: "NotebookNode") -> "NotebookNode":
    """Derive the page of a notebook, without solutions and their output, with described figures.

    Parameters
    ----------
    notebook : NotebookNode
        Executed.

    Returns
    -------
    NotebookNode
        A new one.
    """
    page = strip_metadata(notebook)
    page.cells = [_page_cell(cell) for cell in page.cells if not _is_for_instructors(cell)]
    page.cells.append(_verified())
    return page


def _is_for_instructors(cell: "NotebookNode") -> bool:
    return "instructor" in cell.metadata.get("tags", ())


def _page_cell(cell: "NotebookNode") -> "NotebookNode":
    if cell.cell_type != "code":
        return cell
    if "### BEGIN SOLUTION" in cell.source:
        cell.outputs = []
    cell.source = student_source(cell.source)
    shown = [o.data for o in cell.outputs if "image/png" in o.get("data", {})]
    if shown:
        sentences = " ".join(data.get("text/plain", "") for data in shown)
        cell.metadata["mystnb"] = {"image": {"alt": sentences}}
    return cell


def _verified() -> "NotebookNode":
    """State the versions with which the outputs of a page were compared."""
    from importlib.metadata import version

    from nbformat.v4 import new_markdown_cell

    versions = ", ".join(f"{name} {version(name)}" for name in _VERIFIED_WITH)
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    verified = (
        f"*Verified on* {python}, {versions}: `make test` executes this notebook and compares "
        "every output with the one printed here."
    )
    return new_markdown_cell(f"---\n\n{verified}", id="verified-on")


def notebook_texts(paths: "list[Path]") -> dict[str, str]:
    """Return the text and code of each notebook, by its number."""
    books = {path.stem[:2]: read_notebook(path) for path in paths}
    return {number: "\n".join(cell.source for cell in book.cells) for number, book in books.items()}


# --- pages made from code ----------------------------------------------------------------------


def reference_pages() -> dict[str, str]:
    """Write a page of the reference for each module of `PAGES`, and their index."""
    pages = {f"{name.replace('.', '_')}.md": _module_page(name) for name in PAGES}
    listed = "\n".join(name.removesuffix(".md") for name in pages)
    lead = (
        "What can be called, in the order of the work. After `import crmlab as crm`, the "
        "everyday names stand at `crm` itself, and all others in their module: `crm.fit`, "
        "`crm.policy.decide`."
    )
    index = f"# Reference\n\n{lead}\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    return {**pages, "index.md": index}


def _module_page(name: str) -> str:
    module = import_module(f"crmlab.{name}")
    text = cleandoc(module.__doc__ or "")
    names = sorted(vars(module)["__all__"], key=lambda name: text.find(f"* `{name}`"))
    everyday = [f"`crm.{name}`" for name in names if name in crmlab.__all__]
    head = [f"# {name}", "", text, ""]
    head += [f"At `crm` itself: {', '.join(everyday)}.", ""] if everyday else []
    entries = [line for name in names for line in _entry(module, name)]
    return "\n".join([*head, "```{eval-rst}", *entries, "```", ""])


def _entry(module: ModuleType, name: str) -> Iterator[str]:
    value = getattr(module, name)
    place = f"{module.__name__}.{name}"
    if isinstance(value, type):
        yield f".. auto{'exception' if issubclass(value, Exception) else 'class'}:: {place}"
        yield from () if issubclass(value, Exception) else ("   :members:",)
    elif callable(value):
        yield f".. autofunction:: {place}"
    elif not isinstance(value, ModuleType):  # a module has a page of its own
        (line,) = re.findall(rf"(?m)^\* `{name}`: (.+)$", module.__doc__ or "")
        yield from (f".. data:: {place}", "", f"   {line}")
    yield ""


def play_page() -> str:
    """Write the page of things to play with."""
    lead = "Three pictures to move. All of it happens on this page; nothing is sent anywhere."
    parts = [f"## {piece.title}\n\n{_raw(piece_html(piece))}" for piece in PIECES]
    return "\n\n".join(["# Play", lead, *parts, _raw(script_html()), ""])


def _raw(html: str) -> str:
    return f"````{{raw}} html\n{html}\n````"


def glossary_page(texts: Mapping[str, str]) -> str:
    """Write the page of the glossary.

    Parameters
    ----------
    texts : mapping of notebook number to its text
        To say where a term is first used.
    """
    glossary = read_glossary()
    uses = first_uses(glossary.index, texts)
    entries = [_glossary_entry(term, row, uses.get(term)) for term, row in glossary.iterrows()]
    lead = "Each term in English, *French* and *Danish*, with its symbol and unit where it has one."
    return "\n".join(["# Glossary", "", lead, "", "```{glossary}", *entries, "```", ""])


def _glossary_entry(term: str, row: Mapping[str, str], use: str | None) -> str:
    facts = [f"*{row['french']}* (fr), *{row['danish']}* (da)"]
    facts += [f"symbol {row['symbol']}"] if row["symbol"] else []
    facts += [f"unit: {row['unit']}"] if row["unit"] else []
    facts += [f"first used in notebook {use}"] if use else ["used from later notebooks on"]
    beware = f" **Beware.** {row['beware']}" if row["beware"] else ""
    return f"{term}\n  {row['definition']}{beware} {'; '.join(facts)}.\n"


def ledger_page() -> str:
    """Write the page of the replication ledger: each published number, recomputed just now."""
    from crmlab.replication.ledger import replicate

    rows = [
        f"| {claim.source} | {claim.inputs} | {', '.join(claim.printed)} | {claim.status} "
        f"| {verdict.problem or claim.reason} |"
        for verdict in replicate()
        for claim in [verdict.claim]
    ]
    head = ["| source | inputs | printed | status | why |", "|---|---|---|---|---|"]
    lead = (
        "Numbers that others published, computed again by crmlab. *pass* means: equal to half a "
        "unit in the last printed digit. *explained* has a reason beside it; *memory* says that "
        "the input or the target was not checked against the printed page."
    )
    return "\n".join(["# Replication ledger", "", lead, "", *head, *rows, ""])


def leaked_addresses(pages: Path) -> list[str]:
    """Find what a page would load from the network: scripts, styles, pictures, fonts.

    Returns
    -------
    list of str
        ``page: address``; links for the reader do not count.
    """
    loads = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:)?//([^"]+)"')
    return [
        f"{path.relative_to(pages)}: {found[2]}"
        for path in sorted(pages.rglob("*.html"))
        for found in loads.finditer(path.read_text(encoding="utf-8"))
        if 'rel="canonical"' not in found[0]
    ]
