"""Section: how the run was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SHORT = 8


def origin_section(report: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Tell pool, features, settings and stages; no times, so that equal runs give equal pages.

    Args:
        report: as `ds2_fast.report.build_report` made it.
        manifest: of the run.
    """
    features, neighbors = report["features"], report["neighbors"]
    return {
        "version": report["ds2_fast"],
        "facts": {
            "pool": ", ".join(report["pool"]["sources"]) or "in memory",
            "samples": f"{report['pool']['samples']:,}",
            "schema": report["pool"]["schema"],
            "scores": report["scores"]["source"],
            "features": f"{features['space']}: {features['source']}",
            "dimensions": f"{features['dimensions']:,}",
            "neighbors": f"{neighbors['k']} of each sample, {neighbors.get('method', 'given')}",
        },
        "settings": {name: _plain(value) for name, value in report["settings"].items()},
        "stages": [
            {
                "name": name,
                "files": ", ".join(stage.get("files", [])),
                "params": ", ".join(
                    f"{key} {_plain(value)}" for key, value in stage.get("params", {}).items()
                ),
                "digest": stage["digest"][:_SHORT],
            }
            for name, stage in manifest["stages"].items()
        ],
    }


def _plain(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
