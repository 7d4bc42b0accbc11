"""A formula renderer for Sphinx: pictures with their TeX as alternative text, and no script."""

from typing import TYPE_CHECKING, Any

from crmlab.course.prose import formula_html

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.application import Sphinx


def _visit_inline(page: Any, node: "Element") -> None:
    from docutils.nodes import SkipNode

    page.body.append(formula_html(node.astext()))
    raise SkipNode


def _visit_display(page: Any, node: "Element") -> None:
    from docutils.nodes import SkipNode

    page.body.append(formula_html(node.astext(), display=True))
    raise SkipNode


def setup(app: "Sphinx") -> dict[str, bool]:
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer("pictures", (_visit_inline, None), (_visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
