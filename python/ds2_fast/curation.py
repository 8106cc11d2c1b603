"""Curated scores: what a sample deserves, given its own rating and its neighbors'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.information import compare_with_shuffled, explain_ignorance
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    from ds2_fast.calibration import AuditFit
    from ds2_fast.knn import Neighbors
    from ds2_fast.published import ReferenceTransition
    from ds2_fast.transition import Transition

Mode = Literal["bayes", "paper", "reference", "none"]

ONE_SCORE = "all rated samples have the same score"
"""Why nothing is curated where T means nothing."""

AUDITED_AWAY = "the audit finds that neighbors know nothing about a person's score"
"""Why nothing is curated where an audit gives the neighbors no weight."""

ALL_TRUE = "none of the disagreement between neighbors is taken for rater noise"
"""Why nothing is curated at a noise share of 0."""

_NEVER = 2.0
"""A threshold that no probability reaches."""

PAPER_VOTERS = 10
"""Neighbors that vote in `paper` mode."""


@dataclass(frozen=True)
class Curated:
    """Scores after curation, one entry per sample.

    Attributes:
        mode: how the scores were curated.
        expected: float64 `(N,)` in [0, K-1], mean of the posterior: rank by this. The curated score
            itself where a mode has no posterior; NaN for an unrated sample in such a mode.
        curated: int8 `(N,)`, 0..K-1; -1 for a sample that is unrated and stays so.
        suggested: int8 `(N,)`, what the neighbors and the own rating suggest.
        misrated: bool `(N,)`, the score is judged wrong.
        p_misrated: float64 `(N,)` in [0, 1]; NaN for an unrated sample.
        confidence: float64 `(N,)` in [0, 1], how sure the suggestion is.
        entropy: float64 `(N,)` in nats, of the posterior. These three are NaN where a mode does not
            define them.
        neighbor_k: neighbors heard; None where nothing was tuned.
        beta: weight of one neighbor's log likelihood; None where nothing was tuned.
        information: nats by which the neighbors predict a rating better than chance; None where it
            was not measured.
        information_shuffled: the most they know about the same ratings shuffled; None likewise.
        p_value: probability of as much information if they knew nothing; None likewise.
        noise_share: the share of disagreement taken for rater noise; None unless `bayes`, and with
            an audit, which measures what the share stands for.
        switched_off: why the scores were left alone although curation was asked for, or None.
        changed: number of samples whose curated score differs from their score.
        vanished: scores that occur in the pool and not among the curated ones.
        warnings: what a reader of the result must know, one sentence each.
    """

    mode: Mode
    expected: NDArray[np.float64]
    curated: NDArray[np.int8]
    suggested: NDArray[np.int8]
    misrated: NDArray[np.bool_]
    p_misrated: NDArray[np.float64]
    confidence: NDArray[np.float64]
    entropy: NDArray[np.float64]
    neighbor_k: int | None
    beta: float | None
    information: float | None
    noise_share: float | None
    switched_off: str | None
    changed: int
    vanished: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    information_shuffled: float | None = None
    p_value: float | None = None


def curate(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition | ReferenceTransition,
    *,
    mode: Mode = "bayes",
    noise_share: float = 0.5,
    audit: AuditFit | None = None,
    threshold: float = 0.5,
    seed: int = 42,
    rounds: int = 51,
    neighbor_k: int | None = None,
    beta: float | None = None,
    fill_missing: bool = False,
    progress: Progress = silent,
) -> Curated:
    """Curate the scores of a pool.

    `bayes`: with pz[z] proportional to `p[z] exp(beta * sum_j log T[z, score of neighbor j])` over
    the k nearest neighbors, `T_a = (1 - a) I + a T` and R such that `R T_a = T`, the posterior of
    the true score is proportional to `(pz R)[y] * T_a[y, own score]`. a = `noise_share` is the
    share of the neighbors' disagreement taken for rater noise. One rater cannot tell it: a = 1 is
    the paper's assumption (neighbors share their true score), a = 0 believes every rating. k and
    beta are those under which neighbors predict ratings best. If that prediction gains less than
    0.01 nats, or no more than it gains on shuffled ratings (`compare_with_shuffled`, p > 0.01),
    curation switches itself off and says so in `switched_off`.

    `bayes` with an `audit`: the posterior is proportional to
    `p^[y] T^[y, own score] exp(gamma beta sum_j log T[y, score of neighbor j])`, T^ and p^ measured
    on the audited samples. At gamma = 0 curation switches itself off; hard labels stay as they are
    unless the audit says that they may change (`AuditFit.relabels`).

    `paper`: the published method on one neighbor graph, with the votes of the ten nearest neighbors
    (all of them if the graph is narrower); `reference`: the law of the published code; `none`: the
    scores as they are. See `ds2_fast.published` for the first two. If all ratings are equal, every
    mode switches itself off.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: neighbors of every sample, nearest first.
        transition: T and p of the same pool.
        mode: see above.
        noise_share: a in [0, 1]; `bayes` only. With an `audit` it is not used.
        audit: what a person's scores told (`ds2_fast.calibration.calibrate`); `bayes` only.
        threshold: least probability (`bayes`) or confidence (`paper`, `reference`) at which a score
            is replaced, >= 0; above 1 nothing is.
        seed: of the shuffles (`bayes`) or the random rounds (`reference`).
        rounds: number of random rounds; `reference` only.
        neighbor_k: neighbors heard, instead of the tuned number; needs `beta`.
        beta: weight of one neighbor in (0, 1], instead of the tuned one; needs `neighbor_k`.
        fill_missing: give unrated samples the score their neighbors suggest; `bayes` only.
        progress: called with samples done and N.

    Returns:
        Expected and curated scores, and how they came about.

    Raises:
        ValueError: if a value is out of range, or only one of `neighbor_k` and `beta` is given.

    Source: `bayes` is a deviation from the paper, which flags, votes and thresholds instead.
    O(N (k + K^2)) and the shuffles, which take most of the time on small pools.

    Example:
        >>> from ds2_fast.knn import find_neighbors
        >>> from ds2_fast.transition import fit_transition
        >>> neighbors = find_neighbors(np.repeat(np.eye(2, dtype=np.float32), 30, axis=0), 10)
        >>> scores = np.repeat(np.array([0, 1], dtype=np.int8), 30)
        >>> scores[7] = 1
        >>> transition = fit_transition(scores, neighbors, num_classes=2)
        >>> curated = curate(scores, neighbors, transition, noise_share=1.0)
        >>> int(curated.curated[7]), curated.changed
        (0, 1)
    """
    if mode == "none":
        return _leave_scores(scores, mode)
    if mode == "bayes":
        if (neighbor_k is None) != (beta is None):
            raise ValueError("neighbor_k and beta must be given together")
        return _curate_bayes(
            scores,
            neighbors,
            transition,
            temper=None if neighbor_k is None or beta is None else (neighbor_k, beta),
            noise_share=noise_share,
            audit=audit,
            threshold=threshold,
            seed=seed,
            fill_missing=fill_missing,
            progress=progress,
        )
    if mode in ("paper", "reference"):
        return _curate_published(
            scores,
            neighbors,
            transition,
            mode=mode,
            threshold=threshold,
            seed=seed,
            rounds=rounds,
            progress=progress,
        )
    raise ValueError(f"mode must be bayes, paper, reference or none, got {mode!r}")


def _leave_scores(
    scores: NDArray[np.int8],
    mode: Mode,
    *,
    switched_off: str | None = None,
    information: float | None = None,
    information_shuffled: float | None = None,
    p_value: float | None = None,
    noise_share: float | None = None,
) -> Curated:
    """Return the scores as they are, in the form of a curation.

    Args:
        scores: int8 `(N,)`, -1 = unrated.
        mode: what was asked for.
        switched_off: why nothing was done.
        information: what the neighbors know, if it was measured.
        information_shuffled: the most they know about shuffled ratings, likewise.
        p_value: of the former against the latter, likewise.
        noise_share: what would have been assumed; None with an audit.

    Returns:
        `expected` and `curated` equal to the scores; nothing misrated.
    """
    unknown = np.full(len(scores), np.nan)
    return Curated(
        mode=mode,
        expected=np.where(scores >= 0, scores.astype(np.float64), np.nan),
        curated=scores.copy(),
        suggested=scores.copy(),
        misrated=np.zeros(len(scores), dtype=np.bool_),
        p_misrated=unknown,
        confidence=unknown.copy(),
        entropy=unknown.copy(),
        neighbor_k=None,
        beta=None,
        information=information,
        noise_share=noise_share,
        switched_off=switched_off,
        changed=0,
        vanished=(),
        information_shuffled=information_shuffled,
        p_value=p_value,
    )


def _count_changed(scores: NDArray[np.int8], curated: NDArray[np.int8]) -> int:
    """Count the samples whose curated score differs from their score."""
    return int(np.count_nonzero(scores != curated))


def _find_vanished(scores: NDArray[np.int8], curated: NDArray[np.int8]) -> tuple[int, ...]:
    """List the scores that occur in the pool and not among the curated ones."""
    vanished = np.setdiff1d(scores, curated)
    return tuple(vanished[vanished >= 0].tolist())


def _curate_bayes(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition | ReferenceTransition,
    *,
    temper: tuple[int, float] | None,
    noise_share: float,
    audit: AuditFit | None,
    threshold: float,
    seed: int,
    fill_missing: bool,
    progress: Progress,
) -> Curated:
    graph, T, p = neighbors.indices, transition.T, transition.p
    # Refuses a bad noise_share even where curation switches itself off.
    _core.split_noise(T, p, noise_share)
    told = noise_share if audit is None else None
    if transition.degenerate:
        return _leave_scores(scores, "bayes", switched_off=ONE_SCORE, noise_share=told)
    if temper is None:
        tuning = _core.tune_evidence(scores, graph, T, p)
        (k, beta), information = (tuning["k"], tuning["beta"]), tuning["information"]
    else:
        k, beta = temper
        information = _core.neighbor_information(scores, graph, T, p, k, beta)
    test = compare_with_shuffled(scores, neighbors, len(p), seed=seed)
    reason = explain_ignorance(information, test.p_value)
    if reason is None and audit is not None and audit.gamma == 0:
        reason = AUDITED_AWAY
    if reason is None and audit is None and noise_share == 0:
        reason = ALL_TRUE
    if reason is not None:
        return _leave_scores(
            scores,
            "bayes",
            switched_off=reason,
            information=information,
            information_shuffled=test.largest,
            p_value=test.p_value,
            noise_share=told,
        )
    if audit is None:
        found = _core.curate(
            scores, graph, T, p, k, beta, noise_share, threshold, fill_missing, progress
        )
    else:
        least = threshold if audit.relabels else _NEVER
        measured = (audit.T, audit.p, audit.gamma, least, fill_missing, progress)
        found = _core.curate_audited(scores, graph, T, p, k, beta, *measured)
    return Curated(
        mode="bayes",
        **found,
        neighbor_k=k,
        beta=beta,
        information=information,
        noise_share=told,
        switched_off=None,
        changed=_count_changed(scores, found["curated"]),
        vanished=_find_vanished(scores, found["curated"]),
        information_shuffled=test.largest,
        p_value=test.p_value,
    )


def _curate_published(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition | ReferenceTransition,
    *,
    mode: Literal["paper", "reference"],
    threshold: float,
    seed: int,
    rounds: int,
    progress: Progress,
) -> Curated:
    from ds2_fast import published

    if transition.degenerate:
        return _leave_scores(scores, mode, switched_off=ONE_SCORE)
    columns = (scores, neighbors.indices, neighbors.similarities, transition.T, transition.p)
    if mode == "paper":
        k = min(PAPER_VOTERS, neighbors.indices.shape[1])
        found = published.curate_paper(*columns, k=k, threshold=threshold)
    else:
        found = published.curate_reference(
            *columns, rounds=rounds, seed=seed, threshold=threshold, progress=progress
        )
    return Curated(
        mode=mode,
        expected=found.expected,
        curated=found.curated,
        suggested=found.suggested,
        misrated=found.misrated,
        p_misrated=found.p_misrated,
        confidence=found.confidence,
        entropy=np.full(len(scores), np.nan),
        neighbor_k=None,
        beta=None,
        information=None,
        noise_share=None,
        switched_off=None,
        changed=_count_changed(scores, found.curated),
        vanished=_find_vanished(scores, found.curated),
        warnings=found.warnings,
    )
