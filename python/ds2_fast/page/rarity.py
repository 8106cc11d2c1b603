"""Section: the long tail, the cut, and what was set aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.page.drawing import FONT, color, draw, legend, percent_axis

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes


def rarity_section(report: Mapping[str, Any]) -> dict[str, Any]:
    """Tell how rare the selected samples are, and which were too rare.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    figures = report["figures"]
    return {
        "means": report["selection"]["means"]["long_tail"],
        "aside": sum(figures["rarity"]["aside"]),
        "aside_from": figures["rarity"]["aside_from"],
        "tie": figures["cut"]["tie"],
        "chart": _chart(figures["rarity"], figures["cut"]["tie"]),
    }


def _chart(rarity: Mapping[str, Any], tie: Mapping[str, Any] | None) -> Markup:
    edges = np.array(rarity["edges"])
    pool, aside = np.array(rarity["pool"]), np.array(rarity["aside"])
    chosen = np.array(rarity["selected"])

    def paint(axes: Axes) -> None:
        kept = (pool - aside) / max(pool.sum(), 1)
        axes.stairs(kept, edges, fill=True, color=color("pool"), label="pool")
        if aside.any():
            axes.stairs(
                kept + aside / pool.sum(),
                edges,
                baseline=kept,
                fill=True,
                color=color("aside"),
                label="set aside",
            )
        if chosen.any():
            share = chosen / chosen.sum()
            axes.stairs(share, edges, color=color("pick"), linewidth=1.6, label="selected")
        top = axes.get_ylim()[1] * 1.22
        if tie is not None:
            axes.axvline(tie["last_in"], color=color("ink"), linewidth=1, linestyle=(0, (3, 2)))
            axes.text(
                tie["last_in"] + (edges[-1] - edges[0]) * 0.012,
                top * 0.985,
                f"cut {tie['last_in']:.3f}",
                va="top",
                fontsize=FONT - 1,
                color=color("ink"),
            )
        axes.set_ylim(0, top)
        axes.set_xlabel("long-tail score: 0 has near copies, 0.76 is like nothing else")
        percent_axis(axes.yaxis)
        legend(axes, "upper left", columns=3, above=True)

    return draw(
        paint,
        label="distribution of the long-tail scores of pool and selection",
        margins=(46, 12, 30, 40),
    )
