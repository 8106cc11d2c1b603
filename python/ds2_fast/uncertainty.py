"""How far T and p could be off, and how much of the disagreement can be rater noise at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core

if TYPE_CHECKING:
    from ds2_fast.knn import Neighbors
    from ds2_fast.transition import Transition

REPLICATES = 200

CONDITIONS = (
    "given the neighbor graph, that a sample and its neighbors share their true score and are "
    "rated independently, and the prior on T"
)
"""What every interval takes for granted."""


@dataclass(frozen=True)
class Intervals:
    """Bootstrap intervals: lower ends at index 0 of the last axis, upper ends at index 1.

    Attributes:
        level: share of the replicates an interval holds.
        replicates: how often the pool was resampled.
        blocks: blocks of neighbors that were resampled; with fewer than 10 every interval is 0..1.
        T: float64 `(K, K, 2)`; 0..1 in the rows of classes that are not identified. None where T
            was not fitted by likelihood (`reference`).
        p: float64 `(K, 2)`; None likewise.
        settled: float64 `(K,)`, share of the replicates in which column i of T has its maximum in
            row i; 0 for a class that is not identified. None likewise.
        noise_share_bound: float64 `(2,)`, for the largest share of the neighbors' disagreement that
            can be rater noise: disagreement of the closest fifth over that of all.
    """

    level: float
    replicates: int
    blocks: int
    T: NDArray[np.float64] | None
    p: NDArray[np.float64] | None
    settled: NDArray[np.float64] | None
    noise_share_bound: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values, and what the intervals take for granted."""
        arrays = {name: getattr(self, name) for name in ("T", "p", "settled", "noise_share_bound")}
        return {
            "level": self.level,
            "replicates": self.replicates,
            "blocks": self.blocks,
            **{name: None if a is None else a.tolist() for name, a in arrays.items()},
            "conditions": CONDITIONS,
        }


def bootstrap_transition(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    transition: Transition,
    *,
    replicates: int = REPLICATES,
    seed: int = 42,
) -> Intervals:
    """Find 95 % intervals of T and p by resampling blocks of neighbors.

    Samples are joined with their neighbors, nearest first, to blocks of at most `2 N^(1/3)`. A
    replicate draws as many blocks as there are, with replacement; a triple of samples counts as
    often as the blocks it touches were drawn, and T and p are fitted again, from where the fit of
    the pool ended. The intervals hold the middle 95 % of the replicates. They tell how T and p
    would vary over pools like this one, given `CONDITIONS`. Measured on pools that meet these
    conditions, they cover the truth in 90 to 96 % of cases; a rare class whose raters are far from
    the prior less often, because the prior's pull is not part of them.

    The same replicates bound `noise_share`. If the closest pairs of samples differ least in what
    they deserve, and raters err as often on them as on others, then rater noise is at most the
    share `(1 - diagonal of T from the closest fifth) / (1 - diagonal of T from all)` of the
    disagreement, both fitted to a sample and its two nearest neighbors.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: neighbors of every sample, nearest first.
        transition: T and p of the same pool, by `fit_transition`.
        replicates: at least 1.
        seed: of the draws.

    Raises:
        ValueError: if a value is out of range, or arrays do not fit together.

    Source: Künsch 1989 and Hall, Horowitz and Jing 1995 for the size of blocks. O(N k + blocks
    K^3 replicates); independent of the thread count.
    """
    likelihood = transition.prior != "none"
    found = _core.bootstrap(
        scores,
        neighbors.indices,
        neighbors.similarities,
        transition.num_classes,
        transition.k,
        transition.prior if likelihood else "ordinal",
        transition.strength if likelihood else None,
        replicates,
        seed,
    )
    return Intervals(
        level=found["level"],
        replicates=replicates,
        blocks=found["blocks"],
        T=found["T"] if likelihood else None,
        p=found["p"] if likelihood else None,
        settled=found["settled"] if likelihood else None,
        noise_share_bound=np.array(found["noise_share_bound"]),
    )
