"""The probability of each customer's history, with stages and customers' own effects summed out.

The customer is the unit that is left out when models are compared: customers are independent
observations, but the rows of one history are not. A log-likelihood must not depend on effects that
were fitted to the customer's own rows, so they are averaged over the population.
"""

import numpy as np
import xarray as xr

from crmlab.arrays import Floats
from crmlab.inference import Fit
from crmlab.prediction.customers import Customers, Parameters, read_customers
from crmlab.prediction.draws import collect, thin_draws
from crmlab.prediction.population import running_logliks


def customer_loglik(
    fit: Fit, *, panel: xr.Dataset | None = None, draws: int = 1000, points: int = 256
) -> xr.DataTree:
    """Log-likelihood of each customer's whole history under each draw [nats].

    Parameters
    ----------
    fit : Fit
    panel : xr.Dataset, optional
        Score these customers instead of those of the fit, e.g. a holdout of other customers.
    draws : int
        Posterior draws to use in all, evenly thinned from the chains.
    points : int
        Number of points of the population over which customers' own effects are averaged.

    Returns
    -------
    xr.DataTree
        ``log_likelihood`` with the variable ``customer`` (chain, draw, customer_id), and the same
        draws as ``posterior``: what ArviZ's `loo`, `compare` and `psense` read. Customers who were
        never observed are left out.

    Notes
    -----
    ``log p(y_n | theta) = log E_u [ sum over paths p(y_n, s | theta, u) ]``, where u are a
    customer's effects. Measured on histories of 24 periods against 4,096 points, with standard
    deviations of 1 log-odds: 256 points miss a customer's log-likelihood by 0.004 (one effect),
    0.02 (three) or 0.03 nats (six), root mean square; 64 points by 0.01, 0.04 and 0.06, and 0.01
    too low on average, which adds up over a thousand customers.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), *Statistics and Computing* 27(5); Merkle, Furr and
    Rabe-Hesketh (2019), *Psychometrika* 84(3), on integrating out what belongs to one unit (both
    from memory).
    """
    customers, chosen = read_customers(fit, panel), thin_draws(fit, draws)
    seen = customers.seen
    logliks = collect(
        lambda parameters: running_logliks(customers, parameters, points)[seen, -1],
        chosen,
        ("customer_id",),
        {"customer_id": customers.panel["customer_id"].values[seen]},
    )
    groups = {"posterior": chosen, "log_likelihood": logliks.to_dataset(name="customer")}
    return xr.DataTree.from_dict(groups)


def period_logliks(customers: Customers, parameters: Parameters) -> Floats:
    """Log-probability of each period given the periods before it (customer, period) [nats].

    Those of a customer's window add up to the log-likelihood of the history; 0 outside it.
    """
    running = running_logliks(customers, parameters)
    with np.errstate(invalid="ignore"):  # undefined after an impossible period
        return np.diff(running, axis=1, prepend=0.0)
