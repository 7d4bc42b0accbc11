"""The pages on extending crmlab: their code runs, in order, and is as short as they say."""

import ast
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[1] / "docs/extending"
NAMES = ["README", "stage_space", "channel", "transition", "generator"]
LONGEST = 40


def blocks(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_a_page_runs(name):
    """All blocks of a page share one namespace, as they do for a reader who types them."""
    page = {"__name__": f"page_{name}"}
    found = blocks(name)
    assert found
    for number, block in enumerate(found):
        exec(compile(block, f"{name}.md, block {number}", "exec"), page)


@pytest.mark.parametrize("name", NAMES)
def test_extensions_are_short(name):
    for block in blocks(name):
        for node in ast.parse(block).body:
            assert node.end_lineno - node.lineno < LONGEST


def test_every_page_is_listed_and_ends_in_a_check():
    listed = (PAGES / "README.md").read_text(encoding="utf-8")
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted(NAMES)
    for name in NAMES[1:]:
        assert f"({name}.md)" in listed
        assert "**Check.**" in (PAGES / f"{name}.md").read_text(encoding="utf-8")
