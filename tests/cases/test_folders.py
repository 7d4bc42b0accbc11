"""Files and folders of others: what is overwritten, deleted or run, and must not be."""

import importlib.util
import os
import re
import sys
import tempfile

import pytest

from crmlab.cli import analyst
from crmlab.reading import ReadingOptions, read_sales
from tests.cases.faults import need

EVIL = 'import pathlib\npathlib.Path("PWNED").write_text("module executed on import")\n'
MINE = b"customer,date,amount\nREAL,2024-01-03,5.5\n"


@pytest.fixture
def edited_fit(desk, monkeypatch):
    """05: the saved fit of a report names a module that lies in the working folder."""
    (desk / "evilmod.py").write_text(EVIL)
    monkeypatch.syspath_prepend(desk)  # as `python -m crmlab` has it
    found = importlib.util.find_spec("evilmod")
    need(found and found.origin == str(desk / "evilmod.py"), "the module can be imported")
    need("evilmod" not in sys.modules and not (desk / "PWNED").exists(), "and was not yet")
    path = desk / "rep/fit/model.json"
    text, edits = re.subn(r'"crmlab\.[\w.]+:Poisson"', '"evilmod:X"', path.read_text())
    need(edits == 1, "the fit names its channel")
    path.write_text(text)
    yield desk
    sys.modules.pop("evilmod", None)


def test_a_saved_fit_imports_nothing_of_others(edited_fit):
    code = analyst.main(["score", "o.csv", "--report", "rep"])
    assert not (edited_fit / "PWNED").exists()
    assert code == analyst.Code.DATA


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """06: the temporary folder, and in it a folder of somebody that is named as crmlab's are."""
    home = tmp_path / "temporary"
    other = home / "crmlab-4194999-my-orders"  # no process has so high a number
    other.mkdir(parents=True)
    (other / "precious.txt").write_text("mine")
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    need(tempfile.gettempdir() == str(home), "it is the temporary folder")
    with pytest.raises(ProcessLookupError):
        os.kill(4194999, 0)
    return home


@pytest.mark.skipif(os.name != "posix", reason="asks whether a process lives")
def test_a_folder_that_crmlab_did_not_make_stays(temporary, tmp_path):
    (tmp_path / "o.csv").write_bytes(MINE)
    sales = read_sales(tmp_path / "o.csv", ReadingOptions(large=True))
    need(sales.orders.disk.folder.parent == temporary, "the engine works there")
    assert (temporary / "crmlab-4194999-my-orders/precious.txt").exists()


def test_simulate_replaces_no_file(desk):
    (desk / "orders.csv").write_bytes(MINE)
    code = analyst.main(["simulate", "--customers", "3", "--weeks", "4"])
    assert (desk / "orders.csv").read_bytes() == MINE
    assert code == analyst.Code.USAGE


def test_score_replaces_no_file(desk):
    before = (desk / "o.csv").read_bytes()
    need(b"customer_id,date" in before, "the orders are there")
    code = analyst.main(["score", "o.csv", "--report", "rep", "--out", "o.csv"])
    assert (desk / "o.csv").read_bytes() == before
    assert code == analyst.Code.USAGE


def test_a_report_replaces_no_folder_of_others(desk):
    app = desk / "webapp"
    app.mkdir()
    (app / "manifest.json").write_text('{"name": "my app", "start_url": "/"}')
    (app / "index.html").write_text("precious")
    code = analyst.main(["report", "o.csv", "--sample", "100", "--out", "webapp"])
    assert sorted(path.name for path in app.iterdir()) == ["index.html", "manifest.json"]
    assert (app / "index.html").read_text() == "precious"
    assert code == analyst.Code.USAGE


def test_a_report_that_holds_other_files_is_not_replaced(desk):
    (desk / "rep/notes.txt").write_text("precious")
    code = analyst.main(["report", "o.csv", "--sample", "100", "--out", "rep"])
    assert (desk / "rep/notes.txt").exists()
    assert code == analyst.Code.USAGE


# --- the same kinds, in other forms ---------------------------------------------------------------


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


def test_force_says_what_goes_before_it_goes(desk, capsys):
    (desk / "orders.csv").write_bytes(MINE)
    made = ["simulate", "--customers", "3", "--weeks", "4"]
    assert analyst.main([*made, "--force"]) == analyst.Code.FINE
    assert f"--force: orders.csv ({len(MINE)} bytes) goes" in said(capsys)
    assert (desk / "orders.csv").read_bytes() != MINE
    (desk / "scores.csv").write_bytes(MINE)
    scored = ["score", "o.csv", "--report", "rep", "--out", "scores.csv"]
    assert analyst.main(scored) == analyst.Code.USAGE
    assert "scores.csv exists and stays as it is" in said(capsys)
    assert analyst.main([*scored, "--force"]) == analyst.Code.FINE
    assert (desk / "scores.csv").read_bytes().startswith(b"customer_id,p_")


def test_simulate_replaces_none_of_its_files_and_writes_none_of_the_others(desk, capsys):
    (desk / "beside").mkdir()
    for name in ("actions", "surveys"):
        (desk / f"beside/{name}.csv").write_bytes(MINE)
    made = ["simulate", "--customers", "3", "--weeks", "4", "--with-files", "beside"]
    assert analyst.main(made) == analyst.Code.USAGE
    assert sorted(path.name for path in (desk / "beside").iterdir()) == [
        "actions.csv",
        "surveys.csv",
    ]
    assert not (desk / "orders.csv").exists()
    err = said(capsys)
    assert "beside/actions.csv exists" in err
    assert "beside/surveys.csv exists" in err


def test_the_file_of_orders_is_not_replaced_even_by_force(desk):
    before = (desk / "o.csv").read_bytes()
    (desk / "link.csv").symlink_to("o.csv")
    for out in ("o.csv", "./o.csv", "link.csv", "rep/../o.csv"):
        words = ["score", "o.csv", "--report", "rep", "--out", out, "--force"]
        assert analyst.main(words) == analyst.Code.USAGE
    assert (desk / "o.csv").read_bytes() == before


@pytest.mark.parametrize("out", ["rep", "o.csv/scores.csv", os.devnull])
def test_what_no_file_can_be_is_refused_before_the_scoring(desk, capsys, out):
    words = ["score", "o.csv", "--report", "rep", "--out", out, "--force"]
    assert analyst.main(words) == analyst.Code.USAGE
    err = said(capsys)
    assert f"{out} " in err
    assert "scoring" not in err


@pytest.mark.parametrize("command", ["report", "fit"])
def test_a_place_that_cannot_be_written_is_refused_before_the_reading(desk, capsys, command):
    assert analyst.main([command, "o.csv", "--out", "o.csv/below/out"]) == analyst.Code.USAGE
    err = said(capsys)
    assert "cannot be written" in err
    assert "rows are orders" not in err


def test_force_replaces_an_older_report_and_lists_what_goes_with_it(desk, capsys):
    (desk / "rep/mine").mkdir()
    (desk / "rep/mine/notes.txt").write_text("notes")
    words = ["report", "o.csv", "--sample", "100", "--out", "rep"]
    assert analyst.main(words) == analyst.Code.USAGE
    assert "also holds mine, mine/notes.txt" in said(capsys)
    assert analyst.main([*words, "--force"]) == analyst.Code.FINE
    assert "--force: rep/mine/notes.txt (5 bytes) goes" in said(capsys)
    assert not (desk / "rep/mine").exists()


def test_force_replaces_no_folder_without_the_mark(desk):
    """A repository, the folder of the orders, a link to either: not even by force."""
    (desk / "repository/.git").mkdir(parents=True)
    (desk / "repository/.git/HEAD").write_text("ref: refs/heads/main")
    (desk / "link").symlink_to("repository")
    for out in ("repository", "link", ".", "..", "repository/.git"):
        words = ["report", "o.csv", "--sample", "100", "--out", out, "--force"]
        assert analyst.main(words) == analyst.Code.USAGE
    assert (desk / "repository/.git/HEAD").exists()
    assert (desk / "o.csv").exists()


def test_force_does_not_delete_what_the_report_is_made_from(desk, capsys):
    (desk / "o.csv").rename(desk / "rep/o.csv")
    words = ["report", "rep/o.csv", "--sample", "100", "--out", "rep", "--force"]
    assert analyst.main(words) == analyst.Code.USAGE
    assert "rep holds o.csv, which the report is made from" in said(capsys)
    assert (desk / "rep/o.csv").exists()


@pytest.mark.skipif(os.name != "posix", reason="other systems have other permissions")
def test_what_tells_of_customers_is_private(desk):
    words = ["score", "o.csv", "--report", "rep", "--out", "scores.csv"]
    assert analyst.main(words) == analyst.Code.FINE
    made = [desk / "scores.csv", desk / "rep", *(desk / "rep").rglob("*")]
    assert {"customers.csv", "quality.json", "report.html", "posterior.nc"} < {p.name for p in made}
    assert [str(path) for path in made if path.stat().st_mode & 0o077] == []


def test_the_fit_of_a_report_that_was_edited_scores_or_is_refused(desk, capsys):
    path = desk / "rep/fit/model.json"
    said_before = path.read_text()
    for old, new in (
        (r'"names": \[[^]]*\]', '"names": ["a"]'),
        (r'"model"', '"other"'),
        (r'"name": "\w+"', '"name": "x"'),
        (r'"class": "[^"]+"', '"class": 7'),
    ):
        text, edits = re.subn(old, new, said_before)
        need(edits, f"{old} was edited")
        path.write_text(text)
        assert analyst.main(["score", "o.csv", "--report", "rep"]) == analyst.Code.DATA
        assert "crmlab: " in said(capsys)
