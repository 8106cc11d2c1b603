"""Section: a map of the pool with the selection on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ds2_fast.page.drawing import color, draw

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

    from ds2_fast.page.texts import Texts

WIDTH = 680
LEAST_HEIGHT, MOST_HEIGHT = 300, 560
_EDGE = 16
"""Room around the points."""

_DOT, _PICKED = 2.8, 3.6
SHOWN_TEXT = 160
"""Characters of a sample that are shown under the pointer."""


def atlas_section(report: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Draw the map, and give what the page needs to say which sample is under the pointer.

    Args:
        report: as `ds2_fast.report.build_report` made it, or with a strategy's score, which is of
            no classes, in place of the curated one.
        texts: of the samples.
    """
    found = report["figures"]["map"]
    classes = report["scores"]["classes"] if "scores" in report else None
    labels = classes or []
    laid = _lay_out(np.array(found["x"]), np.array(found["y"]))
    return {
        "shown": len(found["rows"]),
        "drawn": found["drawn"],
        "picked": sum(found["selected"]),
        "selected": report["selection"]["reasons"].get("selected", 0),
        "pool": report["pool"]["samples"],
        "explained": found["explained"],
        "labels": list(enumerate(labels)),
        "classes": classes is not None,
        "unrated": classes is not None and any(score is None for score in found["curated"]),
        "chart": _chart(laid, found, None if classes is None else len(classes)),
        "points": _points(laid, _heads(found, classes), found["rows"], texts),
    }


class _Layout(NamedTuple):
    """Where the points lie in a drawing; y grows downwards."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    height: float


def _lay_out(x: NDArray[np.float64], y: NDArray[np.float64]) -> _Layout:
    """Fit the points into the width, and the drawing to the points, without distorting them."""
    wide, high = float(np.ptp(x)), float(np.ptp(y))
    room = WIDTH - 2 * _EDGE, MOST_HEIGHT - 2 * _EDGE
    possible = [space / span for space, span in zip(room, (wide, high), strict=True) if span > 0]
    scale = min(possible, default=1.0)
    height = max(LEAST_HEIGHT, round(high * scale) + 2 * _EDGE)
    return _Layout(
        WIDTH / 2 + (x - (x.min() + x.max()) / 2) * scale,
        height / 2 - (y - (y.min() + y.max()) / 2) * scale,
        height,
    )


def _chart(laid: _Layout, found: Mapping[str, Any], num_classes: int | None) -> Markup:
    selected = np.array(found["selected"], dtype=np.bool_)
    tints = np.full(len(selected), "pool", dtype=object)
    if num_classes is not None:
        tints[:] = ["line" if score is None else f"s{score}" for score in found["curated"]]
    order = ["pool", "line", *(f"s{score}" for score in range(num_classes or 0))]

    def paint(axes: Axes) -> None:
        axes.set_axis_off()
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(laid.height, 0)
        for tint in order:
            _dots(axes, laid, (tints == tint) & ~selected, tint, _DOT)
        _dots(axes, laid, selected, "pick", _PICKED)

    return draw(
        paint,
        label="map of the pool: near samples are alike; the selection is marked",
        size=(WIDTH, int(laid.height)),
        margins=(0, 0, 0, 0),
    )


def _dots(axes: Axes, laid: _Layout, which: NDArray[np.bool_], tint: str, size: float) -> None:
    """Draw all dots of a color as one path of lines without length: a tenth of the bytes."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not which.any():
        return
    ends = np.repeat(np.column_stack([laid.x[which], laid.y[which]]), 2, axis=0)
    codes = np.tile([Path.MOVETO, Path.LINETO], int(which.sum()))
    dots = PathPatch(
        Path(ends, codes.astype(np.uint8)),
        facecolor="none",
        edgecolor=color(tint),
        linewidth=size,
        capstyle="round",
    )
    axes.add_patch(dots)


def _heads(found: Mapping[str, Any], labels: list[str] | None) -> list[str]:
    """A line for each sample: its row, its score, whether it was selected."""
    heads = []
    curated = found["score"] if labels is None else found["curated"]
    for row, score, now, selected in zip(
        found["rows"], found["score"], curated, found["selected"], strict=True
    ):
        if labels is None:
            given = "no score" if score is None else f"score {score:.4g}"
        else:
            given = "unrated" if score is None else f"score {labels[score]}"
            if now is not None and now != score:
                given += f", curated {labels[now]}"
        heads.append(f"row {row} · {given}{' · selected' if selected else ''}")
    return heads


def _points(laid: _Layout, heads: list[str], rows: list[int], texts: Texts) -> dict[str, Any]:
    """What is under the pointer: places, and a line and a text for each."""
    return {
        "x": laid.x.round(1).tolist(),
        "y": laid.y.round(1).tolist(),
        "head": heads,
        "text": [texts.short(row, SHOWN_TEXT) for row in rows],
    }
