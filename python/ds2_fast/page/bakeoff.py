"""The comparison of strategies as one page that opens without a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ds2_fast.atomic import atomic_path
from ds2_fast.bakeoff.columns import Column, columns_of, share_columns
from ds2_fast.bakeoff.printing import failure_lines, note_lines
from ds2_fast.page.building import render
from ds2_fast.page.drawing import color, draw
from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

    from ds2_fast.bakeoff import StrategyComparison

_WIDTH = 440
_LINE = 24
_LETTER = 6.3
_WIDEST_NAME = 130
_DRAWN = {
    "vendi": "Vendi score",
    "coverage_mean": "Mean distance of the pool to the nearest chosen sample",
}
"""Measures that are drawn besides the raters, and what their charts are called."""
_LISTED = 12


def draw_strategies(found: StrategyComparison, file: str | os.PathLike[str]) -> None:
    """Draw what strategies chose as one HTML page that needs no network.

    Args:
        found: the comparison.
        file: where to.

    Raises:
        RunError: if the file cannot be written.
    """
    report = found.report
    page = render(
        "bakeoff.html",
        report=report,
        strategies=len(found.labels),
        sizes=found.sizes,
        tables=[_section(table, report) for table in report["tables"]],
        notes=list(note_lines(report)),
        options=_options(report["tables"][0]),
    )
    with atomic_path(file) as temporary:
        temporary.write_text(page, "utf-8", newline="\n")


def _section(table: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """All that is shown of one size."""
    columns = columns_of(table)
    raters = [rater["name"] for rater in report["raters"]]
    rows = [row for row in table["strategies"] if row["failed"] is None]
    return {
        "n": table["n"],
        "charts": _charts(rows, report),
        "raters": raters,
        "columns": [{"title": column.title, "means": column.means} for column in columns],
        "rows": [_row(row, raters, columns, table["n"]) for row in rows],
        "overlap": _overlap(table["overlap"]),
        "shares": [_shares(rows, name) for name in share_columns(table)],
        "failures": [line.strip() for line in failure_lines(table, report)][1:],
    }


def _row(
    row: Mapping[str, Any], raters: Sequence[str], columns: Sequence[Column], n: int
) -> dict[str, Any]:
    cells = []
    for column in columns:
        figure = row["measures"].get(column.name) or {"value": None, "half": None}
        value, half = figure["value"], figure["half"]
        cells.append(
            {
                "value": "–" if value is None else column.write(value),
                "half": "" if half is None else column.write(half),
            }
        )
    return {
        "strategy": row["strategy"],
        "selected": row["selected"],
        "fewer": row["selected"] < n,
        "judged": [row["raters"][name] for name in raters],
        "gain": row["held_out_gain"],
        "cells": cells,
        "run": row["run"],
    }


class _Dot(NamedTuple):
    """One line of a chart: a value, how far it could be off, and whether it is no judgment."""

    name: str
    value: float
    ends: tuple[float, float]
    seen: bool


def _charts(rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for rater in report["raters"]:
        dots = []
        for row in rows:
            judged = row["raters"][rater["name"]]
            apart = judged["over_control"]
            if apart is not None:
                ends = (apart["low"], apart["high"])
                dots.append(_Dot(row["strategy"], apart["value"], ends, judged["used"]))
        if dots:
            title = f"Mean {rater['name']} over that of random samples"
            found.append(_chart(title, dots, 0.0, "95 % bootstrap intervals"))
    for column in columns_of({"strategies": rows}):
        if column.name in _DRAWN:
            dots = [_measured(row, column.name) for row in rows if column.name in row["measures"]]
            found.append(_chart(_DRAWN[column.name], dots, dots[0].value, column.means))
    return found


def _measured(row: Mapping[str, Any], name: str) -> _Dot:
    figure = row["measures"][name]
    half = figure["half"] or 0.0
    ends = (figure["value"] - half, figure["value"] + half)
    return _Dot(row["strategy"], figure["value"], ends, seen=False)


def _chart(title: str, dots: Sequence[_Dot], reference: float, caption: str) -> dict[str, Any]:
    """Draw one dot a strategy, with its interval, against the control."""
    names = [_fitting(dot.name) for dot in dots]
    left = 18 + round(_LETTER * max(map(len, names)))
    places = range(len(dots))

    def paint(axes: Axes) -> None:
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color=color("line"), linewidth=0.7)
        axes.axvline(reference, color=color("muted"), linewidth=1.1)
        for place, dot in zip(places, dots, strict=True):
            own = color("pool" if dot.seen else "pick")
            axes.plot(dot.ends, (place, place), color=own, linewidth=1.8, solid_capstyle="round")
            face = color("paper") if dot.seen else own
            axes.plot(dot.value, place, "o", color=own, markerfacecolor=face, markersize=6)
        axes.set_yticks(list(places), names)
        for name in axes.get_yticklabels():
            name.set_color(color("ink"))
        axes.set_ylim(len(dots) - 0.4, -0.6)

    told = "; ".join(f"{dot.name} {dot.value:.3g}" for dot in dots)
    size = (_WIDTH, 44 + _LINE * len(dots))
    chart: Markup = draw(
        paint, label=printable(f"{title}: {told}"), size=size, margins=(left, 14, 8, 30)
    )
    seen = "; hollow: ratings that the strategy looked at" if any(d.seen for d in dots) else ""
    return {"title": title, "chart": chart, "caption": f"{caption}; line: random{seen}."}


def _fitting(name: str) -> str:
    """A name that leaves room for the chart."""
    most = int(_WIDEST_NAME / _LETTER)
    name = printable(name)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _overlap(overlap: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "number": place,
            "label": label,
            "cells": [
                {"share": share, "shade": 0 if share is None else round(70 * share)}
                for share in shares
            ],
        }
        for place, (label, shares) in enumerate(
            zip(overlap["labels"], overlap["shares"], strict=True), start=1
        )
    ]


def _shares(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, Any]:
    """Shares of the groups of one column, in the pool and in every subset."""
    tables = {
        row["strategy"]: next(each for each in row["shares"] if each["column"] == column)
        for row in rows
    }
    first = next(iter(tables.values()))
    pool = sum(group["samples"] for group in first["groups"])
    listed = first["groups"][:_LISTED]
    return {
        "title": column,
        "groups": [group["group"] for group in listed],
        "more": len(first["groups"]) - len(listed),
        "pool": [group["samples"] / pool for group in listed],
        "rows": [
            {
                "strategy": name,
                "apart": table["total_variation"],
                "shares": [
                    group["selected"] / sum(each["selected"] for each in table["groups"])
                    for group in table["groups"][:_LISTED]
                ],
            }
            for name, table in tables.items()
        ],
    }


def _options(table: Mapping[str, Any]) -> list[dict[str, str]]:
    """What every strategy was run with."""
    return [
        {
            "strategy": row["strategy"],
            "parts": " + ".join(
                part["name"]
                + "".join(
                    f", {name} {value}"
                    for name, value in part["options"].items()
                    if value is not None and value != []
                )
                for part in row["plan"]["parts"]
            ),
        }
        for row in table["strategies"]
    ]
