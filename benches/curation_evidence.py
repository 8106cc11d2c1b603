"""What `bench_curation.py` measures of curation that need not assume: a second rater, an audit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation_measures import correlation, qwk, ranks
from curation_pools import Gold, Store, depth_of
from ds2_fast import _core
from ds2_fast.calibration import LEAST_GAMMA, Audit, SecondRater, calibrate
from ds2_fast.curation import Curated, curate
from ds2_fast.knn import Neighbors
from ds2_fast.transition import Transition, fit_transition

AUDITED = (100, 300)
"""Samples a person scores."""

DRAWS = 10
"""Audits drawn of each rater."""

Scores = NDArray[np.int8]


@dataclass(frozen=True)
class Rating:
    """One rater in one space, fitted."""

    scores: Scores
    num_classes: int
    neighbors: Neighbors
    transition: Transition


def measure_evidence(gold: Gold, store: Store) -> list[dict[str, Any]]:
    """Every rater in every space, under every other rater as the second, and under audits.

    Of several draws of a rater the first stands for all. Where no truth is known, a second rater is
    judged by all the remaining ones, and there are no audits.
    """
    names = [name for name in gold.ratings if not gold.seeds or name.endswith(" 0")]
    lines = []
    for space, rows in gold.rows.items():
        neighbors = store.neighbors(rows, depth_of(len(rows)))
        for name in names:
            scores = gold.ratings[name]
            transition = fit_transition(scores, neighbors, num_classes=gold.num_classes)
            rating = Rating(scores, gold.num_classes, neighbors, transition)
            head = {"pool": gold.name, "rater": name, "space": space}
            others = [other for other in names if other != name]
            lines.append(head | _fold("second rater", _by_second_raters(gold, rating, others)))
            if gold.truth is not None:
                lines += [
                    head | _fold(f"audit of {size}", _by_audits(gold.truth, rating, size))
                    for size in AUDITED
                ]
    return lines


def _by_second_raters(gold: Gold, rating: Rating, others: list[str]) -> Iterator[dict[str, float]]:
    for other in others:
        evidence = SecondRater(other, gold.ratings[other])
        found = calibrate(rating.scores, rating.neighbors, rating.transition, evidence)
        curated = curate(
            rating.scores, rating.neighbors, rating.transition, noise_share=found.noise_share
        )
        target = gold.truth
        if target is None:
            rest = [gold.ratings[name] for name in others if name != other]
            if not rest:
                continue
            target = np.mean(rest, axis=0)
        yield {"weight": found.noise_share} | _gains(gold, rating, curated, target)


def _by_audits(truth: Scores, rating: Rating, size: int) -> Iterator[dict[str, float]]:
    strata = rating.scores.astype(np.int32)
    for seed in range(DRAWS):
        rows, weights = _core.draw_stratified(strata, np.ones(rating.num_classes), size, seed)
        evidence = Audit("audit", rows, truth[rows], weights)
        audit = calibrate(rating.scores, rating.neighbors, rating.transition, evidence).audit
        assert audit is not None, "the evidence is an audit"
        curated = curate(rating.scores, rating.neighbors, rating.transition, audit=audit)
        told = {"weight": audit.gamma, "kept": float(audit.gamma <= LEAST_GAMMA)}
        yield told | _hard_gains(rating, curated, truth) | _soft_gain(rating, curated, truth)


def _gains(gold: Gold, rating: Rating, curated: Curated, target: NDArray[Any]) -> dict[str, float]:
    hard = {} if gold.truth is None else _hard_gains(rating, curated, gold.truth)
    return hard | _soft_gain(rating, curated, target)


def _hard_gains(rating: Rating, curated: Curated, truth: Scores) -> dict[str, float]:
    rated, ones = rating.scores >= 0, np.ones(int((rating.scores >= 0).sum()))
    gold, raw, now = truth[rated], rating.scores[rated], curated.curated[rated]
    before, after = (qwk(x, gold, rating.num_classes, ones) for x in (raw, now))
    accuracy = float(np.mean(now == gold) - np.mean(raw == gold))
    return {"qwk": after - before, "accuracy": accuracy}


def _soft_gain(rating: Rating, curated: Curated, target: NDArray[Any]) -> dict[str, float]:
    rated = rating.scores >= 0
    known, ones = ranks(target[rated].astype(np.float64)), np.ones(int(rated.sum()))
    raw, now = rating.scores.astype(np.float64), curated.expected
    before, after = (correlation(ranks(x[rated]), known, ones) for x in (raw, now))
    return {"spearman": after - before}


def _fold(evidence: str, cases: Iterator[dict[str, float]]) -> dict[str, Any]:
    """Mean and worst gain over the cases, and the mean noise share or weight of the neighbors."""
    found = list(cases)
    line: dict[str, Any] = {"evidence": evidence, "cases": len(found)}
    for figure in ("qwk", "accuracy", "spearman"):
        values = [case[figure] for case in found if figure in case]
        if values:
            line[figure] = {
                "mean": round(float(np.mean(values)), 4),
                "worst": round(min(values), 4),
            }
    line["weight"] = round(float(np.mean([case["weight"] for case in found])), 3)
    kept = [case["kept"] for case in found if "kept" in case]
    return line | ({"kept": round(float(np.mean(kept)), 2)} if kept else {})
