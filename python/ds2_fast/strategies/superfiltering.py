"""Superfiltering: hard samples by a small model, that stand for each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.strategies.ifd import difficulty
from ds2_fast.strategies.nearness import compare_rows
from ds2_fast.strategies.predictability import OfLosses
from ds2_fast.strategies.strategy import Candidates, Picked, option
from ds2_fast.strategies.targets import unit_rows

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

EDGES = 1 << 25
"""Pairs that are compared at most: 0.7 GB while they are put in order."""


@dataclass(frozen=True)
class Superfiltering(OfLosses):
    """The hardest samples by a small model, and of these the ones that cover them (Superfiltering).

    The score is the instruction-following difficulty with perplexities (`ifd --ratio ppl`). Of the
    `factor n` highest (the script's default is 520 for 100), facility location takes the n that
    maximize `sum_i max_{j in S} s(i, j)` over these, with the script's similarity of unit rows
    `1 / (1 + Euclidean distance)`. All pairs are compared, as there, up to some 5,800 samples to
    choose from; of more, each with the nearest only, and the pairs beyond count 0.
    """

    name = "superfiltering"
    source = "Li et al., ACL 2024, arXiv 2402.00530"
    needs = (
        "losses or perplexities, given and alone (columns, or a causal language model), embeddings"
    )
    nested = False

    factor: float = option(5.2, "How many times n the facility location chooses from.", least=1)

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the ratio of perplexities, NaN from 1 on."""
        conditioned, direct = self.losses(inputs)
        return difficulty(conditioned, direct, "ppl")

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take of the best what covers them."""
        best = candidates.rows[: math.ceil(self.factor * n)]
        if len(best) <= n:
            return Picked(best, "easier")
        neighbors, similarities = _compare(inputs, best)
        places, _ = _core.locate_facilities(
            neighbors,
            similarities,
            neighbors.shape[1],
            np.arange(len(best), dtype=np.uint32),
            np.zeros(len(best)),
            n,
            inputs.progress,
        )
        return Picked(best[places], "easier, or stands for too little that is not stood for")


def _compare(
    inputs: Inputs, chosen: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Compare samples among each other, all pairs if they are few, else the nearest of each.

    Returns:
        Neighbors as places among the chosen, uint32 `(m, k)`, and similarities, float32 `(m, k)`,
        most similar first, ties by place.
    """
    features = inputs.features
    rows = np.ascontiguousarray(features.rows[chosen])
    if len(rows) ** 2 <= EDGES:
        similarities = _nearness(compare_rows(rows, unit_rows(rows), inputs.threads))
        np.fill_diagonal(similarities, np.inf)  # first of its row, and cut off there
        order = np.argsort(-similarities, axis=1, kind="stable")[:, 1:]
        return order.astype(np.uint32), np.take_along_axis(similarities, order, axis=1)
    neighbors, cosines = _core.knn_exact(
        rows, EDGES // len(rows), inputs.threads, features.allow_zero, inputs.progress
    )
    similarities = _nearness(cosines)
    # Cosines that differ may give similarities that do not: equal ones come by place.
    order = np.lexsort((neighbors, -similarities), axis=-1)
    return (
        np.take_along_axis(neighbors, order, axis=1),
        np.take_along_axis(similarities, order, axis=1),
    )


def _nearness(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn cosines of unit rows into `1 / (1 + Euclidean distance)`."""
    near = 1 / (1 + np.sqrt(np.maximum(2 - 2 * cosines, 0)))
    return near.astype(np.float32, copy=False)
