"""The baseline KNN-10: what lies farthest from its neighbors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.strategies.strategy import Strategy

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Knn(Strategy):
    """The samples farthest from their k nearest neighbors (DS2's baseline KNN-10).

    The score is the mean cosine distance to the k nearest other samples, k = 10 unless `-k` says
    otherwise: rarity alone, whatever the ratings.
    """

    name = "knn"
    source = "baseline of Pang et al., ICLR 2025, arXiv 2410.10877"
    needs = "embeddings, neighbors"

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the mean distance, in [0, 2]."""
        k = min(inputs.recipe.k, len(inputs) - 1)
        near = inputs.neighbors(k).similarities[:, :k]
        distance: NDArray[np.float64] = 1 - near.mean(axis=1, dtype=np.float64)
        return distance
