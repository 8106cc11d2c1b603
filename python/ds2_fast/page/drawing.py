"""Charts as SVG that takes its colors from the page, so that one drawing serves light and dark."""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

MOST_CLASSES = 16
Corner = Literal["upper left", "upper right"]
COLORS = (
    "ink",
    "muted",
    "line",
    "paper",
    "pool",
    "pick",
    "aside",
    "known",
    *(f"s{place}" for place in range(MOST_CLASSES)),
)
"""Custom properties of the style sheet."""

FONT = 10.5
WIDTH, HEIGHT = 440, 264
"""Of a chart, in units that are pixels where it is shown at full size: readable at 350 pixels."""

_POINTS_PER_INCH = 72
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ds2-fast",
    "font.size": FONT,
    "path.simplify": False,
    "text.parse_math": False,
    "axes.unicode_minus": True,
}
_SENTINEL = re.compile(r"#0a01([0-9a-f]{2})")
_IDS = re.compile(r' id="[a-z_0-9.]+_\d+"')
_REFERRED = re.compile(r'(id="|href="#|url\(#)')
_HEAD = re.compile(r"^.*?<svg[^>]*?viewBox=\"([^\"]+)\"[^>]*>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)


def color(name: str) -> str:
    """Name a color of the style sheet to the plotting library.

    It knows no custom properties, so each has a stand-in that no chart uses otherwise.
    """
    return f"#0a01{COLORS.index(name):02x}"


def draw(
    paint: Callable[[Axes], None],
    *,
    label: str,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    margins: tuple[float, float, float, float] = (46, 12, 12, 40),
) -> Markup:
    """Draw one chart.

    Args:
        paint: draws into the axes.
        label: what the chart shows, for those who cannot see it.
        size: width and height.
        margins: room at the left, right, top and bottom for names and numbers.

    Returns:
        An `<svg>` element whose identifiers no other chart has, to be put into the page.

    Cost: 50 milliseconds, and 0.3 seconds once to load the plotting library.
    """
    with _unheard():
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

    width, height = size
    left, right, top, bottom = margins
    with rc_context(_STYLE):
        figure = Figure((width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), facecolor="none")
        FigureCanvasSVG(figure)
        axes = figure.add_axes(
            (
                left / width,
                bottom / height,
                1 - (left + right) / width,
                1 - (top + bottom) / height,
            )
        )
        _soften(axes)
        paint(axes)
        file = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return _clean(file.getvalue(), label)


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep the library from saying where it caches fonts: nobody asked."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _soften(axes: Axes) -> None:
    """Leave of the frame what is needed to read the numbers."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(color("line"))
    axes.grid(axis="y", color=color("line"), linewidth=0.7)
    axes.tick_params(colors=color("muted"), length=0, pad=4)
    axes.xaxis.labelpad = 5
    axes.xaxis.label.set_color(color("muted"))
    axes.yaxis.label.set_color(color("muted"))


def _clean(svg: str, label: str) -> Markup:
    """Make a drawing part of the page: its colors, its own identifiers, a name."""
    svg = _IDS.sub("", _METADATA.sub("", svg))
    own = hashlib.blake2b(svg.encode(), digest_size=4).hexdigest()
    svg = _REFERRED.sub(rf"\g<1>c{own}-", svg)
    svg = _SENTINEL.sub(lambda found: f"var(--{COLORS[int(found[1], 16)]})", svg)
    body = _HEAD.sub("", svg, count=1)
    box = _HEAD.match(svg)
    assert box is not None, "the library writes an svg element with a view box"
    name = escape(label)
    return Markup(
        f'<svg class="chart" viewBox="{box[1]}" role="img" aria-label="{name}">{body.strip()}'
    )


def percent_axis(axis: Axis) -> None:
    """Write the numbers of an axis, shares in 0..1, as percent, in steps that need no rounding."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}%"))


def count_axis(axis: Axis) -> None:
    """Write the numbers of an axis with their thousands apart, few of them and whole."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def legend(axes: Axes, where: Corner, *, columns: int = 1, above: bool = False) -> None:
    """Explain the series of a chart, in the page's colors.

    Args:
        axes: the chart.
        where: the corner.
        columns: names side by side.
        above: put it above the chart, not into it.
    """
    found = axes.legend(
        loc=where,
        ncols=columns,
        bbox_to_anchor=(0, 1.14) if above else None,
        frameon=False,
        fontsize=FONT - 0.5,
        handlelength=1.2,
        handletextpad=0.5,
    )
    for text in found.get_texts():
        text.set_color(color("ink"))
