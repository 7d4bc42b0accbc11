"""One style for all figures, and colours that every reader can distinguish.

Ten stages form two ramps of five: coming together runs from pale mint to navy, coming apart from
gold to wine. Lightness falls strictly along each ramp, so the order survives a grey print, and the
hues differ as blue from yellow, a contrast that the common colour-vision deficiencies preserve.
Between any two of the ten the difference is at least 11 by CIEDE2000, for normal sight and for
simulated protanopia, deuteranopia and tritanopia (tests/test_plots.py; 2 to 3 is just noticeable).
Ten greys cannot all differ, so lines and points have a marker and a dash as well (`stage_markers`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from crmlab.errors import check_one_of
from crmlab.stages import StageSpace

TOGETHER_RAMP = ("#ABE6D3", "#5FC2C9", "#3A96BD", "#0266A3", "#013A83")
APART_RAMP = ("#FFD149", "#E69543", "#C05535", "#943232", "#620027")
PHASE_COLOURS = {"together": TOGETHER_RAMP[3], "apart": APART_RAMP[3]}
PHASE_TITLES = {"together": "Coming together", "apart": "Coming apart"}

UP, DOWN, AWAY = "#00796B", "#D2402A", "#9CA1A8"
INK, MUTED, GRID = "#22262B", "#5B626B", "#E3E5E8"
# Lines that are not stages (models, forecasts): the truth or the data come first, in ink.
LINES = (INK, "#0A5A8C", "#E0452F", "#5F8F88", "#A05FE0", "#5B3000")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 3)))

_MARKERS = {"together": ("o", "^", "s", "D", "p"), "apart": ("v", "X", "P", "h", "*")}
_STAGE_DASHES = {"together": ("-", (0, (6, 2))), "apart": ((0, (3, 1.5)), (0, (1, 1.5)))}

# Width and height in inches: the text width of a printed page, and a 16:9 screen.
_SIZES: dict[str, dict[Any, Any]] = {
    "page": {"figure.figsize": (7.2, 4.8), "font.size": 9.0, "savefig.dpi": 150},
    "projector": {"figure.figsize": (12.8, 7.2), "font.size": 18.0, "savefig.dpi": 100},
}


class StageMark(NamedTuple):
    """How a stage is drawn without colour: a marker and a dash, as matplotlib names them."""

    marker: str
    linestyle: object


def style(medium: str = "page") -> None:
    """Set the style of all figures, for print and screen or for a projector.

    Sizes are 7.2 x 4.8 in with 9-point text, or 12.8 x 7.2 in with 18-point text. Figures have a
    white background and are never transparent. On a dark page, mirror the lightness and keep the
    hue (CSS: ``figure img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen }``); the
    colours that this gives are tested like the original ones.

    Parameters
    ----------
    medium : {'page', 'projector'}

    Raises
    ------
    SpecError
        The medium is neither of these.

    Examples
    --------
    >>> style("page")
    >>> import matplotlib
    >>> float(matplotlib.rcParams["font.size"])
    9.0
    """
    import matplotlib

    check_one_of("style", "medium", medium, _SIZES)
    matplotlib.rcParams.update({**_rules(), **_scaled(medium), **_SIZES[medium]})


def stage_colours(space: StageSpace) -> dict[str, str]:
    """Return the colour of each stage, as hex: a place on the ramp of its phase.

    Parameters
    ----------
    space : StageSpace
        K stages. Knapp's ten use the two ramps as they are; any other number of stages in a phase
        is spread evenly over its ramp, from pale to dark in the listed order.

    Returns
    -------
    dict of str to str
        In the order of the stages.

    Examples
    --------
    >>> stage_colours(StageSpace(("dormant", "occasional", "active")))
    {'dormant': '#ABE6D3', 'occasional': '#3A96BD', 'active': '#013A83'}
    """
    ramps = {
        "together": iter(_along(TOGETHER_RAMP, space.phases.count("together"))),
        "apart": iter(_along(APART_RAMP, space.phases.count("apart"))),
    }
    return {name: next(ramps[phase]) for name, phase in zip(space.names, space.phases, strict=True)}


def stage_markers(space: StageSpace) -> dict[str, StageMark]:
    """Return the marker and dash of each stage, for lines and points that must survive grey print.

    Parameters
    ----------
    space : StageSpace
        K stages. Up to ten in a phase, no two share marker and dash.

    Returns
    -------
    dict of str to StageMark

    Examples
    --------
    >>> stage_markers(StageSpace(("new", "loyal"), ("together", "apart")))["loyal"].marker
    'v'
    """
    seen = {"together": 0, "apart": 0}
    marks = {}
    for name, phase in zip(space.names, space.phases, strict=True):
        lap, place = divmod(seen[phase], len(_MARKERS[phase]))
        dashes = _STAGE_DASHES[phase]
        marks[name] = StageMark(_MARKERS[phase][place], dashes[lap % len(dashes)])
        seen[phase] += 1
    return marks


def spell_money(amount: float, sign: str = "") -> str:
    """Write a whole amount with a real minus sign; with `sign` "+", gains get a plus sign.

    Examples
    --------
    >>> spell_money(1234.5, "+")
    '+1,234'
    """
    return f"{amount:{sign},.0f}".replace("-", "\N{MINUS SIGN}")


def stage_title(name: str) -> str:
    """Write the name of a stage as a label: 'avoiding_terminating' is 'Avoiding terminating'."""
    return name.replace("_", " ").capitalize()


def ink_on(colour: str) -> str:
    """Return ink or white, whichever has the higher WCAG contrast on a hex colour."""
    luminance = _luminance(colour)
    on_white, on_ink = 1.05 / (luminance + 0.05), (luminance + 0.05) / (_luminance(INK) + 0.05)
    return "#FFFFFF" if on_white > on_ink else INK


def mixed(colour: str, other: str, share: float) -> str:
    """Mix `share` of one hex colour with the rest of another."""
    parts = zip(_channels(colour), _channels(other), strict=True)
    return _hex([share * a + (1 - share) * b for a, b in parts])


def _rules() -> dict[Any, Any]:
    """Return settings of both media; matplotlib includes DejaVu Sans, so figures never differ."""
    from cycler import cycler

    return {
        "font.family": ["DejaVu Sans"],
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.prop_cycle": cycler(color=LINES, linestyle=DASHES),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.facecolor": "white",
        "grid.color": GRID,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "white",
        "savefig.transparent": False,
        "savefig.format": "png",
    }


def _scaled(medium: str) -> dict[Any, float]:
    scale = _SIZES[medium]["font.size"] / _SIZES["page"]["font.size"]
    return {
        "axes.titlesize": 10 * scale,
        "axes.labelsize": 9 * scale,
        "xtick.labelsize": 8 * scale,
        "ytick.labelsize": 8 * scale,
        "legend.fontsize": 8 * scale,
        "lines.linewidth": 1.6 * scale,
        "lines.markersize": 5 * scale,
        "axes.linewidth": 0.7 * scale,
        "grid.linewidth": 0.6 * scale,
        "xtick.major.width": 0.7 * scale,
        "ytick.major.width": 0.7 * scale,
        "xtick.major.size": 3 * scale,
        "ytick.major.size": 3 * scale,
        "xtick.major.pad": 5 * scale,
        "ytick.major.pad": 4 * scale,
    }


def _along(ramp: Sequence[str], n: int) -> list[str]:
    """Spread n colours evenly over a ramp; a single colour is dark enough for a line."""
    if n == 1:
        return [ramp[3]]
    return [_at(ramp, k * (len(ramp) - 1) / (n - 1)) for k in range(n)]


def _at(ramp: Sequence[str], place: float) -> str:
    below = min(int(place), len(ramp) - 2)
    return mixed(ramp[below + 1], ramp[below], place - below)


def _channels(colour: str) -> list[float]:
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def _hex(channels: Sequence[float]) -> str:
    return "#" + "".join(f"{round(channel):02X}" for channel in channels)


def _luminance(colour: str) -> float:
    """Relative luminance by WCAG 2: sRGB made linear, weighted by channel."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
