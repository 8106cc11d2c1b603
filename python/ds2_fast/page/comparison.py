"""The comparison of two runs as one page that opens without a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.atomic import atomic_path
from ds2_fast.comparison_report import FAINT, plain, score_lines
from ds2_fast.page.building import render
from ds2_fast.page.finished import reread_pool
from ds2_fast.page.texts import Texts
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.rundir import read_manifest

if TYPE_CHECKING:
    from ds2_fast.compared_runs import RunComparison

_LISTED = 15
_LONG = 360
_STRONGEST = 60


def draw_comparison(
    found: RunComparison, file: str | os.PathLike[str], *, narrator: Narrator = QUIET
) -> None:
    """Draw how two runs differ as one HTML page that needs no network.

    Args:
        found: the comparison.
        file: where to.
        narrator: is told if the pool cannot be read any more: the page then shows no texts.

    Raises:
        RunError: if the file cannot be written, or the second run is no run any more.
    """
    run = Path(found.runs[1])
    texts = Texts(reread_pool(run, read_manifest(run), narrator))
    first, second = found.selected
    page = render(
        "comparison.html",
        runs=found.runs,
        samples=found.samples,
        mixed=found.scores["mean_shift"] is None,
        selected=found.selected,
        both=found.both,
        jaccard=found.jaccard,
        parts={"A only": first - found.both, "both": found.both, "B only": second - found.both},
        settings={name: [plain(value) for value in pair] for name, pair in found.settings.items()},
        lines=[line.replace("->", "→") for line in score_lines(found)],
        transition=_transition(found),
        moves=_moves(found, texts),
        shares=[_shares(table) for table in found.shares if first or second],
        texts_known=texts.known,
    )
    with atomic_path(file) as temporary:
        temporary.write_text(page, "utf-8", newline="\n")


def _moves(found: RunComparison, texts: Texts) -> list[dict[str, Any]]:
    """Who went out and who came in: why, and some of them."""
    return [
        {
            "title": title,
            "samples": sum(reasons.values()),
            "other": other,
            "reasons": reasons,
            "rows": [
                {
                    **each,
                    "name": texts.name(each["row"]),
                    "text": texts.lines(each["row"], _LONG),
                }
                for each in rows
            ],
        }
        for title, reasons, rows, other in (
            ("Out: in A only", found.out, found.out_rows, "B"),
            ("In: in B only", found.into, found.into_rows, "A"),
        )
    ]


def _transition(found: RunComparison) -> dict[str, Any] | None:
    if found.transition is None or found.transition["largest"] < FAINT:
        return None
    strongest = found.transition["largest"]
    rows = [
        {
            "label": label,
            "cells": [
                {
                    "value": value,
                    "faint": abs(value) < FAINT,
                    "tint": "pick" if value > 0 else "known",
                    "shade": round(_STRONGEST * abs(value) / strongest),
                }
                for value in row
            ],
            "prior": prior,
        }
        for label, row, prior in zip(
            found.transition["classes"], found.transition["T"], found.transition["p"], strict=True
        )
    ]
    return {**found.transition, "rows": rows}


def _shares(table: dict[str, Any]) -> dict[str, Any]:
    """Shares of either selection; bars share one scale."""
    totals = [max(sum(group["selected"][n] for group in table["groups"]), 1) for n in (0, 1)]
    pool = sum(group["samples"] for group in table["groups"])
    rows = []
    for group in table["groups"][:_LISTED]:
        first, second = (
            part / total for part, total in zip(group["selected"], totals, strict=True)
        )
        rows.append(
            {
                "group": group["group"],
                "pool": group["samples"] / pool,
                "first": first,
                "second": second,
                "shift": 100 * (second - first),
            }
        )
    return {
        "title": f"By {table['column']}",
        "rows": rows,
        "more": max(len(table["groups"]) - _LISTED, 0),
        "widest": max(max(row["first"], row["second"]) for row in rows) or 1.0,
    }
