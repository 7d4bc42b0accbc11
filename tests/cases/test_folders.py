"""Files and folders of others: what is overwritten, deleted or run, and must not be."""

import importlib.util
import os
import re
import sys
import tempfile

import pytest

from crmlab.cli import analyst
from crmlab.reading import ReadingOptions, read_sales
from tests.cases.faults import fault, need

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


@fault("`simulate` replaces an existing orders.csv, its default")
def test_simulate_replaces_no_file(desk):
    (desk / "orders.csv").write_bytes(MINE)
    code = analyst.main(["simulate", "--customers", "3", "--weeks", "4"])
    assert (desk / "orders.csv").read_bytes() == MINE
    assert code == analyst.Code.USAGE


@fault("`score F --out F` replaces its own input")
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
