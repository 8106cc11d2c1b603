"""The page of a run that another strategy than DS2 selected: its sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ds2_fast.page.atlas import atlas_section
from ds2_fast.page.length import length_section
from ds2_fast.page.origin import origin_section
from ds2_fast.page.shares import shares_section
from ds2_fast.page.verdict import verdict_section

if TYPE_CHECKING:
    from ds2_fast.page.texts import Texts

_LONG = 360


def strategy_sections(
    report: Mapping[str, Any], manifest: Mapping[str, Any], texts: Texts
) -> dict[str, Any]:
    """Gather what the template `strategy.html` shows.

    Args:
        report: as `ds2_fast.strategy_report.strategy_report` made it.
        manifest: of the run.
        texts: of the samples.
    """
    strategy, selection = report["strategy"], report["selection"]
    return {
        "name": strategy["name"],
        "parts": [_part(part) for part in strategy["parts"]],
        "sizes": selection["sizes"],
        "samples": report["pool"]["samples"],
        "why_fewer": selection["why_fewer"],
        "candidates": selection["candidates"],
        "mean": selection["means"]["strategy_score"],
        "reasons": [
            {"reason": reason, "samples": count, "share": count / report["pool"]["samples"]}
            for reason, count in selection["reasons"].items()
        ],
        "texts_known": texts.known,
        "verdict": verdict_section(report) if strategy["curated"] else None,
        "length": length_section(report),
        "shares": shares_section(report),
        "atlas": None if report["figures"]["map"] is None else atlas_section(report, texts),
        "examples": _examples(report, texts),
        "origin": origin_section(report, manifest),
    }


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part with its text in paragraphs, and the options that are set."""
    options = {name: value for name, value in part["options"].items() if value not in (None, [])}
    paragraphs = [" ".join(each.split()) for each in part["text"].split("\n\n") if each.strip()]
    return {**part, "paragraphs": paragraphs, "options": options}


def _examples(report: Mapping[str, Any], texts: Texts) -> list[dict[str, Any]]:
    examples = report["figures"]["examples"]
    known = {sample["row"]: sample for sample in examples["samples"]}
    titles = {
        "selected": ("Selected", "evenly over the ranks, the first and the last among them"),
        "missed": ("Not selected", "those with the best scores of all that could be chosen"),
    }
    return [
        {
            "title": title,
            "note": note,
            "rows": [
                {**known[row], "name": texts.name(row), "text": texts.lines(row, _LONG)}
                for row in examples[part]
            ],
        }
        for part, (title, note) in titles.items()
        if examples[part]
    ]
