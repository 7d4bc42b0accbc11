"""Learning by doing: how long to test, and how to earn while testing.

**Test and roll** (Feit & Berman 2019, *Marketing Science* 38(6), 1038-1058). Two treatments, a
finite population of N customers: n see each in a test, and the rest get the winner. With a
normal prior N(mu, sigma^2) for each treatment's mean, and responses of standard deviation s, the
expected profit and the size that maximises it are

    profit(n) = N mu + (N - 2n) sigma^2 / sqrt(pi (sigma^2 + s^2/n)),
    n* = sqrt(N/4 (s/sigma)^2 + (3/4 (s/sigma)^2)^2) - 3/4 (s/sigma)^2.

It grows with the root of N: a test that is "significant" is usually far too large, because those
who are tested on the worse treatment are customers too.

**Bandits** never stop testing, but test less and less. *Thompson sampling* draws each treatment's
rate from its posterior and takes the largest: each is tried as often as it is likely to be best.
`regret_curves` compares rules in simulated worlds. Regret is how much more the best treatment of
the world would have brought, in expected responses.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, count_problems, number_problems
from crmlab.errors import SpecError, raise_problems, wrong
from crmlab.value.inputs import as_floats

# A rule sees successes and failures so far (worlds, arms), the customers served, and a generator.
Rule = Callable[[Floats, Floats, int, np.random.Generator], NDArray[np.intp]]


class TrialPlan(NamedTuple):
    """Size of each test group, and what it brings."""

    n: float
    profit: float
    profit_untested: float
    profit_known: float


def plan_trial(n_customers: int, *, mean: float, prior_sd: float, response_sd: float) -> TrialPlan:
    """Profit-maximising size of each of two test groups, and the profit, in responses.

    Parameters
    ----------
    n_customers : int
        N: customers who will get one of two treatments, including those in the test.
    mean, prior_sd : float
        mu and sigma: prior of each treatment's mean response per customer.
    response_sd : float
        s: standard deviation of one customer's response; sqrt(mu (1-mu)) for yes or no.

    Returns
    -------
    TrialPlan
        `n`: customers in each group, not rounded, at most N/2; expected `profit` with it,
        `profit_untested` of a treatment taken at random, `profit_known` if both means were known.

    Raises
    ------
    SpecError
        Numbers that are not positive. All problems at once.

    References
    ----------
    Feit and Berman (2019), the closed form of the profit-maximising size; the profit function is
    derived here, and its derivative is 0 there.

    Examples
    --------
    >>> found = plan_trial(100_000, mean=0.68, prior_sd=0.03, response_sd=(0.68 * 0.32) ** 0.5)
    >>> round(found.n)
    2284
    """
    named = {"n_customers": n_customers, "prior_sd": prior_sd, "response_sd": response_sd}
    problems = [*number_problems(named, above=0), *number_problems({"mean": mean})]
    raise_problems(SpecError, "plan_trial", problems)
    noise = (response_sd / prior_sd) ** 2
    # The same root, without the difference of two large numbers.
    quarter, shift = n_customers / 4 * noise, 0.75 * noise
    n = quarter / (math.sqrt(quarter + shift**2) + shift)
    profit = float(
        trial_profit(n, n_customers, mean=mean, prior_sd=prior_sd, response_sd=response_sd)
    )
    untested = n_customers * mean
    return TrialPlan(n, profit, untested, untested + n_customers * prior_sd / math.sqrt(math.pi))


def trial_profit(
    n: ArrayLike, n_customers: int, *, mean: float, prior_sd: float, response_sd: float
) -> Floats:
    """Return the expected profit, in responses, of a test with n customers in each of two groups.

    Parameters
    ----------
    n : array_like
        Customers in each group, between 0 and N/2.
    n_customers, mean, prior_sd, response_sd
        As in `plan_trial`.

    Returns
    -------
    ndarray of the shape of `n`

    Examples
    --------
    >>> trial_profit([0, 10, 50], 100, mean=0.5, prior_sd=0.1, response_sd=0.5).round(2).tolist()
    [50.0, 52.41, 50.0]
    """
    n = as_floats("n", n)
    if (n < 0).any() or (2 * n > n_customers).any():
        raise SpecError(f"trial_profit: `n` must lie between 0 and {n_customers / 2:g}")
    spread = prior_sd**2 * np.sqrt(n) / np.sqrt(math.pi * (prior_sd**2 * n + response_sd**2))
    return n_customers * mean + (n_customers - 2 * n) * spread


def thompson(
    successes: Floats, failures: Floats, served: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw every rate from its Beta(1 + successes, 1 + failures) posterior; take the largest."""
    return rng.beta(1 + successes, 1 + failures).argmax(axis=-1)


def greedy(
    successes: Floats, failures: Floats, served: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Take the highest posterior mean, ties at random; it may settle on the wrong treatment."""
    means = (1 + successes) / (2 + successes + failures)
    return (means + 1e-9 * rng.random(means.shape)).argmax(axis=-1)


def even_split(
    successes: Floats, failures: Floats, served: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Take each treatment with the same probability for ever: a test without end."""
    return rng.integers(successes.shape[-1], size=successes.shape[:-1])


def trial_then_winner(n: int) -> Rule:
    """Make the rule that tries each treatment on n customers, then gives everybody the winner.

    Examples
    --------
    >>> rule = trial_then_winner(2)
    >>> won, lost = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])  # two tried, and one
    >>> int(rule(won, lost, 3, None)[0]), int(rule(won, lost + [[0, 1]], 4, None)[0])
    (1, 0)
    """

    def rule(
        successes: Floats, failures: Floats, served: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        tried = successes + failures
        winner = (successes / np.maximum(tried, 1)).argmax(axis=-1)
        return np.where(tried.min(axis=-1) < n, tried.argmin(axis=-1), winner)

    return rule


def regret_curves(
    rates: ArrayLike,
    rules: Mapping[str, Rule],
    *,
    n_customers: int,
    batch: int = 1,
    seed: int,
) -> dict[str, Floats]:
    """Cumulative regret, in expected responses, of rules that choose a treatment per customer.

    Parameters
    ----------
    rates : array_like of shape (worlds, arms)
        True response rate of each treatment in each world: draws from a prior, or the stages of one
        firm, each learned separately.
    rules : mapping of str to rule
        `thompson`, `greedy`, `even_split`, `trial_then_winner(n)`, or any function of (successes,
        failures, customers served, rng) that returns a treatment per world.
    n_customers : int
        Customers served one after the other in each world.
    batch : int
        Customers who get one treatment before results come in.
    seed : int

    Returns
    -------
    dict of str to ndarray of shape (worlds, steps)
        Regret after each batch; multiply by the margin of a response for currency.

    Raises
    ------
    SpecError
        Rates that are not probabilities, or numbers of customers that are not positive.

    Examples
    --------
    >>> curves = regret_curves([[0.1, 0.9]], {"even": even_split}, n_customers=1000, seed=1)
    >>> bool(abs(curves["even"][0, -1] / 1000 - 0.4) < 0.05)
    True
    """
    rates = as_floats("rates", rates)
    problems = count_problems({"n_customers": n_customers, "batch": batch})
    if rates.ndim != 2 or rates.shape[1] < 2 or not ((rates >= 0) & (rates <= 1)).all():
        problems.append(wrong("rates", "probabilities (worlds, 2 arms or more)", rates.shape))
    raise_problems(SpecError, "regret_curves", problems)
    streams = np.random.default_rng(seed).spawn(len(rules))
    return {
        name: _play(rates, rule, n_customers, batch, rng)
        for (name, rule), rng in zip(rules.items(), streams, strict=True)
    }


def _play(
    rates: Floats, rule: Rule, n_customers: int, batch: int, rng: np.random.Generator
) -> Floats:
    successes, failures = np.zeros(rates.shape), np.zeros(rates.shape)
    worlds, lost = np.arange(len(rates)), []
    for served in range(0, n_customers, batch):
        size = min(batch, n_customers - served)
        arm = rule(successes, failures, served, rng)
        rate = rates[worlds, arm]
        won = rng.binomial(size, rate)
        successes[worlds, arm] += won
        failures[worlds, arm] += size - won
        lost.append(size * (rates.max(axis=1) - rate))
    return np.cumsum(np.stack(lost, axis=1), axis=1)
