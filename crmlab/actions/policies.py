"""Policies: who is treated, with which probability, from what the firm can see."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmlab.actions.effects import read_pairs
from crmlab.arrays import Bools, Floats, Ints
from crmlab.errors import SpecError, raise_problems


@dataclass(frozen=True, eq=False)
class FirmView:
    """What a firm can see of N customers when it decides.

    Parameters
    ----------
    period : int
    customers : DataFrame of N rows
        The customers table: attributes that do not change.
    actions : tuple of A str
        The actions that exist, in the order of the propensities.
    observed : mapping of str to ndarray of shape (N,)
        Summaries of the records up to and including this period. For each channel `<name>` (this
        period's value, NaN where none), `<name>_total` (the sum so far) and `<name>_since`
        (periods since the last record; infinity if there was none); for each action
        `<name>_total` and `<name>_since`, before this period's decision.
    impressions : ndarray of str of shape (N,), or None
        What account managers believe the stage to be. None unless the policy asks for it with an
        `accuracy`; never recorded.
    """

    period: int
    customers: pd.DataFrame
    actions: tuple[str, ...]
    observed: Mapping[str, NDArray] = field(default_factory=dict)
    impressions: NDArray[Any] | None = None

    def column(self, name: str) -> NDArray:
        """Values of a summary, or of a column of the customers, (N,).

        Raises
        ------
        SpecError
            There is no summary or column of this name.
        """
        if name in self.observed:
            return np.asarray(self.observed[name])
        if name in self.customers:
            return self.customers[name].to_numpy()
        seen = [*self.observed, *(c for c in self.customers if c != "customer_id")]
        raise SpecError(f"the firm cannot see {name!r}; it sees {', '.join(seen) or 'nothing'}")

    def propensities(self, probs: Mapping[str, ArrayLike]) -> Floats:
        """Propensities (N, A) from a number, or N of them, for each action that is named.

        Raises
        ------
        SpecError
            An action is not in the world.
        """
        unknown = [name for name in probs if name not in self.actions]
        if unknown:
            raise SpecError(
                f"a policy names the action {unknown[0]!r}; the world has "
                f"{', '.join(self.actions) or 'none'}"
            )
        given = np.zeros((len(self.customers), len(self.actions)))
        for name, prob in probs.items():
            given[:, self.actions.index(name)] = prob
        return given


class Policy(ABC):
    """A rule that gives the probability of each treatment for each customer.

    A subclass is a frozen dataclass with one method. The propensities of a customer may depend
    only on this customer, so that the others change nothing.

    Attributes
    ----------
    accuracy : float or None
        How often an account manager's impression of the stage is right (else it is any other
        stage). None: the policy does not look at impressions, and none are formed.
    logged : bool
        Whether the firm records the propensities. They are always in the truth of a world.
    acts : bool
        Whether the policy ever chooses an action; then the world must have some.
    """

    accuracy: float | None = None
    logged: ClassVar[bool] = True
    acts: ClassVar[bool] = True

    @abstractmethod
    def propensities(self, view: FirmView) -> Floats:
        """Probability of each action for each customer, (N, A); the rest of 1 is for none."""


@dataclass(frozen=True)
class NoAction(Policy):
    """Nobody is treated.

    Examples
    --------
    >>> view = FirmView(0, pd.DataFrame({"customer_id": [1, 2]}), ("mail",))
    >>> NoAction().propensities(view)
    array([[0.],
           [0.]])
    """

    acts: ClassVar[bool] = False

    def propensities(self, view: FirmView) -> Floats:
        """Zero throughout."""
        return view.propensities({})


@dataclass(frozen=True)
class AlwaysTreat(Policy):
    """Everybody gets the action, in every period or in some.

    Parameters
    ----------
    action : str
    periods : sequence of int, optional
        When; default always.
    """

    action: str
    periods: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Keep the periods as a tuple."""
        _freeze_periods(self)

    def propensities(self, view: FirmView) -> Floats:
        """Return 1 in the chosen periods."""
        return view.propensities({self.action: float(_is_due(self, view))})


@dataclass(frozen=True)
class RandomPolicy(Policy):
    """An experiment: each action has the same fixed probability for every customer.

    Parameters
    ----------
    probs : mapping of action to float
        They sum to at most 1; the rest is the control group.
    periods : sequence of int, optional
        When; default always.

    Examples
    --------
    >>> view = FirmView(0, pd.DataFrame({"customer_id": [1]}), ("mail", "call"))
    >>> RandomPolicy({"call": 0.25}).propensities(view)
    array([[0.  , 0.25]])
    """

    probs: Mapping[str, float] | tuple[tuple[str, float], ...]
    periods: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a probability."""
        probs, problems = read_pairs("probs", self.probs)
        problems += [f"`probs` must be from 0 to 1, got {p}" for _, p in probs if not 0 <= p <= 1]
        if sum(p for _, p in probs) > 1 + 1e-12:
            problems.append(f"`probs` must sum to at most 1, got {sum(p for _, p in probs):.6g}")
        raise_problems(SpecError, "RandomPolicy", problems)
        object.__setattr__(self, "probs", probs)
        _freeze_periods(self)

    def propensities(self, view: FirmView) -> Floats:
        """Return the same for all in the chosen periods."""
        return view.propensities(dict(self.probs) if _is_due(self, view) else {})


@dataclass(frozen=True)
class ThresholdRule(Policy):
    """Targeting on something that the firm can see.

    Parameters
    ----------
    action : str
    column : str
        A column of the customers or a summary of the records (see `FirmView`).
    threshold : float
    above : bool
        Whether the target is those at or above the threshold, or else those below it. A customer
        with a missing value is never a target.
    prob_target, prob_other : float
        Probability of the action for the target and for all others. Both strictly between 0 and 1
        leave every customer a positive probability either way, which later evaluation needs.
    periods : sequence of int, optional
        When; default always.

    Examples
    --------
    >>> view = FirmView(3, pd.DataFrame({"customer_id": [1, 2]}), ("mail",),
    ...                 {"visits_since": np.array([0, 5])})
    >>> ThresholdRule("mail", "visits_since", 3, prob_target=0.9, prob_other=0.1).propensities(view)
    array([[0.1],
           [0.9]])
    """

    action: str
    column: str
    threshold: float
    above: bool = True
    prob_target: float = 1.0
    prob_other: float = 0.0
    periods: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a probability."""
        raise_problems(SpecError, "ThresholdRule", list(_problems_of_probs(self)))
        _freeze_periods(self)

    def propensities(self, view: FirmView) -> Floats:
        """One probability for the target, one for the others."""
        values = np.asarray(view.column(self.column), dtype=float)
        target = values >= self.threshold if self.above else values < self.threshold
        return _targeted(self, view, target)


@dataclass(frozen=True)
class ManagerImpression(Policy):
    """Targeting by intuition: account managers treat whom they believe to be in certain stages.

    The impression depends on the true stage, is right with probability `accuracy`, and is never
    recorded. So treated and untreated differ in something that no table holds: confounding.

    Parameters
    ----------
    action : str
    stages : sequence of str
        The stages whose customers are treated, as far as the manager can tell.
    accuracy : float
        Probability of a right impression; a wrong one is any other stage, with equal probability.
    prob_target, prob_other : float
        As in `ThresholdRule`.
    periods : sequence of int, optional
        When; default always.
    """

    action: str
    stages: tuple[str, ...]
    accuracy: float = 0.7
    prob_target: float = 0.8
    prob_other: float = 0.1
    periods: tuple[int, ...] | None = None

    logged: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse what is not a probability."""
        problems = list(_problems_of_probs(self))
        if not 0 <= self.accuracy <= 1:
            problems.append(f"`accuracy` must be from 0 to 1, got {self.accuracy!r}")
        raise_problems(SpecError, "ManagerImpression", problems)
        given = (self.stages,) if isinstance(self.stages, str) else tuple(self.stages)
        object.__setattr__(self, "stages", given)
        _freeze_periods(self)

    def propensities(self, view: FirmView) -> Floats:
        """One probability for those who seem to be in the stages, one for the others."""
        if view.impressions is None:
            raise SpecError("ManagerImpression: this world forms no impressions of stages")
        return _targeted(self, view, np.isin(view.impressions, self.stages))


def impression_probs(n_stages: int, accuracy: float) -> Floats:
    """Probability of each impression (column) in each stage (row), (K, K).

    Examples
    --------
    >>> impression_probs(3, 0.8)
    array([[0.8, 0.1, 0.1],
           [0.1, 0.8, 0.1],
           [0.1, 0.1, 0.8]])
    """
    wrong = (1 - accuracy) / max(n_stages - 1, 1)
    right = accuracy if n_stages > 1 else 1.0
    return np.where(np.eye(n_stages, dtype=bool), right, wrong)


def check_propensities(policy: Policy, given: ArrayLike, shape: tuple[int, int]) -> Floats:
    """Return propensities (N, A) as floats; raise `SpecError` unless they are probabilities.

    Examples
    --------
    >>> check_propensities(NoAction(), [[0.7, 0.6]], (1, 2))
    Traceback (most recent call last):
    ...
    crmlab.errors.SpecError: NoAction: a customer's `propensities` must sum to at most 1, got 1.3
    """
    values = np.asarray(given, dtype=float)
    problems = []
    if values.shape != shape:
        problems = [f"`propensities` must have shape {shape}, got {values.shape}"]
    elif not ((values >= 0) & (values <= 1)).all():
        problems = ["`propensities` must be probabilities from 0 to 1"]
    elif values.size and values.sum(axis=1).max() > 1 + 1e-9:
        worst = values.sum(axis=1).max()
        problems = [f"a customer's `propensities` must sum to at most 1, got {worst:.6g}"]
    raise_problems(SpecError, type(policy).__name__, problems)
    return values


def choose_actions(propensities: Floats, u: Floats) -> Ints:
    """Return the action of each customer, (N,): 0 nothing, 1 the first action, and so on.

    It is the action whose cell of the unit interval contains `u`. The cells of the actions come
    first, so two policies that give an action the same propensity agree on whom it reaches.

    Parameters
    ----------
    propensities : ndarray of shape (N, A)
    u : ndarray of shape (N,), from 0 to 1

    Examples
    --------
    >>> choose_actions(np.array([[0.3, 0.2]] * 3), np.array([0.1, 0.4, 0.9]))
    array([1, 2, 0])
    """
    edges = np.cumsum(propensities, axis=1)
    cell = (u[:, None] >= edges).sum(axis=1)
    return np.where(cell < edges.shape[1], cell + 1, 0)


def _targeted(policy: Any, view: FirmView, target: Bools) -> Floats:
    if not _is_due(policy, view):
        return view.propensities({})
    probs = np.where(target, policy.prob_target, policy.prob_other)
    return view.propensities({policy.action: probs})


def _is_due(policy: Any, view: FirmView) -> bool:
    return policy.periods is None or view.period in policy.periods


def _freeze_periods(policy: Any) -> None:
    if policy.periods is not None:
        object.__setattr__(policy, "periods", tuple(int(t) for t in policy.periods))


def _problems_of_probs(policy: Any) -> Iterable[str]:
    for name in ("prob_target", "prob_other"):
        value = getattr(policy, name)
        if not 0 <= value <= 1:
            yield f"`{name}` must be from 0 to 1, got {value!r}"
