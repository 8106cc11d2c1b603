"""Maximal marginal relevance: wanted, and unlike what was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Mmr(Strategy):
    """Always the sample with the best mix of score and distance to those taken (MMR).

    Takes the maximum of `weight score - (1 - weight) s`, `s` the greatest cosine similarity to a
    sample taken before (0 before there is one). The scores of the candidates are mapped to 0..1,
    from the lowest to the highest, so that the weight means the same on every scale; without a
    scorer, or where all are alike, they are 0.
    """

    name = "mmr"
    source = "Carbonell and Goldstein, SIGIR 1998"
    needs = "embeddings"

    weight: float = option(
        0.5, "Weight of the score; the rest is of the distance.", least=0, most=1
    )

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take the best by marginal relevance, n times."""
        features = inputs.features
        rows, _ = _core.choose_marginal(
            features.rows,
            np.empty(0, dtype=np.uint32),
            candidates.rows,
            unit_scores(candidates.scores),
            self.weight,
            n,
            features.allow_zero,
            inputs.threads,
            inputs.progress,
        )
        return Picked(rows, "less wanted, or like a sample that was taken")


def unit_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map scores to 0..1, from the lowest to the highest; all alike are 0.

    Args:
        scores: float64 `(m,)`, finite.

    Example:
        >>> unit_scores(np.array([5.0, 4.0, 1.0])).tolist()
        [1.0, 0.75, 0.0]
    """
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)
