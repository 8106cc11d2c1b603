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
    # The folder may keep stages of an earlier run, by another strategy.
    of_run = manifest.get("provenance", {}).get("stages", manifest["stages"])
    return {
        "version": report["ds2_fast"],
        "facts": _facts(report),
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
            if name in of_run
        ],
    }


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    """Where the run started from; a strategy need look neither at scores nor at features."""
    facts = {
        "pool": ", ".join(report["pool"]["sources"]) or "in memory",
        "samples": f"{report['pool']['samples']:,}",
        "schema": report["pool"]["schema"],
    }
    if "scores" in report:
        facts["scores"] = report["scores"]["source"]
    if "features" in report:
        features = report["features"]
        facts["features"] = f"{features['space']}: {features['source']}"
        facts["dimensions"] = f"{features['dimensions']:,}"
    if "neighbors" in report:
        neighbors = report["neighbors"]
        facts["neighbors"] = f"{neighbors['k']} of each sample, {neighbors.get('method', 'given')}"
    return facts


def _plain(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
