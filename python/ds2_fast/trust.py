"""Trust check: may the neighbors of this pool correct its ratings at all?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ds2_fast import _core
from ds2_fast.curation import LEAST_INFORMATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ds2_fast.curation import Curated
    from ds2_fast.knn import Neighbors
    from ds2_fast.transition import Transition

Verdict = Literal["trust", "use with care", "do not curate"]

GOOD_INFORMATION = 0.05
"""Nats. Neighbors that know less leave most decisions to the prior."""

RISE = 0.05
"""How much higher the diagonal of T from the closest neighbors may be than that from all."""

SAMPLES_PER_CELL = 30
"""Samples per entry of T below which T is noisy: 0.06 off per row at 1,000 samples and K = 6."""

RULE = (
    "do not curate: all ratings are equal, or neighbors know less than "
    f"{LEAST_INFORMATION} nats about a rating. "
    f"use with care: neighbors know less than {GOOD_INFORMATION} nats; or the diagonal of T is "
    f"more than {RISE} higher on the closest fifth of the pairs; or curation leaves a score unused "
    "that the rater used; or a score the rater used has an unidentified or ambiguous row of T; or "
    f"the fit did not converge; or there are fewer than {SAMPLES_PER_CELL} K^2 rated samples. "
    "trust: none of these."
)
"""How `check_trust` comes to its verdict, for the report."""


@dataclass(frozen=True)
class DistanceBin:
    """Agreement of samples with their nearest neighbor, over one range of distances.

    Attributes:
        to_share: the bin ends at this share of the samples, ordered by distance; it starts where
            the one before it ends.
        max_distance: largest cosine distance in it; NaN if empty.
        pairs: rated samples with a rated nearest neighbor.
        agreement: share of pairs with equal scores; NaN if empty.
        chance: the same if scores within the bin were paired at random.
        lift: `agreement / chance`; 1 = neighbors are strangers; NaN if chance is 0 or unknown.
    """

    to_share: float
    max_distance: float
    pairs: int
    agreement: float
    chance: float
    lift: float


@dataclass(frozen=True)
class Trust:
    """What speaks for and against correcting ratings by neighbors.

    Attributes:
        verdict: `trust`, `use with care` or `do not curate`.
        reasons: what decided it, one clause each; empty for `trust`.
        rule: the rule that was applied, in words.
        bins: agreement by distance to the nearest neighbor, closest first.
        diagonal: mean diagonal of T over a sample and its two nearest neighbors, weighted by p;
            NaN if no class is identified, or no sample is rated together with both of them.
        diagonal_close: the same over the closest fifth; a clear rise means that disagreement
            further out is not rater noise alone.
        neighbor_information: nats by which neighbors predict a rating better than chance; NaN if
            all ratings are equal.
        share_changed: share of the rated samples whose score was changed.
        vanished: scores that occur in the pool and not among the curated ones.
        noise_share: share of disagreement taken for rater noise; None unless `bayes`.
        noise_share_origin: where it comes from.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    rule: str
    bins: tuple[DistanceBin, ...]
    diagonal: float
    diagonal_close: float
    neighbor_information: float
    share_changed: float
    vanished: tuple[int, ...]
    noise_share: float | None
    noise_share_origin: str

    @property
    def line(self) -> str:
        """The check in one line, for the terminal."""
        near, figures = self.bins[0], [f"{self.share_changed:.1%} of scores changed"]
        if near.pairs:
            agreement = f"closest 1 % agree {near.agreement:.0%} (chance {near.chance:.0%})"
            figures.insert(0, agreement)
        if not math.isnan(self.neighbor_information):
            figures.insert(0, f"neighbors know {self.neighbor_information:.3f} nats")
        return f"{self.verdict}: {'; '.join((', '.join(figures), *self.reasons))}"

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON-able values; what is not a number becomes None."""
        return {key: _jsonable(value) for key, value in asdict(self).items()}


def check_trust(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition,
    curated: Curated,
    *,
    labels: Sequence[str] | None = None,
    noise_share_origin: str = "assumed, not estimated",
) -> Trust:
    """Judge whether the neighbors of a pool may correct its ratings.

    Measures agreement with the nearest neighbor against chance in five bins of distance, the
    diagonal of T fitted on the closest fifth against that on all, and what neighbors know about a
    rating; then applies `RULE`.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: neighbors of every sample, nearest first, at least 2.
        transition: T and p of the same pool.
        curated: its curated scores.
        labels: what the user calls each class, for the reasons; None for the class numbers.
        noise_share_origin: where `noise_share` comes from, for the report.

    Returns:
        The figures, the verdict and its reasons.

    Raises:
        ValueError: if arrays do not fit together, or similarities are not finite and descending.

    Source: the paper assumes that neighbors share their true score (k-NN score clusterability);
    this is what one rater's scores can tell about it. O(N L).

    Example:
        >>> from ds2_fast.curation import curate
        >>> from ds2_fast.knn import find_neighbors
        >>> from ds2_fast.transition import fit_transition
        >>> neighbors = find_neighbors(np.repeat(np.eye(2, dtype=np.float32), 30, axis=0), 10)
        >>> scores = np.repeat(np.array([0, 1], dtype=np.int8), 30)
        >>> transition = fit_transition(scores, neighbors, num_classes=2)
        >>> trust = check_trust(
        ...     scores, neighbors, transition, curate(scores, neighbors, transition)
        ... )
        >>> trust.verdict, trust.reasons
        ('use with care', ('T rests on fewer than 120 samples',))
    """
    graph, similarities = neighbors.indices, neighbors.similarities
    classes = transition.num_classes
    bins = _core.agreement_by_distance(scores, graph, similarities, classes)
    # A fit without a prior (the published code's) is still compared under the usual one.
    prior = "ordinal" if transition.prior == "none" else transition.prior
    close = _core.compare_close_fit(scores, graph, similarities, classes, prior, None)
    information = curated.information
    if information is None and not transition.degenerate:
        tuned = _core.tune_evidence(scores, graph, transition.T, transition.p)
        information = tuned["information"]
    rated = int(np.count_nonzero(scores >= 0))
    measured = math.nan if information is None else information
    verdict, reasons = _judge(
        transition,
        measured,
        close["diagonal_close"] - close["diagonal"],
        curated.vanished,
        labels or range(transition.num_classes),
    )
    return Trust(
        verdict=verdict,
        reasons=reasons,
        rule=RULE,
        bins=tuple(
            DistanceBin(
                to_share=float(bins["to_share"][i]),
                max_distance=float(bins["max_distance"][i]),
                pairs=int(bins["pairs"][i]),
                agreement=float(bins["agreement"][i]),
                chance=float(chance),
                lift=float(bins["agreement"][i] / chance) if chance > 0 else math.nan,
            )
            for i, chance in enumerate(bins["chance"])
        ),
        diagonal=close["diagonal"],
        diagonal_close=close["diagonal_close"],
        neighbor_information=measured,
        share_changed=curated.changed / max(rated, 1),
        vanished=curated.vanished,
        noise_share=curated.noise_share,
        noise_share_origin=noise_share_origin,
    )


def _judge(
    transition: Transition,
    information: float,
    rise: float,
    vanished: tuple[int, ...],
    labels: Sequence[object],
) -> tuple[Verdict, tuple[str, ...]]:
    """Apply `RULE`."""
    if transition.degenerate:
        return "do not curate", ("all ratings are equal",)
    enough = SAMPLES_PER_CELL * transition.num_classes**2
    few = (transition.samples < enough, f"T rests on fewer than {enough} samples")
    if information < LEAST_INFORMATION:
        # Too few samples may be why neighbors seem to know nothing.
        nothing = f"neighbors know less than {LEAST_INFORMATION} nats"
        return "do not curate", (nothing, few[1]) if few[0] else (nothing,)
    used = set(np.flatnonzero(transition.c1).tolist())
    unidentified = sorted(used & set(transition.unidentified))
    doubts = (
        (information < GOOD_INFORMATION, f"neighbors know less than {GOOD_INFORMATION} nats"),
        (rise > RISE, f"the diagonal of T is {rise:.2f} higher on the closest fifth of the pairs"),
        (vanished, f"curation leaves {_name(vanished, labels)} unused"),
        (unidentified, f"too few samples truly deserve {_name(unidentified, labels)}"),
        (transition.ambiguous, f"T is ambiguous about {_name(transition.ambiguous, labels)}"),
        (not transition.converged, f"the fit of T did not converge in {transition.steps} steps"),
        few,
    )
    reasons = tuple(reason for doubt, reason in doubts if doubt)
    return ("use with care" if reasons else "trust"), reasons


def _name(scores: Sequence[int], labels: Sequence[object]) -> str:
    names = ", ".join(str(labels[score]) for score in scores)
    return f"score{'s' if len(scores) > 1 else ''} {names}"


def _jsonable(value: object) -> object:
    """Take NaN to None, tuples to lists, in depth."""
    if isinstance(value, dict):
        return {key: _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_jsonable(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
