"""The verdict of the trust check: the rule that gives it, and what moves a pool up a level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ds2_fast.information import LEAST_INFORMATION, SHUFFLES, SIGNIFICANCE, explain_ignorance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ds2_fast.curation import Curated
    from ds2_fast.transition import Transition
    from ds2_fast.uncertainty import Intervals

Level = Literal["trust", "use with care", "do not curate"]

SAMPLES_PER_CELL = 30
"""Samples per entry of T below which intervals are as rough as what they measure."""

SETTLED = 0.95
"""Share of resampled pools in which a rating must come most often from the score it names."""

RULE = (
    "do not curate: all ratings are equal; or neighbors know no more about the ratings than about "
    f"the same ratings shuffled (permutation test, {SHUFFLES} shuffles, p > {SIGNIFICANCE}); or "
    f"they know less than {LEAST_INFORMATION} nats; or an audit finds that they know nothing about "
    "a person's score; or the noise share is 0. "
    "use with care: more of the disagreement is taken for rater noise than the disagreement of the "
    "closest pairs allows (above the 95 % interval of the bound), or this interval excludes that "
    "all of it is, and how much is was not estimated; or neighbors know less than "
    f"{LEAST_INFORMATION} nats more than about the luckiest shuffle; or curation leaves a score "
    "unused that the rater used; or a score the rater used has fewer than 20 true samples, or its "
    f"rating comes most often from it in fewer than {SETTLED:.0%} of resampled pools; or the fit "
    f"did not converge; or T rests on fewer than {SAMPLES_PER_CELL} K^2 samples. "
    "trust: none of these."
)
"""How `judge` comes to its verdict, for the report."""


ASSUMED = "assumed, not estimated"
"""Origin of a noise share that neither a second rater nor an audit has confirmed."""


@dataclass(frozen=True)
class Doubt:
    """Something that speaks against curation.

    Attributes:
        reason: what it is, one clause.
        advice: what the user can do about it, one clause.
    """

    reason: str
    advice: str


@dataclass(frozen=True)
class Evidence:
    """What the verdict is about.

    Attributes:
        transition: T and p.
        curated: the curated scores.
        intervals: of T, p and the bound on the noise share.
        information: nats that neighbors know about a rating; NaN if all ratings are equal.
        information_shuffled: the most they know about the same ratings shuffled.
        p_value: of the former against the latter.
        noise_share_origin: where the noise share comes from.
    """

    transition: Transition
    curated: Curated
    intervals: Intervals
    information: float
    information_shuffled: float
    p_value: float
    noise_share_origin: str = ASSUMED


def judge(evidence: Evidence, labels: Sequence[object]) -> tuple[Level, tuple[Doubt, ...]]:
    """Apply `RULE`.

    Args:
        evidence: what was measured.
        labels: what the user calls each class.

    Returns:
        The verdict and what decided it; nothing for `trust`.
    """
    few = tuple(_doubt_size(evidence.transition))
    if evidence.transition.degenerate:
        advice = "rate on a finer scale or with another model"
        return "do not curate", (Doubt("all ratings are equal", advice),)
    ignorance = explain_ignorance(evidence.information, evidence.p_value)
    if ignorance is not None:
        advice = "try another `--space`, rate more samples, or rate with another model"
        return "do not curate", (Doubt(ignorance, advice), *few)
    if evidence.curated.switched_off is not None:
        advice = "try another `--space`, audit more samples, or rate with another model"
        return "do not curate", (Doubt(evidence.curated.switched_off, advice), *few)
    doubts = (
        *_doubt_noise_share(evidence),
        *_doubt_information(evidence),
        *_doubt_classes(evidence, labels),
        *few,
    )
    return ("use with care" if doubts else "trust"), doubts


def assumed_noise_share(curated: Curated) -> float | None:
    """Name the share of disagreement a curation takes for rater noise; None if it changes nothing.

    The published procedures take all of it.
    """
    if curated.mode == "none" or curated.switched_off is not None:
        return None
    return curated.noise_share if curated.mode == "bayes" else 1.0


def _doubt_noise_share(evidence: Evidence) -> Iterator[Doubt]:
    share = assumed_noise_share(evidence.curated)
    highest = float(evidence.intervals.noise_share_bound[1])
    if share is None:
        return
    if share > highest:
        lower = f"`--noise-share {math.floor(100 * highest) / 100:.2f}` or less"
        yield Doubt(
            f"{share:.0%} of the disagreement is taken for rater noise, but the closest pairs "
            f"allow at most {highest:.0%}",
            lower if evidence.curated.mode == "bayes" else f"`--curation bayes` with {lower}",
        )
    elif highest < 1 and evidence.noise_share_origin == ASSUMED:
        yield Doubt(
            "farther neighbors differ truly, not by rater noise alone, and how much is assumed",
            "let `--second-rater` or `--audit` tell how much",
        )


def _doubt_information(evidence: Evidence) -> Iterator[Doubt]:
    if evidence.information - evidence.information_shuffled < LEAST_INFORMATION:
        yield Doubt(
            f"neighbors know {evidence.information:.3f} nats about the ratings and up to "
            f"{evidence.information_shuffled:.3f} about shuffled ones",
            "rate more samples, or try another `--space`",
        )


def _doubt_classes(evidence: Evidence, labels: Sequence[object]) -> Iterator[Doubt]:
    transition, curated, settled = evidence.transition, evidence.curated, evidence.intervals.settled
    if curated.vanished:
        yield Doubt(
            f"curation leaves {_name(curated.vanished, labels)} unused",
            "lower `--noise-share`, or rank by the expected score alone",
        )
    used = set(np.flatnonzero(transition.c1).tolist())
    unidentified = used & set(transition.unidentified)
    if unidentified:
        yield Doubt(
            f"too few samples truly deserve {_name(sorted(unidentified), labels)}",
            "rate more samples, or on a coarser scale",
        )
    shaky = used & set(transition.ambiguous)
    if settled is not None:
        shaky |= (used - unidentified) & set(np.flatnonzero(settled < SETTLED).tolist())
    if shaky:
        yield Doubt(
            f"T is ambiguous about {_name(sorted(shaky), labels)}",
            "rate more samples, or on a coarser scale",
        )
    if not transition.converged:
        yield Doubt(
            f"the fit of T did not converge in {transition.steps} steps",
            "rate more samples, or on a coarser scale",
        )


def _doubt_size(transition: Transition) -> Iterator[Doubt]:
    enough = SAMPLES_PER_CELL * transition.num_classes**2
    if transition.samples < enough:
        yield Doubt(
            f"T rests on fewer than {enough:,} samples", f"rate at least {enough:,} samples"
        )


def _name(scores: Sequence[int], labels: Sequence[object]) -> str:
    names = ", ".join(str(labels[score]) for score in scores)
    return f"score{'s' if len(scores) > 1 else ''} {names}"
