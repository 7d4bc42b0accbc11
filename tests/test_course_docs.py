"""The numbers in the instructors' cases, recomputed without crmlab; links; commands."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from crmlab.cli import commands

FOLDER = Path(__file__).parent.parent / "docs" / "instructors"
PAGES = sorted(FOLDER.glob("*.md"))


def read(name):
    return " ".join((FOLDER / name).read_text(encoding="utf-8").split())


def test_the_arithmetic_of_rural_broadband():
    text = read("case-rural-broadband.md")
    factor = (1 - 1.08**-20) / 0.08
    home, served = 20e6 / 543, 543 / 0.05 - 543
    expected = (
        f"= {home:,.0f}, rounded",
        f"{37_000 * 543 / 1e6:.2f} million",
        f"= {543 / 0.05:,.0f} households in all, so {served:,.0f} served",
        f"at 4.5 % it would be {543 / 0.045:,.0f}",
        f"{522 / 543:.2f} miles a household, {20e6 / 522:,.0f} dollars a mile",
        f"{57e6 / served:,.0f} a served household",
        f"One more costs {home / (57e6 / served):.1f} times",
        f"{7.2e9 / 20e6:.0f} such projects",
        f"worth {factor:.3f}",
        f"**{home / factor:,.0f}** dollars a year, {home / factor / 12:.0f} a month",
        f"have said {home / 20:,.0f}",
    )
    assert [part for part in expected if part not in text] == []


def test_the_arithmetic_of_the_48_percent():
    text = read("case-48-percent.md")

    def more_than(n, mean, shape):
        return stats.nbinom.sf(n, shape, shape / (shape + mean))

    mild, wild = (
        optimize.brentq(lambda r: more_than(20, 9.5, r) - 0.13, *bracket)
        for bracket in ((0.4, 5), (0.05, 0.4))
    )

    def gaps(logs):
        return more_than(10, *np.exp(logs)) - 0.48, more_than(20, *np.exp(logs)) - 0.13

    both = np.exp(optimize.root(gaps, np.log([10, 2]), tol=1e-12).x[0])
    expected = (
        f"{more_than(10, 9.5, mild):.2f} tell more than ten",
        f"the other gives {more_than(10, 9.5, wild):.2f}",
        f"have to be {both:.2f}",
        f"mean is {0.35 * 11 + 0.13 * 21:.2f}",
    )
    assert [part for part in expected if part not in text] == []


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name.startswith("case")], ids=lambda p: p.stem
)
def test_a_case_has_a_rubric_of_twenty_points(page):
    text = page.read_text(encoding="utf-8")
    for heading in ("## What everybody gets", "## Questions", "## What to know", "## Rubric (20"):
        assert heading in text
    rows = re.findall(r"^\| \*\*", text.partition("## Rubric")[2], re.MULTILINE)
    assert len(rows) == 4
    minutes = sum(map(int, re.findall(r"\((\d+) min\)", text)))
    assert minutes == 45


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere_and_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`+[^`]+`+", text))))
    assert named <= {command.name for command in commands.COMMANDS}
