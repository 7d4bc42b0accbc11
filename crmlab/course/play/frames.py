"""First frames: the picture and the numbers with which a piece begins."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Frame:
    """What a piece shows before the reader moves anything.

    Parameters
    ----------
    figure : str
        HTML of a figure with its sentence.
    data : dict
        Start values of the script; names and numbers only.
    """

    figure: str
    data: dict


def staircase_frame() -> Frame:
    """Show where a hundred newcomers stand after two years, and what one of them is worth."""
    from crmlab.plots import figure_html, stage_colours
    from crmlab.stages import K10, K10_MARGINS, KNAPP
    from crmlab.value import stage_value

    quarters, rate = 8, 1.10**0.25 - 1
    shares = np.linalg.matrix_power(K10, quarters)[0]
    worth = stage_value(K10, K10_MARGINS, discount_rate=rate, first="current")[0]
    colours = list(stage_colours(KNAPP).values())
    ax = _axes(8, 3)
    ax.bar(KNAPP.names, 100 * shares, color=colours)
    ax.set(ylabel="of 100 newcomers")
    ax.tick_params(axis="x", rotation=30)
    sentence = (
        f"After {quarters} quarters {100 * shares[:5].sum():.0f} of 100 newcomers are coming "
        f"together, {100 * shares[5:9].sum():.0f} coming apart, {100 * shares[9]:.0f} are gone; a "
        f"newcomer is worth {worth:.0f} euros."
    )
    data = {
        "names": list(KNAPP.names),
        "matrix": np.round(K10, 6).tolist(),
        "margins": K10_MARGINS.tolist(),
        "colours": colours,
        "keep": 1 / (1 + rate),
        "quarters": quarters,
    }
    return Frame(figure_html(ax, sentence), data)


def posterior_frame() -> Frame:
    """Begin with a prior worth ten customers, and fifty customers of whom thirty-five stayed."""
    from scipy import stats

    from crmlab.plots import figure_html

    start = {"mean": 0.5, "weight": 10, "seen": 50, "stayed": 35}
    before = stats.beta(5, 5)
    after = stats.beta(5 + 35, 5 + 15)
    low, high = after.ppf([0.05, 0.95])
    x = np.linspace(0, 1, 401)
    ax = _axes(8, 3)
    ax.plot(x, before.pdf(x), ls="--", label="prior")
    ax.plot(x, after.pdf(x), ls="-", label="posterior")
    ax.set(xlabel="retention rate", yticks=[])
    ax.legend(frameon=False)
    sentence = (
        f"35 of 50 customers stayed: retention lies between {low:.2f} and {high:.2f} with "
        "probability 90 %, equal tails."
    )
    return Frame(figure_html(ax, sentence), start)


def retention_frame() -> Frame:
    """Show what a customer is worth for ever, by retention rate, at ten percent a year."""
    from crmlab.plots import figure_html

    start = {"margin": 100, "retention": 0.9, "discount": 0.1}
    x = np.linspace(0.5, 0.99, 200)
    worth = 100 * 1.1 / (1.1 - x)
    ax = _axes(8, 3)
    ax.plot(x, worth)
    ax.set(xlabel="retention rate per year", ylabel="euros", ylim=(0, None))
    sentence = (
        f"At retention 0.90 a customer of 100 euros a year is worth {110 / 0.2:.0f} euros; at "
        f"0.95, {110 / 0.15:.0f}."
    )
    return Frame(figure_html(ax, sentence), start)


def _axes(width: float, height: float) -> "Axes":
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from crmlab.plots import style

    with rc_context():
        style("page")
        return Figure(figsize=(width, height), layout="constrained").subplots()
