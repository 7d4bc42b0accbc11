"""Discount rates that know the length of time they refer to.

A bare number is a rate *per period* of the matrix it discounts. `per_year` and `per_month` hold an
effective rate of that length and convert it by compounding: 10 % a year is 2.411 % a quarter, not
2.5 %.
"""

import math
from dataclasses import dataclass

import numpy as np

from crmlab.errors import SpecError, check_one_of, raise_problems

# Mean calendar lengths: a year has 365.25 days. Quarters and months are exact parts of a year.
PERIODS_PER_YEAR = {"Y": 1.0, "Q": 4.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
_PERIODS_PER_YEAR_OF_UNIT = {"year": 1.0, "month": 12.0}


@dataclass(frozen=True)
class DiscountRate:
    """An effective discount rate that knows the length of time it refers to.

    Make one with `per_year` or `per_month`.
    """

    rate: float
    unit: str

    def __post_init__(self) -> None:
        """Refuse a rate that would make money negative, and a unit without a length."""
        check_one_of("DiscountRate", "unit", self.unit, _PERIODS_PER_YEAR_OF_UNIT)
        raise_problems(SpecError, f"per_{self.unit}", rate_problems(self.rate, self.unit))

    def per_period(self, freq: str | None) -> float:
        """Effective rate per period of a panel with this `freq` (a fraction, by compounding).

        (1 + rate)^(periods of `unit` per year / periods of `freq` per year) - 1.

        Examples
        --------
        >>> f"{per_year(0.10).per_period('Q'):.6f}"
        '0.024114'
        >>> f"{per_month(0.01).per_period('Y'):.6f}"
        '0.126825'
        """
        exponent = _PERIODS_PER_YEAR_OF_UNIT[self.unit] / _periods_per_year(freq)
        return math.expm1(exponent * math.log1p(self.rate))


def per_year(rate: float) -> DiscountRate:
    """Effective discount rate per year, as a fraction: ``per_year(0.10)`` is 10 % a year.

    Rates above 1 are refused: ``per_year(10)`` most likely means 0.10.

    Examples
    --------
    >>> per_year(0.10)
    DiscountRate(rate=0.1, unit='year')
    """
    return DiscountRate(rate, "year")


def per_month(rate: float) -> DiscountRate:
    """Effective discount rate per month, as a fraction: ``per_month(0.01)`` is 1 % a month.

    Examples
    --------
    >>> f"{per_month(0.01).per_period('M'):.2f}"
    '0.01'
    """
    return DiscountRate(rate, "month")


def _periods_per_year(freq: str | None) -> float:
    """Periods of a pandas period alias in one year; anchors such as W-SUN or Q-DEC are ignored."""
    base = str(freq).split("-")[0]
    if base not in PERIODS_PER_YEAR:
        raise SpecError(
            f"A rate per year or month needs periods of known length: `freq` must be one of "
            f"{', '.join(PERIODS_PER_YEAR)}, got {freq!r}. Give `discount_rate` as a bare number "
            "per period instead."
        )
    return PERIODS_PER_YEAR[base]


def rate_problems(rate: object, unit: str = "period") -> list[str]:
    """Say why a number cannot be a discount rate of this length of time (empty if it can).

    Examples
    --------
    >>> rate_problems(0.1), rate_problems(10)
    ([], ['`discount_rate` must be above -1 and at most 1 per period, got 10; it is a fraction: \
write 10 % as 0.10'])
    """
    if not isinstance(rate, int | float | np.number) or isinstance(rate, bool):
        return [f"`discount_rate` must be a number, got {rate!r}"]
    if -1 < rate <= 1:
        return []
    return [
        f"`discount_rate` must be above -1 and at most 1 per {unit}, got {rate!r}; "
        "it is a fraction: write 10 % as 0.10"
    ]


def spell(rate: DiscountRate | float) -> str:
    """Write a rate as the user wrote it."""
    if isinstance(rate, DiscountRate):
        return f"per_{rate.unit}({rate.rate:g})"
    return f"{rate:g} per period"


def rate_per_period(rate: float | DiscountRate, freq: str | None) -> float:
    """Convert a rate with a unit by the panel's `freq`; leave a bare number as it is."""
    return rate.per_period(freq) if isinstance(rate, DiscountRate) else rate
