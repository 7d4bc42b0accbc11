"""Ranks of simulation-based calibration: the difference from uniform, with a band."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from crmlab.evaluation.ranks.uniformity import rank_band
from crmlab.plots.layout import check_prob, take_axes
from crmlab.plots.styles import INK, LINES, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_rank_ecdf(
    ranks: ArrayLike, n_draws: int, *, prob: float = 0.95, ax: "Axes | None" = None
) -> "Axes":
    """Show how far the ranks are from a uniform distribution, with one line per quantity.

    Parameters
    ----------
    ranks : array_like of int, shape (replicates,) or (replicates, numbers)
        Rank of each truth among `n_draws` posterior draws.
    n_draws : int
    prob : float
        Probability that a whole line stays inside the band if its ranks are uniform.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Above 0: truths rank low too often (the posterior is too high); below 0: it is too low. A
        line that rises, then falls, then rises again: it is too narrow.

    References
    ----------
    Säilynoja, Bürkner and Vehtari (2022), *Statistics and Computing* 32.

    Examples
    --------
    >>> ranks = np.random.default_rng(1).integers(0, 20, size=(100, 2))
    >>> plot_rank_ecdf(ranks, 19).get_xlabel()
    'Rank of the truth, from 0 (lowest) to 1'
    """
    check_prob("prob", prob)
    table = np.asarray(ranks)
    table = table[:, None] if table.ndim == 1 else table
    shares = np.arange(1, n_draws + 1) / (n_draws + 1)
    below = (table[None] < np.arange(1, n_draws + 1)[:, None, None]).mean(axis=1)
    lower, upper = rank_band(len(table), n_draws, prob)
    ax = take_axes(ax, 0.6)
    ax.fill_between(shares, lower - shares, upper - shares, color=MUTED, alpha=0.3, linewidth=0)
    look: dict[str, Any] = {"color": LINES[1], "linestyle": "-", "linewidth": 0.8, "alpha": 0.8}
    ax.plot(shares, below - shares[:, None], **look)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(
        xlim=(0, 1),
        xlabel="Rank of the truth, from 0 (lowest) to 1",
        ylabel="Share below, minus uniform",
    )
    return ax
