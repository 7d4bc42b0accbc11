"""The filter for a million customers: one pass over the periods, all customers at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crmlab import chains
from crmlab.arrays import Floats, Ints


@dataclass(frozen=True)
class Walk:
    """Histories under one draw of the parameters.

    `crmlab.chains.forward` says the same in logarithms, with all that it passes; this keeps only
    what a score needs. Where probabilities are too small for it, it asks that function.

    Parameters
    ----------
    initial : ndarray (K,)
    matrix : ndarray (K, K)
    tables : sequence of (log-density by value and stage, value of each customer and period)
    first, last : ndarray of int (customer,)
    """

    initial: Floats
    matrix: Floats
    tables: Sequence[tuple[Floats, Ints]]
    first: Ints
    last: Ints

    def follow(self, then: Ints, counts: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """Filter all histories.

        Parameters
        ----------
        then : ndarray of int (customer,)
            An earlier period that is asked for.
        counts : ndarray of int (customer,)
            Customers with each history.

        Returns
        -------
        now, before : ndarray (customer, K)
            Filtered probabilities in the last period, and in `then`.
        river : ndarray (period, K)
            Customers expected in each stage, period by period.
        loglik : ndarray (customer,)
        """
        n, T = self.tables[0][1].shape
        K = len(self.initial)
        law, loglik = np.zeros((n, K)), np.zeros(n)
        now, before, river = np.empty((n, K)), np.empty((n, K)), np.zeros((T, K))
        with np.errstate(divide="ignore", invalid="ignore"):
            for t in range(T):
                law, gain = self._step(law, t)
                inside = (self.first <= t) & (t <= self.last)
                loglik[inside] += gain[inside]
                now[self.last == t], before[then == t] = law[self.last == t], law[then == t]
                river[t] = np.where(inside, counts, 0) @ np.nan_to_num(law)
        if not np.isfinite(loglik).all():
            return self._follow_in_logs(then, counts)
        return now, before, river, loglik

    def _step(self, law: Floats, t: int) -> tuple[Floats, Floats]:
        """Move one period on and look: the new law, and the log-probability of what is seen."""
        law = law @ self.matrix
        law[self.first == t] = self.initial
        scale = np.zeros(len(law))
        for table, codes in self.tables:
            top = table.max(axis=1)
            law *= np.exp(table - top[:, None])[codes[:, t]]
            scale += top[codes[:, t]]
        total = law.sum(axis=1)
        return law / total[:, None], np.log(total) + scale

    def _follow_in_logs(self, then: Ints, counts: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        scores = np.sum([table[codes] for table, codes in self.tables], axis=0)
        result = chains.forward(self.initial, self.matrix, scores, self.first, self.last)
        everyone = np.arange(len(counts))
        filtered = result.filtered
        river = np.einsum("n,ntk->tk", counts, np.nan_to_num(filtered))
        return filtered[everyone, self.last], filtered[everyone, then], river, result.loglik
