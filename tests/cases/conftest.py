"""A desk: an invented shop's orders and the report on them, made once and copied for each test.

Fits are made by hand, as in `tests/test_analyst_report.py`: what is tested here is what stands
around them.
"""

import shutil

import pytest

from crmlab.analyst import fitting
from crmlab.cli import analyst
from tests.cases.faults import need
from tests.test_analyst_report import hand_made


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    orders, report = str(folder / "o.csv"), str(folder / "rep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "fit", hand_made)
        simulate = ["simulate", "--out", orders, "--customers", "120", "--seed", "2"]
        need(analyst.main(simulate) == 0, "orders of an invented shop")
        need(analyst.main(["report", orders, "--out", report, "--sample", "100"]) == 0, "a report")
        need(analyst.main(["score", orders, "--report", report]) == 0, "which scores its orders")
    return folder


@pytest.fixture
def desk(made, tmp_path, monkeypatch, capsys):
    """The working folder, with `o.csv` and its report `rep`."""
    folder = tmp_path / "desk"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(fitting, "fit", hand_made)
    capsys.readouterr()
    return folder
