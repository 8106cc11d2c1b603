"""What a run found: every number as JSON, and a closing summary a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ds2_fast import _core
from ds2_fast.account import account_lines
from ds2_fast.figures import Subject, gather_figures
from ds2_fast.presets import PRESETS
from ds2_fast.rater_report import print_panel, report_panel, report_rater
from ds2_fast.strategy_report import print_strategy_report
from ds2_fast.terminal import print_files, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from ds2_fast.analysis import Analysis
    from ds2_fast.choice import Choice
    from ds2_fast.pool import Pool

_WIDEST = 160
_STRONG = 0.5
_FAINT = 0.005


def build_report(
    pool: Pool,
    found: Analysis,
    choice: Choice,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Collect every number of the closing summary, JSON-able.

    Args:
        pool: the pool.
        found: what the stages found.
        choice: the score sheet, and what each step of the selection did.
        settings: what was asked for.
    """
    sheet = choice.sheet
    return {
        "ds2_fast": _core.__version__,
        "settings": settings,
        "pool": {
            "samples": len(pool),
            "sources": [str(source) for source in pool.sources],
            "schema": pool.schema.name,
        },
        "features": {
            "space": found.features.space,
            "source": found.features.source,
            "dimensions": int(found.features.rows.shape[1]),
            "comparison": found.features.comparison and found.features.comparison.to_dict(),
        },
        "neighbors": _graph(found),
        "scores": _scores(found, sheet),
        **(report_rater(found) if found.panel is None else report_panel(found.panel)),
        "selection": {**_selection(sheet, settings["n"]), **choice.account},
        "figures": gather_figures(
            Subject(
                pool,
                sheet,
                found.neighbors,
                found.projection.value.explained,
                num_classes=found.scores.num_classes,
                order=PRESETS[settings["preset"]].selection,
                keep_outliers=settings["keep_outliers"],
                seed=settings["seed"],
            )
        ),
    }


def _graph(found: Analysis) -> dict[str, Any]:
    """How the graph was found; what it took is in the manifest, as it differs from run to run."""
    info = found.neighbors.info
    known = {} if info is None else info.to_dict()
    known.pop("seconds", None)
    return {"k": int(found.neighbors.indices.shape[1]), **known}


def _scores(found: Analysis, sheet: pl.DataFrame) -> dict[str, Any]:
    scores = found.scores
    classes = range(scores.num_classes)
    before, after, chosen = (
        np.bincount(column.drop_nulls().to_numpy(), minlength=len(classes)).tolist()
        for column in (
            sheet["ds2_score"],
            sheet["ds2_score_curated"],
            sheet.filter(pl.col("ds2_selected"))["ds2_score_curated"],
        )
    )
    return {
        "source": scores.verdict,
        "starts": list(scores.starts),
        "high": scores.high,
        "classes": [str(label) for label in scores.labels],
        "unrated": int(sheet["ds2_score"].null_count()),
        "pool": before,
        "curated": after,
        "selected": chosen,
    }


def _selection(sheet: pl.DataFrame, sizes: Sequence[int]) -> dict[str, Any]:
    chosen = sheet.filter(pl.col("ds2_selected"))
    means = {
        name: {"pool": sheet[column].mean(), "selected": chosen[column].mean()}
        for name, column in {
            "score": "ds2_score",
            "expected": "ds2_score_expected",
            "long_tail": "ds2_long_tail",
        }.items()
    }
    reasons = dict(sheet.group_by("ds2_reason").len().sort("len", descending=True).iter_rows())
    return {"sizes": list(sizes), "means": means, "reasons": reasons}


def print_report(
    report: dict[str, Any], console: Console, *, run_dir: Path | None, files: Sequence[Path] = ()
) -> None:
    """Print the closing summary.

    Args:
        report: as `build_report` made it.
        console: where to.
        run_dir: where the run is kept; None if it is not.
        files: the subsets that were written.
    """
    if "strategy" in report:
        print_strategy_report(report, console, run_dir=run_dir, files=files)
        return
    # A table that is wider than the terminal may run over its edge: rich would cut its numbers.
    console.width = max(console.width, _WIDEST)
    console.print()
    _print_selection(report, console)
    _print_budget(report["selection"].get("budget"), console)
    console.print(_score_table(report))
    if "raters" in report:
        print_panel(report, console)
    else:
        _print_rater(report, console)
    parts = "transition.json, intervals.json, report.json, manifest.json"
    print_files(console, files, run_dir, f"scores.parquet (every sample), {parts}")


def _print_selection(report: dict[str, Any], console: Console) -> None:
    sizes = report["selection"]["sizes"]
    rows = report["pool"]["samples"]
    if sizes:
        names = " and ".join(f"{size:,}" for size in sizes)
        console.print(f"[bold]Selected {names} of {rows:,} samples[/bold]")
    else:
        console.print(f"[bold]Curated {rows:,} samples[/bold]")
    for reason, count in report["selection"]["reasons"].items():
        if reason not in ("", "selected"):
            console.print(f"  {count:>9,}  {reason}")
    for line in account_lines(report["selection"]):
        console.print(f"  {printable(line)}", markup=False)
    console.print()


def _print_budget(account: dict[str, Any] | None, console: Console) -> None:
    """What the budget brought, and what to do where the check fails."""
    if account is None:
        return
    console.print(f"[bold]Budget: {account['told']}[/bold]")
    for line in (*account["words"], *([account["advice"]] if account["advice"] else [])):
        console.print(f"  {line}", markup=False)
    console.print()


def _score_table(report: dict[str, Any]) -> Table:
    from rich.table import Table

    scores, rows = report["scores"], report["pool"]["samples"]
    table = Table(
        title="Scores", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column("score")
    for name in ("in the pool", "curated", "selected"):
        table.add_column(name, justify="right")
    for place, label in reversed(list(enumerate(scores["classes"]))):
        cells = [f"{scores[part][place]:,}" for part in ("pool", "curated", "selected")]
        share = f"{100 * scores['pool'][place] / rows:.1f}%"
        table.add_row(label, f"{cells[0]} {share:>6}", *cells[1:])
    if scores["unrated"]:
        table.add_row(
            "unrated", f"{scores['unrated']:,} {100 * scores['unrated'] / rows:5.1f}%", "", ""
        )
    means = report["selection"]["means"]
    for name, text in (
        ("score", "mean score"),
        ("expected", "mean expected score"),
        ("long_tail", "mean long-tail score"),
    ):
        pool, chosen = (means[name][part] for part in ("pool", "selected"))
        table.add_row(text, _number(pool), "", _number(chosen), style="dim")
    return table


def _transition_table(report: dict[str, Any]) -> Table:
    from rich.table import Table

    transition, labels = report["transition"], report["scores"]["classes"]
    table = Table(
        title="\nScore transition matrix T: true score (rows) to rating (columns)",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("true")
    for label in labels:
        table.add_column(label, justify="right")
    table.add_column("own, 95 %", justify="right")
    table.add_column("prior p, 95 %", justify="right")
    table.add_column("")
    own, priors = _intervals(transition)
    for place, (row, prior) in enumerate(zip(transition["T"], transition["p"], strict=True)):
        cells = [
            "[dim]·[/dim]"
            if value < _FAINT
            else f"[bold]{value:.2f}[/bold]"
            if value >= _STRONG
            else f"{value:.2f}"
            for value in row
        ]
        note = ""
        if place in transition["unidentified"]:
            note = "too rare: assumed"
        elif place in transition["ambiguous"]:
            note = "ambiguous"
        around = f"{prior:.2f} {priors[place]}".rstrip()
        table.add_row(labels[place], *cells, own[place], around, f"[dim]{note}[/dim]")
    return table


def _intervals(transition: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The intervals of the diagonal of T and of p, in print; empty where there are none."""
    found, classes = transition["intervals"], range(transition["num_classes"])
    if found["T"] is None:
        return [""] * len(classes), [""] * len(classes)
    own = ["" if i in transition["unidentified"] else _span(found["T"][i][i]) for i in classes]
    return own, [_span(ends) for ends in found["p"]]


def _span(ends: Sequence[float]) -> str:
    return f"{ends[0]:.2f}-{ends[1]:.2f}"


def _tell_intervals(report: dict[str, Any]) -> str:
    found = report["transition"]["intervals"]
    if found["T"] is None:
        return "no intervals: T was not fitted by likelihood"
    return (
        f"intervals: {found['replicates']} resamplings of {found['blocks']:,} blocks of neighbors, "
        f"{found['conditions']}"
    )


def _print_rater(report: dict[str, Any], console: Console) -> None:
    if not report["transition"]["degenerate"]:
        console.print(_transition_table(report))
        console.print(_tell_intervals(report), markup=False, style="dim")
    _print_trust(report, console)


def _print_trust(report: dict[str, Any], console: Console) -> None:
    trust = report["trust"]
    console.print(f"\n[bold]Trust check: {trust['verdict']}[/bold]")
    cares = (*report["transition"]["warnings"], *report["curation"]["warnings"])
    told = report.get("calibration", {}).get("words", [])
    for line in (*trust["words"], *told, *(f"care: {care}" for care in cares)):
        console.print(f"  {line}", markup=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
