import dataclasses
import itertools
import math
import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from crmlab.errors import DataError, SpecError
from crmlab.tables import CustomerTables, split_holdout, to_panel
from tests.table_strategies import CHANNELS, N_DAYS, WINDOW_START, customer_tables

ONE = pd.DataFrame({"customer_id": [1]})
VISIT = pd.DataFrame({"customer_id": [1], "period": [0], "channel": ["visits"]})
quick = settings(deadline=None, max_examples=40)


class Untouchable:
    """A truth that nobody may read."""

    def _refuse(self, *args):
        raise AssertionError("the truth was read")

    __getitem__ = __iter__ = __len__ = __bool__ = __eq__ = __repr__ = __str__ = __contains__ = (
        _refuse
    )
    __hash__ = None
    keys = values = items = get = copy = _refuse


def freq_of(tables):
    return "W" if tables.is_dated else "M"


# What a cell holds --------------------------------------------------------------------------------


@pytest.fixture
def firm():
    """Two customers of an invented shop; Ada is there for four months, Ben from the second on."""
    return CustomerTables(
        pd.DataFrame({"customer_id": ["ada", "ben"], "start": [0, 1], "segment": ["b2c", None]}),
        events=pd.DataFrame(
            {
                "customer_id": ["ada", "ada", "ada", "ben"],
                "period": [0, 0, 2, 3],
                "channel": ["visits", "visits", "visits", "spend"],
                "value": [1.0, 2.0, 1.0, -9.5],
            }
        ),
        surveys=pd.DataFrame(
            {
                "customer_id": ["ada", "ada", "ben"],
                "period": [1, 1, 2],
                "channel": "satisfaction",
                "value": [4, 5, None],
            }
        ),
        cases=pd.DataFrame(
            {"customer_id": ["ben", "ben"], "period": [1, 1], "channel": "complaints"}
        ),
        labels=pd.DataFrame(
            {
                "customer_id": ["ada", "ada"],
                "period": [0, 3],
                "channel": "stage",
                "stage": ["new", "loyal"],
            }
        ),
        actions=pd.DataFrame({"customer_id": ["ada"], "period": [3], "action": ["mail"]}),
        window=(0, 3),
        units={"spend": "EUR"},
    )


def test_each_table_aggregates_in_its_own_way(firm):
    panel = to_panel(firm, freq="M")
    nan = np.nan
    expected = {
        "visits": [[3, 0, 1, 0], [nan, 0, 0, 0]],
        "spend": [[0, 0, 0, 0], [nan, 0, 0, -9.5]],
        "satisfaction": [[nan, 4.5, nan, nan], [nan, nan, nan, nan]],
        "complaints": [[0, 0, 0, 0], [nan, 2, 0, 0]],
        "stage": [[1, nan, nan, 0], [nan, nan, nan, nan]],
        "mail": [[0, 0, 0, 1], [nan, 0, 0, 0]],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(panel[name], values, err_msg=name)
    assert panel["observed"].values.tolist() == [[True] * 4, [False, True, True, True]]


def test_the_panel_says_what_it_holds(firm):
    panel = to_panel(firm, freq="M")
    assert dict(panel.sizes) == {"customer_id": 2, "period": 4}
    assert panel.attrs == {
        "freq": "M",
        "window_start": 0,
        "window_end": 3,
        "partial_periods": "",
    }
    assert panel["spend"].attrs == {"kind": "total", "table": "events", "unit": "EUR"}
    assert panel["satisfaction"].attrs == {"kind": "mean", "table": "surveys"}
    assert panel["stage"].attrs["categories"] == ["loyal", "new"]
    assert panel["mail"].attrs["table"] == "actions"
    assert panel["segment"].dims == ("customer_id",)
    assert panel["segment"].attrs["categories"] == ["b2c"]
    np.testing.assert_array_equal(panel["segment"], [0, np.nan])


def test_channels_can_be_chosen(firm):
    panel = to_panel(firm, freq="M", channels=["complaints", "spend"])
    assert list(panel.data_vars) == ["complaints", "spend", "segment", "observed"]
    full = to_panel(firm, freq="M")
    for name in panel.data_vars:
        xr.testing.assert_identical(panel[name], full[name])
    with pytest.raises(
        SpecError, match=r"to_panel: `channels` names 'visit', but the tables have 'spend'"
    ):
        to_panel(firm, freq="M", channels=["visit"])


def test_a_panel_survives_a_netcdf_file(firm, tmp_path):
    panel = to_panel(firm, freq="M")
    panel.to_netcdf(tmp_path / "panel.nc", engine="h5netcdf")
    loaded = xr.load_dataset(tmp_path / "panel.nc", engine="h5netcdf")
    xr.testing.assert_equal(loaded, panel)
    for name in panel.data_vars:
        attrs = {"categories": [], **loaded[name].attrs}
        # netCDF unwraps a list of one.
        attrs["categories"] = list(np.atleast_1d(attrs["categories"]))
        assert attrs == {"categories": [], **panel[name].attrs}


def test_one_customer_without_any_record():
    panel = to_panel(CustomerTables(ONE, window=(3, 5)), freq="Q")
    assert list(panel.data_vars) == ["observed"]
    assert panel["observed"].values.tolist() == [[True] * 3]
    assert panel["period"].values.tolist() == [3, 4, 5]


def test_channels_that_exist_without_records_are_silent_or_missing():
    empty = pd.DataFrame(
        {
            "customer_id": pd.Series([], dtype=int),
            "period": pd.Series([], dtype=int),
            "channel": pd.Categorical([], categories=["visits"]),
        }
    )
    asked = empty.assign(value=[], channel=pd.Categorical([], categories=["satisfaction"]))
    panel = to_panel(CustomerTables(ONE, empty, asked, window=(0, 1)), freq="M")
    assert panel["visits"].values.tolist() == [[0, 0]]
    assert np.isnan(panel["satisfaction"]).all()


def test_the_last_label_of_a_period_counts():
    labels = pd.DataFrame(
        {
            "customer_id": 1,
            "date": ["2024-01-31 18:00", "2024-01-03", "2024-01-31 17:00", "2024-02-01"],
            "channel": "stage",
            "stage": ["leaving", "new", "active", None],
        }
    )
    panel = to_panel(CustomerTables(ONE, labels=labels), freq="M")
    categories = panel["stage"].attrs["categories"]
    assert categories[int(panel["stage"][0, 0])] == "leaving"
    assert np.isnan(panel["stage"][0, 1])


def test_stages_keep_the_order_of_their_categories():
    stages = pd.Categorical(["active"], categories=["dormant", "active"])
    labels = pd.DataFrame({"customer_id": 1, "period": [0], "channel": "stage", "stage": stages})
    panel = to_panel(CustomerTables(ONE, labels=labels), freq="M")
    assert panel["stage"].attrs["categories"] == ["dormant", "active"]
    assert panel["stage"].values.tolist() == [[1]]


# Periods of dated tables --------------------------------------------------------------------------


def dated(days, window=None):
    events = pd.DataFrame({"customer_id": 1, "date": days, "channel": "visits"})
    return CustomerTables(ONE, events, window=window)


def test_weeks_count_from_the_first_day_of_the_window():
    """1997-01-01 is a Wednesday: week 39 of CDNOW ends on 1997-09-30, week 78 on 1998-06-30."""
    days = ["1997-01-01", "1997-01-07", "1997-01-08", "1997-09-30", "1997-10-01", "1998-06-30"]
    panel = to_panel(dated(days), freq="W")
    assert panel.sizes["period"] == 78
    assert np.flatnonzero(panel["visits"][0]).tolist() == [0, 1, 38, 39, 77]
    assert panel["visits"].values[0, 0] == 2
    assert panel["period"].values[39] == np.datetime64("1997-10-01")
    assert panel.attrs["partial_periods"] == ""


def test_an_anchored_week_ends_where_it_says():
    panel = to_panel(dated(["1997-01-01", "1997-01-05", "1997-01-06"]), freq="W-SUN")
    assert panel["visits"].values.tolist() == [[2, 1]]
    assert panel["period"].values[0] == np.datetime64("1996-12-30")
    assert panel.attrs["partial_periods"] == "1996-12-30, 1997-01-06"


@pytest.mark.parametrize(
    ("freq", "n_periods", "partial"),
    [
        ("D", 60, ""),
        ("M", 3, "2024-01-01, 2024-03-01"),
        ("Q", 1, "2024-01-01"),
        ("Q-JAN", 2, "2023-11-01, 2024-02-01"),
        ("Y", 1, "2024-01-01"),
    ],
)
def test_calendar_periods(freq, n_periods, partial):
    panel = to_panel(dated(["2024-01-15", "2024-03-14"]), freq=freq)
    assert panel.sizes["period"] == n_periods
    assert panel["visits"].sum() == 2
    assert panel.attrs["partial_periods"] == partial


def test_the_last_day_of_a_window_is_whole():
    tables = dated(["2024-01-31 23:59:59"], window=("2024-01-01", "2024-01-31"))
    assert to_panel(tables, freq="M")["visits"].values.tolist() == [[1]]


@pytest.mark.parametrize("freq", ["ME", "2W", "B", "h", "week", "Q-ABC", "", None, 7])
def test_a_wrong_freq_of_dates_is_refused(freq):
    with pytest.raises(SpecError, match=r"to_panel: `freq` must be a period alias"):
        to_panel(dated(["2024-01-15"]), freq=freq)


def test_integer_periods_are_not_rebinned():
    tables = CustomerTables(ONE, VISIT, window=(0, 3))
    for freq in ("D", "Y", "semester"):
        panel = to_panel(tables, freq=freq)
        assert panel["period"].values.tolist() == [0, 1, 2, 3]
        assert panel.attrs["freq"] == freq
    with pytest.raises(SpecError, match="must be text that says how long a period is"):
        to_panel(tables, freq=None)


# Properties ---------------------------------------------------------------------------------------


@quick
@given(customer_tables())
def test_totals_are_conserved(tables):
    panel = to_panel(tables, freq=freq_of(tables))
    for form, frame in tables.records():
        for name in CHANNELS[form.name]:
            rows = frame[frame[form.key] == name]
            if form.name == "cases":
                assert panel[name].sum() == len(rows)
            elif form.kind == "total":
                total = math.fsum(rows["value"])
                tolerance = 1e-12 * math.fsum(rows["value"].abs())
                assert (
                    abs(math.fsum(panel[name].values[panel["observed"].values]) - total)
                    <= tolerance
                )


@pytest.mark.bits
@quick
@given(customer_tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(tables, random):
    shuffled = {
        form.name: frame.iloc[random.sample(range(len(frame)), len(frame))]
        for form, frame in tables.records()
    }
    freq = freq_of(tables)
    other = dataclasses.replace(tables, **shuffled)
    xr.testing.assert_identical(to_panel(other, freq=freq), to_panel(tables, freq=freq))


@pytest.mark.bits
@pytest.mark.parametrize("table", ["events", "surveys"])
def test_the_order_of_rows_does_not_show_in_the_last_digit(table):
    """0.1 + 0.2 + 0.3 differs from 0.3 + 0.2 + 0.1."""
    rows = VISIT.loc[[0] * 3].assign(value=[0.1, 0.2, 0.3])
    cells = [
        to_panel(CustomerTables(ONE, **{table: rows.iloc[list(order)]}), freq="M")["visits"].item()
        for order in itertools.permutations(range(3))
    ]
    assert len(set(cells)) == 1


@quick
@given(customer_tables())
def test_a_new_customer_changes_nobody(tables):
    """The newcomer has one record in every table; the others' rows stay, to the last bit."""
    text = isinstance(tables.customers["customer_id"].dtype, pd.StringDtype)
    newcomer = "a newcomer" if text else 2**50
    row = tables.customers.iloc[[0]].assign(customer_id=newcomer)
    customers = pd.concat([row, tables.customers], ignore_index=True)
    copies = {
        form.name: pd.concat([frame.iloc[:1].assign(customer_id=newcomer), frame])
        for form, frame in tables.records()
    }
    copies = {name: frame for name, frame in copies.items() if _first_fits(tables, frame)}
    freq = freq_of(tables)
    panel = to_panel(dataclasses.replace(tables, customers=customers, **copies), freq=freq)
    before = to_panel(tables, freq=freq)
    assert panel.sizes["customer_id"] == before.sizes["customer_id"] + 1
    xr.testing.assert_equal(panel.isel(customer_id=slice(1, None)), before)


def _first_fits(tables, frame):
    """Whether the copied record lies inside the window that the newcomer copied."""
    if frame.empty or "start" not in tables.customers:
        return True
    first = tables.customers.iloc[0]
    when = frame.iloc[0]["date" if tables.is_dated else "period"]
    return first["start"] <= when <= first["end"]


@quick
@given(customer_tables(), st.data())
def test_splitting_then_panel_is_panel_then_cutting(tables, data):
    first, last = tables.window
    if tables.is_dated:
        freq = data.draw(st.sampled_from(["D", "W", "M"]))
        starts = to_panel(tables, freq=freq)["period"].values[1:]
        cutoff = pd.Timestamp(data.draw(st.sampled_from(list(starts))))
    elif first == last:
        return
    else:
        freq, cutoff = "M", data.draw(st.integers(first + 1, last))
    panel = to_panel(tables, freq=freq)
    sides = panel["period"].values < np.array(cutoff, dtype=panel["period"].dtype)
    if not all(panel["observed"].values[:, side].any() for side in (sides, ~sides)):
        with pytest.raises(SpecError, match="leaves no customer"):
            split_holdout(tables, cutoff=cutoff)
        return
    parts = split_holdout(tables, cutoff=cutoff)
    for part, side in zip(parts, (sides, ~sides), strict=True):
        cut = panel.isel(period=side)
        cut = cut.isel(customer_id=cut["observed"].any("period").values)
        xr.testing.assert_equal(to_panel(part, freq=freq), cut)


@quick
@given(customer_tables())
def test_cells_are_known_exactly_where_they_should_be(tables):
    panel = to_panel(tables, freq=freq_of(tables))
    observed = panel["observed"].values
    for name, values in panel.data_vars.items():
        if values.attrs.get("kind") == "total":
            np.testing.assert_array_equal(~np.isnan(values.values), observed, err_msg=name)
        elif values.dims == ("customer_id", "period") and name != "observed":
            assert not (~np.isnan(values.values) & ~observed).any(), name


# The truth ----------------------------------------------------------------------------------------


def test_the_truth_is_never_read():
    tables = CustomerTables(ONE, VISIT, window=(0, 3), truth=Untouchable())
    assert to_panel(tables, freq="M")["visits"].sum() == 1
    assert "Untouchable" not in repr(tables)
    for part in split_holdout(tables, cutoff=2):
        assert part.truth is None


# Splitting ----------------------------------------------------------------------------------------


def test_customers_stay_where_their_window_reaches():
    customers = pd.DataFrame({"customer_id": [1, 2, 3], "start": [0, 0, 3], "end": [4, 1, None]})
    train, holdout = split_holdout(CustomerTables(customers, window=(0, 4)), cutoff=2)
    assert train.customers["customer_id"].tolist() == [1, 2]  # silent customers stay
    assert holdout.customers["customer_id"].tolist() == [1, 3]
    assert train.customers["end"].tolist() == [1, 1]
    assert holdout.customers[["start", "end"]].to_numpy().tolist() == [[2, 4], [3, 4]]
    assert (train.periods, holdout.periods) == (range(2), range(2, 5))


def test_a_split_by_date_cuts_at_midnight():
    tables = dated(["2024-01-31 23:59", "2024-02-01 00:00"])
    train, holdout = split_holdout(tables, cutoff="2024-02-01")
    assert len(train.events) == len(holdout.events) == 1
    assert train.window[1] == pd.Timestamp("2024-01-31")
    assert train.provenance["part"] == "train"
    assert holdout.provenance["part_window"] == ["2024-02-01 00:00:00", "2024-02-01 00:00:00"]


@pytest.mark.parametrize("cutoff", [0, 4, -1, "2024-01-01", 1.5, None, "soon", True])
def test_a_wrong_cutoff_of_periods_is_refused(cutoff):
    with pytest.raises(SpecError, match="split_holdout: `cutoff`"):
        split_holdout(CustomerTables(ONE, VISIT, window=(0, 3)), cutoff=cutoff)


@pytest.mark.parametrize("cutoff", [3, "2024-01-15", "2024-01-18", "later"])
def test_a_wrong_cutoff_of_dates_is_refused(cutoff):
    with pytest.raises(SpecError, match="split_holdout: `cutoff`"):
        split_holdout(dated(["2024-01-15", "2024-01-17"]), cutoff=cutoff)


def test_a_cutoff_that_empties_a_side_is_refused():
    late = pd.DataFrame({"customer_id": [1], "start": [2]})
    with pytest.raises(SpecError, match="leaves no customer in the train"):
        split_holdout(CustomerTables(late, window=(0, 3)), cutoff=1)


# The object ---------------------------------------------------------------------------------------


def test_later_changes_to_the_input_do_not_reach():
    events = VISIT.copy()
    tables = CustomerTables(ONE, events, window=(0, 3))
    events.loc[0, "period"] = 3
    assert tables.events["period"].tolist() == [0]


def test_tables_are_frozen_and_can_be_pickled():
    tables = CustomerTables(ONE, VISIT, window=(0, 3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        tables.window = (0, 9)
    copy = pickle.loads(pickle.dumps(tables))
    xr.testing.assert_identical(to_panel(copy, freq="M"), to_panel(tables, freq="M"))


def test_the_window_comes_from_the_data_if_none_is_given():
    assert CustomerTables(ONE, VISIT.assign(period=[7])).window == (7, 7)
    customers = pd.DataFrame({"customer_id": [1, 2], "start": ["2024-01-01", None]})
    visits = pd.DataFrame({"customer_id": [2], "date": ["2024-03-05 10:00"], "channel": "visits"})
    window = CustomerTables(customers, visits).window
    assert window == (pd.Timestamp("2024-01-01"), pd.Timestamp("2024-03-05"))


def test_what_the_tables_say_of_themselves(firm):
    assert firm.channels == {
        "spend": "events",
        "visits": "events",
        "satisfaction": "surveys",
        "complaints": "cases",
        "stage": "labels",
        "mail": "actions",
    }
    assert firm.periods == range(4)
    assert not firm.is_dated
    with pytest.raises(SpecError, match="their periods depend on to_panel"):
        _ = dated(["2024-01-15"]).periods


def test_units_of_unknown_channels_are_refused():
    with pytest.raises(SpecError, match="names 'spent', but the tables have 'visits'"):
        CustomerTables(ONE, VISIT, units={"spent": "EUR"})


def test_the_strategy_reaches_the_whole_window():
    """The property tests above rely on whole weeks and months."""
    end = WINDOW_START + pd.Timedelta(days=N_DAYS - 1)
    assert (N_DAYS % 7, end.is_month_end, WINDOW_START.day) == (0, True, 1)


def test_broken_rules_raise_a_data_error():
    with pytest.raises(DataError, match="customer_id is not in customers"):
        CustomerTables(ONE, VISIT.assign(customer_id=[2]))
