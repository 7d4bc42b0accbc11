"""The ledger: green as it stands, and red for each way in which it could be wrong."""

import dataclasses
import tomllib

import pytest

from crmlab import replication
from crmlab.datasets import dataset_path
from crmlab.errors import DataError, SpecError
from crmlab.replication import Claim, judge, read_ledger, replicate, verdicts_text
from crmlab.replication.recipes import RECIPES

PI = Claim("pi", "a textbook", "a circle", ("3.14", "3.1416"), "pass")
EXPLAINED = dataclasses.replace(
    PI, status="explained", ours=("3.15", "3.1416"), reason="rounded up, in a hurry"
)
VALUES = [3.14159, 3.14159]


@pytest.fixture(scope="module")
def verdicts():
    return replicate()


def test_nothing_is_unexplained(verdicts):
    assert [(v.claim.id, v.problem) for v in verdicts if v.problem] == []
    assert len(verdicts) == len(read_ledger()) > 30


@pytest.mark.parametrize(
    "source",
    [
        "Fader and Hardie (2007)",
        "retenmod",
        "Fader, Hardie and Shang (2010)",
        "Fader, Hardie and Lee (2005a)",
        "CLVTools",
        "Pfeifer and Carraway",
        "Berger and Nasr",
        "OfficeStar",
        "Gupta and Lehmann",
        "Blattberg and Deighton",
        "Howard (1960)",
        "Puterman",
        "Feit and Berman",
    ],
)
def test_the_ledger_holds_the_literature(source):
    assert any(source in claim.source for claim in read_ledger())


def test_every_claim_has_one_recipe_and_every_recipe_one_claim():
    ids = [claim.id for claim in read_ledger()]
    assert sorted(ids) == sorted(recipe.__name__ for recipe in RECIPES)
    assert len(set(ids)) == len(ids)


def test_the_table_shows_every_number_with_its_tolerance(verdicts):
    text = verdicts_text(verdicts)
    assert "unexplained" in text.splitlines()[-1]
    assert "UNEXPLAINED" not in text
    for verdict in verdicts:
        assert verdict.claim.source in text
        assert verdict.claim.reason in text
    printed = sum(len(claim.printed) for claim in read_ledger())
    lines = [line for line in text.splitlines() if line.split(" ")[0] in known_ids()]
    assert len(lines) == printed


def known_ids():
    return {claim.id for claim in read_ledger()}


def test_the_command_says_by_its_exit_code_whether_all_is_well(monkeypatch, capsys):
    monkeypatch.setattr(replication.ledger, "replicate", lambda: (judge(PI, VALUES),))
    assert replication.main() == 0
    monkeypatch.setattr(replication.ledger, "replicate", lambda: (judge(PI, [3.2, 3.14159]),))
    assert replication.main() == 1
    assert "UNEXPLAINED" in capsys.readouterr().out


# Ways to be wrong ---------------------------------------------------------------------------------


def test_half_a_unit_decides():
    assert judge(PI, [3.145, 3.14165]).problem == ""
    assert "printed 3.1416, got 3.14166" in judge(PI, [3.14, 3.14166]).problem
    assert "printed 3.14, got nan" in judge(PI, [float("nan"), 3.1416]).problem


def test_numbers_must_be_as_many_as_printed():
    assert judge(PI, [3.14]).problem == "2 printed, 1 recomputed"


def test_an_explanation_is_held_to_its_own_digits():
    assert judge(EXPLAINED, [3.15, 3.1416]).problem == ""
    assert "explained 3.15, got 3.16" in judge(EXPLAINED, [3.16, 3.1416]).problem
    assert "is gone" in judge(EXPLAINED, [3.145, 3.1416]).problem


def test_a_claim_without_a_recipe_is_a_problem():
    (verdict,) = replicate([PI])
    assert verdict.problem == "no recipe of this name"
    assert "UNEXPLAINED" in verdicts_text([verdict])


def test_a_recipe_without_a_claim_is_a_problem(monkeypatch):
    monkeypatch.setattr(replication.ledger, "read_ledger", lambda: read_ledger()[1:])
    with pytest.raises(DataError, match="no claim for 'sbg_regular_fit'"):
        replicate()


def test_claims_say_what_their_status_needs():
    with pytest.raises(SpecError, match="status"):
        dataclasses.replace(PI, status="probably")
    with pytest.raises(DataError, match="needs a `reason`"):
        dataclasses.replace(PI, status="memory")
    with pytest.raises(DataError, match="`ours` is needed with status 'explained'"):
        dataclasses.replace(EXPLAINED, status="pass")
    with pytest.raises(DataError, match="as many numbers"):
        dataclasses.replace(EXPLAINED, ours=("3.15",))


def test_numbers_are_kept_as_they_were_printed():
    """Text, not floats: 0.750 has three digits, and so a tolerance of 0.0005."""
    rows = tomllib.loads(dataset_path("published/ledger.toml").read_text("utf-8"))["claim"]
    assert all(isinstance(text, str) for row in rows for text in row["printed"])
    assert replication.half_a_unit("0.750") == pytest.approx(0.0005)
