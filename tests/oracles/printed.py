"""Published numbers, compared as they were printed. Imports nothing from crmlab."""

import numpy as np


def assert_prints_as(values, printed):
    """Each value equals the printed number to half a unit in its last digit."""
    values, printed = np.ravel(values), np.ravel(printed)
    assert len(values) == len(printed)
    for value, text in zip(values, printed, strict=True):
        half_a_unit = 0.5 * 10.0 ** -len(text.partition(".")[2])
        assert abs(value - float(text)) <= half_a_unit * (1 + 1e-9), f"{value} is not {text}"
