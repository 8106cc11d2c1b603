"""What a strategy other than DS2 chose: every number as JSON, and a closing summary."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast import _core
from ds2_fast.figures.length import compare_lengths
from ds2_fast.figures.shares import share_groups, share_lengths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from ds2_fast.choice import Choice
    from ds2_fast.pool import Pool
    from ds2_fast.strategies import Inputs, Plan


def strategy_report(
    pool: Pool, plan: Plan, inputs: Inputs, choice: Choice, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Collect every number of a strategy's run, JSON-able.

    Args:
        pool: the pool.
        plan: the strategy.
        inputs: what it looked at.
        choice: what it chose.
        settings: what was asked for.
    """
    import polars as pl

    sheet = choice.sheet
    selected = sheet["ds2_selected"].to_numpy().astype(np.bool_)
    lengths = pool.text.str.len_chars().to_numpy().astype(np.int64)
    chosen = sheet.filter(pl.col("ds2_selected"))["ds2_strategy_score"]
    reasons = dict(sheet.group_by("ds2_reason").len().sort("len", descending=True).iter_rows())
    return {
        "ds2_fast": _core.__version__,
        "settings": dict(settings),
        "pool": {
            "samples": len(pool),
            "sources": [str(source) for source in pool.sources],
            "schema": pool.schema.name,
        },
        "strategy": {
            **plan.to_dict(),
            "sources": [part.source for part in plan.parts],
            "needs": [part.needs for part in plan.parts],
            "curated": inputs.has("analysis"),
            "space": inputs.features.space if inputs.has("features") else None,
        },
        "selection": {
            "sizes": [min(size, len(chosen)) for size in settings["n"]],
            "means": {
                "strategy_score": {
                    "pool": sheet["ds2_strategy_score"].mean(),
                    "selected": chosen.mean(),
                }
            },
            "reasons": reasons,
            **choice.account,
        },
        "figures": {
            # No classes: a strategy need not look at ratings.
            "length": compare_lengths(
                lengths,
                np.zeros(len(pool), dtype=np.int8),
                selected,
                num_classes=1,
                seed=settings["seed"],
            ),
            "shares": {
                "groups": share_groups(pool, selected),
                "length": share_lengths(lengths, selected),
            },
        },
    }


def print_strategy_report(
    report: Mapping[str, Any], console: Console, *, run_dir: Path | None, files: Sequence[Path] = ()
) -> None:
    """Print the closing summary of a strategy's run.

    Args:
        report: as `strategy_report` made it.
        console: where to.
        run_dir: where the run is kept; None if it is not.
        files: the subsets that were written.
    """
    selection, rows = report["selection"], report["pool"]["samples"]
    names = " and ".join(f"{size:,}" for size in selection["sizes"])
    console.print()
    console.print(
        f"[bold]Selected {names} of {rows:,} samples by {report['strategy']['name']}[/bold]"
    )
    for reason, count in selection["reasons"].items():
        if reason != "selected":
            console.print(f"  {count:>9,}  {reason}", markup=False)
    means = selection["means"]["strategy_score"]
    if means["selected"] is not None:
        console.print(
            f"  mean score {means['selected']:.4g}, of all that have one {means['pool']:.4g}",
            markup=False,
        )
    lengths = report["figures"]["length"]
    if lengths["selected"] is not None:
        middle = [f"{lengths[part]['quarters'][1]:,.0f}" for part in ("selected", "control")]
        console.print(
            f"  median length {middle[0]} characters, of a random draw {middle[1]}", markup=False
        )
    if files or run_dir is not None:
        console.print("\n[bold]Files[/bold]")
    for file in files:
        console.print(f"  {file}", markup=False)
    if run_dir is not None:
        parts = "scores.parquet (every sample), report.json, manifest.json"
        console.print(f"  {run_dir}{os.sep} with {parts}", markup=False)
