"""What to do when the stage is hidden: policies on beliefs.

A firm that only sees signals (visits, replies, complaints) holds a *belief* b, the filtered
probabilities of the stages. Taking action a and then seeing y updates it by Bayes' rule,

    b'(s') is proportional to m_y(s') sum_s b(s) P_a[s, s'],

and the best value solves Bellman's equation on beliefs, with q = 1/(1+d),

    V(b) = max over a of  r(b, a) + q sum_y Pr(y | b, a) V(b'),

as Montoya, Netzer & Jedidi (2010, *Marketing Science* 29(5), 909-924) do for detailing and samples.
V is convex: knowing more cannot hurt. Over n periods it is the upper edge of finitely many planes
(`plan_beliefs`, exact, for small problems; Smallwood & Sondik 1973, *Operations Research* 21(5),
1071-1088). Over an infinite horizon, it lies between two bounds:

    below   `improve_planes`: planes of policies that can be carried out, improved at chosen
            beliefs only (Pineau, Gordon & Thrun 2003), started from doing one thing for ever
    above   `qmdp`: acts now as if the stage were known from the next period on (Littman, Cassandra
            & Kaelbling 1995), so it never pays for information

Where both bounds choose the same action, or are close, QMDP is enough: look at the gap first.
(Sources other than the first are given from memory.)
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import Floats, are_probs
from crmlab.errors import SpecError, raise_problems
from crmlab.policy.inputs import read_actions
from crmlab.policy.programme import iterate_policy
from crmlab.value.inputs import as_floats, read_probs

_MOST_PLANES = 20_000


class Planes(NamedTuple):
    """A value function on beliefs: V(b) = max over planes of b . plane."""

    action: NDArray[np.intp]
    plane: Floats

    def value(self, belief: ArrayLike) -> Floats:
        """Value of beliefs (..., K), in currency."""
        return (np.asarray(belief, dtype=float) @ self.plane.T).max(axis=-1)

    def best(self, belief: ArrayLike) -> NDArray[np.intp]:
        """Index of the action to take at beliefs (..., K)."""
        return self.action[(np.asarray(belief, dtype=float) @ self.plane.T).argmax(axis=-1)]


def update_belief(belief: ArrayLike, P: ArrayLike, likelihood: ArrayLike) -> Floats:
    """Probabilities of the stages after one period and one signal.

    Parameters
    ----------
    belief : array_like of shape (..., K)
        Probabilities of the stages now.
    P : array_like of shape (K, K)
        Transition matrix of the period, under the action that was taken.
    likelihood : array_like of shape (..., K)
        Probability (or density) of what was seen in each stage at the end of the period.

    Returns
    -------
    ndarray of shape (..., K)

    Raises
    ------
    SpecError
        The signal is impossible in every stage that the belief leads to.

    Examples
    --------
    >>> update_belief([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], [0.3, 0.9]).round(3)
    array([0.289, 0.711])
    """
    P, likelihood = as_floats("P", P), as_floats("likelihood", likelihood)
    probs = read_probs("update_belief", "belief", belief, P.shape[-1])
    weight = (probs @ P) * likelihood
    total = weight.sum(axis=-1, keepdims=True)
    if not (total > 0).all():
        raise SpecError("update_belief: the signal is impossible in every stage that can be next")
    return weight / total


def qmdp(P: ArrayLike, margin: ArrayLike, cost: ArrayLike, *, discount_rate: float) -> Planes:
    """Upper bound of the value of a belief, in currency, as if the stage were known from then on.

    One plane per action: Q(a, .) of the programme with known stages.

    Parameters
    ----------
    P : array_like of shape (A, K, K)
    margin : array_like of shape (K,)
    cost : array_like of shape (A,) or (A, K)
    discount_rate : float
        As in `best_action`.

    Returns
    -------
    Planes

    Examples
    --------
    >>> P = [[[0.8, 0.2], [0, 1]], [[0.9, 0.1], [0, 1]]]
    >>> bound = qmdp(P, [100, 0], [0, 30], discount_rate=0.10)
    >>> bound.value([0.6, 0.4]).round(1), bound.best([[0.6, 0.4], [1, 0]]).tolist()
    (np.float64(228.0), [0, 1])
    """
    P, reward, keep = read_actions("qmdp", P, margin, cost, discount_rate)
    _check_single("qmdp", P)
    return Planes(np.arange(len(P)), iterate_policy(P, reward, keep).action_values)


def blind_planes(
    P: ArrayLike, margin: ArrayLike, cost: ArrayLike, *, discount_rate: float
) -> Planes:
    """Lower bound of the value of a belief, in currency: one action for ever, whatever is seen.

    Parameters
    ----------
    P, margin, cost, discount_rate
        As in `qmdp`.

    Returns
    -------
    Planes
        One for each action.
    """
    P, reward, keep = read_actions("blind_planes", P, margin, cost, discount_rate)
    _check_single("blind_planes", P)
    values = np.linalg.solve(np.eye(P.shape[-1]) - keep * P, reward[..., None])[..., 0]
    return Planes(np.arange(len(P)), values)


def plan_beliefs(
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    signal_probs: ArrayLike,
    *,
    discount_rate: float,
    n_periods: int,
) -> Planes:
    """Exact value of every belief over a horizon, in currency, and the best action now.

    Parameters
    ----------
    P : array_like of shape (A, K, K)
    margin : array_like of shape (K,)
    cost : array_like of shape (A,) or (A, K)
    signal_probs : array_like of shape (K, Y)
        Probability of each signal at the end of a period, given the stage then; rows sum to 1.
    discount_rate : float
        d: a fraction per period of `P`.
    n_periods : int
        Periods in which something is earned, including the present one. Work can grow very fast
        with it; more than 20,000 planes at a time are refused.

    Returns
    -------
    Planes
        Those that are best at some belief.

    Raises
    ------
    SpecError
        As in `best_action`; signals that are not probabilities; too many planes.

    Examples
    --------
    >>> P = [[[0.8, 0.2], [0, 1]], [[0.9, 0.1], [0, 1]]]
    >>> signals = [[0.3, 0.7], [1, 0]]  # silent or active; the lost are silent
    >>> plan = plan_beliefs(P, [100, 0], [0, 8], signals, discount_rate=0.10, n_periods=3)
    >>> plan.value([0.9, 0.1]).round(2), plan.best([[0.9, 0.1], [0.3, 0.7]]).tolist()
    (np.float64(209.75), [1, 0])
    """
    P, reward, keep = read_actions("plan_beliefs", P, margin, cost, discount_rate, n_periods)
    _check_single("plan_beliefs", P)
    signals = _read_signals("plan_beliefs", signal_probs, P.shape[-1])
    if n_periods is None:
        raise SpecError("plan_beliefs: needs a number of periods; for ever, use `improve_planes`")
    planes = _keep_useful(Planes(np.arange(len(P)), reward))
    for _ in range(n_periods - 1):
        planes = _keep_useful(_back_up_all(P, reward, keep, signals, planes.plane))
    return planes


def improve_planes(
    P: ArrayLike,
    margin: ArrayLike,
    cost: ArrayLike,
    signal_probs: ArrayLike,
    beliefs: ArrayLike,
    *,
    discount_rate: float,
    n_rounds: int = 50,
) -> Planes:
    """Lower bound of the value of every belief for ever, in currency, improved at chosen beliefs.

    Parameters
    ----------
    P, margin, cost, signal_probs
        As in `plan_beliefs`.
    beliefs : array_like of shape (n, K)
        Where to improve; filtered probabilities of real customers are a natural choice.
    discount_rate : float
        d: a fraction per period of `P`, above 0.
    n_rounds : int
        Each round looks one period further ahead.

    Returns
    -------
    Planes
        Each is the value of a policy that can be carried out, so the largest is a lower bound.

    Raises
    ------
    SpecError
        As in `plan_beliefs`.

    Examples
    --------
    >>> P = [[[0.8, 0.2], [0, 1]], [[0.9, 0.1], [0, 1]]]
    >>> signals, grid = [[0.3, 0.7], [1, 0]], [[1, 0], [0.5, 0.5], [0.1, 0.9]]
    >>> below = improve_planes(P, [100, 0], [0, 30], signals, grid, discount_rate=0.10)
    >>> above = qmdp(P, [100, 0], [0, 30], discount_rate=0.10)
    >>> (above.value(grid) - below.value(grid)).round(2).tolist()
    [5.87, 2.61, 0.52]
    """
    P, reward, keep = read_actions("improve_planes", P, margin, cost, discount_rate)
    _check_single("improve_planes", P)
    signals = _read_signals("improve_planes", signal_probs, P.shape[-1])
    points = np.atleast_2d(read_probs("improve_planes", "beliefs", beliefs, P.shape[-1]))
    planes = blind_planes(P, margin, cost, discount_rate=discount_rate)
    for _ in range(n_rounds):
        better = _back_up_at(points, P, reward, keep, signals, planes.plane)
        # A backup at few points can lose what another plane has elsewhere: keep the better one.
        old = planes.plane[(points @ planes.plane.T).argmax(axis=1)]
        gains = (points * (better.plane - old)).sum(axis=1) > 0
        if not gains.any():
            break
        planes = _distinct(
            np.concatenate([planes.action, better.action[gains]]),
            np.concatenate([planes.plane, better.plane[gains]]),
        )
        planes = _used_at(points, planes)
    return planes


def _check_single(owner: str, P: Floats) -> None:
    if P.ndim != 3:
        raise SpecError(
            f"{owner}: `P` must have shape (actions, K, K), got {P.shape}; plan draw by draw"
        )


def _read_signals(owner: str, signal_probs: ArrayLike, n_stages: int) -> Floats:
    signals = as_floats("signal_probs", signal_probs)
    problems = []
    if signals.ndim != 2 or len(signals) != n_stages:
        problems.append(
            f"`signal_probs` must have shape ({n_stages}, signals), got {signals.shape}"
        )
    elif not are_probs(signals):
        problems.append("`signal_probs` must hold probabilities that sum to 1 in each stage")
    raise_problems(SpecError, owner, problems)
    return signals


def _project(P: Floats, keep: float, signals: Floats, planes: Floats) -> Floats:
    """Q P_a diag(m_y) plane: each plane seen from one period before (A, Y, planes, K)."""
    weighted = signals.T[:, None, :] * planes  # (Y, planes, K)
    return keep * np.einsum("aij,ypj->aypi", P, weighted)


def _back_up_all(P: Floats, reward: Floats, keep: float, signals: Floats, planes: Floats) -> Planes:
    """All planes of one more period: every action, with every choice of a plane per signal."""
    projected = _project(P, keep, signals, planes)
    actions, found = [], []
    for a, by_signal in enumerate(projected):
        sums = reward[a][None]
        for choices in by_signal:
            sums = _useful_planes((sums[:, None, :] + choices[None]).reshape(-1, P.shape[-1]))
        actions.append(np.full(len(sums), a))
        found.append(sums)
    return Planes(np.concatenate(actions), np.concatenate(found))


def _back_up_at(
    points: Floats, P: Floats, reward: Floats, keep: float, signals: Floats, planes: Floats
) -> Planes:
    """Find the best plane of one more period at each belief."""
    projected = _project(P, keep, signals, planes)
    scores = np.einsum("aypi,ni->nayp", projected, points)
    choice = scores.argmax(axis=-1)  # (n, A, Y)
    a, y = np.ogrid[: len(P), : signals.shape[1]]
    chosen = projected[a, y, choice].sum(axis=2) + reward  # (n, A, K)
    action = np.einsum("nai,ni->na", chosen, points).argmax(axis=1)
    return Planes(action, chosen[np.arange(len(points)), action])


def _used_at(points: Floats, planes: Planes) -> Planes:
    used = np.unique((points @ planes.plane.T).argmax(axis=1))
    return Planes(planes.action[used], planes.plane[used])


def _distinct(action: NDArray[np.intp], plane: Floats) -> Planes:
    _, first = np.unique(plane.round(9), axis=0, return_index=True)
    return Planes(action[first], plane[first])


def _keep_useful(planes: Planes) -> Planes:
    kept = _useful_rows(planes.plane)
    return Planes(planes.action[kept], planes.plane[kept])


def _useful_planes(planes: Floats) -> Floats:
    return planes[_useful_rows(planes)]


def _useful_rows(planes: Floats) -> NDArray[np.intp]:
    """Rows that are highest at some belief, one of each.

    The cheap tests first: equal planes, planes below another everywhere, and planes that win at a
    corner. What is left is decided by linear programming.
    """
    if len(planes) > _MOST_PLANES:
        raise SpecError(
            f"plan_beliefs: needs {len(planes):,} planes at a time, over {_MOST_PLANES:,}: use a "
            "shorter horizon, fewer signals, or `improve_planes`"
        )
    _, rows = np.unique(planes.round(12), axis=0, return_index=True)
    rows = np.sort(rows)
    below = [
        any((planes[other] >= planes[row]).all() for other in rows if other != row) for row in rows
    ]
    rows = rows[~np.array(below)]
    kept: list[int] = sorted(set(rows[planes[rows].argmax(axis=0)].tolist()))
    for row in rows:
        if row not in kept and _wins_somewhere(planes[row], planes[kept]):
            kept.append(int(row))
    # A plane that was kept early may be below the later ones taken together.
    return np.array(
        [r for r in kept if _wins_somewhere(planes[r], planes[[k for k in kept if k != r]])]
    )


def _wins_somewhere(plane: Floats, others: Floats) -> bool:
    """Whether some belief puts a plane above all others: the largest lead, by linear programme."""
    from scipy.optimize import linprog

    if not len(others):
        return True
    scale = np.abs(others - plane).max()
    rows = np.column_stack([(others - plane) / scale, np.ones(len(others))])
    found = linprog(
        np.append(np.zeros(len(plane)), -1.0),
        A_ub=rows,
        b_ub=np.zeros(len(others)),
        A_eq=np.append(np.ones(len(plane)), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, 1)] * len(plane) + [(None, None)],
    )
    return -found.fun > 1e-10
