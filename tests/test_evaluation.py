import math

import numpy as np
import pytest

from crmlab.errors import DataError, SpecError
from crmlab.evaluation import (
    calibration_table,
    confusion_counts,
    flag_quality,
    forecast_errors,
    log_score,
    mean_by_class,
)
from crmlab.stages import StageSpace

SPACE = StageSpace(("low", "middle", "high"))


# --- stages ---------------------------------------------------------------------------------------


def test_confusions_are_counted_by_true_row_and_said_column():
    counts = confusion_counts([0, 0, 2, 2, 2], [0, 1, 2, 0, 0], SPACE)
    assert counts.loc["low"].tolist() == [1, 1, 0]
    assert counts.loc["middle"].tolist() == [0, 0, 0]
    assert counts.loc["high"].tolist() == [2, 0, 1]


def test_confusions_take_arrays_of_any_shape():
    truth, predicted = np.array([[0, 1], [2, 1]]), np.array([[0, 1], [1, 1]])
    flat = confusion_counts(truth.ravel(), predicted.ravel(), SPACE)
    assert confusion_counts(truth, predicted, SPACE).equals(flat)


def test_what_is_no_stage_is_refused_on_both_sides_at_once():
    with pytest.raises(DataError, match="2 problems") as caught:
        confusion_counts([0, 3], [-1, 1], SPACE)
    assert "`truth`" in str(caught.value)
    assert "[-1]" in str(caught.value)


@pytest.mark.parametrize("predicted", [[0], [0, 1, 2]])
def test_unequal_lengths_are_refused(predicted):
    with pytest.raises(DataError, match="lengths differ"):
        confusion_counts([0, 1], predicted, SPACE)
    with pytest.raises(DataError, match="lengths differ"):
        flag_quality([True, False], predicted)


def test_log_score_of_ignorance_is_minus_log_of_the_number_of_stages():
    assert log_score(np.full((4, 5), 0.2), [0, 1, 2, 3]) == pytest.approx(-math.log(5))


def test_log_score_is_the_mean_log_of_what_came_true():
    probs = [[[0.7, 0.3], [0.1, 0.9]]]
    assert log_score(probs, [[0, 1]]) == pytest.approx((math.log(0.7) + math.log(0.9)) / 2)
    assert log_score(probs, [[1, 0]]) == pytest.approx((math.log(0.3) + math.log(0.1)) / 2)


def test_log_score_of_what_was_ruled_out_is_minus_infinity():
    assert log_score([[1.0, 0.0]], [1]) == -math.inf
    assert log_score([[1.0, 0.0]], [0]) == 0.0


@pytest.mark.parametrize(
    ("probs", "truth"),
    [
        ([[0.5, 0.4]], [0]),
        ([[1.5, -0.5]], [0]),
        ([[np.nan, np.nan]], [0]),
        ([[0.5, 0.5]], [2]),
        ([[0.5, 0.5]], [0, 1]),
        (np.empty((0, 2)), []),
    ],
    ids=["sum", "negative", "missing", "no stage", "shape", "empty"],
)
def test_log_score_refuses(probs, truth):
    with pytest.raises(DataError, match="log_score"):
        log_score(probs, truth)


# --- calibration ----------------------------------------------------------------------------------

# Newcombe (1998), "Two-sided confidence intervals for the single proportion", Statistics in
# Medicine 17, 857-872, table I, method 3 (Wilson's score, no continuity correction), 95 %.
WILSON_95 = {
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0000, 0.1611),
    (1, 29): (0.0061, 0.1718),
}


@pytest.mark.parametrize(("counts", "limits"), WILSON_95.items())
def test_interval_of_independent_predictions_is_wilson_s(counts, limits):
    hits, n = counts
    came = np.arange(n) < hits
    row = calibration_table(np.full(n, 0.25), came, prob=0.95).loc[0]
    assert (row["lower"], row["upper"]) == pytest.approx(limits, abs=0.00005)
    assert (row["observed"], row["n"]) == (pytest.approx(hits / n), n)


def test_repeating_a_customer_adds_nothing():
    """Ten copies of every prediction, known to be copies, are worth one."""
    rng = np.random.default_rng(1)
    predicted, came = rng.random(200), rng.random(200) < 0.5
    once = calibration_table(predicted, came)
    copies = calibration_table(
        np.repeat(predicted, 10), np.repeat(came, 10), clusters=np.repeat(np.arange(200), 10)
    )
    assert np.allclose(copies[["lower", "upper"]], once[["lower", "upper"]])
    assert (copies["n"] == 10 * once["n"]).all()


def test_copies_taken_for_independent_narrow_the_interval():
    came = np.arange(40) % 4 == 0
    wide = calibration_table(np.full(40, 0.3), came).loc[0]
    narrow = calibration_table(np.full(400, 0.3), np.repeat(came, 10)).loc[0]
    assert narrow["upper"] - narrow["lower"] < 0.5 * (wide["upper"] - wide["lower"])


def test_bins_of_equal_counts_hold_what_came_true():
    rng = np.random.default_rng(3)
    order = rng.permutation(200)
    predicted, came = np.repeat([0.1, 0.12], 100)[order], (np.arange(200) % 2 == 0)[order]
    table = calibration_table(predicted, came, n_bins=2, equal_counts=True)
    assert table["predicted"].tolist() == pytest.approx([0.1, 0.12])
    assert table["observed"].tolist() == [0.5, 0.5]
    assert table["n"].tolist() == [100, 100]
    assert table["lower"].between(0.4, 0.5).all()
    assert len(calibration_table(predicted, came, n_bins=2)) == 1  # of equal width


def test_honest_predictions_lie_in_their_intervals_and_bold_ones_do_not():
    rng = np.random.default_rng(2)
    honest = rng.random(20_000)
    came = rng.random(20_000) < honest
    table = calibration_table(honest, came, prob=0.999)
    assert table["predicted"].between(table["lower"], table["upper"]).all()
    bold = np.clip(2 * honest - 0.5, 0, 1)
    table = calibration_table(bold, came, prob=0.999)
    assert not table["predicted"].between(table["lower"], table["upper"]).all()


def test_bins_are_of_equal_width_and_empty_ones_are_left_out():
    table = calibration_table([0.0, 0.24, 0.25, 1.0], [0, 1, 0, 1], n_bins=4)
    assert table["n"].tolist() == [2, 1, 1]
    assert table["predicted"].tolist() == pytest.approx([0.12, 0.25, 1.0])


def test_calibration_reports_all_problems_at_once():
    with pytest.raises(DataError, match="2 problems"):
        calibration_table([0.5, 1.5], [0, 2])
    with pytest.raises(SpecError, match="2 problems"):
        calibration_table([0.5], [1], n_bins=0, prob=1.0)
    with pytest.raises(DataError, match="nothing to judge"):
        calibration_table([], [])


# --- warnings and forecasts -----------------------------------------------------------------------


def test_flags_are_judged_both_ways():
    quality = flag_quality([1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 0, 0])
    assert quality == (3, 3, 2, pytest.approx(2 / 3), pytest.approx(2 / 3))
    all_flagged = flag_quality([1] * 4, [1, 0, 0, 0])
    assert (all_flagged.precision, all_flagged.recall) == (0.25, 1.0)


def test_a_share_of_nobody_is_missing():
    assert math.isnan(flag_quality([0, 0], [1, 0]).precision)
    assert math.isnan(flag_quality([1, 0], [0, 0]).recall)


def test_forecast_errors_by_hand():
    errors = forecast_errors([1, 3, 0], {"a": [2, 2, 2], "b": [1, 3, 0]})
    assert errors.loc["a"].tolist() == pytest.approx([6, 0.5, 4 / 3, math.sqrt(2)])
    assert errors.loc["b"].tolist() == [4, 0, 0, 0]


def test_the_median_wins_the_absolute_error_and_the_mean_the_squared():
    """Where most customers do nothing, a forecast of nothing has the least absolute error."""
    actual = np.array([0] * 8 + [5, 5])
    errors = forecast_errors(actual, {"mean": np.full(10, 1.0), "nothing": np.zeros(10)})
    assert errors["mean_absolute_error"].idxmin() == "nothing"
    assert errors["root_mean_squared_error"].idxmin() == "mean"


def test_forecasts_are_checked_together():
    with pytest.raises(DataError, match="lengths differ"):
        forecast_errors([1, 2], {"a": [1]})
    with pytest.raises(DataError, match="`a` must hold finite"):
        forecast_errors([1, 2], {"a": [1, np.nan]})
    with pytest.raises(DataError, match="sums to 0"):
        forecast_errors([0, 0], {"a": [1, 1]})
    with pytest.raises(DataError, match="is empty"):
        forecast_errors([1], {})


def test_means_by_class_weigh_back_to_the_mean():
    rng = np.random.default_rng(3)
    actual, predicted, classes = rng.random(50), rng.random(50), rng.integers(0, 4, 50)
    table = mean_by_class(actual, {"said": predicted}, classes)
    assert table["customers"].sum() == 50
    for name, values in {"actual": actual, "said": predicted}.items():
        assert np.average(table[name], weights=table["customers"]) == pytest.approx(values.mean())
    with pytest.raises(DataError, match="lengths differ"):
        mean_by_class(actual, {"said": predicted}, classes[:-1])
