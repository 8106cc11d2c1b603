"""What a run found about its rater, or about each of several: as JSON, and for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from ds2_fast.analysis import Analysis
    from ds2_fast.panel import Panel

_MOST_TABLED = 8
"""Raters beyond which the tables of pairs would fill the screen."""


def report_rater(found: Analysis) -> dict[str, Any]:
    """Collect what was found about one rater: T, the curation, the trust check.

    Args:
        found: the analysis of its scores.
    """
    curated = found.curated.value
    return {
        "transition": {
            **found.transition.value.to_dict(),
            "intervals": found.intervals.value.to_dict(),
        },
        "curation": {
            "mode": curated.mode,
            "switched_off": curated.switched_off,
            "noise_share": curated.noise_share,
            "neighbor_k": curated.neighbor_k,
            "beta": curated.beta,
            "neighbor_information": curated.information,
            "information_shuffled": curated.information_shuffled,
            "p_value": curated.p_value,
            "misrated": int(np.count_nonzero(curated.misrated)),
            "changed": int(curated.changed),
            "vanished": list(curated.vanished),
            "warnings": list(curated.warnings),
        },
        "calibration": found.calibration.to_dict(),
        "trust": found.trust.to_dict(),
    }


def calibration_of(report: dict[str, Any]) -> dict[str, Any]:
    """Say where the noise share comes from; with several raters, of each by its name.

    Args:
        report: as `ds2_fast.report.build_report` made it.
    """
    if "raters" in report:
        return {rater["rater"]: rater["calibration"] for rater in report["raters"]}
    found: dict[str, Any] = report["calibration"]
    return found


def report_panel(panel: Panel) -> dict[str, Any]:
    """Collect what was found about several raters.

    `raters`: for each the scale, the mean class as rated and as expected, what `report_rater` says,
    and its worth (`ds2_fast.raters.Worth`). `agreement`: each two raters
    (`ds2_fast.raters.Pair`). `partly_rated`: samples that some rated and others did not.

    Args:
        panel: the raters.
    """
    count = panel.combined.raters
    return {
        "raters": [
            {**worth.to_dict(), **_scale(member), **report_rater(member)}
            for member, worth in zip(panel.members, panel.worth, strict=True)
        ],
        "agreement": [pair.to_dict() for pair in panel.pairs],
        "partly_rated": int(np.count_nonzero((count > 0) & (count < len(panel.members)))),
    }


def _scale(member: Analysis) -> dict[str, Any]:
    scores, rated = member.scores, member.scores.values >= 0
    return {
        "scale": scores.scale,
        "classes": [str(label) for label in scores.labels],
        "mean": float(scores.values[rated].mean()),
        "mean_expected": float(member.curated.value.expected[rated].mean()),
    }


def print_panel(found: dict[str, Any], console: Console) -> None:
    """Print what was found about several raters.

    Args:
        found: as `report_panel` made it.
        console: where to, wide enough for the tables.
    """
    console.print(_rater_table(found["raters"]))
    console.print(_worth_table(found["raters"]))
    pairs = found["agreement"]
    console.print(_pair_table(pairs[: _MOST_TABLED * (_MOST_TABLED - 1) // 2]))
    console.print()
    for line in _lines(found):
        console.print(f"  {printable(line)}", markup=False)


def _table(title: str, first: str, columns: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(
        title=f"\n{title}", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column(first)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _rater_table(raters: list[dict[str, Any]]) -> Table:
    columns = ("rated", "mean", "diagonal of T", "nats", "noise share", "changed", "trust check")
    table = _table("Raters, each curated on its own", "rater", columns)
    for rater in raters:
        curation, trust = rater["curation"], rater["trust"]
        share = curation["noise_share"]
        table.add_row(
            _name(rater["rater"]),
            f"{rater['rated']:,}",
            f"{rater['mean']:.2f}",
            _own(rater["transition"]),
            _number(trust["neighbor_information"], 3),
            "" if share is None else f"{share:.0%}",
            f"{trust['share_changed']:.1%}",
            trust["verdict"],
        )
    return table


def _own(transition: dict[str, Any]) -> str:
    """How often a deserved score is given, over the prior."""
    pairs = zip(transition["p"], transition["T"], strict=True)
    return f"{sum(prior * row[place] for place, (prior, row) in enumerate(pairs)):.2f}"


def _worth_table(raters: list[dict[str, Any]]) -> Table:
    columns = ("raw", "curated", "predicted", "adds", "without")
    table = _table("What each is worth (Spearman)", "rater", columns)
    for rater in raters:
        signed = "" if rater["adds"] is None else f"{rater['adds']:+.3f}"
        cells = [_number(rater[name], 3) for name in ("raw", "curated", "predicted")]
        table.add_row(_name(rater["rater"]), *cells, signed, _number(rater["without"], 3))
    return table


def _pair_table(pairs: list[dict[str, Any]]) -> Table:
    columns = ("both rated", "equal", "within 1", "kappa", "quadratic", "Spearman", "curated")
    table = _table("How each two agree", "raters", columns)
    for pair in pairs:
        shares = [
            "" if pair[name] is None else f"{pair[name]:.0%}" for name in ("exact", "within_one")
        ]
        numbers = [
            _number(pair[name], 3) for name in ("kappa", "kappa_quadratic", "spearman", "curated")
        ]
        names = " and ".join(_name(name) for name in pair["raters"])
        table.add_row(names, f"{pair['samples']:,}", *shares, *numbers)
    return table


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Say how to read the tables, and what to beware of."""
    yield "nats: what neighbors know about its ratings"
    yield "raw, curated: its scores before and after curation, with the mean of the others' scores"
    yield "predicted: its scores, with the mean of the others' curated scores"
    if len(found["raters"]) > 2:  # noqa: PLR2004
        yield "adds: how much better the others' scores are predicted with it than without it"
    yield "without: the combined ranking with the one that leaves it out; near 1 it is not needed"
    if found["partly_rated"]:
        yield (
            f"care: {found['partly_rated']:,} samples lack the rating of some raters and have the "
            "mean of the rest"
        )
    for rater in found["raters"]:
        off = rater["curation"]["switched_off"]
        if off:
            yield f"care: {rater['rater']} is not curated: {off}"
        for words in rater["calibration"]["words"]:
            yield f"{rater['rater']}: {words}"
        for care in (*rater["trust"]["reasons"], *rater["transition"]["warnings"]):
            yield f"care: {rater['rater']}: {care}"


def _name(name: str) -> str:
    from rich.markup import escape

    return escape(printable(name))


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
