"""Pictures of decisions: where each action is best, what an offer gains, what learning costs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.arrays import number_problems
from crmlab.errors import SpecError, raise_problems
from crmlab.plots.curves import common_length, draw_curves, find_curves, label_ends, with_notes
from crmlab.plots.layout import check_numbers, check_prob, points_of, take_axes
from crmlab.plots.styles import INK, LINES, MUTED, ink_on, mixed, spell_money, stage_title
from crmlab.stages import StageSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# If at least this share of draws agrees, the cell needs no number.
_SURE = 0.9
# Doing nothing has no colour; the other actions take the line colours in turn.
_NOTHING = "#E9EBEE"
_ACTIONS = ("#0A5A8C", "#E69543", "#5F8F88", "#A05FE0", "#943232", "#3A96BD")


def plot_policy_map(
    actions: ArrayLike,
    budgets: ArrayLike,
    space: StageSpace,
    *,
    action_names: Sequence[str],
    unit: str = "",
    budget_name: str = "Budget",
    ax: "Axes | None" = None,
) -> "Axes":
    """Show the best action in each stage at each budget, as a map of stage by budget.

    With draws, a cell shows the action that most of them choose. It is paler the fewer agree, and
    shows their share if it is below 90 %.

    Parameters
    ----------
    actions : array_like of int of shape (budgets, K) or (draws, budgets, K)
        Index of the action; 0 is drawn as doing nothing.
    budgets : array_like of shape (budgets,)
        Ascending, in `unit`.
    space : StageSpace
        K stages, drawn from top to bottom.
    action_names : sequence of str
        One for each action.
    unit, budget_name : str
        For the horizontal axis, for example 'EUR a quarter'.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        Indices are not actions, or shapes do not match. All problems at once.

    Examples
    --------
    >>> space = StageSpace(("new", "loyal"))
    >>> ax = plot_policy_map([[0, 0], [0, 1]], [0, 100], space, action_names=("none", "call"))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['New', 'Loyal']
    """
    chosen, money = _read_map(actions, budgets, space, action_names)
    best, share = _majority(chosen, len(action_names))
    ax = take_axes(ax, 0.20 + 0.045 * len(space))
    colours = [_NOTHING, *(_ACTIONS[k % len(_ACTIONS)] for k in range(len(action_names) - 1))]
    _draw_cells(ax, best, share, colours)
    _draw_key(ax, colours, action_names)
    ax.set_yticks(range(len(space)), [stage_title(name) for name in space.names])
    every = max(1, -(-len(money) // 8))
    ax.set_xticks(range(0, len(money), every), [spell_money(b) for b in money[::every]])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    notes = [f"% where fewer than 90% of {len(chosen)} draws agree"] if len(chosen) > 1 else []
    ax.set_xlabel(with_notes(f"{budget_name} ({unit})" if unit else budget_name, notes))
    ax.set(xlim=(-0.5, len(money) - 0.5), ylim=(len(space) - 0.5, -0.5))
    return ax


def _read_map(
    actions: ArrayLike, budgets: ArrayLike, space: StageSpace, names: Sequence[str]
) -> tuple[NDArray, NDArray]:
    chosen, money = np.asarray(actions), check_numbers("budgets", budgets, (None,))
    chosen = chosen[None] if chosen.ndim == 2 else chosen
    problems = []
    if chosen.ndim != 3 or chosen.shape[1:] != (len(money), len(space)) or not len(chosen):
        problems.append(
            f"`actions` must have shape ([draws,] {len(money)}, {len(space)}), got "
            f"{np.shape(actions)}"
        )
    if chosen.dtype.kind not in "iu" or (chosen < 0).any() or (chosen >= len(names)).any():
        problems.append(f"`actions` must hold whole numbers from 0 to {len(names) - 1}")
    if (np.diff(money) <= 0).any():
        problems.append(f"`budgets` must be in increasing order, got {money.tolist()}")
    raise_problems(SpecError, "plot_policy_map", problems)
    return chosen, money


def _majority(chosen: NDArray, n_actions: int) -> tuple[NDArray, NDArray]:
    """Most frequent action (budgets, K) and the share of draws that choose it."""
    shares = (chosen == np.arange(n_actions)[:, None, None, None]).mean(axis=1)
    return shares.argmax(axis=0), shares.max(axis=0)


def _draw_cells(ax: "Axes", best: NDArray, share: NDArray, colours: Sequence[str]) -> None:
    """Colour the cells, paler the fewer draws agree; write the share if it is low."""
    from matplotlib.colors import to_rgb

    strength = np.where(best == 0, 1.0, np.clip((share - 0.4) / 0.6, 0.3, 1.0))
    shades = [
        [mixed(colours[a], "#FFFFFF", s) for a, s in zip(actions, strengths, strict=True)]
        for actions, strengths in zip(best.T, strength.T, strict=True)
    ]
    cells = [[to_rgb(shade) for shade in row] for row in shades]
    ax.imshow(cells, aspect="auto", interpolation="nearest", zorder=1)
    for line in np.arange(best.shape[1] - 1) + 0.5:
        ax.axhline(line, color="white", linestyle="-", linewidth=points_of(0.15), zorder=2)
    for column, stage in np.argwhere(share < _SURE) if len(best) <= 16 else ():
        text = f"{100 * share[column, stage]:.0f}%"
        _write(ax, (column, stage), text, ink_on(shades[stage][column]))


def _draw_key(ax: "Axes", colours: Sequence[str], names: Sequence[str]) -> None:
    """Name the actions in a row above the map."""
    from matplotlib.patches import Patch

    patches = [Patch(color=c, label=name) for c, name in zip(colours, names, strict=True)]
    look = {"handlelength": 1.0, "handleheight": 1.0, "borderaxespad": 0.4, "borderpad": 0.0}
    ax.legend(handles=patches, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(names), **look)


def _write(ax: "Axes", place: tuple[float, float], text: str, colour: str) -> None:
    look: dict[str, Any] = {"size": points_of(0.8), "color": colour, "zorder": 4}
    ax.text(*place, text, ha="center", va="center", **look)


def describe_policy_map(
    actions: ArrayLike,
    budgets: ArrayLike,
    space: StageSpace,
    *,
    action_names: Sequence[str],
    unit: str = "",
) -> str:
    """Say in one sentence at which budget action starts in each stage.

    Parameters
    ----------
    actions, budgets, space, action_names, unit
        As in `plot_policy_map`.

    Returns
    -------
    str

    Examples
    --------
    >>> space = StageSpace(("new", "loyal"))
    >>> names = ("none", "call")
    >>> describe_policy_map([[0, 0], [0, 1]], [0, 100], space, action_names=names, unit=" EUR")
    'As the budget grows, action starts with loyal (at 100 EUR); never with new.'
    """
    chosen, money = _read_map(actions, budgets, space, action_names)
    acts = _majority(chosen, len(action_names))[0] > 0
    starts = {k: int(np.argmax(acts[:, k])) for k in range(len(space)) if acts[:, k].any()}
    titles = [stage_title(name).lower() for name in space.names]
    order = sorted(starts, key=lambda k: starts[k])
    spoken = ", then ".join(
        f"{titles[k]} (at {spell_money(money[starts[k]])}{unit})" for k in order
    )
    never = ", ".join(titles[k] for k in range(len(space)) if k not in starts)
    if not order:
        return "At none of these budgets is any action better than none."
    tail = f"; never with {never}" if never else ""
    return f"As the budget grows, action starts with {spoken}{tail}."


def plot_qini(
    share: ArrayLike,
    gains: Mapping[str, ArrayLike],
    *,
    unit: str,
    prob: float = 0.9,
    ax: "Axes | None" = None,
) -> "Axes":
    """Show what treating the best-scored customers gains, compared with treating at random.

    Parameters
    ----------
    share : array_like of shape (points,)
        Share of customers who are treated, from 0 to 1.
    gains : mapping of str to array_like of shape (points,) or (draws, points)
        Gain per customer of the base, in `unit`, by the name of the score; draws (resampled
        experiments) add a band.
    unit : str
        What is gained: 'visits per customer', 'EUR per customer'.
    prob : float
        Probability of the central (equal-tailed) interval.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        A curve does not match the shares, or the shares do not run from 0 to 1.

    Examples
    --------
    >>> ax = plot_qini([0, 0.5, 1], {"uplift": [0, 0.3, 0.2]}, unit="orders per customer")
    >>> [text.get_text() for text in ax.texts]
    ['at random', 'uplift']
    """
    check_prob("prob", prob)
    curves = find_curves("gains", gains)
    shares = check_numbers("share", share, (common_length(curves),))
    if shares[0] != 0 or not np.isclose(shares[-1], 1) or (np.diff(shares) <= 0).any():
        raise SpecError(f"`share` must increase from 0 to 1, got {shares.tolist()[:5]} ...")
    ax = take_axes(ax, 0.62)
    draw_curves(ax, 100 * shares, curves, prob)
    end = float(np.mean([_mean(curve)[-1] for curve in curves.values()]))
    ax.plot([0, 100], [0, end], color=MUTED, linestyle="-", marker="", linewidth=points_of(0.12))
    ax.axhline(0, color=MUTED, linestyle=":", linewidth=points_of(0.09), zorder=0)
    place: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "top"}
    ax.annotate(
        "at random", (50, end / 2), (0, -points_of(0.5)), color=MUTED, size=points_of(0.85), **place
    )
    has_band = any(curve.ndim == 2 for curve in curves.values())
    notes = [f"bands: central {100 * prob:.0f}% interval"] if has_band else []
    ax.set(
        xlim=(0, 100),
        ylabel=f"Gain ({unit})",
        xlabel=with_notes("Customers treated, best-scored first (%)", notes),
    )
    _label_peaks(ax, 100 * shares, curves, prob)
    return ax


def _mean(curve: NDArray) -> NDArray:
    return curve if curve.ndim == 1 else curve.mean(axis=0)


def _label_peaks(ax: "Axes", x: NDArray, curves: Mapping[str, NDArray], prob: float) -> None:
    """Name each curve where it is furthest from the straight line, because their ends meet."""
    for k, (name, curve) in enumerate(curves.items(), start=1):
        middle = _mean(curve)
        lead = middle - x / 100 * middle[-1]
        inner = np.abs(lead) * ((x > 5) & (x < 75))
        at = int(inner.argmax()) if inner.any() else len(x) // 2
        above = lead[at] >= 0
        edge = np.quantile(np.atleast_2d(curve)[:, at], (1 + prob) / 2 if above else (1 - prob) / 2)
        ax.annotate(
            name,
            (x[at], edge),
            (0, points_of(0.5) * (1 if above else -1)),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "top",
            color=LINES[k % len(LINES)],
            size=points_of(0.9),
            weight="bold",
        )


def describe_qini(
    share: ArrayLike, gains: Mapping[str, ArrayLike], *, unit: str, decimals: int = 3
) -> str:
    """Say in one sentence whom each score should treat, and what it gains.

    Parameters
    ----------
    share, gains, unit
        As in `plot_qini`.
    decimals : int
        Digits of the gains.

    Returns
    -------
    str

    Examples
    --------
    >>> describe_qini([0, 0.5, 1], {"uplift": [0, 0.3, 0.2]}, unit="orders per customer")
    'Treating everybody gains 0.200 orders per customer; uplift gains most, 0.300, at 50%.'
    """
    curves = {name: _mean(curve) for name, curve in find_curves("gains", gains).items()}
    shares = np.asarray(share, dtype=float)
    end = float(np.mean([curve[-1] for curve in curves.values()]))
    parts = [
        f"{name} gains most, {curve.max():.{decimals}f}, at {100 * shares[curve.argmax()]:.0f}%"
        for name, curve in curves.items()
    ]
    return f"Treating everybody gains {end:.{decimals}f} {unit}; {'; '.join(parts)}."


def plot_regret(
    regrets: Mapping[str, ArrayLike],
    sizes: ArrayLike,
    *,
    unit: str,
    size_name: str = "Customers",
    prob: float = 0.5,
    log: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Show the cost of not knowing the best action, by the amount of data seen.

    Parameters
    ----------
    regrets : mapping of str to array_like of shape (sizes,) or (worlds, sizes)
        Regret of each rule or method, by name: cumulative over customers served, or per decision
        by sample size. Worlds add a band.
    sizes : array_like of shape (sizes,)
        Customers served, or sample sizes, ascending.
    unit : str
        Of the regret: 'responses', 'EUR'.
    size_name : str
        What `sizes` counts.
    prob : float
        Probability of the central (equal-tailed) interval over worlds.
    log : bool
        Draw the sizes on a logarithmic axis.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        A curve does not match the sizes, or sizes do not ascend (above 0 on a log axis).

    Examples
    --------
    >>> ax = plot_regret({"even": [5, 10], "Thompson": [4, 5]}, [100, 200], unit="responses")
    >>> ax.get_ylabel()
    'Regret (responses)'
    """
    check_prob("prob", prob)
    curves = find_curves("regrets", regrets)
    x = check_numbers("sizes", sizes, (common_length(curves),))
    if len(x) < 2 or (np.diff(x) <= 0).any() or (log and x[0] <= 0):
        raise SpecError(f"`sizes` must be two or more, increasing, got {x.tolist()[:5]} ...")
    ax = take_axes(ax, 0.58)
    draw_curves(ax, x, curves, prob)
    if log:
        ax.set_xscale("log")
    has_band = any(curve.ndim == 2 for curve in curves.values())
    notes = [f"lines: mean; bands: central {100 * prob:.0f}% of worlds"] if has_band else []
    ax.set(xlim=(x[0], x[-1]), ylabel=f"Regret ({unit})", xlabel=with_notes(size_name, notes))
    if min(curve.min() for curve in curves.values()) >= 0:
        ax.set_ylim(bottom=0)
    label_ends(ax, {name: _mean(curve)[-1] for name, curve in curves.items()}, LINES[1:])
    return ax


def describe_regret(
    regrets: Mapping[str, ArrayLike], sizes: ArrayLike, *, unit: str, decimals: int = 0
) -> str:
    """Say in one sentence what each rule has lost in the end, smallest loss first.

    Parameters
    ----------
    regrets, sizes, unit
        As in `plot_regret`.
    decimals : int
        Digits of the regrets.

    Returns
    -------
    str

    Examples
    --------
    >>> describe_regret({"even": [5, 10], "Thompson": [4, 5]}, [100, 200], unit="responses")
    'After 200 customers, Thompson has lost 5 responses on average, even 10.'
    """
    ends = {name: _mean(curve)[-1] for name, curve in find_curves("regrets", regrets).items()}
    order = sorted(ends, key=lambda name: ends[name])
    first, *rest = (f"{ends[name]:,.{decimals}f}" for name in order)
    spoken = [f"{order[0]} has lost {first} {unit} on average"]
    spoken += [f"{name} {amount}" for name, amount in zip(order[1:], rest, strict=True)]
    last = float(np.asarray(sizes, dtype=float)[-1])
    return f"After {last:,.0f} customers, {', '.join(spoken)}."


def plot_alive_map(
    probs: ArrayLike,
    recency: ArrayLike,
    frequency: ArrayLike,
    *,
    period_name: str = "week",
    ax: "Axes | None" = None,
) -> "Axes":
    """Show the probability of still being a customer, by frequency and recency of purchases.

    Parameters
    ----------
    probs : array_like of shape (frequencies, recencies)
        P(alive), 0 to 1.
    recency : array_like of shape (recencies,)
        Time of the last purchase, in periods since the first; ascending.
    frequency : array_like of shape (frequencies,)
        Repeat purchases; ascending.
    period_name : str
        What a period is.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    SpecError
        Values are not probabilities, or axes do not ascend.

    Examples
    --------
    >>> ax = plot_alive_map([[0.9, 1.0], [0.2, 0.9]], [10, 39], [1, 8])
    >>> ax.get_xlabel()
    'Last purchase (weeks after the first)'
    """
    x, y = (
        check_numbers("recency", recency, (None,)),
        check_numbers("frequency", frequency, (None,)),
    )
    alive = check_numbers("probs", probs, (len(y), len(x)))
    problems = number_problems({"probs": alive}, least=0, most=1)
    for name, axis in (("recency", x), ("frequency", y)):
        if len(axis) < 2 or (np.diff(axis) <= 0).any():
            problems.append(f"`{name}` must hold two values or more, in increasing order")
    raise_problems(SpecError, "plot_alive_map", problems)
    from matplotlib.colors import LinearSegmentedColormap

    ax = take_axes(ax, 0.62)
    ramp = LinearSegmentedColormap.from_list("alive", ["#FFFFFF", "#5FC2C9", "#013A83"])
    ax.pcolormesh(x, y, alive, cmap=ramp, vmin=0, vmax=1, shading="nearest", rasterized=True)
    levels = [level for level in (0.1, 0.25, 0.5, 0.75, 0.9) if alive.min() < level < alive.max()]
    if levels:
        inks = [INK if level < 0.6 else "white" for level in levels]
        lines = ax.contour(x, y, alive, levels=levels, colors=inks, linewidths=points_of(0.1))
        size = points_of(0.8)
        for label in ax.clabel(lines, fmt=lambda level: f"{100 * level:.0f}%", fontsize=size):
            label.set_rotation(0)
    ax.grid(visible=False)
    ax.set(
        xlabel=f"Last purchase ({period_name}s after the first)",
        ylabel="Repeat purchases\n(lines: still a customer)",
    )
    return ax


def describe_alive_map(
    probs: ArrayLike, recency: ArrayLike, frequency: ArrayLike, *, period_name: str = "week"
) -> str:
    """Say in one sentence how probable it is that frequent and rare buyers are still customers.

    Parameters
    ----------
    probs, recency, frequency, period_name
        As in `plot_alive_map`.

    Returns
    -------
    str

    Examples
    --------
    >>> describe_alive_map([[0.9, 1.0], [0.2, 0.9]], [10, 39], [1, 8])
    'Last seen in week 10, a customer with 8 repeat purchases is alive with 20%, one with 1 with \
90%; last seen in week 39, with 90% and 100%.'
    """
    alive, x, y = (np.asarray(values, dtype=float) for values in (probs, recency, frequency))
    (early, late), (few, many) = (0, -1), (0, -1)
    share = [[f"{100 * alive[i, j]:.0f}%" for j in (early, late)] for i in (many, few)]
    return (
        f"Last seen in {period_name} {x[early]:g}, a customer with {y[many]:g} repeat purchases is "
        f"alive with {share[0][0]}, one with {y[few]:g} with {share[1][0]}; last seen in "
        f"{period_name} {x[late]:g}, with {share[0][1]} and {share[1][1]}."
    )
