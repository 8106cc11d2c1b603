"""Section: where the noise share comes from, when a second rater or a person told it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ds2_fast.page.drawing import color, draw, legend, percent_axis

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes


def calibration_section(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tell how the noise share was found; nothing where it is assumed.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    parts = report.get("raters") or [{"rater": None, "calibration": report["calibration"]}]
    return [
        {
            "rater": part["rater"],
            **{
                name: part["calibration"][name]
                for name in ("origin", "noise_share", "low", "high", "source", "samples", "words")
            },
            "audit": part["calibration"]["audit"],
            "tried": _tried(part["calibration"]),
            "chart": _chart(part["calibration"]),
        }
        for part in parts
        if part["calibration"]["origin"] != "assumed"
    ]


def _tried(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = (found["shares"], found["expected"], found["curated"])
    return [
        {"share": share, "expected": expected, "curated": curated}
        for share, expected, curated in zip_longest(*columns)
    ]


def _chart(found: Mapping[str, Any]) -> Markup | None:
    """How well the scores agree with the evidence, for each noise share that was tried."""
    if not found["shares"]:
        return None

    def paint(axes: Axes) -> None:
        if found["low"] is not None:
            axes.axvspan(found["low"], found["high"], color=color("line"), linewidth=0, alpha=0.7)
        axes.axvline(found["noise_share"], color=color("ink"), linewidth=1, linestyle=(0, (3, 2)))
        for name, tint in (("expected", "known"), ("curated", "pool")):
            if found[name]:
                axes.plot(
                    found["shares"],
                    found[name],
                    "o-",
                    color=color(tint),
                    markersize=4.5,
                    linewidth=1.6,
                    label=f"{name} score",
                )
        axes.set_xlabel("noise share tried; shaded: 90% interval of the one taken")
        axes.margins(y=0.25)
        percent_axis(axes.xaxis)
        legend(axes, "upper left", columns=2)

    who = "second rater" if found["origin"] == "second rater" else "person"
    return draw(paint, label=f"rank correlation with the {who} by noise share")
