import hashlib
import importlib.util
import re
import zipfile
from pathlib import Path

import pytest

from crmlab.datasets import dataset_path, load_cdnow_sample, load_cdnow_summary
from crmlab.errors import DataError

FOLDER = Path(__file__).resolve().parents[1] / "datasets" / "cdnow_sample"


@pytest.fixture(scope="module")
def make():
    """The module that remakes the data; it is no part of the package."""
    spec = importlib.util.spec_from_file_location("make_cdnow_sample", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sample_is_what_the_card_says():
    orders = load_cdnow_sample()
    assert list(orders) == ["customer_id", "date", "amount", "quantity"]
    assert len(orders) == 6919
    assert sorted(orders["customer_id"].unique()) == list(range(1, 2358))
    assert str(orders["date"].min().date()) == "1997-01-01"
    assert str(orders["date"].max().date()) == "1998-06-30"
    assert (orders["amount"] == 0).sum() == 8
    assert len(orders.drop_duplicates(["customer_id", "date"])) == 6696
    assert len(load_cdnow_summary()) == 2357


@pytest.mark.parametrize("name", ["orders.csv", "summary.csv", "LICENSE.txt"])
def test_the_files_are_those_of_the_card(name):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = re.search(rf"\| `{re.escape(name)}` \| `([0-9a-f]{{64}})` \|", card)
    assert listed[1] == hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


def test_the_files_come_out_of_a_wheel(make, tmp_path):
    """The carrier's own lines: fixed width, DOS line ends, trailing blanks."""
    with zipfile.ZipFile(tmp_path / "carrier.whl", "w") as carrier:
        carrier.writestr(
            make.ORDERS, " 00004 0001 19970101  2   29.33\r\n 19339 2357 19980630 12 7.96\r\n"
        )
        carrier.writestr(make.SUMMARY, "ID,x,t_x,T,zbar\r\n1,2,30.43,38.86,22.35\r\n")
        carrier.writestr(make.LICENCE, "The MIT License (MIT) \n\nCopyright\n")
    make.main(tmp_path / "carrier.whl", tmp_path)
    assert (tmp_path / "orders.csv").read_bytes() == (
        b"customer_id,date,quantity,amount\n1,1997-01-01,2,29.33\n2357,1998-06-30,12,7.96\n"
    )
    assert (tmp_path / "summary.csv").read_bytes() == b"ID,x,t_x,T,zbar\n1,2,30.43,38.86,22.35\n"
    assert (tmp_path / "LICENSE.txt").read_bytes() == b"The MIT License (MIT)\n\nCopyright\n"


def test_an_unknown_data_set_is_refused():
    with pytest.raises(DataError, match=r"no data set file 'cdnow/orders\.csv'"):
        dataset_path("cdnow/orders.csv")
