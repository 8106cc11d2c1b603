"""Section: the score transition matrix of each rater, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FAINT = 0.005
_STRONGEST = 0.6
"""How much of a cell is color where T is 1: little enough to read what is written on it."""


def transition_section(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tabulate T and p of each rater; nothing for one whose scores are all equal.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    if "raters" in report:
        found = [(each["rater"], each["classes"], each["transition"]) for each in report["raters"]]
    else:
        found = [(None, report["scores"]["classes"], report["transition"])]
    return [
        _matrix(rater, labels, transition)
        for rater, labels, transition in found
        if not transition["degenerate"]
    ]


def _matrix(rater: str | None, labels: list[str], transition: Mapping[str, Any]) -> dict[str, Any]:
    intervals = transition["intervals"]
    spans = intervals["T"]
    rows = []
    for i, row in enumerate(transition["T"]):
        assumed = i in transition["unidentified"]
        cells = [
            {
                "value": value,
                "faint": value < _FAINT,
                "own": i == j,
                "shade": round(_STRONGEST * 100 * value),
                "span": None if spans is None or assumed else spans[i][j],
            }
            for j, value in enumerate(row)
        ]
        note = "too rare: assumed" if assumed else ""
        if i in transition["ambiguous"]:
            note = "ambiguous"
        rows.append(
            {
                "label": labels[i],
                "cells": cells,
                "prior": transition["p"][i],
                "prior_span": None if intervals["p"] is None else intervals["p"][i],
                "note": note,
            }
        )
    return {
        "rater": rater,
        "labels": labels,
        "rows": rows,
        "own": sum(p * row[i] for i, (p, row) in enumerate(_pairs(transition))),
        "told": None
        if spans is None
        else f"{intervals['replicates']} resamplings of {intervals['blocks']:,} blocks of "
        f"neighbors, {intervals['conditions']}",
    }


def _pairs(transition: Mapping[str, Any]) -> list[tuple[float, list[float]]]:
    return list(zip(transition["p"], transition["T"], strict=True))
