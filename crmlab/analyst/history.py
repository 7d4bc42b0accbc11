"""What the orders show without a model: figures and sentences that an analyst knows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.analyst.cohorts import (
    PERIOD_NAMES,
    Retention,
    choose_bars,
    choose_unit,
    is_over,
    new_and_returning,
    period_name,
    pooled,
    retention,
)
from crmlab.analyst.orders import count_cohorts
from crmlab.analyst.segments import lorenz_curve, share_of_best
from crmlab.analyst.study import Study
from crmlab.arrays import Bools, Floats
from crmlab.plots.layout import points_of, take_axes
from crmlab.plots.styles import GRID, INK, MUTED, TOGETHER_RAMP, ink_on, mixed
from crmlab.report.numbers import money, number, percent, plural
from crmlab.report.parts import element

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

# From pale to dark without the middle shades, on which neither ink nor white can be read.
_PALE_TO_DARK = (
    (0.0, "#F3F6F8"),
    (0.5, "#639BB8"),
    (0.5, "#33769F"),
    (1.0, "#0A2E52"),
)
_KINDS = {"returning": TOGETHER_RAMP[3], "new": TOGETHER_RAMP[1]}
_MOST_TICKS = 13
_ROOM = 58  # % of the best fifth from which its label fits below the curve
_SQUARE = (4.8, 4.1)  # inches; the text stays legible on a phone
_ERRORS = 2  # standard errors within which two shares count as alike
_FEW, _MANY = 0.4, 0.6  # share of the best fifth below which, and from which, a verdict changes


@dataclass(frozen=True)
class Past:
    """What the orders show.

    Parameters
    ----------
    sales : DataFrame
        What new and returning customers brought, by calendar month (or week of a single one).
    cohorts : Retention
    brought : ndarray (customer,)
        What each customer has brought so far: an amount, or orders if no amounts are known.
    noun : {"revenue", "orders"}
        What is brought.
    last : Timestamp
        The last day on which orders were recorded.
    """

    sales: pd.DataFrame
    cohorts: Retention
    brought: Floats
    noun: str
    last: pd.Timestamp


def look_back(study: Study) -> Past:
    """Sum the orders of a study by period, by cohort and by customer."""
    orders, window = study.sales.orders, study.sales.window
    bars, unit = choose_bars(window), choose_unit(window)
    counts = {name: count_cohorts(orders, name) for name in {bars, unit}}
    return Past(
        new_and_returning(counts[bars], bars),
        retention(counts[unit], unit, window[1]),
        study.known["amount" if study.has_amounts else "orders"].to_numpy(float),
        "revenue" if study.has_amounts else "orders",
        window[1],
    )


def draw_history(past: Past, unit: str) -> "dict[str, Markup]":
    """Draw the figures of the past that have something to show.

    Parameters
    ----------
    past : Past
    unit : str
        Of what is brought.
    """
    sales, cohorts, figures = past.sales, past.cohorts, {}
    if len(sales) > 1 and sales.to_numpy().any():
        label = f"{past.noun.capitalize()} per {PERIOD_NAMES[sales.index.freqstr[0]]} ({unit})"
        ax = plot_sales(sales, past.last, label)
        figures["sales"] = element(ax, tell_peak(sales, unit, past.last))
    if cohorts.active.shape[1] > 1:
        figures["retention"] = element(plot_retention(cohorts), tell_retention(cohorts))
    if past.brought.any():
        curve = lorenz_curve(past.brought)
        figures["lorenz"] = element(plot_lorenz(curve, past.noun), tell_lorenz(curve, past.noun))
    return figures


# --- figures --------------------------------------------------------------------------------------


def plot_retention(cohorts: Retention, *, ax: "Axes | None" = None) -> "Axes":
    """Show the share of each cohort that ordered again, in %, as a heat map.

    Parameters
    ----------
    cohorts : Retention
        At least one cohort with an age of 1.
    ax : matplotlib Axes, optional
    """
    import seaborn
    from matplotlib.colors import LinearSegmentedColormap

    shares = 100 * cohorts.shares.drop(columns=0).dropna(how="all")
    n_rows, n_columns = shares.shape
    ax = take_axes(ax, 0.16 + 0.03 * min(n_rows, 24))
    seaborn.heatmap(
        shares.set_axis([period_name(period) for period in shares.index]),
        annot=shares.round().fillna(0).astype(int).astype("str").to_numpy(),
        fmt="",
        mask=shares.isna().to_numpy(),
        vmin=0,
        vmax=max(float(np.nanquantile(shares, 0.98)), 1.0),
        cmap=LinearSegmentedColormap.from_list("share", _PALE_TO_DARK),
        cbar=False,
        linewidths=1.0,
        linecolor="white",
        annot_kws={"size": points_of(0.85 if n_columns <= _MOST_TICKS else 0.72)},
        ax=ax,
    )
    _ink_cells(ax, ~shares.isna().to_numpy().ravel())
    sizes = cohorts.size[shares.index]
    names = [f"{period_name(p)}  ({n:,.0f})" for p, n in sizes.items()]
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.set_yticks(np.arange(n_rows) + 0.5, names, rotation=0)
    ax.set_xticks(np.arange(n_columns) + 0.5, list(shares.columns), rotation=0)
    word = PERIOD_NAMES[cohorts.unit]
    ax.set(xlabel=f"{word.capitalize()}s after the first order (cells: % who ordered)", ylabel="")
    ax.set_title(f"{word.capitalize()} of the first order (customers)", loc="left")
    return ax


def _ink_cells(ax: "Axes", is_known: Bools) -> None:
    """Write each number in ink or white, whichever contrasts more with its cell."""
    from matplotlib.colors import to_hex

    colours = np.asarray(ax.collections[0].get_facecolor())[is_known]
    for text, colour in zip(ax.texts, colours, strict=True):
        text.set_color(ink_on(to_hex(colour)))


def plot_sales(
    sales: pd.DataFrame, last: pd.Timestamp, label: str, *, ax: "Axes | None" = None
) -> "Axes":
    """Show what new and returning customers brought as stacked bars; a period not over is pale.

    Parameters
    ----------
    sales : DataFrame
        As `new_and_returning` gives it.
    last : Timestamp
        The last day on which orders were recorded.
    label : str
        Of the vertical axis, with its unit.
    ax : matplotlib Axes, optional
    """
    ax = take_axes(ax, 0.48)
    x, base = np.arange(len(sales)), np.zeros(len(sales))
    over = [is_over(period, last) for period in sales.index]
    for kind, colour in _KINDS.items():
        colours = [colour if done else mixed(colour, "#FFFFFF", 0.4) for done in over]
        height = sales[kind].to_numpy()
        ax.bar(x, height, 0.82, base, color=colours, edgecolor="white", linewidth=0.5)
        base = base + height
    step = -(-len(sales) // _MOST_TICKS)
    names = [period_name(period) for period in sales.index[::step]]
    ax.set_xticks(x[::step], names, rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0)
    ax.grid(visible=False, axis="x")
    ax.set_xlim(-0.6, len(sales) - 0.4)
    _finish_sales(ax, label, pale=not all(over))
    return ax


def _finish_sales(ax: "Axes", label: str, *, pale: bool) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=_KINDS[kind], label=f"{kind} customers") for kind in ("new", "returning")
    ]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderpad=0)
    ax.set_ylabel(label, parse_math=False)
    ax.yaxis.set_major_formatter(lambda value, _: number(value))
    if pale:
        ax.set_xlabel("(pale: not over yet)")


def plot_lorenz(curve: Floats, noun: str, *, ax: "Axes | None" = None) -> "Axes":
    """Show what the best customers bring, for ever larger shares of the customers.

    Parameters
    ----------
    curve : ndarray (points, 2)
        As `lorenz_curve` gives it.
    noun : str
        What is brought.
    ax : matplotlib Axes, optional
    """
    import matplotlib.pyplot as plt

    ax = plt.subplots(figsize=_SQUARE, layout="constrained")[1] if ax is None else ax
    x, y = 100 * curve.T
    ax.fill_between(x, x, y, facecolor=mixed(TOGETHER_RAMP[2], "#FFFFFF", 0.25), linewidth=0)
    ax.plot([0, 100], [0, 100], color=MUTED, linestyle=(0, (4, 3)), linewidth=points_of(0.09))
    ax.plot(x, y, color=TOGETHER_RAMP[3], linestyle="-", linewidth=points_of(0.24))
    fifth = 100 * share_of_best(curve, 0.2)
    ax.plot([20, 20], [0, fifth], color=INK, linestyle="-", linewidth=points_of(0.07))
    ax.plot([20], [fifth], "o", color=INK)
    inside = fifth >= _ROOM  # between curve and diagonal; otherwise above the curve
    ax.annotate(
        f"best 20%\nbring {fifth:.0f}%",
        (20, fifth),
        (8, -4) if inside else (-4, 6),
        textcoords="offset points",
        ha="left" if inside else "right",
        va="top" if inside else "bottom",
        color=INK,
        weight="bold",
    )
    ax.text(64, 59, "if all brought the same", va="top", color=MUTED)
    ax.set(
        xlim=(0, 100),
        ylim=(0, 101),
        xlabel="Share of the customers, best first (%)",
        ylabel=f"Share of the {noun} so far (%)",
    )
    ax.grid(color=GRID)
    return ax


# --- sentences ------------------------------------------------------------------------------------


def tell_peak(sales: pd.DataFrame, unit: str, last: pd.Timestamp) -> str:
    """Say when most was sold, and how the last period that is over compares."""
    total = sales.sum(axis=1)[[is_over(period, last) for period in sales.index]]
    if not total.any():
        return f"All was sold in {period_name(sales.index[-1])}, which is not over yet."
    best, end, word = total.idxmax(), total.index[-1], PERIOD_NAMES[sales.index.freqstr[0]]
    said = f"Most was sold in {period_name(best)}: {money(total[best], unit)}"
    if best == end:
        return f"{said}. That is the last {word} that is over."
    share = percent(total[end] / total[best])
    return f"{said}. In {period_name(end)}, the last {word} that is over, it was {share} of that."


def tell_sales(sales: pd.DataFrame, unit: str) -> str:
    """Say whether new or returning customers brought more in the last year."""
    year = sales.tail(12 if sales.index.freqstr == "M" else 52)
    new, returning = float(year["new"].sum()), float(year["returning"].sum())
    span = f"From {period_name(year.index[0])} to {period_name(year.index[-1])}"
    if new + returning <= 0:
        return f"{span} nobody paid anything."
    share = returning / (new + returning)
    verdict = (
        "both count alike"
        if abs(share - 0.5) < 0.05
        else "the shop lives on customers who come back"
        if share > 0.5
        else "the shop lives on new customers"
    )
    brought = money(new + returning, unit)
    who = (
        f"returning customers brought all of {brought}"
        if percent(share) == "100%"
        else f"new customers brought all of {brought}"
        if percent(share) == "0%"
        else f"returning customers brought {percent(share)} of {brought} and new ones "
        f"{percent(1 - share)}"
    )
    return f"{span}, {who}: {verdict}."


def tell_retention(cohorts: Retention) -> str:
    """Say how many come back, and whether younger cohorts do so more often."""
    word, farthest = PERIOD_NAMES[cohorts.unit], cohorts.active.shape[1] - 1
    said = (
        f"In the {word} after their first order {percent(cohorts.at(1))} of the customers ordered"
    )
    if farthest >= 3:
        age = min(6, farthest)
        said += f"; {age} {word}s after it, {percent(cohorts.at(age))} did"
    return f"{said}. {_compare_halves(cohorts.active[cohorts.active[1].notna()], word)}"


def _compare_halves(active: pd.DataFrame, word: str) -> str:
    """Compare the older half of the cohorts with the younger, one period after the first order."""
    half = len(active) // 2
    if not half:
        return f"There is only one {word} of first orders to follow."
    older, younger = active.iloc[:half], active.iloc[-half:]
    old, young = pooled(older, 1), pooled(younger, 1)
    both = pooled(pd.concat([older, younger]), 1)
    error = np.sqrt(both * (1 - both) * (1 / older[0].sum() + 1 / younger[0].sum()))
    often = (
        "about as often as"
        if abs(young - old) <= _ERRORS * error
        else "more often than"
        if young > old
        else "less often than"
    )
    return (
        f"The younger half of these {word}s ({percent(young)}) comes back {often} the older half "
        f"({percent(old)})."
    )


def tell_lorenz(curve: Floats, noun: str) -> str:
    """Say what the best fifth of the customers has brought, and whether few carry most."""
    best, half = share_of_best(curve, 0.2), share_of_best(curve, 0.5)
    verdict = (
        "few customers carry most of it"
        if best >= _MANY
        else "it is spread widely"
        if best < _FEW
        else "it is spread as in many shops"
    )
    return (
        f"The best 20% of the customers have brought {percent(best)} of the {noun} so far, the "
        f"best half {percent(half)}: {verdict}."
    )


def tell_begin(first: pd.Timestamp, n_customers: int) -> str:
    """Say that nobody can know who was a customer before the file begins."""
    return (
        f"The file begins on {first.date()}. Whoever of the {plural(n_customers, 'customer')} had "
        "ordered before that counts as new at the first order in the file."
    )
