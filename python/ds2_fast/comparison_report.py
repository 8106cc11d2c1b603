"""The comparison of two runs, for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ds2_fast.compared_runs import RunComparison

_MOST_GROUPS = 12
FAINT = 0.005
"""Differences of T below this are not shown."""


def print_comparison(found: RunComparison, console: Console) -> None:
    """Print how two runs differ.

    Args:
        found: the comparison.
        console: where to, wide enough for the tables.
    """
    console.print(f"[bold]{len(found.settings)} settings differ[/bold]")
    for name, pair in found.settings.items():
        left, right = (plain(value) for value in pair)
        console.print(f"  {name}: {printable(left)} -> {printable(right)}", markup=False)
    console.print("\n[bold]Selection[/bold]")
    for line in overlap_lines(found):
        console.print(f"  {line}", markup=False)
    lines = list(score_lines(found))
    if lines:
        console.print("\n[bold]Scores[/bold]")
    for line in lines:
        console.print(f"  {line}", markup=False)
    if found.transition is not None and found.transition["largest"] >= FAINT:
        console.print(_transition_table(found.transition))
    for table in found.shares:
        if any(sum(group["selected"]) for group in table["groups"]):
            console.print(_share_table(table))


def plain(value: object) -> str:
    """Write the value of a setting; nothing set is a dash."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def overlap_lines(found: RunComparison) -> Iterator[str]:
    """Say how many samples both runs selected, and why the others are in one only.

    Args:
        found: the comparison.
    """
    first, second = found.selected
    alike = "" if found.jaccard is None else f" ({found.jaccard:.1%} of all that were selected)"
    yield f"A selected {first:,}, B {second:,} of {found.samples:,}; both {found.both:,}{alike}"
    for name, rows, other in (("out", found.out, "B"), ("in", found.into, "A")):
        yield f"{sum(rows.values()):,} {name}"
        for reason, count in rows.items():
            yield f"  {count:>9,}  {other}: {reason}"


def score_lines(found: RunComparison) -> Iterator[str]:
    """Say how scores, noise shares and verdicts differ.

    Args:
        found: the comparison.
    """
    scores = found.scores
    if scores["rated_differently"] is not None:
        yield (
            f"{scores['rated_differently']:,} of {scores['rated']:,} samples are rated, "
            f"{scores['curated_differently']:,} curated differently"
        )
    if scores["mean_shift"] is not None:
        yield (
            f"expected scores: {scores['mean_shift']:+.3f} on average, by "
            f"{scores['largest_shift']:+.2f} at most (row {scores['row']})"
        )
    if scores["spearman"] is not None:
        which = "expected scores" if scores["mean_shift"] is not None else "scores they rank by"
        yield f"rank correlation of the {which} {scores['spearman']:.3f}"
    if found.transition is not None:
        shares = [
            "-" if share is None else f"{share:.0%}" for share in found.transition["noise_share"]
        ]
        yield f"noise share {shares[0]} -> {shares[1]}"
        yield "trust check: {} -> {}".format(*found.transition["verdicts"])
        if found.transition["largest"] < FAINT:
            yield "T is the same"


def _table(title: str, first: str, columns: list[str]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"\n{escape(printable(title))}",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column(first)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _transition_table(transition: dict[str, Any]) -> Table:
    labels = transition["classes"]
    title = f"T of B less T of A, at most {transition['largest']:.2f}"
    table = _table(title, "true", [*labels, "prior p"])
    for label, row, prior in zip(labels, transition["T"], transition["p"], strict=True):
        cells = ["[dim]·[/dim]" if abs(x) < FAINT else f"{x:+.2f}" for x in (*row, prior)]
        table.add_row(label, *cells)
    return table


def _share_table(found: dict[str, Any]) -> Table:
    from rich.markup import escape

    table = _table(f"By {found['column']}", "group", ["pool", "A", "B", "points"])
    totals = [max(sum(group["selected"][n] for group in found["groups"]), 1) for n in (0, 1)]
    pool = sum(group["samples"] for group in found["groups"])
    for group in found["groups"][:_MOST_GROUPS]:
        first, second = (
            part / total for part, total in zip(group["selected"], totals, strict=True)
        )
        table.add_row(
            escape(printable(group["group"])),
            f"{group['samples'] / pool:.1%}",
            f"{first:.1%}",
            f"{second:.1%}",
            f"{100 * (second - first):+.1f}",
        )
    more = len(found["groups"]) - _MOST_GROUPS
    if more > 0:
        table.add_row(f"and {more:,} more", "", "", "", "")
    return table
