"""Evidence about hidden stages: the table that all recursions read, in one layout.

We see y_t, not s_t. All that y_t says about the stage is in the numbers
l_t[k] = log p(y_t | s_t = k), one for each stage: how well it explains what was seen. Only their
differences between stages change the stage probabilities.

* Nothing recorded: l_t = 0 for all stages. A missing period favours no stage.
* A stage that cannot produce y_t: l_t[k] = -inf.
* A customer has a *window*, from her first to her last period. The chain starts in the first
  period; outside the window there is neither a stage nor evidence, so cells are set to 0 and never
  reported.

There may be one matrix for all, or one per customer, per period, or both.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crmlab.arrays import Bools, Floats, Ints
from crmlab.chains.inputs import problems_of_probs, read_numbers
from crmlab.errors import DataError, SpecError, raise_problems


class Evidence(NamedTuple):
    """Checked inputs of the recursions, in one layout; cells outside the window are ignored."""

    log_initial: Floats  # (N, K)
    matrices: Floats  # (N or 1, T - 1 or 1, K, K)
    log_likelihoods: Floats  # (N, T, K), 0 outside the window
    first: Ints  # (N,)
    last: Ints  # (N,)
    inside: Bools  # (N, T)
    log_smallest: float  # log of the smallest positive transition probability

    @property
    def n_periods(self) -> int:
        """T, the number of periods of the table."""
        return self.inside.shape[1]

    def matrix(self, t: int) -> Floats:
        """Return the matrices that move from period t to t + 1, (N or 1, K, K)."""
        return self.matrices[:, min(t, self.matrices.shape[1] - 1)]


def read_evidence(
    initial_probs: ArrayLike,
    transition_matrix: ArrayLike,
    log_likelihoods: ArrayLike,
    first: ArrayLike | None,
    last: ArrayLike | None,
) -> Evidence:
    """Check the inputs of a recursion and bring them into one layout."""
    logs = read_numbers("log_likelihoods", log_likelihoods, DataError)
    if logs.ndim != 3 or 0 in logs.shape[1:]:
        raise SpecError(f"`log_likelihoods` must have shape (N, T, K), got {logs.shape}")
    initial = read_numbers("initial_probs", initial_probs)
    matrices = _four_dimensional(read_numbers("transition_matrix", transition_matrix))
    problems = [
        *_problems_of_initial(initial, logs.shape),
        *_problems_of_matrices(matrices, logs.shape),
    ]
    raise_problems(SpecError, "hidden stages", problems)
    first, last, inside = _windows(first, last, *logs.shape[:2])
    return Evidence(
        log_initial=log(np.broadcast_to(initial, (logs.shape[0], logs.shape[2]))),
        matrices=matrices,
        log_likelihoods=_blank_outside(logs, inside),
        first=first,
        last=last,
        inside=inside,
        log_smallest=float(np.log(matrices.min(where=matrices > 0, initial=1.0))),
    )


def _four_dimensional(matrices: Floats) -> Floats:
    return matrices.reshape((1,) * (4 - matrices.ndim) + matrices.shape)


def _problems_of_initial(initial: Floats, shape: tuple[int, int, int]) -> list[str]:
    n, _, k = shape
    if initial.shape not in {(k,), (1, k), (n, k)}:
        return [f"`initial_probs` must have shape ({k},) or ({n}, {k}), got {initial.shape}"]
    return [f"initial_probs: {problem}" for problem in problems_of_probs("row", initial)]


def _problems_of_matrices(matrices: Floats, shape: tuple[int, int, int]) -> list[str]:
    n, t, k = shape
    fits = (
        matrices.ndim == 4
        and matrices.shape[0] in (1, n)
        and matrices.shape[1] in (1, t - 1)
        and matrices.shape[2:] == (k, k)
    )
    if not fits:
        return [
            f"`transition_matrix` must broadcast to ({n}, {t - 1}, {k}, {k}), got {matrices.shape}"
        ]
    return [f"transition_matrix: {problem}" for problem in problems_of_probs("row", matrices)]


def _windows(
    first: ArrayLike | None, last: ArrayLike | None, n_customers: int, n_periods: int
) -> tuple[Ints, Ints, Bools]:
    begin = _bound("first", 0 if first is None else first, n_customers)
    end = _bound("last", n_periods - 1 if last is None else last, n_customers)
    wrong = np.flatnonzero((begin < 0) | (end >= n_periods) | (begin > end))
    if len(wrong):
        n = int(wrong[0])
        raise DataError(
            f"each window must satisfy 0 <= first <= last <= {n_periods - 1}; customer {n} has "
            f"first {begin[n]} and last {end[n]} ({len(wrong)} such customers)"
        )
    periods = np.arange(n_periods)
    return begin, end, (periods >= begin[:, None]) & (periods <= end[:, None])


def _bound(name: str, values: ArrayLike, n_customers: int) -> Ints:
    bound = np.asarray(values)
    if bound.dtype.kind not in "iu" or bound.shape not in {(), (n_customers,)}:
        raise SpecError(
            f"`{name}` must be {n_customers} integers, got {bound.dtype} of shape {bound.shape}"
        )
    return np.broadcast_to(bound.astype(np.int64), (n_customers,))


def _blank_outside(logs: Floats, inside: Bools) -> Floats:
    known = np.where(inside[:, :, None], logs, 0.0)
    wrong = np.argwhere(np.isnan(known) | (known == np.inf))
    if len(wrong):
        raise DataError(
            f"`log_likelihoods` must be below infinity and not NaN inside the window (0 where "
            f"nothing was seen), but customer {wrong[0, 0]}, period {wrong[0, 1]}, stage "
            f"{wrong[0, 2]} has {known[tuple(wrong[0])]} ({len(wrong)} such cells)"
        )
    return known


def log(values: Floats) -> Floats:
    """Return the natural logarithm, -inf at 0 without a warning."""
    with np.errstate(divide="ignore"):
        return np.log(values)
