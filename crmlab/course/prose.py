"""Markdown of a notebook: split into sections and blocks, and converted to HTML.

Formulas become pictures with their TeX as alternative text, so a page needs no external script and
no network.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape, unescape
from io import BytesIO

_HEADING = re.compile(r"^(#{1,6}) +(.+?) *$")
_MATH = re.compile(
    r"\$\$(?P<display>.+?)\$\$|(?<![\\$\w])\$(?!\s)(?P<inline>[^$\n]+?)(?<!\s)\$(?!\d)", re.DOTALL
)
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)*\"”$%][.?!])\s+|(?<=[a-z0-9)][.?!][*\"”])\s+")
_PT_PER_EM = 10.0


@dataclass(frozen=True)
class Section:
    """A heading and the text under it; level 0 and no title for text above the first heading."""

    level: int
    title: str
    blocks: tuple[str, ...]


def split_sections(source: str) -> tuple[Section, ...]:
    r"""Split a Markdown cell at its headings.

    Examples
    --------
    >>> [(s.level, s.title, s.blocks) for s in split_sections("first\n\n## Two\n\nthen\n\nlast")]
    [(0, '', ('first',)), (2, 'Two', ('then', 'last'))]
    """
    sections, level, title, held = [], 0, "", []
    for block in split_blocks(source):
        found = _HEADING.match(block.splitlines()[0])
        if found is None:
            held.append(block)
            continue
        if held or title:
            sections.append(Section(level, title, tuple(held)))
        level, title = len(found[1]), found[2]
        rest = block.partition("\n")[2].strip("\n")
        held = [rest] if rest else []
    return (*sections, Section(level, title, tuple(held))) if held or title else tuple(sections)


def split_blocks(source: str) -> tuple[str, ...]:
    """Split at blank lines, but not inside fenced code or a display formula."""
    lines: list[str] = []
    blocks: list[str] = []
    open_fence = open_math = False
    for line in (*source.splitlines(), ""):
        open_fence ^= line.lstrip().startswith("```")
        open_math ^= not open_fence and line.count("$$") % 2 == 1
        if line.strip() or open_fence or open_math:
            lines.append(line)
        elif lines:
            blocks.append("\n".join(lines))
            lines = []
    rest = "\n".join(lines).rstrip()  # a fence that was never closed
    return (*blocks, rest) if rest else tuple(blocks)


def word_count(source: str) -> int:
    """Count the words of a text; a formula counts as one.

    Examples
    --------
    >>> word_count("Two words and $a + b = c$.")
    4
    """
    return len(re.findall(r"[\w\u2019'-]+", _MATH.sub(" formula ", source)))


def leading_sentences(paragraph: str, most_words: int) -> str:
    """Return the first sentences of a paragraph, at least one, up to a number of words.

    Examples
    --------
    >>> leading_sentences("Most leave early. The rest stay. They are few.", 6)
    'Most leave early. The rest stay.'
    """
    kept: list[str] = []
    for sentence in _SENTENCE_END.split(paragraph.replace("\n", " ")):
        if kept and word_count(" ".join([*kept, sentence])) > most_words:
            break
        kept.append(sentence)
    return " ".join(kept)


def to_html(source: str) -> str:
    """Convert Markdown to HTML, with formulas as pictures."""
    from nbconvert.filters import markdown2html

    html = re.sub(r'<a class="anchor-link"[^>]*>.*?</a>', "", markdown2html(source))
    return _MATH.sub(_formula, html)


def _formula(found: re.Match[str]) -> str:
    shown = found["display"] is not None
    return formula_html(unescape(found["display"] if shown else found["inline"]), display=shown)


def formula_html(tex: str, *, display: bool = False) -> str:
    """Convert a formula to HTML: a picture whose alternative text is its TeX.

    Parameters
    ----------
    tex : str
        Without dollar signs.
    display : bool
        On a line of its own.

    Examples
    --------
    >>> formula_html("x^2").startswith('<img class="math"')
    True
    """
    picture = _picture(" ".join(tex.split()))
    return f'<span class="display">{picture}</span>' if display else picture


@cache
def _picture(tex: str) -> str:
    """Draw a formula as SVG, in units of the surrounding text; plain TeX if that fails."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    text = f"${_for_mathtext(tex)}$"
    with rc_context({"mathtext.fontset": "cm", "svg.hashsalt": "crmlab"}):
        try:
            prop = FontProperties(size=_PT_PER_EM)
            width, height, depth, *_ = MathTextParser("path").parse(text, dpi=72, prop=prop)
        except ValueError:
            return f'<code class="tex">{escape(tex)}</code>'
        figure = Figure(figsize=(width / 72, height / 72))
        figure.text(0, depth / height, text, fontproperties=prop)
        file = BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    size = f"height:{height / _PT_PER_EM:.3f}em;vertical-align:{-depth / _PT_PER_EM:.3f}em"
    data = b64encode(file.getvalue()).decode()
    return (
        f'<img class="math" style="{size}" alt="{escape(tex, quote=True)}" '
        f'src="data:image/svg+xml;base64,{data}">'
    )


def _for_mathtext(tex: str) -> str:
    """Replace TeX commands by the names that Matplotlib knows."""
    for ours, theirs in (
        (r"\tfrac", r"\frac"),
        (r"\dfrac", r"\frac"),
        (r"\lvert", "|"),
        (r"\rvert", "|"),
        (r"\top", r"\mathrm{T}"),
        (r"\le ", r"\leq "),
        (r"\ge ", r"\geq "),
        (r"\{,}", ","),
        (r"\,", r"\,"),
    ):
        tex = tex.replace(ours, theirs)
    return tex


def iterate_formulas(source: str) -> Iterator[str]:
    """Yield the TeX of every formula in a text.

    Examples
    --------
    >>> list(iterate_formulas("with $a$ and $$b$$"))
    ['a', 'b']
    """
    for found in _MATH.finditer(source):
        yield (found["display"] or found["inline"]).strip()
