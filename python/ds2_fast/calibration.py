"""The noise share, not assumed but found: by a second rater, or by a person who scored a sample."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.errors import PoolError
from ds2_fast.progress import Progress, silent
from ds2_fast.verdict import ASSUMED

if TYPE_CHECKING:
    from ds2_fast.knn import Neighbors
    from ds2_fast.transition import Transition

Origin = Literal["assumed", "second rater", "audit"]

ASSUMED_SHARE = 0.5
"""The noise share where nothing tells it: a convention."""

LEAST_SHARED = 500
"""Samples that both raters must have rated."""

LEAST_AUDITED = 50
"""Samples a person must have scored."""

LEAST_GAMMA = 0.1
"""Up to this weight of the neighbors an audit changes no hard label."""

_MUCH = 0.5


@dataclass(frozen=True)
class SecondRater:
    """A second rater's scores: `name`, and int8 `(N,)` on any ordered scale, -1 = unrated."""

    name: str
    scores: NDArray[np.int8]

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that decides the noise share."""
        return (self.scores,)


@dataclass(frozen=True)
class Audit:
    """What a person scored.

    Attributes:
        name: the file.
        rows: uint32 `(m,)`, rows of the pool.
        gold: int8 `(m,)`, their scores, 0..K-1.
        weights: float64 `(m,)`, one over the probability with which each came into the audit.
    """

    name: str
    rows: NDArray[np.uint32]
    gold: NDArray[np.int8]
    weights: NDArray[np.float64]

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that decides the noise share."""
        return (self.rows, self.gold, self.weights)


@dataclass(frozen=True)
class AuditFit:
    """What an audit measured; intervals are of 90 %.

    Attributes:
        T: float64 `(K, K)`, a person's score (rows) to rating (columns).
        p: float64 `(K,)`, distribution of a person's scores.
        gamma: weight of the neighbors in [0, 1]; 0 = they know nothing about a person's score.
        gamma_low, gamma_high: gammas that predict no worse than the best beyond chance.
        gain: nats by which neighbors, held out, improve the prediction of a person's score.
        gain_error: its standard error.
        rated_equal, rated_kappa: agreement of the ratings with a person: share of equal scores, and
            quadratically weighted kappa.
        held_out_equal, held_out_kappa: the same of curated scores, each sample held out.
        relabels: whether hard labels may change: `gamma > 0.1`, and held out they agree no less.
        effective: samples an unweighted audit of the same precision would have.
    """

    T: NDArray[np.float64]
    p: NDArray[np.float64]
    gamma: float
    gamma_low: float
    gamma_high: float
    gain: float
    gain_error: float
    rated_equal: float
    rated_kappa: float
    held_out_equal: float
    held_out_kappa: float
    relabels: bool
    effective: float

    @property
    def verdict(self) -> str:
        """Whether neighbors know anything about a person's score, in words."""
        if self.gamma == 0:
            return "neighbors know nothing about a person's score beyond the rating itself"
        if self.gamma <= LEAST_GAMMA:
            return "neighbors know next to nothing about a person's score"
        much = "much" if self.gamma >= _MUCH else "something"
        return f"neighbors know {much} about a person's score"


@dataclass(frozen=True)
class Calibration:
    """The noise share and where it comes from.

    Attributes:
        origin: `assumed`, `second rater` or `audit`.
        noise_share: share of the neighbors' disagreement that is rater noise.
        low, high: 90 % interval; None where it is assumed.
        source: the column or file; None where it is assumed.
        samples: samples it rests on; None where it is assumed.
        shares, expected, curated: the shares tried, and under each the Spearman correlation of the
            expected and of the curated scores with the second rater or the person.
        audit: for an audit, all it measured.
    """

    origin: Origin
    noise_share: float
    low: float | None = None
    high: float | None = None
    source: str | None = None
    samples: int | None = None
    shares: tuple[float, ...] = ()
    expected: tuple[float, ...] = ()
    curated: tuple[float, ...] = ()
    audit: AuditFit | None = None

    @property
    def words(self) -> str:
        """Where the noise share comes from, for the report."""
        if self.origin == "assumed" or self.low is None or self.high is None:
            return ASSUMED
        how = {
            "second rater": f"chosen by the second rater `{self.source}`",
            "audit": f"chosen by the audit `{self.source}`",
        }[self.origin]
        return f"{how} on {self.samples:,} samples, 90 %: {self.low:.2f} to {self.high:.2f}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What the audit told of the rater and the neighbors; nothing without one."""
        if self.audit is None:
            return ()
        audit, kept = self.audit, "may change" if self.audit.relabels else "are kept"
        return (
            f"{self.noise_share:.0%} of the disagreement is rater noise: {self.words}",
            f"the audit: {audit.verdict} (weight {audit.gamma:g} of 1, 90 %: {audit.gamma_low:g} "
            f"to {audit.gamma_high:g})",
            f"ratings equal a person's score on {audit.rated_equal:.0%} (kappa "
            f"{audit.rated_kappa:.2f}), held out curated ones on {audit.held_out_equal:.0%} "
            f"({audit.held_out_kappa:.2f}): hard labels {kept}",
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values, with the audit's verdict and what to print."""
        found = asdict(self)
        if self.audit is not None:
            found["audit"] |= {"T": self.audit.T.tolist(), "p": self.audit.p.tolist()}
            found["audit"]["verdict"] = self.audit.verdict
        found["words"] = self.lines
        return {key: list(part) if isinstance(part, tuple) else part for key, part in found.items()}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Calibration:
        """Make one of what `to_dict` gave."""
        found, audit = dict(found), found["audit"]
        del found["words"]
        for name in ("shares", "expected", "curated"):
            found[name] = tuple(found[name])
        if audit is not None:
            kept = {field.name: audit[field.name] for field in fields(AuditFit)}
            kept |= {name: np.array(audit[name], dtype=np.float64) for name in ("T", "p")}
            found["audit"] = AuditFit(**kept)
        return cls(**found)


def calibrate(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition,
    evidence: SecondRater | Audit,
    *,
    threshold: float = 0.5,
    seed: int = 42,
    progress: Progress = silent,
) -> Calibration:
    """Find the noise share by a second rater or by an audit.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: neighbors of every sample, nearest first.
        transition: T and p of the same pool.
        evidence: which of the two.
        threshold: least probability at which a score is replaced.
        seed: of the resamples behind the interval.
        progress: called with steps done and all.

    Raises:
        PoolError: if fewer than 500 samples have both raters, or fewer than 50 are audited.
        ValueError: if arrays do not fit together, or a row is audited twice.

    Of the shares 0, .05, .1, .2, .35, .5, .75 and 1, the one whose expected scores have the highest
    Spearman correlation with the second rater or the person; within 0.003 the smallest. A share
    whose curated scores correlate less than the ratings do is none. An audit measures more, see
    `AuditFit`, and curation by it does not use the share.

    Source: deviation from the paper, which assumes that all disagreement is noise.
    O(8 N (k + K^2 + log N)), and for the interval 800 times the samples that both rated.

    Example:
        >>> from ds2_fast.knn import find_neighbors
        >>> from ds2_fast.transition import fit_transition
        >>> rng = np.random.default_rng(0)
        >>> truth = np.repeat(np.array([0, 1], dtype=np.int8), 500)
        >>> first, second = (np.where(rng.random(1000) < 0.2, 1 - truth, truth) for _ in range(2))
        >>> neighbors = find_neighbors(np.eye(2, dtype=np.float32)[truth], 20)
        >>> transition = fit_transition(first, neighbors, num_classes=2)
        >>> found = calibrate(first, neighbors, transition, SecondRater("second", second))
        >>> found.noise_share > 0.5
        True
    """
    columns = (scores, neighbors.indices, transition.T, transition.p)
    tuned = _core.tune_evidence(*columns)
    heard = (*columns, tuned["k"], tuned["beta"], threshold)
    if isinstance(evidence, Audit):
        audit = _fit_audit(heard, evidence)
        second, weights = _spread(evidence, len(scores))
    else:
        _check_shared(scores, evidence)
        audit, second, weights = None, evidence.scores, None
    found = _core.choose_share(*heard, second, weights, seed, progress)
    return Calibration(
        origin="second rater" if audit is None else "audit",
        noise_share=found["noise_share"],
        low=found["low"],
        high=found["high"],
        source=evidence.name,
        samples=found["samples"] if isinstance(evidence, SecondRater) else len(evidence.rows),
        shares=tuple(found["shares"].tolist()),
        expected=tuple(found["expected"].tolist()),
        curated=tuple(found["curated"].tolist()),
        audit=audit,
    )


Heard = tuple[
    NDArray[np.int8],
    NDArray[np.uint32],
    NDArray[np.float64],
    NDArray[np.float64],
    int,
    float,
    float,
]


def _fit_audit(heard: Heard, audit: Audit) -> AuditFit:
    """Measure what the rater and the neighbors are worth to the person."""
    if len(audit.rows) < LEAST_AUDITED:
        raise PoolError(
            f"{audit.name} holds {len(audit.rows)} scores, and an audit needs at least "
            f"{LEAST_AUDITED}",
            "score more of its samples; `ds2-fast audit sample` writes a file to fill in",
        )
    found = _core.fit_audit(*heard, audit.rows, audit.gold, audit.weights)
    measured: dict[str, Any] = {field.name: found[field.name] for field in fields(AuditFit)}  # type: ignore[literal-required]
    return AuditFit(**measured)


def _spread(audit: Audit, rows: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Give the person's scores and weights a place per row of the pool, as a second rater has."""
    second, weights = np.full(rows, -1, dtype=np.int8), np.ones(rows)
    second[audit.rows], weights[audit.rows] = audit.gold, audit.weights
    return second, weights


def _check_shared(scores: NDArray[np.int8], second: SecondRater) -> None:
    both = int(np.count_nonzero((scores >= 0) & (second.scores >= 0)))
    if both < LEAST_SHARED:
        raise PoolError(
            f"the second rater `{second.name}` shares {both:,} rated samples with the first, and "
            f"at least {LEAST_SHARED} are needed",
            f"leave `--second-rater` out, or score {LEAST_AUDITED} samples by hand for `--audit`",
        )
