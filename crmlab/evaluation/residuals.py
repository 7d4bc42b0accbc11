"""Does the model predict each cell as well as it says? Pseudo-residuals, channel by channel."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy.special import ndtri, softmax

from crmlab.arrays import Bools, Floats
from crmlab.channels import Channel
from crmlab.errors import check_one_of
from crmlab.inference import Fit
from crmlab.inference.fitting import make_rng
from crmlab.models.observation import parameters_of
from crmlab.prediction.customers import Customers, Parameters, read_customers
from crmlab.prediction.draws import count_draws, each_draw, thin_draws
from crmlab.prediction.population import probs_by_period

DIMS = ("customer_id", "period")
STEPS = 54  # halvings of the unit interval, until no number lies between
# Probabilities of the stages that a residual is based on, by kind.
BASED_ON = {"forecast": "predicted", "ordinary": "smoothed"}


def pseudo_residuals(
    fit: Fit,
    *,
    kind: str = "forecast",
    panel: xr.Dataset | None = None,
    draws: int = 200,
    seed: int,
) -> xr.Dataset:
    """Place each cell in its predictive distribution, as a standard normal number.

    Parameters
    ----------
    fit : Fit
    kind : {"forecast", "ordinary"}
        Predict a cell from the periods before it, or from everything else that is known of the
        customer, later periods and other channels included.
    panel : xr.Dataset, optional
        Examine these customers instead of those of the fit, e.g. a holdout.
    draws : int
        Posterior draws to use in all, evenly thinned from the chains.
    seed : int
        Of the places within the steps of discrete channels.

    Returns
    -------
    xr.Dataset
        A variable per channel (customer_id, period), NaN where nothing was seen. If the model is
        right, the numbers are standard normal; forecast residuals of a customer are independent
        of each other.

    Raises
    ------
    SpecError
        An option is wrong.

    Notes
    -----
    ``r = Phi^-1(F(y-) + v (F(y) - F(y-)))`` with ``F(y) = sum_k P(stage k | what is known)
    F_k(y)`` and v uniform, 1 for all draws; F is averaged over the draws and, where customers have
    effects of their own, over these. Randomised residuals of counts are normal, while middle ones
    (v = 1/2) are not. The distribution functions F_k come from inverting the channel's `sample`.
    Ordinary residuals divide the smoothed probabilities by the cell's density; a stage in which
    the cell is impossible stays impossible for them.

    References
    ----------
    Zucchini, MacDonald and Langrock (2016), *Hidden Markov Models for Time Series*, section 6.2;
    Dunn and Smyth (1996), *J. Computational and Graphical Statistics* 5 (both from memory).
    """
    check_one_of("pseudo_residuals", "kind", kind, tuple(BASED_ON))
    customers, rng = read_customers(fit, panel), make_rng("pseudo_residuals", seed)
    chosen = thin_draws(fit, draws)
    channels = [channel for channel, _ in customers.score.encoded]
    limits = {channel.name: np.zeros((2, *customers.score.shape[:2])) for channel in channels}
    for parameters in each_draw(chosen):
        for name, found in predictive_limits(customers, parameters, kind).items():
            limits[name] += found / count_draws(chosen)
    labels = {dim: customers.panel[dim].values for dim in DIMS}
    cells = {name: (DIMS, as_normal(*found, rng)) for name, found in limits.items()}
    return xr.Dataset(cells, labels, attrs={"kind": kind})


def as_normal(below: Floats, until: Floats, rng: np.random.Generator) -> Floats:
    """Draw a place between P(Y < y) and P(Y <= y), and turn it into a standard normal number."""
    place = below + rng.random(below.shape) * (until - below)
    return ndtri(np.clip(place, 2.0**-53, 1 - 2.0**-53))


def predictive_limits(customers: Customers, parameters: Parameters, kind: str) -> dict[str, Floats]:
    """P(Y < y) and P(Y <= y) of each cell (2, customer, period) under one draw, by channel."""
    known = probs_by_period(customers, parameters, BASED_ON[kind])
    tables = customers.score.tables(parameters)
    found = {}
    for (channel, (values, codes)), (table, _) in zip(customers.score.encoded, tables, strict=True):
        probs = known if kind == "forecast" else _without(known, table[codes])
        limits = step_limits(channel, values, parameters_of(channel, parameters))
        limits = np.concatenate([limits, np.full_like(limits[:, :1], np.nan)], axis=1)
        found[channel.name] = (limits[:, codes] * probs).sum(axis=-1)
    return found


def _without(smoothed: Floats, logs: Floats) -> Floats:
    """Take one cell out of what is known: divide by its density in each stage."""
    with np.errstate(divide="ignore", invalid="ignore"):  # impossible stages, unseen periods
        weights = np.log(smoothed) - logs
    return softmax(np.where(smoothed > 0, weights, -np.inf), axis=-1)


def step_limits(channel: Channel, values: Floats, parameters: Parameters) -> Floats:
    """P(Y < y) and P(Y <= y) of each value in each stage (2, value, stage).

    Parameters
    ----------
    channel : Channel
    values : ndarray (value,)
    parameters : mapping of name to ndarray, stage axis first

    Examples
    --------
    >>> from crmlab.channels import Bernoulli
    >>> prob = {"prob": np.array([0.2, 0.5])}
    >>> step_limits(Bernoulli("bought"), np.array([0.0, 1.0]), prob).round(3).tolist()
    [[[0.0, 0.0], [0.8, 0.5]], [[0.8, 0.5], [1.0, 1.0]]]
    """
    answering, places = channel.always_answered(), values[:, None]
    size = (len(values), len(next(iter(parameters.values()))))

    def sample(u: Floats) -> Floats:
        alone = channel.n_uniforms == 1
        return answering.sample(u if alone else np.stack([u, np.zeros_like(u)]), **parameters)

    below = _largest(lambda u: sample(u) < places, size)
    return np.stack([below, _largest(lambda u: sample(u) <= places, size)])


def _largest(holds: Callable[[Floats], Bools], size: tuple[int, ...]) -> Floats:
    """Bisect for the largest uniforms at which something that stops once still holds."""
    low, high = np.zeros(size), np.ones(size)
    for _ in range(STEPS):
        middle = (low + high) / 2
        held = holds(middle)
        low, high = np.where(held, middle, low), np.where(held, high, middle)
    return np.where(low > 1 - 2.0**-52, 1.0, low)
