"""K-center greedy: the samples that leave no other far from all chosen ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast.kcenter import choose_centers
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, among

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class KCenter(Strategy):
    """Always the sample farthest from all that were taken (k-center greedy).

    It starts with the first candidate: the best scored one after a scorer, else the first row. The
    distance is the cosine distance, which orders pairs of unit rows as the Euclidean one does.
    """

    name = "kcenter"
    source = "Sener and Savarese, ICLR 2018, arXiv 1708.00489; Gonzalez 1985"
    needs = "embeddings"

    among: float = among()

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take the farthest, n times."""
        features = inputs.features
        found = choose_centers(
            features.rows,
            np.empty(0, dtype=np.uint32),
            candidates.rows,
            groups=np.zeros(len(candidates), dtype=np.uint32),
            seats=[n],
            allow_zero=features.allow_zero,
            threads=inputs.threads,
            progress=inputs.progress,
        )
        return Picked(found.rows, "near to a sample that was taken")
