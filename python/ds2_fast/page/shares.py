"""Section: how much of each group was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LISTED = 15


def shares_section(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tabulate pool and selection by group; nothing without a selection.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    shares = report["figures"]["shares"]
    if not report["selection"]["sizes"]:
        return []
    tables = [
        _table(f"By {_tells(found)}", found["groups"], found["column"])
        for found in shares["groups"]
    ]
    lengths = [{**part, "group": f"{part['from']:,}–{part['to']:,}"} for part in shares["length"]]
    return [*tables, _table("By length in characters", lengths, None)]


def _tells(found: Mapping[str, Any]) -> str:
    told: str = found["column"] if found["tells"] == "group" else found["tells"]
    return told


def _table(title: str, groups: list[dict[str, Any]], column: str | None) -> dict[str, Any]:
    """The largest groups, the rest in one row; bars share one scale."""
    pool, chosen = (sum(group[name] for group in groups) for name in ("samples", "selected"))
    shown = groups[:_LISTED]
    rest = groups[_LISTED:]
    if rest:
        counts = {name: sum(each[name] for each in rest) for name in ("samples", "selected")}
        shown = [*shown, {"group": f"{len(rest):,} more", **counts}]
    rows = [
        {
            "group": group["group"],
            "samples": group["samples"],
            "selected": group["selected"],
            "of_pool": group["samples"] / pool,
            "of_selection": group["selected"] / chosen if chosen else 0.0,
            "kept": group["selected"] / group["samples"] if group["samples"] else 0.0,
        }
        for group in shown
    ]
    widest = max(max(row["of_pool"], row["of_selection"]) for row in rows)
    return {"title": title, "column": column, "rows": rows, "widest": widest}
