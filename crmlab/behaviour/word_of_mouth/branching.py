"""How far news runs when those who hear it tell others: a branching process in closed form.

Each teller tells N ~ NB(mean m, shape r) people who have not heard it yet, and each of these
becomes a teller with probability p. Thinning a negative binomial keeps its shape, so a teller
recruits NB(m p, r) others. The process approximates a cascade well as long as the audience is
large compared with it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from crmlab.arrays import Floats, number_problems
from crmlab.behaviour.word_of_mouth.reach import NegativeBinomialReach
from crmlab.errors import SpecError, raise_problems


@dataclass(frozen=True)
class NewsRun:
    """News that starts with one teller and passes on with a fixed probability.

    Parameters
    ----------
    reach : NegativeBinomialReach
        People whom each teller tells.
    pass_on : float
        p: probability that one who is told becomes a teller.

    Examples
    --------
    >>> run = NewsRun(NegativeBinomialReach(mean=11.70, shape=2.705), pass_on=0.05)
    >>> f"critical at {run.critical_pass_on:.4f}; {run.mean_tellers:.2f} tellers"
    'critical at 0.0855; 2.41 tellers'
    """

    reach: NegativeBinomialReach
    pass_on: float

    def __post_init__(self) -> None:
        """Refuse a pass-on probability outside 0 to 1."""
        problems = number_problems({"pass_on": self.pass_on}, least=0, most=1)
        raise_problems(SpecError, "NewsRun", problems)

    @property
    def recruits(self) -> float:
        """R = m p: mean number of tellers whom one teller recruits."""
        return self.reach.mean * self.pass_on

    @property
    def critical_pass_on(self) -> float:
        """1 / m: the pass-on probability from which news may run for ever."""
        return 1 / self.reach.mean

    @property
    def mean_tellers(self) -> float:
        """Mean number of tellers, the first included: 1 / (1 - R), infinite for R >= 1."""
        return 1 / (1 - self.recruits) if self.recruits < 1 else np.inf

    @property
    def mean_told(self) -> float:
        """Mean number of people told: m times the tellers."""
        return self.reach.mean * self.mean_tellers

    @property
    def variance_tellers(self) -> float:
        """Variance of the number of tellers: (R + R^2 / r) / (1 - R)^3, infinite for R >= 1."""
        R = self.recruits
        return (R + R**2 / self.reach.shape) / (1 - R) ** 3 if R < 1 else np.inf

    @cached_property
    def prob_dies_out(self) -> float:
        """Probability that the news ends: smallest root of q = (1 + (1 - q) R / r)^-r.

        Examples
        --------
        >>> geometric = NegativeBinomialReach(mean=20, shape=1)
        >>> round(NewsRun(geometric, pass_on=0.1).prob_dies_out, 6)
        0.5
        """
        from scipy.optimize import brentq

        R, r = self.recruits, self.reach.shape
        if R <= 1:
            return 1.0

        def miss(survives: float) -> float:
            return 1 - survives - float(np.exp(-r * np.log1p(survives * R / r)))

        # survives = 0 is always a root; beyond it the curve rises, then falls.
        peak = r / R * (R ** (1 / (r + 1)) - 1)
        return 1 - brentq(miss, peak, 1.0, xtol=1e-15)

    def prob_tellers(self, total: ArrayLike) -> Floats:
        """P(number of tellers = total), by the theorem of Otter and Dwass.

        P(T = n) = P(S_n = n - 1) / n where S_n, the recruits of n tellers, is NB(n R, n r) (from
        memory). For R >= 1 the probabilities sum to `prob_dies_out`.

        Parameters
        ----------
        total : array_like of int
            1 or more.

        Returns
        -------
        ndarray

        Raises
        ------
        SpecError
            A total below 1 or not whole.

        Examples
        --------
        >>> run = NewsRun(NegativeBinomialReach(mean=11.70, shape=2.705), pass_on=0.05)
        >>> round(float(run.prob_tellers(range(1, 400)).sum()), 6)
        1.0
        """
        n = np.asarray(total, dtype=float)
        if not ((n >= 1) & (n == np.floor(n))).all():
            raise SpecError(f"prob_tellers: `total` must be whole and 1 or more, got {n.tolist()}")
        size, R, r = n * self.reach.shape, self.recruits, self.reach.shape
        log = gammaln(n - 1 + size) - gammaln(size) - gammaln(n)
        log = log - size * np.log1p(R / r) + xlogy(n - 1, R / (R + r))
        return np.exp(log) / n
