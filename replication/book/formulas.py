"""Formulas of the book: TeX typeset to SVG when the book is built, by matplotlib's mathtext.

The page needs no script, no font and no network. A formula takes the colour of the text around it,
so it follows the dark mode, and its TeX is its alternative text. Mathtext knows a subset of TeX
(fractions, sums, growing brackets, Greek letters); what it does not know stops the build."""

import html
import re
from functools import cache
from typing import Any

from docutils import nodes
from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

RENDERER = "mathtext"
POINTS = 20.0  # size at which a formula is drawn; it is shown in units of the surrounding text
INLINE, DISPLAYED = 1.1, 1.2  # sizes in units of the surrounding text
PEN = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


@cache
def outline(tex: str) -> tuple[str, float, float, float]:
    """Return a formula's outline as SVG path data, and its width, height and depth in points.

    The depth is the part of the height below the baseline. Raises ValueError for TeX that mathtext
    does not know."""
    source = f"${tex.strip()}$"
    with rc_context({"mathtext.fontset": "cm"}):
        font = FontProperties(size=POINTS)
        width, height, depth, *_ = MathTextParser("path").parse(source, dpi=72, prop=font)
        path = TextPath((0, depth), source, prop=font)
    data = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        pairs = zip(points[::2], points[1::2], strict=True)
        places = "" if code == Path.CLOSEPOLY else " ".join(f"{x:.1f} {-y:.1f}" for x, y in pairs)
        data.append(PEN[code] + places)
    return "".join(data), width, height, depth


def element(tex: str, scale: float = INLINE) -> str:
    """Return the HTML of one formula, aligned to the baseline of the surrounding text."""
    data, width, height, depth = outline(tex)
    margin = 0.04 * POINTS  # outlines may pass the box a little
    box = f"0 {-height - margin:.2f} {width:.2f} {height + 2 * margin:.2f}"
    tall, below = (scale * (part + margin) / POINTS for part in (height + margin, depth))
    wide = scale * width / POINTS
    style = f"width:{wide:.3f}em;height:{tall:.3f}em;vertical-align:{-below:.3f}em"
    label = html.escape(" ".join(tex.split()), quote=True)
    return (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{style}">'
        f'<path fill="currentColor" d="{data}"/></svg>'
    )


def _inline(translator: nodes.NodeVisitor, node: nodes.math) -> None:
    translator.body.append(_checked(node.astext(), INLINE))
    raise nodes.SkipNode


def _displayed(translator: nodes.NodeVisitor, node: nodes.math_block) -> None:
    for line in re.split(r"\\\\\s", node.astext()):
        shown = _checked(line, DISPLAYED)
        translator.body.append(f'<div class="formula-block">{shown}</div>\n')
    raise nodes.SkipNode


def _checked(tex: str, scale: float) -> str:
    try:
        return element(tex, scale)
    except ValueError as error:
        raise ExtensionError(f"formula {tex!r}: {error}") from error


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under the name that ``html_math_renderer`` asks for."""
    app.add_html_math_renderer(RENDERER, (_inline, None), (_displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
