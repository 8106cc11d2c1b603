"""Section: several raters, how they agree and what each is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def raters_section(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Tabulate the raters of a run; None where there is one.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    if "raters" not in report:
        return None
    raters = report["raters"]
    return {
        "raters": [
            {
                "name": each["rater"],
                "rated": each["rated"],
                "mean": each["mean"],
                "information": each["trust"]["neighbor_information"],
                "noise_share": each["curation"]["noise_share"],
                "changed": each["trust"]["share_changed"],
                "verdict": each["trust"]["verdict"],
                **{name: each[name] for name in ("raw", "curated", "predicted", "adds", "without")},
            }
            for each in raters
        ],
        "pairs": report["agreement"],
        "partly_rated": report["partly_rated"],
        "several": len(raters) > 2,  # noqa: PLR2004
    }
