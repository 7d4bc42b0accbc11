"""A chain of two stages, alive and dead, mixed over customers, is BG/BB.

One customer with known probabilities p and theta is a chain over the stages alive and dead. She
dies at the start of a period with probability theta, the dead stay dead, and what we see is a
Bernoulli channel: p while alive, 0 when dead. The filter of `crmlab.chains` gives the likelihood of
her purchases. It is a polynomial in p and in theta, of no higher degree than there are periods, so
Gauss's rule for beta weights averages it over all customers exactly, up to rounding. The result is
the closed form of `BGBB`.

So the oldest model of customer lifetimes and a hidden Markov model are one model. What BG/BB adds
to a chain is that customers differ; what stages add to BG/BB is more than alive or dead.
"""

import numpy as np
from numpy.typing import ArrayLike

from crmlab import chains
from crmlab.arrays import Floats
from crmlab.btyd.bg_bb import BGBB
from crmlab.errors import DataError


def mixed_chain_loglik(params: BGBB, purchases: ArrayLike) -> Floats:
    """Log-likelihood of purchase histories under the chain of two stages, mixed over customers.

    Parameters
    ----------
    params : BGBB
        The beta distributions of p and theta.
    purchases : array_like (n, T)
        1 in each period with a purchase, else 0.

    Returns
    -------
    ndarray (n,)
        Natural logarithm; equal to `BGBB.loglik` of the same histories.

    Raises
    ------
    DataError
        If `purchases` is not a table of zeros and ones.

    Examples
    --------
    >>> donors = BGBB(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    >>> history = [[1, 0, 1, 0, 0, 0]]  # bought in periods 1 and 3 of 6
    >>> mixed_chain_loglik(donors, history).round(10), donors.loglik([2], [3], [6]).round(10)
    (array([-4.51606663]), array([-4.51606663]))
    """
    bought = np.asarray(purchases)
    if bought.ndim != 2 or 0 in bought.shape or not np.isin(bought, (0, 1)).all():
        raise DataError("mixed_chain_loglik: `purchases` must be a table (n, T) of zeros and ones")
    n_nodes = bought.shape[1] // 2 + 1  # Gauss's rule with m nodes is exact up to degree 2 m - 1
    p, p_weights = _beta_rule(params.alpha, params.beta, n_nodes)
    theta, theta_weights = _beta_rule(params.gamma, params.delta, n_nodes)
    likelihood = np.zeros(len(bought))
    for buying, weight in zip(p, p_weights, strict=True):
        for death, death_weight in zip(theta, theta_weights, strict=True):
            loglik = chain_loglik(buying, death, bought)
            likelihood += weight * death_weight * np.exp(loglik)
    return np.log(likelihood)


def chain_loglik(p: float, theta: float, purchases: ArrayLike) -> Floats:
    """Log-likelihood of purchases, if p and theta are the probabilities of buying and dying.

    Parameters
    ----------
    p, theta : float
        Probabilities per period.
    purchases : array_like (n, T)
        1 in each period with a purchase, else 0.

    Returns
    -------
    ndarray (n,)

    Examples
    --------
    >>> chain_loglik(0.5, 0.2, [[1, 0]]).round(4)  # log(.8 x .5 x (.8 x .5 + .2))
    array([-1.4271])
    """
    survives = [1 - theta, theta]
    with np.errstate(divide="ignore"):  # the dead cannot buy
        seen = np.log([[1 - p, 1.0], [p, 0.0]])  # purchase (row), stage (column)
    evidence = seen[np.asarray(purchases, dtype=int)]
    return chains.forward(survives, [survives, [0.0, 1.0]], evidence).loglik


def _beta_rule(a: float, b: float, n_nodes: int) -> tuple[Floats, Floats]:
    """Nodes between 0 and 1, and weights, of Gauss's rule for a mean over Beta(a, b)."""
    from scipy.special import roots_jacobi

    nodes, weights = roots_jacobi(n_nodes, b - 1, a - 1)
    return (1 + nodes) / 2, weights / weights.sum()
