"""Variants: a file of ids, a secret, one folder per student, and apart the keys."""

from pathlib import Path

import pytest

from crmlab.course import assignments, editions, firm, guards, keyring, notebooks, variants
from crmlab.errors import DataError, SpecError

nbformat = pytest.importorskip("nbformat")
ROOT = Path(__file__).parent.parent
WITH = ("03", "06", "09", "16", "17")  # notebooks with an exercise on the student's own branch
SECRET = b"not a secret, as it is printed"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two variants of the assignment."""
    folder = tmp_path_factory.mktemp("variants")
    ids = ("a17", "b42")
    return variants.write_variants(assignments.OWN_BANK, ids, folder, key=SECRET, with_checks=True)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_student_gets_data_and_tasks_and_no_truth(written):
    found = files(written / "handout" / "a17")
    assert {"90_own_bank.ipynb", "data/customers.csv", "data/labels.csv"} <= found
    assert not [name for name in found if "truth" in name or "answer_key" in name]
    text = (written / "handout" / "a17" / "90_own_bank.ipynb").read_text()
    assert "set_answer" not in text
    assert "BEGIN SOLUTION" not in text


def test_every_student_has_another_bank_and_another_key(written):
    one, other = (variants.variant_keys(written, name) for name in ("a17", "b42"))
    assert set(one) == set(other) == {"90.1", "90.2", "90.3", "90.4"}
    assert [name for name in one if one[name].accepted == other[name].accepted] == []
    labels = [(written / "handout" / s / "data/labels.csv").read_text() for s in ("a17", "b42")]
    assert labels[0] != labels[1]


def test_the_same_secret_and_id_give_the_same_variant(written, tmp_path):
    again = variants.write_variants(assignments.OWN_BANK, ["a17"], tmp_path, key=SECRET)
    assert variants.variant_keys(again, "a17") == variants.variant_keys(written, "a17")
    assert ".crmlab/keys/90.json" not in files(again / "handout" / "a17")


def test_what_a_student_or_an_instructor_added_survives(tmp_path):
    """The folders of an id are replaced only as long as they hold what was written."""
    folder = variants.write_variants(assignments.OWN_BANK, ["a17"], tmp_path, key=SECRET)
    for name in ("handout/a17/solution.txt", "keys/a17/remarks.txt"):
        (folder / name).write_text("mine")
        with pytest.raises(SpecError, match=f"also holds {Path(name).name}"):
            variants.write_variants(assignments.OWN_BANK, ["a17"], tmp_path, key=SECRET)
        assert (folder / name).read_text() == "mine"
        (folder / name).unlink()


def test_check_answers_from_the_student_s_own_key(written, monkeypatch):
    import numpy as np
    import pandas as pd

    import crmlab as crm

    home = written / "handout" / "b42"
    monkeypatch.chdir(home)
    history = crm.read_tables("data").labels.pivot(
        index="customer_id", columns="period", values="stage"
    )
    now, then = history.iloc[:, :-1].to_numpy(), history.iloc[:, 1:].to_numpy()
    kept = pd.Series((then != "gone").ravel())[(now != "gone").ravel()].mean()
    assert keyring.judge("90.1", kept).right
    assert "This is churn" in keyring.judge("90.1", 1 - kept).sentence
    monkeypatch.chdir(written / "handout" / "a17")
    assert not keyring.judge("90.1", kept).right
    assert np.isfinite(kept)


def test_every_exercise_of_the_assignment_has_two_hints(written):
    keys = variants.variant_keys(written, "a17")
    assert all(len({m.hint for m in key.mistakes}) >= 2 for key in keys.values())


def test_the_assignment_obeys_the_rules_that_need_no_run():
    notebook = notebooks.read_notebook(assignments.OWN_BANK)
    unrun = {guards.unrun_cells}
    assert [p for rule in guards.RULES if rule not in unrun for p in rule(notebook)] == []
    assert editions.student_notebook(notebook).cells


def test_ids_are_ids(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("# a class\ns1\n\ns2\n")
    assert variants.read_ids(path) == ("s1", "s2")
    path.write_text("Ada Lovelace\nada@example.org\ns1\nS1\n../up\n")
    with pytest.raises(DataError, match="4 problems") as caught:
        variants.read_ids(path)
    assert "'s1' occurs 2 times" in str(caught.value)
    path.write_text("# nobody\n")
    with pytest.raises(DataError, match="contains no ids"):
        variants.read_ids(path)
    with pytest.raises(DataError, match="there is no file"):
        variants.read_ids(tmp_path / "none.txt")


def test_a_secret_is_made_once_and_kept(tmp_path):
    secret, is_new = variants.read_secret(tmp_path / "instructor.key")
    assert is_new
    assert variants.read_secret(tmp_path / "instructor.key") == (secret, False)
    assert len(secret) == 64
    (tmp_path / "short.key").write_text("short")
    with pytest.raises(SpecError, match="holds 5 bytes"):
        variants.read_secret(tmp_path / "short.key")


def test_a_notebook_without_a_world_says_what_is_missing(tmp_path):
    from nbformat.v4 import new_notebook

    notebooks.write_notebook(new_notebook(), tmp_path / "99_x.ipynb")
    with pytest.raises(SpecError, match="its metadata name no world"):
        variants.write_variants(tmp_path / "99_x.ipynb", ["s1"], tmp_path / "out", key=SECRET)


def test_an_unknown_student_has_no_key(written):
    with pytest.raises(DataError, match="c1 has no variant"):
        variants.variant_keys(written, "c1")


# The course's own notebooks ---------------------------------------------------------------------

OWN = {
    path.stem[:2]: path for path in (ROOT / "notebooks").glob("*.ipynb") if path.stem[:2] in WITH
}


def run_exercise(number, drafts, monkeypatch, capsys):
    """Run the own-firm cell of a notebook in this process; return its key and what was said."""
    import numpy as np
    import pandas as pd
    from scipy import stats

    import crmlab as crm
    from crmlab import chains

    monkeypatch.setenv(keyring.DRAFTS_VARIABLE, str(drafts))
    names = {"np": np, "pd": pd, "stats": stats, "crm": crm, "chains": chains}
    cells = notebooks.read_notebook(OWN[number]).cells
    start = f"# Exercise {number}.6"
    exec(next(c.source for c in cells if c.source.startswith(start)), names)
    return keyring.load_keys(drafts / f"{number}.json")[f"{number}.6"], capsys.readouterr().out


@pytest.fixture(scope="module")
def branches(tmp_path_factory):
    """Data and truth of two students' branches."""
    from crmlab.generators.variants import own_tables
    from crmlab.tables import write_tables

    folder = tmp_path_factory.mktemp("branches")
    for name in ("a17", "c3"):
        tables = own_tables(assignments.own_branch(), name, firm.CUSTOMERS, key=SECRET)
        write_tables(tables, folder / name / "data", truth_folder=folder / name / "truth")
    return folder


@pytest.mark.parametrize("number", WITH)
def test_an_exercise_of_the_course_works_on_every_firm(
    number, branches, tmp_path, monkeypatch, capsys
):
    keys = []
    for name in ("a17", "c3", None):
        place = branches / name if name else tmp_path
        monkeypatch.chdir(place)
        key, printed = run_exercise(number, tmp_path / str(name), monkeypatch, capsys)
        assert f"{number}.6: right." in printed
        keys.append(key.accepted)
    assert len(set(keys)) == 3
    stored = keyring.load_keys(keyring.keys_folder() / f"{number}.json")
    assert stored[f"{number}.6"].accepted == keys[2]


@pytest.mark.parametrize("number", WITH)
def test_its_notebook_is_handed_out_with_the_world_that_it_uses(number):
    variant = notebooks.read_notebook(OWN[number]).metadata["crmlab"]["variant"]
    assert variant == {"world": firm.WORLD, "customers": firm.CUSTOMERS}


def test_a_student_s_own_firm_comes_without_its_truth(branches, tmp_path):
    data = tmp_path / "a17" / "data"
    data.parent.mkdir()
    data.symlink_to(branches / "a17" / "data", target_is_directory=True)
    found = firm.own_firm(tmp_path / "a17")
    assert found.truth is None
    assert found.provenance["student_id"] == "a17"
    assert firm.own_firm(branches / "a17").truth is not None
    assert "student_id" not in firm.own_firm(tmp_path).provenance
