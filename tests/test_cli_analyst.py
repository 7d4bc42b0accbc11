"""The analyst's commands: what they print, where, and what they tell a script."""

import pandas as pd
import pytest

from crmlab.analyst import fitting
from crmlab.cli import analyst
from tests.test_analyst_report import hand_made


@pytest.fixture
def orders(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "fit", hand_made)
    monkeypatch.chdir(tmp_path)
    assert (
        analyst.main(["simulate", "--out", "orders.csv", "--customers", "120", "--seed", "2"]) == 0
    )
    return tmp_path / "orders.csv"


def test_help_teaches_and_lists_the_codes(capsys):
    assert analyst.main(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for word in ("report", "simulate", "fit", "score", "doctor", "glossary", "Exit codes"):
        assert word in said
    assert analyst.main(["report", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "never dropped in silence" in said
    assert "--date-order" in said


def test_a_report_shows_its_guess_apart_from_its_result(orders, capsys):
    capsys.readouterr()
    assert analyst.main(["report", "orders.csv", "--out", "out", "--sample", "100"]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == "out/report.html"
    assert "customer column" in err
    assert "rows are orders" in err
    again = analyst.main(["report", "--from", "out/manifest.json", "--out", "again"])
    assert again == 0
    assert (orders.parent / "out/customers.csv").read_bytes() == (
        orders.parent / "again/customers.csv"
    ).read_bytes()
    capsys.readouterr()
    assert analyst.main(["score", "orders.csv", "--report", "out"]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("customer_id,p_")
    assert len(out.splitlines()) == 121


def test_simulated_orders_are_the_same_for_a_seed(orders):
    assert analyst.main(["simulate", "--out", "b.csv", "--customers", "120", "--seed", "2"]) == 0
    assert orders.read_bytes() == (orders.parent / "b.csv").read_bytes()
    assert pd.read_csv(orders)["customer_id"].nunique() == 120


def test_codes_for_scripts(orders, capsys, monkeypatch):
    folder = orders.parent
    (folder / "empty.csv").write_text("")
    assert analyst.main(["report", "empty.csv"]) == analyst.Code.DATA
    assert "empty.csv: the file is empty" in capsys.readouterr().err
    assert analyst.main(["report"]) == analyst.Code.USAGE
    assert analyst.main(["report", "orders.csv", "--seed", "minus"]) == analyst.Code.DATA
    assert analyst.main(["nothing"]) == analyst.Code.USAGE
    assert analyst.main(["report", "orders.csv", "--decimal", ";"]) == analyst.Code.DATA
    assert analyst.main(["report", "orders.csv", "--no-such-option"]) == analyst.Code.USAGE
    assert analyst.main(["score", "orders.csv"]) == analyst.Code.USAGE
    assert analyst.main(["glossary", "stage"]) == 0
    assert analyst.main(["glossary", "zzz"]) == analyst.Code.BROKEN
    key = ["--pseudonymise", "out/my.key", "--out", "out"]
    assert analyst.main(["report", "orders.csv", *key]) == analyst.Code.USAGE
    monkeypatch.setattr(
        fitting, "fit", lambda *given, **options: hand_made(*given, problems=["R-hat is 2"])
    )
    assert analyst.main(["report", "orders.csv", "--out", "bad"]) == analyst.Code.UNCONVERGED
    assert (folder / "bad/report.html").exists()


def test_ctrl_c_leaves_nothing(orders, capsys, monkeypatch):
    def stop(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "fit", stop)
    before = sorted(orders.parent.iterdir())
    assert analyst.main(["report", "orders.csv", "--out", "out"]) == analyst.Code.STOPPED
    assert "Nothing was written" in capsys.readouterr().err
    assert sorted(orders.parent.iterdir()) == before


def test_what_a_file_says_is_no_command_of_the_console(orders, capsys):
    frame = pd.read_csv(orders).rename(columns={"amount": "[red]amount\x1b[31m"})
    frame.to_csv("odd.csv", index=False)
    assert analyst.main(["fit", "odd.csv", "--out", "fitted"]) == 0
    err = capsys.readouterr().err
    assert "\x1b[31m" not in err
    assert "[red]amount" in err


@pytest.mark.parametrize("route", ["--small", "--large"])
@pytest.mark.parametrize("n_orders", [1, 9])
def test_one_customer_carries_no_stages_and_leaves_no_folder(route, n_orders, tmp_path, capsys):
    rows = [f"a,2024-0{month}-03,3.50" for month in range(1, n_orders + 1)]
    (tmp_path / "orders.csv").write_text("\n".join(["customer,date,amount", *rows]) + "\n")
    words = ["report", str(tmp_path / "orders.csv"), "--out", str(tmp_path / "out"), route]
    assert analyst.main(words) == analyst.Code.DATA
    err = " ".join(capsys.readouterr().err.split())
    assert f"{n_orders} of {n_orders} rows are orders" in err
    assert "cannot carry a model of stages" in err
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]
