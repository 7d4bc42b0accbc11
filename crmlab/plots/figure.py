"""A figure and the sentence that says what it shows, kept together.

The sentence is computed from the data. In a notebook it is the output's ``text/plain``, which
nbval compares from run to run (it does not compare images); it is drawn under the picture, and it
is the picture's alternative text. In a report it is the caption.
"""

import base64
import html
import sys
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crmlab.errors import SpecError
from crmlab.plots.layout import check_numbers, points_of, text_size
from crmlab.plots.styles import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAD = "Reading: "


def show(ax_or_fig: "Axes | Figure", sentence: str) -> None:
    """Show a figure with its sentence under it, and close it.

    In a notebook this is one output: ``text/plain`` is the sentence, ``image/png`` the figure with
    "Reading: ..." below it, and the output's metadata hold the sentence as alternative text.
    Elsewhere the sentence is printed.

    Parameters
    ----------
    ax_or_fig : matplotlib Axes or Figure
    sentence : str
        One line that says what the figure shows, with its numbers, computed from the data.

    Raises
    ------
    SpecError
        `ax_or_fig` is not a figure, or `sentence` is not one line of text.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> ax = plt.subplots()[1]
    >>> show(ax, "Bonding lasts 7.1 quarters on average.")
    Reading: Bonding lasts 7.1 quarters on average.
    """
    import matplotlib.pyplot as plt

    figure = _figure_of(ax_or_fig)
    data, metadata = _bundle(figure, _checked(sentence))
    # IPython is used only if it is already running: crmlab itself does not need it.
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from IPython.display import display

        display(data, metadata=metadata, raw=True)
    else:
        print(_LEAD + sentence)
    plt.close(figure)


def figure_html(ax_or_fig: "Axes | Figure", sentence: str) -> str:
    """Write a figure as one self-contained HTML element, with its sentence as caption and alt text.

    Parameters
    ----------
    ax_or_fig : matplotlib Axes or Figure
    sentence : str
        One line that says what the figure shows; it is escaped.

    Returns
    -------
    str
        ``<figure>`` with the PNG inside, so no other file is needed. The figure stays open.

    Raises
    ------
    SpecError
        `ax_or_fig` is not a figure, or `sentence` is not one line of text.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> element = figure_html(plt.subplots()[1], "Margins < 0 in 2 stages.")
    >>> element.startswith('<figure><img alt="Margins &lt; 0 in 2 stages." src="data:image/png')
    True
    """
    figure, text = _figure_of(ax_or_fig), html.escape(_checked(sentence))
    image = base64.b64encode(_png(_pixels(figure))).decode("ascii")
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{image}">'
        f"<figcaption>{_LEAD}{text}</figcaption></figure>"
    )


def describe_trend(
    label: str,
    values: ArrayLike,
    *,
    times: ArrayLike | None = None,
    unit: str = "",
    time_name: str = "period",
    decimals: int = 0,
) -> str:
    """Say in one sentence where a series starts and ends, and its peak and low in between.

    Parameters
    ----------
    label : str
        What the series is: the subject of the sentence.
    values : array_like of shape (n,), n >= 2
        In `unit`.
    times : array_like of shape (n,), optional
        By default 0, 1, 2, ...
    unit : str
        Written after each number: '%', ' EUR'.
    time_name : str
        What a time is: 'month', 'week'.
    decimals : int
        Digits after the point.

    Returns
    -------
    str

    Raises
    ------
    SpecError
        Fewer than two values, values that are not finite, or times that do not match.

    Examples
    --------
    >>> describe_trend("Bonding", [12.2, 33.1, 31], unit="%", time_name="month")
    'Bonding rises from 12% in month 0 to 31% in month 2, with a peak of 33% in month 1.'
    """
    series = check_numbers("values", values, (None,))
    names = np.arange(len(series)) if times is None else np.asarray(times)
    if len(series) < 2 or names.shape != series.shape:
        raise SpecError(
            f"describe_trend: needs at least two values and as many times, got {len(series)} and "
            f"{names.size}"
        )
    amounts = [f"{value:,.{decimals}f}{unit}" for value in series]
    spoken = [f"{a} in {time_name} {t}" for a, t in zip(amounts, names, strict=True)]
    ends = {amounts[0], amounts[-1]}
    turns = [
        f"a {turn} of {spoken[k]}"
        for turn, k in (("peak", series.argmax()), ("low", series.argmin()))
        if amounts[k] not in ends
    ]
    course = f"from {spoken[0]} to {spoken[-1]}"
    verb = "goes" if len(ends) == 1 else "rises" if series[-1] > series[0] else "falls"
    return f"{label} {verb} {course}" + (f", with {' and '.join(turns)}" if turns else "") + "."


def _figure_of(ax_or_fig: object) -> "Figure":
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    figure = ax_or_fig.get_figure(root=True) if isinstance(ax_or_fig, Axes | Figure) else None
    if figure is None:
        raise SpecError(
            f"`ax_or_fig` must be matplotlib Axes or a Figure, got {type(ax_or_fig).__name__}"
        )
    return figure


def _checked(sentence: str) -> str:
    if not isinstance(sentence, str) or not sentence.strip() or "\n" in sentence:
        raise SpecError(f"`sentence` must be one line of text, got {sentence!r}")
    return sentence


def _bundle(figure: "Figure", sentence: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Build the data and the metadata of one notebook output."""
    picture = _pixels(figure)
    caption = _caption(_LEAD + sentence, picture.shape[1])
    png = base64.b64encode(_png(np.concatenate([picture, caption]))).decode("ascii")
    return {"text/plain": sentence, "image/png": png}, {"image/png": {"alt": sentence}}


def _pixels(figure: "Figure") -> NDArray[np.uint8]:
    """Render a figure as (height, width, RGB), with everything that extends over its edges."""
    from PIL import Image

    buffer = BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.06)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def _caption(text: str, width: int) -> NDArray[np.uint8]:
    """Render a caption as pixels, wrapped to the width of its picture."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dpi, size = matplotlib.rcParams["savefig.dpi"], points_of(1.0)
    dpi = matplotlib.rcParams["figure.dpi"] if dpi == "figure" else dpi
    lines = _wrapped(text, 0.98 * (72 * width / dpi - 2 * size), size)
    height = round(dpi * (1.45 * len(lines) + 0.9) * size / 72)
    strip = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor="white")
    strip.set_layout_engine("none")
    canvas = FigureCanvasAgg(strip)
    left, top = size * dpi / 72 / width, 1 - 0.35 * size * dpi / 72 / height
    strip.text(
        left,
        top,
        "\n".join(lines),
        size=size,
        va="top",
        linespacing=1.35,
        color=INK,
        parse_math=False,
    )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :width, :3]


def _wrapped(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines of at most `width` points."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_size(longer, size)[0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels as PNG: 256 colours, and nothing that varies from run to run."""
    from PIL import Image

    buffer = BytesIO()
    image = Image.fromarray(pixels).quantize(
        256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
