"""Section: what was selected, why the rest was not, and where the ranking was cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.account import account_lines
from ds2_fast.page.drawing import FONT, color, count_axis, draw, legend

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

_BELOW = 2
"""Buckets below the cut that are shown."""

_MOST = 12
"""Buckets that are shown."""

_TOLD = 0.08


def selection_section(report: Mapping[str, Any]) -> dict[str, Any]:
    """Tell what became of the samples, and the tie at the cut.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    selection, cut = report["selection"], report["figures"]["cut"]
    rows = report["pool"]["samples"]
    reasons = [
        {"reason": reason or "nothing was to be selected", "samples": count, "share": count / rows}
        for reason, count in selection["reasons"].items()
    ]
    by_score = report["settings"]["preset"] != "default"
    return {
        "reasons": reasons,
        "account": account_lines(selection),
        "budget": _budget(selection.get("budget")),
        "tie": cut["tie"],
        "key": "curated score" if by_score else "expected score in steps of 0.25",
        "chart": None if cut["tie"] is None else _chart(cut),
    }


def _budget(account: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a budget brought, and what to do where its check fails; None without one."""
    if account is None:
        return None
    advice = [account["advice"]] if account["advice"] else []
    return {"told": account["told"], "words": [*account["words"], *advice]}


def _chart(cut: Mapping[str, Any]) -> Markup:
    """The buckets from the best to two below the cut; how many samples each has is written on."""
    buckets, lowest = cut["buckets"], cut["tie"]["bucket"]
    at = next(place for place, each in enumerate(buckets) if each["bucket"] == lowest)
    shown = buckets[max(0, at + 1 + _BELOW - _MOST) : at + 1 + _BELOW]
    # What is above the cut decides the scale: below it there are often ten times as many.
    tall = max(each["samples"] for each in shown if each["bucket"] >= lowest)
    top = tall * 1.25

    def paint(axes: Axes) -> None:
        places = np.arange(len(shown))
        taken = np.array([each["selected"] for each in shown])
        left = np.array([each["samples"] for each in shown]) - taken
        axes.bar(places, taken, 0.72, color=color("pick"), label="selected")
        axes.bar(places, left, 0.72, bottom=taken, color=color("pool"), label="not selected")
        for place, each in enumerate(shown):
            height = min(each["samples"], top * (1 - _TOLD))
            axes.text(
                place,
                height + top * 0.015,
                f"{each['samples']:,}",
                ha="center",
                va="bottom",
                fontsize=FONT - 1.5,
                color=color("ink"),
                bbox={"facecolor": color("paper"), "edgecolor": "none", "pad": 0.6},
            )
        edge = len([each for each in shown if each["bucket"] >= lowest]) - 0.5
        axes.axvline(edge, color=color("ink"), linewidth=1, linestyle=(0, (3, 2)))
        axes.set_xticks(places, [f"{each['bucket']:g}" for each in shown])
        axes.set_xlabel("bucket of the ranking, best first")
        axes.set_ylim(0, top)
        count_axis(axes.yaxis)
        legend(axes, "upper left", columns=2, above=True)

    return draw(
        paint, label="samples and selected samples in each bucket", margins=(46, 12, 30, 40)
    )
