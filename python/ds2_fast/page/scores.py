"""Section: the scores before and after curation, and among the selected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.page.drawing import FONT, color, draw

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

_GAP = 0.025
"""Room between two scores, as a share of all samples."""

_NAMED = 0.012
"""Scores of a smaller share are named in the table only."""


def scores_section(report: Mapping[str, Any]) -> dict[str, Any]:
    """Tabulate the scores, and draw where curation took them.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    scores, flow = report["scores"], report["figures"]["flow"]
    rows = report["pool"]["samples"]
    classes = [
        {
            "label": label,
            "pool": scores["pool"][place],
            "share": scores["pool"][place] / rows,
            "curated": scores["curated"][place],
            "selected": scores["selected"][place],
        }
        for place, label in enumerate(scores["classes"])
    ]
    return {
        "source": scores["source"],
        "classes": classes[::-1],
        "unrated": scores["unrated"],
        "unrated_share": scores["unrated"] / rows,
        "means": report["selection"]["means"],
        "sizes": report["selection"]["sizes"],
        "flow": flow,
        "moved": flow["raised"] + flow["lowered"],
        "rated": sum(map(sum, flow["counts"])),
        "moves": _moves(flow["counts"], scores["classes"]),
        "chart": _chart(np.array(flow["counts"]), scores["classes"]),
    }


def _moves(counts: list[list[int]], labels: list[str]) -> list[dict[str, Any]]:
    """The changes, the most frequent first."""
    found = [
        {"from": labels[i], "to": labels[j], "samples": count}
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda move: -move["samples"])


def _chart(counts: NDArray[np.int64], labels: list[str]) -> Markup | None:
    """A ribbon for every pair of scores that samples moved between, as wide as they are many."""
    total = counts.sum()
    if not total:
        return None
    shares = counts / total
    left, right = _stacks(shares.sum(axis=1)), _stacks(shares.sum(axis=0))

    def paint(axes: Axes) -> None:
        starts, ends = left.copy(), right.copy()
        for i in range(len(labels)):
            for j in range(len(labels)):
                if shares[i, j]:
                    _ribbon(axes, starts[i], ends[j], shares[i, j], i, moved=i != j)
                    starts[i] += shares[i, j]
                    ends[j] += shares[i, j]
        _bars(axes, left, shares.sum(axis=1), labels, before=True)
        _bars(axes, right, shares.sum(axis=0), labels, before=False)
        for x, text, side in ((-0.03, "as rated", "left"), (1.03, "curated", "right")):
            axes.text(x, 1.2, text, ha=side, va="bottom", color=color("muted"))
        axes.set_xlim(-0.28, 1.28)
        axes.set_ylim(-0.01, 1.2)
        axes.set_axis_off()

    return draw(
        paint,
        label="how many samples went from each score to each score by curation",
        size=(440, 320),
        margins=(4, 4, 20, 4),
    )


def _stacks(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each score starts, the lowest at the bottom, with gaps between."""
    gap = min(_GAP, 0.2 / max(len(shares) - 1, 1))
    below = np.cumsum(shares) - shares
    return np.asarray(below + gap * np.arange(len(shares)))


def _ribbon(axes: Axes, start: float, end: float, width: float, i: int, *, moved: bool) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    bend = 0.5
    points = [
        (0, start), (bend, start), (1 - bend, end), (1, end),
        (1, end + width), (1 - bend, end + width), (bend, start + width), (0, start + width),
        (0, start),
    ]  # fmt: skip
    curve, line = Path.CURVE4, Path.LINETO
    codes = [Path.MOVETO, curve, curve, curve, line, curve, curve, curve, Path.CLOSEPOLY]
    tint = color("pick") if moved else color(f"s{i}")
    axes.add_patch(
        PathPatch(
            Path(points, codes),
            facecolor=tint,
            edgecolor=tint if moved else "none",
            linewidth=0.4,
            alpha=0.85 if moved else 0.28,
            zorder=3 if moved else 2,
        )
    )


def _bars(
    axes: Axes,
    starts: NDArray[np.float64],
    shares: NDArray[np.float64],
    labels: list[str],
    *,
    before: bool,
) -> None:
    """Draw the scores at one end, each as high as it is frequent, with its name and share."""
    from matplotlib.patches import Rectangle

    x, outward = (-0.03, -1) if before else (1.0, 1)
    edge, side = (x, "right") if before else (x + 0.03, "left")
    for place, (start, share) in enumerate(zip(starts, shares, strict=True)):
        axes.add_patch(
            Rectangle((x, start), 0.03, share, facecolor=color(f"s{place}"), edgecolor="none")
        )
        if share >= _NAMED:
            for shift, text, tint, weight in (
                (0.02, labels[place], "ink", "bold"),
                (0.055 + 0.022 * max(map(len, labels)), f"{100 * share:.1f}%", "muted", "normal"),
            ):
                axes.text(
                    edge + outward * shift,
                    start + share / 2,
                    text,
                    ha=side,
                    va="center",
                    fontsize=FONT,
                    fontweight=weight,
                    color=color(tint),
                )
