"""What every page is made of: numbers as they are printed, tables."""

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crmlab.report import numbers, rounding
from crmlab.report.parts import tabulate


def test_monte_carlo_error_of_independent_draws():
    rng = np.random.default_rng(7)
    draws = xr.DataArray(rng.normal(0, 2, (2, 500, 300)), dims=("chain", "draw", "customer_id"))
    error = rounding.monte_carlo_error(draws)
    assert np.sqrt((error**2).mean()) == pytest.approx(2 / math.sqrt(1000), rel=0.03)


def test_draws_that_move_slowly_have_larger_errors():
    rng = np.random.default_rng(8)
    steps = rng.normal(size=(2, 500, 50))
    slow = np.empty_like(steps)
    slow[:, 0] = steps[:, 0]
    for t in range(1, 500):
        slow[:, t] = 0.9 * slow[:, t - 1] + math.sqrt(1 - 0.81) * steps[:, t]
    errors = [
        rounding.monte_carlo_error(xr.DataArray(x, dims=("chain", "draw", "customer_id"))).mean()
        for x in (steps, slow)
    ]
    assert errors[1] > 2 * errors[0]


@pytest.mark.parametrize(
    ("error", "decimals"), [(0.0009, 3), (0.001, 3), (0.0011, 2), (0.5, 0), (2.0, -1), (20.0, -2)]
)
def test_the_last_digit_is_worth_the_error(error, decimals):
    assert rounding.supported_decimals([error]) == decimals


def test_rounding_leaves_no_minus_zero_and_no_idle_decimals():
    draws = xr.DataArray(np.full((2, 20, 2), -1e-9), dims=("chain", "draw", "customer_id"))
    assert not np.signbit(rounding.round_by_error(draws)).any()
    wide = draws + xr.DataArray(np.linspace(100, 140, 20), dims="draw")
    assert rounding.round_by_error(wide).dtype == np.int64


def test_signs_are_real_minus_signs_and_zero_has_none():
    assert numbers.signed_percent(-0.121, 1) == "\N{MINUS SIGN}12.1%"
    assert numbers.signed_percent(0.121) == "+12%"
    assert (numbers.signed(-0.04), numbers.signed(0.06)) == ("0.0", "+0.1")
    assert numbers.span(-3, 1200) == "\N{MINUS SIGN}3 to 1,200"


def test_a_table_has_a_head_for_each_cell_and_a_row_for_each_row():
    frame = pd.DataFrame({"n": [1000, 2], "share": [0.5, 0.25]}, index=["a", "b"])
    columns = {
        "Name": lambda row: row.name,
        "n": lambda row: numbers.number(row["n"]),
        "share": lambda row: numbers.percent(row["share"]),
    }
    table = tabulate("anchor", "Caption.", frame, columns, best=(1,))
    assert list(table.head) == ["Name", "n", "share"]
    assert table.rows == [["a", "1,000", "50%"], ["b", "2", "25%"]]
    assert table.best == (1,)
