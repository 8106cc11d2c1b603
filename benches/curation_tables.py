"""The tables of `bench_curation.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from curation_measures import DEFAULT, METHODS
from curation_targets import check_targets

Lines = list[dict[str, Any]]


def as_markdown(result: dict[str, Any]) -> str:
    """Every table of what was measured."""
    machine = result["machine"]
    parts = [
        "# What curation does, by mode and space",
        f"{machine['date']}, commit {machine['commit']}, {machine['processor']}, "
        f"{machine['cores']} cores, by `benches/bench_curation.py`. Gains are over the raw score; "
        "intervals of 95 % in brackets. `bayes a=0.5` is the default.",
    ]
    parts += [f"Skipped: {text}." for text in result["skipped"]]
    if "Alpaca" in result:
        parts += ["## Alpaca: Spearman with the mean of the two other raters"]
        parts += [raters(result["Alpaca"], "spearman"), "Gain of the default:"]
        parts += [gains(result["Alpaca"], ("spearman",)), selection(result["Alpaca"])]
    if "TREC" in result:
        parts += ["## TREC: against the human label", "QWK of hard labels:"]
        parts += [raters(result["TREC"], "qwk"), "Spearman of the expected score:"]
        parts += [raters(result["TREC"], "spearman"), "Gain of the default, and its ground:"]
        parts += [gains(result["TREC"], ("qwk", "spearman"))]
    for name in ("SST-5", "made"):
        if name in result:
            parts += [f"## {name}: noise put on the truth", "QWK of hard labels:"]
            parts += [shapes(result[name], "qwk"), "Spearman of the expected score:"]
            parts += [shapes(result[name], "spearman")]
    parts += ["## With evidence: gain over the raw score", evidence(result["evidence"])]
    parts += ["## Clustered pools of the tests", clusters(result["clusters"])]
    parts += ["## What `--space auto` takes", spaces(result["auto"])]
    parts += ["## Targets", targets(result)]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def best(values: dict[str, float]) -> list[str]:
    """Three places; the best in bold."""
    top = max(values.values())
    return [f"**{v:.3f}**" if v == top else f"{v:.3f}" for v in values.values()]


def raters(lines: Lines, figure: str) -> str:
    rows = [
        [line["rater"], line["space"], *best({m: line[figure][m]["value"] for m in METHODS})]
        for line in sorted(lines, key=lambda line: line["rater"])
    ]
    return table(["rater", "space", *METHODS], rows)


def gains(lines: Lines, figures: Sequence[str]) -> str:
    head = ["rater", "space", *figures, "nats", "k", "beta", "changed", "shared error"]
    rows = []
    for line in sorted(lines, key=lambda line: line["rater"]):
        facts, cells = line["facts"], [line[figure][DEFAULT] for figure in figures]
        rows.append(
            [line["rater"], line["space"]]
            + [
                f"{c['gain']:+.3f} [{c['interval'][0]:+.3f}, {c['interval'][1]:+.3f}]"
                for c in cells
            ]
            + [f"{facts['information']:.3f}", f"{facts['k']}", f"{facts['beta']}"]
            + [f"{facts['changed'][DEFAULT]:,}", f"{line.get('shared_error', '')}"]
        )
    return table(head, rows)


def selection(lines: Lines) -> str:
    names = list(lines[0]["selected"])
    rows = [
        [line["rater"], line["space"], *(f"{value:.3f}" for value in line["selected"].values())]
        for line in sorted(lines, key=lambda line: line["rater"])
    ]
    head = "Mean of the two other raters over the tenth that each preset selects:\n\n"
    return head + table(["rater", "space", *names], rows)


def shapes(lines: Lines, figure: str) -> str:
    rows = [
        [line["shape"], line["space"]]
        + [f"{line[figure][m]['mean']:.3f} ± {line[figure][m]['half']:.3f}" for m in METHODS]
        + [f"{line['shared_error']:.3f}"]
        for line in sorted(lines, key=lambda line: line["shape"])
    ]
    return table(["shape", "space", *METHODS, "shared error"], rows)


def clusters(lines: Lines) -> str:
    figures = ("tv", "f1", "accuracy", "ece")
    rows = [
        [line["shape"], line["regime"], line["method"]]
        + [f"{line[f]['mean']:.4f} ± {line[f]['half']:.4f}" if f in line else "" for f in figures]
        for line in lines
    ]
    return table(["shape", "regime", "method", "T error (TV)", "F1", "accuracy", "ECE"], rows)


def spaces(lines: Lines) -> str:
    """Information, and Spearman of the default, in each space; for what repeats, the first seed."""
    names = list(dict.fromkeys(space for line in lines for space in line["information"]))
    rows = [
        [line["pool"], line["rater"], line["auto"], f"{line['ahead']:.4f}"]
        + [f"{line['information'][n]:.4f}" if n in line["information"] else "" for n in names]
        + best({n: line["spearman"][n] for n in names if n in line["spearman"]})
        + [""] * sum(n not in line["spearman"] for n in names)
        + [f"{line['seconds']}"]
        for line in lines
    ]
    head = ["pool", "rater", "takes", "ahead", *(f"nats {n}" for n in names)]
    return table([*head, *(f"Spearman {n}" for n in names), "s"], rows)


def evidence(lines: Lines) -> str:
    """Gains where a second rater or an audit takes the place of the assumption."""
    figures = ("qwk", "accuracy", "spearman")
    head = ["pool", "rater", "space", "evidence", "cases"]
    head += [f"{figure}, {of}" for figure in figures for of in ("mean", "worst")]
    head += ["noise share or weight", "labels kept"]
    rows = [
        [line["pool"], line["rater"], line["space"], line["evidence"], f"{line['cases']}"]
        + [
            f"{line[figure][of]:+.4f}" if figure in line else ""
            for figure in figures
            for of in ("mean", "worst")
        ]
        + [f"{line['weight']:.2f}", f"{line['kept']:.0%}" if "kept" in line else ""]
        for line in lines
        if line["cases"]
    ]
    return table(head, rows)


def targets(result: dict[str, Any]) -> str:
    rows = [
        [line["target"], f"{line['value']:.4f}", "yes" if line["holds"] else "**no**"]
        for line in check_targets(result)
    ]
    return table(["target", "measured", "holds"], rows)
