"""A market that imitates: the Bass model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Floats, number_problems
from crmlab.errors import SpecError, raise_problems


@dataclass(frozen=True)
class Bass:
    """Share of a market that has adopted: some on their own, the rest by imitation.

    dF/dt = (p + q F)(1 - F), F(0) = 0 (Bass 1969, *Management Science* 15, from memory).

    Parameters
    ----------
    innovation : float
        p, per period, above 0.
    imitation : float
        q, per period, 0 or more.

    Examples
    --------
    The mean coefficients of Sultan, Farley & Lehmann (1990):

    >>> market = Bass(innovation=0.03, imitation=0.38)
    >>> f"peak {market.peak_time:.2f}, F {market.adopted(market.peak_time):.4f}"
    'peak 6.19, F 0.4605'
    """

    innovation: float
    imitation: float

    def __post_init__(self) -> None:
        """Refuse coefficients with which nobody starts, or imitation repels."""
        problems = number_problems({"innovation": self.innovation}, above=0)
        problems += number_problems({"imitation": self.imitation}, least=0)
        raise_problems(SpecError, "Bass", problems)

    @property
    def peak_time(self) -> float:
        """Time of the peak of adoption, in periods: ln(q / p) / (p + q), or 0 where q <= p."""
        p, q = self.innovation, self.imitation
        return float(np.log(q / p) / (p + q)) if q > p else 0.0

    def adopted(self, time: ArrayLike) -> Floats:
        """F(t) = (1 - e^-(p+q)t) / (1 + (q/p) e^-(p+q)t), for times of 0 or more, in periods."""
        t = np.asarray(time, dtype=float)
        if not (t >= 0).all():
            raise SpecError(f"Bass: `time` must be 0 or more, got {t.tolist()}")
        p, q = self.innovation, self.imitation
        return -np.expm1(-(p + q) * t) / (1 + q / p * np.exp(-(p + q) * t))

    def new_adopters(self, customers: float, talkers: float, market: float) -> float:
        """Adopters of the next whole period, (p + q talkers / market)(market - customers).

        The model in discrete time, with talkers counted apart from adopters: a lost customer has
        adopted but no longer talks. There are never more adopters than people left.
        """
        rate = self.innovation + self.imitation * talkers / market
        return min(rate, 1.0) * (market - customers)
