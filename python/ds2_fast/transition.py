"""Score transition matrix T and prior p of a pool, fitted to consensus counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core

if TYPE_CHECKING:
    from ds2_fast.knn import Neighbors

Prior = Literal["ordinal", "uniform", "none"]


@dataclass(frozen=True)
class Transition:
    """What the raters' scores look like through the eyes of their neighbors.

    Attributes:
        num_classes: K.
        T: float64 `(K, K)`, `T[i, j] = P(score j given true score i)`; rows sum to 1. It is the
            *apparent* transition: rater noise and true differences between neighbors together.
        p: float64 `(K,)`, distribution of the true score.
        counts: float64 `(K, K, K)`, symmetric consensus counts; sums to the samples counted.
        k: neighbors a sample was counted with.
        prior: what rows of T are drawn towards.
        strength: how strongly, in pseudo-ratings per row.
        steps: E-steps taken.
        converged: whether the fit ended before 3,900 E-steps.
        objective: log posterior at the end, up to a constant.
        degenerate: fewer than two scores occur; T is the prior alone.
        unidentified: classes with fewer than 20 true samples; their rows are the prior's.
        ambiguous: classes i whose column of T has its maximum in another row.
        warnings: what a reader of the result must know, one sentence each.
    """

    num_classes: int
    T: NDArray[np.float64]
    p: NDArray[np.float64]
    counts: NDArray[np.float64]
    k: int
    prior: Prior
    strength: float
    steps: int
    converged: bool
    objective: float
    degenerate: bool
    unidentified: tuple[int, ...]
    ambiguous: tuple[int, ...]
    warnings: tuple[str, ...] = ()

    @property
    def samples(self) -> float:
        """Number of samples that were counted."""
        return float(self.counts.sum())

    @property
    def c1(self) -> NDArray[np.float64]:
        """Consensus frequencies of order 1, float64 `(K,)`."""
        return np.asarray(self.c3.sum(axis=(1, 2)))

    @property
    def c2(self) -> NDArray[np.float64]:
        """Consensus frequencies of order 2, float64 `(K, K)`."""
        return np.asarray(self.c3.sum(axis=2))

    @property
    def c3(self) -> NDArray[np.float64]:
        """Consensus frequencies of order 3, float64 `(K, K, K)`; sums to 1."""
        return np.asarray(self.counts / self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {
            "num_classes": self.num_classes,
            "c1": self.c1.tolist(),
            "c2": self.c2.tolist(),
            "c3": self.c3.tolist(),
            "T": self.T.tolist(),
            "p": self.p.tolist(),
            "samples": self.samples,
            "k": self.k,
            "prior": self.prior,
            "strength": self.strength,
            "steps": self.steps,
            "converged": self.converged,
            "objective": self.objective,
            "degenerate": self.degenerate,
            "unidentified": list(self.unidentified),
            "ambiguous": list(self.ambiguous),
            "warnings": list(self.warnings),
        }


def fit_transition(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    *,
    num_classes: int,
    k: int = 10,
    prior: Prior = "ordinal",
    strength: float | None = None,
) -> Transition:
    """Fit the score transition matrix T and the prior p of a pool.

    Counts how often a sample and two of its k nearest neighbors are scored (a, b, c), and maximizes
    `sum C[a,b,c] log(sum_i p_i T[i,a] T[i,b] T[i,c]) + strength * sum P0[i,a] log T[i,a]`: the
    paper's model, in which the three share the true score i and are rated independently. `P0[i, a]`
    is proportional to `exp(-|i - a|)` (`ordinal`) or constant (`uniform`). The paper's own count is
    `k=2, prior="uniform", strength=1`.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: neighbors of every sample, nearest first, at least k.
        num_classes: K, 2..16.
        k: neighbors a sample is counted with, 2..L; all pairs of them.
        prior: `ordinal` for ordered scores, `uniform` for unordered ones.
        strength: pseudo-ratings per row, >= 0; by default `clip(samples / 250, 2, 20)` for
            `ordinal` and 1 for `uniform`.

    Returns:
        T, p, the counts, and what is to be known about the fit.

    Raises:
        ValueError: if a value is out of range, or no sample could be counted.

    Source: paper, consensus patterns and score transition matrix. Deviations: D1 (each sample
    counted once), D2 (self excluded), D3 (one neighbor graph of the whole pool); EM in place of
    gradient descent. O(Nk + K^4 steps), no randomness.

    Example:
        >>> from ds2_fast.knn import find_neighbors
        >>> points = np.repeat(np.eye(2, dtype=np.float32), 30, axis=0)
        >>> scores = np.repeat(np.array([0, 1], dtype=np.int8), 30)
        >>> transition = fit_transition(scores, find_neighbors(points, 10), num_classes=2)
        >>> transition.T.round(2).tolist()
        [[0.99, 0.01], [0.01, 0.99]]
    """
    counts = _core.consensus_counts(scores, neighbors.indices, num_classes, k)
    fit = _core.fit_transition(counts, prior, strength)
    return Transition(
        num_classes=num_classes,
        T=fit["T"],
        p=fit["p"],
        counts=counts,
        k=k,
        prior=prior,
        strength=fit["strength"],
        steps=fit["steps"],
        converged=fit["converged"],
        objective=fit["objective"],
        degenerate=fit["degenerate"],
        unidentified=tuple(np.flatnonzero(fit["unidentified"]).tolist()),
        ambiguous=tuple(np.flatnonzero(fit["ambiguous"]).tolist()),
    )
