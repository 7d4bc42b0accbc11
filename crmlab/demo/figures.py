"""The figures of the demo: results in, Axes out. Only the layout is computed here."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import crmlab.demo.bank as bank
import crmlab.demo.shop as shop
from crmlab.plots import plot_prediction, plot_stage_probs, plot_staircase
from crmlab.plots.curves import label_ends
from crmlab.plots.layout import points_of, take_axes
from crmlab.plots.styles import DASHES, INK, LINES, MUTED, stage_title
from crmlab.stages import KNAPP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PALE_TO_DARK = ("#F6F8F9", "#9CC3D5", "#3C86AB", "#12507D", "#0A2E52")


def draw_staircase(study: "bank.Bank") -> "Axes":
    """Draw Knapp's staircase as the model learned it, with the base and the worth on its treads."""
    return plot_staircase(
        KNAPP,
        study.matrices.mean(("chain", "draw")).values,
        occupancy=study.probs_now.mean(("chain", "draw", "customer_id")).values,
        value=study.worth_of_stages.mean(("chain", "draw")).values,
        unit="EUR",
        label_above=0.1,
    )


def draw_base(study: "bank.Bank") -> "Axes":
    """Draw the shares of the stages in the whole base, quarter by quarter, in hindsight."""
    quarters = np.arange(1, study.hindsight.sizes["period"] + 1)
    return plot_stage_probs(
        study.hindsight.assign_coords(period=quarters).assign_attrs(freq="Q"), KNAPP
    )


def draw_customer(study: "bank.Bank", customer_id: int) -> "Axes":
    """Draw the model's beliefs about one customer, quarter by quarter, above the records."""
    place = int(np.flatnonzero(study.fit.panel["customer_id"].values == customer_id)[0])
    quarters = np.arange(1, bank.N_SEEN + 1)
    probs = xr.DataArray(
        study.probs[place],
        dims=("period", "stage"),
        coords={"period": quarters, "stage": list(KNAPP.names)},
        attrs={"freq": "Q"},
    )
    names = [channel.name for channel in study.fit.model.channels]
    records = study.fit.panel[names].isel(customer_id=place)
    return plot_stage_probs(probs, KNAPP, events={n: records[n].values for n in names})


def draw_confusions(counts: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Draw which stage was named for each true one, in % of the true stage.

    Parameters
    ----------
    counts : DataFrame (K, K)
        Row = true stage, column = stage named.
    ax : matplotlib Axes, optional
    """
    import seaborn
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    ax = take_axes(ax, 0.72)
    shares = counts / counts.sum(axis=1).to_numpy()[:, None]
    titles = [stage_title(name) for name in counts.index]
    seaborn.heatmap(
        shares,
        annot=shares.map(lambda share: "" if share < 0.005 else f"{100 * share:.0f}"),
        fmt="",
        norm=PowerNorm(0.5, 0, 1),
        cbar=False,
        cmap=LinearSegmentedColormap.from_list("taken", _PALE_TO_DARK),
        linewidths=1.0,
        linecolor="white",
        annot_kws={"size": points_of(0.85)},
        ax=ax,
    )
    half = len(counts) / 2
    for line in (ax.axhline, ax.axvline):
        line(half, color=INK, linestyle="-", linewidth=points_of(0.12))
    sizes = counts.sum(axis=1)
    rows = [f"{title} ({size:,})" for title, size in zip(titles, sizes, strict=True)]
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.set_yticks(np.arange(len(counts)) + 0.5, rows, rotation=0)
    ax.set_xticks(
        np.arange(len(counts)) + 0.5, titles, rotation=40, ha="right", rotation_mode="anchor"
    )
    ax.set(
        xlabel="Stage that the model named (% of the row)",
        ylabel="True stage (customer-quarters)",
    )
    return ax


def draw_tracking(tracks: dict[str, NDArray]) -> "Axes":
    """Draw cumulative repeat orders of the shop: actual ones and those of each model."""
    said = {name: values for name, values in tracks.items() if name != "actual"}
    return plot_prediction(
        tracks["actual"],
        said,
        cutoff=shop.N_SEEN,
        quantity="Repeat orders so far, all customers",
    )


def draw_classes(table: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Draw mean repeat orders in the holdout, by repeat orders before it.

    Parameters
    ----------
    table : DataFrame
        Index = class; columns `customers`, `actual` and one per model.
    ax : matplotlib Axes, optional
    """
    ax = take_axes(ax, 0.52)
    names = [name for name in table if name != "customers"]
    places = np.arange(len(table))
    for k, name in enumerate(names):
        ax.plot(
            places,
            table[name],
            color=LINES[k],
            linestyle=DASHES[k],
            marker="o",
            markersize=points_of(0.5 if k else 0.65),
            linewidth=points_of(0.16 if k else 0.24),
            label=name,
            zorder=4 - k,
        )
    classes = [str(c) for c in table.index[:-1]] + [f"{table.index[-1]}+"]
    sizes = [f"{c}\n({n:,})" for c, n in zip(classes, table["customers"], strict=True)]
    ax.set_xticks(places, sizes)
    ax.set(
        xlim=(-0.3, len(table) - 0.7),
        ylim=(0, None),
        xlabel="Repeat orders in weeks 1 to 39 (customers)",
        ylabel="Repeat orders per customer\nin weeks 40 to 78",
    )
    ax.spines["left"].set_color(MUTED)
    label_ends(ax, table[names].iloc[-1].to_dict(), (INK, *LINES[1:]))
    return ax
