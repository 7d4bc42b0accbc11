"""Numbers in words: percentages, amounts, counts with their noun, lists in a sentence."""

from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"


def percent(share: float, decimals: int = 0) -> str:
    """Write a share as a percentage: 0.123 is '12%'."""
    return f"{100 * share:.{decimals}f}%".replace("-", MINUS)


def signed_percent(share: float, decimals: int = 0) -> str:
    """Write a difference as a percentage, with its sign: 0.123 is '+12%'."""
    return ("+" if share > 0 else "") + percent(share, decimals)


def number(value: float, decimals: int = 0) -> str:
    """Write a number with thousands separators and a real minus sign."""
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def money(value: float, unit: str, decimals: int = 0) -> str:
    """Write an amount with its unit behind it."""
    return f"{number(value, decimals)} {unit}"


def span(low: float, high: float) -> str:
    """Write an interval: '3 to 1,200'."""
    return f"{number(low)} to {number(high)}"


def percent_span(low: float, high: float) -> str:
    """Write an interval of shares: '1.0% to 2.5%'."""
    return f"{percent(low, 1)} to {percent(high, 1)}"


def listed(words: Sequence[str]) -> str:
    """Join words as a list in a sentence: 'a', 'a and b', 'a, b and c'."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


def off_by(error: float) -> str:
    """Say how far a total is off: -0.121 is '12% too low'."""
    if abs(error) < 0.005:
        return "right to within half a percent"
    return f"{percent(abs(error))} too {'low' if error < 0 else 'high'}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: '1 customer', '2 customers'."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def signed(value: float) -> str:
    """Write a difference with its sign and one decimal.

    Examples
    --------
    >>> signed(2.34), signed(-0.04)
    ('+2.3', '0.0')
    """
    rounded = round(value, 1) + 0.0
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", MINUS)
