"""How wrong a naive comparison of treated and untreated customers of a bank is: the answer key.

Everybody's life is lived three times with the same random numbers: as the bank decides, with the
action in one period, and without any. Both outcomes of each customer are then known, so that

    naive      =  mean(Y1 of the treated) - mean(Y0 of the untreated)
    effect     =  mean(Y1 - Y0 of all)
    bias       =  naive - effect
               =  selection + (effect on the treated - effect),
    selection  =  mean(Y0 of the treated) - mean(Y0 of the untreated)

hold exactly for these customers; standard errors say how far they may be from the expectation. For
a `StageWorld` the same has a closed form: `expected_contrast`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from crmlab.arrays import Bools, Floats, Ints, count_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.generators.bank.relationship import Course, run_course
from crmlab.generators.bank.tilts import TREATMENTS
from crmlab.generators.bank.world import Bank
from crmlab.streams import Streams


@dataclass(frozen=True)
class BankContrast:
    """How treated and untreated differ, and what the action does [units of the outcome].

    Parameters
    ----------
    naive : float
        Mean of the treated minus the mean of those to whom nothing was done.
    effect : float
        Average effect on all active customers, from twins.
    effect_on_treated : float
        Average effect on those whom the bank treated.
    bias : float
        ``naive - effect``: the amount by which the naive estimate is wrong.
    selection : float
        By how much treated and untreated would differ anyway: the difference of their means
        without the action.
    standard_error : float
        Standard error of `bias`, as an estimate for all customers of the bank.
    n_treated, n_untreated : int
    """

    naive: float
    effect: float
    effect_on_treated: float
    bias: float
    selection: float
    standard_error: float
    n_treated: int
    n_untreated: int


def bank_contrast(
    bank: Bank,
    n_customers: int,
    action: str,
    *,
    outcome: Mapping[str, float],
    period: int,
    seed: int,
) -> BankContrast:
    """Compute how wrong a naive comparison is, from twins of every customer.

    Parameters
    ----------
    bank : Bank
        In all three lives it follows its own policy in every period except this one.
    n_customers : int
        Rounded up to whole communities.
    action : {"follow_up", "inform", "note", "gift", "information", "automation"}
    outcome : mapping of stage to float
        Value of the outcome in each stage, one period after the action; 0 if left out.
    period : int
        Period of the action; not the last one.
    seed : int

    Returns
    -------
    BankContrast

    Raises
    ------
    SpecError
        Unknown names, an impossible period, nobody treated or nobody untreated.

    Examples
    --------
    >>> from crmlab.generators.bank.presets import confounded_bank
    >>> together = {name: 1.0 for name in confounded_bank().space.names[:5]}
    >>> found = bank_contrast(
    ...     confounded_bank(), 2000, "follow_up", outcome=together, period=14, seed=1)
    >>> found.naive < 0 < found.effect
    True
    """
    problems = list(_problems(bank, n_customers, action, outcome, period))
    raise_problems(SpecError, "bank_contrast", problems)
    size = bank.community_size
    ids = np.arange(-(-int(n_customers) // size) * size)
    code = TREATMENTS.index(action) + 1
    lived, with_it, without = (
        _live(bank, ids, period + 2, seed, forced) for forced in (None, (period, code), (period, 0))
    )
    chosen = lived.treatment[lived.active[:, period], period]
    values = np.array([float(outcome.get(name, 0.0)) for name in bank.space.names])
    active = lived.active[:, period]
    y1, y0 = (values[course.stage[active, period + 1]] for course in (with_it, without))
    return _compare(y1, y0, chosen == code, chosen == 0)


def _live(
    bank: Bank,
    ids: Ints,
    n_periods: int,
    seed: int,
    forced: tuple[int, int] | None,
) -> Course:
    """Live through the first periods; customers who arrive later are not there yet."""
    scene = bank.scene(Streams(seed), ids)
    return run_course(replace(scene, n_periods=n_periods, forced=forced))


def _compare(y1: Floats, y0: Floats, treated: Bools, untreated: Bools) -> BankContrast:
    if not treated.any() or not untreated.any():
        raise SpecError("bank_contrast: the bank treats everybody or nobody in this period")
    naive = y1[treated].mean() - y0[untreated].mean()
    effect = (y1 - y0).mean()
    parts = (y1[treated], y0[untreated])
    # Influence of each customer on naive - effect; the rest count in the effect alone.
    influence = -(y1 - y0 - effect)
    for part, group, sign in zip(parts, (treated, untreated), (1, -1), strict=True):
        influence[group] += sign * (part - part.mean()) * len(y1) / len(part)
    return BankContrast(
        naive=float(naive),
        effect=float(effect),
        effect_on_treated=float((y1 - y0)[treated].mean()),
        bias=float(naive - effect),
        selection=float(y0[treated].mean() - y0[untreated].mean()),
        standard_error=float(influence.std(ddof=1) / np.sqrt(len(y1))),
        n_treated=int(treated.sum()),
        n_untreated=int(untreated.sum()),
    )


def _problems(
    bank: Bank, n_customers: object, action: str, outcome: Mapping[str, float], period: object
) -> list[str]:
    problems = count_problems({"n_customers": n_customers})
    if action not in TREATMENTS:
        problems.append(f"`action` must be one of {', '.join(TREATMENTS)}, got {action!r}")
    unknown = [name for name in outcome if name not in bank.space.names]
    if unknown:
        problems.append(
            f"`outcome` names {unknown[0]!r}; the stages are {', '.join(bank.space.names)}"
        )
    if not isinstance(period, (int, np.integer)) or not 0 <= period < bank.n_periods - 1:
        problems.append(f"`period` must be from 0 to {bank.n_periods - 2}, got {period!r}")
    return problems
