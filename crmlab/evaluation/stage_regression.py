"""Stage probabilities learned from channels and truth, for worlds without an oracle.

A ridge regression of the stage on what the channels show at the time, before and after. It is
fitted on one half of the customers and used on the other, so nobody's own truth enters her
probabilities. It knows less than an oracle would, so what it cannot explain is a lead, not proof.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from crmlab.arrays import Floats, Ints
from crmlab.tables import CustomerTables, to_panel

_RIDGE = 1.0
_STEPS = 100


def learned_probs(
    tables: CustomerTables, stages: Ints, n_stages: int, trusted: Sequence[Ints] = ()
) -> Floats:
    """Probability of each stage given the channels, learned on other customers, (N, T, K).

    Parameters
    ----------
    tables : CustomerTables
        With integer periods.
    stages : ndarray of int (N, T)
        The truth; -1 where there is none.
    n_stages : int
    trusted : sequence of int arrays (N,) or (N, T)
        Classes of further columns that may be used.
    """
    X = channel_features(to_panel(tables, freq="M"))
    X = np.concatenate([X, *(_indicators(codes, stages.shape) for codes in trusted)], axis=-1)
    probs = np.full((*stages.shape, n_stages), 1 / n_stages)
    fold = np.arange(len(stages)) % 2
    for held_out in (0, 1):
        fitted = (fold != held_out)[:, None] & (stages >= 0)
        if fitted.any():
            weights = _fit(X[fitted], stages[fitted], n_stages)
            probs[fold == held_out] = _softmax(X[fold == held_out] @ weights)
    return probs


def channel_features(panel: xr.Dataset) -> Floats:
    """Values of each channel now, one period before and after, and past and future means.

    Returns
    -------
    ndarray of shape (N, T, F)
        Standardised; 0 where nothing was seen, with an indicator for it. The first column is 1.
    """
    names = [name for name in panel.data_vars if panel[name].dims == ("customer_id", "period")]
    names = [name for name in names if name != "observed"]
    shape = panel["observed"].shape
    columns = [np.broadcast_to(np.arange(shape[1], dtype=float), shape)]
    columns.append(np.cumsum(panel["observed"].values, axis=1))
    for name in names:
        columns += _views(panel[name].values.astype(float))
    X = np.stack(columns, axis=-1)
    spread = X.std(axis=(0, 1))
    X = (X - X.mean(axis=(0, 1))) / np.where(spread > 1e-12, spread, 1.0)
    return np.concatenate([np.ones((*shape, 1)), X], axis=-1)


def _indicators(codes: Ints, shape: tuple[int, int]) -> Floats:
    """One column per class but the first, (N, T, classes - 1)."""
    classes = np.broadcast_to(codes if codes.ndim == 2 else codes[:, None], shape)
    return np.eye(classes.max() + 1)[classes][..., 1:]


def _views(values: Floats) -> list[Floats]:
    seen = ~np.isnan(values)
    now = np.sign(values) * np.log1p(np.abs(values))
    now = np.where(seen, now, 0.0)
    blank = np.zeros((len(now), 1))
    before, after = np.hstack([blank, now[:, :-1]]), np.hstack([now[:, 1:], blank])
    so_far = now.cumsum(axis=1) / np.maximum(seen.cumsum(axis=1), 1)
    onward = now[:, ::-1].cumsum(axis=1) / np.maximum(seen[:, ::-1].cumsum(axis=1), 1)
    return [now, (now != 0).astype(float), seen.astype(float), before, after, so_far,
            onward[:, ::-1]]  # fmt: skip


def _fit(X: Floats, stages: Ints, n_stages: int) -> Floats:
    """Weights (F, K) of a multinomial logistic regression with a ridge."""
    from scipy.optimize import minimize

    hits = np.eye(n_stages)[stages]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(X.shape[1], n_stages)
        scores = X @ weights
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        slope = X.T @ (np.exp(logs) - hits) + _RIDGE * weights
        return -(hits * logs).sum() + 0.5 * _RIDGE * (weights**2).sum(), slope.ravel()

    start = np.zeros(X.shape[1] * n_stages)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return found.x.reshape(X.shape[1], n_stages)


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
