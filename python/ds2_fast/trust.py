"""Trust check: may the neighbors of this pool correct its ratings at all?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ds2_fast import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ds2_fast.curation import Curated
    from ds2_fast.knn import Neighbors
    from ds2_fast.transition import Transition

Verdict = Literal["trust", "use with care", "do not curate"]

LEAST_INFORMATION = 0.01
"""Nats. Neighbors that know less about a rating know nothing."""

GOOD_INFORMATION = 0.05
"""Nats. Neighbors that know less leave most decisions to the prior."""

RISE = 0.05
"""How much higher the diagonal of T from the closest neighbors may be than that from all."""

SAMPLES_PER_CELL = 30
"""Samples per entry of T below which T is noisy (mean total variation about 0.06 at 1,000, K = 6)."""

RULE = (
    f"do not curate: all ratings equal, or neighbors know less than {LEAST_INFORMATION} nats about a "
    f"rating; use with care: they know less than {GOOD_INFORMATION} nats, or the diagonal of T rises "
    f"by more than {RISE} on the closest fifth, or curation removes a score altogether, or a score "
    f"that occurs has an unidentified or ambiguous row of T, or the fit did not converge, or there "
    f"are fewer than {SAMPLES_PER_CELL} K^2 samples; trust: none of these"
)


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
        lift: `agreement / chance`; 1 = neighbors are strangers.
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
            NaN if no class is identified.
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
        figures = (
            f"neighbors know {self.neighbor_information:.3f} nats, "
            f"closest 1 % agree {self.bins[0].agreement:.0%} (chance {self.bins[0].chance:.0%}), "
            f"{self.share_changed:.1%} of scores changed"
        )
        return f"{self.verdict}: {'; '.join((figures, *self.reasons))}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; what is not a number becomes None."""
        return {key: _jsonable(value) for key, value in asdict(self).items()}


def check_trust(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition,
    curated: Curated,
    *,
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
        noise_share_origin: where `noise_share` comes from, for the report.

    Returns:
        The figures, the verdict and its reasons.

    Raises:
        ValueError: if arrays do not fit together, or similarities are not finite and descending.

    Source: the paper assumes that neighbors share their true score (k-NN score clusterability); this
    is what one rater's scores can tell about it. O(N log N).
    """
    graph, similarities = neighbors.indices, neighbors.similarities
    classes = transition.num_classes
    bins = _core.agreement_by_distance(scores, graph, similarities, classes)
    close = _core.compare_close_fit(
        scores, graph, similarities, classes, transition.prior, None
    )
    information = curated.information
    if information is None and not transition.degenerate:
        tuned = _core.tune_evidence(scores, graph, transition.T, transition.p)
        information = tuned["information"]
    rated = int(np.count_nonzero(scores >= 0))
    figures = {
        "diagonal": close["diagonal"],
        "diagonal_close": close["diagonal_close"],
        "neighbor_information": math.nan if information is None else information,
        "vanished": curated.vanished,
    }
    verdict, reasons = _judge(transition, **figures)
    return Trust(
        verdict=verdict,
        reasons=reasons,
        rule=RULE,
        bins=tuple(
            DistanceBin(
                to_share=float(to_share),
                max_distance=float(max_distance),
                pairs=int(pairs),
                agreement=float(agreement),
                chance=float(chance),
                lift=float(agreement / chance) if chance > 0 else math.nan,
            )
            for to_share, max_distance, pairs, agreement, chance in zip(*bins.values(), strict=True)
        ),
        share_changed=curated.changed / max(rated, 1),
        noise_share=curated.noise_share,
        noise_share_origin=noise_share_origin,
        **figures,
    )
