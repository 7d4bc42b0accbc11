"""Claims of the ledger, and how recomputed numbers are judged against them."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crmlab.datasets import dataset_path
from crmlab.errors import DataError, check_one_of, raise_problems
from crmlab.replication.recipes import RECIPES

STATUSES = ("pass", "explained", "memory")


@dataclass(frozen=True)
class Claim:
    """One published result: numbers that belong together, as they were printed.

    Parameters
    ----------
    id : str
        Name of the recipe that recomputes it.
    source, inputs : str
        Where it is printed, and the inputs.
    printed : tuple of str
        The numbers, as printed in the source.
    status : {"pass", "explained", "memory"}
        "pass": recomputed; "explained": different, for a reason; "memory": recomputed, but an input
        or the target is from memory.
    ours : tuple of str
        For an explained difference: our numbers, to the digit.
    reason : str
        Why it differs, or which part is from memory.

    Raises
    ------
    SpecError
        If the status is unknown.
    DataError
        If a reason or our numbers are missing, or our numbers are not needed.
    """

    id: str
    source: str
    inputs: str
    printed: tuple[str, ...]
    status: str
    ours: tuple[str, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse a claim without the entries that its status needs."""
        check_one_of(f"Claim {self.id}", "status", self.status, STATUSES)
        problems = []
        if self.status != "pass" and not self.reason:
            problems.append(f"status {self.status!r} needs a `reason`")
        if (self.status == "explained") != bool(self.ours):
            problems.append("`ours` is needed with status 'explained', and allowed only there")
        if self.ours and len(self.ours) != len(self.printed):
            problems.append("`ours` needs as many numbers as `printed`")
        raise_problems(DataError, f"Claim {self.id}", problems)


@dataclass(frozen=True)
class Verdict:
    """A claim and its recomputed values; `problem` is empty if nothing is unexplained."""

    claim: Claim
    values: tuple[float, ...]
    problem: str = ""


def read_ledger() -> tuple[Claim, ...]:
    """Read every claim of the ledger.

    Examples
    --------
    >>> [claim.printed for claim in read_ledger() if claim.id == "test_and_roll"]
    [('2284',)]
    """
    text = dataset_path("published/ledger.toml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = [
        {key: tuple(held) if isinstance(held, list) else held for key, held in row.items()}
        for row in tomllib.loads(text)["claim"]
    ]
    return tuple(Claim(**row) for row in rows)


def half_a_unit(printed: str) -> float:
    """Return half a unit in the last digit of a printed number: its tolerance.

    Examples
    --------
    >>> half_a_unit("0.704"), half_a_unit("10440")
    (0.0005, 0.5)
    """
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def prints_as(value: float, printed: str) -> bool:
    """Whether a number agrees with the printed one, to half a unit in the last digit.

    Examples
    --------
    >>> prints_as(0.70408, "0.704"), prints_as(0.70408, "0.70")
    (True, True)
    >>> prints_as(0.7051, "0.704")
    False
    """
    return abs(value - float(printed)) <= half_a_unit(printed) * (1 + 1e-9)


def judge(claim: Claim, recomputed: Iterable[float]) -> Verdict:
    """Compare recomputed numbers with a claim.

    Parameters
    ----------
    claim : Claim
    values : sequence of float
        The numbers from its recipe.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> claim = Claim("pi", "a textbook", "none", ("3.14",), "pass")
    >>> judge(claim, [3.14159]).problem, judge(claim, [3.2]).problem
    ('', 'printed 3.14, got 3.2')
    """
    values = tuple(float(value) for value in recomputed)
    if len(values) != len(claim.printed):
        return Verdict(claim, values, f"{len(claim.printed)} printed, {len(values)} recomputed")
    target = claim.ours or claim.printed
    off = [
        f"{'explained' if claim.ours else 'printed'} {text}, got {value:.7g}"
        for value, text in zip(values, target, strict=True)
        if not prints_as(value, text)
    ]
    alike = all(map(prints_as, values, claim.printed))
    if claim.ours and alike:
        off.append("the explained difference is gone: set the status to 'pass'")
    return Verdict(claim, values, "; ".join(off))


def replicate(claims: Sequence[Claim] | None = None) -> tuple[Verdict, ...]:
    """Recompute claims of the ledger (by default, all), each with the recipe of the same name.

    Returns
    -------
    tuple of Verdict
        A claim without a recipe and a recipe without a claim are problems too.
    """
    known = {recipe.__name__: recipe for recipe in RECIPES}
    if claims is None:
        claims = read_ledger()
        named = {claim.id for claim in claims}
        strays = tuple(name for name in known if name not in named)
        raise_problems(DataError, "the ledger", [f"no claim for {name!r}" for name in strays])
    return tuple(
        judge(claim, known[claim.id]())
        if claim.id in known
        else Verdict(claim, (), "no recipe of this name")
        for claim in claims
    )


def verdicts_text(verdicts: Sequence[Verdict]) -> str:
    """Write verdicts as a table: one line per number, and the reason where there is one."""
    lines = [f"{'claim':<28}{'printed':>12}{'ours':>14}{'+-':>9}  status"]
    for verdict in verdicts:
        claim = verdict.claim
        lines += [f"-- {claim.source}"]
        values = verdict.values or (float("nan"),) * len(claim.printed)
        for text, value in zip(claim.printed, values, strict=False):
            digits = len(text.partition(".")[2])
            own = f"{value:.{digits + 1}f}"
            status = "UNEXPLAINED" if verdict.problem else _status_of(claim, text, value)
            lines += [f"{claim.id:<28}{text:>12}{own:>14}{half_a_unit(text):>9.2g}  {status}"]
        lines += [f"   {text}" for text in (claim.reason, verdict.problem) if text]
    return "\n".join([*lines, "", _sum_up(verdicts)])


def _status_of(claim: Claim, text: str, value: float) -> str:
    """Return the status of one number: in an explained claim, some numbers may still agree."""
    return "pass" if claim.status == "explained" and prints_as(value, text) else claim.status


def _sum_up(verdicts: Sequence[Verdict]) -> str:
    counts = dict.fromkeys(STATUSES, 0)
    for verdict in verdicts:
        if not verdict.problem:
            counts[verdict.claim.status] += 1
    unexplained = len(verdicts) - sum(counts.values())
    return (
        f"{len(verdicts)} claims: {counts['pass']} pass, {counts['explained']} explained, "
        f"{counts['memory']} with an input or target from memory, {unexplained} unexplained"
    )


def main() -> int:
    """Recompute the ledger and print it; 1 if anything is unexplained, else 0."""
    verdicts = replicate()
    print(verdicts_text(verdicts))
    return int(any(verdict.problem for verdict in verdicts))
