"""What the cases share: the mark of a fault, and set-ups that cannot be mistaken for one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crmlab.errors import DataError

ORDERS = Path(__file__).parent / "orders"


class SetUpError(Exception):
    """A case could not be set up: the test says nothing of crmlab."""


def need(holds: object, what: str) -> None:
    """Raise `SetUpError` unless something holds."""
    if not holds:
        raise SetUpError(f"the case is not set up: {what}")


def given(name: str) -> Path:
    """Return the path of an input file, which must be there."""
    path = ORDERS / name
    need(path.is_file() and path.stat().st_size > 0, f"{name} is missing")
    return path


def fault(seen: str, *raises: type[BaseException]) -> pytest.MarkDecorator:
    """Mark a test that fails today, by a failed assertion unless another exception is named."""
    return pytest.mark.xfail(strict=True, raises=raises or AssertionError, reason=seen)


def refusal(ask: Callable[[], object], error: type[Exception] = DataError) -> str:
    """Return what a call is refused with; "" if it is not refused."""
    try:
        ask()
    except error as problem:
        return str(problem)
    return ""
