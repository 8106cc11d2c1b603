"""Trust check: may the neighbors of this pool correct its ratings at all?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast import _core
from ds2_fast.information import compare_with_shuffled
from ds2_fast.uncertainty import bootstrap_transition
from ds2_fast.verdict import ASSUMED, RULE, Evidence, Level, judge
from ds2_fast.wording import tell_trust

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ds2_fast.curation import Curated
    from ds2_fast.knn import Neighbors
    from ds2_fast.transition import Transition
    from ds2_fast.uncertainty import Intervals


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
        advice: what the user can do about them to move up a level, one clause each.
        rule: the rule that was applied, in words.
        bins: agreement by distance to the nearest neighbor, closest first.
        diagonal: mean diagonal of T over a sample and its two nearest neighbors, weighted by p;
            NaN if no class is identified, or no sample is rated together with both of them.
        diagonal_close: the same over the closest fifth; a rise means that disagreement further out
            is not rater noise alone.
        noise_share_bound: the largest share of the disagreement that can be rater noise, lower and
            upper end of its 95 % interval, see `bootstrap_transition`.
        neighbor_information: nats by which neighbors predict a rating better than chance; NaN if
            all ratings are equal.
        information_shuffled: the most they know about the same ratings shuffled; NaN likewise.
        p_value: probability of as much information if neighbors knew nothing; NaN likewise.
        share_changed: share of the rated samples whose score was changed.
        vanished: scores that occur in the pool and not among the curated ones.
        noise_share: share of disagreement taken for rater noise; None unless `bayes`.
        noise_share_origin: where it comes from.
        switched_off: why the scores were left alone although curation was asked for, or None.
    """

    verdict: Level
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    rule: str
    bins: tuple[DistanceBin, ...]
    diagonal: float
    diagonal_close: float
    noise_share_bound: tuple[float, float]
    neighbor_information: float
    information_shuffled: float
    p_value: float
    share_changed: float
    vanished: tuple[int, ...]
    noise_share: float | None
    noise_share_origin: str
    switched_off: str | None

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

    @property
    def words(self) -> tuple[str, ...]:
        """The check in full sentences' worth of clauses, one per line."""
        return tell_trust(self)

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON-able values, and in words; what is not a number becomes None."""
        found = {key: _jsonable(value) for key, value in asdict(self).items()}
        return {**found, "words": list(self.words)}


def check_trust(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition,
    curated: Curated,
    *,
    intervals: Intervals | None = None,
    labels: Sequence[str] | None = None,
    noise_share_origin: str = ASSUMED,
    seed: int = 42,
) -> Trust:
    """Judge whether the neighbors of a pool may correct its ratings.

    Measures agreement with the nearest neighbor against chance in five bins of distance, the
    diagonal of T fitted on the closest fifth against that on all, and what neighbors know about a
    rating against what they know about shuffled ones; then applies `ds2_fast.verdict.RULE`.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: neighbors of every sample, nearest first, at least 2.
        transition: T and p of the same pool.
        curated: its curated scores.
        intervals: of the same T and p; None makes them.
        labels: what the user calls each class, for the reasons; None for the class numbers.
        noise_share_origin: where `noise_share` comes from, for the report.
        seed: of the shuffles and the resampling, where they are not given.

    Returns:
        The figures, the verdict and its reasons.

    Raises:
        ValueError: if arrays do not fit together, or similarities are not finite and descending.

    Source: the paper assumes that neighbors share their true score (k-NN score clusterability);
    this is what one rater's scores can tell about it. O(N L), the shuffles and the resampling.

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
        >>> trust.advice
        ('rate at least 120 samples',)
    """
    graph, similarities = neighbors.indices, neighbors.similarities
    classes = transition.num_classes
    bins = _core.agreement_by_distance(scores, graph, similarities, classes)
    # A fit without a prior (the published code's) is still compared under the usual one.
    prior = "ordinal" if transition.prior == "none" else transition.prior
    close = _core.compare_close_fit(scores, graph, similarities, classes, prior, None)
    intervals = intervals or bootstrap_transition(scores, neighbors, transition, seed=seed)
    information, shuffled, p_value = _measure(scores, neighbors, transition, curated, seed)
    rated = int(np.count_nonzero(scores >= 0))
    verdict, doubts = judge(
        Evidence(
            transition, curated, intervals, information, shuffled, p_value, noise_share_origin
        ),
        labels or range(classes),
    )
    low, high = intervals.noise_share_bound.tolist()
    return Trust(
        verdict=verdict,
        reasons=tuple(doubt.reason for doubt in doubts),
        advice=tuple(dict.fromkeys(doubt.advice for doubt in doubts)),
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
        noise_share_bound=(low, high),
        neighbor_information=information,
        information_shuffled=shuffled,
        p_value=p_value,
        share_changed=curated.changed / max(rated, 1),
        vanished=curated.vanished,
        noise_share=curated.noise_share,
        noise_share_origin=noise_share_origin,
        switched_off=curated.switched_off,
    )


def _measure(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition,
    curated: Curated,
    seed: int,
) -> tuple[float, float, float]:
    """Neighbor information, the most of shuffled ratings, p-value; measured if no mode did."""
    if transition.degenerate:
        return math.nan, math.nan, math.nan
    information, shuffled, p_value = (
        curated.information,
        curated.information_shuffled,
        curated.p_value,
    )
    if information is None:
        tuned = _core.tune_evidence(scores, neighbors.indices, transition.T, transition.p)
        information = tuned["information"]
    if shuffled is None or p_value is None:
        test = compare_with_shuffled(scores, neighbors, transition.num_classes, seed=seed)
        shuffled, p_value = test.largest, test.p_value
    return information, shuffled, p_value


def _jsonable(value: object) -> object:
    """Take NaN to None, tuples to lists, in depth."""
    if isinstance(value, dict):
        return {key: _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_jsonable(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
