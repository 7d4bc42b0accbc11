"""Word of mouth by SciPy, by enumeration and by chance. Imports nothing from crmlab."""

import itertools

import numpy as np
from scipy import stats
from scipy.integrate import solve_ivp


def reach_law(mean, shape):
    """Return SciPy's negative binomial of a mean and shape."""
    return stats.nbinom(shape, shape / (shape + mean))


def reach_by_mixture(mean, shape, k):
    """P(N > k) as Poisson customers whose rates are Gamma, by integration over the quantiles."""
    rates = stats.gamma(shape, scale=mean / shape)
    return rates.expect(lambda rate: stats.poisson.sf(k, rate), epsabs=1e-11, limit=200)


def run_news(mean, shape, pass_on, n_runs, limit, rng):
    """Tellers in all of news that is told person by person; runs stop at `limit` tellers."""
    totals = np.ones(n_runs, dtype=np.int64)
    active = np.ones(n_runs, dtype=np.int64)
    while ((active > 0) & (totals < limit)).any():
        going = np.flatnonzero((active > 0) & (totals < limit))
        told = rng.negative_binomial(shape * active[going], shape / (shape + mean))
        active[going] = rng.binomial(told, pass_on)
        totals[going] += active[going]
    return totals


def hearer_probs(nodes, edges, seeds, pass_on, directed):
    """P(hears) of every node, by adding up all subsets of live edges."""
    probs = dict.fromkeys(nodes, 0.0)
    for live in itertools.product((False, True), repeat=len(edges)):
        weight = np.prod([pass_on if on else 1 - pass_on for on in live])
        heard = set(seeds)
        grew = True
        while grew:
            size = len(heard)
            for (a, b), on in zip(edges, live, strict=True):
                if on and a in heard:
                    heard.add(b)
                if on and not directed and b in heard:
                    heard.add(a)
            grew = len(heard) > size
        for node in heard:
            probs[node] += weight
    return probs


def cascade_as_it_happens(neighbours, seeds, pass_on, rng):
    """Size of one cascade in which every newcomer tries each neighbour once, coin by coin."""
    heard, front = set(seeds), list(seeds)
    while front:
        newcomers = []
        for person in front:
            for other in neighbours[person]:
                if other not in heard and rng.random() < pass_on:
                    heard.add(other)
                    newcomers.append(other)
        front = newcomers
    return len(heard)


def bass_adopted(p, q, times):
    """F(t) by numerical integration of the differential equation."""
    solved = solve_ivp(
        lambda _, F: (p + q * F) * (1 - F), (0, max(times)), [0.0], t_eval=times, rtol=1e-11,
        atol=1e-13,
    )  # fmt: skip
    return solved.y[0]


def worth_of_market(value, p, q, size, adopted, talkers, n_periods, rate):
    """Discounted value of the adopters to come, period by period."""
    worth, discount = 0.0, 1.0
    for _ in range(n_periods):
        discount /= 1 + rate
        new = (p + q * talkers / size) * (size - adopted)
        adopted, talkers, worth = adopted + new, talkers + new, worth + value * discount * new
    return worth
