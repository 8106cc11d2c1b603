"""What a strategy other than DS2 chose: every number as JSON, and a closing summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ds2_fast import _core
from ds2_fast.figures.choice import gather_choice_figures
from ds2_fast.rater_report import report_panel, report_rater
from ds2_fast.strategies.description import describe
from ds2_fast.terminal import print_files, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from ds2_fast.analysis import Analysis
    from ds2_fast.choice import Choice
    from ds2_fast.features import Features
    from ds2_fast.pool import Pool
    from ds2_fast.strategies import Inputs, Plan, Strategy


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

    sheet, found = choice.sheet, inputs.found
    features = inputs.features if inputs.has("features") else None
    chosen = sheet.filter(pl.col("ds2_selected"))["ds2_strategy_score"]
    ranks = "scorer" in plan.scorer.roles()  # without one, all scores are 0 and say nothing
    reasons = sheet.group_by("ds2_reason").len()
    return {
        "ds2_fast": _core.__version__,
        "settings": dict(settings),
        "pool": {
            "samples": len(pool),
            "sources": [str(source) for source in pool.sources],
            "schema": pool.schema.name,
        },
        "strategy": {
            "name": plan.name,
            "parts": [
                {**part, **_about(own)}
                for part, own in zip(plan.to_dict()["parts"], plan.parts, strict=True)
            ],
            "curated": found is not None,
        },
        **({} if features is None else {"features": _space(features)}),
        **(_curation(found) if found is not None else {}),
        "selection": {
            "sizes": sorted({min(size, len(chosen)) for size in settings["n"]}),
            "means": {
                "strategy_score": {
                    "pool": sheet["ds2_strategy_score"].mean() if ranks else None,
                    "selected": chosen.mean() if ranks else None,
                }
            },
            "reasons": dict(reasons.sort("len", "ds2_reason", descending=[True, False]).rows()),
            **choice.account,
        },
        "figures": gather_choice_figures(
            pool,
            sheet,
            explained=inputs.projection.explained if inputs.has("projection") else None,
            seed=settings["seed"],
        ),
    }


def _about(part: Strategy) -> dict[str, Any]:
    """What a part says of itself, but for its name and options."""
    told = describe(type(part))
    return {name: told[name] for name in ("title", "text", "source", "needs")}


def _space(features: Features) -> dict[str, Any]:
    return {
        "space": features.space,
        "source": features.source,
        "dimensions": int(features.rows.shape[1]),
        "comparison": features.comparison and features.comparison.to_dict(),
    }


def _curation(found: Analysis) -> dict[str, Any]:
    return report_rater(found) if found.panel is None else report_panel(found.panel)


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
    if report["strategy"]["curated"]:
        _print_trust(report, console)
    parts = "scores.parquet (every sample), report.json, manifest.json"
    print_files(console, files, run_dir, parts)


def _print_trust(report: Mapping[str, Any], console: Console) -> None:
    """Whether the curated scores that it looked at are to be trusted."""
    for rater in report.get("raters", [report]):
        of = f" for {rater['rater']}" if "rater" in rater else ""
        console.print(f"\n[bold]Trust check{of}: {rater['trust']['verdict']}[/bold]")
        for line in rater["trust"]["words"]:
            console.print(f"  {printable(line)}", markup=False)
