"""What curation must reach, and whether `bench_curation.py` saw it reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from curation_measures import DEFAULT

Verdicts = Iterator[dict[str, Any]]
Gain = Callable[[dict[str, Any]], float]

ALPACA_GAINS = {"gpt4o_mini": 0.035, "llama31_8b": 0.10, "mistral_7b": 0.10}
HARD_LOSS = 0.01
SOFT_LOSS = 0.03
LEAST_BY_SECOND = -0.005
THIN_RATIO, DENSE_RATIO = 0.5, 0.1
LEAST_F1, LEAST_ACCURACY, MOST_ECE = 0.99, 0.99, 0.01
PAPER_SHARE = "bayes a=1"
"""The clustered pools hold the paper's assumption, so its noise share is the one judged there."""


def check_targets(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare with every target whose part was measured."""
    return [
        *_alpaca(result.get("Alpaca", [])),
        *_no_harm("TREC", result.get("TREC", []), "rater", lambda cell: cell["gain"]),
        *_no_harm("SST-5", result.get("SST-5", []), "shape", lambda cell: cell["gain"]["mean"]),
        *_evidence(result.get("evidence", [])),
        *_clusters(result.get("clusters", [])),
    ]


def _alpaca(lines: list[dict[str, Any]]) -> Verdicts:
    for line in lines:
        least = ALPACA_GAINS.get(line["rater"])
        if least is not None:
            gain = line["spearman"][DEFAULT]["gain"]
            yield verdict(
                f"Alpaca {line['rater']}, {line['space']}: Spearman gain", gain, ">=", least
            )


def _no_harm(pool: str, lines: list[dict[str, Any]], key: str, gain_of: Gain) -> Verdicts:
    for space in dict.fromkeys(line["space"] for line in lines):
        group = [line for line in lines if line["space"] == space]
        for figure, most, name in (
            ("qwk", HARD_LOSS, "QWK of hard labels"),
            ("spearman", SOFT_LOSS, "Spearman of expected"),
        ):
            losses = {line[key]: -gain_of(line[figure][DEFAULT]) for line in group}
            worst = max(losses, key=lambda name: losses[name])
            yield verdict(
                f"{pool}, {space}: worst loss in {name} ({worst})", losses[worst], "<=", most
            )


def _evidence(lines: list[dict[str, Any]]) -> Verdicts:
    trec = [line for line in lines if line["pool"] == "TREC"]
    for evidence, figure, least in (
        ("second rater", "qwk", LEAST_BY_SECOND),
        ("audit of 300", "accuracy", 0.0),
    ):
        for space in dict.fromkeys(line["space"] for line in trec):
            group = [li for li in trec if (li["space"], li["evidence"]) == (space, evidence)]
            worst = min(group, key=lambda line: line[figure]["worst"])
            name = f"TREC, {space}, {evidence}: worst gain in {figure} ({worst['rater']})"
            yield verdict(name, worst[figure]["worst"], ">=", least)


def _clusters(lines: list[dict[str, Any]]) -> Verdicts:
    for regime, ratio in (("dense", DENSE_RATIO), ("thin", THIN_RATIO)):
        cells = {(li["shape"], li["method"]): li for li in lines if li["regime"] == regime}
        for shape in dict.fromkeys(shape for shape, _ in cells):
            ours, theirs = cells[shape, DEFAULT], cells[shape, "reference"]
            share = ours["tv"]["mean"] / theirs["tv"]["mean"]
            yield verdict(f"T error, {regime} {shape}: share of reference", share, "<=", ratio)
    for line in lines:
        if line["regime"] == "dense" and line["method"] == PAPER_SHARE:
            name = f"clusters {line['shape']}, a = 1:"
            yield verdict(f"{name} F1", line["f1"]["mean"], ">=", LEAST_F1)
            yield verdict(f"{name} accuracy", line["accuracy"]["mean"], ">=", LEAST_ACCURACY)
            yield verdict(f"{name} ECE", line["ece"]["mean"], "<=", MOST_ECE)


def verdict(name: str, value: float, sign: str, bound: float) -> dict[str, Any]:
    holds = value >= bound if sign == ">=" else value <= bound
    return {"target": f"{name} {sign} {bound:g}", "value": round(value, 4), "holds": bool(holds)}
