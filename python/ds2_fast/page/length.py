"""Section: length bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.page.drawing import color, count_axis, draw, legend

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

_LEAST = 5
"""Samples of a score below which its lengths are not drawn."""

_SERIES = (
    ("pool", "pool", "pool", -0.22),
    ("control", "known", "random draw", 0.0),
    ("selected", "pick", "selection", 0.22),
)


def length_section(report: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the lengths of pool, selection and a random draw.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    lengths = report["figures"]["length"]
    rows = [
        {"name": name, "tint": tint, **lengths[key]}
        for key, tint, name, _ in _SERIES
        if lengths[key] is not None
    ]
    return {
        "rows": rows,
        "pool": lengths["pool"],
        "selected": lengths["selected"],
        "control": lengths["control"],
        "least": _LEAST,
        "rated": "scores" in report,
        "chart": _chart(lengths, report["scores"]["classes"]) if "scores" in report else None,
    }


def _chart(lengths: Mapping[str, Any], labels: list[str]) -> Markup | None:
    """The middle half of the lengths at each score, with the median."""
    if not any(part["samples"] >= _LEAST for part in lengths["pool"]["classes"]):
        return None

    def paint(axes: Axes) -> None:
        for key, tint, name, shift in _SERIES:
            if lengths[key] is None:
                continue
            found = [
                (place + shift, part["quarters"])
                for place, part in enumerate(lengths[key]["classes"])
                if part["samples"] >= _LEAST
            ]
            if not found:
                continue
            x = [place for place, _ in found]
            low, middle, high = np.array([quarters for _, quarters in found]).T
            axes.vlines(x, low, high, color=color(tint), linewidth=7, alpha=0.45)
            axes.plot(x, middle, "o", color=color(tint), markersize=6.5, label=name)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.6, len(labels) - 0.4)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("score as rated")
        axes.set_ylabel("characters")
        count_axis(axes.yaxis)
        legend(axes, "upper left", columns=3, above=True)

    return draw(
        paint,
        label="characters of the texts by score, of pool, random draw and selection",
        margins=(62, 12, 30, 40),
    )
