"""Attitude, behaviour and alternatives: who stays, and why."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from crmlab.arrays import Floats
from crmlab.errors import DataError, SpecError, raise_problems


@dataclass(frozen=True)
class Ties:
    """How attitude, switching cost and rivals weigh in the decision to stay, in log-odds per unit.

    P(stay) = logistic(base + attitude a + switching_cost k - rival c). A passive customer stays
    because c = 0.

    Parameters
    ----------
    base, attitude, switching_cost, rival : float
        The last three are 0 or more.

    Examples
    --------
    >>> ties = Ties(base=0.0, attitude=1.0, switching_cost=1.0, rival=2.0)
    >>> ties.prob_stay(attitude=[2, 0], switching_cost=[0, 2], rival=0).round(2).tolist()
    [0.88, 0.88]
    >>> ties.drop_when_rival_enters(attitude=2, switching_cost=0, rival=1).round(2).tolist()
    0.38
    """

    base: float
    attitude: float
    switching_cost: float
    rival: float

    def __post_init__(self) -> None:
        """Refuse weights that reverse the meaning of their name."""
        weights = {"attitude": self.attitude, "switching_cost": self.switching_cost}
        weights["rival"] = self.rival
        problems = [
            f"`{name}` must be 0 or more, got {value!r}"
            for name, value in weights.items()
            if not value >= 0
        ]
        raise_problems(SpecError, "Ties", problems)

    def prob_stay(
        self, *, attitude: ArrayLike, switching_cost: ArrayLike, rival: ArrayLike
    ) -> Floats:
        """Probability of staying for one more period; the arguments broadcast."""
        return expit(self._log_odds(attitude, switching_cost, rival))

    def drop_when_rival_enters(
        self, *, attitude: ArrayLike, switching_cost: ArrayLike, rival: ArrayLike
    ) -> Floats:
        """Probability of staying without a rival, minus that with one."""
        alone = self.prob_stay(attitude=attitude, switching_cost=switching_cost, rival=0.0)
        return alone - self.prob_stay(attitude=attitude, switching_cost=switching_cost, rival=rival)

    def _log_odds(self, attitude: ArrayLike, cost: ArrayLike, rival: ArrayLike) -> Floats:
        a, k, c = (np.asarray(x, dtype=float) for x in (attitude, cost, rival))
        return self.base + self.attitude * a + self.switching_cost * k - self.rival * c


def loyalty_type(
    attitude: ArrayLike, patronage: ArrayLike, *, attitude_cut: float, patronage_cut: float
) -> NDArray[np.str_]:
    """Classify by attitude and behaviour: loyal, latent, spurious or none.

    High attitude and high patronage are loyalty; attitude alone is latent and patronage alone
    spurious (Dick & Basu 1994).

    Parameters
    ----------
    attitude, patronage : array_like
        Relative attitude, and repeat patronage such as a share of purchases; they broadcast.
    attitude_cut, patronage_cut : float
        Values from here up are high.

    Returns
    -------
    ndarray of str

    Raises
    ------
    DataError
        Missing values.

    Examples
    --------
    >>> loyalty_type([1, 1, -1, -1], [0.9, 0.1, 0.9, 0.1], attitude_cut=0, patronage_cut=0.5)
    array(['loyal', 'latent', 'spurious', 'none'], dtype='<U8')
    """
    a, b = np.asarray(attitude, dtype=float), np.asarray(patronage, dtype=float)
    if np.isnan(a).any() or np.isnan(b).any():
        raise DataError(
            "loyalty_type: `attitude` and `patronage` must not be missing; drop those customers"
        )
    names = np.array([["none", "spurious"], ["latent", "loyal"]])
    return names[(a >= attitude_cut).astype(int), (b >= patronage_cut).astype(int)]
