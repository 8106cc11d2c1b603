"""Section: samples to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ds2_fast.page.texts import Texts

_LONG, _SHORT = 360, 120


def examples_section(report: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Gather corrected samples with their neighbors, selected ones, and those that just missed.

    Args:
        report: as `ds2_fast.report.build_report` made it.
        texts: of the samples.
    """
    examples, labels = report["figures"]["examples"], report["scores"]["classes"]
    known = {sample["row"]: sample for sample in examples["samples"]}

    def about(row: int, most: int) -> dict[str, Any]:
        sample = known[row]
        return {
            **sample,
            "name": texts.name(row),
            "text": texts.lines(row, most) if most == _LONG else texts.short(row, most),
            "score": _label(sample["score"], labels),
            "score_curated": _label(sample["score_curated"], labels),
            "changed": sample["score"] != sample["score_curated"],
        }

    corrected = [
        {
            **about(example["row"], _LONG),
            "neighbors": [
                {**about(row, _SHORT), "similarity": similarity}
                for row, similarity in zip(
                    example["neighbors"], example["similarities"], strict=True
                )
            ],
        }
        for example in examples["corrected"]
    ]
    flow = report["figures"]["flow"]
    return {
        "known": texts.known,
        "corrected": corrected,
        "all_corrected": flow["raised"] + flow["lowered"],
        "selected": [about(row, _LONG) for row in examples["selected"]],
        "missed": [about(row, _LONG) for row in examples["missed"]],
    }


def _label(score: int | None, labels: list[str]) -> str:
    return "unrated" if score is None else labels[score]
