"""Hidden stages whose moves depend on covariates and on the customer, eight histories at once.

The matrices of `crmlab.models.kernel.scalar` may differ between customers and periods, but an
array of customers x periods x stages x stages costs more to write and read than the recursion
itself. Here the probabilities of moving are made in the registers, from what they depend on,

    eta_nt(i, j) = base(i, j) + sum_m x_nt(m) effect_m(i, j) + sum_r u_n(r) load_r(i, j),
    P_nt(i, j)   = exp eta_nt(i, j) / sum_l exp eta_nt(i, l),

and their gradient is added up at once, from the expected counts of moves:

    g_nt(i, j) = alpha_{t-1}(i) P_nt(i, j) [ w_t(j) - sum_l P_nt(i, l) w_t(l) ],
    d log L / d base = sum g,   / d effect_m = sum x_nt(m) g,   / d u_n(r) = sum load_r(i, j) g.

A move that is not allowed has a base of minus infinity; effects and loads are finite.

References
----------
Netzer, Lattin and Srinivasan (2008), *Marketing Science* 27(2), for such models; the recursion is
that of `crmlab.models.kernel.scalar`.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from crmlab.arrays import Floats, Ints
from crmlab.models.kernel import steps
from crmlab.models.kernel.scalar import Buffers, Gradient, new_buffers, walk_backward, walk_forward
from crmlab.models.kernel.simd import (
    WIDTH,
    broadcast,
    exponential,
    load,
    maximum,
    multiply_add,
    store,
)
from crmlab.models.kernel.steps import Group, new_group
from crmlab.transitions.base import Drivers


class DrivenGradient(NamedTuple):
    """Gradient of the log-likelihood; what belongs to moves is flat, (..., i, j, lane)."""

    initial: Floats  # (K,)
    table: Floats  # (V, K)
    rows: Floats  # the same, flat, and a row for cells outside a window
    base: Floats  # (i, j, lane)
    effects: Floats  # (covariate, i, j, lane)
    customers: Floats  # (N, R)


@register_jitable
def _new_gradient(initial: Floats, table: Floats, drivers: Drivers) -> DrivenGradient:
    cells = drivers.base.size * WIDTH
    rows = np.zeros(table.size + len(initial))
    return DrivenGradient(
        np.zeros_like(initial),
        rows[: table.size].reshape(table.shape),
        rows,
        np.zeros(cells),
        np.zeros(len(drivers.effects) * cells),
        np.zeros_like(drivers.customers),
    )


@register_jitable
def _load_drivers(
    covariates: Floats, customers: Floats, start: int, begin: int, end: int, x: Floats, u: Floats
) -> None:
    """Copy covariates to (period, covariate, lane), and the customers' own numbers to (r, lane).

    The covariates of the move from t - 1 to t stand at t.
    """
    n_rows, n_steps, n_columns = covariates.shape
    for t in range(begin + 1, end + 1):
        for lane in range(WIDTH):
            row, step = (start + lane) % n_rows, (t - 1) % n_steps
            for m in range(n_columns):
                x[(t * n_columns + m) * WIDTH + lane] = covariates[row, step, m]
    for lane in range(WIDTH):
        own = (start + lane) % len(customers)
        for r in range(customers.shape[1]):
            u[r * WIDTH + lane] = customers[own, r]


@register_jitable
def _weigh_moves(
    base: Floats,
    effects: Floats,
    loads: Floats,
    x: Floats,
    u: Floats,
    x_at: int,
    i: int,
    moves: Floats,
    inverses: Floats,
    at: int,
) -> None:
    """Make the weights of moving from stage i, (j, lane) of `moves`, and one over their sum.

    Kept apart, they save a division, or a multiplication and a store, per move.
    """
    n_states = len(base)
    row = at * n_states
    peak = broadcast(-np.inf)
    for j in range(n_states):
        eta = broadcast(base[i, j])
        for m in range(len(effects)):
            eta = multiply_add(load(x, x_at + m * WIDTH), broadcast(effects[m, i, j]), eta)
        for r in range(len(loads)):
            eta = multiply_add(load(u, r * WIDTH), broadcast(loads[r, i, j]), eta)
        store(moves, row + j * WIDTH, eta)
        peak = maximum(peak, eta)
    total = broadcast(0.0)
    for j in range(n_states):
        part = exponential(load(moves, row + j * WIDTH) - peak)
        store(moves, row + j * WIDTH, part)
        total = total + part
    store(inverses, at, broadcast(1.0) / total)


@register_jitable
def _predict(
    alpha: Floats, moves: Floats, inverses: Floats, before: Floats, here: int, n_states: int
) -> None:
    """Move one period on, each lane by its own matrix."""
    block = n_states * WIDTH
    for i in range(0, block, WIDTH):
        store(before, i, load(alpha, here - block + i) * load(inverses, here + i))
    for j in range(0, block, WIDTH):
        mass = broadcast(0.0)
        for i in range(n_states):
            step = load(moves, (here + i * WIDTH) * n_states + j)
            mass = multiply_add(load(before, i * WIDTH), step, mass)
        store(alpha, here + j, mass)


@register_jitable
def _step_back(
    alpha: Floats, weight: Floats, moved: Floats, moves: Floats, inverses: Floats, beta: Floats,
    slopes: Floats, base: Floats, here: int, t: int,
) -> None:  # fmt: skip
    """Bring beta one period back; store the gradient by this period's logits, (i, j, lane)."""
    block = len(beta)
    n_states = block // WIDTH
    mask = load(moved, t * WIDTH)
    for i in range(0, block, WIDTH):
        back = broadcast(0.0)
        row = (here + i) * n_states
        for j in range(0, block, WIDTH):
            back = multiply_add(load(weight, j), load(moves, row + j), back)
        inverse = load(inverses, here + i)
        back = back * inverse
        store(beta, i, back)
        was = load(alpha, here - block + i) * mask * inverse
        for j in range(0, block, WIDTH):
            gap = load(weight, j) - back
            slope = was * load(moves, row + j) * gap
            at = i * n_states + j
            store(slopes, at, slope)
            store(base, at, load(base, at) + slope)


@register_jitable
def _add_effects(slopes: Floats, x: Floats, x_at: int, n_columns: int, effects: Floats) -> None:
    """Add one period's gradient by the logits to that by the effects."""
    cells = len(slopes)
    for m in range(n_columns):
        amount = load(x, x_at + m * WIDTH)
        for cell in range(0, cells, WIDTH):
            at = m * cells + cell
            store(effects, at, multiply_add(load(slopes, cell), amount, load(effects, at)))


@register_jitable
def _add_customers(slopes: Floats, loads: Floats, sums: Floats) -> None:
    """Add one period's gradient by the logits to that by the customers (r, lane)."""
    n_loads, n_states, _ = loads.shape
    for r in range(n_loads):
        total = load(sums, r * WIDTH)
        for i in range(n_states):
            for j in range(n_states):
                at = (i * n_states + j) * WIDTH
                total = multiply_add(load(slopes, at), broadcast(loads[r, i, j]), total)
        store(sums, r * WIDTH, total)


class DrivenBuffers(NamedTuple):
    """What eight histories need beyond a `Group`: their moves and their drivers."""

    moves: Floats  # (period, i, j, lane): weights of moving, the largest of each row 1
    slopes: Floats  # (i, j, lane): gradient by the logits of one period
    inverses: Floats  # (period, i, lane): one over the sum of the weights of moving
    before: Floats  # (i, lane)
    x: Floats  # (period, covariate, lane)
    u: Floats  # (r, lane)
    sums: Floats  # (r, lane): gradient by u


@register_jitable
def _new_driven_buffers(n_periods: int, drivers: Drivers) -> DrivenBuffers:
    cells = drivers.base.size * WIDTH
    n_own = len(drivers.loads) * WIDTH
    return DrivenBuffers(
        np.empty(n_periods * cells),
        np.empty(cells),
        np.empty(n_periods * len(drivers.base) * WIDTH),
        np.empty(len(drivers.base) * WIDTH),
        np.empty(n_periods * len(drivers.effects) * WIDTH),
        np.empty(n_own),
        np.empty(n_own),
    )


@register_jitable
def _filter_group(
    group: Group, room: DrivenBuffers, initial: Floats, drivers: Drivers, densities: Floats,
    codes: Ints, span: tuple,
) -> None:  # fmt: skip
    """Filter eight customers through the periods of their windows."""
    first, _, alpha, seen, beta, _, _, inside, _, scales, rows = group
    moves, _, inverses, before, x, u, _ = room
    base, effects, covariates, loads, customers = drivers
    start, begin, end, all_begun, _ = span
    n_states, block = len(initial), len(beta)
    n_channels = codes.shape[2]
    steps.prepare(group, codes, span, n_states, len(densities) // n_states - 1)
    _load_drivers(covariates, customers, start, begin, end, x, u)
    for t in range(begin, end + 1):
        here = t * block
        steps.multiply_densities(seen, densities, rows, n_channels, n_states, t)
        if t > begin:
            for i in range(n_states):
                at, x_at = here + i * WIDTH, t * len(effects) * WIDTH
                _weigh_moves(base, effects, loads, x, u, x_at, i, moves, inverses, at)
            _predict(alpha, moves, inverses, before, here, n_states)
        if t <= all_begun:
            steps.set_initial(alpha, initial, first, here, t)
        steps.filter_period(alpha, seen, inside, scales, here, n_states, t)


@register_jitable
def _smooth_group(
    group: Group,
    room: DrivenBuffers,
    drivers: Drivers,
    codes: Ints,
    span: tuple,
    total: DrivenGradient,
) -> None:
    """Smooth eight customers, and add up their gradient."""
    first, last, alpha, seen, beta, weight, times, _, moved, _, rows = group
    moves, slopes, inverses, _, x, _, sums = room
    start, begin, end, all_begun, any_ended = span
    n_states, block = len(total.initial), len(beta)
    n_channels, n_columns = codes.shape[2], len(drivers.effects)
    sums[:] = 0.0
    steps.restart_beta(beta, last, times, end + 1)
    for t in range(end, begin - 1, -1):
        here = t * block
        steps.smooth_period(alpha, seen, beta, weight, here)
        steps.count_seen(alpha, total.rows, rows, n_channels, n_states, t)
        if t <= all_begun:
            steps.count_starts(weight, first, t, total.initial)
        if t > begin:
            _step_back(alpha, weight, moved, moves, inverses, beta, slopes, total.base, here, t)
            _add_effects(slopes, x, t * n_columns * WIDTH, n_columns, total.effects)
            _add_customers(slopes, drivers.loads, sums)
            if t > any_ended:
                steps.restart_beta(beta, last, times, t)
    for lane in range(WIDTH):
        own = (start + lane) % len(total.customers)
        for r in range(len(drivers.loads)):
            total.customers[own, r] += sums[r * WIDTH + lane]


# --- a customer whose densities underflow ---------------------------------------------------------


@register_jitable
def make_matrices(drivers: Drivers, n: int, matrices: Floats) -> None:
    """Make one customer's matrices (T - 1, K, K), by logarithms and sums of exponentials."""
    n_states = len(drivers.base)
    x, own = drivers.covariates[n % len(drivers.covariates)], n % len(drivers.customers)
    for t in range(len(matrices)):
        eta = matrices[t]
        eta[:] = drivers.base
        for m in range(len(drivers.effects)):
            eta += x[t % len(x), m] * drivers.effects[m]
        for r in range(len(drivers.loads)):
            eta += drivers.customers[own, r] * drivers.loads[r]
        for i in range(n_states):
            eta[i] = np.exp(eta[i] - eta[i].max())
            eta[i] /= eta[i].sum()


@register_jitable
def _add_gradient_of_one(
    drivers: Drivers, n: int, matrices: Floats, counts: Floats, total: DrivenGradient
) -> None:
    """Add the gradient by one customer's logits, from that by the matrices."""
    n_states = len(drivers.base)
    x, own = drivers.covariates[n % len(drivers.covariates)], n % len(drivers.customers)
    for t in range(len(matrices)):
        for i in range(n_states):
            mean = (matrices[t, i] * counts[t, i]).sum()
            for j in range(n_states):
                slope = matrices[t, i, j] * (counts[t, i, j] - mean)
                cell = (i * n_states + j) * WIDTH
                total.base[cell] += slope
                for m in range(len(drivers.effects)):
                    here = m * len(total.base) + cell
                    total.effects[here] += x[t % len(x), m] * slope
                for r in range(len(drivers.loads)):
                    total.customers[own, r] += drivers.loads[r, i, j] * slope


@register_jitable
def _walk_one(
    initial: Floats, drivers: Drivers, table: Floats, codes: Ints, window: tuple, times: float,
    n: int, buffers: Buffers, total: DrivenGradient,
) -> float:  # fmt: skip
    """Log-likelihood of one customer; the gradient is added to `total`."""
    n_states = len(initial)
    matrices = np.empty((max(codes.shape[1] - 1, 1), n_states, n_states))
    matrices[:] = 1.0
    if codes.shape[1] > 1:
        make_matrices(drivers, n, matrices)
    loglik = walk_forward(initial, matrices, table, codes[n], window, buffers)
    if loglik > -np.inf:
        counts = np.zeros((1, *matrices.shape))
        gradient = Gradient(total.initial, counts, total.table)
        walk_backward(matrices, codes[n], window, buffers, gradient, 0, times)
        _add_gradient_of_one(drivers, n, matrices, counts[0], total)
    return loglik


@register_jitable
def _sum_lanes(total: DrivenGradient, drivers: Drivers) -> tuple:
    """Add up the lanes of the gradient."""
    base = total.base.reshape(-1, WIDTH).sum(axis=1).reshape(drivers.base.shape)
    effects = total.effects.reshape(-1, WIDTH).sum(axis=1).reshape(drivers.effects.shape)
    return total.initial, base, effects, total.customers, total.table


@register_jitable
def _impossible(total: DrivenGradient, drivers: Drivers) -> tuple:
    return (
        np.asarray(-np.inf),
        np.zeros_like(total.initial),
        np.zeros_like(drivers.base),
        np.zeros_like(drivers.effects),
        np.zeros_like(total.customers),
        np.zeros_like(total.table),
    )


def loglik_and_gradient(
    initial: Floats, base: Floats, effects: Floats, customers: Floats, table: Floats,
    covariates: Floats, loads: Floats, codes: Ints, windows: Ints, times: Floats,
) -> tuple:  # fmt: skip
    """Log-likelihood of a panel, and its gradient, eight customers at a time.

    Parameters
    ----------
    initial, table, codes, windows, times
        As `crmlab.models.kernel.scalar.forward_backward` takes them.
    base, effects, customers, covariates, loads
        As in `Drivers`.

    Returns
    -------
    tuple of loglik (), and its gradient by initial, base, effects, customers, table
        An impossible history gives -inf and zero gradients.
    """
    drivers = Drivers(base, effects, covariates, loads, customers)
    n_states, n_periods = len(initial), codes.shape[1]
    densities, peaks = steps.relative_densities(table)
    group = new_group(n_periods, n_states, codes.shape[2])
    room, buffers = _new_driven_buffers(n_periods, drivers), new_buffers(n_periods, n_states)
    total = _new_gradient(initial, table, drivers)
    loglik = 0.0
    for start in range(0, len(codes), WIDTH):
        span = steps.assign_lanes(group, windows, times, start)
        _filter_group(group, room, initial, drivers, densities, codes, span)
        for lane in range(WIDTH):
            window, n = (group.first[lane], group.last[lane]), start + lane
            if window[0] > window[1]:
                continue
            if steps.has_underflowed(group.scales, lane):
                steps.clear_lane(group.alpha, group.seen, lane)
                group.first[lane], group.last[lane] = steps.NO_WINDOW
                one = _walk_one(initial, drivers, table, codes, window, times[n], n, buffers, total)
            else:
                one = steps.loglik_of(group.scales, peaks, codes, window, n, lane)
            loglik += times[n] * one
        if loglik == -np.inf:
            return _impossible(total, drivers)
        _smooth_group(group, room, drivers, codes, span, total)
    return np.asarray(loglik), *_sum_lanes(total, drivers)
