"""The mode of a log-posterior, and the normal distribution that fits it there.

The density is that of the unconstrained numbers that a sampler explores, so the mode does not
depend on how a probability is parametrised, and no mode lies on a boundary. The matrix of second
derivatives comes from differences of the exact gradient.

The draws come from that normal distribution with thicker tails (Student's, 10 degrees of freedom),
since a posterior is more skewed than a normal distribution. The draws are checked: each is weighted
by the true density, the largest weights are smoothed, and their tail index, Pareto's k, shows
whether weighting can correct the error (Vehtari et al. 2024, *JMLR* 25(72): not above 0.7). Where
it can, the returned draws are resampled by weight.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from crmlab.arrays import Floats
from crmlab.inference.convergence import print_beside

LogDensity = Callable[[Floats], tuple[float, Floats]]

IMPOSSIBLE = 1e300  # minus the log-density of what cannot be, for a search that needs numbers
N_STARTS = 4
N_LOOKS = 16  # starting points from which a chain looks around
LOOK_STEPS = 40  # after which the starting points near high modes are ahead
FIRST_STEPS = 300  # of a climb that only shows which mode a starting point leads to
NEAR = 0.05  # scatter around its top: a sampler learns its scales from a slope
SCATTER = 1.0  # of the starting points around the first, uniform, as samplers scatter chains
STEP = 1e-4  # of the differences of the gradient
STEEPEST = 1e-3  # what the mode may still gain: half the squared gradient in units of the curvature
WIDEST = 10.0  # standard deviation of what the data and the prior leave undetermined
TAIL = 10.0  # degrees of freedom
KHAT_LIMIT = 0.7
SAME = 0.1  # log-density by which two starts may differ and still have found the same mode


class Mode(NamedTuple):
    """The highest point that was found, with its gradient and curvature.

    Attributes
    ----------
    place : ndarray of shape (D,)
    logp : float
        Log-density there.
    gradient : ndarray of shape (D,)
    curvature : ndarray of shape (D, D)
        Minus the second derivatives.
    n_agreeing : int
        Number of starts that ended there.
    """

    place: Floats
    logp: float
    gradient: Floats
    curvature: Floats
    n_agreeing: int

    @property
    def smallest_eigenvalue(self) -> float:
        """Smallest eigenvalue of the curvature; at most 0 where the mode is not a maximum."""
        return float(np.linalg.eigvalsh(self.curvature)[0])

    @property
    def left_to_gain(self) -> float:
        """What one Newton step would still add to the log-density."""
        factor = spread_of(self.curvature)
        return float(0.5 * np.sum((factor.T @ self.gradient) ** 2))

    @property
    def log_mass(self) -> float:
        """Laplace's approximation of the logarithm of the integral of the density around it."""
        values = np.linalg.eigvalsh(np.where(np.isfinite(self.curvature), self.curvature, 0.0))
        widths = -0.5 * np.log(np.maximum(values, WIDEST**-2))
        return float(self.logp + (0.5 * np.log(2 * np.pi) + widths).sum())

    @property
    def problems(self) -> list[str]:
        """List the problems of this mode."""
        found = []
        if not np.isfinite(self.logp):
            return ["no start led to a point that is possible under the model"]
        if not self.left_to_gain < STEEPEST:
            found.append(
                f"the mode was not reached: a step would still gain {self.left_to_gain:.2g} of "
                "log-density"
            )
        if self.smallest_eigenvalue <= WIDEST**-2:
            found.append(
                "some combination of the parameters is determined neither by the data nor by the "
                f"prior (smallest curvature {self.smallest_eigenvalue:.2g})"
            )
        if self.n_agreeing < 2:
            found.append("only one start ended at the highest mode: there may be higher ones")
        return found


@threadpool_limits.wrap(limits=1, user_api="blas")  # small matrices: threads would only wait
def find_mode(
    density: LogDensity,
    start: Floats,
    rng: np.random.Generator,
    rough: LogDensity | None = None,
) -> Mode:
    """Climb from several starting points, and keep the highest end.

    Parameters
    ----------
    density : callable
        ``density(x)`` gives the log-density and its gradient.
    start : ndarray of shape (D,)
        First starting point; the others lie around it.
    rng : numpy.random.Generator
    rough : callable, optional
        A cheaper density of the same shape, for example of a subsample of customers. All starts
        climb it; the climb on `density` begins at the best end.

    Returns
    -------
    Mode

    References
    ----------
    Liu and Nocedal (1989), *Mathematical Programming* 45 (L-BFGS), then Newton's method.

    Examples
    --------
    >>> bowl = lambda x: (-2 * float(x @ x), -4 * x)
    >>> mode = find_mode(bowl, np.ones(2), np.random.default_rng(1))
    >>> mode.place.round(6) + 0.0, mode.curvature.round(6), mode.n_agreeing
    (array([0., 0.]), array([[4., 0.],
           [0., 4.]]), 4)
    """
    first = rough or density
    starts = [start, *(start + rng.uniform(-SCATTER, SCATTER, (N_STARTS - 1, len(start))))]
    ends = sorted((climb(first, x) for x in starts), key=lambda end: -end[1])
    highest = ends[0][1]
    # A climb on a sum over millions of customers stops where the last digits are noise.
    agreeing = sum(end[1] > highest - max(SAME, 1e-7 * abs(highest)) for end in ends)
    place = ends[0][0] if rough is None else climb(density, ends[0][0])[0]
    return polish(density, measure(density, place, agreeing))


def find_start(density: LogDensity, start: Floats, rng: np.random.Generator) -> Floats:
    """Choose where a chain begins: close to the highest end of a few climbs.

    Where the order of one parameter names the stages, there are low modes at which two stages share
    that parameter and the others are swapped. No chain leaves such a mode. With ten stages, three
    starting points in four lead to one; half as far from the middle of the prior, one in two. So a
    chain tries `N_LOOKS` points, half of them near, and climbs on from the `N_STARTS` that are
    highest after a few steps. Every chain has its own starting points, so chains can still
    disagree.

    Parameters
    ----------
    density : callable
        ``density(x)`` gives the log-density and its gradient.
    start : ndarray of shape (D,)
        The middle of the starting points.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (D,)
    """
    reach = SCATTER * np.where(np.arange(N_LOOKS) % 2, 0.5, 1.0)[:, None]
    starts = start + reach * rng.uniform(-1.0, 1.0, (N_LOOKS, len(start)))
    looks = sorted((climb(density, x, LOOK_STEPS) for x in starts), key=lambda end: -end[1])
    ends = [climb(density, x, FIRST_STEPS) for x, _ in looks[:N_STARTS]]
    top = max(ends, key=lambda end: end[1])[0]
    return top + rng.uniform(-NEAR, NEAR, len(start))


def climb(density: LogDensity, start: Floats, n_steps: int = 1000) -> tuple[Floats, float]:
    """Follow the gradient up (place, log-density there)."""
    from scipy.optimize import minimize

    def downhill(x: Floats) -> tuple[float, Floats]:
        value, gradient = density(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return IMPOSSIBLE, np.zeros_like(x)
        return -value, -gradient

    found = minimize(
        downhill,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": n_steps, "maxcor": 20, "ftol": 1e-12},
    )
    return found.x, float(-found.fun)


def polish(density: LogDensity, mode: Mode, n_steps: int = 3) -> Mode:
    """Take the last steps by Newton's method, as long as they lead up."""
    for _ in range(n_steps):
        if not 1e-9 < mode.left_to_gain < np.inf:
            break
        factor = spread_of(mode.curvature)
        step = factor @ (factor.T @ mode.gradient)
        if not density(mode.place + step)[0] > mode.logp:
            break
        mode = measure(density, mode.place + step, mode.n_agreeing)
    return mode


def measure(density: LogDensity, place: Floats, n_agreeing: int) -> Mode:
    """Measure height, gradient and curvature at a place."""
    logp, gradient = density(place)
    return Mode(place, logp, gradient, _bend(density, place), n_agreeing)


def _bend(density: LogDensity, place: Floats) -> Floats:
    """Minus the second derivatives (D, D), by central differences of the gradient."""
    steps = STEP * np.eye(len(place))
    rows = [(density(place - h)[1] - density(place + h)[1]) / (2 * STEP) for h in steps]
    return (np.array(rows) + np.array(rows).T) / 2


def spread_of(curvature: Floats) -> Floats:
    """Return L with ``L L' = inverse(curvature)``; no direction is wider than `WIDEST`."""
    values, vectors = np.linalg.eigh(np.where(np.isfinite(curvature), curvature, 0.0))
    return vectors / np.sqrt(np.maximum(values, WIDEST**-2))


class Weighed(NamedTuple):
    """Draws around a centre, and their weights."""

    places: Floats  # (draw, D)
    weights: Floats  # (draw,), which sum to 1
    khat: float  # Pareto's k of the weights; infinite where nothing can be said
    n_effective: float  # number of independent draws that the weighted ones are worth

    @property
    def problems(self) -> list[str]:
        """List why the posterior may not look like these draws."""
        if self.khat <= KHAT_LIMIT:
            return []
        return [
            f"the posterior is far from the normal distribution around its mode (Pareto k "
            f"{print_beside(self.khat, KHAT_LIMIT, 2)}, limit {KHAT_LIMIT}): use method='nuts'"
        ]

    def choose(self, n: int, rng: np.random.Generator) -> Floats:
        """Choose n draws, each as often as its weight says, in random order."""
        edges = np.cumsum(self.weights)
        chosen = np.searchsorted(edges / edges[-1], (np.arange(n) + rng.random()) / n, side="right")
        return self.places[rng.permutation(np.minimum(chosen, len(edges) - 1))]


def sample_around(density: LogDensity, mode: Mode, n: int, rng: np.random.Generator) -> Weighed:
    """Draw around the mode of a density, with the width of its curvature.

    The draws are resampled by their weights (`weigh_around`), unless the tail of the weights is too
    long for that to help: then they are kept as they are.

    Parameters
    ----------
    density : callable
    mode : Mode
    n : int
        Number of draws; the density is computed once for each.
    rng : numpy.random.Generator

    References
    ----------
    Tierney and Kadane (1986), *JASA* 81, for the approximation; Vehtari et al. (2024) for the
    weights; from memory.
    """
    factor = spread_of(mode.curvature)
    found = weigh_around(lambda x: density(x)[0], mode.place, factor, n, rng)
    return found if found.problems else found._replace(places=found.choose(n, rng))


def weigh_around(
    log_density: Callable[[Floats], float],
    centre: Floats,
    factor: Floats,
    n: int,
    rng: np.random.Generator,
    tail: float = TAIL,
) -> Weighed:
    """Draw ``x = centre + factor z``, and weight each draw by the ratio of the densities.

    z is Student's with `tail` degrees of freedom, with density q. The weights ``p(x) / q(z)`` are
    smoothed in their tail.
    """
    from arviz_stats.base import array_stats

    size = len(centre)
    z = rng.standard_normal((n, size)) * np.sqrt(tail / rng.chisquare(tail, (n, 1)))
    places = centre + z @ factor.T
    log_q = -0.5 * (tail + size) * np.log1p((z**2).sum(axis=1) / tail)
    logs = np.array([log_density(x) for x in places]) - log_q
    logs = np.where(np.isfinite(logs), logs, -np.inf)
    if n < 25 or not np.isfinite(logs).any():
        return Weighed(places, np.full(n, 1 / n), np.inf, 0.0)
    smoothed, khat = array_stats.psislw(-np.maximum(logs - logs.max(), -700.0))  # it flips signs
    weights = np.exp(smoothed - smoothed.max())
    weights /= weights.sum()
    return Weighed(places, weights, float(khat), float(1 / (weights**2).sum()))
