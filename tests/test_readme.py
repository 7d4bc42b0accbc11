"""The README's example runs as printed, and what the README names exists."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.sampling
def test_twelve_lines_run_as_printed():
    """The example recovers the order of its stages and gives value to every customer."""
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for line in example.splitlines() if line and not line.startswith("import")]
    assert len(lines) <= 12
    names = {}
    exec(example, names)

    rates = names["result"].posterior["visits_rate"].mean(("chain", "draw")).values
    assert np.all(np.diff(rates) > 0)
    assert names["future"]["stage_probs"].sizes["horizon"] == 6
    assert names["value"].sizes["customer_id"] == 300
    assert float(names["value"].min()) > 0


def test_commands_of_the_readme_are_targets():
    """Every `make x` of the README is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", README, flags=re.MULTILINE))
    assert {first or second for first, second in named} <= targets


def test_files_of_the_readme_exist():
    """Paths in backticks and images are there (learn/ and .venv/ are made later)."""
    made_later = {"learn/", ".venv/", ".cache/", "crmlab-report/"}
    paths = re.findall(r"`([\w./-]+(?:/|\.(?:md|yml|toml|py)))`|\]\(([\w./-]+)\)", README)
    missing = [a or b for a, b in paths if not (ROOT / (a or b)).exists()]
    assert set(missing) <= made_later
