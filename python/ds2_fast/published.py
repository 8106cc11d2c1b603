"""The published method: `reference` mode (the published code) and `paper` mode (the paper's text).

Both assume what the paper assumes: a sample and its nearest neighbors share the true score, so
every disagreement between them is the rater's. Unrated samples (-1) take no part in either, as if
they were not in the pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast import _core
from ds2_fast.errors import PoolError
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

PUBLISHED_SAMPLE_SIZE = 50_000
"""Copies the published code draws in a round, of at most 9 in 10."""

ADAM_STEPS = 1500
"""Steps of the published fit."""

TOLERATED_TRUNCATION = 1e-3
"""Truncated mass above which the fit says so."""

_SMALL_POOL = 100_000
_FEWEST_RATED = 3


@dataclass(frozen=True)
class ReferenceTransition:
    """T and p as the published code fits them.

    Attributes:
        num_classes: K.
        T: float64 `(K, K)`, row = true score, column = rating; rows sum to 1.
        p: float64 `(K,)`, distribution of the true score.
        c3: float64 `(K, K, K)`, expected third-order consensus frequencies; sums to 1.
        loss: the objective at T and p.
        rated: number of rated samples.
        drawn_share: f, the chance that a copy is drawn together with another one.
        truncated_mass: share of draws whose second neighbor lies beyond the lists; left out of
            `c3`.
        degenerate: whether all scores are equal, so that T means nothing.
        warnings: what a reader of the result must know, one sentence each.
    """

    num_classes: int
    T: NDArray[np.float64]
    p: NDArray[np.float64]
    c3: NDArray[np.float64]
    loss: float
    rated: int
    drawn_share: float
    truncated_mass: float
    degenerate: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PublishedCuration:
    """What the published method says about each sample.

    Attributes:
        curated: int8 `(N,)`; the suggested score where misrated and confident enough, else the
            score.
        expected: float64 `(N,)`; the curated score (this method knows no other), NaN where unrated.
        suggested: int8 `(N,)`; what the neighbors say, whether or not misrated; -1 where unrated.
        misrated: bool `(N,)`.
        p_misrated: float64 `(N,)` in [0, 1]; NaN where unrated, and everywhere in paper mode.
        confidence: float64 `(N,)` in [0, 1]; NaN where unrated.
        visits: uint32 `(N,)`, rounds that drew the sample; None in paper mode.
        lists: neighbor lists that voted, over all rounds.
        short_lists: of these, the ones that ended before ten members were found.
        warnings: what a reader of the result must know, one sentence each.
    """

    curated: NDArray[np.int8]
    expected: NDArray[np.float64]
    suggested: NDArray[np.int8]
    misrated: NDArray[np.bool_]
    p_misrated: NDArray[np.float64]
    confidence: NDArray[np.float64]
    visits: NDArray[np.uint32] | None
    lists: int
    short_lists: int
    warnings: tuple[str, ...]


def neighbors_needed(num_samples: int) -> int:
    """Return how many neighbors reference mode needs: 50, or 128 above 100,000 samples.

    A round draws at most 50,000 copies, so in a large pool a sample's drawn neighbors lie far down
    its list.
    """
    return 50 if num_samples <= _SMALL_POOL else 128


def fit_transition_reference(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    num_classes: int,
    *,
    duplicate: bool = True,
    sample_size: int | None = PUBLISHED_SAMPLE_SIZE,
) -> ReferenceTransition:
    """Fit T and p as the published code does.

    The consensus frequencies are the exact expectation over its random draws: with f the chance
    that a copy is drawn and l_1, l_2, ... the scores of the other copies, nearest first,
    `c3[y, b, l_t] += f^2 (1-f)^(t-2) #{s < t: l_s = b}`. T and p minimize the sum of the three
    distances between modeled and counted frequencies of order 1, 2 and 3 by 1,500 steps of Adam;
    the last iterate is returned.

    Args:
        scores: int8 `(N,)` in 0..K-1, -1 = unrated.
        neighbors: uint32 `(N, L)`, rows of the most similar other samples, nearest first;
            see `neighbors_needed`.
        num_classes: K, 2..16.
        duplicate: hold every sample twice, as the published code does.
        sample_size: most copies drawn in a round; None draws all of them. With `duplicate=False`
            and None the frequencies are plain counts of a sample and its two nearest neighbors.

    Returns:
        The fit, its consensus frequencies, and how much the end of the neighbor lists cut off.

    Raises:
        PoolError: if fewer than 3 samples are rated.
        ValueError: if scores and neighbors do not fit together or are out of range.
        TypeError: if an array has another dtype or number of dimensions.

    Source: published code; Deviations D3, D5, D7. O(N L K + K^3), the fit 4 ms for K = 6.

    Example:
        >>> ring = (np.arange(60, dtype=np.uint32)[:, None] + np.arange(1, 9, dtype=np.uint32)) % 60
        >>> fit = fit_transition_reference((np.arange(60) // 20).astype(np.int8), ring, 3)
        >>> bool((fit.T.argmax(axis=1) == [0, 1, 2]).all())
        True
    """
    rated = int(np.count_nonzero(scores >= 0))
    if rated < _FEWEST_RATED:
        raise PoolError(
            f"only {rated} of {len(scores)} samples are rated, T needs at least {_FEWEST_RATED}",
            "rate the pool first, or name the column of its scores",
        )
    consensus = _core.expected_consensus(scores, neighbors, num_classes, duplicate, sample_size)
    fit = _core.fit_transition_reference(consensus["c3"])
    truncated = consensus["truncated"]
    warnings: tuple[str, ...] = ()
    if truncated > TOLERATED_TRUNCATION:
        warnings = (
            f"{truncated:.1%} of the consensus lies beyond the {neighbors.shape[1]} neighbors kept "
            "and is left out",
        )
    return ReferenceTransition(
        num_classes=num_classes,
        T=fit["T"],
        p=fit["p"],
        c3=consensus["c3"],
        loss=fit["loss"],
        rated=rated,
        drawn_share=consensus["share"],
        truncated_mass=truncated,
        degenerate=len(np.unique(scores[scores >= 0])) == 1,
        warnings=warnings,
    )


def curate_reference(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    *,
    rounds: int = 51,
    seed: int = 42,
    threshold: float = 0.5,
    duplicate: bool = True,
    sample_size: int | None = PUBLISHED_SAMPLE_SIZE,
    progress: Progress = silent,
) -> PublishedCuration:
    """Find misrated samples and curate them as the published code does.

    Each round draws copies of the pool, lets the list of every drawn sample (itself, its copy,
    drawn copies of its neighbors; ten at most) vote, and flags of each class i the share `1 -
    min(1, T_ii p_i / P(score i))` that agrees least. With t visits, F flags and v_c votes for score
    c, `p_misrated = (F + 1) / (t + 2)`, a sample is misrated iff F > t / 2, and its confidence is
    `(v_c + 1) / (F + K) * p_misrated` of the best other score c. A round's draw depends only on
    `seed` and the round's number, so the result does not depend on the number of threads.

    Args:
        scores: int8 `(N,)` in 0..K-1, -1 = unrated.
        neighbors: uint32 `(N, L)`, nearest first; see `neighbors_needed`.
        similarities: float32 `(N, L)`, cosine similarity to each neighbor.
        T: float64 `(K, K)`, rows sum to 1.
        p: float64 `(K,)`, sums to 1.
        rounds: how many draws, at least 1.
        seed: names the draws.
        threshold: least confidence at which a misrated sample takes its suggested score.
        duplicate: hold every sample twice, as the published code does.
        sample_size: most copies drawn in a round; None draws all of them.
        progress: called with `(rounds done, rounds)`.

    Returns:
        One value a sample, and how many lists were too short.

    Raises:
        ValueError: if arguments do not fit together or are out of range.
        TypeError: if an array has another dtype or number of dimensions.

    Source: published code; Deviations D5, D7. O(rounds x (N + drawn x list)) time, N bytes a round.
    """
    found = _core.curate_reference(
        scores,
        neighbors,
        similarities,
        T,
        p,
        duplicate,
        sample_size,
        rounds,
        seed,
        threshold,
        progress,
    )
    warnings: tuple[str, ...] = ()
    if found["short_lists"]:
        warnings = (
            f"{found['short_lists'] / found['lists']:.1%} of the voting lists found fewer than 10 "
            f"members among the {neighbors.shape[1]} neighbors kept",
        )
    return PublishedCuration(
        curated=found["curated"],
        expected=_as_expected(found["curated"]),
        suggested=found["suggested"],
        misrated=found["misrated"],
        p_misrated=found["p_misrated"],
        confidence=found["confidence"],
        visits=found["visits"],
        lists=found["lists"],
        short_lists=found["short_lists"],
        warnings=warnings,
    )


def curate_paper(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    *,
    k: int = 10,
    threshold: float = 0.5,
) -> PublishedCuration:
    """Find misrated samples and curate them as the paper describes it, without sampling.

    The vote for score c is the sum of similarities of the k nearest rated neighbors with that
    score. Of each class i the share `1 - min(1, T_ii p_i / P(score i))` with the lowest cosine
    between votes and own score is misrated (an exact number of samples, ties by row); the suggested
    score has most votes (ties: the nearer neighbor's), the confidence is its share of the votes.

    Where the paper leaves a choice open: the share is rounded to the nearest number of samples,
    which may be none; a neighbor at or beyond a right angle has no vote; a sample without any vote
    keeps its score.

    Args:
        scores: int8 `(N,)` in 0..K-1, -1 = unrated.
        neighbors: uint32 `(N, L)`, nearest first.
        similarities: float32 `(N, L)`, cosine similarity to each neighbor.
        T: float64 `(K, K)`, fitted to each sample and its two nearest neighbors with a weak uniform
            prior.
        p: float64 `(K,)`, sums to 1.
        k: neighbors that vote, 1..L.
        threshold: least confidence at which a misrated sample takes its suggested score.

    Returns:
        One value a sample; `p_misrated` is NaN, as this method flags by rank.

    Raises:
        ValueError: if arguments do not fit together or are out of range.
        TypeError: if an array has another dtype or number of dimensions.

    Source: DS2 paper (arXiv 2410.10877), score curation; Deviations D1, D2, D3. O(N (k + K) + N log
    N).
    """
    found = _core.curate_paper(scores, neighbors, similarities, T, p, k, threshold)
    return PublishedCuration(
        curated=found["curated"],
        expected=_as_expected(found["curated"]),
        suggested=found["suggested"],
        misrated=found["misrated"],
        p_misrated=np.full(len(scores), np.nan),
        confidence=found["confidence"],
        visits=None,
        lists=0,
        short_lists=0,
        warnings=(),
    )


def _as_expected(curated: NDArray[np.int8]) -> NDArray[np.float64]:
    return np.where(curated < 0, np.nan, curated.astype(np.float64))
