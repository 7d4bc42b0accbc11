"""Hidden stages whose moves depend on covariates and on the customer, eight histories at once.

The matrices of `crmlab.models.recursion` may differ between customers and periods, but an array of
customers x periods x stages x stages costs more to write and read than the recursion itself. Here
the probabilities of moving are made in the registers, from what they depend on,

    eta_nt(i, j) = base(i, j) + sum_m x_nt(m) effect_m(i, j) + sum_r u_n(r) load_r(i, j),
    P_nt(i, j)   = exp eta_nt(i, j) / sum_l exp eta_nt(i, l),

and their gradient is added up at once, from the expected counts of moves:

    g_nt(i, j) = alpha_{t-1}(i) P_nt(i, j) [ w_t(j) - sum_l P_nt(i, l) w_t(l) ],
    d log L / d base = sum g,   / d effect_m = sum x_nt(m) g,   / d u_n(r) = sum load_r(i, j) g.

A move that is not allowed has a base of minus infinity; effects and loads are finite.

References
----------
Netzer, Lattin and Srinivasan (2008), *Marketing Science* 27(2), for such models; the recursion is
that of `crmlab.models.recursion`.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from crmlab.models.lanes import WIDTH, exponential, higher, load, spread, store
from crmlab.models.octet import (
    NEVER,
    Group,
    add_up_rows,
    count_seen,
    count_starts,
    empty_lane,
    filter_period,
    has_vanished,
    lift,
    loglik_of,
    look,
    mark_inside,
    mark_moved,
    new_group,
    rest_behind,
    seat,
    smooth_period,
    stand_at_start,
    start_scales,
)
from crmlab.models.recursion import (
    Floats,
    Gradient,
    Ints,
    Notes,
    new_notes,
    walk_backward,
    walk_forward,
)
from crmlab.transitions.base import Drivers


class Slopes(NamedTuple):
    """Gradient of the log-likelihood; the parts of moves in lanes, flat (..., i, j, lane)."""

    initial: Floats  # (K,)
    table: Floats  # (V, K)
    rows: Floats  # (value, stage), padded
    base: Floats  # (i, j, lane)
    effects: Floats  # (covariate, i, j, lane)
    customers: Floats  # (N, R)


@register_jitable
def _new_slopes(initial: Floats, table: Floats, drivers: Drivers, width: int) -> Slopes:
    cells = drivers.base.size * WIDTH
    return Slopes(
        np.zeros_like(initial),
        np.zeros_like(table),
        np.zeros(len(table) * width),
        np.zeros(cells),
        np.zeros(len(drivers.effects) * cells),
        np.zeros_like(drivers.customers),
    )


@register_jitable
def _take_drivers(drivers: Drivers, start: int, t: int, x: Floats, u: Floats) -> None:
    """Put the covariates of the move from t - 1 to t, and the customers' own, into lanes."""
    n_rows, n_steps, _ = drivers.covariates.shape
    for lane in range(WIDTH):
        row = (start + lane) % n_rows
        for m in range(len(drivers.effects)):
            x[m * WIDTH + lane] = drivers.covariates[row, (t - 1) % n_steps, m]
        own = (start + lane) % len(drivers.customers)
        for r in range(len(drivers.loads)):
            u[r * WIDTH + lane] = drivers.customers[own, r]


@register_jitable
def _make_row(
    base: Floats,
    effects: Floats,
    loads: Floats,
    x: Floats,
    u: Floats,
    i: int,
    moves: Floats,
    at: int,
) -> None:
    """Make one row of probabilities of moving, (j, lane) of `moves` from `at` on."""
    n_states = len(base)
    peak = spread(-np.inf)
    for j in range(n_states):
        eta = spread(base[i, j])
        for m in range(len(effects)):
            eta = eta + load(x, m * WIDTH) * spread(effects[m, i, j])
        for r in range(len(loads)):
            eta = eta + load(u, r * WIDTH) * spread(loads[r, i, j])
        store(moves, at + j * WIDTH, eta)
        peak = higher(peak, eta)
    total = spread(0.0)
    for j in range(n_states):
        part = exponential(load(moves, at + j * WIDTH) - peak)
        store(moves, at + j * WIDTH, part)
        total = total + part
    for j in range(n_states):
        store(moves, at + j * WIDTH, load(moves, at + j * WIDTH) / total)


@register_jitable
def _predict(alpha: Floats, moves: Floats, here: int, at: int, n_states: int) -> None:
    """Move one period on, each lane by its own matrix."""
    before = here - n_states * WIDTH
    for j in range(n_states):
        mass = spread(0.0)
        for i in range(n_states):
            step = load(moves, at + (i * n_states + j) * WIDTH)
            mass = mass + load(alpha, before + i * WIDTH) * step
        store(alpha, here + j * WIDTH, mass)


@register_jitable
def _step_back(
    alpha: Floats, weight: Floats, moved: Floats, moves: Floats, beta: Floats, slopes: Floats,
    before: int, at: int,
) -> None:  # fmt: skip
    """Bring beta one period back; leave the slopes of this period's logits, (i, j, lane)."""
    n_states = len(beta) // WIDTH
    mask = load(moved, 0)
    for i in range(n_states):
        back = spread(0.0)
        row = at + i * n_states * WIDTH
        for j in range(n_states):
            back = back + load(weight, j * WIDTH) * load(moves, row + j * WIDTH)
        store(beta, i * WIDTH, back)
        was = load(alpha, before + i * WIDTH) * mask
        for j in range(n_states):
            gap = load(weight, j * WIDTH) - back
            slope = was * load(moves, row + j * WIDTH) * gap
            store(slopes, (i * n_states + j) * WIDTH, slope)


@register_jitable
def _add_slopes(
    slopes: Floats, x: Floats, base: Floats, effects: Floats, loads: Floats, sums: Floats
) -> None:
    """Add one period's slopes to those of the base, the effects and the customers (r, lane)."""
    cells = len(slopes)
    for cell in range(0, cells, WIDTH):
        slope = load(slopes, cell)
        store(base, cell, load(base, cell) + slope)
        for at in range(0, len(x), WIDTH):
            here = (at // WIDTH) * cells + cell
            store(effects, here, load(effects, here) + slope * load(x, at))
    n_states = loads.shape[1]
    for r in range(len(loads)):
        total = load(sums, r * WIDTH)
        for i in range(n_states):
            for j in range(n_states):
                at = (i * n_states + j) * WIDTH
                total = total + load(slopes, at) * spread(loads[r, i, j])
        store(sums, r * WIDTH, total)


class Bench(NamedTuple):
    """Room for the moves of eight histories: (period, i, j, lane), and for one period's drivers."""

    moves: Floats
    slopes: Floats  # (i, j, lane)
    x: Floats  # (covariate, lane)
    u: Floats  # (r, lane)
    sums: Floats  # (r, lane)


@register_jitable
def _new_bench(n_periods: int, drivers: Drivers) -> Bench:
    cells = drivers.base.size * WIDTH
    n_own = len(drivers.loads) * WIDTH
    return Bench(
        np.empty(n_periods * cells),
        np.empty(cells),
        np.empty(len(drivers.effects) * WIDTH),
        np.empty(n_own),
        np.empty(n_own),
    )


@register_jitable
def _go_forward(
    group: Group, bench: Bench, initial: Floats, drivers: Drivers, lifted: Floats, codes: Ints,
    span: tuple,
) -> None:  # fmt: skip
    """Filter eight customers through the periods of their windows."""
    first, last, alpha, seen, beta, _, _, _, inside, _, scales, row = group
    moves, _, x, u, _ = bench
    base, effects, _, loads, _ = drivers
    start, begin, end = span
    n_states, block = len(initial), len(beta)
    start_scales(scales)
    for t in range(begin, end + 1):
        mark_inside(first, last, t, inside)
        look(seen, inside, row, lifted, codes, start, t)
        if t > begin:
            _take_drivers(drivers, start, t, x, u)
            for i in range(n_states):
                at = (t * n_states + i) * block
                _make_row(base, effects, loads, x, u, i, moves, at)
            _predict(alpha, moves, t * block, t * n_states * block, n_states)
        stand_at_start(alpha, initial, first, t * block, t)
        filter_period(alpha, seen, inside, scales, t * block, n_states)


@register_jitable
def _go_back(
    group: Group, bench: Bench, drivers: Drivers, codes: Ints, span: tuple, total: Slopes
) -> None:
    """Smooth eight customers, and add up all slopes."""
    first, last, alpha, seen, beta, weight, smoothed, times, inside, moved, _, row = group
    moves, slopes, x, u, sums = bench
    start, begin, end = span
    block = len(beta)
    cells = block * len(drivers.base)
    sums[:] = 0.0
    rest_behind(beta, last, times, end + 1)
    for t in range(end, begin - 1, -1):
        mark_inside(first, last, t, inside)
        smooth_period(alpha, seen, beta, weight, smoothed, t * block)
        count_seen(smoothed, inside, row, total.rows, codes, start, t)
        count_starts(weight, first, t, total.initial)
        if t > begin:
            mark_moved(first, last, t, moved)
            _take_drivers(drivers, start, t, x, u)
            _step_back(alpha, weight, moved, moves, beta, slopes, (t - 1) * block, t * cells)
            _add_slopes(slopes, x, total.base, total.effects, drivers.loads, sums)
            rest_behind(beta, last, times, t)
    for lane in range(WIDTH):
        own = (start + lane) % len(total.customers)
        for r in range(len(drivers.loads)):
            total.customers[own, r] += sums[r * WIDTH + lane]


# --- one by one -----------------------------------------------------------------------------------


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
def _add_alone(drivers: Drivers, n: int, matrices: Floats, counts: Floats, total: Slopes) -> None:
    """Add the slopes of one customer's logits, from those of the matrices."""
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
def _walk_alone(
    initial: Floats, drivers: Drivers, table: Floats, codes: Ints, window: tuple, times: float,
    n: int, notes: Notes, total: Slopes,
) -> float:  # fmt: skip
    """Log-likelihood of one customer; its slopes are added to `total`."""
    n_states = len(initial)
    matrices = np.empty((max(codes.shape[1] - 1, 1), n_states, n_states))
    matrices[:] = 1.0
    if codes.shape[1] > 1:
        make_matrices(drivers, n, matrices)
    loglik = walk_forward(initial, matrices, table, codes[n], window, notes)
    if loglik > -np.inf:
        counts = np.zeros((1, *matrices.shape))
        gradient = Gradient(total.initial, counts, total.table)
        walk_backward(matrices, codes[n], window, notes, gradient, 0, times)
        _add_alone(drivers, n, matrices, counts[0], total)
    return loglik


@register_jitable
def _gather(total: Slopes, width: int, drivers: Drivers) -> tuple:
    """Take the slopes out of their lanes."""
    add_up_rows(total.rows, width, total.table)
    base = total.base.reshape(-1, WIDTH).sum(axis=1).reshape(drivers.base.shape)
    effects = total.effects.reshape(-1, WIDTH).sum(axis=1).reshape(drivers.effects.shape)
    return total.initial, base, effects, total.customers, total.table


@register_jitable
def _nothing(total: Slopes, drivers: Drivers) -> tuple:
    return (
        np.asarray(-np.inf),
        np.zeros_like(total.initial),
        np.zeros_like(drivers.base),
        np.zeros_like(drivers.effects),
        np.zeros_like(total.customers),
        np.zeros_like(total.table),
    )


def drive_one_by_one(
    initial: Floats, drivers: Drivers, table: Floats, codes: Ints, windows: Ints, times: Floats
) -> tuple:
    """Log-likelihood of a panel, and its gradient, one customer after the other.

    Parameters
    ----------
    initial : ndarray of shape (K,)
    drivers : Drivers
    table, codes, windows, times
        As `recursion.forward_backward` takes them.

    Returns
    -------
    tuple of loglik (), and its gradient by initial, base, effects, customers, table
        An impossible history gives -inf and zero gradients.
    """
    width = -(-len(initial) // WIDTH) * WIDTH
    total = _new_slopes(initial, table, drivers, width)
    notes = new_notes(codes.shape[1], len(initial))
    loglik = 0.0
    for n in range(len(codes)):
        window = windows[n, 0], windows[n, 1]
        if window[0] <= window[1]:
            one = _walk_alone(initial, drivers, table, codes, window, times[n], n, notes, total)
            if one == -np.inf:
                return _nothing(total, drivers)
            loglik += times[n] * one
    return np.asarray(loglik), *_gather(total, width, drivers)


def drive_side_by_side(
    initial: Floats, drivers: Drivers, table: Floats, codes: Ints, windows: Ints, times: Floats
) -> tuple:
    """Do as `drive_one_by_one` does, eight customers at a time."""
    n_states, n_periods = len(initial), codes.shape[1]
    width = -(-n_states // WIDTH) * WIDTH
    lifted, peaks = lift(table, width)
    group, bench = new_group(n_periods, n_states, width), _new_bench(n_periods, drivers)
    total, notes = _new_slopes(initial, table, drivers, width), new_notes(n_periods, n_states)
    loglik = 0.0
    for start in range(0, len(codes), WIDTH):
        span = (start, *seat(windows, times, start, group.first, group.last, group.times))
        _go_forward(group, bench, initial, drivers, lifted, codes, span)
        for lane in range(WIDTH):
            window, n = (group.first[lane], group.last[lane]), start + lane
            if window[0] > window[1]:
                continue
            if has_vanished(group.scales, lane):
                empty_lane(group.alpha, group.seen, lane)
                group.first[lane], group.last[lane] = NEVER
                one = _walk_alone(initial, drivers, table, codes, window, times[n], n, notes, total)
            else:
                one = loglik_of(group.scales, peaks, codes, window, n, lane)
            loglik += times[n] * one
        if loglik == -np.inf:
            return _nothing(total, drivers)
        _go_back(group, bench, drivers, codes, span, total)
    return np.asarray(loglik), *_gather(total, width, drivers)


_side_by_side = register_jitable(drive_side_by_side)


def loglik_and_gradient(
    initial: Floats, base: Floats, effects: Floats, customers: Floats, table: Floats,
    covariates: Floats, loads: Floats, codes: Ints, windows: Ints, times: Floats,
) -> tuple:  # fmt: skip
    """Do as `drive_side_by_side` does, on plain arrays: what is differentiated comes first."""
    drivers = Drivers(base, effects, covariates, loads, customers)
    return _side_by_side(initial, drivers, table, codes, windows, times)
