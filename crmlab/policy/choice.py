"""One decision for all draws: how certain it is, what it may cost, what knowing more is worth.

A different policy may be best under each posterior draw of the matrices. A firm can carry out only
one. It takes the policy with the highest mean value over the draws, and asks three questions:

* in what share of the draws is each action the best (`prob_best`);
* how much is lost, on average, because the truth may be another draw (`regret`): this is the value
  of perfect information, EVPI = E max - max E, and the most that any study may cost;
* what a study of a given size would be worth (`evsi`).

If all draws agree about what to do, further research is worthless, however wide they are.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, are_probs, count_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.policy.inputs import read_actions, read_weights
from crmlab.policy.programme import iterate_policy, value_policy
from crmlab.value.inputs import as_floats

# Up to so many policies x draws are valued one by one; beyond, the search is a climb.
_EXHAUSTIVE = 100_000

Score = Callable[[NDArray[np.intp]], float]


class Choice(NamedTuple):
    """One policy for all draws, and how certain it is."""

    policy: NDArray[np.intp]
    value: Floats
    prob_best: Floats
    regret: Floats
    evpi: float
    exact: bool


def choose_policy(
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    *,
    discount_rate: float,
    n_customers: ArrayLike | None = None,
) -> Choice:
    """Policy with the highest mean value over posterior draws, and what is at stake, in currency.

    Parameters
    ----------
    P : array_like of shape (draws, A, K, K)
        Draws of the transition matrix under each action; flatten (chain, draw) first.
    margin : array_like of shape (K,) or (draws, K)
        Currency per period in each stage.
    cost : array_like of shape (A,), (A, K) or (draws, A, K)
        Currency per customer and period under each action.
    discount_rate : float
        d: a fraction per period of `P`, above 0.
    n_customers : array_like of shape (K,), optional
        Customers in each stage, as weights; one in each if left out.

    Returns
    -------
    Choice
        `policy` (K,); `value` (draws, K) under it; `prob_best` (A, K): share of draws whose best
        policy takes the action; `regret` (draws, K): best value of the draw less `value`; `evpi`:
        mean regret of all customers, in currency; `exact`: whether all A^K policies were compared.
        If not, the best policies of the draws were compared, each improved one stage at a time,
        and `evpi` is an upper bound.

    Raises
    ------
    SpecError
        As in `best_action`, or no draws.

    Examples
    --------
    >>> plain, offer = [[0.8, 0.2], [0, 1]], [[0.9, 0.1], [0, 1]]
    >>> weak = [[0.82, 0.18], [0, 1]]
    >>> P = [[plain, offer], [plain, weak]]  # two draws: the offer works, or hardly
    >>> found = choose_policy(P, [100, 0], [0, 20], discount_rate=0.10)
    >>> found.policy.tolist(), found.prob_best[1].tolist(), round(found.evpi, 2)
    ([1, 0], [0.5, 0.0], 26.19)
    """
    P, reward, keep = read_actions("choose_policy", P, margin, cost, discount_rate)
    if P.ndim != 4:
        raise SpecError(
            f"choose_policy: `P` must have shape (draws, actions, K, K), got {P.shape}; one "
            "known matrix per action needs `best_action`"
        )
    weights = read_weights("choose_policy", n_customers, P.shape[-1])
    best = iterate_policy(P, reward, keep)
    policy, exact = _search(P, reward, keep, weights, best.action)
    value = value_policy(P, reward, keep, policy)
    # No policy is above the best one, but rounding may make it look so.
    regret = np.maximum(best.value - value, 0.0)
    actions = np.arange(P.shape[1])[:, None]
    prob_best = (best.action[:, None, :] == actions).mean(axis=0)
    return Choice(policy, value, prob_best, regret, float(regret.mean(axis=0) @ weights), exact)


def _search(
    P: Floats, reward: Floats, keep: float, weights: Floats, candidates: NDArray[np.intp]
) -> tuple[NDArray[np.intp], bool]:
    """Find the policy of the highest mean value, by comparing all or by climbing."""
    n_draws, n_actions, n_stages = P.shape[:3]

    def score(policy: NDArray[np.intp]) -> float:
        return float(value_policy(P, reward, keep, policy).mean(axis=0) @ weights)

    if n_draws * n_actions**n_stages <= _EXHAUSTIVE:
        policies = np.array(list(product(range(n_actions), repeat=n_stages)))
        return _highest(policies, score), True
    starts = _most_frequent(candidates, 5)
    return _highest(np.array([_climb(start, n_actions, score) for start in starts]), score), False


def _highest(policies: NDArray[np.intp], score: Score) -> NDArray[np.intp]:
    scores = np.array([score(policy) for policy in policies])
    slack = 1e-12 * np.abs(scores).max(initial=1.0)
    return policies[np.argmax(scores >= scores.max() - slack)]


def _most_frequent(policies: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    distinct, counts = np.unique(policies, axis=0, return_counts=True)
    return distinct[np.argsort(-counts, kind="stable")[:n]]


def _climb(policy: NDArray[np.intp], n_actions: int, score: Score) -> NDArray[np.intp]:
    """Improve one stage at a time until no single change helps."""
    best, improved = score(policy), True
    while improved:
        improved = False
        for stage, action in product(range(len(policy)), range(n_actions)):
            other = np.where(np.arange(len(policy)) == stage, action, policy)
            worth = score(other)
            if worth > best * (1 + 1e-12 * np.sign(best)):
                policy, best, improved = other, worth, True
    return policy


def evpi(net_benefit: ArrayLike) -> float:
    """Value, in currency, of knowing everything before choosing: E max - max E.

    Parameters
    ----------
    net_benefit : array_like of shape (draws, options)
        What each option brings under each draw, in currency.

    Returns
    -------
    float

    Examples
    --------
    >>> evpi([[10, 0], [0, 4]])
    2.0
    """
    benefit = _read_benefit("evpi", net_benefit)
    return float(benefit.max(axis=1).mean() - benefit.mean(axis=0).max())


def evsi(net_benefit: ArrayLike, loglik: ArrayLike) -> float:
    """Value, in currency, of a study before choosing: E max given its result - max E.

    Each simulated result reweights the draws by its likelihood, the option with the highest
    reweighted mean is chosen, and the means of these choices are averaged. With few draws per
    result the weights are noisy and the answer is too high: thousands of draws are cheap here.

    Parameters
    ----------
    net_benefit : array_like of shape (draws, options)
        What each option brings under each draw, in currency.
    loglik : array_like of shape (results, draws)
        Log probability of each simulated result under each draw, up to a constant per result;
        results must be simulated from the draws (`simulate_trial`).

    Returns
    -------
    float
        Between 0 and `evpi`, up to simulation error, before the cost of the study.

    Raises
    ------
    SpecError
        Shapes that do not fit, or a result that is impossible under every draw.

    Examples
    --------
    >>> certain = np.log([[1, 1e-300], [1e-300, 1]])  # a study that says which draw is true
    >>> evsi([[10, 0], [0, 4]], certain)
    2.0
    """
    benefit = _read_benefit("evsi", net_benefit)
    logs = as_floats("loglik", loglik)
    if logs.ndim != 2 or logs.shape[1] != len(benefit) or not len(logs):
        raise SpecError(
            f"evsi: `loglik` must have shape (results, {len(benefit)}), got {logs.shape}"
        )
    peak = logs.max(axis=1, keepdims=True)
    if not np.isfinite(peak).all():
        raise SpecError("evsi: `loglik` holds a result that is impossible under every draw")
    weights = np.exp(logs - peak)
    weights /= weights.sum(axis=1, keepdims=True)
    chosen = (weights @ benefit).max(axis=1).mean()
    return float(max(chosen - benefit.mean(axis=0).max(), 0.0))


def simulate_trial(
    rows: ArrayLike, n_customers: int, *, n_results: int, rng: np.random.Generator
) -> Floats:
    """Log likelihoods of simulated trials of one action in one stage, for `evsi`.

    Each trial moves `n_customers` customers one period under the row of a draw chosen at random.

    Parameters
    ----------
    rows : array_like of shape (draws, K)
        Draws of the transition probabilities out of the stage under the action.
    n_customers : int
        Size of the trial.
    n_results : int
        Trials to simulate.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_results, draws)
        Multinomial log likelihood of each result under each draw, up to a constant per result.
        For two independent trials, add their log likelihoods, simulated from the same draws.
    """
    rows = as_floats("rows", rows)
    problems = count_problems({"n_customers": n_customers, "n_results": n_results})
    if rows.ndim != 2 or not are_probs(rows):
        problems.append("`rows` must hold probabilities (draws, K) that sum to 1")
    raise_problems(SpecError, "simulate_trial", problems)
    counts = rng.multinomial(n_customers, rows[rng.integers(len(rows), size=n_results)])
    with np.errstate(divide="ignore"):
        logs = np.log(rows)
    # 0 * log 0 = 0: only moves that were seen count.
    seen = np.where(np.isfinite(logs), logs, 0.0)
    impossible = (counts @ (~np.isfinite(logs)).T) > 0
    return np.where(impossible, -np.inf, counts @ seen.T)


def _read_benefit(owner: str, net_benefit: ArrayLike) -> Floats:
    benefit = as_floats("net_benefit", net_benefit)
    if benefit.ndim != 2 or not benefit.size or not np.isfinite(benefit).all():
        raise SpecError(
            f"{owner}: `net_benefit` must be finite, of shape (draws, options), got {benefit.shape}"
        )
    return benefit
