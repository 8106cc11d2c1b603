"""The comparison of strategies, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ds2_fast.bakeoff.columns import columns_of, share_columns
from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ds2_fast.bakeoff.comparison import StrategyComparison

_NONE = "–"
_RATERS_ABREAST = 2
"""Raters that fit beside the names in 100 columns."""
_BESIDE = "  ± 95 %"
"""What the second line of a random strategy is called."""


def print_strategies(found: StrategyComparison, console: Console) -> None:
    """Print what strategies chose: for each size how raters judge it, its measures, its overlaps.

    Args:
        found: the comparison.
        console: where to, of 100 columns or more.
    """
    report = found.report
    for table in report["tables"]:
        ran = sum(row["failed"] is None for row in table["strategies"])
        console.print(
            f"\n[bold]{ran} strategies choose {table['n']:,} of "
            f"{report['pool']['samples']:,} samples[/bold]"
        )
        for raters in _abreast(report["raters"]):
            last = raters[-1] is report["raters"][-1]
            console.print(_rater_table(table, raters, last=last))
        console.print(_measure_table(table, report))
        if share_columns(table):
            console.print(_share_table(table))
        console.print(_overlap_table(table["overlap"]))
        for line in failure_lines(table, report):
            console.print(line, markup=False)
    console.print()
    for line in note_lines(report):
        console.print(line, markup=False, style="dim")


def _abreast(raters: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(raters), _RATERS_ABREAST):
        yield raters[start : start + _RATERS_ABREAST]


def _table(title: str, columns: Sequence[str]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"\n{escape(title)}",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("strategy", no_wrap=True)
    for name in columns:
        table.add_column(escape(printable(name)), justify="right", no_wrap=True)
    return table


def _rater_table(
    table: Mapping[str, Any], raters: Sequence[Mapping[str, Any]], *, last: bool
) -> Table:
    """Means of each rater and how far they are over random; a star where a strategy saw them.

    The mean gain by all that a strategy did not see stands beside the last of them.
    """
    gains = ["held out"] if last else []
    names = [rater["name"] for rater in raters]
    drawn = _table("Mean rating, and over random", [*names, *gains])
    for column in drawn.columns[1 : len(names) + 1]:
        column.justify = "left"
    for row in _those_that_chose(table):
        judged = [row["raters"][name] for name in names]
        gain = "" if row["held_out_gain"] is None else f"{row['held_out_gain']:+.2f} sd"
        cells, beside = [*map(_judged, judged), gain], [*map(_beside, judged), ""]
        _add(drawn, row, cells[: len(drawn.columns) - 1], beside[: len(drawn.columns) - 1])
    means = [rater["pool_mean"] for rater in raters]
    pool = [_NONE if mean is None else f"{mean:.2f}" for mean in means]
    drawn.add_row("whole pool", *pool, style="dim")
    return drawn


def _judged(judged: Mapping[str, Any]) -> str:
    mean, apart = judged["mean"]["value"], judged["over_control"]
    if mean is None:
        return _NONE
    seen = " *" if judged["used"] else ""
    if apart is None:
        return f"{mean:.2f}{seen}"
    return f"{mean:.2f}  {apart['value']:+.2f} [{apart['low']:+.2f}, {apart['high']:+.2f}]{seen}"


def _beside(judged: Mapping[str, Any]) -> str:
    half = judged["mean"]["half"]
    return "" if half is None else f"± {half:.2f}"


def _measure_table(table: Mapping[str, Any], report: Mapping[str, Any]) -> Table:
    columns = columns_of(table)
    run = [] if report["run"] is None else [report["run"]["name"]]
    drawn = _table("Measures of the subsets", ["samples", *(c.title for c in columns), *run])
    for row in _those_that_chose(table):
        cells, beside = [f"{row['selected']:,}"], [""]
        for column in columns:
            figure = row["measures"].get(column.name) or {"value": None, "half": None}
            value, half = figure["value"], figure["half"]
            cells.append(_NONE if value is None else column.write(value))
            beside.append("" if half is None else f"± {column.write(half)}")
        if run:
            result = row["run"] or {"value": None, "half": None}
            cells.append(_NONE if result["value"] is None else f"{result['value']:.4g}")
            beside.append("" if result["half"] is None else f"± {result['half']:.4g}")
        _add(drawn, row, cells, beside)
    return drawn


def _share_table(table: Mapping[str, Any]) -> Table:
    columns = share_columns(table)
    drawn = _table("Shares unlike the pool's (total variation distance)", columns)
    for row in _those_that_chose(table):
        figures = {each["column"]: each["total_variation"] for each in row["shares"]}
        found = [figures[name] for name in columns]
        beside = ["" if each["half"] is None else f"± {each['half']:.3f}" for each in found]
        _add(drawn, row, [f"{each['value']:.3f}" for each in found], beside)
    return drawn


def _overlap_table(overlap: Mapping[str, Any]) -> Table:
    """Shares in common; columns by number, as names side by side would not fit."""
    labels = overlap["labels"]
    places = [str(place) for place in range(1, len(labels) + 1)]
    drawn = _table("Share of the subset in common", places)
    for place, label, shares in zip(places, labels, overlap["shares"], strict=True):
        cells = [_NONE if share is None else f"{share:.0%}" for share in shares]
        drawn.add_row(f"{place:>2} {label}", *cells)
    return drawn


def _those_that_chose(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (row for row in table["strategies"] if row["failed"] is None)


def _add(drawn: Table, row: Mapping[str, Any], cells: Sequence[str], beside: Sequence[str]) -> None:
    """A row, and under it the intervals over seeds where there are some."""
    drawn.add_row(row["strategy"], *cells)
    if row["random"]:
        drawn.add_row(_BESIDE, *beside, style="dim")


def failure_lines(table: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    """Say which strategies chose nothing or too few, and which runs gave no number.

    Args:
        table: of one size.
        report: of the comparison.
    """
    lines = []
    for row in table["strategies"]:
        name = row["strategy"]
        if row["failed"] is not None:
            hint = f" ({row['failed']['hint']})" if row["failed"]["hint"] else ""
            lines.append(f"  {name}: {row['failed']['message']}{hint}")
        if row["why_fewer"]:
            lines.append(f"  {name}: {row['selected']:,} samples, {row['why_fewer']}")
        for failed in (row["run"] or {"failed": []})["failed"]:
            said = failed["stderr"].splitlines()[-1:] or [""]
            tail = f": {said[0]}" if said[0] else ""
            run = report["run"]["name"]
            lines.append(f"  {name}, seed {failed['seed']}: no {run}, {failed['why']}{tail}")
    if lines:
        yield "\nWhat did not work"
        yield from map(printable, lines)


def note_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Say what the figures mean.

    Args:
        report: of the comparison.
    """
    seeds = report["seeds"]
    yield (
        f"± half of the 95 % interval of the mean over {len(seeds)} seeds, by Student's t; other "
        "strategies choose once"
    )
    if report["raters"]:
        yield "[ ] 95 % bootstrap interval over the chosen samples"
    if any(
        judged["used"]
        for table in report["tables"]
        for row in table["strategies"]
        for judged in row["raters"].values()
    ):
        yield "* ratings that the strategy itself looked at: no judgment of it"
    if report["raters"]:
        yield (
            "held out: mean over the other raters, in standard deviations of their ratings in the "
            "pool"
        )
    space = report["space"]
    if space is None:
        yield printable(f"no distances: {report['why_no_space']}")
    else:
        yield printable(
            f"distances in the space `{space['name']}`, {space['dimensions']} dimensions, in which "
            "strategies choose, too"
        )
    for column in columns_of(report["tables"][0]):
        yield f"{column.title}: {column.means}"
