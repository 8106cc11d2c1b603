"""Section: may the curation be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.page.drawing import color, draw, legend, percent_axis

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

_MEANS = {
    "trust": "Neighbors know something about the scores, and nothing speaks against letting them "
    "correct the ratings.",
    "use with care": "Neighbors know something about the scores, but read the reasons before "
    "relying on corrected ones.",
    "do not curate": "Neighbors cannot correct these ratings. Select by the ratings as they are, "
    "or give better features.",
}
_TONES = {"trust": "good", "use with care": "care", "do not curate": "bad"}


def verdict_section(report: Mapping[str, Any]) -> dict[str, Any]:
    """Say the verdict, its reasons, and what would help.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    judged = _judged(report)
    worst = max(judged, key=lambda each: list(_TONES).index(each["trust"]["verdict"]))
    return {
        "verdict": worst["trust"]["verdict"],
        "tone": _TONES[worst["trust"]["verdict"]],
        "means": _MEANS[worst["trust"]["verdict"]],
        "raters": [_one(each) for each in judged],
    }


def _judged(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "raters" in report:
        return list(report["raters"])
    names = ("trust", "transition", "curation", "calibration")
    return [{"rater": None, **{name: report[name] for name in names}}]


def _one(each: Mapping[str, Any]) -> dict[str, Any]:
    trust = each["trust"]
    cares = (*each["transition"]["warnings"], *each["curation"]["warnings"])
    prefixes = ("care: ", "to move up: ")
    return {
        "rater": each["rater"],
        "verdict": trust["verdict"],
        "tone": _TONES[trust["verdict"]],
        "words": [line for line in trust["words"] if not line.startswith(prefixes)],
        "reasons": [*trust["reasons"], *cares],
        "advice": trust["advice"],
        "calibration": each["calibration"]["words"],
        "rule": trust["rule"],
        "chart": _chart(trust["bins"]),
    }


def _chart(bins: list[dict[str, Any]]) -> Markup | None:
    known = [part for part in bins if part["pairs"] and part["chance"] is not None]
    if not known:
        return None
    names = _names(bins)

    def paint(axes: Axes) -> None:
        places = np.arange(len(bins))
        shown = [part in known for part in bins]
        for key, tint, label in (("agreement", "known", "found"), ("chance", "pool", "by chance")):
            heights = [part[key] if ok else 0 for part, ok in zip(bins, shown, strict=True)]
            shift = -0.2 if key == "agreement" else 0.2
            axes.bar(places + shift, heights, 0.36, color=color(tint), label=label)
        axes.set_xticks(places, names)
        axes.set_xlabel("pairs of nearest neighbors, closest first")
        tall = max(max(part["agreement"], part["chance"]) for part in known)
        axes.set_ylim(0, tall * 1.3 if tall > 0 else 1)
        percent_axis(axes.yaxis)
        legend(axes, "upper right", columns=2)

    return draw(paint, label="how often nearest neighbors have the same score, by distance")


def _names(bins: list[dict[str, Any]]) -> list[str]:
    ends = [0.0, *(part["to_share"] for part in bins)]
    return [f"{100 * low:.0f}–{100 * high:.0f}%" for low, high in pairwise(ends)]
