"""Customers who share their matrices: eight draws at once, and each beginning of a history once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crmlab.arrays import Bools, Floats, Ints
from crmlab.models.emissions import Histories
from crmlab.prediction.customers import Customers, Parameters
from crmlab.prediction.recursion import FAINT, Channel

if TYPE_CHECKING:
    from crmlab.models.kernel.draws import Laws, Walk

LANES = 8  # draws in one SIMD register


class Filtered(NamedTuple):
    """What the histories say under eight draws; meaningless for a draw that is `faint`."""

    now: Floats  # (history, K, lane) probabilities of the last period; initial if never seen
    earlier: Floats  # (history, K, lane) the same, some periods before
    occupancy: Floats  # (T, K, lane) customers expected in each stage
    loglik: Floats  # (history, lane)
    faint: Bools  # (lane,) whether some scaled probability may have lost digits


def is_shared(customers: Customers) -> bool:
    """Whether all customers have the same matrix in each period."""
    return not customers.n_effects and (customers.design is None or len(customers.design) == 1)


def filter_draws(customers: Customers, draws: Sequence[Parameters], ago: int) -> Filtered:
    """Filter every history under at most eight draws; `ago` as in `score_histories`."""
    from crmlab.models.kernel.draws import Found, filter_histories

    (_, n_periods, n_stages), n = customers.score.shape, len(customers.histories.first)
    codes, laws = _read_laws(customers, [*draws, *[draws[-1]] * (LANES - len(draws))])
    now, earlier = (np.tile(laws.initial, (n, 1)).reshape(n, n_stages, LANES) for _ in range(2))
    occupancy, lowest = np.zeros((n_periods, n_stages, LANES)), np.ones(LANES)
    scales = np.tile([[1.0], [0.0], [0.0]], (n, 1, LANES))
    flat = (array.ravel() for array in (now, earlier, occupancy, scales, lowest))
    filter_histories(laws, _read_walk(customers.histories, codes, ago), Found(*flat))
    with np.errstate(divide="ignore", invalid="ignore"):
        loglik = np.log(scales[:, 0]) + np.log(2.0) * scales[:, 1] + scales[:, 2]
    faint = ~(lowest > FAINT) | np.isnan(loglik).any(axis=0)
    return Filtered(now, earlier, occupancy, loglik, faint)


def _read_laws(customers: Customers, draws: Sequence[Parameters]) -> tuple[Ints, "Laws"]:
    """Put the draws into lanes; return codes (history, T, channel) into the table of densities."""
    from crmlab.models.kernel.draws import Laws

    tables = [[table for table, _ in customers.score.tables(one)] for one in draws]
    offsets = np.cumsum([0, *(len(table) for table in tables[0])])[:-1]
    codes = np.stack(customers.histories.codes, axis=-1) + offsets
    channels = [[Channel.read(table, codes) for table in some] for some in tables]
    matrices = [_allowed_moves(customers, one) for one in draws]
    parts = (
        [one["initial_probs"] for one in draws],
        matrices,
        [matrix.sum(axis=-1) for matrix in matrices],
        [np.concatenate([channel.scaled.T for channel in some]) for some in channels],
        [np.concatenate([channel.peak for channel in some]) for some in channels],
    )
    return codes, Laws(*(np.stack(part, axis=-1).ravel() for part in parts))


def _allowed_moves(customers: Customers, parameters: Parameters) -> Floats:
    """Matrices (move or 1, K, K) of all customers, 0 where no move is allowed."""
    matrices = customers.matrices(parameters, customers.design)[0]
    return np.where(customers.fit.model.space.mask, matrices, 0.0)


def _read_walk(histories: Histories, codes: Ints, ago: int) -> "Walk":
    from crmlab.models.kernel.draws import Walk

    first, last = histories.first, histories.last
    then, start = np.maximum(last - ago, first), find_starts(histories)
    return Walk(codes, first, last, then, start, histories.times)


def find_starts(histories: Histories) -> Ints:
    """Find the first period of each history that it does not share with the one before.

    Examples
    --------
    >>> ends = np.array([0, 0, 1]), np.array([2, 2, 2])
    >>> codes = [np.array([[1, 5, 6], [1, 5, 7], [1, 5, 7]])]
    >>> find_starts(Histories(*ends, codes, np.ones(3), np.arange(3), np.arange(3)))
    array([0, 2, 1])
    """
    first, last = histories.first, histories.last
    differs = np.stack([code[1:] != code[:-1] for code in histories.codes]).any(axis=0)
    same = np.where(differs.any(axis=1), differs.argmax(axis=1), differs.shape[1])
    same = np.minimum(same, last[:-1] + 1).clip(first[1:])
    return np.concatenate([first[:1], np.where(first[1:] == first[:-1], same, first[1:])])
