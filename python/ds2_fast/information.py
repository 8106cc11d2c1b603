"""Do neighbors know anything about a rating? The ratings against the same ratings shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ds2_fast.knn import Neighbors

SHUFFLES = 99

SIGNIFICANCE = 0.01
"""How often a pool whose neighbors know nothing may pass: with 99 shuffles, none may reach it."""

LEAST_INFORMATION = 0.01
"""Nats; neighbors that know less about a rating correct none, however surely they know it."""

_COUNTED = 10  # neighbors


@dataclass(frozen=True)
class ShuffleTest:
    """What neighbors know about ratings, and about ratings dealt out at random.

    Attributes:
        samples: rated samples that were predicted, at most 4,000.
        information: nats by which their neighbors predict their ratings better than chance.
        largest: the largest of the same over the shuffles.
        p_value: probability of as much information if neighbors knew nothing.
    """

    samples: int
    information: float
    largest: float
    p_value: float


def compare_with_shuffled(
    scores: NDArray[np.int8],
    neighbors: Neighbors,
    num_classes: int,
    *,
    shuffles: int = SHUFFLES,
    seed: int = 42,
) -> ShuffleTest:
    """Test whether neighbors know anything about ratings, by permutation.

    Ratings are shuffled among the rated samples; T and p are fitted and the weight of neighbors is
    tuned anew each time, so that what these find in pure noise they find here too. The p-value
    `(1 + shuffles that reach the real ratings) / (1 + shuffles)` is exact whatever the embeddings,
    the raters, K and N: if neighbors know nothing, the real ratings are one shuffle among others.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: neighbors of every sample, nearest first, at least 2.
        num_classes: K.
        shuffles: at least 1; the smallest p-value is `1 / (1 + shuffles)`.
        seed: of the shuffles.

    Raises:
        ValueError: if a value is out of range, or no sample is rated.

    Source: permutation test with the estimate of Phipson and Smyth 2010. Deviation from the paper,
    which takes clusterability for granted. O(shuffles (N + 4,000 L K)).
    """
    k = min(_COUNTED, neighbors.indices.shape[1])
    found = _core.shuffle_test(scores, neighbors.indices, num_classes, k, shuffles, seed)
    return ShuffleTest(
        samples=found["samples"],
        information=found["information"],
        largest=float(found["shuffled"].max()),
        p_value=found["p_value"],
    )


def explain_ignorance(information: float, p_value: float) -> str | None:
    """Say why neighbors know too little to correct a rating, or None if they know enough.

    Args:
        information: of the whole pool, in nats.
        p_value: of `compare_with_shuffled`.
    """
    if p_value > SIGNIFICANCE:
        return (
            "neighbors know no more about these ratings than about the same ratings shuffled "
            f"(p = {p_value:.2f})"
        )
    if information < LEAST_INFORMATION:
        return f"neighbors know less than {LEAST_INFORMATION} nats about a rating"
    return None
