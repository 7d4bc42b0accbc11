"""Manifests that were edited: one sentence and the exit code of bad data, the limits of options."""

import json

import pytest

from crmlab.analyst import fitting
from crmlab.analyst.manifest import checksum
from crmlab.cli import analyst
from tests.cases.faults import given, need
from tests.test_analyst_report import hand_made


def ask(name, folder):
    """Make a report again from a manifest of `orders/22_manifests`, put beside the orders."""
    manifest = json.loads(given(f"22_manifests/{name}.json").read_text(encoding="utf-8"))
    inputs = manifest.get("inputs", {})
    if isinstance(inputs.get("source"), dict):
        inputs["source"] = {"path": "o.csv", "sha256": checksum(folder / "o.csv")}
    (folder / f"{name}.json").write_text(json.dumps(manifest))
    return analyst.main(["report", "--from", f"{folder}/{name}.json", "--out", f"{folder}/{name}"])


@pytest.fixture(scope="module")
def sound(made):
    """The manifest that was not edited makes its report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "fit", hand_made)
        need(ask("base", made) == analyst.Code.FINE, "the manifest is sound")
    return json.loads(given("22_manifests/base.json").read_text(encoding="utf-8"))


EDITED = [
    ("columns_surveys", "surveys"),
    ("inputs_empty", "source"),
    ("no_inputs", "inputs"),
    ("no_versions", "versions"),
    ("reading_extra", "evil"),
    ("source_text", "source"),
    ("margin_1e9", "margin"),
    ("sample_minus5", "sample"),
]


@pytest.mark.parametrize(("name", "word"), EDITED)
def test_an_edited_manifest_is_refused_in_a_sentence(sound, desk, capsys, name, word):
    edited = json.loads(given(f"22_manifests/{name}.json").read_text(encoding="utf-8"))
    need(edited != sound, "the manifest was edited")
    capsys.readouterr()
    code = ask(name, desk)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("crmlab: ")]
    assert code == analyst.Code.DATA
    assert len(said) == 1
    assert word in said[0]
