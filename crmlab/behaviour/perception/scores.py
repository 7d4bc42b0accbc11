"""Scores of a survey, and their sampling error."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from crmlab.arrays import number_problems
from crmlab.errors import SpecError, raise_problems


class Score(NamedTuple):
    """A score of a survey, and the standard error of a simple random sample."""

    value: float
    standard_error: float

    def half_width(self, prob: float) -> float:
        """Half the width of the Normal interval that covers with probability `prob`.

        Examples
        --------
        >>> round(100 * net_promoter(0.45, 0.25, n=400).half_width(0.95), 1)
        8.0
        """
        raise_problems(SpecError, "half_width", number_problems({"prob": prob}, above=0, below=1))
        return NormalDist().inv_cdf((1 + prob) / 2) * self.standard_error


def net_promoter(promoters: float, detractors: float, *, n: int) -> Score:
    """Net promoter score, as a fraction from -1 to 1, with its sampling error.

    NPS = p - d; variance (p + d - (p - d)^2) / n, from one multinomial sample. Whether
    the score predicts growth is disputed: Keiningham et al. 2007 could not replicate the claim.

    Parameters
    ----------
    promoters, detractors : float
        p and d: shares of the n answers.
    n : int
        Number of answers.

    Returns
    -------
    Score

    Raises
    ------
    SpecError
        Shares that are negative or sum to more than 1, or no answers.

    Examples
    --------
    >>> score = net_promoter(0.45, 0.25, n=400)
    >>> f"{100 * score.value:.0f}, standard error {100 * score.standard_error:.2f} points"
    '20, standard error 4.06 points'
    """
    problems = []
    if not (promoters >= 0 and detractors >= 0 and promoters + detractors <= 1 + 1e-12):
        problems.append(
            "`promoters` and `detractors` must be shares that sum to at most 1, "
            f"got {promoters!r} and {detractors!r}; write 45 % as 0.45"
        )
    problems += _size_problems(n)
    raise_problems(SpecError, "net_promoter", problems)
    value = promoters - detractors
    # Below 0 only by rounding, when everybody is of one kind.
    spread = max(promoters + detractors - value**2, 0.0)
    return Score(value, float(np.sqrt(spread / n)))


def top_box(share: float, *, n: int) -> Score:
    """Share of the top answers, with its sampling error sqrt(p (1 - p) / n).

    Parameters
    ----------
    share : float
        p: share of the n answers.
    n : int

    Returns
    -------
    Score

    Examples
    --------
    >>> top_box(0.5, n=100)
    Score(value=0.5, standard_error=0.05)
    """
    problems = number_problems({"share": share}, least=0, most=1)
    raise_problems(SpecError, "top_box", problems + _size_problems(n))
    return Score(share, float(np.sqrt(share * (1 - share) / n)))


def _size_problems(n: int) -> list[str]:
    return [] if n >= 1 else [f"`n` must be at least 1 answer, got {n!r}"]
